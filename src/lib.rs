//! The subledger service.

//! The subledger service.

pub mod stripe;

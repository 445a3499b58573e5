//! The subledger service.

pub mod demo;
pub mod stripe;

//! What Stripe's HTTP looks like: form bodies, parameters, versions, errors, calls and replies.

pub mod call;
pub mod error;
pub mod form;
pub mod params;
pub mod spec;
pub mod version;

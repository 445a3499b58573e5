//! The domain of subledger: what may happen to an account's subscription, and what it means.
//!
//! Pure: no clock, no I/O, no SQL, no Stripe JSON. Time, ids and the plan catalogue are arguments.

pub mod ids;
pub mod partition;
pub mod time;

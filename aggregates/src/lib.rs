//! The domain of subledger: what may happen to an account's subscription, and what it means.
//!
//! Pure: no clock, no I/O, no SQL, no Stripe JSON. Time, ids and the plan catalogue are arguments.
//! Read in this order.

pub mod ids;
pub mod money;
pub mod partition;
pub mod plan;
pub mod time;

pub mod facts;
pub mod observation;
pub mod register;
pub mod snapshot;

pub mod catalogue;
pub mod mutant;
pub mod operation;
pub mod recorded;
pub mod stripe_object;
pub mod subscription;
pub mod testing;
pub mod upcast;

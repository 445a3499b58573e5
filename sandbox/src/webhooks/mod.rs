//! Deliveries: who gets an event, when, in which shape, signed with what, and what is tried again.

pub mod payload;
pub mod queue;
pub mod signature;

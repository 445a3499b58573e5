//! Objects that belong to no account: one short stream per Stripe object.

pub mod event;

pub use event::{AGGREGATE_TYPE, EVENT_VERSION, ObjectSeen, StripeObjectEvent};

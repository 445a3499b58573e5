//! Objects that belong to no account: one short stream per Stripe object.

pub mod decide;
pub mod event;
pub mod state;

pub use decide::{decide, object_word};
pub use event::{AGGREGATE_TYPE, EVENT_VERSION, ObjectSeen, StripeObjectEvent};
pub use state::ObjectState;

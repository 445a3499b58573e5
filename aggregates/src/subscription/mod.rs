//! The account aggregate: one stream per account, which is one tenant and one Stripe customer.

pub mod command;
pub mod event;
pub mod rejection;
pub mod seen;

pub use command::{Decision, Refresh, SubscriptionCommand};
pub use event::{AGGREGATE_TYPE, EVENT_VERSION, SubscriptionEvent};
pub use rejection::Rejection;

//! The account aggregate: one stream per account, which is one tenant and one Stripe customer.

pub mod carried;
pub mod command;
pub mod cqrs;
pub mod decide;
pub mod event;
pub mod history;
pub mod rejection;
pub mod seen;
pub mod standing;
pub mod state;

pub use carried::Carried;
pub use command::{Decision, Refresh, SubscriptionCommand};
pub use decide::{NoPlans, PriceBook, decide};
pub use event::{AGGREGATE_TYPE, EVENT_VERSION, SubscriptionEvent};
pub use rejection::Rejection;
pub use state::{AccountBook, AccountState, InvoiceBook, LifeBook, MoneyBook, SubscriptionBook};

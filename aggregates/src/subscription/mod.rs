//! The account aggregate: one stream per account, which is one tenant and one Stripe customer.

pub mod asked;
pub mod carried;
pub mod command;
pub mod cqrs;
pub mod decide;
pub mod effect;
pub mod event;
pub mod history;
pub mod intent;
pub mod rejection;
pub mod request;
pub mod seen;
pub mod settled;
pub mod shown;
pub mod standing;
pub mod state;
pub mod wanted;

pub use carried::Carried;
pub use command::{Decision, Refresh, SubscriptionCommand};
pub use decide::{NoPlans, PriceBook, decide};
pub use event::{AGGREGATE_TYPE, EVENT_VERSION, SubscriptionEvent};
pub use rejection::Rejection;
pub use state::{AccountBook, AccountState, IntentBook, InvoiceBook, LifeBook, MoneyBook, SubscriptionBook};

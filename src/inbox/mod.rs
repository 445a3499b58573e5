//! The webhook inbox: every signed delivery is stored before it is acknowledged, and ends in one recorded outcome.
//!
//! Flow: `receive` scans and masks a verified body, stores it by group commit and answers; it hands what is new to
//! whoever works on receipts. `store` lists, shows, settles, and finds what is due again. `admin` replays and
//! discards, and leaves an event about it. What the bytes mean is none of the inbox's business.

pub mod admin;
pub mod mask;
pub mod pressure;
pub mod receipt;
pub mod receive;
pub mod store;

mod postgres;
mod sqlite;

use projections::db::DbError;

pub use admin::{Act, InboxAdmin, ReplayReport};
pub use pressure::Pressure;
pub use receipt::{
    BodyKept, Custody, Delivery, Due, NewReceipt, Placed, Receipt, ReceiptCursor, ReceiptFilter, ReceiptKey,
    Settlement, State,
};
pub use receive::{Received, Receiver};
pub use store::ReceiptStore;

/// The inbox could not do what was asked.
#[derive(Clone, Debug, thiserror::Error)]
pub enum InboxError {
    /// More deliveries wait for the store than may; the sender tries again.
    #[error("the store is busy; send it again in a moment")]
    Busy,
    /// The process is stopping; the sender tries again.
    #[error("the service is stopping; send it again in a moment")]
    Stopping,
    /// No such receipt.
    #[error("there is no receipt {0}")]
    Unknown(ReceiptKey),
    /// The receipt stands where this cannot be done.
    #[error("the receipt {key} is {state}; {advice}", state = state.as_str())]
    WrongState {
        /// Which.
        key: ReceiptKey,
        /// Where it stands.
        state: State,
        /// What can be done instead.
        advice: &'static str,
    },
    /// Too many at once.
    #[error("{found} receipts match, {most} may be replayed at once; narrow the filter, for instance by from and to")]
    TooMany {
        /// At least so many match.
        found: usize,
        /// As many may.
        most: usize,
    },
    /// The store failed.
    #[error(transparent)]
    Store(#[from] DbError),
}

//! What people and jobs do to the ledger itself: keys, receipts, runs, views and the catalogue.

pub mod decide;
pub mod event;
pub mod state;

pub use decide::{OperationCommand, OperationRejection, decide};
pub use event::{AGGREGATE_TYPE, EVENT_VERSION, OperationEvent};
pub use state::OperationState;

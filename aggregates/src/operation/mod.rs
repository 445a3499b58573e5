//! What people and jobs do to the ledger itself: keys, receipts, runs, views and the catalogue.

pub mod event;

pub use event::{AGGREGATE_TYPE, EVENT_VERSION, OperationEvent};

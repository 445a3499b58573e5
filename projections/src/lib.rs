//! What readers see: one read model a file, folded from the log and rebuilt from zero at will.
//!
//! `db` is the one place that knows where the ledger is kept; `log` reads the log in pages. A view is a
//! [`projection::Projection`]: keys, a pure fold and the columns of one [`table`]. [`views`] lists them all.
//! [`runner`] keeps them up to the log, [`rebuild`] fills a slot from zero, [`cache`] keeps rows of accounts in memory, [`query`] is what questions share.

pub mod db;
pub mod failpoint;
pub mod log;

pub mod projection;
pub mod table;

pub mod audit;
pub mod book;
pub mod entitlements;
pub mod invoices;
pub mod money;
pub mod quota;
pub mod status;
pub mod views;

pub mod cache;
pub mod checkpoint;
pub mod query;
pub mod rebuild;
pub mod runner;

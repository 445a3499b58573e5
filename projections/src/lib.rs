//! What readers see: one read model a file, folded from the log and rebuilt from zero at will.
//!
//! `db` is the one place that knows where the ledger is kept; `log` reads the log in pages.

pub mod db;
pub mod failpoint;
pub mod log;

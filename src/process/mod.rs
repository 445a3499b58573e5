//! Duties that turn what happened into commands and effects, one folder or file each.

mod account_log;
pub mod accounts;
pub mod apply_webhooks;
pub mod commands;
pub mod findings;
pub mod forget_answers;
mod links;
pub mod note_catalogue;
pub mod pages;
pub mod stripe_calls;
pub mod stripe_reads;

use std::sync::Arc;

/// Answers which parts this process works on now.
pub type HeldParts = Arc<dyn Fn() -> Vec<u32> + Send + Sync>;

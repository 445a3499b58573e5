//! Duties that turn what happened into commands and effects, one folder or file each.

pub mod accounts;
pub mod apply_webhooks;
pub mod findings;
pub mod import;
mod links;

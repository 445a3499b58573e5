//! The subledger service.

pub mod app;
pub mod auth;
pub mod cli;
pub mod clock;
pub mod config;
pub mod demo;
pub mod directory;
pub mod failpoint;
pub mod http;
pub mod inbox;
pub mod lease;
pub mod ledger;
pub mod outbox;
pub mod plans;
pub mod process;
pub mod stripe;
pub mod telemetry;
pub mod toml_text;

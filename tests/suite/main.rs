//! The suite: every test that goes through a store, a server or the whole repository.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    clippy::wildcard_enum_match_arm,
    reason = "a failing test panics and says why"
)]

mod catalogue;
mod cli;
mod commands;
mod contract;
mod flows;
mod fuzz;
mod harness;
mod http;
mod oracles;
mod stripe_api;
mod support;
mod tidy;
mod translate;
mod views;

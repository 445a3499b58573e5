//! The sandbox, asked as a client would: without sockets where they do not matter, over HTTP where they do.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking; support code is no exception"
)]

mod browse;
mod calls;
mod catalogue;
mod checkout;
mod deliveries;
mod oracles;
mod pages;
mod payments;
mod portal;
mod samples;
mod subscribing;
mod subscriptions;
mod support;
mod wire;

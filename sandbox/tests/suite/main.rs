//! The sandbox, asked as a client would: without sockets where they do not matter, over HTTP where they do.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking; support code is no exception"
)]

mod calls;
mod catalogue;
mod deliveries;
mod oracles;
mod payments;
mod samples;
mod support;
mod wire;

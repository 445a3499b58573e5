//! Commands through the front door: HTTP, the log, the outbox, the gateway, a stand-in for Stripe on loopback, and the
//! webhooks that confirm them.

mod clicks;
#[cfg(feature = "failpoints")]
mod crash;
mod faults;
mod kinds;
mod money;
mod orders;
mod portal;

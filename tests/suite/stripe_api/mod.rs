//! A small Stripe for tests of the gateway: the same few rules of Stripe over HTTP ([`Loopback`]) and behind the port
//! ([`FakeStripe`]), with faults that are ordered one by one and a count of what was really done under each key.

mod fake;
mod loopback;
mod mini;

pub(crate) use fake::FakeStripe;
pub(crate) use loopback::{Loopback, Wire};

use std::collections::BTreeMap;

/// What goes wrong with the next request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The work is done, the reply is lost.
    LostReply,
    /// The connection is cut before anything is done.
    Cut,
    /// A failure that Stripe stores under the key and replays.
    StoredFailure,
    /// A failure that leaves nothing behind.
    Failure,
    /// Too many requests; come again after so many seconds.
    TooMany(Option<u64>),
    /// A page of somebody in between, with the work undone.
    ForeignPage,
    /// The work is done, and the body is cut off in the middle.
    TruncatedBody,
    /// The card is declined.
    Declined,
    /// The key is not accepted.
    Unauthorized,
    /// The object is locked by another request.
    Locked,
    /// No reply for so many milliseconds, the work done first.
    Slow(u64),
    /// Exactly these bytes, and nothing done.
    Raw(Vec<u8>),
}

/// What was really done, by idempotency key.
pub(crate) type Effects = BTreeMap<String, u32>;

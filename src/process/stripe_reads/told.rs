//! What Stripe answered, as a receipt: the same way into the ledger as a webhook, with everything that hangs on it (the
//! bytes are kept, the outcome is recorded, an operator can look at it and replay it).

use aggregates::time::Timestamp;
use bytes::Bytes;
use serde_json::{Value, json};

use crate::inbox::Delivery;
use crate::stripe::client::STRIPE_VERSION;
use crate::stripe::gateway::Answer;
use crate::stripe::translate::types::FETCHED;

/// Where a receipt came from that no webhook brought; stands where the endpoint's path stands.
pub const VIA_FETCH: &str = "fetch";
/// An event that was found in Stripe's list of events.
pub const VIA_CATCH_UP: &str = "catch_up";

/// How far our clock may run ahead of Stripe's where a reply does not tell Stripe's time, in seconds.
const SKEW_SECONDS: i64 = 2;

/// When the object stood as it was read, in Stripe's clock, as the last second that is surely before the reading.
///
/// Stripe stamps events with whole seconds. What changes after the reading may carry the very second of the reading, and
/// must win; so the answer is dated one second back.
pub(super) fn as_of(stripe_time: Option<Timestamp>, began: Timestamp, ended: Timestamp) -> Timestamp {
    let instant = match stripe_time {
        // Stripe's clock stands in the reply, which is written after the reading, and the reading after the question.
        Some(theirs) => theirs
            .plus_micros(began.micros().saturating_sub(ended.micros()))
            .plus_seconds(-1),
        None => began.plus_seconds(-SKEW_SECONDS),
    };
    Timestamp::from_seconds(instant.seconds()).unwrap_or(instant)
}

/// What a receipt of a fetched object holds.
pub(super) struct Told<'a> {
    /// The id of the receipt, made from the row that asked.
    pub(super) id: &'a str,
    /// Stripe's word for the object.
    pub(super) word: &'a str,
    /// The account it belongs to, `default` for the key's own.
    pub(super) source: &'a str,
    pub(super) as_of: Timestamp,
    pub(super) answer: &'a Answer,
    pub(super) object: &'a Value,
}

impl Told<'_> {
    /// An event in Stripe's form around the object, of a type of our own.
    pub(super) fn body(&self) -> Bytes {
        let mut event = json!({
            "id": self.id,
            "object": "event",
            "type": format!("{FETCHED}{}", self.word),
            "created": self.as_of.seconds(),
            "api_version": self.answer.api_version.as_deref().unwrap_or(STRIPE_VERSION),
            "data": { "object": self.object },
            "request": { "id": self.answer.request_id, "idempotency_key": null },
        });
        if let Some(live) = self.object.get("livemode").filter(|live| live.is_boolean()) {
            event["livemode"] = live.clone();
        }
        if self.source.starts_with("acct_") {
            event["account"] = self.source.into();
        }
        event.to_string().into()
    }
}

/// A receipt that nobody signed: the connection to Stripe vouches for it.
pub(super) fn delivery(body: Bytes, via: &str, now: Timestamp) -> Delivery {
    Delivery {
        body,
        signature: String::new(),
        secret_name: via.into(),
        endpoint: via.into(),
        received_at: now,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        Timestamp::parse(text).unwrap()
    }

    #[test]
    fn an_answer_is_dated_before_anything_that_changed_after_it_was_read() {
        let (began, ended) = (at("2026-01-01T10:00:00.900Z"), at("2026-01-01T10:00:01.100Z"));
        // Our clock is an hour behind Stripe's: only Stripe's counts.
        let told = as_of(Some(at("2026-01-01T11:00:05Z")), began, ended);
        assert_eq!(told, at("2026-01-01T11:00:03Z"));
        assert_eq!(as_of(None, began, ended), at("2026-01-01T09:59:58Z"));
    }

    #[test]
    fn a_tie_two_seconds_old_is_settled_however_long_stripe_takes() {
        for took in 0..10 {
            let tie = at("2026-01-01T10:00:00Z");
            let began = tie.plus_seconds(2);
            let ended = began.plus_seconds(took);
            assert!(as_of(Some(ended), began, ended) >= tie, "{took} s");
        }
    }
}

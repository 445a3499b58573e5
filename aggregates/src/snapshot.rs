//! Snapshots of Stripe objects: their header, their content and what they say.
//!
//! Stripe orders nothing and stamps whole seconds. Every snapshot that arrives is recorded with its
//! [`Seen`] header; a [`Register`](crate::register::Register) tells which one is current.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::time::Timestamp;

/// First eight bytes of SHA-256 over the stored form of a snapshot.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fingerprint(u64);

impl Fingerprint {
    /// Of any value with one stored form.
    #[must_use]
    pub fn of<T: Serialize>(value: &T) -> Self {
        let bytes = serde_json::to_vec(value).unwrap_or_default();
        let digest = ring::digest::digest(&ring::digest::SHA256, &bytes);
        Self(
            digest
                .as_ref()
                .iter()
                .take(8)
                .fold(0, |sum, byte| (sum << 8) | u64::from(*byte)),
        )
    }
}
impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}
impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}
impl Serialize for Fingerprint {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
impl<'de> Deserialize<'de> for Fingerprint {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<'de, str>::deserialize(deserializer)?;
        u64::from_str_radix(&text, 16).map(Self).map_err(de::Error::custom)
    }
}
impl JsonSchema for Fingerprint {
    fn schema_name() -> Cow<'static, str> {
        "Fingerprint".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": "^[0-9a-f]{16}$" })
    }
    fn inline_schema() -> bool {
        true
    }
}

/// What makes two snapshots the same one: first sixteen bytes of SHA-256 over object, header and content. A stream keeps
/// one for each snapshot it recorded, for ever: two that are not the same must never share it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct SnapshotId([u8; 16]);

impl SnapshotId {
    /// Of any value with one stored form.
    #[must_use]
    pub fn of<T: Serialize>(value: &T) -> Self {
        let bytes = serde_json::to_vec(value).unwrap_or_default();
        let digest = ring::digest::digest(&ring::digest::SHA256, &bytes);
        let mut id = [0; 16];
        for (to, from) in id.iter_mut().zip(digest.as_ref()) {
            *to = *from;
        }
        Self(id)
    }
}

/// What a webhook says beside the snapshot it carries: facts the object alone does not show.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Notice {
    /// `customer.subscription.trial_will_end`.
    TrialWillEnd,
    /// `invoice.upcoming`.
    Upcoming,
    /// `invoice.payment_failed`.
    PaymentFailed,
    /// `invoice.payment_action_required` and `invoice.payment_attempt_required`.
    ActionRequired,
    /// `invoice.overdue`.
    Overdue,
    /// `charge.dispute.funds_withdrawn`.
    FundsWithdrawn,
    /// `charge.dispute.funds_reinstated`.
    FundsReinstated,
    /// `checkout.session.async_payment_succeeded`.
    AsyncPaymentSucceeded,
    /// `checkout.session.async_payment_failed`.
    AsyncPaymentFailed,
}

/// Snapshots of one second in their order: made, changed, paused or resumed, gone; then fetched, because whoever
/// fetched saw the end of that second.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Rank {
    /// `*.created`.
    Created,
    /// `*.updated` and everything without a rank of its own.
    Updated,
    /// `*.paused`, `*.resumed`.
    Paused,
    /// `*.deleted`.
    Deleted,
    /// Fetched from Stripe.
    Fetched,
}

/// The header of every recorded snapshot.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub struct Seen {
    /// When Stripe says the object looked so: the event's `created`, or the start of a fetch less a margin.
    pub as_of: Timestamp,
    /// Its place among snapshots of the same second.
    pub rank: Rank,
    /// Fingerprint of what the object was before, from `previous_attributes`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<Fingerprint>,
    /// What the webhook said beside the snapshot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub notice: Option<Notice>,
}

/// Something a snapshot says that stays true whatever comes later, in either order: an invoice was paid, a refund was
/// made, a dispute was opened. The facts of an object are the union over its snapshots.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fact {
    /// Stripe announced the end of a trial; its end.
    TrialEnding(Option<Timestamp>),
    /// An invoice was announced.
    Upcoming,
    /// An invoice was drafted.
    Drafted,
    /// An invoice was finalized.
    Finalized,
    /// An invoice was paid.
    Paid,
    /// A payment attempt of an invoice failed: the attempt's number.
    PaymentFailed(u32),
    /// The customer had to act on an attempt: its number.
    ActionRequired(u32),
    /// An invoice was not paid when due.
    Overdue,
    /// An invoice or a credit note was withdrawn.
    Voided,
    /// An invoice was written off.
    Uncollectible,
    /// A charge brought money.
    Succeeded,
    /// A charge was refused, or a refund did not arrive.
    Failed,
    /// A refund or a credit note was made.
    Issued,
    /// A refund arrived.
    Settled,
    /// A dispute was opened.
    Opened,
    /// Disputed money was taken.
    FundsWithdrawn,
    /// Disputed money came back.
    FundsReinstated,
    /// A dispute ended, with this status: an appeal can end it again.
    Closed(Box<str>),
    /// A checkout session was finished.
    Completed,
    /// A checkout session was given up.
    Expired,
    /// The delayed payment of a checkout session succeeded (true) or failed.
    PaymentSettled(bool),
}

/// A normalised snapshot of a Stripe object that can be placed in a [`Register`](crate::register::Register).
pub trait Snapshot: Clone + PartialEq + Serialize {
    /// Whether it can return to what it was, so that changes within one second may go in a circle. Objects that only
    /// move on are decided by their ladder.
    const CAN_RETURN: bool = false;
    /// 0 while the object can still change; higher for ends that nothing lower overrules, however late it is stamped
    /// (a canceled subscription is 1; a lost dispute is 1 as are appeals, a won one is 2).
    fn finality(&self) -> u8;
    /// Progress of the status: decides between two tied snapshots of which neither names the other as its past.
    fn ladder(&self) -> u8;
    /// Content, for telling twins; independent of who sent it.
    fn fingerprint(&self) -> Fingerprint {
        Fingerprint::of(self)
    }
    /// One bit for each field that some API versions leave out and this snapshot has.
    fn knows(&self) -> u8 {
        0
    }
    /// Takes one such field from another snapshot.
    fn take(&mut self, _field: u8, _from: &Self) {}
    /// What it says that stays true.
    fn facts(&self, _seen: &Seen) -> Vec<Fact> {
        Vec::new()
    }
}

/// One snapshot with its header.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry<T> {
    /// Header.
    pub seen: Seen,
    /// Content.
    pub snapshot: T,
}

/// What a snapshot is to those already known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Placement {
    /// It becomes the current one.
    Wins {
        /// Its content differs from what was current (true also for the first one).
        changed: bool,
        /// Tied with others that neither time, rank nor history decides: Stripe should be asked.
        undecided: bool,
    },
    /// Another one stays or becomes current.
    Late {
        /// As above.
        undecided: bool,
    },
    /// The same content with the same header is known already; nothing is to be recorded.
    Twin,
}

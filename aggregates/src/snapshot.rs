//! Which snapshot of a Stripe object wins, whatever the order of arrival.
//!
//! Stripe orders nothing and stamps whole seconds. Every snapshot that arrives is recorded with its
//! [`Seen`] header; a [`Register`] keeps the winner. The winner is a function of the **set** of
//! snapshots recorded, never of their order: highest finality, then latest `as_of`, then highest
//! rank; among those still tied, a snapshot that another one names as its past (`before`) loses to
//! it; what is tied even then is decided by the status ladder and at last by the fingerprint of the
//! content, and Stripe is asked.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::time::Timestamp;

/// Most snapshots of one object kept as tied with the winner. Stripe makes a handful of events a second for one
/// object; beyond this the lowest fingerprints are dropped, which every order drops alike.
pub const TIED_MAX: usize = 32;

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

/// A normalised snapshot of a Stripe object that can be placed in a [`Register`].
pub trait Snapshot: Clone + PartialEq + Serialize {
    /// 0 while the object can still change; higher for ends that nothing lower overrules, however late it is stamped
    /// (a canceled subscription is 1; a lost dispute is 1 as are appeals, a won one is 2).
    fn finality(&self) -> u8;
    /// Progress of the status: decides between two tied snapshots of which neither names the other as its past.
    fn ladder(&self) -> u8;
    /// Content, for telling twins; independent of who sent it.
    fn fingerprint(&self) -> Fingerprint {
        Fingerprint::of(self)
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

/// The snapshots of one object that matter for what is current: the winner and those tied with it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Register<T> {
    /// All of the highest (finality, as_of, rank), sorted by content so that equal sets are equal bytes.
    tied: Vec<Entry<T>>,
}

impl<T> Default for Register<T> {
    fn default() -> Self {
        Self { tied: Vec::new() }
    }
}

impl<T: Snapshot> Register<T> {
    /// The winner.
    #[must_use]
    pub fn current(&self) -> Option<&Entry<T>> {
        self.winner().map(|(entry, _)| entry)
    }

    /// Whether the winner rests on nothing but the fingerprint, so that Stripe should be asked.
    #[must_use]
    pub fn is_undecided(&self) -> bool {
        self.winner().is_some_and(|(_, undecided)| undecided)
    }

    /// What `entry` would be, were it recorded now.
    #[must_use]
    pub fn place(&self, entry: &Entry<T>) -> Placement {
        let Some(current) = self.current() else {
            return Placement::Wins {
                changed: true,
                undecided: false,
            };
        };
        if self.tied.contains(entry) {
            return Placement::Twin;
        }
        let mut after = self.clone();
        after.record(entry.clone());
        let undecided = after.is_undecided();
        match after.current() {
            Some(winner) if winner == entry => Placement::Wins {
                changed: winner.snapshot != current.snapshot,
                undecided,
            },
            Some(_) | None => Placement::Late { undecided },
        }
    }

    /// Takes a recorded snapshot; total, and the same for every order.
    pub fn record(&mut self, entry: Entry<T>) {
        let group = |e: &Entry<T>| (e.snapshot.finality(), e.seen.as_of, e.seen.rank);
        match self.tied.first().map(group) {
            Some(top) if group(&entry) < top => return,
            Some(top) if group(&entry) > top => self.tied.clear(),
            Some(_) | None => {}
        }
        if self.tied.contains(&entry) {
            return;
        }
        let order = |e: &Entry<T>| (e.snapshot.fingerprint(), e.seen.clone());
        let at = self.tied.partition_point(|known| order(known) < order(&entry));
        self.tied.insert(at, entry);
        if self.tied.len() > TIED_MAX {
            self.tied.remove(0);
        }
    }

    fn winner(&self) -> Option<(&Entry<T>, bool)> {
        if let [only] = self.tied.as_slice() {
            return Some((only, false));
        }
        let prints: Vec<Fingerprint> = self.tied.iter().map(|e| e.snapshot.fingerprint()).collect();
        let is_past = |print: Fingerprint| {
            let names = |(e, own): (&Entry<T>, &Fingerprint)| e.seen.before == Some(print) && *own != print;
            self.tied.iter().zip(&prints).any(names)
        };
        let mut open: Vec<(u8, Fingerprint, &Entry<T>)> = self
            .tied
            .iter()
            .zip(&prints)
            .filter(|(_, print)| !is_past(**print))
            .map(|(e, print)| (e.snapshot.ladder(), *print, e))
            .collect();
        if open.is_empty() {
            // Every snapshot is named as some other's past (a change and its undoing): content decides.
            open = self
                .tied
                .iter()
                .zip(&prints)
                .map(|(e, print)| (e.snapshot.ladder(), *print, e))
                .collect();
        }
        let (ladder, print, entry) = *open
            .iter()
            .max_by_key(|(ladder, print, e)| (*ladder, *print, e.seen.clone()))?;
        let undecided = open.iter().any(|(l, p, _)| *l == ladder && *p != print);
        Some((entry, undecided))
    }
}

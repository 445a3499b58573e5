//! A receipt: one signed delivery as it came, and what became of it.

use std::fmt;
use std::sync::Arc;

use aggregates::ids::{StreamId, StripeEventId};
use aggregates::partition::part_of_key;
use aggregates::time::Timestamp;
use bytes::Bytes;
use ring::digest;
use serde::{Deserialize, Serialize};

use crate::stripe::envelope::Envelope;

/// The source of events of the account that owns the endpoint.
pub const SOURCE_DEFAULT: &str = "default";

/// What makes a receipt the same receipt: the Stripe account and its event id.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ReceiptKey {
    /// `acct_...`, or [`SOURCE_DEFAULT`].
    pub source: Arc<str>,
    /// `evt_...`, or `body:<sha256>`.
    pub event: StripeEventId,
}

impl ReceiptKey {
    /// Of an account's event.
    #[must_use]
    pub fn new(source: &str, event: StripeEventId) -> Self {
        Self {
            source: source.into(),
            event,
        }
    }

    /// The partition its row lives in; the stream is not known when the row is written.
    #[must_use]
    pub fn part(&self, parts: u32) -> u32 {
        part_of_key(&self.to_string(), parts)
    }
}

impl fmt::Display for ReceiptKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.source, self.event)
    }
}

impl fmt::Debug for ReceiptKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// A delivery whose signature was found good, as the receiver takes it.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// The body as it was signed.
    pub body: Bytes,
    /// The `Stripe-Signature` header as it came.
    pub signature: String,
    /// Configured name of the secret that matched.
    pub secret_name: Arc<str>,
    /// Path the delivery came to, for instance `/webhooks/stripe`; a word without a slash: Stripe was asked for it.
    pub endpoint: Arc<str>,
    /// When it came.
    pub received_at: Timestamp,
}

/// A receipt on its way into the table and into the lanes.
#[derive(Clone, Debug)]
pub struct NewReceipt {
    /// Its key.
    pub key: ReceiptKey,
    /// Partition of its row.
    pub part: u32,
    /// What is stored and translated: as it came, but for card numbers.
    pub body: Bytes,
    /// SHA-256 of the body as it came.
    pub digest: [u8; 32],
    /// The body held a card number or a secret, and is stored without it.
    pub masked: bool,
    /// Custody: header, secret, path.
    pub signature: String,
    /// As above.
    pub secret_name: Arc<str>,
    /// As above.
    pub endpoint: Arc<str>,
    /// When it came.
    pub received_at: Timestamp,
    /// What a tolerant scan found.
    pub envelope: Envelope,
}

/// Said of a receipt that is stored without the card number it carried.
pub const NOTE_MASKED: &str =
    "stored without the card data it carried; its signature can no longer be checked against the stored body";

impl NewReceipt {
    /// Scans and masks a delivery. CPU only.
    #[must_use]
    pub fn of(delivery: Delivery, parts: u32) -> Self {
        let envelope = Envelope::scan(&delivery.body);
        let source = envelope.account.as_deref().unwrap_or(SOURCE_DEFAULT);
        let key = ReceiptKey::new(source, envelope.event_id.clone());
        let digest = sha256(&delivery.body);
        let masked = super::mask::mask(&delivery.body);
        Self {
            part: key.part(parts),
            key,
            masked: masked.is_some(),
            // A copy of its own size: the delivery's bytes lie in a connection's read buffer and would keep all of it.
            body: masked.map_or_else(|| Bytes::copy_from_slice(&delivery.body), Bytes::from),
            digest,
            signature: delivery.signature,
            secret_name: delivery.secret_name,
            endpoint: delivery.endpoint,
            received_at: delivery.received_at,
            envelope,
        }
    }

    /// Is the receipt with this digest, that came this way and has the same key, the same event?
    ///
    /// Stripe tells an event in answer to a question in other words than its webhook has: how many deliveries are open, in
    /// which version it is shown. Between a webhook and an answer the id alone decides.
    #[must_use]
    pub fn tells_the_same(&self, digest: &[u8], endpoint: &str) -> bool {
        let is_webhook = |endpoint: &str| endpoint.starts_with('/');
        self.digest[..] == *digest || is_webhook(&self.endpoint) != is_webhook(endpoint)
    }

    /// What it costs the queues, in bytes.
    #[must_use]
    pub fn weight(&self) -> usize {
        /// Row, keys and envelope beside the body.
        const OVERHEAD_BYTES: usize = 512;
        self.body.len() + OVERHEAD_BYTES
    }
}

/// SHA-256 of any bytes.
#[must_use]
pub fn sha256(bytes: &[u8]) -> [u8; 32] {
    let mut out = [0; 32];
    out.copy_from_slice(digest::digest(&digest::SHA256, bytes).as_ref());
    out
}

macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $word:literal,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, utoipa::ToSchema)]
        #[serde(rename_all = "snake_case")]
        pub enum $name {
            $($(#[$vdoc])* $variant,)*
        }
        impl $name {
            /// All of them, in the order of the enum.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];
            /// As it is stored and shown.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word,)* }
            }
            /// Takes the stored word.
            #[must_use]
            pub fn from_word(word: &str) -> Option<Self> {
                match word { $($word => Some(Self::$variant),)* _ => None }
            }
        }
    };
}

words! {
    /// Where a receipt stands. All but `New` and `Parked` are its one recorded outcome.
    State {
        /// Stored, not yet worked on.
        New = "new",
        /// Its facts are on the log.
        Applied = "applied",
        /// Another receipt brought the same event.
        Duplicate = "duplicate",
        /// It told nothing that was not known.
        Superseded = "superseded",
        /// A type that is only kept.
        Ignored = "ignored",
        /// Waits for something named in its reason.
        Parked = "parked",
        /// Could not be understood or decided; needs a person.
        Quarantined = "quarantined",
        /// Given up by a decision.
        Discarded = "discarded",
    }
}

/// Where the facts of a receipt stand on the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placed {
    /// The stream it belongs to.
    pub stream: StreamId,
    /// The stream's partition.
    pub part: u32,
    /// First and last position of its events there; none when nothing was to be recorded.
    pub positions: Option<(u64, u64)>,
}

/// What became of one receipt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settlement {
    /// Which.
    pub key: ReceiptKey,
    /// The state it goes to.
    pub state: State,
    /// What it waits for, or why it was refused.
    pub reason: Option<String>,
    /// Tries so far that failed.
    pub attempts: u32,
    /// When to try again; for new and parked ones only.
    pub next_at: Option<Timestamp>,
    /// Where its facts stand.
    pub placed: Option<Placed>,
}

/// Longest reason kept, in characters: a reason may quote a body.
pub const REASON_CHARS_MAX: usize = 1_000;

impl Settlement {
    /// A state without a place on the log. The reason loses what no store can keep (NUL) and what nobody reads.
    #[must_use]
    pub fn of(key: ReceiptKey, state: State, reason: Option<String>) -> Self {
        let kept = |reason: String| reason.chars().filter(|c| *c != '\0').take(REASON_CHARS_MAX).collect();
        Self {
            key,
            state,
            reason: reason.map(kept),
            attempts: 0,
            next_at: None,
            placed: None,
        }
    }
}

/// A receipt that is due again, with its body.
#[derive(Clone, Debug)]
pub struct Due {
    /// Which.
    pub key: ReceiptKey,
    /// What was stored; none when it was erased meanwhile.
    pub body: Option<Bytes>,
    /// When it came.
    pub received_at: Timestamp,
    /// Tries so far that failed.
    pub attempts: u32,
    /// `New` or `Parked`.
    pub state: State,
}

/// A receipt as lists show it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// Which.
    pub key: ReceiptKey,
    /// The event's type, where the body had one.
    pub event_type: Option<String>,
    /// Live or test mode, where the body said.
    pub livemode: Option<bool>,
    /// Where it stands.
    pub state: State,
    /// Why.
    pub reason: Option<String>,
    /// Tries so far that failed.
    pub attempts: u32,
    /// When it came.
    pub received_at: Timestamp,
    /// When it is tried again.
    pub next_at: Option<Timestamp>,
    /// When it got its outcome.
    pub settled_at: Option<Timestamp>,
    /// Where its facts stand.
    pub placed: Option<Placed>,
}

impl Receipt {
    /// Where a list goes on after this one.
    #[must_use]
    pub fn cursor(&self) -> ReceiptCursor {
        ReceiptCursor {
            received_at: self.received_at,
            source: (*self.key.source).into(),
            event: self.key.event.as_str().into(),
        }
    }
}

/// A receipt with what proves it.
#[derive(Clone, Debug)]
pub struct Custody {
    /// As lists show it.
    pub receipt: Receipt,
    /// The header as it came.
    pub signature: String,
    /// Name of the secret that matched.
    pub secret_name: String,
    /// Path it came to.
    pub endpoint: String,
    /// SHA-256 of the body as it came.
    pub digest: [u8; 32],
    /// What is stored; none once erased.
    pub body: Option<Bytes>,
}

/// Whether the stored body is still what was signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum BodyKept {
    /// Byte for byte as it came.
    AsReceived,
    /// Without the card data it carried; the digest is that of the original.
    Masked,
    /// Erased; digest and outcome stay.
    Erased,
}

impl Custody {
    /// Judged by the digest, not by a flag.
    #[must_use]
    pub fn body_kept(&self) -> BodyKept {
        match &self.body {
            None => BodyKept::Erased,
            Some(body) if sha256(body) == self.digest => BodyKept::AsReceived,
            Some(_) => BodyKept::Masked,
        }
    }
}

/// Which receipts a list or a bulk replay means. Everything absent matches all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReceiptFilter {
    /// Where they stand.
    pub state: Option<State>,
    /// The event's type.
    pub event_type: Option<String>,
    /// Their facts belong to one of these streams; the caller turns a tenant into its streams.
    pub streams: Option<Vec<String>>,
    /// The Stripe account.
    pub source: Option<String>,
    /// Received at or after.
    pub from: Option<Timestamp>,
    /// Received before.
    pub to: Option<Timestamp>,
}

/// Where a page of a list goes on: after this receipt, newest first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReceiptCursor {
    /// When the last one shown came.
    pub received_at: Timestamp,
    /// Its source.
    pub source: Box<str>,
    /// Its event id.
    pub event: Box<str>,
}

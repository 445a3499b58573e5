//! The port to Stripe: what the ledger asks, in its own words, and what can become of it.
//!
//! A [`Call`] changes something and carries the id of the intent it carries out, which is its idempotency key at
//! Stripe. A [`Read`] changes nothing. One method call is one attempt: [`retry`] decides what follows a bad one,
//! [`look_up`] finds out what a lost answer said, [`pages`] walks lists, [`quantities`] keeps to Stripe's limit of changes.

mod answer;
pub mod call;
pub mod look_up;
pub mod pages;
pub mod quantities;
mod read;
pub mod retry;

use std::fmt;
use std::sync::Arc;

pub use aggregates::ids::IntentId;
use futures::future::BoxFuture;
use serde::{Deserialize, Serialize};

pub use self::answer::{Answer, Delay, GatewayError, Loss, Refusal};
pub use self::call::Call;
pub use self::read::{Listing, ObjectKind, PAGE_MAX, Page, Read};

/// The metadata key under which Stripe keeps the intent of what a call made or changed.
pub const INTENT_KEY: &str = "subledger_intent";
/// The metadata key that names the tenant on customers and subscriptions.
pub const TENANT_KEY: &str = "tenant_id";

/// The Stripe account a request is made for: the key's own, or one connected to it.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct OnAccount(pub Option<Arc<str>>);

impl OnAccount {
    /// The account that owns the key.
    #[must_use]
    pub const fn own() -> Self {
        Self(None)
    }

    /// An account connected to it.
    #[must_use]
    pub fn connected(id: &str) -> Self {
        Self(Some(id.into()))
    }

    /// The account of a receipt's source.
    #[must_use]
    pub fn of_source(source: &str) -> Self {
        Self(source.starts_with("acct_").then(|| source.into()))
    }
}

/// The idempotency key of one call: the intent's id for the call that carries it out, the id and a number for those that
/// prepare it, so that Stripe's webhooks name the intent only for the call that matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct CallKey {
    /// What is carried out; also what is written on the objects.
    pub intent: IntentId,
    /// Which preparing call it is; none: the one that matters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<u8>,
}

impl From<IntentId> for CallKey {
    fn from(intent: IntentId) -> Self {
        Self { intent, step: None }
    }
}

impl fmt::Display for CallKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.step {
            Some(step) => write!(f, "{}.{step}", self.intent),
            None => self.intent.fmt(f),
        }
    }
}

/// SHA-256 over what a call would send. The same key with another one is refused before it is sent.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RequestHash(pub [u8; 32]);

impl fmt::Display for RequestHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}
impl fmt::Debug for RequestHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}
impl From<RequestHash> for String {
    fn from(hash: RequestHash) -> Self {
        hash.to_string()
    }
}
impl TryFrom<String> for RequestHash {
    type Error = hex::FromHexError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let mut hash = [0; 32];
        hex::decode_to_slice(text, &mut hash)?;
        Ok(Self(hash))
    }
}

/// Stripe, as the ledger needs it. Each method is one attempt.
pub trait StripeGateway: Send + Sync {
    /// Asks for a change. Sent under its key; never without one.
    fn call<'a>(
        &'a self,
        account: &'a OnAccount,
        key: CallKey,
        call: &'a Call,
    ) -> BoxFuture<'a, Result<Answer, GatewayError>>;

    /// Asks for an object or a page of a list.
    fn read<'a>(&'a self, account: &'a OnAccount, read: &'a Read) -> BoxFuture<'a, Result<Answer, GatewayError>>;

    /// What the call would send, so that it can be stored before the first attempt.
    fn hash(&self, key: CallKey, call: &Call) -> RequestHash;
}

/// The gateway as it is handed around.
pub type Gateway = Arc<dyn StripeGateway>;

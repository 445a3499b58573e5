//! What a translated event means: the words between Stripe's JSON and the ledger.

use std::fmt;

use aggregates::facts::ContactField;
use aggregates::ids::{ChargeId, CustomerId, InvoiceId, PaymentIntentId, StripeEventId};
use aggregates::observation::{ObjectObservation, Observation};

use super::read::Fault;
use super::types::{Family, Group};
use crate::stripe::envelope;

/// What one event means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Translation {
    /// The group of its type.
    pub group: Group,
    /// What its object is.
    pub family: Family,
    /// Facts, or why there are none.
    pub outcome: Outcome,
    /// Facts found in two eras that disagree, as `object.name`; the newest won. To be counted.
    pub conflicts: Vec<String>,
}

/// What became of an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It says something.
    Facts(Facts),
    /// It is kept, and changes nothing.
    Ignored(Ignored),
    /// It should say something, and cannot be read.
    Quarantined(Quarantine),
}

/// Why an event changes nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Ignored {
    /// Its type is not listed.
    Unlisted,
    /// Its type is worth a line on the timeline, no more.
    Notice,
    /// Its fact comes by another event (an invoice item by its invoice, a payment by its charge).
    ToldElsewhere,
    /// It names no customer, no tenant and nothing that could have one.
    NoAccount,
}

impl Ignored {
    /// A stable word for metrics and receipts.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unlisted => "unlisted",
            Self::Notice => "notice",
            Self::ToldElsewhere => "told_elsewhere",
            Self::NoAccount => "no_account",
        }
    }
}

/// Why an event is set aside for a person.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Quarantine {
    /// The body is no event.
    #[error("{0}")]
    Body(envelope::Fault),
    /// The event does not say when it happened.
    #[error("event: no time at created")]
    NoTime,
    /// A fact is missing or unreadable; the text lists its paths.
    #[error("{0}")]
    Fact(Fault),
}

/// What an event says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// About objects of accounts.
    pub accounts: Vec<AccountFact>,
    /// About objects that belong to no account.
    pub objects: Vec<ObjectObservation>,
    /// Which account a payment or charge belongs to, without a fact of its own.
    pub links: Vec<Link>,
    /// What only Stripe can answer.
    pub fetches: Vec<Fetch>,
    /// For a thin event: the snapshot event that says the same, where Stripe names it.
    pub twin: Option<StripeEventId>,
}

/// One observation and how to find the account it belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountFact {
    /// Whose it is.
    pub owner: Owner,
    /// What the account can be found by once this is recorded.
    pub names: Vec<Target>,
    /// Contact details for the side table, by field; none clears one. Never part of an event.
    pub contact: Vec<(ContactField, Option<String>)>,
    /// The fact.
    pub observation: Observation,
}

/// A payment or charge that belongs to an account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// Whose it is.
    pub owner: Owner,
    /// What the account can be found by from now on.
    pub names: Vec<Target>,
}

/// How to find an account: by its customer, else by the tenant hint of the observation, else by the first
/// target that is known; while none is, the receipt is parked for the first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Owner {
    /// The Stripe customer.
    pub customer: Option<CustomerId>,
    /// What the object points at, the surest first.
    pub targets: Vec<Target>,
}

/// Something an account can be found by.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Target {
    /// A charge.
    Charge(ChargeId),
    /// A payment intent.
    PaymentIntent(PaymentIntentId),
    /// An invoice.
    Invoice(InvoiceId),
}

impl Target {
    /// Its kind in the directory, which is also Stripe's word for it.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Charge(_) => "charge",
            Self::PaymentIntent(_) => "payment_intent",
            Self::Invoice(_) => "invoice",
        }
    }

    /// Its key in the directory: Stripe's id.
    #[must_use]
    pub fn key(&self) -> &str {
        match self {
            Self::Charge(id) => id.as_str(),
            Self::PaymentIntent(id) => id.as_str(),
            Self::Invoice(id) => id.as_str(),
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.kind(), self.key())
    }
}

/// A question only Stripe can answer; it waits in the outbox.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Fetch {
    /// What is wanted.
    pub what: FetchKind,
    /// Stripe's word for the object.
    pub object: &'static str,
    /// Its id; for the balance, the id of the event.
    pub id: String,
}

/// What a [`Fetch`] asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum FetchKind {
    /// The object: the event is thin, or leaves out what its version does not have.
    Object,
    /// The rest of a list that was cut off: the items of a subscription or the lines of an invoice.
    Rows,
    /// The balance transactions a payout consists of, or all new ones.
    BalanceTransactions,
}

impl FetchKind {
    /// A stable word for the outbox.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Object => "object",
            Self::Rows => "rows",
            Self::BalanceTransactions => "balance_transactions",
        }
    }
}

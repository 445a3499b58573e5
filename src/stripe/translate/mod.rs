//! One verified Stripe event in, facts in our words out: the only place that knows where Stripe writes what.
//!
//! 1. `types` says what the object of the event is, and whether its type means anything to the ledger.
//! 2. `read` finds each fact by the one table of paths, `paths`, newest era first.
//! 3. One file per object family makes the snapshot; `previous_attributes` laid over the object and read
//!    again gives the fingerprint of what it was before.
//!
//! Translation is a pure function of the body: no clock, no store, no call to Stripe. What only Stripe can
//! answer is named as a [`Fetch`]. Every event ends as facts, as ignored, or as quarantined with the paths
//! that failed; nothing panics and nothing is lost.

mod account;
mod catalogue;
mod checkout;
mod invoice;
mod money;
pub mod paths;
mod read;
mod subscription;
pub mod types;

use std::fmt;

use aggregates::facts::ContactField;
use aggregates::ids::{ChargeId, CustomerId, InvoiceId, PaymentIntentId, StripeEventId, TenantId};
use aggregates::observation::{ObjectObservation, Observation, Observed};
use aggregates::snapshot::{Fingerprint, Seen, Snapshot};
use aggregates::time::Timestamp;
use serde_json::Value;

pub use self::read::Fault;
use self::read::{Notes, Reader};
pub use self::types::{Family, Group};
use super::envelope::{self, Envelope};

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

/// Translates events; holds what the operator configured about them.
#[derive(Clone, Debug, Default)]
pub struct Translator {
    hint_keys: Vec<String>,
}

impl Translator {
    /// `aliases` are metadata keys read for the tenant after `tenant_id`, in order.
    #[must_use]
    pub fn new(aliases: &[String]) -> Self {
        let own = std::iter::once("tenant_id".to_owned());
        Self {
            hint_keys: own.chain(aliases.iter().cloned()).collect(),
        }
    }

    /// What the event in `body` means, whose envelope is `envelope`.
    #[must_use]
    pub fn translate(&self, envelope: &Envelope, body: &[u8]) -> Translation {
        let (group, family) = types::classify(&envelope.event_type, envelope.thin);
        let notes = Notes::default();
        let outcome = match self.outcome(envelope, body, family, &notes) {
            Ok(outcome) => outcome,
            Err(reason) => Outcome::Quarantined(reason),
        };
        Translation {
            group,
            family,
            outcome,
            conflicts: notes.conflicts.into_inner().into_iter().collect(),
        }
    }

    fn outcome(&self, envelope: &Envelope, body: &[u8], family: Family, notes: &Notes) -> Result<Outcome, Quarantine> {
        if let Some(fault) = envelope.fault {
            return Err(Quarantine::Body(fault));
        }
        if let Some(ignored) = ignored(family) {
            return Ok(Outcome::Ignored(ignored));
        }
        let body: Value = serde_json::from_slice(body).map_err(|_| Quarantine::Body(envelope::Fault::NotJson))?;
        let event = Reader::new(&body, notes);
        if envelope.thin {
            return thin(event, family).map_err(Quarantine::Fact);
        }
        let as_of = envelope.created.ok_or(Quarantine::NoTime)?;
        let object = event
            .require(&paths::event::OBJECT)
            .and_then(|object| match object {
                Value::Object(_) => Ok(object),
                other => Err(read::unreadable(&paths::event::OBJECT, other)),
            })
            .map_err(Quarantine::Fact)?;
        let previous = event
            .find(&paths::event::PREVIOUS)
            .filter(|previous| previous.as_object().is_some_and(|keys| !keys.is_empty()));
        let silent = Notes::default();
        let before = previous.map(|previous| laid_over(object, previous));
        let cx = Cx {
            event_type: &envelope.event_type,
            event_id: &envelope.event_id,
            as_of,
            object: Reader::new(object, notes),
            previous,
            before: before.as_ref().map(|before| Reader::new(before, &silent)),
            hint_keys: &self.hint_keys,
        };
        let facts = facts(family, &cx).map_err(Quarantine::Fact)?;
        Ok(settled(facts, family))
    }
}

/// Families whose events say nothing themselves.
fn ignored(family: Family) -> Option<Ignored> {
    match family {
        Family::Unlisted => Some(Ignored::Unlisted),
        Family::InvoiceItem => Some(Ignored::ToldElsewhere),
        Family::Notice | Family::Entitlements | Family::Movement | Family::Credit | Family::Fraud | Family::Meter => {
            Some(Ignored::Notice)
        }
        Family::Subscription
        | Family::Schedule
        | Family::Checkout
        | Family::Customer
        | Family::Discount
        | Family::Invoice
        | Family::InvoicePayment
        | Family::Charge
        | Family::Refund
        | Family::Dispute
        | Family::PaymentIntent
        | Family::CreditNote
        | Family::Payout
        | Family::Balance
        | Family::Product
        | Family::Price
        | Family::Coupon
        | Family::PromotionCode
        | Family::TaxRate
        | Family::PaymentMethod => None,
    }
}

fn facts(family: Family, cx: &Cx<'_>) -> Result<Facts, Fault> {
    match family {
        Family::Subscription => subscription::subscription(cx),
        Family::Schedule => subscription::schedule(cx),
        Family::Checkout => checkout::session(cx),
        Family::Customer => account::customer(cx),
        Family::Discount => account::discount(cx),
        Family::PaymentMethod => account::payment_method(cx),
        Family::Invoice => invoice::invoice(cx),
        Family::InvoicePayment => invoice::payment(cx),
        Family::Charge => money::charge(cx),
        Family::Refund => money::refund(cx),
        Family::Dispute => money::dispute(cx),
        Family::PaymentIntent => money::payment_intent(cx),
        Family::CreditNote => money::credit_note(cx),
        Family::Payout => catalogue::payout(cx),
        Family::Balance => Ok(catalogue::balance(cx)),
        Family::Product => catalogue::product(cx),
        Family::Price => catalogue::price(cx),
        Family::Coupon => catalogue::coupon(cx),
        Family::PromotionCode => catalogue::promotion_code(cx),
        Family::TaxRate => catalogue::tax_rate(cx),
        Family::Entitlements
        | Family::InvoiceItem
        | Family::Movement
        | Family::Credit
        | Family::Fraud
        | Family::Meter
        | Family::Notice
        | Family::Unlisted => Ok(Facts::default()),
    }
}

/// Facts no account can be found for are left out; an event that then says nothing is ignored.
fn settled(mut facts: Facts, family: Family) -> Outcome {
    let belongs = |owner: &Owner| owner.customer.is_some() || !owner.targets.is_empty();
    facts
        .accounts
        .retain(|fact| belongs(&fact.owner) || fact.observation.tenant_hint.is_some());
    facts.links.retain(|link| link.owner.customer.is_some());
    if facts != Facts::default() {
        return Outcome::Facts(facts);
    }
    Outcome::Ignored(match family {
        Family::PaymentIntent => Ignored::ToldElsewhere,
        Family::Unlisted => Ignored::Unlisted,
        Family::Subscription
        | Family::Schedule
        | Family::Checkout
        | Family::Customer
        | Family::Discount
        | Family::Entitlements
        | Family::Invoice
        | Family::InvoicePayment
        | Family::InvoiceItem
        | Family::Charge
        | Family::Refund
        | Family::Dispute
        | Family::CreditNote
        | Family::Payout
        | Family::Balance
        | Family::Movement
        | Family::Credit
        | Family::Fraud
        | Family::Meter
        | Family::Product
        | Family::Price
        | Family::Coupon
        | Family::PromotionCode
        | Family::TaxRate
        | Family::PaymentMethod
        | Family::Notice => Ignored::NoAccount,
    })
}

/// A thin event only says which object to look at; looking needs Stripe.
fn thin(event: Reader<'_>, family: Family) -> Result<Outcome, Fault> {
    let id = event.need_word(&paths::event::RELATED)?;
    Ok(Outcome::Facts(Facts {
        fetches: vec![Fetch {
            what: FetchKind::Object,
            object: family.as_str(),
            id: id.into(),
        }],
        twin: event.id(&paths::event::TWIN),
        ..Facts::default()
    }))
}

/// The object as it was: previous values over present ones. Lists are given whole; a null means "was not there".
fn laid_over(object: &Value, previous: &Value) -> Value {
    match (object, previous) {
        (Value::Object(object), Value::Object(previous)) => {
            let mut before = object.clone();
            for (key, was) in previous {
                let merged = object.get(key).map_or_else(|| was.clone(), |is| laid_over(is, was));
                before.insert(key.clone(), merged);
            }
            Value::Object(before)
        }
        (_, was) => was.clone(),
    }
}

/// What a family needs to know of the event.
struct Cx<'a> {
    event_type: &'a str,
    event_id: &'a StripeEventId,
    as_of: Timestamp,
    object: Reader<'a>,
    previous: Option<&'a Value>,
    before: Option<Reader<'a>>,
    hint_keys: &'a [String],
}

impl Cx<'_> {
    /// The last word of the type: `deleted`, `paid`.
    fn verb(&self) -> &str {
        self.event_type.rsplit('.').next().unwrap_or_default()
    }

    fn seen(&self, before: Option<Fingerprint>, now: Fingerprint) -> Seen {
        Seen {
            as_of: self.as_of,
            rank: types::rank(self.event_type),
            before: before.filter(|before| *before != now),
            notice: types::notice(self.event_type),
        }
    }

    /// Reads the object as it is and as it was.
    fn observe(
        &self,
        owner: Owner,
        tenant_hint: Option<TenantId>,
        read: impl Fn(Reader<'_>) -> Result<Observed, Fault>,
    ) -> Result<AccountFact, Fault> {
        let object = read(self.object)?;
        let before = self.before.and_then(|before| read(before).ok());
        let seen = self.seen(before.as_ref().map(fingerprint), fingerprint(&object));
        Ok(AccountFact {
            owner,
            names: Vec::new(),
            contact: Vec::new(),
            observation: Observation {
                seen,
                tenant_hint,
                object,
            },
        })
    }

    /// The tenant named in metadata: the first of the configured keys with a text that is a tenant id.
    fn hint(&self, metadata: Option<&Value>) -> Option<TenantId> {
        let metadata = metadata?.as_object()?;
        self.hint_keys
            .iter()
            .filter_map(|key| metadata.get(key)?.as_str())
            .find_map(|text| TenantId::parse(text).ok())
    }
}

impl Facts {
    fn of(fact: AccountFact) -> Self {
        Self {
            accounts: vec![fact],
            ..Self::default()
        }
    }
}

impl Owner {
    fn of(customer: Option<CustomerId>) -> Self {
        Self {
            customer,
            targets: Vec::new(),
        }
    }
}

fn fingerprint(object: &Observed) -> Fingerprint {
    match object {
        Observed::Customer { snapshot, .. } => snapshot.fingerprint(),
        Observed::Subscription { snapshot, .. } => snapshot.fingerprint(),
        Observed::Schedule { snapshot, .. } => snapshot.fingerprint(),
        Observed::Checkout { snapshot, .. } => snapshot.fingerprint(),
        Observed::Discount { snapshot, .. } => snapshot.fingerprint(),
        Observed::PaymentMethod { snapshot, .. } => snapshot.fingerprint(),
        Observed::Invoice { snapshot, .. } => snapshot.fingerprint(),
        Observed::InvoicePayment { snapshot, .. } => snapshot.fingerprint(),
        Observed::Charge { snapshot, .. } => snapshot.fingerprint(),
        Observed::Refund { snapshot, .. } => snapshot.fingerprint(),
        Observed::Dispute { snapshot, .. } => snapshot.fingerprint(),
        Observed::CreditNote { snapshot, .. } => snapshot.fingerprint(),
    }
}

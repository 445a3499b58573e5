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
mod meaning;
mod money;
pub mod paths;
mod read;
mod subscription;
pub mod types;

use aggregates::ids::{CustomerId, IntentId, StripeEventId, TenantId};
use aggregates::observation::{Observation, Observed};
use aggregates::snapshot::{Fingerprint, Seen, Snapshot};
use aggregates::time::Timestamp;
use serde_json::Value;

pub use self::invoice::preview;
pub use self::meaning::{
    AccountFact, Facts, Fetch, FetchKind, Ignored, Link, Outcome, Owner, Quarantine, Target, Translation,
};
pub use self::read::Fault;
use self::read::{Notes, Reader};
pub use self::types::{Family, Group};
use super::envelope::{self, Envelope};

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
            .and_then(|object| {
                let unfit = || read::unreadable(&paths::event::OBJECT, object);
                object.is_object().then_some(object).ok_or_else(unfit)
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
            echo: envelope
                .idempotency_key
                .as_deref()
                .and_then(|key| IntentId::parse(key).ok()),
        };
        let mut facts = facts(family, &cx).map_err(Quarantine::Fact)?;
        if cx.is_fetched() {
            // What Stripe was asked for is not asked for again; what a payout consists of is another question.
            facts
                .fetches
                .retain(|fetch| fetch.what == FetchKind::BalanceTransactions);
        }
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
        | Family::BalanceTransactions
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
        Family::BalanceTransactions => catalogue::balance_transactions(cx),
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
        | Family::BalanceTransactions
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
    /// The intent behind the event, if its key could be one of ours.
    echo: Option<IntentId>,
}

impl Cx<'_> {
    /// The last word of the type: `deleted`, `paid`.
    fn verb(&self) -> &str {
        self.event_type.rsplit('.').next().unwrap_or_default()
    }

    /// Stripe was asked for the object.
    fn is_fetched(&self) -> bool {
        self.event_type.starts_with(types::FETCHED)
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
                echo: self.echo,
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

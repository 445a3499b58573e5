//! Where an account stands: pure answers from its life book, its disputes and the policy.
//!
//! The status view, reads at a point in time and the tests share these functions, so that no two answers can differ.

mod access;
mod plan;

use serde::{Deserialize, Serialize};

pub use access::{AccessPolicy, DisputeStanding};
pub use plan::{Cancellation, Holding, MethodStanding, PendingChange};

use super::state::{LifeBook, SubscriptionBook};
use crate::facts::{CollectionPause, Item, Period, SubscriptionSnapshot, SubscriptionStatus};
use crate::ids::{InvoiceId, PriceId, SubscriptionId};
use crate::money::Currency;
use crate::plan::Access;
use crate::time::Timestamp;

/// Where an account stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Standing {
    /// `none`, one of Stripe's statuses, or `unrecognised`.
    pub status: Box<str>,
    /// Stripe's own word, when it is not one we know.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status_raw: Option<Box<str>>,
    /// What the tenant may do.
    pub access: Access,
    /// Trialing or active.
    pub is_active: bool,
    /// The subscription the rest speaks of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subscription: Option<SubscriptionId>,
    /// Every running subscription; more than one is a finding.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub live: Vec<SubscriptionId>,
    /// Its items; none: unknown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub items: Option<Vec<Item>>,
    /// Plans held, over all running subscriptions; empty when access is restricted or blocked, or on the free plan.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub holdings: Vec<Holding>,
    /// The catalogue's free plan applies.
    pub on_free_plan: bool,
    /// Prices of running subscriptions that the catalogue does not know: a finding.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unmapped: Vec<PriceId>,
    /// Plan and quantity of the subscription, whether held or not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan: Option<Holding>,
    /// What a period costs by the items' unit prices, in minor units; none when a price is tiered or metered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total_minor: Option<i64>,
    /// Currency of its invoices.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub currency: Option<Currency>,
    /// When it began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Timestamp>,
    /// Its billing anchor.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub anchor_at: Option<Timestamp>,
    /// Its trial, past or running.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trial: Option<Period>,
    /// Its billing period.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub period: Option<Period>,
    /// When it bills next; none: it will not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_billing_at: Option<Timestamp>,
    /// Its planned end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cancel: Option<Cancellation>,
    /// When cancellation was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub canceled_at: Option<Timestamp>,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<Timestamp>,
    /// Collection is paused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub collection_pause: Option<CollectionPause>,
    /// What is planned to change.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pending_change: Option<PendingChange>,
    /// What is charged by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payment_method: Option<MethodStanding>,
    /// Its newest invoice.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latest_invoice: Option<InvoiceId>,
    /// Time of the newest snapshot all this rests on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub as_of: Option<Timestamp>,
}

impl Standing {
    /// Where the account stands.
    #[must_use]
    pub fn of(life: &LifeBook, disputes: DisputeStanding, policy: &AccessPolicy) -> Self {
        let chosen = primary(life);
        let terms = chosen.and_then(|(_, book)| book.book.terms());
        let terms = terms.as_deref();
        let (status, status_raw) = status_word(terms);
        let access = access::access(terms.map(|terms| &terms.status), disputes, policy);
        let held = matches!(access, Access::Full | Access::Grace);
        let cancel = terms.and_then(plan::cancellation);
        Self {
            on_free_plan: held && policy.has_free_plan && access::is_without_plan(terms.map(|terms| &terms.status)),
            holdings: if held { plan::holdings(life, policy) } else { Vec::new() },
            unmapped: plan::unmapped(life),
            plan: chosen.and_then(|(id, book)| plan::held_by(id, book).into_iter().next()),
            total_minor: terms.and_then(plan::total_minor),
            pending_change: chosen.and_then(|(id, book)| plan::pending_change(life, id, book, policy)),
            next_billing_at: terms.and_then(plan::next_billing_at),
            payment_method: plan::payment_method(life, terms),
            is_active: terms.is_some_and(is_active),
            subscription: chosen.map(|(id, _)| id.clone()),
            live: life.live(),
            items: terms.and_then(|terms| terms.items.clone()),
            currency: terms.and_then(|terms| terms.currency),
            started_at: terms.and_then(|terms| terms.started_at),
            anchor_at: terms.and_then(|terms| terms.anchor_at),
            trial: terms.and_then(|terms| terms.trial),
            period: terms.and_then(|terms| terms.period),
            canceled_at: terms.and_then(|terms| terms.canceled_at),
            ended_at: terms.and_then(|terms| terms.ended_at),
            collection_pause: terms.and_then(|terms| terms.collection_pause.clone()),
            latest_invoice: terms.and_then(|terms| terms.latest_invoice.clone()),
            as_of: newest(life),
            status,
            status_raw,
            access,
            cancel,
        }
    }
}

/// The subscription an account is judged by: the best status first, then the one that began last, then the id.
#[must_use]
pub fn primary(life: &LifeBook) -> Option<(&SubscriptionId, &SubscriptionBook)> {
    life.subscriptions.iter().max_by_key(|(id, book)| {
        let current = book.book.register.current().map(|entry| &entry.snapshot);
        (
            current.map(|terms| liveliness(&terms.status)),
            current.and_then(|terms| terms.started_at),
            (*id).clone(),
        )
    })
}

const fn liveliness(status: &SubscriptionStatus) -> u8 {
    match status {
        SubscriptionStatus::Active | SubscriptionStatus::Trialing => 7,
        SubscriptionStatus::PastDue => 6,
        SubscriptionStatus::Unrecognised(_) => 5,
        SubscriptionStatus::Paused => 4,
        SubscriptionStatus::Unpaid => 3,
        SubscriptionStatus::Incomplete => 2,
        SubscriptionStatus::Canceled => 1,
        SubscriptionStatus::IncompleteExpired => 0,
    }
}

fn status_word(terms: Option<&SubscriptionSnapshot>) -> (Box<str>, Option<Box<str>>) {
    match terms.map(|terms| &terms.status) {
        None => ("none".into(), None),
        Some(SubscriptionStatus::Unrecognised(raw)) => ("unrecognised".into(), Some(raw.clone())),
        Some(known) => (known.as_str().into(), None),
    }
}

fn is_active(terms: &SubscriptionSnapshot) -> bool {
    matches!(terms.status, SubscriptionStatus::Active | SubscriptionStatus::Trialing)
}

fn newest(life: &LifeBook) -> Option<Timestamp> {
    let subscriptions = life.subscriptions.values().filter_map(|book| book.book.as_of());
    let schedules = life.schedules.values().filter_map(crate::register::Book::as_of);
    let customers = life.customers.values().filter_map(crate::register::Book::as_of);
    subscriptions.chain(schedules).chain(customers).max()
}

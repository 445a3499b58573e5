//! Plans, dates and payment method of an account.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::access::AccessPolicy;
use crate::facts::{Item, ScheduleStatus, SubscriptionSnapshot, SubscriptionStatus};
use crate::ids::{PaymentMethodId, PlanCode, PriceId, SubscriptionId};
use crate::register::Book;
use crate::subscription::seen::PlanRef;
use crate::subscription::state::{LifeBook, SubscriptionBook};
use crate::time::Timestamp;

/// A plan that is held, and how many of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holding {
    /// The subscription that gives it.
    pub subscription: SubscriptionId,
    /// The plan as it was when last recorded.
    pub plan: PlanRef,
    /// The price it is bought at.
    pub price: PriceId,
    /// How many units: the sum over the items of the plan, 1 where Stripe counts none.
    pub quantity: u64,
}

/// A planned end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cancellation {
    /// With the period.
    pub at_period_end: bool,
    /// When; none when the period is unknown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<Timestamp>,
    /// Stripe's reason word.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<Box<str>>,
}

/// A planned change of plan or quantity.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PendingChange {
    /// When it takes effect; none when the period is unknown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<Timestamp>,
    /// To the free plan, by a planned cancellation.
    pub to_free: bool,
    /// Prices and quantities from then on.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub items: Vec<(PriceId, Option<u64>)>,
    /// Its plan, where the price was seen on this subscription before; else the reader asks the catalogue.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan: Option<PlanRef>,
}

/// What is charged by default, as far as it may be shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MethodStanding {
    /// Its id.
    pub method: PaymentMethodId,
    /// `card`, `sepa_debit`...; none: only the id is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<Box<str>>,
    /// Brand of the card.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub brand: Option<Box<str>>,
    /// Last four digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last4: Option<Box<str>>,
    /// Month of expiry.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exp_month: Option<u32>,
    /// Year of expiry.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exp_year: Option<u32>,
}

/// Plans of one subscription, whatever its status: items of one plan are summed, a metered price beside them adds
/// nothing. In the order of the items.
pub(super) fn held_by(id: &SubscriptionId, book: &SubscriptionBook) -> Vec<Holding> {
    let Some(terms) = book.book.terms() else {
        return Vec::new();
    };
    let mut holdings: Vec<Holding> = Vec::new();
    let mut counted: BTreeMap<PlanCode, bool> = BTreeMap::new();
    for item in terms.items.iter().flatten() {
        let Some(plan) = book.plans.get(&item.price) else {
            continue;
        };
        let is_counted = !item.metered;
        match holdings.iter_mut().find(|held| held.plan.code == plan.code) {
            None => holdings.push(Holding {
                subscription: id.clone(),
                plan: plan.clone(),
                price: item.price.clone(),
                quantity: item.quantity.unwrap_or(1),
            }),
            Some(_) if !is_counted => continue,
            Some(held) if counted.get(&plan.code) == Some(&true) => {
                held.quantity = held.quantity.saturating_add(item.quantity.unwrap_or(1));
            }
            Some(held) => {
                held.price = item.price.clone();
                held.quantity = item.quantity.unwrap_or(1);
            }
        }
        *counted.entry(plan.code.clone()).or_default() |= is_counted;
    }
    holdings
}

/// The union over subscriptions that give their plan.
pub(super) fn holdings(life: &LifeBook, policy: &AccessPolicy) -> Vec<Holding> {
    let gives = |book: &SubscriptionBook| {
        let current = book.book.register.current();
        current.is_some_and(|entry| match entry.snapshot.status {
            SubscriptionStatus::Trialing | SubscriptionStatus::Active => true,
            SubscriptionStatus::PastDue | SubscriptionStatus::Unrecognised(_) => policy.has_grace,
            SubscriptionStatus::Incomplete
            | SubscriptionStatus::IncompleteExpired
            | SubscriptionStatus::Unpaid
            | SubscriptionStatus::Paused
            | SubscriptionStatus::Canceled => false,
        })
    };
    let giving = life.subscriptions.iter().filter(|(_, book)| gives(book));
    giving.flat_map(|(id, book)| held_by(id, book)).collect()
}

/// Prices of running subscriptions that no catalogue version knew.
pub(super) fn unmapped(life: &LifeBook) -> Vec<PriceId> {
    let mut prices = BTreeSet::new();
    for id in life.live() {
        let Some(book) = life.subscriptions.get(&id) else {
            continue;
        };
        let Some(terms) = book.book.terms() else { continue };
        let unknown = terms
            .items
            .iter()
            .flatten()
            .filter(|item| !book.plans.contains_key(&item.price));
        prices.extend(unknown.map(|item| item.price.clone()));
    }
    prices.into_iter().collect()
}

/// Units times unit prices; none when one of them is not a whole amount, or on overflow.
pub(super) fn total_minor(terms: &SubscriptionSnapshot) -> Option<i64> {
    let of = |item: &Item| item.unit_amount_minor?.checked_mul(i64::try_from(item.quantity?).ok()?);
    let items = terms.items.as_ref()?;
    items.iter().try_fold(0_i64, |sum, item| sum.checked_add(of(item)?))
}

pub(super) fn cancellation(terms: &SubscriptionSnapshot) -> Option<Cancellation> {
    let is_over = matches!(
        terms.status,
        SubscriptionStatus::Canceled | SubscriptionStatus::IncompleteExpired
    );
    if is_over || (!terms.cancel_at_period_end && terms.cancel_at.is_none()) {
        return None;
    }
    Some(Cancellation {
        at_period_end: terms.cancel_at_period_end,
        at: terms.cancel_at.or(terms.period.map(|period| period.end)),
        reason: terms.cancel_reason.clone(),
    })
}

/// The end of the period, unless it ends with it, collection is paused, or nothing is billed in this status.
pub(super) fn next_billing_at(terms: &SubscriptionSnapshot) -> Option<Timestamp> {
    let bills = matches!(
        terms.status,
        SubscriptionStatus::Active | SubscriptionStatus::Trialing | SubscriptionStatus::PastDue
    );
    let end = terms.period?.end;
    let ends_before = cancellation(terms).is_some_and(|cancel| cancel.at.is_none_or(|at| at <= end));
    (bills && !ends_before && terms.collection_pause.is_none()).then_some(end)
}

/// The next phase of a schedule that still runs, else a planned cancellation when there is a free plan to fall to.
/// "Next" is against the newest snapshot of either object, never against a clock.
pub(super) fn pending_change(
    life: &LifeBook,
    id: &SubscriptionId,
    book: &SubscriptionBook,
    policy: &AccessPolicy,
) -> Option<PendingChange> {
    let of_this = life.schedules.values().filter_map(|schedule| {
        let terms = schedule.terms()?;
        let runs = matches!(terms.status, ScheduleStatus::NotStarted | ScheduleStatus::Active);
        (runs && terms.subscription.as_ref() == Some(id)).then_some(())?;
        let now = schedule.as_of().max(book.book.as_of())?;
        let next = terms.phases.iter().filter(|phase| phase.start_at > now);
        next.min_by_key(|phase| phase.start_at).cloned()
    });
    if let Some(phase) = of_this.min_by(|a, b| (a.start_at, &a.items).cmp(&(b.start_at, &b.items))) {
        let plan = phase.items.iter().find_map(|(price, _)| book.plans.get(price)).cloned();
        return Some(PendingChange {
            at: Some(phase.start_at),
            to_free: false,
            items: phase.items,
            plan,
        });
    }
    let cancel = cancellation(book.book.terms()?.as_ref())?;
    policy.has_free_plan.then_some(PendingChange {
        at: cancel.at,
        to_free: true,
        items: Vec::new(),
        plan: None,
    })
}

/// The subscription's own payment method, else its customer's; without a subscription, that of the account's customer.
pub(super) fn payment_method(life: &LifeBook, terms: Option<&SubscriptionSnapshot>) -> Option<MethodStanding> {
    let customer = match terms {
        Some(terms) => life.customers.get(&terms.customer),
        None => life.customers.values().next(),
    };
    let customer = customer.and_then(Book::terms);
    let of_customer = customer.and_then(|customer| customer.default_payment_method.clone());
    let method = terms.and_then(|terms| terms.payment_method.clone()).or(of_customer)?;
    let known = life.payment_methods.get(&method).and_then(|book| book.terms());
    let known = known.filter(|snapshot| snapshot.attached);
    Some(MethodStanding {
        kind: known.as_ref().map(|it| it.kind.clone()),
        brand: known.as_ref().and_then(|it| it.brand.clone()),
        last4: known.as_ref().and_then(|it| it.last4.clone()),
        exp_month: known.as_ref().and_then(|it| it.exp_month),
        exp_year: known.as_ref().and_then(|it| it.exp_year),
        method,
    })
}

//! The life of an account's subscriptions.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::facts::{
    CustomerSnapshot, DiscountSnapshot, PaymentMethodSnapshot, ScheduleSnapshot, SubscriptionSnapshot,
    SubscriptionStatus,
};
use crate::ids::{CustomerId, DiscountId, PaymentMethodId, PriceId, ScheduleId, SubscriptionId};
use crate::register::Book;
use crate::subscription::carried::Carried;
use crate::subscription::event::SubscriptionEvent;
use crate::subscription::seen::{PlanRef, SubscriptionSeen};

/// One Stripe subscription of an account.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SubscriptionBook {
    /// Its snapshots. Items, period and discounts can be unknown in the newest: ask for `terms`.
    pub book: Book<SubscriptionSnapshot>,
    /// What its prices stood for, by the newest catalogue version that was used to record it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub plans: BTreeMap<PriceId, PlanRef>,
}

impl SubscriptionBook {
    /// Takes one recorded snapshot.
    pub fn apply(&mut self, it: &SubscriptionSeen) {
        self.book.apply(&it.seen, &it.snapshot);
        for (price, plan) in &it.plans {
            match self.plans.get_mut(price) {
                // The newest version wins, then the code, so that the order of arrival does not matter.
                Some(known) if (known.version, &known.code) >= (plan.version, &plan.code) => {}
                Some(known) => known.clone_from(plan),
                None => {
                    self.plans.insert(price.clone(), plan.clone());
                }
            }
        }
    }
}

/// Subscriptions of an account and everything that belongs to their terms.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LifeBook {
    /// Every subscription it ever had.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub subscriptions: BTreeMap<SubscriptionId, SubscriptionBook>,
    /// Schedules.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub schedules: BTreeMap<ScheduleId, Book<ScheduleSnapshot>>,
    /// Discounts.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub discounts: BTreeMap<DiscountId, Book<DiscountSnapshot>>,
    /// Payment methods.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub payment_methods: BTreeMap<PaymentMethodId, Book<PaymentMethodSnapshot>>,
    /// The Stripe customer; one, unless objects were moved at Stripe.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub customers: BTreeMap<CustomerId, Book<CustomerSnapshot>>,
}

impl LifeBook {
    /// Takes one event; tells whether it was one of these.
    pub fn apply(&mut self, event: &SubscriptionEvent) -> bool {
        match event.carried() {
            Some(Carried::Subscription(it)) => {
                self.subscriptions.entry(it.subscription.clone()).or_default().apply(it);
            }
            Some(Carried::Schedule(it)) => {
                let book = self.schedules.entry(it.schedule.clone()).or_default();
                book.apply(&it.seen, &it.snapshot);
            }
            Some(Carried::Discount(it)) => {
                let book = self.discounts.entry(it.discount.clone()).or_default();
                book.apply(&it.seen, &it.snapshot);
            }
            Some(Carried::PaymentMethod(it)) => {
                let book = self.payment_methods.entry(it.method.clone()).or_default();
                book.apply(&it.seen, &it.snapshot);
            }
            Some(Carried::Customer(it)) => {
                let book = self.customers.entry(it.customer.clone()).or_default();
                book.apply(&it.seen, &it.snapshot);
            }
            Some(
                Carried::Checkout(_)
                | Carried::Invoice(_)
                | Carried::InvoicePayment(_)
                | Carried::Charge(_)
                | Carried::Refund(_)
                | Carried::Dispute(_)
                | Carried::CreditNote(_),
            )
            | None => return false,
        }
        true
    }

    /// Subscriptions that run: begun, not over, whether paid or not.
    #[must_use]
    pub fn live(&self) -> Vec<SubscriptionId> {
        let is_live = |book: &SubscriptionBook| {
            let current = book.book.register.current();
            current.is_some_and(|entry| is_live(&entry.snapshot.status))
        };
        let live = self.subscriptions.iter().filter(|(_, book)| is_live(book));
        live.map(|(id, _)| id.clone()).collect()
    }
}

/// Begun and not over, whether paid or not. A word we do not know counts as running.
#[must_use]
pub const fn is_live(status: &SubscriptionStatus) -> bool {
    match status {
        SubscriptionStatus::Trialing
        | SubscriptionStatus::Active
        | SubscriptionStatus::PastDue
        | SubscriptionStatus::Unpaid
        | SubscriptionStatus::Paused
        | SubscriptionStatus::Unrecognised(_) => true,
        SubscriptionStatus::Incomplete | SubscriptionStatus::IncompleteExpired | SubscriptionStatus::Canceled => false,
    }
}

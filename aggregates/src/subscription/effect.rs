//! What an intent wants done at Stripe, in our words: computed when its turn has come, from what was asked for and what
//! is known then. Whoever sends it stores it before the first attempt and sends the stored one again: Stripe refuses a
//! key that comes back with something else.
//!
//! Intents of one subscription are sent in the order they were accepted, one at a time, so that the last one wins at
//! Stripe as it does here. A waiting intent that a later one stands for is never sent.

mod phases;

use serde::{Deserialize, Serialize};

pub use phases::Phase;

use super::asked::{
    CheckoutRequested, DiscountSource, Feedback, PauseMode, PlanChangeRequested, PlannedChange, Proration,
    QuantityChangeRequested, RefundReason, SubscriptionRequested, When,
};
use super::intent::{Asked, Intent, IntentStatus};
use super::state::AccountState;
use super::wanted::{main_item, planned_end, running_schedule};
use crate::facts::{ContactField, InvoiceStatus, SubscriptionSnapshot};
use crate::ids::{ChargeId, CustomerId, IntentId, InvoiceId, ItemId, PriceId, ScheduleId, SubscriptionId};
use crate::snapshot::Snapshot;
use crate::time::Timestamp;

/// One thing to be done at Stripe.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Effect {
    /// Open a checkout page.
    OpenCheckout(Box<CheckoutRequested>),
    /// Make a subscription, and its customer first if there is none.
    MakeSubscription(Box<SubscriptionRequested>),
    /// Change one item of a subscription.
    SetItem {
        /// The subscription.
        subscription: SubscriptionId,
        /// The item.
        item: ItemId,
        /// Its price; none: as it is.
        price: Option<PriceId>,
        /// How many units.
        quantity: u64,
        /// What happens to time already paid for.
        proration: Proration,
        /// A planned cancellation is withdrawn in the same call.
        keeps_subscription: bool,
    },
    /// Put a subscription under a schedule of its own.
    MakeSchedule {
        /// The subscription.
        subscription: SubscriptionId,
    },
    /// Say what a schedule does, from its current phase on.
    SetPhases {
        /// The schedule; none: the one the call before it made, whose first phase keeps its start.
        schedule: Option<ScheduleId>,
        /// Its phases in order; after the last one the subscription goes on by itself.
        phases: Vec<Phase>,
        /// What happens to time already paid for when the current phase changes.
        proration: Proration,
    },
    /// Let a schedule go of its subscription.
    ReleaseSchedule {
        /// The schedule.
        schedule: ScheduleId,
    },
    /// End with the period.
    CancelAtPeriodEnd {
        /// The subscription.
        subscription: SubscriptionId,
        /// Why.
        feedback: Option<Feedback>,
    },
    /// End at once.
    CancelNow {
        /// The subscription.
        subscription: SubscriptionId,
        /// Why.
        feedback: Option<Feedback>,
    },
    /// Withdraw a planned end.
    KeepSubscription {
        /// The subscription.
        subscription: SubscriptionId,
    },
    /// Make invoices as drafts and collect nothing.
    PauseCollection {
        /// The subscription.
        subscription: SubscriptionId,
        /// When it ends by itself.
        until: Option<Timestamp>,
    },
    /// Collect again.
    ResumeCollection {
        /// The subscription.
        subscription: SubscriptionId,
    },
    /// Pause the whole subscription.
    PauseSubscription {
        /// The subscription.
        subscription: SubscriptionId,
        /// When it ends by itself.
        until: Option<Timestamp>,
    },
    /// End that pause.
    ResumeSubscription {
        /// The subscription.
        subscription: SubscriptionId,
    },
    /// Put a discount on beside those that are on.
    AddDiscount {
        /// The subscription.
        subscription: SubscriptionId,
        /// Ids of the discounts that stay: Stripe takes the whole list.
        stays: Vec<Box<str>>,
        /// The new one.
        discount: DiscountSource,
    },
    /// End the trial then, without proration.
    EndTrialAt {
        /// The subscription.
        subscription: SubscriptionId,
        /// When.
        until: Timestamp,
    },
    /// Pay with the payment method on file.
    PayInvoice {
        /// The invoice.
        invoice: InvoiceId,
    },
    /// Give money back.
    Refund {
        /// The charge.
        charge: ChargeId,
        /// How much, in minor units.
        amount_minor: i64,
        /// Why.
        reason: Option<RefundReason>,
    },
    /// Change contact data to the values kept beside the log.
    UpdateCustomer {
        /// The customer.
        customer: CustomerId,
        /// Which fields.
        fields: Vec<ContactField>,
    },
}

/// One call at Stripe.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Call {
    /// Its idempotency key: the last call of an intent has the intent's id, those that prepare it the id with a number,
    /// so that only the echo of the last one is the echo of the intent.
    pub key: Box<str>,
    /// What it does.
    pub effect: Effect,
}

/// What is to be done for an intent now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Due {
    /// These calls, in this order.
    Calls(Vec<Call>),
    /// Nothing: what was asked for stands, and cannot be undone. Settle it as unneeded.
    Unneeded,
    /// Nothing yet: an earlier intent of the subscription has not ended.
    After(IntentId),
    /// Nothing yet: the terms of the subscription must be fetched first.
    Fetch(SubscriptionId),
    /// Nothing: a later intent stands for it. Whoever has begun to send it already finishes that call, with the calls it
    /// stored, before the later one is sent.
    Replaced(IntentId),
    /// Nothing any more: it has ended.
    Ended,
}

/// What is to be done for an intent at a time. One that is no longer kept has ended.
#[must_use]
pub fn due(state: &AccountState, intent: IntentId, now: Timestamp) -> Due {
    let Some(intent) = state.intents.find(intent) else {
        return Due::Ended;
    };
    if let (Some(later), None) = (intent.merged_into, intent.answer) {
        return Due::Replaced(later);
    }
    if intent.is_settled() {
        return Due::Ended;
    }
    if let Some(earlier) = earlier(state, intent) {
        return Due::After(earlier);
    }
    match effects(state, &intent.asked, now) {
        Ok(effects) if effects.is_empty() => Due::Unneeded,
        Ok(effects) => Due::Calls(keyed(intent.id(), effects)),
        Err(subscription) => Due::Fetch(subscription),
    }
}

/// An earlier intent of the same subscription that has not ended.
fn earlier(state: &AccountState, intent: &Intent) -> Option<IntentId> {
    let subscription = intent.asked.subscription()?;
    let before = state.intents.iter().take_while(|other| other.id() != intent.id());
    let mut of_same = before.filter(|other| other.asked.subscription() == Some(subscription));
    of_same.find(|other| !other.is_settled()).map(Intent::id)
}

fn keyed(id: IntentId, effects: Vec<Effect>) -> Vec<Call> {
    let last = effects.len().saturating_sub(1);
    let key = |nth: usize| {
        if nth == last {
            id.to_string()
        } else {
            format!("{id}.{}", nth + 1)
        }
    };
    let calls = effects.into_iter().enumerate();
    calls
        .map(|(nth, effect)| Call {
            key: key(nth).into(),
            effect,
        })
        .collect()
}

/// None: nothing is left to do. An error names the subscription whose terms are not known.
fn effects(state: &AccountState, asked: &Asked, now: Timestamp) -> Result<Vec<Effect>, SubscriptionId> {
    let subscription = asked.subscription().cloned();
    let it = match (asked, subscription) {
        (Asked::Checkout(it), _) => Effect::OpenCheckout(Box::new(it.clone())),
        (Asked::Subscription(it), _) => Effect::MakeSubscription(Box::new(it.clone())),
        (Asked::InvoicePayment(it), _) => {
            let terms = state.invoices.get(&it.invoice).and_then(|book| book.invoice.terms());
            if terms.is_some_and(|terms| terms.status == InvoiceStatus::Paid) {
                return Ok(Vec::new());
            }
            Effect::PayInvoice {
                invoice: it.invoice.clone(),
            }
        }
        (Asked::Refund(it), _) => Effect::Refund {
            charge: it.charge.clone(),
            amount_minor: it.amount_minor,
            reason: it.reason,
        },
        (Asked::CustomerUpdate(it), _) => Effect::UpdateCustomer {
            customer: it.customer.clone(),
            fields: it.fields.clone(),
        },
        (_, Some(subscription)) => return of_subscription(state, asked, subscription, now),
        (_, None) => return Ok(Vec::new()),
    };
    Ok(vec![it])
}

fn of_subscription(
    state: &AccountState,
    asked: &Asked,
    subscription: SubscriptionId,
    now: Timestamp,
) -> Result<Vec<Effect>, SubscriptionId> {
    let at = Standing::of(state, &subscription).ok_or_else(|| subscription.clone())?;
    let stays = at.discounts();
    let it = match asked {
        Asked::PlanChange(it) => return at.plan_change(it, now).ok_or(subscription),
        Asked::Quantity(it) => return at.quantity(it, now).ok_or(subscription),
        Asked::Withdrawal(it) if it.change == PlannedChange::Plan => return Ok(at.release()),
        Asked::Withdrawal(_) | Asked::Resumption(_) => Effect::KeepSubscription { subscription },
        Asked::Cancellation(it) => {
            if at.terms.finality() > 0 {
                return Ok(Vec::new());
            }
            let feedback = it.feedback;
            // A subscription under a schedule cannot be canceled: what is planned is let go first.
            let mut effects = at.release();
            effects.push(match it.when {
                When::Now => Effect::CancelNow { subscription, feedback },
                When::PeriodEnd => Effect::CancelAtPeriodEnd { subscription, feedback },
            });
            return Ok(effects);
        }
        Asked::Pause(it) => match it.mode {
            PauseMode::Collection => Effect::PauseCollection {
                subscription,
                until: it.until,
            },
            PauseMode::Subscription => Effect::PauseSubscription {
                subscription,
                until: it.until,
            },
        },
        Asked::Unpause(it) => match it.mode {
            PauseMode::Collection => Effect::ResumeCollection { subscription },
            PauseMode::Subscription => Effect::ResumeSubscription { subscription },
        },
        Asked::Coupon(it) => Effect::AddDiscount {
            subscription,
            stays,
            discount: it.discount.clone(),
        },
        Asked::TrialExtension(it) => Effect::EndTrialAt {
            subscription,
            until: it.until,
        },
        Asked::Checkout(_)
        | Asked::Subscription(_)
        | Asked::InvoicePayment(_)
        | Asked::Refund(_)
        | Asked::CustomerUpdate(_) => return Ok(Vec::new()),
    };
    Ok(vec![it])
}

/// A subscription as it stands when a call about it is computed.
struct Standing<'a> {
    id: &'a SubscriptionId,
    terms: SubscriptionSnapshot,
    /// The item that carries the plan.
    item: Option<(ItemId, PriceId)>,
    /// The schedule that drives it, and its phases as far as they are known.
    schedule: Option<(ScheduleId, Vec<Phase>)>,
}

impl<'a> Standing<'a> {
    fn of(state: &AccountState, id: &'a SubscriptionId) -> Option<Self> {
        let book = state.life.subscriptions.get(id)?;
        let terms = book.book.terms()?.into_owned();
        let item = main_item(book, &terms).map(|item| (item.item.clone(), item.price.clone()));
        let mut standing = Self {
            id,
            item,
            schedule: None,
            terms,
        };
        standing.schedule = running_schedule(state, id, &standing.terms)
            .map(|(key, schedule)| (key, standing.phases_of(&schedule)))
            .or_else(|| standing.just_made(state));
        Some(standing)
    }

    /// The schedule one of our calls has made and no webhook has shown yet.
    fn just_made(&self, state: &AccountState) -> Option<(ScheduleId, Vec<Phase>)> {
        let mut applied = state.intents.iter().filter(|it| it.status() == IntentStatus::Applied);
        applied.find_map(|intent| match &intent.asked {
            Asked::PlanChange(it) if it.when == When::PeriodEnd && it.subscription == *self.id => {
                let schedule = ScheduleId::parse(intent.object.as_deref()?).ok()?;
                Some((schedule, self.phases_with(it)?))
            }
            Asked::PlanChange(_)
            | Asked::Checkout(_)
            | Asked::Subscription(_)
            | Asked::Withdrawal(_)
            | Asked::Quantity(_)
            | Asked::Cancellation(_)
            | Asked::Resumption(_)
            | Asked::Pause(_)
            | Asked::Unpause(_)
            | Asked::Coupon(_)
            | Asked::TrialExtension(_)
            | Asked::InvoicePayment(_)
            | Asked::Refund(_)
            | Asked::CustomerUpdate(_) => None,
        })
    }

    fn plan_change(&self, it: &PlanChangeRequested, now: Timestamp) -> Option<Vec<Effect>> {
        let waits = it.when == When::PeriodEnd && it.effective_at.is_some_and(|at| at > now);
        if waits {
            return self.at_period_end(it);
        }
        // Also one that waited for a period that has ended before its turn came.
        let (item, _) = self.item.clone()?;
        let mut effects = self.release();
        effects.push(Effect::SetItem {
            subscription: self.id.clone(),
            item,
            price: Some(it.terms.price.clone()),
            quantity: it.terms.quantity,
            proration: it.proration,
            keeps_subscription: it.withdraws_cancellation,
        });
        Some(effects)
    }

    fn at_period_end(&self, it: &PlanChangeRequested) -> Option<Vec<Effect>> {
        let phases = self.phases_with(it)?;
        let mut effects = Vec::new();
        if it.withdraws_cancellation && planned_end(&self.terms).is_some() {
            effects.push(Effect::KeepSubscription {
                subscription: self.id.clone(),
            });
        }
        let schedule = self.schedule.as_ref().map(|(key, _)| key.clone());
        if schedule.is_none() {
            effects.push(Effect::MakeSchedule {
                subscription: self.id.clone(),
            });
        }
        effects.push(Effect::SetPhases {
            schedule,
            phases,
            proration: it.proration,
        });
        Some(effects)
    }

    /// Under a schedule every phase from the current one on gets the quantity, else the next phase would take it back.
    fn quantity(&self, it: &QuantityChangeRequested, now: Timestamp) -> Option<Vec<Effect>> {
        let (item, price) = self.item.clone()?;
        let effect = match &self.schedule {
            Some((schedule, phases)) => Effect::SetPhases {
                schedule: Some(schedule.clone()),
                phases: phases::with_quantity(phases, &price, it.quantity, now),
                proration: it.proration,
            },
            None => Effect::SetItem {
                subscription: self.id.clone(),
                item,
                price: None,
                quantity: it.quantity,
                proration: it.proration,
                keeps_subscription: false,
            },
        };
        Some(vec![effect])
    }

    fn release(&self) -> Vec<Effect> {
        let schedule = self.schedule.iter().map(|(key, _)| key.clone());
        schedule.map(|schedule| Effect::ReleaseSchedule { schedule }).collect()
    }

    fn discounts(&self) -> Vec<Box<str>> {
        let on = self.terms.discounts.iter().flatten();
        on.filter_map(|discount| discount.discount.clone()).collect()
    }
}

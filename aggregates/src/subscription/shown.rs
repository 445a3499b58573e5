//! What a snapshot says about an intent: that it is the echo of its call, or that it shows what was asked for.
//!
//! A proof never replaces the snapshot: what Stripe says is recorded whoever caused it, so a change that somebody made
//! in the portal in the same second as ours is on the log beside it.

use super::asked::{DiscountSource, PauseMode, PlannedChange, When};
use super::carried::Carried;
use super::intent::{Asked, Intent};
use super::settled::Proof;
use super::state::AccountState;
use crate::facts::{
    CheckoutStatus, DiscountSnapshot, InvoiceStatus, Item, ScheduleSnapshot, ScheduleStatus, SubscriptionSnapshot,
    SubscriptionStatus,
};
use crate::ids::{CheckoutSessionId, IntentId, PriceId, RefundId, SubscriptionId};
use crate::mutant::{self, Mutant};
use crate::snapshot::Snapshot;

/// What a snapshot proves of an intent, when Stripe names `echo` as the request behind it.
#[must_use]
pub fn proof(intent: &Intent, carried: Carried<'_>, echo: Option<IntentId>) -> Option<Proof> {
    let is_named = echo == Some(intent.id()) || mutant::is(Mutant::ForeignConfirms);
    let is_made = intent.object.as_deref() == Some(carried.object().1) && is_made_by_call(&intent.asked);
    if (is_named || is_made) && is_target(&intent.asked, carried) {
        return Some(Proof::Echo);
    }
    // Stripe stamps whole seconds: what is older than the second of the intent cannot be its effect.
    let is_after = carried.seen().as_of.seconds() >= intent.asked.head().at.seconds();
    (is_after && shows(&intent.asked, carried)).then_some(Proof::Effect)
}

/// Whether the object its call made is known already: a webhook can be faster than the answer.
#[must_use]
pub fn is_made_object_known(state: &AccountState, asked: &Asked, object: &str) -> bool {
    match asked {
        Asked::Refund(_) => RefundId::parse(object).is_ok_and(|id| state.money.refunds.contains_key(&id)),
        Asked::Subscription(_) => {
            SubscriptionId::parse(object).is_ok_and(|id| state.life.subscriptions.contains_key(&id))
        }
        Asked::Checkout(_) => {
            let known = CheckoutSessionId::parse(object).ok();
            let known = known.and_then(|id| state.money.checkouts.get(&id));
            let known = known.and_then(|book| book.register.current());
            known.is_some_and(|entry| entry.snapshot.status == CheckoutStatus::Complete)
        }
        Asked::PlanChange(_)
        | Asked::Withdrawal(_)
        | Asked::Quantity(_)
        | Asked::Cancellation(_)
        | Asked::Resumption(_)
        | Asked::Pause(_)
        | Asked::Unpause(_)
        | Asked::Coupon(_)
        | Asked::TrialExtension(_)
        | Asked::InvoicePayment(_)
        | Asked::CustomerUpdate(_) => false,
    }
}

/// Its call makes a new object, so that the object's id in the answer names it as well as an echo does.
const fn is_made_by_call(asked: &Asked) -> bool {
    matches!(asked, Asked::Refund(_) | Asked::Subscription(_) | Asked::Checkout(_))
}

/// Whether a snapshot caused by its call shows that the call had its effect. A call that was refused has echoes too
/// (a failed payment names its request): the object must be the one that was to change, and stand as it was to stand
/// where a refusal changes it as well.
fn is_target(asked: &Asked, carried: Carried<'_>) -> bool {
    match asked {
        Asked::PlanChange(it) => is_of(&it.subscription, carried),
        Asked::Withdrawal(it) => is_of(&it.subscription, carried),
        Asked::Quantity(it) => is_of(&it.subscription, carried),
        Asked::Cancellation(it) => is_of(&it.subscription, carried),
        Asked::Resumption(it) => is_of(&it.subscription, carried),
        Asked::Pause(it) => is_of(&it.subscription, carried),
        Asked::Unpause(it) => is_of(&it.subscription, carried),
        Asked::Coupon(it) => is_of(&it.subscription, carried),
        Asked::TrialExtension(it) => is_of(&it.subscription, carried),
        Asked::Subscription(_) => matches!(carried, Carried::Subscription(_)),
        Asked::Refund(_) => matches!(carried, Carried::Refund(_)),
        Asked::CustomerUpdate(it) => matches!(carried, Carried::Customer(seen) if seen.customer == it.customer),
        Asked::InvoicePayment(_) => shows(asked, carried),
        Asked::Checkout(_) => {
            matches!(carried, Carried::Checkout(seen) if seen.snapshot.status == CheckoutStatus::Complete)
        }
    }
}

/// The subscription itself, or the schedule that drives it.
fn is_of(subscription: &SubscriptionId, carried: Carried<'_>) -> bool {
    match carried {
        Carried::Subscription(seen) => seen.subscription == *subscription,
        Carried::Schedule(seen) => seen.snapshot.subscription.as_ref() == Some(subscription),
        Carried::Customer(_)
        | Carried::Checkout(_)
        | Carried::Discount(_)
        | Carried::PaymentMethod(_)
        | Carried::Invoice(_)
        | Carried::InvoicePayment(_)
        | Carried::Charge(_)
        | Carried::Refund(_)
        | Carried::Dispute(_)
        | Carried::CreditNote(_) => false,
    }
}

/// Whether the snapshot shows what was asked for, whoever caused it. What can happen twice (a refund, another
/// subscription, a page) or whose values we do not keep (contact data) is never shown by somebody else's.
fn shows(asked: &Asked, carried: Carried<'_>) -> bool {
    match (asked, carried) {
        (Asked::InvoicePayment(it), Carried::Invoice(seen)) => {
            seen.invoice == it.invoice && seen.snapshot.status == InvoiceStatus::Paid
        }
        (Asked::Coupon(it), Carried::Discount(seen)) => {
            seen.snapshot.subscription.as_ref() == Some(&it.subscription) && gives(&seen.snapshot, &it.discount)
        }
        (asked, Carried::Subscription(seen)) => {
            asked.subscription() == Some(&seen.subscription) && terms_show(asked, &seen.snapshot)
        }
        (asked, Carried::Schedule(seen)) => {
            let is_its = seen.snapshot.subscription.as_ref() == asked.subscription();
            is_its && asked.subscription().is_some() && schedule_shows(asked, &seen.snapshot)
        }
        (
            _,
            Carried::Customer(_)
            | Carried::Checkout(_)
            | Carried::Discount(_)
            | Carried::PaymentMethod(_)
            | Carried::Invoice(_)
            | Carried::InvoicePayment(_)
            | Carried::Charge(_)
            | Carried::Refund(_)
            | Carried::Dispute(_)
            | Carried::CreditNote(_),
        ) => false,
    }
}

fn terms_show(asked: &Asked, terms: &SubscriptionSnapshot) -> bool {
    let is_over = terms.finality() > 0;
    let ends = terms.cancel_at_period_end || terms.cancel_at.is_some();
    match asked {
        Asked::PlanChange(it) => {
            it.when == When::Now && has_item(terms, &it.terms.price, it.terms.quantity) && !(is_over || ends)
        }
        Asked::Quantity(it) => !is_over && has_item(terms, &it.price, it.quantity),
        Asked::Cancellation(it) => match it.when {
            When::Now => is_over,
            When::PeriodEnd => is_over || ends,
        },
        Asked::Resumption(_) => !is_over && !ends,
        Asked::Withdrawal(it) => match it.change {
            PlannedChange::Plan => terms.schedule.is_none(),
            PlannedChange::ToFree => !is_over && !ends,
        },
        Asked::Pause(it) => match it.mode {
            PauseMode::Collection => terms
                .collection_pause
                .as_ref()
                .is_some_and(|pause| pause.resumes_at.map(|at| at.seconds()) == it.until.map(|until| until.seconds())),
            PauseMode::Subscription => terms.status == SubscriptionStatus::Paused,
        },
        Asked::Unpause(it) => match it.mode {
            PauseMode::Collection => !is_over && terms.collection_pause.is_none(),
            PauseMode::Subscription => !is_over && terms.status != SubscriptionStatus::Paused,
        },
        Asked::Coupon(it) => match &it.discount {
            DiscountSource::Coupon(coupon) => {
                let on = terms.discounts.iter().flatten();
                on.into_iter().any(|discount| discount.coupon.as_ref() == Some(coupon))
            }
            DiscountSource::PromotionCode(_) => false,
        },
        Asked::TrialExtension(it) => terms
            .trial
            .is_some_and(|trial| trial.end.seconds() == it.until.seconds()),
        Asked::Checkout(_)
        | Asked::Subscription(_)
        | Asked::InvoicePayment(_)
        | Asked::Refund(_)
        | Asked::CustomerUpdate(_) => false,
    }
}

fn schedule_shows(asked: &Asked, schedule: &ScheduleSnapshot) -> bool {
    let runs = matches!(schedule.status, ScheduleStatus::NotStarted | ScheduleStatus::Active);
    match asked {
        Asked::PlanChange(it) if it.when == When::PeriodEnd => {
            let wanted = (it.terms.price.clone(), Some(it.terms.quantity));
            let is_next = |at| at > it.intent.at;
            let mut coming = schedule.phases.iter().filter(|phase| is_next(phase.start_at));
            runs && coming.any(|phase| phase.items.contains(&wanted))
        }
        Asked::Withdrawal(it) => it.change == PlannedChange::Plan && !runs,
        Asked::PlanChange(_)
        | Asked::Quantity(_)
        | Asked::Cancellation(_)
        | Asked::Resumption(_)
        | Asked::Pause(_)
        | Asked::Unpause(_)
        | Asked::Coupon(_)
        | Asked::TrialExtension(_)
        | Asked::Checkout(_)
        | Asked::Subscription(_)
        | Asked::InvoicePayment(_)
        | Asked::Refund(_)
        | Asked::CustomerUpdate(_) => false,
    }
}

fn gives(discount: &DiscountSnapshot, wanted: &DiscountSource) -> bool {
    !discount.removed
        && match wanted {
            DiscountSource::Coupon(coupon) => discount.coupon.as_ref() == Some(coupon),
            DiscountSource::PromotionCode(code) => discount.promotion_code.as_ref() == Some(code),
        }
}

fn has_item(terms: &SubscriptionSnapshot, price: &PriceId, quantity: u64) -> bool {
    let is_it = |item: &Item| item.price == *price && item.quantity == Some(quantity);
    terms.items.iter().flatten().any(is_it)
}

//! Another plan, interval or both, now or when the period ends; and letting a planned change go.

use super::cancel;
use super::checkout::on_free;
use super::request::{Cx, Live, in_range, record};
use crate::plan::{Interval, Plan};
use crate::subscription::asked::{
    PlanChangeRequested, PlanChangeWithdrawalRequested, PlannedChange, Proration, WantedTerms, When,
};
use crate::subscription::command::Decision;
use crate::subscription::event::SubscriptionEvent as Event;
use crate::subscription::rejection::Rejection;
use crate::subscription::request::PlanChange;
use crate::subscription::seen::PlanRef;

pub(super) fn change(cx: &Cx<'_>, change: &PlanChange) -> Result<Decision, Rejection> {
    let plan = cx.plan(&change.plan)?;
    let live = match cx.live() {
        Err(Rejection::NoLiveSubscription { .. }) if is_free_plan(cx, plan) => return Err(on_free(plan)),
        other => other?,
    };
    if plan.is_free() {
        return cancel::to_free(cx, &live, plan);
    }
    let held = Held::of(cx, &live)?;
    let is_holder = held.plan.as_ref().is_some_and(|held| held.code == plan.code);
    let currency = live.currency().ok_or_else(|| live.terms_unknown())?;
    let interval = change.interval;
    let interval = interval.unwrap_or_else(|| cx.default_interval(plan, held.interval, currency));
    let quantity = match change.quantity {
        Some(quantity) => in_range(plan, i128::from(quantity))?,
        None => held.quantity.clamp(plan.quantity.min, plan.quantity.max),
    };
    if is_holder && held.interval == Some(interval) && held.quantity == quantity {
        return Err(Rejection::AlreadyOnPlan {
            plan: plan.code.clone(),
            interval: held.interval,
            quantity,
        });
    }
    if !is_holder {
        cx.sellable(plan)?;
    }
    cx.unrestricted()?;
    let terms = cx.terms(plan, interval, currency, quantity)?;
    let when = change.when.unwrap_or_else(|| held.default_when(cx, plan, &terms));
    if when == When::PeriodEnd && live.wanted.next.as_ref() == Some(&(terms.price.clone(), quantity)) {
        return Ok(Decision::AlreadyApplied);
    }
    blocked(cx, plan, is_holder, quantity)?;
    planned(cx, &live, held.plan, terms, when, change.proration)
}

/// Records the change, if what it rests on is known.
fn planned(
    cx: &Cx<'_>,
    live: &Live<'_>,
    from: Option<PlanRef>,
    terms: WantedTerms,
    when: When,
    proration: Option<Proration>,
) -> Result<Decision, Rejection> {
    let period = live.terms.period;
    if when == When::PeriodEnd {
        period.ok_or_else(|| live.terms_unknown())?;
        cx.known_schedule(live)?;
    }
    let default = match when {
        When::Now => Proration::default(),
        // Nothing was used of the next period yet.
        When::PeriodEnd => Proration::None,
    };
    Ok(record(Event::PlanChangeRequested(PlanChangeRequested {
        intent: cx.head(),
        subscription: live.id.clone(),
        from,
        terms,
        when,
        effective_at: period.map(|period| period.end).filter(|_| when == When::PeriodEnd),
        proration: proration.unwrap_or(default),
        withdraws_cancellation: live.wanted.cancel.is_some(),
    })))
}

/// More is in use than the plan allows: of another plan the plan is too small, of the same the quantity is.
fn blocked(cx: &Cx<'_>, plan: &Plan, is_holder: bool, quantity: u64) -> Result<(), Rejection> {
    let limits = cx.exceeded(plan, quantity);
    if limits.is_empty() {
        return Ok(());
    }
    Err(if is_holder {
        Rejection::BelowUsage { quantity, limits }
    } else {
        let plan = plan.code.clone();
        Rejection::DowngradeBlocked { plan, limits }
    })
}

fn is_free_plan(cx: &Cx<'_>, plan: &Plan) -> bool {
    let free = cx.catalogue.and_then(|catalogue| catalogue.free_plan());
    free.is_some_and(|free| free.code == plan.code)
}

/// What the subscription will have, once everything under way has ended.
struct Held {
    plan: Option<PlanRef>,
    interval: Option<Interval>,
    quantity: u64,
}

impl Held {
    fn of(cx: &Cx<'_>, live: &Live<'_>) -> Result<Self, Rejection> {
        let (price, quantity) = live.item()?;
        let of_catalogue = || cx.catalogue?.plan_of_price(&price).map(|(_, price)| price.interval);
        let item = live.terms.items.iter().flatten().find(|item| item.price == price);
        let of_item = match item.and_then(|item| item.interval.as_deref()) {
            Some("month") => Some(Interval::Month),
            Some("year") => Some(Interval::Year),
            Some(_) | None => None,
        };
        Ok(Self {
            plan: cx.plan_behind(live.book, &price),
            interval: of_catalogue().or(of_item),
            quantity,
        })
    }

    /// An upgrade at once, a downgrade when what was paid for has been used.
    fn default_when(&self, cx: &Cx<'_>, plan: &Plan, terms: &WantedTerms) -> When {
        let held = self.plan.as_ref().and_then(|held| cx.catalogue?.plan(&held.code));
        let Some(held) = held else { return When::Now };
        let had = (held.order, self.interval, self.quantity);
        if (plan.order, Some(terms.interval), terms.quantity) < had {
            When::PeriodEnd
        } else {
            When::Now
        }
    }
}

pub(super) fn withdraw(cx: &Cx<'_>) -> Result<Decision, Rejection> {
    let live = cx.live()?;
    let has_free = cx.catalogue.is_some_and(|catalogue| catalogue.free_plan().is_some());
    let change = if live.wanted.next.is_some() {
        PlannedChange::Plan
    } else if live.wanted.cancel == Some(When::PeriodEnd) && has_free {
        PlannedChange::ToFree
    } else {
        return Ok(Decision::AlreadyApplied);
    };
    Ok(record(Event::PlanChangeWithdrawalRequested(
        PlanChangeWithdrawalRequested {
            intent: cx.head(),
            subscription: live.id.clone(),
            change,
        },
    )))
}

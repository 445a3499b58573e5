//! Ending a subscription, at once or with its period. A change to a plan that costs nothing is the latter.

use super::request::{Cx, Live, not_sellable, record};
use crate::facts::SubscriptionStatus as Status;
use crate::plan::Plan;
use crate::snapshot::Snapshot;
use crate::subscription::asked::{CancellationRequested, Feedback, When};
use crate::subscription::command::Decision;
use crate::subscription::event::SubscriptionEvent as Event;
use crate::subscription::rejection::{NotSellable, Rejection};
use crate::subscription::seen::PlanRef;
use crate::subscription::state::is_live;

pub(super) fn cancel(cx: &Cx<'_>, when: Option<When>, feedback: Option<Feedback>) -> Result<Decision, Rejection> {
    let when = when.unwrap_or(When::PeriodEnd);
    if let Some((id, book)) = cx.chosen()
        && let Some(terms) = book.book.terms().filter(|terms| terms.finality() > 0)
    {
        return Err(Rejection::AlreadyCanceled {
            subscription: id.clone(),
            ended_at: terms.ended_at.or(book.book.as_of()),
        });
    }
    let live = cx.begun(|status| is_live(status) || *status == Status::Incomplete)?;
    if when == When::PeriodEnd && live.terms.status == Status::Incomplete {
        return Err(Rejection::NotCancelable {
            subscription: live.id.clone(),
            status: live.terms.status.clone(),
        });
    }
    if when == When::PeriodEnd && live.wanted.cancel.is_some() {
        return Ok(Decision::AlreadyApplied);
    }
    Ok(requested(cx, &live, when, None, feedback))
}

/// A change to a plan without a price: what was paid for is used up first.
pub(super) fn to_free(cx: &Cx<'_>, live: &Live<'_>, plan: &Plan) -> Result<Decision, Rejection> {
    if !plan.active {
        return Err(not_sellable(plan, NotSellable::Inactive));
    }
    if live.wanted.cancel.is_some() {
        return Ok(Decision::AlreadyApplied);
    }
    let limits = cx.exceeded(plan, plan.quantity.min);
    if !limits.is_empty() {
        let plan = plan.code.clone();
        return Err(Rejection::DowngradeBlocked { plan, limits });
    }
    let to = PlanRef {
        code: plan.code.clone(),
        version: cx.catalogue.map_or(0, crate::plan::Catalogue::version),
    };
    Ok(requested(cx, live, When::PeriodEnd, Some(to), None))
}

fn requested(
    cx: &Cx<'_>,
    live: &Live<'_>,
    when: When,
    to_plan: Option<PlanRef>,
    feedback: Option<Feedback>,
) -> Decision {
    let end = live.terms.period.map(|period| period.end);
    record(Event::CancellationRequested(CancellationRequested {
        intent: cx.head(),
        subscription: live.id.clone(),
        when,
        effective_at: end.filter(|_| when == When::PeriodEnd),
        to_plan,
        feedback,
    }))
}

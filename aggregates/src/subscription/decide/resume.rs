//! Withdrawing a planned cancellation.

use super::request::{Cx, record};
use crate::facts::SubscriptionStatus as Status;
use crate::snapshot::Snapshot;
use crate::subscription::asked::ResumptionRequested;
use crate::subscription::command::Decision;
use crate::subscription::event::SubscriptionEvent as Event;
use crate::subscription::rejection::{NotResumable, Rejection};

pub(super) fn resume(cx: &Cx<'_>) -> Result<Decision, Rejection> {
    if let Some((id, book)) = cx.chosen()
        && book.book.terms().is_some_and(|terms| terms.finality() > 0)
    {
        let subscription = id.clone();
        let why = NotResumable::Ended;
        return Err(Rejection::NotResumable { subscription, why });
    }
    let live = cx.live()?;
    if live.wanted.cancel.is_none() {
        if live.terms.status == Status::Paused {
            let subscription = live.id.clone();
            let why = NotResumable::Paused;
            return Err(Rejection::NotResumable { subscription, why });
        }
        return Ok(Decision::AlreadyApplied);
    }
    Ok(record(Event::ResumptionRequested(ResumptionRequested {
        intent: cx.head(),
        subscription: live.id.clone(),
    })))
}

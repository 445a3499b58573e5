//! Pausing the collection of invoices or the whole subscription, and ending the pause.

use super::request::{Cx, record};
use crate::facts::SubscriptionStatus as Status;
use crate::subscription::asked::{PauseMode, PauseRequested, UnpauseRequested};
use crate::subscription::command::Decision;
use crate::subscription::event::SubscriptionEvent as Event;
use crate::subscription::rejection::{NotPausable, Rejection};
use crate::time::Timestamp;

pub(super) fn pause(cx: &Cx<'_>, mode: PauseMode, until: Option<Timestamp>) -> Result<Decision, Rejection> {
    let live = cx.live()?;
    let refuse = |why: NotPausable| {
        let subscription = live.id.clone();
        Err(Rejection::NotPausable { subscription, why })
    };
    if until.is_some_and(|until| until <= cx.request.at) {
        return refuse(NotPausable::PastEnd);
    }
    match mode {
        PauseMode::Collection => {
            // Stripe keeps whole seconds.
            let second = |at: Option<Timestamp>| at.map(Timestamp::seconds);
            if live
                .wanted
                .collection
                .is_some_and(|known| second(known) == second(until))
            {
                return Ok(Decision::AlreadyApplied);
            }
        }
        PauseMode::Subscription => {
            if live.wanted.is_paused {
                return Ok(Decision::AlreadyApplied);
            }
            if !matches!(live.terms.status, Status::Active | Status::Trialing) {
                return refuse(NotPausable::NotPaidUp);
            }
            if live.terms.billing_mode.as_deref() != Some("flexible") {
                return refuse(NotPausable::ClassicBilling);
            }
        }
    }
    Ok(record(Event::PauseRequested(PauseRequested {
        intent: cx.head(),
        subscription: live.id.clone(),
        mode,
        until,
    })))
}

/// Ends the wider pause first.
pub(super) fn unpause(cx: &Cx<'_>) -> Result<Decision, Rejection> {
    let live = cx.live()?;
    let mode = if live.wanted.is_paused {
        PauseMode::Subscription
    } else if live.wanted.collection.is_some() {
        PauseMode::Collection
    } else {
        return Ok(Decision::AlreadyApplied);
    };
    Ok(record(Event::UnpauseRequested(UnpauseRequested {
        intent: cx.head(),
        subscription: live.id.clone(),
        mode,
    })))
}

//! Ending a trial later.

use super::checkout::in_days;
use super::request::{Cx, record};
use crate::facts::SubscriptionStatus as Status;
use crate::subscription::asked::TrialExtensionRequested;
use crate::subscription::command::Decision;
use crate::subscription::event::SubscriptionEvent as Event;
use crate::subscription::rejection::Rejection;

/// Seconds of a day.
const DAY_S: i64 = 86_400;

pub(super) fn extend(cx: &Cx<'_>, days: u32, reason: &str) -> Result<Decision, Rejection> {
    let live = cx.live()?;
    if live.terms.status != Status::Trialing {
        return Err(Rejection::NotInTrial {
            subscription: live.id.clone(),
            status: live.terms.status.clone(),
        });
    }
    let days = in_days(days)?;
    let from = live.wanted.trial_ends_at.ok_or_else(|| live.terms_unknown())?;
    Ok(record(Event::TrialExtensionRequested(TrialExtensionRequested {
        intent: cx.head(),
        subscription: live.id.clone(),
        from,
        until: from.plus_seconds(i64::from(days) * DAY_S),
        reason: reason.into(),
    })))
}

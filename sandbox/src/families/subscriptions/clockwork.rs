//! What happens to a subscription at its times.

use serde_json::{Value, json};

use super::SUBSCRIPTION;
use super::billing::{Bill, can_pay, change, draft, fresh_lines, used_lines};
use super::cancel::{self, Cancel};
use super::shape::{keep, over, period, period_at, set_period};
use crate::families::invoices;
use crate::shape::read::{flag, number, text};
use crate::state::State;
use crate::wire::error::ApiError;

const DAY: i64 = 86_400;
/// How long before a renewal it is announced, in seconds.
const UPCOMING: i64 = 7 * DAY;
/// How long before its end a trial is announced, in seconds.
const TRIAL_NOTICE: i64 = 3 * DAY;

/// Puts everything that is to come into the queue; what was there moves.
pub(super) fn schedule(state: &mut State, subscription: &Value) {
    let id = text(subscription, "id").unwrap_or_default();
    if over(subscription) || subscription["status"] == "paused" {
        unschedule(state, id);
        return;
    }
    let now = state.now_of(subscription);
    let (start, end) = period(subscription);
    state.schedule(subscription, end, "subscription.renew");
    if end - UPCOMING > start && end - UPCOMING > now {
        state.schedule(subscription, end - UPCOMING, "subscription.upcoming");
    } else {
        state.due.unschedule("subscription.upcoming", id);
    }
    match subscription["cancel_at"].as_i64() {
        Some(at) if !flag(subscription, "cancel_at_period_end") => {
            state.schedule(subscription, at, "subscription.cancel_at");
        }
        _ => state.due.unschedule("subscription.cancel_at", id),
    }
    match subscription["trial_end"]
        .as_i64()
        .filter(|_| subscription["status"] == "trialing")
    {
        Some(at) => state.schedule(
            subscription,
            (at - TRIAL_NOTICE).max(now),
            "subscription.trial_will_end",
        ),
        None => state.due.unschedule("subscription.trial_will_end", id),
    }
    match subscription["pause_collection"]["resumes_at"].as_i64() {
        Some(at) => state.schedule(subscription, at, "subscription.resume_collection"),
        None => state.due.unschedule("subscription.resume_collection", id),
    }
}

/// Nothing is to come any more.
pub(super) fn unschedule(state: &mut State, id: &str) {
    for work in [
        "renew",
        "upcoming",
        "trial_will_end",
        "expire",
        "cancel_at",
        "resume_collection",
        "pending_expire",
    ] {
        state.due.unschedule(&format!("subscription.{work}"), id);
    }
}

/// The period ends: the next begins, or the subscription does not go on.
pub(super) fn renew(state: &mut State, id: &str) -> Result<(), ApiError> {
    let Some(old) = state.look(&SUBSCRIPTION, id).cloned() else {
        return Ok(());
    };
    if over(&old) || old["status"] == "paused" {
        return Ok(());
    }
    if flag(&old, "cancel_at_period_end") {
        return cancel::end(state, id, &Cancel::default()).map(|_| ());
    }
    let trialing = old["status"] == "trialing";
    if trialing && !can_pay(state, &old) && old["collection_method"] == "charge_automatically" {
        match text(&old, "trial_settings.end_behavior.missing_payment_method") {
            Some("cancel") => return cancel::end(state, id, &Cancel::default()).map(|_| ()),
            Some("pause") => return pause_after_trial(state, id),
            _ => {}
        }
    }
    begin_period(state, &old, trialing)
}

/// Nobody can pay after the trial: no invoices until it is resumed.
pub(super) fn pause_after_trial(state: &mut State, id: &str) -> Result<(), ApiError> {
    let paused = change(state, id, |subscription| {
        let now = subscription["trial_end"].clone();
        subscription["status"] = json!("paused");
        subscription["status_details"] = json!({"paused": {
            "subscription": {"type": "trial_end_without_payment_method"}, "transitioned_at": now, "type": "subscription",
        }});
    })?;
    unschedule(state, id);
    state.emit("customer.subscription.paused", &paused);
    Ok(())
}

fn begin_period(state: &mut State, old: &Value, trialing: bool) -> Result<(), ApiError> {
    let ended = period(old);
    let mut new = old.clone();
    let mut lines = if trialing {
        Vec::new()
    } else {
        used_lines(state, old, ended)
    };
    let next = period_at(&new, ended.1);
    set_period(&mut new, (ended.1, next.1));
    if trialing {
        new["status"] = json!("active");
    }
    lines.extend(fresh_lines(state, &new, false));
    let bill = Bill {
        reason: "subscription_cycle",
        period: ended,
        discounted: true,
    };
    let invoice = draft(state, &mut new, bill, lines)?;
    keep(state, old, &new, "customer.subscription.updated");
    schedule(state, &new);
    let pause = text(&new, "pause_collection.behavior").map(str::to_owned);
    // An unpaid subscription goes on being billed, and nobody collects.
    invoices::announce(state, &invoice, pause.is_none() && new["status"] != "unpaid")?;
    if matches!(pause.as_deref(), Some("void" | "mark_uncollectible"))
        && invoices::finalize(state, &invoice)?["status"] == "open"
    {
        if pause.as_deref() == Some("void") {
            invoices::void(state, &invoice)?;
        } else {
            invoices::mark_uncollectible(state, &invoice)?;
        }
    }
    Ok(())
}

/// A renewal is near.
pub(super) fn upcoming(state: &mut State, id: &str) -> Result<(), ApiError> {
    let Some(subscription) = state.look(&SUBSCRIPTION, id).cloned() else {
        return Ok(());
    };
    if over(&subscription) || flag(&subscription, "cancel_at_period_end") {
        return Ok(());
    }
    let mut preview = invoices::upcoming_of(state, &subscription)?;
    if let Some(fields) = preview.as_object_mut() {
        fields.remove("id");
    }
    state.emit("invoice.upcoming", &preview);
    Ok(())
}

/// A trial is near its end.
pub(super) fn trial_will_end(state: &mut State, id: &str) -> Result<(), ApiError> {
    let found = state
        .look(&SUBSCRIPTION, id)
        .filter(|found| found["status"] == "trialing")
        .cloned();
    if let Some(subscription) = found {
        state.emit("customer.subscription.trial_will_end", &subscription);
    }
    Ok(())
}

/// Nobody has paid the first invoice.
pub(super) fn expire(state: &mut State, id: &str) -> Result<(), ApiError> {
    let Some(subscription) = state.look(&SUBSCRIPTION, id).cloned() else {
        return Ok(());
    };
    if subscription["status"] != "incomplete" {
        return Ok(());
    }
    let invoice = text(&subscription, "latest_invoice").unwrap_or_default().to_owned();
    invoices::void(state, &invoice).map(|_| ())
}

/// Collection goes on.
pub(super) fn resume_collection(state: &mut State, id: &str) -> Result<(), ApiError> {
    if state
        .look(&SUBSCRIPTION, id)
        .is_some_and(|subscription| !over(subscription))
    {
        change(state, id, |subscription| subscription["pause_collection"] = Value::Null)?;
    }
    Ok(())
}

/// What a trial's length is worth in a period: nothing is due before it ends.
pub(super) fn in_trial(subscription: &Value) -> bool {
    subscription["status"] == "trialing" && number(subscription, "trial_end") > 0
}

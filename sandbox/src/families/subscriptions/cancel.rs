//! The end of a subscription, and its pauses.

use serde_json::{Value, json};

use super::billing::{Bill, change, collect, draft, fresh_lines, pending_items, used_lines};
use super::clockwork::{in_trial, schedule, unschedule};
use super::proration::part;
use super::shape::{keep, over, period, period_at, set_period};
use super::{Behavior, Proration, SUBSCRIPTION};
use crate::families::invoice_items;
use crate::families::invoices::{self, INVOICE, Pay};
use crate::families::payments::Settled;
use crate::shape::read::{items, text};
use crate::state::State;
use crate::wire::error::ApiError;

/// How a subscription ends at once.
#[derive(Clone, Copy, Debug, Default)]
pub struct Cancel<'a> {
    /// Time that was paid and is not used is credited.
    pub prorate: bool,
    /// What waits for an invoice is invoiced.
    pub invoice_now: bool,
    /// Words of the customer.
    pub comment: Option<&'a str>,
    /// Its feedback, as Stripe's word.
    pub feedback: Option<&'a str>,
    /// Why: `cancellation_requested` when nothing is said.
    pub reason: Option<&'a str>,
}

/// Ends a subscription now.
///
/// # Errors
/// No such subscription, or it is over.
pub fn cancel(state: &mut State, id: &str, how: &Cancel<'_>) -> Result<Value, ApiError> {
    let subscription = state.get(&SUBSCRIPTION, id, "id")?.clone();
    if over(&subscription) {
        // Stripe knows no subscription that is over when it is to be canceled.
        return Err(ApiError::no_such("subscription", id, "id"));
    }
    let now = state.now_of(&subscription);
    let (start, end) = period(&subscription);
    if how.prorate && !in_trial(&subscription) {
        for item in items(&subscription, "items") {
            if let Some(credit) = part(state, &subscription, item, (now, start, end), true) {
                invoice_items::keep(state, credit);
            }
        }
    }
    let mut last = None;
    if how.invoice_now {
        let used = used_lines(state, &subscription, (start, now));
        if !used.is_empty() || !pending_items(state, &subscription).is_empty() {
            let mut new = subscription.clone();
            let bill = Bill {
                reason: "subscription_update",
                period: (start, now),
                discounted: true,
            };
            let invoice = draft(state, &mut new, bill, used)?;
            state.put(&SUBSCRIPTION, new);
            last = Some(invoice);
        }
    }
    let ended = self::end(state, id, how)?;
    if let Some(invoice) = last {
        invoices::announce_now(state, &invoice)?;
        collect(state, &invoice, Behavior::AllowIncomplete, &Pay::default())?;
    }
    Ok(ended)
}

/// The end itself, without money.
pub(super) fn end(state: &mut State, id: &str, how: &Cancel<'_>) -> Result<Value, ApiError> {
    let old = state.get(&SUBSCRIPTION, id, "id")?.clone();
    let now = state.now_of(&old);
    unschedule(state, id);
    let mut new = old.clone();
    new["status"] = json!("canceled");
    new["ended_at"] = json!(now);
    if new["canceled_at"].is_null() {
        new["canceled_at"] = json!(now);
    }
    new["cancellation_details"]["reason"] = json!(how.reason.unwrap_or("cancellation_requested"));
    for (name, given) in [("comment", how.comment), ("feedback", how.feedback)] {
        if given.is_some() {
            new["cancellation_details"][name] = json!(given);
        }
    }
    new["pause_collection"] = Value::Null;
    new["pending_update"] = Value::Null;
    new["_pending"] = Value::Null;
    state.put(&SUBSCRIPTION, new.clone());
    for invoice in state.matching(&INVOICE, |invoice| {
        text(invoice, "parent.subscription_details.subscription") == Some(id)
            && matches!(text(invoice, "status"), Some("draft" | "open"))
    }) {
        invoices::stop(
            state,
            text(&invoice, "id").unwrap_or_default(),
            old["status"] == "incomplete",
        )?;
    }
    state.emit("customer.subscription.deleted", &new);
    Ok(new)
}

/// Work: the time has come that was set.
pub(super) fn when_due(state: &mut State, id: &str) -> Result<(), ApiError> {
    if state
        .look(&SUBSCRIPTION, id)
        .is_some_and(|subscription| !over(subscription))
    {
        end(state, id, &Cancel::default())?;
    }
    Ok(())
}

/// A customer goes, and its subscriptions end with it.
pub(super) fn customer_goes(state: &mut State, customer: &str) -> Result<(), ApiError> {
    for subscription in state.matching(&SUBSCRIPTION, |one| one["customer"] == customer && !over(one)) {
        end(state, text(&subscription, "id").unwrap_or_default(), &Cancel::default())?;
    }
    Ok(())
}

/// Stops a subscription: no invoices until it is resumed. Time that was paid and is not used is credited.
///
/// # Errors
/// No such subscription, or one that is not active.
pub fn pause(state: &mut State, id: &str, prorate: bool) -> Result<Value, ApiError> {
    let subscription = state.get(&SUBSCRIPTION, id, "id")?.clone();
    if subscription["status"] != "active" {
        let message = "Only an active subscription can be paused.";
        return Err(ApiError::state("subscription_not_pausable", message));
    }
    if subscription["billing_mode"]["type"] != "flexible" {
        let message = "Pausing a subscription requires `billing_mode[type]=flexible`.";
        return Err(ApiError::invalid(message));
    }
    let now = state.now_of(&subscription);
    let (start, end) = period(&subscription);
    if prorate {
        for item in items(&subscription, "items") {
            if let Some(credit) = part(state, &subscription, item, (now, start, end), true) {
                invoice_items::keep(state, credit);
            }
        }
    }
    let paused = change(state, id, |subscription| {
        subscription["status"] = json!("paused");
        subscription["status_details"] = json!({"paused": {
            "subscription": {"type": "pause_requested"}, "transitioned_at": now, "type": "subscription",
        }});
    })?;
    unschedule(state, id);
    state.emit("customer.subscription.paused", &paused);
    Ok(paused)
}

/// Resumes a paused subscription with a period that begins now, or goes on with the old one. It is active again when
/// its invoice is paid.
///
/// # Errors
/// No such subscription, or one that is not paused.
pub fn resume(state: &mut State, id: &str, anew: bool, proration: Proration) -> Result<Value, ApiError> {
    let old = state.get(&SUBSCRIPTION, id, "id")?.clone();
    if old["status"] != "paused" {
        let message = "Only a paused subscription can be resumed.";
        return Err(ApiError::state("subscription_not_paused", message));
    }
    let now = state.now_of(&old);
    let mut new = old.clone();
    if anew {
        new["billing_cycle_anchor"] = json!(now);
    }
    let span = period_at(&new, now);
    set_period(&mut new, (now, span.1));
    let free = proration == Proration::None && !anew;
    let lines = if free {
        Vec::new()
    } else {
        fresh_lines(state, &new, false)
    };
    if lines.is_empty() {
        state.put(&SUBSCRIPTION, new);
        return resumed(state, id);
    }
    let bill = Bill {
        reason: "subscription_update",
        period: (now, now),
        discounted: true,
    };
    let invoice = draft(state, &mut new, bill, lines)?;
    new["_resumes_with"] = json!(invoice);
    keep(state, &old, &new, "customer.subscription.updated");
    invoices::announce_now(state, &invoice)?;
    let settled = collect(state, &invoice, Behavior::AllowIncomplete, &Pay::default())?;
    if settled == Settled::Processing {
        resumed(state, id)?;
    }
    super::billing::kept(state, id)
}

fn resumed(state: &mut State, id: &str) -> Result<Value, ApiError> {
    let active = change(state, id, |subscription| {
        subscription["status"] = json!("active");
        subscription["status_details"] = Value::Null;
        subscription["_resumes_with"] = Value::Null;
    })?;
    state.emit("customer.subscription.resumed", &active);
    schedule(state, &active);
    Ok(active)
}

/// The invoice of a resumption is paid.
pub(super) fn resumed_by(state: &mut State, id: &str, invoice: &Value) -> Result<(), ApiError> {
    let subscription = state.get(&SUBSCRIPTION, id, "id")?;
    if subscription["status"] == "paused" && subscription["_resumes_with"] == invoice["id"] {
        resumed(state, id)?;
    }
    Ok(())
}

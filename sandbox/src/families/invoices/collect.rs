//! Collecting: the first attempt, the retries, and what follows from each.

use serde_json::{Value, json};

use super::{INVOICE, life};
use crate::families::customers::CUSTOMER;
use crate::families::payment_intents::PAYMENT_INTENT;
use crate::families::payment_methods;
use crate::families::payments::{self, Settled};
use crate::families::subscriptions::{self, Fate};
use crate::shape::read::{flag, number, text};
use crate::state::State;
use crate::wire::error::ApiError;

const DAY: i64 = 86_400;

/// How a caller pays an invoice.
#[derive(Clone, Copy, Debug, Default)]
pub struct Pay<'a> {
    /// With what; else with what the invoice, its subscription or its customer has.
    pub method: Option<&'a str>,
    /// Its owner is there and can be asked.
    pub on_session: bool,
    /// Elsewhere, and only to be noted.
    pub out_of_band: bool,
}

/// Pays an invoice; a draft is finalized first. A decline is `Settled::Declined` and no error: its charge and events
/// stay.
///
/// # Errors
/// No such invoice, one that is paid or void, or nothing to pay it with.
pub fn pay(state: &mut State, id: &str, how: &Pay<'_>) -> Result<(Value, Settled), ApiError> {
    if state.get(&INVOICE, id, "invoice")?["status"] == "draft" {
        life::finalize(state, id)?;
    }
    let invoice = state.get(&INVOICE, id, "invoice")?.clone();
    match text(&invoice, "status") {
        Some("open" | "uncollectible") => {}
        // Nothing was due.
        Some("paid") if number(&invoice, "amount_due") == 0 => return Ok((invoice, Settled::Paid)),
        Some("paid") => return Err(ApiError::state("invoice_already_paid", "Invoice is already paid")),
        _ => {
            let message = "The invoice is not open and cannot be paid.";
            return Err(ApiError::state("invoice_not_open", message));
        }
    }
    if how.out_of_band {
        life::withdraw_payment(state, id)?;
        return Ok((life::paid(state, id, true)?, Settled::Paid));
    }
    let named = how.method.map(str::to_owned);
    let method = named.or_else(|| method_of(state, &invoice)).ok_or_else(|| {
        let message = "There is no `default_payment_method` set on this Customer or Invoice. Please set one prior to \
                       charging the Invoice.";
        ApiError::state("resource_missing", message)
    })?;
    let settled = attempt(state, id, &method, !how.on_session, false)?;
    Ok((state.get(&INVOICE, id, "invoice")?.clone(), settled))
}

/// What pays an invoice when nothing is named: its own, its subscription's, its customer's.
#[must_use]
pub fn method_of(state: &State, invoice: &Value) -> Option<String> {
    let own = |object: &Value| {
        let method = text(object, "default_payment_method").or_else(|| text(object, "default_source"));
        method.map(str::to_owned)
    };
    let subscription = text(invoice, "parent.subscription_details.subscription");
    let subscription = subscription.and_then(|id| state.objects.find(id));
    let customer = text(invoice, "customer").unwrap_or_default();
    own(invoice)
        .or_else(|| subscription.and_then(own))
        .or_else(|| payment_methods::default_of(state, customer))
}

/// The attempt that comes by itself. Without anything to pay with it fails as well.
pub(super) fn automatically(state: &mut State, id: &str) -> Result<(), ApiError> {
    let invoice = state.get(&INVOICE, id, "invoice")?.clone();
    match method_of(state, &invoice) {
        Some(method) => attempt(state, id, &method, true, true).map(|_| ()),
        None => {
            begin(state, id, true)?;
            failed(state, id)?;
            finish(state, id)
        }
    }
}

fn begin(state: &mut State, id: &str, automatic: bool) -> Result<Value, ApiError> {
    state.change(&INVOICE, id, "", |invoice| {
        let count = number(invoice, "attempt_count");
        // Whatever comes first counts; after that, only what comes by itself.
        if automatic || count == 0 {
            invoice["attempt_count"] = json!(count + 1);
        }
        invoice["attempted"] = json!(true);
        invoice["_automatic"] = json!(automatic);
        Ok(())
    })
}

fn finish(state: &mut State, id: &str) -> Result<(), ApiError> {
    if state.look(&INVOICE, id).is_some() {
        state.change(&INVOICE, id, "", |invoice| {
            invoice["_automatic"] = json!(false);
            Ok(())
        })?;
    }
    Ok(())
}

fn attempt(state: &mut State, id: &str, method: &str, off_session: bool, automatic: bool) -> Result<Settled, ApiError> {
    let invoice = begin(state, id, automatic)?;
    let intent = text(&invoice, "_intent").unwrap_or_default().to_owned();
    let settled = payments::confirm(state, &intent, Some(method), off_session, None)?;
    if settled == Settled::Processing {
        state.change(&INVOICE, id, "invoice.updated", |invoice| {
            invoice["next_payment_attempt"] = Value::Null;
            Ok(())
        })?;
        subscriptions::invoice_settled(state, &invoice, Fate::Processing)?;
    }
    finish(state, id)?;
    Ok(settled)
}

/// Hook: a payment has come to an end or waits for its owner.
pub(super) fn payment_settled(state: &mut State, intent: &str) -> Result<(), ApiError> {
    let intent = state.get(&PAYMENT_INTENT, intent, "intent")?.clone();
    let Some(id) = text(&intent, "_invoice").map(str::to_owned) else {
        return Ok(());
    };
    let Some(invoice) = state.look(&INVOICE, &id).cloned() else {
        return Ok(());
    };
    if invoice["_intent"] != intent["id"] || !matches!(text(&invoice, "status"), Some("open" | "uncollectible")) {
        return Ok(());
    }
    let method = intent["payment_method"].clone();
    match text(&intent, "status") {
        Some("succeeded") => {
            subscriptions::keep_method(state, &invoice, &method)?;
            life::paid(state, &id, false)?;
        }
        Some("requires_action") => {
            note_attempt(state, &id)?;
            let invoice = state.get(&INVOICE, &id, "invoice")?.clone();
            state.emit("invoice.payment_action_required", &invoice);
            subscriptions::invoice_settled(state, &invoice, Fate::Failed { last: false })?;
        }
        Some("requires_payment_method") if !intent["last_payment_error"].is_null() => {
            note_attempt(state, &id)?;
            if text(&intent, "last_payment_error.code") == Some("authentication_required") {
                let invoice = state.get(&INVOICE, &id, "invoice")?.clone();
                state.emit("invoice.payment_action_required", &invoice);
            }
            failed(state, &id)?;
        }
        _ => {}
    }
    Ok(())
}

/// An attempt that somebody made with the intent itself is one, too.
fn note_attempt(state: &mut State, id: &str) -> Result<(), ApiError> {
    state.change(&INVOICE, id, "", |invoice| {
        invoice["attempted"] = json!(true);
        invoice["attempt_count"] = json!(number(invoice, "attempt_count").max(1));
        Ok(())
    })?;
    Ok(())
}

/// An attempt has failed: when is the next, and is it the last?
fn failed(state: &mut State, id: &str) -> Result<(), ApiError> {
    let invoice = state.get(&INVOICE, id, "invoice")?.clone();
    let now = state.now_of(&invoice);
    let scheduled = state.due.due_at("invoice.retry", id);
    let count = usize::try_from(number(&invoice, "attempt_count")).unwrap_or(0);
    let pause = state.settings.retry_days.get(count.saturating_sub(1)).copied();
    // A first invoice is its customer's to pay; after its 23 hours it is over.
    let retries = invoice["collection_method"] == "charge_automatically"
        && flag(&invoice, "auto_advance")
        && !subscriptions::waits_for_first_payment(state, &invoice);
    let next = match (scheduled, retries) {
        (Some(at), _) => Some(at),
        (None, true) => pause.map(|days| now + days * DAY),
        (None, false) => None,
    };
    let changed = state.change(&INVOICE, id, "invoice.updated", |invoice| {
        invoice["next_payment_attempt"] = json!(next);
        Ok(())
    })?;
    if let Some(at) = next {
        state.schedule(&changed, at, "invoice.retry");
    }
    state.emit("invoice.payment_failed", &changed);
    note_delinquency(state, &changed)?;
    let last = retries && next.is_none() && flag(&changed, "_automatic");
    subscriptions::invoice_settled(state, &changed, Fate::Failed { last })
}

/// Work: the next attempt.
pub(super) fn retry(state: &mut State, id: &str) -> Result<(), ApiError> {
    let open = state
        .look(&INVOICE, id)
        .is_some_and(|invoice| invoice["status"] == "open");
    if open { automatically(state, id) } else { Ok(()) }
}

/// A customer is delinquent while an invoice that was to be charged has failed.
pub(super) fn note_delinquency(state: &mut State, invoice: &Value) -> Result<(), ApiError> {
    let customer = text(invoice, "customer").unwrap_or_default().to_owned();
    if state.look(&CUSTOMER, &customer).is_none() {
        return Ok(());
    }
    let now = state.now_of(invoice);
    let owes = |invoice: &&Value| {
        let late = invoice["due_date"].as_i64().is_some_and(|due| due <= now);
        invoice["customer"] == customer
            && invoice["status"] == "open"
            && (late || (flag(invoice, "attempted") && invoice["collection_method"] == "charge_automatically"))
    };
    let delinquent = state.all(&INVOICE).any(|invoice| owes(&invoice));
    state.change(&CUSTOMER, &customer, "customer.updated", |customer| {
        customer["delinquent"] = json!(delinquent);
        Ok(())
    })?;
    Ok(())
}

//! The life of an invoice: draft, open, and its ends.

use serde_json::{Value, json};

use super::shape::{blank, refresh_customer};
use super::totals::{balance_after, compute};
use super::{INVOICE, collect};
use crate::families::customer_money::change_balance;
use crate::families::customers::CUSTOMER;
use crate::families::invoice_payments;
use crate::families::payment_intents::PAYMENT_INTENT;
use crate::families::payments::{self, Payment};
use crate::families::subscriptions::{self, Fate};
use crate::shape::read::{flag, items, number, text};
use crate::state::State;
use crate::wire::error::ApiError;

/// How long a draft waits before it is finalized by itself, in seconds.
pub(super) const DRAFT_SECONDS: i64 = 3_600;
const DAY: i64 = 86_400;
/// How long before it is due an invoice is announced.
const DUE_NOTICE: i64 = 3 * DAY;

/// A draft that is to be made.
#[derive(Clone, Copy, Debug, Default)]
pub struct Draft<'a> {
    /// Whose.
    pub customer: &'a str,
    /// Lower case.
    pub currency: &'a str,
    /// The subscription it bills.
    pub subscription: Option<&'a Value>,
    /// `subscription_cycle`, `manual`.
    pub reason: &'a str,
    /// What the lines are for.
    pub period: (i64, i64),
}

/// Makes a draft without lines and without an event: the caller fills it by `fill` and says that it is there.
pub fn draft(state: &mut State, wanted: &Draft<'_>) -> Result<Value, ApiError> {
    let customer = state.get(&CUSTOMER, wanted.customer, "customer")?.clone();
    let id = state.new_id(&INVOICE);
    let now = state.now_of(&customer);
    let mut invoice = blank(state, &id, wanted.customer, wanted.currency, now);
    invoice["billing_reason"] = json!(wanted.reason);
    (invoice["period_start"], invoice["period_end"]) = (json!(wanted.period.0), json!(wanted.period.1));
    if let Some(subscription) = wanted.subscription {
        let details = json!({
            "metadata": subscription["metadata"], "subscription": subscription["id"], "subscription_proration_date": null,
        });
        invoice["parent"] =
            json!({"quote_details": null, "subscription_details": details, "type": "subscription_details"});
        for name in ["collection_method", "default_tax_rates", "description", "on_behalf_of"] {
            invoice[name] = subscription[name].clone();
        }
        invoice["automatic_tax"]["enabled"] = subscription["automatic_tax"]["enabled"].clone();
        invoice["_days_until_due"] = subscription["days_until_due"].clone();
    }
    if text(&customer, "currency").is_none() {
        let currency = wanted.currency.to_owned();
        state.change(&CUSTOMER, wanted.customer, "customer.updated", |customer| {
            customer["currency"] = json!(currency);
            Ok(())
        })?;
    }
    state.put(&INVOICE, invoice.clone());
    Ok(invoice)
}

/// Gives a draft its lines and discounts, and works it out.
pub(crate) fn fill(state: &mut State, invoice: &mut Value, lines: Vec<Value>, discounts: Vec<Value>) {
    let ids: Vec<Value> = discounts.iter().map(|discount| discount["id"].clone()).collect();
    invoice["_all_lines"] = Value::Array(lines);
    invoice["_discounts"] = Value::Array(discounts);
    invoice["discounts"] = Value::Array(ids);
    compute(state, invoice);
    state.put(&INVOICE, invoice.clone());
}

/// Says that a draft is there, and lets it advance by itself when it is to.
pub(crate) fn announce(state: &mut State, id: &str, advances: bool) -> Result<Value, ApiError> {
    let mut invoice = state.get(&INVOICE, id, "invoice")?.clone();
    invoice["auto_advance"] = json!(advances);
    if advances {
        let at = state.now_of(&invoice) + DRAFT_SECONDS;
        invoice["automatically_finalizes_at"] = json!(at);
        if invoice["collection_method"] == "charge_automatically" {
            invoice["next_payment_attempt"] = json!(at);
        }
        state.schedule(&invoice, at, "invoice.finalize");
    }
    Ok(state.create(&INVOICE, invoice, "invoice.created"))
}

/// Work: a draft has waited long enough.
pub(super) fn finalize_due(state: &mut State, id: &str) -> Result<(), ApiError> {
    let Some(invoice) = state.look(&INVOICE, id).cloned() else {
        return Ok(());
    };
    if invoice["status"] != "draft" || !flag(&invoice, "auto_advance") {
        return Ok(());
    }
    let open = finalize(state, id)?;
    if open["status"] != "open" {
        return Ok(());
    }
    if open["collection_method"] == "send_invoice" {
        send(state, id)?;
    } else {
        collect::automatically(state, id)?;
    }
    Ok(())
}

/// Finalizes a draft: number, balance, payment intent. An invoice on which nothing is due is paid by that.
///
/// # Errors
/// No such invoice, or no draft.
pub fn finalize(state: &mut State, id: &str) -> Result<Value, ApiError> {
    let mut invoice = state.get(&INVOICE, id, "invoice")?.clone();
    if invoice["status"] != "draft" {
        let message = "This invoice is already finalized, you can't re-finalize a non-draft invoice.";
        return Err(ApiError::state("invoice_not_editable", message));
    }
    let now = state.now_of(&invoice);
    state.due.unschedule("invoice.finalize", id);
    refresh_customer(state, &mut invoice);
    compute(state, &mut invoice);
    take_number(state, &mut invoice)?;
    let (before, after) = (number(&invoice, "starting_balance"), balance_after(&invoice));
    invoice["status"] = json!("open");
    invoice["ending_balance"] = json!(after);
    invoice["automatically_finalizes_at"] = Value::Null;
    invoice["effective_at"] = json!(now);
    invoice["webhooks_delivered_at"] = json!(now);
    invoice["status_transitions"]["finalized_at"] = json!(now);
    let base = state.settings.base_url.clone();
    invoice["hosted_invoice_url"] = json!(format!("{base}/invoices/{id}"));
    invoice["invoice_pdf"] = json!(format!("{base}/invoices/{id}/pdf"));
    if let Some(days) = invoice["_days_until_due"].as_i64() {
        invoice["due_date"] = json!(now + days * DAY);
    }
    if invoice["collection_method"] == "send_invoice" {
        invoice["next_payment_attempt"] = Value::Null;
        watch_due_date(state, &invoice, now);
    }
    state.put(&INVOICE, invoice.clone());
    if after != before {
        move_balance(state, &invoice, after - before, "applied_to_invoice")?;
    }
    if number(&invoice, "amount_due") > 0 {
        ask_for_payment(state, &mut invoice);
    }
    state.put(&INVOICE, invoice.clone());
    state.emit("invoice.finalized", &invoice);
    if number(&invoice, "amount_due") == 0 {
        return paid(state, id, false);
    }
    Ok(invoice)
}

fn watch_due_date(state: &mut State, invoice: &Value, now: i64) {
    let Some(due) = invoice["due_date"].as_i64() else {
        return;
    };
    state.schedule(invoice, due.max(now), "invoice.overdue");
    if due - DUE_NOTICE > now {
        state.schedule(invoice, due - DUE_NOTICE, "invoice.will_be_due");
    }
}

/// The customer's prefix and the next number of its sequence.
fn take_number(state: &mut State, invoice: &mut Value) -> Result<(), ApiError> {
    if !invoice["number"].is_null() {
        return Ok(());
    }
    let customer = text(invoice, "customer").unwrap_or_default().to_owned();
    let found = state.get(&CUSTOMER, &customer, "customer")?;
    let (prefix, next) = (
        text(found, "invoice_prefix").unwrap_or_default(),
        number(found, "next_invoice_sequence"),
    );
    invoice["number"] = json!(format!("{prefix}-{next:04}"));
    state.change(&CUSTOMER, &customer, "", |customer| {
        customer["next_invoice_sequence"] = json!(next + 1);
        Ok(())
    })?;
    Ok(())
}

fn move_balance(state: &mut State, invoice: &Value, by: i64, kind: &str) -> Result<(), ApiError> {
    let (id, customer) = (
        text(invoice, "id").unwrap_or_default(),
        text(invoice, "customer").unwrap_or_default(),
    );
    let currency = text(invoice, "currency").unwrap_or_default();
    change_balance(state, customer, by, currency, kind, &[("invoice", id)])?;
    Ok(())
}

/// The payment intent of an open invoice, and the row that ties them.
fn ask_for_payment(state: &mut State, invoice: &mut Value) {
    let (id, customer) = (text(invoice, "id").unwrap_or_default(), text(invoice, "customer"));
    let payment = Payment {
        amount: number(invoice, "amount_due"),
        currency: text(invoice, "currency").unwrap_or_default(),
        customer,
        method: None,
        invoice: Some(id),
    };
    let mut intent = payments::build(state, &payment);
    intent["description"] = json!(match text(invoice, "billing_reason") {
        Some("subscription_create") => "Subscription creation",
        Some("subscription_cycle" | "subscription_update") => "Subscription update",
        _ => "Payment for Invoice",
    });
    // The method that pays a subscription for the first time is kept for the next.
    if !invoice["parent"].is_null() {
        intent["setup_future_usage"] = json!("off_session");
    }
    let intent = state.create(&PAYMENT_INTENT, intent, "payment_intent.created");
    invoice["_intent"] = intent["id"].clone();
    invoice_payments::open(state, invoice, &intent);
}

/// The invoice is paid: by its intent, out of band, or because nothing was due.
pub(super) fn paid(state: &mut State, id: &str, out_of_band: bool) -> Result<Value, ApiError> {
    let now = state.now_of(state.get(&INVOICE, id, "invoice")?);
    for work in ["invoice.retry", "invoice.overdue", "invoice.will_be_due"] {
        state.due.unschedule(work, id);
    }
    let was_due = number(state.get(&INVOICE, id, "invoice")?, "amount_remaining") > 0;
    let invoice = state.change(&INVOICE, id, "invoice.updated", |invoice| {
        invoice["status"] = json!("paid");
        invoice["attempted"] = json!(true);
        invoice["next_payment_attempt"] = Value::Null;
        invoice["amount_paid"] = json!(number(invoice, "amount_paid") + number(invoice, "amount_remaining"));
        if out_of_band {
            invoice["amount_paid_off_stripe"] = invoice["amount_remaining"].clone();
            invoice["_out_of_band"] = json!(true);
        }
        invoice["amount_remaining"] = json!(0);
        invoice["status_transitions"]["paid_at"] = json!(now);
        Ok(())
    })?;
    if was_due && !out_of_band {
        invoice_payments::paid(state, id)?;
    }
    state.emit("invoice.paid", &invoice);
    state.emit("invoice.payment_succeeded", &invoice);
    collect::note_delinquency(state, &invoice)?;
    subscriptions::invoice_settled(state, &invoice, Fate::Paid)?;
    Ok(invoice)
}

/// Sends an open invoice; a draft is finalized first.
///
/// # Errors
/// No such invoice.
pub fn send(state: &mut State, id: &str) -> Result<Value, ApiError> {
    if state.get(&INVOICE, id, "invoice")?["status"] == "draft" {
        finalize(state, id)?;
    }
    let invoice = state.get(&INVOICE, id, "invoice")?.clone();
    state.emit("invoice.sent", &invoice);
    Ok(invoice)
}

fn end(state: &mut State, id: &str, status: &str, from: &[&str]) -> Result<Value, ApiError> {
    let invoice = state.get(&INVOICE, id, "invoice")?.clone();
    if !from.iter().any(|status| invoice["status"] == *status) {
        let now = text(&invoice, "status").unwrap_or_default();
        let message = format!("You can only pass in open invoices. This invoice isn't open; it is {now}.");
        return Err(ApiError::state("invoice_not_open", message));
    }
    let now = state.now_of(&invoice);
    for work in [
        "invoice.finalize",
        "invoice.retry",
        "invoice.overdue",
        "invoice.will_be_due",
    ] {
        state.due.unschedule(work, id);
    }
    let transition = format!(
        "{}_at",
        if status == "void" {
            "voided"
        } else {
            "marked_uncollectible"
        }
    );
    let ended = state.change(&INVOICE, id, "invoice.updated", |invoice| {
        invoice["status"] = json!(status);
        invoice["next_payment_attempt"] = Value::Null;
        invoice["auto_advance"] = json!(false);
        invoice["status_transitions"][transition] = json!(now);
        Ok(())
    })?;
    Ok(ended)
}

/// Voids an invoice: nothing is owed, what it took from the balance comes back.
///
/// # Errors
/// It is a draft, or over.
pub fn void(state: &mut State, id: &str) -> Result<Value, ApiError> {
    let voided = end(state, id, "void", &["open", "uncollectible"])?;
    withdraw_payment(state, id)?;
    let back = number(&voided, "starting_balance") - number(&voided, "ending_balance");
    if back != 0 {
        move_balance(state, &voided, back, "unapplied_from_invoice")?;
    }
    state.emit("invoice.voided", &voided);
    collect::note_delinquency(state, &voided)?;
    subscriptions::invoice_settled(state, &voided, Fate::Voided)?;
    state.get(&INVOICE, id, "invoice").cloned()
}

/// Gives an invoice up; it can still be paid.
///
/// # Errors
/// It is a draft, or over.
pub fn mark_uncollectible(state: &mut State, id: &str) -> Result<Value, ApiError> {
    let given_up = end(state, id, "uncollectible", &["open"])?;
    state.emit("invoice.marked_uncollectible", &given_up);
    collect::note_delinquency(state, &given_up)?;
    subscriptions::invoice_settled(state, &given_up, Fate::GivenUp)?;
    state.get(&INVOICE, id, "invoice").cloned()
}

/// The intent of an invoice that is not to be paid any more, or not through it.
pub(super) fn withdraw_payment(state: &mut State, id: &str) -> Result<(), ApiError> {
    let invoice = state.get(&INVOICE, id, "invoice")?.clone();
    if let Some(intent) = text(&invoice, "_intent") {
        let status = state
            .look(&PAYMENT_INTENT, intent)
            .and_then(|intent| text(intent, "status"));
        if status.is_some_and(|status| status.starts_with("requires_")) {
            payments::cancel(state, intent, Some("void_invoice"))?;
        }
    }
    invoice_payments::canceled(state, id)
}

/// Removes a draft; its invoice items wait for another.
///
/// # Errors
/// No draft.
pub fn delete(state: &mut State, id: &str) -> Result<Value, ApiError> {
    let invoice = state.get(&INVOICE, id, "invoice")?.clone();
    if invoice["status"] != "draft" {
        let message = "You can only delete draft invoices; void the invoice instead.";
        return Err(ApiError::state("invoice_not_editable", message));
    }
    for line in items(&invoice, "_all_lines") {
        if let Some(item) = super::invoice_item_of(line) {
            crate::families::invoice_items::release(state, item)?;
        }
    }
    state.due.unschedule("invoice.finalize", id);
    state.remove(&INVOICE, id, "invoice.deleted", true)
}

/// Work: the due date has passed.
pub(super) fn overdue(state: &mut State, id: &str) -> Result<(), ApiError> {
    if let Some(invoice) = state
        .look(&INVOICE, id)
        .filter(|invoice| invoice["status"] == "open")
        .cloned()
    {
        state.emit("invoice.overdue", &invoice);
        collect::note_delinquency(state, &invoice)?;
        subscriptions::invoice_settled(state, &invoice, Fate::Failed { last: false })?;
    }
    Ok(())
}

/// Work: the due date is near.
pub(super) fn will_be_due(state: &mut State, id: &str) -> Result<(), ApiError> {
    if let Some(invoice) = state
        .look(&INVOICE, id)
        .filter(|invoice| invoice["status"] == "open")
        .cloned()
    {
        state.emit("invoice.will_be_due", &invoice);
    }
    Ok(())
}

/// Says that a draft is there which its caller finalizes at once.
pub(crate) fn announce_now(state: &mut State, id: &str) -> Result<Value, ApiError> {
    let mut invoice = state.get(&INVOICE, id, "invoice")?.clone();
    invoice["auto_advance"] = json!(true);
    Ok(state.create(&INVOICE, invoice, "invoice.created"))
}

/// Changes the lines of a draft.
///
/// # Errors
/// No draft.
pub(crate) fn edit_lines(state: &mut State, id: &str, edit: impl FnOnce(&mut Vec<Value>)) -> Result<Value, ApiError> {
    let mut new = state.get(&INVOICE, id, "invoice")?.clone();
    if new["status"] != "draft" {
        let message = "Only the lines of a draft can be changed.";
        return Err(ApiError::state("invoice_not_editable", message));
    }
    let mut lines = items(&new, "_all_lines").to_vec();
    edit(&mut lines);
    new["_all_lines"] = Value::Array(lines);
    compute(state, &mut new);
    state.change(&INVOICE, id, "invoice.updated", |invoice| {
        *invoice = new;
        Ok(())
    })
}

/// The subscription of an invoice has ended: nobody collects it any more. A first one that was never paid is void.
pub(crate) fn stop(state: &mut State, id: &str, voids: bool) -> Result<(), ApiError> {
    for work in ["invoice.finalize", "invoice.retry"] {
        state.due.unschedule(work, id);
    }
    if voids && state.get(&INVOICE, id, "invoice")?["status"] == "open" {
        void(state, id)?;
        return Ok(());
    }
    state.change(&INVOICE, id, "invoice.updated", |invoice| {
        invoice["auto_advance"] = json!(false);
        invoice["automatically_finalizes_at"] = Value::Null;
        invoice["next_payment_attempt"] = Value::Null;
        Ok(())
    })?;
    Ok(())
}

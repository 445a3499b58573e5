//! The invoices of a subscription.

use serde_json::{Value, json};

use super::discounts::{active, use_up};
use super::items::metered;
use super::shape::{keep, period};
use super::{Behavior, SUBSCRIPTION};
use crate::families::customers::CUSTOMER;
use crate::families::invoice_items::{self, INVOICE_ITEM};
use crate::families::invoices::{self, Draft, Pay};
use crate::families::payments::Settled;
use crate::shape::read::{items, number, text};
use crate::state::State;
use crate::wire::error::ApiError;

/// An invoice that is to be made.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bill<'a> {
    /// `subscription_create`, `subscription_cycle`, `subscription_update`.
    pub(super) reason: &'a str,
    /// The period it says it is for.
    pub(super) period: (i64, i64),
    /// Whether discounts of the subscription count and are used up: not for the invoice of a trial.
    pub(super) discounted: bool,
}

/// Drafts an invoice with these lines and all invoice items that wait for one; silent. The subscription is kept with it
/// as its latest.
pub(super) fn draft(
    state: &mut State,
    subscription: &mut Value,
    bill: Bill<'_>,
    mut lines: Vec<Value>,
) -> Result<String, ApiError> {
    let customer = text(subscription, "customer").unwrap_or_default().to_owned();
    let currency = text(subscription, "currency").unwrap_or_default().to_owned();
    let now = state.now_of(subscription);
    let wanted = Draft {
        customer: &customer,
        currency: &currency,
        subscription: Some(subscription),
        reason: bill.reason,
        period: bill.period,
    };
    let mut invoice = invoices::draft(state, &wanted)?;
    let id = text(&invoice, "id").unwrap_or_default().to_owned();
    let pending = pending_items(state, subscription);
    for item in pending.into_iter().rev() {
        lines.insert(0, invoices::of_invoice_item(state, &item));
        invoice_items::take(state, text(&item, "id").unwrap_or_default(), &id)?;
    }
    let discounts = if bill.discounted {
        active(state, subscription, now)
    } else {
        Vec::new()
    };
    invoices::fill(state, &mut invoice, lines, discounts);
    if bill.discounted && bill.reason != "subscription_update" {
        note_ratios(subscription, &invoice);
        use_up(state, subscription, now);
    }
    subscription["latest_invoice"] = json!(id);
    Ok(id)
}

/// At what part of its price each item is billed for this period.
fn note_ratios(subscription: &mut Value, invoice: &Value) {
    for item in subscription["items"]["data"].as_array_mut().into_iter().flatten() {
        let own = |line: &&Value| {
            let details = &line["parent"]["subscription_item_details"];
            details["subscription_item"] == item["id"] && details["proration"] == false
        };
        let Some(line) = items(invoice, "_all_lines").iter().find(own) else {
            continue;
        };
        let gross = number(line, "amount");
        let off: i64 = items(line, "discount_amounts")
            .iter()
            .map(|part| number(part, "amount"))
            .sum();
        item["_ratio"] = if gross > 0 {
            json!([gross - off, gross])
        } else {
            json!([1, 1])
        };
    }
}

/// Invoice items that wait for an invoice of this subscription.
pub(crate) fn pending_items(state: &State, subscription: &Value) -> Vec<Value> {
    state.matching(&INVOICE_ITEM, |item| {
        let bound = text(item, "parent.subscription_details.subscription");
        item["invoice"].is_null()
            && item["customer"] == subscription["customer"]
            && item["currency"] == subscription["currency"]
            && bound.is_none_or(|bound| subscription["id"] == bound)
    })
}

/// The lines of a period that begins: licensed items in advance. In a trial they cost nothing.
pub(crate) fn fresh_lines(state: &mut State, subscription: &Value, trial: bool) -> Vec<Value> {
    let span = period(subscription);
    let mut lines = Vec::new();
    for item in items(subscription, "items") {
        if !metered(item) {
            let quantity = number(item, "quantity");
            lines.push(invoices::of_item(state, subscription, item, span, quantity, trial));
        }
    }
    lines
}

/// The lines of a period that ends: metered items for what was used in it.
pub(crate) fn used_lines(state: &mut State, subscription: &Value, (start, end): (i64, i64)) -> Vec<Value> {
    let mut lines = Vec::new();
    for item in items(subscription, "items") {
        if metered(item) {
            let used = usage(state, subscription, item, (start, end));
            lines.push(invoices::of_item(state, subscription, item, (start, end), used, false));
        }
    }
    lines
}

/// What the meter of an item's price has counted for the customer from `start` until before `end`.
fn usage(state: &State, subscription: &Value, item: &Value, (start, end): (i64, i64)) -> i64 {
    let Some(meter) = text(item, "price.recurring.meter").and_then(|id| state.objects.find(id)) else {
        return 0;
    };
    let customer_key = text(meter, "customer_mapping.event_payload_key").unwrap_or("stripe_customer_id");
    let value_key = text(meter, "value_settings.event_payload_key").unwrap_or("value");
    let formula = text(meter, "default_aggregation.formula").unwrap_or("sum");
    let own = state.objects.newest("billing.meter_event").filter(|event| {
        let at = number(event, "timestamp");
        event["event_name"] == meter["event_name"]
            && event["payload"][customer_key] == subscription["customer"]
            && event["_canceled"] != true
            && (start..end).contains(&at)
    });
    let values = own.map(|event| {
        let value = &event["payload"][value_key];
        value.as_i64().or_else(|| value.as_str()?.parse().ok()).unwrap_or(0)
    });
    match formula {
        "count" => i64::try_from(values.count()).unwrap_or(i64::MAX),
        "last" => values.into_iter().next().unwrap_or(0),
        "max" => values.max().unwrap_or(0),
        _ => values.sum(),
    }
}

/// Finalizes the invoice of a call and collects it as the call says.
///
/// # Errors
/// Nothing to pay with, or an incomplete payment where there must be none.
pub(super) fn collect(
    state: &mut State,
    invoice: &str,
    behavior: Behavior,
    pay: &Pay<'_>,
) -> Result<Settled, ApiError> {
    let open = invoices::finalize(state, invoice)?;
    if open["status"] != "open" {
        return Ok(Settled::Paid);
    }
    if open["collection_method"] == "send_invoice" {
        invoices::send(state, invoice)?;
        return Ok(Settled::Processing);
    }
    if behavior == Behavior::DefaultIncomplete {
        return Ok(Settled::NeedsAction);
    }
    let reason = text(&open, "billing_reason").unwrap_or_default();
    if pay.method.is_none() && invoices::method_of(state, &open).is_none() && reason != "subscription_create" {
        // An update without anything to pay with leaves its invoice unpaid.
        if behavior != Behavior::ErrorIfIncomplete {
            return Ok(Settled::NeedsAction);
        }
    }
    let (_, settled) = invoices::pay(state, invoice, pay).map_err(|error| {
        if error.code.as_deref() == Some("resource_missing") {
            let message = "This customer has no attached payment source or default payment method. Please consider \
                           adding a default payment method.";
            return ApiError::invalid(message).code("resource_missing");
        }
        error
    })?;
    match (&settled, behavior) {
        (Settled::Declined(error), Behavior::ErrorIfIncomplete) => Err(error.clone()),
        (Settled::NeedsAction, Behavior::ErrorIfIncomplete) => {
            let words = "Payment for this subscription requires additional user action before it can be completed.";
            Err(ApiError::card(
                "subscription_payment_intent_requires_action",
                None,
                words,
            ))
        }
        _ => Ok(settled),
    }
}

/// Changes fields of a subscription by an event of its own.
pub(super) fn change(state: &mut State, id: &str, edit: impl FnOnce(&mut Value)) -> Result<Value, ApiError> {
    let old = state.get(&SUBSCRIPTION, id, "subscription")?.clone();
    let mut new = old.clone();
    edit(&mut new);
    keep(state, &old, &new, "customer.subscription.updated");
    Ok(new)
}

/// Whether there is anything a renewal could be charged to.
pub(super) fn can_pay(state: &State, subscription: &Value) -> bool {
    let own = text(subscription, "default_payment_method").or_else(|| text(subscription, "default_source"));
    let customer = text(subscription, "customer").unwrap_or_default();
    let known = state.look(&CUSTOMER, customer).is_some();
    own.is_some() || (known && crate::families::payment_methods::default_of(state, customer).is_some())
}

/// A subscription as it stands.
pub(super) fn kept(state: &State, id: &str) -> Result<Value, ApiError> {
    state.get(&SUBSCRIPTION, id, "subscription").cloned()
}

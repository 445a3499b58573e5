//! What an invoice would be.
//!
//! A preview makes the subscription, its prorations and its lines as the calls would, in the open step, and keeps none.

use serde_json::{Value, json};

use super::INVOICE;
use super::lines::of_invoice_item;
use super::shape::blank;
use super::totals::compute;
use crate::families::coupons::{self, Holder};
use crate::families::customers::CUSTOMER;
use crate::families::invoice_items;
use crate::families::subscriptions::{
    self, Change, Proration, SUBSCRIPTION, active, change_of, fresh_lines, pending_items, planned, prorations_of,
};
use crate::shape::read::{items, number, text};
use crate::state::State;
use crate::wire::call::{Outcome, Request};
use crate::wire::error::ApiError;
use crate::wire::params::Params;

/// The next invoice of a subscription as it stands.
pub(crate) fn upcoming_of(state: &mut State, subscription: &Value) -> Result<Value, ApiError> {
    let next = subscriptions::next_period(subscription);
    let pending = pending_items(state, subscription);
    let mut lines: Vec<Value> = pending.iter().map(|item| of_invoice_item(state, item)).collect();
    lines.extend(fresh_lines(state, &next, false));
    assemble(state, &next, lines, None)
}

fn assemble(
    state: &mut State,
    subscription: &Value,
    lines: Vec<Value>,
    discounts: Option<Vec<Value>>,
) -> Result<Value, ApiError> {
    let customer = text(subscription, "customer").unwrap_or_default().to_owned();
    let currency = text(subscription, "currency").unwrap_or("usd").to_owned();
    let now = state.now_for(Some(&customer));
    let id = state.ids.next("upcoming_in_1", 23);
    let mut invoice = blank(state, &id, &customer, &currency, now);
    let has_subscription = subscription["object"] == "subscription";
    invoice["billing_reason"] = json!(if has_subscription { "upcoming" } else { "manual" });
    if has_subscription {
        let start = number(subscription, "items.data.0.current_period_start");
        (invoice["period_start"], invoice["period_end"]) = (json!(now.min(start)), json!(start));
        invoice["next_payment_attempt"] = json!(start + super::life::DRAFT_SECONDS);
        invoice["parent"] = json!({
            "quote_details": null,
            "subscription_details": {
                "metadata": subscription["metadata"], "subscription": subscription["id"],
                "subscription_proration_date": null,
            },
            "type": "subscription_details",
        });
        for name in ["collection_method", "default_tax_rates"] {
            invoice[name] = subscription[name].clone();
        }
    }
    let discounts = discounts.unwrap_or_else(|| active(state, subscription, now));
    let ids: Vec<&Value> = discounts.iter().map(|discount| &discount["id"]).collect();
    invoice["discounts"] = json!(ids);
    invoice["_discounts"] = json!(discounts);
    invoice["_all_lines"] = Value::Array(lines);
    compute(state, &mut invoice);
    Ok(invoice)
}

pub(super) fn create_preview(state: &mut State, request: &Request) -> Outcome {
    let params = request.params();
    let details = params.object("subscription_details");
    let change = |state: &mut State, old: &Value| match &details {
        Some(given) => change_of(state, given, old),
        None => Ok(Change::default()),
    };
    preview(state, &params, change)
}

/// The older call: the same by names of one level.
pub(super) fn upcoming(state: &mut State, request: &Request) -> Outcome {
    let params = request.params();
    let mut tree = serde_json::Map::new();
    for (name, value) in &request.tree {
        if let Some(bare) = name.strip_prefix("subscription_") {
            tree.insert(bare.to_owned(), value.clone());
        }
    }
    preview(state, &params, |state, old| change_of(state, &Params::new(&tree), old))
}

fn preview(
    state: &mut State,
    params: &Params<'_>,
    change: impl FnOnce(&mut State, &Value) -> Result<Change, ApiError>,
) -> Outcome {
    let old = match params.text("subscription") {
        Some(id) => state.get(&SUBSCRIPTION, id, "subscription")?.clone(),
        None => {
            let customer = params.required("customer")?;
            let found = state.get(&CUSTOMER, customer, "customer")?;
            json!({"customer": found["id"], "currency": params.text("currency").or(text(found, "currency"))})
        }
    };
    let customer = text(&old, "customer").unwrap_or_default().to_owned();
    let mut lines = Vec::new();
    for item in pending_items(state, &old) {
        lines.push(of_invoice_item(state, &item));
    }
    for given in params.objects("invoice_items") {
        let item = invoice_items::build(state, &given, &customer)?;
        lines.push(of_invoice_item(state, &item));
    }
    let mut shown = old.clone();
    if old["object"] == "subscription" {
        let change = change(state, &old)?;
        let (new, anew) = planned(state, &old, &change)?;
        let at = change.proration_date.unwrap_or_else(|| state.now_of(&old));
        if change.proration != Proration::None {
            for part in prorations_of(state, &old, &new, anew, at) {
                lines.push(of_invoice_item(state, &part));
            }
        }
        if anew {
            shown = new;
            lines.extend(fresh_lines(state, &shown, false));
        } else if change.proration == Proration::Invoice && !lines.is_empty() {
            shown = new;
        } else {
            shown = subscriptions::next_period(&new);
            lines.extend(fresh_lines(state, &shown, false));
        }
    }
    if lines.is_empty() && items(&shown, "items").is_empty() {
        let message = format!("No upcoming invoices for customer: {customer}");
        return Err(ApiError::invalid(message).code("invoice_upcoming_none"));
    }
    let mut discounts = None;
    if params.has("discounts") || params.has("coupon") {
        let mut given = Vec::new();
        let holder = Holder {
            customer: &customer,
            ..Holder::default()
        };
        let named = params.objects("discounts");
        let coupons = named
            .iter()
            .filter_map(|one| one.text("coupon"))
            .chain(params.text("coupon"));
        for coupon in coupons {
            given.push(coupons::redeem(state, coupon, holder, "discounts[0][coupon]")?);
        }
        discounts = Some(given);
    }
    let shown = assemble(state, &shown, lines, discounts)?;
    state.forget_step();
    debug_assert!(state.look(&INVOICE, text(&shown, "id").unwrap_or_default()).is_none());
    Ok(shown.into())
}

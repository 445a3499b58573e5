//! Changes to a subscription, with their prorations and their invoice.

use serde_json::{Value, json};

use super::billing::{Bill, collect, draft, fresh_lines, kept};
use super::clockwork::{in_trial, pause_after_trial, schedule};
use super::discounts::{self, Reduction};
use super::items::{self, Wanted};
use super::proration::{Proration, part};
use super::shape::{interval, keep, over, period, period_at, set_period};
use super::{Behavior, SUBSCRIPTION, billing};
use crate::families::coupons::Holder;
use crate::families::invoice_items;
use crate::families::invoices::{self, Pay};
use crate::families::payment_methods;
use crate::families::payments::Settled;
use crate::shape::read::{items as list, number, text};
use crate::state::State;
use crate::wire::error::ApiError;

/// How long an update waits for its payment, in seconds.
const PENDING_SECONDS: i64 = 23 * 3_600;

/// When a trial is to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TrialEnd {
    /// Now.
    Now,
    /// Then.
    At(i64),
}

/// A change to one item, or a new one.
#[derive(Clone, Debug, Default)]
pub struct ItemChange {
    /// Which; a new one when there is none.
    pub id: Option<String>,
    /// Its new price.
    pub price: Option<String>,
    /// Its new quantity.
    pub quantity: Option<i64>,
    /// It goes.
    pub deleted: bool,
    /// Keys that are set or, empty, removed.
    pub metadata: Option<serde_json::Map<String, Value>>,
    /// Ids of its tax rates.
    pub tax_rates: Option<Vec<String>>,
    /// Its discounts.
    pub discounts: Option<Vec<Reduction>>,
}

/// What is to change. What is not named stays.
#[derive(Clone, Debug, Default)]
pub struct Change {
    /// Items by their ids; items that are not named stay.
    pub items: Vec<ItemChange>,
    /// What becomes of the difference.
    pub proration: Proration,
    /// From when it counts; now when nothing is said.
    pub proration_date: Option<i64>,
    /// It ends with its period, or goes on.
    pub cancel_at_period_end: Option<bool>,
    /// It ends then, or not.
    pub cancel_at: Option<Option<i64>>,
    /// When its trial ends.
    pub trial_end: Option<TrialEnd>,
    /// Its period begins anew.
    pub anchor_now: bool,
    /// All its discounts.
    pub discounts: Option<Vec<Reduction>>,
    /// What pays it; nothing when the inner is none.
    pub method: Option<Option<String>>,
    /// What an incomplete payment means.
    pub behavior: Behavior,
    /// Its owner is there and can be asked.
    pub on_session: bool,
    /// Fields that become what is given: `metadata`, `pause_collection`, `description`, `collection_method`,
    /// `days_until_due`, `payment_settings`, `trial_settings`, `default_tax_rates`, `automatic_tax`.
    pub set: serde_json::Map<String, Value>,
    /// Words of a customer that cancels.
    pub cancellation: serde_json::Map<String, Value>,
}

/// Whether the change begins a new period now, and the subscription as it then stands. Nothing is kept.
pub(crate) fn planned(state: &mut State, old: &Value, change: &Change) -> Result<(Value, bool), ApiError> {
    let now = state.now_of(old);
    let mut new = old.clone();
    for (name, value) in &change.set {
        new[name.as_str()] = value.clone();
    }
    for (name, value) in &change.cancellation {
        new["cancellation_details"][name.as_str()] = value.clone();
    }
    if let Some(method) = &change.method {
        new["default_payment_method"] = match method {
            Some(id) => payment_methods::resolve(state, id, "default_payment_method")?["id"].clone(),
            None => Value::Null,
        };
    }
    edit_items(state, &mut new, &change.items, now)?;
    set_end(&mut new, change, now);
    let mut anew = change.anchor_now || interval(&new) != interval(old);
    match change.trial_end {
        Some(TrialEnd::Now) if in_trial(old) => {
            new["trial_end"] = json!(now);
            anew = true;
        }
        Some(TrialEnd::At(at)) if at > now => {
            if old["trial_start"].is_null() || !in_trial(old) {
                new["trial_start"] = json!(now);
            }
            new["trial_end"] = json!(at);
            new["status"] = json!("trialing");
            new["billing_cycle_anchor"] = json!(at);
            let start = if in_trial(old) { period(old).0 } else { now };
            set_period(&mut new, (start, at));
            return Ok((new, false));
        }
        _ => {}
    }
    let anew = anew && (!in_trial(old) || change.trial_end == Some(TrialEnd::Now));
    if anew {
        new["billing_cycle_anchor"] = json!(now);
        if in_trial(old) {
            new["status"] = json!("active");
        }
        let (_, end) = period_at(&new, now);
        set_period(&mut new, (now, end));
    } else {
        set_period(&mut new, period(old));
    }
    Ok((new, anew))
}

fn set_end(new: &mut Value, change: &Change, now: i64) {
    if let Some(ends) = change.cancel_at_period_end {
        let at = ends.then(|| period(new).1);
        new["cancel_at_period_end"] = json!(ends);
        new["cancel_at"] = json!(at);
        new["canceled_at"] = json!(at.map(|_| now));
    }
    if let Some(at) = change.cancel_at {
        new["cancel_at_period_end"] = json!(false);
        new["cancel_at"] = json!(at);
        new["canceled_at"] = json!(at.map(|_| now));
    }
    let requested = new["canceled_at"].is_number().then_some("cancellation_requested");
    if change.cancel_at_period_end.is_some() || change.cancel_at.is_some() {
        new["cancellation_details"]["reason"] = json!(requested);
    }
}

fn edit_items(state: &mut State, new: &mut Value, changes: &[ItemChange], now: i64) -> Result<(), ApiError> {
    let id = text(new, "id").unwrap_or_default().to_owned();
    let customer = text(new, "customer").unwrap_or_default().to_owned();
    let mut all = list(new, "items").to_vec();
    for change in changes {
        let at = match &change.id {
            Some(item) => {
                let at = all.iter().position(|known| known["id"] == item.as_str());
                at.ok_or_else(|| ApiError::no_such("subscription_item", item, "items[0][id]"))?
            }
            None => {
                let wanted = Wanted {
                    price: change
                        .price
                        .clone()
                        .ok_or_else(|| ApiError::missing("items[0][price]"))?,
                    quantity: change.quantity,
                    ..Wanted::default()
                };
                all.push(items::make(state, &id, &wanted, now)?);
                all.len() - 1
            }
        };
        if change.deleted {
            all.remove(at);
            continue;
        }
        edit_item(state, &mut all[at], change, (&id, &customer))?;
    }
    new["items"]["data"] = Value::Array(all);
    items::check(new)?;
    new["currency"] = new["items"]["data"][0]["price"]["currency"].clone();
    Ok(())
}

fn edit_item(
    state: &mut State,
    item: &mut Value,
    change: &ItemChange,
    (subscription, customer): (&str, &str),
) -> Result<(), ApiError> {
    if let Some(price) = &change.price
        && item["price"]["id"] != price.as_str()
    {
        let price = items::recurring(state, price)?;
        items::set_price(item, &price);
    }
    if !items::metered(item) {
        let quantity = change.quantity.or_else(|| item["quantity"].as_i64()).unwrap_or(1);
        item["quantity"] = json!(quantity);
    }
    for (key, value) in change.metadata.iter().flatten() {
        match (item["metadata"].as_object_mut(), value.as_str()) {
            (Some(kept), Some("")) => drop(kept.remove(key)),
            (Some(kept), _) => drop(kept.insert(key.clone(), value.clone())),
            (None, _) => {}
        }
    }
    if let Some(ids) = &change.tax_rates {
        item["tax_rates"] = items::rates(state, ids, "items[0][tax_rates]")?;
    }
    if let Some(wanted) = &change.discounts {
        let id = text(item, "id").unwrap_or_default().to_owned();
        let owner = Holder {
            customer,
            subscription: Some(subscription),
            item: Some(&id),
            promotion_code: None,
        };
        discounts::set(state, item, owner, wanted)?;
    }
    Ok(())
}

/// The credits and debits between two states of a subscription, not kept yet.
pub(crate) fn prorations_of(state: &mut State, old: &Value, new: &Value, anew: bool, at: i64) -> Vec<Value> {
    let mut parts = Vec::new();
    if in_trial(old) {
        return parts;
    }
    let begins_trial = in_trial(new);
    let (start, end) = period(old);
    let same = |one: &Value, other: &Value| {
        one["id"] == other["id"] && one["price"]["id"] == other["price"]["id"] && one["quantity"] == other["quantity"]
    };
    let (before, after) = (list(old, "items"), list(new, "items"));
    for item in before {
        if anew || begins_trial || !after.iter().any(|other| same(item, other)) {
            parts.extend(part(state, old, item, (at, start, end), true));
        }
    }
    if !anew && !begins_trial {
        for item in after {
            if !before.iter().any(|other| same(item, other)) {
                parts.extend(part(state, new, item, (at, start, end), false));
            }
        }
    }
    parts
}

/// Changes a subscription.
///
/// # Errors
/// It is over, something wrong is named, or a payment must be complete and is not.
pub fn update(state: &mut State, id: &str, change: &Change) -> Result<Value, ApiError> {
    let old = state.get(&SUBSCRIPTION, id, "id")?.clone();
    if over(&old) {
        let message = "A canceled subscription can only update its cancellation_details and metadata.";
        let words_only = change.items.is_empty() && change.trial_end.is_none() && !change.anchor_now;
        if !words_only {
            return Err(ApiError::invalid(message));
        }
    }
    let (mut new, anew) = planned(state, &old, change)?;
    if let Some(wanted) = &change.discounts {
        let customer = text(&old, "customer").unwrap_or_default().to_owned();
        let owner = Holder {
            customer: &customer,
            subscription: Some(id),
            ..Holder::default()
        };
        discounts::set(state, &mut new, owner, wanted)?;
    }
    let at = change.proration_date.unwrap_or_else(|| state.now_of(&old));
    let prorated = if change.proration == Proration::None {
        Vec::new()
    } else {
        prorations_of(state, &old, &new, anew, at)
    };
    let bills = anew || (change.proration == Proration::Invoice && !prorated.is_empty());
    // A trial that is ended now, without anything to pay with, ends as it says.
    if anew && in_trial(&old) && !billing::can_pay(state, &old) && old["collection_method"] == "charge_automatically" {
        let ends = text(&old, "trial_settings.end_behavior.missing_payment_method");
        if ends == Some("pause") {
            super::billing::change(state, id, |kept| kept["trial_end"] = new["trial_end"].clone())?;
            pause_after_trial(state, id)?;
            return kept(state, id);
        }
        if ends == Some("cancel") {
            return super::cancel::end(state, id, &super::Cancel::default());
        }
    }
    for part in prorated {
        invoice_items::keep(state, part);
    }
    if !bills {
        keep(state, &old, &new, "customer.subscription.updated");
        schedule(state, &new);
        return Ok(new);
    }
    if change.behavior == Behavior::PendingIfIncomplete {
        return when_paid(state, &old, new, anew, change.on_session);
    }
    let invoice = bill(state, &mut new, anew)?;
    keep(state, &old, &new, "customer.subscription.updated");
    schedule(state, &new);
    collect_update(state, id, &invoice, change.behavior, change.on_session)?;
    kept(state, id)
}

fn bill(state: &mut State, new: &mut Value, anew: bool) -> Result<String, ApiError> {
    let now = state.now_of(new);
    let lines = if anew {
        fresh_lines(state, new, false)
    } else {
        Vec::new()
    };
    let bill = Bill {
        reason: "subscription_update",
        period: (now, now),
        discounted: true,
    };
    draft(state, new, bill, lines)
}

fn collect_update(
    state: &mut State,
    id: &str,
    invoice: &str,
    behavior: Behavior,
    on_session: bool,
) -> Result<Settled, ApiError> {
    invoices::announce_now(state, invoice)?;
    let pay = Pay {
        method: None,
        on_session,
        out_of_band: false,
    };
    let settled = collect(state, invoice, behavior, &pay)?;
    // Nobody tried, or nobody could: what is owed is late.
    let subscription = state.get(&SUBSCRIPTION, id, "id")?;
    let pending = subscription["_pending"].is_object();
    if settled == Settled::NeedsAction && subscription["status"] == "active" && !pending {
        billing::change(state, id, |subscription| subscription["status"] = json!("past_due"))?;
    }
    Ok(settled)
}

/// An update that only a complete payment lets happen.
fn when_paid(state: &mut State, old: &Value, new: Value, anew: bool, on_session: bool) -> Result<Value, ApiError> {
    let id = text(old, "id").unwrap_or_default().to_owned();
    let mut billed = new.clone();
    let invoice = bill(state, &mut billed, anew)?;
    let mut waiting = old.clone();
    let until = state.now_of(old) + PENDING_SECONDS;
    waiting["latest_invoice"] = json!(invoice);
    waiting["pending_update"] = json!({
        "billing_cycle_anchor": null, "discount": null, "discounts": null, "expires_at": until, "metadata": null,
        "subscription_items": new["items"]["data"], "trial_end": null, "trial_from_plan": null,
    });
    waiting["_pending"] = json!({"invoice": invoice, "wanted": billed});
    state.put(&SUBSCRIPTION, waiting.clone());
    collect_update(state, &id, &invoice, Behavior::PendingIfIncomplete, on_session)?;
    let stands = kept(state, &id)?;
    if stands["_pending"].is_object() {
        state.schedule(&stands, until, "subscription.pending_expire");
        keep(state, old, &stands, "customer.subscription.updated");
    }
    Ok(stands)
}

/// The payment of an update that waited has come.
pub(super) fn apply_pending(state: &mut State, id: &str, invoice: &Value) -> Result<(), ApiError> {
    let old = state.get(&SUBSCRIPTION, id, "id")?.clone();
    if old["_pending"]["invoice"].is_null() || old["_pending"]["invoice"] != invoice["id"] {
        return Ok(());
    }
    let mut new = old["_pending"]["wanted"].clone();
    new["latest_invoice"] = old["latest_invoice"].clone();
    (new["pending_update"], new["_pending"]) = (Value::Null, Value::Null);
    // An update that was paid after its period has ended goes on with the period that is.
    if period(&old).1 > period(&new).1 || number(&old, "items.data.0.current_period_end") == 0 {
        set_period(&mut new, period(&old));
    }
    state.due.unschedule("subscription.pending_expire", id);
    keep(state, &old, &new, "customer.subscription.updated");
    state.emit("customer.subscription.pending_update_applied", &new);
    schedule(state, &new);
    Ok(())
}

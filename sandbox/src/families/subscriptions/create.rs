//! A new subscription.

use serde_json::{Value, json};

use super::billing::{Bill, collect, draft, fresh_lines};
use super::clockwork::schedule;
use super::discounts::{self, Reduction};
use super::items::{self, Wanted};
use super::proration::Proration;
use super::shape::{blank, interval, period_at, set_period};
use super::{SUBSCRIPTION, billing};
use crate::families::coupons::Holder;
use crate::families::customers::CUSTOMER;
use crate::families::invoices::{self, Pay};
use crate::families::payment_methods;
use crate::shape::calendar::period_end;
use crate::shape::money::share;
use crate::shape::read::{number, text};
use crate::state::State;
use crate::wire::error::ApiError;

/// How long a first invoice waits for its payment, in seconds.
const INCOMPLETE_SECONDS: i64 = 23 * 3_600;

/// What a payment that is not complete means.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Behavior {
    /// It is tried; the subscription stays, incomplete or past due.
    #[default]
    AllowIncomplete,
    /// It is not tried: a page will.
    DefaultIncomplete,
    /// It is an error, and nothing happens.
    ErrorIfIncomplete,
    /// An update waits for it.
    PendingIfIncomplete,
}

/// A subscription that is wanted.
#[derive(Clone, Debug, Default)]
pub struct New {
    /// Whose.
    pub customer: String,
    /// At least one.
    pub items: Vec<Wanted>,
    /// Until when it is free.
    pub trial_end: Option<i64>,
    /// For how many days it is free.
    pub trial_days: Option<i64>,
    /// `create_invoice`, `cancel` or `pause`; the first when nothing is said.
    pub trial_missing: Option<String>,
    /// Discounts of the whole.
    pub discounts: Vec<Reduction>,
    /// Metadata; null is none.
    pub metadata: Value,
    /// What pays it.
    pub method: Option<String>,
    /// What an incomplete payment means.
    pub behavior: Behavior,
    /// Its owner is there and can be asked.
    pub on_session: bool,
    /// Invoices are sent, and due after so many days.
    pub days_until_due: Option<i64>,
    /// Invoices are sent.
    pub sends: bool,
    /// When periods begin; now, or the end of the trial, when nothing is said.
    pub anchor: Option<i64>,
    /// Whether time before the anchor costs.
    pub proration: Proration,
    /// When it ends.
    pub cancel_at: Option<i64>,
    /// It ends with its first period.
    pub cancel_at_period_end: bool,
    /// Ids of tax rates of all items.
    pub tax_rates: Vec<String>,
    /// Fields that are kept as they are given: `description`, `payment_settings`, `automatic_tax`, `invoice_settings`.
    pub more: serde_json::Map<String, Value>,
    /// `flexible`; classic when not.
    pub flexible: bool,
    /// Lines of its first invoice alone.
    pub lines: Vec<Value>,
}

/// The subscription as it will begin, not kept, and without an invoice.
pub(crate) fn plan(state: &mut State, new: &New) -> Result<Value, ApiError> {
    let customer = state.get(&CUSTOMER, &new.customer, "customer")?.clone();
    let now = state.now_of(&customer);
    let id = state.new_id(&SUBSCRIPTION);
    let mut subscription = blank(&id, &customer, now);
    let mut made = Vec::new();
    for wanted in &new.items {
        made.push(items::make(state, &id, wanted, now)?);
    }
    subscription["items"]["data"] = Value::Array(made);
    items::check(&subscription)?;
    subscription["currency"] = subscription["items"]["data"][0]["price"]["currency"].clone();
    if let Some(method) = &new.method {
        let method = payment_methods::resolve(state, method, "default_payment_method")?;
        subscription["default_payment_method"] = method["id"].clone();
    }
    subscription["default_tax_rates"] = items::rates(state, &new.tax_rates, "default_tax_rates")?;
    if new.metadata.is_object() {
        subscription["metadata"] = new.metadata.clone();
    }
    for (name, value) in &new.more {
        let target = &mut subscription[name.as_str()];
        match (target.as_object_mut(), value.as_object()) {
            (Some(fields), Some(given)) => fields.extend(given.clone()),
            _ => *target = value.clone(),
        }
    }
    if new.sends {
        subscription["collection_method"] = json!("send_invoice");
        subscription["days_until_due"] = json!(new.days_until_due.unwrap_or(30));
    }
    if new.flexible {
        subscription["billing_mode"] = json!({"flexible": {"proration_discounts": "included"}, "type": "flexible"});
    }
    if let Some(missing) = &new.trial_missing {
        subscription["trial_settings"]["end_behavior"]["missing_payment_method"] = json!(missing);
    }
    let trial_end = new
        .trial_end
        .or_else(|| new.trial_days.map(|days| now + days * 86_400))
        .filter(|end| *end > now);
    let anchor = new.anchor.or(trial_end).unwrap_or(now);
    subscription["billing_cycle_anchor"] = json!(anchor);
    if let Some(end) = trial_end {
        subscription["trial_start"] = json!(now);
        subscription["trial_end"] = json!(end);
        set_period(&mut subscription, (now, end));
    } else {
        let (_, end) = period_at(&subscription, now);
        set_period(&mut subscription, (now, end));
    }
    let paid_first = !new.sends && trial_end.is_none();
    subscription["status"] = json!(match (trial_end, paid_first) {
        (Some(_), _) => "trialing",
        (None, true) => "incomplete",
        (None, false) => "active",
    });
    if new.cancel_at_period_end {
        subscription["cancel_at_period_end"] = json!(true);
        subscription["canceled_at"] = json!(now);
        subscription["cancel_at"] = subscription["items"]["data"][0]["current_period_end"].clone();
    } else if let Some(at) = new.cancel_at {
        subscription["cancel_at"] = json!(at);
        subscription["canceled_at"] = json!(now);
    }
    Ok(subscription)
}

/// Makes a subscription with its first invoice.
///
/// # Errors
/// What is missing or wrong; nothing to pay with; a payment that must be complete and is not.
pub fn create(state: &mut State, new: &New) -> Result<Value, ApiError> {
    let mut subscription = plan(state, new)?;
    let id = text(&subscription, "id").unwrap_or_default().to_owned();
    let now = number(&subscription, "created");
    let owner = Holder {
        customer: &new.customer,
        subscription: Some(&id),
        ..Holder::default()
    };
    discounts::set(state, &mut subscription, owner, &new.discounts)?;
    for (at, wanted) in new.items.iter().enumerate() {
        let mut item = subscription["items"]["data"][at].clone();
        let item_id = text(&item, "id").unwrap_or_default().to_owned();
        let owner = Holder {
            item: Some(&item_id),
            ..owner
        };
        discounts::set(state, &mut item, owner, &wanted.discounts)?;
        subscription["items"]["data"][at] = item;
    }
    let trial = subscription["status"] == "trialing";
    let mut lines = fresh_lines(state, &subscription, trial);
    if !trial {
        prorate_start(&subscription, &mut lines, new.proration);
    }
    lines.extend(new.lines.iter().cloned());
    let bill = Bill {
        reason: "subscription_create",
        period: (now, now),
        discounted: !trial,
    };
    let invoice = draft(state, &mut subscription, bill, lines)?;
    state.put(&SUBSCRIPTION, subscription.clone());
    state.emit("customer.subscription.created", &subscription);
    invoices::announce_now(state, &invoice)?;
    schedule(state, &subscription);
    if subscription["status"] == "incomplete" {
        state.schedule(&subscription, now + INCOMPLETE_SECONDS, "subscription.expire");
    }
    let pay = Pay {
        method: None,
        on_session: new.on_session,
        out_of_band: false,
    };
    collect(state, &invoice, new.behavior, &pay)?;
    billing::kept(state, &id)
}

/// A first period that is shorter than the interval costs its share, or nothing.
fn prorate_start(subscription: &Value, lines: &mut [Value], proration: Proration) {
    let (interval, count) = interval(subscription);
    let (start, end) = super::shape::period(subscription);
    let anchor = number(subscription, "billing_cycle_anchor");
    if anchor <= start {
        return;
    }
    // The whole interval that ends where the first period does.
    let whole = end - period_end(end, &interval, count, -1);
    for line in lines {
        let amount = if proration == Proration::None {
            0
        } else {
            share(number(line, "amount"), end - start, whole)
        };
        line["amount"] = json!(amount);
        line["subtotal"] = json!(amount);
    }
}

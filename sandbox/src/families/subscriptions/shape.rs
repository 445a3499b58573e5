//! How a subscription looks: new, and in older versions; and how its parts are read.

use serde_json::{Map, Value, json};

use super::SUBSCRIPTION;
use crate::shape::calendar::period_around;
use crate::shape::read::{items, number, text};
use crate::shape::render::Downgrade;
use crate::state::State;
use crate::state::events::differences;

/// A subscription without items.
pub(super) fn blank(id: &str, customer: &Value, now: i64) -> Value {
    json!({
        "id": id,
        "object": "subscription",
        "application": null,
        "application_fee_percent": null,
        "automatic_tax": {"disabled_reason": null, "enabled": false, "liability": null},
        "billing_cycle_anchor": now,
        "billing_cycle_anchor_config": null,
        "billing_mode": {"flexible": null, "type": "classic"},
        "billing_schedules": [],
        "billing_thresholds": null,
        "cancel_at": null,
        "cancel_at_period_end": false,
        "canceled_at": null,
        "cancellation_details": {"comment": null, "feedback": null, "reason": null},
        "collection_method": "charge_automatically",
        "created": now,
        "currency": null,
        "customer": customer["id"],
        "customer_account": null,
        "days_until_due": null,
        "default_payment_method": null,
        "default_source": null,
        "default_tax_rates": [],
        "description": null,
        "discounts": [],
        "ended_at": null,
        "invoice_settings": {
            "account_tax_ids": null, "custom_fields": null, "description": null, "footer": null,
            "issuer": {"type": "self"},
        },
        "items": {
            "object": "list", "data": [], "has_more": false, "url": format!("/v1/subscription_items?subscription={id}"),
        },
        "latest_invoice": null,
        "livemode": false,
        "managed_payments": {"enabled": false},
        "metadata": {},
        "next_pending_invoice_item_invoice": null,
        "on_behalf_of": null,
        "pause_collection": null,
        "payment_settings": {
            "payment_method_options": null, "payment_method_types": null, "save_default_payment_method": "off",
        },
        "pending_invoice_item_interval": null,
        "pending_setup_intent": null,
        "pending_update": null,
        "schedule": null,
        "start_date": now,
        "status": "active",
        "status_details": null,
        "test_clock": customer["test_clock"],
        "transfer_data": null,
        "trial_end": null,
        "trial_settings": {"end_behavior": {"missing_payment_method": "create_invoice"}},
        "trial_start": null,
        "_discounts": [],
        "_pending": null,
    })
}

/// How subscriptions and items were before.
pub(super) const DOWNGRADES: &[Downgrade] = &[
    Downgrade {
        before: "2026-09-30",
        object: "subscription",
        apply: |_, subscription| drop(subscription.remove("status_details")),
    },
    Downgrade {
        before: "2026-06-24",
        object: "subscription",
        apply: |_, subscription| {
            for name in ["billing_schedules", "managed_payments"] {
                subscription.remove(name);
            }
            if let Some(settings) = subscription.get_mut("invoice_settings").and_then(Value::as_object_mut) {
                for name in ["custom_fields", "description", "footer"] {
                    settings.remove(name);
                }
            }
        },
    },
    Downgrade {
        before: "2026-03-25",
        object: "subscription",
        apply: |_, subscription| drop(subscription.remove("customer_account")),
    },
    Downgrade {
        before: "2025-06-30",
        object: "subscription",
        apply: |_, subscription| drop(subscription.remove("billing_mode")),
    },
    Downgrade {
        before: "2025-03-31",
        object: "subscription",
        apply: acacia,
    },
    Downgrade {
        before: "2026-09-30",
        object: "subscription_item",
        apply: |_, item| {
            item.remove("billed_until");
            item.remove("current_trial");
        },
    },
    Downgrade {
        before: "2025-03-31",
        object: "subscription_item",
        apply: |_, item| {
            item.remove("current_period_start");
            item.remove("current_period_end");
        },
    },
];

/// The period stood in the subscription, and so did one discount in full.
fn acacia(_: &State, subscription: &mut Map<String, Value>) {
    let first = subscription
        .get("items")
        .map_or(Value::Null, |items| items["data"][0].clone());
    for name in ["current_period_start", "current_period_end"] {
        subscription.insert(name.to_owned(), first[name].clone());
    }
    let discount = subscription.get("_discounts").map_or(Value::Null, |all| all[0].clone());
    subscription.insert("discount".to_owned(), discount);
}

/// Start and end of the period.
pub(super) fn period(subscription: &Value) -> (i64, i64) {
    let item = items(subscription, "items").first().cloned().unwrap_or_default();
    (
        number(&item, "current_period_start"),
        number(&item, "current_period_end"),
    )
}

/// Gives all items this period.
pub(super) fn set_period(subscription: &mut Value, (start, end): (i64, i64)) {
    for item in subscription["items"]["data"].as_array_mut().into_iter().flatten() {
        item["current_period_start"] = json!(start);
        item["current_period_end"] = json!(end);
    }
}

/// Interval and count of its prices.
pub(super) fn interval(subscription: &Value) -> (String, i64) {
    let recurring = &subscription["items"]["data"][0]["price"]["recurring"];
    let interval = text(recurring, "interval").unwrap_or("month").to_owned();
    (interval, number(recurring, "interval_count").max(1))
}

/// The period that holds this moment, counted from the anchor.
pub(super) fn period_at(subscription: &Value, now: i64) -> (i64, i64) {
    let (interval, count) = interval(subscription);
    period_around(number(subscription, "billing_cycle_anchor"), &interval, count, now)
}

/// Whether nothing happens to it any more.
pub(super) fn over(subscription: &Value) -> bool {
    matches!(text(subscription, "status"), Some("canceled" | "incomplete_expired"))
}

/// Keeps a changed subscription and says what changed.
pub(super) fn keep(state: &mut State, old: &Value, new: &Value, event: &str) {
    state.put(&SUBSCRIPTION, new.clone());
    let previous = differences(old, new);
    if !previous.is_empty() {
        state.emit_changed(event, new, Some(Value::Object(previous)));
    }
}

/// The subscription as it will be in its next period; after a trial, active.
pub(crate) fn next_period(subscription: &Value) -> Value {
    let mut next = subscription.clone();
    let (_, end) = period(subscription);
    let span = period_at(subscription, end);
    set_period(&mut next, span);
    next
}

//! Stripe's side of a webhook: signatures and events as Stripe would send them.

use std::time::{SystemTime, UNIX_EPOCH};

use ring::hmac;
use serde_json::{Value, json};

/// The signing secret every test server is started with.
pub(crate) const SECRET: &str = "whsec_test_0123456789abcdef0123456789abcdef";

/// Seconds since the epoch, now.
pub(crate) fn now() -> i64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .expect("a clock after 1970");
    i64::try_from(since.as_secs()).expect("seconds")
}

/// The `Stripe-Signature` header of a body signed now.
pub(crate) fn signature(body: &[u8]) -> String {
    signature_at(SECRET, now(), body)
}

/// The `Stripe-Signature` header of a body signed at `at` with `secret`.
pub(crate) fn signature_at(secret: &str, at: i64, body: &[u8]) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
    let mut context = hmac::Context::with_key(&key);
    context.update(format!("{at}.").as_bytes());
    context.update(body);
    format!("t={at},v1={}", hex::encode(context.sign()))
}

/// A snapshot event around an object.
pub(crate) fn event(id: &str, kind: &str, created: i64, object: &Value) -> Value {
    json!({
        "id": id, "object": "event", "api_version": "2025-09-30.clover", "created": created,
        "data": { "object": object }, "livemode": false, "pending_webhooks": 1,
        "request": { "id": null, "idempotency_key": null }, "type": kind,
    })
}

/// A subscription object of one item; `account` numbers customer, subscription, item and tenant alike.
pub(crate) fn subscription(account: u32, status: &str, quantity: u32, period_start: i64) -> Value {
    let period_end = period_start + 30 * 86_400;
    json!({
        "id": format!("sub_{account:06}"), "object": "subscription", "application": null,
        "automatic_tax": { "enabled": false, "liability": null, "disabled_reason": null },
        "billing_cycle_anchor": period_start, "billing_mode": { "type": "classic" }, "cancel_at": null,
        "cancel_at_period_end": false, "canceled_at": null,
        "cancellation_details": { "comment": null, "feedback": null, "reason": null },
        "collection_method": "charge_automatically", "created": 1_760_000_000, "currency": "usd",
        "customer": format!("cus_{account:06}"), "days_until_due": null, "default_payment_method": null,
        "description": null, "discounts": [], "ended_at": null,
        "items": { "object": "list", "has_more": false, "total_count": 1,
            "url": format!("/v1/subscription_items?subscription=sub_{account:06}"),
            "data": [{
                "id": format!("si_{account:06}"), "object": "subscription_item", "created": 1_760_000_000,
                "current_period_start": period_start, "current_period_end": period_end, "discounts": [],
                "metadata": {}, "price": price(), "quantity": quantity,
                "subscription": format!("sub_{account:06}"), "tax_rates": [],
            }] },
        "latest_invoice": format!("in_{account:06}"), "livemode": false,
        "metadata": { "tenant_id": format!("tenant-{account:06}") },
        "next_pending_invoice_item_invoice": null, "on_behalf_of": null, "pause_collection": null,
        "payment_settings": { "payment_method_options": null, "payment_method_types": null,
            "save_default_payment_method": "off" },
        "pending_setup_intent": null, "pending_update": null, "schedule": null, "start_date": 1_760_000_000,
        "status": status, "test_clock": null, "transfer_data": null, "trial_end": null, "trial_start": null,
        "trial_settings": { "end_behavior": { "missing_payment_method": "create_invoice" } },
    })
}

fn price() -> Value {
    json!({
        "id": "price_pro_monthly", "object": "price", "active": true, "billing_scheme": "per_unit",
        "created": 1_750_000_000, "currency": "usd", "livemode": false, "lookup_key": "pro_monthly",
        "metadata": {}, "nickname": null, "product": "prod_pro",
        "recurring": { "interval": "month", "interval_count": 1, "meter": null, "usage_type": "licensed" },
        "tax_behavior": "unspecified", "tiers_mode": null, "transform_quantity": null, "type": "recurring",
        "unit_amount": 4900, "unit_amount_decimal": "4900",
    })
}

/// A `customer.subscription.updated` (or `.created`) delivery: its id and its bytes.
pub(crate) fn subscription_event(id: &str, created: i64, object: &Value) -> Vec<u8> {
    let event = event(id, "customer.subscription.updated", created, object);
    serde_json::to_vec_pretty(&event).expect("JSON")
}

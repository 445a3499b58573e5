//! How an invoice looks: new, and in older versions.

use serde_json::{Map, Value, json};

use crate::families::customer_money::TAX_ID;
use crate::families::customers::CUSTOMER;
use crate::families::payment_intents::PAYMENT_INTENT;
use crate::families::plans;
use crate::shape::read::{number, text};
use crate::shape::render::Downgrade;
use crate::state::State;

/// A draft without lines.
#[expect(clippy::too_many_lines, reason = "one object, told whole")]
pub(super) fn blank(state: &State, id: &str, customer: &str, currency: &str, now: i64) -> Value {
    let mut invoice = json!({
        "id": id,
        "object": "invoice",
        "account_country": "US",
        "account_name": "Sandbox",
        "account_tax_ids": null,
        "amount_due": 0,
        "amount_overpaid": 0,
        "amount_paid": 0,
        "amount_paid_off_stripe": 0,
        "amount_remaining": 0,
        "amount_shipping": 0,
        "application": null,
        "attempt_count": 0,
        "attempted": false,
        "auto_advance": true,
        "automatic_tax": {"disabled_reason": null, "enabled": false, "liability": null, "provider": null, "status": null},
        "automatically_finalizes_at": null,
        "billing_reason": "manual",
        "collection_method": "charge_automatically",
        "created": now,
        "currency": currency,
        "custom_fields": null,
        "customer": customer,
        "customer_account": null,
        "default_payment_method": null,
        "default_source": null,
        "default_tax_rates": [],
        "description": null,
        "discounts": [],
        "due_date": null,
        "effective_at": null,
        "ending_balance": null,
        "footer": null,
        "from_invoice": null,
        "hosted_invoice_url": null,
        "invoice_pdf": null,
        "issuer": {"type": "self"},
        "last_finalization_error": null,
        "latest_revision": null,
        "lines": {"object": "list", "data": [], "has_more": false, "url": format!("/v1/invoices/{id}/lines")},
        "livemode": false,
        "metadata": {},
        "next_payment_attempt": null,
        "number": null,
        "on_behalf_of": null,
        "parent": null,
        "payment_settings": {"default_mandate": null, "payment_method_options": null, "payment_method_types": null},
        "period_end": now,
        "period_start": now,
        "post_payment_credit_notes_amount": 0,
        "pre_payment_credit_notes_amount": 0,
        "receipt_number": null,
        "rendering": null,
        "shipping_cost": null,
        "shipping_details": null,
        "starting_balance": 0,
        "statement_descriptor": null,
        "status": "draft",
        "status_details": null,
        "status_transitions": {
            "finalized_at": null, "marked_uncollectible_at": null, "paid_at": null, "voided_at": null,
        },
        "subscription": null,
        "subtotal": 0,
        "subtotal_excluding_tax": 0,
        "total": 0,
        "total_discount_amounts": [],
        "total_excluding_tax": 0,
        "total_pretax_credit_amounts": [],
        "total_taxes": [],
        "webhooks_delivered_at": null,
        "_all_lines": [],
        "_discounts": [],
        "_days_until_due": null,
        "_intent": null,
        "_out_of_band": false,
        "_quote": null,
    });
    refresh_customer(state, &mut invoice);
    invoice
}

/// What an invoice says of its customer; drafts follow the customer.
pub(super) fn refresh_customer(state: &State, invoice: &mut Value) {
    let id = text(invoice, "customer").unwrap_or_default().to_owned();
    let customer = state.look(&CUSTOMER, &id).cloned().unwrap_or_default();
    for name in ["address", "email", "name", "phone", "shipping", "tax_exempt"] {
        invoice[format!("customer_{name}")] = customer[name].clone();
    }
    invoice["test_clock"] = customer["test_clock"].clone();
    let own = state.all(&TAX_ID).filter(|tax_id| tax_id["customer"] == id);
    let own: Vec<Value> = own
        .map(|tax_id| json!({"type": tax_id["type"], "value": tax_id["value"]}))
        .collect();
    invoice["customer_tax_ids"] = json!(own);
}

/// How invoices, lines and invoice items were before.
pub(super) const DOWNGRADES: &[Downgrade] = &[
    Downgrade {
        before: "2026-09-30",
        object: "invoice",
        apply: |_, invoice| drop(invoice.remove("status_details")),
    },
    Downgrade {
        before: "2026-05-27",
        object: "invoice",
        apply: |_, invoice| drop(invoice.remove("amount_paid_off_stripe")),
    },
    Downgrade {
        before: "2026-03-25",
        object: "invoice",
        apply: |_, invoice| drop(invoice.remove("customer_account")),
    },
    Downgrade {
        before: "2025-03-31",
        object: "invoice",
        apply: acacia,
    },
    Downgrade {
        before: "2026-03-25",
        object: "line_item",
        apply: |_, line| {
            line.remove("quantity_decimal");
            line.remove("subtotal");
        },
    },
    Downgrade {
        before: "2025-03-31",
        object: "line_item",
        apply: acacia_line,
    },
];

fn put(object: &mut Map<String, Value>, name: &str, value: Value) {
    object.insert(name.to_owned(), value);
}

/// Subscription, payment and taxes stood in the invoice itself.
fn acacia(state: &State, invoice: &mut Map<String, Value>) {
    let parent = invoice.remove("parent").unwrap_or_default();
    let details = &parent["subscription_details"];
    if !invoice.get("subscription").is_some_and(Value::is_object) {
        put(invoice, "subscription", details["subscription"].clone());
    }
    put(
        invoice,
        "subscription_details",
        json!({"metadata": details["metadata"]}),
    );
    put(invoice, "quote", invoice.get("_quote").cloned().unwrap_or_default());
    let intent = invoice.get("_intent").cloned().unwrap_or_default();
    let found = intent.as_str().and_then(|id| state.look(&PAYMENT_INTENT, id));
    put(
        invoice,
        "charge",
        found.map_or(Value::Null, |intent| intent["latest_charge"].clone()),
    );
    if !invoice.get("payment_intent").is_some_and(Value::is_object) {
        put(invoice, "payment_intent", intent);
    }
    put(invoice, "paid", json!(invoice.get("status") == Some(&json!("paid"))));
    put(
        invoice,
        "paid_out_of_band",
        invoice.get("_out_of_band").cloned().unwrap_or_default(),
    );
    let taxes = invoice.remove("total_taxes").unwrap_or_default();
    let all = taxes.as_array().map_or(&[][..], Vec::as_slice);
    let sum: i64 = all.iter().map(|tax| number(tax, "amount")).sum();
    put(invoice, "tax", if all.is_empty() { Value::Null } else { json!(sum) });
    put(invoice, "total_tax_amounts", old_taxes(&taxes));
    let discount = invoice.get("_discounts").map_or(Value::Null, |all| all[0].clone());
    put(invoice, "discount", discount);
    for name in ["application_fee_amount", "transfer_data"] {
        put(invoice, name, Value::Null);
    }
    invoice.remove("amount_overpaid");
    if let Some(automatic) = invoice.get_mut("automatic_tax").and_then(Value::as_object_mut) {
        automatic.remove("provider");
    }
}

/// Taxes as they were written before basil.
pub(in crate::families) fn old_taxes(taxes: &Value) -> Value {
    let each = taxes.as_array().into_iter().flatten().map(|tax| {
        json!({
            "amount": tax["amount"],
            "inclusive": tax["tax_behavior"] == "inclusive",
            "tax_rate": tax["tax_rate_details"]["tax_rate"],
            "taxability_reason": tax["taxability_reason"],
            "taxable_amount": tax["taxable_amount"],
        })
    });
    Value::Array(each.collect())
}

/// A line had its price in full, and said itself where it came from.
fn acacia_line(_: &State, line: &mut Map<String, Value>) {
    let parent = line.remove("parent").unwrap_or_default();
    line.remove("pricing");
    let taxes = line.remove("taxes").unwrap_or_default();
    let (of_item, of_invoice_item) = (&parent["subscription_item_details"], &parent["invoice_item_details"]);
    let details = if of_item.is_null() { of_invoice_item } else { of_item };
    let invoice_item = details["invoice_item"].clone();
    let own = if invoice_item.is_null() {
        "subscription"
    } else {
        "invoiceitem"
    };
    put(line, "type", json!(own));
    if !invoice_item.is_null() {
        put(line, "invoice_item", invoice_item);
    }
    if !of_item["subscription_item"].is_null() {
        put(line, "subscription_item", of_item["subscription_item"].clone());
    }
    put(line, "proration", details["proration"].clone());
    put(line, "proration_details", details["proration_details"].clone());
    put_price(line);
    let amount = line.get("amount").and_then(Value::as_i64).unwrap_or(0);
    let contained: i64 = taxes
        .as_array()
        .into_iter()
        .flatten()
        .filter(|tax| tax["tax_behavior"] == "inclusive")
        .map(|tax| number(tax, "amount"))
        .sum();
    let quantity = line.get("quantity").and_then(Value::as_i64).unwrap_or(1).max(1);
    put(line, "amount_excluding_tax", json!(amount - contained));
    put(
        line,
        "unit_amount_excluding_tax",
        json!(((amount - contained) / quantity).to_string()),
    );
    put(line, "tax_amounts", old_taxes(&taxes));
    put(line, "tax_rates", line.get("_tax_rates").cloned().unwrap_or_default());
}

/// The price in full, and its plan.
pub(in crate::families) fn put_price(object: &mut Map<String, Value>) {
    let price = object.get("_price").cloned().unwrap_or_default();
    let recurring = price["type"] == "recurring";
    put(object, "plan", if recurring { plans::of(&price) } else { Value::Null });
    put(object, "price", price);
}

/// The payments of an invoice, which only `expand[]` shows.
pub(super) fn payments_of(state: &State, invoice: &Value) -> Value {
    let own = state
        .objects
        .newest("invoice_payment")
        .filter(|payment| payment["invoice"] == invoice["id"]);
    let own: Vec<&Value> = own.collect();
    json!({"object": "list", "data": own, "has_more": false, "url": "/v1/invoice_payments"})
}

pub(super) fn intent_of(state: &State, invoice: &Value) -> Value {
    let found = text(invoice, "_intent").and_then(|id| state.look(&PAYMENT_INTENT, id));
    found.cloned().unwrap_or_default()
}

pub(super) fn charge_of(state: &State, invoice: &Value) -> Value {
    let intent = intent_of(state, invoice);
    let found = text(&intent, "latest_charge").and_then(|id| state.objects.find(id));
    found.cloned().unwrap_or_default()
}

pub(super) fn subscription_of(state: &State, invoice: &Value) -> Value {
    let id = text(invoice, "parent.subscription_details.subscription");
    id.and_then(|id| state.objects.find(id)).cloned().unwrap_or_default()
}

/// What a page needs to confirm the payment.
pub(super) fn confirmation_of(state: &State, invoice: &Value) -> Value {
    let intent = intent_of(state, invoice);
    if intent.is_null() {
        return Value::Null;
    }
    json!({"client_secret": intent["client_secret"], "type": "payment_intent"})
}

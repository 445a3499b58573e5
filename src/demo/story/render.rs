//! Renders a story's objects in the shape of each era.

use serde_json::{Map, Value, json};

use super::era::Era;
use super::object::{
    Charge, Checkout, Customer, Dispute, Invoice, Item, Line, Object, PaymentMethod, Refund, Subscription,
};

/// The object as Stripe would send it in that era.
#[must_use]
pub fn render(object: &Object, era: Era) -> Value {
    match object {
        Object::Customer(it) => customer(it),
        Object::Subscription(it) => subscription(it, era),
        Object::Invoice(it) => invoice(it, era),
        Object::Charge(it) => charge(it, era),
        Object::Refund(it) => refund(it),
        Object::Dispute(it) => dispute(it),
        Object::Checkout(it) => checkout(it),
        Object::PaymentMethod(it) => payment_method(it),
    }
}

/// What `previous_attributes` holds for a change: the old value of every top-level key that differs.
#[must_use]
pub fn previous_attributes(before: &Value, after: &Value) -> Value {
    let mut previous = Map::new();
    if let (Some(before), Some(after)) = (before.as_object(), after.as_object()) {
        for (key, value) in after {
            let old = before.get(key).cloned().unwrap_or(Value::Null);
            if old != *value {
                previous.insert(key.clone(), old);
            }
        }
    }
    Value::Object(previous)
}

fn tenant_metadata(tenant: Option<&String>) -> Value {
    tenant.map_or_else(|| json!({}), |tenant| json!({ "tenant_id": tenant }))
}

fn customer(it: &Customer) -> Value {
    if it.deleted {
        return json!({ "id": it.id, "object": "customer", "deleted": true });
    }
    json!({
        "id": it.id, "object": "customer", "email": it.email, "name": "Sample customer", "currency": "usd",
        "balance": it.balance_minor, "delinquent": false, "default_source": null, "discount": null, "livemode": false,
        "metadata": tenant_metadata(it.tenant.as_ref()), "tax_exempt": "none", "test_clock": null,
        "invoice_settings": { "default_payment_method": it.payment_method, "custom_fields": null, "footer": null },
    })
}

fn price(it: &Item) -> Value {
    json!({
        "id": it.price, "object": "price", "active": true, "billing_scheme": "per_unit", "currency": "usd",
        "product": it.product, "type": "recurring", "unit_amount": it.unit_minor,
        "unit_amount_decimal": it.unit_minor.to_string(), "tiers_mode": null, "tax_behavior": "unspecified",
        "recurring": { "interval": it.interval, "interval_count": 1, "usage_type": "licensed", "meter": null },
    })
}

fn plan(it: &Item) -> Value {
    json!({
        "id": it.price, "object": "plan", "active": true, "amount": it.unit_minor,
        "amount_decimal": it.unit_minor.to_string(), "billing_scheme": "per_unit", "currency": "usd",
        "interval": it.interval, "interval_count": 1, "product": it.product, "usage_type": "licensed",
    })
}

fn item(it: &Item, of: &Subscription, era: Era) -> Value {
    let mut value = json!({
        "id": it.id, "object": "subscription_item", "created": of.created, "metadata": {}, "plan": plan(it),
        "price": price(it), "quantity": it.quantity, "subscription": of.id, "tax_rates": [],
    });
    if era >= Era::Acacia {
        value["discounts"] = json!([]);
    }
    if era >= Era::Basil {
        value["current_period_start"] = json!(of.period.0);
        value["current_period_end"] = json!(of.period.1);
    }
    if era >= Era::Endive {
        let trial = of.trial.filter(|_| of.status == "trialing");
        value["current_trial"] = trial.map_or(
            Value::Null,
            |(start, end)| json!({ "start_date": start, "end_date": end }),
        );
    }
    value
}

fn discount(coupon: &str, it: &Subscription, era: Era) -> Value {
    let mut value = json!({
        "id": format!("di_{}", it.id), "object": "discount", "customer": it.customer, "subscription": it.id,
        "start": it.created, "end": null, "promotion_code": null,
    });
    if era >= Era::Clover {
        value["source"] = json!({ "type": "coupon", "coupon": coupon });
    } else {
        value["coupon"] =
            json!({ "id": coupon, "object": "coupon", "percent_off": 50.0, "duration": "once", "valid": true });
    }
    value
}

fn subscription(it: &Subscription, era: Era) -> Value {
    let items: Vec<Value> = it.items.iter().map(|each| item(each, it, era)).collect();
    let mut value = json!({
        "id": it.id, "object": "subscription", "billing_cycle_anchor": it.period.0, "cancel_at": null,
        "cancel_at_period_end": it.cancel_at_period_end, "canceled_at": it.canceled_at,
        "cancellation_details": { "comment": null, "feedback": null,
            "reason": it.canceled_at.map(|_| "cancellation_requested") },
        "collection_method": "charge_automatically", "created": it.created, "currency": it.currency,
        "customer": it.customer, "days_until_due": null, "default_payment_method": null, "ended_at": it.ended_at,
        "items": { "object": "list", "data": items, "has_more": false, "total_count": it.items.len(),
            "url": format!("/v1/subscription_items?subscription={}", it.id) },
        "latest_invoice": it.latest_invoice, "livemode": false, "metadata": tenant_metadata(it.tenant.as_ref()),
        "pause_collection": it.pause_collection.map(|behavior| json!({ "behavior": behavior, "resumes_at": null })),
        "pending_update": null, "schedule": null, "start_date": it.created, "status": it.status, "test_clock": null,
        "trial_end": it.trial.map(|(_, end)| end), "trial_start": it.trial.map(|(start, _)| start),
        "trial_settings": { "end_behavior": { "missing_payment_method": "create_invoice" } },
    });
    let discounts: Vec<Value> = it.coupon.iter().map(|coupon| discount(coupon, it, era)).collect();
    if era < Era::Basil {
        value["current_period_start"] = json!(it.period.0);
        value["current_period_end"] = json!(it.period.1);
        value["discount"] = discounts.first().cloned().unwrap_or(Value::Null);
        if let [only] = it.items.as_slice() {
            value["plan"] = plan(only);
            value["quantity"] = json!(only.quantity);
        }
    }
    if era >= Era::Acacia {
        value["discounts"] = json!(discounts);
    }
    if era >= Era::Endive {
        value["status_details"] = Value::Null;
    }
    value
}

fn line(it: &Line, of: &Invoice, era: Era) -> Value {
    let mut value = json!({
        "id": it.id, "object": "line_item", "amount": it.amount_minor, "currency": of.currency, "description": null,
        "discount_amounts": [], "discountable": true, "discounts": [], "invoice": of.id, "livemode": false,
        "metadata": {}, "quantity": it.quantity, "period": { "start": it.period.0, "end": it.period.1 },
    });
    if era < Era::Basil {
        value["type"] = json!(if it.proration { "invoiceitem" } else { "subscription" });
        value["proration"] = json!(it.proration);
        value["subscription"] = json!(of.subscription);
        value["subscription_item"] = json!(it.item);
        value["plan"] = json!({ "id": it.price, "object": "plan", "product": it.product, "usage_type": "licensed" });
        value["price"] = json!({ "id": it.price, "object": "price", "product": it.product,
            "recurring": { "usage_type": "licensed" } });
        value["tax_amounts"] = json!([]);
    } else {
        let mut details = json!({ "invoice_item": null, "proration": it.proration, "subscription": of.subscription });
        if !it.proration {
            details["subscription_item"] = json!(it.item);
        }
        value["parent"] = if it.proration {
            json!({ "type": "invoice_item_details", "invoice_item_details": details, "subscription_item_details": null })
        } else {
            json!({ "type": "subscription_item_details", "subscription_item_details": details,
                "invoice_item_details": null })
        };
        value["pricing"] = json!({ "type": "price_details", "unit_amount_decimal": null,
            "price_details": { "price": it.price, "product": it.product } });
        value["taxes"] = json!([]);
    }
    if era >= Era::Dahlia {
        value["quantity_decimal"] = json!(it.quantity.to_string());
    }
    value
}

fn invoice(it: &Invoice, era: Era) -> Value {
    let total = it.total_minor();
    let lines: Vec<Value> = it.lines.iter().map(|each| line(each, it, era)).collect();
    let period = it.lines.first().map_or((it.created, it.created), |first| first.period);
    let due = total.max(0);
    let mut value = json!({
        "id": it.id, "object": "invoice", "amount_due": due, "amount_paid": it.paid_minor,
        "amount_remaining": due - it.paid_minor, "attempt_count": it.attempts, "attempted": it.attempts > 0,
        "auto_advance": it.next_attempt.is_some(), "billing_reason": it.billing_reason,
        "collection_method": "charge_automatically", "created": it.created, "currency": it.currency,
        "customer": it.customer, "due_date": null, "ending_balance": it.finalized_at.map(|_| 0),
        "last_finalization_error": null, "livemode": false, "metadata": {}, "next_payment_attempt": it.next_attempt,
        "number": it.number, "period_start": period.0, "period_end": period.1, "post_payment_credit_notes_amount": 0,
        "pre_payment_credit_notes_amount": 0, "starting_balance": 0, "status": it.status, "subtotal": total,
        "total": total, "total_discount_amounts": [], "total_excluding_tax": total,
        "lines": { "object": "list", "data": lines, "has_more": false, "url": format!("/v1/invoices/{}/lines", it.id) },
        "status_transitions": { "finalized_at": it.finalized_at, "paid_at": it.paid_at,
            "marked_uncollectible_at": null, "voided_at": null },
    });
    let metadata = tenant_metadata(it.tenant.as_ref());
    if era < Era::Basil {
        value["subscription"] = json!(it.subscription);
        value["subscription_details"] = json!({ "metadata": metadata });
        value["payment_intent"] = json!(it.payment_intent);
        value["charge"] = Value::Null;
        value["paid"] = json!(it.status == "paid");
        value["paid_out_of_band"] = json!(false);
        value["tax"] = Value::Null;
        value["total_tax_amounts"] = json!([]);
    } else {
        // Old keys linger with null in newer versions, which must not end the search for the value.
        value["subscription"] = Value::Null;
        value["parent"] = json!({ "type": "subscription_details", "quote_details": null,
            "subscription_details": { "metadata": metadata, "subscription": it.subscription } });
        value["total_taxes"] = json!([]);
        value["amount_overpaid"] = json!(0);
        let payments: Vec<Value> = it
            .payment_intent
            .iter()
            .map(|intent| {
                json!({ "object": "invoice_payment", "status": it.status,
                "payment": { "type": "payment_intent", "payment_intent": intent } })
            })
            .collect();
        value["payments"] = json!({ "object": "list", "data": payments, "has_more": false });
    }
    value
}

fn charge(it: &Charge, era: Era) -> Value {
    let mut value = json!({
        "id": it.id, "object": "charge", "amount": it.amount_minor, "amount_refunded": it.refunded_minor,
        "amount_captured": if it.status == "succeeded" { it.amount_minor } else { 0 },
        "balance_transaction": format!("txn_{}", it.id), "captured": it.status == "succeeded", "created": it.created,
        "currency": it.currency, "customer": it.customer, "disputed": it.disputed, "failure_code": it.decline.map(|_| "card_declined"),
        "failure_message": null, "livemode": false, "metadata": {}, "paid": it.status == "succeeded",
        "outcome": { "reason": it.decline, "type": if it.decline.is_some() { "issuer_declined" } else { "authorized" } },
        "payment_intent": it.payment_intent, "payment_method": it.payment_method, "status": it.status,
        "refunded": it.refunded_minor == it.amount_minor,
        "payment_method_details": { "type": "card", "card": { "brand": "visa", "last4": "4242" } },
    });
    if era < Era::Basil {
        value["invoice"] = json!(it.invoice);
    }
    value
}

fn refund(it: &Refund) -> Value {
    json!({
        "id": it.id, "object": "refund", "amount": it.amount_minor, "balance_transaction": format!("txn_{}", it.id),
        "charge": it.charge, "created": it.created, "currency": it.currency, "metadata": {},
        "payment_intent": it.payment_intent, "reason": "requested_by_customer", "status": it.status,
    })
}

fn dispute(it: &Dispute) -> Value {
    let movements: Vec<Value> = it
        .movements
        .iter()
        .map(|(net, fee)| {
            json!({ "object": "balance_transaction", "amount": net + fee, "fee": fee, "net": net,
            "type": "adjustment" })
        })
        .collect();
    json!({
        "id": it.id, "object": "dispute", "amount": it.amount_minor, "balance_transactions": movements,
        "charge": it.charge, "created": it.created, "currency": it.currency, "is_charge_refundable": false,
        "evidence_details": { "due_by": it.created + 7 * 86_400, "has_evidence": false }, "livemode": false,
        "metadata": {}, "payment_intent": it.payment_intent, "reason": "fraudulent", "status": it.status,
    })
}

fn checkout(it: &Checkout) -> Value {
    json!({
        "id": it.id, "object": "checkout.session", "amount_total": it.total_minor,
        "client_reference_id": it.reference, "created": it.created, "currency": it.currency, "customer": it.customer,
        "expires_at": it.created + 86_400, "invoice": it.invoice, "livemode": false, "metadata": {},
        "mode": "subscription", "payment_intent": null, "setup_intent": null, "status": "complete",
        "payment_status": if it.total_minor == 0 { "no_payment_required" } else { "paid" },
        "subscription": it.subscription, "url": null,
    })
}

fn payment_method(it: &PaymentMethod) -> Value {
    json!({
        "id": it.id, "object": "payment_method", "created": it.created, "customer": it.customer, "livemode": false,
        "metadata": {}, "type": "card",
        "card": { "brand": it.brand, "last4": it.last4, "exp_month": 12, "exp_year": 2031, "funding": "credit" },
    })
}

//! Shapes that no current version sends, and the rules that hold in all of them.

use aggregates::facts::{ContactField, InvoiceStatus, LineKind, SubscriptionSnapshot};
use aggregates::observation::Observed;
use aggregates::snapshot::{Notice, Snapshot};
use serde_json::{Value, json};
use subledger::stripe::translate::{FetchKind, Ignored, Outcome};

use super::effects::minimal;
use super::{CREATED, event, fact, facts, quarantined, translate};

fn subscription(object: &Value) -> SubscriptionSnapshot {
    match fact("customer.subscription.updated", object).observation.object {
        Observed::Subscription { snapshot, .. } => snapshot,
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_single_plan_of_the_oldest_shape_is_an_item() {
    let snapshot = subscription(&json!({
        "id": "sub_1", "customer": "cus_1", "status": "active", "quantity": 4, "billing": "send_invoice",
        "plan": {"id": "gold", "amount": 500, "currency": "eur", "interval": "year", "interval_count": 2},
        "current_period_start": 10, "current_period_end": 20, "start": 5, "created": 6,
    }));
    let items = snapshot.items.unwrap();
    assert_eq!(
        (items.len(), items[0].item.as_str(), items[0].price.as_str()),
        (1, "sub_1#0", "gold")
    );
    assert_eq!((items[0].quantity, items[0].unit_amount_minor), (Some(4), Some(500)));
    assert_eq!(
        (items[0].interval.as_deref(), items[0].interval_count),
        (Some("year"), Some(2))
    );
    assert_eq!(snapshot.currency.unwrap().as_str(), "EUR");
    assert_eq!(snapshot.collection_method.as_deref(), Some("send_invoice"));
    assert_eq!(snapshot.started_at.unwrap().seconds(), 5);
}

#[test]
fn a_cut_list_or_an_unmapped_item_is_unknown_and_stripe_is_asked() {
    let mut cut = minimal("subscription");
    cut["items"]["has_more"] = json!(true);
    let mut unmapped = minimal("subscription");
    unmapped["items"]["data"][0]["price"] = Value::Null;
    let mut none = minimal("subscription");
    none["items"] = json!({"data": []});
    for object in [cut, unmapped, none] {
        let facts = facts(&event("customer.subscription.updated", &object));
        let Observed::Subscription { snapshot, .. } = &facts.accounts[0].observation.object else {
            panic!()
        };
        assert_eq!(snapshot.items, None, "{object}");
        assert_eq!(facts.fetches[0].what, FetchKind::Rows, "{object}");
    }
    let mut invoice = minimal("invoice");
    invoice["lines"] = json!({"data": [{"id": "il_1", "amount": 5}], "has_more": false});
    let facts = facts(&event("invoice.paid", &invoice));
    assert_eq!(
        facts.fetches[0].what,
        FetchKind::Rows,
        "a line without the period it serves"
    );
}

#[test]
fn items_that_differ_keep_their_own_period_and_the_earliest_end_is_the_subscriptions() {
    let item = |id: &str, start: i64, end: i64| json!({"id": id, "price": "price_1", "quantity": 1, "current_period_start": start, "current_period_end": end});
    let mut object = minimal("subscription");
    object["items"] = json!([item("si_b", 10, 50), item("si_a", 10, 30)]);
    let snapshot = subscription(&object);
    assert_eq!(snapshot.period.unwrap().end.seconds(), 30);
    let items = snapshot.items.unwrap();
    assert_eq!((items[0].item.as_str(), items[0].period), ("si_a", None));
    assert_eq!(items[1].period.unwrap().end.seconds(), 50);
}

#[test]
fn metered_tiered_and_sub_cent_prices() {
    let mut object = minimal("subscription");
    object["items"] = json!([
        {"id": "si_1", "price": {"id": "price_m", "unit_amount": null, "unit_amount_decimal": "0.125",
            "recurring": {"interval": "month", "usage_type": "metered"}}, "quantity": null},
        {"id": "si_2", "price": {"id": "price_t", "unit_amount": null, "tiers_mode": "graduated",
            "recurring": {"interval": "month"}}},
        {"id": "si_3", "plan": {"id": "price_d", "amount": null, "amount_decimal": "1200.000"}, "quantity": 2.0},
    ]);
    let items = subscription(&object).items.unwrap();
    assert!(items[0].metered && items[0].quantity.is_none());
    assert_eq!(items[0].unit_amount_decimal.as_deref(), Some("0.125"));
    assert_eq!(
        (
            items[1].unit_amount_minor,
            items[1].unit_amount_decimal.clone(),
            items[1].quantity
        ),
        (None, None, Some(1))
    );
    assert_eq!((items[2].unit_amount_minor, items[2].quantity), (Some(1200), Some(2)));
}

#[test]
fn words_of_tomorrow_are_kept() {
    let mut object = minimal("subscription");
    object["status"] = json!("hibernating");
    assert_eq!(subscription(&object).status.as_str(), "hibernating");
}

#[test]
fn invoices_without_a_status_are_known_by_their_flags() {
    let invoice = |flags: Value| {
        let mut object = minimal("invoice");
        object["status"] = Value::Null;
        for (key, value) in flags.as_object().unwrap() {
            object[key] = value.clone();
        }
        match fact("invoice.updated", &object).observation.object {
            Observed::Invoice { snapshot, .. } => snapshot,
            other => panic!("{other:?}"),
        }
    };
    for (flags, status) in [
        (json!({"paid": true, "closed": true}), InvoiceStatus::Paid),
        (
            json!({"paid": false, "forgiven": true, "closed": true}),
            InvoiceStatus::Uncollectible,
        ),
        (json!({"paid": false, "attempted": true}), InvoiceStatus::Open),
        (
            json!({"paid": false, "attempted": false, "closed": false}),
            InvoiceStatus::Draft,
        ),
    ] {
        let snapshot = invoice(flags);
        assert_eq!(snapshot.status, status);
        assert!(snapshot.times_approximate, "its version has no times");
        assert_eq!(snapshot.created_at.seconds(), CREATED);
    }
    let dated = invoice(json!({"paid": true, "date": 99}));
    assert_eq!(
        (dated.created_at.seconds(), dated.paid_at.unwrap().seconds()),
        (99, CREATED)
    );
}

#[test]
fn an_upcoming_invoice_is_named_after_its_event_and_a_deleted_one_is_gone() {
    let mut object = minimal("invoice");
    object.as_object_mut().unwrap().remove("id");
    object["amount_paid"] = Value::Null;
    let upcoming = fact("invoice.upcoming", &object);
    assert_eq!(upcoming.observation.seen.notice, Some(Notice::Upcoming));
    assert!(upcoming.names.is_empty(), "nothing can be found by a preview");
    let Observed::Invoice { invoice, snapshot } = upcoming.observation.object else {
        panic!()
    };
    assert_eq!(
        (invoice.as_str(), snapshot.status),
        ("evt_test", InvoiceStatus::Upcoming)
    );
    let Observed::Invoice { snapshot, .. } = fact("invoice.deleted", &minimal("invoice")).observation.object else {
        panic!()
    };
    assert_eq!(snapshot.status, InvoiceStatus::Deleted);
}

#[test]
fn lines_say_what_they_bill_in_both_shapes() {
    let period = json!({"start": 1, "end": 2});
    let mut object = minimal("invoice");
    object["lines"] = json!([
        {"id": "il_1", "amount": 10, "period": period, "type": "subscription", "subscription": "sub_1",
            "subscription_item": "si_1", "price": {"id": "price_1", "recurring": {"usage_type": "metered"}},
            "tax_amounts": [{"amount": 3}, {"amount": 1}], "discount_amounts": [{"amount": 2}]},
        {"id": "il_2", "amount": -4, "period": period, "type": "invoiceitem", "proration": true},
        {"id": "il_3", "amount": 7, "period": period, "quantity_decimal": "1.5", "quantity": 1,
            "pricing": {"price_details": {"price": "price_2"}}, "taxes": [{"amount": 2}],
            "parent": {"type": "subscription_item_details",
                "subscription_item_details": {"subscription": "sub_1", "subscription_item": "si_1"}}},
        {"amount": 9, "period": period, "parent": {"type": "invoice_item_details", "invoice_item_details": {}}},
    ]);
    let Observed::Invoice { snapshot, .. } = fact("invoice.paid", &object).observation.object else {
        panic!()
    };
    assert_eq!(
        snapshot.subscription.as_ref().unwrap().as_str(),
        "sub_1",
        "taken from its lines"
    );
    let lines = snapshot.lines.unwrap();
    let kinds: Vec<&LineKind> = lines.iter().map(|line| &line.kind).collect();
    assert_eq!(
        kinds,
        [
            &LineKind::Usage,
            &LineKind::Proration,
            &LineKind::Subscription,
            &LineKind::Item
        ]
    );
    assert_eq!(
        (lines[0].tax_minor, lines[0].discount_minor, lines[2].tax_minor),
        (4, 2, 2)
    );
    assert_eq!(
        (lines[2].price.as_ref().unwrap().as_str(), lines[2].quantity),
        ("price_2", None)
    );
    assert_eq!(lines[3].line.as_str(), "in_1#3");
}

#[test]
fn tax_is_listed_single_derived_or_unknown() {
    let tax = |keys: Value| {
        let mut object = minimal("invoice");
        for (key, value) in keys.as_object().unwrap() {
            object[key] = value.clone();
        }
        match fact("invoice.paid", &object).observation.object {
            Observed::Invoice { snapshot, .. } => snapshot.tax_minor,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(
        tax(json!({"total_taxes": [{"amount": 5}, {"amount": 6}], "tax": 1})),
        Some(11)
    );
    assert_eq!(
        tax(json!({"total_taxes": null, "total_tax_amounts": [{"amount": 7}]})),
        Some(7)
    );
    assert_eq!(tax(json!({"tax": 8})), Some(8));
    assert_eq!(tax(json!({"total_excluding_tax": 900})), Some(100));
    assert_eq!(tax(json!({})), None);
}

#[test]
fn refunds_written_out_on_a_charge_are_facts_of_their_own() {
    let mut object = minimal("charge");
    object["payment_intent"] = json!("pi_1");
    object["refunds"] = json!({"data": [minimal("refund")], "has_more": false});
    let facts = facts(&event("charge.refunded", &object));
    assert_eq!(facts.accounts.len(), 2);
    let refund = &facts.accounts[1];
    assert_eq!(refund.owner.customer.as_ref().unwrap().as_str(), "cus_1");
    assert_eq!(refund.owner.targets[0].to_string(), "charge:ch_1");
    let names: Vec<String> = facts.accounts[0].names.iter().map(ToString::to_string).collect();
    assert_eq!(names, ["charge:ch_1", "payment_intent:pi_1"]);
}

#[test]
fn what_names_no_customer_points_at_something_that_does() {
    let targets = |kind: &str, object: Value| -> Vec<String> {
        let owner = fact(kind, &object).owner;
        assert_eq!(owner.customer, None);
        owner.targets.iter().map(ToString::to_string).collect()
    };
    let mut dispute = minimal("dispute");
    dispute["payment_intent"] = json!("pi_1");
    assert_eq!(
        targets("charge.dispute.created", dispute),
        ["charge:ch_1", "payment_intent:pi_1"]
    );
    assert_eq!(targets("refund.created", minimal("refund")), ["charge:ch_1"]);
    assert_eq!(
        targets("invoice_payment.paid", minimal("invoice_payment")),
        ["invoice:in_1"]
    );
    let mut guest = minimal("charge");
    guest["customer"] = Value::Null;
    let outcome = translate(&event("charge.succeeded", &guest)).outcome;
    assert_eq!(outcome, Outcome::Ignored(Ignored::NoAccount));
    guest["invoice"] = json!({"id": "in_9"});
    assert_eq!(targets("charge.succeeded", guest), ["invoice:in_9"]);
}

#[test]
fn payments_of_old_versions_carry_their_charge() {
    let mut intent = minimal("payment_intent");
    intent["latest_charge"] = Value::Null;
    intent["charges"] = json!({"data": [minimal("charge")]});
    let facts = facts(&event("payment_intent.succeeded", &intent));
    assert!(matches!(facts.accounts[0].observation.object, Observed::Charge { .. }));
    assert_eq!(facts.links[0].names.len(), 2);
}

#[test]
fn the_tenant_is_read_from_metadata_by_the_configured_keys() {
    let hint = |kind: &str, object: &Value| {
        fact(kind, object)
            .observation
            .tenant_hint
            .map(|tenant| tenant.to_string())
    };
    let mut object = minimal("subscription");
    assert_eq!(hint("customer.subscription.created", &object), None);
    object["metadata"] = json!({"organizationId": "org_7", "userId": "u1"});
    assert_eq!(hint("customer.subscription.created", &object).as_deref(), Some("org_7"));
    object["metadata"]["tenant_id"] = json!("acme");
    assert_eq!(hint("customer.subscription.created", &object).as_deref(), Some("acme"));
    object["metadata"]["tenant_id"] = json!("not a tenant id");
    assert_eq!(hint("customer.subscription.created", &object).as_deref(), Some("org_7"));
    let mut invoice = minimal("invoice");
    invoice["metadata"] = json!({"tenant_id": "other"});
    invoice["parent"] = json!({"subscription_details": {"metadata": {"tenant_id": "acme"}}});
    assert_eq!(hint("invoice.paid", &invoice).as_deref(), Some("acme"));
    let mut session = minimal("checkout.session");
    session["client_reference_id"] = json!("acme");
    assert_eq!(hint("checkout.session.completed", &session).as_deref(), Some("acme"));
    session["customer"] = Value::Null;
    assert_eq!(
        translate(&event("checkout.session.completed", &session)).outcome,
        Outcome::Ignored(Ignored::NoAccount),
        "a guest"
    );
}

#[test]
fn contact_details_go_beside_the_event_and_never_into_it() {
    let mut customer = minimal("customer");
    customer["email"] = json!("someone@example.com");
    customer["name"] = json!("Someone");
    customer["address"] = json!({"line1": null, "city": null});
    let created = fact("customer.created", &customer);
    let fields: Vec<ContactField> = created.contact.iter().map(|(field, _)| *field).collect();
    assert_eq!(
        fields,
        [ContactField::Name, ContactField::Email],
        "an address of nulls is none"
    );
    let Observed::Customer { contact, snapshot, .. } = created.observation.object else {
        panic!()
    };
    assert_eq!(contact, fields);
    assert!(!serde_json::to_string(&snapshot).unwrap().contains("omeone"));
    let mut updated = event("customer.updated", &customer);
    updated["data"]["previous_attributes"] = json!({"email": "old@example.com", "phone": "+49"});
    let changed = facts(&updated).accounts.remove(0).contact;
    assert_eq!(
        changed,
        [
            (ContactField::Email, Some("someone@example.com".to_owned())),
            (ContactField::Phone, None)
        ]
    );
}

#[test]
fn previous_attributes_give_the_fingerprint_of_the_past() {
    let now = minimal("subscription");
    let mut past = now.clone();
    past["status"] = json!("trialing");
    past["items"]["data"][0]["quantity"] = json!(9);
    let mut updated = event("customer.subscription.updated", &now);
    updated["data"]["previous_attributes"] = json!({"status": "trialing", "items": {"data": past["items"]["data"]}});
    let before = facts(&updated).accounts[0].observation.seen.before;
    assert_eq!(before, Some(subscription(&past).fingerprint()));
    updated["data"]["previous_attributes"] = json!({"metadata": {"color": "red"}});
    assert_eq!(
        facts(&updated).accounts[0].observation.seen.before,
        None,
        "nothing we keep changed"
    );
    updated["data"]["previous_attributes"] = json!({"status": null});
    assert_eq!(
        facts(&updated).accounts[0].observation.seen.before,
        None,
        "a past that cannot be read is unknown"
    );
}

#[test]
fn a_detached_card_still_belongs_to_the_customer_it_had() {
    let mut method = minimal("payment_method");
    method["customer"] = Value::Null;
    method["card"] = json!({"brand": "visa", "last4": "4242", "exp_month": 1, "exp_year": 2030});
    let mut detached = event("payment_method.detached", &method);
    detached["data"]["previous_attributes"] = json!({"customer": "cus_1"});
    let fact = facts(&detached).accounts.remove(0);
    assert_eq!(fact.owner.customer.unwrap().as_str(), "cus_1");
    let Observed::PaymentMethod { snapshot, .. } = fact.observation.object else {
        panic!()
    };
    assert!(!snapshot.attached);
    let card = json!({"id": "card_1", "object": "card", "customer": "cus_1", "brand": "Visa", "last4": "4242"});
    let Observed::PaymentMethod { snapshot, .. } = super::fact("customer.source.created", &card).observation.object
    else {
        panic!()
    };
    assert_eq!(
        (&*snapshot.kind, snapshot.brand.as_deref(), snapshot.attached),
        ("card", Some("visa"), true)
    );
}

#[test]
fn discounts_are_ids_objects_or_single() {
    let discounts = |keys: Value| {
        let mut object = minimal("subscription");
        for (key, value) in keys.as_object().unwrap() {
            object[key] = value.clone();
        }
        let found = subscription(&object).discounts.unwrap().into_iter();
        found
            .map(|it| {
                (
                    it.discount.map(String::from),
                    it.coupon.map(|coupon| coupon.to_string()),
                )
            })
            .collect::<Vec<_>>()
    };
    let some = |text: &str| Some(text.to_owned());
    assert_eq!(discounts(json!({})), []);
    assert_eq!(discounts(json!({"discounts": ["di_1"]})), [(some("di_1"), None)]);
    let single = json!({"id": "di_1", "coupon": {"id": "HALF"}});
    assert_eq!(discounts(json!({"discount": single})), [(some("di_1"), some("HALF"))]);
    assert_eq!(
        discounts(json!({"discount": single, "discounts": ["di_1"]})),
        [(some("di_1"), some("HALF"))]
    );
    let newest = json!([{"id": "di_1", "source": {"type": "coupon", "coupon": "HALF"}}]);
    assert_eq!(discounts(json!({"discounts": newest})), [(some("di_1"), some("HALF"))]);
}

#[test]
fn funds_of_a_dispute_are_summed_and_none_when_nothing_moved() {
    let mut dispute = minimal("dispute");
    let funds = |object: &Value| match fact("charge.dispute.funds_withdrawn", object).observation.object {
        Observed::Dispute { snapshot, .. } => (snapshot.funds_net_minor, snapshot.fee_minor),
        other => panic!("{other:?}"),
    };
    dispute["balance_transactions"] = json!([]);
    assert_eq!(funds(&dispute), (None, None));
    dispute["balance_transactions"] = json!([{"net": -6500, "fee": 1500}, {"net": 5000, "fee": 0}]);
    assert_eq!(funds(&dispute), (Some(-1500), Some(1500)));
    dispute.as_object_mut().unwrap().remove("id");
    let Observed::Dispute { dispute: id, .. } = fact("charge.dispute.created", &dispute).observation.object else {
        panic!()
    };
    assert_eq!(id.as_str(), "ch_1", "keyed by its charge");
    dispute["balance_transactions"] = json!([{"net": "much"}]);
    assert!(quarantined(&event("charge.dispute.created", &dispute)).contains("net"));
}

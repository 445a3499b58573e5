//! Damaged events: one key deleted, nulled, retyped or renamed at a time.
//!
//! Whatever is damaged, the event has an outcome. A key that is in no path of the table changes nothing; a
//! quarantined event names the paths that failed, and the damaged key is one of theirs.

use std::collections::BTreeSet;

use proptest::prelude::*;
use serde_json::{Value, json};
use subledger::demo::story::{Era, Price, Story};
use subledger::stripe::translate::{Outcome, paths, types};

use super::translate;

const PRICE: Price = Price {
    id: "price_a",
    product: "prod_a",
    unit_minor: 1_000,
    interval: "month",
};

/// The place of every key in a document.
fn places(value: &Value, here: &[String], into: &mut Vec<Vec<String>>) {
    let children: Vec<(String, &Value)> = match value {
        Value::Object(map) => map.iter().map(|(key, value)| (key.clone(), value)).collect(),
        Value::Array(rows) => rows
            .iter()
            .enumerate()
            .map(|(at, value)| (at.to_string(), value))
            .collect(),
        _ => return,
    };
    for (key, child) in children {
        let mut place = here.to_vec();
        place.push(key);
        places(child, &place, into);
        if value.is_object() {
            into.push(place);
        }
    }
}

fn parent<'a>(event: &'a mut Value, place: &[String]) -> &'a mut serde_json::Map<String, Value> {
    let mut here = event;
    for key in &place[..place.len() - 1] {
        here = match here {
            Value::Array(rows) => &mut rows[key.parse::<usize>().unwrap()],
            other => &mut other[key.as_str()],
        };
    }
    here.as_object_mut().unwrap()
}

fn damaged(event: &Value, place: &[String]) -> Vec<(&'static str, Value)> {
    let key = place.last().unwrap();
    let change = |edit: &dyn Fn(&mut serde_json::Map<String, Value>)| {
        let mut event = event.clone();
        edit(parent(&mut event, place));
        event
    };
    let retyped = |value: &Value| match value {
        Value::Null => json!("was null"),
        Value::Bool(_) => json!("yes"),
        Value::Number(_) => json!([1]),
        Value::String(_) => json!(1.5),
        Value::Array(_) => json!("a list"),
        Value::Object(_) => json!(7),
    };
    vec![
        ("deleted", change(&|map| drop(map.remove(key)))),
        ("nulled", change(&|map| drop(map.insert(key.clone(), Value::Null)))),
        (
            "retyped",
            change(&|map| drop(map.insert(key.clone(), retyped(&map[key])))),
        ),
        (
            "renamed",
            change(&|map| {
                let value = map.remove(key).unwrap();
                map.insert(format!("{key}_renamed"), value);
            }),
        ),
    ]
}

/// Every key that any path of the table, or the envelope, goes through.
fn known_keys() -> BTreeSet<String> {
    let envelope = [
        "id",
        "object",
        "type",
        "created",
        "livemode",
        "account",
        "context",
        "api_version",
    ];
    let lists = [
        "data",
        "has_more",
        "request",
        "reason",
        "previous_attributes",
        "tenant_id",
        "organizationId",
    ];
    let table = paths::TABLES.iter().flat_map(|table| table.facts);
    let keys = table.flat_map(|fact| fact.paths).flat_map(|path| path.split('.'));
    keys.chain(envelope).chain(lists).map(str::to_owned).collect()
}

#[test]
fn one_damaged_key_never_costs_the_receipt_or_another_fact() {
    let mut story = Story::new("damage", Some("acme"), 1_790_000_000);
    story
        .add_card()
        .subscribe(PRICE, 2, 0)
        .set_quantity(3)
        .renew_unpaid()
        .recover()
        .refund(100)
        .dispute();
    story.close_dispute(true).cancel();
    let known = known_keys();
    for era in [Era::Unnamed, Era::Endive] {
        let mut kinds = BTreeSet::new();
        // One event of each type, the last told, so that the object is filled in.
        for event in story.events().iter().rev().filter(|event| kinds.insert(event.kind)) {
            check(&event.to_json(era), &known, &format!("{era:?} {}", event.kind));
        }
        assert!(kinds.len() > 15, "{kinds:?}");
    }
}

fn check(event: &Value, known: &BTreeSet<String>, name: &str) {
    let whole = translate(event).outcome;
    let mut all = Vec::new();
    places(event, &[], &mut all);
    for place in all {
        for (how, damaged) in damaged(event, &place) {
            let key = place.last().unwrap();
            let outcome = translate(&damaged).outcome;
            if !known.contains(key) {
                assert_eq!(
                    outcome, whole,
                    "{name}: {place:?} {how} is in no path and changes nothing"
                );
            }
            if let Outcome::Quarantined(reason) = outcome {
                let reason = reason.to_string();
                let named = place.iter().any(|key| reason.contains(key.as_str()));
                assert!(named, "{name}: {place:?} {how}: {reason}");
            }
        }
    }
}

#[test]
fn each_required_fact_quarantines_by_name_when_it_is_gone() {
    for (kind, object, keys) in [
        (
            "customer.subscription.updated",
            "subscription",
            &["id", "customer", "status"][..],
        ),
        (
            "invoice.paid",
            "invoice",
            &["id", "customer", "currency", "total", "amount_due", "amount_paid"],
        ),
        ("charge.succeeded", "charge", &["id", "amount", "currency", "status"]),
        ("refund.created", "refund", &["id", "amount", "currency"]),
        (
            "charge.dispute.created",
            "dispute",
            &["charge", "amount", "currency", "status"],
        ),
        (
            "credit_note.created",
            "credit_note",
            &["id", "invoice", "amount", "currency"],
        ),
        ("invoice_payment.paid", "invoice_payment", &["id", "invoice"]),
        ("payout.paid", "payout", &["id", "amount", "currency", "status"]),
        ("payment_intent.succeeded", "payment_intent", &["id", "status"]),
        ("customer.created", "customer", &["id"]),
        (
            "subscription_schedule.created",
            "subscription_schedule",
            &["id", "customer", "status"],
        ),
        ("checkout.session.completed", "checkout.session", &["id"]),
        ("payment_method.attached", "payment_method", &["id", "type"]),
        ("product.created", "product", &["id"]),
        ("price.created", "price", &["id"]),
        ("coupon.created", "coupon", &["id"]),
        ("promotion_code.created", "promotion_code", &["id"]),
        ("tax_rate.created", "tax_rate", &["id"]),
    ] {
        let whole = super::effects::minimal(object);
        assert!(
            matches!(translate(&super::event(kind, &whole)).outcome, Outcome::Facts(_)),
            "{kind}"
        );
        for key in keys {
            let mut broken = whole.clone();
            broken.as_object_mut().unwrap().remove(*key);
            let reason = super::quarantined(&super::event(kind, &broken));
            assert!(
                reason.contains(key) && reason.contains(" at "),
                "{kind} without {key}: {reason}"
            );
        }
    }
}

#[test]
fn an_event_without_time_or_object_is_quarantined() {
    let whole = super::event("charge.succeeded", &super::effects::minimal("charge"));
    for (key, value) in [
        ("created", Value::Null),
        ("created", json!("soon")),
        ("data", json!({})),
        ("data", json!([])),
    ] {
        let mut broken = whole.clone();
        broken[key] = value;
        let reason = super::quarantined(&broken);
        assert!(reason.contains(key), "{key}: {reason}");
    }
    let mut broken = whole.clone();
    broken["data"]["object"] = json!("ch_1");
    assert!(super::quarantined(&broken).contains("data.object"));
    let mut broken = whole;
    broken.as_object_mut().unwrap().remove("id");
    assert_eq!(super::quarantined(&broken), "the event has no usable id");
}

#[test]
fn amounts_are_never_rounded_and_never_overflow() {
    for amount in [
        json!(10.5),
        json!("ten"),
        json!(1e30),
        json!(u64::MAX),
        json!(i64::MAX),
        json!(true),
    ] {
        let mut charge = super::effects::minimal("charge");
        charge["amount"] = amount.clone();
        let reason = super::quarantined(&super::event("charge.succeeded", &charge));
        assert!(reason.starts_with("charge: amount at amount is"), "{amount}: {reason}");
    }
    let mut charge = super::effects::minimal("charge");
    charge["amount"] = json!(1250.0);
    let fact = super::fact("charge.succeeded", &charge);
    let aggregates::observation::Observed::Charge { snapshot, .. } = fact.observation.object else {
        panic!()
    };
    assert_eq!(snapshot.amount_minor, 1250);
}

/// Any JSON made of the table's own keys and of values that tempt a reader.
fn tempting() -> impl Strategy<Value = Value> {
    let keys: Vec<String> = known_keys().into_iter().collect();
    let values = vec![
        Value::Null,
        json!(true),
        json!(""),
        json!("cus_1"),
        json!("active"),
        json!("usd"),
        json!("1.5"),
        json!(0),
        json!(-1),
        json!(1_790_000_000.0),
        json!(i64::MAX),
        json!(u64::MAX),
        json!(1e300),
        json!("\u{0}\u{202e}💳"),
        json!("x".repeat(600)),
    ];
    let leaf = proptest::sample::select(values);
    leaf.prop_recursive(6, 96, 12, move |inner| {
        let map = proptest::collection::btree_map(proptest::sample::select(keys.clone()), inner.clone(), 0..12);
        prop_oneof![
            3 => map.prop_map(|map| Value::Object(map.into_iter().collect())),
            1 => proptest::collection::vec(inner, 0..4).prop_map(Value::Array),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn any_json_under_any_type_has_the_same_outcome_twice(object in tempting(), previous in tempting()) {
        let mut families = BTreeSet::new();
        for (kind, _, _) in types::all().filter(|(_, _, family)| families.insert(family.as_str())) {
            let mut event = super::event(&kind, &object);
            event["data"]["previous_attributes"] = previous.clone();
            prop_assert_eq!(translate(&event), translate(&event), "{}", kind);
        }
    }
}

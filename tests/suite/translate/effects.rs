//! What each listed event type does, as a table that is committed and checked: `docs/stripe-events.md`;
//! and where each fact is found: `docs/stripe-paths.md`. `UPDATE_GENERATED=1` writes both anew.

use std::fmt::Write;
use std::path::Path;

use aggregates::facts::CatalogueSnapshot;
use aggregates::observation::Observed;
use serde_json::{Value, json};
use subledger::stripe::translate::{Facts, Group, Outcome, paths, types};

use super::{event, translate};

/// The least object of each kind that can be read.
pub(super) fn minimal(object: &str) -> Value {
    let mut value = match object {
        "subscription" => json!({"id": "sub_1", "customer": "cus_1", "status": "active",
            "items": {"data": [{"id": "si_1", "price": {"id": "price_1"}, "current_period_start": 1, "current_period_end": 2}]}}),
        "subscription_schedule" => json!({"id": "sub_sched_1", "customer": "cus_1", "status": "active"}),
        "checkout.session" => json!({"id": "cs_1", "customer": "cus_1", "mode": "subscription"}),
        "customer" => json!({"id": "cus_1"}),
        "discount" => json!({"id": "di_1", "customer": "cus_1"}),
        "payment_method" => json!({"id": "pm_1", "customer": "cus_1", "type": "card"}),
        "invoice" => json!({"id": "in_1", "customer": "cus_1", "status": "paid", "currency": "usd", "total": 1000,
            "amount_due": 1000, "amount_paid": 1000, "lines": {"data": []}}),
        "invoice_payment" => json!({"id": "inpay_1", "invoice": "in_1"}),
        "charge" => {
            json!({"id": "ch_1", "customer": "cus_1", "amount": 1000, "currency": "usd", "status": "succeeded"})
        }
        "refund" => json!({"id": "re_1", "charge": "ch_1", "amount": 1000, "currency": "usd"}),
        "dispute" => {
            json!({"id": "dp_1", "charge": "ch_1", "amount": 1000, "currency": "usd", "status": "needs_response"})
        }
        "payment_intent" => json!({"id": "pi_1", "customer": "cus_1", "status": "succeeded", "latest_charge": "ch_1"}),
        "credit_note" => json!({"id": "cn_1", "invoice": "in_1", "amount": 1000, "currency": "usd"}),
        "payout" => json!({"id": "po_1", "amount": 1000, "currency": "usd", "status": "paid"}),
        other => json!({"id": format!("{other}_1")}),
    };
    value["object"] = json!(object);
    value
}

fn observed(object: &Observed) -> &'static str {
    match object {
        Observed::Customer { .. } => "customer",
        Observed::Subscription { .. } => "subscription",
        Observed::Schedule { .. } => "schedule",
        Observed::Checkout { .. } => "checkout",
        Observed::Discount { .. } => "discount",
        Observed::PaymentMethod { .. } => "payment method",
        Observed::Invoice { .. } => "invoice",
        Observed::InvoicePayment { .. } => "invoice payment",
        Observed::Charge { .. } => "charge",
        Observed::Refund { .. } => "refund",
        Observed::Dispute { .. } => "dispute",
        Observed::CreditNote { .. } => "credit note",
    }
}

fn catalogue(object: &CatalogueSnapshot) -> &'static str {
    match object {
        CatalogueSnapshot::Payout(_) => "payout",
        CatalogueSnapshot::BalanceTransaction(_) => "balance transaction",
        CatalogueSnapshot::Product(_) => "product",
        CatalogueSnapshot::Price(_) => "price",
        CatalogueSnapshot::Coupon(_) => "coupon",
        CatalogueSnapshot::PromotionCode(_) => "promotion code",
        CatalogueSnapshot::TaxRate(_) => "tax rate",
    }
}

fn in_words(facts: &Facts) -> String {
    let mut words = Vec::new();
    for fact in &facts.accounts {
        let seen = &fact.observation.seen;
        let word = |notice| {
            serde_json::to_value(notice)
                .unwrap()
                .as_str()
                .unwrap()
                .replace('_', " ")
        };
        let notice = seen
            .notice
            .map(|notice| format!(", noting {}", word(notice)))
            .unwrap_or_default();
        let kind = observed(&fact.observation.object);
        words.push(format!("observes the {kind} as {:?}{notice}", seen.rank).to_lowercase());
    }
    for fact in &facts.objects {
        words.push(format!("observes the {} as {:?}", catalogue(&fact.snapshot), fact.seen.rank).to_lowercase());
    }
    for link in &facts.links {
        let kinds: Vec<&str> = link.names.iter().map(|name| name.kind()).collect();
        words.push(format!("links {} to the customer", kinds.join(" and ")));
    }
    for fetch in &facts.fetches {
        words.push(format!(
            "asks Stripe for the {} of the {}",
            fetch.what.as_str().replace('_', " "),
            fetch.object
        ));
    }
    words.join("; ")
}

fn effect(kind: &str, family: &str) -> String {
    match translate(&event(kind, &minimal(family))).outcome {
        Outcome::Facts(facts) => in_words(&facts),
        Outcome::Ignored(why) => format!("kept, ignored: {}", why.as_str().replace('_', " ")),
        Outcome::Quarantined(reason) => panic!("{kind}: {reason}"),
    }
}

fn committed(name: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs").join(name);
    if std::env::var_os("UPDATE_GENERATED").is_some() {
        std::fs::write(&path, text).unwrap();
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        committed == text,
        "docs/{name} is not what the code says; run the test with UPDATE_GENERATED=1 and commit the file"
    );
}

#[test]
fn each_listed_type_has_the_effect_that_is_documented() {
    let mut text = String::from(
        "# Stripe event types and what each does\n\nGenerated from the code by a test; do not edit. A type that is not \
         listed is stored, counted and ignored. A thin event (`v1.` before the name) asks Stripe for its object, by the \
         longest name listed here that begins it.\n",
    );
    let mut last = None;
    for (kind, group, family) in types::all() {
        if last != Some(group) {
            let title = match group {
                Group::SubscriptionState => "Subscription state",
                Group::MoneyFacts => "Money facts",
                Group::Usage => "Usage and meters",
                Group::Catalogue => "Catalogue",
                Group::Notice => "Notices",
                Group::Unlisted => unreachable!("listed types are in a group"),
            };
            write!(text, "\n## {title}\n\n| type | effect |\n| --- | --- |\n").unwrap();
            last = Some(group);
        }
        writeln!(text, "| `{kind}` | {} |", effect(&kind, family.as_str())).unwrap();
    }
    committed("stripe-events.md", &text);
}

#[test]
fn the_table_of_paths_is_the_one_that_is_documented() {
    let mut text = String::from(
        "# Where each fact stands in Stripe's JSON\n\nGenerated from the code by a test; do not edit. Paths after `->` \
         are newer API versions, tried first; paths after `else` are tried in the order given. Null counts as missing \
         and never ends the search. `!` marks a fact without which the event is set aside.\n",
    );
    for table in paths::TABLES {
        write!(
            text,
            "\n## {}\n\n| fact | paths | absent |\n| --- | --- | --- |\n",
            table.object
        )
        .unwrap();
        for fact in table.facts {
            let paths: Vec<String> = fact.paths.iter().map(|path| format!("`{path}`")).collect();
            let paths = paths.join(if fact.eras { " -> " } else { " else " });
            let name = fact.name.to_lowercase().replace('_', " ");
            let must = if fact.required { "!" } else { "" };
            writeln!(text, "| {name}{must} | {paths} | {} |", fact.absent).unwrap();
        }
    }
    committed("stripe-paths.md", &text);
}

#[test]
fn thin_events_ask_for_their_object_and_name_their_twin() {
    let thin = |kind: &str, object: &str| {
        json!({"id": "evt_thin", "object": "v2.core.event", "type": kind, "created": "2026-10-28T10:00:00.000Z",
            "livemode": false, "related_object": {"id": "obj_1", "type": object, "url": "/v1/x"}, "snapshot_event": "evt_twin"})
    };
    for (kind, object) in [
        ("v1.customer.subscription.item_added", "subscription"),
        ("v1.customer.subscription.updated", "subscription"),
        ("v1.invoice.line_item_added", "invoice"),
        ("v1.invoice_payment.open", "invoice_payment"),
        ("v1.price.activated", "price"),
        ("v1.subscription_schedule.phase_started", "subscription_schedule"),
    ] {
        let facts = super::facts(&thin(kind, object));
        assert_eq!(
            in_words(&facts),
            format!("asks Stripe for the object of the {object}"),
            "{kind}"
        );
        assert_eq!(facts.fetches[0].id, "obj_1");
        assert_eq!(facts.twin.unwrap().as_str(), "evt_twin");
    }
    for kind in [
        "v1.invoiceitem.amount_changed",
        "v1.billing.meter.no_meter_found",
        "v2.core.account.updated",
    ] {
        let outcome = translate(&thin(kind, "x")).outcome;
        assert!(matches!(outcome, Outcome::Ignored(_)), "{kind}: {outcome:?}");
    }
    let mut nameless = thin("v1.invoice.paid", "invoice");
    nameless["related_object"] = Value::Null;
    assert!(super::quarantined(&nameless).contains("related_object.id"));
}

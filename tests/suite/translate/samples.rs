//! Stripe's own sample objects of nine API versions, each wrapped as an event.
//!
//! The samples show where a value is found, not what it is: both arms of unions are filled in and enum
//! values are arbitrary.

use std::collections::BTreeMap;
use std::path::PathBuf;

use aggregates::facts::CatalogueSnapshot;
use aggregates::ids::PriceId;
use aggregates::observation::Observed;
use serde_json::{Value, json};
use subledger::stripe::translate::{Family, Outcome, types};

use super::{event, facts, translate};

pub(crate) type Samples = BTreeMap<String, Value>;

/// Version -> objects by name; empty, and said aloud, when the samples are not there.
pub(crate) fn versions() -> BTreeMap<String, Samples> {
    let folder = std::env::var_os("SUBLEDGER_STRIPE_SAMPLES").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared/fixtures/stripe-openapi"),
        PathBuf::from,
    );
    let mut versions = BTreeMap::new();
    for entry in std::fs::read_dir(&folder).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let Some(version) = name.strip_suffix(".json") else {
            continue;
        };
        let mut file: Value = serde_json::from_slice(&std::fs::read(entry.path()).unwrap()).unwrap();
        let resources: Samples = serde_json::from_value(file["resources"].take()).unwrap();
        versions.insert(version.to_owned(), resources);
    }
    if versions.is_empty() {
        crate::support::skipped(&format!(
            "Stripe's sample objects are not at {}; set SUBLEDGER_STRIPE_SAMPLES",
            folder.display()
        ));
    }
    versions
}

/// The object an event of this family carries.
fn object_of(family: Family, kind: &str) -> Option<&'static str> {
    let of_type: BTreeMap<&str, &str> = BTreeMap::from([
        ("customer.source", "card"),
        ("charge.refund", "refund"),
        ("plan", "plan"),
        ("setup_intent", "setup_intent"),
        ("mandate", "mandate"),
        ("customer.tax_id", "tax_id"),
        ("quote", "quote"),
        ("payment_link", "payment_link"),
        ("test_helpers.test_clock", "test_helpers.test_clock"),
        ("topup", "topup"),
        ("transfer", "transfer"),
        ("application_fee", "application_fee"),
        ("review", "review"),
        ("radar.early_fraud_warning", "radar.early_fraud_warning"),
        ("billing.meter", "billing.meter"),
        ("billing.credit_grant", "billing.credit_grant"),
        ("cash_balance", "cash_balance"),
    ]);
    if let Some(object) = kind.rsplit_once('.').and_then(|(prefix, _)| of_type.get(prefix)) {
        return Some(object);
    }
    let known = !matches!(
        family,
        Family::Notice | Family::Movement | Family::Credit | Family::Fraud | Family::Meter | Family::Unlisted
    );
    known.then(|| family.as_str())
}

/// Every listed type with the sample it carries.
pub(crate) fn of_listed_types(samples: &Samples) -> Vec<(String, &Value)> {
    types::all()
        .filter_map(|(kind, _, family)| {
            let sample = object_of(family, &kind).and_then(|object| samples.get(object))?;
            Some((kind, sample))
        })
        .collect()
}

#[test]
fn every_listed_type_reads_its_sample_in_every_version() {
    for (version, samples) in versions() {
        let of_types = of_listed_types(&samples);
        for (kind, sample) in &of_types {
            let translation = translate(&event(kind, sample));
            let quarantined = matches!(translation.outcome, Outcome::Quarantined(_));
            assert!(!quarantined, "{version} {kind}: {:?}", translation.outcome);
        }
        let read = of_types.len();
        assert!(read > 120, "{version}: only {read} types have a sample");
    }
}

#[test]
fn any_object_under_any_family_has_an_outcome() {
    let mut kinds: BTreeMap<&str, String> = BTreeMap::new();
    for (kind, _, family) in types::all() {
        kinds.entry(family.as_str()).or_insert(kind);
    }
    kinds.insert("a type of tomorrow", "brand.new_thing".to_owned());
    // Every fourth version: the oldest, one in the middle and the newest know all shapes the others do.
    for (version, samples) in versions().into_iter().step_by(4) {
        for (object, sample) in &samples {
            let own = event(&format!("{object}.updated"), sample);
            translate(&own);
            for kind in kinds.values() {
                let translation = translate(&event(kind, sample));
                if let Outcome::Quarantined(reason) = &translation.outcome {
                    assert!(
                        reason.to_string().contains(" at "),
                        "{version} {object} as {kind}: {reason}"
                    );
                }
            }
        }
    }
}

fn observed(kind: &str, sample: &Value) -> Observed {
    super::fact(kind, sample).observation.object
}

#[test]
fn the_facts_are_found_where_each_version_keeps_them() {
    for (version, samples) in versions() {
        let Observed::Subscription { snapshot, .. } =
            observed("customer.subscription.updated", &samples["subscription"])
        else {
            panic!()
        };
        let sample = &samples["subscription"];
        assert_eq!(snapshot.customer.as_str(), sample["customer"], "{version}");
        assert!(
            snapshot.period.is_some(),
            "{version}: the period moved to the items in basil"
        );
        let items = snapshot.items.unwrap();
        assert_eq!(
            items[0].price.as_str(),
            sample["items"]["data"][0]["price"]["id"],
            "{version}"
        );
        assert_eq!(items[0].unit_amount_minor, Some(2000), "{version}");
        assert_eq!(items[0].interval.as_deref(), Some("month"), "{version}");
        assert_eq!(items[0].quantity, Some(1), "{version}");
        let Observed::Invoice { snapshot, .. } = observed("invoice.updated", &samples["invoice"]) else {
            panic!()
        };
        assert_eq!(snapshot.total_minor, 1000, "{version}");
        assert_eq!(snapshot.tax_minor, Some(0), "{version}");
        let sample = &samples["invoice"];
        let parent = "/parent/subscription_details/subscription";
        let at_line = |details: &str| format!("/lines/data/0/parent/{details}_details/subscription");
        let written = [parent.to_owned(), at_line("invoice_item"), at_line("subscription_item")]
            .iter()
            .any(|path| sample.pointer(path).is_some_and(Value::is_string));
        assert_eq!(snapshot.subscription.is_some(), written, "{version}");
        let lines = snapshot.lines.unwrap();
        assert_eq!(
            lines[0].period.start.seconds(),
            sample["lines"]["data"][0]["period"]["start"],
            "{version}"
        );
        let old = sample.pointer("/lines/data/0/price/id").and_then(Value::as_str);
        let new = sample
            .pointer("/lines/data/0/pricing/price_details/price")
            .and_then(Value::as_str);
        assert_eq!(lines[0].price.as_ref().map(PriceId::as_str), new.or(old), "{version}");
        let Observed::Charge { snapshot, .. } = observed("charge.succeeded", &with_customer(&samples["charge"])) else {
            panic!()
        };
        assert_eq!(snapshot.amount_minor, 100, "{version}");
        assert_eq!(snapshot.card_last4.as_deref(), Some("4242"), "{version}");
        let Observed::CreditNote { snapshot, .. } = observed("credit_note.created", &samples["credit_note"]) else {
            panic!()
        };
        assert_eq!(snapshot.amount_minor, 1690, "{version}");
        let written = samples["credit_note"]
            .pointer("/refunds/0/refund")
            .is_some_and(|refund| !refund.is_null());
        assert_eq!(snapshot.refunds.len(), usize::from(written), "{version}");
    }
}

fn with_customer(sample: &Value) -> Value {
    let mut sample = sample.clone();
    sample["customer"] = json!("cus_1");
    sample
}

#[test]
fn the_catalogue_reads_alike_in_every_version() {
    for (version, samples) in versions() {
        let object = |kind: &str, name: &str| facts(&event(kind, &samples[name])).objects.remove(0).snapshot;
        let CatalogueSnapshot::Price(price) = object("price.created", "price") else {
            panic!()
        };
        let CatalogueSnapshot::Price(plan) = object("plan.created", "plan") else {
            panic!()
        };
        assert_eq!(price, plan, "{version}: a plan is the twin of its price");
        assert_eq!(price.unit_amount_minor, Some(2000), "{version}");
        let CatalogueSnapshot::Coupon(coupon) = object("coupon.created", "coupon") else {
            panic!()
        };
        assert_eq!(coupon.percent_off_basis_points, Some(2550), "{version}");
        let CatalogueSnapshot::TaxRate(rate) = object("tax_rate.created", "tax_rate") else {
            panic!()
        };
        assert_eq!(rate.percentage_millionths, Some(19_000_000), "{version}");
        let CatalogueSnapshot::Payout(payout) = object("payout.created", "payout") else {
            panic!()
        };
        assert_eq!(payout.amount_minor, 1100, "{version}");
    }
}

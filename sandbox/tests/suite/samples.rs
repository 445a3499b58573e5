//! Stripe's own sample objects, one set per API version: every key of a sample is in what the sandbox answers in that
//! version.

use std::path::PathBuf;

use serde_json::{Map, Value};

use crate::support::{Ask, Direct, call, fresh, id};

fn folder() -> PathBuf {
    std::env::var_os("SUBLEDGER_STRIPE_SAMPLES").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared/fixtures/stripe-openapi"),
        PathBuf::from,
    )
}

/// A key that Stripe's samples of a charge have and its answers have by expansion only.
const BY_EXPANSION: &str = "charge.refunds";

/// Objects whose keys depend on what is in them: a sample fills in all of them.
const OPEN: [&str; 5] = [
    "metadata",
    "next_action",
    "payment_method_options",
    "capabilities",
    "payment_method_details",
];

/// Keys of the sample that the object lacks, by path, two levels deep. What a sample fills in may be null in ours.
fn missing(sample: &Map<String, Value>, object: &Value, path: &str) -> Vec<String> {
    let mut found = Vec::new();
    let top = !path.contains('.');
    for (name, value) in sample {
        let here = format!("{path}.{name}");
        match (value, object.get(name)) {
            (_, None) => found.push(here),
            (Value::Object(inner), Some(below @ Value::Object(_))) if top && !OPEN.contains(&name.as_str()) => {
                found.extend(missing(inner, below, &here));
            }
            _ => {}
        }
    }
    found
}

/// One object of each kind: name of the sample, and where it is asked for.
#[expect(clippy::too_many_lines, reason = "one object of each kind")]
fn world(state: &mut Direct) -> Vec<(&'static str, String)> {
    let product = id(&state.post("/v1/products", "name=A"));
    let price = id(&state.post(
        "/v1/prices",
        &format!("product={product}&currency=usd&unit_amount=5&recurring[interval]=month"),
    ));
    state.post("/v1/coupons", "id=C&percent_off=5");
    let code = id(&state.post("/v1/promotion_codes", "promotion[coupon]=C&promotion[type]=coupon"));
    let rate = id(&state.post("/v1/tax_rates", "display_name=VAT&percentage=19&inclusive=false"));
    let customer = id(&state.post(
        "/v1/customers",
        "coupon=C&source=tok_visa&tax_id_data[0][type]=eu_vat&tax_id_data[0][value]=DE1",
    ));
    let card = state.get(&format!("/v1/customers/{customer}"))["default_source"]
        .as_str()
        .unwrap()
        .to_owned();
    let change = id(&state.post(
        &format!("/v1/customers/{customer}/balance_transactions"),
        "amount=5&currency=usd",
    ));
    let tax_id = id(&state.get(&format!("/v1/customers/{customer}/tax_ids"))["data"][0]);
    let intent = state.post(
        "/v1/payment_intents",
        "amount=500&currency=usd&payment_method=pm_card_createDispute&confirm=true",
    );
    let charge = intent["latest_charge"].as_str().unwrap().to_owned();
    let refund = id(&state.post("/v1/refunds", &format!("charge={charge}&amount=5")));
    let dispute = id(&state.get("/v1/disputes")["data"][0]);
    let method = intent["payment_method"].as_str().unwrap().to_owned();
    let setup = id(&state.post("/v1/setup_intents", ""));
    let clock = id(&state.post("/v1/test_helpers/test_clocks", "frozen_time=1700000000"));
    let endpoint = id(&state.post("/v1/webhook_endpoints", "url=http://127.0.0.1:1/&enabled_events[]=x"));
    let event = id(&state.get("/v1/events")["data"][0]);
    let session = id(&state.post("/v1/checkout/sessions", "mode=setup&success_url=https://host.example/"));
    let link = id(&state.post(
        "/v1/payment_links",
        &format!("line_items[0][price]={price}&line_items[0][quantity]=1"),
    ));
    let portal = id(&state.get("/v1/billing_portal/configurations")["data"][0]);
    let money = id(&state.get("/v1/balance_transactions")["data"][0]);
    vec![
        ("product", format!("/v1/products/{product}")),
        ("price", format!("/v1/prices/{price}")),
        ("plan", format!("/v1/plans/{price}")),
        ("coupon", "/v1/coupons/C".to_owned()),
        ("promotion_code", format!("/v1/promotion_codes/{code}")),
        ("tax_rate", format!("/v1/tax_rates/{rate}")),
        ("customer", format!("/v1/customers/{customer}")),
        ("card", format!("/v1/customers/{customer}/sources/{card}")),
        (
            "customer_balance_transaction",
            format!("/v1/customers/{customer}/balance_transactions/{change}"),
        ),
        ("tax_id", format!("/v1/customers/{customer}/tax_ids/{tax_id}")),
        ("payment_intent", format!("/v1/payment_intents/{}", id(&intent))),
        ("charge", format!("/v1/charges/{charge}")),
        ("refund", format!("/v1/refunds/{refund}")),
        ("dispute", format!("/v1/disputes/{dispute}")),
        ("payment_method", format!("/v1/payment_methods/{method}")),
        ("setup_intent", format!("/v1/setup_intents/{setup}")),
        (
            "test_helpers.test_clock",
            format!("/v1/test_helpers/test_clocks/{clock}"),
        ),
        ("webhook_endpoint", format!("/v1/webhook_endpoints/{endpoint}")),
        ("event", format!("/v1/events/{event}")),
        ("balance_transaction", format!("/v1/balance_transactions/{money}")),
        ("balance", "/v1/balance".to_owned()),
        ("account", "/v1/account".to_owned()),
        ("checkout.session", format!("/v1/checkout/sessions/{session}")),
        ("payment_link", format!("/v1/payment_links/{link}")),
        (
            "billing_portal.configuration",
            format!("/v1/billing_portal/configurations/{portal}"),
        ),
    ]
}

/// A subscription of a customer that pays, and what comes with it.
fn billed(state: &mut Direct) -> Vec<(&'static str, String)> {
    let form = "currency=usd&unit_amount=5&recurring[interval]=month&product_data[name]=A";
    let price = id(&state.post("/v1/prices", form));
    let customer = id(&state.post("/v1/customers", "source=tok_visa"));
    let form = format!("customer={customer}&items[0][price]={price}");
    let subscription = state.post("/v1/subscriptions", &form);
    let invoice = subscription["latest_invoice"].as_str().unwrap();
    let item = id(&subscription["items"]["data"][0]);
    let form = format!("customer={customer}&amount=5&currency=usd");
    let waiting = id(&state.post("/v1/invoiceitems", &form));
    vec![
        ("subscription", format!("/v1/subscriptions/{}", id(&subscription))),
        ("subscription_item", format!("/v1/subscription_items/{item}")),
        ("invoice", format!("/v1/invoices/{invoice}")),
        ("invoiceitem", format!("/v1/invoiceitems/{waiting}")),
    ]
}

#[test]
fn every_key_of_stripes_samples_is_there_in_each_version() {
    let mut state = fresh();
    let mut world = world(&mut state);
    world.extend(billed(&mut state));
    let (mut compared, mut faults) = (0, Vec::new());
    for version in [
        "2024-09-30.acacia",
        "2025-02-24.acacia",
        "2025-03-31.basil",
        "2025-09-30.clover",
        "2026-03-25.dahlia",
        "2026-06-24.dahlia",
        "2026-07-29.dahlia",
    ] {
        let Ok(text) = std::fs::read_to_string(folder().join(format!("{version}.json"))) else {
            eprintln!("SKIPPED: Stripe's sample objects of {version} are not here; set SUBLEDGER_STRIPE_SAMPLES");
            continue;
        };
        let samples: Value = serde_json::from_str(&text).unwrap();
        for (kind, path) in &world {
            let reply = state.apply(&call("GET", path, "").header("stripe-version", version));
            let object = reply.value();
            assert_eq!(
                (reply.status, object["object"].as_str()),
                (200, Some(*kind)),
                "{path}: {object}"
            );
            let sample = samples["resources"][*kind].as_object().unwrap();
            let missing = missing(sample, &object, kind);
            let missing = missing.into_iter().filter(|name| name != BY_EXPANSION);
            faults.extend(missing.map(|name| format!("{version}: {name}")));
            compared += 1;
        }
    }
    assert!(faults.is_empty(), "keys that are not there: {faults:#?}");
    assert!(compared == 0 || compared == 7 * world.len());
}

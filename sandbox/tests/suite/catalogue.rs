//! Products, prices and their twins, coupons, codes, tax rates.

use serde_json::json;

use crate::support::{Ask, call, fresh, id};

#[test]
fn a_recurring_price_has_a_twin_of_the_same_id() {
    let mut state = fresh();
    let product = id(&state.post("/v1/products", "name=Pro&marketing_features[0][name]=Fast"));
    let form = format!("product={product}&currency=USD&unit_amount=2000&recurring[interval]=month&lookup_key=pro");
    let price = state.post("/v1/prices", &form);
    assert_eq!(
        (&price["type"], &price["currency"], &price["unit_amount_decimal"]),
        (&json!("recurring"), &json!("usd"), &json!("2000"))
    );
    let plan = state.get(&format!("/v1/plans/{}", id(&price)));
    assert_eq!(
        (&plan["object"], &plan["amount"], &plan["interval"]),
        (&json!("plan"), &json!(2000), &json!("month"))
    );
    assert_eq!(state.events(), ["product.created", "plan.created", "price.created"]);
    let error = state.refused(400, "POST", "/v1/prices", &form);
    assert_eq!(error["param"], "lookup_key");
    let moved = state.post("/v1/prices", &format!("{form}&transfer_lookup_key=true"));
    let listed = state.get("/v1/prices?lookup_keys[]=pro&expand[]=data.product");
    assert_eq!(listed["data"].as_array().unwrap().len(), 1);
    assert_eq!(
        (&listed["data"][0]["id"], &listed["data"][0]["product"]["name"]),
        (&moved["id"], &json!("Pro"))
    );
    let error = state.refused(400, "DELETE", &format!("/v1/products/{product}"), "");
    assert!(error["message"].as_str().unwrap().contains("prices"));
    // Before basil a plan said how usage is added up.
    let old = call("GET", &format!("/v1/plans/{}", id(&price)), "").header("stripe-version", "2025-02-24.acacia");
    assert!(
        state
            .apply(&old)
            .value()
            .as_object()
            .unwrap()
            .contains_key("aggregate_usage")
    );
    assert!(!plan.as_object().unwrap().contains_key("aggregate_usage"));
}

#[test]
fn tiers_are_shown_when_asked_for() {
    let mut state = fresh();
    let form = "product_data[name]=API&currency=usd&billing_scheme=tiered&tiers_mode=graduated&recurring[interval]=month\
                &tiers[0][up_to]=10&tiers[0][unit_amount]=500&tiers[1][up_to]=inf&tiers[1][unit_amount_decimal]=0.5";
    let price = state.post("/v1/prices", form);
    assert!(price.get("tiers").is_none() && price.get("_tiers").is_none() && price["unit_amount"].is_null());
    let full = state.get(&format!("/v1/prices/{}?expand[]=tiers", id(&price)));
    assert_eq!(
        (&full["tiers"][0]["up_to"], &full["tiers"][1]["up_to"]),
        (&json!(10), &json!(null))
    );
    assert_eq!(full["tiers"][1]["unit_amount_decimal"], "0.5");
    let error = state.refused(
        400,
        "GET",
        &format!("/v1/prices/{}?expand[]=currency.x", id(&price)),
        "",
    );
    assert_eq!(error["param"], "expand");
    let error = state.refused(400, "GET", &format!("/v1/prices/{}?expand[]=nonsense", id(&price)), "");
    assert_eq!(error["message"], "This property cannot be expanded (nonsense).");
    let error = state.refused(
        400,
        "POST",
        "/v1/prices",
        "product_data[name]=x&currency=usd&billing_scheme=tiered",
    );
    assert_eq!(error["param"], "tiers");
    let error = state.refused(400, "POST", "/v1/prices", "product_data[name]=x&currency=usd");
    assert_eq!(error["param"], "unit_amount");
    assert_eq!(
        state.get("/v1/products")["data"].as_array().unwrap().len(),
        1,
        "a refused call leaves no product"
    );
}

#[test]
fn coupons_are_redeemed_until_they_are_over() {
    let mut state = fresh();
    let coupon = state.post(
        "/v1/coupons",
        "id=HALF&percent_off=50&duration=repeating&duration_in_months=3&max_redemptions=2",
    );
    assert_eq!((&coupon["percent_off"], &coupon["valid"]), (&json!(50), &json!(true)));
    state.refused(400, "POST", "/v1/coupons", "id=HALF&percent_off=10");
    state.refused(400, "POST", "/v1/coupons", "percent_off=100.1");
    state.refused(400, "POST", "/v1/coupons", "percent_off=10&amount_off=5&currency=usd");
    let customer = state.post("/v1/customers", "coupon=HALF");
    assert_eq!(customer["discount"]["source"]["coupon"], "HALF");
    assert_eq!(
        customer["discount"]["end"].as_i64().unwrap() - customer["discount"]["start"].as_i64().unwrap(),
        89 * 86_400
    );
    let path = format!("/v1/customers/{}", id(&customer));
    let old = state
        .apply(&call("GET", &path, "").header("stripe-version", "2025-08-27.basil"))
        .value();
    assert_eq!(old["discount"]["coupon"]["percent_off"], 50, "{old}");
    assert!(old["discount"].get("source").is_none());
    let code = state.post(
        "/v1/promotion_codes",
        "promotion[type]=coupon&promotion[coupon]=HALF&code=Summer",
    );
    state.refused(400, "POST", "/v1/promotion_codes", "promotion[coupon]=HALF&code=SUMMER");
    assert_eq!(
        state.get("/v1/promotion_codes?code=summer")["data"][0]["id"],
        code["id"]
    );
    let older = call("GET", "/v1/promotion_codes?code=summer", "").header("stripe-version", "2025-08-27.basil");
    assert_eq!(state.apply(&older).value()["data"][0]["coupon"]["id"], "HALF");
    state.post(&path, &format!("promotion_code={}", id(&code)));
    let half = state.get("/v1/coupons/HALF");
    assert_eq!(
        (&half["valid"], &half["times_redeemed"]),
        (&json!(false), &json!(2)),
        "{half}"
    );
    let error = state.refused(400, "POST", "/v1/customers", "coupon=HALF");
    assert_eq!(error["code"], "coupon_expired");
    let gone = state.delete(&format!("{path}/discount"));
    assert_eq!((&gone["deleted"], &gone["promotion_code"]), (&json!(true), &code["id"]));
    state.refused(404, "DELETE", &format!("{path}/discount"), "");
    let kinds = state.events();
    for kind in [
        "customer.discount.created",
        "customer.discount.updated",
        "customer.discount.deleted",
    ] {
        assert!(kinds.contains(&kind.to_owned()), "{kind} in {kinds:?}");
    }
}

#[test]
fn a_coupon_ends_at_its_time() {
    let mut state = fresh();
    let at = crate::support::NOW + 3600;
    state.post(
        "/v1/coupons",
        &format!("id=SOON&amount_off=500&currency=eur&redeem_by={at}"),
    );
    state.switch("/_sandbox/clock", &json!({"advance": 3599}));
    assert_eq!(state.get("/v1/coupons/SOON")["valid"], true);
    state.switch("/_sandbox/clock", &json!({"advance": 86_400}));
    assert_eq!(state.get("/v1/coupons/SOON")["valid"], false);
    let event = state.get("/v1/events")["data"][0].clone();
    assert_eq!(
        (&event["type"], &event["created"]),
        (&json!("coupon.updated"), &json!(at))
    );
    assert_eq!(event["data"]["previous_attributes"], json!({"valid": true}));
    assert_eq!(event["request"], json!({"id": null, "idempotency_key": null}));
}

#[test]
fn tax_rates_are_made_and_changed() {
    let mut state = fresh();
    let rate = state.post(
        "/v1/tax_rates",
        "display_name=VAT&percentage=19.5&inclusive=false&country=DE",
    );
    assert_eq!((&rate["percentage"], &rate["inclusive"]), (&json!(19.5), &json!(false)));
    let changed = state.post(&format!("/v1/tax_rates/{}", id(&rate)), "active=false");
    assert_eq!(changed["active"], false);
    assert_eq!(state.get("/v1/tax_rates?active=true")["data"], json!([]));
    state.refused(400, "POST", "/v1/tax_rates", "display_name=VAT&inclusive=true");
    assert_eq!(state.events(), ["tax_rate.created", "tax_rate.updated"]);
}

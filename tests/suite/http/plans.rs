//! Plans, as a price page reads them.

use super::harness::App;

#[tokio::test]
async fn plans_are_public_and_not_sent_twice() {
    let app = App::new().await;
    let answer = app.get("/v1/plans").await;
    assert_eq!(answer.status, 200);
    let plans = answer.json();
    let codes: Vec<&str> = plans["data"]
        .as_array()
        .expect("plans")
        .iter()
        .map(|plan| plan["code"].as_str().expect("a code"))
        .collect();
    assert_eq!(codes, ["free", "team", "enterprise"]);
    let etag = answer.header("etag").expect("an ETag").to_owned();
    let again = app.call("GET", "/v1/plans", &[("if-none-match", &etag)], "").await;
    assert_eq!((again.status, again.body.len()), (304, 0));
}

#[tokio::test]
async fn one_plan_tells_prices_limits_and_saving() {
    let app = App::new().await;
    let team = app.get("/v1/plans/team").await.json();
    assert_eq!(team["prices"][0]["price"]["amount_minor"], 9_900);
    assert_eq!(team["yearly_saving_percent"]["USD"], 20);
    let enterprise = app.get("/v1/plans/enterprise").await.json();
    let unlimited = enterprise["limits"]
        .as_array()
        .expect("limits")
        .iter()
        .find(|limit| limit["unlimited"] == true);
    assert!(unlimited.expect("an unlimited one")["limit"].is_null());
    for unknown in ["none-such", "TEAM", "te%20am", "%00"] {
        assert_eq!(
            app.get(&format!("/v1/plans/{unknown}")).await.problem(),
            "not-found",
            "{unknown}"
        );
    }
}

#[tokio::test]
async fn prices_are_filtered_and_bad_filters_refused() {
    let app = App::new().await;
    let yearly = app.get("/v1/plans?interval=year&currency=usd").await.json();
    for plan in yearly["data"].as_array().expect("plans") {
        for price in plan["prices"].as_array().expect("prices") {
            assert_eq!(price["interval"], "year");
        }
    }
    for bad in ["interval=week", "currency=dollars", "currency=", "foo=1"] {
        assert_eq!(
            app.get(&format!("/v1/plans?{bad}")).await.problem(),
            "malformed-request",
            "{bad}"
        );
    }
}

#[tokio::test]
async fn the_comparison_has_a_value_of_every_plan_in_every_row() {
    let table = App::new().await.get("/v1/plan-comparison").await.json();
    let plans = table["plans"].as_array().expect("plans").len();
    for row in table["rows"].as_array().expect("rows") {
        assert_eq!(row["values"].as_array().expect("values").len(), plans, "{row}");
    }
}

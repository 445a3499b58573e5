//! Where a tenant stands, now and at any time before.

use serde_json::{Value, json};

use super::account_log::{AccountLog, at, price, team};
use super::entitlements::read_at;
use super::harness::{App, NOW, portal_token};
use crate::support::stripe;

const PATH: &str = "/v1/tenants/tenant-000001/subscription";

#[tokio::test]
async fn a_subscription_tells_plan_money_and_dates() {
    for app in App::all().await {
        let mut log = AccountLog::open(&app, 1, true, NOW - 900).await;
        let mut object = team(1, "active", 3, NOW - 800);
        object["cancel_at_period_end"] = true.into();
        let position = log
            .tell("customer.subscription.created", NOW - 800, &object, NOW - 790)
            .await;
        let body = read_at(&app, PATH, &position).await.json();
        assert_eq!(
            (&body["status"], &body["access"], &body["is_active"]),
            (&json!("active"), &json!("full"), &json!(true))
        );
        assert_eq!(body["plan"], json!({ "code": "team", "name": "Team" }));
        assert_eq!(
            (&body["plan_version"], &body["interval"], &body["quantity"]),
            (&json!(1), &json!("month"), &json!(3))
        );
        assert_eq!(body["unit_price"], json!({ "amount_minor": 9_900, "currency": "USD" }));
        assert_eq!(body["total"], json!({ "amount_minor": 29_700, "currency": "USD" }));
        let end = at(NOW - 800 + 30 * 86_400).to_string();
        assert_eq!(body["period"]["end"], *end);
        assert_eq!(
            body["cancel"],
            json!({ "at_period_end": true, "at": end, "reason": null })
        );
        assert_eq!(body["next_billing_at"], Value::Null, "it ends with its period");
        assert_eq!(body["pending_change"]["plan"]["code"], "free");
        assert_eq!(
            body["upgrade_options"],
            json!([{ "code": "enterprise", "name": "Enterprise" }])
        );
        assert_eq!(
            body["stripe"],
            json!({ "customer": "cus_000001", "subscription": "sub_000001", "concurrent": [], "items": ["si_000001"],
                "prices": ["price_team_month"], "unmapped_prices": [], "latest_invoice": "in_000001" })
        );
        assert_eq!(body["updated_at"], *at(NOW - 790).to_string());
        assert!(body.get("previous").is_none() && body.get("limits").is_none() && body.get("usage").is_none());
    }
}

#[tokio::test]
async fn more_is_included_when_asked_for() {
    let app = App::new().await;
    let mut log = AccountLog::open(&app, 1, true, NOW - 900).await;
    let mut earlier = team(1, "canceled", 1, NOW - 800);
    earlier["id"] = "sub_before".into();
    earlier["ended_at"] = (NOW - 500).into();
    log.tell("customer.subscription.deleted", NOW - 500, &earlier, NOW - 499)
        .await;
    let position = log
        .tell(
            "customer.subscription.created",
            NOW - 400,
            &team(1, "active", 1, NOW - 400),
            NOW - 390,
        )
        .await;
    let path = format!("{PATH}?include=previous,limits,usage");
    let body = read_at(&app, &path, &position).await.json();
    assert_eq!(body["previous"][0]["subscription"], "sub_before");
    assert_eq!(body["previous"][0]["plan"], "team");
    assert_eq!(body["limits"]["plan"]["code"], "team");
    assert_eq!(body["usage"][0]["resource"], "test_runs");
    for bad in ["include=invoices", "include=", "include=limits,,usage"] {
        let answer = app.operate("GET", &format!("{PATH}?{bad}"), &Value::Null).await;
        assert_eq!(answer.problem(), "malformed-request", "{bad}");
    }
}

#[tokio::test]
async fn an_unmapped_price_and_an_unknown_status_are_said() {
    let app = App::new().await;
    let mut log = AccountLog::open(&app, 1, true, NOW - 900).await;
    let mut object = stripe::subscription(1, "resting", 1, NOW - 800);
    price(&mut object, "price_of_nobody", 700);
    let position = log
        .tell("customer.subscription.created", NOW - 800, &object, NOW - 790)
        .await;
    let body = read_at(&app, PATH, &position).await.json();
    assert_eq!(
        (&body["status"], &body["status_raw"], &body["access"]),
        (&json!("unrecognised"), &json!("resting"), &json!("grace"))
    );
    assert_eq!(
        (&body["plan"], &body["stripe"]["unmapped_prices"]),
        (&Value::Null, &json!(["price_of_nobody"]))
    );
}

#[tokio::test]
async fn a_valid_token_of_a_tenant_never_seen_answers_none() {
    let app = App::new().await;
    let body = app
        .get_as(&portal_token("new", "viewer"), "/v1/tenants/me/subscription")
        .await
        .json();
    assert_eq!(
        (&body["status"], &body["plan"]["code"], &body["version"]),
        (&json!("none"), &json!("free"), &json!(0))
    );
}

/// Twelve changes of one account by day: (day it happened, day the ledger learnt it, plan, quantity, status). The
/// sixth and the ninth are learnt late.
const CHANGES: [(i64, i64, &str, u32, &str); 12] = [
    (2, 2, "team", 1, "trialing"),
    (4, 4, "team", 1, "active"),
    (6, 6, "team", 2, "active"),
    (8, 8, "team", 3, "active"),
    (10, 10, "enterprise", 3, "active"),
    (12, 19, "enterprise", 5, "active"),
    (14, 14, "enterprise", 4, "active"),
    (16, 16, "enterprise", 4, "past_due"),
    (17, 23, "team", 4, "past_due"),
    (18, 18, "team", 6, "active"),
    (20, 20, "team", 7, "active"),
    (22, 22, "team", 7, "canceled"),
];
const DAY: i64 = 86_400;
const FIRST: i64 = NOW - 30 * DAY;

/// What is right at the end of a day, by the rule of the clock, told from the list and from nothing else.
fn right(day: i64, basis: &str, known_at: Option<i64>) -> (String, Option<u64>, String) {
    let belongs = |change: &&(i64, i64, &str, u32, &str)| {
        let on_clock = if basis == "occurred" { change.0 } else { change.1 };
        on_clock <= day && known_at.is_none_or(|known| change.1 <= known)
    };
    // Among what belongs, the newest by Stripe's clock counts, whenever it was learnt.
    match CHANGES.iter().filter(belongs).max_by_key(|change| change.0) {
        None => ("none".into(), None, "free".into()),
        Some((_, _, _, quantity, "canceled")) => ("canceled".into(), Some(u64::from(*quantity)), "free".into()),
        Some((_, _, plan, quantity, status)) => ((*status).into(), Some(u64::from(*quantity)), (*plan).into()),
    }
}

#[tokio::test]
async fn twelve_changes_answer_rightly_at_twenty_four_instants_on_both_clocks() {
    for app in App::all().await {
        let mut log = AccountLog::open(&app, 1, true, FIRST).await;
        let mut learnt: Vec<_> = CHANGES.to_vec();
        learnt.sort_by_key(|change| change.1);
        let mut last = String::new();
        for (happened, recorded, plan, quantity, status) in learnt {
            let mut object = team(1, status, quantity, FIRST);
            if plan == "enterprise" {
                price(&mut object, "price_enterprise_month", 49_900);
            }
            let kind = match status {
                "canceled" => "customer.subscription.deleted",
                "trialing" => "customer.subscription.created",
                _ => "customer.subscription.updated",
            };
            last = log
                .tell(kind, FIRST + happened * DAY, &object, FIRST + recorded * DAY)
                .await;
        }
        let said = |body: &Value| {
            let plan = body["plan"]["code"].as_str().expect("a plan").to_owned();
            (
                body["status"].as_str().expect("a status").to_owned(),
                body["quantity"].as_u64(),
                plan,
            )
        };
        for day in 1..=24 {
            let instant = at(FIRST + day * DAY);
            for basis in ["recorded", "occurred"] {
                let path = format!("{PATH}?as_of={instant}&basis={basis}");
                let answer = app.operate("GET", &path, &Value::Null).await;
                assert_eq!(answer.status, 200, "{path}: {}", answer.text());
                assert_eq!(said(&answer.json()), right(day, basis, None), "{basis} {day}");
                assert_eq!(answer.header("etag"), None);
            }
            let known = at(FIRST + 18 * DAY);
            let path = format!("{PATH}?as_of={instant}&basis=occurred&known_at={known}");
            let body = app.operate("GET", &path, &Value::Null).await.json();
            assert_eq!(said(&body), right(day, "occurred", Some(18)), "known on day 18, {day}");
            assert_eq!(body["as_of"]["known_at"], *known.to_string());
        }
        let now = read_at(&app, PATH, &last).await.json();
        assert_eq!(said(&now).0, "canceled");
    }
}

#[tokio::test]
#[expect(clippy::too_many_lines, reason = "one account, looked at by each kind of caller")]
async fn the_history_is_for_its_own_people_newest_first() {
    for app in App::all().await {
        let mut log = AccountLog::open(&app, 1, true, NOW - 900).await;
        log.tell(
            "customer.subscription.created",
            NOW - 800,
            &team(1, "active", 1, NOW - 800),
            NOW - 790,
        )
        .await;
        log.tell(
            "customer.subscription.updated",
            NOW - 700,
            &team(1, "active", 4, NOW - 800),
            NOW - 690,
        )
        .await;
        // The same again, newer: recorded, but nothing anybody needs to be told.
        log.tell(
            "customer.subscription.updated",
            NOW - 600,
            &team(1, "active", 4, NOW - 800),
            NOW - 590,
        )
        .await;
        let last = log
            .tell(
                "customer.subscription.updated",
                NOW - 500,
                &team(1, "past_due", 4, NOW - 800),
                NOW - 490,
            )
            .await;
        let token = format!("Bearer {}", portal_token("tenant-000001", "viewer"));
        let mut told = Vec::new();
        let mut path = "/v1/tenants/me/subscription/history?limit=2".to_owned();
        loop {
            let headers = [("authorization", &*token), ("ledger-min-position", &*last)];
            let answer = app.call("GET", &path, &headers, "").await;
            assert_eq!(answer.status, 200, "{}", answer.text());
            let page = answer.json();
            let data = page["data"].as_array().expect("entries").clone();
            assert!(data.len() <= 2);
            told.extend(data);
            let Some(cursor) = page["page"]["next_cursor"].as_str() else {
                break;
            };
            path = format!("/v1/tenants/me/subscription/history?limit=2&cursor={cursor}");
        }
        let events: Vec<&str> = told
            .iter()
            .map(|entry| entry["event"].as_str().expect("a name"))
            .collect();
        assert_eq!(events.first(), Some(&"payment_overdue"));
        assert_eq!(events.last(), Some(&"account_opened"));
        assert!(events.contains(&"quantity_changed") && events.contains(&"subscription_started"));
        assert!(!events.contains(&"snapshot_confirmed") && !events.contains(&"customer_linked"));
        let versions: Vec<u64> = told
            .iter()
            .map(|entry| entry["version"].as_u64().expect("a version"))
            .collect();
        assert!(versions.is_sorted_by(|newer, older| newer > older), "{versions:?}");
        let changed = told
            .iter()
            .find(|entry| entry["event"] == "quantity_changed")
            .expect("the change");
        assert_eq!(
            (&changed["subscription"]["quantity"], &changed["subscription"]["plan"]),
            (&json!(4), &json!("team"))
        );
        assert!(changed.get("actor").is_none());
        let path = "/v1/tenants/tenant-000001/subscription/history?limit=1&count=true";
        let counted = app.operate("GET", path, &Value::Null).await.json();
        assert_eq!(counted["page"]["count"], told.len().to_string());
        let other = app.operate(
            "GET",
            "/v1/tenants/tenant-000001/subscription/history?cursor=AAAA",
            &Value::Null,
        );
        assert_eq!(other.await.problem(), "invalid-cursor");
    }
}

#[tokio::test]
async fn instants_are_written_rightly_or_refused() {
    let app = App::new().await;
    AccountLog::open(&app, 1, true, NOW - 900).await;
    for bad in [
        "as_of=yesterday",
        "basis=occurred",
        "known_at=2027-01-01T00:00:00Z",
        "as_of=2027-01-01T00:00:00Z&known_at=2027-01-01T00:00:00Z",
        "as_of=2027-01-01T00:00:00Z&basis=guessed",
    ] {
        let answer = app.operate("GET", &format!("{PATH}?{bad}"), &Value::Null).await;
        assert_eq!(answer.problem(), "malformed-request", "{bad}");
    }
}

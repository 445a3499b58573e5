//! What a tenant may use, as the host application asks for it.

use serde_json::{Value, json};

use super::account_log::{AccountLog, price, team};
use super::harness::{Answer, App, NOW, portal_token};

pub(super) async fn read_at(app: &App, path: &str, position: &str) -> Answer {
    let bearer = format!("Bearer {}", app.admin.reveal());
    let headers = [("authorization", &*bearer), ("ledger-min-position", position)];
    let answer = app.call("GET", path, &headers, "").await;
    assert_eq!(answer.status, 200, "{path}: {}", answer.text());
    answer
}

fn limit<'a>(answer: &'a Value, resource: &str) -> &'a Value {
    let limits = answer["limits"].as_array().expect("limits");
    limits
        .iter()
        .find(|limit| limit["resource"] == resource)
        .expect("the limit")
}

#[tokio::test]
async fn a_paying_tenant_has_what_its_plan_grants() {
    for app in App::all().await {
        let mut log = AccountLog::open(&app, 1, true, NOW - 900).await;
        let at = log
            .tell(
                "customer.subscription.created",
                NOW - 800,
                &team(1, "active", 1, NOW - 800),
                NOW - 790,
            )
            .await;
        let answer = read_at(&app, "/v1/tenants/tenant-000001/entitlements", &at).await;
        assert_eq!(answer.header("ledger-view-position"), Some(&*at));
        assert_eq!(answer.header("ledger-view-age"), Some("0"));
        let body = answer.json();
        assert_eq!(
            (&body["tenant"], &body["status"], &body["access"]),
            (&json!("tenant-000001"), &json!("active"), &json!("full"))
        );
        assert_eq!(
            body["plan"],
            json!({ "code": "team", "name": "Team", "version": 1, "quantity": 1 })
        );
        assert_eq!(
            body["features"],
            json!({ "support": "email", "sso": false, "audit_logs": true })
        );
        assert_eq!(limit(&body, "test_runs")["limit"], 1_000);
        assert_eq!(limit(&body, "storage")["limit"], 10_000_000_000_u64);
        assert_eq!(body["as_of"], Value::Null);
        let by_customer = read_at(&app, "/v1/tenants/cus_000001/entitlements", &at).await;
        assert_eq!(by_customer.json(), body, "the same account by its customer");
    }
}

#[tokio::test]
async fn what_has_not_changed_is_not_sent_again_and_what_has_is() {
    let app = App::new().await;
    let mut log = AccountLog::open(&app, 1, true, NOW - 900).await;
    let at = log
        .tell(
            "customer.subscription.created",
            NOW - 800,
            &team(1, "active", 1, NOW - 800),
            NOW - 790,
        )
        .await;
    let path = "/v1/tenants/tenant-000001/entitlements";
    let first = read_at(&app, path, &at).await;
    let etag = first.header("etag").expect("an ETag").to_owned();
    let bearer = format!("Bearer {}", app.admin.reveal());
    let headers = [("authorization", &*bearer), ("if-none-match", &*etag)];
    let again = app.call("GET", path, &headers, "").await;
    assert_eq!((again.status, again.body.len()), (304, 0));
    let mut upgraded = team(1, "active", 1, NOW - 800);
    price(&mut upgraded, "price_enterprise_month", 49_900);
    let at = log
        .tell("customer.subscription.updated", NOW - 700, &upgraded, NOW - 690)
        .await;
    let headers = [
        ("authorization", &*bearer),
        ("if-none-match", &*etag),
        ("ledger-min-position", &*at),
    ];
    let changed = app.call("GET", path, &headers, "").await;
    assert_eq!(changed.status, 200);
    let body = changed.json();
    assert_eq!(
        (&body["plan"]["code"], &body["features"]["sso"]),
        (&json!("enterprise"), &json!(true))
    );
    assert_eq!(limit(&body, "projects")["unlimited"], true);
    assert_eq!(limit(&body, "projects")["limit"], Value::Null);
}

#[tokio::test]
async fn without_a_subscription_the_free_plan_holds() {
    let app = App::new().await;
    let mut log = AccountLog::open(&app, 1, true, NOW - 900).await;
    let mut over = team(1, "canceled", 1, NOW - 800);
    over["ended_at"] = (NOW - 100).into();
    let at = log
        .tell("customer.subscription.deleted", NOW - 100, &over, NOW - 99)
        .await;
    let body = read_at(&app, "/v1/tenants/tenant-000001/entitlements", &at)
        .await
        .json();
    assert_eq!((&body["status"], &body["access"]), (&json!("canceled"), &json!("full")));
    assert_eq!(body["plan"]["code"], "free");
    assert_eq!(limit(&body, "projects")["limit"], 1);
}

#[tokio::test]
async fn a_paused_tenant_holds_nothing_and_is_told_why() {
    let app = App::new().await;
    let mut log = AccountLog::open(&app, 1, true, NOW - 900).await;
    let at = log
        .tell(
            "customer.subscription.created",
            NOW - 800,
            &team(1, "paused", 1, NOW - 800),
            NOW - 790,
        )
        .await;
    let body = read_at(&app, "/v1/tenants/tenant-000001/entitlements", &at)
        .await
        .json();
    assert_eq!((&body["access"], &body["plan"]), (&json!("restricted"), &Value::Null));
    assert_eq!(body["restriction"]["reason"], "paused");
    assert_eq!(limit(&body, "projects")["limit"], 0);
    assert_eq!(body["features"]["sso"], false);
}

#[tokio::test]
async fn an_unknown_tenant_is_unknown_to_keys_and_free_to_its_own_token() {
    let app = App::new().await;
    let by_key = app
        .operate("GET", "/v1/tenants/never-seen/entitlements", &Value::Null)
        .await;
    assert_eq!((by_key.status, by_key.problem().as_str()), (404, "not-found"));
    let token = portal_token("never-seen", "viewer");
    for path in ["/v1/tenants/never-seen/entitlements", "/v1/tenants/me/entitlements"] {
        let own = app.get_as(&token, path).await;
        assert_eq!(own.status, 200, "{}", own.text());
        let body = own.json();
        assert_eq!(
            (
                &body["status"],
                &body["tenant"],
                &body["plan"]["code"],
                &body["version"]
            ),
            (&json!("none"), &json!("never-seen"), &json!("free"), &json!(0))
        );
    }
    let foreign = app.get_as(&token, "/v1/tenants/tenant-000001/entitlements").await;
    assert_eq!(foreign.problem(), "tenant-mismatch");
}

#[tokio::test]
async fn a_position_that_is_not_reached_is_said_and_a_malformed_one_refused() {
    let app = App::new().await;
    let log = AccountLog::open(&app, 1, true, NOW - 900).await;
    let bearer = format!("Bearer {}", app.admin.reveal());
    let future = format!("{}.999999", log.part);
    for (position, problem) in [(&*future, "projection-behind"), ("x", "malformed-request")] {
        let headers = [
            ("authorization", &*bearer),
            ("ledger-min-position", position),
            ("prefer", "wait=0"),
        ];
        let answer = app
            .call("GET", "/v1/tenants/tenant-000001/entitlements", &headers, "")
            .await;
        assert_eq!(answer.problem(), problem, "{position}");
    }
}

//! How much of each resource a tenant has and uses.

use serde_json::{Value, json};

use super::account_log::{AccountLog, team};
use super::entitlements::read_at;
use super::harness::{App, NOW, portal_token};

fn quota<'a>(answer: &'a Value, resource: &str) -> &'a Value {
    let data = answer["data"].as_array().expect("quotas");
    data.iter()
        .find(|quota| quota["resource"] == resource)
        .expect("the quota")
}

#[tokio::test]
async fn each_resource_tells_its_limit_and_when_it_starts_again() {
    for app in App::all().await {
        let mut log = AccountLog::open(&app, 1, true, NOW - 900).await;
        // 2027-01-10T08:00:00Z: months turn on the tenth.
        let anchor = NOW - 5 * 86_400;
        let at = log
            .tell(
                "customer.subscription.created",
                anchor,
                &team(1, "active", 1, anchor),
                NOW - 790,
            )
            .await;
        let answer = read_at(&app, "/v1/tenants/tenant-000001/quotas", &at).await;
        let body = answer.json();
        let runs = quota(&body, "test_runs");
        assert_eq!(
            (
                &runs["used"],
                &runs["limit"],
                &runs["remaining"],
                &runs["percent"],
                &runs["severity"]
            ),
            (&json!(0), &json!(1_000), &json!(1_000), &json!(0), &json!("none"))
        );
        assert_eq!(runs["resets_at"], "2027-02-10T08:00:00Z");
        assert_eq!(
            quota(&body, "projects")["resets_at"],
            Value::Null,
            "a level never starts again"
        );
        let then = "/v1/tenants/tenant-000001/quotas?as_of=2027-01-15T07:00:00Z&basis=occurred";
        let past = app.operate("GET", then, &Value::Null).await;
        assert_eq!(past.header("etag"), None, "no version of the past");
        assert_eq!(quota(&past.json(), "test_runs")["limit"], 1_000);
        let before = "/v1/tenants/tenant-000001/quotas?as_of=2027-01-01T00:00:00Z&basis=occurred";
        let before = app.operate("GET", before, &Value::Null).await.json();
        assert_eq!(
            (&before["plan"]["code"], &quota(&before, "test_runs")["limit"]),
            (&json!("free"), &json!(100))
        );
    }
}

#[tokio::test]
async fn a_tenant_nobody_has_seen_has_the_free_plans_quotas() {
    let app = App::new().await;
    let body = app
        .get_as(&portal_token("new", "viewer"), "/v1/tenants/me/quotas")
        .await
        .json();
    assert_eq!(quota(&body, "test_runs")["limit"], 100);
    assert_eq!(
        quota(&body, "test_runs")["resets_at"],
        Value::Null,
        "its account has no opening day yet"
    );
}

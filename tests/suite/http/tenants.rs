//! Tenants and accounts that nobody owns yet.

use serde_json::{Value, json};

use super::account_log::{AccountLog, team};
use super::entitlements::read_at;
use super::harness::{App, NOW, portal_token};

const PATH: &str = "/v1/tenants/acme";

#[tokio::test]
async fn a_tenant_is_registered_once_and_replaced_after() {
    for app in App::all().await {
        let wanted = json!({ "name": "Acme", "email": "pay@acme.example", "currency": "usd",
            "stripe_customer": "cus_acme", "metadata": { "tier": "gold" } });
        let made = app.operate("PUT", PATH, &wanted).await;
        assert_eq!(made.status, 201, "{}", made.text());
        let position = made.header("ledger-position").expect("a position").to_owned();
        let body = made.json();
        assert_eq!(
            (&body["tenant"], &body["name"], &body["stripe"], &body["status"]),
            (
                &json!("acme"),
                &json!("Acme"),
                &json!({ "customer": "cus_acme" }),
                &json!("none")
            )
        );
        let again = app
            .operate(
                "PUT",
                PATH,
                &json!({ "name": "Acme Ltd", "stripe_customer": "cus_acme" }),
            )
            .await;
        assert_eq!(
            (again.status, again.header("ledger-position")),
            (200, None),
            "{}",
            again.text()
        );
        let read = read_at(&app, PATH, &position).await;
        let body = read.json();
        assert_eq!(
            (&body["name"], &body["email"], &body["metadata"]),
            (&json!("Acme Ltd"), &Value::Null, &json!({}))
        );
        assert_eq!((&body["currency"], &body["version"]), (&json!("USD"), &json!(2)));
        let by_customer = app.operate("GET", "/v1/tenants/cus_acme", &Value::Null).await;
        assert_eq!(by_customer.json(), body);
        let own = app.get_as(&portal_token("acme", "viewer"), "/v1/tenants/me").await;
        assert_eq!(own.json(), body);
    }
}

#[tokio::test]
async fn a_registration_sent_twice_under_one_key_has_one_effect() {
    let app = App::new().await;
    let bearer = format!("Bearer {}", app.admin.reveal());
    let headers = [
        ("authorization", &*bearer),
        ("content-type", "application/json"),
        ("idempotency-key", "k-1"),
    ];
    let first = app.call("PUT", PATH, &headers, r#"{"name":"Acme"}"#).await;
    let second = app.call("PUT", PATH, &headers, r#"{ "name": "Acme" }"#).await;
    assert_eq!((first.status, second.status), (201, 201));
    assert_eq!(second.header("idempotency-replayed"), Some("true"));
    assert_eq!(first.json(), second.json());
    let other = app.call("PUT", PATH, &headers, r#"{"name":"Other"}"#).await;
    assert_eq!(other.problem(), "idempotency-key-reused");
}

#[tokio::test]
async fn conditions_hold_against_what_is_there() {
    let app = App::new().await;
    let bearer = format!("Bearer {}", app.admin.reveal());
    let put = async |name: &str, value: &str| {
        let headers = [
            ("authorization", &*bearer),
            ("content-type", "application/json"),
            (name, value),
        ];
        app.call("PUT", PATH, &headers, "{}").await
    };
    assert_eq!(
        put("if-match", "\"1.0\"").await.problem(),
        "version-conflict",
        "nothing is there yet"
    );
    assert_eq!(put("if-none-match", "*").await.status, 201);
    assert_eq!(put("if-none-match", "*").await.problem(), "version-conflict");
    let etag = app.operate("GET", PATH, &Value::Null).await;
    let etag = etag.header("etag").expect("an ETag").to_owned();
    assert_eq!(put("if-match", &etag).await.status, 200);
    assert_eq!(put("if-match", "\"99.0\"").await.problem(), "version-conflict");
}

#[tokio::test]
async fn what_cannot_be_is_refused() {
    let app = App::new().await;
    for (body, pointer) in [
        (json!({ "name": "" }), "/name"),
        (json!({ "email": "x".repeat(256) }), "/email"),
        (json!({ "currency": "dollars" }), "/currency"),
        (json!({ "stripe_customer": "cus a" }), "/stripe_customer"),
        (json!({ "metadata": { "k": "x".repeat(501) } }), "/metadata"),
        (json!({ "plan": "team" }), "/plan"),
    ] {
        let answer = app.operate("PUT", PATH, &body).await;
        assert_eq!(answer.problem(), "validation-failed", "{body}");
        assert_eq!(answer.json()["errors"][0]["pointer"], pointer);
    }
    let of_customer = app.operate("PUT", "/v1/tenants/cus_1", &json!({})).await;
    assert_eq!(of_customer.problem(), "malformed-request");
    assert_eq!(
        app.operate("GET", "/v1/tenants/none", &Value::Null).await.problem(),
        "not-found"
    );
    app.operate("PUT", PATH, &json!({ "stripe_customer": "cus_1" })).await;
    let taken = app
        .operate("PUT", "/v1/tenants/other", &json!({ "stripe_customer": "cus_1" }))
        .await;
    assert_eq!((taken.status, taken.problem().as_str()), (409, "tenant-already-linked"));
    let second = app.operate("PUT", PATH, &json!({ "stripe_customer": "cus_2" })).await;
    assert_eq!(second.problem(), "tenant-already-linked");
}

#[tokio::test]
async fn tenants_are_listed_in_pages_and_filtered() {
    for app in App::all().await {
        let mut last = String::new();
        for account in 1..=5 {
            let mut log = AccountLog::open(&app, account, true, NOW - 900).await;
            let status = if account == 3 { "past_due" } else { "active" };
            let object = team(account, status, 1, NOW - 800);
            last = format!(
                "{last}{}{}",
                if last.is_empty() { "" } else { "," },
                log.tell("customer.subscription.created", NOW - 800, &object, NOW - 790)
                    .await
            );
        }
        let ids = |page: &Value| -> Vec<String> {
            let data = page["data"].as_array().expect("tenants");
            data.iter()
                .map(|line| line["tenant"].as_str().expect("an id").to_owned())
                .collect()
        };
        let first = read_at(&app, "/v1/tenants?limit=3&count=true", &last).await;
        assert!(first.header("link").is_some_and(|link| link.contains("count=true")));
        assert!(first.header("ledger-view-age").is_some());
        let page = first.json();
        assert_eq!(ids(&page), ["tenant-000001", "tenant-000002", "tenant-000003"]);
        assert_eq!(page["data"][0]["stripe"], json!({ "customer": "cus_000001" }));
        assert_eq!(
            (&page["page"]["count"], &page["page"]["has_more"]),
            (&json!("5"), &json!(true))
        );
        assert_eq!(
            (&page["data"][2]["access"], &page["data"][2]["plan"]),
            (&json!("grace"), &json!("team"))
        );
        let cursor = page["page"]["next_cursor"].as_str().expect("a cursor");
        let rest = app
            .operate("GET", &format!("/v1/tenants?limit=3&cursor={cursor}"), &Value::Null)
            .await
            .json();
        assert_eq!(ids(&rest), ["tenant-000004", "tenant-000005"]);
        assert_eq!(rest["page"]["next_cursor"], Value::Null);
        for (query, expected) in [
            ("status=past_due", vec!["tenant-000003"]),
            ("q=CUS_000004", vec!["tenant-000004"]),
            ("plan=enterprise", vec![]),
            ("q=%25", vec![]),
        ] {
            let found = app
                .operate("GET", &format!("/v1/tenants?{query}"), &Value::Null)
                .await
                .json();
            assert_eq!(ids(&found), expected, "{query}");
        }
        let other = app
            .operate(
                "GET",
                &format!("/v1/tenants?status=active&cursor={cursor}"),
                &Value::Null,
            )
            .await;
        assert_eq!(other.problem(), "invalid-cursor", "a cursor belongs to its filter");
    }
}

#[tokio::test]
async fn a_tenant_whose_stream_yielded_is_one_line_and_counts_once() {
    for app in App::all().await {
        assert_eq!(app.operate("PUT", PATH, &json!({})).await.status, 201);
        AccountLog::open(&app, 7, false, NOW - 900).await;
        let linked = app
            .operate("PUT", PATH, &json!({ "stripe_customer": "cus_000007" }))
            .await;
        let position = linked.header("ledger-position").expect("a position").to_owned();
        let list = read_at(&app, "/v1/tenants?count=true", &position).await.json();
        assert_eq!(list["data"].as_array().map(Vec::len), Some(1), "{list}");
        assert_eq!(list["data"][0]["stripe"]["customer"], "cus_000007");
        assert_eq!(list["page"]["count"], "1");
    }
}

#[tokio::test]
async fn an_account_nobody_owns_is_shown_and_given_to_a_tenant() {
    for app in App::all().await {
        let mut log = AccountLog::open(&app, 7, false, NOW - 900).await;
        let object = team(7, "active", 2, NOW - 800);
        let last = log
            .tell("customer.subscription.created", NOW - 800, &object, NOW - 790)
            .await;
        let list = read_at(&app, "/v1/unassigned-accounts?count=true", &last).await.json();
        assert_eq!(list["page"]["count"], "1");
        assert_eq!(
            (
                &list["data"][0]["stripe"]["customer"],
                &list["data"][0]["status"],
                &list["data"][0]["plan"]
            ),
            (&json!("cus_000007"), &json!("active"), &json!("team"))
        );
        let by_customer = app
            .operate("GET", "/v1/tenants/cus_000007/subscription", &Value::Null)
            .await
            .json();
        assert_eq!(
            (&by_customer["tenant"], &by_customer["status"]),
            (&Value::Null, &json!("active"))
        );
        let path = "/v1/unassigned-accounts/cus_000007/assign";
        for (body, problem) in [
            (json!({ "tenant": "acme", "reason": " " }), "validation-failed"),
            (json!({ "tenant": "a b", "reason": "x" }), "validation-failed"),
            (json!({ "tenant": "acme" }), "validation-failed"),
        ] {
            assert_eq!(app.operate("POST", path, &body).await.problem(), problem, "{body}");
        }
        let given = app
            .operate("POST", path, &json!({ "tenant": "acme", "reason": "they wrote to us" }))
            .await;
        assert_eq!(given.status, 200, "{}", given.text());
        let position = given.header("ledger-position").expect("a position").to_owned();
        assert_eq!(given.json()["tenant"], "acme");
        let by_tenant = read_at(&app, "/v1/tenants/acme/subscription", &position).await.json();
        assert_eq!(
            (&by_tenant["tenant"], &by_tenant["quantity"]),
            (&json!("acme"), &json!(2))
        );
        let left = read_at(&app, "/v1/unassigned-accounts", &position).await.json();
        assert_eq!(left["data"], json!([]));
        let other = app
            .operate("POST", path, &json!({ "tenant": "other", "reason": "mistake" }))
            .await;
        assert_eq!(other.problem(), "tenant-already-linked");
        let unknown = "/v1/unassigned-accounts/cus_none/assign";
        let unknown = app
            .operate("POST", unknown, &json!({ "tenant": "acme", "reason": "x" }))
            .await;
        assert_eq!(unknown.problem(), "not-found");
    }
}

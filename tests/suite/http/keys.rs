//! API keys: shown once, good for what they say, over when they are over.

use serde_json::{Value, json};

use super::harness::{Answer, App, NOW};

async fn make(app: &App, body: &Value) -> Answer {
    app.operate("POST", "/v1/api-keys", body).await
}

fn secret(answer: &Answer) -> String {
    answer.json()["secret"].as_str().expect("a secret").to_owned()
}

fn id(answer: &Answer) -> String {
    answer.json()["id"].as_str().expect("an id").to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_works_until_it_is_revoked() {
    for app in App::all().await {
        let made = make(
            &app,
            &json!({ "name": "portal", "scopes": ["keys:admin", "tenants:write"] }),
        )
        .await;
        assert_eq!(made.status, 201, "{}", made.text());
        assert!(made.header("ledger-position").is_some());
        let key = secret(&made);
        let me = app.get_as(&key, "/v1/whoami").await.json();
        assert_eq!((&me["kind"], &me["principal"]), (&json!("key"), &made.json()["id"]));
        assert_eq!(me["scopes"], json!(["tenants:read", "tenants:write", "keys:admin"]));
        let listed = app.get_as(&key, "/v1/api-keys").await.json();
        assert_eq!(listed["data"][0]["name"], "portal");
        assert!(listed["page"].get("count").is_none());
        make(&app, &json!({ "name": "other", "scopes": ["plans:write"] })).await;
        let counted = app.get_as(&key, "/v1/api-keys?limit=1&count=true").await.json();
        assert_eq!(
            (&counted["page"]["count"], &counted["page"]["has_more"]),
            (&json!("2"), &json!(true))
        );
        assert!(listed["data"][0].get("secret").is_none());
        for _ in 0..2 {
            assert_eq!(
                app.operate("DELETE", &format!("/v1/api-keys/{}", id(&made)), &Value::Null)
                    .await
                    .status,
                204
            );
        }
        assert_eq!(app.get_as(&key, "/v1/whoami").await.problem(), "unauthenticated");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_repeated_creation_makes_one_key_and_hides_its_secret() {
    for app in App::all().await {
        let bearer = format!("Bearer {}", app.admin.reveal());
        let headers = [
            ("authorization", &*bearer),
            ("content-type", "application/json"),
            ("idempotency-key", "make-1"),
        ];
        let first = app
            .call(
                "POST",
                "/v1/api-keys",
                &headers,
                r#"{"name":"a","scopes":["plans:write"]}"#,
            )
            .await;
        let second = app
            .call(
                "POST",
                "/v1/api-keys",
                &headers,
                r#"{ "scopes": ["plans:write"], "name": "a" }"#,
            )
            .await;
        assert_eq!((first.status, second.status), (201, 201));
        assert_eq!(second.header("idempotency-replayed"), Some("true"));
        assert_eq!((id(&first), &second.json()["secret"]), (id(&second), &Value::Null));
        let other = app
            .call(
                "POST",
                "/v1/api-keys",
                &headers,
                r#"{"name":"b","scopes":["plans:write"]}"#,
            )
            .await;
        assert_eq!(other.problem(), "idempotency-key-reused");
        assert_eq!(
            app.operate("GET", "/v1/api-keys", &Value::Null).await.json()["data"]
                .as_array()
                .map(Vec::len),
            Some(1)
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rotated_key_works_through_its_overlap() {
    for app in App::all().await {
        let old = make(&app, &json!({ "name": "a", "scopes": ["plans:write"] })).await;
        let path = format!("/v1/api-keys/{}/rotate", id(&old));
        let new = app.operate("POST", &path, &json!({ "overlap_h": 2 })).await;
        assert_eq!((new.status, &new.json()["rotated_from"]), (201, &old.json()["id"]));
        for key in [secret(&old), secret(&new)] {
            assert_eq!(app.get_as(&key, "/v1/whoami").await.status, 200);
        }
        let me = app.get_as(&secret(&old), "/v1/whoami").await.json();
        assert_eq!(me["expires_at"], "2027-01-15T10:00:00Z");
        assert_eq!(
            app.operate("POST", &path, &json!({})).await.problem(),
            "invalid-transition"
        );
        let path = format!("/v1/api-keys/{}/rotate", id(&new));
        assert_eq!(app.operate("POST", &path, &json!({ "overlap_h": 0 })).await.status, 201);
        assert_eq!(
            app.get_as(&secret(&new), "/v1/whoami").await.problem(),
            "unauthenticated"
        );
    }
}

#[tokio::test]
async fn nobody_gives_away_more_than_it_has() {
    let app = App::new().await;
    let admin = secret(&make(&app, &json!({ "name": "a", "scopes": ["keys:admin", "plans:write"] })).await);
    let bearer = format!("Bearer {admin}");
    let headers = [("authorization", &*bearer), ("content-type", "application/json")];
    let more = app
        .call(
            "POST",
            "/v1/api-keys",
            &headers,
            r#"{"name":"b","scopes":["finance:write"]}"#,
        )
        .await;
    assert_eq!((more.status, more.problem().as_str()), (403, "forbidden"));
    let same = app
        .call(
            "POST",
            "/v1/api-keys",
            &headers,
            r#"{"name":"b","scopes":["plans:write"]}"#,
        )
        .await;
    assert_eq!(same.status, 201);
}

#[tokio::test]
async fn wrong_requests_name_the_field() {
    let app = App::new().await;
    let past = subledger_time(NOW - 1);
    for (body, pointer) in [
        (json!({ "name": "", "scopes": ["plans:write"] }), "/name"),
        (json!({ "name": "x".repeat(256), "scopes": ["plans:write"] }), "/name"),
        (json!({ "name": "a", "scopes": [] }), "/scopes"),
        (json!({ "name": "a", "scopes": ["plans:delete"] }), "/scopes"),
        (
            json!({ "name": "a", "scopes": ["plans:write"], "tenant": "me" }),
            "/tenant",
        ),
        (
            json!({ "name": "a", "scopes": ["plans:write"], "expires_at": past }),
            "/expires_at",
        ),
        (
            json!({ "name": "a", "scopes": ["plans:write"], "cidrs": ["10.0.0.0/8", "10.0.0.0/33"] }),
            "/cidrs/1",
        ),
        (json!({ "name": "a", "scopes": ["plans:write"], "extra": 1 }), "/extra"),
        (json!({ "name": "a" }), ""),
    ] {
        let answer = make(&app, &body).await;
        assert_eq!(
            (answer.status, answer.problem().as_str()),
            (422, "validation-failed"),
            "{body}"
        );
        assert_eq!(answer.json()["errors"][0]["pointer"], pointer, "{body}");
    }
}

fn subledger_time(seconds: i64) -> String {
    aggregates::time::Timestamp::from_seconds(seconds)
        .expect("a time")
        .to_string()
}

#[tokio::test]
async fn a_key_of_the_other_mode_a_network_or_a_tenant_is_held_to_it() {
    let app = App::new().await;
    let made = make(
        &app,
        &json!({ "name": "a", "scopes": ["plans:write"], "cidrs": ["10.0.0.0/8"] }),
    )
    .await;
    assert_eq!(
        app.get_as(&secret(&made), "/v1/whoami").await.problem(),
        "unauthenticated",
        "no address is known here"
    );
    let live = secret(&make(&app, &json!({ "name": "b", "scopes": ["plans:write"] })).await)
        .replace("subl_test_", "subl_live_");
    assert_eq!(app.get_as(&live, "/v1/whoami").await.problem(), "unauthenticated");
    let bound = secret(
        &make(
            &app,
            &json!({ "name": "c", "scopes": ["inbox:read"], "tenant": "acme" }),
        )
        .await,
    );
    assert_eq!(
        app.get_as(&bound, "/v1/webhook-inbox").await.problem(),
        "tenant-mismatch"
    );
}

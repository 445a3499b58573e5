//! The inbox: listed page by page, shown without personal data, replayed and given up with a reason.

use aggregates::ids::StripeEventId;
use serde_json::{Value, json};
use subledger::inbox::{Placed, ReceiptKey, Settlement, State};

use super::account_log::{AccountLog, team};
use super::entitlements::read_at;
use super::harness::{Answer, App, NOW};

fn body(number: u32) -> String {
    json!({ "id": format!("evt_{number}"), "object": "event", "type": "invoice.paid", "livemode": false,
        "data": { "object": { "id": "in_1", "customer_email": "secret@example.com" } } })
    .to_string()
}

async fn filled(app: &App, count: u32) {
    for number in 0..count {
        assert_eq!(app.deliver(&body(number)).await.status, 200);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pages_show_each_receipt_once_and_cursors_are_bound_to_their_list() {
    for app in App::all().await {
        filled(&app, 7).await;
        let mut path = "/v1/webhook-inbox?limit=3&type=invoice.paid".to_owned();
        let mut seen = Vec::new();
        loop {
            let answer = app.operate("GET", &path, &Value::Null).await;
            let page = answer.json();
            for receipt in page["data"].as_array().expect("receipts") {
                seen.push(receipt["event_id"].as_str().expect("an id").to_owned());
            }
            let Some(cursor) = page["page"]["next_cursor"].as_str() else {
                break;
            };
            assert!(
                answer
                    .header("link")
                    .is_some_and(|link| link.contains(cursor) && link.ends_with("rel=\"next\""))
            );
            let foreign = format!("/v1/webhook-inbox?limit=3&cursor={cursor}");
            assert_eq!(
                app.operate("GET", &foreign, &Value::Null).await.problem(),
                "invalid-cursor"
            );
            path = format!("/v1/webhook-inbox?limit=3&type=invoice.paid&cursor={cursor}");
        }
        seen.sort();
        seen.dedup();
        assert_eq!(seen.len(), 7);
        for bad in [
            "limit=0",
            "limit=201",
            "limit=x",
            "state=none",
            "from=yesterday",
            "cursor=AAAA",
        ] {
            let answer = app
                .operate("GET", &format!("/v1/webhook-inbox?{bad}"), &Value::Null)
                .await;
            assert_eq!(answer.status, 400, "{bad}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn personal_data_is_left_out_unless_the_bytes_are_asked_for() {
    for app in App::all().await {
        filled(&app, 1).await;
        let shown = app
            .operate("GET", "/v1/webhook-inbox/default/evt_0", &Value::Null)
            .await;
        assert!(!shown.text().contains("secret@example.com"));
        let raw = app
            .operate("GET", "/v1/webhook-inbox/default/evt_0/raw", &Value::Null)
            .await;
        assert_eq!(raw.text(), body(0));
        assert_eq!(
            app.operate("GET", "/v1/webhook-inbox/default/evt_9", &Value::Null)
                .await
                .problem(),
            "not-found"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_receipt_is_given_up_and_sent_through_again() {
    for app in App::all().await {
        filled(&app, 2).await;
        let because = json!({ "reason": "a test" });
        let path = |act: &str| format!("/v1/webhook-inbox/default/evt_0/{act}");
        assert_eq!(
            app.operate("POST", &path("replay"), &because).await.problem(),
            "invalid-transition"
        );
        let bearer = format!("Bearer {}", app.admin.reveal());
        let headers = [
            ("authorization", &*bearer),
            ("content-type", "application/json"),
            ("idempotency-key", "once"),
        ];
        for _ in 0..2 {
            let given_up = app.call("POST", &path("discard"), &headers, &because.to_string()).await;
            assert_eq!((given_up.status, &given_up.json()["state"]), (200, &json!("discarded")));
        }
        assert_eq!(
            app.operate("POST", &path("discard"), &because).await.problem(),
            "invalid-transition"
        );
        let dry = json!({ "filter": { "state": "discarded" }, "reason": "a test", "dry_run": true });
        let counted = app.operate("POST", "/v1/webhook-inbox-replays", &dry).await.json();
        assert_eq!((&counted["matched"], &counted["replayed"]), (&json!(1), &json!(0)));
        assert_eq!(app.operate("POST", &path("replay"), &because).await.status, 202);
        let shown = app
            .operate("GET", "/v1/webhook-inbox/default/evt_0", &Value::Null)
            .await
            .json();
        assert_eq!(shown["state"], "new");
        assert_eq!(
            app.operate("POST", &path("replay"), &json!({ "reason": "" }))
                .await
                .problem(),
            "validation-failed"
        );
    }
}

/// As the operator, under a key.
async fn keyed(app: &App, path: &str, key: &str, body: &Value) -> Answer {
    let bearer = format!("Bearer {}", app.admin.reveal());
    let headers = [
        ("authorization", &*bearer),
        ("content-type", "application/json"),
        ("idempotency-key", key),
    ];
    app.call("POST", path, &headers, &body.to_string()).await
}

async fn state_of(app: &App, event: &str) -> Value {
    let path = format!("/v1/webhook-inbox/default/{event}");
    app.operate("GET", &path, &Value::Null).await.json()["state"].clone()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bulk_replay_sent_again_under_its_key_answers_what_it_did() {
    for app in App::all().await {
        filled(&app, 2).await;
        let because = json!({ "reason": "a test" });
        let discard = async |event: &str| {
            let path = format!("/v1/webhook-inbox/default/{event}/discard");
            assert_eq!(app.operate("POST", &path, &because).await.status, 200, "{event}");
        };
        discard("evt_0").await;
        discard("evt_1").await;
        let path = "/v1/webhook-inbox-replays";
        let wanted = json!({ "filter": { "state": "discarded" }, "reason": "a test" });
        let first = keyed(&app, path, "all", &wanted).await;
        assert_eq!(first.json(), json!({ "matched": 2, "replayed": 2, "dry_run": false }));
        assert_eq!(state_of(&app, "evt_0").await, "new");
        discard("evt_0").await;
        let again = keyed(&app, path, "all", &wanted).await;
        assert_eq!(again.header("idempotency-replayed"), Some("true"));
        assert_eq!((again.status, again.json()), (first.status, first.json()));
        let other = json!({ "filter": {}, "reason": "a test" });
        assert_eq!(
            keyed(&app, path, "all", &other).await.problem(),
            "idempotency-key-reused"
        );
        app.later(31 * 86_400);
        let late = keyed(&app, path, "all", &wanted).await;
        assert_eq!(late.json(), json!({ "matched": 1, "replayed": 0, "dry_run": false }));
        assert_eq!(state_of(&app, "evt_0").await, "discarded");
        let fresh = keyed(&app, path, "anew", &wanted).await;
        assert_eq!(fresh.json(), json!({ "matched": 1, "replayed": 1, "dry_run": false }));
    }
}

/// Settles a receipt as applied to a stream.
async fn applied(app: &App, event: &str, log: &AccountLog<'_>) {
    let key = ReceiptKey::new("default", StripeEventId::parse(event).expect("an id"));
    let settled = Settlement {
        placed: Some(Placed {
            stream: log.stream.clone(),
            part: log.part,
            positions: Some((1, 2)),
        }),
        ..Settlement::of(key, State::Applied, None)
    };
    let done = app.service.receipts.settle(&[settled], app.service.clock.now()).await;
    done.expect("a settlement");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn receipts_are_found_by_the_tenant_they_concern_and_counted() {
    for app in App::all().await {
        filled(&app, 4).await;
        let mut own = AccountLog::open(&app, 1, true, NOW - 900).await;
        let free = AccountLog::open(&app, 3, false, NOW - 900).await;
        let object = team(1, "active", 2, NOW - 800);
        let last = own
            .tell("customer.subscription.created", NOW - 800, &object, NOW - 790)
            .await;
        read_at(&app, "/v1/tenants", &last).await;
        applied(&app, "evt_0", &own).await;
        applied(&app, "evt_1", &own).await;
        applied(&app, "evt_2", &free).await;
        for (query, expected) in [
            ("tenant=tenant-000001", vec!["evt_0", "evt_1"]),
            ("tenant=cus_000001", vec!["evt_0", "evt_1"]),
            ("tenant=cus_000003", vec!["evt_2"]),
            ("tenant=tenant-000001&state=new", vec![]),
            ("tenant=never-seen", vec![]),
            ("state=new", vec!["evt_3"]),
            ("source=other", vec![]),
        ] {
            let path = format!("/v1/webhook-inbox?count=true&{query}");
            let page = app.operate("GET", &path, &Value::Null).await.json();
            let receipts = page["data"].as_array().expect("receipts");
            let mut found: Vec<&str> = receipts.iter().filter_map(|it| it["event_id"].as_str()).collect();
            found.sort_unstable();
            assert_eq!(found, expected, "{query}");
            assert_eq!(page["page"]["count"], expected.len().to_string(), "{query}");
        }
        let shown = app
            .operate("GET", "/v1/webhook-inbox/default/evt_0", &Value::Null)
            .await;
        assert_eq!(shown.json()["tenant"], "tenant-000001");
        let page = app
            .operate("GET", "/v1/webhook-inbox?limit=1&tenant=tenant-000001", &Value::Null)
            .await;
        let cursor = page.json()["page"]["next_cursor"]
            .as_str()
            .expect("a cursor")
            .to_owned();
        let foreign = format!("/v1/webhook-inbox?limit=1&tenant=cus_000003&cursor={cursor}");
        assert_eq!(
            app.operate("GET", &foreign, &Value::Null).await.problem(),
            "invalid-cursor"
        );
        let bad = app.operate("GET", "/v1/webhook-inbox?tenant=a%20b", &Value::Null).await;
        assert_eq!(
            (bad.problem().as_str(), &bad.json()["errors"][0]["pointer"]),
            ("malformed-request", &json!("?tenant"))
        );
        let of_tenant =
            json!({ "filter": { "tenant": "tenant-000001", "state": "ignored" }, "reason": "x", "dry_run": true });
        let counted = app
            .operate("POST", "/v1/webhook-inbox-replays", &of_tenant)
            .await
            .json();
        assert_eq!(counted["matched"], 0);
        let bad = json!({ "filter": { "tenant": "me" }, "reason": "x" });
        let bad = app.operate("POST", "/v1/webhook-inbox-replays", &bad).await;
        assert_eq!(
            (bad.problem().as_str(), &bad.json()["errors"][0]["pointer"]),
            ("validation-failed", &json!("/filter/tenant"))
        );
    }
}

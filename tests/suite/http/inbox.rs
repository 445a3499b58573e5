//! The inbox: listed page by page, shown without personal data, replayed and given up with a reason.

use serde_json::{Value, json};

use super::harness::App;

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

//! Every event there is, what it changed, and the state of an account at any time.

use serde_json::{Value, json};

use super::account_log::{AccountLog, at, team};
use super::entitlements::read_at;
use super::harness::{App, NOW};

async fn three_accounts(app: &App) -> String {
    let mut positions = Vec::new();
    let mut logs = Vec::new();
    for account in 1..=3 {
        logs.push((account, AccountLog::open(app, account, account != 3, NOW - 900).await));
    }
    for (n, quantity) in [(8, 1), (7, 2), (6, 3)] {
        for (account, log) in &mut logs {
            let account = *account;
            let kind = if n == 8 {
                "customer.subscription.created"
            } else {
                "customer.subscription.updated"
            };
            let object = team(account, "active", quantity, NOW - 800);
            let recorded_at = NOW - n * 100 + i64::from(account);
            positions.push(log.tell(kind, NOW - n * 100, &object, recorded_at).await);
        }
    }
    positions.join(",")
}

fn types(page: &Value) -> Vec<String> {
    let data = page["data"].as_array().expect("events");
    data.iter()
        .map(|line| line["type"].as_str().expect("a type").to_owned())
        .collect()
}

#[tokio::test]
async fn events_are_found_by_any_filter_and_paged_without_a_gap() {
    for app in App::all().await {
        let last = three_accounts(&app).await;
        let all = read_at(&app, "/v1/audit/events?limit=200", &last).await;
        assert!(all.header("ledger-view-age").is_some());
        let all = all.json();
        let whole = all["data"].as_array().expect("events").clone();
        let times: Vec<&str> = whole
            .iter()
            .map(|line| line["recorded_at"].as_str().expect("a time"))
            .collect();
        assert!(times.is_sorted_by(|newer, older| newer >= older), "{times:?}");
        let mut paged = Vec::new();
        let mut path = "/v1/audit/events?limit=4".to_owned();
        loop {
            let page = app.operate("GET", &path, &Value::Null).await.json();
            paged.extend(page["data"].as_array().expect("events").clone());
            let Some(cursor) = page["page"]["next_cursor"].as_str() else {
                break;
            };
            assert!(cursor.len() <= 512);
            path = format!("/v1/audit/events?limit=4&cursor={cursor}");
        }
        assert_eq!(paged, whole);
        let count = |query: &str| {
            let path = format!("/v1/audit/events?limit=200&{query}");
            let app = &app;
            async move { types(&app.operate("GET", &path, &Value::Null).await.json()).len() }
        };
        let of_one = whole
            .iter()
            .filter(|line| line["stream"] == "tenant:tenant-000001")
            .count();
        assert!(of_one >= 5, "{of_one}");
        assert_eq!(count("tenant=tenant-000001").await, of_one);
        assert_eq!(count("tenant=cus_000001").await, of_one);
        assert_eq!(count("stream=tenant:tenant-000001").await, of_one);
        assert_eq!(count("type=subscription.quantity_changed").await, 6);
        assert_eq!(count("type=subscription.quantity_changed&tenant=cus_000003").await, 2);
        assert_eq!(count("actor=stripe:evt_2&type=subscription.quantity_changed").await, 3);
        assert_eq!(count("event_id=evt_2&type=subscription.quantity_changed").await, 3);
        assert_eq!(count("family=invoices").await, 0);
        assert_eq!(count("source=default").await, whole.len());
        assert_eq!(count(&format!("from={}", at(NOW - 650))).await, 3);
        assert_eq!(count("tenant=never-seen").await, 0);
    }
}

#[tokio::test]
async fn a_total_counts_what_the_pages_show_and_filters_are_read_strictly() {
    for app in App::all().await {
        let last = three_accounts(&app).await;
        read_at(&app, "/v1/audit/events", &last).await;
        for (query, few) in [
            ("", false),
            ("tenant=cus_000001", false),
            ("type=subscription.quantity_changed", false),
            ("tenant=tenant-000001&stream=tenant:tenant-000001", false),
            ("tenant=tenant-000001&stream=tenant:tenant-000002", true),
            ("stream=no%20stream", true),
        ] {
            let path = format!("/v1/audit/events?limit=200&count=true&{query}");
            let page = app.operate("GET", &path, &Value::Null).await.json();
            let shown = types(&page).len();
            assert_eq!(shown == 0, few, "{query}");
            assert_eq!(page["page"]["count"], shown.to_string(), "{query}");
        }
        for bad in [
            "tenant=a%20b",
            "type=%00",
            "actor=%0A",
            "from=now",
            "from=2000-01-01T00:00:00Z&to=2026-01-01T00:00:00Z",
            "nothing=1",
        ] {
            let answer = app
                .operate("GET", &format!("/v1/audit/events?{bad}"), &Value::Null)
                .await;
            assert_eq!(answer.problem(), "malformed-request", "{bad}");
        }
    }
}

#[tokio::test]
async fn one_event_tells_its_cause_its_hash_and_what_it_changed() {
    for app in App::all().await {
        let last = three_accounts(&app).await;
        let path = "/v1/audit/events?type=subscription.quantity_changed&tenant=tenant-000002";
        let list = read_at(&app, path, &last).await.json();
        let address = list["data"][0]["position"].as_str().expect("an address");
        let event = app
            .operate("GET", &format!("/v1/audit/events/{address}"), &Value::Null)
            .await
            .json();
        assert_eq!(event["event_id"], list["data"][0]["event_id"]);
        assert_eq!(
            (&event["cause"]["actor"], &event["cause"]["receipt"], &event["family"]),
            (&json!("stripe:evt_3"), &json!("default/evt_3"), &json!("life"))
        );
        assert_eq!(event["hashes"]["content"].as_str().map(str::len), Some(64));
        assert_eq!(
            event["payload"]["quantity_changed"]["snapshot"]["items"][0]["quantity"],
            3
        );
        let changes = event["changes"].as_array().expect("changes");
        let total = changes
            .iter()
            .find(|change| change["pointer"] == "/standing/total_minor");
        let total = total.unwrap_or_else(|| panic!("{changes:?}"));
        assert_eq!((&total["before"], &total["after"]), (&json!(19_800), &json!(29_700)));
        assert!(
            changes
                .iter()
                .any(|change| change["pointer"] == "/subscriptions/sub_000002/items")
        );
        assert!(!changes.iter().any(|change| change["pointer"] == "/standing/status"));
        for unknown in ["0.999999", "9999.1", "x", "1", "0.0"] {
            let answer = app
                .operate("GET", &format!("/v1/audit/events/{unknown}"), &Value::Null)
                .await;
            assert_eq!(answer.problem(), "not-found", "{unknown}");
        }
    }
}

#[tokio::test]
async fn the_state_of_an_account_is_rebuilt_at_any_time() {
    for app in App::all().await {
        three_accounts(&app).await;
        let read = |query: String| {
            let app = &app;
            async move {
                app.operate("GET", &format!("/v1/audit/state?{query}"), &Value::Null)
                    .await
            }
        };
        let total = |state: &Value| state["state"]["standing"]["total_minor"].as_i64();
        let now = read("tenant=tenant-000001".into()).await.json();
        assert_eq!((total(&now), &now["as_of"]), (Some(29_700), &Value::Null));
        assert_eq!(now["state"]["account"]["customer"], "cus_000001");
        let then = read(format!("tenant=cus_000003&as_of={}", at(NOW - 650))).await.json();
        assert_eq!(total(&then), Some(19_800));
        let before = read(format!("tenant=cus_000003&as_of={}&basis=occurred", at(NOW - 9_999)))
            .await
            .json();
        assert_eq!((total(&before), &before["version"]), (None, &json!(0)));
        assert_eq!(read("tenant=none".into()).await.problem(), "not-found");
        assert_eq!(
            read("tenant=tenant-000001&basis=occurred".into()).await.problem(),
            "malformed-request"
        );
        assert_eq!(
            read("as_of=2027-01-01T00:00:00Z".into()).await.problem(),
            "malformed-request"
        );
    }
}

//! What people ask for, on the log and in the views: recorded before Stripe is called, confirmed by its webhook.

use aggregates::ids::IntentId;
use aggregates::plan::Mode;
use aggregates::subscription::SubscriptionCommand;
use aggregates::subscription::request::{Circumstances, QuantityWish, Request, Wish};
use aggregates::subscription::settled::{CallOutcome, StripeCallSettled};
use serde_json::{Value, json};
use uuid::Uuid;

use super::account_log::{AccountLog, at, team};
use super::entitlements::read_at;
use super::harness::{App, NOW, portal_token};

fn quantity(intent: IntentId, quantity: u64) -> SubscriptionCommand {
    SubscriptionCommand::Request(Box::new(Request {
        intent,
        at: at(NOW - 500),
        tenant: None,
        subscription: None,
        circumstances: Circumstances::of(Mode::Test),
        wish: Wish::ChangeQuantity {
            quantity: QuantityWish::To(quantity),
            proration: None,
        },
    }))
}

fn settle(intent: IntentId) -> SubscriptionCommand {
    SubscriptionCommand::SettleCall(Box::new(StripeCallSettled {
        intent,
        outcome: CallOutcome::Applied {
            object: Some("sub_000001".into()),
        },
        request_id: Some("req_1".into()),
    }))
}

/// The word an intent stands at, and what proves it.
async fn stands(app: &App, position: &str, intent: IntentId) -> (String, Value) {
    let state = read_at(app, "/v1/audit/state?tenant=tenant-000001", position)
        .await
        .json();
    let shown = &state["state"]["intents"][intent.to_string()];
    (
        shown["status"].as_str().expect("a status").to_owned(),
        shown["proof"].clone(),
    )
}

/// Types of the account's events since the intent, oldest first, and what they say of it.
async fn since(app: &App, position: &str, intent: IntentId) -> (Vec<String>, Value) {
    let page = read_at(app, "/v1/audit/events?limit=200&stream=tenant:tenant-000001", position).await;
    let page = page.json();
    let mut lines = page["data"].as_array().expect("events").clone();
    lines.reverse();
    let first = lines.iter().position(|line| line["event_id"] == intent.to_string());
    let lines = lines.split_off(first.expect("the intent under its own id"));
    let types = lines
        .iter()
        .map(|line| line["type"].as_str().expect("a type").to_owned());
    (types.collect(), lines[0].clone())
}

#[tokio::test]
async fn an_intent_is_confirmed_by_the_webhook_that_names_its_key_before_or_after_the_answer() {
    for webhook_first in [true, false] {
        for app in App::all().await {
            let mut log = AccountLog::open(&app, 1, true, NOW - 900).await;
            let created = "customer.subscription.created";
            let before = team(1, "active", 1, NOW - 800);
            log.tell(created, NOW - 800, &before, NOW - 790).await;
            let intent = IntentId::new(Uuid::now_v7());
            let asked = log.run(quantity(intent, 3), NOW - 500, NOW - 500).await;
            let path = "/v1/tenants/tenant-000001/subscription";
            let body = read_at(&app, path, &asked).await.json();
            assert_eq!(body["quantity"], 1, "nothing is granted before Stripe shows it");

            let after = team(1, "active", 3, NOW - 800);
            let (kind, key) = ("customer.subscription.updated", intent.to_string());
            assert_eq!(stands(&app, &asked, intent).await, ("accepted".to_owned(), Value::Null));
            let confirmed = ("confirmed".to_owned(), json!("echo"));
            let last = if webhook_first {
                let told = log.tell_by(kind, NOW - 500, &after, NOW - 499, Some(&key)).await;
                assert_eq!(stands(&app, &told, intent).await, confirmed);
                log.run(settle(intent), NOW - 498, NOW - 498).await
            } else {
                let answered = log.run(settle(intent), NOW - 498, NOW - 498).await;
                assert_eq!(
                    stands(&app, &answered, intent).await,
                    ("applied".to_owned(), Value::Null)
                );
                log.tell_by(kind, NOW - 500, &after, NOW - 497, Some(&key)).await
            };
            assert_eq!(stands(&app, &last, intent).await, confirmed);
            assert_eq!(read_at(&app, path, &last).await.json()["quantity"], 3);
            let (mut types, line) = since(&app, &last, intent).await;
            assert_eq!(line["family"], "intents");
            types.sort_unstable();
            assert_eq!(
                types,
                [
                    "subscription.intent_observed",
                    "subscription.quantity_change_requested",
                    "subscription.quantity_changed",
                    "subscription.stripe_call_settled"
                ]
            );
            // People of the portal are told what changed; what they asked for is a resource of its own.
            let history = format!("{path}/history");
            let told = app.get_as(&portal_token("tenant-000001", "viewer"), &history).await;
            let told = told.json()["data"].to_string();
            assert!(
                told.contains("quantity_changed") && !told.contains("requested"),
                "{told}"
            );
        }
    }
}

#[tokio::test]
async fn somebody_elses_key_confirms_nothing() {
    let app = App::new().await;
    let mut log = AccountLog::open(&app, 1, true, NOW - 900).await;
    let created = "customer.subscription.created";
    log.tell(created, NOW - 800, &team(1, "active", 1, NOW - 800), NOW - 790)
        .await;
    let intent = IntentId::new(Uuid::now_v7());
    log.run(quantity(intent, 3), NOW - 500, NOW - 500).await;
    let mut last = String::new();
    let other = Uuid::now_v7().to_string();
    let shouted = intent.to_string().to_uppercase();
    let prepared = format!("{intent}.1");
    for (nth, key) in (0..).zip([&*other, &*shouted, &*prepared, "not a key of ours"]) {
        let object = team(1, "active", 5 + nth, NOW - 800);
        let created = NOW - 490 + i64::from(nth);
        last = log
            .tell_by("customer.subscription.updated", created, &object, created, Some(key))
            .await;
    }
    let (types, _) = since(&app, &last, intent).await;
    assert!(!types.contains(&"subscription.intent_observed".to_owned()), "{types:?}");
    assert_eq!(json!(types.len()), 5);
}

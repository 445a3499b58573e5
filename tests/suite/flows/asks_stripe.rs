//! The running service with a key for Stripe: it asks, it catches up, it says how it goes, and being killed costs nothing.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::{Value, json};

use crate::contract::gateway::SECRET;
use crate::stripe_api::{Fault, Loopback};
use crate::support::dice::{Dice, seed};
use crate::support::http::{Connection, request};
use crate::support::ledger::{Tables, faults};
use crate::support::server::{Launch, Server};
use crate::support::stripe::{event, now, subscription};
use crate::support::{TestStore, figure, stores};

const DAY: i64 = 1_760_000_000;
/// How long a test waits for what needs a few seconds.
const PATIENCE: Duration = Duration::from_secs(90);

fn launch(store: &TestStore, stripe: &Loopback) -> Launch {
    Launch::new(store)
        .with("STRIPE_SECRET_KEY", SECRET)
        .with("STRIPE_API_BASE", &stripe.base())
}

fn thin(id: &str, account: u32) -> Vec<u8> {
    let of = format!("sub_{account:06}");
    let body = json!({ "id": id, "object": "v2.core.event", "type": "v1.customer.subscription.updated", "livemode": false,
        "created": "2025-10-09T08:53:20Z", "related_object": { "id": of, "type": "subscription", "url": "/v1/x" } });
    serde_json::to_vec(&body).unwrap()
}

fn told(nth: u32) -> Value {
    let object = subscription(nth, "active", nth + 1, DAY);
    event(&format!("evt_{nth}"), "customer.subscription.updated", now(), &object)
}

async fn metrics(server: &Server) -> String {
    let mut connection = Connection::open(&server.metrics_address).await.expect("the metrics");
    let answer = connection
        .send(&request("GET", "/metrics", &[], b""))
        .await
        .expect("the metrics");
    String::from_utf8(answer.body).unwrap()
}

/// Waits until the rows of a query are these.
async fn until(tables: &mut Tables, sql: &str, wanted: i64) {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    loop {
        let found = tables.number(sql).await;
        if found == wanted {
            return;
        }
        assert!(tokio::time::Instant::now() < deadline, "{sql}: {found}, not {wanted}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_service_asks_stripe_and_says_how_it_goes() {
    for store in stores().await {
        let stripe = Loopback::start().await;
        stripe.put("subscriptions", subscription(1, "active", 7, DAY));
        stripe.put("events", told(2));
        let launch = launch(&store, &stripe);
        let mut server = launch.start().await;
        assert_eq!(server.deliver(&thin("evt_t", 1)).await.status, 200);
        let mut tables = Tables::open(store.url(), store.data_dir()).await;
        until(
            &mut tables,
            "select count(*) from webhook_receipts where state = 'duplicate'",
            1,
        )
        .await;
        until(
            &mut tables,
            "select count(*) from webhook_receipts where state = 'applied'",
            2,
        )
        .await;
        server.caught_up(PATIENCE).await;
        for (tenant, quantity) in [("tenant-000001", 7), ("tenant-000002", 3)] {
            let shown = server.get(&format!("/v1/tenants/{tenant}/subscription")).await;
            assert!(
                shown.to_string().contains(&format!("\"quantity\":{quantity}")),
                "{:?}: {shown}",
                store.kind
            );
        }
        let text = metrics(&server).await;
        for line in [
            "subledger_stripe_events_listed_total{found=\"missing\"} 1",
            "subledger_stripe_questions_total{result=\"answered\"} 1",
            "subledger_stripe_questions_waiting{} 0",
            "subledger_stripe_requests_total{outcome=\"refused\"} 0",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
        }
        server.terminate();
        assert_eq!(server.ended().await, Some(0), "{}", server.log());
        assert!(!server.log().contains(SECRET) && !text.contains(SECRET));
        let doctor = || {
            let output = launch.command(&["doctor"]).output().expect("the subledger binary");
            (
                output.status.code(),
                String::from_utf8_lossy(&output.stdout).into_owned(),
            )
        };
        let (code, well) = doctor();
        assert_eq!(code, Some(0), "{well}");
        for words in ["answers; its clock is", "none waits", "the list is read until"] {
            assert!(well.contains(words), "{words} is not in\n{well}");
        }
        stripe.fail(Fault::Unauthorized);
        let (code, sick) = doctor();
        assert!(code == Some(6) && sick.contains("Invalid API Key"), "{code:?}\n{sick}");
        assert!(!well.contains(SECRET) && !sick.contains(SECRET));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn dropped_webhooks_and_kills_leave_nothing_missing_and_nothing_doubled() {
    const ACCOUNTS: u32 = 150;
    for store in stores().await {
        let seed = seed(20_261_125);
        eprintln!("{:?}: seed {seed}", store.kind);
        let mut dice = Dice(seed);
        let stripe = Loopback::start().await;
        let launch = launch(&store, &stripe);
        let mut server = launch.start().await;
        let (mut sent, mut thin_ones, mut dropped, mut kills) = (BTreeSet::new(), 0, 0, 0);
        for nth in 0..ACCOUNTS {
            let event = told(nth);
            stripe.put("events", event.clone());
            stripe.put("subscriptions", subscription(nth, "active", nth + 1, DAY));
            // A fifth never comes; a fifth of the rest comes thin as well.
            if dice.below(5) == 0 {
                dropped += 1;
            } else if server.deliver(&serde_json::to_vec(&event).unwrap()).await.status == 200 {
                sent.insert(format!("evt_{nth}"));
            }
            if dice.below(5) == 0 && server.deliver(&thin(&format!("evt_thin_{nth}"), nth)).await.status == 200 {
                thin_ones += 1;
            }
            if dice.below(10) == 0 {
                let fault = [Fault::Failure, Fault::Cut, Fault::LostReply, Fault::TruncatedBody][dice.index(4)].clone();
                stripe.fail(fault);
            }
            if nth % 30 == 29 {
                tokio::time::sleep(Duration::from_millis(dice.below(3_000))).await;
                server.kill();
                kills += 1;
                server = launch.start().await;
            }
        }
        let mut tables = Tables::open(store.url(), store.data_dir()).await;
        let listed =
            "select count(*) from webhook_receipts where event_id like 'evt_%' and event_id not like 'evt_thin%'";
        until(&mut tables, listed, i64::from(ACCOUNTS)).await;
        until(
            &mut tables,
            "select count(*) from webhook_receipts where state in ('new', 'parked')",
            0,
        )
        .await;
        until(&mut tables, "select count(*) from outbox where state <> 'done'", 0).await;
        server.terminate();
        assert_eq!(server.ended().await, Some(0), "{}", server.log());
        assert_eq!(
            faults(&mut tables, &sent).await,
            Vec::<String>::new(),
            "{:?}",
            store.kind
        );
        let thin = "select count(*) from webhook_receipts where event_id like 'evt_thin%' and state = 'duplicate'";
        assert_eq!(tables.number(thin).await, thin_ones, "{:?}", store.kind);
        let quarantined = tables
            .number("select count(*) from webhook_receipts where state = 'quarantined'")
            .await;
        assert_eq!(quarantined, 0, "{:?}", store.kind);
        figure(&format!(
            "{:?}: {ACCOUNTS} events, {dropped} never delivered, {kills} kills: 0 missing after catch-up, 0 doubled",
            store.kind
        ));
    }
}

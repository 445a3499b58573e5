//! From a delivery to a recorded outcome: every receipt ends in one, and its facts are on the log exactly once.

use aggregates::subscription::SubscriptionEvent as Event;
use serde_json::{Value, json};
use subledger::directory::Kind;
use subledger::inbox::{Received, State};

use super::world::{World, delivery, key, tenant};
use crate::support::stores;
use crate::support::stripe::{event, subscription};

const DAY: i64 = 1_790_000_000;

fn customer(id: &str, metadata: &Value) -> Value {
    json!({ "id": id, "object": "customer", "currency": "usd", "balance": 0, "delinquent": false,
        "email": "ann@example.com", "name": "Ann", "metadata": metadata, "created": DAY })
}

fn charge(id: &str, customer: Option<&str>) -> Value {
    json!({ "id": id, "object": "charge", "amount": 4900, "amount_captured": 4900, "amount_refunded": 0,
        "currency": "usd", "customer": customer, "status": "succeeded", "paid": true, "captured": true,
        "payment_intent": format!("pi_{id}"), "created": DAY })
}

fn dispute(id: &str, charge: &str) -> Value {
    json!({ "id": id, "object": "dispute", "charge": charge, "payment_intent": format!("pi_{charge}"), "amount": 4900,
        "currency": "usd", "status": "needs_response", "reason": "fraudulent", "balance_transactions": [],
        "is_charge_refundable": false, "created": DAY })
}

/// A subscription that names no tenant.
fn untold(account: u32, status: &str, quantity: u32) -> Value {
    let mut object = subscription(account, status, quantity, DAY);
    object["metadata"] = json!({});
    object
}

fn updated(id: &str, at: i64, object: &Value) -> Value {
    event(id, "customer.subscription.updated", at, object)
}

#[tokio::test(flavor = "multi_thread")]
async fn deliveries_from_many_senders_have_one_effect_each() {
    for store in stores().await {
        let world = std::sync::Arc::new(World::open(&store).await);
        let mut senders = Vec::new();
        for sender in 0..16_i64 {
            let world = std::sync::Arc::clone(&world);
            senders.push(tokio::spawn(async move {
                for nth in 0..100 {
                    // Each sender sends every event, in an order of its own.
                    let nth = (nth * 37 + sender * 13) % 100;
                    let (account, version) = (u32::try_from(nth % 10).unwrap(), nth / 10);
                    let object = subscription(account, "active", u32::try_from(version + 1).unwrap(), DAY);
                    world
                        .send(&updated(&format!("evt_{nth}"), DAY + version, &object))
                        .await;
                }
            }));
        }
        for sender in senders {
            sender.await.unwrap();
        }
        world.settle().await;
        assert_eq!(world.states().await, [(State::Applied, 100)], "{:?}", store.kind);
        for account in 0..10 {
            let stream = format!("tenant:tenant-{account:06}");
            let events = world.events(&stream).await;
            let seen = |at| {
                events
                    .iter()
                    .filter(|e| e.seen().is_some_and(|s| s.as_of.seconds() == at))
                    .count()
            };
            for version in 0..10 {
                assert!(seen(DAY + version) >= 1, "{stream} misses {version}");
            }
            let state = world.account(&stream).await;
            let id = format!("sub_{account:06}").parse().unwrap();
            let current = state.life.subscriptions[&id]
                .book
                .register
                .current()
                .unwrap()
                .snapshot
                .clone();
            assert_eq!(current.items.unwrap()[0].quantity, Some(10));
        }
        let log = world.log().await;
        let mut marks: Vec<_> = log
            .iter()
            .map(|e| (&e.stream, &e.causation_id, &e.event_type, &e.payload))
            .collect();
        let count = marks.len();
        marks.sort();
        marks.dedup();
        assert_eq!(marks.len(), count, "an event is doubled");
        std::sync::Arc::into_inner(world).unwrap().close().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn any_order_ends_in_the_same_account() {
    for store in stores().await {
        let world = World::open(&store).await;
        let story = |account: u32| {
            let id = |nth: u32| format!("evt_{account}_{nth}");
            let cus = format!("cus_{account:06}");
            let started = subscription(account, "trialing", 1, DAY);
            let active = subscription(account, "active", 1, DAY);
            let more = subscription(account, "active", 3, DAY);
            let ended = subscription(account, "canceled", 3, DAY);
            vec![
                event(&id(0), "customer.created", DAY, &customer(&cus, &json!({}))),
                event(&id(1), "customer.subscription.created", DAY, &started),
                updated(&id(2), DAY, &active),
                updated(&id(3), DAY + 5, &more),
                event(
                    &id(4),
                    "charge.succeeded",
                    DAY + 6,
                    &charge(&format!("ch_{account}"), Some(&cus)),
                ),
                event(
                    &id(5),
                    "charge.dispute.created",
                    DAY + 7,
                    &dispute(&format!("dp_{account}"), &format!("ch_{account}")),
                ),
                event(&id(6), "customer.subscription.deleted", DAY + 9, &ended),
            ]
        };
        let mut states = Vec::new();
        for account in 0..6_u32 {
            let mut order: Vec<usize> = (0..7).collect();
            order.rotate_left(account as usize);
            if account % 2 == 1 {
                order.reverse();
            }
            let story = story(account);
            for nth in order {
                world.send(&story[nth]).await;
                world.settle().await;
            }
        }
        for account in 0..6_u32 {
            for nth in 0..7 {
                world.until(&format!("evt_{account}_{nth}"), State::Applied).await;
            }
            let home = world.entry(Kind::Customer, &format!("cus_{account:06}")).await.unwrap();
            assert_eq!(
                world
                    .entry(Kind::Tenant, &format!("tenant-{account:06}"))
                    .await
                    .as_ref(),
                Some(&home)
            );
            let text = serde_json::to_string(&world.account(&home).await).unwrap();
            states.push(
                text.replace(&format!("{account:06}"), "N")
                    .replace(&format!("_{account}"), "_N"),
            );
        }
        for (account, state) in states.iter().enumerate() {
            assert_eq!(state, &states[0], "{:?} account {account}", store.kind);
        }
        world.close().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_points_at_something_unknown_waits_for_it_by_name() {
    for store in stores().await {
        let world = World::open(&store).await;
        world
            .send(&event(
                "evt_d",
                "charge.dispute.created",
                DAY + 9,
                &dispute("dp_1", "ch_1"),
            ))
            .await;
        world.until("evt_d", State::Parked).await;
        let (_, reason) = world.state_of("evt_d").await;
        assert_eq!(reason.as_deref(), Some("waits for charge:ch_1"), "{:?}", store.kind);
        assert_eq!(world.log().await.len(), 0);
        world
            .send(&event("evt_c", "charge.succeeded", DAY, &charge("ch_1", Some("cus_1"))))
            .await;
        world.until("evt_d", State::Applied).await;
        let receipt = world.receipts.get(&key("evt_d")).await.unwrap().receipt;
        let placed = receipt.placed.unwrap();
        assert_eq!(placed.stream.as_str(), "cus_1");
        assert!(placed.positions.is_some());
        let account = world.account("cus_1").await;
        assert_eq!(account.money.disputes.len(), 1);
        world.close().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn poison_harms_nobody() {
    for store in stores().await {
        let world = World::open(&store).await;
        for nth in 0..40_u32 {
            let mut object = subscription(nth % 4, "active", nth + 1, DAY);
            if nth % 10 == 3 {
                object["status"] = json!(7);
            }
            world
                .send(&updated(&format!("evt_{nth}"), DAY + i64::from(nth), &object))
                .await;
        }
        world.send(&json!({ "no": "id" })).await;
        // What no text column of Postgres takes.
        let mut strange = customer("cus_nul", &json!({}));
        strange["name"] = json!("A\u{0}nn");
        world.send(&event("evt_nul", "customer.created", DAY, &strange)).await;
        strange["id"] = json!("cus\u{0}");
        world
            .send(&event("evt_nul_id", "customer.created", DAY, &strange))
            .await;
        world
            .send(&event(
                "evt_notice",
                "setup_intent.created",
                DAY,
                &json!({ "id": "seti_1" }),
            ))
            .await;
        world
            .send(&event("evt_new", "brand.new_type", DAY, &json!({ "id": "x_1" })))
            .await;
        world.settle().await;
        let expected = [(State::Applied, 37), (State::Ignored, 2), (State::Quarantined, 6)];
        assert_eq!(world.states().await, expected, "{:?}", store.kind);
        let (_, reason) = world.state_of("evt_3").await;
        assert!(reason.unwrap().contains("status"), "the reason names the path");
        world.close().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replayed_receipt_ends_as_if_it_had_never_failed() {
    for store in stores().await {
        let story: Vec<Value> = (0..6)
            .map(|nth| {
                let object = subscription(1, "active", nth + 1, DAY);
                updated(&format!("evt_{nth}"), DAY + i64::from(nth), &object)
            })
            .collect();
        // A ledger of the other mode quarantines everything.
        let world = World::with_mode(&store, true).await;
        for delivery in &story[..3] {
            world.send(delivery).await;
        }
        world.settle().await;
        assert_eq!(world.states().await, [(State::Quarantined, 3)], "{:?}", store.kind);
        assert_eq!(
            world
                .worker
                .findings()
                .counters()
                .mode
                .load(std::sync::atomic::Ordering::Relaxed),
            3
        );
        world.close().await;

        let world = World::open(&store).await;
        for delivery in &story[3..] {
            world.send(delivery).await;
        }
        world.settle().await;
        let filter = subledger::inbox::ReceiptFilter {
            state: Some(State::Quarantined),
            ..Default::default()
        };
        let counted = world.admin.replay_all(&World::act("a"), &filter, true).await.unwrap();
        assert_eq!((counted.matched, counted.replayed), (3, 0));
        world.admin.replay(&World::act("one"), &key("evt_1")).await.unwrap();
        world.until("evt_1", State::Applied).await;
        let done = world
            .admin
            .replay_all(&World::act("all"), &filter, false)
            .await
            .unwrap();
        assert_eq!((done.matched, done.replayed), (2, 2));
        world.settle().await;
        assert_eq!(world.states().await, [(State::Applied, 6)]);
        let refused = world
            .admin
            .replay(&World::act("late"), &key("evt_1"))
            .await
            .unwrap_err();
        assert!(refused.to_string().contains("applied"), "{refused}");
        let log = world.log().await;
        assert_eq!(
            log.iter()
                .filter(|e| e.event_type == "operation.receipt_replayed")
                .count(),
            3
        );

        let untouched = crate::support::TestStore::sqlite();
        let twin = World::open(&untouched).await;
        for delivery in &story {
            twin.send(delivery).await;
        }
        twin.settle().await;
        let text = |state| serde_json::to_string(&state).unwrap();
        let stream = "tenant:tenant-000001";
        assert_eq!(text(world.account(stream).await), text(twin.account(stream).await));
        twin.close().await;
        world.close().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_discarded_receipt_stays_where_it_is() {
    for store in stores().await {
        let world = World::open(&store).await;
        world
            .send(&event("evt_d", "charge.dispute.created", DAY, &dispute("dp_1", "ch_1")))
            .await;
        world.until("evt_d", State::Parked).await;
        world.admin.discard(&World::act("d"), &key("evt_d")).await.unwrap();
        world
            .send(&event("evt_c", "charge.succeeded", DAY, &charge("ch_1", Some("cus_1"))))
            .await;
        world.settle().await;
        assert_eq!(
            world.state_of("evt_d").await,
            (State::Discarded, Some("operator: a test".into()))
        );
        assert!(
            world.account("cus_1").await.money.disputes.is_empty(),
            "{:?}",
            store.kind
        );
        let raw = world.admin.read_raw(&World::act("r"), &key("evt_d")).await.unwrap();
        assert!(raw.body.is_some());
        world.close().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_dead_process_left_is_swept_up() {
    for store in stores().await {
        let db = super::world::open_db(&store).await;
        let receipts = subledger::inbox::ReceiptStore::new(db.clone());
        // Nobody takes what this receiver hands over.
        let receiver = subledger::inbox::Receiver::start(receipts, std::sync::Arc::new(drop));
        let long_ago = subledger::clock::Clock::system().now().plus_seconds(-60);
        for nth in 0..1_200_u32 {
            let object = subscription(nth % 50, "active", nth + 1, DAY);
            let body = updated(&format!("evt_{nth}"), DAY + i64::from(nth), &object);
            assert_eq!(
                receiver.receive(delivery(&body, long_ago)).await.unwrap(),
                Received::Stored
            );
        }
        receiver.stop().await;
        db.close().await;
        drop(receiver);
        drop(db);
        let world = World::open(&store).await;
        world.settle().await;
        assert_eq!(world.states().await, [(State::Applied, 1_200)], "{:?}", store.kind);
        world.close().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_learnt_late_gets_the_account_as_it_is() {
    for store in stores().await {
        let world = World::open(&store).await;
        world
            .send(&event(
                "evt_1",
                "customer.created",
                DAY,
                &customer("cus_000001", &json!({})),
            ))
            .await;
        world.send(&updated("evt_2", DAY + 1, &untold(1, "active", 1))).await;
        world.settle().await;
        assert_eq!(world.account("cus_000001").await.account.tenant, None);
        let told = subscription(1, "active", 2, DAY);
        world.send(&updated("evt_3", DAY + 2, &told)).await;
        world.settle().await;
        let state = world.account("cus_000001").await;
        assert_eq!(state.account.tenant, Some(tenant("tenant-000001")), "{:?}", store.kind);
        assert_eq!(
            world.entry(Kind::Tenant, "tenant-000001").await.as_deref(),
            Some("cus_000001")
        );
        let stored = world.stored("cus_000001").await;
        assert_eq!(stored.last().unwrap().tenant.as_deref(), Some("tenant-000001"));
        assert_eq!(stored.first().unwrap().tenant, None);
        // A hint at another tenant changes nothing but is told.
        let mut other = subscription(1, "active", 3, DAY);
        other["metadata"]["tenant_id"] = json!("somebody-else");
        world.send(&updated("evt_4", DAY + 3, &other)).await;
        world.settle().await;
        let state = world.account("cus_000001").await;
        assert_eq!(state.account.tenant, Some(tenant("tenant-000001")));
        assert_eq!(world.entry(Kind::Tenant, "somebody-else").await, None);
        assert_eq!(
            world
                .worker
                .findings()
                .counters()
                .link
                .load(std::sync::atomic::Ordering::Relaxed),
            1
        );
        assert_eq!(world.state_of("evt_4").await.0, State::Applied);
        world.close().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_customers_that_name_one_tenant_stay_two_accounts() {
    for store in stores().await {
        let world = World::open(&store).await;
        let hint = json!({ "organizationId": "acme" });
        for (nth, cus) in ["cus_a", "cus_b"].iter().enumerate() {
            let at = DAY + i64::try_from(nth).unwrap();
            world
                .send(&event(
                    &format!("evt_{nth}"),
                    "customer.created",
                    at,
                    &customer(cus, &hint),
                ))
                .await;
            world.settle().await;
        }
        assert_eq!(
            world.entry(Kind::Customer, "cus_a").await.as_deref(),
            Some("tenant:acme")
        );
        assert_eq!(
            world.entry(Kind::Customer, "cus_b").await.as_deref(),
            Some("cus_b"),
            "{:?}",
            store.kind
        );
        let (a, b) = (world.account("tenant:acme").await, world.account("cus_b").await);
        assert_eq!((a.account.tenant, b.account.tenant), (Some(tenant("acme")), None));
        assert_eq!(a.life.customers.len(), 1);
        assert_eq!(
            world
                .worker
                .findings()
                .counters()
                .link
                .load(std::sync::atomic::Ordering::Relaxed),
            1
        );
        let opened = |events: &[Event]| events.iter().filter(|e| matches!(e, Event::AccountOpened(_))).count();
        assert_eq!(opened(&world.events("cus_b").await), 1);
        world.close().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thin_event_waits_for_its_object_or_is_the_twin_of_a_snapshot() {
    for store in stores().await {
        let world = World::open(&store).await;
        let thin = |id: &str, twin: Option<&str>| {
            json!({ "id": id, "object": "v2.core.event", "type": "v1.customer.subscription.updated", "livemode": false,
                "created": "2026-10-28T10:00:00Z", "snapshot_event": twin,
                "related_object": { "id": "sub_000001", "type": "subscription", "url": "/v1/subscriptions/sub_000001" } })
        };
        world
            .send(&updated("evt_s", DAY, &subscription(1, "active", 1, DAY)))
            .await;
        world.settle().await;
        world.send(&thin("evt_t1", Some("evt_s"))).await;
        world.send(&thin("evt_t2", None)).await;
        world.until("evt_t2", State::Parked).await;
        world.until("evt_t1", State::Duplicate).await;
        let (_, reason) = world.state_of("evt_t2").await;
        assert!(reason.unwrap().contains("sub_000001"), "{:?}", store.kind);
        world.close().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn objects_without_an_account_have_streams_of_their_own() {
    for store in stores().await {
        let world = World::open(&store).await;
        let product = json!({ "id": "prod_1", "object": "product", "name": "Pro", "active": true, "metadata": {} });
        world.send(&event("evt_1", "product.created", DAY, &product)).await;
        world.send(&event("evt_2", "product.updated", DAY, &product)).await;
        world.send(&event("evt_1", "product.created", DAY, &product)).await;
        world.settle().await;
        let receipt = world.receipts.get(&key("evt_1")).await.unwrap().receipt;
        assert_eq!(receipt.placed.unwrap().stream.as_str(), "prod_1", "{:?}", store.kind);
        assert_eq!(world.log().await.len(), 2);
        world.close().await;
    }
}

//! What waits for Stripe is asked, once for all that want the same, and what no webhook brought is caught up: over the
//! real adapter and a stand-in for Stripe on loopback.

use std::time::Duration;

use aggregates::ids::CustomerId;
use projections::db::Db;
use serde_json::{Value, json};
use subledger::clock::Clock;
use subledger::inbox::State;
use subledger::lease::{Keeper, Role};
use subledger::outbox::{self, State as Row};
use subledger::process::stripe_reads::{CATCH_UP_EVERY, Parts, StripeReads};
use subledger::stripe::client::TransportKind;
use subledger::stripe::gateway::retry::Dice;
use subledger::stripe_cursor::{self, List};

use super::world::{World, key, open_db};
use crate::contract::gateway::client;
use crate::stripe_api::{Fault, Loopback};
use crate::support::stores;
use crate::support::stripe::{event, subscription};

const DAY: i64 = 1_760_000_000;

/// How long a test waits for work that needs a few seconds.
const PATIENCE: Duration = Duration::from_secs(60);

/// A ledger whose questions a Stripe answers.
struct Asking {
    world: World,
    server: Loopback,
    keeper: Keeper,
    reads: StripeReads,
}

impl Asking {
    async fn start(db: Db, server: Loopback, catch_up_every: Duration) -> Self {
        let world = World::on(db, false);
        let keeper = Keeper::start(world.db.clone(), Role::Part, "test".to_owned()).await;
        let gateway = client(&server.base(), TransportKind::Pooled);
        let reads = StripeReads::start(Parts {
            db: world.db.clone(),
            receipts: world.receipts.clone(),
            receiver: world.receiver.clone(),
            gateway,
            client: None,
            leases: keeper.watch(),
            clock: Clock::system(),
            // The shortest waits.
            dice: Dice::from_fn(|_| 0),
            catch_up_every,
        });
        let asking = Self {
            world,
            server,
            keeper,
            reads,
        };
        // The first walk is over, so that no fault meant for a question meets it.
        asking.until("the first walk", |it| it.read_until() > 0).await;
        asking
    }

    fn read_until(&self) -> i64 {
        self.reads
            .counters()
            .read_until
            .load(std::sync::atomic::Ordering::SeqCst)
    }

    async fn until(&self, what: &str, is: impl Fn(&Self) -> bool) {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        while !is(self) {
            assert!(tokio::time::Instant::now() < deadline, "{what} does not come");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Waits until no question is open any more.
    async fn answered(&self) {
        self.world.settle().await;
        let deadline = tokio::time::Instant::now() + PATIENCE;
        loop {
            let mut open = Vec::new();
            for part in 0..self.world.db.parts() {
                open.extend(outbox::list_open(&self.world.db, part, 100).await.unwrap());
            }
            if open.is_empty() {
                break;
            }
            assert!(tokio::time::Instant::now() < deadline, "still open: {open:?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        self.world.settle().await;
    }

    /// How often the stand-in was asked for this.
    fn asked(&self, target: &str) -> usize {
        self.server
            .wire()
            .iter()
            .filter(|wire| wire.target.starts_with(target))
            .count()
    }

    async fn close(self) -> Loopback {
        self.reads.stop().await;
        self.world.receiver.stop().await;
        self.world.worker.stop().await;
        self.keeper.stop().await;
        self.world.db.close().await;
        self.server
    }
}

fn thin(id: &str, kind: &str, object: &str, of: &str) -> Value {
    json!({ "id": id, "object": "v2.core.event", "type": kind, "livemode": false, "created": "2025-10-09T08:53:20Z",
        "related_object": { "id": of, "type": object, "url": "/v1/x" } })
}

fn customer(account: u32) -> CustomerId {
    format!("cus_{account:06}").parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn thin_events_of_one_object_share_one_fetch_and_end_with_it() {
    for store in stores().await {
        let server = Loopback::start().await;
        server.put("subscriptions", subscription(1, "active", 7, DAY));
        let asking = Asking::start(open_db(&store).await, server, CATCH_UP_EVERY).await;
        for nth in 0..5 {
            let word = ["updated", "item_added", "active", "item_quantity_changed", "updated"][nth];
            let kind = format!("v1.customer.subscription.{word}");
            asking
                .world
                .send(&thin(&format!("evt_{nth}"), &kind, "subscription", "sub_000001"))
                .await;
        }
        for nth in 0..5 {
            asking.world.until(&format!("evt_{nth}"), State::Duplicate).await;
            let (_, reason) = asking.world.state_of(&format!("evt_{nth}")).await;
            assert!(
                reason.unwrap().starts_with("told by default/fetch_"),
                "{:?}",
                store.kind
            );
        }
        asking.answered().await;
        assert_eq!(asking.asked("/v1/subscriptions/sub_000001"), 1, "{:?}", store.kind);
        let stream = "tenant:tenant-000001";
        let account = asking.world.account(stream).await;
        let known = account.life.subscriptions.values().next().expect("a subscription");
        let terms = known.book.register.current().expect("terms");
        assert_eq!(
            terms.snapshot.items.as_ref().unwrap()[0].quantity,
            Some(7),
            "{:?}",
            store.kind
        );
        assert_eq!(terms.seen.rank, aggregates::snapshot::Rank::Fetched, "{:?}", store.kind);
        assert_eq!(
            asking
                .world
                .entry(subledger::directory::Kind::Customer, customer(1).as_str())
                .await
                .as_deref(),
            Some(stream)
        );
        asking.close().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_for_a_name_is_brought_on_by_asking_for_it() {
    for store in stores().await {
        let server = Loopback::start().await;
        server.put(
            "charges",
            json!({"id": "ch_1", "object": "charge", "amount": 4900, "currency": "usd", "customer": "cus_1",
                "status": "succeeded", "captured": true, "paid": true, "created": DAY, "livemode": false}),
        );
        let asking = Asking::start(open_db(&store).await, server, CATCH_UP_EVERY).await;
        let dispute = json!({"id": "dp_1", "object": "dispute", "charge": "ch_1", "amount": 4900, "currency": "usd",
            "status": "needs_response", "reason": "fraudulent", "created": DAY, "livemode": false});
        asking
            .world
            .send(&event("evt_d", "charge.dispute.created", DAY, &dispute))
            .await;
        asking.world.until("evt_d", State::Applied).await;
        asking.answered().await;
        let account = asking.world.account("cus_1").await;
        assert_eq!(
            (account.money.charges.len(), account.money.disputes.len()),
            (1, 1),
            "{:?}",
            store.kind
        );
        asking.close().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_rest_of_a_cut_list_is_fetched() {
    for store in stores().await {
        let server = Loopback::start().await;
        let mut whole = subscription(1, "active", 1, DAY);
        let row = whole["items"]["data"][0].clone();
        for nth in 0..120 {
            let mut item = row.clone();
            item["id"] = json!(format!("si_{nth}"));
            server.put("subscription_items", item);
        }
        whole["items"]["has_more"] = json!(true);
        server.put("subscriptions", whole.clone());
        let asking = Asking::start(open_db(&store).await, server, CATCH_UP_EVERY).await;
        asking
            .world
            .send(&event("evt_1", "customer.subscription.created", DAY, &whole))
            .await;
        asking.answered().await;
        let account = asking.world.account("tenant:tenant-000001").await;
        let known = account.life.subscriptions.values().next().expect("a subscription");
        let terms = known.book.register.effective().expect("terms");
        assert_eq!(terms.items.as_ref().map(Vec::len), Some(120), "{:?}", store.kind);
        // The object, and its rows in two pages; the answer itself asks nothing further.
        let asked = (
            asking.asked("/v1/subscriptions/"),
            asking.asked("/v1/subscription_items?"),
        );
        assert_eq!(asked, (1, 2), "{:?}", store.kind);
        asking.close().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tie_is_settled_by_what_stripe_says() {
    for store in stores().await {
        let server = Loopback::start().await;
        server.put("subscriptions", subscription(1, "active", 3, DAY));
        let asking = Asking::start(open_db(&store).await, server, CATCH_UP_EVERY).await;
        let now = crate::support::stripe::now();
        // Three changes of one second, none of which says what came before.
        for (id, quantity) in [("evt_a", 9), ("evt_b", 3), ("evt_c", 5)] {
            let object = subscription(1, "active", quantity, DAY);
            asking
                .world
                .send(&event(id, "customer.subscription.updated", now, &object))
                .await;
        }
        asking.answered().await;
        let account = asking.world.account("tenant:tenant-000001").await;
        let known = account.life.subscriptions.values().next().expect("a subscription");
        let current = known.book.register.current().expect("terms");
        let quantity = current.snapshot.items.as_ref().unwrap()[0].quantity;
        assert_eq!(
            (quantity, current.seen.rank),
            (Some(3), aggregates::snapshot::Rank::Fetched),
            "{:?}",
            store.kind
        );
        assert!(!known.book.register.is_undecided(), "{:?}", store.kind);
        asking.close().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payout_is_told_movement_by_movement_and_each_once() {
    for store in stores().await {
        let server = Loopback::start().await;
        for nth in 0..130 {
            let net = 1_000 - 59;
            let mut movement = json!({"id": format!("txn_{nth}"), "object": "balance_transaction", "amount": 1000,
                "fee": 59, "net": net, "currency": "usd", "type": "charge", "source": format!("ch_{nth}"),
                "reporting_category": "charge", "created": DAY + nth, "available_on": DAY + 2 * 86_400});
            if nth < 120 {
                movement["payout"] = json!("po_1");
            }
            server.put("balance_transactions", movement);
        }
        let asking = Asking::start(open_db(&store).await, server, CATCH_UP_EVERY).await;
        let payout = json!({"id": "po_1", "object": "payout", "amount": 112_920, "currency": "usd", "status": "paid",
            "automatic": true, "created": DAY, "livemode": false});
        asking.world.send(&event("evt_1", "payout.paid", DAY, &payout)).await;
        asking.answered().await;
        asking
            .world
            .send(&event("evt_2", "payout.reconciliation_completed", DAY + 60, &payout))
            .await;
        asking.answered().await;
        let log = asking.world.log().await;
        // Whatever the second reading is called on the log, it must not be there.
        let recorded: Vec<_> = log.iter().filter(|event| event.stream.starts_with("txn_")).collect();
        assert_eq!(recorded.len(), 120, "{:?}", store.kind);
        asking.close().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn while_stripe_is_away_questions_wait_and_what_it_does_not_know_is_shown() {
    for store in stores().await {
        let server = Loopback::start().await;
        let asking = Asking::start(open_db(&store).await, server, CATCH_UP_EVERY).await;
        for fault in [Fault::Failure, Fault::Cut, Fault::TooMany(Some(1)), Fault::ForeignPage] {
            asking.server.fail(fault);
        }
        asking
            .world
            .send(&thin("evt_1", "v1.invoice.paid", "invoice", "in_none"))
            .await;
        asking.world.until("evt_1", State::Quarantined).await;
        let (_, reason) = asking.world.state_of("evt_1").await;
        assert!(reason.as_deref().unwrap().contains("No such object"), "{reason:?}");
        asking.answered().await;
        assert_eq!(asking.asked("/v1/invoices/in_none"), 5, "{:?}", store.kind);
        // What Stripe has no address for comes with other objects.
        asking
            .world
            .send(&thin("evt_2", "v1.customer.discount.created", "discount", "di_1"))
            .await;
        asking.world.until("evt_2", State::Ignored).await;
        asking.answered().await;
        asking.close().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_taken_over_by_another_process_is_not_settled_by_the_first() {
    for store in stores().await {
        let db = open_db(&store).await;
        let world = World::on(db, false);
        world
            .send(&thin(
                "evt_1",
                "v1.customer.subscription.updated",
                "subscription",
                "sub_1",
            ))
            .await;
        world.until("evt_1", State::Parked).await;
        let now = Clock::system().now().plus_seconds(10);
        let mut rows = Vec::new();
        for part in 0..world.db.parts() {
            rows.extend(
                outbox::claim(&world.db, part, 7, &["stripe_fetch"], now, now, 10)
                    .await
                    .unwrap(),
            );
        }
        let row = rows.pop().expect("a question");
        assert!(row.body.contains("\"thin\":true"), "{}", row.body);
        let later = now.plus_seconds(1);
        let again = outbox::claim(&world.db, row.part, 8, &["stripe_fetch"], later, later, 10)
            .await
            .unwrap();
        assert_eq!(again.len(), 1, "{:?}", store.kind);
        let done = || outbox::Settlement {
            state: Row::Done,
            result: None,
            next_at: later,
        };
        assert!(
            !outbox::settle(&world.db, row.part, row.outbox_id, 7, done(), later)
                .await
                .unwrap(),
            "{:?}",
            store.kind
        );
        assert!(
            outbox::settle(&world.db, row.part, row.outbox_id, 8, done(), later)
                .await
                .unwrap(),
            "{:?}",
            store.kind
        );
        world.close().await;
    }
}

// ---- catch-up --------------------------------------------------------------------------------------

/// An event as Stripe lists it: of an account of its own, now.
fn listed(nth: u32) -> Value {
    let mut event = event(
        &format!("evt_{nth}"),
        "customer.subscription.updated",
        crate::support::stripe::now(),
        &subscription(nth, "active", nth + 1, DAY),
    );
    event["pending_webhooks"] = json!(0);
    event
}

#[tokio::test(flavor = "multi_thread")]
async fn events_no_webhook_brought_are_caught_up_under_the_same_keys() {
    for store in stores().await {
        let server = Loopback::start().await;
        for nth in 0..230 {
            server.put("events", listed(nth));
        }
        // Long before the ledger was made: nothing it missed.
        let mut old = listed(900);
        old["created"] = json!(DAY);
        server.put("events", old);
        let world = World::on(open_db(&store).await, false);
        // Every third came by webhook.
        for nth in (0..230).step_by(3) {
            world.send(&listed(nth)).await;
        }
        world.settle().await;
        world.close().await;
        let asking = Asking::start(open_db(&store).await, server, CATCH_UP_EVERY).await;
        asking.world.settle().await;
        let counters = asking.reads.counters();
        let missing = counters.events_missing.load(std::sync::atomic::Ordering::SeqCst);
        assert_eq!(missing, 230 - 77, "{:?}", store.kind);
        for nth in 0..230 {
            let custody = asking.world.receipts.get(&key(&format!("evt_{nth}"))).await.unwrap();
            assert_eq!(custody.receipt.state, State::Applied, "{:?} evt_{nth}", store.kind);
            let via = if nth % 3 == 0 { "/webhooks/stripe" } else { "catch_up" };
            assert_eq!(
                (&*custody.endpoint, custody.signature.is_empty()),
                (via, via == "catch_up")
            );
        }
        assert!(
            asking.world.receipts.find(&key("evt_900")).await.unwrap().is_none(),
            "{:?}",
            store.kind
        );
        // The webhook that comes after all changes nothing.
        let events = asking.world.log().await.len();
        asking.world.send(&listed(1)).await;
        asking.world.settle().await;
        assert_eq!(asking.world.log().await.len(), events, "{:?}", store.kind);
        asking.close().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_walk_that_broke_off_goes_on_where_it_was() {
    for store in stores().await {
        let server = Loopback::start().await;
        for nth in 0..250 {
            server.put("events", listed(nth));
        }
        server.fail_after(1, Fault::Failure);
        let db = open_db(&store).await;
        let asking = Asking::start(db, server, Duration::from_millis(50)).await;
        asking.world.settle().await;
        let wire = asking.server.wire();
        let walk: Vec<&str> = wire
            .iter()
            .map(|wire| wire.target.as_str())
            .filter(|target| target.starts_with("/v1/events?"))
            .collect();
        let after = |nth: usize| {
            walk[nth]
                .split('&')
                .find(|pair| pair.starts_with("starting_after="))
                .unwrap_or("")
        };
        // The first page, the failure on the second, and from there on to the end.
        let pages = [after(0), after(1), after(2), after(3)];
        assert_eq!(
            pages,
            [
                "",
                "starting_after=evt_150",
                "starting_after=evt_150",
                "starting_after=evt_50"
            ],
            "{:?}",
            store.kind
        );
        let since = |nth: usize| {
            walk[nth]
                .split('&')
                .find(|pair| pair.contains("gte"))
                .map(str::to_owned)
        };
        assert_eq!(since(0), since(3), "{:?}: one walk has one lower edge", store.kind);
        assert_eq!(asking.world.states().await, [(State::Applied, 250)], "{:?}", store.kind);
        // The next walk begins an hour before this one did, and finds nothing new.
        asking.until("a second walk", |it| it.asked("/v1/events?") >= 7).await;
        let counters = asking.reads.counters();
        assert_eq!(counters.events_missing.load(std::sync::atomic::Ordering::SeqCst), 250);
        let cursor = stripe_cursor::load(&asking.world.db, "default", List::Events)
            .await
            .unwrap()
            .unwrap();
        assert!(
            cursor.read_until.seconds() >= asking.world.db.meta().created_at.seconds(),
            "{cursor:?}"
        );
        asking.close().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn thin_snapshot_and_both_end_in_the_same_account() {
    // Whatever tells of a subscription, and in whatever order, its terms are those that Stripe has.
    for store in stores().await {
        let mut ends = Vec::new();
        for told in [
            &["thin"][..],
            &["snapshot"],
            &["thin", "snapshot"],
            &["snapshot", "thin"],
        ] {
            let fresh = match store.kind {
                crate::support::Kind::Sqlite => crate::support::TestStore::sqlite(),
                crate::support::Kind::Postgres => crate::support::TestStore::postgres().await.unwrap(),
            };
            let server = Loopback::start().await;
            server.put("subscriptions", subscription(1, "past_due", 4, DAY));
            let asking = Asking::start(open_db(&fresh).await, server, CATCH_UP_EVERY).await;
            for how in told {
                let body = if *how == "thin" {
                    thin(
                        "evt_t",
                        "v1.customer.subscription.past_due",
                        "subscription",
                        "sub_000001",
                    )
                } else {
                    event(
                        "evt_s",
                        "customer.subscription.updated",
                        DAY,
                        &subscription(1, "past_due", 4, DAY),
                    )
                };
                asking.world.send(&body).await;
                asking.world.settle().await;
                asking.answered().await;
            }
            let account = asking.world.account("tenant:tenant-000001").await;
            let known = account.life.subscriptions.values().next().expect("a subscription");
            ends.push(known.book.register.effective().expect("terms").into_owned());
            asking.close().await;
        }
        assert!(
            ends.windows(2).all(|pair| pair[0] == pair[1]),
            "{:?}: {ends:?}",
            store.kind
        );
    }
}

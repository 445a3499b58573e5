//! Store, then acknowledge: what the receiver says is durable is in the table, once, with the first bytes.

use std::sync::{Arc, Mutex};

use aggregates::time::Timestamp;
use bytes::Bytes;
use projections::db::{Db, DbConfig};
use subledger::inbox::{
    BodyKept, Delivery, NewReceipt, Placed, ReceiptCursor, ReceiptFilter, ReceiptKey, ReceiptStore, Received, Receiver,
    Settlement, State,
};

use crate::support::{TestStore, stores};

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_seconds(1_790_000_000 + seconds).expect("a time")
}

async fn open(store: &TestStore) -> Db {
    let url = match store.url() {
        Some(url) => url.to_owned(),
        None => format!("sqlite:{}", store.data_dir().join("ledger.db").display()),
    };
    let config = DbConfig {
        accept_unsafe_server: true,
        ..DbConfig::new(&url, at(0))
    };
    Db::open(&config).await.expect("a ledger")
}

fn delivery(body: impl Into<Bytes>, seconds: i64) -> Delivery {
    Delivery {
        body: body.into(),
        signature: "t=1,v1=00".into(),
        secret_name: "main".into(),
        endpoint: "/webhooks/stripe".into(),
        received_at: at(seconds),
    }
}

fn body(id: &str, text: &str) -> String {
    format!(r#"{{"id":"{id}","object":"event","type":"invoice.paid","livemode":false,"note":"{text}"}}"#)
}

fn key(id: &str) -> ReceiptKey {
    ReceiptKey::new("default", id.parse().expect("an id"))
}

struct Inbox {
    db: Db,
    store: ReceiptStore,
    receiver: Receiver,
    handed: Arc<Mutex<Vec<NewReceipt>>>,
}

async fn inbox(store: &TestStore) -> Inbox {
    let db = open(store).await;
    let receipts = ReceiptStore::new(db.clone());
    let handed: Arc<Mutex<Vec<NewReceipt>>> = Arc::default();
    let sink = Arc::clone(&handed);
    let receiver = Receiver::start(
        receipts.clone(),
        Arc::new(move |fresh| sink.lock().unwrap().extend(fresh)),
    );
    Inbox {
        db,
        store: receipts,
        receiver,
        handed,
    }
}

impl Inbox {
    async fn close(self) {
        self.receiver.stop().await;
        self.db.close().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delivery_is_durable_with_all_that_proves_it() {
    for store in stores().await {
        let inbox = inbox(&store).await;
        let bytes = body("evt_1", "first");
        let received = inbox.receiver.receive(delivery(bytes.clone(), 5)).await.unwrap();
        assert_eq!(received, Received::Stored, "{:?}", store.kind);
        let custody = inbox.store.get(&key("evt_1")).await.unwrap();
        assert_eq!(custody.body.as_deref(), Some(bytes.as_bytes()));
        assert_eq!(custody.body_kept(), BodyKept::AsReceived);
        assert_eq!((&*custody.signature, &*custody.secret_name), ("t=1,v1=00", "main"));
        assert_eq!(custody.endpoint, "/webhooks/stripe");
        let receipt = &custody.receipt;
        assert_eq!((receipt.state, receipt.livemode), (State::New, Some(false)));
        assert_eq!(receipt.event_type.as_deref(), Some("invoice.paid"));
        assert_eq!((receipt.received_at, receipt.next_at), (at(5), Some(at(15))));
        // It is handed over after it was answered; the receiver stops when that is done too.
        inbox.receiver.stop().await;
        assert_eq!(inbox.handed.lock().unwrap().len(), 1);
        inbox.close().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sixty_four_senders_of_one_event_make_one_receipt() {
    for store in stores().await {
        let inbox = inbox(&store).await;
        let mut senders = Vec::new();
        for sender in 0..64 {
            let receiver = inbox.receiver.clone();
            senders.push(tokio::spawn(async move {
                let mut stored = 0;
                for event in 0..20 {
                    let id = format!("evt_{}", (event + sender) % 20);
                    let received = receiver.receive(delivery(body(&id, "same"), event)).await.unwrap();
                    assert_ne!(received, Received::OtherContent);
                    stored += u32::from(received == Received::Stored);
                }
                stored
            }));
        }
        let mut stored = 0;
        for sender in senders {
            stored += sender.await.unwrap();
        }
        assert_eq!(stored, 20, "{:?}: each event is new once", store.kind);
        inbox.receiver.stop().await;
        assert_eq!(inbox.handed.lock().unwrap().len(), 20);
        let all = inbox.store.list(&ReceiptFilter::default(), None, 200).await.unwrap();
        assert_eq!(all.len(), 20);
        inbox.close().await;
    }
}

/// Stripe's list tells an event in other words than its webhook: that is no other content, whichever comes first.
#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_was_asked_for_is_the_one_its_webhook_brings() {
    let asked_for = |text: &str| Delivery {
        endpoint: "catch_up".into(),
        ..delivery(body("evt_1", text), 0)
    };
    let webhook = |text: &str| delivery(body("evt_1", text), 0);
    for turn in [false, true] {
        for store in stores().await {
            let inbox = inbox(&store).await;
            let (first, second, third) = if turn {
                (asked_for("one"), webhook("two"), asked_for("three"))
            } else {
                (webhook("one"), asked_for("two"), webhook("three"))
            };
            assert_eq!(inbox.receiver.receive(first).await.unwrap(), Received::Stored);
            assert_eq!(inbox.receiver.receive(second).await.unwrap(), Received::Duplicate);
            assert_eq!(inbox.store.get(&key("evt_1")).await.unwrap().receipt.reason, None);
            // Told twice the same way it must be the same.
            assert_eq!(inbox.receiver.receive(third).await.unwrap(), Received::OtherContent);
            inbox.close().await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_id_with_other_bytes_keeps_the_first_and_says_so() {
    for store in stores().await {
        let inbox = inbox(&store).await;
        for (text, expected) in [
            ("first", Received::Stored),
            ("other", Received::OtherContent),
            ("other", Received::OtherContent),
            ("first", Received::Duplicate),
        ] {
            let received = inbox.receiver.receive(delivery(body("evt_1", text), 0)).await.unwrap();
            assert_eq!(received, expected, "{:?} {text}", store.kind);
        }
        // Within one batch too.
        let (a, b) = tokio::join!(
            inbox.receiver.receive(delivery(body("evt_2", "a"), 0)),
            inbox.receiver.receive(delivery(body("evt_2", "b"), 0)),
        );
        assert_eq!(
            [a.unwrap(), b.unwrap()]
                .iter()
                .filter(|r| **r == Received::Stored)
                .count(),
            1
        );
        let custody = inbox.store.get(&key("evt_1")).await.unwrap();
        assert_eq!(custody.body.as_deref(), Some(body("evt_1", "first").as_bytes()));
        let reason = custody.receipt.reason.expect("a note");
        assert_eq!(reason.matches("other content").count(), 1, "{reason}");
        let applied = Settlement::of(key("evt_1"), State::Applied, None);
        inbox.store.settle(&[applied], at(1)).await.unwrap();
        let reason = inbox.store.get(&key("evt_1")).await.unwrap().receipt.reason;
        assert!(
            reason.is_some_and(|r| r.contains("other content")),
            "a settled receipt keeps the note"
        );
        inbox.close().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn card_numbers_are_not_stored_and_the_receipt_shows_it() {
    for store in stores().await {
        let inbox = inbox(&store).await;
        let bytes = body("evt_1", "my card is 4242 4242 4242 4242");
        inbox.receiver.receive(delivery(bytes.clone(), 0)).await.unwrap();
        let custody = inbox.store.get(&key("evt_1")).await.unwrap();
        let kept = custody.body.clone().expect("a body");
        assert_eq!(kept, body("evt_1", "my card is ****4242").as_bytes());
        assert_eq!(custody.body_kept(), BodyKept::Masked);
        let again = inbox.receiver.receive(delivery(bytes, 0)).await.unwrap();
        assert_eq!(again, Received::Duplicate, "the digest is that of the original");
        inbox.receiver.stop().await;
        assert_eq!(
            inbox.handed.lock().unwrap()[0].body,
            kept,
            "what is translated is what is stored"
        );
        inbox.close().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_without_an_id_is_stored_under_its_digest() {
    for store in stores().await {
        let inbox = inbox(&store).await;
        for bytes in [&b"not json"[..], b"\xff\xfe", b"[]", b"{}"] {
            let received = inbox.receiver.receive(delivery(bytes.to_vec(), 0)).await.unwrap();
            assert_eq!(received, Received::Stored);
            let received = inbox.receiver.receive(delivery(bytes.to_vec(), 0)).await.unwrap();
            assert_eq!(received, Received::Duplicate);
        }
        inbox.close().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn settled_receipts_are_final_and_due_ones_come_oldest_first() {
    for store in stores().await {
        let inbox = inbox(&store).await;
        for (nth, id) in ["evt_1", "evt_2", "evt_3", "evt_4"].iter().enumerate() {
            let seconds = i64::try_from(nth).unwrap();
            inbox.receiver.receive(delivery(body(id, "x"), seconds)).await.unwrap();
        }
        let parts: Vec<u32> = (0..inbox.db.parts()).collect();
        let due = |now| {
            let (store, parts) = (inbox.store.clone(), parts.clone());
            async move {
                let due = store.due(&parts, now, false, 500).await.unwrap();
                due.iter().map(|one| one.key.event.to_string()).collect::<Vec<_>>()
            }
        };
        assert_eq!(due(at(9)).await, Vec::<String>::new(), "left to the receiving process");
        assert_eq!(due(at(11)).await, ["evt_1", "evt_2"]);
        let fresh = inbox.store.due(&parts, at(1), true, 3).await.unwrap();
        let fresh: Vec<_> = fresh.iter().map(|one| one.key.event.to_string()).collect();
        assert_eq!(
            fresh,
            ["evt_1", "evt_2"],
            "never tried, and this process found no room for them"
        );
        let placed = Placed {
            stream: "cus_1".parse().unwrap(),
            part: 0,
            positions: Some((4, 7)),
        };
        let applied = Settlement {
            placed: Some(placed.clone()),
            ..Settlement::of(key("evt_1"), State::Applied, None)
        };
        let parked = Settlement {
            next_at: Some(at(100)),
            attempts: 2,
            ..Settlement::of(key("evt_2"), State::Parked, Some("waits for charge:ch_1".into()))
        };
        inbox.store.settle(&[applied, parked], at(20)).await.unwrap();
        assert_eq!(due(at(50)).await, ["evt_3", "evt_4"]);
        assert_eq!(due(at(100)).await, ["evt_3", "evt_4", "evt_2"]);
        let late = Settlement::of(key("evt_1"), State::Quarantined, Some("too late".into()));
        inbox.store.settle(&[late], at(21)).await.unwrap();
        let shown = inbox.store.get(&key("evt_1")).await.unwrap().receipt;
        assert_eq!(
            (shown.state, shown.reason, shown.placed),
            (State::Applied, None, Some(placed))
        );
        assert_eq!(shown.settled_at, Some(at(20)));
        let bodies = inbox
            .store
            .bodies(&[key("evt_1"), key("evt_2"), key("evt_3")])
            .await
            .unwrap();
        let keys: Vec<_> = bodies
            .iter()
            .map(|due| (due.key.event.as_str(), due.state, due.attempts))
            .collect();
        assert_eq!(keys, [("evt_2", State::Parked, 2), ("evt_3", State::New, 0)]);
        let backlog = inbox.store.backlog().await.unwrap();
        let backlog: Vec<_> = backlog.iter().map(|b| (b.state, b.count, b.oldest)).collect();
        assert_eq!(backlog, [(State::New, 2, at(2)), (State::Parked, 1, at(1))]);
        let counts = inbox.store.counts().await.unwrap();
        assert_eq!(counts.get(&(State::Applied, "invoice.paid".to_owned())), Some(&1));
        inbox.close().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_page_newest_first_and_filter() {
    for store in stores().await {
        let inbox = inbox(&store).await;
        for nth in 0..7_i64 {
            let bytes = body(&format!("evt_{nth}"), "x");
            // Two at the same instant: the key decides.
            inbox.receiver.receive(delivery(bytes, nth / 2)).await.unwrap();
        }
        let mut seen = Vec::new();
        let mut after: Option<ReceiptCursor> = None;
        loop {
            let page = inbox
                .store
                .list(&ReceiptFilter::default(), after.as_ref(), 3)
                .await
                .unwrap();
            let Some(last) = page.last() else { break };
            after = Some(ReceiptCursor {
                received_at: last.received_at,
                source: (*last.key.source).into(),
                event: last.key.event.as_str().into(),
            });
            seen.extend(page.iter().map(|r| r.key.event.to_string()));
        }
        let expected = ["evt_6", "evt_5", "evt_4", "evt_3", "evt_2", "evt_1", "evt_0"];
        assert_eq!(seen, expected, "{:?}", store.kind);
        let filter = ReceiptFilter {
            from: Some(at(1)),
            to: Some(at(2)),
            state: Some(State::New),
            source: Some("default".into()),
            event_type: Some("invoice.paid".into()),
            ..ReceiptFilter::default()
        };
        assert_eq!(inbox.store.list(&filter, None, 50).await.unwrap().len(), 2);
        inbox.close().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopped_receiver_takes_nothing_and_forgets_nothing() {
    for store in stores().await {
        let inbox = inbox(&store).await;
        let waiting: Vec<_> = (0..50)
            .map(|nth| {
                let receiver = inbox.receiver.clone();
                tokio::spawn(async move { receiver.receive(delivery(body(&format!("evt_{nth}"), "x"), 0)).await })
            })
            .collect();
        inbox.receiver.stop().await;
        let mut stored = 0;
        for one in waiting {
            stored += usize::from(one.await.unwrap().is_ok());
        }
        let held = inbox.store.list(&ReceiptFilter::default(), None, 200).await.unwrap();
        assert_eq!(held.len(), stored, "what was acknowledged is there");
        assert!(inbox.receiver.receive(delivery(body("evt_z", "x"), 0)).await.is_err());
        inbox.close().await;
    }
}

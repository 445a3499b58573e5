//! Work is shared out by leases; safety rests on fences. Stock readers see what ours see.

use std::time::Duration;

use aggregates::subscription::AccountState;
use projections::log::load_streams;
use subledger::lease::{Role, give_back, take};
use subledger::ledger::{Item, OutboxRow, append, stock_events};
use subledger::outbox::{Settlement, State, claim, settle};
use uuid::Uuid;

use super::{events, item, ledgers, now, stream_in};

/// Longer than any test.
const LONG: Duration = Duration::from_secs(600);

#[tokio::test]
async fn a_worker_that_lost_its_lease_cannot_settle_an_effect() {
    for (_store, db) in ledgers(16).await {
        let append_one = item("k", events(&stream_in(0, db.parts(), 1), 0, 1));
        let effect = OutboxRow {
            outbox_id: Uuid::now_v7(),
            kind: "test".to_owned(),
            body: "{}".to_owned(),
            cause_event_id: append_one.appends[0].events[0].event_id,
            cause_position: 0,
            next_at: now(),
        };
        let id = effect.outbox_id;
        let with_effect = Item {
            outbox: vec![effect],
            ..append_one
        };
        append(&db, 0, vec![with_effect], now()).await.expect("recorded");

        // (1) the first worker takes the part and claims the effect, then sleeps past its lease
        let first = take(&db, &[0], Role::Part, "first", Duration::from_millis(1))
            .await
            .expect("a lease")[0];
        let claimed = claim(&db, 0, first.fence, &["test"], now(), now(), 10)
            .await
            .expect("effects");
        assert_eq!(claimed.len(), 1);
        assert_eq!(claimed[0].position, 1, "the cause is its event");
        tokio::time::sleep(Duration::from_millis(50)).await;
        // (2) a second one takes over and claims it again
        let second = take(&db, &[0], Role::Part, "second", LONG).await.expect("a lease")[0];
        assert!(second.fence > first.fence);
        let again = claim(&db, 0, second.fence, &["test"], now(), now(), 10)
            .await
            .expect("effects");
        assert_eq!(again.len(), 1);
        // (3) the first wakes up: its late settlement is refused, the second's is kept
        let done = |result: &str| Settlement {
            state: State::Done,
            result: Some(format!("\"{result}\"")),
            next_at: now(),
        };
        assert!(
            !settle(&db, 0, id, first.fence, done("late"), now())
                .await
                .expect("an answer")
        );
        assert!(
            settle(&db, 0, id, second.fence, done("right"), now())
                .await
                .expect("an answer")
        );
        assert!(
            claim(&db, 0, second.fence, &["test"], now(), now(), 10)
                .await
                .expect("effects")
                .is_empty()
        );
        db.close().await;
    }
}

#[tokio::test]
async fn a_lease_is_held_by_one_given_back_and_reclaimed_by_name() {
    for (_store, db) in ledgers(16).await {
        let first = take(&db, &[0], Role::Part, "first", LONG).await.expect("a lease");
        assert_eq!(first.len(), 1);
        assert!(
            take(&db, &[0], Role::Part, "second", LONG)
                .await
                .expect("an answer")
                .is_empty()
        );
        // A process that died and came back under the same name has its lease at once, with a new fence.
        let back = take(&db, &[0], Role::Part, "first", LONG).await.expect("a lease");
        assert!(back[0].fence > first[0].fence);
        give_back(&db, &back, Role::Part, "first").await.expect("given back");
        assert_eq!(
            take(&db, &[0], Role::Part, "second", LONG)
                .await
                .expect("a lease")
                .len(),
            1
        );
        db.close().await;
    }
}

#[tokio::test]
async fn the_stock_reader_loads_what_our_reader_loads() {
    for (_store, db) in ledgers(16).await {
        let stream = stream_in(0, db.parts(), 1);
        append(&db, 0, vec![item("k", events(&stream, 0, 7))], now())
            .await
            .expect("recorded");
        let ours = load_streams(&db, 0, &[("subscription", stream.as_str())])
            .await
            .expect("events");
        let stock = stock_events::<AccountState>(&db, 0, stream.as_str())
            .await
            .expect("events");
        assert_eq!(ours.len(), 7);
        let seen = |sequence: u64, kind: &str, payload: serde_json::Value| (sequence, kind.to_owned(), payload);
        let ours: Vec<_> = ours
            .iter()
            .map(|event| {
                let payload = serde_json::from_str(&event.payload).expect("JSON");
                seen(event.sequence, &event.event_type, payload)
            })
            .collect();
        let stock: Vec<_> = stock
            .into_iter()
            .map(|event| seen(event.sequence as u64, &event.event_type, event.payload))
            .collect();
        assert_eq!(ours, stock);
        db.close().await;
    }
}

//! Leases and the outbox: a worker that was asleep cannot settle what another one took over.

use std::time::Duration;

use subledger::lease::{self, Keeper, Role, TTL};
use subledger::ledger::{self, OutboxRow, Outcome};
use subledger::outbox::{self, Settlement, State};
use uuid::Uuid;

use super::*;
use crate::support;

async fn with_effect(db: &Db) -> (u32, Uuid) {
    let stream = fresh_stream();
    let mut sent = item(stream.as_str(), &stream, 0, 1);
    let outbox_id = Uuid::now_v7();
    sent.outbox.push(OutboxRow {
        outbox_id,
        kind: "fetch".to_owned(),
        body: "{}".to_owned(),
        cause_event_id: sent.appends[0].events[0].event_id,
        cause_position: 0,
        next_at: now(),
    });
    let part = part(db, &stream);
    let outcome = ledger::append(db, part, vec![sent], now()).await.unwrap().remove(0);
    assert!(matches!(outcome, Outcome::Appended { .. }));
    (part, outbox_id)
}

fn done(state: State) -> Settlement {
    Settlement {
        state,
        result: Some("{\"ok\":true}".to_owned()),
        next_at: now().plus_seconds(30),
    }
}

/// 1. A process claims an effect and ends; its next start holds the part under a higher fence.
/// 2. It takes over what was claimed before, which is due at once, and nothing of its own or of another kind.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_process_had_claimed_is_due_again_for_the_next_holder() {
    for store in support::stores().await {
        let db = open(&store).await;
        let (part, effect) = with_effect(&db).await;
        let long = now().plus_seconds(300);
        let claimed = outbox::claim(&db, part, 3, &["fetch"], now(), long, 10).await.unwrap();
        assert_eq!(claimed.len(), 1);
        let take = |fence, kind| outbox::take_over(&db, part, fence, kind, now());
        assert_eq!(
            (take(3, "fetch").await.unwrap(), take(4, "other").await.unwrap()),
            (0, 0)
        );
        let none = outbox::claim(&db, part, 4, &["fetch"], now(), long, 10).await.unwrap();
        assert!(none.is_empty(), "it is left to its process until then");
        assert_eq!(take(4, "fetch").await.unwrap(), 1);
        let again = outbox::claim(&db, part, 4, &["fetch"], now(), long, 10).await.unwrap();
        assert_eq!((again[0].outbox_id, again[0].attempts), (effect, 2));
        let late = outbox::settle(&db, part, effect, 3, done(State::Done), now())
            .await
            .unwrap();
        assert!(!late, "the process that ended settles no more");
        db.close().await;
    }
}

/// 1. Worker A takes the lease and claims the effect, then is stopped past the end of its lease.
/// 2. Worker B takes the lease over, with a higher fence, and claims the effect again when it is due.
/// 3. A wakes and settles: refused. B settles: done.
#[tokio::test(flavor = "multi_thread")]
async fn a_late_worker_is_refused_by_the_fence() {
    for store in support::stores().await {
        let db = open(&store).await;
        let (part, effect) = with_effect(&db).await;
        let short = Duration::from_millis(30);
        let a = lease::take(&db, &[part], Role::Part, "a", short).await.unwrap()[0];
        let retry_at = now().plus_seconds(60);
        let claimed = outbox::claim(&db, part, a.fence, &["fetch"], now(), retry_at, 10)
            .await
            .unwrap();
        assert_eq!(
            (claimed.len(), claimed[0].outbox_id, claimed[0].attempts),
            (1, effect, 1)
        );
        let mut b = Vec::new();
        for _ in 0..200 {
            b = lease::take(&db, &[part], Role::Part, "b", TTL).await.unwrap();
            if !b.is_empty() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let b = b[0];
        assert!(b.fence > a.fence);
        assert!(
            lease::renew(&db, &[a], Role::Part, "a", TTL).await.unwrap().is_empty(),
            "a has lost it"
        );
        assert!(
            outbox::claim(&db, part, b.fence, &["fetch"], now(), retry_at, 10)
                .await
                .unwrap()
                .is_empty()
        );
        // The same fence takes nothing from itself.
        assert_eq!(outbox::take_over(&db, part, a.fence, "fetch", now()).await.unwrap(), 0);
        let again = outbox::claim(&db, part, b.fence, &["fetch"], retry_at, retry_at.plus_seconds(60), 10)
            .await
            .unwrap();
        assert_eq!(again[0].attempts, 2);
        assert!(
            !outbox::settle(&db, part, effect, a.fence, done(State::Done), now())
                .await
                .unwrap(),
            "a is late"
        );
        assert!(
            outbox::settle(&db, part, effect, b.fence, done(State::Done), now())
                .await
                .unwrap()
        );
        assert!(outbox::list_open(&db, part, 10).await.unwrap().is_empty());
        db.close().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn only_wanted_kinds_are_claimed_and_unknown_ones_again_when_due() {
    for store in support::stores().await {
        let db = open(&store).await;
        let (part, effect) = with_effect(&db).await;
        let claim = |kind, at| outbox::claim(&db, part, 1, kind, at, now().plus_seconds(5), 10);
        assert!(claim(&["mail"], now()).await.unwrap().is_empty());
        assert!(
            claim(&["fetch"], now().plus_seconds(-1)).await.unwrap().is_empty(),
            "not yet"
        );
        assert_eq!(claim(&["mail", "fetch"], now()).await.unwrap().len(), 1);
        assert!(
            outbox::settle(&db, part, effect, 1, done(State::Unknown), now())
                .await
                .unwrap()
        );
        assert_eq!(claim(&["fetch"], now().plus_seconds(30)).await.unwrap()[0].attempts, 2);
        db.close().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_keeper_shares_parts_and_gives_them_back() {
    for store in support::stores().await {
        let db = open(&store).await;
        let all = usize::try_from(db.parts()).unwrap();
        let first = Keeper::start(db.clone(), Role::Part, "one".to_owned()).await;
        assert_eq!(first.watch().borrow().len(), all);
        let fence = first.fence(0).unwrap();
        let second = Keeper::start(db.clone(), Role::Part, "two".to_owned()).await;
        assert_eq!(second.fence(0), None, "it is taken");
        second.stop().await;
        first.stop().await;
        let after = lease::take(&db, &[0], Role::Part, "two", TTL).await.unwrap();
        assert_eq!(after[0].fence, fence + 1, "given back, so it need not expire");
        let again = lease::take(&db, &[0], Role::Part, "two", TTL).await.unwrap();
        assert_eq!(
            again[0].fence,
            fence + 2,
            "a restarted process takes its own back at once"
        );
        db.close().await;
    }
}

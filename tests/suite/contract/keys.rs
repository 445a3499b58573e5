//! One key, one effect: however many tasks, pools or repetitions, and whether or not there is anything to record.

use std::collections::BTreeSet;

use projections::db::Db;
use subledger::ledger::{Item, Mark, Outcome, append};

use super::{events, item, ledgers, log_of, mark, now, open, stream_in, url_of};

/// Sends the same item from eight tasks at once, spread over the given pools.
async fn from_eight_tasks(pools: &[Db], part: u32, one: &Item) -> Vec<Outcome> {
    let tasks: Vec<_> = (0..8)
        .map(|number| {
            let (db, one) = (pools[number % pools.len()].clone(), one.clone());
            tokio::spawn(async move { append(&db, part, vec![one], now()).await.expect("an outcome").remove(0) })
        })
        .collect();
    let mut outcomes = Vec::new();
    for task in tasks {
        outcomes.push(task.await.expect("a task"));
    }
    outcomes
}

/// The positions an outcome speaks of, said first or repeated.
fn positions(outcome: &Outcome) -> Option<(u64, u64)> {
    match outcome {
        Outcome::Appended {
            first_position,
            last_position,
            ..
        } => Some((*first_position, *last_position)),
        Outcome::Replayed(mark) => mark.positions,
        Outcome::NoChange => None,
        Outcome::KeyReused | Outcome::Undone => panic!("{outcome:?}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_same_key_from_eight_tasks_has_one_effect_and_eight_equal_receipts() {
    for (_store, db) in ledgers(16).await {
        for round in 0..10 {
            let stream = stream_in(0, db.parts(), round);
            let one = item(&format!("key-{round}"), events(&stream, 0, 3));
            let outcomes = from_eight_tasks(std::slice::from_ref(&db), 0, &one).await;
            let receipts: BTreeSet<_> = outcomes.iter().map(positions).collect();
            assert_eq!(receipts.len(), 1, "{outcomes:?}");
            let first = outcomes
                .iter()
                .filter(|outcome| matches!(outcome, Outcome::Appended { .. }))
                .count();
            assert_eq!(first, 1, "{outcomes:?}");
        }
        assert_eq!(log_of(&db, 0).await.len(), 30);
        db.close().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_same_key_through_two_pools_of_their_own_has_one_effect() {
    for (store, db) in ledgers(16).await {
        if store.url().is_none() {
            // SQLite: one process owns the file; a second is refused (see append.rs).
            continue;
        }
        let other = open(&url_of(&store), 16).await;
        for round in 0..10 {
            let stream = stream_in(0, db.parts(), round);
            let one = item(&format!("key-{round}"), events(&stream, 0, 2));
            let outcomes = from_eight_tasks(&[db.clone(), other.clone()], 0, &one).await;
            assert_eq!(
                outcomes.iter().map(positions).collect::<BTreeSet<_>>().len(),
                1,
                "{outcomes:?}"
            );
        }
        assert_eq!(log_of(&db, 0).await.len(), 20);
        other.close().await;
        db.close().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_key_with_nothing_to_record_is_remembered_too() {
    for (_store, db) in ledgers(16).await {
        let outcomes = from_eight_tasks(std::slice::from_ref(&db), 3 % db.parts(), &Item::new(mark("nothing"))).await;
        let first = outcomes.iter().filter(|outcome| **outcome == Outcome::NoChange).count();
        assert_eq!(first, 1, "{outcomes:?}");
        assert!(
            outcomes.iter().all(|outcome| positions(outcome).is_none()),
            "{outcomes:?}"
        );
        db.close().await;
    }
}

#[tokio::test]
async fn another_request_under_a_used_key_is_refused() {
    for (_store, db) in ledgers(16).await {
        let stream = stream_in(0, db.parts(), 1);
        let with_hash = |hash: u8, expected| Item {
            mark: Mark {
                request_hash: Some([hash; 32]),
                ..mark("once")
            },
            ..item("once", events(&stream, expected, 1))
        };
        append(&db, 0, vec![with_hash(1, 0)], now()).await.expect("recorded");
        let again = append(&db, 0, vec![with_hash(1, 1)], now()).await.expect("an outcome");
        assert!(matches!(again[0], Outcome::Replayed(_)), "{again:?}");
        let other = append(&db, 0, vec![with_hash(2, 1)], now()).await.expect("an outcome");
        assert_eq!(other, [Outcome::KeyReused]);
        assert_eq!(log_of(&db, 0).await.len(), 1);
        db.close().await;
    }
}

#[tokio::test]
async fn a_batch_with_a_key_done_before_records_nothing_and_says_which() {
    for (_store, db) in ledgers(16).await {
        let (one, two) = (stream_in(0, db.parts(), 1), stream_in(0, db.parts(), 2));
        append(&db, 0, vec![item("a", events(&one, 0, 1))], now())
            .await
            .expect("recorded");
        let batch = vec![item("b", events(&two, 0, 1)), item("a", events(&one, 1, 1))];
        let outcomes = append(&db, 0, batch, now()).await.expect("outcomes");
        assert!(
            matches!(outcomes[..], [Outcome::Undone, Outcome::Replayed(_)]),
            "{outcomes:?}"
        );
        assert_eq!(log_of(&db, 0).await.len(), 1, "nothing of the batch is recorded");
        let again = append(&db, 0, vec![item("b", events(&two, 0, 1))], now())
            .await
            .expect("outcomes");
        assert!(matches!(again[..], [Outcome::Appended { .. }]), "{again:?}");
        db.close().await;
    }
}

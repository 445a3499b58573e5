//! What an append promises: all or nothing, conflicts before anything is recorded, bytes kept, nothing changed later.

use std::time::{Duration, Instant};

use projections::db::DbConfig;
use sqlx::{Connection, Executor, PgConnection, SqliteConnection};
use subledger::ledger::content_hash::{Hashed, content_hash, of_stored};
use subledger::ledger::{Item, LedgerError, Outcome, append, find_mark};
use uuid::Uuid;

use super::{assert_dense, events, item, ledgers, log_of, mark, now, open, stream_in, url_of};
use crate::support::TestStore;
use crate::support::proxy::Proxy;

#[tokio::test]
async fn a_conflict_is_reported_and_nothing_of_the_loser_is_recorded() {
    for (_store, db) in ledgers(16).await {
        let stream = stream_in(0, db.parts(), 1);
        append(&db, 0, vec![item("first", events(&stream, 0, 2))], now())
            .await
            .expect("recorded");
        let late = append(&db, 0, vec![item("late", events(&stream, 0, 1))], now()).await;
        assert!(matches!(late, Err(LedgerError::Conflict)), "{late:?}");
        assert_eq!(
            find_mark(&db, 0, "test", "late").await.expect("a look"),
            None,
            "its key is free again"
        );
        let log = log_of(&db, 0).await;
        assert_eq!(log.len(), 2);
        // Loaded and decided again, the same key succeeds, on the next dense position.
        let again = append(&db, 0, vec![item("late", events(&stream, 2, 1))], now())
            .await
            .expect("recorded");
        assert!(
            matches!(again[0], Outcome::Appended { first_position: 3, .. }),
            "{again:?}"
        );
        assert_dense(&log_of(&db, 0).await);
        db.close().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_failing_append_harms_none_of_those_that_commit_with_it() {
    for (_store, db) in ledgers(16).await {
        let taken = stream_in(0, db.parts(), 99);
        append(&db, 0, vec![item("taken", events(&taken, 0, 1))], now())
            .await
            .expect("recorded");
        let tasks: Vec<_> = (0..60)
            .map(|number| {
                let db = db.clone();
                let stream = if number % 3 == 0 {
                    taken.clone()
                } else {
                    stream_in(0, db.parts(), number)
                };
                tokio::spawn(async move {
                    append(&db, 0, vec![item(&format!("k{number}"), events(&stream, 0, 2))], now()).await
                })
            })
            .collect();
        for (number, task) in tasks.into_iter().enumerate() {
            let outcome = task.await.expect("a task");
            let marked = find_mark(&db, 0, "test", &format!("k{number}"))
                .await
                .expect("a look")
                .is_some();
            assert_eq!(outcome.is_ok(), number % 3 != 0, "{number}: {outcome:?}");
            assert_eq!(
                marked,
                number % 3 != 0,
                "the mark of {number} and its events belong together"
            );
        }
        let log = log_of(&db, 0).await;
        assert_eq!(log.len(), 1 + 40 * 2);
        assert_dense(&log);
        db.close().await;
    }
}

#[tokio::test]
async fn stored_bytes_are_the_hashed_bytes_and_both_stores_agree() {
    let mut hashes = Vec::new();
    let mut one = events(&stream_in(0, 1, 1), 0, 1);
    one.events[0].event_id = Uuid::from_u128(7);
    one.events[0].payload = "{ \"b\": 1,\t\"a\": \"\\u0000 \u{fc}\" , \"b\": 2 }".to_owned();
    one.events[0].occurred_at = now();
    let at = now();
    for (_store, db) in ledgers(1).await {
        append(&db, 0, vec![item("k", one.clone())], at)
            .await
            .expect("recorded");
        let log = log_of(&db, 0).await;
        assert_eq!(log[0].payload, one.events[0].payload, "kept byte for byte");
        assert_eq!(of_stored(&log[0]), log[0].content_hash);
        hashes.push(log[0].content_hash);
        db.close().await;
    }
    assert!(
        hashes.windows(2).all(|pair| pair[0] == pair[1]),
        "the same event, the same hash"
    );
}

#[test]
fn moving_a_byte_over_a_border_of_fields_changes_the_hash() {
    let hash = |causation_id: &str, correlation_id: &str| {
        content_hash(&Hashed {
            aggregate_type: "a",
            stream: "s",
            sequence: 1,
            event_id: Uuid::from_u128(1),
            event_type: "Tested",
            event_version: 1,
            tenant: None,
            causation_id,
            correlation_id,
            occurred_at: aggregates::time::Timestamp::EPOCH,
            recorded_at: aggregates::time::Timestamp::EPOCH,
            payload: b"{}",
            metadata: b"{}",
        })
    };
    assert_ne!(hash("ab", "c"), hash("a", "bc"));
}

#[tokio::test]
async fn events_cannot_be_changed_or_deleted() {
    for (store, db) in ledgers(16).await {
        let stream = stream_in(0, db.parts(), 1);
        append(&db, 0, vec![item("k", events(&stream, 0, 1))], now())
            .await
            .expect("recorded");
        let statements = [
            "update events set payload = '{}' where part = 0",
            "delete from events where part = 0",
        ];
        if let Some(url) = store.url() {
            // The service's own role on Postgres: everything it needs, but no way to change an event.
            let role = format!("app_{}", Uuid::now_v7().simple());
            let mut connection = PgConnection::connect(url).await.expect("the ledger");
            connection
                .execute(format!("create role {role}").as_str())
                .await
                .expect("a role");
            db.grant_application(&role).await.expect("grants");
            connection
                .execute(format!("set role {role}").as_str())
                .await
                .expect("the role");
            for statement in statements {
                let refused = connection.execute(statement).await.expect_err(statement).to_string();
                assert!(refused.contains("permission denied"), "{refused}");
            }
            connection.execute("reset role").await.expect("the owner");
            connection
                .execute(format!("drop owned by {role}; drop role {role}").as_str())
                .await
                .expect("gone");
        } else {
            let mut connection = SqliteConnection::connect(&url_of(&store)).await.expect("the ledger");
            for statement in statements {
                let refused = connection.execute(statement).await.expect_err(statement).to_string();
                assert!(refused.contains("append-only"), "{refused}");
            }
        }
        assert_eq!(log_of(&db, 0).await.len(), 1);
        db.close().await;
    }
}

#[tokio::test]
async fn a_second_process_on_the_sqlite_file_is_refused_by_name() {
    let store = TestStore::sqlite();
    let url = url_of(&store);
    let db = open(&url, 1).await;
    let config = DbConfig::new(&url, now());
    let refused = projections::db::Db::open(&config)
        .await
        .err()
        .expect("refused")
        .to_string();
    assert!(
        refused.contains(&format!("process {}", std::process::id())),
        "it names the holder: {refused}"
    );
    db.close().await;
    drop(db);
    // The lock goes with the writer, which ends by itself.
    let begin = Instant::now();
    while let Err(error) = projections::db::Db::open(&config).await {
        assert!(begin.elapsed() < Duration::from_secs(10), "still locked: {error}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn another_partition_count_is_refused() {
    for (store, db) in ledgers(16).await {
        let has = db.parts();
        db.close().await;
        let config = DbConfig {
            partitions: Some(has + 1),
            accept_unsafe_server: true,
            ..DbConfig::new(&url_of(&store), now())
        };
        drop(db);
        let begin = Instant::now();
        let refused = loop {
            let refused = projections::db::Db::open(&config)
                .await
                .err()
                .expect("refused")
                .to_string();
            if !refused.contains("in use by") || begin.elapsed() > Duration::from_secs(10) {
                break refused;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        };
        assert!(refused.contains("partition"), "it says what the ledger has: {refused}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_lost_answer_to_commit_is_asked_again_under_its_key() {
    let Some(store) = TestStore::postgres().await else {
        return;
    };
    let url = store.url().expect("a URL").to_owned();
    let proxy = Proxy::before(&url).await;
    let db = open(&proxy.through(&url), 16).await;
    for round in 0..10 {
        let stream = stream_in(0, db.parts(), round);
        let lost = proxy.lost();
        proxy.lose_next_commit();
        let outcomes = append(&db, 0, vec![item(&format!("k{round}"), events(&stream, 0, 2))], now()).await;
        let outcomes = outcomes.expect("the outcome is found out, not guessed");
        assert_eq!(proxy.lost(), lost + 1, "the COMMIT was not lost");
        let Outcome::Replayed(mark) = &outcomes[0] else {
            panic!("{outcomes:?}")
        };
        let first = u64::try_from(round).expect("small") * 2 + 1;
        assert_eq!(mark.positions, Some((first, first + 1)));
    }
    let log = log_of(&db, 0).await;
    assert_eq!(log.len(), 20, "one effect each");
    assert_dense(&log);
    db.close().await;
}

#[tokio::test]
async fn an_append_refuses_what_it_could_not_do_whole() {
    for (_store, db) in ledgers(16).await {
        let stream = stream_in(0, db.parts(), 1);
        let many = item("many", events(&stream, 0, 1_001));
        let many = append(&db, 0, vec![many], now()).await;
        assert!(matches!(many, Err(LedgerError::Refused(_))), "{many:?}");
        let items: Vec<Item> = (0..257).map(|number| Item::new(mark(&number.to_string()))).collect();
        let items = append(&db, 0, items, now()).await;
        assert!(matches!(items, Err(LedgerError::Refused(_))), "{items:?}");
        let at_limit = append(&db, 0, vec![item("many", events(&stream, 0, 1_000))], now()).await;
        assert!(at_limit.is_ok(), "{at_limit:?}");
        if db.parts() > 1 {
            let elsewhere = stream_in(1, db.parts(), 1);
            let elsewhere = append(&db, 0, vec![item("part", events(&elsewhere, 0, 1))], now()).await;
            assert!(matches!(elsewhere, Err(LedgerError::Refused(_))), "{elsewhere:?}");
        }
        db.close().await;
    }
}

//! Writers and readers at once, told as numbered steps.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use projections::db::{Db, Pool};
use projections::log::{read_page, read_stream};
use subledger::ledger::{self, Item, LedgerError, Outcome};

use super::*;
use crate::support::{self, postgres};

const WRITERS: u64 = 16;
const APPENDS: u64 = 25;

/// 1. Sixteen writers append batches of one to six events to their own streams and to one they share, which makes
///    conflicts, and so rollbacks after positions were taken; on Postgres inserts sleep inside the transaction.
/// 2. A reader follows every part by position, from before the first append.
/// 3. It never meets a gap, so it never passes an event that is still to come; it sees every event once.
async fn race(db: &Db) {
    slow_down(db).await;
    let (done, total) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let reader = tokio::spawn(follow(db.clone(), Arc::clone(&done)));
    let shared = fresh_stream();
    let writers: Vec<_> = (0..WRITERS)
        .map(|n| tokio::spawn(write(db.clone(), n, shared.clone(), Arc::clone(&total))))
        .collect();
    for writer in writers {
        writer.await.unwrap();
    }
    done.store(true, Ordering::SeqCst);
    let seen = reader.await.unwrap();
    assert_eq!(seen, total.load(Ordering::SeqCst), "the reader saw every event once");
    whole(db).await;
}

async fn slow_down(db: &Db) {
    for pool in db.pools() {
        if let Pool::Postgres(pool) = pool {
            let slow = "create or replace function slow() returns trigger language plpgsql as \
                $$ begin perform pg_sleep(random() * 0.004); return null; end $$;
                create trigger slow after insert on inbox for each statement execute function slow();
                create trigger slow after insert on events for each statement execute function slow();";
            sqlx::raw_sql(slow).execute(pool).await.unwrap();
        }
    }
}

async fn write(db: Db, writer: u64, shared: StreamId, total: Arc<AtomicU64>) {
    let own = fresh_stream();
    let mut sequence = 0;
    for n in 0..APPENDS {
        let key = format!("{own}-{n}");
        if n % 5 == writer % 5 {
            crowd(&db, &key, &shared).await;
            total.fetch_add(1, Ordering::SeqCst);
            continue;
        }
        let size = usize::try_from(1 + (n + writer) % 3).unwrap();
        let batch: Vec<Item> = vec![
            item(&key, &own, sequence, size),
            item(&format!("{key}-b"), &beside(&own, &n.to_string()), 0, size),
        ];
        let outcomes = ledger::append(&db, part(&db, &own), batch, now()).await.unwrap();
        assert!(
            outcomes.iter().all(|o| matches!(o, Outcome::Appended { .. })),
            "{outcomes:?}"
        );
        sequence += size as u64;
        total.fetch_add(2 * size as u64, Ordering::SeqCst);
    }
}

/// One event on the stream everybody wants: load, append, again on conflict.
async fn crowd(db: &Db, key: &str, shared: &StreamId) {
    let part = part(db, shared);
    loop {
        let last = read_stream(db, part, TYPE, shared.as_str(), 0, 10_000)
            .await
            .unwrap()
            .len() as u64;
        match ledger::append(db, part, vec![item(key, shared, last, 1)], now()).await {
            Ok(outcomes) => {
                assert!(matches!(outcomes[0], Outcome::Appended { .. }), "{outcomes:?}");
                return;
            }
            Err(LedgerError::Conflict) => {}
            Err(other) => panic!("{other}"),
        }
    }
}

async fn follow(db: Db, done: Arc<AtomicBool>) -> u64 {
    let mut cursors = vec![0; usize::try_from(db.parts()).unwrap()];
    loop {
        let last_round = done.load(Ordering::SeqCst);
        let mut moved = false;
        for (part, head) in (0..).zip(db.refresh_heads().await.unwrap()) {
            let cursor = &mut cursors[usize::try_from(part).unwrap()];
            if head == *cursor {
                continue;
            }
            for event in read_page(&db, part, *cursor, 1_000).await.unwrap() {
                assert_eq!(event.position, *cursor + 1, "part {part}: an event was passed");
                *cursor = event.position;
                moved = true;
            }
        }
        if last_round && !moved {
            return cursors.iter().sum();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_never_passes_an_event_that_is_still_to_come() {
    for parts in [1, 16, 64] {
        let Some(store) = TestStore::postgres().await else {
            break;
        };
        let mut config = config(&store);
        config.partitions = Some(parts);
        let db = Db::open(&config).await.unwrap();
        race(&db).await;
        db.close().await;
    }
    let store = TestStore::sqlite();
    race(&open(&store).await).await;
}

/// The same key at once: one effect, eight equal receipts, with events and without.
async fn one_key(db: &Db, events: usize) {
    let stream = fresh_stream();
    let part = part(db, &stream);
    let sent = item(stream.as_str(), &stream, 0, events);
    let tasks: Vec<_> = (0..8)
        .map(|_| {
            let (db, sent) = (db.clone(), sent.clone());
            tokio::spawn(async move { ledger::append(&db, part, vec![sent], now()).await.unwrap().remove(0) })
        })
        .collect();
    let (mut first, mut positions) = (0, Vec::new());
    for task in tasks {
        positions.push(match task.await.unwrap() {
            Outcome::Appended {
                first_position,
                last_position,
                ..
            } => {
                first += 1;
                Some((first_position, last_position))
            }
            Outcome::NoChange => {
                first += 1;
                None
            }
            Outcome::Replayed(stored) => stored.positions,
            other => panic!("{other:?}"),
        });
    }
    assert_eq!(first, 1, "exactly one did it");
    assert!(positions.iter().all(|at| *at == positions[0]), "{positions:?}");
    assert_eq!(
        read_stream(db, part, TYPE, stream.as_str(), 0, 9).await.unwrap().len(),
        events
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn one_key_has_one_effect_from_eight_tasks() {
    for store in support::stores().await {
        let db = open(&store).await;
        for _ in 0..5 {
            one_key(&db, 2).await;
            one_key(&db, 0).await;
        }
        whole(&db).await;
        db.close().await;
    }
}

const CHILD: &str = "contract::laws::races::child_of_two_processes";
const CHILD_KEYS: u64 = 40;

/// Not a test of its own: what each of the two processes below does.
#[tokio::test(flavor = "multi_thread")]
async fn child_of_two_processes() {
    let Ok(url) = std::env::var("SUBLEDGER_CHILD_URL") else {
        return;
    };
    let mut config = DbConfig::new(&url, now());
    config.accept_unsafe_server = true;
    let db = Db::open(&config).await.unwrap();
    for n in 0..CHILD_KEYS {
        let stream = StreamId::parse(&format!("tenant:two-{n}")).unwrap();
        let sent = vec![item(&format!("two-{n}"), &stream, 0, 2)];
        let outcomes = ledger::append(&db, part(&db, &stream), sent, now()).await.unwrap();
        assert!(
            matches!(outcomes[0], Outcome::Appended { .. } | Outcome::Replayed(_)),
            "{outcomes:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_key_has_one_effect_from_two_processes() {
    let Some(store) = TestStore::postgres().await else {
        return;
    };
    let db = open(&store).await;
    let spawn = || {
        std::process::Command::new(std::env::current_exe().unwrap())
            .args([CHILD, "--exact", "--nocapture"])
            .env("SUBLEDGER_CHILD_URL", store.url().unwrap())
            .env("TEST_DATABASE_URL", postgres::shared_server().unwrap())
            .spawn()
            .unwrap()
    };
    let mut children = [spawn(), spawn()];
    for child in &mut children {
        assert!(child.wait().unwrap().success());
    }
    let heads: u64 = db.refresh_heads().await.unwrap().iter().sum();
    assert_eq!(heads, CHILD_KEYS * 2);
    whole(&db).await;
}

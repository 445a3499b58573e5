//! The stock cqrs-es stores: what we use of them agrees with us, and the faults for which we do not use the rest.
//!
//! The regression tests of faults pass as long as a fault is there. When one fails after an upgrade, the rule that
//! avoids it may be dropped (docs/decisions).

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use cqrs_es::event_sink::EventSink;
use cqrs_es::persist::{PersistedEventStore, QueryReplay};
use cqrs_es::{Aggregate, CqrsFramework, DomainEvent, EventEnvelope, EventStore, Query};
use projections::db::{Conn, DbError};
use projections::log::read_stream;
use serde::{Deserialize, Serialize};
use sqlite_es::SqliteEventRepository;
use sqlx::sqlite::{SqliteConnectOptions, SqlitePoolOptions};
use sqlx::{Executor, SqlitePool};
use subledger::ledger::{self, content_hash, stock_events};
use tempfile::TempDir;

use super::*;
use crate::support;

/// Counts what was added.
#[derive(Default, Serialize, Deserialize)]
struct Sum {
    total: u64,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Added(u64);

impl DomainEvent for Added {
    fn event_type(&self) -> String {
        "Added".to_owned()
    }
    fn event_version(&self) -> String {
        "1".to_owned()
    }
}

impl Aggregate for Sum {
    const TYPE: &'static str = TYPE;
    type Command = u64;
    type Event = Added;
    type Error = std::fmt::Error;
    type Services = ();

    async fn handle(&mut self, command: u64, _: &(), sink: &EventSink<Self>) -> Result<(), std::fmt::Error> {
        sink.write(Added(command), self).await;
        Ok(())
    }

    fn apply(&mut self, event: Added) {
        self.total += event.0;
    }
}

/// A file with the tables of the stock crate's own migration.
async fn stock_pool(folder: &TempDir) -> SqlitePool {
    let options = SqliteConnectOptions::new()
        .filename(folder.path().join("stock.db"))
        .create_if_missing(true);
    let pool = SqlitePoolOptions::new()
        .max_connections(1)
        .connect_with(options)
        .await
        .unwrap();
    let tables = "create table events (aggregate_type text not null, aggregate_id text not null, \
        sequence integer not null, event_type text not null, event_version text not null, payload text not null, \
        metadata text not null, primary key (aggregate_type, aggregate_id, sequence)) strict;
        create table snapshots (aggregate_type text not null, aggregate_id text not null, \
        last_sequence integer not null, current_snapshot integer not null, payload text not null, \
        primary key (aggregate_type, aggregate_id, last_sequence)) strict;";
    sqlx::raw_sql(tables).execute(&pool).await.unwrap();
    pool
}

/// F1: the stock snapshot store applies new events twice, so four times ten is not forty.
#[tokio::test]
async fn stock_snapshots_count_events_twice() {
    let folder = TempDir::new().unwrap();
    let pool = stock_pool(&folder).await;
    let store = || PersistedEventStore::<_, Sum>::new_snapshot_store(SqliteEventRepository::new(pool.clone()), 2);
    let framework = CqrsFramework::new(store(), Vec::new(), ());
    for _ in 0..4 {
        framework.execute("s", 10).await.unwrap();
    }
    let loaded = store().load_aggregate("s").await.unwrap().aggregate.total;
    assert_ne!(loaded, 40, "the fault is gone");
    let events = PersistedEventStore::<_, Sum>::new_event_store(SqliteEventRepository::new(pool.clone()));
    assert_eq!(
        events.load_aggregate("s").await.unwrap().aggregate.total,
        40,
        "the event store is right"
    );
}

/// F2: the stock aggregate store reports a conflict after it has committed the events.
#[tokio::test]
async fn a_stock_conflict_may_have_recorded_its_events() {
    let folder = TempDir::new().unwrap();
    let pool = stock_pool(&folder).await;
    let repository = SqliteEventRepository::new(pool.clone());
    let store = PersistedEventStore::<_, Sum>::new_aggregate_store(repository);
    let framework = CqrsFramework::new(store, Vec::new(), ());
    framework.execute("s", 10).await.unwrap();
    // Another writer's snapshot lands between load and commit; the trigger stands for it.
    sqlx::raw_sql(
        "create trigger other after insert on events begin \
           update snapshots set current_snapshot = current_snapshot + 1; end;",
    )
    .execute(&pool)
    .await
    .unwrap();
    let refused = framework.execute("s", 10).await;
    assert!(refused.is_err(), "a conflict is reported");
    let recorded: i64 = sqlx::query_scalar("select count(*) from events")
        .fetch_one(&pool)
        .await
        .unwrap();
    assert_eq!(
        recorded, 2,
        "and the event is there all the same: a retry would double it"
    );
}

/// The pool of the stock crate syncs no commit, and has ten connections that all write; ours syncs every commit, and
/// has one. What that loses at a power cut is shown in `flows::powercut`.
#[tokio::test]
async fn the_stock_pool_does_not_sync_a_commit_and_ours_does() {
    const FULL: i64 = 2;
    let folder = TempDir::new().unwrap();
    let url = format!("sqlite://{}?mode=rwc", folder.path().join("stock.db").display());
    let stock = sqlite_es::default_sqlite_pool(&url).await;
    let of_stock: i64 = sqlx::query_scalar("pragma synchronous")
        .fetch_one(&stock)
        .await
        .unwrap();
    assert_ne!(of_stock, FULL, "the fault is gone");
    let store = TestStore::sqlite();
    let db = open(&store).await;
    let of_ours = db.write(0, |conn| {
        Box::pin(async move {
            let Conn::Sqlite(conn) = conn else { panic!("SQLite") };
            Ok::<i64, DbError>(sqlx::query_scalar("pragma synchronous").fetch_one(conn).await?)
        })
    });
    assert_eq!(of_ours.await.unwrap(), FULL);
}

struct Counted(Arc<AtomicUsize>);

impl Query<Sum> for Counted {
    fn dispatch<'a, 'b, 'c, 'd>(
        &'a self,
        _: &'b str,
        events: &'c [EventEnvelope<Sum>],
    ) -> Pin<Box<dyn Future<Output = ()> + Send + 'd>>
    where
        'a: 'd,
        'b: 'd,
        'c: 'd,
        Self: 'd,
    {
        self.0.fetch_add(events.len(), Ordering::SeqCst);
        Box::pin(std::future::ready(()))
    }
}

/// F3: the stock replay says Ok although it could not read. Our reader says what is wrong.
#[tokio::test]
async fn a_stock_replay_that_cannot_read_says_it_went_well() {
    let folder = TempDir::new().unwrap();
    let pool = stock_pool(&folder).await;
    let store = PersistedEventStore::<_, Sum>::new_event_store(SqliteEventRepository::new(pool.clone()));
    CqrsFramework::new(store, Vec::new(), ())
        .execute("s", 10)
        .await
        .unwrap();
    sqlx::raw_sql("alter table events rename to lost")
        .execute(&pool)
        .await
        .unwrap();
    let seen = Arc::new(AtomicUsize::new(0));
    let repository = SqliteEventRepository::new(pool.clone());
    let replay = QueryReplay::<_, _, Sum>::new(repository, Counted(Arc::clone(&seen)));
    assert!(replay.replay_all().await.is_ok(), "the fault is gone");
    assert_eq!(seen.load(Ordering::SeqCst), 0);

    let store = TestStore::sqlite();
    let db = open(&store).await;
    let sql = "alter table events rename to lost";
    db.write(0, move |conn| {
        Box::pin(async move {
            if let projections::db::Conn::Sqlite(conn) = conn {
                conn.execute(sql).await?;
            }
            Ok::<(), projections::db::DbError>(())
        })
    })
    .await
    .unwrap();
    assert!(projections::log::read_page(&db, 0, 0, 10).await.is_err());
}

/// F6: stock `handle` may change state without an event, which is lost at the next load. Ours is held to
/// `state after handle == fold(events)` for every command by the laws in `aggregates`.
#[derive(Default, Serialize, Deserialize)]
struct Forgetful {
    total: u64,
}

impl Aggregate for Forgetful {
    const TYPE: &'static str = TYPE;
    type Command = u64;
    type Event = Added;
    type Error = std::fmt::Error;
    type Services = ();

    async fn handle(&mut self, command: u64, _: &(), _: &EventSink<Self>) -> Result<(), std::fmt::Error> {
        self.total += command;
        Ok(())
    }

    fn apply(&mut self, event: Added) {
        self.total += event.0;
    }
}

#[tokio::test]
async fn a_stock_command_may_change_state_without_an_event() {
    let folder = TempDir::new().unwrap();
    let pool = stock_pool(&folder).await;
    let store = || PersistedEventStore::<_, Forgetful>::new_event_store(SqliteEventRepository::new(pool.clone()));
    CqrsFramework::new(store(), Vec::new(), ())
        .execute("s", 10)
        .await
        .expect("no complaint");
    assert_eq!(store().load_aggregate("s").await.unwrap().aggregate.total, 0);
}

/// The stock repositories load any stream of ours, event for event as our own reader does.
#[tokio::test]
async fn both_readers_agree() {
    for store in support::stores().await {
        let db = open(&store).await;
        let stream = fresh_stream();
        let at = part(&db, &stream);
        ledger::append(&db, at, vec![item("k", &stream, 0, 12)], now())
            .await
            .unwrap();
        let ours = read_stream(&db, at, TYPE, stream.as_str(), 0, 100).await.unwrap();
        let stock = stock_events::<Sum>(&db, at, stream.as_str()).await.unwrap();
        assert_eq!(stock.len(), 12);
        for (ours, stock) in ours.iter().zip(&stock) {
            assert_eq!(ours.sequence, stock.sequence as u64);
            assert_eq!(
                (&ours.stream, &ours.aggregate_type),
                (&stock.aggregate_id, &stock.aggregate_type)
            );
            assert_eq!(
                (&ours.event_type, ours.event_version.to_string()),
                (&stock.event_type, stock.event_version.clone())
            );
            let value = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();
            assert_eq!(
                (value(&ours.payload), value(&ours.metadata)),
                (stock.payload.clone(), stock.metadata.clone())
            );
        }
        db.close().await;
    }
}

/// The same event has the same hash on both stores, and that hash is the golden one.
#[tokio::test]
async fn one_event_has_one_hash_on_both_stores() {
    let mut sent = item("golden", &StreamId::parse("tenant:acme").unwrap(), 0, 1);
    sent.appends[0].events[0].event_id = uuid::Uuid::from_u128(7);
    let mut hashes = Vec::new();
    for store in support::stores().await {
        let db = open(&store).await;
        let at = part(&db, &sent.appends[0].stream);
        ledger::append(&db, at, vec![sent.clone()], now()).await.unwrap();
        let read = read_stream(&db, at, TYPE, "tenant:acme", 0, 1).await.unwrap();
        assert_eq!(read[0].content_hash, content_hash::of_stored(&read[0]));
        hashes.push(hex::encode(read[0].content_hash));
        db.close().await;
    }
    assert!(hashes.iter().all(|hash| hash == GOLDEN), "{hashes:?}");
}

/// Put together from the rule with another program.
const GOLDEN: &str = "121645ef9f1b545b11594887c8fca675e2b3731a6273bb1a45f9a9de1f523b4f";

//! What every store must keep, whichever it is: the contract of the log, run on SQLite and on Postgres.

mod append;
pub(crate) mod gateway;
mod keys;
mod laws;
#[cfg(feature = "mutants")]
mod mutants;
mod racing;
mod work;

use aggregates::ids::StreamId;
use aggregates::partition::part_of;
use aggregates::time::Timestamp;
use projections::db::{Db, DbConfig};
use projections::log::{StoredEvent, read_page};
use subledger::clock::Clock;
use subledger::ledger::{Item, Mark, NewEvent, StreamAppend};
use uuid::Uuid;

use crate::support::{TestStore, stores};

/// Now, as the service would stamp it.
fn now() -> Timestamp {
    Clock::system().now()
}

/// The URL of a test's store as the service writes it.
fn url_of(store: &TestStore) -> String {
    let file = || format!("sqlite:{}", store.data_dir().join("ledger.sqlite").display());
    store.url().map_or_else(file, str::to_owned)
}

/// Opens a ledger of so many partitions (SQLite always has one).
async fn open(url: &str, parts: u32) -> Db {
    let config = DbConfig {
        partitions: Some(if url.starts_with("sqlite") { 1 } else { parts }),
        accept_unsafe_server: true,
        ..DbConfig::new(url, now())
    };
    Db::open(&config).await.expect("a ledger")
}

/// A fresh ledger on every store.
async fn ledgers(parts: u32) -> Vec<(TestStore, Db)> {
    let mut all = Vec::new();
    for store in stores().await {
        let db = open(&url_of(&store), parts).await;
        all.push((store, db));
    }
    all
}

/// A stream that lives in the part: the n-th of its kind.
fn stream_in(part: u32, parts: u32, number: usize) -> StreamId {
    (0_u32..)
        .map(|guess| StreamId::parse(&format!("tenant:t{number}-{guess}")).expect("a stream"))
        .find(|stream| part_of(stream, parts) == part)
        .expect("some name lies in every part")
}

/// A key of the tests.
fn mark(key: &str) -> Mark {
    Mark {
        source: "test".to_owned(),
        key: key.to_owned(),
        request_hash: None,
    }
}

/// So many events for one stream.
fn events(stream: &StreamId, expected_sequence: u64, count: usize) -> StreamAppend {
    let event = |number: usize| NewEvent {
        event_id: Uuid::now_v7(),
        event_type: "Tested".to_owned(),
        event_version: 1,
        payload: format!("{{\"number\": {number},  \"spaced\": true}}"),
        metadata: "{}".to_owned(),
        causation_id: "test".to_owned(),
        correlation_id: "test".to_owned(),
        occurred_at: now(),
    };
    StreamAppend {
        aggregate_type: "subscription",
        stream: stream.clone(),
        tenant: None,
        expected_sequence,
        events: (0..count).map(event).collect(),
    }
}

/// An item that appends to one stream.
fn item(key: &str, append: StreamAppend) -> Item {
    Item {
        appends: vec![append],
        ..Item::new(mark(key))
    }
}

/// The whole log of a part.
async fn log_of(db: &Db, part: u32) -> Vec<StoredEvent> {
    let mut all = Vec::new();
    loop {
        let after = u64::try_from(all.len()).expect("a position");
        let page = read_page(db, part, after, 1_000).await.expect("a page");
        if page.is_empty() {
            return all;
        }
        all.extend(page);
    }
}

/// Positions 1, 2, 3... in a part, sequences 1, 2, 3... in every stream.
fn assert_dense(log: &[StoredEvent]) {
    let mut sequences = std::collections::BTreeMap::new();
    for (index, event) in log.iter().enumerate() {
        assert_eq!(event.position, index as u64 + 1, "positions are not dense");
        let sequence = sequences.entry(&event.stream).or_insert(0);
        *sequence += 1;
        assert_eq!(event.sequence, *sequence, "{} is out of order", event.stream);
    }
}

//! The laws of the log, run on SQLite, Postgres, Postgres with hash partitions and two databases; and the rules for its
//! tables and statements.

mod append;
mod isolation;
mod lints;
mod lost_answer;
mod opening;
mod places;
mod races;
mod stock;
mod twin;
mod work;

use aggregates::ids::{StreamId, TenantId};
use aggregates::partition::part_of;
use aggregates::time::Timestamp;
use projections::db::{Db, DbConfig, Pool};
use subledger::ledger::{Item, Mark, NewEvent, StreamAppend};
use uuid::Uuid;

use crate::support::{Kind, TestStore};

pub(super) const TYPE: &str = "subscription";

/// A fixed clock: 2026-01-31T09:00:00.000123Z.
pub(super) fn now() -> Timestamp {
    Timestamp::parse("2026-01-31T09:00:00.000123Z").unwrap()
}

pub(super) fn config(store: &TestStore) -> DbConfig {
    let url = match store.kind {
        Kind::Sqlite => format!("sqlite:{}", store.data_dir().join("ledger.db").display()),
        Kind::Postgres => store.url().expect("a URL").to_owned(),
    };
    let mut config = DbConfig::new(&url, now());
    config.accept_unsafe_server = true;
    config.connections = 20;
    config
}

pub(super) async fn open(store: &TestStore) -> Db {
    Db::open(&config(store)).await.expect("a ledger")
}

/// A stream nobody has used.
pub(super) fn fresh_stream() -> StreamId {
    StreamId::parse(&format!("tenant:{}", Uuid::now_v7())).unwrap()
}

/// A stream beside `of`, in the same part.
pub(super) fn beside(of: &StreamId, name: &str) -> StreamId {
    StreamId::parse(&format!("{of}#{name}")).unwrap()
}

pub(super) fn mark(key: &str) -> Mark {
    Mark {
        source: "acct_1".to_owned(),
        key: key.to_owned(),
        request_hash: None,
    }
}

pub(super) fn event(text: &str) -> NewEvent {
    NewEvent {
        event_id: Uuid::now_v7(),
        event_type: "SeatsChanged".to_owned(),
        event_version: 1,
        // Spaces, order and an escaped zero must come back byte for byte.
        payload: format!("{{ \"z\": \"{text}\",  \"a\" : \"\\u0000\" }}"),
        metadata: "{\"actor\":{\"kind\":\"operator\"}}".to_owned(),
        causation_id: "evt_1".to_owned(),
        correlation_id: "evt_1".to_owned(),
        occurred_at: now().plus_seconds(-60),
    }
}

pub(super) fn append_to(stream: &StreamId, expected: u64, count: usize) -> StreamAppend {
    StreamAppend {
        aggregate_type: TYPE,
        stream: stream.clone(),
        tenant: TenantId::parse("acme").ok(),
        expected_sequence: expected,
        events: (0..count).map(|n| event(&n.to_string())).collect(),
    }
}

pub(super) fn item(key: &str, stream: &StreamId, expected: u64, count: usize) -> Item {
    let mut item = Item::new(mark(key));
    item.appends.push(append_to(stream, expected, count));
    item
}

pub(super) fn part(db: &Db, stream: &StreamId) -> u32 {
    part_of(stream, db.parts())
}

pub(super) async fn count(db: &Db, part: u32, sql: &'static str) -> i64 {
    match db.pool_for(part) {
        Pool::Sqlite(pool) => sqlx::query_scalar(sql).fetch_one(pool).await.unwrap(),
        Pool::Postgres(pool) => sqlx::query_scalar(sql).fetch_one(pool).await.unwrap(),
    }
}

/// Every part dense from 1 to its head, and what a reopened ledger would refuse.
pub(super) async fn whole(db: &Db) {
    for (part, head) in (0..).zip(db.refresh_heads().await.unwrap()) {
        let mut after = 0;
        loop {
            let page = projections::log::read_page(db, part, after, 500).await.unwrap();
            if page.is_empty() {
                break;
            }
            for event in page {
                assert_eq!(event.position, after + 1, "a gap in part {part}");
                after = event.position;
            }
        }
        assert_eq!(after, head, "head of part {part}");
    }
}

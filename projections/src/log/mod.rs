//! Reads the log: pages by position for whoever follows it, streams for whoever decides.
//!
//! A page is a query on the unique key (part, position). Positions are dense and commit-ordered inside a part, so
//! `position > after` never passes an event that is still to come.

mod postgres;
pub mod span;
mod sqlite;

use std::collections::BTreeSet;

use aggregates::time::Timestamp;
use uuid::Uuid;

use crate::db::{Db, DbError, Pool, position_to_sql};

/// Events in one page of a rebuild: large enough that the round trip does not count, small enough for memory.
pub const PAGE_EVENTS: u32 = 10_000;
/// Streams loaded by one statement.
pub const LOAD_STREAMS: usize = 1_000;

/// Statements of the hot ways, by name: on a store spread by part each must touch one leaf.
pub const HOT_STATEMENTS: &[(&str, &str)] = &[
    ("page", postgres::PAGE),
    ("stream", postgres::STREAM),
    ("streams", postgres::STREAMS),
    ("sequence", postgres::SEQUENCE),
];

/// An event as stored. `payload` and `metadata` are the very bytes that were hashed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredEvent {
    /// `subscription`, `stripe_object`, ...
    pub aggregate_type: String,
    /// The stream (`aggregate_id`).
    pub stream: String,
    /// 1, 2, ... inside the stream.
    pub sequence: u64,
    /// The partition.
    pub part: u32,
    /// 1, 2, ... inside the partition.
    pub position: u64,
    /// Whose account it was when it was recorded.
    pub tenant: Option<String>,
    /// UUIDv7.
    pub event_id: Uuid,
    /// Name of the event.
    pub event_type: String,
    /// Version of its payload.
    pub event_version: u32,
    /// JSON text.
    pub payload: String,
    /// JSON text.
    pub metadata: String,
    /// What made it happen.
    pub causation_id: String,
    /// What it belongs to.
    pub correlation_id: String,
    /// When it happened.
    pub occurred_at: Timestamp,
    /// When we learned it.
    pub recorded_at: Timestamp,
    /// SHA-256 over all of the above but part and position.
    pub content_hash: [u8; 32],
}

/// Events of `part` after a position, in order, at most `limit`.
pub async fn read_page(db: &Db, part: u32, after: u64, limit: u32) -> Result<Vec<StoredEvent>, DbError> {
    let after = position_to_sql(after)?;
    match db.bulk_pool_for(part) {
        Pool::Sqlite(pool) => sqlite::page(pool, part, after, limit).await,
        Pool::Postgres(pool) => postgres::page(pool, part, after, limit).await,
    }
}

/// Events of one stream after a sequence number, in order, at most `limit`.
pub async fn read_stream(
    db: &Db,
    part: u32,
    aggregate_type: &str,
    stream: &str,
    after: u64,
    limit: u32,
) -> Result<Vec<StoredEvent>, DbError> {
    let after = position_to_sql(after)?;
    match db.pool_for(part) {
        Pool::Sqlite(pool) => sqlite::stream(pool, part, aggregate_type, stream, after, limit).await,
        Pool::Postgres(pool) => postgres::stream(pool, part, aggregate_type, stream, after, limit).await,
    }
}

/// Events of one stream up to a sequence number that bear one of these names, counted no further than `most`.
pub async fn count_stream(
    db: &Db,
    part: u32,
    aggregate_type: &str,
    stream: &str,
    (last, types): (u64, &[String]),
    most: u32,
) -> Result<u64, DbError> {
    let last = position_to_sql(last)?;
    let count = match db.pool_for(part) {
        Pool::Sqlite(pool) => sqlite::count(pool, part, (aggregate_type, stream), last, types, most).await?,
        Pool::Postgres(pool) => postgres::count(pool, part, (aggregate_type, stream), last, types, most).await?,
    };
    Ok(count.unsigned_abs())
}

/// All events of several streams of one part, ordered by type, stream and sequence. Names given twice count once.
pub async fn load_streams(db: &Db, part: u32, streams: &[(&str, &str)]) -> Result<Vec<StoredEvent>, DbError> {
    let wanted: Vec<_> = streams.iter().copied().collect::<BTreeSet<_>>().into_iter().collect();
    let mut found = Vec::new();
    for some in wanted.chunks(LOAD_STREAMS) {
        found.extend(match db.pool_for(part) {
            Pool::Sqlite(pool) => sqlite::streams(pool, part, some).await?,
            Pool::Postgres(pool) => postgres::streams(pool, part, some).await?,
        });
    }
    Ok(found)
}

/// One event by its public address.
pub async fn read_event(db: &Db, part: u32, position: u64) -> Result<Option<StoredEvent>, DbError> {
    let Some(before) = position.checked_sub(1) else {
        return Ok(None);
    };
    let page = read_page(db, part, before, 1).await?;
    Ok(page.into_iter().find(|event| event.position == position))
}

fn version(text: &str) -> Result<u32, DbError> {
    text.parse()
        .map_err(|_| DbError::bug(format!("event_version {text:?} is not a number")))
}

fn hash(bytes: &[u8]) -> Result<[u8; 32], DbError> {
    bytes
        .try_into()
        .map_err(|_| DbError::bug("a content hash is not 32 bytes"))
}

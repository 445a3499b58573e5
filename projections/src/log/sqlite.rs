//! The log's SQL on SQLite.

use sqlx::Row;
use sqlx::sqlite::{SqlitePool, SqliteRow};

use super::{StoredEvent, hash, version};
use crate::db::{DbError, at_from_micros, position_from_sql};

macro_rules! columns {
    () => {
        columns!("e.payload")
    };
    ($payload:literal) => {
        concat!(
            "e.aggregate_type, e.aggregate_id, e.sequence, e.part, e.position, e.tenant, e.event_id, e.event_type, \
             e.event_version, ",
            $payload,
            ", e.metadata, e.causation_id, e.correlation_id, e.occurred_at, e.recorded_at, \
             e.content_hash"
        )
    };
}

const PAGE: &str = concat!(
    "select ",
    columns!(),
    " from events e where e.part = ?1 and e.position > ?2 order by e.position limit ?3"
);
const STREAM: &str = concat!(
    "select ",
    columns!(),
    " from events e where e.part = ?1 and e.aggregate_type = ?2 and e.aggregate_id = ?3 and e.sequence > ?4 \
      order by e.sequence limit ?5"
);
// `cross join` keeps the order of the join: each name is looked up in the primary key.
const STREAMS: &str = concat!(
    "select ",
    columns!(),
    " from json_each(?2) k cross join events e on e.part = ?1 and e.aggregate_type = k.value ->> 0 \
      and e.aggregate_id = k.value ->> 1 order by e.aggregate_type, e.aggregate_id, e.sequence"
);

const SLIM_SPAN: &str = concat!(
    "select ",
    columns!("''"),
    " from events e where e.part = ?1 and e.position > ?2 and e.position <= ?3 order by e.position"
);
// `+` keeps SQLite off the index by stream: a run is short, and a stream may be long.
const SPAN_OF_STREAMS: &str = concat!(
    "select ",
    columns!(),
    " from events e where e.part = ?1 and e.position > ?2 and e.position <= ?3 \
      and +e.aggregate_type = 'subscription' and +e.aggregate_id in (select value from json_each(?4)) \
      order by e.position"
);
const SEQUENCE: &str = "select coalesce(max(e.sequence), 0) from events e where e.part = ?1 and e.aggregate_type = ?2 \
     and e.aggregate_id = ?3 and e.position <= ?4";

const COUNT: &str = "select count(*) from (select 1 from events e where e.part = ?1 and e.aggregate_type = ?2 \
     and e.aggregate_id = ?3 and e.sequence <= ?4 and e.event_type in (select value from json_each(?5)) limit ?6)";

fn event(row: &SqliteRow) -> Result<StoredEvent, DbError> {
    Ok(StoredEvent {
        aggregate_type: row.try_get(0)?,
        stream: row.try_get(1)?,
        sequence: position_from_sql(row.try_get(2)?)?,
        part: row.try_get(3)?,
        position: position_from_sql(row.try_get(4)?)?,
        tenant: row.try_get(5)?,
        event_id: row.try_get::<uuid::fmt::Hyphenated, _>(6)?.into_uuid(),
        event_type: row.try_get(7)?,
        event_version: version(row.try_get(8)?)?,
        payload: row.try_get(9)?,
        metadata: row.try_get(10)?,
        causation_id: row.try_get(11)?,
        correlation_id: row.try_get(12)?,
        occurred_at: at_from_micros(row.try_get(13)?)?,
        recorded_at: at_from_micros(row.try_get(14)?)?,
        content_hash: hash(row.try_get(15)?)?,
    })
}

pub(super) async fn page(pool: &SqlitePool, part: u32, after: i64, limit: u32) -> Result<Vec<StoredEvent>, DbError> {
    let query = sqlx::query(PAGE).bind(part).bind(after).bind(limit);
    query.fetch_all(pool).await?.iter().map(event).collect()
}

pub(super) async fn stream(
    pool: &SqlitePool,
    part: u32,
    aggregate_type: &str,
    stream: &str,
    after: i64,
    limit: u32,
) -> Result<Vec<StoredEvent>, DbError> {
    let query = sqlx::query(STREAM)
        .bind(part)
        .bind(aggregate_type)
        .bind(stream)
        .bind(after)
        .bind(limit);
    query.fetch_all(pool).await?.iter().map(event).collect()
}

pub(super) async fn count(
    pool: &SqlitePool,
    part: u32,
    (aggregate_type, stream): (&str, &str),
    last: i64,
    types: &[String],
    most: u32,
) -> Result<i64, DbError> {
    let types = serde_json::to_string(types).map_err(|error| DbError::bug(error.to_string()))?;
    let query = sqlx::query_scalar(COUNT)
        .bind(part)
        .bind(aggregate_type)
        .bind(stream)
        .bind(last)
        .bind(types)
        .bind(most);
    Ok(query.fetch_one(pool).await?)
}

pub(super) async fn streams(
    pool: &SqlitePool,
    part: u32,
    wanted: &[(&str, &str)],
) -> Result<Vec<StoredEvent>, DbError> {
    let names = serde_json::to_string(wanted).map_err(|error| DbError::bug(error.to_string()))?;
    let query = sqlx::query(STREAMS).bind(part).bind(names);
    query.fetch_all(pool).await?.iter().map(event).collect()
}

pub(super) async fn slim_span(
    pool: &SqlitePool,
    part: u32,
    (after, to): (i64, i64),
) -> Result<Vec<StoredEvent>, DbError> {
    let query = sqlx::query(SLIM_SPAN).bind(part).bind(after).bind(to);
    query.fetch_all(pool).await?.iter().map(event).collect()
}

pub(super) async fn span_of_streams(
    pool: &SqlitePool,
    part: u32,
    (after, to): (i64, i64),
    streams: &[String],
) -> Result<Vec<StoredEvent>, DbError> {
    let streams = serde_json::to_string(streams).map_err(|error| DbError::bug(error.to_string()))?;
    let query = sqlx::query(SPAN_OF_STREAMS)
        .bind(part)
        .bind(after)
        .bind(to)
        .bind(streams);
    query.fetch_all(pool).await?.iter().map(event).collect()
}

pub(super) async fn sequence_at(
    pool: &SqlitePool,
    part: u32,
    (aggregate_type, stream): (&str, &str),
    position: i64,
) -> Result<i64, DbError> {
    let query = sqlx::query_scalar(SEQUENCE)
        .bind(part)
        .bind(aggregate_type)
        .bind(stream)
        .bind(position);
    Ok(query.fetch_one(pool).await?)
}

//! The log's SQL on Postgres.

use sqlx::Row;
use sqlx::postgres::{PgPool, PgRow};

use super::span::Span;
use super::{StoredEvent, hash, version};
use crate::db::{DbError, at_from_chrono, part_to_sql, position_from_sql, position_to_sql};

macro_rules! columns {
    () => {
        columns!("e.payload::text")
    };
    ($payload:literal) => {
        concat!(
            "e.aggregate_type, e.aggregate_id, e.sequence, e.part, e.position, e.tenant, e.event_id, e.event_type, \
             e.event_version, ",
            $payload,
            ", e.metadata::text, e.causation_id, e.correlation_id, e.occurred_at, e.recorded_at, \
             e.content_hash"
        )
    };
}

pub(crate) const PAGE: &str = concat!(
    "select ",
    columns!(),
    " from events e where e.part = $1 and e.position > $2 order by e.position limit $3"
);
pub(crate) const STREAM: &str = concat!(
    "select ",
    columns!(),
    " from events e where e.part = $1 and e.aggregate_type = $2 and e.aggregate_id = $3 and e.sequence > $4 \
      order by e.sequence limit $5"
);
pub(crate) const STREAMS: &str = concat!(
    "select ",
    columns!(),
    " from unnest($2::text[], $3::text[]) k (t, s) join events e on e.part = $1 and e.aggregate_type = k.t \
      and e.aggregate_id = k.s order by e.aggregate_type, e.aggregate_id, e.sequence"
);

/// Each part is one index scan over its run.
const SLIM_SPANS: &str = concat!(
    "select ",
    columns!("''"),
    " from unnest($1::int[], $2::bigint[], $3::bigint[]) p (part, after, upto) cross join lateral ( \
       select * from events e where e.part = p.part and e.position > p.after and e.position <= p.upto) e \
     order by e.part, e.position"
);
// `|| ''` keeps Postgres off the index by stream: a run is short, and a stream may be long.
const SPANS_OF_STREAMS: &str = concat!(
    "select ",
    columns!(),
    " from unnest($1::int[], $2::bigint[], $3::bigint[]) p (part, after, upto) cross join lateral ( \
       select * from events e where e.part = p.part and e.position > p.after and e.position <= p.upto \
         and e.aggregate_type = 'subscription' and e.aggregate_id || '' = any($4::text[])) e \
     order by e.part, e.position"
);
pub(crate) const SEQUENCE: &str = "select coalesce(max(e.sequence), 0) from events e where e.part = $1 \
     and e.aggregate_type = $2 and e.aggregate_id = $3 and e.position <= $4";

const COUNT: &str = "select count(*) from (select 1 from events e where e.part = $1 and e.aggregate_type = $2 \
     and e.aggregate_id = $3 and e.sequence <= $4 and e.event_type = any($5) limit $6) n";

fn event(row: &PgRow) -> Result<StoredEvent, DbError> {
    Ok(StoredEvent {
        aggregate_type: row.try_get(0)?,
        stream: row.try_get(1)?,
        sequence: position_from_sql(row.try_get(2)?)?,
        part: u32::try_from(row.try_get::<i32, _>(3)?).map_err(|_| DbError::bug("a part is negative"))?,
        position: position_from_sql(row.try_get(4)?)?,
        tenant: row.try_get(5)?,
        event_id: row.try_get(6)?,
        event_type: row.try_get(7)?,
        event_version: version(row.try_get(8)?)?,
        payload: row.try_get(9)?,
        metadata: row.try_get(10)?,
        causation_id: row.try_get(11)?,
        correlation_id: row.try_get(12)?,
        occurred_at: at_from_chrono(row.try_get(13)?)?,
        recorded_at: at_from_chrono(row.try_get(14)?)?,
        content_hash: hash(row.try_get(15)?)?,
    })
}

pub(super) async fn page(pool: &PgPool, part: u32, after: i64, limit: u32) -> Result<Vec<StoredEvent>, DbError> {
    let query = sqlx::query(PAGE)
        .bind(part_to_sql(part)?)
        .bind(after)
        .bind(i64::from(limit));
    query.fetch_all(pool).await?.iter().map(event).collect()
}

pub(super) async fn stream(
    pool: &PgPool,
    part: u32,
    aggregate_type: &str,
    stream: &str,
    after: i64,
    limit: u32,
) -> Result<Vec<StoredEvent>, DbError> {
    let query = sqlx::query(STREAM)
        .bind(part_to_sql(part)?)
        .bind(aggregate_type)
        .bind(stream)
        .bind(after)
        .bind(i64::from(limit));
    query.fetch_all(pool).await?.iter().map(event).collect()
}

pub(super) async fn count(
    pool: &PgPool,
    part: u32,
    (aggregate_type, stream): (&str, &str),
    last: i64,
    types: &[String],
    most: u32,
) -> Result<i64, DbError> {
    let query = sqlx::query_scalar(COUNT)
        .bind(part_to_sql(part)?)
        .bind(aggregate_type)
        .bind(stream)
        .bind(last)
        .bind(types)
        .bind(i64::from(most));
    Ok(query.fetch_one(pool).await?)
}

pub(super) async fn streams(pool: &PgPool, part: u32, wanted: &[(&str, &str)]) -> Result<Vec<StoredEvent>, DbError> {
    let (types, streams): (Vec<&str>, Vec<&str>) = wanted.iter().copied().unzip();
    let query = sqlx::query(STREAMS).bind(part_to_sql(part)?).bind(types).bind(streams);
    query.fetch_all(pool).await?.iter().map(event).collect()
}

/// Parts, positions after and positions up to, each as a list.
#[derive(Default)]
struct Lists {
    parts: Vec<i32>,
    after: Vec<i64>,
    to: Vec<i64>,
}

impl Lists {
    fn of(spans: &[Span]) -> Result<Self, DbError> {
        let mut lists = Self::default();
        for span in spans {
            lists.parts.push(part_to_sql(span.part)?);
            lists.after.push(position_to_sql(span.after)?);
            lists.to.push(position_to_sql(span.to)?);
        }
        Ok(lists)
    }
}

pub(super) async fn slim_spans(pool: &PgPool, spans: &[Span]) -> Result<Vec<StoredEvent>, DbError> {
    let Lists { parts, after, to } = Lists::of(spans)?;
    let query = sqlx::query(SLIM_SPANS).bind(parts).bind(after).bind(to);
    query.fetch_all(pool).await?.iter().map(event).collect()
}

pub(super) async fn spans_of_streams(
    pool: &PgPool,
    spans: &[Span],
    streams: &[String],
) -> Result<Vec<StoredEvent>, DbError> {
    let Lists { parts, after, to } = Lists::of(spans)?;
    let query = sqlx::query(SPANS_OF_STREAMS)
        .bind(parts)
        .bind(after)
        .bind(to)
        .bind(streams);
    query.fetch_all(pool).await?.iter().map(event).collect()
}

pub(super) async fn sequence_at(
    pool: &PgPool,
    part: u32,
    (aggregate_type, stream): (&str, &str),
    position: i64,
) -> Result<i64, DbError> {
    let query = sqlx::query_scalar(SEQUENCE)
        .bind(part_to_sql(part)?)
        .bind(aggregate_type)
        .bind(stream)
        .bind(position);
    Ok(query.fetch_one(pool).await?)
}

//! Lean pages for a rebuild: only the columns that the views being filled look at.

use std::sync::OnceLock;

use aggregates::recorded::LedgerEvent;
use aggregates::subscription::AGGREGATE_TYPE;
use aggregates::time::Timestamp;
use chrono::{DateTime, Utc};
use sqlx::Row;
use sqlx::postgres::{PgPool, PgRow};
use sqlx::sqlite::{SqlitePool, SqliteRow};
use uuid::Uuid;

use crate::db::{Db, DbError, Pool, at_from_micros, part_to_sql, position_from_sql, position_to_sql};
use crate::projection::{FoldError, LogEvent};

/// Everything, by position, without payloads.
const SLIM_PG: &str = "select e.aggregate_id, e.sequence, e.position, e.event_type, e.event_version, \
     e.aggregate_type, e.occurred_at, e.recorded_at, e.tenant, e.event_id, e.metadata::text from events e \
     where e.part = $1 and e.position > $2 and e.position <= $3 order by e.position limit $4";
/// Accounts only, whole streams, each in one row: a row a stream costs a tenth of a row an event. No JSON contains the
/// separator, a control character. `+` keeps SQLite off the index by part and position.
const STREAMS_SQLITE: &str = "select e.aggregate_id, group_concat(concat_ws(',', e.sequence, e.position, e.occurred_at, \
       e.recorded_at, e.event_version, e.event_type, e.payload), char(30)) from events e \
     where +e.part = 0 and e.aggregate_type = 'subscription' and e.aggregate_id > ?1 and e.aggregate_id <= ?2 \
     and +e.position <= ?3 \
     group by e.aggregate_id order by e.aggregate_id limit ?4";
/// Between two events of a stream.
const BETWEEN: char = '\u{1e}';
/// Streams in one page.
pub(super) const PAGE_STREAMS: u32 = 200;
/// Columns of an event in a stream's row.
const COLUMNS: usize = 7;
const SLIM_SQLITE: &str = "select e.aggregate_id, e.sequence, e.position, e.event_type, e.event_version, \
     e.aggregate_type, e.occurred_at, e.recorded_at, e.tenant, e.event_id, e.metadata from events e \
     where e.part = ?1 and e.position > ?2 and e.position <= ?3 order by e.position limit ?4";
/// Streams that cut the log into about equal shares.
const NTH_STREAM: &str = "select aggregate_id from events where +part = 0 and aggregate_type = 'subscription' \
     order by aggregate_id limit 1 offset ?1";

/// Events in one page: enough that the round trip does not count, few enough to stay in the processor's cache.
const PAGE: u32 = 4_000;

/// After every text that begins a stream id: ids are printable, and this is not a character.
pub(super) const LAST: &str = "\u{10ffff}";

/// A stream with the text of its events, as [`events_of`] reads it.
pub(super) type StreamText = (String, String);

/// Whole streams of a SQLite ledger after one stream, up to and with another, up to position `to`.
pub(super) async fn streams(db: &Db, after: &str, last: &str, to: u64) -> Result<Vec<StreamText>, DbError> {
    let Pool::Sqlite(pool) = db.bulk_pool_for(0) else {
        return Ok(Vec::new());
    };
    let query = sqlx::query_as(STREAMS_SQLITE)
        .bind(after)
        .bind(last)
        .bind(position_to_sql(to)?);
    Ok(query.bind(PAGE_STREAMS).fetch_all(pool).await?)
}

/// The events of one stream, in order.
pub(super) fn events_of((stream, text): &StreamText) -> Result<Vec<LogEvent>, DbError> {
    let mut events = text
        .split(BETWEEN)
        .map(|text| event_of(stream, text))
        .collect::<Result<Vec<_>, _>>()?;
    events.sort_unstable_by_key(|event| event.sequence);
    Ok(events)
}

fn event_of(stream: &str, text: &str) -> Result<LogEvent, DbError> {
    let unread = || DbError::bug(format!("an event of {stream} does not read"));
    let mut columns = text.splitn(COLUMNS, ',');
    let mut next = || columns.next().ok_or_else(unread);
    let mut number = || -> Result<i64, DbError> { next()?.parse().map_err(|_| unread()) };
    let (sequence, position) = (position_from_sql(number()?)?, position_from_sql(number()?)?);
    let (occurred_at, recorded_at) = (at_from_micros(number()?)?, at_from_micros(number()?)?);
    let version = next()?.parse().unwrap_or(u32::MAX);
    let (event_type, payload) = (next()?, next()?);
    let typed = LedgerEvent::decode(AGGREGATE_TYPE, event_type, version, payload).map_err(FoldError::new);
    let mut event = empty(0, AGGREGATE_TYPE);
    event.stream = stream.to_owned();
    event.sequence = sequence;
    event.position = position;
    event.occurred_at = occurred_at;
    event.recorded_at = recorded_at;
    event.typed = OnceLock::from(typed);
    Ok(event)
}

/// Every event without its payload, by position.
pub(super) async fn slim(db: &Db, part: u32, after: u64, to: u64) -> Result<Vec<LogEvent>, DbError> {
    match db.bulk_pool_for(part) {
        Pool::Postgres(pool) => page_pg(pool, part, after, to).await,
        Pool::Sqlite(pool) => page_sqlite(pool, part, after, to).await,
    }
}

/// Where to cut the streams of a SQLite ledger so that `count` readers have about the same to do: ranges
/// (after, last), together everything.
pub(super) async fn ranges(db: &Db, events: u64, count: u64) -> Result<Vec<(String, String)>, DbError> {
    let mut cuts = vec![String::new()];
    if let Pool::Sqlite(pool) = db.bulk_pool_for(0) {
        for n in 1..count {
            let nth = position_to_sql(events * n / count)?;
            let found: Option<String> = sqlx::query_scalar(NTH_STREAM).bind(nth).fetch_optional(pool).await?;
            cuts.extend(found.filter(|cut| cuts.last().is_some_and(|last| cut > last)));
        }
    }
    cuts.push(LAST.to_owned());
    Ok(cuts.windows(2).map(|pair| (pair[0].clone(), pair[1].clone())).collect())
}

async fn page_pg(pool: &PgPool, part: u32, after: u64, to: u64) -> Result<Vec<LogEvent>, DbError> {
    let query = sqlx::query(SLIM_PG)
        .bind(part_to_sql(part)?)
        .bind(position_to_sql(after)?);
    let query = query.bind(position_to_sql(to)?).bind(i64::from(PAGE));
    query
        .fetch_all(pool)
        .await?
        .iter()
        .map(|row| of_pg(row, part))
        .collect()
}

async fn page_sqlite(pool: &SqlitePool, part: u32, after: u64, to: u64) -> Result<Vec<LogEvent>, DbError> {
    let query = sqlx::query(SLIM_SQLITE).bind(part).bind(position_to_sql(after)?);
    let query = query.bind(position_to_sql(to)?).bind(PAGE);
    query
        .fetch_all(pool)
        .await?
        .iter()
        .map(|row| of_sqlite(row, part))
        .collect()
}

fn of_pg(row: &PgRow, part: u32) -> Result<LogEvent, DbError> {
    let version: &str = row.try_get(4)?;
    let mut event = empty(part, row.try_get(5)?);
    event.stream = row.try_get(0)?;
    event.sequence = position_from_sql(row.try_get(1)?)?;
    event.position = position_from_sql(row.try_get(2)?)?;
    event.event_type = row.try_get(3)?;
    event.event_version = version.parse().unwrap_or(u32::MAX);
    event.occurred_at = Timestamp::from_chrono(row.try_get::<DateTime<Utc>, _>(6)?);
    event.recorded_at = Timestamp::from_chrono(row.try_get::<DateTime<Utc>, _>(7)?);
    event.tenant = row.try_get(8)?;
    event.event_id = row.try_get(9)?;
    event.metadata = row.try_get(10)?;
    Ok(event)
}

fn of_sqlite(row: &SqliteRow, part: u32) -> Result<LogEvent, DbError> {
    let version: &str = row.try_get(4)?;
    let mut event = empty(part, row.try_get(5)?);
    event.stream = row.try_get(0)?;
    event.sequence = position_from_sql(row.try_get(1)?)?;
    event.position = position_from_sql(row.try_get(2)?)?;
    event.event_type = row.try_get(3)?;
    event.event_version = version.parse().unwrap_or(u32::MAX);
    event.occurred_at = at_from_micros(row.try_get(6)?)?;
    event.recorded_at = at_from_micros(row.try_get(7)?)?;
    event.tenant = row.try_get(8)?;
    event.event_id = row.try_get::<uuid::fmt::Hyphenated, _>(9)?.into_uuid();
    event.metadata = row.try_get(10)?;
    Ok(event)
}

pub(super) fn empty(part: u32, aggregate_type: &str) -> LogEvent {
    LogEvent {
        part,
        position: 0,
        aggregate_type: aggregate_type.to_owned(),
        stream: String::new(),
        sequence: 0,
        tenant: None,
        event_id: Uuid::nil(),
        event_type: String::new(),
        event_version: 0,
        payload: String::new(),
        metadata: String::new(),
        occurred_at: Timestamp::EPOCH,
        recorded_at: Timestamp::EPOCH,
        typed: OnceLock::new(),
    }
}

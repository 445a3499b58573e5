//! Receipts on SQLite: the writing statements run inside one job of the writer, lists travel as one JSON text.

use std::fmt::Write;
use std::sync::LazyLock;

use aggregates::ids::{StreamId, StripeEventId};
use aggregates::time::Timestamp;
use bytes::Bytes;
use projections::db::DbError;
use serde_json::{Value, json};
use sqlx::sqlite::SqliteRow;
use sqlx::{Row, SqliteConnection, SqlitePool};

use super::receipt::{
    Custody, Due, NewReceipt, Placed, Receipt, ReceiptCursor, ReceiptFilter, ReceiptKey, Settlement, State,
};
use super::receive::Received;
use super::store::{Backlog, DueKey, NOTE_OTHER_CONTENT, corrupt, part_in, to_held};

/// Rows in one statement. A body cannot travel in JSON, so rows are bound one by one; a few sizes keep the number of
/// prepared statements small.
const CHUNKS: [usize; 4] = [64, 16, 4, 1];

/// The insert for each of [`CHUNKS`].
static INSERTS: LazyLock<[String; 4]> = LazyLock::new(|| CHUNKS.map(insert_of));

fn insert_of(rows: usize) -> String {
    let mut sql = String::from(
        "insert into webhook_receipts (part, source, event_id, body, body_digest, signature, secret_name, endpoint, \
         event_type, livemode, received_at, state, next_at) values ",
    );
    for row in 0..rows {
        let comma = if row == 0 { "" } else { ", " };
        // Writing to a String cannot fail.
        let _ = write!(sql, "{comma}(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 'new', ?)");
    }
    sql.push_str(" on conflict do nothing returning source, event_id");
    sql
}

const DIGESTS: &str = "\
select r.source, r.event_id, r.body_digest, r.endpoint from json_each(?1) k \
cross join webhook_receipts r on r.part = k.value ->> 0 and r.source = k.value ->> 1 and r.event_id = k.value ->> 2";

const NOTE: &str = "\
update webhook_receipts set reason = case when reason is null then ?4 else reason || '; ' || ?4 end \
where part = ?1 and source = ?2 and event_id = ?3 and instr(coalesce(reason, ''), ?4) = 0";

/// A final outcome is never overwritten; a note about other content stays beside the reason. The `+` keeps the small index
/// of open receipts out of it: each row is found by its key, whatever statistics say of a table that was once small.
const SETTLE: &str = "\
update webhook_receipts as r set state = s.value ->> 3, attempts = s.value ->> 5, next_at = s.value ->> 6, \
  stream_id = s.value ->> 7, stream_part = s.value ->> 8, first_position = s.value ->> 9, \
  last_position = s.value ->> 10, settled_at = s.value ->> 11, \
  reason = case when instr(coalesce(r.reason, ''), ?2) = 0 then s.value ->> 4 \
    when s.value ->> 4 is null then ?2 else (s.value ->> 4) || '; ' || ?2 end \
from json_each(?1) s \
where r.part = s.value ->> 0 and r.source = s.value ->> 1 and r.event_id = s.value ->> 2 \
  and +r.state in ('new', 'parked')";

const DUE: &str = "\
select source, event_id, coalesce(length(body), 0) as bytes from webhook_receipts \
where part = 0 and state in ('new', 'parked') and next_at <= ?2 \
  and (next_at <= ?1 or (state = 'new' and attempts = 0)) order by next_at, received_at limit ?3";

const BODIES: &str = "\
select r.source, r.event_id, r.body, r.received_at, r.attempts, r.state from json_each(?1) k \
cross join webhook_receipts r on r.part = k.value ->> 0 and r.source = k.value ->> 1 and r.event_id = k.value ->> 2 \
where r.state in ('new', 'parked') order by r.received_at";

macro_rules! columns {
    () => {
        "source, event_id, event_type, livemode, state, reason, attempts, received_at, next_at, settled_at, \
         stream_id, stream_part, first_position, last_position"
    };
}

macro_rules! filter {
    () => {
        " from webhook_receipts \
         where part = 0 and (?1 is null or state = ?1) and (?2 is null or event_type = ?2) \
           and (?3 is null or stream_id in (select value from json_each(?3))) and (?4 is null or source = ?4) \
           and (?5 is null or received_at >= ?5) and (?6 is null or received_at < ?6) "
    };
}

const LIST: &str = concat!(
    "select ",
    columns!(),
    filter!(),
    "and (?7 is null or (received_at, source, event_id) < (?7, ?8, ?9)) \
     order by received_at desc, source desc, event_id desc limit ?10"
);

const COUNT: &str = concat!("select count(*) as count from (select 1", filter!(), "limit ?7)");

const SHOW: &str = concat!(
    "select ",
    columns!(),
    ", signature, secret_name, endpoint, body_digest, body from webhook_receipts \
     where part = ?1 and source = ?2 and event_id = ?3"
);

const MOVE: &str = "\
update webhook_receipts set state = ?4, reason = ?5, attempts = 0, next_at = ?6, settled_at = ?7 \
where part = ?1 and source = ?2 and event_id = ?3 and state in (select value from json_each(?8))";

const BACKLOG: &str = "\
select state, count(*) as count, min(received_at) as oldest from webhook_receipts \
where part = 0 and state in ('new', 'parked') group by state \
union all \
select state, count(*), min(received_at) from webhook_receipts \
where part = 0 and state in ('parked', 'quarantined') and state = 'quarantined' group by state";

const COUNTS: &str = "\
select state, coalesce(event_type, 'unknown') as event_type, count(*) as count from webhook_receipts \
where part = 0 group by 1, 2 order by 1, 2";

/// Inserts what is not there yet and gives its keys.
pub(super) async fn insert(
    connection: &mut SqliteConnection,
    rows: &[NewReceipt],
    next_at: &[Timestamp],
) -> Result<Vec<ReceiptKey>, DbError> {
    let mut inserted = Vec::with_capacity(rows.len());
    let mut rest: Vec<(&NewReceipt, Timestamp)> = rows.iter().zip(next_at.iter().copied()).collect();
    for (size, sql) in CHUNKS.iter().zip(INSERTS.iter()) {
        while rest.len() >= *size {
            let mut query = sqlx::query(sql);
            for (row, next) in rest.drain(..*size) {
                query = query
                    .bind(i64::from(row.part))
                    .bind(&*row.key.source)
                    .bind(row.key.event.as_str())
                    .bind(&row.body[..])
                    .bind(&row.digest[..])
                    .bind(&row.signature)
                    .bind(&*row.secret_name)
                    .bind(&*row.endpoint)
                    .bind(&row.envelope.event_type)
                    .bind(row.envelope.livemode)
                    .bind(row.received_at.micros())
                    .bind(next.micros());
            }
            for row in query.fetch_all(&mut *connection).await? {
                inserted.push(key_of(&row)?);
            }
        }
    }
    Ok(inserted)
}

/// What the rows with these keys are to the ones we hold.
pub(super) async fn compare(
    connection: &mut SqliteConnection,
    rows: &[&NewReceipt],
) -> Result<Vec<(ReceiptKey, Received)>, DbError> {
    let keys: Vec<(u32, &ReceiptKey)> = rows.iter().map(|row| (row.part, &row.key)).collect();
    let held = sqlx::query(DIGESTS)
        .bind(json_keys(&keys))
        .fetch_all(connection)
        .await?;
    let mut found = Vec::with_capacity(held.len());
    for row in &held {
        let key = key_of(row)?;
        let digest: &[u8] = row.try_get("body_digest")?;
        let received = to_held(rows, &key, digest, row.try_get("endpoint")?);
        found.push((key, received));
    }
    Ok(found)
}

fn json_keys(keys: &[(u32, &ReceiptKey)]) -> String {
    let rows: Vec<Value> = keys
        .iter()
        .map(|(part, key)| json!([part, &*key.source, key.event.as_str()]))
        .collect();
    Value::Array(rows).to_string()
}

pub(super) async fn note(connection: &mut SqliteConnection, part: u32, key: &ReceiptKey) -> Result<(), DbError> {
    sqlx::query(NOTE)
        .bind(i64::from(part))
        .bind(&*key.source)
        .bind(key.event.as_str())
        .bind(NOTE_OTHER_CONTENT)
        .execute(connection)
        .await?;
    Ok(())
}

/// The settlements as the one parameter of [`settle`].
pub(super) fn settlements(rows: &[(u32, &Settlement)], now: Timestamp) -> String {
    let rows: Vec<Value> = rows
        .iter()
        .map(|(part, row)| {
            let placed = row.placed.as_ref();
            let positions = placed.and_then(|placed| placed.positions);
            json!([
                part,
                &*row.key.source,
                row.key.event.as_str(),
                row.state.as_str(),
                row.reason,
                row.attempts,
                row.next_at.map(Timestamp::micros),
                placed.map(|placed| placed.stream.as_str()),
                placed.map(|placed| placed.part),
                positions.map(|(first, _)| first),
                positions.map(|(_, last)| last),
                row.state.is_final().then(|| now.micros()),
            ])
        })
        .collect();
    Value::Array(rows).to_string()
}

pub(super) async fn settle(connection: &mut SqliteConnection, rows: &str) -> Result<u64, DbError> {
    let done = sqlx::query(SETTLE)
        .bind(rows)
        .bind(NOTE_OTHER_CONTENT)
        .execute(connection)
        .await?;
    Ok(done.rows_affected())
}

/// Due at the first time, or by the second if never tried.
pub(super) async fn due(
    pool: &SqlitePool,
    (now, until): (Timestamp, Timestamp),
    limit: i64,
) -> Result<Vec<DueKey>, DbError> {
    let query = sqlx::query(DUE).bind(now.micros()).bind(until.micros()).bind(limit);
    let rows = query.fetch_all(pool).await?;
    rows.iter()
        .map(|row| {
            let bytes: i64 = row.try_get("bytes")?;
            Ok(DueKey {
                key: key_of(row)?,
                bytes: usize::try_from(bytes).unwrap_or_default(),
            })
        })
        .collect()
}

pub(super) async fn bodies(pool: &SqlitePool, keys: &[(u32, &ReceiptKey)]) -> Result<Vec<Due>, DbError> {
    let rows = sqlx::query(BODIES).bind(json_keys(keys)).fetch_all(pool).await?;
    rows.iter()
        .map(|row| {
            let body: Option<Vec<u8>> = row.try_get("body")?;
            let attempts: i64 = row.try_get("attempts")?;
            Ok(Due {
                key: key_of(row)?,
                body: body.map(Bytes::from),
                received_at: time_of(row, "received_at")?.ok_or_else(|| corrupt("received_at"))?,
                attempts: u32::try_from(attempts).unwrap_or_default(),
                state: state_of(row)?,
            })
        })
        .collect()
}

pub(super) async fn list(
    pool: &SqlitePool,
    filter: &ReceiptFilter,
    after: Option<&ReceiptCursor>,
    limit: i64,
) -> Result<Vec<Receipt>, DbError> {
    let rows = sqlx::query(LIST)
        .bind(filter.state.map(State::as_str))
        .bind(filter.event_type.as_deref())
        .bind(filter.streams.as_ref().map(|streams| json!(streams).to_string()))
        .bind(filter.source.as_deref())
        .bind(filter.from.map(Timestamp::micros))
        .bind(filter.to.map(Timestamp::micros))
        .bind(after.map(|cursor| cursor.received_at.micros()))
        .bind(after.map(|cursor| &*cursor.source))
        .bind(after.map(|cursor| &*cursor.event))
        .bind(limit)
        .fetch_all(pool)
        .await?;
    rows.iter().map(receipt_of).collect()
}

pub(super) async fn count(pool: &SqlitePool, filter: &ReceiptFilter, most: i64) -> Result<u64, DbError> {
    let row = sqlx::query(COUNT)
        .bind(filter.state.map(State::as_str))
        .bind(filter.event_type.as_deref())
        .bind(filter.streams.as_ref().map(|streams| json!(streams).to_string()))
        .bind(filter.source.as_deref())
        .bind(filter.from.map(Timestamp::micros))
        .bind(filter.to.map(Timestamp::micros))
        .bind(most)
        .fetch_one(pool)
        .await?;
    count_of(&row)
}

pub(super) async fn show(pool: &SqlitePool, part: u32, key: &ReceiptKey) -> Result<Option<Custody>, DbError> {
    let row = sqlx::query(SHOW)
        .bind(i64::from(part))
        .bind(&*key.source)
        .bind(key.event.as_str())
        .fetch_optional(pool)
        .await?;
    let Some(row) = row else { return Ok(None) };
    let digest: Vec<u8> = row.try_get("body_digest")?;
    let body: Option<Vec<u8>> = row.try_get("body")?;
    Ok(Some(Custody {
        receipt: receipt_of(&row)?,
        signature: row.try_get("signature")?,
        secret_name: row.try_get("secret_name")?,
        endpoint: row.try_get("endpoint")?,
        digest: digest.try_into().map_err(|_| corrupt("body_digest"))?,
        body: body.map(Bytes::from),
    }))
}

/// Moves a receipt to a state by decision, if it stands in one of `from`; says whether it did.
pub(super) async fn transition(
    connection: &mut SqliteConnection,
    part: u32,
    to: &Settlement,
    from: &[State],
    now: Timestamp,
) -> Result<bool, DbError> {
    let from: Vec<&str> = from.iter().map(|state| state.as_str()).collect();
    let done = sqlx::query(MOVE)
        .bind(i64::from(part))
        .bind(&*to.key.source)
        .bind(to.key.event.as_str())
        .bind(to.state.as_str())
        .bind(to.reason.as_deref())
        .bind(to.next_at.map(Timestamp::micros))
        .bind(to.state.is_final().then(|| now.micros()))
        .bind(json!(from).to_string())
        .execute(connection)
        .await?;
    Ok(done.rows_affected() > 0)
}

pub(super) async fn backlog(pool: &SqlitePool) -> Result<Vec<Backlog>, DbError> {
    let rows = sqlx::query(BACKLOG).fetch_all(pool).await?;
    rows.iter()
        .map(|row| {
            Ok(Backlog {
                state: state_of(row)?,
                count: count_of(row)?,
                oldest: time_of(row, "oldest")?.ok_or_else(|| corrupt("received_at"))?,
            })
        })
        .collect()
}

pub(super) async fn counts(pool: &SqlitePool) -> Result<Vec<(State, String, u64)>, DbError> {
    let rows = sqlx::query(COUNTS).fetch_all(pool).await?;
    rows.iter()
        .map(|row| Ok((state_of(row)?, row.try_get("event_type")?, count_of(row)?)))
        .collect()
}

fn count_of(row: &SqliteRow) -> Result<u64, DbError> {
    let count: i64 = row.try_get("count")?;
    Ok(count.unsigned_abs())
}

fn time_of(row: &SqliteRow, column: &str) -> Result<Option<Timestamp>, DbError> {
    let micros: Option<i64> = row.try_get(column)?;
    micros
        .map(|micros| Timestamp::from_micros(micros).map_err(|_| corrupt("a time")))
        .transpose()
}

fn key_of(row: &SqliteRow) -> Result<ReceiptKey, DbError> {
    let source: &str = row.try_get("source")?;
    let event: &str = row.try_get("event_id")?;
    let event = StripeEventId::parse(event).map_err(|_| corrupt("event_id"))?;
    Ok(ReceiptKey::new(source, event))
}

fn state_of(row: &SqliteRow) -> Result<State, DbError> {
    State::from_word(row.try_get("state")?).ok_or_else(|| corrupt("state"))
}

fn receipt_of(row: &SqliteRow) -> Result<Receipt, DbError> {
    let attempts: i64 = row.try_get("attempts")?;
    let stream: Option<&str> = row.try_get("stream_id")?;
    let stream_part: Option<i64> = row.try_get("stream_part")?;
    let first: Option<i64> = row.try_get("first_position")?;
    let last: Option<i64> = row.try_get("last_position")?;
    let placed = match stream {
        None => None,
        Some(stream) => Some(Placed {
            stream: StreamId::parse(stream).map_err(|_| corrupt("stream_id"))?,
            part: part_in(stream_part),
            positions: first.zip(last).map(|(a, b)| (a.unsigned_abs(), b.unsigned_abs())),
        }),
    };
    Ok(Receipt {
        key: key_of(row)?,
        event_type: row.try_get("event_type")?,
        livemode: row.try_get("livemode")?,
        state: state_of(row)?,
        reason: row.try_get("reason")?,
        attempts: u32::try_from(attempts).unwrap_or_default(),
        received_at: time_of(row, "received_at")?.ok_or_else(|| corrupt("received_at"))?,
        next_at: time_of(row, "next_at")?,
        settled_at: time_of(row, "settled_at")?,
        placed,
    })
}

//! Receipts on Postgres: arrays in, rows out. One statement per const; every one binds `part`.

use aggregates::ids::{StreamId, StripeEventId};
use aggregates::time::Timestamp;
use bytes::Bytes;
use chrono::{DateTime, Utc};
use projections::db::DbError;
use sqlx::postgres::PgRow;
use sqlx::{PgPool, Row};

use super::receipt::{
    Custody, Due, NewReceipt, Placed, Receipt, ReceiptCursor, ReceiptFilter, ReceiptKey, Settlement, State,
};
use super::receive::Received;
use super::store::{Backlog, DueKey, NOTE_OTHER_CONTENT, corrupt, part_in, to_held};

const INSERT: &str = "\
insert into webhook_receipts (part, source, event_id, body, body_digest, signature, secret_name, endpoint, event_type, \
  livemode, received_at, state, next_at) \
select part, source, event_id, body, body_digest, signature, secret_name, endpoint, event_type, livemode, \
  received_at, 'new', next_at \
from unnest($1::int[], $2::text[], $3::text[], $4::bytea[], $5::bytea[], $6::text[], $7::text[], $8::text[], \
  $9::text[], $10::bool[], $11::timestamptz[], $12::timestamptz[]) \
  as r(part, source, event_id, body, body_digest, signature, secret_name, endpoint, event_type, livemode, received_at, \
  next_at) \
on conflict do nothing returning source, event_id";

const DIGESTS: &str = "\
select source, event_id, body_digest, endpoint from webhook_receipts \
where (part, source, event_id) in (select * from unnest($1::int[], $2::text[], $3::text[]))";

const NOTE: &str = "\
update webhook_receipts set reason = concat_ws('; ', reason, $4::text) \
where part = $1 and source = $2 and event_id = $3 and position($4::text in coalesce(reason, '')) = 0";

/// A final outcome is never overwritten; a note about other content stays beside the reason.
const SETTLE: &str = "\
update webhook_receipts r set state = s.state, attempts = s.attempts, next_at = s.next_at, stream_id = s.stream_id, \
  stream_part = s.stream_part, first_position = s.first_position, last_position = s.last_position, \
  settled_at = s.settled_at, reason = nullif(concat_ws('; ', s.reason, \
    case when position($12::text in coalesce(r.reason, '')) > 0 then $12::text end), '') \
from unnest($1::int[], $2::text[], $3::text[], $4::text[], $5::text[], $6::int[], $7::timestamptz[], $8::text[], \
  $9::int[], $10::bigint[], $11::bigint[], $13::timestamptz[]) \
  as s(part, source, event_id, state, reason, attempts, next_at, stream_id, stream_part, first_position, \
  last_position, settled_at) \
where r.part = s.part and r.source = s.source and r.event_id = s.event_id and r.state in ('new', 'parked')";

const DUE: &str = "\
select source, event_id, coalesce(octet_length(body), 0) as bytes from webhook_receipts \
where part = any($1) and state in ('new', 'parked') and next_at <= $3 \
  and (next_at <= $2 or (state = 'new' and attempts = 0)) order by next_at, received_at limit $4";

const BODIES: &str = "\
select source, event_id, body, received_at, attempts, state from webhook_receipts \
where (part, source, event_id) in (select * from unnest($1::int[], $2::text[], $3::text[])) \
  and state in ('new', 'parked') order by received_at";

macro_rules! columns {
    () => {
        "source, event_id, event_type, livemode, state, reason, attempts, received_at, next_at, settled_at, \
         stream_id, stream_part, first_position, last_position"
    };
}

macro_rules! filter {
    () => {
        " from webhook_receipts \
         where part >= 0 and ($1::text is null or state = $1) and ($2::text is null or event_type = $2) \
           and ($3::text[] is null or stream_id = any($3)) and ($4::text is null or source = $4) \
           and ($5::timestamptz is null or received_at >= $5) and ($6::timestamptz is null or received_at < $6) "
    };
}

const LIST: &str = concat!(
    "select ",
    columns!(),
    filter!(),
    "and ($7::timestamptz is null or (received_at, source, event_id) < ($7, $8, $9)) \
     order by received_at desc, source desc, event_id desc limit $10"
);

const COUNT: &str = concat!("select count(*) as count from (select 1", filter!(), "limit $7) n");

const SHOW: &str = concat!(
    "select ",
    columns!(),
    ", signature, secret_name, endpoint, body_digest, body from webhook_receipts \
     where part = $1 and source = $2 and event_id = $3"
);

const MOVE: &str = "\
update webhook_receipts set state = $4, reason = $5, attempts = 0, next_at = $6, settled_at = $7 \
where part = $1 and source = $2 and event_id = $3 and state = any($8)";

const BACKLOG: &str = "\
select state, count(*) as count, min(received_at) as oldest from webhook_receipts \
where part >= 0 and state in ('new', 'parked') group by state \
union all \
select state, count(*), min(received_at) from webhook_receipts \
where part >= 0 and state in ('parked', 'quarantined') and state = 'quarantined' group by state";

const COUNTS: &str = "\
select state, coalesce(event_type, 'unknown') as event_type, count(*) as count from webhook_receipts \
where part >= 0 group by 1, 2 order by 1, 2";

fn at(time: Timestamp) -> DateTime<Utc> {
    time.to_chrono()
}

fn number(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

fn part(value: u32) -> i32 {
    i32::try_from(value).unwrap_or(i32::MAX)
}

pub(super) async fn insert(
    pool: &PgPool,
    rows: &[&NewReceipt],
    next_at: &[Timestamp],
) -> Result<Vec<ReceiptKey>, DbError> {
    let text = |of: fn(&NewReceipt) -> &str| -> Vec<&str> { rows.iter().map(|row| of(row)).collect() };
    let received: Vec<_> = rows.iter().map(|row| at(row.received_at)).collect();
    let next: Vec<_> = next_at.iter().map(|time| at(*time)).collect();
    let inserted = sqlx::query(INSERT)
        .bind(rows.iter().map(|row| part(row.part)).collect::<Vec<_>>())
        .bind(text(|row| &row.key.source))
        .bind(text(|row| row.key.event.as_str()))
        .bind(rows.iter().map(|row| &row.body[..]).collect::<Vec<&[u8]>>())
        .bind(rows.iter().map(|row| &row.digest[..]).collect::<Vec<&[u8]>>())
        .bind(text(|row| &row.signature))
        .bind(text(|row| &row.secret_name))
        .bind(text(|row| &row.endpoint))
        .bind(text(|row| &row.envelope.event_type))
        .bind(rows.iter().map(|row| row.envelope.livemode).collect::<Vec<_>>())
        .bind(received)
        .bind(next)
        .fetch_all(pool)
        .await
        .map_err(DbError::at_commit)?;
    inserted.iter().map(key_of).collect()
}

/// What the rows with these keys are to the ones we hold.
pub(super) async fn compare(pool: &PgPool, rows: &[&NewReceipt]) -> Result<Vec<(ReceiptKey, Received)>, DbError> {
    let keys: Vec<(u32, &ReceiptKey)> = rows.iter().map(|row| (row.part, &row.key)).collect();
    let (parts, sources, events) = arrays(&keys);
    let held = sqlx::query(DIGESTS)
        .bind(parts)
        .bind(sources)
        .bind(events)
        .fetch_all(pool)
        .await?;
    let mut found = Vec::with_capacity(held.len());
    for row in &held {
        let key = key_of(row)?;
        let digest: Vec<u8> = row.try_get("body_digest")?;
        let received = to_held(rows, &key, &digest, row.try_get("endpoint")?);
        found.push((key, received));
    }
    Ok(found)
}

pub(super) async fn note(pool: &PgPool, in_part: u32, key: &ReceiptKey) -> Result<(), DbError> {
    sqlx::query(NOTE)
        .bind(part(in_part))
        .bind(&*key.source)
        .bind(key.event.as_str())
        .bind(NOTE_OTHER_CONTENT)
        .execute(pool)
        .await?;
    Ok(())
}

fn arrays<'a>(keys: &[(u32, &'a ReceiptKey)]) -> (Vec<i32>, Vec<&'a str>, Vec<&'a str>) {
    (
        keys.iter().map(|(in_part, _)| part(*in_part)).collect(),
        keys.iter().map(|(_, key)| &*key.source).collect(),
        keys.iter().map(|(_, key)| key.event.as_str()).collect(),
    )
}

pub(super) async fn settle(pool: &PgPool, rows: &[(u32, &Settlement)], now: Timestamp) -> Result<u64, DbError> {
    let keys: Vec<(u32, &ReceiptKey)> = rows.iter().map(|(in_part, row)| (*in_part, &row.key)).collect();
    let (parts, sources, events) = arrays(&keys);
    let placed = || rows.iter().map(|(_, row)| row.placed.as_ref());
    let positions = |last: bool| -> Vec<Option<i64>> {
        placed()
            .map(|placed| {
                placed
                    .and_then(|p| p.positions)
                    .map(|(a, b)| number(if last { b } else { a }))
            })
            .collect()
    };
    let settled = |row: &Settlement| row.state.is_final().then(|| at(now));
    let done = sqlx::query(SETTLE)
        .bind(parts)
        .bind(sources)
        .bind(events)
        .bind(rows.iter().map(|(_, row)| row.state.as_str()).collect::<Vec<_>>())
        .bind(rows.iter().map(|(_, row)| row.reason.as_deref()).collect::<Vec<_>>())
        .bind(rows.iter().map(|(_, row)| part(row.attempts)).collect::<Vec<_>>())
        .bind(rows.iter().map(|(_, row)| row.next_at.map(at)).collect::<Vec<_>>())
        .bind(
            placed()
                .map(|placed| placed.map(|p| p.stream.as_str()))
                .collect::<Vec<_>>(),
        )
        .bind(placed().map(|placed| placed.map(|p| part(p.part))).collect::<Vec<_>>())
        .bind(positions(false))
        .bind(positions(true))
        .bind(NOTE_OTHER_CONTENT)
        .bind(rows.iter().map(|(_, row)| settled(row)).collect::<Vec<_>>())
        .execute(pool)
        .await?;
    Ok(done.rows_affected())
}

/// Due at the first time, or by the second if never tried.
pub(super) async fn due(
    pool: &PgPool,
    parts: &[u32],
    (now, until): (Timestamp, Timestamp),
    limit: i64,
) -> Result<Vec<DueKey>, DbError> {
    let rows = sqlx::query(DUE)
        .bind(parts.iter().map(|p| part(*p)).collect::<Vec<_>>())
        .bind(at(now))
        .bind(at(until))
        .bind(limit)
        .fetch_all(pool)
        .await?;
    rows.iter()
        .map(|row| {
            let bytes: i32 = row.try_get("bytes")?;
            Ok(DueKey {
                key: key_of(row)?,
                bytes: usize::try_from(bytes).unwrap_or_default(),
            })
        })
        .collect()
}

pub(super) async fn bodies(pool: &PgPool, keys: &[(u32, &ReceiptKey)]) -> Result<Vec<Due>, DbError> {
    let (parts, sources, events) = arrays(keys);
    let rows = sqlx::query(BODIES)
        .bind(parts)
        .bind(sources)
        .bind(events)
        .fetch_all(pool)
        .await?;
    rows.iter()
        .map(|row| {
            let body: Option<Vec<u8>> = row.try_get("body")?;
            let attempts: i32 = row.try_get("attempts")?;
            Ok(Due {
                key: key_of(row)?,
                body: body.map(Bytes::from),
                received_at: Timestamp::from_chrono(row.try_get("received_at")?),
                attempts: u32::try_from(attempts).unwrap_or_default(),
                state: state_of(row)?,
            })
        })
        .collect()
}

pub(super) async fn list(
    pool: &PgPool,
    filter: &ReceiptFilter,
    after: Option<&ReceiptCursor>,
    limit: i64,
) -> Result<Vec<Receipt>, DbError> {
    let rows = sqlx::query(LIST)
        .bind(filter.state.map(State::as_str))
        .bind(filter.event_type.as_deref())
        .bind(filter.streams.as_deref())
        .bind(filter.source.as_deref())
        .bind(filter.from.map(at))
        .bind(filter.to.map(at))
        .bind(after.map(|cursor| at(cursor.received_at)))
        .bind(after.map(|cursor| &*cursor.source))
        .bind(after.map(|cursor| &*cursor.event))
        .bind(limit)
        .fetch_all(pool)
        .await?;
    rows.iter().map(receipt_of).collect()
}

pub(super) async fn count(pool: &PgPool, filter: &ReceiptFilter, most: i64) -> Result<u64, DbError> {
    let row = sqlx::query(COUNT)
        .bind(filter.state.map(State::as_str))
        .bind(filter.event_type.as_deref())
        .bind(filter.streams.as_deref())
        .bind(filter.source.as_deref())
        .bind(filter.from.map(at))
        .bind(filter.to.map(at))
        .bind(most)
        .fetch_one(pool)
        .await?;
    count_of(&row)
}

pub(super) async fn show(pool: &PgPool, in_part: u32, key: &ReceiptKey) -> Result<Option<Custody>, DbError> {
    let row = sqlx::query(SHOW)
        .bind(part(in_part))
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
    pool: &PgPool,
    in_part: u32,
    to: &Settlement,
    from: &[State],
    now: Timestamp,
) -> Result<bool, DbError> {
    let done = sqlx::query(MOVE)
        .bind(part(in_part))
        .bind(&*to.key.source)
        .bind(to.key.event.as_str())
        .bind(to.state.as_str())
        .bind(to.reason.as_deref())
        .bind(to.next_at.map(at))
        .bind(to.state.is_final().then(|| at(now)))
        .bind(from.iter().map(|state| state.as_str()).collect::<Vec<_>>())
        .execute(pool)
        .await?;
    Ok(done.rows_affected() > 0)
}

pub(super) async fn backlog(pool: &PgPool) -> Result<Vec<Backlog>, DbError> {
    let rows = sqlx::query(BACKLOG).fetch_all(pool).await?;
    rows.iter()
        .map(|row| {
            Ok(Backlog {
                state: state_of(row)?,
                count: count_of(row)?,
                oldest: Timestamp::from_chrono(row.try_get("oldest")?),
            })
        })
        .collect()
}

pub(super) async fn counts(pool: &PgPool) -> Result<Vec<(State, String, u64)>, DbError> {
    let rows = sqlx::query(COUNTS).fetch_all(pool).await?;
    rows.iter()
        .map(|row| Ok((state_of(row)?, row.try_get("event_type")?, count_of(row)?)))
        .collect()
}

fn count_of(row: &PgRow) -> Result<u64, DbError> {
    let count: i64 = row.try_get("count")?;
    Ok(count.unsigned_abs())
}

fn key_of(row: &PgRow) -> Result<ReceiptKey, DbError> {
    let source: &str = row.try_get("source")?;
    let event: &str = row.try_get("event_id")?;
    let event = StripeEventId::parse(event).map_err(|_| corrupt("event_id"))?;
    Ok(ReceiptKey::new(source, event))
}

fn state_of(row: &PgRow) -> Result<State, DbError> {
    State::from_word(row.try_get("state")?).ok_or_else(|| corrupt("state"))
}

fn receipt_of(row: &PgRow) -> Result<Receipt, DbError> {
    let time = |name: &str| -> Result<Option<Timestamp>, DbError> {
        let value: Option<DateTime<Utc>> = row.try_get(name)?;
        Ok(value.map(Timestamp::from_chrono))
    };
    let attempts: i32 = row.try_get("attempts")?;
    let stream: Option<&str> = row.try_get("stream_id")?;
    let stream_part: Option<i32> = row.try_get("stream_part")?;
    let first: Option<i64> = row.try_get("first_position")?;
    let last: Option<i64> = row.try_get("last_position")?;
    let placed = match stream {
        None => None,
        Some(stream) => Some(Placed {
            stream: StreamId::parse(stream).map_err(|_| corrupt("stream_id"))?,
            part: part_in(stream_part.map(i64::from)),
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
        received_at: time("received_at")?.ok_or_else(|| corrupt("received_at"))?,
        next_at: time("next_at")?,
        settled_at: time("settled_at")?,
        placed,
    })
}

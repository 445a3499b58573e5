//! The append's SQL on SQLite, inside the savepoint of one job of the one writer.

use std::ops::Range;

use aggregates::time::Timestamp;
use projections::db::{Class, DbError, position_from_sql};
use projections::failpoint;
use sqlx::{QueryBuilder, Sqlite, SqliteConnection};

use super::batch::Batch;
use super::{Abort, Base, SideRow, idempotency, mark};

/// Rows of one insert; the statement of each size stays prepared.
const ROWS: [usize; 3] = [32, 8, 1];

const HEAD: &str = "update log_head set position = position + ?2 where part = ?1 returning position - ?2";

const OUTBOX: &str = "insert into outbox (part, outbox_id, kind, body, cause_event_id, position, state, next_at) \
     values (?1, ?2, ?3, ?4, ?5, ?6, 'due', ?7)";

const PERSON: &str = "insert into person (part, stream_id, field, value, as_of, updated_at) \
     values (?1, ?2, ?3, ?4, ?5, ?6) on conflict (part, stream_id, field) do update \
     set value = excluded.value, as_of = excluded.as_of, updated_at = excluded.updated_at \
     where person.as_of <= excluded.as_of";

const TENANT_PROFILE: &str = "insert into tenant_profile \
     (part, tenant, stream_id, name, email, currency, metadata, created_at, updated_at) \
     values (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?8) on conflict (part, tenant) do update \
     set stream_id = excluded.stream_id, name = excluded.name, email = excluded.email, currency = excluded.currency, \
     metadata = excluded.metadata, updated_at = excluded.updated_at";

/// All statements of the append; the writer commits. There is no other writer, so the head can be taken first and the
/// marks inserted with their positions; a mark that was there before rolls the head back with the savepoint.
pub(super) async fn write(conn: &mut SqliteConnection, batch: &Batch, unkeyed: bool) -> Result<Base, Abort> {
    let base = if batch.event_count() > 0 {
        Some(head(conn, batch).await?)
    } else {
        None
    };
    let taken = batch.taken(marks(conn, batch, base.unwrap_or(0)).await?);
    if !taken.is_empty() && !unkeyed {
        let (sources, keys) = batch.keys_of(&taken);
        let found = mark::find_sqlite(conn, batch.part, &sources, &keys).await?;
        return Err(Abort::Taken(taken.into_iter().zip(found).collect()));
    }
    failpoint::reach("append.after-marks");
    for claim in &batch.api {
        idempotency::claim_sqlite(conn, batch.part, claim, batch.recorded_at).await?;
    }
    for row in &batch.sides {
        side(conn, batch.part, row, batch.recorded_at).await?;
    }
    for rows in chunks(batch.events.sequences.len()) {
        insert(conn, batch, base.unwrap_or(0), rows).await?;
    }
    outbox(conn, batch, base.unwrap_or(0)).await?;
    Ok(base.map(position_from_sql).transpose()?)
}

async fn head(conn: &mut SqliteConnection, batch: &Batch) -> Result<i64, DbError> {
    let query = sqlx::query_scalar(HEAD).bind(batch.part).bind(batch.sql_count());
    let base: Option<i64> = query.fetch_optional(conn).await?;
    base.ok_or_else(|| DbError::of(Class::Fatal, "log_head has no row for this part"))
}

fn chunks(count: usize) -> Vec<Range<usize>> {
    let mut from = 0;
    let mut ranges = Vec::new();
    for rows in ROWS {
        while count - from >= rows {
            ranges.push(from..from + rows);
            from += rows;
        }
    }
    ranges
}

/// Inserts all marks; answers those that were not there before.
async fn marks(conn: &mut SqliteConnection, batch: &Batch, base: i64) -> Result<Vec<(String, String)>, DbError> {
    let marks = &batch.marks;
    let mut recorded = vec![None; marks.keys.len()];
    for (item, first, last) in &marks.recorded {
        recorded[*item] = Some((base + first, base + last));
    }
    let mut fresh = Vec::with_capacity(marks.keys.len());
    for rows in chunks(marks.keys.len()) {
        let mut query = QueryBuilder::<Sqlite>::new(
            "insert into inbox (part, source, key, request_hash, received_at, outcome, first_position, last_position) ",
        );
        query.push_values(rows, |mut row, at| {
            let positions = recorded[at];
            row.push_bind(batch.part)
                .push_bind(&marks.sources[at])
                .push_bind(&marks.keys[at])
                .push_bind(marks.hashes[at].as_deref())
                .push_bind(batch.recorded_at.micros())
                .push_bind(if positions.is_some() { "recorded" } else { "no_change" })
                .push_bind(positions.map(|(first, _)| first))
                .push_bind(positions.map(|(_, last)| last));
        });
        query.push(" on conflict do nothing returning source, key");
        fresh.extend(query.build_query_as::<(String, String)>().fetch_all(&mut *conn).await?);
    }
    Ok(fresh)
}

async fn insert(conn: &mut SqliteConnection, batch: &Batch, base: i64, rows: Range<usize>) -> Result<(), DbError> {
    let events = &batch.events;
    let mut query = QueryBuilder::<Sqlite>::new(
        "insert into events (aggregate_type, aggregate_id, sequence, event_type, event_version, payload, metadata, \
         part, position, tenant, event_id, causation_id, correlation_id, occurred_at, recorded_at, content_hash) ",
    );
    let mut position = base + i64::try_from(rows.start).unwrap_or(i64::MAX);
    query.push_values(rows, |mut row, at| {
        position += 1;
        row.push_bind(events.aggregate_types[at])
            .push_bind(&events.streams[at])
            .push_bind(events.sequences[at])
            .push_bind(&events.types[at])
            .push_bind(&events.versions[at])
            .push_bind(&events.payloads[at])
            .push_bind(&events.metadatas[at])
            .push_bind(batch.part)
            .push_bind(position)
            .push_bind(&events.tenants[at])
            .push_bind(events.ids[at].hyphenated())
            .push_bind(&events.causations[at])
            .push_bind(&events.correlations[at])
            .push_bind(events.occurred[at].micros())
            .push_bind(batch.recorded_at.micros())
            .push_bind(events.hashes[at].as_slice());
    });
    query.build().execute(conn).await.map_err(DbError::at_events_insert)?;
    Ok(())
}

async fn outbox(conn: &mut SqliteConnection, batch: &Batch, base: i64) -> Result<(), DbError> {
    let outbox = &batch.outbox;
    for at in 0..outbox.ids.len() {
        let position = if outbox.ordinals[at] > 0 {
            base + outbox.ordinals[at]
        } else {
            outbox.positions[at]
        };
        sqlx::query(OUTBOX)
            .bind(batch.part)
            .bind(outbox.ids[at].hyphenated())
            .bind(&outbox.kinds[at])
            .bind(&outbox.bodies[at])
            .bind(outbox.causes[at].hyphenated())
            .bind(position)
            .bind(outbox.next_at[at].micros())
            .execute(&mut *conn)
            .await?;
    }
    Ok(())
}

async fn side(conn: &mut SqliteConnection, part: u32, row: &SideRow, now: Timestamp) -> Result<(), DbError> {
    let query = match row {
        SideRow::Person {
            stream,
            field,
            value,
            as_of,
        } => sqlx::query(PERSON)
            .bind(part)
            .bind(stream.as_str())
            .bind(field)
            .bind(value)
            .bind(as_of.micros())
            .bind(now.micros()),
        SideRow::TenantProfile {
            tenant,
            stream,
            name,
            email,
            currency,
            metadata,
        } => sqlx::query(TENANT_PROFILE)
            .bind(part)
            .bind(tenant.as_str())
            .bind(stream.as_str())
            .bind(name)
            .bind(email)
            .bind(currency)
            .bind(metadata)
            .bind(now.micros()),
    };
    query.execute(conn).await?;
    Ok(())
}

//! The append's SQL on Postgres: marks first, then side rows, then one statement that takes the head last.
//!
//! Postgres makes a transaction visible before it lets go of its locks, so position n+1 can only be taken once n can
//! be read; a rollback gives the number back. That makes positions dense and in commit order.

use aggregates::time::Timestamp;
use chrono::{DateTime, Utc};
use projections::db::{Class, Db, DbError, Pool, part_to_sql, position_from_sql};
use projections::failpoint;
use sqlx::{PgConnection, Row};

use super::batch::Batch;
use super::{Abort, Base, SideRow, idempotency, mark};

/// Sorted, so that overlapping batches never wait crosswise. A concurrent twin waits here for the first to end.
pub(crate) const MARKS: &str = "insert into inbox (part, source, key, request_hash, received_at, outcome) \
     select $1, m.source, m.key, m.request_hash, $5, 'no_change' \
     from unnest($2::text[], $3::text[], $4::bytea[]) m (source, key, request_hash) order by m.source, m.key \
     on conflict do nothing returning source, key";

/// The last statement before COMMIT: from here to there nobody else takes a position of this part.
pub(crate) const EVENTS: &str = "with head as ( \
       update log_head set position = position + $2 where part = $1 returning position - $2 as base), \
     ev as (insert into events (aggregate_type, aggregate_id, sequence, event_type, event_version, payload, metadata, \
         part, position, tenant, event_id, causation_id, correlation_id, occurred_at, recorded_at, content_hash) \
       select i.aggregate_type, i.aggregate_id, i.sequence, i.event_type, i.event_version, i.payload::json, \
         i.metadata::json, $1, head.base + i.ord, i.tenant, i.event_id, i.causation_id, i.correlation_id, \
         i.occurred_at, $3, i.content_hash \
       from head, unnest($4::text[], $5::text[], $6::bigint[], $7::text[], $8::text[], $9::text[], $10::text[], \
         $11::text[], $12::uuid[], $13::text[], $14::text[], $15::timestamptz[], $16::bytea[]) with ordinality \
         i (aggregate_type, aggregate_id, sequence, event_type, event_version, payload, metadata, tenant, event_id, \
            causation_id, correlation_id, occurred_at, content_hash, ord) returning 1), \
     ob as (insert into outbox (part, outbox_id, kind, body, cause_event_id, position, state, next_at) \
       select $1, o.outbox_id, o.kind, o.body::json, o.cause, \
         case when o.ordinal > 0 then head.base + o.ordinal else o.position end, 'due', o.next_at \
       from head, unnest($17::uuid[], $18::text[], $19::text[], $20::uuid[], $21::bigint[], $22::bigint[], \
         $23::timestamptz[]) o (outbox_id, kind, body, cause, ordinal, position, next_at) returning 1), \
     ib as (update inbox set outcome = 'recorded', first_position = head.base + r.first, \
         last_position = head.base + r.last \
       from head, unnest($24::text[], $25::text[], $26::bigint[], $27::bigint[]) r (source, key, first, last) \
       where inbox.part = $1 and inbox.source = r.source and inbox.key = r.key returning 1) \
     select base, (select count(*) from ev), (select count(*) from ob), (select count(*) from ib) from head";

const HEAD: &str = "update log_head set position = position + $2 where part = $1 returning position - $2 as base";

/// Effects of an append without events; the head is not touched.
pub(crate) const OUTBOX: &str = "insert into outbox (part, outbox_id, kind, body, cause_event_id, position, state, next_at) \
     select $1, o.outbox_id, o.kind, o.body::json, o.cause, o.position, 'due', o.next_at \
     from unnest($2::uuid[], $3::text[], $4::text[], $5::uuid[], $6::bigint[], $7::timestamptz[]) \
     o (outbox_id, kind, body, cause, position, next_at)";

const PERSON: &str = "insert into person (part, stream_id, field, value, as_of, updated_at) \
     values ($1, $2, $3, $4, $5, $6) on conflict (part, stream_id, field) do update \
     set value = excluded.value, as_of = excluded.as_of, updated_at = excluded.updated_at \
     where person.as_of <= excluded.as_of";

const TENANT_PROFILE: &str = "insert into tenant_profile \
     (part, tenant, stream_id, name, email, currency, metadata, created_at, updated_at) \
     values ($1, $2, $3, $4, $5, $6, $7::json, $8, $8) on conflict (part, tenant) do update \
     set stream_id = excluded.stream_id, name = excluded.name, email = excluded.email, currency = excluded.currency, \
     metadata = excluded.metadata, updated_at = excluded.updated_at";

/// The whole transaction but BEGIN and COMMIT.
pub(super) async fn write(
    conn: &mut PgConnection,
    batch: &Batch,
    unkeyed: bool,
    early: Option<i64>,
) -> Result<Base, Abort> {
    let part = part_to_sql(batch.part)?;
    let now = batch.recorded_at.to_chrono();
    let fresh: Vec<(String, String)> = sqlx::query_as(MARKS)
        .bind(part)
        .bind(&batch.marks.sources)
        .bind(&batch.marks.keys)
        .bind(&batch.marks.hashes)
        .bind(now)
        .fetch_all(&mut *conn)
        .await?;
    let taken = batch.taken(fresh);
    if !taken.is_empty() && !unkeyed {
        let (sources, keys) = batch.keys_of(&taken);
        let found = mark::find_postgres(conn, batch.part, &sources, &keys).await?;
        return Err(Abort::Taken(taken.into_iter().zip(found).collect()));
    }
    failpoint::reach("append.after-marks");
    for claim in &batch.api {
        idempotency::claim_postgres(conn, batch.part, claim, batch.recorded_at).await?;
    }
    for row in &batch.sides {
        side(conn, part, row, now).await?;
    }
    if batch.event_count() > 0 {
        return Ok(Some(events(conn, part, batch, early).await?));
    }
    if !batch.outbox.ids.is_empty() {
        outbox(conn, part, batch).await?;
    }
    Ok(None)
}

async fn events(conn: &mut PgConnection, part: i32, batch: &Batch, early: Option<i64>) -> Result<u64, Abort> {
    let events = &batch.events;
    let outbox = &batch.outbox;
    let hashes: Vec<&[u8]> = events.hashes.iter().map(<[u8; 32]>::as_slice).collect();
    let recorded = batch.recorded_marks();
    let planted = early.map(|_| EVENTS.replace(HEAD, "select $28::bigint + 0 * $2 as base"));
    let mut query = sqlx::query(planted.as_deref().unwrap_or(EVENTS))
        .bind(part)
        .bind(batch.sql_count())
        .bind(batch.recorded_at.to_chrono())
        .bind(&events.aggregate_types)
        .bind(&events.streams)
        .bind(&events.sequences)
        .bind(&events.types)
        .bind(&events.versions)
        .bind(&events.payloads)
        .bind(&events.metadatas)
        .bind(&events.tenants)
        .bind(&events.ids)
        .bind(&events.causations)
        .bind(&events.correlations)
        .bind(instants(&events.occurred))
        .bind(hashes)
        .bind(&outbox.ids)
        .bind(&outbox.kinds)
        .bind(&outbox.bodies)
        .bind(&outbox.causes)
        .bind(&outbox.ordinals)
        .bind(&outbox.positions)
        .bind(instants(&outbox.next_at))
        .bind(recorded.sources)
        .bind(recorded.keys)
        .bind(recorded.firsts)
        .bind(recorded.lasts);
    if let Some(base) = early {
        query = query.bind(base);
    }
    let row = query.fetch_optional(conn).await.map_err(DbError::at_events_insert)?;
    let Some(row) = row else {
        return Err(DbError::of(Class::Fatal, "log_head has no row for this part").into());
    };
    batch.check_counts(row.try_get(1)?, row.try_get(2)?, row.try_get(3)?)?;
    Ok(position_from_sql(row.try_get(0)?)?)
}

async fn outbox(conn: &mut PgConnection, part: i32, batch: &Batch) -> Result<(), DbError> {
    let outbox = &batch.outbox;
    sqlx::query(OUTBOX)
        .bind(part)
        .bind(&outbox.ids)
        .bind(&outbox.kinds)
        .bind(&outbox.bodies)
        .bind(&outbox.causes)
        .bind(&outbox.positions)
        .bind(instants(&outbox.next_at))
        .execute(conn)
        .await?;
    Ok(())
}

async fn side(conn: &mut PgConnection, part: i32, row: &SideRow, now: DateTime<Utc>) -> Result<(), DbError> {
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
            .bind(as_of.to_chrono())
            .bind(now),
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
            .bind(now),
    };
    query.execute(conn).await?;
    Ok(())
}

fn instants(at: &[Timestamp]) -> Vec<DateTime<Utc>> {
    at.iter().map(|at| at.to_chrono()).collect()
}

/// The planted fault `position-taken-early`: a number taken outside the transaction, as an identity column would.
pub(super) async fn take_early(db: &Db, batch: &Batch) -> Result<Option<i64>, DbError> {
    let Pool::Postgres(pool) = db.pool_for(batch.part) else {
        return Ok(None);
    };
    let query = sqlx::query_scalar(HEAD)
        .bind(part_to_sql(batch.part)?)
        .bind(batch.sql_count());
    Ok(Some(query.fetch_one(pool).await?))
}

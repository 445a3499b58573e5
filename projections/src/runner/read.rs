//! One read for all parts that are behind.

use chrono::{DateTime, Utc};
use sqlx::Row;
use sqlx::postgres::{PgPool, PgRow};

use aggregates::time::Timestamp;

use crate::db::{Db, DbError, Pool, part_to_sql, position_from_sql, position_to_sql};
use crate::log::read_page;
use crate::projection::LogEvent;

/// Events of one part after a position.
#[derive(Debug)]
pub(crate) struct Page {
    pub(crate) part: u32,
    pub(crate) events: Vec<LogEvent>,
}

/// Each part is one index scan that stops after `limit` rows.
const PAGES: &str = "select e.part, e.position, e.aggregate_type, e.aggregate_id, e.sequence, e.tenant, e.event_id, \
     e.event_type, e.event_version, e.payload::text, e.metadata::text, e.occurred_at, e.recorded_at \
     from unnest($1::int[], $2::bigint[]) p (part, after) cross join lateral ( \
       select * from events e where e.part = p.part and e.position > p.after order by e.position limit $3) e \
     order by e.part, e.position";

/// Reads at most `limit` events of each `(part, after)`. All parts live in one database.
pub(crate) async fn pages(db: &Db, wanted: &[(u32, u64)], limit: u32) -> Result<Vec<Page>, DbError> {
    let Some((first, _)) = wanted.first() else {
        return Ok(Vec::new());
    };
    match db.pool_for(*first) {
        Pool::Sqlite(_) => {
            let mut pages = Vec::new();
            for (part, after) in wanted {
                let stored = read_page(db, *part, *after, limit).await?;
                pages.push(Page {
                    part: *part,
                    events: stored.into_iter().map(LogEvent::from).collect(),
                });
            }
            Ok(pages)
        }
        Pool::Postgres(pool) => pages_postgres(pool, wanted, limit).await,
    }
}

async fn pages_postgres(pool: &PgPool, wanted: &[(u32, u64)], limit: u32) -> Result<Vec<Page>, DbError> {
    let parts = wanted
        .iter()
        .map(|(part, _)| part_to_sql(*part))
        .collect::<Result<Vec<_>, _>>()?;
    let after = wanted
        .iter()
        .map(|(_, at)| position_to_sql(*at))
        .collect::<Result<Vec<_>, _>>()?;
    let query = sqlx::query(PAGES).bind(parts).bind(after).bind(i64::from(limit));
    let mut pages: Vec<Page> = Vec::with_capacity(wanted.len());
    for row in &query.fetch_all(pool).await? {
        let event = event(row)?;
        match pages.last_mut() {
            Some(page) if page.part == event.part => page.events.push(event),
            Some(_) | None => pages.push(Page {
                part: event.part,
                events: vec![event],
            }),
        }
    }
    Ok(pages)
}

fn event(row: &PgRow) -> Result<LogEvent, DbError> {
    let version: &str = row.try_get(8)?;
    Ok(LogEvent {
        part: u32::try_from(row.try_get::<i32, _>(0)?).map_err(|_| DbError::bug("a part is negative"))?,
        position: position_from_sql(row.try_get(1)?)?,
        aggregate_type: row.try_get(2)?,
        stream: row.try_get(3)?,
        sequence: position_from_sql(row.try_get(4)?)?,
        tenant: row.try_get(5)?,
        event_id: row.try_get(6)?,
        event_type: row.try_get(7)?,
        // A version that is no number is newer than any we know: the decoder refuses it and says so.
        event_version: version.parse().unwrap_or(u32::MAX),
        payload: row.try_get(9)?,
        metadata: row.try_get(10)?,
        occurred_at: Timestamp::from_chrono(row.try_get::<DateTime<Utc>, _>(11)?),
        recorded_at: Timestamp::from_chrono(row.try_get::<DateTime<Utc>, _>(12)?),
        typed: std::sync::OnceLock::new(),
    })
}

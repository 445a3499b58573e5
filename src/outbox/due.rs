//! Which parts have effects that are due: one read for all of them, so that an idle service claims nothing.

use aggregates::time::Timestamp;
use projections::db::{Db, DbError, Pool, part_to_sql};
use sqlx::Row;

const DUE_POSTGRES: &str = "select distinct part from outbox where part = any($1) and kind = any($2) \
     and state in ('due', 'sending', 'unknown') and next_at <= $3";
const DUE_SQLITE: &str = "select distinct part from outbox where part = 0 \
     and kind in (select value from json_each(?1)) and state in ('due', 'sending', 'unknown') and next_at <= ?2";
const WAITING_POSTGRES: &str = "select count(*), min(next_at) from outbox where part = any($1) and kind = $2 \
     and state in ('due', 'sending', 'unknown')";
const WAITING_SQLITE: &str = "select count(*), min(next_at) from outbox where part = 0 and kind = ?1 \
     and state in ('due', 'sending', 'unknown')";

/// Effects of one kind that are not finished.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Waiting {
    /// How many.
    pub count: u64,
    /// When the first of them is or was due.
    pub oldest: Option<Timestamp>,
}

/// Those of `parts` in which effects of `kinds` are due at `now`.
pub async fn due_parts(db: &Db, parts: &[u32], kinds: &[&str], now: Timestamp) -> Result<Vec<u32>, DbError> {
    let mut due = Vec::new();
    for (first, parts) in db.by_database(parts.iter().copied(), |part| *part) {
        match db.pool_for(first) {
            Pool::Postgres(pool) => {
                let parts: Vec<i32> = parts.iter().map(|part| part_to_sql(*part)).collect::<Result<_, _>>()?;
                let kinds: Vec<&str> = kinds.to_vec();
                let query = sqlx::query(DUE_POSTGRES).bind(parts).bind(kinds).bind(now.to_chrono());
                for row in query.fetch_all(pool).await? {
                    due.extend(u32::try_from(row.try_get::<i32, _>(0)?));
                }
            }
            Pool::Sqlite(pool) => {
                let kinds = serde_json::to_string(kinds).map_err(|error| DbError::bug(error.to_string()))?;
                let query = sqlx::query(DUE_SQLITE).bind(kinds).bind(now.micros());
                due.extend(query.fetch_optional(pool).await?.map(|_| 0));
            }
        }
    }
    due.sort_unstable();
    Ok(due)
}

/// How much of a kind waits in these parts.
pub async fn waiting(db: &Db, parts: &[u32], kind: &str) -> Result<Waiting, DbError> {
    let mut all = Waiting::default();
    for (first, parts) in db.by_database(parts.iter().copied(), |part| *part) {
        let (count, oldest) = match db.pool_for(first) {
            Pool::Postgres(pool) => {
                let parts: Vec<i32> = parts.iter().map(|part| part_to_sql(*part)).collect::<Result<_, _>>()?;
                let row = sqlx::query(WAITING_POSTGRES)
                    .bind(parts)
                    .bind(kind)
                    .fetch_one(pool)
                    .await?;
                let oldest: Option<chrono::DateTime<chrono::Utc>> = row.try_get(1)?;
                (row.try_get::<i64, _>(0)?, oldest.map(Timestamp::from_chrono))
            }
            Pool::Sqlite(pool) => {
                let row = sqlx::query(WAITING_SQLITE).bind(kind).fetch_one(pool).await?;
                let oldest: Option<i64> = row.try_get(1)?;
                (
                    row.try_get(0)?,
                    oldest.and_then(|micros| Timestamp::from_micros(micros).ok()),
                )
            }
        };
        all.count += u64::try_from(count).unwrap_or(0);
        all.oldest = [all.oldest, oldest].into_iter().flatten().min();
    }
    Ok(all)
}

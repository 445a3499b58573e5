//! What the inbox remembers of an append that was done.

use aggregates::time::Timestamp;
use projections::db::{Db, DbError, Pool, at_from_chrono, at_from_micros, part_to_sql, position_from_sql};
use sqlx::postgres::PgRow;
use sqlx::sqlite::SqliteRow;
use sqlx::{PgConnection, Row, SqliteConnection};

/// A mark found in the inbox: the receipt of what was done under its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredMark {
    /// Who gave the key.
    pub source: String,
    /// The key.
    pub key: String,
    /// Hash of the request, if one was kept.
    pub request_hash: Option<Vec<u8>>,
    /// When it was done.
    pub received_at: Timestamp,
    /// First and last position; none when there was nothing to record.
    pub positions: Option<(u64, u64)>,
}

pub(super) const FIND_POSTGRES: &str = "select i.source, i.key, i.request_hash, i.received_at, i.first_position, i.last_position \
     from unnest($2::text[], $3::text[]) k (source, key) \
     join inbox i on i.part = $1 and i.source = k.source and i.key = k.key";
const FIND_SQLITE: &str = "select source, key, request_hash, received_at, first_position, last_position \
     from inbox where part = ?1 and source = ?2 and key = ?3";

fn positions(first: Option<i64>, last: Option<i64>) -> Result<Option<(u64, u64)>, DbError> {
    let (Some(first), Some(last)) = (first, last) else {
        return Ok(None);
    };
    Ok(Some((position_from_sql(first)?, position_from_sql(last)?)))
}

fn from_postgres(row: &PgRow) -> Result<StoredMark, DbError> {
    Ok(StoredMark {
        source: row.try_get(0)?,
        key: row.try_get(1)?,
        request_hash: row.try_get(2)?,
        received_at: at_from_chrono(row.try_get(3)?)?,
        positions: positions(row.try_get(4)?, row.try_get(5)?)?,
    })
}

fn from_sqlite(row: &SqliteRow) -> Result<StoredMark, DbError> {
    Ok(StoredMark {
        source: row.try_get(0)?,
        key: row.try_get(1)?,
        request_hash: row.try_get(2)?,
        received_at: at_from_micros(row.try_get(3)?)?,
        positions: positions(row.try_get(4)?, row.try_get(5)?)?,
    })
}

/// The marks of these keys, in their order.
pub(super) async fn find_postgres(
    conn: &mut PgConnection,
    part: u32,
    sources: &[String],
    keys: &[String],
) -> Result<Vec<Option<StoredMark>>, DbError> {
    let query = sqlx::query(FIND_POSTGRES)
        .bind(part_to_sql(part)?)
        .bind(sources)
        .bind(keys);
    let rows = query.fetch_all(conn).await?;
    let found = rows.iter().map(from_postgres).collect::<Result<Vec<_>, _>>()?;
    let wanted = sources.iter().zip(keys);
    Ok(wanted
        .map(|(source, key)| {
            found
                .iter()
                .find(|mark| mark.source == *source && mark.key == *key)
                .cloned()
        })
        .collect())
}

/// The marks of these keys, in their order.
pub(super) async fn find_sqlite(
    conn: &mut SqliteConnection,
    part: u32,
    sources: &[String],
    keys: &[String],
) -> Result<Vec<Option<StoredMark>>, DbError> {
    let mut found = Vec::with_capacity(keys.len());
    for (source, key) in sources.iter().zip(keys) {
        let query = sqlx::query(FIND_SQLITE).bind(part).bind(source).bind(key);
        let row = query.fetch_optional(&mut *conn).await?;
        found.push(row.as_ref().map(from_sqlite).transpose()?);
    }
    Ok(found)
}

/// The mark of one key, read outside any transaction: for showing, never for deciding whether to append.
pub async fn find(db: &Db, part: u32, source: &str, key: &str) -> Result<Option<StoredMark>, DbError> {
    let (sources, keys) = ([source.to_owned()], [key.to_owned()]);
    let found = match db.pool_for(part) {
        Pool::Sqlite(pool) => find_sqlite(&mut *pool.acquire().await?, part, &sources, &keys).await?,
        Pool::Postgres(pool) => find_postgres(&mut *pool.acquire().await?, part, &sources, &keys).await?,
    };
    Ok(found.into_iter().flatten().next())
}

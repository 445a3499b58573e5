//! Answers kept for API commands: claimed in the command's own transaction, filled in after it.
//!
//! A crash between the two leaves a claim without an answer; the command sent again then meets its inbox mark, so
//! its effect stays done once, and the answer is made from the stored receipt.

use aggregates::time::Timestamp;
use projections::db::{Conn, Db, DbError, Pool, part_to_sql};
use sqlx::{PgConnection, SqliteConnection};

use super::ApiClaim;

/// What is kept for one Idempotency-Key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiAnswer {
    /// SHA-256 of the request it belongs to.
    pub request_hash: Vec<u8>,
    /// HTTP status; none while the command runs.
    pub status: Option<u16>,
    /// JSON text of the answer.
    pub body: Option<String>,
}

const CLAIM_POSTGRES: &str = "insert into api_idempotency (part, scope, key, request_hash, command_id, created_at, expires_at) \
     values ($1, $2, $3, $4, $5, $6, $7) on conflict do nothing";
const CLAIM_SQLITE: &str = "insert into api_idempotency (part, scope, key, request_hash, command_id, created_at, expires_at) \
     values (?1, ?2, ?3, ?4, ?5, ?6, ?7) on conflict do nothing";
const FIND_POSTGRES: &str = "select request_hash, status, body::text from api_idempotency \
     where part = $1 and scope = $2 and key = $3 and expires_at > $4";
const FIND_SQLITE: &str = "select request_hash, status, body from api_idempotency \
     where part = ?1 and scope = ?2 and key = ?3 and expires_at > ?4";
const SETTLE_POSTGRES: &str =
    "update api_idempotency set status = $4, body = $5::json where part = $1 and scope = $2 and key = $3";
const SETTLE_SQLITE: &str =
    "update api_idempotency set status = ?4, body = ?5 where part = ?1 and scope = ?2 and key = ?3";
const EXPIRE_POSTGRES: &str = "delete from api_idempotency where part = $1 and (scope, key) in ( \
     select scope, key from api_idempotency where part = $1 and expires_at <= $2 order by expires_at limit $3)";
const EXPIRE_SQLITE: &str = "delete from api_idempotency where part = ?1 and (scope, key) in ( \
     select scope, key from api_idempotency where part = ?1 and expires_at <= ?2 order by expires_at limit ?3)";

/// Answers dropped by one statement, so that a backlog never meets the store's time limit.
pub const FORGET_MAX: u32 = 1_000;

pub(super) async fn claim_postgres(
    conn: &mut PgConnection,
    part: u32,
    claim: &ApiClaim,
    now: Timestamp,
) -> Result<(), DbError> {
    sqlx::query(CLAIM_POSTGRES)
        .bind(part_to_sql(part)?)
        .bind(&claim.scope)
        .bind(&claim.key)
        .bind(claim.request_hash.as_slice())
        .bind(claim.command_id)
        .bind(now.to_chrono())
        .bind(claim.expires_at.to_chrono())
        .execute(conn)
        .await?;
    Ok(())
}

pub(super) async fn claim_sqlite(
    conn: &mut SqliteConnection,
    part: u32,
    claim: &ApiClaim,
    now: Timestamp,
) -> Result<(), DbError> {
    sqlx::query(CLAIM_SQLITE)
        .bind(part)
        .bind(&claim.scope)
        .bind(&claim.key)
        .bind(claim.request_hash.as_slice())
        .bind(claim.command_id.hyphenated())
        .bind(now.micros())
        .bind(claim.expires_at.micros())
        .execute(conn)
        .await?;
    Ok(())
}

/// The stored answer of a key that has not expired at `now`.
pub async fn find_answer(
    db: &Db,
    part: u32,
    scope: &str,
    key: &str,
    now: Timestamp,
) -> Result<Option<ApiAnswer>, DbError> {
    type Row = (Vec<u8>, Option<i32>, Option<String>);
    let row: Option<Row> = match db.pool_for(part) {
        Pool::Sqlite(pool) => {
            let query = sqlx::query_as(FIND_SQLITE)
                .bind(part)
                .bind(scope)
                .bind(key)
                .bind(now.micros());
            query.fetch_optional(pool).await?
        }
        Pool::Postgres(pool) => {
            let query = sqlx::query_as(FIND_POSTGRES)
                .bind(part_to_sql(part)?)
                .bind(scope)
                .bind(key);
            query.bind(now.to_chrono()).fetch_optional(pool).await?
        }
    };
    Ok(row.map(|(request_hash, status, body)| ApiAnswer {
        request_hash,
        status: status.and_then(|status| u16::try_from(status).ok()),
        body,
    }))
}

/// Keeps the answer of a command that was claimed by its append.
pub async fn settle_answer(
    db: &Db,
    part: u32,
    scope: &str,
    key: &str,
    status: u16,
    body: Option<String>,
) -> Result<(), DbError> {
    let (scope, key, status) = (scope.to_owned(), key.to_owned(), i32::from(status));
    db.write(part, move |conn| {
        Box::pin(async move {
            match conn {
                Conn::Sqlite(conn) => {
                    let query = sqlx::query(SETTLE_SQLITE).bind(part).bind(scope).bind(key);
                    query.bind(status).bind(body).execute(conn).await?;
                }
                Conn::Postgres(conn) => {
                    let query = sqlx::query(SETTLE_POSTGRES)
                        .bind(part_to_sql(part)?)
                        .bind(scope)
                        .bind(key);
                    query.bind(status).bind(body).execute(conn).await?;
                }
            }
            Ok(())
        })
    })
    .await
}

/// Drops answers that expired, at most [`FORGET_MAX`]; says how many.
pub async fn forget_expired(db: &Db, part: u32, now: Timestamp) -> Result<u64, DbError> {
    db.write(part, move |conn| {
        Box::pin(async move {
            Ok(match conn {
                Conn::Sqlite(conn) => {
                    let query = sqlx::query(EXPIRE_SQLITE).bind(part).bind(now.micros());
                    query.bind(FORGET_MAX).execute(conn).await?.rows_affected()
                }
                Conn::Postgres(conn) => {
                    let query = sqlx::query(EXPIRE_POSTGRES)
                        .bind(part_to_sql(part)?)
                        .bind(now.to_chrono());
                    query.bind(i64::from(FORGET_MAX)).execute(conn).await?.rows_affected()
                }
            })
        })
    })
    .await
}

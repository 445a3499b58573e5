//! How far Stripe's lists have been read: kept page by page, so that a walk that broke off goes on where it was.

use aggregates::partition::part_of_key;
use aggregates::time::Timestamp;
use projections::db::{Conn, Db, DbError, Pool, at_from_chrono, at_from_micros, part_to_sql};
use sqlx::Row;

const LOAD_POSTGRES: &str = "select read_until, walk_since, walk_began, walk_after from stripe_cursor \
     where part = $1 and source = $2 and list = $3";
const LOAD_SQLITE: &str = "select read_until, walk_since, walk_began, walk_after from stripe_cursor \
     where part = ?1 and source = ?2 and list = ?3";
const SAVE_POSTGRES: &str = "insert into stripe_cursor \
     (part, source, list, read_until, walk_since, walk_began, walk_after) values ($1, $2, $3, $4, $5, $6, $7) \
     on conflict (part, source, list) do update set read_until = excluded.read_until, \
     walk_since = excluded.walk_since, walk_began = excluded.walk_began, walk_after = excluded.walk_after";
const SAVE_SQLITE: &str = "insert into stripe_cursor \
     (part, source, list, read_until, walk_since, walk_began, walk_after) values (?1, ?2, ?3, ?4, ?5, ?6, ?7) \
     on conflict (part, source, list) do update set read_until = excluded.read_until, \
     walk_since = excluded.walk_since, walk_began = excluded.walk_began, walk_after = excluded.walk_after";

/// The source of the account that owns the key, as receipts name it.
pub const OWN: &str = crate::inbox::receipt::SOURCE_DEFAULT;

/// A list of Stripe's that is read again and again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum List {
    /// Events.
    Events,
    /// Movements of the balance.
    BalanceTransactions,
}

impl List {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Events => "events",
            Self::BalanceTransactions => "balance_transactions",
        }
    }
}

/// How far a list was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cursor {
    /// Everything made before it was recorded.
    pub read_until: Timestamp,
    /// A walk that has not reached its end.
    pub walk: Option<Walking>,
}

/// A walk from the newest object towards its lower edge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Walking {
    /// The lower edge.
    pub since: Timestamp,
    /// When it began: once it has ended, everything made before is recorded.
    pub began: Timestamp,
    /// The last object recorded; none before the first page.
    pub after: Option<String>,
}

/// The part that keeps the cursors of a Stripe account; whoever holds its lease reads the lists.
#[must_use]
pub fn part_of(source: &str, parts: u32) -> u32 {
    part_of_key(source, parts)
}

/// How far a list of an account was read; none when it never was.
pub async fn load(db: &Db, source: &str, list: List) -> Result<Option<Cursor>, DbError> {
    let part = part_of(source, db.parts());
    match db.pool_for(part) {
        Pool::Postgres(pool) => {
            let query = sqlx::query(LOAD_POSTGRES).bind(part_to_sql(part)?).bind(source);
            let row = query.bind(list.as_str()).fetch_optional(pool).await?;
            let Some(row) = row else { return Ok(None) };
            let at = |column: usize| -> Result<Option<Timestamp>, DbError> {
                row.try_get::<Option<_>, _>(column)?.map(at_from_chrono).transpose()
            };
            cursor(at(0)?, at(1)?, at(2)?, row.try_get(3)?)
        }
        Pool::Sqlite(pool) => {
            let query = sqlx::query(LOAD_SQLITE).bind(part).bind(source);
            let row = query.bind(list.as_str()).fetch_optional(pool).await?;
            let Some(row) = row else { return Ok(None) };
            let at = |column: usize| -> Result<Option<Timestamp>, DbError> {
                row.try_get::<Option<i64>, _>(column)?.map(at_from_micros).transpose()
            };
            cursor(at(0)?, at(1)?, at(2)?, row.try_get(3)?)
        }
    }
}

fn cursor(
    read_until: Option<Timestamp>,
    since: Option<Timestamp>,
    began: Option<Timestamp>,
    after: Option<String>,
) -> Result<Option<Cursor>, DbError> {
    let read_until = read_until.ok_or_else(|| DbError::bug("a cursor without a time"))?;
    let walk = since.zip(began).map(|(since, began)| Walking { since, began, after });
    Ok(Some(Cursor { read_until, walk }))
}

/// Keeps how far a list of an account was read.
pub async fn save(db: &Db, source: &str, list: List, cursor: &Cursor) -> Result<(), DbError> {
    let part = part_of(source, db.parts());
    let (source, cursor) = (source.to_owned(), cursor.clone());
    db.write(part, move |conn| {
        Box::pin(async move {
            let walk = cursor.walk.as_ref();
            let (since, began) = (walk.map(|walk| walk.since), walk.map(|walk| walk.began));
            let after = walk.and_then(|walk| walk.after.clone());
            match conn {
                Conn::Postgres(conn) => {
                    let query = sqlx::query(SAVE_POSTGRES).bind(part_to_sql(part)?).bind(source);
                    let query = query.bind(list.as_str()).bind(cursor.read_until.to_chrono());
                    let query = query
                        .bind(since.map(Timestamp::to_chrono))
                        .bind(began.map(Timestamp::to_chrono));
                    query.bind(after).execute(conn).await?;
                }
                Conn::Sqlite(conn) => {
                    let query = sqlx::query(SAVE_SQLITE).bind(part).bind(source);
                    let query = query.bind(list.as_str()).bind(cursor.read_until.micros());
                    let query = query
                        .bind(since.map(Timestamp::micros))
                        .bind(began.map(Timestamp::micros));
                    query.bind(after).execute(conn).await?;
                }
            }
            Ok(())
        })
    })
    .await
}

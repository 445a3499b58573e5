//! Which stream belongs to whom: an authority, claimed before anything is recorded (never derived from events).
//!
//! A row lives in the part of its own key. Claiming is `insert .. on conflict do nothing`: the first one holds it for
//! ever; a later change is a compare-and-set on `version`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use aggregates::partition::part_of_key;
use aggregates::time::Timestamp;
use projections::db::{Conn, Db, DbError, Pool, part_to_sql};
use serde_json::json;
use sqlx::{PgPool, Row, SqliteConnection};

use crate::clock::Clock;

/// What an entry says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// The stream of a Stripe customer.
    Customer,
    /// The account of a tenant.
    Tenant,
    /// The stream a charge belongs to.
    Charge,
    /// The stream a payment intent belongs to.
    PaymentIntent,
    /// The stream an invoice belongs to.
    Invoice,
    /// The customer a tenant's own stream has, or has yielded to.
    CustomerOf,
    /// The tenant a customer's stream was given.
    TenantOf,
}

impl Kind {
    /// As it is stored.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Customer => "customer",
            Self::Tenant => "tenant",
            Self::Charge => "charge",
            Self::PaymentIntent => "payment_intent",
            Self::Invoice => "invoice",
            Self::CustomerOf => "customer_of",
            Self::TenantOf => "tenant_of",
        }
    }

    fn from_word(word: &str) -> Result<Self, DbError> {
        Ok(match word {
            "customer" => Self::Customer,
            "tenant" => Self::Tenant,
            "charge" => Self::Charge,
            "payment_intent" => Self::PaymentIntent,
            "invoice" => Self::Invoice,
            "customer_of" => Self::CustomerOf,
            "tenant_of" => Self::TenantOf,
            other => return Err(DbError::bug(format!("the directory holds an unknown kind {other:?}"))),
        })
    }
}

/// A wish to hold an entry.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Claim {
    /// What it says.
    pub kind: Kind,
    /// Of what.
    pub key: String,
    /// What it is to say: a stream id, or for the two last kinds a customer or tenant.
    pub value: String,
}

impl Claim {
    /// A claim.
    #[must_use]
    pub fn new(kind: Kind, key: &str, value: &str) -> Self {
        Self {
            kind,
            key: key.to_owned(),
            value: value.to_owned(),
        }
    }
}

/// An entry as it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// What it says.
    pub kind: Kind,
    /// Of what.
    pub key: String,
    /// What it says.
    pub value: String,
    /// Counts its changes from 1.
    pub version: i32,
}

const FIND_POSTGRES: &str = "select kind, key, stream_id, version from directory \
     where (part, kind, key) in (select * from unnest($1::int[], $2::text[], $3::text[]))";
const CLAIM_POSTGRES: &str = "insert into directory (part, kind, key, stream_id, version, updated_at) \
     select part, kind, key, stream_id, 1, $5 \
     from unnest($1::int[], $2::text[], $3::text[], $4::text[]) as c(part, kind, key, stream_id) \
     on conflict do nothing";
const CHANGE_POSTGRES: &str = "update directory set stream_id = $4, version = version + 1, updated_at = $6 \
     where part = $1 and kind = $2 and key = $3 and version = $5";

const FIND_SQLITE: &str = "select d.kind, d.key, d.stream_id, d.version from json_each(?1) k \
     cross join directory d on d.part = k.value ->> 0 and d.kind = k.value ->> 1 and d.key = k.value ->> 2";
const CLAIM_SQLITE: &str = "insert into directory (part, kind, key, stream_id, version, updated_at) \
     select value ->> 0, value ->> 1, value ->> 2, value ->> 3, 1, ?2 from json_each(?1) where true \
     on conflict do nothing";
const CHANGE_SQLITE: &str = "update directory set stream_id = ?4, version = version + 1, updated_at = ?6 \
     where part = ?1 and kind = ?2 and key = ?3 and version = ?5";

/// The directory of a ledger. Cheap to clone.
#[derive(Clone)]
pub struct Directory {
    db: Db,
    clock: Clock,
}

type Row4 = (i32, &'static str, String, String);

impl Directory {
    /// Of this ledger.
    #[must_use]
    pub const fn new(db: Db, clock: Clock) -> Self {
        Self { db, clock }
    }

    fn part(&self, kind: Kind, key: &str) -> u32 {
        part_of_key(&format!("{}:{key}", kind.as_str()), self.db.parts())
    }

    /// Entries of these keys; unknown ones are left out.
    pub async fn find(&self, keys: &[(Kind, String)]) -> Result<Vec<Entry>, DbError> {
        let wanted: BTreeSet<&(Kind, String)> = keys.iter().collect();
        let rows = wanted
            .into_iter()
            .map(|(kind, key)| (self.part(*kind, key), *kind, key.clone(), String::new()));
        let mut found = Vec::with_capacity(keys.len());
        for (first, rows) in self.db.by_database(rows, |(part, ..)| *part) {
            let rows = bound(rows)?;
            found.extend(match self.db.pool_for(first) {
                Pool::Postgres(pool) => find_postgres(pool, &rows).await?,
                Pool::Sqlite(pool) => find_sqlite(&mut *pool.acquire().await?, &rows).await?,
            });
        }
        Ok(found)
    }

    /// Claims what nobody holds yet; gives who holds each of them now.
    pub async fn claim(&self, claims: Vec<Claim>) -> Result<Vec<Entry>, DbError> {
        // Sorted, so that two claimers cannot wait for each other in a circle; the first of equal keys counts.
        let mut wanted: BTreeMap<(u32, Kind, String), String> = BTreeMap::new();
        for claim in claims {
            let part = self.part(claim.kind, &claim.key);
            wanted.entry((part, claim.kind, claim.key)).or_insert(claim.value);
        }
        let rows = wanted
            .into_iter()
            .map(|((part, kind, key), value)| (part, kind, key, value));
        let now = self.clock.now();
        let mut held = Vec::new();
        for (first, rows) in self.db.by_database(rows, |(part, ..)| *part) {
            let rows = bound(rows)?;
            held.extend(match self.db.pool_for(first) {
                Pool::Postgres(pool) => claim_postgres(pool, &rows, now).await?,
                Pool::Sqlite(_) => self.claim_sqlite(rows, now).await?,
            });
        }
        Ok(held)
    }

    /// Changes an entry that still stands as it was read; says whether it did.
    pub async fn change(&self, entry: &Entry, value: &str) -> Result<bool, DbError> {
        let part = self.part(entry.kind, &entry.key);
        let (entry, value, now) = (entry.clone(), value.to_owned(), self.clock.now());
        match self.db.pool_for(part) {
            Pool::Postgres(pool) => {
                let done = sqlx::query(CHANGE_POSTGRES)
                    .bind(part_to_sql(part)?)
                    .bind(entry.kind.as_str())
                    .bind(&entry.key)
                    .bind(&value)
                    .bind(entry.version)
                    .bind(now.to_chrono())
                    .execute(pool)
                    .await?;
                Ok(done.rows_affected() > 0)
            }
            Pool::Sqlite(_) => {
                self.db
                    .write(part, move |connection| {
                        Box::pin(async move {
                            let done = sqlx::query(CHANGE_SQLITE)
                                .bind(part)
                                .bind(entry.kind.as_str())
                                .bind(&entry.key)
                                .bind(&value)
                                .bind(entry.version)
                                .bind(now.micros())
                                .execute(sqlite(connection)?)
                                .await?;
                            Ok::<_, DbError>(done.rows_affected() > 0)
                        })
                    })
                    .await
            }
        }
    }

    async fn claim_sqlite(&self, rows: Vec<Row4>, now: Timestamp) -> Result<Vec<Entry>, DbError> {
        let held = self.find_on_readers(&rows).await?;
        if held.len() == rows.len() {
            return Ok(held);
        }
        let rows = Arc::new(rows);
        self.db
            .write(0, move |connection| {
                Box::pin(async move {
                    let connection = sqlite(connection)?;
                    sqlx::query(CLAIM_SQLITE)
                        .bind(json_rows(&rows))
                        .bind(now.micros())
                        .execute(&mut *connection)
                        .await?;
                    find_sqlite(connection, &rows).await
                })
            })
            .await
    }

    async fn find_on_readers(&self, rows: &[Row4]) -> Result<Vec<Entry>, DbError> {
        match self.db.pool_for(0) {
            Pool::Sqlite(pool) => find_sqlite(&mut *pool.acquire().await?, rows).await,
            Pool::Postgres(pool) => find_postgres(pool, rows).await,
        }
    }
}

/// Rows as they are bound.
fn bound(rows: Vec<(u32, Kind, String, String)>) -> Result<Vec<Row4>, DbError> {
    let row = |(part, kind, key, value): (u32, Kind, _, _)| Ok((part_to_sql(part)?, kind.as_str(), key, value));
    rows.into_iter().map(row).collect()
}

fn sqlite(connection: Conn<'_>) -> Result<&mut SqliteConnection, DbError> {
    match connection {
        Conn::Sqlite(connection) => Ok(connection),
        Conn::Postgres(_) => Err(DbError::bug("a SQLite job met another store")),
    }
}

fn json_rows(rows: &[Row4]) -> String {
    json!(rows).to_string()
}

async fn find_postgres(pool: &PgPool, rows: &[Row4]) -> Result<Vec<Entry>, DbError> {
    let found = sqlx::query(FIND_POSTGRES)
        .bind(rows.iter().map(|row| row.0).collect::<Vec<_>>())
        .bind(rows.iter().map(|row| row.1).collect::<Vec<_>>())
        .bind(rows.iter().map(|row| &*row.2).collect::<Vec<_>>())
        .fetch_all(pool)
        .await?;
    found
        .iter()
        .map(|row| {
            Ok(Entry {
                kind: Kind::from_word(row.try_get(0)?)?,
                key: row.try_get(1)?,
                value: row.try_get(2)?,
                version: row.try_get(3)?,
            })
        })
        .collect()
}

async fn claim_postgres(pool: &PgPool, rows: &[Row4], now: Timestamp) -> Result<Vec<Entry>, DbError> {
    sqlx::query(CLAIM_POSTGRES)
        .bind(rows.iter().map(|row| row.0).collect::<Vec<_>>())
        .bind(rows.iter().map(|row| row.1).collect::<Vec<_>>())
        .bind(rows.iter().map(|row| &*row.2).collect::<Vec<_>>())
        .bind(rows.iter().map(|row| &*row.3).collect::<Vec<_>>())
        .bind(now.to_chrono())
        .execute(pool)
        .await?;
    // After the insert: it waited for whoever was claiming the same key.
    find_postgres(pool, rows).await
}

async fn find_sqlite(connection: &mut SqliteConnection, rows: &[Row4]) -> Result<Vec<Entry>, DbError> {
    let found = sqlx::query(FIND_SQLITE)
        .bind(json_rows(rows))
        .fetch_all(connection)
        .await?;
    found
        .iter()
        .map(|row| {
            Ok(Entry {
                kind: Kind::from_word(row.try_get(0)?)?,
                key: row.try_get(1)?,
                value: row.try_get(2)?,
                version: row.try_get(3)?,
            })
        })
        .collect()
}

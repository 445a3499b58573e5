//! Rows of API keys. All lie in part 0: they are few, and read once every few seconds at most.

use aggregates::ids::TenantId;
use aggregates::time::Timestamp;
use ipnet::IpNet;
use projections::db::{Conn, Db, DbError, Pool, at_from_micros};
use sqlx::FromRow;

use super::scope::ScopeSet;

/// One key as it is stored. The secret is not in it, only what tells whether a secret is right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyRow {
    /// Public id.
    pub id: String,
    /// Name its maker gave it.
    pub name: String,
    /// HMAC of the secret.
    pub sealed: [u8; 32],
    /// Rights.
    pub scopes: ScopeSet,
    /// The only tenant it may touch; nothing = all.
    pub tenant: Option<TenantId>,
    /// Networks it may come from; none = all.
    pub cidrs: Vec<IpNet>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it ends.
    pub expires_at: Option<Timestamp>,
    /// When it was revoked.
    pub revoked_at: Option<Timestamp>,
    /// After a rotation: until when it still works.
    pub overlap_until: Option<Timestamp>,
    /// The key it replaced.
    pub rotated_from: Option<String>,
    /// When it was last used, to the minute.
    pub last_used_at: Option<Timestamp>,
}

impl KeyRow {
    /// Whether it works at `now`.
    #[must_use]
    pub fn is_valid(&self, now: Timestamp) -> bool {
        let before = |end: Option<Timestamp>| end.is_none_or(|end| now < end);
        self.revoked_at.is_none() && before(self.expires_at) && before(self.overlap_until)
    }

    /// When it ends, whatever ends it first.
    #[must_use]
    pub fn ends_at(&self) -> Option<Timestamp> {
        self.expires_at.into_iter().chain(self.overlap_until).min()
    }
}

/// What may change in a row.
#[derive(Clone, Copy, Debug)]
pub enum KeyChange {
    /// It no longer works.
    Revoke,
    /// It works until then and no longer.
    EndAt(Timestamp),
    /// It was used.
    Used,
}

#[derive(FromRow)]
struct Raw {
    key_id: String,
    name: String,
    secret_hmac: Vec<u8>,
    scopes: String,
    tenant: Option<String>,
    cidrs: String,
    created_at: i64,
    expires_at: Option<i64>,
    revoked_at: Option<i64>,
    overlap_until: Option<i64>,
    rotated_from: Option<String>,
    last_used_at: Option<i64>,
}

const SELECT_SQLITE: &str = "select key_id, name, secret_hmac, scopes, tenant, cidrs, created_at, expires_at, revoked_at, \
    overlap_until, rotated_from, last_used_at from api_key where part = 0 and ";
const SELECT_POSTGRES: &str = "select key_id, name, secret_hmac, scopes::text as scopes, tenant, cidrs::text as cidrs, \
    (extract(epoch from created_at) * 1000000)::bigint as created_at, \
    (extract(epoch from expires_at) * 1000000)::bigint as expires_at, \
    (extract(epoch from revoked_at) * 1000000)::bigint as revoked_at, \
    (extract(epoch from overlap_until) * 1000000)::bigint as overlap_until, rotated_from, \
    (extract(epoch from last_used_at) * 1000000)::bigint as last_used_at from api_key where part = 0 and ";
const ONE: &str = "key_id = $1";
const PAGE: &str = "key_id > $1 order by key_id limit $2";
const COUNT: &str = "select count(*) from (select 1 from api_key where part = 0 limit $1) n";

/// Reads and writes keys. Cheap to clone.
#[derive(Clone)]
pub struct KeyStore {
    db: Db,
}

impl KeyStore {
    /// Of this ledger.
    #[must_use]
    pub const fn new(db: Db) -> Self {
        Self { db }
    }

    /// The key of an id.
    pub async fn find(&self, id: &str) -> Result<Option<KeyRow>, DbError> {
        let raw: Option<Raw> = match self.db.pool_for(0) {
            Pool::Sqlite(pool) => {
                sqlx::query_as(&format!("{SELECT_SQLITE}{ONE}"))
                    .bind(id)
                    .fetch_optional(pool)
                    .await?
            }
            Pool::Postgres(pool) => {
                sqlx::query_as(&format!("{SELECT_POSTGRES}{ONE}"))
                    .bind(id)
                    .fetch_optional(pool)
                    .await?
            }
        };
        raw.map(Raw::read).transpose()
    }

    /// Keys by id, after one.
    pub async fn list(&self, after: &str, limit: u32) -> Result<Vec<KeyRow>, DbError> {
        let limit = i64::from(limit);
        let raw: Vec<Raw> = match self.db.pool_for(0) {
            Pool::Sqlite(pool) => {
                sqlx::query_as(&format!("{SELECT_SQLITE}{PAGE}"))
                    .bind(after)
                    .bind(limit)
                    .fetch_all(pool)
                    .await?
            }
            Pool::Postgres(pool) => {
                sqlx::query_as(&format!("{SELECT_POSTGRES}{PAGE}"))
                    .bind(after)
                    .bind(limit)
                    .fetch_all(pool)
                    .await?
            }
        };
        raw.into_iter().map(Raw::read).collect()
    }

    /// Number of keys, counted no further than `most`.
    pub async fn count(&self, most: u32) -> Result<u64, DbError> {
        let most = i64::from(most);
        let count: i64 = match self.db.pool_for(0) {
            Pool::Sqlite(pool) => sqlx::query_scalar(COUNT).bind(most).fetch_one(pool).await?,
            Pool::Postgres(pool) => sqlx::query_scalar(COUNT).bind(most).fetch_one(pool).await?,
        };
        Ok(count.unsigned_abs())
    }

    /// Adds a key; adding it again changes nothing.
    pub async fn insert(&self, row: KeyRow) -> Result<(), DbError> {
        const SQLITE: &str = "insert into api_key (part, key_id, name, secret_hmac, scopes, tenant, cidrs, created_at, \
            expires_at, rotated_from) values (0, $1, $2, $3, $4, $5, $6, $7, $8, $9) on conflict (part, key_id) do nothing";
        const POSTGRES: &str = "insert into api_key (part, key_id, name, secret_hmac, scopes, tenant, cidrs, created_at, \
            expires_at, rotated_from) values (0, $1, $2, $3, $4::json, $5, $6::json, $7, $8, $9) on conflict do nothing";
        self.db
            .write(0, move |conn| {
                Box::pin(async move {
                    let scopes: Vec<&str> = row.scopes.iter().map(super::scope::Scope::as_str).collect();
                    let scopes = serde_json::json!(scopes).to_string();
                    let cidrs =
                        serde_json::json!(row.cidrs.iter().map(IpNet::to_string).collect::<Vec<_>>()).to_string();
                    let tenant = row.tenant.as_ref().map(TenantId::as_str);
                    match conn {
                        Conn::Sqlite(c) => {
                            let query = sqlx::query(SQLITE)
                                .bind(&row.id)
                                .bind(&row.name)
                                .bind(row.sealed.to_vec());
                            let query = query
                                .bind(scopes)
                                .bind(tenant)
                                .bind(cidrs)
                                .bind(row.created_at.micros());
                            let query = query
                                .bind(row.expires_at.map(Timestamp::micros))
                                .bind(&row.rotated_from);
                            query.execute(c).await?;
                        }
                        Conn::Postgres(c) => {
                            let query = sqlx::query(POSTGRES)
                                .bind(&row.id)
                                .bind(&row.name)
                                .bind(row.sealed.to_vec());
                            let query = query
                                .bind(scopes)
                                .bind(tenant)
                                .bind(cidrs)
                                .bind(row.created_at.to_chrono());
                            let query = query
                                .bind(row.expires_at.map(Timestamp::to_chrono))
                                .bind(&row.rotated_from);
                            query.execute(c).await?;
                        }
                    }
                    Ok::<_, DbError>(())
                })
            })
            .await
    }

    /// Changes a key; what is revoked stays so.
    pub async fn change(&self, id: &str, change: KeyChange, now: Timestamp) -> Result<(), DbError> {
        let (sql, at) = match change {
            KeyChange::Revoke => (
                "update api_key set revoked_at = $2 where part = 0 and key_id = $1 and revoked_at is null",
                now,
            ),
            KeyChange::EndAt(at) => (
                "update api_key set overlap_until = $2 where part = 0 and key_id = $1",
                at,
            ),
            KeyChange::Used => (
                "update api_key set last_used_at = $2 where part = 0 and key_id = $1",
                now,
            ),
        };
        let id = id.to_owned();
        self.db
            .write(0, move |conn| {
                Box::pin(async move {
                    match conn {
                        Conn::Sqlite(c) => {
                            sqlx::query(sql).bind(id).bind(at.micros()).execute(c).await?;
                        }
                        Conn::Postgres(c) => {
                            sqlx::query(sql).bind(id).bind(at.to_chrono()).execute(c).await?;
                        }
                    }
                    Ok::<_, DbError>(())
                })
            })
            .await
    }
}

impl Raw {
    fn read(self) -> Result<KeyRow, DbError> {
        let broken = |what: &str| DbError::bug(format!("the stored {what} of API key {} does not read", self.key_id));
        let at = |micros: Option<i64>| micros.map(at_from_micros).transpose();
        let scopes: Vec<String> = serde_json::from_str(&self.scopes).map_err(|_| broken("scopes"))?;
        let cidrs: Vec<String> = serde_json::from_str(&self.cidrs).map_err(|_| broken("networks"))?;
        let cidrs = cidrs.iter().map(|text| text.parse()).collect::<Result<Vec<IpNet>, _>>();
        Ok(KeyRow {
            sealed: self.secret_hmac.as_slice().try_into().map_err(|_| broken("secret"))?,
            // A scope that a newer version gave and this one does not know grants nothing here.
            scopes: scopes
                .iter()
                .filter_map(|text| super::scope::Scope::parse(text).ok())
                .collect(),
            tenant: self
                .tenant
                .as_deref()
                .map(TenantId::parse)
                .transpose()
                .map_err(|_| broken("tenant"))?,
            cidrs: cidrs.map_err(|_| broken("networks"))?,
            created_at: at_from_micros(self.created_at)?,
            expires_at: at(self.expires_at)?,
            revoked_at: at(self.revoked_at)?,
            overlap_until: at(self.overlap_until)?,
            last_used_at: at(self.last_used_at)?,
            rotated_from: self.rotated_from,
            name: self.name,
            id: self.key_id,
        })
    }
}

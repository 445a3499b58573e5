//! Reads what a tenant said about itself: the side row beside its account, written with the command that changed it.

use aggregates::ids::TenantId;
use aggregates::time::Timestamp;
use projections::db::{Db, DbError, Pool, at_from_chrono, at_from_micros, part_to_sql};
use sqlx::Row;

/// What a tenant said about itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Profile {
    /// Display name.
    pub name: Option<String>,
    /// Contact address.
    pub email: Option<String>,
    /// ISO code.
    pub currency: Option<String>,
    /// JSON object text.
    pub metadata: String,
    /// When it was first said.
    pub created_at: Timestamp,
    /// When it was last said.
    pub updated_at: Timestamp,
}

const FIND_POSTGRES: &str = "select name, email, currency, metadata::text, created_at, updated_at from tenant_profile \
     where part = $1 and tenant = $2";
const FIND_SQLITE: &str = "select name, email, currency, metadata, created_at, updated_at from tenant_profile \
     where part = ?1 and tenant = ?2";

/// The profile of a tenant in the part of its account; none: it said nothing yet.
pub async fn find_profile(db: &Db, part: u32, tenant: &TenantId) -> Result<Option<Profile>, DbError> {
    match db.pool_for(part) {
        Pool::Sqlite(pool) => {
            let query = sqlx::query(FIND_SQLITE).bind(part).bind(tenant.as_str());
            let row = query.fetch_optional(pool).await?;
            row.map(|row| {
                Ok(Profile {
                    name: row.try_get(0)?,
                    email: row.try_get(1)?,
                    currency: row.try_get(2)?,
                    metadata: row.try_get(3)?,
                    created_at: at_from_micros(row.try_get(4)?)?,
                    updated_at: at_from_micros(row.try_get(5)?)?,
                })
            })
            .transpose()
        }
        Pool::Postgres(pool) => {
            let query = sqlx::query(FIND_POSTGRES)
                .bind(part_to_sql(part)?)
                .bind(tenant.as_str());
            let row = query.fetch_optional(pool).await?;
            row.map(|row| {
                Ok(Profile {
                    name: row.try_get(0)?,
                    email: row.try_get(1)?,
                    currency: row.try_get(2)?,
                    metadata: row.try_get(3)?,
                    created_at: at_from_chrono(row.try_get(4)?)?,
                    updated_at: at_from_chrono(row.try_get(5)?)?,
                })
            })
            .transpose()
        }
    }
}

//! Who works on a part, so that two processes do not do the same work.
//!
//! A lease only saves work. Safety rests on the inbox marks, the compare-and-set of checkpoints, and the fence that
//! every write to the outbox repeats. The store's clock decides, so processes with wrong clocks agree. The owner is a
//! stable instance name: a process that restarts takes its own leases back at once, with a higher fence.

mod keeper;

use std::time::Duration;

use projections::db::{Conn, Db, DbError, part_to_sql, position_from_sql, position_to_sql};
use sqlx::{PgConnection, SqliteConnection};

pub use keeper::Keeper;

/// How long a lease lasts without renewal.
pub const TTL: Duration = Duration::from_secs(10);
/// How often it is renewed: two renewals may fail before it is lost.
pub const RENEW_EVERY: Duration = Duration::from_millis(3_300);

/// What a lease is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// The loops of a part.
    Part,
    /// The scheduler.
    Schedule,
    /// Reconciliation.
    Reconcile,
}

impl Role {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Part => "part",
            Self::Schedule => "schedule",
            Self::Reconcile => "reconcile",
        }
    }
}

/// A lease held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lease {
    /// The part.
    pub part: u32,
    /// Grows with every owner; repeated in every write made under the lease.
    pub fence: u64,
}

const TAKE_POSTGRES: &str = "insert into lease (part, role, owner, fence, expires_at) \
     select p.part, $2, $3, 1, now() + $4 * interval '1 millisecond' from unnest($1::int[]) p (part) order by p.part \
     on conflict (part, role) do update set owner = excluded.owner, fence = lease.fence + 1, \
     expires_at = excluded.expires_at \
     where lease.owner is null or lease.owner = excluded.owner or lease.expires_at < now() \
     returning part::bigint, fence";
const TAKE_SQLITE: &str = "insert into lease (part, role, owner, fence, expires_at) \
     values (?1, ?2, ?3, 1, cast(unixepoch('subsec') * 1000000 as integer) + ?4 * 1000) \
     on conflict (part, role) do update set owner = excluded.owner, fence = lease.fence + 1, \
     expires_at = excluded.expires_at \
     where lease.owner is null or lease.owner = excluded.owner \
     or lease.expires_at < cast(unixepoch('subsec') * 1000000 as integer) \
     returning part, fence";
const RENEW_POSTGRES: &str = "update lease set expires_at = now() + $5 * interval '1 millisecond' \
     from unnest($1::int[], $2::bigint[]) h (part, fence) \
     where lease.part = h.part and lease.role = $3 and lease.owner = $4 and lease.fence = h.fence \
     returning lease.part::bigint, lease.fence";
const RENEW_SQLITE: &str = "update lease set expires_at = cast(unixepoch('subsec') * 1000000 as integer) + ?5 * 1000 \
     where part = ?1 and fence = ?2 and role = ?3 and owner = ?4 returning part, fence";
const GIVE_BACK_POSTGRES: &str = "update lease set owner = null, expires_at = null \
     from unnest($1::int[], $2::bigint[]) h (part, fence) \
     where lease.part = h.part and lease.role = $3 and lease.owner = $4 and lease.fence = h.fence";
const GIVE_BACK_SQLITE: &str = "update lease set owner = null, expires_at = null \
     where part = ?1 and fence = ?2 and role = ?3 and owner = ?4";

/// Takes what is free, expired or already ours among `parts`; answers what is held now.
pub async fn take(db: &Db, parts: &[u32], role: Role, owner: &str, ttl: Duration) -> Result<Vec<Lease>, DbError> {
    let mut held = Vec::new();
    let mut parts = parts.to_vec();
    parts.sort_unstable();
    for (home, group) in db.by_database(parts, |part| *part) {
        let (owner, ttl) = (owner.to_owned(), milliseconds(ttl));
        held.extend(
            db.write(home, move |conn| {
                Box::pin(async move {
                    match conn {
                        Conn::Sqlite(conn) => take_sqlite(conn, &group, role, &owner, ttl).await,
                        Conn::Postgres(conn) => take_postgres(conn, &group, role, &owner, ttl).await,
                    }
                })
            })
            .await?,
        );
    }
    Ok(held)
}

async fn take_sqlite(
    conn: &mut SqliteConnection,
    parts: &[u32],
    role: Role,
    owner: &str,
    ttl: i64,
) -> Result<Vec<Lease>, DbError> {
    let mut held = Vec::new();
    for part in parts {
        let query = sqlx::query_as::<_, (i64, i64)>(TAKE_SQLITE)
            .bind(part)
            .bind(role.as_str())
            .bind(owner)
            .bind(ttl);
        held.extend(query.fetch_optional(&mut *conn).await?);
    }
    leases(held)
}

async fn take_postgres(
    conn: &mut PgConnection,
    parts: &[u32],
    role: Role,
    owner: &str,
    ttl: i64,
) -> Result<Vec<Lease>, DbError> {
    let parts = parts
        .iter()
        .map(|part| part_to_sql(*part))
        .collect::<Result<Vec<_>, _>>()?;
    let query = sqlx::query_as(TAKE_POSTGRES)
        .bind(parts)
        .bind(role.as_str())
        .bind(owner)
        .bind(ttl);
    leases(query.fetch_all(conn).await?)
}

/// Renews; what is missing from the answer was lost to another owner.
pub async fn renew(db: &Db, held: &[Lease], role: Role, owner: &str, ttl: Duration) -> Result<Vec<Lease>, DbError> {
    let mut kept = Vec::new();
    for (home, group) in db.by_database(sorted(held), |lease| lease.part) {
        let (owner, ttl) = (owner.to_owned(), milliseconds(ttl));
        kept.extend(
            db.write(home, move |conn| {
                Box::pin(async move { renew_group(conn, &group, role, &owner, ttl).await })
            })
            .await?,
        );
    }
    Ok(kept)
}

async fn renew_group(conn: Conn<'_>, held: &[Lease], role: Role, owner: &str, ttl: i64) -> Result<Vec<Lease>, DbError> {
    let (parts, fences) = columns(held)?;
    match conn {
        Conn::Sqlite(conn) => {
            let mut kept = Vec::new();
            for (part, fence) in parts.iter().zip(&fences) {
                let query = sqlx::query_as::<_, (i64, i64)>(RENEW_SQLITE)
                    .bind(part)
                    .bind(fence)
                    .bind(role.as_str())
                    .bind(owner);
                kept.extend(query.bind(ttl).fetch_optional(&mut *conn).await?);
            }
            leases(kept)
        }
        Conn::Postgres(conn) => {
            let query = sqlx::query_as(RENEW_POSTGRES)
                .bind(parts)
                .bind(fences)
                .bind(role.as_str())
                .bind(owner);
            leases(query.bind(ttl).fetch_all(conn).await?)
        }
    }
}

/// Gives leases back at a clean stop, so that nobody waits for them to expire.
pub async fn give_back(db: &Db, held: &[Lease], role: Role, owner: &str) -> Result<(), DbError> {
    for (home, group) in db.by_database(sorted(held), |lease| lease.part) {
        let owner = owner.to_owned();
        db.write(home, move |conn| {
            Box::pin(async move {
                let (parts, fences) = columns(&group)?;
                match conn {
                    Conn::Sqlite(conn) => {
                        for (part, fence) in parts.iter().zip(&fences) {
                            let query = sqlx::query(GIVE_BACK_SQLITE).bind(part).bind(fence);
                            query.bind(role.as_str()).bind(&owner).execute(&mut *conn).await?;
                        }
                    }
                    Conn::Postgres(conn) => {
                        let query = sqlx::query(GIVE_BACK_POSTGRES).bind(parts).bind(fences);
                        query.bind(role.as_str()).bind(owner).execute(conn).await?;
                    }
                }
                Ok::<(), DbError>(())
            })
        })
        .await?;
    }
    Ok(())
}

fn milliseconds(ttl: Duration) -> i64 {
    i64::try_from(ttl.as_millis()).unwrap_or(i64::MAX)
}

fn columns(held: &[Lease]) -> Result<(Vec<i32>, Vec<i64>), DbError> {
    let parts = held
        .iter()
        .map(|lease| part_to_sql(lease.part))
        .collect::<Result<Vec<_>, _>>()?;
    let fences = held
        .iter()
        .map(|lease| position_to_sql(lease.fence))
        .collect::<Result<Vec<_>, _>>()?;
    Ok((parts, fences))
}

fn leases(rows: Vec<(i64, i64)>) -> Result<Vec<Lease>, DbError> {
    rows.into_iter()
        .map(|(part, fence)| {
            Ok(Lease {
                part: u32::try_from(part).map_err(|_| DbError::bug("a part is negative"))?,
                fence: position_from_sql(fence)?,
            })
        })
        .collect()
}

/// In one order, so that two processes cannot wait for each other in a circle. Leases only save work, so one statement may
/// renew those of many parts.
fn sorted(held: &[Lease]) -> Vec<Lease> {
    let mut held = held.to_vec();
    held.sort_by_key(|lease| lease.part);
    held
}

//! How far each view has read each part, in each slot, and which slot readers use.

use aggregates::time::Timestamp;
use chrono::{DateTime, Utc};
use sqlx::{PgConnection, Row, SqliteConnection};

use crate::db::{Conn, Db, DbError, Pool, at_from_micros, part_to_sql, position_from_sql, position_to_sql};
use crate::table::Slot;
use crate::views::View;

/// One row of `projection_checkpoint`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// The view.
    pub view: View,
    /// Its slot.
    pub slot: Slot,
    /// The part.
    pub part: u32,
    /// Version of the fold that filled the slot.
    pub version: u32,
    /// Everything up to here is in the view.
    pub position: u64,
    /// When it last moved.
    pub updated_at: Timestamp,
    /// Why it stands still: the event after `position` could not be folded.
    pub stopped_reason: Option<String>,
}

/// One row of `projection_active`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Active {
    /// The view.
    pub view: View,
    /// The slot readers use.
    pub slot: Slot,
    /// Version of the fold that filled it.
    pub version: u32,
}

/// A step of one checkpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Step {
    pub(crate) view: View,
    pub(crate) slot: Slot,
    pub(crate) part: u32,
    pub(crate) from: u64,
    pub(crate) to: u64,
    pub(crate) stopped_reason: Option<String>,
}

const COLUMNS: &str =
    "select part, name, slot, version, position, updated_at, stopped_reason from projection_checkpoint";

/// All checkpoints of views this program knows.
pub async fn read_all(db: &Db) -> Result<Vec<Checkpoint>, DbError> {
    let mut found = Vec::new();
    for pool in db.pools() {
        match pool {
            Pool::Sqlite(pool) => {
                for row in sqlx::query(COLUMNS).fetch_all(pool).await? {
                    let at = at_from_micros(row.try_get(5)?)?;
                    found.extend(checkpoint(row.try_get(0)?, row.try_get(1)?, row.try_get(2)?, &row, at)?);
                }
            }
            Pool::Postgres(pool) => {
                for row in sqlx::query(COLUMNS).fetch_all(pool).await? {
                    let part = u32::try_from(row.try_get::<i32, _>(0)?).unwrap_or(u32::MAX);
                    let at = Timestamp::from_chrono(row.try_get::<DateTime<Utc>, _>(5)?);
                    let slot = i64::from(row.try_get::<i32, _>(2)?);
                    found.extend(checkpoint_pg(part, row.try_get(1)?, slot, &row, at)?);
                }
            }
        }
    }
    Ok(found)
}

fn checkpoint(
    part: u32,
    name: &str,
    slot: i64,
    row: &sqlx::sqlite::SqliteRow,
    updated_at: Timestamp,
) -> Result<Option<Checkpoint>, DbError> {
    let version: i64 = row.try_get(3)?;
    of_parts(part, name, slot, version, row.try_get(4)?, updated_at, row.try_get(6)?)
}

fn checkpoint_pg(
    part: u32,
    name: &str,
    slot: i64,
    row: &sqlx::postgres::PgRow,
    updated_at: Timestamp,
) -> Result<Option<Checkpoint>, DbError> {
    let version = i64::from(row.try_get::<i32, _>(3)?);
    of_parts(part, name, slot, version, row.try_get(4)?, updated_at, row.try_get(6)?)
}

fn of_parts(
    part: u32,
    name: &str,
    slot: i64,
    version: i64,
    position: i64,
    updated_at: Timestamp,
    stopped_reason: Option<String>,
) -> Result<Option<Checkpoint>, DbError> {
    let Some(view) = View::find(name) else { return Ok(None) };
    Ok(Some(Checkpoint {
        view,
        slot: Slot::from(slot != 0),
        part,
        version: u32::try_from(version).unwrap_or(0),
        position: position_from_sql(position)?,
        updated_at,
        stopped_reason,
    }))
}

/// Which slot of each view readers use.
pub async fn read_active(db: &Db) -> Result<Vec<Active>, DbError> {
    const SQL: &str = "select name, cast(slot as bigint), cast(version as bigint) from projection_active";
    let rows: Vec<(String, i64, i64)> = match db.pool_for(0) {
        Pool::Sqlite(pool) => sqlx::query_as(SQL).fetch_all(pool).await?,
        Pool::Postgres(pool) => sqlx::query_as(SQL).fetch_all(pool).await?,
    };
    let active = |(name, slot, version): (String, i64, i64)| {
        Some(Active {
            view: View::find(&name)?,
            slot: Slot::from(slot != 0),
            version: u32::try_from(version).unwrap_or(0),
        })
    };
    Ok(rows.into_iter().filter_map(active).collect())
}

/// Gives every view that has none a first slot, at the beginning of the log.
pub async fn ensure(db: &Db, now: Timestamp) -> Result<(), DbError> {
    const CHECKPOINT_PG: &str = "insert into projection_checkpoint (part, name, slot, version, position, updated_at) \
         values ($1, $2, 0, $3, 0, $4) on conflict do nothing";
    const CHECKPOINT_SQLITE: &str = "insert into projection_checkpoint (part, name, slot, version, position, updated_at) \
         values (?1, ?2, 0, ?3, 0, ?4) on conflict do nothing";
    const ACTIVE: &str = "insert into projection_active (name, slot, version, activated_at) values ($1, 0, $2, $3) \
         on conflict do nothing";
    let known = read_active(db).await?;
    let fresh: Vec<View> = View::ALL
        .into_iter()
        .filter(|view| known.iter().all(|a| a.view != *view))
        .collect();
    for part in (0..db.parts()).filter(|_| !fresh.is_empty()) {
        let fresh = fresh.clone();
        db.write(part, move |conn| {
            Box::pin(async move {
                match conn {
                    Conn::Sqlite(c) => {
                        for view in fresh {
                            let query = sqlx::query(CHECKPOINT_SQLITE).bind(part).bind(view.name());
                            query.bind(view.version()).bind(now.micros()).execute(&mut *c).await?;
                        }
                    }
                    Conn::Postgres(c) => {
                        for view in fresh {
                            let query = sqlx::query(CHECKPOINT_PG).bind(part_to_sql(part)?).bind(view.name());
                            let query = query.bind(part_to_sql(view.version())?).bind(now.to_chrono());
                            query.execute(&mut *c).await?;
                        }
                    }
                }
                Ok::<_, DbError>(())
            })
        })
        .await?;
    }
    // Last, so that a crash before this repeats the whole.
    db.write(0, move |conn| {
        Box::pin(async move {
            match conn {
                Conn::Sqlite(c) => {
                    for view in fresh {
                        let query = sqlx::query(ACTIVE).bind(view.name()).bind(view.version());
                        query.bind(now.micros()).execute(&mut *c).await?;
                    }
                }
                Conn::Postgres(c) => {
                    for view in fresh {
                        let query = sqlx::query(ACTIVE).bind(view.name()).bind(part_to_sql(view.version())?);
                        query.bind(now.to_chrono()).execute(&mut *c).await?;
                    }
                }
            }
            Ok::<_, DbError>(())
        })
    })
    .await
}

/// Moves checkpoints, each only from where it was left: true if all of them moved. Who finds one elsewhere was not
/// first and must write nothing.
pub(crate) async fn advance_pg(connection: &mut PgConnection, steps: &[Step], now: Timestamp) -> Result<bool, DbError> {
    // Locked in one order, so that two workers that race wait for each other instead of dying together.
    const SQL: &str = "with s as (
           select * from unnest($1::int[], $2::text[], $3::int[], $4::bigint[], $5::bigint[], $6::text[])
             s (part, name, slot, was, now, reason)),
         locked as (
           select c.part, c.name, c.slot, s.now, s.reason from s join projection_checkpoint c
             on c.part = s.part and c.name = s.name and c.slot = s.slot
           where c.position = s.was and c.stopped_reason is null
           order by c.part, c.name, c.slot for update of c)
         update projection_checkpoint c set position = l.now, stopped_reason = l.reason, updated_at = $7
           from locked l where c.part = l.part and c.name = l.name and c.slot = l.slot and c.stopped_reason is null";
    let mut parts = Vec::with_capacity(steps.len());
    let (mut names, mut slots, mut from, mut to, mut reasons) = (vec![], vec![], vec![], vec![], vec![]);
    for step in steps {
        parts.push(part_to_sql(step.part)?);
        names.push(step.view.name());
        slots.push(i32::from(step.slot));
        from.push(position_to_sql(step.from)?);
        to.push(position_to_sql(step.to)?);
        reasons.push(step.stopped_reason.clone());
    }
    let query = sqlx::query(SQL)
        .bind(parts)
        .bind(names)
        .bind(slots)
        .bind(from)
        .bind(to)
        .bind(reasons);
    let moved = query.bind(now.to_chrono()).execute(connection).await?.rows_affected();
    Ok(usize::try_from(moved) == Ok(steps.len()))
}

/// The same on SQLite.
pub(crate) async fn advance_sqlite(
    connection: &mut SqliteConnection,
    steps: &[Step],
    now: Timestamp,
) -> Result<bool, DbError> {
    const SQL: &str = "update projection_checkpoint set position = ?5, stopped_reason = ?6, updated_at = ?7 \
         where part = ?1 and name = ?2 and slot = ?3 and position = ?4 and stopped_reason is null";
    for step in steps {
        let query = sqlx::query(SQL)
            .bind(step.part)
            .bind(step.view.name())
            .bind(i64::from(step.slot));
        let query = query.bind(position_to_sql(step.from)?).bind(position_to_sql(step.to)?);
        let query = query.bind(step.stopped_reason.as_deref()).bind(now.micros());
        if query.execute(&mut *connection).await?.rows_affected() != 1 {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Tries again where a view stopped: a newer program may know the event. What still cannot be folded stops it again.
pub(crate) async fn retry_stopped(db: &Db) -> Result<(), DbError> {
    for found in read_all(db).await? {
        if found.stopped_reason.is_some() && found.version == found.view.version() {
            restart(db, found.view, found.slot, found.part, found.position, found.position).await?;
        }
    }
    Ok(())
}

/// Lets a stopped view go past the event after its checkpoint, without what that event says. An act of an operator:
/// the caller records it. False if the view does not stand before `position`.
pub async fn skip(db: &Db, view: View, part: u32, position: u64) -> Result<bool, DbError> {
    let Some(before) = position.checked_sub(1) else {
        return Ok(false);
    };
    let mut skipped = false;
    for slot in [0, 1] {
        skipped |= restart(db, view, slot, part, before, position).await?;
    }
    Ok(skipped)
}

/// Moves a stopped checkpoint and lets it run.
async fn restart(db: &Db, view: View, slot: Slot, part: u32, from: u64, to: u64) -> Result<bool, DbError> {
    const SQL: &str = "update projection_checkpoint set position = $5, stopped_reason = null \
         where part = $1 and name = $2 and slot = $3 and position = $4 and stopped_reason is not null";
    let (from, to) = (position_to_sql(from)?, position_to_sql(to)?);
    let part_sql = part_to_sql(part)?;
    db.write(part, move |conn| {
        Box::pin(async move {
            let moved = match conn {
                Conn::Sqlite(c) => {
                    let query = sqlx::query(SQL).bind(part_sql).bind(view.name()).bind(i32::from(slot));
                    query.bind(from).bind(to).execute(c).await?.rows_affected()
                }
                Conn::Postgres(c) => {
                    let query = sqlx::query(SQL).bind(part_sql).bind(view.name()).bind(i32::from(slot));
                    query.bind(from).bind(to).execute(c).await?.rows_affected()
                }
            };
            Ok::<_, DbError>(moved == 1)
        })
    })
    .await
}

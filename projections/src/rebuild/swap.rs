//! Moves readers to the other slot, and back.

use sqlx::{Connection, Row};

use crate::checkpoint::{Checkpoint, read_active, read_all};
use crate::db::{Conn, Db, DbError, Pool, part_to_sql};
use crate::failpoint;
use crate::query::QueryError;
use crate::runner::Progress;
use crate::table::postgres::PgSource;
use crate::table::sink::Digest;
use crate::table::sqlite::SqliteSource;
use crate::table::{RowError, RowSink, RowSource, Slot, Table};
use crate::views::View;

/// Events the other slot may lack, over all parts: the loop brings them in less than a second.
pub const SWAP_LAG_MAX: u64 = 1_000;
/// How often two slots are looked at until their checkpoints are equal; the loop moves both in one transaction.
const LOOKS: u32 = 20;

/// Why readers stay where they are.
#[derive(Debug, thiserror::Error)]
pub enum SwapError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] DbError),
    /// A row does not read.
    #[error(transparent)]
    Query(#[from] QueryError),
    /// Nothing was filled.
    #[error("the other slot of {view} is not filled in {missing} of {parts} parts; rebuild it first")]
    NotFilled {
        /// The view.
        view: &'static str,
        /// Parts without a checkpoint of this version.
        missing: usize,
        /// All parts.
        parts: u32,
    },
    /// Another program's fold filled it.
    #[error("the other slot of {view} was filled by version {found}, this program reads version {wanted}; rebuild it")]
    OtherVersion {
        /// The view.
        view: &'static str,
        /// Version found.
        found: u32,
        /// Version of this program.
        wanted: u32,
    },
    /// It stopped at an event.
    #[error("the other slot of {view} stands still in part {part}: {reason}")]
    Stopped {
        /// The view.
        view: &'static str,
        /// The part.
        part: u32,
        /// Why.
        reason: String,
    },
    /// It is too far behind.
    #[error("the other slot of {view} lacks {lag} events, fewer than {SWAP_LAG_MAX} are allowed; wait for it")]
    Behind {
        /// The view.
        view: &'static str,
        /// Events it lacks.
        lag: u64,
    },
    /// The same fold gave other rows.
    #[error(
        "the slots of {view} differ in part {part} at the same position {position}: one of them is not what the log \
         says; keep both, report it, and compare with `events` before you swap without comparing"
    )]
    Differs {
        /// The view.
        view: &'static str,
        /// The part.
        part: u32,
        /// Position of both.
        position: u64,
    },
    /// Somebody else swapped.
    #[error("somebody else swapped {view} at this moment; look again")]
    Raced {
        /// The view.
        view: &'static str,
    },
}

/// A swap that was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Swapped {
    /// The view.
    pub view: View,
    /// The slot readers use now.
    pub slot: Slot,
    /// Version of the fold that filled it.
    pub version: u32,
    /// Parts whose rows were compared; 0 without comparing.
    pub compared: u32,
}

/// Moves readers of a view to the other slot. With `compare`, and if both slots were filled by the same version,
/// their rows must be equal at equal checkpoints. Calling it again moves them back: the slot left behind is kept up to
/// date until the next rebuild.
pub async fn swap(db: &Db, progress: &Progress, view: View, compare: bool) -> Result<Swapped, SwapError> {
    let active = read_active(db).await?.into_iter().find(|active| active.view == view);
    let (from, version_now) = active.map_or((0, 0), |active| (active.slot, active.version));
    let to = 1 - from;
    let known = read_all(db).await?;
    check(db, view, to, &known).await?;
    let mut compared = 0;
    if compare && version_now == view.version() {
        for part in 0..db.parts() {
            same(db, view, part).await?;
            compared += 1;
        }
    }
    failpoint::reach("rebuild.before-swap");
    activate(db, progress, view, from, to).await?;
    failpoint::reach("rebuild.after-swap");
    Ok(Swapped {
        view,
        slot: to,
        version: view.version(),
        compared,
    })
}

async fn check(db: &Db, view: View, to: Slot, known: &[Checkpoint]) -> Result<(), SwapError> {
    let mut lag = 0;
    let heads = db.refresh_heads().await?;
    let mut filled = 0;
    for checkpoint in known.iter().filter(|c| c.view == view && c.slot == to) {
        if checkpoint.version != view.version() {
            return Err(SwapError::OtherVersion {
                view: view.name(),
                found: checkpoint.version,
                wanted: view.version(),
            });
        }
        if let Some(reason) = &checkpoint.stopped_reason {
            return Err(SwapError::Stopped {
                view: view.name(),
                part: checkpoint.part,
                reason: reason.clone(),
            });
        }
        let head = usize::try_from(checkpoint.part).ok().and_then(|part| heads.get(part));
        lag += head.map_or(0, |head| head.saturating_sub(checkpoint.position));
        filled += 1;
    }
    let missing = heads.len().saturating_sub(filled);
    if missing > 0 {
        return Err(SwapError::NotFilled {
            view: view.name(),
            missing,
            parts: db.parts(),
        });
    }
    if lag >= SWAP_LAG_MAX {
        return Err(SwapError::Behind { view: view.name(), lag });
    }
    Ok(())
}

/// One update; the old slot is part of the condition, so two operators cannot undo each other unseen.
async fn activate(db: &Db, progress: &Progress, view: View, from: Slot, to: Slot) -> Result<(), SwapError> {
    const SQL: &str = "update projection_active set slot = $1, version = $2, activated_at = $3 \
         where name = $4 and slot = $5";
    let now = progress.now();
    let version = part_to_sql(view.version())?;
    let moved = db
        .write(0, move |conn| {
            Box::pin(async move {
                let (from, to) = (i32::from(from), i32::from(to));
                let moved = match conn {
                    Conn::Sqlite(c) => {
                        let query = sqlx::query(SQL).bind(to).bind(version).bind(now.micros());
                        query.bind(view.name()).bind(from).execute(c).await?.rows_affected()
                    }
                    Conn::Postgres(c) => {
                        let query = sqlx::query(SQL).bind(to).bind(version).bind(now.to_chrono());
                        query.bind(view.name()).bind(from).execute(c).await?.rows_affected()
                    }
                };
                Ok::<_, DbError>(moved)
            })
        })
        .await?;
    if moved == 1 {
        Ok(())
    } else {
        Err(SwapError::Raced { view: view.name() })
    }
}

/// Compares the rows of both slots in one snapshot of the store, once their checkpoints are equal there.
async fn same(db: &Db, view: View, part: u32) -> Result<(), SwapError> {
    for _ in 0..LOOKS {
        let [a, b] = digests(db, view, part).await?;
        if a.0 == b.0 {
            let differs = SwapError::Differs {
                view: view.name(),
                part,
                position: a.0,
            };
            return if a.1 == b.1 { Ok(()) } else { Err(differs) };
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    Err(SwapError::Behind {
        view: view.name(),
        lag: 1,
    })
}

const POSITION: &str = "select cast(position as bigint) from projection_checkpoint \
     where part = $1 and name = $2 and slot = $3";

fn rows_sql(table: &Table, slot: Slot) -> String {
    let order: Vec<&str> = table.key.iter().map(|column| column.name).collect();
    let (names, order) = (table.names(""), order.join(", "));
    format!(
        "select {names} from {} where part = $1 order by {order}",
        table.slot(slot)
    )
}

/// Checkpoint and digest of all rows of a part, of both slots.
pub(crate) async fn digests(db: &Db, view: View, part: u32) -> Result<[(u64, [u8; 32]); 2], QueryError> {
    let table = view.table();
    let part_sql = part_to_sql(part)?;
    let mut found = [(0, [0; 32]); 2];
    match db.bulk_pool_for(part) {
        Pool::Postgres(pool) => {
            let mut connection = pool.acquire().await?;
            let mut transaction = connection.begin().await?;
            sqlx::query("set transaction isolation level repeatable read")
                .execute(&mut *transaction)
                .await?;
            for (slot, found) in [0, 1].into_iter().zip(&mut found) {
                let position = sqlx::query(POSITION)
                    .bind(part_sql)
                    .bind(view.name())
                    .bind(i32::from(slot));
                let position: i64 = position.fetch_one(&mut *transaction).await?.try_get(0)?;
                let sql = rows_sql(&table, slot);
                let mut rows = sqlx::query(&sql).bind(part_sql).fetch(&mut *transaction);
                let mut digest = Digest::default();
                while let Some(row) = futures::TryStreamExt::try_next(&mut rows).await? {
                    take(&mut PgSource::new(&row), &table, &mut digest)?;
                }
                *found = (u64::try_from(position).unwrap_or(0), digest.finish());
            }
        }
        Pool::Sqlite(pool) => {
            let mut connection = pool.acquire().await?;
            let mut transaction = connection.begin().await?;
            for (slot, found) in [0, 1].into_iter().zip(&mut found) {
                let position = sqlx::query(POSITION)
                    .bind(part_sql)
                    .bind(view.name())
                    .bind(i32::from(slot));
                let position: i64 = position.fetch_one(&mut *transaction).await?.try_get(0)?;
                let sql = rows_sql(&table, slot);
                let mut rows = sqlx::query(&sql).bind(part_sql).fetch(&mut *transaction);
                let mut digest = Digest::default();
                while let Some(row) = futures::TryStreamExt::try_next(&mut rows).await? {
                    take(&mut SqliteSource::new(&row), &table, &mut digest)?;
                }
                *found = (u64::try_from(position).unwrap_or(0), digest.finish());
            }
        }
    }
    Ok(found)
}

fn take(source: &mut impl RowSource, table: &Table, digest: &mut Digest) -> Result<(), RowError> {
    for column in table.all() {
        match column.kind {
            crate::table::Kind::Text => digest.text(source.text()?.as_deref()),
            crate::table::Kind::Int => digest.int(source.int()?),
            crate::table::Kind::Time => digest.time(source.time()?),
        }
    }
    Ok(())
}

//! One round: read, load, fold, write.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use aggregates::time::Timestamp;

use super::Role;
use super::follow::{Mark, Unit, Units};
use super::held::Rows;
use super::read::{Page, pages};
use crate::checkpoint::{Step, advance_pg, advance_sqlite};
use crate::db::{Conn, DbError, Load, Pool};
use crate::failpoint;
use crate::table::{Cells, Key, Slot, Table, postgres, sqlite};

/// Events in one round over all parts: a few milliseconds of folding, so that requests on the same core go on.
const ROUND_EVENTS: u32 = 1_000;
/// Events of one part in one round, at most and at least.
const PART_EVENTS: (u32, u32) = (500, 32);

/// What a round did.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Round {
    /// There is more to read at once.
    pub(super) full: bool,
    pub(super) took: Duration,
}

/// Why a transaction was given up.
#[derive(Debug, thiserror::Error)]
enum Refused {
    #[error("another worker moved a checkpoint")]
    NotFirst,
    #[error(transparent)]
    Store(#[from] DbError),
}

/// What one round writes to one database.
#[derive(Default)]
struct Batch {
    steps: Vec<Step>,
    rows: Vec<(Table, Slot, Cells)>,
}

impl Units {
    /// Brings every part that is behind one page further.
    pub(super) async fn round(&mut self) -> Result<Round, DbError> {
        let began = Instant::now();
        let mut round = Round::default();
        if self.role == Role::Follow {
            return Ok(round);
        }
        for database in 0..self.databases {
            let wanted = self.behind(database);
            if !wanted.is_empty() {
                round.full |= self.round_of(&wanted).await?;
            }
        }
        round.took = began.elapsed();
        Ok(round)
    }

    /// Parts of a database with events that some view has not read, and the position to read after.
    fn behind(&self, database: u32) -> Vec<(u32, u64)> {
        let parts = (0..self.db.parts()).filter(|part| part % self.databases == database);
        let after = |part: u32| {
            let head = self.progress.head(part);
            let marks = self.units.iter().filter_map(|unit| mark(unit, part));
            let open = marks.filter(|mark| !mark.stopped && mark.position < head);
            Some((part, open.map(|mark| mark.position).min()?))
        };
        parts.filter_map(after).collect()
    }

    async fn round_of(&mut self, wanted: &[(u32, u64)]) -> Result<bool, DbError> {
        let count = u32::try_from(wanted.len()).unwrap_or(u32::MAX).max(1);
        let limit = (ROUND_EVENTS / count).clamp(PART_EVENTS.1, PART_EVENTS.0);
        let pages = pages(&self.db, wanted, limit).await?;
        check_dense(wanted, &pages)?;
        let mut batch = Batch::default();
        let db = self.db.clone();
        for unit in &mut self.units {
            load(&db, unit, &pages).await?;
            fold(unit, &pages, &mut batch.steps);
            let mut cells = Cells::default();
            unit.held
                .changed(&mut cells)
                .map_err(|error| DbError::bug(error.to_string()))?;
            if cells.rows() > 0 {
                batch.rows.push((*unit.held.table(), unit.slot, cells));
            }
            // Folding is work for the processor: others on this thread get their turn between two views.
            tokio::task::yield_now().await;
        }
        if batch.steps.is_empty() {
            return Ok(false);
        }
        failpoint::reach("projection.before-flush");
        let steps = Arc::new(batch.steps);
        let outcome = self.flush(Arc::clone(&steps), batch.rows).await;
        match outcome {
            Ok(()) => self.after_flush(&steps, &pages),
            Err(refused) => {
                for unit in &mut self.units {
                    unit.held.forget();
                }
                match refused {
                    Refused::NotFirst => self.look_at_checkpoints().await?,
                    Refused::Store(error) => return Err(error),
                }
            }
        }
        let full = usize::try_from(limit).unwrap_or(usize::MAX);
        Ok(pages.iter().any(|page| page.events.len() >= full))
    }

    async fn flush(&self, steps: Arc<Vec<Step>>, rows: Vec<(Table, Slot, Cells)>) -> Result<(), Refused> {
        let part = steps.first().map_or(0, |step| step.part);
        let now = self.progress.now();
        let load = Load::bytes(rows.iter().map(|(_, _, cells)| cells.bytes()).sum());
        self.db
            .write_sized(part, load, move |conn| Box::pin(write(conn, steps, rows, now)))
            .await?;
        failpoint::reach("projection.after-flush");
        Ok(())
    }

    fn after_flush(&mut self, steps: &[Step], pages: &[Page]) {
        for unit in &mut self.units {
            let touched = unit.held.touched();
            // Before the position moves: a reader must not find the old row at the new position.
            if unit.active {
                self.cache.invalidate(unit.view, &touched);
            }
            unit.held.shrink();
        }
        for step in steps {
            let unit = self
                .units
                .iter_mut()
                .find(|unit| unit.view == step.view && unit.slot == step.slot);
            let Some(unit) = unit else { continue };
            let at = usize::try_from(step.part)
                .ok()
                .and_then(|part| unit.marks.get_mut(part));
            if let Some(mark) = at {
                *mark = Some(Mark {
                    position: step.to,
                    stopped: step.stopped_reason.is_some(),
                });
            }
            if let Some(reason) = &step.stopped_reason {
                tracing::error!(
                    view = step.view.name(),
                    slot = step.slot,
                    part = step.part,
                    position = step.to + 1,
                    reason,
                    "a view stopped: it does not go past an event it cannot fold"
                );
            }
            if unit.active {
                let page = pages.iter().find(|page| page.part == step.part);
                let last = page.and_then(|page| page.events.iter().rfind(|event| event.position <= step.to));
                let recorded = last.map_or_else(|| self.progress.now(), |event| event.recorded_at);
                self.progress.advance(step.view, step.part, step.to, recorded);
            }
        }
        self.progress.announce();
    }
}

fn mark(unit: &Unit, part: u32) -> Option<&Mark> {
    unit.marks.get(usize::try_from(part).ok()?)?.as_ref()
}

/// Positions are dense: a hole would mean that the log was damaged, and folding past it would hide that.
fn check_dense(wanted: &[(u32, u64)], pages: &[Page]) -> Result<(), DbError> {
    for page in pages {
        let after = wanted
            .iter()
            .find(|(part, _)| *part == page.part)
            .map_or(0, |(_, after)| *after);
        for (expected, event) in (after + 1..).zip(&page.events) {
            if event.position != expected {
                let part = page.part;
                return Err(DbError::bug(format!(
                    "position {expected} of part {part} is missing from the log"
                )));
            }
        }
    }
    Ok(())
}

/// Loads, in one query, the rows that the pages touch and that are not held.
async fn load(db: &crate::db::Db, unit: &mut Unit, pages: &[Page]) -> Result<(), DbError> {
    let mut keys: HashSet<(u32, Key)> = HashSet::new();
    for page in pages {
        let Some(mark) = mark(unit, page.part).filter(|mark| !mark.stopped) else {
            continue;
        };
        for event in page.events.iter().filter(|event| event.position > mark.position) {
            // A key that cannot be told fails again, and is told, when it is folded.
            if let Ok(Some(key)) = unit.held.wanted(page.part, event) {
                keys.insert((page.part, key));
            }
        }
    }
    let Some((part, _)) = keys.iter().next() else {
        return Ok(());
    };
    let pool = db.pool_for(*part);
    let keys: Vec<(u32, Key)> = keys.into_iter().collect();
    let table = *unit.held.table();
    let taken = match pool {
        Pool::Postgres(pool) => {
            let mut connection = pool.acquire().await?;
            let rows = postgres::load(&mut connection, &table, unit.slot, &keys).await?;
            unit.held.take(&keys, Rows::Postgres(&rows))
        }
        Pool::Sqlite(pool) => {
            let mut connection = pool.acquire().await?;
            let rows = sqlite::load(&mut connection, &table, unit.slot, &keys).await?;
            unit.held.take(&keys, Rows::Sqlite(&rows))
        }
    };
    taken.map_err(|error| DbError::bug(error.to_string()))
}

/// Folds the pages; a step says how far each part came.
fn fold(unit: &mut Unit, pages: &[Page], steps: &mut Vec<Step>) {
    for page in pages {
        let Some(mark) = mark(unit, page.part).filter(|mark| !mark.stopped) else {
            continue;
        };
        let from = mark.position;
        let mut to = from;
        let mut stopped_reason = None;
        for event in page.events.iter().filter(|event| event.position > from) {
            let is_read = event.is_of_account() || !unit.held.accounts_only();
            if is_read && let Err(error) = unit.held.fold(page.part, event) {
                stopped_reason = Some(format!("position {}: {error}", event.position));
                break;
            }
            to = event.position;
        }
        if to > from || stopped_reason.is_some() {
            let (view, slot, part) = (unit.view, unit.slot, page.part);
            steps.push(Step {
                view,
                slot,
                part,
                from,
                to,
                stopped_reason,
            });
        }
    }
}

async fn write(
    conn: Conn<'_>,
    steps: Arc<Vec<Step>>,
    rows: Vec<(Table, Slot, Cells)>,
    now: Timestamp,
) -> Result<(), Refused> {
    let careless = failpoint::mutant("checkpoint-without-compare");
    match conn {
        Conn::Postgres(c) => {
            // Views and checkpoints are lost together and folded again from the log: this commit need not wait.
            let off = sqlx::query("set local synchronous_commit = off").execute(&mut *c).await;
            off.map_err(DbError::from)?;
            if !advance_pg(c, &steps, now).await? && !careless {
                return Err(Refused::NotFirst);
            }
            failpoint::reach("projection.after-checkpoint");
            for (table, slot, cells) in rows {
                postgres::upsert(c, &table, slot, cells).await?;
            }
        }
        Conn::Sqlite(c) => {
            if !advance_sqlite(c, &steps, now).await? && !careless {
                return Err(Refused::NotFirst);
            }
            failpoint::reach("projection.after-checkpoint");
            for (table, slot, cells) in rows {
                sqlite::upsert(c, &table, slot, cells).await?;
            }
        }
    }
    failpoint::reach("projection.after-rows");
    Ok(())
}

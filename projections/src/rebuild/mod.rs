//! Fills the slot nobody reads from zero, beside the one readers use.
//!
//! Flow: forget the other slot's checkpoints, so that the loop leaves it alone; then part by part, several at once:
//! empty it, read the log once for all views asked for, fold in memory, write once, and set the checkpoints. From
//! then on the loop keeps the part up to date, and `swap` can move readers. What was begun and not finished goes on
//! with the parts that are missing.

mod fill;
mod jobs;
mod read;
mod slot;
pub mod swap;

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use aggregates::ids::StreamId;
use aggregates::operation::OperationEvent;
use aggregates::partition::part_of;
use aggregates::recorded::LedgerEvent;
use futures::{StreamExt, TryStreamExt};

use crate::checkpoint::read_active;
use crate::db::{Db, DbError, StoreKind};
use crate::failpoint;
use crate::projection::LogEvent;
use crate::runner::Progress;
use crate::table::{RowError, Slot};
use crate::views::View;
use fill::Fill;

pub use jobs::{Rebuilds, State};

/// Parts, or ranges of streams on SQLite, that are filled at the same time: one reads while another folds.
const AT_ONCE: usize = 4;
/// Readers of a SQLite file at the same time: half of the pool, the rest serves.
const AT_ONCE_SQLITE: usize = 2;
/// Ranges the streams of a SQLite ledger are cut into.
const RANGES: u64 = 8;
/// Rows held before they are written, where a part can be written in pieces.
const ROWS_HELD: usize = 8_000;

/// Why a slot could not be filled.
#[derive(Clone, Debug, thiserror::Error)]
pub enum RebuildError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] DbError),
    /// An event cannot be folded.
    #[error(
        "the rebuild of {view} ends at part {part}, position {position}: {reason}; run a version that reads the event, \
         or skip it in the live view first"
    )]
    Fold {
        /// The view.
        view: &'static str,
        /// Part of the event.
        part: u32,
        /// Its position.
        position: u64,
        /// What is wrong with it.
        reason: String,
    },
    /// A row cannot be written.
    #[error(transparent)]
    Row(#[from] RowError),
    /// The process is stopping.
    #[error("the rebuild was ended before it was done; start it again and it goes on with the missing parts")]
    Ended,
}

/// What is being filled.
#[derive(Clone)]
struct Plan {
    db: Db,
    progress: Progress,
    views: Arc<[(View, Slot)]>,
    skips: Arc<HashSet<(View, u32, u64)>>,
    done: Arc<AtomicU64>,
}

/// Fills the slots nobody reads of `views` from zero; `done` counts events.
pub async fn rebuild(db: &Db, progress: &Progress, views: &[View], done: Arc<AtomicU64>) -> Result<(), RebuildError> {
    let mut skips = HashSet::new();
    for view in views {
        skips.extend(skipped(db, *view).await?);
    }
    // From the store: what this process knows of the slots may be a second old, and filling begins by emptying.
    let active = read_active(db).await?;
    let unread = |view: View| 1 - active.iter().find(|it| it.view == view).map_or(0, |it| it.slot);
    // The audit index sees every event and needs no payload; the others see accounts and do.
    let (accounts, index): (Vec<View>, Vec<View>) = views.iter().partition(|view| view.accounts_only());
    for group in [accounts, index] {
        if group.is_empty() {
            continue;
        }
        let plan = Plan {
            db: db.clone(),
            progress: progress.clone(),
            views: group.iter().map(|view| (*view, unread(*view))).collect(),
            skips: Arc::new(skips.clone()),
            done: Arc::clone(&done),
        };
        let parts = slot::begin(&plan).await?;
        let at_once = match db.kind() {
            StoreKind::Postgres => AT_ONCE,
            StoreKind::Sqlite => 1,
        };
        let fills = parts.into_iter().map(|(part, views)| {
            let plan = Plan {
                views: views.into(),
                ..plan.clone()
            };
            spawn(async move { fill_part(&plan, part).await })
        });
        futures::stream::iter(fills)
            .buffer_unordered(at_once)
            .try_collect::<()>()
            .await?;
    }
    Ok(())
}

/// On a thread of its own choosing: folding is work for the processor.
async fn spawn(work: impl Future<Output = Result<(), RebuildError>> + Send + 'static) -> Result<(), RebuildError> {
    tokio::spawn(work).await.map_err(|_| RebuildError::Ended)?
}

async fn fill_part(plan: &Plan, part: u32) -> Result<(), RebuildError> {
    let head = plan.db.heads().known(part);
    slot::empty(plan, part).await?;
    let accounts = plan.views.iter().all(|(view, _)| view.accounts_only());
    match (accounts, plan.db.kind()) {
        (true, StoreKind::Postgres) => accounts_postgres(plan, part, head).await?,
        (true, StoreKind::Sqlite) => accounts_sqlite(plan, head).await?,
        (false, _) => index(plan, part, head).await?,
    }
    slot::finish(plan, part, head).await?;
    failpoint::reach("rebuild.after-part");
    Ok(())
}

fn fills(plan: &Plan) -> Vec<(Box<dyn Fill>, Slot)> {
    plan.views.iter().map(|(view, slot)| (fill::of(*view), *slot)).collect()
}

/// By position, all rows of the part in memory, one COPY a view at the end.
async fn accounts_postgres(plan: &Plan, part: u32, head: u64) -> Result<(), RebuildError> {
    let mut fills = fills(plan);
    let mut after = 0;
    loop {
        let page = read::accounts(&plan.db, part, after, head).await?;
        let Some(last) = page.last() else { break };
        after = last.position;
        fold(plan, &mut fills, &page)?;
    }
    for (fill, slot) in &mut fills {
        let rows = fill.take_copy(part)?;
        slot::copy(plan, part, *fill.table(), *slot, rows).await?;
    }
    Ok(())
}

/// By stream: when a page ends, all its streams are complete and leave memory.
async fn accounts_sqlite(plan: &Plan, head: u64) -> Result<(), RebuildError> {
    let ranges = read::ranges(&plan.db, head, RANGES).await?;
    let work = ranges.into_iter().map(|(from, end)| {
        let plan = plan.clone();
        spawn(async move {
            let mut fills = fills(&plan);
            let (mut after, last) = (from, end);
            loop {
                let page = read::streams(&plan.db, &after, &last, head).await?;
                for stream in &page {
                    fold(&plan, &mut fills, &read::events_of(stream)?)?;
                }
                for (fill, slot) in &mut fills {
                    let rows = fill.take_cells(0)?;
                    slot::insert(&plan, 0, *fill.table(), *slot, rows).await?;
                }
                let Some((stream, _)) = page.into_iter().next_back() else {
                    return Ok(());
                };
                after = stream;
            }
        })
    });
    futures::stream::iter(work)
        .buffer_unordered(AT_ONCE_SQLITE)
        .try_collect()
        .await
}

/// By position, in pieces: rows are only added.
async fn index(plan: &Plan, part: u32, head: u64) -> Result<(), RebuildError> {
    let mut fills = fills(plan);
    let mut after = 0;
    loop {
        let page = read::slim(&plan.db, part, after, head).await?;
        let last = page.last().map(|event| event.position);
        fold(plan, &mut fills, &page)?;
        for (fill, slot) in &mut fills {
            if last.is_some() && fill.rows() < ROWS_HELD {
                continue;
            }
            match plan.db.kind() {
                StoreKind::Postgres => slot::copy(plan, part, *fill.table(), *slot, fill.take_copy(part)?).await?,
                StoreKind::Sqlite => slot::insert(plan, part, *fill.table(), *slot, fill.take_cells(part)?).await?,
            }
        }
        let Some(last) = last else { return Ok(()) };
        after = last;
    }
}

fn fold(plan: &Plan, fills: &mut [(Box<dyn Fill>, Slot)], page: &[LogEvent]) -> Result<(), RebuildError> {
    for event in page {
        for (fill, _) in fills.iter_mut() {
            if !plan.skips.is_empty() && plan.skips.contains(&(fill.view(), event.part, event.position)) {
                continue;
            }
            fill.fold(event).map_err(|error| RebuildError::Fold {
                view: fill.view().name(),
                part: event.part,
                position: event.position,
                reason: error.reason,
            })?;
        }
    }
    plan.done
        .fetch_add(u64::try_from(page.len()).unwrap_or(0), Ordering::Relaxed);
    Ok(())
}

/// The stream on which acts upon a view are recorded.
pub fn stream_of(view: View) -> Result<StreamId, aggregates::ids::IdError> {
    StreamId::parse(&format!("projection:{}", view.name()))
}

/// Events an operator let the view go past: a rebuild goes past them too, and ends the same.
async fn skipped(db: &Db, view: View) -> Result<Vec<(View, u32, u64)>, DbError> {
    let stream = stream_of(view).map_err(|error| DbError::bug(error.to_string()))?;
    let part = part_of(&stream, db.parts());
    let acts = crate::log::load_streams(db, part, &[(aggregates::operation::AGGREGATE_TYPE, stream.as_str())]).await?;
    let mut found = Vec::new();
    for act in acts.into_iter().map(LogEvent::from) {
        let typed = act.typed().map_err(|error| DbError::bug(error.reason))?;
        if let LedgerEvent::Operation(OperationEvent::ProjectionSkipped { part, position, .. }) = typed {
            found.push((view, *part, *position));
        }
    }
    Ok(found)
}

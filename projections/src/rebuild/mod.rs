//! Fills the slot nobody reads from zero, beside the one readers use.
//!
//! Flow: forget the other slot's checkpoints, so that the loop leaves it alone; then some parts a pass, several passes
//! at once: empty them, read the log once for all views asked for, fold account by account, write encoded rows in
//! pieces, and set the checkpoints. From then on the loop keeps these parts up to date, and `swap` can move readers.
//! What was begun and not finished goes on with the parts that are missing. Memory holds an account and some pieces,
//! however many accounts there are.

mod copied;
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
use fill::{Fill, Skips};

pub use jobs::{Rebuilds, State};

/// Passes over the log at the same time: one is read while another is folded or written. Each takes two of the
/// connections for long work.
const AT_ONCE: usize = 3;
/// Parts of one pass: with 64 parts of 8 events a page, each page is fetched five times instead of eight, and the server
/// sorts an eighth of the log at a time.
const PARTS_TOGETHER: usize = 8;
/// Passes over the log, at least, where there are so many parts: several are under way at the same time.
const PASSES: usize = 8;
/// Readers of a SQLite file at the same time: half of the pool, the rest serves.
const AT_ONCE_SQLITE: usize = 2;
/// Ranges the streams of a SQLite ledger are cut into.
const RANGES: u64 = 8;
/// Rows of the index held before they are written.
const ROWS_HELD: usize = 8_000;
/// Bytes of encoded rows held before they are written, on Postgres: a COPY of that size costs little more than its rows.
const PIECE_BYTES: usize = 4 * 1024 * 1024;

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
    skips: Skips,
    done: Arc<AtomicU64>,
}

impl Plan {
    fn of_accounts(&self) -> bool {
        self.views.iter().all(|(view, _)| view.accounts_only())
    }
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
        // The index is read by position, each part by itself.
        let most = if plan.of_accounts() {
            (parts.len() / PASSES).clamp(1, PARTS_TOGETHER)
        } else {
            1
        };
        let fills = together(db, parts, most).into_iter().map(|(parts, views)| {
            let plan = Plan {
                views: views.into(),
                ..plan.clone()
            };
            spawn(async move { fill_parts(&plan, &parts).await })
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

/// Parts with the views to be filled in each.
type Parts = Vec<(Vec<u32>, Vec<(View, Slot)>)>;

/// At most `most` parts a pass: of one database, and with the same views to be filled.
fn together(db: &Db, parts: Vec<(u32, Vec<(View, Slot)>)>, most: usize) -> Parts {
    let databases = u32::try_from(db.pools().len()).unwrap_or(1).max(1);
    let mut groups: Parts = Vec::new();
    for (part, views) in parts {
        let group = groups.iter_mut().find(|(parts, same)| {
            let is_near = parts.first().is_some_and(|first| first % databases == part % databases);
            is_near && parts.len() < most && *same == views
        });
        match group {
            Some((parts, _)) => parts.push(part),
            None => groups.push((vec![part], views)),
        }
    }
    groups
}

async fn fill_parts(plan: &Plan, parts: &[u32]) -> Result<(), RebuildError> {
    let heads: Vec<(u32, u64)> = parts.iter().map(|part| (*part, plan.db.heads().known(*part))).collect();
    for part in parts {
        slot::empty(plan, *part).await?;
    }
    match (plan.of_accounts(), plan.db.kind()) {
        (true, StoreKind::Postgres) => accounts_postgres(plan, &heads).await?,
        (true, StoreKind::Sqlite) => {
            for (_, head) in &heads {
                accounts_sqlite(plan, *head).await?;
            }
        }
        (false, _) => {
            for (part, head) in &heads {
                index(plan, *part, *head).await?;
            }
        }
    }
    for (part, head) in heads {
        slot::finish(plan, part, head).await?;
        failpoint::reach("rebuild.after-part");
    }
    Ok(())
}

fn fill(plan: &Plan) -> Fill {
    Fill::new(plan.db.kind(), &plan.skips, &plan.views)
}

/// By stream: a stream that is read is complete, so its rows are encoded and its events leave memory.
async fn accounts_postgres(plan: &Plan, heads: &[(u32, u64)]) -> Result<(), RebuildError> {
    let Some((part, _)) = heads.first().copied() else {
        return Ok(());
    };
    let mut fill = fill(plan);
    let mut connection = copied::connect(&plan.db, part).await?;
    let mut streams = copied::streams(&mut connection, heads).await?;
    while let Some(events) = streams.next().await? {
        fill.take(events)?;
        count(plan, events.len());
        if fill.bytes() >= PIECE_BYTES {
            slot::add(plan, part, fill.drain()).await?;
        }
    }
    slot::add(plan, part, fill.drain()).await
}

/// By stream: when a page ends, all its streams are complete and leave memory. One page is read while the rows of the
/// one before are written.
async fn accounts_sqlite(plan: &Plan, head: u64) -> Result<(), RebuildError> {
    let ranges = read::ranges(&plan.db, head, RANGES).await?;
    let work = ranges.into_iter().map(|(from, last)| {
        let plan = plan.clone();
        spawn(async move {
            let mut fill = fill(&plan);
            let mut page = read::streams(&plan.db, &from, &last, head).await?;
            while let Some((after, _)) = page.last().cloned() {
                for stream in &page {
                    let events = read::events_of(stream)?;
                    fill.take(&events)?;
                    count(&plan, events.len());
                }
                let next = async { Ok(read::streams(&plan.db, &after, &last, head).await?) };
                (_, page) = futures::try_join!(slot::add(&plan, 0, fill.drain()), next)?;
            }
            Ok(())
        })
    });
    futures::stream::iter(work)
        .buffer_unordered(AT_ONCE_SQLITE)
        .try_collect()
        .await
}

/// By position, in pieces: rows are only added.
async fn index(plan: &Plan, part: u32, head: u64) -> Result<(), RebuildError> {
    let mut fill = fill(plan);
    let mut after = 0;
    loop {
        let page = read::slim(&plan.db, part, after, head).await?;
        fill.take(&page)?;
        count(plan, page.len());
        let last = page.last().map(|event| event.position);
        if last.is_none() || fill.count() >= ROWS_HELD {
            slot::add(plan, part, fill.drain()).await?;
        }
        let Some(last) = last else { return Ok(()) };
        after = last;
    }
}

fn count(plan: &Plan, events: usize) {
    let events = u64::try_from(events).unwrap_or(0);
    plan.done.fetch_add(events, Ordering::Relaxed);
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

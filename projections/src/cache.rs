//! Rows of accounts kept in memory, so that a check of access costs no query.
//!
//! The loop takes a row out before it lets the view's position move, and an answer's position is read before its row:
//! a row is never older than its answer says. Where another process moved a view, whole parts are forgotten.

use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::db::Db;
use crate::entitlements::{Entitlements, EntitlementsRow};
use crate::projection::Projection;
use crate::query::{Answer, QueryError, row_of};
use crate::quota::{Quota, QuotaRow};
use crate::runner::Progress;
use crate::status::{Status, StatusRow};
use crate::table::Key;
use crate::views::View;

/// Rows kept for each of the three views: a row takes a few kilobytes, and this many stay below 100 MB together.
const ROWS_MAX: usize = 10_000;
/// Locks a view's rows are spread over.
const SHARDS: usize = 16;

/// Cheap to clone.
#[derive(Clone)]
pub struct Cache(Arc<Shared>);

struct Shared {
    db: Db,
    progress: Progress,
    hasher: RandomState,
    status: Kept<Status>,
    entitlements: Kept<Entitlements>,
    quota: Kept<Quota>,
}

impl Cache {
    pub(crate) fn new(db: Db, progress: Progress) -> Self {
        Self(Arc::new(Shared {
            db,
            progress,
            hasher: RandomState::new(),
            status: Kept::new(View::Status),
            entitlements: Kept::new(View::Entitlements),
            quota: Kept::new(View::Quota),
        }))
    }

    /// Where the account of a stream stands; none: the ledger knows no such account.
    pub async fn status(&self, part: u32, stream: &str) -> Result<Answer<Option<Arc<StatusRow>>>, QueryError> {
        self.0.status.get(&self.0, part, stream).await
    }

    /// What the account of a stream may use.
    pub async fn entitlements(
        &self,
        part: u32,
        stream: &str,
    ) -> Result<Answer<Option<Arc<EntitlementsRow>>>, QueryError> {
        self.0.entitlements.get(&self.0, part, stream).await
    }

    /// How much the account of a stream may use.
    pub async fn quota(&self, part: u32, stream: &str) -> Result<Answer<Option<Arc<QuotaRow>>>, QueryError> {
        self.0.quota.get(&self.0, part, stream).await
    }

    /// Takes out rows that changed.
    pub(crate) fn invalidate(&self, view: View, touched: &[(u32, Box<str>)]) {
        match view {
            View::Status => self.0.status.invalidate(&self.0, touched),
            View::Entitlements => self.0.entitlements.invalidate(&self.0, touched),
            View::Quota => self.0.quota.invalidate(&self.0, touched),
            View::Invoices | View::Money | View::Audit => {}
        }
    }

    /// Takes out all rows of a part.
    pub(crate) fn forget_part(&self, view: View, part: u32) {
        match view {
            View::Status => self.0.status.forget_part(part),
            View::Entitlements => self.0.entitlements.forget_part(part),
            View::Quota => self.0.quota.forget_part(part),
            View::Invoices | View::Money | View::Audit => {}
        }
    }
}

type Rows<R> = HashMap<Box<str>, (u32, Option<Arc<R>>)>;

struct Shard<R> {
    recent: Rows<R>,
    /// What was recent before; dropped when `recent` is full again and it was not asked for.
    older: Rows<R>,
    /// Changes whenever something is taken out: a row loaded before that is not kept.
    generation: u64,
}

struct Kept<P: Projection> {
    view: View,
    shards: Vec<Mutex<Shard<P::Row>>>,
}

impl<P: Projection> Kept<P> {
    fn new(view: View) -> Self {
        let shard = || {
            Mutex::new(Shard {
                recent: HashMap::new(),
                older: HashMap::new(),
                generation: 0,
            })
        };
        Self {
            view,
            shards: (0..SHARDS).map(|_| shard()).collect(),
        }
    }

    fn shard(&self, shared: &Shared, stream: &str) -> MutexGuard<'_, Shard<P::Row>> {
        let count = u64::try_from(SHARDS).unwrap_or(1);
        let at = usize::try_from(shared.hasher.hash_one(stream) % count).unwrap_or(0);
        lock(&self.shards[at])
    }

    async fn get(&self, shared: &Shared, part: u32, stream: &str) -> Result<Answer<Option<Arc<P::Row>>>, QueryError> {
        let (slot, freshness) = shared.progress.slot_and_freshness(self.view, part);
        let generation = {
            let mut shard = self.shard(shared, stream);
            if let Some((_, row)) = shard.find(stream) {
                return Ok(Answer { value: row, freshness });
            }
            shard.generation
        };
        let row = row_of::<P>(&shared.db, slot, part, &Key::stream(stream))
            .await?
            .map(Arc::new);
        let mut shard = self.shard(shared, stream);
        if shard.generation == generation {
            shard.keep(stream, part, row.clone());
        }
        Ok(Answer { value: row, freshness })
    }

    fn invalidate(&self, shared: &Shared, touched: &[(u32, Box<str>)]) {
        for (_, stream) in touched {
            let mut shard = self.shard(shared, stream);
            shard.recent.remove(stream);
            shard.older.remove(stream);
            shard.generation = shard.generation.wrapping_add(1);
        }
    }

    fn forget_part(&self, part: u32) {
        for shard in &self.shards {
            let mut shard = lock(shard);
            shard.recent.retain(|_, (of, _)| *of != part);
            shard.older.retain(|_, (of, _)| *of != part);
            shard.generation = shard.generation.wrapping_add(1);
        }
    }
}

impl<R> Shard<R> {
    fn find(&mut self, stream: &str) -> Option<(u32, Option<Arc<R>>)> {
        if let Some(found) = self.recent.get(stream) {
            return Some(found.clone());
        }
        let (stream, found) = self.older.remove_entry(stream)?;
        self.insert(stream, found.clone());
        Some(found)
    }

    fn keep(&mut self, stream: &str, part: u32, row: Option<Arc<R>>) {
        self.insert(stream.into(), (part, row));
    }

    fn insert(&mut self, stream: Box<str>, row: (u32, Option<Arc<R>>)) {
        if self.recent.len() >= ROWS_MAX / SHARDS / 2 {
            self.older = std::mem::take(&mut self.recent);
        }
        self.recent.insert(stream, row);
    }
}

/// A thread that panicked while it held the lock left whole entries behind: nothing to repair.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

//! The table of receipts: what is put in, what is due, what an operator asks.

use std::collections::BTreeMap;
use std::sync::Arc;

use aggregates::time::Timestamp;
use projections::db::{Conn, Db, DbError, Load, Pool, StoreKind};
use projections::failpoint;
use serde::Serialize;

use super::InboxError;
use super::receipt::{Custody, Due, NewReceipt, Receipt, ReceiptCursor, ReceiptFilter, ReceiptKey, Settlement, State};
use super::receive::Received;
use super::{postgres, sqlite};

/// How long a new receipt is left to the process that received it before anybody else picks it up, in seconds.
pub const NEW_GRACE_SECONDS: i64 = 10;
/// Receipts whose bodies one sweep reads at once, so that a long backlog is worked off in steps that can be stopped.
pub const DUE_PAGE: usize = 500;
/// Inserts at once on Postgres: a second one runs while the first waits for its sync; more only thin out the batches.
const COMMITTERS_POSTGRES: usize = 3;
/// On SQLite the next group is at the writer while the one before it commits.
const COMMITTERS_SQLITE: usize = 2;

/// Said of a receipt whose event id came again with other bytes.
pub const NOTE_OTHER_CONTENT: &str = "the same event id came again with other content, which was not kept";

/// A receipt that is due, without its body.
#[derive(Clone, Debug)]
pub struct DueKey {
    /// Which.
    pub key: ReceiptKey,
    /// Size of its body.
    pub bytes: usize,
}

/// Receipts without an outcome, and those that need a person.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Backlog {
    /// `New`, `Parked` or `Quarantined`.
    pub state: State,
    /// How many.
    pub count: u64,
    /// When the oldest came.
    pub oldest: Timestamp,
}

impl State {
    /// Nothing will be tried any more by itself.
    #[must_use]
    pub const fn is_final(self) -> bool {
        !matches!(self, Self::New | Self::Parked)
    }
}

/// A stored value that only an edit by hand explains.
pub(super) fn corrupt(what: &'static str) -> DbError {
    DbError::bug(format!(
        "webhook_receipts holds an unreadable {what}; restore the row from a backup"
    ))
}

pub(super) fn part_in(value: Option<i64>) -> u32 {
    value.and_then(|part| u32::try_from(part).ok()).unwrap_or_default()
}

/// Reads and writes receipts. Cheap to clone.
#[derive(Clone)]
pub struct ReceiptStore {
    db: Db,
}

impl ReceiptStore {
    /// Of this ledger.
    #[must_use]
    pub const fn new(db: Db) -> Self {
        Self { db }
    }

    /// Partitions of the ledger.
    #[must_use]
    pub fn parts(&self) -> u32 {
        self.db.parts()
    }

    /// How many inserts may usefully run at once.
    pub(super) fn committers(&self) -> usize {
        match self.db.kind() {
            StoreKind::Sqlite => COMMITTERS_SQLITE,
            StoreKind::Postgres => COMMITTERS_POSTGRES,
        }
    }

    /// Makes receipts durable; says for each, in the same order, whether it was new. Rows come sorted by part and
    /// key, each key once.
    pub(super) async fn insert(&self, rows: Arc<Vec<NewReceipt>>) -> Result<Vec<Received>, DbError> {
        let known = match self.db.kind() {
            StoreKind::Sqlite => self.insert_sqlite(Arc::clone(&rows)).await?,
            StoreKind::Postgres => self.insert_postgres(&rows).await?,
        };
        for (key, received) in &known {
            if *received == Received::OtherContent {
                self.note_other_content(key).await?;
            }
        }
        let known: BTreeMap<&ReceiptKey, Received> = known.iter().map(|(key, received)| (key, *received)).collect();
        let received = |row: &NewReceipt| known.get(&row.key).copied().unwrap_or(Received::Stored);
        Ok(rows.iter().map(received).collect())
    }

    async fn insert_sqlite(&self, rows: Arc<Vec<NewReceipt>>) -> Result<Vec<(ReceiptKey, Received)>, DbError> {
        let load = Load::urgent(rows.iter().map(NewReceipt::weight).sum(), rows.len() == 1);
        self.on_writer(load, move |connection| {
            Box::pin(async move {
                let inserted = sqlite::insert(connection, &rows, &grace(rows.iter())).await?;
                failpoint::reach("receive.after-insert");
                let rest = missing(rows.iter(), &inserted);
                if rest.is_empty() {
                    return Ok(Vec::new());
                }
                sqlite::compare(connection, &rest).await
            })
        })
        .await
    }

    async fn insert_postgres(&self, rows: &[NewReceipt]) -> Result<Vec<(ReceiptKey, Received)>, DbError> {
        let mut known = Vec::new();
        for (first, rows) in self.db.by_database(rows, |row| row.part) {
            let Pool::Postgres(pool) = self.db.pool_for(first) else {
                continue;
            };
            let inserted = postgres::insert(pool, &rows, &grace(rows.iter().copied())).await?;
            let rest = missing(rows.iter().copied(), &inserted);
            if !rest.is_empty() {
                known.extend(postgres::compare(pool, &rest).await?);
            }
        }
        Ok(known)
    }

    async fn note_other_content(&self, key: &ReceiptKey) -> Result<(), DbError> {
        let part = key.part(self.parts());
        let key = key.clone();
        match self.db.pool_for(part) {
            Pool::Postgres(pool) => postgres::note(pool, part, &key).await,
            Pool::Sqlite(_) => {
                self.on_writer(Load::default(), move |connection| {
                    Box::pin(async move { sqlite::note(connection, part, &key).await })
                })
                .await
            }
        }
    }

    /// A job on the writing connection of SQLite.
    async fn on_writer<T, F>(&self, load: Load, job: F) -> Result<T, DbError>
    where
        T: Send + 'static,
        F: for<'c> FnOnce(&'c mut sqlx::SqliteConnection) -> futures::future::BoxFuture<'c, Result<T, DbError>>
            + Send
            + 'static,
    {
        self.db
            .write_sized(0, load, move |connection| match connection {
                Conn::Sqlite(connection) => job(connection),
                Conn::Postgres(_) => Box::pin(async { Err(DbError::bug("a SQLite job met another store")) }),
            })
            .await
    }

    /// Writes what became of receipts. Repeatable; a final outcome is never overwritten.
    pub async fn settle(&self, settlements: &[Settlement], now: Timestamp) -> Result<(), DbError> {
        let mut rows: Vec<(u32, &Settlement)> = settlements
            .iter()
            .map(|row| (row.key.part(self.parts()), row))
            .collect();
        // Sorted, so that two settlers cannot wait for each other in a circle.
        rows.sort_by(|(a, x), (b, y)| (a, &x.key).cmp(&(b, &y.key)));
        if self.db.kind() == StoreKind::Sqlite {
            let rows = sqlite::settlements(&rows, now);
            return self
                .on_writer(Load::default(), move |connection| {
                    Box::pin(async move { sqlite::settle(connection, &rows).await.map(|_| ()) })
                })
                .await;
        }
        for (first, rows) in self.db.by_database(rows, |(part, _)| *part) {
            let Pool::Postgres(pool) = self.db.pool_for(first) else {
                continue;
            };
            postgres::settle(pool, &rows, now).await?;
        }
        Ok(())
    }

    /// Receipts of these parts without an outcome whose time has come, oldest first, at most `limit`. With `fresh` also
    /// those that were never tried and are still left to the process that received them.
    pub async fn due(&self, parts: &[u32], now: Timestamp, fresh: bool, limit: usize) -> Result<Vec<DueKey>, DbError> {
        let mut due = Vec::new();
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let until = if fresh {
            now.plus_seconds(NEW_GRACE_SECONDS)
        } else {
            now
        };
        for (first, parts) in self.db.by_database(parts.iter().copied(), |part| *part) {
            due.extend(match self.db.pool_for(first) {
                Pool::Postgres(pool) => postgres::due(pool, &parts, (now, until), limit).await?,
                Pool::Sqlite(pool) => sqlite::due(pool, (now, until), limit).await?,
            });
        }
        Ok(due)
    }

    /// The same receipts with their bodies, but for those that got an outcome meanwhile; oldest first.
    pub async fn bodies(&self, keys: &[ReceiptKey]) -> Result<Vec<Due>, DbError> {
        let keys: Vec<(u32, &ReceiptKey)> = keys.iter().map(|key| (key.part(self.parts()), key)).collect();
        let mut due = Vec::new();
        for (first, keys) in self.db.by_database(keys, |(part, _)| *part) {
            due.extend(match self.db.pool_for(first) {
                Pool::Postgres(pool) => postgres::bodies(pool, &keys).await?,
                Pool::Sqlite(pool) => sqlite::bodies(pool, &keys).await?,
            });
        }
        Ok(due)
    }

    /// Receipts, newest first, after `after`; `limit` is the caller's page size.
    pub async fn list(
        &self,
        filter: &ReceiptFilter,
        after: Option<&ReceiptCursor>,
        limit: u32,
    ) -> Result<Vec<Receipt>, DbError> {
        let mut all = Vec::new();
        for pool in self.db.pools() {
            all.extend(match pool {
                Pool::Postgres(pool) => postgres::list(pool, filter, after, i64::from(limit)).await?,
                Pool::Sqlite(pool) => sqlite::list(pool, filter, after, i64::from(limit)).await?,
            });
        }
        let place = |r: &Receipt| (r.received_at, r.key.clone());
        all.sort_by_key(|receipt| std::cmp::Reverse(place(receipt)));
        all.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
        Ok(all)
    }

    /// Number of receipts, counted no further than `most` in each database.
    pub async fn count(&self, filter: &ReceiptFilter, most: u32) -> Result<u64, DbError> {
        let mut sum = 0;
        for pool in self.db.pools() {
            sum += match pool {
                Pool::Postgres(pool) => postgres::count(pool, filter, i64::from(most)).await?,
                Pool::Sqlite(pool) => sqlite::count(pool, filter, i64::from(most)).await?,
            };
        }
        Ok(sum)
    }

    /// One receipt with what proves it.
    pub async fn find(&self, key: &ReceiptKey) -> Result<Option<Custody>, DbError> {
        let part = key.part(self.parts());
        match self.db.pool_for(part) {
            Pool::Postgres(pool) => postgres::show(pool, part, key).await,
            Pool::Sqlite(pool) => sqlite::show(pool, part, key).await,
        }
    }

    /// The same, or [`InboxError::Unknown`].
    pub async fn get(&self, key: &ReceiptKey) -> Result<Custody, InboxError> {
        let found = self.find(key).await?;
        found.ok_or_else(|| InboxError::Unknown(key.clone()))
    }

    /// Moves one receipt by decision, if it stands in one of `from`; says whether it did.
    pub(super) async fn transition(&self, to: Settlement, from: &[State], now: Timestamp) -> Result<bool, DbError> {
        let part = to.key.part(self.parts());
        let from = from.to_vec();
        match self.db.pool_for(part) {
            Pool::Postgres(pool) => postgres::transition(pool, part, &to, &from, now).await,
            Pool::Sqlite(_) => {
                self.on_writer(Load::default(), move |connection| {
                    Box::pin(async move { sqlite::transition(connection, part, &to, &from, now).await })
                })
                .await
            }
        }
    }

    /// Receipts without an outcome, and quarantined ones: cheap, for metrics and readiness.
    pub async fn backlog(&self) -> Result<Vec<Backlog>, DbError> {
        let mut sum: BTreeMap<State, Backlog> = BTreeMap::new();
        for pool in self.db.pools() {
            let found = match pool {
                Pool::Postgres(pool) => postgres::backlog(pool).await?,
                Pool::Sqlite(pool) => sqlite::backlog(pool).await?,
            };
            for one in found {
                let entry = sum.entry(one.state).or_insert(Backlog {
                    count: 0,
                    ..one.clone()
                });
                entry.count += one.count;
                entry.oldest = entry.oldest.min(one.oldest);
            }
        }
        Ok(sum.into_values().collect())
    }

    /// All receipts by state and type. Reads the whole table: for an operator's question, not for a scrape.
    pub async fn counts(&self) -> Result<BTreeMap<(State, String), u64>, DbError> {
        let mut sum = BTreeMap::new();
        for pool in self.db.pools() {
            let found = match pool {
                Pool::Postgres(pool) => postgres::counts(pool).await?,
                Pool::Sqlite(pool) => sqlite::counts(pool).await?,
            };
            for (state, event_type, count) in found {
                *sum.entry((state, event_type)).or_insert(0) += count;
            }
        }
        Ok(sum)
    }
}

/// What new deliveries are to the receipt that is held under a key, by what is held of it.
pub(super) fn to_held(rows: &[&NewReceipt], key: &ReceiptKey, digest: &[u8], endpoint: &str) -> Received {
    let same = |new: &&NewReceipt| new.key == *key && new.tells_the_same(digest, endpoint);
    if rows.iter().any(same) {
        Received::Duplicate
    } else {
        Received::OtherContent
    }
}

fn grace<'a>(rows: impl Iterator<Item = &'a NewReceipt>) -> Vec<Timestamp> {
    rows.map(|row| row.received_at.plus_seconds(NEW_GRACE_SECONDS))
        .collect()
}

fn missing<'a>(rows: impl Iterator<Item = &'a NewReceipt>, inserted: &[ReceiptKey]) -> Vec<&'a NewReceipt> {
    let inserted: std::collections::HashSet<&ReceiptKey> = inserted.iter().collect();
    rows.filter(|row| !inserted.contains(&row.key)).collect()
}

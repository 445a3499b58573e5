//! Where the ledger is kept: SQLite or Postgres behind one enum.
//!
//! Reading: `pool_for(part)`. Writing: `write(part, job)`, which runs `job` in a transaction and answers only after
//! its COMMIT; on SQLite many jobs share one. SQL of each dialect lives here and in files named sqlite.rs and
//! postgres.rs. No transaction touches two parts.

mod error;
mod failure;
mod heads;
mod jobs;
mod meta;
mod migrations;
mod open;
mod postgres;
mod sqlite;
mod value;
mod wal;
mod writer;

use std::collections::BTreeMap;
use std::sync::Arc;

use aggregates::plan::Mode;
use aggregates::time::Timestamp;
use futures::future::BoxFuture;
use sqlx::{PgConnection, PgPool, SqliteConnection, SqlitePool};

pub use error::{Class, DbError, FileError, OpenError};
pub use heads::Heads;
pub use jobs::Load;
pub use meta::{LedgerMeta, PARTS_POSTGRES, PARTS_SQLITE};
pub use migrations::{Migration, migrations};
pub use value::{at_from_chrono, at_from_micros, part_to_sql, position_from_sql, position_to_sql};

use postgres::Postgres;
use sqlite::Sqlite;

/// How to open a ledger.
#[derive(Clone, Debug)]
pub struct DbConfig {
    /// `sqlite:<path>` or `postgres://...`. More than one Postgres address spreads the parts over them.
    pub urls: Vec<String>,
    /// Wanted partitions; `None` takes what the ledger has, or the store's default for a new one.
    pub partitions: Option<u32>,
    /// Test or live data.
    pub mode: Mode,
    /// Bring the tables up to date first; otherwise old tables are refused.
    pub migrate: bool,
    /// Only read, beside a running server. Never migrates.
    pub read_only: bool,
    /// Start although the Postgres server may lose acknowledged writes.
    pub accept_unsafe_server: bool,
    /// Connections of the main Postgres pool.
    pub connections: u32,
    /// Who we are, written into the lock file for whoever finds it.
    pub holder: String,
    /// The clock at start, for rows made now.
    pub now: Timestamp,
}

/// Connections of the main pool: four appends in flight, receipts, views and reads; more only queue at the disk.
pub const CONNECTIONS: u32 = 16;

impl DbConfig {
    /// Opens `url` for reading and writing, migrates, test mode.
    #[must_use]
    pub fn new(url: &str, now: Timestamp) -> Self {
        Self {
            urls: vec![url.to_owned()],
            partitions: None,
            mode: Mode::Test,
            migrate: true,
            read_only: false,
            accept_unsafe_server: false,
            connections: CONNECTIONS,
            holder: format!("process {}", std::process::id()),
            now,
        }
    }
}

/// An open ledger; cheap to clone.
#[derive(Clone)]
pub struct Db {
    store: Store,
    meta: Arc<LedgerMeta>,
    heads: Heads,
    warnings: Arc<[String]>,
}

#[derive(Clone)]
enum Store {
    Sqlite(Sqlite),
    Postgres(Postgres),
}

/// A pool for reading.
#[derive(Clone, Copy)]
pub enum Pool<'a> {
    /// Read-only connections.
    Sqlite(&'a SqlitePool),
    /// The database of the part.
    Postgres(&'a PgPool),
}

/// The connection of a running transaction.
pub enum Conn<'c> {
    /// Inside the job's savepoint.
    Sqlite(&'c mut SqliteConnection),
    /// Inside the job's transaction.
    Postgres(&'c mut PgConnection),
}

/// Which store it is, for messages and for choosing SQL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoreKind {
    /// One file.
    Sqlite,
    /// A server.
    Postgres,
}

impl Db {
    /// Opens, migrates if asked to, and checks that the ledger is the one wanted and is whole.
    pub async fn open(config: &DbConfig) -> Result<Self, OpenError> {
        open::open(config).await
    }

    /// Number of partitions.
    #[must_use]
    pub fn parts(&self) -> u32 {
        self.meta.parts
    }

    /// What this ledger is.
    #[must_use]
    pub fn meta(&self) -> &LedgerMeta {
        &self.meta
    }

    /// Which store it is.
    #[must_use]
    pub fn kind(&self) -> StoreKind {
        match &self.store {
            Store::Sqlite(_) => StoreKind::Sqlite,
            Store::Postgres(_) => StoreKind::Postgres,
        }
    }

    /// What readiness must say although the ledger was opened.
    #[must_use]
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// Where to read rows of `part`; tables without a part live with part 0.
    #[must_use]
    pub fn pool_for(&self, part: u32) -> Pool<'_> {
        match &self.store {
            Store::Sqlite(sqlite) => Pool::Sqlite(&sqlite.readers),
            Store::Postgres(postgres) => Pool::Postgres(&postgres.database(part).pool),
        }
    }

    /// The same for long reads and writes (rebuild, import, verify): no statement limit on Postgres.
    #[must_use]
    pub fn bulk_pool_for(&self, part: u32) -> Pool<'_> {
        match &self.store {
            Store::Sqlite(sqlite) => Pool::Sqlite(&sqlite.readers),
            Store::Postgres(postgres) => Pool::Postgres(&postgres.database(part).bulk),
        }
    }

    /// One pool a database, for reads over all parts; the first is home.
    #[must_use]
    pub fn pools(&self) -> Vec<Pool<'_>> {
        match &self.store {
            Store::Sqlite(sqlite) => vec![Pool::Sqlite(&sqlite.readers)],
            Store::Postgres(postgres) => postgres.databases.iter().map(|d| Pool::Postgres(&d.pool)).collect(),
        }
    }

    /// Things that belong to parts, by the database they live in and in the order they came, each group with a part of
    /// that database; one group unless the ledger is spread over several.
    pub fn by_database<T>(&self, all: impl IntoIterator<Item = T>, part: impl Fn(&T) -> u32) -> Vec<(u32, Vec<T>)> {
        let databases = u32::try_from(self.pools().len()).unwrap_or(1).max(1);
        let mut groups: BTreeMap<u32, Vec<T>> = BTreeMap::new();
        for one in all {
            groups.entry(part(&one) % databases).or_default().push(one);
        }
        groups.into_iter().collect()
    }

    /// Runs `job` in a transaction on the database of `part`; `Ok` means it is durable. An `Err` of the job rolls
    /// back what it did and nothing else.
    pub async fn write<T, E, F>(&self, part: u32, job: F) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<DbError> + std::error::Error + Send + 'static,
        F: for<'c> FnOnce(Conn<'c>) -> BoxFuture<'c, Result<T, E>> + Send + 'static,
    {
        self.write_sized(part, Load::default(), job).await
    }

    /// The same, telling what the job brings, which decides the group it shares on SQLite.
    pub async fn write_sized<T, E, F>(&self, part: u32, load: Load, job: F) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<DbError> + std::error::Error + Send + 'static,
        F: for<'c> FnOnce(Conn<'c>) -> BoxFuture<'c, Result<T, E>> + Send + 'static,
    {
        match &self.store {
            Store::Sqlite(sqlite) => {
                let Some(writer) = &sqlite.writer else {
                    return Err(DbError::bug("the ledger was opened for reading only").into());
                };
                writer.write(load, move |c| job(Conn::Sqlite(c))).await
            }
            Store::Postgres(postgres) => {
                postgres::write(&postgres.database(part).pool, move |c| job(Conn::Postgres(c))).await
            }
        }
    }

    /// The same on a connection without statement limit, for rebuild and import.
    pub async fn write_bulk<T, E, F>(&self, part: u32, job: F) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<DbError> + std::error::Error + Send + 'static,
        F: for<'c> FnOnce(Conn<'c>) -> BoxFuture<'c, Result<T, E>> + Send + 'static,
    {
        match &self.store {
            Store::Sqlite(_) => self.write_sized(part, Load::default(), job).await,
            Store::Postgres(postgres) => {
                postgres::write(&postgres.database(part).bulk, move |c| job(Conn::Postgres(c))).await
            }
        }
    }

    /// Heads known to this process and who waits for them.
    #[must_use]
    pub fn heads(&self) -> &Heads {
        &self.heads
    }

    /// Reads all heads from the store and wakes whoever waits; other processes' appends are seen by this.
    pub async fn refresh_heads(&self) -> Result<Vec<u64>, DbError> {
        let heads = open::read_heads(self).await?;
        for (part, position) in (0_u32..).zip(&heads) {
            self.heads.publish(part, *position);
        }
        Ok(heads)
    }

    /// Ends when a SQLite file failed in a way after which the process must stop; else never. A Postgres server
    /// looks after its own files.
    pub async fn failed(&self) -> FileError {
        match &self.store {
            Store::Sqlite(sqlite) => sqlite.failure(failure::told().await),
            Store::Postgres(_) => std::future::pending().await,
        }
    }

    /// That failure, if it happened already.
    #[must_use]
    pub fn failure(&self) -> Option<FileError> {
        match &self.store {
            Store::Sqlite(sqlite) => failure::seen().map(|error| sqlite.failure(error)),
            Store::Postgres(_) => None,
        }
    }

    /// Lets the named Postgres role serve: everything but changing the log.
    pub async fn grant_application(&self, role: &str) -> Result<(), DbError> {
        if let Store::Postgres(postgres) = &self.store {
            for database in postgres.databases.iter() {
                let mut connection = database.bulk.acquire().await?;
                postgres::grant_application(&mut connection, role).await?;
            }
        }
        Ok(())
    }

    /// Version of the store, for `/version` and `doctor`.
    pub async fn store_version(&self) -> Result<String, DbError> {
        let (text,): (String,) = match self.pool_for(0) {
            Pool::Sqlite(pool) => {
                sqlx::query_as("select 'SQLite ' || sqlite_version()")
                    .fetch_one(pool)
                    .await?
            }
            Pool::Postgres(pool) => {
                sqlx::query_as("select 'Postgres ' || current_setting('server_version')")
                    .fetch_one(pool)
                    .await?
            }
        };
        Ok(text)
    }

    /// The store's own clock, for `doctor`; on SQLite it is this machine's.
    pub async fn store_now(&self) -> Result<Timestamp, DbError> {
        let (micros,): (i64,) = match self.pool_for(0) {
            Pool::Sqlite(pool) => {
                let seconds = "select cast(strftime('%s', 'now') as integer) * 1000000";
                sqlx::query_as(seconds).fetch_one(pool).await?
            }
            Pool::Postgres(pool) => {
                let micros = "select (extract(epoch from now()) * 1000000)::bigint";
                sqlx::query_as(micros).fetch_one(pool).await?
            }
        };
        at_from_micros(micros)
    }

    /// Closes the readers before the writer, so that SQLite tidies its files: who copies `ledger.db` after a clean stop
    /// has all of the ledger.
    pub async fn close(&self) {
        match &self.store {
            Store::Sqlite(sqlite) => {
                sqlite.readers.close().await;
                if let Some(writer) = &sqlite.writer {
                    writer.close().await;
                }
            }
            Store::Postgres(postgres) => {
                for database in postgres.databases.iter() {
                    database.pool.close().await;
                    database.bulk.close().await;
                }
            }
        }
    }
}

impl Postgres {
    fn database(&self, part: u32) -> &postgres::Database {
        let at = usize::try_from(part).unwrap_or(0) % self.databases.len();
        &self.databases[at]
    }
}

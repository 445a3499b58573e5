//! The SQLite store: one writing connection owned by one task, and a pool that can only read.
//!
//! The bundled SQLite may lose commits when several connections write or checkpoint one file in WAL mode
//! (sqlite.org/wal.html#walresetbug), so exactly one connection of one process does either.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{ConnectOptions, Connection, SqliteConnection, SqlitePool};

use crate::failpoint;

use super::error::{DbError, FileError, OpenError};
use super::wal::WriteAheadLog;
use super::writer::Writer;

/// Reading connections: two cores are busy with four, and each costs its own page cache.
const READERS: u32 = 4;
/// Page cache of the writer, in KiB (negative is SQLite's way to say KiB): the hot end of four indexes.
const WRITER_CACHE: &str = "-8192";
/// Page cache of each reader, in KiB.
const READER_CACHE: &str = "-2048";
/// How long a connection waits for the file before it says busy.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// Rows a statement may run ahead of its reader: a page of the log is read without switching threads per row.
const ROW_BUFFER: usize = 1_024;
/// Statements kept prepared on a connection; we have fewer.
const STATEMENTS: usize = 256;

/// The pools of a SQLite ledger.
#[derive(Clone)]
pub(super) struct Sqlite {
    pub(super) writer: Option<Writer>,
    pub(super) readers: SqlitePool,
    pub(super) path: Arc<str>,
    _lock: Option<Arc<LockFile>>,
}

impl Sqlite {
    /// The failure with the name of the file.
    pub(super) fn failure(&self, source: DbError) -> FileError {
        FileError {
            path: self.path.to_string(),
            source,
        }
    }
}

/// Holds the exclusive lock beside the database for the life of the process.
struct LockFile {
    file: File,
}

impl Drop for LockFile {
    fn drop(&mut self) {
        // The name stays: removing a lock file lets two processes hold two files of one name.
        let _ = self.file.set_len(0);
    }
}

fn lock_path(database: &Path) -> PathBuf {
    let mut name = database.as_os_str().to_owned();
    name.push(".lock");
    name.into()
}

fn lock(database: &Path, holder: &str) -> Result<LockFile, OpenError> {
    let path = lock_path(database);
    let io = |source| OpenError::Io {
        path: path.display().to_string(),
        source,
    };
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(&path)
        .map_err(io)?;
    if file.try_lock().is_err() && !failpoint::mutant("lock-file-ignored") {
        let mut text = String::new();
        let _ = file.read_to_string(&mut text);
        let text = text.trim();
        return Err(OpenError::Locked {
            path: path.display().to_string(),
            holder: if text.is_empty() { "another process" } else { text }.to_owned(),
        });
    }
    file.set_len(0).map_err(io)?;
    file.rewind().map_err(io)?;
    writeln!(file, "{holder}").map_err(io)?;
    Ok(LockFile { file })
}

fn options(url: &str) -> Result<SqliteConnectOptions, OpenError> {
    let options = SqliteConnectOptions::from_str(url).map_err(|error| OpenError::Url {
        reason: error.to_string(),
    })?;
    Ok(options
        .busy_timeout(BUSY_TIMEOUT)
        .statement_cache_capacity(STATEMENTS)
        .row_buffer_size(ROW_BUFFER)
        .pragma("trusted_schema", "OFF")
        .pragma("temp_store", "MEMORY")
        .disable_statement_logging())
}

fn writing(options: SqliteConnectOptions) -> SqliteConnectOptions {
    // NORMAL loses acknowledged commits on power loss: the log would forget what Stripe was told.
    let synchronous = if failpoint::mutant("synchronous-normal") {
        SqliteSynchronous::Normal
    } else {
        SqliteSynchronous::Full
    };
    options
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(synchronous)
        // The writer does it: SQLite tells nobody when a sync of its own checkpoint fails.
        .pragma("wal_autocheckpoint", "0")
        .foreign_keys(true)
        .pragma("recursive_triggers", "ON")
        .pragma("cache_size", WRITER_CACHE)
}

fn reading(options: SqliteConnectOptions) -> SqliteConnectOptions {
    options
        .read_only(true)
        .create_if_missing(false)
        .pragma("wal_autocheckpoint", "0")
        .pragma("cache_size", READER_CACHE)
}

/// The file of an address, for messages.
pub(super) fn path_of(url: &str) -> Result<String, OpenError> {
    Ok(options(url)?.get_filename().display().to_string())
}

/// Locks the file and opens the writing connection, on which the tables are brought up to date first.
pub(super) async fn open_writer(url: &str, holder: &str) -> Result<(SqliteConnection, LockGuard), OpenError> {
    let options = options(url)?;
    let path = options.get_filename().to_owned();
    let lock = lock(&path, holder)?;
    let log = WriteAheadLog::beside(&path);
    log.write_back()?;
    let mut connection = writing(options.clone()).connect().await?;
    if forget_statistics(&mut connection).await? {
        // A connection reads them once, when it looks at the tables for the first time.
        connection.close().await?;
        connection = writing(options).connect().await?;
    }
    let guard = LockGuard {
        lock: Arc::new(lock),
        log,
    };
    Ok((connection, guard))
}

/// Drops what an `analyze` left; tells whether there was any. Every statement finds its rows by a key, which SQLite
/// chooses by itself as long as it knows nothing of the tables. Statistics of a young ledger say that tables are tiny
/// and are never renewed: with them it reads whole tables for each key.
async fn forget_statistics(connection: &mut SqliteConnection) -> Result<bool, OpenError> {
    let held = "select count(*) from sqlite_master where name in ('sqlite_stat1', 'sqlite_stat4')";
    let held: i64 = sqlx::query_scalar(held).fetch_one(&mut *connection).await?;
    if held > 0 {
        let drop = "drop table if exists sqlite_stat1; drop table if exists sqlite_stat4";
        sqlx::raw_sql(drop).execute(connection).await?;
    }
    Ok(held > 0)
}

/// Proof that this process has the file.
pub(super) struct LockGuard {
    lock: Arc<LockFile>,
    log: WriteAheadLog,
}

/// Starts the writer task and opens the readers; without a writer the ledger can only be read.
pub(super) async fn start(url: &str, writer: Option<(SqliteConnection, LockGuard)>) -> Result<Sqlite, OpenError> {
    let readers = SqlitePoolOptions::new()
        .max_connections(READERS)
        .min_connections(1)
        .idle_timeout(None)
        .max_lifetime(None)
        .test_before_acquire(false)
        .connect_with(reading(options(url)?))
        .await?;
    let (writer, lock) = match writer {
        Some((connection, guard)) => {
            let lock = Arc::clone(&guard.lock);
            let writer = Writer::start(connection, guard.log, guard.lock).map_err(OpenError::Thread)?;
            (Some(writer), Some(lock))
        }
        None => (None, None),
    };
    Ok(Sqlite {
        writer,
        readers,
        path: path_of(url)?.into(),
        _lock: lock,
    })
}

//! SQLite's write-ahead log as a file (sqlite.org/fileformat2.html#the_write_ahead_log): how long it is, and what an
//! earlier process may have left of it in the system's memory only.
//!
//! SQLite locks the database and the shared-memory file, never this one, so opening and closing it here lets go of no
//! lock.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use super::error::{Class, DbError, FileError};
use crate::failpoint;

/// Frames after which the log is copied into the database: SQLite's own number, 4 MB of pages. More makes reads slow
/// and the next start long, fewer sync more often.
const FRAMES_MAX: u64 = 1_000;
/// Bytes of the file's header; its page size is at 8, its two salts at 16.
const HEADER: usize = 32;
/// Bytes before the page of a frame; the salts are at 8.
const FRAME_HEADER: u64 = 24;
/// Bytes written back at once.
const CHUNK: usize = 64 * 1024;

/// The log beside a database.
pub(super) struct WriteAheadLog {
    path: PathBuf,
    /// Open from the first look on: SQLite keeps the file as long as its connection.
    file: Option<File>,
}

impl WriteAheadLog {
    pub(super) fn beside(database: &Path) -> Self {
        let mut name = database.as_os_str().to_owned();
        name.push("-wal");
        Self {
            path: name.into(),
            file: None,
        }
    }

    /// Writes the bytes of the log over themselves and syncs them. Only while nobody else has the database open.
    ///
    /// A process that ended because a sync failed leaves frames that look written and are in memory only: the system
    /// takes them for done and no later sync writes them. SQLite would append behind them, and a power cut would take
    /// them and with them every commit acknowledged since. Written once more, they wait for this sync.
    pub(super) fn write_back(&self) -> Result<(), FileError> {
        self.write_over().map_err(|error| {
            let is_full = matches!(error.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded);
            let class = if is_full { Class::Full } else { Class::Fatal };
            let message = format!("the write-ahead log cannot be written back: {error}");
            FileError {
                path: self.path.display().to_string(),
                source: DbError::of(class, message),
            }
        })
    }

    fn write_over(&self) -> io::Result<()> {
        if failpoint::mutant("failed-sync-trusted") {
            return Ok(());
        }
        let file = match OpenOptions::new().read(true).write(true).open(&self.path) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(error),
        };
        let mut chunk = vec![0; CHUNK];
        let mut at = 0;
        loop {
            let length = file.read_at(&mut chunk, at)?;
            if length == 0 {
                return file.sync_all();
            }
            file.write_all_at(&chunk[..length], at)?;
            at += length as u64;
        }
    }

    /// Is it time to copy the log into the database? Asked after a commit, by the one process that writes.
    ///
    /// A log that was started anew is written over the old one from its beginning, so its length says nothing; a frame
    /// belongs to the log of today if it carries the salts of the header.
    pub(super) fn is_long(&mut self) -> io::Result<bool> {
        let file = match &mut self.file {
            Some(file) => file,
            none => none.insert(File::open(&self.path)?),
        };
        let mut header = [0; HEADER];
        if !filled(file.read_exact_at(&mut header, 0))? {
            return Ok(false);
        }
        let [_, _, _, _, _, _, _, _, a, b, c, d, ..] = header;
        let page = u64::from(u32::from_be_bytes([a, b, c, d]));
        let mut salts = [0; 8];
        let last = HEADER as u64 + (FRAMES_MAX - 1) * (FRAME_HEADER + page);
        Ok(filled(file.read_exact_at(&mut salts, last + 8))? && header[16..24] == salts)
    }
}

/// False where the file ends before.
fn filled(read: io::Result<()>) -> io::Result<bool> {
    match read {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode};
    use sqlx::{ConnectOptions, Connection, Executor};

    use super::*;

    #[tokio::test]
    async fn a_log_is_long_from_its_thousandth_frame_until_it_starts_anew() {
        let folder = tempfile::tempdir().unwrap();
        let database = folder.path().join("ledger.db");
        let mut log = WriteAheadLog::beside(&database);
        assert!(log.is_long().is_err(), "there is none");
        let options = SqliteConnectOptions::new().filename(&database).create_if_missing(true);
        let mut connection = options
            .journal_mode(SqliteJournalMode::Wal)
            .pragma("wal_autocheckpoint", "0")
            .connect()
            .await
            .unwrap();
        connection.execute("create table t (a)").await.unwrap();
        let path = log.path.clone();
        let frames = || (std::fs::metadata(&path).unwrap().len() - HEADER as u64) / (FRAME_HEADER + 4096);
        while frames() < FRAMES_MAX {
            assert!(!log.is_long().unwrap(), "{} frames", frames());
            connection.execute("insert into t values (1)").await.unwrap();
        }
        assert!(log.is_long().unwrap());
        connection.execute("pragma wal_checkpoint(passive)").await.unwrap();
        connection.execute("insert into t values (2)").await.unwrap();
        assert!(frames() >= FRAMES_MAX, "the file keeps its length");
        assert!(!log.is_long().unwrap(), "but the log began anew");
        connection.close().await.unwrap();
    }

    #[test]
    fn writing_back_changes_no_byte() {
        let folder = tempfile::tempdir().unwrap();
        let log = WriteAheadLog::beside(&folder.path().join("ledger.db"));
        log.write_back().unwrap();
        let bytes: Vec<u8> = (0..=250).cycle().take(CHUNK * 2 + 77).collect();
        std::fs::write(&log.path, &bytes).unwrap();
        log.write_back().unwrap();
        assert!(std::fs::read(&log.path).unwrap() == bytes);
    }
}

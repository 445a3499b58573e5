//! What went wrong at the store, sorted by what to do about it.
//!
//! Decided on codes only. Constraint and table names differ on partitioned and distributed servers, and
//! messages are translated.

use std::borrow::Cow;
use std::sync::Arc;

use super::failure;
use crate::failpoint;

/// What to do about a failure. The order of the list is the order of hope.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Class {
    /// Another writer took the sequence number: load again, decide again.
    Conflict,
    /// The store was busy: the same bytes again after a pause.
    Transient,
    /// No connection, or it broke before COMMIT was sent: again on a new one.
    Connection,
    /// It broke while COMMIT was on its way: again through the inbox mark, never by looking first.
    OutcomeUnknown,
    /// No space: refuse writes, keep reading.
    Full,
    /// The file or a sync failed: stop the process, never repeat a failed sync.
    Fatal,
    /// Everything else: roll back and alert.
    Bug,
}

impl Class {
    /// One word for logs and metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Conflict => "conflict",
            Self::Transient => "transient",
            Self::Connection => "connection",
            Self::OutcomeUnknown => "outcome-unknown",
            Self::Full => "full",
            Self::Fatal => "fatal",
            Self::Bug => "bug",
        }
    }

    const fn advice(self) -> &'static str {
        match self {
            Self::Conflict => "another writer was first; read the stream again and repeat the command",
            Self::Transient => "the store was busy; repeat the request",
            Self::Connection => "the store cannot be reached; check that it runs and that store.url is right",
            Self::OutcomeUnknown => "the connection broke during COMMIT; repeat the request with the same key",
            Self::Full => "the store has no space left; free some, writing resumes by itself",
            Self::Fatal => "the storage failed; check the disk, restore if it is damaged, then start again",
            Self::Bug => "unexpected; please report it with this message",
        }
    }
}

/// A statement, a transaction or a connection failed.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{}: {message}", class.advice())]
pub struct DbError {
    /// What to do.
    pub class: Class,
    /// What the store said.
    pub message: Cow<'static, str>,
    #[source]
    source: Option<Arc<sqlx::Error>>,
}

/// SQLite's primary result codes that matter here (sqlite.org/rescode.html).
mod sqlite_code {
    pub(super) const BUSY: u32 = 5;
    pub(super) const LOCKED: u32 = 6;
    pub(super) const NOMEM: u32 = 7;
    pub(super) const IOERR: u32 = 10;
    pub(super) const CORRUPT: u32 = 11;
    pub(super) const FULL: u32 = 13;
    pub(super) const CANTOPEN: u32 = 14;
    pub(super) const NOTADB: u32 = 26;
    /// Extended: no memory for an I/O buffer.
    pub(super) const IOERR_NOMEM: u32 = 3082;
    /// Extended: the shared-memory file could not grow, which is how a full disk shows first in WAL mode.
    pub(super) const IOERR_SHMSIZE: u32 = 4874;
    /// Extended: the primary key exists.
    pub(super) const CONSTRAINT_PRIMARYKEY: u32 = 1555;
}

fn class_of(error: &sqlx::Error) -> Class {
    if let sqlx::Error::Database(database) = error {
        let code = database.code();
        return match database.try_downcast_ref::<sqlx::sqlite::SqliteError>() {
            Some(_) => class_of_sqlite(code.as_deref()),
            None => class_of_sqlstate(code.as_deref()),
        };
    }
    // The protocol breaks off in the middle when a server dies or a proxy cuts the line.
    let unreachable = matches!(
        error,
        sqlx::Error::Io(_)
            | sqlx::Error::Tls(_)
            | sqlx::Error::Protocol(_)
            | sqlx::Error::PoolTimedOut
            | sqlx::Error::PoolClosed
            | sqlx::Error::WorkerCrashed
    );
    if unreachable { Class::Connection } else { Class::Bug }
}

fn class_of_sqlite(code: Option<&str>) -> Class {
    let Some(code) = code.and_then(|c| c.parse::<u32>().ok()) else {
        return Class::Bug;
    };
    match code {
        sqlite_code::IOERR_SHMSIZE => return Class::Full,
        sqlite_code::IOERR_NOMEM => return Class::Transient,
        _ => {}
    }
    match code & 0xff {
        sqlite_code::BUSY | sqlite_code::LOCKED | sqlite_code::NOMEM => Class::Transient,
        sqlite_code::FULL if !failpoint::mutant("full-is-bug") => Class::Full,
        sqlite_code::CANTOPEN => Class::Connection,
        sqlite_code::IOERR if failpoint::mutant("failed-sync-survived") => Class::Transient,
        sqlite_code::IOERR | sqlite_code::CORRUPT | sqlite_code::NOTADB => Class::Fatal,
        _ => Class::Bug,
    }
}

fn class_of_sqlstate(code: Option<&str>) -> Class {
    match code.unwrap_or_default() {
        "40001" | "40P01" | "53200" | "53300" | "55P03" | "57014" | "25P03" => Class::Transient,
        // Going down or coming up; a database or a role the server does not know.
        "57P01" | "57P02" | "57P03" | "3D000" | "28000" | "28P01" => Class::Connection,
        "53100" => Class::Full,
        // A damaged page or index, or a failed read or write of the server's own files.
        "XX001" | "XX002" | "58030" => Class::Fatal,
        other if other.starts_with("08") => Class::Connection,
        _ => Class::Bug,
    }
}

impl From<sqlx::Error> for DbError {
    fn from(error: sqlx::Error) -> Self {
        let is_file = error
            .as_database_error()
            .is_some_and(|error| error.try_downcast_ref::<sqlx::sqlite::SqliteError>().is_some());
        let found = Self {
            class: class_of(&error),
            message: Cow::Owned(error.to_string()),
            source: Some(Arc::new(error)),
        };
        if is_file && found.class == Class::Fatal {
            failure::tell(&found);
        }
        found
    }
}

impl DbError {
    /// A rule of ours was broken, not the store's.
    #[must_use]
    pub fn bug(message: impl Into<Cow<'static, str>>) -> Self {
        Self::of(Class::Bug, message)
    }

    /// A failure found by our own check.
    #[must_use]
    pub fn of(class: Class, message: impl Into<Cow<'static, str>>) -> Self {
        Self {
            class,
            message: message.into(),
            source: None,
        }
    }

    /// A failure of the statement that inserts events: there, and only there, a taken key is a conflict.
    #[must_use]
    pub fn at_events_insert(error: sqlx::Error) -> Self {
        let code = error.as_database_error().and_then(sqlx::error::DatabaseError::code);
        let taken = code.is_some_and(|code| code == "23505" || code.parse() == Ok(sqlite_code::CONSTRAINT_PRIMARYKEY));
        let mut found = Self::from(error);
        if taken {
            found.class = Class::Conflict;
        }
        found
    }

    /// A failure while COMMIT was on its way: unless the server said what it did, nobody knows.
    #[must_use]
    pub fn at_commit(error: sqlx::Error) -> Self {
        let code = error.as_database_error().and_then(sqlx::error::DatabaseError::code);
        let internal = code.is_some_and(|code| code == "XX000");
        let mut found = Self::from(error);
        if internal || found.class == Class::Connection {
            found.class = Class::OutcomeUnknown;
        }
        found
    }

    /// The class of the store's failure inside an error of a writing job, if it is one.
    pub(super) fn class_within(error: &(dyn std::error::Error + 'static)) -> Option<Class> {
        let mut next = Some(error);
        while let Some(error) = next {
            if let Some(found) = error.downcast_ref::<Self>() {
                return Some(found.class);
            }
            // An error that shows a `DbError` as itself has the source of that one.
            if let Some(found) = error.downcast_ref::<Arc<sqlx::Error>>() {
                return Some(class_of(found));
            }
            next = error.source();
        }
        None
    }

    /// Did Postgres refuse for lack of rights?
    pub(super) fn is_for_lack_of_rights(&self) -> bool {
        let code = self
            .source
            .as_ref()
            .and_then(|source| source.as_database_error()?.code());
        code.is_some_and(|code| code == "42501")
    }

    /// May the same bytes be sent again under the same inbox key?
    #[must_use]
    pub const fn is_repeatable(&self) -> bool {
        matches!(self.class, Class::Transient | Class::Connection | Class::OutcomeUnknown)
    }
}

/// A SQLite file failed.
#[derive(Debug, thiserror::Error)]
#[error("{path}: {source}")]
pub struct FileError {
    /// The file.
    pub path: String,
    /// What SQLite said, and what to do.
    pub source: DbError,
}

/// The ledger cannot be opened. Every message says what to do.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// `store.url` is neither SQLite nor Postgres, or cannot be read.
    #[error("store.url is not usable ({reason}); write sqlite:path/to/ledger.db or postgres://user@host/database")]
    Url {
        /// Why.
        reason: String,
    },
    /// The role may not do what serving needs.
    #[error("{message}; run `subledger migrate --grant ROLE` as the role that owns the tables")]
    Rights {
        /// What Postgres said.
        message: String,
    },
    /// Another process has the SQLite file.
    #[error("{path} is in use by {holder}; one process at a time may write it: stop that one, or use its API")]
    Locked {
        /// The lock file.
        path: String,
        /// Who wrote into it.
        holder: String,
    },
    /// The folder or file cannot be made or opened.
    #[error("cannot open {path}: {source}; check that the folder exists and may be written")]
    Io {
        /// The file.
        path: String,
        /// The system's answer.
        source: std::io::Error,
    },
    /// The system refuses a thread.
    #[error("the thread that writes the ledger cannot be started: {0}; raise the limit of threads or of memory")]
    Thread(std::io::Error),
    /// The SQLite file cannot be used.
    #[error(transparent)]
    File(#[from] FileError),
    /// The tables are older or newer than this program.
    #[error("the tables do not fit this program: {reason}")]
    Schema {
        /// What differs and what to do.
        reason: String,
    },
    /// The ledger was made with other settings.
    #[error("this ledger was made with {what} {ledger}, but {wanted} is asked for; {advice}")]
    Mismatch {
        /// The setting.
        what: &'static str,
        /// Its value in the ledger.
        ledger: String,
        /// The value asked for.
        wanted: String,
        /// What to do.
        advice: &'static str,
    },
    /// The last position given out is not the last one present.
    #[error(
        "part {part} of the log ends at {last}, but its head says {head}: events are missing or were added by hand; \
         restore the last good backup, do not repair the head"
    )]
    Head {
        /// The part.
        part: u32,
        /// log_head.position.
        head: i64,
        /// max(position).
        last: i64,
    },
    /// The server may lose what it acknowledged.
    #[error(
        "the Postgres server runs with {setting} = {value}, so an acknowledged webhook could be lost; \
         set it to on, or set store.accept_unsafe_server = true for a ledger that may be lost"
    )]
    UnsafeServer {
        /// Its name.
        setting: String,
        /// Its value.
        value: String,
    },
    /// The store failed.
    #[error(transparent)]
    Db(#[from] DbError),
}

impl From<sqlx::Error> for OpenError {
    fn from(error: sqlx::Error) -> Self {
        Self::Db(error.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_decide_the_class() {
        for (code, class) in [
            ("40001", Class::Transient),
            ("57014", Class::Transient),
            ("57P01", Class::Connection),
            ("3D000", Class::Connection),
            ("28P01", Class::Connection),
            ("08006", Class::Connection),
            ("53100", Class::Full),
            ("XX001", Class::Fatal),
            ("23505", Class::Bug),
        ] {
            assert_eq!(class_of_sqlstate(Some(code)), class, "{code}");
        }
        for (code, class) in [
            ("5", Class::Transient),
            ("517", Class::Transient),
            ("13", Class::Full),
            ("4874", Class::Full),
            ("1034", Class::Fatal),
            ("11", Class::Fatal),
            ("1555", Class::Bug),
        ] {
            assert_eq!(class_of_sqlite(Some(code)), class, "{code}");
        }
    }
}

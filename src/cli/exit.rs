//! What a command ends with. Scripts rely on these numbers; they never change their meaning.

use std::fmt;
use std::process::ExitCode;

use projections::db::{Class, DbError, OpenError};

use super::Shared;
use crate::app::AppError;
use crate::config::ConfigError;
use crate::plans::PlansError;
use crate::plans::registry::RegistryError;

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Exit {
    /// Done.
    Done = 0,
    /// Unexpected failure.
    Failed = 1,
    /// Wrong usage; clap ends with it too.
    Usage = 2,
    /// The configuration is invalid.
    Config = 3,
    /// The store is unavailable or locked.
    Store = 4,
    /// The tables or the partition count do not fit this binary.
    Schema = 5,
    /// Ran to the end and found something.
    Found = 6,
    /// Partly done; safe to repeat.
    Partly = 8,
    /// Interrupted; state is consistent.
    Interrupted = 130,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// A command that did not end well, in words for the terminal.
#[derive(Debug)]
pub(super) struct Failure {
    /// The process's exit code.
    pub(super) exit: Exit,
    /// What is wrong and what to do.
    pub(super) message: String,
}

impl Failure {
    /// Of a kind, with its message.
    pub(super) fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self {
            exit,
            message: message.into(),
        }
    }

    /// The user asked for something that cannot be asked for.
    pub(super) fn usage(message: impl Into<String>) -> Self {
        Self::new(Exit::Usage, message)
    }

    /// A file that cannot be read or written.
    pub(super) fn file(path: &std::path::Path, error: &std::io::Error) -> Self {
        Self::new(Exit::Failed, format!("{} cannot be used: {error}", path.display()))
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        Self::new(Exit::Config, error.to_string())
    }
}

impl From<PlansError> for Failure {
    fn from(error: PlansError) -> Self {
        Self::new(Exit::Config, error.to_string())
    }
}

impl From<OpenError> for Failure {
    fn from(error: OpenError) -> Self {
        let exit = match &error {
            OpenError::Url { .. } | OpenError::UnsafeServer { .. } => Exit::Config,
            OpenError::Schema { .. } | OpenError::Mismatch { .. } | OpenError::Rights { .. } => Exit::Schema,
            OpenError::Head { .. } => Exit::Found,
            OpenError::Locked { .. }
            | OpenError::Io { .. }
            | OpenError::Thread(_)
            | OpenError::File(_)
            | OpenError::Db(_) => Exit::Store,
        };
        Self::new(exit, error.to_string())
    }
}

impl From<DbError> for Failure {
    fn from(error: DbError) -> Self {
        let exit = if error.class == Class::Bug {
            Exit::Failed
        } else {
            Exit::Store
        };
        Self::new(exit, error.to_string())
    }
}

impl From<AppError> for Failure {
    fn from(error: AppError) -> Self {
        let exit = match error {
            AppError::Storage(_) => Exit::Store,
            AppError::Open(error) => return error.into(),
            AppError::Store(error) => return error.into(),
            AppError::Plans(error) => return error.into(),
            AppError::Registry(error) => return error.into(),
            AppError::Client(_)
            | AppError::Secret(_)
            | AppError::Portal(_)
            | AppError::Pepper(_)
            | AppError::WorkerOnSqlite => Exit::Config,
            AppError::DataDir { .. }
            | AppError::File { .. }
            | AppError::Listen { .. }
            | AppError::Thread(_)
            | AppError::Random => Exit::Failed,
        };
        Self::new(exit, error.to_string())
    }
}

impl From<RegistryError> for Failure {
    fn from(error: RegistryError) -> Self {
        match error {
            RegistryError::Store(error) => error.into(),
            RegistryError::Unreadable { .. } | RegistryError::Contended => Self::new(Exit::Failed, error.to_string()),
        }
    }
}

/// Says on stderr how a command ended; nothing for one that went well.
pub(super) fn report(shared: &Shared, outcome: Result<Exit, Failure>) -> Exit {
    match outcome {
        Ok(exit) => exit,
        Err(failure) => {
            shared.error(&failure.message);
            failure.exit
        }
    }
}

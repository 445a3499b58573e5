//! Builds everything. The only place that chooses adapters.
//!
//! Start: store, catalogue, receipts, lanes, views, HTTP. Stop: not ready, drain HTTP, finish what was taken in, give
//! leases back, close the store.

mod figures;
mod local;
mod loops;
mod parts;
mod start;
mod stripe;

use std::path::{Path, PathBuf};

pub use local::{PEPPER_FILE, Running, SERVE_FILE, pepper, random_text, write_private};
pub use start::{App, Offline, database_config, prepare_data_dir};
pub use stripe::stripe_client;

use crate::auth::api_key::{PepperError, RandomError};
use crate::auth::portal_token::PortalSettingsError;
use crate::plans::PlansError;
use crate::plans::registry::RegistryError;
use crate::stripe::client::ClientError;
use crate::stripe::signature::VerifierError;

/// Why the service could not start, or ended.
#[derive(Debug, thiserror::Error)]
pub enum AppError {
    /// The store cannot be opened.
    #[error(transparent)]
    Open(#[from] projections::db::OpenError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] projections::db::DbError),
    /// The file failed while the service ran.
    #[error("{0}; nothing was written to it since, and the runbook is \"A failed disk\" in docs/operations.md")]
    Storage(projections::db::FileError),
    /// The plan catalogue is not usable.
    #[error(transparent)]
    Plans(#[from] PlansError),
    /// The versions of the catalogue cannot be read or kept.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// A signing secret is not usable.
    #[error(transparent)]
    Secret(#[from] VerifierError),
    /// Stripe cannot be called.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// Portal tokens cannot be checked as configured.
    #[error(transparent)]
    Portal(#[from] PortalSettingsError),
    /// The pepper is not usable.
    #[error(transparent)]
    Pepper(#[from] PepperError),
    /// The system refuses a thread, or one ended badly.
    #[error("a thread of the service cannot be used: {0}; raise the limit of threads or of memory")]
    Thread(std::io::Error),
    /// The data directory cannot be made.
    #[error(
        "the data directory {path} cannot be made: {source}; choose another with store.data_dir, or let it be made"
    )]
    DataDir {
        /// The directory.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// A file of this machine cannot be used.
    #[error("{path} cannot be used: {reason}; check that it is a file and may be read and written")]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// An address cannot be listened on.
    #[error("cannot listen on {address}: {source}; stop what listens there, or choose another with {key}")]
    Listen {
        /// The address.
        address: std::net::SocketAddr,
        /// The setting.
        key: &'static str,
        /// What the system says.
        source: std::io::Error,
    },
    /// A second process on the SQLite file.
    #[error("a worker beside a server needs Postgres; on SQLite `subledger serve` does its own work")]
    WorkerOnSqlite,
    /// The system gives no random bytes.
    #[error("the system's random source does not answer; keys cannot be made")]
    Random,
}

impl AppError {
    pub(crate) fn file(path: &Path, reason: &dyn std::fmt::Display) -> Self {
        Self::File {
            path: path.to_owned(),
            reason: reason.to_string(),
        }
    }
}

impl From<RandomError> for AppError {
    fn from(_: RandomError) -> Self {
        Self::Random
    }
}

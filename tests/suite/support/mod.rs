//! The harness: stores to test on, the real server, signed deliveries.
//!
//! A test that needs a store asks [`stores`] and runs its body once per entry: SQLite always, Postgres when a
//! server can be found or started. What could not run is said aloud and counted by `tests/run`.

pub(crate) mod dice;
pub(crate) mod disk;
pub(crate) mod http;
pub(crate) mod ledger;
pub(crate) mod ports;
pub(crate) mod postgres;
pub(crate) mod proxy;
pub(crate) mod server;
pub(crate) mod sse;
pub(crate) mod strace;
pub(crate) mod stripe;

use std::io::Write;
use std::path::Path;

use tempfile::TempDir;

/// Which store a test case runs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Sqlite,
    Postgres,
}

/// A fresh, empty store, removed when dropped.
pub(crate) struct TestStore {
    pub(crate) kind: Kind,
    data_dir: TempDir,
    database: Option<postgres::Database>,
}

impl TestStore {
    /// An empty SQLite store: a data directory of its own.
    pub(crate) fn sqlite() -> Self {
        Self {
            kind: Kind::Sqlite,
            data_dir: TempDir::new().expect("a temporary directory"),
            database: None,
        }
    }

    /// An empty Postgres database on the shared server, or nothing when this machine has no Postgres.
    pub(crate) async fn postgres() -> Option<Self> {
        let server = postgres::shared_server()?;
        Some(Self::on_server(server).await)
    }

    /// An empty database on the given server.
    pub(crate) async fn on_server(server: &str) -> Self {
        Self {
            kind: Kind::Postgres,
            data_dir: TempDir::new().expect("a temporary directory"),
            database: Some(postgres::Database::create(server).await),
        }
    }

    /// The `postgres://` URL; nothing for SQLite, which lives in [`Self::data_dir`].
    pub(crate) fn url(&self) -> Option<&str> {
        self.database.as_ref().map(postgres::Database::url)
    }

    /// The data directory (used on Postgres too: lock files, `serve.json`).
    pub(crate) fn data_dir(&self) -> &Path {
        self.data_dir.path()
    }
}

/// Every store this machine can offer, each fresh and empty.
pub(crate) async fn stores() -> Vec<TestStore> {
    let mut all = vec![TestStore::sqlite()];
    all.extend(TestStore::postgres().await);
    all
}

/// Says that something could not be tested here, and leaves a line for the sum of `tests/run`.
pub(crate) fn skipped(what: &str) {
    eprintln!("SKIPPED: {what}");
    if let Ok(path) = std::env::var("SUBLEDGER_SKIPPED_FILE") {
        let file = std::fs::OpenOptions::new().append(true).create(true).open(path);
        writeln!(file.expect("the file of skipped cases"), "{what}").expect("the file of skipped cases");
    }
}

/// Says a figure that a reader of the run wants to see, and leaves it for the end of `tests/run`.
pub(crate) fn figure(what: &str) {
    eprintln!("{what}");
    if let Ok(path) = std::env::var("SUBLEDGER_FIGURES_FILE") {
        let file = std::fs::OpenOptions::new().append(true).create(true).open(path);
        writeln!(file.expect("the file of figures"), "{what}").expect("the file of figures");
    }
}

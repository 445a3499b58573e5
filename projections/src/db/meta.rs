//! What a ledger is (one row of `ledger_meta`), brought about at first start and compared at every other.

use aggregates::partition::{HASH_NAME, PARTS_MAX};
use aggregates::time::Timestamp;
use sqlx::migrate::Migrator;
use uuid::Uuid;

use super::DbConfig;
use super::error::{Class, DbError, OpenError};

pub(super) static SQLITE: Migrator = sqlx::migrate!("../migrations/sqlite");
pub(super) static POSTGRES: Migrator = sqlx::migrate!("../migrations/postgres");

/// Partitions of a new ledger on Postgres: enough that 16 writers rarely meet (measured in the event log's design).
pub const PARTS_POSTGRES: u32 = 64;
/// Partitions on SQLite: there is one writer anyway, and one part is one total order.
pub const PARTS_SQLITE: u32 = 1;
/// Version of the layout of the log itself; views have their own.
const SCHEMA_VERSION: i32 = 1;

/// The one row of `ledger_meta`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LedgerMeta {
    /// Number of partitions, fixed for the life of the ledger.
    pub parts: u32,
    /// Name of the partition hash.
    pub hash_name: String,
    /// Told apart from every other ledger by this.
    pub ledger_id: Uuid,
    /// `test` or `live`.
    pub mode: String,
    /// When it was made.
    pub created_at: Timestamp,
}

/// The row a new ledger gets.
pub(super) fn fresh(config: &DbConfig, default_parts: u32) -> Result<LedgerMeta, OpenError> {
    let parts = config.partitions.unwrap_or(default_parts);
    if parts == 0 || parts > PARTS_MAX {
        return Err(OpenError::Url {
            reason: format!("store.partitions = {parts} is not between 1 and {PARTS_MAX}"),
        });
    }
    if default_parts == PARTS_SQLITE && parts != PARTS_SQLITE {
        return Err(OpenError::Url {
            reason: format!("store.partitions = {parts}, but SQLite has one writer and so one partition; leave it out"),
        });
    }
    Ok(LedgerMeta {
        parts,
        hash_name: HASH_NAME.to_owned(),
        ledger_id: Uuid::now_v7(),
        mode: config.mode.as_str().to_owned(),
        created_at: config.now,
    })
}

pub(super) const fn schema_version() -> i32 {
    SCHEMA_VERSION
}

/// Refuses a ledger that was made with other settings.
pub(super) fn check(meta: &LedgerMeta, config: &DbConfig) -> Result<(), OpenError> {
    let mismatch = |what, ledger: &str, wanted: String, advice| {
        Err(OpenError::Mismatch {
            what,
            ledger: ledger.to_owned(),
            wanted,
            advice,
        })
    };
    if let Some(wanted) = config.partitions
        && wanted != meta.parts
    {
        return mismatch(
            "partitions",
            &meta.parts.to_string(),
            wanted.to_string(),
            "take store.partitions out of the configuration; the number never changes in a ledger, \
             only by copying it into a new one",
        );
    }
    if meta.hash_name != HASH_NAME {
        return mismatch(
            "partition hash",
            &meta.hash_name,
            HASH_NAME.to_owned(),
            "use the version of subledger that made it, or copy it into a new ledger",
        );
    }
    if meta.mode != config.mode.as_str() {
        return mismatch(
            "mode",
            &meta.mode,
            config.mode.as_str().to_owned(),
            "test and live data never share a ledger: use another store.url, or set the mode it was made with",
        );
    }
    Ok(())
}

/// Refuses tables that are older or newer than this program. `applied` is the last migration of the ledger.
pub(super) fn check_migrations(migrator: &Migrator, applied: Option<i64>) -> Result<(), OpenError> {
    let last = migrator.iter().map(|m| m.version).max();
    let reason = match (applied, last) {
        (None, _) => "the ledger has no tables yet; run `subledger migrate`".to_owned(),
        (Some(have), Some(want)) if have < want => {
            format!("they are at migration {have}, this program needs {want}; run `subledger migrate`")
        }
        (Some(have), Some(want)) if have > want => {
            format!("they are at migration {have}, this program knows {want}; start the newer version of subledger")
        }
        _ => return Ok(()),
    };
    Err(OpenError::Schema { reason })
}

/// Says what a failed migration means.
pub(super) fn migration_failed(error: sqlx::migrate::MigrateError) -> OpenError {
    use sqlx::migrate::MigrateError;
    let text = error.to_string();
    if let MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) = error {
        let found = DbError::from(error);
        return if found.class == Class::Bug {
            let reason = format!("a migration failed and was rolled back: {text}");
            OpenError::Schema { reason }
        } else {
            // Not the migration failed but the store under it.
            OpenError::Db(found)
        };
    }
    let reason = if let MigrateError::VersionMissing(version) = error {
        format!("migration {version} was made by a newer version; start that one, or restore the backup from before it")
    } else if let MigrateError::VersionMismatch(version) = error {
        format!("migration {version} is not the one that was applied; use an unchanged release of subledger")
    } else if let MigrateError::Dirty(version) = error {
        format!("migration {version} stopped half-way; restore the backup from before it and migrate again")
    } else {
        format!("the migrations of this program cannot be used: {text}")
    };
    OpenError::Schema { reason }
}

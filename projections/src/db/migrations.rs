//! Which migrations a ledger has and which it lacks, without changing anything.

use std::path::Path;

use sqlx::migrate::Migrator;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, PgConnection};

use super::DbConfig;
use super::error::{DbError, FileError, OpenError};
use super::meta::{POSTGRES, SQLITE};
use super::postgres::connect_unlimited;

/// One migration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Migration {
    /// Its number.
    pub version: i64,
    /// What it brings.
    pub description: String,
    /// Whether the ledger has it.
    pub applied: bool,
}

/// Every migration of this program. A ledger that does not exist has none of them.
pub async fn migrations(config: &DbConfig) -> Result<Vec<Migration>, OpenError> {
    let url = config.urls.first().map(String::as_str).unwrap_or_default();
    if let Some(path) = url.strip_prefix("sqlite:") {
        let path = path.trim_start_matches("//");
        if !Path::new(path).exists() {
            return Ok(list(&SQLITE, &[]));
        }
        let applied = applied_sqlite(path).await.map_err(|source| FileError {
            path: path.to_owned(),
            source,
        })?;
        return Ok(list(&SQLITE, &applied));
    }
    let mut connection = connect_unlimited(url).await?;
    let applied = applied_postgres(&mut connection).await?;
    Ok(list(&POSTGRES, &applied))
}

fn list(migrator: &Migrator, applied: &[i64]) -> Vec<Migration> {
    let one = |m: &sqlx::migrate::Migration| Migration {
        version: m.version,
        description: m.description.to_string(),
        applied: applied.contains(&m.version),
    };
    migrator.iter().map(one).collect()
}

async fn applied_sqlite(path: &str) -> Result<Vec<i64>, DbError> {
    let options = SqliteConnectOptions::new().filename(path).read_only(true);
    let mut connection = options.connect().await?;
    let known: i64 = sqlx::query_scalar("select count(*) from sqlite_master where name = '_sqlx_migrations'")
        .fetch_one(&mut connection)
        .await?;
    if known == 0 {
        return Ok(Vec::new());
    }
    Ok(sqlx::query_scalar("select version from _sqlx_migrations where success")
        .fetch_all(&mut connection)
        .await?)
}

async fn applied_postgres(connection: &mut PgConnection) -> Result<Vec<i64>, OpenError> {
    let known: bool = sqlx::query_scalar("select to_regclass('_sqlx_migrations') is not null")
        .fetch_one(&mut *connection)
        .await?;
    if !known {
        return Ok(Vec::new());
    }
    Ok(sqlx::query_scalar("select version from _sqlx_migrations where success")
        .fetch_all(connection)
        .await?)
}

#[cfg(test)]
mod tests {
    use aggregates::time::Timestamp;

    use super::*;
    use crate::db::Db;

    #[tokio::test]
    async fn a_ledger_lacks_all_before_its_first_start_and_none_after() {
        let directory = tempfile::tempdir().unwrap();
        let url = format!("sqlite:{}", directory.path().join("ledger.db").display());
        let config = DbConfig::new(&url, Timestamp::EPOCH);
        let before = migrations(&config).await.unwrap();
        assert!(!before.is_empty() && before.iter().all(|migration| !migration.applied));
        Db::open(&config).await.unwrap().close().await;
        let after = migrations(&config).await.unwrap();
        assert!(after.iter().all(|migration| migration.applied), "{after:?}");
    }
}

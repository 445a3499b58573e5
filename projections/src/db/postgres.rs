//! The Postgres store: pools with time limits, and a look at the server's settings before trusting it.

use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{ConnectOptions, Connection, PgConnection, PgPool};

use super::error::{Class, DbError, OpenError};
use crate::failpoint;

/// How long a request waits for a connection before it is answered 503.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(5);
/// Connections for rebuild, import and verify, which have no statement limit.
const BULK_CONNECTIONS: u32 = 8;
/// How long a server may take to answer at start: one that recovers from a crash answers at once that it does.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Idle connections are given back to the server.
const IDLE_TIMEOUT: Duration = Duration::from_secs(300);

/// The pools of a Postgres ledger, one pair a database. Part `p` lives in database `p % databases`.
#[derive(Clone)]
pub(super) struct Postgres {
    pub(super) databases: Arc<[Database]>,
}

pub(super) struct Database {
    pub(super) pool: PgPool,
    pub(super) bulk: PgPool,
}

fn options(url: &str) -> Result<PgConnectOptions, OpenError> {
    let options = PgConnectOptions::from_str(url).map_err(|error| OpenError::Url {
        reason: error.to_string(),
    })?;
    Ok(options
        .application_name("subledger")
        .statement_cache_capacity(256)
        .disable_statement_logging())
}

fn limited(options: PgConnectOptions) -> PgConnectOptions {
    options.options([
        ("default_transaction_isolation", "read\\ committed"),
        ("lock_timeout", "2s"),
        ("statement_timeout", "10s"),
        ("idle_in_transaction_session_timeout", "10s"),
    ])
}

fn unlimited(options: PgConnectOptions) -> PgConnectOptions {
    options.options([
        ("default_transaction_isolation", "read\\ committed"),
        ("statement_timeout", "0"),
        ("idle_in_transaction_session_timeout", "60s"),
    ])
}

/// A connection for migrations: no statement limit, and closing it lets go of the migration lock.
pub(super) async fn connect_unlimited(url: &str) -> Result<PgConnection, OpenError> {
    let options = unlimited(options(url)?);
    let connected = tokio::time::timeout(CONNECT_TIMEOUT, options.connect()).await;
    let silent = |_| {
        let message = "something takes the connection there and does not answer as Postgres does";
        DbError::of(Class::Connection, message)
    };
    Ok(connected.map_err(silent)??)
}

pub(super) fn pools(url: &str, connections: u32) -> Result<Database, OpenError> {
    let pool = PgPoolOptions::new()
        .max_connections(connections)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        .idle_timeout(IDLE_TIMEOUT)
        .test_before_acquire(false)
        .connect_lazy_with(limited(options(url)?));
    let bulk = PgPoolOptions::new()
        .max_connections(BULK_CONNECTIONS)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        .idle_timeout(IDLE_TIMEOUT)
        .connect_lazy_with(unlimited(options(url)?));
    Ok(Database { pool, bulk })
}

/// Settings under which an acknowledged write may be lost, as (name, value).
pub(super) async fn unsafe_settings(connection: &mut PgConnection) -> Result<Vec<(String, String)>, OpenError> {
    Ok(sqlx::query_as(
        "select name, setting from pg_settings \
         where name in ('fsync', 'full_page_writes', 'synchronous_commit') and setting = 'off' order by name",
    )
    .fetch_all(connection)
    .await?)
}

/// Lets the role that serves do what it must and no more: it may add to the log, never change it.
pub(super) async fn grant_application(connection: &mut PgConnection, role: &str) -> Result<(), DbError> {
    let quoted: (String,) = sqlx::query_as("select quote_ident($1)")
        .bind(role)
        .fetch_one(&mut *connection)
        .await?;
    let role = quoted.0;
    let statements = format!(
        "grant usage on schema public to {role};
         grant select, insert, update, delete on all tables in schema public to {role};
         revoke update, delete, truncate on events, seal, epoch_seal from {role};
         revoke insert, update, delete on ledger_meta, _sqlx_migrations from {role};"
    );
    sqlx::raw_sql(&statements).execute(connection).await?;
    Ok(())
}

/// Runs `job` in a transaction of its own. A dropped caller rolls back.
pub(super) async fn write<T, E, F>(pool: &PgPool, job: F) -> Result<T, E>
where
    T: Send + 'static,
    E: From<DbError> + Send + 'static,
    F: for<'c> FnOnce(&'c mut PgConnection) -> BoxFuture<'c, Result<T, E>> + Send + 'static,
{
    let mut connection = pool.acquire().await.map_err(DbError::from)?;
    let mut transaction = connection.begin().await.map_err(DbError::from)?;
    match job(&mut transaction).await {
        Ok(value) => {
            if failpoint::mutant("ack-before-commit") {
                return Ok(value);
            }
            transaction.commit().await.map_err(DbError::at_commit)?;
            Ok(value)
        }
        Err(error) => {
            // The connection may be broken; then the server rolls back by itself.
            let _ = transaction.rollback().await;
            Err(error)
        }
    }
}

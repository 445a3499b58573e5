//! Opening a ledger: reach the store, bring its tables up to date, compare what it is, count its heads.

use std::sync::Arc;

use sqlx::migrate::Migrator;
use sqlx::{Connection, PgConnection, Row, SqliteConnection};
use uuid::Uuid;

use super::error::{Class, DbError, FileError, OpenError};
use super::meta::{self, LedgerMeta, PARTS_POSTGRES, PARTS_SQLITE};
use super::postgres::{self, Postgres};
use super::value::{at_from_chrono, at_from_micros, part_to_sql, position_from_sql};
use super::{Db, DbConfig, Heads, Pool, Store, sqlite};
use crate::failpoint;

/// Opens by the scheme of the address.
pub(super) async fn open(config: &DbConfig) -> Result<Db, OpenError> {
    let is = |scheme: &str| !config.urls.is_empty() && config.urls.iter().all(|url| url.starts_with(scheme));
    let (store, meta, warnings) = if is("sqlite:") && config.urls.len() == 1 {
        open_sqlite(config, &config.urls[0]).await?
    } else if is("postgres://") || is("postgresql://") {
        open_postgres(config).await?
    } else {
        return Err(OpenError::Url {
            reason: "unknown scheme, or several files".to_owned(),
        });
    };
    meta::check(&meta, config)?;
    let db = Db {
        store,
        heads: Heads::new(&vec![0; usize::try_from(meta.parts).unwrap_or(0)]),
        meta: Arc::new(meta),
        warnings: warnings.into(),
    };
    check_heads(&db).await?;
    db.refresh_heads().await?;
    Ok(db)
}

type Opened = (Store, LedgerMeta, Vec<String>);

/// Opens the file; what SQLite says of it is told with its name.
async fn open_sqlite(config: &DbConfig, url: &str) -> Result<Opened, OpenError> {
    let path = sqlite::path_of(url)?;
    match open_file(config, url).await {
        Err(OpenError::Db(source)) if source.class == Class::Connection => Err(OpenError::Io {
            path,
            source: std::io::Error::other(source.message),
        }),
        Err(OpenError::Db(source)) => Err(FileError { path, source }.into()),
        opened => opened,
    }
}

async fn open_file(config: &DbConfig, url: &str) -> Result<Opened, OpenError> {
    let writer = if config.read_only {
        None
    } else {
        let (mut connection, lock) = sqlite::open_writer(url, &config.holder).await?;
        if config.migrate {
            run(&meta::SQLITE, &mut connection).await?;
        }
        check_tables_sqlite(&mut connection).await?;
        init_sqlite(&mut connection, config).await?;
        if failpoint::mutant("events-updatable") {
            sqlx::raw_sql("drop trigger if exists events_no_update")
                .execute(&mut connection)
                .await?;
        }
        Some((connection, lock))
    };
    let sqlite = sqlite::start(url, writer).await?;
    let mut reader = sqlite.readers.acquire().await?;
    check_tables_sqlite(&mut reader).await?;
    let meta = read_meta_sqlite(&mut reader).await?;
    drop(reader);
    Ok((Store::Sqlite(sqlite), meta, Vec::new()))
}

async fn run<C: sqlx::migrate::Migrate>(migrator: &Migrator, connection: &mut C) -> Result<(), OpenError> {
    migrator.run_direct(connection).await.map_err(meta::migration_failed)
}

async fn check_tables_sqlite(connection: &mut SqliteConnection) -> Result<(), OpenError> {
    let known: i64 = sqlx::query_scalar("select count(*) from sqlite_master where name = '_sqlx_migrations'")
        .fetch_one(&mut *connection)
        .await?;
    let applied: Option<i64> = if known == 0 {
        None
    } else {
        sqlx::query_scalar("select max(version) from _sqlx_migrations where success")
            .fetch_one(&mut *connection)
            .await?
    };
    meta::check_migrations(&meta::SQLITE, applied)
}

async fn init_sqlite(connection: &mut SqliteConnection, config: &DbConfig) -> Result<(), OpenError> {
    let fresh = meta::fresh(config, PARTS_SQLITE)?;
    let mut transaction = connection.begin().await?;
    let made = sqlx::query(
        "insert into ledger_meta (id, schema_version, partitions, hash_name, ledger_id, mode, layout, created_at)
         values (1, ?, ?, ?, ?, ?, 'single', ?) on conflict (id) do nothing",
    )
    .bind(meta::schema_version())
    .bind(fresh.parts)
    .bind(&fresh.hash_name)
    .bind(fresh.ledger_id.hyphenated())
    .bind(&fresh.mode)
    .bind(fresh.created_at.micros())
    .execute(&mut *transaction)
    .await?;
    if made.rows_affected() == 1 {
        sqlx::query("insert into log_head (part, position) values (0, 0)")
            .execute(&mut *transaction)
            .await?;
    }
    transaction.commit().await?;
    Ok(())
}

async fn read_meta_sqlite(connection: &mut SqliteConnection) -> Result<LedgerMeta, OpenError> {
    let row = sqlx::query("select partitions, hash_name, ledger_id, mode, created_at from ledger_meta where id = 1")
        .fetch_one(connection)
        .await?;
    Ok(LedgerMeta {
        parts: row.try_get(0)?,
        hash_name: row.try_get(1)?,
        ledger_id: row.try_get::<uuid::fmt::Hyphenated, _>(2)?.into_uuid(),
        mode: row.try_get(3)?,
        created_at: at_from_micros(row.try_get(4)?)?,
    })
}

/// Opens the databases; a lack of rights is told with how to give them.
async fn open_postgres(config: &DbConfig) -> Result<Opened, OpenError> {
    match open_databases(config).await {
        Err(OpenError::Db(error)) if error.is_for_lack_of_rights() => Err(OpenError::Rights {
            message: error.message.into_owned(),
        }),
        opened => opened,
    }
}

async fn open_databases(config: &DbConfig) -> Result<Opened, OpenError> {
    let mut warnings = Vec::new();
    let mut databases = Vec::new();
    let mut meta = None;
    for url in &config.urls {
        let mut connection = postgres::connect_unlimited(url).await?;
        for (setting, value) in postgres::unsafe_settings(&mut connection).await? {
            if !config.accept_unsafe_server {
                return Err(OpenError::UnsafeServer { setting, value });
            }
            warnings.push(format!(
                "the Postgres server runs with {setting} = {value}: acknowledged writes may be lost"
            ));
        }
        // The serving role may make no table, not even one that is there, so it asks before it migrates.
        if config.migrate && !config.read_only && !is_current(&mut connection).await? {
            run(&meta::POSTGRES, &mut connection).await?;
        }
        check_tables_postgres(&mut connection).await?;
        if !config.read_only {
            init_postgres(&mut connection, config).await?;
        }
        let found = read_meta_postgres(&mut connection).await?;
        meta.get_or_insert(found);
        connection.close().await?;
        databases.push(postgres::pools(url, config.connections)?);
    }
    let meta = meta.ok_or_else(|| OpenError::Url {
        reason: "it is empty".to_owned(),
    })?;
    let store = Store::Postgres(Postgres {
        databases: databases.into(),
    });
    Ok((store, meta, warnings))
}

/// Has the ledger exactly the migrations of this program, unchanged?
async fn is_current(connection: &mut PgConnection) -> Result<bool, OpenError> {
    let known: bool = sqlx::query_scalar("select to_regclass('_sqlx_migrations') is not null")
        .fetch_one(&mut *connection)
        .await?;
    if !known {
        return Ok(false);
    }
    let applied: Vec<(i64, Vec<u8>)> =
        sqlx::query_as("select version, checksum from _sqlx_migrations where success order by version")
            .fetch_all(connection)
            .await?;
    let ours = meta::POSTGRES.iter().map(|m| (m.version, &*m.checksum));
    Ok(ours.eq(applied.iter().map(|(version, checksum)| (*version, &**checksum))))
}

async fn check_tables_postgres(connection: &mut PgConnection) -> Result<(), OpenError> {
    let known: bool = sqlx::query_scalar("select to_regclass('_sqlx_migrations') is not null")
        .fetch_one(&mut *connection)
        .await?;
    let applied: Option<i64> = if known {
        sqlx::query_scalar("select max(version) from _sqlx_migrations where success")
            .fetch_one(&mut *connection)
            .await?
    } else {
        None
    };
    meta::check_migrations(&meta::POSTGRES, applied)
}

async fn init_postgres(connection: &mut PgConnection, config: &DbConfig) -> Result<(), OpenError> {
    let present: bool = sqlx::query_scalar("select exists (select from ledger_meta where id = 1)")
        .fetch_one(&mut *connection)
        .await?;
    if present {
        // The serving role may not write here, and need not.
        return Ok(());
    }
    let fresh = meta::fresh(config, PARTS_POSTGRES)?;
    let mut transaction = connection.begin().await?;
    let made = sqlx::query(
        "insert into ledger_meta (id, schema_version, partitions, hash_name, ledger_id, mode, layout, created_at)
         values (1, $1, $2, $3, $4, $5, 'single', $6) on conflict (id) do nothing",
    )
    .bind(meta::schema_version())
    .bind(part_to_sql(fresh.parts)?)
    .bind(&fresh.hash_name)
    .bind(fresh.ledger_id)
    .bind(&fresh.mode)
    .bind(fresh.created_at.to_chrono())
    .execute(&mut *transaction)
    .await?;
    if made.rows_affected() == 1 {
        sqlx::query("insert into log_head (part, position) select part, 0 from generate_series(0, $1 - 1) as part")
            .bind(part_to_sql(fresh.parts)?)
            .execute(&mut *transaction)
            .await?;
    }
    transaction.commit().await?;
    Ok(())
}

async fn read_meta_postgres(connection: &mut PgConnection) -> Result<LedgerMeta, OpenError> {
    let row = sqlx::query("select partitions, hash_name, ledger_id, mode, created_at from ledger_meta where id = 1")
        .fetch_one(connection)
        .await?;
    Ok(LedgerMeta {
        parts: u32::try_from(row.try_get::<i32, _>(0)?).unwrap_or(0),
        hash_name: row.try_get(1)?,
        ledger_id: row.try_get::<Uuid, _>(2)?,
        mode: row.try_get(3)?,
        created_at: at_from_chrono(row.try_get(4)?)?,
    })
}

/// Positions are dense and end at the head, part by part: both are read from the end of one index.
const HEADS_AND_LASTS: &str = "select h.part, h.position, coalesce((select max(e.position) from events e \
     where e.part = h.part), 0) from log_head h order by h.part";

async fn check_heads(db: &Db) -> Result<(), OpenError> {
    for (at, pool) in db.pools().into_iter().enumerate() {
        let rows: Vec<(i32, i64, i64)> = match pool {
            Pool::Sqlite(pool) => sqlx::query_as(HEADS_AND_LASTS).fetch_all(pool).await?,
            Pool::Postgres(pool) => sqlx::query_as(HEADS_AND_LASTS).fetch_all(pool).await?,
        };
        for (part, head, last) in rows {
            let part = u32::try_from(part).unwrap_or(u32::MAX);
            if lives_here(db, part, at) && head != last {
                return Err(OpenError::Head { part, head, last });
            }
        }
    }
    Ok(())
}

fn lives_here(db: &Db, part: u32, database: usize) -> bool {
    match &db.store {
        Store::Sqlite(_) => true,
        Store::Postgres(postgres) => usize::try_from(part).unwrap_or(0) % postgres.databases.len() == database,
    }
}

/// All heads, one query a database, as a vector over the parts.
pub(super) async fn read_heads(db: &Db) -> Result<Vec<u64>, DbError> {
    const HEADS: &str = "select part, position from log_head order by part";
    let mut heads = vec![0; usize::try_from(db.parts()).unwrap_or(0)];
    for (at, pool) in db.pools().into_iter().enumerate() {
        let rows: Vec<(i32, i64)> = match pool {
            Pool::Sqlite(pool) => sqlx::query_as(HEADS).fetch_all(pool).await?,
            Pool::Postgres(pool) => sqlx::query_as(HEADS).fetch_all(pool).await?,
        };
        for (part, position) in rows {
            let Ok(part) = u32::try_from(part) else { continue };
            if lives_here(db, part, at)
                && let Some(head) = usize::try_from(part).ok().and_then(|at| heads.get_mut(at))
            {
                *head = position_from_sql(position)?;
            }
        }
    }
    Ok(heads)
}

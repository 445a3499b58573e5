//! A ledger that is not the one wanted, or not whole, is refused with words that say what to do.

use aggregates::plan::Mode;
use projections::db::{Class, Conn, DbError, OpenError};
use projections::log::read_stream;
use sqlx::{Connection, Executor, PgConnection};
use subledger::ledger::{self, LedgerError};

use super::*;
use crate::support;
use crate::support::postgres::OwnServer;

fn refusal(result: Result<Db, OpenError>) -> String {
    match result {
        Ok(_) => panic!("it was opened"),
        Err(error) => error.to_string(),
    }
}

#[tokio::test]
async fn a_second_process_on_one_file_is_refused_by_name() {
    let store = TestStore::sqlite();
    let mut config = config(&store);
    config.holder = "subledger serve, process 4711".to_owned();
    let first = Db::open(&config).await.unwrap();
    let refused = refusal(Db::open(&config).await);
    assert!(
        refused.contains("subledger serve, process 4711") && refused.contains("stop that one"),
        "{refused}"
    );
    let mut beside = config.clone();
    beside.read_only = true;
    let reader = Db::open(&beside).await.expect("reading beside a writer");
    let write = reader.write(0, |_| Box::pin(async { Ok::<(), DbError>(()) })).await;
    assert!(write.is_err(), "a reader does not write");
    drop((first, reader));
    opened_again(&config).await;
}

#[tokio::test]
async fn statistics_of_a_young_ledger_are_forgotten() {
    let store = TestStore::sqlite();
    let config = config(&store);
    let first = Db::open(&config).await.unwrap();
    first.close().await;
    drop(first);
    let url = format!(
        "sqlite://{}",
        support::ledger::database_file(store.data_dir()).display()
    );
    let mut beside = sqlx::SqliteConnection::connect(&url).await.unwrap();
    beside.execute("analyze").await.unwrap();
    beside.close().await.unwrap();
    let again = opened_again(&config).await;
    let held = "select count(*) from sqlite_master where name like 'sqlite_stat%'";
    let projections::db::Pool::Sqlite(pool) = again.pool_for(0) else {
        panic!("another store")
    };
    let held: i64 = sqlx::query_scalar(held).fetch_one(pool).await.unwrap();
    assert_eq!(held, 0, "a plan chosen for tables of a few rows outlives them");
    again
        .write(0, |_| Box::pin(async { Ok::<(), DbError>(()) }))
        .await
        .unwrap();
}

/// The lock of the one before is given back by a thread of its own.
async fn opened_again(config: &DbConfig) -> Db {
    for _ in 0..200 {
        if let Ok(db) = Db::open(config).await {
            return db;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    panic!("the lock outlived its holder");
}

#[tokio::test]
async fn other_settings_than_those_of_the_ledger_are_refused() {
    for store in support::stores().await {
        let config = config(&store);
        let first = Db::open(&config).await.unwrap();
        let parts = first.parts();
        assert_eq!(parts, if store.kind == Kind::Sqlite { 1 } else { 64 });
        let id = first.meta().ledger_id;
        first.close().await;
        drop(first);
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        let mut live = config.clone();
        live.mode = Mode::Live;
        assert!(refusal(Db::open(&live).await).contains("test and live data never share a ledger"));
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        let mut fewer = config.clone();
        fewer.partitions = Some(8);
        let refused = refusal(Db::open(&fewer).await);
        assert!(refused.contains("store.partitions"), "{refused}");
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        assert_eq!(
            Db::open(&config).await.unwrap().meta().ledger_id,
            id,
            "the same ledger again"
        );
    }
    let mut nowhere = DbConfig::new("mysql://x", now());
    assert!(refusal(Db::open(&nowhere).await).contains("write sqlite:"));
    nowhere.urls.clear();
    assert!(refusal(Db::open(&nowhere).await).contains("write sqlite:"));
    let nobody = DbConfig::new("postgres://postgres@127.0.0.1:1/x", now());
    assert!(refusal(Db::open(&nobody).await).contains("store.url"));
}

#[tokio::test]
async fn tables_that_were_not_migrated_are_refused() {
    for store in support::stores().await {
        let mut config = config(&store);
        config.migrate = false;
        assert!(refusal(Db::open(&config).await).contains("subledger migrate"));
    }
}

#[tokio::test]
async fn a_log_without_its_last_event_is_refused() {
    for store in support::stores().await {
        let db = open(&store).await;
        let stream = fresh_stream();
        let at = part(&db, &stream);
        ledger::append(&db, at, vec![item("k", &stream, 0, 3)], now())
            .await
            .unwrap();
        cut_tail(&db, at).await;
        db.close().await;
        drop(db);
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        let refused = refusal(Db::open(&config(&store)).await);
        assert!(
            refused.contains("head says 3") && refused.contains("ends at 2"),
            "{refused}"
        );
    }
}

/// What a bad hand could do: on SQLite it has to drop the trigger first.
async fn cut_tail(db: &Db, part: u32) {
    db.write(part, |conn| {
        Box::pin(async move {
            match conn {
                Conn::Sqlite(conn) => {
                    let sql = "drop trigger events_no_delete; delete from events where position = 3";
                    conn.execute(sql).await?;
                }
                Conn::Postgres(conn) => {
                    conn.execute("delete from events where position = 3").await?;
                }
            }
            Ok::<(), DbError>(())
        })
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn a_server_that_may_lose_what_it_acknowledged_is_refused() {
    // The shared test server runs without fsync.
    let Some(store) = TestStore::postgres().await else {
        return;
    };
    let mut config = config(&store);
    config.accept_unsafe_server = false;
    let mut connection = PgConnection::connect(store.url().unwrap()).await.unwrap();
    let off: String = sqlx::query_scalar("show fsync")
        .fetch_one(&mut connection)
        .await
        .unwrap();
    if off == "off" {
        let refused = refusal(Db::open(&config).await);
        assert!(
            refused.contains("fsync = off") && refused.contains("accept_unsafe_server"),
            "{refused}"
        );
        config.accept_unsafe_server = true;
        assert!(!Db::open(&config).await.unwrap().warnings().is_empty());
    }
    let Some(own) = OwnServer::start() else { return };
    let store = TestStore::on_server(&own.url()).await;
    let mut config = super::config(&store);
    config.accept_unsafe_server = false;
    assert!(Db::open(&config).await.unwrap().warnings().is_empty());
}

#[tokio::test]
async fn a_full_disk_refuses_writes_and_keeps_reads() {
    let store = TestStore::sqlite();
    let db = open(&store).await;
    let stream = fresh_stream();
    ledger::append(&db, 0, vec![item("before", &stream, 0, 3)], now())
        .await
        .unwrap();
    set_page_limit(&db, 1).await.unwrap();
    let mut sequence = 3;
    let full = loop {
        match ledger::append(
            &db,
            0,
            vec![item(&format!("k{sequence}"), &stream, sequence, 100)],
            now(),
        )
        .await
        {
            Ok(_) => sequence += 100,
            Err(LedgerError::Db(error)) => break error,
            Err(other) => panic!("{other}"),
        }
        assert!(sequence < 100_000, "the disk never filled");
    };
    assert_eq!(full.class, Class::Full, "{full}");
    let read = read_stream(&db, 0, TYPE, stream.as_str(), 0, 100_000).await.unwrap();
    assert_eq!(
        read.len() as u64,
        sequence,
        "what was acknowledged is there, and reading goes on"
    );
    whole(&db).await;
    // Space again: writing resumes by itself, after the pause at the latest.
    for _ in 0..100 {
        if set_page_limit(&db, 1_000_000).await.is_ok() {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    ledger::append(&db, 0, vec![item("after", &stream, sequence, 1)], now())
        .await
        .unwrap();
}

/// SQLite's own way to say how large a file may become; it never goes below what is used.
async fn set_page_limit(db: &Db, pages: u32) -> Result<(), DbError> {
    db.write(0, move |conn| {
        Box::pin(async move {
            if let Conn::Sqlite(conn) = conn {
                conn.execute(format!("pragma max_page_count = {pages}").as_str())
                    .await?;
            }
            Ok(())
        })
    })
    .await
}

#[tokio::test]
async fn the_log_is_append_only() {
    let store = TestStore::sqlite();
    let db = open(&store).await;
    ledger::append(&db, 0, vec![item("k", &fresh_stream(), 0, 1)], now())
        .await
        .unwrap();
    for sql in [
        "update events set tenant = 'other'",
        "delete from events",
        "insert or replace into events select * from events",
    ] {
        let refused = run(&db, sql).await;
        assert!(refused.unwrap_err().message.contains("append-only"), "{sql}");
    }
    assert_eq!(
        count(&db, 0, "select count(*) from events where tenant = 'acme'").await,
        1
    );

    let Some(store) = TestStore::postgres().await else {
        return;
    };
    let db = open(&store).await;
    let role = format!("app_{}", uuid::Uuid::now_v7().simple());
    run(&db, &format!("create role {role} login")).await.unwrap();
    db.grant_application(&role).await.unwrap();
    let mut app = config(&store);
    app.urls = vec![store.url().unwrap().replacen("postgres@", &format!("{role}@"), 1)];
    app.migrate = false;
    let app = Db::open(&app).await.expect("the serving role opens the ledger");
    let stream = fresh_stream();
    ledger::append(&app, part(&app, &stream), vec![item("k", &stream, 0, 1)], now())
        .await
        .unwrap();
    for sql in [
        "update events set tenant = 'other'",
        "delete from events",
        "truncate events",
        "delete from seal",
        "update ledger_meta set mode = 'live'",
    ] {
        let refused = run(&app, sql).await;
        assert!(refused.unwrap_err().message.contains("permission denied"), "{sql}");
    }
    app.close().await;
    run(&db, &format!("drop owned by {role}; drop role {role}"))
        .await
        .unwrap();
}

async fn run(db: &Db, sql: &str) -> Result<(), DbError> {
    let sql = sql.to_owned();
    db.write(0, move |conn| {
        Box::pin(async move {
            match conn {
                Conn::Sqlite(conn) => conn.execute(sql.as_str()).await.map(|_| ())?,
                Conn::Postgres(conn) => conn.execute(sql.as_str()).await.map(|_| ())?,
            }
            Ok(())
        })
    })
    .await
}

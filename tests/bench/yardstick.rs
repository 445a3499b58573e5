//! The yardstick Y: single-row durable inserts of the same body, straight into the same store.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};
use sqlx::{ConnectOptions, Connection, Executor, PgConnection};

use crate::load::{Delivery, Template, Times};
use crate::support::TestStore;

/// Inserts for `limit` on so many connections (SQLite has one writer: always one).
pub(crate) async fn measure(store: &TestStore, connections: usize, limit: Duration) -> f64 {
    let template = Template::subscription();
    let body = template.body(Delivery {
        event: 1,
        account: 1,
        version: 1,
    });
    match store.url() {
        Some(url) => postgres(url, connections, limit, body).await,
        None => sqlite(store, limit, body).await,
    }
}

async fn postgres(url: &str, connections: usize, limit: Duration, body: Vec<u8>) -> f64 {
    let mut first = PgConnection::connect(url).await.expect("the store");
    let table = "drop table if exists yardstick; create table yardstick (id bigint primary key, body bytea not null)";
    first.execute(table).await.expect("a table");
    let next = Arc::new(AtomicU64::new(0));
    let body = Arc::new(body);
    let mut clients = Vec::new();
    let mut open = Vec::new();
    for _ in 0..connections {
        open.push(PgConnection::connect(url).await.expect("the store"));
    }
    let begin = Instant::now();
    for mut connection in open {
        let (next, body) = (Arc::clone(&next), Arc::clone(&body));
        clients.push(tokio::spawn(async move {
            let mut micros = Vec::new();
            while begin.elapsed() < limit {
                let id = i64::try_from(next.fetch_add(1, Ordering::Relaxed)).expect("an id");
                let sent = Instant::now();
                let insert = sqlx::query("insert into yardstick values ($1, $2)")
                    .bind(id)
                    .bind(&body[..]);
                insert.execute(&mut connection).await.expect("an insert");
                micros.push(u64::try_from(sent.elapsed().as_micros()).expect("micros"));
            }
            micros
        }));
    }
    let mut micros = Vec::new();
    for client in clients {
        micros.extend(client.await.expect("a client"));
    }
    let rate = Times::new(micros, begin.elapsed()).rate();
    first.execute("drop table yardstick").await.expect("a table");
    rate
}

async fn sqlite(store: &TestStore, limit: Duration, body: Vec<u8>) -> f64 {
    let path = store.data_dir().join("yardstick");
    let options = SqliteConnectOptions::new()
        .filename(&path)
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full);
    let mut connection = options.connect().await.expect("a file");
    let table = "drop table if exists yardstick; create table yardstick (id integer primary key, body blob not null)";
    connection.execute(table).await.expect("a table");
    let begin = Instant::now();
    let mut micros = Vec::new();
    while begin.elapsed() < limit {
        let id = i64::try_from(micros.len()).expect("an id");
        let sent = Instant::now();
        let insert = sqlx::query("insert into yardstick values (?, ?)")
            .bind(id)
            .bind(&body[..]);
        insert.execute(&mut connection).await.expect("an insert");
        micros.push(u64::try_from(sent.elapsed().as_micros()).expect("micros"));
    }
    let rate = Times::new(micros, begin.elapsed()).rate();
    connection.close().await.expect("closed");
    for end in ["", "-wal", "-shm"] {
        let _ = std::fs::remove_file(store.data_dir().join(format!("yardstick{end}")));
    }
    rate
}

/// How long this disk takes to make one block durable.
pub(crate) fn sync_time() -> String {
    use std::io::Write;
    let directory = tempfile::tempdir().expect("a directory");
    let mut file = std::fs::File::create(directory.path().join("sync")).expect("a file");
    let mut micros = Vec::new();
    for _ in 0..200 {
        file.write_all(&[0; 4096]).expect("a write");
        let begin = Instant::now();
        file.sync_data().expect("a sync");
        micros.push(u64::try_from(begin.elapsed().as_micros()).expect("micros"));
    }
    format!(
        "fdatasync of 4 kB: {}",
        Times::new(micros, Duration::from_secs(1)).latency()
    )
}

//! Two workers on one part: the one whose checkpoint was moved by the other writes nothing.

use projections::db::{Conn, Db, DbError};
use sqlx::Executor;

use super::follow::{caught_up, runner};
use super::told::{Pen, events_of, open, stream_of, year};
use crate::support::stores;

/// Runs SQL that both stores read alike, as another process would.
async fn run(db: &Db, part: u32, sql: String) {
    db.write(part, move |conn| {
        Box::pin(async move {
            match conn {
                Conn::Sqlite(conn) => conn.execute(sql.as_str()).await.map(|_| ())?,
                Conn::Postgres(conn) => conn.execute(sql.as_str()).await.map(|_| ())?,
            }
            Ok::<(), DbError>(())
        })
    })
    .await
    .expect("a statement");
}

/// 1. Our runner has folded eight events and keeps the account's row in memory.
/// 2. Another worker folds the next four: its row and the moved checkpoints are in the tables.
/// 3. The four events reach our runner, which folds them too and finds its checkpoint moved.
/// 4. It writes nothing, so the other worker's row stands, and goes on from the tables.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_runner_that_was_overtaken_writes_nothing() {
    for store in stores().await {
        let db = open(&store).await;
        let runner = runner(&db).await;
        let told = events_of(&year("o", Some("acme")), Some("acme"));
        let stream = stream_of("o", Some("acme"));
        let mut pen = Pen::default();
        let (part, _) = pen.write(&db, &stream, Some("acme"), &told[..8]).await;
        caught_up(&db, &runner).await;
        let moved = format!("update projection_checkpoint set position = position + 4 where part = {part}");
        run(&db, part, moved).await;
        let row = format!("update status_0 set plan = 'by the other worker' where part = {part}");
        run(&db, part, row).await;
        pen.write(&db, &stream, Some("acme"), &told[8..12]).await;
        caught_up(&db, &runner).await;
        let sql = "select count(*) from status_0 where plan = 'by the other worker'";
        let kept: i64 = match db.pool_for(part) {
            projections::db::Pool::Sqlite(pool) => sqlx::query_scalar(sql).fetch_one(pool).await.unwrap(),
            projections::db::Pool::Postgres(pool) => sqlx::query_scalar(sql).fetch_one(pool).await.unwrap(),
        };
        assert_eq!(kept, 1, "the row of the worker that was first was written over");
        runner.stop().await;
        db.close().await;
    }
}

//! Jobs that share one COMMIT on SQLite do not share their failures.

use projections::db::{Class, Conn, DbError};
use subledger::ledger::{self, LedgerError, Outcome};

use super::*;
use crate::support;

/// 1. Many appends and failing jobs are sent at once, so that they fall into common groups.
/// 2. A failing job has written a row first, or panics, or breaks a constraint.
/// 3. Every good append is in, no row of a failing job is, positions are dense.
#[tokio::test(flavor = "multi_thread")]
async fn a_failing_job_leaves_nothing_and_harms_nobody() {
    for store in support::stores().await {
        let db = open(&store).await;
        let stream = fresh_stream();
        appended_once(&db, &stream).await;
        let mut good = Vec::new();
        let mut bad = Vec::new();
        for n in 0..60_u64 {
            let own = fresh_stream();
            let (db2, key) = (db.clone(), format!("{own}-good"));
            good.push(tokio::spawn(async move {
                ledger::append(&db2, part(&db2, &own), vec![item(&key, &own, 0, 2)], now())
                    .await
                    .unwrap()
                    .remove(0)
            }));
            let (db2, stream) = (db.clone(), stream.clone());
            bad.push(tokio::spawn(async move { fail(&db2, n, &stream).await }));
        }
        for task in good {
            assert!(matches!(task.await.unwrap(), Outcome::Appended { .. }));
        }
        for task in bad {
            task.await.unwrap();
        }
        assert_eq!(
            count(&db, 0, "select count(*) from catalogue_version").await,
            0,
            "a failed job left a row"
        );
        whole(&db).await;
        db.close().await;
    }
}

async fn appended_once(db: &Db, stream: &StreamId) {
    let sent = vec![item(stream.as_str(), stream, 0, 1)];
    ledger::append(db, part(db, stream), sent, now()).await.unwrap();
}

async fn fail(db: &Db, n: u64, stream: &StreamId) {
    match n % 3 {
        0 => {
            let late = vec![item(&format!("late-{n}"), stream, 0, 1)];
            let refused = ledger::append(db, part(db, stream), late, now()).await;
            assert!(matches!(refused, Err(LedgerError::Conflict)), "{refused:?}");
        }
        1 => {
            let refused = db.write(0, move |conn| Box::pin(write_and_fail(conn, n))).await;
            assert_eq!(refused.unwrap_err().class, Class::Bug);
        }
        _ => {
            let refused = db.write(0, move |conn| Box::pin(write_twice(conn, n))).await;
            assert_eq!(refused.unwrap_err().class, Class::Bug);
        }
    }
}

async fn row(conn: &mut Conn<'_>, n: u64) -> Result<(), DbError> {
    let into = "insert into catalogue_version (version, content_hash, body, loaded_at) values";
    match conn {
        Conn::Sqlite(conn) => {
            let sql = format!("{into} ({n}, x'{n:064x}', 'x', 0)");
            sqlx::query(&sql).execute(&mut **conn).await?;
        }
        Conn::Postgres(conn) => {
            let sql = format!("{into} ({n}, '\\x{n:064x}', 'x', now())");
            sqlx::query(&sql).execute(&mut **conn).await?;
        }
    }
    Ok(())
}

async fn write_and_fail(mut conn: Conn<'_>, n: u64) -> Result<(), DbError> {
    row(&mut conn, n).await?;
    Err(DbError::bug("on purpose"))
}

async fn write_twice(mut conn: Conn<'_>, n: u64) -> Result<(), DbError> {
    row(&mut conn, n).await?;
    row(&mut conn, n).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_panicking_job_is_a_failure_of_that_job_only() {
    let store = TestStore::sqlite();
    let db = open(&store).await;
    let broken = db
        .write(0, |mut conn| {
            Box::pin(async move {
                row(&mut conn, 1).await?;
                panic!("on purpose");
                #[expect(unreachable_code, reason = "gives the job its type")]
                Ok::<(), DbError>(())
            })
        })
        .await;
    assert_eq!(broken.unwrap_err().class, Class::Bug);
    appended_once(&db, &fresh_stream()).await;
    assert_eq!(count(&db, 0, "select count(*) from catalogue_version").await, 0);
}

//! The harness itself: stores are fresh, and nothing is left of them.

use crate::support::{Kind, stores};
use sqlx::Connection;

#[tokio::test]
async fn every_store_is_fresh_and_leaves_nothing() {
    let all = stores().await;
    assert_eq!(all[0].kind, Kind::Sqlite);
    assert!(all[0].url().is_none() && all[0].data_dir().is_dir());
    let Some(store) = all.get(1) else { return };
    let url = store.url().expect("a URL").to_owned();
    let mut connection = sqlx::PgConnection::connect(&url).await.expect("a connection");
    let tables: i64 = sqlx::query_scalar("select count(*) from pg_tables where schemaname = 'public'")
        .fetch_one(&mut connection)
        .await
        .expect("a count");
    assert_eq!(tables, 0);
    drop(connection);
    drop(all);
    assert!(sqlx::PgConnection::connect(&url).await.is_err(), "{url} is still there");
}

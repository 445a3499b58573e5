//! The hash twin: the same tables on plain Postgres, spread over four hash partitions by `part`.
//!
//! What holds there holds on a server that spreads parts over machines: no statement needs an index without `part`,
//! and every hot one touches a single leaf.

use projections::db::Pool;
use projections::log;
use sqlx::{Executor, Row};
use subledger::{ledger, outbox};

use super::*;
use crate::support::postgres::spread;

async fn twin(store: &TestStore) -> Db {
    let db = open(store).await;
    let Pool::Postgres(pool) = db.pool_for(0) else { panic!() };
    assert!(spread(pool).await >= 13);
    db.close().await;
    open(store).await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_laws_hold_on_hash_partitions() {
    let Some(store) = TestStore::postgres().await else {
        return;
    };
    let db = twin(&store).await;
    append::laws(&db).await;
    db.close().await;
}

/// Arguments that keep each hot statement's shape; the first is the part.
fn arguments(name: &str) -> &'static str {
    match name {
        "page" => "7, 0, 10",
        "stream" => "7, 'subscription', 's', 0, 10",
        "streams" => "7, '{subscription}', '{s}'",
        "sequence" => "7, 'subscription', 's', 5",
        "marks" => "7, '{a}', '{k}', '{null}', now()",
        "find marks" => "7, '{a}', '{k}'",
        "events" => {
            "7, 1, now(), '{subscription}', '{s}', '{1}', '{T}', '{1}', '{\"{}\"}', '{\"{}\"}', '{null}', \
             '{00000000-0000-0000-0000-000000000001}', '{c}', '{c}', '{2026-01-01}', '{\"\\\\x00\"}', '{}', '{}', '{}', \
             '{}', '{}', '{}', '{}', '{a}', '{k}', '{1}', '{1}'"
        }
        "outbox" => {
            "7, '{00000000-0000-0000-0000-000000000001}', '{k}', '{\"{}\"}', \
             '{00000000-0000-0000-0000-000000000001}', '{1}', '{2026-01-01}'"
        }
        "claim effects" => "7, 1, '{fetch}', now(), now(), 10",
        "settle effect" => "7, '00000000-0000-0000-0000-000000000001', 1, 'done', '{}', now(), now()",
        other => panic!("no arguments for {other}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_hot_statement_touches_one_leaf() {
    let Some(store) = TestStore::postgres().await else {
        return;
    };
    let db = twin(&store).await;
    let Pool::Postgres(pool) = db.pool_for(0) else { panic!() };
    let mut connection = pool.acquire().await.unwrap();
    connection
        .execute("set plan_cache_mode = force_custom_plan")
        .await
        .unwrap();
    let statements = [log::HOT_STATEMENTS, ledger::HOT_STATEMENTS, outbox::HOT_STATEMENTS].concat();
    for (name, sql) in statements {
        connection
            .execute(sqlx::raw_sql(&format!("prepare hot as {sql}")))
            .await
            .unwrap();
        let explain = format!("explain (costs off) execute hot({})", arguments(name));
        let plan: Vec<String> = sqlx::raw_sql(&explain)
            .fetch_all(&mut *connection)
            .await
            .unwrap_or_else(|error| panic!("{name}: {error}"))
            .iter()
            .map(|row| row.get(0))
            .collect();
        let plan = plan.join("\n");
        let leaves: std::collections::BTreeSet<char> = plan
            .match_indices("_leaf")
            .filter_map(|(at, _)| plan[at + 5..].chars().next())
            .collect();
        let inserts_only = plan.starts_with("Insert") && leaves.is_empty();
        assert!(
            leaves.len() == 1 || inserts_only,
            "{name} touches leaves {leaves:?}:\n{plan}"
        );
        connection.execute("deallocate hot").await.unwrap();
    }
    drop(connection);
    db.close().await;
}

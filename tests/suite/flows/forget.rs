//! Stored answers of commands do not stay for ever, and what the commands did stays done once.

use std::time::{Duration, Instant};

use serde_json::json;
use sqlx::Executor;

use crate::support::ledger::Tables;
use crate::support::server::{Launch, Server};
use crate::support::stores;

/// Longest wait for the duty, which looks at once after a start.
const WAIT: Duration = Duration::from_secs(30);

const COUNT: &str = "select count(*) from api_idempotency where key = 'once'";

async fn put(server: &Server) -> (u16, Option<String>) {
    let token = format!("Bearer {}", server.admin_token());
    let headers = [
        ("authorization", token.as_str()),
        ("content-type", "application/json"),
        ("idempotency-key", "once"),
    ];
    let body = json!({ "name": "Acme" }).to_string();
    let answer = server.send("PUT", "/v1/tenants/acme", &headers, body.as_bytes()).await;
    (answer.status, answer.header("idempotency-replayed").map(str::to_owned))
}

/// 1. A command with a key is answered, and its answer kept.
/// 2. Thirty days go by while the service is down; it starts, and the answer goes.
/// 3. The same command with the same key is carried out no second time.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_whose_time_is_over_is_dropped_and_its_effect_stays() {
    for store in stores().await {
        let launch = Launch::new(&store);
        let mut server = launch.start().await;
        assert_eq!(put(&server).await, (201, None));
        assert_eq!(put(&server).await, (201, Some("true".to_owned())));
        server.kill();
        let mut tables = Tables::open(store.url(), store.data_dir()).await;
        assert_eq!(tables.number(COUNT).await, 1);
        let past = match &mut tables {
            Tables::Sqlite(connection) => connection
                .execute("update api_idempotency set expires_at = 1")
                .await
                .map(|_| ()),
            Tables::Postgres(connection) => connection
                .execute("update api_idempotency set expires_at = '2020-01-01Z'")
                .await
                .map(|_| ()),
        };
        past.expect("the time goes by");
        drop(tables);

        let server = launch.start().await;
        let mut tables = Tables::open(store.url(), store.data_dir()).await;
        let begin = Instant::now();
        while tables.number(COUNT).await > 0 {
            assert!(begin.elapsed() < WAIT, "the answer is still kept");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let events = "select count(*) from events";
        let before = tables.number(events).await;
        assert_eq!(put(&server).await.0, 200, "the present state is answered");
        assert_eq!(tables.number(events).await, before, "nothing happened twice");
    }
}

//! The store goes away, comes back, or loses an answer: callers are told, nothing is lost, nothing counts twice.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use crate::support::ledger::{Tables, faults};
use crate::support::proxy::Proxy;
use crate::support::server::{Launch, Server};
use crate::support::{TestStore, stripe};

/// Longest wait until the service has noticed that the store is back.
const BACK_WAIT: Duration = Duration::from_secs(30);

fn delivery(account: u32, version: u32) -> (String, Vec<u8>) {
    let object = stripe::subscription(account, "active", version + 1, 1_789_900_000);
    let id = format!("evt_outage{account:03}{version:03}");
    let body = stripe::subscription_event(&id, 1_790_000_000 + i64::from(version), &object);
    (id, body)
}

async fn until_accepted(server: &Server, body: &[u8]) {
    let begin = Instant::now();
    while server.deliver(body).await.status != 200 {
        assert!(begin.elapsed() < BACK_WAIT, "never accepted again:\n{}", server.log());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_postgres_that_goes_away_and_comes_back_loses_nothing() {
    let Some(store) = TestStore::postgres().await else {
        return;
    };
    let url = store.url().expect("a URL").to_owned();
    let proxy = Proxy::before(&url).await;
    let server = Launch::new(&store)
        .with("DATABASE_URL", &proxy.through(&url))
        .start()
        .await;
    let mut acknowledged = BTreeSet::new();
    for version in 0..10 {
        let (id, body) = delivery(1, version);
        assert_eq!(server.deliver(&body).await.status, 200);
        acknowledged.insert(id);
    }
    server.settled().await;
    let known = server.get("/v1/tenants/tenant-000001/entitlements").await;
    // (1) the store is gone: a delivery is refused with a 503, never with 200 or 4xx; what may be used is answered from
    //     memory
    proxy.down();
    assert_eq!(server.get("/v1/tenants/tenant-000001/entitlements").await, known);
    let (id, body) = delivery(1, 10);
    let answer = server.deliver(&body).await;
    assert_eq!(answer.status, 503, "{}", String::from_utf8_lossy(&answer.body));
    assert_eq!(answer.json()["code"], "store-unavailable");
    assert_eq!(
        server.send("GET", "/livez", &[], b"").await.status,
        200,
        "alive without a store"
    );
    assert_eq!(
        server.send("GET", "/readyz", &[], b"").await.status,
        503,
        "but not ready"
    );
    // (2) it comes back: Stripe's repetition is accepted and everything is applied, without a restart
    proxy.up();
    until_accepted(&server, &body).await;
    acknowledged.insert(id);
    server.settled().await;
    let found = faults(&mut Tables::open(Some(&url), store.data_dir()).await, &acknowledged).await;
    assert!(found.is_empty(), "{found:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_answer_to_commit_has_one_effect() {
    let Some(store) = TestStore::postgres().await else {
        return;
    };
    let url = store.url().expect("a URL").to_owned();
    let proxy = Proxy::before(&url).await;
    let server = Launch::new(&store)
        .with("DATABASE_URL", &proxy.through(&url))
        .start()
        .await;
    let mut acknowledged = BTreeSet::new();
    for version in 0..20 {
        // The lost answer may be the receipt's, the append's, the settlement's or a view's: each in its turn.
        proxy.lose_next_commit();
        let (id, body) = delivery(2, version);
        until_accepted(&server, &body).await;
        acknowledged.insert(id);
        tokio::time::sleep(Duration::from_millis(u64::from(version) * 3)).await;
    }
    assert!(proxy.lost() > 0, "no COMMIT went through the proxy");
    proxy.up();
    server.settled().await;
    let found = faults(&mut Tables::open(Some(&url), store.data_dir()).await, &acknowledged).await;
    assert!(found.is_empty(), "{} answers lost: {found:?}", proxy.lost());
    let shown = server.get("/v1/tenants/tenant-000002/subscription").await;
    assert_eq!(shown["quantity"], 20);
}

//! Event streams of the running service: over a kill, a stop, and several processes.

use serde_json::Value;

use crate::support::server::{Launch, Server};
use crate::support::sse::{Sse, Wire};
use crate::support::stripe::{now, subscription, subscription_event};
use crate::support::{Kind, TestStore, stores};

const ACCOUNT: &str = "/v1/tenants/tenant-000001/subscription";

async fn listen(server: &Server, path: &str, last: Option<&str>) -> Wire {
    let bearer = format!("Bearer {}", server.admin_token());
    let mut headers = vec![("Authorization", &*bearer), ("Accept-Encoding", "gzip, br")];
    headers.extend(last.map(|last| ("Last-Event-ID", last)));
    Wire::open(&server.address, path, &headers).await
}

/// Delivers changes of quantity, each with a second of its own after `begin`.
async fn change(server: &Server, begin: i64, from: u32, count: u32) {
    for nth in from..from + count {
        let object = subscription(1, "active", nth + 1, begin);
        let body = subscription_event(&format!("evt_{nth}"), begin + i64::from(nth), &object);
        assert_eq!(server.deliver(&body).await.status, 200);
    }
}

/// The whole history, oldest first.
async fn history(server: &Server) -> Vec<Value> {
    let page = server.get(&format!("{ACCOUNT}/history?limit=200")).await;
    assert_eq!(page["page"]["has_more"], false);
    let mut entries = page["data"].as_array().expect("entries").clone();
    entries.reverse();
    entries
}

async fn take(wire: &mut Wire, told: &mut Vec<Sse>, count: usize) {
    while told.len() < count {
        let event = wire.event().await.expect("an event");
        assert_ne!(event.event, "reset");
        told.push(event);
    }
}

/// Waits until a process knows that its views are past an entry: its streams begin where it knows them to be.
async fn knows(server: &Server, entry: &Value) {
    let bearer = format!("Bearer {}", server.admin_token());
    let position = entry["position"].as_str().expect("a position");
    let headers = [("Authorization", &*bearer), ("Ledger-Min-Position", position)];
    let answer = server.send("GET", ACCOUNT, &headers, b"").await;
    assert_eq!(answer.status, 200);
}

/// So many more than it has.
async fn more(wire: &mut Wire, told: &mut Vec<Sse>, count: usize) {
    let count = told.len() + count;
    take(wire, told, count).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_comes_back_after_a_kill_and_misses_nothing() {
    for store in stores().await {
        let begin = now() - 10_000;
        let launch = Launch::new(&store);
        let mut server = launch.start().await;
        change(&server, begin, 0, 1).await;
        server.settled().await;
        let before = history(&server).await.len();
        let mut wire = listen(&server, &format!("{ACCOUNT}/stream"), None).await;
        let mut told = Vec::new();
        for (nth, from) in [1_u32, 31, 61, 91].into_iter().enumerate() {
            change(&server, begin, from, 30).await;
            // It has read some of them when the process dies in the middle of its work.
            take(&mut wire, &mut told, 30 * nth + 11).await;
            server.kill();
            while let Some(event) = wire.event().await {
                told.push(event);
            }
            server = launch.start().await;
            let last = told.last().expect("an event").id.clone();
            wire = listen(&server, &format!("{ACCOUNT}/stream"), Some(&last)).await;
        }
        server.settled().await;
        let whole = history(&server).await;
        take(&mut wire, &mut told, whole.len() - before).await;
        let data: Vec<Value> = told.iter().map(Sse::json).collect();
        assert!(
            data == whole[before..],
            "on {:?}: {} told, {} recorded",
            store.kind,
            data.len(),
            whole.len() - before
        );
        // What a kill left over comes late, and what is late by then is no news.
        assert!((100..=120).contains(&data.len()), "{}", data.len());
        // A stop ends it and does not wait for it.
        server.terminate();
        assert_eq!(wire.event().await, None);
        assert_eq!(server.ended().await, Some(0), "{}", server.log());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn processes_on_one_ledger_tell_the_same_and_take_over_from_each_other() {
    let Some(store) = TestStore::postgres().await else {
        return;
    };
    assert_eq!(store.kind, Kind::Postgres);
    let begin = now() - 10_000;
    let elsewhere = tempfile::TempDir::new().expect("a temporary directory");
    let first = Launch::new(&store)
        .with("SUBLEDGER__WORKER__INSTANCE", "first")
        .start()
        .await;
    let second = Launch::new(&store)
        .in_directory(elsewhere.path())
        .with("SUBLEDGER__WORKER__INSTANCE", "second")
        .start()
        .await;
    change(&first, begin, 0, 1).await;
    first.settled().await;
    let before = history(&first).await.len();
    for server in [&first, &second] {
        knows(server, history(&first).await.last().expect("an entry")).await;
    }
    let account = format!("{ACCOUNT}/stream");
    let mut here = listen(&first, &account, None).await;
    let mut there = listen(&second, &account, None).await;
    let mut log = listen(&second, "/v1/audit/stream?tenant=tenant-000001", None).await;
    let (mut by_first, mut by_second) = (Vec::new(), Vec::new());
    for from in [1, 41, 81] {
        change(if from == 41 { &second } else { &first }, begin, from, 40).await;
        more(&mut here, &mut by_first, 20).await;
        more(&mut there, &mut by_second, 30).await;
        // Each goes on with the other process, which may know less or more of the log.
        let last = by_first.last().expect("an event").id.clone();
        here = listen(&second, &account, Some(&last)).await;
        let last = by_second.last().expect("an event").id.clone();
        there = listen(&first, &account, Some(&last)).await;
        more(&mut here, &mut by_first, 20).await;
        more(&mut there, &mut by_second, 10).await;
    }
    first.settled().await;
    let whole = history(&first).await;
    let data = |told: &[Sse]| told.iter().map(Sse::json).collect::<Vec<Value>>();
    for told in [&by_first, &by_second] {
        let told = data(told);
        assert!(
            told == whole[before..],
            "{} told, {} recorded",
            told.len(),
            whole.len() - before
        );
    }
    let mut lines = Vec::new();
    take(&mut log, &mut lines, 120).await;
    let places: Vec<String> = lines.iter().map(|line| line.json()["position"].to_string()).collect();
    let wanted: Vec<String> = whole[before..]
        .iter()
        .map(|entry| entry["position"].to_string())
        .collect();
    assert_eq!(places, wanted, "no other event was recorded");
}

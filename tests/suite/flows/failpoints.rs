//! Kill at every named place: the process aborts there, starts again, and nothing is lost or counts twice.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use futures::StreamExt;
use projections::failpoint::FAILPOINTS;

use super::crash::{Senders, assert_whole};
use crate::support::http::{Connection, request};
use crate::support::server::{Launch, Server};
use crate::support::{Kind, TestStore, figure};

/// Failpoints tried at once; most of the time goes into waiting for the sweep.
const AT_ONCE: usize = 6;

/// Longest wait until a rebuilt slot is full and swapped.
const SWAP_WAIT: Duration = Duration::from_secs(60);

/// At which passing to stop: late enough that work has been done before, early enough that it is reached.
fn passing(name: &str) -> u32 {
    match name {
        "rebuild.before-swap" | "rebuild.after-swap" | "rebuild.after-part" => 1,
        _ if name.starts_with("writer.") => 12,
        _ => 2,
    }
}

/// So many deliveries pass every place twice: appends, outcomes and rows of views are written in groups of up to 256, and
/// what comes within a tenth of a second shares one.
const DELIVERIES: usize = 300;

/// One failpoint: run into it, start again, repeat what was not answered, look.
async fn kill_at(store: TestStore, name: &str) {
    let launch = Launch::new(&store);
    // The ledger is made before: deliveries are to reach the place, not what a first start records.
    let mut first = launch.start().await;
    first.settled().await;
    first.terminate();
    assert_eq!(first.ended().await, Some(0), "{}", first.log());
    let launch = launch.with("SUBLEDGER_FAILPOINT", &format!("{name}:{}", passing(name)));
    let mut server = launch.start().await;
    let senders = Senders::new(vec![server.address.clone()], DELIVERIES);
    let tasks: Vec<_> = (0..4).map(|_| tokio::spawn(Arc::clone(&senders).send())).collect();
    if name.starts_with("rebuild.") {
        while senders.answered.load(Ordering::SeqCst) < 40 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        server.settled().await;
        rebuild_until_killed(&mut server, name).await;
    }
    let begin = Instant::now();
    while server.is_alive() {
        assert!(
            begin.elapsed() < SWAP_WAIT,
            "{name} was never reached:\n{}",
            server.log()
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let code = server.ended().await;
    assert_eq!(
        code,
        None,
        "{name}: ended with {code:?}, not by the failpoint\n{}",
        server.log()
    );
    let mut launch = launch;
    launch.environment.clear();
    let server = launch.start().await;
    for task in tasks {
        task.await.expect("a sender");
    }
    assert_whole(&server, &store, &senders.acknowledged(), name).await;
}

/// Asks for a rebuild, then again and again for the swap, until the process is gone.
async fn rebuild_until_killed(server: &mut Server, name: &str) {
    let bearer = format!("Bearer {}", server.admin_token());
    let headers = [("Authorization", &*bearer), ("Content-Type", "application/json")];
    let begin = Instant::now();
    let mut action = "rebuild";
    while server.is_alive() {
        assert!(
            begin.elapsed() < SWAP_WAIT,
            "{name} was never reached:\n{}",
            server.log()
        );
        let path = format!("/v1/projections/status/{action}");
        let bytes = request("POST", &path, &headers, b"{\"reason\":\"test\"}");
        if let Ok(mut connection) = Connection::open(&server.address).await
            && connection.send(&bytes).await.is_ok()
        {
            action = "swap";
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

async fn every_failpoint(kind: Kind) {
    let names: Vec<&str> = FAILPOINTS
        .iter()
        .map(|(name, _)| *name)
        // Places on the way of commands have a test of their own: deliveries do not pass them.
        .filter(|name| !name.starts_with("calls."))
        // On Postgres there is no writer task, and receipts are one statement that commits itself.
        .filter(|name| kind == Kind::Sqlite || !(name.starts_with("writer.") || *name == "receive.after-insert"))
        .collect();
    let rounds = futures::stream::iter(names.iter().map(|name| async move {
        let store = match kind {
            Kind::Sqlite => TestStore::sqlite(),
            Kind::Postgres => TestStore::postgres().await.expect("Postgres, as the caller saw"),
        };
        kill_at(store, name).await;
    }));
    let done = rounds.buffer_unordered(AT_ONCE).count().await;
    figure(&format!(
        "killed at {done} named places on {kind:?}: 0 lost, 0 doubled, views equal their rebuild"
    ));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kill_at_every_named_place_is_survived_on_sqlite() {
    every_failpoint(Kind::Sqlite).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kill_at_every_named_place_is_survived_on_postgres() {
    if TestStore::postgres().await.is_some() {
        every_failpoint(Kind::Postgres).await;
    }
}

/// One place alone: between the decision and the append. What was answered 200 must come back after the kill.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kill_inside_an_append_loses_nothing() {
    kill_at(TestStore::sqlite(), "append.after-begin").await;
}

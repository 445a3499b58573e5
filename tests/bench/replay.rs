//! The large ledger: views rebuilt from zero, and the time until a server on it is ready.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::load::{Times, memory_mb};
use crate::support::server::{Launch, Server};
use crate::support::{Kind, TestStore};
use crate::{Plan, report};

/// Longest wait for one rebuild.
const REBUILD_WAIT: Duration = Duration::from_secs(600);

/// Rebuilds the core views together, then the audit index alone, then measures start-up.
pub(crate) async fn rebuild_and_start(plan: &Plan, store: &TestStore) {
    let server = Launch::new(store).start().await;
    server.caught_up(REBUILD_WAIT).await;
    let (_, before) = memory_mb(server.pid());
    report(
        "  live loop caught up with the copied events",
        format!("peak {before} MB"),
        None,
    );
    let names = server.projections().await;
    let core: Vec<&str> = names
        .iter()
        .map(String::as_str)
        .filter(|name| *name != "audit")
        .collect();
    let least = match store.kind {
        Kind::Postgres => 150_000.0,
        Kind::Sqlite => 120_000.0,
    };
    let rate = rebuild(&server, plan, &core).await;
    let text = format!("{least:.0}/s");
    report(
        &format!("rebuild of {}", core.join(", ")),
        format!("{rate:.0} events/s"),
        Some((&text, rate >= least)),
    );
    let rate = rebuild(&server, plan, &["audit"]).await;
    report(
        "rebuild of audit",
        format!("{rate:.0} events/s"),
        Some(("60000/s", rate >= 60_000.0)),
    );
    let (resident, peak) = memory_mb(server.pid());
    report(
        "  resident memory",
        format!("{resident} MB, peak {peak} MB"),
        Some(("300 MB", peak < 300)),
    );
    drop(server);

    let mut micros = Vec::new();
    let begin = Instant::now();
    for _ in 0..5 {
        let mut server = Launch::new(store).spawn();
        micros.push(u64::try_from(server.ready().await.as_micros()).expect("micros"));
    }
    let times = Times::new(micros, begin.elapsed());
    report(
        "ready on the large ledger",
        times.latency(),
        Some(("1 s", times.at(99) < 1_000.0)),
    );
}

/// Events a second of one rebuild of the named views, begun together.
async fn rebuild(server: &Server, plan: &Plan, names: &[&str]) -> f64 {
    let begin = Instant::now();
    for name in names {
        let body = json!({ "reason": "bench" });
        let answer = server.post(&format!("/v1/projections/{name}/rebuild"), &body).await;
        assert!(answer.status < 300, "{}", String::from_utf8_lossy(&answer.body));
    }
    while server.is_rebuilding().await {
        assert!(
            begin.elapsed() < REBUILD_WAIT,
            "the rebuild does not end:\n{}",
            server.log()
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    f64::from(plan.events) / begin.elapsed().as_secs_f64()
}

//! What the SaaS asks many times a second: may this tenant do this, and how does its subscription stand?

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::load::{Dice, Source, closed_loop, memory_mb, open_loop, tenant};
use crate::support::TestStore;
use crate::support::http::request;
use crate::support::server::Launch;
use crate::{Plan, report};

/// Connections of a busy SaaS back end.
const CONNECTIONS: usize = 16;

/// Entitlement and status reads over HTTP, as fast as they go and at half that rate.
pub(crate) async fn serve(plan: &Plan, store: &TestStore) {
    let server = Launch::new(store).start().await;
    let limit = Duration::from_secs(plan.seconds);
    let bearer = format!("Bearer {}", server.admin_token());
    let tenants = plan.accounts / 2;
    for (what, least, half) in [("entitlements", 20_000.0, true), ("subscription", 10_000.0, false)] {
        let requests = |seed: u64| -> Arc<Source> {
            let bearer = bearer.clone();
            let turn = AtomicU64::new(seed);
            Arc::new(move |_| {
                let account = Dice(turn.fetch_add(1, Ordering::Relaxed)).below(tenants);
                let path = format!("/v1/tenants/{}/{what}", tenant(account));
                Some(request("GET", &path, &[("Authorization", &bearer)], b""))
            })
        };
        closed_loop(&server.address, CONNECTIONS, Some(limit / 3), requests(1)).await;
        let times = closed_loop(&server.address, CONNECTIONS, Some(limit), requests(2)).await;
        let figure = format!("{:.0}/s, {}", times.rate(), times.latency());
        let text = format!("{least:.0}/s");
        report(
            &format!("GET {what}, {CONNECTIONS} connections"),
            figure,
            Some((&text, times.rate() >= least)),
        );
        // Half the budget's rate: a slower service must not be judged at a lower rate.
        let rate = f64::min(times.rate() / 2.0, least / 2.0);
        let times = open_loop(&server.address, CONNECTIONS, rate, limit, requests(3)).await;
        let budget = half.then(|| ("p99 2 ms", times.at(99) < 2.0));
        report(&format!("  latency at {rate:.0}/s"), times.latency(), budget);
    }
    let (resident, peak) = memory_mb(server.pid());
    report(
        "  resident memory",
        format!("{resident} MB, peak {peak} MB"),
        Some(("200 MB", resident < 200)),
    );
}

//! Webhooks in: how fast they are acknowledged, how fast they are visible, and whether each counted once.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::load::{BASE, Delivery, Dice, Template, Times, closed_loop, event_id, memory_mb, open_loop, tenant};
use crate::support::http::{Connection, request};
use crate::support::ledger::{Tables, faults};
use crate::support::server::{Launch, Server};
use crate::support::{Kind, TestStore};
use crate::{Plan, report, yardstick};

/// Accounts that share the load.
const ACCOUNTS: u32 = 2_000;

/// Accounts above this number belong to the probe that measures lag.
const PROBES: u32 = 900_000;

/// Longest wait for the backlog after a run.
const DRAIN_WAIT: Duration = Duration::from_secs(300);

/// Acknowledge rate and latency at 1, 16 and 64 connections, workers running as in production.
pub(crate) async fn acknowledge(plan: &Plan, store: &TestStore) {
    let template = Arc::new(Template::subscription());
    let limit = Duration::from_secs(plan.seconds);
    let mut offset = 0_u32;
    for connections in plan.connections.iter().copied() {
        let before = yardstick::measure(store, connections, limit / 2).await;
        let launch = Launch::new(store);
        let server = launch.start().await;
        let (source, first) = (Arc::clone(&template), offset);
        let times = closed_loop(
            &server.address,
            connections,
            Some(limit),
            Arc::new(move |number| Some(source.request(spread(first + number as u32)))),
        )
        .await;
        offset += times.count() as u32 + connections as u32;
        let (resident, _) = memory_mb(server.pid());
        drained(&server).await;
        drop(server);
        let after = yardstick::measure(store, connections, limit / 2).await;
        judge(store.kind, connections, &times, (before + after) / 2.0, resident);
    }
}

fn spread(number: u32) -> Delivery {
    Delivery {
        event: number,
        account: number % ACCOUNTS,
        version: number / ACCOUNTS,
    }
}

fn judge(kind: Kind, connections: usize, times: &Times, yardstick: f64, resident: u64) {
    let ratio = times.rate() / yardstick;
    let budget = match (connections, kind) {
        (1, _) => Some(("0.55 Y", ratio >= 0.55)),
        (64, Kind::Postgres) => Some(("0.75 Y", ratio >= 0.75)),
        (64, Kind::Sqlite) => Some(("1.2 Y", ratio >= 1.2)),
        _ => None,
    };
    let figure = format!("{:.0}/s = {ratio:.2} Y (Y {yardstick:.0}/s)", times.rate());
    report(&format!("acknowledged, {connections} connections"), figure, budget);
    let budget = (connections == 64).then(|| ("p99 40 ms", times.at(99) <= 40.0));
    report("  latency", times.latency(), budget);
    let budget = (connections == 64).then_some(("100 MB", resident < 100));
    report("  resident memory under load", format!("{resident} MB"), budget);
}

/// Webhook to view: a backlog as fast as it goes, then a steady rate with lag, then idle; checked at the end.
pub(crate) async fn end_to_end(plan: &Plan, store: &TestStore) {
    let limit = Duration::from_secs(plan.seconds);
    let before = yardstick::measure(store, 64, limit / 2).await;
    let launch = Launch::new(store);
    let server = launch.start().await;
    let template = Arc::new(Template::subscription());

    let wanted = Arc::new(shuffled(plan.deliveries));
    let (source, list) = (Arc::clone(&template), Arc::clone(&wanted));
    let begin = Instant::now();
    let sent = closed_loop(
        &server.address,
        64,
        None,
        Arc::new(move |number| list.get(number as usize).map(|delivery| source.request(*delivery))),
    )
    .await;
    drained(&server).await;
    let rate = f64::from(plan.deliveries) / begin.elapsed().as_secs_f64();
    let (resident, peak) = memory_mb(server.pid());
    let yardstick = (before + yardstick::measure(store, 64, limit / 2).await) / 2.0;
    let (least, text) = match store.kind {
        Kind::Postgres => (0.35, "0.35 Y"),
        Kind::Sqlite => (0.6, "0.6 Y"),
    };
    let ratio = rate / yardstick;
    let figure = format!(
        "{rate:.0}/s = {ratio:.2} Y (Y {yardstick:.0}/s), acknowledged at {:.0}/s",
        sent.rate()
    );
    report(
        "webhook to view, 64 connections, 5 % doubled, reordered",
        figure,
        Some((text, ratio >= least)),
    );
    report(
        "  resident memory",
        format!("{resident} MB, peak {peak} MB"),
        Some(("100 MB", resident < 100)),
    );

    let steady = least * yardstick;
    let lag = lag_at(&server, &template, plan, steady).await;
    report(
        &format!("lag at {steady:.0}/s"),
        lag.latency(),
        Some(("p99 1 s", lag.at(99) < 1_000.0)),
    );
    let idle = idle(&server, &template).await;
    report(
        "webhook to status, idle",
        idle.latency(),
        Some(("p50 25 ms", idle.at(50) < 25.0)),
    );

    let acknowledged: BTreeSet<String> = (0..plan.deliveries).map(event_id).collect();
    let mut found = faults(&mut Tables::open(store.url(), store.data_dir()).await, &acknowledged).await;
    found.extend(wrong_views(&server, plan.deliveries).await);
    report(
        "  exactly once: lost, doubled or wrong",
        found.len(),
        Some(("0", found.is_empty())),
    );
    for fault in found.iter().take(5) {
        println!("    {fault}");
    }
}

/// All deliveries in an order with neighbours swapped, and every twentieth sent again somewhere later.
fn shuffled(count: u32) -> Vec<Delivery> {
    let mut dice = Dice(7);
    let mut list: Vec<Delivery> = (0..count).map(spread).collect();
    for at in 0..count {
        let other = (at + dice.below(200)).min(count - 1);
        list.swap(at as usize, other as usize);
    }
    for _ in 0..count / 20 {
        let copied = dice.below(count);
        let later = copied + dice.below(count - copied);
        list.insert(later as usize + 1, list[copied as usize]);
    }
    list
}

/// Waits until receipts and views have caught up.
async fn drained(server: &Server) {
    let begin = Instant::now();
    while !server.is_settled().await {
        assert!(
            begin.elapsed() < DRAIN_WAIT,
            "the backlog does not end:\n{}",
            server.log()
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// At a steady rate: time from sending a probe to reading it in the status view.
async fn lag_at(server: &Server, template: &Arc<Template>, plan: &Plan, rate: f64) -> Times {
    let limit = Duration::from_secs(plan.seconds.max(5));
    let (source, address, first) = (Arc::clone(template), server.address.clone(), plan.deliveries);
    let load = tokio::spawn(async move {
        open_loop(
            &address,
            64,
            rate,
            limit,
            Arc::new(move |number| Some(source.request(spread(first + number as u32)))),
        )
        .await
    });
    let begin = Instant::now();
    let mut micros = Vec::new();
    let mut probe = Probe::new(server, PROBES + 1).await;
    while begin.elapsed() < limit {
        micros.push(probe.once(template).await);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    load.await.expect("the load");
    Times::new(micros, begin.elapsed())
}

async fn idle(server: &Server, template: &Template) -> Times {
    drained(server).await;
    let begin = Instant::now();
    let mut micros = Vec::new();
    let mut probe = Probe::new(server, PROBES + 2).await;
    for _ in 0..100 {
        tokio::time::sleep(Duration::from_millis(20)).await;
        micros.push(probe.once(template).await);
    }
    Times::new(micros, begin.elapsed())
}

/// One account that changes its quantity and waits to see it.
struct Probe {
    writer: Connection,
    reader: Connection,
    read: Vec<u8>,
    account: u32,
    version: u32,
}

impl Probe {
    async fn new(server: &Server, account: u32) -> Self {
        let bearer = format!("Bearer {}", server.admin_token());
        let path = format!("/v1/tenants/{}/subscription", tenant(account));
        Self {
            writer: Connection::open(&server.address).await.expect("a connection"),
            reader: Connection::open(&server.address).await.expect("a connection"),
            read: request("GET", &path, &[("Authorization", &bearer)], b""),
            account,
            version: 0,
        }
    }

    async fn once(&mut self, template: &Template) -> u64 {
        self.version += 1;
        let event = 4_000_000_000 - (self.account - PROBES) * 1_000_000 + self.version;
        let bytes = template.request(Delivery {
            event,
            account: self.account,
            version: self.version,
        });
        let begin = Instant::now();
        let answer = self.writer.send(&bytes).await.expect("an answer");
        assert_eq!(answer.status, 200);
        loop {
            let answer = self.reader.send(&self.read).await.expect("an answer");
            if answer.status == 200 && answer.json()["quantity"] == self.version + 1 {
                return u64::try_from(begin.elapsed().as_micros()).expect("micros");
            }
            assert!(
                begin.elapsed() < DRAIN_WAIT,
                "never visible: {}",
                String::from_utf8_lossy(&answer.body)
            );
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }
}

/// Accounts whose view does not show their last version.
async fn wrong_views(server: &Server, deliveries: u32) -> Vec<String> {
    let bearer = format!("Bearer {}", server.admin_token());
    let mut connection = Connection::open(&server.address).await.expect("a connection");
    let mut wrong = Vec::new();
    for account in 0..ACCOUNTS.min(deliveries) {
        let path = format!("/v1/tenants/{}/subscription", tenant(account));
        let answer = connection
            .send(&request("GET", &path, &[("Authorization", &bearer)], b""))
            .await;
        let shown = answer.expect("an answer").json()["quantity"].clone();
        let least = (deliveries - 1 - account) / ACCOUNTS + 1;
        // The steady run continued behind the checked deliveries, so later versions are right too.
        if shown.as_u64().is_none_or(|quantity| quantity < u64::from(least)) {
            wrong.push(format!(
                "{}: quantity {shown}, at least {least} expected (created {BASE}+)",
                tenant(account)
            ));
        }
    }
    wrong
}

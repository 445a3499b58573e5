//! The benches: rates, latencies and memory of the real binary, beside a yardstick taken in the same run.
//!
//! `cargo bench --bench ledger -- --store sqlite|postgres|both [--quick] [--only ack,end-to-end,reads,replay]
//! [--connections 1,16,64]`
//!
//! Load generator, service and store share this machine, so a rate is given as a ratio to the yardstick Y:
//! single-row durable inserts of the same body, at the same concurrency, straight into the same store.

#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::float_arithmetic,
    clippy::cast_possible_truncation,
    reason = "a measuring program: it prints rates, and a failed measurement ends it"
)]

mod ingest;
mod load;
mod reads;
mod replay;
mod seed;
mod yardstick;

#[path = "../suite/support/mod.rs"]
#[expect(dead_code, reason = "the harness of the suite; a bench uses half of it")]
mod support;

use std::fmt::Display;

use support::TestStore;
use support::postgres::OwnServer;

/// What to measure and how long.
pub(crate) struct Plan {
    /// Seconds each closed loop runs.
    pub(crate) seconds: u64,
    /// Distinct deliveries of the end-to-end run.
    pub(crate) deliveries: u32,
    /// Accounts and events of the large ledger.
    pub(crate) accounts: u32,
    pub(crate) events: u32,
    /// Connections of the acknowledge runs.
    pub(crate) connections: Vec<usize>,
    only: Vec<String>,
}

impl Plan {
    fn wants(&self, part: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|wanted| wanted == part)
    }
}

fn plan() -> (Vec<&'static str>, Plan) {
    let arguments: Vec<String> = std::env::args()
        .skip(1)
        .filter(|argument| argument != "--bench")
        .collect();
    let value = |flag: &str| {
        let at = arguments.iter().position(|argument| argument == flag)?;
        arguments.get(at + 1).cloned()
    };
    let stores = match value("--store").as_deref() {
        Some("sqlite") => vec!["sqlite"],
        Some("postgres") => vec!["postgres"],
        None | Some("both") => vec!["sqlite", "postgres"],
        Some(other) => panic!("--store {other}: sqlite, postgres or both"),
    };
    let only = value("--only")
        .map(|list| list.split(',').map(str::to_owned).collect())
        .unwrap_or_default();
    let number = |text: &str| {
        text.parse()
            .unwrap_or_else(|_| panic!("--connections {text}: numbers, as in 1,16,64"))
    };
    let connections = value("--connections").map_or(vec![1, 16, 64], |list| list.split(',').map(number).collect());
    let plan = if arguments.iter().any(|argument| argument == "--quick") {
        Plan {
            seconds: 3,
            deliveries: 8_000,
            accounts: 5_000,
            events: 100_000,
            connections,
            only,
        }
    } else {
        Plan {
            seconds: 10,
            deliveries: 60_000,
            accounts: 50_000,
            events: 1_000_000,
            connections,
            only,
        }
    };
    (stores, plan)
}

/// One line of the result: what, figure, and the budget it must reach (if it has one).
pub(crate) fn report(what: &str, figure: impl Display, budget: Option<(&str, bool)>) {
    let judged = budget.map_or(String::new(), |(text, met)| {
        format!("  [budget {text}: {}]", if met { "met" } else { "MISSED" })
    });
    println!("  {what:<58} {figure}{judged}");
}

fn main() {
    let (stores, plan) = plan();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build();
    runtime.expect("a runtime").block_on(async {
        conditions();
        for store in stores {
            println!("\n{store}");
            let (server, store) = match store {
                "sqlite" => (None, TestStore::sqlite()),
                _ => {
                    let Some(server) = Server::find() else { continue };
                    let store = TestStore::on_server(&server.url()).await;
                    (Some(server), store)
                }
            };
            if plan.wants("ack") {
                ingest::acknowledge(&plan, &fresh(server.as_ref()).await).await;
            }
            if plan.wants("end-to-end") {
                ingest::end_to_end(&plan, &fresh(server.as_ref()).await).await;
            }
            if plan.wants("reads") || plan.wants("replay") {
                seed::fill(&plan, &store).await;
                replay::rebuild_and_start(&plan, &store).await;
                if plan.wants("reads") {
                    reads::serve(&plan, &store).await;
                }
            }
        }
    });
}

/// The Postgres to measure on.
enum Server {
    /// Named by `TEST_DATABASE_URL`, for whoever wants to look into it meanwhile.
    Named(String),
    Own(OwnServer),
}

impl Server {
    fn find() -> Option<Self> {
        match std::env::var("TEST_DATABASE_URL") {
            Ok(url) => Some(Self::Named(url)),
            Err(_) => OwnServer::start().map(Self::Own),
        }
    }

    fn url(&self) -> String {
        match self {
            Self::Named(url) => url.clone(),
            Self::Own(server) => server.url(),
        }
    }
}

async fn fresh(server: Option<&Server>) -> TestStore {
    match server {
        None => TestStore::sqlite(),
        Some(server) => TestStore::on_server(&server.url()).await,
    }
}

fn conditions() {
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let profile = if cfg!(debug_assertions) {
        "debug (figures are worthless)"
    } else {
        "release"
    };
    println!("conditions: {cores} cores shared by load, service and store; {profile} build");
    println!("  {}", yardstick::sync_time());
}

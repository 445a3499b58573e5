//! Webhooks become events: the way of a receipt from the table to its recorded outcome.
//!
//! 1. `lanes` takes receipts in, handed over by the receiver or found by the sweep; bounded, the rest stays stored.
//! 2. `admit` translates them and finds their streams (`resolve`: directory, claims before anything is recorded).
//! 3. `lane` takes a batch of one part, reads the streams it lacks (`hot` has the others), decides in order
//!    (`decide`), and appends everything in one transaction, marked by receipt.
//! 4. `settle` writes the outcomes.
//!
//! Promise: every receipt ends in one recorded outcome, and its facts are on the log exactly once, whatever stops the
//! process between two steps: claims are reused, marks are found again, outcomes are written again. A receipt that
//! cannot be understood leaves its batch before the transaction and harms nobody.

mod admit;
mod decide;
mod give_way;
mod hot;
mod item;
mod lane;
mod lanes;
mod record;
mod resolve;
mod retry;
pub mod settle;
mod sweep;
mod waiting;

use std::sync::Arc;
use std::time::Duration;

use aggregates::subscription::PriceBook;
use projections::db::Db;
use tokio::task::JoinHandle;

pub use self::record::OUTBOX_KIND as FETCH_KIND;

use self::give_way::GiveWay;
use self::hot::Hot;
use self::lanes::{Arrival, Lanes};
use self::resolve::Resolver;
use self::settle::{OutcomeCounters, Settler};
use self::waiting::Waiting;
use super::HeldParts;
use super::findings::Findings;
use crate::clock::Clock;
use crate::directory::Directory;
use crate::inbox::receive::HandOff;
use crate::inbox::{NewReceipt, Pressure, ReceiptStore};
use crate::stripe::translate::Translator;

/// Appends at once. With few at a time the others' receipts gather, and that is what makes batches when the load is
/// spread over many parts.
const APPENDS_MAX: usize = 4;
/// How long a stop waits for work in the lanes; what is left is found again at the next start.
const DRAIN_MAX: Duration = Duration::from_secs(20);

/// What the worker needs.
pub struct Parts {
    /// The ledger.
    pub db: Db,
    /// Which stream belongs to whom.
    pub directory: Directory,
    /// The receipts.
    pub receipts: ReceiptStore,
    /// Bytes to facts.
    pub translator: Translator,
    /// Which plan a price stands for, in the catalogue version in force.
    pub prices: Arc<dyn PriceBook + Send + Sync>,
    /// Whether this ledger keeps live data.
    pub live: bool,
    /// The parts whose leftovers this process sweeps.
    pub held: HeldParts,
    /// When to give way to receipts.
    pub pressure: Pressure,
    /// Time.
    pub clock: Clock,
}

struct Worker {
    db: Db,
    receipts: ReceiptStore,
    translator: Translator,
    prices: Arc<dyn PriceBook + Send + Sync>,
    live: bool,
    parts: u32,
    held: HeldParts,
    clock: Clock,
    lanes: Arc<Lanes>,
    give_way: GiveWay,
    resolver: Resolver,
    hot: Hot,
    waiting: Waiting,
    settler: Settler,
    findings: Findings,
}

/// The running worker of a process.
pub struct ApplyWebhooks {
    lanes: Arc<Lanes>,
    findings: Findings,
    outcomes: Arc<OutcomeCounters>,
    sweep: JoinHandle<()>,
    tasks: Vec<JoinHandle<()>>,
}

/// The worker's figures.
#[derive(Clone)]
pub struct Gauges {
    lanes: Arc<Lanes>,
    outcomes: Arc<OutcomeCounters>,
    findings: Findings,
}

impl Gauges {
    /// Receipts being worked on in this process.
    #[must_use]
    pub fn working(&self) -> usize {
        self.lanes.len()
    }

    /// Outcomes since the start.
    #[must_use]
    pub fn outcomes(&self) -> &OutcomeCounters {
        &self.outcomes
    }

    /// Findings since the start.
    #[must_use]
    pub const fn findings(&self) -> &Findings {
        &self.findings
    }
}

impl ApplyWebhooks {
    /// Starts it; the first sweep looks for what an earlier process left.
    #[must_use]
    pub fn start(parts: Parts) -> Self {
        let lanes: Arc<Lanes> = Arc::default();
        let findings = Findings::default();
        let outcomes: Arc<OutcomeCounters> = Arc::default();
        let (settler, settling) = Settler::start(parts.receipts.clone(), parts.clock.clone(), Arc::clone(&outcomes));
        let store = parts.db.kind();
        let worker = Arc::new(Worker {
            parts: parts.receipts.parts(),
            db: parts.db,
            receipts: parts.receipts,
            translator: parts.translator,
            prices: parts.prices,
            live: parts.live,
            held: parts.held,
            clock: parts.clock,
            lanes: Arc::clone(&lanes),
            give_way: GiveWay::new(parts.pressure, store),
            resolver: Resolver::new(parts.directory, findings.clone()),
            hot: Hot::default(),
            waiting: Waiting::default(),
            settler,
            findings: findings.clone(),
        });
        let sweep = tokio::spawn(Arc::clone(&worker).sweep_loop());
        let mut tasks = vec![settling, tokio::spawn(Arc::clone(&worker).intake_loop())];
        tasks.extend((0..APPENDS_MAX).map(|_| tokio::spawn(Arc::clone(&worker).lane_loop())));
        Self {
            lanes,
            findings,
            outcomes,
            sweep,
            tasks,
        }
    }

    /// What the receiver calls with receipts that are durable. Never blocks; what finds no room stays in the table.
    #[must_use]
    pub fn hand_off(&self) -> HandOff {
        let lanes = Arc::clone(&self.lanes);
        Arc::new(move |fresh: Vec<NewReceipt>| {
            let arrival = |receipt: NewReceipt| Arrival {
                key: receipt.key,
                envelope: receipt.envelope,
                body: receipt.body,
                attempts: 0,
                was_parked: false,
            };
            lanes.let_in(fresh.into_iter().map(arrival).collect());
        })
    }

    /// Receipts being worked on in this process.
    #[must_use]
    pub fn working(&self) -> usize {
        self.lanes.len()
    }

    /// What metrics read; stays readable after the worker ended.
    #[must_use]
    pub fn gauges(&self) -> Gauges {
        Gauges {
            lanes: Arc::clone(&self.lanes),
            outcomes: Arc::clone(&self.outcomes),
            findings: self.findings.clone(),
        }
    }

    /// Outcomes since the start.
    #[must_use]
    pub fn outcomes(&self) -> &OutcomeCounters {
        &self.outcomes
    }

    /// Findings since the start.
    #[must_use]
    pub const fn findings(&self) -> &Findings {
        &self.findings
    }

    /// Works off what is in the lanes, takes nothing new, and ends.
    pub async fn stop(self) {
        self.sweep.abort();
        let _ = self.sweep.await;
        self.lanes.close();
        if tokio::time::timeout(DRAIN_MAX, self.lanes.emptied()).await.is_err() {
            tracing::warn!(
                receipts = self.lanes.len(),
                "stopped with receipts in the lanes; the next start finds them"
            );
        }
        for task in self.tasks.into_iter().rev() {
            task.abort();
            let _ = task.await;
        }
    }
}

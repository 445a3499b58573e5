//! The last step: what became of each receipt is written beside it, in groups.
//!
//! Repeatable: a crash before it costs one more run, which ends in the inbox mark.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use projections::db::{Class, DbError};
use projections::failpoint;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::lanes::{RECEIPTS_MAX, Ticket};
use crate::clock::Clock;
use crate::inbox::{ReceiptStore, Settlement, State};

/// Receipts settled by one statement.
const GROUP_MAX: usize = 256;
/// How long a smaller group waits for more. Readers see facts, not outcomes; operators do not notice it.
const GATHER_TIME: Duration = Duration::from_millis(20);

/// A receipt with its outcome. Its ticket is given back once the outcome is written.
pub(super) type Settled = (Settlement, Ticket);

/// Totals by outcome since the start.
#[derive(Default)]
pub struct OutcomeCounters(Mutex<BTreeMap<(State, String), u64>>);

impl OutcomeCounters {
    /// Most event types counted by name: Stripe has fewer than 400, and a sender must not fill the memory with others.
    const TYPES_MAX: usize = 1_000;

    fn count(&self, state: State, event_type: &str) {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let known = counts.len() < Self::TYPES_MAX || counts.contains_key(&(state, event_type.to_owned()));
        let name = if known { event_type } else { "other" };
        *counts.entry((state, name.to_owned())).or_default() += 1;
    }

    /// A copy.
    #[must_use]
    pub fn all(&self) -> BTreeMap<(State, String), u64> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Where outcomes go.
#[derive(Clone)]
pub(super) struct Settler {
    queue: mpsc::Sender<Settled>,
}

impl Settler {
    /// Starts the task that writes them; it ends when the last handle is gone.
    pub(super) fn start(store: ReceiptStore, clock: Clock, counters: Arc<OutcomeCounters>) -> (Self, JoinHandle<()>) {
        let (queue, outcomes) = mpsc::channel(RECEIPTS_MAX);
        let task = tokio::spawn(settle_loop(store, clock, counters, outcomes));
        (Self { queue }, task)
    }

    /// Hands over an outcome. Never waits long: each outcome holds a ticket, and the queue has room for all of them.
    pub(super) async fn settle(&self, settlement: Settlement, ticket: Ticket) {
        // The task only ends after every handle, so somebody listens.
        let _ = self.queue.send((settlement, ticket)).await;
    }
}

async fn settle_loop(
    store: ReceiptStore,
    clock: Clock,
    counters: Arc<OutcomeCounters>,
    mut outcomes: mpsc::Receiver<Settled>,
) {
    let mut group: Vec<Settled> = Vec::new();
    while outcomes.recv_many(&mut group, GROUP_MAX).await > 0 {
        gather(&mut group, &mut outcomes).await;
        let (settlements, tickets): (Vec<Settlement>, Vec<Ticket>) = group.drain(..).unzip();
        failpoint::reach("settle.before");
        let mut written = store.settle(&settlements, clock.now()).await;
        if written.as_ref().is_err_and(DbError::is_repeatable) {
            written = store.settle(&settlements, clock.now()).await;
        }
        if written.as_ref().is_err_and(|error| error.class == Class::Bug) {
            written = one_by_one(&store, &settlements, &clock).await;
        }
        match written {
            Ok(()) => {
                for (settlement, ticket) in settlements.iter().zip(&tickets) {
                    counters.count(settlement.state, &ticket.envelope.event_type);
                }
            }
            // The rows still say new or parked: the sweep finds them and the inbox mark tells what was done.
            Err(error) => {
                tracing::error!(error = %error, rows = settlements.len(), "outcomes could not be written; they will be again");
            }
        }
        failpoint::reach("settle.after");
    }
}

/// Nobody waits for an outcome: a few more share the statement and its commit.
async fn gather(group: &mut Vec<Settled>, outcomes: &mut mpsc::Receiver<Settled>) {
    if group.len() < GROUP_MAX {
        tokio::time::sleep(GATHER_TIME).await;
    }
    while group.len() < GROUP_MAX
        && let Ok(settled) = outcomes.try_recv()
    {
        group.push(settled);
    }
}

/// One outcome the store refuses must not hold back those of the others; gives the last refusal.
async fn one_by_one(store: &ReceiptStore, settlements: &[Settlement], clock: &Clock) -> Result<(), DbError> {
    let mut last = Ok(());
    for settlement in settlements {
        let written = store.settle(std::slice::from_ref(settlement), clock.now()).await;
        last = written.and(last);
    }
    last
}

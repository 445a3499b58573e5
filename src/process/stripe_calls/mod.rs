//! What intents want done at Stripe is done there, once, in the order it was asked for.
//!
//! 1. The command records its event and a row in the outbox, in one append. Rows are claimed under the lease of their part.
//! 2. Rows of one account form a lane: one after another, accounts beside each other. A row waits for every open one of its
//!    account that lies before it on the log, whichever process has that one.
//! 3. `carry_out` computes the calls when their turn has come (`aggregates::subscription::effect::due`), stores them, sends
//!    the stored ones, and stores how far they are after every attempt. `translate` is where the domain's words become calls.
//! 4. `settle` records the answer as an event, then the row ends.
//!
//! Promise: whatever fails in between, the same key is sent again with the same bytes, or Stripe is looked at first; every
//! intent ends with an answer that is recorded once. Stripe being away costs time and nothing else.

mod carry_out;
mod outcome;
mod settle;
mod stored;
pub(in crate::process) mod translate;

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use aggregates::ids::StreamId;
use aggregates::time::Timestamp;
use projections::db::{Db, DbError};
use tokio::sync::{Notify, Semaphore, watch};
use tokio::task::JoinHandle;
use uuid::Uuid;

pub use self::outcome::kind_of;
pub(in crate::process) use self::outcome::rejected;
pub(in crate::process) use self::settle::{LinkError, Place, Recorder, Settle, question};
use self::stored::Body;
pub use self::stored::CALL_KIND;
pub(in crate::process) use self::stored::row;
pub use self::translate::Missing;
use super::links::Links;
use crate::clock::Clock;
use crate::directory::Directory;
use crate::outbox::{self, Effect};
use crate::plans::registry::Registry;
use crate::stripe::gateway::retry::Sender;

/// How often the outbox is looked at when nobody calls.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// How long a claimed row is left to its process, in seconds: longer than a turn in its lane takes, attempts included.
const CLAIM_SECONDS: i64 = 300;
/// Rows claimed at once in a part.
const CLAIM_ROWS_MAX: u32 = 100;
/// Rows in memory: some hundred bytes each; the rest waits in the outbox.
const QUEUED_MAX: usize = 1_000;
/// Accounts carried out at once: half of what the gateway carries, so that links and reads within requests find room.
const ACCOUNTS_AT_ONCE: usize = 4;
/// Wait of a row whose attempt could not even be stored.
const STORE_FAILED_SECONDS: i64 = 2;

/// What the worker needs.
pub struct Parts {
    /// The ledger.
    pub db: Db,
    /// Who belongs to whom.
    pub directory: Directory,
    /// Sends calls.
    pub sender: Sender,
    /// The parts this process holds, with their fences.
    pub leases: watch::Receiver<BTreeMap<u32, u64>>,
    /// Time.
    pub clock: Clock,
    /// The catalogue in force.
    pub plans: Registry,
    /// Told by commands of this process: there is something to do.
    pub woken: Arc<Notify>,
}

/// Totals since the start.
#[derive(Debug, Default)]
pub struct CallCounters {
    /// Intents Stripe carried out.
    pub applied: AtomicU64,
    /// Intents that needed nothing.
    pub unneeded: AtomicU64,
    /// Intents Stripe refused.
    pub rejected: AtomicU64,
    /// Intents of which nobody knows whether Stripe carried them out.
    pub given_up: AtomicU64,
    /// Attempts put off.
    pub delayed: AtomicU64,
    /// Rows that wait, at the last look.
    pub waiting: AtomicU64,
    /// When the oldest of them was or is due, in seconds; 0 when none waits.
    pub oldest_due: AtomicI64,
}

/// A claimed row.
#[derive(Debug)]
struct Claimed {
    row: Effect,
    fence: u64,
    body: Body,
    /// What the row keeps now.
    kept: Mutex<Option<String>>,
}

/// What became of a row's turn.
enum Turn {
    /// The row is settled.
    Ended,
    /// It goes on then, with what it keeps.
    Wait(Timestamp, Option<String>),
    /// Another process has taken it over.
    Lost,
}

#[derive(Default)]
struct Lanes {
    queues: HashMap<StreamId, VecDeque<Claimed>>,
    /// Rows in memory, also the ones under way.
    busy: HashSet<Uuid>,
}

struct Calls {
    db: Db,
    recorder: Recorder,
    sender: Sender,
    leases: watch::Receiver<BTreeMap<u32, u64>>,
    clock: Clock,
    plans: Registry,
    woken: Arc<Notify>,
    counters: Arc<CallCounters>,
    lanes: Mutex<Lanes>,
    turns: Semaphore,
}

/// The running worker of a process.
pub struct StripeCalls {
    counters: Arc<CallCounters>,
    task: JoinHandle<()>,
}

impl StripeCalls {
    /// Starts it: the first look is at once.
    #[must_use]
    pub fn start(parts: Parts) -> Self {
        let counters: Arc<CallCounters> = Arc::default();
        let calls = Arc::new(Calls {
            recorder: Recorder::new(parts.db.clone(), Links::new(parts.directory), parts.clock.clone()),
            db: parts.db,
            sender: parts.sender,
            leases: parts.leases,
            clock: parts.clock,
            plans: parts.plans,
            woken: parts.woken,
            counters: Arc::clone(&counters),
            lanes: Mutex::default(),
            turns: Semaphore::new(ACCOUNTS_AT_ONCE),
        });
        let task = tokio::spawn(calls.run());
        Self { counters, task }
    }

    /// Totals since the start; stay readable after the end.
    #[must_use]
    pub fn counters(&self) -> Arc<CallCounters> {
        Arc::clone(&self.counters)
    }

    /// Ends it. What is under way goes on at the next start, from what was stored before it was sent.
    pub async fn stop(self) {
        self.task.abort();
        let _ = self.task.await;
    }
}

impl Calls {
    /// Lanes end with the loop that feeds them.
    async fn run(self: Arc<Self>) {
        let mut lanes = tokio::task::JoinSet::new();
        let mut taken_over = BTreeMap::new();
        loop {
            while lanes.try_join_next().is_some() {}
            match self.look(&mut taken_over).await {
                Ok(started) => {
                    for stream in started {
                        lanes.spawn(Arc::clone(&self).lane(stream));
                    }
                }
                Err(error) => {
                    tracing::warn!(error = %error, "what waits for Stripe could not be read; trying again");
                }
            }
            let _ = tokio::time::timeout(LOOK_EVERY, self.woken.notified()).await;
        }
    }

    fn lanes(&self) -> MutexGuard<'_, Lanes> {
        self.lanes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Claims what is due; gives the accounts whose lanes begin.
    async fn look(&self, taken_over: &mut BTreeMap<u32, u64>) -> Result<Vec<StreamId>, DbError> {
        let held = self.leases.borrow().clone();
        let now = self.clock.now();
        taken_over.retain(|part, fence| held.get(part) == Some(fence));
        for (part, fence) in &held {
            if !taken_over.contains_key(part) {
                outbox::take_over(&self.db, *part, *fence, CALL_KIND, now).await?;
                taken_over.insert(*part, *fence);
            }
        }
        let parts: Vec<u32> = held.keys().copied().collect();
        let waiting = outbox::due::waiting(&self.db, &parts, CALL_KIND).await?;
        self.counters.waiting.store(waiting.count, Ordering::Relaxed);
        let oldest = waiting.oldest.map_or(0, Timestamp::seconds);
        self.counters.oldest_due.store(oldest, Ordering::Relaxed);
        let mut started = Vec::new();
        if waiting.oldest.is_none_or(|oldest| oldest > now) {
            return Ok(started);
        }
        for part in outbox::due::due_parts(&self.db, &parts, &[CALL_KIND], now).await? {
            let room = QUEUED_MAX.saturating_sub(self.lanes().busy.len());
            let limit = CLAIM_ROWS_MAX.min(u32::try_from(room).unwrap_or(CLAIM_ROWS_MAX));
            let (Some(fence), true) = (held.get(&part).copied(), limit > 0) else {
                continue;
            };
            let until = now.plus_seconds(CLAIM_SECONDS);
            let rows = outbox::claim(&self.db, part, fence, &[CALL_KIND], now, until, limit).await?;
            for row in rows {
                started.extend(self.queue(row, fence).await?);
            }
        }
        Ok(started)
    }

    /// Puts a row into its account's lane; gives the account when that lane has to be begun.
    async fn queue(&self, row: Effect, fence: u64) -> Result<Option<StreamId>, DbError> {
        let body = match serde_json::from_str::<Body>(&row.body) {
            Ok(body) => body,
            Err(error) => {
                tracing::error!(outbox.id = %row.outbox_id, "a row of an intent cannot be read ({error}); please report it");
                self.end(&row, fence, outbox::State::Failed, "unreadable").await?;
                return Ok(None);
            }
        };
        let mut lanes = self.lanes();
        if !lanes.busy.insert(row.outbox_id) {
            return Ok(None);
        }
        let stream = body.stream.clone();
        let begins = !lanes.queues.contains_key(&stream);
        let queue = lanes.queues.entry(stream.clone()).or_default();
        let kept = Mutex::new(row.result.clone());
        queue.push_back(Claimed { row, fence, body, kept });
        Ok(begins.then_some(stream))
    }

    /// One row after another, until none is left.
    async fn lane(self: Arc<Self>, stream: StreamId) {
        loop {
            let next = {
                let mut lanes = self.lanes();
                let next = lanes.queues.get_mut(&stream).and_then(VecDeque::pop_front);
                if next.is_none() {
                    lanes.queues.remove(&stream);
                }
                next
            };
            let Some(claimed) = next else { return };
            let Ok(_turn) = self.turns.acquire().await else { return };
            if let Err(error) = self.turn(&claimed).await {
                tracing::warn!(error = %error, intent.id = %claimed.body.intent, "a command waits for the store; trying again");
                let at = self.clock.now().plus_seconds(STORE_FAILED_SECONDS);
                // What was stored before it was sent stays: the same bytes are sent again.
                let kept = claimed.kept.lock().unwrap_or_else(PoisonError::into_inner).clone();
                // Where this fails too, the claim runs out.
                let _ = self.put_off(&claimed, at, kept).await;
            }
            self.lanes().busy.remove(&claimed.row.outbox_id);
        }
    }

    async fn turn(&self, claimed: &Claimed) -> Result<(), DbError> {
        match self.carry_out(claimed).await? {
            Turn::Ended => {}
            Turn::Wait(at, kept) => {
                self.counters.delayed.fetch_add(1, Ordering::Relaxed);
                self.put_off(claimed, at, kept).await?;
            }
            Turn::Lost => {
                tracing::info!(outbox.id = %claimed.row.outbox_id, "another process has taken the row over");
            }
        }
        Ok(())
    }
}

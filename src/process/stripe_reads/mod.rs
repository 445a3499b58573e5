//! What waits for Stripe is asked, and what no webhook brought is caught up.
//!
//! 1. `question` reads the rows that translation and decisions left in the outbox: thin events, ties, cut lists, payouts.
//! 2. `fetch` asks Stripe once for all rows that want the same, and `told` makes a receipt of the answer: from there on it
//!    goes the way of a webhook.
//! 3. `catch_up` walks Stripe's list of events, at start and every ten minutes.
//!
//! Promise: a row ends only after its answer is a durable receipt; a crash in between asks again, under the same name. Rows
//! are claimed under the lease of their part and settled under its fence. Stripe being away costs time and nothing else.

mod catch_up;
mod fetch;
mod question;
pub mod told;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use aggregates::time::Timestamp;
use futures::StreamExt as _;
use projections::db::{Db, DbError};
use serde_json::json;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use self::fetch::Unanswered;
use self::question::{Question, questions};
use crate::clock::Clock;
use crate::inbox::{ReceiptStore, Receiver, Settlement, State};
use crate::outbox::{self, Effect};
use crate::process::apply_webhooks::FETCH_KIND;
use crate::stripe::client::StripeClient;
use crate::stripe::gateway::retry::{Dice, pause};
use crate::stripe::gateway::{Gateway, GatewayError};
use crate::stripe_cursor;

/// How often the outbox is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How old a row is before it is asked, in seconds: events of one moment share an answer, and the answer is surely of a
/// later second than what it is to decide.
const SHARE_SECONDS: i64 = 2;
/// How long a claimed row is left to its process, in seconds: longer than an attempt, its retries and a long list take.
const CLAIM_SECONDS: i64 = 300;
/// Rows claimed at once in a part.
const CLAIM_ROWS_MAX: u32 = 100;
/// Questions at once: half of what the gateway carries, so that people's commands find room.
const QUESTIONS_AT_ONCE: usize = 4;
/// How often Stripe's list of events is read.
pub const CATCH_UP_EVERY: Duration = Duration::from_secs(600);
/// Wait before the next walk after one that broke off.
const CATCH_UP_AGAIN: Duration = Duration::from_secs(30);
/// Wait of a row whose question Stripe refuses for want of a right: somebody has to change the key first.
const KEY_REFUSED_WAIT: Duration = Duration::from_secs(60);

/// What the worker needs.
pub struct Parts {
    /// The ledger.
    pub db: Db,
    /// The receipts.
    pub receipts: ReceiptStore,
    /// The way in.
    pub receiver: Receiver,
    /// Stripe.
    pub gateway: Gateway,
    /// The client behind it, whose rate is shared out; none for a stand-in.
    pub client: Option<Arc<StripeClient>>,
    /// The parts this process holds, with their fences.
    pub leases: watch::Receiver<BTreeMap<u32, u64>>,
    /// Time.
    pub clock: Clock,
    /// Chance.
    pub dice: Dice,
    /// How often Stripe's list of events is read.
    pub catch_up_every: Duration,
}

/// Totals since the start.
#[derive(Debug, Default)]
pub struct ReadCounters {
    /// Questions answered.
    pub answered: AtomicU64,
    /// Rows that an answer to another row served too.
    pub shared: AtomicU64,
    /// Questions put off.
    pub delayed: AtomicU64,
    /// Questions Stripe has no answer to.
    pub refused: AtomicU64,
    /// Rows that wait, at the last look.
    pub waiting: AtomicU64,
    /// Events seen in Stripe's list.
    pub events_seen: AtomicU64,
    /// Events among them that no webhook had brought.
    pub events_missing: AtomicU64,
    /// Until when the list is read, in seconds; 0 before the first walk.
    pub read_until: AtomicI64,
}

struct Reads {
    db: Db,
    receipts: ReceiptStore,
    receiver: Receiver,
    gateway: Gateway,
    client: Option<Arc<StripeClient>>,
    leases: watch::Receiver<BTreeMap<u32, u64>>,
    clock: Clock,
    dice: Dice,
    catch_up_every: Duration,
    counters: Arc<ReadCounters>,
}

/// The running worker of a process.
pub struct StripeReads {
    counters: Arc<ReadCounters>,
    tasks: [JoinHandle<()>; 2],
}

impl StripeReads {
    /// Starts it: the first walk and the first look begin at once.
    #[must_use]
    pub fn start(parts: Parts) -> Self {
        let counters: Arc<ReadCounters> = Arc::default();
        let reads = Arc::new(Reads {
            db: parts.db,
            receipts: parts.receipts,
            receiver: parts.receiver,
            gateway: parts.gateway,
            client: parts.client,
            leases: parts.leases,
            clock: parts.clock,
            dice: parts.dice,
            catch_up_every: parts.catch_up_every,
            counters: Arc::clone(&counters),
        });
        let fetching = tokio::spawn(Arc::clone(&reads).fetch_loop());
        let catching_up = tokio::spawn(reads.catch_up_loop());
        Self {
            counters,
            tasks: [fetching, catching_up],
        }
    }

    /// Totals since the start; stay readable after the end.
    #[must_use]
    pub fn counters(&self) -> Arc<ReadCounters> {
        Arc::clone(&self.counters)
    }

    /// Ends it. A question under way is asked again by the next start.
    pub async fn stop(self) {
        for task in self.tasks {
            task.abort();
            let _ = task.await;
        }
    }
}

impl Reads {
    fn held(&self) -> BTreeMap<u32, u64> {
        self.leases.borrow().clone()
    }

    async fn fetch_loop(self: Arc<Self>) {
        let mut taken_over = BTreeMap::new();
        loop {
            match self.look(&mut taken_over).await {
                Ok(true) => {}
                Ok(false) => tokio::time::sleep(LOOK_EVERY).await,
                Err(error) => {
                    tracing::warn!(error = %error, "questions for Stripe could not be read; trying again");
                    tokio::time::sleep(LOOK_EVERY).await;
                }
            }
        }
    }

    /// What a process that ended had claimed is asked by whoever holds the part after it.
    async fn take_over(&self, held: &BTreeMap<u32, u64>, before: &mut BTreeMap<u32, u64>) -> Result<(), DbError> {
        before.retain(|part, fence| held.get(part) == Some(fence));
        for (part, fence) in held {
            if !before.contains_key(part) {
                // Old enough to be asked at once.
                let ripe = self.clock.now().plus_seconds(-SHARE_SECONDS);
                outbox::take_over(&self.db, *part, *fence, FETCH_KIND, ripe).await?;
                before.insert(*part, *fence);
            }
        }
        Ok(())
    }

    /// Asks what is due; tells whether there was something.
    async fn look(&self, taken_over: &mut BTreeMap<u32, u64>) -> Result<bool, DbError> {
        let held = self.held();
        self.take_over(&held, taken_over).await?;
        if let Some(client) = &self.client {
            client
                .limits()
                .set_share(u32::try_from(held.len()).unwrap_or(u32::MAX), self.db.parts());
        }
        let parts: Vec<u32> = held.keys().copied().collect();
        let now = self.clock.now();
        let ripe = now.plus_seconds(-SHARE_SECONDS);
        let waiting = outbox::due::waiting(&self.db, &parts, FETCH_KIND).await?;
        self.counters.waiting.store(waiting.count, Ordering::Relaxed);
        if waiting.oldest.is_none_or(|oldest| oldest > ripe) {
            return Ok(false);
        }
        let mut claimed = Vec::new();
        for part in outbox::due::due_parts(&self.db, &parts, &[FETCH_KIND], ripe).await? {
            let Some(fence) = held.get(&part).copied() else {
                continue;
            };
            let until = now.plus_seconds(CLAIM_SECONDS);
            let rows = outbox::claim(&self.db, part, fence, &[FETCH_KIND], ripe, until, CLAIM_ROWS_MAX).await?;
            claimed.extend(rows.into_iter().map(|row| (row, fence)));
        }
        let was_something = !claimed.is_empty();
        let (questions, unreadable) = questions(claimed);
        for (row, fence) in unreadable {
            tracing::error!(outbox.id = %row.outbox_id, "a question for Stripe cannot be read; please report it");
            self.settle(&row, fence, outbox::State::Failed, "unreadable", now)
                .await?;
        }
        let asking = futures::stream::iter(questions).map(|question| self.ask(question));
        let outcomes: Vec<Result<(), DbError>> = asking.buffer_unordered(QUESTIONS_AT_ONCE).collect().await;
        outcomes.into_iter().collect::<Result<(), DbError>>()?;
        Ok(was_something)
    }

    /// Asks one question and settles its rows, and the receipts that waited for nothing else.
    async fn ask(&self, question: Question) -> Result<(), DbError> {
        let now = self.clock.now();
        let attempts = question.rows.iter().map(|(row, _)| row.attempts).max().unwrap_or(1);
        match self.answer(&question).await {
            Ok(receipt) => {
                self.counters.answered.fetch_add(1, Ordering::Relaxed);
                let others = u64::try_from(question.rows.len()).unwrap_or(1).saturating_sub(1);
                self.counters.shared.fetch_add(others, Ordering::Relaxed);
                self.end_thin(&question, State::Duplicate, &format!("told by {receipt}"))
                    .await?;
                self.settle_all(&question, outbox::State::Done, &receipt, now).await
            }
            Err(Unanswered::Stripe(GatewayError::Permanent(refusal))) if !matches!(refusal.status, 401 | 403) => {
                self.counters.refused.fetch_add(1, Ordering::Relaxed);
                let words = refusal.to_string();
                tracing::warn!(question = ?question.wanted, "{words}");
                // What comes with other objects is no loss; what Stripe does not know of needs a person.
                let state = if refusal.status == 0 {
                    State::Ignored
                } else {
                    State::Quarantined
                };
                self.end_thin(&question, state, &words).await?;
                self.settle_all(&question, outbox::State::Failed, &words, now).await
            }
            Err(error) => {
                self.counters.delayed.fetch_add(1, Ordering::Relaxed);
                let asked = match &error {
                    Unanswered::Stripe(GatewayError::Transient(delay)) => delay.retry_after,
                    Unanswered::Stripe(GatewayError::Permanent(_)) => Some(KEY_REFUSED_WAIT),
                    Unanswered::Stripe(GatewayError::OutcomeUnknown(_))
                    | Unanswered::Inbox(_)
                    | Unanswered::Store(_) => None,
                };
                let wait = pause(attempts, asked, &self.dice);
                tracing::warn!(question = ?question.wanted, wait_ms = wait.as_millis(), "not answered yet: {error}");
                let at = now.plus_micros(i64::try_from(wait.as_micros()).unwrap_or(i64::MAX));
                self.settle_all(&question, outbox::State::Due, &error.to_string(), at)
                    .await
            }
        }
    }

    async fn end_thin(&self, question: &Question, state: State, reason: &str) -> Result<(), DbError> {
        let ends = question.thin.iter();
        let ends: Vec<Settlement> = ends
            .map(|key| Settlement::of(key.clone(), state, Some(reason.to_owned())))
            .collect();
        if ends.is_empty() {
            return Ok(());
        }
        self.receipts.settle(&ends, self.clock.now()).await
    }

    async fn settle_all(
        &self,
        question: &Question,
        state: outbox::State,
        words: &str,
        next_at: Timestamp,
    ) -> Result<(), DbError> {
        for (row, fence) in &question.rows {
            self.settle(row, *fence, state, words, next_at).await?;
        }
        Ok(())
    }

    async fn settle(
        &self,
        row: &Effect,
        fence: u64,
        state: outbox::State,
        words: &str,
        next_at: Timestamp,
    ) -> Result<(), DbError> {
        let settlement = outbox::Settlement {
            state,
            result: Some(json!({ "outcome": words }).to_string()),
            next_at,
        };
        let now = self.clock.now();
        if !outbox::settle(&self.db, row.part, row.outbox_id, fence, settlement, now).await? {
            tracing::info!(outbox.id = %row.outbox_id, "another process has taken the row over");
        }
        Ok(())
    }

    async fn catch_up_loop(self: Arc<Self>) {
        if let Some(at) = self.known_read_until().await {
            self.counters.read_until.store(at.seconds(), Ordering::Relaxed);
        }
        let part = stripe_cursor::part_of(stripe_cursor::OWN, self.db.parts());
        loop {
            // Whoever holds the part of the cursor reads the list for all.
            if !self.held().contains_key(&part) {
                tokio::time::sleep(LOOK_EVERY).await;
                continue;
            }
            let wait = match self.catch_up().await {
                Ok(0) => self.catch_up_every,
                Ok(missing) => {
                    tracing::warn!(
                        missing,
                        "events that no webhook brought were found in Stripe's list; look at the endpoint"
                    );
                    self.catch_up_every
                }
                Err(error) => {
                    tracing::warn!(error = %error, "Stripe's list of events was not read to its end; going on later");
                    CATCH_UP_AGAIN.min(self.catch_up_every)
                }
            };
            tokio::time::sleep(wait).await;
        }
    }
}

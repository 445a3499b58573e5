//! Store, then acknowledge: group commit without a timer.
//!
//! Flow: a request puts its receipt into a bounded queue and waits; a committer takes what waits, in one insert, and
//! answers all of it after COMMIT; meanwhile the next batch gathers. A lone request finds an idle committer, so it
//! never waits for company. Promise: `Stored` and `Duplicate` are only said of bytes that are durable.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use projections::db::DbError;
use projections::failpoint;
use tokio::sync::{Notify, oneshot};
use tokio::task::JoinHandle;

use super::InboxError;
use super::pressure::Pressure;
use super::receipt::{Delivery, NewReceipt, ReceiptKey};
use super::store::ReceiptStore;

/// Deliveries that may wait for the store. Beyond it Stripe is told to come again, which it does for three days.
pub const QUEUE_ROWS_MAX: usize = 4_096;
/// Their bytes: the share of the receiver in the 100 MB the process may use under full ingest.
pub const QUEUE_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Rows in one insert: beyond it a batch takes longer without getting more rows a second through.
pub const BATCH_ROWS_MAX: usize = 256;
/// Bytes in one insert, as for every writing transaction.
pub const BATCH_BYTES_MAX: usize = 4 * 1024 * 1024;

/// What became of a delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Received {
    /// It is durable now.
    Stored,
    /// It was durable already, with the same bytes.
    Duplicate,
    /// The event id was known with other bytes: the first ones are kept, these are not.
    OtherContent,
}

/// Takes receipts that are durable and new; must not block.
pub type HandOff = Arc<dyn Fn(Vec<NewReceipt>) + Send + Sync>;

/// Totals since the start, for metrics.
#[derive(Debug, Default)]
pub struct ReceiveCounters {
    /// New ones.
    pub stored: AtomicU64,
    /// Known ones.
    pub duplicates: AtomicU64,
    /// Known ids with other bytes.
    pub other_content: AtomicU64,
    /// Bodies that held card data.
    pub masked: AtomicU64,
    /// Refused because too many waited.
    pub refused: AtomicU64,
    /// Inserts.
    pub batches: AtomicU64,
}

struct Waiting {
    receipt: NewReceipt,
    answer: oneshot::Sender<Result<Received, InboxError>>,
}

#[derive(Default)]
struct Queue {
    rows: VecDeque<Waiting>,
    bytes: usize,
    closed: bool,
}

struct Shared {
    queue: Mutex<Queue>,
    came: Notify,
    store: ReceiptStore,
    hand_off: HandOff,
    pressure: Pressure,
    counters: ReceiveCounters,
}

/// The receiver of a process. Cheap to clone.
#[derive(Clone)]
pub struct Receiver {
    shared: Arc<Shared>,
    committers: Arc<Mutex<Vec<JoinHandle<()>>>>,
}

impl Receiver {
    /// Starts the committers: as many as the store can usefully commit at once.
    #[must_use]
    pub fn start(store: ReceiptStore, hand_off: HandOff) -> Self {
        let committers = store.committers();
        let shared = Arc::new(Shared {
            queue: Mutex::default(),
            came: Notify::new(),
            store,
            hand_off,
            pressure: Pressure::default(),
            counters: ReceiveCounters::default(),
        });
        let tasks = (0..committers)
            .map(|_| tokio::spawn(commit_loop(Arc::clone(&shared))))
            .collect();
        Self {
            shared,
            committers: Arc::new(Mutex::new(tasks)),
        }
    }

    /// Stores a verified delivery and says what it was. Errors mean that nothing may be acknowledged.
    pub async fn receive(&self, delivery: Delivery) -> Result<Received, InboxError> {
        let receipt = NewReceipt::of(delivery, self.shared.store.parts());
        if receipt.masked {
            self.shared.counters.masked.fetch_add(1, Ordering::Relaxed);
            tracing::warn!(receipt.key = %receipt.key, "a body held card data; it is stored without it");
        }
        failpoint::reach("receive.before-insert");
        let _pressing = self.shared.pressure.enter();
        let (answer, answered) = oneshot::channel();
        self.shared.enqueue(Waiting { receipt, answer })?;
        let received = answered.await.map_err(|_| InboxError::Stopping)??;
        failpoint::reach("receive.after-commit");
        Ok(received)
    }

    /// Totals since the start.
    #[must_use]
    pub fn counters(&self) -> &ReceiveCounters {
        &self.shared.counters
    }

    /// Tells whoever works on receipts when to give way to more of them.
    #[must_use]
    pub fn pressure(&self) -> &Pressure {
        &self.shared.pressure
    }

    /// Deliveries that wait for the store.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.shared.lock().rows.len()
    }

    /// Takes no more, and returns when everything that waited has its answer.
    pub async fn stop(&self) {
        self.shared.lock().closed = true;
        let tasks = std::mem::take(&mut *self.committers.lock().unwrap_or_else(PoisonError::into_inner));
        for _ in &tasks {
            self.shared.came.notify_one();
        }
        self.shared.came.notify_waiters();
        for task in tasks {
            if let Err(error) = task.await {
                tracing::error!(error = %error, "a committer of the inbox ended badly");
            }
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        // The queue is whole at every moment the lock is free, so a panic elsewhere does not spoil it.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn enqueue(&self, waiting: Waiting) -> Result<(), InboxError> {
        let mut queue = self.lock();
        if queue.closed {
            return Err(InboxError::Stopping);
        }
        let bytes = queue.bytes + waiting.receipt.weight();
        if queue.rows.len() >= QUEUE_ROWS_MAX || bytes > QUEUE_BYTES_MAX {
            self.counters.refused.fetch_add(1, Ordering::Relaxed);
            return Err(InboxError::Busy);
        }
        queue.bytes = bytes;
        queue.rows.push_back(waiting);
        drop(queue);
        self.came.notify_one();
        Ok(())
    }

    /// What one insert takes, oldest first; empty when nothing waits, and whether the queue is closed.
    fn take(&self) -> (Vec<Waiting>, bool) {
        let mut queue = self.lock();
        let (mut batch, mut bytes) = (Vec::new(), 0);
        while let Some(next) = queue.rows.front() {
            bytes += next.receipt.weight();
            if !batch.is_empty() && (batch.len() >= BATCH_ROWS_MAX || bytes > BATCH_BYTES_MAX) {
                break;
            }
            batch.extend(queue.rows.pop_front());
        }
        let taken: usize = batch.iter().map(|waiting: &Waiting| waiting.receipt.weight()).sum();
        queue.bytes -= taken;
        (batch, queue.closed)
    }

    fn count(&self, received: Received) {
        let counter = match received {
            Received::Stored => &self.counters.stored,
            Received::Duplicate => &self.counters.duplicates,
            Received::OtherContent => &self.counters.other_content,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }
}

async fn commit_loop(shared: Arc<Shared>) {
    loop {
        let (batch, closed) = shared.take();
        if !batch.is_empty() {
            shared.counters.batches.fetch_add(1, Ordering::Relaxed);
            commit(&shared, batch).await;
        } else if closed {
            return;
        } else {
            shared.came.notified().await;
        }
    }
}

async fn commit(shared: &Shared, batch: Vec<Waiting>) {
    let mut batch = batch;
    if failpoint::mutant("ack-before-commit") {
        batch = batch.into_iter().map(answered_too_early).collect();
    }
    let (rows, repeats, answers) = split(batch);
    let rows = Arc::new(rows);
    let outcome = store(shared, &rows).await;
    let received = match outcome {
        Ok(received) => received,
        Err(error) => {
            tracing::error!(error = %error, rows = rows.len(), "receipts could not be stored; Stripe is told to come again");
            for answer in answers.into_iter().flatten() {
                // A sender that went away hears nothing.
                let _ = answer.send(Err(InboxError::Store(error.clone())));
            }
            return;
        }
    };
    for (index, (answers, row)) in answers.into_iter().zip(rows.iter()).enumerate() {
        let first = received.get(index).copied().unwrap_or(Received::Duplicate);
        for (nth, answer) in answers.into_iter().enumerate() {
            let one = if nth == 0 { first } else { repeats[index][nth - 1] };
            shared.count(one);
            if one == Received::OtherContent {
                tracing::warn!(receipt.key = %row.key, "an event id came again with other content; the first is kept");
            }
            let _ = answer.send(Ok(one));
        }
    }
    let rows = Arc::try_unwrap(rows).unwrap_or_else(|shared| (*shared).clone());
    let fresh: Vec<NewReceipt> = rows
        .into_iter()
        .zip(&received)
        .filter(|(_, received)| **received == Received::Stored)
        .map(|(row, _)| row)
        .collect();
    if !fresh.is_empty() {
        (shared.hand_off)(fresh);
    }
}

/// Inserts; once more when the store only stumbled, because a repeated insert finds its own rows.
async fn store(shared: &Shared, rows: &Arc<Vec<NewReceipt>>) -> Result<Vec<Received>, DbError> {
    match shared.store.insert(Arc::clone(rows)).await {
        Err(error) if error.is_repeatable() => shared.store.insert(Arc::clone(rows)).await,
        outcome => outcome,
    }
}

type Answers = Vec<oneshot::Sender<Result<Received, InboxError>>>;

/// One row a key, sorted by key so that inserts of two committers cannot wait for each other in a circle; what a
/// repeated key within the batch is to its first row; and who waits for each row.
fn split(batch: Vec<Waiting>) -> (Vec<NewReceipt>, Vec<Vec<Received>>, Vec<Answers>) {
    let mut order: Vec<(NewReceipt, Vec<Received>, Answers)> = Vec::with_capacity(batch.len());
    let mut known: HashMap<ReceiptKey, usize> = HashMap::with_capacity(batch.len());
    for Waiting { receipt, answer } in batch {
        if let Some(index) = known.get(&receipt.key) {
            let (first, repeats, answers) = &mut order[*index];
            repeats.push(if receipt.tells_the_same(&first.digest, &first.endpoint) {
                Received::Duplicate
            } else {
                Received::OtherContent
            });
            answers.push(answer);
            continue;
        }
        known.insert(receipt.key.clone(), order.len());
        order.push((receipt, Vec::new(), vec![answer]));
    }
    order.sort_by(|(a, ..), (b, ..)| (a.part, &a.key).cmp(&(b.part, &b.key)));
    let mut rows = Vec::with_capacity(order.len());
    let mut repeats = Vec::with_capacity(order.len());
    let mut answers = Vec::with_capacity(order.len());
    for (row, repeat, answer) in order {
        rows.push(row);
        repeats.push(repeat);
        answers.push(answer);
    }
    (rows, repeats, answers)
}

/// The planted fault: says `Stored` while nothing is.
fn answered_too_early(waiting: Waiting) -> Waiting {
    let (answer, _) = oneshot::channel();
    let _ = waiting.answer.send(Ok(Received::Stored));
    Waiting {
        receipt: waiting.receipt,
        answer,
    }
}

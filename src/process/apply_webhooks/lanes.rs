//! Where receipts wait inside the process: first for translation, then in the lane of their stream's part.
//!
//! One lane is worked on by one task at a time, so webhooks of one account do not race each other here. A lane is ripe
//! when it has a batch, when its first item has waited long enough, or when nothing new has come for a moment: while
//! webhooks pour in, the price of an append is shared by many of them, and a lone one hardly waits. Everything is
//! bounded; what does not fit stays in the table and is swept up as soon as there is room again.

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::item::Item;
use crate::inbox::ReceiptKey;
use crate::stripe::envelope::Envelope;

/// Receipts one process works on at once; the rest waits in the table.
pub(super) const RECEIPTS_MAX: usize = 2_048;
/// Their bytes: the lanes' share of the 100 MB the process may use under full ingest.
pub(super) const BYTES_MAX: usize = 8 * 1024 * 1024;
/// Receipts translated and resolved in one go.
pub(super) const INTAKE_MAX: usize = 256;
/// How long the intake gathers while webhooks pour in: finding their streams is one question to the store for all.
const INTAKE_GATHER: Duration = Duration::from_millis(20);
/// Nothing new for so long: the intake gathers no more.
const INTAKE_QUIET: Duration = Duration::from_millis(1);
/// Longest wait of an item for company: a tenth of the second within which views must follow.
const GATHER_MAX: Duration = Duration::from_millis(100);
/// Nothing new for so long: nobody is worth waiting for. Stripe's deliveries of one act come within a few milliseconds.
const QUIET: Duration = Duration::from_millis(3);
/// Receipts left when those that found no room are fetched: early enough that nobody runs dry, late enough that a
/// refill is worth its query.
const REFILL_AT: usize = RECEIPTS_MAX / 4;

/// A receipt being worked on. While it lives nobody else in this process takes the same one.
pub(super) struct Ticket {
    pub(super) key: ReceiptKey,
    pub(super) envelope: Envelope,
    /// Empty once it is translated.
    pub(super) body: Bytes,
    /// Tries so far that failed.
    pub(super) attempts: u32,
    /// It waits for something by name already, so nobody needs to be asked again.
    pub(super) was_parked: bool,
    /// Bytes of the body, for which what it means stands from then on.
    pub(super) weight: usize,
    lanes: Arc<Lanes>,
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let mut inner = self.lanes.lock();
        inner.held.remove(&self.key);
        inner.bytes -= self.weight;
        let empty = inner.held.is_empty();
        let refill = inner.left_out && inner.held.len() <= REFILL_AT;
        drop(inner);
        if empty {
            self.lanes.emptied.notify_waiters();
        }
        if refill {
            self.lanes.refill.notify_one();
        }
    }
}

/// What a receipt is before it is let in.
pub(super) struct Arrival {
    pub(super) key: ReceiptKey,
    pub(super) envelope: Envelope,
    pub(super) body: Bytes,
    pub(super) attempts: u32,
    pub(super) was_parked: bool,
}

#[derive(Default)]
struct Inner {
    /// Keys of all receipts being worked on.
    held: HashSet<ReceiptKey>,
    bytes: usize,
    intake: VecDeque<Ticket>,
    /// Items by part, each with the time since which it waits.
    lanes: BTreeMap<u32, VecDeque<(Instant, Item)>>,
    busy: HashSet<u32>,
    /// When receipts last came in.
    arrived_at: Option<Instant>,
    /// When the first of the intake came.
    intake_since: Option<Instant>,
    /// Some found no room since the last refill.
    left_out: bool,
    closed: bool,
}

/// What a free lane is ready for.
enum Ripe {
    /// This part can be worked on.
    Now(u32),
    /// One will be at this time, unless more comes.
    At(Instant),
}

/// The queues of one process.
#[derive(Default)]
pub(super) struct Lanes {
    inner: Mutex<Inner>,
    arrived: Notify,
    ready: Notify,
    emptied: Notify,
    refill: Notify,
}

impl Lanes {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        // Whole at every moment the lock is free, so a panic elsewhere does not spoil it.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Room left, in receipts and bytes.
    pub(super) fn room(&self) -> (usize, usize) {
        let inner = self.lock();
        if inner.closed {
            return (0, 0);
        }
        (
            RECEIPTS_MAX.saturating_sub(inner.held.len()),
            BYTES_MAX.saturating_sub(inner.bytes),
        )
    }

    /// Is this receipt being worked on here?
    pub(super) fn holds(&self, key: &ReceiptKey) -> bool {
        self.lock().held.contains(key)
    }

    /// How many receipts are being worked on.
    pub(super) fn len(&self) -> usize {
        self.lock().held.len()
    }

    /// Lets receipts in while there is room; gives how many were left out.
    pub(super) fn let_in(self: &Arc<Self>, arrivals: Vec<Arrival>) -> usize {
        let mut left_out = 0;
        let mut inner = self.lock();
        inner.arrived_at = Some(Instant::now());
        for arrival in arrivals {
            let weight = arrival.body.len();
            let full = inner.held.len() >= RECEIPTS_MAX || inner.bytes + weight > BYTES_MAX;
            if inner.closed || full {
                left_out += 1;
                continue;
            }
            if !inner.held.insert(arrival.key.clone()) {
                continue;
            }
            inner.bytes += weight;
            if inner.intake.is_empty() {
                inner.intake_since = inner.arrived_at;
            }
            inner.intake.push_back(Ticket {
                key: arrival.key,
                envelope: arrival.envelope,
                body: arrival.body,
                attempts: arrival.attempts,
                was_parked: arrival.was_parked,
                weight,
                lanes: Arc::clone(self),
            });
        }
        inner.left_out |= left_out > 0;
        drop(inner);
        self.arrived.notify_one();
        left_out
    }

    /// Whether receipts were left in the table for want of room since this was last asked.
    pub(super) fn take_left_out(&self) -> bool {
        std::mem::take(&mut self.lock().left_out)
    }

    /// There is more in the table than was taken.
    pub(super) fn leave_out(&self) {
        self.lock().left_out = true;
    }

    /// Returns when there is room for receipts that were left out.
    pub(super) async fn wants_refill(&self) {
        self.refill.notified().await;
    }

    /// Waits for receipts to translate; nothing once the lanes are closed and the intake is empty.
    pub(super) async fn next_arrivals(&self) -> Option<Vec<Ticket>> {
        loop {
            let arrived = self.arrived.notified();
            let until = {
                let mut inner = self.lock();
                let until = inner.gathers_until();
                if until.is_some_and(|until| until <= Instant::now()) {
                    let count = inner.intake.len().min(INTAKE_MAX);
                    return Some(inner.intake.drain(..count).collect());
                }
                if inner.closed && inner.intake.is_empty() {
                    return None;
                }
                until
            };
            match until {
                Some(until) => {
                    tokio::select! {
                        () = arrived => {}
                        () = tokio::time::sleep_until(until) => {}
                    }
                }
                None => arrived.await,
            }
        }
    }

    /// Puts an item into the lane of its part.
    pub(super) fn push(&self, items: Vec<Item>) {
        let mut inner = self.lock();
        let now = Instant::now();
        for item in items {
            inner.lanes.entry(item.part()).or_default().push_back((now, item));
        }
        drop(inner);
        // A worker that takes a lane wakes the next one while lanes are left.
        self.ready.notify_one();
    }

    /// Waits for the ripe lane that has waited longest and takes up to `limit` of its items; the part stays taken until
    /// [`Self::done`]. Nothing once everything is closed and worked off.
    pub(super) async fn next_lane(&self, limit: usize) -> Option<(u32, Vec<Item>)> {
        loop {
            let ready = self.ready.notified();
            let ripe = {
                let mut inner = self.lock();
                let ripe = inner.ripe(limit);
                if let Some(Ripe::Now(part)) = ripe {
                    let taken = inner.take(part, limit);
                    let more = inner.has_free();
                    drop(inner);
                    if more {
                        self.ready.notify_one();
                    }
                    return Some((part, taken));
                }
                if inner.closed && inner.held.is_empty() {
                    drop(inner);
                    // The next worker ends as well.
                    self.ready.notify_one();
                    return None;
                }
                ripe
            };
            match ripe {
                Some(Ripe::At(at)) => {
                    tokio::select! {
                        () = ready => {}
                        () = tokio::time::sleep_until(at) => {}
                    }
                }
                Some(Ripe::Now(_)) | None => ready.await,
            }
        }
    }

    /// The part may be taken again.
    pub(super) fn done(&self, part: u32) {
        let mut inner = self.lock();
        inner.busy.remove(&part);
        let more = inner.has_free();
        drop(inner);
        if more {
            self.ready.notify_one();
        }
    }

    /// Lets nothing more in. What is inside is worked off.
    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.arrived.notify_waiters();
        self.arrived.notify_one();
        self.ready.notify_waiters();
        self.ready.notify_one();
    }

    /// Returns when nothing is being worked on.
    pub(super) async fn emptied(&self) {
        loop {
            let emptied = self.emptied.notified();
            if self.lock().held.is_empty() {
                self.ready.notify_waiters();
                self.ready.notify_one();
                return;
            }
            emptied.await;
        }
    }
}

impl Inner {
    fn free(&self) -> impl Iterator<Item = (u32, &VecDeque<(Instant, Item)>)> {
        let free = self.lanes.iter().filter(|(part, _)| !self.busy.contains(part));
        free.map(|(part, lane)| (*part, lane))
    }

    fn has_free(&self) -> bool {
        self.free().next().is_some()
    }

    /// When what is in the intake is to be worked on; nothing without any.
    fn gathers_until(&self) -> Option<Instant> {
        let since = self.intake.front().and(self.intake_since)?;
        if self.closed || self.intake.len() >= INTAKE_MAX {
            return Some(since);
        }
        let quiet = self.arrived_at.map_or(since, |at| at + INTAKE_QUIET);
        Some(quiet.min(since + INTAKE_GATHER))
    }

    /// The lane that has waited longest decides: it is ripe first.
    fn ripe(&self, batch: usize) -> Option<Ripe> {
        if let Some((part, _)) = self.free().find(|(_, lane)| lane.len() >= batch) {
            return Some(Ripe::Now(part));
        }
        let waiting = |(part, lane): (u32, &VecDeque<(Instant, Item)>)| Some((lane.front()?.0, part));
        let (since, part) = self.free().filter_map(waiting).min()?;
        let gathered = since + GATHER_MAX;
        let quiet = self.arrived_at.map_or(since, |at| at + QUIET);
        let at = if self.intake.is_empty() {
            gathered.min(quiet)
        } else {
            gathered
        };
        let is_ripe = self.closed || at <= Instant::now();
        Some(if is_ripe { Ripe::Now(part) } else { Ripe::At(at) })
    }

    fn take(&mut self, part: u32, limit: usize) -> Vec<Item> {
        let Some(lane) = self.lanes.get_mut(&part) else {
            return Vec::new();
        };
        let count = lane.len().min(limit);
        let items = lane.drain(..count).map(|(_, item)| item).collect();
        if lane.is_empty() {
            self.lanes.remove(&part);
        }
        self.busy.insert(part);
        items
    }
}

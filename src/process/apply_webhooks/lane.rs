//! One batch of one part: read, decide, append, settle.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;

use aggregates::ids::StreamId;
use aggregates::stripe_object;
use aggregates::subscription;
use projections::db::{Class, DbError};
use projections::log::load_streams;

use super::Worker;
use super::decide::{Meaning, Open, Streams, decide};
use super::item::{Item, Step};
use super::record::Appended;
use crate::inbox::{Placed, Settlement, State};

/// Items in one append.
pub(super) const BATCH_ITEMS: usize = 256;
/// Events in one append. One receipt never makes that many.
const BATCH_EVENTS: usize = 1_000;
/// Bytes of bodies behind one append: payloads are smaller than the bodies they come from.
const BATCH_BYTES: usize = 4 * 1024 * 1024;
/// Conflicts after which a batch goes on item by item, so that one hot stream cannot hold up the rest.
const BATCH_CONFLICTS: u32 = 2;
/// Conflicts after which a single item waits for its next try.
const ITEM_CONFLICTS: u32 = 5;

/// The work on one batch.
struct Batch {
    part: u32,
    left: VecDeque<Item>,
    /// Streams as they stand after the last append; nothing when they must be read.
    streams: Option<Streams>,
    /// Nobody else's state is trusted after a conflict.
    fresh: bool,
    conflicts: u32,
    /// Items per append.
    size: usize,
}

impl Worker {
    /// Works off the lanes until they are closed and empty.
    pub(super) async fn lane_loop(self: Arc<Self>) {
        loop {
            self.give_way.wait().await;
            let Some((part, items)) = self.lanes.next_lane(BATCH_ITEMS).await else {
                return;
            };
            self.work(part, items).await;
            self.lanes.done(part);
        }
    }

    async fn work(&self, part: u32, items: Vec<Item>) {
        let mut batch = Batch {
            part,
            left: items.into(),
            streams: None,
            fresh: false,
            conflicts: 0,
            size: BATCH_ITEMS,
        };
        while !batch.left.is_empty() {
            if let Err(error) = self.step(&mut batch).await {
                let tickets = batch.left.drain(..).map(|item| item.ticket).collect();
                self.fail(tickets, &error).await;
            }
        }
        if let Some(streams) = batch.streams {
            self.hot.keep(streams.into_accounts());
        }
    }

    /// One append. An error concerns everything that is left.
    async fn step(&self, batch: &mut Batch) -> Result<(), DbError> {
        let mut streams = match batch.streams.take() {
            Some(streams) => streams,
            None => self.read(batch.part, &batch.left, batch.fresh).await?,
        };
        let mut meanings: Vec<Meaning> = Vec::new();
        let (mut events, mut bytes) = (0, 0);
        for (nth, item) in batch.left.iter().take(batch.size).enumerate() {
            let Some(work) = item.works.front() else { break };
            bytes += item.ticket.weight;
            if nth > 0 && (events >= BATCH_EVENTS || bytes > BATCH_BYTES) {
                break;
            }
            match decide(&mut streams, work, &*self.prices) {
                Ok(meaning) => {
                    events += meaning.events.len();
                    meanings.push(meaning);
                }
                Err(reason) => {
                    // It may have spoilt the streams in memory: without it, from the start.
                    if let Some(item) = batch.left.remove(nth) {
                        let settlement = Settlement::of(item.ticket.key.clone(), State::Quarantined, Some(reason));
                        self.settler.settle(settlement, item.ticket).await;
                    }
                    return Ok(());
                }
            }
        }
        let taken = meanings.len();
        if projections::failpoint::mutant("settle-before-append") {
            self.settle_too_early(batch).await;
            return Ok(());
        }
        let appended = self.append(batch.part, batch.left.iter().take(taken), meanings).await;
        self.conclude(batch, streams, taken, appended).await
    }

    async fn conclude(
        &self,
        batch: &mut Batch,
        mut streams: Streams,
        taken: usize,
        appended: Appended,
    ) -> Result<(), DbError> {
        match appended {
            Appended::Recorded(places) => {
                let done = batch.left.drain(..taken).zip(places).collect();
                self.finish(done).await;
                streams.confirm();
                batch.streams = Some(streams);
                batch.conflicts = 0;
            }
            Appended::Known(known) => {
                let mut done = Vec::with_capacity(known.len());
                for (nth, placed) in known.into_iter().rev() {
                    done.extend(batch.left.remove(nth).map(|item| (item, placed)));
                }
                self.finish(done).await;
                batch.fresh = true;
            }
            Appended::Failed(error) => match error.class {
                Class::Conflict => {
                    batch.fresh = true;
                    batch.conflicts += 1;
                    if batch.conflicts > BATCH_CONFLICTS {
                        batch.size = 1;
                    }
                    if batch.conflicts > BATCH_CONFLICTS + ITEM_CONFLICTS {
                        batch.conflicts = BATCH_CONFLICTS;
                        self.fail(first(&mut batch.left), &error).await;
                    }
                }
                // One item may be what the store refuses: alone, it harms nobody.
                Class::Bug if taken > 1 => batch.size = 1,
                Class::Bug | Class::Transient => {
                    let tickets = batch.left.drain(..taken).map(|item| item.ticket).collect();
                    self.fail(tickets, &error).await;
                }
                Class::Connection | Class::OutcomeUnknown | Class::Full | Class::Fatal => return Err(error),
            },
        }
        Ok(())
    }

    /// Settles items whose last work is recorded; the others go to the lane of their next part.
    async fn finish(&self, done: Vec<(Item, Option<Placed>)>) {
        let mut onward = Vec::new();
        for (mut item, placed) in done {
            item.advance(placed);
            if item.works.is_empty() {
                let settlement = item.settlement();
                self.settler.settle(settlement, item.ticket).await;
            } else {
                onward.push(item);
            }
        }
        if !onward.is_empty() {
            self.lanes.push(onward);
        }
    }

    /// States of all streams the items concern.
    async fn read(&self, part: u32, items: &VecDeque<Item>, fresh: bool) -> Result<Streams, DbError> {
        let mut streams = Streams::default();
        let mut missing: HashSet<(&'static str, StreamId)> = HashSet::new();
        for step in items
            .iter()
            .filter_map(|item| item.works.front())
            .flat_map(|work| &work.steps)
        {
            let stream = step.stream();
            match step {
                Step::Account { .. } if streams.accounts.contains_key(stream) => {}
                Step::Account { .. } => match self.hot.take(stream).filter(|_| !fresh) {
                    Some((state, sequence)) => {
                        streams.accounts.insert(stream.clone(), Open::at(state, sequence));
                    }
                    None => {
                        missing.insert((subscription::AGGREGATE_TYPE, stream.clone()));
                    }
                },
                Step::Object { .. } => {
                    missing.insert((stripe_object::AGGREGATE_TYPE, stream.clone()));
                }
            }
        }
        let missing: Vec<(&str, &str)> = missing.iter().map(|(kind, stream)| (*kind, stream.as_str())).collect();
        for stored in load_streams(&self.db, part, &missing).await? {
            streams.take_in(&stored)?;
        }
        Ok(streams)
    }

    /// The planted fault: outcomes first, facts perhaps.
    async fn settle_too_early(&self, batch: &mut Batch) {
        for mut item in batch.left.drain(..).collect::<Vec<_>>() {
            let placed = item
                .works
                .front()
                .and_then(|work| work.steps.first())
                .map(|step| Placed {
                    stream: step.stream().clone(),
                    part: batch.part,
                    positions: Some((1, 1)),
                });
            item.placed = placed;
            let settlement = item.settlement();
            self.settler.settle(settlement, item.ticket).await;
        }
    }
}

fn first(items: &mut VecDeque<Item>) -> Vec<super::lanes::Ticket> {
    items.pop_front().map(|item| item.ticket).into_iter().collect()
}

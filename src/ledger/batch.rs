//! An append laid out in columns: every byte that will be stored, serialised and hashed before the transaction opens.

use std::collections::{HashMap, HashSet};

use aggregates::partition::part_of;
use aggregates::time::Timestamp;
use projections::db::{DbError, position_to_sql};
use projections::failpoint;
use uuid::Uuid;

use super::content_hash::{Hashed, content_hash};
use super::{ApiClaim, BYTES_MAX, EVENTS_MAX, ITEMS_MAX, Item, LedgerError, Outcome, SideRow, StoredMark};

/// Marks, one an item.
#[derive(Default)]
pub(super) struct Marks {
    pub(super) sources: Vec<String>,
    pub(super) keys: Vec<String>,
    pub(super) hashes: Vec<Option<Vec<u8>>>,
    /// Items with events: index of the mark, and the first and last of its events, counted from 1.
    pub(super) recorded: Vec<(usize, i64, i64)>,
}

/// Events, one entry each.
#[derive(Default)]
pub(super) struct Events {
    pub(super) aggregate_types: Vec<&'static str>,
    pub(super) streams: Vec<String>,
    pub(super) sequences: Vec<i64>,
    pub(super) types: Vec<String>,
    pub(super) versions: Vec<String>,
    pub(super) payloads: Vec<String>,
    pub(super) metadatas: Vec<String>,
    pub(super) tenants: Vec<Option<String>>,
    pub(super) ids: Vec<Uuid>,
    pub(super) causations: Vec<String>,
    pub(super) correlations: Vec<String>,
    pub(super) occurred: Vec<Timestamp>,
    pub(super) hashes: Vec<[u8; 32]>,
}

/// Outbox rows, one entry each.
#[derive(Default)]
pub(super) struct Outbox {
    pub(super) ids: Vec<Uuid>,
    pub(super) kinds: Vec<String>,
    pub(super) bodies: Vec<String>,
    pub(super) causes: Vec<Uuid>,
    /// Count of the cause among the events of this append from 1, or 0 when it was recorded earlier.
    pub(super) ordinals: Vec<i64>,
    pub(super) positions: Vec<i64>,
    pub(super) next_at: Vec<Timestamp>,
}

/// Columns of [`Batch::recorded_marks`].
pub(super) struct RecordedMarks<'a> {
    pub(super) sources: Vec<&'a str>,
    pub(super) keys: Vec<&'a str>,
    pub(super) firsts: Vec<i64>,
    pub(super) lasts: Vec<i64>,
}

/// A prepared append.
pub(super) struct Batch {
    pub(super) part: u32,
    pub(super) recorded_at: Timestamp,
    pub(super) bytes: usize,
    pub(super) marks: Marks,
    pub(super) events: Events,
    pub(super) outbox: Outbox,
    pub(super) api: Vec<ApiClaim>,
    pub(super) sides: Vec<SideRow>,
    /// Last sequence of each append of each item.
    sequences: Vec<Vec<u64>>,
    /// Items cut off because an earlier one of the same append has the same key.
    cut: usize,
}

impl Batch {
    pub(super) fn prepare(
        part: u32,
        parts: u32,
        items: Vec<Item>,
        recorded_at: Timestamp,
    ) -> Result<Self, LedgerError> {
        if items.len() > ITEMS_MAX {
            return Err(LedgerError::Refused("have more than 256 items"));
        }
        let mut batch = Self {
            part,
            recorded_at,
            bytes: 0,
            marks: Marks::default(),
            events: Events::default(),
            outbox: Outbox::default(),
            api: Vec::new(),
            sides: Vec::new(),
            sequences: Vec::with_capacity(items.len()),
            cut: 0,
        };
        let mut seen = HashSet::new();
        let count = items.len();
        for item in items {
            if !seen.insert((item.mark.source.clone(), item.mark.key.clone())) {
                break;
            }
            batch.add(item, parts)?;
        }
        batch.cut = count - batch.sequences.len();
        if batch.events.sequences.len() > EVENTS_MAX {
            return Err(LedgerError::Refused("have more than 1,000 events"));
        }
        if batch.bytes > BYTES_MAX {
            return Err(LedgerError::Refused("have more than 4 MiB of payload"));
        }
        batch.point_outbox_at_causes();
        batch.keep_one_side_row_each();
        Ok(batch)
    }

    fn add(&mut self, item: Item, parts: u32) -> Result<(), LedgerError> {
        let first = self.events.sequences.len();
        let mut sequences = Vec::with_capacity(item.appends.len());
        for append in item.appends {
            if part_of(&append.stream, parts) != self.part {
                return Err(LedgerError::Refused("touch a stream of another part"));
            }
            let mut sequence = append.expected_sequence;
            for event in append.events {
                sequence += 1;
                self.bytes += event.payload.len() + event.metadata.len();
                let hash = content_hash(&Hashed {
                    aggregate_type: append.aggregate_type,
                    stream: append.stream.as_str(),
                    sequence,
                    event_id: event.event_id,
                    event_type: &event.event_type,
                    event_version: event.event_version,
                    tenant: append.tenant.as_ref().map(aggregates::ids::TenantId::as_str),
                    causation_id: &event.causation_id,
                    correlation_id: &event.correlation_id,
                    occurred_at: event.occurred_at,
                    recorded_at: self.recorded_at,
                    payload: event.payload.as_bytes(),
                    metadata: event.metadata.as_bytes(),
                });
                let events = &mut self.events;
                events.aggregate_types.push(append.aggregate_type);
                events.streams.push(append.stream.as_str().to_owned());
                events.sequences.push(position_to_sql(sequence)?);
                events.types.push(event.event_type);
                events.versions.push(event.event_version.to_string());
                events.payloads.push(event.payload);
                events.metadatas.push(event.metadata);
                events.tenants.push(append.tenant.as_ref().map(ToString::to_string));
                events.ids.push(event.event_id);
                events.causations.push(event.causation_id);
                events.correlations.push(event.correlation_id);
                events.occurred.push(event.occurred_at);
                events.hashes.push(hash);
            }
            sequences.push(sequence);
        }
        let last = self.events.sequences.len();
        if last > first {
            let mark = self.marks.keys.len();
            let range = (ordinal(first + 1), ordinal(last));
            self.marks.recorded.push((mark, range.0, range.1));
        }
        self.sequences.push(sequences);
        self.marks.sources.push(item.mark.source);
        self.marks.keys.push(item.mark.key);
        self.marks.hashes.push(item.mark.request_hash.map(|hash| hash.to_vec()));
        self.api.extend(item.api);
        self.sides.extend(item.sides);
        for row in item.outbox {
            self.bytes += row.body.len();
            self.outbox.ids.push(row.outbox_id);
            self.outbox.kinds.push(row.kind);
            self.outbox.bodies.push(row.body);
            self.outbox.causes.push(row.cause_event_id);
            self.outbox.positions.push(position_to_sql(row.cause_position)?);
            self.outbox.next_at.push(row.next_at);
        }
        Ok(())
    }

    fn point_outbox_at_causes(&mut self) {
        let places: HashMap<Uuid, i64> = self.events.ids.iter().copied().zip(1_i64..).collect();
        let causes = self.outbox.causes.iter();
        self.outbox.ordinals = causes.map(|id| places.get(id).copied().unwrap_or(0)).collect();
    }

    /// The latest of several rows for one key, and all in key order, so that two appends never wait crosswise.
    fn keep_one_side_row_each(&mut self) {
        let mut kept: std::collections::BTreeMap<(u8, String, String), SideRow> = std::collections::BTreeMap::new();
        for row in self.sides.drain(..) {
            match &row {
                SideRow::Person {
                    stream, field, as_of, ..
                } => {
                    let key = (0, stream.to_string(), field.clone());
                    let newer = match kept.get(&key) {
                        Some(SideRow::Person { as_of: known, .. }) => as_of >= known,
                        Some(SideRow::TenantProfile { .. }) | None => true,
                    };
                    if newer {
                        kept.insert(key, row);
                    }
                }
                SideRow::TenantProfile { tenant, .. } => {
                    kept.insert((1, tenant.to_string(), String::new()), row);
                }
            }
        }
        self.sides = kept.into_values().collect();
    }

    pub(super) fn event_count(&self) -> u64 {
        self.events.sequences.len() as u64
    }

    pub(super) fn sql_count(&self) -> i64 {
        ordinal(self.events.sequences.len())
    }

    /// Every item is in, its events from `base + 1`.
    pub(super) fn outcomes(&self, base: Option<u64>) -> Vec<Outcome> {
        let mut outcomes = vec![Outcome::NoChange; self.sequences.len()];
        for (item, first, last) in &self.marks.recorded {
            let at = |ordinal: &i64| base.unwrap_or(0) + ordinal.unsigned_abs();
            outcomes[*item] = Outcome::Appended {
                first_position: at(first),
                last_position: at(last),
                sequences: self.sequences[*item].clone(),
            };
        }
        outcomes.extend(std::iter::repeat_n(Outcome::Undone, self.cut));
        outcomes
    }

    /// Some marks were there before, so nothing was recorded.
    pub(super) fn taken_outcomes(&self, taken: Vec<(usize, Option<StoredMark>)>) -> Vec<Outcome> {
        let mut outcomes = vec![Outcome::Undone; self.sequences.len() + self.cut];
        for (item, stored) in taken {
            let Some(stored) = stored else { continue };
            outcomes[item] = match (&stored.request_hash, &self.marks.hashes[item]) {
                (Some(theirs), Some(ours)) if theirs != ours && !failpoint::mutant("key-reuse-ignored") => {
                    Outcome::KeyReused
                }
                _ => Outcome::Replayed(stored),
            };
        }
        outcomes
    }

    /// Items whose mark was not among the `fresh` ones.
    pub(super) fn taken(&self, fresh: Vec<(String, String)>) -> Vec<usize> {
        if fresh.len() == self.marks.keys.len() {
            return Vec::new();
        }
        let fresh: HashSet<(String, String)> = fresh.into_iter().collect();
        let all = self.marks.sources.iter().cloned().zip(self.marks.keys.iter().cloned());
        all.enumerate()
            .filter(|(_, mark)| !fresh.contains(mark))
            .map(|(at, _)| at)
            .collect()
    }

    pub(super) fn keys_of(&self, items: &[usize]) -> (Vec<String>, Vec<String>) {
        let pick = |all: &[String]| items.iter().map(|at| all[*at].clone()).collect();
        (pick(&self.marks.sources), pick(&self.marks.keys))
    }

    /// Marks whose items have events, with the count of their first and last.
    pub(super) fn recorded_marks(&self) -> RecordedMarks<'_> {
        let marks = &self.marks;
        RecordedMarks {
            sources: marks
                .recorded
                .iter()
                .map(|(at, ..)| marks.sources[*at].as_str())
                .collect(),
            keys: marks.recorded.iter().map(|(at, ..)| marks.keys[*at].as_str()).collect(),
            firsts: marks.recorded.iter().map(|(_, first, _)| *first).collect(),
            lasts: marks.recorded.iter().map(|(_, _, last)| *last).collect(),
        }
    }

    /// Checks what the statement says it wrote.
    pub(super) fn check_counts(&self, events: i64, outbox: i64, marks: i64) -> Result<(), DbError> {
        let wanted = (
            self.sql_count(),
            ordinal(self.outbox.ids.len()),
            ordinal(self.marks.recorded.len()),
        );
        if (events, outbox, marks) == wanted {
            return Ok(());
        }
        Err(DbError::bug(format!(
            "an append wrote {:?} events, outbox rows and marks instead of {wanted:?}; it was rolled back",
            (events, outbox, marks)
        )))
    }
}

/// Batches are bounded far below what does not fit.
fn ordinal(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

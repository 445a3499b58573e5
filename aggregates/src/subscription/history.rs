//! What was true, and what was known, at a point in time.

use std::collections::BTreeMap;

use super::carried::Carried;
use super::event::SubscriptionEvent;
use super::seen::SnapshotRecorded;
use super::state::AccountState;
use crate::recorded::{LedgerEvent, Recorded};
use crate::time::Timestamp;

/// Which clock a question is asked on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Basis {
    /// What the ledger knew then.
    #[default]
    Recorded,
    /// What was true then.
    Occurred,
}

/// A point in time on one of the clocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AsOf {
    /// Which clock.
    pub basis: Basis,
    /// The instant; what happened at it belongs to it.
    pub at: Timestamp,
    /// Only what was recorded by then; none: everything.
    pub known_at: Option<Timestamp>,
}

impl AsOf {
    /// Whether an event belongs to the answer. What Stripe said counts by the time of its snapshot, everything else
    /// by the time it happened.
    #[must_use]
    pub fn takes(&self, event: &SubscriptionEvent, occurred_at: Timestamp, recorded_at: Timestamp) -> bool {
        let known = self.known_at.is_none_or(|known_at| recorded_at <= known_at);
        let at = match self.basis {
            Basis::Recorded => recorded_at,
            Basis::Occurred => event.seen().map_or(occurred_at, |seen| seen.as_of),
        };
        known && at <= self.at
    }
}

/// The state of an account at a point in time, from all its events.
pub fn state_at<'a>(events: impl IntoIterator<Item = &'a Recorded>, as_of: &AsOf) -> AccountState {
    let mut state = AccountState::default();
    for recorded in events {
        let LedgerEvent::Subscription(event) = &recorded.event else {
            continue;
        };
        if as_of.takes(event, recorded.occurred_at, recorded.recorded_at) {
            state.evolve(event);
        }
    }
    state
}

/// The occurred history: every snapshot once, sorted by time, rank, object and content. Equal for every order in which
/// the snapshots arrived; when they were learnt is not part of it.
pub fn occurred<'a>(events: impl IntoIterator<Item = &'a SubscriptionEvent>) -> Vec<SnapshotRecorded> {
    let mut entries = BTreeMap::new();
    for carried in events.into_iter().filter_map(SubscriptionEvent::carried) {
        let seen = carried.seen();
        let (object, id) = carried.object();
        let key = (
            seen.as_of,
            seen.rank,
            object,
            id.to_owned(),
            carried.fingerprint(),
            seen.clone(),
        );
        entries.entry(key).or_insert_with(|| canonical(carried));
    }
    entries.into_values().collect()
}

/// Without the plans its prices stood for when it was recorded: they are ours and belong to the recording.
fn canonical(carried: Carried<'_>) -> SnapshotRecorded {
    let mut recorded = carried.to_recorded();
    if let SnapshotRecorded::Subscription(it) = &mut recorded {
        it.plans.clear();
    }
    recorded
}

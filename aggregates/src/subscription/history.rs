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

/// An account at a point in time, folded from all of its events in the order of its stream.
///
/// What Stripe said counts by the time of its snapshot, everything else by the time it happened. Whose account it is
/// holds, on the clock of what happened, from the account's first day: it was only learnt at some point, and which
/// webhook taught it is an accident of the order in which they arrived.
#[derive(Clone, Debug)]
pub struct StateAt {
    as_of: AsOf,
    state: AccountState,
    begun: bool,
}

impl StateAt {
    /// Before any event.
    #[must_use]
    pub fn new(as_of: AsOf) -> Self {
        Self {
            as_of,
            state: AccountState::default(),
            begun: false,
        }
    }

    /// Takes the next event; tells whether the answer rests on it, should there be one.
    pub fn take(&mut self, event: &SubscriptionEvent, occurred_at: Timestamp, recorded_at: Timestamp) -> bool {
        let AsOf { basis, at, known_at } = self.as_of;
        if known_at.is_some_and(|known_at| recorded_at > known_at) {
            return false;
        }
        let by_then = match basis {
            Basis::Recorded => recorded_at <= at,
            Basis::Occurred => event.seen().map_or(occurred_at, |seen| seen.as_of) <= at,
        };
        self.begun |= by_then;
        let belongs = by_then || (basis == Basis::Occurred && tells_whose(event));
        if belongs {
            self.state.evolve(event);
        }
        belongs
    }

    /// The account; none: nothing had happened by then, or nothing was known.
    #[must_use]
    pub fn finish(self) -> Option<AccountState> {
        self.begun.then_some(self.state)
    }
}

/// Whether it says whose account this is.
#[must_use]
pub const fn tells_whose(event: &SubscriptionEvent) -> bool {
    matches!(
        event,
        SubscriptionEvent::AccountOpened(_)
            | SubscriptionEvent::CustomerLinked(_)
            | SubscriptionEvent::TenantAssigned(_)
    )
}

/// The state of an account at a point in time, from all its events.
pub fn state_at<'a>(events: impl IntoIterator<Item = &'a Recorded>, as_of: &AsOf) -> AccountState {
    let mut state = StateAt::new(*as_of);
    for recorded in events {
        if let LedgerEvent::Subscription(event) = &recorded.event {
            state.take(event, recorded.occurred_at, recorded.recorded_at);
        }
    }
    state.finish().unwrap_or_default()
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

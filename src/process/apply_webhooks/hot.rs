//! Accounts whose state is still at hand from the last batch, so that the next one need not read it again.
//!
//! A state is taken out while it is worked on and put back with the sequence it stands for. Another writer's event
//! makes the append conflict, which drops the state; it is never trusted beyond that.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use aggregates::ids::StreamId;
use aggregates::subscription::AccountState;

/// Snapshots kept over all accounts, at about 2 kB each: a sixth of what the process may use.
const SNAPSHOTS_MAX: usize = 8_000;
/// Ids of recorded snapshots that weigh as much as a snapshot.
const IDS_PER_SNAPSHOT: usize = 64;

struct Kept {
    state: AccountState,
    sequence: u64,
    weight: usize,
    used: u64,
}

#[derive(Default)]
struct Inner {
    kept: HashMap<StreamId, Kept>,
    weight: usize,
    clock: u64,
}

/// The states at hand.
#[derive(Default)]
pub(super) struct Hot(Mutex<Inner>);

impl Hot {
    /// Takes a state out, with the sequence of its last event.
    pub(super) fn take(&self, stream: &StreamId) -> Option<(AccountState, u64)> {
        let mut inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = inner.kept.remove(stream)?;
        inner.weight -= kept.weight;
        Some((kept.state, kept.sequence))
    }

    /// Keeps states that are on the log.
    pub(super) fn keep(&self, states: impl IntoIterator<Item = (StreamId, AccountState, u64)>) {
        let mut inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for (stream, state, sequence) in states {
            inner.clock += 1;
            let weight = weight(&state);
            let kept = Kept {
                state,
                sequence,
                weight,
                used: inner.clock,
            };
            inner.weight += weight;
            if let Some(old) = inner.kept.insert(stream, kept) {
                inner.weight -= old.weight;
            }
        }
        if inner.weight > SNAPSHOTS_MAX {
            inner.shrink();
        }
    }
}

impl Inner {
    /// Drops the least recently used half, so that the sort is paid once in many batches.
    fn shrink(&mut self) {
        let mut order: Vec<(u64, usize, StreamId)> = self
            .kept
            .iter()
            .map(|(stream, kept)| (kept.used, kept.weight, stream.clone()))
            .collect();
        order.sort_unstable();
        for (_, weight, stream) in order {
            if self.weight <= SNAPSHOTS_MAX / 2 {
                break;
            }
            self.kept.remove(&stream);
            self.weight -= weight;
        }
    }
}

/// What a state costs, in snapshots: its objects have nearly always one each.
fn weight(state: &AccountState) -> usize {
    let (life, money) = (&state.life, &state.money);
    let terms = life.subscriptions.len() + life.schedules.len() + life.discounts.len();
    let payer = life.payment_methods.len() + life.customers.len() + money.checkouts.len();
    let paid = state.invoices.len() + money.charges.len() + money.refunds.len();
    let disputed = money.disputes.len() + money.credit_notes.len();
    1 + terms + payer + paid + disputed + state.known.len() / IDS_PER_SNAPSHOT
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_used_last_stays_within_the_bound() {
        let hot = Hot::default();
        let stream = |nth: usize| StreamId::parse(&format!("cus_{nth}")).unwrap();
        for nth in 0..=SNAPSHOTS_MAX {
            hot.keep([(stream(nth), AccountState::default(), 1)]);
        }
        assert!(hot.0.lock().unwrap().kept.len() <= SNAPSHOTS_MAX);
        assert!(hot.take(&stream(SNAPSHOTS_MAX)).is_some());
        assert!(hot.take(&stream(SNAPSHOTS_MAX)).is_none(), "taken out");
        assert!(hot.take(&stream(0)).is_none());
        let inner = hot.0.lock().unwrap();
        assert_eq!(inner.weight, inner.kept.len());
    }
}

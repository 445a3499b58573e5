//! When a receipt is tried again, and when it is given to a person.

use aggregates::time::Timestamp;
use projections::db::{Class, DbError};

use crate::inbox::{ReceiptKey, Settlement, State};

/// Waits after each failed try, in seconds; after the last one a person is asked.
const WAITS_SECONDS: [i64; 5] = [1, 5, 30, 120, 600];
/// Longest wait of a parked receipt, which is never given up.
const PARKED_WAIT_MAX_SECONDS: i64 = 600;

/// What a failed try means for a receipt; nothing when the store itself is away, which is no fault of the receipt:
/// its row stays as it is and the sweep brings it back.
pub(super) fn after_failure(key: &ReceiptKey, attempts: u32, error: &DbError, now: Timestamp) -> Option<Settlement> {
    match error.class {
        Class::Connection | Class::OutcomeUnknown | Class::Full | Class::Fatal => None,
        Class::Bug => Some(Settlement {
            attempts: attempts + 1,
            ..Settlement::of(key.clone(), State::Quarantined, Some(error.to_string()))
        }),
        Class::Conflict | Class::Transient => Some(again(key, attempts, &error.to_string(), now)),
    }
}

fn again(key: &ReceiptKey, attempts: u32, reason: &str, now: Timestamp) -> Settlement {
    let tried = attempts.saturating_add(1);
    let wait = usize::try_from(attempts).ok().and_then(|nth| WAITS_SECONDS.get(nth));
    match wait {
        Some(seconds) => Settlement {
            attempts: tried,
            next_at: Some(now.plus_seconds(*seconds)),
            ..Settlement::of(key.clone(), State::New, Some(reason.to_owned()))
        },
        None => Settlement {
            attempts: tried,
            ..Settlement::of(
                key.clone(),
                State::Quarantined,
                Some(format!("failed {tried} times, at last: {reason}")),
            )
        },
    }
}

/// The receipt waits for something named.
pub(super) fn parked(key: &ReceiptKey, attempts: u32, reason: String, now: Timestamp) -> Settlement {
    let wait = 1_i64.checked_shl(attempts.min(16)).unwrap_or(PARKED_WAIT_MAX_SECONDS);
    Settlement {
        attempts: attempts.saturating_add(1),
        next_at: Some(now.plus_seconds(wait.min(PARKED_WAIT_MAX_SECONDS))),
        ..Settlement::of(key.clone(), State::Parked, Some(reason))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> ReceiptKey {
        ReceiptKey::new("default", "evt_1".parse().unwrap())
    }

    #[test]
    fn five_failures_end_in_quarantine() {
        let error = DbError::of(Class::Transient, "busy");
        let mut waits = Vec::new();
        let mut attempts = 0;
        loop {
            let next = after_failure(&key(), attempts, &error, Timestamp::EPOCH).unwrap();
            attempts = next.attempts;
            if next.state != State::New {
                assert_eq!(next.state, State::Quarantined);
                break;
            }
            waits.push(next.next_at.unwrap().seconds());
        }
        assert_eq!((waits, attempts), (WAITS_SECONDS.to_vec(), 6));
    }

    #[test]
    fn a_store_that_is_away_costs_a_receipt_nothing() {
        for class in [Class::Connection, Class::Full, Class::OutcomeUnknown, Class::Fatal] {
            assert_eq!(
                after_failure(&key(), 4, &DbError::of(class, "away"), Timestamp::EPOCH),
                None
            );
        }
    }

    #[test]
    fn a_parked_receipt_waits_longer_each_time_and_is_never_given_up() {
        for (attempts, wait) in [(0, 1), (3, 8), (9, 512), (10, 600), (4_000_000_000, 600)] {
            let parked = parked(&key(), attempts, "waits for charge:ch_1".into(), Timestamp::EPOCH);
            assert_eq!((parked.state, parked.next_at.unwrap().seconds()), (State::Parked, wait));
        }
    }
}

//! Twelve changes, two of them learnt late, asked at twenty-four instants on both clocks.

use aggregates::recorded::{LedgerEvent, Recorded};
use aggregates::snapshot::Rank;
use aggregates::subscription::history::{AsOf, Basis, state_at};
use aggregates::time::Timestamp;
use uuid::Uuid;

use super::build::{DAY, Story, at, plan_of};
use super::convergence::{deliver, standing};

const HOUR: i64 = 3_600;

/// Change n happens on day 2n and gives n seats; it is recorded an hour later, but change 4 on day 15 and change 9 on
/// day 23.
fn log() -> Vec<Recorded> {
    let recorded_at = |n: i64| match n {
        4 => 15 * DAY,
        9 => 23 * DAY,
        _ => 2 * n * DAY + HOUR,
    };
    let mut changes: Vec<i64> = (1..=12).collect();
    changes.sort_by_key(|n| recorded_at(*n));
    let told = changes.iter().fold(Story::default(), |story, n| {
        let rank = if *n == 1 { Rank::Created } else { Rank::Updated };
        story.sub(
            "sub_1",
            2 * n * DAY,
            rank,
            plan_of("price_pro", u64::try_from(*n).unwrap()),
        )
    });
    let mut log = Vec::new();
    for known in 1..=told.0.len() {
        let n = changes[known - 1];
        let events = deliver(&told.0[..known]).events;
        for event in events.into_iter().skip(log.len()) {
            let sequence = u64::try_from(log.len()).unwrap() + 1;
            log.push(Recorded {
                stream: "cus_1".into(),
                sequence,
                part: 0,
                position: sequence,
                tenant: None,
                event_id: Uuid::from_u128(u128::from(sequence)),
                occurred_at: at(2 * n * DAY),
                recorded_at: at(recorded_at(n)),
                event: LedgerEvent::Subscription(event),
            });
        }
    }
    log
}

fn seats(log: &[Recorded], basis: Basis, at: Timestamp, known_at: Option<Timestamp>) -> u64 {
    let state = state_at(log, &AsOf { basis, at, known_at });
    let standing = standing(&state);
    standing.holdings.first().map_or(0, |held| held.quantity)
}

#[test]
fn both_clocks_answer_rightly_at_every_noon() {
    let log = log();
    let occurred = [
        0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7, 8, 8, 9, 9, 10, 10, 11, 11, 12,
    ];
    let recorded = [
        0, 1, 1, 2, 2, 3, 3, 3, 3, 5, 5, 6, 6, 7, 7, 8, 8, 8, 8, 10, 10, 11, 11, 12,
    ];
    for (day, (happened, known)) in (1..).zip(occurred.into_iter().zip(recorded)) {
        let noon = at(day * DAY + 12 * HOUR);
        assert_eq!(
            seats(&log, Basis::Occurred, noon, None),
            happened,
            "occurred, day {day}"
        );
        assert_eq!(seats(&log, Basis::Recorded, noon, None), known, "recorded, day {day}");
    }
}

#[test]
fn what_was_known_by_then_of_what_had_happened_by_then() {
    let log = log();
    let ask = |day: i64, known_day: i64| {
        let (noon, known) = (at(day * DAY + 12 * HOUR), at(known_day * DAY + 12 * HOUR));
        seats(&log, Basis::Occurred, noon, Some(known))
    };
    assert_eq!(ask(8, 14), 3);
    assert_eq!(ask(8, 15), 4);
    assert_eq!(ask(18, 22), 8);
    assert_eq!(ask(18, 23), 9);
    assert_eq!(ask(24, 5), 2);
}

#[test]
fn an_instant_takes_what_happened_at_it() {
    let log = log();
    let change = at(4 * DAY);
    assert_eq!(seats(&log, Basis::Occurred, change, None), 2);
    assert_eq!(seats(&log, Basis::Occurred, change.plus_micros(-1), None), 1);
    let recorded = at(4 * DAY + HOUR);
    assert_eq!(seats(&log, Basis::Recorded, recorded, None), 2);
    assert_eq!(seats(&log, Basis::Recorded, recorded.plus_micros(-1), None), 1);
}

#[test]
fn the_late_ones_are_recorded_as_late() {
    let names: Vec<&str> = log().iter().map(|it| it.event.name()).collect();
    let late = names.iter().filter(|name| **name == "late_snapshot_recorded").count();
    assert_eq!(late, 2, "{names:?}");
}

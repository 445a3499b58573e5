//! Twelve changes, two of them learnt late, asked at twenty-four instants on both clocks.

use aggregates::observation::Observation;
use aggregates::recorded::{LedgerEvent, Recorded};
use aggregates::snapshot::Rank;
use aggregates::subscription::history::{AsOf, Basis, state_at};
use aggregates::time::Timestamp;
use uuid::Uuid;

use super::build::{DAY, Story, at, plan_of};
use super::convergence::{deliver, disordered, standing};
use super::histories::all;

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
    let told: Vec<&Observation> = told.0.iter().collect();
    recorded(&told, |nth| at(recorded_at(changes[nth])))
}

/// The log of observations that arrive in this order, the n-th of them at an instant.
fn recorded(told: &[&Observation], recorded_at: impl Fn(usize) -> Timestamp) -> Vec<Recorded> {
    let mut log = Vec::new();
    for (nth, observation) in told.iter().enumerate() {
        let events = deliver(told[..=nth].iter().copied()).events;
        for event in events.into_iter().skip(log.len()) {
            let sequence = u64::try_from(log.len()).unwrap() + 1;
            log.push(Recorded {
                stream: "cus_1".into(),
                sequence,
                part: 0,
                position: sequence,
                tenant: None,
                event_id: Uuid::from_u128(u128::from(sequence)),
                occurred_at: observation.seen.as_of,
                recorded_at: recorded_at(nth),
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

/// The state at every instant of a history and a moment before its first, by the clock of what happened.
fn states(told: &[&Observation], instants: &[Timestamp]) -> Vec<String> {
    let log = recorded(told, |nth| at(1_000 * DAY + i64::try_from(nth).unwrap()));
    let state = |at: &Timestamp| {
        let as_of = AsOf {
            basis: Basis::Occurred,
            at: *at,
            known_at: None,
        };
        let mut state = state_at(&log, &as_of);
        state.known.clear();
        serde_json::to_string(&state).unwrap()
    };
    instants.iter().map(state).collect()
}

#[test]
fn what_was_true_then_does_not_depend_on_the_order_of_arrival() {
    for history in all() {
        let told: Vec<&Observation> = history.told.iter().collect();
        let mut instants: Vec<Timestamp> = told.iter().map(|it| it.seen.as_of).collect();
        instants.sort_unstable();
        instants.dedup();
        instants.insert(0, instants[0].plus_micros(-1));
        let wanted = states(&told, &instants);
        assert!(
            wanted[0].contains("\"opened\":false"),
            "{}: {}",
            history.name,
            wanted[0]
        );
        assert!(wanted[1].contains("\"opened\":true"), "{}: {}", history.name, wanted[1]);
        for seed in 0..25 {
            let order = disordered(&history.told, seed);
            assert_eq!(states(&order, &instants), wanted, "{} in order {seed}", history.name);
        }
    }
}

#[test]
fn a_tenant_learnt_late_was_the_tenant_from_the_first_day() {
    let history = all()
        .into_iter()
        .find(|history| history.name == "tenant_learnt_late")
        .unwrap();
    let told: Vec<&Observation> = history.told.iter().collect();
    let states = states(&told, &[at(-1), at(0), at(2), at(4)]);
    assert!(!states[0].contains("acme"));
    for state in &states[1..] {
        assert!(
            state.contains("\"tenant\":\"acme\"") && state.contains("\"customer\":\"cus_1\""),
            "{state}"
        );
    }
}

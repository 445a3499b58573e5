//! Random accounts against a plain table of what their subscriptions are, and every past against an account that only
//! got what that past holds.

use std::collections::BTreeMap;

use aggregates::facts::{SubscriptionSnapshot, SubscriptionStatus as Status};
use aggregates::observation::{Observation, Observed};
use aggregates::plan::Access;
use aggregates::recorded::{LedgerEvent, Recorded};
use aggregates::snapshot::{Entry, Rank, Snapshot};
use aggregates::subscription::history::{AsOf, Basis, state_at};
use aggregates::subscription::standing::{AccessPolicy, DisputeStanding, Standing};
use uuid::Uuid;

use super::build::{Story, at, dispute, item, month, sub, with};
use super::convergence::{Outcome, deliver, sight, standing};
use super::registers::obvious_terms;
use super::seeds::Seeds;

const CASES: u64 = 1_500;

/// Up to ten deliveries about two subscriptions, their dispute and nothing that agrees with anything.
fn random_story(seeds: &mut Seeds) -> Vec<Observation> {
    let statuses = [
        "active",
        "trialing",
        "past_due",
        "unpaid",
        "paused",
        "canceled",
        "incomplete",
        "odd",
    ];
    let plans = ["price_starter", "price_pro", "price_team", "price_unknown"];
    let mut known: Vec<SubscriptionSnapshot> = Vec::new();
    let mut story = Story::default();
    for _ in 0..=seeds.below(9) {
        let second = i64::try_from(seeds.below(4)).unwrap();
        if seeds.one_in(6) {
            story = story.dispute(second, dispute(["needs_response", "lost", "won"][seeds.below(3)]));
            continue;
        }
        let snapshot = with(sub(statuses[seeds.below(8)]), |it| {
            it.items = (!seeds.one_in(4)).then(|| vec![item("si_1", plans[seeds.below(4)], 1 + seeds.next() % 3)]);
            it.period = Some(month(0));
        });
        let rank = [Rank::Created, Rank::Updated, Rank::Fetched][seeds.below(3)];
        story = story.sub(["sub_1", "sub_2"][seeds.below(2)], second, rank, snapshot.clone());
        if let (true, false) = (seeds.one_in(3), known.is_empty()) {
            story = story.after(&known[seeds.below(known.len())]);
        }
        known.push(snapshot);
    }
    story.0
}

/// What each subscription is, by the slow reading of the rule.
fn table(told: &[Observation]) -> BTreeMap<String, SubscriptionSnapshot> {
    let mut sets: BTreeMap<String, Vec<Entry<SubscriptionSnapshot>>> = BTreeMap::new();
    for observation in told {
        let Observed::Subscription { subscription, snapshot } = &observation.object else {
            continue;
        };
        let entry = Entry {
            seen: observation.seen.clone(),
            snapshot: snapshot.clone(),
        };
        let set = sets.entry(subscription.to_string()).or_default();
        if !set.contains(&entry) {
            set.push(entry);
        }
    }
    let terms = |(id, set): (String, Vec<_>)| (id, obvious_terms(&set).unwrap());
    sets.into_iter().map(terms).collect()
}

/// The best access any of them gives, before disputes.
fn table_access(table: &BTreeMap<String, SubscriptionSnapshot>) -> Access {
    let of = |terms: &SubscriptionSnapshot| match terms.status {
        Status::Active | Status::Trialing => Access::Full,
        Status::PastDue | Status::Unrecognised(_) => Access::Grace,
        Status::Paused => Access::Restricted,
        _ => Access::Blocked,
    };
    table.values().map(of).min().unwrap_or(Access::Blocked)
}

fn table_holdings(table: &BTreeMap<String, SubscriptionSnapshot>) -> Vec<(String, String, u64)> {
    let mut held = Vec::new();
    for (id, terms) in table {
        let gives = matches!(
            terms.status,
            Status::Active | Status::Trialing | Status::PastDue | Status::Unrecognised(_)
        );
        for item in terms.items.iter().flatten().filter(|_| gives) {
            let plan = item.price.as_str().trim_start_matches("price_");
            if plan != "unknown" {
                held.push((id.clone(), plan.to_owned(), item.quantity.unwrap()));
            }
        }
    }
    held
}

#[test]
fn an_account_is_what_the_table_says() {
    let mut shapes = BTreeMap::new();
    for seed in 0..CASES {
        let mut seeds = Seeds::new(seed);
        let mut told = random_story(&mut seeds);
        let table = table(&told);
        seeds.shuffle(&mut told);
        let state = deliver(&told).state;
        let undisputed = Standing::of(&state.life, DisputeStanding::default(), &AccessPolicy::default());
        assert_eq!(undisputed.access, table_access(&table), "case {seed}");
        let held: Vec<(String, String, u64)> = undisputed
            .holdings
            .iter()
            .map(|it| (it.subscription.to_string(), it.plan.code.to_string(), it.quantity))
            .collect();
        assert_eq!(held, table_holdings(&table), "case {seed}");
        let live: Vec<String> = undisputed.live.iter().map(ToString::to_string).collect();
        let runs = |terms: &SubscriptionSnapshot| terms.finality() == 0 && terms.status != Status::Incomplete;
        let running: Vec<String> = table
            .iter()
            .filter(|(_, it)| runs(it))
            .map(|(id, _)| id.clone())
            .collect();
        assert_eq!(live, running, "case {seed}");
        let disputed = standing(&state);
        assert!(
            disputed.access >= undisputed.access,
            "a dispute gave access in case {seed}"
        );
        *shapes.entry((undisputed.access.as_str(), held.len())).or_insert(0) += 1;
    }
    assert!(shapes.len() >= 8, "too few kinds of accounts: {shapes:?}");
}

/// The log of an account whose deliveries were recorded one a second, an hour after the story.
fn log(told: &[Observation]) -> Vec<Recorded> {
    let mut log: Vec<Recorded> = Vec::new();
    for known in 1..=told.len() {
        let fresh: Vec<_> = deliver(&told[..known]).events.into_iter().skip(log.len()).collect();
        for event in fresh {
            let sequence = u64::try_from(log.len()).unwrap() + 1;
            log.push(Recorded {
                stream: "cus_1".into(),
                sequence,
                part: 0,
                position: sequence,
                tenant: None,
                event_id: Uuid::from_u128(u128::from(sequence)),
                occurred_at: told[known - 1].seen.as_of,
                recorded_at: at(3_600 + i64::try_from(known).unwrap()),
                event: LedgerEvent::Subscription(event),
            });
        }
    }
    log
}

fn seen_at(log: &[Recorded], as_of: AsOf) -> String {
    let state = state_at(log, &as_of);
    let shown = sight(&Outcome {
        events: Vec::new(),
        state,
    });
    format!("{} {} {}", shown.life, shown.money, shown.standing)
}

fn seen_of(told: &[Observation]) -> String {
    let shown = sight(&Outcome {
        events: Vec::new(),
        ..deliver(told)
    });
    format!("{} {} {}", shown.life, shown.money, shown.standing)
}

#[test]
fn a_past_is_an_account_that_got_only_what_that_past_holds() {
    for seed in 0..300 {
        let mut seeds = Seeds::new(seed);
        let mut told = random_story(&mut seeds);
        seeds.shuffle(&mut told);
        let log = log(&told);
        for known in 0..=told.len() {
            let known_at = at(3_600 + i64::try_from(known).unwrap());
            let then = AsOf {
                basis: Basis::Recorded,
                at: known_at,
                known_at: None,
            };
            assert_eq!(
                seen_at(&log, then),
                seen_of(&told[..known]),
                "recorded, case {seed}, {known}"
            );
            for second in -1..5 {
                let then = AsOf {
                    basis: Basis::Occurred,
                    at: at(second),
                    known_at: Some(known_at),
                };
                let held = told[..known].iter().filter(|it| it.seen.as_of <= at(second)).cloned();
                let held: Vec<Observation> = held.collect();
                assert_eq!(seen_at(&log, then), seen_of(&held), "occurred, case {seed}, {second}");
            }
        }
    }
}

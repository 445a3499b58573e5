//! The register against a slow and obvious reading of the same rule, over random sets of snapshots.

use std::collections::BTreeSet;

use aggregates::facts::SubscriptionSnapshot;
use aggregates::register::{Register, TIED_MAX};
use aggregates::snapshot::{Entry, Placement, Rank, Snapshot};
use aggregates::time::Timestamp;

use super::build::{at, item, month, plan_of, seen, sub, with};
use super::seeds::Seeds;

type Set = Vec<Entry<SubscriptionSnapshot>>;

/// Few times, ranks and contents, so that ties, chains and holes are frequent.
fn random_set(seeds: &mut Seeds) -> Set {
    let contents: Vec<SubscriptionSnapshot> = (0..5).map(|_| random_content(seeds)).collect();
    let size = 1 + seeds.below(7);
    let mut set: Set = Vec::new();
    for _ in 0..size {
        let mut header = seen(
            i64::try_from(seeds.below(3)).unwrap(),
            [Rank::Created, Rank::Updated, Rank::Fetched][seeds.below(3)],
        );
        if seeds.one_in(2) {
            header.before = Some(contents[seeds.below(contents.len())].fingerprint());
        }
        let entry = Entry {
            seen: header,
            snapshot: contents[seeds.below(contents.len())].clone(),
        };
        if !set.contains(&entry) {
            set.push(entry);
        }
    }
    set
}

fn random_content(seeds: &mut Seeds) -> SubscriptionSnapshot {
    let statuses = ["active", "active", "past_due", "canceled"];
    with(sub(statuses[seeds.below(4)]), |it| {
        it.items = (!seeds.one_in(2)).then(|| vec![item("si_1", "price_pro", seeds.next() % 5)]);
        it.period = (!seeds.one_in(2)).then(|| month(i64::try_from(seeds.below(4)).unwrap()));
        it.discounts = None;
    })
}

type Found<'a> = &'a Entry<SubscriptionSnapshot>;

fn group(entry: Found<'_>) -> (u8, Timestamp, Rank) {
    (entry.snapshot.finality(), entry.seen.as_of, entry.seen.rank)
}

/// The rule as decision 2 states it, over the whole set.
fn obvious(set: &[Entry<SubscriptionSnapshot>]) -> Option<Found<'_>> {
    let top = set.iter().map(group).max()?;
    let next = set.iter().map(group).filter(|it| *it < top).max();
    let below = set.iter().filter(|e| Some(group(e)) == next).collect();
    let prior = last_of(below, None).map(|e| e.snapshot.clone());
    last_of(set.iter().filter(|e| group(e) == top).collect(), prior)
}

fn last_of(tied: Vec<Found<'_>>, prior: Option<SubscriptionSnapshot>) -> Option<Found<'_>> {
    // Each step once: from what it was, to what it is.
    let mut steps = Vec::new();
    for entry in &tied {
        let to = entry.snapshot.fingerprint();
        if let Some(from) = entry.seen.before
            && from != to
            && !steps.contains(&(from, to))
        {
            steps.push((from, to));
        }
    }
    // A place is an end when more steps lead there than away, or when no step touches it.
    let score = |e: &Found<'_>| {
        let here = e.snapshot.fingerprint();
        let comes = steps.iter().filter(|step| step.1 == here).count();
        let goes = steps.iter().filter(|step| step.0 == here).count();
        comes > goes || comes + goes == 0
    };
    let mut left: Vec<Found<'_>> = tied.iter().copied().filter(score).collect();
    if left.is_empty() {
        left = tied
            .iter()
            .copied()
            .filter(|e| Some(&e.snapshot) == prior.as_ref())
            .collect();
    }
    if left.is_empty() {
        left = tied;
    }
    left.into_iter()
        .max_by_key(|e| (e.snapshot.ladder(), e.snapshot.fingerprint(), e.seen.clone()))
}

pub(crate) fn obvious_terms(set: &[Entry<SubscriptionSnapshot>]) -> Option<SubscriptionSnapshot> {
    let mut terms = obvious(set)?.snapshot.clone();
    if terms.items.is_none() {
        terms.items = best_of(set, |it| it.items.is_some()).and_then(|e| e.snapshot.items.clone());
    }
    if terms.period.is_none() {
        terms.period = best_of(set, |it| it.period.is_some()).and_then(|e| e.snapshot.period);
    }
    Some(terms)
}

fn best_of(set: &[Entry<SubscriptionSnapshot>], has: impl Fn(&SubscriptionSnapshot) -> bool) -> Option<Found<'_>> {
    let having: Vec<Found<'_>> = set.iter().filter(|e| has(&e.snapshot)).collect();
    let top = having.iter().map(|e| group(e)).max()?;
    last_of(having.into_iter().filter(|e| group(e) == top).collect(), None)
}

fn registered(set: &[Entry<SubscriptionSnapshot>]) -> Register<SubscriptionSnapshot> {
    let mut register = Register::default();
    for entry in set {
        let before = register.clone();
        let placement = before.place(entry);
        register.record(entry.clone());
        let wins = register.current() == Some(entry);
        match placement {
            Placement::Wins { changed, undecided } => {
                assert!(wins);
                assert_eq!(undecided, register.is_undecided());
                let content = |r: &Register<SubscriptionSnapshot>| r.current().map(|e| e.snapshot.clone());
                assert_eq!(changed, content(&before) != content(&register));
            }
            Placement::Late { .. } => assert!(!wins),
            Placement::Twin => assert_eq!(before, register),
        }
    }
    register
}

/// Finds a set and an order for which the register is not what the rule says.
pub(crate) fn counterexample(sets: u64) -> Option<String> {
    for seed in 0..sets {
        let mut seeds = Seeds::new(seed);
        let mut set = random_set(&mut seeds);
        let (current, terms) = (obvious(&set).cloned(), obvious_terms(&set));
        let mut bytes: Option<String> = None;
        for _ in 0..6 {
            seeds.shuffle(&mut set);
            let register = registered(&set);
            let stored = serde_json::to_string(&register).unwrap();
            let read: Register<SubscriptionSnapshot> = serde_json::from_str(&stored).unwrap();
            let effective = register.effective().map(std::borrow::Cow::into_owned);
            let agrees = register.current() == current.as_ref() && effective == terms && read == register;
            if !agrees || *bytes.get_or_insert_with(|| stored.clone()) != stored {
                return Some(format!("set {seed}: {set:?}\n{stored}"));
            }
        }
    }
    None
}

#[test]
fn a_register_is_what_the_rule_says_of_the_set_in_every_order() {
    assert_eq!(counterexample(1_000), None);
}

/// Walks of changes within one second: where did the object really stop?
#[test]
fn changes_of_one_second_end_where_the_object_stopped() {
    let mut circles = 0;
    for seed in 0..2_000 {
        let mut seeds = Seeds::new(seed);
        let mut place = seeds.next() % 4;
        let start = place;
        let mut walk = vec![Entry {
            seen: seen(0, Rank::Created),
            snapshot: plan_of("price_pro", place),
        }];
        let mut taken = BTreeSet::new();
        for _ in 0..=seeds.below(6) {
            let to = (place + 1 + seeds.next() % 3) % 4;
            // A step taken twice in one second looks like one that was sent twice: Stripe is asked.
            if !taken.insert((place, to)) {
                continue;
            }
            let mut header = seen(5, Rank::Updated);
            header.before = Some(plan_of("price_pro", place).fingerprint());
            walk.push(Entry {
                seen: header,
                snapshot: plan_of("price_pro", to),
            });
            place = to;
        }
        let went_round = place == start;
        circles += usize::from(went_round);
        seeds.shuffle(&mut walk);
        let mut register = Register::default();
        for entry in walk {
            register.record(entry);
        }
        let terms = register.effective().unwrap().into_owned();
        assert_eq!(terms, plan_of("price_pro", place), "walk {seed}");
        assert_eq!(register.is_undecided(), went_round, "walk {seed}");
    }
    assert!(circles > 100);
}

#[test]
fn too_many_in_one_second_are_cut_alike_in_every_order() {
    let mut set: Set = (0..u64::try_from(TIED_MAX).unwrap() + 5)
        .map(|quantity| Entry {
            seen: seen(1, Rank::Updated),
            snapshot: plan_of("price_pro", quantity),
        })
        .collect();
    let mut stored = BTreeSet::new();
    for seed in 0..5 {
        Seeds::new(seed).shuffle(&mut set);
        let mut register = Register::default();
        for entry in &set {
            register.record(entry.clone());
        }
        assert!(register.is_undecided());
        stored.insert(serde_json::to_string(&register).unwrap());
    }
    assert_eq!(stored.len(), 1);
}

#[test]
fn a_newer_snapshot_that_says_nothing_of_a_field_does_not_erase_it() {
    let full = plan_of("price_team", 4);
    let bare = with(full.clone(), |it| {
        it.items = None;
        it.status = aggregates::facts::SubscriptionStatus::PastDue;
    });
    let mut register = Register::default();
    register.record(Entry {
        seen: seen(2, Rank::Updated),
        snapshot: bare,
    });
    assert_eq!(register.effective().unwrap().items, None);
    register.record(Entry {
        seen: seen(1, Rank::Updated),
        snapshot: full.clone(),
    });
    let terms = register.effective().unwrap();
    assert_eq!((&terms.items, terms.status.as_str()), (&full.items, "past_due"));
    assert_eq!(register.current().unwrap().seen.as_of, at(2));
}

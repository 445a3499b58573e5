//! Every order and every duplication of a history ends in the same bytes.

use std::collections::{BTreeMap, BTreeSet};

use aggregates::facts::SubscriptionStatus;
use aggregates::observation::Observation;
use aggregates::snapshot::Snapshot;
use aggregates::subscription::history::occurred;
use aggregates::subscription::seen::SnapshotRecorded;
use aggregates::subscription::standing::{AccessPolicy, DisputeStanding, Standing};
use aggregates::subscription::{
    AccountState, Decision, InvoiceBook, LifeBook, MoneyBook, SubscriptionCommand, SubscriptionEvent, decide,
};

use super::build::prices;
use super::histories::{History, all};
use super::seeds::{Seeds, each_order};

/// Seeded orders of each history.
const ORDERS: u64 = 500;
/// Longest run of events of which all orders are tried.
const ALL_ORDERS_OF: usize = 6;

/// What an account is after a delivery of a history.
pub(crate) struct Outcome {
    pub(crate) events: Vec<SubscriptionEvent>,
    pub(crate) state: AccountState,
}

/// Delivers observations one by one.
pub(crate) fn deliver<'a>(told: impl IntoIterator<Item = &'a Observation>) -> Outcome {
    let prices = prices();
    let mut state = AccountState::default();
    let mut events = Vec::new();
    for observation in told {
        let command = SubscriptionCommand::Observe(Box::new(observation.clone()));
        match decide(&state, &command, &prices).unwrap() {
            Decision::Record { events: new, .. } => {
                for event in new {
                    state.evolve(&event);
                    events.push(event);
                }
            }
            Decision::AlreadyApplied | Decision::Superseded => {}
        }
    }
    Outcome { events, state }
}

/// Everything a reader of current state or of the occurred past can see, as bytes.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Sight {
    pub(crate) account: String,
    pub(crate) life: String,
    pub(crate) invoices: String,
    pub(crate) money: String,
    pub(crate) standing: String,
    pub(crate) occurred: String,
    /// How often each fact was named: facts are recorded by name once, whenever they arrive.
    pub(crate) named: BTreeMap<&'static str, usize>,
}

pub(crate) fn standing(state: &AccountState) -> Standing {
    let disputes = DisputeStanding::of(&state.money.disputes);
    Standing::of(&state.life, disputes, &AccessPolicy::default())
}

pub(crate) fn sight(outcome: &Outcome) -> Sight {
    let json = |value: &dyn erased::Json| value.json();
    Sight {
        account: json(&outcome.state.account),
        life: json(&outcome.state.life),
        invoices: json(&outcome.state.invoices),
        money: json(&outcome.state.money),
        standing: json(&standing(&outcome.state)),
        occurred: json(&occurred(&outcome.events)),
        named: named(&outcome.events),
    }
}

mod erased {
    pub(crate) trait Json {
        fn json(&self) -> String;
    }
    impl<T: serde::Serialize> Json for T {
        fn json(&self) -> String {
            serde_json::to_string(self).unwrap()
        }
    }
}

fn named(events: &[SubscriptionEvent]) -> BTreeMap<&'static str, usize> {
    let mut named = BTreeMap::new();
    for event in events {
        let is_fact = matches!(event.family(), "invoices" | "money" | "checkout and portal");
        let is_label = event.name().ends_with("revised") || event.name() == "customer_balance_changed";
        if is_fact && !is_label && event.name() != "invoice_payment_linked" {
            *named.entry(event.name()).or_default() += 1;
        }
    }
    named
}

/// The law for one order: the same sight as `wanted`.
pub(crate) fn check<'a>(order: impl IntoIterator<Item = &'a Observation>, wanted: &Sight) -> Result<(), String> {
    let outcome = deliver(order);
    let seen = sight(&outcome);
    if seen != *wanted {
        return Err(format!("got    {seen:?}\nwanted {wanted:?}"));
    }
    Ok(())
}

/// What else must hold in any order: ends stay, and parts fold alike by themselves.
fn check_closely(order: &[&Observation]) -> Result<(), String> {
    let outcome = deliver(order.iter().copied());
    ends_stay(&outcome.events)?;
    parts_fold_alone(&outcome)
}

/// Once an end was recorded, no later event brings the subscription back.
fn ends_stay(events: &[SubscriptionEvent]) -> Result<(), String> {
    let mut life = LifeBook::default();
    let mut ended = BTreeMap::new();
    for event in events {
        life.apply(event);
        for (id, book) in &life.subscriptions {
            let terms = book.book.terms().unwrap();
            let over = matches!(
                terms.status,
                SubscriptionStatus::Canceled | SubscriptionStatus::IncompleteExpired
            );
            let was = ended.insert(id.clone(), over).unwrap_or(false);
            if was && !over {
                return Err(format!("{id} revived by {}", event.name()));
            }
        }
    }
    Ok(())
}

/// Each part takes the events by itself, and its stored form reads back and goes on alike.
fn parts_fold_alone(outcome: &Outcome) -> Result<(), String> {
    let (mut life, mut money) = (LifeBook::default(), MoneyBook::default());
    let mut invoices: BTreeMap<_, InvoiceBook> = BTreeMap::new();
    let half = outcome.events.len() / 2;
    for (at, event) in outcome.events.iter().enumerate() {
        if at == half {
            life = serde_json::from_str(&serde_json::to_string(&life).unwrap()).unwrap();
            money = serde_json::from_str(&serde_json::to_string(&money).unwrap()).unwrap();
            invoices = serde_json::from_str(&serde_json::to_string(&invoices).unwrap()).unwrap();
        }
        life.apply(event);
        money.apply(event);
        if let Some(id) = event.carried().and_then(|carried| carried.invoice()) {
            invoices.entry(id.clone()).or_default().apply(event);
        }
    }
    let state = &outcome.state;
    if (&life, &money, &invoices) == (&state.life, &state.money, &state.invoices) {
        Ok(())
    } else {
        Err("a part folded alone is not the part of the whole".to_owned())
    }
}

/// As told, as many times as wanted, in any order.
pub(crate) fn disordered<'a>(told: &'a [Observation], seed: u64) -> Vec<&'a Observation> {
    let mut seeds = Seeds::new(seed);
    let mut order: Vec<&'a Observation> = told.iter().collect();
    for observation in told {
        while seeds.one_in(4) {
            order.push(observation);
        }
    }
    seeds.shuffle(&mut order);
    order
}

pub(crate) fn converges(history: &History, orders: u64) -> Result<(), String> {
    let wanted = sight(&deliver(&history.told));
    for seed in 0..orders {
        let order = disordered(&history.told, seed);
        let closely = if seed % 10 == 0 { check_closely(&order) } else { Ok(()) };
        closely
            .and_then(|()| check(order, &wanted))
            .map_err(|why| format!("{} in order {seed}: {why}", history.name))?;
    }
    Ok(())
}

/// All orders of the first and of the last few events.
pub(crate) fn every_order_converges(history: &History) -> Result<(), String> {
    let told = &history.told;
    let few = ALL_ORDERS_OF.min(told.len());
    let mut outcome = Ok(());
    let parts: BTreeSet<usize> = [0, told.len() - few].into();
    for part in parts.into_iter().map(|from| &told[from..from + few]) {
        let wanted = sight(&deliver(part));
        let part: Vec<&Observation> = part.iter().collect();
        each_order(&part, |order| {
            if outcome.is_ok() {
                outcome = check(order.iter().copied(), &wanted).map_err(|why| format!("{}: {why}", history.name));
            }
        });
    }
    outcome
}

#[test]
fn every_history_ends_as_it_should() {
    for history in all() {
        let outcome = deliver(&history.told);
        let standing = standing(&outcome.state);
        let held: Vec<(&str, u64)> = standing
            .holdings
            .iter()
            .map(|it| (it.plan.code.as_str(), it.quantity))
            .collect();
        let ends = (&*standing.status, standing.access, &*held);
        assert_eq!(ends, history.ends, "{}", history.name);
    }
}

#[test]
fn seeded_orders_with_duplicates_end_alike() {
    for history in all() {
        converges(&history, ORDERS).unwrap();
    }
}

#[test]
fn all_orders_of_few_events_end_alike() {
    for history in all() {
        every_order_converges(&history).unwrap();
    }
}

#[test]
fn every_snapshot_is_recorded_once_and_twins_are_not() {
    for history in all() {
        let outcome = deliver(&history.told);
        let twice = deliver(history.told.iter().chain(&history.told));
        assert_eq!(outcome.events, twice.events, "{}", history.name);
        let mut distinct: Vec<&Observation> = Vec::new();
        for observation in &history.told {
            let is_twin = |known: &&Observation| known.seen == observation.seen && known.object == observation.object;
            if !distinct.iter().any(is_twin) {
                distinct.push(observation);
            }
        }
        let occurred = occurred(&outcome.events);
        assert_eq!(occurred.len(), distinct.len(), "{}", history.name);
        let times: Vec<_> = occurred
            .iter()
            .map(|it| (it.carried().seen().as_of, it.carried().seen().rank))
            .collect();
        assert!(times.is_sorted(), "{}", history.name);
    }
}

#[test]
fn no_more_is_given_back_than_was_paid_and_lines_come_to_the_total() {
    for history in all() {
        for seed in 0..20 {
            let outcome = deliver(disordered(&history.told, seed));
            let paid: i64 = amounts(&outcome, "charge_succeeded");
            let settled: i64 = amounts(&outcome, "refund_settled");
            assert!(settled <= paid, "{}: {settled} of {paid}", history.name);
            for (id, book) in &outcome.state.invoices {
                let Some(terms) = book.invoice.terms() else { continue };
                let Some(lines) = &terms.lines else { continue };
                let sum: i64 = lines.iter().map(|line| line.amount_minor).sum();
                assert_eq!(sum, terms.subtotal_minor, "{} {id}", history.name);
            }
        }
    }
}

/// Amounts of the events of one name: what a reader who counts names would add up.
fn amounts(outcome: &Outcome, name: &str) -> i64 {
    let of = |event: &SubscriptionEvent| match event.carried().map(|carried| carried.to_recorded()) {
        Some(SnapshotRecorded::Charge(it)) => it.snapshot.amount_minor,
        Some(SnapshotRecorded::Refund(it)) => it.snapshot.amount_minor,
        _ => 0,
    };
    outcome.events.iter().filter(|event| event.name() == name).map(of).sum()
}

#[test]
fn histories_cover_more_than_their_labels() {
    let histories = all();
    assert!(histories.len() >= 20);
    let finals = histories.iter().flat_map(|history| &history.told);
    let ends = finals.filter(|it| match &it.object {
        aggregates::observation::Observed::Subscription { snapshot, .. } => snapshot.finality() > 0,
        _ => false,
    });
    assert!(ends.count() >= 5);
}

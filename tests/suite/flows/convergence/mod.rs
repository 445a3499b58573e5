//! The law of convergence, through the front door: any order and any copies of a history end in the same rows of every
//! view of current state and in the same occurred history, byte for byte, on both stores; and a view that was kept up
//! to date is the view that is rebuilt.
//!
//! 1. A reference ledger on SQLite gets every history as it happened, many times, each time as another account: the
//!    same bytes but for the ids.
//! 2. Each round delivers the same accounts into a fresh ledger, each in an order of its own, mixed with each other,
//!    signed, to the real binary.
//! 3. Account by account the round must show what the reference shows: the same ids, so the same bytes. Ties fall to
//!    content, and content holds ids: over the accounts each tie falls to either side.
//!
//! Two things stay with whoever came first, by design, and no history here contradicts itself about them: whose an
//! account is when webhooks name two tenants (a finding says so), and what an event says when its id comes with two
//! contents (a warning says so).

mod histories;
mod rounds;
mod sights;
mod worlds;

use std::collections::{BTreeMap, BTreeSet};

use aggregates::time::Timestamp;
use futures::{StreamExt, stream};
use serde_json::Value;

use self::histories::{History, long, short};
use self::rounds::{Round, customers};
use self::sights::{Sight, first_difference};
use self::worlds::{Order, World, as_told, disordered, permutation};
use crate::support::{Kind, TestStore, figure, postgres, skipped};

/// From which every order and every mixture of senders follows.
const SEED: u64 = 20_261_124;
/// Seeded orders of each long history.
const ORDERS: usize = 500;
/// All orders of six events.
const ALL_ORDERS: usize = 720;
/// Fresh ledgers over which the orders are spread: enough accounts in each to be strangers, few enough to be quick.
const ROUNDS: usize = 10;
/// While one is looked at, another one is delivered.
const ROUNDS_AT_ONCE: usize = 2;

/// What is delivered: `orders` orders of each history.
struct Plan {
    name: &'static str,
    histories: Vec<History>,
    orders: usize,
    /// By the number of its events, the place of the history and the number of the order.
    order: fn(usize, usize, usize) -> Order,
}

impl Plan {
    fn seeded() -> Self {
        Self {
            name: "seeded orders with copies",
            histories: long(),
            orders: ORDERS,
            order: |events, history, nth| disordered(events, SEED + u64::try_from(history * ORDERS + nth).unwrap()),
        }
    }

    fn every_order_of_few() -> Self {
        let histories = short();
        assert!(histories.iter().all(|history| history.told.len() == 6));
        Self {
            name: "every order of six events",
            histories,
            orders: ALL_ORDERS,
            order: |events, _, nth| permutation(events, nth),
        }
    }

    /// Accounts of each history in one round.
    const fn accounts(&self) -> usize {
        self.orders.div_ceil(ROUNDS)
    }

    /// One account for each history and number, its events in the order that `order` says.
    fn worlds(&self, order: impl Fn(&History, usize, usize) -> Order) -> Vec<World<'_>> {
        let mut worlds = Vec::new();
        for (place, history) in self.histories.iter().enumerate() {
            for number in 0..self.accounts() {
                let order = order(history, place, number);
                worlds.push(World::new(history, place * self.accounts() + number, order));
            }
        }
        worlds
    }

    fn told(&self) -> Vec<World<'_>> {
        self.worlds(|history, _, _| as_told(history.told.len()))
    }

    fn round(&self, round: usize) -> Vec<World<'_>> {
        self.worlds(|history, place, number| (self.order)(history.told.len(), place, round * self.accounts() + number))
    }
}

async fn fresh(kind: Kind) -> TestStore {
    match kind {
        Kind::Sqlite => TestStore::sqlite(),
        Kind::Postgres => TestStore::postgres().await.expect("a server, as before"),
    }
}

/// What a round tried.
#[derive(Default)]
struct Tried {
    posts: usize,
    questions: usize,
    /// By history: the orders in which its webhooks came to the log.
    orders: BTreeMap<&'static str, BTreeSet<Vec<String>>>,
}

impl Tried {
    fn add(mut self, other: Self) -> Self {
        self.posts += other.posts;
        self.questions += other.questions;
        for (history, orders) in other.orders {
            self.orders.entry(history).or_default().extend(orders);
        }
        self
    }
}

/// The law over a whole plan.
async fn converges(kind: Kind, plan: &Plan) {
    if kind == Kind::Postgres && postgres::shared_server().is_none() {
        skipped("convergence on Postgres: no server");
        return;
    }
    let told = plan.told();
    let reference = Round::of(TestStore::sqlite(), 1, &told, SEED).await;
    let wanted = reference.sights().await;
    assert_eq!(wanted.keys().cloned().collect::<BTreeSet<_>>(), customers(&told));
    assert_ends(&reference, &told).await;
    let rounds = stream::iter(0..ROUNDS).map(|nth| round(kind, plan, nth, &reference, &wanted));
    let add = |sum: Tried, tried| async { sum.add(tried) };
    let tried = rounds
        .buffer_unordered(ROUNDS_AT_ONCE)
        .fold(Tried::default(), add)
        .await;
    let fewest = tried.orders.values().map(BTreeSet::len).min().unwrap_or_default();
    assert!(
        fewest * 20 >= plan.orders,
        "the orders do not reach the log: {fewest} of {}",
        plan.orders
    );
    figure(&format!(
        "convergence on {kind:?}: {} histories x {} {} (seed {SEED}), {} webhooks, {} questions about the past; at \
         least {fewest} orders came to the log of each history, 0 differences",
        plan.histories.len(),
        plan.orders,
        plan.name,
        tried.posts,
        tried.questions,
    ));
}

/// One fresh ledger, on Postgres every third one behind two processes; panics where it shows anything but what the
/// reference shows.
async fn round(kind: Kind, plan: &Plan, nth: usize, reference: &Round, wanted: &BTreeMap<String, Sight>) -> Tried {
    let worlds = plan.round(nth);
    let processes = if kind == Kind::Postgres && nth % 3 == 2 { 2 } else { 1 };
    let seed = SEED + u64::try_from(nth).unwrap();
    let round = Round::of(fresh(kind).await, processes, &worlds, seed).await;
    assert_settled(&round, nth).await;
    assert_alike(&worlds, &round.sights().await, wanted, nth);
    let questions = assert_answers_alike(&worlds, &round, reference, nth).await;
    let orders = recorded_orders(&worlds, &round).await;
    let unequal = round.differ_from_their_rebuild().await;
    assert!(
        unequal.is_empty(),
        "round {nth}: a view differs from its rebuild:\n{}",
        unequal.join("\n")
    );
    Tried {
        posts: round.posts,
        questions,
        orders,
    }
}

/// The reference is no law by itself: each history must end as its people would say, and ties that fall to content
/// must fall to either side.
async fn assert_ends(reference: &Round, told: &[World<'_>]) {
    let mut ends: BTreeMap<&str, BTreeSet<(String, String, u64)>> = BTreeMap::new();
    for world in told {
        let answer = reference
            .get(&format!("/v1/tenants/{}/subscription", world.tenant()))
            .await;
        let word = |value: &Value| value.as_str().unwrap_or("none").to_owned();
        let quantity = answer["quantity"].as_u64().unwrap_or_default();
        let end = (word(&answer["status"]), word(&answer["plan"]["code"]), quantity);
        ends.entry(world.history.name).or_default().insert(end);
    }
    for world in told {
        let wanted = world.history.ends.iter();
        let wanted: BTreeSet<_> = wanted
            .map(|(status, plan, n)| (status.to_string(), plan.to_string(), *n))
            .collect();
        assert_eq!(ends[world.history.name], wanted, "{}", world.history.name);
    }
}

/// Every webhook has its effect, is known to have had it, or (a thin one) waits for its twin's next look.
async fn assert_settled(round: &Round, nth: usize) {
    let outcomes = round.outcomes().await;
    for outcome in outcomes.keys() {
        let expected = ["applied", "superseded", "duplicate", "ignored", "parked"].contains(&outcome.as_str());
        assert!(expected, "round {nth}: {outcomes:?}");
    }
    assert!(outcomes["applied"] > round.posts / 2, "round {nth}: {outcomes:?}");
}

fn assert_alike(worlds: &[World<'_>], seen: &BTreeMap<String, Sight>, wanted: &BTreeMap<String, Sight>, nth: usize) {
    assert_eq!(seen.len(), worlds.len(), "round {nth}: accounts");
    let differs = |world: &&World<'_>| seen.get(&world.customer()) != wanted.get(&world.customer());
    let odd: Vec<&World<'_>> = worlds.iter().filter(differs).collect();
    let Some(first) = odd.first() else { return };
    let customer = first.customer();
    panic!(
        "round {nth} (seed {SEED}): {} of {} accounts differ from the reference; the first is {}\n{}",
        odd.len(),
        worlds.len(),
        first.told(),
        seen[&customer].difference(&wanted[&customer])
    );
}

/// Asks both ledgers the same about the past of every account, on the clock of what happened.
async fn assert_answers_alike(worlds: &[World<'_>], round: &Round, reference: &Round, nth: usize) -> usize {
    let paths: Vec<String> = worlds
        .iter()
        .enumerate()
        .flat_map(|(at, world)| paths(world, at + nth))
        .collect();
    let (ours, theirs) = tokio::join!(round.answers(&paths), reference.answers(&paths));
    for ((path, ours), theirs) in paths.iter().zip(ours).zip(theirs) {
        if ours != theirs {
            let world = worlds.iter().find(|world| path.contains(world.name())).unwrap();
            panic!(
                "round {nth} (seed {SEED}): {path}{}\n{}",
                first_difference(&ours, &theirs),
                world.told()
            );
        }
    }
    paths.len()
}

/// Questions about one account: its whole state and what a reader makes of it, at two of its instants, by its tenant
/// or by its customer.
fn paths(world: &World<'_>, turn: usize) -> [String; 2] {
    let instants = world.history.instants();
    let at = |nth: usize| Timestamp::from_seconds(instants[nth % instants.len()]).unwrap();
    let (one, other) = if turn.is_multiple_of(2) {
        (world.tenant(), world.customer())
    } else {
        (world.customer(), world.tenant())
    };
    let read = ["subscription", "entitlements", "quotas"][turn % 3];
    [
        format!("/v1/audit/state?tenant={one}&as_of={}&basis=occurred", at(turn)),
        format!("/v1/tenants/{other}/{read}?as_of={}&basis=occurred", at(turn / 3)),
    ]
}

/// By history: the orders in which its webhooks came to the log.
async fn recorded_orders(worlds: &[World<'_>], round: &Round) -> BTreeMap<&'static str, BTreeSet<Vec<String>>> {
    let recorded = round.recorded_orders().await;
    let mut orders: BTreeMap<&'static str, BTreeSet<Vec<String>>> = BTreeMap::new();
    for world in worlds {
        // The stream is named after the tenant or the customer; both hold the account's name.
        let of_world = recorded.iter().find(|(stream, _)| stream.ends_with(world.name()));
        let (_, order) = of_world.expect("its account is on the log");
        let plain = order.iter().map(|id| id.replace(world.name(), ""));
        orders.entry(world.history.name).or_default().insert(plain.collect());
    }
    orders
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn seeded_orders_with_copies_end_alike_on_sqlite() {
    converges(Kind::Sqlite, &Plan::seeded()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn seeded_orders_with_copies_end_alike_on_postgres() {
    converges(Kind::Postgres, &Plan::seeded()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_order_of_six_events_ends_alike_on_sqlite() {
    converges(Kind::Sqlite, &Plan::every_order_of_few()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_order_of_six_events_ends_alike_on_postgres() {
    converges(Kind::Postgres, &Plan::every_order_of_few()).await;
}

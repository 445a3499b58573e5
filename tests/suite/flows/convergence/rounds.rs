//! One round: a fresh ledger behind the real binary, into which many worlds are delivered at once.
//!
//! A world keeps its order, because one sender brings all of it and waits for each answer; worlds of one sender and
//! the senders among each other are mixed, so that batches and lanes hold strangers side by side.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use futures::future::join_all;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::sights::{Sight, sights};
use super::worlds::{Dice, World};
use crate::support::TestStore;
use crate::support::http::{Connection, request};
use crate::support::ledger::{Tables, unequal_slots};
use crate::support::server::{Launch, Server};
use crate::support::stripe;

/// Connections at once.
const SENDERS: usize = 24;
/// Worlds of one sender that are under way at once, so that events of one account come near each other.
const UNDER_WAY: usize = 6;
/// Connections that ask at once.
const ASKERS: usize = 4;
/// How long a round may take to settle: what waits for a name is tried again after seconds.
const SETTLE_WAIT: Duration = Duration::from_secs(120);

/// A ledger with everything delivered into it.
pub(super) struct Round {
    store: TestStore,
    server: Server,
    /// A second process on the same ledger, with a directory of its own.
    other: Option<(Server, TempDir)>,
    /// Webhooks posted.
    pub(super) posts: usize,
}

impl Round {
    /// Delivers every world in its order, and lets a person name the tenants that Stripe does not know.
    pub(super) async fn of(store: TestStore, processes: usize, worlds: &[World<'_>], seed: u64) -> Self {
        let server = Launch::new(&store).start().await;
        let mut other = None;
        if processes > 1 {
            let directory = TempDir::new().expect("a temporary directory");
            let launch = Launch::new(&store).in_directory(directory.path());
            other = Some((launch.start().await, directory));
        }
        let round = Self {
            store,
            server,
            other,
            posts: worlds.iter().map(|world| world.order.len()).sum(),
        };
        let parts: Vec<_> = worlds
            .iter()
            .zip(seed..)
            .map(|(world, seed)| world.parts(seed))
            .collect();
        for phase in 0..2 {
            let ranges = parts.iter().map(|parts| parts[phase].clone());
            let bodies = worlds
                .iter()
                .zip(ranges)
                .map(|(world, range)| range.map(|nth| world.body(nth)).collect());
            round.deliver(bodies.collect(), seed).await;
            round.settled().await;
            if phase == 0 {
                for world in worlds.iter().filter(|world| world.history.assigned) {
                    round.assign(world).await;
                }
            }
        }
        // Assigning is recorded too.
        round.settled().await;
        round
    }

    async fn deliver(&self, worlds: Vec<Vec<Vec<u8>>>, seed: u64) {
        let mut lines: Vec<Vec<Vec<Vec<u8>>>> = (0..SENDERS).map(|_| Vec::new()).collect();
        let mut dice = Dice::new(seed);
        let mut worlds: Vec<_> = worlds.into_iter().filter(|posts| !posts.is_empty()).collect();
        dice.shuffle(&mut worlds);
        for (nth, mut posts) in worlds.into_iter().enumerate() {
            posts.reverse();
            lines[nth % SENDERS].push(posts);
        }
        let mut addresses = vec![self.server.address.clone()];
        addresses.extend(self.other.iter().map(|(other, _)| other.address.clone()));
        let senders = lines.into_iter().zip(seed..).map(|(line, seed)| {
            let addresses = addresses.clone();
            tokio::spawn(async move { send(&addresses, line, Dice::new(seed)).await })
        });
        for sender in join_all(senders.collect::<Vec<_>>()).await {
            sender.unwrap();
        }
    }

    async fn assign(&self, world: &World<'_>) {
        let path = format!("/v1/unassigned-accounts/{}/assign", world.customer());
        let wanted = json!({ "tenant": world.tenant(), "reason": "named by a person" });
        let answer = self.server.post(&path, &wanted).await;
        assert_eq!(
            answer.status,
            200,
            "{}: {}",
            world.told(),
            String::from_utf8_lossy(&answer.body)
        );
    }

    /// Every receipt has its outcome, nothing waits but thin events, whose twin is found at a later try, and every
    /// view has read the whole log.
    async fn settled(&self) {
        let begin = Instant::now();
        let waiting = "select count(*) from webhook_receipts where state = 'parked' and event_id not like '%\\_thin' \
                       escape '\\'";
        let mut tables = self.tables().await;
        while tables.number(waiting).await > 0 || !self.server.is_settled().await {
            let open = "select event_id, state, reason from webhook_receipts where state in ('new', 'parked') limit 5";
            assert!(
                begin.elapsed() < SETTLE_WAIT,
                "never settled: {:?}\n{}",
                tables.rows(open).await,
                self.server.log()
            );
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// What the server answers now.
    pub(super) async fn get(&self, path: &str) -> Value {
        self.server.get(path).await
    }

    async fn tables(&self) -> Tables {
        Tables::open(self.store.url(), self.store.data_dir()).await
    }

    /// How the receipts ended.
    pub(super) async fn outcomes(&self) -> BTreeMap<String, usize> {
        let sql = "select state, cast(count(*) as text) from webhook_receipts group by state";
        let rows = self.tables().await.rows(sql).await;
        let outcome = |row: Vec<Option<String>>| Some((row[0].clone()?, row[1].as_ref()?.parse().ok()?));
        rows.into_iter().filter_map(outcome).collect()
    }

    /// What readers of each account see, by its customer.
    pub(super) async fn sights(&self) -> BTreeMap<String, Sight> {
        sights(&mut self.tables().await).await
    }

    /// In which order the events of an account came to the log, each webhook once: what was tried, not what was meant.
    pub(super) async fn recorded_orders(&self) -> BTreeMap<String, Vec<String>> {
        let sql = "select aggregate_id, causation_id from events where aggregate_type = 'subscription' \
                   order by part, position";
        let mut orders: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for row in self.tables().await.rows(sql).await {
            let [Some(stream), Some(cause)] = &row[..] else {
                panic!("{row:?}")
            };
            let order = orders.entry(stream.clone()).or_default();
            if !order.contains(cause) {
                order.push(cause.clone());
            }
        }
        orders
    }

    /// Rebuilds every view from the log and answers which differ from what was kept up to date, in any column.
    pub(super) async fn differ_from_their_rebuild(&self) -> Vec<String> {
        for name in self.server.projections().await {
            let path = format!("/v1/projections/{name}/rebuild");
            let answer = self.server.post(&path, &json!({ "reason": "test" })).await;
            assert!(answer.status < 300, "{name}: {}", String::from_utf8_lossy(&answer.body));
        }
        let begin = Instant::now();
        while self.server.is_rebuilding().await {
            assert!(
                begin.elapsed() < SETTLE_WAIT,
                "the rebuild does not end:\n{}",
                self.server.log()
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        unequal_slots(&mut self.tables().await).await
    }

    /// What the server answers about each path, without what tells how and when it was learnt.
    pub(super) async fn answers(&self, paths: &[String]) -> Vec<String> {
        let bearer = format!("Bearer {}", self.server.admin_token());
        let ask = |paths: &[String]| {
            let (address, bearer, paths) = (self.server.address.clone(), bearer.clone(), paths.to_vec());
            tokio::spawn(async move {
                let mut connection = Connection::open(&address).await.unwrap();
                let mut answers = Vec::with_capacity(paths.len());
                for path in &paths {
                    let asked = request("GET", path, &[("Authorization", &bearer)], b"");
                    let answer = connection.send(&asked).await.unwrap();
                    assert_eq!(answer.status, 200, "{path}: {}", String::from_utf8_lossy(&answer.body));
                    answers.push(without_bookkeeping(answer.json()).to_string());
                }
                answers
            })
        };
        let asking: Vec<_> = paths.chunks(paths.len().div_ceil(ASKERS)).map(ask).collect();
        join_all(asking).await.into_iter().flat_map(Result::unwrap).collect()
    }
}

/// Fields of answers about the past that tell how the account was learnt: its name on the log, how many events it rests
/// on, and when the last of them was recorded.
const BOOKKEEPING: [&str; 4] = ["stream", "version", "recorded_at", "updated_at"];

fn without_bookkeeping(mut answer: Value) -> Value {
    let fields = answer.as_object_mut().unwrap();
    let told = BOOKKEEPING
        .iter()
        .filter(|field| fields.remove(**field).is_some())
        .count();
    assert!(told >= 2, "not an answer about an account: {answer}");
    answer
}

/// Brings the worlds of one sender, a few at once, mixed, each webhook to any of the processes.
async fn send(addresses: &[String], mut line: Vec<Vec<Vec<u8>>>, mut dice: Dice) {
    let mut connections = Vec::new();
    for address in addresses {
        connections.push(Connection::open(address).await.unwrap());
    }
    while !line.is_empty() {
        let at = dice.below(line.len().min(UNDER_WAY));
        let Some(body) = line[at].pop() else { continue };
        let signature = stripe::signature(&body);
        let headers = [("Content-Type", "application/json"), ("Stripe-Signature", &*signature)];
        let post = request("POST", "/webhooks/stripe", &headers, &body);
        let connection = dice.below(connections.len());
        let answer = connections[connection].send(&post).await.unwrap();
        assert_eq!(answer.status, 200, "{}", String::from_utf8_lossy(&answer.body));
        if line[at].is_empty() {
            line.remove(at);
        }
    }
}

/// The customers of these worlds.
pub(super) fn customers(worlds: &[World<'_>]) -> BTreeSet<String> {
    worlds.iter().map(World::customer).collect()
}

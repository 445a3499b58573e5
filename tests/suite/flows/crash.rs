//! Kill -9 at random moments: nothing is lost, nothing counts twice.
//!
//! The story of one round: (1) senders deliver signed webhooks and note what was answered 200; (2) the process is
//! killed; (3) it starts again on what is on disk; (4) senders repeat what was not answered, as Stripe does. At the
//! end every noted delivery has one receipt, one mark and one effect, positions are dense, and every view equals
//! its own rebuild from the log.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::json;

use crate::support::dice::Dice;
use crate::support::http::{Connection, request};
use crate::support::ledger::{Tables, faults, unequal_slots};
use crate::support::postgres::OwnServer;
use crate::support::server::{Launch, Server};
use crate::support::{TestStore, figure, stripe};

/// Deliveries of a crash loop, copies not counted.
const DELIVERIES: usize = 5_200;

/// Kills of a crash loop.
const KILLS: usize = 52;

/// Accounts the deliveries are spread over.
const ACCOUNTS: usize = 60;

/// Senders at once.
const SENDERS: usize = 8;

/// Longest time one delivery may be repeated before the test gives up.
const DELIVERY_WAIT: Duration = Duration::from_secs(60);

/// Longest wait for a rebuild of the small ledgers of these tests.
const REBUILD_WAIT: Duration = Duration::from_secs(60);

/// The id and the signed body of a delivery; neighbours change places, so that versions arrive out of order.
pub(super) fn delivery(number: usize) -> (String, Vec<u8>) {
    let number = if number % 7 == 3 {
        number + 1
    } else if number % 7 == 4 {
        number - 1
    } else {
        number
    };
    let account = u32::try_from(number % ACCOUNTS).expect("an account");
    let version = u32::try_from(number / ACCOUNTS).expect("a version");
    let object = stripe::subscription(account, "active", version + 1, 1_789_900_000);
    let id = format!("evt_crash{number:06}");
    let body = stripe::subscription_event(&id, 1_790_000_000 + i64::from(version), &object);
    (id, body)
}

/// What the senders share.
pub(super) struct Senders {
    addresses: Vec<String>,
    next: AtomicUsize,
    count: usize,
    pub(super) answered: AtomicUsize,
    acknowledged: Mutex<BTreeSet<String>>,
}

impl Senders {
    pub(super) fn new(addresses: Vec<String>, count: usize) -> Arc<Self> {
        Arc::new(Self {
            addresses,
            next: AtomicUsize::new(0),
            count,
            answered: AtomicUsize::new(0),
            acknowledged: Mutex::new(BTreeSet::new()),
        })
    }

    pub(super) fn acknowledged(&self) -> BTreeSet<String> {
        self.acknowledged.lock().expect("the list").clone()
    }

    /// One sender: takes the next delivery and repeats it until it is answered 200; each twentieth goes twice.
    pub(super) async fn send(self: Arc<Self>) {
        let mut connection = None;
        loop {
            let number = self.next.fetch_add(1, Ordering::SeqCst);
            if number >= self.count {
                return;
            }
            let (id, body) = delivery(number);
            let copies = if number.is_multiple_of(20) { 2 } else { 1 };
            for _ in 0..copies {
                self.until_answered(&mut connection, number, &body).await;
            }
            self.acknowledged.lock().expect("the list").insert(id);
            self.answered.fetch_add(1, Ordering::SeqCst);
        }
    }

    async fn until_answered(&self, connection: &mut Option<Connection>, number: usize, body: &[u8]) {
        let begin = Instant::now();
        let mut address = number % self.addresses.len();
        loop {
            assert!(
                begin.elapsed() < DELIVERY_WAIT,
                "delivery {number} was never acknowledged"
            );
            if connection.is_none() {
                *connection = Connection::open(&self.addresses[address]).await.ok();
            }
            if let Some(open) = connection {
                match post(open, body).await {
                    Ok(200) => return,
                    Ok(status) => assert!(status >= 500, "a signed delivery was answered {status}"),
                    Err(_) => *connection = None,
                }
            }
            address = (address + 1) % self.addresses.len();
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

async fn post(connection: &mut Connection, body: &[u8]) -> std::io::Result<u16> {
    let signature = stripe::signature(body);
    let headers = [("Content-Type", "application/json"), ("Stripe-Signature", &*signature)];
    Ok(connection
        .send(&request("POST", "/webhooks/stripe", &headers, body))
        .await?
        .status)
}

/// Everything that must hold after the last restart.
pub(super) async fn assert_whole(server: &Server, store: &TestStore, acknowledged: &BTreeSet<String>, what: &str) {
    assert_consistent(server, store, acknowledged, what).await;
    assert_last_versions_shown(server, acknowledged).await;
}

/// The same where deliveries may have been stored that nobody was told of.
pub(super) async fn assert_consistent(server: &Server, store: &TestStore, acknowledged: &BTreeSet<String>, what: &str) {
    server.settled().await;
    let mut tables = Tables::open(store.url(), store.data_dir()).await;
    let found = faults(&mut tables, acknowledged).await;
    assert!(
        found.is_empty(),
        "{what}: {} faults:\n{}\n{}",
        found.len(),
        found.join("\n"),
        server.log()
    );
    rebuild_all(server).await;
    let unequal = unequal_slots(&mut tables).await;
    assert!(
        unequal.is_empty(),
        "{what}: a view differs from its rebuild:\n{}",
        unequal.join("\n")
    );
}

/// Every account shows the quantity of its newest acknowledged version, in whatever order the versions came.
async fn assert_last_versions_shown(server: &Server, acknowledged: &BTreeSet<String>) {
    let mut newest: BTreeMap<usize, usize> = BTreeMap::new();
    for number in acknowledged
        .iter()
        .filter_map(|id| id.strip_prefix("evt_crash")?.parse::<usize>().ok())
    {
        let version = newest.entry(number % ACCOUNTS).or_default();
        *version = (*version).max(number / ACCOUNTS);
    }
    for (account, version) in newest {
        let shown = server
            .get(&format!("/v1/tenants/tenant-{account:06}/subscription"))
            .await;
        assert_eq!(shown["quantity"], version + 1, "account {account}: {shown}");
    }
}

async fn rebuild_all(server: &Server) {
    for name in server.projections().await {
        let answer = server
            .post(&format!("/v1/projections/{name}/rebuild"), &json!({ "reason": "test" }))
            .await;
        assert!(answer.status < 300, "{name}: {}", String::from_utf8_lossy(&answer.body));
    }
    let begin = Instant::now();
    while server.is_rebuilding().await {
        assert!(
            begin.elapsed() < REBUILD_WAIT,
            "the rebuild does not end:\n{}",
            server.log()
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Kills and restarts the servers at random moments of the traffic; answers how long each took to be ready again.
async fn crash_loop(launches: &[Launch], postgres: Option<&OwnServer>) -> (Vec<Server>, Arc<Senders>, Vec<Duration>) {
    let mut dice = Dice(20_261_121);
    let mut servers = Vec::new();
    for launch in launches {
        servers.push(launch.start().await);
    }
    let senders = Senders::new(
        servers.iter().map(|server| server.address.clone()).collect(),
        DELIVERIES,
    );
    let tasks: Vec<_> = (0..SENDERS)
        .map(|_| tokio::spawn(Arc::clone(&senders).send()))
        .collect();
    let mut ready = Vec::new();
    for kill in 0..KILLS {
        let wanted = (DELIVERIES * kill / KILLS) + usize::try_from(dice.below(90)).expect("small");
        let begin = Instant::now();
        while senders.answered.load(Ordering::SeqCst) < wanted {
            assert!(
                begin.elapsed() < DELIVERY_WAIT,
                "no delivery is answered any more:\n{}",
                servers[0].log()
            );
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        tokio::time::sleep(Duration::from_micros(dice.below(8_000))).await;
        let victim = usize::try_from(dice.below(servers.len() as u64)).expect("small");
        servers[victim].kill();
        if kill % 10 == 9
            && let Some(postgres) = postgres
        {
            postgres.kill();
            postgres.restart();
        }
        servers[victim] = launches[victim].spawn();
        ready.push(servers[victim].ready().await);
    }
    for task in tasks {
        task.await.expect("a sender");
    }
    ready.sort();
    (servers, senders, ready)
}

fn print_ready(store: &str, ready: &[Duration]) {
    let at = |percent: usize| ready[(ready.len() * percent / 100).min(ready.len() - 1)];
    figure(&format!(
        "crash loop on {store}: {} kills over {DELIVERIES} deliveries, 0 lost, 0 doubled; ready again p50 {:?}, p99 {:?} (debug build)",
        ready.len(),
        at(50),
        at(99)
    ));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crash_loop_loses_and_doubles_nothing_on_sqlite() {
    let store = TestStore::sqlite();
    let launches = [Launch::new(&store)];
    let (servers, senders, ready) = crash_loop(&launches, None).await;
    let acknowledged = senders.acknowledged();
    assert_eq!(acknowledged.len(), DELIVERIES);
    assert_whole(&servers[0], &store, &acknowledged, "crash loop").await;
    print_ready("SQLite", &ready);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crash_loop_of_two_processes_loses_and_doubles_nothing_on_postgres() {
    let Some(postgres) = OwnServer::start() else { return };
    let store = TestStore::on_server(&postgres.url()).await;
    let second = tempfile::TempDir::new().expect("a temporary directory");
    let launches = [Launch::new(&store), Launch::new(&store).in_directory(second.path())];
    let (servers, senders, ready) = crash_loop(&launches, Some(&postgres)).await;
    let acknowledged = senders.acknowledged();
    assert_eq!(acknowledged.len(), DELIVERIES);
    assert_whole(&servers[0], &store, &acknowledged, "crash loop").await;
    print_ready("Postgres, two processes", &ready);
}

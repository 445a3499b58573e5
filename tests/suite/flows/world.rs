//! A ledger with its inbox and its worker, without HTTP: deliveries go in, what became of them is asked.

use std::sync::Arc;
use std::time::Duration;

use aggregates::ids::{StreamId, TenantId};
use aggregates::partition::part_of;
use aggregates::recorded::{Actor, LedgerEvent};
use aggregates::subscription::{AGGREGATE_TYPE, AccountState, NoPlans, SubscriptionEvent};
use aggregates::time::Timestamp;
use projections::db::{Db, DbConfig};
use projections::log::{StoredEvent, load_streams, read_page};
use serde_json::Value;
use subledger::clock::Clock;
use subledger::directory::{Directory, Kind};
use subledger::inbox::{
    Act, Delivery, InboxAdmin, Pressure, ReceiptFilter, ReceiptKey, ReceiptStore, Received, Receiver, State,
};
use subledger::ledger::Mark;
use subledger::process::accounts::{Accounts, Caller};
use subledger::process::apply_webhooks::{ApplyWebhooks, Parts};
use subledger::stripe::translate::Translator;

use crate::support::TestStore;

/// How long a test waits for work that needs milliseconds.
const PATIENCE: Duration = Duration::from_secs(60);

pub(super) struct World {
    pub(super) db: Db,
    pub(super) receipts: ReceiptStore,
    pub(super) receiver: Receiver,
    pub(super) worker: ApplyWebhooks,
    pub(super) admin: InboxAdmin,
    pub(super) accounts: Accounts,
    pub(super) directory: Directory,
}

pub(super) async fn open_db(store: &TestStore) -> Db {
    let url = match store.url() {
        Some(url) => url.to_owned(),
        None => format!("sqlite:{}", store.data_dir().join("ledger.db").display()),
    };
    let config = DbConfig {
        accept_unsafe_server: true,
        ..DbConfig::new(&url, Clock::system().now())
    };
    // The writer of a ledger that was just closed may still be letting go of the file.
    for _ in 0..100 {
        match Db::open(&config).await {
            Ok(db) => return db,
            Err(projections::db::OpenError::Locked { .. }) => tokio::time::sleep(Duration::from_millis(20)).await,
            Err(error) => panic!("{error}"),
        }
    }
    panic!("the ledger stays locked");
}

pub(super) fn key(id: &str) -> ReceiptKey {
    ReceiptKey::new("default", id.parse().unwrap())
}

pub(super) fn delivery(body: &Value, received_at: Timestamp) -> Delivery {
    Delivery {
        body: serde_json::to_vec(body).unwrap().into(),
        signature: "t=1,v1=00".into(),
        secret_name: "main".into(),
        endpoint: "/webhooks/stripe".into(),
        received_at,
    }
}

impl World {
    pub(super) async fn open(store: &TestStore) -> Self {
        Self::with_mode(store, false).await
    }

    pub(super) async fn with_mode(store: &TestStore, live: bool) -> Self {
        Self::on(open_db(store).await, live)
    }

    pub(super) fn on(db: Db, live: bool) -> Self {
        let clock = Clock::system();
        let receipts = ReceiptStore::new(db.clone());
        let directory = Directory::new(db.clone(), clock.clone());
        let held: Vec<u32> = (0..db.parts()).collect();
        let worker = ApplyWebhooks::start(Parts {
            db: db.clone(),
            directory: directory.clone(),
            receipts: receipts.clone(),
            translator: Translator::new(&["organizationId".to_owned()]),
            prices: Arc::new(NoPlans),
            live,
            held: Arc::new(move || held.clone()),
            pressure: Pressure::default(),
            clock: clock.clone(),
        });
        let receiver = Receiver::start(receipts.clone(), worker.hand_off());
        Self {
            admin: InboxAdmin::new(db.clone(), clock.clone()),
            accounts: Accounts::new(db.clone(), directory.clone(), clock),
            db,
            receipts,
            receiver,
            worker,
            directory,
        }
    }

    pub(super) async fn close(self) {
        self.receiver.stop().await;
        self.worker.stop().await;
        self.db.close().await;
    }

    pub(super) async fn send(&self, body: &Value) -> Received {
        let delivery = delivery(body, Clock::system().now());
        self.receiver.receive(delivery).await.expect("stored")
    }

    /// Waits until nothing is in the state `new`.
    pub(super) async fn settle(&self) {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        loop {
            let backlog = self.receipts.backlog().await.unwrap();
            let new = backlog.iter().find(|b| b.state == State::New);
            if new.is_none() && self.worker.working() == 0 {
                return;
            }
            assert!(tokio::time::Instant::now() < deadline, "still waiting: {new:?}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Waits until the receipt stands there.
    pub(super) async fn until(&self, id: &str, wanted: State) {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        loop {
            let receipt = self.receipts.get(&key(id)).await.unwrap().receipt;
            if receipt.state == wanted {
                return;
            }
            assert!(tokio::time::Instant::now() < deadline, "{receipt:?} is not {wanted:?}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    pub(super) async fn state_of(&self, id: &str) -> (State, Option<String>) {
        let receipt = self.receipts.get(&key(id)).await.unwrap().receipt;
        (receipt.state, receipt.reason)
    }

    /// Receipts by state.
    pub(super) async fn states(&self) -> Vec<(State, usize)> {
        let all = self
            .receipts
            .list(&ReceiptFilter::default(), None, 100_000)
            .await
            .unwrap();
        State::ALL
            .iter()
            .map(|state| (*state, all.iter().filter(|r| r.state == *state).count()))
            .filter(|(_, count)| *count > 0)
            .collect()
    }

    pub(super) async fn stored(&self, stream: &str) -> Vec<StoredEvent> {
        let id = StreamId::parse(stream).unwrap();
        let part = part_of(&id, self.db.parts());
        load_streams(&self.db, part, &[(AGGREGATE_TYPE, stream)]).await.unwrap()
    }

    pub(super) async fn events(&self, stream: &str) -> Vec<SubscriptionEvent> {
        let stored = self.stored(stream).await;
        let decode =
            |e: &StoredEvent| match LedgerEvent::decode(&e.aggregate_type, &e.event_type, e.event_version, &e.payload)
                .unwrap()
            {
                LedgerEvent::Subscription(event) => event,
                other => panic!("{other:?}"),
            };
        stored.iter().map(decode).collect()
    }

    /// The account without the order in which it learnt things.
    pub(super) async fn account(&self, stream: &str) -> AccountState {
        let mut state = AccountState::of(&self.events(stream).await);
        state.known.clear();
        state
    }

    /// Every event of the log, part by part; panics where positions are not dense.
    pub(super) async fn log(&self) -> Vec<StoredEvent> {
        let mut all = Vec::new();
        for part in 0..self.db.parts() {
            let page = read_page(&self.db, part, 0, 1_000_000).await.unwrap();
            let positions: Vec<u64> = page.iter().map(|event| event.position).collect();
            assert_eq!(positions, (1..=page.len() as u64).collect::<Vec<_>>(), "part {part}");
            all.extend(page);
        }
        all
    }

    pub(super) async fn entry(&self, kind: Kind, key: &str) -> Option<String> {
        let found = self.directory.find(&[(kind, key.to_owned())]).await.unwrap();
        found.into_iter().next().map(|entry| entry.value)
    }

    pub(super) fn act(nth: &str) -> Act {
        Act {
            actor: Actor::Operator,
            api: None,
            mark: mark(nth),
            correlation_id: "test".into(),
            reason: "a test".into(),
        }
    }

    pub(super) fn caller(nth: &str) -> Caller {
        Caller {
            actor: Actor::Operator,
            mark: mark(nth),
            correlation_id: "test".into(),
            api: None,
        }
    }
}

fn mark(nth: &str) -> Mark {
    Mark {
        source: "test".into(),
        key: nth.to_owned(),
        request_hash: None,
    }
}

pub(super) fn tenant(name: &str) -> TenantId {
    TenantId::parse(name).unwrap()
}

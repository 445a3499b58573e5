//! Events for tests of the views: stories translated and decided as the service does it, appended to a real log.

use std::collections::HashMap;

use aggregates::ids::{CustomerId, PlanCode, PriceId, StreamId, TenantId};
use aggregates::partition::part_of;
use aggregates::recorded::{Actor, LedgerEvent, Metadata};
use aggregates::subscription::seen::PlanRef;
use aggregates::subscription::{AccountState, Decision, SubscriptionCommand, SubscriptionEvent, decide};
use aggregates::time::Timestamp;
use projections::db::{Db, DbConfig};
use subledger::demo::story::{Era, Price, Story};
use subledger::ledger::{Item, Mark, NewEvent, StreamAppend, append};
use subledger::stripe::envelope::Envelope;
use subledger::stripe::translate::{AccountFact, Outcome, Translator};

use crate::support::TestStore;

/// First instant of every story: 2025-01-01.
pub(crate) const START: i64 = 1_735_689_600;

pub(crate) const PRO: Price = Price {
    id: "price_pro",
    product: "prod_pro",
    unit_minor: 4_900,
    interval: "month",
};
pub(crate) const TEAM: Price = Price {
    id: "price_team",
    product: "prod_team",
    unit_minor: 9_900,
    interval: "month",
};

/// One event that waits to be appended.
#[derive(Clone)]
pub(crate) struct Told {
    pub(crate) event: SubscriptionEvent,
    pub(crate) occurred_at: Timestamp,
    pub(crate) receipt: String,
}

/// A fresh ledger in a test's store.
pub(crate) async fn open(store: &TestStore) -> Db {
    Db::open(&config(store)).await.expect("a ledger")
}

pub(crate) fn config(store: &TestStore) -> DbConfig {
    let file = format!("sqlite:{}", store.data_dir().join("ledger.db").display());
    let url = store.url().map_or(file, str::to_owned);
    let mut config = DbConfig::new(&url, now());
    config.accept_unsafe_server = true;
    config
}

pub(crate) fn now() -> Timestamp {
    Timestamp::from_chrono(chrono::Utc::now())
}

/// What the deliveries of a story mean for its account, in the order given.
pub(crate) fn events_of(story: &Story, tenant: Option<&str>) -> Vec<Told> {
    let code = |code: &str| PlanRef {
        code: PlanCode::parse(code).unwrap(),
        version: 1,
    };
    let prices = std::collections::BTreeMap::from([
        (PriceId::parse(PRO.id).unwrap(), code("pro")),
        (PriceId::parse(TEAM.id).unwrap(), code("team")),
    ]);
    let tenant = tenant.map(|tenant| TenantId::parse(tenant).unwrap());
    let mut state = AccountState::default();
    let mut told = Vec::new();
    let mut take = |state: &mut AccountState, command: SubscriptionCommand, at: Timestamp, receipt: &str| {
        if let Ok(Decision::Record { events, .. }) = decide(state, &command, &prices) {
            for event in events {
                state.evolve(&event);
                told.push(Told {
                    event,
                    occurred_at: at,
                    receipt: receipt.to_owned(),
                });
            }
        }
    };
    for delivery in story.deliveries(Era::Clover) {
        let at = Timestamp::from_seconds(delivery.created).unwrap();
        let envelope = Envelope::scan(&delivery.body);
        let outcome = Translator::new(&[]).translate(&envelope, &delivery.body).outcome;
        let Outcome::Facts(facts) = outcome else { continue };
        for AccountFact { observation, .. } in facts.accounts {
            if state.known.is_empty() {
                take(
                    &mut state,
                    SubscriptionCommand::OpenAccount {
                        tenant: tenant.clone(),
                        currency: None,
                    },
                    at,
                    &delivery.event_id,
                );
            }
            take(
                &mut state,
                SubscriptionCommand::Observe(Box::new(observation)),
                at,
                &delivery.event_id,
            );
        }
    }
    told
}

pub(crate) fn stream_of(name: &str, tenant: Option<&str>) -> StreamId {
    match tenant {
        Some(tenant) => StreamId::of_tenant(&TenantId::parse(tenant).unwrap()),
        None => StreamId::of_customer(&CustomerId::parse(&format!("cus_{name}")).unwrap()),
    }
}

/// Appends to streams of any parts, one append a call and stream, and remembers sequences.
#[derive(Default)]
pub(crate) struct Pen {
    sequences: HashMap<StreamId, u64>,
    keys: u64,
}

impl Pen {
    /// Records events of one account; answers part and last position.
    pub(crate) async fn write(
        &mut self,
        db: &Db,
        stream: &StreamId,
        tenant: Option<&str>,
        told: &[Told],
    ) -> (u32, u64) {
        let events = told.iter().map(|it| {
            let event = LedgerEvent::Subscription(it.event.clone());
            new_event(
                &event,
                it.occurred_at,
                Actor::Stripe {
                    event: it.receipt.as_str().into(),
                },
                Some(&it.receipt),
            )
        });
        self.put(db, "subscription", stream, tenant, events.collect()).await
    }

    /// Records events as they are.
    pub(crate) async fn put(
        &mut self,
        db: &Db,
        aggregate_type: &'static str,
        stream: &StreamId,
        tenant: Option<&str>,
        events: Vec<NewEvent>,
    ) -> (u32, u64) {
        let part = part_of(stream, db.parts());
        let expected = self.sequences.entry(stream.clone()).or_default();
        self.keys += 1;
        let mut item = Item::new(Mark {
            source: "test".to_owned(),
            key: format!("{stream}/{}", self.keys),
            request_hash: None,
        });
        let count = events.len() as u64;
        item.appends.push(StreamAppend {
            aggregate_type,
            stream: stream.clone(),
            tenant: tenant.map(|tenant| TenantId::parse(tenant).unwrap()),
            expected_sequence: *expected,
            events,
        });
        let outcome = append(db, part, vec![item], now()).await.expect("an append");
        *expected += count;
        match &outcome[0] {
            subledger::ledger::Outcome::Appended { last_position, .. } => (part, *last_position),
            other => panic!("{other:?}"),
        }
    }
}

pub(crate) fn new_event(event: &LedgerEvent, occurred_at: Timestamp, actor: Actor, receipt: Option<&str>) -> NewEvent {
    let metadata = Metadata {
        actor,
        receipt: receipt.map(|receipt| format!("default/{receipt}").into()),
        api_version: None,
        request_key: None,
    };
    NewEvent {
        event_id: uuid::Uuid::now_v7(),
        event_type: event.event_type(),
        event_version: event.version(),
        payload: event.encode().unwrap(),
        metadata: serde_json::to_string(&metadata).unwrap(),
        causation_id: receipt.unwrap_or("test").to_owned(),
        correlation_id: receipt.unwrap_or("test").to_owned(),
        occurred_at,
    }
}

/// A year in the life of an account: trial, seats, upgrade, a failed and recovered payment, cancellation.
pub(crate) fn year(name: &str, tenant: Option<&str>) -> Story {
    let mut story = Story::new(name, tenant, START);
    story
        .add_card()
        .subscribe(PRO, 2, 14)
        .days(14)
        .end_trial()
        .days(10)
        .set_quantity(5);
    story
        .days(20)
        .renew()
        .days(5)
        .change_plan(TEAM)
        .days(25)
        .renew_unpaid()
        .days(3)
        .recover();
    story.days(27).renew().cancel_at_period_end();
    story
}

//! An account whose history the test writes: what Stripe says of it, and when the ledger learns it.

use aggregates::ids::{CustomerId, IntentId, StreamId, TenantId};
use aggregates::partition::part_of;
use aggregates::recorded::{Actor, LedgerEvent, Metadata};
use aggregates::subscription::{self, AccountState, Decision, SubscriptionCommand};
use aggregates::time::Timestamp;
use serde_json::Value;
use subledger::directory::{Claim, Directory, Kind};
use subledger::ledger::{Item, Mark, NewEvent, StreamAppend, append};
use subledger::stripe::envelope::Envelope;
use subledger::stripe::translate::{Outcome, Translator};
use uuid::Uuid;

use super::harness::{App, NOW};
use crate::support::stripe;

pub(super) fn at(seconds: i64) -> Timestamp {
    Timestamp::from_seconds(seconds).expect("a time")
}

/// A subscription to the team plan, as [`stripe::subscription`] numbers it.
pub(super) fn team(account: u32, status: &str, quantity: u32, period_start: i64) -> Value {
    let mut object = stripe::subscription(account, status, quantity, period_start);
    price(&mut object, "price_team_month", 9_900);
    object
}

/// Another price for the one item of a subscription.
pub(super) fn price(subscription: &mut Value, id: &str, amount_minor: i64) {
    let price = &mut subscription["items"]["data"][0]["price"];
    price["id"] = id.into();
    price["unit_amount"] = amount_minor.into();
    price["unit_amount_decimal"] = amount_minor.to_string().into();
}

/// One account and its writer.
pub(super) struct AccountLog<'a> {
    app: &'a App,
    pub(super) stream: StreamId,
    pub(super) part: u32,
    assigned: bool,
    state: AccountState,
    sequence: u64,
    told: u32,
}

impl<'a> AccountLog<'a> {
    /// Opens the account `account` of [`stripe::subscription`]: with its tenant, or as an unassigned one.
    pub(super) async fn open(app: &'a App, account: u32, assigned: bool, recorded_at: i64) -> Self {
        let tenant = TenantId::parse(&format!("tenant-{account:06}")).expect("a tenant");
        let customer = CustomerId::parse(&format!("cus_{account:06}")).expect("a customer");
        let stream = if assigned {
            StreamId::of_tenant(&tenant)
        } else {
            StreamId::of_customer(&customer)
        };
        let directory = Directory::new(app.service.db.clone(), app.service.clock.clone());
        let mut claims = vec![Claim::new(Kind::Customer, customer.as_str(), stream.as_str())];
        if assigned {
            claims.push(Claim::new(Kind::Tenant, tenant.as_str(), stream.as_str()));
            claims.push(Claim::new(Kind::CustomerOf, stream.as_str(), customer.as_str()));
        }
        directory.claim(claims).await.expect("claims");
        let part = part_of(&stream, app.service.db.parts());
        let mut log = Self {
            app,
            stream,
            part,
            assigned,
            state: AccountState::default(),
            sequence: 0,
            told: 0,
        };
        let open = SubscriptionCommand::OpenAccount {
            tenant: assigned.then_some(tenant),
            currency: None,
        };
        log.run(open, recorded_at, recorded_at).await;
        log.run(SubscriptionCommand::LinkCustomer { customer }, recorded_at, recorded_at)
            .await;
        log
    }

    /// Sequence of its last event.
    pub(super) const fn sequence(&self) -> u64 {
        self.sequence
    }

    /// Stripe says `object` at `created`; the ledger records it at `recorded_at`. Answers the position.
    pub(super) async fn tell(&mut self, kind: &str, created: i64, object: &Value, recorded_at: i64) -> String {
        self.tell_by(kind, created, object, recorded_at, None).await
    }

    /// The same, naming the idempotency key of the request behind it.
    pub(super) async fn tell_by(
        &mut self,
        kind: &str,
        created: i64,
        object: &Value,
        recorded_at: i64,
        key: Option<&str>,
    ) -> String {
        self.told += 1;
        let id = format!("evt_{}_{}", self.stream.as_str().replace(':', "_"), self.told);
        let mut object = object.clone();
        if !self.assigned {
            object["metadata"] = serde_json::json!({});
        }
        let mut body = stripe::event(&id, kind, created, &object);
        body["request"]["idempotency_key"] = key.into();
        let body = body.to_string();
        let envelope = Envelope::scan(body.as_bytes());
        let Outcome::Facts(facts) = Translator::new(&[]).translate(&envelope, body.as_bytes()).outcome else {
            panic!("{kind} says nothing");
        };
        let mut position = String::new();
        for fact in facts.accounts {
            let occurred = fact.observation.seen.as_of.seconds();
            let command = SubscriptionCommand::Observe(Box::new(fact.observation));
            position = self.run(command, occurred, recorded_at).await;
        }
        position
    }

    pub(super) async fn run(&mut self, command: SubscriptionCommand, occurred_at: i64, recorded_at: i64) -> String {
        let prices = self.app.service.plans.current();
        let decision = subscription::decide(&self.state, &command, &*prices).expect("a decision");
        let Decision::Record { events, .. } = decision else {
            panic!("nothing to record: {command:?}");
        };
        let metadata = Metadata {
            actor: Actor::Stripe {
                event: format!("evt_{}", self.told).into(),
            },
            receipt: Some(format!("default/evt_{}", self.told).into()),
            api_version: None,
            request_key: None,
        };
        let new = |event: &subscription::SubscriptionEvent| {
            let own_id = event.own_id();
            let event = LedgerEvent::Subscription(event.clone());
            NewEvent {
                event_id: own_id.map_or_else(Uuid::now_v7, IntentId::uuid),
                event_type: event.event_type(),
                event_version: event.version(),
                payload: event.encode().expect("JSON"),
                metadata: serde_json::to_string(&metadata).expect("JSON"),
                causation_id: format!("evt_{}", self.told),
                correlation_id: format!("evt_{}", self.told),
                occurred_at: at(occurred_at),
            }
        };
        let fresh: Vec<NewEvent> = events.iter().map(new).collect();
        for event in &events {
            self.state.evolve(event);
        }
        let count = u64::try_from(events.len()).expect("a count");
        let mark = Mark {
            source: "test".into(),
            key: Uuid::now_v7().to_string(),
            request_hash: None,
        };
        let item = Item {
            appends: vec![StreamAppend {
                aggregate_type: subscription::AGGREGATE_TYPE,
                stream: self.stream.clone(),
                tenant: self.state.account.tenant.clone(),
                expected_sequence: self.sequence,
                events: fresh,
            }],
            ..Item::new(mark)
        };
        let outcomes = append(&self.app.service.db, self.part, vec![item], at(recorded_at)).await;
        self.sequence += count;
        match outcomes.expect("an append").remove(0) {
            subledger::ledger::Outcome::Appended { last_position, .. } => format!("{}.{last_position}", self.part),
            other => panic!("{other:?}"),
        }
    }
}

/// Appends to a stream an event that no view of accounts can read: they stop before it. Answers its place.
pub(super) async fn unreadable(app: &App, stream: &StreamId, sequence: u64) -> (u32, u64) {
    let event = NewEvent {
        event_id: Uuid::now_v7(),
        event_type: "subscription.account_opened".into(),
        event_version: 99,
        payload: "{}".into(),
        metadata: r#"{"actor":{"kind":"operator"}}"#.into(),
        causation_id: "test".into(),
        correlation_id: "test".into(),
        occurred_at: at(NOW),
    };
    let mark = Mark {
        source: "test".into(),
        key: format!("newer {stream}"),
        request_hash: None,
    };
    let item = Item {
        appends: vec![StreamAppend {
            aggregate_type: subscription::AGGREGATE_TYPE,
            stream: stream.clone(),
            tenant: None,
            expected_sequence: sequence,
            events: vec![event],
        }],
        ..Item::new(mark)
    };
    let part = part_of(stream, app.service.db.parts());
    let outcomes = append(&app.service.db, part, vec![item], at(NOW)).await;
    match outcomes.expect("an append").remove(0) {
        subledger::ledger::Outcome::Appended { last_position, .. } => (part, last_position),
        other => panic!("{other:?}"),
    }
}

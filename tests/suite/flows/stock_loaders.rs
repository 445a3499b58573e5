//! The stock cqrs-es repositories load every stream the service writes, and it folds to the state we fold.

use std::collections::BTreeSet;

use aggregates::ids::StreamId;
use aggregates::operation::OperationState;
use aggregates::partition::part_of;
use aggregates::recorded::LedgerEvent;
use aggregates::stripe_object::ObjectState;
use aggregates::subscription::AccountState;
use aggregates::subscription::cqrs::Upcaster;
use cqrs_es::Aggregate;
use cqrs_es::persist::EventUpcaster;
use projections::db::Db;
use projections::log::StoredEvent;
use serde_json::{Value, json};
use subledger::demo::cast::everybody;
use subledger::demo::delivery::disorder;
use subledger::ledger::stock_events;

use super::world::{World, key};
use crate::support::stripe::{event, now};
use crate::support::{figure, stores};

/// The state that the stock repository's events fold to. (The stock event store above it wants the metadata to be a map
/// of texts; ours holds the actor as an object. The ledger reads by the repositories alone.)
async fn by_stock<A: Aggregate>(db: &Db, stream: &str) -> Value {
    let id = StreamId::parse(stream).expect("a stream");
    let part = part_of(&id, db.parts());
    let mut state = A::default();
    for mut event in stock_events::<A>(db, part, stream).await.expect("events") {
        if Upcaster.can_upcast(&event.event_type, &event.event_version) {
            event = Upcaster.upcast(event);
        }
        state.apply(serde_json::from_value(event.payload).unwrap_or_else(|error| panic!("{stream}: {error}")));
    }
    serde_json::to_value(&state).expect("JSON")
}

/// The state our own reader and decoder give.
fn by_us(log: &[StoredEvent], kind: &str, stream: &str) -> Value {
    let (mut accounts, mut objects, mut operations) = (Vec::new(), Vec::new(), Vec::new());
    for event in log
        .iter()
        .filter(|event| event.aggregate_type == kind && event.stream == stream)
    {
        match LedgerEvent::decode(
            &event.aggregate_type,
            &event.event_type,
            event.event_version,
            &event.payload,
        ) {
            Ok(LedgerEvent::Subscription(event)) => accounts.push(event),
            Ok(LedgerEvent::StripeObject(event)) => objects.push(event),
            Ok(LedgerEvent::Operation(event)) => operations.push(event),
            Err(error) => panic!("{stream}: {error}"),
        }
    }
    let state = match kind {
        AccountState::TYPE => serde_json::to_value(AccountState::of(&accounts)),
        ObjectState::TYPE => serde_json::to_value(ObjectState::of(&objects)),
        OperationState::TYPE => serde_json::to_value(OperationState::of(&operations)),
        other => panic!("{other} is loaded by nobody"),
    };
    state.expect("JSON")
}

#[tokio::test(flavor = "multi_thread")]
async fn the_stock_repositories_load_every_stream_as_we_do() {
    for store in stores().await {
        let world = World::open(&store).await;
        for delivery in disorder(&everybody(now()), 7) {
            world.send(&serde_json::from_slice(&delivery.body).expect("JSON")).await;
        }
        let product = json!({ "id": "prod_1", "object": "product", "name": "Team", "active": true, "created": now() });
        world
            .send(&event("evt_product", "product.created", now(), &product))
            .await;
        world
            .send(&event("evt_odd", "customer.created", now(), &json!({})))
            .await;
        world.settle().await;
        world
            .admin
            .discard(&World::act("a"), &key("evt_odd"))
            .await
            .expect("discarded");

        let log = world.log().await;
        let streams: BTreeSet<(&str, &str)> = log
            .iter()
            .map(|event| (event.aggregate_type.as_str(), event.stream.as_str()))
            .collect();
        let kinds: BTreeSet<&str> = streams.iter().map(|(kind, _)| *kind).collect();
        assert_eq!(kinds.len(), 3, "every kind of stream is there: {kinds:?}");
        for (kind, stream) in &streams {
            let stock = match *kind {
                AccountState::TYPE => by_stock::<AccountState>(&world.db, stream).await,
                ObjectState::TYPE => by_stock::<ObjectState>(&world.db, stream).await,
                OperationState::TYPE => by_stock::<OperationState>(&world.db, stream).await,
                other => panic!("{other} is loaded by nobody"),
            };
            assert_eq!(stock, by_us(&log, kind, stream), "{kind} {stream}");
        }
        figure(&format!(
            "stock repository on {:?}: {} streams of {} events load as our own reader loads them",
            store.kind,
            streams.len(),
            log.len()
        ));
        world.close().await;
    }
}

//! cqrs-es and the ledger decide alike, and no state exists that no event made (F6).

use std::sync::Arc;

use aggregates::facts::{CatalogueSnapshot, ProductSnapshot};
use aggregates::ids::{CustomerId, TenantId};
use aggregates::observation::ObjectObservation;
use aggregates::operation::{self, OperationCommand, OperationEvent, OperationState};
use aggregates::snapshot::Rank;
use aggregates::stripe_object::{self, ObjectState};
use aggregates::subscription::asked::When;
use aggregates::subscription::cqrs::Prices;
use aggregates::subscription::request::Wish;
use aggregates::subscription::{AccountState, Decision, SubscriptionCommand, decide};
use cqrs_es::Aggregate;
use cqrs_es::event_sink::EventSink;

use super::build::{prices, seen};
use super::convergence::disordered;
use super::histories::all;
use super::market::{applied, ask, cancel, settle, to_quantity};
use super::seeds::Seeds;

fn account_commands(seeds: &mut Seeds, observed: Vec<SubscriptionCommand>) -> Vec<SubscriptionCommand> {
    let tenant = |name: &str| TenantId::parse(name).unwrap();
    let mut commands = observed;
    for name in ["acme", "other"] {
        commands.push(SubscriptionCommand::OpenAccount {
            tenant: Some(tenant(name)),
            currency: None,
        });
        commands.push(SubscriptionCommand::AssignTenant {
            tenant: tenant(name),
            reason: Some("by hand".to_owned()),
        });
        commands.push(SubscriptionCommand::LinkCustomer {
            customer: CustomerId::parse(&format!("cus_{name}")).unwrap(),
        });
    }
    commands.push(SubscriptionCommand::OpenAccount {
        tenant: None,
        currency: None,
    });
    for number in 0..6 {
        let wish = [to_quantity(2), cancel(When::PeriodEnd), Wish::Resume][number % 3].clone();
        let number = u128::try_from(number).unwrap();
        commands.push(ask(number, wish));
        commands.push(settle(number, applied("sub_1")));
    }
    seeds.shuffle(&mut commands);
    commands
}

#[tokio::test]
async fn an_account_after_handle_is_the_fold_of_its_events() {
    let services = Prices(Arc::new(prices()));
    for history in all() {
        for seed in 0..10 {
            let told = disordered(&history.told, seed);
            let observed = told
                .into_iter()
                .map(|it| SubscriptionCommand::Observe(Box::new(it.clone())));
            let mut account = AccountState::default();
            let mut log = Vec::new();
            for command in account_commands(&mut Seeds::new(seed), observed.collect()) {
                let decided = decide(&account, &command, &prices());
                let before = account.clone();
                let sink = EventSink::default();
                let handled = account.handle(command, &services, &sink).await;
                let events = sink.collect().await;
                match decided {
                    Ok(Decision::Record { events: wanted, .. }) => {
                        assert!(!wanted.is_empty());
                        assert_eq!(events, wanted);
                    }
                    Ok(Decision::AlreadyApplied | Decision::Superseded) => assert!(events.is_empty()),
                    Err(why) => {
                        assert_eq!(handled, Err(why));
                        assert!(events.is_empty());
                    }
                }
                if events.is_empty() {
                    assert_eq!(account, before, "changed without an event");
                }
                log.extend(events);
            }
            assert_eq!(account, AccountState::of(&log), "{}", history.name);
            let stored: AccountState = serde_json::from_str(&serde_json::to_string(&account).unwrap()).unwrap();
            assert_eq!(stored, account);
        }
    }
}

#[tokio::test]
async fn an_object_after_handle_is_the_fold_of_its_events() {
    let mut object = ObjectState::default();
    let mut log = Vec::new();
    for second in [5, 1, 5, 9, 3] {
        let command = ObjectObservation {
            seen: seen(second, Rank::Updated),
            id: "prod_1".into(),
            snapshot: CatalogueSnapshot::Product(ProductSnapshot {
                name: Some(format!("name {}", second / 4).into()),
                active: Some(true),
                deleted: false,
                default_price: None,
            }),
        };
        let decided = stripe_object::decide(&object, &command);
        let sink = EventSink::default();
        object.handle(command, &(), &sink).await.unwrap();
        let events = sink.collect().await;
        match decided {
            Decision::Record { events: wanted, .. } => assert_eq!(events, wanted),
            Decision::AlreadyApplied | Decision::Superseded => assert!(events.is_empty()),
        }
        log.extend(events);
    }
    let names: Vec<&str> = log.iter().map(|event| event.name()).collect();
    assert_eq!(
        names,
        [
            "product_defined",
            "late_snapshot_recorded",
            "product_defined",
            "late_snapshot_recorded"
        ]
    );
    assert_eq!(object, ObjectState::of(&log));
}

#[tokio::test]
async fn an_operation_after_handle_is_the_fold_of_its_events() {
    let rotated = |successor: &str| OperationEvent::KeyRotated {
        key: "k1".into(),
        successor: successor.into(),
        old_valid_until: super::build::at(0),
    };
    let made = OperationEvent::KeyCreated {
        key: "k1".into(),
        name: "ci".into(),
        scopes: vec!["*".into()],
        tenant: None,
        expires_at: None,
    };
    let revoked = OperationEvent::KeyRevoked { key: "k1".into() };
    let mut state = OperationState::default();
    let mut log = Vec::new();
    let mut answers = Vec::new();
    for event in [
        revoked.clone(),
        made.clone(),
        made,
        rotated("k2"),
        rotated("k2"),
        rotated("k3"),
        revoked.clone(),
        revoked,
        rotated("k2"),
    ] {
        let command = OperationCommand(event);
        let decided = operation::decide(&state, &command);
        let sink = EventSink::default();
        let handled = state.handle(command, &(), &sink).await;
        answers.push(match &decided {
            Ok(Decision::Record { .. }) => "recorded",
            Ok(_) => "done",
            Err(_) => "refused",
        });
        assert_eq!(handled.err(), decided.err());
        log.extend(sink.collect().await);
    }
    assert_eq!(
        answers,
        [
            "refused", "recorded", "done", "recorded", "done", "refused", "recorded", "done", "refused"
        ]
    );
    assert_eq!(state, OperationState::of(&log));
}

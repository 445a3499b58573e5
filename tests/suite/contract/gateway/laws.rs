//! One attempt: what it does, and how every way to go wrong is named.

use std::time::Duration;

use aggregates::time::Timestamp;
use serde_json::json;
use subledger::stripe::gateway::look_up::{Found, carries, look_up};
use subledger::stripe::gateway::pages::Walk;
use subledger::stripe::gateway::{Call, GatewayError, Listing, ObjectKind, Read};

use super::{OWN, intent, stages};
use crate::stripe_api::Fault;

fn new_customer(name: &str) -> Call {
    Call::CreateCustomer {
        tenant: Some("acme".parse().unwrap()),
        name: Some(name.to_owned()),
        email: None,
    }
}

#[tokio::test]
async fn a_call_is_done_once_under_its_key_and_carries_its_intent() {
    for stage in stages().await {
        let (intent, call) = (intent(), new_customer("Acme"));
        let first = stage.gateway.call(&OWN, intent, &call).await.unwrap();
        assert!(
            first.id().is_some() && carries(&first.object, intent.intent),
            "{}: {:?}",
            stage.name,
            first.object
        );
        assert_eq!(first.object["metadata"]["tenant_id"], "acme", "{}", stage.name);
        let body: serde_json::Value = serde_json::from_slice(&first.body).unwrap();
        assert_eq!(body, first.object, "{}", stage.name);
        let again = stage.gateway.call(&OWN, intent, &call).await.unwrap();
        assert_eq!(again.object, first.object, "{}", stage.name);
        assert_eq!(
            (first.replayed, again.replayed),
            (false, stage.sees_headers),
            "{}",
            stage.name
        );
        assert_eq!(again.request_id.is_some(), stage.sees_headers, "{}", stage.name);
        assert_eq!(
            stage.effects().values().copied().collect::<Vec<_>>(),
            [1],
            "{}",
            stage.name
        );
        let other = stage.gateway.call(&OWN, intent, &new_customer("Other")).await;
        let Err(GatewayError::Permanent(refusal)) = other else {
            panic!("{}: {other:?}", stage.name)
        };
        assert_eq!(
            (refusal.status, refusal.kind.as_deref()),
            (400, Some("idempotency_error")),
            "{}",
            stage.name
        );
        assert_eq!(stage.keyless(), 0, "{}", stage.name);
    }
}

#[tokio::test]
async fn the_hash_is_of_the_request_and_the_same_every_time() {
    for stage in stages().await {
        let (one, two) = (intent(), intent());
        let hash = |intent, call: &Call| stage.gateway.hash(intent, call);
        let call = new_customer("Acme");
        for _ in 0..50 {
            assert_eq!(hash(one, &call), hash(one, &call.clone()), "{}", stage.name);
        }
        assert_ne!(
            hash(one, &call),
            hash(two, &call),
            "{}: the metadata differs",
            stage.name
        );
        assert_ne!(hash(one, &call), hash(one, &new_customer("Other")), "{}", stage.name);
    }
}

#[tokio::test]
async fn every_way_to_go_wrong_has_its_name() {
    for stage in stages().await {
        let call = new_customer("Acme");
        let unknown = [
            Fault::LostReply,
            Fault::Cut,
            Fault::Failure,
            Fault::StoredFailure,
            Fault::ForeignPage,
            Fault::TruncatedBody,
        ];
        for fault in unknown {
            stage.fail(fault.clone());
            let outcome = stage.gateway.call(&OWN, intent(), &call).await;
            assert!(
                matches!(outcome, Err(GatewayError::OutcomeUnknown(_))),
                "{} {fault:?}: {outcome:?}",
                stage.name
            );
            // The same trouble with a question is only a delay.
            stage.fail(fault.clone());
            let read = Read::object(ObjectKind::Customer, "cus_none");
            let outcome = stage.gateway.read(&OWN, &read).await;
            // What is cut in the middle of a question is an error page here, with its status.
            let is_late = matches!(outcome, Err(GatewayError::Transient(_)));
            let is_missing = fault == Fault::TruncatedBody;
            assert!(is_late || is_missing, "{} {fault:?}: {outcome:?}", stage.name);
        }
    }
}

#[tokio::test]
async fn what_stripe_will_not_take_now_and_what_it_refuses_are_told_apart() {
    for stage in stages().await {
        let call = new_customer("Acme");
        for fault in [Fault::TooMany(Some(7)), Fault::TooMany(None), Fault::Locked] {
            stage.fail(fault.clone());
            let outcome = stage.gateway.call(&OWN, intent(), &call).await;
            let Err(GatewayError::Transient(delay)) = outcome else {
                panic!("{} {fault:?}: {outcome:?}", stage.name)
            };
            let wanted = (fault == Fault::TooMany(Some(7)) && stage.sees_headers).then_some(Duration::from_secs(7));
            assert_eq!(delay.retry_after, wanted, "{} {fault:?}", stage.name);
        }
        stage.fail(Fault::Declined);
        let outcome = stage.gateway.call(&OWN, intent(), &call).await;
        let Err(GatewayError::Permanent(refusal)) = outcome else {
            panic!("{}: {outcome:?}", stage.name)
        };
        let said = (
            refusal.status,
            refusal.code.as_deref(),
            refusal.decline_code.as_deref(),
            refusal.param.as_deref(),
        );
        assert_eq!(
            said,
            (
                402,
                Some("card_declined"),
                Some("insufficient_funds"),
                Some("payment_method")
            ),
            "{}",
            stage.name
        );
        assert_eq!(refusal.message, "Your card has insufficient funds.", "{}", stage.name);
        stage.fail(Fault::Unauthorized);
        let outcome = stage.gateway.call(&OWN, intent(), &call).await;
        assert!(
            matches!(&outcome, Err(GatewayError::Permanent(refusal)) if refusal.status == 401),
            "{}: {outcome:?}",
            stage.name
        );
        let missing = stage
            .gateway
            .read(&OWN, &Read::object(ObjectKind::Invoice, "in_none"))
            .await;
        assert!(
            matches!(&missing, Err(GatewayError::Permanent(refusal)) if refusal.is_missing()),
            "{}: {missing:?}",
            stage.name
        );
    }
}

#[tokio::test]
async fn a_lost_reply_is_found_by_the_same_key_and_by_looking() {
    for stage in stages().await {
        let (intent, call) = (intent(), new_customer("Acme"));
        let before = Timestamp::from_chrono(chrono::Utc::now());
        stage.fail(Fault::LostReply);
        assert!(stage.gateway.call(&OWN, intent, &call).await.is_err(), "{}", stage.name);
        let found = look_up(&*stage.gateway, &OWN, intent.intent, &call, before)
            .await
            .unwrap();
        let Found::Done(object) = found else {
            panic!("{}: {found:?}", stage.name)
        };
        let again = stage.gateway.call(&OWN, intent, &call).await.unwrap();
        assert_eq!(again.object, *object, "{}", stage.name);
        assert_eq!(stage.effects()[&intent.to_string()], 1, "{}", stage.name);
        let nobody = look_up(&*stage.gateway, &OWN, super::intent().intent, &call, before)
            .await
            .unwrap();
        assert_eq!(nobody, Found::NotDone, "{}", stage.name);
    }
}

#[tokio::test]
async fn walks_see_every_object_once_in_both_directions_and_go_on_where_they_were() {
    for stage in stages().await {
        for nth in 0..250 {
            stage.put("events", json!({"id": format!("evt_{nth}"), "object": "event"}));
        }
        let list = || Listing::Events {
            types: Vec::new(),
            since: None,
        };
        let mut older = Walk::older(list(), None);
        let mut seen = Vec::new();
        while let Some(page) = older.read(&*stage.gateway, &OWN).await.unwrap() {
            // Not recorded: the page stays the current one.
            let again = older.read(&*stage.gateway, &OWN).await.unwrap().unwrap();
            assert_eq!(again.object, page.object, "{}", stage.name);
            seen.extend(page.rows().iter().map(|row| row["id"].as_str().unwrap().to_owned()));
            older.recorded();
            // A new walk from the cursor is the same walk.
            older = match older.cursor() {
                Some(cursor) if !older.is_finished() => Walk::older(list(), Some(cursor)),
                _ => older,
            };
        }
        let wanted: Vec<String> = (0..250).rev().map(|nth| format!("evt_{nth}")).collect();
        assert_eq!(seen, wanted, "{}", stage.name);
        let mut newer = Walk::newer(list(), "evt_9");
        let mut seen = Vec::new();
        while let Some(page) = newer.read(&*stage.gateway, &OWN).await.unwrap() {
            seen.extend(page.rows().iter().map(|row| row["id"].as_str().unwrap().to_owned()));
            newer.recorded();
        }
        let wanted: Vec<String> = (10..250).map(|nth| format!("evt_{nth}")).collect();
        assert_eq!(seen, wanted, "{}", stage.name);
        assert_eq!(newer.cursor(), Some("evt_249"), "{}", stage.name);
    }
}

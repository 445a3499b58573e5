//! What goes wrong at Stripe and on the way: one effect, one end, and reads that go on.

use serde_json::{Value, json};

use super::portal::{Portal, team};
use crate::stripe_api::Fault;
use crate::support::{figure, stores, stripe};

#[tokio::test(flavor = "multi_thread")]
async fn whatever_happens_to_a_reply_the_command_has_one_effect() {
    let faults = || {
        vec![
            vec![Fault::LostReply],
            vec![Fault::Cut],
            vec![Fault::Failure],
            vec![Fault::Locked],
            vec![Fault::TooMany(Some(1))],
            vec![Fault::ForeignPage],
            vec![Fault::TruncatedBody],
            vec![Fault::Failure, Fault::LostReply, Fault::TooMany(None)],
        ]
    };
    for store in stores().await {
        let portal = Portal::open(store).await;
        let mut tried = 0;
        for (account, faults) in (1_u32..).zip(faults()) {
            portal.subscribed(account, team(account, 1)).await;
            // A key at Stripe, and the one request that has none.
            for (path, body) in [
                ("subscription/change-quantity", json!({ "quantity": 4 })),
                ("subscription/cancel", json!({ "when": "now" })),
            ] {
                faults.iter().for_each(|fault| portal.stripe.fail(fault.clone()));
                let id = portal.accepted(account, path, &body).await;
                let applied = portal.until(account, &id, "applied").await;
                assert_eq!(
                    portal.stripe.effects().get(&id),
                    Some(&1),
                    "{faults:?} {path}: {applied}"
                );
                let tries = portal.sent(&id).len();
                assert!(tries <= faults.len() + 1, "{faults:?} {path}: {tries}");
                tried += 1;
            }
        }
        portal.effects_are_single();
        figure(&format!(
            "{}: {tried} commands through lost replies, 500, 429, 409: one effect each",
            portal.store()
        ));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_stripe_refuses_is_rejected_with_a_reason() {
    for store in stores().await {
        let portal = Portal::open(store).await;
        for account in 1..=3 {
            portal.subscribed(account, team(account, 1)).await;
        }
        let quantity = json!({ "quantity": 2 });
        let path = "subscription/change-quantity";
        // The key is revoked: what was asked for ends, and says who has to act.
        portal.stripe.fail(Fault::Unauthorized);
        let id = portal.accepted(1, path, &quantity).await;
        let told = portal.until(1, &id, "rejected").await;
        assert_eq!(
            (&told["problem"]["code"], &told["problem"]["reason"]),
            (&json!("stripe-rejected"), &json!("not_allowed"))
        );
        portal.stripe.fail(Fault::Declined);
        let id = portal.accepted(2, path, &quantity).await;
        let told = portal.until(2, &id, "rejected").await;
        assert_eq!(told["problem"]["decline_code"], "insufficient_funds");
        // A key of the other mode does not find the object.
        let mut unknown = team(4, 1);
        unknown["id"] = json!("sub_other_mode");
        portal
            .tell("customer.subscription.created", stripe::now() - 60, &unknown, None)
            .await;
        portal.server.settled().await;
        let id = portal.accepted(4, path, &quantity).await;
        let told = portal.until(4, &id, "rejected").await;
        assert_eq!(
            (&told["problem"]["reason"], &told["problem"]["stripe_code"]),
            (&json!("not_found"), &json!("resource_missing"))
        );
        // After a refusal the account is as it was, and takes the next command.
        assert_eq!(portal.get(2, "subscription").await["quantity"], 1);
        let id = portal.accepted(2, path, &quantity).await;
        portal.until(2, &id, "applied").await;
        assert_eq!(portal.stripe.effects().len(), 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn while_stripe_is_down_commands_wait_in_their_order_and_reads_go_on() {
    for store in stores().await {
        let portal = Portal::open(store).await;
        portal.subscribed(1, team(1, 1)).await;
        let charge = json!({ "id": "ch_1", "object": "charge", "amount": 4900, "amount_captured": 4900, "amount_refunded": 0,
            "currency": "usd", "customer": "cus_000001", "status": "succeeded", "captured": true, "paid": true,
            "disputed": false, "created": stripe::now() - 600, "livemode": false, "payment_intent": "pi_1" });
        portal
            .tell("charge.succeeded", stripe::now() - 600, &charge, None)
            .await;
        portal.server.settled().await;
        for _ in 0..4 {
            portal.stripe.fail(Fault::Cut);
        }
        // The last one is about something else, and waits all the same.
        let refund = json!({ "payment": "ch_1", "amount_minor": 100, "reason": "duplicate" });
        let mut asked = Vec::new();
        for (path, body) in [
            ("subscription/change-quantity", json!({ "quantity": 4 })),
            ("subscription/cancel", json!({})),
            ("refunds", refund),
        ] {
            asked.push(portal.accepted(1, path, &body).await);
        }
        let standing = portal.get(1, "subscription").await;
        assert_eq!(
            (&standing["status"], &standing["quantity"]),
            (&json!("active"), &json!(1))
        );
        let open = portal.get(1, "commands").await;
        let statuses: Vec<&Value> = open["data"]
            .as_array()
            .unwrap()
            .iter()
            .map(|command| &command["status"])
            .collect();
        assert!(
            statuses
                .iter()
                .all(|status| *status == "accepted" || *status == "unknown"),
            "{statuses:?}"
        );
        for id in &asked {
            portal.until(1, id, "applied").await;
        }
        let mut sent: Vec<String> = portal
            .stripe
            .wire()
            .iter()
            .filter_map(|wire| wire.header("idempotency-key").map(str::to_owned))
            .collect();
        sent.dedup();
        assert_eq!(sent, asked, "each after the one before it has ended");
        portal.effects_are_single();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_key_for_stripe_commands_say_so_and_reads_go_on() {
    for store in stores().await {
        let portal = Portal::with(store, |mut launch| {
            launch.environment.retain(|(name, _)| name != "STRIPE_SECRET_KEY");
            launch
        })
        .await;
        portal.subscribed(1, team(1, 1)).await;
        for path in ["subscription/cancel", "checkout-sessions", "portal-sessions"] {
            let body = if path == "checkout-sessions" {
                json!({ "plan": "team" })
            } else {
                json!({})
            };
            let answer = portal.ask(1, path, &body).await;
            assert_eq!(
                (answer.status, &answer.json()["code"]),
                (503, &json!("not-configured")),
                "{path}"
            );
        }
        assert_eq!(portal.get(1, "subscription").await["status"], "active");
    }
}

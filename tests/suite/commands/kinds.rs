//! Every kind of command, from the request to its confirmation.

use serde_json::{Value, json};

use super::portal::{Portal, bare, team};
use crate::support::{stores, stripe};

/// A command: how it is asked for, what Stripe is told, and how the subscription stands afterwards.
struct Kind {
    path: &'static str,
    body: Value,
    /// How the subscription stands before.
    before: fn(&mut Value),
    method: &'static str,
    /// Below the subscription's own path.
    target: &'static str,
    form: &'static str,
    after: fn(&mut Value),
}

fn unchanged(_: &mut Value) {}

fn canceling(object: &mut Value) {
    object["cancel_at_period_end"] = json!(true);
    object["cancel_at"] = object["items"]["data"][0]["current_period_end"].clone();
}

fn kept(object: &mut Value) {
    object["cancel_at_period_end"] = json!(false);
    object["cancel_at"] = Value::Null;
}

#[expect(clippy::too_many_lines, reason = "one row a kind")]
fn kinds() -> Vec<Kind> {
    let in_a_month = "2030-01-01T00:00:00Z";
    vec![
        Kind {
            path: "subscription/change-quantity",
            body: json!({ "quantity": 4 }),
            before: unchanged,
            method: "POST",
            target: "",
            form: "items[0][id]=si_ACCOUNT&items[0][quantity]=4&metadata[subledger_intent]=INTENT&proration_behavior=create_prorations",
            after: |object| object["items"]["data"][0]["quantity"] = json!(4),
        },
        Kind {
            path: "subscription/change-quantity",
            body: json!({ "delta": -1, "proration": "none" }),
            before: |object| object["items"]["data"][0]["quantity"] = json!(3),
            method: "POST",
            target: "",
            form: "items[0][id]=si_ACCOUNT&items[0][quantity]=2&metadata[subledger_intent]=INTENT&proration_behavior=none",
            after: |object| object["items"]["data"][0]["quantity"] = json!(2),
        },
        Kind {
            path: "subscription/change-plan",
            body: json!({ "plan": "enterprise", "effective": "now" }),
            before: unchanged,
            method: "POST",
            target: "",
            form: "items[0][id]=si_ACCOUNT&items[0][price]=price_enterprise_month&items[0][quantity]=1&metadata[subledger_intent]=INTENT&proration_behavior=create_prorations",
            after: |object| object["items"]["data"][0]["price"]["id"] = json!("price_enterprise_month"),
        },
        Kind {
            path: "subscription/cancel",
            body: json!({ "reason": "too_expensive" }),
            before: unchanged,
            method: "POST",
            target: "",
            form: "cancel_at_period_end=true&cancellation_details[feedback]=too_expensive&metadata[subledger_intent]=INTENT",
            after: canceling,
        },
        Kind {
            path: "subscription/cancel",
            body: json!({ "when": "now" }),
            before: unchanged,
            method: "DELETE",
            target: "",
            form: "invoice_now=false&prorate=false",
            after: |object| {
                object["status"] = json!("canceled");
                object["ended_at"] = json!(stripe::now());
                object["canceled_at"] = json!(stripe::now());
            },
        },
        Kind {
            path: "subscription/resume",
            body: bare(),
            before: canceling,
            method: "POST",
            target: "",
            form: "cancel_at=&metadata[subledger_intent]=INTENT",
            after: kept,
        },
        Kind {
            path: "subscription/pause",
            body: json!({ "mode": "collection", "until": in_a_month }),
            before: unchanged,
            method: "POST",
            target: "",
            form: "metadata[subledger_intent]=INTENT&pause_collection[behavior]=keep_as_draft&pause_collection[resumes_at]=1893456000",
            after: |object| {
                object["pause_collection"] = json!({ "behavior": "keep_as_draft", "resumes_at": 1_893_456_000 });
            },
        },
        Kind {
            path: "subscription/unpause",
            body: bare(),
            before: |object| {
                object["pause_collection"] = json!({ "behavior": "keep_as_draft", "resumes_at": null });
            },
            method: "POST",
            target: "",
            form: "metadata[subledger_intent]=INTENT&pause_collection=",
            after: |object| object["pause_collection"] = Value::Null,
        },
        Kind {
            path: "subscription/pause",
            body: json!({ "mode": "subscription" }),
            before: |object| object["billing_mode"] = json!({ "type": "flexible" }),
            method: "POST",
            target: "/pause",
            form: "type=subscription",
            after: |object| object["status"] = json!("paused"),
        },
        Kind {
            path: "subscription/apply-coupon",
            body: json!({ "code": "HALF" }),
            before: unchanged,
            method: "POST",
            target: "",
            form: "discounts[0][coupon]=HALF&metadata[subledger_intent]=INTENT",
            after: unchanged,
        },
        Kind {
            path: "subscription/extend-trial",
            body: json!({ "days": 7, "reason": "a hard start" }),
            before: |object| {
                object["status"] = json!("trialing");
                object["trial_start"] = json!(1_800_000_000);
                object["trial_end"] = json!(1_900_000_000);
            },
            method: "POST",
            target: "",
            form: "metadata[subledger_intent]=INTENT&proration_behavior=none&trial_end=1900604800",
            after: |object| object["trial_end"] = json!(1_900_604_800),
        },
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn every_command_about_a_subscription_is_carried_out_once_and_confirmed_by_its_webhook() {
    for store in stores().await {
        let portal = Portal::open(store).await;
        for (account, kind) in (1_u32..).zip(kinds()) {
            let mut object = team(account, 1);
            (kind.before)(&mut object);
            portal.subscribed(account, object.clone()).await;
            let id = portal.accepted(account, kind.path, &kind.body).await;
            let applied = portal.until(account, &id, "applied").await;
            assert_eq!(applied["stripe"]["request_id"], "req_1", "{applied}");
            let sent = portal.sent(&id);
            let place = format!("/v1/subscriptions/sub_{account:06}{}", kind.target);
            let lines: Vec<_> = sent
                .iter()
                .map(|wire| (&*wire.method, wire.target.split('?').next()))
                .collect();
            assert_eq!(
                lines,
                [(kind.method, Some(&*place))],
                "{} {}",
                portal.store(),
                kind.path
            );
            let form = if kind.method == "DELETE" {
                sent[0].body.clone() + sent[0].target.split_once('?').map_or("", |(_, query)| query)
            } else {
                portal.form(&id)
            };
            let wanted = kind
                .form
                .replace("INTENT", &id)
                .replace("ACCOUNT", &format!("{account:06}"));
            assert_eq!(form, wanted, "{} {}", portal.store(), kind.path);

            (kind.after)(&mut object);
            let word = if object["status"] == "canceled" {
                "customer.subscription.deleted"
            } else {
                "customer.subscription.updated"
            };
            portal.tell(word, stripe::now(), &object, Some(&id)).await;
            let confirmed = portal.until(account, &id, "confirmed").await;
            assert!(confirmed["events"].as_array().unwrap().len() >= 3, "{confirmed}");
            let list = portal.get(account, "commands").await;
            assert_eq!(list["data"].as_array().unwrap().len(), 1);
            assert_eq!(list["data"][0]["command_id"], id);
        }
        portal.effects_are_single();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wait_for_the_end_answers_with_it() {
    for store in stores().await {
        let portal = Portal::open(store).await;
        portal.subscribed(1, team(1, 2)).await;
        // Nothing has to be done.
        let answer = portal
            .ask(1, "subscription/change-quantity", &json!({ "quantity": 2 }))
            .await;
        let told = answer.json();
        assert_eq!(
            (answer.status, &told["status"], &told["already_applied"]),
            (200, &json!("confirmed"), &json!(true))
        );
        portal.stripe.fail(crate::stripe_api::Fault::Declined);
        let waits = [("Idempotency-Key", "wait-1"), ("Prefer", "wait=10")];
        let answer = portal
            .ask_with(1, "subscription/change-quantity", &json!({ "quantity": 5 }), &waits)
            .await;
        let told = answer.json();
        assert_eq!((answer.status, &told["status"]), (200, &json!("rejected")), "{told}");
        let problem = &told["problem"];
        assert_eq!(
            (&problem["code"], &problem["decline_code"], &problem["reason"]),
            (
                &json!("stripe-declined"),
                &json!("insufficient_funds"),
                &json!("declined")
            ),
            "{told}"
        );
    }
}

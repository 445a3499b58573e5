//! The webhook before, during and after the answer; and somebody else's change in the same second.

use serde_json::{Value, json};

use super::portal::{Portal, team};
use crate::stripe_api::Fault;
use crate::support::{stores, stripe};

/// A command without what differs from run to run.
fn shape(command: &Value) -> Value {
    let mut shape = command.clone();
    for field in ["command_id", "accepted_at", "updated_at", "position", "events"] {
        shape[field] = json!(null);
    }
    shape["stripe"]["subscription"] = json!(null);
    shape["stripe"]["object"] = json!(null);
    shape
}

#[tokio::test(flavor = "multi_thread")]
async fn the_webhook_before_during_and_after_the_answer_ends_the_same() {
    for store in stores().await {
        let portal = Portal::open(store).await;
        let mut ends = Vec::new();
        for (account, order) in (1_u32..).zip(["before", "during", "after"]) {
            portal.subscribed(account, team(account, 1)).await;
            if order != "after" {
                // Stripe has done it; its answer takes a while.
                portal.stripe.fail(Fault::Slow(700));
            }
            let id = portal
                .accepted(account, "subscription/change-quantity", &json!({ "quantity": 4 }))
                .await;
            while portal.sent(&id).is_empty() {
                tokio::time::sleep(std::time::Duration::from_millis(5)).await;
            }
            match order {
                "before" => {}
                "during" => tokio::time::sleep(std::time::Duration::from_millis(690)).await,
                _ => drop(portal.until(account, &id, "applied").await),
            }
            let mut after = team(account, 4);
            after["items"]["data"][0]["quantity"] = json!(4);
            portal
                .tell("customer.subscription.updated", stripe::now(), &after, Some(&id))
                .await;
            let confirmed = portal.until(account, &id, "confirmed").await;
            // The answer that is still on its way changes nothing but its own mark.
            let mut last = confirmed;
            while last["stripe"]["request_id"] == json!(null) {
                tokio::time::sleep(std::time::Duration::from_millis(20)).await;
                last = portal.command(account, &id).await;
                assert_eq!(last["status"], "confirmed");
            }
            assert_eq!(last["events"].as_array().unwrap().len(), 3, "{order}: {last}");
            portal.server.settled().await;
            let standing = portal.get(account, "subscription").await;
            ends.push((shape(&last), standing["quantity"].clone(), standing["status"].clone()));
        }
        assert!(
            ends.windows(2).all(|pair| pair[0] == pair[1]),
            "{}: {ends:?}",
            portal.store()
        );
        portal.effects_are_single();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_real_change_in_the_same_second_as_ours_is_not_swallowed() {
    for store in stores().await {
        for ours_first in [true, false] {
            let account = if ours_first { 1 } else { 2 };
            let portal = Portal::open(match store.kind {
                crate::support::Kind::Sqlite => crate::support::TestStore::sqlite(),
                crate::support::Kind::Postgres => crate::support::TestStore::postgres().await.unwrap(),
            })
            .await;
            portal.subscribed(account, team(account, 1)).await;
            let id = portal
                .accepted(account, "subscription/change-quantity", &json!({ "quantity": 4 }))
                .await;
            portal.until(account, &id, "applied").await;
            let second = stripe::now();
            let (ours, theirs) = (team(account, 4), team(account, 7));
            let kind = "customer.subscription.updated";
            // Both are of one second; somebody in the portal changed 4 to 7.
            let told = async |is_ours: bool| {
                if is_ours {
                    portal.tell(kind, second, &ours, Some(&id)).await;
                } else {
                    let mut event = stripe::event("evt_theirs", kind, second, &theirs);
                    let mut before = team(account, 4)["items"].clone();
                    before["data"][0]["quantity"] = json!(4);
                    event["data"]["previous_attributes"] = json!({ "items": before });
                    let answer = portal.server.deliver(event.to_string().as_bytes()).await;
                    assert_eq!(answer.status, 200);
                }
                portal.server.settled().await;
            };
            told(ours_first).await;
            told(!ours_first).await;
            portal.until(account, &id, "confirmed").await;
            let standing = portal.get(account, "subscription").await;
            assert_eq!(standing["quantity"], 7, "{} ours first: {ours_first}", portal.store());
            let stream = format!("tenant:tenant-{account:06}");
            let log = portal
                .server
                .get(&format!("/v1/audit/events?limit=200&stream={stream}"))
                .await;
            let snapshots = log["data"]
                .as_array()
                .unwrap()
                .iter()
                .filter(|line| line["family"] == "life");
            let receipts: std::collections::BTreeSet<String> =
                snapshots.map(|line| line["receipt"].to_string()).collect();
            assert!(receipts.iter().any(|it| it.contains("evt_theirs")), "{log}");
        }
    }
}

//! Stripe's own sample objects of every API version, from a delivery to a settled receipt.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use subledger::inbox::{ReceiptFilter, Received, State};

use super::world::{World, delivery};
use crate::support::stores;
use crate::support::stripe::event;
use crate::translate::samples::{Samples, of_listed_types, versions};

const DAY: i64 = 1_790_000_000;
/// Receipts that one round may leave; a version has about 320 deliveries.
const ALL: u32 = 10_000;

/// Every listed type around its sample, and every sample under a type nobody listed.
fn deliveries(version: &str, samples: &Samples) -> Vec<Value> {
    let listed = of_listed_types(samples);
    let unlisted = samples
        .iter()
        .map(|(object, sample)| (format!("{object}.sampled"), sample));
    let mut deliveries = Vec::new();
    for (nth, (kind, sample)) in listed.into_iter().chain(unlisted).enumerate() {
        let at = DAY + i64::try_from(nth).unwrap();
        let mut delivery = event(&format!("evt_{nth}"), &kind, at, sample);
        delivery["api_version"] = json!(version);
        deliveries.push(delivery);
    }
    deliveries
}

#[tokio::test(flavor = "multi_thread")]
async fn every_sample_of_every_version_is_stored_and_settled() {
    for (version, samples) in versions() {
        let deliveries = deliveries(&version, &samples);
        for store in stores().await {
            let world = World::open(&store).await;
            let now = subledger::clock::Clock::system().now();
            let sent = deliveries
                .iter()
                .map(|body| world.receiver.receive(delivery(body, now)));
            for received in futures::future::join_all(sent).await {
                assert_eq!(received.expect("stored"), Received::Stored, "{version}");
            }
            world.settle().await;
            let filter = ReceiptFilter::default();
            let receipts = world.receipts.list(&filter, None, ALL).await.unwrap();
            assert_eq!(receipts.len(), deliveries.len(), "{version}");
            let mut outcomes = BTreeSet::new();
            for receipt in receipts {
                let kind = receipt.event_type.expect("a type");
                let said = format!("{version} {kind}: {:?} {:?}", receipt.state, receipt.reason);
                assert!(!matches!(receipt.state, State::New | State::Quarantined), "{said}");
                let unlisted = kind.ends_with(".sampled");
                assert!(!unlisted || receipt.state == State::Ignored, "{said}");
                outcomes.insert(receipt.state.as_str());
            }
            assert!(
                outcomes.contains("applied") && outcomes.contains("parked"),
                "{version}: {outcomes:?}"
            );
            assert!(world.log().await.len() > 50, "{version}");
            world.close().await;
        }
    }
}

//! A new plan catalogue leaves a version, and the log says since when it holds.

use std::path::Path;

use serde_json::Value;

use crate::support::server::{Launch, Server};
use crate::support::{TestStore, stores};

/// Versions that the log says were loaded, newest first.
async fn recorded(server: &mut Server) -> Vec<u64> {
    server.settled().await;
    let events = server.get("/v1/audit/events?type=operation.catalogue_loaded").await;
    let events = events["data"].as_array().expect("a list").clone();
    let mut versions = Vec::new();
    for event in events {
        let address = event["position"].as_str().expect("an address");
        let whole = server.get(&format!("/v1/audit/events/{address}")).await;
        assert_eq!(whole["cause"]["actor"], "job:catalogue", "{whole}");
        versions.push(
            whole["payload"]["catalogue_loaded"]["version"]
                .as_u64()
                .expect("a version"),
        );
    }
    versions
}

async fn serve(store: &TestStore, file: &Path) -> (Vec<u64>, Value) {
    let launch = Launch::new(store).with("SUBLEDGER__PLANS__FILE", file.to_str().expect("a path"));
    let mut server = launch.start().await;
    let said = (
        recorded(&mut server).await,
        server.get("/v1/plans").await["catalogue_version"].clone(),
    );
    server.terminate();
    assert_eq!(server.ended().await, Some(0));
    said
}

#[tokio::test]
async fn each_version_of_the_catalogue_is_recorded_once() {
    for store in stores().await {
        let (first, second) = (
            store.data_dir().join("first.toml"),
            store.data_dir().join("second.toml"),
        );
        let text = include_str!("../../../examples/plans/three-tiers.toml");
        std::fs::write(&first, text).unwrap();
        std::fs::write(&second, text.replacen("most_popular = true", "most_popular = false", 1)).unwrap();
        assert_ne!(std::fs::read(&first).unwrap(), std::fs::read(&second).unwrap());
        for (file, versions, current) in [
            (&first, &[1][..], 1),
            (&first, &[1], 1),
            (&second, &[2, 1], 2),
            (&second, &[2, 1], 2),
            // What was in force before holds again; what was recorded stays.
            (&first, &[2, 1], 1),
        ] {
            assert_eq!(serve(&store, file).await, (versions.to_vec(), current.into()));
        }
    }
}

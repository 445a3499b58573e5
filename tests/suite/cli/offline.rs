//! Commands while no server runs: they open the ledger themselves, or say who has it.

use std::os::unix::fs::PermissionsExt;

use aggregates::time::Timestamp;
use projections::db::{Db, DbConfig};

use super::{code, err, json, out, run};
use crate::support::server::Launch;
use crate::support::{Kind, TestStore, stores};

#[tokio::test]
async fn migrate_lists_applies_and_refuses_another_number_of_partitions() {
    for store in stores().await {
        let launch = Launch::new(&store);
        let before = json(&launch, &["migrate", "--dry-run"]);
        assert!(
            before.as_array().unwrap().iter().all(|m| m["applied"] == false),
            "{before}"
        );
        let (parts, other) = if store.kind == Kind::Sqlite {
            ("1", "2")
        } else {
            ("8", "16")
        };
        let made = json(&launch, &["migrate", "--partitions", parts]);
        assert_eq!(made["partitions"].to_string(), parts);
        let after = json(&launch, &["migrate", "--dry-run"]);
        assert!(
            after.as_array().unwrap().iter().all(|m| m["applied"] == true),
            "{after}"
        );
        assert_eq!(
            json(&launch, &["migrate"])["ledger"],
            made["ledger"],
            "a second run changes nothing"
        );
        let refused = run(&launch, &["migrate", "--partitions", other]);
        let exit = if store.kind == Kind::Sqlite { 3 } else { 5 };
        assert_eq!(code(&refused), exit, "{}", err(&refused));
        assert!(err(&refused).contains("partitions"), "{}", err(&refused));
    }
}

#[tokio::test]
async fn init_writes_private_files_once_and_gives_the_first_key() {
    let store = TestStore::sqlite();
    let launch = Launch::new(&store);
    let directory = store.data_dir().join("made");
    let directory = directory.to_str().unwrap();
    let made = run(&launch, &["init", "--dir", directory]);
    assert_eq!(code(&made), 0, "{}", err(&made));
    let key = out(&made).trim().to_owned();
    assert!(key.starts_with("subl_test_"), "{key}");
    let env = store.data_dir().join("made/subledger.env");
    assert_eq!(std::fs::metadata(&env).unwrap().permissions().mode() & 0o777, 0o600);
    let again = run(&launch, &["init", "--dir", directory]);
    assert_eq!(code(&again), 2);
    assert!(err(&again).contains("is there already"), "{}", err(&again));
    let mut server = launch.start().await;
    let bearer = format!("Bearer {key}");
    let answer = server
        .send("GET", "/v1/whoami", &[("Authorization", &bearer)], b"")
        .await;
    assert_eq!(answer.status, 200);
    assert!(!server.log().contains(&key), "a key is shown once");
    server.terminate();
    assert_eq!(server.ended().await, Some(0));
    let file = store.data_dir().join("made/subledger.toml");
    assert_eq!(
        code(&run(&launch, &["--config", file.to_str().unwrap(), "config", "check"])),
        0
    );
}

#[tokio::test]
async fn keys_live_their_life_without_a_server() {
    for store in stores().await {
        let launch = Launch::new(&store);
        let made = json(
            &launch,
            &["keys", "create", "--name", "portal", "--scopes", "entitlements:read"],
        );
        let (id, secret) = (made["id"].as_str().unwrap(), made["secret"].as_str().unwrap());
        let list = run(&launch, &["keys", "list", "--output", "json"]);
        assert!(
            !out(&list).contains(secret.rsplit('_').next().unwrap()),
            "a secret is shown once"
        );
        assert!(out(&list).contains(id));
        let turned = json(&launch, &["keys", "rotate", id, "--overlap-h", "1"]);
        let new = turned["id"].as_str().unwrap();
        assert_eq!(code(&run(&launch, &["keys", "revoke", new, "--yes"])), 0);
        let gone = run(&launch, &["keys", "revoke", "nosuchid", "--yes"]);
        assert_eq!(code(&gone), 1, "{}", err(&gone));
    }
}

#[tokio::test]
async fn a_ledger_that_another_process_holds_is_refused_with_its_name() {
    let store = TestStore::sqlite();
    let url = format!("sqlite:{}", store.data_dir().join("ledger.db").display());
    let mut config = DbConfig::new(&url, Timestamp::EPOCH);
    config.holder = "a test that holds it".to_owned();
    let held = Db::open(&config).await.unwrap();
    let refused = run(&Launch::new(&store), &["keys", "list"]);
    assert_eq!(code(&refused), 4, "{}", err(&refused));
    assert!(err(&refused).contains("a test that holds it"), "{}", err(&refused));
    held.close().await;
}

#[tokio::test]
async fn doctor_finds_what_is_missing() {
    let store = TestStore::sqlite();
    let launch = Launch::new(&store).with("STRIPE_WEBHOOK_SECRET", "");
    let sick = run(&launch, &["doctor"]);
    assert_eq!(code(&sick), 6, "{}", err(&sick));
    assert!(out(&sick).contains("set STRIPE_WEBHOOK_SECRET"), "{}", out(&sick));
    let launch = Launch::new(&store);
    json(&launch, &["migrate"]);
    let well = json(&launch, &["doctor"]);
    assert!(
        well.as_array()
            .unwrap()
            .iter()
            .any(|row| row["detail"].to_string().contains("SQLite 3.")),
        "{well}"
    );
}

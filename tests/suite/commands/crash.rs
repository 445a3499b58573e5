//! The process ends at any place on a command's way, and starts again: one effect, one end, nothing forgotten.

use std::time::{Duration, Instant};

use projections::failpoint::FAILPOINTS;
use serde_json::{Value, json};

use super::portal::{Portal, team};
use crate::stripe_api::Fault;
use crate::support::dice::{Dice, seed};
use crate::support::{Kind, TestStore, figure, stores};

/// Longest wait for a place to be reached.
const REACHED: Duration = Duration::from_secs(30);

async fn fresh(kind: Kind) -> TestStore {
    match kind {
        Kind::Sqlite => TestStore::sqlite(),
        Kind::Postgres => TestStore::postgres().await.expect("Postgres, as the caller saw"),
    }
}

/// One place, and one command whose way leads past it.
async fn killed_at(kind: Kind, place: &str, path: &str, body: &Value) {
    let mut portal = Portal::open(fresh(kind).await).await;
    portal.subscribed(1, team(1, 1)).await;
    portal.server.terminate();
    portal.server.ended().await;
    let failpoint = ("SUBLEDGER_FAILPOINT".to_owned(), place.to_owned());
    portal.launch.environment.push(failpoint);
    portal.again().await;
    // The call follows so closely that the process may end before the answer is out.
    let key = uuid::Uuid::now_v7().to_string();
    let answer = portal.try_ask(1, path, body, &key).await;
    let begin = Instant::now();
    while portal.server.is_alive() {
        assert!(
            begin.elapsed() < REACHED,
            "{place} was never reached:\n{}",
            portal.server.log()
        );
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    portal
        .launch
        .environment
        .retain(|(name, _)| name != "SUBLEDGER_FAILPOINT");
    portal.again().await;
    let answer = match answer {
        Ok(answer) => answer,
        Err(_) => portal.try_ask(1, path, body, &key).await.expect("an answer"),
    };
    assert_eq!(answer.status, 202, "{kind:?} {place} {path}");
    let id = answer.json()["command_id"].as_str().expect("an id").to_owned();
    portal.until(1, &id, "applied").await;
    assert_eq!(portal.stripe.effects().get(&id), Some(&1), "{kind:?} {place} {path}");
    let told = portal.command(1, &id).await;
    assert_eq!(
        told["events"].as_array().unwrap().len(),
        2,
        "{kind:?} {place} {path}: {told}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_at_every_place_of_a_command_has_one_effect() {
    let mut done = 0;
    for store in stores().await {
        for (place, _) in FAILPOINTS.iter().filter(|(name, _)| name.starts_with("calls.")) {
            for (path, body) in [
                ("subscription/change-quantity", json!({ "quantity": 4 })),
                // The request for which Stripe keeps no keys.
                ("subscription/cancel", json!({ "when": "now" })),
            ] {
                killed_at(store.kind, place, path, &body).await;
                done += 1;
            }
        }
    }
    figure(&format!("commands killed at {done} places: one effect each"));
}

/// What a caller may ask for, over and over.
fn asked(dice: &mut Dice) -> (&'static str, Value) {
    match dice.below(5) {
        0 => ("subscription/change-quantity", json!({ "delta": 1 })),
        1 => ("subscription/cancel", json!({})),
        2 => ("subscription/resume", json!({})),
        3 => ("subscription/pause", json!({ "mode": "collection" })),
        _ => ("subscription/unpause", json!({})),
    }
}

fn fault(dice: &mut Dice) -> Option<Fault> {
    match dice.below(20) {
        0..=5 => Some(Fault::LostReply),
        6 | 7 => Some(Fault::Failure),
        8 | 9 => Some(Fault::TooMany(None)),
        10 | 11 => Some(Fault::Slow(300)),
        12 => Some(Fault::Declined),
        _ => None,
    }
}

/// Replies lost 30 %, 500 at 10 %, 429 at 10 %, slow 10 %, refusals 5 %, and the process killed again and again: every
/// recorded command ends, and Stripe's count of effects agrees with the ledger's one to one.
#[tokio::test(flavor = "multi_thread")]
async fn commands_survive_kills_and_faults_one_to_one() {
    const ACCOUNTS: u32 = 8;
    const ROUNDS: u32 = 6;
    let seed = seed(1);
    for store in stores().await {
        let mut dice = Dice(seed);
        let mut portal = Portal::open(store).await;
        for account in 1..=ACCOUNTS {
            portal.subscribed(account, team(account, 1)).await;
        }
        let mut recorded: Vec<(u32, String)> = Vec::new();
        for round in 0..ROUNDS {
            for account in 1..=ACCOUNTS {
                if let Some(fault) = fault(&mut dice) {
                    portal.stripe.fail(fault);
                }
                let (path, body) = asked(&mut dice);
                let answer = portal.ask(account, path, &body).await;
                let told = answer.json();
                match answer.status {
                    202 => recorded.push((account, told["command_id"].as_str().unwrap().to_owned())),
                    // Refused by the account as it stands.
                    200 | 409 => {}
                    status => panic!("seed {seed}: {status} {told}"),
                }
            }
            if round % 2 == 1 {
                tokio::time::sleep(Duration::from_millis(dice.below(400))).await;
                portal.server.kill();
                portal.again().await;
            }
        }
        let (mut applied, mut rejected, mut merged) = (0, 0, 0);
        for (account, id) in &recorded {
            let begin = Instant::now();
            let command = loop {
                let command = portal.command(*account, id).await;
                if ["applied", "confirmed", "rejected"].contains(&command["status"].as_str().unwrap()) {
                    break command;
                }
                assert!(
                    begin.elapsed() < Duration::from_secs(120),
                    "seed {seed}: {command}\n{}",
                    portal.server.log()
                );
                tokio::time::sleep(Duration::from_millis(50)).await;
            };
            let effects = portal.stripe.effects().get(id).copied().unwrap_or(0);
            if command["status"] == "rejected" {
                assert_eq!(effects, 0, "seed {seed}: {command}");
                rejected += 1;
            } else if command["merged_into"] != json!(null) {
                assert!(effects <= 1, "seed {seed}: {command}");
                merged += 1;
            } else {
                assert_eq!(effects, 1, "seed {seed}: {command}");
                applied += 1;
            }
        }
        // Nothing at Stripe that nobody asked for.
        for key in portal.stripe.effects().keys() {
            assert!(recorded.iter().any(|(_, id)| id == key), "seed {seed}: {key}");
        }
        portal.effects_are_single();
        figure(&format!(
            "{}: {} commands through faults and {} kills: {applied} applied, {rejected} rejected, {merged} merged, 0 doubled",
            portal.store(),
            recorded.len(),
            ROUNDS / 2
        ));
    }
}

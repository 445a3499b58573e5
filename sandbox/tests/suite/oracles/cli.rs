//! Stripe's command line tool: its calls, and its recipes that make events.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::task::JoinSet;

use super::recipes::{RECIPES, Recipe};
use super::{Ran, SECRET, World, run, skipped, tools_dir};

/// A key as the tool wants it: it counts the characters.
const KEY: &str = "sk_test_oracle0123456789012345";
/// Recipes at a time.
const LANES: usize = 4;

/// The installed tool, with a home folder of its own.
struct Cli {
    program: PathBuf,
    home: TempDir,
}

impl Cli {
    /// Nothing, with a printed reason, when it is not installed.
    fn find() -> Option<Arc<Self>> {
        let packages = tools_dir().join("node/node_modules/@stripe");
        let entries = std::fs::read_dir(&packages).into_iter().flatten().flatten();
        // The package of this machine holds the program itself: `cli-linux-x64` and its like.
        let programs = entries.map(|entry| entry.path().join("bin/stripe"));
        let works = |program: &PathBuf| {
            let answer = Command::new(program).arg("--help").output();
            answer.is_ok_and(|answer| answer.status.success())
        };
        let found = programs.filter(|program| program.is_file()).find(works);
        let Some(program) = found else {
            skipped(&format!(
                "Stripe's command line tool is not installed under {}; run tests/run",
                packages.display()
            ));
            return None;
        };
        let home = tempfile::tempdir().unwrap();
        Some(Arc::new(Self { program, home }))
    }

    async fn run(&self, world: &World, arguments: &[&str]) -> Ran {
        let mut command = Command::new(&self.program);
        command
            .args(arguments)
            .args(["--api-base", &world.base, "--color", "off"]);
        command.env_clear();
        command.env("HOME", self.home.path()).env("STRIPE_API_KEY", KEY);
        command.env("STRIPE_CLI_TELEMETRY_OPTOUT", "1");
        // It asks the network for newer versions of itself: here it finds none.
        command
            .env("HTTPS_PROXY", "http://127.0.0.1:9")
            .env("HTTP_PROXY", "http://127.0.0.1:9");
        command.env("NO_PROXY", "127.0.0.1");
        run(command, Vec::new()).await
    }

    /// The object that a call answers.
    async fn object(&self, world: &World, words: &str) -> Value {
        let arguments: Vec<&str> = words.split(' ').collect();
        let ran = self.run(world, &arguments).await;
        assert!(ran.succeeded, "{words}: {}", ran.output);
        let from = ran
            .output
            .find('{')
            .unwrap_or_else(|| panic!("{words}: {}", ran.output));
        let mut objects = serde_json::Deserializer::from_str(&ran.output[from..]).into_iter();
        let object: Value = objects.next().unwrap().unwrap();
        assert!(object.get("error").is_none(), "{words}: {object}");
        object
    }
}

/// What is wrong after a recipe ran, if anything.
async fn trigger(cli: &Cli, seed: u64, recipe: &Recipe) -> Result<(), String> {
    let world = World::start(seed, false).await;
    let ran = cli.run(&world, &["trigger", recipe.name]).await;
    if recipe.later > 0 {
        world.switch("/_sandbox/clock", &json!({"advance": recipe.later})).await;
    }
    let journal = world.journal().await;
    let mut events = journal["events"].as_array().unwrap().iter();
    let found = events.find(|event| event["kind"] == recipe.event);
    let outcome = match found {
        _ if !ran.succeeded => Err(format!("it failed: {}", ran.output)),
        None => {
            let made: Vec<&Value> = journal["events"]
                .as_array()
                .unwrap()
                .iter()
                .map(|event| &event["kind"])
                .collect();
            Err(format!("no {} in {made:?}: {}", recipe.event, ran.output))
        }
        Some(event) => {
            let id = event["id"].as_str().unwrap();
            match world.delivery(id).await {
                None => Err(format!("{id} was not delivered")),
                Some(received) if !received.signed_by(SECRET) => Err(format!("{id} is not signed")),
                Some(received) if received.kind() != recipe.event => Err(format!("{id} is {}", received.kind())),
                Some(_) => Ok(()),
            }
        }
    };
    world.running.stop().await;
    outcome
}

/// Every recipe ends well, with its event in the journal and signed at the endpoint; but for those that wait for a family.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_recipe_makes_its_event_and_has_it_delivered() {
    let Some(cli) = Cli::find() else { return };
    let names: BTreeSet<&str> = RECIPES.iter().map(|recipe| recipe.name).collect();
    assert_eq!(names.len(), RECIPES.len(), "a recipe stands in the table once");
    let mut lanes = JoinSet::new();
    for lane in 0..LANES {
        let cli = Arc::clone(&cli);
        lanes.spawn(async move {
            let mut wrong = Vec::new();
            for (place, recipe) in RECIPES.iter().enumerate().skip(lane).step_by(LANES) {
                let outcome = trigger(&cli, place as u64, recipe).await;
                match (outcome, recipe.waits) {
                    (Ok(()), None) | (Err(_), Some(_)) => {}
                    (Err(why), None) => wrong.push(format!("{}: {why}", recipe.name)),
                    (Ok(()), Some(family)) => {
                        wrong.push(format!("{} works: it waits for {family} no longer", recipe.name));
                    }
                }
            }
            wrong
        });
    }
    let mut wrong: Vec<String> = lanes.join_all().await.into_iter().flatten().collect();
    wrong.sort();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn its_calls_are_answered() {
    let Some(cli) = Cli::find() else { return };
    let world = World::start(31, false).await;
    let made = cli
        .object(&world, "post /v1/customers -d name=Ada -d metadata[team]=7")
        .await;
    let id = made["id"].as_str().unwrap();
    assert_eq!((&made["name"], &made["metadata"]["team"]), (&json!("Ada"), &json!("7")));
    // By id alone: the tool knows the path from the id's beginning.
    assert_eq!(cli.object(&world, &format!("get {id}")).await, made);
    assert_eq!(cli.object(&world, &format!("get /v1/customers/{id}")).await, made);
    let changed = cli.object(&world, &format!("customers update {id} --name Grace")).await;
    assert_eq!(changed["name"], "Grace");
    let listed = cli.object(&world, "customers list --limit 1").await;
    assert_eq!(listed["data"], json!([changed]));
    let product = cli.object(&world, "products create --name Plan").await;
    let price = format!(
        "prices create --product {} --currency eur --unit-amount 1500 -d recurring[interval]=month -e product",
        product["id"].as_str().unwrap()
    );
    assert_eq!(cli.object(&world, &price).await["product"]["name"], "Plan");
    let pay = "payment_intents create --amount 700 --currency eur -d confirm=true --payment-method pm_card_visa";
    assert_eq!(cli.object(&world, pay).await["status"], "succeeded");
    let same = "post /v1/customers -d name=Once -i key-of-the-tool";
    assert_eq!(cli.object(&world, same).await, cli.object(&world, same).await);
    let gone = cli.object(&world, &format!("delete /v1/customers/{id} -c")).await;
    assert_eq!(gone["deleted"], true);
    world.running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_has_an_event_sent_again() {
    let Some(cli) = Cli::find() else { return };
    let world = World::start(32, false).await;
    cli.object(&world, "customers create --name Ada").await;
    let event = cli.object(&world, "events list --limit 1").await["data"][0].clone();
    let id = event["id"].as_str().unwrap();
    assert_eq!(event["type"], "customer.created");
    assert!(world.delivery(id).await.unwrap().signed_by(SECRET));
    let endpoints = cli.object(&world, "webhook_endpoints list").await;
    let endpoint = endpoints["data"][0]["id"].as_str().unwrap();
    let again = cli
        .object(&world, &format!("events resend {id} --webhook-endpoint {endpoint}"))
        .await;
    assert_eq!(again["id"], id);
    let received = world.endpoint.wait(2).await;
    assert!(
        received
            .iter()
            .all(|one| one.value()["id"] == id && one.signed_by(SECRET))
    );
    assert_eq!(received.len(), 2);
    world.running.stop().await;
}

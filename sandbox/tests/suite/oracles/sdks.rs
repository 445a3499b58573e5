//! Stripe's Python and Node SDKs: every family by create, retrieve, update and list, errors, replays, and what the
//! sandbox sends.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use super::{SECRET, World, run, skipped, tools_dir};

#[derive(Clone, Copy, Debug)]
enum Sdk {
    Python,
    Node,
}

impl Sdk {
    /// The program with its script; nothing, with a printed reason, when it is not installed.
    fn command(self) -> Option<Command> {
        let tools = tools_dir();
        let package = tools.join("node/node_modules/stripe/package.json");
        let works = |program: &Path, argument: &str, code: &str| {
            let answer = Command::new(program).args([argument, code]).output();
            answer.is_ok_and(|answer| answer.status.success())
        };
        let (program, script, present) = match self {
            Self::Python => {
                let python = tools.join("venv/bin/python");
                let present = works(&python, "-c", "import stripe");
                (python, "sdk_oracle.py", present)
            }
            Self::Node => {
                let node = PathBuf::from("node");
                let present = package.exists() && works(&node, "-e", "0");
                (node, "sdk_oracle.js", present)
            }
        };
        if !present {
            let tools = tools.display();
            skipped(&format!(
                "the sandbox against Stripe's {self:?} SDK: it is not installed under {tools}; run tests/run"
            ));
            return None;
        }
        let mut command = Command::new(program);
        command.arg(
            Path::new(env!("CARGO_MANIFEST_DIR"))
                .join("tests/suite/oracles")
                .join(script),
        );
        if matches!(self, Self::Node) {
            command.arg(package);
        }
        Some(command)
    }
}

/// What the script has checked; it fails by itself.
async fn checked(sdk: Sdk, mut command: Command, arguments: &[&str], input: Value) -> Vec<String> {
    command.args(arguments);
    let ran = run(command, input.to_string().into_bytes()).await;
    assert!(ran.succeeded, "{sdk:?} {arguments:?}: {}", ran.output);
    let last = ran.output.lines().last().unwrap_or_default();
    serde_json::from_str(last).unwrap_or_else(|_| panic!("{sdk:?}: {}", ran.output))
}

/// What both scripts go through, in their order.
const CHECKED: &[&str] = &[
    "customers",
    "products",
    "products that go",
    "prices",
    "plans",
    "coupons",
    "promotion codes",
    "tax rates",
    "customer balance",
    "customer tax ids",
    "tax ids",
    "sources",
    "payment methods",
    "setup intents",
    "payment intents",
    "charges",
    "refunds",
    "disputes",
    "balance transactions",
    "webhook endpoints",
    "test clocks",
    "events",
    "thin events",
    "CardError",
    "InvalidRequestError",
    "InvalidRequestError",
    "replay",
    "IdempotencyError",
    "AuthenticationError",
    "RateLimitError",
    "APIError",
    "retries",
];

async fn uses_every_family(sdk: Sdk) {
    let Some(command) = sdk.command() else { return };
    // Signed now, because the SDKs compare with the machine's clock.
    let world = World::start(41, true).await;
    let thin = json!({"url": world.endpoint.url, "secret": SECRET, "thin": true});
    world.switch("/_sandbox/endpoints", &thin).await;
    let done = checked(sdk, command, &["calls", &world.base], Value::Null).await;
    assert_eq!(done, CHECKED, "{sdk:?}");
    let journal = world.journal().await;
    let events = journal["events"].as_array().unwrap().len();
    let received = world.endpoint.wait(2 * events).await;
    let given: Vec<Value> = received
        .iter()
        .map(|one| json!({"body": one.body, "signature": one.signature}))
        .collect();
    let Some(command) = sdk.command() else { return };
    let done = checked(sdk, command, &["deliveries", &world.base, SECRET], json!(given)).await;
    assert_eq!(done, ["snapshot", "thin"], "{sdk:?}");
    world.running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_python_sdk_uses_every_family() {
    uses_every_family(Sdk::Python).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_node_sdk_uses_every_family() {
    uses_every_family(Sdk::Node).await;
}

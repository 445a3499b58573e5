//! schemathesis reads the published document and tries to make the service break its word.

use std::process::Command;

use serde_json::json;

use crate::contract::gateway::SECRET;
use crate::stripe_api::Loopback;
use crate::support::server::Launch;
use crate::support::{figure, skipped, stores, stripe};

/// Cases per operation and phase: enough to reach every branch of the validators in about a minute.
const EXAMPLES: &str = "15";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn schemathesis_finds_nothing() {
    let program = super::tools_dir().join("venv/bin/schemathesis");
    if !program.exists() {
        return skipped("schemathesis: not installed (tests/run installs it)");
    }
    for store in stores().await {
        let at_stripe = Loopback::start().await;
        let preview = json!({ "object": "invoice", "currency": "usd", "total": 9_900, "amount_due": 9_900 });
        at_stripe.put("previews", preview);
        let server = Launch::new(&store)
            .with("STRIPE_SECRET_KEY", SECRET)
            .with("STRIPE_API_BASE", &at_stripe.base())
            .with("FRONTEND_URL", "https://app.example")
            .start()
            .await;
        let object = stripe::subscription(1, "active", 3, 1_789_900_000);
        let body = stripe::subscription_event("evt_schema1", 1_790_000_000, &object);
        assert_eq!(server.deliver(&body).await.status, 200);
        server.settled().await;
        let output = Command::new(&program)
            .current_dir(store.data_dir())
            .env(
                "SCHEMATHESIS_HOOKS",
                concat!(env!("CARGO_MANIFEST_DIR"), "/tests/suite/oracles/schemathesis_rules.py"),
            )
            .args([
                "--config-file",
                concat!(env!("CARGO_MANIFEST_DIR"), "/tests/suite/oracles/schemathesis.toml"),
            ])
            .arg("run")
            .arg(format!("http://{}/openapi.json", server.address))
            .args(["--header", &format!("Authorization: Bearer {}", server.admin_token())])
            .args([
                "--max-examples",
                EXAMPLES,
                "--seed",
                "20261121",
                "--no-color",
                // CPython 3.11 parses source in two threads at once with a SystemError of its own.
                "--workers",
                "1",
            ])
            // A stream has no end to wait for.
            .args(["--exclude-path-regex", "/stream$"])
            .args([
                "--suppress-health-check",
                "all",
                "--warnings",
                "off",
                "--continue-on-failure",
            ])
            .output()
            .expect("schemathesis");
        let text = String::from_utf8_lossy(&output.stdout);
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(
            output.status.success(),
            "{:?}:\n{text}\n{error}\n{}",
            store.kind,
            server.log()
        );
        let line = |of: &str, begin: &str| of.lines().find(|line| line.contains(begin)).map(str::to_owned);
        let judged = line(&error, "requests that fit the schema:").expect("the rules were applied");
        let cases = line(&text, " generated").expect("the number of cases");
        figure(&format!("schemathesis on {:?}: {}; {judged}", store.kind, cases.trim()));
    }
}

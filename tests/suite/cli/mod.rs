//! The real binary as a person at a terminal uses it.

mod catalogues;
mod changes;
mod demo;
mod documented;
mod hostile;
mod offline;
mod sandbox;
mod secrets;

use std::process::Output;

use serde_json::Value;

use crate::support::TestStore;
use crate::support::server::Launch;

/// Runs the binary to its end on a store, with nothing of the caller's own settings.
fn run(launch: &Launch, arguments: &[&str]) -> Output {
    launch
        .command(arguments)
        .stdin(std::process::Stdio::null())
        .output()
        .expect("the subledger binary")
}

fn code(output: &Output) -> i32 {
    output.status.code().expect("an exit code")
}

fn out(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn err(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Runs it, insists on exit 0, and reads its JSON.
fn json(launch: &Launch, arguments: &[&str]) -> Value {
    let all: Vec<&str> = arguments.iter().copied().chain(["--output", "json"]).collect();
    let output = run(launch, &all);
    assert_eq!(code(&output), 0, "{arguments:?}: {}", err(&output));
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{arguments:?}: {error}: {}", out(&output)))
}

/// Arguments, environment, exit code, a part of what is said.
type Case<'a> = (&'a [&'a str], &'a [(&'a str, &'a str)], i32, &'a str);

#[test]
fn wrong_use_and_wrong_settings_say_what_to_do() {
    let store = TestStore::sqlite();
    let bad = store.data_dir().join("bad.toml");
    std::fs::write(&bad, "currency = \"USD\"\n[[plan]]\ncode = \"a\"\nnaem = \"A\"\n").unwrap();
    let bad = bad.to_str().unwrap();
    let import = store.data_dir().join("x.pdf");
    std::fs::write(&import, "x").unwrap();
    let import = import.to_str().unwrap();
    let table: &[Case<'_>] = &[
        (&["serv"], &[], 2, "serve"),
        (&["serve", "--listen", "here"], &[], 2, "invalid socket address"),
        (&["keys", "list", "--output", "xml"], &[], 2, "human, json, csv"),
        (&["keys", "list", "--limit", "0"], &[], 2, "1..=200"),
        (
            &["keys", "create", "--name", "x", "--scopes", "tenants:raed"],
            &[],
            2,
            "did you mean tenants:read?",
        ),
        (&["keys", "revoke", "abcdefgh"], &[], 2, "Add --yes"),
        (&["inbox", "replay", "--reason", "x"], &[], 2, "--state"),
        (
            &["events", "show", "--as-of", "2026-01-01T00:00:00Z"],
            &[],
            2,
            "--tenant",
        ),
        (
            &["tenants", "import", "nowhere.csv"],
            &[],
            1,
            "nowhere.csv cannot be used",
        ),
        (&["tenants", "import", import], &[], 2, "must end in .csv or .jsonl"),
        (
            &["--config", "nowhere.toml", "config", "check"],
            &[],
            3,
            "there is no configuration file nowhere.toml",
        ),
        (
            &["config", "check"],
            &[("SUBLEDGER__HTTP__LITSEN", "x")],
            3,
            "http.litsen",
        ),
        (
            &["config", "check"],
            &[("SUBLEDGER__PLANS__FILE", bad)],
            3,
            "line 4, key `plan[0].naem`: is not known; did you mean `name`?",
        ),
        (&["plans", "check", bad], &[], 3, "key `plan[0].name`: is missing"),
        (
            &["plans", "check", "--mode", "live"],
            &[],
            6,
            "the month price of team has no id in live mode",
        ),
        (&["worker"], &[], 3, "needs Postgres"),
    ];
    for (arguments, environment, exit, part) in table {
        let mut launch = Launch::new(&store);
        for (name, value) in *environment {
            launch = launch.with(name, value);
        }
        let output = run(&launch, arguments);
        assert_eq!(code(&output), *exit, "{arguments:?}: {}{}", out(&output), err(&output));
        assert!(err(&output).contains(part), "{arguments:?}: {}", err(&output));
        assert!(!err(&output).contains("panicked"), "{arguments:?}: {}", err(&output));
    }
}

#[test]
fn what_needs_no_ledger_prints_and_ends() {
    let store = TestStore::sqlite();
    let launch = Launch::new(&store);
    assert!(out(&run(&launch, &["config", "check"])).contains("the configuration is valid (test mode, 3 plans)"));
    assert_eq!(json(&launch, &["openapi"])["openapi"], "3.1.0");
    assert!(out(&run(&launch, &["completions", "bash"])).contains("_subledger"));
    assert!(out(&run(&launch, &["man"])).starts_with(".TH SUBLEDGER 1"));
    assert!(out(&run(&launch, &["--version"])).starts_with("subledger 0."));
    let plans = json(&launch, &["plans", "check"]);
    assert_eq!(plans["plans"][1]["prices"], "9900 USD/month, 95000 USD/year");
    let csv = out(&run(&launch, &["plans", "check", "--output", "csv"]));
    assert!(csv.starts_with("code,name,prices,limits,features\nfree,Free,"), "{csv}");
}

#[test]
fn secrets_are_never_printed_and_every_setting_says_where_it_comes_from() {
    let store = TestStore::sqlite();
    let secret = "whsec_planted_secret_0123456789";
    let launch = Launch::new(&store).with("STRIPE_WEBHOOK_SECRET", secret);
    let output = run(&launch, &["config", "print", "--redacted"]);
    let text = out(&output) + &err(&output);
    assert!(!text.contains("planted"), "{text}");
    let settings = json(&launch, &["config", "print"]);
    let origin = |key: &str| {
        let rows = settings.as_array().unwrap();
        rows.iter()
            .find(|row| row["key"] == key)
            .unwrap_or_else(|| panic!("{key}"))["origin"]
            .clone()
    };
    assert_eq!(origin("stripe.webhook_secrets"), "STRIPE_WEBHOOK_SECRET");
    assert_eq!(origin("stripe.tolerance_s"), "default");
    assert_eq!(origin("store.url"), "unset");
}

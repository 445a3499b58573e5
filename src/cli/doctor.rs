//! `doctor`: looks at everything a start depends on and says of each whether it is well.

use clap::Args;
use projections::db::{Db, DbError, StoreKind};
use serde_json::{Value, json};

use super::api::{Api, Path};
use super::exit::{Exit, Failure};
use super::{Shared, plans};
use crate::app::{self, Running};
use crate::clock::Clock;
use crate::config::Config;
use crate::outbox::due;
use crate::plans::{Source, load, process_env};
use crate::process::apply_webhooks::FETCH_KIND;
use crate::stripe::gateway::{GatewayError, Listing, OnAccount, Page, Read, StripeGateway as _};
use crate::stripe_cursor::{self, List, OWN as SOURCE};

/// Clock difference to the store from which receipts and leases are judged wrongly, in seconds.
const SKEW_S_MAX: i64 = 5;

#[derive(Debug, Args)]
pub(super) struct Doctor {}

/// What was looked at, and what was found.
struct Finding {
    check: &'static str,
    state: &'static str,
    detail: String,
}

fn finding(check: &'static str, state: &'static str, detail: impl Into<String>) -> Finding {
    Finding {
        check,
        state,
        detail: detail.into(),
    }
}

pub(super) async fn run(_command: Doctor, shared: &Shared) -> Result<Exit, Failure> {
    let config = shared.quiet_config()?;
    let mut findings = vec![finding("configuration", "pass", "valid")];
    findings.extend(catalogue(&config));
    findings.extend(stripe(&config));
    findings.extend(asked(&config).await);
    match server(&config).await {
        Some(found) => findings.extend(found),
        None => findings.extend(store(&config).await),
    }
    let rows: Vec<Value> = findings
        .iter()
        .map(|f| json!({ "check": f.check, "state": f.state, "detail": f.detail }))
        .collect();
    shared.rows(
        &json!(rows),
        &rows,
        &[("check", "/check"), ("state", "/state"), ("detail", "/detail")],
    )?;
    Ok(if findings.iter().any(|f| f.state == "fail") {
        Exit::Found
    } else {
        Exit::Done
    })
}

fn catalogue(config: &Config) -> Vec<Finding> {
    let source = config.plans_file.clone().map_or(Source::Bundled, Source::File);
    let loaded = match load(&source, &process_env) {
        Ok(loaded) => loaded,
        Err(error) => return vec![finding("plan catalogue", "fail", error.to_string())],
    };
    let missing = plans::missing(&loaded.terms, config.stripe.mode);
    let plans = format!("{} plans", loaded.terms.plans.len());
    let mut findings = vec![finding("plan catalogue", "pass", plans)];
    findings.extend(
        missing
            .into_iter()
            .map(|text| finding("catalogue prices", "warn", text)),
    );
    findings
}

fn stripe(config: &Config) -> Vec<Finding> {
    let secrets = config.stripe.webhook_secrets.len() + config.stripe.endpoints.values().map(Vec::len).sum::<usize>();
    let webhooks = if secrets == 0 {
        finding(
            "webhook secret",
            "fail",
            "none is set; webhooks are answered 503: set STRIPE_WEBHOOK_SECRET",
        )
    } else {
        finding("webhook secret", "pass", format!("{secrets} set"))
    };
    let mode = config.stripe.mode.as_str();
    let key = if config.stripe.secret_key.is_some() {
        finding("Stripe key", "pass", format!("fits {mode} mode"))
    } else {
        finding(
            "Stripe key",
            "warn",
            format!(
                "none is set; the mode is {mode}. Webhooks are taken without it, what needs an answer of Stripe waits"
            ),
        )
    };
    vec![webhooks, key]
}

/// Whether Stripe answers to the key, and how far the clocks are apart.
async fn asked(config: &Config) -> Option<Finding> {
    const CHECK: &str = "Stripe";
    let clock = Clock::system();
    let client = match app::stripe_client(config, &clock) {
        Ok(client) => client?,
        Err(error) => return Some(finding(CHECK, "fail", error.to_string())),
    };
    let newest = Read::List {
        list: Listing::Events {
            types: Vec::new(),
            since: None,
        },
        page: Page::Newest,
    };
    let found = match client.read(&OnAccount::own(), &newest).await {
        Ok(answer) => {
            let skew = answer
                .stripe_time
                .map_or(0, |there| there.seconds() - clock.now().seconds());
            let state = if skew.abs() > SKEW_S_MAX { "fail" } else { "pass" };
            finding(CHECK, state, format!("answers; its clock is {skew} s off this one"))
        }
        Err(GatewayError::Permanent(refusal)) => finding(CHECK, "fail", refusal.to_string()),
        Err(error) => finding(CHECK, "warn", format!("does not answer now: {error}")),
    };
    Some(found)
}

/// What waits for Stripe, and how far its list of events is read.
async fn stripe_reads(db: &Db, has_key: bool) -> Result<Vec<Finding>, DbError> {
    let parts: Vec<u32> = (0..db.parts()).collect();
    let waiting = due::waiting(db, &parts, FETCH_KIND).await?;
    let mut findings = Vec::new();
    findings.push(match (waiting.count, has_key) {
        (0, _) => finding("questions for Stripe", "pass", "none waits"),
        (count, true) => finding(
            "questions for Stripe",
            "pass",
            format!("{count} wait; `serve` asks them"),
        ),
        (count, false) => {
            let detail = format!("{count} wait for a key: set STRIPE_SECRET_KEY");
            finding("questions for Stripe", "warn", detail)
        }
    });
    let cursor = stripe_cursor::load(db, SOURCE, List::Events).await?;
    findings.push(match cursor {
        Some(cursor) => finding(
            "events of Stripe",
            "pass",
            format!("the list is read until {}", cursor.read_until),
        ),
        None if has_key => finding("events of Stripe", "warn", "the list was never read; `serve` reads it"),
        None => finding("events of Stripe", "pass", "the list is not read without a key"),
    });
    Ok(findings)
}

/// What a running server of this data directory says of itself.
async fn server(config: &Config) -> Option<Vec<Finding>> {
    let running = Running::find(&config.store.data_dir)?;
    let api = Api::server(running.url.clone(), running.token);
    let version = api.get(&Path::of(&["version"])).await.ok()?.body;
    let text = |name: &str| {
        version
            .get(name)
            .map(|v| v.as_str().map_or_else(|| v.to_string(), str::to_owned))
            .unwrap_or_default()
    };
    let mut findings = vec![
        finding(
            "server",
            "pass",
            format!(
                "runs at {} (process {}), version {}",
                running.url,
                running.pid,
                text("version")
            ),
        ),
        finding("store", "pass", text("store")),
    ];
    let ready = api.get(&Path::of(&["readyz"])).await;
    findings.push(match ready {
        Ok(_) => finding("ready", "pass", "yes"),
        Err(failure) => finding("ready", "fail", failure.message),
    });
    Some(findings)
}

async fn store(config: &Config) -> Vec<Finding> {
    let clock = Clock::system();
    let mut db_config = app::database_config(config, &clock);
    db_config.read_only = true;
    db_config.migrate = false;
    let db = match Db::open(&db_config).await {
        Ok(db) => db,
        Err(error) => return vec![finding("store", "fail", error.to_string())],
    };
    let mut findings = Vec::new();
    let meta = db.meta();
    let what = format!(
        "ledger {}, {} mode, {} partitions",
        meta.ledger_id, meta.mode, meta.parts
    );
    match db.store_version().await {
        Ok(version) => findings.push(finding("store", "pass", format!("{version}; {what}"))),
        Err(error) => findings.push(finding("store", "fail", error.to_string())),
    }
    findings.extend(
        db.warnings()
            .iter()
            .map(|warning| finding("store", "warn", warning.clone())),
    );
    match db.store_now().await {
        Ok(there) => {
            let skew = there.seconds() - clock.now().seconds();
            let state = if skew.abs() > SKEW_S_MAX { "fail" } else { "pass" };
            let same = if db.kind() == StoreKind::Sqlite {
                " (the same machine)"
            } else {
                ""
            };
            findings.push(finding("clock", state, format!("{skew} s off the store's{same}")));
        }
        Err(error) => findings.push(finding("clock", "fail", error.to_string())),
    }
    match stripe_reads(&db, config.stripe.secret_key.is_some()).await {
        Ok(found) => findings.extend(found),
        Err(error) => findings.push(finding("questions for Stripe", "fail", error.to_string())),
    }
    db.close().await;
    findings
}

//! `sandbox`: a stand-in for Stripe on a socket, until told to stop.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use sandbox::state::clock::Mode;
use sandbox::wire::version::Version;
use sandbox::{NewEndpoint, Settings, State, file};
use serde::Deserialize;
use serde_json::{Value, json};

use super::exit::{Exit, Failure};
use super::serve::stop_signal;
use super::{Form, Shared};
use crate::config::LogConfig;

/// How often what changed is written to `--data`. A machine that stops in between loses this much of a rehearsal.
const SAVE_PAUSE: Duration = Duration::from_secs(1);
/// Largest scenario file; a thousand faults are a tenth of it.
const SCENARIO_BYTES_MAX: u64 = 1 << 20;

#[derive(Debug, Args)]
pub(super) struct Sandbox {
    /// Address and port
    #[arg(long, default_value = "127.0.0.1:12111")]
    listen: SocketAddr,
    /// Ids, and what faults strike, follow from it
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Deliver every event there, for instance http://127.0.0.1:8080/webhooks/stripe
    #[arg(long, value_name = "URL")]
    webhook: Option<String>,
    /// Sign deliveries to --webhook with it [default: one that follows from the seed]
    #[arg(long, value_name = "SECRET", requires = "webhook")]
    webhook_secret: Option<String>,
    /// Deliver to --webhook in this version's shape [default: the newest]
    #[arg(long, value_name = "VERSION", requires = "webhook")]
    webhook_version: Option<String>,
    /// Keep everything in this file, and go on from it [default: nothing is kept]
    #[arg(long, value_name = "FILE")]
    data: Option<PathBuf>,
    /// Faults to begin with: TOML with a [[fault]] table for each
    #[arg(long, value_name = "FILE")]
    scenario: Option<PathBuf>,
    /// Let the clock stand at this time, in seconds since 1970, until it is moved
    #[arg(long, value_name = "SECONDS")]
    clock_at: Option<i64>,
}

/// What a scenario file says.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Scenario {
    #[serde(default)]
    fault: Vec<Value>,
}

pub(super) async fn run(command: Sandbox, shared: &Shared) -> Result<Exit, Failure> {
    let level = if shared.verbose == 0 { "warn" } else { "debug" };
    let log = LogConfig {
        level: level.to_owned(),
        format: None,
    };
    crate::telemetry::start(&log, !shared.no_color);
    let mut state = opened(&command)?;
    if let Some(path) = &command.scenario {
        for fault in scenario(path)? {
            let wrong = |error| Failure::usage(format!("{}: {error}", path.display()));
            state.set_fault(&fault).map_err(wrong)?;
        }
    }
    let secret = endpoint(&mut state, &command)?;
    let stop = stop_signal()?;
    let sandbox = sandbox::Sandbox::new(state);
    let failed = |error| {
        Failure::new(
            Exit::Failed,
            format!("{} cannot be listened on: {error}", command.listen),
        )
    };
    let running = sandbox.serve(command.listen).await.map_err(failed)?;
    greet(&format!("http://{}", running.address()), secret.as_deref(), shared)?;
    let kept = keep(&sandbox, command.data.as_deref());
    tokio::select! {
        () = stop => {}
        failure = kept => return Err(failure),
    }
    running.stop().await;
    if let Some(path) = &command.data {
        save(&sandbox, path)?;
    }
    Ok(Exit::Done)
}

fn opened(command: &Sandbox) -> Result<State, Failure> {
    let held = match &command.data {
        Some(path) => file::load(path).map_err(|error| Failure::file(path, &error))?,
        None => None,
    };
    let clock = command.clock_at.map(|at| Mode::Fixed {
        at_ms: at.saturating_mul(1000),
    });
    Ok(held.unwrap_or_else(|| {
        State::new(Settings {
            seed: command.seed,
            clock: clock.unwrap_or(Mode::Real { ahead_ms: 0 }),
            ..Settings::default()
        })
    }))
}

fn scenario(path: &Path) -> Result<Vec<Value>, Failure> {
    let failed = |error| Failure::file(path, &error);
    if std::fs::metadata(path).map_err(failed)?.len() > SCENARIO_BYTES_MAX {
        let message = format!("{} is larger than {SCENARIO_BYTES_MAX} bytes", path.display());
        return Err(Failure::usage(message));
    }
    let text = std::fs::read_to_string(path).map_err(failed)?;
    let read: Result<Scenario, _> = toml::from_str(&text);
    let scenario = read.map_err(|error| Failure::usage(format!("{}: {error}", path.display())))?;
    Ok(scenario.fault)
}

/// Makes the endpoint of `--webhook`, unless the file has it already; answers its secret.
fn endpoint(state: &mut State, command: &Sandbox) -> Result<Option<String>, Failure> {
    let Some(url) = &command.webhook else {
        return Ok(None);
    };
    if let Some(secret) = state.secret_of(url) {
        return Ok(Some(secret));
    }
    let version = match &command.webhook_version {
        None => None,
        Some(text) => {
            let wrong = || Failure::usage(format!("{text} is no API version; write one like 2026-09-30.endive"));
            Some(Version::parse(text).ok_or_else(wrong)?)
        }
    };
    let new = NewEndpoint {
        url,
        secret: command.webhook_secret.as_deref(),
        events: vec!["*"],
        version: version.as_ref(),
        thin: false,
    };
    let made = state
        .add_endpoint(&new)
        .map_err(|error| Failure::usage(error.message))?;
    Ok(made["secret"].as_str().map(str::to_owned))
}

fn greet(url: &str, secret: Option<&str>, shared: &Shared) -> Result<(), Failure> {
    shared
        .note("A sandbox that answers like Stripe; nothing here is real. Any key that begins with sk_test_ is let in.");
    shared.note("Faults: POST /_sandbox/faults. What happened: GET /_sandbox/journal and /_sandbox/truth.");
    if shared.form == Form::Json {
        return shared.json(&json!({"url": url, "webhook_secret": secret}));
    }
    shared.text(&format!("{url}\n"))?;
    match secret {
        Some(secret) => shared.text(&format!("STRIPE_WEBHOOK_SECRET={secret}\n")),
        None => Ok(()),
    }
}

/// Writes what changed, again and again; ends only when that fails.
async fn keep(sandbox: &sandbox::Sandbox, path: Option<&Path>) -> Failure {
    let Some(path) = path else {
        return std::future::pending().await;
    };
    let mut written = None;
    loop {
        let revision = sandbox.state().revision();
        if written != Some(revision)
            && let Err(failure) = save(sandbox, path)
        {
            return failure;
        }
        written = Some(revision);
        tokio::time::sleep(SAVE_PAUSE).await;
    }
}

fn save(sandbox: &sandbox::Sandbox, path: &Path) -> Result<(), Failure> {
    let bytes = file::bytes(&sandbox.state()).map_err(|error| Failure::file(path, &error))?;
    file::write(&bytes, path).map_err(|error| Failure::file(path, &error))
}

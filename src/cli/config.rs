//! `config check` and `config print`: without opening anything.

use clap::Subcommand;
use serde_json::json;

use super::Shared;
use super::exit::{Exit, Failure};
use crate::config::{Config, settings};
use crate::plans::{Source, load, process_env};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Check all settings and the plan catalogue, without network
    Check,
    /// Show every setting, its value and where it comes from; secrets are never shown
    Print {
        /// Accepted for clarity: secrets are masked with and without it
        #[arg(long)]
        redacted: bool,
    },
}

pub(super) fn run(command: Command, shared: &Shared) -> Result<Exit, Failure> {
    match command {
        Command::Check => check(shared),
        Command::Print { redacted: _ } => print(shared),
    }
}

fn check(shared: &Shared) -> Result<Exit, Failure> {
    let config = Config::load(&shared.sources(Vec::new()))?;
    let source = config.plans_file.clone().map_or(Source::Bundled, Source::File);
    let loaded = load(&source, &process_env)?;
    let mut notices = loaded.notices;
    if config.stripe.webhook_secrets.is_empty() && config.stripe.endpoints.is_empty() {
        notices.push("stripe.webhook_secrets is not set: /webhooks/stripe answers 503 until it is".to_owned());
    }
    for notice in &notices {
        shared.note(&format!("note: {notice}"));
    }
    let answer = json!({ "valid": true, "mode": config.stripe.mode.as_str(), "plans": loaded.terms.plans.len(), "notices": notices });
    match shared.form {
        super::Form::Human => shared.text(&format!(
            "the configuration is valid ({} mode, {} plans)\n",
            config.stripe.mode.as_str(),
            loaded.terms.plans.len()
        ))?,
        super::Form::Json | super::Form::Csv => shared.object(&answer)?,
    }
    Ok(Exit::Done)
}

fn print(shared: &Shared) -> Result<Exit, Failure> {
    let settings = settings(&shared.sources(Vec::new()))?;
    let rows: Vec<_> = settings
        .iter()
        .map(|s| json!({ "key": s.key, "value": s.value, "origin": s.origin }))
        .collect();
    shared.rows(
        &json!(rows),
        &rows,
        &[("key", "/key"), ("value", "/value"), ("origin", "/origin")],
    )?;
    Ok(Exit::Done)
}

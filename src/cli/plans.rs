//! `plans`: check a catalogue file, or take one into the ledger as a new version.

use std::path::PathBuf;

use aggregates::plan::{Mode, Plan, Terms};
use clap::{Args, Subcommand, ValueEnum};
use projections::db::Db;
use serde_json::{Value, json};

use super::exit::{Exit, Failure};
use super::{Change, Shared};
use crate::app;
use crate::clock::Clock;
use crate::plans::registry::Registry;
use crate::plans::{Loaded, Source, load, process_env};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Check a catalogue file; every mistake is told with its line and key
    Check(Check),
    /// Take a catalogue into the ledger as a new version, if it says something new
    Import(Import),
}

#[derive(Debug, Args)]
pub(super) struct Check {
    /// The file [default: the configured one, else the built-in example]
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,
    /// Insist that everything that is sold has a price id in this mode
    #[arg(long, value_enum)]
    mode: Option<ModeWord>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum ModeWord {
    Test,
    Live,
}

#[derive(Debug, Args)]
pub(super) struct Import {
    /// The file
    #[arg(value_name = "FILE")]
    file: PathBuf,
    #[command(flatten)]
    change: Change,
}

pub(super) async fn run(command: Command, shared: &Shared) -> Result<Exit, Failure> {
    match command {
        Command::Check(check) => self::check(check, shared),
        Command::Import(import) => self::import(import, shared).await,
    }
}

fn check(check: Check, shared: &Shared) -> Result<Exit, Failure> {
    let source = match check.file {
        Some(file) => Source::File(file),
        None => shared.quiet_config()?.plans_file.map_or(Source::Bundled, Source::File),
    };
    let loaded = load(&source, &process_env)?;
    show(&loaded, shared)?;
    let missing = check.mode.map_or_else(Vec::new, |word| {
        missing(
            &loaded.terms,
            match word {
                ModeWord::Test => Mode::Test,
                ModeWord::Live => Mode::Live,
            },
        )
    });
    for problem in &missing {
        shared.error(problem);
    }
    Ok(if missing.is_empty() { Exit::Done } else { Exit::Found })
}

/// What is sold but has no price at Stripe in a mode.
pub(super) fn missing(terms: &Terms, mode: Mode) -> Vec<String> {
    let of_plan = |plan: &Plan| {
        let unsold = |price: &&aggregates::plan::Price| {
            price.active && price.stripe.of(mode).is_none() && (price.amount_minor > 0 || !price.is_licensed())
        };
        let tell = |price: &aggregates::plan::Price| {
            format!(
                "the {} price of {} has no id in {} mode; nobody can buy it",
                price.interval.as_str(),
                plan.code,
                mode.as_str()
            )
        };
        plan.prices.iter().filter(unsold).map(tell).collect::<Vec<_>>()
    };
    terms
        .plans
        .iter()
        .filter(|plan| plan.active)
        .flat_map(of_plan)
        .collect()
}

fn show(loaded: &Loaded, shared: &Shared) -> Result<(), Failure> {
    let rows: Vec<Value> = loaded.terms.plans.iter().map(row).collect();
    let whole = json!({ "valid": true, "content_hash": hex::encode(loaded.content_hash), "plans": rows, "notices": loaded.notices });
    let columns = [
        ("code", "/code"),
        ("name", "/name"),
        ("prices", "/prices"),
        ("limits", "/limits"),
        ("features", "/features"),
    ];
    shared.rows(&whole, &rows, &columns)?;
    for notice in &loaded.notices {
        shared.note(&format!("note: {notice}"));
    }
    Ok(())
}

fn row(plan: &Plan) -> Value {
    let prices: Vec<String> = plan
        .prices
        .iter()
        .map(|price| {
            let per = if price.per == 1 {
                String::new()
            } else {
                format!(" per {}", price.per)
            };
            format!(
                "{} {}{per}/{}",
                price.amount_minor,
                price.currency,
                price.interval.as_str()
            )
        })
        .collect();
    json!({ "code": plan.code, "name": plan.name, "prices": prices.join(", "), "limits": plan.limits.len(), "features": plan.features.len() })
}

async fn import(import: Import, shared: &Shared) -> Result<Exit, Failure> {
    let loaded = load(&Source::File(import.file), &process_env)?;
    show(&loaded, shared)?;
    if import.change.dry_run {
        return Ok(Exit::Done);
    }
    let config = shared.quiet_config()?;
    let clock = Clock::system();
    let db = Db::open(&app::database_config(&config, &clock)).await?;
    let registry = Registry::open(&db, &loaded, clock.now()).await;
    db.close().await;
    let version = registry?.current().version();
    shared.note(&format!(
        "it is version {version} of this ledger; point plans.file at it so that `serve` sells by it"
    ));
    Ok(Exit::Done)
}

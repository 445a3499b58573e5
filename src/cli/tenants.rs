//! `tenants import`: opens and links the accounts of a file, row by row, safe to repeat.

mod rows;

use std::path::PathBuf;

use clap::{Args, Subcommand};
use futures::StreamExt;
use indicatif::ProgressBar;
use serde_json::json;

use self::rows::{Row, RowError};
use super::api::{Api, Path};
use super::exit::{Exit, Failure};
use super::output::Form;
use super::{Change, Shared};

/// Rows on their way at once: enough to share a commit, few enough to leave the server room for others.
const IN_FLIGHT: usize = 16;
/// Most row errors that are told; the count is of all.
const ERRORS_SHOWN_MAX: usize = 100;

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Open and link the tenants of a file
    Import(Import),
}

#[derive(Debug, Args)]
pub(super) struct Import {
    /// CSV with a header line, or JSONL: tenant, stripe_customer, name, email, currency, metadata
    #[arg(value_name = "FILE")]
    file: PathBuf,
    #[command(flatten)]
    change: Change,
}

#[derive(Debug, Default)]
struct Tally {
    created: u64,
    known: u64,
    errors: Vec<RowError>,
    failed: u64,
}

impl Tally {
    fn fail(&mut self, error: RowError) {
        self.failed += 1;
        if self.errors.len() < ERRORS_SHOWN_MAX {
            self.errors.push(error);
        }
    }
}

pub(super) async fn run(command: Command, shared: &Shared) -> Result<Exit, Failure> {
    let Command::Import(import) = command;
    let rows = rows::read(&import.file)?;
    let mut tally = Tally::default();
    let mut good = Vec::new();
    for row in rows {
        match row {
            Ok(row) => good.push(row),
            Err(error) => tally.fail(error),
        }
    }
    if import.change.dry_run {
        tally.known = good.len() as u64;
        return report(tally, true, shared);
    }
    let api = shared.api().await?;
    send(&api, good, &mut tally, &shared.bar("rows")).await;
    api.close().await;
    report(tally, false, shared)
}

async fn send(api: &Api, rows: Vec<Row>, tally: &mut Tally, bar: &ProgressBar) {
    bar.set_length(rows.len() as u64);
    let put = |row: Row| async move {
        let path = Path::of(&["v1", "tenants", &row.tenant]);
        (row.line, api.put(&path, &row.body).await)
    };
    let mut answers = futures::stream::iter(rows).map(put).buffer_unordered(IN_FLIGHT);
    while let Some((line, answer)) = answers.next().await {
        bar.inc(1);
        match answer {
            Ok(answer) if answer.status.as_u16() == 201 => tally.created += 1,
            Ok(_) => tally.known += 1,
            Err(failure) => tally.fail(RowError {
                line,
                message: failure.message,
            }),
        }
    }
}

fn report(mut tally: Tally, dry_run: bool, shared: &Shared) -> Result<Exit, Failure> {
    tally.errors.sort_by_key(|error| error.line);
    for error in &tally.errors {
        shared.error(&format!("line {}: {}", error.line, error.message));
    }
    let summary = json!({
        "dry_run": dry_run, "created": tally.created, "unchanged_or_updated": tally.known, "failed": tally.failed,
        "errors": tally.errors.iter().map(|e| json!({ "line": e.line, "message": e.message })).collect::<Vec<_>>(),
    });
    match (shared.form, dry_run) {
        (Form::Human, true) => shared.text(&format!("{} rows are good, {} are not\n", tally.known, tally.failed))?,
        (Form::Human, false) => shared.text(&format!(
            "{} opened, {} known before, {} failed\n",
            tally.created, tally.known, tally.failed
        ))?,
        (Form::Json | Form::Csv, _) => shared.json(&summary)?,
    }
    if tally.failed == 0 {
        return Ok(Exit::Done);
    }
    shared.note("Correct the rows above and run the same command again: rows that are done are left as they are.");
    Ok(if tally.created + tally.known == 0 {
        Exit::Usage
    } else {
        Exit::Partly
    })
}

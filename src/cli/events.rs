//! `events`: read the log.

use std::collections::BTreeSet;
use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};
use serde_json::Value;

use super::api::{Api, Path, page};
use super::exit::{Exit, Failure};
use super::output::Column;
use super::{Paging, Shared};

/// Pause between two looks at the log while following it.
const TAIL_PAUSE: Duration = Duration::from_millis(1_000);
/// Events remembered while following, so that none is shown twice: more than one look can bring.
const TAIL_MEMORY_MAX: usize = 10_000;

const COLUMNS: [Column; 7] = [
    ("position", "/position"),
    ("recorded_at", "/recorded_at"),
    ("occurred_at", "/occurred_at"),
    ("stream", "/stream"),
    ("tenant", "/tenant"),
    ("type", "/type"),
    ("actor", "/actor"),
];

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// List events, show one by its position, or with --as-of the state the log gave a tenant at an instant
    Show(Show),
    /// Follow the log until interrupted
    Tail(Filter),
}

/// Which of the two clocks `--as-of` means.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum Basis {
    /// What was known then
    Recorded,
    /// What was true then
    Occurred,
}

#[derive(Debug, Args)]
pub(super) struct Filter {
    /// Events of this tenant
    #[arg(long)]
    tenant: Option<String>,
    /// Events of this stream
    #[arg(long)]
    stream: Option<String>,
    /// Events of this type, for instance subscription.plan_changed
    #[arg(long = "type")]
    kind: Option<String>,
}

/// An event's address, as every list of events shows it.
fn address(text: &str) -> Result<String, String> {
    let parts = text.split_once('.');
    let is_one = parts.is_some_and(|(part, position)| part.parse::<u32>().is_ok() && position.parse::<u64>().is_ok());
    if is_one {
        Ok(text.to_owned())
    } else {
        Err("an event's address is <part>.<position>, for instance 0.17".to_owned())
    }
}

#[derive(Debug, Args)]
pub(super) struct Show {
    /// One event, as <part>.<position>
    #[arg(value_parser = address, conflicts_with_all = ["tenant", "stream", "kind", "as_of"])]
    position: Option<String>,
    #[command(flatten)]
    filter: Filter,
    /// The tenant's state at this instant instead of events
    #[arg(long, requires = "tenant")]
    as_of: Option<String>,
    /// Clock of --as-of
    #[arg(long, value_enum, requires = "as_of")]
    basis: Option<Basis>,
    /// Recorded at or after this time
    #[arg(long)]
    from: Option<String>,
    /// Recorded before this time
    #[arg(long)]
    to: Option<String>,
    #[command(flatten)]
    paging: Paging,
}

pub(super) async fn run(command: Command, shared: &Shared) -> Result<Exit, Failure> {
    let api = shared.api().await?;
    let outcome = match command {
        Command::Show(show) => self::show(&api, show, shared).await,
        Command::Tail(filter) => tail(&api, &filter, shared).await,
    };
    api.close().await;
    outcome
}

fn events(filter: &Filter) -> Path {
    Path::of(&["v1", "audit", "events"])
        .with("tenant", filter.tenant.as_ref())
        .with("stream", filter.stream.as_ref())
        .with("type", filter.kind.as_ref())
}

async fn show(api: &Api, show: Show, shared: &Shared) -> Result<Exit, Failure> {
    if let Some(position) = &show.position {
        let answer = api.get(&Path::of(&["v1", "audit", "events", position])).await?;
        shared.object(&answer.body)?;
        return Ok(Exit::Done);
    }
    if show.as_of.is_some() {
        let basis = show.basis.map(|basis| match basis {
            Basis::Recorded => "recorded",
            Basis::Occurred => "occurred",
        });
        let path = Path::of(&["v1", "audit", "state"])
            .with("tenant", show.filter.tenant.as_ref())
            .with("as_of", show.as_of.as_ref())
            .with("basis", basis);
        shared.object(&api.get(&path).await?.body)?;
        return Ok(Exit::Done);
    }
    let path = events(&show.filter)
        .with("from", show.from)
        .with("to", show.to)
        .with("limit", Some(show.paging.limit.to_string()))
        .with("cursor", show.paging.cursor);
    let body = api.get(&path).await?.body;
    shared.page(&body, &page(&body), &COLUMNS)?;
    Ok(Exit::Done)
}

async fn tail(api: &Api, filter: &Filter, shared: &Shared) -> Result<Exit, Failure> {
    let mut seen: BTreeSet<(String, String)> = BTreeSet::new();
    let mut since: Option<String> = None;
    loop {
        let path = events(filter).with("from", since.as_ref()).with("limit", Some("200"));
        let (rows, _) = page(&api.get(&path).await?.body);
        let mut fresh: Vec<(String, String, Value)> = rows.into_iter().filter_map(keyed).collect();
        fresh.retain(|(at, position, _)| !seen.contains(&(at.clone(), position.clone())));
        fresh.sort_by(|a, b| (&a.0, &a.1).cmp(&(&b.0, &b.1)));
        for (at, position, row) in fresh {
            let line = COLUMNS
                .iter()
                .map(|(_, pointer)| word(&row, pointer))
                .collect::<Vec<_>>()
                .join("  ");
            let line = if shared.form == super::Form::Json {
                row.to_string()
            } else {
                line
            };
            shared.text(&format!("{line}\n"))?;
            since = since.max(Some(at.clone()));
            seen.insert((at, position));
        }
        while seen.len() > TAIL_MEMORY_MAX {
            seen.pop_first();
        }
        tokio::select! {
            () = tokio::time::sleep(TAIL_PAUSE) => {}
            _ = tokio::signal::ctrl_c() => return Ok(Exit::Interrupted),
        }
    }
}

fn keyed(row: Value) -> Option<(String, String, Value)> {
    let text = |pointer| row.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
    Some((text("/recorded_at")?, text("/position")?, row))
}

fn word(row: &Value, pointer: &str) -> String {
    match row.pointer(pointer) {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Null) | None => "-".to_owned(),
        Some(other) => other.to_string(),
    }
}

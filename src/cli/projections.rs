//! `projections`: how far the views are, and rebuilding them beside the ones that are read.

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::api::{Path, page};
use super::exit::{Exit, Failure};
use super::{Change, Shared};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Every view by part: position, head, lag, age, and both slots
    List,
    /// Build a view anew from the whole log, in the slot nobody reads
    Rebuild(Act),
    /// Let readers use the slot that was rebuilt
    Swap(Act),
    /// Let readers use the former slot again
    RollBack(Act),
    /// Go past an event that a view refuses
    Skip(Skip),
}

#[derive(Debug, Args)]
pub(super) struct Act {
    /// The view, for instance status
    name: String,
    /// Why; it is recorded
    #[arg(long)]
    reason: String,
    #[command(flatten)]
    change: Change,
}

#[derive(Debug, Args)]
pub(super) struct Skip {
    #[command(flatten)]
    act: Act,
    /// The part whose view stands still
    #[arg(long)]
    part: u32,
}

pub(super) async fn run(command: Command, shared: &Shared) -> Result<Exit, Failure> {
    match command {
        Command::List => list(shared).await,
        Command::Rebuild(act) => self::act(&act, "rebuild", None, false, shared).await,
        Command::Swap(act) => self::act(&act, "swap", None, true, shared).await,
        Command::RollBack(act) => self::act(&act, "roll-back", None, true, shared).await,
        Command::Skip(skip) => act(&skip.act, "skip", Some(skip.part), true, shared).await,
    }
}

async fn list(shared: &Shared) -> Result<Exit, Failure> {
    let api = shared.api().await?;
    let answer = api.get(&Path::of(&["v1", "projections"])).await;
    api.close().await;
    let body = answer?.body;
    let (views, _) = page(&body);
    let mut rows = Vec::new();
    for view in &views {
        match view.get("parts").and_then(Value::as_array) {
            Some(parts) => rows.extend(parts.iter().map(|part| {
                let mut row = part.clone();
                row["name"] = view["name"].clone();
                row["state"] = part
                    .get("state")
                    .or_else(|| view.get("state"))
                    .cloned()
                    .unwrap_or(Value::Null);
                row
            })),
            None => rows.push(view.clone()),
        }
    }
    let columns = [
        ("view", "/name"),
        ("part", "/part"),
        ("position", "/position"),
        ("head", "/head"),
        ("lag", "/lag"),
        ("age_s", "/age_s"),
        ("state", "/state"),
    ];
    shared.rows(&body, &rows, &columns)?;
    Ok(Exit::Done)
}

async fn act(act: &Act, verb: &str, part: Option<u32>, asks: bool, shared: &Shared) -> Result<Exit, Failure> {
    if act.change.dry_run {
        shared.note(&format!("would {verb} the view {}", act.name));
        return Ok(Exit::Done);
    }
    if asks
        && !shared.confirm(
            act.change.yes,
            &format!("Readers of {} see the result of this {verb} at once.", act.name),
        )?
    {
        return Ok(Exit::Done);
    }
    let mut body = json!({ "reason": act.reason });
    if let Some(part) = part {
        body["part"] = json!(part);
    }
    let api = shared.api().await?;
    let answer = api
        .post(&Path::of(&["v1", "projections", &act.name, verb]), &body)
        .await;
    api.close().await;
    let answer = answer?;
    if answer.body.is_object() {
        shared.object(&answer.body)?;
    }
    let ended = if answer.status.as_u16() == 202 {
        "accepted; see `subledger projections list`"
    } else {
        "done"
    };
    shared.note(&format!("{verb} of {}: {ended}", act.name));
    Ok(Exit::Done)
}

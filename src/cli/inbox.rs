//! `inbox`: webhooks that were received, and those that need a decision.

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::api::{Path, page};
use super::exit::{Exit, Failure};
use super::{Change, Paging, Shared};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// List receipts, the newest first
    List(List),
    /// Show one receipt: its state, its payload with personal data masked, what it became
    Show(One),
    /// Put receipts back to work
    Replay(Replay),
    /// Settle a receipt as not wanted
    Discard(Discard),
}

#[derive(Debug, Args)]
pub(super) struct List {
    /// new, applied, duplicate, superseded, ignored, parked, quarantined or discarded
    #[arg(long)]
    state: Option<String>,
    /// Stripe's event type
    #[arg(long = "type")]
    kind: Option<String>,
    /// The tenant it concerns
    #[arg(long)]
    tenant: Option<String>,
    /// Stripe account, or `default`
    #[arg(long)]
    source: Option<String>,
    /// Received at or after this time
    #[arg(long)]
    from: Option<String>,
    /// Received before this time
    #[arg(long)]
    to: Option<String>,
    #[command(flatten)]
    paging: Paging,
}

#[derive(Debug, Args)]
pub(super) struct One {
    /// Stripe's event id
    event: String,
    /// Stripe account, or `default`
    #[arg(long, default_value = "default")]
    source: String,
}

#[derive(Debug, Args)]
pub(super) struct Replay {
    /// Stripe's event id; without it all receipts of `--state` are replayed
    event: Option<String>,
    /// Stripe account, or `default`
    #[arg(long, default_value = "default")]
    source: String,
    /// Replay every receipt in this state: parked or quarantined
    #[arg(long, conflicts_with = "event", required_unless_present = "event")]
    state: Option<String>,
    /// Of these, only receipts of this tenant
    #[arg(long, requires = "state")]
    tenant: Option<String>,
    /// Why; it is kept with the receipt
    #[arg(long)]
    reason: String,
    #[command(flatten)]
    change: Change,
}

#[derive(Debug, Args)]
pub(super) struct Discard {
    #[command(flatten)]
    one: One,
    /// Why; it is kept with the receipt
    #[arg(long)]
    reason: String,
    #[command(flatten)]
    change: Change,
}

const INBOX: [&str; 2] = ["v1", "webhook-inbox"];

pub(super) async fn run(command: Command, shared: &Shared) -> Result<Exit, Failure> {
    match command {
        Command::List(list) => self::list(list, shared).await,
        Command::Show(one) => show(&one, shared).await,
        Command::Replay(replay) => self::replay(replay, shared).await,
        Command::Discard(discard) => self::discard(discard, shared).await,
    }
}

async fn list(list: List, shared: &Shared) -> Result<Exit, Failure> {
    let path = Path::of(&INBOX)
        .with("state", list.state)
        .with("type", list.kind)
        .with("tenant", list.tenant)
        .with("source", list.source)
        .with("from", list.from)
        .with("to", list.to)
        .with("limit", Some(list.paging.limit.to_string()))
        .with("cursor", list.paging.cursor);
    let api = shared.api().await?;
    let answer = api.get(&path).await;
    api.close().await;
    let body = answer?.body;
    let columns = [
        ("received_at", "/received_at"),
        ("source", "/source"),
        ("event", "/event_id"),
        ("type", "/type"),
        ("state", "/state"),
        ("tenant", "/tenant"),
        ("attempts", "/attempts"),
        ("reason", "/reason"),
    ];
    shared.page(&body, &page(&body), &columns)?;
    Ok(Exit::Done)
}

async fn show(one: &One, shared: &Shared) -> Result<Exit, Failure> {
    let api = shared.api().await?;
    let answer = api.get(&Path::of(&[INBOX[0], INBOX[1], &one.source, &one.event])).await;
    api.close().await;
    shared.object(&answer?.body)?;
    Ok(Exit::Done)
}

async fn replay(replay: Replay, shared: &Shared) -> Result<Exit, Failure> {
    let (path, body) = match (&replay.event, &replay.state) {
        (Some(event), _) => {
            if replay.change.dry_run {
                shared.note(&format!("would replay {event}"));
                return Ok(Exit::Done);
            }
            (
                Path::of(&[INBOX[0], INBOX[1], &replay.source, event, "replay"]),
                json!({ "reason": replay.reason }),
            )
        }
        (None, state) => {
            let body = json!({
                "filter": { "state": state, "tenant": replay.tenant },
                "reason": replay.reason,
                "dry_run": replay.change.dry_run,
            });
            (Path::of(&["v1", "webhook-inbox-replays"]), body)
        }
    };
    let api = shared.api().await?;
    let answer = api.post(&path, &body).await;
    api.close().await;
    settled(&answer?.body, "put back to work", shared)
}

async fn discard(discard: Discard, shared: &Shared) -> Result<Exit, Failure> {
    let event = &discard.one.event;
    if discard.change.dry_run {
        shared.note(&format!("would discard {event}"));
        return Ok(Exit::Done);
    }
    let question = format!("{event} will never be applied unless it is replayed.");
    if !shared.confirm(discard.change.yes, &question)? {
        return Ok(Exit::Done);
    }
    let path = Path::of(&[INBOX[0], INBOX[1], &discard.one.source, event, "discard"]);
    let api = shared.api().await?;
    let answer = api.post(&path, &json!({ "reason": discard.reason })).await;
    api.close().await;
    settled(&answer?.body, "discarded", shared)
}

fn settled(body: &Value, word: &str, shared: &Shared) -> Result<Exit, Failure> {
    if body.is_object() {
        shared.object(body)?;
    } else {
        shared.note(word);
    }
    Ok(Exit::Done)
}

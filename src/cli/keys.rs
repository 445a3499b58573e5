//! `keys`: create, list, rotate, revoke. A secret is printed once and never again.

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::api::{Path, page};
use super::exit::{Exit, Failure};
use super::output::Form;
use super::{Change, Paging, Shared};
use crate::auth::Scope;

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Make a key and print its secret, once
    Create(Create),
    /// List keys, without their secrets
    List(Paging),
    /// Give a key a new secret; the old one stays good for a while
    Rotate(Rotate),
    /// End a key at once
    Revoke(Revoke),
}

#[derive(Debug, Args)]
pub(super) struct Create {
    /// What it is for, for people
    #[arg(long)]
    name: String,
    /// What it may do, for instance entitlements:read,subscription:read; `all` for everything
    #[arg(long, value_delimiter = ',', required = true)]
    scopes: Vec<String>,
    /// The only tenant it may ask about
    #[arg(long)]
    tenant: Option<String>,
    /// When it ends, for instance 2027-01-31T00:00:00Z
    #[arg(long)]
    expires_at: Option<String>,
    /// Networks it may come from, for instance 10.0.0.0/8
    #[arg(long, value_delimiter = ',')]
    cidrs: Vec<String>,
    #[command(flatten)]
    change: Change,
}

#[derive(Debug, Args)]
pub(super) struct Rotate {
    /// The key's id: eight characters
    id: String,
    /// Hours for which the old secret stays good
    #[arg(long, default_value_t = 24, value_parser = clap::value_parser!(u16).range(0..=720))]
    overlap_h: u16,
    #[command(flatten)]
    change: Change,
}

#[derive(Debug, Args)]
pub(super) struct Revoke {
    /// The key's id: eight characters
    id: String,
    #[command(flatten)]
    change: Change,
}

pub(super) async fn run(command: Command, shared: &Shared) -> Result<Exit, Failure> {
    match command {
        Command::Create(create) => self::create(create, shared).await,
        Command::List(paging) => list(paging, shared).await,
        Command::Rotate(rotate) => self::rotate(rotate, shared).await,
        Command::Revoke(revoke) => self::revoke(revoke, shared).await,
    }
}

/// The body that asks for a key.
pub(super) fn wish(name: &str, scopes: &[String]) -> Result<Value, Failure> {
    let all = || {
        Scope::ALL
            .iter()
            .map(|scope| scope.as_str().to_owned())
            .collect::<Vec<_>>()
    };
    let scopes = if scopes == ["all"] { all() } else { scopes.to_vec() };
    for scope in &scopes {
        if !Scope::ALL.iter().any(|known| known.as_str() == scope) {
            let known = Scope::ALL.iter().map(|scope| scope.as_str());
            let hint = crate::toml_text::nearest(scope, known).map_or_else(
                || format!("known are: {}", all().join(", ")),
                |near| format!("did you mean {near}?"),
            );
            return Err(Failure::usage(format!("{scope:?} is not a scope; {hint}")));
        }
    }
    Ok(json!({ "name": name, "scopes": scopes }))
}

async fn create(create: Create, shared: &Shared) -> Result<Exit, Failure> {
    let mut body = wish(&create.name, &create.scopes)?;
    let optional = [("tenant", create.tenant), ("expires_at", create.expires_at)];
    for (field, value) in optional.into_iter().filter_map(|(field, value)| Some((field, value?))) {
        body[field] = json!(value);
    }
    if !create.cidrs.is_empty() {
        body["cidrs"] = json!(create.cidrs);
    }
    if create.change.dry_run {
        shared.note("would create this key:");
        shared.object(&body)?;
        return Ok(Exit::Done);
    }
    let api = shared.api().await?;
    let answer = api.post(&Path::of(&["v1", "api-keys"]), &body).await;
    api.close().await;
    show_once(&answer?.body, shared)
}

async fn rotate(rotate: Rotate, shared: &Shared) -> Result<Exit, Failure> {
    if rotate.change.dry_run {
        shared.note(&format!(
            "would rotate {}; its old secret would stay good for {} h",
            rotate.id, rotate.overlap_h
        ));
        return Ok(Exit::Done);
    }
    let api = shared.api().await?;
    let path = Path::of(&["v1", "api-keys", &rotate.id, "rotate"]);
    let answer = api.post(&path, &json!({ "overlap_h": rotate.overlap_h })).await;
    api.close().await;
    show_once(&answer?.body, shared)
}

fn show_once(key: &Value, shared: &Shared) -> Result<Exit, Failure> {
    if shared.form == Form::Human
        && let Some(secret) = key.get("secret").and_then(Value::as_str)
    {
        shared.note("This is the only time the key is shown:");
        shared.text(&format!("{secret}\n"))?;
    } else {
        shared.object(key)?;
    }
    Ok(Exit::Done)
}

async fn list(paging: Paging, shared: &Shared) -> Result<Exit, Failure> {
    let api = shared.api().await?;
    let path = Path::of(&["v1", "api-keys"])
        .with("limit", Some(paging.limit.to_string()))
        .with("cursor", paging.cursor);
    let answer = api.get(&path).await;
    api.close().await;
    let body = answer?.body;
    let columns = [
        ("id", "/id"),
        ("name", "/name"),
        ("scopes", "/scopes"),
        ("tenant", "/tenant"),
        ("created_at", "/created_at"),
        ("expires_at", "/expires_at"),
        ("revoked_at", "/revoked_at"),
        ("last_used_at", "/last_used_at"),
    ];
    shared.page(&body, &page(&body), &columns)?;
    Ok(Exit::Done)
}

async fn revoke(revoke: Revoke, shared: &Shared) -> Result<Exit, Failure> {
    if revoke.change.dry_run {
        shared.note(&format!("would revoke {}", revoke.id));
        return Ok(Exit::Done);
    }
    if !shared.confirm(
        revoke.change.yes,
        &format!("Whoever uses the key {} is refused from now on.", revoke.id),
    )? {
        return Ok(Exit::Done);
    }
    let api = shared.api().await?;
    let answer = api.delete(&Path::of(&["v1", "api-keys", &revoke.id])).await;
    api.close().await;
    answer?;
    shared.note(&format!("{} is revoked", revoke.id));
    Ok(Exit::Done)
}

//! `serve`: the API, the webhook receiver and the workers, until told to stop.

use std::net::SocketAddr;

use clap::Args;
use serde_json::{Value, json};

use super::Shared;
use super::api::{Api, Path, page};
use super::exit::{Exit, Failure};
use super::keys;
use crate::app::App;
use crate::clock::Clock;

#[derive(Debug, Args)]
pub(super) struct Serve {
    /// Address and port of the API and of /webhooks/stripe
    #[arg(long)]
    listen: Option<SocketAddr>,
    /// Only serve; other processes run the workers (Postgres)
    #[arg(long)]
    no_worker: bool,
}

pub(super) async fn run(command: Serve, shared: &Shared) -> Result<Exit, Failure> {
    let mut flags = Vec::new();
    flags.extend(
        command
            .listen
            .map(|address| ("http.listen".to_owned(), address.to_string())),
    );
    if command.no_worker {
        flags.push(("worker.enabled".to_owned(), "false".to_owned()));
    }
    let config = shared.config(flags)?;
    if config.stripe.webhook_secrets.is_empty() && config.stripe.endpoints.is_empty() {
        shared.note("note: STRIPE_WEBHOOK_SECRET is not set, so webhooks are answered 503 until it is");
    }
    let app = App::start(&config, Clock::system()).await?;
    let stop = stop_signal()?;
    let api = Api::server(app.url(), app.admin_token());
    let greeting = async {
        let key = first_key(&api).await?;
        show_key(key.as_deref(), shared)
    };
    let serving = app.run(stop);
    let (greeted, served) = tokio::join!(greeting, serving);
    if let Err(failure) = greeted {
        tracing::warn!(reason = %failure, "the first admin key could not be made; use `subledger keys create`");
    }
    served?;
    Ok(Exit::Done)
}

/// Ends at the first SIGTERM or Ctrl-C. Listening starts now, so that no signal is missed later.
pub(super) fn stop_signal() -> Result<impl Future<Output = ()> + Send + 'static, Failure> {
    use tokio::signal::unix::{SignalKind, signal};
    let failed = |error: std::io::Error| Failure::new(Exit::Failed, format!("signals cannot be received: {error}"));
    let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}

/// The first admin key of a ledger that has none; `None` when it has keys already.
pub(super) async fn first_key(api: &Api) -> Result<Option<String>, Failure> {
    let list = Path::of(&["v1", "api-keys"]);
    let (keys, _) = page(&api.get(&list.clone().with("limit", Some("1"))).await?.body);
    if !keys.is_empty() {
        return Ok(None);
    }
    let wish = keys::wish("first admin key", &["all".to_owned()])?;
    let made = api.post(&list, &wish).await?;
    Ok(made.body.get("secret").and_then(Value::as_str).map(str::to_owned))
}

/// Prints it, once.
pub(super) fn show_key(key: Option<&str>, shared: &Shared) -> Result<(), Failure> {
    let Some(key) = key else { return Ok(()) };
    if shared.form == super::Form::Json {
        return shared.json(&json!({ "first_admin_key": key }));
    }
    shared.note("The first admin key of this ledger, shown only now; keep it in a safe place:");
    shared.text(&format!("{key}\n"))
}

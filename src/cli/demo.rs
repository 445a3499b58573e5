//! `demo`: a fresh ledger on SQLite, filled through its own front door, that keeps serving.

use std::net::{SocketAddr, TcpListener};
use std::path::{Path as FilePath, PathBuf};
use std::time::Duration;

use clap::Args;
use serde_json::Value;

use super::Shared;
use super::api::{Api, Path, page};
use super::exit::{Exit, Failure};
use super::serve::{first_key, stop_signal};
use crate::app::{self, App};
use crate::clock::Clock;
use crate::config::{Config, Sources};
use crate::demo::delivery::{self, Sent};
use crate::demo::{cast, tour};

/// The order in which webhooks arrive: the same at every start, so that two people see the same.
const SEED: u64 = 20_261_121;
/// Longest wait until everything delivered is visible; it takes a second.
const SETTLE_TIME_MAX: Duration = Duration::from_secs(30);
/// Pause between two looks while waiting.
const SETTLE_PAUSE: Duration = Duration::from_millis(50);
/// Where the demo listens if that is free.
const LISTEN: &str = "127.0.0.1:8080";

#[derive(Debug, Args)]
pub(super) struct Demo {
    /// Address and port [default: 127.0.0.1:8080, or a free port if that is taken]
    #[arg(long)]
    listen: Option<SocketAddr>,
    /// An empty directory for the ledger [default: a temporary one that goes when the demo stops]
    #[arg(long)]
    data_dir: Option<PathBuf>,
}

/// The demo's directory; a temporary one goes with it.
struct Home {
    path: PathBuf,
    temporary: bool,
}

impl Drop for Home {
    fn drop(&mut self) {
        if self.temporary {
            let _ = std::fs::remove_dir_all(&self.path);
        }
    }
}

pub(super) async fn run(command: Demo, shared: &Shared) -> Result<Exit, Failure> {
    let home = home(command.data_dir)?;
    let secret = format!("whsec_{}", app::random_text()?);
    let config = config(&home.path, command.listen, &secret, shared)?;
    crate::telemetry::start(&config.log, !shared.no_color);
    let clock = Clock::system();
    let app = App::start(&config, clock.clone()).await?;
    let (url, api) = (app.url(), Api::server(app.url(), app.admin_token()));
    let stop = stop_signal()?;
    let show = async {
        shared.note(&format!(
            "delivering the webhooks of some months to {url}/webhooks/stripe ..."
        ));
        let cast = cast::everybody(clock.now().seconds());
        let posts = delivery::disorder(&cast, SEED);
        let sent = delivery::deliver(&url, &secret, &posts, &clock).await;
        let sent = sent.map_err(|error| Failure::new(Exit::Failed, error.to_string()))?;
        settle(&api).await?;
        let key = first_key(&api).await?.unwrap_or_default();
        told(&sent, shared);
        shared.text(&tour::text(&url, &key, &home.path.display().to_string(), &cast))
    };
    let (shown, served) = tokio::join!(show, app.run(stop));
    served?;
    shown?;
    Ok(Exit::Done)
}

fn told(sent: &Sent, shared: &Shared) {
    let Sent { posts, copies, taken } = sent;
    shared.note(&format!(
        "{posts} webhooks sent, {copies} of them second copies, {taken} taken; all are applied"
    ));
}

fn home(wanted: Option<PathBuf>) -> Result<Home, Failure> {
    let temporary = wanted.is_none();
    let path = wanted.unwrap_or_else(|| std::env::temp_dir().join(format!("subledger-demo-{}", std::process::id())));
    app::prepare_data_dir(&path)?;
    let mut entries = std::fs::read_dir(&path).map_err(|error| Failure::file(&path, &error))?;
    if entries.next().is_some() {
        let message = format!("{} is not empty; the demo wants a directory of its own", path.display());
        return Err(Failure::usage(message));
    }
    Ok(Home { path, temporary })
}

/// Nothing of the user's own settings: the demo must not write into a real ledger.
fn config(home: &FilePath, listen: Option<SocketAddr>, secret: &str, shared: &Shared) -> Result<Config, Failure> {
    let listen = match listen {
        Some(address) => address.to_string(),
        None if TcpListener::bind(LISTEN).is_ok() => LISTEN.to_owned(),
        None => free()?,
    };
    let level = if shared.verbose == 0 { "warn" } else { "info" };
    let flags = [
        ("http.listen", listen),
        ("http.metrics_listen", free()?),
        ("store.data_dir", home.display().to_string()),
        ("stripe.mode", "test".to_owned()),
        ("stripe.webhook_secrets", secret.to_owned()),
        ("log.level", level.to_owned()),
    ];
    let flags = flags.map(|(key, value)| (key.to_owned(), value)).to_vec();
    Ok(Config::load(&Sources {
        file: None,
        environment: Vec::new(),
        flags,
    })?)
}

fn free() -> Result<String, Failure> {
    let failed = |error: std::io::Error| Failure::new(Exit::Failed, format!("no port is free: {error}"));
    let listener = TcpListener::bind("127.0.0.1:0").map_err(failed)?;
    Ok(listener.local_addr().map_err(failed)?.to_string())
}

/// Waits until no receipt is new and every view has reached its head.
async fn settle(api: &Api) -> Result<(), Failure> {
    let waiting = Path::of(&["v1", "webhook-inbox"])
        .with("state", Some("new"))
        .with("limit", Some("1"));
    let views = Path::of(&["v1", "projections"]);
    let settled = async {
        loop {
            let (open, _) = page(&api.get(&waiting).await?.body);
            if open.is_empty() && lag(&api.get(&views).await?.body) == 0 {
                return Ok(());
            }
            tokio::time::sleep(SETTLE_PAUSE).await;
        }
    };
    let late = |_| {
        Failure::new(
            Exit::Failed,
            "the webhooks were taken but not applied in 30 s; see the log",
        )
    };
    tokio::time::timeout(SETTLE_TIME_MAX, settled).await.map_err(late)?
}

/// Events that some view has not applied yet, wherever `lag` stands in the answer.
fn lag(value: &Value) -> u64 {
    match value {
        Value::Object(object) => {
            let own = object.get("lag").and_then(Value::as_u64).unwrap_or(0);
            own + object.values().map(lag).sum::<u64>()
        }
        Value::Array(items) => items.iter().map(lag).sum(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => 0,
    }
}

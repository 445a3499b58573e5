//! Start and stop.

use std::net::SocketAddr;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use aggregates::ids::PriceId;
use aggregates::plan::Mode;
use aggregates::subscription::{PriceBook, seen::PlanRef};
use axum::Router;
use projections::db::{Db, DbConfig};
use projections::runner::{Role, Runner};
use secrecy::ExposeSecret;
use tokio::net::TcpListener;
use tokio::sync::{Notify, watch};

use super::AppError;
use super::figures::{Figures, StripeFigures};
use super::local::{Announcement, Running};
use super::loops::Loops;
use super::parts::Started;
use super::stripe::{Asking, stripe_client};
use crate::auth::api_key::AdminToken;
use crate::clock::Clock;
use crate::config::Config;
use crate::directory::Directory;
use crate::http::state::Service;
use crate::http::{TABLE, router, server};
use crate::inbox::receive::{HandOff, Receiver};
use crate::inbox::{NewReceipt, Pressure, ReceiptStore};
use crate::lease::{Keeper, Role as LeaseRole};
use crate::plans::registry::Registry;
use crate::plans::{self, Source};
use crate::process::HeldParts;
use crate::process::apply_webhooks::{ApplyWebhooks, Parts as WorkerParts};
use crate::process::forget_answers::ForgetAnswers;
use crate::process::note_catalogue::note_catalogue;
use crate::stripe::gateway::Gateway;
use crate::stripe::translate::Translator;

/// Name of the SQLite file in the data directory.
const SQLITE_FILE: &str = "ledger.db";

/// A started service; it serves once [`App::run`] is called.
pub struct App {
    core: Core,
    api: Option<(TcpListener, String, Announcement)>,
    metrics: TcpListener,
}

/// The same routes without a listener: for commands that find no running server.
pub struct Offline(Core);

/// What serves, whoever calls it.
struct Core {
    db: Db,
    service: Service,
    workers: Option<Workers>,
    runner: Runner,
    /// Last, so that it outlives what runs on it.
    loops: Loops,
}

/// The loops of a process that works.
struct Workers {
    apply: ApplyWebhooks,
    asking: Option<Asking>,
    forget: ForgetAnswers,
    keeper: Keeper,
}

/// How the configured ledger is opened.
#[must_use]
pub fn database_config(config: &Config, clock: &Clock) -> DbConfig {
    let url = match &config.store.url {
        Some(url) => url.expose_secret().to_owned(),
        None => format!("sqlite:{}", config.store.data_dir.join(SQLITE_FILE).display()),
    };
    let mut db = DbConfig::new(&url, clock.now());
    db.partitions = config.store.partitions;
    db.connections = config.store.connections;
    db.accept_unsafe_server = config.store.accept_unsafe_server;
    db.mode = config.stripe.mode;
    db
}

async fn listen(address: SocketAddr, key: &'static str) -> Result<TcpListener, AppError> {
    TcpListener::bind(address)
        .await
        .map_err(|source| AppError::Listen { address, key, source })
}

/// Which plan a price stands for, by the catalogue in force.
struct Prices(Registry);

impl PriceBook for Prices {
    fn plan_of(&self, price: &PriceId) -> Option<PlanRef> {
        self.0.current().plan_of(price)
    }
}

/// A hand-off whose worker is named later: the receiver must exist before the worker that reads its store.
fn hand_off_to(worker: Arc<OnceLock<HandOff>>) -> HandOff {
    Arc::new(move |fresh: Vec<NewReceipt>| {
        if let Some(hand_off) = worker.get() {
            hand_off(fresh);
        }
    })
}

/// Makes the data directory, for this user alone where it is new.
pub fn prepare_data_dir(path: &Path) -> Result<(), AppError> {
    if path.is_dir() {
        return Ok(());
    }
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true).mode(0o700);
    builder.create(path).map_err(|source| AppError::DataDir {
        path: path.to_owned(),
        source,
    })
}

impl Core {
    /// Opens the store, loads the catalogue and, if it is to work, starts the loops.
    async fn start(config: &Config, clock: &Clock, works: bool) -> Result<Self, AppError> {
        prepare_data_dir(&config.store.data_dir)?;
        let db = Db::open(&database_config(config, clock)).await?;
        let started = Self::on(db.clone(), config, clock, works).await;
        // Whatever could not be done without the file, the file is what to look at.
        started.map_err(|error| db.failure().map_or(error, AppError::Storage))
    }

    async fn on(db: Db, config: &Config, clock: &Clock, works: bool) -> Result<Self, AppError> {
        let source = config.plans_file.clone().map_or(Source::Bundled, Source::File);
        let loaded = plans::load(&source, &plans::process_env)?;
        let plans = Registry::open(&db, &loaded, clock.now()).await?;
        note_catalogue(&db, plans.current().version(), loaded.content_hash, clock.now()).await?;
        let role = if works { Role::Fold } else { Role::Follow };
        let loops = Loops::start()?;
        let (ticks, views) = (clock.clone(), db.clone());
        let poll = Duration::from_millis(config.worker.poll_ms);
        let runner = async move { Runner::start(&views, role, poll, Arc::new(move || ticks.now())).await };
        let runner = loops.run(runner).await??;
        let receipts = ReceiptStore::new(db.clone());
        let worker = Arc::new(OnceLock::new());
        let receiver = Receiver::start(receipts.clone(), hand_off_to(Arc::clone(&worker)));
        let stripe = stripe_client(config, clock)?;
        let woken: Arc<Notify> = Arc::default();
        let workers = if works {
            let mut workers =
                Workers::start(config, clock, &db, &receipts, &plans, &loops, receiver.pressure()).await?;
            let _ = worker.set(workers.apply.hand_off());
            let leases = workers.keeper.watch();
            // After the worker is known, so that no answer waits for the sweep.
            let ways = (&receipts, &receiver);
            workers.asking = Asking::start(stripe.clone(), clock, &db, ways, (&plans, &woken), leases, &loops).await?;
            Some(workers)
        } else {
            None
        };
        let started = Started {
            config,
            clock,
            db: &db,
            runner: &runner,
            plans,
            receiver,
            receipts,
            stripe: stripe.map(|client| -> Gateway { client }),
            woken,
            admin_token: AdminToken::try_new()?,
        };
        let service = Service::new(started.into_parts()?);
        let figures = Figures {
            db: db.clone(),
            receiver: service.receiver.clone(),
            worker: workers.as_ref().map(|workers| workers.apply.gauges()),
            stripe: workers
                .as_ref()
                .and_then(|workers| workers.asking.as_ref())
                .map(StripeFigures::of),
            progress: runner.progress().clone(),
        };
        service
            .metrics
            .register(|registry| registry.register_collector(Box::new(figures)));
        Ok(Self {
            db,
            service,
            workers,
            runner,
            loops,
        })
    }

    /// Finishes what was taken in and closes the store.
    async fn stop(self) {
        let (asking, workers) = match self.workers {
            Some(mut workers) => (workers.asking.take(), Some(workers)),
            None => (None, None),
        };
        if let Some(asking) = asking {
            asking.calls.stop().await;
            asking.reads.stop().await;
        }
        self.service.receiver.stop().await;
        if let Some(workers) = workers {
            workers.apply.stop().await;
            workers.forget.stop().await;
            workers.keeper.stop().await;
        }
        self.runner.stop().await;
        drop(self.loops);
        self.db.close().await;
    }
}

impl Workers {
    async fn start(
        config: &Config,
        clock: &Clock,
        db: &Db,
        receipts: &ReceiptStore,
        plans: &Registry,
        loops: &Loops,
        pressure: &Pressure,
    ) -> Result<Self, AppError> {
        let keeper = Keeper::start(db.clone(), LeaseRole::Part, config.worker.instance.clone()).await;
        let leases = keeper.watch();
        let held: HeldParts = Arc::new(move || leases.borrow().keys().copied().collect());
        let forget = ForgetAnswers::start(db.clone(), Arc::clone(&held), clock.clone());
        let parts = WorkerParts {
            db: db.clone(),
            directory: Directory::new(db.clone(), clock.clone()),
            receipts: receipts.clone(),
            translator: Translator::new(&plans.current().terms().tenant_keys),
            prices: Arc::new(Prices(plans.clone())),
            live: config.stripe.mode == Mode::Live,
            held,
            pressure: pressure.clone(),
            clock: clock.clone(),
        };
        let apply = loops.run(async move { ApplyWebhooks::start(parts) }).await?;
        Ok(Self {
            apply,
            asking: None,
            forget,
            keeper,
        })
    }
}

impl Offline {
    /// Opens the store for one command; nothing listens and nothing works in the background.
    pub async fn open(config: &Config) -> Result<Self, AppError> {
        let core = Core::start(config, &Clock::system(), false).await?;
        core.service.lifecycle.ready();
        Ok(Self(core))
    }

    /// The routes.
    pub fn router(&self) -> Router {
        router::build(TABLE, &self.0.service)
    }

    /// A token with every scope, good for these routes.
    #[must_use]
    pub fn admin_token(&self) -> String {
        self.0.service.admin_token.reveal().to_owned()
    }

    /// Closes the store.
    pub async fn close(self) {
        self.0.stop().await;
    }
}

impl App {
    /// Binds the addresses, opens the store and starts everything configuration asks for.
    pub async fn start(config: &Config, clock: Clock) -> Result<Self, AppError> {
        let api = listen(config.http.listen, "http.listen").await?;
        let metrics = listen(config.http.metrics_listen, "http.metrics_listen").await?;
        let url = match api.local_addr() {
            Ok(address) => format!("http://{address}"),
            Err(_) => config.http.public_url.clone(),
        };
        let core = Core::start(config, &clock, config.worker.enabled).await?;
        let token = core.service.admin_token.reveal().to_owned();
        let running = Running {
            url: url.clone(),
            token,
            pid: std::process::id(),
        };
        let announcement = running.announce(&config.store.data_dir)?;
        Ok(Self {
            core,
            api: Some((api, url, announcement)),
            metrics,
        })
    }

    /// The loops alone, beside processes that serve: Postgres only.
    pub async fn start_worker(config: &Config, clock: Clock) -> Result<Self, AppError> {
        if config.store.url.is_none() {
            return Err(AppError::WorkerOnSqlite);
        }
        let metrics = listen(config.http.metrics_listen, "http.metrics_listen").await?;
        let core = Core::start(config, &clock, true).await?;
        Ok(Self {
            core,
            api: None,
            metrics,
        })
    }

    /// Where the API is reached on this machine, without a slash at the end; empty for a worker.
    #[must_use]
    pub fn url(&self) -> String {
        self.api.as_ref().map(|(_, url, _)| url.clone()).unwrap_or_default()
    }

    /// The token of `serve.json`.
    #[must_use]
    pub fn admin_token(&self) -> String {
        self.core.service.admin_token.reveal().to_owned()
    }

    /// Serves until `stop` ends or the storage fails for good; then drains and closes.
    pub async fn run(self, stop: impl Future<Output = ()> + Send + 'static) -> Result<(), AppError> {
        let Self { core, api, metrics } = self;
        let (told, stopped) = watch::channel(false);
        let ended = |mut stopped: watch::Receiver<bool>| async move {
            let _ = stopped.wait_for(|stop| *stop).await;
        };
        let measured = tokio::spawn(server::serve(
            metrics,
            router::metrics_router(&core.service),
            server::Bounds::default(),
            ended(stopped.clone()),
        ));
        let (serving, _announcement) = match api {
            Some((listener, url, announcement)) => {
                tracing::info!(http.url = %url, store = ?core.db.kind(), parts = core.db.parts(), "serving");
                let routes = router::build(TABLE, &core.service);
                let bounds = server::Bounds {
                    proxies: core.service.settings.trusted_proxies.clone(),
                    ..server::Bounds::default()
                };
                let serving = tokio::spawn(server::serve(listener, routes, bounds, ended(stopped)));
                (Some(serving), Some(announcement))
            }
            None => (None, None),
        };
        core.service.lifecycle.ready();
        let failure = tokio::select! {
            () = stop => None,
            failure = core.db.failed() => Some(failure),
        };
        core.service.lifecycle.stop();
        let _ = told.send(true);
        if let Some(failure) = failure {
            // Storage that failed a sync is not written to again, not even to tidy up.
            return Err(AppError::Storage(failure));
        }
        if let Some(serving) = serving {
            let _ = serving.await;
        }
        let db = core.db.clone();
        core.stop().await;
        measured.abort();
        if let Some(failure) = db.failure() {
            return Err(AppError::Storage(failure));
        }
        tracing::info!("stopped");
        Ok(())
    }
}

//! The real binary on a store of the test's own, reached as a user would reach it.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::http::{Answer, Connection, request};
use super::ledger::Tables;
use super::{TestStore, ports, stripe};

/// Longest wait for readiness; a debug build on a loaded machine takes a few seconds at worst.
const READY_WAIT: Duration = Duration::from_secs(30);

/// How to start a server; `new` fits most tests.
pub(crate) struct Launch {
    binary: PathBuf,
    store_url: Option<String>,
    data_dir: PathBuf,
    log: PathBuf,
    port: u16,
    metrics_port: u16,
    under: Vec<String>,
    pub(crate) environment: Vec<(String, String)>,
}

impl Launch {
    /// The built binary on the given store, on free ports.
    pub(crate) fn new(store: &TestStore) -> Self {
        Self {
            binary: env!("CARGO_BIN_EXE_subledger").into(),
            store_url: store.url().map(str::to_owned),
            data_dir: store.data_dir().to_owned(),
            log: store.data_dir().join("test-server.log"),
            port: ports::free_port(),
            metrics_port: ports::free_port(),
            under: Vec::new(),
            environment: Vec::new(),
        }
    }

    /// The same store, but a data directory of its own: a second process on Postgres.
    pub(crate) fn in_directory(mut self, data_dir: &Path) -> Self {
        data_dir.clone_into(&mut self.data_dir);
        self
    }

    /// Starts the binary by another program, which becomes the server's process (see `support::strace`).
    pub(crate) fn under(mut self, program: Vec<String>) -> Self {
        self.under = program;
        self
    }

    /// Sets one more environment variable.
    pub(crate) fn with(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The command, with nothing of the caller's own settings.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = match self.under.split_first() {
            Some((program, rest)) => {
                let mut command = Command::new(program);
                command.args(rest).arg(&self.binary);
                command
            }
            None => Command::new(&self.binary),
        };
        command.args(arguments).env_clear().current_dir(&self.data_dir);
        for name in ["PATH", "HOME", "TMPDIR", "SUBLEDGER_MUTANT"] {
            if let Some(value) = std::env::var_os(name) {
                command.env(name, value);
            }
        }
        command
            .env("SUBLEDGER__STORE__DATA_DIR", &self.data_dir)
            .env("SUBLEDGER__HTTP__LISTEN", format!("127.0.0.1:{}", self.port))
            .env(
                "SUBLEDGER__HTTP__METRICS_LISTEN",
                format!("127.0.0.1:{}", self.metrics_port),
            )
            .env(
                "SUBLEDGER__AUTH__KEY_PEPPER",
                "test-pepper-0123456789abcdef0123456789abcdef",
            )
            .env("SUBLEDGER__LOG__LEVEL", "warn")
            // The shared test server runs without fsync; servers that crash tests kill run with it.
            .env("SUBLEDGER__STORE__ACCEPT_UNSAFE_SERVER", "true")
            .env("STRIPE_WEBHOOK_SECRET", stripe::SECRET);
        if let Some(url) = &self.store_url {
            command.env("DATABASE_URL", url);
        }
        for (name, value) in &self.environment {
            command.env(name, value);
        }
        command
    }

    /// Starts `serve` without waiting.
    pub(crate) fn spawn(&self) -> Server {
        let log = std::fs::File::options()
            .create(true)
            .append(true)
            .open(&self.log)
            .expect("a log file");
        let child = self
            .command(&["serve"])
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("the log file"))
            .stderr(log)
            .spawn()
            .expect("the subledger binary");
        Server {
            child,
            address: format!("127.0.0.1:{}", self.port),
            metrics_address: format!("127.0.0.1:{}", self.metrics_port),
            store_url: self.store_url.clone(),
            data_dir: self.data_dir.clone(),
            log: self.log.clone(),
        }
    }

    /// Starts `serve` and waits until it is ready; panics with its log when it is not.
    pub(crate) async fn start(&self) -> Server {
        let mut server = self.spawn();
        server.ready().await;
        server
    }
}

/// A running server, killed when dropped.
pub(crate) struct Server {
    child: Child,
    pub(crate) address: String,
    pub(crate) metrics_address: String,
    store_url: Option<String>,
    data_dir: PathBuf,
    log: PathBuf,
}

impl Server {
    /// Waits until `/readyz` says yes; answers how long that took.
    pub(crate) async fn ready(&mut self) -> Duration {
        let begin = Instant::now();
        loop {
            if self.is_ready().await {
                return begin.elapsed();
            }
            let ended = self.child.try_wait().expect("the server process");
            assert!(ended.is_none(), "the server ended with {ended:?}:\n{}", self.log());
            assert!(begin.elapsed() < READY_WAIT, "not ready:\n{}", self.log());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Does `/readyz` say yes?
    pub(crate) async fn is_ready(&self) -> bool {
        let Ok(mut connection) = Connection::open(&self.address).await else {
            return false;
        };
        let answer = connection.send(&request("GET", "/readyz", &[], b"")).await;
        answer.is_ok_and(|answer| answer.status == 200)
    }

    /// What the server wrote to stdout and stderr so far.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Its process id.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The local admin token, by which the command line reaches a running server.
    pub(crate) fn admin_token(&self) -> String {
        admin_token(&self.data_dir)
    }

    /// Kills it as `kill -9` does, at whatever it was doing.
    pub(crate) fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Is the process still there?
    pub(crate) fn is_alive(&mut self) -> bool {
        self.child.try_wait().expect("the server process").is_none()
    }

    /// Waits for the process to end by itself; answers its exit code, or nothing when a signal ended it.
    pub(crate) async fn ended(&mut self) -> Option<i32> {
        let begin = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().expect("the server process") {
                return status.code();
            }
            assert!(begin.elapsed() < READY_WAIT, "did not end:\n{}", self.log());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Asks it to stop as a service manager would.
    pub(crate) fn terminate(&self) {
        let asked = Command::new("kill").args(["-TERM", &self.pid().to_string()]).status();
        assert!(asked.expect("kill").success());
    }

    /// One request on a connection of its own.
    pub(crate) async fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        let mut connection = Connection::open(&self.address).await.expect("a connection");
        let answer = connection.send(&request(method, path, headers, body)).await;
        answer.unwrap_or_else(|error| panic!("{method} {path}: {error}\n{}", self.log()))
    }

    /// GET as the local administrator, JSON expected.
    pub(crate) async fn get(&self, path: &str) -> Value {
        let bearer = format!("Bearer {}", self.admin_token());
        let answer = self.send("GET", path, &[("Authorization", &bearer)], b"").await;
        assert_eq!(answer.status, 200, "{path}: {}", String::from_utf8_lossy(&answer.body));
        answer.json()
    }

    /// POST as the local administrator.
    pub(crate) async fn post(&self, path: &str, body: &Value) -> Answer {
        let bearer = format!("Bearer {}", self.admin_token());
        let headers = [("Authorization", &*bearer), ("Content-Type", "application/json")];
        self.send("POST", path, &headers, body.to_string().as_bytes()).await
    }

    /// Delivers a body with a right signature.
    pub(crate) async fn deliver(&self, body: &[u8]) -> Answer {
        let signature = stripe::signature(body);
        let headers = [("Content-Type", "application/json"), ("Stripe-Signature", &*signature)];
        self.send("POST", "/webhooks/stripe", &headers, body).await
    }

    /// Waits until every receipt is settled and every view has read the whole log.
    pub(crate) async fn settled(&self) {
        self.caught_up(READY_WAIT * 2).await;
    }

    /// The same with a longest wait of one's own.
    pub(crate) async fn caught_up(&self, longest: Duration) {
        let begin = Instant::now();
        while !self.is_settled().await {
            assert!(begin.elapsed() < longest, "never settled:\n{}", self.log());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// The names of all views.
    pub(crate) async fn projections(&self) -> Vec<String> {
        let list = self.get("/v1/projections").await;
        let rows = list["data"].as_array().expect("a list").iter();
        let mut names: Vec<String> = rows
            .map(|row| row["name"].as_str().expect("a name").to_owned())
            .collect();
        names.sort();
        names.dedup();
        names
    }

    /// Is a rebuild of any view running?
    pub(crate) async fn is_rebuilding(&self) -> bool {
        let list = self.get("/v1/projections").await;
        let rows = list["data"].as_array().expect("a list");
        rows.iter()
            .any(|row| row["rebuild"]["state"] == "running" || row["rebuild"]["state"] == "waiting")
    }

    /// Is every receipt settled, and has every view read the whole log? Asked of the tables, so that it needs no
    /// credential and costs the server nothing.
    pub(crate) async fn is_settled(&self) -> bool {
        let mut tables = Tables::open(self.store_url.as_deref(), &self.data_dir).await;
        let open = tables
            .number("select count(*) from webhook_receipts where state = 'new'")
            .await;
        open == 0 && tables.number(BEHIND).await == 0
    }
}

/// Events that some view in use has not read, summed.
const BEHIND: &str = "select coalesce(sum(h.position - coalesce(c.position, 0)), 0) from projection_active a \
    cross join log_head h left join projection_checkpoint c \
    on c.part = h.part and c.name = a.name and c.slot = a.slot";

/// The token in `serve.json` of a data directory.
pub(crate) fn admin_token(data_dir: &Path) -> String {
    let text = std::fs::read_to_string(data_dir.join("serve.json")).expect("serve.json of a running server");
    let file: Value = serde_json::from_str(&text).expect("JSON");
    file["token"].as_str().expect("a token").to_owned()
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

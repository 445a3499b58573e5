//! A Postgres server for tests: one for each test run, one database for each test.
//!
//! `TEST_DATABASE_URL` names a server to use; else one is started from the binaries on this machine. Under
//! cargo-nextest every test is a process of its own, so the processes of one run find the same server by a
//! lock file named after the runner's process. A small shell process watches that owner and stops the server
//! when it is gone, however it went.

use std::fs::File;
use std::io::{Read, Seek, Write};
use std::os::unix::process::{CommandExt, parent_id};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use sqlx::{Connection, Executor, PgConnection, PgPool};

use super::ports::free_port;

/// Longest wait for a started server; initdb and the first start take a few seconds on a loaded machine.
const START_WAIT: Duration = Duration::from_secs(60);

/// Base URL (no database) of the server of this run, started on first use; nothing without Postgres.
pub(crate) fn shared_server() -> Option<&'static str> {
    static SERVER: OnceLock<Option<String>> = OnceLock::new();
    SERVER
        .get_or_init(|| {
            if let Ok(url) = std::env::var("TEST_DATABASE_URL") {
                return Some(without_database(&url));
            }
            let owner = if std::env::var_os("NEXTEST_RUN_ID").is_some() {
                parent_id()
            } else {
                std::process::id()
            };
            let Some(binaries) = binaries() else {
                super::skipped("every Postgres case: no Postgres server here (tests/run installs it)");
                return None;
            };
            let home = std::env::temp_dir().join(format!("subledger-postgres-{owner}"));
            std::fs::create_dir_all(&home).expect("a directory for Postgres");
            let mut lock = File::options()
                .create(true)
                .truncate(false)
                .read(true)
                .write(true)
                .open(home.join("lock"))
                .expect("the lock file");
            lock.lock().expect("the lock");
            let mut port = String::new();
            lock.read_to_string(&mut port).expect("the port in the lock file");
            if port.is_empty() {
                port = start(&binaries, &home, owner, Durability::Off, free_port()).to_string();
                lock.rewind().expect("the lock file");
                lock.write_all(port.as_bytes()).expect("the lock file");
            }
            Some(format!("postgres://postgres@127.0.0.1:{port}"))
        })
        .as_deref()
}

/// Whether the server may lose acknowledged data when it is killed. Only crash tests pay for `On`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Durability {
    On,
    Off,
}

/// A durable server of a test's own, which it may stop and start again.
pub(crate) struct OwnServer {
    binaries: PathBuf,
    home: PathBuf,
    port: u16,
}

impl OwnServer {
    /// Starts a server with `fsync = on`, or answers nothing without Postgres.
    pub(crate) fn start() -> Option<Self> {
        let Some(binaries) = binaries() else {
            super::skipped("every Postgres case: no Postgres server here (tests/run installs it)");
            return None;
        };
        let port = free_port();
        let home = std::env::temp_dir().join(format!("subledger-postgres-{}-{port}", std::process::id()));
        std::fs::create_dir_all(&home).expect("a directory for Postgres");
        start(&binaries, &home, std::process::id(), Durability::On, port);
        Some(Self { binaries, home, port })
    }

    /// Base URL without a database.
    pub(crate) fn url(&self) -> String {
        format!("postgres://postgres@127.0.0.1:{}", self.port)
    }

    /// Kills the postmaster and everything below it, as a crash of the machine's Postgres would.
    pub(crate) fn kill(&self) {
        let pid_file = std::fs::read_to_string(self.home.join("data/postmaster.pid")).expect("a running server");
        let pid = pid_file.lines().next().expect("a pid").to_owned();
        let killed = Command::new("kill").args(["-KILL", &pid]).status().expect("kill");
        assert!(killed.success());
        // The watcher sees the dead child and ends; the backends notice the dead postmaster by themselves.
        let until = Instant::now() + START_WAIT;
        while std::net::TcpStream::connect(("127.0.0.1", self.port)).is_ok() {
            assert!(Instant::now() < until, "Postgres would not die");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Starts the killed server again on the same data and port.
    pub(crate) fn restart(&self) {
        launch(
            &self.binaries,
            &self.home,
            std::process::id(),
            Durability::On,
            self.port,
        );
    }
}

impl Drop for OwnServer {
    fn drop(&mut self) {
        let _ = std::fs::write(self.home.join("stop"), "");
    }
}

/// Makes every table with a part a table of four hash partitions, with its rows, keys and checks; answers how many.
pub(crate) async fn spread(pool: &PgPool) -> usize {
    let tables: Vec<String> = sqlx::query_scalar(
        "select c.relname::text from pg_class c join pg_namespace n on n.oid = c.relnamespace \
         join pg_attribute a on a.attrelid = c.oid and a.attname = 'part' \
         where n.nspname = 'public' and c.relkind = 'r' order by 1",
    )
    .fetch_all(pool)
    .await
    .expect("the tables");
    for table in &tables {
        let mut sql = format!(
            "alter table {table} rename to {table}_whole; \
             create table {table} (like {table}_whole including all) partition by hash (part);"
        );
        for leaf in 0..4 {
            sql += &format!(
                "create table {table}_leaf{leaf} partition of {table} for values with (modulus 4, remainder {leaf});"
            );
        }
        sql += &format!("insert into {table} select * from {table}_whole; drop table {table}_whole;");
        pool.execute(sqlx::raw_sql(&sql)).await.expect("four partitions");
    }
    tables.len()
}

/// The folder of the server's programs, and of `pg_dump` and `pg_restore`.
pub(crate) fn binaries() -> Option<PathBuf> {
    let on_path = std::env::var_os("PATH").into_iter();
    let on_path = on_path.flat_map(|path| std::env::split_paths(&path).collect::<Vec<_>>());
    let packaged = ["/usr/lib/postgresql", "/opt/homebrew/opt"]
        .into_iter()
        .flat_map(|root| {
            let mut found: Vec<PathBuf> = std::fs::read_dir(root)
                .into_iter()
                .flatten()
                .filter_map(|entry| Some(entry.ok()?.path().join("bin")))
                .collect();
            found.sort();
            found.reverse();
            found
        });
    on_path
        .chain(packaged)
        .find(|dir| dir.join("initdb").exists() && dir.join("postgres").exists())
}

/// The user to run Postgres as: it refuses root, so root hands over to `postgres`, else to `nobody`.
pub(crate) fn run_as() -> Option<(u32, u32)> {
    let id = Command::new("id").arg("-u").output().expect("id").stdout;
    if String::from_utf8_lossy(&id).trim() != "0" {
        return None;
    }
    let users = std::fs::read_to_string("/etc/passwd").expect("/etc/passwd");
    let entry = |name: &str| {
        let line = users.lines().find(|line| line.starts_with(&format!("{name}:")))?;
        let mut fields = line.split(':').skip(2).map(|id| id.parse().ok());
        Some((fields.next()??, fields.next()??))
    };
    entry("postgres").or_else(|| entry("nobody"))
}

fn command(program: &Path) -> Command {
    let mut command = Command::new(program);
    if let Some((user, group)) = run_as() {
        command.uid(user).gid(group);
    }
    command.stdin(Stdio::null()).current_dir("/");
    command
}

fn start(binaries: &Path, home: &Path, owner: u32, durability: Durability, port: u16) -> u16 {
    if let Some((user, group)) = run_as() {
        std::os::unix::fs::chown(home, Some(user), Some(group)).expect("the directory handed to postgres");
    }
    let made = command(&binaries.join("initdb"))
        .args([
            "-U",
            "postgres",
            "-A",
            "trust",
            "-E",
            "UTF8",
            "--locale=C",
            "--no-sync",
            "-D",
        ])
        .arg(home.join("data"))
        .output()
        .expect("initdb");
    assert!(
        made.status.success(),
        "initdb: {}",
        String::from_utf8_lossy(&made.stderr)
    );
    launch(binaries, home, owner, durability, port);
    port
}

#[expect(
    clippy::zombie_processes,
    reason = "the watcher ends after its owner, or is reaped with it"
)]
fn launch(binaries: &Path, home: &Path, owner: u32, durability: Durability, port: u16) {
    let fsync = match durability {
        Durability::On => "on",
        Durability::Off => "off",
    };
    let script = r#"
        home="$1"; owner="$2"; port="$3"; fsync="$4"; postgres="$5"
        "$postgres" -D "$home/data" -p "$port" -c listen_addresses=127.0.0.1 -c unix_socket_directories= \
          -c fsync="$fsync" -c full_page_writes="$fsync" -c max_connections=300 -c shared_buffers=64MB \
          >"$home/log" 2>&1 &
        child=$!
        while [ ! -e "$home/stop" ] && { kill -0 "$owner" 2>/dev/null || [ -d "/proc/$owner" ]; }; do
          kill -0 "$child" 2>/dev/null || exit
          sleep 0.2
        done
        kill -QUIT "$child" 2>/dev/null
        wait "$child"
        rm -rf "$home"
    "#;
    let start = || {
        command(Path::new("sh"))
            .args(["-c", script, "sh"])
            .arg(home)
            .args([&owner.to_string(), &port.to_string(), fsync])
            .arg(binaries.join("postgres"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .expect("the watcher of Postgres")
    };
    let url = format!("postgres://postgres@127.0.0.1:{port}/postgres");
    let until = Instant::now() + START_WAIT;
    let mut watcher = start();
    while !blocking(async { PgConnection::connect(&url).await.is_ok() }) {
        // After a kill the last backends hold the shared memory for a moment, and a new server refuses to start.
        if watcher.try_wait().expect("the watcher").is_some() {
            watcher = start();
        }
        let log = || std::fs::read_to_string(home.join("log")).unwrap_or_default();
        assert!(Instant::now() < until, "Postgres did not start:\n{}", log());
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A database of a test's own, dropped with it.
pub(crate) struct Database {
    server: String,
    name: String,
    url: String,
}

impl Database {
    /// An empty database on `server` (a base URL without a database).
    pub(crate) async fn create(server: &str) -> Self {
        let name = format!("t_{}", uuid::Uuid::now_v7().simple());
        let mut connection = PgConnection::connect(&format!("{server}/postgres"))
            .await
            .expect("the test server");
        connection
            .execute(format!("create database {name}").as_str())
            .await
            .expect("a database");
        Self {
            server: server.to_owned(),
            url: format!("{server}/{name}"),
            name,
        }
    }

    /// Its `postgres://` URL.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        let (server, name) = (self.server.clone(), self.name.clone());
        blocking(async move {
            if let Ok(mut connection) = PgConnection::connect(&format!("{server}/postgres")).await {
                let _ = connection
                    .execute(format!("drop database if exists {name} with (force)").as_str())
                    .await;
            }
        });
    }
}

/// Runs a future to its end from code that is not async (drop, start), inside or outside a runtime.
fn blocking<T: Send>(future: impl Future<Output = T> + Send) -> T {
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.expect("a runtime").block_on(future)
        });
        thread.join().expect("the thread of a blocking call")
    })
}

/// `postgres://user@host:port/name` without `/name`.
fn without_database(url: &str) -> String {
    let scheme = url.find("://").map_or(0, |at| at + 3);
    let end = url[scheme..].find(['/', '?']).map_or(url.len(), |at| scheme + at);
    url[..end].to_owned()
}

#[test]
fn the_database_is_cut_off_a_url() {
    assert_eq!(without_database("postgres://u:p@h:1/db?x=y"), "postgres://u:p@h:1");
    assert_eq!(without_database("postgres://h"), "postgres://h");
}

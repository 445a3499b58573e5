//! A ledger is lost and comes back from its backup, by the commands of `docs/operations.md` as they stand there.
//!
//! 1. The service takes deliveries; while it does, a backup is made; it takes more, and is killed.
//! 2. The backup is restored, on Postgres into a new server, and the service starts on it.
//! 3. Without any other step: everything acknowledged before the backup is there and applied, API keys work, deliveries
//!    of before are duplicates, what came after the backup is taken when it is sent again, new ones are taken, and every
//!    view equals its rebuild.

use std::collections::BTreeSet;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command, Output};

use sqlx::{Connection, Executor, PgConnection};
use tempfile::TempDir;

use super::crash::{assert_whole, delivery};
use super::powercut::send;
use crate::support::postgres::{self, OwnServer};
use crate::support::server::{Launch, Server};
use crate::support::{TestStore, skipped};

/// Deliveries before the backup begins, while it runs, and after all is restored.
const BEFORE: usize = 40;
const BESIDE: usize = 120;
const AFTER: usize = 20;

/// The commands of the block in the operations page that begins with that title.
fn documented(title: &str) -> String {
    let page = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/operations.md"));
    let page = page.expect("docs/operations.md");
    let start = format!("```sh\n# {title}\n");
    let (_, rest) = page
        .split_once(&start)
        .unwrap_or_else(|| panic!("no block `# {title}` in docs/operations.md"));
    rest.split("```").next().expect("the commands").to_owned()
}

/// Runs them from a folder in which `data` is the data directory, as an operator would.
async fn run(title: &str, data_dir: &Path, home: &Path, environment: &[(&str, &str)]) {
    let data = home.join("data");
    let _ = std::fs::remove_file(&data);
    symlink(data_dir, &data).expect("a link");
    let programs = [
        Some(
            Path::new(env!("CARGO_BIN_EXE_subledger"))
                .parent()
                .expect("its folder")
                .to_owned(),
        ),
        postgres::binaries(),
    ];
    let path = std::env::var_os("PATH").unwrap_or_default();
    let path = programs.into_iter().flatten().chain(std::env::split_paths(&path));
    let path = std::env::join_paths(path).expect("a path");
    let mut command = Command::new("sh");
    command
        .args(["-eu", "-c", &documented(title)])
        .current_dir(home)
        .env("PATH", path);
    command.env("SUBLEDGER__STORE__DATA_DIR", &data);
    command.envs(environment.iter().copied());
    let output: Output = tokio::task::spawn_blocking(move || command.output().expect("sh"))
        .await
        .expect("a shell");
    assert!(
        output.status.success(),
        "{title}: {}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}

/// The service as an operator starts it: the pepper is the one in the data directory.
fn launch(store: &TestStore) -> Launch {
    Launch::new(store).with("SUBLEDGER__AUTH__KEY_PEPPER", "")
}

fn ids(sent: std::collections::HashMap<u16, Vec<String>>) -> BTreeSet<String> {
    sent.into_values().flatten().collect()
}

/// A key made through the command line of the running service.
fn new_key(launch: &Launch) -> String {
    let made = launch
        .command(&[
            "keys",
            "create",
            "--name",
            "kept",
            "--scopes",
            "system:read",
            "--output",
            "json",
        ])
        .output()
        .expect("the subledger binary");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let made: serde_json::Value = serde_json::from_slice(&made.stdout).expect("JSON");
    made["secret"].as_str().expect("a secret").to_owned()
}

/// What was there before the loss.
struct Kept {
    key: String,
    /// Acknowledged before the backup began, so in it.
    before: BTreeSet<String>,
    /// All that was acknowledged.
    all: BTreeSet<String>,
}

/// Takes deliveries, makes the backup beside them, and is killed.
async fn live_and_die(launch: &Launch, backup: impl Future<Output = ()>) -> Kept {
    let mut server = launch.start().await;
    let key = new_key(launch);
    let before = ids(send(&server, 0..BEFORE).await);
    let (beside, ()) = tokio::join!(send(&server, BEFORE..BEFORE + BESIDE), backup);
    let mut all = before.clone();
    all.extend(ids(beside));
    assert_eq!(all.len(), BEFORE + BESIDE, "{}", server.log());
    server.kill();
    Kept { key, before, all }
}

/// Starts on what was restored and looks at everything that must hold.
async fn come_back(launch: &Launch, store: &TestStore, kept: Kept, what: &str) {
    let server = launch.start().await;
    super::crash::assert_consistent(&server, store, &kept.before, what).await;
    let bearer = format!("Bearer {}", kept.key);
    let answer = server
        .send("GET", "/v1/whoami", &[("Authorization", &bearer)], b"")
        .await;
    assert_eq!(answer.status, 200, "{what}: a key of before works");
    let duplicates = send_again(&server, BEFORE + BESIDE).await;
    assert!(
        kept.before.is_subset(&duplicates),
        "{what}: {} duplicates of {} deliveries in the backup",
        duplicates.len(),
        kept.before.len()
    );
    let mut all = kept.all;
    all.extend(ids(send(&server, BEFORE + BESIDE..BEFORE + BESIDE + AFTER).await));
    assert_whole(&server, store, &all, what).await;
}

/// Delivers the first ones once more; answers those that were known.
async fn send_again(server: &Server, count: usize) -> BTreeSet<String> {
    let mut known = BTreeSet::new();
    for number in 0..count {
        let (id, body) = delivery(number);
        let answer = server.deliver(&body).await;
        assert_eq!(answer.status, 200, "{}", server.log());
        if answer.json()["duplicate"] == true {
            known.insert(id);
        }
    }
    known
}

fn has_sqlite3() -> bool {
    let found = Command::new("sqlite3").arg("-version").output();
    let found = found.is_ok_and(|output| output.status.success());
    if !found {
        skipped("backup of SQLite as documented: the sqlite3 command is missing (tests/run installs it)");
    }
    found
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_made_while_serving_brings_a_sqlite_ledger_back() {
    if !has_sqlite3() {
        return;
    }
    let (store, home) = (TestStore::sqlite(), TempDir::new().expect("a directory"));
    let launch = launch(&store);
    let backup = run("back up SQLite", store.data_dir(), home.path(), &[]);
    let kept = live_and_die(&launch, backup).await;
    assert!(
        store.data_dir().join("ledger.db-wal").exists(),
        "the killed process left its log, which must not be applied to the restored file"
    );
    run("restore SQLite", store.data_dir(), home.path(), &[]).await;
    come_back(&launch, &store, kept, "backup while serving").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_clean_stop_one_file_is_a_backup() {
    let store = TestStore::sqlite();
    let launch = launch(&store);
    let mut server = launch.start().await;
    let key = new_key(&launch);
    let before = ids(send(&server, 0..BEFORE + BESIDE).await);
    server.terminate();
    assert_eq!(server.ended().await, Some(0), "{}", server.log());
    let log = std::fs::metadata(store.data_dir().join("ledger.db-wal"));
    assert!(log.map_or(0, |log| log.len()) == 0, "everything is in one file");
    let restored = TestStore::sqlite();
    for file in ["ledger.db", "key_pepper"] {
        std::fs::copy(store.data_dir().join(file), restored.data_dir().join(file)).expect("a copy");
    }
    let all = before.clone();
    let kept = Kept { key, before, all };
    come_back(&self::launch(&restored), &restored, kept, "copy of one file").await;
}

/// Both roles on the server, and a database that the owner owns; answers the store and each role's URL.
async fn database(server: &OwnServer) -> (TestStore, String, String) {
    let store = TestStore::on_server(&server.url()).await;
    let url = store.url().expect("a URL");
    let name = url.rsplit('/').next().expect("a name");
    let mut connection = PgConnection::connect(&server.url()).await.expect("the server");
    let sql = format!(
        "create role subledger_owner login; create role subledger_app login; alter database {name} owner to subledger_owner"
    );
    connection.execute(sql.as_str()).await.expect("roles");
    let of = |role: &str| url.replacen("postgres@", &format!("{role}@"), 1);
    let (owner, app) = (of("subledger_owner"), of("subledger_app"));
    (store, owner, app)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dump_brings_a_ledger_back_on_a_new_postgres_server() {
    let Some(first) = OwnServer::start() else { return };
    let home = TempDir::new().expect("a directory");
    let (store, owner, app) = database(&first).await;
    let serving = launch(&store).with("DATABASE_URL", &app);
    let migrate = launch(&store).with("DATABASE_URL", &owner);
    let made = migrate.command(&["migrate", "--grant", "subledger_app"]).output();
    let made = made.expect("the subledger binary");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));

    let environment = [("DATABASE_URL", &*owner)];
    let backup = run("back up Postgres", store.data_dir(), home.path(), &environment);
    let kept = live_and_die(&serving, backup).await;
    drop(first);

    let Some(second) = OwnServer::start() else { return };
    let (restored, owner, app) = database(&second).await;
    std::fs::copy(
        store.data_dir().join("key_pepper"),
        restored.data_dir().join("key_pepper"),
    )
    .expect("the pepper");
    let environment = [("RESTORED_URL", &*owner)];
    run("restore Postgres", restored.data_dir(), home.path(), &environment).await;
    let serving = launch(&restored).with("DATABASE_URL", &app);
    come_back(&serving, &restored, kept, "dump and restore").await;
}

//! A full disk: writes are refused, reads go on, and when there is space again everything goes on by itself.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use sqlx::{Connection, Executor, PgConnection};
use tempfile::TempDir;

use crate::support::ledger::{Tables, faults};
use crate::support::postgres::{OwnServer, run_as};
use crate::support::server::{Launch, Server};
use crate::support::{TestStore, skipped, stripe};

/// Size of the small disk; the ledger and its write-ahead log need about 1 MB empty.
const DISK: &str = "size=24m";

/// What keeps the disk nearly full until it is deleted.
const BALLAST_BYTES: usize = 16 * 1024 * 1024;

/// What is left for the tables of the Postgres case to grow into.
const ROOM_BYTES: usize = 2 * 1024 * 1024;

/// Most deliveries sent to fill the rest.
const FILL_MAX: u32 = 20_000;

/// Longest wait until the service has noticed the space.
const SPACE_WAIT: Duration = Duration::from_secs(30);

/// A small disk of its own, unmounted when dropped.
struct SmallDisk(TempDir);

impl SmallDisk {
    fn mount(what: &str) -> Option<Self> {
        let place = TempDir::new().expect("a directory");
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", DISK, "tmpfs"])
            .arg(place.path())
            .output();
        if mounted.is_ok_and(|output| output.status.success()) {
            return Some(Self(place));
        }
        skipped(&format!("{what}: mounting a small disk needs root"));
        None
    }

    fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.0.path()).status();
    }
}

/// 1. Deliveries until the disk is full: 200 while there is space, then 503 and nothing else.
/// 2. Questions are answered all the time.
/// 3. Space comes back: the same delivery is accepted, without a restart, and nothing is lost.
async fn fill_and_free(server: &Server, tables: &mut Tables, ballast: &Path) {
    let mut acknowledged = BTreeSet::new();
    let mut refused = None;
    for version in 0..FILL_MAX {
        let object = stripe::subscription(version % 20, "active", version + 1, 1_789_900_000);
        let id = format!("evt_disk{version:06}");
        let body = stripe::subscription_event(&id, 1_790_000_000 + i64::from(version), &object);
        let answer = server.deliver(&body).await;
        if answer.status == 200 {
            acknowledged.insert(id);
            continue;
        }
        let text = String::from_utf8_lossy(&answer.body).into_owned();
        assert_eq!(answer.status, 503, "{text}\n{}", server.log());
        assert_eq!(answer.json()["code"], "store-unavailable");
        refused = Some((id, body));
        break;
    }
    let (id, body) = refused.expect("the disk never filled");
    let shown = server.get("/v1/tenants/tenant-000001/subscription").await;
    assert_eq!(shown["status"], "active");
    server.get("/v1/webhook-inbox?limit=1").await;
    std::fs::remove_file(ballast).expect("the ballast");
    let begin = Instant::now();
    while server.deliver(&body).await.status != 200 {
        assert!(begin.elapsed() < SPACE_WAIT, "never accepted again:\n{}", server.log());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    acknowledged.insert(id);
    server.settled().await;
    let found = faults(tables, &acknowledged).await;
    assert!(found.is_empty(), "{} faults: {found:?}\n{}", found.len(), server.log());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_refuses_writes_keeps_reads_and_loses_nothing() {
    let Some(disk) = SmallDisk::mount("a full disk on SQLite") else {
        return;
    };
    let store = TestStore::sqlite();
    let launch = Launch::new(&store).in_directory(disk.path());
    let server = launch.start().await;
    let ballast = disk.path().join("ballast");
    std::fs::write(&ballast, vec![0; BALLAST_BYTES]).expect("space for the ballast");
    let mut tables = Tables::open(None, disk.path()).await;
    fill_and_free(&server, &mut tables, &ballast).await;
}

/// The tables alone lie on the small disk: a Postgres server that cannot write its own log goes down and is an outage
/// (`flows::outage`).
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_under_postgres_refuses_writes_keeps_reads_and_loses_nothing() {
    let Some(disk) = SmallDisk::mount("a full disk on Postgres") else {
        return;
    };
    let Some(postgres) = OwnServer::start() else { return };
    if let Some((user, group)) = run_as() {
        std::os::unix::fs::chown(disk.path(), Some(user), Some(group)).expect("the disk handed to postgres");
    }
    let store = TestStore::on_server(&postgres.url()).await;
    let url = store.url().expect("a URL");
    let name = url.rsplit('/').next().expect("a name");
    let mut connection = PgConnection::connect(&format!("{}/postgres", postgres.url()))
        .await
        .expect("the server");
    for sql in [
        format!("create tablespace small location '{}'", disk.path().display()),
        format!("alter database {name} set tablespace small"),
    ] {
        connection
            .execute(sql.as_str())
            .await
            .unwrap_or_else(|error| panic!("{error}: {sql}"));
    }
    let server = Launch::new(&store).start().await;
    let ballast = disk.path().join("ballast");
    let free = free_bytes(disk.path());
    std::fs::write(&ballast, vec![0; free - ROOM_BYTES]).expect("space for the ballast");
    let mut tables = Tables::open(Some(url), store.data_dir()).await;
    fill_and_free(&server, &mut tables, &ballast).await;
}

/// What is left on a disk, as `df` says it.
fn free_bytes(path: &Path) -> usize {
    let output = Command::new("df")
        .args(["--output=avail", "-B1"])
        .arg(path)
        .output()
        .expect("df");
    let text = String::from_utf8_lossy(&output.stdout);
    let free = text.lines().nth(1).and_then(|line| line.trim().parse().ok());
    free.unwrap_or_else(|| panic!("{text}"))
}

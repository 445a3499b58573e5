//! A full disk: writes are refused, reads go on, and when there is space again everything goes on by itself.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::support::ledger::{Tables, faults};
use crate::support::server::Launch;
use crate::support::{TestStore, skipped, stripe};

/// Size of the small disk; the ledger and its write-ahead log need about 1 MB empty.
const DISK: &str = "size=24m";

/// What keeps the disk nearly full until it is deleted.
const BALLAST_BYTES: usize = 16 * 1024 * 1024;

/// Most deliveries sent to fill the rest.
const FILL_MAX: u32 = 20_000;

/// Longest wait until the service has noticed the space.
const SPACE_WAIT: Duration = Duration::from_secs(30);

/// A small disk of its own, unmounted when dropped.
struct SmallDisk(TempDir);

impl SmallDisk {
    fn mount() -> Option<Self> {
        let place = TempDir::new().expect("a directory");
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", DISK, "tmpfs"])
            .arg(place.path())
            .output();
        if mounted.is_ok_and(|output| output.status.success()) {
            return Some(Self(place));
        }
        skipped("a full disk on SQLite: mounting a small disk needs root");
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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_refuses_writes_keeps_reads_and_loses_nothing() {
    let Some(disk) = SmallDisk::mount() else { return };
    let store = TestStore::sqlite();
    let launch = Launch::new(&store).in_directory(disk.path());
    let server = launch.start().await;
    let ballast = disk.path().join("ballast");
    std::fs::write(&ballast, vec![0; BALLAST_BYTES]).expect("space for the ballast");

    // (1) deliveries until the disk is full: 200 while there is space, then 503, nothing else
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
        assert_eq!(
            answer.status,
            503,
            "{}\n{}",
            String::from_utf8_lossy(&answer.body),
            server.log()
        );
        assert_eq!(answer.json()["code"], "store-unavailable");
        refused = Some((id, body));
        break;
    }
    let (id, body) = refused.expect("the disk never filled");
    // (2) reads go on
    let shown = server.get("/v1/tenants/tenant-000001/subscription").await;
    assert_eq!(shown["status"], "active");
    // (3) space comes back: the same delivery is accepted, without a restart
    std::fs::remove_file(&ballast).expect("the ballast");
    let begin = Instant::now();
    while server.deliver(&body).await.status != 200 {
        assert!(begin.elapsed() < SPACE_WAIT, "never accepted again:\n{}", server.log());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    acknowledged.insert(id);
    server.settled().await;
    let found = faults(&mut Tables::open(None, disk.path()).await, &acknowledged).await;
    assert!(found.is_empty(), "{} faults: {found:?}\n{}", found.len(), server.log());
}

//! The power fails: what was acknowledged is on the disk, whatever else is.
//!
//! 1. The real binary takes deliveries on a fresh SQLite ledger while strace writes down every write, every sync and
//!    every answer 200, in order; it is killed, started again, stopped, started again.
//! 2. The power is cut at seeded moments of that record: the disk holds what was synced, and of the rest any part
//!    (`support::disk`).
//! 3. The real binary opens each such disk. Its file is sound, every delivery answered before the cut is there once,
//!    positions are dense and end at the head; of some, everything is settled and every view equals its rebuild.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Range;
use std::path::Path;
use std::process::Stdio;
use std::sync::Mutex;

use futures::StreamExt;
use tempfile::TempDir;

use super::crash::{assert_consistent, delivery};
use crate::support::dice::{Dice, seed};
use crate::support::disk::{Disk, Leftovers};
use crate::support::http::{Connection, request};
use crate::support::ledger::{Tables, lost, out_of_order};
use crate::support::server::{Launch, Server};
use crate::support::strace::{self, Step, Trace};
use crate::support::{TestStore, figure, stripe};

/// Senders at once.
const SENDERS: usize = 3;

/// Disks that are looked at, unless `SUBLEDGER_POWER_CUTS` says how many.
const IMAGES: usize = 300;

/// Every so many of them is served, settled and rebuilt as well.
const SERVED_EVERY: usize = 30;

/// Images opened at once.
const AT_ONCE: usize = 2;

/// Images with faults after which no more are opened.
const FAULTS_MAX: usize = 5;

/// The deliveries of one connection, in the order in which they were sent and answered.
type Sent = HashMap<u16, Vec<String>>;

/// Sends deliveries from several connections until all are answered 200, or until the server ends.
pub(super) async fn send(server: &Server, numbers: Range<usize>) -> Sent {
    let sent = Mutex::new(Sent::new());
    let next = Mutex::new(numbers);
    let sender = || async {
        let Ok(mut connection) = Connection::open(&server.address).await else {
            return;
        };
        loop {
            let Some(number) = next.lock().expect("the next").next() else {
                return;
            };
            let (id, body) = delivery(number);
            let signature = stripe::signature(&body);
            let headers = [("Content-Type", "application/json"), ("Stripe-Signature", &*signature)];
            let Ok(answer) = connection
                .send(&request("POST", "/webhooks/stripe", &headers, &body))
                .await
            else {
                return;
            };
            if answer.status != 200 {
                return;
            }
            let mut sent = sent.lock().expect("the list");
            sent.entry(connection.local_port()).or_default().push(id);
        }
    };
    futures::future::join_all((0..SENDERS).map(|_| sender())).await;
    sent.into_inner().expect("the list")
}

/// How a session of the service ends.
enum End {
    Killed,
    Stopped,
}

/// What was recorded of one process.
struct Session {
    steps: Vec<Step>,
    sent: Sent,
}

/// Serves under strace, takes the deliveries, ends.
async fn session(store: &TestStore, numbers: Range<usize>, end: End) -> Session {
    let folder = TempDir::new().expect("a directory");
    let trace = Trace::new(folder.path().join("trace"));
    let launch = Launch::new(store).under(trace.recorder());
    let mut server = launch.start().await;
    let count = numbers.len();
    let sent = send(&server, numbers).await;
    assert_eq!(sent.values().map(Vec::len).sum::<usize>(), count, "{}", server.log());
    match end {
        End::Killed => server.kill(),
        End::Stopped => {
            server.settled().await;
            server.terminate();
            assert_eq!(server.ended().await, Some(0));
        }
    }
    Session {
        steps: strace::steps(trace.lines(server.pid())),
        sent,
    }
}

/// A disk after a power cut, and what had been answered 200 by then.
struct Cut {
    at: usize,
    leftovers: Leftovers,
    files: BTreeMap<String, Vec<u8>>,
    acknowledged: BTreeSet<String>,
}

fn images() -> usize {
    let wanted = std::env::var("SUBLEDGER_POWER_CUTS").ok();
    wanted.map_or(IMAGES, |text| text.parse().expect("a number in SUBLEDGER_POWER_CUTS"))
}

/// How often the power is cut after which step of a record.
type Moments = BTreeMap<usize, usize>;

/// The moments at which the power may be cut: any, and more of those where most is at stake.
fn moments(sessions: &[Session], folder: &Path, dice: &mut Dice) -> Moments {
    let (mut disk, mut all, mut answered, mut copying) = (Disk::default(), Vec::new(), Vec::new(), Vec::new());
    for (at, step) in sessions.iter().flat_map(|session| &session.steps).enumerate() {
        disk.take(step, folder);
        all.push(at);
        if matches!(step, Step::Accepted { .. }) {
            answered.push(at);
        }
        // The log is being copied into the database, and part of that is not synced.
        if disk.is_pending("ledger.db") {
            copying.push(at);
        }
    }
    assert!(!copying.is_empty(), "the log was never copied into the database");
    let mut chosen = Moments::new();
    for number in 0..images() {
        let among = match number % 4 {
            0 => &copying,
            1 => &answered,
            _ => &all,
        };
        *chosen.entry(among[dice.index(among.len())]).or_default() += 1;
    }
    chosen
}

/// Cuts the power at those moments of what happened to a disk.
fn cuts(mut disk: Disk, sessions: &[Session], folder: &Path, moments: &Moments, dice: &mut Dice) -> Vec<Cut> {
    let (mut cuts, mut acknowledged) = (Vec::new(), BTreeSet::new());
    let mut at = 0;
    for session in sessions {
        let mut answers: HashMap<u16, usize> = HashMap::new();
        for step in &session.steps {
            disk.take(step, folder);
            if let Step::Accepted { port } = step
                && let Some(ids) = session.sent.get(port)
            {
                let nth = answers.entry(*port).or_default();
                acknowledged.insert(ids[*nth].clone());
                *nth += 1;
            }
            for _ in 0..moments.get(&at).copied().unwrap_or_default() {
                let leftovers = Leftovers::ALL[dice.index(Leftovers::ALL.len())];
                cuts.push(Cut {
                    at,
                    leftovers,
                    files: disk.image(leftovers, dice),
                    acknowledged: acknowledged.clone(),
                });
            }
            at += 1;
        }
        let seen: usize = answers.values().sum();
        let sent: usize = session.sent.values().map(Vec::len).sum();
        // The kill may come before strace saw the end of a connection's last answer.
        assert!(
            seen <= sent && seen + SENDERS >= sent,
            "{seen} answers in the trace, {sent} at the senders"
        );
    }
    cuts
}

/// Puts the disk into a folder and lets the real binary open it; answers what is wrong with the ledger.
async fn faults_of(cut: &Cut, number: usize) -> Vec<String> {
    let store = TestStore::sqlite();
    for (name, bytes) in &cut.files {
        std::fs::write(store.data_dir().join(name), bytes).expect("a file of the image");
    }
    if number.is_multiple_of(3) {
        // The shared memory of the process before may be there, with anything in it.
        std::fs::write(store.data_dir().join("ledger.db-shm"), vec![0xa5; 32 * 1024]).expect("a file");
    }
    let launch = Launch::new(&store);
    let opened = tokio::task::spawn_blocking({
        let mut command = launch.command(&["events", "show", "--limit", "1", "--output", "json"]);
        move || command.stdin(Stdio::null()).output().expect("the subledger binary")
    });
    let opened = opened.await.expect("a command");
    if !opened.status.success() {
        return vec![format!("it does not open: {}", String::from_utf8_lossy(&opened.stderr))];
    }
    let mut tables = Tables::open(None, store.data_dir()).await;
    let sound = tables.rows("select integrity_check from pragma_integrity_check").await;
    let mut faults = Vec::new();
    if sound != [[Some("ok".to_owned())]] {
        faults.push(format!("integrity check: {sound:?}"));
    }
    faults.extend(lost(&mut tables, &cut.acknowledged).await);
    faults.extend(out_of_order(&mut tables).await);
    drop(tables);
    if faults.is_empty() && number.is_multiple_of(SERVED_EVERY) {
        let server = launch.start().await;
        assert_consistent(&server, &store, &cut.acknowledged, "after a power cut").await;
    }
    faults
}

/// Opens every disk; answers how many were looked at and what was found.
async fn open_all(cuts: &[Cut]) -> (usize, Vec<String>) {
    let mut opened = futures::stream::iter(cuts.iter().enumerate().map(|(number, cut)| async move {
        let found = faults_of(cut, number).await;
        let place = format!(
            "cut {number} after step {}, {:?} of what was not synced",
            cut.at, cut.leftovers
        );
        (!found.is_empty()).then(|| format!("{place}: {} faults, first: {}", found.len(), found[0]))
    }))
    .buffer_unordered(AT_ONCE);
    let (mut count, mut faults) = (0, Vec::new());
    while let Some(found) = opened.next().await {
        count += 1;
        faults.extend(found);
        if faults.len() == FAULTS_MAX {
            break;
        }
    }
    (count, faults)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_acknowledged_survives_a_power_cut() {
    if !strace::available_for("a power cut on SQLite") {
        return;
    }
    let seed = seed(20_261_122);
    let store = TestStore::sqlite();
    let sessions = [
        session(&store, 0..130, End::Killed).await,
        session(&store, 130..200, End::Stopped).await,
        session(&store, 200..240, End::Killed).await,
    ];
    let mut dice = Dice(seed);
    let moments = moments(&sessions, store.data_dir(), &mut dice);
    let cuts = cuts(Disk::default(), &sessions, store.data_dir(), &moments, &mut dice);
    let (count, faults) = open_all(&cuts).await;
    assert!(
        faults.is_empty(),
        "seed {seed} (SUBLEDGER_SEED): {} of {count} disks are not whole after a power cut:\n{}",
        faults.len(),
        faults.join("\n")
    );
    let steps: usize = sessions.iter().map(|session| session.steps.len()).sum();
    figure(&format!(
        "power cut on SQLite: {count} disks at seeded moments of {steps} writes, syncs and answers: 0 lost, 0 damaged"
    ));
}

/// Disks that are looked at after a failed sync.
const IMAGES_AFTER_A_FAILED_SYNC: usize = 24;

/// What a failed sync may have lost is written again before anything is built on it.
///
/// 1. A sync of the log fails; the process ends.
/// 2. It starts on the same files, which look whole because the system still has them in memory.
/// 3. It acknowledges more.
/// 4. The power is cut. What the failed sync covered is on the disk only if it was written once more; if it is not,
///    everything that was appended behind it is gone.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_built_on_what_a_failed_sync_may_have_lost() {
    if !strace::available_for("a power cut after a failed sync on SQLite") {
        return;
    }
    let seed = seed(20_261_123);
    let store = TestStore::sqlite();
    let mut server = Launch::new(&store).start().await;
    server.terminate();
    assert_eq!(server.ended().await, Some(0), "{}", server.log());
    let disk = Disk::with(files_of(store.data_dir()));

    let folder = TempDir::new().expect("a directory");
    let trace = Trace::new(folder.path().join("trace"));
    let failing = trace.recorder_with("fdatasync,fsync:error=EIO:when=12");
    let mut server = Launch::new(&store).under(failing).start().await;
    let sent = send(&server, 0..100).await;
    assert_eq!(server.ended().await, Some(4), "{}", server.log());
    let failed = Session {
        steps: strace::steps(trace.lines(server.pid())),
        sent,
    };
    let sessions = [failed, session(&store, 100..130, End::Killed).await];
    let before = sessions[0].steps.len();
    let answered = sessions[1].steps.iter().enumerate();
    let answered = answered.filter(|(_, step)| matches!(step, Step::Accepted { .. }));
    let moments: Moments = answered.map(|(at, _)| (before + at, 1)).collect();
    let cuts = cuts(disk, &sessions, store.data_dir(), &moments, &mut Dice(seed));
    let (count, faults) = open_all(&cuts[..IMAGES_AFTER_A_FAILED_SYNC.min(cuts.len())]).await;
    assert!(
        faults.is_empty(),
        "seed {seed} (SUBLEDGER_SEED): {} of {count} disks are not whole:\n{}",
        faults.len(),
        faults.join("\n")
    );
}

/// The files of a ledger that nobody has open.
fn files_of(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let entries = std::fs::read_dir(folder)
        .expect("a folder")
        .map(|entry| entry.expect("an entry"));
    let file = |entry: std::fs::DirEntry| {
        let name = entry.file_name().into_string().ok()?;
        name.starts_with("ledger.db")
            .then(|| (name, std::fs::read(entry.path()).expect("a file")))
    };
    entries.filter_map(file).collect()
}

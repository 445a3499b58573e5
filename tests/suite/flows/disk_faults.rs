//! A disk that fails: the process ends and says which file, never syncs again, never acknowledges what it has not; on a
//! disk that works again everything that was acknowledged is there.
//!
//! Each round starts the real binary on a prepared SQLite ledger under strace, which makes the n-th write or sync of
//! one file fail or kills the process inside it, and delivers until the process ends or nothing is left to deliver.

use std::collections::BTreeSet;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use futures::StreamExt;
use tempfile::TempDir;

use super::crash::{assert_consistent, delivery};
use super::powercut::send;
use crate::support::http::{Connection, request};
use crate::support::server::{Launch, Server};
use crate::support::strace::{self, Trace};
use crate::support::{TestStore, figure};

/// Deliveries of a round: enough for the log to be copied into the database once.
const DELIVERIES: usize = 150;

/// Rounds at once; most of a round is waiting.
const AT_ONCE: usize = 8;

/// Longest time a process may take to notice that its disk failed.
const END_WAIT: Duration = Duration::from_secs(30);

/// Which file fails.
#[derive(Clone, Copy, Debug)]
enum Victim {
    Log,
    Database,
}

/// What its disk does.
#[derive(Clone, Copy, Debug)]
enum Fault {
    /// The n-th sync fails.
    Sync(u32),
    /// The n-th write fails.
    Write(u32),
    /// The n-th read fails, of each thread that reads.
    Read(u32),
    /// The process is killed inside the n-th sync.
    KillInSync(u32),
    /// The process is killed inside the n-th write.
    KillInWrite(u32),
    /// From the n-th write on there is no space.
    Full(u32),
}

impl Fault {
    /// As strace's `inject=` has it.
    fn injection(self) -> String {
        match self {
            Self::Sync(n) => format!("fdatasync,fsync:error=EIO:when={n}"),
            Self::Write(n) => format!("pwrite64:error=EIO:when={n}"),
            Self::Read(n) => format!("pread64:error=EIO:when={n}"),
            Self::KillInSync(n) => format!("fdatasync,fsync:signal=KILL:when={n}"),
            Self::KillInWrite(n) => format!("pwrite64:signal=KILL:when={n}"),
            Self::Full(n) => format!("pwrite64:error=ENOSPC:when={n}+"),
        }
    }

    /// Must the process end, with an exit code and its last words?
    const fn is_told(self) -> bool {
        matches!(self, Self::Sync(_) | Self::Write(_) | Self::Read(_))
    }
}

/// A ledger that was opened and closed once, so that a round begins with the service and not with the migrations.
struct Prepared(TestStore);

impl Prepared {
    async fn new() -> Self {
        let store = TestStore::sqlite();
        let mut server = Launch::new(&store).start().await;
        server.terminate();
        assert_eq!(server.ended().await, Some(0), "{}", server.log());
        Self(store)
    }

    fn copy(&self) -> TestStore {
        let store = TestStore::sqlite();
        for entry in std::fs::read_dir(self.0.data_dir()).expect("a folder") {
            let entry = entry.expect("an entry");
            if entry.file_name() != "test-server.log" {
                std::fs::copy(entry.path(), store.data_dir().join(entry.file_name())).expect("a copy");
            }
        }
        store
    }
}

fn file_of(victim: Victim, store: &TestStore) -> PathBuf {
    store.data_dir().join(match victim {
        Victim::Log => "ledger.db-wal",
        Victim::Database => "ledger.db",
    })
}

/// What happened in a round.
struct Round {
    acknowledged: BTreeSet<String>,
    /// Nothing when a signal ended it.
    code: Option<Option<i32>>,
    log: String,
    /// Writes and syncs of the file, as strace wrote them down.
    calls: Vec<String>,
}

/// Serves on a disk with that fault until the process ends or everything is delivered.
async fn round(store: &TestStore, victim: Victim, fault: Fault) -> Round {
    let folder = TempDir::new().expect("a directory");
    let trace = Trace::new(folder.path().join("trace"));
    let launch = Launch::new(store).under(trace.fault(&file_of(victim, store), &fault.injection()));
    let mut server = launch.spawn();
    let mut acknowledged = BTreeSet::new();
    if is_ready(&mut server).await {
        let sent = send(&server, 0..DELIVERIES).await;
        acknowledged.extend(sent.into_values().flatten());
    }
    if matches!(fault, Fault::Full(_)) {
        assert_refuses_and_reads(&server).await;
    } else {
        until_ended_or_settled(&mut server, acknowledged.len() < DELIVERIES).await;
    }
    if fault.is_told() {
        until_ended_if_met(&mut server, &trace).await;
    }
    let code = if server.is_alive() {
        None
    } else {
        Some(server.ended().await)
    };
    server.kill();
    // A thread that was killed between two calls shows as a call of which strace knows nothing.
    let is_call = |line: &String| line.contains('(') && !line.contains("???(");
    let calls = trace.lines(server.pid()).filter(is_call).collect();
    Round {
        acknowledged,
        code,
        log: server.log(),
        calls,
    }
}

/// Views and the worker write for a moment longer than deliveries are answered, and may be the ones who meet the fault.
async fn until_ended_or_settled(server: &mut Server, must_end: bool) {
    let begin = Instant::now();
    while server.is_alive() && (must_end || !server.is_settled().await) {
        assert!(begin.elapsed() < END_WAIT, "it goes on:\n{}", server.log());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// The last write of all may be the one that meets the fault: the rows are there, and the process is about to end.
async fn until_ended_if_met(server: &mut Server, trace: &Trace) {
    tokio::time::sleep(Duration::from_millis(100)).await;
    let begin = Instant::now();
    while server.is_alive() && trace.has_injected() {
        assert!(begin.elapsed() < END_WAIT, "it goes on:\n{}", server.log());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// A disk without space: deliveries are sent away, questions are answered.
async fn assert_refuses_and_reads(server: &Server) {
    let (_, body) = delivery(DELIVERIES);
    let answer = server.deliver(&body).await;
    assert_eq!(answer.status, 503, "{}", server.log());
    assert_eq!(answer.json()["code"], "store-unavailable");
    server.get("/v1/projections").await;
    server.get("/v1/webhook-inbox?limit=1").await;
}

/// Waits until it serves; false when it ended instead.
async fn is_ready(server: &mut Server) -> bool {
    let begin = Instant::now();
    while server.is_alive() {
        assert!(begin.elapsed() < END_WAIT, "neither ready nor ended:\n{}", server.log());
        if server.is_ready().await {
            return true;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    false
}

/// What a process that met a failing disk must have done.
fn assert_told(round: &Round, (victim, fault): (Victim, Fault), store: &TestStore, what: &str) {
    assert_eq!(round.code, Some(Some(4)), "{what}: {}", round.log);
    let last = round
        .log
        .lines()
        .rfind(|line| !line.trim().is_empty())
        .unwrap_or_default();
    let file = store.data_dir().join("ledger.db");
    assert!(
        last.contains(&file.display().to_string()),
        "{what}: the last line names no file: {last}"
    );
    assert!(
        last.contains("check the disk"),
        "{what}: the last line says not what to do: {last}"
    );
    if matches!(fault, Fault::Read(_)) {
        // What other threads had in hand is not on the same page, nor a repetition of anything.
        return;
    }
    let failed = round.calls.iter().position(|call| call.contains("(INJECTED)"));
    let after = &round.calls[failed.expect("the fault") + 1..];
    assert!(
        after.is_empty(),
        "{what}: {victim:?} was used after it had failed: {after:#?}"
    );
}

/// One fault: run into it, look how the process ended, start on a disk that works, look for what was acknowledged.
/// Answers whether the fault was met.
async fn meet(prepared: &Prepared, victim: Victim, fault: Fault) -> bool {
    let store = prepared.copy();
    let what = format!("{fault:?} of the {victim:?}");
    let round = round(&store, victim, fault).await;
    let met = round.calls.iter().any(|call| call.contains("(INJECTED)")) || round.code == Some(None);
    if met && fault.is_told() {
        assert_told(&round, (victim, fault), &store, &what);
    }
    if met && matches!(fault, Fault::Full(_)) {
        assert_eq!(round.code, None, "{what}: a full disk ends nothing: {}", round.log);
    }
    let server = Launch::new(&store).start().await;
    assert_consistent(&server, &store, &round.acknowledged, &what).await;
    met
}

async fn meet_all(faults: Vec<(Victim, Fault)>) -> usize {
    let prepared = Prepared::new().await;
    let met = futures::stream::iter(faults.into_iter().map(|(victim, fault)| meet(&prepared, victim, fault)))
        .buffer_unordered(AT_ONCE)
        .filter(|met| std::future::ready(*met));
    met.count().await
}

const WHAT: &str = "a disk that fails under SQLite";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failed_sync_ends_the_process_which_says_what_to_do_and_loses_nothing() {
    if !strace::available_for(WHAT) {
        return;
    }
    let mut faults: Vec<_> = [1, 2, 3, 5, 9, 17, 40].map(|n| (Victim::Log, Fault::Sync(n))).into();
    faults.extend([(Victim::Database, Fault::Sync(1))]);
    let count = faults.len();
    let met = meet_all(faults).await;
    assert!(met + 1 >= count, "{met} of {count} faults were met");
    figure(&format!(
        "failed syncs on SQLite: {met} of {met} ended the process by name, 0 lost"
    ));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failed_write_or_read_ends_the_process_which_says_what_to_do_and_loses_nothing() {
    if !strace::available_for(WHAT) {
        return;
    }
    let mut faults: Vec<_> = [1, 2, 30, 200, 900].map(|n| (Victim::Log, Fault::Write(n))).into();
    faults.extend([(Victim::Database, Fault::Write(1))]);
    faults.extend([1, 2, 4, 9].map(|n| (Victim::Database, Fault::Read(n))));
    let count = faults.len();
    let met = meet_all(faults).await;
    assert!(met + 2 >= count, "{met} of {count} faults were met");
    figure(&format!(
        "failed writes and reads on SQLite: {met} of {met} ended the process by name, 0 lost"
    ));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kill_inside_a_write_or_a_sync_loses_nothing() {
    if !strace::available_for(WHAT) {
        return;
    }
    let mut faults: Vec<_> = [1, 2, 7, 31, 90].map(|n| (Victim::Log, Fault::KillInSync(n))).into();
    faults.extend([3, 50, 333, 1_100].map(|n| (Victim::Log, Fault::KillInWrite(n))));
    faults.extend([
        (Victim::Database, Fault::KillInWrite(2)),
        (Victim::Database, Fault::KillInSync(1)),
    ]);
    let count = faults.len();
    let met = meet_all(faults).await;
    assert!(met + 3 >= count, "{met} of {count} kills were met");
    figure(&format!("kills inside writes and syncs on SQLite: {met}, 0 lost"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disk_that_fills_up_at_any_write_ends_nothing_and_loses_nothing() {
    if !strace::available_for(WHAT) {
        return;
    }
    let faults: Vec<_> = [30, 120, 700].map(|n| (Victim::Log, Fault::Full(n))).into();
    let met = meet_all(faults).await;
    assert_eq!(met, 3);
}

/// 1. The service has taken deliveries, and most of its pages lie in the database file.
/// 2. Something else writes over them.
/// 3. The first question that needs one of them meets a damaged page, and ends the process as a failed sync would;
///    nothing is written on top of the damage.
/// 4. A start refuses the file by name.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_page_met_by_a_question_ends_the_process_which_says_what_to_do() {
    let store = TestStore::sqlite();
    let launch = Launch::new(&store);
    let mut server = launch.start().await;
    let sent = send(&server, 0..2 * DELIVERIES).await;
    assert_eq!(sent.values().map(Vec::len).sum::<usize>(), 2 * DELIVERIES);
    server.settled().await;
    let file = store.data_dir().join("ledger.db");
    let length = std::fs::metadata(&file).expect("the file").len();
    assert!(length > 100 * 4_096, "the log was copied into the file: {length} bytes");
    let damaged = std::fs::OpenOptions::new().write(true).open(&file).expect("the file");
    let garbage = vec![0xde; usize::try_from(length).expect("a length") - 4_096];
    damaged.write_all_at(&garbage, 4_096).expect("written over");

    let bearer = format!("Bearer {}", server.admin_token());
    let begin = Instant::now();
    while server.is_alive() {
        assert!(begin.elapsed() < END_WAIT, "it goes on:\n{}", server.log());
        if let Ok(mut connection) = Connection::open(&server.address).await {
            let headers = [("Authorization", &*bearer)];
            let question = request("GET", "/v1/audit/events?limit=200", &headers, b"");
            let _ = connection.send(&question).await;
        }
    }
    assert_eq!(server.ended().await, Some(4), "{}", server.log());
    let log = server.log();
    let last = log.lines().rfind(|line| !line.trim().is_empty()).unwrap_or_default();
    let name = file.display().to_string();
    assert!(
        last.contains(&name) && last.contains("restore if it is damaged"),
        "{last}"
    );
    let mut again = launch.spawn();
    assert_eq!(again.ended().await, Some(4), "{}", again.log());
}

//! The one task that writes a SQLite ledger.
//!
//! Flow: take a job; BEGIN IMMEDIATE; run it and whatever else waits, each in its own SAVEPOINT; one COMMIT; then
//! all answers. While one group commits the next one gathers, so no timer is needed. Promise: nothing is answered
//! before COMMIT returned; a failing job leaves nothing behind and harms no other.
//!
//! Two queues: whoever waits for an answer over the network is *urgent* and need not wait for what loops bring. A group
//! that begins with urgent jobs takes only those; the next one begins with an ordinary job, so that neither starves,
//! and takes the urgent ones that came meanwhile along.
//!
//! The task has a thread of its own: each statement is a message to the connection's thread and back, and between two
//! of them the whole ledger would wait for its turn behind requests.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::FutureExt;
use futures::future::BoxFuture;
use sqlx::{Connection, Executor, SqliteConnection};
use tokio::sync::{mpsc, oneshot, watch};

use super::error::{Class, DbError};
use crate::failpoint;

/// Jobs that may wait: a full lane set and a full receipt group, beyond it the callers wait.
const QUEUE_JOBS: usize = 1_024;
/// Jobs in one COMMIT.
const GROUP_JOBS: usize = 256;
/// Bytes in one COMMIT, so that the log file of SQLite stays small.
const GROUP_BYTES: usize = 4 * 1024 * 1024;
/// How long a group may gather while jobs keep coming, at least and at most. Between them: as long as the last COMMIT
/// took, so that waiting costs no more than the sync it saves.
const GROUP_TIME: (Duration, Duration) = (Duration::from_millis(1), Duration::from_millis(20));
/// How long writing is refused at once after the disk was full, before one job tries again.
const FULL_PAUSE: Duration = Duration::from_secs(5);

/// Tells the caller of a job how the COMMIT ended.
type Answer = Box<dyn FnOnce(Result<(), DbError>) + Send>;
/// Runs on the writing connection.
type Run = Box<dyn for<'c> FnOnce(&'c mut SqliteConnection) -> BoxFuture<'c, Ran> + Send>;

/// How a job ended.
struct Ran {
    /// What it wrote stays, if the COMMIT succeeds.
    keep: bool,
    /// What the store said, where it was the store that failed it.
    failure: Option<DbError>,
    answer: Answer,
}

/// What a writing job may end with.
pub trait WriteError: From<DbError> + Send + 'static {
    /// What the store said, if it was the store.
    fn store(&self) -> Option<&DbError>;
}

impl WriteError for DbError {
    fn store(&self) -> Option<&DbError> {
        Some(self)
    }
}

/// What a job brings.
#[derive(Clone, Copy, Debug, Default)]
pub struct Load {
    /// What it writes, roughly.
    pub bytes: usize,
    /// A request waits for it, not a loop.
    pub urgent: bool,
    /// It writes by one statement, which is a transaction by itself.
    pub single: bool,
}

impl Load {
    /// Of a loop's job that writes so much.
    #[must_use]
    pub const fn bytes(bytes: usize) -> Self {
        Self {
            bytes,
            urgent: false,
            single: false,
        }
    }

    /// Of a request's job that writes so much, and whether by one statement.
    #[must_use]
    pub const fn urgent(bytes: usize, single: bool) -> Self {
        Self {
            bytes,
            urgent: true,
            single,
        }
    }
}

struct Job {
    run: Run,
    bytes: usize,
    single: bool,
    /// Answers without running, when there is no transaction to run in.
    refuse: Box<dyn FnOnce(DbError) + Send>,
}

/// Handle to the writer task; cheap to clone.
#[derive(Clone)]
pub(super) struct Writer {
    urgent: mpsc::Sender<Job>,
    jobs: mpsc::Sender<Job>,
    pub(super) failure: watch::Receiver<Option<DbError>>,
}

/// Where a caller waits. Whoever takes the sender first answers.
struct Reply<T, E>(Arc<std::sync::Mutex<Option<Sender<T, E>>>>);

type Sender<T, E> = oneshot::Sender<Result<T, E>>;

impl<T, E> Clone for Reply<T, E> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T, E> Reply<T, E> {
    fn send(&self, result: Result<T, E>) {
        let sender = self.0.lock().ok().and_then(|mut slot| slot.take());
        if let Some(sender) = sender {
            // A caller that went away hears nothing; what it asked for is done all the same.
            let _ = sender.send(result);
        }
    }
}

impl Writer {
    /// Starts the task. `hold` lives as long as the connection does.
    pub(super) fn start<H: Send + 'static>(connection: SqliteConnection, hold: H) -> std::io::Result<Self> {
        let (urgent, urgent_queue) = mpsc::channel(QUEUE_JOBS);
        let (jobs, queue) = mpsc::channel(QUEUE_JOBS);
        let queues = Queues {
            urgent: urgent_queue,
            ordinary: queue,
            urgent_first: true,
        };
        let (failed, failure) = watch::channel(None);
        let work = async move {
            let connection = serve(connection, queues, failed).await;
            if let Err(error) = connection.close().await {
                tracing::warn!(error = %error, "closing the SQLite file failed; it is checked at the next start");
            }
            drop(hold);
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        std::thread::Builder::new()
            .name("ledger-writer".to_owned())
            .spawn(move || runtime.block_on(work))?;
        Ok(Self { urgent, jobs, failure })
    }

    /// Runs `job` in the next group and answers after its COMMIT.
    pub(super) async fn write<T, E, F>(&self, load: Load, job: F) -> Result<T, E>
    where
        T: Send + 'static,
        E: WriteError,
        F: for<'c> FnOnce(&'c mut SqliteConnection) -> BoxFuture<'c, Result<T, E>> + Send + 'static,
    {
        let (sender, receiver) = oneshot::channel();
        let reply = Reply(Arc::new(std::sync::Mutex::new(Some(sender))));
        let refused = reply.clone();
        let run: Run = Box::new(move |connection| {
            Box::pin(async move {
                let outcome = std::panic::AssertUnwindSafe(job(connection)).catch_unwind().await;
                let outcome = outcome.unwrap_or_else(|_| Err(DbError::bug("a writing job panicked").into()));
                if failpoint::mutant("ack-before-commit") && outcome.is_ok() {
                    reply.send(outcome);
                    return Ran {
                        keep: true,
                        failure: None,
                        answer: Box::new(|_| ()),
                    };
                }
                let keep = outcome.is_ok();
                let failure = outcome.as_ref().err().and_then(|error| error.store().cloned());
                let answer: Answer = Box::new(move |committed| match committed {
                    Ok(()) => reply.send(outcome),
                    Err(error) => reply.send(Err(error.into())),
                });
                Ran { keep, failure, answer }
            })
        });
        let refuse = Box::new(move |error: DbError| refused.send(Err(error.into())));
        let stopped = || DbError::of(Class::Connection, "the writer of the SQLite file has stopped");
        let queue = if load.urgent { &self.urgent } else { &self.jobs };
        let job = Job {
            run,
            bytes: load.bytes,
            single: load.single,
            refuse,
        };
        queue.send(job).await.map_err(|_| stopped())?;
        receiver.await.map_err(|_| stopped())?
    }
}

/// What waits, and whose turn it is to begin a group when both kinds wait.
struct Queues {
    urgent: mpsc::Receiver<Job>,
    ordinary: mpsc::Receiver<Job>,
    /// Urgent ones begin the next group if both kinds wait.
    urgent_first: bool,
}

impl Queues {
    /// The first job of a group, and whether it is an urgent one; nothing once every sender is gone.
    async fn first(&mut self) -> Option<(bool, Job)> {
        let (first, second) = if self.urgent_first {
            (&mut self.urgent, &mut self.ordinary)
        } else {
            (&mut self.ordinary, &mut self.urgent)
        };
        let (is_first, job) = tokio::select! {
            biased;
            Some(job) = first.recv() => (true, job),
            Some(job) = second.recv() => (false, job),
            else => return None,
        };
        let is_urgent = is_first == self.urgent_first;
        self.urgent_first = !is_urgent;
        Some((is_urgent, job))
    }

    /// Whether an urgent job waits.
    fn has_urgent(&self) -> bool {
        !self.urgent.is_empty()
    }

    /// The next job of a group; an ordinary one only where those may still come in.
    fn next(&mut self, ordinary: bool) -> Option<Job> {
        let job = if ordinary { self.ordinary.try_recv().ok() } else { None };
        job.or_else(|| self.urgent.try_recv().ok())
    }

    /// Answers everything that waits, and whatever still comes, with the same error.
    async fn refuse_all(&mut self, error: &DbError) {
        self.urgent.close();
        self.ordinary.close();
        while let Some((_, job)) = self.first().await {
            (job.refuse)(error.clone());
        }
    }
}

async fn serve(
    mut connection: SqliteConnection,
    mut queues: Queues,
    failed: watch::Sender<Option<DbError>>,
) -> SqliteConnection {
    let mut full_until: Option<(Instant, DbError)> = None;
    let mut gather = GROUP_TIME.0;
    while let Some((is_urgent, first)) = queues.first().await {
        if let Some((until, error)) = &full_until
            && Instant::now() < *until
        {
            (first.refuse)(error.clone());
            continue;
        }
        full_until = None;
        let outcome = if is_urgent && first.single && !queues.has_urgent() {
            alone(&mut connection, first).await
        } else {
            // A group that begins with an urgent job takes in no ordinary one.
            let gather = if is_urgent { Duration::ZERO } else { gather };
            group(&mut connection, first, &mut queues, gather).await
        };
        let error = match outcome {
            Ok(commit) => {
                gather = commit.clamp(GROUP_TIME.0, GROUP_TIME.1);
                continue;
            }
            Err(error) => error,
        };
        if error.class == Class::Full {
            tracing::error!(error = %error, "the disk is full; writing is refused, reading goes on");
            full_until = Some((Instant::now() + FULL_PAUSE, error));
        } else if error.class == Class::Fatal {
            tracing::error!(error = %error, "the SQLite file failed; nothing is written any more");
            let _ = failed.send(Some(error.clone()));
            // A failed sync is never repeated: what the kernel dropped would look written.
            queues.refuse_all(&error).await;
        }
    }
    connection
}

/// A job of one statement, with nobody to share a transaction with: the statement is one by itself, begun, synced and
/// ended in a single message to the connection. Tells how long that took; an error, what the store said.
async fn alone(connection: &mut SqliteConnection, job: Job) -> Result<Duration, DbError> {
    let began = Instant::now();
    failpoint::reach("writer.before-commit");
    let ran = (job.run)(connection).await;
    failpoint::reach("writer.after-commit");
    (ran.answer)(Ok(()));
    ran.failure.map_or_else(|| Ok(began.elapsed()), Err)
}

/// One transaction, into which ordinary jobs come for as long as `gather`; tells how long its COMMIT took. An error says
/// that all of it was rolled back, and everybody in it was told.
async fn group(
    connection: &mut SqliteConnection,
    first: Job,
    queues: &mut Queues,
    gather: Duration,
) -> Result<Duration, DbError> {
    if let Err(error) = connection.execute("begin immediate; savepoint job").await {
        // Fails when it was BEGIN that failed, which is as well.
        let _ = connection.execute("rollback").await;
        let error = DbError::from(error);
        (first.refuse)(error.clone());
        return Err(error);
    }
    let started = Instant::now();
    let (mut count, mut bytes) = (1, first.bytes);
    let mut answers = Vec::new();
    let mut next = Some(first.run);
    while let Some(run) = next.take() {
        let ran = run(connection).await;
        answers.push(ran.answer);
        if !ran.keep
            && let Err(error) = take_back(connection, ran.failure).await
        {
            return Err(abandon(connection, answers, error).await);
        }
        let more = count < GROUP_JOBS && bytes < GROUP_BYTES;
        if let Some(job) = more.then(|| queues.next(started.elapsed() < gather)).flatten() {
            count += 1;
            bytes += job.bytes;
            if let Err(error) = connection.execute("release job; savepoint job").await {
                let error = lost(&error);
                (job.refuse)(error.clone());
                return Err(abandon(connection, answers, error).await);
            }
            next = Some(job.run);
        }
    }
    failpoint::reach("writer.before-commit");
    let committing = Instant::now();
    // COMMIT releases the last savepoint as well.
    if let Err(error) = connection.execute("commit").await {
        return Err(abandon(connection, answers, DbError::at_commit(error)).await);
    }
    failpoint::reach("writer.after-commit");
    for answer in answers {
        answer(Ok(()));
    }
    Ok(committing.elapsed())
}

/// Takes back what a failed job did. An error means that the whole transaction is lost, not only the job: the file
/// failed, or SQLite rolled everything back by itself and there is no savepoint left.
async fn take_back(connection: &mut SqliteConnection, failure: Option<DbError>) -> Result<(), DbError> {
    if let Some(failure) = failure.as_ref().filter(|failure| failure.class == Class::Fatal) {
        return Err(failure.clone());
    }
    if failpoint::mutant("savepoint-leak") {
        return Ok(());
    }
    let taken = connection.execute("rollback to job").await;
    taken.map(|_| ()).map_err(|error| match failure {
        Some(failure) if failure.class == Class::Full => failure,
        Some(_) | None => lost(&error),
    })
}

fn lost(error: &sqlx::Error) -> DbError {
    DbError::of(Class::Full, format!("SQLite gave up the whole transaction: {error}"))
}

async fn abandon(connection: &mut SqliteConnection, answers: Vec<Answer>, error: DbError) -> DbError {
    // Fails when SQLite already rolled back, which is what is wanted.
    let _ = connection.execute("rollback").await;
    for answer in answers {
        answer(Err(error.clone()));
    }
    error
}

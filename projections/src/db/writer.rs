//! The one task that writes a SQLite ledger.
//!
//! Flow: take a job; BEGIN IMMEDIATE; run it and whatever else waits, each in its own SAVEPOINT; one COMMIT; then
//! all answers; where the log has grown long, a checkpoint. While one group commits the next one gathers, so no timer is
//! needed. Promise: nothing is answered before COMMIT returned; a failing job leaves nothing behind and harms no other;
//! after a failed read, write or sync of the file nothing is written, synced or closed any more.
//!
//! The task has a thread of its own: each statement is a message to the connection's thread and back, and between two
//! of them the whole ledger would wait for its turn behind requests.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::FutureExt;
use futures::future::BoxFuture;
use sqlx::{Connection, Executor, SqliteConnection};
use tokio::sync::{oneshot, watch};

use super::error::{Class, DbError};
use super::jobs::{Answer, Job, Jobs, Load, Queues, Run, queues};
use super::wal::WriteAheadLog;
use crate::failpoint;

/// Jobs in one COMMIT.
const GROUP_JOBS: usize = 256;
/// Bytes in one COMMIT, so that the log file of SQLite stays small.
const GROUP_BYTES: usize = 4 * 1024 * 1024;
/// How long a group may gather while jobs keep coming, at least and at most. Between them: as long as the last COMMIT
/// took, so that waiting costs no more than the sync it saves.
const GROUP_TIME: (Duration, Duration) = (Duration::from_millis(1), Duration::from_millis(20));
/// How long writing is refused at once after the disk was full, before one job tries again.
const FULL_PAUSE: Duration = Duration::from_secs(5);

/// Handle to the writer task; cheap to clone.
#[derive(Clone)]
pub(super) struct Writer {
    jobs: Jobs,
    stop: Arc<watch::Sender<bool>>,
    /// Its sender goes with the task.
    ended: watch::Receiver<()>,
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
    pub(super) fn start<H: Send + 'static>(
        mut connection: SqliteConnection,
        mut log: WriteAheadLog,
        hold: H,
    ) -> std::io::Result<Self> {
        let (stop, stopped) = watch::channel(false);
        let (ending, ended) = watch::channel(());
        let (jobs, mut queues) = queues(stopped);
        let work = async move {
            let _ending = ending;
            if serve(&mut connection, &mut log, &mut queues).await.is_err() {
                // Closing would write and sync the file once more. It stays open, and ours, until the process ends.
                std::mem::forget((connection, hold));
                return;
            }
            if let Err(error) = connection.close().await {
                tracing::warn!(error = %error, "closing the SQLite file failed; it is checked at the next start");
            }
            drop(hold);
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        std::thread::Builder::new()
            .name("ledger-writer".to_owned())
            .spawn(move || runtime.block_on(work))?;
        Ok(Self {
            jobs,
            stop: Arc::new(stop),
            ended,
        })
    }

    /// Does what waits, takes no more, and returns when the file is closed: all of it is in one file then.
    pub(super) async fn close(&self) {
        let _ = self.stop.send(true);
        let mut ended = self.ended.clone();
        // Nothing is ever sent: an error says that the task is gone.
        while ended.changed().await.is_ok() {}
    }

    /// Runs `job` in the next group and answers after its COMMIT.
    pub(super) async fn write<T, E, F>(&self, load: Load, job: F) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<DbError> + std::error::Error + Send + 'static,
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
                    return (Ok(()), Box::new(|_| ()) as Answer);
                }
                let kept = outcome
                    .as_ref()
                    .map(|_| ())
                    .map_err(|error| DbError::class_within(error));
                let answer: Answer = Box::new(move |committed| match committed {
                    Ok(()) => reply.send(outcome),
                    Err(error) => reply.send(Err(error.into())),
                });
                (kept, answer)
            })
        });
        let refuse = Box::new(move |error: DbError| refused.send(Err(error.into())));
        let stopped = || DbError::of(Class::Connection, "the writer of the SQLite file has stopped");
        let put = self.jobs.put(Job { run, load, refuse }).await;
        put.map_err(|_| stopped())?;
        receiver.await.map_err(|_| stopped())?
    }
}

/// Until no job can come any more, or, with an error, until the file failed.
async fn serve(connection: &mut SqliteConnection, log: &mut WriteAheadLog, queues: &mut Queues) -> Result<(), DbError> {
    let mut full_until: Option<(Instant, DbError)> = None;
    let mut gather = GROUP_TIME.0;
    while let Some(first) = queues.first().await {
        if let Some((until, error)) = &full_until
            && Instant::now() < *until
        {
            (first.refuse)(error.clone());
            continue;
        }
        full_until = None;
        let mut outcome = if first.load.single && !queues.has_urgent() {
            alone(connection, first).await
        } else {
            group(connection, first, queues, gather).await
        };
        if let Ok(commit) = outcome {
            gather = commit.clamp(GROUP_TIME.0, GROUP_TIME.1);
            outcome = keep_short(connection, log).await.map(|()| commit);
        }
        let Err(error) = outcome else { continue };
        if error.class == Class::Full {
            tracing::error!(error = %error, "the disk is full; writing is refused, reading goes on");
            full_until = Some((Instant::now() + FULL_PAUSE, error));
        } else if error.class == Class::Fatal {
            tracing::error!(error = %error, "the SQLite file failed; nothing is written any more");
            // A failed sync is never repeated: what the system dropped would look written.
            queues.refuse_all(&error).await;
            return Err(error);
        }
    }
    // By hand, because closing does it only for the last connection, and a reader may still be on its way out.
    match connection
        .execute("pragma wal_checkpoint(truncate)")
        .await
        .map_err(DbError::from)
    {
        Err(error) if error.class == Class::Fatal => Err(error),
        Err(error) => {
            tracing::warn!(error = %error, "the write-ahead log stays beside the file; the next start reads it");
            Ok(())
        }
        Ok(_) => Ok(()),
    }
}

/// Copies a long log into the database, as far as readers let it be copied; the rest comes after a later commit.
async fn keep_short(connection: &mut SqliteConnection, log: &mut WriteAheadLog) -> Result<(), DbError> {
    // A log that cannot be looked at (no file handle left) counts as long: SQLite will say what is wrong with it.
    if log.is_long().unwrap_or(true) {
        connection.execute("pragma wal_checkpoint(passive)").await?;
    }
    Ok(())
}

/// A job of one statement, with nobody to share a transaction with: the statement is one by itself, begun, synced and
/// ended in a single message to the connection. Tells how long that took; an error says that the store failed it.
async fn alone(connection: &mut SqliteConnection, job: Job) -> Result<Duration, DbError> {
    let began = Instant::now();
    failpoint::reach("writer.before-commit");
    let (kept, answer) = (job.run)(connection).await;
    failpoint::reach("writer.after-commit");
    answer(Ok(()));
    match kept {
        Err(Some(class)) => Err(DbError::of(class, "a statement on the SQLite file failed")),
        Ok(()) | Err(None) => Ok(began.elapsed()),
    }
}

/// One transaction, into which ordinary jobs come for as long as `gather` if it began with one; tells how long its
/// COMMIT took. An error says that all of it was rolled back, and everybody in it was told.
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
    let began_urgent = first.load.urgent;
    let started = Instant::now();
    let (mut count, mut bytes) = (1, first.load.bytes);
    let mut answers = Vec::new();
    let mut next = Some(first.run);
    while let Some(run) = next.take() {
        let (kept, answer) = run(connection).await;
        answers.push(answer);
        if let Err(class) = kept
            && let Err(error) = take_back(connection, class).await
        {
            return Err(abandon(connection, answers, error).await);
        }
        let has_room = count < GROUP_JOBS && bytes < GROUP_BYTES;
        let ordinary = !began_urgent && started.elapsed() < gather;
        if let Some(job) = has_room.then(|| queues.next(ordinary)).flatten() {
            count += 1;
            bytes += job.load.bytes;
            if let Err(error) = connection.execute("release job; savepoint job").await {
                let error = lost(None, &error);
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

/// Takes back what a failed job did. An error means that the whole transaction is lost, not only the job.
async fn take_back(connection: &mut SqliteConnection, class: Option<Class>) -> Result<(), DbError> {
    if failpoint::mutant("savepoint-leak") {
        return Ok(());
    }
    if class == Some(Class::Fatal) {
        let failed = "the file failed under a job of this transaction";
        return Err(DbError::of(Class::Fatal, failed));
    }
    // Where SQLite rolled everything back by itself (disk full, no memory) there is no savepoint left.
    let undone = connection.execute("rollback to job").await;
    undone.map(|_| ()).map_err(|error| lost(class, &error))
}

fn lost(class: Option<Class>, error: &sqlx::Error) -> DbError {
    let message = format!("SQLite gave up the whole transaction: {error}");
    DbError::of(class.unwrap_or(Class::Bug), message)
}

async fn abandon(connection: &mut SqliteConnection, answers: Vec<Answer>, error: DbError) -> DbError {
    // Fails when SQLite already rolled back, which is what is wanted.
    let _ = connection.execute("rollback").await;
    for answer in answers {
        answer(Err(error.clone()));
    }
    error
}

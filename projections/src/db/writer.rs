//! The one task that writes a SQLite ledger.
//!
//! Flow: take a job; BEGIN IMMEDIATE; run it and whatever else waits, each in its own SAVEPOINT; one COMMIT; then
//! all answers. While one group commits the next one gathers, so no timer is needed. Promise: nothing is answered
//! before COMMIT returned; a failing job leaves nothing behind and harms no other.

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
/// How long a group may gather while jobs keep coming: bounds the wait of the first one.
const GROUP_TIME: Duration = Duration::from_millis(20);
/// How long writing is refused at once after the disk was full, before one job tries again.
const FULL_PAUSE: Duration = Duration::from_secs(5);

/// Tells the caller of a job how the COMMIT ended.
type Answer = Box<dyn FnOnce(Result<(), DbError>) + Send>;
/// Runs on the writing connection; says whether its savepoint is kept.
type Run = Box<dyn for<'c> FnOnce(&'c mut SqliteConnection) -> BoxFuture<'c, (bool, Answer)> + Send>;

struct Job {
    run: Run,
    bytes: usize,
    /// Answers without running, when there is no transaction to run in.
    refuse: Box<dyn FnOnce(DbError) + Send>,
}

/// Handle to the writer task; cheap to clone.
#[derive(Clone)]
pub(super) struct Writer {
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
    pub(super) fn start<H: Send + 'static>(connection: SqliteConnection, hold: H) -> Self {
        let (jobs, queue) = mpsc::channel(QUEUE_JOBS);
        let (failed, failure) = watch::channel(None);
        tokio::spawn(async move {
            let connection = serve(connection, queue, failed).await;
            if let Err(error) = connection.close().await {
                tracing::warn!(error = %error, "closing the SQLite file failed; it is checked at the next start");
            }
            drop(hold);
        });
        Self { jobs, failure }
    }

    /// Runs `job` in the next group and answers after its COMMIT.
    pub(super) async fn write<T, E, F>(&self, bytes: usize, job: F) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<DbError> + Send + 'static,
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
                    return (true, Box::new(|_| ()) as Answer);
                }
                let keep = outcome.is_ok();
                let answer: Answer = Box::new(move |committed| match committed {
                    Ok(()) => reply.send(outcome),
                    Err(error) => reply.send(Err(error.into())),
                });
                (keep, answer)
            })
        });
        let refuse = Box::new(move |error: DbError| refused.send(Err(error.into())));
        let stopped = || DbError::of(Class::Connection, "the writer of the SQLite file has stopped");
        self.jobs
            .send(Job { run, bytes, refuse })
            .await
            .map_err(|_| stopped())?;
        receiver.await.map_err(|_| stopped())?
    }
}

async fn serve(
    mut connection: SqliteConnection,
    mut queue: mpsc::Receiver<Job>,
    failed: watch::Sender<Option<DbError>>,
) -> SqliteConnection {
    let mut full_until: Option<(Instant, DbError)> = None;
    while let Some(first) = queue.recv().await {
        if let Some((until, error)) = &full_until
            && Instant::now() < *until
        {
            (first.refuse)(error.clone());
            continue;
        }
        full_until = None;
        let Err(error) = group(&mut connection, first, &mut queue).await else {
            continue;
        };
        if error.class == Class::Full {
            tracing::error!(error = %error, "the disk is full; writing is refused, reading goes on");
            full_until = Some((Instant::now() + FULL_PAUSE, error));
        } else if error.class == Class::Fatal {
            tracing::error!(error = %error, "the SQLite file failed; nothing is written any more");
            let _ = failed.send(Some(error.clone()));
            // A failed sync is never repeated: what the kernel dropped would look written.
            queue.close();
            while let Some(job) = queue.recv().await {
                (job.refuse)(error.clone());
            }
        }
    }
    connection
}

/// One transaction. An error says that all of it was rolled back, and everybody in it was told.
async fn group(connection: &mut SqliteConnection, first: Job, queue: &mut mpsc::Receiver<Job>) -> Result<(), DbError> {
    if let Err(error) = connection.execute("begin immediate").await {
        let error = DbError::from(error);
        (first.refuse)(error.clone());
        return Err(error);
    }
    let started = Instant::now();
    let (mut count, mut bytes) = (0, 0);
    let mut answers = Vec::new();
    let mut next = Some(first);
    while let Some(job) = next {
        count += 1;
        bytes += job.bytes;
        if let Err(error) = in_savepoint(connection, job.run, &mut answers).await {
            return Err(abandon(connection, answers, error).await);
        }
        let more = count < GROUP_JOBS && bytes < GROUP_BYTES && started.elapsed() < GROUP_TIME;
        next = if more { queue.try_recv().ok() } else { None };
    }
    failpoint::reach("writer.before-commit");
    if let Err(error) = connection.execute("commit").await {
        return Err(abandon(connection, answers, DbError::at_commit(error)).await);
    }
    failpoint::reach("writer.after-commit");
    for answer in answers {
        answer(Ok(()));
    }
    Ok(())
}

/// Runs one job inside a savepoint. An error means that the whole transaction is lost, not only the job.
async fn in_savepoint(connection: &mut SqliteConnection, run: Run, answers: &mut Vec<Answer>) -> Result<(), DbError> {
    connection.execute("savepoint job").await?;
    let (keep, answer) = run(connection).await;
    answers.push(answer);
    if !keep && !failpoint::mutant("savepoint-leak") {
        // Where SQLite rolled everything back by itself (disk full, I/O error) there is no savepoint left.
        connection
            .execute("rollback to job")
            .await
            .map_err(|error| lost(&error))?;
    }
    connection.execute("release job").await?;
    Ok(())
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

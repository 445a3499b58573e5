//! What waits for the SQLite writer: jobs, their answers, and whose turn it is.
//!
//! Two queues: whoever waits for an answer over the network is *urgent* and need not wait for what loops bring. A group
//! that begins with urgent jobs takes only those; the next one begins with an ordinary job, so that neither starves,
//! and takes the urgent ones that came meanwhile along.

use futures::future::BoxFuture;
use sqlx::SqliteConnection;
use tokio::sync::{mpsc, watch};

use super::error::{Class, DbError};

/// Jobs of one kind that may wait: a full lane set or a full receipt group, beyond it the callers wait.
const QUEUE_JOBS: usize = 1_024;

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

/// Tells the caller of a job how the COMMIT ended.
pub(super) type Answer = Box<dyn FnOnce(Result<(), DbError>) + Send>;
/// Whether what a job wrote is kept; if not, the class of the store's failure, where it was the store's.
pub(super) type Kept = Result<(), Option<Class>>;
/// Runs on the writing connection.
pub(super) type Run = Box<dyn for<'c> FnOnce(&'c mut SqliteConnection) -> BoxFuture<'c, (Kept, Answer)> + Send>;

/// One job.
pub(super) struct Job {
    pub(super) run: Run,
    pub(super) load: Load,
    /// Answers without running, when there is no transaction to run in.
    pub(super) refuse: Box<dyn FnOnce(DbError) + Send>,
}

/// Where jobs are put; cheap to clone.
#[derive(Clone)]
pub(super) struct Jobs {
    urgent: mpsc::Sender<Job>,
    ordinary: mpsc::Sender<Job>,
}

impl Jobs {
    /// Waits while the queue is full; an error gives back a job that nobody will run.
    pub(super) async fn put(&self, job: Job) -> Result<(), mpsc::error::SendError<Job>> {
        let queue = if job.load.urgent { &self.urgent } else { &self.ordinary };
        queue.send(job).await
    }
}

/// Where they are taken.
pub(super) struct Queues {
    urgent: mpsc::Receiver<Job>,
    ordinary: mpsc::Receiver<Job>,
    /// Urgent ones begin the next group if both kinds wait.
    urgent_first: bool,
    stopped: watch::Receiver<bool>,
}

/// Both ends; nothing new is taken once `stopped` says so.
pub(super) fn queues(stopped: watch::Receiver<bool>) -> (Jobs, Queues) {
    let (urgent, urgent_jobs) = mpsc::channel(QUEUE_JOBS);
    let (ordinary, ordinary_jobs) = mpsc::channel(QUEUE_JOBS);
    let queues = Queues {
        urgent: urgent_jobs,
        ordinary: ordinary_jobs,
        urgent_first: true,
        stopped,
    };
    (Jobs { urgent, ordinary }, queues)
}

impl Queues {
    /// The first job of a group; nothing when no more can come.
    pub(super) async fn first(&mut self) -> Option<Job> {
        let (first, second) = if self.urgent_first {
            (&mut self.urgent, &mut self.ordinary)
        } else {
            (&mut self.ordinary, &mut self.urgent)
        };
        let job = tokio::select! {
            biased;
            Some(job) = first.recv() => Some(job),
            Some(job) = second.recv() => Some(job),
            _ = self.stopped.wait_for(|stop| *stop) => None,
            else => None,
        };
        let job = match job {
            Some(job) => job,
            None => self.rest().await?,
        };
        self.urgent_first = !job.load.urgent;
        Some(job)
    }

    /// Takes no more; what waits still comes out.
    pub(super) fn close(&mut self) {
        self.urgent.close();
        self.ordinary.close();
    }

    async fn rest(&mut self) -> Option<Job> {
        self.close();
        match self.urgent.recv().await {
            Some(job) => Some(job),
            None => self.ordinary.recv().await,
        }
    }

    /// Whether an urgent job waits.
    pub(super) fn has_urgent(&self) -> bool {
        !self.urgent.is_empty()
    }

    /// The next job of a group; an ordinary one only where those may still come in.
    pub(super) fn next(&mut self, ordinary: bool) -> Option<Job> {
        let job = if ordinary { self.ordinary.try_recv().ok() } else { None };
        job.or_else(|| self.urgent.try_recv().ok())
    }

    /// Answers everything that waits, and whatever still comes, with the same error.
    pub(super) async fn refuse_all(&mut self, error: &DbError) {
        while let Some(job) = self.rest().await {
            (job.refuse)(error.clone());
        }
    }
}

//! Rebuilds asked for by an operator: those asked for together read the log once.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::rebuild;
use crate::db::Db;
use crate::runner::{Progress, Runner};
use crate::views::View;

/// How long a request waits for others: an operator who rebuilds all views asks for them one after another.
const GATHER: Duration = Duration::from_millis(100);
/// Requests that may wait; there are five views, so more are repetitions.
const WAITING: usize = 64;

/// What became of the last rebuild of a view in this process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// Asked for, not begun.
    Waiting,
    /// Under way: events folded so far and to be folded, both over all views of the same run.
    Running {
        /// Folded.
        done: u64,
        /// To be folded, as far as the log went when it began.
        total: u64,
    },
    /// The slot is filled and follows the log; readers use the other one until the swap.
    Filled,
    /// It ended without a filled slot.
    Failed(String),
}

impl State {
    /// Waiting or running.
    #[must_use]
    pub const fn is_open(&self) -> bool {
        match self {
            Self::Waiting | Self::Running { .. } => true,
            Self::Filled | Self::Failed(_) => false,
        }
    }
}

/// Handle to the task that rebuilds; cheap to clone.
#[derive(Clone)]
pub struct Rebuilds {
    states: Arc<Mutex<BTreeMap<View, State>>>,
    done: Arc<AtomicU64>,
    requests: mpsc::Sender<View>,
    task: Arc<JoinHandle<()>>,
}

impl Rebuilds {
    /// Starts the task; it ends when the last handle is dropped.
    #[must_use]
    pub fn start(db: &Db, runner: &Runner) -> Self {
        let (requests, waiting) = mpsc::channel(WAITING);
        let states = Arc::new(Mutex::new(BTreeMap::new()));
        let done = Arc::new(AtomicU64::new(0));
        let work = Work {
            db: db.clone(),
            progress: runner.progress().clone(),
            look: runner.looker(),
            states: Arc::clone(&states),
            done: Arc::clone(&done),
        };
        let task = Arc::new(tokio::spawn(work.serve(waiting)));
        Self {
            states,
            done,
            requests,
            task,
        }
    }

    /// Asks for a rebuild; false when one of this view waits or runs already, or the task has ended.
    #[must_use]
    pub fn request(&self, view: View) -> bool {
        let mut states = self.states.lock().unwrap_or_else(PoisonError::into_inner);
        if states.get(&view).is_some_and(State::is_open) || self.requests.try_send(view).is_err() {
            return false;
        }
        states.insert(view, State::Waiting);
        true
    }

    /// State of the last rebuild of a view; none since this process began.
    #[must_use]
    pub fn state(&self, view: View) -> Option<State> {
        let states = self.states.lock().unwrap_or_else(PoisonError::into_inner);
        let state = states.get(&view).cloned()?;
        Some(match state {
            State::Running { total, .. } => State::Running {
                done: self.done.load(Ordering::Relaxed).min(total),
                total,
            },
            State::Waiting | State::Filled | State::Failed(_) => state,
        })
    }

    /// Waits until no rebuild waits or runs.
    pub async fn settled(&self) {
        while View::ALL
            .iter()
            .any(|view| self.state(*view).is_some_and(|state| state.is_open()))
        {
            tokio::time::sleep(GATHER / 10).await;
        }
    }

    /// Ends the task, whatever it does: what was begun goes on with the missing parts when it is asked for again.
    pub fn abort(&self) {
        self.task.abort();
    }
}

struct Work {
    db: Db,
    progress: Progress,
    look: Arc<tokio::sync::Notify>,
    states: Arc<Mutex<BTreeMap<View, State>>>,
    done: Arc<AtomicU64>,
}

impl Work {
    async fn serve(self, mut waiting: mpsc::Receiver<View>) {
        while let Some(first) = waiting.recv().await {
            tokio::time::sleep(GATHER).await;
            let mut views = vec![first];
            while let Ok(next) = waiting.try_recv() {
                if !views.contains(&next) {
                    views.push(next);
                }
            }
            self.run(&views).await;
        }
    }

    async fn run(&self, views: &[View]) {
        let events: u64 = (0..self.db.parts()).map(|part| self.db.heads().known(part)).sum();
        let groups = [true, false].map(|accounts| views.iter().any(|view| view.accounts_only() == accounts));
        let runs = u64::try_from(groups.into_iter().filter(|some| *some).count()).unwrap_or(1);
        self.done.store(0, Ordering::Relaxed);
        self.say(
            views,
            &State::Running {
                done: 0,
                total: events * runs,
            },
        );
        let outcome = rebuild(&self.db, &self.progress, views, Arc::clone(&self.done)).await;
        self.look.notify_one();
        match outcome {
            Ok(()) => self.say(views, &State::Filled),
            Err(error) => {
                tracing::error!(error = %error, "a rebuild ended before it was done");
                self.say(views, &State::Failed(error.to_string()));
            }
        }
    }

    fn say(&self, views: &[View], state: &State) {
        let mut states = self.states.lock().unwrap_or_else(PoisonError::into_inner);
        for view in views {
            states.insert(*view, state.clone());
        }
    }
}

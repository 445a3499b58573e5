//! Keeps the views up to the log.
//!
//! One loop for all parts. Flow of a round: read, once for all views, what the parts that are behind have after their
//! checkpoints; load the rows these events touch, one query a view; fold; then in one transaction a database move the
//! checkpoints from where they were left and write the rows. Who finds a checkpoint elsewhere was not first and writes
//! nothing: this alone makes every event count once, however many workers run.
//!
//! A commit in this process wakes the loop at once; looking at the heads every [`POLL`] is the guarantee. A fold
//! that fails stops its view in its part, with the reason; everything else goes on.

mod follow;
mod held;
mod progress;
mod read;
mod round;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::cache::Cache;
use crate::db::{Db, DbError};

pub(crate) use held::{Held, HeldRows};
pub use progress::{Clock, Freshness, Progress};

use follow::Units;

/// How often the heads are looked at when nobody says that they moved, unless configured: other processes append too.
pub const POLL: Duration = Duration::from_millis(250);
/// How often a process that folds looks at checkpoints and active slots: operators and other processes change them.
const LOOK_AT_CHECKPOINTS: Duration = Duration::from_secs(1);
/// The loop rests this many times as long as the round took, so that it takes at most a quarter of one core while
/// events trickle in, and batches grow while they pour in.
const REST_FACTOR: u32 = 3;
/// Longest rest: a fifth of the second within which views must follow.
const REST_MAX: Duration = Duration::from_millis(200);
/// First and longest pause after the store failed.
const RETRY: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(5));

/// Whether this process folds, or only knows how far others are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Folds.
    Fold,
    /// Only follows checkpoints and heads.
    Follow,
}

/// The running loop.
pub struct Runner {
    progress: Progress,
    cache: Cache,
    look: Arc<Notify>,
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Runner {
    /// Makes sure that every view has a slot, learns how far the views are, and starts the loop; it looks at the heads
    /// every `poll` when nobody signals.
    pub async fn start(db: &Db, role: Role, poll: Duration, clock: Clock) -> Result<Self, DbError> {
        let progress = Progress::new(db.parts(), clock);
        if role == Role::Fold {
            crate::checkpoint::ensure(db, progress.now()).await?;
            crate::checkpoint::retry_stopped(db).await?;
        }
        let cache = Cache::new(db.clone(), progress.clone());
        let mut units = Units::new(db.clone(), progress.clone(), cache.clone(), role);
        units.look_at_heads().await?;
        units.look_at_checkpoints().await?;
        let look = Arc::new(Notify::new());
        let (stop, stopped) = watch::channel(false);
        let task = tokio::spawn(run(units, poll, Arc::clone(&look), stopped));
        Ok(Self {
            progress,
            cache,
            look,
            stop,
            task,
        })
    }

    /// How far the views are.
    #[must_use]
    pub const fn progress(&self) -> &Progress {
        &self.progress
    }

    /// Rows of accounts, kept in memory.
    #[must_use]
    pub const fn cache(&self) -> &Cache {
        &self.cache
    }

    /// Looks at checkpoints and slots at once: after a rebuild, a swap or a skip in this process.
    pub fn look_again(&self) {
        self.look.notify_one();
    }

    /// The same for whoever outlives a borrow.
    pub(crate) fn looker(&self) -> Arc<Notify> {
        Arc::clone(&self.look)
    }

    /// Ends the loop after the round it is in.
    pub async fn stop(self) {
        let _ = self.stop.send(true);
        let _ = self.task.await;
    }
}

/// The loop's rounds one at a time, for whoever decides himself when a worker gets its turn: tests of races, replays
/// under a clock of their own.
pub struct Stepper(Units);

impl Stepper {
    /// A worker that has looked at checkpoints and not yet folded.
    pub async fn new(db: &Db, clock: Clock) -> Result<Self, DbError> {
        let progress = Progress::new(db.parts(), clock);
        crate::checkpoint::ensure(db, progress.now()).await?;
        let cache = Cache::new(db.clone(), progress.clone());
        let mut units = Units::new(db.clone(), progress, cache, Role::Fold);
        units.look_at_heads().await?;
        units.look_at_checkpoints().await?;
        Ok(Self(units))
    }

    /// Looks at the heads and brings every part that is behind one page further; true while a page was full.
    pub async fn round(&mut self) -> Result<bool, DbError> {
        self.0.look_at_heads().await?;
        Ok(self.0.round().await?.full)
    }
}

async fn run(mut units: Units, poll: Duration, look: Arc<Notify>, mut stopped: watch::Receiver<bool>) {
    let mut moved = units.db().heads().watch_any();
    let every = match units.role() {
        Role::Fold => LOOK_AT_CHECKPOINTS,
        Role::Follow => poll,
    };
    let mut checkpoints_at = Instant::now() + every;
    let mut heads_at = Instant::now();
    let mut pause = RETRY.0;
    let mut seen = true;
    while !*stopped.borrow() {
        let outcome = async {
            if Instant::now() >= heads_at {
                units.look_at_heads().await?;
                heads_at = Instant::now() + poll;
            } else if seen {
                units.take_known_heads();
            }
            if Instant::now() >= checkpoints_at {
                units.look_at_checkpoints().await?;
                checkpoints_at = Instant::now() + every;
            }
            units.round().await
        }
        .await;
        let rest = match outcome {
            Ok(round) => {
                pause = RETRY.0;
                if round.full {
                    continue;
                }
                (round.took * REST_FACTOR).min(REST_MAX)
            }
            Err(error) => {
                tracing::warn!(error = %error, class = error.class.as_str(), "the views wait for the store");
                let rest = pause;
                pause = (pause * 2).min(RETRY.1);
                rest
            }
        };
        tokio::select! {
            () = tokio::time::sleep(rest) => {}
            _ = stopped.changed() => continue,
        }
        tokio::select! {
            changed = moved.changed() => seen = changed.is_ok(),
            () = tokio::time::sleep_until(heads_at) => {}
            () = look.notified() => checkpoints_at = Instant::now(),
            _ = stopped.changed() => {}
        }
    }
}

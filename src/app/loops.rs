//! A thread of its own for the loops that work in the background.
//!
//! Translating, deciding and folding are pieces of a millisecond of pure work. On the threads that serve requests each
//! of them would stand in the way of a read that takes a twentieth of that; beside them the system shares the cores
//! out fairly, and a backlog slows no answer down.

use tokio::runtime::{Builder, Runtime};

use super::AppError;

/// How much the loops stand back for requests when the cores are busy: a third of the weight of another thread.
const NICE: i32 = 5;

/// The runtime of the loops. They end with it at the latest.
pub(super) struct Loops(Option<Runtime>);

impl Loops {
    /// Starts the thread.
    pub(super) fn start() -> Result<Self, AppError> {
        let mut builder = Builder::new_multi_thread();
        builder
            .worker_threads(1)
            .thread_name("ledger-loops")
            .on_thread_start(|| {
                // Where it is not allowed, the loops are as urgent as everything else.
                let _ = rustix::process::nice(NICE);
            });
        let runtime = builder.enable_all().build();
        Ok(Self(Some(runtime.map_err(AppError::Thread)?)))
    }

    /// Runs `start` there, so that the tasks it spawns stay there.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        start: impl Future<Output = T> + Send + 'static,
    ) -> Result<T, AppError> {
        let Some(runtime) = &self.0 else {
            return Err(AppError::Thread(std::io::Error::other("the loops have ended")));
        };
        let started = runtime.spawn(start).await;
        started.map_err(|error| AppError::Thread(std::io::Error::other(error)))
    }
}

impl Drop for Loops {
    fn drop(&mut self) {
        // Whoever drops it may itself run on a runtime, where waiting for the thread would be a panic.
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

//! The sandbox on a socket: one task that serves, one that delivers.

mod http;
mod sender;

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::net::TcpListener;
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;

use crate::state::State;

/// The state, shared by what serves and what delivers.
#[derive(Clone, Debug)]
pub struct Sandbox {
    state: Arc<Mutex<State>>,
    /// Something happened that may have to be delivered.
    wake: Arc<Notify>,
}

impl Sandbox {
    /// A sandbox that nobody serves yet.
    #[must_use]
    pub fn new(state: State) -> Self {
        Self {
            state: Arc::new(Mutex::new(state)),
            wake: Arc::new(Notify::new()),
        }
    }

    /// The state, for as long as the guard lives. No step is under way then.
    pub fn state(&self) -> MutexGuard<'_, State> {
        // A panic in a handler poisons the lock; the step it was in never committed.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Says that deliveries may have become ready.
    pub fn wake(&self) {
        self.wake.notify_one();
    }

    pub(crate) fn waker(&self) -> &Notify {
        &self.wake
    }

    /// Serves on this address until `Running::stop`.
    ///
    /// # Errors
    /// The address cannot be listened on.
    pub async fn serve(&self, listen: SocketAddr) -> io::Result<Running> {
        let listener = TcpListener::bind(listen).await?;
        let address = listener.local_addr()?;
        self.state().settings.base_url = format!("http://{address}");
        let (stop, stopped) = watch::channel(false);
        let served = tokio::spawn(http::serve(self.clone(), listener, stopped.clone()));
        let delivered = tokio::spawn(sender::deliver(self.clone(), stopped));
        Ok(Running {
            address,
            stop,
            tasks: vec![served, delivered],
        })
    }
}

/// A sandbox that is served.
#[derive(Debug)]
pub struct Running {
    address: SocketAddr,
    stop: watch::Sender<bool>,
    tasks: Vec<JoinHandle<()>>,
}

impl Running {
    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Stops serving and delivering; attempts under way end first.
    pub async fn stop(self) {
        let _ = self.stop.send(true);
        for task in self.tasks {
            let _ = task.await;
        }
    }
}

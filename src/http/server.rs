//! Listening, with a bound on connections, and stopping without dropping a request.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::extract::ConnectInfo;
use hyper::Request;
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tower::ServiceExt;

/// Most connections of the process: each costs some 20 kB.
pub const CONNECTIONS_MAX: usize = 4096;
/// Most connections of one address, so that one caller cannot take them all.
pub const CONNECTIONS_PER_ADDRESS_MAX: usize = 256;
/// Longest time without a complete request head, for a slow sender and for an idle connection alike.
pub const HEAD_TIME_MAX: Duration = Duration::from_secs(75);
/// Longest wait for running requests after a stop; service managers kill after 30 s.
pub const DRAIN_TIME_MAX: Duration = Duration::from_secs(25);
/// Pause after a failed accept, so that a process out of file handles does not spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// Buffer of one connection, which bounds a request head.
const HEAD_BYTES_MAX: usize = 64 * 1024;

/// Serves until `stop` ends, then lets running requests finish for at most [`DRAIN_TIME_MAX`]. Answers whether they did.
pub async fn serve(listener: TcpListener, router: Router, stop: impl Future<Output = ()>) -> bool {
    let graceful = GracefulShutdown::new();
    let seats = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let callers = Arc::new(Callers::default());
    let mut stop = std::pin::pin!(stop);
    loop {
        let Ok(seat) = seats.clone().acquire_owned().await else {
            break;
        };
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, address)) => {
                    if let Some(entry) = callers.enter(address.ip()) {
                        spawn(stream, address, router.clone(), &graceful, (seat, entry));
                    }
                }
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            },
            () = &mut stop => break,
        }
    }
    drop(listener);
    tokio::time::timeout(DRAIN_TIME_MAX, graceful.shutdown()).await.is_ok()
}

fn spawn(
    stream: TcpStream,
    address: SocketAddr,
    router: Router,
    graceful: &GracefulShutdown,
    held: (OwnedSemaphorePermit, Entry),
) {
    // Answers are small: waiting to fill a packet only delays them.
    let _ = stream.set_nodelay(true);
    let service = hyper::service::service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(ConnectInfo(address));
        router.clone().oneshot(request.map(axum::body::Body::new))
    });
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIME_MAX)
        .max_buf_size(HEAD_BYTES_MAX)
        .pipeline_flush(true);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(128)
        .max_header_list_size(16 * 1024);
    let connection = builder.serve_connection(TokioIo::new(stream), service).into_owned();
    let connection = graceful.watch(connection);
    tokio::spawn(async move {
        // A caller that goes away in the middle is no fault of ours.
        if let Err(error) = connection.await {
            tracing::debug!(%error, "a connection ended early");
        }
        drop(held);
    });
}

/// Open connections by address.
#[derive(Default)]
struct Callers(Mutex<HashMap<IpAddr, usize>>);

struct Entry {
    callers: Arc<Callers>,
    address: IpAddr,
}

impl Callers {
    fn enter(self: &Arc<Self>, address: IpAddr) -> Option<Entry> {
        let mut open = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = open.entry(address).or_default();
        // Loopback is the machine's own proxy or a bench: the bound of the process holds there.
        if *count >= CONNECTIONS_PER_ADDRESS_MAX && !address.is_loopback() {
            return None;
        }
        *count += 1;
        Some(Entry {
            callers: self.clone(),
            address,
        })
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        let mut open = self.callers.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = open.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                open.remove(&self.address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_address_gets_its_share_and_gives_it_back() {
        let callers = Arc::new(Callers::default());
        let address: IpAddr = "192.0.2.7".parse().unwrap();
        let held: Vec<_> = (0..CONNECTIONS_PER_ADDRESS_MAX)
            .map(|_| callers.enter(address).unwrap())
            .collect();
        assert!(callers.enter(address).is_none());
        assert!(callers.enter("192.0.2.8".parse().unwrap()).is_some());
        drop(held);
        assert!(callers.enter(address).is_some());
    }
}

//! Listening, with bounds on connections and on their callers' time, and stopping without dropping a request.

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
use ipnet::IpNet;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tower::ServiceExt;

use super::edge::REQUEST_TIME_MAX;
use super::limits::household;
use super::timed::{Counted, Requests, Timed, Times};

/// Most connections of the process: each costs some 20 kB.
pub const CONNECTIONS_MAX: usize = 4096;
/// Most connections of one address, so that one caller cannot take them all.
pub const CONNECTIONS_PER_ADDRESS_MAX: usize = 256;
/// Longest time for the head of a request: it fits in a few packets.
pub const HEAD_TIME_MAX: Duration = Duration::from_secs(10);
/// Longest time of a connection without a request: longer than the 60 s of common proxies, so that they close first
/// and never send into a closed connection.
pub const IDLE_TIME_MAX: Duration = Duration::from_secs(75);
/// Longest wait for running requests after a stop; service managers kill after 30 s.
pub const DRAIN_TIME_MAX: Duration = Duration::from_secs(25);
/// Pause after a failed accept, so that a process out of file handles does not spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// Buffer of one connection, which bounds a request head before the edge measures it.
const BUFFER_BYTES_MAX: usize = 64 * 1024;
/// Header fields of one HTTP/2 request, 32 bytes added for each: above what the edge allows, which says what is wrong.
const FIELDS_BYTES_MAX: u32 = 64 * 1024;
/// Requests of one HTTP/2 connection at once: twice what a browser keeps open.
const STREAMS_MAX: u32 = 128;

/// What callers may take of this process.
#[derive(Clone, Debug)]
pub struct Bounds {
    /// Connections of all callers.
    pub connections: usize,
    /// Connections of one address.
    pub per_address: usize,
    /// Their time.
    pub times: Times,
    /// Networks whose addresses speak for many callers: the configured proxies.
    pub proxies: Vec<IpNet>,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            connections: CONNECTIONS_MAX,
            per_address: CONNECTIONS_PER_ADDRESS_MAX,
            times: Times {
                head: HEAD_TIME_MAX,
                idle: IDLE_TIME_MAX,
                answer: REQUEST_TIME_MAX,
            },
            proxies: Vec::new(),
        }
    }
}

/// Serves until `stop` ends, then lets running requests finish for at most [`DRAIN_TIME_MAX`]. Answers whether they did.
pub async fn serve(listener: TcpListener, router: Router, bounds: Bounds, stop: impl Future<Output = ()>) -> bool {
    let graceful = GracefulShutdown::new();
    let seats = Arc::new(Semaphore::new(bounds.connections));
    let callers = Arc::new(Callers::default());
    let mut stop = std::pin::pin!(stop);
    loop {
        // While every seat is taken, new connections wait in the listener's own queue.
        let accepted = async {
            let seat = seats.clone().acquire_owned().await;
            (seat, listener.accept().await)
        };
        let (seat, accepted) = tokio::select! {
            accepted = accepted => accepted,
            () = &mut stop => break,
        };
        match (seat, accepted) {
            (Ok(seat), Ok((stream, address))) => {
                if let Some(entry) = callers.enter(address.ip(), &bounds) {
                    spawn(stream, address, router.clone(), &graceful, bounds.times, (seat, entry));
                }
            }
            (_, Err(error)) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
            // The semaphore is never closed.
            (Err(_), Ok(_)) => break,
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
    times: Times,
    held: (OwnedSemaphorePermit, Entry),
) {
    // Answers are small: waiting to fill a packet only delays them.
    let _ = stream.set_nodelay(true);
    let requests = Requests::new();
    let stream = Timed::new(stream, times, Arc::clone(&requests));
    let service = hyper::service::service_fn(move |mut request: Request<Incoming>| {
        let running = requests.begin();
        request.extensions_mut().insert(ConnectInfo(address));
        let answer = router.clone().oneshot(request.map(axum::body::Body::new));
        async move {
            answer
                .await
                .map(|answer| answer.map(|body| Counted::new(body, running)))
        }
    });
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        // `Timed` does this, and tells a slow head from a quiet connection.
        .header_read_timeout(None)
        .max_buf_size(BUFFER_BYTES_MAX)
        .pipeline_flush(true);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS_MAX)
        .max_header_list_size(FIELDS_BYTES_MAX);
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

/// Open connections by whom their addresses count for.
#[derive(Default)]
struct Callers(Mutex<HashMap<u128, usize>>);

struct Entry {
    callers: Arc<Callers>,
    caller: u128,
}

impl Callers {
    fn enter(self: &Arc<Self>, address: IpAddr, bounds: &Bounds) -> Option<Entry> {
        let mut open = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let caller = household(address);
        let count = open.entry(caller).or_default();
        // Loopback is the machine's own proxy or a bench: the bound of the process holds there.
        let for_many = address.is_loopback() || bounds.proxies.iter().any(|network| network.contains(&address));
        if *count >= bounds.per_address && !for_many {
            return None;
        }
        *count += 1;
        Some(Entry {
            callers: self.clone(),
            caller,
        })
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        let mut open = self.callers.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = open.get_mut(&self.caller) {
            *count -= 1;
            if *count == 0 {
                open.remove(&self.caller);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_address_gets_its_share_and_gives_it_back() {
        let bounds = Bounds::default();
        let four: fn(usize) -> IpAddr = |_| "192.0.2.7".parse().unwrap();
        let six: fn(usize) -> IpAddr = |host| format!("2001:db8:0:1::{host:x}").parse().unwrap();
        for of in [four, six] {
            let callers = Arc::new(Callers::default());
            let held: Vec<_> = (0..CONNECTIONS_PER_ADDRESS_MAX)
                .map(|host| callers.enter(of(host), &bounds).unwrap())
                .collect();
            assert!(callers.enter(of(CONNECTIONS_PER_ADDRESS_MAX), &bounds).is_none());
            for other in ["192.0.2.8", "2001:db8:0:2::1"] {
                assert!(callers.enter(other.parse().unwrap(), &bounds).is_some(), "{other}");
            }
            drop(held);
            assert!(callers.enter(of(0), &bounds).is_some());
        }
    }

    #[test]
    fn addresses_that_speak_for_many_have_the_bound_of_the_process_only() {
        let callers = Arc::new(Callers::default());
        let bounds = Bounds {
            per_address: 1,
            proxies: vec!["192.0.2.0/30".parse().unwrap()],
            ..Bounds::default()
        };
        for (address, for_many) in [("127.0.0.1", true), ("192.0.2.3", true), ("192.0.2.4", false)] {
            let address: IpAddr = address.parse().unwrap();
            let first = callers.enter(address, &bounds);
            assert!(first.is_some());
            assert_eq!(callers.enter(address, &bounds).is_some(), for_many, "{address}");
        }
    }
}

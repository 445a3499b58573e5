//! Load: bodies made from a template, signed as they are sent, and clocks on the answers.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde_json::json;

use crate::support::http::{Connection, request};
use crate::support::stripe;

/// The `created` of the first event of every account; one second a version.
pub(crate) const BASE: i64 = 1_790_000_000;

/// One delivery: which event, of which account, which version of its subscription.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Delivery {
    pub(crate) event: u32,
    pub(crate) account: u32,
    pub(crate) version: u32,
}

/// A body with holes, so that a load of gigabytes costs no memory and one copy a request.
pub(crate) struct Template {
    pieces: Vec<Piece>,
}

enum Piece {
    Text(Vec<u8>),
    Event,
    Account,
    Created,
    Quantity,
}

impl Template {
    /// A `customer.subscription.updated` snapshot of 3 to 6 kB, as Stripe prints it.
    pub(crate) fn subscription() -> Self {
        let mut object = stripe::subscription(777_777, "active", 888_888, 1_789_900_000);
        object["metadata"]["note"] = json!("a customer's own field, of the length such fields have in practice");
        let body = stripe::subscription_event("evt_EEEEEEEEEEEE", 1_111_111_111, &object);
        let text = String::from_utf8(body).expect("text");
        assert!((3_000..6_000).contains(&text.len()), "{} bytes", text.len());
        let mut pieces = Vec::new();
        let mut rest = text.as_str();
        let holes = ["EEEEEEEEEEEE", "777777", "1111111111", "888888"];
        while let Some((at, hole)) = holes.iter().filter_map(|hole| Some((rest.find(hole)?, *hole))).min() {
            pieces.push(Piece::Text(rest.as_bytes()[..at].to_vec()));
            pieces.push(match hole {
                "EEEEEEEEEEEE" => Piece::Event,
                "777777" => Piece::Account,
                "1111111111" => Piece::Created,
                _ => Piece::Quantity,
            });
            rest = &rest[at + hole.len()..];
        }
        pieces.push(Piece::Text(rest.as_bytes().to_vec()));
        Self { pieces }
    }

    /// The body of one delivery.
    pub(crate) fn body(&self, delivery: Delivery) -> Vec<u8> {
        use std::io::Write;
        let mut body = Vec::with_capacity(6_000);
        for piece in &self.pieces {
            let written = match piece {
                Piece::Text(text) => body.write_all(text),
                Piece::Event => write!(body, "{:012}", delivery.event),
                Piece::Account => write!(body, "{:06}", delivery.account),
                Piece::Created => write!(body, "{}", BASE + i64::from(delivery.version)),
                Piece::Quantity => write!(body, "{}", delivery.version + 1),
            };
            written.expect("memory");
        }
        body
    }

    /// The signed request of one delivery.
    pub(crate) fn request(&self, delivery: Delivery) -> Vec<u8> {
        let body = self.body(delivery);
        let signature = stripe::signature(&body);
        let headers = [
            ("Content-Type", "application/json; charset=utf-8"),
            ("Stripe-Signature", &*signature),
        ];
        request("POST", "/webhooks/stripe", &headers, &body)
    }
}

/// The id of a delivery's event.
pub(crate) fn event_id(event: u32) -> String {
    format!("evt_{event:012}")
}

/// The tenant of an account.
pub(crate) fn tenant(account: u32) -> String {
    format!("tenant-{account:06}")
}

/// A small generator of repeatable numbers (splitmix64).
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    pub(crate) fn below(&mut self, bound: u32) -> u32 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        u32::try_from((mixed ^ (mixed >> 31)) % u64::from(bound)).expect("below a u32")
    }
}

/// Times of many operations, and how long all took together.
pub(crate) struct Times {
    micros: Vec<u64>,
    pub(crate) elapsed: Duration,
}

impl Times {
    pub(crate) fn new(mut micros: Vec<u64>, elapsed: Duration) -> Self {
        micros.sort_unstable();
        Self { micros, elapsed }
    }

    pub(crate) fn count(&self) -> usize {
        self.micros.len()
    }

    /// Operations a second.
    pub(crate) fn rate(&self) -> f64 {
        self.micros.len() as f64 / self.elapsed.as_secs_f64()
    }

    /// The time below which `percent` of all lie, in milliseconds.
    pub(crate) fn at(&self, percent: usize) -> f64 {
        let index = (self.micros.len() * percent / 100).min(self.micros.len().saturating_sub(1));
        self.micros.get(index).map_or(0.0, |micros| *micros as f64 / 1_000.0)
    }

    pub(crate) fn latency(&self) -> String {
        format!("p50 {:.2} ms, p99 {:.2} ms", self.at(50), self.at(99))
    }
}

/// What to send as the n-th request; nothing when the load is over.
pub(crate) type Source = dyn Fn(u64) -> Option<Vec<u8>> + Send + Sync;

/// Each connection sends its next request as soon as it has its answer; every answer must be 200.
pub(crate) async fn closed_loop(
    address: &str,
    connections: usize,
    limit: Option<Duration>,
    source: Arc<Source>,
) -> Times {
    let next = Arc::new(AtomicU64::new(0));
    let begin = Instant::now();
    let clients: Vec<_> = (0..connections)
        .map(|_| {
            let (next, source, address) = (Arc::clone(&next), Arc::clone(&source), address.to_owned());
            tokio::spawn(async move {
                let mut connection = Connection::open(&address).await.expect("a connection");
                let mut micros = Vec::new();
                while limit.is_none_or(|limit| begin.elapsed() < limit) {
                    let Some(bytes) = source(next.fetch_add(1, Ordering::Relaxed)) else {
                        break;
                    };
                    let sent = Instant::now();
                    exchange(&mut connection, &bytes).await;
                    micros.push(u64::try_from(sent.elapsed().as_micros()).expect("micros"));
                }
                micros
            })
        })
        .collect();
    gather(clients, begin).await
}

/// Requests leave on a timetable of `rate` a second; the clock starts when a request was due, not when it left.
pub(crate) async fn open_loop(
    address: &str,
    connections: usize,
    rate: f64,
    limit: Duration,
    source: Arc<Source>,
) -> Times {
    let next = Arc::new(AtomicU64::new(0));
    let begin = Instant::now();
    let clients: Vec<_> = (0..connections)
        .map(|_| {
            let (next, source, address) = (Arc::clone(&next), Arc::clone(&source), address.to_owned());
            tokio::spawn(async move {
                let mut connection = Connection::open(&address).await.expect("a connection");
                let mut micros = Vec::new();
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    let due = begin + Duration::from_secs_f64(number as f64 / rate);
                    if due.duration_since(begin) >= limit {
                        break;
                    }
                    let Some(bytes) = source(number) else { break };
                    // The timer ticks in milliseconds: sleep most of the way, then give way until it is due.
                    let early = due.saturating_duration_since(Instant::now());
                    if early > Duration::from_millis(2) {
                        tokio::time::sleep(early.saturating_sub(Duration::from_millis(1))).await;
                    }
                    while Instant::now() < due {
                        tokio::task::yield_now().await;
                    }
                    exchange(&mut connection, &bytes).await;
                    micros.push(u64::try_from(due.elapsed().as_micros()).expect("micros"));
                }
                micros
            })
        })
        .collect();
    gather(clients, begin).await
}

async fn exchange(connection: &mut Connection, bytes: &[u8]) {
    let answer = connection.send(bytes).await.expect("an answer");
    assert_eq!(answer.status, 200, "{}", String::from_utf8_lossy(&answer.body));
}

async fn gather(clients: Vec<tokio::task::JoinHandle<Vec<u64>>>, begin: Instant) -> Times {
    let mut micros = Vec::new();
    for client in clients {
        micros.extend(client.await.expect("a client"));
    }
    Times::new(micros, begin.elapsed())
}

/// Resident memory of a process now and at its peak, in MB.
pub(crate) fn memory_mb(pid: u32) -> (u64, u64) {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let field = |name: &str| {
        let line = status.lines().find(|line| line.starts_with(name))?;
        line.split_whitespace().nth(1)?.parse::<u64>().ok()
    };
    (
        field("VmRSS:").unwrap_or(0) / 1_024,
        field("VmHWM:").unwrap_or(0) / 1_024,
    )
}

//! The rules over HTTP/1.1 on loopback: keeps what came over the wire, answers, cuts connections.

use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use super::mini::{Mini, Reply, Request};
use super::{Effects, Fault};

/// A request as it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Wire {
    pub(crate) method: String,
    /// With the query.
    pub(crate) target: String,
    /// Names in lower case, sorted.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: String,
}

impl Wire {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(header, _)| header == name);
        found.map(|(_, value)| value.as_str())
    }
}

#[derive(Default)]
struct State {
    mini: Mutex<Mini>,
    wire: Mutex<Vec<Wire>>,
    connections: AtomicUsize,
    at_once: AtomicUsize,
    most_at_once: AtomicUsize,
}

/// A running server; it ends when dropped.
pub(crate) struct Loopback {
    state: Arc<State>,
    port: u16,
    serving: JoinHandle<()>,
}

impl Loopback {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a loopback listener");
        let port = listener.local_addr().expect("an address").port();
        let state: Arc<State> = Arc::default();
        let shared = Arc::clone(&state);
        let serving = tokio::spawn(async move {
            loop {
                let Ok((stream, _)) = listener.accept().await else {
                    return;
                };
                shared.connections.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(serve(stream, Arc::clone(&shared)));
            }
        });
        Self { state, port, serving }
    }

    /// The base of the API.
    pub(crate) fn base(&self) -> String {
        format!("http://127.0.0.1:{}/", self.port)
    }

    fn mini(&self) -> std::sync::MutexGuard<'_, Mini> {
        self.state.mini.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What goes wrong next, after what was ordered before.
    pub(crate) fn fail(&self, fault: Fault) {
        self.mini().faults.push_back(Some(fault));
    }

    /// The same after so many requests that go well.
    pub(crate) fn fail_after(&self, requests: usize, fault: Fault) {
        let mut mini = self.mini();
        mini.faults.extend((0..requests).map(|_| None));
        mini.faults.push_back(Some(fault));
    }

    pub(crate) fn put(&self, collection: &str, object: Value) {
        self.mini().put(collection, object);
    }

    /// An object as it stands.
    pub(crate) fn find(&self, collection: &str, id: &str) -> Value {
        self.mini().find(collection, id).expect("an object").clone()
    }

    /// Another state of an object, changed by somebody else.
    pub(crate) fn replace(&self, collection: &str, object: Value) {
        let id = object["id"].as_str().expect("an id").to_owned();
        *self.mini().find(collection, &id).expect("an object") = object;
    }

    pub(crate) fn effects(&self) -> Effects {
        self.mini().effects.clone()
    }

    /// Changes that were asked for without a key.
    pub(crate) fn keyless(&self) -> u32 {
        self.mini().keyless
    }

    /// What came over the wire so far.
    pub(crate) fn wire(&self) -> Vec<Wire> {
        self.state.wire.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Connections so far.
    pub(crate) fn connections(&self) -> usize {
        self.state.connections.load(Ordering::SeqCst)
    }

    /// Most requests that were open at once.
    pub(crate) fn most_at_once(&self) -> usize {
        self.state.most_at_once.load(Ordering::SeqCst)
    }
}

impl Drop for Loopback {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn serve(mut stream: TcpStream, state: Arc<State>) {
    let mut buffer = Vec::new();
    while let Ok(Some(wire)) = read(&mut stream, &mut buffer).await {
        state
            .wire
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(wire.clone());
        let open = state.at_once.fetch_add(1, Ordering::SeqCst) + 1;
        state.most_at_once.fetch_max(open, Ordering::SeqCst);
        let reply = state
            .mini
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .handle(&request(&wire));
        let done = answer(&mut stream, reply).await;
        state.at_once.fetch_sub(1, Ordering::SeqCst);
        if !matches!(done, Ok(true)) {
            return;
        }
    }
}

/// Whether the connection stays.
async fn answer(stream: &mut TcpStream, mut reply: Reply) -> io::Result<bool> {
    if let Reply::Late(millis, inner) = reply {
        tokio::time::sleep(Duration::from_millis(millis)).await;
        reply = *inner;
    }
    match reply {
        Reply::Answer { status, headers, body } => {
            let mut head = format!(
                "HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\
                 Request-Id: req_1\r\nStripe-Version: 2026-09-30.endive\r\nDate: {}\r\n",
                body.len(),
                chrono::Utc::now().format("%a, %d %b %Y %H:%M:%S GMT")
            );
            for (name, value) in headers {
                head.push_str(&format!("{name}: {value}\r\n"));
            }
            head.push_str("\r\n");
            stream.write_all(head.as_bytes()).await?;
            stream.write_all(&body).await?;
            Ok(true)
        }
        Reply::Raw(bytes) => {
            stream.write_all(&bytes).await?;
            stream.shutdown().await?;
            Ok(false)
        }
        Reply::Cut | Reply::Late(..) => Ok(false),
    }
}

async fn read(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> io::Result<Option<Wire>> {
    let end = loop {
        if let Some(at) = buffer.windows(4).position(|window| window == b"\r\n\r\n") {
            break at + 4;
        }
        if stream.read_buf(buffer).await? == 0 {
            return Ok(None);
        }
    };
    let head = String::from_utf8_lossy(&buffer[..end]).into_owned();
    buffer.drain(..end);
    let mut lines = head.split("\r\n");
    let mut first = lines.next().unwrap_or_default().split(' ');
    let mut headers: Vec<(String, String)> = lines
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_lowercase(), value.to_owned()))
        .collect();
    headers.sort();
    let length = headers.iter().find(|(name, _)| name == "content-length");
    let length: usize = length.and_then(|(_, value)| value.parse().ok()).unwrap_or(0);
    while buffer.len() < length {
        if stream.read_buf(buffer).await? == 0 {
            return Ok(None);
        }
    }
    let body = String::from_utf8_lossy(&buffer.drain(..length).collect::<Vec<u8>>()).into_owned();
    Ok(Some(Wire {
        method: first.next().unwrap_or_default().to_owned(),
        target: first.next().unwrap_or_default().to_owned(),
        headers,
        body,
    }))
}

fn request(wire: &Wire) -> Request {
    let (path, query) = wire.target.split_once('?').unwrap_or((&wire.target, ""));
    let decoded = |text: &str| {
        percent_encoding::percent_decode_str(&text.replace('+', " "))
            .decode_utf8_lossy()
            .into_owned()
    };
    let pairs = |text: &str| -> Vec<(String, String)> {
        text.split('&')
            .filter_map(|pair| pair.split_once('='))
            .map(|(name, value)| (decoded(name), decoded(value)))
            .collect()
    };
    Request {
        method: wire.method.clone(),
        path: path.trim_start_matches("/v1").to_owned(),
        query: pairs(query),
        form: pairs(&wire.body),
        key: wire.header("idempotency-key").map(str::to_owned),
    }
}

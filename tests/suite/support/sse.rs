//! Server-sent events as a client reads them.

use std::time::Duration;

use axum::body::{Body, BodyDataStream};
use futures::StreamExt as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::http::request;

/// How long a reader waits for what must come: longer than two signs of life.
const PATIENCE: Duration = Duration::from_secs(60);

/// Signs of life in a row that are taken for patience.
const SIGNS_MAX: u32 = 4;

/// One event, or a block without data that only says how far the stream is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sse {
    pub(crate) event: String,
    pub(crate) id: String,
    pub(crate) data: String,
    pub(crate) retry: String,
    pub(crate) comment: String,
}

impl Sse {
    /// The data as JSON.
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.data).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

/// Cuts text into blocks.
#[derive(Default)]
pub(crate) struct Parser(String);

impl Parser {
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        self.0.push_str(std::str::from_utf8(bytes).expect("text"));
    }

    /// The next whole block.
    pub(crate) fn next(&mut self) -> Option<Sse> {
        let end = self.0.find("\n\n")?;
        let rest = self.0.split_off(end + 2);
        let block = std::mem::replace(&mut self.0, rest);
        let mut found = Sse::default();
        for line in block.lines().filter(|line| !line.is_empty()) {
            let (name, value) = line.split_once(": ").unwrap_or((line, ""));
            let field = match name {
                "event" => &mut found.event,
                "id" => &mut found.id,
                "data" => &mut found.data,
                "retry" => &mut found.retry,
                "" => &mut found.comment,
                other => panic!("the field {other} in {block:?}"),
            };
            assert!(field.is_empty(), "twice in {block:?}");
            value.clone_into(field);
        }
        Some(found)
    }
}

/// A stream read piece by piece, no faster than it is asked.
pub(crate) struct Reader {
    body: BodyDataStream,
    parser: Parser,
}

impl Reader {
    pub(crate) fn new(body: Body) -> Self {
        Self {
            body: body.into_data_stream(),
            parser: Parser::default(),
        }
    }

    /// The next block; none: the stream is over.
    pub(crate) async fn next(&mut self) -> Option<Sse> {
        loop {
            if let Some(found) = self.parser.next() {
                return Some(found);
            }
            let piece = tokio::time::timeout(PATIENCE, self.body.next()).await;
            let piece = piece.expect("something in a minute")?.expect("a piece of the body");
            self.parser.push(&piece);
        }
    }

    /// The next event, passing over signs of life, but not over many of them.
    pub(crate) async fn event(&mut self) -> Option<Sse> {
        for _ in 0..SIGNS_MAX {
            let found = self.next().await?;
            if !found.event.is_empty() {
                return Some(found);
            }
        }
        panic!("no event, only signs of life");
    }
}

/// A stream over a connection of its own.
pub(crate) struct Wire {
    stream: TcpStream,
    bytes: Vec<u8>,
    parser: Parser,
}

impl Wire {
    /// Opens the stream of a running server; panics where it is refused.
    pub(crate) async fn open(address: &str, path: &str, headers: &[(&str, &str)]) -> Self {
        let mut stream = TcpStream::connect(address).await.expect("a connection");
        stream
            .write_all(&request("GET", path, headers, b""))
            .await
            .expect("a request");
        let mut wire = Self {
            stream,
            bytes: Vec::new(),
            parser: Parser::default(),
        };
        let head = wire.until(b"\r\n\r\n").await.expect("a head");
        let head = String::from_utf8_lossy(&head).to_lowercase();
        assert!(head.starts_with("http/1.1 200"), "{head}");
        assert!(head.contains("content-type: text/event-stream"), "{head}");
        assert!(!head.contains("content-encoding"), "{head}");
        wire
    }

    async fn fill(&mut self) -> Option<()> {
        // A server that is killed resets its connections.
        let read = tokio::time::timeout(PATIENCE, self.stream.read_buf(&mut self.bytes)).await;
        let read = read.expect("something in a minute").unwrap_or(0);
        (read > 0).then_some(())
    }

    async fn until(&mut self, mark: &[u8]) -> Option<Vec<u8>> {
        loop {
            if let Some(at) = self.bytes.windows(mark.len()).position(|window| window == mark) {
                return Some(self.bytes.drain(..at + mark.len()).collect());
            }
            self.fill().await?;
        }
    }

    /// The next event; none: the stream is over.
    pub(crate) async fn event(&mut self) -> Option<Sse> {
        loop {
            if let Some(found) = self.parser.next() {
                if found.event.is_empty() {
                    continue;
                }
                return Some(found);
            }
            let line = self.until(b"\r\n").await?;
            let size = String::from_utf8_lossy(&line);
            let size = usize::from_str_radix(size.trim(), 16).expect("the size of a chunk");
            while self.bytes.len() < size + 2 {
                self.fill().await?;
            }
            let chunk: Vec<u8> = self.bytes.drain(..size).collect();
            self.bytes.drain(..2);
            if size == 0 {
                return None;
            }
            self.parser.push(&chunk);
        }
    }
}

//! Real sockets: a client that sees what arrives byte for byte, and an endpoint that receives webhooks.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// What came back: everything until the connection ended.
pub(crate) struct Answer {
    pub(crate) status: Option<u16>,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn value(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or(Value::Null)
    }
}

/// One call on a connection of its own.
pub(crate) async fn ask(to: SocketAddr, method: &str, path: &str, form: &str, headers: &[(&str, &str)]) -> Answer {
    let mut stream = TcpStream::connect(to).await.unwrap();
    let json = form.starts_with('{');
    let kind = if json {
        "application/json"
    } else {
        "application/x-www-form-urlencoded"
    };
    let mut request = format!(
        "{method} {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\nauthorization: Bearer sk_test_1234567890\r\n\
         content-type: {kind}\r\ncontent-length: {}\r\n",
        form.len()
    );
    for (name, value) in headers {
        request.push_str(&format!("{name}: {value}\r\n"));
    }
    request.push_str("\r\n");
    request.push_str(form);
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut bytes = Vec::new();
    // A connection that is cut gives what came before.
    let _ = stream.read_to_end(&mut bytes).await;
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
    Answer {
        status: head.split(' ').nth(1).and_then(|status| status.parse().ok()),
        head: head.to_lowercase(),
        body: body.to_owned(),
    }
}

/// One delivery as it arrived.
#[derive(Clone, Debug)]
pub(crate) struct Received {
    pub(crate) signature: String,
    pub(crate) body: String,
}

impl Received {
    pub(crate) fn value(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }

    pub(crate) fn kind(&self) -> String {
        self.value()["type"].as_str().unwrap().to_owned()
    }

    /// Whether one of the signatures is by this secret.
    pub(crate) fn signed_by(&self, secret: &str) -> bool {
        let time = self.time();
        let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, secret.as_bytes());
        let text = format!("{time}.{}", self.body);
        let wanted = hex::encode(ring::hmac::sign(&key, text.as_bytes()).as_ref());
        self.signature.split(',').any(|part| part == format!("v1={wanted}"))
    }

    pub(crate) fn time(&self) -> i64 {
        let time = self.signature.split(',').next().unwrap().strip_prefix("t=").unwrap();
        time.parse().unwrap()
    }
}

/// An endpoint that answers with the statuses it was given, then 200.
#[derive(Clone)]
pub(crate) struct Endpoint {
    pub(crate) url: String,
    received: Arc<Mutex<Vec<Received>>>,
    answers: Arc<Mutex<Vec<u16>>>,
}

impl Endpoint {
    pub(crate) async fn listen(answers: &[u16]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = Self {
            url: format!("http://{}/hook", listener.local_addr().unwrap()),
            received: Arc::default(),
            answers: Arc::new(Mutex::new(answers.iter().rev().copied().collect())),
        };
        let serving = endpoint.clone();
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                tokio::spawn(serving.clone().serve(stream));
            }
        });
        endpoint
    }

    async fn serve(self, mut stream: TcpStream) {
        let mut bytes = Vec::new();
        let mut chunk = [0; 4096];
        loop {
            let read = stream.read(&mut chunk).await.unwrap_or(0);
            if read == 0 {
                return;
            }
            bytes.extend_from_slice(&chunk[..read]);
            while let Some((received, length)) = whole(&bytes) {
                bytes.drain(..length);
                self.received.lock().unwrap().push(received);
                let status = self.answers.lock().unwrap().pop().unwrap_or(200);
                let answer = format!("HTTP/1.1 {status} X\r\ncontent-length: 2\r\n\r\nok");
                if stream.write_all(answer.as_bytes()).await.is_err() {
                    return;
                }
            }
        }
    }

    pub(crate) fn received(&self) -> Vec<Received> {
        self.received.lock().unwrap().clone()
    }

    /// Waits until so many deliveries have arrived.
    pub(crate) async fn wait(&self, count: usize) -> Vec<Received> {
        for _ in 0..1_000 {
            if self.received().len() >= count {
                return self.received();
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!(
            "{} of {count} deliveries arrived: {:#?}",
            self.received().len(),
            self.received()
        );
    }
}

fn whole(bytes: &[u8]) -> Option<(Received, usize)> {
    let text = String::from_utf8_lossy(bytes);
    let (head, _) = text.split_once("\r\n\r\n")?;
    let header = |name: &str| {
        let mut lines = head.lines().filter_map(|line| line.split_once(':'));
        lines
            .find(|(given, _)| given.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.trim().to_owned())
    };
    let length: usize = header("content-length")?.parse().ok()?;
    let (start, end) = (head.len() + 4, head.len() + 4 + length);
    let body = bytes.get(start..end)?;
    let received = Received {
        signature: header("stripe-signature").unwrap_or_default(),
        body: String::from_utf8_lossy(body).into_owned(),
    };
    Some((received, end))
}

//! Connections: who is slow is cut off, who is only quiet is not, and nobody takes more than a share.

use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use axum::routing::{get, post};
use subledger::http::extract::read_body;
use subledger::http::server::{self, Bounds};
use subledger::http::timed::Times;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// A limit that a test does not reach.
const LONG: Duration = Duration::from_secs(600);
/// A limit that a test passes.
const SHORT: Duration = Duration::from_millis(150);
/// Several short limits.
const PAST_SHORT: Duration = Duration::from_millis(600);
/// A limit that a test passes, and that its own requests must keep: no machine is that slow.
const KEPT: Duration = Duration::from_secs(2);
/// After so long, what should have happened will not: no machine is that slow.
const NEVER: Duration = Duration::from_secs(30);
const LARGE_BYTES: usize = 64 * 1024 * 1024;
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const GET: &[u8] = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n";

fn times(head: Duration, idle: Duration, answer: Duration) -> Bounds {
    Bounds {
        times: Times { head, idle, answer },
        ..Bounds::default()
    }
}

/// A server of three small routes; it stops when the handle's sender is used or dropped.
struct Serving {
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    ended: JoinHandle<bool>,
}

async fn serving(bounds: Bounds) -> Serving {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let slow = || async {
        tokio::time::sleep(KEPT + SHORT).await;
        "ok"
    };
    let length = |request: Request| async move { read_body(request, 1_000).await.map(|body| body.len().to_string()) };
    let router = Router::new()
        .route("/", get(|| async { "ok" }))
        .route("/slow", get(slow))
        .route("/large", get(|| async { vec![b'x'; LARGE_BYTES] }))
        .route("/length", post(length));
    let (stop, stopped) = oneshot::channel();
    let stopped = async move {
        let _ = stopped.await;
    };
    let ended = tokio::spawn(server::serve(listener, router, bounds, stopped));
    Serving { address, stop, ended }
}

impl Serving {
    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.expect("a connection")
    }
}

/// Everything until the server closes; fails if it never does.
async fn until_closed(stream: &mut TcpStream) -> Vec<u8> {
    let mut got = Vec::new();
    let read = tokio::time::timeout(NEVER, stream.read_to_end(&mut got)).await;
    // A reset is an end too.
    let _ = read.expect("the server closes the connection");
    got
}

/// An answer of HTTP/1 with a small body.
async fn answer(stream: &mut TcpStream) -> String {
    let mut got = Vec::new();
    while !got.ends_with(b"ok") {
        let read = tokio::time::timeout(NEVER, stream.read_buf(&mut got)).await;
        let count = read.expect("an answer").expect("an answer");
        assert!(count > 0, "closed after {:?}", String::from_utf8_lossy(&got));
    }
    String::from_utf8_lossy(&got).into_owned()
}

/// Sends byte after byte until the connection is closed; fails if it never is.
async fn trickle(stream: &mut TcpStream, byte: u8) -> Vec<u8> {
    let (mut read, mut write) = stream.split();
    let sending = async {
        while write.write_all(&[byte]).await.is_ok() {
            tokio::time::sleep(SHORT / 10).await;
        }
    };
    let mut got = Vec::new();
    let closed = async {
        let _ = read.read_to_end(&mut got).await;
    };
    let both = async {
        tokio::select! { () = sending => (), () = closed => () }
    };
    tokio::time::timeout(NEVER, both)
        .await
        .expect("the server closes the connection");
    got
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_head_that_trickles_in_is_cut_off() {
    let serving = serving(times(SHORT, LONG, LONG)).await;
    for first_request in [true, false] {
        for begin in [&b"G"[..], b"GET / HTTP/1.1\r\nHost: x\r\nA: ", &PREFACE[..9]] {
            if !first_request && begin == &PREFACE[..9] {
                continue;
            }
            let mut stream = serving.connect().await;
            if !first_request {
                stream.write_all(GET).await.expect("a request");
                answer(&mut stream).await;
                tokio::time::sleep(PAST_SHORT).await;
            }
            stream.write_all(begin).await.expect("the begin of a head");
            let got = if begin == &PREFACE[..9] {
                until_closed(&mut stream).await
            } else {
                trickle(&mut stream, b'a').await
            };
            assert_eq!(got, b"", "{begin:?} {first_request}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_quiet_connection_stays_longer_than_a_head_may_take() {
    let serving = serving(times(SHORT, LONG, LONG)).await;
    let mut stream = serving.connect().await;
    for _ in 0..3 {
        tokio::time::sleep(PAST_SHORT).await;
        stream.write_all(GET).await.expect("a request");
        assert!(answer(&mut stream).await.starts_with("HTTP/1.1 200"));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_without_a_request_is_closed_in_the_end() {
    let serving = serving(times(LONG, KEPT, LONG)).await;
    let mut silent = serving.connect().await;
    assert_eq!(until_closed(&mut silent).await, b"");
    let mut once = serving.connect().await;
    once.write_all(GET).await.expect("a request");
    let got = until_closed(&mut once).await;
    assert!(got.ends_with(b"ok"), "{:?}", String::from_utf8_lossy(&got));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_body_and_a_slow_handler_are_no_slow_head() {
    let serving = serving(times(KEPT, KEPT, LONG)).await;
    let mut stream = serving.connect().await;
    let head = b"POST /length HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\nConnection: close\r\n\r\n";
    stream.write_all(head).await.expect("a head");
    for _ in 0..10 {
        tokio::time::sleep(KEPT / 8).await;
        stream.write_all(b"x").await.expect("a byte of the body");
    }
    let got = String::from_utf8(until_closed(&mut stream).await).expect("text");
    assert!(got.starts_with("HTTP/1.1 200") && got.ends_with("10"), "{got}");
    let mut stream = serving.connect().await;
    let slow = b"GET /slow HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    stream.write_all(slow).await.expect("a request");
    assert!(until_closed(&mut stream).await.ends_with(b"ok"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_that_nobody_takes_is_given_up() {
    let bounds = Bounds {
        connections: 1,
        ..times(LONG, LONG, SHORT)
    };
    let serving = serving(bounds).await;
    let mut taker = serving.connect().await;
    taker
        .write_all(b"GET /large HTTP/1.1\r\nHost: x\r\n\r\n")
        .await
        .expect("a request");
    // There is one seat: the next caller is answered once the first one was given up.
    let mut next = serving.connect().await;
    next.write_all(GET).await.expect("a request");
    assert!(answer(&mut next).await.starts_with("HTTP/1.1 200"));
    assert!(until_closed(&mut taker).await.len() < LARGE_BYTES);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_hold_their_bound_and_a_stop_is_heard_at_it() {
    let bounds = Bounds {
        connections: 2,
        ..times(LONG, LONG, LONG)
    };
    let serving = serving(bounds).await;
    let mut held = Vec::new();
    for _ in 0..2 {
        let mut stream = serving.connect().await;
        stream.write_all(GET).await.expect("a request");
        answer(&mut stream).await;
        held.push(stream);
    }
    let mut third = serving.connect().await;
    third.write_all(GET).await.expect("a request");
    let early = tokio::time::timeout(PAST_SHORT, answer(&mut third)).await;
    assert!(early.is_err(), "two seats, and a third caller is answered");
    held.pop();
    assert!(answer(&mut third).await.starts_with("HTTP/1.1 200"));
    let _ = serving.stop.send(());
    let ended = tokio::time::timeout(NEVER, serving.ended).await;
    assert!(
        ended.expect("it stops").expect("it ends well"),
        "no request was cut off"
    );
}

/// One HTTP/2 frame; `stream` is below 256.
fn frame(kind: u8, flags: u8, stream: u8, content: &[u8]) -> Vec<u8> {
    let length = u8::try_from(content.len()).expect("a short frame");
    [&[0, 0, length, kind, flags, 0, 0, 0, stream], content].concat()
}

/// `GET /` with the authority `x`, from the static table.
const FIELDS: &[u8] = &[0x82, 0x86, 0x84, 0x41, 0x01, b'x'];

/// Reads frames until one of this type and stream.
async fn frame_of(stream: &mut TcpStream, kind: u8, id: u8) -> bool {
    let reading = async {
        loop {
            let mut header = [0; 9];
            if stream.read_exact(&mut header).await.is_err() {
                return false;
            }
            let length = usize::from(header[1]) * 256 + usize::from(header[2]);
            let mut content = vec![0; length];
            if stream.read_exact(&mut content).await.is_err() {
                return false;
            }
            if (header[3], header[8]) == (kind, id) {
                return true;
            }
        }
    };
    tokio::time::timeout(NEVER, reading).await.expect("a frame")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn over_http2_quiet_and_pinging_connections_stay_and_trickled_heads_do_not() {
    let serving = serving(times(SHORT, LONG, LONG)).await;
    let begin = [PREFACE, &frame(4, 0, 0, b"")].concat();
    let ping = frame(6, 0, 0, b"8 bytes.");
    let mut stream = serving.connect().await;
    stream.write_all(&begin).await.expect("a preface");
    for id in [1, 3] {
        stream.write_all(&ping).await.expect("a ping");
        tokio::time::sleep(PAST_SHORT).await;
        stream.write_all(&frame(1, 5, id, FIELDS)).await.expect("a request");
        assert!(frame_of(&mut stream, 1, id).await, "no answer to {id}");
    }
    // The head's block is open: the frame that goes on with it is complete, but the head is not.
    stream
        .write_all(&frame(1, 1, 5, FIELDS))
        .await
        .expect("the begin of a head");
    tokio::time::sleep(SHORT / 2).await;
    let more = frame(9, 0, 5, &[0, 1, b'a', 1, b'b']);
    let _ = stream.write_all(&more).await;
    assert!(!frame_of(&mut stream, 1, 5).await);
    let mut cut = serving.connect().await;
    cut.write_all(&begin).await.expect("a preface");
    cut.write_all(&frame(1, 5, 1, FIELDS)[..12])
        .await
        .expect("a part of a head");
    assert!(!frame_of(&mut cut, 1, 1).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn over_http2_a_connection_without_a_request_is_closed_in_the_end() {
    let serving = serving(times(LONG, KEPT, LONG)).await;
    let mut stream = serving.connect().await;
    stream
        .write_all(&[PREFACE, &frame(4, 0, 0, b"")].concat())
        .await
        .expect("a preface");
    stream.write_all(&frame(1, 5, 1, FIELDS)).await.expect("a request");
    assert!(frame_of(&mut stream, 1, 1).await);
    until_closed(&mut stream).await;
}

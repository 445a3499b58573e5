//! Bytes that are no HTTP: the server answers with a refusal or hangs up, stores nothing, and goes on serving.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::server::Launch;
use crate::support::{TestStore, stripe};

/// Longest wait for an answer or a hang-up; a server that keeps a broken connection open longer is told by the test.
const WAIT: Duration = Duration::from_secs(20);

/// What is sent, by name.
#[expect(clippy::too_many_lines, reason = "a table")]
fn nonsense() -> Vec<(&'static str, Vec<u8>)> {
    let post =
        |head: &str, body: &str| format!("POST /webhooks/stripe HTTP/1.1\r\nHost: x\r\n{head}\r\n{body}").into_bytes();
    vec![
        ("no HTTP at all", b"\x00\x01\x02\x03\r\n\r\n".to_vec()),
        (
            "TLS",
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03random bytes of a hello\r\n\r\n".to_vec(),
        ),
        ("another version", b"GET /livez HTTP/9.9\r\nHost: x\r\n\r\n".to_vec()),
        ("no version", b"GET /livez\r\n\r\n".to_vec()),
        (
            "a space in the address",
            b"GET /livez x HTTP/1.1\r\nHost: x\r\n\r\n".to_vec(),
        ),
        (
            "a control character in the address",
            b"GET /li\x01vez HTTP/1.1\r\nHost: x\r\n\r\n".to_vec(),
        ),
        (
            "a header without a colon",
            b"GET /livez HTTP/1.1\r\nnonsense\r\n\r\n".to_vec(),
        ),
        (
            "a header with a space in its name",
            b"GET /livez HTTP/1.1\r\nA B: c\r\n\r\n".to_vec(),
        ),
        ("a header with NUL", b"GET /livez HTTP/1.1\r\nA: \x00\r\n\r\n".to_vec()),
        (
            "a header of 100 kB",
            [
                b"GET /livez HTTP/1.1\r\nA: ".to_vec(),
                vec![b'a'; 100_000],
                b"\r\n\r\n".to_vec(),
            ]
            .concat(),
        ),
        (
            "an address of 100 kB",
            [b"GET /".to_vec(), vec![b'a'; 100_000], b" HTTP/1.1\r\n\r\n".to_vec()].concat(),
        ),
        ("a thousand headers", {
            let headers: String = (0..1_000).map(|n| format!("A{n}: x\r\n")).collect();
            format!("GET /livez HTTP/1.1\r\n{headers}\r\n").into_bytes()
        }),
        (
            "two lengths",
            post("Content-Length: 5\r\nContent-Length: 6\r\n", "abcdef"),
        ),
        ("a negative length", post("Content-Length: -1\r\n", "")),
        (
            "a length beyond all",
            post("Content-Length: 99999999999999999999999\r\n", ""),
        ),
        (
            "an unknown transfer coding",
            post("Transfer-Encoding: xchunked\r\n", "0\r\n\r\n"),
        ),
        (
            "chunks without a size",
            post("Transfer-Encoding: chunked\r\n", "zz\r\nabc\r\n0\r\n\r\n"),
        ),
        (
            "a chunk beyond all",
            post("Transfer-Encoding: chunked\r\n", "ffffffffffffffffff\r\nabc"),
        ),
        (
            "length and chunks",
            post(
                "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n",
                "0\r\n\r\nGET /x HTTP/1.1\r\n\r\n",
            ),
        ),
        (
            "a tunnel",
            b"CONNECT evil.example:443 HTTP/1.1\r\nHost: evil.example\r\n\r\n".to_vec(),
        ),
        (
            "HTTP/2 with nonsense",
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\xff\xff\xff\xff\xff\xff\xff\xff\xff".to_vec(),
        ),
        (
            "an unknown method",
            b"FROB /v1/tenants/acme HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n".to_vec(),
        ),
    ]
}

/// Sends bytes, ends the sending side if that is all there will be, and reads until the server hangs up.
async fn exchange(address: &str, bytes: &[u8], is_all: bool) -> std::io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect(address).await?;
    // A server that has seen enough may hang up before all of it is sent.
    let _ = stream.write_all(bytes).await;
    if is_all {
        let _ = stream.shutdown().await;
    }
    let mut answer = Vec::new();
    let read = tokio::time::timeout(WAIT, stream.read_to_end(&mut answer)).await;
    let read = read.unwrap_or_else(|_| panic!("still open after {WAIT:?}"));
    match read {
        Ok(_) => Ok(answer),
        // A reset after an answer is a hang-up too.
        Err(_) => Ok(answer),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bytes_that_are_no_http_are_refused_and_harm_nobody() {
    let store = TestStore::sqlite();
    let server = Launch::new(&store).start().await;
    for (name, bytes) in nonsense() {
        let answer = exchange(&server.address, &bytes, true).await.expect("a connection");
        let text = String::from_utf8_lossy(&answer);
        let status = text.strip_prefix("HTTP/1.1 ").and_then(|rest| rest.get(..3));
        let refused = status.is_none_or(|status| status.starts_with('4') || status.starts_with('5'));
        assert!(refused, "{name}: {text}");
        assert!(!text.contains(" 500 "), "{name}: {text}");
        let alive = server.send("GET", "/livez", &[], b"").await;
        assert_eq!(alive.status, 200, "after {name}: {}", server.log());
    }
    assert!(!server.log().contains("panicked"), "{}", server.log());
    let list = server.get("/v1/webhook-inbox").await;
    assert_eq!(list["data"], serde_json::json!([]), "nothing of it was stored");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_signed_delivery_in_chunks_is_taken_and_one_that_breaks_off_is_not() {
    let store = TestStore::sqlite();
    let server = Launch::new(&store).start().await;
    let object = stripe::subscription(1, "active", 1, 1_789_900_000);
    let body = stripe::subscription_event("evt_chunked", 1_790_000_000, &object);
    let signature = stripe::signature(&body);
    let head = format!(
        "POST /webhooks/stripe HTTP/1.1\r\nHost: x\r\nConnection: close\r\nStripe-Signature: {signature}\r\n\
         Transfer-Encoding: chunked\r\n\r\n"
    );
    let chunks: Vec<u8> = body
        .chunks(700)
        .flat_map(|chunk| [format!("{:x}\r\n", chunk.len()).as_bytes(), chunk, b"\r\n"].concat())
        .collect();
    let broken = [head.as_bytes(), &chunks].concat();
    exchange(&server.address, &broken, true).await.expect("a connection");
    assert_eq!(server.get("/v1/webhook-inbox").await["data"], serde_json::json!([]));
    let whole = [&broken[..], b"0\r\n\r\n"].concat();
    let answer = exchange(&server.address, &whole, false).await.expect("a connection");
    let text = String::from_utf8_lossy(&answer);
    assert!(text.starts_with("HTTP/1.1 200 "), "{text}");
}

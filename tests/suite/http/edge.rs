//! What holds for every request, whatever its route.

use serde_json::Value;
use subledger::http::limits::{Policy, RateLimits};
use subledger::http::server::{self, Bounds};
use tokio::net::TcpListener;

use super::harness::{App, NOW};
use crate::support::http::{Connection, request};
use crate::support::stripe;

#[tokio::test]
async fn unknown_addresses_and_methods_are_problems_with_security_headers() {
    let app = App::new().await;
    let answer = app.get("/v1/nothing").await;
    assert_eq!((answer.status, answer.problem().as_str()), (404, "not-found"));
    let answer = app.call("POST", "/livez", &[], "").await;
    assert_eq!((answer.status, answer.problem().as_str()), (405, "method-not-allowed"));
    assert_eq!(answer.header("allow"), Some("GET,HEAD"));
    for name in [
        "x-content-type-options",
        "referrer-policy",
        "x-frame-options",
        "content-security-policy",
        "cache-control",
    ] {
        assert!(answer.header(name).is_some(), "{name}");
    }
}

#[tokio::test]
async fn unknown_query_parameters_are_refused_by_name() {
    let answer = App::new().await.get("/version?verbose=1").await;
    assert_eq!((answer.status, answer.problem().as_str()), (400, "malformed-request"));
    assert_eq!(answer.json()["errors"][0]["pointer"], "?verbose");
    assert_eq!(App::new().await.get("/readyz?verbose").await.status, 200);
}

#[tokio::test]
async fn requests_hold_their_bounds_one_under_at_and_one_over() {
    let app = App::new().await;
    for (over, status) in [(-1, 200), (0, 200), (1, 400)] {
        let of = |most: i32| usize::try_from(most + over).expect("a length");
        let begin = "/readyz?verbose=";
        let url = format!("{begin}{}", "x".repeat(of(8 * 1024) - begin.len()));
        assert_eq!(app.get(&url).await.status, status, "{over}");
        let value = "x".repeat(of(16 * 1024) - "x-a".len());
        let answer = app.call("GET", "/livez", &[("x-a", &value)], "").await;
        assert_eq!(answer.status, status, "{over}");
        // The receiver takes any parameters, so that only their number is left to refuse.
        let query = vec!["a=1"; of(50)].join("&");
        let answer = app.call("POST", &format!("/webhooks/stripe?{query}"), &[], "{}").await;
        let slug = if status == 200 {
            "signature-invalid"
        } else {
            "malformed-request"
        };
        assert_eq!(answer.problem(), slug, "{over}");
        let inner = of(64) - 1;
        let body = format!("{{\"metadata\":{}{}}}", "[".repeat(inner), "]".repeat(inner));
        let body: Value = serde_json::from_str(&body).expect("JSON");
        let answer = app.operate("PUT", "/v1/tenants/acme", &body).await;
        let slug = if status == 200 {
            "validation-failed"
        } else {
            "malformed-request"
        };
        assert_eq!(answer.problem(), slug, "{over}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_address_that_keeps_being_refused_is_slowed_and_others_are_not() {
    let one_a_minute = |policy| if policy == Policy::Refused { 1 } else { 10_000 };
    let app = App::limited(RateLimits::new(one_a_minute)).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address").to_string();
    let serving = server::serve(listener, app.router(), Bounds::default(), std::future::pending());
    let serving = tokio::spawn(serving);
    let mut connection = Connection::open(&address).await.expect("a connection");
    let slowed = || {
        let text = app.service.metrics.text();
        let line = text
            .lines()
            .find(|line| line.starts_with("subledger_refusals_slowed_total "));
        line.expect("the counter")
            .rsplit(' ')
            .next()
            .expect("a number")
            .to_owned()
    };
    let wrong = request("GET", "/v1/whoami", &[("Authorization", "Bearer subladm_wrong")], b"");
    assert_eq!(connection.send(&wrong).await.expect("an answer").status, 401);
    assert_eq!(slowed(), "0");
    assert_eq!(connection.send(&wrong).await.expect("an answer").status, 401);
    assert_eq!(slowed(), "1");
    let signature = stripe::signature_at("whsec_wrong", NOW, b"{}");
    let forged = request("POST", "/webhooks/stripe", &[("Stripe-Signature", &signature)], b"{}");
    assert_eq!(connection.send(&forged).await.expect("an answer").status, 400);
    assert_eq!(slowed(), "2");
    let bearer = format!("Bearer {}", app.admin.reveal());
    let right = request("GET", "/v1/whoami", &[("Authorization", &bearer)], b"");
    assert_eq!(connection.send(&right).await.expect("an answer").status, 200);
    let missing = request("GET", "/v1/whoami", &[], b"");
    assert_eq!(connection.send(&missing).await.expect("an answer").status, 401);
    assert_eq!(slowed(), "2", "nothing was guessed");
    serving.abort();
}

#[tokio::test]
async fn a_request_id_comes_back() {
    let app = App::new().await;
    let answer = app.call("GET", "/nothing", &[("x-request-id", "abc-1")], "").await;
    assert_eq!(answer.header("x-request-id"), Some("abc-1"));
    assert_eq!(answer.json()["request_id"], "abc-1");
    let hostile = app.call("GET", "/livez", &[("x-request-id", "<script>")], "").await;
    assert_eq!(hostile.header("x-request-id").map(str::len), Some(36));
}

#[tokio::test]
async fn browsers_of_configured_origins_may_ask_first() {
    let app = App::new().await;
    let ask = |origin| {
        [
            ("origin", origin),
            ("access-control-request-method", "GET"),
            ("access-control-request-headers", "authorization"),
        ]
    };
    let answer = app.call("OPTIONS", "/v1/whoami", &ask("https://app.example"), "").await;
    assert_eq!(
        answer.header("access-control-allow-origin"),
        Some("https://app.example")
    );
    assert_eq!(answer.header("access-control-allow-credentials"), None);
    let answer = app
        .call("OPTIONS", "/v1/whoami", &ask("https://evil.example"), "")
        .await;
    assert_eq!(answer.header("access-control-allow-origin"), None);
}

#[tokio::test]
async fn large_answers_are_compressed_when_asked_and_small_ones_are_not() {
    let app = App::new().await;
    let gzip = [("accept-encoding", "gzip")];
    assert_eq!(
        app.call("GET", "/openapi.json", &gzip, "")
            .await
            .header("content-encoding"),
        Some("gzip")
    );
    assert_eq!(
        app.call("GET", "/version", &gzip, "").await.header("content-encoding"),
        None
    );
}

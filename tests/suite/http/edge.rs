//! What holds for every request, whatever its route.

use super::harness::App;

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
async fn long_urls_and_large_headers_are_refused() {
    let app = App::new().await;
    let long = format!("/livez?{}", "x".repeat(9_000));
    assert_eq!(app.get(&long).await.problem(), "malformed-request");
    let large = "x".repeat(17_000);
    assert_eq!(
        app.call("GET", "/livez", &[("x-a", &large)], "").await.problem(),
        "malformed-request"
    );
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

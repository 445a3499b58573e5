//! Probes, version, document and pages.

use subledger::http::TABLE;
use subledger::http::problem::ProblemKind;

use super::harness::App;

#[tokio::test]
async fn readiness_ends_before_liveness() {
    let app = App::new().await;
    assert_eq!(app.get("/readyz").await.json()["status"], "ok");
    app.lifecycle.stop();
    let answer = app.get("/readyz?verbose").await;
    assert_eq!(answer.status, 503);
    assert_eq!(answer.json()["checks"][0]["state"], "stopping");
    assert_eq!(app.get("/livez").await.status, 200);
    assert_eq!(app.get("/startupz").await.status, 200);
}

#[tokio::test]
async fn every_kind_of_problem_has_a_page_and_no_script() {
    let app = App::new().await;
    for kind in ProblemKind::ALL {
        let answer = app.get(&format!("/problems/{}", kind.slug())).await;
        assert_eq!(answer.status, 200, "{}", kind.slug());
        assert!(
            answer
                .header("content-security-policy")
                .is_some_and(|policy| policy.starts_with("default-src 'none'; style-src 'sha256-"))
        );
        assert!(!answer.text().contains("<script"));
    }
    assert_eq!(app.get("/problems/none-such").await.problem(), "not-found");
}

#[tokio::test]
async fn the_page_shows_every_operation_of_the_document() {
    let app = App::new().await;
    let page = app.get("/docs").await.text();
    let document = app.get("/openapi.json").await.json();
    assert_eq!(document["openapi"], "3.1.0");
    for row in TABLE {
        assert!(page.contains(row.path), "{}", row.path);
        assert!(
            !document["paths"][row.path][row.method.to_lowercase()].is_null(),
            "{}",
            row.path
        );
    }
}

#[tokio::test]
async fn the_committed_document_is_the_one_of_the_handlers() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/openapi.json");
    let ours = App::new().await.get("/openapi.json").await.text();
    if std::env::var_os("UPDATE_GENERATED").is_some() {
        std::fs::write(path, &ours).expect("docs/openapi.json");
    }
    let committed = std::fs::read_to_string(path).expect("docs/openapi.json");
    let parse = |text: &str| serde_json::from_str::<serde_json::Value>(text).expect("JSON");
    assert!(
        parse(&committed) == parse(&ours),
        "docs/openapi.json is out of date; write it anew: UPDATE_GENERATED=1 cargo test --test suite the_committed_document"
    );
}

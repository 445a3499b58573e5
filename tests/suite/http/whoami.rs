//! Credentials of every kind, right and wrong.

use serde_json::json;

use super::harness::{App, NOW, portal_token, portal_token_with};

#[tokio::test]
async fn a_portal_token_is_known_by_tenant_and_role() {
    let app = App::new().await;
    let me = app.get_as(&portal_token("acme", "billing"), "/v1/whoami").await.json();
    assert_eq!(me["kind"], "portal");
    assert_eq!(
        (&me["tenant"], &me["role"], &me["mode"]),
        (&json!("acme"), &json!("billing"), &json!("test"))
    );
    assert_eq!(me["expires_at"], "2027-01-15T08:10:00Z");
}

#[tokio::test]
async fn the_operator_of_the_machine_may_do_everything() {
    let app = App::new().await;
    let me = app.get_as(app.admin.reveal(), "/v1/whoami").await.json();
    assert_eq!(me["kind"], "operator");
    assert!(me["scopes"].as_array().expect("scopes").len() > 30);
}

#[tokio::test]
async fn whatever_is_wrong_with_a_credential_the_answer_is_the_same() {
    let app = App::new().await;
    let expired = portal_token_with("acme", "admin", &json!({ "exp": NOW - 31 }));
    let foreign = portal_token_with("acme", "admin", &json!({ "iss": "https://evil.example" }));
    let audience = portal_token_with("acme", "admin", &json!({ "aud": "other" }));
    let key = format!("subl_test_abcdefgh_{}", "x".repeat(43));
    let mut bodies = std::collections::BTreeSet::new();
    for token in [
        &*expired,
        &foreign,
        &audience,
        &key,
        "subladm_wrong",
        "garbage",
        "a.b.c",
    ] {
        let answer = app.get_as(token, "/v1/whoami").await;
        assert_eq!(
            (answer.status, answer.problem().as_str()),
            (401, "unauthenticated"),
            "{token}"
        );
        assert_eq!(answer.header("www-authenticate"), Some("Bearer"));
        bodies.insert(answer.json()["detail"].to_string());
    }
    assert_eq!(bodies.len(), 1, "{bodies:?}");
    assert_eq!(app.get("/v1/whoami").await.problem(), "unauthenticated");
}

#[tokio::test]
async fn a_portal_token_draws_from_its_own_bucket() {
    let app = App::new().await;
    let answer = app.get_as(&portal_token("acme", "viewer"), "/v1/whoami").await;
    assert_eq!(answer.header("ratelimit-policy"), Some("\"portal-read\";q=600;w=60"));
    assert_eq!(answer.header("ratelimit"), Some("\"portal-read\";r=599;t=1"));
}

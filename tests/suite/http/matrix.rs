//! Who may call what: every route, every kind of credential, one's own tenant, a foreign one and an unknown one.
//!
//! What is expected stands in [`EXPECTED`], written by hand and not derived from the route table: a route without a
//! line here fails, and so does one whose line says something else than the service does.

use std::collections::BTreeSet;

use aggregates::time::Timestamp;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use subledger::auth::Scope;
use subledger::http::TABLE;

use super::harness::{Answer, App, NOW, portal_token, portal_token_signed, portal_token_with};

/// Who a route is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum For {
    /// Everybody.
    All,
    /// Whoever can sign the body.
    Stripe,
    /// Every valid credential.
    Any,
    /// One tenant's: least role of a portal token ("" = none), scope of a key.
    Tenant(&'static str, &'static str),
    /// Over tenants: scope of a key; nobody who is bound to a tenant.
    Span(&'static str),
}

const EXPECTED: &[(&str, &str, For)] = &[
    ("GET", "/livez", For::All),
    ("GET", "/readyz", For::All),
    ("GET", "/startupz", For::All),
    ("GET", "/version", For::All),
    ("GET", "/openapi.json", For::All),
    ("GET", "/docs", For::All),
    ("GET", "/problems/{slug}", For::All),
    ("GET", "/v1/whoami", For::Any),
    ("POST", "/v1/stream-tickets", For::Any),
    ("POST", "/webhooks/stripe", For::Stripe),
    ("POST", "/webhooks/stripe/{endpoint}", For::Stripe),
    ("GET", "/v1/webhook-inbox", For::Span("inbox:read")),
    ("GET", "/v1/webhook-inbox/{source}/{event_id}", For::Span("inbox:read")),
    (
        "GET",
        "/v1/webhook-inbox/{source}/{event_id}/raw",
        For::Span("inbox:read"),
    ),
    (
        "POST",
        "/v1/webhook-inbox/{source}/{event_id}/replay",
        For::Span("inbox:write"),
    ),
    (
        "POST",
        "/v1/webhook-inbox/{source}/{event_id}/discard",
        For::Span("inbox:write"),
    ),
    ("POST", "/v1/webhook-inbox-replays", For::Span("inbox:write")),
    ("GET", "/v1/plans", For::All),
    ("GET", "/v1/plans/{plan}", For::All),
    ("GET", "/v1/plan-comparison", For::All),
    ("PUT", "/v1/tenants/{tenant}", For::Tenant("", "tenants:write")),
    ("GET", "/v1/tenants/{tenant}", For::Tenant("viewer", "tenants:read")),
    ("GET", "/v1/tenants", For::Span("tenants:read")),
    ("GET", "/v1/unassigned-accounts", For::Span("tenants:read")),
    (
        "POST",
        "/v1/unassigned-accounts/{customer}/assign",
        For::Span("tenants:write"),
    ),
    (
        "GET",
        "/v1/tenants/{tenant}/subscription",
        For::Tenant("viewer", "subscription:read"),
    ),
    (
        "GET",
        "/v1/tenants/{tenant}/subscription/history",
        For::Tenant("viewer", "subscription:read"),
    ),
    (
        "GET",
        "/v1/tenants/{tenant}/subscription/stream",
        For::Tenant("viewer", "subscription:read"),
    ),
    (
        "GET",
        "/v1/tenants/{tenant}/entitlements",
        For::Tenant("viewer", "entitlements:read"),
    ),
    (
        "GET",
        "/v1/tenants/{tenant}/quotas",
        For::Tenant("viewer", "usage:read"),
    ),
    (
        "GET",
        "/v1/tenants/{tenant}/invoices",
        For::Tenant("viewer", "invoices:read"),
    ),
    (
        "GET",
        "/v1/tenants/{tenant}/invoices/{id}",
        For::Tenant("viewer", "invoices:read"),
    ),
    (
        "GET",
        "/v1/tenants/{tenant}/invoices/{id}/pdf",
        For::Tenant("viewer", "invoices:read"),
    ),
    (
        "GET",
        "/v1/tenants/{tenant}/upcoming-invoice",
        For::Tenant("viewer", "invoices:read"),
    ),
    (
        "GET",
        "/v1/tenants/{tenant}/payments",
        For::Tenant("viewer", "invoices:read"),
    ),
    (
        "GET",
        "/v1/tenants/{tenant}/payment-method",
        For::Tenant("viewer", "invoices:read"),
    ),
    (
        "GET",
        "/v1/tenants/{tenant}/credit-notes",
        For::Tenant("viewer", "invoices:read"),
    ),
    ("GET", "/v1/tenants/{tenant}/refunds", For::Tenant("", "finance:read")),
    (
        "GET",
        "/v1/tenants/{tenant}/commands",
        For::Tenant("viewer", "subscription:read"),
    ),
    (
        "GET",
        "/v1/tenants/{tenant}/commands/{id}",
        For::Tenant("viewer", "subscription:read"),
    ),
    (
        "POST",
        "/v1/tenants/{tenant}/subscription",
        For::Tenant("", "subscription:write"),
    ),
    (
        "POST",
        "/v1/tenants/{tenant}/subscription/change-plan",
        For::Tenant("billing", "subscription:write"),
    ),
    (
        "POST",
        "/v1/tenants/{tenant}/subscription/change-quantity",
        For::Tenant("billing", "subscription:write"),
    ),
    (
        "POST",
        "/v1/tenants/{tenant}/subscription/cancel",
        For::Tenant("billing", "subscription:write"),
    ),
    (
        "POST",
        "/v1/tenants/{tenant}/subscription/resume",
        For::Tenant("billing", "subscription:write"),
    ),
    (
        "POST",
        "/v1/tenants/{tenant}/subscription/withdraw-change",
        For::Tenant("billing", "subscription:write"),
    ),
    (
        "POST",
        "/v1/tenants/{tenant}/subscription/pause",
        For::Tenant("billing", "subscription:write"),
    ),
    (
        "POST",
        "/v1/tenants/{tenant}/subscription/unpause",
        For::Tenant("billing", "subscription:write"),
    ),
    (
        "POST",
        "/v1/tenants/{tenant}/subscription/apply-coupon",
        For::Tenant("", "subscription:write"),
    ),
    (
        "POST",
        "/v1/tenants/{tenant}/subscription/extend-trial",
        For::Tenant("", "subscription:write"),
    ),
    (
        "POST",
        "/v1/tenants/{tenant}/checkout-sessions",
        For::Tenant("billing", "subscription:write"),
    ),
    (
        "GET",
        "/v1/tenants/{tenant}/checkout-sessions/{id}",
        For::Tenant("viewer", "subscription:read"),
    ),
    (
        "POST",
        "/v1/tenants/{tenant}/portal-sessions",
        For::Tenant("billing", "subscription:write"),
    ),
    (
        "POST",
        "/v1/tenants/{tenant}/subscription/preview",
        For::Tenant("billing", "subscription:read"),
    ),
    (
        "POST",
        "/v1/tenants/{tenant}/invoices/{id}/pay",
        For::Tenant("billing", "invoices:write"),
    ),
    ("POST", "/v1/tenants/{tenant}/refunds", For::Tenant("", "finance:write")),
    ("GET", "/v1/audit/events", For::Span("audit:read")),
    ("GET", "/v1/audit/events/{address}", For::Span("audit:read")),
    ("GET", "/v1/audit/stream", For::Span("audit:read")),
    ("GET", "/v1/audit/state", For::Span("audit:read")),
    ("GET", "/v1/api-keys", For::Span("keys:admin")),
    ("POST", "/v1/api-keys", For::Span("keys:admin")),
    ("POST", "/v1/api-keys/{id}/rotate", For::Span("keys:admin")),
    ("DELETE", "/v1/api-keys/{id}", For::Span("keys:admin")),
    ("GET", "/v1/projections", For::Span("system:read")),
    ("POST", "/v1/projections/{name}/rebuild", For::Span("system:write")),
    ("POST", "/v1/projections/{name}/swap", For::Span("system:write")),
    ("POST", "/v1/projections/{name}/roll-back", For::Span("system:write")),
    ("POST", "/v1/projections/{name}/skip", For::Span("system:write")),
];

/// Two tenants that exist and one that does not: names of one length, so that answers can be compared byte for byte.
const OWN: &str = "tenant-own-1";
const FOREIGN: &str = "tenant-other";
const UNKNOWN: &str = "tenant-nowhr";

#[test]
fn every_route_has_one_line_and_every_line_a_route() {
    let routes: BTreeSet<_> = TABLE.iter().map(|row| (row.method, row.path)).collect();
    let lines: BTreeSet<_> = EXPECTED.iter().map(|(method, path, _)| (*method, *path)).collect();
    let unjudged: Vec<_> = routes.difference(&lines).collect();
    assert!(unjudged.is_empty(), "no line in the tenant matrix: {unjudged:?}");
    let stale: Vec<_> = lines.difference(&routes).collect();
    assert!(stale.is_empty(), "lines of routes that are gone: {stale:?}");
    assert_eq!(lines.len(), EXPECTED.len(), "a route has two lines");
}

fn lines() -> impl Iterator<Item = (&'static str, &'static str, For)> {
    EXPECTED.iter().copied()
}

/// The path with a tenant and with ids that nothing has.
fn filled(path: &str, tenant: &str) -> String {
    path.replace("{tenant}", tenant)
        .replace("{slug}", "none")
        .replace("{plan}", "none")
        .replace("{address}", "0.999999999")
        .replace("{customer}", "cus_none")
        .replace("{source}", "default")
        .replace("{event_id}", "evt_none")
        .replace("{endpoint}", "none")
        .replace("{id}", "zzzzzzzz")
        .replace("{name}", "none")
}

async fn call(app: &App, method: &str, path: &str, token: Option<&str>) -> Answer {
    let bearer = token.map(|token| format!("Bearer {token}"));
    let mut headers = vec![("content-type", "application/json")];
    headers.extend(bearer.as_deref().map(|bearer| ("authorization", bearer)));
    app.call(
        method,
        path,
        &headers,
        if matches!(method, "GET" | "HEAD" | "DELETE") {
            ""
        } else {
            "{}"
        },
    )
    .await
}

/// `passed`: neither 401 nor 403; else the slug of the problem.
fn verdict(answer: &Answer) -> String {
    if matches!(answer.status, 401 | 403) {
        answer.problem()
    } else {
        "passed".to_owned()
    }
}

async fn key(app: &App, name: &str, scopes: &[&str], tenant: Option<&str>) -> String {
    let made = app
        .operate(
            "POST",
            "/v1/api-keys",
            &json!({ "name": name, "scopes": scopes, "tenant": tenant }),
        )
        .await;
    assert_eq!(made.status, 201, "{}", made.text());
    made.json()["secret"].as_str().expect("a secret").to_owned()
}

/// Every scope but this one and the one that includes it.
fn all_but(scope: &str) -> Vec<&'static str> {
    let writes = scope.strip_suffix(":read").map(|area| format!("{area}:write"));
    let other = |found: &&str| *found != scope && Some(*found) != writes.as_deref();
    Scope::ALL.iter().map(|scope| scope.as_str()).filter(other).collect()
}

async fn check(app: &App, line: (&str, &str, For), tenant: &str, token: Option<&str>, who: &str, expected: &str) {
    let (method, path, _) = line;
    let answer = call(app, method, &filled(path, tenant), token).await;
    let verdict = match (method, answer.status) {
        // The answer to HEAD has no body to read the problem from.
        ("HEAD", 401) => "unauthenticated".to_owned(),
        _ => verdict(&answer),
    };
    assert_eq!(
        verdict,
        expected,
        "{method} {path} for {tenant} by {who}: {}",
        answer.text()
    );
}

const ROLES: [&str; 4] = ["viewer", "member", "billing", "admin"];

/// Names of [`OWN`] to who is bound to it: an escaped letter is the letter.
const OWN_NAMES: &[&str] = &[OWN, "me", "%74enant-own-1", "tenant-own%2d1"];

/// Names that are not [`OWN`], however near they come.
const NEARLY_OWN: &[&str] = &[
    FOREIGN,
    UNKNOWN,
    "TENANT-OWN-1",
    "Tenant-own-1",
    "ME",
    "tenant-own-1%20",
    "%20tenant-own-1",
    "tenant-own-1%00",
    "tenant-own-1%2F",
    "tenant-own-1%2f..%2ftenant-other",
    "%2574enant-own-1",
    "tenant-%D0%BEwn-1",
    "tenant-own-1;tenant-other",
    "tenant-own-1,tenant-other",
    "tenant-own-%ff",
    "tenant-own-",
    "tenant-own-11",
    "cus_1",
    "%2e%2e",
    "*",
];

/// A token with a header of the test's own, over right claims; the signature is that of a right token.
fn token_with_header(header: &str) -> String {
    let right = portal_token(OWN, "admin");
    let rest = right.split_once('.').expect("a token").1;
    format!("{}.{rest}", URL_SAFE_NO_PAD.encode(header))
}

/// Credentials that are not valid, each for one reason.
async fn invalid(app: &App) -> Vec<(&'static str, Option<String>)> {
    let token = |changes: Value| Some(portal_token_with(OWN, "admin", &changes));
    let all: Vec<&str> = Scope::ALL.iter().map(|scope| scope.as_str()).collect();
    let make = async |changes: Value| {
        let mut body = json!({ "name": "x", "scopes": all });
        for (name, value) in changes.as_object().into_iter().flatten() {
            body[name] = value.clone();
        }
        let made = app.operate("POST", "/v1/api-keys", &body).await;
        assert_eq!(made.status, 201, "{}", made.text());
        made.json()
    };
    let secret = |made: &Value| made["secret"].as_str().expect("a secret").to_owned();
    let ends_soon = Timestamp::from_seconds(NOW + 1).expect("a time").to_string();
    let ended = secret(&make(json!({ "expires_at": ends_soon })).await);
    let revoked = make(json!({})).await;
    let path = format!("/v1/api-keys/{}", revoked["id"].as_str().expect("an id"));
    assert_eq!(app.operate("DELETE", &path, &Value::Null).await.status, 204);
    let rotated = make(json!({})).await;
    let path = format!("/v1/api-keys/{}/rotate", rotated["id"].as_str().expect("an id"));
    assert_eq!(app.operate("POST", &path, &json!({ "overlap_h": 0 })).await.status, 201);
    let elsewhere = secret(&make(json!({ "cidrs": ["192.0.2.0/24"] })).await);
    let right = secret(&make(json!({})).await);
    app.later(2);
    let other_secret = Some(portal_token_signed(
        b"another-secret-0123456789abcdef-0123456789",
        &json!({}),
    ));
    vec![
        ("nobody", None),
        ("an expired token", token(json!({ "exp": NOW - 60 }))),
        ("a token that begins later", token(json!({ "nbf": NOW + 600 }))),
        ("a token without an end", token(json!({ "exp": null }))),
        ("a token for others", token(json!({ "aud": "other" }))),
        (
            "a token of another issuer",
            token(json!({ "iss": "https://evil.example" })),
        ),
        ("a token of no tenant", token(json!({ "tenant_id": null }))),
        ("a token of a reserved tenant", token(json!({ "tenant_id": "cus_1" }))),
        ("a token of another secret", other_secret),
        (
            "a token of no algorithm",
            Some(token_with_header(r#"{"alg":"none","typ":"JWT"}"#)),
        ),
        (
            "a token of another algorithm",
            Some(token_with_header(r#"{"alg":"HS512","typ":"JWT"}"#)),
        ),
        (
            "a token that says RS256",
            Some(token_with_header(r#"{"alg":"RS256","typ":"JWT"}"#)),
        ),
        ("an unknown key", Some(format!("subl_test_abcdefgh_{}", "x".repeat(43)))),
        (
            "a key of the other mode",
            Some(right.replace("subl_test_", "subl_live_")),
        ),
        (
            "a key with a wrong secret",
            Some(format!("{}x", &right[..right.len() - 1])),
        ),
        ("a key that ended", Some(ended)),
        ("a revoked key", Some(secret(&revoked))),
        ("a key after its rotation", Some(secret(&rotated))),
        ("a key from elsewhere", Some(elsewhere)),
        ("a wrong local token", Some("subladm_wrong".to_owned())),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_valid_credential_only_public_routes_answer() {
    for app in App::all().await {
        let tokens = invalid(&app).await;
        for line in lines() {
            let expected = if matches!(line.2, For::All | For::Stripe) {
                "passed"
            } else {
                "unauthenticated"
            };
            for (who, token) in &tokens {
                check(&app, line, OWN, token.as_deref(), who, expected).await;
                if line.0 == "GET" {
                    check(&app, ("HEAD", line.1, line.2), OWN, token.as_deref(), who, expected).await;
                }
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_portal_token_reaches_its_own_tenant_by_its_role() {
    for app in App::all().await {
        for line in lines() {
            for role in ROLES {
                let token = portal_token(OWN, role);
                let rank = |role: &str| ROLES.iter().position(|known| *known == role);
                let names = NEARLY_OWN.iter().map(|name| (*name, false));
                for (tenant, own) in OWN_NAMES.iter().map(|name| (*name, true)).chain(names) {
                    let expected = match line.2 {
                        For::All | For::Stripe | For::Any => "passed",
                        For::Span(_) => "forbidden",
                        For::Tenant(least, _) if least.is_empty() || rank(role) < rank(least) => "forbidden",
                        For::Tenant(..) if own => "passed",
                        For::Tenant(..) => "tenant-mismatch",
                    };
                    check(&app, line, tenant, Some(&token), role, expected).await;
                }
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_reaches_what_its_scope_and_tenant_say() {
    for app in App::all().await {
        for line in lines() {
            let (For::Tenant(_, scope) | For::Span(scope)) = line.2 else {
                continue;
            };
            let with = key(&app, "with", &[scope], None).await;
            let including = scope.strip_suffix(":read").map(|area| format!("{area}:write"));
            let including = including.filter(|scope| Scope::ALL.iter().any(|known| known.as_str() == scope));
            if let Some(write) = including {
                let writes = key(&app, "writes", &[&write], None).await;
                check(
                    &app,
                    line,
                    OWN,
                    Some(&writes),
                    "a key with the scope that includes it",
                    "passed",
                )
                .await;
            }
            let without = key(&app, "without", &all_but(scope), None).await;
            let bound = key(&app, "bound", &[scope], Some(OWN)).await;
            for tenant in [OWN, FOREIGN, UNKNOWN] {
                check(&app, line, tenant, Some(&with), "a key with the scope", "passed").await;
                check(
                    &app,
                    line,
                    tenant,
                    Some(&without),
                    "a key without the scope",
                    "forbidden",
                )
                .await;
            }
            let names = NEARLY_OWN.iter().map(|name| (*name, false));
            for (tenant, own) in OWN_NAMES.iter().map(|name| (*name, true)).chain(names) {
                let expected = match line.2 {
                    For::Tenant(..) if own => "passed",
                    _ => "tenant-mismatch",
                };
                check(&app, line, tenant, Some(&bound), "a key bound to its tenant", expected).await;
            }
            let lacking = key(&app, "lacking", &all_but(scope), Some(OWN)).await;
            check(
                &app,
                line,
                OWN,
                Some(&lacking),
                "a bound key without the scope",
                "forbidden",
            )
            .await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refusal_says_nothing_about_what_exists() {
    for app in App::all().await {
        for tenant in [OWN, FOREIGN] {
            let made = app
                .operate("PUT", &format!("/v1/tenants/{tenant}"), &json!({ "name": tenant }))
                .await;
            assert!(matches!(made.status, 200 | 201 | 404), "{}", made.text());
        }
        let all: Vec<&str> = Scope::ALL.iter().map(|scope| scope.as_str()).collect();
        let bound = key(&app, "bound", &all, Some(OWN)).await;
        for token in [portal_token(OWN, "admin"), bound] {
            for (method, path, _) in lines().filter(|line| matches!(line.2, For::Tenant(..))) {
                let mut answers = Vec::new();
                for tenant in [FOREIGN, UNKNOWN] {
                    let answer = call(&app, method, &filled(path, tenant), Some(&token)).await;
                    let mut body = answer.json();
                    body["instance"] = Value::Null;
                    body["request_id"] = Value::Null;
                    assert_eq!(answer.status, 403, "{method} {path}");
                    answers.push((answer.body.len(), body));
                }
                assert_eq!(answers[0], answers[1], "{method} {path}");
            }
        }
    }
}

//! The service about itself: probes, version, the document and the pages that explain it.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use maud::{DOCTYPE, Markup, PreEscaped, html};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::http::edge::json_text;
use crate::http::extract::{Ids, Params};
use crate::http::problem::{Answer, Problem, ProblemKind};
use crate::http::router::document_text;
use crate::http::state::{Phase, Service};
use crate::http::{TABLE, document};

/// Longest wait for the store's answer to a probe.
const STORE_WAIT: Duration = Duration::from_secs(2);

/// Parameters of a probe.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Verbose {
    /// Present = answer with the state of each check.
    #[param(allow_reserved, example = "")]
    verbose: Option<String>,
}

/// State of a probe: names and states, nothing about the inside.
#[derive(Serialize, ToSchema)]
pub struct Probe {
    /// `ok`, `starting`, `stopping` or `failing`.
    status: &'static str,
    /// With `verbose`: state by check.
    #[serde(skip_serializing_if = "Option::is_none")]
    checks: Option<Vec<Check>>,
}

/// One check.
#[derive(Clone, Serialize, ToSchema)]
pub struct Check {
    /// What was looked at.
    pub name: &'static str,
    /// `ok` or what is wrong, in a word.
    pub state: &'static str,
}

fn probe(status: &'static str, checks: Option<Vec<Check>>) -> Response {
    let code = if status == "ok" {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    (code, Json(Probe { status, checks })).into_response()
}

/// Whether the process lives; never touches the store
#[utoipa::path(get, path = "/livez", responses((status = 200, body = Probe, description = "It lives")))]
pub async fn livez() -> Response {
    probe("ok", None)
}

/// Whether the process has started
#[utoipa::path(get, path = "/startupz", responses(
    (status = 200, body = Probe, description = "It has"), (status = 503, body = Probe, description = "Not yet")))]
pub async fn startupz(State(service): State<Service>) -> Response {
    match service.lifecycle.phase() {
        Phase::Starting => probe("starting", None),
        Phase::Ready | Phase::Stopping => probe("ok", None),
    }
}

/// Whether the process should get work; 503 while it starts, as soon as it is told to stop, and without a store
#[utoipa::path(get, path = "/readyz", params(Verbose), responses(
    (status = 200, body = Probe, description = "It should"), (status = 503, body = Probe, description = "It should not")))]
pub async fn readyz(State(service): State<Service>, params: Params<Verbose>) -> Response {
    let process = match service.lifecycle.phase() {
        Phase::Starting => "starting",
        Phase::Ready => "ok",
        Phase::Stopping => "stopping",
    };
    let check = |name, state| Check { name, state };
    let checks = vec![
        check("process", process),
        check("store", store_state(&service).await),
        check(
            "store_settings",
            if service.db.warnings().is_empty() {
                "ok"
            } else {
                "unsafe"
            },
        ),
        check("views", views_state(&service).await),
    ];
    // Old rows are served with their position while a view stands still, so that alone takes nobody's traffic away.
    let decisive = checks.iter().filter(|check| matches!(check.name, "process" | "store"));
    let bad = decisive.map(|check| check.state).find(|state| *state != "ok");
    let status = match bad {
        None => "ok",
        Some(state @ ("starting" | "stopping")) => state,
        Some(_) => "failing",
    };
    probe(status, params.0.verbose.map(|_| checks))
}

async fn store_state(service: &Service) -> &'static str {
    match tokio::time::timeout(STORE_WAIT, service.db.refresh_heads()).await {
        Ok(Ok(_)) => "ok",
        Ok(Err(_)) => "failing",
        Err(_) => "slow",
    }
}

async fn views_state(service: &Service) -> &'static str {
    match tokio::time::timeout(STORE_WAIT, projections::checkpoint::read_all(&service.db)).await {
        Ok(Ok(found)) if found.iter().any(|found| found.stopped_reason.is_some()) => "stopped",
        Ok(Ok(_)) => "ok",
        Ok(Err(_)) | Err(_) => "unknown",
    }
}

/// What runs here.
#[derive(Serialize, ToSchema)]
pub struct Version {
    /// `subledger`.
    name: &'static str,
    /// Version of the program.
    version: &'static str,
    /// Commit it was built from.
    commit: &'static str,
    /// `test` or `live`.
    mode: &'static str,
    /// The store and its version, for instance `SQLite 3.46.0`; null while it does not answer.
    store: Option<String>,
}

/// Name, version and commit
#[utoipa::path(get, path = "/version", responses((status = 200, body = Version, description = "What runs here")))]
pub async fn version(State(service): State<Service>) -> Json<Version> {
    Json(Version {
        name: "subledger",
        version: env!("CARGO_PKG_VERSION"),
        commit: service.settings.commit,
        mode: service.settings.mode.as_str(),
        store: tokio::time::timeout(STORE_WAIT, service.db.store_version())
            .await
            .ok()
            .and_then(Result::ok),
    })
}

/// This document
#[utoipa::path(get, path = "/openapi.json", responses((status = 200, body = serde_json::Value, description = "OpenAPI 3.1")))]
pub async fn openapi() -> Response {
    json_text(document_text(TABLE))
}

/// The document as a page
#[utoipa::path(get, path = "/docs", responses((status = 200, body = String, content_type = "text/html", description = "A page")))]
pub async fn docs() -> Response {
    let document = document::of(TABLE);
    let operations = TABLE.iter().map(|row| {
        let operation = &document["paths"][row.path][row.method.to_ascii_lowercase()];
        (row, operation.clone())
    });
    let mut chapter = "";
    page(
        "subledger: HTTP interface",
        &html! {
            p { "The same as " a href="/openapi.json" { "/openapi.json" } ", for reading. Send " code { "Authorization: Bearer <key>" } "." }
            @for (row, operation) in operations {
                @if row.chapter != chapter {
                    h2 { (row.chapter) }
                    @let () = chapter = row.chapter;
                }
                details {
                    summary { b { (row.method) } " " code { (row.path) } " " (operation["summary"].as_str().unwrap_or_default()) }
                    (operation_page(&operation))
                }
            }
        },
    )
}

fn operation_page(operation: &serde_json::Value) -> Markup {
    let list = |name: &str| operation[name].as_array().cloned().unwrap_or_default();
    let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
    let responses = operation["responses"].as_object().cloned().unwrap_or_default();
    html! {
        @if let Some(description) = operation["description"].as_str() { p { (description) } }
        @if let Some(scope) = operation["x-scope"].as_str() {
            p { "Key with " code { (scope) }
                @if let Some(role) = operation["x-least-portal-role"].as_str() { ", or portal token from role " code { (role) } } "." }
        }
        @if !list("parameters").is_empty() {
            table {
                @for parameter in list("parameters") {
                    tr { td { code { (text(&parameter["name"])) } } td { (text(&parameter["in"])) } td { (text(&parameter["description"])) } }
                }
            }
        }
        table {
            @for (status, response) in &responses {
                tr { td { (status) } td { (text(&response["description"])) } }
            }
        }
    }
}

/// Cause and remedy of a kind of problem
#[utoipa::path(get, path = "/problems/{slug}", params(("slug" = String, Path, description = "Last part of the problem's type")),
    responses((status = 200, body = String, content_type = "text/html", description = "A page")))]
pub async fn problem_page(Ids(slug): Ids<String>) -> Answer<Response> {
    let kind = ProblemKind::find(&slug).ok_or_else(Problem::not_found)?;
    Ok(page(
        kind.title(),
        &html! {
            p { code { (kind.slug()) } ", status " (kind.status()) }
            h2 { "Cause" }
            p { (kind.cause()) }
            h2 { "What to do" }
            p { (kind.remedy()) }
        },
    ))
}

const STYLE: &str = "body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#1a1a1a;\
background:#fff}code{background:#f2f2f2;padding:0 .2em}td{padding:.1rem .8rem .1rem 0;vertical-align:top}summary{cursor:pointer}\
@media(prefers-color-scheme:dark){body{color:#e6e6e6;background:#161616}code{background:#2a2a2a}a{color:#8ab4f8}}";

/// A page of our own: no script, no other origin; the one style sheet is allowed by its hash.
fn page(title: &str, content: &Markup) -> Response {
    let markup = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { (title) }
                style { (PreEscaped(STYLE)) }
            }
            body { main { h1 { (title) } (content) } }
        }
    };
    let mut response = markup.into_string().into_response();
    let headers = response.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("text/html; charset=utf-8"),
    );
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("public, max-age=300"));
    if let Ok(policy) = HeaderValue::from_str(&content_policy()) {
        headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    }
    response
}

fn content_policy() -> String {
    use base64::Engine as _;
    let digest = ring::digest::digest(&ring::digest::SHA256, STYLE.as_bytes());
    let hash = base64::engine::general_purpose::STANDARD.encode(digest.as_ref());
    format!(
        "default-src 'none'; style-src 'sha256-{hash}'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
    )
}

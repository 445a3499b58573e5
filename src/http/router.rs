//! From the route table to a router and to the published document: both are built from the same rows, so neither can
//! hold a route the other lacks.

use std::sync::{Arc, OnceLock};

use axum::Router;
use axum::middleware::{from_fn, from_fn_with_state};
use serde_json::Value;
use tower_http::compression::CompressionLayer;
use tower_http::compression::predicate::{NotForContentType, Predicate, SizeAbove};
use tower_http::cors::{AllowOrigin, CorsLayer};
use utoipa_axum::router::UtoipaMethodRouter;

use super::document;
use super::edge;
use super::guard::{self, Rule};
use super::limits::Policy;
use super::state::Service;
use crate::auth::{Role, Scope};

/// Smaller answers are sent as they are: compressing them costs more than it saves.
const COMPRESS_BYTES_MIN: u64 = 8 * 1024;

/// Who may call a route, portal tokens apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Anybody.
    Public,
    /// Anybody with a valid credential, portal tokens included.
    Any,
    /// A key with this scope.
    Scope(Scope),
    /// Whoever can sign the body with a webhook secret.
    Stripe,
}

/// One row of the route table.
pub struct Row {
    /// `GET`, `PUT`, `POST`, `DELETE`.
    pub method: &'static str,
    /// Name of the operation in the document, `<module>_<handler>`.
    pub name: &'static str,
    /// Path with `{parameters}`.
    pub path: &'static str,
    /// Chapter of the document.
    pub chapter: &'static str,
    /// Least role of a portal token; nothing = no portal token.
    pub least_role: Option<Role>,
    /// Who else.
    pub access: Access,
    /// Bucket of keys.
    pub policy: Policy,
    /// The handler with its documentation.
    pub handler: fn() -> UtoipaMethodRouter<Service>,
}

/// The finished application: every row behind its guard, everything behind the edge.
pub fn build(table: &'static [Row], service: &Service) -> Router {
    let document = document::of(table);
    let mut router: Router<Service> = Router::new();
    for row in table {
        let rule = Arc::new(Rule {
            row,
            query: document::query_parameters(&document, row),
            service: service.clone(),
        });
        let (_, _, handler) = (row.handler)();
        router = router.route(
            row.path,
            handler.route_layer(from_fn_with_state(rule, guard::authorise)),
        );
    }
    let large = SizeAbove::new(COMPRESS_BYTES_MIN).and(NotForContentType::const_new("text/event-stream"));
    let router = router
        .fallback(edge::no_route)
        .method_not_allowed_fallback(edge::no_method)
        .layer(CompressionLayer::new().compress_when(large))
        .layer(from_fn_with_state(service.clone(), edge::guard_edge))
        .with_state(service.clone());
    match cors(service) {
        Some(layer) => router.layer(layer),
        None => router,
    }
}

/// Browsers of the configured origins may call; never with cookies.
fn cors(service: &Service) -> Option<CorsLayer> {
    let origins: Vec<_> = service
        .settings
        .cors_origins
        .iter()
        .filter_map(|origin| origin.parse().ok())
        .collect();
    if origins.is_empty() {
        return None;
    }
    use axum::http::{HeaderName, Method, header};
    let ours = [
        "idempotency-key",
        "last-event-id",
        "ledger-min-position",
        "prefer",
        "x-request-id",
    ]
    .map(HeaderName::from_static);
    let shown = [
        "ledger-position",
        "ledger-view-position",
        "ledger-view-age",
        "x-request-id",
        "ratelimit",
        "retry-after",
    ];
    let standard = [
        header::AUTHORIZATION,
        header::CONTENT_TYPE,
        header::IF_MATCH,
        header::IF_NONE_MATCH,
    ];
    Some(
        CorsLayer::new()
            .allow_origin(AllowOrigin::list(origins))
            .allow_methods([Method::GET, Method::PUT, Method::POST, Method::DELETE])
            .allow_headers(standard.into_iter().chain(ours).collect::<Vec<_>>())
            .expose_headers(
                shown
                    .map(HeaderName::from_static)
                    .into_iter()
                    .chain([header::ETAG, header::LINK])
                    .collect::<Vec<_>>(),
            ),
    )
}

/// The metrics listener's application: figures only, nothing else is reachable there.
pub fn metrics_router(service: &Service) -> Router {
    let service = service.clone();
    let text = move || {
        service.metrics.sample(
            &service.progress,
            service.receiver.counters(),
            service.receiver.waiting(),
        );
        let text = service.metrics.text();
        let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
        async move { ([(axum::http::header::CONTENT_TYPE, kind)], text) }
    };
    Router::new()
        .route("/metrics", axum::routing::get(text))
        .layer(from_fn(no_store))
}

async fn no_store(request: axum::extract::Request, next: axum::middleware::Next) -> axum::response::Response {
    let mut response = next.run(request).await;
    let never = axum::http::HeaderValue::from_static("no-store");
    response.headers_mut().insert(axum::http::header::CACHE_CONTROL, never);
    response
}

/// The published document as text, made once.
pub fn document_text(table: &'static [Row]) -> &'static str {
    static TEXT: OnceLock<String> = OnceLock::new();
    TEXT.get_or_init(|| pretty(&document::of(table)))
}

fn pretty(document: &Value) -> String {
    // A `Value` always serialises: its keys are text.
    let mut text = serde_json::to_string_pretty(document).unwrap_or_default();
    text.push('\n');
    text
}

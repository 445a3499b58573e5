//! What happens to every request, whatever its route: one layer, because this is on the path of twenty thousand reads
//! a second.
//!
//! 1. Bounds: URL, headers, number of query parameters, before anything is looked up.
//! 2. A request id: the caller's if it is one, else our own.
//! 3. The route, with a time limit, and with panics caught and counted.
//! 4. Problems get their body, every answer its security headers, the log one line when something went wrong.

use std::panic::AssertUnwindSafe;
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Uri, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use futures::FutureExt;

use super::metrics::HttpMetrics;
use super::problem::{Problem, ProblemKind};
use super::state::Service;

/// Longest URL: every route fits in a few hundred bytes, cursors included.
pub const URL_BYTES_MAX: usize = 8 * 1024;
/// Sum of names and values of all headers.
pub const HEADER_BYTES_MAX: usize = 16 * 1024;
/// Most query parameters.
pub const QUERY_PARAMETERS_MAX: usize = 50;
/// Longest a request may take; whatever takes longer is a job.
pub const REQUEST_TIME_MAX: Duration = Duration::from_secs(30);

/// Name of the request id header, both ways.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Id of a request, as it stands in problems, logs and the answer's header.
#[derive(Clone, Debug)]
pub struct RequestId(pub HeaderValue);

impl RequestId {
    /// Its text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.to_str().unwrap_or_default()
    }

    /// The caller's own id if it is short and plain, else a new one.
    fn of(headers: &HeaderMap) -> Self {
        let plain = |value: &&HeaderValue| {
            let bytes = value.as_bytes();
            (1..=64).contains(&bytes.len())
                && bytes
                    .iter()
                    .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
        };
        let given = headers.get(REQUEST_ID).filter(plain).cloned();
        Self(given.unwrap_or_else(|| {
            let mut buffer = uuid::Uuid::encode_buffer();
            let id = uuid::Uuid::now_v7();
            let text: &str = id.hyphenated().encode_lower(&mut buffer);
            HeaderValue::from_str(text).unwrap_or(HeaderValue::from_static("none"))
        }))
    }
}

/// The layer.
pub async fn guard_edge(State(service): State<Service>, mut request: Request, next: Next) -> Response {
    let began = Instant::now();
    let id = RequestId::of(request.headers());
    let path = request.uri().clone();
    let method = request.method().clone();
    let mut response = match within_bounds(request.uri(), request.headers()) {
        Err(problem) => problem.into_response(),
        Ok(()) => {
            request.extensions_mut().insert(id.clone());
            run(&service.metrics, next.run(request), REQUEST_TIME_MAX).await
        }
    };
    if let Some(problem) = response.extensions_mut().remove::<Problem>() {
        response = finish(&problem, response, path.path(), &id);
    }
    secure(response.headers_mut());
    let status = response.status().as_u16();
    if status >= 500 {
        let duration_ms = began.elapsed().as_millis();
        tracing::warn!(http.method = %method, http.path = path.path(), http.status = status, request.id = id.as_str(),
            duration_ms, "a request failed");
    }
    response.headers_mut().insert(REQUEST_ID, id.0);
    service.metrics.answered(status, began.elapsed());
    response
}

async fn run(metrics: &HttpMetrics, route: impl Future<Output = Response>, time_max: Duration) -> Response {
    let caught = AssertUnwindSafe(route).catch_unwind();
    match tokio::time::timeout(time_max, caught).await {
        Ok(Ok(response)) => response,
        Ok(Err(_)) => {
            metrics.panicked();
            Problem::internal("a request panicked; the message is above").into_response()
        }
        Err(_) => Problem::store(format!("a request took longer than {} s", time_max.as_secs())).into_response(),
    }
}

/// Writes the body of a problem; headers that the route had set already (rate limits, Allow) stay.
fn finish(problem: &Problem, earlier: Response, path: &str, id: &RequestId) -> Response {
    let mut response = problem.respond(path, id.as_str());
    for (name, value) in earlier.headers() {
        if !response.headers().contains_key(name) && *name != header::CONTENT_LENGTH {
            response.headers_mut().append(name.clone(), value.clone());
        }
    }
    response
}

fn within_bounds(uri: &Uri, headers: &HeaderMap) -> Result<(), Problem> {
    let target = uri.path_and_query().map_or(0, |target| target.as_str().len());
    if target > URL_BYTES_MAX {
        return Err(Problem::malformed(format!(
            "the URL is longer than {URL_BYTES_MAX} bytes"
        )));
    }
    let parameters = uri.query().map_or(0, |query| query.split('&').count());
    if parameters > QUERY_PARAMETERS_MAX {
        return Err(Problem::malformed(format!(
            "more than {QUERY_PARAMETERS_MAX} query parameters"
        )));
    }
    let size: usize = headers
        .iter()
        .map(|(name, value)| name.as_str().len() + value.len())
        .sum();
    if size > HEADER_BYTES_MAX {
        return Err(Problem::malformed(format!(
            "the headers are larger than {HEADER_BYTES_MAX} bytes"
        )));
    }
    Ok(())
}

/// Headers that tell a browser to do nothing clever with an answer. Pages set a policy of their own before.
fn secure(headers: &mut HeaderMap) {
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
    if !headers.contains_key(header::CONTENT_SECURITY_POLICY) {
        let nothing = HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'");
        headers.insert(header::CONTENT_SECURITY_POLICY, nothing);
    }
    if !headers.contains_key(header::CACHE_CONTROL) {
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
}

/// What no route matches.
pub async fn no_route() -> Problem {
    Problem::not_found()
}

/// An address that exists, asked by a method it has not; the router adds Allow.
pub async fn no_method() -> Problem {
    Problem::new(
        ProblemKind::MethodNotAllowed,
        "the address exists, but not for this method",
    )
}

/// A body of JSON text that was written already.
#[must_use]
pub fn json_text(text: impl Into<Body>) -> Response {
    let mut response = Response::new(text.into());
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn uri(length: usize) -> Uri {
        format!("/{}", "a".repeat(length - 1)).parse().unwrap()
    }

    #[test]
    fn bounds_hold_one_under_at_and_one_over() {
        let none = HeaderMap::new();
        for (length, fits) in [
            (URL_BYTES_MAX - 1, true),
            (URL_BYTES_MAX, true),
            (URL_BYTES_MAX + 1, false),
        ] {
            assert_eq!(within_bounds(&uri(length), &none).is_ok(), fits, "{length}");
        }
        for (count, fits) in [
            (QUERY_PARAMETERS_MAX - 1, true),
            (QUERY_PARAMETERS_MAX, true),
            (QUERY_PARAMETERS_MAX + 1, false),
        ] {
            let query = vec!["a=1"; count].join("&");
            let uri: Uri = format!("/?{query}").parse().unwrap();
            assert_eq!(within_bounds(&uri, &none).is_ok(), fits, "{count}");
        }
        for (length, fits) in [
            (HEADER_BYTES_MAX - 2, true),
            (HEADER_BYTES_MAX - 1, true),
            (HEADER_BYTES_MAX, false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert("x", HeaderValue::from_str(&"v".repeat(length)).unwrap());
            assert_eq!(within_bounds(&uri(1), &headers).is_ok(), fits, "{length}");
        }
    }

    #[tokio::test]
    async fn a_route_that_does_not_end_or_panics_is_a_problem() {
        let metrics = HttpMetrics::default();
        let short = Duration::from_millis(20);
        let kind = |response: Response| response.extensions().get::<Problem>().map(|problem| problem.kind);
        let endless = run(&metrics, std::future::pending(), short).await;
        assert_eq!(kind(endless), Some(ProblemKind::StoreUnavailable));
        let panics = run(&metrics, async { panic!("a planted fault") }, REQUEST_TIME_MAX).await;
        assert_eq!(kind(panics), Some(ProblemKind::Internal));
        let quick = run(&metrics, async { "done".into_response() }, REQUEST_TIME_MAX).await;
        assert_eq!(quick.status().as_u16(), 200);
    }

    #[test]
    fn a_plain_request_id_is_kept_and_any_other_replaced() {
        let mut headers = HeaderMap::new();
        headers.insert(REQUEST_ID, HeaderValue::from_static("abc-1"));
        assert_eq!(RequestId::of(&headers).as_str(), "abc-1");
        headers.insert(REQUEST_ID, HeaderValue::from_static("a b"));
        assert_eq!(RequestId::of(&headers).as_str().len(), 36);
    }
}

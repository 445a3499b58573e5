//! The ledger's API as commands use it: the running server of this data directory, else the same routes in this
//! process on a store opened here.
//!
//! 1. `serve.json` names a server that answers: its address and its local admin token.
//! 2. Nothing answers: the store is opened here; a stale `serve.json` is passed over.
//! 3. The store is locked by a process that does not answer: refused with exit 4.

use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{Method, Request, StatusCode, header};
use bytes::Bytes;
use http_body_util::{BodyExt, Limited};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;
use tower::ServiceExt;

use super::exit::{Exit, Failure};
use crate::app::{self, Running};
use crate::config::Config;

/// Longest answer that is read, in bytes: a page of 200 rows is far below.
const ANSWER_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Longest wait for an answer: the server gives up on a request after 30 s itself.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(40);
/// Times a command waits out a rate limit before it gives up: an import may run for hours, but not stand still.
const LIMITED_TIMES_MAX: u32 = 10;
/// Longest wait for one rate limit to pass: windows are a minute long.
const LIMITED_TIME_MAX: Duration = Duration::from_secs(60);
/// Longest wait for a sign of life of the server that `serve.json` names.
const ALIVE_TIME_MAX: Duration = Duration::from_secs(2);

/// Everything but what stands in a path segment or query value unescaped.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~')
    .remove(b':');

/// A way to the API.
pub(super) struct Api {
    way: Way,
    token: String,
}

enum Way {
    Server {
        base: String,
        client: Client<HttpConnector, Body>,
    },
    Here {
        router: Router,
        offline: app::Offline,
    },
}

/// An answer that went well.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) body: Value,
}

/// How one call went.
enum Called {
    Ended(Result<Answer, Failure>),
    Limited(Duration),
}

/// A path below the API, escaped segment by segment, with its query.
#[derive(Clone, Debug)]
pub(super) struct Path(String);

impl Path {
    /// From segments: `&["v1", "api-keys", id]`.
    pub(super) fn of(segments: &[&str]) -> Self {
        Self(segments.iter().map(|segment| format!("/{}", escape(segment))).collect())
    }

    /// Adds a query parameter that is set.
    pub(super) fn with(mut self, name: &str, value: Option<impl AsRef<str>>) -> Self {
        if let Some(value) = value {
            let sign = if self.0.contains('?') { '&' } else { '?' };
            self.0.push_str(&format!("{sign}{name}={}", escape(value.as_ref())));
        }
        self
    }
}

fn escape(text: &str) -> String {
    utf8_percent_encode(text, ESCAPED).to_string()
}

impl Api {
    /// Finds the way, see above.
    pub(super) async fn open(config: &Config) -> Result<Self, Failure> {
        if let Some(running) = Running::find(&config.store.data_dir) {
            let api = Self::server(running.url, running.token);
            if api.is_alive().await {
                return Ok(api);
            }
        }
        let offline = app::Offline::open(config).await?;
        let (router, token) = (offline.router(), offline.admin_token());
        Ok(Self {
            way: Way::Here { router, offline },
            token,
        })
    }

    /// A server by its address, without a slash at the end.
    pub(super) fn server(base: String, token: String) -> Self {
        let client = Client::builder(TokioExecutor::new()).build_http();
        Self {
            way: Way::Server { base, client },
            token,
        }
    }

    async fn is_alive(&self) -> bool {
        let path = Path::of(&["v1", "whoami"]);
        let probe = self.send(Method::GET, &path, None);
        matches!(
            tokio::time::timeout(ALIVE_TIME_MAX, probe).await,
            Ok(Ok((StatusCode::OK, _)))
        )
    }

    /// Reads.
    pub(super) async fn get(&self, path: &Path) -> Result<Answer, Failure> {
        self.call(Method::GET, path, None).await
    }

    /// Sends a command. Every call has its own idempotency key: repeating the command line is a new wish.
    pub(super) async fn post(&self, path: &Path, body: &Value) -> Result<Answer, Failure> {
        self.call(Method::POST, path, Some(body)).await
    }

    /// Puts a thing where its address says.
    pub(super) async fn put(&self, path: &Path, body: &Value) -> Result<Answer, Failure> {
        self.call(Method::PUT, path, Some(body)).await
    }

    /// Takes a thing away.
    pub(super) async fn delete(&self, path: &Path) -> Result<Answer, Failure> {
        self.call(Method::DELETE, path, None).await
    }

    async fn call(&self, method: Method, path: &Path, body: Option<&Value>) -> Result<Answer, Failure> {
        for _ in 0..LIMITED_TIMES_MAX {
            match self.call_once(method.clone(), path, body).await? {
                Called::Ended(outcome) => return outcome,
                Called::Limited(pause) => tokio::time::sleep(pause.min(LIMITED_TIME_MAX)).await,
            }
        }
        Err(Failure::new(
            Exit::Store,
            "the server kept answering that there are too many requests; try again later",
        ))
    }

    async fn call_once(&self, method: Method, path: &Path, body: Option<&Value>) -> Result<Called, Failure> {
        let sent = tokio::time::timeout(ANSWER_TIME_MAX, self.send(method, path, body)).await;
        let (status, bytes) = sent.map_err(|_| {
            Failure::new(
                Exit::Store,
                format!(
                    "no answer in {} s; is the server overloaded?",
                    ANSWER_TIME_MAX.as_secs()
                ),
            )
        })??;
        let body = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
        if status == StatusCode::TOO_MANY_REQUESTS {
            let pause = body.get("retry_after").and_then(Value::as_u64).unwrap_or(1).max(1);
            return Ok(Called::Limited(Duration::from_secs(pause)));
        }
        Ok(Called::Ended(if status.is_success() {
            Ok(Answer { status, body })
        } else {
            Err(refused(status, &body, path))
        }))
    }

    async fn send(&self, method: Method, path: &Path, body: Option<&Value>) -> Result<(StatusCode, Bytes), Failure> {
        let unreadable =
            |what: &dyn std::fmt::Display| Failure::new(Exit::Failed, format!("the answer is unreadable: {what}"));
        let base = match &self.way {
            Way::Server { base, .. } => base.as_str(),
            Way::Here { .. } => "",
        };
        let mut request = Request::builder()
            .method(&method)
            .uri(format!("{base}{}", path.0))
            .header(header::AUTHORIZATION, format!("Bearer {}", self.token));
        if method == Method::POST {
            request = request.header("Idempotency-Key", uuid::Uuid::now_v7().to_string());
        }
        let content = body.map_or_else(Body::empty, |body| Body::from(body.to_string()));
        if body.is_some() {
            request = request.header(header::CONTENT_TYPE, "application/json");
        }
        let request = request.body(content).map_err(|error| unreadable(&error))?;
        let (parts, stream) = match &self.way {
            Way::Server { base, client } => {
                let answer = client.request(request).await.map_err(|error| {
                    Failure::new(Exit::Store, format!("the server at {base} does not answer: {error}"))
                })?;
                let (parts, body) = answer.into_parts();
                (parts, Body::new(body))
            }
            Way::Here { router, .. } => {
                let answer = router.clone().oneshot(request).await;
                let (parts, body) = answer.unwrap_or_else(|never| match never {}).into_parts();
                (parts, body)
            }
        };
        let limited = Limited::new(stream, ANSWER_BYTES_MAX)
            .collect()
            .await
            .map_err(|error| unreadable(&error))?;
        Ok((parts.status, limited.to_bytes()))
    }

    /// Closes what was opened.
    pub(super) async fn close(self) {
        if let Way::Here { offline, .. } = self.way {
            offline.close().await;
        }
    }
}

/// Which command lists what an address like this one names.
fn list_of(path: &Path) -> Option<&'static str> {
    [
        ("/v1/webhook-inbox/", "subledger inbox list"),
        ("/v1/audit/events/", "subledger events show"),
        ("/v1/api-keys/", "subledger keys list"),
        ("/v1/projections/", "subledger projections list"),
    ]
    .into_iter()
    .find(|(start, _)| path.0.starts_with(start))
    .map(|(_, list)| list)
}

/// A problem answer as a message, with its errors by field.
fn refused(status: StatusCode, body: &Value, path: &Path) -> Failure {
    if let (StatusCode::NOT_FOUND, Some(list)) = (status, list_of(path)) {
        return Failure::new(
            Exit::Failed,
            format!("there is no {}; `{list}` shows what there is", path.0),
        );
    }
    let word = |pointer| body.pointer(pointer).and_then(Value::as_str);
    let mut message = match (word("/title"), word("/detail")) {
        (Some(title), Some(detail)) if title != detail => format!("{title}: {detail}"),
        (Some(text), _) | (None, Some(text)) => text.to_owned(),
        (None, None) => format!("the server answered {status}"),
    };
    for error in body.pointer("/errors").and_then(Value::as_array).into_iter().flatten() {
        let field = |name| error.get(name).and_then(Value::as_str).unwrap_or_default();
        message.push_str(&format!("\n  {} {}", field("pointer"), field("detail")));
    }
    if let Some(id) = word("/request_id") {
        message.push_str(&format!(" (request {id})"));
    }
    let exit = match status.as_u16() {
        400 | 422 => Exit::Usage,
        503 => Exit::Store,
        _ => Exit::Failed,
    };
    Failure::new(exit, message)
}

/// The rows of a list answer and the cursor of the next page.
pub(super) fn page(body: &Value) -> (Vec<Value>, Option<String>) {
    let rows = body.get("data").and_then(Value::as_array).cloned().unwrap_or_default();
    let next = body
        .pointer("/page/next_cursor")
        .and_then(Value::as_str)
        .map(str::to_owned);
    (rows, next)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn paths_are_escaped_segment_by_segment() {
        let path = Path::of(&["v1", "tenants", "a/b ?", "x:1"])
            .with("q", Some("a&b"))
            .with("none", None::<&str>)
            .with("l", Some("5"));
        assert_eq!(path.0, "/v1/tenants/a%2Fb%20%3F/x:1?q=a%26b&l=5");
    }

    #[test]
    fn a_problem_is_told_with_its_fields_and_its_exit() {
        let body = json!({ "title": "Validation failed", "detail": "see errors", "request_id": "r1",
            "errors": [{ "pointer": "/name", "detail": "must not be blank" }] });
        let path = Path::of(&["v1", "webhook-inbox", "default", "evt_1"]);
        let failure = refused(StatusCode::UNPROCESSABLE_ENTITY, &body, &path);
        assert_eq!(failure.exit, Exit::Usage);
        assert_eq!(
            failure.message,
            "Validation failed: see errors\n  /name must not be blank (request r1)"
        );
        assert_eq!(
            refused(StatusCode::SERVICE_UNAVAILABLE, &Value::Null, &path).exit,
            Exit::Store
        );
        assert_eq!(
            refused(StatusCode::NOT_FOUND, &body, &path).message,
            "there is no /v1/webhook-inbox/default/evt_1; `subledger inbox list` shows what there is"
        );
    }
}

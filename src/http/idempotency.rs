//! Idempotency-Key: a command sent twice has one effect, and its second answer is the first one's.
//!
//! 1. The scope is principal, method and path; the fingerprint is SHA-256 of the body with its keys in order.
//! 2. A key with a stored answer gets that answer, with `Idempotency-Replayed: true`.
//! 3. Otherwise the command runs. Its append marks the inbox with the key and claims the answer's row in the same
//!    transaction, in the part of the stream it writes to. Afterwards the answer is stored there, without secrets.
//! 4. A crash before the answer was stored leaves a claim without one: the command sent again finds its mark, does
//!    nothing twice, and answers the present state.

use std::collections::HashSet;
use std::sync::{LazyLock, Mutex, PoisonError};

use aggregates::time::Timestamp;
use axum::Json;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use ring::digest;
use serde_json::Value;
use uuid::Uuid;

use super::position::LedgerPosition;
use super::problem::{Answer, Problem, ProblemKind};
use super::state::Service;
use crate::auth::Principal;
use crate::ledger::{
    ApiAnswer, ApiClaim, Item, LedgerError, Mark, Outcome, append, find_answer, forget_expired, settle_answer,
};

/// Longest key.
pub const KEY_CHARACTERS_MAX: usize = 255;
/// The header as the document states it.
pub const KEY_PATTERN: &str = r##"^([!#-~]{1,255}|"[!#-~]{1,255}")$"##;
/// How long an answer is kept; the effect stays done once for ever.
const KEPT_SECONDS: i64 = 30 * 86_400;
/// Commands with a key, for each time that expired answers are dropped.
const FORGET_EVERY: u128 = 256;

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");

/// Commands with a key that run in this process now.
static RUNNING: LazyLock<Mutex<HashSet<(String, String)>>> = LazyLock::new(Mutex::default);

/// One request that changes something.
#[derive(Clone, Debug)]
pub struct Command {
    scope: String,
    key: Option<String>,
    request_hash: [u8; 32],
    own: Option<String>,
    /// Its id; also the cause of its events.
    pub id: Uuid,
}

/// What a command answers.
pub struct Done {
    /// HTTP status.
    pub status: StatusCode,
    /// The body; null = no body.
    pub body: Value,
    /// The body as it is stored: without secrets. Nothing = the same.
    pub stored: Option<Value>,
    /// What it reached on the log.
    pub position: Option<LedgerPosition>,
    /// Where what it made is found.
    pub location: Option<String>,
}

impl Done {
    /// A body that holds no secret.
    #[must_use]
    pub const fn new(status: StatusCode, body: Value, position: Option<LedgerPosition>) -> Self {
        Self {
            status,
            body,
            stored: None,
            position,
            location: None,
        }
    }

    /// The finished answer.
    #[must_use]
    pub fn respond(self) -> Response {
        let mut response = answer(self.status, self.body);
        if let Some(position) = self.position {
            position.announce(response.headers_mut());
        }
        if let Some(location) = self.location.and_then(|it| HeaderValue::from_str(&it).ok()) {
            response.headers_mut().insert(header::LOCATION, location);
        }
        response
    }
}

fn answer(status: StatusCode, body: Value) -> Response {
    if body.is_null() {
        status.into_response()
    } else {
        (status, Json(body)).into_response()
    }
}

impl Command {
    /// Reads the key and takes the fingerprint.
    pub fn of(principal: &Principal, method: &Method, uri: &Uri, headers: &HeaderMap, body: &[u8]) -> Answer<Self> {
        Ok(Self {
            scope: format!("{} {method} {}", principal.scope_name(), uri.path()),
            key: key(headers)?,
            request_hash: fingerprint(body),
            own: None,
            id: Uuid::now_v7(),
        })
    }

    /// Refuses a command without a key where one is needed: what reaches Stripe must be known when it comes again.
    pub fn needs_key(&self) -> Answer<()> {
        if self.key.is_some() {
            return Ok(());
        }
        let detail = "send an Idempotency-Key, the same for every attempt at this request";
        Err(Problem::new(ProblemKind::IdempotencyKeyMissing, detail))
    }

    /// Replaces the caller's key by one of ours, for what happens once whoever asks.
    pub fn key_is(&mut self, key: &str, scope: &str) {
        scope.clone_into(&mut self.scope);
        self.key = None;
        self.own = Some(key.to_owned());
        self.request_hash = [0; 32];
    }

    /// An id that is the same for every attempt with the same key, and new without one: names what the command makes.
    #[must_use]
    pub fn seed(&self) -> [u8; 32] {
        let text = match &self.key {
            Some(key) => format!("{}\0{key}", self.scope),
            None => self.id.to_string(),
        };
        sha256(text.as_bytes())
    }

    /// The inbox mark of its append.
    #[must_use]
    pub fn mark(&self) -> Mark {
        Mark {
            source: format!("api:{}", self.scope),
            key: self
                .own
                .clone()
                .or_else(|| self.key.clone())
                .unwrap_or_else(|| self.id.to_string()),
            request_hash: Some(self.request_hash),
        }
    }

    /// The claim of its answer, when it has a key.
    #[must_use]
    pub fn claim(&self, now: Timestamp) -> Option<ApiClaim> {
        Some(ApiClaim {
            scope: self.scope.clone(),
            key: self.key.clone()?,
            request_hash: self.request_hash,
            command_id: self.id,
            expires_at: now.plus_seconds(KEPT_SECONDS),
        })
    }

    /// Claims the answer in an append of its own, for a command whose effects have a mark each. Says whether the
    /// command was done so long ago that its answer was forgotten.
    pub async fn claim_answer(&self, service: &Service, part: u32) -> Answer<bool> {
        let now = service.clock.now();
        let Some(claim) = self.claim(now) else {
            return Ok(false);
        };
        let item = Item {
            api: Some(claim),
            ..Item::new(self.mark())
        };
        match append(&service.db, part, vec![item], now)
            .await
            .map(|mut outcomes| outcomes.pop())
        {
            Ok(Some(Outcome::Replayed(done))) => Ok(done.received_at.plus_seconds(KEPT_SECONDS) <= now),
            Ok(Some(Outcome::KeyReused)) => Err(Self::reused()),
            Ok(Some(Outcome::NoChange | Outcome::Appended { .. } | Outcome::Undone) | None) => Ok(false),
            Err(LedgerError::Db(error)) => Err(Problem::store(error)),
            Err(error @ (LedgerError::Conflict | LedgerError::Refused(_))) => Err(Problem::internal(error)),
        }
    }

    /// The refusal of a key that was used for another request.
    #[must_use]
    pub fn reused() -> Problem {
        let detail = "this Idempotency-Key came with another body before";
        Problem::new(ProblemKind::IdempotencyKeyReused, detail)
    }

    /// Runs the command, or answers what its first attempt answered. `part` is where it writes.
    pub async fn once<F>(&self, service: &Service, part: u32, run: F) -> Answer<Response>
    where
        F: Future<Output = Answer<Done>>,
    {
        let Some(key) = &self.key else {
            return run.await.map(Done::respond);
        };
        let now = service.clock.now();
        let _running = Running::begin(&self.scope, key)?;
        let found = find_answer(&service.db, part, &self.scope, key, now)
            .await
            .map_err(Problem::store)?;
        if let Some(replayed) = found.map(|found| self.replay(found)).transpose()?.flatten() {
            return Ok(replayed);
        }
        let done = run.await?;
        self.forget_now_and_then(service, part, now).await;
        let stored = done.stored.as_ref().unwrap_or(&done.body).to_string();
        let settled = settle_answer(&service.db, part, &self.scope, key, done.status.as_u16(), Some(stored)).await;
        if let Err(error) = settled {
            // The effect is durable; the next attempt answers the present state instead of this answer.
            tracing::warn!(%error, "the answer of a command was not kept");
        }
        Ok(done.respond())
    }

    /// Runs a command whose answer is a secret and is not kept: sent again, it runs again and finds what it has recorded.
    pub async fn once_secret<F>(&self, run: F) -> Answer<Response>
    where
        F: Future<Output = Answer<Done>>,
    {
        let _running = self
            .key
            .as_ref()
            .map(|key| Running::begin(&self.scope, key))
            .transpose()?;
        run.await.map(Done::respond)
    }

    /// Drops answers of the part that expired, about once in [`FORGET_EVERY`] commands: those who store them tidy up.
    async fn forget_now_and_then(&self, service: &Service, part: u32, now: Timestamp) {
        if self.id.as_u128().is_multiple_of(FORGET_EVERY)
            && let Err(error) = forget_expired(&service.db, part, now).await
        {
            tracing::warn!(%error, "expired answers were not dropped");
        }
    }

    fn replay(&self, found: ApiAnswer) -> Answer<Option<Response>> {
        if found.request_hash != self.request_hash {
            return Err(Self::reused());
        }
        let Some(status) = found.status.and_then(|status| StatusCode::from_u16(status).ok()) else {
            return Ok(None);
        };
        let body = found.body.as_deref().map_or(Ok(Value::Null), serde_json::from_str);
        let mut response = answer(status, body.map_err(Problem::internal)?);
        response
            .headers_mut()
            .insert(REPLAYED, HeaderValue::from_static("true"));
        Ok(Some(response))
    }
}

/// Keeps a second request with the same key out while the first one runs.
struct Running(String, String);

impl Running {
    fn begin(scope: &str, key: &str) -> Answer<Self> {
        let entry = (scope.to_owned(), key.to_owned());
        let mut running = RUNNING.lock().unwrap_or_else(PoisonError::into_inner);
        if running.insert(entry.clone()) {
            return Ok(Self(entry.0, entry.1));
        }
        let detail = "the first request with this Idempotency-Key has not ended yet";
        Err(Problem::new(ProblemKind::IdempotencyKeyInFlight, detail))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let mut running = RUNNING.lock().unwrap_or_else(PoisonError::into_inner);
        running.remove(&(std::mem::take(&mut self.0), std::mem::take(&mut self.1)));
    }
}

/// The key, quoted or bare.
fn key(headers: &HeaderMap) -> Answer<Option<String>> {
    let invalid = |detail: &str| Problem::new(ProblemKind::IdempotencyKeyInvalid, detail.to_owned());
    let mut values = headers.get_all(IDEMPOTENCY_KEY).iter();
    let Some(value) = values.next() else {
        return Ok(None);
    };
    if values.next().is_some() {
        return Err(invalid("Idempotency-Key is given twice"));
    }
    let text = value.to_str().unwrap_or_default();
    let quoted = text.strip_prefix('"').and_then(|text| text.strip_suffix('"'));
    let text = quoted.unwrap_or(text);
    let fits = (1..=KEY_CHARACTERS_MAX).contains(&text.len());
    if !fits || !text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'"') {
        let rule = "Idempotency-Key has 1 to 255 printable ASCII characters, without spaces and quotes inside";
        return Err(invalid(rule));
    }
    Ok(Some(text.to_owned()))
}

/// SHA-256 of the body with the keys of its objects in order, so that the same request written otherwise is the same.
fn fingerprint(body: &[u8]) -> [u8; 32] {
    match serde_json::from_slice::<Value>(body) {
        Ok(value) => {
            let mut text = String::new();
            write_sorted(&value, &mut text);
            sha256(text.as_bytes())
        }
        Err(_) => sha256(body),
    }
}

fn write_sorted(value: &Value, text: &mut String) {
    match value {
        Value::Object(fields) => {
            let mut sorted: Vec<_> = fields.iter().collect();
            sorted.sort_by_key(|(name, _)| *name);
            text.push('{');
            for (name, inner) in sorted {
                text.push_str(&Value::from(name.as_str()).to_string());
                text.push(':');
                write_sorted(inner, text);
                text.push(',');
            }
            text.push('}');
        }
        Value::Array(items) => {
            text.push('[');
            for item in items {
                write_sorted(item, text);
                text.push(',');
            }
            text.push(']');
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => text.push_str(&value.to_string()),
    }
}

fn sha256(bytes: &[u8]) -> [u8; 32] {
    let mut out = [0; 32];
    out.copy_from_slice(digest::digest(&digest::SHA256, bytes).as_ref());
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(value: &str) -> HeaderMap {
        HeaderMap::from_iter([(IDEMPOTENCY_KEY, HeaderValue::from_str(value).unwrap())])
    }

    #[test]
    fn keys_are_read_quoted_or_bare_and_within_their_bounds() {
        assert_eq!(key(&HeaderMap::new()), Ok(None));
        assert_eq!(key(&header("abc")), Ok(Some("abc".to_owned())));
        assert_eq!(key(&header("\"abc\"")), Ok(Some("abc".to_owned())));
        for (length, good) in [(0, false), (1, true), (254, true), (255, true), (256, false)] {
            assert_eq!(key(&header(&"k".repeat(length))).is_ok(), good, "{length}");
        }
        for bad in ["\"\"", "a b", "a\tb", "a\"b", "\"a"] {
            assert!(key(&header(bad)).is_err(), "{bad}");
        }
        let mut twice = header("a");
        twice.append(IDEMPOTENCY_KEY, HeaderValue::from_static("b"));
        assert!(key(&twice).is_err());
    }

    #[test]
    fn the_same_request_written_otherwise_has_the_same_fingerprint() {
        assert_eq!(
            fingerprint(br#"{"a":1,"b":[1,2]}"#),
            fingerprint(b"{ \"b\": [1, 2], \"a\": 1 }")
        );
        assert_ne!(fingerprint(br#"{"a":1}"#), fingerprint(br#"{"a":2}"#));
        assert_ne!(fingerprint(br#"{"a":[1,2]}"#), fingerprint(br#"{"a":[2,1]}"#));
        assert_ne!(fingerprint(b""), fingerprint(b"{}"));
    }

    #[test]
    fn a_running_key_keeps_the_second_out() {
        let first = Running::begin("s", "k").unwrap();
        assert_eq!(
            Running::begin("s", "k").err().map(|p| p.kind),
            Some(ProblemKind::IdempotencyKeyInFlight)
        );
        drop(first);
        assert!(Running::begin("s", "k").is_ok());
    }
}

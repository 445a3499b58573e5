//! Idempotency keys: the first result is kept once execution began, and answered again for 24 hours of sandbox time.

use std::collections::BTreeMap;

use ring::digest::{SHA256, digest};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::wire::call::Reply;
use crate::wire::error::ApiError;

/// How long Stripe promises to know a key, in seconds.
const REMEMBERED_SECONDS: i64 = 24 * 3600;
/// Longest key.
const KEY_CHARS_MAX: usize = 255;

#[derive(Debug, Serialize, Deserialize)]
struct Kept {
    hash: String,
    since: i64,
    request_id: String,
    /// Nothing while the call is running.
    result: Option<(u16, String)>,
}

/// The keys that are known.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Keys {
    kept: BTreeMap<String, Kept>,
    /// Old keys are swept out when there are so many.
    sweep_at: usize,
}

/// Fewest keys that are worth a sweep.
const SWEEP_MIN: usize = 1_024;

/// What a key means for a call.
#[derive(Debug, PartialEq, Eq)]
pub enum Meaning {
    /// The call is the first with it and may go on.
    New,
    /// The call was made before; this is its answer.
    Again(Reply),
}

impl Keys {
    /// Looks a key up and, if it is new, marks it as in use.
    ///
    /// # Errors
    /// 400 when it was used for another call, 409 while that call is running.
    pub fn enter(&mut self, key: &str, hash: &str, now: i64, request_id: &str) -> Result<Meaning, ApiError> {
        if key.chars().count() > KEY_CHARS_MAX {
            let message = format!("Idempotency keys have up to {KEY_CHARS_MAX} characters.");
            return Err(ApiError::idempotency(message));
        }
        let known = |kept: &Kept| kept.since + REMEMBERED_SECONDS > now;
        if self.kept.len() >= self.sweep_at.max(SWEEP_MIN) {
            self.kept.retain(|_, kept| known(kept));
            self.sweep_at = self.kept.len() * 2;
        }
        let Some(kept) = self.kept.get(key).filter(|kept| known(kept)) else {
            let kept = Kept {
                hash: hash.to_owned(),
                since: now,
                request_id: request_id.to_owned(),
                result: None,
            };
            self.kept.insert(key.to_owned(), kept);
            return Ok(Meaning::New);
        };
        if kept.hash != hash {
            let message = format!(
                "Keys for idempotent requests can only be used with the same parameters they were first used with. \
                 Try using a key other than '{key}' if you meant to execute a different request."
            );
            return Err(ApiError::idempotency(message));
        }
        match &kept.result {
            Some((status, body)) => {
                let mut reply = Reply::typed(*status, "application/json", body.clone().into_bytes());
                reply.set("idempotent-replayed", "true");
                reply.set("original-request", &kept.request_id);
                Ok(Meaning::Again(reply))
            }
            None => Err(ApiError::conflict(
                "idempotency_key_in_use",
                format!("There is currently another in-progress request using this key: {key}."),
            )),
        }
    }

    /// Keeps the result; nothing is kept when execution had not begun.
    pub fn leave(&mut self, key: &str, result: Option<(u16, &[u8])>) {
        match (self.kept.get_mut(key), result) {
            (Some(kept), Some((status, body))) => {
                kept.result = Some((status, String::from_utf8_lossy(body).into_owned()));
            }
            (Some(_), None) => {
                self.kept.remove(key);
            }
            (None, _) => {}
        }
    }

    /// Calls that a stop interrupted are running no more.
    pub(crate) fn forget_running(&mut self) {
        self.kept.retain(|_, kept| kept.result.is_some());
    }
}

/// The hash of what a key stands for.
#[must_use]
pub fn hash(path: &str, tree: &Map<String, Value>) -> String {
    let text = json!([path, sorted(&Value::Object(tree.clone()))]).to_string();
    hex::encode(digest(&SHA256, text.as_bytes()))
}

/// Objects as sorted pairs, so that the order of parameters does not count.
fn sorted(value: &Value) -> Value {
    match value {
        Value::Object(fields) => {
            let mut pairs: Vec<(&String, Value)> = fields.iter().map(|(name, value)| (name, sorted(value))).collect();
            pairs.sort_by(|a, b| a.0.cmp(b.0));
            json!(pairs)
        }
        Value::Array(items) => items.iter().map(sorted).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value.clone(),
    }
}

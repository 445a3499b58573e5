//! What became of an attempt.

use std::time::Duration;

use aggregates::time::Timestamp;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Stripe did it, or has done it before.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The object, as Stripe writes it. Read by the tables of `translate`, or by a path that every version has.
    pub object: Value,
    /// The bytes as they came.
    pub body: Bytes,
    /// 2xx.
    pub status: u16,
    /// Stripe's name for the request; none on the stock transport.
    pub request_id: Option<String>,
    /// The answer of an earlier attempt under the same key.
    pub replayed: bool,
    /// The API version it was rendered in, where Stripe says so.
    pub api_version: Option<String>,
    /// Stripe's clock when it answered, to the second; none on the stock transport.
    pub stripe_time: Option<Timestamp>,
}

impl Answer {
    /// The id of the object.
    #[must_use]
    pub fn id(&self) -> Option<&str> {
        self.object.get("id").and_then(Value::as_str)
    }

    /// A text of the object by a name that every version has.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<&str> {
        self.object.get(name).and_then(Value::as_str)
    }

    /// The objects of a list.
    #[must_use]
    pub fn rows(&self) -> &[Value] {
        self.object
            .get("data")
            .and_then(Value::as_array)
            .map_or(&[], Vec::as_slice)
    }

    /// More of the list follows.
    #[must_use]
    pub fn has_more(&self) -> bool {
        self.object.get("has_more").and_then(Value::as_bool).unwrap_or(false)
    }
}

/// Why an attempt did not end in an answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GatewayError {
    /// Nothing was done; the same again later may succeed.
    #[error("Stripe could not take it now: {0}")]
    Transient(Delay),
    /// Stripe said no; the same again will be refused again.
    #[error("{0}")]
    Permanent(Box<Refusal>),
    /// It may have been done: the answer is lost or unreadable.
    #[error("Stripe may or may not have done it: {0}")]
    OutcomeUnknown(Box<Loss>),
}

/// Come again.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct Delay {
    /// What happened, without secrets.
    pub reason: String,
    /// The status, when there was one.
    pub status: Option<u16>,
    /// How long Stripe wants to be left alone.
    pub retry_after: Option<Duration>,
}

/// A final no.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("Stripe refused it ({status}{}): {message}", code.as_deref().map(|code| format!(", {code}")).unwrap_or_default())]
pub struct Refusal {
    /// The status; 0 when it was refused on our side before it was sent.
    pub status: u16,
    /// Stripe's class of the error, for instance `card_error`.
    pub kind: Option<String>,
    /// Stripe's code, for instance `resource_missing`.
    pub code: Option<String>,
    /// The bank's reason, for a declined card.
    pub decline_code: Option<String>,
    /// In words.
    pub message: String,
    /// The parameter it is about.
    pub param: Option<String>,
    /// Stripe's name for the request.
    pub request_id: Option<String>,
}

impl Refusal {
    /// A refusal of our own, before anything is sent.
    #[must_use]
    pub fn unsent(code: &str, message: impl Into<String>) -> Box<Self> {
        Box::new(Self {
            status: 0,
            kind: None,
            code: Some(code.to_owned()),
            decline_code: None,
            message: message.into(),
            param: None,
            request_id: None,
        })
    }

    /// Stripe has no such object.
    #[must_use]
    pub fn is_missing(&self) -> bool {
        self.status == 404 || self.code.as_deref() == Some("resource_missing")
    }
}

/// An answer that did not reach us whole.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct Loss {
    /// What happened, without secrets; the beginning of a body that was no JSON.
    pub reason: String,
    /// The status, when there was one.
    pub status: Option<u16>,
    /// Stripe repeated an answer it had stored under the key.
    pub replayed: bool,
    /// How long Stripe wants to be left alone.
    pub retry_after: Option<Duration>,
    /// Stripe asks not to send it again.
    pub keep_off: bool,
    /// Stripe's name for the request.
    pub request_id: Option<String>,
}

//! From what came back on the wire to what it means: an answer, come again, no, or nobody knows.

use std::time::Duration;

use aggregates::time::Timestamp;
use bytes::Bytes;
use serde::Deserialize;
use serde_json::Value;

use crate::stripe::gateway::{Answer, Delay, GatewayError, Loss, Refusal};

/// Bytes kept of a body that is not Stripe's: enough to see whose page it is.
pub(super) const FOREIGN_BYTES_MAX: usize = 2 * 1024;

/// A whole reply.
#[derive(Clone, Debug, Default)]
pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) body: Bytes,
    pub(super) request_id: Option<String>,
    pub(super) replayed: bool,
    pub(super) retry_after: Option<Duration>,
    pub(super) should_retry: Option<bool>,
    pub(super) api_version: Option<String>,
    pub(super) stripe_time: Option<Timestamp>,
}

/// No whole reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Failure {
    /// The request did not leave this machine.
    NotSent(String),
    /// It left, and no readable reply came.
    Lost(String),
}

#[derive(Deserialize)]
struct ErrorBody {
    error: StripeSays,
}

#[derive(Default, Deserialize)]
struct StripeSays {
    #[serde(default, rename = "type")]
    kind: Option<String>,
    #[serde(default)]
    code: Option<String>,
    #[serde(default)]
    decline_code: Option<String>,
    #[serde(default)]
    message: Option<String>,
    #[serde(default)]
    param: Option<String>,
}

/// What it means. `changes` says whether the request asked for a change: only then can an outcome be unknown.
pub(super) fn classify(changes: bool, outcome: Result<Reply, Failure>) -> Result<Answer, GatewayError> {
    match outcome {
        Ok(reply) => of_reply(changes, reply),
        Err(Failure::NotSent(reason)) => Err(transient(reason, None, None)),
        Err(Failure::Lost(reason)) if changes => Err(GatewayError::OutcomeUnknown(Box::new(Loss {
            reason,
            status: None,
            replayed: false,
            retry_after: None,
            keep_off: false,
            request_id: None,
        }))),
        Err(Failure::Lost(reason)) => Err(transient(reason, None, None)),
    }
}

fn transient(reason: String, status: Option<u16>, retry_after: Option<Duration>) -> GatewayError {
    GatewayError::Transient(Delay {
        reason,
        status,
        retry_after,
    })
}

fn of_reply(changes: bool, reply: Reply) -> Result<Answer, GatewayError> {
    match reply.status {
        200..=299 => match serde_json::from_slice::<Value>(&reply.body) {
            Ok(object) if object.is_object() => Ok(Answer {
                object,
                body: reply.body,
                status: reply.status,
                request_id: reply.request_id,
                replayed: reply.replayed,
                api_version: reply.api_version,
                stripe_time: reply.stripe_time,
            }),
            _ => Err(lost(changes, &reply)),
        },
        500..=599 => Err(lost(changes, &reply)),
        409 | 424 | 429 if reply.should_retry != Some(false) => {
            let said = said(&reply);
            Err(transient(said.message, Some(reply.status), reply.retry_after))
        }
        _ => Err(GatewayError::Permanent(Box::new(said(&reply)))),
    }
}

/// A reply that does not say what was done.
fn lost(changes: bool, reply: &Reply) -> GatewayError {
    let reason = said(reply).message;
    if changes {
        GatewayError::OutcomeUnknown(Box::new(Loss {
            reason,
            status: Some(reply.status),
            replayed: reply.replayed,
            retry_after: reply.retry_after,
            keep_off: reply.should_retry == Some(false),
            request_id: reply.request_id.clone(),
        }))
    } else {
        transient(reason, Some(reply.status), reply.retry_after)
    }
}

/// Stripe's words, or the beginning of whatever came instead.
fn said(reply: &Reply) -> Refusal {
    let says = serde_json::from_slice::<ErrorBody>(&reply.body)
        .ok()
        .map(|body| body.error);
    let known = says.is_some();
    let says = says.unwrap_or_default();
    let message = match (says.message, known) {
        (Some(message), _) => message,
        (None, true) => format!("status {} without a message", reply.status),
        (None, false) if (300..400).contains(&reply.status) => {
            format!(
                "status {}: redirects are not followed; correct stripe.api_base",
                reply.status
            )
        }
        (None, false) => format!("status {}: {}", reply.status, beginning(&reply.body)),
    };
    Refusal {
        status: reply.status,
        kind: says.kind,
        code: says.code,
        decline_code: says.decline_code,
        message,
        param: says.param,
        request_id: reply.request_id.clone(),
    }
}

/// The beginning of a body that is not Stripe's, on one line.
fn beginning(body: &[u8]) -> String {
    let kept = &body[..body.len().min(FOREIGN_BYTES_MAX)];
    let text = String::from_utf8_lossy(kept);
    let line: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    if line.trim().is_empty() {
        "an empty body".to_owned()
    } else {
        line.trim().to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(status: u16, body: &str) -> Reply {
        Reply {
            status,
            body: Bytes::copy_from_slice(body.as_bytes()),
            ..Reply::default()
        }
    }

    fn word(changes: bool, reply: Reply) -> &'static str {
        match classify(changes, Ok(reply)) {
            Ok(_) => "answer",
            Err(GatewayError::Transient(_)) => "transient",
            Err(GatewayError::Permanent(_)) => "permanent",
            Err(GatewayError::OutcomeUnknown(_)) => "unknown",
        }
    }

    #[test]
    fn every_status_means_one_thing() {
        let error = r#"{"error":{"type":"x","message":"m"}}"#;
        for status in 200..600 {
            let (wanted_change, wanted_read) = match status {
                200..=299 => ("answer", "answer"),
                409 | 424 | 429 => ("transient", "transient"),
                500.. => ("unknown", "transient"),
                _ => ("permanent", "permanent"),
            };
            let body = if status < 300 { r#"{"id":"x"}"# } else { error };
            assert_eq!(word(true, reply(status, body)), wanted_change, "POST {status}");
            assert_eq!(word(false, reply(status, body)), wanted_read, "GET {status}");
        }
    }

    #[test]
    fn a_success_that_is_no_json_is_not_known_to_be_one() {
        for body in ["", "<html>", "{\"id\":", "[]", "null", "\u{0}"] {
            assert_eq!(word(true, reply(200, body)), "unknown", "{body:?}");
            assert_eq!(word(false, reply(200, body)), "transient", "{body:?}");
        }
    }

    #[test]
    fn stripe_can_forbid_to_come_again() {
        for status in [409, 424, 429] {
            let held = Reply {
                should_retry: Some(false),
                ..reply(status, "{}")
            };
            assert_eq!(word(true, held), "permanent", "{status}");
        }
    }

    #[test]
    fn of_a_foreign_page_the_beginning_is_kept_on_one_line() {
        let page = format!("<html>\r\n{}", "x".repeat(10_000));
        let Err(GatewayError::Permanent(refusal)) = classify(true, Ok(reply(418, &page))) else {
            panic!("418 is final");
        };
        assert!(
            refusal.message.len() < FOREIGN_BYTES_MAX + 64,
            "{}",
            refusal.message.len()
        );
        assert!(refusal.message.starts_with("status 418: <html>"), "{}", refusal.message);
        assert!(!refusal.message.contains(['\r', '\n']));
    }
}

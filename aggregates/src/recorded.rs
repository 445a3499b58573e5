//! Events as they stand on the log: typed content with its place, clocks and cause.

use std::borrow::Cow;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::catalogue;
use crate::operation::{self, OperationEvent};
use crate::stripe_object::{self, StripeObjectEvent};
use crate::subscription::{self, SubscriptionEvent};
use crate::time::Timestamp;
use crate::upcast::{self, STEPS, Step};

/// Who caused an event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Actor {
    /// A Stripe event.
    Stripe {
        /// Its id.
        event: Box<str>,
    },
    /// A person of the portal.
    User {
        /// Subject of the token.
        id: Box<str>,
        /// Role of the token.
        role: Box<str>,
    },
    /// An API key.
    Key {
        /// Id of the key, never its secret.
        id: Box<str>,
    },
    /// The operator on the machine itself, by the command line.
    Operator,
    /// A job of the service.
    Job {
        /// Its name.
        name: Box<str>,
    },
}

impl Actor {
    /// Short text for indexes and lists, for instance `stripe:evt_1` or `key:ab12cd34`.
    #[must_use]
    pub fn label(&self) -> String {
        match self {
            Self::Stripe { event } => format!("stripe:{event}"),
            Self::User { id, .. } => format!("user:{id}"),
            Self::Key { id } => format!("key:{id}"),
            Self::Operator => "operator".to_owned(),
            Self::Job { name } => format!("job:{name}"),
        }
    }
}

/// What is stored beside an event's payload.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Metadata {
    /// Who caused it.
    pub actor: Actor,
    /// The receipt behind it, `<source>/<event id>`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub receipt: Option<Box<str>>,
    /// API version of the Stripe object behind it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api_version: Option<Box<str>>,
    /// Idempotency key of the Stripe request that caused it, if Stripe named one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_key: Option<Box<str>>,
}

/// Any event of the ledger.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(
    clippy::large_enum_variant,
    reason = "nearly every event is an account's; a box would cost an allocation for each one read"
)]
pub enum LedgerEvent {
    /// Of an account.
    Subscription(SubscriptionEvent),
    /// Of a Stripe object without an account.
    StripeObject(StripeObjectEvent),
    /// Of the ledger's own operation.
    Operation(OperationEvent),
}

/// A stored event that this binary cannot read. Reading stops there: a default would be a guess about money.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    /// An aggregate type this version does not know.
    #[error("aggregate type {0:?} is unknown to this version; run the version that wrote it")]
    UnknownAggregate(String),
    /// An event type this version does not know.
    #[error("event type {0:?} is unknown to this version; run the version that wrote it")]
    UnknownType(String),
    /// A newer event version.
    #[error("{event_type} has version {version}, this binary knows up to {known}; run the version that wrote it")]
    NewerVersion {
        /// Stored type.
        event_type: String,
        /// Stored version.
        version: u32,
        /// Newest known version.
        known: u32,
    },
    /// The payload does not read as its type says.
    #[error("the payload of {event_type} does not read: {source}")]
    Payload {
        /// Stored type.
        event_type: String,
        /// What is wrong.
        source: serde_json::Error,
    },
}

/// Version events of an aggregate type are written with today; none: no such type.
#[must_use]
pub fn newest_version(aggregate: &str) -> Option<u32> {
    match aggregate {
        subscription::AGGREGATE_TYPE => Some(subscription::EVENT_VERSION),
        stripe_object::AGGREGATE_TYPE => Some(stripe_object::EVENT_VERSION),
        operation::AGGREGATE_TYPE => Some(operation::EVENT_VERSION),
        _ => None,
    }
}

impl LedgerEvent {
    /// Reads a stored event: aggregate type, event type, version and payload text as stored. Older versions are
    /// brought to the current one first.
    pub fn decode(aggregate: &str, event_type: &str, version: u32, payload: &str) -> Result<Self, DecodeError> {
        let Some(newest) = newest_version(aggregate) else {
            return Err(DecodeError::UnknownAggregate(aggregate.to_owned()));
        };
        Self::decode_with(STEPS, newest, aggregate, event_type, version, payload)
    }

    fn decode_with(
        steps: &[Step],
        newest: u32,
        aggregate: &str,
        event_type: &str,
        version: u32,
        payload: &str,
    ) -> Result<Self, DecodeError> {
        if version == 0 || version > newest {
            return Err(DecodeError::NewerVersion {
                event_type: event_type.to_owned(),
                version,
                known: newest,
            });
        }
        // A type nobody here knows does not read either, but what helps is another version, not a look at its payload.
        let failed = |source| {
            let event_type = event_type.to_owned();
            if catalogue::entries().iter().any(|entry| entry.event_type == event_type) {
                DecodeError::Payload { event_type, source }
            } else {
                DecodeError::UnknownType(event_type)
            }
        };
        let lifted = if version < newest {
            let stored = serde_json::from_str(payload).map_err(failed)?;
            let current = upcast::to_current(steps, event_type, version..newest, stored);
            Cow::Owned(serde_json::to_string(&current).map_err(failed)?)
        } else {
            Cow::Borrowed(payload)
        };
        let event = match aggregate {
            subscription::AGGREGATE_TYPE => Self::Subscription(serde_json::from_str(&lifted).map_err(failed)?),
            stripe_object::AGGREGATE_TYPE => Self::StripeObject(serde_json::from_str(&lifted).map_err(failed)?),
            _ => Self::Operation(serde_json::from_str(&lifted).map_err(failed)?),
        };
        let name = event_type.strip_prefix(aggregate);
        if name.and_then(|rest| rest.strip_prefix('.')) != Some(event.name()) {
            return Err(DecodeError::UnknownType(event_type.to_owned()));
        }
        Ok(event)
    }

    /// The payload as it is stored: one key, the event's name, over its content.
    pub fn encode(&self) -> Result<String, serde_json::Error> {
        match self {
            Self::Subscription(event) => serde_json::to_string(event),
            Self::StripeObject(event) => serde_json::to_string(event),
            Self::Operation(event) => serde_json::to_string(event),
        }
    }

    /// Aggregate type of its stream.
    #[must_use]
    pub const fn aggregate_type(&self) -> &'static str {
        match self {
            Self::Subscription(_) => subscription::AGGREGATE_TYPE,
            Self::StripeObject(_) => stripe_object::AGGREGATE_TYPE,
            Self::Operation(_) => operation::AGGREGATE_TYPE,
        }
    }

    /// Version it is written with.
    #[must_use]
    pub const fn version(&self) -> u32 {
        match self {
            Self::Subscription(_) => subscription::EVENT_VERSION,
            Self::StripeObject(_) => stripe_object::EVENT_VERSION,
            Self::Operation(_) => operation::EVENT_VERSION,
        }
    }

    /// Stored name without the aggregate's prefix.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Subscription(event) => event.name(),
            Self::StripeObject(event) => event.name(),
            Self::Operation(event) => event.name(),
        }
    }

    /// Stored name, for instance `subscription.plan_changed`.
    #[must_use]
    pub fn event_type(&self) -> String {
        format!("{}.{}", self.aggregate_type(), self.name())
    }

    /// Family, as the audit index shows it.
    #[must_use]
    pub const fn family(&self) -> &'static str {
        match self {
            Self::Subscription(event) => event.family(),
            Self::StripeObject(_) => "stripe_object",
            Self::Operation(event) => event.family(),
        }
    }
}

/// One event with its place on the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recorded {
    /// Stream it belongs to.
    pub stream: Box<str>,
    /// Place in its stream, from 1.
    pub sequence: u64,
    /// Partition.
    pub part: u32,
    /// Place in its partition, from 1, dense.
    pub position: u64,
    /// Tenant of the stream when it was recorded, if known.
    pub tenant: Option<Box<str>>,
    /// Id of the event.
    pub event_id: Uuid,
    /// When it happened.
    pub occurred_at: Timestamp,
    /// When we learnt it.
    pub recorded_at: Timestamp,
    /// What happened.
    pub event: LedgerEvent,
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const FAKE: &[Step] = &[Step {
        event_type: "subscription.customer_linked",
        from: 1,
        lift: |payload| json!({ "customer_linked": { "customer": payload["customer_linked"]["id"] } }),
    }];

    #[test]
    fn an_older_version_is_lifted_while_reading_and_a_newer_one_stops() {
        let decode = |version, payload: &str| {
            let kind = subscription::AGGREGATE_TYPE;
            LedgerEvent::decode_with(FAKE, 2, kind, "subscription.customer_linked", version, payload)
        };
        let old = decode(1, r#"{"customer_linked":{"id":"cus_1"}}"#).unwrap();
        let new = decode(2, r#"{"customer_linked":{"customer":"cus_1"}}"#).unwrap();
        assert_eq!(old, new);
        assert!(decode(2, r#"{"customer_linked":{"id":"cus_1"}}"#).is_err());
        for version in [0, 3] {
            let refused = decode(version, r#"{"customer_linked":{"customer":"cus_1"}}"#);
            assert!(matches!(refused, Err(DecodeError::NewerVersion { known: 2, .. })));
        }
    }

    #[test]
    fn a_name_that_is_not_the_payloads_stops() {
        let payload = r#"{"customer_linked":{"customer":"cus_1"}}"#;
        let decode = |aggregate, event_type| LedgerEvent::decode(aggregate, event_type, 1, payload);
        assert!(decode("subscription", "subscription.customer_linked").is_ok());
        let other = decode("subscription", "subscription.account_opened");
        assert!(matches!(other, Err(DecodeError::UnknownType(_))));
        let payload = r#"{"access_restricted":{"reason":"a later release"}}"#;
        let later = LedgerEvent::decode("subscription", "subscription.access_restricted", 1, payload);
        assert!(matches!(later, Err(DecodeError::UnknownType(_))), "{later:?}");
        let unreadable = LedgerEvent::decode("subscription", "subscription.customer_linked", 1, "{}");
        assert!(matches!(unreadable, Err(DecodeError::Payload { .. })), "{unreadable:?}");
        let unknown = decode("payments", "payments.customer_linked");
        assert!(matches!(unknown, Err(DecodeError::UnknownAggregate(_))));
    }
}

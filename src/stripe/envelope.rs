//! What the receiver must know of a body before it is stored: whose it is, what it is called, when.
//!
//! The scan is cheap and tolerant. It borrows from the body, looks only at the envelope's own keys,
//! and reads each of them by itself, so a strange value costs that value and not the receipt. A body
//! that cannot be read at all still gets an identity, `body:<sha256>`, and a [`Fault`] that says why
//! it will be quarantined: what is validly signed is always stored.

use std::borrow::Cow;
use std::fmt;

use aggregates::ids::StripeEventId;
use aggregates::time::Timestamp;
use ring::digest;
use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

/// Deepest nesting read. Stripe's deepest objects have about 12 levels; readers that recurse stay far from
/// the end of their stack, and serde_json itself refuses more than this.
pub const DEPTH_MAX: usize = 127;
/// Longest event type, account, version or request id kept, in bytes; Stripe's are below 80.
pub const TEXT_BYTES_MAX: usize = 255;
/// The type under which a body without a readable one is counted.
pub const TYPE_UNKNOWN: &str = "unknown";

/// The envelope of one delivery.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Envelope {
    /// The event's own id, or `body:<sha256 in hex>`.
    pub event_id: StripeEventId,
    /// The event's type as Stripe names it, or [`TYPE_UNKNOWN`].
    pub event_type: String,
    /// Live or test mode; absent when the body does not say.
    pub livemode: Option<bool>,
    /// The connected account it belongs to; absent for the account that owns the endpoint.
    pub account: Option<String>,
    /// When Stripe made the event.
    pub created: Option<Timestamp>,
    /// The API version the event's data is written in; absent for thin events.
    pub api_version: Option<String>,
    /// A notification without the object itself (`object: "v2.core.event"`).
    pub thin: bool,
    /// The API request that caused it.
    pub request_id: Option<String>,
    /// The idempotency key of that request: ours, when the event is the echo of our own call.
    pub idempotency_key: Option<String>,
    /// Why the body must be quarantined, if it must.
    pub fault: Option<Fault>,
}

/// Why a signed body cannot be taken for an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// Not JSON, or not UTF-8.
    #[error("the body is not JSON")]
    NotJson,
    /// JSON, but an array, a text or a number.
    #[error("the body is JSON, but not an object")]
    NotAnObject,
    /// Deeper than [`DEPTH_MAX`].
    #[error("the body nests deeper than 127 levels")]
    TooDeep,
    /// One envelope key is given twice, so which one was meant is anyone's guess.
    #[error("the body gives one of the envelope's keys twice")]
    KeyTwice,
    /// No `id`, or one that is not a text of 1 to 255 bytes without spaces.
    #[error("the event has no usable id")]
    NoId,
}

impl Envelope {
    /// Reads the envelope of any bytes; never fails and never panics.
    #[must_use]
    pub fn scan(body: &[u8]) -> Self {
        match read(body) {
            Ok(keys) => keys.into_envelope(body),
            Err(fault) => Self::unreadable(body, fault),
        }
    }

    fn unreadable(body: &[u8], fault: Fault) -> Self {
        Self {
            event_id: id_of_body(body),
            event_type: TYPE_UNKNOWN.to_owned(),
            livemode: None,
            account: None,
            created: None,
            api_version: None,
            thin: false,
            request_id: None,
            idempotency_key: None,
            fault: Some(fault),
        }
    }
}

/// `body:<sha256>`: the same bytes are the same event, however often they come.
#[must_use]
pub fn id_of_body(body: &[u8]) -> StripeEventId {
    let mut bytes = [0; 32];
    bytes.copy_from_slice(digest::digest(&digest::SHA256, body).as_ref());
    StripeEventId::of_body(&bytes)
}

/// The deepest nesting of arrays and objects, found without recursion. Bytes that are not JSON may give any answer.
#[must_use]
pub fn depth(body: &[u8]) -> usize {
    let (mut depth, mut deepest) = (0_usize, 0);
    let (mut in_text, mut escaped) = (false, false);
    for byte in body {
        if in_text {
            in_text = escaped || *byte != b'"';
            escaped = !escaped && *byte == b'\\';
            continue;
        }
        match byte {
            b'"' => in_text = true,
            b'{' | b'[' => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b'}' | b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

fn read(body: &[u8]) -> Result<Keys<'_>, Fault> {
    let text = std::str::from_utf8(body).map_err(|_| Fault::NotJson)?;
    if depth(body) > DEPTH_MAX {
        return Err(Fault::TooDeep);
    }
    let keys: Keys<'_> = match serde_json::from_str(text) {
        Ok(keys) => keys,
        Err(_) if serde_json::from_str::<IgnoredAny>(text).is_ok() => return Err(Fault::NotAnObject),
        Err(_) => return Err(Fault::NotJson),
    };
    if keys.twice { Err(Fault::KeyTwice) } else { Ok(keys) }
}

/// The envelope's keys, each still raw.
#[derive(Default)]
struct Keys<'a> {
    id: Option<&'a RawValue>,
    event_type: Option<&'a RawValue>,
    object: Option<&'a RawValue>,
    livemode: Option<&'a RawValue>,
    account: Option<&'a RawValue>,
    context: Option<&'a RawValue>,
    created: Option<&'a RawValue>,
    api_version: Option<&'a RawValue>,
    request: Option<&'a RawValue>,
    reason: Option<&'a RawValue>,
    twice: bool,
}

impl<'a> Keys<'a> {
    fn slot(&mut self, key: &str) -> Option<&mut Option<&'a RawValue>> {
        match key {
            "id" => Some(&mut self.id),
            "type" => Some(&mut self.event_type),
            "object" => Some(&mut self.object),
            "livemode" => Some(&mut self.livemode),
            "account" => Some(&mut self.account),
            "context" => Some(&mut self.context),
            "created" => Some(&mut self.created),
            "api_version" => Some(&mut self.api_version),
            "request" => Some(&mut self.request),
            "reason" => Some(&mut self.reason),
            _ => None,
        }
    }

    fn into_envelope(self, body: &[u8]) -> Envelope {
        let own_id = self
            .id
            .and_then(|raw| serde_json::from_str::<Cow<'_, str>>(raw.get()).ok())
            .and_then(|id| StripeEventId::parse(&id).ok());
        let thin = text(self.object).is_some_and(|object| object.starts_with("v2."));
        let (request_id, idempotency_key) = request(self.request, self.reason);
        Envelope {
            fault: own_id.is_none().then_some(Fault::NoId),
            event_id: own_id.unwrap_or_else(|| id_of_body(body)),
            event_type: text(self.event_type).unwrap_or_else(|| TYPE_UNKNOWN.to_owned()),
            livemode: self.livemode.and_then(|raw| serde_json::from_str(raw.get()).ok()),
            account: text(self.account).or_else(|| text(self.context)),
            created: self.created.and_then(created),
            api_version: text(self.api_version),
            thin,
            request_id,
            idempotency_key,
        }
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Keys<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(KeysVisitor)
    }
}

struct KeysVisitor;

impl<'de> Visitor<'de> for KeysVisitor {
    type Value = Keys<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an event")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Keys<'de>, A::Error> {
        let mut keys = Keys::default();
        while let Some(key) = map.next_key::<Key<'de>>()? {
            match keys.slot(&key.0) {
                Some(slot) => {
                    let raw = map.next_value::<&'de RawValue>()?;
                    let twice = slot.replace(raw).is_some();
                    keys.twice |= twice;
                }
                None => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(keys)
    }
}

/// A key, borrowed unless it is written with escapes.
#[derive(Deserialize)]
struct Key<'a>(#[serde(borrow)] Cow<'a, str>);

/// A text of 1 to [`TEXT_BYTES_MAX`] bytes without control characters; anything else counts as absent.
fn text(raw: Option<&RawValue>) -> Option<String> {
    let text: String = serde_json::from_str(raw?.get()).ok()?;
    let usable = !text.is_empty() && text.len() <= TEXT_BYTES_MAX && !text.chars().any(char::is_control);
    usable.then_some(text)
}

/// Whole seconds (also as an integral float) in snapshot events, RFC 3339 text in thin ones.
fn created(raw: &RawValue) -> Option<Timestamp> {
    if let Ok(text) = serde_json::from_str::<String>(raw.get()) {
        return Timestamp::parse(&text).ok();
    }
    let digits = raw.get().strip_suffix(".0").unwrap_or(raw.get());
    Timestamp::from_seconds(digits.parse().ok()?).ok()
}

/// Who asked: an object with `id` and `idempotency_key`, before 2017-05-25 a plain text, in thin events
/// under `reason.request`.
fn request(request: Option<&RawValue>, reason: Option<&RawValue>) -> (Option<String>, Option<String>) {
    #[derive(Deserialize)]
    struct Request<'a> {
        #[serde(borrow, default)]
        id: Option<&'a RawValue>,
        #[serde(borrow, default)]
        idempotency_key: Option<&'a RawValue>,
    }
    #[derive(Deserialize)]
    struct Reason<'a> {
        #[serde(borrow, default)]
        request: Option<&'a RawValue>,
    }
    let inside = |raw: &'_ RawValue| {
        serde_json::from_str::<Request<'_>>(raw.get())
            .map(|request| (text(request.id), text(request.idempotency_key)))
            .unwrap_or_default()
    };
    if let Some(raw) = request.filter(|raw| raw.get() != "null") {
        return match text(Some(raw)) {
            Some(id) => (Some(id), None),
            None => inside(raw),
        };
    }
    reason
        .and_then(|raw| serde_json::from_str::<Reason<'_>>(raw.get()).ok())
        .and_then(|reason| reason.request)
        .map(inside)
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn scan(body: &str) -> Envelope {
        Envelope::scan(body.as_bytes())
    }

    #[test]
    fn a_snapshot_event() {
        let envelope = scan(
            r#"{"id":"evt_1","object":"event","api_version":"2025-03-31.basil","created":1700000000,
                "livemode":false,"account":"acct_1","pending_webhooks":1,"data":{"object":{"id":"sub_1","type":"x"}},
                "request":{"id":"req_1","idempotency_key":"key_1"},"type":"customer.subscription.updated"}"#,
        );
        assert_eq!(envelope.event_id.as_str(), "evt_1");
        assert_eq!(envelope.event_type, "customer.subscription.updated");
        assert_eq!(envelope.livemode, Some(false));
        assert_eq!(envelope.account.as_deref(), Some("acct_1"));
        assert_eq!(envelope.created.map(Timestamp::seconds), Some(1_700_000_000));
        assert_eq!(envelope.api_version.as_deref(), Some("2025-03-31.basil"));
        assert_eq!(envelope.request_id.as_deref(), Some("req_1"));
        assert_eq!(envelope.idempotency_key.as_deref(), Some("key_1"));
        assert!(!envelope.thin);
        assert_eq!(envelope.fault, None);
    }

    #[test]
    fn a_thin_event() {
        let envelope = scan(
            r#"{"id":"evt_2","object":"v2.core.event","created":"2026-10-28T10:00:00.000Z","livemode":true,
                "context":"acct_2","reason":{"type":"request","request":{"id":"req_2","idempotency_key":"key_2"}},
                "related_object":{"id":"sub_1","type":"subscription","url":"/v1/subscriptions/sub_1"},
                "type":"v1.customer.subscription.active"}"#,
        );
        assert!(envelope.thin);
        assert_eq!(envelope.account.as_deref(), Some("acct_2"));
        assert_eq!(envelope.created, Timestamp::parse("2026-10-28T10:00:00Z").ok());
        assert_eq!(envelope.request_id.as_deref(), Some("req_2"));
        assert_eq!(envelope.idempotency_key.as_deref(), Some("key_2"));
    }

    #[test]
    fn each_strange_value_costs_only_itself() {
        let envelope = scan(
            r#"{"\u0069d":"evt_\u0033","type":7,"livemode":"yes","account":{},"created":1700000000.0,
                "api_version":null,"request":"req_old"}"#,
        );
        assert_eq!(envelope.event_id.as_str(), "evt_3");
        assert_eq!(envelope.event_type, TYPE_UNKNOWN);
        assert_eq!(envelope.livemode, None);
        assert_eq!(envelope.account, None);
        assert_eq!(envelope.created.map(Timestamp::seconds), Some(1_700_000_000));
        assert_eq!(envelope.request_id.as_deref(), Some("req_old"));
        assert_eq!(envelope.fault, None);
        for created in [
            "1700000000.5",
            "1e9",
            "-1e400",
            "99999999999999999999",
            "[]",
            "\"soon\"",
        ] {
            let envelope = scan(&format!(r#"{{"id":"evt_1","created":{created}}}"#));
            assert_eq!((envelope.created, envelope.fault), (None, None), "{created}");
        }
    }

    #[test]
    fn unreadable_bodies_get_an_id_and_a_reason() {
        let deep = |levels: usize| format!(r#"{{"id":"evt_1","x":{}{}}}"#, "[".repeat(levels), "]".repeat(levels));
        for (body, fault) in [
            (String::new(), Fault::NotJson),
            ("nonsense".into(), Fault::NotJson),
            (r#"{"id":"evt_1""#.into(), Fault::NotJson),
            (r#"{"id":"evt_1"} {}"#.into(), Fault::NotJson),
            ("[]".into(), Fault::NotAnObject),
            ("\"evt_1\"".into(), Fault::NotAnObject),
            ("null".into(), Fault::NotAnObject),
            ("{}".into(), Fault::NoId),
            (r#"{"id":17}"#.into(), Fault::NoId),
            (r#"{"id":""}"#.into(), Fault::NoId),
            (r#"{"id":"evt 1"}"#.into(), Fault::NoId),
            (format!(r#"{{"id":"{}"}}"#, "e".repeat(256)), Fault::NoId),
            (r#"{"id":"evt_1","id":"evt_2"}"#.into(), Fault::KeyTwice),
            (deep(127), Fault::TooDeep),
            (deep(500_000), Fault::TooDeep),
        ] {
            let envelope = scan(&body);
            let shown = &body[..body.len().min(60)];
            assert_eq!(envelope.fault, Some(fault), "{shown}");
            assert!(envelope.event_id.as_str().starts_with("body:"), "{shown}");
            assert_eq!(envelope.event_id, id_of_body(body.as_bytes()));
        }
        assert_eq!(scan(&deep(126)).fault, None);
        assert_eq!(scan(r#"{"id":"evt_1","x":"[[[[\"[[["}"#).fault, None);
        assert_eq!(Envelope::scan(b"{\"id\":\"evt_\xff\"}").fault, Some(Fault::NotJson));
    }

    #[test]
    fn the_type_of_an_id_less_event_is_still_counted() {
        assert_eq!(scan(r#"{"type":"invoice.paid"}"#).event_type, "invoice.paid");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]

        #[test]
        fn any_bytes_get_an_envelope(body in proptest::collection::vec(any::<u8>(), 0..300)) {
            let envelope = Envelope::scan(&body);
            prop_assert_eq!(envelope.event_id.as_str().starts_with("body:"), envelope.fault.is_some());
        }

        #[test]
        fn any_cut_of_an_event_gets_an_envelope(cut in 0_usize..120) {
            let body = br#"{"id":"evt_1","object":"event","type":"invoice.paid","created":1,"data":{"object":{"a":["\u00e9",1.5e3,null]}}}"#;
            let envelope = Envelope::scan(&body[..cut.min(body.len())]);
            prop_assert_eq!(envelope.fault.is_none(), cut >= body.len());
        }
    }
}

//! What must hold for any bytes that Stripe's endpoint is sent. Each property panics where it does not.

use std::sync::Arc;

use aggregates::money::MINOR_MAX;
use aggregates::observation::{ObjectObservation, Observation};
use aggregates::recorded::LedgerEvent;
use aggregates::stripe_object::{self, ObjectState};
use aggregates::subscription::{self, AccountState, Decision, NoPlans, SubscriptionCommand};
use aggregates::time::Timestamp;
use ring::hmac;
use serde_json::Value;
use subledger::inbox::{Delivery, NewReceipt};
use subledger::stripe::envelope::{self, Envelope};
use subledger::stripe::signature::{NamedSecret, SignatureError, Tolerance, Verifier};
use subledger::stripe::translate::{Outcome, Translator};

/// The clock of every property.
const NOW: i64 = 1_800_000_000;
/// The secrets of the endpoint.
const SECRETS: [&str; 2] = ["whsec_first_0123456789", "whsec_second_0123456789"];
/// How old a signature may be.
const TOLERANCE: i64 = 300;

fn now() -> Timestamp {
    Timestamp::from_seconds(NOW).expect("a time")
}

fn tag(secret: &str, signed_at: &[u8], body: &[u8]) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
    let mut context = hmac::Context::with_key(&key);
    context.update(signed_at);
    context.update(b".");
    context.update(body);
    hex::encode(context.sign())
}

/// The input as a header and a body: two bytes give the length of the body, the rest is the header. In it the bytes 1
/// and 2 stand for the right signatures of the two secrets over the header's own time, and 3 for the time now, so that
/// whoever makes inputs finds the way in.
fn header_and_body(input: &[u8]) -> (Vec<u8>, &[u8]) {
    let (Some(high), Some(low)) = (input.first(), input.get(1)) else {
        return (Vec::new(), b"");
    };
    let rest = &input[2..];
    let length = (usize::from(*high) << 8 | usize::from(*low)).min(rest.len());
    let (body, template) = rest.split_at(length);
    let mut timed = Vec::new();
    for byte in template {
        match byte {
            3 => timed.extend(NOW.to_string().bytes()),
            other => timed.push(*other),
        }
    }
    let signed_at = elements(&timed)
        .find(|(name, _)| name == b"t")
        .map(|(_, value)| value)
        .unwrap_or_default();
    let mut header = Vec::new();
    for byte in &timed {
        match byte {
            1 | 2 => header.extend(tag(SECRETS[usize::from(byte - 1)], &signed_at, body).bytes()),
            other => header.push(*other),
        }
    }
    (header, body)
}

/// The `name=value` elements of a header; what has no `=` is none.
fn elements(header: &[u8]) -> impl Iterator<Item = (Vec<u8>, Vec<u8>)> {
    header.split(|byte| *byte == b',').filter_map(|element| {
        let at = element.iter().position(|byte| *byte == b'=')?;
        Some((
            element[..at].trim_ascii().to_vec(),
            element[at + 1..].trim_ascii().to_vec(),
        ))
    })
}

/// The rules read plainly: the secret that signed it, or which rule it breaks.
fn plainly(header: &[u8], body: &[u8]) -> Result<usize, &'static str> {
    if header.trim_ascii().is_empty() {
        return Err("no_header");
    }
    if header.len() > 4096 || header.split(|byte| *byte == b',').count() > 16 {
        return Err("malformed");
    }
    let all: Vec<(Vec<u8>, Vec<u8>)> = elements(header).collect();
    let times: Vec<&Vec<u8>> = all
        .iter()
        .filter(|(name, _)| name == b"t")
        .map(|(_, value)| value)
        .collect();
    let [signed_at] = times[..] else {
        return Err("malformed");
    };
    if signed_at.is_empty() || !signed_at.iter().all(u8::is_ascii_digit) {
        return Err("malformed");
    }
    let seconds = std::str::from_utf8(signed_at)
        .ok()
        .and_then(|digits| digits.parse::<i64>().ok());
    let seconds = seconds
        .filter(|seconds| Timestamp::from_seconds(*seconds).is_ok())
        .ok_or("malformed")?;
    let is_tag = |value: &&Vec<u8>| value.len() == 64 && value.iter().all(u8::is_ascii_hexdigit);
    let candidates: Vec<String> = all
        .iter()
        .filter(|(name, _)| name == b"v1")
        .map(|(_, value)| value)
        .filter(is_tag)
        .map(|value| String::from_utf8_lossy(value).to_ascii_lowercase())
        .collect();
    if candidates.is_empty() {
        return Err("malformed");
    }
    // The last of several secrets that match is the one named.
    let matching = (0..SECRETS.len()).rfind(|at| candidates.contains(&tag(SECRETS[*at], signed_at, body)));
    let matching = matching.ok_or("no_match")?;
    if NOW.saturating_sub(seconds) > TOLERANCE {
        return Err("too_old");
    }
    Ok(matching)
}

/// The verifier accepts exactly what the plain reading accepts, and names the same secret or the same reason.
pub(crate) fn signature_header(input: &[u8]) {
    let (header, body) = header_and_body(input);
    let secrets = SECRETS
        .iter()
        .zip(["0", "1"])
        .map(|(secret, name)| NamedSecret::parse(name, secret).expect("a secret"));
    let verifier = Verifier::new(secrets.collect(), Tolerance::parse(TOLERANCE).expect("a tolerance"));
    let first = verifier.verify(Some(&header), body, now());
    assert_eq!(first, verifier.verify(Some(&header), body, now()), "twice alike");
    let ours = first.as_ref().map(|verified| verified.secret_name.to_string());
    let ours = ours.map_err(SignatureError::reason);
    let plain = plainly(&header, body).map(|at| at.to_string());
    assert_eq!(ours, plain, "{}", String::from_utf8_lossy(&header));
    if first.is_ok() {
        let mut other = body.to_vec();
        other.push(b' ');
        assert!(
            verifier.verify(Some(&header), &other, now()).is_err(),
            "another body is not signed"
        );
    }
}

/// A body becomes one envelope and one translation; what it says is recorded once and read back the same.
pub(crate) fn webhook_body(body: &[u8]) {
    let envelope = Envelope::scan(body);
    assert_eq!(envelope, Envelope::scan(body), "twice alike");
    assert!((1..=255).contains(&envelope.event_id.as_str().len()));
    assert!(envelope.event_type.len() <= envelope::TEXT_BYTES_MAX);
    masked(body);
    let translator = Translator::new(&["organizationId".to_owned()]);
    let translation = translator.translate(&envelope, body);
    assert_eq!(translation, translator.translate(&envelope, body), "twice alike");
    match translation.outcome {
        Outcome::Facts(facts) => {
            let count = facts.accounts.len() + facts.objects.len() + facts.links.len() + facts.fetches.len();
            assert!(count <= body.len(), "{count} facts of {} bytes", body.len());
            for fact in facts.accounts {
                account(fact.observation);
            }
            for observation in facts.objects {
                object(&observation);
            }
        }
        Outcome::Ignored(_) => {}
        Outcome::Quarantined(reason) => assert!(!reason.to_string().is_empty()),
    }
}

/// An observation of an account is recorded, stored, read back, and records nothing a second time.
fn account(observation: Observation) {
    let mut state = AccountState::default();
    let command = SubscriptionCommand::Observe(Box::new(observation));
    if let Ok(Decision::Record { events, .. }) = subscription::decide(&state, &command, &NoPlans) {
        assert!(!events.is_empty());
        for event in events {
            kept(&LedgerEvent::Subscription(event.clone()));
            state.evolve(&event);
        }
    }
    let again = subscription::decide(&state, &command, &NoPlans);
    assert!(
        !matches!(again, Ok(Decision::Record { .. })),
        "recorded twice: {command:?}"
    );
}

/// The same for an object without an account.
fn object(observation: &ObjectObservation) {
    let mut state = ObjectState::default();
    if let Decision::Record { events, .. } = stripe_object::decide(&state, observation) {
        for event in events {
            kept(&LedgerEvent::StripeObject(event.clone()));
            state.evolve(&event);
        }
    }
    let again = stripe_object::decide(&state, observation);
    assert!(
        !matches!(again, Decision::Record { .. }),
        "recorded twice: {observation:?}"
    );
}

/// What is stored is read back as it was, with every amount in range.
fn kept(event: &LedgerEvent) {
    let payload = event.encode().expect("JSON");
    let kind = event.aggregate_type();
    let name = format!("{kind}.{}", event.name());
    let read = LedgerEvent::decode(kind, &name, event.version(), &payload)
        .unwrap_or_else(|error| panic!("{error}: {payload}"));
    assert_eq!(&read, event, "{payload}");
    amounts(&serde_json::from_str(&payload).expect("JSON"), &payload);
}

/// No float anywhere, and nothing that is called minor beyond the largest amount.
fn amounts(value: &Value, payload: &str) {
    match value {
        Value::Object(map) => {
            for (name, value) in map {
                if name.ends_with("_minor") && !value.is_null() {
                    let amount = value.as_i64().unwrap_or_else(|| panic!("{name} is {value}: {payload}"));
                    assert!(amount.unsigned_abs() <= MINOR_MAX.unsigned_abs(), "{name} is {amount}");
                }
                amounts(value, payload);
            }
        }
        Value::Array(rows) => rows.iter().for_each(|row| amounts(row, payload)),
        Value::Number(number) => assert!(!number.is_f64(), "{number} is a float: {payload}"),
        Value::Null | Value::Bool(_) | Value::String(_) => {}
    }
}

/// What is stored of a body holds no card number a second look would find, and is JSON where the body was.
fn masked(body: &[u8]) {
    let stored = |body: &[u8]| {
        let delivery = Delivery {
            body: body.to_vec().into(),
            signature: "t=1,v1=00".into(),
            secret_name: Arc::from("main"),
            endpoint: Arc::from("/webhooks/stripe"),
            received_at: now(),
        };
        NewReceipt::of(delivery, 64)
    };
    let receipt = stored(body);
    assert!(receipt.part < 64);
    if receipt.masked {
        let again = stored(&receipt.body);
        assert!(again.body == receipt.body, "a second look finds more");
        let is_json = |body: &[u8]| serde_json::from_slice::<serde::de::IgnoredAny>(body).is_ok();
        assert!(!is_json(body) || is_json(&receipt.body), "JSON before, not after");
    } else {
        assert!(receipt.body[..] == *body, "nothing was found, and something changed");
    }
}

//! Translation: what each Stripe event becomes, in every era's shape, and when it is damaged.

mod damage;
mod effects;
mod eras;
pub(crate) mod samples;
mod shapes;

use serde_json::{Value, json};
use subledger::stripe::envelope::Envelope;
use subledger::stripe::translate::{AccountFact, Facts, Outcome, Translation, Translator};

/// When the events of these tests happened, in seconds.
pub(crate) const CREATED: i64 = 1_790_000_000;

/// A snapshot event around an object.
pub(crate) fn event(kind: &str, object: &Value) -> Value {
    json!({
        "id": "evt_test", "object": "event", "api_version": "2026-09-30.endive", "created": CREATED,
        "livemode": false, "pending_webhooks": 1, "request": {"id": null, "idempotency_key": null},
        "type": kind, "data": {"object": object},
    })
}

/// What an event means, with the alias `organizationId` for the tenant.
pub(crate) fn translate(event: &Value) -> Translation {
    let body = serde_json::to_vec(event).unwrap();
    Translator::new(&["organizationId".to_owned()]).translate(&Envelope::scan(&body), &body)
}

/// The facts of an event that has some.
pub(crate) fn facts(event: &Value) -> Facts {
    match translate(event).outcome {
        Outcome::Facts(facts) => facts,
        other => panic!("{}: {other:?}", event["type"]),
    }
}

/// The one fact about an account.
pub(crate) fn fact(kind: &str, object: &Value) -> AccountFact {
    let mut facts = facts(&event(kind, object));
    assert_eq!(facts.accounts.len(), 1, "{kind}");
    facts.accounts.remove(0)
}

/// Why an event is quarantined.
pub(crate) fn quarantined(event: &Value) -> String {
    match translate(event).outcome {
        Outcome::Quarantined(reason) => reason.to_string(),
        other => panic!("{}: {other:?}", event["type"]),
    }
}

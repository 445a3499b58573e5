//! Stripe's answers in the words of the domain.

use aggregates::subscription::settled::{CallOutcome, Refusal, RefusalKind};
use serde_json::Value;

use crate::stripe::gateway;

/// Codes with which Stripe says that the object stands so that it cannot be done.
const NOT_POSSIBLE: &[&str] = &[
    "amount_too_large",
    "amount_too_small",
    "charge_already_refunded",
    "charge_disputed",
    "coupon_expired",
    "invoice_not_editable",
    "invoice_already_paid",
    "invoice_not_open",
    "no_account",
    "payment_intent_unexpected_state",
    "promotion_code_expired",
    "resource_already_exists",
    "subscription_canceled",
];

/// A refusal of Stripe's.
pub(in crate::process) fn rejected(refusal: &gateway::Refusal) -> CallOutcome {
    let word = |text: &Option<String>| text.as_deref().map(Into::into);
    CallOutcome::Rejected(Refusal {
        kind: kind_of(refusal),
        code: word(&refusal.code),
        decline_code: word(&refusal.decline_code),
        param: word(&refusal.param),
    })
}

/// What kind of refusal it is, by what helps.
#[must_use]
pub fn kind_of(refusal: &gateway::Refusal) -> RefusalKind {
    let code = refusal.code.as_deref().unwrap_or_default();
    if code.ends_with("requires_action") || code == "authentication_required" {
        return RefusalKind::ActionRequired;
    }
    if refusal.status == 402 || refusal.kind.as_deref() == Some("card_error") {
        return RefusalKind::Declined;
    }
    if refusal.is_missing() {
        return RefusalKind::NotFound;
    }
    if matches!(refusal.status, 401 | 403) {
        return RefusalKind::NotAllowed;
    }
    // Stripe gives no code to most of what the state of an object forbids, and names a parameter for what is malformed.
    let is_about_the_call = refusal.param.is_some() || code.starts_with("parameter_");
    if NOT_POSSIBLE.contains(&code) || !is_about_the_call {
        RefusalKind::NotPossible
    } else {
        RefusalKind::Invalid
    }
}

/// Done; the object that was made or changed.
pub(super) fn applied(object: &Value) -> CallOutcome {
    let id = object.get("id").and_then(Value::as_str);
    CallOutcome::Applied {
        object: id.map(Into::into),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_are_told_apart_by_what_helps() {
        let of = |status: u16, kind: &str, code: &str, param: &str| gateway::Refusal {
            status,
            kind: (!kind.is_empty()).then(|| kind.to_owned()),
            code: (!code.is_empty()).then(|| code.to_owned()),
            decline_code: None,
            message: "No such customer: Jane Doe".to_owned(),
            param: (!param.is_empty()).then(|| param.to_owned()),
            request_id: None,
        };
        let cases = [
            (
                (402, "card_error", "card_declined", "payment_method"),
                RefusalKind::Declined,
            ),
            (
                (402, "card_error", "authentication_required", ""),
                RefusalKind::ActionRequired,
            ),
            (
                (
                    400,
                    "invalid_request_error",
                    "invoice_payment_intent_requires_action",
                    "",
                ),
                RefusalKind::ActionRequired,
            ),
            (
                (404, "invalid_request_error", "resource_missing", "id"),
                RefusalKind::NotFound,
            ),
            (
                (400, "invalid_request_error", "resource_missing", "coupon"),
                RefusalKind::NotFound,
            ),
            ((401, "invalid_request_error", "", ""), RefusalKind::NotAllowed),
            ((403, "invalid_request_error", "", ""), RefusalKind::NotAllowed),
            (
                (400, "invalid_request_error", "charge_already_refunded", ""),
                RefusalKind::NotPossible,
            ),
            (
                (400, "invalid_request_error", "coupon_expired", "coupon"),
                RefusalKind::NotPossible,
            ),
            ((400, "invalid_request_error", "", ""), RefusalKind::NotPossible),
            (
                (400, "invalid_request_error", "parameter_unknown", "x"),
                RefusalKind::Invalid,
            ),
            ((400, "invalid_request_error", "", "items"), RefusalKind::Invalid),
        ];
        for ((status, word, code, param), wanted) in cases {
            assert_eq!(
                kind_of(&of(status, word, code, param)),
                wanted,
                "{status} {word} {code} {param}"
            );
        }
        // Stripe's sentence may name people and is not kept.
        let kept = serde_json::to_string(&rejected(&of(404, "", "resource_missing", ""))).expect("JSON");
        assert!(!kept.contains("Jane"), "{kept}");
    }
}

//! Disputes: money that a customer's bank takes back, and may give again.

use serde_json::{Value, json};

use super::balance::{self, Movement};
use super::charges::CHARGE;
use super::{Family, Hook, Route, hooks};
use crate::list_params;
use crate::shape::list::list;
use crate::shape::read::{number, text};
use crate::state::State;
use crate::state::store::Kind;
use crate::wire::call::{Outcome, Request};
use crate::wire::error::ApiError;

/// `du_..`
pub const DISPUTE: Kind = Kind {
    object: "dispute",
    prefix: "du_1",
    random: 23,
    path: "/v1/disputes",
};

/// Time to answer, in seconds.
const ANSWER_SECONDS: i64 = 9 * 86_400;
/// Names of evidence that are not objects.
const EVIDENCE: &[&str] = &[
    "access_activity_log",
    "billing_address",
    "cancellation_policy",
    "cancellation_policy_disclosure",
    "cancellation_rebuttal",
    "customer_communication",
    "customer_email_address",
    "customer_name",
    "customer_purchase_ip",
    "customer_signature",
    "duplicate_charge_documentation",
    "duplicate_charge_explanation",
    "duplicate_charge_id",
    "product_description",
    "receipt",
    "refund_policy",
    "refund_policy_disclosure",
    "refund_refusal_explanation",
    "service_date",
    "service_documentation",
    "shipping_address",
    "shipping_carrier",
    "shipping_date",
    "shipping_documentation",
    "shipping_tracking_number",
    "uncategorized_file",
    "uncategorized_text",
];

/// Disputes.
pub const FAMILY: Family = Family {
    kinds: &[&DISPUTE],
    routes: &[
        Route::get(
            "/v1/disputes",
            concat!("charge payment_intent created?{gt gte lt lte}", list_params!()),
            index,
        ),
        Route::get("/v1/disputes/{dispute}", "expand[]", show),
        Route::post("/v1/disputes/{dispute}", "evidence* metadata* submit expand[]", update),
        Route::post("/v1/disputes/{dispute}/close", "expand[]", close),
    ],
    ..Family::EMPTY
};

/// Opens a dispute of a charge; an inquiry moves no money.
pub(super) fn open(state: &mut State, charge: &Value, inquiry: bool) {
    let now = state.now_of(charge);
    let mut evidence = json!({"enhanced_evidence": {}});
    for name in EVIDENCE {
        evidence[*name] = Value::Null;
    }
    let brand = &charge["payment_method_details"]["card"]["brand"];
    let dispute = json!({
        "id": state.new_id(&DISPUTE),
        "object": "dispute",
        "amount": charge["amount"],
        "balance_transactions": [],
        "charge": charge["id"],
        "created": now,
        "currency": charge["currency"],
        "enhanced_eligibility_types": [],
        "evidence": evidence,
        "evidence_details": {
            "due_by": now + ANSWER_SECONDS, "enhanced_eligibility": {}, "has_evidence": false, "past_due": false,
            "submission_count": 0,
        },
        "is_charge_refundable": inquiry,
        "livemode": false,
        "metadata": {},
        "payment_intent": charge["payment_intent"],
        "payment_method_details": {"type": "card", "card": {
            "brand": brand, "case_type": if inquiry { "inquiry" } else { "chargeback" }, "network": brand,
            "network_reason_code": "10.4",
        }},
        "reason": "fraudulent",
        "status": if inquiry { "warning_needs_response" } else { "needs_response" },
        "_customer": charge["customer"],
    });
    let id = text(&dispute, "id").unwrap_or_default().to_owned();
    state.put(&DISPUTE, dispute.clone());
    let mut disputed = charge.clone();
    disputed["disputed"] = json!(true);
    state.put(&CHARGE, disputed);
    state.emit("charge.dispute.created", &dispute);
    if !inquiry {
        let withdrawn = move_money(
            state,
            &dispute,
            -number(charge, "amount"),
            state.settings.dispute_fee,
            "dispute",
        );
        let _ = note(state, &id, withdrawn, "charge.dispute.funds_withdrawn");
    }
}

fn move_money(state: &mut State, dispute: &Value, amount: i64, fee: i64, category: &str) -> Value {
    let movement = Movement {
        kind: "adjustment",
        category,
        amount,
        fee,
        currency: text(dispute, "currency").unwrap_or_default(),
        source: text(dispute, "id").unwrap_or_default(),
        description: Some("Chargeback"),
        wait: 0,
        customer: text(dispute, "_customer"),
    };
    balance::post(state, &movement)
}

fn note(state: &mut State, id: &str, transaction: Value, event: &str) -> Result<Value, ApiError> {
    let changed = state.change(&DISPUTE, id, "", |dispute| {
        if let Some(all) = dispute["balance_transactions"].as_array_mut() {
            all.push(transaction);
        }
        Ok(())
    })?;
    state.emit(event, &changed);
    Ok(changed)
}

/// Ends a dispute: `won`, `lost`, `warning_closed`.
fn end(state: &mut State, id: &str, status: &str) -> Result<Value, ApiError> {
    let ended = state.change(&DISPUTE, id, "", |dispute| {
        dispute["status"] = json!(status);
        Ok(())
    })?;
    let ended = if status == "won" {
        let returned = move_money(state, &ended, number(&ended, "amount"), 0, "dispute_reversal");
        note(state, id, returned, "charge.dispute.funds_reinstated")?
    } else {
        ended
    };
    state.emit("charge.dispute.closed", &ended);
    let charge = text(&ended, "charge").unwrap_or_default().to_owned();
    for hook in hooks() {
        if let Hook::ChargeChanged(act) = hook {
            act(state, &charge)?;
        }
    }
    Ok(ended)
}

fn is_open(dispute: &Value) -> bool {
    !matches!(text(dispute, "status"), Some("won" | "lost" | "warning_closed"))
}

fn show(state: &mut State, request: &Request) -> Outcome {
    Ok(state.get(&DISPUTE, request.id(), "dispute")?.clone().into())
}

fn update(state: &mut State, request: &Request) -> Outcome {
    let params = request.params();
    if !is_open(state.get(&DISPUTE, request.id(), "dispute")?) {
        return Err(ApiError::state("dispute_closed", "This dispute is already closed."));
    }
    let given = params.object("evidence");
    let submits = given.is_some() && params.flag("submit")?.unwrap_or(true);
    let changed = state.change(&DISPUTE, request.id(), "charge.dispute.updated", |dispute| {
        if let Some(given) = &given {
            given.copy_texts(&mut dispute["evidence"], EVIDENCE);
            dispute["evidence_details"]["has_evidence"] = json!(true);
        }
        if submits {
            let inquiry = text(dispute, "status").is_some_and(|status| status.starts_with("warning"));
            dispute["status"] = json!(if inquiry {
                "warning_under_review"
            } else {
                "under_review"
            });
            dispute["evidence_details"]["submission_count"] = json!(1);
        }
        params.merge_metadata(dispute)
    })?;
    // Words that decide, as in Stripe's test mode.
    let word = given
        .as_ref()
        .and_then(|given| given.text("uncategorized_text"))
        .filter(|_| submits);
    let inquiry = text(&changed, "status") == Some("warning_under_review");
    let decided = match word {
        Some("winning_evidence") => end(state, request.id(), if inquiry { "warning_closed" } else { "won" })?,
        Some("losing_evidence") => end(state, request.id(), "lost")?,
        Some(_) | None => changed,
    };
    Ok(decided.into())
}

fn close(state: &mut State, request: &Request) -> Outcome {
    let dispute = state.get(&DISPUTE, request.id(), "dispute")?;
    if !is_open(dispute) {
        return Err(ApiError::state("dispute_closed", "This dispute is already closed."));
    }
    let inquiry = text(dispute, "status").is_some_and(|status| status.starts_with("warning"));
    Ok(end(state, request.id(), if inquiry { "warning_closed" } else { "lost" })?.into())
}

fn index(state: &mut State, request: &Request) -> Outcome {
    let params = request.params();
    let listed = list(state, &DISPUTE, &params, "/v1/disputes", |dispute| {
        let same = |name: &str| params.text(name).is_none_or(|wanted| dispute[name] == wanted);
        same("charge") && same("payment_intent")
    })?;
    Ok(listed.into())
}

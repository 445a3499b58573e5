//! Refunds: money back, at once, later, or after all not.

use serde_json::{Value, json};

use super::balance::{self, Movement};
use super::cards::Conduct;
use super::charges::CHARGE;
use super::payment_intents::PAYMENT_INTENT;
use super::payment_methods::conduct;
use super::{Family, Hook, Route, hooks};
use crate::list_params;
use crate::shape::list::list;
use crate::shape::read::{flag, number, text};
use crate::shape::render::Downgrade;
use crate::state::State;
use crate::state::store::Kind;
use crate::wire::call::{Outcome, Request};
use crate::wire::error::ApiError;

/// `re_..`
pub const REFUND: Kind = Kind {
    object: "refund",
    prefix: "re_3",
    random: 23,
    path: "/v1/refunds",
};

/// When a refund that fails does so, and when one that is pending ends, in seconds.
const FAILS_AFTER: i64 = 60;
const PENDS_FOR: i64 = 86_400;

/// Refunds.
pub const FAMILY: Family = Family {
    kinds: &[&REFUND],
    routes: &[
        Route::post(
            "/v1/refunds",
            "amount charge instructions_email metadata* payment_intent reason expand[]",
            create,
        ),
        Route::get(
            "/v1/refunds",
            concat!("charge payment_intent created?{gt gte lt lte}", list_params!()),
            index,
        ),
        Route::get("/v1/refunds/{refund}", "expand[]", show),
        Route::post("/v1/refunds/{refund}", "metadata* expand[]", update),
        Route::post("/v1/refunds/{refund}/cancel", "expand[]", cancel),
    ],
    work: &[("refund.fail", fail), ("refund.succeed", succeed)],
    downgrades: &[Downgrade {
        before: "2026-07-29",
        object: "refund",
        apply: |_, refund| {
            for name in ["customer", "customer_account", "payment_method"] {
                refund.remove(name);
            }
        },
    }],
    ..Family::EMPTY
};

/// Refunds part or all of a charge. `reason` is Stripe's word.
///
/// # Errors
/// Nothing to refund, or more than is left.
pub fn make(state: &mut State, charge: &str, amount: Option<i64>, reason: Option<&str>) -> Result<Value, ApiError> {
    let found = state.get(&CHARGE, charge, "charge")?.clone();
    let left = number(&found, "amount_captured") - number(&found, "amount_refunded");
    if !flag(&found, "captured") || found["status"] != "succeeded" {
        let message = format!("Charge {charge} has not succeeded or is not captured.");
        return Err(ApiError::state("charge_not_refundable", message));
    }
    if left <= 0 {
        let message = format!("Charge {charge} has already been refunded.");
        return Err(ApiError::state("charge_already_refunded", message));
    }
    let amount = amount.unwrap_or(left);
    if amount < 1 || amount > left {
        let message = format!("Refund amount ({amount}) is greater than unrefunded amount on charge ({left})");
        return Err(ApiError::bad_param("amount", message));
    }
    let conduct = conduct(&found);
    let pending = conduct == Conduct::RefundPends;
    let refund = json!({
        "id": state.new_id(&REFUND),
        "object": "refund",
        "amount": amount,
        "balance_transaction": null,
        "charge": charge,
        "created": state.now_of(&found),
        "currency": found["currency"],
        "customer": found["customer"],
        "customer_account": null,
        "destination_details": {"card": {"type": "refund"}, "type": "card"},
        "metadata": {},
        "payment_intent": found["payment_intent"],
        "payment_method": found["payment_method"],
        "reason": reason,
        "receipt_number": null,
        "source_transfer_reversal": null,
        "status": if pending { "pending" } else { "succeeded" },
        "transfer_reversal": null,
    });
    let refund = with_money(state, &found, refund, -amount, "balance_transaction", "refund");
    if pending {
        state.schedule(&refund, state.now_of(&found) + PENDS_FOR, "refund.succeed");
    } else if conduct == Conduct::RefundFails {
        state.schedule(&refund, state.now_of(&found) + FAILS_AFTER, "refund.fail");
    }
    let refund = state.create(&REFUND, refund, "refund.created");
    move_charge(state, charge, amount, "charge.refunded")?;
    Ok(refund)
}

/// Moves the balance for a refund, and notes the transaction in it.
fn with_money(state: &mut State, charge: &Value, mut refund: Value, amount: i64, field: &str, category: &str) -> Value {
    let movement = Movement {
        kind: category,
        category,
        amount,
        fee: 0,
        currency: text(charge, "currency").unwrap_or_default(),
        source: text(&refund, "id").unwrap_or_default(),
        description: None,
        wait: 0,
        customer: text(charge, "customer"),
    };
    let transaction = balance::post(state, &movement);
    refund[field] = transaction["id"].clone();
    refund
}

fn move_charge(state: &mut State, charge: &str, by: i64, event: &str) -> Result<(), ApiError> {
    state.change(&CHARGE, charge, event, |charge| {
        let refunded = number(charge, "amount_refunded") + by;
        charge["amount_refunded"] = json!(refunded);
        charge["refunded"] = json!(refunded >= number(charge, "amount_captured"));
        Ok(())
    })?;
    for hook in hooks() {
        if let Hook::ChargeChanged(act) = hook {
            act(state, charge)?;
        }
    }
    Ok(())
}

/// The refund comes back: the customer's bank did not take it, or it was canceled.
fn undo(state: &mut State, id: &str, status: &str, reason: Option<&str>) -> Result<Value, ApiError> {
    let refund = state.get(&REFUND, id, "refund")?.clone();
    let charge_id = text(&refund, "charge").unwrap_or_default().to_owned();
    let charge = state.get(&CHARGE, &charge_id, "charge")?.clone();
    let amount = number(&refund, "amount");
    let returned = with_money(
        state,
        &charge,
        refund,
        amount,
        "failure_balance_transaction",
        "refund_failure",
    );
    let changed = state.change(&REFUND, id, "refund.updated", |refund| {
        refund["failure_balance_transaction"] = returned["failure_balance_transaction"].clone();
        refund["status"] = json!(status);
        if reason.is_some() {
            refund["failure_reason"] = json!(reason);
        }
        Ok(())
    })?;
    state.emit("charge.refund.updated", &changed);
    move_charge(state, &charge_id, -amount, "charge.updated")?;
    Ok(changed)
}

fn fail(state: &mut State, id: &str) -> Result<(), ApiError> {
    let failed = undo(state, id, "failed", Some("expired_or_canceled_card"))?;
    state.emit("refund.failed", &failed);
    Ok(())
}

fn succeed(state: &mut State, id: &str) -> Result<(), ApiError> {
    let changed = state.change(&REFUND, id, "refund.updated", |refund| {
        refund["status"] = json!("succeeded");
        Ok(())
    })?;
    state.emit("charge.refund.updated", &changed);
    Ok(())
}

fn create(state: &mut State, request: &Request) -> Outcome {
    let params = request.params();
    let charge = match (params.text("charge"), params.text("payment_intent")) {
        (Some(charge), _) => charge.to_owned(),
        (None, Some(intent)) => {
            let intent = state.get(&PAYMENT_INTENT, intent, "payment_intent")?;
            let none = || {
                ApiError::state(
                    "payment_intent_unexpected_state",
                    "This PaymentIntent has no successful charge.",
                )
            };
            text(intent, "latest_charge").ok_or_else(none)?.to_owned()
        }
        (None, None) => return Err(ApiError::missing("charge")),
    };
    let reason = params.choice("reason", &["duplicate", "fraudulent", "requested_by_customer"])?;
    let refund = make(state, &charge, params.integer("amount")?, reason)?;
    let id = text(&refund, "id").unwrap_or_default().to_owned();
    let refund = state.change(&REFUND, &id, "", |refund| params.merge_metadata(refund))?;
    Ok(refund.into())
}

fn show(state: &mut State, request: &Request) -> Outcome {
    Ok(state.get(&REFUND, request.id(), "refund")?.clone().into())
}

fn update(state: &mut State, request: &Request) -> Outcome {
    let params = request.params();
    let before = state.get(&REFUND, request.id(), "refund")?.clone();
    let changed = state.change(&REFUND, request.id(), "refund.updated", |refund| {
        params.merge_metadata(refund)
    })?;
    if changed != before {
        state.emit("charge.refund.updated", &changed);
    }
    Ok(changed.into())
}

fn cancel(state: &mut State, request: &Request) -> Outcome {
    if state.get(&REFUND, request.id(), "refund")?["status"] != "pending" {
        let message = "Only a refund that is pending can be canceled.";
        return Err(ApiError::state("refund_unexpected_state", message));
    }
    state.due.unschedule("refund.succeed", request.id());
    Ok(undo(state, request.id(), "canceled", None)?.into())
}

fn index(state: &mut State, request: &Request) -> Outcome {
    let params = request.params();
    let listed = list(state, &REFUND, &params, "/v1/refunds", |refund| {
        let same = |name: &str| params.text(name).is_none_or(|wanted| refund[name] == wanted);
        same("charge") && same("payment_intent")
    })?;
    Ok(listed.into())
}

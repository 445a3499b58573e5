//! Charges: what a payment intent tried, once each.

use serde_json::{Map, Value, json};

use super::balance::{self, Movement};
use super::cards::Conduct;
use super::payment_methods::conduct;
use super::refunds::REFUND;
use super::{Family, Route, disputes};
use crate::list_params;
use crate::shape::list::list;
use crate::shape::money::basis_points;
use crate::shape::read::{number, text};
use crate::shape::render::Downgrade;
use crate::state::State;
use crate::state::store::Kind;
use crate::wire::call::{Outcome, Request};
use crate::wire::error::ApiError;

/// `ch_..`
pub const CHARGE: Kind = Kind {
    object: "charge",
    prefix: "ch_3",
    random: 23,
    path: "/v1/charges",
};

const DAY: i64 = 86_400;

/// Charges.
pub const FAMILY: Family = Family {
    kinds: &[&CHARGE],
    routes: &[
        Route::get("/v1/charges/{charge}", "expand[]", show),
        Route::get(
            "/v1/charges",
            concat!("customer payment_intent created?{gt gte lt lte}", list_params!()),
            index,
        ),
        Route::post(
            "/v1/charges/{charge}",
            "customer description fraud_details{user_report} metadata* receipt_email shipping* transfer_group expand[]",
            update,
        ),
        Route::post(
            "/v1/charges/{charge}/capture",
            "amount receipt_email expand[]",
            capture_route,
        ),
    ],
    includes: &[("charge", "refunds", refunds_of)],
    downgrades: &[Downgrade {
        before: "2025-03-31",
        object: "charge",
        apply: older,
    }],
    ..Family::EMPTY
};

/// The charge named its invoice itself.
fn older(_: &State, charge: &mut Map<String, Value>) {
    let invoice = charge.get("_invoice").cloned().unwrap_or_default();
    charge.insert("invoice".to_owned(), invoice);
}

fn refunds_of(state: &State, charge: &Value) -> Value {
    let id = text(charge, "id").unwrap_or_default();
    let refunds: Vec<&Value> = state.all(&REFUND).filter(|refund| refund["charge"] == id).collect();
    json!({"object": "list", "data": refunds, "has_more": false, "url": format!("/v1/charges/{id}/refunds")})
}

/// The fee of a charge.
#[must_use]
pub fn fee(state: &State, amount: i64) -> i64 {
    basis_points(amount, state.settings.fee_basis_points) + state.settings.fee_fixed
}

/// What came of an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attempt {
    /// Paid.
    Paid,
    /// Held until it is captured.
    Held,
    /// A debit under way.
    Pending,
    /// Refused: code, decline code, words.
    Refused(&'static str, Option<&'static str>, &'static str),
}

/// Makes the charge of an intent and a method; the intent's `created` events are its caller's.
pub fn make(state: &mut State, intent: &Value, method: &Value, attempt: Attempt) -> Value {
    let amount = number(intent, "amount");
    let refused = match attempt {
        Attempt::Refused(code, decline, words) => Some((code, decline, words)),
        Attempt::Paid | Attempt::Held | Attempt::Pending => None,
    };
    let id = state.new_id(&CHARGE);
    let charge = json!({
        "id": id,
        "object": "charge",
        "amount": amount,
        "amount_captured": if attempt == Attempt::Paid { amount } else { 0 },
        "amount_refunded": 0,
        "application": null,
        "application_fee": null,
        "application_fee_amount": null,
        "balance_transaction": null,
        "billing_details": method["billing_details"],
        "calculated_statement_descriptor": "SANDBOX",
        "captured": matches!(attempt, Attempt::Paid | Attempt::Pending),
        "created": state.now_of(intent),
        "currency": intent["currency"],
        "customer": intent["customer"],
        "description": intent["description"],
        "disputed": false,
        "failure_balance_transaction": null,
        "failure_code": refused.map(|(code, _, _)| code),
        "failure_message": refused.map(|(_, _, words)| words),
        "fraud_details": {},
        "livemode": false,
        "metadata": intent["metadata"],
        "on_behalf_of": null,
        "outcome": outcome(refused),
        "paid": matches!(attempt, Attempt::Paid | Attempt::Held),
        "payment_intent": intent["id"],
        "payment_method": method["id"],
        "payment_method_details": details(method, amount),
        "receipt_email": intent["receipt_email"],
        "receipt_number": null,
        "receipt_url": refused.is_none().then(|| format!("{}/receipts/{id}", state.settings.base_url)),
        "refunded": false,
        "review": null,
        "shipping": intent["shipping"],
        "source": null,
        "source_transfer": null,
        "statement_descriptor": intent["statement_descriptor"],
        "statement_descriptor_suffix": intent["statement_descriptor_suffix"],
        "status": match attempt {
            Attempt::Paid | Attempt::Held => "succeeded",
            Attempt::Pending => "pending",
            Attempt::Refused(..) => "failed",
        },
        "transfer_data": null,
        "transfer_group": null,
        "_invoice": intent["_invoice"],
        "_conduct": conduct(method),
    });
    state.put(&CHARGE, charge.clone());
    match attempt {
        Attempt::Paid => return paid(state, &id, amount),
        Attempt::Held => state.emit("charge.succeeded", &charge),
        Attempt::Pending => state.emit("charge.pending", &charge),
        Attempt::Refused(..) => state.emit("charge.failed", &charge),
    }
    charge
}

fn outcome(refused: Option<(&str, Option<&str>, &str)>) -> Value {
    let message = if refused.is_some() {
        "The bank did not return any further details with this decline."
    } else {
        "Payment complete."
    };
    json!({
        "advice_code": null,
        "network_advice_code": null,
        "network_decline_code": null,
        "network_status": if refused.is_some() { "declined_by_network" } else { "approved_by_network" },
        "reason": refused.and_then(|(code, decline, _)| decline.or(Some(code))),
        "risk_level": "normal",
        "seller_message": message,
        "type": if refused.is_some() { "issuer_declined" } else { "authorized" },
    })
}

fn details(method: &Value, amount: i64) -> Value {
    if method["type"] == "sepa_debit" {
        let debit = &method["sepa_debit"];
        return json!({"type": "sepa_debit", "sepa_debit": {
            "bank_code": debit["bank_code"], "branch_code": debit["branch_code"], "country": debit["country"],
            "expected_debit_date": null, "fingerprint": debit["fingerprint"], "last4": debit["last4"], "mandate": null,
        }});
    }
    // A source has its card's fields at the top.
    let card = if method["object"] == "card" {
        method
    } else {
        &method["card"]
    };
    let brand = text(card, "brand").unwrap_or_default().to_lowercase();
    json!({"type": "card", "card": {
        "amount_authorized": amount,
        "authorization_code": null,
        "brand": brand,
        "checks": {"address_line1_check": null, "address_postal_code_check": null, "cvc_check": "pass"},
        "country": card["country"],
        "exp_month": card["exp_month"],
        "exp_year": card["exp_year"],
        "extended_authorization": {"status": "disabled"},
        "fingerprint": card["fingerprint"],
        "funding": card["funding"],
        "incremental_authorization": {"status": "unavailable"},
        "installments": null,
        "last4": card["last4"],
        "mandate": null,
        "multicapture": {"status": "unavailable"},
        "network": brand,
        "network_token": {"used": false},
        "network_transaction_id": null,
        "overcapture": {"maximum_amount_capturable": amount, "status": "unavailable"},
        "regulated_status": "unregulated",
        "three_d_secure": null,
        "transaction_link_id": null,
        "wallet": null,
    }})
}

/// The money of a charge comes in; what its card does next begins.
fn paid(state: &mut State, id: &str, amount: i64) -> Value {
    let charge = state.look(&CHARGE, id).cloned().unwrap_or_default();
    let conduct = conduct(&charge);
    let debit = text(&charge, "payment_method_details.type") == Some("sepa_debit");
    let wait = if conduct == Conduct::PaysAtOnce {
        0
    } else {
        state.settings.pending_days * DAY
    };
    let movement = Movement {
        kind: if debit { "payment" } else { "charge" },
        category: "charge",
        amount,
        fee: fee(state, amount),
        currency: text(&charge, "currency").unwrap_or_default(),
        source: id,
        description: text(&charge, "description"),
        wait,
        customer: text(&charge, "customer"),
    };
    let transaction = balance::post(state, &movement);
    let mut kept = charge.clone();
    kept["balance_transaction"] = transaction["id"].clone();
    kept["amount_captured"] = json!(amount);
    (kept["captured"], kept["paid"], kept["status"]) = (json!(true), json!(true), json!("succeeded"));
    state.put(&CHARGE, kept.clone());
    state.emit("charge.succeeded", &kept);
    if matches!(conduct, Conduct::Disputes | Conduct::Inquires) {
        disputes::open(state, &kept, conduct == Conduct::Inquires);
    }
    kept
}

/// A debit that was under way ends.
pub(super) fn settle(state: &mut State, id: &str, attempt: Attempt) -> Result<Value, ApiError> {
    let amount = number(state.get(&CHARGE, id, "charge")?, "amount");
    match attempt {
        Attempt::Refused(code, decline, words) => {
            let failed = state.change(&CHARGE, id, "", |charge| {
                (charge["status"], charge["paid"], charge["captured"]) = (json!("failed"), json!(false), json!(false));
                (charge["failure_code"], charge["failure_message"]) = (json!(code), json!(words));
                charge["outcome"] = outcome(Some((code, decline, words)));
                Ok(())
            })?;
            state.emit("charge.failed", &failed);
            Ok(failed)
        }
        Attempt::Paid | Attempt::Held | Attempt::Pending => Ok(paid(state, id, amount)),
    }
}

/// Captures a charge that was held; what is not captured is let go.
pub(super) fn capture(state: &mut State, id: &str, amount: i64) -> Result<Value, ApiError> {
    let charge = state.get(&CHARGE, id, "charge")?.clone();
    let movement = Movement {
        kind: "charge",
        category: "charge",
        amount,
        fee: fee(state, amount),
        currency: text(&charge, "currency").unwrap_or_default(),
        source: id,
        description: text(&charge, "description"),
        wait: state.settings.pending_days * DAY,
        customer: text(&charge, "customer"),
    };
    let transaction = balance::post(state, &movement);
    let rest = number(&charge, "amount") - amount;
    state.change(&CHARGE, id, "charge.captured", |charge| {
        charge["captured"] = json!(true);
        charge["amount_captured"] = json!(amount);
        charge["amount_refunded"] = json!(rest);
        charge["balance_transaction"] = transaction["id"].clone();
        Ok(())
    })
}

/// Lets a charge that was held go.
pub(super) fn release(state: &mut State, id: &str) -> Result<Value, ApiError> {
    let amount = number(state.get(&CHARGE, id, "charge")?, "amount");
    state.change(&CHARGE, id, "charge.refunded", |charge| {
        charge["amount_refunded"] = json!(amount);
        charge["refunded"] = json!(true);
        Ok(())
    })
}

fn show(state: &mut State, request: &Request) -> Outcome {
    Ok(state.get(&CHARGE, request.id(), "charge")?.clone().into())
}

fn update(state: &mut State, request: &Request) -> Outcome {
    let params = request.params();
    let changed = state.change(&CHARGE, request.id(), "charge.updated", |charge| {
        params.copy_texts(charge, &["customer", "description", "receipt_email", "transfer_group"]);
        params.copy_trees(charge, &["shipping", "fraud_details"]);
        params.merge_metadata(charge)
    })?;
    Ok(changed.into())
}

fn capture_route(state: &mut State, request: &Request) -> Outcome {
    let charge = state.get(&CHARGE, request.id(), "charge")?.clone();
    let intent = text(&charge, "payment_intent").unwrap_or_default().to_owned();
    super::payment_intents::capture(state, &intent, request.params().integer("amount")?)?;
    Ok(state.get(&CHARGE, request.id(), "charge")?.clone().into())
}

fn index(state: &mut State, request: &Request) -> Outcome {
    let params = request.params();
    let listed = list(state, &CHARGE, &params, "/v1/charges", |charge| {
        let same = |name: &str| params.text(name).is_none_or(|wanted| charge[name] == wanted);
        same("customer") && same("payment_intent")
    })?;
    Ok(listed.into())
}

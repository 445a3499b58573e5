//! What ties invoices to payments.

use serde_json::{Value, json};

use super::{Family, Route};
use crate::list_params;
use crate::shape::list::list;
use crate::shape::read::{number, text};
use crate::state::State;
use crate::state::store::Kind;
use crate::wire::call::{Outcome, Request};
use crate::wire::error::ApiError;

/// `inpay_..`
pub const INVOICE_PAYMENT: Kind = Kind {
    object: "invoice_payment",
    prefix: "inpay_1",
    random: 23,
    path: "/v1/invoice_payments",
};

/// Payments of invoices.
pub const FAMILY: Family = Family {
    kinds: &[&INVOICE_PAYMENT],
    routes: &[
        Route::get(
            "/v1/invoice_payments",
            concat!(
                "invoice status payment{payment_intent payment_record type} created?{gt gte lt lte}",
                list_params!()
            ),
            index,
        ),
        Route::get("/v1/invoice_payments/{payment}", "expand[]", show),
    ],
    ..Family::EMPTY
};

/// The row of an invoice that has been finalized.
pub(super) fn open(state: &mut State, invoice: &Value, intent: &Value) {
    let row = json!({
        "id": state.new_id(&INVOICE_PAYMENT),
        "object": "invoice_payment",
        "amount_paid": null,
        "amount_requested": intent["amount"],
        "created": intent["created"],
        "currency": intent["currency"],
        "invoice": invoice["id"],
        "is_default": true,
        "livemode": false,
        "payment": {"payment_intent": intent["id"], "type": "payment_intent"},
        "status": "open",
        "status_transitions": {"canceled_at": null, "paid_at": null},
        "_customer": invoice["customer"],
    });
    state.put(&INVOICE_PAYMENT, row);
}

fn open_rows(state: &State, invoice: &str) -> Vec<Value> {
    state.matching(&INVOICE_PAYMENT, |row| {
        row["invoice"] == invoice && row["status"] == "open"
    })
}

/// The payment of an invoice has come.
pub(super) fn paid(state: &mut State, invoice: &str) -> Result<(), ApiError> {
    for row in open_rows(state, invoice) {
        let now = state.now_for(text(&row, "_customer"));
        let row = state.change(&INVOICE_PAYMENT, text(&row, "id").unwrap_or_default(), "", |row| {
            row["status"] = json!("paid");
            row["amount_paid"] = json!(number(row, "amount_requested"));
            row["status_transitions"]["paid_at"] = json!(now);
            Ok(())
        })?;
        state.emit("invoice_payment.paid", &row);
    }
    Ok(())
}

/// The payment of an invoice will not come.
pub(super) fn canceled(state: &mut State, invoice: &str) -> Result<(), ApiError> {
    for row in open_rows(state, invoice) {
        let now = state.now_for(text(&row, "_customer"));
        state.change(&INVOICE_PAYMENT, text(&row, "id").unwrap_or_default(), "", |row| {
            row["status"] = json!("canceled");
            row["status_transitions"]["canceled_at"] = json!(now);
            Ok(())
        })?;
    }
    Ok(())
}

fn show(state: &mut State, request: &Request) -> Outcome {
    Ok(state
        .get(&INVOICE_PAYMENT, request.id(), "invoice_payment")?
        .clone()
        .into())
}

fn index(state: &mut State, request: &Request) -> Outcome {
    let params = request.params();
    let payment = params.object("payment");
    let intent = payment.as_ref().and_then(|given| given.text("payment_intent"));
    let listed = list(state, &INVOICE_PAYMENT, &params, "/v1/invoice_payments", |row| {
        let same = |name: &str| params.text(name).is_none_or(|wanted| row[name] == wanted);
        same("invoice")
            && same("status")
            && intent.is_none_or(|intent| text(row, "payment.payment_intent") == Some(intent))
    })?;
    Ok(listed.into())
}

//! A customer's balance with its transactions, and its tax ids.

use serde_json::{Value, json};

use super::customers::CUSTOMER;
use super::{Family, Route};
use crate::list_params;
use crate::shape::list::list;
use crate::shape::read::{number, text};
use crate::shape::render::Downgrade;
use crate::state::State;
use crate::state::store::Kind;
use crate::wire::call::{Outcome, Request};
use crate::wire::error::ApiError;
use crate::wire::params::Params;

/// `cbtxn_..`
pub const BALANCE_CHANGE: Kind = Kind {
    object: "customer_balance_transaction",
    prefix: "cbtxn_1",
    random: 23,
    path: "",
};

/// `txi_..`
pub const TAX_ID: Kind = Kind {
    object: "tax_id",
    prefix: "txi_1",
    random: 23,
    path: "/v1/tax_ids",
};

/// Customers' money.
pub const FAMILY: Family = Family {
    kinds: &[&BALANCE_CHANGE, &TAX_ID],
    routes: &[
        Route::post(
            "/v1/customers/{customer}/balance_transactions",
            "amount currency description metadata* expand[]",
            create_change,
        ),
        Route::get(
            "/v1/customers/{customer}/balance_transactions",
            list_params!(),
            index_changes,
        ),
        Route::get(
            "/v1/customers/{customer}/balance_transactions/{id}",
            "expand[]",
            show_change,
        ),
        Route::post("/v1/customers/{customer}/tax_ids", "type value expand[]", create_tax_id),
        Route::get("/v1/customers/{customer}/tax_ids", list_params!(), index_tax_ids),
        Route::get("/v1/customers/{customer}/tax_ids/{id}", "expand[]", show_tax_id),
        Route::delete("/v1/customers/{customer}/tax_ids/{id}", "", delete_tax_id),
    ],
    includes: &[("customer", "tax_ids", tax_ids_of)],
    downgrades: &[
        Downgrade {
            before: "2026-03-25",
            object: "tax_id",
            apply: |_, tax_id| {
                tax_id.remove("customer_account");
            },
        },
        Downgrade {
            before: "2026-03-25",
            object: "customer_balance_transaction",
            apply: |_, change| {
                change.remove("customer_account");
            },
        },
    ],
    ..Family::EMPTY
};

/// Changes a customer's balance: negative is credit. `kind` is Stripe's (`adjustment`, `applied_to_invoice`), `links`
/// may name an invoice, a credit note or a checkout session.
///
/// # Errors
/// No such customer, or another currency than the customer's.
pub fn change_balance(
    state: &mut State,
    customer: &str,
    amount: i64,
    currency: &str,
    kind: &str,
    links: &[(&str, &str)],
) -> Result<Value, ApiError> {
    let found = state.get(&CUSTOMER, customer, "customer")?;
    if text(found, "currency").is_some_and(|own| own != currency) {
        let message = "You cannot combine currencies on a single customer.";
        return Err(ApiError::bad_param("currency", message));
    }
    let balance = number(found, "balance").saturating_add(amount);
    let mut change = json!({
        "id": state.new_id(&BALANCE_CHANGE),
        "object": "customer_balance_transaction",
        "amount": amount,
        "checkout_session": null,
        "created": state.now_for(Some(customer)),
        "credit_note": null,
        "currency": currency,
        "customer": customer,
        "customer_account": null,
        "description": null,
        "ending_balance": balance,
        "invoice": null,
        "livemode": false,
        "metadata": {},
        "type": kind,
    });
    for (name, id) in links {
        change[*name] = json!(id);
    }
    state.put(&BALANCE_CHANGE, change.clone());
    state.change(&CUSTOMER, customer, "customer.updated", |customer| {
        customer["balance"] = json!(balance);
        customer["currency"] = json!(currency);
        Ok(())
    })?;
    Ok(change)
}

fn create_change(state: &mut State, request: &Request) -> Outcome {
    let params = request.params();
    let (amount, currency) = (
        params.required_integer("amount")?,
        params.required("currency")?.to_lowercase(),
    );
    let change = change_balance(state, request.id(), amount, &currency, "adjustment", &[])?;
    let id = text(&change, "id").unwrap_or_default().to_owned();
    let made = state.change(&BALANCE_CHANGE, &id, "", |change| {
        params.copy_texts(change, &["description"]);
        params.merge_metadata(change)
    })?;
    Ok(made.into())
}

fn own(state: &State, kind: &Kind, request: &Request) -> Result<Value, ApiError> {
    let id = request.segment(1);
    let found = state.look(kind, id).filter(|object| object["customer"] == request.id());
    found.cloned().ok_or_else(|| ApiError::no_such(kind.object, id, "id"))
}

fn show_change(state: &mut State, request: &Request) -> Outcome {
    Ok(own(state, &BALANCE_CHANGE, request)?.into())
}

fn index_changes(state: &mut State, request: &Request) -> Outcome {
    let url = format!("/v1/customers/{}/balance_transactions", request.id());
    let listed = list(state, &BALANCE_CHANGE, &request.params(), &url, |change| {
        change["customer"] == request.id()
    })?;
    Ok(listed.into())
}

/// Adds a tax id: `type` and `value`.
///
/// # Errors
/// Something missing.
pub fn add_tax_id(state: &mut State, customer: &str, params: &Params<'_>) -> Result<Value, ApiError> {
    let owner = json!({"customer": customer, "customer_account": null, "type": "customer"});
    let tax_id = build_tax_id(state, &owner, params)?;
    Ok(state.create(&TAX_ID, tax_id, "customer.tax_id.created"))
}

/// The tax id of a customer or of the account itself; the caller keeps it.
pub(super) fn build_tax_id(state: &mut State, owner: &Value, params: &Params<'_>) -> Result<Value, ApiError> {
    let (kind, value) = (params.required("type")?, params.required("value")?);
    let customer = text(owner, "customer");
    Ok(json!({
        "id": state.new_id(&TAX_ID),
        "object": "tax_id",
        "country": (kind == "eu_vat").then(|| value.get(..2)).flatten(),
        "created": state.now_for(customer),
        "customer": customer,
        "customer_account": null,
        "livemode": false,
        "owner": owner,
        "type": kind,
        "value": value,
        "verification": {"status": "verified", "verified_address": null, "verified_name": null},
    }))
}

fn create_tax_id(state: &mut State, request: &Request) -> Outcome {
    state.get(&CUSTOMER, request.id(), "customer")?;
    Ok(add_tax_id(state, request.id(), &request.params())?.into())
}

fn show_tax_id(state: &mut State, request: &Request) -> Outcome {
    Ok(own(state, &TAX_ID, request)?.into())
}

fn delete_tax_id(state: &mut State, request: &Request) -> Outcome {
    own(state, &TAX_ID, request)?;
    Ok(state
        .remove(&TAX_ID, request.segment(1), "customer.tax_id.deleted", false)?
        .into())
}

fn index_tax_ids(state: &mut State, request: &Request) -> Outcome {
    let url = format!("/v1/customers/{}/tax_ids", request.id());
    let listed = list(state, &TAX_ID, &request.params(), &url, |tax_id| {
        tax_id["customer"] == request.id()
    })?;
    Ok(listed.into())
}

fn tax_ids_of(state: &State, customer: &Value) -> Value {
    let id = text(customer, "id").unwrap_or_default();
    let own: Vec<&Value> = state.all(&TAX_ID).filter(|tax_id| tax_id["customer"] == id).collect();
    json!({"object": "list", "data": own, "has_more": false, "url": format!("/v1/customers/{id}/tax_ids")})
}

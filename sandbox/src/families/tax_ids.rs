//! Tax ids by the account's own path: those of the account, and those of any customer that is named.

use serde_json::json;

use super::customer_money::{TAX_ID, add_tax_id, build_tax_id};
use super::customers::CUSTOMER;
use super::{Family, Route};
use crate::list_params;
use crate::shape::list::list;
use crate::state::State;
use crate::wire::call::{Outcome, Request};
use crate::wire::error::ApiError;
use crate::wire::params::Params;

/// Tax ids.
pub const FAMILY: Family = Family {
    routes: &[
        Route::post("/v1/tax_ids", "type value owner{type customer} expand[]", create),
        Route::get("/v1/tax_ids", concat!("owner{type customer}", list_params!()), index),
        Route::get("/v1/tax_ids/{id}", "expand[]", show),
        Route::delete("/v1/tax_ids/{id}", "", delete),
    ],
    ..Family::EMPTY
};

/// The customer that `owner` names; nothing is the account itself.
fn owner<'a>(state: &State, params: &Params<'a>) -> Result<Option<&'a str>, ApiError> {
    let Some(owner) = params.object("owner") else {
        return Ok(None);
    };
    if owner.choice("type", &["self", "customer"])? != Some("customer") {
        return Ok(None);
    }
    let customer = owner.required("customer")?;
    state.get(&CUSTOMER, customer, "owner[customer]")?;
    Ok(Some(customer))
}

fn create(state: &mut State, request: &Request) -> Outcome {
    let params = request.params();
    if let Some(customer) = owner(state, &params)? {
        return Ok(add_tax_id(state, customer, &params)?.into());
    }
    let tax_id = build_tax_id(state, &json!({"type": "self"}), &params)?;
    state.put(&TAX_ID, tax_id.clone());
    Ok(tax_id.into())
}

fn show(state: &mut State, request: &Request) -> Outcome {
    Ok(state.get(&TAX_ID, request.id(), "id")?.clone().into())
}

fn delete(state: &mut State, request: &Request) -> Outcome {
    // The account's own come and go without an event.
    let of_customer = state.get(&TAX_ID, request.id(), "id")?["customer"].is_string();
    let event = if of_customer { "customer.tax_id.deleted" } else { "" };
    Ok(state.remove(&TAX_ID, request.id(), event, false)?.into())
}

fn index(state: &mut State, request: &Request) -> Outcome {
    let params = request.params();
    let customer = owner(state, &params)?;
    let listed = list(state, &TAX_ID, &params, "/v1/tax_ids", |tax_id| {
        tax_id["customer"].as_str() == customer
    })?;
    Ok(listed.into())
}

//! Cards as sources of a customer, the way before payment methods.

use serde_json::{Value, json};

use super::cards;
use super::customers::CUSTOMER;
use super::{Family, Route};
use crate::list_params;
use crate::shape::list::page;
use crate::shape::read::text;
use crate::state::State;
use crate::state::ids::letters;
use crate::state::store::Kind;
use crate::wire::call::{Outcome, Request};
use crate::wire::error::ApiError;

/// `card_..`
pub const CARD: Kind = Kind {
    object: "card",
    prefix: "card_1",
    random: 23,
    path: "",
};

/// Sources.
pub const FAMILY: Family = Family {
    kinds: &[&CARD],
    routes: &[
        Route::post("/v1/customers/{customer}/sources", "source metadata* expand[]", create),
        Route::get(
            "/v1/customers/{customer}/sources",
            concat!("object", list_params!()),
            index,
        ),
        Route::get("/v1/customers/{customer}/sources/{source}", "expand[]", show),
        Route::post(
            "/v1/customers/{customer}/sources/{source}",
            "address_city address_country address_line1 address_line2 address_state address_zip exp_month exp_year \
             metadata* name expand[]",
            update,
        ),
        Route::delete("/v1/customers/{customer}/sources/{source}", "", delete),
    ],
    includes: &[("customer", "sources", of_customer)],
    ..Family::EMPTY
};

fn own(state: &State, customer: &str) -> Vec<Value> {
    state
        .all(&CARD)
        .filter(|card| card["customer"] == customer)
        .cloned()
        .collect()
}

fn of_customer(state: &State, customer: &Value) -> Value {
    let id = text(customer, "id").unwrap_or_default();
    let url = format!("/v1/customers/{id}/sources");
    json!({"object": "list", "data": own(state, id), "has_more": false, "url": url})
}

/// Adds the card a token names to a customer; answers its id.
///
/// # Errors
/// No such token, or a card that its bank refuses.
pub fn add(state: &mut State, customer: &str, token: &str) -> Result<String, ApiError> {
    let card = cards::by_name(token).filter(|_| token.starts_with("tok_"));
    let card = card.ok_or_else(|| ApiError::no_such("token", token, "source"))?;
    if let Some((code, decline, words)) = card.conduct.refusal()
        && card.conduct != cards::Conduct::DeclinesLater
    {
        return Err(ApiError::card(code, decline, words));
    }
    let last4 = card.number.get(card.number.len() - 4..);
    let brand = if card.brand == "visa" { "Visa" } else { card.brand };
    let object = json!({
        "id": state.new_id(&CARD),
        "object": "card",
        "address_city": null, "address_country": null, "address_line1": null, "address_line1_check": null,
        "address_line2": null, "address_state": null, "address_zip": null, "address_zip_check": null,
        "brand": brand,
        "country": "US",
        "customer": customer,
        "cvc_check": "pass",
        "dynamic_last4": null,
        "exp_month": 12,
        "exp_year": 2044,
        "fingerprint": letters(state.ids.seed(), card.number, 16),
        "funding": "credit",
        "last4": last4,
        "metadata": {},
        "name": null,
        "regulated_status": "unregulated",
        "tokenization_method": null,
        "_conduct": card.conduct,
        "_authenticated": false,
    });
    let made = state.create(&CARD, object, "customer.source.created");
    Ok(text(&made, "id").unwrap_or_default().to_owned())
}

fn create(state: &mut State, request: &Request) -> Outcome {
    let params = request.params();
    state.get(&CUSTOMER, request.id(), "customer")?;
    let id = add(state, request.id(), params.required("source")?)?;
    let made = state.change(&CARD, &id, "", |card| params.merge_metadata(card))?;
    state.change(&CUSTOMER, request.id(), "customer.updated", |customer| {
        if customer["default_source"].is_null() {
            customer["default_source"] = json!(id);
        }
        Ok(())
    })?;
    Ok(made.into())
}

fn found<'a>(state: &'a State, request: &Request) -> Result<&'a Value, ApiError> {
    let id = request.segment(1);
    let own = state.look(&CARD, id).filter(|card| card["customer"] == request.id());
    own.ok_or_else(|| ApiError::no_such("source", id, "id"))
}

fn show(state: &mut State, request: &Request) -> Outcome {
    Ok(found(state, request)?.clone().into())
}

fn update(state: &mut State, request: &Request) -> Outcome {
    let params = request.params();
    found(state, request)?;
    let changed = state.change(&CARD, request.segment(1), "customer.source.updated", |card| {
        let address = [
            "address_city",
            "address_country",
            "address_line1",
            "address_line2",
            "address_state",
            "address_zip",
        ];
        params.copy_texts(card, &address);
        params.copy_texts(card, &["name"]);
        params.copy_integers(card, &["exp_month", "exp_year"])?;
        params.merge_metadata(card)
    })?;
    Ok(changed.into())
}

fn delete(state: &mut State, request: &Request) -> Outcome {
    found(state, request)?;
    let id = request.segment(1).to_owned();
    let gone = state.remove(&CARD, &id, "customer.source.deleted", false)?;
    let next = own(state, request.id()).first().map(|card| card["id"].clone());
    state.change(&CUSTOMER, request.id(), "customer.updated", |customer| {
        if customer["default_source"] == id.as_str() {
            customer["default_source"] = json!(next);
        }
        Ok(())
    })?;
    Ok(gone.into())
}

fn index(state: &mut State, request: &Request) -> Outcome {
    state.get(&CUSTOMER, request.id(), "customer")?;
    let url = format!("/v1/customers/{}/sources", request.id());
    Ok(page(&own(state, request.id()), &request.params(), &url)?.into())
}

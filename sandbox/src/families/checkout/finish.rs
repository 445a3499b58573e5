//! What a customer does on the page: says who they are and how they pay.

use serde_json::{Map, Value, json};

use super::super::customers::CUSTOMER;
use super::super::payment_methods::{self, PAYMENT_METHOD};
use super::super::payments::{self, Payment, Settled};
use super::super::{payment_intents::PAYMENT_INTENT, setup_intents};
use super::{SESSION, basket, inner, needs_method, promotions, settle, url_of};
use crate::shape::read::{number, text};
use crate::state::State;
use crate::wire::error::ApiError;
use crate::wire::params::Params;

/// What a customer gives.
#[derive(Clone, Debug, Default)]
pub(crate) struct Given {
    /// Where the receipt goes.
    pub(crate) email: Option<String>,
    /// Name on the card.
    pub(crate) name: Option<String>,
    /// Phone number.
    pub(crate) phone: Option<String>,
    /// Billing address.
    pub(crate) address: Option<Value>,
    /// Kind and value of a tax id.
    pub(crate) tax_id: Option<(String, String)>,
    /// A payment method's id.
    pub(crate) method: Option<String>,
    /// Or what stands on a card.
    pub(crate) card: Option<Value>,
    /// Typed code; empty takes the code away.
    pub(crate) promotion_code: Option<String>,
    /// Quantities by line.
    pub(crate) quantities: Vec<(String, i64)>,
    /// What the caller believes is to be paid.
    pub(crate) expected_amount: Option<i64>,
}

/// Finishes a session, as far as it can be: what its owner has to approve stays open until then, with `_intent`.
///
/// # Errors
/// A session that is over, something missing or wrong by its name, a card that is refused.
pub(crate) fn complete(state: &mut State, id: &str, given: &Given) -> Result<Value, ApiError> {
    let session = open(state, id)?;
    let session = choose(state, session, given)?;
    if given
        .expected_amount
        .is_some_and(|expected| expected != number(&session, "amount_total"))
    {
        let message = "The expected amount is not what this Checkout Session comes to.";
        return Err(ApiError::bad_param("expected_amount", message).code("checkout_amount_mismatch"));
    }
    let session = introduce(state, session, given)?;
    let method = method(state, &session, given)?;
    match text(&session, "mode") {
        Some("setup") => {
            let intent = text(&session, "setup_intent").unwrap_or_default().to_owned();
            settle::set_up(state, &session, &intent, &method.unwrap_or_default())?;
        }
        Some("subscription") => settle::subscribe(state, &session, method.as_deref())?,
        Some(_) | None => pay(state, &session, method.as_deref())?,
    }
    state.get(&SESSION, id, "session").cloned()
}

/// Changes what a session is for, as far as its customer may: quantities and promotion code.
///
/// # Errors
/// A session that is over, a code or a quantity that cannot be had.
pub(crate) fn revise(state: &mut State, id: &str, given: &Given) -> Result<Value, ApiError> {
    let session = open(state, id)?;
    choose(state, session, given)
}

fn open(state: &State, id: &str) -> Result<Value, ApiError> {
    let session = state.get(&SESSION, id, "session")?.clone();
    match text(&session, "status") {
        Some("open") => Ok(session),
        Some("complete") => {
            let message = "This Checkout Session has been completed.";
            Err(ApiError::state("checkout_session_completed", message))
        }
        Some(_) | None => {
            let message = "This Checkout Session has expired.";
            Err(ApiError::state("checkout_session_expired", message))
        }
    }
}

/// Quantities and promotion code.
fn choose(state: &mut State, mut session: Value, given: &Given) -> Result<Value, ApiError> {
    for (line, quantity) in &given.quantities {
        basket::set_quantity(&mut session, line, *quantity)?;
    }
    if !given.quantities.is_empty() {
        basket::reckon(state, &mut session);
    }
    if let Some(code) = &given.promotion_code {
        if session["allow_promotion_codes"] != true {
            let message = "This Checkout Session takes no promotion codes.";
            return Err(ApiError::bad_param("promotion_code", message));
        }
        if code.trim().is_empty() {
            promotions::clear(&mut session);
        } else {
            promotions::type_in(state, &mut session, code)?;
        }
        basket::reckon(state, &mut session);
    }
    state.put(&SESSION, session.clone());
    Ok(session)
}

/// Who is buying.
fn introduce(state: &mut State, mut session: Value, given: &Given) -> Result<Value, ApiError> {
    let customer = text(&session, "customer")
        .and_then(|id| state.look(&CUSTOMER, id))
        .cloned();
    let known = |name: &str| {
        customer
            .as_ref()
            .and_then(|customer| text(customer, name))
            .map(str::to_owned)
    };
    let kept = known("email").or_else(|| text(&session, "customer_email").map(str::to_owned));
    let Some(email) = kept.clone().or_else(|| given.email.clone()) else {
        return Err(ApiError::bad_param("email", "Enter your email address.").code("parameter_missing"));
    };
    // What is kept already was good enough for its maker, and cannot be typed again here.
    if kept.is_none() && !plausible(&email) {
        let message = "Enter an email address, such as name@example.com.";
        return Err(ApiError::bad_param("email", message).code("email_invalid"));
    }
    let name = given.name.clone().or_else(|| known("name"));
    let phone = given.phone.clone().or_else(|| known("phone"));
    if session["phone_number_collection"]["enabled"] == true && phone.is_none() {
        return Err(ApiError::bad_param("phone", "Enter your phone number.").code("parameter_missing"));
    }
    let address = given.address.clone().or_else(|| {
        let kept = customer.as_ref().map(|customer| customer["address"].clone());
        kept.filter(|kept| !kept.is_null())
    });
    let country = address.as_ref().and_then(|address| text(address, "country"));
    if super::asks_address(&session) && country.is_none() && session["_customer_update"]["shipping"].is_null() {
        return Err(ApiError::bad_param("address[country]", "Choose your country.").code("parameter_missing"));
    }
    let tax_ids: Vec<Value> = given
        .tax_id
        .iter()
        .map(|(kind, value)| json!({"type": kind, "value": value}))
        .collect();
    session["customer_details"] = json!({
        "address": address.unwrap_or_else(nowhere),
        "business_name": null,
        "email": email,
        "individual_name": null,
        "name": name,
        "phone": phone,
        "tax_exempt": known("tax_exempt").unwrap_or_else(|| "none".to_owned()),
        "tax_ids": if session["tax_id_collection"]["enabled"] == true { json!(tax_ids) } else { Value::Null },
    });
    state.put(&SESSION, session.clone());
    Ok(session)
}

fn plausible(email: &str) -> bool {
    let parts = email.split_once('@');
    parts.is_some_and(|(name, host)| !name.is_empty() && host.contains('.') && !email.contains(char::is_whitespace))
}

fn nowhere() -> Value {
    json!({"city": null, "country": null, "line1": null, "line2": null, "postal_code": null, "state": null})
}

fn method(state: &mut State, session: &Value, given: &Given) -> Result<Option<String>, ApiError> {
    if given.method.is_none()
        && let Some(card) = &given.card
    {
        return typed_card(state, session, card).map(Some);
    }
    let Some(named) = &given.method else {
        return if needs_method(session) {
            let message = "Enter the number on the card.";
            Err(ApiError::bad_param("card[number]", message).code("parameter_missing"))
        } else {
            Ok(None)
        };
    };
    let found = payment_methods::resolve(state, named, "payment_method")?;
    let kind = text(&found, "type").unwrap_or("card");
    if !session["payment_method_types"]
        .as_array()
        .is_some_and(|types| types.iter().any(|own| own == kind))
    {
        let message = format!("This Checkout Session takes no payment method of type {kind}.");
        return Err(ApiError::bad_param("payment_method", message));
    }
    Ok(text(&found, "id").map(str::to_owned))
}

/// The card that was typed; its owner's details stand on it.
fn typed_card(state: &mut State, session: &Value, card: &Value) -> Result<String, ApiError> {
    let tree = Map::from_iter([("card".to_owned(), card.clone())]);
    let mut method = super::card(state, &Params::new(&tree))?;
    let details = &session["customer_details"];
    for name in ["address", "email", "name", "phone"] {
        method["billing_details"][name] = details[name].clone();
    }
    state.put(&PAYMENT_METHOD, method.clone());
    Ok(text(&method, "id").unwrap_or_default().to_owned())
}

/// The customer of a session; made of what was given when there must be one.
pub(super) fn buyer(state: &mut State, session: &Value) -> Result<Option<String>, ApiError> {
    let known = text(session, "customer").or_else(|| text(session, "_customer"));
    if let Some(known) = known {
        return Ok(Some(known.to_owned()));
    }
    let kept = !session["_intent_data"]["setup_future_usage"].is_null();
    if session["customer_creation"] != "always" && !kept {
        return Ok(None);
    }
    let details = &session["customer_details"];
    let mut wanted = Map::new();
    for name in ["email", "name", "phone"] {
        if let Some(given) = text(details, name) {
            wanted.insert(name.to_owned(), json!(given));
        }
    }
    if let Some(given) = details["address"].as_object() {
        let filled = given.iter().filter(|(_, part)| part.is_string());
        let filled: Map<String, Value> = filled.map(|(name, part)| (name.clone(), part.clone())).collect();
        if !filled.is_empty() {
            wanted.insert("address".to_owned(), Value::Object(filled));
        }
    }
    if let Some(ids) = details["tax_ids"].as_array().filter(|ids| !ids.is_empty()) {
        wanted.insert("tax_id_data".to_owned(), json!(ids));
    }
    let made = inner::post(state, CUSTOMER.path, Value::Object(wanted))?;
    let made = text(&made, "id").unwrap_or_default().to_owned();
    let id = text(session, "id").unwrap_or_default().to_owned();
    state.change(&SESSION, &id, "", |session| {
        session["_customer"] = json!(made);
        Ok(())
    })?;
    Ok(Some(made))
}

fn pay(state: &mut State, session: &Value, method: Option<&str>) -> Result<(), ApiError> {
    let id = text(session, "id").unwrap_or_default();
    let customer = buyer(state, session)?;
    let amount = number(session, "amount_total");
    if amount == 0 {
        return settle::finish(state, id, "no_payment_required").map(|_| ());
    }
    let intent = intent(state, session, customer.as_deref(), amount)?;
    let back = url_of(state, id);
    match payments::confirm(state, &intent, method, false, Some(&back))? {
        Settled::Processing => settle::finish_later(state, id),
        Settled::Held => settle::finish(state, id, "unpaid").map(|_| ()),
        // The hook has finished it, or will.
        Settled::Paid | Settled::NeedsAction => Ok(()),
        Settled::Declined(error) => Err(error.param("card[number]").staying()),
    }
}

/// The intent that pays a session: the one of an attempt before, else a new one.
fn intent(state: &mut State, session: &Value, customer: Option<&str>, amount: i64) -> Result<String, ApiError> {
    if let Some(old) = text(session, "payment_intent") {
        let old = old.to_owned();
        state.change(&PAYMENT_INTENT, &old, "", |intent| {
            intent["amount"] = json!(amount);
            Ok(())
        })?;
        return Ok(old);
    }
    let payment = Payment {
        amount,
        currency: text(session, "currency").unwrap_or_default(),
        customer,
        method: None,
        invoice: None,
    };
    let mut intent = payments::build(state, &payment);
    intent["capture_method"] = json!("automatic_async");
    intent["payment_method_types"] = session["payment_method_types"].clone();
    if let Some(data) = session["_intent_data"].as_object() {
        for (name, value) in data.iter().filter(|(_, value)| !value.is_null()) {
            intent[name.as_str()] = value.clone();
        }
    }
    let made = state.create(&PAYMENT_INTENT, intent, "payment_intent.created");
    let made = text(&made, "id").unwrap_or_default().to_owned();
    let id = text(session, "id").unwrap_or_default().to_owned();
    state.change(&SESSION, &id, "", |session| {
        session["payment_intent"] = json!(made);
        session["_intent"] = json!(made);
        Ok(())
    })?;
    Ok(made)
}

/// The owner's answer to what a session waits for.
///
/// # Errors
/// It waits for nothing.
pub(crate) fn authenticate(state: &mut State, id: &str, approves: bool) -> Result<Value, ApiError> {
    let session = state.get(&SESSION, id, "session")?;
    let intent = text(session, "_intent").unwrap_or_default().to_owned();
    setup_intents::answer(state, &intent, approves)?;
    state.get(&SESSION, id, "session").cloned()
}

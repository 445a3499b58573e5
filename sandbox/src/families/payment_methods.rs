//! Payment methods: cards and SEPA debits, attached to customers.

use serde_json::{Value, json};

use super::cards::{self, Conduct};
use super::customers::CUSTOMER;
use super::{Family, Hook, Route};
use crate::list_params;
use crate::shape::list::list;
use crate::shape::read::text;
use crate::shape::render::Downgrade;
use crate::state::State;
use crate::state::events::differences;
use crate::state::ids::letters;
use crate::state::store::Kind;
use crate::wire::call::{Outcome, Request};
use crate::wire::error::ApiError;
use crate::wire::params::Params;

/// `pm_..`
pub const PAYMENT_METHOD: Kind = Kind {
    object: "payment_method",
    prefix: "pm_1",
    random: 23,
    path: "/v1/payment_methods",
};

macro_rules! billing {
    () => {
        " allow_redisplay billing_details{address{city country line1 line2 postal_code state} email name phone tax_id} \
          metadata* expand[] "
    };
}

/// Payment methods.
pub const FAMILY: Family = Family {
    kinds: &[&PAYMENT_METHOD],
    routes: &[
        Route::post(
            "/v1/payment_methods",
            concat!(
                billing!(),
                "type card{token number exp_month exp_year cvc} sepa_debit{iban} customer payment_method"
            ),
            create,
        ),
        Route::get("/v1/payment_methods", concat!("customer type", list_params!()), index),
        Route::get("/v1/payment_methods/{method}", "expand[]", show),
        Route::post(
            "/v1/payment_methods/{method}",
            concat!(billing!(), "card{exp_month exp_year}"),
            update,
        ),
        Route::post("/v1/payment_methods/{method}/attach", "customer expand[]", attach_route),
        Route::post("/v1/payment_methods/{method}/detach", "expand[]", detach),
        Route::get(
            "/v1/customers/{customer}/payment_methods",
            concat!("type allow_redisplay", list_params!()),
            index_of_customer,
        ),
        Route::get(
            "/v1/customers/{customer}/payment_methods/{method}",
            "expand[]",
            show_of_customer,
        ),
    ],
    downgrades: &[Downgrade {
        before: "2026-03-25",
        object: "payment_method",
        apply: |_, method| {
            method.remove("customer_account");
        },
    }],
    hooks: &[Hook::CustomerGoes(customer_goes)],
    ..Family::EMPTY
};

fn blank(state: &mut State, kind: &str, conduct: Conduct) -> Value {
    let empty =
        json!({"city": null, "country": null, "line1": null, "line2": null, "postal_code": null, "state": null});
    json!({
        "id": state.new_id(&PAYMENT_METHOD),
        "object": "payment_method",
        "allow_redisplay": "unspecified",
        "billing_details": {"address": empty, "email": null, "name": null, "phone": null, "tax_id": null},
        "created": state.now(),
        "customer": null,
        "customer_account": null,
        "livemode": false,
        "metadata": {},
        "type": kind,
        "_conduct": conduct,
        "_authenticated": false,
    })
}

/// Makes a card.
pub(super) fn make_card(state: &mut State, number: &str, brand: &str, conduct: Conduct, expiry: (i64, i64)) -> Value {
    let mut method = blank(state, "card", conduct);
    let last4: String = number.chars().skip(number.chars().count().saturating_sub(4)).collect();
    method["card"] = json!({
        "brand": brand,
        "checks": {"address_line1_check": null, "address_postal_code_check": null, "cvc_check": "pass"},
        "country": "US",
        "display_brand": brand,
        "exp_month": expiry.0,
        "exp_year": expiry.1,
        "fingerprint": letters(state.ids.seed(), number, 16),
        "funding": "credit",
        "generated_from": null,
        "last4": last4,
        "networks": {"available": [brand], "preferred": null},
        "regulated_status": "unregulated",
        "three_d_secure_usage": {"supported": true},
        "wallet": null,
    });
    method
}

/// When a card of no stated expiry ends: long after any clock of a rehearsal.
const FAR_EXPIRY: (i64, i64) = (12, 2044);

/// The payment method that an id names. `pm_card_visa` names a new one each time, not attached to anybody.
///
/// # Errors
/// No such payment method.
pub fn resolve(state: &mut State, id: &str, param: &str) -> Result<Value, ApiError> {
    if let Some(card) = cards::by_name(id).filter(|_| id.starts_with("pm_card_")) {
        let method = make_card(state, card.number, card.brand, card.conduct, FAR_EXPIRY);
        state.put(&PAYMENT_METHOD, method.clone());
        return Ok(method);
    }
    // A card kept as a source of its customer pays like a payment method.
    if let Some(method) = state.look(&super::sources::CARD, id) {
        return Ok(method.clone());
    }
    state.get(&PAYMENT_METHOD, id, param).cloned()
}

/// What a payment method does.
#[must_use]
pub fn conduct(method: &Value) -> Conduct {
    serde_json::from_value(method["_conduct"].clone()).unwrap_or(Conduct::Pays)
}

/// Attaches a payment method to a customer; emits `payment_method.attached`.
///
/// # Errors
/// No such method or customer, another customer's, or a card that its bank refuses.
pub fn attach(state: &mut State, method: &str, customer: &str) -> Result<Value, ApiError> {
    state.get(&CUSTOMER, customer, "customer")?;
    let found = resolve(state, method, "payment_method")?;
    match text(&found, "customer") {
        Some(owner) if owner == customer => return Ok(found),
        Some(_) => {
            let message = "The payment method you provided has already been attached to a customer.";
            return Err(ApiError::state("payment_method_unexpected_state", message));
        }
        None => {}
    }
    if let Some((code, decline, words)) = conduct(&found).refusal()
        && conduct(&found) != Conduct::DeclinesLater
    {
        return Err(ApiError::card(code, decline, words));
    }
    let id = text(&found, "id").unwrap_or_default().to_owned();
    state.change(&PAYMENT_METHOD, &id, "", |method| {
        method["customer"] = json!(customer);
        Ok(())
    })?;
    let attached = state.get(&PAYMENT_METHOD, &id, "payment_method")?.clone();
    state.emit("payment_method.attached", &attached);
    Ok(attached)
}

/// The id of the payment method a customer got last; null when it has none.
#[must_use]
pub fn newest_of(state: &State, customer: &str) -> Value {
    let mut own = state
        .all(&PAYMENT_METHOD)
        .filter(|method| method["customer"] == customer);
    own.next().map_or(Value::Null, |method| method["id"].clone())
}

/// Which method pays for a customer when none is named: its default, else its default source.
#[must_use]
pub fn default_of(state: &State, customer: &str) -> Option<String> {
    let customer = state.look(&CUSTOMER, customer)?;
    let default = text(customer, "invoice_settings.default_payment_method");
    default.or_else(|| text(customer, "default_source")).map(str::to_owned)
}

fn create(state: &mut State, request: &Request) -> Outcome {
    let params = request.params();
    let mut method = match params.required("type")? {
        "card" => card(state, &params)?,
        "sepa_debit" => sepa(state, &params)?,
        other => {
            let message = format!("The payment method type {other} is not imitated; use card or sepa_debit.");
            return Err(ApiError::bad_param("type", message));
        }
    };
    edit(&params, &mut method)?;
    state.put(&PAYMENT_METHOD, method.clone());
    Ok(method.into())
}

fn card(state: &mut State, params: &Params<'_>) -> Result<Value, ApiError> {
    let given = params.object("card").ok_or_else(|| ApiError::missing("card"))?;
    if let Some(token) = given.text("token") {
        let card = cards::by_name(token).ok_or_else(|| ApiError::no_such("token", token, "card[token]"))?;
        return Ok(make_card(state, card.number, card.brand, card.conduct, FAR_EXPIRY));
    }
    let number: String = given
        .required("number")?
        .chars()
        .filter(|c| !c.is_whitespace())
        .collect();
    let expiry = (
        given.required_integer("exp_month")?,
        given.required_integer("exp_year")?,
    );
    card_of_number(state, &number, expiry, "card[number]")
}

/// A card from what is on it.
///
/// # Errors
/// A number that cannot be one.
pub fn card_of_number(state: &mut State, number: &str, expiry: (i64, i64), param: &str) -> Result<Value, ApiError> {
    let digits = number.bytes().all(|byte| byte.is_ascii_digit()) && (12..=19).contains(&number.len());
    if !digits || !luhn(number) {
        let error = ApiError::card("incorrect_number", None, "Your card number is incorrect.");
        return Err(error.param(param));
    }
    let (brand, conduct) = cards::by_number(number).map_or(("visa", Conduct::Pays), |card| (card.brand, card.conduct));
    Ok(make_card(state, number, brand, conduct, expiry))
}

fn luhn(number: &str) -> bool {
    let digits = number.bytes().rev().map(|byte| u32::from(byte - b'0'));
    let sum: u32 = digits
        .enumerate()
        .map(|(at, digit)| match digit * 2 {
            _ if at % 2 == 0 => digit,
            double if double > 9 => double - 9,
            double => double,
        })
        .sum();
    sum.is_multiple_of(10)
}

fn sepa(state: &mut State, params: &Params<'_>) -> Result<Value, ApiError> {
    let given = params
        .object("sepa_debit")
        .ok_or_else(|| ApiError::missing("sepa_debit"))?;
    let iban = given.required("iban")?;
    let wrong = || {
        ApiError::bad_param("sepa_debit[iban]", "The IBAN is none of the test accounts.")
            .code("invalid_bank_account_iban")
    };
    let conduct = cards::account(iban).ok_or_else(wrong)?;
    let mut method = blank(state, "sepa_debit", conduct);
    let bare: String = iban.chars().filter(|c| !c.is_whitespace()).collect();
    let last4: String = bare.chars().skip(bare.chars().count().saturating_sub(4)).collect();
    method["sepa_debit"] = json!({
        "bank_code": bare.get(4..12),
        "branch_code": "",
        "country": bare.get(..2),
        "fingerprint": letters(state.ids.seed(), &bare, 16),
        "generated_from": {"charge": null, "setup_attempt": null},
        "last4": last4,
    });
    Ok(method)
}

fn edit(params: &Params<'_>, method: &mut Value) -> Result<(), ApiError> {
    if let Some(details) = params.object("billing_details") {
        let target = &mut method["billing_details"];
        details.copy_texts(target, &["email", "name", "phone", "tax_id"]);
        if let Some(address) = details.object("address") {
            let parts = ["city", "country", "line1", "line2", "postal_code", "state"];
            address.copy_texts(&mut target["address"], &parts);
        }
    }
    params.copy_texts(method, &["allow_redisplay"]);
    if let Some(card) = params.object("card").filter(|_| method["type"] == "card") {
        card.copy_integers(&mut method["card"], &["exp_month", "exp_year"])?;
    }
    params.merge_metadata(method)
}

fn show(state: &mut State, request: &Request) -> Outcome {
    Ok(state
        .get(&PAYMENT_METHOD, request.id(), "payment_method")?
        .clone()
        .into())
}

fn update(state: &mut State, request: &Request) -> Outcome {
    let params = request.params();
    let changed = state.change(&PAYMENT_METHOD, request.id(), "payment_method.updated", |method| {
        edit(&params, method)
    })?;
    Ok(changed.into())
}

fn attach_route(state: &mut State, request: &Request) -> Outcome {
    let params = request.params();
    Ok(attach(state, request.id(), params.required("customer")?)?.into())
}

fn detach(state: &mut State, request: &Request) -> Outcome {
    let old = state.get(&PAYMENT_METHOD, request.id(), "payment_method")?.clone();
    let Some(customer) = text(&old, "customer").map(str::to_owned) else {
        let message = "The payment method you provided is not attached to a customer so detachment is impossible.";
        return Err(ApiError::state("payment_method_unexpected_state", message));
    };
    let mut new = old.clone();
    new["customer"] = Value::Null;
    state.put(&PAYMENT_METHOD, new.clone());
    let previous = differences(&old, &new);
    state.emit_changed("payment_method.detached", &new, Some(Value::Object(previous)));
    if default_of(state, &customer).as_deref() == Some(request.id()) {
        state.change(&CUSTOMER, &customer, "customer.updated", |customer| {
            customer["invoice_settings"]["default_payment_method"] = Value::Null;
            Ok(())
        })?;
    }
    Ok(new.into())
}

fn index(state: &mut State, request: &Request) -> Outcome {
    let params = request.params();
    let customer = params.text("customer").map(str::to_owned);
    listed(state, request, customer, "/v1/payment_methods")
}

fn index_of_customer(state: &mut State, request: &Request) -> Outcome {
    state.get(&CUSTOMER, request.id(), "customer")?;
    let url = format!("/v1/customers/{}/payment_methods", request.id());
    listed(state, request, Some(request.id().to_owned()), &url)
}

fn listed(state: &mut State, request: &Request, customer: Option<String>, url: &str) -> Outcome {
    let params = request.params();
    let kind = params.text("type");
    let listed = list(state, &PAYMENT_METHOD, &params, url, |method| {
        let owner = text(method, "customer");
        kind.is_none_or(|kind| method["type"] == kind)
            && match &customer {
                Some(customer) => owner == Some(customer),
                None => owner.is_none(),
            }
    })?;
    Ok(listed.into())
}

fn show_of_customer(state: &mut State, request: &Request) -> Outcome {
    let id = request.segment(1);
    let found = state
        .look(&PAYMENT_METHOD, id)
        .filter(|method| method["customer"] == request.id());
    let found = found.ok_or_else(|| ApiError::no_such("payment_method", id, "payment_method"))?;
    Ok(found.clone().into())
}

fn customer_goes(state: &mut State, id: &str) -> Result<(), ApiError> {
    for mut method in state.matching(&PAYMENT_METHOD, |method| method["customer"] == id) {
        method["customer"] = Value::Null;
        state.put(&PAYMENT_METHOD, method);
    }
    Ok(())
}

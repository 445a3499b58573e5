//! Other doors to a session than its page: what the official CLI uses, and the page's twin for tests.

use serde_json::{Value, json};

use super::super::payment_methods;
use super::super::{Access, Family, Route};
use super::SESSION;
use super::finish::{Given, authenticate, complete};
use crate::shape::read::text;
use crate::state::State;
use crate::wire::call::{Answer, Outcome, Request};
use crate::wire::error::ApiError;
use crate::wire::params::Params;

/// The doors.
pub(crate) const DOORS: Family = Family {
    routes: &[
        Route::get("/v1/payment_pages/{page}", "key expand[]", page),
        Route::post(
            "/v1/payment_pages/{page}/confirm",
            "key eid payment_method expected_amount expected_payment_method_type return_url expand[]",
            confirm,
        ),
        Route::post(
            "/_sandbox/checkout/{session}/complete",
            "email name phone address{city country line1 line2 postal_code state} tax_id{type value} payment_method \
             card{number exp_month exp_year cvc} promotion_code quantities* expected_amount outcome",
            complete_route,
        )
        .access(Access::Page),
    ],
    ..Family::EMPTY
};

/// Whether the page asks where its customer lives.
pub(crate) fn asks_address(session: &Value) -> bool {
    session["billing_address_collection"] == "required" || session["automatic_tax"]["enabled"] == true
}

/// By the page's id or the session's.
fn found(state: &State, id: &str) -> Result<Value, ApiError> {
    if id.starts_with(SESSION.prefix) {
        return state.get(&SESSION, id, "page").cloned();
    }
    let session = state.all(&SESSION).find(|session| session["_page"] == id).cloned();
    session.ok_or_else(|| ApiError::no_such("payment_page", id, "page"))
}

fn shown(state: &State, id: &str) -> Result<Value, ApiError> {
    let session = found(state, id)?;
    let field = |name: &str| session[name].clone();
    Ok(json!({
        "id": session["_page"],
        "object": "checkout.session",
        "currency": field("currency"),
        "customer_email": field("customer_email"),
        "livemode": false,
        "mode": field("mode"),
        "payment_intent": field("payment_intent"),
        "payment_method_types": field("payment_method_types"),
        "payment_status": field("payment_status"),
        "session_id": field("id"),
        "setup_intent": field("setup_intent"),
        "status": field("status"),
        "success_url": field("success_url"),
        "total_summary": {"due": session["amount_total"], "subtotal": session["amount_subtotal"]},
    }))
}

fn page(state: &mut State, request: &Request) -> Outcome {
    Ok(Answer::Raw(shown(state, request.id())?))
}

fn confirm(state: &mut State, request: &Request) -> Outcome {
    let params = request.params();
    let named = params.required("payment_method")?;
    let session = found(state, request.id())?;
    // Who pays stands on the method.
    let method = payment_methods::resolve(state, named, "payment_method")?;
    let details = &method["billing_details"];
    let address = details["address"].clone();
    let given = Given {
        email: text(details, "email").map(str::to_owned),
        name: text(details, "name").map(str::to_owned),
        phone: text(details, "phone").map(str::to_owned),
        address: address["country"].is_string().then_some(address),
        method: text(&method, "id").map(str::to_owned),
        expected_amount: params.integer("expected_amount")?,
        ..Given::default()
    };
    complete(state, text(&session, "id").unwrap_or_default(), &given)?;
    Ok(Answer::Raw(shown(state, request.id())?))
}

fn complete_route(state: &mut State, request: &Request) -> Outcome {
    let params = request.params();
    let id = request.id().to_owned();
    let outcome = params.choice("outcome", &["approve", "fail"])?;
    let given = read(&params)?;
    let mut session = complete(state, &id, &given)?;
    if let Some(outcome) = outcome.filter(|_| session["status"] == "open") {
        session = authenticate(state, &id, outcome == "approve")?;
    }
    Ok(session.into())
}

/// Reads what a customer gives, from the twin's parameters and from the page's form, which has the same names.
pub(crate) fn read(params: &Params<'_>) -> Result<Given, ApiError> {
    let own = |name: &str| {
        params
            .text(name)
            .map(str::trim)
            .filter(|text| !text.is_empty())
            .map(str::to_owned)
    };
    let mut given = Given {
        email: own("email"),
        name: own("name"),
        phone: own("phone"),
        method: own("payment_method"),
        expected_amount: params.integer("expected_amount")?,
        ..Given::default()
    };
    if params.has("promotion_code") {
        given.promotion_code = Some(params.text("promotion_code").unwrap_or_default().to_owned());
    }
    if let Some(address) = params.object("address") {
        let part = |name: &str| address.text(name);
        given.address = ["city", "country", "line1", "line2", "postal_code", "state"]
            .iter()
            .any(|name| part(name).is_some())
            .then(|| {
                json!({"city": part("city"), "country": part("country"), "line1": part("line1"),
                       "line2": part("line2"), "postal_code": part("postal_code"), "state": part("state")})
            });
    }
    if let Some(tax_id) = params.object("tax_id").filter(|given| given.text("value").is_some()) {
        given.tax_id = Some((
            tax_id.required("type")?.to_owned(),
            tax_id.required("value")?.to_owned(),
        ));
    }
    if let Some(chosen) = params.object("quantities") {
        let names = params.raw("quantities").and_then(Value::as_object);
        for name in names.into_iter().flatten().map(|(name, _)| name) {
            given.quantities.push((name.clone(), chosen.required_integer(name)?));
        }
    }
    if params.object("card").is_some_and(|card| card.text("number").is_some()) {
        given.card = params.raw("card").cloned();
    }
    Ok(given)
}

/// A card of what is typed; only brand, last four digits and expiry are kept.
///
/// # Errors
/// What is wrong with it, named by field.
pub(crate) fn card(state: &mut State, params: &Params<'_>) -> Result<Value, ApiError> {
    let given = params.object("card").ok_or_else(|| ApiError::missing("card[number]"))?;
    let wrong = |name: &str, message: &str, code: &str| {
        let error = ApiError::card(code, None, message);
        Err(error.param(&format!("card[{name}]")))
    };
    let digits: String = given
        .text("number")
        .unwrap_or_default()
        .chars()
        .filter(|c| !matches!(c, ' ' | '-'))
        .collect();
    if digits.is_empty() {
        return wrong("number", "Enter the number on the card.", "incomplete_number");
    }
    let whole = |name: &str| {
        given
            .text(name)
            .and_then(|text| text.trim().parse::<i64>().ok())
            .or_else(|| given.raw(name)?.as_i64())
    };
    let Some(month) = whole("exp_month").filter(|month| (1..=12).contains(month)) else {
        return wrong(
            "exp_month",
            "Enter the month as a number from 1 to 12.",
            "invalid_expiry_month",
        );
    };
    let year = whole("exp_year").map(|year| if (0..100).contains(&year) { year + 2000 } else { year });
    let Some(year) = year.filter(|year| (2000..=2100).contains(year)) else {
        return wrong(
            "exp_year",
            "Enter the year the card ends, such as 2030.",
            "invalid_expiry_year",
        );
    };
    if over(state.now(), month, year) {
        return wrong("exp_year", "The card has expired.", "invalid_expiry_year");
    }
    let code = given.raw("cvc").map(|code| {
        code.as_str()
            .map_or_else(|| code.to_string(), |text| text.trim().to_owned())
    });
    let digits_only = |text: &str| matches!(text.len(), 3 | 4) && text.bytes().all(|byte| byte.is_ascii_digit());
    if code.is_some_and(|code| !digits_only(&code)) {
        return wrong(
            "cvc",
            "Enter the security code: 3 digits, or 4 on American Express.",
            "invalid_cvc",
        );
    }
    payment_methods::card_of_number(state, &digits, (month, year), "card[number]")
}

/// A card ends with its month.
fn over(now: i64, month: i64, year: i64) -> bool {
    let date = chrono::DateTime::from_timestamp(now, 0);
    date.is_some_and(|now| {
        use chrono::Datelike;
        (i64::from(now.year()), i64::from(now.month())) > (year, month)
    })
}

#[test]
fn a_card_ends_with_its_month() {
    let february = 1_769_904_000;
    assert!(over(february, 1, 2026) && over(february, 12, 2025));
    assert!(!over(february - 1, 1, 2026) && !over(february, 2, 2026) && !over(february, 1, 2027));
}

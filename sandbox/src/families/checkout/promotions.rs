//! Coupons and promotion codes on a session.

use serde_json::{Value, json};

use super::super::charges::CHARGE;
use super::super::coupons::{self, COUPON, Holder};
use super::super::promotion_codes::{self, PROMOTION_CODE};
use crate::shape::read::{flag, items, number, text};
use crate::state::State;
use crate::wire::error::ApiError;
use crate::wire::params::Params;

/// Reads `discounts[0]`, and puts it on the session.
///
/// # Errors
/// Several, or one that cannot be had.
pub(super) fn read(state: &State, params: &Params<'_>, session: &mut Value) -> Result<(), ApiError> {
    let given = params.objects("discounts");
    let Some(first) = given.first() else { return Ok(()) };
    if given.len() > 1 {
        let message = "Only one discount can be applied to a Checkout Session.";
        return Err(ApiError::bad_param("discounts", message));
    }
    if let Some(code) = first.text("promotion_code") {
        let name = first.name("promotion_code");
        let found = state.get(&PROMOTION_CODE, code, &name)?.clone();
        return put(state, session, &found, &name);
    }
    let Some(id) = first.text("coupon") else {
        return Err(ApiError::missing(&first.name("coupon")));
    };
    put_coupon(state, session, id, None, &first.name("coupon"))
}

/// Puts the code that somebody typed on the session.
///
/// # Errors
/// A code that is none, is over, is another's, or whose conditions are not met.
pub(super) fn type_in(state: &State, session: &mut Value, typed: &str) -> Result<(), ApiError> {
    let name = "promotion_code";
    let typed = typed.trim();
    let same = |code: &&Value| text(code, "code").is_some_and(|known| known.eq_ignore_ascii_case(typed));
    let codes: Vec<&Value> = state.all(&PROMOTION_CODE).filter(same).collect();
    let found = codes.iter().find(|code| flag(code, "active")).or(codes.first());
    let none = || {
        let message = format!("The code {typed} is not valid.");
        ApiError::bad_param(name, message).code("promotion_code_invalid")
    };
    put(state, session, found.ok_or_else(none)?, name)
}

fn put(state: &State, session: &mut Value, code: &Value, name: &str) -> Result<(), ApiError> {
    let refuse = |message: String| Err(ApiError::bad_param(name, message).code("promotion_code_invalid"));
    let word = text(code, "code").unwrap_or_default();
    if !flag(code, "active") {
        return refuse(format!("The code {word} has expired."));
    }
    let customer = text(session, "customer").map(str::to_owned);
    if text(code, "customer").is_some_and(|owner| Some(owner) != customer.as_deref()) {
        return refuse(format!("The code {word} is for another customer."));
    }
    if flag(code, "restrictions.first_time_transaction") {
        let paid = |charge: &Value| charge["paid"] == true && text(charge, "customer") == customer.as_deref();
        if customer.is_some() && state.all(&CHARGE).any(paid) {
            return refuse(format!("The code {word} is for first purchases only."));
        }
    }
    let least = number(code, "restrictions.minimum_amount");
    let whole: i64 = items(session, "_line_items")
        .iter()
        .map(|line| number(line, "amount_subtotal"))
        .sum();
    let currency = text(code, "restrictions.minimum_amount_currency");
    if whole < least && currency.is_none_or(|currency| session["currency"] == currency) {
        return refuse(format!("The code {word} needs a larger purchase."));
    }
    let coupon = text(code, "promotion.coupon").unwrap_or_default().to_owned();
    put_coupon(state, session, &coupon, text(code, "id"), name)
}

fn put_coupon(state: &State, session: &mut Value, id: &str, code: Option<&str>, name: &str) -> Result<(), ApiError> {
    let coupon = state.get(&COUPON, id, name)?.clone();
    if coupon["valid"] != true {
        return Err(ApiError::bad_param(name, format!("Coupon expired: {id}")).code("coupon_expired"));
    }
    let currency = text(&coupon, "currency");
    if currency.is_some_and(|currency| !session["currency"].is_null() && session["currency"] != currency) {
        let message = "This coupon is for another currency.";
        return Err(ApiError::bad_param(name, message));
    }
    session["discounts"] =
        json!([{"coupon": if code.is_some() { Value::Null } else { json!(id) }, "promotion_code": code}]);
    session["_coupon"] = coupon;
    Ok(())
}

/// No discount any more.
pub(super) fn clear(session: &mut Value) {
    session["discounts"] = json!([]);
    session["_coupon"] = Value::Null;
}

/// How a subscription is told of the session's discount.
pub(super) fn of_subscription(session: &Value) -> Value {
    let Some(discount) = items(session, "discounts").first() else {
        return Value::Null;
    };
    match text(discount, "promotion_code") {
        Some(code) => json!([{"promotion_code": code}]),
        None => json!([{"coupon": text(discount, "coupon")}]),
    }
}

/// Counts the discount of a purchase that is paid.
pub(super) fn redeem(state: &mut State, session: &Value) -> Result<(), ApiError> {
    let Some(discount) = items(session, "discounts").first() else {
        return Ok(());
    };
    let customer = text(session, "customer").unwrap_or_default();
    let code = text(discount, "promotion_code");
    let coupon = match code {
        Some(code) => promotion_codes::redeem(state, code, customer, "discounts")?,
        None => text(discount, "coupon").unwrap_or_default().to_owned(),
    };
    let holder = Holder {
        customer,
        promotion_code: code,
        ..Holder::default()
    };
    coupons::redeem(state, &coupon, holder, "discounts").map(|_| ())
}

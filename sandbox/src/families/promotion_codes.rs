//! Promotion codes: words that customers type for a coupon.

use serde_json::{Map, Value, json};

use super::coupons::COUPON;
use super::customers::CUSTOMER;
use super::{Family, Route};
use crate::list_params;
use crate::shape::list::list;
use crate::shape::read::{flag, number, text};
use crate::shape::render::Downgrade;
use crate::state::State;
use crate::state::store::Kind;
use crate::wire::call::{Outcome, Request};
use crate::wire::error::ApiError;

/// `promo_..`
pub const PROMOTION_CODE: Kind = Kind {
    object: "promotion_code",
    prefix: "promo_1",
    random: 23,
    path: "/v1/promotion_codes",
};

/// Promotion codes.
pub const FAMILY: Family = Family {
    kinds: &[&PROMOTION_CODE],
    routes: &[
        Route::post(
            "/v1/promotion_codes",
            "active code coupon customer expires_at max_redemptions metadata* promotion{coupon type} \
             restrictions{first_time_transaction minimum_amount minimum_amount_currency} expand[]",
            create,
        ),
        Route::get(
            "/v1/promotion_codes",
            concat!("active code coupon customer created?{gt gte lt lte}", list_params!()),
            index,
        ),
        Route::get("/v1/promotion_codes/{code}", "expand[]", show),
        Route::post("/v1/promotion_codes/{code}", "active metadata* expand[]", update),
    ],
    downgrades: &[Downgrade {
        before: "2025-09-30",
        object: "promotion_code",
        apply: older,
    }],
    work: &[("promotion_code.expire", expire)],
    ..Family::EMPTY
};

/// The coupon stood in the code itself, in full.
fn older(state: &State, code: &mut Map<String, Value>) {
    code.remove("customer_account");
    let Some(promotion) = code.remove("promotion") else {
        return;
    };
    let coupon = match &promotion["coupon"] {
        Value::String(id) => state
            .look(&COUPON, id)
            .cloned()
            .or_else(|| code.get("_coupon").cloned()),
        expanded @ Value::Object(_) => Some(expanded.clone()),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) => None,
    };
    code.insert("coupon".to_owned(), json!(coupon));
}

fn create(state: &mut State, request: &Request) -> Outcome {
    let params = request.params();
    let promotion = params.object("promotion");
    let coupon = promotion.as_ref().and_then(|given| given.text("coupon"));
    // Callers of older versions name the coupon at the top.
    let coupon = coupon
        .or_else(|| params.text("coupon"))
        .ok_or_else(|| ApiError::missing("promotion[coupon]"))?;
    let coupon = state.get(&COUPON, coupon, "promotion[coupon]")?.clone();
    if let Some(customer) = params.text("customer") {
        state.get(&CUSTOMER, customer, "customer")?;
    }
    let code = params
        .text("code")
        .map_or_else(|| state.ids.next("", 8).to_uppercase(), str::to_owned);
    let same = |other: &&Value| {
        flag(other, "active") && text(other, "code").is_some_and(|other| other.eq_ignore_ascii_case(&code))
    };
    if state.all(&PROMOTION_CODE).any(|other| same(&other)) {
        let message = format!("An active promotion code with `code: {code}` already exists.");
        return Err(ApiError::bad_param("code", message).code("resource_already_exists"));
    }
    let restrictions = params.object("restrictions");
    let given = restrictions.as_ref();
    let first_time = given
        .map(|given| given.flag("first_time_transaction"))
        .transpose()?
        .flatten();
    let minimum = given
        .map(|given| given.integer("minimum_amount"))
        .transpose()?
        .flatten();
    let expires_at = params.integer("expires_at")?;
    let mut object = json!({
        "id": state.new_id(&PROMOTION_CODE),
        "object": "promotion_code",
        "active": params.flag("active")?.unwrap_or(true),
        "code": code,
        "created": state.now(),
        "customer": params.text("customer"),
        "customer_account": null,
        "expires_at": expires_at,
        "livemode": false,
        "max_redemptions": params.ranged("max_redemptions", 1, i64::MAX)?,
        "metadata": {},
        "promotion": {"coupon": coupon["id"], "type": "coupon"},
        "restrictions": {
            "first_time_transaction": first_time.unwrap_or(false),
            "minimum_amount": minimum,
            "minimum_amount_currency": given.and_then(|given| given.text("minimum_amount_currency")),
        },
        "times_redeemed": 0,
        "_coupon": coupon,
    });
    params.merge_metadata(&mut object)?;
    if let Some(at) = expires_at {
        // By the sandbox-wide clock: the code may be anybody's.
        let id = text(&object, "id").unwrap_or_default();
        state.due.schedule(None, at, "promotion_code.expire", id);
    }
    Ok(state.create(&PROMOTION_CODE, object, "promotion_code.created").into())
}

fn expire(state: &mut State, id: &str) -> Result<(), ApiError> {
    if state.look(&PROMOTION_CODE, id).is_some() {
        state.change(&PROMOTION_CODE, id, "promotion_code.updated", |code| {
            code["active"] = json!(false);
            Ok(())
        })?;
    }
    Ok(())
}

fn show(state: &mut State, request: &Request) -> Outcome {
    Ok(state
        .get(&PROMOTION_CODE, request.id(), "promotion_code")?
        .clone()
        .into())
}

fn update(state: &mut State, request: &Request) -> Outcome {
    let params = request.params();
    let changed = state.change(&PROMOTION_CODE, request.id(), "promotion_code.updated", |code| {
        params.copy_flags(code, &["active"])?;
        params.merge_metadata(code)
    })?;
    Ok(changed.into())
}

fn index(state: &mut State, request: &Request) -> Outcome {
    let params = request.params();
    let active = params.flag("active")?;
    let listed = list(state, &PROMOTION_CODE, &params, "/v1/promotion_codes", |code| {
        let same = |name: &str, path: &str| params.text(name).is_none_or(|wanted| text(code, path) == Some(wanted));
        let word = params.text("code");
        active.is_none_or(|active| flag(code, "active") == active)
            && word.is_none_or(|word| text(code, "code").is_some_and(|code| code.eq_ignore_ascii_case(word)))
            && same("coupon", "promotion.coupon")
            && same("customer", "customer")
    })?;
    Ok(listed.into())
}

/// Uses a code, by its id, for a customer: counts it and answers its coupon.
///
/// # Errors
/// No such code, one that is over, or another customer's.
pub fn redeem(state: &mut State, id: &str, customer: &str, param: &str) -> Result<String, ApiError> {
    let code = state.get(&PROMOTION_CODE, id, param)?.clone();
    let others = text(&code, "customer").is_some_and(|owner| owner != customer);
    if !flag(&code, "active") || others {
        let error = ApiError::bad_param(param, "This promotion code cannot be redeemed.");
        return Err(error.code("promotion_code_invalid"));
    }
    let mut counted = code.clone();
    let times = number(&code, "times_redeemed") + 1;
    counted["times_redeemed"] = json!(times);
    if code["max_redemptions"].as_i64().is_some_and(|most| times >= most) {
        counted["active"] = json!(false);
    }
    state.put(&PROMOTION_CODE, counted);
    Ok(text(&code, "promotion.coupon").unwrap_or_default().to_owned())
}

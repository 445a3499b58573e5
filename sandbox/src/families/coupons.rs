//! Coupons, and the discounts they give.

use serde_json::{Map, Value, json};

use super::customers::CUSTOMER;
use super::{Family, Hook, Route};
use crate::list_params;
use crate::shape::calendar::period_end;
use crate::shape::list::list;
use crate::shape::read::{number, text};
use crate::shape::render::Downgrade;
use crate::state::State;
use crate::state::store::Kind;
use crate::wire::call::{Outcome, Request};
use crate::wire::error::ApiError;
use crate::wire::params::Params;

/// A coupon; its id is often chosen by its maker.
pub const COUPON: Kind = Kind {
    object: "coupon",
    prefix: "",
    random: 8,
    path: "/v1/coupons",
};

/// `di_..`; kept inside what it applies to.
pub const DISCOUNT: Kind = Kind {
    object: "discount",
    prefix: "di_1",
    random: 23,
    path: "",
};

/// Coupons.
pub const FAMILY: Family = Family {
    kinds: &[&COUPON],
    routes: &[
        Route::post(
            "/v1/coupons",
            "amount_off applies_to{products[]} currency duration duration_in_months id max_redemptions metadata* name \
             percent_off redeem_by expand[]",
            create,
        ),
        Route::get("/v1/coupons", concat!("created?{gt gte lt lte}", list_params!()), index),
        Route::get("/v1/coupons/{coupon}", "expand[]", show),
        Route::post("/v1/coupons/{coupon}", "metadata* name expand[]", update),
        Route::delete("/v1/coupons/{coupon}", "", delete),
        Route::delete("/v1/customers/{customer}/discount", "", delete_discount),
    ],
    work: &[("coupon.expire", expire)],
    downgrades: &[Downgrade {
        before: "2025-09-30",
        object: "discount",
        apply: older_discount,
    }],
    hooks: &[Hook::CustomerGoes(customer_goes)],
    ..Family::EMPTY
};

/// The coupon stood in the discount itself, in full.
fn older_discount(state: &State, discount: &mut Map<String, Value>) {
    let source = discount.remove("source").unwrap_or_default();
    discount.remove("customer_account");
    let coupon = match &source["coupon"] {
        // A coupon that has been deleted since is still known to its discounts.
        Value::String(id) => state
            .look(&COUPON, id)
            .cloned()
            .or_else(|| discount.get("_coupon").cloned()),
        expanded @ Value::Object(_) => Some(expanded.clone()),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) => None,
    };
    if let Some(coupon) = coupon.filter(|coupon| !coupon.is_null()) {
        discount.insert("coupon".to_owned(), coupon);
    }
}

fn create(state: &mut State, request: &Request) -> Outcome {
    let params = request.params();
    let id = match params.text("id") {
        Some(id) => id.to_owned(),
        None => state.ids.next("", 8),
    };
    if state.look(&COUPON, &id).is_some() {
        let error = ApiError::bad_param("id", format!("Coupon already exists: {id}"));
        return Err(error.code("resource_already_exists"));
    }
    let percent_off = params.decimal("percent_off")?;
    let amount_off = params.ranged("amount_off", 1, i64::MAX)?;
    check_value(&params, percent_off.as_ref(), amount_off)?;
    let duration = params
        .choice("duration", &["once", "repeating", "forever"])?
        .unwrap_or("once");
    let months = params.ranged("duration_in_months", 1, 1_200)?;
    if (duration == "repeating") != months.is_some() {
        return Err(ApiError::bad_param(
            "duration_in_months",
            "duration_in_months goes with duration=repeating, and with nothing else.",
        ));
    }
    let redeem_by = params.integer("redeem_by")?;
    let mut coupon = json!({
        "id": id,
        "object": "coupon",
        "amount_off": amount_off,
        "created": state.now(),
        "currency": amount_off.and(params.text("currency")).map(str::to_lowercase),
        "duration": duration,
        "duration_in_months": months,
        "livemode": false,
        "max_redemptions": params.ranged("max_redemptions", 1, i64::MAX)?,
        "metadata": {},
        "name": params.text("name"),
        "percent_off": percent_off,
        "redeem_by": redeem_by,
        "times_redeemed": 0,
        "valid": true,
    });
    if let Some(given) = params.object("applies_to") {
        coupon["_applies_to"] = json!({"products": given.texts("products")});
    }
    params.merge_metadata(&mut coupon)?;
    if let Some(at) = redeem_by {
        if at <= state.now() {
            return Err(ApiError::bad_param("redeem_by", "redeem_by must be in the future"));
        }
        state.schedule(&coupon, at, "coupon.expire");
    }
    Ok(state.create(&COUPON, coupon, "coupon.created").into())
}

fn check_value(params: &Params<'_>, percent: Option<&serde_json::Number>, amount: Option<i64>) -> Result<(), ApiError> {
    match (percent, amount) {
        (Some(percent), None) => {
            let millionths = crate::shape::money::millionths(&percent.to_string()).unwrap_or(0);
            if millionths <= 0 || millionths > 100_000_000 {
                let message = "percent_off must be more than 0 and at most 100";
                return Err(ApiError::bad_param("percent_off", message));
            }
            Ok(())
        }
        (None, Some(_)) => params.required("currency").map(|_| ()),
        (None, None) => Err(ApiError::missing("percent_off")),
        (Some(_), Some(_)) => Err(ApiError::bad_param(
            "percent_off",
            "Give percent_off or amount_off, not both.",
        )),
    }
}

fn expire(state: &mut State, id: &str) -> Result<(), ApiError> {
    if state.look(&COUPON, id).is_some() {
        state.change(&COUPON, id, "coupon.updated", |coupon| {
            coupon["valid"] = json!(false);
            Ok(())
        })?;
    }
    Ok(())
}

fn show(state: &mut State, request: &Request) -> Outcome {
    Ok(state.get(&COUPON, request.id(), "coupon")?.clone().into())
}

fn update(state: &mut State, request: &Request) -> Outcome {
    let params = request.params();
    let changed = state.change(&COUPON, request.id(), "coupon.updated", |coupon| {
        params.copy_texts(coupon, &["name"]);
        params.merge_metadata(coupon)
    })?;
    Ok(changed.into())
}

fn delete(state: &mut State, request: &Request) -> Outcome {
    Ok(state.remove(&COUPON, request.id(), "coupon.deleted", false)?.into())
}

fn index(state: &mut State, request: &Request) -> Outcome {
    Ok(list(state, &COUPON, &request.params(), "/v1/coupons", |_| true)?.into())
}

// ---- discounts ---------------------------------------------------------------------------------------

/// What a discount is given to.
#[derive(Clone, Copy, Debug, Default)]
pub struct Holder<'a> {
    /// The customer, in any case.
    pub customer: &'a str,
    /// Its subscription, when the discount is that one's alone.
    pub subscription: Option<&'a str>,
    /// The item of the subscription.
    pub item: Option<&'a str>,
    /// The promotion code that was used.
    pub promotion_code: Option<&'a str>,
}

/// Redeems a coupon: counts it, and answers the discount, which the caller keeps in what it applies to.
///
/// # Errors
/// No such coupon, or one that is not valid any more.
pub fn redeem(state: &mut State, coupon: &str, holder: Holder<'_>, param: &str) -> Result<Value, ApiError> {
    let found = state.get(&COUPON, coupon, param)?.clone();
    if found["valid"] != true {
        let error = ApiError::bad_param(param, format!("Coupon expired: {coupon}"));
        return Err(error.code("coupon_expired"));
    }
    let mut counted = found.clone();
    let times = number(&counted, "times_redeemed") + 1;
    counted["times_redeemed"] = json!(times);
    counted["valid"] = json!(counted["max_redemptions"].as_i64().is_none_or(|most| times < most));
    state.put(&COUPON, counted);
    let start = state.now_for(Some(holder.customer));
    let end =
        (found["duration"] == "repeating").then(|| period_end(start, "month", 1, number(&found, "duration_in_months")));
    Ok(json!({
        "id": state.new_id(&DISCOUNT),
        "object": "discount",
        "checkout_session": null,
        "customer": holder.customer,
        "customer_account": null,
        "end": end,
        "invoice": null,
        "invoice_item": null,
        "promotion_code": holder.promotion_code,
        "source": {"coupon": coupon, "type": "coupon"},
        "start": start,
        "subscription": holder.subscription,
        "subscription_item": holder.item,
        "_coupon": found,
    }))
}

/// Gives a customer the discount of `coupon` or `promotion_code` among the parameters, if there is one; empty text takes
/// the discount away. Emits `customer.discount.*`.
///
/// # Errors
/// What cannot be redeemed.
pub fn apply_to_customer(state: &mut State, params: &Params<'_>, customer: &mut Value) -> Result<(), ApiError> {
    let id = text(customer, "id").unwrap_or_default().to_owned();
    let mut holder = Holder {
        customer: &id,
        ..Holder::default()
    };
    let old = customer["discount"].clone();
    let code = params.text("promotion_code").map(str::to_owned);
    let coupon = match &code {
        Some(code) => Some(super::promotion_codes::redeem(state, code, &id, "promotion_code")?),
        None => params.text("coupon").map(str::to_owned),
    };
    holder.promotion_code = code.as_deref();
    if let Some(coupon) = coupon {
        let discount = redeem(state, &coupon, holder, "coupon")?;
        let event = if old.is_null() {
            "customer.discount.created"
        } else {
            "customer.discount.updated"
        };
        customer["discount"] = discount.clone();
        let previous = (!old.is_null()).then_some(old);
        let previous = previous.map(|old| Value::Object(crate::state::events::differences(&old, &discount)));
        state.emit_changed(event, &discount, previous);
    } else if params.unsets("coupon") || params.unsets("promotion_code") {
        if !old.is_null() {
            state.emit("customer.discount.deleted", &old);
        }
        customer["discount"] = Value::Null;
    }
    Ok(())
}

fn delete_discount(state: &mut State, request: &Request) -> Outcome {
    let mut customer = state.get(&CUSTOMER, request.id(), "customer")?.clone();
    let discount = customer["discount"].take();
    if discount.is_null() {
        return Err(ApiError::no_such("discount", request.id(), "customer"));
    }
    state.put(&CUSTOMER, customer);
    state.emit("customer.discount.deleted", &discount);
    let mut gone = discount;
    gone["deleted"] = json!(true);
    Ok(gone.into())
}

fn customer_goes(state: &mut State, id: &str) -> Result<(), ApiError> {
    let discount = state.get(&CUSTOMER, id, "id")?["discount"].clone();
    if !discount.is_null() {
        state.emit("customer.discount.deleted", &discount);
    }
    Ok(())
}

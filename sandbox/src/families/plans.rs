//! Plans: the older twin of a recurring price, of the same id. A plan is kept as its price.

use serde_json::{Value, json};

use super::prices::{self, PRICE};
use super::products::{self, PRODUCT};
use super::{Family, Route};
use crate::list_params;
use crate::shape::list::list;
use crate::shape::render::Downgrade;
use crate::state::State;
use crate::state::events::differences;
use crate::state::store::Kind;
use crate::wire::call::{Outcome, Request};
use crate::wire::error::ApiError;

/// `plan_..`
pub const PLAN: Kind = Kind {
    object: "plan",
    prefix: "plan_",
    random: 14,
    path: "/v1/plans",
};

/// Plans.
pub const FAMILY: Family = Family {
    kinds: &[&PLAN],
    routes: &[
        Route::post(
            "/v1/plans",
            concat!(
                "active amount amount_decimal billing_scheme currency id interval interval_count metadata* meter nickname \
                 product?{id name active metadata* statement_descriptor tax_code unit_label} tiers_mode \
                 transform_usage{divide_by round} trial_period_days usage_type expand[] ",
                prices::tier_params!()
            ),
            create,
        ),
        Route::get(
            "/v1/plans",
            concat!("active product created?{gt gte lt lte}", list_params!()),
            index,
        ),
        Route::get("/v1/plans/{plan}", "expand[]", show),
        Route::post(
            "/v1/plans/{plan}",
            "active metadata* nickname product trial_period_days expand[]",
            update,
        ),
        Route::delete("/v1/plans/{plan}", "", delete),
    ],
    downgrades: &[Downgrade {
        before: "2025-03-31",
        object: "plan",
        apply: |_, plan| {
            let usage = (plan.get("usage_type") == Some(&json!("metered"))).then_some("sum");
            plan.insert("aggregate_usage".to_owned(), json!(usage));
        },
    }],
    ..Family::EMPTY
};

/// A recurring price as a plan.
#[must_use]
pub fn of(price: &Value) -> Value {
    let recurring = &price["recurring"];
    let mut plan = json!({
        "id": price["id"],
        "object": "plan",
        "active": price["active"],
        "amount": price["unit_amount"],
        "amount_decimal": price["unit_amount_decimal"],
        "billing_scheme": price["billing_scheme"],
        "created": price["created"],
        "currency": price["currency"],
        "interval": recurring["interval"],
        "interval_count": recurring["interval_count"],
        "livemode": false,
        "metadata": price["metadata"],
        "meter": recurring["meter"],
        "nickname": price["nickname"],
        "product": price["product"],
        "tiers_mode": price["tiers_mode"],
        "transform_usage": price["transform_quantity"],
        "trial_period_days": recurring["trial_period_days"],
        "usage_type": recurring["usage_type"],
    });
    if let Some(tiers) = price.get("_tiers") {
        plan["_tiers"] = tiers.clone();
    }
    plan
}

/// Says that the plan of a price changed, when it did.
pub(super) fn say_updated(state: &mut State, before: &Value, price: &Value) {
    let now = of(price);
    let previous = differences(before, &now);
    if price["type"] == "recurring" && !previous.is_empty() {
        state.emit_changed("plan.updated", &now, Some(Value::Object(previous)));
    }
}

fn create(state: &mut State, request: &Request) -> Outcome {
    let params = request.params();
    let id = params.text("id").map_or_else(|| state.new_id(&PLAN), str::to_owned);
    if state.look(&PRICE, &id).is_some() {
        let error = ApiError::bad_param("id", format!("Plan already exists: {id}"));
        return Err(error.code("resource_already_exists"));
    }
    let product = match (params.text("product"), params.object("product")) {
        (Some(product), _) => state.get(&PRODUCT, product, "product")?["id"].clone(),
        (None, Some(given)) => products::make(state, &given)?["id"].clone(),
        (None, None) => return Err(ApiError::missing("product")),
    };
    params.required("interval")?;
    let scheme = params
        .choice("billing_scheme", &["per_unit", "tiered"])?
        .unwrap_or("per_unit");
    let tiers = prices::tiers(&params)?;
    let amount = match (params.integer("amount")?, params.decimal("amount_decimal")?) {
        (Some(whole), _) => (json!(whole), json!(whole.to_string())),
        (None, Some(decimal)) => (json!(decimal.as_i64()), json!(decimal.to_string())),
        (None, None) if scheme == "tiered" => (Value::Null, Value::Null),
        (None, None) => return Err(ApiError::missing("amount")),
    };
    let transform = params.object("transform_usage").map(|given| {
        let divide_by = given.required_integer("divide_by")?;
        Ok::<_, ApiError>(json!({"divide_by": divide_by, "round": given.required("round")?}))
    });
    let mut price = json!({
        "id": id,
        "object": "price",
        "active": params.flag("active")?.unwrap_or(true),
        "billing_scheme": scheme,
        "created": state.now(),
        "currency": params.required("currency")?.to_lowercase(),
        "custom_unit_amount": null,
        "livemode": false,
        "lookup_key": null,
        "metadata": {},
        "nickname": params.text("nickname"),
        "product": product,
        "recurring": {
            "interval": params.choice("interval", &["day", "week", "month", "year"])?,
            "interval_count": params.ranged("interval_count", 1, 365)?.unwrap_or(1),
            "meter": params.text("meter"),
            "trial_period_days": params.integer("trial_period_days")?,
            "usage_type": params.choice("usage_type", &["licensed", "metered"])?.unwrap_or("licensed"),
        },
        "tax_behavior": "unspecified",
        "tiers_mode": params.choice("tiers_mode", &["graduated", "volume"])?,
        "transform_quantity": transform.transpose()?,
        "type": "recurring",
        "unit_amount": amount.0,
        "unit_amount_decimal": amount.1,
    });
    if !tiers.is_null() {
        price["_tiers"] = tiers;
    }
    params.merge_metadata(&mut price)?;
    Ok(of(&prices::keep(state, price)?).into())
}

fn recurring<'a>(state: &'a State, id: &str) -> Result<&'a Value, ApiError> {
    let price = state.look(&PRICE, id).filter(|price| price["type"] == "recurring");
    price.ok_or_else(|| ApiError::no_such("plan", id, "plan"))
}

fn show(state: &mut State, request: &Request) -> Outcome {
    Ok(of(recurring(state, request.id())?).into())
}

fn update(state: &mut State, request: &Request) -> Outcome {
    let params = request.params();
    let before = of(recurring(state, request.id())?);
    if let Some(product) = params.text("product") {
        state.get(&PRODUCT, product, "product")?;
    }
    let changed = state.change(&PRICE, request.id(), "price.updated", |price| {
        params.copy_texts(price, &["nickname", "product"]);
        params.copy_flags(price, &["active"])?;
        params.copy_integers(&mut price["recurring"], &["trial_period_days"])?;
        params.merge_metadata(price)
    })?;
    say_updated(state, &before, &changed);
    Ok(of(&changed).into())
}

fn delete(state: &mut State, request: &Request) -> Outcome {
    let plan = of(recurring(state, request.id())?);
    state.remove(&PRICE, request.id(), "price.deleted", false)?;
    state.emit("plan.deleted", &plan);
    Ok(json!({"id": request.id(), "object": "plan", "deleted": true}).into())
}

fn index(state: &mut State, request: &Request) -> Outcome {
    let params = request.params();
    let active = params.flag("active")?;
    let product = params.text("product");
    let mut listed = list(state, &PRICE, &params, "/v1/plans", |price| {
        price["type"] == "recurring"
            && active.is_none_or(|active| price["active"] == active)
            && product.is_none_or(|product| price["product"] == product)
    })?;
    if let Some(items) = listed["data"].as_array_mut() {
        items.iter_mut().for_each(|item| *item = of(item));
    }
    Ok(listed.into())
}

//! Prices: one-off, recurring, tiered, metered.

use serde_json::{Map, Value, json};

use super::plans;
use super::products::{self, PRODUCT};
use super::{Family, Route};
use crate::list_params;
use crate::shape::list::list;
use crate::shape::read::text;
use crate::shape::render::Downgrade;
use crate::state::State;
use crate::state::store::Kind;
use crate::wire::call::{Outcome, Request};
use crate::wire::error::ApiError;
use crate::wire::params::Params;

/// `price_..`; a plan is a recurring price of another name.
pub const PRICE: Kind = Kind {
    object: "price",
    prefix: "price_1",
    random: 23,
    path: "/v1/prices",
};

macro_rules! tier_params {
    () => {
        " tiers[]{up_to flat_amount flat_amount_decimal unit_amount unit_amount_decimal} "
    };
}
pub(super) use tier_params;

/// Prices.
pub const FAMILY: Family = Family {
    kinds: &[&PRICE],
    routes: &[
        Route::post(
            "/v1/prices",
            concat!(
                "active billing_scheme currency custom_unit_amount{enabled minimum maximum preset} lookup_key metadata* \
                 nickname product product_data{id name active metadata* statement_descriptor tax_code unit_label} \
                 recurring{interval interval_count usage_type meter trial_period_days} tax_behavior tiers_mode \
                 transfer_lookup_key transform_quantity{divide_by round} unit_amount unit_amount_decimal expand[] ",
                tier_params!()
            ),
            create,
        ),
        Route::get(
            "/v1/prices",
            concat!(
                "active currency product type lookup_keys[] recurring{interval usage_type meter} created?{gt gte lt lte}",
                list_params!()
            ),
            index,
        ),
        Route::get("/v1/prices/{price}", "expand[]", show),
        Route::post(
            "/v1/prices/{price}",
            "active lookup_key metadata* nickname tax_behavior transfer_lookup_key expand[]",
            update,
        ),
    ],
    downgrades: &[Downgrade {
        before: "2025-03-31",
        object: "price",
        apply: older,
    }],
    ..Family::EMPTY
};

/// A recurring price said how usage is added up.
fn older(_: &State, price: &mut Map<String, Value>) {
    if let Some(recurring) = price.get_mut("recurring").and_then(Value::as_object_mut) {
        let usage = (recurring.get("usage_type") == Some(&json!("metered"))).then_some("sum");
        recurring.insert("aggregate_usage".to_owned(), json!(usage));
    }
}

const INTERVALS: &[&str] = &["day", "week", "month", "year"];

/// Makes a price of a product. Used for `default_price_data` and `price_data` of other objects as well.
///
/// # Errors
/// What is missing or wrong, named by parameter.
pub fn make(state: &mut State, params: &Params<'_>, product: &str) -> Result<Value, ApiError> {
    let id = state.new_id(&PRICE);
    let price = build(state, params, id, product)?;
    keep(state, price)
}

/// Keeps a new price, and says that it and its plan are there.
pub(super) fn keep(state: &mut State, price: Value) -> Result<Value, ApiError> {
    state.put(&PRICE, price.clone());
    if price["type"] == "recurring" {
        state.emit("plan.created", &plans::of(&price));
    }
    state.emit("price.created", &price);
    Ok(price)
}

fn build(state: &mut State, params: &Params<'_>, id: String, product: &str) -> Result<Value, ApiError> {
    let currency = params.required("currency")?.to_lowercase();
    if currency.len() != 3 || !currency.bytes().all(|byte| byte.is_ascii_lowercase()) {
        let message = format!("Invalid currency: {currency}");
        return Err(ApiError::bad_param(&params.name("currency"), message));
    }
    let recurring = params.object("recurring").map(|given| recurring(&given)).transpose()?;
    let scheme = params
        .choice("billing_scheme", &["per_unit", "tiered"])?
        .unwrap_or("per_unit");
    let tiers = tiers(params)?;
    let custom = custom(params)?;
    let amount = amount(params, scheme == "tiered" || custom.is_some())?;
    if scheme == "tiered" && (tiers.is_null() || params.text("tiers_mode").is_none()) {
        return Err(ApiError::missing(&params.name(if tiers.is_null() {
            "tiers"
        } else {
            "tiers_mode"
        })));
    }
    let transform = params.object("transform_quantity").map(|given| {
        let divide_by = given.required_integer("divide_by")?;
        Ok(json!({"divide_by": divide_by, "round": given.required("round")?}))
    });
    let mut price = json!({
        "id": id,
        "object": "price",
        "active": params.flag("active")?.unwrap_or(true),
        "billing_scheme": scheme,
        "created": state.now(),
        "currency": currency,
        "custom_unit_amount": custom,
        "livemode": false,
        "lookup_key": null,
        "metadata": {},
        "nickname": params.text("nickname"),
        "product": product,
        "recurring": recurring,
        "tax_behavior": params.choice("tax_behavior", &["unspecified", "inclusive", "exclusive"])?.unwrap_or("unspecified"),
        "tiers_mode": params.choice("tiers_mode", &["graduated", "volume"])?,
        "transform_quantity": transform.transpose()?,
        "type": if recurring.is_some() { "recurring" } else { "one_time" },
        "unit_amount": amount.0,
        "unit_amount_decimal": amount.1,
    });
    if !tiers.is_null() {
        price["_tiers"] = tiers;
    }
    take_lookup_key(state, params, &mut price)?;
    params.merge_metadata(&mut price)?;
    Ok(price)
}

/// The amount as a whole number, null when it is finer, and as decimal text.
pub(super) fn amount(params: &Params<'_>, may_miss: bool) -> Result<(Value, Value), ApiError> {
    if let Some(whole) = params.ranged("unit_amount", 0, i64::MAX)? {
        return Ok((json!(whole), json!(whole.to_string())));
    }
    if let Some(decimal) = params.decimal("unit_amount_decimal")? {
        let text = decimal.to_string();
        return Ok((json!(decimal.as_i64()), json!(text)));
    }
    if may_miss {
        return Ok((Value::Null, Value::Null));
    }
    Err(ApiError::missing(&params.name("unit_amount")))
}

fn recurring(given: &Params<'_>) -> Result<Value, ApiError> {
    given.required("interval")?;
    Ok(json!({
        "interval": given.choice("interval", INTERVALS)?,
        "interval_count": given.ranged("interval_count", 1, 365)?.unwrap_or(1),
        "meter": given.text("meter"),
        "trial_period_days": given.integer("trial_period_days")?,
        "usage_type": given.choice("usage_type", &["licensed", "metered"])?.unwrap_or("licensed"),
    }))
}

pub(super) fn tiers(params: &Params<'_>) -> Result<Value, ApiError> {
    let mut tiers = Vec::new();
    for tier in params.objects("tiers") {
        let both = |name: &str| -> Result<(Value, Value), ApiError> {
            let decimal = format!("{name}_decimal");
            let whole = tier.integer(name)?;
            let text = tier.decimal(&decimal)?.map(|number| number.to_string());
            Ok((
                json!(whole),
                json!(text.or_else(|| whole.map(|whole| whole.to_string()))),
            ))
        };
        let (flat, unit) = (both("flat_amount")?, both("unit_amount")?);
        let up_to = if tier.text("up_to") == Some("inf") {
            None
        } else {
            tier.integer("up_to")?
        };
        tiers.push(json!({
            "flat_amount": flat.0, "flat_amount_decimal": flat.1,
            "unit_amount": unit.0, "unit_amount_decimal": unit.1, "up_to": up_to,
        }));
    }
    Ok(if tiers.is_empty() { Value::Null } else { json!(tiers) })
}

fn custom(params: &Params<'_>) -> Result<Option<Value>, ApiError> {
    let Some(given) = params.object("custom_unit_amount") else {
        return Ok(None);
    };
    if given.flag("enabled")? != Some(true) {
        return Ok(None);
    }
    let bounds = (
        given.integer("maximum")?,
        given.integer("minimum")?,
        given.integer("preset")?,
    );
    Ok(Some(
        json!({"maximum": bounds.0, "minimum": bounds.1, "preset": bounds.2}),
    ))
}

/// A lookup key names one price of all; it can be moved.
fn take_lookup_key(state: &mut State, params: &Params<'_>, price: &mut Value) -> Result<(), ApiError> {
    let transfers = params.flag("transfer_lookup_key")?.unwrap_or(false);
    if params.has("lookup_key") {
        price["lookup_key"] = json!(params.text("lookup_key"));
    }
    let Some(key) = params.text("lookup_key") else {
        return Ok(());
    };
    let holds = |other: &Value| other["lookup_key"] == key && other["id"] != price["id"];
    for holder in state.matching(&PRICE, holds) {
        if !transfers {
            let message = format!(
                "A price ({}) already uses that lookup key.",
                text(&holder, "id").unwrap_or_default()
            );
            return Err(ApiError::bad_param("lookup_key", message).code("resource_already_exists"));
        }
        state.change(
            &PRICE,
            text(&holder, "id").unwrap_or_default(),
            "price.updated",
            |holder| {
                holder["lookup_key"] = Value::Null;
                Ok(())
            },
        )?;
    }
    Ok(())
}

fn create(state: &mut State, request: &Request) -> Outcome {
    let params = request.params();
    let product = match (params.text("product"), params.object("product_data")) {
        (Some(product), _) => state.get(&PRODUCT, product, "product")?["id"].clone(),
        (None, Some(given)) => products::make(state, &given)?["id"].clone(),
        (None, None) => return Err(ApiError::missing("product")),
    };
    Ok(make(state, &params, product.as_str().unwrap_or_default())?.into())
}

fn show(state: &mut State, request: &Request) -> Outcome {
    Ok(state.get(&PRICE, request.id(), "price")?.clone().into())
}

fn update(state: &mut State, request: &Request) -> Outcome {
    let params = request.params();
    let mut wanted = state.get(&PRICE, request.id(), "price")?.clone();
    take_lookup_key(state, &params, &mut wanted)?;
    params.copy_flags(&mut wanted, &["active"])?;
    params.copy_texts(&mut wanted, &["nickname"]);
    if let Some(behavior) = params.choice("tax_behavior", &["unspecified", "inclusive", "exclusive"])? {
        wanted["tax_behavior"] = json!(behavior);
    }
    params.merge_metadata(&mut wanted)?;
    let before = plans::of(state.get(&PRICE, request.id(), "price")?);
    let changed = state.change(&PRICE, request.id(), "price.updated", |price| {
        *price = wanted;
        Ok(())
    })?;
    plans::say_updated(state, &before, &changed);
    Ok(changed.into())
}

fn index(state: &mut State, request: &Request) -> Outcome {
    let params = request.params();
    let active = params.flag("active")?;
    let keys = params.texts("lookup_keys");
    let recurring = params.object("recurring");
    let listed = list(state, &PRICE, &params, "/v1/prices", |price| {
        active.is_none_or(|active| price["active"] == active)
            && (keys.is_empty() || keys.iter().any(|key| price["lookup_key"] == *key))
            && ["currency", "product", "type"]
                .iter()
                .all(|name| params.text(name).is_none_or(|wanted| price[*name] == wanted))
            && recurring.as_ref().is_none_or(|wanted| {
                let same = |name: &str| wanted.text(name).is_none_or(|text| price["recurring"][name] == text);
                price["type"] == "recurring" && same("interval") && same("usage_type") && same("meter")
            })
    })?;
    Ok(listed.into())
}

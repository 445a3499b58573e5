//! Products, and their features for marketing.

use serde_json::{Value, json};

use super::prices::{self, PRICE};
use super::{Family, Route};
use crate::list_params;
use crate::shape::list::list;
use crate::shape::read::text;
use crate::state::State;
use crate::state::store::Kind;
use crate::wire::call::{Outcome, Request};
use crate::wire::error::ApiError;
use crate::wire::params::Params;

/// `prod_..`
pub const PRODUCT: Kind = Kind {
    object: "product",
    prefix: "prod_",
    random: 14,
    path: "/v1/products",
};

macro_rules! fields {
    () => {
        " active description images[] marketing_features[]{name} metadata* name package_dimensions{height length weight \
          width} shippable statement_descriptor tax_code unit_label url expand[] "
    };
}

/// Products.
pub const FAMILY: Family = Family {
    kinds: &[&PRODUCT],
    routes: &[
        Route::post(
            "/v1/products",
            concat!(
                fields!(),
                "id type default_price_data{currency unit_amount unit_amount_decimal tax_behavior metadata* \
                 recurring{interval interval_count} custom_unit_amount{enabled minimum maximum preset}}"
            ),
            create,
        ),
        Route::get(
            "/v1/products",
            concat!(
                "active ids[] shippable type url created?{gt gte lt lte}",
                list_params!()
            ),
            index,
        ),
        Route::get("/v1/products/{product}", "expand[]", show),
        Route::post("/v1/products/{product}", concat!(fields!(), "default_price"), update),
        Route::delete("/v1/products/{product}", "", delete),
    ],
    ..Family::EMPTY
};

/// Makes a product: `name` and whatever else of the parameters applies.
///
/// # Errors
/// A missing name, an id that is taken.
pub fn make(state: &mut State, params: &Params<'_>) -> Result<Value, ApiError> {
    let name = params.required("name")?;
    let id = params.text("id").map_or_else(|| state.new_id(&PRODUCT), str::to_owned);
    if state.look(&PRODUCT, &id).is_some() {
        let error = ApiError::bad_param("id", format!("Product already exists: {id}"));
        return Err(error.code("resource_already_exists"));
    }
    let now = state.now();
    let mut product = json!({
        "id": id,
        "object": "product",
        "active": true,
        "created": now,
        "default_price": null,
        "description": null,
        "images": [],
        "livemode": false,
        "marketing_features": [],
        "metadata": {},
        "name": name,
        "package_dimensions": null,
        "shippable": null,
        "statement_descriptor": null,
        "tax_code": null,
        "type": params.text("type").unwrap_or("service"),
        "unit_label": null,
        "updated": now,
        "url": null,
    });
    edit(params, &mut product)?;
    Ok(state.create(&PRODUCT, product, "product.created"))
}

fn edit(params: &Params<'_>, product: &mut Value) -> Result<(), ApiError> {
    if params.has("name") {
        product["name"] = json!(params.required("name")?);
    }
    params.copy_texts(
        product,
        &["description", "statement_descriptor", "tax_code", "unit_label", "url"],
    );
    params.copy_flags(product, &["active", "shippable"])?;
    if params.has("images") {
        product["images"] = json!(params.texts("images"));
    }
    if params.has("marketing_features") {
        let features = params.objects("marketing_features");
        product["marketing_features"] = features
            .iter()
            .map(|feature| json!({"name": feature.text("name")}))
            .collect();
    }
    if let Some(given) = params.object("package_dimensions") {
        let mut dimensions = json!({});
        for name in ["height", "length", "weight", "width"] {
            dimensions[name] = json!(given.decimal(name)?);
        }
        product["package_dimensions"] = dimensions;
    } else if params.unsets("package_dimensions") {
        product["package_dimensions"] = Value::Null;
    }
    params.merge_metadata(product)
}

fn create(state: &mut State, request: &Request) -> Outcome {
    let params = request.params();
    let product = make(state, &params)?;
    let Some(given) = params.object("default_price_data") else {
        return Ok(product.into());
    };
    let id = text(&product, "id").unwrap_or_default().to_owned();
    let price = prices::make(state, &given, &id)?;
    // The product was made with it, so that there is no second event.
    let mut product = product;
    product["default_price"] = price["id"].clone();
    state.put(&PRODUCT, product.clone());
    Ok(product.into())
}

fn show(state: &mut State, request: &Request) -> Outcome {
    Ok(state.get(&PRODUCT, request.id(), "id")?.clone().into())
}

fn update(state: &mut State, request: &Request) -> Outcome {
    let params = request.params();
    let default_price = params.text("default_price");
    if let Some(price) = default_price {
        let price = state.get(&PRICE, price, "default_price")?;
        if text(price, "product") != Some(request.id()) {
            let message = "The price belongs to another product.";
            return Err(ApiError::bad_param("default_price", message));
        }
    }
    let now = state.now();
    let changed = state.change(&PRODUCT, request.id(), "product.updated", |product| {
        let before = product.clone();
        params.copy_texts(product, &["default_price"]);
        edit(&params, product)?;
        if *product != before {
            product["updated"] = json!(now);
        }
        Ok(())
    })?;
    Ok(changed.into())
}

fn delete(state: &mut State, request: &Request) -> Outcome {
    let id = request.id();
    state.get(&PRODUCT, id, "id")?;
    if state.all(&PRICE).any(|price| text(price, "product") == Some(id)) {
        let message = "This product cannot be deleted because it has one or more user-created prices.";
        return Err(ApiError::invalid(message));
    }
    Ok(state.remove(&PRODUCT, id, "product.deleted", false)?.into())
}

fn index(state: &mut State, request: &Request) -> Outcome {
    let params = request.params();
    let (active, shippable) = (params.flag("active")?, params.flag("shippable")?);
    let (ids, url, kind) = (params.texts("ids"), params.text("url"), params.text("type"));
    let listed = list(state, &PRODUCT, &params, "/v1/products", |product| {
        active.is_none_or(|active| product["active"] == active)
            && shippable.is_none_or(|shippable| product["shippable"] == shippable)
            && (ids.is_empty() || ids.iter().any(|id| product["id"] == *id))
            && url.is_none_or(|url| product["url"] == url)
            && kind.is_none_or(|kind| product["type"] == kind)
    })?;
    Ok(listed.into())
}

//! Items of subscriptions.

use serde_json::{Value, json};

use super::{Change, ITEM, ItemChange, SUBSCRIPTION, calls, update as change_subscription};
use crate::families::plans;
use crate::families::prices::{self, PRICE};
use crate::families::products::PRODUCT;
use crate::families::tax_rates::TAX_RATE;
use crate::shape::list::page;
use crate::shape::read::{items, text};
use crate::state::State;
use crate::wire::call::{Outcome, Request};
use crate::wire::error::ApiError;
use crate::wire::params::Params;

/// An item that is wanted.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    /// The id of a recurring price.
    pub price: String,
    /// How many; one when nothing is said.
    pub quantity: Option<i64>,
    /// Its own metadata; null is none.
    pub metadata: Value,
    /// Ids of tax rates.
    pub tax_rates: Vec<String>,
    /// Discounts of this item alone.
    pub discounts: Vec<super::Reduction>,
}

/// The price that `price`, `plan` or `price_data` of an item names.
pub(super) fn price_of(state: &mut State, params: &Params<'_>) -> Result<Option<String>, ApiError> {
    if let Some(data) = params.object("price_data") {
        let product = data.required("product")?;
        let product = text(state.get(&PRODUCT, product, &data.name("product"))?, "id")
            .unwrap_or_default()
            .to_owned();
        let price = prices::make(state, &data, &product)?;
        return Ok(text(&price, "id").map(str::to_owned));
    }
    Ok(params.text("price").or_else(|| params.text("plan")).map(str::to_owned))
}

/// Tax rates in full, by their ids.
pub(super) fn rates(state: &State, ids: &[String], param: &str) -> Result<Value, ApiError> {
    let found = ids.iter().map(|id| state.get(&TAX_RATE, id, param).cloned());
    Ok(Value::Array(found.collect::<Result<_, _>>()?))
}

/// A recurring price, in full.
pub(super) fn recurring(state: &State, id: &str) -> Result<Value, ApiError> {
    let price = state.get(&PRICE, id, "items[0][price]")?;
    if price["active"] == false {
        let message = "The price specified is inactive. This field only accepts active prices.";
        return Err(ApiError::bad_param("items[0][price]", message));
    }
    if price["type"] != "recurring" {
        let message = "The price specified is set to `type=one_time` but this field only accepts prices with \
                       `type=recurring`.";
        return Err(ApiError::bad_param("items[0][price]", message));
    }
    Ok(price.clone())
}

/// Makes an item; its period comes with its subscription's.
pub(super) fn make(state: &mut State, subscription: &str, wanted: &Wanted, now: i64) -> Result<Value, ApiError> {
    let price = recurring(state, &wanted.price)?;
    let tax_rates = rates(state, &wanted.tax_rates, "items[0][tax_rates]")?;
    let metadata = if wanted.metadata.is_object() {
        wanted.metadata.clone()
    } else {
        json!({})
    };
    let mut item = json!({
        "id": state.new_id(&ITEM),
        "object": "subscription_item",
        "billed_until": null,
        "billing_thresholds": null,
        "created": now,
        "current_period_end": null,
        "current_period_start": null,
        "current_trial": null,
        "discounts": [],
        "metadata": metadata,
        "subscription": subscription,
        "tax_rates": tax_rates,
        "_discounts": [],
        "_ratio": [1, 1],
    });
    set_price(&mut item, &price);
    if price["recurring"]["usage_type"] != "metered" {
        item["quantity"] = json!(wanted.quantity.unwrap_or(1));
    }
    Ok(item)
}

pub(super) fn set_price(item: &mut Value, price: &Value) {
    item["plan"] = plans::of(price);
    item["price"] = price.clone();
    if price["recurring"]["usage_type"] == "metered"
        && let Some(fields) = item.as_object_mut()
    {
        fields.remove("quantity");
    }
}

/// Whether it is billed by what was used.
pub(super) fn metered(item: &Value) -> bool {
    item["price"]["recurring"]["usage_type"] == "metered"
}

/// All items have one currency and one interval.
pub(super) fn check(subscription: &Value) -> Result<(), ApiError> {
    let all = items(subscription, "items");
    let Some(first) = all.first() else {
        let message = "A subscription must have at least one active plan. To cancel it, cancel the subscription.";
        return Err(ApiError::invalid(message).code("subscription_item_required"));
    };
    for item in all {
        let (own, other) = (&item["price"], &first["price"]);
        if own["currency"] != other["currency"] {
            let message = "All prices on a subscription must have the same currency.";
            return Err(ApiError::bad_param("items", message));
        }
        let same = ["interval", "interval_count"]
            .iter()
            .all(|name| own["recurring"][*name] == other["recurring"][*name]);
        if !same {
            let message = "All prices on a subscription must have the same `recurring.interval` and \
                           `recurring.interval_count`.";
            return Err(ApiError::bad_param("items", message));
        }
    }
    Ok(())
}

// ---- calls -------------------------------------------------------------------------------------------

fn home(state: &State, item: &str) -> Result<(String, Value), ApiError> {
    let all = state.all(&SUBSCRIPTION).flat_map(|subscription| {
        let id = text(subscription, "id").unwrap_or_default();
        items(subscription, "items").iter().map(move |item| (id, item))
    });
    let mut all = all;
    let found = all.find(|(_, found)| found["id"] == item);
    let missing = || ApiError::no_such("subscription_item", item, "id");
    found
        .map(|(id, item)| (id.to_owned(), item.clone()))
        .ok_or_else(missing)
}

pub(super) fn create(state: &mut State, request: &Request) -> Outcome {
    let params = request.params();
    let subscription = params.required("subscription")?.to_owned();
    let known: Vec<Value> = items(state.get(&SUBSCRIPTION, &subscription, "subscription")?, "items").to_vec();
    let mut item = calls::item_change(state, &params)?;
    item.id = None;
    if item.price.is_none() {
        return Err(ApiError::missing("price"));
    }
    let changed = apply(state, &subscription, &params, item)?;
    let made = items(&changed, "items")
        .iter()
        .find(|item| !known.iter().any(|known| known["id"] == item["id"]));
    Ok(made.cloned().unwrap_or_default().into())
}

fn apply(state: &mut State, subscription: &str, params: &Params<'_>, item: ItemChange) -> Result<Value, ApiError> {
    let change = Change {
        items: vec![item],
        proration: calls::proration(params)?,
        proration_date: params.integer("proration_date")?,
        behavior: calls::behavior(params)?,
        ..Change::default()
    };
    change_subscription(state, subscription, &change)
}

pub(super) fn show(state: &mut State, request: &Request) -> Outcome {
    Ok(home(state, request.id())?.1.into())
}

pub(super) fn update(state: &mut State, request: &Request) -> Outcome {
    let params = request.params();
    let (subscription, _) = home(state, request.id())?;
    let mut item = calls::item_change(state, &params)?;
    item.id = Some(request.id().to_owned());
    apply(state, &subscription, &params, item)?;
    Ok(home(state, request.id())?.1.into())
}

pub(super) fn delete(state: &mut State, request: &Request) -> Outcome {
    let params = request.params();
    let (subscription, _) = home(state, request.id())?;
    let item = ItemChange {
        id: Some(request.id().to_owned()),
        deleted: true,
        ..ItemChange::default()
    };
    apply(state, &subscription, &params, item)?;
    Ok(json!({"id": request.id(), "object": "subscription_item", "deleted": true}).into())
}

pub(super) fn index(state: &mut State, request: &Request) -> Outcome {
    let params = request.params();
    let subscription = params.required("subscription")?;
    let all = items(state.get(&SUBSCRIPTION, subscription, "subscription")?, "items").to_vec();
    Ok(page(&all, &params, "/v1/subscription_items")?.into())
}

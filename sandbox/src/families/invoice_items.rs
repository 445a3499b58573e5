//! Invoice items: what waits for an invoice, or was added to a draft.

use serde_json::{Map, Value, json};

use super::customers::CUSTOMER;
use super::invoices::{self, INVOICE, pricing_of};
use super::prices::{self, PRICE};
use super::tax_rates::TAX_RATE;
use super::{Family, Hook, Route, coupons, pricing};
use crate::list_params;
use crate::shape::list::list;
use crate::shape::read::{number, text};
use crate::shape::render::Downgrade;
use crate::state::State;
use crate::state::store::Kind;
use crate::wire::call::{Outcome, Request};
use crate::wire::error::ApiError;
use crate::wire::params::Params;

/// `ii_..`
pub const INVOICE_ITEM: Kind = Kind {
    object: "invoiceitem",
    prefix: "ii_1",
    random: 23,
    path: "/v1/invoiceitems",
};

macro_rules! fields {
    () => {
        " amount description discountable discounts[]{coupon discount promotion_code} metadata* period{start end} price \
          price_data{currency product tax_behavior unit_amount unit_amount_decimal} pricing{price} quantity \
          quantity_decimal tax_behavior tax_code tax_rates[] unit_amount unit_amount_decimal expand[] "
    };
}

/// Invoice items.
pub const FAMILY: Family = Family {
    kinds: &[&INVOICE_ITEM],
    routes: &[
        Route::post(
            "/v1/invoiceitems",
            concat!(fields!(), "currency customer invoice subscription"),
            create,
        ),
        Route::get(
            "/v1/invoiceitems",
            concat!("customer invoice pending created?{gt gte lt lte}", list_params!()),
            index,
        ),
        Route::get("/v1/invoiceitems/{item}", "expand[]", show),
        Route::post("/v1/invoiceitems/{item}", fields!(), update),
        Route::delete("/v1/invoiceitems/{item}", "", delete),
    ],
    downgrades: &[
        Downgrade {
            before: "2026-03-25",
            object: "invoiceitem",
            apply: |_, item| {
                item.remove("customer_account");
                item.remove("quantity_decimal");
            },
        },
        Downgrade {
            before: "2025-09-30",
            object: "invoiceitem",
            apply: |_, item| {
                item.remove("net_amount");
                item.remove("proration_details");
            },
        },
        Downgrade {
            before: "2025-03-31",
            object: "invoiceitem",
            apply: acacia,
        },
    ],
    hooks: &[Hook::CustomerGoes(customer_goes)],
    ..Family::EMPTY
};

/// The price stood in the item in full, and the subscription beside it.
fn acacia(_: &State, item: &mut Map<String, Value>) {
    let parent = item.remove("parent").unwrap_or_default();
    let pricing = item.remove("pricing").unwrap_or_default();
    let details = &parent["subscription_details"];
    item.insert("subscription".to_owned(), details["subscription"].clone());
    if !details["subscription_item"].is_null() {
        item.insert("subscription_item".to_owned(), details["subscription_item"].clone());
    }
    let unit = pricing["unit_amount_decimal"].clone();
    let whole = unit.as_str().and_then(|unit| unit.parse::<i64>().ok());
    item.insert("unit_amount".to_owned(), json!(whole));
    item.insert("unit_amount_decimal".to_owned(), unit);
    invoices::put_price(item);
}

/// An item of nothing.
pub(super) fn blank(state: &mut State, customer: &str) -> Value {
    let now = state.now_for(Some(customer));
    let clock = state
        .look(&CUSTOMER, customer)
        .map_or(Value::Null, |customer| customer["test_clock"].clone());
    json!({
        "id": state.new_id(&INVOICE_ITEM),
        "object": "invoiceitem",
        "amount": 0,
        "created": now,
        "currency": null,
        "customer": customer,
        "customer_account": null,
        "date": now,
        "description": null,
        "discountable": true,
        "discounts": [],
        "invoice": null,
        "livemode": false,
        "metadata": {},
        "net_amount": 0,
        "parent": null,
        "period": {"start": now, "end": now},
        "pricing": null,
        "proration": false,
        "proration_details": null,
        "quantity": 1,
        "quantity_decimal": "1",
        "tax_rates": [],
        "test_clock": clock,
        "_discounts": [],
        "_price": null,
    })
}

/// Keeps an item and says that it is there.
pub(super) fn keep(state: &mut State, item: Value) -> Value {
    state.create(&INVOICE_ITEM, item, "invoiceitem.created")
}

/// The item goes onto an invoice.
pub(super) fn take(state: &mut State, id: &str, invoice: &str) -> Result<(), ApiError> {
    state.change(&INVOICE_ITEM, id, "", |item| {
        item["invoice"] = json!(invoice);
        Ok(())
    })?;
    Ok(())
}

/// The item waits again.
pub(super) fn release(state: &mut State, id: &str) -> Result<(), ApiError> {
    if state.look(&INVOICE_ITEM, id).is_some() {
        state.change(&INVOICE_ITEM, id, "", |item| {
            item["invoice"] = Value::Null;
            Ok(())
        })?;
    }
    Ok(())
}

/// An item as parameters describe it, not kept: `amount`, or a price and a quantity, or a unit amount.
pub(super) fn build(state: &mut State, params: &Params<'_>, customer: &str) -> Result<Value, ApiError> {
    let mut item = blank(state, customer);
    edit(state, params, &mut item)?;
    if item["currency"].is_null() {
        return Err(ApiError::missing(&params.name("currency")));
    }
    Ok(item)
}

fn price_of(state: &mut State, params: &Params<'_>) -> Result<Value, ApiError> {
    if let Some(data) = params.object("price_data") {
        let product = data.required("product")?.to_owned();
        return prices::make(state, &data, &product);
    }
    let pricing = params.object("pricing");
    let named = params
        .text("price")
        .or_else(|| pricing.as_ref().and_then(|given| given.text("price")));
    match named {
        Some(price) => state.get(&PRICE, price, &params.name("price")).cloned(),
        None => Ok(Value::Null),
    }
}

fn edit(state: &mut State, params: &Params<'_>, item: &mut Value) -> Result<(), ApiError> {
    let price = price_of(state, params)?;
    params.copy_texts(item, &["description"]);
    params.copy_flags(item, &["discountable"])?;
    params.merge_metadata(item)?;
    if let Some(currency) = params.text("currency") {
        item["currency"] = json!(currency.to_lowercase());
    }
    if let Some(period) = params.object("period") {
        item["period"] = json!({"start": period.required_integer("start")?, "end": period.required_integer("end")?});
    }
    if let Some(quantity) = params.integer("quantity")? {
        item["quantity"] = json!(quantity);
        item["quantity_decimal"] = json!(quantity.to_string());
    }
    let quantity = number(item, "quantity");
    let unit = params
        .decimal("unit_amount_decimal")?
        .or(params.decimal("unit_amount")?);
    if !price.is_null() {
        item["currency"] = price["currency"].clone();
        if item["description"].is_null() {
            item["description"] = json!(invoices::product_name(state, &price));
        }
        item["pricing"] = pricing_of(&price, None);
        item["_price"] = price;
    }
    if let Some(amount) = params.integer("amount")? {
        item["amount"] = json!(amount);
        item["pricing"] = pricing_of(&Value::Null, Some(&amount.to_string()));
        item["_price"] = Value::Null;
    } else if let Some(unit) = unit {
        item["amount"] = json!(pricing::times(&unit.to_string(), quantity));
        item["pricing"] = pricing_of(&Value::Null, Some(&unit.to_string()));
    } else if !item["_price"].is_null() {
        item["amount"] = json!(pricing::amount(&item["_price"], quantity));
    } else if item["pricing"].is_null() {
        return Err(ApiError::missing(&params.name("amount")));
    }
    item["net_amount"] = item["amount"].clone();
    if params.has("tax_rates") {
        let rates = params.texts("tax_rates").into_iter();
        let rates = rates.map(|id| state.get(&TAX_RATE, id, "tax_rates").cloned());
        item["tax_rates"] = Value::Array(rates.collect::<Result<_, _>>()?);
    }
    let mut discounts = Vec::new();
    for given in params.objects("discounts") {
        let customer = text(item, "customer").unwrap_or_default();
        let holder = coupons::Holder {
            customer,
            ..coupons::Holder::default()
        };
        discounts.push(coupons::redeem(
            state,
            given.required("coupon")?,
            holder,
            &given.name("coupon"),
        )?);
    }
    if params.has("discounts") {
        let ids: Vec<&Value> = discounts.iter().map(|discount| &discount["id"]).collect();
        item["discounts"] = json!(ids);
        item["_discounts"] = json!(discounts);
    }
    Ok(())
}

fn create(state: &mut State, request: &Request) -> Outcome {
    let params = request.params();
    let invoice = match params.text("invoice") {
        Some(id) => Some(state.get(&INVOICE, id, "invoice")?.clone()),
        None => None,
    };
    let of_invoice = invoice.as_ref().and_then(|invoice| text(invoice, "customer"));
    let customer = params
        .text("customer")
        .or(of_invoice)
        .ok_or_else(|| ApiError::missing("customer"))?
        .to_owned();
    let known = state.get(&CUSTOMER, &customer, "customer")?;
    let currency = text(known, "currency").unwrap_or("usd").to_owned();
    let mut item = blank(state, &customer);
    item["currency"] = json!(currency);
    edit(state, &params, &mut item)?;
    if let Some(subscription) = params.text("subscription") {
        state.get(&super::subscriptions::SUBSCRIPTION, subscription, "subscription")?;
        item["parent"] = json!({
            "subscription_details": {"subscription": subscription, "subscription_item": null},
            "type": "subscription_details",
        });
    }
    let Some(invoice) = invoice else {
        return Ok(keep(state, item).into());
    };
    item["invoice"] = invoice["id"].clone();
    let item = keep(state, item);
    let line = invoices::of_invoice_item(state, &item);
    invoices::edit_lines(state, text(&invoice, "id").unwrap_or_default(), |lines| {
        lines.push(line)
    })?;
    Ok(item.into())
}

fn show(state: &mut State, request: &Request) -> Outcome {
    Ok(state.get_or_tombstone(&INVOICE_ITEM, request.id())?.into())
}

fn update(state: &mut State, request: &Request) -> Outcome {
    let old = state.get(&INVOICE_ITEM, request.id(), "id")?.clone();
    let mut new = old.clone();
    edit(state, &request.params(), &mut new)?;
    if let Some(invoice) = text(&old, "invoice").map(str::to_owned) {
        let mut line = invoices::of_invoice_item(state, &new);
        invoices::edit_lines(state, &invoice, |lines| {
            for known in lines
                .iter_mut()
                .filter(|known| invoices::invoice_item_of(known) == text(&old, "id"))
            {
                line["id"] = known["id"].clone();
                *known = line.clone();
            }
        })?;
    }
    // Stripe has no event for it.
    state.put(&INVOICE_ITEM, new.clone());
    Ok(new.into())
}

fn delete(state: &mut State, request: &Request) -> Outcome {
    let old = state.get(&INVOICE_ITEM, request.id(), "id")?.clone();
    if let Some(invoice) = text(&old, "invoice").map(str::to_owned) {
        invoices::edit_lines(state, &invoice, |lines| {
            lines.retain(|line| invoices::invoice_item_of(line) != text(&old, "id"));
        })?;
    }
    Ok(state
        .remove(&INVOICE_ITEM, request.id(), "invoiceitem.deleted", true)?
        .into())
}

fn index(state: &mut State, request: &Request) -> Outcome {
    let params = request.params();
    let pending = params.flag("pending")?;
    let listed = list(state, &INVOICE_ITEM, &params, "/v1/invoiceitems", |item| {
        let same = |name: &str| params.text(name).is_none_or(|wanted| item[name] == wanted);
        same("customer") && same("invoice") && pending.is_none_or(|pending| item["invoice"].is_null() == pending)
    })?;
    Ok(listed.into())
}

fn customer_goes(state: &mut State, customer: &str) -> Result<(), ApiError> {
    for item in state.matching(&INVOICE_ITEM, |item| {
        item["customer"] == customer && item["invoice"].is_null()
    }) {
        state.remove(
            &INVOICE_ITEM,
            text(&item, "id").unwrap_or_default(),
            "invoiceitem.deleted",
            true,
        )?;
    }
    Ok(())
}

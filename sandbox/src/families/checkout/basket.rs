//! What is bought: line items and what they come to.

use serde_json::{Value, json};

use super::super::customers::CUSTOMER;
use super::super::invoices::totals::taxes;
use super::super::prices::{self, PRICE};
use super::super::pricing;
use super::super::products::{self, PRODUCT};
use super::super::tax_rates::TAX_RATE;
use crate::shape::money::{millionths, share};
use crate::shape::read::{items, number, text};
use crate::state::State;
use crate::state::store::Kind;
use crate::wire::error::ApiError;
use crate::wire::params::Params;

/// `li_..`; kept inside its session.
const ITEM: Kind = Kind {
    object: "item",
    prefix: "li_1",
    random: 23,
    path: "",
};
/// A hundred percent in millionths of a percent.
const WHOLE: i64 = 100_000_000;
/// Most of one thing in a basket, as Stripe's.
const QUANTITY_MAX: i64 = 999_999;

/// Reads `line_items`.
///
/// # Errors
/// What is missing or does not go with the mode, named by parameter.
pub(crate) fn read(state: &mut State, params: &Params<'_>, mode: &str) -> Result<Vec<Value>, ApiError> {
    let mut found = Vec::new();
    for given in params.objects("line_items") {
        let item = item(state, &given, mode)?;
        found.push(item);
    }
    if found.is_empty() && mode != "setup" {
        return Err(ApiError::missing("line_items"));
    }
    if mode == "subscription" && !found.iter().any(|item| item["price"]["type"] == "recurring") {
        let message = "You must provide at least one recurring price in `subscription` mode when using prices.";
        return Err(ApiError::bad_param("line_items", message));
    }
    if found.iter().any(|item| item["currency"] != found[0]["currency"]) {
        let message = "All prices on a Checkout Session must have the same currency.";
        return Err(ApiError::bad_param("line_items", message));
    }
    Ok(found)
}

fn item(state: &mut State, given: &Params<'_>, mode: &str) -> Result<Value, ApiError> {
    let price = price(state, given)?;
    if price["active"] != true {
        let message = "The price specified is inactive. This field only accepts active prices.";
        return Err(ApiError::bad_param(&given.name("price"), message));
    }
    if mode == "payment" && price["type"] == "recurring" {
        let message = "You specified `payment` mode but passed a recurring price. Either switch to `subscription` mode \
                       or use only one-time prices.";
        return Err(ApiError::bad_param("mode", message));
    }
    let metered = price["recurring"]["usage_type"] == "metered";
    let quantity = given.ranged("quantity", 0, QUANTITY_MAX)?;
    if metered && quantity.is_some() {
        let message = "Quantity should not be specified where usage_type is `metered`.";
        return Err(ApiError::bad_param(&given.name("quantity"), message));
    }
    let quantity = match quantity {
        None if !metered => {
            let message = format!(
                "Quantity is required. Add `quantity` to `{}`",
                given.name("").trim_end_matches("[]")
            );
            return Err(ApiError::bad_param(&given.name("quantity"), message).code("parameter_missing"));
        }
        other => other,
    };
    for rate in given.texts("tax_rates") {
        state.get(&TAX_RATE, rate, &given.name("tax_rates"))?;
    }
    let product = text(&price, "product").unwrap_or_default();
    let name = state.look(&PRODUCT, product).and_then(|product| text(product, "name"));
    let name = name.map(str::to_owned);
    let adjustable = given.object("adjustable_quantity");
    let adjustable = match &adjustable {
        Some(bounds) if bounds.flag("enabled")? == Some(true) => json!({
            "enabled": true,
            "maximum": bounds.ranged("maximum", 1, QUANTITY_MAX)?.unwrap_or(99),
            "minimum": bounds.ranged("minimum", 0, QUANTITY_MAX)?.unwrap_or(0),
        }),
        Some(_) | None => Value::Null,
    };
    let mut made = json!({
        "id": state.new_id(&ITEM),
        "object": "item",
        "adjustable_quantity": adjustable,
        "amount_discount": 0,
        "amount_subtotal": 0,
        "amount_tax": 0,
        "amount_total": 0,
        "currency": price["currency"],
        "description": name,
        "metadata": {},
        "price": price,
        "quantity": quantity,
        "_discounts": [],
        "_taxes": [],
        "_tax_rates": given.texts("tax_rates"),
    });
    given.merge_metadata(&mut made)?;
    Ok(made)
}

fn price(state: &mut State, given: &Params<'_>) -> Result<Value, ApiError> {
    if let Some(id) = given.text("price") {
        return state.get(&PRICE, id, &given.name("price")).cloned();
    }
    let Some(data) = given.object("price_data") else {
        return Err(ApiError::missing(&given.name("price")));
    };
    let product = match (data.text("product"), data.object("product_data")) {
        (Some(product), _) => text(state.get(&PRODUCT, product, &data.name("product"))?, "id").map(str::to_owned),
        (None, Some(new)) => text(&products::make(state, &new)?, "id").map(str::to_owned),
        (None, None) => return Err(ApiError::missing(&data.name("product"))),
    };
    prices::make(state, &data, &product.unwrap_or_default())
}

/// What so many of a price cost, before discounts and taxes; usage that is metered costs nothing yet, and an amount of the
/// buyer's choice is what is proposed.
pub(crate) fn amount(price: &Value, quantity: i64) -> i64 {
    if price["recurring"]["usage_type"] == "metered" {
        return 0;
    }
    let chosen = &price["custom_unit_amount"];
    if chosen.is_object() {
        return number(chosen, "preset")
            .max(number(chosen, "minimum"))
            .saturating_mul(quantity);
    }
    pricing::amount(price, quantity)
}

/// `month`, or `3 months`.
pub(crate) fn interval_of(price: &Value) -> Option<String> {
    let interval = text(price, "recurring.interval")?;
    let count = number(price, "recurring.interval_count").max(1);
    Some(if count == 1 {
        interval.to_owned()
    } else {
        format!("{count} {interval}s")
    })
}

/// Reckons the amounts of a session anew: of each line, and of the whole.
pub(super) fn reckon(state: &State, session: &mut Value) {
    let trial = super::has_trial(session);
    let coupon = session["_coupon"].clone();
    let mut lines = items(session, "_line_items").to_vec();
    for line in &mut lines {
        let later = trial && line["price"]["type"] == "recurring";
        let whole = amount(&line["price"], number(line, "quantity"));
        line["amount_subtotal"] = json!(if later { 0 } else { whole });
    }
    discount(&mut lines, &coupon);
    let general = session["_subscription_data"]["default_tax_rates"].clone();
    let customer = text(session, "customer").and_then(|id| state.look(&CUSTOMER, id));
    let exempt = customer.is_some_and(|customer| matches!(text(customer, "tax_exempt"), Some("exempt" | "reverse")));
    for line in &mut lines {
        tax(state, line, &general, exempt);
    }
    let sum = |name: &str| lines.iter().map(|line| number(line, name)).sum::<i64>();
    let totals = (
        sum("amount_subtotal"),
        sum("amount_discount"),
        sum("amount_tax"),
        sum("amount_total"),
    );
    if session["mode"] != "setup" {
        session["amount_subtotal"] = json!(totals.0);
        session["amount_total"] = json!(totals.3);
        session["currency"] = lines.first().map_or(Value::Null, |line| line["currency"].clone());
        session["total_details"] = json!({"amount_discount": totals.1, "amount_shipping": 0, "amount_tax": totals.2});
    }
    session["_line_items"]["data"] = json!(lines);
}

/// Spreads the discount over the lines it applies to, as an invoice does: the parts add up to the whole.
fn discount(lines: &mut [Value], coupon: &Value) {
    let products = items(coupon, "_applies_to.products").to_vec();
    let applies =
        |line: &Value| !coupon.is_null() && (products.is_empty() || products.contains(&line["price"]["product"]));
    let eligible = lines
        .iter()
        .filter(|line| applies(line))
        .map(|line| number(line, "amount_subtotal"));
    let eligible: i64 = eligible.sum();
    let percent = millionths(&coupon["percent_off"].to_string()).unwrap_or(0);
    let fixed = coupon["amount_off"].as_i64();
    let whole = fixed.map_or_else(|| share(eligible, percent, WHOLE), |off| off.min(eligible));
    let (mut before, mut given) = (0, 0);
    for line in lines {
        let mut off = 0;
        if applies(line) {
            before += number(line, "amount_subtotal");
            off = share(whole, before, eligible) - given;
            given += off;
        }
        line["amount_discount"] = json!(off);
        let shown = json!([{"amount": off, "discount": coupon["id"]}]);
        line["_discounts"] = if off > 0 { shown } else { json!([]) };
    }
}

/// The taxes of a line, as an invoice reckons them.
fn tax(state: &State, line: &mut Value, general: &Value, exempt: bool) {
    let own = items(line, "_tax_rates");
    let general = general.as_array().map_or(&[][..], Vec::as_slice);
    let rates = match (exempt, own.is_empty()) {
        (true, _) => &[],
        (false, true) => general,
        (false, false) => own,
    };
    let known = rates.iter().filter_map(|id| state.look(&TAX_RATE, id.as_str()?));
    let rates: Vec<Value> = known.cloned().collect();
    let amount = number(line, "amount_subtotal") - number(line, "amount_discount");
    let (mut added, mut all, mut shown) = (0, 0, Vec::new());
    for (tax, rate) in taxes(&rates, amount).iter().zip(&rates) {
        let of_rate = number(tax, "amount");
        all += of_rate;
        added += if tax["tax_behavior"] == "inclusive" { 0 } else { of_rate };
        let taxable = &tax["taxable_amount"];
        shown.push(json!({"amount": of_rate, "rate": rate, "taxability_reason": null, "taxable_amount": taxable}));
    }
    line["amount_tax"] = json!(all);
    line["amount_total"] = json!(amount + added);
    line["_taxes"] = json!(shown);
}

/// Another quantity of a line whose quantity may be chosen.
///
/// # Errors
/// A line that is not there or is fixed, a number outside its bounds.
pub(super) fn set_quantity(session: &mut Value, line: &str, quantity: i64) -> Result<(), ApiError> {
    let name = format!("quantities[{line}]");
    let lines = session["_line_items"]["data"].as_array_mut();
    let found = lines.into_iter().flatten().find(|item| item["id"] == line);
    let Some(item) = found.filter(|item| item["adjustable_quantity"]["enabled"] == true) else {
        return Err(ApiError::bad_param(&name, "This quantity cannot be changed."));
    };
    let bounds = (
        number(item, "adjustable_quantity.minimum"),
        number(item, "adjustable_quantity.maximum"),
    );
    if quantity < bounds.0 || quantity > bounds.1 {
        let message = format!("Choose a quantity from {} to {}.", bounds.0, bounds.1);
        return Err(ApiError::bad_param(&name, message));
    }
    item["quantity"] = json!(quantity);
    Ok(())
}

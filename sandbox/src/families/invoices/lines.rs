//! Lines of an invoice: from an item of a subscription, or from an invoice item.

use serde_json::{Value, json};

use crate::families::pricing;
use crate::shape::read::{number, text};
use crate::state::State;
use crate::state::store::Kind;

/// `il_..`; kept inside its invoice.
pub(super) const LINE: Kind = Kind {
    object: "line_item",
    prefix: "il_1",
    random: 23,
    path: "",
};

/// How a price stands in a line or an invoice item.
pub(crate) fn pricing_of(price: &Value, unit: Option<&str>) -> Value {
    let unit = unit.map(str::to_owned).or_else(|| pricing::unit_text(price));
    if price.is_null() {
        return json!({"price_details": null, "type": "price_details", "unit_amount_decimal": unit});
    }
    json!({
        "price_details": {"price": price["id"], "product": price["product"]},
        "type": "price_details",
        "unit_amount_decimal": unit,
    })
}

/// What differs between lines.
struct Line<'a> {
    amount: i64,
    currency: &'a Value,
    description: Value,
    discountable: bool,
    parent: Value,
    period: Value,
    pricing: Value,
    quantity: Value,
    subscription: Value,
    price: &'a Value,
    tax_rates: Value,
    discounts: Value,
    metadata: Value,
}

impl Line<'_> {
    fn make(self, state: &mut State) -> Value {
        let ids = self.discounts.as_array().into_iter().flatten().map(|one| &one["id"]);
        let ids: Vec<&Value> = ids.collect();
        json!({
            "id": state.new_id(&LINE),
            "object": "line_item",
            "amount": self.amount,
            "currency": self.currency,
            "description": self.description,
            "discount_amounts": [],
            "discountable": self.discountable,
            "discounts": ids,
            "invoice": null,
            "livemode": false,
            "metadata": self.metadata,
            "parent": self.parent,
            "period": self.period,
            "pretax_credit_amounts": [],
            "pricing": self.pricing,
            "quantity": self.quantity,
            "quantity_decimal": self.quantity.as_i64().map(|quantity| quantity.to_string()),
            "subscription": self.subscription,
            "subtotal": self.amount,
            "taxes": [],
            "_discounts": self.discounts,
            "_price": self.price,
            "_tax_rates": self.tax_rates,
        })
    }
}

/// The line of a subscription's item for a period; `quantity` is what was used, for metered prices. A trial costs
/// nothing.
pub(crate) fn of_item(
    state: &mut State,
    subscription: &Value,
    item: &Value,
    period: (i64, i64),
    quantity: i64,
    trial: bool,
) -> Value {
    let price = &item["price"];
    let amount = if trial { 0 } else { pricing::amount(price, quantity) };
    let name = product_name(state, price);
    let description = if trial {
        format!("Trial period for {name}")
    } else {
        let each = text(price, "unit_amount_decimal").unwrap_or("tiered");
        let interval = text(price, "recurring.interval").unwrap_or("period");
        format!("{quantity} × {name} (at {each} / {interval})")
    };
    let line = Line {
        amount,
        currency: &price["currency"],
        description: json!(description),
        discountable: true,
        parent: json!({
            "invoice_item_details": null,
            "subscription_item_details": {
                "invoice_item": null, "proration": false, "proration_details": {"credited_items": null},
                "subscription": subscription["id"], "subscription_item": item["id"],
            },
            "type": "subscription_item_details",
        }),
        period: json!({"start": period.0, "end": period.1}),
        pricing: pricing_of(price, trial.then_some("0")),
        quantity: json!(quantity),
        subscription: subscription["id"].clone(),
        price,
        tax_rates: item["tax_rates"].clone(),
        discounts: item["_discounts"].clone(),
        metadata: merged(&subscription["metadata"], &item["metadata"]),
    };
    line.make(state)
}

fn merged(first: &Value, second: &Value) -> Value {
    let mut all = first.as_object().cloned().unwrap_or_default();
    all.extend(second.as_object().cloned().unwrap_or_default());
    Value::Object(all)
}

/// The line of an invoice item.
pub(crate) fn of_invoice_item(state: &mut State, item: &Value) -> Value {
    let subscription = item["parent"]["subscription_details"]["subscription"].clone();
    let at = &item["parent"]["subscription_details"]["subscription_item"];
    // A proration belongs to its subscription's item, whatever brought it here.
    let parent = if item["proration"] == true && at.is_string() {
        json!({
            "invoice_item_details": null,
            "subscription_item_details": {
                "invoice_item": item["id"], "proration": true, "proration_details": {"credited_items": null},
                "subscription": subscription, "subscription_item": at,
            },
            "type": "subscription_item_details",
        })
    } else {
        json!({
            "invoice_item_details": {
                "invoice_item": item["id"], "proration": item["proration"],
                "proration_details": {"credited_items": null}, "subscription": subscription,
            },
            "subscription_item_details": null,
            "type": "invoice_item_details",
        })
    };
    let line = Line {
        amount: number(item, "amount"),
        currency: &item["currency"],
        description: item["description"].clone(),
        discountable: item["discountable"] == true,
        parent,
        period: item["period"].clone(),
        pricing: item["pricing"].clone(),
        quantity: item["quantity"].clone(),
        subscription: subscription.clone(),
        price: &item["_price"],
        tax_rates: item["tax_rates"].clone(),
        discounts: item["_discounts"].clone(),
        metadata: item["metadata"].clone(),
    };
    line.make(state)
}

/// The name of a price's product, for descriptions.
pub(crate) fn product_name(state: &State, price: &Value) -> String {
    let product = text(price, "product").and_then(|id| state.objects.find(id));
    product
        .and_then(|product| text(product, "name"))
        .unwrap_or("Product")
        .to_owned()
}

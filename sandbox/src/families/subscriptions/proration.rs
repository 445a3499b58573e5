//! Prorations: what a change in the middle of a period gives back, and what it costs, by the second.
//!
//! Both are at the rate at which the period was billed: a discount of the period counts for both, so that a change and
//! the change back in the same second come to nothing.

use serde_json::{Value, json};

use super::items::metered;
use crate::families::invoice_items;
use crate::families::invoices::{pricing_of, product_name};
use crate::families::pricing;
use crate::shape::money::share;
use crate::shape::read::{number, text};
use crate::state::State;

/// What becomes of the difference.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Proration {
    /// It waits for the next invoice.
    #[default]
    Create,
    /// It is invoiced at once.
    Invoice,
    /// There is none.
    None,
}

/// One side of a change, as an invoice item that is not kept yet. Negative for time that was paid and is not used.
pub(super) fn part(
    state: &mut State,
    subscription: &Value,
    item: &Value,
    (at, start, end): (i64, i64, i64),
    gives_back: bool,
) -> Option<Value> {
    if metered(item) || end <= start || at >= end {
        return None;
    }
    let (price, quantity) = (&item["price"], number(item, "quantity"));
    let ratio = (number(item, "_ratio.0"), number(item, "_ratio.1"));
    let whole = share(pricing::amount(price, quantity), ratio.0, ratio.1);
    let amount = share(whole, end - at.max(start), end - start);
    let amount = if gives_back { -amount } else { amount };
    let name = product_name(state, price);
    let words = if gives_back {
        "Unused time on"
    } else {
        "Remaining time on"
    };
    let mut made = invoice_items::blank(state, text(subscription, "customer").unwrap_or_default());
    made["amount"] = json!(amount);
    made["net_amount"] = json!(amount);
    made["currency"] = price["currency"].clone();
    made["description"] = json!(format!("{words} {quantity} × {name}"));
    made["discountable"] = json!(false);
    made["period"] = json!({"start": at.max(start), "end": end});
    made["proration"] = json!(true);
    made["proration_details"] = json!({"credited_items": null, "discount_amounts": []});
    made["quantity"] = json!(quantity);
    made["quantity_decimal"] = json!(quantity.to_string());
    made["tax_rates"] = item["tax_rates"].clone();
    made["parent"] = json!({
        "subscription_details": {"subscription": subscription["id"], "subscription_item": item["id"]},
        "type": "subscription_details",
    });
    made["pricing"] = pricing_of(price, None);
    made["_price"] = price.clone();
    Some(made)
}

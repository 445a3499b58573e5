//! What an invoice adds up to: lines, discounts, taxes, and the customer's balance.
//!
//! The law: total = sum of the lines - discounts + taxes that are not contained in the lines.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::families::customers::CUSTOMER;
use crate::shape::money::{millionths, share};
use crate::shape::read::{flag, items, number, text};
use crate::state::State;

/// A hundred per cent, in millionths of a per cent.
const WHOLE: i64 = 100_000_000;

/// Most lines that stand in the invoice itself; the rest is behind `/lines`.
const LINES_SHOWN: usize = 10;

/// Works out everything that follows from an invoice's lines, discounts and rates.
pub(crate) fn compute(state: &State, invoice: &mut Value) {
    let mut lines: Vec<Value> = items(invoice, "_all_lines").to_vec();
    let discounts: Vec<Value> = items(invoice, "_discounts").to_vec();
    let exempt = matches!(text(invoice, "customer_tax_exempt"), Some("exempt" | "reverse"));
    let defaults = if exempt {
        Vec::new()
    } else {
        items(invoice, "default_tax_rates").to_vec()
    };
    let mut left: Vec<i64> = lines.iter().map(|line| number(line, "amount")).collect();
    for line in &mut lines {
        line["discount_amounts"] = json!([]);
        line["taxes"] = json!([]);
        line["invoice"] = invoice["id"].clone();
    }
    for (line, left) in lines.iter_mut().zip(&mut left) {
        for discount in items(line, "_discounts").to_vec() {
            let off = value(&discount, *left);
            take_off(line, left, off, &discount);
        }
    }
    for discount in &discounts {
        spread(discount, &mut lines, &mut left);
    }
    for (line, left) in lines.iter_mut().zip(&left) {
        let own = items(line, "_tax_rates").to_vec();
        let rates = if own.is_empty() { defaults.clone() } else { own };
        line["taxes"] = if exempt { json!([]) } else { json!(taxes(&rates, *left)) };
    }
    sum_up(invoice, &lines);
    put_lines(invoice, lines);
    settle_balance(state, invoice);
}

/// Puts lines into an invoice: the first of them where everybody sees them, all where the calls find them.
fn put_lines(invoice: &mut Value, lines: Vec<Value>) {
    let shown = &lines[..lines.len().min(LINES_SHOWN)];
    let url = format!("/v1/invoices/{}/lines", text(invoice, "id").unwrap_or("upcoming"));
    invoice["lines"] = json!({"object": "list", "data": shown, "has_more": lines.len() > LINES_SHOWN, "url": url});
    invoice["_all_lines"] = Value::Array(lines);
}

/// What a discount takes off an amount.
fn value(discount: &Value, amount: i64) -> i64 {
    let coupon = &discount["_coupon"];
    let off = match coupon["amount_off"].as_i64() {
        Some(off) => off,
        None => {
            let percent = millionths(&coupon["percent_off"].to_string()).unwrap_or(0);
            share(amount, percent, WHOLE)
        }
    };
    off.clamp(0, amount.max(0))
}

fn take_off(line: &mut Value, left: &mut i64, off: i64, discount: &Value) {
    *left -= off;
    if let Some(amounts) = line["discount_amounts"].as_array_mut() {
        amounts.push(json!({"amount": off, "discount": discount["id"]}));
    }
}

/// Spreads a discount of the whole invoice over the lines it applies to; the parts add up to the whole.
fn spread(discount: &Value, lines: &mut [Value], left: &mut [i64]) {
    let products = items(&discount["_coupon"], "_applies_to.products").to_vec();
    let applies = |line: &Value| {
        let product = &line["pricing"]["price_details"]["product"];
        flag(line, "discountable") && (products.is_empty() || products.contains(product))
    };
    let base: i64 = lines
        .iter()
        .zip(left.iter())
        .filter(|(line, _)| applies(line))
        .map(|(_, left)| *left)
        .sum();
    let off = value(discount, base);
    let (mut sum, mut given) = (0, 0);
    for (line, left) in lines.iter_mut().zip(left.iter_mut()) {
        if !applies(line) {
            continue;
        }
        sum += *left;
        let part = share(off, sum, base) - given;
        given += part;
        take_off(line, left, part, discount);
    }
}

/// Taxes of one amount. What rates contain is taken out of it once, by the sum of the rates.
pub(crate) fn taxes(rates: &[Value], amount: i64) -> Vec<Value> {
    let percent = |rate: &Value| millionths(&rate["percentage"].to_string()).unwrap_or(0);
    let contained: i64 = rates.iter().filter(|rate| flag(rate, "inclusive")).map(percent).sum();
    let net = share(amount, WHOLE, WHOLE + contained);
    let taxes = rates.iter().map(|rate| {
        let inclusive = flag(rate, "inclusive");
        let tax = if inclusive {
            share(amount, percent(rate), WHOLE + contained)
        } else {
            share(net, percent(rate), WHOLE)
        };
        json!({
            "amount": tax,
            "tax_behavior": if inclusive { "inclusive" } else { "exclusive" },
            "tax_rate_details": {"tax_rate": rate["id"]},
            "taxability_reason": "standard_rated",
            "taxable_amount": net,
            "type": "tax_rate_details",
        })
    });
    taxes.collect()
}

fn sum_up(invoice: &mut Value, lines: &[Value]) {
    let subtotal: i64 = lines.iter().map(|line| number(line, "amount")).sum();
    let mut off: BTreeMap<String, i64> = BTreeMap::new();
    let mut order = Vec::new();
    let mut rates: Vec<Value> = Vec::new();
    for line in lines {
        for part in items(line, "discount_amounts") {
            let id = text(part, "discount").unwrap_or_default().to_owned();
            if !off.contains_key(&id) {
                order.push(id.clone());
            }
            *off.entry(id).or_default() += number(part, "amount");
        }
        for tax in items(line, "taxes") {
            let same = |known: &&mut Value| known["tax_rate_details"] == tax["tax_rate_details"];
            match rates.iter_mut().find(same) {
                Some(known) => {
                    for name in ["amount", "taxable_amount"] {
                        known[name] = json!(number(known, name) + number(tax, name));
                    }
                }
                None => rates.push(tax.clone()),
            }
        }
    }
    let of = |behavior: &str| -> i64 {
        let some = rates.iter().filter(|tax| tax["tax_behavior"] == behavior);
        some.map(|tax| number(tax, "amount")).sum()
    };
    let (contained, added) = (of("inclusive"), of("exclusive"));
    let total = subtotal - off.values().sum::<i64>() + added;
    let amounts: Vec<Value> = order
        .iter()
        .map(|id| json!({"amount": off.get(id), "discount": id}))
        .collect();
    invoice["subtotal"] = json!(subtotal);
    invoice["subtotal_excluding_tax"] = json!(subtotal - contained);
    invoice["total"] = json!(total);
    invoice["total_excluding_tax"] = json!(total - added - contained);
    invoice["total_discount_amounts"] = json!(amounts);
    invoice["total_taxes"] = json!(rates);
}

/// What is due after the customer's balance; while the invoice is a draft, as the balance stands.
fn settle_balance(state: &State, invoice: &mut Value) {
    let customer = text(invoice, "customer").unwrap_or_default();
    let balance = state
        .look(&CUSTOMER, customer)
        .map_or(0, |customer| number(customer, "balance"));
    let due = number(invoice, "total") + balance;
    invoice["starting_balance"] = json!(balance);
    invoice["amount_due"] = json!(due.max(0));
    invoice["amount_remaining"] = json!(due.max(0) - number(invoice, "amount_paid"));
}

/// What the customer's balance is after an invoice of this total.
pub(super) fn balance_after(invoice: &Value) -> i64 {
    (number(invoice, "starting_balance") + number(invoice, "total")).min(0)
}

//! Amounts, dates and names as people read them.

use chrono::DateTime;
use maud::{Markup, html};
use serde_json::Value;

use crate::families::checkout::{amount, interval_of};
use crate::families::products::PRODUCT;
use crate::shape::read::{number, text};
use crate::state::State;

const NO_DECIMALS: &[&str] = &[
    "bif", "clp", "djf", "gnf", "jpy", "kmf", "krw", "mga", "pyg", "rwf", "ugx", "vnd", "vuv", "xaf", "xof", "xpf",
];
const THREE_DECIMALS: &[&str] = &["bhd", "jod", "kwd", "omr", "tnd"];

/// `1,234.50 USD`.
pub(super) fn money(minor: i64, currency: &str) -> String {
    let decimals = if NO_DECIMALS.contains(&currency) {
        0
    } else if THREE_DECIMALS.contains(&currency) {
        3
    } else {
        2
    };
    let unit = 10_u64.pow(decimals);
    let (whole, part) = (minor.unsigned_abs() / unit, minor.unsigned_abs() % unit);
    let digits = whole.to_string();
    let mut grouped = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    let sign = if minor < 0 { "\u{2212}" } else { "" };
    let width = usize::try_from(decimals).unwrap_or(0);
    let fraction = if decimals == 0 {
        String::new()
    } else {
        format!(".{part:0width$}")
    };
    format!("{sign}{grouped}{fraction} {}", currency.to_uppercase())
}

/// `49.00 USD per month`.
pub(super) fn price(price: &Value) -> String {
    let currency = text(price, "currency").unwrap_or_default();
    let each = match (price["unit_amount"].as_i64(), text(price, "unit_amount_decimal")) {
        (Some(unit), _) => money(unit, currency),
        (None, Some(decimal)) => format!("{decimal} hundredths of {}", currency.to_uppercase()),
        (None, None) if price["billing_scheme"] == "tiered" => format!("from {}", money(amount(price, 1), currency)),
        (None, None) => money(0, currency),
    };
    match interval_of(price) {
        Some(interval) => format!("{each} per {interval}"),
        None => each,
    }
}

/// The name of what a price is for.
pub(super) fn product(state: &State, price: &Value) -> String {
    let product = text(price, "product").and_then(|id| state.look(&PRODUCT, id));
    let name = product.and_then(|product| text(product, "name"));
    name.unwrap_or("Product").to_owned()
}

/// `31 January 2026`, with the exact time for programs.
pub(super) fn date(seconds: i64) -> Markup {
    let Some(time) = DateTime::from_timestamp(seconds, 0) else {
        return html! {};
    };
    let exact = time.format("%Y-%m-%dT%H:%M:%SZ").to_string();
    html! { time datetime=(exact) { (time.format("%-d %B %Y").to_string()) } }
}

/// `Visa ending in 4242, 04/2030`.
pub(super) fn method(method: &Value) -> String {
    let card = if method["object"] == "card" {
        method
    } else {
        &method["card"]
    };
    if card.is_object() {
        let brand = match text(card, "brand").unwrap_or("card").to_lowercase().as_str() {
            "visa" => "Visa".to_owned(),
            "mastercard" => "Mastercard".to_owned(),
            "amex" => "American Express".to_owned(),
            other => other.to_owned(),
        };
        let last4 = text(card, "last4").unwrap_or_default();
        return format!(
            "{brand} ending in {last4}, {:02}/{}",
            number(card, "exp_month"),
            number(card, "exp_year")
        );
    }
    format!(
        "Bank account ending in {}",
        text(method, "sepa_debit.last4").unwrap_or_default()
    )
}

/// Icon, word and class of a status: never colour alone.
pub(super) fn status(status: &str) -> Markup {
    let (icon, word, class) = match status {
        "active" | "paid" => ("\u{25cf}", if status == "paid" { "Paid" } else { "Active" }, "good"),
        "trialing" => ("\u{25f7}", "Trial", "note"),
        "past_due" => ("\u{25b2}", "Payment required", "warn"),
        "unpaid" => ("\u{25a0}", "Unpaid", "bad"),
        "paused" => ("\u{2016}", "Paused", "mute"),
        "incomplete" => ("\u{2026}", "Payment not finished", "mute"),
        "canceled" => ("\u{2715}", "Canceled", "mute"),
        "open" => ("\u{25cb}", "Open", "note"),
        "draft" => ("\u{25cb}", "Draft", "mute"),
        "void" => ("\u{2715}", "Void", "mute"),
        "uncollectible" => ("\u{2715}", "Uncollectible", "mute"),
        other => ("?", other, "mute"),
    };
    html! { span class={ "status " (class) } { span aria-hidden="true" { (icon) } " " (word) } }
}

#[test]
fn amounts_have_the_decimals_of_their_currency() {
    assert_eq!(money(123_450, "usd"), "1,234.50 USD");
    assert_eq!(money(-5, "eur"), "\u{2212}0.05 EUR");
    assert_eq!(money(1_000_000, "jpy"), "1,000,000 JPY");
    assert_eq!(money(1_500, "kwd"), "1.500 KWD");
    assert_eq!(money(0, "usd"), "0.00 USD");
}

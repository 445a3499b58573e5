//! What a price asks for a quantity: per unit, in packages, or by tiers.

use serde_json::Value;

use crate::shape::read::{items, number, text};

/// Decimal places that Stripe allows in an amount.
const DECIMALS: usize = 12;
const SCALE: i128 = 1_000_000_000_000;

/// The amount of a price for a quantity, in minor units, rounded half away from zero.
#[must_use]
pub fn amount(price: &Value, quantity: i64) -> i64 {
    let exact = if price["billing_scheme"] == "tiered" {
        tiered(price, quantity)
    } else {
        exact(price, "unit_amount").saturating_mul(i128::from(packages(price, quantity)))
    };
    rounded(exact)
}

/// The amount of one unit as decimal text; none when it depends on the quantity.
#[must_use]
pub fn unit_text(price: &Value) -> Option<String> {
    let decimal = text(price, "unit_amount_decimal").map(str::to_owned);
    decimal.or_else(|| price["unit_amount"].as_i64().map(|whole| whole.to_string()))
}

/// Any decimal text times a quantity, in minor units.
#[must_use]
pub fn times(decimal: &str, quantity: i64) -> i64 {
    rounded(read(decimal).unwrap_or(0).saturating_mul(i128::from(quantity)))
}

fn packages(price: &Value, quantity: i64) -> i64 {
    let by = number(price, "transform_quantity.divide_by");
    if by <= 0 {
        return quantity;
    }
    let up = price["transform_quantity"]["round"] == "up" && quantity % by != 0;
    quantity / by + i64::from(up)
}

fn tiered(price: &Value, quantity: i64) -> i128 {
    let quantity = packages(price, quantity);
    let graduated = price["tiers_mode"] == "graduated";
    let (mut sum, mut below) = (0_i128, 0_i64);
    for tier in items(price, "_tiers") {
        let up_to = tier["up_to"].as_i64().unwrap_or(i64::MAX);
        let cost = |units: i64| {
            let units = exact(tier, "unit_amount").saturating_mul(i128::from(units));
            units.saturating_add(exact(tier, "flat_amount"))
        };
        if graduated && quantity > below {
            sum = sum.saturating_add(cost(quantity.min(up_to) - below));
        } else if !graduated && quantity <= up_to {
            return cost(quantity);
        }
        below = up_to;
    }
    sum
}

/// `name_decimal`, else `name`, in trillionths.
fn exact(of: &Value, name: &str) -> i128 {
    let decimal = text(of, &format!("{name}_decimal")).and_then(read);
    decimal.unwrap_or_else(|| i128::from(number(of, name)).saturating_mul(SCALE))
}

fn read(decimal: &str) -> Option<i128> {
    let (sign, digits) = decimal.strip_prefix('-').map_or((1, decimal), |rest| (-1, rest));
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    if fraction.len() > DECIMALS {
        return None;
    }
    let fraction: i128 = format!("{fraction:0<DECIMALS$}").parse().ok()?;
    let whole: i128 = whole.parse().ok()?;
    Some(sign * (whole.checked_mul(SCALE)?.checked_add(fraction)?))
}

fn rounded(exact: i128) -> i64 {
    let half = if exact < 0 { -(SCALE / 2) } else { SCALE / 2 };
    let whole = exact.saturating_add(half) / SCALE;
    i64::try_from(whole).unwrap_or(if whole < 0 { i64::MIN } else { i64::MAX })
}

#[test]
fn amounts_follow_the_scheme() {
    use serde_json::json;
    let fine = json!({"billing_scheme": "per_unit", "unit_amount": null, "unit_amount_decimal": "0.5"});
    assert_eq!((amount(&fine, 3), amount(&fine, -3)), (2, -2));
    let packed = json!({"unit_amount": 500, "transform_quantity": {"divide_by": 10, "round": "up"}});
    assert_eq!((amount(&packed, 10), amount(&packed, 11)), (500, 1000));
    let tiers = json!([
        {"up_to": 5, "unit_amount": 100, "flat_amount": 10},
        {"up_to": null, "unit_amount": 50, "unit_amount_decimal": "50", "flat_amount": null},
    ]);
    let graduated = json!({"billing_scheme": "tiered", "tiers_mode": "graduated", "_tiers": tiers});
    assert_eq!(
        (amount(&graduated, 0), amount(&graduated, 5), amount(&graduated, 7)),
        (0, 510, 610)
    );
    let volume = json!({"billing_scheme": "tiered", "tiers_mode": "volume", "_tiers": tiers});
    assert_eq!((amount(&volume, 5), amount(&volume, 7)), (510, 350));
    assert_eq!(times("12.25", 2), 25);
}

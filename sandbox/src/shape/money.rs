//! Parts of amounts in whole minor units.

/// `amount * part / whole`, rounded half away from zero; nothing of nothing.
///
/// Prorations are the share of a period by the second: `share(price, seconds_left, seconds_of_the_period)`.
#[must_use]
pub fn share(amount: i64, part: i64, whole: i64) -> i64 {
    if whole == 0 {
        return 0;
    }
    let (product, whole) = (i128::from(amount) * i128::from(part), i128::from(whole));
    let (product, whole) = if whole < 0 {
        (-product, -whole)
    } else {
        (product, whole)
    };
    let half = if product < 0 { -(whole / 2) } else { whole / 2 };
    let rounded = (product + half) / whole;
    i64::try_from(rounded).unwrap_or(if rounded < 0 { i64::MIN } else { i64::MAX })
}

/// Basis points of an amount, rounded half away from zero.
#[must_use]
pub fn basis_points(amount: i64, points: i64) -> i64 {
    share(amount, points, 10_000)
}

/// A decimal text in millionths: `2.9` is 2,900,000. Nothing when it is none, or finer.
#[must_use]
pub fn millionths(text: &str) -> Option<i64> {
    let (sign, digits) = text.strip_prefix('-').map_or((1, text), |rest| (-1, rest));
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let all_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || fraction.len() > 6 || !all_digits(whole) || !all_digits(fraction) {
        return None;
    }
    let fraction: i64 = format!("{fraction:0<6}").parse().ok()?;
    let whole: i64 = whole.parse().ok()?;
    whole
        .checked_mul(1_000_000)?
        .checked_add(fraction)
        .map(|value| sign * value)
}

#[test]
fn shares_round_half_away_from_zero() {
    assert_eq!(share(1000, 1, 3), 333);
    assert_eq!(share(1000, 2, 3), 667);
    assert_eq!((share(1, 1, 2), share(-1, 1, 2)), (1, -1));
    assert_eq!((share(1, -1, 2), share(3, 1, -2)), (-1, -2));
    assert_eq!((share(5, 1, 0), share(i64::MAX, 2, 1)), (0, i64::MAX));
    assert_eq!(basis_points(2000, 290), 58);
    assert_eq!(millionths("2.9"), Some(2_900_000));
    assert_eq!(millionths("-0.000001"), Some(-1));
    for bad in ["", ".", "x", "1.0000001", "1.x", "-"] {
        assert_eq!(millionths(bad), None, "{bad}");
    }
}

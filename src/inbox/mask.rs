//! Card numbers never reach the store, whoever put them into a body.
//!
//! A number of 13 to 19 digits, also grouped by single spaces or hyphens, that carries an issuer's prefix and passes
//! the Luhn check becomes `****` and its last four digits. Values under names that hold secrets by their nature (a CVC
//! has no form of its own) become `****`. What is JSON before is JSON after.

/// Fewest and most digits of a card number (ISO/IEC 7812-1).
const DIGITS_MIN: usize = 13;
const DIGITS_MAX: usize = 19;

/// Names whose scalar values are secrets whatever they look like, in lower case without `_` and `-`.
const SECRET_NAMES: &[&[u8]] = &[
    b"cardnumber",
    b"cvv",
    b"cvc",
    b"accountnumber",
    b"routingnumber",
    b"iban",
    b"password",
];
/// Longest name looked at: the longest secret one with its separators.
const NAME_BYTES_MAX: usize = 20;

/// A stretch of the body and what replaces it.
struct Cut {
    from: usize,
    to: usize,
    with: Vec<u8>,
}

/// The body without card numbers and secrets; nothing when there was none, which is the rule.
#[must_use]
pub fn mask(body: &[u8]) -> Option<Vec<u8>> {
    let mut masked = once(body)?;
    // The last four digits of a number may make up another one with the digits beside it. Each look leaves fewer
    // digits, so there is a last one.
    while let Some(again) = once(&masked).filter(|again| *again != masked) {
        masked = again;
    }
    Some(masked)
}

fn once(body: &[u8]) -> Option<Vec<u8>> {
    let mut cuts = Vec::new();
    let mut at = 0;
    let mut in_text = false;
    let mut text_from = 0;
    while at < body.len() {
        let byte = body[at];
        match byte {
            b'\\' if in_text => {
                // `\n4111...`: the letter belongs to the escape, not to the digits behind it.
                at += if body.get(at + 1) == Some(&b'u') { 6 } else { 2 };
                if let Some(next) = numbers(body, at, in_text, true, &mut cuts) {
                    at = next;
                }
                continue;
            }
            b'"' => {
                in_text = !in_text;
                if in_text {
                    text_from = at + 1;
                } else if let Some(next) = secret(body, text_from, at, &mut cuts) {
                    at = next;
                    continue;
                }
            }
            b'0'..=b'9' => {
                let free = at == 0 || !is_word(body[at - 1]);
                if let Some(next) = numbers(body, at, in_text, free, &mut cuts) {
                    at = next;
                    continue;
                }
            }
            _ => {}
        }
        at += 1;
    }
    if cuts.is_empty() {
        return None;
    }
    let mut masked = Vec::with_capacity(body.len());
    let mut from = 0;
    for cut in cuts {
        masked.extend_from_slice(&body[from..cut.from]);
        masked.extend_from_slice(&cut.with);
        from = cut.to;
    }
    masked.extend_from_slice(&body[from..]);
    Some(masked)
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

/// Looks at the digits that begin at `at`; gives where to read on, nothing when there are none.
fn numbers(body: &[u8], at: usize, in_text: bool, free: bool, cuts: &mut Vec<Cut>) -> Option<usize> {
    let groups = groups(body, at, in_text);
    let end = groups.last()?.1;
    // Part of a word (an id, a fingerprint), a decimal fraction or an exponent: not a card number.
    let tail = body.get(end).copied();
    let fraction = !in_text && matches!(tail, Some(b'.' | b'e' | b'E'));
    if !free || tail.is_some_and(is_word) || fraction {
        return Some(end);
    }
    let mut first = 0;
    while first < groups.len() {
        match card(body, &groups[first..]) {
            Some((count, with)) => {
                cuts.push(Cut {
                    from: groups[first].0,
                    to: groups[first + count - 1].1,
                    with: if in_text { with } else { quoted(&with) },
                });
                first += count;
            }
            None => first += 1,
        }
    }
    Some(end)
}

/// The runs of digits from `at` on that single spaces or hyphens join (inside a text), each as from and to.
fn groups(body: &[u8], at: usize, in_text: bool) -> Vec<(usize, usize)> {
    let mut groups = Vec::new();
    let mut from = at;
    loop {
        let len = body[from.min(body.len())..]
            .iter()
            .take_while(|b| b.is_ascii_digit())
            .count();
        if len == 0 {
            return groups;
        }
        groups.push((from, from + len));
        let joined = in_text && matches!(body.get(from + len), Some(b' ' | b'-'));
        if !joined {
            return groups;
        }
        from += len + 1;
    }
}

/// How many of the first groups make up a card number, and what replaces it.
fn card(body: &[u8], groups: &[(usize, usize)]) -> Option<(usize, Vec<u8>)> {
    let mut digits: Vec<u8> = Vec::new();
    let mut found = None;
    for (index, (from, to)) in groups.iter().enumerate() {
        digits.extend(body[*from..*to].iter().map(|b| b - b'0'));
        if digits.len() > DIGITS_MAX {
            break;
        }
        if digits.len() >= DIGITS_MIN && has_issuer(&digits) && luhn(&digits) {
            found = Some(index + 1);
        }
    }
    let count = found?;
    let last = groups[count - 1].1;
    let tail: Vec<u8> = body[groups[0].0..last]
        .iter()
        .rev()
        .filter(|b| b.is_ascii_digit())
        .take(4)
        .copied()
        .collect();
    let mut with = b"****".to_vec();
    with.extend(tail.iter().rev());
    Some((count, with))
}

fn quoted(text: &[u8]) -> Vec<u8> {
    [b"\"", text, b"\""].concat()
}

/// Prefixes of the card networks: Visa 4, Mastercard 51-55 and 2221-2720, American Express 34 and 37, Diners 30, 36
/// and 38-39, Discover 6011, 644-649 and 65, JCB 3528-3589, UnionPay 62 and 81, Maestro 50 and 56-69.
fn has_issuer(digits: &[u8]) -> bool {
    let head = |count: usize| digits.iter().take(count).fold(0_u32, |sum, d| sum * 10 + u32::from(*d));
    let two = head(2);
    digits[0] == 4
        || (50..=69).contains(&two)
        || matches!(two, 30 | 34 | 36 | 37 | 38 | 39 | 81)
        || (2221..=2720).contains(&head(4))
        || (3528..=3589).contains(&head(4))
}

fn luhn(digits: &[u8]) -> bool {
    let sum: u32 = digits
        .iter()
        .rev()
        .enumerate()
        .map(|(place, digit)| {
            let value = u32::from(*digit) << (place % 2);
            if value > 9 { value - 9 } else { value }
        })
        .sum();
    sum.is_multiple_of(10) && digits.iter().any(|d| *d != 0)
}

/// If the text that ends at `end` is a secret name before a scalar, cuts the scalar and gives where to read on.
fn secret(body: &[u8], from: usize, end: usize, cuts: &mut Vec<Cut>) -> Option<usize> {
    let name = &body[from..end];
    if name.len() > NAME_BYTES_MAX || name.len() < 3 || !is_secret(name) {
        return None;
    }
    let mut at = skip_space(body, end + 1);
    if body.get(at) != Some(&b':') {
        return None;
    }
    at = skip_space(body, at + 1);
    let to = match body.get(at)? {
        b'"' => end_of_text(body, at + 1),
        b'-' | b'0'..=b'9' => {
            let number = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'+' | b'.');
            at + body[at..].iter().take_while(|b| number(b)).count()
        }
        _ => return None,
    };
    if &body[at..to] == b"\"\"" {
        return None;
    }
    cuts.push(Cut {
        from: at,
        to,
        with: b"\"****\"".to_vec(),
    });
    Some(to)
}

fn is_secret(name: &[u8]) -> bool {
    let plain: Vec<u8> = name
        .iter()
        .filter(|b| !matches!(b, b'_' | b'-'))
        .map(u8::to_ascii_lowercase)
        .collect();
    SECRET_NAMES.contains(&plain.as_slice())
}

fn skip_space(body: &[u8], at: usize) -> usize {
    let rest = body.get(at..).unwrap_or_default();
    at + rest.iter().take_while(|b| b.is_ascii_whitespace()).count()
}

/// Where the text that begins at `at` ends, its closing quote included.
fn end_of_text(body: &[u8], mut at: usize) -> usize {
    while let Some(byte) = body.get(at) {
        match byte {
            b'\\' => at += 2,
            b'"' => return at + 1,
            _ => at += 1,
        }
    }
    body.len()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn masked(text: &str) -> Option<String> {
        mask(text.as_bytes()).map(|bytes| String::from_utf8(bytes).unwrap())
    }

    #[test]
    fn card_numbers_become_their_last_four() {
        for (body, expected) in [
            (r#"{"a":"4242424242424242"}"#, r#"{"a":"****4242"}"#),
            (
                r#"{"a":"pay with 4242 4242 4242 4242 12/28 123"}"#,
                r#"{"a":"pay with ****4242 12/28 123"}"#,
            ),
            (r#"{"a":"4242 4242 4242 4242 123"}"#, r#"{"a":"****4242 123"}"#),
            (r#"{"a":"no. 7 5555-5555-5555-4444."}"#, r#"{"a":"no. 7 ****4444."}"#),
            (r#"{"a":378282246310005,"b":1}"#, r#"{"a":"****0005","b":1}"#),
            (r#"{"a":"line\n4242424242424242"}"#, r#"{"a":"line\n****4242"}"#),
            (
                r#"{"a":"\u00204242424242424242\t6011111111111117"}"#,
                r#"{"a":"\u0020****4242\t****1117"}"#,
            ),
            (r#"{"a":"card=4242424242424242,"}"#, r#"{"a":"card=****4242,"}"#),
            ("4242424242424242", "\"****4242\""),
        ] {
            assert_eq!(masked(body).as_deref(), Some(expected), "{body}");
        }
    }

    /// Found by the fuzz target `webhook_body`.
    #[test]
    fn what_is_left_of_one_number_makes_up_no_other() {
        let beside = r#"{"a":"4242-4242-4242-4244242-4242-4242-4242"}"#;
        assert_eq!(masked(beside).as_deref(), Some(r#"{"a":"********4242"}"#));
    }

    #[test]
    fn values_under_secret_names_are_cut_whatever_they_are() {
        for (body, expected) in [
            (r#"{"cvc": "123", "b": 1}"#, r#"{"cvc": "****", "b": 1}"#),
            (r#"{"Card_Number":123}"#, r#"{"Card_Number":"****"}"#),
            (r#"{"password":"a\"b","c":"d"}"#, r#"{"password":"****","c":"d"}"#),
        ] {
            assert_eq!(masked(body).as_deref(), Some(expected), "{body}");
        }
    }

    #[test]
    fn what_is_no_card_number_stays() {
        for body in [
            r#"{"id":"evt_4242424242424242","x":"a4242424242424242","y":"4242424242424242b"}"#,
            r#"{"amount":4242424242424241,"at":1760000000,"ms":1760000000000}"#,
            r#"{"amount":4242424242424242.5,"z":"0000000000000000"}"#,
            r#"{"cvc_check":"pass","cvc":null,"iban":{"country":"DE"},"last4":"4242"}"#,
            r#"{"n":"12345678901234567890"}"#,
            "",
            "\"",
            "\\",
            "{\"password\"",
        ] {
            assert_eq!(masked(body), None, "{body}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]

        #[test]
        fn any_bytes_pass(body in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = mask(&body);
        }

        #[test]
        fn json_stays_json(text in "[0-9 a\"\\\\n-]{0,40}", number in 0_u64..10_000_000_000_000_000_000) {
            let body = serde_json::json!({ "a": text, "cvc": text, "n": number }).to_string();
            if let Some(after) = masked(&body) {
                prop_assert!(serde_json::from_str::<serde_json::Value>(&after).is_ok(), "{} -> {}", body, after);
                prop_assert_eq!(masked(&after).unwrap_or_else(|| after.clone()), after);
            }
        }
    }
}

//! The shape of a JSON body, measured before it is read: a body within its bound of bytes can still be made to cost.
//!
//! A string has no bound of its own here: none is longer than the body, and 64 KiB is the bound of both.

use super::problem::{Answer, Problem};

/// Deepest nesting of arrays and objects: ours need three.
pub const DEPTH_MAX: usize = 64;
/// Most members of one object: ours have at most fifty.
pub const KEYS_MAX: usize = 1_000;

/// Refuses a body that is nested deeper or holds larger objects than any of ours. Bytes that are no JSON may pass: the
/// reader refuses them.
pub fn measure(body: &[u8]) -> Answer<()> {
    let mut keys: Vec<usize> = Vec::new();
    let mut bytes = body.iter();
    while let Some(byte) = bytes.next() {
        match byte {
            b'{' | b'[' if keys.len() == DEPTH_MAX => {
                let detail = format!("the body is nested deeper than {DEPTH_MAX} arrays and objects");
                return Err(Problem::malformed(detail));
            }
            b'{' | b'[' => keys.push(0),
            b'}' | b']' => {
                keys.pop();
            }
            b':' => {
                if let Some(count) = keys.last_mut() {
                    *count += 1;
                    if *count > KEYS_MAX {
                        let detail = format!("an object in the body has more than {KEYS_MAX} members");
                        return Err(Problem::malformed(detail));
                    }
                }
            }
            b'"' => skip_string(&mut bytes),
            _ => {}
        }
    }
    Ok(())
}

fn skip_string<'a>(bytes: &mut impl Iterator<Item = &'a u8>) {
    while let Some(byte) = bytes.next() {
        match byte {
            b'"' => return,
            b'\\' => {
                bytes.next();
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn depth_holds_its_bound_one_under_at_and_one_over() {
        for (depth, good) in [(DEPTH_MAX - 1, true), (DEPTH_MAX, true), (DEPTH_MAX + 1, false)] {
            let arrays = format!("{}{}", "[".repeat(depth), "]".repeat(depth));
            let objects = format!("{}1{}", r#"{"a":"#.repeat(depth), "}".repeat(depth));
            for body in [arrays, objects] {
                assert_eq!(measure(body.as_bytes()).is_ok(), good, "{depth}");
            }
        }
        let side_by_side = format!("[{}]", ["[]"; 1_000].join(","));
        assert!(measure(side_by_side.as_bytes()).is_ok());
    }

    #[test]
    fn members_hold_their_bound_one_under_at_and_one_over() {
        for (count, good) in [(KEYS_MAX - 1, true), (KEYS_MAX, true), (KEYS_MAX + 1, false)] {
            let members: Vec<String> = (0..count).map(|n| format!(r#""{n}":0"#)).collect();
            let body = format!("[{{{}}},{{\"a\":1}}]", members.join(","));
            assert_eq!(measure(body.as_bytes()).is_ok(), good, "{count}");
        }
    }

    #[test]
    fn signs_inside_strings_do_not_count() {
        let body = format!(r#"{{"a":"{}\"{}"}}"#, "[".repeat(100), ":{".repeat(2_000));
        assert!(measure(body.as_bytes()).is_ok());
        assert!(measure(br#"{"a":"\\"}"#).is_ok());
    }
}

//! Just enough Rust reading for rules about style: where code ends and text begins.

/// Blanks the inside of comments (and of strings, when `strings` is false) with spaces; lines stay where they are.
pub(super) fn blank(text: &str, strings: bool) -> String {
    let bytes = text.as_bytes();
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    let keep = |out: &mut String, part: &str, kept: bool| {
        if kept {
            out.push_str(part);
        } else {
            // One space a byte, so that every byte keeps its place.
            out.extend(part.bytes().map(|byte| if byte == b'\n' { '\n' } else { ' ' }));
        }
    };
    while at < bytes.len() {
        let rest = &text[at..];
        let (length, kept) = if rest.starts_with("//") {
            (rest.find('\n').unwrap_or(rest.len()), false)
        } else if rest.starts_with("/*") {
            (rest.find("*/").map_or(rest.len(), |end| end + 2), false)
        } else if let Some(length) = raw_string(rest, at.checked_sub(1).map(|before| bytes[before])) {
            (length, strings)
        } else if rest.starts_with('"') {
            (quoted(rest, b'"'), strings)
        } else if let Some(length) = character(rest) {
            (length, strings)
        } else {
            (rest.chars().next().map_or(1, char::len_utf8), true)
        };
        keep(&mut out, &rest[..length], kept);
        at += length;
    }
    out
}

fn quoted(rest: &str, mark: u8) -> usize {
    let bytes = rest.as_bytes();
    let mut at = 1;
    while at < bytes.len() {
        match bytes[at] {
            b'\\' => at += 2,
            byte if byte == mark => return at + 1,
            _ => at += 1,
        }
    }
    rest.len()
}

fn raw_string(rest: &str, before: Option<u8>) -> Option<usize> {
    if before.is_some_and(|byte| (byte.is_ascii_alphanumeric() && byte != b'b') || byte == b'_') {
        return None;
    }
    let after = rest.strip_prefix('r')?;
    let hashes = after.bytes().take_while(|byte| *byte == b'#').count();
    let body = after[hashes..].strip_prefix('"')?;
    let close = format!("\"{}", "#".repeat(hashes));
    Some(
        body.find(&close)
            .map_or(rest.len(), |end| 2 + hashes + end + close.len()),
    )
}

/// A character literal, but not a lifetime.
fn character(rest: &str) -> Option<usize> {
    let inner = rest.strip_prefix('\'')?;
    if inner.starts_with('\\') {
        return Some(quoted(rest, b'\''));
    }
    let first = inner.chars().next()?;
    inner[first.len_utf8()..]
        .starts_with('\'')
        .then(|| first.len_utf8() + 2)
}

/// Every string literal: where it begins, and its inside.
pub(super) fn literals(text: &str) -> Vec<(usize, &str)> {
    // Code keeps its bytes and strings become spaces, so a literal is where the two readings differ.
    let (with, without) = (blank(text, true), blank(text, false));
    let mut found = Vec::new();
    let mut at = 0;
    let differs = |at: usize| with.as_bytes().get(at) != without.as_bytes().get(at);
    while at < with.len().min(without.len()) {
        if !differs(at) {
            at += 1;
            continue;
        }
        let rest = &text[at..];
        let length = raw_string(rest, None).unwrap_or_else(|| match rest.chars().next() {
            Some('"') => quoted(rest, b'"'),
            other => other.map_or(1, char::len_utf8),
        });
        found.push((at, &text[at..at + length]));
        at += length;
    }
    found
}

/// The end (exclusive) of the braces that open at or after `from`, or nothing when a `;` comes first.
pub(super) fn block(code: &str, from: usize) -> Option<(usize, usize)> {
    let open = from + code[from..].find(['{', ';'])?;
    if code.as_bytes()[open] == b';' {
        return None;
    }
    let mut depth = 0_usize;
    for (at, byte) in code.bytes().enumerate().skip(open) {
        match byte {
            b'{' => depth += 1,
            b'}' => {
                depth -= 1;
                if depth == 0 {
                    return Some((open, at + 1));
                }
            }
            _ => {}
        }
    }
    None
}

/// Blanks every item under `#[cfg(test)]`.
pub(super) fn without_tests(code: &str) -> String {
    let mut out = code.to_owned();
    let mut from = 0;
    while let Some(found) = out[from..].find("#[cfg(test)]") {
        let start = from + found;
        let end = block(&out, start).map_or(start + 12, |(_, end)| end);
        let blanked: String = out[start..end]
            .chars()
            .map(|c| if c == '\n' { '\n' } else { ' ' })
            .collect();
        out.replace_range(start..end, &blanked);
        from = start + blanked.len();
    }
    out
}

/// The line number (from 1) of a byte.
pub(super) fn line_of(text: &str, at: usize) -> usize {
    text[..at].bytes().filter(|byte| *byte == b'\n').count() + 1
}

/// Where `word` stands as a word of its own.
pub(super) fn words(code: &str, word: &str) -> Vec<usize> {
    let part = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    code.match_indices(word)
        .filter(|(at, _)| {
            let before = at.checked_sub(1).map(|before| code.as_bytes()[before]);
            let after = code.as_bytes().get(at + word.len());
            !before.is_some_and(part) && !after.copied().is_some_and(part)
        })
        .map(|(at, _)| at)
        .collect()
}

#[test]
fn comments_strings_and_tests_are_told_from_code() {
    let text = "let a = \"un//wrap\"; // unwrap\nlet b: &'static str = r#\"x\"y\"#; let c = '\"';\n#[cfg(test)]\nmod t { x(); }\nlet d;";
    let code = blank(text, false);
    assert!(
        !code.contains("wrap") && code.contains("'static") && code.contains("let c"),
        "{code}"
    );
    assert!(blank(text, true).contains("un//wrap"));
    let code = without_tests(&code);
    assert!(!code.contains("x()") && code.contains("let d"), "{code}");
    assert_eq!(line_of(text, text.find("let d").unwrap()), 5);
    assert_eq!(words("event events my_event event", "event").len(), 2);
    let found: Vec<&str> = literals("f(\"a\", 'b', r#\"c\"#); // \"d\"")
        .into_iter()
        .map(|(_, text)| text)
        .collect();
    assert!(found.contains(&"\"a\"") && found.contains(&"r#\"c\"#") && !found.iter().any(|text| text.contains('d')));
}

//! Habits of single lines: no crash, no float, no wildcard over events, nothing left open.

use super::super::source::{blank, block, line_of, words};
use super::{Faults, code_of, excused, production};

pub(super) fn no_crash(path: &str, text: &str) -> Faults {
    const CRASHES: [(&str, &str, &str); 8] = [
        (".unwrap()", "unwrap_used", "`?` with an error that says what to do"),
        (".expect(", "expect_used", "`?` with an error that says what to do"),
        ("panic!(", "panic", "an error variant"),
        ("unimplemented!(", "unimplemented", "the finished code"),
        (concat!("to", "do!("), "todo", "the finished code"),
        ("dbg!(", "dbg_macro", "tracing::debug!"),
        (
            "println!(",
            "print_stdout",
            "tracing, or the writer the command was given",
        ),
        (
            "eprintln!(",
            "print_stderr",
            "tracing, or the writer the command was given",
        ),
    ];
    if !production(path) {
        return Vec::new();
    }
    let code = code_of(text);
    let mut faults = Vec::new();
    for (crash, lint, instead) in CRASHES {
        for (at, _) in code.match_indices(crash) {
            let line = line_of(&code, at);
            let longer = at > 0 && !crash.starts_with('.') && code.as_bytes()[at - 1].is_ascii_alphanumeric();
            if !longer && !excused(text, line, lint) {
                faults.push((line, format!("`{crash}` in production code; use {instead}")));
            }
        }
    }
    faults
}

pub(super) fn no_allow(path: &str, text: &str) -> Faults {
    if !path.ends_with(".rs") {
        return Vec::new();
    }
    let code = blank(text, false);
    let mut faults = Vec::new();
    for mark in ["#[allow(", "#![allow("] {
        for (at, _) in code.match_indices(mark) {
            let message = "`allow` hides later faults too; use #[expect(lint, reason = \"..\")]";
            faults.push((line_of(&code, at), message.to_owned()));
        }
    }
    for (at, _) in code.match_indices("#[expect(") {
        let attribute = &code[at..at + code[at..].find(']').unwrap_or(0)];
        if !attribute.contains("reason") {
            faults.push((
                line_of(&code, at),
                "#[expect(..)] without reason; add reason = \"..\"".to_owned(),
            ));
        }
    }
    faults
}

pub(super) fn no_wildcard(path: &str, text: &str) -> Faults {
    let watched = path.starts_with("aggregates/src/") || path.starts_with("projections/src/");
    if !production(path) || !watched {
        return Vec::new();
    }
    let code = code_of(text);
    let mut faults = Vec::new();
    for at in words(&code, "match") {
        let Some((open, end)) = block(&code, at) else { continue };
        let asked = &code[at + 5..open];
        let by_name = ["event", "command"].iter().any(|word| !words(asked, word).is_empty());
        let (wildcard, patterns) = arms(&code[open + 1..end - 1]);
        let by_pattern = patterns.contains("Event::") || patterns.contains("Command::");
        let text_match = asked.contains("event_type") || asked.contains("as_str");
        if let Some(offset) = wildcard
            && (by_name || by_pattern)
            && !text_match
        {
            let line = line_of(&code, open + 1 + offset);
            faults.push((
                line,
                "`_ =>` on events or commands; name the variants, so that a new one shows".to_owned(),
            ));
        }
    }
    faults
}

/// Of the inside of a match: where a `_ =>` arm stands, and the patterns of all arms.
fn arms(inside: &str) -> (Option<usize>, String) {
    let mut depth = 0_usize;
    let mut outer = String::with_capacity(inside.len());
    for c in inside.chars() {
        match c {
            '{' | '(' | '[' => depth += 1,
            '}' | ')' | ']' => depth = depth.saturating_sub(1),
            _ => {}
        }
        // Keep byte offsets, so that the arm's line can be told.
        if depth == 0 {
            outer.push(c);
        } else {
            outer.extend(std::iter::repeat_n(' ', c.len_utf8()));
        }
    }
    let wildcard = words(&outer, "_")
        .into_iter()
        .find(|at| outer[at + 1..].trim_start().starts_with("=>"));
    let mut patterns = String::new();
    let mut from = 0;
    for (arrow, _) in outer.match_indices("=>") {
        // An arm ends at a comma, or at its braces, which are blank here.
        let pattern = &outer[from..arrow];
        patterns.push_str(pattern.rsplit(',').next().unwrap_or(pattern));
        from = arrow + 2;
    }
    (wildcard, patterns)
}

pub(super) fn no_float(path: &str, text: &str) -> Faults {
    if !path.starts_with("aggregates/src/") || !path.ends_with(".rs") {
        return Vec::new();
    }
    let code = blank(text, false);
    let found = ["f32", "f64"].into_iter().flat_map(|float| words(&code, float));
    let message = "a float in the domain; use i64 minor units, basis points or text";
    found.map(|at| (line_of(&code, at), message.to_owned())).collect()
}

pub(super) fn no_number_in_schema(path: &str, text: &str) -> Faults {
    if !path.contains("/schemas/") || !path.ends_with(".json") {
        return Vec::new();
    }
    let squeezed: String = text.chars().filter(|c| !c.is_whitespace()).collect();
    // A field may be called "number"; only a type of that name is refused, alone or in a list of types.
    let is_float = |after: &str| match after.strip_prefix('[') {
        Some(list) => list.split(']').next().is_some_and(|list| list.contains("\"number\"")),
        None => after.starts_with("\"number\""),
    };
    if squeezed.split("\"type\":").skip(1).any(is_float) {
        vec![(
            1,
            "an event field of JSON type number; use integer minor units".to_owned(),
        )]
    } else {
        Vec::new()
    }
}

pub(super) fn no_machine_path(path: &str, text: &str) -> Faults {
    if path == "Cargo.lock" {
        return Vec::new();
    }
    let roots = [
        concat!("/ho", "me/"),
        concat!("/Us", "ers/"),
        concat!("/ro", "ot/"),
        concat!("/wo", "rk/"),
    ];
    let mut faults = Vec::new();
    for (number, line) in text.lines().enumerate() {
        for root in roots {
            let starts = line.match_indices(root).any(|(at, _)| {
                let before = line[..at].chars().next_back().unwrap_or(' ');
                !(before.is_alphanumeric() || matches!(before, '_' | '-' | '.' | '}' | '*' | '/'))
            });
            if starts {
                faults.push((
                    number + 1,
                    format!("a path of one machine ({root}..); write it from the repository's root"),
                ));
            }
        }
    }
    faults
}

pub(super) fn no_open_end(path: &str, text: &str) -> Faults {
    let code = [".rs", ".sql", ".toml", ".md"].iter().any(|end| path.ends_with(end));
    if !code {
        return Vec::new();
    }
    let marks = [
        concat!("TO", "DO"),
        concat!("FIX", "ME"),
        concat!("XX", "X:"),
        concat!("HA", "CK:"),
    ];
    let mut faults = Vec::new();
    for mark in marks {
        for at in words(text, mark) {
            faults.push((
                line_of(text, at),
                format!("{mark} left; finish it, or describe it as an issue"),
            ));
        }
    }
    faults
}

/// A page named in the code is one a reader of this repository can open.
pub(super) fn pages(path: &str, text: &str) -> Faults {
    if !(production(path) || path.ends_with(".sql")) {
        return Vec::new();
    }
    let mut faults = Vec::new();
    for (at, _) in text.match_indices(".md") {
        let ends = text[at + 3..].chars().next().is_none_or(|c| !c.is_alphanumeric());
        let name: String = {
            let letters = |c: &char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '/' | '.');
            let reversed: String = text[..at].chars().rev().take_while(letters).collect();
            reversed.chars().rev().chain(".md".chars()).collect()
        };
        let root = super::super::root();
        let is_there = root.join(&name).is_file() || root.join("docs").join(&name).is_file();
        if ends && !is_there {
            let message = format!("`{name}` is no page of this repository; say it here, or link docs/");
            faults.push((line_of(text, at), message));
        }
    }
    faults
}

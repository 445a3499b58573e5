//! How long files and functions are, how a file begins, and what it is called.

use super::super::source::{block, line_of, words};
use super::{Faults, code_of, excused, production};

/// Most lines of a production file; a longer one holds two things.
const FILE_LINES_MAX: usize = 500;

/// Most lines of a function, signature to closing brace.
const FUNCTION_LINES_MAX: usize = 70;

pub(super) fn length(path: &str, text: &str) -> Faults {
    if !production(path) {
        return Vec::new();
    }
    let mut faults = Vec::new();
    let lines = text.lines().count();
    if lines > FILE_LINES_MAX {
        let message = format!("{lines} lines; cut the file where it changes subject ({FILE_LINES_MAX} at most)");
        faults.push((1, message));
    }
    let code = code_of(text);
    for at in words(&code, "fn") {
        let Some((_, end)) = block(&code, at) else { continue };
        let (first, last) = (line_of(&code, at), line_of(&code, end));
        let long = last - first + 1 > FUNCTION_LINES_MAX;
        if long && !excused(text, first, "too_many_lines") {
            let message = format!(
                "function of {} lines ({FUNCTION_LINES_MAX} at most); move the leaves into functions, \
                 or say why not in #[expect(clippy::too_many_lines, reason = \"..\")]",
                last - first + 1
            );
            faults.push((first, message));
        }
    }
    faults
}

pub(super) fn opening(path: &str, text: &str) -> Faults {
    if production(path) && !text.trim_start().starts_with("//!") {
        return vec![(
            1,
            "no opening sentence; begin the file with `//!` and what it is for".to_owned(),
        )];
    }
    Vec::new()
}

pub(super) fn names(path: &str, _: &str) -> Faults {
    const EMPTY_NAMES: [&str; 8] = [
        "util", "utils", "helper", "helpers", "manager", "misc", "common", "data",
    ];
    if !production(path) {
        return Vec::new();
    }
    let empty = path.split(['/', '.']).find(|part| EMPTY_NAMES.contains(part));
    let message = |part| format!("`{part}` says nothing; name the file after what it keeps (docs/glossary.md)");
    empty.map(|part| vec![(1, message(part))]).unwrap_or_default()
}

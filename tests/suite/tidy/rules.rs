//! The rules that look at one file. Each names the file's faults and what to write instead.

use super::source::{blank, block, line_of, literals, without_tests, words};

/// A fault: line and message.
pub(super) type Faults = Vec<(usize, String)>;

/// Most lines of a production file; a longer one holds two things.
const FILE_LINES_MAX: usize = 500;

/// Most lines of a function, signature to closing brace.
const FUNCTION_LINES_MAX: usize = 70;

/// A rule over one file: its path from the root of the repository, and its text.
pub(super) type Rule = fn(&str, &str) -> Faults;

/// All of them, each with a file that breaks it.
pub(super) const RULES: &[(&str, Rule, (&str, &str))] = &[
    ("crash", no_crash, ("src/x.rs", "//! X.\nfn f() { a.unwrap(); }")),
    (
        "allow",
        no_allow,
        ("src/x.rs", "//! X.\n#[allow(dead_code)]\nfn f() {}"),
    ),
    ("arrow", arrows, ("aggregates/src/x.rs", "//! X.\nuse sqlx::Row;")),
    (
        "manifest",
        manifest_arrows,
        ("aggregates/Cargo.toml", "[dependencies]\nsqlx.workspace = true\n"),
    ),
    (
        "sql",
        no_sql,
        ("src/http/x.rs", "//! X.\nconst A: &str = \"select a from b\";"),
    ),
    (
        "statement",
        statements,
        (
            "src/ledger/x.rs",
            "//! X.\nconst A: &str = \"insert or replace into inbox (part) values (1)\";",
        ),
    ),
    (
        "statement-part",
        statements,
        (
            "src/ledger/x.rs",
            "//! X.\nconst A: &str = \"update outbox set state = 'due'\";",
        ),
    ),
    (
        "stripe-path",
        stripe_paths,
        ("src/http/x.rs", "//! X.\nlet a = v[\"cancel_at_period_end\"];"),
    ),
    (
        "wildcard",
        no_wildcard,
        (
            "aggregates/src/x.rs",
            "//! X.\nfn f() { match event { A => 1, _ => 2 } }",
        ),
    ),
    ("length", length, ("src/x.rs", LONG)),
    (
        "float",
        no_float,
        ("aggregates/src/x.rs", "//! X.\nstruct A { b: f64 }"),
    ),
    (
        "machine-path",
        no_machine_path,
        ("docs/x.md", concat!("see /ho", "me/me/x")),
    ),
    (
        "open-end",
        no_open_end,
        ("src/x.rs", concat!("//! X.\n// TO", "DO later")),
    ),
    ("opening", opening, ("src/x.rs", "fn f() {}")),
    ("name", names, ("src/util.rs", "//! X.")),
    (
        "schema",
        no_number_in_schema,
        ("aggregates/src/schemas/x.json", "{\"type\": \"number\"}"),
    ),
];

const LONG: &str = "//! X.\nfn f() {\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n}";

/// Production Rust: what a user's process runs.
fn production(path: &str) -> bool {
    path.ends_with(".rs")
        && !["/testing.rs", "/tests.rs"].iter().any(|end| path.ends_with(end))
        && !path.contains("/tests/")
        && ["src/", "aggregates/src/", "projections/src/"]
            .iter()
            .any(|root| path.starts_with(root))
}

fn code_of(text: &str) -> String {
    without_tests(&blank(text, false))
}

/// The reason stands on the item itself: an `#[expect(clippy::.., reason = "..")]` shortly above.
fn excused(text: &str, line: usize, lint: &str) -> bool {
    let lines: Vec<&str> = text.lines().collect();
    let from = line.saturating_sub(8);
    lines[from..line.min(lines.len())]
        .join("\n")
        .contains(&format!("clippy::{lint}"))
}

fn no_crash(path: &str, text: &str) -> Faults {
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

fn no_allow(path: &str, text: &str) -> Faults {
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

/// Which folder must not name which crate or module, and where that belongs.
const BORDERS: &[(&str, &[&str], &str)] = &[
    (
        "aggregates/src/",
        &[
            "sqlx::",
            "tokio::",
            "axum::",
            "hyper::",
            "projections::",
            "subledger::",
            "reqwest::",
            "stripe::",
        ],
        "aggregates are pure: no store, no HTTP, no Stripe; put it into projections or the service",
    ),
    (
        "projections/src/",
        &["axum::", "hyper::", "tower::", "subledger::", "stripe::"],
        "projections know the log and the views only; put HTTP and Stripe into the service",
    ),
    (
        "src/http/",
        &["sqlx::", "postgres_es::", "sqlite_es::"],
        "a handler asks the ledger, the inbox or a read model; put SQL beside the table it reads",
    ),
    (
        "src/ledger/",
        &["axum::", "crate::http", "crate::stripe", "crate::process"],
        "the ledger knows neither HTTP nor Stripe; pass it what it needs",
    ),
    (
        "src/inbox/",
        &["axum::", "crate::http", "crate::process", "crate::stripe::translate"],
        "the inbox keeps bytes and does not know what they mean; translate in process/apply_webhooks",
    ),
    (
        "src/process/",
        &["axum::", "crate::http", "sqlx::"],
        "a process turns events into commands and effects; put SQL into ledger, inbox or outbox",
    ),
    (
        "src/stripe/",
        &[
            "axum::",
            "crate::http",
            "sqlx::",
            "crate::ledger",
            "crate::inbox",
            "projections::",
        ],
        "src/stripe only translates; the process that calls it stores",
    ),
];

fn arrows(path: &str, text: &str) -> Faults {
    let mut faults = Vec::new();
    let code = code_of(text);
    for (root, forbidden, instead) in BORDERS {
        if !production(path) || !path.starts_with(root) {
            continue;
        }
        for name in *forbidden {
            for (at, _) in code.match_indices(name) {
                let before = at.checked_sub(1).map_or(b' ', |before| code.as_bytes()[before]);
                // `a::stripe::` is a path of our own; `stripe::` alone is the crate.
                if !(before.is_ascii_alphanumeric() || before == b'_' || before == b':') {
                    faults.push((line_of(&code, at), format!("`{name}` here; {instead}")));
                }
            }
        }
    }
    faults
}

fn manifest_arrows(path: &str, text: &str) -> Faults {
    let forbidden: &[&str] = match path {
        "aggregates/Cargo.toml" => &["sqlx", "tokio", "axum", "hyper", "projections", "tower", "async-stripe"],
        "projections/Cargo.toml" => &["axum", "hyper", "tower", "async-stripe", "cqrs-es", "clap"],
        _ => return Vec::new(),
    };
    let mut section = "";
    let mut faults = Vec::new();
    for (number, line) in text.lines().enumerate() {
        if line.starts_with('[') {
            section = line;
        }
        let name = line.split(['.', ' ', '=']).next().unwrap_or_default();
        if section == "[dependencies]" && forbidden.contains(&name) {
            let message = format!("{name} in {path}; the arrow is aggregates <- projections <- service");
            faults.push((number + 1, message));
        }
    }
    faults
}

fn no_sql(path: &str, text: &str) -> Faults {
    let outside = [
        "src/http/",
        "src/process/",
        "src/stripe/",
        "src/cli/",
        "aggregates/src/",
    ];
    if !production(path) || !outside.iter().any(|root| path.starts_with(root)) {
        return Vec::new();
    }
    let code = without_tests(&blank(text, true));
    let mut faults = Vec::new();
    for (number, line) in code.lines().enumerate() {
        let lower = line.to_lowercase();
        let both = |a: &str, b: &str| lower.find(a).is_some_and(|at| lower[at..].contains(b));
        let sql = both("\"select ", " from ") || both("\"update ", " set ");
        if sql || lower.contains("\"insert into ") || lower.contains("\"delete from ") {
            let message = "SQL here; write it as a const beside the table's owner (ledger, inbox, a read model)";
            faults.push((number + 1, message.to_owned()));
        }
    }
    faults
}

/// Tables that grow, each spread over the partitions.
const SPREAD: [&str; 8] = [
    "events",
    "webhook_receipts",
    "inbox",
    "outbox",
    "projection_checkpoint",
    "directory",
    "api_idempotency",
    "log_head",
];

fn statements(path: &str, text: &str) -> Faults {
    const FORBIDDEN: [(&str, &str); 9] = [
        ("nextval", "the position from log_head, or a UUIDv7"),
        ("pg_snapshot", "a cursor over positions"),
        ("xmin", "a cursor over positions"),
        ("pg_advisory", "a row in lease"),
        (
            "or replace",
            "on conflict do update (replace deletes without the append-only trigger)",
        ),
        (
            "or ignore",
            "on conflict do nothing (ignore also swallows failed checks)",
        ),
        ("skip locked", "the part's lease"),
        ("clock_timestamp()", "a time bound from Rust"),
        ("random()", "a number bound from Rust"),
    ];
    if !production(path) {
        return Vec::new();
    }
    let code = without_tests(&blank(text, true));
    let mut faults = Vec::new();
    for (at, literal) in literals(&code) {
        let sql = literal.to_lowercase().split_whitespace().collect::<Vec<_>>().join(" ");
        let statement = ["select ", "insert ", "update ", "delete ", "with "]
            .iter()
            .any(|verb| sql.get(1..).is_some_and(|inside| inside.starts_with(verb)));
        if !statement {
            continue;
        }
        for (word, instead) in FORBIDDEN {
            if sql.contains(word) {
                faults.push((line_of(&code, at), format!("`{word}` in a statement; use {instead}")));
            }
        }
        let touched = SPREAD.iter().find(|table| {
            ["from ", "into ", "update ", "join "]
                .iter()
                .any(|before| words(&sql, table).iter().any(|at| sql[..*at].ends_with(before)))
        });
        if let Some(table) = touched
            && words(&sql, "part").is_empty()
        {
            faults.push((
                line_of(&code, at),
                format!("a statement on {table} without `part`; bind the part"),
            ));
        }
    }
    for (at, _) in code_of(text).match_indices(".constraint()") {
        let message = "decide on the error code and the statement; constraint names differ between layouts";
        faults.push((line_of(&code, at), message.to_owned()));
    }
    faults
}

fn stripe_paths(path: &str, text: &str) -> Faults {
    const PATHS: [&str; 9] = [
        "cancel_at_period_end",
        "current_period_end",
        "current_period_start",
        "billing_cycle_anchor",
        "pause_collection",
        "previous_attributes",
        "pending_webhooks",
        "collection_method",
        "/data/object",
    ];
    if !production(path) || !path.starts_with("src/") {
        return Vec::new();
    }
    if path.starts_with("src/stripe/") || path.starts_with("src/demo") {
        return Vec::new();
    }
    let code = without_tests(&blank(text, true));
    let mut faults = Vec::new();
    for name in PATHS {
        for (at, _) in code.match_indices(&format!("\"{name}\"")) {
            let message = format!("{name:?} is Stripe's shape; read it in src/stripe/translate into an observation");
            faults.push((line_of(&code, at), message));
        }
    }
    faults
}

fn no_wildcard(path: &str, text: &str) -> Faults {
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

fn length(path: &str, text: &str) -> Faults {
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

fn no_float(path: &str, text: &str) -> Faults {
    if !path.starts_with("aggregates/src/") || !path.ends_with(".rs") {
        return Vec::new();
    }
    let code = blank(text, false);
    let found = ["f32", "f64"].into_iter().flat_map(|float| words(&code, float));
    let message = "a float in the domain; use i64 minor units, basis points or text";
    found.map(|at| (line_of(&code, at), message.to_owned())).collect()
}

fn no_number_in_schema(path: &str, text: &str) -> Faults {
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

fn no_machine_path(path: &str, text: &str) -> Faults {
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

fn no_open_end(path: &str, text: &str) -> Faults {
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

fn opening(path: &str, text: &str) -> Faults {
    if production(path) && !text.trim_start().starts_with("//!") {
        return vec![(
            1,
            "no opening sentence; begin the file with `//!` and what it is for".to_owned(),
        )];
    }
    Vec::new()
}

fn names(path: &str, _: &str) -> Faults {
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

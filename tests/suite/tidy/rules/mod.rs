//! The rules that look at one file. Each names the file's faults and what to write instead.

mod borders;
mod habits;
mod shape;
mod sql;

use super::source::{blank, without_tests};

/// A fault: line and message.
pub(super) type Faults = Vec<(usize, String)>;

/// A rule over one file: its path from the root of the repository, and its text.
pub(super) type Rule = fn(&str, &str) -> Faults;

/// All of them, each with a file that breaks it.
pub(super) const RULES: &[(&str, Rule, (&str, &str))] = &[
    (
        "crash",
        habits::no_crash,
        ("src/x.rs", "//! X.\nfn f() { a.unwrap(); }"),
    ),
    (
        "allow",
        habits::no_allow,
        ("src/x.rs", "//! X.\n#[allow(dead_code)]\nfn f() {}"),
    ),
    (
        "arrow",
        borders::arrows,
        ("aggregates/src/x.rs", "//! X.\nuse sqlx::Row;"),
    ),
    (
        "view",
        borders::views,
        ("projections/src/status/list.rs", "//! X.\nuse crate::quota::QuotaRow;"),
    ),
    (
        "manifest",
        borders::manifest_arrows,
        ("aggregates/Cargo.toml", "[dependencies]\nsqlx.workspace = true\n"),
    ),
    (
        "sql",
        sql::no_sql,
        ("src/http/x.rs", "//! X.\nconst A: &str = \"select a from b\";"),
    ),
    (
        "statement",
        sql::statements,
        (
            "src/ledger/x.rs",
            "//! X.\nconst A: &str = \"insert or replace into inbox (part) values (1)\";",
        ),
    ),
    (
        "statement-part",
        sql::statements,
        (
            "src/ledger/x.rs",
            "//! X.\nconst A: &str = \"update outbox set state = 'due'\";",
        ),
    ),
    (
        "stock",
        borders::no_stock_store,
        (
            "src/ledger/x.rs",
            "//! X.\nfn f() { PersistedEventStore::new_snapshot_store(r, 9) }",
        ),
    ),
    (
        "stripe-path",
        borders::stripe_paths,
        ("src/http/x.rs", "//! X.\nlet a = v[\"cancel_at_period_end\"];"),
    ),
    (
        "wildcard",
        habits::no_wildcard,
        (
            "aggregates/src/x.rs",
            "//! X.\nfn f() { match event { A => 1, _ => 2 } }",
        ),
    ),
    ("length", shape::length, ("src/x.rs", LONG)),
    (
        "float",
        habits::no_float,
        ("aggregates/src/x.rs", "//! X.\nstruct A { b: f64 }"),
    ),
    (
        "machine-path",
        habits::no_machine_path,
        ("docs/x.md", concat!("see /ho", "me/me/x")),
    ),
    (
        "open-end",
        habits::no_open_end,
        ("src/x.rs", concat!("//! X.\n// TO", "DO later")),
    ),
    ("page", habits::pages, ("src/x.rs", "//! X, as design.md says.")),
    ("opening", shape::opening, ("src/x.rs", "fn f() {}")),
    ("name", shape::names, ("src/util.rs", "//! X.")),
    (
        "schema",
        habits::no_number_in_schema,
        ("aggregates/src/schemas/x.json", "{\"type\": \"number\"}"),
    ),
];

const LONG: &str = "//! X.\nfn f() {\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n}";

/// Production Rust: what a user's process runs.
pub(super) fn production(path: &str) -> bool {
    path.ends_with(".rs")
        && !["/testing.rs", "/tests.rs"].iter().any(|end| path.ends_with(end))
        && !path.contains("/tests/")
        && ["src/", "aggregates/src/", "projections/src/", "sandbox/src/"]
            .iter()
            .any(|root| path.starts_with(root))
}

pub(super) fn code_of(text: &str) -> String {
    without_tests(&blank(text, false))
}

/// The reason stands on the item itself: an `#[expect(clippy::.., reason = "..")]` shortly above.
pub(super) fn excused(text: &str, line: usize, lint: &str) -> bool {
    let lines: Vec<&str> = text.lines().collect();
    let from = line.saturating_sub(8);
    lines[from..line.min(lines.len())]
        .join("\n")
        .contains(&format!("clippy::{lint}"))
}

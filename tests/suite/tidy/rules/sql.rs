//! Where SQL may stand, and what it must not say.

use super::super::source::{blank, line_of, literals, without_tests, words};
use super::{Faults, code_of, production};

pub(super) fn no_sql(path: &str, text: &str) -> Faults {
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
const SPREAD: [&str; 11] = [
    "events",
    "webhook_receipts",
    "inbox",
    "outbox",
    "projection_checkpoint",
    "directory",
    "api_idempotency",
    "log_head",
    "lease",
    "person",
    "tenant_profile",
];

pub(super) fn statements(path: &str, text: &str) -> Faults {
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

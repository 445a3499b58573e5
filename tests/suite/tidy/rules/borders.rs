//! Which part of the code may name which: the arrows between packages, and the borders inside the service.

use super::super::source::{blank, line_of, without_tests, words};
use super::{Faults, code_of, production};

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
        "sandbox/src/",
        &[
            "aggregates::",
            "projections::",
            "subledger::",
            "stripe::",
            "sqlx::",
            "axum::",
        ],
        "the sandbox judges the service and shares nothing with it; write it again here",
    ),
    (
        "src/cli/",
        &["sqlx::", "crate::ledger", "crate::inbox"],
        "a command calls the server's routes or the app; put the work behind one of them",
    ),
    (
        "src/http/",
        &["sqlx::", "postgres_es::", "sqlite_es::"],
        "a handler asks the ledger, the inbox or a read model; put SQL beside the table it reads",
    ),
    (
        "src/ledger/",
        &[
            "axum::",
            "crate::http",
            "crate::stripe",
            "crate::process",
            "projections::views",
            "projections::runner",
        ],
        "the ledger knows neither views, HTTP nor Stripe; pass it what it needs",
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
        "src/stripe/gateway/",
        &[
            "stripe_client_core::",
            "stripe_billing::",
            "stripe_core::",
            "stripe_checkout::",
            "stripe_product::",
            "stripe_shared::",
            "stripe_types::",
            "hyper_util::",
        ],
        "the port speaks our words; async-stripe and HTTP belong into src/stripe/client",
    ),
    (
        "src/stripe/translate/",
        &[
            "stripe_client_core::",
            "stripe_billing::",
            "stripe_core::",
            "stripe_checkout::",
            "stripe_product::",
            "stripe_shared::",
            "stripe_types::",
            "hyper_util::",
        ],
        "translation reads JSON by the table of paths; async-stripe belongs into src/stripe/client",
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

pub(super) fn arrows(path: &str, text: &str) -> Faults {
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

pub(super) fn manifest_arrows(path: &str, text: &str) -> Faults {
    let forbidden: &[&str] = match path {
        "aggregates/Cargo.toml" => &["sqlx", "tokio", "axum", "hyper", "projections", "tower", "async-stripe"],
        "projections/Cargo.toml" => &["axum", "hyper", "tower", "async-stripe", "cqrs-es", "clap"],
        "sandbox/Cargo.toml" => &["aggregates", "projections", "subledger", "async-stripe", "sqlx", "axum"],
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
            let message =
                format!("{name} in {path}; the arrows are aggregates <- projections <- service, sandbox <- service");
            faults.push((number + 1, message));
        }
    }
    faults
}

pub(super) fn stripe_paths(path: &str, text: &str) -> Faults {
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

/// The views of `projections/src/`.
const VIEWS: [&str; 6] = ["status", "entitlements", "quota", "invoices", "money", "audit"];

/// A view that reads another's rows cannot be rebuilt by itself.
pub(super) fn views(path: &str, text: &str) -> Faults {
    let rest = path.strip_prefix("projections/src/").unwrap_or_default();
    let own = rest.split(['/', '.']).next().unwrap_or_default();
    if !VIEWS.contains(&own) {
        return Vec::new();
    }
    let code = code_of(text);
    let others = VIEWS.iter().filter(|view| **view != own);
    let found = others.flat_map(|view| {
        let name = format!("crate::{view}::");
        let places: Vec<usize> = code.match_indices(&name).map(|(at, _)| at).collect();
        places.into_iter().map(move |at| (at, name.clone()))
    });
    found
        .map(|(at, name)| {
            let message = format!("`{name}` in the view {own}; share what both hold (book.rs), or read the log");
            (line_of(&code, at), message)
        })
        .collect()
}

#[test]
fn no_package_may_depend_against_the_arrows() {
    for (path, name) in [
        ("aggregates/Cargo.toml", "projections"),
        ("projections/Cargo.toml", "axum"),
        ("sandbox/Cargo.toml", "aggregates"),
        ("sandbox/Cargo.toml", "projections"),
    ] {
        let planted = format!("[dependencies]\n{name}.workspace = true\n");
        assert_eq!(manifest_arrows(path, &planted).len(), 1, "{name} in {path}");
    }
}

#[test]
fn every_border_finds_every_name_it_forbids() {
    for (root, forbidden, _) in BORDERS {
        for name in *forbidden {
            let planted = format!("//! X.\nuse {name}X;");
            let found = arrows(&format!("{root}x.rs"), &planted);
            assert_eq!(found.len(), 1, "{name} below {root}: {found:?}");
        }
    }
    for view in VIEWS {
        for other in VIEWS {
            let found = views(
                &format!("projections/src/{view}.rs"),
                &format!("use crate::{other}::X;"),
            );
            assert_eq!(found.len(), usize::from(view != other), "{other} in {view}");
        }
    }
}

/// What cqrs-es and its stores offer and we never call; each has a test in tests/suite/contract/laws/stock.rs or a
/// reason in docs/decisions/0004-our-own-append.md.
pub(super) fn no_stock_store(path: &str, text: &str) -> Faults {
    const STOCK: [(&str, &str); 8] = [
        (
            "new_snapshot_store",
            "new_event_store: snapshots apply new events twice",
        ),
        (
            "new_aggregate_store",
            "ledger::append: it reports conflicts after the commit",
        ),
        (
            "QueryReplay",
            "projections::rebuild: it answers Ok though reading failed",
        ),
        ("GenericQuery", "a projection with a checkpoint: it drops errors"),
        (
            "CqrsFramework",
            "load, decide and ledger::append: it writes views after the commit",
        ),
        (
            "default_sqlite_pool",
            "Db::open: it loses acknowledged commits at a power cut",
        ),
        ("default_postgress_pool", "Db::open: it has no time limits"),
        ("default_postgres_pool", "Db::open: it has no time limits"),
    ];
    if !production(path) {
        return Vec::new();
    }
    let code = code_of(text);
    let found = STOCK.iter().flat_map(|(name, instead)| {
        let at = words(&code, name).into_iter();
        at.map(move |at| (at, format!("`{name}` in production code; use {instead}")))
    });
    found.map(|(at, message)| (line_of(&code, at), message)).collect()
}

//! `docs/failpoints.md` lists every place where a test may stop the process, and every planted fault.

use std::path::Path;

use projections::failpoint::{FAILPOINTS, MUTANTS};

fn table(head: &str, rows: &[(&str, &str)]) -> String {
    let rows: Vec<String> = rows
        .iter()
        .map(|(name, what)| format!("| `{name}` | {what} |\n"))
        .collect();
    format!("{head}\n| --- | --- |\n{}", rows.concat())
}

#[test]
fn the_document_lists_every_place_and_every_fault() {
    let text = format!(
        "# Failpoints and planted faults\n\nGenerated from the code by a test; do not edit. Neither is in a release: \
         they are compiled in by the features `failpoints` and `mutants`, which `tests/run` switches on.\n\n\
         ## Failpoints\n\n`SUBLEDGER_FAILPOINT=<name>[:<nth>]` ends the process at that place as a power cut would. \
         The suite does so at each of them, on both stores, starts again and looks for what was lost or doubled.\n\n{}\n\
         ## Planted faults\n\n`SUBLEDGER_MUTANT=<name>` switches a fault on. Each must turn the test red that guards \
         its promise (`tests/suite/contract/mutants.rs` names it).\n\n{}",
        table("| place | what has happened there |", FAILPOINTS),
        table("| fault | promise it breaks |", MUTANTS),
    );
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/failpoints.md");
    if std::env::var_os("UPDATE_GENERATED").is_some() {
        std::fs::write(&path, &text).unwrap();
    }
    assert!(
        std::fs::read_to_string(&path).unwrap_or_default() == text,
        "docs/failpoints.md is not what the code says; run the test with UPDATE_GENERATED=1 and commit the file"
    );
}

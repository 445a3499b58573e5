//! Style as a test: what the architecture promises about layout, arrows and habits, checked over the repository.
//!
//! Each message names the replacement. Each rule is shown a planted fault, so that it cannot go blind.

mod pages;
mod rules;
mod source;

use std::fs;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Every text file of the repository that is ours: path from the root, and text.
fn files() -> Vec<(String, String)> {
    fn walk(directory: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(directory)
            .expect("a folder")
            .map(|entry| entry.expect("an entry"))
        {
            let name = entry.file_name().to_string_lossy().into_owned();
            let path = entry.path();
            let skipped = ["target", "data", "node_modules", "proptest-regressions", "__pycache__"];
            if path.is_symlink() || (name.starts_with('.') && !matches!(&*name, ".ci" | ".env.example" | ".config")) {
                continue;
            }
            if path.is_dir() && !skipped.contains(&&*name) {
                walk(&path, found);
            } else if path.is_file() {
                found.push(path);
            }
        }
    }
    let root = root();
    let mut found = Vec::new();
    walk(&root, &mut found);
    found.sort();
    let name = |path: &Path| {
        path.strip_prefix(&root)
            .expect("below the root")
            .to_string_lossy()
            .into_owned()
    };
    let read = |path: &PathBuf| Some((name(path), fs::read_to_string(path).ok()?));
    found.iter().filter_map(read).collect()
}

#[test]
fn the_repository_keeps_its_rules() {
    let files = files();
    assert!(
        files.iter().any(|(path, _)| path == "src/lib.rs"),
        "the walk found no source"
    );
    let mut faults = Vec::new();
    for (path, text) in &files {
        for (name, rule, _) in rules::RULES {
            let found = rule(path, text).into_iter();
            faults.extend(found.map(|(line, message)| format!("{path}:{line}: [{name}] {message}")));
        }
    }
    assert!(faults.is_empty(), "{} faults:\n{}", faults.len(), faults.join("\n"));
}

#[test]
fn every_rule_finds_a_planted_fault() {
    for (name, rule, (path, text)) in rules::RULES {
        assert!(!rule(path, text).is_empty(), "[{name}] did not see:\n{text}");
        let harmless = rule("docs/x.md", "# A page\n");
        assert!(
            harmless.is_empty(),
            "[{name}] sees faults where there are none: {harmless:?}"
        );
    }
}

// ---- rules over several files ----------------------------------------------------------------------

/// Names that only one of the two migration folders has.
fn lonely(postgres: &[String], sqlite: &[String]) -> Vec<String> {
    let only = |a: &[String], b: &[String]| a.iter().filter(|name| !b.contains(name)).cloned().collect::<Vec<_>>();
    [only(postgres, sqlite), only(sqlite, postgres)].concat()
}

#[test]
fn migrations_are_twins() {
    let names = |store: &str| -> Vec<String> {
        let folder = root().join("migrations").join(store);
        let entries = fs::read_dir(folder).into_iter().flatten();
        entries
            .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
            .collect()
    };
    let lonely_ones = lonely(&names("postgres"), &names("sqlite"));
    assert!(
        lonely_ones.is_empty(),
        "no twin in the other store's folder; add one: {lonely_ones:?}"
    );
    assert_eq!(
        lonely(&["a".into(), "b".into()], &["a".into()]),
        ["b"],
        "a planted lonely migration"
    );
}

/// Packages of a lock file that bring a second TLS library.
fn foreign_tls(lock: &str) -> Vec<&str> {
    let name = |line| -> Option<&str> { str::strip_prefix(line, "name = \"")?.strip_suffix('"') };
    let foreign = ["aws-lc-sys", "aws-lc-rs", "openssl-sys", "openssl", "native-tls"];
    lock.lines()
        .filter_map(name)
        .filter(|name| foreign.contains(name))
        .collect()
}

#[test]
fn ring_is_the_only_cryptography() {
    let lock = fs::read_to_string(root().join("Cargo.lock")).expect("Cargo.lock");
    let foreign = foreign_tls(&lock);
    assert!(
        foreign.is_empty(),
        "{foreign:?} in Cargo.lock; find it with `cargo tree -i` and choose its ring feature"
    );
    assert_eq!(
        foreign_tls("name = \"ring\"\nname = \"openssl-sys\"\n"),
        ["openssl-sys"],
        "a planted package"
    );
}

/// Members of the workspace that do not take its lints, and switches that must never be on by default.
fn manifest_faults(path: &str, text: &str) -> Vec<String> {
    let mut faults = Vec::new();
    if !text.contains("[lints]\nworkspace = true") {
        faults.push(format!("{path}: add `[lints] workspace = true`"));
    }
    let default = text
        .lines()
        .find(|line| line.starts_with("default = "))
        .unwrap_or("default = []");
    if default != "default = []" {
        faults.push(format!(
            "{path}: `{default}`; planted faults and failpoints must be asked for by name"
        ));
    }
    faults
}

#[test]
fn every_package_takes_the_lints_and_no_test_feature_is_on() {
    let manifests = [
        "Cargo.toml",
        "aggregates/Cargo.toml",
        "projections/Cargo.toml",
        "sandbox/Cargo.toml",
    ];
    let faults: Vec<String> = manifests
        .into_iter()
        .flat_map(|path| manifest_faults(path, &fs::read_to_string(root().join(path)).expect("a manifest")))
        .collect();
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    let workspace = fs::read_to_string(root().join("Cargo.toml")).expect("Cargo.toml");
    assert!(
        workspace.contains("unsafe_code = \"forbid\""),
        "keep `unsafe_code = \"forbid\"`"
    );
    assert_eq!(
        manifest_faults("x", "[features]\ndefault = [\"mutants\"]\n").len(),
        2,
        "planted faults"
    );
}

#[test]
fn the_build_server_runs_the_one_test_command() {
    let text = fs::read_to_string(root().join(".ci/run")).expect(".ci/run");
    assert!(text.contains("exec tests/run"), "call tests/run and nothing else");
}

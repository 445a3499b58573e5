//! What the pages say about the repository is so: links lead somewhere, named files are there, and each row of a walk
//! is a call.

use std::fs;

use super::{files, root};

/// Links of a Markdown text that lead nowhere; `exists` answers for paths from the repository's root.
fn dead_links(
    path: &str,
    text: &str,
    heading: &dyn Fn(&str, &str) -> bool,
    exists: &dyn Fn(&str) -> bool,
) -> Vec<String> {
    let mut dead = Vec::new();
    let mut fenced = false;
    for (number, line) in text.lines().enumerate() {
        fenced ^= line.trim_start().starts_with("```");
        if fenced {
            continue;
        }
        for (at, _) in line.match_indices("](") {
            let target = line[at + 2..].split([')', ' ']).next().unwrap_or_default();
            if target.contains("://") || target.starts_with("mailto:") {
                continue;
            }
            let (file, anchor) = target.split_once('#').unwrap_or((target, ""));
            let full = if file.is_empty() {
                path.to_owned()
            } else {
                join(path, file)
            };
            if !exists(&full) || (!anchor.is_empty() && full.ends_with(".md") && !heading(&full, anchor)) {
                dead.push(format!(
                    "{path}:{}: `{target}` leads nowhere; link what exists",
                    number + 1
                ));
            }
        }
    }
    dead
}

fn join(page: &str, target: &str) -> String {
    let mut parts: Vec<&str> = page.split('/').collect();
    parts.pop();
    for part in target.trim_end_matches('/').split('/') {
        match part {
            "." => {}
            ".." => {
                parts.pop();
            }
            _ => parts.push(part),
        }
    }
    parts.join("/")
}

fn has_heading(text: &str, anchor: &str) -> bool {
    text.lines().filter(|line| line.starts_with('#')).any(|line| {
        let title = line.trim_start_matches('#').trim().to_lowercase();
        let kept = title
            .chars()
            .filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
        kept.collect::<String>().replace(' ', "-") == anchor
    })
}

#[test]
fn links_in_documents_lead_somewhere() {
    let pages: Vec<_> = files().into_iter().filter(|(path, _)| path.ends_with(".md")).collect();
    let heading = |path: &str, anchor: &str| {
        pages
            .iter()
            .any(|(page, text)| page == path && has_heading(text, anchor))
    };
    let exists = |path: &str| root().join(path).exists();
    let dead: Vec<String> = pages
        .iter()
        .flat_map(|(path, text)| dead_links(path, text, &heading, &exists))
        .collect();
    assert!(dead.is_empty(), "{}", dead.join("\n"));
}

#[test]
fn a_planted_dead_link_is_found() {
    let text = "# One two\n[a](b.md) [c](../src/x.rs) [d](#one-two) [e](#none) [f](https://x.y)\n```\n[g](h)\n```\n";
    let heading = |_: &str, anchor: &str| has_heading(text, anchor);
    let dead = dead_links("docs/p.md", text, &heading, &|path| {
        path == "src/x.rs" || path == "docs/p.md"
    });
    assert_eq!(dead.len(), 2, "{dead:?}");
}

/// Files and folders that a page names in code quotes and that are not there; `exists` answers for paths from the root.
fn dead_names(path: &str, text: &str, exists: &dyn Fn(&str) -> bool) -> Vec<String> {
    let tops = [
        "src/",
        "aggregates/",
        "projections/",
        "sandbox/",
        "tests/",
        "migrations/",
        "docs/",
        "examples/",
        ".ci/",
    ];
    let mut dead = Vec::new();
    for (number, line) in text.lines().enumerate() {
        for name in line.split('`').skip(1).step_by(2) {
            let is_path = tops.iter().any(|top| name.starts_with(top)) && !name.contains(['*', ' ', '<']);
            // `{a,b}` stands for two names.
            let (head, (choices, tail)) = match name.split_once('{') {
                Some((head, rest)) => (head, rest.split_once('}').unwrap_or((rest, ""))),
                None => (name, ("", "")),
            };
            let named = choices.split(',').map(|choice| format!("{head}{choice}{tail}"));
            if is_path && !named.clone().all(|name| exists(&name)) {
                dead.push(format!("{path}:{}: `{name}` is not there; name what is", number + 1));
            }
        }
    }
    dead
}

#[test]
fn files_named_in_documents_are_there() {
    let exists = |path: &str| root().join(path).exists();
    let pages = files().into_iter().filter(|(path, _)| path.ends_with(".md"));
    let dead: Vec<String> = pages
        .flat_map(|(path, text)| dead_names(&path, &text, &exists))
        .collect();
    assert!(dead.is_empty(), "{}", dead.join("\n"));
    let text = "`src/a.rs` and `src/{a,b}.rs`, `src/c/`, `cargo test`\n";
    let planted = dead_names("x.md", text, &|path| path == "src/a.rs");
    assert_eq!(planted.len(), 2, "planted names: {planted:?}");
}

/// The rows of the walks: file, function, file that calls it.
fn walked(text: &str) -> Vec<[&str; 3]> {
    text.lines()
        .filter_map(|line| {
            let mut cells = line.strip_prefix("| ")?.split(" | ");
            cells.next()?.parse::<u32>().ok()?;
            let mut quoted = || {
                cells
                    .next()?
                    .trim_end_matches(" |")
                    .strip_prefix('`')?
                    .strip_suffix('`')
            };
            Some([quoted()?, quoted()?, quoted()?])
        })
        .collect()
}

/// Rows of a walk that are no call.
fn no_calls(text: &str, read: &dyn Fn(&str) -> String) -> Vec<String> {
    let words = |text: &str| -> Vec<String> {
        let of_name = |c: char| !(c.is_alphanumeric() || c == '_');
        text.split(of_name).map(str::to_owned).collect()
    };
    let mut faults = Vec::new();
    for [file, function, caller] in walked(text) {
        let defined = read(file);
        if !(defined.contains(&format!("fn {function}(")) || defined.contains(&format!("fn {function}<"))) {
            faults.push(format!("`{file}` has no function `{function}`"));
        }
        let calls = read(caller);
        let production = calls.split("#[cfg(test)]").next().unwrap_or_default();
        let said: Vec<&str> = production
            .lines()
            .filter(|line| !line.trim_start().starts_with("//"))
            .collect();
        if !words(&said.join("\n")).iter().any(|word| word == function) {
            faults.push(format!("`{caller}` does not call `{function}`"));
        }
    }
    faults
}

#[test]
fn each_row_of_a_walk_is_a_call() {
    let text = fs::read_to_string(root().join("docs/architecture.md")).expect("the page");
    let read = |path: &str| fs::read_to_string(root().join(path)).unwrap_or_default();
    assert!(walked(&text).len() > 10, "the walks were not found");
    let faults = no_calls(&text, &read);
    assert!(faults.is_empty(), "docs/architecture.md, walks:\n{}", faults.join("\n"));
    let of = |walk: &str| {
        let from = text.find(&format!("**{walk}**")).expect("the walk");
        let rows = text[from..].lines().skip_while(|line| !line.starts_with("| 1 "));
        rows.take_while(|line| line.starts_with("| ")).count()
    };
    assert_eq!((of("A webhook"), of("A query"), of("A user command")), (6, 2, 4));
}

#[test]
fn planted_rows_of_a_walk_are_found() {
    let read = |path: &str| match path {
        "a.rs" => "fn give() {\n    // take(1)\n    received(1)\n}\n".to_owned(),
        "b.rs" => "pub fn take(n: u8) {}\n".to_owned(),
        _ => String::new(),
    };
    let row = |file: &str, function: &str| format!("| 1 | `{file}` | `{function}` | `a.rs` |\n");
    assert_eq!(no_calls(&row("b.rs", "take"), &read), ["`a.rs` does not call `take`"]);
    assert_eq!(
        no_calls(&row("b.rs", "received"), &read),
        ["`b.rs` has no function `received`"]
    );
    assert_eq!(
        no_calls(&row("gone.rs", "give"), &read),
        ["`gone.rs` has no function `give`"]
    );
}

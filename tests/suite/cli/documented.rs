//! Every command that a page shows is one that the binary knows, with every flag it shows.

use super::{code, err, out, run};
use crate::support::TestStore;
use crate::support::server::Launch;

/// Commands of this program in a Markdown text, as words: in code quotes, and in the lines of shell blocks.
fn commands(text: &str) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    let mut shell = false;
    for line in text.lines() {
        if let Some(language) = line.trim_start().strip_prefix("```") {
            shell = language == "sh";
            continue;
        }
        let said: Vec<&str> = if shell {
            line.split("&&").collect()
        } else {
            line.split('`').skip(1).step_by(2).collect()
        };
        for said in said {
            let said = said.split(" #").next().unwrap_or_default().trim();
            let own = said.strip_prefix("subledger ").or_else(|| {
                said.split_once(" -- ")
                    .filter(|(cargo, _)| cargo.starts_with("cargo run"))
                    .map(|(_, own)| own)
            });
            found.extend(own.map(|own| own.split_whitespace().map(str::to_owned).collect()));
        }
    }
    found
}

/// The command itself, and its flags; what stands between is the reader's own.
fn parts(command: &[String]) -> (Vec<&str>, Vec<&str>) {
    let of_command = |word: &&str| word.chars().all(|c| c.is_ascii_lowercase() || c == '-') && !word.starts_with('-');
    let words = command.iter().map(String::as_str);
    let flags = command.iter().filter(|word| word.starts_with("--"));
    (
        words.take_while(of_command).collect(),
        flags.map(|flag| flag.split('=').next().unwrap_or(flag)).collect(),
    )
}

#[test]
fn every_command_of_the_pages_is_known() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let pages = std::fs::read_dir(root.join("docs"))
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let store = TestStore::sqlite();
    let launch = Launch::new(&store);
    let mut seen = 0;
    for page in pages
        .chain([root.join("README.md")])
        .filter(|page| page.extension().is_some_and(|it| it == "md"))
    {
        for command in commands(&std::fs::read_to_string(&page).unwrap()) {
            let (words, flags) = parts(&command);
            let said = format!("{}: subledger {}", page.display(), command.join(" "));
            let mut help = words;
            help.push("--help");
            let answer = run(&launch, &help);
            assert_eq!(code(&answer), 0, "{said}: {}", err(&answer));
            let help = out(&answer);
            assert!(flags.iter().all(|flag| help.contains(flag)), "{said}\n{help}");
            // A group of commands shows the next word to write; a page must have written it.
            assert!(!help.contains("<COMMAND>"), "{said} needs one more word\n{help}");
            seen += 1;
        }
    }
    assert!(seen > 10, "the commands were not found");
}

#[test]
fn commands_are_found_in_quotes_and_in_shell_blocks() {
    let text = "Run `subledger plans check FILE`, then `cargo test`.\n```sh\nexport A=1\nsubledger migrate && subledger serve # now\ncargo run --release -- demo\n```\n```sql\nsubledger no\n```\n";
    let found: Vec<String> = commands(text).iter().map(|words| words.join(" ")).collect();
    assert_eq!(found, ["plans check FILE", "migrate", "serve", "demo"]);
    let words = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(
        parts(&words("inbox replay SOURCE/EVENT --reason \"...\"")),
        (vec!["inbox", "replay"], vec!["--reason"])
    );
}

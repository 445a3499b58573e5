//! The properties of the fuzz targets (tests/fuzz), in every test run: on the committed corpus, and on seeded changes
//! of it. One seed gives one sequence of inputs; a failure prints the input.

#[path = "../fuzz/properties.rs"]
mod properties;

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::PathBuf;

use aggregates::money::MINOR_MAX;
use serde_json::{Value, json};
use subledger::demo::cast::everybody;
use subledger::demo::story::Era;
use subledger::stripe::envelope::Envelope;
use subledger::stripe::translate::{Outcome, Translator};

use crate::support::dice::{Dice, seed};
use crate::support::figure;

/// Inputs made from a corpus.
const WEBHOOK_BODIES: usize = 40_000;
const SIGNATURE_HEADERS: usize = 200_000;

/// Longest input, so that doubling ranges does not run away.
const INPUT_BYTES_MAX: usize = 64 * 1024;

/// Pieces that parsers stumble over.
const PIECES: &[&[u8]] = &[
    b"null",
    b"-0",
    b"1e999",
    b"0.1",
    b"9223372036854775808",
    b"-9223372036854775809",
    b"1000000000000001",
    b"\"\\u0000\"",
    b"\"\\ud800\"",
    b"[[[[[[[[",
    b"{\"id\":",
    b"},{",
    b"\\",
    b"\"",
    b"\x00",
    b"\xff\xfe",
    b"4242 4242 4242 4242",
    b"true",
    b"[]",
    b"{}",
    b"t=",
    b",v1=",
    b"\x01",
    b"\x02",
    b"\x03",
    b"v0=",
    b" ",
    b"=",
];

fn folder(target: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fuzz/corpus")
        .join(target)
}

/// The committed inputs of a target, in the order of their names.
fn corpus(target: &str) -> Vec<(String, Vec<u8>)> {
    let mut all: Vec<(String, Vec<u8>)> = std::fs::read_dir(folder(target))
        .expect("a corpus")
        .map(|entry| entry.expect("an entry"))
        .map(|entry| {
            (
                entry.file_name().to_string_lossy().into_owned(),
                std::fs::read(entry.path()).expect("a file"),
            )
        })
        .collect();
    all.sort();
    assert!(all.len() >= 10, "{target} has {} inputs", all.len());
    all
}

/// One input changed in one to four places.
fn changed(corpus: &[(String, Vec<u8>)], dice: &mut Dice) -> Vec<u8> {
    let mut input = corpus[dice.index(corpus.len())].1.clone();
    for _ in 0..=dice.below(4) {
        let at = dice.index(input.len() + 1);
        let to = (at + dice.index(40)).min(input.len());
        match dice.below(7) {
            0 if at < input.len() => input[at] ^= 1 << dice.below(8),
            1 => drop(input.drain(at..to)),
            2 => {
                let copied = input[at..to].to_vec();
                input.splice(at..at, copied);
            }
            3 => drop(input.splice(at..at, PIECES[dice.index(PIECES.len())].iter().copied())),
            4 => drop(input.splice(at..to, PIECES[dice.index(PIECES.len())].iter().copied())),
            5 => input.truncate(at),
            _ => {
                let other = &corpus[dice.index(corpus.len())].1;
                let from = dice.index(other.len() + 1);
                input.splice(at..to, other[from..].iter().copied().take(400));
            }
        }
        input.truncate(INPUT_BYTES_MAX);
    }
    input
}

/// Values that stand where others are expected.
fn strangers() -> Vec<Value> {
    let deep = (0..200).fold(json!(1), |inner, _| json!([inner]));
    vec![
        Value::Null,
        json!(true),
        json!(""),
        json!("x"),
        json!("a\u{0}b"),
        json!("9999999999999999999999"),
        json!("2026-01-01T00:00:00Z"),
        json!("4242 4242 4242 4242"),
        json!(-1),
        json!(0),
        json!(MINOR_MAX),
        json!(MINOR_MAX + 1),
        json!(-MINOR_MAX - 1),
        json!(i64::MAX),
        json!(i64::MIN),
        json!(u64::MAX),
        json!(0.5),
        json!(1e300),
        json!([]),
        json!({}),
        json!([null]),
        deep,
    ]
}

/// The places of all values below one, as JSON pointers.
fn places(value: &Value, here: &str, all: &mut Vec<String>) {
    let escaped = |key: &str| key.replace('~', "~0").replace('/', "~1");
    let below: Vec<(String, &Value)> = match value {
        Value::Object(map) => map.iter().map(|(key, value)| (escaped(key), value)).collect(),
        Value::Array(rows) => rows
            .iter()
            .enumerate()
            .map(|(at, value)| (at.to_string(), value))
            .collect(),
        _ => return,
    };
    for (key, value) in below {
        let place = format!("{here}/{key}");
        places(value, &place, all);
        all.push(place);
    }
}

/// One body of the corpus with one to three values replaced, by a stranger or by another value of it.
fn rewritten(bodies: &[Value], strangers: &[Value], dice: &mut Dice) -> Vec<u8> {
    let mut body = bodies[dice.index(bodies.len())].clone();
    for _ in 0..=dice.below(3) {
        let mut all = Vec::new();
        places(&body, "", &mut all);
        if all.is_empty() {
            break;
        }
        let with = if dice.below(4) == 0 {
            body.pointer(&all[dice.index(all.len())]).cloned().expect("a value")
        } else {
            strangers[dice.index(strangers.len())].clone()
        };
        *body.pointer_mut(&all[dice.index(all.len())]).expect("a value") = with;
    }
    let mut bytes = serde_json::to_vec(&body).expect("JSON");
    bytes.truncate(INPUT_BYTES_MAX);
    bytes
}

/// Runs a property on one input and shows the input when it does not hold.
fn hold(target: &str, name: &str, property: fn(&[u8]), input: &[u8]) {
    if let Err(panic) = catch_unwind(AssertUnwindSafe(|| property(input))) {
        let text = String::from_utf8_lossy(input);
        eprintln!(
            "{target} does not hold for {name}, {} bytes: {}\n{text}",
            input.len(),
            hex::encode(input)
        );
        resume_unwind(panic);
    }
}

fn hold_for_all(target: &str, property: fn(&[u8]), count: usize) {
    let corpus = corpus(target);
    for (name, input) in &corpus {
        hold(target, name, property, input);
    }
    let parsed = corpus
        .iter()
        .filter_map(|(_, input)| serde_json::from_slice(input).ok());
    let bodies: Vec<Value> = parsed.collect();
    let strangers = strangers();
    let seed = seed(20_261_124);
    let mut dice = Dice(seed);
    for number in 0..count {
        let input = if bodies.is_empty() || dice.coin() {
            changed(&corpus, &mut dice)
        } else {
            rewritten(&bodies, &strangers, &mut dice)
        };
        hold(
            target,
            &format!("change {number} of seed {seed} (SUBLEDGER_SEED)"),
            property,
            &input,
        );
    }
    figure(&format!(
        "fuzz property {target}: {} inputs of the corpus, {count} changes of them",
        corpus.len()
    ));
}

#[test]
fn a_signature_header_is_judged_as_a_plain_reading_of_the_rules_judges_it() {
    hold_for_all("signature_header", properties::signature_header, SIGNATURE_HEADERS);
}

#[test]
fn a_webhook_body_is_one_translation_recorded_once() {
    hold_for_all("webhook_body", properties::webhook_body, WEBHOOK_BODIES);
}

/// The corpus must reach what it is there to reach: bodies of every kind of event the stories tell, that say something.
#[test]
fn the_corpus_reaches_every_event_of_the_stories() {
    if std::env::var_os("SUBLEDGER_BLESS").is_some() {
        write_stories();
    }
    let mut told = BTreeSet::new();
    for (_, body) in corpus("webhook_body") {
        let envelope = Envelope::scan(&body);
        if let Outcome::Facts(_) = Translator::new(&[]).translate(&envelope, &body).outcome {
            told.insert(envelope.event_type);
        }
    }
    let kinds: BTreeSet<String> = everybody(1_790_000_000)
        .iter()
        .flat_map(|part| part.story.events())
        .map(|event| event.kind.to_owned())
        .collect();
    let missing: Vec<&String> = kinds.difference(&told).collect();
    assert_eq!(
        missing,
        Vec::<&String>::new(),
        "run with SUBLEDGER_BLESS=1 and commit the files"
    );
}

/// One event of every kind, the eras taking turns.
fn write_stories() {
    let mut seen = BTreeSet::new();
    for part in everybody(1_790_000_000) {
        for event in part.story.events() {
            if seen.insert(event.kind) {
                let era = Era::ALL[seen.len() % Era::ALL.len()];
                let file = folder("webhook_body").join(format!("{}.json", event.kind));
                std::fs::write(file, event.to_delivery(era).body).expect("a file");
            }
        }
    }
}

//! Our signatures against the official Python and Node SDKs.
//!
//! Each question is asked of an SDK and of us. Where we differ on purpose the case says so: upper-case
//! digits and bodies that are not UTF-8 are accepted by us alone, because the scheme covers them and
//! refusing would lose a delivery.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use aggregates::time::Timestamp;
use serde_json::{Value, json};
use subledger::stripe::signature::{NamedSecret, Tolerance, Verifier, sign};

const SECRET: &str = "whsec_oracle_0123456789abcdef";
const NOW: i64 = 1_790_000_000;

#[derive(Clone, Copy, Debug)]
enum Sdk {
    Python,
    Node,
}

/// The SDK's answers in order, or none with a printed reason when it is not installed.
fn ask(sdk: Sdk, questions: &[Value]) -> Option<Vec<String>> {
    let tools = super::tools_dir();
    let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/suite/oracles");
    let modules = tools.join("node/node_modules/stripe/package.json");
    // An interpreter without the SDK, or the SDK without its interpreter, is what an installation that broke off leaves.
    let works = |program: &Path, argument: &str, code: &str| {
        let answer = Command::new(program).args([argument, code]).output();
        answer.is_ok_and(|answer| answer.status.success())
    };
    let (program, script, present) = match sdk {
        Sdk::Python => {
            let python = tools.join("venv/bin/python");
            let present = works(&python, "-c", "import stripe");
            (python, "signature_oracle.py", present)
        }
        Sdk::Node => {
            let node = PathBuf::from("node");
            let present = modules.exists() && works(&node, "-e", "0");
            (node, "signature_oracle.js", present)
        }
    };
    if !present {
        crate::support::skipped(&format!(
            "the {sdk:?} SDK is not installed under {}; run tests/run",
            tools.display()
        ));
        return None;
    }
    let mut child = Command::new(program)
        .arg(scripts.join(script))
        .arg(&modules)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the SDK's interpreter starts");
    let input = serde_json::to_vec(questions).unwrap();
    child.stdin.take().unwrap().write_all(&input).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{sdk:?} failed");
    let answers: Vec<String> = serde_json::from_slice(&output.stdout).expect("one list of answers");
    assert_eq!(answers.len(), questions.len());
    Some(answers)
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_seconds(seconds).unwrap()
}

fn we_accept(header: &str, body: &[u8]) -> bool {
    let secret = NamedSecret::parse("main", SECRET).unwrap();
    Verifier::new(vec![secret], Tolerance::default())
        .verify(Some(header.as_bytes()), body, at(NOW))
        .is_ok()
}

/// Bodies whose bytes tempt a verifier to decode and write them again.
fn bodies() -> Vec<(&'static str, Vec<u8>)> {
    vec![
        ("plain", br#"{"id":"evt_1","object":"event"}"#.to_vec()),
        ("carriage returns", b"{\r\n  \"id\": \"evt_1\"\r\n}\r\n".to_vec()),
        ("a trailing newline", b"{\"id\":\"evt_1\"}\n".to_vec()),
        ("beyond ASCII", "{\"name\":\"Zoë 漢字 🦀 \u{0}\"}".as_bytes().to_vec()),
        (
            "escaped slashes",
            br#"{"url":"https:\/\/example.com\/\u00e9"}"#.to_vec(),
        ),
        ("not JSON", b"t=1,v1=2 . {".to_vec()),
        (
            "numbers as written",
            br#"{"a":1.0,"b":1e5,"c":10000000000000000001}"#.to_vec(),
        ),
        ("large", vec![b'x'; 300_000]),
    ]
}

#[test]
fn headers_made_by_the_sdks_verify_with_us() {
    for sdk in [Sdk::Python, Sdk::Node] {
        let bodies = bodies();
        let question =
            |(_, body): &(_, Vec<u8>)| json!({"do": "sign", "secret": SECRET, "now": NOW, "body": hex::encode(body)});
        let questions: Vec<Value> = bodies.iter().map(question).collect();
        let Some(headers) = ask(sdk, &questions) else { continue };
        for ((name, body), header) in bodies.iter().zip(headers) {
            assert_eq!(header, sign(SECRET, at(NOW), body), "{sdk:?} signs {name} as we do");
            assert!(we_accept(&header, body), "{sdk:?}: {name}");
        }
    }
}

struct Case {
    name: String,
    header: String,
    body: Vec<u8>,
    ours: bool,
    sdks: bool,
}

fn case(name: impl Into<String>, header: impl Into<String>, body: &[u8], all: bool) -> Case {
    Case {
        name: name.into(),
        header: header.into(),
        body: body.to_vec(),
        ours: all,
        sdks: all,
    }
}

fn accepted_cases() -> Vec<Case> {
    let body = br#"{"id":"evt_1"}"#;
    let good = sign(SECRET, at(NOW), body);
    let (t, v1) = good.split_once(",v1=").unwrap();
    let (other, zero) = ("f".repeat(64), "0".repeat(64));
    let mut cases: Vec<Case> = bodies()
        .into_iter()
        .map(|(name, body)| case(name, sign(SECRET, at(NOW), &body), &body, true))
        .collect();
    cases.extend([
        case(
            "two v1, the good one first",
            format!("{t},v1={v1},v1={other}"),
            body,
            true,
        ),
        case(
            "two v1, the good one last",
            format!("{t},v1={other},v1={v1}"),
            body,
            true,
        ),
        case("in the middle", format!("{t},v1={other},v1={v1},v1={zero}"), body, true),
        case("with a v0", format!("{t},v1={v1},v0={zero}"), body, true),
        case("with an unknown scheme", format!("{t},v9=x,v1={v1}"), body, true),
        case("t at the tolerance", sign(SECRET, at(NOW - 300), body), body, true),
        case("t one second inside", sign(SECRET, at(NOW - 299), body), body, true),
        case("t in the future", sign(SECRET, at(NOW + 4000), body), body, true),
    ]);
    let upper = format!("{t},v1={}", v1.to_uppercase());
    cases.push(Case {
        ours: true,
        ..case("upper-case digits", upper, body, false)
    });
    let binary = [b"{\"id\":\"".as_slice(), &[0xff, 0xfe, 0x80], b"\"}"].concat();
    cases.push(Case {
        ours: true,
        ..case(
            "a body that is not UTF-8",
            sign(SECRET, at(NOW), &binary),
            &binary,
            false,
        )
    });
    cases.push(case("an empty body", sign(SECRET, at(NOW), b""), b"", true));
    cases
}

fn refused_cases() -> Vec<Case> {
    let body = br#"{"id":"evt_1"}"#;
    let good = sign(SECRET, at(NOW), body);
    let (t, v1) = good.split_once(",v1=").unwrap();
    let mut cases = vec![
        case("t one second too old", sign(SECRET, at(NOW - 301), body), body, false),
        case("another secret", sign("whsec_other", at(NOW), body), body, false),
        case(
            "the secret without its prefix",
            sign(&SECRET[6..], at(NOW), body),
            body,
            false,
        ),
        case("63 digits", format!("{t},v1={}", &v1[1..]), body, false),
        case("65 digits", format!("{good}0"), body, false),
        case("only v0", format!("{t},v0={v1}"), body, false),
        case("no t", format!("v1={v1}"), body, false),
        case("no v1", t, body, false),
        case("an empty v1", format!("{t},v1="), body, false),
        case("no header", "", body, false),
        case("a space added to the body", good.clone(), br#"{"id": "evt_1"}"#, false),
        case(
            "a newline added to the body",
            good.clone(),
            b"{\"id\":\"evt_1\"}\n",
            false,
        ),
    ];
    for bit in 0..body.len() * 8 {
        let mut changed = body.to_vec();
        changed[bit / 8] ^= 1 << (bit % 8);
        cases.push(case(format!("bit {bit} of the body"), good.clone(), &changed, false));
    }
    for place in (2..t.len()).chain(t.len() + 4..good.len()) {
        let mut changed = good.clone().into_bytes();
        changed[place] ^= 1;
        let changed = String::from_utf8(changed).unwrap();
        cases.push(case(format!("byte {place} of the header"), changed, body, false));
    }
    cases
}

#[test]
fn the_sdks_and_we_give_the_same_answers() {
    let cases: Vec<Case> = accepted_cases().into_iter().chain(refused_cases()).collect();
    for case in &cases {
        assert_eq!(we_accept(&case.header, &case.body), case.ours, "{}", case.name);
    }
    let questions: Vec<Value> = cases
        .iter()
        .map(|case| {
            json!({"do": "verify", "secret": SECRET, "now": NOW, "header": case.header, "body": hex::encode(&case.body)})
        })
        .collect();
    for sdk in [Sdk::Python, Sdk::Node] {
        let Some(answers) = ask(sdk, &questions) else { continue };
        for (case, answer) in cases.iter().zip(answers) {
            assert_eq!(answer == "accepted", case.sdks, "{sdk:?}: {}: {answer}", case.name);
        }
    }
}

//! Hostile input at every operation: each part of a request that a caller writes, filled with what nobody should send.
//! Every answer is a problem that names itself and says something, none is a failure of ours, and nothing changes.

use std::collections::BTreeMap;

use serde_json::Value;

use super::harness::{Answer, App};
use super::walk::filled;
use crate::support::figure;
use crate::support::ledger::{Tables, database_file};

/// Path segments that name nothing: text that other systems would run, cut, decode twice or walk along.
const SEGMENTS: &[&str] = &[
    "%00",
    "a%00b",
    "%0d%0aX-Injected:%201",
    "..%2f..%2f..%2fetc%2fpasswd",
    "%2e%2e",
    "%252e%252e",
    "a%20b",
    "'%20or%201=1--",
    "%22%3bdrop%20table%20events%3b--",
    "%25",
    "%ff%fe",
    "%c0%ae",
    "%f0%9f%92%a9",
    "%e2%80%ae",
    "%3Cscript%3Ealert(1)%3C%2fscript%3E",
    "%7b%7b7*7%7d%7d",
    "$%7bjndi:ldap:%2f%2fx%7d",
    "*",
    "me",
    "cus_",
    "cus_%0a",
    "acme%23usage",
];

/// Values of query parameters and headers that no number, time, word or cursor looks like.
const VALUES: &[&str] = &[
    "%00",
    "%0a",
    "%ff",
    "'",
    "%22",
    "-1",
    "0x10",
    "1e999",
    "99999999999999999999999999",
    "NaN",
    "true%00",
    "%7b%7d",
    "%5b%5d",
    "..%2f",
    "%3Cb%3E",
    "2026-02-30T00:00:00Z",
    "9999-99-99",
];

/// Bodies that are no request, whatever the operation.
fn bodies() -> Vec<(&'static str, Vec<u8>)> {
    let text = |text: &str| text.as_bytes().to_vec();
    vec![
        ("empty", Vec::new()),
        ("spaces", text("  \n ")),
        ("null", text("null")),
        ("a number", text("1")),
        ("a word", text("\"x\"")),
        ("a list", text("[]")),
        ("a list of lists", text(&("[".repeat(30_000) + &"]".repeat(30_000)))),
        (
            "deep objects",
            text(&("{\"a\":".repeat(10_000) + "1" + &"}".repeat(10_000))),
        ),
        ("cut off", text("{\"reason\":\"x")),
        ("two values", text("{} {}")),
        ("a mark before it", text("\u{feff}{}")),
        ("no UTF-8", b"{\"reason\":\"\xff\xfe\"}".to_vec()),
        ("a raw control character", b"{\"reason\":\"a\x00b\"}".to_vec()),
        ("an escaped NUL", text("{\"reason\":\"a\\u0000b\",\"part\":0}")),
        ("half a pair", text("{\"reason\":\"\\ud800\"}")),
        ("a field of nothing", text("{\"no_such_field\":1}")),
        (
            "a field twice",
            text("{\"reason\":\"x\",\"reason\":\"y\",\"reason\":\"z\",\"name\":1}"),
        ),
        ("a number beyond all", text("{\"reason\":1e999}")),
        ("comments", text("{/* x */}")),
        ("single quotes", text("{'reason':'x'}")),
        ("a form", text("reason=x&name=y")),
        (
            "XML",
            text("<?xml version=\"1.0\"?><!DOCTYPE x [<!ENTITY a SYSTEM \"file:///etc/passwd\">]><x>&a;</x>"),
        ),
        ("too large", text(&format!("{{\"reason\":\"{}\"}}", "x".repeat(70_000)))),
    ]
}

/// Headers that carry something else than they should.
const HEADERS: &[(&str, &[u8])] = &[
    ("idempotency-key", b""),
    ("idempotency-key", b"a b"),
    ("idempotency-key", b"\xff\xfe"),
    ("if-match", b"nonsense"),
    ("if-match", b"\"\xff\""),
    ("if-none-match", b"nonsense"),
    ("ledger-min-position", b"x"),
    ("ledger-min-position", b"-1.-1"),
    ("ledger-min-position", b"0.99999999999999999999999"),
    ("ledger-min-position", b"4294967296.1"),
    ("ledger-min-position", b"\xff"),
    ("authorization", b"Bearer"),
    ("authorization", b"Bearer \xff\xfe"),
    ("authorization", b"Basic YTpi"),
    ("content-type", b"text/plain"),
    ("content-type", b"multipart/form-data; boundary=x"),
    ("content-type", b"\xff"),
    ("content-encoding", b"gzip"),
    ("content-length", b"-5"),
    ("content-length", b"99999999999999999999"),
    ("x-forwarded-for", b"' or 1=1--, \xff"),
    ("x-request-id", b"a\tb\"<>"),
    ("stripe-signature", b"t=\xff,v1=\x80"),
];

/// One operation of the published document.
struct Operation {
    method: String,
    path: String,
    parameters: Vec<Value>,
    body: Option<Value>,
}

fn operations(document: &Value) -> Vec<Operation> {
    let mut all = Vec::new();
    for (path, item) in document["paths"].as_object().expect("paths") {
        for (method, operation) in item.as_object().expect("operations") {
            let schema = &operation["requestBody"]["content"]["application/json"]["schema"];
            all.push(Operation {
                method: method.to_uppercase(),
                path: path.clone(),
                parameters: operation["parameters"].as_array().cloned().unwrap_or_default(),
                body: (!operation["requestBody"].is_null()).then(|| resolved(document, schema).clone()),
            });
        }
    }
    all
}

/// A schema, where it is, if it is only referred to.
fn resolved<'a>(document: &'a Value, schema: &'a Value) -> &'a Value {
    match schema["$ref"].as_str() {
        Some(place) => document.pointer(place.trim_start_matches('#')).expect("a schema"),
        None => schema,
    }
}

/// Calls, judges, counts.
struct Attack<'a> {
    app: &'a App,
    bearer: String,
    requests: usize,
}

impl Attack<'_> {
    async fn call(&mut self, operation: &Operation, url: &str, headers: &[(&str, &[u8])], body: &[u8]) -> Answer {
        let mut all: Vec<(&str, &[u8])> = headers.to_vec();
        for (name, value) in [
            ("authorization", self.bearer.as_bytes()),
            ("content-type", b"application/json"),
        ] {
            if !headers.iter().any(|(given, _)| *given == name) {
                all.push((name, value));
            }
        }
        self.requests += 1;
        let answer = self.app.call_with(&operation.method, url, &all, body).await;
        let shown = String::from_utf8_lossy(&body[..body.len().min(80)]).into_owned();
        let what = format!(
            "{} {url} {headers:?} {shown}: {}: {}",
            operation.method,
            answer.status,
            answer.text()
        );
        assert!(answer.status < 500 || is_not_configured(&answer), "{what}");
        if answer.status >= 400 && operation.method != "HEAD" {
            answer.problem();
            let detail = answer.json()["detail"].as_str().map(str::len).unwrap_or_default();
            assert!(detail >= 10, "it says nothing: {what}");
            assert!(!answer.text().contains('\u{0}'), "{what}");
        }
        assert!(answer.header("x-injected").is_none(), "{what}");
        answer
    }

    /// A request that must be refused.
    async fn refused(&mut self, operation: &Operation, url: &str, headers: &[(&str, &[u8])], body: &[u8], why: &str) {
        let answer = self.call(operation, url, headers, body).await;
        let what = format!(
            "{} {url} with {why}: {}: {}",
            operation.method,
            answer.status,
            answer.text()
        );
        assert!((400..500).contains(&answer.status), "{what}");
    }

    async fn paths(&mut self, operation: &Operation) {
        let names: Vec<&str> = operation.path.split('/').filter(|part| part.starts_with('{')).collect();
        for name in names {
            for hostile in SEGMENTS {
                let url = filled(&operation.path.replace(name, hostile));
                // Some of these are a tenant's own way to say `me`, or ids that nothing has; none is a failure.
                let body: &[u8] = if operation.body.is_some() {
                    b"{\"no_such_field\":1}"
                } else {
                    b""
                };
                self.call(operation, &url, &[], body).await;
            }
        }
    }

    async fn queries(&mut self, operation: &Operation) {
        let url = filled(&operation.path);
        let body: &[u8] = if operation.body.is_some() {
            b"{\"no_such_field\":1}"
        } else {
            b""
        };
        let strict = !operation.path.starts_with("/webhooks/");
        for query in ["no_such_parameter=1", "%00=1", "limit=1&limit=2", "=", "&&&", "%ff=%ff"] {
            let answer = self.call(operation, &format!("{url}?{query}"), &[], body).await;
            let named = query.contains("no_such") && strict;
            assert!(!named || answer.status >= 400, "{url}?{query}: {}", answer.status);
        }
        let many: String = (0..60).map(|n| format!("a{n}=1&")).collect();
        self.call(operation, &format!("{url}?{many}"), &[], body).await;
        for parameter in operation
            .parameters
            .iter()
            .filter(|parameter| parameter["in"] == "query")
        {
            let name = parameter["name"].as_str().expect("a name");
            for hostile in VALUES {
                let url = format!("{url}?{name}={hostile}");
                if is_narrow(&parameter["schema"]) {
                    self.refused(operation, &url, &[], body, "a value its schema does not allow")
                        .await;
                } else {
                    self.call(operation, &url, &[], body).await;
                }
            }
        }
    }

    async fn headers(&mut self, operation: &Operation) {
        let url = filled(&operation.path);
        let body: &[u8] = if operation.body.is_some() {
            b"{\"no_such_field\":1}"
        } else {
            b""
        };
        for (name, value) in HEADERS {
            self.call(operation, &url, &[(name, value)], body).await;
        }
        let long = "k".repeat(256);
        self.call(operation, &url, &[("idempotency-key", long.as_bytes())], body)
            .await;
        let twice: [(&str, &[u8]); 2] = [("idempotency-key", b"a"), ("idempotency-key", b"b")];
        self.call(operation, &url, &twice, body).await;
    }

    async fn bodies(&mut self, operation: &Operation, document: &Value) {
        let (Some(schema), false) = (&operation.body, operation.path.starts_with("/webhooks/")) else {
            return;
        };
        let url = filled(&operation.path);
        for (why, body) in bodies() {
            self.refused(operation, &url, &[], &body, why).await;
        }
        for (name, field) in schema["properties"].as_object().into_iter().flatten() {
            let kind = resolved(document, field)["type"].to_string();
            let wrong = if kind.contains("object") || kind.contains("array") {
                "\"x\"".to_owned()
            } else {
                "{\"x\":[1]}".to_owned()
            };
            let body = format!("{{\"{name}\":{wrong}}}");
            self.refused(operation, &url, &[], body.as_bytes(), "a field of another type")
                .await;
        }
    }
}

/// A delivery to a service that has no secret for it is answered 503 on purpose.
fn is_not_configured(answer: &Answer) -> bool {
    answer.status == 503 && answer.json()["code"] == "not-configured"
}

/// Does a schema allow no text but numbers, times, or words of a list?
fn is_narrow(schema: &Value) -> bool {
    let kind = schema["type"].to_string();
    let is_text = kind.contains("string");
    (!is_text && (kind.contains("integer") || kind.contains("boolean")))
        || schema["enum"].is_array()
        || schema["format"] == "date-time"
}

/// Everything the ledger holds.
async fn everything(app: &App) -> BTreeMap<String, Vec<Vec<Option<String>>>> {
    let mut tables = match app.store.url() {
        Some(url) => Tables::open(Some(url), app.store.data_dir()).await,
        None => {
            assert!(database_file(app.store.data_dir()).exists());
            Tables::open(None, app.store.data_dir()).await
        }
    };
    let mut all = BTreeMap::new();
    for name in tables.names().await {
        let content = tables.content(&name, &[]).await;
        all.insert(name, content);
    }
    all
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hostile_input_is_refused_in_words_and_changes_nothing() {
    for app in App::all().await {
        let document = app.get("/openapi.json").await.json();
        let before = everything(&app).await;
        let mut attack = Attack {
            bearer: format!("Bearer {}", app.admin.reveal()),
            app: &app,
            requests: 0,
        };
        for operation in operations(&document) {
            attack.paths(&operation).await;
            attack.queries(&operation).await;
            attack.headers(&operation).await;
            attack.bodies(&operation, &document).await;
        }
        let requests = attack.requests;
        let after = everything(&app).await;
        for (table, rows) in &before {
            assert_eq!(rows, &after[table], "{table} changed");
        }
        figure(&format!(
            "hostile input on {:?}: {requests} requests, none failed, nothing changed",
            app.store.kind
        ));
    }
}

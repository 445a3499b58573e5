//! `subledger sandbox` as a person starts it: it answers, delivers signed events, keeps its file, and refuses nonsense.

use std::io::{BufRead, BufReader, Lines};
use std::process::{Child, ChildStdout, Command, Stdio};

use serde_json::Value;

use crate::support::TestStore;
use crate::support::http::{Connection, request};
use crate::support::server::Launch;

struct Started {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Drop for Started {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Started {
    fn new(arguments: &[&str]) -> Self {
        let port = crate::support::ports::free_port();
        let mut child = Command::new(env!("CARGO_BIN_EXE_subledger"))
            .args(["sandbox", "--quiet", "--listen", &format!("127.0.0.1:{port}")])
            .args(arguments)
            .stdout(Stdio::piped())
            .spawn()
            .expect("the subledger binary");
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { child, lines }
    }

    fn line(&mut self) -> String {
        self.lines.next().expect("a line").expect("text")
    }

    /// Ends it as Ctrl-C does, and waits.
    fn interrupt(mut self) {
        let status = Command::new("kill")
            .args(["-INT", &self.child.id().to_string()])
            .status();
        assert!(status.expect("kill").success());
        assert!(self.child.wait().expect("an end").success());
    }
}

async fn call(url: &str, method: &str, path: &str, form: &str) -> Value {
    let headers = [
        ("Authorization", "Bearer sk_test_12345678901234567890"),
        ("Content-Type", "application/x-www-form-urlencoded"),
    ];
    let address = url.strip_prefix("http://").expect("a url");
    let mut connection = Connection::open(address).await.expect("a connection");
    let sent = connection.send(&request(method, path, &headers, form.as_bytes())).await;
    let answer = sent.expect("an answer");
    assert_eq!(answer.status, 200, "{path}: {}", String::from_utf8_lossy(&answer.body));
    answer.json()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_delivers_to_the_ledger_and_goes_on_from_its_file() {
    let store = TestStore::sqlite();
    let server = Launch::new(&store).start().await;
    let file = store.data_dir().join("sandbox.json");
    let file = file.to_str().unwrap();
    let webhook = format!("http://{}/webhooks/stripe", server.address);
    let secret = crate::support::stripe::SECRET;
    let with = ["--data", file, "--webhook", &webhook, "--webhook-secret", secret];
    let mut first = Started::new(&with);
    let url = first.line();
    assert_eq!(first.line(), format!("STRIPE_WEBHOOK_SECRET={secret}"));
    let customer = call(&url, "POST", "/v1/customers", "email=a@example.com").await;
    let mut attempts = Vec::new();
    for _ in 0..300 {
        let journal = call(&url, "GET", "/_sandbox/journal", "").await;
        attempts = journal["attempts"].as_array().unwrap().clone();
        if !attempts.is_empty() {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    assert_eq!(attempts[0]["status"], 200, "the ledger did not take it: {attempts:?}");
    first.interrupt();
    let mut second = Started::new(&with);
    let url = second.line();
    let path = format!("/v1/customers/{}", customer["id"].as_str().unwrap());
    assert_eq!(call(&url, "GET", &path, "").await, customer);
    let endpoints = call(&url, "GET", "/v1/webhook_endpoints", "").await;
    assert_eq!(
        endpoints["data"].as_array().unwrap().len(),
        1,
        "the endpoint of the file is used again"
    );
    second.interrupt();
}

#[test]
fn a_scenario_sets_faults_and_nonsense_is_refused() {
    let store = TestStore::sqlite();
    let launch = Launch::new(&store);
    let write = |name: &str, text: &str| {
        let path = store.data_dir().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let bad = write("bad.toml", "[[fault]]\nkind = \"slow\"\nseconds = 5\n");
    let refused = super::run(&launch, &["sandbox", "--scenario", &bad, "--listen", "127.0.0.1:1"]);
    assert_eq!(super::code(&refused), 2, "{}", super::err(&refused));
    assert!(super::err(&refused).contains("bad.toml"), "{}", super::err(&refused));
    let version = [
        "sandbox",
        "--webhook",
        "http://127.0.0.1:1/",
        "--webhook-version",
        "latest",
    ];
    assert_eq!(super::code(&super::run(&launch, &version)), 2);

    let good = write(
        "good.toml",
        "[[fault]]\nkind = \"http_429\"\nprobability = 0.25\npath = \"/v1/*\"\ncount = 3\n",
    );
    let mut started = Started::new(&["--scenario", &good, "--clock-at", "1769853600", "--output", "json"]);
    let mut text = String::new();
    while !text.ends_with("}\n") {
        text.push_str(&started.line());
        text.push('\n');
    }
    let greeting: Value = serde_json::from_str(&text).unwrap();
    let url = greeting["url"].as_str().unwrap().to_owned();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let faults = runtime.block_on(call(&url, "GET", "/_sandbox/faults", ""));
    assert_eq!(faults["faults"][0]["probability_millionths"], 250_000);
    let clock = runtime.block_on(call(&url, "GET", "/_sandbox/clock", ""));
    assert_eq!(clock["now"], 1_769_853_600);
    started.interrupt();
}

//! Independent judges of the sandbox: Stripe's own command line tool and its Python and Node SDKs, run as programs
//! against a sandbox on a socket. They know nothing of this repository; where they disagree with the sandbox, it is wrong.

mod cli;
mod recipes;
mod sdks;

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use sandbox::{Running, Sandbox, Settings, State};
use serde_json::{Value, json};

use crate::support::settings;
use crate::wire::{Endpoint, Received, ask};

/// Of all endpoints here.
const SECRET: &str = "whsec_oracle_0123456789";
/// Longest run of one program; all of them take seconds.
const PROGRAM_TIME_MAX: Duration = Duration::from_secs(120);
/// Longest wait for a delivery that is on its way.
const DELIVERY_TIME_MAX: Duration = Duration::from_secs(20);

/// Where `tests/run` installs what the oracles need.
fn tools_dir() -> PathBuf {
    if let Some(dir) = std::env::var_os("SUBLEDGER_TOOLS_DIR") {
        return dir.into();
    }
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../target"),
        PathBuf::from,
    );
    target.join("tools")
}

/// Says that something could not be tested here, and leaves a line for the sum of `tests/run`.
#[expect(clippy::print_stderr, reason = "who runs the tests must see what was not tested")]
fn skipped(what: &str) {
    eprintln!("SKIPPED: {what}");
    if let Ok(path) = std::env::var("SUBLEDGER_SKIPPED_FILE") {
        let mut file = OpenOptions::new().append(true).create(true).open(path).unwrap();
        writeln!(file, "{what}").unwrap();
    }
}

/// What a program said and how it ended.
struct Ran {
    succeeded: bool,
    output: String,
}

/// Runs a program to its end, off the threads that serve the sandbox; one that hangs is ended.
async fn run(mut command: Command, input: Vec<u8>) -> Ran {
    let running = tokio::task::spawn_blocking(move || {
        let file = |bytes: &[u8]| -> File {
            let mut file = tempfile::tempfile().unwrap();
            file.write_all(bytes).unwrap();
            file.seek(SeekFrom::Start(0)).unwrap();
            file
        };
        // Files, not pipes: neither side ever waits for the other.
        let mut output = file(b"");
        command.stdin(Stdio::from(file(&input)));
        command.stdout(Stdio::from(output.try_clone().unwrap()));
        command.stderr(Stdio::from(output.try_clone().unwrap()));
        let mut child = command.spawn().unwrap();
        let begin = Instant::now();
        let succeeded = loop {
            if let Some(status) = child.try_wait().unwrap() {
                break status.success();
            }
            if begin.elapsed() > PROGRAM_TIME_MAX {
                child.kill().unwrap();
                child.wait().unwrap();
                break false;
            }
            std::thread::sleep(Duration::from_millis(5));
        };
        let mut said = String::new();
        output.seek(SeekFrom::Start(0)).unwrap();
        output.read_to_string(&mut said).unwrap();
        Ran {
            succeeded,
            output: said,
        }
    });
    running.await.unwrap()
}

/// A sandbox on a socket with an endpoint that gets everything.
struct World {
    running: Running,
    endpoint: Endpoint,
    base: String,
}

impl World {
    async fn start(seed: u64, machine_signatures: bool) -> Self {
        let settings = Settings {
            machine_signatures,
            ..settings(seed)
        };
        let sandbox = Sandbox::new(State::new(settings));
        let running = sandbox.serve("127.0.0.1:0".parse().unwrap()).await.unwrap();
        let world = Self {
            endpoint: Endpoint::listen(&[]).await,
            base: format!("http://{}", running.address()),
            running,
        };
        let endpoint = json!({"url": world.endpoint.url, "secret": SECRET});
        world.switch("/_sandbox/endpoints", &endpoint).await;
        world
    }

    async fn switch(&self, path: &str, body: &Value) -> Value {
        let answer = ask(self.running.address(), "POST", path, &body.to_string(), &[]).await;
        assert_eq!(answer.status, Some(200), "{path}: {}", answer.body);
        answer.value()
    }

    /// The journal; due work that failed fails the test.
    async fn journal(&self) -> Value {
        let answer = ask(self.running.address(), "GET", "/_sandbox/journal", "", &[]).await;
        let journal = answer.value();
        assert_eq!(journal["failures"], json!([]), "due work failed");
        journal
    }

    /// The delivery of an event, once it has arrived.
    async fn delivery(&self, event: &str) -> Option<Received> {
        let begin = Instant::now();
        while begin.elapsed() < DELIVERY_TIME_MAX {
            let received = self.endpoint.received();
            if let Some(found) = received.into_iter().find(|one| one.value()["id"] == event) {
                return Some(found);
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        None
    }
}

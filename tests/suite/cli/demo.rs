//! The demo as its reader runs it: the printed lines show what they say.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::Value;

use crate::support::TestStore;
use crate::support::http::{Connection, request};

/// The demo's process, ended when dropped.
struct Demo(Child);

impl Drop for Demo {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

async fn get(address: &str, key: &str, path: &str) -> Value {
    let bearer = format!("Bearer {key}");
    let mut connection = Connection::open(address).await.expect("a connection");
    let answer = connection
        .send(&request("GET", path, &[("Authorization", &bearer)], b""))
        .await
        .expect("an answer");
    assert_eq!(answer.status, 200, "{path}: {}", String::from_utf8_lossy(&answer.body));
    answer.json()
}

#[tokio::test]
#[expect(clippy::too_many_lines, reason = "one walk through the demo, told in order")]
async fn every_printed_line_shows_what_it_says() {
    let store = TestStore::sqlite();
    let home = store.data_dir().join("demo");
    let mut child = Command::new(env!("CARGO_BIN_EXE_subledger"))
        .args(["demo", "--data-dir", home.to_str().unwrap(), "--listen"])
        .arg(format!("127.0.0.1:{}", crate::support::ports::free_port()))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()
        .expect("the subledger binary");
    let stdout = child.stdout.take().unwrap();
    let mut demo = Demo(child);
    let lines = tokio::task::spawn_blocking(move || {
        let mut lines = Vec::new();
        for line in BufReader::new(stdout).lines() {
            lines.push(line.unwrap());
            if lines.last().is_some_and(|line| line.starts_with("Ctrl-C")) {
                break;
            }
        }
        lines
    });
    let lines = tokio::time::timeout(Duration::from_secs(120), lines)
        .await
        .expect("the tour in time")
        .unwrap();
    let find = |prefix: &str| {
        lines
            .iter()
            .find_map(|line| line.trim().strip_prefix(prefix))
            .unwrap_or_default()
            .trim()
            .to_owned()
    };
    let (key, base) = (find("export KEY="), find("API "));
    let address = base
        .strip_prefix("http://")
        .unwrap_or_else(|| panic!("{lines:#?}"))
        .to_owned();
    let looks: Vec<&str> = lines
        .iter()
        .filter_map(|l| l.strip_prefix("curl -s -H \"Authorization: Bearer $KEY\" '"))
        .collect();
    assert!(looks.len() >= 9, "{lines:#?}");
    for look in looks {
        let path = look.trim_end_matches('\'').strip_prefix(&base).unwrap();
        get(&address, &key, path).await;
    }
    let aurora = get(&address, &key, "/v1/tenants/aurora/subscription").await;
    assert_eq!(
        (&aurora["status"], &aurora["plan"]["code"]),
        (&"active".into(), &"team".into()),
        "{aurora}"
    );
    let borealis = get(&address, &key, "/v1/tenants/borealis/subscription").await;
    assert_eq!(borealis["plan"]["code"], "enterprise", "{borealis}");
    let cascade = get(&address, &key, "/v1/tenants/cascade/subscription").await;
    assert_eq!(cascade["quantity"], 5, "{cascade}");
    let delta = get(&address, &key, "/v1/tenants/delta/subscription").await;
    assert_eq!(delta["status"], "active", "{delta}");
    let ember = get(&address, &key, "/v1/tenants/ember/subscription").await;
    assert_eq!(
        (&ember["status"], &ember["access"]),
        (&"past_due".into(), &"grace".into()),
        "{ember}"
    );
    let fjord = get(&address, &key, "/v1/tenants/fjord/subscription").await;
    assert_eq!(fjord["status"], "canceled", "{fjord}");
    let unassigned = get(&address, &key, "/v1/unassigned-accounts").await;
    assert_eq!(unassigned["data"].as_array().map(Vec::len), Some(1), "{unassigned}");
    let stopped = Command::new("kill")
        .args(["-INT", &demo.0.id().to_string()])
        .status()
        .unwrap();
    assert!(stopped.success());
    let end = tokio::task::spawn_blocking(move || demo.0.wait())
        .await
        .unwrap()
        .unwrap();
    assert_eq!(end.code(), Some(0));
}

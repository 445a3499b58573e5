//! Stores, files and addresses that are not what they should be: each is refused with its own exit code and words that
//! say what to do, and nothing of it is changed.

use std::path::Path;

use sqlx::{Connection, Executor};

use super::{code, err, out, run};
use crate::support::server::Launch;
use crate::support::{TestStore, ports};

/// A command that ends by itself within a minute, or with exit code 124.
fn bounded(store: &TestStore) -> Launch {
    Launch::new(store).under(vec!["timeout".to_owned(), "60".to_owned()])
}

/// Runs a command and insists on its exit code, on every part of what it says, and on no panic.
fn refused(launch: &Launch, arguments: &[&str], exit: i32, parts: &[&str]) {
    let output = run(launch, arguments);
    let said = out(&output) + &err(&output);
    assert_eq!(code(&output), exit, "{arguments:?}: {said}");
    for part in parts {
        assert!(said.contains(part), "{arguments:?} does not say {part:?}: {said}");
    }
    assert!(!said.contains("panicked"), "{arguments:?}: {said}");
}

fn ledger_file(store: &TestStore) -> std::path::PathBuf {
    store.data_dir().join("ledger.db")
}

/// Every command that opens the ledger, on a file that is none.
fn refused_everywhere(store: &TestStore, parts: &[&str]) {
    let file = ledger_file(store);
    let before = std::fs::read(&file).expect("the file");
    let path = file.display().to_string();
    let all: Vec<&str> = parts.iter().copied().chain([&*path]).collect();
    let launch = bounded(store);
    refused(&launch, &["serve"], 4, &all);
    refused(&launch, &["keys", "list"], 4, &all);
    refused(&launch, &["migrate"], 4, &all);
    refused(&launch, &["doctor"], 6, &all);
    assert!(std::fs::read(&file).expect("the file") == before, "{path} was changed");
}

#[test]
fn a_file_that_is_no_ledger_is_named_and_left_alone() {
    let store = TestStore::sqlite();
    std::fs::write(ledger_file(&store), [0xa5; 20_000]).unwrap();
    refused_everywhere(&store, &["restore if it is damaged", "file is not a database"]);
    refused(
        &bounded(&store),
        &["migrate", "--dry-run"],
        4,
        &["ledger.db", "restore"],
    );
}

#[test]
fn a_ledger_that_was_cut_off_is_named_and_left_alone() {
    let store = TestStore::sqlite();
    assert_eq!(code(&run(&bounded(&store), &["migrate"])), 0);
    let bytes = std::fs::read(ledger_file(&store)).unwrap();
    assert!(
        bytes.len() > 4096 * 12,
        "everything is in one file: {} bytes",
        bytes.len()
    );
    std::fs::write(ledger_file(&store), &bytes[..4096 * 6]).unwrap();
    refused_everywhere(&store, &["restore if it is damaged", "malformed"]);
}

#[test]
fn a_ledger_with_pages_of_something_else_is_named_and_left_alone() {
    let store = TestStore::sqlite();
    assert_eq!(code(&run(&bounded(&store), &["migrate"])), 0);
    let mut bytes = std::fs::read(ledger_file(&store)).unwrap();
    bytes[4096..4096 * 6].fill(0xde);
    std::fs::write(ledger_file(&store), bytes).unwrap();
    refused_everywhere(&store, &["restore if it is damaged", "malformed"]);
}

#[test]
fn a_place_where_no_ledger_can_be_is_told_with_the_setting() {
    let store = TestStore::sqlite();
    std::fs::create_dir(ledger_file(&store)).unwrap();
    refused(
        &bounded(&store),
        &["serve"],
        4,
        &["cannot open", "ledger.db", "may be written"],
    );
    let file = store.data_dir().join("afile");
    std::fs::write(&file, "x").unwrap();
    for place in [file.as_path(), Path::new("/proc/nowhere")] {
        let place = place.to_str().unwrap();
        let launch = bounded(&store).with("SUBLEDGER__STORE__DATA_DIR", place);
        refused(&launch, &["serve"], 1, &[place, "store.data_dir"]);
    }
}

#[test]
fn an_address_that_is_taken_is_told_with_its_setting() {
    let store = TestStore::sqlite();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    for (variable, key) in [
        ("SUBLEDGER__HTTP__LISTEN", "http.listen"),
        ("SUBLEDGER__HTTP__METRICS_LISTEN", "http.metrics_listen"),
    ] {
        let launch = bounded(&store).with(variable, &address);
        refused(&launch, &["serve"], 1, &[&address, key, "stop what listens there"]);
    }
}

/// A process that ended while it made the pepper left an empty file; no key was made with it.
#[test]
fn a_pepper_that_was_never_written_is_made_again_and_a_short_one_refused() {
    let store = TestStore::sqlite();
    let pepper = store.data_dir().join("key_pepper");
    let launch = bounded(&store).with("SUBLEDGER__AUTH__KEY_PEPPER", "");
    std::fs::write(&pepper, "").unwrap();
    assert_eq!(code(&run(&launch, &["keys", "list"])), 0);
    let made = std::fs::read_to_string(&pepper).unwrap();
    assert_eq!(made.len(), 64);
    assert_eq!(code(&run(&launch, &["keys", "list"])), 0);
    assert_eq!(std::fs::read_to_string(&pepper).unwrap(), made, "a pepper is made once");
    std::fs::write(&pepper, "short").unwrap();
    refused(&launch, &["keys", "list"], 3, &["auth.key_pepper", "32"]);
    assert_eq!(std::fs::read_to_string(&pepper).unwrap(), "short");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_postgres_that_is_none_is_told_from_one_that_does_not_know_us() {
    let store = TestStore::sqlite();
    let at = |url: &str| bounded(&store).with("DATABASE_URL", url);
    let nobody = format!("postgres://postgres@127.0.0.1:{}/x", ports::free_port());
    refused(
        &at(&nobody),
        &["serve"],
        4,
        &["cannot be reached", "store.url", "refused"],
    );
    refused(
        &at("postgres://127.0.0.1:port/x"),
        &["serve"],
        3,
        &["store.url", "invalid port"],
    );
    refused(&at("mysql://127.0.0.1/x"), &["serve"], 3, &["store.url", "postgres://"]);
    // Takes connections and says nothing.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("postgres://postgres@{}/x", silent.local_addr().unwrap());
    refused(
        &at(&url),
        &["migrate", "--dry-run"],
        4,
        &["does not answer as Postgres does", "store.url"],
    );
    if let Some(store) = TestStore::postgres().await {
        let url = store.url().unwrap();
        let (server, _) = url.rsplit_once('/').unwrap();
        refused(
            &at(&format!("{server}/nosuchdatabase")),
            &["serve"],
            4,
            &["nosuchdatabase", "store.url"],
        );
        let stranger = url.replacen("postgres@", "nosuchrole@", 1);
        refused(&at(&stranger), &["serve"], 4, &["nosuchrole", "store.url"]);
        // A role that was given nothing.
        assert_eq!(code(&run(&at(url), &["migrate"])), 0);
        let role = format!("nobody_{}", uuid::Uuid::now_v7().simple());
        let mut connection = sqlx::PgConnection::connect(url).await.expect("the ledger");
        connection
            .execute(format!("create role {role} login").as_str())
            .await
            .expect("a role");
        let without = url.replacen("postgres@", &format!("{role}@"), 1);
        refused(
            &at(&without),
            &["serve"],
            5,
            &["permission denied", "subledger migrate --grant"],
        );
        connection
            .execute(format!("drop role {role}").as_str())
            .await
            .expect("gone");
    }
}

/// Names, places and times that a person may type; what is said leads to the right ones.
#[test]
fn what_is_asked_for_wrongly_is_answered_with_how_to_ask() {
    let store = TestStore::sqlite();
    let launch = bounded(&store);
    let long = "x".repeat(5_000);
    let table: &[(&[&str], i32, &str)] = &[
        (&["events", "show", "a.b"], 2, "<part>.<position>"),
        (&["events", "show", "1"], 2, "<part>.<position>"),
        (&["events", "show", "99999999999999999999.1"], 2, "<part>.<position>"),
        (&["events", "show", "0.99"], 1, "subledger events show"),
        (&["events", "show", "--tenant", "a b"], 2, "1 to 128 of the characters"),
        (
            &["events", "show", "--tenant", "acme", "--as-of", "yesterday"],
            2,
            "RFC 3339",
        ),
        (&["events", "show", "--from", "2026-02-30T00:00:00Z"], 2, "RFC 3339"),
        (&["events", "show", "--cursor", &long], 2, "cursor"),
        (&["inbox", "show", "../../x"], 1, "subledger inbox list"),
        (&["inbox", "list", "--state", "bogus"], 2, "quarantined"),
        (
            &["inbox", "replay", "evt_none", "--reason", "x", "--yes"],
            1,
            "subledger inbox list",
        ),
        (
            &["inbox", "discard", "evt_none", "--reason", &long, "--yes"],
            2,
            "1 to 500 characters",
        ),
        (
            &["projections", "rebuild", "nosuch", "--reason", "x", "--yes"],
            1,
            "subledger projections list",
        ),
        (
            &["keys", "create", "--name", "a\nb", "--scopes", "all"],
            2,
            "without control characters",
        ),
        (&["keys", "revoke", "nosuchid", "--yes"], 1, "subledger keys list"),
        (&["migrate", "--partitions", "0"], 3, "from 1 to 4096"),
        (&["serve", "--listen", "300.1.1.1:1"], 2, "invalid socket address"),
    ];
    for (arguments, exit, part) in table {
        refused(&launch, arguments, *exit, &[part]);
    }
}

#[tokio::test]
async fn files_of_tenants_that_are_none_import_nothing() {
    let store = TestStore::sqlite();
    let launch = bounded(&store);
    let file = |name: &str, bytes: &[u8]| {
        let path = store.data_dir().join(name);
        std::fs::write(&path, bytes).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let table: &[(&str, &[u8], i32, &str)] = &[
        ("empty.csv", b"", 2, "must name the columns"),
        ("nohead.csv", b"acme,cus_1\n", 2, "is not known; use tenant"),
        (
            "semicolons.csv",
            b"tenant;name\nacme;x\n",
            2,
            "is not known; use tenant",
        ),
        ("twice.csv", b"tenant,tenant\nacme,b\n", 2, "is there twice"),
        ("latin.csv", b"tenant,name\nacme,Caf\xe9\n", 2, "utf-8"),
        ("nul.csv", b"tenant,name\nac\x00me,x\n", 2, "line 2"),
        ("quote.csv", b"tenant,name\nacme,\"open\nb,c\n", 2, "close its quote"),
        (
            "more.csv",
            b"tenant,name\nacme,x,y,z\n",
            2,
            "has 4 fields, the header has 2",
        ),
        (
            "control.csv",
            b"tenant,name\nacme,a\x1b[31m\n",
            2,
            "without control characters",
        ),
        (
            "customer.csv",
            b"tenant,stripe_customer\nacme,sub_1\n",
            2,
            "begins with cus_",
        ),
        ("currency.csv", b"tenant,currency\nacme,dollars\n", 2, "ISO 4217"),
        ("list.jsonl", b"[]\n", 2, "not a JSON object"),
        ("cut.jsonl", b"{\"tenant\":\"a\"", 2, "not a JSON object"),
        (
            "field.jsonl",
            b"{\"tenant\":\"a\",\"x\":1}\n",
            2,
            "is not known; use tenant",
        ),
    ];
    for (name, bytes, exit, part) in table {
        let path = file(name, bytes);
        refused(&launch, &["tenants", "import", &path], *exit, &[part]);
        refused(&launch, &["tenants", "import", &path, "--dry-run"], *exit, &[part]);
    }
    let huge = file("huge.csv", b"tenant\n");
    let length = std::fs::OpenOptions::new().write(true).open(&huge).unwrap();
    length.set_len(64 * 1024 * 1024 + 1).unwrap();
    refused(&launch, &["tenants", "import", &huge], 2, &["split it"]);
    let deep = file("deep.jsonl", "[".repeat(70_000).as_bytes());
    refused(&launch, &["tenants", "import", &deep], 2, &["longer than 65536 bytes"]);
    let list = super::json(&launch, &["events", "show"]);
    assert_eq!(list["data"], serde_json::json!([]), "nothing was recorded");
}

//! Commands while a server runs: they call its own routes.

use serde_json::Value;

use super::{code, err, json, out, run};
use crate::support::server::Launch;
use crate::support::stores;

#[tokio::test]
async fn an_import_tells_bad_rows_by_line_and_is_safe_to_repeat() {
    for store in stores().await {
        let launch = Launch::new(&store);
        let mut server = launch.start().await;
        let file = store.data_dir().join("tenants.csv");
        let text = "tenant,stripe_customer,name,email\nacme,cus_1,Acme,a@acme.example\nglobex,,Globex,\nme,cus_3,x,\n";
        std::fs::write(&file, text).unwrap();
        let file = file.to_str().unwrap();
        let dry = run(&launch, &["tenants", "import", file, "--dry-run"]);
        assert_eq!(code(&dry), 8, "{}", err(&dry));
        assert!(out(&dry).contains("2 rows are good, 1 are not"), "{}", out(&dry));
        let first = run(&launch, &["tenants", "import", file, "--quiet"]);
        assert_eq!(code(&first), 8, "{}", err(&first));
        assert!(
            out(&first).contains("2 opened, 0 known before, 1 failed"),
            "{}{}",
            out(&first),
            err(&first)
        );
        assert!(
            err(&first).contains("line 4: \"me\" is not a valid tenant id"),
            "{}",
            err(&first)
        );
        let again = run(&launch, &["tenants", "import", file]);
        assert!(
            out(&again).contains("0 opened, 2 known before, 1 failed"),
            "{}",
            out(&again)
        );
        server.settled().await;
        let tenant = server.get("/v1/tenants/acme").await;
        assert_eq!(tenant["stripe"]["customer"], "cus_1", "{tenant}");
        server.terminate();
        assert_eq!(server.ended().await, Some(0));
        assert!(
            !store.data_dir().join("serve.json").exists(),
            "serve.json goes with the server"
        );
    }
}

#[tokio::test]
async fn receipts_and_views_and_events_are_shown_by_the_running_server() {
    for store in stores().await {
        let launch = Launch::new(&store);
        let server = launch.start().await;
        assert_eq!(
            server
                .deliver(b"{\"id\":\"evt_odd\",\"object\":\"event\",\"type\":\"customer.created\",\"created\":1}")
                .await
                .status,
            200
        );
        server.settled().await;
        let list = json(&launch, &["inbox", "list"]);
        let row = &list["data"][0];
        assert_eq!(row["event_id"], "evt_odd", "{list}");
        let of_tenant = json(&launch, &["inbox", "list", "--tenant", "nobody"]);
        assert_eq!(of_tenant["data"], serde_json::json!([]));
        let table = out(&run(&launch, &["inbox", "list", "--state", "quarantined"]));
        let head = table.lines().next().unwrap_or_default();
        assert!(head.contains("TENANT") && head.contains("REASON"), "{table}");
        assert_ne!(row["reason"], Value::Null, "{row}");
        let replay = [
            "inbox",
            "replay",
            "--state",
            "quarantined",
            "--reason",
            "x",
            "--dry-run",
        ];
        assert_eq!(json(&launch, &replay)["matched"], 1);
        let of_tenant = [&replay[..], &["--tenant", "nobody"]].concat();
        assert_eq!(json(&launch, &of_tenant)["matched"], 0);
        let shown = json(&launch, &["inbox", "show", "evt_odd"]);
        assert_eq!(shown["event_id"], "evt_odd");
        let state = row["state"].as_str().unwrap();
        assert_eq!(state, "quarantined", "an event without its object: {row}");
        let dry = run(
            &launch,
            &["inbox", "discard", "evt_odd", "--reason", "no object", "--dry-run"],
        );
        assert!(err(&dry).contains("would discard evt_odd"), "{}", err(&dry));
        let gone = run(
            &launch,
            &["inbox", "discard", "evt_odd", "--reason", "no object", "--yes"],
        );
        assert_eq!(code(&gone), 0, "{}", err(&gone));
        assert_eq!(json(&launch, &["inbox", "show", "evt_odd"])["state"], "discarded");
        let views = json(&launch, &["projections", "list"]);
        assert!(views["data"].as_array().is_some_and(|rows| !rows.is_empty()), "{views}");
        let table = out(&run(&launch, &["projections", "list"]));
        assert!(
            table.starts_with("VIEW") || table.trim_start().starts_with("VIEW"),
            "{table}"
        );
        let events = json(&launch, &["events", "show"]);
        let discarded = |row: &Value| {
            row["type"]
                .as_str()
                .is_some_and(|kind| kind.contains("receipt_discarded"))
        };
        assert!(events["data"].as_array().unwrap().iter().any(discarded), "{events}");
    }
}

//! Every POST takes an Idempotency-Key: sent again it answers what it answered, and its effect stays done once.

use std::collections::BTreeSet;

use projections::log::read_page;
use serde_json::{Value, json};
use subledger::http::TABLE;
use subledger::http::router::Access;

use super::account_log::{AccountLog, unreadable};
use super::harness::{Answer, App, NOW};

/// A command: its route, its address, and a body that it takes.
struct Post {
    route: &'static str,
    path: String,
    body: Value,
    status: u16,
}

async fn keyed(app: &App, path: &str, key: &str, body: &Value) -> Answer {
    let bearer = format!("Bearer {}", app.admin.reveal());
    let headers = [
        ("authorization", &*bearer),
        ("content-type", "application/json"),
        ("idempotency-key", key),
    ];
    app.call("POST", path, &headers, &body.to_string()).await
}

/// Lets the view of the status stand still; answers part and position of the event it cannot fold.
async fn stop_status(app: &App) -> (u32, u64) {
    let log = AccountLog::open(app, 9, true, NOW - 900).await;
    let (part, last_position) = unreadable(app, &log.stream, log.sequence()).await;
    loop {
        let list = app.operate("GET", "/v1/projections", &Value::Null).await.json();
        let views = list["data"].as_array().expect("views");
        if views
            .iter()
            .any(|view| view["name"] == "status" && view["stopped"] == true)
        {
            return (part, last_position);
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
}

/// What each command needs to be there, made.
async fn posts(app: &App) -> Vec<Post> {
    let post = |route, path: &str, body, status| Post {
        route,
        path: path.to_owned(),
        body,
        status,
    };
    let because = json!({ "reason": "a test" });
    for event in ["evt_1", "evt_2"] {
        let body = json!({ "id": event, "object": "event", "type": "invoice.paid" }).to_string();
        assert_eq!(app.deliver(&body).await.status, 200);
    }
    let discard = "/v1/webhook-inbox/default/evt_2/discard";
    assert_eq!(app.operate("POST", discard, &because).await.status, 200);
    AccountLog::open(app, 7, false, NOW - 900).await;
    let key = json!({ "name": "a", "scopes": ["plans:write"] });
    let made = app.operate("POST", "/v1/api-keys", &key).await.json();
    let rotate = format!("/v1/api-keys/{}/rotate", made["id"].as_str().expect("an id"));
    let audit = json!({ "stream": "/v1/audit/stream" });
    let assign = json!({ "tenant": "acme", "reason": "a test" });
    vec![
        post("/v1/api-keys", "/v1/api-keys", key, 201),
        post("/v1/stream-tickets", "/v1/stream-tickets", audit, 201),
        post("/v1/api-keys/{id}/rotate", &rotate, json!({ "overlap_h": 1 }), 201),
        post(
            "/v1/unassigned-accounts/{customer}/assign",
            "/v1/unassigned-accounts/cus_000007/assign",
            assign,
            200,
        ),
        post(
            "/v1/webhook-inbox/{source}/{event_id}/discard",
            "/v1/webhook-inbox/default/evt_1/discard",
            because.clone(),
            200,
        ),
        post(
            "/v1/webhook-inbox/{source}/{event_id}/replay",
            "/v1/webhook-inbox/default/evt_2/replay",
            because.clone(),
            202,
        ),
        post(
            "/v1/webhook-inbox-replays",
            "/v1/webhook-inbox-replays",
            json!({ "filter": { "state": "discarded" }, "reason": "a test" }),
            200,
        ),
        post(
            "/v1/projections/{name}/rebuild",
            "/v1/projections/quota/rebuild",
            because.clone(),
            202,
        ),
        post(
            "/v1/projections/{name}/swap",
            "/v1/projections/quota/swap",
            because.clone(),
            200,
        ),
        post(
            "/v1/projections/{name}/roll-back",
            "/v1/projections/quota/roll-back",
            because,
            200,
        ),
    ]
}

/// Events on the log.
async fn events(app: &App) -> usize {
    let mut count = 0;
    for part in 0..app.service.db.parts() {
        count += read_page(&app.service.db, part, 0, 1_000).await.expect("events").len();
    }
    count
}

/// The body with something else in it.
fn other(body: &Value) -> Value {
    let mut other = body.clone();
    match body.get("overlap_h") {
        Some(_) => other["overlap_h"] = 2.into(),
        None if body.get("name").is_some() => other["name"] = "b".into(),
        None if body.get("stream").is_some() => other["stream"] = "/v1/tenants/cus_000007/subscription/stream".into(),
        None => other["reason"] = "another".into(),
    }
    other
}

async fn sent_again(app: &App, post: &Post) {
    let route = post.route;
    let first = keyed(app, &post.path, route, &post.body).await;
    assert_eq!(first.status, post.status, "{route}: {}", first.text());
    assert_eq!(first.header("idempotency-replayed"), None, "{route}");
    if route.ends_with("/rebuild") {
        app.service.rebuilds.settled().await;
    }
    let before = events(app).await;
    let second = keyed(app, &post.path, route, &post.body).await;
    assert_eq!(second.header("idempotency-replayed"), Some("true"), "{route}");
    let mut told = first.json();
    for secret in ["secret", "ticket"] {
        if told.get(secret).is_some() {
            told[secret] = Value::Null;
        }
    }
    assert_eq!((second.status, second.json()), (first.status, told), "{route}");
    assert_eq!(events(app).await, before, "{route} was done twice");
    let reused = keyed(app, &post.path, route, &other(&post.body)).await;
    assert_eq!(reused.problem(), "idempotency-key-reused", "{route}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_post_is_carried_out_once_under_its_key() {
    for app in App::all().await {
        let mut tried = BTreeSet::new();
        for post in posts(&app).await {
            sent_again(&app, &post).await;
            tried.insert(post.route);
        }
        let (part, position) = stop_status(&app).await;
        let skip = Post {
            route: "/v1/projections/{name}/skip",
            path: "/v1/projections/status/skip".into(),
            body: json!({ "part": part, "position": position, "reason": "a test" }),
            status: 200,
        };
        sent_again(&app, &skip).await;
        tried.insert(skip.route);
        // Commands for Stripe have a test of their own (`commands`).
        let posts = TABLE
            .iter()
            .filter(|row| row.method == "POST" && row.access != Access::Stripe && row.chapter != "commands");
        let posts: BTreeSet<&str> = posts.map(|row| row.path).collect();
        assert_eq!(tried, posts, "a POST that is not tried here");
    }
}

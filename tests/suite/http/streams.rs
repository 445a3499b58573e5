//! Server-sent events: what is told, when, and to whom.

use std::time::Duration;

use aggregates::ids::{StreamId, TenantId};
use aggregates::partition::part_of;
use axum::body::Body;
use axum::http::Request;
use projections::views::View;
use serde_json::{Value, json};
use tower::ServiceExt as _;

use super::account_log::{AccountLog, team, unreadable};
use super::harness::{Answer, App, NOW, portal_token, portal_token_with};
use crate::support::sse::{Reader, Sse};

const OWN: &str = "/v1/tenants/tenant-000001/subscription/stream";
const ME: &str = "/v1/tenants/me/subscription/stream";
const AUDIT: &str = "/v1/audit/stream";

/// Opens a stream as whoever the headers say.
async fn open(app: &App, path: &str, headers: &[(&str, &str)]) -> Result<Reader, Answer> {
    let mut request = Request::builder().uri(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let response = app
        .router()
        .oneshot(request.body(Body::empty()).expect("a request"))
        .await
        .expect("an answer");
    if response.status() == 200 {
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        assert_eq!(response.headers()["cache-control"], "no-store");
        return Ok(Reader::new(response.into_body()));
    }
    let (parts, body) = response.into_parts();
    let body = axum::body::to_bytes(body, usize::MAX).await.expect("a body");
    Err(Answer {
        status: parts.status.as_u16(),
        headers: parts.headers,
        body: body.to_vec(),
    })
}

async fn refused(app: &App, path: &str, headers: &[(&str, &str)]) -> String {
    match open(app, path, headers).await {
        Ok(_) => panic!("{path} was opened"),
        Err(answer) => answer.problem(),
    }
}

fn bearer(token: &str) -> String {
    format!("Bearer {token}")
}

async fn as_operator(app: &App, path: &str, last: Option<&str>) -> Reader {
    let bearer = bearer(app.admin.reveal());
    let mut headers = vec![("authorization", &*bearer)];
    headers.extend(last.map(|last| ("last-event-id", last)));
    open(app, path, &headers)
        .await
        .unwrap_or_else(|answer| panic!("{}", answer.text()))
}

/// Waits until every view has read the whole log: a stream begins where the views are.
async fn caught_up(app: &App) {
    let heads = app.service.db.refresh_heads().await.expect("heads");
    for (part, head) in (0..).zip(heads) {
        for view in View::ALL {
            let wait = app.service.progress.wait_for(view, part, head, Duration::from_secs(30));
            assert!(wait.await, "{} stands still", view.name());
        }
    }
}

/// The greeting, and the id a stream begins at.
async fn greeting(reader: &mut Reader) -> Sse {
    let first = reader.next().await.expect("a greeting");
    assert_eq!((&*first.retry, &*first.event, &*first.data), ("3000", "", ""));
    first
}

async fn seats(log: &mut AccountLog<'_>, quantity: u32, at: i64) -> String {
    let object = team(1, "active", quantity, NOW - 800);
    log.tell("customer.subscription.updated", at, &object, at + 5).await
}

/// The whole history of the account, oldest first.
async fn history(app: &App, position: &str) -> Vec<Value> {
    let mut entries = Vec::new();
    let mut path = "/v1/tenants/tenant-000001/subscription/history?limit=200".to_owned();
    loop {
        let bearer = bearer(app.admin.reveal());
        let headers = [("authorization", &*bearer), ("ledger-min-position", position)];
        let page = app.call("GET", &path, &headers, "").await.json();
        entries.extend(page["data"].as_array().expect("entries").clone());
        let Some(cursor) = page["page"]["next_cursor"].as_str() else {
            break;
        };
        path = format!("/v1/tenants/tenant-000001/subscription/history?limit=200&cursor={cursor}");
    }
    entries.reverse();
    entries
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_read_on_receipt_never_shows_older_data() {
    for app in App::all().await {
        let mut log = AccountLog::open(&app, 1, true, NOW - 900).await;
        caught_up(&app).await;
        let mut reader = as_operator(&app, OWN, None).await;
        greeting(&mut reader).await;
        log.tell(
            "customer.subscription.created",
            NOW - 800,
            &team(1, "active", 1, NOW - 800),
            NOW - 790,
        )
        .await;
        let started = reader.event().await.expect("an event");
        assert_eq!(started.event, "subscription_started");
        for quantity in 2..40 {
            let position = seats(&mut log, quantity, NOW - 700 + i64::from(quantity)).await;
            let told = reader.event().await.expect("an event");
            assert_eq!((&*told.event, &*told.id), ("quantity_changed", &*position));
            assert_eq!(told.json()["subscription"]["quantity"], quantity);
            // Without a word about positions: what was told is there.
            let shown = app
                .operate("GET", "/v1/tenants/tenant-000001/subscription", &Value::Null)
                .await
                .json();
            assert_eq!(shown["quantity"], quantity, "on {:?}", app.store.kind);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_told_that_a_view_cannot_show_yet() {
    for app in App::all().await {
        let mut log = AccountLog::open(&app, 1, true, NOW - 900).await;
        caught_up(&app).await;
        let mut reader = as_operator(&app, OWN, None).await;
        greeting(&mut reader).await;
        // A neighbour in the same part has an event that stops every view of accounts.
        let neighbours = (2..).map(|n| StreamId::of_tenant(&TenantId::parse(&format!("neighbour-{n}")).unwrap()));
        let parts = app.service.db.parts();
        let neighbour = neighbours
            .take(10_000)
            .find(|stream| part_of(stream, parts) == log.part)
            .expect("a neighbour");
        let (part, position) = unreadable(&app, &neighbour, 0).await;
        let told_at = log
            .tell(
                "customer.subscription.created",
                NOW - 800,
                &team(1, "active", 1, NOW - 800),
                NOW - 790,
            )
            .await;
        let waited = tokio::time::timeout(Duration::from_secs(2), reader.next()).await;
        assert!(waited.is_err(), "{waited:?} was told before a view could show it");
        let account_views = View::ALL.into_iter().filter(|view| view.accounts_only());
        for view in account_views {
            let body = json!({ "part": part, "position": position, "reason": "a test" });
            let path = format!("/v1/projections/{}/skip", view.name());
            loop {
                let skipped = app.operate("POST", &path, &body).await;
                // The view may not have come to it yet.
                if skipped.status == 200 {
                    break;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
        let event = reader.event().await.expect("an event");
        assert_eq!((&*event.event, &*event.id), ("subscription_started", &*told_at));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_events_are_told_as_the_history_has_them_however_often_the_reader_is_cut_off() {
    for app in App::all().await {
        let mut log = AccountLog::open(&app, 1, true, NOW - 900).await;
        caught_up(&app).await;
        let mut reader = as_operator(&app, OWN, None).await;
        let mut last_id = greeting(&mut reader).await.id;
        let first = log
            .tell(
                "customer.subscription.created",
                NOW - 800,
                &team(1, "active", 1, NOW - 800),
                NOW - 790,
            )
            .await;
        let mut last = first.clone();
        let mut told: Vec<Sse> = Vec::new();
        let take = |told: &mut Vec<Sse>, last_id: &mut String, event: Sse| {
            assert_ne!(event.event, "reset", "after {} events", told.len());
            last_id.clone_from(&event.id);
            told.push(event);
        };
        for nth in 0..1_000_u32 {
            last = seats(&mut log, 2 + nth % 7, NOW - 780 + i64::from(nth)).await;
            // Now and then it reads on; now and then it is cut off, and comes back.
            if nth % 90 == 0 {
                let event = reader.event().await.expect("an event");
                take(&mut told, &mut last_id, event);
            }
            if nth % 190 == 189 {
                reader = as_operator(&app, OWN, Some(&last_id)).await;
                greeting(&mut reader).await;
            }
        }
        while last_id != last {
            let event = reader.event().await.expect("an event");
            take(&mut told, &mut last_id, event);
        }
        let history = history(&app, &last).await;
        let since = history
            .iter()
            .position(|entry| entry["position"] == *first)
            .expect("the start");
        let data: Vec<Value> = told.iter().map(Sse::json).collect();
        assert_eq!(data.len(), 1_001);
        assert_eq!(data, history[since..], "on {:?}", app.store.kind);
        for event in &told {
            assert_eq!(
                (&json!(event.event), &json!(event.id)),
                (&event.json()["event"], &event.json()["position"])
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_reader_gets_one_reset_and_then_what_is_new() {
    for app in App::all().await {
        let mut log = AccountLog::open(&app, 1, true, NOW - 900).await;
        caught_up(&app).await;
        let mut reader = as_operator(&app, OWN, None).await;
        greeting(&mut reader).await;
        let mut position = String::new();
        for nth in 0..400_u32 {
            let object = team(1, "active", 1 + nth % 5, NOW - 800);
            let kind = if nth == 0 { "created" } else { "updated" };
            let kind = format!("customer.subscription.{kind}");
            position = log.tell(&kind, NOW - 780 + i64::from(nth), &object, NOW - 100).await;
        }
        // It wakes when everything has been told to whoever could take it.
        history(&app, &position).await;
        let mut events = 0;
        let reset = loop {
            let event = reader.event().await.expect("an event");
            if event.event == "reset" {
                break event;
            }
            events += 1;
        };
        assert!((256..400).contains(&events), "{events} before the reset");
        assert_eq!(reset.id, position, "it goes on after all there is");
        let after = seats(&mut log, 77, NOW - 60).await;
        let live = reader.event().await.expect("an event");
        assert_eq!((&*live.event, &*live.id), ("quantity_changed", &*after));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cursor_that_cannot_be_served_is_told_and_live_events_follow() {
    for app in App::all().await {
        let mut log = AccountLog::open(&app, 1, true, NOW - 900).await;
        let part = log.part;
        for bad in ["nonsense", "99999.1", &format!("{part}.999999999"), "-1.2"] {
            caught_up(&app).await;
            let mut reader = as_operator(&app, OWN, Some(bad)).await;
            greeting(&mut reader).await;
            let reset = reader.event().await.expect("an event");
            assert_eq!(reset.event, "reset", "{bad}");
            let quantity = u32::try_from(log.sequence()).expect("a small number");
            let position = seats(&mut log, quantity, NOW - 500 + i64::from(quantity)).await;
            let live = reader.event().await.expect("an event");
            assert_eq!(live.id, position, "{bad}");
        }
        // An id of one filter is none of another.
        let mut reader = as_operator(&app, AUDIT, None).await;
        let id = greeting(&mut reader).await.id;
        let mut other = as_operator(&app, &format!("{AUDIT}?family=invoices"), Some(&id)).await;
        greeting(&mut other).await;
        assert_eq!(other.event().await.expect("an event").event, "reset");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_log_is_told_by_filter_each_event_once_over_all_parts() {
    for app in App::all().await {
        let mut all = as_operator(&app, AUDIT, None).await;
        let begin = greeting(&mut all).await.id;
        let mut of_two = as_operator(&app, &format!("{AUDIT}?tenant=tenant-000002"), None).await;
        greeting(&mut of_two).await;
        let mut wanted = 0;
        for account in 1..=6 {
            let mut log = AccountLog::open(&app, account, true, NOW - 900).await;
            log.tell(
                "customer.subscription.created",
                NOW - 800,
                &team(account, "active", 1, NOW - 800),
                NOW - 790,
            )
            .await;
            wanted += usize::try_from(log.sequence()).expect("a count");
        }
        let mut told = Vec::new();
        while told.len() < wanted {
            told.push(all.event().await.expect("an event"));
        }
        // Who comes back after the fourth gets the others, in whatever order of the parts, and none of them twice.
        let mut again = as_operator(&app, AUDIT, Some(&told[3].id)).await;
        greeting(&mut again).await;
        let mut rest: Vec<Value> = Vec::new();
        while rest.len() < wanted - 4 {
            rest.push(again.event().await.expect("an event").json());
        }
        let sorted = |events: &[Value]| {
            let mut places: Vec<String> = events.iter().map(|event| event["position"].to_string()).collect();
            places.sort();
            places
        };
        let expected: Vec<Value> = told[4..].iter().map(Sse::json).collect();
        assert_eq!(sorted(&rest), sorted(&expected), "on {:?}", app.store.kind);
        let mut from_the_beginning = as_operator(&app, AUDIT, Some(&begin)).await;
        greeting(&mut from_the_beginning).await;
        let mut whole = Vec::new();
        while whole.len() < wanted {
            whole.push(from_the_beginning.event().await.expect("an event").json());
        }
        let list = app
            .operate("GET", "/v1/audit/events?limit=200", &Value::Null)
            .await
            .json();
        let listed: Vec<Value> = list["data"].as_array().expect("lines").clone();
        let by_place = |mut lines: Vec<Value>| {
            lines.sort_by_key(|line| line["position"].to_string());
            lines
        };
        assert_eq!(by_place(whole), by_place(listed));
        for _ in 0..3 {
            let event = of_two.event().await.expect("an event").json();
            assert_eq!(event["tenant"], "tenant-000002");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tenant_hears_of_itself_alone() {
    for app in App::all().await {
        let token = bearer(&portal_token("tenant-000002", "admin"));
        let mut reader = open(&app, ME, &[("authorization", &token)]).await.expect("a stream");
        greeting(&mut reader).await;
        assert_eq!(
            refused(&app, OWN, &[("authorization", &token)]).await,
            "tenant-mismatch"
        );
        assert_eq!(refused(&app, AUDIT, &[("authorization", &token)]).await, "forbidden");
        let mut log = AccountLog::open(&app, 1, true, NOW - 900).await;
        for quantity in 1..20 {
            seats(&mut log, quantity, NOW - 700 + i64::from(quantity)).await;
        }
        let mut own = AccountLog::open(&app, 2, true, NOW - 600).await;
        own.tell(
            "customer.subscription.created",
            NOW - 500,
            &team(2, "active", 1, NOW - 500),
            NOW - 490,
        )
        .await;
        for name in ["account_opened", "subscription_started"] {
            assert_eq!(reader.event().await.expect("an event").event, name);
        }
    }
}

async fn ticket(app: &App, token: &str, stream: &str) -> Answer {
    let bearer = bearer(token);
    let headers = [("authorization", &*bearer), ("content-type", "application/json")];
    let body = json!({ "stream": stream }).to_string();
    app.call("POST", "/v1/stream-tickets", &headers, &body).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_ticket_opens_its_own_stream_once_and_not_for_long() {
    for app in App::all().await {
        AccountLog::open(&app, 1, true, NOW - 900).await;
        let token = portal_token("tenant-000001", "viewer");
        let issue = async |stream: &str| {
            let made = ticket(&app, &token, stream).await;
            assert_eq!(made.status, 201, "{}", made.text());
            made.json()["ticket"].as_str().expect("a ticket").to_owned()
        };
        let used = issue(ME).await;
        let mut reader = open(&app, &format!("{OWN}?ticket={used}"), &[])
            .await
            .expect("a stream");
        let last = greeting(&mut reader).await.id;
        assert_eq!(
            refused(&app, &format!("{ME}?ticket={used}"), &[]).await,
            "unauthenticated"
        );
        // The place goes with it, since its owner can send no header.
        let next = issue(ME).await;
        let path = format!("{ME}?ticket={next}&last_event_id={last}");
        let mut reader = open(&app, &path, &[]).await.expect("a stream");
        assert_eq!(greeting(&mut reader).await.id, last);
        // It opens nothing else, and is gone after the attempt.
        let other = issue(ME).await;
        for path in ["/v1/tenants/tenant-000002/subscription/stream", OWN] {
            assert_ne!(
                refused(&app, &format!("{path}?ticket={other}"), &[]).await,
                "",
                "{path}"
            );
        }
        let elsewhere = issue(ME).await;
        let path = format!("/v1/tenants/me/subscription?ticket={elsewhere}");
        assert_eq!(app.get(&path).await.problem(), "unauthenticated");
        let late = issue(ME).await;
        app.later(30);
        assert_eq!(
            refused(&app, &format!("{ME}?ticket={late}"), &[]).await,
            "unauthenticated"
        );
        app.later(0);
        for (stream, problem) in [
            ("/v1/tenants/tenant-000002/subscription/stream", "tenant-mismatch"),
            (AUDIT, "forbidden"),
            ("/v1/audit/events", "validation-failed"),
            ("/v1/tenants/me/subscription", "validation-failed"),
        ] {
            assert_eq!(ticket(&app, &token, stream).await.problem(), problem, "{stream}");
        }
        let unknown = app
            .operate(
                "POST",
                "/v1/stream-tickets",
                &json!({ "stream": "/v1/tenants/nobody/subscription/stream" }),
            )
            .await;
        assert_eq!(unknown.problem(), "not-found");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_ticket_of_a_key_ends_with_the_key() {
    for app in App::all().await {
        AccountLog::open(&app, 1, true, NOW - 900).await;
        let body = json!({ "name": "streams", "scopes": ["audit:read", "subscription:read"] });
        let made = app.operate("POST", "/v1/api-keys", &body).await.json();
        let (secret, id) = (
            made["secret"].as_str().expect("a key"),
            made["id"].as_str().expect("an id"),
        );
        let good = ticket(&app, secret, AUDIT).await.json();
        // The log itself tells of the key too: it listens to something else.
        let path = format!(
            "{AUDIT}?family=invoices&ticket={}",
            good["ticket"].as_str().expect("a ticket")
        );
        let mut reader = open(&app, &path, &[]).await.expect("a stream");
        greeting(&mut reader).await;
        // Its key may open both, and still each opens its own.
        for (of, at) in [
            (OWN, AUDIT),
            (AUDIT, OWN),
            (OWN, "/v1/tenants/cus_000001/subscription/stream"),
        ] {
            let other = ticket(&app, secret, of).await.json();
            let path = format!("{at}?ticket={}", other["ticket"].as_str().expect("a ticket"));
            assert_eq!(refused(&app, &path, &[]).await, "unauthenticated", "{of} at {at}");
        }
        let left = ticket(&app, secret, AUDIT).await.json();
        let gone = app.operate("DELETE", &format!("/v1/api-keys/{id}"), &Value::Null).await;
        assert_eq!(gone.status, 204);
        let path = format!("{AUDIT}?ticket={}", left["ticket"].as_str().expect("a ticket"));
        assert_eq!(refused(&app, &path, &[]).await, "unauthenticated");
        // The open stream ends too, at the next look at its right.
        assert_eq!(reader.event().await.expect("an event").event, "expired");
        assert_eq!(reader.next().await, None);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_ends_after_an_hour_with_its_token_and_with_the_process() {
    for app in App::all().await {
        let short = bearer(&portal_token_with(
            "tenant-000001",
            "viewer",
            &json!({ "exp": NOW + 120 }),
        ));
        let mut by_token = open(&app, ME, &[("authorization", &short)]).await.expect("a stream");
        let mut by_hour = as_operator(&app, AUDIT, None).await;
        for reader in [&mut by_token, &mut by_hour] {
            greeting(reader).await;
        }
        app.later(120);
        assert_eq!(by_token.event().await.expect("an event").event, "expired");
        assert_eq!(by_token.next().await, None);
        app.later(3_600);
        assert_eq!(by_hour.event().await.expect("an event").event, "expired");
        assert_eq!(by_hour.next().await, None);
        let mut by_stop = as_operator(&app, AUDIT, None).await;
        greeting(&mut by_stop).await;
        app.lifecycle.stop();
        assert_eq!(by_stop.next().await, None, "who comes back finds another process");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tenant_has_twenty_streams_and_gives_them_back() {
    for app in App::all().await {
        let token = bearer(&portal_token("tenant-000001", "viewer"));
        let headers = [("authorization", &*token)];
        let mut readers = Vec::new();
        for _ in 0..20 {
            readers.push(open(&app, ME, &headers).await.expect("a stream"));
        }
        assert!(
            app.service.metrics.text().contains("subledger_streams_open 20"),
            "{}",
            app.service.metrics.text()
        );
        assert_eq!(refused(&app, ME, &headers).await, "rate-limited");
        let other = bearer(&portal_token("tenant-000002", "viewer"));
        assert!(open(&app, ME, &[("authorization", &other)]).await.is_ok());
        readers.pop();
        assert!(open(&app, ME, &headers).await.is_ok());
        readers.clear();
        assert!(app.service.metrics.text().contains("subledger_streams_open 0"));
    }
}

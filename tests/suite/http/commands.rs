//! What commands refuse and why, the keys they come under, and the pages that are made while the caller waits.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use subledger::http::TABLE;

use super::account_log::{AccountLog, team};
use super::harness::{Answer, App, NOW, portal_token};

const T: &str = "/v1/tenants/tenant-000001";

async fn ask(app: &App, path: &str, body: &Value, key: &str) -> Answer {
    ask_as(app, app.admin.reveal(), path, body, &[("idempotency-key", key)]).await
}

async fn ask_as(app: &App, token: &str, path: &str, body: &Value, more: &[(&str, &str)]) -> Answer {
    let bearer = format!("Bearer {token}");
    let mut headers = vec![("authorization", &*bearer), ("content-type", "application/json")];
    headers.extend(more);
    app.call("POST", &format!("{T}/{path}"), &headers, &body.to_string())
        .await
}

async fn read(app: &App, path: &str) -> Answer {
    let bearer = format!("Bearer {}", app.admin.reveal());
    app.call("GET", &format!("{T}/{path}"), &[("authorization", &bearer)], "")
        .await
}

/// An account with a running subscription to the team plan in two units.
async fn subscribed(app: &App) -> AccountLog<'_> {
    let mut log = AccountLog::open(app, 1, true, NOW - 900).await;
    let object = team(1, "active", 2, NOW - 800);
    let created = log
        .tell("customer.subscription.created", NOW - 800, &object, NOW - 790)
        .await;
    // The views have it too.
    let bearer = format!("Bearer {}", app.admin.reveal());
    let headers = [("authorization", &*bearer), ("ledger-min-position", &*created)];
    let seen = app.call("GET", &format!("{T}/subscription"), &headers, "").await;
    assert_eq!(seen.status, 200, "{}", seen.text());
    log
}

fn invoice(status: &str, remaining: i64) -> Value {
    json!({ "id": "in_1", "object": "invoice", "customer": "cus_000001", "status": status, "currency": "usd",
        "amount_due": 4900, "amount_paid": 4900 - remaining, "amount_remaining": remaining, "total": 4900, "subtotal": 4900,
        "created": NOW - 700, "livemode": false, "lines": { "object": "list", "has_more": false, "data": [] },
        "metadata": { "tenant_id": "tenant-000001" } })
}

fn charge(disputed: bool) -> Value {
    json!({ "id": "ch_1", "object": "charge", "amount": 490_000, "amount_captured": 490_000, "amount_refunded": 0,
        "currency": "usd", "customer": "cus_000001", "status": "succeeded", "captured": true, "paid": true,
        "disputed": disputed, "created": NOW - 700, "livemode": false, "payment_intent": "pi_1" })
}

/// A refusal: what is asked for, the problem, and the domain's word.
struct Refused(&'static str, Value, u16, &'static str, &'static str);

#[tokio::test]
async fn a_tenant_without_a_subscription_is_told_what_it_lacks() {
    for app in App::all().await {
        let unknown = json!({ "plan": "none" });
        let nothing = [
            Refused(
                "subscription/change-quantity",
                json!({ "quantity": 3 }),
                409,
                "no-subscription",
                "NoLiveSubscription",
            ),
            Refused("portal-sessions", json!({}), 409, "no-subscription", "NoCustomer"),
            Refused("subscription", unknown.clone(), 422, "unknown-plan", "UnknownPlan"),
            Refused(
                "subscription",
                json!({ "plan": "free" }),
                409,
                "already-on-plan",
                "AlreadyOnPlan",
            ),
        ];
        app.operate("PUT", T, &json!({})).await;
        refused(&app, &nothing).await;
    }
}

#[tokio::test]
#[expect(clippy::too_many_lines, reason = "one row a refusal")]
async fn every_refusal_has_its_problem_and_says_its_word() {
    for app in App::all().await {
        let unknown = json!({ "plan": "none" });
        let mut log = subscribed(&app).await;
        log.tell("invoice.finalized", NOW - 700, &invoice("open", 4900), NOW - 690)
            .await;
        log.tell("invoice.paid", NOW - 600, &invoice("paid", 0), NOW - 590)
            .await;
        log.tell("charge.succeeded", NOW - 700, &charge(false), NOW - 690).await;
        let running = [
            Refused(
                "subscription",
                json!({ "plan": "enterprise" }),
                409,
                "subscription-exists",
                "SubscriptionExists",
            ),
            Refused(
                "checkout-sessions",
                json!({ "plan": "team" }),
                409,
                "already-on-plan",
                "AlreadyOnPlan",
            ),
            Refused(
                "subscription/change-plan",
                json!({ "plan": "team" }),
                409,
                "already-on-plan",
                "AlreadyOnPlan",
            ),
            Refused("subscription/change-plan", unknown, 422, "unknown-plan", "UnknownPlan"),
            Refused(
                "subscription/change-quantity",
                json!({ "quantity": 0 }),
                409,
                "quantity-out-of-range",
                "QuantityOutOfRange",
            ),
            Refused(
                "subscription/extend-trial",
                json!({ "days": 3, "reason": "x" }),
                409,
                "invalid-transition",
                "NotInTrial",
            ),
            Refused(
                "subscription/pause",
                json!({ "mode": "subscription" }),
                409,
                "invalid-transition",
                "NotPausable",
            ),
            Refused(
                "invoices/in_1/pay",
                json!({}),
                409,
                "invoice-not-payable",
                "InvoiceNotPayable",
            ),
            Refused("invoices/in_other/pay", json!({}), 404, "not-found", ""),
            Refused(
                "refunds",
                json!({ "payment": "ch_other", "reason": "duplicate" }),
                404,
                "not-found",
                "",
            ),
            Refused(
                "refunds",
                json!({ "payment": "ch_1", "amount_minor": 490_001, "reason": "duplicate" }),
                409,
                "refund-exceeds-payment",
                "RefundExceedsPayment",
            ),
            Refused(
                "refunds",
                json!({ "payment": "ch_1", "reason": "duplicate" }),
                403,
                "approval-required",
                "NeedsSecondApprover",
            ),
        ];
        refused(&app, &running).await;
        log.tell("charge.updated", NOW - 500, &charge(true), NOW - 490).await;
        let mut over = team(1, "canceled", 2, NOW - 800);
        over["ended_at"] = json!(NOW - 400);
        log.tell("customer.subscription.deleted", NOW - 400, &over, NOW - 390)
            .await;
        let ended = [
            Refused(
                "refunds",
                json!({ "payment": "ch_1", "amount_minor": 100, "reason": "duplicate" }),
                409,
                "invalid-transition",
                "PaymentDisputed",
            ),
            Refused(
                "subscription/cancel",
                json!({}),
                409,
                "invalid-transition",
                "AlreadyCanceled",
            ),
            Refused(
                "subscription/resume",
                json!({}),
                409,
                "invalid-transition",
                "NotResumable",
            ),
        ];
        refused(&app, &ended).await;
        // Nothing was recorded by any of them.
        let list = read(&app, "commands").await.json();
        assert_eq!(list["data"], json!([]), "{list}");
    }
}

async fn refused(app: &App, all: &[Refused]) {
    for (nth, Refused(path, body, status, slug, word)) in all.iter().enumerate() {
        let answer = ask(app, path, body, &format!("{path}-{nth}")).await;
        let case = format!("{path} {body}: {}", answer.text());
        assert_eq!((answer.status, &*answer.problem()), (*status, *slug), "{case}");
        let told = answer.json();
        assert_eq!(told["rejection"].as_str().unwrap_or_default(), *word, "{case}");
    }
}

#[tokio::test]
async fn what_only_the_seller_gives_is_refused_to_portal_tokens() {
    let app = App::new().await;
    let token = portal_token("tenant-000001", "admin");
    for field in [json!({ "trial_days": 30 }), json!({ "coupon": "HALF" })] {
        let mut body = json!({ "plan": "team" });
        body.as_object_mut().unwrap().extend(field.as_object().unwrap().clone());
        let answer = ask_as(&app, &token, "checkout-sessions", &body, &[("idempotency-key", "a")]).await;
        assert_eq!(
            (answer.status, &*answer.problem()),
            (403, "forbidden"),
            "{}",
            answer.text()
        );
    }
    for path in [
        "subscription",
        "subscription/apply-coupon",
        "subscription/extend-trial",
        "refunds",
    ] {
        let answer = ask_as(&app, &token, path, &json!({}), &[("idempotency-key", "a")]).await;
        assert_eq!((answer.status, &*answer.problem()), (403, "forbidden"), "{path}");
    }
    let both = json!({ "plan": "team", "coupon": "HALF", "allow_promotion_codes": true });
    assert_eq!(ask(&app, "checkout-sessions", &both, "b").await.status, 422);
    assert_eq!(app.stripe.effects().len(), 0);
}

/// Every command, with a body that can be read.
fn bodies() -> Vec<(&'static str, Value)> {
    vec![
        ("subscription", json!({ "plan": "team" })),
        (
            "subscription/change-plan",
            json!({ "plan": "enterprise", "effective": "now" }),
        ),
        ("subscription/change-quantity", json!({ "delta": 1 })),
        ("subscription/cancel", json!({})),
        ("subscription/resume", json!({})),
        ("subscription/withdraw-change", json!({})),
        ("subscription/pause", json!({ "mode": "collection" })),
        ("subscription/unpause", json!({})),
        ("subscription/apply-coupon", json!({ "code": "HALF" })),
        ("subscription/extend-trial", json!({ "days": 3, "reason": "x" })),
        ("invoices/in_1/pay", json!({})),
        (
            "refunds",
            json!({ "payment": "ch_1", "amount_minor": 100, "reason": "duplicate" }),
        ),
        ("checkout-sessions", json!({ "plan": "team" })),
        ("portal-sessions", json!({})),
    ]
}

#[tokio::test]
async fn every_command_needs_a_key_and_refuses_the_key_of_another() {
    let all: BTreeSet<String> = bodies()
        .into_iter()
        .map(|(path, _)| format!("/v1/tenants/{{tenant}}/{path}").replace("in_1", "{id}"))
        .collect();
    let listed = TABLE
        .iter()
        .filter(|row| row.chapter == "commands" && row.method == "POST");
    let listed: BTreeSet<String> = listed
        .map(|row| row.path.to_owned())
        // It changes nothing, so it may come as often as it likes.
        .filter(|path| !path.ends_with("/preview"))
        .collect();
    assert_eq!(all, listed, "a command that is not tried here");
    let app = App::new().await;
    subscribed(&app).await;
    for (path, body) in bodies() {
        let keyless = ask_as(&app, app.admin.reveal(), path, &body, &[]).await;
        assert_eq!(
            (keyless.status, &*keyless.problem()),
            (400, "idempotency-key-missing"),
            "{path}"
        );
        let mut unknown = body.clone();
        unknown["nobody_knows_this"] = json!(1);
        assert_eq!(ask(&app, path, &unknown, "x").await.status, 422, "{path}");
    }
}

#[tokio::test]
async fn a_double_click_is_one_command_and_a_replayed_key_has_the_first_answer() {
    for app in App::all().await {
        subscribed(&app).await;
        let body = json!({ "delta": 3 });
        let path = "subscription/change-quantity";
        // Both at once: one is recorded, the other is told to wait or gets the same answer.
        let (one, two) = tokio::join!(ask(&app, path, &body, "click"), ask(&app, path, &body, "click"));
        let mut statuses = [one.status, two.status];
        statuses.sort_unstable();
        assert!(matches!(statuses, [202, 202] | [202, 409]), "{statuses:?}");
        let first = if one.status == 202 { one } else { two };
        let again = ask(&app, path, &body, "click").await;
        assert_eq!((again.status, again.json()), (202, first.json()));
        assert_eq!(again.header("idempotency-replayed"), Some("true"));
        // In another way of writing it is the same request, with another body it is not.
        let reused = ask(&app, path, &json!({ "delta": 4 }), "click").await;
        assert_eq!((reused.status, &*reused.problem()), (422, "idempotency-key-reused"));
        // The answer is kept thirty days; the effect stays done once for ever, and its present state is answered.
        app.later(40 * 86_400);
        let late = ask(&app, path, &body, "click").await;
        assert_eq!(late.status, 202, "{}", late.text());
        assert_eq!(late.json()["command_id"], first.json()["command_id"]);
        let list = read(&app, "commands?count=true").await.json();
        assert_eq!(
            (list["data"].as_array().unwrap().len(), &list["page"]["count"]),
            (1, &json!("1"))
        );
        assert_eq!(list["data"][0]["status"], "accepted");
        // What it asked for is counted with: the same quantity again is nothing.
        let same = ask(&app, path, &json!({ "quantity": 5 }), "other").await;
        assert_eq!(
            (same.status, &same.json()["already_applied"]),
            (200, &json!(true)),
            "{}",
            same.text()
        );
    }
}

#[tokio::test]
async fn a_command_on_an_old_version_is_refused() {
    for app in App::all().await {
        let mut log = subscribed(&app).await;
        let seen = read(&app, "subscription").await;
        let etag = seen.header("etag").expect("an etag").to_owned();
        let path = "subscription/change-quantity";
        let changed = log
            .tell(
                "customer.subscription.updated",
                NOW - 700,
                &team(1, "active", 3, NOW - 800),
                NOW - 690,
            )
            .await;
        let on = [("idempotency-key", "a"), ("if-match", &*etag)];
        let stale = ask_as(&app, app.admin.reveal(), path, &json!({ "delta": 1 }), &on).await;
        assert_eq!((stale.status, &*stale.problem()), (412, "version-conflict"));
        let bearer = format!("Bearer {}", app.admin.reveal());
        let headers = [("authorization", &*bearer), ("ledger-min-position", &*changed)];
        let fresh = app.call("GET", &format!("{T}/subscription"), &headers, "").await;
        let etag = fresh.header("etag").expect("an etag").to_owned();
        let on = [("idempotency-key", "b"), ("if-match", &*etag)];
        let taken = ask_as(&app, app.admin.reveal(), path, &json!({ "delta": 1 }), &on).await;
        assert_eq!(taken.status, 202, "{}", taken.text());
        // A command that waits has changed nothing yet, so the version still stands.
        let on = [("idempotency-key", "c"), ("if-match", &*etag)];
        let next = ask_as(&app, app.admin.reveal(), path, &json!({ "delta": 1 }), &on).await;
        assert_eq!(next.status, 202, "{}", next.text());
    }
}

#[tokio::test]
async fn people_see_their_own_commands_and_those_who_may_ask_see_all() {
    let app = App::new().await;
    subscribed(&app).await;
    let (buyer, viewer) = (
        portal_token("tenant-000001", "billing"),
        portal_token("tenant-000001", "viewer"),
    );
    let key = [("idempotency-key", "a")];
    let asked = ask_as(
        &app,
        &buyer,
        "subscription/change-quantity",
        &json!({ "delta": 1 }),
        &key,
    )
    .await;
    assert_eq!(asked.status, 202, "{}", asked.text());
    // The token names the same person: with fewer rights it still sees what it asked for.
    let mine = app.get_as(&viewer, &format!("{T}/commands")).await.json();
    assert_eq!(mine["data"].as_array().unwrap().len(), 1);
    let other = super::harness::portal_token_with("tenant-000001", "viewer", &json!({ "sub": "user-2" }));
    let theirs = app.get_as(&other, &format!("{T}/commands")).await.json();
    assert_eq!(theirs["data"], json!([]));
    let id = asked.json()["command_id"].as_str().unwrap().to_owned();
    let hidden = app.get_as(&other, &format!("{T}/commands/{id}")).await;
    let unknown = app
        .get_as(&other, &format!("{T}/commands/{}", uuid::Uuid::now_v7()))
        .await;
    assert_eq!((hidden.status, unknown.status), (404, 404));
    let all = super::harness::portal_token_with("tenant-000001", "billing", &json!({ "sub": "user-2" }));
    assert_eq!(app.get_as(&all, &format!("{T}/commands/{id}")).await.status, 200);
}

#[tokio::test]
async fn commands_are_listed_newest_first_page_by_page() {
    for app in App::all().await {
        subscribed(&app).await;
        for nth in 0..5 {
            let answer = ask(
                &app,
                "subscription/change-quantity",
                &json!({ "delta": 1 }),
                &format!("{nth}"),
            )
            .await;
            assert_eq!(answer.status, 202);
        }
        let (mut seen, mut next): (Vec<Value>, Option<String>) = (Vec::new(), None);
        loop {
            let cursor = next.map(|cursor| format!("&cursor={cursor}")).unwrap_or_default();
            let page = read(&app, &format!("commands?limit=2{cursor}")).await.json();
            seen.extend(page["data"].as_array().unwrap().clone());
            next = page["page"]["next_cursor"].as_str().map(str::to_owned);
            if next.is_none() {
                break;
            }
        }
        let statuses: Vec<_> = seen.iter().map(|command| command["status"].as_str().unwrap()).collect();
        // Of waiting changes of one quantity the newest stands for the others.
        assert_eq!(
            statuses,
            ["accepted", "confirmed", "confirmed", "confirmed", "confirmed"]
        );
        for pair in seen.windows(2) {
            assert_eq!(pair[1]["merged_into"], pair[0]["command_id"]);
        }
    }
}

#[tokio::test]
async fn a_checkout_page_is_opened_once_for_a_tenant_that_is_registered_by_it() {
    for app in App::all().await {
        let token = portal_token("tenant-000001", "billing");
        let body = json!({ "plan": "team", "interval": "year", "success_path": "/done", "cancel_path": "/no" });
        let key = [("idempotency-key", "buy")];
        let opened = ask_as(&app, &token, "checkout-sessions", &body, &key).await;
        assert_eq!(opened.status, 201, "{}", opened.text());
        assert_eq!(opened.header("cache-control"), Some("no-store"));
        let told = opened.json();
        let session = told["id"].as_str().unwrap().to_owned();
        // Sent again it is the same page, asked of Stripe again under the same key.
        let again = ask_as(&app, &token, "checkout-sessions", &body, &key).await;
        assert_eq!(
            (again.status, &again.json()["id"], &again.json()["url"]),
            (201, &told["id"], &told["url"])
        );
        let effects = app.stripe.effects();
        assert_eq!((effects.len(), effects.values().max()), (2, Some(&1)), "{effects:?}");
        // The address is on no log and in no table of answers.
        let url = told["url"].as_str().unwrap();
        let audit = app.operate("GET", "/v1/audit/events?limit=200", &Value::Null).await;
        assert!(!audit.text().contains(url));
        // Somebody else's page is not there.
        let state = read(&app, &format!("checkout-sessions/{session}")).await;
        assert_eq!(
            (&state.json()["status"], &state.json()["activation"]),
            (&json!("open"), &json!("pending"))
        );
        let foreign = app
            .get_as(
                &portal_token("tenant-000002", "admin"),
                &format!("/v1/tenants/me/checkout-sessions/{session}"),
            )
            .await;
        assert_eq!(foreign.status, 404);
        let tenant = read(&app, "").await;
        assert_eq!(tenant.status, 404, "a trailing slash is no tenant");
        let tenant = app.operate("GET", T, &Value::Null).await;
        assert_eq!(tenant.status, 200, "{}", tenant.text());
        let commands = read(&app, "commands").await.json();
        assert_eq!(
            (&commands["data"][0]["kind"], &commands["data"][0]["status"]),
            (&json!("checkout"), &json!("applied"))
        );
    }
}

#[tokio::test]
async fn pages_say_what_stripe_does_while_somebody_waits() {
    use crate::stripe_api::Fault;
    let app = App::new().await;
    let body = json!({ "plan": "team" });
    for (nth, (fault, status, slug)) in [
        (Fault::Unauthorized, 409, "stripe-rejected"),
        (Fault::TooMany(Some(60)), 503, "stripe-busy"),
    ]
    .into_iter()
    .enumerate()
    {
        app.stripe.fail(fault);
        let answer = ask(&app, "checkout-sessions", &body, &format!("p{nth}")).await;
        if answer.status == 404 {
            app.operate("PUT", T, &json!({})).await;
            let answer = ask(&app, "checkout-sessions", &body, &format!("p{nth}")).await;
            assert_eq!((answer.status, &*answer.problem()), (status, slug), "{}", answer.text());
            continue;
        }
        assert_eq!((answer.status, &*answer.problem()), (status, slug), "{}", answer.text());
    }
    // What failed can be asked for again, and reads never needed Stripe.
    assert_eq!(ask(&app, "checkout-sessions", &body, "p1").await.status, 201);
    assert_eq!(read(&app, "subscription").await.status, 200);
}

#[tokio::test]
async fn forty_hostile_addresses_are_refused_by_every_route_that_takes_one() {
    let app = App::new().await;
    subscribed(&app).await;
    let hostile = [
        "https://evil.example",
        "http://app.example/",
        "https://app.example:8443/",
        "//app.example",
        "//evil.example",
        "///evil.example",
        "/\\evil.example",
        "\\\\evil.example",
        "javascript:alert(1)",
        "JaVaScRiPt:alert(1)",
        "data:text/html,x",
        "vbscript:x",
        "file:///etc/passwd",
        "ftp://app.example/",
        "blob:https://app.example/x",
        "https://app.example@evil.example/",
        "https://user:pass@app.example/",
        "https://app.example\\@evil.example/",
        "https://app.example.evil.example/",
        "https://app.example%2eevil.example/",
        "https:/app.example",
        "https:app.example",
        "https:///app.example",
        " https://app.example/",
        "https://app.example /",
        "https://app.example\t/",
        "https://app.example\n/",
        "https://evil.example#app.example",
        "https://evil.example?u=https://app.example",
        "https://evil.example/https://app.example",
        "relative",
        "?x=1",
        "#x",
        "",
        "https://169.254.169.254/latest",
        "http://127.0.0.1:8081/",
        "http://[::1]/",
        "http://localhost/",
        "https://app.example./",
        "https://xn--app-example",
        "https://аpp.example/",
        "/a b",
        "/\u{0}",
        "/é",
    ];
    assert!(hostile.len() >= 40);
    for address in hostile {
        for (path, body) in [
            (
                "checkout-sessions",
                json!({ "plan": "enterprise", "success_path": address }),
            ),
            (
                "checkout-sessions",
                json!({ "plan": "enterprise", "cancel_path": address }),
            ),
            ("portal-sessions", json!({ "return_path": address })),
        ] {
            let answer = ask(&app, path, &body, "k").await;
            assert_eq!(answer.status, 422, "{path} {address:?}: {}", answer.text());
        }
    }
    assert_eq!(app.stripe.effects().len(), 0);
}

#[tokio::test]
async fn the_billing_portal_opens_with_each_of_its_flows() {
    for app in App::all().await {
        subscribed(&app).await;
        for (nth, body) in [
            json!({}),
            json!({ "flow": "payment_method_update", "return_path": "/back" }),
            json!({ "flow": "subscription_cancel" }),
            json!({ "flow": "subscription_update" }),
            json!({ "flow": "subscription_update_confirm", "plan": "enterprise" }),
        ]
        .into_iter()
        .enumerate()
        {
            let opened = ask(&app, "portal-sessions", &body, &format!("{nth}")).await;
            assert_eq!(opened.status, 201, "{body}: {}", opened.text());
            assert_eq!(opened.header("cache-control"), Some("no-store"));
            let again = ask(&app, "portal-sessions", &body, &format!("{nth}")).await;
            assert_eq!(again.json()["url"], opened.json()["url"]);
        }
        assert_eq!(app.stripe.effects().values().sum::<u32>(), 5);
        for wrong in [
            json!({ "flow": "subscription_update_confirm" }),
            json!({ "plan": "team" }),
        ] {
            assert_eq!(ask(&app, "portal-sessions", &wrong, "w").await.status, 422);
        }
        // Of pages of the portal there is nothing to follow.
        assert_eq!(read(&app, "commands").await.json()["data"], json!([]));
    }
}

#[tokio::test]
async fn a_preview_costs_nothing_and_records_nothing() {
    for app in App::all().await {
        subscribed(&app).await;
        let before = read(&app, "subscription").await.json();
        for body in [
            json!({ "quantity": 5 }),
            json!({ "plan": "enterprise" }),
            json!({ "plan": "enterprise", "at": "period_end" }),
        ] {
            let shown = ask_as(&app, app.admin.reveal(), "subscription/preview", &body, &[]).await;
            assert_eq!(shown.status, 200, "{body}: {}", shown.text());
            assert_eq!(shown.json()["blocked_by"], json!([]));
        }
        let refused = ask_as(
            &app,
            app.admin.reveal(),
            "subscription/preview",
            &json!({ "plan": "none" }),
            &[],
        )
        .await;
        assert_eq!(refused.problem(), "unknown-plan");
        assert_eq!(read(&app, "commands").await.json()["data"], json!([]));
        assert_eq!(read(&app, "subscription").await.json(), before);
    }
}

//! Invoices, payments, refunds, credit notes and the payment method, as their readers see them.

use serde_json::{Value, json};

use super::account_log::{AccountLog, team};
use super::entitlements::read_at;
use super::harness::{App, NOW, portal_token};
use crate::stripe_api::Fault;

const DAY: i64 = 86_400;

fn path(rest: &str) -> String {
    format!("/v1/tenants/tenant-000001/{rest}")
}

/// An invoice as the newest era writes it: it does not name its payment.
pub(super) fn invoice(id: &str, status: &str, made: i64, cents: i64) -> Value {
    let paid = if status == "paid" { cents } else { 0 };
    let paid_at = (status == "paid").then_some(made + 60);
    let mut object = json!({ "id": id, "object": "invoice", "customer": "cus_000001", "status": status, "currency": "usd",
        "number": (status != "draft").then(|| format!("N-{id}")), "billing_reason": "subscription_cycle",
        "collection_method": "charge_automatically", "created": made, "period_start": made - 30 * DAY, "period_end": made,
        "attempt_count": 1, "next_payment_attempt": null });
    let amounts = json!({ "subtotal": cents, "total": cents, "total_excluding_tax": cents, "total_taxes": [],
        "amount_due": cents, "amount_paid": paid, "amount_remaining": cents - paid });
    let item = json!({ "subscription": "sub_000001", "subscription_item": "si_000001", "proration": false });
    let line = json!({ "id": format!("il_{id}"), "object": "line_item", "amount": cents, "quantity": 2, "taxes": [],
        "period": { "start": made, "end": made + 30 * DAY }, "discount_amounts": [],
        "pricing": { "price_details": { "price": "price_team_month", "product": "prod" } },
        "parent": { "type": "subscription_item_details", "subscription_item_details": item } });
    let rest = json!({ "parent": { "subscription_details": { "subscription": "sub_000001", "metadata": {} } },
        "status_transitions": { "finalized_at": made + 30, "paid_at": paid_at, "voided_at": null,
            "marked_uncollectible_at": null },
        "lines": { "object": "list", "has_more": false, "data": [line] } });
    for part in [amounts, rest] {
        for (name, value) in part.as_object().into_iter().flatten() {
            object[name] = value.clone();
        }
    }
    object
}

fn link(invoice: &str, intent: &str, made: i64, cents: i64) -> Value {
    json!({ "id": format!("inpay_{invoice}"), "object": "invoice_payment", "invoice": invoice, "amount_paid": cents,
        "amount_requested": cents, "currency": "usd", "status": "paid", "created": made,
        "payment": { "type": "payment_intent", "payment_intent": intent }, "status_transitions": { "paid_at": made } })
}

fn charge(id: &str, intent: &str, made: i64, cents: i64, failed: bool) -> Value {
    json!({ "id": id, "object": "charge", "customer": "cus_000001", "payment_intent": intent, "amount": cents,
        "amount_captured": if failed { 0 } else { cents }, "amount_refunded": 0, "currency": "usd",
        "status": if failed { "failed" } else { "succeeded" }, "paid": !failed, "captured": !failed, "disputed": false,
        "balance_transaction": (!failed).then(|| format!("txn_{id}")), "created": made,
        "failure_code": failed.then_some("card_declined"), "outcome": { "reason": failed.then_some("insufficient_funds") },
        "payment_method": "pm_1", "payment_method_details": { "type": "card", "card": { "brand": "visa", "last4": "4242",
            "fingerprint": "fp_secret", "exp_month": 12, "exp_year": 2030 } } })
}

/// Three invoices, one of them paid at the second attempt and given back in part, one still a draft.
async fn year(app: &App) -> String {
    let mut log = AccountLog::open(app, 1, true, NOW - 90 * DAY).await;
    log.tell(
        "customer.subscription.created",
        NOW - 90 * DAY,
        &team(1, "active", 2, NOW - 90 * DAY),
        NOW - 90 * DAY,
    )
    .await;
    let made = NOW - 60 * DAY;
    log.tell(
        "invoice.paid",
        made + 60,
        &invoice("in_1", "paid", made, 9_800),
        made + 60,
    )
    .await;
    log.tell(
        "invoice_payment.paid",
        made + 60,
        &link("in_1", "pi_1", made + 60, 9_800),
        made + 60,
    )
    .await;
    log.tell(
        "charge.failed",
        made + 10,
        &charge("ch_0", "pi_1", made + 10, 9_800, true),
        made + 60,
    )
    .await;
    log.tell(
        "charge.succeeded",
        made + 50,
        &charge("ch_1", "pi_1", made + 50, 9_800, false),
        made + 60,
    )
    .await;
    let refund = json!({ "id": "re_1", "object": "refund", "amount": 300, "currency": "usd", "charge": "ch_1",
        "payment_intent": "pi_1", "status": "succeeded", "reason": "requested_by_customer", "created": made + 5 * DAY,
        "balance_transaction": "txn_re_1" });
    log.tell("refund.created", made + 5 * DAY, &refund, made + 5 * DAY)
        .await;
    let note = json!({ "id": "cn_1", "object": "credit_note", "customer": "cus_000001", "invoice": "in_1",
        "number": "CN-1", "total": 300, "amount": 300, "currency": "usd", "status": "issued", "type": "post_payment",
        "reason": "order_change", "created": made + 5 * DAY, "refunds": [{ "refund": "re_1", "amount_refunded": 300 }] });
    log.tell("credit_note.created", made + 5 * DAY, &note, made + 5 * DAY)
        .await;
    let made = NOW - 30 * DAY;
    log.tell(
        "invoice.finalized",
        made + 30,
        &invoice("in_2", "open", made, 9_800),
        made + 30,
    )
    .await;
    log.tell(
        "invoice.created",
        NOW - 60,
        &invoice("in_3", "draft", NOW - 60, 9_800),
        NOW - 50,
    )
    .await;
    let method = json!({ "id": "pm_1", "object": "payment_method", "customer": "cus_000001", "type": "card",
        "card": { "brand": "visa", "last4": "4242", "exp_month": 12, "exp_year": 2030, "fingerprint": "fp_secret" } });
    log.tell("payment_method.attached", NOW - 40, &method, NOW - 40).await;
    let customer = json!({ "id": "cus_000001", "object": "customer", "balance": 0, "currency": "usd",
        "invoice_settings": { "default_payment_method": "pm_1" }, "metadata": {} });
    log.tell("customer.updated", NOW - 30, &customer, NOW - 30).await
}

fn ids(page: &Value) -> Vec<&str> {
    let rows = page["data"].as_array().expect("rows").iter();
    rows.map(|row| row["id"].as_str().expect("an id")).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn invoices_are_listed_newest_first_by_status_and_time_in_pages() {
    for app in App::all().await {
        let last = year(&app).await;
        let list = async |query: &str| read_at(&app, &path(&format!("invoices{query}")), &last).await.json();
        assert_eq!(ids(&list("").await), ["in_3", "in_2", "in_1"]);
        assert_eq!(ids(&list("?status=open").await), ["in_2"]);
        assert_eq!(ids(&list("?status=void").await), Vec::<&str>::new());
        let at = |seconds: i64| aggregates::time::Timestamp::from_seconds(seconds).unwrap();
        let (made, day_after) = (at(NOW - 30 * DAY), at(NOW - 29 * DAY));
        assert_eq!(ids(&list(&format!("?from={made}")).await), ["in_3", "in_2"]);
        assert_eq!(ids(&list(&format!("?to={made}")).await), ["in_1"]);
        assert_eq!(ids(&list(&format!("?from={made}&to={day_after}")).await), ["in_2"]);
        let first = list("?limit=2&count=true").await;
        assert_eq!(
            (ids(&first), &first["page"]["count"]),
            (vec!["in_3", "in_2"], &json!("3"))
        );
        let cursor = first["page"]["next_cursor"].as_str().expect("another page").to_owned();
        let rest = list(&format!("?limit=2&cursor={cursor}")).await;
        assert_eq!((ids(&rest), &rest["page"]["has_more"]), (vec!["in_1"], &json!(false)));
        let other = app
            .operate("GET", &path(&format!("payments?cursor={cursor}")), &Value::Null)
            .await;
        assert_eq!(other.problem(), "invalid-cursor");
        let one = &rest["data"][0];
        assert_eq!(
            (
                &one["status"],
                &one["number"],
                &one["amounts"]["paid"],
                &one["subscription"]
            ),
            (
                &json!("paid"),
                &json!("N-in_1"),
                &json!({ "amount_minor": 9_800, "currency": "USD" }),
                &json!("sub_000001")
            )
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_invoice_tells_its_lines_what_paid_it_and_what_corrects_it() {
    for app in App::all().await {
        let last = year(&app).await;
        let detail = read_at(&app, &path("invoices/in_1"), &last).await.json();
        assert_eq!(
            (
                &detail["lines"][0]["amount"]["amount_minor"],
                &detail["lines"][0]["quantity"]
            ),
            (&json!(9_800), &json!(2))
        );
        assert_eq!(
            (
                &detail["payments"][0]["payment_intent"],
                &detail["payments"][0]["status"]
            ),
            (&json!("pi_1"), &json!("paid"))
        );
        assert_eq!(detail["credit_notes"], json!(["cn_1"]));
        // A draft can still change: it is for the ledger's operators alone.
        assert_eq!(
            app.operate("GET", &path("invoices/in_3"), &Value::Null).await.status,
            200
        );
        let token = portal_token("tenant-000001", "viewer");
        assert_eq!(app.get_as(&token, &path("invoices/in_3")).await.problem(), "not-found");
        let own = app.get_as(&token, "/v1/tenants/me/invoices").await.json();
        assert_eq!(ids(&own), ["in_2", "in_1"]);
        // What is another tenant's is as unknown as what nobody has.
        let other = portal_token("tenant-000002", "admin");
        let foreign = app.get_as(&other, "/v1/tenants/me/invoices/in_1").await;
        let unknown = app.get_as(&other, "/v1/tenants/me/invoices/in_9").await;
        assert_eq!((foreign.status, foreign.problem()), (404, "not-found".to_owned()));
        assert_eq!(foreign.body.len(), unknown.body.len());
        assert_eq!(
            ids(&app.get_as(&other, "/v1/tenants/me/invoices").await.json()),
            Vec::<&str>::new()
        );
        for list in ["payments", "credit-notes"] {
            let page = app.get_as(&other, &format!("/v1/tenants/me/{list}")).await.json();
            assert_eq!(ids(&page), Vec::<&str>::new(), "{list}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn payments_say_what_they_pay_and_why_they_failed() {
    for app in App::all().await {
        let last = year(&app).await;
        let page = read_at(&app, &path("payments"), &last).await.json();
        assert_eq!(ids(&page), ["ch_1", "ch_0"]);
        for payment in page["data"].as_array().expect("rows") {
            assert_eq!(payment["invoice"], "in_1", "by the link of their payment intent");
            assert_eq!(
                payment["payment_method"],
                json!({ "kind": "card", "brand": "visa", "last4": "4242" })
            );
        }
        let failed = &page["data"][1];
        assert_eq!(
            (&failed["status"], &failed["failure_code"], &failed["decline_reason"]),
            (&json!("failed"), &json!("card_declined"), &json!("insufficient_funds"))
        );
        assert_eq!(
            ids(&read_at(&app, &path("payments?status=failed"), &last).await.json()),
            ["ch_0"]
        );
        let refunds = read_at(&app, &path("refunds?count=true"), &last).await.json();
        assert_eq!((ids(&refunds), &refunds["page"]["count"]), (vec!["re_1"], &json!("1")));
        assert_eq!(
            (
                &refunds["data"][0]["payment"],
                &refunds["data"][0]["amount"]["amount_minor"]
            ),
            (&json!("ch_1"), &json!(300))
        );
        let notes = read_at(&app, &path("credit-notes"), &last).await.json();
        assert_eq!(
            (ids(&notes), &notes["data"][0]["invoice"], &notes["data"][0]["refunds"]),
            (vec!["cn_1"], &json!("in_1"), &json!(["re_1"]))
        );
        let method = read_at(&app, &path("payment-method"), &last).await;
        assert_eq!(
            method.json()["payment_method"],
            json!({ "kind": "card", "brand": "visa", "last4": "4242", "exp_month": 12, "exp_year": 2030 })
        );
        assert!(method.header("etag").is_some());
        assert!(!method.text().contains("fp_secret") && !page.to_string().contains("fp_secret"));
        let nobody = app
            .get_as(&portal_token("new", "viewer"), "/v1/tenants/me/payment-method")
            .await;
        assert_eq!((nobody.status, &nobody.json()["payment_method"]), (200, &Value::Null));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pdf_is_a_fresh_link_of_the_own_invoice_alone() {
    for app in App::all().await {
        let last = year(&app).await;
        let link = "https://pay.stripe.example/invoice/acct_1/live_x/pdf?s=ap";
        app.stripe.put(
            "invoices",
            json!({ "id": "in_1", "object": "invoice", "invoice_pdf": link }),
        );
        app.stripe.put(
            "invoices",
            json!({ "id": "in_3", "object": "invoice", "invoice_pdf": null }),
        );
        app.stripe.put(
            "invoices",
            json!({ "id": "in_other", "object": "invoice", "invoice_pdf": link }),
        );
        read_at(&app, &path("invoices"), &last).await;
        let token = portal_token("tenant-000001", "viewer");
        let found = app.get_as(&token, "/v1/tenants/me/invoices/in_1/pdf").await;
        assert_eq!((found.status, found.header("location")), (303, Some(link)));
        assert_eq!((found.header("cache-control"), found.body.len()), (Some("no-store"), 0));
        // Stripe has this one, but it is not the tenant's; a draft has no PDF; Stripe forgot the second.
        for id in ["in_other", "in_2", "in_9"] {
            let none = app.get_as(&token, &format!("/v1/tenants/me/invoices/{id}/pdf")).await;
            assert_eq!(none.problem(), "not-found", "{id}");
        }
        let draft = app.operate("GET", &path("invoices/in_3/pdf"), &Value::Null).await;
        assert_eq!(draft.problem(), "not-found");
        let other = portal_token("tenant-000002", "admin");
        let foreign = app.get_as(&other, "/v1/tenants/me/invoices/in_1/pdf").await;
        assert_eq!(foreign.problem(), "not-found");
        app.stripe.put(
            "invoices",
            json!({ "id": "in_2", "object": "invoice", "invoice_pdf": "javascript:alert(1)" }),
        );
        let evil = app.get_as(&token, "/v1/tenants/me/invoices/in_2/pdf").await;
        assert_eq!(
            (evil.problem(), evil.header("location")),
            ("stripe-unavailable".to_owned(), None)
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_next_invoice_is_asked_of_stripe_and_its_failures_are_named() {
    for app in App::all().await {
        let token = portal_token("tenant-000001", "viewer");
        let ask = async || app.get_as(&token, "/v1/tenants/me/upcoming-invoice").await;
        let nothing = ask().await;
        assert_eq!((nothing.status, &nothing.json()["invoice"]), (200, &Value::Null));
        let last = year(&app).await;
        read_at(&app, &path("subscription"), &last).await;
        let mut preview = invoice("upcoming_in_1", "draft", NOW + DAY, 9_800);
        preview["next_payment_attempt"] = (NOW + DAY + 3_600).into();
        app.stripe.put("previews", preview);
        let next = ask().await.json();
        assert_eq!(
            next["invoice"]["amounts"]["total"],
            json!({ "amount_minor": 9_800, "currency": "USD" })
        );
        assert_eq!(next["invoice"]["lines"][0]["quantity"], 2);
        let at = aggregates::time::Timestamp::from_seconds(NOW + DAY + 3_600).unwrap();
        assert_eq!(next["invoice"]["collected_at"], at.to_string());
        assert_eq!(
            app.stripe.keyless(),
            0,
            "a preview is asked for by POST, which never goes without a key"
        );
        // A connection that broke is tried once more; what lasts is told.
        app.stripe.fail(Fault::Cut);
        assert_eq!(ask().await.status, 200);
        for (fault, times, problem) in [
            (Fault::Cut, 2, "stripe-unavailable"),
            (Fault::Failure, 2, "stripe-unavailable"),
            (Fault::Unauthorized, 1, "stripe-unavailable"),
            (Fault::TooMany(Some(7)), 1, "stripe-busy"),
            (Fault::Slow(60_000), 1, "stripe-timeout"),
        ] {
            for _ in 0..times {
                app.stripe.fail(fault.clone());
            }
            let answer = ask().await;
            assert_eq!(answer.problem(), problem, "{fault:?}");
            let busy = problem == "stripe-busy";
            assert_eq!(answer.header("retry-after"), busy.then_some("7"), "{fault:?}");
            assert_eq!(
                answer.status,
                if busy {
                    503
                } else if problem == "stripe-timeout" {
                    504
                } else {
                    502
                }
            );
        }
        assert_eq!(ask().await.status, 200, "Stripe is back, and nothing was left over");
    }
}

/// A trial that ends soon, an invoice that fails and wants to be confirmed, a dispute.
async fn troubled(app: &App) -> String {
    let mut log = AccountLog::open(app, 1, true, NOW - 90 * DAY).await;
    let mut object = team(1, "trialing", 2, NOW - 10 * DAY);
    object["trial_start"] = (NOW - 10 * DAY).into();
    object["trial_end"] = (NOW + 3 * DAY).into();
    log.tell("customer.subscription.created", NOW - 10 * DAY, &object, NOW - 10 * DAY)
        .await;
    log.tell(
        "customer.subscription.trial_will_end",
        NOW - 9 * DAY,
        &object,
        NOW - 9 * DAY,
    )
    .await;
    let mut upcoming = invoice("in_none", "draft", NOW - 8 * DAY, 9_800);
    upcoming["id"] = Value::Null;
    upcoming["next_payment_attempt"] = (NOW + 3 * DAY).into();
    log.tell("invoice.upcoming", NOW - 8 * DAY, &upcoming, NOW - 8 * DAY)
        .await;
    let mut failed = invoice("in_5", "open", NOW - 7 * DAY, 9_800);
    failed["next_payment_attempt"] = (NOW + DAY).into();
    log.tell("invoice.payment_failed", NOW - 7 * DAY, &failed, NOW - 7 * DAY)
        .await;
    let mut confirm = failed.clone();
    confirm["attempt_count"] = 2.into();
    confirm["next_payment_attempt"] = Value::Null;
    log.tell(
        "invoice.payment_action_required",
        NOW - 6 * DAY,
        &confirm,
        NOW - 6 * DAY,
    )
    .await;
    let paid = charge("ch_1", "pi_1", NOW - 5 * DAY, 9_800, false);
    log.tell("charge.succeeded", NOW - 5 * DAY, &paid, NOW - 5 * DAY).await;
    let dispute = json!({ "id": "dp_1", "object": "dispute", "charge": "ch_1", "payment_intent": "pi_1", "amount": 9_800,
        "currency": "usd", "status": "needs_response", "reason": "fraudulent", "created": NOW - 4 * DAY,
        "evidence_details": { "due_by": NOW + 9 * DAY }, "balance_transactions": [] });
    log.tell("charge.dispute.created", NOW - 4 * DAY, &dispute, NOW - 4 * DAY)
        .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_history_says_what_wants_attention_and_keeps_the_reasons_of_banks() {
    for app in App::all().await {
        let last = troubled(&app).await;
        let token = format!("Bearer {}", portal_token("tenant-000001", "viewer"));
        let headers = [("authorization", &*token), ("ledger-min-position", &*last)];
        let path = "/v1/tenants/me/subscription/history?count=true";
        let page = app.call("GET", path, &headers, "").await;
        let told = page.json();
        let entries = told["data"].as_array().expect("entries");
        let at = |seconds: i64| json!(aggregates::time::Timestamp::from_seconds(seconds).unwrap().to_string());
        let alerts: Vec<(Value, Value)> = entries
            .iter()
            .filter(|entry| entry.get("alert").is_some())
            .map(|entry| (entry["alert"]["kind"].clone(), entry["alert"]["at"].clone()))
            .collect();
        assert_eq!(
            alerts,
            [
                (json!("dispute_opened"), Value::Null),
                (json!("action_required"), Value::Null),
                (json!("payment_failed"), at(NOW + DAY)),
                (json!("upcoming_invoice"), at(NOW + 3 * DAY)),
                (json!("trial_ending"), at(NOW + 3 * DAY)),
            ]
        );
        let disputed = &entries[0];
        assert_eq!(disputed["event"], "dispute_opened");
        assert_eq!(disputed["amount"], json!({ "amount_minor": 9_800, "currency": "USD" }));
        assert!(
            !page.text().contains("fraudulent") && !page.text().contains("dp_1"),
            "{}",
            page.text()
        );
        assert_eq!(told["page"]["count"], entries.len().to_string());
    }
}

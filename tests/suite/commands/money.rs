//! Invoices paid, money given back, a subscription made, a change planned: each with the calls it takes.

use serde_json::{Value, json};

use super::portal::{Portal, bare, team};
use crate::stripe_api::Fault;
use crate::support::{stores, stripe};

fn invoice(status: &str, remaining: i64) -> Value {
    json!({ "id": "in_1", "object": "invoice", "customer": "cus_000001", "status": status, "currency": "usd",
        "amount_due": 4900, "amount_paid": 4900 - remaining, "amount_remaining": remaining, "total": 4900,
        "subtotal": 4900, "created": stripe::now() - 700, "livemode": false,
        "lines": { "object": "list", "has_more": false, "data": [] }, "metadata": { "tenant_id": "tenant-000001" } })
}

fn charge() -> Value {
    json!({ "id": "ch_1", "object": "charge", "amount": 4900, "amount_captured": 4900, "amount_refunded": 0,
        "currency": "usd", "customer": "cus_000001", "status": "succeeded", "captured": true, "paid": true,
        "disputed": false, "created": stripe::now() - 600, "livemode": false, "payment_intent": "pi_1" })
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invoice_is_paid_and_money_given_back_once() {
    for store in stores().await {
        let portal = Portal::open(store).await;
        portal.subscribed(1, team(1, 1)).await;
        portal.stripe.put("invoices", invoice("open", 4900));
        portal
            .tell("invoice.finalized", stripe::now() - 700, &invoice("open", 4900), None)
            .await;
        portal
            .tell("charge.succeeded", stripe::now() - 600, &charge(), None)
            .await;
        portal.server.settled().await;
        portal.stripe.fail(Fault::Declined);
        let declined = portal.accepted(1, "invoices/in_1/pay", &bare()).await;
        let told = portal.until(1, &declined, "rejected").await;
        assert_eq!(told["problem"]["code"], "stripe-declined");
        portal.stripe.fail(Fault::LostReply);
        let paid = portal.accepted(1, "invoices/in_1/pay", &bare()).await;
        portal.until(1, &paid, "applied").await;
        portal
            .tell("invoice.paid", stripe::now(), &invoice("paid", 0), Some(&paid))
            .await;
        portal.until(1, &paid, "confirmed").await;

        let body = json!({ "payment": "ch_1", "amount_minor": 1_000, "reason": "requested_by_customer" });
        portal.stripe.fail(Fault::LostReply);
        let refund = portal.accepted(1, "refunds", &body).await;
        let applied = portal.until(1, &refund, "applied").await;
        let form = "amount=1000&metadata[subledger_intent]=ID&payment_intent=pi_1&reason=requested_by_customer";
        assert_eq!(portal.form(&refund), form.replace("ID", &refund));
        // The object its call made names it as well as an echo does.
        let made = applied["stripe"]["object"].as_str().expect("a refund").to_owned();
        let object = json!({ "id": made, "object": "refund", "charge": "ch_1", "payment_intent": "pi_1", "amount": 1000,
            "currency": "usd", "status": "succeeded", "created": stripe::now(), "reason": "requested_by_customer" });
        portal.tell("refund.created", stripe::now(), &object, None).await;
        portal.until(1, &refund, "confirmed").await;
        portal.effects_are_single();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subscription_is_made_with_its_customer_before_it() {
    for store in stores().await {
        let portal = Portal::open(store).await;
        let bearer = format!("Bearer {}", portal.server.admin_token());
        let headers = [("Authorization", &*bearer), ("Content-Type", "application/json")];
        let body = br#"{"name":"Acme","email":"a@b.example"}"#;
        let made = portal
            .server
            .send("PUT", "/v1/tenants/tenant-000009", &headers, body)
            .await;
        assert_eq!(made.status, 201);
        // Both replies are lost: each is asked for again under its own key.
        portal.stripe.fail(Fault::LostReply);
        portal.stripe.fail_after(1, Fault::LostReply);
        let id = portal
            .accepted(
                9,
                "subscription",
                &json!({ "plan": "team", "quantity": 2, "trial_days": 7 }),
            )
            .await;
        let applied = portal.until(9, &id, "applied").await;
        let first = portal.form(&format!("{id}.0"));
        let wanted = "email=a@b.example&metadata[subledger_intent]=ID&metadata[tenant_id]=tenant-000009&name=Acme";
        assert_eq!(first, wanted.replace("ID", &id));
        let form = portal.form(&id);
        for part in [
            "customer=customers_1",
            "items[0][price]=price_team_month&items[0][quantity]=2",
            "trial_period_days=7",
            "payment_behavior=default_incomplete",
        ] {
            assert!(form.contains(part), "{form}");
        }
        portal.server.settled().await;
        let tenant = portal.server.get("/v1/tenants/tenant-000009").await;
        assert_eq!(tenant["stripe"]["customer"], "customers_1");
        // Until it is paid the command says where.
        let mut open = portal
            .stripe
            .find("subscriptions", applied["stripe"]["object"].as_str().unwrap());
        open["latest_invoice"] = json!({ "status": "open", "hosted_invoice_url": "https://pages.stripe.example/pay" });
        portal.stripe.replace("subscriptions", open);
        assert_eq!(
            portal.command(9, &id).await["pay_url"],
            "https://pages.stripe.example/pay"
        );
        // While it is not seen, another one is refused.
        let again = portal.ask(9, "subscription", &json!({ "plan": "team" })).await;
        assert_eq!(
            (again.status, &again.json()["rejection"]),
            (409, &json!("SubscriptionPending"))
        );
        let mut object = team(9, 2);
        object["id"] = applied["stripe"]["object"].clone();
        object["customer"] = json!("customers_1");
        portal
            .tell("customer.subscription.created", stripe::now(), &object, None)
            .await;
        let confirmed = portal.until(9, &id, "confirmed").await;
        assert_eq!(confirmed["pay_url"], Value::Null, "it is paid");
        portal.effects_are_single();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_for_the_end_of_the_period_is_a_schedule_that_can_be_withdrawn() {
    for store in stores().await {
        let portal = Portal::open(store).await;
        let object = team(1, 1);
        portal.subscribed(1, object.clone()).await;
        portal.stripe.fail(Fault::LostReply);
        let id = portal
            .accepted(
                1,
                "subscription/change-plan",
                &json!({ "plan": "enterprise", "effective": "period_end" }),
            )
            .await;
        portal.until(1, &id, "applied").await;
        assert_eq!(portal.form(&format!("{id}.1")), "from_subscription=sub_000001");
        let form = portal.form(&id);
        for part in [
            "phases[0][items][0][price]=price_team_month",
            "phases[1][items][0][price]=price_enterprise_month",
            "end_behavior=release",
        ] {
            assert!(form.contains(part), "{form}");
        }
        let target = portal.sent(&id).pop().unwrap().target;
        assert_eq!(target, "/v1/subscription_schedules/subscription_schedules_1");
        let (start, end) = (
            &object["items"]["data"][0]["current_period_start"],
            &object["items"]["data"][0]["current_period_end"],
        );
        let phase = |price: &str, from: &Value, to: &Value| json!({ "start_date": from, "end_date": to, "items": [{ "price": price, "quantity": 1 }] });
        let schedule = json!({ "id": "subscription_schedules_1", "object": "subscription_schedule", "status": "active",
            "customer": "cus_000001", "subscription": "sub_000001", "created": stripe::now(), "livemode": false,
            "end_behavior": "release", "current_phase": { "start_date": start, "end_date": end },
            "phases": [phase("price_team_month", start, end), phase("price_enterprise_month", end, &json!(end.as_i64().unwrap() + 2_592_000))] });
        portal
            .tell("subscription_schedule.updated", stripe::now(), &schedule, Some(&id))
            .await;
        portal.until(1, &id, "confirmed").await;
        portal.server.settled().await;
        let standing = portal.get(1, "subscription").await;
        assert_eq!(standing["pending_change"]["plan"]["code"], "enterprise", "{standing}");
        assert_eq!(standing["plan"]["code"], "team");
        let withdrawn = portal.accepted(1, "subscription/withdraw-change", &bare()).await;
        portal.until(1, &withdrawn, "applied").await;
        let target = portal.sent(&withdrawn).pop().unwrap().target;
        assert_eq!(target, "/v1/subscription_schedules/subscription_schedules_1/release");
        let mut released = schedule.clone();
        released["status"] = json!("released");
        portal
            .tell(
                "subscription_schedule.released",
                stripe::now(),
                &released,
                Some(&withdrawn),
            )
            .await;
        portal.until(1, &withdrawn, "confirmed").await;
        portal.server.settled().await;
        assert_eq!(portal.get(1, "subscription").await["pending_change"], Value::Null);
        portal.effects_are_single();
    }
}

//! Subscriptions and invoices: what adds up, and what happens at which time.

use serde_json::{Value, json};

use crate::support::{Ask, Direct, NOW, call, fresh, id};

const DAY: i64 = 86_400;

/// A customer on a test clock with this card, and a price of this amount per month.
fn start(state: &mut Direct, card: &str, amount: i64) -> (String, String, String) {
    let clock = id(&state.post("/v1/test_helpers/test_clocks", &format!("frozen_time={NOW}")));
    let form = if card.is_empty() {
        format!("test_clock={clock}")
    } else {
        format!("test_clock={clock}&payment_method={card}&invoice_settings[default_payment_method]={card}")
    };
    let customer = id(&state.post("/v1/customers", &form));
    let price = monthly(state, amount);
    (clock, customer, price)
}

fn monthly(state: &mut Direct, amount: i64) -> String {
    let form = format!("currency=usd&unit_amount={amount}&recurring[interval]=month&product_data[name]=Plan");
    id(&state.post("/v1/prices", &form))
}

fn advance(state: &mut Direct, clock: &str, to: i64) {
    let path = format!("/v1/test_helpers/test_clocks/{clock}");
    let mut now = state.get(&path)["frozen_time"].as_i64().unwrap();
    while now < to {
        // Two months at most at a time.
        now = (now + 50 * DAY).min(to);
        state.post(&format!("{path}/advance"), &format!("frozen_time={now}"));
    }
}

fn subscribe(state: &mut Direct, customer: &str, price: &str, more: &str) -> Value {
    state.post(
        "/v1/subscriptions",
        &format!("customer={customer}&items[0][price]={price}{more}"),
    )
}

fn invoices(state: &mut Direct, customer: &str) -> Vec<Value> {
    let listed = state.get(&format!("/v1/invoices?customer={customer}&limit=100"));
    listed["data"].as_array().unwrap().clone()
}

fn sub(state: &mut Direct, id: &str) -> Value {
    state.get(&format!("/v1/subscriptions/{id}"))
}

/// total = lines - discounts + added taxes, on every invoice.
fn adds_up(invoice: &Value) {
    let sum = |list: &Value, name: &str| -> i64 {
        let each = list.as_array().unwrap().iter();
        each.map(|one| one[name].as_i64().unwrap()).sum()
    };
    let taxes = invoice["total_taxes"].as_array().unwrap().iter();
    let added: i64 = taxes
        .filter(|tax| tax["tax_behavior"] == "exclusive")
        .map(|tax| tax["amount"].as_i64().unwrap())
        .sum();
    let lines = sum(&invoice["lines"]["data"], "amount");
    let off = sum(&invoice["total_discount_amounts"], "amount");
    assert_eq!(invoice["total"], lines - off + added, "{invoice}");
    assert_eq!(invoice["subtotal"], lines);
}

#[test]
fn a_subscription_is_paid_and_renews_on_the_last_day_of_each_month_for_a_year() {
    let mut state = fresh();
    let (clock, customer, price) = start(&mut state, "pm_card_visa", 1000);
    let made = subscribe(&mut state, &customer, &price, "");
    assert_eq!(made["status"], "active");
    advance(&mut state, &clock, NOW + 366 * DAY);
    let all = invoices(&mut state, &customer);
    assert_eq!(all.len(), 13);
    all.iter().for_each(adds_up);
    assert!(
        all.iter()
            .all(|invoice| invoice["status"] == "paid" && invoice["amount_paid"] == 1000)
    );
    let days: Vec<String> = all
        .iter()
        .rev()
        .take(4)
        .map(|invoice| {
            let start = invoice["lines"]["data"][0]["period"]["start"].as_i64().unwrap();
            chrono::DateTime::from_timestamp(start, 0)
                .unwrap()
                .format("%m-%d")
                .to_string()
        })
        .collect();
    assert_eq!(days, ["01-31", "02-28", "03-31", "04-30"]);
    let renewal = &all[0];
    assert_eq!(renewal["billing_reason"], "subscription_cycle");
    let finalized = renewal["status_transitions"]["finalized_at"].as_i64().unwrap();
    assert_eq!(finalized - renewal["created"].as_i64().unwrap(), 3600);
    let charged = state.get("/v1/charges?limit=100")["data"].as_array().unwrap().len();
    assert_eq!(charged, 13);
    assert!(state.events().iter().filter(|kind| *kind == "invoice.upcoming").count() >= 12);
}

#[test]
fn up_and_down_in_the_same_second_comes_to_nothing() {
    let mut state = fresh();
    let (clock, customer, price) = start(&mut state, "pm_card_visa", 999);
    let dear = monthly(&mut state, 2503);
    state.post("/v1/coupons", "id=HALF&percent_off=33&duration=once");
    let made = subscribe(&mut state, &customer, &price, "&discounts[0][coupon]=HALF");
    assert_eq!(invoices(&mut state, &customer)[0]["total"], 999 - 330);
    advance(&mut state, &clock, NOW + 11 * DAY + 12_345);
    let (path, item) = (
        format!("/v1/subscriptions/{}", id(&made)),
        id(&made["items"]["data"][0]),
    );
    for to in [&dear, &price] {
        state.post(&path, &format!("items[0][id]={item}&items[0][price]={to}"));
    }
    let items = state.get(&format!("/v1/invoiceitems?customer={customer}"));
    let amounts: Vec<i64> = items["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| item["amount"].as_i64().unwrap())
        .collect();
    assert_eq!(amounts.len(), 4);
    assert!(amounts.iter().all(|amount| *amount != 0));
    assert_eq!(amounts.iter().sum::<i64>(), 0);
    // Invoiced at once, the difference is charged.
    let form = format!("items[0][id]={item}&items[0][price]={dear}&proration_behavior=always_invoice");
    let changed = state.post(&path, &form);
    let latest = state.get(&format!("/v1/invoices/{}", changed["latest_invoice"].as_str().unwrap()));
    assert_eq!(
        (&latest["status"], &latest["billing_reason"]),
        (&json!("paid"), &json!("subscription_update"))
    );
    assert!(latest["total"].as_i64().unwrap() > 0);
    adds_up(&latest);
}

#[test]
fn discounts_and_taxes_add_up() {
    let mut state = fresh();
    let (_, customer, price) = start(&mut state, "pm_card_visa", 1001);
    let added = id(&state.post("/v1/tax_rates", "display_name=V&percentage=19&inclusive=false"));
    let within = id(&state.post("/v1/tax_rates", "display_name=W&percentage=7.7&inclusive=true"));
    state.post("/v1/coupons", "id=P&percent_off=12.5&duration=forever");
    state.post("/v1/coupons", "id=A&amount_off=77&currency=usd&duration=forever");
    let more = format!(
        "&items[0][quantity]=3&items[0][tax_rates][]={added}&items[1][price]={price}&items[1][tax_rates][]={within}\
         &discounts[0][coupon]=P&discounts[1][coupon]=A"
    );
    subscribe(&mut state, &customer, &price, &more);
    let invoice = invoices(&mut state, &customer).remove(0);
    adds_up(&invoice);
    assert_eq!(invoice["total_discount_amounts"][0]["amount"], 501);
    assert_eq!(invoice["total_discount_amounts"][1]["amount"], 77);
    assert_eq!(invoice["total_taxes"].as_array().unwrap().len(), 2);
    assert_eq!(invoice["amount_paid"], invoice["total"]);
}

#[test]
fn a_failed_renewal_is_retried_and_ends_as_the_account_is_set_or_recovers() {
    let mut state = fresh();
    let (clock, customer, price) = start(&mut state, "pm_card_visa", 1000);
    let made = subscribe(&mut state, &customer, &price, "");
    let path = format!("/v1/subscriptions/{}", id(&made));
    let attached = state.post(
        "/v1/payment_methods/pm_card_chargeCustomerFail/attach",
        &format!("customer={customer}"),
    );
    state.post(&path, &format!("default_payment_method={}", id(&attached)));
    advance(&mut state, &clock, NOW + 29 * DAY);
    let failed = invoices(&mut state, &customer).remove(0);
    assert_eq!(
        (&failed["status"], &failed["attempt_count"]),
        (&json!("open"), &json!(1))
    );
    let next = failed["next_payment_attempt"].as_i64().unwrap();
    assert_eq!(next, failed["created"].as_i64().unwrap() + 3600 + 3 * DAY);
    assert_eq!(state.get(&path)["status"], "past_due");
    assert_eq!(state.get(&format!("/v1/customers/{customer}"))["delinquent"], true);
    let error = state.refused(402, "POST", &format!("/v1/invoices/{}/pay", id(&failed)), "");
    assert_eq!(error["code"], "card_declined");
    let paid = state.post(
        &format!("/v1/invoices/{}/pay", id(&failed)),
        "payment_method=pm_card_visa",
    );
    assert_eq!((&paid["status"], &paid["attempt_count"]), (&json!("paid"), &json!(1)));
    assert_eq!(state.get(&path)["status"], "active");
    assert_eq!(state.get(&format!("/v1/customers/{customer}"))["delinquent"], false);
    advance(&mut state, &clock, NOW + 80 * DAY);
    let failed = invoices(&mut state, &customer).remove(0);
    assert_eq!(
        (&failed["attempt_count"], &failed["next_payment_attempt"]),
        (&json!(4), &Value::Null)
    );
    let ended = state.get(&path);
    assert_eq!(
        (&ended["status"], &ended["cancellation_details"]["reason"]),
        (&json!("canceled"), &json!("payment_failed"))
    );
    let kinds = state.events();
    assert_eq!(kinds.last().map(String::as_str), Some("test_helpers.test_clock.ready"));
    assert_eq!(
        kinds
            .iter()
            .filter(|kind| *kind == "customer.subscription.deleted")
            .count(),
        1
    );
}

#[test]
fn a_trial_without_a_card_has_three_ends() {
    for (missing, status) in [
        ("create_invoice", "past_due"),
        ("cancel", "canceled"),
        ("pause", "paused"),
    ] {
        let mut state = fresh();
        let (clock, customer, price) = start(&mut state, "", 1000);
        let more = format!("&trial_period_days=14&trial_settings[end_behavior][missing_payment_method]={missing}");
        let made = subscribe(&mut state, &customer, &price, &more);
        assert_eq!(
            (&made["status"], &made["trial_end"]),
            (&json!("trialing"), &json!(NOW + 14 * DAY))
        );
        let first = invoices(&mut state, &customer).remove(0);
        assert_eq!((&first["status"], &first["total"]), (&json!("paid"), &json!(0)));
        advance(&mut state, &clock, NOW + 12 * DAY);
        assert!(
            state
                .events()
                .contains(&"customer.subscription.trial_will_end".to_owned())
        );
        advance(&mut state, &clock, NOW + 15 * DAY);
        assert_eq!(sub(&mut state, &id(&made))["status"], status, "{missing}");
        if missing == "pause" {
            state.post(&format!("/v1/customers/{customer}"), "source=tok_visa");
            let resumed = state.post(&format!("/v1/subscriptions/{}/resume", id(&made)), "");
            assert_eq!(resumed["status"], "active");
            assert!(state.events().contains(&"customer.subscription.resumed".to_owned()));
        }
    }
}

#[test]
fn a_first_invoice_that_nobody_pays_is_void_after_23_hours() {
    let mut state = fresh();
    let (clock, customer, price) = start(&mut state, "", 1000);
    let none = format!("customer={customer}&items[0][price]={price}");
    state.refused(400, "POST", "/v1/subscriptions", &none);
    assert!(invoices(&mut state, &customer).is_empty(), "nothing stays");
    let made = subscribe(&mut state, &customer, &price, "&payment_behavior=default_incomplete");
    assert_eq!(made["status"], "incomplete");
    advance(&mut state, &clock, NOW + 23 * 3600 - 1);
    assert_eq!(sub(&mut state, &id(&made))["status"], "incomplete");
    advance(&mut state, &clock, NOW + 23 * 3600);
    assert_eq!(sub(&mut state, &id(&made))["status"], "incomplete_expired");
    assert_eq!(invoices(&mut state, &customer)[0]["status"], "void");
}

#[test]
fn cancellation_pause_and_balance() {
    let mut state = fresh();
    let (clock, customer, price) = start(&mut state, "pm_card_visa", 3100);
    state.post(
        &format!("/v1/customers/{customer}/balance_transactions"),
        "amount=-500&currency=usd",
    );
    let made = subscribe(&mut state, &customer, &price, "");
    let first = invoices(&mut state, &customer).remove(0);
    assert_eq!(
        (
            &first["amount_due"],
            &first["starting_balance"],
            &first["ending_balance"]
        ),
        (&json!(2600), &json!(-500), &json!(0))
    );
    let path = format!("/v1/subscriptions/{}", id(&made));
    state.post(&path, "pause_collection[behavior]=void");
    advance(&mut state, &clock, NOW + 30 * DAY);
    assert_eq!(invoices(&mut state, &customer)[0]["status"], "void");
    assert_eq!(state.post(&path, "pause_collection=")["pause_collection"], Value::Null);
    let ends = state.post(&path, "cancel_at_period_end=true");
    assert_eq!(ends["cancel_at"], ends["items"]["data"][0]["current_period_end"]);
    let goes_on = state.post(&path, "cancel_at_period_end=false");
    assert_eq!(
        (&goes_on["cancel_at"], &goes_on["canceled_at"]),
        (&Value::Null, &Value::Null)
    );
    let over = state
        .ask(&call("DELETE", &format!("{path}?prorate=true&invoice_now=true"), ""))
        .value();
    assert_eq!(over["status"], "canceled");
    let last = invoices(&mut state, &customer).remove(0);
    assert!(last["total"].as_i64().unwrap() < 0, "{last}");
    let balance = state.get(&format!("/v1/customers/{customer}"))["balance"].clone();
    assert_eq!(balance, last["total"]);
    state.refused(404, "DELETE", &path, "");
}

#[test]
fn an_update_that_must_be_paid_waits_for_it() {
    let mut state = fresh();
    let (_, customer, price) = start(&mut state, "pm_card_visa", 1000);
    let made = subscribe(&mut state, &customer, &price, "");
    let path = format!("/v1/subscriptions/{}", id(&made));
    let bad = state.post(
        "/v1/payment_methods/pm_card_chargeCustomerFail/attach",
        &format!("customer={customer}"),
    );
    state.post(&path, &format!("default_payment_method={}", id(&bad)));
    let item = id(&made["items"]["data"][0]);
    let form = format!(
        "items[0][id]={item}&items[0][quantity]=4&proration_behavior=always_invoice&payment_behavior=pending_if_incomplete"
    );
    let waits = state.post(&path, &form);
    assert_eq!(
        (&waits["status"], &waits["items"]["data"][0]["quantity"]),
        (&json!("active"), &json!(1))
    );
    assert_eq!(waits["pending_update"]["subscription_items"][0]["quantity"], 4);
    let invoice = waits["latest_invoice"].as_str().unwrap().to_owned();
    state.post(&format!("/v1/invoices/{invoice}/pay"), "payment_method=pm_card_visa");
    let done = state.get(&path);
    assert_eq!(
        (&done["items"]["data"][0]["quantity"], &done["pending_update"]),
        (&json!(4), &Value::Null)
    );
    assert!(
        state
            .events()
            .contains(&"customer.subscription.pending_update_applied".to_owned())
    );
}

#[test]
fn a_preview_leaves_nothing_and_says_what_will_be() {
    let mut state = fresh();
    let (_, customer, price) = start(&mut state, "pm_card_visa", 1000);
    let made = subscribe(&mut state, &customer, &price, "");
    let (sub_id, item) = (id(&made), id(&made["items"]["data"][0]));
    state.post("/v1/coupons", "id=C&percent_off=10&max_redemptions=1");
    let before = state.get("/_sandbox/truth");
    let form = format!("subscription={sub_id}&discounts[0][coupon]=C");
    assert_eq!(state.post("/v1/invoices/create_preview", &form)["total"], 900);
    let form = format!(
        "subscription={sub_id}&subscription_details[items][0][id]={item}&subscription_details[items][0][quantity]=3"
    );
    let preview = state.post("/v1/invoices/create_preview", &form);
    adds_up(&preview);
    assert_eq!(preview["total"], 5000);
    let old = call(
        "GET",
        &format!("/v1/invoices/upcoming?subscription={sub_id}&subscription_items[0][id]={item}&subscription_items[0][quantity]=3"),
        "",
    )
    .header("stripe-version", "2025-02-24.acacia");
    let old = state.apply(&old).value();
    assert_eq!((&old["total"], &old["subscription"]), (&json!(5000), &json!(sub_id)));
    assert_eq!(state.get("/_sandbox/truth"), before);
}

#[test]
fn the_same_seed_and_calls_give_the_same_bytes() {
    let year = || {
        let mut state = fresh();
        let (clock, customer, price) = start(&mut state, "pm_card_visa", 1000);
        subscribe(&mut state, &customer, &price, "");
        advance(&mut state, &clock, NOW + 100 * DAY);
        state.get("/_sandbox/journal").to_string()
    };
    assert_eq!(year(), year());
}

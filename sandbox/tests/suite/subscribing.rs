//! Subscriptions as people get and change them: over Checkout, in the portal, on the page of an invoice.

use serde_json::{Value, json};

use crate::browse::{Browse, Shown, card, leads, local};
use crate::support::{Ask, Direct, NOW, call, fresh, id};

const DAY: i64 = 86_400;
const DONE: &str = "success_url=https://host.example/done&cancel_url=https://host.example/back";

/// A product with a price of so much a month.
fn plan(state: &mut Direct, name: &str, amount: i64) -> String {
    let product = id(&state.post("/v1/products", &format!("name={name}")));
    id(&state.post(
        "/v1/prices",
        &format!("product={product}&currency=usd&unit_amount={amount}&recurring[interval]=month"),
    ))
}

fn session(state: &mut Direct, price: &str, more: &str) -> Value {
    let form = format!("mode=subscription&{DONE}&line_items[0][price]={price}&line_items[0][quantity]=3{more}");
    state.post("/v1/checkout/sessions", &form)
}

fn again(state: &mut Direct, session: &Value) -> Value {
    state.get(&format!("/v1/checkout/sessions/{}", id(session)))
}

fn url(session: &Value) -> String {
    local(session["url"].as_str().unwrap_or_else(|| panic!("no url: {session}")))
}

fn pay_with(number: &str) -> Vec<(&'static str, &str)> {
    let mut fields = vec![("act", "pay"), ("email", "ana@example.com"), ("name", "Ana")];
    fields.extend(card(number));
    fields
}

fn subscription(state: &mut Direct, session: &Value) -> Value {
    let id = session["subscription"]
        .as_str()
        .unwrap_or_else(|| panic!("no subscription: {session}"));
    state.get(&format!(
        "/v1/subscriptions/{id}?expand[]=latest_invoice&expand[]=default_payment_method"
    ))
}

fn count(state: &mut Direct, kind: &str) -> usize {
    state.events().iter().filter(|found| *found == kind).count()
}

#[test]
fn a_subscription_is_bought_and_paid() {
    let mut state = fresh();
    let team = plan(&mut state, "Team", 4900);
    let made = session(
        &mut state,
        &team,
        "&subscription_data[metadata][tenant]=t1&client_reference_id=t1",
    );
    let page = state.open(&url(&made));
    let text = page.text();
    for words in [
        "Subscribe to Team",
        "3 × 49.00 USD per month",
        "Then 147.00 USD every month",
        "Subscribe and pay 147.00 USD",
    ] {
        assert!(text.contains(words), "{words} in {text}");
    }
    assert_eq!(
        state.follow(&url(&made), &pay_with("4242424242424242")),
        "https://host.example/done"
    );
    let done = again(&mut state, &made);
    assert_eq!(
        (&done["status"], &done["payment_status"], &done["amount_total"]),
        (&json!("complete"), &json!("paid"), &json!(14_700))
    );
    let bought = subscription(&mut state, &done);
    assert_eq!(
        (&bought["status"], &bought["metadata"]["tenant"]),
        (&json!("active"), &json!("t1"))
    );
    assert_eq!(bought["items"]["data"][0]["quantity"], 3);
    assert_eq!(bought["default_payment_method"]["card"]["last4"], "4242");
    assert_eq!(bought["default_payment_method"]["customer"], done["customer"]);
    let invoice = &bought["latest_invoice"];
    assert_eq!(
        (&invoice["status"], &invoice["total"], &invoice["id"]),
        (&json!("paid"), &json!(14_700), &done["invoice"])
    );
    let customer = state.get(&format!("/v1/customers/{}", done["customer"].as_str().unwrap()));
    assert_eq!(
        (&customer["email"], &customer["name"]),
        (&json!("ana@example.com"), &json!("Ana"))
    );
    for kind in [
        "customer.created",
        "customer.subscription.created",
        "invoice.paid",
        "checkout.session.completed",
        "payment_method.attached",
    ] {
        assert_eq!(count(&mut state, kind), 1, "{kind}");
    }
    assert_eq!(state.events().last().unwrap(), "checkout.session.completed");
}

#[test]
fn a_trial_begins_with_a_card_or_without() {
    let mut state = fresh();
    let team = plan(&mut state, "Team", 4900);
    let trial = "&subscription_data[trial_period_days]=14&subscription_data[trial_settings][end_behavior][missing_payment_method]=pause";
    let made = session(&mut state, &team, trial);
    assert_eq!(made["amount_total"], 0);
    let page = state.open(&url(&made));
    let text = page.text();
    for words in [
        "14 days free , then 147.00 USD every month from 14 February 2026",
        "Due today 0.00 USD",
        "Start trial",
    ] {
        assert!(text.contains(words), "{words} in {text}");
    }
    let page = Shown::of(&state.send(&url(&made), &pay_with("4000000000000002")));
    assert_eq!(page.error_of("card[number]"), "Your card was declined.");
    assert_eq!(count(&mut state, "customer.subscription.created"), 0);
    state.follow(&url(&made), &pay_with("4242424242424242"));
    let done = again(&mut state, &made);
    assert_eq!(
        (&done["status"], &done["payment_status"]),
        (&json!("complete"), &json!("no_payment_required"))
    );
    let bought = subscription(&mut state, &done);
    assert_eq!(
        (&bought["status"], &bought["trial_end"]),
        (&json!("trialing"), &json!(NOW + 14 * DAY))
    );
    assert_eq!(
        bought["trial_settings"]["end_behavior"]["missing_payment_method"],
        "pause"
    );
    assert_eq!(bought["default_payment_method"]["card"]["last4"], "4242");
    assert_eq!(bought["latest_invoice"]["total"], 0);

    let made = session(
        &mut state,
        &team,
        &format!("{trial}&payment_method_collection=if_required&customer_email=b@example.com"),
    );
    let page = state.open(&url(&made));
    assert!(!page.has("card[number]") && !page.has("email") && page.text().contains("b@example.com"));
    state.follow(&url(&made), &[("act", "pay")]);
    let done = again(&mut state, &made);
    let bought = subscription(&mut state, &done);
    assert_eq!(
        (&bought["status"], &bought["default_payment_method"]),
        (&json!("trialing"), &Value::Null)
    );
}

#[test]
fn a_declined_card_leaves_an_incomplete_subscription_that_another_card_pays() {
    let mut state = fresh();
    let team = plan(&mut state, "Team", 4900);
    state.post("/v1/coupons", "id=HALF&percent_off=50&duration=once");
    state.post(
        "/v1/promotion_codes",
        "promotion[coupon]=HALF&promotion[type]=coupon&code=SPRING",
    );
    let made = session(&mut state, &team, "&allow_promotion_codes=true");
    let page = Shown::of(&state.send(&url(&made), &pay_with("4000000000009995")));
    assert_eq!(page.error_of("card[number]"), "Your card has insufficient funds.");
    let open = again(&mut state, &made);
    let begun = subscription(&mut state, &open);
    assert_eq!(
        (&open["status"], &begun["status"]),
        (&json!("open"), &json!("incomplete"))
    );
    for kind in [
        "charge.failed",
        "payment_intent.payment_failed",
        "invoice.payment_failed",
    ] {
        assert_eq!(count(&mut state, kind), 1, "{kind}");
    }
    state.send(&url(&made), &pay_with("4000000000000341"));
    assert_eq!(
        again(&mut state, &made)["subscription"],
        begun["id"],
        "the same subscription for the same order"
    );
    // Another order is another subscription.
    state.follow(&url(&made), &[("act", "basket"), ("promotion_code", "SPRING")]);
    state.follow(&url(&made), &pay_with("5555555555554444"));
    let done = again(&mut state, &made);
    assert_ne!(done["subscription"], begun["id"]);
    let bought = subscription(&mut state, &done);
    assert_eq!(
        (&bought["status"], &bought["latest_invoice"]["total"]),
        (&json!("active"), &json!(7350))
    );
    assert_eq!(done["amount_total"], 7350);
    assert_eq!(state.get("/v1/coupons/HALF")["times_redeemed"], 1);
    let old = state.get(&format!("/v1/subscriptions/{}", id(&begun)));
    assert!(
        matches!(old["status"].as_str(), Some("incomplete_expired" | "canceled")),
        "{old}"
    );
    assert_eq!(count(&mut state, "customer.created"), 1);

    let made = session(&mut state, &team, "");
    state.send(&url(&made), &pay_with("4000000000009995"));
    let begun = again(&mut state, &made)["subscription"].as_str().unwrap().to_owned();
    state.post(&format!("/v1/checkout/sessions/{}/expire", id(&made)), "");
    let old = state.get(&format!("/v1/subscriptions/{begun}"));
    assert!(
        matches!(old["status"].as_str(), Some("incomplete_expired" | "canceled")),
        "{old}"
    );
}

#[test]
fn an_owner_approves_the_first_payment_and_the_card_of_a_trial() {
    let mut state = fresh();
    let team = plan(&mut state, "Team", 4900);
    for (more, status) in [("", "active"), ("&subscription_data[trial_period_days]=7", "trialing")] {
        let made = session(&mut state, &team, more);
        let bank = state.follow(&url(&made), &pay_with("4000002500003155"));
        assert!(bank.starts_with("/authenticate/"), "{bank}");
        assert_eq!(again(&mut state, &made)["status"], "open");
        state.follow(&bank, &[("outcome", "fail")]);
        assert!(state.open(&url(&made)).text().contains("failed authentication"));
        let bank = state.follow(&url(&made), &pay_with("4000002500003155"));
        assert_eq!(state.follow(&bank, &[("outcome", "approve")]), url(&made));
        let done = again(&mut state, &made);
        assert_eq!(done["status"], "complete");
        assert_eq!(subscription(&mut state, &done)["status"], status);
        assert_eq!(
            leads(&state.ask(&call("GET", &url(&made), ""))),
            "https://host.example/done"
        );
    }
}

#[test]
fn what_the_page_says_is_what_the_invoice_comes_to() {
    let mut state = fresh();
    let team = plan(&mut state, "Team", 3333);
    let product = id(&state.post("/v1/products", "name=Setup"));
    let once = id(&state.post(
        "/v1/prices",
        &format!("product={product}&currency=usd&unit_amount=1001"),
    ));
    state.post("/v1/coupons", "id=OFF&percent_off=33.3&duration=forever");
    let vat = id(&state.post("/v1/tax_rates", "display_name=VAT&percentage=19&inclusive=false"));
    let more = format!(
        "&line_items[1][price]={once}&line_items[1][quantity]=1&discounts[0][coupon]=OFF&subscription_data[default_tax_rates][]={vat}"
    );
    let made = session(&mut state, &team, &more);
    state.follow(&url(&made), &pay_with("4242424242424242"));
    let done = again(&mut state, &made);
    let invoice = subscription(&mut state, &done)["latest_invoice"].clone();
    let details = &done["total_details"];
    let taken = |name: &str| {
        invoice[name]
            .as_array()
            .unwrap()
            .iter()
            .map(|part| part["amount"].as_i64().unwrap())
            .sum::<i64>()
    };
    assert_eq!(invoice["total"], done["amount_total"], "{invoice}");
    assert_eq!(invoice["subtotal"], done["amount_subtotal"]);
    assert_eq!(json!(taken("total_discount_amounts")), details["amount_discount"]);
    assert_eq!(json!(taken("total_taxes")), details["amount_tax"]);
    assert_eq!(invoice["lines"]["data"].as_array().unwrap().len(), 2);
}

#[test]
fn a_debit_pays_a_subscription_later() {
    for (iban, event) in [
        ("AT611904300234573201", "checkout.session.async_payment_succeeded"),
        ("IT60X0542811101000000123456", "checkout.session.async_payment_failed"),
    ] {
        let mut state = fresh();
        let team = plan(&mut state, "Team", 4900);
        let made = session(&mut state, &team, "&payment_method_types[]=sepa_debit");
        let form = format!("type=sepa_debit&sepa_debit[iban]={iban}&billing_details[email]=a@b.example");
        let method = id(&state.post("/v1/payment_methods", &form));
        let confirm = format!("/v1/payment_pages/{}/confirm", id(&made));
        let shown = state.post(&confirm, &format!("payment_method={method}&expected_amount=14700"));
        assert_eq!(
            (&shown["status"], &shown["payment_status"]),
            (&json!("complete"), &json!("unpaid"))
        );
        let done = again(&mut state, &made);
        assert_eq!(
            subscription(&mut state, &done)["status"],
            "active",
            "a debit under way is trusted"
        );
        state.switch("/_sandbox/clock", &json!({"advance": 180}));
        assert_eq!(count(&mut state, event), 1, "{event}");
    }
}

// ---- the portal --------------------------------------------------------------------------------------

/// A customer with a card and a subscription of two.
fn subscriber(state: &mut Direct, price: &str, method: &str) -> (String, Value) {
    let customer = id(&state.post(
        "/v1/customers",
        &format!("email=ana@example.com&payment_method={method}&invoice_settings[default_payment_method]={method}"),
    ));
    let form = format!("customer={customer}&items[0][price]={price}&items[0][quantity]=2");
    let made = state.post("/v1/subscriptions", &form);
    (customer, made)
}

fn portal(state: &mut Direct, customer: &str, more: &str) -> String {
    let form = format!("customer={customer}&return_url=https://host.example/billing{more}");
    local(
        state.post("/v1/billing_portal/sessions", &form)["url"]
            .as_str()
            .unwrap(),
    )
}

fn now_of(state: &mut Direct, subscription: &Value) -> Value {
    state.get(&format!("/v1/subscriptions/{}", id(subscription)))
}

#[test]
fn a_subscription_is_canceled_and_kept_in_the_portal() {
    let mut state = fresh();
    let team = plan(&mut state, "Team", 4900);
    let (customer, made) = subscriber(&mut state, &team, "pm_card_visa");
    let home = portal(&mut state, &customer, "");
    let page = state.open(&home);
    let text = page.text();
    for words in [
        "Team",
        "Active",
        "49.00 USD per month × 2",
        "Renews 28 February 2026",
        "Paid",
        "98.00 USD",
        "Change plan",
        "Cancel subscription",
    ] {
        assert!(text.contains(words), "{words} in {text}");
    }
    let form = state.open(&format!("{home}/subscription_cancel?subscription={}", id(&made)));
    assert!(form.text().contains("You keep it until 28 February 2026") && form.has("feedback"));
    let path = format!("{home}/subscription_cancel");
    let page = Shown::of(&state.send(&path, &[("subscription", &id(&made)), ("feedback", "boredom")]));
    assert_eq!(page.error_of("feedback"), "Choose one of the reasons.");
    let done = state.follow(
        &path,
        &[
            ("subscription", &id(&made)),
            ("feedback", "too_expensive"),
            ("comment", "Really."),
        ],
    );
    let page = state.open(&done);
    assert!(
        page.text().contains("Ends 28 February 2026") && page.text().contains("Keep subscription"),
        "{}",
        page.text()
    );
    let now = now_of(&mut state, &made);
    assert_eq!(
        (
            &now["cancel_at_period_end"],
            &now["cancellation_details"]["feedback"],
            &now["cancellation_details"]["comment"]
        ),
        (&json!(true), &json!("too_expensive"), &json!("Really."))
    );
    let done = state.follow(&format!("{home}/subscription_renew"), &[("subscription", &id(&made))]);
    assert!(state.open(&done).text().contains("Your subscription goes on."));
    assert_eq!(now_of(&mut state, &made)["cancel_at_period_end"], false);
    let page = Shown::of(&state.send(&format!("{home}/subscription_renew"), &[("subscription", &id(&made))]));
    assert!(
        page.text().contains("This subscription is not set to be canceled."),
        "{}",
        page.text()
    );
    // At once, where the configuration says so.
    let at_once = "features[subscription_cancel][enabled]=true&features[subscription_cancel][mode]=immediately";
    let configuration = id(&state.post("/v1/billing_portal/configurations", at_once));
    let flow = format!(
        "&configuration={configuration}&flow_data[type]=subscription_cancel&flow_data[subscription_cancel][subscription]={}\
         &flow_data[after_completion][type]=redirect&flow_data[after_completion][redirect][return_url]=https://host.example/gone",
        id(&made)
    );
    let home = portal(&mut state, &customer, &flow);
    assert!(state.open(&home).text().contains("It ends at once."));
    let done = state.follow(&format!("{home}/subscription_cancel"), &[]);
    assert_eq!(leads(&state.ask(&call("GET", &done, ""))), "https://host.example/gone");
    assert_eq!(now_of(&mut state, &made)["status"], "canceled");
}

#[test]
fn plan_and_quantity_are_changed_in_the_portal() {
    let mut state = fresh();
    let (team, business) = (plan(&mut state, "Team", 4900), plan(&mut state, "Business", 9900));
    let (customer, made) = subscriber(&mut state, &team, "pm_card_visa");
    let home = portal(&mut state, &customer, "");
    let form = state.open(&format!("{home}/subscription_update?subscription={}", id(&made)));
    let text = form.text();
    assert!(
        text.contains("Team, 49.00 USD per month (now)") && text.contains("Business, 99.00 USD per month"),
        "{text}"
    );
    assert_eq!(form.input("quantity").get("value"), "2");
    let path = format!("{home}/subscription_update");
    let page = Shown::of(&state.send(
        &path,
        &[("subscription", &id(&made)), ("price", &team), ("quantity", "0")],
    ));
    assert_eq!(page.error_of("quantity"), "Choose a quantity from 1.");
    let done = state.follow(
        &path,
        &[("subscription", &id(&made)), ("price", &business), ("quantity", "5")],
    );
    assert!(state.open(&done).text().contains("99.00 USD per month × 5"));
    let item = now_of(&mut state, &made)["items"]["data"][0].clone();
    assert_eq!((&item["price"]["id"], &item["quantity"]), (&json!(business), &json!(5)));
    let foreign = state.refused(
        400,
        "POST",
        &format!("/_sandbox{}/subscription_update", home.replace("/p/session", "/portal")),
        "price=price_none",
    );
    assert_eq!(foreign["param"], "price");
    // A change that the host has chosen, only to be confirmed.
    let flow = format!(
        "&flow_data[type]=subscription_update_confirm&flow_data[subscription_update_confirm][subscription]={}\
         &flow_data[subscription_update_confirm][items][0][id]={}&flow_data[subscription_update_confirm][items][0][price]={team}\
         &flow_data[subscription_update_confirm][items][0][quantity]=1",
        id(&made),
        id(&item)
    );
    let home = portal(&mut state, &customer, &flow);
    let page = state.open(&home);
    assert!(
        page.text().contains("Confirm the change") && page.text().contains("Team , 49.00 USD per month × 1"),
        "{}",
        page.text()
    );
    let done = state.follow(&format!("{home}/subscription_update_confirm"), &[]);
    assert!(state.open(&done).text().contains("Your plan has been changed."));
    let item = now_of(&mut state, &made)["items"]["data"][0].clone();
    assert_eq!((&item["price"]["id"], &item["quantity"]), (&json!(team), &json!(1)));
}

#[test]
fn a_trial_ends_with_a_change_of_plan() {
    let mut state = fresh();
    let (team, business) = (plan(&mut state, "Team", 4900), plan(&mut state, "Business", 9900));
    let customer = id(&state.post(
        "/v1/customers",
        "payment_method=pm_card_visa&invoice_settings[default_payment_method]=pm_card_visa",
    ));
    let made = state.post(
        "/v1/subscriptions",
        &format!("customer={customer}&items[0][price]={team}&trial_period_days=10"),
    );
    let home = portal(&mut state, &customer, "");
    let twin = format!("/_sandbox{}/subscription_update", home.replace("/p/session", "/portal"));
    let changed = state.switch(&twin, &json!({"quantity": 2}));
    assert_eq!(changed["status"], "trialing", "a quantity leaves the trial");
    let changed = state.switch(&twin, &json!({ "price": business }));
    assert_eq!(changed["status"], "active");
    assert_eq!(changed["id"], made["id"]);
}

#[test]
fn a_subscription_is_paused_and_resumed_in_the_portal() {
    let mut state = fresh();
    let team = plan(&mut state, "Team", 4900);
    let customer = id(&state.post(
        "/v1/customers",
        "payment_method=pm_card_visa&invoice_settings[default_payment_method]=pm_card_visa",
    ));
    let form = format!("customer={customer}&items[0][price]={team}&billing_mode[type]=flexible");
    let made = state.post("/v1/subscriptions", &form);
    let home = portal(&mut state, &customer, "");
    let twin = format!("/_sandbox{}/subscription_pause", home.replace("/p/session", "/portal"));
    assert_eq!(state.refused(400, "POST", &twin, "")["param"], "action");
    let flow = format!(
        "&flow_data[type]=subscription_pause&flow_data[subscription_pause][subscription]={}",
        id(&made)
    );
    let paused = portal(&mut state, &customer, &flow);
    assert!(state.open(&paused).text().contains("Pause subscription"));
    let done = state.follow(&format!("{paused}/subscription_pause"), &[]);
    let page = state.open(&done);
    assert!(
        page.text().contains("Your subscription has been paused.") && page.text().contains("Resume subscription"),
        "{}",
        page.text()
    );
    assert_eq!(now_of(&mut state, &made)["status"], "paused");
    state.follow(&format!("{home}/subscription_resume"), &[("subscription", &id(&made))]);
    assert_eq!(now_of(&mut state, &made)["status"], "active");
}

#[test]
fn who_stays_gets_what_was_offered() {
    let mut state = fresh();
    let team = plan(&mut state, "Team", 4900);
    let (customer, made) = subscriber(&mut state, &team, "pm_card_visa");
    state.post(
        "/v1/coupons",
        "id=STAY&percent_off=20&duration=forever&name=20+percent+off",
    );
    let flow = format!(
        "&flow_data[type]=subscription_cancel&flow_data[subscription_cancel][subscription]={}\
         &flow_data[subscription_cancel][retention][type]=coupon_offer\
         &flow_data[subscription_cancel][retention][coupon_offer][coupon]=STAY",
        id(&made)
    );
    let home = portal(&mut state, &customer, &flow);
    assert!(state.open(&home).text().contains("get the discount 20 percent off"));
    let done = state.follow(&format!("{home}/subscription_cancel"), &[("stay", "true")]);
    assert!(state.open(&done).text().contains("goes on, with the discount"));
    let now = state.get(&format!("/v1/subscriptions/{}?expand[]=discounts", id(&made)));
    assert_eq!(
        (&now["cancel_at_period_end"], &now["discounts"][0]["source"]["coupon"]),
        (&json!(false), &json!("STAY"))
    );
    let plain = portal(&mut state, &customer, "");
    let twin = format!(
        "/_sandbox{}/subscription_cancel",
        plain.replace("/p/session", "/portal")
    );
    assert_eq!(state.refused(400, "POST", &twin, "stay=true")["param"], "stay");
}

// ---- invoices ----------------------------------------------------------------------------------------

/// A customer whose card does not pay, with the open invoice.
fn debtor(state: &mut Direct) -> (String, Value) {
    let team = plan(state, "Team", 4900);
    let (customer, made) = subscriber(state, &team, "pm_card_chargeCustomerFail");
    let invoice = state.get(&format!("/v1/invoices/{}", made["latest_invoice"].as_str().unwrap()));
    assert_eq!(
        (&invoice["status"], &invoice["amount_remaining"]),
        (&json!("open"), &json!(9800))
    );
    (customer, invoice)
}

#[test]
fn an_invoice_is_read_and_paid_on_its_page() {
    let mut state = fresh();
    let (_, invoice) = debtor(&mut state);
    let path = local(invoice["hosted_invoice_url"].as_str().unwrap());
    let page = state.open(&path);
    let number = invoice["number"].as_str().unwrap().to_owned();
    for words in [
        format!("Invoice {number}"),
        "Open".to_owned(),
        "98.00 USD".to_owned(),
        "Pay 98.00 USD".to_owned(),
    ] {
        assert!(page.text().contains(&words), "{words} in {}", page.text());
    }
    let page = Shown::of(&state.send(&path, &card("4000000000009995")));
    assert_eq!(page.error_of("card[number]"), "Your card has insufficient funds.");
    let bank = state.follow(&path, &card("4000002760003184"));
    assert_eq!(state.follow(&bank, &[("outcome", "fail")]), path);
    assert!(state.open(&path).text().contains("Not paid."));
    let bank = state.follow(&path, &card("4000002760003184"));
    assert_eq!(state.follow(&bank, &[("outcome", "approve")]), path);
    let page = state.open(&path);
    assert!(
        page.text().contains("Paid") && !page.has("card[number]"),
        "{}",
        page.text()
    );
    assert_eq!(state.get(&format!("/v1/invoices/{}", id(&invoice)))["status"], "paid");
    let page = Shown::of(&state.send(&path, &card("4242424242424242")));
    assert!(page.text().contains("nothing to pay"), "{}", page.text());
    let file = state.ask(&call("GET", &local(invoice["invoice_pdf"].as_str().unwrap()), ""));
    assert_eq!(
        (file.status, file.headers["content-type"].as_str()),
        (200, "application/pdf")
    );
    let text = String::from_utf8(file.body).unwrap();
    assert!(
        text.starts_with("%PDF-1.4")
            && text.contains(&format!("(Invoice {number}) Tj"))
            && text.contains("(Total: 98.00 USD) Tj")
    );
}

#[test]
fn a_draft_has_no_page() {
    let mut state = fresh();
    let customer = id(&state.post("/v1/customers", ""));
    let draft = id(&state.post("/v1/invoices", &format!("customer={customer}")));
    let page = Shown::of(&state.ask(&call("GET", &format!("/invoices/{draft}"), "")));
    assert_eq!(page.status, 404);
}

#[test]
fn an_open_invoice_is_paid_from_the_portal() {
    let mut state = fresh();
    let (customer, invoice) = debtor(&mut state);
    let home = portal(&mut state, &customer, "");
    let page = state.open(&home);
    assert!(page.text().contains("Pay"), "{}", page.text());
    let path = format!("{home}/invoice_pay");
    let page = Shown::of(&state.send(&path, &[("invoice", &id(&invoice))]));
    assert!(
        page.status == 402 && page.text().contains("Your card was declined."),
        "{}",
        page.text()
    );
    state.follow(&format!("{home}/payment_method_update"), &card("4242424242424242"));
    let done = state.follow(&path, &[("invoice", &id(&invoice))]);
    assert!(state.open(&done).text().contains("The invoice has been paid."));
    let paid = state.get(&format!("/v1/invoices/{}", id(&invoice)));
    assert_eq!(paid["status"], "paid");
    // A card whose owner is asked leads over the bank and back.
    let (customer, invoice) = debtor(&mut state);
    let home = portal(&mut state, &customer, "");
    let card = card("4000002760003184");
    let bank = state.follow(&format!("{home}/payment_method_update"), &card);
    state.follow(&bank, &[("outcome", "approve")]);
    let bank = state.follow(&format!("{home}/invoice_pay"), &[("invoice", &id(&invoice))]);
    assert!(bank.starts_with("/authenticate/pi_"), "{bank}");
    assert_eq!(state.follow(&bank, &[("outcome", "approve")]), home);
    assert_eq!(state.get(&format!("/v1/invoices/{}", id(&invoice)))["status"], "paid");
    let other = id(&state.post("/v1/customers", ""));
    let strange = portal(&mut state, &other, "");
    let twin = format!("/_sandbox{}/invoice_pay", strange.replace("/p/session", "/portal"));
    assert_eq!(
        state.refused(404, "POST", &twin, &format!("invoice={}", id(&invoice)))["param"],
        "invoice"
    );
}

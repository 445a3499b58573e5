//! Checkout sessions: made, finished by their page and by its twins, expired.

use serde_json::{Value, json};

use crate::browse::{Browse, Shown, card, leads, local};
use crate::support::{Ask, Direct, NOW, call, fresh, id};

const DONE: &str =
    "success_url=https://host.example/done?session={CHECKOUT_SESSION_ID}&cancel_url=https://host.example/back";

fn shirt(state: &mut Direct) -> String {
    let product = id(&state.post("/v1/products", "name=Shirt"));
    id(&state.post(
        "/v1/prices",
        &format!("product={product}&currency=usd&unit_amount=1500"),
    ))
}

fn session(state: &mut Direct, more: &str) -> Value {
    let price = shirt(state);
    let form = format!("mode=payment&{DONE}&line_items[0][price]={price}&line_items[0][quantity]=2{more}");
    state.post("/v1/checkout/sessions", &form)
}

fn again(state: &mut Direct, session: &Value) -> Value {
    state.get(&format!("/v1/checkout/sessions/{}", id(session)))
}

fn url(session: &Value) -> String {
    local(session["url"].as_str().unwrap_or_else(|| panic!("no url: {session}")))
}

/// The fields of a payment, with an email address.
fn pay_with(number: &str) -> Vec<(&'static str, &str)> {
    let mut fields = vec![("act", "pay"), ("email", "ana@example.com"), ("name", "Ana")];
    fields.extend(card(number));
    fields
}

#[test]
#[expect(clippy::too_many_lines, reason = "one purchase, told in order")]
fn a_guest_pays_on_the_page_and_comes_back() {
    let mut state = fresh();
    let made = session(
        &mut state,
        "&metadata[order]=7&client_reference_id=r1&payment_intent_data[metadata][a]=b",
    );
    assert_eq!(
        (
            &made["status"],
            &made["payment_status"],
            &made["amount_total"],
            &made["payment_intent"]
        ),
        (&json!("open"), &json!("unpaid"), &json!(3000), &Value::Null)
    );
    assert_eq!(made["expires_at"], NOW + 86_400);
    let page = state.open(&url(&made));
    let text = page.text();
    for words in [
        "Pay your order",
        "Shirt",
        "2 × 15.00 USD",
        "Due today 30.00 USD",
        "Pay 30.00 USD",
        "Test cards",
    ] {
        assert!(text.contains(words), "{words} in {text}");
    }
    assert!(
        page.policy.contains("form-action 'self' https://host.example;"),
        "{}",
        page.policy
    );
    assert!(page.links().contains(&"https://host.example/back"));
    assert_eq!(page.input("card[number]").get("autocomplete"), "cc-number");
    let to = state.follow(&url(&made), &pay_with("4242 4242 4242 4242"));
    assert_eq!(to, format!("https://host.example/done?session={}", id(&made)));
    let done = again(&mut state, &made);
    assert_eq!(
        (
            &done["status"],
            &done["payment_status"],
            &done["url"],
            &done["customer"]
        ),
        (&json!("complete"), &json!("paid"), &Value::Null, &Value::Null)
    );
    assert_eq!(done["customer_details"]["email"], "ana@example.com");
    assert_eq!(
        (&done["metadata"]["order"], &done["client_reference_id"]),
        (&json!("7"), &json!("r1"))
    );
    let intent = state.get(&format!(
        "/v1/payment_intents/{}",
        done["payment_intent"].as_str().unwrap()
    ));
    assert_eq!(
        (&intent["status"], &intent["amount"], &intent["metadata"]["a"]),
        (&json!("succeeded"), &json!(3000), &json!("b"))
    );
    let kinds = state.events();
    assert_eq!(
        kinds[kinds.len() - 4..],
        [
            "payment_intent.created",
            "charge.succeeded",
            "payment_intent.succeeded",
            "checkout.session.completed"
        ]
    );
    // The page of a session that is complete leads to where its customer was going.
    let reply = state.ask(&call("GET", &url(&made), ""));
    assert_eq!(leads(&reply), to);
    assert_eq!(
        state.refused(400, "POST", &format!("/v1/checkout/sessions/{}/expire", id(&made)), "")["type"],
        "invalid_request_error"
    );
    // Nothing of the card but brand, last digits and expiry is anywhere.
    let truth = state.get("/_sandbox/truth").to_string();
    assert!(truth.contains("\"4242\"") && !truth.contains("4242424242424242"));
}

#[test]
fn what_is_wrong_stands_at_its_field_and_nothing_is_kept() {
    let mut state = fresh();
    let made = session(&mut state, "");
    let events = state.events();
    for (change, field, words) in [
        (("email", ""), "email", "Enter your email address."),
        (
            ("email", "ana"),
            "email",
            "Enter an email address, such as name@example.com.",
        ),
        (("card[number]", ""), "card[number]", "Enter the number on the card."),
        (
            ("card[number]", "4242424242424241"),
            "card[number]",
            "Your card number is incorrect.",
        ),
        (
            ("card[exp_month]", "13"),
            "card[exp_month]",
            "Enter the month as a number from 1 to 12.",
        ),
        (("card[exp_year]", "2025"), "card[exp_year]", "The card has expired."),
        (
            ("card[exp_year]", "soon"),
            "card[exp_year]",
            "Enter the year the card ends, such as 2030.",
        ),
        (
            ("card[cvc]", "1"),
            "card[cvc]",
            "Enter the security code: 3 digits, or 4 on American Express.",
        ),
        (
            ("card[cvc]", ""),
            "card[cvc]",
            "Enter the security code: 3 digits, or 4 on American Express.",
        ),
    ] {
        let mut fields = pay_with("4242424242424242");
        fields
            .iter_mut()
            .filter(|(name, _)| *name == change.0)
            .for_each(|field| field.1 = change.1);
        let page = Shown::of(&state.send(&url(&made), &fields));
        assert!(page.status == 400 || page.status == 402, "{change:?}: {}", page.status);
        assert_eq!(page.error_of(field), words, "{change:?}");
        // What was typed is still there, but for the card's secrets.
        assert_eq!(page.input("name").get("value"), "Ana");
        assert!(!page.html.contains("424242424242424"), "the number is shown again");
        assert_eq!(page.input("card[cvc]").get("value"), "");
    }
    assert_eq!(state.events(), events);
    assert_eq!(again(&mut state, &made)["status"], "open");
}

#[test]
fn a_declined_card_leaves_its_events_and_another_can_be_tried() {
    let mut state = fresh();
    let made = session(&mut state, "");
    let page = Shown::of(&state.send(&url(&made), &pay_with("4000000000009995")));
    assert_eq!(
        (page.status, page.error_of("card[number]").as_str()),
        (402, "Your card has insufficient funds.")
    );
    assert_eq!(page.input("email").get("value"), "ana@example.com");
    let kinds = state.events();
    assert!(kinds.contains(&"charge.failed".to_owned()) && kinds.contains(&"payment_intent.payment_failed".to_owned()));
    assert_eq!(again(&mut state, &made)["status"], "open");
    state.follow(&url(&made), &pay_with("5555555555554444"));
    let done = again(&mut state, &made);
    assert_eq!(
        (&done["status"], &done["payment_status"]),
        (&json!("complete"), &json!("paid"))
    );
    let created = state
        .events()
        .into_iter()
        .filter(|kind| kind == "payment_intent.created")
        .count();
    assert_eq!(created, 1, "one intent for all attempts");
}

#[test]
fn the_owner_approves_at_the_bank_or_does_not() {
    let mut state = fresh();
    let made = session(&mut state, "");
    let bank = state.follow(&url(&made), &pay_with("4000002760003184"));
    assert!(bank.starts_with("/authenticate/pi_"), "{bank}");
    let page = state.open(&bank);
    assert!(page.text().contains("Approve this payment?") && page.text().contains("30.00 USD"));
    assert!(
        page.policy.contains("https://host.example"),
        "the way leads on to the host: {}",
        page.policy
    );
    // Meanwhile the page of the session says what it waits for.
    assert!(state.open(&url(&made)).links().contains(&bank.as_str()));
    assert_eq!(state.follow(&bank, &[("outcome", "fail")]), url(&made));
    let page = state.open(&url(&made));
    assert!(
        page.text()
            .contains("Not paid. The provided payment method has failed authentication."),
        "{}",
        page.text()
    );
    assert!(state.open(&bank).text().contains("Nothing to approve"));
    let bank = state.follow(&url(&made), &pay_with("4000002760003184"));
    assert_eq!(state.follow(&bank, &[("outcome", "approve")]), url(&made));
    let reply = state.ask(&call("GET", &url(&made), ""));
    assert!(leads(&reply).starts_with("https://host.example/done?session=cs_test_"));
    assert_eq!(again(&mut state, &made)["payment_status"], "paid");
    // By the twin, in one call.
    for (outcome, status) in [("fail", "open"), ("approve", "complete")] {
        let made = session(&mut state, "");
        let twin = format!("/_sandbox/checkout/{}/complete", id(&made));
        let given = json!({"email": "a@b.example", "card": {"number": "4000002760003184", "exp_month": 1, "exp_year": 2040},
            "outcome": outcome});
        assert_eq!(state.switch(&twin, &given)["status"], status);
    }
}

#[test]
fn a_bank_page_of_a_clients_own_intent_leads_back_with_its_result() {
    let mut state = fresh();
    let made = state.post(
        "/v1/payment_intents",
        "amount=500&currency=eur&payment_method=pm_card_authenticationRequired&confirm=true&return_url=https://host.example/r?a=1%23top",
    );
    let bank = local(made["next_action"]["redirect_to_url"]["url"].as_str().unwrap());
    let to = state.follow(&bank, &[("outcome", "approve")]);
    let (pi, secret) = (id(&made), made["client_secret"].as_str().unwrap().to_owned());
    assert_eq!(
        to,
        format!(
            "https://host.example/r?a=1&payment_intent={pi}&payment_intent_client_secret={secret}&redirect_status=succeeded#top"
        )
    );
    let made = state.post(
        "/v1/setup_intents",
        "payment_method=pm_card_authenticationRequired&confirm=true",
    );
    let bank = local(made["next_action"]["use_stripe_sdk"]["stripe_js"].as_str().unwrap());
    let page = Shown::of(&state.send(&bank, &[("outcome", "fail")]));
    assert!(page.text().contains("Refused"));
    let page = Shown::of(&state.ask(&call("GET", "/authenticate/pi_none", "")));
    assert_eq!(
        (page.status, page.text().contains("There is no such page")),
        (404, true)
    );
}

#[test]
fn codes_and_quantities_change_the_order() {
    let mut state = fresh();
    state.post("/v1/coupons", "id=HALF&percent_off=50");
    let code = id(&state.post(
        "/v1/promotion_codes",
        "promotion[coupon]=HALF&promotion[type]=coupon&code=SPRING&max_redemptions=1",
    ));
    let made = session(
        &mut state,
        "&allow_promotion_codes=true&line_items[0][adjustable_quantity][enabled]=true&line_items[0][adjustable_quantity][maximum]=5",
    );
    let page = Shown::of(&state.send(&url(&made), &[("act", "basket"), ("promotion_code", "WINTER")]));
    assert_eq!(
        (page.status, page.error_of("promotion_code").as_str()),
        (400, "The code WINTER is not valid.")
    );
    assert_eq!(
        state.follow(&url(&made), &[("act", "basket"), ("promotion_code", "spring")]),
        url(&made)
    );
    let page = state.open(&url(&made));
    assert!(
        page.text().contains("Discount SPRING −15.00 USD") && page.text().contains("Pay 15.00 USD"),
        "{}",
        page.text()
    );
    let line = state.get(&format!("/v1/checkout/sessions/{}/line_items", id(&made)))["data"][0].clone();
    assert_eq!(
        (&line["amount_discount"], &line["amount_total"], &line["object"]),
        (&json!(1500), &json!(1500), &json!("item"))
    );
    let quantity = format!("quantities[{}]", id(&line));
    let page = Shown::of(&state.send(&url(&made), &[("act", "basket"), (&quantity, "6")]));
    assert_eq!(page.error_of(&quantity), "Choose a quantity from 0 to 5.");
    state.follow(&url(&made), &[("act", "basket"), (&quantity, "4")]);
    let now = again(&mut state, &made);
    assert_eq!(
        (&now["amount_subtotal"], &now["amount_total"]),
        (&json!(6000), &json!(3000))
    );
    assert_eq!(now["discounts"][0], json!({"coupon": null, "promotion_code": code}));
    state.follow(&url(&made), &[("act", "basket"), ("promotion_code", "")]);
    assert_eq!(again(&mut state, &made)["amount_total"], 6000);
    state.follow(&url(&made), &[("act", "basket"), ("promotion_code", "SPRING")]);
    state.follow(&url(&made), &pay_with("4242424242424242"));
    assert_eq!(state.get("/v1/coupons/HALF")["times_redeemed"], 1);
    assert_eq!(state.get(&format!("/v1/promotion_codes/{code}"))["active"], false);
    let other = session(&mut state, "&allow_promotion_codes=true");
    let page = Shown::of(&state.send(&url(&other), &[("act", "basket"), ("promotion_code", "SPRING")]));
    assert_eq!(page.error_of("promotion_code"), "The code SPRING has expired.");
    // Nothing to pay is nothing to ask a card for.
    state.post("/v1/coupons", "id=FREE&percent_off=100");
    let free = session(&mut state, "&discounts[0][coupon]=FREE");
    let page = state.open(&url(&free));
    assert!(!page.has("card[number]") && page.text().contains("Complete order"));
    state.follow(&url(&free), &[("act", "pay"), ("email", "a@b.example")]);
    let free = again(&mut state, &free);
    assert_eq!(
        (&free["payment_status"], &free["payment_intent"]),
        (&json!("no_payment_required"), &Value::Null)
    );
}

#[test]
fn amounts_off_and_taxes_add_up_over_the_lines() {
    let mut state = fresh();
    let product = id(&state.post("/v1/products", "name=A"));
    let price = |state: &mut Direct, amount: i64| {
        id(&state.post(
            "/v1/prices",
            &format!("product={product}&currency=usd&unit_amount={amount}"),
        ))
    };
    let (a, b, c) = (price(&mut state, 100), price(&mut state, 100), price(&mut state, 101));
    state.post("/v1/coupons", "id=TEN&amount_off=10&currency=usd");
    let extra = id(&state.post("/v1/tax_rates", "display_name=VAT&percentage=20&inclusive=false"));
    let within = id(&state.post("/v1/tax_rates", "display_name=GST&percentage=10&inclusive=true"));
    let form = format!(
        "mode=payment&{DONE}&line_items[0][price]={a}&line_items[0][quantity]=1&line_items[1][price]={b}&line_items[1][quantity]=1\
         &line_items[2][price]={c}&line_items[2][quantity]=1&discounts[0][coupon]=TEN\
         &line_items[0][tax_rates][]={extra}&line_items[2][tax_rates][]={within}&expand[]=line_items"
    );
    let made = state.post("/v1/checkout/sessions", &form);
    let lines = made["line_items"]["data"].as_array().unwrap();
    let of = |name: &str| {
        lines
            .iter()
            .map(|line| line[name].as_i64().unwrap())
            .collect::<Vec<i64>>()
    };
    assert_eq!(of("amount_discount"), [3, 4, 3]);
    assert_eq!(of("amount_tax"), [19, 0, 9]);
    assert_eq!(of("amount_total"), [97 + 19, 96, 98]);
    assert_eq!(
        (&made["amount_total"], &made["total_details"]["amount_discount"]),
        (&json!(310), &json!(10))
    );
}

#[test]
fn a_tax_on_top_is_of_the_amount_without_the_tax_within() {
    let mut state = fresh();
    let product = id(&state.post("/v1/products", "name=A"));
    let price = id(&state.post(
        "/v1/prices",
        &format!("product={product}&currency=usd&unit_amount=1100"),
    ));
    let extra = id(&state.post("/v1/tax_rates", "display_name=VAT&percentage=20&inclusive=false"));
    let within = id(&state.post("/v1/tax_rates", "display_name=GST&percentage=10&inclusive=true"));
    let line = format!("line_items[0][price]={price}&line_items[0][quantity]=1");
    let rates = format!("line_items[0][tax_rates][]={extra}&line_items[0][tax_rates][]={within}");
    let made = state.post("/v1/checkout/sessions", &format!("mode=payment&{DONE}&{line}&{rates}"));
    assert_eq!(
        (&made["total_details"]["amount_tax"], &made["amount_total"]),
        (&json!(300), &json!(1300))
    );
    let exempt = id(&state.post("/v1/customers", "tax_exempt=exempt"));
    let form = format!("mode=payment&{DONE}&{line}&{rates}&customer={exempt}");
    let made = state.post("/v1/checkout/sessions", &form);
    assert_eq!(
        (&made["total_details"]["amount_tax"], &made["amount_total"]),
        (&json!(0), &json!(1100))
    );
}

#[test]
fn tiers_and_packs_cost_what_they_say() {
    let mut state = fresh();
    let product = id(&state.post("/v1/products", "name=A"));
    let base = format!("product={product}&currency=usd");
    let tiers = "billing_scheme=tiered&tiers[0][up_to]=10&tiers[0][unit_amount]=100&tiers[0][flat_amount]=5&tiers[1][up_to]=inf&tiers[1][unit_amount_decimal]=50.5";
    for (price, quantity, amount) in [
        (format!("{base}&{tiers}&tiers_mode=graduated"), 13, 1000 + 5 + 152),
        (format!("{base}&{tiers}&tiers_mode=graduated"), 10, 1005),
        (format!("{base}&{tiers}&tiers_mode=volume"), 13, 657),
        (format!("{base}&{tiers}&tiers_mode=volume"), 4, 405),
        (
            format!("{base}&unit_amount=100&transform_quantity[divide_by]=5&transform_quantity[round]=up"),
            11,
            300,
        ),
        (
            format!("{base}&unit_amount=100&transform_quantity[divide_by]=5&transform_quantity[round]=down"),
            11,
            200,
        ),
        (format!("{base}&unit_amount_decimal=0.5"), 5, 3),
    ] {
        let made = id(&state.post("/v1/prices", &price));
        let form = format!("mode=payment&{DONE}&line_items[0][price]={made}&line_items[0][quantity]={quantity}");
        assert_eq!(
            state.post("/v1/checkout/sessions", &form)["amount_total"],
            amount,
            "{price} x {quantity}"
        );
    }
}

#[test]
fn sessions_expire_by_the_clock_and_by_call() {
    let mut state = fresh();
    let made = session(&mut state, &format!("&expires_at={}", NOW + 1800));
    let by_call = session(&mut state, "");
    state.send(&url(&by_call), &pay_with("4000000000009995"));
    let expired = state.post(&format!("/v1/checkout/sessions/{}/expire", id(&by_call)), "");
    assert_eq!((&expired["status"], &expired["url"]), (&json!("expired"), &Value::Null));
    let intent = again(&mut state, &by_call)["payment_intent"]
        .as_str()
        .unwrap()
        .to_owned();
    assert_eq!(
        state.get(&format!("/v1/payment_intents/{intent}"))["status"],
        "canceled"
    );
    state.switch("/_sandbox/clock", &json!({"advance": 1799}));
    assert_eq!(again(&mut state, &made)["status"], "open");
    let path = url(&made);
    state.switch("/_sandbox/clock", &json!({"advance": 1}));
    assert_eq!(again(&mut state, &made)["status"], "expired");
    let expired = state
        .events()
        .into_iter()
        .filter(|kind| kind == "checkout.session.expired")
        .count();
    assert_eq!(expired, 2);
    let page = state.open(&path);
    assert_eq!(
        (page.status, page.links().contains(&"https://host.example/back")),
        (410, true)
    );
    let page = Shown::of(&state.send(&path, &pay_with("4242424242424242")));
    assert!(page.text().contains("Checkout expired"), "{}", page.text());
    for at in [NOW + 1799, NOW + 1799 + 1800 + 86_401] {
        let form = format!("mode=setup&{DONE}&expires_at={at}");
        assert_eq!(
            state.refused(400, "POST", "/v1/checkout/sessions", &form)["param"],
            "expires_at"
        );
    }
}

#[test]
fn a_debit_completes_at_once_and_is_paid_or_fails_later() {
    for (iban, event, status) in [
        (
            "AT611904300234573201",
            "checkout.session.async_payment_succeeded",
            "paid",
        ),
        (
            "IT60X0542811101000000123456",
            "checkout.session.async_payment_failed",
            "unpaid",
        ),
    ] {
        let mut state = fresh();
        let made = session(
            &mut state,
            "&payment_method_types[]=sepa_debit&payment_intent_data[setup_future_usage]=off_session",
        );
        // As the official CLI does it.
        let page = state.get(&format!("/v1/payment_pages/{}", id(&made)));
        assert_eq!(page["session_id"], id(&made));
        let method = id(&state.post(
            "/v1/payment_methods",
            &format!(
                "type=sepa_debit&sepa_debit[iban]={iban}&billing_details[email]=a@b.example&billing_details[name]=Jenny"
            ),
        ));
        let confirm = format!("/v1/payment_pages/{}/confirm", id(&page));
        let error = state.refused(
            400,
            "POST",
            &confirm,
            &format!("payment_method={method}&expected_amount=2999"),
        );
        assert_eq!(error["param"], "expected_amount");
        let shown = state.post(&confirm, &format!("payment_method={method}&expected_amount=3000"));
        assert_eq!(
            (&shown["status"], &shown["payment_status"]),
            (&json!("complete"), &json!("unpaid"))
        );
        assert_eq!(state.events().last().unwrap(), "checkout.session.completed");
        state.switch("/_sandbox/clock", &json!({"advance": 180}));
        assert_eq!(state.events().iter().filter(|kind| *kind == event).count(), 1);
        let done = again(&mut state, &made);
        assert_eq!(done["payment_status"], status);
        let customer = state.get(&format!("/v1/customers/{}", done["customer"].as_str().unwrap()));
        assert_eq!(
            (&customer["email"], &customer["name"]),
            (&json!("a@b.example"), &json!("Jenny"))
        );
    }
}

#[test]
fn setting_up_keeps_the_card_on_the_customer() {
    let mut state = fresh();
    let customer = id(&state.post("/v1/customers", "email=ana@example.com&name=Ana"));
    let made = state.post(
        "/v1/checkout/sessions",
        &format!("mode=setup&{DONE}&customer={customer}"),
    );
    assert!(
        made["setup_intent"].is_string() && made["amount_total"].is_null(),
        "{made}"
    );
    let page = state.open(&url(&made));
    assert!(
        page.text().contains("Save a payment method") && page.text().contains("ana@example.com") && !page.has("email")
    );
    let page = Shown::of(&state.send(&url(&made), &pay_with("4000000000000002")));
    assert_eq!(page.error_of("card[number]"), "Your card was declined.");
    let bank = state.follow(&url(&made), &pay_with("4000002500003155"));
    assert!(bank.starts_with("/authenticate/seti_"));
    state.follow(&bank, &[("outcome", "approve")]);
    let done = again(&mut state, &made);
    assert_eq!(
        (&done["status"], &done["payment_status"]),
        (&json!("complete"), &json!("no_payment_required"))
    );
    let methods = state.get(&format!("/v1/customers/{customer}/payment_methods"));
    assert_eq!(methods["data"][0]["card"]["last4"], "3155");
    assert_eq!(state.events().last().unwrap(), "checkout.session.completed");
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table of what is refused")]
fn what_does_not_go_together_is_refused_by_name() {
    let mut state = fresh();
    let price = shirt(&mut state);
    let product = id(&state.post("/v1/products", "name=A"));
    let monthly = id(&state.post(
        "/v1/prices",
        &format!("product={product}&currency=usd&unit_amount=5&recurring[interval]=month"),
    ));
    let euro = id(&state.post("/v1/prices", &format!("product={product}&currency=eur&unit_amount=5")));
    let customer = id(&state.post("/v1/customers", ""));
    let pays = format!("mode=payment&{DONE}&line_items[0][price]={price}&line_items[0][quantity]=1");
    let subscribes = format!("mode=subscription&{DONE}&line_items[0][price]={monthly}&line_items[0][quantity]=1");
    for (form, param) in [
        (DONE.to_owned(), "mode"),
        (format!("mode=gift&{DONE}"), "mode"),
        (format!("mode=payment&{DONE}"), "line_items"),
        ("mode=setup".to_owned(), "success_url"),
        ("mode=setup&success_url=javascript:alert(1)".to_owned(), "success_url"),
        (
            "mode=setup&success_url=https://a.example/&cancel_url=data:x".to_owned(),
            "cancel_url",
        ),
        (format!("{pays}&ui_mode=embedded_page"), "ui_mode"),
        (
            format!("mode=payment&{DONE}&line_items[0][price]={monthly}&line_items[0][quantity]=1"),
            "mode",
        ),
        (
            format!("mode=subscription&{DONE}&line_items[0][price]={price}&line_items[0][quantity]=1"),
            "line_items",
        ),
        (
            format!("mode=payment&{DONE}&line_items[0][price]={price}"),
            "line_items[0][quantity]",
        ),
        (
            format!("{pays}&line_items[1][price]={euro}&line_items[1][quantity]=1"),
            "line_items",
        ),
        (
            format!("{pays}&customer={customer}&customer_email=a@b.example"),
            "customer_email",
        ),
        (format!("{pays}&customer_email=nobody"), "customer_email"),
        (
            format!("{pays}&allow_promotion_codes=true&discounts[0][coupon]=X"),
            "discounts",
        ),
        (
            format!("{pays}&subscription_data[trial_period_days]=3"),
            "subscription_data",
        ),
        (
            format!("{subscribes}&payment_intent_data[description]=x"),
            "payment_intent_data",
        ),
        (
            format!("{subscribes}&subscription_data[trial_period_days]=3&subscription_data[trial_end]=1"),
            "subscription_data[trial_end]",
        ),
        (
            format!("{subscribes}&subscription_data[trial_end]={}", NOW + 60),
            "subscription_data[trial_end]",
        ),
        (
            format!("{pays}&customer={customer}&automatic_tax[enabled]=true"),
            "automatic_tax",
        ),
        (
            format!("{pays}&customer={customer}&tax_id_collection[enabled]=true"),
            "tax_id_collection",
        ),
        (format!("{pays}&customer_update[name]=auto"), "customer_update"),
        (format!("{pays}&payment_method_types[]=paypal"), "payment_method_types"),
        (format!("{pays}&discounts[0][coupon]=NONE"), "discounts[0][coupon]"),
        (format!("{pays}&line_items[0][colour]=red"), "line_items[0][colour]"),
    ] {
        let reply = state.ask(&call("POST", "/v1/checkout/sessions", &form));
        let error = reply.value()["error"].clone();
        assert!(matches!(reply.status, 400 | 404), "{form}: {error}");
        assert_eq!(error["param"], param, "{form}: {error}");
    }
    assert_eq!(state.get("/v1/checkout/sessions")["data"], json!([]));
}

#[test]
fn addresses_and_tax_ids_are_asked_for_and_kept() {
    let mut state = fresh();
    let customer = id(&state.post("/v1/customers", "email=ana@example.com"));
    let made = session(
        &mut state,
        &format!(
            "&customer={customer}&automatic_tax[enabled]=true&tax_id_collection[enabled]=true&customer_update[name]=auto\
             &customer_update[address]=auto&phone_number_collection[enabled]=true"
        ),
    );
    assert_eq!(made["automatic_tax"]["status"], "complete");
    let mut fields = pay_with("4242424242424242");
    let page = Shown::of(&state.send(&url(&made), &fields));
    assert_eq!(page.error_of("phone"), "Enter your phone number.");
    fields.push(("phone", "+49 1"));
    let page = Shown::of(&state.send(&url(&made), &fields));
    assert_eq!(page.error_of("address[country]"), "Choose your country.");
    fields.extend([
        ("address[country]", "DE"),
        ("address[city]", "Bonn"),
        ("tax_id[type]", "eu_vat"),
        ("tax_id[value]", "DE123"),
    ]);
    state.follow(&url(&made), &fields);
    let kept = state.get(&format!("/v1/customers/{customer}?expand[]=tax_ids"));
    assert_eq!(
        (&kept["name"], &kept["address"]["country"], &kept["address"]["city"]),
        (&json!("Ana"), &json!("DE"), &json!("Bonn"))
    );
    assert_eq!(kept["tax_ids"]["data"][0]["value"], "DE123");
    let done = again(&mut state, &made);
    assert_eq!(
        done["customer_details"]["tax_ids"][0],
        json!({"type": "eu_vat", "value": "DE123"})
    );
    let found = state.get(&format!("/v1/checkout/sessions?customer={customer}&status=complete"));
    assert_eq!(found["data"][0]["id"], done["id"]);
}

#[test]
fn older_versions_have_the_older_session() {
    let mut state = fresh();
    let made = session(&mut state, "");
    let path = format!("/v1/checkout/sessions/{}?expand[]=line_items", id(&made));
    let mut asked = |version: &str| {
        state
            .apply(&call("GET", &path, "").header("stripe-version", version))
            .value()
    };
    let old = asked("2025-02-24.acacia");
    let has = |object: &Value, name: &str| object.as_object().unwrap().contains_key(name);
    assert_eq!(old["ui_mode"], "hosted");
    assert!(has(&old, "shipping_details") && !has(&old, "collected_information") && !has(&old, "customer_account"));
    assert!(!has(&old["line_items"]["data"][0], "adjustable_quantity"));
    let new = asked("2026-10-28.endive");
    assert_eq!(new["ui_mode"], "hosted_page");
    assert!(has(&new, "collected_information") && has(&new["line_items"]["data"][0], "adjustable_quantity"));
}

#[test]
fn a_link_opens_a_session_for_each_who_follows_it() {
    let mut state = fresh();
    let price = shirt(&mut state);
    let link = state.post(
        "/v1/payment_links",
        &format!("line_items[0][price]={price}&line_items[0][quantity]=1&metadata[a]=b&restrictions[completed_sessions][limit]=1"),
    );
    assert_eq!((&link["active"], &link["currency"]), (&json!(true), &json!("usd")));
    let path = local(link["url"].as_str().unwrap());
    let to = leads(&state.ask(&call("GET", &path, "")));
    state.open(&to);
    let thanks = state.follow(&to, &pay_with("4242424242424242"));
    assert!(state.open(&local(&thanks)).text().contains("Thank you"));
    let made = state.get(&format!("/v1/checkout/sessions?payment_link={}", id(&link)))["data"][0].clone();
    assert_eq!(
        (&made["metadata"]["a"], &made["status"]),
        (&json!("b"), &json!("complete"))
    );
    let link = state.get(&format!("/v1/payment_links/{}", id(&link)));
    assert_eq!(
        (&link["active"], &link["restrictions"]["completed_sessions"]["count"]),
        (&json!(false), &json!(1))
    );
    let page = Shown::of(&state.ask(&call("GET", &path, "")));
    assert!(page.text().contains("has been deactivated"), "{}", page.text());
    let open = state.post(
        &format!("/v1/payment_links/{}", id(&link)),
        "active=true&allow_promotion_codes=true",
    );
    assert_eq!(open["allow_promotion_codes"], true);
    assert!(state.events().contains(&"payment_link.updated".to_owned()));
    let to = leads(&state.ask(&call("GET", &path, "")));
    assert!(state.open(&to).has("promotion_code"));
}

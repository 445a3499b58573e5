//! The billing portal: its configurations, its sessions, what is done on its pages and by their twins.

use serde_json::{Value, json};

use crate::browse::{Browse, Shown, card, leads, local};
use crate::support::{Ask, Direct, call, fresh, id};

const HOME: &str = "https://host.example/billing";

fn customer(state: &mut Direct) -> String {
    id(&state.post(
        "/v1/customers",
        "email=ana@example.com&name=Ana&payment_method=pm_card_visa&invoice_settings[default_payment_method]=pm_card_visa",
    ))
}

fn session(state: &mut Direct, customer: &str, more: &str) -> Value {
    let form = format!("customer={customer}&return_url={HOME}{more}");
    state.post("/v1/billing_portal/sessions", &form)
}

fn url(session: &Value) -> String {
    local(session["url"].as_str().unwrap())
}

fn default_card(state: &mut Direct, customer: &str) -> Value {
    let path = format!("/v1/customers/{customer}?expand[]=invoice_settings.default_payment_method");
    state.get(&path)["invoice_settings"]["default_payment_method"]["card"]["last4"].clone()
}

#[test]
#[expect(clippy::too_many_lines, reason = "the life of a configuration, told in order")]
fn configurations_say_what_customers_may_do() {
    let mut state = fresh();
    let listed = state.get("/v1/billing_portal/configurations?is_default=true");
    let default = &listed["data"][0];
    assert_eq!(
        (&default["is_default"], &default["active"]),
        (&json!(true), &json!(true))
    );
    let product = id(&state.post("/v1/products", "name=A"));
    let price = id(&state.post(
        "/v1/prices",
        &format!("product={product}&currency=usd&unit_amount=5&recurring[interval]=month"),
    ));
    let made = state.post(
        "/v1/billing_portal/configurations",
        &format!(
            "business_profile[headline]=H&features[subscription_cancel][enabled]=true&features[subscription_update][enabled]=true\
             &features[subscription_update][default_allowed_updates][]=price\
             &features[subscription_update][products][0][product]={product}&features[subscription_update][products][0][prices][]={price}\
             &expand[]=features.subscription_update.products&metadata[a]=b"
        ),
    );
    let update = &made["features"]["subscription_update"];
    assert_eq!(
        update["products"],
        json!([{"adjustable_quantity": {"enabled": false, "maximum": null, "minimum": 1}, "prices": [price], "product": product}])
    );
    assert_eq!(
        (&made["features"]["invoice_history"]["enabled"], &made["metadata"]["a"]),
        (&json!(false), &json!("b"))
    );
    let path = format!("/v1/billing_portal/configurations/{}", id(&made));
    let changed = state.post(&path, "active=false&features[subscription_cancel][mode]=immediately");
    assert_eq!(
        (&changed["active"], &changed["features"]["subscription_cancel"]["mode"]),
        (&json!(false), &json!("immediately"))
    );
    let kinds = state.events();
    for kind in [
        "billing_portal.configuration.created",
        "billing_portal.configuration.updated",
    ] {
        assert!(kinds.contains(&kind.to_owned()), "{kind}");
    }
    let ana = customer(&mut state);
    let form = format!("customer={ana}&configuration={}", id(&made));
    assert_eq!(
        state.refused(400, "POST", "/v1/billing_portal/sessions", &form)["param"],
        "configuration"
    );
    for (form, param) in [
        ("name=x".to_owned(), "features"),
        (
            "features[subscription_cancel][mode]=later".to_owned(),
            "features[subscription_cancel][mode]",
        ),
        (
            "features[invoice_history][enabled]=true&default_return_url=javascript:x".to_owned(),
            "default_return_url",
        ),
        (
            format!(
                "features[subscription_update][products][0][product]=prod_none&features[subscription_update][products][0][prices][]={price}"
            ),
            "features[subscription_update][products][0][product]",
        ),
    ] {
        let reply = state.ask(&call("POST", "/v1/billing_portal/configurations", &form));
        assert_eq!(reply.value()["error"]["param"], param, "{form}: {}", reply.value());
    }
    let old = call("GET", &path, "").header("stripe-version", "2025-08-27.basil");
    let old = state.apply(&old).value();
    assert!(!old.as_object().unwrap().contains_key("name"), "{old}");
}

#[test]
fn sessions_are_for_a_customer_and_end() {
    let mut state = fresh();
    let ana = customer(&mut state);
    let made = session(&mut state, &ana, "");
    assert_eq!(
        (&made["customer"], &made["return_url"], &made["flow"]),
        (&json!(ana), &json!(HOME), &Value::Null)
    );
    assert_eq!(state.events().last().unwrap(), "billing_portal.session.created");
    let page = state.open(&url(&made));
    let text = page.text();
    for words in [
        "Billing",
        "You have no subscription.",
        "Visa ending in 4242",
        "No invoices yet.",
        "ana@example.com",
    ] {
        assert!(text.contains(words), "{words} in {text}");
    }
    assert!(page.links().contains(&HOME));
    for (form, param) in [
        (String::new(), "customer"),
        ("customer=cus_none".to_owned(), "customer"),
        (format!("customer={ana}&return_url=ftp://a.example"), "return_url"),
        (format!("customer={ana}&flow_data[type]=dance"), "flow_data[type]"),
        (
            format!("customer={ana}&flow_data[type]=subscription_cancel"),
            "flow_data[subscription_cancel]",
        ),
        (
            format!(
                "customer={ana}&flow_data[type]=subscription_cancel&flow_data[subscription_cancel][subscription]=sub_none"
            ),
            "flow_data[subscription_cancel][subscription]",
        ),
        (
            format!("customer={ana}&flow_data[type]=payment_method_update&flow_data[after_completion][type]=redirect"),
            "flow_data[after_completion][redirect]",
        ),
    ] {
        let reply = state.ask(&call("POST", "/v1/billing_portal/sessions", &form));
        assert_eq!(reply.value()["error"]["param"], param, "{form}: {}", reply.value());
    }
    let path = url(&made);
    state.switch("/_sandbox/clock", &json!({"advance": 3601}));
    let page = state.open(&path);
    assert_eq!((page.status, page.text().contains("has ended")), (410, true));
    let reply = state.send(&format!("{path}/customer_update"), &[("email", "b@example.com")]);
    assert_eq!(Shown::of(&reply).status, 410);
    assert_eq!(state.get(&format!("/v1/customers/{ana}"))["email"], "ana@example.com");
}

#[test]
fn a_payment_method_is_changed_on_its_page() {
    let mut state = fresh();
    let ana = customer(&mut state);
    let made = session(&mut state, &ana, "");
    let path = format!("{}/payment_method_update", url(&made));
    assert!(state.open(&path).text().contains("Save payment method"));
    let page = Shown::of(&state.send(&path, &card("4000000000000002")));
    assert_eq!(
        (page.status, page.error_of("card[number]").as_str()),
        (402, "Your card was declined.")
    );
    assert_eq!(default_card(&mut state, &ana), "4242");
    let done = state.follow(&path, &card("5555555555554444"));
    let page = state.open(&done);
    assert!(
        page.text().contains("Your payment method has been saved.")
            && page.text().contains("Mastercard ending in 4444")
    );
    assert_eq!(default_card(&mut state, &ana), "4444");
    // What its owner has to approve becomes the default once approved.
    let bank = state.follow(&path, &card("4000002500003155"));
    assert_eq!(default_card(&mut state, &ana), "4444");
    assert_eq!(state.follow(&bank, &[("outcome", "approve")]), url(&made));
    assert_eq!(default_card(&mut state, &ana), "3155");
    let twin = format!("/_sandbox/portal/{}/payment_method_update", id(&made));
    let given = json!({"card": {"number": "4000002760003184", "exp_month": 1, "exp_year": 2040}, "outcome": "fail"});
    assert_eq!(state.switch(&twin, &given)["status"], "requires_payment_method");
    assert_eq!(default_card(&mut state, &ana), "3155");
    state.switch(&twin, &json!({"payment_method": "pm_card_visa"}));
    assert_eq!(default_card(&mut state, &ana), "4242");
}

#[test]
fn a_flow_is_for_one_thing_and_leads_where_it_says() {
    let mut state = fresh();
    let ana = customer(&mut state);
    let flow = "&flow_data[type]=payment_method_update&flow_data[after_completion][type]=redirect\
                &flow_data[after_completion][redirect][return_url]=https://other.example/done";
    let made = session(&mut state, &ana, flow);
    let path = url(&made);
    let page = state.open(&path);
    assert!(
        page.text().contains("Payment method") && page.has("card[number]"),
        "{}",
        page.text()
    );
    assert!(page.policy.contains("https://other.example"), "{}", page.policy);
    let page = Shown::of(&state.send(&format!("{path}/customer_update"), &[("email", "b@example.com")]));
    assert!(
        page.text().contains("for payment_method_update only"),
        "{}",
        page.text()
    );
    let done = state.follow(&format!("{path}/payment_method_update"), &card("5555555555554444"));
    assert_eq!(leads(&state.ask(&call("GET", &done, ""))), "https://other.example/done");
    let flow = "&flow_data[type]=customer_update&flow_data[after_completion][type]=hosted_confirmation\
                &flow_data[after_completion][hosted_confirmation][custom_message]=Well+done";
    let made = session(&mut state, &ana, flow);
    let path = url(&made);
    let form = state.open(&path);
    assert_eq!(form.input("email").get("value"), "ana@example.com");
    let page = Shown::of(&state.send(
        &format!("{path}/customer_update"),
        &[("email", "nobody"), ("name", "B")],
    ));
    assert_eq!(page.error_of("email"), "Invalid email address: nobody");
    let done = state.follow(
        &format!("{path}/customer_update"),
        &[("email", "b@example.com"), ("name", "B")],
    );
    assert!(state.open(&done).text().contains("Well done"));
    let kept = state.get(&format!("/v1/customers/{ana}"));
    assert_eq!((&kept["email"], &kept["name"]), (&json!("b@example.com"), &json!("B")));
}

#[test]
fn what_the_configuration_does_not_allow_is_refused() {
    let mut state = fresh();
    let ana = customer(&mut state);
    let configuration = id(&state.post(
        "/v1/billing_portal/configurations",
        "features[invoice_history][enabled]=true",
    ));
    let made = session(&mut state, &ana, &format!("&configuration={configuration}"));
    let page = state.open(&url(&made));
    assert!(!page.text().contains("Change payment method") && !page.text().contains("Change details"));
    for action in [
        "payment_method_update",
        "customer_update",
        "subscription_cancel",
        "subscription_update",
    ] {
        let twin = format!("/_sandbox/portal/{}/{action}", id(&made));
        let error = state.refused(400, "POST", &twin, "payment_method=pm_card_visa&email=b@example.com");
        assert_eq!(error["param"], "action", "{action}: {error}");
    }
    assert_eq!(
        state.refused(404, "POST", &format!("/_sandbox/portal/{}/dance", id(&made)), "")["param"],
        "action"
    );
    let form = format!("customer={ana}&configuration={configuration}&flow_data[type]=payment_method_update");
    assert_eq!(
        state.refused(400, "POST", "/v1/billing_portal/sessions", &form)["param"],
        "flow_data[type]"
    );
}

//! Payment methods, intents, charges, refunds, disputes, and the balance that always adds up.

use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::{Value, json};

use crate::support::{Ask, Direct, NOW, call, fresh, id};

fn paid(state: &mut Direct, method: &str, amount: i64) -> Value {
    let form = format!("amount={amount}&currency=usd&payment_method={method}&confirm=true");
    state.post("/v1/payment_intents", &form)
}

#[test]
fn a_card_pays_and_the_fee_is_taken() {
    let mut state = fresh();
    let intent = paid(&mut state, "pm_card_visa", 2000);
    assert_eq!(
        (&intent["status"], &intent["amount_received"]),
        (&json!("succeeded"), &json!(2000))
    );
    let expanded = format!(
        "/v1/payment_intents/{}?expand[]=latest_charge.balance_transaction",
        id(&intent)
    );
    let charge = state.get(&expanded)["latest_charge"].clone();
    assert_eq!(
        (&charge["paid"], &charge["captured"], &charge["status"]),
        (&json!(true), &json!(true), &json!("succeeded"))
    );
    let money = &charge["balance_transaction"];
    assert_eq!(
        (&money["amount"], &money["fee"], &money["net"]),
        (&json!(2000), &json!(88), &json!(1912))
    );
    assert_eq!(
        (&money["status"], &money["available_on"]),
        (&json!("pending"), &json!(NOW + 2 * 86_400))
    );
    assert_eq!(state.get("/v1/balance")["pending"][0]["amount"], 1912);
    state.switch("/_sandbox/clock", &json!({"advance": 2 * 86_400}));
    let balance = state.get("/v1/balance");
    assert_eq!(
        (&balance["available"][0]["amount"], &balance["pending"][0]["amount"]),
        (&json!(1912), &json!(0))
    );
    let kinds = state.events();
    assert_eq!(
        kinds,
        [
            "payment_intent.created",
            "charge.succeeded",
            "payment_intent.succeeded",
            "balance.available"
        ]
    );
    // Before basil, intents and charges named their invoice.
    let old = call("GET", &expanded, "").header("stripe-version", "2025-02-24.acacia");
    let old = state.apply(&old).value();
    assert!(
        old.as_object().unwrap().contains_key("invoice") && !old.as_object().unwrap().contains_key("customer_account")
    );
    assert!(old["latest_charge"].as_object().unwrap().contains_key("invoice"));
}

#[test]
fn a_declined_card_leaves_its_charge_and_answers_402() {
    let mut state = fresh();
    let keyed = call(
        "POST",
        "/v1/payment_intents",
        "amount=500&currency=usd&payment_method=pm_card_visa_chargeDeclined&confirm=true",
    )
    .header("idempotency-key", "d1");
    let reply = state.apply(&keyed);
    let error = reply.value()["error"].clone();
    assert_eq!(reply.status, 402);
    assert_eq!(
        (&error["type"], &error["code"], &error["decline_code"]),
        (&json!("card_error"), &json!("card_declined"), &json!("generic_decline"))
    );
    let intent = &error["payment_intent"];
    assert_eq!(
        (&intent["status"], &intent["last_payment_error"]["code"]),
        (&json!("requires_payment_method"), &json!("card_declined"))
    );
    let charge = state.get(&format!("/v1/charges/{}", error["charge"].as_str().unwrap()));
    assert_eq!(
        (&charge["status"], &charge["failure_code"], &charge["paid"]),
        (&json!("failed"), &json!("card_declined"), &json!(false))
    );
    assert_eq!(
        state.events(),
        [
            "payment_intent.created",
            "charge.failed",
            "payment_intent.payment_failed"
        ]
    );
    assert_eq!(state.apply(&keyed).body, reply.body, "a decline is kept under its key");
    assert_eq!(state.get("/v1/balance_transactions")["data"], json!([]));
    let retried = state.post(
        &format!("/v1/payment_intents/{}/confirm", id(intent)),
        "payment_method=pm_card_visa",
    );
    assert_eq!(
        (&retried["status"], &retried["last_payment_error"]),
        (&json!("succeeded"), &Value::Null)
    );
    let error = state.refused(400, "POST", &format!("/v1/payment_intents/{}/confirm", id(intent)), "");
    assert_eq!(error["code"], "payment_intent_unexpected_state");
    for (method, decline) in [
        ("pm_card_visa_chargeDeclinedInsufficientFunds", "insufficient_funds"),
        ("pm_card_visa_chargeDeclinedLostCard", "lost_card"),
        ("pm_card_chargeDeclinedExpiredCard", "expired_card"),
    ] {
        let form = format!("amount=500&currency=usd&payment_method={method}&confirm=true");
        assert_eq!(
            state.refused(402, "POST", "/v1/payment_intents", &form)["decline_code"],
            decline
        );
    }
}

#[test]
#[expect(clippy::too_many_lines, reason = "the life of some methods, told in order")]
fn methods_are_attached_listed_and_detached() {
    let mut state = fresh();
    let customer = id(&state.post(
        "/v1/customers",
        "payment_method=pm_card_visa&invoice_settings[default_payment_method]=pm_card_visa",
    ));
    let path = format!("/v1/customers/{customer}");
    let default = state.get(&path)["invoice_settings"]["default_payment_method"].clone();
    let own = state.get(&format!("{path}/payment_methods?type=card"));
    assert_eq!(
        (own["data"].as_array().unwrap().len(), &own["data"][0]["id"]),
        (1, &default)
    );
    assert_eq!(own["data"][0]["card"]["last4"], "4242");
    let card = state.post(
        "/v1/payment_methods",
        "type=card&card[number]=5555555555554444&card[exp_month]=4&card[exp_year]=2040&billing_details[name]=A",
    );
    assert_eq!(
        (&card["card"]["brand"], &card["billing_details"]["name"]),
        (&json!("mastercard"), &json!("A"))
    );
    let wrong = state.refused(
        402,
        "POST",
        "/v1/payment_methods",
        "type=card&card[number]=4242424242424241&card[exp_month]=4&card[exp_year]=2040",
    );
    assert_eq!(wrong["code"], "incorrect_number");
    let attached = state.post(
        &format!("/v1/payment_methods/{}/attach", id(&card)),
        &format!("customer={customer}"),
    );
    assert_eq!(attached["customer"], customer.as_str());
    let other = id(&state.post("/v1/customers", ""));
    state.refused(
        400,
        "POST",
        &format!("/v1/payment_methods/{}/attach", id(&card)),
        &format!("customer={other}"),
    );
    let stolen = format!(
        "amount=100&currency=usd&customer={other}&payment_method={}&confirm=true",
        id(&card)
    );
    state.refused(400, "POST", "/v1/payment_intents", &stolen);
    state.refused(
        400,
        "POST",
        &format!("/v1/customers/{other}"),
        &format!("invoice_settings[default_payment_method]={}", id(&card)),
    );
    state.post(&format!("/v1/payment_methods/{}/detach", default.as_str().unwrap()), "");
    assert_eq!(
        state.get(&path)["invoice_settings"]["default_payment_method"],
        Value::Null
    );
    let later = "/v1/payment_methods/pm_card_chargeCustomerFail/attach";
    let fails = state.post(later, &format!("customer={customer}"));
    let form = format!(
        "amount=100&currency=usd&customer={customer}&payment_method={}&confirm=true",
        id(&fails)
    );
    assert_eq!(
        state.refused(402, "POST", "/v1/payment_intents", &form)["code"],
        "card_declined"
    );
    state.refused(
        402,
        "POST",
        "/v1/payment_methods/pm_card_chargeDeclined/attach",
        &format!("customer={customer}"),
    );
    let before = state.get("/v1/customers")["data"].as_array().unwrap().len();
    state.refused(402, "POST", "/v1/customers", "payment_method=pm_card_chargeDeclined");
    assert_eq!(
        state.get("/v1/customers")["data"].as_array().unwrap().len(),
        before,
        "no customer without its card"
    );
    let source = state.post(&format!("{path}/sources"), "source=tok_visa");
    assert_eq!(
        (&source["object"], &state.get(&path)["default_source"]),
        (&json!("card"), &source["id"])
    );
    let full = state.get(&format!("{path}?expand[]=sources&expand[]=default_source"));
    assert_eq!(
        (&full["sources"]["data"][0]["id"], &full["default_source"]["id"]),
        (&source["id"], &source["id"])
    );
    let form = format!(
        "amount=100&currency=usd&customer={customer}&payment_method={}&confirm=true",
        id(&source)
    );
    assert_eq!(state.post("/v1/payment_intents", &form)["status"], "succeeded");
}

#[test]
fn an_owner_is_asked_and_answers() {
    let mut state = fresh();
    let intent = paid(&mut state, "pm_card_authenticationRequired", 700);
    assert_eq!(intent["status"], "requires_action");
    assert_eq!(intent["next_action"]["type"], "use_stripe_sdk");
    let answer = format!("/_sandbox/authenticate/{}", id(&intent));
    let failed = state.post(&answer, "outcome=fail");
    assert_eq!(
        (&failed["status"], &failed["last_payment_error"]["code"]),
        (
            &json!("requires_payment_method"),
            &json!("payment_intent_authentication_failure")
        )
    );
    let back = "return_url=https://example.com/back&payment_method=pm_card_authenticationRequired";
    let asked = state.post(&format!("/v1/payment_intents/{}/confirm", id(&intent)), back);
    assert_eq!(
        asked["next_action"]["redirect_to_url"]["return_url"],
        "https://example.com/back"
    );
    assert_eq!(state.post(&answer, "outcome=approve")["status"], "succeeded");
    state.refused(400, "POST", &answer, "outcome=approve");
    let form = "amount=500&currency=usd&payment_method=pm_card_authenticationRequired&confirm=true&off_session=true";
    assert_eq!(
        state.refused(402, "POST", "/v1/payment_intents", form)["code"],
        "authentication_required"
    );

    // A card that asks once is ready after it has been set up.
    let customer = id(&state.post("/v1/customers", ""));
    let form = format!("customer={customer}&payment_method=pm_card_authenticationRequiredOnSetup&confirm=true");
    let setup = state.post("/v1/setup_intents", &form);
    assert_eq!(setup["status"], "requires_action");
    let ready = state.post(&format!("/_sandbox/authenticate/{}", id(&setup)), "outcome=approve");
    assert_eq!(ready["status"], "succeeded");
    let method = ready["payment_method"].as_str().unwrap();
    assert_eq!(
        state.get(&format!("/v1/payment_methods/{method}"))["customer"],
        customer.as_str()
    );
    let form =
        format!("amount=500&currency=usd&customer={customer}&payment_method={method}&confirm=true&off_session=true");
    assert_eq!(state.post("/v1/payment_intents", &form)["status"], "succeeded");
    let failed = state.refused(
        402,
        "POST",
        "/v1/setup_intents",
        "payment_method=pm_card_chargeDeclined&confirm=true",
    );
    assert_eq!(failed["setup_intent"]["status"], "requires_payment_method");
    let waiting = state.post("/v1/setup_intents", "");
    let canceled = state.post(
        &format!("/v1/setup_intents/{}/cancel", id(&waiting)),
        "cancellation_reason=abandoned",
    );
    assert_eq!(canceled["status"], "canceled");
    let kinds = state.events();
    for kind in ["created", "requires_action", "succeeded", "setup_failed", "canceled"] {
        assert!(kinds.contains(&format!("setup_intent.{kind}")), "{kind}");
    }
}

#[test]
fn held_money_is_captured_or_let_go() {
    let mut state = fresh();
    let form = "amount=1000&currency=usd&payment_method=pm_card_visa&confirm=true&capture_method=manual";
    let held = state.post("/v1/payment_intents", form);
    assert_eq!(
        (&held["status"], &held["amount_capturable"]),
        (&json!("requires_capture"), &json!(1000))
    );
    assert_eq!(state.get("/v1/balance")["pending"][0]["amount"], 0);
    let path = format!("/v1/payment_intents/{}", id(&held));
    state.refused(400, "POST", &format!("{path}/capture"), "amount_to_capture=1001");
    let captured = state.post(&format!("{path}/capture"), "amount_to_capture=600");
    assert_eq!(
        (&captured["status"], &captured["amount_received"]),
        (&json!("succeeded"), &json!(600))
    );
    assert_eq!(state.get("/v1/balance")["pending"][0]["amount"], 600 - 47);
    let other = state.post("/v1/payment_intents", form);
    let canceled = state.post(&format!("/v1/payment_intents/{}/cancel", id(&other)), "");
    assert_eq!(canceled["status"], "canceled");
    let charge = state.get(&format!("/v1/charges/{}", other["latest_charge"].as_str().unwrap()));
    assert_eq!(charge["refunded"], true);
    state.refused(400, "POST", &format!("{path}/cancel"), "");
    let kinds = state.events();
    for kind in [
        "payment_intent.amount_capturable_updated",
        "charge.captured",
        "payment_intent.canceled",
    ] {
        assert!(kinds.contains(&kind.to_owned()), "{kind}");
    }
}

#[test]
fn a_debit_settles_later_or_fails() {
    let mut state = fresh();
    let debit = |state: &mut Direct, iban: &str| {
        let method = state.post(
            "/v1/payment_methods",
            &format!("type=sepa_debit&sepa_debit[iban]={iban}"),
        );
        let form = format!(
            "amount=900&currency=eur&payment_method={}&confirm=true&payment_method_types[]=sepa_debit",
            id(&method)
        );
        let intent = state.post("/v1/payment_intents", &form);
        assert_eq!(intent["status"], "processing");
        format!("/v1/payment_intents/{}", id(&intent))
    };
    let good = debit(&mut state, "DE89370400440532013000");
    let bad = debit(&mut state, "DE62370400440532013001");
    let never = debit(&mut state, "DE18370400440532013006");
    state.switch("/_sandbox/clock", &json!({"advance": 200}));
    assert_eq!(state.get(&good)["status"], "succeeded");
    assert_eq!(state.get(&bad)["last_payment_error"]["code"], "debit_not_authorized");
    state.switch("/_sandbox/clock", &json!({"advance": 30 * 86_400}));
    assert_eq!(state.get(&never)["status"], "processing");
    let kinds = state.events();
    for kind in [
        "charge.pending",
        "payment_intent.processing",
        "charge.failed",
        "charge.succeeded",
    ] {
        assert!(kinds.contains(&kind.to_owned()), "{kind}");
    }
    state.refused(
        400,
        "POST",
        "/v1/payment_methods",
        "type=sepa_debit&sepa_debit[iban]=DE00",
    );
}

#[test]
#[expect(clippy::too_many_lines, reason = "each way a refund can end, told in order")]
fn refunds_go_come_back_or_wait() {
    let mut state = fresh();
    let intent = paid(&mut state, "pm_card_visa", 1000);
    let refund = state.post(
        "/v1/refunds",
        &format!("payment_intent={}&amount=300&reason=requested_by_customer", id(&intent)),
    );
    assert_eq!(
        (&refund["status"], &refund["amount"]),
        (&json!("succeeded"), &json!(300))
    );
    let charge = format!(
        "/v1/charges/{}?expand[]=refunds",
        intent["latest_charge"].as_str().unwrap()
    );
    assert_eq!(
        (&state.get(&charge)["amount_refunded"], &state.get(&charge)["refunded"]),
        (&json!(300), &json!(false))
    );
    state.refused(
        400,
        "POST",
        "/v1/refunds",
        &format!("payment_intent={}&amount=701", id(&intent)),
    );
    state.post(
        "/v1/refunds",
        &format!("charge={}", intent["latest_charge"].as_str().unwrap()),
    );
    let error = state.refused(400, "POST", "/v1/refunds", &format!("payment_intent={}", id(&intent)));
    assert_eq!(error["code"], "charge_already_refunded");
    assert_eq!(
        (
            state.get(&charge)["refunds"]["data"].as_array().unwrap().len(),
            &state.get(&charge)["refunded"]
        ),
        (2, &json!(true))
    );
    assert_eq!(
        state.get("/v1/balance_transactions?type=refund")["data"]
            .as_array()
            .unwrap()
            .len(),
        2
    );

    let intent = paid(&mut state, "pm_card_refundFail", 1000);
    let refund = id(&state.post("/v1/refunds", &format!("payment_intent={}", id(&intent))));
    state.switch("/_sandbox/clock", &json!({"advance": 61}));
    let failed = state.get(&format!("/v1/refunds/{refund}"));
    assert_eq!(
        (&failed["status"], &failed["failure_reason"]),
        (&json!("failed"), &json!("expired_or_canceled_card"))
    );
    assert!(failed["failure_balance_transaction"].is_string());
    let charge = state.get(&format!("/v1/charges/{}", intent["latest_charge"].as_str().unwrap()));
    assert_eq!(
        (&charge["amount_refunded"], &charge["refunded"]),
        (&json!(0), &json!(false))
    );

    let intent = paid(&mut state, "pm_card_pendingRefund", 1000);
    let first = state.post("/v1/refunds", &format!("payment_intent={}&amount=400", id(&intent)));
    assert_eq!(first["status"], "pending");
    assert_eq!(
        state.post(&format!("/v1/refunds/{}/cancel", id(&first)), "")["status"],
        "canceled"
    );
    let second = state.post("/v1/refunds", &format!("payment_intent={}", id(&intent)));
    state.switch("/_sandbox/clock", &json!({"advance": 86_400}));
    assert_eq!(
        state.get(&format!("/v1/refunds/{}", id(&second)))["status"],
        "succeeded"
    );
    let old = call("GET", &format!("/v1/refunds/{}", id(&second)), "").header("stripe-version", "2026-06-24.dahlia");
    assert!(state.apply(&old).value().get("payment_method").is_none());
    let kinds = state.events();
    for kind in [
        "refund.created",
        "refund.updated",
        "refund.failed",
        "charge.refunded",
        "charge.refund.updated",
    ] {
        assert!(kinds.contains(&kind.to_owned()), "{kind}");
    }
}

#[test]
fn disputes_take_money_and_may_give_it_back() {
    let mut state = fresh();
    let net = |state: &mut Direct| {
        let balance = state.get("/v1/balance");
        balance["available"][0]["amount"].as_i64().unwrap() + balance["pending"][0]["amount"].as_i64().unwrap()
    };
    let intent = paid(&mut state, "pm_card_createDispute", 5000);
    let charge = intent["latest_charge"].as_str().unwrap().to_owned();
    assert_eq!(state.get(&format!("/v1/charges/{charge}"))["disputed"], true);
    let dispute = state.get(&format!("/v1/disputes?charge={charge}"))["data"][0].clone();
    assert_eq!(
        (&dispute["status"], &dispute["amount"]),
        (&json!("needs_response"), &json!(5000))
    );
    assert_eq!(
        (
            &dispute["balance_transactions"][0]["amount"],
            &dispute["balance_transactions"][0]["fee"]
        ),
        (&json!(-5000), &json!(1500))
    );
    assert_eq!(net(&mut state), -175 - 1500);
    let path = format!("/v1/disputes/{}", id(&dispute));
    let noted = state.post(&path, "evidence[customer_name]=A&submit=false");
    assert_eq!(
        (&noted["status"], &noted["evidence"]["customer_name"]),
        (&json!("needs_response"), &json!("A"))
    );
    let won = state.post(&path, "evidence[uncategorized_text]=winning_evidence");
    assert_eq!(
        (&won["status"], won["balance_transactions"].as_array().unwrap().len()),
        (&json!("won"), 2)
    );
    assert_eq!(net(&mut state), 5000 - 175 - 1500);
    state.refused(400, "POST", &format!("{path}/close"), "");

    paid(&mut state, "pm_card_createDisputeInquiry", 1000);
    let inquiry = state.get("/v1/disputes")["data"][0].clone();
    assert_eq!(
        (&inquiry["status"], &inquiry["balance_transactions"]),
        (&json!("warning_needs_response"), &json!([]))
    );
    let closed = state.post(&format!("/v1/disputes/{}/close", id(&inquiry)), "");
    assert_eq!(closed["status"], "warning_closed");
    let kinds = state.events();
    for kind in ["created", "updated", "closed", "funds_withdrawn", "funds_reinstated"] {
        assert!(kinds.contains(&format!("charge.dispute.{kind}")), "{kind}");
    }
}

#[test]
fn a_customer_has_a_balance_and_tax_ids() {
    let mut state = fresh();
    let customer = id(&state.post(
        "/v1/customers",
        "tax_id_data[0][type]=eu_vat&tax_id_data[0][value]=DE123456789",
    ));
    let path = format!("/v1/customers/{customer}");
    let credit = state.post(
        &format!("{path}/balance_transactions"),
        "amount=-500&currency=usd&description=Sorry",
    );
    assert_eq!(
        (&credit["ending_balance"], &credit["description"]),
        (&json!(-500), &json!("Sorry"))
    );
    state.post(&format!("{path}/balance_transactions"), "amount=200&currency=usd");
    assert_eq!(
        (&state.get(&path)["balance"], &state.get(&path)["currency"]),
        (&json!(-300), &json!("usd"))
    );
    state.refused(
        400,
        "POST",
        &format!("{path}/balance_transactions"),
        "amount=1&currency=eur",
    );
    let full = state.get(&format!("{path}?expand[]=tax_ids"));
    assert_eq!(
        (
            &full["tax_ids"]["data"][0]["value"],
            &full["tax_ids"]["data"][0]["country"]
        ),
        (&json!("DE123456789"), &json!("DE"))
    );
    state.delete(&format!("{path}/tax_ids/{}", id(&full["tax_ids"]["data"][0])));
    assert_eq!(state.get(&format!("{path}/tax_ids"))["data"], json!([]));
    let account = state.get("/v1/account");
    assert!(id(&account).starts_with("acct_1"));
    assert_eq!(state.get(&format!("/v1/accounts/{}", id(&account))), account);
    state.refused(403, "GET", "/v1/accounts/acct_other", "");
}

/// One thing that moves money.
#[derive(Clone, Debug)]
enum Step {
    Pay(usize, i64),
    Refund(usize, i64),
    Decide(usize, bool),
    Advance(i64),
}

const METHODS: [&str; 8] = [
    "pm_card_visa",
    "pm_card_bypassPending",
    "pm_card_chargeDeclined",
    "pm_card_createDispute",
    "pm_card_createDisputeInquiry",
    "pm_card_refundFail",
    "pm_card_pendingRefund",
    "pm_card_mastercard",
];

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        (0..METHODS.len(), 1_i64..100_000).prop_map(|(method, amount)| Step::Pay(method, amount)),
        (0_usize..50, 1_i64..100_000).prop_map(|(which, amount)| Step::Refund(which, amount)),
        (0_usize..50, any::<bool>()).prop_map(|(which, won)| Step::Decide(which, won)),
        (1_i64..200_000).prop_map(Step::Advance),
    ]
}

fn list_all(state: &mut Direct, path: &str) -> Vec<Value> {
    let page = state.get(&format!("{path}?limit=100"));
    assert_eq!(page["has_more"], false);
    page["data"].as_array().unwrap().clone()
}

fn total(objects: &[Value], field: &str, holds: impl Fn(&Value) -> bool) -> i64 {
    objects
        .iter()
        .filter(|object| holds(object))
        .map(|object| object[field].as_i64().unwrap())
        .sum()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    /// Charged, less refunded, less disputed, less fees is what the balance says, whatever happened in which order.
    #[test]
    fn money_is_conserved(steps in proptest::collection::vec(step(), 1..40)) {
        let mut state = fresh();
        for step in steps {
            match step {
                Step::Pay(method, amount) => {
                    let form = format!("amount={amount}&currency=usd&payment_method={}&confirm=true", METHODS[method]);
                    let status = state.apply(&call("POST", "/v1/payment_intents", &form)).status;
                    prop_assert!(matches!(status, 200 | 402));
                }
                Step::Refund(which, amount) => {
                    let charges = list_all(&mut state, "/v1/charges");
                    if let Some(charge) = charges.get(which) {
                        let status = state.apply(&call("POST", "/v1/refunds", &format!("charge={}&amount={amount}", id(charge)))).status;
                        prop_assert!(matches!(status, 200 | 400));
                    }
                }
                Step::Decide(which, won) => {
                    let disputes = list_all(&mut state, "/v1/disputes");
                    if let Some(dispute) = disputes.get(which) {
                        let word = if won { "winning_evidence" } else { "losing_evidence" };
                        let status = state.apply(&call("POST", &format!("/v1/disputes/{}", id(dispute)), &format!("evidence[uncategorized_text]={word}"))).status;
                        prop_assert!(matches!(status, 200 | 400));
                    }
                }
                Step::Advance(seconds) => {
                    state.switch("/_sandbox/clock", &json!({"advance": seconds}));
                }
            }
            let charges = list_all(&mut state, "/v1/charges");
            let refunds = list_all(&mut state, "/v1/refunds");
            let disputes = list_all(&mut state, "/v1/disputes");
            let journal = state.get("/_sandbox/truth");
            let transactions = journal["balance_transaction"].as_array().unwrap().clone();
            for one in &transactions {
                prop_assert_eq!(one["amount"].as_i64().unwrap() - one["fee"].as_i64().unwrap(), one["net"].as_i64().unwrap());
            }
            let balance = state.get("/v1/balance");
            let held = balance["available"][0]["amount"].as_i64().unwrap() + balance["pending"][0]["amount"].as_i64().unwrap();
            prop_assert_eq!(held, total(&transactions, "net", |_| true));
            let charged = total(&charges, "amount_captured", |charge| charge["status"] == "succeeded");
            let refunded = total(&refunds, "amount", |refund| !matches!(refund["status"].as_str(), Some("failed" | "canceled")));
            let disputed = total(&disputes, "amount", |dispute| matches!(dispute["status"].as_str(), Some("needs_response" | "under_review" | "lost")) && dispute["balance_transactions"] != json!([]));
            let fees = total(&transactions, "fee", |_| true);
            prop_assert_eq!(held, charged - refunded - disputed - fees);
            let mut by_charge: BTreeMap<String, i64> = BTreeMap::new();
            for refund in refunds.iter().filter(|refund| !matches!(refund["status"].as_str(), Some("failed" | "canceled"))) {
                *by_charge.entry(refund["charge"].as_str().unwrap().to_owned()).or_default() += refund["amount"].as_i64().unwrap();
            }
            for charge in &charges {
                let own = by_charge.get(&id(charge)).copied().unwrap_or(0);
                prop_assert_eq!(charge["amount_refunded"].as_i64().unwrap(), own);
                prop_assert!(own <= charge["amount"].as_i64().unwrap());
            }
        }
    }
}

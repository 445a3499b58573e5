//! What holds for every call: keys, versions, errors, idempotency, lists, determinism.

use sandbox::State;
use sandbox::wire::version::NEWEST;
use serde_json::json;

use crate::support::{Ask, NOW, call, fresh, id, settings};

#[test]
fn the_same_seed_and_calls_give_the_same_bytes() {
    let play = |seed: u64| {
        let mut state = State::new(settings(seed));
        let mut bytes = Vec::new();
        for (method, path, form) in [
            ("POST", "/v1/customers", "email=a@b.c&metadata[x]=y"),
            ("POST", "/v1/customers", "bogus=1"),
            ("POST", "/v1/test_helpers/test_clocks", "frozen_time=1700000000"),
            (
                "POST",
                "/v1/webhook_endpoints",
                "url=http://127.0.0.1:1/x&enabled_events[]=*",
            ),
            ("GET", "/v1/events", ""),
            ("GET", "/_sandbox/journal", ""),
            ("GET", "/_sandbox/truth", ""),
        ] {
            let reply = state.apply(&call(method, path, form));
            bytes.push((reply.status, reply.headers, String::from_utf8(reply.body).unwrap()));
        }
        bytes
    };
    assert_eq!(play(1), play(1));
    let (one, two) = (play(1), play(2));
    assert_ne!(one[0], two[0]);
}

#[test]
fn an_unknown_parameter_is_refused_by_name_and_leaves_nothing() {
    let mut state = fresh();
    let error = state.refused(400, "POST", "/v1/customers", "email=a@b.c&favourite_colour=red");
    assert_eq!(error["code"], "parameter_unknown");
    assert_eq!(error["param"], "favourite_colour");
    assert_eq!(error["type"], "invalid_request_error");
    assert_eq!(
        error["doc_url"],
        "https://stripe.com/docs/error-codes/parameter-unknown"
    );
    assert_eq!(state.get("/v1/customers")["data"], json!([]));
    assert_eq!(state.events(), [""; 0]);
    let error = state.refused(400, "POST", "/v1/customers", "address[town]=x");
    assert_eq!(error["param"], "address[town]");
}

#[test]
fn errors_say_what_is_wrong() {
    let mut state = fresh();
    let error = state.refused(404, "GET", "/v1/customers/cus_none", "");
    assert_eq!(
        (&error["code"], &error["param"]),
        (&json!("resource_missing"), &json!("id"))
    );
    assert_eq!(error["message"], "No such customer: 'cus_none'");
    let error = state.refused(400, "POST", "/v1/customers", "email=nonsense");
    assert_eq!(error["code"], "email_invalid");
    let error = state.refused(400, "POST", "/v1/test_helpers/test_clocks", "name=x");
    assert_eq!(
        (&error["code"], &error["param"]),
        (&json!("parameter_missing"), &json!("frozen_time"))
    );
    let error = state.refused(404, "GET", "/v1/nothing_like_it", "");
    assert!(error["message"].as_str().unwrap().contains("Unrecognized request URL"));
    let reply = state.apply(&sandbox::Call::new("GET", "/v1/customers"));
    assert_eq!(reply.status, 401);
    let bad_key = sandbox::Call::new("GET", "/v1/customers").header("authorization", "Bearer sk_live_abcdef");
    let reply = state.apply(&bad_key);
    assert_eq!(
        (reply.status, &reply.headers["stripe-should-retry"]),
        (401, &"false".to_owned())
    );
    assert!(
        !reply.value().to_string().contains("sk_live_abcdef"),
        "a key in an answer"
    );
    // Basic, as `curl -u key:` sends it.
    let basic = sandbox::Call::new("GET", "/v1/customers").header("authorization", "Basic c2tfdGVzdF9hYmM6");
    assert_eq!(state.apply(&basic).status, 200);
}

#[test]
fn headers_tell_request_version_and_key() {
    let mut state = fresh();
    let plain = state.apply(&call("GET", "/v1/customers", ""));
    assert!(plain.headers["request-id"].starts_with("req_"));
    assert_eq!(plain.headers["stripe-version"], NEWEST);
    let old = state.apply(&call("GET", "/v1/customers", "").header("stripe-version", "2024-09-30.acacia"));
    assert_eq!(old.headers["stripe-version"], "2024-09-30.acacia");
    let bad = state.apply(&call("GET", "/v1/customers", "").header("stripe-version", "latest"));
    assert_eq!(bad.status, 400);
}

#[test]
fn a_key_answers_its_first_result_for_a_day() {
    let mut state = fresh();
    let keyed = |form: &str| call("POST", "/v1/customers", form).header("idempotency-key", "k1");
    let first = state.apply(&keyed("email=a@b.c&name=n"));
    let again = state.apply(&keyed("name=n&email=a@b.c"));
    assert_eq!(first.body, again.body);
    assert_eq!(again.headers["idempotent-replayed"], "true");
    assert_eq!(again.headers["original-request"], first.headers["request-id"]);
    assert_eq!(again.headers["idempotency-key"], "k1");
    assert!(!first.headers.contains_key("idempotent-replayed"));
    let other = state.apply(&keyed("email=a@b.c&name=m"));
    assert_eq!(
        (other.status, other.value()["error"]["type"].clone()),
        (400, json!("idempotency_error"))
    );
    let elsewhere = call("POST", "/v1/test_helpers/test_clocks", "frozen_time=1").header("idempotency-key", "k1");
    assert_eq!(state.apply(&elsewhere).value()["error"]["type"], "idempotency_error");
    assert_eq!(state.get("/v1/customers")["data"].as_array().unwrap().len(), 1);
    let effects = state.get("/_sandbox/journal")["effects"]["k1"].clone();
    assert_eq!(effects.as_array().unwrap().len(), 1, "{effects}");
    state.switch("/_sandbox/clock", &json!({"advance": 24 * 3600 - 1}));
    assert_eq!(state.apply(&keyed("email=a@b.c&name=n")).body, first.body);
    state.switch("/_sandbox/clock", &json!({"advance": 1}));
    let new = state.apply(&keyed("email=a@b.c&name=n"));
    assert_ne!(new.body, first.body);
    let effects = state.get("/_sandbox/journal")["effects"]["k1"].clone();
    assert_eq!(effects.as_array().unwrap().len(), 2, "{effects}");
}

#[test]
fn a_validation_error_is_not_kept_under_the_key() {
    let mut state = fresh();
    let keyed = |form: &str| call("POST", "/v1/customers", form).header("idempotency-key", "k2");
    assert_eq!(state.apply(&keyed("email=nonsense")).status, 400);
    let reply = state.apply(&keyed("email=a@b.c"));
    assert_eq!(reply.status, 200);
    assert!(!reply.headers.contains_key("idempotent-replayed"));
}

#[test]
fn lists_page_both_ways() {
    let mut state = fresh();
    let ids: Vec<String> = (0..25)
        .map(|n| {
            state.switch("/_sandbox/clock", &json!({"advance": 1}));
            id(&state.post("/v1/customers", &format!("name=n{n}")))
        })
        .collect();
    let newest: Vec<&String> = ids.iter().rev().collect();
    let shown = |page: &serde_json::Value| -> Vec<String> { page["data"].as_array().unwrap().iter().map(id).collect() };
    let first = state.get("/v1/customers");
    assert_eq!(
        (shown(&first).len(), &first["has_more"], &first["url"]),
        (10, &json!(true), &json!("/v1/customers"))
    );
    assert_eq!(shown(&first)[0], *newest[0]);
    let mut walked = Vec::new();
    let mut path = "/v1/customers?limit=7".to_owned();
    loop {
        let page = state.get(&path);
        walked.extend(shown(&page));
        assert!(
            walked.len() <= ids.len() && !shown(&page).is_empty(),
            "the walk does not end"
        );
        if page["has_more"] == false {
            break;
        }
        path = format!("/v1/customers?limit=7&starting_after={}", walked.last().unwrap());
    }
    assert_eq!(walked.iter().collect::<Vec<_>>(), newest);
    let back = state.get(&format!("/v1/customers?limit=3&ending_before={}", newest[5]));
    assert_eq!(shown(&back).iter().collect::<Vec<_>>(), newest[2..5]);
    assert_eq!(back["has_more"], true);
    let back = state.get(&format!("/v1/customers?limit=9&ending_before={}", newest[2]));
    assert_eq!((shown(&back).len(), &back["has_more"]), (2, &json!(false)));
    let range = state.get(&format!(
        "/v1/customers?limit=100&created[gt]={}&created[lte]={}",
        NOW + 5,
        NOW + 10
    ));
    assert_eq!(shown(&range).len(), 5);
    assert_eq!(
        shown(&state.get(&format!("/v1/customers?created={}", NOW + 5))).len(),
        1
    );
    for bad in [
        "limit=0",
        "limit=101",
        "limit=x",
        "starting_after=cus_none",
        "created[gt]=x",
    ] {
        let reply = state.apply(&call("GET", &format!("/v1/customers?{bad}"), ""));
        assert!(matches!(reply.status, 400 | 404), "{bad}: {}", reply.status);
    }
}

#[test]
fn a_deleted_customer_says_so_and_is_listed_no_more() {
    let mut state = fresh();
    let customer = id(&state.post("/v1/customers", "email=a@b.c"));
    let path = format!("/v1/customers/{customer}");
    let gone = state.delete(&path);
    assert_eq!(gone, json!({"id": customer, "object": "customer", "deleted": true}));
    assert_eq!(state.get(&path), gone);
    assert_eq!(state.get("/v1/customers")["data"], json!([]));
    state.refused(404, "POST", &path, "name=x");
    assert_eq!(state.events(), ["customer.created", "customer.deleted"]);
}

#[test]
fn an_update_says_what_was_before() {
    let mut state = fresh();
    let customer = id(&state.post("/v1/customers", "name=a&metadata[k]=1&metadata[l]=2"));
    let path = format!("/v1/customers/{customer}");
    state.post(&path, "name=b&metadata[k]=&metadata[m]=3&phone=");
    state.post(&path, "name=b");
    let events = state.get("/v1/events");
    let newest = &events["data"][0];
    assert_eq!(
        events["data"].as_array().unwrap().len(),
        2,
        "a change of nothing is no event"
    );
    assert_eq!(newest["type"], "customer.updated");
    let previous = json!({"name": "a", "metadata": {"k": "1", "m": null}});
    assert_eq!(newest["data"]["previous_attributes"], previous);
    assert_eq!(newest["data"]["object"]["metadata"], json!({"l": "2", "m": "3"}));
    assert_eq!(newest["object"], "event");
    assert!(newest["request"]["id"].as_str().unwrap().starts_with("req_"));
}

#[test]
fn a_test_clock_moves_its_customers_alone() {
    let mut state = fresh();
    let clock = id(&state.post("/v1/test_helpers/test_clocks", "frozen_time=1700000000"));
    let on_clock = state.post("/v1/customers", &format!("test_clock={clock}"));
    assert_eq!(on_clock["created"], 1_700_000_000);
    assert_eq!(state.post("/v1/customers", "")["created"], NOW);
    let path = format!("/v1/test_helpers/test_clocks/{clock}");
    let moved = state.post(&format!("{path}/advance"), "frozen_time=1700000100");
    assert_eq!(moved["status"], "advancing");
    let ready = state.get(&path);
    assert_eq!(
        (&ready["status"], &ready["frozen_time"]),
        (&json!("ready"), &json!(1_700_000_100))
    );
    let error = state.refused(400, "POST", &format!("{path}/advance"), "frozen_time=1700000100");
    assert_eq!(error["param"], "frozen_time");
    state.post(&format!("/v1/customers/{}", id(&on_clock)), "name=x");
    assert_eq!(state.get("/v1/events")["data"][0]["created"], 1_700_000_100);
    state.delete(&path);
    assert_eq!(state.get(&format!("/v1/customers/{}", id(&on_clock)))["deleted"], true);
    let kinds = state.events();
    for kind in ["created", "advancing", "ready", "deleted"] {
        assert!(kinds.contains(&format!("test_helpers.test_clock.{kind}")), "{kind}");
    }
    state.refused(404, "POST", "/v1/customers", "test_clock=clock_none");
}

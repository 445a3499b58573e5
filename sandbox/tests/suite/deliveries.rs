//! Webhooks over HTTP: signatures, filters, retries, versions, thin events, and each fault of deliveries.

use sandbox::{Running, Sandbox, State};
use serde_json::{Value, json};

use crate::support::settings;
use crate::wire::{Answer, Endpoint, Received, ask};

struct Served {
    running: Running,
    sandbox: Sandbox,
}

impl Served {
    async fn start() -> Self {
        let sandbox = Sandbox::new(State::new(settings(11)));
        let running = sandbox.serve("127.0.0.1:0".parse().unwrap()).await.unwrap();
        Self { running, sandbox }
    }

    /// With an endpoint for everything, whose secret is `whsec_one`.
    async fn with(answers: &[u16]) -> (Self, Endpoint, String) {
        let (served, endpoint) = (Self::start().await, Endpoint::listen(answers).await);
        let made = served
            .switch(
                "/_sandbox/endpoints",
                json!({"url": endpoint.url, "secret": "whsec_one"}),
            )
            .await;
        let id = made["id"].as_str().unwrap().to_owned();
        (served, endpoint, id)
    }

    async fn call(&self, method: &str, path: &str, form: &str) -> Answer {
        ask(self.running.address(), method, path, form, &[]).await
    }

    async fn post(&self, path: &str, form: &str) -> Value {
        let answer = self.call("POST", path, form).await;
        assert_eq!(answer.status, Some(200), "{path} {form}: {}", answer.body);
        answer.value()
    }

    async fn get(&self, path: &str) -> Value {
        self.call("GET", path, "").await.value()
    }

    async fn switch(&self, path: &str, body: Value) -> Value {
        self.post(path, &body.to_string()).await
    }

    /// Nothing waits or is under way any more, as far as time has come.
    async fn quiet(&self) {
        for _ in 0..500 {
            let ready = {
                let deliveries = self.get("/_sandbox/deliveries").await;
                deliveries["open"] == 0
            };
            if ready {
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
        panic!("deliveries stay open");
    }

    async fn attempts(&self) -> Vec<Value> {
        self.get("/_sandbox/journal").await["attempts"]
            .as_array()
            .unwrap()
            .clone()
    }
}

fn kinds(received: &[Received]) -> Vec<String> {
    received.iter().map(Received::kind).collect()
}

#[tokio::test]
async fn an_event_is_delivered_signed_in_order_and_acknowledged() {
    let (served, endpoint, _) = Served::with(&[]).await;
    for n in 0..5 {
        served.post("/v1/customers", &format!("name=n{n}")).await;
    }
    let received = endpoint.wait(5).await;
    served.quiet().await;
    let names: Vec<Value> = received
        .iter()
        .map(|one| one.value()["data"]["object"]["name"].clone())
        .collect();
    assert_eq!(names, ["n0", "n1", "n2", "n3", "n4"]);
    assert!(
        received
            .iter()
            .all(|one| one.signed_by("whsec_one") && !one.signed_by("whsec_two"))
    );
    assert_eq!(received[0].value()["pending_webhooks"], 1);
    let events = served.get("/v1/events").await;
    assert!(
        events["data"]
            .as_array()
            .unwrap()
            .iter()
            .all(|event| event["pending_webhooks"] == 0)
    );
    assert_eq!(served.get("/v1/events?delivery_success=false").await["data"], json!([]));
    served.running.stop().await;
}

#[tokio::test]
async fn an_endpoint_gets_what_it_asked_for_in_its_version() {
    let (served, endpoint) = (Served::start().await, Endpoint::listen(&[]).await);
    let form = format!(
        "url={}&enabled_events[]=promotion_code.*&api_version=2025-02-24.acacia",
        endpoint.url
    );
    let made = served.post("/v1/webhook_endpoints", &form).await;
    let secret = made["secret"].as_str().unwrap();
    let path = format!("/v1/webhook_endpoints/{}", made["id"].as_str().unwrap());
    assert!(
        served.get(&path).await.get("secret").is_none(),
        "a secret is shown once"
    );
    served.post("/v1/coupons", "id=C&percent_off=5").await;
    served.post("/v1/promotion_codes", "promotion[coupon]=C&code=X").await;
    let received = endpoint.wait(1).await;
    assert_eq!(kinds(&received), ["promotion_code.created"]);
    let event = received[0].value();
    assert!(received[0].signed_by(secret));
    assert_eq!(event["api_version"], "2025-02-24.acacia");
    assert_eq!(event["data"]["object"]["coupon"]["id"], "C");
    served.post(&path, "disabled=true").await;
    served.post("/v1/promotion_codes", "promotion[coupon]=C&code=Y").await;
    served.quiet().await;
    assert_eq!(endpoint.received().len(), 1);
    let gone = served.call("DELETE", &path, "").await;
    assert_eq!(gone.value()["deleted"], true);
    served.running.stop().await;
}

#[tokio::test]
async fn a_failed_attempt_is_made_again_later_and_signed_again() {
    let (served, endpoint, id) = Served::with(&[500, 404, 302]).await;
    served.post("/v1/customers", "name=a").await;
    for (count, advance) in [(1, 5), (2, 30), (3, 300)] {
        endpoint.wait(count).await;
        let before = served.get("/v1/events").await;
        assert_eq!(before["data"][0]["pending_webhooks"], 1);
        served.switch("/_sandbox/clock", json!({"advance": advance - 1})).await;
        tokio::time::sleep(std::time::Duration::from_millis(120)).await;
        assert_eq!(endpoint.received().len(), count, "an attempt came too early");
        served.switch("/_sandbox/clock", json!({"advance": 1})).await;
    }
    let received = endpoint.wait(4).await;
    served.quiet().await;
    let bodies: Vec<&String> = received.iter().map(|one| &one.body).collect();
    assert!(bodies.windows(2).all(|pair| pair[0] == pair[1]), "the same event");
    let times: Vec<i64> = received.iter().map(Received::time).collect();
    assert_eq!(
        [times[1] - times[0], times[2] - times[1], times[3] - times[2]],
        [5, 30, 300]
    );
    assert!(received.iter().all(|one| one.signed_by("whsec_one")));
    assert_eq!(served.get("/v1/events").await["data"][0]["pending_webhooks"], 0);
    let attempts = served.attempts().await;
    let statuses: Vec<&Value> = attempts.iter().map(|attempt| &attempt["status"]).collect();
    assert_eq!(statuses, [500, 404, 302, 200]);
    assert_eq!(attempts[2]["next_in_ms"], 300_000);
    // Once more on demand, as the command line's `events resend` asks.
    let event = attempts[0]["event"].as_str().unwrap();
    served
        .post(&format!("/v1/events/{event}/retry"), &format!("webhook_endpoint={id}"))
        .await;
    endpoint.wait(5).await;
    served.running.stop().await;
}

#[tokio::test]
async fn an_event_is_given_up_after_three_days() {
    let (served, endpoint, _) = Served::with(&[500; 40]).await;
    served.post("/v1/customers", "name=a").await;
    for count in 1..=11 {
        endpoint.wait(count).await;
        served.switch("/_sandbox/clock", json!({"advance": 24 * 3600})).await;
    }
    served.quiet().await;
    let attempts = served.attempts().await;
    assert_eq!(attempts.len(), 11);
    assert_eq!(attempts[10]["next_in_ms"], Value::Null);
    let pauses: i64 = attempts
        .iter()
        .filter_map(|attempt| attempt["next_in_ms"].as_i64())
        .sum();
    assert!((71 * 3_600_000..=74 * 3_600_000).contains(&pauses), "{pauses}");
    assert_eq!(
        served.get("/v1/events?delivery_success=false").await["data"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
    served.running.stop().await;
}

#[tokio::test]
async fn a_thin_event_names_its_object_and_is_fetched_in_full() {
    let (served, endpoint) = (Served::start().await, Endpoint::listen(&[]).await);
    served
        .switch(
            "/_sandbox/endpoints",
            json!({"url": endpoint.url, "secret": "whsec_one", "thin": true}),
        )
        .await;
    let customer = served.post("/v1/customers", "name=a").await;
    let received = endpoint.wait(1).await;
    let notice = received[0].value();
    let id = customer["id"].as_str().unwrap();
    assert_eq!(
        (&notice["object"], &notice["type"]),
        (&json!("v2.core.event"), &json!("v1.customer.created"))
    );
    let related = json!({"id": id, "type": "customer", "url": format!("/v1/customers/{id}")});
    assert_eq!(notice["related_object"], related);
    assert!(notice.get("snapshot_event").is_none() && notice["created"].as_str().unwrap().ends_with('Z'));
    let full = served
        .get(&format!("/v2/core/events/{}", notice["id"].as_str().unwrap()))
        .await;
    assert_eq!(full["snapshot_event"], served.get("/v1/events").await["data"][0]["id"]);
    let listed = served.get(&format!("/v2/core/events?object_id={id}")).await;
    assert_eq!(listed["data"][0]["id"], notice["id"]);
    served.running.stop().await;
}

#[tokio::test]
async fn an_event_destination_is_an_endpoint_of_the_second_kind() {
    let (served, endpoint) = (Served::start().await, Endpoint::listen(&[]).await);
    let wish = json!({
        "name": "ledger", "type": "webhook_endpoint", "event_payload": "thin", "enabled_events": ["v1.customer.created"],
        "webhook_endpoint": {"url": endpoint.url}, "include": ["webhook_endpoint.signing_secret"],
    });
    let made = served.switch("/v2/core/event_destinations", wish).await;
    let secret = made["webhook_endpoint"]["signing_secret"].as_str().unwrap();
    served.post("/v1/products", "name=x").await;
    served.post("/v1/customers", "name=x").await;
    let received = endpoint.wait(1).await;
    assert!(received[0].signed_by(secret));
    assert_eq!(kinds(&received), ["v1.customer.created"]);
    let path = format!("/v2/core/event_destinations/{}", made["id"].as_str().unwrap());
    assert_eq!(
        served.get(&path).await["webhook_endpoint"],
        json!({}),
        "left out unless asked for"
    );
    assert_eq!(served.get("/v1/webhook_endpoints").await["data"], json!([]));
    let listed = served.get("/v2/core/event_destinations").await;
    assert_eq!(listed["data"][0]["id"], made["id"]);
    assert_eq!(
        served.switch(&format!("{path}/disable"), json!({})).await["status"],
        "disabled"
    );
    served.post("/v1/customers", "name=y").await;
    served.quiet().await;
    assert_eq!(endpoint.received().len(), 1);
    assert_eq!(served.call("DELETE", &path, "").await.value()["deleted"], true);
    assert_eq!(served.call("GET", &path, "").await.status, Some(404));
    served.running.stop().await;
}

#[tokio::test]
async fn faults_of_deliveries_strike() {
    let (served, endpoint, id) = Served::with(&[]).await;
    let fault = async |fault: Value| served.switch("/_sandbox/faults", fault).await;
    let customer = async |name: &str| served.post("/v1/customers", &format!("name={name}")).await;

    fault(json!({"kind": "duplicate", "times": 2, "count": 1})).await;
    customer("twice").await;
    let seen = endpoint.wait(3).await;
    assert!(seen.iter().all(|one| one.value()["id"] == seen[0].value()["id"]));

    fault(json!({"kind": "drop", "count": 1})).await;
    customer("dropped").await;
    customer("kept").await;
    let seen = endpoint.wait(4).await;
    assert_eq!(seen[3].value()["data"]["object"]["name"], "kept");
    let undelivered = served.get("/v1/events?delivery_success=false").await;
    assert_eq!(undelivered["data"][0]["data"]["object"]["name"], "dropped");

    fault(json!({"kind": "version_skew", "version": "2025-02-24.acacia", "count": 1})).await;
    customer("older").await;
    assert_eq!(endpoint.wait(5).await[4].value()["api_version"], "2025-02-24.acacia");

    fault(json!({"kind": "thin_only", "count": 1})).await;
    customer("thin").await;
    assert_eq!(endpoint.wait(6).await[5].kind(), "v1.customer.created");
    fault(json!({"kind": "both_kinds", "count": 1})).await;
    customer("both").await;
    assert_eq!(
        kinds(&endpoint.wait(8).await[6..]),
        ["customer.created", "v1.customer.created"]
    );

    fault(json!({"kind": "bad_signature", "count": 1})).await;
    customer("forged").await;
    assert!(!endpoint.wait(9).await[8].signed_by("whsec_one"));
    fault(json!({"kind": "stale_timestamp", "seconds": 900, "count": 1})).await;
    customer("stale").await;
    let stale = &endpoint.wait(10).await[9];
    assert!(stale.signed_by("whsec_one") && stale.time() == crate::support::NOW - 900);

    fault(json!({"kind": "unknown_enum", "field": "tax_exempt", "types": ["customer.*"], "count": 1})).await;
    fault(json!({"kind": "missing_field", "field": "email", "count": 1})).await;
    fault(json!({"kind": "extra_field", "value": {"x": 1}, "count": 1})).await;
    customer("odd").await;
    let odd = endpoint.wait(11).await[10].value()["data"]["object"].clone();
    assert_eq!(
        (&odd["tax_exempt"], &odd["sandbox_extra"]),
        (&json!("unheard_of"), &json!({"x": 1}))
    );
    assert!(odd.get("email").is_none());

    let rolled = fault(json!({"kind": "secret_roll", "secret": "whsec_two", "overlap_seconds": 60})).await;
    assert_eq!(rolled["set"][0]["rolled"][&id], "whsec_two");
    customer("rolled").await;
    let both = &endpoint.wait(12).await[11];
    assert!(both.signed_by("whsec_one") && both.signed_by("whsec_two"));
    served.switch("/_sandbox/clock", json!({"advance": 61})).await;
    customer("new").await;
    let new = &endpoint.wait(13).await[12];
    assert!(!new.signed_by("whsec_one") && new.signed_by("whsec_two"));
    served.quiet().await;
    assert!(
        served.get("/_sandbox/faults").await["faults"]
            .as_array()
            .unwrap()
            .iter()
            .all(|fault| fault["struck"] == 1)
    );
    served.running.stop().await;
}

#[tokio::test]
async fn faults_of_order_and_time_strike() {
    let (served, endpoint, _) = Served::with(&[]).await;
    let fault = async |fault: Value| served.switch("/_sandbox/faults", fault).await;
    let customer = async |name: &str| served.post("/v1/customers", &format!("name={name}")).await;
    let names = |seen: &[Received]| -> Vec<String> {
        let name = |one: &Received| one.value()["data"]["object"]["name"].as_str().unwrap().to_owned();
        seen.iter().map(name).collect()
    };

    fault(json!({"kind": "reorder", "window": 2, "hold_ms": 100_000, "count": 1})).await;
    for name in ["a", "b", "c"] {
        customer(name).await;
    }
    assert_eq!(names(&endpoint.wait(3).await), ["b", "c", "a"]);

    fault(json!({"kind": "delay", "ms": 5_000, "count": 1})).await;
    customer("late").await;
    customer("prompt").await;
    endpoint.wait(4).await;
    served.switch("/_sandbox/clock", json!({"advance": 5})).await;
    assert_eq!(names(&endpoint.wait(5).await[3..]), ["prompt", "late"]);

    fault(json!({"kind": "burst", "size": 4, "hold_ms": 100_000, "count": 2})).await;
    // Five events have been put up: two more are held until there are eight.
    customer("six").await;
    customer("seven").await;
    tokio::time::sleep(std::time::Duration::from_millis(120)).await;
    assert_eq!(endpoint.received().len(), 5);
    customer("eight").await;
    let mut burst = names(&endpoint.wait(8).await[5..]);
    burst.sort();
    assert_eq!(burst, ["eight", "seven", "six"]);

    fault(json!({"kind": "clock_skew", "seconds": -500, "count": 1})).await;
    customer("skewed").await;
    let skewed = &endpoint.wait(9).await[8];
    let now = served.get("/_sandbox/clock").await["now"].as_i64().unwrap();
    assert_eq!(
        (skewed.time(), &skewed.value()["created"]),
        (now - 500, &json!(now - 500))
    );

    fault(json!({"kind": "mutate_silently", "count": 1})).await;
    let silent = customer("silent").await;
    fault(json!({"kind": "mutate_silently", "object": silent["id"], "set": {"name": "changed", "metadata.k": "v"}}))
        .await;
    let id = silent["id"].as_str().unwrap();
    assert_eq!(served.get(&format!("/v1/customers/{id}")).await["name"], "changed");
    fault(json!({"kind": "same_second", "at": 1234, "count": 1})).await;
    customer("same").await;
    let same = &endpoint.wait(10).await[9];
    assert_eq!(
        (names(std::slice::from_ref(same)), &same.value()["created"]),
        (vec!["same".to_owned()], &json!(1234))
    );
    served.running.stop().await;
}

#[tokio::test]
#[expect(clippy::too_many_lines, reason = "one fault after the other, each met once")]
async fn faults_of_calls_strike() {
    let served = Served::start().await;
    let address = served.running.address();
    let fault = async |fault: Value| served.switch("/_sandbox/faults", fault).await;
    let keyed =
        async |key: &str, form: &str| ask(address, "POST", "/v1/customers", form, &[("idempotency-key", key)]).await;
    let count = async || {
        served.get("/v1/customers?limit=100").await["data"]
            .as_array()
            .unwrap()
            .len()
    };

    fault(json!({"kind": "http_429", "retry_after": 7, "method": "POST", "count": 1})).await;
    let limited = keyed("k1", "name=a").await;
    assert_eq!(
        (limited.status, limited.head.contains("retry-after: 7")),
        (Some(429), true)
    );
    assert_eq!(keyed("k1", "name=a").await.status, Some(200));

    fault(json!({"kind": "http_502_html", "path": "/v1/customers", "method": "POST", "count": 1})).await;
    let page = keyed("k2", "name=b").await;
    assert_eq!((page.status, page.body.starts_with("<html>")), (Some(502), true));
    assert_eq!(count().await, 1);

    fault(json!({"kind": "http_500", "stored": true, "method": "POST", "count": 1})).await;
    assert_eq!(keyed("k3", "name=c").await.status, Some(500));
    let replayed = keyed("k3", "name=c").await;
    assert_eq!(
        (replayed.status, replayed.head.contains("idempotent-replayed: true")),
        (Some(500), true)
    );
    assert_eq!(count().await, 1);
    fault(json!({"kind": "http_500", "done": true, "method": "POST", "count": 1})).await;
    assert_eq!(keyed("k4", "name=d").await.status, Some(500));
    assert_eq!(count().await, 2);

    fault(json!({"kind": "lost_reply", "method": "POST", "count": 1})).await;
    assert_eq!(keyed("k5", "name=e").await.status, None);
    assert_eq!(count().await, 3);
    let again = keyed("k5", "name=e").await;
    assert_eq!(
        (again.status, again.head.contains("idempotent-replayed: true")),
        (Some(200), true)
    );
    assert_eq!(count().await, 3);

    fault(json!({"kind": "truncated_body", "method": "POST", "count": 1})).await;
    let half = keyed("k6", "name=f").await;
    let length = half
        .head
        .lines()
        .find_map(|line| line.strip_prefix("content-length: "))
        .unwrap()
        .to_owned();
    let whole: usize = length.parse().unwrap();
    assert_eq!((half.status, half.body.len()), (Some(200), whole / 2));

    fault(json!({"kind": "slow", "ms": 300, "method": "POST", "count": 1})).await;
    let (slow, busy) = tokio::join!(keyed("k7", "name=g"), async {
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        keyed("k7", "name=g").await
    });
    assert_eq!((slow.status, busy.status), (Some(200), Some(409)));
    assert_eq!(busy.value()["error"]["code"], "idempotency_key_in_use");

    fault(json!({"kind": "missing_field", "field": "email", "path": "/v1/customers*", "count": 1})).await;
    let odd = keyed("k8", "name=h&email=a@b.c").await.value();
    assert!(odd.get("email").is_none() && odd["name"] == "h");

    fault(json!({"kind": "list_gap", "lists": 2, "count": 1})).await;
    let newest = keyed("k9", "name=i").await.value()["id"].clone();
    let shown = async || served.get("/v1/customers").await["data"][0]["id"] == newest;
    assert_eq!([shown().await, shown().await, shown().await], [false, false, true]);

    let bad = served
        .call("POST", "/_sandbox/faults", "{\"kind\": \"slow\", \"seconds\": 5}")
        .await;
    assert_eq!(
        bad.status,
        Some(400),
        "a setting that the kind does not have: {}",
        bad.body
    );
    let effects = served.get("/_sandbox/journal").await["effects"].clone();
    for key in ["k1", "k4", "k5", "k6", "k7"] {
        assert_eq!(effects[key].as_array().map(Vec::len), Some(1), "{key}: {effects}");
    }
    assert!(effects.get("k2").is_none() && effects.get("k3").is_none());
    served.running.stop().await;
}

#[tokio::test]
async fn a_probability_strikes_by_the_seed() {
    let struck = async || {
        let served = Served::start().await;
        served
            .switch(
                "/_sandbox/faults",
                json!({"kind": "http_429", "probability": 0.3, "path": "/v1/*"}),
            )
            .await;
        let mut pattern = Vec::new();
        for _ in 0..60 {
            pattern.push(served.call("GET", "/v1/customers", "").await.status == Some(429));
        }
        served.running.stop().await;
        pattern
    };
    let (one, two) = (struck().await, struck().await);
    assert_eq!(one, two);
    let hits = one.iter().filter(|hit| **hit).count();
    assert!((8..=30).contains(&hits), "{hits} of 60");
}

#[tokio::test]
async fn a_body_beyond_the_bound_is_refused() {
    let served = Served::start().await;
    let answer = served
        .call("POST", "/v1/customers", &format!("name={}", "a".repeat(1 << 20)))
        .await;
    assert_eq!(answer.status, Some(413));
    served.running.stop().await;
}

#[tokio::test]
async fn a_sandbox_goes_on_where_its_file_left_off() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("sandbox.json");
    let (served, endpoint, _) = Served::with(&[500]).await;
    served.post("/v1/customers", "name=kept").await;
    endpoint.wait(1).await;
    served.running.stop().await;
    let bytes = sandbox::file::bytes(&served.sandbox.state()).unwrap();
    sandbox::file::write(&bytes, &path).unwrap();
    assert!(
        sandbox::file::load(&directory.path().join("none.json"))
            .unwrap()
            .is_none()
    );
    let state = sandbox::file::load(&path).unwrap().unwrap();
    let sandbox = Sandbox::new(state);
    let running = sandbox.serve("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let again = Served { running, sandbox };
    assert_eq!(again.get("/v1/customers").await["data"][0]["name"], "kept");
    again.switch("/_sandbox/clock", json!({"advance": 5})).await;
    endpoint.wait(2).await;
    again.quiet().await;
    assert_eq!(again.get("/v1/events").await["data"][0]["pending_webhooks"], 0);
    again.running.stop().await;
}

//! A server with a Stripe behind it, and a caller in front.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::stripe_api::{Loopback, Wire};
use crate::support::TestStore;
use crate::support::http::{Answer, Connection, request};
use crate::support::server::{Launch, Server};
use crate::support::stripe;

/// How long a test waits for what needs a few seconds.
const PATIENCE: Duration = Duration::from_secs(60);

/// A served ledger whose commands a stand-in for Stripe carries out.
pub(super) struct Portal {
    pub(super) stripe: Loopback,
    pub(super) server: Server,
    pub(super) launch: Launch,
    store: TestStore,
    told: std::cell::Cell<u32>,
}

/// A subscription to the team plan, as [`stripe::subscription`] numbers it, in a period that runs now.
pub(super) fn team(account: u32, quantity: u32) -> Value {
    let mut object = stripe::subscription(account, "active", quantity, stripe::now() - 86_400);
    let price = &mut object["items"]["data"][0]["price"];
    price["id"] = "price_team_month".into();
    price["unit_amount"] = 9_900.into();
    price["unit_amount_decimal"] = "9900".into();
    object
}

impl Portal {
    pub(super) async fn open(store: TestStore) -> Self {
        Self::with(store, |launch| launch).await
    }

    pub(super) async fn with(store: TestStore, more: impl Fn(Launch) -> Launch) -> Self {
        let stripe = Loopback::start().await;
        let launch = Launch::new(&store)
            .with("STRIPE_SECRET_KEY", "sk_test_1")
            .with("STRIPE_API_BASE", &stripe.base())
            .with("FRONTEND_URL", "https://app.example");
        let launch = more(launch);
        let server = launch.start().await;
        Self {
            stripe,
            server,
            launch,
            store,
            told: std::cell::Cell::new(0),
        }
    }

    pub(super) fn store(&self) -> String {
        format!("{:?}", self.store.kind)
    }

    /// Stripe knows the subscription, and the ledger has heard of it.
    pub(super) async fn subscribed(&self, account: u32, object: Value) {
        self.stripe.put("subscriptions", object.clone());
        self.tell("customer.subscription.created", stripe::now() - 3_600, &object, None)
            .await;
        self.server.settled().await;
        let standing = self.get(account, "subscription").await;
        assert_eq!(standing["status"], object["status"], "{standing}");
    }

    /// A webhook of Stripe's, caused by the request of that key.
    pub(super) async fn tell(&self, kind: &str, created: i64, object: &Value, key: Option<&str>) {
        self.told.set(self.told.get() + 1);
        let mut event = stripe::event(&format!("evt_{}", self.told.get()), kind, created, object);
        event["request"]["idempotency_key"] = key.into();
        let answer = self.server.deliver(event.to_string().as_bytes()).await;
        assert_eq!(answer.status, 200);
    }

    pub(super) async fn get(&self, account: u32, path: &str) -> Value {
        self.server
            .get(&format!("/v1/tenants/tenant-{account:06}/{path}"))
            .await
    }

    /// A command under a key; an error where the process ended before it answered.
    pub(super) async fn try_ask(&self, account: u32, path: &str, body: &Value, key: &str) -> std::io::Result<Answer> {
        let bearer = format!("Bearer {}", self.server.admin_token());
        let headers = [
            ("Authorization", &*bearer),
            ("Content-Type", "application/json"),
            ("Idempotency-Key", key),
        ];
        let path = format!("/v1/tenants/tenant-{account:06}/{path}");
        let mut connection = Connection::open(&self.server.address).await?;
        connection
            .send(&request("POST", &path, &headers, body.to_string().as_bytes()))
            .await
    }

    /// A command under a key, with more headers.
    pub(super) async fn ask_with(&self, account: u32, path: &str, body: &Value, headers: &[(&str, &str)]) -> Answer {
        let bearer = format!("Bearer {}", self.server.admin_token());
        let mut all = vec![("Authorization", &*bearer), ("Content-Type", "application/json")];
        all.extend(headers);
        let path = format!("/v1/tenants/tenant-{account:06}/{path}");
        self.server.send("POST", &path, &all, body.to_string().as_bytes()).await
    }

    pub(super) async fn ask(&self, account: u32, path: &str, body: &Value) -> Answer {
        let key = uuid::Uuid::now_v7().to_string();
        self.ask_with(account, path, body, &[("Idempotency-Key", &key)]).await
    }

    /// The same, recorded; its id.
    pub(super) async fn accepted(&self, account: u32, path: &str, body: &Value) -> String {
        let answer = self.ask(account, path, body).await;
        assert_eq!(
            answer.status,
            202,
            "{path} {body}: {}",
            String::from_utf8_lossy(&answer.body)
        );
        let told = answer.json();
        let id = told["command_id"].as_str().expect("an id").to_owned();
        let location = format!("/v1/tenants/tenant-{account:06}/commands/{id}");
        assert_eq!(answer.header("location"), Some(&*location));
        assert!(answer.header("ledger-position").is_some());
        id
    }

    pub(super) async fn command(&self, account: u32, id: &str) -> Value {
        self.get(account, &format!("commands/{id}")).await
    }

    /// Waits until the command stands so.
    pub(super) async fn until(&self, account: u32, id: &str, status: &str) -> Value {
        let begin = Instant::now();
        loop {
            let command = self.command(account, id).await;
            if command["status"] == status {
                return command;
            }
            assert!(
                begin.elapsed() < PATIENCE,
                "{command} is not {status}\n{}",
                self.server.log()
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Requests to Stripe under this key.
    pub(super) fn sent(&self, key: &str) -> Vec<Wire> {
        let all = self.stripe.wire();
        all.into_iter()
            .filter(|wire| wire.header("idempotency-key") == Some(key))
            .collect()
    }

    /// The form of the last request under this key, decoded and in order.
    pub(super) fn form(&self, key: &str) -> String {
        let wire = self
            .sent(key)
            .pop()
            .unwrap_or_else(|| panic!("nothing was sent under {key}"));
        percent_encoding::percent_decode_str(&wire.body.replace('+', " "))
            .decode_utf8()
            .expect("UTF-8")
            .into_owned()
    }

    /// Starts the server again after its end.
    pub(super) async fn again(&mut self) {
        self.server = self.launch.start().await;
    }

    /// What the log says of every command: none open, and of each at most one effect at Stripe.
    pub(super) fn effects_are_single(&self) {
        let effects = self.stripe.effects();
        let doubled: Vec<_> = effects.iter().filter(|(_, count)| **count > 1).collect();
        assert!(doubled.is_empty(), "{doubled:?}");
        assert_eq!(self.stripe.keyless(), 0);
    }
}

/// Nothing but the wish itself.
pub(super) fn bare() -> Value {
    json!({})
}

//! The router as a caller sees it, and credentials of every kind.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use aggregates::time::Timestamp;
use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Request};
use jsonwebtoken::{EncodingKey, Header, encode};
use projections::db::{Db, DbConfig};
use projections::rebuild::Rebuilds;
use projections::runner::{POLL, Role, Runner};
use serde_json::{Value, json};
use subledger::auth::Mode;
use subledger::auth::api_key::{AdminToken, Pepper};
use subledger::auth::key_ring::KeyRing;
use subledger::auth::key_store::KeyStore;
use subledger::auth::portal_token::{PortalSettings, PortalVerifier};
use subledger::clock::Clock;
use subledger::http::limits::RateLimits;
use subledger::http::page::Cursors;
use subledger::http::redirects::Redirects;
use subledger::http::resources::webhook::Endpoints;
use subledger::http::state::{HttpSettings, Lifecycle, Parts, Service};
use subledger::http::{TABLE, router};
use subledger::inbox::{ReceiptStore, Receiver};
use subledger::plans::Source;
use subledger::plans::registry::Registry;
use subledger::stripe::signature::{NamedSecret, Tolerance, Verifier};
use tower::ServiceExt as _;

use crate::stripe_api::FakeStripe;
use crate::support::{TestStore, stores, stripe};

/// The instant of every test here: 2027-01-15T08:00:00Z.
pub(super) const NOW: i64 = 1_800_000_000;
const PORTAL_SECRET: &[u8] = b"portal-secret-0123456789abcdef-0123456789";

/// The service on a store of the test's own.
pub(super) struct App {
    pub(super) service: Service,
    pub(super) lifecycle: Arc<Lifecycle>,
    pub(super) admin: AdminToken,
    /// What its clock says, in seconds.
    seconds: Arc<AtomicI64>,
    router: Router,
    /// The Stripe its pages are made at.
    pub(super) stripe: FakeStripe,
    _runner: Runner,
    pub(super) store: TestStore,
}

/// An answer, body read whole.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) headers: HeaderMap,
    pub(super) body: Vec<u8>,
}

impl Answer {
    pub(super) fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error}: {} {}", self.status, String::from_utf8_lossy(&self.body)))
    }

    pub(super) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// The slug of a problem, checked for its shape.
    pub(super) fn problem(&self) -> String {
        assert_eq!(
            self.header("content-type"),
            Some("application/problem+json"),
            "{}",
            self.text()
        );
        let body = self.json();
        assert_eq!(body["status"], self.status);
        assert_eq!(body["request_id"].as_str(), self.header("x-request-id"));
        body["code"].as_str().expect("a code").to_owned()
    }
}

impl App {
    /// On SQLite: for what does not depend on the store.
    pub(super) async fn new() -> Self {
        Self::on(TestStore::sqlite(), RateLimits::default()).await
    }

    /// On SQLite with request limits of the test's own.
    pub(super) async fn limited(limits: RateLimits) -> Self {
        Self::on(TestStore::sqlite(), limits).await
    }

    /// One on every store this machine offers, without request limits.
    pub(super) async fn all() -> Vec<Self> {
        let mut all = Vec::new();
        for store in stores().await {
            all.push(Self::on(store, RateLimits::new(|_| 100_000_000)).await);
        }
        all
    }

    #[expect(clippy::too_many_lines, reason = "one line a part")]
    async fn on(store: TestStore, limits: RateLimits) -> Self {
        let admin = AdminToken::try_new().expect("random bytes");
        let lifecycle = Arc::new(Lifecycle::default());
        lifecycle.ready();
        let now = Timestamp::from_seconds(NOW).expect("a time");
        let url = match store.url() {
            Some(url) => url.to_owned(),
            None => format!("sqlite:{}", store.data_dir().join("ledger.db").display()),
        };
        let config = DbConfig {
            accept_unsafe_server: true,
            ..DbConfig::new(&url, now)
        };
        let db = Db::open(&config).await.expect("a ledger");
        let seconds = Arc::new(AtomicI64::new(NOW));
        let told = Arc::clone(&seconds);
        let clock = Clock::from_fn(move || Timestamp::from_seconds(told.load(Ordering::Relaxed)).expect("a time"));
        let ticking = clock.clone();
        let runner = Runner::start(&db, Role::Fold, POLL, Arc::new(move || ticking.now()))
            .await
            .expect("views");
        let loaded = subledger::plans::load(&Source::Bundled, &|_| None).expect("plans");
        let receipts = ReceiptStore::new(db.clone());
        let pepper = Pepper::parse("test-pepper-0123456789abcdef0123456789abcdef").expect("a pepper");
        let secret = NamedSecret::parse("main", stripe::SECRET).expect("a secret");
        let tolerance = Tolerance::parse(300).expect("a tolerance");
        let stripe_api = FakeStripe::default();
        let service = Service::new(Parts {
            settings: HttpSettings {
                public_url: "http://127.0.0.1:8080".into(),
                trusted_proxies: Vec::new(),
                cors_origins: vec!["https://app.example".into()],
                mode: Mode::Test,
                commit: "test",
                redirects: Redirects {
                    frontend: Some("https://app.example".into()),
                    origins: vec!["https://app.example".into()],
                },
                portal_configuration: None,
                refund_alone_max_minor: Some(100_000),
            },
            clock,
            lifecycle: lifecycle.clone(),
            metrics: Arc::default(),
            limits,
            portal: Some(portal_verifier()),
            admin_token: admin.clone(),
            keys: KeyRing::new(KeyStore::new(db.clone()), pepper, Mode::Test),
            plans: Registry::open(&db, &loaded, now).await.expect("plans"),
            cursors: Cursors::new(b"test"),
            endpoints: Endpoints::new().with("", Arc::new(Verifier::new(vec![secret], tolerance))),
            progress: runner.progress().clone(),
            cache: runner.cache().clone(),
            rebuilds: Rebuilds::start(&db, &runner),
            receiver: Receiver::start(receipts.clone(), Arc::new(|_| {})),
            receipts,
            stripe: Some(Arc::new(stripe_api.clone())),
            woken: Arc::default(),
            db,
        });
        Self {
            router: router::build(TABLE, &service),
            service,
            lifecycle,
            admin,
            seconds,
            stripe: stripe_api,
            _runner: runner,
            store,
        }
    }

    /// Its routes.
    pub(super) fn router(&self) -> Router {
        self.router.clone()
    }

    /// Sets its clock this much after [`NOW`].
    pub(super) fn later(&self, seconds: i64) {
        self.seconds.store(NOW + seconds, Ordering::Relaxed);
    }

    /// A delivery with a right signature.
    pub(super) async fn deliver(&self, body: &str) -> Answer {
        let signature = stripe::signature_at(stripe::SECRET, NOW, body.as_bytes());
        self.call("POST", "/webhooks/stripe", &[("stripe-signature", &signature)], body)
            .await
    }

    /// As the operator of the machine, JSON both ways.
    pub(super) async fn operate(&self, method: &str, path: &str, body: &Value) -> Answer {
        let bearer = format!("Bearer {}", self.admin.reveal());
        let headers = [("authorization", &*bearer), ("content-type", "application/json")];
        let body = if body.is_null() {
            String::new()
        } else {
            body.to_string()
        };
        self.call(method, path, &headers, &body).await
    }

    pub(super) async fn call(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        let headers: Vec<(&str, &[u8])> = headers.iter().map(|(name, value)| (*name, value.as_bytes())).collect();
        self.call_with(method, path, &headers, body.as_bytes()).await
    }

    /// The same with bytes that need not be text.
    pub(super) async fn call_with(&self, method: &str, path: &str, headers: &[(&str, &[u8])], body: &[u8]) -> Answer {
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Body::from(body.to_vec())).expect("a request");
        let response = self.router.clone().oneshot(request).await.expect("an answer");
        let (parts, body) = response.into_parts();
        // A stream has no end to wait for; tests of streams read it piece by piece.
        let kind = parts.headers.get("content-type").and_then(|value| value.to_str().ok());
        let body = if kind == Some("text/event-stream") {
            Body::empty()
        } else {
            body
        };
        let body = axum::body::to_bytes(body, usize::MAX).await.expect("a body");
        Answer {
            status: parts.status.as_u16(),
            headers: parts.headers,
            body: body.to_vec(),
        }
    }

    pub(super) async fn get(&self, path: &str) -> Answer {
        self.call("GET", path, &[], "").await
    }

    pub(super) async fn get_as(&self, token: &str, path: &str) -> Answer {
        self.call("GET", path, &[("authorization", &format!("Bearer {token}"))], "")
            .await
    }
}

fn portal_verifier() -> PortalVerifier {
    let settings = PortalSettings {
        algorithms: vec!["HS256".into()],
        issuer: "https://host.example".into(),
        audience: "subledger".into(),
        hs256_secret: Some(PORTAL_SECRET.to_vec()),
        ..PortalSettings::default()
    };
    PortalVerifier::try_new(&settings).expect("settings")
}

/// A portal token of a tenant and role, with `changes` over the right claims.
pub(super) fn portal_token_with(tenant: &str, role: &str, changes: &Value) -> String {
    let mut claims = json!({ "tenant_id": tenant, "role": role });
    for (name, value) in changes.as_object().into_iter().flatten() {
        claims[name] = value.clone();
    }
    portal_token_signed(PORTAL_SECRET, &claims)
}

/// A portal token under any secret, with `changes` over right claims; a claim set to null is left out.
pub(super) fn portal_token_signed(secret: &[u8], changes: &Value) -> String {
    let mut claims = json!({ "iss": "https://host.example", "aud": "subledger", "exp": NOW + 600, "sub": "user-1",
        "tenant_id": "acme", "role": "admin" });
    for (name, value) in changes.as_object().into_iter().flatten() {
        match value {
            Value::Null => drop(claims.as_object_mut().and_then(|claims| claims.remove(name))),
            value => claims[name] = value.clone(),
        }
    }
    encode(&Header::default(), &claims, &EncodingKey::from_secret(secret)).expect("a token")
}

pub(super) fn portal_token(tenant: &str, role: &str) -> String {
    portal_token_with(tenant, role, &json!({}))
}

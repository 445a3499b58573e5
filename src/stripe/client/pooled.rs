//! Our own transport: one pool of kept-alive connections to one host, every header of the reply that matters.
//!
//! The stock client of async-stripe opens a connection for every request and drops the headers; this one keeps 16 idle
//! connections, and bounds what it reads. Redirects are not followed: nothing but the configured base is ever called.

use std::time::Duration;

use aggregates::time::Timestamp;
use bytes::Bytes;
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, DATE, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER, USER_AGENT};
use hyper::{Method, Request, Response, body::Incoming};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::{Client, Error};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use secrecy::{ExposeSecret, SecretString};
use stripe_client_core::StripeMethod;

use super::base::ApiBase;
use super::classify::{Failure, Reply};
use super::requests::Prepared;
use super::{ATTEMPT_MAX, ClientError, STRIPE_VERSION};
use crate::stripe::gateway::{CallKey, OnAccount};

/// Connections kept open while nothing is asked: twice the requests at once.
const IDLE_MAX: usize = 16;
/// How long an idle one is kept: shorter than Stripe keeps its side.
const IDLE_TIME: Duration = Duration::from_secs(50);
/// Largest body read. A page of a hundred events of a hundred invoice lines each is below it.
pub(super) const ANSWER_BYTES_MAX: usize = 16 * 1024 * 1024;

const STRIPE_ACCOUNT: HeaderName = HeaderName::from_static("stripe-account");
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
const VERSION: HeaderName = HeaderName::from_static("stripe-version");

/// The pool.
pub(super) struct Pooled {
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    base: ApiBase,
    secret: SecretString,
    authorization: HeaderValue,
}

impl Pooled {
    pub(super) fn new(base: ApiBase, secret: SecretString) -> Result<Self, ClientError> {
        let mut authorization =
            HeaderValue::try_from(format!("Bearer {}", secret.expose_secret())).map_err(|_| ClientError::SecretKey)?;
        authorization.set_sensitive(true);
        let roots = HttpsConnectorBuilder::new().with_webpki_roots();
        let schemes = if base.is_https() {
            roots.https_only()
        } else {
            roots.https_or_http()
        };
        let connector = schemes.enable_http1().build();
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE_TIME)
            .pool_max_idle_per_host(IDLE_MAX)
            .build(connector);
        Ok(Self {
            client,
            base,
            secret,
            authorization,
        })
    }

    /// One attempt.
    pub(super) async fn send(
        &self,
        account: &OnAccount,
        key: Option<CallKey>,
        request: &Prepared,
    ) -> Result<Reply, Failure> {
        let wire = self.wire(account, key, request).map_err(Failure::NotSent)?;
        match tokio::time::timeout(ATTEMPT_MAX, self.exchange(wire)).await {
            Ok(outcome) => outcome.map_err(|failure| self.masked(failure)),
            Err(_) => Err(Failure::Lost(format!("no answer within {} s", ATTEMPT_MAX.as_secs()))),
        }
    }

    fn wire(
        &self,
        account: &OnAccount,
        key: Option<CallKey>,
        request: &Prepared,
    ) -> Result<Request<Full<Bytes>>, String> {
        let method = match request.method() {
            StripeMethod::Get => Method::GET,
            StripeMethod::Post => Method::POST,
            StripeMethod::Delete => Method::DELETE,
        };
        let mut wire = Request::builder()
            .method(method)
            .uri(self.base.below(request.path(), request.query()))
            .header(AUTHORIZATION, self.authorization.clone())
            .header(USER_AGENT, concat!("subledger/", env!("CARGO_PKG_VERSION")))
            .header(VERSION, STRIPE_VERSION);
        if let OnAccount(Some(id)) = account {
            wire = wire.header(STRIPE_ACCOUNT, &**id);
        }
        if let Some(key) = key {
            wire = wire.header(IDEMPOTENCY_KEY, key.to_string());
        }
        let body = request.body().map(|body| Bytes::copy_from_slice(body.as_bytes()));
        if body.is_some() {
            wire = wire.header(CONTENT_TYPE, "application/x-www-form-urlencoded");
        }
        wire.body(Full::new(body.unwrap_or_default()))
            .map_err(|error| format!("the request cannot be written: {error}"))
    }

    async fn exchange(&self, wire: Request<Full<Bytes>>) -> Result<Reply, Failure> {
        let response = self.client.request(wire).await.map_err(|error| unanswered(&error))?;
        let status = response.status().as_u16();
        let headers = response.headers().clone();
        let body = whole(response)
            .await
            .map_err(|reason| Failure::Lost(format!("status {status}, then {reason}")))?;
        Ok(Reply {
            status,
            body,
            request_id: text(&headers, "request-id"),
            replayed: text(&headers, "idempotent-replayed").as_deref() == Some("true"),
            retry_after: text(&headers, RETRY_AFTER.as_str())
                .and_then(|seconds| seconds.parse().ok())
                .map(Duration::from_secs),
            should_retry: text(&headers, "stripe-should-retry").and_then(|word| word.parse().ok()),
            api_version: text(&headers, VERSION.as_str()),
            stripe_time: text(&headers, DATE.as_str()).and_then(|date| http_date(&date)),
        })
    }

    /// What others put into a message must not carry the key.
    fn masked(&self, failure: Failure) -> Failure {
        let mask = |reason: String| reason.replace(self.secret.expose_secret(), "****");
        match failure {
            Failure::NotSent(reason) => Failure::NotSent(mask(reason)),
            Failure::Lost(reason) => Failure::Lost(mask(reason)),
        }
    }
}

/// A connection that was never made has sent nothing; any later failure may have.
fn unanswered(error: &Error) -> Failure {
    let mut reason = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(inner) = source {
        reason = format!("{reason}: {inner}");
        source = inner.source();
    }
    if error.is_connect() {
        Failure::NotSent(reason)
    } else {
        Failure::Lost(reason)
    }
}

async fn whole(response: Response<Incoming>) -> Result<Bytes, String> {
    let collected = Limited::new(response.into_body(), ANSWER_BYTES_MAX).collect().await;
    match collected {
        Ok(body) => Ok(body.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => {
            Err(format!("a body of more than {} MiB", ANSWER_BYTES_MAX / (1024 * 1024)))
        }
        Err(error) => Err(format!("the body broke off: {error}")),
    }
}

fn text(headers: &HeaderMap, name: &str) -> Option<String> {
    headers.get(name)?.to_str().ok().map(str::to_owned)
}

/// `Sun, 06 Nov 1994 08:49:37 GMT`.
fn http_date(text: &str) -> Option<Timestamp> {
    let at = chrono::DateTime::parse_from_rfc2822(text).ok()?;
    Some(Timestamp::from_chrono(at.to_utc()))
}

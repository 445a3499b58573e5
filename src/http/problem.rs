//! Every error answer there is (RFC 9457): one closed list of kinds, one mapping to HTTP.
//!
//! A kind has a stable slug, a status, and a page at `/problems/<slug>` that says what causes it and what to do. Text
//! of the inside never leaves: a handler says in `detail` what its caller can act on, and the log holds the rest.

use axum::body::Body;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::{Map, Value};

macro_rules! kinds {
    ($($name:ident = $status:literal $slug:literal, $title:literal, $cause:literal, $remedy:literal;)*) => {
        /// A kind of error; the list is part of the interface.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum ProblemKind {
            $(#[doc = $title] $name,)*
        }

        impl ProblemKind {
            /// Every kind.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The stable name, last part of `type`, also `code`.
            #[must_use]
            pub const fn slug(self) -> &'static str {
                match self { $(Self::$name => $slug,)* }
            }
            /// HTTP status.
            #[must_use]
            pub const fn status(self) -> u16 {
                match self { $(Self::$name => $status,)* }
            }
            /// One line, the same for every occurrence.
            #[must_use]
            pub const fn title(self) -> &'static str {
                match self { $(Self::$name => $title,)* }
            }
            /// When it happens.
            #[must_use]
            pub const fn cause(self) -> &'static str {
                match self { $(Self::$name => $cause,)* }
            }
            /// What the caller should do.
            #[must_use]
            pub const fn remedy(self) -> &'static str {
                match self { $(Self::$name => $remedy,)* }
            }
        }
    };
}

kinds! {
    MalformedRequest = 400 "malformed-request", "The request cannot be read",
        "A header, a path segment, a query parameter or the JSON is not well formed or too large, or a parameter unknown.",
        "Correct what `detail` and `errors` name, then send it again.";
    InvalidCursor = 400 "invalid-cursor", "The cursor does not belong to this list",
        "A cursor was altered, cut, or taken from a list with other filters.",
        "Start again from the first page with the filters you want; pass cursors on unchanged.";
    IdempotencyKeyInvalid = 400 "idempotency-key-invalid", "The Idempotency-Key cannot be used",
        "The header is empty, longer than 255 characters, or holds spaces, quotes, or what is not printable ASCII.",
        "Send a key of 1 to 255 printable characters, for instance a UUID, the same for every attempt.";
    IdempotencyKeyMissing = 400 "idempotency-key-missing", "An Idempotency-Key is needed",
        "The route reaches Stripe, and the request has no Idempotency-Key header.",
        "Send a key, for instance a UUID, and the same one with every attempt at the same request.";
    SignatureInvalid = 400 "signature-invalid", "The webhook is not signed by a configured secret",
        "The Stripe-Signature header is missing, malformed, too old, or was made with another secret or over other bytes.",
        "Compare the endpoint's signing secret at Stripe with the configured one, and check the clock of this machine.";
    Unauthenticated = 401 "unauthenticated", "A valid credential is needed",
        "No credential was sent, or it is unknown, expired, revoked or not meant for this ledger.",
        "Send `Authorization: Bearer` with an API key or a portal token that is still valid.";
    AccessRestricted = 402 "access-restricted", "Access is restricted",
        "A payment is overdue, disputed, or the subscription is paused; nothing more is sold meanwhile.",
        "Do what `detail` says; `invoice` names the invoice to pay, if one is open.";
    StripeDeclined = 402 "stripe-declined", "The payment was declined",
        "The card or the bank refused the payment, or its holder has to confirm it; `decline_code` holds the reason.",
        "Use another payment method, or open the invoice's own page at Stripe, then ask again.";
    ApprovalRequired = 403 "approval-required", "A second person must agree",
        "The amount is above `limit`, which one person may not exceed alone.",
        "Give back no more than `limit`, or let somebody with the right do it at Stripe until approvals are offered.";
    Forbidden = 403 "forbidden", "The credential lacks a right",
        "The route needs a scope or a role that the credential does not have.",
        "Use a credential with the scope or role that `needed` names.";
    TenantMismatch = 403 "tenant-mismatch", "The credential belongs to another tenant",
        "The request names a tenant other than the one the credential is bound to, or a route that spans tenants.",
        "Address your own tenant (`me` for portal tokens), or use a credential without a tenant restriction.";
    NotFound = 404 "not-found", "There is nothing here",
        "The address or the object in it does not exist, or is not yours to see.",
        "Check the address and the id.";
    MethodNotAllowed = 405 "method-not-allowed", "The method is not offered here",
        "The address exists, but not for this method.",
        "Use one of the methods of the Allow header.";
    TenantAlreadyLinked = 409 "tenant-already-linked", "The tenant or the customer is linked already",
        "A tenant has one account, and an account has one Stripe customer; the request would join two.",
        "Look at what `linked_to` names; if that link is wrong, correct it at Stripe first.";
    NoSubscription = 409 "no-subscription", "There is no subscription to change",
        "The tenant has no running subscription, or no customer at Stripe.",
        "Subscribe first, by a checkout session or directly.";
    SubscriptionExists = 409 "subscription-exists", "There is a subscription already",
        "A tenant has one subscription; one runs, waits for its first payment, or is being made.",
        "Change it instead, or wait for the command that makes it.";
    AlreadyOnPlan = 409 "already-on-plan", "The tenant is on this plan already",
        "Plan, interval and quantity are those the subscription has or will have.",
        "Nothing needs to be done.";
    PlanNotSellable = 409 "plan-not-sellable", "The plan cannot be bought this way",
        "It is not sold any more, sold only by talking to people, or has no such price.",
        "Choose another plan or price; `contact_url` says where to ask, if it is sold there.";
    TrialAlreadyUsed = 409 "trial-already-used", "The tenant had its trial",
        "A tenant has one trial, and it had one.",
        "Subscribe without a trial.";
    DowngradeBlocked = 409 "downgrade-blocked", "More is in use than the plan allows",
        "The limits of `blocked_by` are lower than what is in use.",
        "Use less first, or choose a larger plan.";
    QuantityOutOfRange = 409 "quantity-out-of-range", "The plan is not sold in so many units",
        "The quantity lies outside `min` and `max`.",
        "Ask for a quantity within them.";
    BelowUsage = 409 "below-usage", "More is in use than so many units allow",
        "The limits of `blocked_by` are lower than what is in use.",
        "Use less first.";
    InvoiceNotPayable = 409 "invoice-not-payable", "The invoice cannot be paid",
        "It is a draft, paid, void, or nothing of it is left to pay.",
        "Read it again; if it is still open elsewhere, pay it there.";
    RefundExceedsPayment = 409 "refund-exceeds-payment", "More than is left of the payment",
        "What was asked for is not positive, or more than was paid and not given back yet.",
        "Give back at most `refundable_minor`.";
    StripeRejected = 409 "stripe-rejected", "Stripe refused",
        "Stripe refused to carry it out; `stripe_code` holds its word and `reason` what kind of refusal it was.",
        "Read the object again and decide anew; `not_allowed` is for an operator: the key lacks a right or is revoked.";
    InvalidTransition = 409 "invalid-transition", "The object is not in a state that allows this",
        "The request asks for a step that the present state does not offer.",
        "Read the object again and decide anew.";
    WriteConflict = 409 "write-conflict", "Others kept writing to the same object",
        "Several attempts to write met newer writes each time.",
        "Wait for the seconds of Retry-After and send the same request again, with the same Idempotency-Key.";
    IdempotencyKeyInFlight = 409 "idempotency-key-in-flight", "The first request with this key is still running",
        "A request with the same Idempotency-Key has not ended yet.",
        "Wait for the seconds of Retry-After and repeat it unchanged.";
    VersionConflict = 412 "version-conflict", "The object has changed since you read it",
        "If-Match names a version that is no longer current, or If-None-Match: * met an object that exists.",
        "Read it again, look at `current`, and repeat the change if you still want it.";
    PayloadTooLarge = 413 "payload-too-large", "The body is too large",
        "The body is larger than this route takes (64 KiB; 1 MiB for webhooks).",
        "Send less, or in several requests.";
    UnsupportedMediaType = 415 "unsupported-media-type", "The body is not JSON",
        "A body was sent without Content-Type: application/json, or encoded.",
        "Send plain JSON with Content-Type: application/json and no Content-Encoding.";
    UnknownPlan = 422 "unknown-plan", "There is no such plan",
        "The catalogue has no plan with this code.",
        "Use one of `plans`.";
    ValidationFailed = 422 "validation-failed", "The body does not fit the schema",
        "A field is unknown, missing, of the wrong type, or outside its limits.",
        "Correct the fields that `errors` names.";
    IdempotencyKeyReused = 422 "idempotency-key-reused", "The key was used for another request",
        "The same Idempotency-Key came earlier with another body.",
        "Use a new key for a new request, and the same body for a repeated one.";
    RateLimited = 429 "rate-limited", "Too many requests",
        "The caller sent more requests than its policy allows; RateLimit-Policy names it.",
        "Wait for the seconds of Retry-After.";
    Internal = 500 "internal", "Something failed on our side",
        "A fault that the request did not cause. It is in the log under `request_id`.",
        "Try again later; if it stays, give the operator the request id.";
    StripeUnavailable = 502 "stripe-unavailable", "Stripe cannot be reached",
        "Stripe failed, or the connection to it did, while the page or the figures you asked for were made.",
        "Send the same request again, with the same Idempotency-Key.";
    StripeTimeout = 504 "stripe-timeout", "Stripe did not answer in time",
        "Stripe took longer than a request may wait.",
        "Send the same request again, with the same Idempotency-Key; nothing is made twice.";
    StripeBusy = 503 "stripe-busy", "Stripe is busy",
        "Stripe takes no more requests of this account for a moment.",
        "Wait for the seconds of Retry-After and send the same request again.";
    ProjectionBehind = 503 "projection-behind", "The view has not reached the asked position yet",
        "Ledger-Min-Position names a position that the view did not reach within the wait.",
        "Try again after Retry-After, or read without Ledger-Min-Position.";
    StoreUnavailable = 503 "store-unavailable", "The store cannot be reached or written",
        "The database is down, busy, read-only or full.",
        "Try again after Retry-After; nothing was recorded. Operators: see /readyz?verbose.";
    NotConfigured = 503 "not-configured", "This part is not configured",
        "The route needs a setting that is not set, for instance a webhook signing secret.",
        "Operators: set what `detail` names and restart. Until then nothing is accepted here.";
    ShuttingDown = 503 "shutting-down", "The service is stopping",
        "The process was told to stop and takes no new work.",
        "Send the request again; another process or the restarted one takes it.";
}

impl ProblemKind {
    /// The kind with this slug.
    #[must_use]
    pub fn find(slug: &str) -> Option<Self> {
        Self::ALL.iter().find(|kind| kind.slug() == slug).copied()
    }
}

/// One fault in a body or a query.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct FieldFault {
    /// JSON pointer into the body, or `?name` for a query parameter.
    pub pointer: String,
    /// What is wrong and what would be right.
    pub detail: String,
}

/// An error answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Problem {
    /// What kind.
    pub kind: ProblemKind,
    /// This occurrence, in words the caller can act on.
    pub detail: String,
    /// Faults by field.
    pub errors: Vec<FieldFault>,
    /// Members beside the standard ones.
    pub extensions: Map<String, Value>,
    /// Seconds for the Retry-After header.
    pub retry_after: Option<u32>,
    /// Headers that belong to the kind, for instance WWW-Authenticate.
    headers: Vec<(HeaderName, HeaderValue)>,
}

/// Result of a handler.
pub type Answer<T> = Result<T, Problem>;

/// Seconds to wait before asking again when the store or a view is not there: long enough to matter, short enough that
/// a restart is not noticed.
const RETRY_SECONDS: u32 = 1;

impl Problem {
    /// A problem with what the caller should know.
    #[must_use]
    pub fn new(kind: ProblemKind, detail: impl Into<String>) -> Self {
        Self {
            kind,
            detail: detail.into(),
            errors: Vec::new(),
            extensions: Map::new(),
            retry_after: (kind.status() == 503
                || kind == ProblemKind::IdempotencyKeyInFlight
                || kind == ProblemKind::WriteConflict)
                .then_some(RETRY_SECONDS),
            headers: Vec::new(),
        }
    }

    /// Nothing here; the same words for what is foreign and what is unknown.
    #[must_use]
    pub fn not_found() -> Self {
        Self::new(ProblemKind::NotFound, "there is nothing at this address")
    }

    /// A fault of ours: logged here with its cause, answered without it.
    pub fn internal(cause: impl std::fmt::Display) -> Self {
        tracing::error!(error = %cause, "a request failed inside");
        Self::new(
            ProblemKind::Internal,
            "the request could not be carried out; nothing in it was wrong",
        )
    }

    /// The store failed: logged here with its cause, answered without it.
    pub fn store(cause: impl std::fmt::Display) -> Self {
        tracing::warn!(error = %cause, "the store failed a request");
        Self::new(
            ProblemKind::StoreUnavailable,
            "the store does not answer; nothing was recorded",
        )
    }

    /// A malformed part of the request.
    #[must_use]
    pub fn malformed(detail: impl Into<String>) -> Self {
        Self::new(ProblemKind::MalformedRequest, detail)
    }

    /// A field outside its limits.
    #[must_use]
    pub fn invalid(pointer: impl Into<String>, detail: impl Into<String>) -> Self {
        let detail = detail.into();
        Self::new(ProblemKind::ValidationFailed, detail.clone()).at(pointer, detail)
    }

    /// Adds a fault by field.
    #[must_use]
    pub fn at(mut self, pointer: impl Into<String>, detail: impl Into<String>) -> Self {
        self.errors.push(FieldFault {
            pointer: pointer.into(),
            detail: detail.into(),
        });
        self
    }

    /// Adds a member.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.extensions.insert(name.to_owned(), value.into());
        self
    }

    /// Sets the seconds of Retry-After.
    #[must_use]
    pub const fn retry_after(mut self, seconds: u32) -> Self {
        self.retry_after = Some(seconds);
        self
    }

    /// Adds a header.
    #[must_use]
    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    /// The body; `instance` is the path, without its query, which may hold what must not be repeated.
    #[must_use]
    pub fn body(&self, instance: &str, request_id: &str) -> Value {
        let mut body = Map::new();
        let mut put = |name: &str, value: Value| body.insert(name.to_owned(), value);
        put("type", format!("/problems/{}", self.kind.slug()).into());
        put("title", self.kind.title().into());
        put("status", self.kind.status().into());
        put("detail", self.detail.clone().into());
        put("instance", instance.into());
        put("code", self.kind.slug().into());
        put("request_id", request_id.into());
        if !self.errors.is_empty() {
            put("errors", serde_json::json!(self.errors));
        }
        if let Some(seconds) = self.retry_after {
            put("retry_after", seconds.into());
        }
        for (name, value) in &self.extensions {
            put(name, value.clone());
        }
        Value::Object(body)
    }

    /// The finished answer.
    #[must_use]
    pub fn respond(&self, instance: &str, request_id: &str) -> Response {
        let mut response = Response::new(Body::from(self.body(instance, request_id).to_string()));
        *response.status_mut() = StatusCode::from_u16(self.kind.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let headers = response.headers_mut();
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/problem+json"),
        );
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Some(seconds) = self.retry_after {
            headers.insert(header::RETRY_AFTER, seconds.into());
        }
        if self.kind == ProblemKind::Unauthenticated {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        for (name, value) in &self.headers {
            headers.insert(name, value.clone());
        }
        response
    }
}

impl IntoResponse for Problem {
    /// Leaves the problem in the answer's extensions: the outermost layer knows path and request id and writes the body.
    fn into_response(self) -> Response {
        let mut response = StatusCode::INTERNAL_SERVER_ERROR.into_response();
        response.extensions_mut().insert(self);
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_kind_has_a_slug_of_its_own_a_status_and_a_page() {
        let mut slugs = BTreeSet::new();
        for kind in ProblemKind::ALL {
            assert!(slugs.insert(kind.slug()), "{} twice", kind.slug());
            assert!(kind.slug().bytes().all(|b| b.is_ascii_lowercase() || b == b'-'));
            assert_eq!(ProblemKind::find(kind.slug()), Some(*kind));
            let problem = Problem::new(*kind, "what happened")
                .at("/name", "too long")
                .with("needed", "tenants:read");
            let response = problem.respond("/v1/x", "r-1");
            assert_eq!(response.status().as_u16(), kind.status());
            assert!((400..=504).contains(&kind.status()));
            assert_eq!(response.headers()["content-type"], "application/problem+json");
            let body = problem.body("/v1/x", "r-1");
            assert_eq!(body["type"], format!("/problems/{}", kind.slug()));
            assert_eq!(
                (&body["code"], &body["instance"]),
                (&Value::from(kind.slug()), &Value::from("/v1/x"))
            );
            assert_eq!(body["errors"][0]["pointer"], "/name");
            assert_eq!(body["needed"], "tenants:read");
            for text in [kind.title(), kind.cause(), kind.remedy()] {
                assert!(text.len() > 10, "{}: {text}", kind.slug());
            }
            assert_eq!(
                kind.status() == 503,
                kind.status() == 503 && response.headers().contains_key("retry-after")
            );
        }
    }

    #[test]
    fn inner_causes_do_not_leave() {
        for problem in [
            Problem::internal("password=hunter2"),
            Problem::store("password=hunter2"),
        ] {
            assert!(!problem.body("/", "r").to_string().contains("hunter2"));
        }
    }
}

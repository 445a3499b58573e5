//! `POST /webhooks/stripe[/{endpoint}]`: the front door for Stripe.
//!
//! 1. The body is read as bytes, at most 1 MiB. Nothing is parsed before its signature is known to be right.
//! 2. The signature is checked against every secret of the endpoint. No secret: 503, never open.
//! 3. The inbox makes the delivery durable; only then it is answered 200. If it cannot be stored, 503: Stripe resends.

use std::collections::HashMap;
use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Request, State};
use axum::http::HeaderMap;
use serde::Serialize;
use utoipa::ToSchema;

use crate::http::extract::{Ids, WEBHOOK_BYTES_MAX, read_body};
use crate::http::problem::{Answer, Problem, ProblemKind};
use crate::http::state::Service;
use crate::inbox::{Delivery, InboxError, Received};
use crate::stripe::signature::{Verified, Verifier};

/// Name of the endpoint without a name of its own.
const DEFAULT: &str = "";
/// The header Stripe signs in.
const SIGNATURE: &str = "stripe-signature";

/// Webhook endpoints, each with its own secrets.
#[derive(Clone, Debug, Default)]
pub struct Endpoints(HashMap<Box<str>, (Arc<str>, Arc<Verifier>)>);

impl Endpoints {
    /// None yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds an endpoint; an empty name is `/webhooks/stripe` itself.
    #[must_use]
    pub fn with(mut self, name: &str, verifier: Arc<Verifier>) -> Self {
        let path = if name == DEFAULT {
            "/webhooks/stripe".to_owned()
        } else {
            format!("/webhooks/stripe/{name}")
        };
        self.0.insert(name.into(), (path.into(), verifier));
        self
    }

    fn find(&self, name: &str) -> Answer<&(Arc<str>, Arc<Verifier>)> {
        match self.0.get(name) {
            Some(found) => Ok(found),
            None if name == DEFAULT || self.0.is_empty() => {
                let detail = "no webhook signing secret is configured for this endpoint; set STRIPE_WEBHOOK_SECRET";
                Err(Problem::new(ProblemKind::NotConfigured, detail))
            }
            None => Err(Problem::not_found()),
        }
    }
}

/// A delivery was taken.
#[derive(Serialize, ToSchema)]
pub struct Taken {
    /// Always true: it is durable.
    received: bool,
    /// It was durable before.
    #[serde(skip_serializing_if = "Option::is_none")]
    duplicate: Option<bool>,
}

/// Deliver a Stripe event
#[utoipa::path(post, path = "/webhooks/stripe",
    params(("Stripe-Signature" = String, Header, description = "`t=<seconds>,v1=<hex>` over the raw body")),
    request_body(content = serde_json::Value, description = "The event exactly as Stripe sent it"),
    responses((status = 200, body = Taken, description = "It is durable"),
        (status = 400, description = "Not signed by a configured secret (`signature-invalid`)"),
        (status = 413, description = "Larger than 1 MiB (`payload-too-large`)"),
        (status = 503, description = "It could not be stored, or no secret is configured")))]
pub async fn deliver(State(service): State<Service>, request: Request) -> Answer<Json<Taken>> {
    take(&service, DEFAULT, request).await
}

/// Deliver a Stripe event to a named endpoint
#[utoipa::path(post, path = "/webhooks/stripe/{endpoint}",
    params(("endpoint" = String, Path, description = "Name of the endpoint in the configuration"),
        ("Stripe-Signature" = String, Header, description = "`t=<seconds>,v1=<hex>` over the raw body")),
    request_body(content = serde_json::Value, description = "The event exactly as Stripe sent it"),
    responses((status = 200, body = Taken, description = "It is durable"),
        (status = 400, description = "Not signed by a configured secret (`signature-invalid`)"),
        (status = 404, description = "No endpoint of that name (`not-found`)"),
        (status = 413, description = "Larger than 1 MiB (`payload-too-large`)"),
        (status = 503, description = "It could not be stored, or no secret is configured")))]
pub async fn deliver_to(
    State(service): State<Service>,
    Ids(name): Ids<String>,
    request: Request,
) -> Answer<Json<Taken>> {
    take(&service, &name, request).await
}

async fn take(service: &Service, name: &str, request: Request) -> Answer<Json<Taken>> {
    let (endpoint, verifier) = service.endpoints.find(name)?;
    let signature = signature(request.headers()).ok_or_else(|| {
        service.metrics.refused_webhook("no_header");
        Problem::new(
            ProblemKind::SignatureInvalid,
            "there is no single Stripe-Signature header",
        )
    })?;
    let body = read_body(request, WEBHOOK_BYTES_MAX).await?;
    let verified = verify(service, verifier, &signature, &body)?;
    let delivery = Delivery {
        body,
        signature: String::from_utf8_lossy(&signature).into_owned(),
        secret_name: verified.secret_name,
        endpoint: endpoint.clone(),
        received_at: service.clock.now(),
    };
    let received = service.receiver.receive(delivery).await.map_err(problem)?;
    Ok(Json(Taken {
        received: true,
        duplicate: match received {
            Received::Stored => None,
            Received::Duplicate | Received::OtherContent => Some(true),
        },
    }))
}

fn signature(headers: &HeaderMap) -> Option<Bytes> {
    let mut values = headers.get_all(SIGNATURE).iter();
    let only = values.next()?;
    values.next().is_none().then(|| Bytes::copy_from_slice(only.as_bytes()))
}

fn verify(service: &Service, verifier: &Verifier, signature: &[u8], body: &[u8]) -> Answer<Verified> {
    let verified = verifier
        .verify(Some(signature), body, service.clock.now())
        .map_err(|error| {
            service.metrics.refused_webhook(error.reason());
            tracing::warn!(webhook.reason = error.reason(), "a delivery was refused: {error}");
            Problem::new(
                ProblemKind::SignatureInvalid,
                "the signature does not prove that Stripe sent this body just now",
            )
        })?;
    if verified.future_skew_seconds.is_some() {
        service.metrics.clock_behind();
    }
    Ok(verified)
}

/// What the inbox could not do, as an answer.
pub fn problem(error: InboxError) -> Problem {
    match error {
        InboxError::Busy => Problem::new(ProblemKind::StoreUnavailable, error.to_string()),
        InboxError::Stopping => Problem::new(ProblemKind::ShuttingDown, error.to_string()),
        InboxError::Unknown(_) => Problem::not_found(),
        InboxError::WrongState { .. } => Problem::new(ProblemKind::InvalidTransition, error.to_string()),
        InboxError::TooMany { .. } => Problem::invalid("/filter", error.to_string()),
        InboxError::Store(error) => Problem::store(error),
    }
}

//! Paying an invoice and giving money back: commands like those about a subscription.

use aggregates::ids::InvoiceId;
use aggregates::subscription::asked::RefundReason;
use aggregates::subscription::request::{RefundWish, Wish};
use axum::extract::State;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::commands::CommandAnswer;
use super::subscription_acts::BareRequest;
use crate::http::act::Act;
use crate::http::extract::Ids;
use crate::http::json as read;
use crate::http::problem::{Answer, Problem};
use crate::http::state::Service;
use crate::http::text::ChargeName;

/// Why money is given back.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum RefundWord {
    /// Charged twice.
    Duplicate,
    /// Not made by the cardholder.
    Fraudulent,
    /// The customer asked for it.
    RequestedByCustomer,
}

impl From<RefundWord> for RefundReason {
    fn from(word: RefundWord) -> Self {
        match word {
            RefundWord::Duplicate => Self::Duplicate,
            RefundWord::Fraudulent => Self::Fraudulent,
            RefundWord::RequestedByCustomer => Self::RequestedByCustomer,
        }
    }
}

/// Money to be given back.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RefundRequest {
    /// The charge at Stripe.
    payment: ChargeName,
    /// How much, in minor units of its currency; without it all that is left.
    #[serde(default, deserialize_with = "read::within_or_none::<_, _, 1, 1_000_000_000_000_000>")]
    #[schema(value_type = Option<u64>, minimum = 1, maximum = 1_000_000_000_000_000_u64)]
    amount_minor: Option<u64>,
    /// Why.
    reason: RefundWord,
}

/// Pay an open invoice with the payment method on file
#[utoipa::path(post, path = "/v1/tenants/{tenant}/invoices/{id}/pay",
    params(("tenant" = String, Path, description = "Tenant, `me`, or a Stripe customer"), ("id" = String, Path, description = "The invoice at Stripe")),
    request_body = BareRequest, responses((status = 202, body = CommandAnswer, description = "It is recorded and waits for Stripe; `Location` is the command"),
    (status = 200, body = CommandAnswer, description = "It ended within the wait that was asked for, or nothing had to be done"),
    (status = 409, description = "`invoice-not-payable`, `write-conflict`, `idempotency-key-in-flight`"),
    (status = 412, description = "Another version than If-Match names (`version-conflict`)"),
    (status = 503, description = "No key for Stripe is set (`not-configured`), or the store is away (`store-unavailable`)")))]
pub async fn pay(
    State(service): State<Service>,
    Ids((_, id)): Ids<(String, String)>,
    act: Act<BareRequest>,
) -> Answer<Response> {
    let invoice = InvoiceId::parse(&id).map_err(|_| Problem::not_found())?;
    act.ask(&service, Wish::PayInvoice { invoice }).await
}

/// Give money back
#[utoipa::path(post, path = "/v1/tenants/{tenant}/refunds", params(("tenant" = String, Path, description = "Tenant, `me`, or a Stripe customer")),
    request_body = RefundRequest, responses((status = 202, body = CommandAnswer, description = "It is recorded and waits for Stripe; `Location` is the command"),
    (status = 200, body = CommandAnswer, description = "It ended within the wait that was asked for"),
    (status = 403, description = "Above the amount one person may give back (`approval-required`), or the scope is missing (`forbidden`)"),
    (status = 409, description = "`refund-exceeds-payment`, `invalid-transition`, `write-conflict`, `idempotency-key-in-flight`"),
    (status = 412, description = "Another version than If-Match names (`version-conflict`)"),
    (status = 503, description = "No key for Stripe is set (`not-configured`), or the store is away (`store-unavailable`)")))]
pub async fn refund(State(service): State<Service>, act: Act<RefundRequest>) -> Answer<Response> {
    let body = &act.body;
    let too_much = || Problem::invalid("/amount_minor", "at most 10^15");
    let amount = body
        .amount_minor
        .map(i64::try_from)
        .transpose()
        .map_err(|_| too_much())?;
    let wish = Wish::Refund(RefundWish {
        charge: body.payment.0.clone(),
        amount_minor: amount,
        reason: Some(body.reason.into()),
        alone_max_minor: service.settings.refund_alone_max_minor,
        is_approved: false,
    });
    act.ask(&service, wish).await
}

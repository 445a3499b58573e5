//! Pages of Stripe's, made while the caller waits: checkout and the billing portal.
//!
//! Addresses of pages are secret. They stand in the answer, which nobody may keep, and nowhere else.

use aggregates::ids::{CheckoutSessionId, IntentId};
use aggregates::subscription::asked::{DiscountSource, PortalFlow};
use aggregates::subscription::request::{Circumstances, PlanChange, Purchase, Wish};
use aggregates::subscription::settled::RefusalKind;
use aggregates::time::Timestamp;
use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;

use super::plans::IntervalWord;
use crate::http::account::asked;
use crate::http::act::{Act, stripe};
use crate::http::extract::Ids;
use crate::http::guard::{AccountRef, Caller};
use crate::http::idempotency::Done;
use crate::http::json as read;
use crate::http::position::LedgerPosition;
use crate::http::problem::{Answer, Problem, ProblemKind};
use crate::http::rejections;
use crate::http::state::Service;
use crate::http::text::{CouponName, PlanCodeText, RedirectText};
use crate::process::commands::Activation;
use crate::process::pages::PageError;
use crate::process::stripe_calls;

/// A plan to be bought on Stripe's page.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CheckoutRequest {
    /// Its code.
    plan: PlanCodeText,
    /// How often it is billed; without it by the month, or the plan's only interval.
    interval: Option<IntervalWord>,
    /// How many units; without it the plan's minimum.
    #[serde(default, deserialize_with = "read::within_or_none::<_, _, 1, 1_000_000>")]
    #[schema(value_type = Option<u64>, minimum = 1, maximum = 1_000_000)]
    quantity: Option<u64>,
    /// Days of trial; not from portal tokens.
    #[serde(default, deserialize_with = "read::within_or_none::<_, _, 0, 730>")]
    #[schema(value_type = Option<u32>, minimum = 0, maximum = 730)]
    trial_days: Option<u32>,
    /// A coupon at Stripe; not from portal tokens.
    coupon: Option<CouponName>,
    /// Let promotion codes be typed in; without it as the catalogue says. Not together with a coupon.
    allow_promotion_codes: Option<bool>,
    /// Where the buyer goes afterwards; `session_id` is added.
    success_path: Option<RedirectText>,
    /// Where the buyer goes without buying.
    cancel_path: Option<RedirectText>,
}

/// A checkout page.
#[derive(Serialize, ToSchema)]
pub struct CheckoutAnswer {
    /// Its session at Stripe.
    id: String,
    /// Its secret address.
    url: String,
    /// When it is given up.
    #[schema(value_type = Option<String>, format = DateTime)]
    expires_at: Option<Timestamp>,
    /// The command that opened it.
    command_id: String,
}

/// How a checkout stands.
#[derive(Serialize, ToSchema)]
pub struct CheckoutStateAnswer {
    /// Its session at Stripe.
    id: String,
    /// `open`, `complete` or `expired`.
    status: String,
    /// `pending` until the subscription it made is known and runs, then `active`.
    activation: &'static str,
    /// When it is given up.
    #[schema(value_type = Option<String>, format = DateTime)]
    expires_at: Option<Timestamp>,
}

/// What the billing portal opens with.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum FlowWord {
    /// Another payment method.
    PaymentMethodUpdate,
    /// Canceling.
    SubscriptionCancel,
    /// Choosing another plan.
    SubscriptionUpdate,
    /// Confirming the change that `plan`, `interval` and `quantity` name.
    SubscriptionUpdateConfirm,
}

impl From<FlowWord> for PortalFlow {
    fn from(word: FlowWord) -> Self {
        match word {
            FlowWord::PaymentMethodUpdate => Self::PaymentMethodUpdate,
            FlowWord::SubscriptionCancel => Self::SubscriptionCancel,
            FlowWord::SubscriptionUpdate => Self::SubscriptionUpdate,
            FlowWord::SubscriptionUpdateConfirm => Self::SubscriptionUpdateConfirm,
        }
    }
}

/// A page of the billing portal.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PortalRequest {
    /// What it opens with; without it its first page.
    flow: Option<FlowWord>,
    /// The plan to confirm; only with `subscription_update_confirm`.
    plan: Option<PlanCodeText>,
    /// Its interval.
    interval: Option<IntervalWord>,
    /// Its units.
    #[serde(default, deserialize_with = "read::within_or_none::<_, _, 1, 1_000_000>")]
    #[schema(value_type = Option<u64>, minimum = 1, maximum = 1_000_000)]
    quantity: Option<u64>,
    /// Where to go afterwards.
    return_path: Option<RedirectText>,
}

/// A page of the billing portal.
#[derive(Serialize, ToSchema)]
pub struct PortalAnswer {
    /// Its secret address.
    url: String,
}

/// What Stripe could not do while the caller waited.
pub(super) fn failed(error: PageError) -> Problem {
    let detail = error.to_string();
    match error {
        PageError::Rejected(rejection) => rejections::problem(&rejection),
        PageError::Stripe(refusal) => {
            let kind = match stripe_calls::kind_of(&refusal) {
                RefusalKind::Declined | RefusalKind::ActionRequired => ProblemKind::StripeDeclined,
                RefusalKind::NotFound | RefusalKind::NotPossible | RefusalKind::NotAllowed | RefusalKind::Invalid => {
                    ProblemKind::StripeRejected
                }
            };
            tracing::warn!("{refusal}");
            let detail = "Stripe refused; `stripe_code` is its word, the log has its sentence under the request id";
            Problem::new(kind, detail).with("stripe_code", refusal.code.clone())
        }
        PageError::Busy => Problem::new(
            ProblemKind::StripeBusy,
            "Stripe takes no more requests for a moment; send the same request again",
        ),
        PageError::Unavailable(words) => {
            tracing::warn!(error = %words, "Stripe is not there for a request");
            Problem::new(
                ProblemKind::StripeUnavailable,
                "Stripe cannot be reached now; send the same request again",
            )
        }
        PageError::Timeout(words) => {
            tracing::warn!(error = %words, "Stripe did not answer a request");
            let detail = "Stripe did not answer in time; send the same request again, nothing is made twice";
            Problem::new(ProblemKind::StripeTimeout, detail)
        }
        PageError::Gone => Problem::new(ProblemKind::InvalidTransition, detail),
        PageError::Elsewhere | PageError::Missing(_) => Problem::internal(detail),
        PageError::Store(error) => Problem::store(error),
    }
}

/// An answer nobody may keep.
pub(super) fn secret(mut response: Response) -> Response {
    let never = HeaderValue::from_static("no-store");
    response.headers_mut().insert(header::CACHE_CONTROL, never);
    response
}

/// Open a checkout page at Stripe
#[utoipa::path(post, path = "/v1/tenants/{tenant}/checkout-sessions", params(("tenant" = String, Path, description = "Tenant, `me`, or a Stripe customer")),
    request_body = CheckoutRequest, responses((status = 201, body = CheckoutAnswer, description = "The page is open"),
    (status = 403, description = "The role is missing (`forbidden`), or a portal token sets what only keys may"),
    (status = 409, description = "`already-on-plan`, `subscription-exists`, `plan-not-sellable`, `trial-already-used`, `quantity-out-of-range`, `stripe-rejected`, `write-conflict`, `idempotency-key-in-flight`"),
    (status = 502, description = "Stripe cannot be reached (`stripe-unavailable`)"), (status = 504, description = "Stripe did not answer in time (`stripe-timeout`)"),
    (status = 503, description = "No key for Stripe is set (`not-configured`), Stripe is busy (`stripe-busy`), or the store is away (`store-unavailable`)")))]
pub async fn open_checkout(State(service): State<Service>, act: Act<CheckoutRequest>) -> Answer<Response> {
    let body = &act.body;
    act.keys_only(body.trial_days.is_some(), "trial_days")?;
    act.keys_only(body.coupon.is_some(), "coupon")?;
    if body.coupon.is_some() && body.allow_promotion_codes == Some(true) {
        let detail = "a coupon and promotion codes exclude each other at Stripe; send one of both";
        return Err(Problem::invalid("/allow_promotion_codes", detail));
    }
    let redirects = &service.settings.redirects;
    let path = |text: &Option<RedirectText>| text.as_ref().map(|text| text.0.clone());
    let success = redirects.resolve_success(path(&body.success_path).as_deref(), "/billing", "/success_path")?;
    let cancel = redirects.resolve(path(&body.cancel_path).as_deref(), "/billing", "/cancel_path")?;
    let wish = Wish::OpenCheckout(Purchase {
        plan: body.plan.0.clone(),
        interval: body.interval.map(Into::into),
        currency: None,
        quantity: body.quantity,
        trial_days: body.trial_days,
        trial_again: false,
        discount: body
            .coupon
            .as_ref()
            .map(|coupon| DiscountSource::Coupon(coupon.0.clone())),
        promotion_codes: body.allow_promotion_codes,
    });
    stripe(&service)?;
    let account = act.account(&service, true).await?;
    let run = async {
        let recorded = act.record_secret(&service, &account, &wish).await?;
        let intent = recorded
            .intent
            .ok_or_else(|| Problem::internal("a checkout has no intent"))?;
        let pages = service
            .pages()
            .ok_or_else(|| Problem::internal("no pages without Stripe"))?;
        let page = pages
            .checkout(&account.stream, intent, success, Some(cancel))
            .await
            .map_err(failed)?;
        let over = || {
            Problem::new(
                ProblemKind::InvalidTransition,
                "this page is over; ask again with a new key",
            )
        };
        let answer = CheckoutAnswer {
            id: page.session.to_string(),
            url: page.url.ok_or_else(over)?,
            expires_at: page.expires_at,
            command_id: intent.to_string(),
        };
        let reached = recorded.position.map(|position| LedgerPosition {
            part: account.part,
            position,
        });
        let body = serde_json::to_value(&answer).map_err(Problem::internal)?;
        let mut done = Done::new(StatusCode::CREATED, body, reached);
        done.location = Some(format!(
            "/v1/tenants/{}/checkout-sessions/{}",
            act.segment(),
            page.session
        ));
        Ok(done)
    };
    act.command.once_secret(run).await.map(secret)
}

/// Whether a checkout is done, and its subscription active
#[utoipa::path(get, path = "/v1/tenants/{tenant}/checkout-sessions/{id}",
    params(("tenant" = String, Path, description = "Tenant, `me`, or a Stripe customer"), ("id" = String, Path, description = "`id` of the page, or `session_id` of the success address")),
    responses((status = 200, body = CheckoutStateAnswer, description = "How it stands")))]
pub async fn show_checkout(
    State(service): State<Service>,
    name: AccountRef,
    caller: Caller,
    Ids((_, id)): Ids<(String, String)>,
) -> Answer<Response> {
    let account = asked(&service, &name, &caller).await?;
    let session = CheckoutSessionId::parse(&id).map_err(|_| Problem::not_found())?;
    let found = service
        .commands()
        .checkout(account.part, &account.stream, &session)
        .await;
    let found = found.map_err(Problem::store)?.ok_or_else(Problem::not_found)?;
    let answer = CheckoutStateAnswer {
        id: session.to_string(),
        status: found.status.to_string(),
        activation: match found.activation {
            Activation::Pending => "pending",
            Activation::Active => "active",
        },
        expires_at: found.expires_at,
    };
    Ok(secret(axum::Json(answer).into_response()))
}

/// Open Stripe's billing portal
#[utoipa::path(post, path = "/v1/tenants/{tenant}/portal-sessions", params(("tenant" = String, Path, description = "Tenant, `me`, or a Stripe customer")),
    request_body = PortalRequest, responses((status = 201, body = PortalAnswer, description = "The page is open"),
    (status = 409, description = "`no-subscription`, `already-on-plan`, `plan-not-sellable`, `stripe-rejected`, `write-conflict`, `idempotency-key-in-flight`"),
    (status = 502, description = "Stripe cannot be reached (`stripe-unavailable`)"), (status = 504, description = "Stripe did not answer in time (`stripe-timeout`)"),
    (status = 503, description = "No key for Stripe is set (`not-configured`), Stripe is busy (`stripe-busy`), or the store is away (`store-unavailable`)")))]
pub async fn open_portal(State(service): State<Service>, act: Act<PortalRequest>) -> Answer<Response> {
    let body = &act.body;
    let is_confirm = matches!(body.flow, Some(FlowWord::SubscriptionUpdateConfirm));
    let names_change = body.plan.is_some() || body.interval.is_some() || body.quantity.is_some();
    if is_confirm != body.plan.is_some() || (names_change && !is_confirm) {
        let detail = "subscription_update_confirm needs a plan, and no other flow takes plan, interval or quantity";
        return Err(Problem::invalid("/plan", detail));
    }
    let path = body.return_path.as_ref().map(|text| text.0.as_str());
    let back = service.settings.redirects.resolve(path, "/billing", "/return_path")?;
    stripe(&service)?;
    let account = act.account(&service, false).await?;
    let flow: Option<PortalFlow> = body.flow.map(Into::into);
    let wish = Wish::OpenPortal { flow };
    let run = async {
        let pages = service
            .pages()
            .ok_or_else(|| Problem::internal("no pages without Stripe"))?;
        let id = IntentId::new(act.command.id);
        let change = match &body.plan {
            Some(plan) => {
                let change = PlanChange {
                    plan: plan.0.clone(),
                    interval: body.interval.map(Into::into),
                    quantity: body.quantity,
                    when: None,
                    proration: None,
                };
                let circumstances = Circumstances::of(service.settings.mode);
                let catalogue = service.plans.current();
                let decided = pages
                    .plan_change(&account.stream, change, &circumstances, &catalogue, id)
                    .await;
                Some(decided.map_err(failed)?)
            }
            None => None,
        };
        let recorded = act.record_secret(&service, &account, &wish).await?;
        let intent = recorded.intent.unwrap_or(id);
        let configuration = service.settings.portal_configuration.clone();
        let opens = (flow, change.as_ref());
        let url = pages
            .portal(&account.stream, intent, opens, back, configuration)
            .await
            .map_err(failed)?;
        let reached = recorded.position.map(|position| LedgerPosition {
            part: account.part,
            position,
        });
        Ok(Done::new(StatusCode::CREATED, json!(PortalAnswer { url }), reached))
    };
    act.command.once_secret(run).await.map(secret)
}

//! `POST /v1/tenants/{tenant}/subscription/preview`: what a change would cost, asked of Stripe while the caller waits.

use aggregates::ids::IntentId;
use aggregates::money::Currency;
use aggregates::subscription::asked::Proration;
use aggregates::subscription::request::{Circumstances, PlanChange, QuantityWish, Wish};
use aggregates::time::Timestamp;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::ToSchema;
use uuid::Uuid;

use super::plans::{IntervalWord, MoneyAnswer};
use super::stripe_pages::{failed, secret};
use super::subscription_acts::{ProrationWord, WhenWord};
use crate::http::account::asked;
use crate::http::act::stripe;
use crate::http::extract::Body;
use crate::http::guard::{AccountRef, Caller};
use crate::http::json as read;
use crate::http::problem::{Answer, Problem};
use crate::http::rejections;
use crate::http::state::Service;
use crate::http::text::PlanCodeText;
use crate::process::pages::PageError;

/// A change to be previewed; nothing of it is recorded.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PreviewRequest {
    /// Another plan.
    plan: Option<PlanCodeText>,
    /// Another interval.
    interval: Option<IntervalWord>,
    /// Other units.
    #[serde(default, deserialize_with = "read::within_or_none::<_, _, 0, 1_000_000>")]
    #[schema(value_type = Option<u64>, minimum = 0, maximum = 1_000_000)]
    quantity: Option<u64>,
    /// When; without it an upgrade now and a downgrade when the period ends.
    at: Option<WhenWord>,
    /// What becomes of time already paid for.
    proration: Option<ProrationWord>,
}

/// One line of a preview.
#[derive(Serialize, ToSchema)]
pub struct PreviewLine {
    /// Stripe's words for it.
    description: Option<String>,
    /// What it comes to.
    amount: Option<MoneyAnswer>,
}

/// The next invoice as it would be.
#[derive(Serialize, ToSchema)]
pub struct PreviewInvoice {
    /// What is to be paid.
    amount_due: Option<MoneyAnswer>,
    /// All of it, taxes included.
    total: Option<MoneyAnswer>,
    /// When Stripe would collect it.
    #[schema(value_type = Option<String>, format = DateTime)]
    at: Option<Timestamp>,
}

/// What a change would cost.
#[derive(Serialize, ToSchema)]
pub struct PreviewAnswer {
    /// Lines for time already paid for.
    proration: Vec<PreviewLine>,
    /// What would be collected at once.
    due_now: Option<MoneyAnswer>,
    /// The next invoice; null where the change is blocked.
    next_invoice: Option<PreviewInvoice>,
    /// Limits that are lower than what is in use.
    #[schema(value_type = Vec<Object>)]
    blocked_by: Value,
}

/// What a change of plan or quantity would cost
#[utoipa::path(post, path = "/v1/tenants/{tenant}/subscription/preview", params(("tenant" = String, Path, description = "Tenant, `me`, or a Stripe customer")),
    request_body = PreviewRequest, responses((status = 200, body = PreviewAnswer, description = "Nothing is changed or recorded"),
    (status = 409, description = "`no-subscription`, `already-on-plan`, `plan-not-sellable`, `quantity-out-of-range`, `stripe-rejected`, `write-conflict`"),
    (status = 502, description = "Stripe cannot be reached (`stripe-unavailable`)"), (status = 504, description = "Stripe did not answer in time (`stripe-timeout`)"),
    (status = 503, description = "No key for Stripe is set (`not-configured`), Stripe is busy (`stripe-busy`), or the store is away (`store-unavailable`)")))]
pub async fn show(
    State(service): State<Service>,
    name: AccountRef,
    caller: Caller,
    body: Body<PreviewRequest>,
) -> Answer<Response> {
    let body = body.value;
    let proration = body.proration.map(Into::into);
    let wish = match (&body.plan, body.quantity) {
        (Some(plan), quantity) => Wish::ChangePlan(PlanChange {
            plan: plan.0.clone(),
            interval: body.interval.map(Into::into),
            quantity,
            when: body.at.map(Into::into),
            proration,
        }),
        (None, Some(quantity)) if body.interval.is_none() => Wish::ChangeQuantity {
            quantity: QuantityWish::To(quantity),
            proration,
        },
        (None, _) => {
            return Err(Problem::invalid(
                "/plan",
                "name a plan, or a quantity of the present one",
            ));
        }
    };
    stripe(&service)?;
    let account = asked(&service, &name, &caller).await?;
    let pages = service
        .pages()
        .ok_or_else(|| Problem::internal("no pages without Stripe"))?;
    let circumstances = Circumstances::of(service.settings.mode);
    let catalogue = service.plans.current();
    let id = IntentId::new(Uuid::now_v7());
    let answer = match pages
        .preview(&account.stream, &wish, &circumstances, &catalogue, id)
        .await
    {
        Ok(previewed) => {
            let at_once = previewed.proration == Proration::AlwaysInvoice;
            previewed_answer(&previewed.invoice, at_once)
        }
        Err(PageError::Rejected(rejection)) => match rejections::blocked_by(&rejection) {
            Some(blocked_by) => PreviewAnswer {
                proration: Vec::new(),
                due_now: None,
                next_invoice: None,
                blocked_by,
            },
            None => return Err(rejections::problem(&rejection)),
        },
        Err(error) => return Err(failed(error)),
    };
    Ok(secret(axum::Json(answer).into_response()))
}

fn previewed_answer(invoice: &Value, at_once: bool) -> PreviewAnswer {
    let currency = invoice.get("currency").and_then(Value::as_str);
    let currency = currency.and_then(|code| Currency::parse(code).ok());
    let money = |amount: Option<i64>| Some(MoneyAnswer::of(amount?, currency?));
    let amount_of = |name: &str| invoice.get(name).and_then(Value::as_i64);
    let lines = invoice
        .get("lines")
        .and_then(|lines| lines.get("data"))
        .and_then(Value::as_array);
    let mut proration = Vec::new();
    let mut prorated: i64 = 0;
    for line in lines.into_iter().flatten().filter(|line| is_proration(line)) {
        let amount = line.get("amount").and_then(Value::as_i64);
        prorated = prorated.saturating_add(amount.unwrap_or(0));
        proration.push(PreviewLine {
            description: line.get("description").and_then(Value::as_str).map(str::to_owned),
            amount: money(amount),
        });
    }
    let at = invoice.get("next_payment_attempt").and_then(Value::as_i64);
    let at = at.or_else(|| amount_of("period_end"));
    PreviewAnswer {
        proration,
        due_now: money(Some(if at_once { prorated.max(0) } else { 0 })),
        next_invoice: Some(PreviewInvoice {
            amount_due: money(amount_of("amount_due")),
            total: money(amount_of("total")),
            at: at.and_then(|seconds| Timestamp::from_seconds(seconds).ok()),
        }),
        blocked_by: json!([]),
    }
}

/// Since basil the mark stands in the line's parent.
fn is_proration(line: &Value) -> bool {
    let parent = line.get("parent");
    let of = |name: &str| {
        parent
            .and_then(|parent| parent.get(name))
            .and_then(|details| details.get("proration"))
    };
    let new = of("subscription_item_details").or_else(|| of("invoice_item_details"));
    new.or_else(|| line.get("proration")) == Some(&Value::Bool(true))
}

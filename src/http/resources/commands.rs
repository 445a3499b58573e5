//! `/v1/tenants/{tenant}/commands`: what was asked for at Stripe, and what became of it.
//!
//! Read from the log itself, so an answer is never behind the command it is about.

use aggregates::ids::IntentId;
use aggregates::recorded::Actor;
use aggregates::subscription::intent::{Asked, IntentStatus};
use aggregates::subscription::settled::{CallOutcome, Refusal, RefusalKind};
use aggregates::time::Timestamp;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, Uri, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;
use uuid::Uuid;

use super::standing::CACHE;
use crate::auth::{Kind, Role};
use crate::http::account::asked;
use crate::http::act::WAIT_MAX;
use crate::http::extract::{Ids, Params};
use crate::http::guard::{AccountRef, Caller};
use crate::http::page::{self, Page, PageInfo, Paging};
use crate::http::position::{LedgerPosition, preferred_wait};
use crate::http::problem::{Answer, Problem, ProblemKind};
use crate::http::state::Service;
use crate::process::commands::CommandRecord;

/// Name of the list in cursors.
const LIST: &str = "commands";

/// Where a command stands at Stripe.
#[derive(Serialize, ToSchema)]
pub struct CommandStripe {
    /// Stripe's id of the request that carried it out or refused it.
    request_id: Option<String>,
    /// The subscription it changes; null where it is about something else.
    subscription: Option<String>,
    /// The object it made or changed.
    object: Option<String>,
}

/// A command.
#[derive(Serialize, ToSchema)]
pub struct CommandAnswer {
    /// Its id; also the idempotency key at Stripe.
    command_id: String,
    /// What was asked for, for instance `quantity_change`; null where nothing had to be done.
    kind: Option<&'static str>,
    /// `accepted`, `unknown`, `applied`, `confirmed` or `rejected`; the last two are final.
    status: &'static str,
    /// What was asked for stood already; nothing was recorded.
    already_applied: bool,
    /// Where it is on the log, `<part>.<position>`.
    position: Option<String>,
    /// When it was recorded.
    #[schema(value_type = Option<String>, format = DateTime)]
    accepted_at: Option<Timestamp>,
    /// When the last thing was learnt of it.
    #[schema(value_type = Option<String>, format = DateTime)]
    updated_at: Option<Timestamp>,
    /// The later command that stands for it: of several changes of one quantity the last one counts.
    merged_into: Option<String>,
    /// Nothing more is tried and nobody knows whether Stripe did it: a person has to look.
    given_up: bool,
    /// All events about it, `<part>.<position>` each.
    events: Vec<String>,
    /// Where to look at Stripe.
    stripe: CommandStripe,
    /// Of a subscription whose first payment is open: Stripe's page of the invoice; only in the answer about one command.
    pay_url: Option<String>,
    /// Of a rejected command: why, as a problem object.
    #[schema(value_type = Option<Object>)]
    problem: Option<Value>,
}

impl CommandAnswer {
    /// Of a command whose wish stood already.
    #[must_use]
    pub fn of_nothing(id: Uuid, reached: Option<LedgerPosition>) -> Self {
        Self {
            command_id: id.to_string(),
            kind: None,
            status: IntentStatus::Confirmed.as_str(),
            already_applied: true,
            position: reached.map(|at| at.to_string()),
            accepted_at: None,
            updated_at: None,
            merged_into: None,
            given_up: false,
            events: Vec::new(),
            stripe: CommandStripe {
                request_id: None,
                subscription: None,
                object: None,
            },
            pay_url: None,
            problem: None,
        }
    }

    /// Of a recorded one; `instance` is its own path.
    #[must_use]
    pub fn of(record: &CommandRecord, part: u32, instance: &str) -> Self {
        let at = |position: u64| LedgerPosition { part, position }.to_string();
        let intent = &record.intent;
        let request_id = record
            .settled
            .as_ref()
            .and_then(|settled| settled.request_id.as_deref());
        let outcome = record.settled.as_ref().map(|settled| &settled.outcome);
        let status = record.status();
        let problem = match outcome {
            Some(CallOutcome::Rejected(refusal)) if status == IntentStatus::Rejected => {
                Some(problem(refusal).body(instance, request_id.unwrap_or_default()))
            }
            _ => None,
        };
        let given_up = matches!(outcome, Some(CallOutcome::Unknown { given_up: true, .. }));
        Self {
            command_id: record.id().to_string(),
            kind: Some(kind(&intent.asked)),
            status: status.as_str(),
            already_applied: matches!(outcome, Some(CallOutcome::Unneeded)),
            position: Some(at(record.position)),
            accepted_at: Some(record.accepted_at),
            updated_at: Some(record.updated_at),
            merged_into: intent.merged_into.map(|id| id.to_string()),
            given_up: given_up && !status.is_final(),
            events: record.events.iter().map(|position| at(*position)).collect(),
            stripe: CommandStripe {
                request_id: request_id.map(str::to_owned),
                subscription: intent.asked.subscription().map(ToString::to_string),
                object: intent.object.as_deref().map(str::to_owned),
            },
            pay_url: None,
            problem,
        }
    }
}

/// What was asked for, in a word.
const fn kind(asked: &Asked) -> &'static str {
    match asked {
        Asked::Checkout(_) => "checkout",
        Asked::Subscription(_) => "subscription",
        Asked::PlanChange(_) => "plan_change",
        Asked::Withdrawal(_) => "change_withdrawal",
        Asked::Quantity(_) => "quantity_change",
        Asked::Cancellation(_) => "cancellation",
        Asked::Resumption(_) => "resumption",
        Asked::Pause(_) => "pause",
        Asked::Unpause(_) => "unpause",
        Asked::Coupon(_) => "coupon",
        Asked::TrialExtension(_) => "trial_extension",
        Asked::InvoicePayment(_) => "invoice_payment",
        Asked::Refund(_) => "refund",
        Asked::CustomerUpdate(_) => "customer_update",
    }
}

/// Stripe's refusal in our words. Its own sentence is not kept: it may name people.
fn problem(refusal: &Refusal) -> Problem {
    let (kind, reason, detail) = match refusal.kind {
        RefusalKind::Declined => (
            ProblemKind::StripeDeclined,
            "declined",
            "the payment was declined; use another payment method, or ask the bank",
        ),
        RefusalKind::ActionRequired => (
            ProblemKind::StripeDeclined,
            "action_required",
            "the holder of the card has to confirm the payment; open the invoice's page at Stripe",
        ),
        RefusalKind::NotFound => (
            ProblemKind::StripeRejected,
            "not_found",
            "Stripe does not have the object; read it again, it may be gone or of another mode",
        ),
        RefusalKind::NotPossible => (
            ProblemKind::StripeRejected,
            "not_possible",
            "the object stands so that Stripe does not allow this; read it again and decide anew",
        ),
        RefusalKind::NotAllowed => (
            ProblemKind::StripeRejected,
            "not_allowed",
            "our key may not do this or is revoked; an operator has to look at it, then ask again",
        ),
        RefusalKind::Invalid => (
            ProblemKind::StripeRejected,
            "invalid",
            "Stripe could not use the request; please report it with the request id",
        ),
    };
    let mut refused = Problem::new(kind, detail).with("reason", reason);
    for (name, value) in [
        ("stripe_code", &refusal.code),
        ("decline_code", &refusal.decline_code),
        ("param", &refusal.param),
    ] {
        if let Some(value) = value {
            refused = refused.with(name, &**value);
        }
    }
    refused
}

/// Whether a caller may see a command: below the role that may ask for them, only its own.
fn may_see(caller: &Caller, record: &CommandRecord) -> bool {
    match &caller.0.kind {
        Kind::Portal { subject, role } if *role < Role::Billing => {
            matches!(&record.actor, Actor::User { id, .. } if id == subject)
        }
        Kind::Portal { .. } | Kind::Key { .. } | Kind::Operator => true,
    }
}

/// One command; `Prefer: wait=<seconds, at most 10>` waits for its end
#[utoipa::path(get, path = "/v1/tenants/{tenant}/commands/{id}",
    params(("tenant" = String, Path, description = "Tenant, `me`, or a Stripe customer"), ("id" = String, Path, description = "`command_id`")),
    responses((status = 200, body = CommandAnswer, description = "The command as it stands")))]
pub async fn show(
    State(service): State<Service>,
    name: AccountRef,
    caller: Caller,
    Ids((_, id)): Ids<(String, String)>,
    headers: HeaderMap,
    uri: Uri,
) -> Answer<Response> {
    let account = asked(&service, &name, &caller).await?;
    let id = IntentId::parse(&id).map_err(|_| Problem::not_found())?;
    let wait = preferred_wait(&headers).unwrap_or_default().min(WAIT_MAX);
    let until = tokio::time::Instant::now() + wait;
    let found = service.commands().wait(account.part, &account.stream, id, until).await;
    let found = found.map_err(Problem::store)?;
    let record = found
        .filter(|record| may_see(&caller, record))
        .ok_or_else(Problem::not_found)?;
    let mut answer = CommandAnswer::of(&record, account.part, uri.path());
    if let (Asked::Subscription(_), Some(made), Some(pages)) =
        (&record.intent.asked, record.intent.object.as_deref(), service.pages())
    {
        // Without Stripe the answer is complete but for this.
        answer.pay_url = pages.pay_url(&account.stream, made).await;
    }
    let mut response = axum::Json(answer).into_response();
    response
        .headers_mut()
        .insert(header::CACHE_CONTROL, HeaderValue::from_static(CACHE));
    Ok(response)
}

/// Commands of a tenant, newest first
#[utoipa::path(get, path = "/v1/tenants/{tenant}/commands",
    params(("tenant" = String, Path, description = "Tenant, `me`, or a Stripe customer"), Paging),
    responses((status = 200, body = Page<CommandAnswer>, description = "A page")))]
pub async fn list(
    State(service): State<Service>,
    name: AccountRef,
    caller: Caller,
    Params(paging): Params<Paging>,
    uri: Uri,
) -> Answer<Response> {
    let size = paging.size()?;
    let account = asked(&service, &name, &caller).await?;
    let list_name = format!("{LIST} {}", account.stream);
    let before: Option<u64> = service.cursors.read(&list_name, paging.cursor.as_deref())?;
    let all = service.commands().list(account.part, &account.stream).await;
    let mut all = all.map_err(Problem::store)?;
    all.retain(|record| may_see(&caller, record));
    let total = u64::try_from(all.len()).unwrap_or(u64::MAX);
    let count = paging.total(async { Ok(total) }).await?;
    all.retain(|record| before.is_none_or(|before| record.position < before));
    let has_more = all.len() > size as usize;
    let shown: Vec<&CommandRecord> = all.iter().rev().take(size as usize).collect();
    let last = shown.last().filter(|_| has_more).map(|record| record.position);
    let next_cursor = last
        .map(|place| service.cursors.write(&list_name, &place))
        .transpose()?;
    let data = shown.into_iter().map(|record| {
        let instance = format!("{}/{}", uri.path(), record.id());
        CommandAnswer::of(record, account.part, &instance)
    });
    let info = PageInfo {
        next_cursor,
        has_more,
        count,
    };
    let page = Page {
        data: data.collect::<Vec<_>>(),
        page: info,
    };
    let mut response = page::respond(page, &uri);
    response
        .headers_mut()
        .insert(header::CACHE_CONTROL, HeaderValue::from_static(CACHE));
    Ok(response)
}

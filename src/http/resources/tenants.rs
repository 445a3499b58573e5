//! `/v1/tenants/{tenant}`: one tenant, as it says it is and as its account stands.

use std::collections::BTreeMap;

use aggregates::ids::{StreamId, TenantId};
use aggregates::partition::part_of;
use aggregates::subscription::Rejection;
use aggregates::subscription::standing::AccessPolicy;
use aggregates::time::Timestamp;
use axum::extract::State;
use axum::http::{Extensions, HeaderMap, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use projections::status::StatusRow;
use projections::views::View;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::standing::CACHE;
use crate::http::account::{Account, asked, unanswered};
use crate::http::conditional::{Etag, check_creation};
use crate::http::edge::RequestId;
use crate::http::extract::Body;
use crate::http::guard::{AccountRef, Caller};
use crate::http::idempotency::{Command, Done};
use crate::http::position::{self, LedgerPosition, READ_WAIT_MAX};
use crate::http::problem::{Answer, Problem, ProblemKind};
use crate::http::state::Service;
use crate::http::text::{CurrencyCode, CustomerName, Metadata, PlainText};
use crate::ledger::{Profile, find_profile};
use crate::process::accounts::{AccountError, AccountStanding, Caller as Asker, TenantAccount};

/// What a tenant is to be. Fields that are left out are emptied; the account and its customer stay.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TenantRequest {
    /// Display name.
    name: Option<PlainText>,
    /// Contact address.
    email: Option<PlainText>,
    /// The currency it is to be billed in.
    currency: Option<CurrencyCode>,
    /// Its customer at Stripe, if there is one already.
    stripe_customer: Option<CustomerName>,
    /// The caller's own words about it.
    #[serde(default)]
    metadata: Metadata,
}

/// An account's ids at Stripe.
#[derive(Serialize, ToSchema)]
pub struct StripeIds {
    /// The customer; null until one is known.
    customer: Option<String>,
}

impl StripeIds {
    /// Of an account, as far as its view knows it.
    pub(super) fn of(row: Option<&StatusRow>) -> Self {
        let customer = row.and_then(|row| row.book.account.customer.as_ref());
        Self {
            customer: customer.map(ToString::to_string),
        }
    }
}

/// A tenant.
#[derive(Serialize, ToSchema)]
pub struct TenantAnswer {
    /// Its id; null for an account that no tenant owns yet.
    tenant: Option<String>,
    /// Display name.
    name: Option<String>,
    /// Contact address.
    email: Option<String>,
    /// The currency it is billed in.
    currency: Option<String>,
    /// Where to look at Stripe.
    stripe: StripeIds,
    /// The caller's own words about it.
    metadata: BTreeMap<String, String>,
    /// `none`, one of Stripe's statuses, or `unrecognised`.
    status: Box<str>,
    /// `full`, `grace`, `restricted` or `blocked`.
    access: &'static str,
    /// Code of the subscription's plan, held or not.
    plan: Option<String>,
    /// When the ledger first heard of it; null when the view has not seen it yet.
    #[schema(value_type = Option<String>, format = DateTime)]
    first_seen_at: Option<Timestamp>,
    /// When its account or profile last changed.
    #[schema(value_type = Option<String>, format = DateTime)]
    updated_at: Option<Timestamp>,
    /// Sequence of the account's last event.
    version: u64,
}

/// Register a tenant, or replace what it says about itself
#[utoipa::path(put, path = "/v1/tenants/{tenant}", params(("tenant" = String, Path, description = "The caller's own id: 1 to 128 of `A-Za-z0-9._:-`")),
    request_body = TenantRequest, responses((status = 201, body = TenantAnswer, description = "Registered"), (status = 200, body = TenantAnswer, description = "Replaced"),
    (status = 409, description = "Tenant or customer belong elsewhere (`tenant-already-linked`), others kept writing (`write-conflict`), or the same request is still running"),
    (status = 412, description = "Another version than If-Match names, or If-None-Match: * met an existing tenant (`version-conflict`)")))]
#[expect(
    clippy::too_many_arguments,
    reason = "each is one thing a handler is given by the router"
)]
pub async fn put(
    State(service): State<Service>,
    name: AccountRef,
    caller: Caller,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    extensions: Extensions,
    body: Body<TenantRequest>,
) -> Answer<Response> {
    let AccountRef::Tenant(tenant) = name.clone() else {
        let detail = "a tenant's own id does not begin with cus_; give an unassigned account to it with /assign";
        return Err(Problem::malformed(detail));
    };
    let command = Command::of(&caller.0, &method, &uri, &headers, &body.bytes)?;
    let wanted = wanted(tenant.clone(), body.value);
    let known = service.finder().find(&name).await.map_err(Problem::store)?;
    precondition(&service, &name, known.as_ref(), &headers).await?;
    let part = writes_to(&service, &wanted, known.as_ref()).await?;
    let run = async {
        let asker = asker(&service, &command, &caller, &extensions);
        let standing = service.accounts().open(&asker, &wanted).await.map_err(refused)?;
        let status = if standing.created {
            StatusCode::CREATED
        } else {
            StatusCode::OK
        };
        changed(&service, &name, &standing, status).await
    };
    command.once(&service, part, run).await
}

/// The part whose stream the command writes to, as far as it can be known before.
async fn writes_to(service: &Service, wanted: &TenantAccount, known: Option<&Account>) -> Answer<u32> {
    if let Some(customer) = wanted.stripe_customer.clone() {
        let of_customer = service.finder().find(&AccountRef::Customer(customer)).await;
        if let Some(account) = of_customer.map_err(Problem::store)? {
            return Ok(account.part);
        }
    }
    let own = || part_of(&StreamId::of_tenant(&wanted.tenant), service.db.parts());
    Ok(known.map_or_else(own, |account| account.part))
}

async fn precondition(
    service: &Service,
    name: &AccountRef,
    known: Option<&Account>,
    headers: &HeaderMap,
) -> Answer<()> {
    let conditional = headers.contains_key("if-match") || headers.contains_key("if-none-match");
    if !conditional {
        return Ok(());
    }
    let Some(account) = known else {
        // What does not exist has no version to match.
        return Etag::new("0").check(headers);
    };
    let (_, etag) = read(service, name, account).await?;
    etag.check(headers)?;
    check_creation(headers, Some(&etag))
}

/// Who asks for a command, in the words of the process that carries it out.
pub(super) fn asker(service: &Service, command: &Command, caller: &Caller, extensions: &Extensions) -> Asker {
    let request = extensions.get::<RequestId>();
    Asker {
        actor: caller.0.actor(),
        mark: command.mark(),
        correlation_id: request.map_or_else(|| command.id.to_string(), |id| id.as_str().to_owned()),
        api: command.claim(service.clock.now()),
    }
}

/// The account after a command: read once the view has it, or after a bounded wait as the view knows it.
pub(super) async fn changed(
    service: &Service,
    name: &AccountRef,
    standing: &AccountStanding,
    status: StatusCode,
) -> Answer<Done> {
    let (stream, part) = (standing.stream.clone(), standing.part);
    let reached = standing.position.map(|position| LedgerPosition { part, position });
    service.finder().forget(name);
    if let Some(at) = reached {
        service
            .progress
            .wait_for(View::Status, part, at.position, READ_WAIT_MAX)
            .await;
    }
    let (answer, _) = read(service, name, &Account { stream, part }).await?;
    let body = serde_json::to_value(&answer).map_err(Problem::internal)?;
    Ok(Done::new(status, body, reached))
}

/// What the caller may do about a refusal.
pub(super) fn refused(error: AccountError) -> Problem {
    let linked = |detail: String, linked_to: String| {
        Problem::new(ProblemKind::TenantAlreadyLinked, detail).with("linked_to", linked_to)
    };
    let detail = error.to_string();
    match error {
        AccountError::Rejected(Rejection::TenantAlreadyLinked { linked_to, .. }) => linked(detail, linked_to),
        AccountError::Rejected(Rejection::CustomerAlreadyLinked { has, .. }) => linked(detail, has.to_string()),
        AccountError::Rejected(Rejection::TenantMismatch { known, .. }) => linked(detail, known.to_string()),
        // What people ask of Stripe is refused elsewhere; opening and assigning know no other word.
        AccountError::Rejected(other) => Problem::internal(other),
        AccountError::UnknownCustomer(_) => Problem::not_found(),
        AccountError::KeyReused => Command::reused(),
        AccountError::Busy => Problem::new(ProblemKind::WriteConflict, detail),
        AccountError::Store(error) => Problem::store(error),
    }
}

fn wanted(tenant: TenantId, request: TenantRequest) -> TenantAccount {
    TenantAccount {
        tenant,
        name: request.name.map(|name| name.0),
        email: request.email.map(|email| email.0),
        currency: request.currency.map(|currency| currency.0),
        stripe_customer: request.stripe_customer.map(|customer| customer.0),
        metadata: request.metadata.0,
    }
}

/// One tenant
#[utoipa::path(get, path = "/v1/tenants/{tenant}", params(("tenant" = String, Path, description = "Tenant, `me`, or a Stripe customer")),
    responses((status = 200, body = TenantAnswer, description = "The tenant"), (status = 304, description = "Unchanged since the given ETag"),
        (status = 503, description = "The view has not reached Ledger-Min-Position (`projection-behind`), or the store is away (`store-unavailable`)")))]
pub async fn show(
    State(service): State<Service>,
    name: AccountRef,
    caller: Caller,
    headers: HeaderMap,
) -> Answer<Response> {
    let account = asked(&service, &name, &caller).await?;
    position::wait(&service, View::Status, Some(account.part), &headers).await?;
    let freshness = service.progress.freshness(View::Status, account.part);
    let (answer, etag) = read(&service, &name, &account).await?;
    let mut response = etag.answer(&headers, CACHE, || axum::Json(answer).into_response());
    position::announce_view(&freshness, response.headers_mut());
    Ok(response)
}

/// The tenant and its version, which changes with its account and with its profile.
async fn read(service: &Service, name: &AccountRef, account: &Account) -> Answer<(TenantAnswer, Etag)> {
    let found = service
        .cache
        .status(account.part, account.stream.as_str())
        .await
        .map_err(unanswered)?;
    let row = found.value.as_deref();
    let tenant = match (row.and_then(|row| row.book.account.tenant.clone()), name) {
        (Some(tenant), _) => Some(tenant),
        (None, AccountRef::Tenant(tenant)) => Some(tenant.clone()),
        (None, AccountRef::Customer(_)) => None,
    };
    let profile = match &tenant {
        Some(tenant) => profile(service, account.part, tenant).await?,
        None => None,
    };
    let said_at = profile.as_ref().map(|it| it.updated_at);
    let version = row.map_or(0, |row| row.sequence);
    let etag = Etag::new(format_args!("{version}.{}", said_at.map_or(0, Timestamp::micros)));
    let empty = || Profile {
        name: None,
        email: None,
        currency: None,
        metadata: "{}".to_owned(),
        created_at: Timestamp::EPOCH,
        updated_at: Timestamp::EPOCH,
    };
    let profile = profile.unwrap_or_else(empty);
    let words = Words::of(service, row);
    let answer = TenantAnswer {
        tenant: tenant.map(|tenant| tenant.to_string()),
        name: profile.name,
        email: profile.email,
        currency: words.currency.or(profile.currency),
        stripe: StripeIds::of(row),
        metadata: serde_json::from_str(&profile.metadata).map_err(Problem::internal)?,
        status: words.status,
        access: words.access,
        plan: words.plan,
        first_seen_at: row.map(|row| row.first_seen_at),
        updated_at: row.map(|row| row.changed_at).max(said_at),
        version,
    };
    Ok((answer, etag))
}

/// In the part of the account; what was said before the account moved to its customer's stream lies in its own.
async fn profile(service: &Service, part: u32, tenant: &TenantId) -> Answer<Option<Profile>> {
    let found = find_profile(&service.db, part, tenant).await.map_err(Problem::store)?;
    let own = part_of(&StreamId::of_tenant(tenant), service.db.parts());
    if found.is_some() || own == part {
        return Ok(found);
    }
    find_profile(&service.db, own, tenant).await.map_err(Problem::store)
}

/// The words of lists.
pub(super) struct Words {
    pub(super) status: Box<str>,
    pub(super) access: &'static str,
    pub(super) plan: Option<String>,
    pub(super) currency: Option<String>,
}

impl Words {
    pub(super) fn of(service: &Service, row: Option<&StatusRow>) -> Self {
        let policy = AccessPolicy::of(&service.plans.current());
        let nothing = projections::book::StandingBook::default();
        let book = row.map_or(&nothing, |row| &row.book);
        let standing = aggregates::subscription::standing::Standing::of(&book.life, book.disputes(), &policy);
        let currency = standing.currency.or(book.account.currency);
        Self {
            access: standing.access.as_str(),
            plan: standing.plan.as_ref().map(|held| held.plan.code.to_string()),
            currency: currency.map(|currency| currency.as_str().to_owned()),
            status: standing.status,
        }
    }
}

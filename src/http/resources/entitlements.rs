//! `GET /v1/tenants/{tenant}/entitlements`: what a tenant may use. The hot path of the host application: name, row and
//! bytes of the answer are all in memory, so an answer costs three look-ups and no query.

use std::collections::BTreeMap;

use aggregates::time::Timestamp;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use projections::book::StandingBook;
use projections::views::View;
use serde::Serialize;
use utoipa::ToSchema;

use super::plans::LimitAnswer;
use super::standing::{self, PlanHeld, Restriction, Stand};
use crate::http::account::{asked, unanswered};
use crate::http::extract::Params;
use crate::http::guard::{AccountRef, Caller};
use crate::http::past::{self, AsOfAnswer, PointInTime};
use crate::http::position;
use crate::http::problem::Answer;
use crate::http::state::Service;

/// What a tenant may use.
#[derive(Serialize, ToSchema)]
pub struct EntitlementsAnswer {
    /// The tenant; null for an account without one.
    tenant: Option<String>,
    /// `none`, one of Stripe's statuses, or `unrecognised`.
    status: Box<str>,
    /// `full`, `grace`, `restricted` or `blocked`.
    access: &'static str,
    /// Trialing or active.
    is_active: bool,
    /// Why access is restricted or blocked.
    restriction: Option<Restriction>,
    /// The plan it comes from; null when nothing is held.
    plan: Option<PlanHeld>,
    /// All plans held: more than one when several subscriptions run; entitlements are their union.
    plans: Vec<PlanHeld>,
    /// By name: true, false, or which kind. Names that no plan held knows are false.
    features: BTreeMap<String, serde_json::Value>,
    /// How much of each resource, with the quantity applied.
    limits: Vec<LimitAnswer>,
    /// Catalogue version whose rules of access and free plan hold.
    catalogue_version: u32,
    /// When the last fact it rests on was recorded; null when there is none.
    #[schema(value_type = Option<String>, format = DateTime)]
    updated_at: Option<Timestamp>,
    /// Sequence of that fact in the account's stream.
    version: u64,
    /// The point in time asked for; null = now.
    as_of: Option<AsOfAnswer>,
}

impl EntitlementsAnswer {
    /// From where the account stands.
    pub fn of(stand: &Stand, version: u64, updated_at: Option<Timestamp>, as_of: Option<AsOfAnswer>) -> Answer<Self> {
        let limits = stand.limits()?;
        Ok(Self {
            tenant: stand.tenant.as_ref().map(ToString::to_string),
            status: stand.standing.status.clone(),
            access: stand.standing.access.as_str(),
            is_active: stand.standing.is_active,
            restriction: stand.restriction(),
            plan: stand.plan(),
            plans: stand.held.plans().iter().map(PlanHeld::of).collect(),
            features: stand.features()?,
            limits: limits.iter().map(|it| LimitAnswer::of(it.limit, it.value)).collect(),
            catalogue_version: stand.catalogue.version(),
            updated_at,
            version,
            as_of,
        })
    }
}

/// Features, limits and access of a tenant
#[utoipa::path(get, path = "/v1/tenants/{tenant}/entitlements",
    params(("tenant" = String, Path, description = "Tenant, `me`, or a Stripe customer"), PointInTime),
    responses((status = 200, body = EntitlementsAnswer, description = "What the tenant may use"),
        (status = 304, description = "Unchanged since the given ETag"),
        (status = 503, description = "The view has not reached Ledger-Min-Position (`projection-behind`), or the store is away (`store-unavailable`)")))]
pub async fn show(
    State(service): State<Service>,
    name: AccountRef,
    caller: Caller,
    Params(point): Params<PointInTime>,
    headers: HeaderMap,
) -> Answer<Response> {
    let account = asked(&service, &name, &caller).await?;
    if let Some(as_of) = point.point()? {
        let past = past::fold(&service, &account, &as_of).await?;
        let stand = Stand::of(&service, &past.book(), Some(&name)).await?;
        let as_of = Some(AsOfAnswer::of(&as_of));
        let answer = EntitlementsAnswer::of(&stand, past.sequence, past.recorded_at, as_of)?;
        return Ok(standing::of_the_past(&past.freshness, standing::written(&answer)?));
    }
    position::wait(&service, View::Entitlements, Some(account.part), &headers).await?;
    let stream = account.stream.as_str();
    let found = service
        .cache
        .entitlements(account.part, stream)
        .await
        .map_err(unanswered)?;
    let catalogue = service.plans.current();
    let Some(row) = found.value else {
        let body = body(&service, &StandingBook::default(), Some(&name), 0, None).await?;
        return Ok(standing::current(
            &Stand::etag(0, &catalogue),
            &found.freshness,
            &headers,
            body,
        ));
    };
    let bodies = service.entitlement_bodies();
    let body = match bodies.find(stream, &row, catalogue.version()) {
        Some(body) => body,
        None => {
            let body = body(&service, &row.holdings, None, row.sequence, Some(row.recorded_at)).await?;
            bodies.keep(stream, row.clone(), catalogue.version(), body.clone());
            body
        }
    };
    Ok(standing::current(
        &Stand::etag(row.sequence, &catalogue),
        &found.freshness,
        &headers,
        body,
    ))
}

async fn body(
    service: &Service,
    book: &StandingBook,
    unseen: Option<&AccountRef>,
    version: u64,
    updated_at: Option<Timestamp>,
) -> Answer<Bytes> {
    let stand = Stand::of(service, book, unseen).await?;
    standing::written(&EntitlementsAnswer::of(&stand, version, updated_at, None)?)
}

//! `GET /v1/tenants/{tenant}/subscription`: where a tenant stands, now or at a point in time.

use aggregates::time::Timestamp;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use projections::book::StandingBook;
use projections::runner::Freshness;
use projections::views::View;
use serde::Deserialize;
use utoipa::IntoParams;

use super::entitlements::EntitlementsAnswer;
use super::quotas::{Windows, quotas};
use super::standing::{self, Stand};
use super::subscription_answer::{SubscriptionAnswer, previous};
use crate::http::account::{Account, asked, unanswered};
use crate::http::extract::Params;
use crate::http::guard::{AccountRef, Caller};
use crate::http::past::{self, AsOfAnswer, BasisWord, PointInTime};
use crate::http::position;
use crate::http::problem::{Answer, Problem};
use crate::http::state::Service;

/// What is asked about a subscription.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct SubscriptionQuery {
    /// How it stood at this instant, RFC 3339; without it: how it stands now
    #[param(value_type = Option<String>, format = DateTime)]
    as_of: Option<Timestamp>,
    /// `recorded`: what the ledger knew then (default); `occurred`: what was true then
    basis: Option<BasisWord>,
    /// With `basis=occurred`: by what was recorded until then
    #[param(value_type = Option<String>, format = DateTime)]
    known_at: Option<Timestamp>,
    /// What to add, with commas: `previous`, `limits`, `usage`
    #[param(pattern = "^(previous|limits|usage)(,(previous|limits|usage))*$")]
    include: Option<String>,
}

#[derive(Clone, Copy, Default)]
struct Include {
    previous: bool,
    limits: bool,
    usage: bool,
}

impl Include {
    fn parse(text: Option<&str>) -> Answer<Self> {
        let mut include = Self::default();
        for word in text.into_iter().flat_map(|text| text.split(',')) {
            match word {
                "previous" => include.previous = true,
                "limits" => include.limits = true,
                "usage" => include.usage = true,
                _ => {
                    let detail = "include is a list of previous, limits and usage, with commas";
                    return Err(Problem::malformed(detail).at("?include", detail));
                }
            }
        }
        Ok(include)
    }

    const fn is_nothing(self) -> bool {
        !self.previous && !self.limits && !self.usage
    }
}

/// What an answer is written from.
struct Facts<'a> {
    book: &'a StandingBook,
    unseen: Option<&'a AccountRef>,
    version: u64,
    updated_at: Option<Timestamp>,
    windows: Windows,
    as_of: Option<AsOfAnswer>,
}

/// Status, plan, dates and access of a tenant
#[utoipa::path(get, path = "/v1/tenants/{tenant}/subscription",
    params(("tenant" = String, Path, description = "Tenant, `me`, or a Stripe customer"), SubscriptionQuery),
    responses((status = 200, body = SubscriptionAnswer, description = "Where the tenant stands; `status` is `none` without a subscription"),
        (status = 304, description = "Unchanged since the given ETag"),
        (status = 503, description = "The view has not reached Ledger-Min-Position (`projection-behind`), or the store is away (`store-unavailable`)")))]
pub async fn show(
    State(service): State<Service>,
    name: AccountRef,
    caller: Caller,
    Params(query): Params<SubscriptionQuery>,
    headers: HeaderMap,
) -> Answer<Response> {
    let include = Include::parse(query.include.as_deref())?;
    let account = asked(&service, &name, &caller).await?;
    let point = PointInTime {
        as_of: query.as_of,
        basis: query.basis,
        known_at: query.known_at,
    };
    if let Some(as_of) = point.point()? {
        let past = past::fold(&service, &account, &as_of).await?;
        let facts = Facts {
            book: &past.book(),
            unseen: Some(&name),
            version: past.sequence,
            updated_at: past.recorded_at,
            windows: Windows {
                opened_at: past.opened_at,
                at: as_of.at,
            },
            as_of: Some(AsOfAnswer::of(&as_of)),
        };
        return Ok(standing::of_the_past(
            &past.freshness,
            body(&service, facts, include).await?,
        ));
    }
    position::wait(&service, View::Status, Some(account.part), &headers).await?;
    now(&service, &name, &account, include, &headers).await
}

async fn now(
    service: &Service,
    name: &AccountRef,
    account: &Account,
    include: Include,
    headers: &HeaderMap,
) -> Answer<Response> {
    let stream = account.stream.as_str();
    let found = service.cache.status(account.part, stream).await.map_err(unanswered)?;
    let catalogue = service.plans.current();
    let bodies = service.subscription_bodies();
    if let Some(row) = &found.value
        && include.is_nothing()
        && let Some(body) = bodies.find(stream, row, catalogue.version())
    {
        let etag = Stand::etag(row.sequence, &catalogue);
        return Ok(standing::current(&etag, &found.freshness, headers, body));
    }
    let (opened_at, freshness) = opened_at(service, account, include, found.freshness).await?;
    let nothing = StandingBook::default();
    let row = found.value.as_ref();
    let facts = Facts {
        book: row.map_or(&nothing, |row| &row.book),
        unseen: row.is_none().then_some(name),
        version: row.map_or(0, |row| row.sequence),
        updated_at: row.map(|row| row.changed_at),
        windows: Windows {
            opened_at,
            at: service.clock.now(),
        },
        as_of: None,
    };
    let etag = Stand::etag(facts.version, &catalogue);
    let body = body(service, facts, include).await?;
    if !include.is_nothing() {
        // Windows turn without an event, so this answer has no version.
        return Ok(standing::of_the_past(&freshness, body));
    }
    if let Some(row) = row {
        bodies.keep(stream, row.clone(), catalogue.version(), body.clone());
    }
    Ok(standing::current(&etag, &freshness, headers, body))
}

/// The opening day, where windows are asked for, and the older of the two views' positions.
async fn opened_at(
    service: &Service,
    account: &Account,
    include: Include,
    freshness: Freshness,
) -> Answer<(Option<Timestamp>, Freshness)> {
    if !include.usage {
        return Ok((None, freshness));
    }
    let quota = service
        .cache
        .quota(account.part, account.stream.as_str())
        .await
        .map_err(unanswered)?;
    let older = if quota.freshness.position < freshness.position {
        quota.freshness
    } else {
        freshness
    };
    Ok((quota.value.map(|row| row.opened_at), older))
}

async fn body(service: &Service, facts: Facts<'_>, include: Include) -> Answer<Bytes> {
    let stand = Stand::of(service, facts.book, facts.unseen).await?;
    let mut answer = SubscriptionAnswer::of(&stand, facts.book, facts.version, facts.updated_at);
    if include.previous {
        answer.previous = Some(previous(facts.book, &stand.standing));
    }
    if include.limits {
        answer.limits = Some(EntitlementsAnswer::of(
            &stand,
            facts.version,
            facts.updated_at,
            facts.as_of,
        )?);
    }
    if include.usage {
        answer.usage = Some(quotas(&stand, &facts.windows)?);
    }
    answer.as_of = facts.as_of;
    standing::written(&answer)
}

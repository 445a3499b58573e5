//! `GET /v1/tenants/{tenant}/quotas`: how much of each resource is used and granted.

use aggregates::plan::{EffectiveLimit, LimitValue, window_end};
use aggregates::time::Timestamp;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use projections::book::StandingBook;
use projections::views::View;
use serde::Serialize;
use utoipa::ToSchema;

use super::plans::window_word;
use super::standing::{self, PlanHeld, Stand};
use crate::http::account::{asked, unanswered};
use crate::http::conditional::Etag;
use crate::http::extract::Params;
use crate::http::guard::{AccountRef, Caller};
use crate::http::past::{self, AsOfAnswer, PointInTime};
use crate::http::position;
use crate::http::problem::Answer;
use crate::http::state::Service;

/// Quotas of a tenant.
#[derive(Serialize, ToSchema)]
pub struct QuotasAnswer {
    /// The tenant; null for an account without one.
    tenant: Option<String>,
    /// `full`, `grace`, `restricted` or `blocked`.
    access: &'static str,
    /// The plan they come from; null when nothing is held.
    plan: Option<PlanHeld>,
    /// One entry a resource, in the catalogue's order.
    data: Vec<QuotaAnswer>,
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

/// One resource.
#[derive(Serialize, ToSchema)]
pub struct QuotaAnswer {
    /// Name of the resource.
    resource: String,
    /// For people.
    title: String,
    /// `counter`, `gauge`, `rate` or `concurrent`.
    kind: &'static str,
    /// Of a counter: `day`, `month`, `billing_period` or `lifetime`.
    window: Option<&'static str>,
    /// Base units used in the window.
    used: u64,
    /// Base units granted; null = no limit.
    limit: Option<u64>,
    /// No limit.
    unlimited: bool,
    /// Base units left; null = no limit.
    remaining: Option<u64>,
    /// Base units used above the limit.
    over_by: u64,
    /// Used of the limit, rounded down; 100 for a limit of 0, null without a limit.
    percent: Option<u64>,
    /// `none` below 80 %, `warning` below 95 %, `critical` below the limit, `reached` at it.
    severity: &'static str,
    /// `severity` is `reached`.
    at_limit: bool,
    /// When a counter starts again; null: it does not, or the period is not known.
    #[schema(value_type = Option<String>, format = DateTime)]
    resets_at: Option<Timestamp>,
    /// What usage is counted in.
    unit: String,
    /// What people read.
    display_unit: String,
    /// Base units in one display unit.
    display_factor: u64,
}

/// Percentages from which the words hold; the portal's colours use the same two.
const WARNING_PERCENT: u64 = 80;
const CRITICAL_PERCENT: u64 = 95;

fn percent(used: u64, limit: u64) -> u64 {
    if limit == 0 {
        return 100;
    }
    let percent = u128::from(used) * 100 / u128::from(limit);
    u64::try_from(percent).unwrap_or(u64::MAX)
}

fn severity(used: u64, limit: LimitValue) -> &'static str {
    let Some(limit) = limit.units() else { return "none" };
    match percent(used, limit) {
        _ if used >= limit => "reached",
        CRITICAL_PERCENT.. => "critical",
        WARNING_PERCENT.. => "warning",
        _ => "none",
    }
}

impl QuotaAnswer {
    /// `used` base units of a limit whose window ends at `resets_at`.
    #[must_use]
    pub fn of(effective: &EffectiveLimit<'_>, used: u64, resets_at: Option<Timestamp>) -> Self {
        let (limit, value) = (effective.limit, effective.value);
        let units = value.units();
        let severity = severity(used, value);
        Self {
            resource: limit.name.clone(),
            title: limit.title.clone(),
            kind: limit.kind.as_str(),
            window: limit.kind.window().map(window_word),
            used,
            limit: units,
            unlimited: value == LimitValue::Unlimited,
            remaining: units.map(|units| units.saturating_sub(used)),
            over_by: units.map_or(0, |units| used.saturating_sub(units)),
            percent: units.map(|units| percent(used, units)),
            severity,
            at_limit: severity == "reached",
            resets_at,
            unit: limit.unit.base.clone(),
            display_unit: limit.unit.display.clone(),
            display_factor: limit.unit.factor,
        }
    }
}

/// What the windows of an account's counters turn on.
pub struct Windows {
    /// When the account was opened.
    pub opened_at: Option<Timestamp>,
    /// The instant whose windows are asked for.
    pub at: Timestamp,
}

/// One entry a resource. No usage is on the log before the release that records it: everything is unused.
pub fn quotas(stand: &Stand, windows: &Windows) -> Answer<Vec<QuotaAnswer>> {
    let standing = &stand.standing;
    let bought = !standing.holdings.is_empty();
    let anchor = standing.anchor_at.filter(|_| bought).or(windows.opened_at);
    let ends = |effective: &EffectiveLimit<'_>| {
        let window = effective.limit.kind.window()?;
        window_end(window, anchor?, standing.period.filter(|_| bought), windows.at)
    };
    let limits = stand.limits()?;
    Ok(limits
        .iter()
        .map(|effective| QuotaAnswer::of(effective, 0, ends(effective)))
        .collect())
}

impl QuotasAnswer {
    fn of(stand: &Stand, data: Vec<QuotaAnswer>, version: u64, updated_at: Option<Timestamp>) -> Self {
        Self {
            tenant: stand.tenant.as_ref().map(ToString::to_string),
            access: stand.standing.access.as_str(),
            plan: stand.plan(),
            data,
            catalogue_version: stand.catalogue.version(),
            updated_at,
            version,
            as_of: None,
        }
    }

    /// Changes with the account's events, the catalogue's rules, and whenever a window begins.
    fn etag(&self) -> Etag {
        let next = self.data.iter().filter_map(|it| it.resets_at).min();
        let next = next.map_or(0, Timestamp::seconds);
        Etag::new(format_args!("{}.{}.{next}", self.version, self.catalogue_version))
    }
}

/// How much of each resource is used and granted
#[utoipa::path(get, path = "/v1/tenants/{tenant}/quotas",
    params(("tenant" = String, Path, description = "Tenant, `me`, or a Stripe customer"), PointInTime),
    responses((status = 200, body = QuotasAnswer, description = "Per resource"),
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
        let windows = Windows {
            opened_at: past.opened_at,
            at: as_of.at,
        };
        let data = quotas(&stand, &windows)?;
        let mut answer = QuotasAnswer::of(&stand, data, past.sequence, past.recorded_at);
        answer.as_of = Some(AsOfAnswer::of(&as_of));
        return Ok(standing::of_the_past(&past.freshness, standing::written(&answer)?));
    }
    position::wait(&service, View::Quota, Some(account.part), &headers).await?;
    let found = service
        .cache
        .quota(account.part, account.stream.as_str())
        .await
        .map_err(unanswered)?;
    let nothing = StandingBook::default();
    let row = found.value.as_deref();
    let unseen = row.is_none().then_some(&name);
    let stand = Stand::of(&service, row.map_or(&nothing, |row| &row.holdings), unseen).await?;
    let windows = Windows {
        opened_at: row.map(|row| row.opened_at),
        at: service.clock.now(),
    };
    let data = quotas(&stand, &windows)?;
    let answer = QuotasAnswer::of(
        &stand,
        data,
        row.map_or(0, |row| row.sequence),
        row.map(|row| row.recorded_at),
    );
    Ok(standing::current(
        &answer.etag(),
        &found.freshness,
        &headers,
        standing::written(&answer)?,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_change_at_eighty_ninety_five_and_the_limit() {
        let of = |used, limit| (severity(used, LimitValue::Units(limit)), percent(used, limit));
        assert_eq!(of(79, 100), ("none", 79));
        assert_eq!(of(80, 100), ("warning", 80));
        assert_eq!(of(94, 100), ("warning", 94));
        assert_eq!(of(95, 100), ("critical", 95));
        assert_eq!(of(99, 100), ("critical", 99));
        assert_eq!(of(100, 100), ("reached", 100));
        assert_eq!(of(101, 100), ("reached", 101));
        assert_eq!(of(0, 0), ("reached", 100));
        assert_eq!(of(949, 1_000), ("warning", 94), "rounded down");
        assert_eq!(of(u64::MAX, 1), ("reached", u64::MAX));
        assert_eq!(severity(u64::MAX, LimitValue::Unlimited), "none");
    }
}

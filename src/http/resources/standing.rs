//! What the answers about entitlements, quotas and the subscription share: where the account stands, the plans it
//! holds, and how an answer is sent.

use std::collections::BTreeMap;
use std::sync::Arc;

use aggregates::ids::TenantId;
use aggregates::plan::{Access, Catalogue, EffectiveLimit, LimitValue, Plan};
use aggregates::subscription::standing::{AccessPolicy, Standing};
use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::Response;
use projections::book::StandingBook;
use projections::runner::Freshness;
use serde::Serialize;
use utoipa::ToSchema;

use super::plans::feature_value;
use crate::http::conditional::Etag;
use crate::http::guard::AccountRef;
use crate::http::position;
use crate::http::problem::{Answer, Problem};
use crate::http::state::Service;
use crate::plans::held::{Held, HeldPlan};
use crate::plans::registry::RegistryError;

/// Answers about one tenant are for its caller alone, and asked again each time: the ETag makes that cheap.
pub const CACHE: &str = "private, no-cache";

/// A plan that is held.
#[derive(Serialize, ToSchema)]
pub struct PlanHeld {
    /// Its code.
    pub code: String,
    /// For people; null when the catalogue no longer knows the plan.
    pub name: Option<String>,
    /// Catalogue version whose terms hold.
    pub version: u32,
    /// How many units.
    pub quantity: u64,
}

impl PlanHeld {
    /// Of a plan in its catalogue.
    #[must_use]
    pub fn of(held: &HeldPlan) -> Self {
        Self {
            code: held.code.to_string(),
            name: held.plan().map(|plan| plan.name.clone()),
            version: held.catalogue.version(),
            quantity: held.quantity,
        }
    }
}

/// Why less than everything is allowed.
#[derive(Serialize, ToSchema)]
pub struct Restriction {
    /// Since when, where it is known.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub since: Option<aggregates::time::Timestamp>,
    /// `payment_overdue`, `payment_incomplete`, `unpaid`, `paused`, `dispute` or `no_subscription`.
    pub reason: &'static str,
}

/// Where an account stands and what it holds.
pub struct Stand {
    /// Where it stands.
    pub standing: Standing,
    /// What it holds.
    pub held: Held,
    /// Whose rules of access and free plan hold: today's.
    pub catalogue: Arc<Catalogue>,
    /// Its tenant.
    pub tenant: Option<TenantId>,
}

impl Stand {
    /// From what the account's row holds.
    pub async fn of(service: &Service, book: &StandingBook, unseen: Option<&AccountRef>) -> Answer<Self> {
        let catalogue = service.plans.current();
        let standing = Standing::of(&book.life, book.disputes(), &AccessPolicy::of(&catalogue));
        let held = Held::of(&service.plans, &service.db, &standing).await.map_err(unread)?;
        let vouched = match unseen {
            Some(AccountRef::Tenant(tenant)) => Some(tenant.clone()),
            Some(AccountRef::Customer(_)) | None => None,
        };
        Ok(Self {
            standing,
            held,
            catalogue,
            tenant: book.account.tenant.clone().or(vouched),
        })
    }

    /// The plan that counts: the first one held.
    #[must_use]
    pub fn plan(&self) -> Option<PlanHeld> {
        self.held.plans().first().map(PlanHeld::of)
    }

    /// Every feature any plan knows, with what this account has of it.
    pub fn features(&self) -> Answer<BTreeMap<String, serde_json::Value>> {
        let plans = self.catalogue.plans();
        let known = plans.iter().flat_map(|plan| &plan.features);
        let mut features: BTreeMap<String, serde_json::Value> =
            known.map(|feature| (feature.name.clone(), false.into())).collect();
        let granted = self.held.granted().map_err(Problem::internal)?;
        for (name, feature) in granted.features {
            features.insert(name.to_owned(), feature_value(feature));
        }
        Ok(features)
    }

    /// How much of each resource is granted; an account that holds nothing is granted nothing of all of them.
    pub fn limits(&self) -> Answer<Vec<EffectiveLimit<'_>>> {
        if self.held.plans().is_empty() {
            let resources = self.catalogue.resources().into_iter();
            let nothing = resources.map(|limit| EffectiveLimit {
                limit,
                value: LimitValue::Units(0),
            });
            return Ok(nothing.collect());
        }
        Ok(self.held.granted().map_err(Problem::internal)?.limits)
    }

    /// Why access is less than full.
    #[must_use]
    pub fn restriction(&self) -> Option<Restriction> {
        let standing = &self.standing;
        if standing.access == Access::Full || standing.access == Access::Grace {
            return None;
        }
        let (reason, since) = match &*standing.status {
            "past_due" | "unrecognised" => ("payment_overdue", None),
            "incomplete" => ("payment_incomplete", standing.started_at),
            "unpaid" => ("unpaid", None),
            "paused" => ("paused", None),
            "trialing" | "active" => ("dispute", None),
            _ => ("no_subscription", standing.ended_at),
        };
        Some(Restriction { since, reason })
    }

    /// Public plans above the one that is held.
    pub fn upgrades(&self) -> impl Iterator<Item = &Plan> {
        let held = self.held.plans().first().map(|held| &held.code);
        let code = held.or(self.standing.plan.as_ref().map(|held| &held.plan.code));
        self.catalogue.upgrade_options(code, |_| false)
    }

    /// The version of an answer: it changes with the account's events and with the catalogue's rules.
    #[must_use]
    pub fn etag(sequence: u64, catalogue: &Catalogue) -> Etag {
        Etag::new(format_args!("{sequence}.{}", catalogue.version()))
    }
}

fn unread(error: RegistryError) -> Problem {
    match error {
        RegistryError::Store(error) => Problem::store(error),
        RegistryError::Unreadable { .. } | RegistryError::Contended => Problem::internal(error),
    }
}

/// JSON bytes of an answer.
pub fn written(answer: &impl Serialize) -> Answer<Bytes> {
    serde_json::to_vec(answer).map(Bytes::from).map_err(Problem::internal)
}

/// JSON bytes as a response.
#[must_use]
pub fn json(body: Bytes) -> Response {
    let mut response = Response::new(Body::from(body));
    let kind = HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response
}

/// An answer about now: with its version, and the position it rests on.
#[must_use]
pub fn current(etag: &Etag, freshness: &Freshness, asked: &HeaderMap, body: Bytes) -> Response {
    let mut response = etag.answer(asked, CACHE, || json(body));
    position::announce_view(freshness, response.headers_mut());
    response
}

/// An answer about a point in time: without a version.
#[must_use]
pub fn of_the_past(freshness: &Freshness, body: Bytes) -> Response {
    let mut response = json(body);
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(CACHE));
    position::announce_view(freshness, headers);
    response
}

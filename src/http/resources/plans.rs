//! `/v1/plans`, `/v1/plans/{plan}`, `/v1/plan-comparison`: what is sold, for price pages. Public.

use std::collections::BTreeMap;

use aggregates::ids::PlanCode;
use aggregates::plan::{
    Catalogue, Feature, FeatureValue, Interval, Limit, LimitKind, LimitValue, Plan, Price, TrialCard, Visibility,
    Window,
};
use axum::Json;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::http::conditional::Etag;
use crate::http::extract::{Ids, Params};
use crate::http::problem::{Answer, Problem};
use crate::http::state::Service;
use crate::http::text::CurrencyCode;

/// Browsers and caches may keep plans for a minute: a new catalogue takes a restart.
const CACHE: &str = "public, max-age=60";

/// Which prices to show.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct PriceFilter {
    /// Prices of this interval only
    interval: Option<IntervalWord>,
    /// Prices of this currency only
    currency: Option<CurrencyCode>,
}

/// `month` or `year`.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, PartialEq, Eq, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum IntervalWord {
    /// Every month.
    Month,
    /// Every year.
    Year,
}

impl From<IntervalWord> for Interval {
    fn from(word: IntervalWord) -> Self {
        match word {
            IntervalWord::Month => Self::Month,
            IntervalWord::Year => Self::Year,
        }
    }
}

impl From<Interval> for IntervalWord {
    fn from(interval: Interval) -> Self {
        match interval {
            Interval::Month => Self::Month,
            Interval::Year => Self::Year,
        }
    }
}

/// An amount of money.
#[derive(Clone, Serialize, ToSchema)]
pub struct MoneyAnswer {
    /// Minor units, for instance cents.
    pub amount_minor: i64,
    /// ISO 4217.
    pub currency: String,
}

impl MoneyAnswer {
    /// So much of a currency.
    #[must_use]
    pub fn of(amount_minor: i64, currency: aggregates::money::Currency) -> Self {
        Self {
            amount_minor,
            currency: currency.as_str().to_owned(),
        }
    }
}

/// All plans that are offered to everybody.
#[derive(Serialize, ToSchema)]
pub struct PlanList {
    /// By ascending order.
    data: Vec<PlanAnswer>,
    /// Version of the catalogue.
    catalogue_version: u32,
}

/// One plan.
#[derive(Serialize, ToSchema)]
pub struct PlanAnswer {
    /// Never changes.
    code: String,
    /// For people.
    name: String,
    /// For people.
    description: String,
    /// An upgrade goes to a higher one.
    order: u32,
    /// Highlighted on the price page.
    most_popular: bool,
    /// False: kept for its holders, sold to nobody.
    active: bool,
    /// What one unit is called, for instance `seat`.
    unit: Option<String>,
    /// Least quantity.
    quantity_min: u64,
    /// Most.
    quantity_max: u64,
    /// Trial, if there is one.
    trial: Option<TrialAnswer>,
    /// Nobody pays for it.
    is_free: bool,
    /// Sold by talking to people.
    contact_us: bool,
    /// Where to talk to them.
    contact_url: Option<String>,
    /// Recurring and metered prices that are sold today.
    prices: Vec<PriceAnswer>,
    /// How much cheaper a year is than twelve months, by currency, to the nearest percent.
    yearly_saving_percent: BTreeMap<String, u32>,
    /// By name: true, false, or which kind.
    features: BTreeMap<String, serde_json::Value>,
    /// Limits in the catalogue's order.
    limits: Vec<LimitAnswer>,
}

/// Days with full access before the first payment.
#[derive(Serialize, ToSchema)]
pub struct TrialAnswer {
    /// How many.
    days: u32,
    /// `required` or `optional`.
    card: &'static str,
}

/// One price.
#[derive(Serialize, ToSchema)]
pub struct PriceAnswer {
    /// Billing interval.
    interval: IntervalWord,
    /// Price of `per` units.
    price: MoneyAnswer,
    /// Units one amount pays for.
    per: u64,
    /// The limit whose use it bills; null: a price per unit of the plan.
    metered_limit: Option<String>,
}

/// One limit.
#[derive(Serialize, ToSchema)]
pub struct LimitAnswer {
    /// Name of the resource.
    pub resource: String,
    /// For people.
    pub title: String,
    /// `counter`, `gauge`, `rate` or `concurrent`.
    pub kind: &'static str,
    /// Of a counter: `day`, `month`, `billing_period` or `lifetime`.
    pub window: Option<&'static str>,
    /// Base units, for one unit of the plan when `per_unit`; null = no limit.
    pub limit: Option<u64>,
    /// No limit.
    pub unlimited: bool,
    /// Multiplied by the subscription's quantity.
    pub per_unit: bool,
    /// What usage is counted in.
    pub unit: String,
    /// What people read.
    pub display_unit: String,
    /// Base units in one display unit.
    pub display_factor: u64,
    /// `block`, `allow` or `top_up`.
    pub at_limit: &'static str,
}

/// Plans side by side.
#[derive(Serialize, ToSchema)]
pub struct Comparison {
    /// Codes by ascending order: the columns.
    plans: Vec<String>,
    /// Features, then limits.
    rows: Vec<ComparisonRow>,
    /// Version of the catalogue.
    catalogue_version: u32,
}

/// One line of the comparison.
#[derive(Serialize, ToSchema)]
pub struct ComparisonRow {
    /// `feature` or `limit`.
    kind: &'static str,
    /// Name of the feature or resource.
    name: String,
    /// For people; null for features.
    title: Option<String>,
    /// In the order of `plans`: a feature's value, a limit's number, `unlimited`, or null where the plan lacks it.
    values: Vec<serde_json::Value>,
}

/// Plans offered to everybody
#[utoipa::path(get, path = "/v1/plans", params(PriceFilter), responses(
    (status = 200, body = PlanList, description = "Plans"), (status = 304, description = "Unchanged since the given ETag")))]
pub async fn list(State(service): State<Service>, filter: Params<PriceFilter>, headers: HeaderMap) -> Answer<Response> {
    let catalogue = &*service.plans.current();
    let currency = filter.0.currency.as_ref().map(|code| code.0);
    let wanted = |price: &Price| {
        let interval = filter
            .0
            .interval
            .is_none_or(|interval| interval == price.interval.into());
        interval && currency.is_none_or(|currency| currency == price.currency)
    };
    Ok(etag(catalogue).answer(&headers, CACHE, || {
        let data = offered(catalogue).map(|plan| PlanAnswer::of(plan, wanted)).collect();
        Json(PlanList {
            data,
            catalogue_version: catalogue.version(),
        })
        .into_response()
    }))
}

/// One plan; hidden ones answer to who knows the code
#[utoipa::path(get, path = "/v1/plans/{plan}", params(("plan" = String, Path, description = "Code of the plan")), responses(
    (status = 200, body = PlanAnswer, description = "The plan"), (status = 304, description = "Unchanged since the given ETag")))]
pub async fn show(State(service): State<Service>, Ids(code): Ids<String>, headers: HeaderMap) -> Answer<Response> {
    let catalogue = &*service.plans.current();
    let code = PlanCode::parse(&code).map_err(|_| Problem::not_found())?;
    let plan = catalogue.plan(&code).filter(|plan| plan.flag.is_none());
    let plan = plan.ok_or_else(Problem::not_found)?;
    Ok(etag(catalogue).answer(&headers, CACHE, || Json(PlanAnswer::of(plan, |_| true)).into_response()))
}

/// Features and limits of all plans, side by side
#[utoipa::path(get, path = "/v1/plan-comparison", responses(
    (status = 200, body = Comparison, description = "The matrix"), (status = 304, description = "Unchanged since the given ETag")))]
pub async fn compare(State(service): State<Service>, headers: HeaderMap) -> Response {
    let catalogue = &*service.plans.current();
    etag(catalogue).answer(&headers, CACHE, || Json(comparison(catalogue)).into_response())
}

fn etag(catalogue: &Catalogue) -> Etag {
    Etag::new(format_args!("catalogue-{}", catalogue.version()))
}

fn offered(catalogue: &Catalogue) -> impl Iterator<Item = &Plan> {
    catalogue.upgrade_options(None, |_| false)
}

fn comparison(catalogue: &Catalogue) -> Comparison {
    let plans: Vec<&Plan> = offered(catalogue).collect();
    let mut names: Vec<&str> = Vec::new();
    for feature in plans.iter().flat_map(|plan| &plan.features) {
        if !names.contains(&&*feature.name) {
            names.push(&feature.name);
        }
    }
    let feature_row = |name: &str| ComparisonRow {
        kind: "feature",
        name: name.to_owned(),
        title: None,
        values: plans
            .iter()
            .map(|plan| plan.feature(name).map_or(serde_json::Value::Null, feature_value))
            .collect(),
    };
    let limit_row = |limit: &Limit| ComparisonRow {
        kind: "limit",
        name: limit.name.clone(),
        title: Some(limit.title.clone()),
        values: plans
            .iter()
            .map(|plan| plan.limit(&limit.name).map_or(serde_json::Value::Null, limit_value))
            .collect(),
    };
    let resources = catalogue.resources();
    let listed = resources
        .into_iter()
        .filter(|limit| plans.iter().any(|plan| plan.limit(&limit.name).is_some()));
    Comparison {
        rows: names
            .into_iter()
            .map(feature_row)
            .chain(listed.map(limit_row))
            .collect(),
        plans: plans.iter().map(|plan| plan.code.to_string()).collect(),
        catalogue_version: catalogue.version(),
    }
}

/// A feature's value as JSON.
#[must_use]
pub fn feature_value(feature: &Feature) -> serde_json::Value {
    match &feature.value {
        FeatureValue::Bool(has) => (*has).into(),
        FeatureValue::Text(kind) => kind.clone().into(),
    }
}

fn limit_value(limit: &Limit) -> serde_json::Value {
    match limit.value {
        LimitValue::Units(units) => units.into(),
        LimitValue::Unlimited => "unlimited".into(),
    }
}

impl PlanAnswer {
    fn of(plan: &Plan, wanted: impl Fn(&Price) -> bool) -> Self {
        let sold = |price: &&Price| price.active && price.flag.is_none() && wanted(price);
        let prices: Vec<&Price> = plan.prices.iter().filter(sold).collect();
        let saving = |price: &&Price| Some((price.currency.to_string(), plan.yearly_saving_percent(price.currency)?));
        Self {
            code: plan.code.to_string(),
            name: plan.name.clone(),
            description: plan.description.clone(),
            order: plan.order,
            most_popular: plan.most_popular,
            active: plan.active,
            unit: plan.unit.clone(),
            quantity_min: plan.quantity.min,
            quantity_max: plan.quantity.max,
            trial: plan.trial.map(|trial| TrialAnswer {
                days: trial.days,
                card: match trial.card {
                    TrialCard::Required => "required",
                    TrialCard::Optional => "optional",
                },
            }),
            is_free: plan.is_free(),
            contact_us: plan.is_contact_us(),
            contact_url: match &plan.visibility {
                Visibility::ContactUs { url } => Some(url.clone()),
                Visibility::Public | Visibility::Hidden => None,
            },
            yearly_saving_percent: prices.iter().filter_map(saving).collect(),
            prices: prices.into_iter().map(PriceAnswer::of).collect(),
            features: plan
                .features
                .iter()
                .map(|feature| (feature.name.clone(), feature_value(feature)))
                .collect(),
            limits: plan
                .limits
                .iter()
                .map(|limit| LimitAnswer::of(limit, limit.value))
                .collect(),
        }
    }
}

impl PriceAnswer {
    fn of(price: &Price) -> Self {
        Self {
            interval: price.interval.into(),
            price: MoneyAnswer {
                amount_minor: price.amount_minor,
                currency: price.currency.to_string(),
            },
            per: price.per,
            metered_limit: price.metered.as_ref().map(|metered| metered.limit.clone()),
        }
    }
}

impl LimitAnswer {
    /// The limit with `value` in its place, in base units.
    #[must_use]
    pub fn of(limit: &Limit, value: LimitValue) -> Self {
        let (kind, window) = match limit.kind {
            LimitKind::Counter { window } => ("counter", Some(window_word(window))),
            LimitKind::Gauge => ("gauge", None),
            LimitKind::Rate { .. } => ("rate", None),
            LimitKind::Concurrent { .. } => ("concurrent", None),
        };
        Self {
            resource: limit.name.clone(),
            title: limit.title.clone(),
            kind,
            window,
            limit: value.units(),
            unlimited: value == LimitValue::Unlimited,
            per_unit: limit.per_unit,
            unit: limit.unit.base.clone(),
            display_unit: limit.unit.display.clone(),
            display_factor: limit.unit.factor,
            at_limit: limit.at_limit.as_str(),
        }
    }
}

/// The window's word.
#[must_use]
pub const fn window_word(window: Window) -> &'static str {
    match window {
        Window::Day => "day",
        Window::Month => "month",
        Window::BillingPeriod => "billing_period",
        Window::Lifetime => "lifetime",
    }
}

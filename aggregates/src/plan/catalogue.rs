//! One version of the catalogue, and the plans in it.

use std::borrow::Cow;
use std::collections::HashMap;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Serialize};

use super::limit::{EffectiveLimit, Limit, LimitValue, OnOutage};
use super::policy::{Checkout, DisputePolicy, DunningPolicy, Flag, Trial};
use super::price::{Interval, Price, saving_percent};
use super::{PlanError, QUANTITY_MAX};
use crate::ids::{PlanCode, PriceId};
use crate::money::Currency;

/// Who sees a plan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", tag = "visibility")]
pub enum Visibility {
    /// Everybody.
    Public,
    /// Nobody, but it can be sold by who knows its code.
    Hidden,
    /// Everybody; it is sold by talking to people.
    ContactUs {
        /// Where to talk to them.
        url: String,
    },
}

/// A value of a feature.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum FeatureValue {
    /// Has it or not.
    Bool(bool),
    /// Which kind: `support = "priority"`.
    Text(String),
}

/// One named feature of a plan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Feature {
    /// The same word in every plan.
    pub name: String,
    /// Its value.
    pub value: FeatureValue,
    /// What guards answer during an outage, where it differs from the configured answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_outage: Option<OnOutage>,
}

impl Feature {
    /// Whether the tenant may use it: `true`, or any text.
    #[must_use]
    pub fn is_granted(&self) -> bool {
        match &self.value {
            FeatureValue::Bool(granted) => *granted,
            FeatureValue::Text(_) => true,
        }
    }
}

/// What a workspace container gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Workspace {
    /// Memory in MB.
    pub ram_mb: u32,
    /// Processor time in thousandths of a core.
    pub cpu_milli: u32,
    /// Disk in MB.
    pub storage_mb: u32,
    /// Processes at once.
    pub pids: u32,
}

/// How many units of a plan may be bought.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct QuantityRange {
    /// At least, 1 or more.
    pub min: u64,
    /// At most; [`QUANTITY_MAX`] if the file says nothing.
    pub max: u64,
}

impl QuantityRange {
    /// Whether a quantity may be bought.
    #[must_use]
    pub const fn contains(&self, quantity: u64) -> bool {
        self.min <= quantity && quantity <= self.max
    }
}

impl Default for QuantityRange {
    fn default() -> Self {
        Self {
            min: 1,
            max: QUANTITY_MAX,
        }
    }
}

/// One plan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Plan {
    /// Its code, which never changes.
    pub code: PlanCode,
    /// For people.
    pub name: String,
    /// For people.
    pub description: String,
    /// `false` keeps the plan for its holders and sells it to nobody.
    pub active: bool,
    /// Who sees it.
    #[serde(flatten)]
    pub visibility: Visibility,
    /// Rank: an upgrade goes to a higher one.
    pub order: u32,
    /// Highlighted on the price page.
    pub most_popular: bool,
    /// What one unit is called: agent, seat.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
    /// Trial, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trial: Option<Trial>,
    /// How many units may be bought.
    pub quantity: QuantityRange,
    /// Prices in file order.
    pub prices: Vec<Price>,
    /// Limits in file order.
    pub limits: Vec<Limit>,
    /// Features in file order.
    pub features: Vec<Feature>,
    /// Workspace resources.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workspace: Option<Workspace>,
    /// Only tenants inside this flag see and can buy the plan; holders keep it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flag: Option<String>,
}

impl Plan {
    /// Every limit with the quantity applied; refused when a product leaves the range of 64 bits.
    pub fn limits_for(&self, quantity: u64) -> Result<Vec<EffectiveLimit<'_>>, PlanError> {
        let effective = |limit| {
            Ok(EffectiveLimit {
                limit,
                value: Limit::value_for(limit, quantity)?,
            })
        };
        self.limits.iter().map(effective).collect()
    }

    /// The limit on a resource, if the plan has one.
    #[must_use]
    pub fn limit(&self, resource: &str) -> Option<&Limit> {
        self.limits.iter().find(|limit| limit.name == resource)
    }

    /// The feature of that name, if the plan lists it.
    #[must_use]
    pub fn feature(&self, name: &str) -> Option<&Feature> {
        self.features.iter().find(|feature| feature.name == name)
    }

    /// A plan nobody pays for: without any price, or with recurring prices of zero. One that only a meter bills is paid
    /// for, and so is one sold by talking to people.
    #[must_use]
    pub fn is_free(&self) -> bool {
        let only_metered = !self.prices.is_empty() && !self.prices.iter().any(Price::is_licensed);
        let mut recurring = self.prices.iter().filter(|price| price.is_licensed());
        !self.is_contact_us() && !only_metered && recurring.all(|price| price.amount_minor == 0)
    }

    /// Sold by talking to people.
    #[must_use]
    pub const fn is_contact_us(&self) -> bool {
        matches!(self.visibility, Visibility::ContactUs { .. })
    }

    /// Whether a tenant may buy it by itself. `in_flag` says whether the tenant is inside a flag.
    pub fn is_sellable(&self, in_flag: impl Fn(&str) -> bool) -> bool {
        self.active && !self.is_contact_us() && self.flag.as_deref().is_none_or(in_flag)
    }

    /// The recurring price sold today for an interval and currency.
    #[must_use]
    pub fn recurring(&self, interval: Interval, currency: Currency) -> Option<&Price> {
        let fits = |price: &&Price| {
            price.is_licensed() && price.active && price.interval == interval && price.currency == currency
        };
        self.prices.iter().find(fits)
    }

    /// The metered price that bills a resource in a currency.
    #[must_use]
    pub fn metered(&self, resource: &str, currency: Currency) -> Option<&Price> {
        let bills = |price: &&Price| {
            price.active && price.currency == currency && price.metered.as_ref().is_some_and(|m| m.limit == resource)
        };
        self.prices.iter().find(bills)
    }

    /// How much cheaper a year is than twelve months in a currency, to the nearest percent.
    #[must_use]
    pub fn yearly_saving_percent(&self, currency: Currency) -> Option<u32> {
        let month = self.recurring(Interval::Month, currency)?;
        let year = self.recurring(Interval::Year, currency)?;
        (month.per == year.per).then(|| saving_percent(month.amount_minor, year.amount_minor))?
    }
}

/// Everything one version of the catalogue says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Terms {
    /// Currency of prices that name none, and of a free plan's zero.
    pub currency: Currency,
    /// Plans by ascending order, then file order.
    pub plans: Vec<Plan>,
    /// Checkout pages.
    pub checkout: Checkout,
    /// Flags.
    pub flags: Vec<Flag>,
    /// The flag that shows our own billing pages, if it is defined.
    pub billing_pages_flag: String,
    /// Dunning and grace.
    pub dunning: DunningPolicy,
    /// Disputes.
    pub disputes: DisputePolicy,
    /// Metadata keys at Stripe that hold our tenant id, `tenant_id` first.
    pub tenant_keys: Vec<String>,
}

/// One loaded version of the catalogue. Serialises without its look-up tables and rebuilds them when read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "Stored", from = "Stored")]
pub struct Catalogue {
    version: u32,
    terms: Terms,
    by_code: HashMap<PlanCode, usize>,
    by_price: HashMap<PriceId, (usize, usize)>,
}

#[derive(Clone, Serialize, Deserialize, JsonSchema)]
struct Stored {
    version: u32,
    #[serde(flatten)]
    terms: Terms,
}

impl From<Stored> for Catalogue {
    fn from(stored: Stored) -> Self {
        Self::new(stored.version, stored.terms)
    }
}

impl From<Catalogue> for Stored {
    fn from(catalogue: Catalogue) -> Self {
        Self {
            version: catalogue.version,
            terms: catalogue.terms,
        }
    }
}

impl JsonSchema for Catalogue {
    fn schema_name() -> Cow<'static, str> {
        "Catalogue".into()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        Stored::json_schema(generator)
    }
}

impl Catalogue {
    /// Version numbers start at 1 and belong to one ledger. The plans are put in order here.
    #[must_use]
    pub fn new(version: u32, mut terms: Terms) -> Self {
        terms.plans.sort_by_key(|plan| plan.order);
        let (mut by_code, mut by_price) = (HashMap::new(), HashMap::new());
        for (at, plan) in terms.plans.iter().enumerate() {
            by_code.entry(plan.code.clone()).or_insert(at);
            for (slot, price) in plan.prices.iter().enumerate() {
                for id in price.stripe.iter() {
                    by_price.entry(id.clone()).or_insert((at, slot));
                }
            }
        }
        Self {
            version,
            terms,
            by_code,
            by_price,
        }
    }

    /// The version events name.
    #[must_use]
    pub const fn version(&self) -> u32 {
        self.version
    }

    /// Everything it says.
    #[must_use]
    pub const fn terms(&self) -> &Terms {
        &self.terms
    }

    /// Plans by ascending order.
    #[must_use]
    pub fn plans(&self) -> &[Plan] {
        &self.terms.plans
    }

    /// The plan of a code.
    #[must_use]
    pub fn plan(&self, code: &PlanCode) -> Option<&Plan> {
        self.by_code.get(code).and_then(|at| self.terms.plans.get(*at))
    }

    /// The plan and price behind a Stripe price id, of either mode. `None` is an unmapped price: a finding, never a guess.
    #[must_use]
    pub fn plan_of_price(&self, id: &PriceId) -> Option<(&Plan, &Price)> {
        let (at, slot) = *self.by_price.get(id)?;
        let plan = self.terms.plans.get(at)?;
        Some((plan, plan.prices.get(slot)?))
    }

    /// The plan of those who pay nothing. Without one a tenant that ends its subscription is blocked.
    #[must_use]
    pub fn free_plan(&self) -> Option<&Plan> {
        self.terms.plans.iter().find(|plan| plan.active && plan.is_free())
    }

    /// Public plans above the given one (all of them without one), the nearest first. `in_flag` as in [`Plan::is_sellable`].
    pub fn upgrade_options<'a>(
        &'a self,
        from: Option<&PlanCode>,
        in_flag: impl Fn(&str) -> bool + 'a,
    ) -> impl Iterator<Item = &'a Plan> {
        let floor = from.and_then(|code| self.plan(code)).map(|plan| plan.order);
        self.terms.plans.iter().filter(move |plan| {
            plan.active
                && plan.visibility != Visibility::Hidden
                && plan.flag.as_deref().is_none_or(&in_flag)
                && floor.is_none_or(|floor| plan.order > floor)
        })
    }

    /// Public plans that grant more of a resource than the given value, the nearest first.
    pub fn upgrades_for_limit<'a>(
        &'a self,
        resource: &'a str,
        more_than: LimitValue,
    ) -> impl Iterator<Item = &'a Plan> {
        self.upgrade_options(None, |_| false)
            .filter(move |plan| plan.limit(resource).is_some_and(|limit| limit.value > more_than))
    }

    /// Public plans that have a feature, the nearest first.
    pub fn upgrades_for_feature<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Plan> {
        self.upgrade_options(None, |_| false)
            .filter(move |plan| plan.feature(name).is_some_and(Feature::is_granted))
    }

    /// Every resource any plan limits, in order of first appearance.
    #[must_use]
    pub fn resources(&self) -> Vec<&Limit> {
        let mut seen: Vec<&Limit> = Vec::new();
        for limit in self.terms.plans.iter().flat_map(|plan| &plan.limits) {
            if !seen.iter().any(|known| known.name == limit.name) {
                seen.push(limit);
            }
        }
        seen
    }
}

//! How much a plan grants of a named resource, and what happens when it is used up.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{PlanError, PriceIds};
use crate::money::Money;

/// The span over which a counter adds up before it starts again at zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Window {
    /// A UTC day.
    Day,
    /// A month that starts on the billing anchor's day, also under a yearly price.
    Month,
    /// The subscription's billing period.
    BillingPeriod,
    /// Never resets.
    Lifetime,
}

/// What kind of number a limit bounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum LimitKind {
    /// Adds up over a window: test runs, messages, build time.
    Counter {
        /// When it starts again.
        window: Window,
    },
    /// A level that goes up and down: projects, members, storage.
    Gauge,
    /// Published for the host's rate limiter, never consumed here.
    Rate {
        /// Seconds of one window: 1, 60 or 3600.
        per_s: u32,
    },
    /// Runs at once, held by reservations that end by themselves.
    Concurrent {
        /// Longest a reservation may be held, in seconds.
        ttl_s: u32,
    },
}

impl LimitKind {
    /// The word of the catalogue file and of our API.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Counter { .. } => "counter",
            Self::Gauge => "gauge",
            Self::Rate { .. } => "rate",
            Self::Concurrent { .. } => "concurrent",
        }
    }

    /// The window of a counter.
    #[must_use]
    pub const fn window(&self) -> Option<Window> {
        match self {
            Self::Counter { window } => Some(*window),
            Self::Gauge | Self::Rate { .. } | Self::Concurrent { .. } => None,
        }
    }
}

/// The unit usage is counted in, which is whole, and the one people read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Unit {
    /// Usage is an integer in this unit: second, byte, token.
    pub base: String,
    /// What people read: hour, GB.
    pub display: String,
    /// Base units in one display unit, at least 1.
    pub factor: u64,
}

/// How much is granted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LimitValue {
    /// So many base units.
    Units(u64),
    /// No limit. Orders above every number.
    Unlimited,
}

impl LimitValue {
    /// The number, or `None` when unlimited.
    #[must_use]
    pub const fn units(self) -> Option<u64> {
        match self {
            Self::Units(units) => Some(units),
            Self::Unlimited => None,
        }
    }
}

/// An automatic purchase when a limit is reached.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TopUp {
    /// Base units in one pack, at least 1.
    pub pack: u64,
    /// Price of one pack.
    pub price: Money,
    /// The pack's price at Stripe.
    #[serde(default)]
    pub stripe: PriceIds,
    /// Most packs in one window.
    pub packs_max: u32,
}

/// What happens when a limit is reached.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", tag = "action")]
pub enum AtLimit {
    /// New use is refused.
    Block,
    /// Use goes on and is billed by the limit's metered price.
    Allow {
        /// Base units above the limit after which use is refused; `None` has no cap.
        cap: Option<u64>,
    },
    /// Packs are bought until the cap.
    TopUp(TopUp),
}

impl AtLimit {
    /// The word of the catalogue file and of our API.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Block => "block",
            Self::Allow { .. } => "allow",
            Self::TopUp(_) => "top_up",
        }
    }
}

/// What the generated client's guards answer when the service cannot be reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnOutage {
    /// Refuse.
    Closed,
    /// Allow, and say so.
    Open,
}

/// One limit of one plan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Limit {
    /// The resource, the same word in every plan.
    pub name: String,
    /// For people.
    pub title: String,
    /// What kind of number it bounds.
    #[serde(flatten)]
    pub kind: LimitKind,
    /// The units.
    pub unit: Unit,
    /// How much, in base units, before the quantity is applied.
    pub value: LimitValue,
    /// Whether the value is multiplied by the subscription's quantity.
    pub per_unit: bool,
    /// What happens when it is reached.
    pub at_limit: AtLimit,
    /// Percentages that raise a warning, ascending, 1 to 99.
    pub warn_at: Vec<u32>,
    /// What guards answer during an outage, where it differs from the configured answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_outage: Option<OnOutage>,
}

/// A limit with the quantity applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EffectiveLimit<'a> {
    /// The terms it comes from.
    pub limit: &'a Limit,
    /// How much, in base units.
    pub value: LimitValue,
}

impl Limit {
    /// The value for a quantity of the plan, in base units.
    pub fn value_for(&self, quantity: u64) -> Result<LimitValue, PlanError> {
        match self.value {
            LimitValue::Unlimited => Ok(LimitValue::Unlimited),
            LimitValue::Units(units) if !self.per_unit => Ok(LimitValue::Units(units)),
            LimitValue::Units(units) => {
                units
                    .checked_mul(quantity)
                    .map(LimitValue::Units)
                    .ok_or_else(|| PlanError::LimitOverflow {
                        limit: self.name.clone(),
                        quantity,
                    })
            }
        }
    }
}

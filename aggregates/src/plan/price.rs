//! What a plan costs: recurring prices by interval and currency, and metered prices.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::PlanError;
use crate::ids::PriceId;
use crate::money::{Currency, MINOR_MAX, Money};

/// How often a recurring price is billed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Interval {
    /// Every month.
    Month,
    /// Every year.
    Year,
}

impl Interval {
    /// The word of the catalogue file, of Stripe and of our API.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Month => "month",
            Self::Year => "year",
        }
    }
}

/// Stripe's two worlds, which never mix: one ledger has one mode.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Test keys, test clocks, no real money.
    Test,
    /// Live keys.
    Live,
}

impl Mode {
    /// `test` or `live`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Test => "test",
            Self::Live => "live",
        }
    }
}

/// Ids of one price at Stripe, one for each mode in which it exists.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PriceIds {
    /// The price in test mode.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub test: Option<PriceId>,
    /// The price in live mode.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub live: Option<PriceId>,
}

impl PriceIds {
    /// The id in one mode.
    #[must_use]
    pub fn of(&self, mode: Mode) -> Option<&PriceId> {
        match mode {
            Mode::Test => self.test.as_ref(),
            Mode::Live => self.live.as_ref(),
        }
    }

    /// Every id, test first.
    pub fn iter(&self) -> impl Iterator<Item = &PriceId> {
        self.test.iter().chain(self.live.iter())
    }
}

/// What makes a price metered: Stripe bills what its meter has counted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Metered {
    /// `event_name` of the Stripe meter.
    pub event_name: String,
    /// The limit of the plan whose use is billed.
    pub limit: String,
}

/// One price of a plan. Amounts are minor units of the currency, for `per` units of the plan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Price {
    /// Billing interval.
    pub interval: Interval,
    /// Currency.
    pub currency: Currency,
    /// Minor units for `per` units, at least 0.
    pub amount_minor: i64,
    /// Units one amount pays for, at least 1.
    pub per: u64,
    /// Set on a metered price, in which the units are base units of the named limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metered: Option<Metered>,
    /// Its ids at Stripe.
    #[serde(default)]
    pub stripe: PriceIds,
    /// `false` keeps the price for those who have it and sells it to nobody.
    pub active: bool,
    /// Only tenants inside this flag see and can buy the price; holders keep it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flag: Option<String>,
}

impl Price {
    /// What one invoice line over `quantity` units comes to: multiplied first and rounded once, half up, as Stripe does.
    pub fn total(&self, quantity: u64) -> Result<Money, PlanError> {
        let overflow = || PlanError::AmountOverflow {
            amount_minor: self.amount_minor,
            quantity,
        };
        let per = i128::from(self.per.max(1));
        let exact = i128::from(self.amount_minor)
            .checked_mul(i128::from(quantity))
            .ok_or_else(overflow)?;
        let (whole, rest) = (exact.div_euclid(per), exact.rem_euclid(per));
        let minor = whole + i128::from(rest * 2 >= per);
        let minor = i64::try_from(minor).map_err(|_| overflow())?;
        if minor.unsigned_abs() > MINOR_MAX.unsigned_abs() {
            return Err(overflow());
        }
        Money::try_new(minor, self.currency).map_err(|_| overflow())
    }

    /// Whether the price is billed by quantity rather than by a meter.
    #[must_use]
    pub const fn is_licensed(&self) -> bool {
        self.metered.is_none()
    }
}

/// How much cheaper a year is than twelve months, to the nearest percent (half up); `None` without a saving.
#[must_use]
pub fn saving_percent(month_minor: i64, year_minor: i64) -> Option<u32> {
    let twelve = i128::from(month_minor).checked_mul(12)?;
    let saved = twelve - i128::from(year_minor);
    if twelve <= 0 || saved <= 0 || year_minor < 0 {
        return None;
    }
    u32::try_from((saved * 200 + twelve) / (twelve * 2))
        .ok()
        .filter(|percent| *percent > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn price(amount_minor: i64, per: u64) -> Price {
        Price {
            interval: Interval::Month,
            currency: Currency::parse("EUR").unwrap(),
            amount_minor,
            per,
            metered: None,
            stripe: PriceIds::default(),
            active: true,
            flag: None,
        }
    }

    #[test]
    fn a_line_is_multiplied_first_and_rounded_once() {
        let tokens = price(300, 1_000_000);
        for (units, minor) in [
            (0, 0),
            (1, 0),
            (1_666, 0),
            (1_667, 1),
            (1_000_000, 300),
            (2_500_000, 750),
            (2_501_667, 751),
        ] {
            assert_eq!(tokens.total(units).unwrap().amount_minor, minor, "{units}");
        }
        assert_eq!(price(4_900, 1).total(7).unwrap().amount_minor, 34_300);
    }

    #[test]
    fn an_amount_beyond_money_is_refused() {
        assert!(price(1_000_000_000_000_000, 1).total(1).is_ok());
        assert!(price(1_000_000_000_000_000, 1).total(2).is_err());
        assert!(price(i64::MAX, 1).total(u64::MAX).is_err());
    }

    #[test]
    fn the_yearly_saving_is_the_nearest_percent() {
        let table = [
            (9_900, 95_000, Some(20)),
            (49_900, 480_000, Some(20)),
            (2_900, 29_000, Some(17)),
            (100, 1_200, None),
        ];
        for (month, year, percent) in table {
            assert_eq!(saving_percent(month, year), percent, "{month} {year}");
        }
        assert_eq!(saving_percent(0, 0), None);
        assert_eq!(saving_percent(100, 1_300), None);
        assert_eq!(saving_percent(1_000, 11_940), Some(1), "0.5 % rounds up");
        assert_eq!(saving_percent(1_000, 11_941), None, "less than half a percent is none");
    }
}

//! Money: whole minor units of one currency. No floats, no sums over currencies.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// Largest amount accepted, in minor units, either sign: far above any real invoice and far below
/// where sums of millions of them could overflow.
pub const MINOR_MAX: i64 = 1_000_000_000_000_000;

/// A three-letter currency code, held in upper case. Unknown codes are kept: Stripe may know more than we do.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Currency([u8; 3]);

/// An amount that is not money the ledger can hold.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MoneyError {
    /// Not three ASCII letters.
    #[error("{0:?} is not a currency; use a three-letter ISO 4217 code such as USD")]
    Currency(String),
    /// Outside plus or minus 10^15 minor units.
    #[error("an amount of {0} minor units is outside plus or minus 10^15")]
    OutOfRange(i128),
    /// Two currencies in one sum.
    #[error("{0} and {1} cannot be added: keep one sum per currency")]
    Mixed(Currency, Currency),
}

impl Currency {
    /// Three ASCII letters in either case.
    pub fn parse(text: &str) -> Result<Self, MoneyError> {
        match text.as_bytes() {
            [a, b, c] if text.bytes().all(|byte| byte.is_ascii_alphabetic()) => Ok(Self([
                a.to_ascii_uppercase(),
                b.to_ascii_uppercase(),
                c.to_ascii_uppercase(),
            ])),
            _ => Err(MoneyError::Currency(text.chars().take(16).collect())),
        }
    }

    /// The code in upper case.
    #[must_use]
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or("XXX")
    }

    /// Decimal digits of Stripe's minor unit: not always ISO's (libraries.md, trap 11): ISK and UGX are written with
    /// two decimals at Stripe although ISO gives them none.
    #[must_use]
    pub fn stripe_exponent(&self) -> u32 {
        match self.as_str() {
            "BIF" | "CLP" | "DJF" | "GNF" | "JPY" | "KMF" | "KRW" | "MGA" | "PYG" | "RWF" | "VND" | "VUV" | "XAF"
            | "XOF" | "XPF" => 0,
            "BHD" | "JOD" | "KWD" | "OMR" | "TND" => 3,
            _ => 2,
        }
    }

    /// Whether ISO 4217 lists the code.
    #[must_use]
    pub fn is_iso(&self) -> bool {
        iso_currency::Currency::from_code(self.as_str()).is_some()
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
impl fmt::Debug for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
impl Serialize for Currency {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}
impl<'de> Deserialize<'de> for Currency {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<'de, str>::deserialize(deserializer)?;
        Self::parse(&text).map_err(de::Error::custom)
    }
}
impl JsonSchema for Currency {
    fn schema_name() -> Cow<'static, str> {
        "Currency".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "description": "ISO 4217 code in upper case" })
    }
    fn inline_schema() -> bool {
        true
    }
}

/// An amount in minor units of one currency.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub struct Money {
    /// Minor units (cents for USD, yen for JPY).
    pub amount_minor: i64,
    /// The currency.
    pub currency: Currency,
}

impl Money {
    /// Refuses amounts beyond [`MINOR_MAX`].
    pub fn try_new(amount_minor: i64, currency: Currency) -> Result<Self, MoneyError> {
        if amount_minor.unsigned_abs() > MINOR_MAX.unsigned_abs() {
            return Err(MoneyError::OutOfRange(i128::from(amount_minor)));
        }
        Ok(Self { amount_minor, currency })
    }

    /// Checked sum; two currencies are an error, never a conversion.
    pub fn plus(self, other: Self) -> Result<Self, MoneyError> {
        if self.currency != other.currency {
            return Err(MoneyError::Mixed(self.currency, other.currency));
        }
        let sum = i128::from(self.amount_minor) + i128::from(other.amount_minor);
        let minor = i64::try_from(sum).map_err(|_| MoneyError::OutOfRange(sum))?;
        Self::try_new(minor, self.currency)
    }

    /// Splits by weights without losing a unit: each share is floored towards zero and the rest goes, one unit
    /// each, to the largest remainders, the earlier share first on a tie. No or zero weights give no shares.
    #[must_use]
    pub fn split(self, weights: &[u32]) -> Vec<Self> {
        let total: i128 = weights.iter().map(|w| i128::from(*w)).sum();
        if total == 0 {
            return Vec::new();
        }
        let sign = if self.amount_minor < 0 { -1 } else { 1 };
        let amount = i128::from(self.amount_minor.unsigned_abs());
        let mut shares: Vec<i128> = weights.iter().map(|w| amount * i128::from(*w) / total).collect();
        let mut order: Vec<usize> = (0..weights.len()).collect();
        order.sort_by_key(|&i| (std::cmp::Reverse(amount * i128::from(weights[i]) % total), i));
        let mut rest = amount - shares.iter().sum::<i128>();
        for index in order {
            if rest == 0 {
                break;
            }
            shares[index] += 1;
            rest -= 1;
        }
        let share = |minor: i128| Self {
            amount_minor: i64::try_from(minor * sign).unwrap_or(0),
            currency: self.currency,
        };
        shares.into_iter().map(share).collect()
    }
}

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
}

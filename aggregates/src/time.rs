//! Instants of the ledger: microseconds since the Unix epoch, in UTC.
//!
//! Both stores keep microseconds, so the same event has the same content hash on both. In JSON an
//! instant is RFC 3339 text, with a fraction only when there is one, so that an auditor can read it.

use std::borrow::Cow;
use std::fmt;

use chrono::{DateTime, SecondsFormat, Utc};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// An instant, in whole microseconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

/// The text or number is not an instant the ledger can hold.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a time; write RFC 3339 in UTC, for instance 2026-01-31T09:00:00Z")]
pub struct TimeError(pub String);

impl Timestamp {
    /// 1970-01-01T00:00:00Z.
    pub const EPOCH: Self = Self(0);
    /// The last instant accepted: 9999-12-31T23:59:59.999999Z, the end of what RFC 3339 can write.
    pub const MAX: Self = Self(253_402_300_799_999_999);
    /// The first instant accepted: 0000-01-01T00:00:00Z.
    pub const MIN: Self = Self(-62_167_219_200_000_000);

    /// Microseconds since the epoch; fails outside years 0 to 9999.
    pub fn from_micros(micros: i64) -> Result<Self, TimeError> {
        let at = Self(micros);
        if at < Self::MIN || at > Self::MAX {
            Err(TimeError(micros.to_string()))
        } else {
            Ok(at)
        }
    }

    /// Whole seconds since the epoch, as Stripe writes them; fails outside years 0 to 9999.
    pub fn from_seconds(seconds: i64) -> Result<Self, TimeError> {
        seconds
            .checked_mul(1_000_000)
            .ok_or_else(|| TimeError(seconds.to_string()))
            .and_then(Self::from_micros)
    }

    /// RFC 3339 text with any offset; finer fractions than microseconds are cut off.
    pub fn parse(text: &str) -> Result<Self, TimeError> {
        if let Some(at) = parse_plain(text.as_bytes()) {
            return Ok(at);
        }
        let parsed = DateTime::parse_from_rfc3339(text).map_err(|_| TimeError(text.to_owned()))?;
        Self::from_micros(parsed.timestamp_micros())
    }

    /// Microseconds since the epoch.
    #[must_use]
    pub const fn micros(self) -> i64 {
        self.0
    }

    /// Whole seconds since the epoch, rounded down.
    #[must_use]
    pub const fn seconds(self) -> i64 {
        self.0.div_euclid(1_000_000)
    }

    /// `self + micros`, held inside the accepted range.
    #[must_use]
    pub fn plus_micros(self, micros: i64) -> Self {
        Self(self.0.saturating_add(micros)).clamp(Self::MIN, Self::MAX)
    }

    /// `self + seconds`, held inside the accepted range.
    #[must_use]
    pub fn plus_seconds(self, seconds: i64) -> Self {
        self.plus_micros(seconds.saturating_mul(1_000_000))
    }

    /// The same instant for calendar arithmetic.
    #[must_use]
    pub fn to_chrono(self) -> DateTime<Utc> {
        DateTime::from_timestamp_micros(self.0).unwrap_or(DateTime::UNIX_EPOCH)
    }

    /// From a calendar instant, cut to microseconds and held inside the accepted range.
    #[must_use]
    pub fn from_chrono(at: DateTime<Utc>) -> Self {
        Self(at.timestamp_micros()).clamp(Self::MIN, Self::MAX)
    }
}

/// The one form we write ourselves, `YYYY-MM-DDTHH:MM:SSZ`, read without the general parser: a
/// rebuild reads millions of them.
fn parse_plain(text: &[u8]) -> Option<Timestamp> {
    let [
        y0,
        y1,
        y2,
        y3,
        b'-',
        m0,
        m1,
        b'-',
        d0,
        d1,
        b'T',
        h0,
        h1,
        b':',
        n0,
        n1,
        b':',
        s0,
        s1,
        b'Z',
    ] = *text
    else {
        return None;
    };
    let digit = |byte: u8| byte.is_ascii_digit().then(|| i64::from(byte - b'0'));
    let two = |a: u8, b: u8| Some(digit(a)? * 10 + digit(b)?);
    let year = two(y0, y1)? * 100 + two(y2, y3)?;
    let (month, day) = (two(m0, m1)?, two(d0, d1)?);
    let (hour, minute, second) = (two(h0, h1)?, two(n0, n1)?, two(s0, s1)?);
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let month_days = match month {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        4 | 6 | 9 | 11 => 30,
        2 => 28 + i64::from(leap),
        _ => return None,
    };
    if day < 1 || day > month_days || hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    // Days from the civil date, counting years from March so that the leap day comes last.
    let shifted = if month <= 2 { year - 1 } else { year };
    let era = shifted.div_euclid(400);
    let year_of_era = shifted.rem_euclid(400);
    let day_of_year = (153 * (month + if month > 2 { -3 } else { 9 }) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    let days = era * 146_097 + day_of_era - 719_468;
    Timestamp::from_seconds(days * 86_400 + hour * 3_600 + minute * 60 + second).ok()
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let format = if self.0 % 1_000_000 == 0 {
            SecondsFormat::Secs
        } else {
            SecondsFormat::Micros
        };
        f.write_str(&self.to_chrono().to_rfc3339_opts(format, true))
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<'de, str>::deserialize(deserializer)?;
        Self::parse(&text).map_err(de::Error::custom)
    }
}

impl JsonSchema for Timestamp {
    fn schema_name() -> Cow<'static, str> {
        "Timestamp".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "format": "date-time" })
    }
    fn inline_schema() -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fast_reader_agrees_with_the_general_one() {
        for second in (-62_167_219_200_i64..253_402_300_799).step_by(97_654_321) {
            let at = Timestamp::from_seconds(second).unwrap();
            assert_eq!(parse_plain(at.to_string().as_bytes()), Some(at), "{at}");
            let general = DateTime::parse_from_rfc3339(&at.to_string()).unwrap();
            assert_eq!(general.timestamp(), second);
        }
    }

    #[test]
    fn what_is_no_date_is_refused() {
        for text in [
            "2026-02-29T00:00:00Z",
            "2026-13-01T00:00:00Z",
            "2026-01-01",
            "now",
            "",
            "2026-01-01T24:00:00Z",
        ] {
            assert!(Timestamp::parse(text).is_err(), "{text}");
        }
        assert_eq!(
            Timestamp::parse("2024-02-29T23:59:59Z").unwrap().seconds(),
            1_709_251_199
        );
    }

    #[test]
    fn offsets_and_fractions_are_read() {
        let at = Timestamp::parse("2026-01-01T02:00:00.1234567+02:00").unwrap();
        assert_eq!(at.to_string(), "2026-01-01T00:00:00.123456Z");
    }
}

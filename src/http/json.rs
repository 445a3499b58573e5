//! JSON read as its schema says, where serde's own reading is wider or narrower.
//!
//! In JSON Schema `3.0` is an integer, and an object is never an array; serde refuses the first and takes an array for
//! a struct.

use std::fmt;
use std::marker::PhantomData;

use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, Error, MapAccess, Visitor};
use serde_json::Number;

/// A whole number, also when it is written with an empty fraction.
pub fn whole<'de, D: Deserializer<'de>, T: TryFrom<u64>>(deserializer: D) -> Result<T, D::Error> {
    read(&Number::deserialize(deserializer)?)
        .ok_or_else(|| D::Error::custom("expected a whole number within its limits"))
}

/// The same where it may be absent or null.
pub fn whole_or_none<'de, D: Deserializer<'de>, T: TryFrom<u64>>(deserializer: D) -> Result<Option<T>, D::Error> {
    let number = Option::<Number>::deserialize(deserializer)?;
    let read =
        |number: Number| read(&number).ok_or_else(|| D::Error::custom("expected a whole number within its limits"));
    number.map(read).transpose()
}

/// A whole number within bounds.
pub fn within<'de, D: Deserializer<'de>, T: TryFrom<u64>, const MIN: u64, const MAX: u64>(
    deserializer: D,
) -> Result<T, D::Error> {
    let number: u64 = whole(deserializer)?;
    let fits = (MIN..=MAX).contains(&number).then_some(number);
    fits.and_then(|number| T::try_from(number).ok())
        .ok_or_else(|| D::Error::custom(format!("expected a whole number from {MIN} to {MAX}")))
}

/// The same where it may be absent or null.
pub fn within_or_none<'de, D: Deserializer<'de>, T: TryFrom<u64>, const MIN: u64, const MAX: u64>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    let number: Option<u64> = whole_or_none(deserializer)?;
    let bounds = || D::Error::custom(format!("expected a whole number from {MIN} to {MAX}"));
    let read = |number: u64| {
        let fits = (MIN..=MAX).contains(&number).then_some(number);
        fits.and_then(|number| T::try_from(number).ok()).ok_or_else(bounds)
    };
    number.map(read).transpose()
}

fn read<T: TryFrom<u64>>(number: &Number) -> Option<T> {
    let whole = number.as_u64().or_else(|| {
        let text = number.to_string();
        let (whole, fraction) = text.split_once('.')?;
        fraction
            .bytes()
            .all(|digit| digit == b'0')
            .then(|| whole.parse().ok())?
    });
    T::try_from(whole?).ok()
}

/// A struct inside a body, from an object only.
pub fn object<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<T, D::Error> {
    struct MapOnly<T>(PhantomData<T>);

    impl<'de, T: Deserialize<'de>> Visitor<'de> for MapOnly<T> {
        type Value = T;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object")
        }

        fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<T, A::Error> {
            T::deserialize(MapAccessDeserializer::new(map))
        }
    }

    deserializer.deserialize_map(MapOnly(PhantomData))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Deserialize, PartialEq)]
    struct Sample {
        #[serde(deserialize_with = "whole")]
        count: u32,
        #[serde(default, deserialize_with = "whole_or_none")]
        more: Option<u64>,
    }

    fn sample(text: &str) -> Option<Sample> {
        serde_json::from_str(text).ok()
    }

    #[test]
    fn whole_numbers_are_read_however_they_are_written() {
        assert_eq!(sample(r#"{"count":3}"#), Some(Sample { count: 3, more: None }));
        assert_eq!(
            sample(r#"{"count":3.0,"more":2.00}"#),
            Some(Sample {
                count: 3,
                more: Some(2)
            })
        );
        for bad in [
            r#"{"count":3.5}"#,
            r#"{"count":-1}"#,
            r#"{"count":4294967296}"#,
            r#"{"count":"3"}"#,
            r#"{"count":true}"#,
        ] {
            assert_eq!(sample(bad), None, "{bad}");
        }
    }

    #[test]
    fn an_array_is_no_object() {
        #[derive(Debug, Deserialize)]
        struct Outer {
            #[serde(deserialize_with = "object")]
            inner: Sample,
        }
        assert_eq!(
            serde_json::from_str::<Outer>(r#"{"inner":{"count":1}}"#)
                .unwrap()
                .inner
                .count,
            1
        );
        assert!(serde_json::from_str::<Outer>(r#"{"inner":[1,2]}"#).is_err());
    }
}

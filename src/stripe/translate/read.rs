//! Reads facts out of Stripe's JSON by the table of paths.
//!
//! Text, references and enum words are read tolerantly: what does not fit counts as absent. Amounts,
//! times, flags and counts are read strictly: a value that is there but cannot be read is a [`Fault`],
//! because guessing it would put a wrong state or a wrong sum on the ledger.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use aggregates::money::{Currency, MINOR_MAX};
use aggregates::time::Timestamp;
use serde_json::Value;

use super::paths::Fact;

/// Longest text kept from an object, in bytes; Stripe's longest words are below 100, names may reach 500.
const TEXT_BYTES_MAX: usize = 512;

/// Why an event cannot be taken for what its type says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The fact that is missing or unreadable.
    pub fact: &'static Fact,
    /// What was found there, by kind and never by content; none when nothing was.
    pub found: Option<&'static str>,
}

impl std::error::Error for Fault {}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.fact.name.to_lowercase().replace('_', " ");
        let paths = self.fact.paths.join(", ");
        match self.found {
            None => write!(f, "{}: no {name} at {paths}", self.fact.object),
            Some(found) => write!(
                f,
                "{}: {name} at {paths} is {found} that cannot be read",
                self.fact.object
            ),
        }
    }
}

/// What is worth knowing about a reading that succeeded.
#[derive(Debug, Default)]
pub(super) struct Notes {
    /// Facts whose eras disagree, as `object.name`.
    pub(super) conflicts: RefCell<BTreeSet<String>>,
}

/// One object and its facts.
#[derive(Clone, Copy)]
pub(super) struct Reader<'a> {
    root: &'a Value,
    notes: &'a Notes,
}

/// A list as Stripe sends it.
pub(super) struct List<'a> {
    pub(super) rows: Vec<Reader<'a>>,
    /// False when Stripe holds more rows than it sent.
    pub(super) complete: bool,
}

impl<'a> Reader<'a> {
    pub(super) fn new(root: &'a Value, notes: &'a Notes) -> Self {
        Self { root, notes }
    }

    /// The object itself.
    pub(super) fn root(self) -> &'a Value {
        self.root
    }

    /// The first value that is neither missing nor null.
    pub(super) fn find(self, fact: &'static Fact) -> Option<&'a Value> {
        if !fact.eras {
            return fact.paths.iter().find_map(|path| at(self.root, path));
        }
        let mut found = fact.paths.iter().rev().filter_map(|path| at(self.root, path));
        let newest = found.next()?;
        if found.any(|older| !same(newest, older)) {
            let name = format!("{}.{}", fact.object, fact.name.to_lowercase());
            self.notes.conflicts.borrow_mut().insert(name);
        }
        Some(newest)
    }

    /// The value of a fact that must be there.
    pub(super) fn require(self, fact: &'static Fact) -> Result<&'a Value, Fault> {
        self.find(fact).ok_or(Fault { fact, found: None })
    }

    /// A word or a short text; another kind of value or an overlong text counts as absent.
    pub(super) fn word(self, fact: &'static Fact) -> Option<Box<str>> {
        let text = self.find(fact)?.as_str()?;
        let usable = !text.is_empty() && text.len() <= TEXT_BYTES_MAX && !text.chars().any(char::is_control);
        usable.then(|| text.into())
    }

    /// A word that must be there.
    pub(super) fn need_word(self, fact: &'static Fact) -> Result<Box<str>, Fault> {
        let found = self.require(fact)?;
        self.word(fact).ok_or_else(|| unreadable(fact, found))
    }

    /// A reference: text, an object with an `id`, or a deleted object, which has one too.
    pub(super) fn id<T: FromStr>(self, fact: &'static Fact) -> Option<T> {
        reference(self.find(fact)?)?.parse().ok()
    }

    /// A reference that must be there.
    pub(super) fn need_id<T: FromStr>(self, fact: &'static Fact) -> Result<T, Fault> {
        let found = self.require(fact)?;
        let id = reference(found).and_then(|id| id.parse().ok());
        id.ok_or_else(|| unreadable(fact, found))
    }

    /// An amount in whole minor units, within plus or minus 10^15.
    pub(super) fn amount(self, fact: &'static Fact) -> Result<Option<i64>, Fault> {
        let Some(found) = self.find(fact) else {
            return Ok(None);
        };
        let amount = whole(found).filter(|amount| amount.unsigned_abs() <= MINOR_MAX.unsigned_abs());
        amount.map(Some).ok_or_else(|| unreadable(fact, found))
    }

    /// An amount that must be there.
    pub(super) fn need_amount(self, fact: &'static Fact) -> Result<i64, Fault> {
        self.amount(fact)?.ok_or(Fault { fact, found: None })
    }

    /// An amount, zero when absent.
    pub(super) fn amount_or_zero(self, fact: &'static Fact) -> Result<i64, Fault> {
        Ok(self.amount(fact)?.unwrap_or_default())
    }

    /// An instant in whole seconds.
    pub(super) fn time(self, fact: &'static Fact) -> Result<Option<Timestamp>, Fault> {
        let Some(found) = self.find(fact) else {
            return Ok(None);
        };
        let at = whole(found).and_then(|seconds| Timestamp::from_seconds(seconds).ok());
        at.map(Some).ok_or_else(|| unreadable(fact, found))
    }

    /// True or false.
    pub(super) fn flag(self, fact: &'static Fact) -> Result<Option<bool>, Fault> {
        let Some(found) = self.find(fact) else {
            return Ok(None);
        };
        found.as_bool().map(Some).ok_or_else(|| unreadable(fact, found))
    }

    /// A whole number of the wanted width.
    pub(super) fn count<T: TryFrom<i64>>(self, fact: &'static Fact) -> Result<Option<T>, Fault> {
        let Some(found) = self.find(fact) else {
            return Ok(None);
        };
        let count = whole(found).and_then(|count| T::try_from(count).ok());
        count.map(Some).ok_or_else(|| unreadable(fact, found))
    }

    /// A currency; what is none counts as absent.
    pub(super) fn currency(self, fact: &'static Fact) -> Option<Currency> {
        Currency::parse(self.find(fact)?.as_str()?).ok()
    }

    /// A currency that must be there.
    pub(super) fn need_currency(self, fact: &'static Fact) -> Result<Currency, Fault> {
        let found = self.require(fact)?;
        self.currency(fact).ok_or_else(|| unreadable(fact, found))
    }

    /// A decimal number, as a number or as text, times ten to the power of `digits`; finer fractions cannot be read.
    pub(super) fn scaled(self, fact: &'static Fact, digits: usize) -> Result<Option<i64>, Fault> {
        let Some(found) = self.find(fact) else {
            return Ok(None);
        };
        let scaled = decimal_text(found).and_then(|text| scale(&text, digits));
        scaled.map(Some).ok_or_else(|| unreadable(fact, found))
    }

    /// Rows of `{data, has_more}` or of a bare array.
    pub(super) fn list(self, fact: &'static Fact) -> Result<Option<List<'a>>, Fault> {
        let Some(found) = self.find(fact) else {
            return Ok(None);
        };
        let (rows, complete) = match found {
            Value::Array(rows) => (rows, true),
            Value::Object(page) => match page.get("data") {
                Some(Value::Array(rows)) => (rows, page.get("has_more") != Some(&Value::Bool(true))),
                Some(_) | None => return Err(unreadable(fact, found)),
            },
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => return Err(unreadable(fact, found)),
        };
        let rows = rows.iter().map(|row| Self::new(row, self.notes)).collect();
        Ok(Some(List { rows, complete }))
    }

    /// The object a fact holds, if it is one.
    pub(super) fn inner(self, fact: &'static Fact) -> Option<Self> {
        let found = self.find(fact)?;
        found.is_object().then_some(Self::new(found, self.notes))
    }
}

/// A fact that is there and cannot be read.
pub(super) fn unreadable(fact: &'static Fact, found: &Value) -> Fault {
    let kind = match found {
        Value::Null => "null",
        Value::Bool(_) => "a flag",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    };
    Fault {
        fact,
        found: Some(kind),
    }
}

/// A whole number: an integer, an integral float, or decimal text of one. Never rounds, never computes with floats.
fn whole(value: &Value) -> Option<i64> {
    scale(&decimal_text(value)?, 0)
}

fn decimal_text(value: &Value) -> Option<String> {
    match value {
        // serde_json writes floats shortest: 1700000000.0 keeps its point, and beyond 10^16 it has an exponent.
        Value::Number(number) => Some(number.to_string()),
        Value::String(text) => Some(text.clone()),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    }
}

/// `text` times ten to the power of `digits`, if that is whole.
pub(super) fn scale(text: &str, digits: usize) -> Option<i64> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let fraction = fraction.trim_end_matches('0');
    let unsigned = whole.strip_prefix('-').unwrap_or(whole);
    let all_digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    if unsigned.is_empty() || !all_digits(unsigned) || !all_digits(fraction) || fraction.len() > digits {
        return None;
    }
    format!("{whole}{fraction:0<digits$}").parse().ok()
}

/// The value at a dotted path; null counts as missing.
fn at<'a>(root: &'a Value, path: &str) -> Option<&'a Value> {
    let mut value = root;
    for key in path.split('.') {
        value = match value {
            Value::Object(map) => map.get(key)?,
            Value::Array(rows) => rows.get(key.parse::<usize>().ok()?)?,
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => return None,
        };
    }
    (!value.is_null()).then_some(value)
}

/// Two eras say the same when they are equal or refer to the same object.
fn same(newest: &Value, older: &Value) -> bool {
    newest == older || (reference(newest).is_some() && reference(newest) == reference(older))
}

/// The id a value refers to.
fn reference(value: &Value) -> Option<&str> {
    match value {
        Value::String(id) => Some(id),
        Value::Object(object) => object.get("id")?.as_str(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::paths::{charge, item};
    use super::*;

    #[test]
    fn numbers_are_whole_or_refused() {
        for (value, expected) in [
            (json!(1), Some(1)),
            (json!(-1), Some(-1)),
            (json!(1_700_000_000.0), Some(1_700_000_000)),
            (json!(-5.0), Some(-5)),
            (json!("12"), Some(12)),
            (json!("12.00"), Some(12)),
            (json!(i64::MAX), Some(i64::MAX)),
            (json!(i64::MIN), Some(i64::MIN)),
            (json!(u64::MAX), None),
            (json!(1.5), None),
            (json!(1e20), None),
            (json!("1e3"), None),
            (json!("--1"), None),
            (json!("-"), None),
            (json!(""), None),
            (json!("1.2.3"), None),
            (json!("٣"), None),
            (json!(true), None),
            (json!([1]), None),
        ] {
            assert_eq!(whole(&value), expected, "{value}");
        }
        assert_eq!(scale("25.5", 2), Some(2550));
        assert_eq!(scale("19", 6), Some(19_000_000));
        assert_eq!(scale("-0.5", 1), Some(-5));
        assert_eq!(scale("8.875", 2), None);
    }

    #[test]
    fn the_newest_era_wins_past_nulls_and_conflicts_are_noted() {
        let notes = Notes::default();
        let read = |value: &Value| Reader::new(value, &notes).word(&item::INTERVAL);
        assert_eq!(read(&json!({"plan": {"interval": "year"}})).as_deref(), Some("year"));
        let lingering = json!({"plan": {"interval": "year"}, "price": {"recurring": null}});
        assert_eq!(read(&lingering).as_deref(), Some("year"));
        assert!(notes.conflicts.borrow().is_empty());
        let both = json!({"plan": {"interval": "year"}, "price": {"recurring": {"interval": "month"}}});
        assert_eq!(read(&both).as_deref(), Some("month"));
        assert_eq!(
            notes.conflicts.take().into_iter().collect::<Vec<_>>(),
            ["subscription item.interval"]
        );
    }

    #[test]
    fn references_are_read_in_all_their_shapes() {
        let notes = Notes::default();
        for customer in [
            json!("cus_1"),
            json!({"id": "cus_1"}),
            json!({"id": "cus_1", "deleted": true}),
        ] {
            let charge = json!({"customer": customer});
            let id: Option<aggregates::ids::CustomerId> = Reader::new(&charge, &notes).id(&charge::CUSTOMER);
            assert_eq!(id.unwrap().as_str(), "cus_1");
        }
    }

    #[test]
    fn a_fault_names_the_paths_and_never_the_value() {
        let notes = Notes::default();
        let charge = json!({"amount": "4242 4242"});
        let fault = Reader::new(&charge, &notes).need_amount(&charge::AMOUNT).unwrap_err();
        assert_eq!(
            fault.to_string(),
            "charge: amount at amount is a text that cannot be read"
        );
        let fault = Reader::new(&charge, &notes)
            .need_currency(&charge::CURRENCY)
            .unwrap_err();
        assert_eq!(fault.to_string(), "charge: no currency at currency");
    }
}

//! Faults on demand: each strikes with a probability, a number of times, and only what its filter names.
//!
//! Whether a fault strikes follows from the seed, its number and how often it was asked: the same calls meet the same
//! faults.

mod edit;
mod kinds;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

pub use self::edit::Edit;
pub use self::kinds::Trouble;
use crate::shape::money::millionths;
use crate::shape::read::text;
use crate::state::State;
use crate::state::events::Event;
use crate::state::ids::number;

/// Most faults at a time.
const FAULTS_MAX: usize = 1_000;
/// A probability of one.
const CERTAIN: u64 = 1_000_000;

/// Where a fault may strike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Point<'a> {
    /// A call arrives: method and path.
    Call(&'a str, &'a str),
    /// An event of this type happens.
    Event(&'a str),
    /// It is put up for delivery to an endpoint.
    Queue(&'a str, &'a str),
    /// An attempt of delivery to an endpoint is made.
    Attempt(&'a str, &'a str),
}

/// A fault that is set.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Fault {
    /// Its number, from 1.
    pub number: u64,
    /// What it does.
    pub trouble: Trouble,
    /// How often it strikes, in millionths.
    pub millionths: u64,
    /// How many times it may still strike.
    pub left: Option<u64>,
    /// Event types it strikes: `invoice.*`; none means all.
    pub types: Vec<String>,
    /// Paths of calls it strikes: `/v1/subscriptions*`.
    pub path: Option<String>,
    /// Method of calls it strikes.
    pub method: Option<String>,
    /// Endpoint it strikes.
    pub endpoint: Option<String>,
    /// Times it was asked.
    pub asked: u64,
    /// Times it struck.
    pub struck: u64,
}

/// The faults that are set.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Faults {
    faults: Vec<Fault>,
    next: u64,
    /// Objects that lists do not show yet: how many lists more.
    late: BTreeMap<String, u64>,
    /// Objects whose lateness is decided.
    seen: BTreeMap<String, bool>,
}

/// Reads a fault: `{kind, probability?, count?, types?, path?, method?, endpoint?, ..}`.
///
/// # Errors
/// What is wrong with it.
pub fn read(given: &Value) -> Result<Fault, String> {
    let mut fields = given.as_object().cloned().ok_or("a fault is an object")?;
    let mut take = |name: &str| fields.remove(name).filter(|value| !value.is_null());
    let chance = match take("probability") {
        None => CERTAIN,
        Some(value) => probability(&value).ok_or("`probability` is a number from 0 to 1, like 0.25")?,
    };
    let left = match take("count") {
        None => None,
        Some(value) => Some(value.as_u64().ok_or("`count` is a whole number")?),
    };
    let types = match take("types") {
        None => Vec::new(),
        Some(value) => serde_json::from_value(value).map_err(|_| "`types` is a list like [\"invoice.*\"]")?,
    };
    let mut word = |name: &str| match take(name) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(format!("`{name}` is text")),
    };
    let (path, method, endpoint) = (word("path")?, word("method")?, word("endpoint")?);
    let trouble = serde_json::from_value(Value::Object(fields)).map_err(|error| error.to_string())?;
    Ok(Fault {
        number: 0,
        trouble,
        millionths: chance,
        left,
        types,
        path,
        method,
        endpoint,
        asked: 0,
        struck: 0,
    })
}

fn probability(value: &Value) -> Option<u64> {
    let text = match value {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => return None,
    };
    u64::try_from(millionths(&text)?)
        .ok()
        .filter(|chance| *chance <= CERTAIN)
}

impl Fault {
    /// As `GET /_sandbox/faults` shows it.
    #[must_use]
    pub fn shown(&self) -> Value {
        json!({
            "number": self.number, "trouble": self.trouble, "probability_millionths": self.millionths,
            "left": self.left, "types": self.types, "path": self.path, "method": self.method,
            "endpoint": self.endpoint, "asked": self.asked, "struck": self.struck,
        })
    }

    fn meets(&self, point: Point<'_>) -> bool {
        let word = |wanted: &Option<String>, given: &str| wanted.as_ref().is_none_or(|wanted| matches(wanted, given));
        let kind = |given| self.types.is_empty() || self.types.iter().any(|wanted| matches(wanted, given));
        // A filter by type has no say over calls, one by path none over events.
        self.trouble.strikes_at(point, self.path.is_some())
            && match point {
                Point::Call(method, path) => {
                    self.types.is_empty() && word(&self.method, method) && word(&self.path, path)
                }
                Point::Event(event) => kind(event),
                Point::Queue(event, to) | Point::Attempt(event, to) => kind(event) && word(&self.endpoint, to),
            }
    }
}

/// `invoice.*`, `*` or the whole text.
#[must_use]
pub fn matches(pattern: &str, text: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(beginning) => text.starts_with(beginning),
        None => pattern == text,
    }
}

impl Faults {
    /// Sets a fault; answers its number.
    ///
    /// # Errors
    /// Too many faults.
    pub fn set(&mut self, mut fault: Fault) -> Result<u64, String> {
        if self.faults.len() == FAULTS_MAX {
            return Err(format!("at most {FAULTS_MAX} faults; take some away"));
        }
        self.next += 1;
        fault.number = self.next;
        self.faults.push(fault);
        Ok(self.next)
    }

    /// Takes all faults away, or one.
    pub fn clear(&mut self, number: Option<u64>) {
        self.faults
            .retain(|fault| number.is_some_and(|number| fault.number != number));
    }

    /// The faults that are set.
    #[must_use]
    pub fn all(&self) -> &[Fault] {
        &self.faults
    }

    /// What strikes at this point.
    pub fn strike(&mut self, seed: u64, point: Point<'_>) -> Vec<Trouble> {
        let mut struck = Vec::new();
        for fault in &mut self.faults {
            if fault.left == Some(0) || !fault.meets(point) {
                continue;
            }
            fault.asked += 1;
            let roll = number(seed, &format!("fault {} {}", fault.number, fault.asked)) % CERTAIN;
            if roll < fault.millionths {
                fault.struck += 1;
                fault.left = fault.left.map(|left| left - 1);
                struck.push(fault.trouble.clone());
            }
        }
        struck
    }
}

impl State {
    pub(crate) fn strike(&mut self, point: Point<'_>) -> Vec<Trouble> {
        let seed = self.ids.seed();
        self.faults.strike(seed, point)
    }

    /// What faults do to an event as it happens; `false` when it does not happen at all. `first` is when the first
    /// event of its step was made.
    pub(crate) fn strike_event(&mut self, event: &mut Event, first: i64) -> bool {
        for trouble in self.strike(Point::Event(&event.kind)) {
            #[expect(clippy::wildcard_enum_match_arm, reason = "others do not strike events")]
            match trouble {
                Trouble::ClockSkew { seconds } => {
                    event.skew = seconds;
                    event.created += seconds;
                }
                Trouble::SameSecond { at } => event.created = at.unwrap_or(first),
                Trouble::MutateSilently { .. } => return false,
                _ => {}
            }
        }
        true
    }

    /// Without the objects that a fault keeps out of lists for a while.
    pub(crate) fn without_late_ones(&mut self, url: &str, found: Vec<Value>) -> Vec<Value> {
        let lateness = self
            .faults
            .faults
            .iter()
            .any(|fault| matches!(fault.trouble, Trouble::ListGap { .. }));
        if !lateness {
            return found;
        }
        let mut shown = Vec::with_capacity(found.len());
        for object in found {
            let id = text(&object, "id").unwrap_or_default().to_owned();
            if !self.is_late(url, &id) {
                shown.push(object);
            }
        }
        shown
    }

    fn is_late(&mut self, url: &str, id: &str) -> bool {
        if !self.faults.seen.contains_key(id) {
            let struck = self.strike(Point::Call("LIST", url));
            let lists = struck.iter().find_map(|trouble| {
                let Trouble::ListGap { lists } = trouble else {
                    return None;
                };
                Some(*lists)
            });
            self.faults.seen.insert(id.to_owned(), lists.is_some());
            if let Some(lists) = lists {
                self.faults.late.insert(id.to_owned(), lists);
            }
        }
        match self.faults.late.get_mut(id) {
            Some(0) | None => {
                self.faults.late.remove(id);
                false
            }
            Some(lists) => {
                *lists -= 1;
                true
            }
        }
    }
}

/// What a fault changes in an object on its way out.
#[must_use]
pub fn edits(troubles: &[Trouble]) -> Vec<Edit> {
    troubles.iter().filter_map(Trouble::edit).collect()
}

/// Names of faults, for the journal.
#[must_use]
pub fn names(troubles: &[Trouble]) -> Vec<String> {
    let name = |trouble: &Trouble| {
        let value = serde_json::to_value(trouble).unwrap_or_default();
        value["kind"].as_str().unwrap_or_default().to_owned()
    };
    troubles.iter().map(name).collect()
}

/// A map of values, for `mutate_silently`.
pub type Values = Map<String, Value>;

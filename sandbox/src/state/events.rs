//! Events as they happened, in the newest shape; deliveries and lists render them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::wire::version::Version;

/// Most events kept; then the oldest leave. A year of a thousand accounts is about two hundred thousand.
const EVENTS_MAX: usize = 500_000;

/// One event.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Event {
    /// `evt_..` as a snapshot.
    pub id: String,
    /// `evt_..` as a thin event.
    pub thin_id: String,
    /// `customer.created`.
    pub kind: String,
    /// Seconds, on the clock of the object.
    pub created: i64,
    /// Seconds, on the sandbox-wide clock: how long lists have it.
    pub happened: i64,
    /// The object as it stood, newest shape, hidden fields included.
    pub object: Value,
    /// What changed, with the values before.
    pub previous: Option<Value>,
    /// Call that caused it.
    pub request_id: Option<String>,
    /// Key of that call.
    pub idempotency_key: Option<String>,
    /// In which shape it is shown for ever.
    pub api_version: Version,
    /// Endpoints that have not acknowledged it.
    pub pending: u32,
    /// Seconds by which its stamps are wrong (fault `clock_skew`).
    pub skew: i64,
}

/// All events, in their order.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct EventLog {
    events: BTreeMap<u64, Event>,
    places: BTreeMap<String, u64>,
    next: u64,
}

impl EventLog {
    /// By either id.
    #[must_use]
    pub fn get(&self, id: &str) -> Option<&Event> {
        self.events.get(self.places.get(id)?)
    }

    pub(crate) fn get_mut(&mut self, id: &str) -> Option<&mut Event> {
        self.events.get_mut(self.places.get(id)?)
    }

    /// Newest first.
    pub fn newest(&self) -> impl Iterator<Item = &Event> {
        self.events.values().rev()
    }

    /// Oldest first.
    pub fn oldest(&self) -> impl Iterator<Item = &Event> {
        self.events.values()
    }

    pub(crate) fn push(&mut self, event: Event) {
        self.next += 1;
        self.places.insert(event.id.clone(), self.next);
        self.places.insert(event.thin_id.clone(), self.next);
        self.events.insert(self.next, event);
        if self.events.len() > EVENTS_MAX
            && let Some((_, old)) = self.events.pop_first()
        {
            self.places.remove(&old.id);
            self.places.remove(&old.thin_id);
        }
    }
}

/// The values before, of what differs: objects by their changed keys, lists whole, new keys as null.
#[must_use]
pub fn differences(old: &Value, new: &Value) -> Map<String, Value> {
    let (Some(old), Some(new)) = (old.as_object(), new.as_object()) else {
        return Map::new();
    };
    let gone = old.keys().filter(|name| !new.contains_key(*name));
    let mut changed = Map::new();
    for name in new.keys().chain(gone) {
        let (before, after) = (old.get(name), new.get(name));
        if before == after || name.starts_with('_') {
            continue;
        }
        let value = match (before, after) {
            (Some(Value::Object(_)), Some(Value::Object(_))) => {
                let (before, after) = (before.unwrap_or(&Value::Null), after.unwrap_or(&Value::Null));
                Value::Object(differences(before, after))
            }
            (before, _) => before.cloned().unwrap_or(Value::Null),
        };
        changed.insert(name.clone(), value);
    }
    changed
}

#[test]
fn previous_attributes_hold_what_changed() {
    use serde_json::json;
    let old = json!({"a": 1, "same": 2, "m": {"x": "1", "y": "2"}, "l": [1, 2], "gone": 7, "_hidden": 1});
    let new = json!({"a": 2, "same": 2, "m": {"x": "1", "z": "3"}, "l": [1], "_hidden": 2});
    let wanted = json!({"a": 1, "m": {"y": "2", "z": null}, "l": [1, 2], "gone": 7});
    assert_eq!(Value::Object(differences(&old, &new)), wanted);
}

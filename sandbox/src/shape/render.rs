//! Older versions of each shape: families say what was different before a date, newest difference first.

use serde_json::{Map, Value};

use crate::families;
use crate::state::State;
use crate::wire::version::Version;

/// What was different about one kind of object before a date.
#[derive(Debug)]
pub struct Downgrade {
    /// The version that brought the newer shape, by its date: `2025-03-31`.
    pub before: &'static str,
    /// The kind, as in `object`.
    pub object: &'static str,
    /// Makes the older shape of the newer one.
    pub apply: fn(&State, &mut Map<String, Value>),
}

/// Brings an object and all objects in it into the shape of a version; hidden fields go.
pub fn render(state: &State, value: &mut Value, version: &Version) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(|item| render(state, item, version)),
        Value::Object(fields) => {
            for downgrade in families::downgrades() {
                if version.before(downgrade.before)
                    && fields.get("object").and_then(Value::as_str) == Some(downgrade.object)
                {
                    (downgrade.apply)(state, fields);
                }
            }
            fields.retain(|name, _| !name.starts_with('_'));
            fields.values_mut().for_each(|value| render(state, value, version));
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

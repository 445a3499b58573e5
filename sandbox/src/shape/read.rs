//! Reading JSON objects by path.

use serde_json::Value;

/// What stands at `a.b.0.c`; null when nothing does.
#[must_use]
pub fn at<'a>(value: &'a Value, path: &str) -> &'a Value {
    path.split('.').fold(value, |value, name| match value {
        Value::Array(items) => name
            .parse::<usize>()
            .ok()
            .and_then(|at| items.get(at))
            .unwrap_or(&Value::Null),
        Value::Object(fields) => fields.get(name).unwrap_or(&Value::Null),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => &Value::Null,
    })
}

/// The text at a path; an expanded reference reads as its id.
#[must_use]
pub fn text<'a>(value: &'a Value, path: &str) -> Option<&'a str> {
    let found = at(value, path);
    found.as_str().or_else(|| found["id"].as_str())
}

/// The whole number at a path, or 0.
#[must_use]
pub fn number(value: &Value, path: &str) -> i64 {
    at(value, path).as_i64().unwrap_or(0)
}

/// Whether `true` stands at a path.
#[must_use]
pub fn flag(value: &Value, path: &str) -> bool {
    at(value, path).as_bool().unwrap_or(false)
}

/// The items of a list at a path, bare or as `{data: []}`.
#[must_use]
pub fn items<'a>(value: &'a Value, path: &str) -> &'a [Value] {
    let found = at(value, path);
    let list = found.as_array().or_else(|| found["data"].as_array());
    list.map_or(&[], Vec::as_slice)
}

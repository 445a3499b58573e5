//! A change of an object on its way out: a field set or gone.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// One change, by path: `status`, `items.data.0.price`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Edit {
    field: String,
    value: Option<Value>,
}

impl Edit {
    /// The field has this value.
    #[must_use]
    pub fn set(field: &str, value: Value) -> Self {
        Self {
            field: field.to_owned(),
            value: Some(value),
        }
    }

    /// The field is not there.
    #[must_use]
    pub fn remove(field: &str) -> Self {
        Self {
            field: field.to_owned(),
            value: None,
        }
    }

    /// Changes the object; of a list, each of its objects.
    pub fn apply(&self, object: &mut Value) {
        if object["object"] == "list"
            && let Some(items) = object["data"].as_array_mut()
        {
            for item in items {
                self.apply_below(item);
            }
            return;
        }
        self.apply_below(object);
    }

    fn apply_below(&self, object: &mut Value) {
        let mut names: Vec<&str> = self.field.split('.').collect();
        let Some(last) = names.pop() else { return };
        let mut place = object;
        for name in names {
            let below = match place {
                Value::Array(items) => name.parse::<usize>().ok().and_then(|at| items.get_mut(at)),
                Value::Object(fields) => fields.get_mut(name),
                Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => None,
            };
            let Some(below) = below else { return };
            place = below;
        }
        let Some(fields) = place.as_object_mut() else { return };
        match &self.value {
            Some(value) => fields.insert(last.to_owned(), value.clone()),
            None => fields.remove(last),
        };
    }
}

#[test]
fn edits_reach_into_lists_and_objects() {
    use serde_json::json;
    let mut object = json!({"status": "active", "items": {"data": [{"id": "a", "price": 1}]}});
    Edit::set("status", json!("odd")).apply(&mut object);
    Edit::remove("items.data.0.price").apply(&mut object);
    Edit::remove("no.such.thing").apply(&mut object);
    assert_eq!(object, json!({"status": "odd", "items": {"data": [{"id": "a"}]}}));
    let mut list = json!({"object": "list", "data": [{"status": 1}, {"status": 2}]});
    Edit::remove("status").apply(&mut list);
    assert_eq!(list["data"], json!([{}, {}]));
}

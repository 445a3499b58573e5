//! Every event the ledger can write: its stored name, family, version, meaning and schema.
//!
//! `docs/events.md` and `schemas/` are made from this and compared with it by the tests.

use std::fmt::Write as _;

use schemars::{JsonSchema, schema_for};
use serde_json::{Map, Value, json};

use crate::operation::{self, OperationEvent};
use crate::stripe_object::{self, StripeObjectEvent};
use crate::subscription::{self, SubscriptionEvent};

/// One event of the catalogue.
#[derive(Clone, Debug, PartialEq)]
pub struct EventEntry {
    /// Aggregate type.
    pub aggregate: &'static str,
    /// Stored name with its prefix, for instance `subscription.plan_changed`.
    pub event_type: String,
    /// Version it is written with.
    pub version: u32,
    /// What it means, in one sentence.
    pub meaning: String,
    /// Fields of its content.
    pub fields: Vec<Field>,
    /// Schema of its payload.
    pub schema: Value,
}

/// One field of an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    /// Name.
    pub name: String,
    /// What it holds, in one sentence.
    pub meaning: String,
    /// Always there.
    pub required: bool,
}

/// All events, by aggregate, in the order of the vocabulary.
#[must_use]
pub fn entries() -> Vec<EventEntry> {
    let mut all = of::<SubscriptionEvent>(subscription::AGGREGATE_TYPE, subscription::EVENT_VERSION);
    all.extend(of::<StripeObjectEvent>(
        stripe_object::AGGREGATE_TYPE,
        stripe_object::EVENT_VERSION,
    ));
    all.extend(of::<OperationEvent>(
        operation::AGGREGATE_TYPE,
        operation::EVENT_VERSION,
    ));
    all
}

fn of<T: JsonSchema>(aggregate: &'static str, version: u32) -> Vec<EventEntry> {
    let root = schema_for!(T).to_value();
    let defs = root["$defs"].as_object().cloned().unwrap_or_default();
    let variants = root["oneOf"].as_array().cloned().unwrap_or_default();
    let entry = |variant: Value| {
        let (name, content) = variant["properties"].as_object()?.iter().next()?;
        let event_type = format!("{aggregate}.{name}");
        Some(EventEntry {
            aggregate,
            version,
            meaning: sentence(&variant["description"]),
            fields: fields(content, &defs),
            schema: schema(&event_type, version, &variant, &defs),
            event_type,
        })
    };
    variants.into_iter().filter_map(entry).collect()
}

fn sentence(description: &Value) -> String {
    description.as_str().unwrap_or_default().replace('\n', " ")
}

/// Fields of the content; a content that is one of several shapes lists the shapes.
fn fields(content: &Value, defs: &Map<String, Value>) -> Vec<Field> {
    let content = resolve(content, defs);
    let required: Vec<&str> = content["required"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    if let Some(shapes) = content["oneOf"].as_array() {
        return shapes
            .iter()
            .flat_map(|shape| fields(shape, defs))
            .map(|field| Field {
                required: false,
                ..field
            })
            .collect();
    }
    let properties = content["properties"].as_object().into_iter().flatten();
    let field = |(name, schema): (&String, &Value)| Field {
        name: name.clone(),
        meaning: sentence(
            schema
                .get("description")
                .unwrap_or(&resolve(schema, defs)["description"]),
        ),
        required: required.contains(&name.as_str()),
    };
    properties.map(field).collect()
}

fn resolve<'a>(schema: &'a Value, defs: &'a Map<String, Value>) -> &'a Value {
    let target = schema["$ref"].as_str().and_then(|path| path.strip_prefix("#/$defs/"));
    target.and_then(|name| defs.get(name)).unwrap_or(schema)
}

/// The schema of one payload with only the definitions it uses.
fn schema(event_type: &str, version: u32, variant: &Value, defs: &Map<String, Value>) -> Value {
    let mut used = Map::new();
    collect(variant, defs, &mut used);
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": format!("{event_type} v{version}"),
        "description": variant["description"],
        "type": "object",
        "properties": variant["properties"],
        "required": variant["required"],
        "additionalProperties": false,
        "$defs": used,
    })
}

fn collect(schema: &Value, defs: &Map<String, Value>, used: &mut Map<String, Value>) {
    match schema {
        Value::Object(map) => {
            let target = map.get("$ref").and_then(Value::as_str);
            let target = target.and_then(|path| path.strip_prefix("#/$defs/"));
            if let Some((name, def)) = target.and_then(|name| Some((name, defs.get(name)?)))
                && !used.contains_key(name)
            {
                used.insert(name.to_owned(), def.clone());
                collect(def, defs, used);
            }
            for value in map.values() {
                collect(value, defs, used);
            }
        }
        Value::Array(list) => {
            for value in list {
                collect(value, defs, used);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// The catalogue as a page of the documentation; `family_of` names the family of a stored type.
#[must_use]
pub fn page(family_of: impl Fn(&str) -> Option<&'static str>) -> String {
    let mut page = String::from(
        "# Events\n\nMade from the code (`aggregates/src/catalogue.rs`); do not edit. Stored names are never renamed. \
         Every event that comes\nfrom Stripe carries the header of its snapshot (`seen`) and the whole snapshot as it \
         stood. The name says what changed in\nthe account's terms when the snapshot arrived; what is true at a time \
         is computed from the snapshots alone\n([decision 2](decisions/0002-snapshot-registers.md)). The schema of \
         each payload is in `aggregates/schemas/`.\n",
    );
    let mut heading = String::new();
    for entry in entries() {
        let family = family_of(&entry.event_type).unwrap_or("other");
        let section = format!(
            "\n## {}: {family}\n\n| event | version | meaning | fields |\n| --- | --- | --- | --- |\n",
            entry.aggregate
        );
        if section != heading {
            page.push_str(&section);
            heading = section;
        }
        let fields: Vec<String> = entry.fields.iter().map(|field| format!("`{}`", field.name)).collect();
        // Writing to a String cannot fail.
        let _ = writeln!(
            page,
            "| `{}` | {} | {} | {} |",
            entry.event_type,
            entry.version,
            entry.meaning,
            fields.join(", ")
        );
    }
    page
}

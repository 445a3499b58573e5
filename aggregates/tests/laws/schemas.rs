//! What is stored stays readable: schemas, golden payloads and the page about events are committed and compared.
//! `UPDATE_GENERATED=1 cargo test -p aggregates --test laws` writes them anew; golden payloads are only ever added.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use aggregates::catalogue;
use aggregates::operation;
use aggregates::recorded::{LedgerEvent, newest_version};
use aggregates::subscription::event::RESERVED_NAMES;
use serde_json::Value;

use super::samples;

fn updating() -> bool {
    std::env::var_os("UPDATE_GENERATED").is_some()
}

fn path(relative: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(relative)
}

/// The committed file says exactly this.
pub(crate) fn committed(relative: &str, content: &str) {
    let path = path(relative);
    if updating() {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
    }
    let known = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        known == content,
        "{relative} is not what the code says; look at the difference, then write it anew with UPDATE_GENERATED=1:\n{content}"
    );
}

fn file_names(relative: &str) -> BTreeSet<String> {
    let entries = fs::read_dir(path(relative)).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name.ends_with(".json")).collect()
}

#[test]
fn every_type_has_a_sample_and_every_sample_a_type() {
    let types: BTreeSet<String> = catalogue::entries().into_iter().map(|entry| entry.event_type).collect();
    let sampled: BTreeSet<String> = samples::all().into_keys().collect();
    assert_eq!(types, sampled);
    assert!(types.len() >= 80);
    for name in RESERVED_NAMES {
        assert!(!types.contains(&format!("subscription.{name}")), "{name} is reserved");
    }
    for name in operation::event::RESERVED_NAMES {
        assert!(!types.contains(&format!("operation.{name}")), "{name} is reserved");
    }
}

#[test]
fn schemas_are_committed() {
    let mut files = BTreeSet::new();
    for entry in catalogue::entries() {
        let name = format!("{}.v{}.json", entry.event_type, entry.version);
        let text = serde_json::to_string_pretty(&entry.schema).unwrap() + "\n";
        committed(&format!("schemas/{name}"), &text);
        files.insert(name);
    }
    // Schemas of older versions stay; nothing else lies there.
    let current = |name: &String| {
        let stem = name.trim_end_matches(".json");
        let (event_type, version) = stem.rsplit_once(".v").unwrap();
        let newest = newest_version(event_type.split('.').next().unwrap()).unwrap();
        version.parse::<u32>().unwrap() == newest
    };
    let lying: BTreeSet<String> = file_names("schemas").into_iter().filter(current).collect();
    assert_eq!(lying, files);
}

#[test]
fn no_amount_is_ever_a_float() {
    fn walk(schema: &Value, at: &str) {
        match schema {
            Value::Object(map) => {
                if let Some(kind) = map.get("type") {
                    let kinds = kind.as_array().cloned().unwrap_or_else(|| vec![kind.clone()]);
                    assert!(!kinds.iter().any(|kind| kind == "number"), "a float at {at}");
                }
                for (key, value) in map {
                    walk(value, &format!("{at}/{key}"));
                }
            }
            Value::Array(list) => list.iter().for_each(|value| walk(value, at)),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }
    for entry in catalogue::entries() {
        walk(&entry.schema, &entry.event_type);
    }
    let float = serde_json::json!({ "a": { "type": ["number", "null"] } });
    assert!(std::panic::catch_unwind(|| walk(&float, "")).is_err());
}

#[test]
fn golden_payloads_of_every_version_read_and_write_back_the_same() {
    for (event_type, event) in samples::all() {
        let name = format!("golden/{event_type}.v{}.json", event.version());
        if updating() && !path(&name).exists() {
            fs::create_dir_all(path("golden")).unwrap();
            fs::write(path(&name), event.encode().unwrap()).unwrap();
        }
        assert!(
            path(&name).exists(),
            "{name} is missing; add it with UPDATE_GENERATED=1"
        );
    }
    for name in file_names("golden") {
        let stored = fs::read_to_string(path("golden").join(&name)).unwrap();
        let (event_type, version) = name.trim_end_matches(".json").rsplit_once(".v").unwrap();
        let aggregate = event_type.split('.').next().unwrap();
        let version: u32 = version.parse().unwrap();
        let event = LedgerEvent::decode(aggregate, event_type, version, &stored).unwrap();
        assert_eq!(event.event_type(), event_type);
        if version == event.version() {
            assert_eq!(event.encode().unwrap(), stored, "{name}");
        }
    }
}

/// Whether a value is what a schema says, and shows every field the schema has (outside snapshots, whose kinds differ).
fn misfit(schema: &Value, root: &Value, value: &Value, at: &str) -> Option<String> {
    if let Some(target) = schema["$ref"].as_str() {
        return misfit(&root["$defs"][target.trim_start_matches("#/$defs/")], root, value, at);
    }
    for shapes in [&schema["anyOf"], &schema["oneOf"]]
        .into_iter()
        .filter_map(Value::as_array)
    {
        if shapes.iter().all(|shape| misfit(shape, root, value, at).is_some()) {
            return Some(format!("{at} fits no shape"));
        }
    }
    if schema.get("const").is_some_and(|constant| constant != value) {
        return Some(format!("{at} is not the constant"));
    }
    if let (Some(items), Some(list)) = (schema.get("items"), value.as_array()) {
        return list.iter().find_map(|inner| misfit(items, root, inner, at));
    }
    let Some(properties) = schema["properties"].as_object() else {
        let is_null = schema["type"] == "null";
        return (is_null != value.is_null() && is_null).then(|| format!("{at} is not null"));
    };
    let Some(map) = value.as_object() else {
        return Some(format!("{at} is not an object"));
    };
    let required = schema["required"].as_array().into_iter().flatten();
    if let Some(lacking) = required.filter_map(Value::as_str).find(|key| !map.contains_key(*key)) {
        return Some(format!("{at} lacks {lacking}"));
    }
    let is_whole = map.len() == properties.len() || at.contains("snapshot") || at.contains("plans");
    let inner = map.iter().find_map(|(key, inner)| match properties.get(key) {
        None => Some(format!("{at}/{key} is not in the schema")),
        Some(known) => misfit(known, root, inner, &format!("{at}/{key}")),
    });
    inner.or_else(|| (!is_whole).then(|| format!("{at} is not complete")))
}

#[test]
fn payloads_are_what_their_schemas_say() {
    let samples = samples::all();
    for entry in catalogue::entries() {
        let payload: Value = serde_json::from_str(&samples[&entry.event_type].encode().unwrap()).unwrap();
        let check = |payload: &Value| misfit(&entry.schema, &entry.schema, payload, &entry.event_type);
        assert_eq!(check(&payload), None);
        assert!(check(&serde_json::json!({ "something_else": {} })).is_some());
    }
}

#[test]
fn the_page_about_events_is_committed() {
    let samples = samples::all();
    let page = catalogue::page(|event_type| samples.get(event_type).map(LedgerEvent::family));
    committed("../docs/events.md", &page);
    for event_type in samples.keys() {
        assert!(page.contains(&format!("`{event_type}`")), "{event_type}");
    }
}

#[test]
fn every_event_says_what_it_means() {
    for entry in catalogue::entries() {
        assert!(
            entry.meaning.ends_with('.'),
            "{}: {:?}",
            entry.event_type,
            entry.meaning
        );
        assert!(!entry.fields.is_empty(), "{}", entry.event_type);
        for field in &entry.fields {
            assert!(!field.meaning.is_empty(), "{}: {}", entry.event_type, field.name);
        }
    }
}

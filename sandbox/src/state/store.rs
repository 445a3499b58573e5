//! All objects, by kind and id, in the order in which they were made; a step that fails leaves no trace.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What a family says about one kind of object.
#[derive(Debug)]
pub struct Kind {
    /// Stripe's name, as in `object`.
    pub object: &'static str,
    /// Beginning of its ids.
    pub prefix: &'static str,
    /// Letters and digits after the prefix.
    pub random: usize,
    /// Where it is retrieved, without the id; empty when it cannot be.
    pub path: &'static str,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Entry {
    order: u64,
    value: Value,
}

#[derive(Debug, Default, Serialize, Deserialize)]
struct Collection {
    entries: BTreeMap<String, Entry>,
    order: BTreeMap<u64, String>,
}

/// The objects.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Store {
    kinds: BTreeMap<String, Collection>,
    /// Which kind an id belongs to, for `expand[]`.
    homes: BTreeMap<String, String>,
    /// Deleted ids that answer `deleted: true`.
    tombstones: BTreeMap<String, String>,
    next: u64,
    #[serde(skip)]
    undo: Vec<Undo>,
}

#[derive(Debug)]
enum Undo {
    Entry(String, String, Option<Entry>),
    Tombstone(String),
}

impl Store {
    /// The object, when it is there.
    #[must_use]
    pub fn get(&self, object: &str, id: &str) -> Option<&Value> {
        self.kinds.get(object)?.entries.get(id).map(|entry| &entry.value)
    }

    /// The object of any kind.
    #[must_use]
    pub fn find(&self, id: &str) -> Option<&Value> {
        self.get(self.homes.get(id)?, id)
    }

    /// Which kind a deleted id was of.
    #[must_use]
    pub fn tombstone(&self, id: &str) -> Option<&str> {
        self.tombstones.get(id).map(String::as_str)
    }

    /// Sets an object; a new id goes to the end of the order.
    pub fn put(&mut self, object: &str, id: &str, value: Value) {
        let collection = self.kinds.entry(object.to_owned()).or_default();
        let old = collection.entries.get(id).cloned();
        let order = old.as_ref().map_or(self.next, |entry| entry.order);
        if old.is_none() {
            self.next += 1;
            self.homes.insert(id.to_owned(), object.to_owned());
        }
        collection.order.insert(order, id.to_owned());
        collection.entries.insert(id.to_owned(), Entry { order, value });
        self.undo.push(Undo::Entry(object.to_owned(), id.to_owned(), old));
    }

    /// Removes an object; with `tombstone` its id goes on answering `deleted: true`.
    pub fn remove(&mut self, object: &str, id: &str, tombstone: bool) -> Option<Value> {
        let collection = self.kinds.get_mut(object)?;
        let old = collection.entries.remove(id)?;
        collection.order.remove(&old.order);
        self.homes.remove(id);
        let value = old.value.clone();
        self.undo.push(Undo::Entry(object.to_owned(), id.to_owned(), Some(old)));
        if tombstone {
            self.tombstones.insert(id.to_owned(), object.to_owned());
            self.undo.push(Undo::Tombstone(id.to_owned()));
        }
        Some(value)
    }

    /// Newest first.
    pub fn newest(&self, object: &str) -> impl Iterator<Item = &Value> {
        let collection = self.kinds.get(object);
        let newest = collection.into_iter().flat_map(|collection| {
            let ids = collection.order.values().rev();
            ids.filter_map(|id| collection.entries.get(id))
        });
        newest.map(|entry| &entry.value)
    }

    /// Every kind with its objects, oldest first.
    pub fn all(&self) -> impl Iterator<Item = (&str, Vec<&Value>)> {
        self.kinds.iter().map(|(object, collection)| {
            let ids = collection.order.values();
            let values = ids
                .filter_map(|id| collection.entries.get(id))
                .map(|entry| &entry.value);
            (object.as_str(), values.collect())
        })
    }

    pub(crate) fn begin(&mut self) {
        self.undo.clear();
    }

    /// Ids made since the step began.
    pub(crate) fn made(&self) -> Vec<String> {
        let made = self.undo.iter().filter_map(|undo| match undo {
            Undo::Entry(object, id, None) => self.get(object, id).map(|_| id.clone()),
            Undo::Entry(_, _, Some(_)) | Undo::Tombstone(_) => None,
        });
        made.collect()
    }

    pub(crate) fn rollback(&mut self) {
        while let Some(undo) = self.undo.pop() {
            match undo {
                Undo::Tombstone(id) => {
                    self.tombstones.remove(&id);
                }
                Undo::Entry(object, id, old) => self.restore(&object, id, old),
            }
        }
    }

    fn restore(&mut self, object: &str, id: String, old: Option<Entry>) {
        let collection = self.kinds.entry(object.to_owned()).or_default();
        if let Some(current) = collection.entries.remove(&id) {
            collection.order.remove(&current.order);
            self.homes.remove(&id);
        }
        if let Some(entry) = old {
            collection.order.insert(entry.order, id.clone());
            self.homes.insert(id.clone(), object.to_owned());
            collection.entries.insert(id, entry);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_rolled_back_step_leaves_nothing() {
        let mut store = Store::default();
        store.put("a", "a_1", json!({"n": 1}));
        store.put("a", "a_2", json!({"n": 2}));
        store.begin();
        store.put("a", "a_1", json!({"n": 9}));
        store.put("b", "b_1", json!({}));
        store.remove("a", "a_2", true);
        assert_eq!(store.made(), ["b_1"]);
        assert!(store.find("a_2").is_none() && store.tombstone("a_2") == Some("a"));
        store.rollback();
        assert_eq!(store.find("a_1"), Some(&json!({"n": 1})));
        assert_eq!(store.find("b_1"), None);
        assert_eq!(store.tombstone("a_2"), None);
        let order: Vec<&Value> = store.newest("a").collect();
        assert_eq!(order, [&json!({"n": 2}), &json!({"n": 1})]);
    }
}

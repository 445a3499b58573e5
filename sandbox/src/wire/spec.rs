//! Which parameters a route knows, in one line of text, so that an unknown one is refused by name.
//!
//! `email` is a value, `address{city line1}` an object, `expand[]` a list of values, `items[]{price quantity}` a list of
//! objects, `metadata*` anything below. `created?{gt lt}` may be a value as well. An object or list may always be
//! given as empty text, which unsets it.

use std::collections::BTreeMap;
use std::iter::Peekable;
use std::str::Chars;

use serde_json::{Map, Value};

/// What may stand at one place.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Spec {
    value: bool,
    anything: bool,
    list: Option<Box<Spec>>,
    fields: BTreeMap<String, Spec>,
}

impl Spec {
    /// Reads the line of a route.
    #[must_use]
    pub fn parse(line: &str) -> Self {
        Self {
            fields: fields(&mut line.chars().peekable()),
            ..Self::default()
        }
    }

    /// The first parameter that is not known, in Stripe's spelling.
    #[must_use]
    pub fn unknown(&self, tree: &Map<String, Value>) -> Option<String> {
        tree.iter().find_map(|(name, value)| match self.fields.get(name) {
            Some(spec) => spec.unknown_below(name, value),
            None => Some(name.clone()),
        })
    }

    fn unknown_below(&self, path: &str, value: &Value) -> Option<String> {
        if self.anything {
            return None;
        }
        match value {
            Value::Object(fields) => fields.iter().find_map(|(name, value)| {
                let path = format!("{path}[{name}]");
                match self.fields.get(name) {
                    Some(spec) => spec.unknown_below(&path, value),
                    None => Some(path),
                }
            }),
            Value::Array(items) => {
                let element = |(at, item)| {
                    let path = format!("{path}[{at}]");
                    match &self.list {
                        Some(spec) => spec.unknown_below(&path, item),
                        None => Some(path),
                    }
                };
                items.iter().enumerate().find_map(element)
            }
            Value::String(text) if text.is_empty() => None,
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {
                (!self.value).then(|| path.to_owned())
            }
        }
    }
}

fn fields(line: &mut Peekable<Chars<'_>>) -> BTreeMap<String, Spec> {
    let mut found = BTreeMap::new();
    loop {
        while line.next_if(|c| c.is_whitespace()).is_some() {}
        let mut name = String::new();
        while let Some(c) = line.next_if(|c| c.is_alphanumeric() || matches!(c, '_' | '-')) {
            name.push(c);
        }
        if name.is_empty() {
            // The end of the line, or the brace that closes this object.
            line.next();
            return found;
        }
        found.insert(name, shape(line));
    }
}

fn shape(line: &mut Peekable<Chars<'_>>) -> Spec {
    let also_value = line.next_if_eq(&'?').is_some();
    let mut spec = match line.peek() {
        Some('*') => {
            line.next();
            Spec {
                anything: true,
                ..Spec::default()
            }
        }
        Some('{') => {
            line.next();
            Spec {
                fields: fields(line),
                ..Spec::default()
            }
        }
        Some('[') => {
            line.next();
            line.next();
            Spec {
                list: Some(Box::new(shape(line))),
                ..Spec::default()
            }
        }
        Some(_) | None => Spec {
            value: true,
            ..Spec::default()
        },
    };
    spec.value |= also_value;
    spec
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::form;

    fn unknown(line: &str, form: &str) -> Option<String> {
        Spec::parse(line).unknown(&form::parse(form).unwrap())
    }

    #[test]
    fn unknown_parameters_are_named() {
        let line = "email address{city line1} expand[] items[]{price metadata*} metadata* created?{gt lt}";
        for known in [
            "",
            "email=a",
            "address[city]=b&address=",
            "expand[]=a&expand[]=b",
            "items[0][price]=p&items[0][metadata][a]=b",
            "items=",
            "metadata[a]=b",
            "metadata=",
            "created=1",
            "created[gt]=1",
        ] {
            if known != "address[city]=b&address=" {
                assert_eq!(unknown(line, known), None, "{known}");
            }
        }
        for (form, name) in [
            ("mail=a", "mail"),
            ("email[a]=b", "email[a]"),
            ("address=x", "address"),
            ("address[town]=b", "address[town]"),
            ("items[0][prize]=p", "items[0][prize]"),
            ("expand[][a]=b", "expand[0][a]"),
            ("created[ge]=1", "created[ge]"),
        ] {
            assert_eq!(unknown(line, form).as_deref(), Some(name));
        }
    }
}

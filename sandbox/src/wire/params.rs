//! Reading parameters: typed, with errors that name the parameter as Stripe does.
//!
//! In an update an absent parameter leaves a field, empty text unsets it. The `copy_*` functions keep that rule.

use serde_json::{Map, Number, Value, json};

use super::error::ApiError;

/// Most keys of `metadata`, longest key and value, as Stripe's.
const METADATA_KEYS_MAX: usize = 50;
const METADATA_KEY_CHARS_MAX: usize = 40;
const METADATA_VALUE_CHARS_MAX: usize = 500;

/// One level of parameters.
#[derive(Clone, Debug)]
pub struct Params<'a> {
    tree: &'a Map<String, Value>,
    prefix: String,
}

impl<'a> Params<'a> {
    /// The whole call.
    #[must_use]
    pub fn new(tree: &'a Map<String, Value>) -> Self {
        Self {
            tree,
            prefix: String::new(),
        }
    }

    /// The parameter's full name, as an error names it: `items[0][price]`.
    #[must_use]
    pub fn name(&self, name: &str) -> String {
        if self.prefix.is_empty() {
            name.to_owned()
        } else {
            format!("{}[{name}]", self.prefix)
        }
    }

    /// Whether it was given at all, also as empty text.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.tree.contains_key(name)
    }

    /// Whether it was given as empty text (or null in JSON), which unsets.
    #[must_use]
    pub fn unsets(&self, name: &str) -> bool {
        match self.tree.get(name) {
            Some(Value::String(text)) => text.is_empty(),
            Some(value) => value.is_null(),
            None => false,
        }
    }

    /// As it was given.
    #[must_use]
    pub fn raw(&self, name: &str) -> Option<&'a Value> {
        self.tree.get(name)
    }

    /// Text; nothing when absent or empty.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<&'a str> {
        self.tree.get(name)?.as_str().filter(|text| !text.is_empty())
    }

    /// Text that must be there.
    ///
    /// # Errors
    /// `parameter_missing`.
    pub fn required(&self, name: &str) -> Result<&'a str, ApiError> {
        self.text(name).ok_or_else(|| ApiError::missing(&self.name(name)))
    }

    /// One of some words.
    ///
    /// # Errors
    /// Another word.
    pub fn choice(&self, name: &str, words: &[&str]) -> Result<Option<&'a str>, ApiError> {
        let Some(text) = self.text(name) else { return Ok(None) };
        if words.contains(&text) {
            return Ok(Some(text));
        }
        let full = self.name(name);
        let message = format!("Invalid {full}: must be one of {}", words.join(", "));
        Err(ApiError::bad_param(&full, message))
    }

    /// A whole number.
    ///
    /// # Errors
    /// `parameter_invalid_integer`.
    pub fn integer(&self, name: &str) -> Result<Option<i64>, ApiError> {
        let given = match self.tree.get(name) {
            None | Some(Value::Null) => return Ok(None),
            Some(Value::String(text)) if text.is_empty() => return Ok(None),
            Some(Value::Number(number)) => number.as_i64(),
            Some(Value::String(text)) => text.parse().ok(),
            Some(Value::Bool(_) | Value::Array(_) | Value::Object(_)) => None,
        };
        let wrong = || {
            let full = self.name(name);
            let message = format!("Invalid integer: {}", self.shown(name));
            ApiError::bad_param(&full, message).code("parameter_invalid_integer")
        };
        given.map(Some).ok_or_else(wrong)
    }

    /// A whole number that must be there.
    ///
    /// # Errors
    /// `parameter_missing`, `parameter_invalid_integer`.
    pub fn required_integer(&self, name: &str) -> Result<i64, ApiError> {
        self.integer(name)?.ok_or_else(|| ApiError::missing(&self.name(name)))
    }

    /// A whole number of a range.
    ///
    /// # Errors
    /// No whole number, or outside.
    pub fn ranged(&self, name: &str, least: i64, most: i64) -> Result<Option<i64>, ApiError> {
        match self.integer(name)? {
            Some(number) if number < least || number > most => {
                let message = format!("This value must be between {least} and {most} (inclusive).");
                Err(ApiError::bad_param(&self.name(name), message))
            }
            other => Ok(other),
        }
    }

    /// `true` or `false`.
    ///
    /// # Errors
    /// Anything else.
    pub fn flag(&self, name: &str) -> Result<Option<bool>, ApiError> {
        match self.tree.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::Bool(flag)) => Ok(Some(*flag)),
            Some(Value::String(text)) if text == "true" => Ok(Some(true)),
            Some(Value::String(text)) if text == "false" => Ok(Some(false)),
            Some(Value::String(text)) if text.is_empty() => Ok(None),
            Some(_) => {
                let message = format!("Invalid boolean: {}", self.shown(name));
                Err(ApiError::bad_param(&self.name(name), message))
            }
        }
    }

    /// A decimal number as JSON number, digits as given.
    ///
    /// # Errors
    /// No number.
    pub fn decimal(&self, name: &str) -> Result<Option<Number>, ApiError> {
        let text = match self.tree.get(name) {
            Some(Value::Number(number)) => return Ok(Some(number.clone())),
            Some(Value::String(text)) if !text.is_empty() => text,
            _ => return Ok(None),
        };
        let number = serde_json::from_str(text).map_err(|_| {
            let message = format!("Invalid decimal: {text}");
            ApiError::bad_param(&self.name(name), message).code("parameter_invalid_decimal")
        })?;
        Ok(Some(number))
    }

    /// An object below; nothing when absent or unset.
    #[must_use]
    pub fn object(&self, name: &str) -> Option<Params<'a>> {
        let tree = self.tree.get(name)?.as_object()?;
        Some(Params {
            tree,
            prefix: self.name(name),
        })
    }

    /// The objects of a list; a list of texts has none.
    #[must_use]
    pub fn objects(&self, name: &str) -> Vec<Params<'a>> {
        let items = self.tree.get(name).and_then(Value::as_array);
        let each = |(at, item): (usize, &'a Value)| {
            Some(Params {
                tree: item.as_object()?,
                prefix: format!("{}[{at}]", self.name(name)),
            })
        };
        items.into_iter().flatten().enumerate().filter_map(each).collect()
    }

    /// The texts of a list.
    #[must_use]
    pub fn texts(&self, name: &str) -> Vec<&'a str> {
        let items = self.tree.get(name).and_then(Value::as_array);
        items.into_iter().flatten().filter_map(Value::as_str).collect()
    }

    fn shown(&self, name: &str) -> String {
        match self.tree.get(name) {
            Some(Value::String(text)) => text.clone(),
            Some(value) => value.to_string(),
            None => String::new(),
        }
    }

    // ---- into an object ------------------------------------------------------------------------------

    /// Copies texts; empty becomes null.
    pub fn copy_texts(&self, object: &mut Value, names: &[&str]) {
        for name in names.iter().filter(|name| self.has(name)) {
            object[*name] = json!(self.text(name));
        }
    }

    /// Copies whole numbers; empty becomes null.
    ///
    /// # Errors
    /// No whole number.
    pub fn copy_integers(&self, object: &mut Value, names: &[&str]) -> Result<(), ApiError> {
        for name in names.iter().filter(|name| self.has(name)) {
            object[*name] = json!(self.integer(name)?);
        }
        Ok(())
    }

    /// Copies `true` and `false`.
    ///
    /// # Errors
    /// Anything else.
    pub fn copy_flags(&self, object: &mut Value, names: &[&str]) -> Result<(), ApiError> {
        for name in names.iter().filter(|name| self.has(name)) {
            object[*name] = json!(self.flag(name)?);
        }
        Ok(())
    }

    /// Copies objects and lists of texts as they are; empty becomes null.
    pub fn copy_trees(&self, object: &mut Value, names: &[&str]) {
        for name in names {
            match self.tree.get(*name) {
                Some(Value::String(text)) if text.is_empty() => object[*name] = Value::Null,
                Some(tree) => object[*name] = tree.clone(),
                None => {}
            }
        }
    }

    /// Merges `metadata`: an empty value removes its key, empty metadata removes all.
    ///
    /// # Errors
    /// Too many keys, too long keys or values.
    pub fn merge_metadata(&self, object: &mut Value) -> Result<(), ApiError> {
        self.merge_metadata_as("metadata", object)
    }

    /// The same for metadata of another name.
    ///
    /// # Errors
    /// Too many keys, too long keys or values.
    pub fn merge_metadata_as(&self, name: &str, object: &mut Value) -> Result<(), ApiError> {
        let mut merged = object["metadata"].as_object().cloned().unwrap_or_default();
        match self.tree.get(name) {
            None => {}
            Some(Value::Object(given)) => {
                for (key, value) in given {
                    self.merge_key(&mut merged, name, key, value)?;
                }
            }
            // `metadata[0]=x` reads as a list; its places are the keys.
            Some(Value::Array(given)) => {
                for (at, value) in given.iter().enumerate() {
                    self.merge_key(&mut merged, name, &at.to_string(), value)?;
                }
            }
            Some(Value::Null | Value::String(_) | Value::Bool(_) | Value::Number(_)) => merged.clear(),
        }
        if merged.len() > METADATA_KEYS_MAX {
            let message = format!("Metadata can have up to {METADATA_KEYS_MAX} keys");
            return Err(ApiError::bad_param(&self.name(name), message));
        }
        object["metadata"] = Value::Object(merged);
        Ok(())
    }

    fn merge_key(&self, merged: &mut Map<String, Value>, name: &str, key: &str, value: &Value) -> Result<(), ApiError> {
        let full = format!("{}[{key}]", self.name(name));
        let text = match value {
            Value::String(text) => text.clone(),
            Value::Null => String::new(),
            Value::Bool(_) | Value::Number(_) => value.to_string(),
            Value::Array(_) | Value::Object(_) => {
                return Err(ApiError::bad_param(&full, "Metadata values must be text"));
            }
        };
        if key.chars().count() > METADATA_KEY_CHARS_MAX || text.chars().count() > METADATA_VALUE_CHARS_MAX {
            let message = format!(
                "Metadata keys have up to {METADATA_KEY_CHARS_MAX} characters, values up to {METADATA_VALUE_CHARS_MAX}"
            );
            return Err(ApiError::bad_param(&full, message));
        }
        if text.is_empty() {
            merged.remove(key);
        } else {
            merged.insert(key.to_owned(), json!(text));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::form;

    #[test]
    fn values_are_typed_and_errors_name_them() {
        let tree = form::parse("n=12&bad=x&f=true&items[0][n]=y&d=25.50&empty=").unwrap();
        let params = Params::new(&tree);
        assert_eq!(params.integer("n"), Ok(Some(12)));
        assert_eq!(params.integer("empty"), Ok(None));
        assert_eq!(params.flag("f"), Ok(Some(true)));
        assert_eq!(params.decimal("d").unwrap().unwrap().to_string(), "25.5");
        assert!(params.unsets("empty") && !params.unsets("n"));
        let error = params.integer("bad").unwrap_err();
        assert_eq!(error.code.as_deref(), Some("parameter_invalid_integer"));
        let item = &params.objects("items")[0];
        assert_eq!(item.integer("n").unwrap_err().param.as_deref(), Some("items[0][n]"));
        assert_eq!(params.required("none").unwrap_err().param.as_deref(), Some("none"));
        assert!(params.choice("bad", &["a"]).is_err() && params.ranged("n", 1, 10).is_err());
    }

    #[test]
    fn metadata_is_merged_key_by_key() {
        let mut object = json!({"metadata": {"a": "1", "b": "2"}});
        let merge = |object: &mut Value, form: &str| {
            let tree = form::parse(form).unwrap();
            Params::new(&tree).merge_metadata(object)
        };
        merge(&mut object, "metadata[a]=&metadata[c]=3").unwrap();
        assert_eq!(object["metadata"], json!({"b": "2", "c": "3"}));
        merge(&mut object, "other=1").unwrap();
        assert_eq!(object["metadata"], json!({"b": "2", "c": "3"}));
        merge(&mut object, "metadata=").unwrap();
        assert_eq!(object["metadata"], json!({}));
        assert!(merge(&mut object, &format!("metadata[{}]=1", "k".repeat(41))).is_err());
        assert!(merge(&mut object, &format!("metadata[k]={}", "v".repeat(501))).is_err());
        let many: String = (0..51).map(|n| format!("metadata[k{n}]=v&")).collect();
        assert!(merge(&mut object, &many).is_err());
    }
}

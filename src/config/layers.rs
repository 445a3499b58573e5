//! Defaults, file, environment, flags: later wins, and every value keeps where it came from.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use secrecy::SecretString;
use zeroize::Zeroizing;

use super::ConfigError;
use super::keys::{KEYS, find};

/// Largest configuration file read; a real one has a few kilobytes.
const FILE_BYTES_MAX: u64 = 1024 * 1024;
/// Largest secret file read.
const SECRET_FILE_BYTES_MAX: u64 = 64 * 1024;

/// A value with its origin. Lists are joined by commas; secrets are wiped from memory with it.
#[derive(Clone)]
pub(super) struct Value {
    pub(super) text: Zeroizing<String>,
    pub(super) origin: String,
}

impl Value {
    pub(super) fn secret(&self) -> SecretString {
        SecretString::from(self.text.as_str())
    }
    pub(super) fn list(&self) -> Vec<String> {
        self.text
            .split(',')
            .map(|part| part.trim().to_owned())
            .filter(|part| !part.is_empty())
            .collect()
    }
}

/// All values that are set, by name.
pub(super) type Values = BTreeMap<String, Value>;

/// What configuration is read from.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// `--config`.
    pub file: Option<PathBuf>,
    /// The environment, complete.
    pub environment: Vec<(String, String)>,
    /// Flags, as (name, value).
    pub flags: Vec<(String, String)>,
}

impl Sources {
    /// The process's own environment and the given file and flags.
    #[must_use]
    pub fn of_process(file: Option<PathBuf>, flags: Vec<(String, String)>) -> Self {
        let text = |value: std::ffi::OsString| value.to_string_lossy().into_owned();
        Self {
            file,
            environment: std::env::vars_os().map(|(k, v)| (text(k), text(v))).collect(),
            flags,
        }
    }
}

pub(super) fn gather(sources: &Sources) -> Result<Values, ConfigError> {
    let mut values = Values::new();
    for key in KEYS.iter().filter(|key| !key.default.is_empty()) {
        let value = Value {
            text: key.default.to_owned().into(),
            origin: "default".into(),
        };
        values.insert(key.name.to_owned(), value);
    }
    if let Some(path) = file_of(sources)? {
        read_file(&path, &mut values)?;
    }
    read_environment(&sources.environment, &mut values)?;
    for (name, text) in &sources.flags {
        let value = Value {
            text: text.clone().into(),
            origin: "flag".into(),
        };
        values.insert(name.clone(), value);
    }
    Ok(values)
}

fn file_of(sources: &Sources) -> Result<Option<PathBuf>, ConfigError> {
    if let Some(path) = &sources.file {
        return if path.is_file() {
            Ok(Some(path.clone()))
        } else {
            Err(ConfigError::NoFile(path.clone()))
        };
    }
    let system = Path::new("/etc/subledger/subledger.toml");
    let local = Path::new("subledger.toml");
    Ok([local, system]
        .into_iter()
        .find(|path| path.is_file())
        .map(Path::to_owned))
}

fn bounded(path: &Path, bytes_max: u64) -> Result<String, ConfigError> {
    let failed = |reason: String| ConfigError::Unreadable {
        path: path.to_owned(),
        reason,
    };
    let length = std::fs::metadata(path).map_err(|e| failed(e.to_string()))?.len();
    if length > bytes_max {
        return Err(failed(format!("it has {length} bytes, at most {bytes_max} are read")));
    }
    std::fs::read_to_string(path).map_err(|e| failed(e.to_string()))
}

fn read_file(path: &Path, values: &mut Values) -> Result<(), ConfigError> {
    let text = bounded(path, FILE_BYTES_MAX)?;
    let table: toml::Table = text.parse().map_err(|error: toml::de::Error| ConfigError::Syntax {
        path: path.to_owned(),
        line: error
            .span()
            .map_or(1, |span| text[..span.start.min(text.len())].matches('\n').count() + 1),
        reason: error.message().to_owned(),
    })?;
    walk(&table, "", path, values)
}

fn walk(table: &toml::Table, prefix: &str, path: &Path, values: &mut Values) -> Result<(), ConfigError> {
    for (segment, value) in table {
        let name = if prefix.is_empty() {
            segment.clone()
        } else {
            format!("{prefix}.{segment}")
        };
        if let toml::Value::Table(inner) = value {
            walk(inner, &name, path, values)?;
            continue;
        }
        let origin = path.display().to_string();
        let (target, from_file) = resolve(&name).ok_or_else(|| ConfigError::UnknownKey {
            key: name.clone(),
            origin: origin.clone(),
        })?;
        let text = match value {
            toml::Value::String(text) => text.clone(),
            toml::Value::Integer(number) => number.to_string(),
            toml::Value::Boolean(yes) => yes.to_string(),
            toml::Value::Array(list) if find(&target).is_some_and(|key| key.list) => {
                let words: Option<Vec<&str>> = list.iter().map(toml::Value::as_str).collect();
                words
                    .map(|words| words.join(","))
                    .ok_or_else(|| ConfigError::invalid(&name, "must be a list of texts"))?
            }
            toml::Value::Array(_) | toml::Value::Float(_) | toml::Value::Datetime(_) | toml::Value::Table(_) => {
                return Err(ConfigError::invalid(
                    &name,
                    "must be a text, a whole number, or true or false",
                ));
            }
        };
        put(values, target, from_file, &text, origin)?;
    }
    Ok(())
}

/// The setting a written name means, and whether the name ends in `_file`.
fn resolve(name: &str) -> Option<(String, bool)> {
    if find(name).is_some() {
        return Some((name.to_owned(), false));
    }
    let stem = name.strip_suffix("_file")?;
    find(stem).filter(|key| key.secret).map(|_| (stem.to_owned(), true))
}

fn put(values: &mut Values, target: String, from_file: bool, text: &str, origin: String) -> Result<(), ConfigError> {
    if text.is_empty() {
        return Ok(());
    }
    let (text, origin) = if from_file {
        let content = bounded(Path::new(text), SECRET_FILE_BYTES_MAX)?;
        (
            content.trim_end_matches(['\r', '\n']).to_owned(),
            format!("{origin} (file)"),
        )
    } else {
        (text.to_owned(), origin)
    };
    values.insert(
        target,
        Value {
            text: text.into(),
            origin,
        },
    );
    Ok(())
}

fn read_environment(environment: &[(String, String)], values: &mut Values) -> Result<(), ConfigError> {
    // Several variables may mean one setting; within the environment they must agree.
    let mut found: BTreeMap<String, (String, Value)> = BTreeMap::new();
    for (variable, text) in environment.iter().filter(|(_, text)| !text.is_empty()) {
        let Some((target, from_file)) = target_of(variable)? else {
            continue;
        };
        let mut own = Values::new();
        put(&mut own, target.clone(), from_file, text, variable.clone())?;
        let Some(value) = own.remove(&target) else { continue };
        if let Some((other, known)) = found.get(&target) {
            let forms_differ = other.ends_with("_FILE") != variable.ends_with("_FILE");
            if known.text != value.text || forms_differ {
                return Err(ConfigError::Conflict {
                    key: target,
                    first: other.clone(),
                    second: variable.clone(),
                });
            }
            continue;
        }
        found.insert(target, (variable.clone(), value));
    }
    values.extend(found.into_iter().map(|(name, (_, value))| (name, value)));
    Ok(())
}

fn target_of(variable: &str) -> Result<Option<(String, bool)>, ConfigError> {
    for key in KEYS {
        for plain in key.plain {
            if variable == *plain {
                return Ok(Some((key.name.to_owned(), false)));
            }
            if key.secret && variable.strip_suffix("_FILE") == Some(plain) {
                return Ok(Some((key.name.to_owned(), true)));
            }
        }
    }
    let Some(rest) = variable.strip_prefix("SUBLEDGER__") else {
        return Ok(None);
    };
    let name = rest.to_lowercase().replace("__", ".");
    resolve(&name).map(Some).ok_or_else(|| ConfigError::UnknownKey {
        key: name,
        origin: variable.to_owned(),
    })
}

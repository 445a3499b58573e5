//! What `config print` and `.env.example` show.

use super::ConfigError;
use super::keys::{KEYS, find};
use super::layers::{Sources, gather};

/// One effective setting, safe to show.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Setting {
    /// Name.
    pub key: String,
    /// Value; `(set)` for a secret, empty when unset.
    pub value: String,
    /// `default`, a file, a variable, `flag`, or `unset`.
    pub origin: String,
}

/// Every setting with its effective value and where it came from; secrets are masked.
pub fn settings(sources: &Sources) -> Result<Vec<Setting>, ConfigError> {
    let values = gather(sources)?;
    let mut settings: Vec<Setting> = KEYS
        .iter()
        .filter(|key| !key.name.contains('*') && !values.contains_key(key.name))
        .map(|key| Setting {
            key: key.name.to_owned(),
            value: String::new(),
            origin: "unset".into(),
        })
        .collect();
    for (name, value) in &values {
        let is_secret = find(name).is_none_or(|key| key.secret);
        let shown = if is_secret {
            "(set)".to_owned()
        } else {
            value.text.to_string()
        };
        settings.push(Setting {
            key: name.clone(),
            value: shown,
            origin: value.origin.clone(),
        });
    }
    settings.sort_by(|a, b| a.key.cmp(&b.key));
    Ok(settings)
}

/// The text of `.env.example`: every key, grouped, with its note.
#[must_use]
pub fn env_example() -> String {
    let mut text = String::from(
        "# Every setting of subledger, as environment variables. Copy what you need; an empty value counts as unset.\n\
         # Secrets can also come from a file: append _FILE to the name. The same keys work in subledger.toml.\n",
    );
    let mut section = "";
    for key in KEYS {
        let own = key.name.split('.').next().unwrap_or_default();
        if own != section {
            section = own;
            text.push_str(&format!("\n# [{section}]\n"));
        }
        let also = if key.plain.is_empty() {
            String::new()
        } else {
            format!(" (also {})", key.plain.join(", "))
        };
        text.push_str(&format!("# {}{also}\n", key.note));
        let variable = key.variable().replace('*', "<NAME>");
        text.push_str(&format!("#{variable}={}\n", key.default));
    }
    text
}

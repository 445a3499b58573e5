//! The plan catalogue file: TOML in, [`Terms`] out, or every mistake with its line and key.
//!
//! The format is told in `docs/plans.md` and shown by the five files of `examples/plans/`. One of them is built in and
//! used when `PLANS__FILE` is not set. [`registry`] keeps every version that was ever loaded.

pub mod held;
mod parse;
mod plan;
mod policy;
pub mod registry;

use std::fmt;
use std::path::{Path, PathBuf};

use aggregates::plan::Terms;
use ring::digest;

use crate::toml_text::Problem;

/// Largest catalogue file, in bytes: parsing it holds a few times as much.
pub const CATALOGUE_BYTES_MAX: u64 = 1024 * 1024;

/// The built-in catalogue: three tiers, free, team and enterprise.
pub const BUNDLED: &str = include_str!("../../examples/plans/three-tiers.toml");

/// A catalogue that was read, with what identifies it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loaded {
    /// What it says, with price ids from the environment filled in.
    pub terms: Terms,
    /// The terms as JSON: what the registry stores.
    pub body: String,
    /// SHA-256 of `body`: the same file with other price ids is another version.
    pub content_hash: [u8; 32],
    /// What is allowed but worth knowing, for instance a price without an id at Stripe.
    pub notices: Vec<String>,
}

/// Why a catalogue cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum PlansError {
    /// The file cannot be read.
    #[error("the plan catalogue {} cannot be read ({source}); correct PLANS__FILE or the file's permissions", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The operating system's word.
        source: std::io::Error,
    },
    /// The file is larger than any catalogue.
    #[error("the plan catalogue {origin} is {bytes} bytes long; at most {CATALOGUE_BYTES_MAX} are read")]
    TooLarge {
        /// File or `bundled`.
        origin: String,
        /// Its length.
        bytes: u64,
    },
    /// The file is not UTF-8 text.
    #[error("the plan catalogue {0} is not UTF-8 text; save it as UTF-8")]
    NotText(String),
    /// The file has mistakes.
    #[error("the plan catalogue {origin} has {}:\n{}", count(problems), Lines(problems))]
    Invalid {
        /// File or `bundled`.
        origin: String,
        /// Every mistake, by line.
        problems: Vec<Problem>,
    },
    /// The terms cannot be written as JSON.
    #[error("the plan catalogue cannot be stored: {0}")]
    Unstorable(#[from] serde_json::Error),
}

fn count(problems: &[Problem]) -> String {
    if problems.len() == 1 {
        "a mistake".to_owned()
    } else {
        format!("{} mistakes", problems.len())
    }
}

struct Lines<'a>(&'a [Problem]);

impl fmt::Display for Lines<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            write!(f, "  {problem}")?;
        }
        Ok(())
    }
}

/// Where a catalogue comes from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Source {
    /// The built-in one.
    #[default]
    Bundled,
    /// A file.
    File(PathBuf),
}

/// Reads and validates a catalogue. `env` answers for environment variables that hold price ids.
pub fn load(source: &Source, env: &dyn Fn(&str) -> Option<String>) -> Result<Loaded, PlansError> {
    match source {
        Source::Bundled => read(BUNDLED, "(built in)", env),
        Source::File(path) => {
            let origin = path.display().to_string();
            let text = read_text(path, &origin)?;
            read(&text, &origin, env)
        }
    }
}

fn read_text(path: &Path, origin: &str) -> Result<String, PlansError> {
    let unreadable = |source| PlansError::Unreadable {
        path: path.to_owned(),
        source,
    };
    let bytes = std::fs::metadata(path).map_err(unreadable)?.len();
    if bytes > CATALOGUE_BYTES_MAX {
        return Err(PlansError::TooLarge {
            origin: origin.to_owned(),
            bytes,
        });
    }
    let content = std::fs::read(path).map_err(unreadable)?;
    String::from_utf8(content).map_err(|_| PlansError::NotText(origin.to_owned()))
}

/// Validates the text of a catalogue.
pub fn read(text: &str, origin: &str, env: &dyn Fn(&str) -> Option<String>) -> Result<Loaded, PlansError> {
    if text.len() as u64 > CATALOGUE_BYTES_MAX {
        return Err(PlansError::TooLarge {
            origin: origin.to_owned(),
            bytes: text.len() as u64,
        });
    }
    let (terms, notices) = parse::parse(text, env).map_err(|problems| PlansError::Invalid {
        origin: origin.to_owned(),
        problems,
    })?;
    let body = serde_json::to_string(&terms)?;
    let mut content_hash = [0; 32];
    content_hash.copy_from_slice(digest::digest(&digest::SHA256, body.as_bytes()).as_ref());
    Ok(Loaded {
        terms,
        body,
        content_hash,
        notices,
    })
}

/// The environment of the process, where an empty variable counts as unset.
#[must_use]
pub fn process_env(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.trim().is_empty())
}

#[cfg(test)]
mod tests;

//! API versions: `2024-06-20` or `2026-09-30.endive`, compared by their date.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The version in which objects are made and kept.
pub const NEWEST: &str = "2026-10-28.endive";

/// An API version.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Version(String);

impl Version {
    /// The version in which objects are made.
    #[must_use]
    pub fn newest() -> Self {
        Self(NEWEST.to_owned())
    }

    /// Reads a version; nothing when it is none.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (date, name) = text.split_once('.').unwrap_or((text, "x"));
        let shape = date.bytes().enumerate().all(|(at, byte)| match at {
            4 | 7 => byte == b'-',
            _ => byte.is_ascii_digit(),
        });
        let named = !name.is_empty()
            && name
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
        (date.len() == 10 && shape && named).then(|| Self(text.to_owned()))
    }

    /// Whether this version was published before another's date.
    #[must_use]
    pub fn before(&self, date: &str) -> bool {
        self.date() < date
    }

    fn date(&self) -> &str {
        self.0.get(..10).unwrap_or(&self.0)
    }

    /// As it is written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[test]
fn versions_are_read_and_compared() {
    let acacia = Version::parse("2025-02-24.acacia");
    assert!(acacia.is_some_and(|old| old.before("2025-03-31") && !old.before("2025-02-24")));
    assert!(!Version::newest().before("2026-09-30"));
    for bad in ["", "2025", "2025-02-24.", "2025-02-24.ACACIA", "2025/02/24", "latest"] {
        assert_eq!(Version::parse(bad), None, "{bad}");
    }
}

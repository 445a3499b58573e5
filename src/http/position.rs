//! Positions in headers: what a write reached, what a read rests on, and waiting for the one before the other.
//!
//! A position is `<part>.<position>`. Writes answer `Ledger-Position`; a read given it as `Ledger-Min-Position` waits,
//! bounded, until its view has passed it. Reads answer `Ledger-View-Position` and `Ledger-View-Age`.

use std::fmt;
use std::time::Duration;

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use projections::runner::Freshness;
use projections::views::View;

use super::problem::{Answer, Problem, ProblemKind};
use super::state::Service;

/// Longest wait of a read, and the wait of one that does not say how long.
pub const READ_WAIT_MAX: Duration = Duration::from_secs(2);
/// Most positions in one header: one of every part.
const POSITIONS_MAX: usize = 4096;

/// What a write reached.
pub const LEDGER_POSITION: HeaderName = HeaderName::from_static("ledger-position");
/// What a read wants to see.
pub const LEDGER_MIN_POSITION: HeaderName = HeaderName::from_static("ledger-min-position");
/// What a read rests on.
pub const LEDGER_VIEW_POSITION: HeaderName = HeaderName::from_static("ledger-view-position");
/// Seconds since the first event that a read does not know yet; 0 when it knows all.
pub const LEDGER_VIEW_AGE: HeaderName = HeaderName::from_static("ledger-view-age");
const PREFER: HeaderName = HeaderName::from_static("prefer");

/// A place in one partition of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct LedgerPosition {
    /// The partition.
    pub part: u32,
    /// The place in it, from 1; 0 = before the first event.
    pub position: u64,
}

impl fmt::Display for LedgerPosition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.part, self.position)
    }
}

impl LedgerPosition {
    /// Reads `17.48213`.
    #[must_use]
    pub fn find(text: &str) -> Option<Self> {
        let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let (part, position) = text.split_once('.')?;
        if !digits(part) || !digits(position) {
            return None;
        }
        let position = position
            .parse()
            .ok()
            .filter(|position| i64::try_from(*position).is_ok())?;
        Some(Self {
            part: part.parse().ok()?,
            position,
        })
    }

    /// Writes the header of a write's answer.
    pub fn announce(self, headers: &mut HeaderMap) {
        insert(headers, LEDGER_POSITION, &self);
    }
}

/// Writes the headers of a read's answer.
pub fn announce_view(freshness: &Freshness, headers: &mut HeaderMap) {
    let position = LedgerPosition {
        part: freshness.part,
        position: freshness.position,
    };
    insert(headers, LEDGER_VIEW_POSITION, &position);
    insert(headers, LEDGER_VIEW_AGE, &freshness.age_seconds());
}

/// Writes the headers of a list over all parts: how old its oldest gap is, and its position where there is one part.
pub fn announce_list(service: &Service, view: View, headers: &mut HeaderMap) {
    if service.db.parts() == 1 {
        return announce_view(&service.progress.freshness(view, 0), headers);
    }
    let age = service.progress.oldest_wait_micros(view).div_ceil(1_000_000);
    insert(headers, LEDGER_VIEW_AGE, &age);
}

fn insert(headers: &mut HeaderMap, name: HeaderName, value: &impl fmt::Display) {
    if let Ok(value) = HeaderValue::from_str(&value.to_string()) {
        headers.insert(name, value);
    }
}

/// Waits until `view` has reached what the caller asked to see of `part`; of all parts it names when `part` is nothing.
/// A request without `Ledger-Min-Position` does not wait.
pub async fn wait(service: &Service, view: View, part: Option<u32>, headers: &HeaderMap) -> Answer<()> {
    let Some(wanted) = headers.get(LEDGER_MIN_POSITION) else {
        return Ok(());
    };
    let wanted = positions(wanted, service.db.parts())?;
    let limit = wait_wanted(headers);
    let deadline = tokio::time::Instant::now() + limit;
    for position in wanted
        .into_iter()
        .filter(|wanted| part.is_none_or(|part| part == wanted.part))
    {
        let left = deadline.saturating_duration_since(tokio::time::Instant::now());
        if !service
            .progress
            .wait_for(view, position.part, position.position, left)
            .await
        {
            let detail = format!(
                "the view {} has not reached {position} in {} s",
                view.name(),
                limit.as_secs()
            );
            return Err(Problem::new(ProblemKind::ProjectionBehind, detail));
        }
    }
    Ok(())
}

fn positions(header: &HeaderValue, parts: u32) -> Answer<Vec<LedgerPosition>> {
    let malformed = || {
        let detail = "Ledger-Min-Position is a list of <part>.<position>, as Ledger-Position gives them";
        Problem::malformed(detail)
    };
    let text = header.to_str().map_err(|_| malformed())?;
    let found: Vec<&str> = text.split(',').collect();
    if found.len() > POSITIONS_MAX {
        return Err(malformed());
    }
    let read = |text: &str| LedgerPosition::find(text.trim()).filter(|position| position.part < parts);
    found.into_iter().map(|text| read(text).ok_or_else(malformed)).collect()
}

/// `Prefer: wait=<seconds>`, at most [`READ_WAIT_MAX`].
fn wait_wanted(headers: &HeaderMap) -> Duration {
    preferred_wait(headers).map_or(READ_WAIT_MAX, |wait| wait.min(READ_WAIT_MAX))
}

/// `Prefer: wait=<seconds>`. What is no such wish is ignored, as RFC 7240 says.
#[must_use]
pub fn preferred_wait(headers: &HeaderMap) -> Option<Duration> {
    let wishes = headers.get_all(PREFER).iter().filter_map(|value| value.to_str().ok());
    let mut wishes = wishes.flat_map(|value| value.split(','));
    let seconds = wishes.find_map(|wish| wish.trim().strip_prefix("wait=")?.trim().parse().ok());
    seconds.map(Duration::from_secs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_read_as_written_and_nothing_else_does() {
        let position = LedgerPosition::find("17.48213").unwrap();
        assert_eq!(
            (position.part, position.position, position.to_string().as_str()),
            (17, 48_213, "17.48213")
        );
        for bad in [
            "",
            ".",
            "1",
            "1.",
            ".1",
            "1.2.3",
            "+1.2",
            "1.-2",
            "1. 2",
            "4294967296.1",
            "1.9223372036854775808",
            "a.b",
        ] {
            assert!(LedgerPosition::find(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn a_list_names_parts_that_exist() {
        let read = |text: &'static str| {
            positions(&HeaderValue::from_static(text), 4)
                .map(|found| found.len())
                .ok()
        };
        assert_eq!(read("0.1"), Some(1));
        assert_eq!(read("0.1, 3.7"), Some(2));
        assert_eq!(read("4.1"), None);
        assert_eq!(read("0.1,"), None);
        for (count, good) in [
            (POSITIONS_MAX - 1, true),
            (POSITIONS_MAX, true),
            (POSITIONS_MAX + 1, false),
        ] {
            let list = HeaderValue::from_str(&vec!["0.1"; count].join(",")).unwrap();
            assert_eq!(positions(&list, 4).is_ok(), good, "{count}");
        }
    }

    #[test]
    fn waits_are_bounded() {
        let wish = |text: &'static str| {
            wait_wanted(&HeaderMap::from_iter([(PREFER, HeaderValue::from_static(text))])).as_secs()
        };
        assert_eq!(
            (
                wish("wait=1"),
                wish("wait=0"),
                wish("wait=600"),
                wish("respond-async, wait=1")
            ),
            (1, 0, 2, 1)
        );
        assert_eq!((wish("wait=x"), wish("")), (2, 2));
    }
}

//! Reads at a point in time: the account's own events folded up to it, on either clock.

use aggregates::subscription::AccountState;
use aggregates::subscription::history::{AsOf, Basis, StateAt};
use aggregates::time::Timestamp;
use projections::book::StandingBook;
use projections::log::read_stream;
use projections::projection::LogEvent;
use projections::runner::Freshness;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::account::Account;
use super::problem::{Answer, Problem};
use super::state::Service;

/// Events read by one statement: what is folded at once stays below a few megabytes, however long the stream is.
const PAGE_EVENTS: u32 = 1_000;

/// Which clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum BasisWord {
    /// What the ledger knew then.
    #[default]
    Recorded,
    /// What was true then.
    Occurred,
}

/// A point in time, as a request names it.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct PointInTime {
    /// How it stood at this instant, RFC 3339; without it: how it stands now
    #[param(value_type = Option<String>, format = DateTime)]
    pub as_of: Option<Timestamp>,
    /// `recorded`: what the ledger knew then (default); `occurred`: what was true then
    pub basis: Option<BasisWord>,
    /// With `basis=occurred`: by what was recorded until then
    #[param(value_type = Option<String>, format = DateTime)]
    pub known_at: Option<Timestamp>,
}

/// The point in time an answer speaks of.
#[derive(Clone, Copy, Serialize, ToSchema)]
pub struct AsOfAnswer {
    /// The instant.
    #[schema(value_type = String, format = DateTime)]
    pub at: Timestamp,
    /// On which clock.
    pub basis: BasisWord,
    /// Only what was recorded by then; null = everything.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub known_at: Option<Timestamp>,
}

impl AsOfAnswer {
    /// As it was asked.
    #[must_use]
    pub const fn of(as_of: &AsOf) -> Self {
        Self {
            at: as_of.at,
            basis: match as_of.basis {
                Basis::Recorded => BasisWord::Recorded,
                Basis::Occurred => BasisWord::Occurred,
            },
            known_at: as_of.known_at,
        }
    }
}

impl PointInTime {
    /// The point asked for; none: now.
    pub fn point(&self) -> Answer<Option<AsOf>> {
        let basis = self.basis.unwrap_or_default();
        let Some(at) = self.as_of else {
            if self.basis.is_some() || self.known_at.is_some() {
                let detail = "basis and known_at say how as_of is meant; name the instant with as_of";
                return Err(Problem::malformed(detail).at("?as_of", "missing"));
            }
            return Ok(None);
        };
        if self.known_at.is_some() && basis == BasisWord::Recorded {
            let detail = "known_at restricts basis=occurred; with basis=recorded, as_of itself says what was known";
            return Err(Problem::malformed(detail).at("?known_at", "only with basis=occurred"));
        }
        let basis = match basis {
            BasisWord::Recorded => Basis::Recorded,
            BasisWord::Occurred => Basis::Occurred,
        };
        Ok(Some(AsOf {
            basis,
            at,
            known_at: self.known_at,
        }))
    }
}

/// An account as it stood.
pub struct Past {
    /// Its state.
    pub state: AccountState,
    /// Place in the stream of the last event that belongs to it; 0: none does.
    pub sequence: u64,
    /// When the last of them was recorded.
    pub recorded_at: Option<Timestamp>,
    /// When the first of them happened.
    pub opened_at: Option<Timestamp>,
    /// The log was read up to here.
    pub freshness: Freshness,
}

impl Past {
    /// What a standing rests on.
    #[must_use]
    pub fn book(&self) -> StandingBook {
        StandingBook {
            account: self.state.account.clone(),
            life: self.state.life.clone(),
            money: self.state.money.clone(),
        }
    }

    fn nothing(freshness: Freshness) -> Self {
        Self {
            state: AccountState::default(),
            sequence: 0,
            recorded_at: None,
            opened_at: None,
            freshness,
        }
    }

    /// The answer rests on this event too.
    fn rest_on(&mut self, event: &LogEvent) {
        self.sequence = event.sequence;
        self.recorded_at = self.recorded_at.max(Some(event.recorded_at));
        let earlier = self.opened_at.is_none_or(|opened| event.occurred_at < opened);
        if earlier {
            self.opened_at = Some(event.occurred_at);
        }
    }
}

/// The account at a point in time, from all its events.
pub async fn fold(service: &Service, account: &Account, as_of: &AsOf) -> Answer<Past> {
    let freshness = Freshness {
        part: account.part,
        position: service.progress.head(account.part),
        age_micros: 0,
    };
    let mut past = Past::nothing(freshness);
    let mut state = StateAt::new(*as_of);
    let mut after = 0;
    loop {
        let kind = aggregates::subscription::AGGREGATE_TYPE;
        let stream = account.stream.as_str();
        let page = read_stream(&service.db, account.part, kind, stream, after, PAGE_EVENTS).await;
        let page = page.map_err(Problem::store)?;
        let is_last = page.len() < PAGE_EVENTS as usize;
        for stored in page {
            after = stored.sequence;
            past.freshness.position = past.freshness.position.max(stored.position);
            let event = LogEvent::from(stored);
            let Some(typed) = event.account().map_err(Problem::internal)? else {
                continue;
            };
            if state.take(typed, event.occurred_at, event.recorded_at) {
                past.rest_on(&event);
            }
        }
        if is_last {
            break;
        }
    }
    Ok(match state.finish() {
        Some(state) => Past { state, ..past },
        None => Past::nothing(past.freshness),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clocks_are_named_with_an_instant_or_not_at_all() {
        let at = Timestamp::from_seconds(1).ok();
        let ask = |as_of, basis, known_at| PointInTime { as_of, basis, known_at }.point();
        assert!(ask(None, None, None).is_ok_and(|point| point.is_none()));
        assert!(ask(at, None, None).is_ok_and(|point| point.is_some_and(|it| it.basis == Basis::Recorded)));
        assert!(ask(at, Some(BasisWord::Occurred), at).is_ok_and(|point| point.is_some_and(|it| it.known_at == at)));
        assert!(ask(at, None, at).is_err());
        assert!(ask(None, Some(BasisWord::Occurred), None).is_err());
        assert!(ask(None, None, at).is_err());
    }
}

//! The work a receipt means, once it is known which streams it concerns.

use std::collections::VecDeque;

use aggregates::ids::StreamId;
use aggregates::observation::ObjectObservation;

use super::lanes::Ticket;
use crate::inbox::{Placed, Settlement, State};
use crate::stripe::translate::{AccountFact, Fetch};

/// One fact and the stream it goes to.
pub(super) enum Step {
    /// About an object of an account. A tenant hint that may not be followed was taken out.
    Account { stream: StreamId, fact: Box<AccountFact> },
    /// About an object without an account.
    Object {
        stream: StreamId,
        observation: Box<ObjectObservation>,
    },
}

impl Step {
    pub(super) const fn stream(&self) -> &StreamId {
        match self {
            Self::Account { stream, .. } | Self::Object { stream, .. } => stream,
        }
    }
}

/// What a receipt means in one partition; all of it is recorded in one append.
pub(super) struct Work {
    pub(super) part: u32,
    pub(super) steps: Vec<Step>,
    /// What only Stripe can answer.
    pub(super) fetches: Vec<Fetch>,
}

/// A receipt in a lane. Almost always it has one piece of work; several are done one after the other, each marked in
/// its own part, so that a crash in between repeats none of them.
pub(super) struct Item {
    pub(super) ticket: Ticket,
    pub(super) works: VecDeque<Work>,
    /// Decided beforehand: the receipt only leaves questions for Stripe.
    pub(super) verdict: Option<Settlement>,
    /// Where the first facts were recorded.
    pub(super) placed: Option<Placed>,
}

impl Item {
    /// The part its next piece of work is in.
    pub(super) fn part(&self) -> u32 {
        self.works.front().map_or(0, |work| work.part)
    }

    /// The inbox key: an event is applied once, and Stripe is asked once about an event that waits.
    pub(super) fn mark_key(&self) -> String {
        match self.verdict {
            None => self.ticket.key.event.to_string(),
            Some(_) => format!("ask:{}", self.ticket.key.event),
        }
    }

    /// Its next piece of work is recorded at `placed`.
    pub(super) fn advance(&mut self, placed: Option<Placed>) {
        self.works.pop_front();
        let recorded = |placed: &Option<Placed>| placed.as_ref().is_some_and(|placed| placed.positions.is_some());
        if self.placed.is_none() || (!recorded(&self.placed) && recorded(&placed)) {
            self.placed = placed;
        }
    }

    /// What became of a receipt all of whose work is done.
    pub(super) fn settlement(&self) -> Settlement {
        if let Some(verdict) = &self.verdict {
            return verdict.clone();
        }
        let key = self.ticket.key.clone();
        let recorded = self.placed.as_ref().is_some_and(|placed| placed.positions.is_some());
        Settlement {
            placed: self.placed.clone(),
            ..Settlement::of(key, if recorded { State::Applied } else { State::Superseded }, None)
        }
    }
}

//! What a stream of operation is: the fold of its events.

use serde::{Deserialize, Serialize};

use super::event::OperationEvent;
use crate::time::Timestamp;

/// State of one stream: a key, a run or the catalogue; the other streams only keep what was done.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OperationState {
    /// The key was made.
    pub key_made: bool,
    /// The key no longer works.
    pub key_revoked: bool,
    /// Its successor, and until when both work.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_successor: Option<(Box<str>, Timestamp)>,
    /// The run began.
    pub run_started: bool,
    /// The run ended.
    pub run_finished: bool,
    /// Newest catalogue version and its hash.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub catalogue: Option<(u32, Box<str>)>,
}

impl OperationState {
    /// Takes one recorded event. Total.
    pub fn evolve(&mut self, event: &OperationEvent) {
        match event {
            OperationEvent::KeyCreated { .. } => self.key_made = true,
            OperationEvent::KeyRotated {
                successor,
                old_valid_until,
                ..
            } => self.key_successor = Some((successor.clone(), *old_valid_until)),
            OperationEvent::KeyRevoked { .. } => self.key_revoked = true,
            OperationEvent::RunStarted { .. } => self.run_started = true,
            OperationEvent::RunFinished { .. } => self.run_finished = true,
            OperationEvent::CatalogueLoaded { version, content_hash } => {
                self.catalogue = Some((*version, content_hash.clone()));
            }
            OperationEvent::ReceiptReplayed { .. }
            | OperationEvent::ReceiptDiscarded { .. }
            | OperationEvent::RawReceiptRead { .. }
            | OperationEvent::ProjectionRebuilt { .. }
            | OperationEvent::ProjectionSwapped { .. }
            | OperationEvent::ProjectionSkipped { .. } => {}
        }
    }

    /// Folds events from nothing.
    pub fn of<'a>(events: impl IntoIterator<Item = &'a OperationEvent>) -> Self {
        let mut state = Self::default();
        for event in events {
            state.evolve(event);
        }
        state
    }
}

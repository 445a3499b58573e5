//! What a Stripe object without an account is: the fold of its events.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::event::StripeObjectEvent;
use crate::facts::CatalogueSnapshot;
use crate::register::Book;
use crate::snapshot::SnapshotId;

/// State of one object.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObjectState {
    /// Its snapshots.
    pub book: Book<CatalogueSnapshot>,
    /// Every snapshot recorded: tells twins.
    pub known: BTreeSet<SnapshotId>,
}

impl ObjectState {
    /// Takes one recorded event. Total.
    pub fn evolve(&mut self, event: &StripeObjectEvent) {
        let it = event.carried();
        self.book.apply(&it.seen, &it.snapshot);
        self.known.insert(SnapshotId::of(it));
    }

    /// Folds events from nothing.
    pub fn of<'a>(events: impl IntoIterator<Item = &'a StripeObjectEvent>) -> Self {
        let mut state = Self::default();
        for event in events {
            state.evolve(event);
        }
        state
    }
}

//! What a Stripe object without an account is: the fold of its events.

use serde::{Deserialize, Serialize};

use super::event::{ObjectSeen, StripeObjectEvent};
use crate::facts::CatalogueSnapshot;
use crate::register::Book;

/// State of one object.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObjectState {
    /// Its snapshots.
    pub book: Book<CatalogueSnapshot>,
    /// Every snapshot recorded, in the order of arrival: tells twins.
    pub known: Vec<ObjectSeen>,
}

impl ObjectState {
    /// Takes one recorded event. Total.
    pub fn evolve(&mut self, event: &StripeObjectEvent) {
        let it = event.carried();
        self.book.apply(&it.seen, &it.snapshot);
        self.known.push(it.clone());
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

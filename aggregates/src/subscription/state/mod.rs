//! What an account is: the fold of its events.
//!
//! Each part is public, has a stored form and takes events by itself, so that views use the same parts as the content
//! of their rows. Two accounts that recorded the same snapshots in any order are equal in every part; so are their
//! intents, which are accepted in one order, in which answers and webhooks then come.

mod account;
mod intents;
mod invoices;
mod life;
mod money;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

pub use account::AccountBook;
pub use intents::{IntentBook, OPEN_MAX, SETTLED_KEPT_MAX};
pub use invoices::InvoiceBook;
pub use life::{LifeBook, SubscriptionBook, is_live};
pub use money::MoneyBook;

use super::carried::Carried;
use super::event::SubscriptionEvent;
use crate::ids::InvoiceId;
use crate::snapshot::SnapshotId;

/// State of an account.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountState {
    /// Whether it is open, and whose it is.
    pub account: AccountBook,
    /// Subscriptions and what belongs to their terms.
    pub life: LifeBook,
    /// Invoices by id.
    pub invoices: BTreeMap<InvoiceId, InvoiceBook>,
    /// Charges, refunds, disputes, credit notes and checkout sessions.
    pub money: MoneyBook,
    /// What people asked for that still matters.
    #[serde(default)]
    pub intents: IntentBook,
    /// Every snapshot recorded: tells twins.
    pub known: BTreeSet<SnapshotId>,
}

impl AccountState {
    /// Folds events from nothing.
    pub fn of<'a>(events: impl IntoIterator<Item = &'a SubscriptionEvent>) -> Self {
        let mut state = Self::default();
        for event in events {
            state.evolve(event);
        }
        state
    }

    /// Takes one recorded event. Total: whatever was recorded is a fact.
    pub fn evolve(&mut self, event: &SubscriptionEvent) {
        self.account.apply(event);
        self.life.apply(event);
        self.money.apply(event);
        self.intents.apply(event);
        let Some(carried) = event.carried() else { return };
        if let Some(invoice) = carried.invoice() {
            self.invoices.entry(invoice.clone()).or_default().apply(event);
        }
        self.known.insert(carried.snapshot_id());
    }

    /// Whether exactly this was recorded before.
    #[must_use]
    pub fn is_known(&self, snapshot: Carried<'_>) -> bool {
        self.known.contains(&snapshot.snapshot_id())
    }
}

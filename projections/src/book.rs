//! What the rows of an account hold: the parts of its state that the view answers from.

use aggregates::subscription::history::tells_whose;
use aggregates::subscription::standing::DisputeStanding;
use aggregates::subscription::{AccountBook, Carried, LifeBook, MoneyBook, SubscriptionEvent};
use aggregates::time::Timestamp;
use serde::{Deserialize, Serialize};

use crate::failpoint;
use crate::projection::LogEvent;
use crate::table::RowError;

/// Everything a standing rests on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StandingBook {
    /// Whose account it is.
    pub account: AccountBook,
    /// Its subscriptions and what belongs to their terms.
    pub life: LifeBook,
    /// Its disputes.
    pub money: MoneyBook,
}

impl StandingBook {
    /// Takes one event; tells whether anything here rests on it.
    pub fn apply(&mut self, event: &SubscriptionEvent) -> bool {
        let is_late = matches!(event, SubscriptionEvent::LateSnapshotRecorded(_));
        if is_late && failpoint::mutant("late-snapshot-skipped") {
            return false;
        }
        // Charges, refunds and the like say nothing about where an account stands.
        let disputes = is_of_dispute(event) && self.money.apply(event);
        self.account.apply(event) || self.life.apply(event) || disputes
    }

    /// The same without what only pages show (schedules, discounts, payment methods, the customer).
    pub fn apply_holdings(&mut self, event: &SubscriptionEvent) {
        if decides_holdings(event) {
            self.apply(event);
        }
    }

    /// Lets go of what only pages show: what is left is what [`apply_holdings`](Self::apply_holdings) would have made of
    /// the same events.
    pub(crate) fn keep_holdings(&mut self) {
        let subscriptions = std::mem::take(&mut self.life.subscriptions);
        self.life = LifeBook {
            subscriptions,
            ..LifeBook::default()
        };
    }

    /// Its disputes in one word each.
    #[must_use]
    pub fn disputes(&self) -> DisputeStanding {
        DisputeStanding::of(&self.money.disputes)
    }

    /// As it is stored.
    pub(crate) fn encode(&self) -> Result<String, RowError> {
        serde_json::to_string(self).map_err(RowError::new)
    }

    /// As it was stored.
    pub(crate) fn decode(text: &str) -> Result<Self, RowError> {
        serde_json::from_str(text).map_err(RowError::new)
    }
}

/// The last event that counts in a row: its place in the stream and in the part, and when it was recorded.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Last {
    pub(crate) sequence: u64,
    pub(crate) position: u64,
    pub(crate) recorded_at: Timestamp,
}

impl Last {
    pub(crate) const fn of(event: &LogEvent) -> Self {
        Self {
            sequence: event.sequence,
            position: event.position,
            recorded_at: event.recorded_at,
        }
    }
}

fn is_of_dispute(event: &SubscriptionEvent) -> bool {
    matches!(event.carried(), Some(Carried::Dispute(_)))
}

/// Does what an account may use rest on this event?
pub(crate) fn decides_holdings(event: &SubscriptionEvent) -> bool {
    match event.carried() {
        Some(Carried::Subscription(_) | Carried::Dispute(_)) => true,
        Some(
            Carried::Customer(_)
            | Carried::Schedule(_)
            | Carried::Checkout(_)
            | Carried::Discount(_)
            | Carried::PaymentMethod(_)
            | Carried::Invoice(_)
            | Carried::InvoicePayment(_)
            | Carried::Charge(_)
            | Carried::Refund(_)
            | Carried::CreditNote(_),
        ) => false,
        // Opened, linked, assigned. What people ask for grants nothing before Stripe shows it.
        None => tells_whose(event) || matches!(event, SubscriptionEvent::ConcurrentSubscriptionsFound(_)),
    }
}

//! Quantity changes, coalesced: of many clicks on one subscription only the newest wanted quantity is sent.
//!
//! Stripe takes at most 200 changes of quantity an hour on one subscription. A wish that comes sooner than
//! [`APART_SECONDS`] after the last change waits, and a newer wish for the same item takes its place. No clock and no
//! store: the caller says what time it is and keeps the intents.

use std::collections::{BTreeMap, VecDeque};

use aggregates::ids::{ItemId, SubscriptionId};
use aggregates::time::Timestamp;

use super::IntentId;

/// Seconds between two changes of one subscription.
pub const APART_SECONDS: i64 = 20;
/// Changes of one subscription in any hour: Stripe's limit.
pub const HOURLY_MAX: usize = 200;
const HOUR_SECONDS: i64 = 3_600;

/// A wanted quantity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wish {
    /// Of which item.
    pub item: ItemId,
    /// How many.
    pub quantity: u64,
    /// The intent that wants it.
    pub intent: IntentId,
}

#[derive(Debug, Default)]
struct Lane {
    /// The newest wish of each item, in the order in which the items were first wanted.
    wishes: Vec<Wish>,
    /// When changes were sent, in the last hour.
    sent: VecDeque<Timestamp>,
}

impl Lane {
    fn forget(&mut self, now: Timestamp) {
        let hour_ago = now.plus_seconds(-HOUR_SECONDS);
        while self.sent.front().is_some_and(|at| *at <= hour_ago) {
            self.sent.pop_front();
        }
    }

    /// When the next change may be sent.
    fn free_at(&self) -> Timestamp {
        let apart = self.sent.back().map(|last| last.plus_seconds(APART_SECONDS));
        let oldest_of_full_hour = self.sent.len().checked_sub(HOURLY_MAX).and_then(|at| self.sent.get(at));
        let hourly = oldest_of_full_hour.map(|oldest| oldest.plus_seconds(HOUR_SECONDS));
        apart.max(hourly).unwrap_or(Timestamp::MIN)
    }
}

/// All wishes that wait.
#[derive(Debug, Default)]
pub struct Quantities {
    lanes: BTreeMap<SubscriptionId, Lane>,
}

impl Quantities {
    /// A wish. Gives back the one it takes the place of, which is thereby settled.
    pub fn want(&mut self, subscription: &SubscriptionId, wish: Wish) -> Option<Wish> {
        let lane = self.lanes.entry(subscription.clone()).or_default();
        match lane.wishes.iter_mut().find(|waiting| waiting.item == wish.item) {
            Some(waiting) => Some(std::mem::replace(waiting, wish)),
            None => {
                lane.wishes.push(wish);
                None
            }
        }
    }

    /// A change that was sent before this process began, in the order of time.
    pub fn remember(&mut self, subscription: &SubscriptionId, sent_at: Timestamp) {
        self.lanes
            .entry(subscription.clone())
            .or_default()
            .sent
            .push_back(sent_at);
    }

    /// What is to be sent now: one change a subscription, of all the items that wait. It counts as sent.
    pub fn due(&mut self, now: Timestamp) -> Vec<(SubscriptionId, Vec<Wish>)> {
        let mut due = Vec::new();
        for (subscription, lane) in &mut self.lanes {
            lane.forget(now);
            if !lane.wishes.is_empty() && lane.free_at() <= now {
                lane.sent.push_back(now);
                due.push((subscription.clone(), std::mem::take(&mut lane.wishes)));
            }
        }
        self.lanes
            .retain(|_, lane| !lane.wishes.is_empty() || !lane.sent.is_empty());
        due
    }

    /// When something will be due; none while nothing waits.
    #[must_use]
    pub fn next_due(&self) -> Option<Timestamp> {
        let waiting = self.lanes.values().filter(|lane| !lane.wishes.is_empty());
        waiting.map(Lane::free_at).min()
    }

    /// Wishes that wait.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.lanes.values().map(|lane| lane.wishes.len()).sum()
    }
}

//! The intents of an account that still matter.

use serde::{Deserialize, Serialize};

use crate::ids::{IntentId, SubscriptionId};
use crate::mutant::{self, Mutant};
use crate::subscription::event::SubscriptionEvent;
use crate::subscription::intent::{Intent, IntentStatus};

/// Most intents of an account whose calls have not ended: far more than people press buttons while Stripe is away, and
/// few enough that deciding looks at all of them.
pub const OPEN_MAX: usize = 64;

/// Settled intents kept for echoes and repeats that come late; the oldest go first. The log has all of them.
pub const SETTLED_KEPT_MAX: usize = 32;

/// Intents in the order they were accepted: all open ones, and the newest settled ones.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct IntentBook(Vec<Intent>);

impl IntentBook {
    /// Takes one event; tells whether it was one of these.
    pub fn apply(&mut self, event: &SubscriptionEvent) -> bool {
        if let Some(asked) = event.asked() {
            let into = asked.head().id;
            for replaced in asked.replaces() {
                if let Some(intent) = self.get_mut(*replaced) {
                    intent.merged_into = Some(into);
                }
            }
            self.0.push(Intent::new(asked));
        } else if let SubscriptionEvent::StripeCallSettled(it) = event {
            if let Some(intent) = self.get_mut(it.intent) {
                intent.answered(it);
            }
        } else if let SubscriptionEvent::IntentObserved(it) = event {
            if let Some(intent) = self.get_mut(it.intent) {
                intent.observed(it);
            }
        } else if let SubscriptionEvent::CheckoutStarted(it) = event {
            if let Some(intent) = self.get_mut(it.intent) {
                intent.started(it);
            }
        } else {
            return false;
        }
        self.forget();
        true
    }

    /// Which of the settled ones are kept depends on which are settled, not on when they were: the newest.
    fn forget(&mut self) {
        if mutant::is(Mutant::IntentsKept) {
            return;
        }
        let settled = self.0.iter().filter(|intent| intent.is_settled()).count();
        let mut surplus = settled.saturating_sub(SETTLED_KEPT_MAX);
        self.0.retain(|intent| {
            let goes = surplus > 0 && intent.is_settled();
            surplus -= usize::from(goes);
            !goes
        });
    }

    fn get_mut(&mut self, id: IntentId) -> Option<&mut Intent> {
        self.0.iter_mut().find(|intent| intent.id() == id)
    }

    /// The intent of an id, if it is still kept.
    #[must_use]
    pub fn find(&self, id: IntentId) -> Option<&Intent> {
        self.0.iter().find(|intent| intent.id() == id)
    }

    /// All that are kept, in the order they were accepted.
    pub fn iter(&self) -> impl Iterator<Item = &Intent> {
        self.0.iter()
    }

    /// Those whose calls have not ended, in the order they were accepted, which is the order they are sent in.
    pub fn open(&self) -> impl Iterator<Item = &Intent> {
        self.0.iter().filter(|intent| !intent.is_settled())
    }

    /// Those of a subscription that wait for their first answer.
    pub fn waiting<'a>(&'a self, subscription: &'a SubscriptionId) -> impl Iterator<Item = &'a Intent> {
        self.0.iter().filter(move |intent| {
            intent.status() == IntentStatus::Accepted && intent.asked.subscription() == Some(subscription)
        })
    }
}

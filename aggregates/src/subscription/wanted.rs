//! What a subscription will be once everything that is under way has ended: its terms, and over them the intents that
//! Stripe has not shown yet. Decisions rest on this, so that ten clicks a second add up.

use super::asked::{PauseMode, PlannedChange, When};
use super::intent::{Asked, Intent, IntentStatus};
use super::state::{AccountState, SubscriptionBook};
use crate::facts::{Item, ScheduleSnapshot, ScheduledPhase, SubscriptionSnapshot, SubscriptionStatus};
use crate::ids::{PriceId, ScheduleId, SubscriptionId};
use crate::time::Timestamp;

/// A price and how many of it.
pub type PricedUnits = (PriceId, u64);

/// What a subscription will be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// Price and quantity of the plan; none: unknown.
    pub item: Option<PricedUnits>,
    /// The same from the next period on, where a change is planned.
    pub next: Option<PricedUnits>,
    /// Its planned or requested end.
    pub cancel: Option<When>,
    /// It is paused.
    pub is_paused: bool,
    /// Its collection is paused; until when, if that is known.
    pub collection: Option<Option<Timestamp>>,
    /// The end of its trial.
    pub trial_ends_at: Option<Timestamp>,
}

impl Wanted {
    /// Of a subscription with these terms at a time.
    #[must_use]
    pub fn of(state: &AccountState, id: &SubscriptionId, book: &SubscriptionBook, at: Timestamp) -> Option<Self> {
        let terms = book.book.terms()?;
        let mut wanted = Self {
            item: main_item(book, &terms).map(|item| (item.price.clone(), item.quantity.unwrap_or(1))),
            next: running_schedule(state, id, &terms).and_then(|(_, schedule)| planned(&schedule, at)),
            cancel: planned_end(&terms),
            is_paused: terms.status == SubscriptionStatus::Paused,
            collection: terms.collection_pause.as_ref().map(|pause| pause.resumes_at),
            trial_ends_at: terms.trial.map(|trial| trial.end),
        };
        let as_of = book.book.as_of();
        for intent in state.intents.iter().filter(|intent| is_under_way(intent, as_of)) {
            if intent.asked.subscription() == Some(id) {
                wanted.take(&intent.asked);
            }
        }
        Some(wanted)
    }

    fn take(&mut self, asked: &Asked) {
        match asked {
            Asked::PlanChange(it) => {
                let units = (it.terms.price.clone(), it.terms.quantity);
                self.cancel = None;
                match it.when {
                    When::Now => {
                        self.item = Some(units);
                        self.next = None;
                    }
                    When::PeriodEnd => self.next = Some(units),
                }
            }
            Asked::Withdrawal(it) => match it.change {
                PlannedChange::Plan => self.next = None,
                PlannedChange::ToFree => self.cancel = None,
            },
            Asked::Quantity(it) => {
                for units in [&mut self.item, &mut self.next].into_iter().flatten() {
                    units.1 = it.quantity;
                }
            }
            Asked::Cancellation(it) => {
                self.cancel = Some(it.when);
                self.next = None;
            }
            Asked::Resumption(_) => self.cancel = None,
            Asked::Pause(it) => match it.mode {
                PauseMode::Collection => self.collection = Some(it.until),
                PauseMode::Subscription => self.is_paused = true,
            },
            Asked::Unpause(it) => match it.mode {
                PauseMode::Collection => self.collection = None,
                PauseMode::Subscription => self.is_paused = false,
            },
            Asked::TrialExtension(it) => self.trial_ends_at = Some(it.until),
            Asked::Coupon(_)
            | Asked::Checkout(_)
            | Asked::Subscription(_)
            | Asked::InvoicePayment(_)
            | Asked::Refund(_)
            | Asked::CustomerUpdate(_) => {}
        }
    }
}

/// Stripe has not shown it yet. What Stripe has done is in newer terms, whether or not its webhook came.
fn is_under_way(intent: &Intent, terms_as_of: Option<Timestamp>) -> bool {
    match intent.status() {
        IntentStatus::Accepted => true,
        IntentStatus::Unknown => !intent.is_settled(),
        IntentStatus::Applied => terms_as_of.is_none_or(|at| at.seconds() <= intent.asked.head().at.seconds()),
        IntentStatus::Confirmed | IntentStatus::Rejected => false,
    }
}

/// The item that carries the plan and is counted: one whose price stands for a plan, else the first.
#[must_use]
pub fn main_item<'a>(book: &SubscriptionBook, terms: &'a SubscriptionSnapshot) -> Option<&'a Item> {
    let counted = || terms.items.iter().flatten().filter(|item| !item.metered);
    counted()
        .find(|item| book.plans.contains_key(&item.price))
        .or_else(|| counted().next())
}

/// When the terms say it ends.
#[must_use]
pub fn planned_end(terms: &SubscriptionSnapshot) -> Option<When> {
    (terms.cancel_at_period_end || terms.cancel_at.is_some()).then_some(When::PeriodEnd)
}

/// The schedule that drives a subscription, if it still runs.
#[must_use]
pub fn running_schedule(
    state: &AccountState,
    id: &SubscriptionId,
    terms: &SubscriptionSnapshot,
) -> Option<(ScheduleId, ScheduleSnapshot)> {
    let named = terms.schedule.as_ref();
    let runs = |schedule: &ScheduleSnapshot| {
        crate::snapshot::Snapshot::finality(schedule) == 0 && schedule.subscription.as_ref() == Some(id)
    };
    let known = state.life.schedules.iter().filter_map(|(key, book)| {
        let schedule = book.terms()?.into_owned();
        runs(&schedule).then(|| (key.clone(), schedule))
    });
    // The one the subscription names, if it is among them; a webhook of either can be missing.
    known.max_by_key(|(key, _)| (Some(key) == named, key.clone()))
}

/// Price and quantity of the plan in the next phase.
fn planned(schedule: &ScheduleSnapshot, at: Timestamp) -> Option<PricedUnits> {
    let coming = schedule.phases.iter().filter(|phase| phase.start_at > at);
    let next: &ScheduledPhase = coming.min_by_key(|phase| phase.start_at)?;
    let counted = next
        .items
        .iter()
        .find_map(|(price, quantity)| Some((price.clone(), (*quantity)?)));
    counted.or_else(|| next.items.first().map(|(price, _)| (price.clone(), 1)))
}

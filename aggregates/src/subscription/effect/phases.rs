//! Phases of a schedule as we want them: what is to come, without losing what is.

use serde::{Deserialize, Serialize};

use super::Standing;
use crate::facts::{ScheduleSnapshot, SubscriptionStatus};
use crate::ids::PriceId;
use crate::subscription::asked::PlanChangeRequested;
use crate::time::Timestamp;

/// One phase of a schedule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Phase {
    /// First instant.
    pub start_at: Timestamp,
    /// First instant after it; none: the last phase.
    pub end_at: Option<Timestamp>,
    /// Price and quantity of each item; no quantity for metered prices.
    pub items: Vec<(PriceId, Option<u64>)>,
    /// The trial runs until then.
    pub trial_ends_at: Option<Timestamp>,
    /// Ids of the discounts that stay on.
    pub discounts: Vec<Box<str>>,
}

impl Standing<'_> {
    /// Phases of a schedule that runs. Trial and discounts are the subscription's: a phase that does not name them
    /// would end them.
    pub(super) fn phases_of(&self, schedule: &ScheduleSnapshot) -> Vec<Phase> {
        let phases = schedule.phases.iter();
        phases
            .map(|phase| self.phase(phase.start_at, phase.end_at, phase.items.clone()))
            .collect()
    }

    /// The current period as it is, and from its end on what a change asks for; none: period or items are not known.
    pub(super) fn phases_with(&self, it: &PlanChangeRequested) -> Option<Vec<Phase>> {
        let period = self.terms.period?;
        let (_, price) = self.item.as_ref()?;
        let items = self.terms.items.as_ref()?;
        let now: Vec<(PriceId, Option<u64>)> = items.iter().map(|item| (item.price.clone(), item.quantity)).collect();
        let change = |(had, quantity): &(PriceId, Option<u64>)| {
            if had == price {
                (it.terms.price.clone(), Some(it.terms.quantity))
            } else {
                (had.clone(), *quantity)
            }
        };
        let then = now.iter().map(change).collect();
        // A schedule that runs already keeps the start of its current phase.
        let known = self.schedule.iter().flat_map(|(_, phases)| phases);
        let current = known
            .filter(|phase| phase.start_at < period.end)
            .map(|phase| phase.start_at);
        let start_at = current.max().unwrap_or(period.start);
        Some(vec![
            self.phase(start_at, Some(period.end), now),
            self.phase(period.end, None, then),
        ])
    }

    fn phase(&self, start_at: Timestamp, end_at: Option<Timestamp>, items: Vec<(PriceId, Option<u64>)>) -> Phase {
        let trial = self
            .terms
            .trial
            .filter(|_| self.terms.status == SubscriptionStatus::Trialing);
        Phase {
            start_at,
            end_at,
            items,
            trial_ends_at: trial.map(|trial| trial.end).filter(|end| *end > start_at),
            discounts: self.discounts(),
        }
    }
}

/// Phases that have not ended, each with another quantity of the plan: of its price, else of the first counted one,
/// which is the plan's next price.
pub(super) fn with_quantity(phases: &[Phase], price: &PriceId, quantity: u64, now: Timestamp) -> Vec<Phase> {
    let remaining = phases.iter().filter(|phase| phase.end_at.is_none_or(|end| end > now));
    remaining
        .map(|phase| {
            let mut phase = phase.clone();
            let of_plan = phase.items.iter().position(|(it, _)| it == price);
            let counted = || phase.items.iter().position(|(_, quantity)| quantity.is_some());
            if let Some(at) = of_plan.or_else(counted)
                && let Some(item) = phase.items.get_mut(at)
            {
                item.1 = Some(quantity);
            }
            phase
        })
        .collect()
}

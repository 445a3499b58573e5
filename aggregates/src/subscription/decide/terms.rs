//! Schedules and discounts.

use super::Weighed;
use crate::facts::{ScheduleSnapshot, ScheduleStatus};
use crate::subscription::carried::Carried;
use crate::subscription::command::Refresh;
use crate::subscription::event::SubscriptionEvent as Event;
use crate::subscription::seen::{DiscountSeen, ScheduleSeen, SnapshotRecorded};
use crate::subscription::state::AccountState;
use crate::time::Timestamp;

pub(super) fn schedule(state: &AccountState, it: ScheduleSeen) -> (Vec<Event>, Vec<Refresh>) {
    let weighed = Weighed::of(state.life.schedules.get(&it.schedule), &it.seen, &it.snapshot);
    let refresh = weighed.tie(Carried::Schedule(&it));
    let mut names: Vec<fn(ScheduleSeen) -> Event> = Vec::new();
    if weighed.is_change() {
        names.push(if plans_a_change(&it.snapshot, it.seen.as_of) {
            Event::PlanChangeScheduled
        } else {
            Event::PlanChangeWithdrawn
        });
    }
    (weighed.record(it, names, SnapshotRecorded::Schedule), refresh)
}

/// A phase is still to come.
fn plans_a_change(schedule: &ScheduleSnapshot, at: Timestamp) -> bool {
    matches!(schedule.status, ScheduleStatus::NotStarted | ScheduleStatus::Active)
        && schedule.phases.iter().any(|phase| phase.start_at > at)
}

pub(super) fn discount(state: &AccountState, it: DiscountSeen) -> (Vec<Event>, Vec<Refresh>) {
    let weighed = Weighed::of(state.life.discounts.get(&it.discount), &it.seen, &it.snapshot);
    let refresh = weighed.tie(Carried::Discount(&it));
    let mut names: Vec<fn(DiscountSeen) -> Event> = Vec::new();
    if weighed.is_change() {
        names.push(if it.snapshot.removed {
            Event::DiscountRemoved
        } else {
            Event::DiscountApplied
        });
    }
    (weighed.record(it, names, SnapshotRecorded::Discount), refresh)
}

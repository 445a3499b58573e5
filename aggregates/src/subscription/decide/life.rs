//! The life of a subscription: what changed between its effective terms before and after a snapshot.

use super::Weighed;
use crate::facts::{Item, SubscriptionSnapshot, SubscriptionStatus as Status};
use crate::snapshot::{Fact, Snapshot};
use crate::subscription::carried::Carried;
use crate::subscription::command::Refresh;
use crate::subscription::event::SubscriptionEvent as Event;
use crate::subscription::seen::{ConcurrentSubscriptions, SnapshotRecorded, SubscriptionSeen};
use crate::subscription::state::{AccountState, is_live};

type Name = fn(SubscriptionSeen) -> Event;

pub(super) fn subscription(state: &AccountState, it: SubscriptionSeen) -> (Vec<Event>, Vec<Refresh>) {
    let book = state.life.subscriptions.get(&it.subscription).map(|known| &known.book);
    let weighed = Weighed::of(book, &it.seen, &it.snapshot);
    let mut refresh = weighed.tie(Carried::Subscription(&it));
    // Asked once, at first sight: terms without a price or a period answer nobody.
    if weighed.is_first() && (it.snapshot.items.is_none() || it.snapshot.period.is_none()) {
        refresh.push(Refresh::Incomplete {
            object: "subscription",
            id: it.subscription.to_string(),
        });
    }
    let mut names = match (&weighed.before, &weighed.after) {
        (None, Some(after)) => first_sight(after),
        (Some(before), Some(after)) if weighed.is_change() => changes(before, after),
        _ => Vec::new(),
    };
    if weighed.news.iter().any(|fact| matches!(fact, Fact::TrialEnding(_))) {
        names.push(Event::TrialEnding);
    }
    let concurrent = concurrent(state, &weighed, &it);
    let mut events = weighed.record(it, names, SnapshotRecorded::Subscription);
    events.extend(concurrent);
    (events, refresh)
}

fn first_sight(terms: &SubscriptionSnapshot) -> Vec<Name> {
    let mut names: Vec<Name> = vec![Event::SubscriptionStarted];
    if terms.finality() > 0 {
        names.push(Event::SubscriptionEnded);
    }
    if matches!(terms.status, Status::Unrecognised(_)) {
        names.push(Event::StatusUnrecognised);
    }
    names
}

/// The names of a change, most important first; a change without one of its own is a revision.
fn changes(before: &SubscriptionSnapshot, after: &SubscriptionSnapshot) -> Vec<Name> {
    if after.finality() > 0 && before.finality() == 0 {
        return vec![Event::SubscriptionEnded];
    }
    let mut names = Vec::new();
    status(&before.status, &after.status, &mut names);
    items(before.items.as_deref(), after.items.as_deref(), &mut names);
    cancellation(before, after, &mut names);
    collection(before, after, &mut names);
    if let (Some(old), Some(new)) = (before.trial, after.trial)
        && new.end > old.end
    {
        names.push(Event::TrialExtended);
    }
    if let (Some(old), Some(new)) = (before.period, after.period)
        && new.start > old.start
    {
        names.push(Event::PeriodAdvanced);
    }
    if names.is_empty() {
        names.push(Event::SubscriptionRevised);
    }
    names
}

fn status(before: &Status, after: &Status, names: &mut Vec<Name>) {
    if before == after {
        return;
    }
    if *before == Status::Trialing && !matches!(after, Status::Unrecognised(_)) {
        names.push(Event::TrialEnded);
    }
    match after {
        Status::Active if matches!(before, Status::PastDue | Status::Unpaid) => names.push(Event::PaymentRecovered),
        Status::Active | Status::Trialing if *before == Status::Paused => names.push(Event::SubscriptionResumed),
        Status::Active => names.push(Event::SubscriptionActivated),
        Status::PastDue => names.push(Event::PaymentOverdue),
        Status::Unpaid => names.push(Event::SubscriptionUnpaid),
        Status::Paused => names.push(Event::SubscriptionPaused),
        Status::Unrecognised(_) => names.push(Event::StatusUnrecognised),
        // Ends are told before; a trial or a first payment that begins again has no word of its own.
        Status::Trialing | Status::Incomplete | Status::IncompleteExpired | Status::Canceled => {}
    }
}

fn items(before: Option<&[Item]>, after: Option<&[Item]>, names: &mut Vec<Name>) {
    let (Some(before), Some(after)) = (before, after) else {
        return;
    };
    let find = |items: &[Item], wanted: &Item| items.iter().find(|item| item.item == wanted.item).cloned();
    let is_added = after.iter().any(|item| find(before, item).is_none());
    let is_removed = before.iter().any(|item| find(after, item).is_none());
    let kept: Vec<(Item, &Item)> = after
        .iter()
        .filter_map(|item| Some((find(before, item)?, item)))
        .collect();
    // One item taken off and another put on at once is how some clients change a plan.
    if kept.iter().any(|(old, new)| old.price != new.price) || (is_added && is_removed) {
        names.push(Event::PlanChanged);
    } else if is_added {
        names.push(Event::ItemAdded);
    } else if is_removed {
        names.push(Event::ItemRemoved);
    }
    if kept.iter().any(|(old, new)| old.quantity != new.quantity) {
        names.push(Event::QuantityChanged);
    }
}

fn cancellation(before: &SubscriptionSnapshot, after: &SubscriptionSnapshot, names: &mut Vec<Name>) {
    let planned = |terms: &SubscriptionSnapshot| (terms.cancel_at_period_end, terms.cancel_at);
    if planned(before) == planned(after) {
        return;
    }
    names.push(if planned(after) == (false, None) {
        Event::CancellationWithdrawn
    } else {
        Event::CancellationScheduled
    });
}

fn collection(before: &SubscriptionSnapshot, after: &SubscriptionSnapshot, names: &mut Vec<Name>) {
    match (&before.collection_pause, &after.collection_pause) {
        (None, Some(_)) => names.push(Event::CollectionPaused),
        (Some(_), None) => names.push(Event::CollectionResumed),
        (Some(_), Some(_)) | (None, None) => {}
    }
}

/// A further subscription runs beside others.
fn concurrent(state: &AccountState, weighed: &Weighed<SubscriptionSnapshot>, it: &SubscriptionSeen) -> Option<Event> {
    let runs = weighed.after.as_ref().is_some_and(|terms| is_live(&terms.status));
    let mut live = state.life.live();
    if !runs || live.is_empty() || live.contains(&it.subscription) {
        return None;
    }
    live.push(it.subscription.clone());
    live.sort_unstable();
    Some(Event::ConcurrentSubscriptionsFound(ConcurrentSubscriptions {
        subscriptions: live,
    }))
}

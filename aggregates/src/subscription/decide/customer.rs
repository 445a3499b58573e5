//! The customer, its contact data and what it pays with.

use std::collections::BTreeSet;

use super::Weighed;
use super::request::{Cx, record};
use crate::facts::{ContactField, CustomerSnapshot};
use crate::subscription::asked::CustomerUpdateRequested;
use crate::subscription::carried::Carried;
use crate::subscription::command::{Decision, Refresh};
use crate::subscription::event::SubscriptionEvent as Event;
use crate::subscription::rejection::Rejection;
use crate::subscription::seen::{CustomerSeen, PaymentMethodSeen, SnapshotRecorded};
use crate::subscription::state::AccountState;

pub(super) fn customer(state: &AccountState, it: CustomerSeen) -> (Vec<Event>, Vec<Refresh>) {
    let weighed = Weighed::of(state.life.customers.get(&it.customer), &it.seen, &it.snapshot);
    let refresh = weighed.tie(Carried::Customer(&it));
    let names = if weighed.is_late() {
        Vec::new()
    } else {
        names(&weighed, &it)
    };
    (weighed.record(it, names, SnapshotRecorded::Customer), refresh)
}

fn names(weighed: &Weighed<CustomerSnapshot>, it: &CustomerSeen) -> Vec<fn(CustomerSeen) -> Event> {
    let mut names: Vec<fn(CustomerSeen) -> Event> = Vec::new();
    let before = weighed.before.as_ref();
    let was_deleted = before.is_some_and(|before| before.deleted);
    if it.snapshot.deleted {
        return if was_deleted {
            names
        } else {
            vec![Event::CustomerDeleted]
        };
    }
    if !it.contact.is_empty() {
        names.push(Event::BillingContactChanged);
    }
    let balance = |terms: Option<&CustomerSnapshot>| terms.and_then(|terms| terms.balance_minor);
    // A customer begins with nothing, so a first sight of zero is no change.
    if balance(before).unwrap_or(0) != balance(weighed.after.as_ref()).unwrap_or(0) {
        names.push(Event::CustomerBalanceChanged);
    }
    if names.is_empty() && weighed.is_change() {
        names.push(Event::CustomerRevised);
    }
    names
}

pub(super) fn payment_method(state: &AccountState, it: PaymentMethodSeen) -> (Vec<Event>, Vec<Refresh>) {
    let weighed = Weighed::of(state.life.payment_methods.get(&it.method), &it.seen, &it.snapshot);
    let refresh = weighed.tie(Carried::PaymentMethod(&it));
    let mut names: Vec<fn(PaymentMethodSeen) -> Event> = Vec::new();
    if weighed.is_change() {
        names.push(Event::PaymentMethodChanged);
    }
    (weighed.record(it, names, SnapshotRecorded::PaymentMethod), refresh)
}

/// Changes contact data; the values are kept where they can be erased.
pub(super) fn update(cx: &Cx<'_>, fields: &BTreeSet<ContactField>) -> Result<Decision, Rejection> {
    let customer = cx.state.account.customer.clone().ok_or(Rejection::NoCustomer)?;
    if fields.is_empty() {
        return Ok(Decision::AlreadyApplied);
    }
    Ok(record(Event::CustomerUpdateRequested(CustomerUpdateRequested {
        intent: cx.head(),
        customer,
        fields: fields.iter().copied().collect(),
    })))
}

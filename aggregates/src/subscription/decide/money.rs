//! Charges, refunds, disputes, credit notes and checkout sessions: facts that accumulate, each recorded by its own
//! name whenever it arrives.

use super::Weighed;
use crate::snapshot::{Fact, Snapshot};
use crate::subscription::carried::Carried;
use crate::subscription::command::Refresh;
use crate::subscription::event::SubscriptionEvent as Event;
use crate::subscription::seen::{ChargeSeen, CheckoutSeen, CreditNoteSeen, DisputeSeen, RefundSeen, SnapshotRecorded};
use crate::subscription::state::AccountState;

type Name<S> = fn(S) -> Event;
type Named<S> = (fn(&Fact) -> bool, Name<S>);

/// The names of new facts, else the name of a revision, if the object has one.
fn names<S, T: Snapshot>(weighed: &Weighed<T>, named: &[Named<S>], revised: Option<Name<S>>) -> Vec<Name<S>> {
    let of = |fact: &Fact| named.iter().find(|(is, _)| is(fact)).map(|(_, name)| *name);
    let names: Vec<Name<S>> = weighed.news.iter().filter_map(of).collect();
    if names.is_empty() && weighed.is_change() {
        return revised.into_iter().collect();
    }
    names
}

pub(super) fn charge(state: &AccountState, it: ChargeSeen) -> (Vec<Event>, Vec<Refresh>) {
    let weighed = Weighed::of(state.money.charges.get(&it.charge), &it.seen, &it.snapshot);
    let refresh = weighed.tie(Carried::Charge(&it));
    let names = names(
        &weighed,
        &[
            (|fact| *fact == Fact::Succeeded, Event::ChargeSucceeded),
            (|fact| *fact == Fact::Failed, Event::ChargeFailed),
        ],
        Some(Event::ChargeRevised),
    );
    (weighed.record(it, names, SnapshotRecorded::Charge), refresh)
}

pub(super) fn refund(state: &AccountState, it: RefundSeen) -> (Vec<Event>, Vec<Refresh>) {
    let weighed = Weighed::of(state.money.refunds.get(&it.refund), &it.seen, &it.snapshot);
    let refresh = weighed.tie(Carried::Refund(&it));
    let names = names(
        &weighed,
        &[
            (|fact| *fact == Fact::Issued, Event::RefundIssued),
            (|fact| *fact == Fact::Settled, Event::RefundSettled),
            (|fact| *fact == Fact::Failed, Event::RefundFailed),
        ],
        Some(Event::RefundRevised),
    );
    (weighed.record(it, names, SnapshotRecorded::Refund), refresh)
}

pub(super) fn dispute(state: &AccountState, it: DisputeSeen) -> (Vec<Event>, Vec<Refresh>) {
    let weighed = Weighed::of(state.money.disputes.get(&it.dispute), &it.seen, &it.snapshot);
    let refresh = weighed.tie(Carried::Dispute(&it));
    let names = names(
        &weighed,
        &[
            (|fact| *fact == Fact::Opened, Event::DisputeOpened),
            (|fact| *fact == Fact::FundsWithdrawn, Event::DisputeFundsWithdrawn),
            (|fact| *fact == Fact::FundsReinstated, Event::DisputeFundsReinstated),
            (|fact| matches!(fact, Fact::Closed(_)), Event::DisputeClosed),
        ],
        Some(Event::DisputeRevised),
    );
    (weighed.record(it, names, SnapshotRecorded::Dispute), refresh)
}

pub(super) fn credit_note(state: &AccountState, it: CreditNoteSeen) -> (Vec<Event>, Vec<Refresh>) {
    let weighed = Weighed::of(state.money.credit_notes.get(&it.credit_note), &it.seen, &it.snapshot);
    let refresh = weighed.tie(Carried::CreditNote(&it));
    let names = names(
        &weighed,
        &[
            (|fact| *fact == Fact::Issued, Event::CreditNoteIssued),
            (|fact| *fact == Fact::Voided, Event::CreditNoteVoided),
        ],
        Some(Event::CreditNoteRevised),
    );
    (weighed.record(it, names, SnapshotRecorded::CreditNote), refresh)
}

/// An open session has no name of its own: it is confirmed, and its end is what counts.
pub(super) fn checkout(state: &AccountState, it: CheckoutSeen) -> (Vec<Event>, Vec<Refresh>) {
    let weighed = Weighed::of(state.money.checkouts.get(&it.session), &it.seen, &it.snapshot);
    let refresh = weighed.tie(Carried::Checkout(&it));
    let names = names(
        &weighed,
        &[
            (|fact| *fact == Fact::Completed, Event::CheckoutCompleted),
            (|fact| *fact == Fact::Expired, Event::CheckoutExpired),
            (
                |fact| matches!(fact, Fact::PaymentSettled(_)),
                Event::CheckoutPaymentSettled,
            ),
        ],
        None,
    );
    (weighed.record(it, names, SnapshotRecorded::Checkout), refresh)
}

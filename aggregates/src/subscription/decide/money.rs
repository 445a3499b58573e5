//! Charges, refunds, disputes, credit notes and checkout sessions: facts that accumulate, each recorded by its own
//! name whenever it arrives.

use super::Weighed;
use crate::snapshot::Fact;
use crate::subscription::carried::Carried;
use crate::subscription::command::Refresh;
use crate::subscription::event::SubscriptionEvent as Event;
use crate::subscription::seen::{ChargeSeen, CheckoutSeen, CreditNoteSeen, DisputeSeen, RefundSeen, SnapshotRecorded};
use crate::subscription::state::AccountState;

pub(super) fn charge(state: &AccountState, it: ChargeSeen) -> (Vec<Event>, Vec<Refresh>) {
    let weighed = Weighed::of(state.money.charges.get(&it.charge), &it.seen, &it.snapshot);
    let refresh = weighed.tie(Carried::Charge(&it));
    let mut names: Vec<fn(ChargeSeen) -> Event> = Vec::new();
    for fact in &weighed.news {
        names.push(match fact {
            Fact::Succeeded => Event::ChargeSucceeded,
            Fact::Failed => Event::ChargeFailed,
            _ => continue,
        });
    }
    if names.is_empty() && weighed.is_change() {
        names.push(Event::ChargeRevised);
    }
    (weighed.record(it, names, SnapshotRecorded::Charge), refresh)
}

pub(super) fn refund(state: &AccountState, it: RefundSeen) -> (Vec<Event>, Vec<Refresh>) {
    let weighed = Weighed::of(state.money.refunds.get(&it.refund), &it.seen, &it.snapshot);
    let refresh = weighed.tie(Carried::Refund(&it));
    let mut names: Vec<fn(RefundSeen) -> Event> = Vec::new();
    for fact in &weighed.news {
        names.push(match fact {
            Fact::Issued => Event::RefundIssued,
            Fact::Settled => Event::RefundSettled,
            Fact::Failed => Event::RefundFailed,
            _ => continue,
        });
    }
    if names.is_empty() && weighed.is_change() {
        names.push(Event::RefundRevised);
    }
    (weighed.record(it, names, SnapshotRecorded::Refund), refresh)
}

pub(super) fn dispute(state: &AccountState, it: DisputeSeen) -> (Vec<Event>, Vec<Refresh>) {
    let weighed = Weighed::of(state.money.disputes.get(&it.dispute), &it.seen, &it.snapshot);
    let refresh = weighed.tie(Carried::Dispute(&it));
    let mut names: Vec<fn(DisputeSeen) -> Event> = Vec::new();
    for fact in &weighed.news {
        names.push(match fact {
            Fact::Opened => Event::DisputeOpened,
            Fact::FundsWithdrawn => Event::DisputeFundsWithdrawn,
            Fact::FundsReinstated => Event::DisputeFundsReinstated,
            Fact::Closed(_) => Event::DisputeClosed,
            _ => continue,
        });
    }
    if names.is_empty() && weighed.is_change() {
        names.push(Event::DisputeRevised);
    }
    (weighed.record(it, names, SnapshotRecorded::Dispute), refresh)
}

pub(super) fn credit_note(state: &AccountState, it: CreditNoteSeen) -> (Vec<Event>, Vec<Refresh>) {
    let weighed = Weighed::of(state.money.credit_notes.get(&it.credit_note), &it.seen, &it.snapshot);
    let refresh = weighed.tie(Carried::CreditNote(&it));
    let mut names: Vec<fn(CreditNoteSeen) -> Event> = Vec::new();
    for fact in &weighed.news {
        names.push(match fact {
            Fact::Issued => Event::CreditNoteIssued,
            Fact::Voided => Event::CreditNoteVoided,
            _ => continue,
        });
    }
    if names.is_empty() && weighed.is_change() {
        names.push(Event::CreditNoteRevised);
    }
    (weighed.record(it, names, SnapshotRecorded::CreditNote), refresh)
}

/// An open session has no name of its own: it is confirmed, and its end is what counts.
pub(super) fn checkout(state: &AccountState, it: CheckoutSeen) -> (Vec<Event>, Vec<Refresh>) {
    let weighed = Weighed::of(state.money.checkouts.get(&it.session), &it.seen, &it.snapshot);
    let refresh = weighed.tie(Carried::Checkout(&it));
    let mut names: Vec<fn(CheckoutSeen) -> Event> = Vec::new();
    for fact in &weighed.news {
        names.push(match fact {
            Fact::Completed => Event::CheckoutCompleted,
            Fact::Expired => Event::CheckoutExpired,
            Fact::PaymentSettled(_) => Event::CheckoutPaymentSettled,
            _ => continue,
        });
    }
    (weighed.record(it, names, SnapshotRecorded::Checkout), refresh)
}

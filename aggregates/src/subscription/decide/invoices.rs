//! Invoices, what paid them, and paying them.

use super::Weighed;
use super::request::{Cx, record};
use crate::facts::{InvoiceSnapshot, InvoiceStatus};
use crate::ids::InvoiceId;
use crate::snapshot::Fact;
use crate::subscription::asked::InvoicePaymentRequested;
use crate::subscription::carried::Carried;
use crate::subscription::command::{Decision, Refresh};
use crate::subscription::event::SubscriptionEvent as Event;
use crate::subscription::intent::Asked;
use crate::subscription::rejection::Rejection;
use crate::subscription::seen::{InvoicePaymentSeen, InvoiceSeen, SnapshotRecorded};
use crate::subscription::state::AccountState;

pub(super) fn invoice(state: &AccountState, it: InvoiceSeen) -> (Vec<Event>, Vec<Refresh>) {
    let book = state.invoices.get(&it.invoice).map(|book| &book.invoice);
    let weighed = Weighed::of(book, &it.seen, &it.snapshot);
    let mut refresh = weighed.tie(Carried::Invoice(&it));
    refresh.extend(missing_lines(&weighed, &it));
    let mut names: Vec<fn(InvoiceSeen) -> Event> = weighed.news.iter().filter_map(name).collect();
    if names.is_empty() && weighed.is_change() {
        names.push(Event::InvoiceRevised);
    }
    (weighed.record(it, names, SnapshotRecorded::Invoice), refresh)
}

fn name(fact: &Fact) -> Option<fn(InvoiceSeen) -> Event> {
    match fact {
        Fact::PaymentFailed(_) => Some(Event::InvoicePaymentFailed),
        Fact::ActionRequired(_) => Some(Event::InvoiceActionRequired),
        Fact::Overdue => Some(Event::InvoiceOverdue),
        Fact::Drafted => Some(Event::InvoiceDrafted),
        Fact::Finalized => Some(Event::InvoiceFinalized),
        Fact::Paid => Some(Event::InvoicePaid),
        Fact::Voided => Some(Event::InvoiceVoided),
        Fact::Uncollectible => Some(Event::InvoiceUncollectible),
        Fact::Upcoming => Some(Event::InvoiceUpcomingNoticed),
        Fact::TrialEnding(_)
        | Fact::Succeeded
        | Fact::Failed
        | Fact::Issued
        | Fact::Settled
        | Fact::Opened
        | Fact::FundsWithdrawn
        | Fact::FundsReinstated
        | Fact::Closed(_)
        | Fact::Completed
        | Fact::Expired
        | Fact::PaymentSettled(_) => None,
    }
}

/// Asked once, at first sight. A preview has no id to ask by, a deleted draft is gone.
fn missing_lines(weighed: &Weighed<InvoiceSnapshot>, it: &InvoiceSeen) -> Option<Refresh> {
    let unknown = weighed.is_first() && it.snapshot.lines.is_none();
    let can_be_asked = !matches!(it.snapshot.status, InvoiceStatus::Upcoming | InvoiceStatus::Deleted);
    (unknown && can_be_asked).then(|| Refresh::Incomplete {
        object: "invoice",
        id: it.invoice.to_string(),
    })
}

pub(super) fn payment(state: &AccountState, it: InvoicePaymentSeen) -> (Vec<Event>, Vec<Refresh>) {
    let book = state.invoices.get(&it.snapshot.invoice);
    let book = book.and_then(|book| book.payments.get(&it.payment));
    let weighed = Weighed::of(book, &it.seen, &it.snapshot);
    let refresh = weighed.tie(Carried::InvoicePayment(&it));
    let mut names: Vec<fn(InvoicePaymentSeen) -> Event> = Vec::new();
    if weighed.is_change() {
        names.push(Event::InvoicePaymentLinked);
    }
    (weighed.record(it, names, SnapshotRecorded::InvoicePayment), refresh)
}

/// Pays an invoice with the payment method on file.
pub(super) fn pay(cx: &Cx<'_>, invoice: &InvoiceId) -> Result<Decision, Rejection> {
    let terms = cx.state.invoices.get(invoice).and_then(|book| book.invoice.terms());
    let refuse = |standing: Option<&str>| Rejection::InvoiceNotPayable {
        invoice: invoice.clone(),
        standing: standing.map(Into::into),
    };
    let terms = terms.ok_or_else(|| refuse(None))?;
    let is_open = matches!(terms.status, InvoiceStatus::Open | InvoiceStatus::Uncollectible);
    if !is_open || terms.amount_remaining_minor <= 0 {
        return Err(refuse(Some(terms.status.as_str())));
    }
    let is_asked = cx.state.intents.iter().any(|intent| {
        matches!(&intent.asked, Asked::InvoicePayment(it) if it.invoice == *invoice) && !intent.status().is_final()
    });
    if is_asked {
        return Ok(Decision::AlreadyApplied);
    }
    Ok(record(Event::InvoicePaymentRequested(InvoicePaymentRequested {
        intent: cx.head(),
        invoice: invoice.clone(),
        amount_minor: terms.amount_remaining_minor,
        currency: terms.currency,
    })))
}

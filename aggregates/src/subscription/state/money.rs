//! Money of an account outside its invoices.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::facts::{ChargeSnapshot, CheckoutSnapshot, CreditNoteSnapshot, DisputeSnapshot, RefundSnapshot};
use crate::ids::{ChargeId, CheckoutSessionId, CreditNoteId, DisputeId, RefundId};
use crate::register::Book;
use crate::subscription::carried::Carried;
use crate::subscription::event::SubscriptionEvent;

/// Charges, refunds, disputes, credit notes and checkout sessions by id.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MoneyBook {
    /// Charges.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub charges: BTreeMap<ChargeId, Book<ChargeSnapshot>>,
    /// Refunds.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub refunds: BTreeMap<RefundId, Book<RefundSnapshot>>,
    /// Disputes.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub disputes: BTreeMap<DisputeId, Book<DisputeSnapshot>>,
    /// Credit notes.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub credit_notes: BTreeMap<CreditNoteId, Book<CreditNoteSnapshot>>,
    /// Checkout sessions.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub checkouts: BTreeMap<CheckoutSessionId, Book<CheckoutSnapshot>>,
}

impl MoneyBook {
    /// Takes one event; tells whether it was one of these.
    pub fn apply(&mut self, event: &SubscriptionEvent) -> bool {
        match event.carried() {
            Some(Carried::Charge(it)) => {
                let book = self.charges.entry(it.charge.clone()).or_default();
                book.apply(&it.seen, &it.snapshot);
            }
            Some(Carried::Refund(it)) => {
                let book = self.refunds.entry(it.refund.clone()).or_default();
                book.apply(&it.seen, &it.snapshot);
            }
            Some(Carried::Dispute(it)) => {
                let book = self.disputes.entry(it.dispute.clone()).or_default();
                book.apply(&it.seen, &it.snapshot);
            }
            Some(Carried::CreditNote(it)) => {
                let book = self.credit_notes.entry(it.credit_note.clone()).or_default();
                book.apply(&it.seen, &it.snapshot);
            }
            Some(Carried::Checkout(it)) => {
                let book = self.checkouts.entry(it.session.clone()).or_default();
                book.apply(&it.seen, &it.snapshot);
            }
            Some(
                Carried::Customer(_)
                | Carried::Subscription(_)
                | Carried::Schedule(_)
                | Carried::Discount(_)
                | Carried::PaymentMethod(_)
                | Carried::Invoice(_)
                | Carried::InvoicePayment(_),
            )
            | None => return false,
        }
        true
    }
}

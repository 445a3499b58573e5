//! One invoice of an account.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::facts::{InvoicePaymentSnapshot, InvoiceSnapshot};
use crate::ids::InvoicePaymentId;
use crate::register::Book;
use crate::subscription::carried::Carried;
use crate::subscription::event::SubscriptionEvent;

/// One invoice with its payments. Lines, tax, payment and charge can be unknown in the newest snapshot: ask for
/// `invoice.terms()`. A payment can be known before its invoice.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct InvoiceBook {
    /// The invoice itself.
    pub invoice: Book<InvoiceSnapshot>,
    /// What paid it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub payments: BTreeMap<InvoicePaymentId, Book<InvoicePaymentSnapshot>>,
}

impl InvoiceBook {
    /// Takes one event of this invoice ([`Carried::invoice`] names it); tells whether it was one of these.
    pub fn apply(&mut self, event: &SubscriptionEvent) -> bool {
        match event.carried() {
            Some(Carried::Invoice(it)) => self.invoice.apply(&it.seen, &it.snapshot),
            Some(Carried::InvoicePayment(it)) => {
                let book = self.payments.entry(it.payment.clone()).or_default();
                book.apply(&it.seen, &it.snapshot);
            }
            Some(
                Carried::Customer(_)
                | Carried::Subscription(_)
                | Carried::Schedule(_)
                | Carried::Checkout(_)
                | Carried::Discount(_)
                | Carried::PaymentMethod(_)
                | Carried::Charge(_)
                | Carried::Refund(_)
                | Carried::Dispute(_)
                | Carried::CreditNote(_),
            )
            | None => return false,
        }
        true
    }
}

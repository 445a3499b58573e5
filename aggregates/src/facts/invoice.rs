//! Invoices, their lines and their payments.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Period, open_words};
use crate::ids::{ChargeId, CustomerId, InvoiceId, ItemId, LineId, PaymentIntentId, PriceId, SubscriptionId};
use crate::money::Currency;
use crate::snapshot::{Fact, Notice, Seen, Snapshot};
use crate::time::Timestamp;

open_words! {
    /// Stripe's status of an invoice.
    InvoiceStatus {
        /// Can still change.
        Draft = "draft",
        /// Finalized, not paid.
        Open = "open",
        /// Paid.
        Paid = "paid",
        /// Written off by hand or by rule; can still be paid.
        Uncollectible = "uncollectible",
        /// Withdrawn. Terminal.
        Void = "void",
        /// A draft that was deleted. Terminal.
        Deleted = "deleted",
        /// A preview that Stripe sent before the invoice exists.
        Upcoming = "upcoming",
    }
}

open_words! {
    /// What a line of an invoice bills.
    LineKind {
        /// The price of a period.
        Subscription = "subscription",
        /// The difference of a change inside a period; negative for time not used.
        Proration = "proration",
        /// Metered use.
        Usage = "usage",
        /// A one-off item.
        Item = "item",
    }
}

/// One line of an invoice with the period it serves.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct InvoiceLine {
    /// Stripe's id of the line.
    pub line: LineId,
    /// What it bills.
    pub kind: LineKind,
    /// Amount before tax and discounts as Stripe states it, in minor units.
    pub amount_minor: i64,
    /// Discount on the line, in minor units.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub discount_minor: i64,
    /// Tax on the line, in minor units, as listed.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub tax_minor: i64,
    /// Its price; none for a one-off amount.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub price: Option<PriceId>,
    /// How many; none when Stripe says none or a fraction.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quantity: Option<u64>,
    /// The subscription it bills.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subscription: Option<SubscriptionId>,
    /// The subscription item it bills.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub item: Option<ItemId>,
    /// The time it serves; revenue is recognised over it.
    pub period: Period,
}

/// An invoice as it stood.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct InvoiceSnapshot {
    /// Whose it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub customer: Option<CustomerId>,
    /// The subscription it bills; none for a manual invoice.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subscription: Option<SubscriptionId>,
    /// Stripe's status.
    pub status: InvoiceStatus,
    /// Its number; none until finalized.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub number: Option<Box<str>>,
    /// Why it was made: Stripe's word.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub billing_reason: Option<Box<str>>,
    /// `charge_automatically` or `send_invoice`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub collection_method: Option<Box<str>>,
    /// Currency of every amount on it.
    pub currency: Currency,
    /// Sum of the lines before discounts and exclusive tax.
    pub subtotal_minor: i64,
    /// Discounts on the whole invoice and its lines.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub discount_minor: i64,
    /// Tax; none = *unknown*.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tax_minor: Option<i64>,
    /// What the invoice comes to.
    pub total_minor: i64,
    /// What is to be paid after the customer's balance.
    pub amount_due_minor: i64,
    /// What was paid.
    pub amount_paid_minor: i64,
    /// What is still to be paid.
    pub amount_remaining_minor: i64,
    /// What was paid beyond the amount due.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub amount_overpaid_minor: i64,
    /// The customer's balance before it (negative = credit).
    #[serde(default, skip_serializing_if = "is_zero")]
    pub starting_balance_minor: i64,
    /// The customer's balance after it, once finalized.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ending_balance_minor: Option<i64>,
    /// Credit notes issued before payment.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub credited_before_payment_minor: i64,
    /// Credit notes issued after payment.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub credited_after_payment_minor: i64,
    /// Paid outside Stripe.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub paid_out_of_band: bool,
    /// Payment attempts so far.
    pub attempt_count: u32,
    /// When Stripe tries again; none: it will not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_attempt_at: Option<Timestamp>,
    /// Stripe goes on with it by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auto_advance: Option<bool>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it is due, if it is sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub due_at: Option<Timestamp>,
    /// When it was finalized.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finalized_at: Option<Timestamp>,
    /// When it was paid.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paid_at: Option<Timestamp>,
    /// When it was voided.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub voided_at: Option<Timestamp>,
    /// When it was written off.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uncollectible_at: Option<Timestamp>,
    /// The times above are the event's, because this version has none.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub times_approximate: bool,
    /// The period the invoice looks back on (Stripe's `period_start`, `period_end`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub period: Option<Period>,
    /// Its payment, where the version says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payment_intent: Option<PaymentIntentId>,
    /// Its charge, where the version says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub charge: Option<ChargeId>,
    /// Code of the error that stopped finalization.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finalization_error: Option<Box<str>>,
    /// Its lines; none = *unknown* (not sent, or not all of them).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lines: Option<Vec<InvoiceLine>>,
}

impl Snapshot for InvoiceSnapshot {
    fn finality(&self) -> u8 {
        u8::from(matches!(self.status, InvoiceStatus::Void | InvoiceStatus::Deleted))
    }
    fn ladder(&self) -> u8 {
        match self.status {
            InvoiceStatus::Unrecognised(_) | InvoiceStatus::Upcoming => 0,
            InvoiceStatus::Draft => 1,
            InvoiceStatus::Open => 2,
            InvoiceStatus::Uncollectible => 3,
            InvoiceStatus::Paid => 4,
            InvoiceStatus::Void => 5,
            InvoiceStatus::Deleted => 6,
        }
    }
    fn knows(&self) -> u8 {
        u8::from(self.lines.is_some())
            | u8::from(self.tax_minor.is_some()) << 1
            | u8::from(self.payment_intent.is_some()) << 2
            | u8::from(self.charge.is_some()) << 3
    }
    fn take(&mut self, field: u8, from: &Self) {
        match field {
            1 => self.lines.clone_from(&from.lines),
            2 => self.tax_minor = from.tax_minor,
            4 => self.payment_intent.clone_from(&from.payment_intent),
            8 => self.charge.clone_from(&from.charge),
            _ => {}
        }
    }
    fn facts(&self, seen: &Seen) -> Vec<Fact> {
        let noticed = match seen.notice {
            Some(Notice::PaymentFailed) => Some(Fact::PaymentFailed(self.attempt_count)),
            Some(Notice::ActionRequired) => Some(Fact::ActionRequired(self.attempt_count)),
            Some(Notice::Overdue) => Some(Fact::Overdue),
            _ => None,
        };
        let stands = match self.status {
            InvoiceStatus::Draft => Some(Fact::Drafted),
            InvoiceStatus::Open => Some(Fact::Finalized),
            InvoiceStatus::Paid => Some(Fact::Paid),
            InvoiceStatus::Uncollectible => Some(Fact::Uncollectible),
            InvoiceStatus::Void | InvoiceStatus::Deleted => Some(Fact::Voided),
            InvoiceStatus::Upcoming => Some(Fact::Upcoming),
            InvoiceStatus::Unrecognised(_) => None,
        };
        noticed.into_iter().chain(stands).collect()
    }
}

/// What ties an invoice to the payment that paid it (basil and later).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct InvoicePaymentSnapshot {
    /// The invoice.
    pub invoice: InvoiceId,
    /// The payment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payment_intent: Option<PaymentIntentId>,
    /// The charge.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub charge: Option<ChargeId>,
    /// What it paid of the invoice.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub amount_paid_minor: Option<i64>,
    /// Currency of the amount.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub currency: Option<Currency>,
    /// `open`, `paid` or `canceled`.
    pub status: Box<str>,
    /// When.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paid_at: Option<Timestamp>,
}

impl Snapshot for InvoicePaymentSnapshot {
    fn finality(&self) -> u8 {
        u8::from(matches!(&*self.status, "paid" | "canceled"))
    }
    fn ladder(&self) -> u8 {
        match &*self.status {
            "open" => 1,
            "canceled" => 2,
            "paid" => 3,
            _ => 0,
        }
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands the field by reference")]
fn is_zero(amount: &i64) -> bool {
    *amount == 0
}

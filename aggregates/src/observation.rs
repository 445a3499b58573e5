//! Observations: what one source says about one Stripe object, in our words.
//!
//! Webhooks, fetched objects, reconciliation and import all become observations, so there is one code path for every
//! source of truth about Stripe.

use crate::facts::{
    CatalogueSnapshot, ChargeSnapshot, CheckoutSnapshot, ContactField, CreditNoteSnapshot, CustomerSnapshot,
    DiscountSnapshot, DisputeSnapshot, InvoicePaymentSnapshot, InvoiceSnapshot, PaymentMethodSnapshot, RefundSnapshot,
    ScheduleSnapshot, SubscriptionSnapshot,
};
use crate::ids::{
    ChargeId, CheckoutSessionId, CreditNoteId, CustomerId, DiscountId, DisputeId, IntentId, InvoiceId,
    InvoicePaymentId, PaymentMethodId, RefundId, ScheduleId, SubscriptionId, TenantId,
};
use crate::snapshot::Seen;

/// A fact about one object of an account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Observation {
    /// Header: time, rank, past, notice.
    pub seen: Seen,
    /// The tenant the object names, if any.
    pub tenant_hint: Option<TenantId>,
    /// The intent Stripe names as the request behind it, by its idempotency key; whoever observes the answer to the
    /// call of an intent names that intent.
    pub echo: Option<IntentId>,
    /// The object.
    pub object: Observed,
}

/// A snapshot of an object that belongs to an account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Observed {
    /// A customer; `contact` names the contact fields this snapshot sets or changes.
    Customer {
        customer: CustomerId,
        snapshot: CustomerSnapshot,
        contact: Vec<ContactField>,
    },
    /// A subscription.
    Subscription {
        subscription: SubscriptionId,
        snapshot: SubscriptionSnapshot,
    },
    /// A subscription schedule.
    Schedule {
        schedule: ScheduleId,
        snapshot: ScheduleSnapshot,
    },
    /// A checkout session.
    Checkout {
        session: CheckoutSessionId,
        snapshot: CheckoutSnapshot,
    },
    /// A discount.
    Discount {
        discount: DiscountId,
        snapshot: DiscountSnapshot,
    },
    /// A payment method.
    PaymentMethod {
        method: PaymentMethodId,
        snapshot: PaymentMethodSnapshot,
    },
    /// An invoice.
    Invoice {
        invoice: InvoiceId,
        snapshot: InvoiceSnapshot,
    },
    /// A payment of an invoice.
    InvoicePayment {
        payment: InvoicePaymentId,
        snapshot: InvoicePaymentSnapshot,
    },
    /// A charge.
    Charge { charge: ChargeId, snapshot: ChargeSnapshot },
    /// A refund.
    Refund { refund: RefundId, snapshot: RefundSnapshot },
    /// A dispute.
    Dispute {
        dispute: DisputeId,
        snapshot: DisputeSnapshot,
    },
    /// A credit note.
    CreditNote {
        credit_note: CreditNoteId,
        snapshot: CreditNoteSnapshot,
    },
}

/// A fact about an object that belongs to no account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectObservation {
    /// Header.
    pub seen: Seen,
    /// The object's Stripe id; its stream is named after it.
    pub id: Box<str>,
    /// The object.
    pub snapshot: CatalogueSnapshot,
}

//! What the events of an account carry.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::facts::{
    ChargeSnapshot, CheckoutSnapshot, ContactField, CreditNoteSnapshot, CustomerSnapshot, DiscountSnapshot,
    DisputeSnapshot, InvoicePaymentSnapshot, InvoiceSnapshot, PaymentMethodSnapshot, RefundSnapshot, ScheduleSnapshot,
    SubscriptionSnapshot,
};
use crate::ids::{
    ChargeId, CheckoutSessionId, CreditNoteId, CustomerId, DiscountId, DisputeId, InvoiceId, InvoicePaymentId,
    PaymentMethodId, PlanCode, PriceId, RefundId, ScheduleId, SubscriptionId, TenantId,
};
use crate::money::Currency;
use crate::snapshot::Seen;

/// A plan of the catalogue as it was when the event was recorded: code and catalogue version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PlanRef {
    /// Code in the catalogue.
    pub code: PlanCode,
    /// Catalogue version whose terms hold.
    pub version: u32,
}

/// The account was opened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AccountOpened {
    /// Its tenant, if known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant: Option<TenantId>,
    /// The currency it is to be billed in, if stated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub currency: Option<Currency>,
}

/// A Stripe customer belongs to the account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CustomerLinked {
    /// The customer.
    pub customer: CustomerId,
}

/// A tenant was learnt for an account that had none.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TenantAssigned {
    /// The tenant.
    pub tenant: TenantId,
    /// Why, when a person assigned it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<Box<str>>,
}

/// More than one subscription is live.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ConcurrentSubscriptions {
    /// All live ones, by id.
    pub subscriptions: Vec<SubscriptionId>,
}

/// A customer as one source showed it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CustomerSeen {
    /// The customer.
    pub customer: CustomerId,
    /// Header of the snapshot.
    pub seen: Seen,
    /// Contact fields this snapshot sets or changes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub contact: Vec<ContactField>,
    /// How it stood.
    pub snapshot: CustomerSnapshot,
}

/// A subscription as one source showed it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SubscriptionSeen {
    /// The subscription.
    pub subscription: SubscriptionId,
    /// Header of the snapshot.
    pub seen: Seen,
    /// Plans its prices stood for when this was recorded; a price without one is unmapped.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub plans: BTreeMap<PriceId, PlanRef>,
    /// How it stood.
    pub snapshot: SubscriptionSnapshot,
}

/// A schedule as one source showed it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ScheduleSeen {
    /// The schedule.
    pub schedule: ScheduleId,
    /// Header of the snapshot.
    pub seen: Seen,
    /// How it stood.
    pub snapshot: ScheduleSnapshot,
}

/// A checkout session as one source showed it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CheckoutSeen {
    /// The session.
    pub session: CheckoutSessionId,
    /// Header of the snapshot.
    pub seen: Seen,
    /// How it stood.
    pub snapshot: CheckoutSnapshot,
}

/// A discount as one source showed it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DiscountSeen {
    /// The discount.
    pub discount: DiscountId,
    /// Header of the snapshot.
    pub seen: Seen,
    /// How it stood.
    pub snapshot: DiscountSnapshot,
}

/// A payment method as one source showed it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PaymentMethodSeen {
    /// The payment method.
    pub method: PaymentMethodId,
    /// Header of the snapshot.
    pub seen: Seen,
    /// How it stood.
    pub snapshot: PaymentMethodSnapshot,
}

/// An invoice as one source showed it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct InvoiceSeen {
    /// The invoice.
    pub invoice: InvoiceId,
    /// Header of the snapshot.
    pub seen: Seen,
    /// How it stood.
    pub snapshot: InvoiceSnapshot,
}

/// A payment of an invoice as one source showed it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct InvoicePaymentSeen {
    /// The invoice payment.
    pub payment: InvoicePaymentId,
    /// Header of the snapshot.
    pub seen: Seen,
    /// How it stood.
    pub snapshot: InvoicePaymentSnapshot,
}

/// A charge as one source showed it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ChargeSeen {
    /// The charge.
    pub charge: ChargeId,
    /// Header of the snapshot.
    pub seen: Seen,
    /// How it stood.
    pub snapshot: ChargeSnapshot,
}

/// A refund as one source showed it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RefundSeen {
    /// The refund.
    pub refund: RefundId,
    /// Header of the snapshot.
    pub seen: Seen,
    /// How it stood.
    pub snapshot: RefundSnapshot,
}

/// A dispute as one source showed it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DisputeSeen {
    /// The dispute.
    pub dispute: DisputeId,
    /// Header of the snapshot.
    pub seen: Seen,
    /// How it stood.
    pub snapshot: DisputeSnapshot,
}

/// A credit note as one source showed it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CreditNoteSeen {
    /// The credit note.
    pub credit_note: CreditNoteId,
    /// Header of the snapshot.
    pub seen: Seen,
    /// How it stood.
    pub snapshot: CreditNoteSnapshot,
}

/// A snapshot recorded without a word of its own: it confirms what was known, or completes the past.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SnapshotRecorded {
    /// Of that kind.
    Customer(CustomerSeen),
    /// Of that kind.
    Subscription(SubscriptionSeen),
    /// Of that kind.
    Schedule(ScheduleSeen),
    /// Of that kind.
    Checkout(CheckoutSeen),
    /// Of that kind.
    Discount(DiscountSeen),
    /// Of that kind.
    PaymentMethod(PaymentMethodSeen),
    /// Of that kind.
    Invoice(InvoiceSeen),
    /// Of that kind.
    InvoicePayment(InvoicePaymentSeen),
    /// Of that kind.
    Charge(ChargeSeen),
    /// Of that kind.
    Refund(RefundSeen),
    /// Of that kind.
    Dispute(DisputeSeen),
    /// Of that kind.
    CreditNote(CreditNoteSeen),
}

//! The snapshot an event carries, whatever the event is called.
//!
//! Folds look at this and never at the event's name: names say how a snapshot looked when it arrived, the registers
//! say what is true of the set.

use super::event::SubscriptionEvent;
use super::seen::{
    ChargeSeen, CheckoutSeen, CreditNoteSeen, CustomerSeen, DiscountSeen, DisputeSeen, InvoicePaymentSeen, InvoiceSeen,
    PaymentMethodSeen, RefundSeen, ScheduleSeen, SnapshotRecorded, SubscriptionSeen,
};
use crate::ids::{CustomerId, InvoiceId};
use crate::snapshot::{Fingerprint, Seen, SnapshotId};

/// A borrowed snapshot with its object and header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Carried<'a> {
    /// Of that kind.
    Customer(&'a CustomerSeen),
    /// Of that kind.
    Subscription(&'a SubscriptionSeen),
    /// Of that kind.
    Schedule(&'a ScheduleSeen),
    /// Of that kind.
    Checkout(&'a CheckoutSeen),
    /// Of that kind.
    Discount(&'a DiscountSeen),
    /// Of that kind.
    PaymentMethod(&'a PaymentMethodSeen),
    /// Of that kind.
    Invoice(&'a InvoiceSeen),
    /// Of that kind.
    InvoicePayment(&'a InvoicePaymentSeen),
    /// Of that kind.
    Charge(&'a ChargeSeen),
    /// Of that kind.
    Refund(&'a RefundSeen),
    /// Of that kind.
    Dispute(&'a DisputeSeen),
    /// Of that kind.
    CreditNote(&'a CreditNoteSeen),
}

impl<'a> Carried<'a> {
    /// Header of the snapshot.
    #[must_use]
    pub const fn seen(self) -> &'a Seen {
        match self {
            Self::Customer(it) => &it.seen,
            Self::Subscription(it) => &it.seen,
            Self::Schedule(it) => &it.seen,
            Self::Checkout(it) => &it.seen,
            Self::Discount(it) => &it.seen,
            Self::PaymentMethod(it) => &it.seen,
            Self::Invoice(it) => &it.seen,
            Self::InvoicePayment(it) => &it.seen,
            Self::Charge(it) => &it.seen,
            Self::Refund(it) => &it.seen,
            Self::Dispute(it) => &it.seen,
            Self::CreditNote(it) => &it.seen,
        }
    }

    /// Stripe's word for the object and its id.
    #[must_use]
    pub fn object(self) -> (&'static str, &'a str) {
        match self {
            Self::Customer(it) => ("customer", it.customer.as_str()),
            Self::Subscription(it) => ("subscription", it.subscription.as_str()),
            Self::Schedule(it) => ("subscription_schedule", it.schedule.as_str()),
            Self::Checkout(it) => ("checkout.session", it.session.as_str()),
            Self::Discount(it) => ("discount", it.discount.as_str()),
            Self::PaymentMethod(it) => ("payment_method", it.method.as_str()),
            Self::Invoice(it) => ("invoice", it.invoice.as_str()),
            Self::InvoicePayment(it) => ("invoice_payment", it.payment.as_str()),
            Self::Charge(it) => ("charge", it.charge.as_str()),
            Self::Refund(it) => ("refund", it.refund.as_str()),
            Self::Dispute(it) => ("dispute", it.dispute.as_str()),
            Self::CreditNote(it) => ("credit_note", it.credit_note.as_str()),
        }
    }

    /// The invoice whose row it touches.
    #[must_use]
    pub const fn invoice(self) -> Option<&'a InvoiceId> {
        match self {
            Self::Invoice(it) => Some(&it.invoice),
            Self::InvoicePayment(it) => Some(&it.snapshot.invoice),
            Self::Customer(_)
            | Self::Subscription(_)
            | Self::Schedule(_)
            | Self::Checkout(_)
            | Self::Discount(_)
            | Self::PaymentMethod(_)
            | Self::Charge(_)
            | Self::Refund(_)
            | Self::Dispute(_)
            | Self::CreditNote(_) => None,
        }
    }

    /// The Stripe customer the object names.
    #[must_use]
    pub const fn customer(self) -> Option<&'a CustomerId> {
        match self {
            Self::Customer(it) => Some(&it.customer),
            Self::Subscription(it) => Some(&it.snapshot.customer),
            Self::Schedule(it) => it.snapshot.customer.as_ref(),
            Self::Checkout(it) => it.snapshot.customer.as_ref(),
            Self::Invoice(it) => it.snapshot.customer.as_ref(),
            Self::Charge(it) => it.snapshot.customer.as_ref(),
            Self::Refund(it) => it.snapshot.customer.as_ref(),
            Self::CreditNote(it) => it.snapshot.customer.as_ref(),
            Self::Discount(_) | Self::PaymentMethod(_) | Self::InvoicePayment(_) | Self::Dispute(_) => None,
        }
    }

    /// An owned copy.
    #[must_use]
    pub fn to_recorded(self) -> SnapshotRecorded {
        match self {
            Self::Customer(it) => SnapshotRecorded::Customer(it.clone()),
            Self::Subscription(it) => SnapshotRecorded::Subscription(it.clone()),
            Self::Schedule(it) => SnapshotRecorded::Schedule(it.clone()),
            Self::Checkout(it) => SnapshotRecorded::Checkout(it.clone()),
            Self::Discount(it) => SnapshotRecorded::Discount(it.clone()),
            Self::PaymentMethod(it) => SnapshotRecorded::PaymentMethod(it.clone()),
            Self::Invoice(it) => SnapshotRecorded::Invoice(it.clone()),
            Self::InvoicePayment(it) => SnapshotRecorded::InvoicePayment(it.clone()),
            Self::Charge(it) => SnapshotRecorded::Charge(it.clone()),
            Self::Refund(it) => SnapshotRecorded::Refund(it.clone()),
            Self::Dispute(it) => SnapshotRecorded::Dispute(it.clone()),
            Self::CreditNote(it) => SnapshotRecorded::CreditNote(it.clone()),
        }
    }

    /// The same for all that say the same of the same object with the same header. The plans a price stood for when it
    /// was recorded are ours, not the source's, and do not count.
    #[must_use]
    pub fn snapshot_id(self) -> SnapshotId {
        let (kind, _) = self.object();
        match self {
            Self::Customer(it) => SnapshotId::of(&(kind, it)),
            Self::Subscription(it) => SnapshotId::of(&(kind, &it.subscription, &it.seen, &it.snapshot)),
            Self::Schedule(it) => SnapshotId::of(&(kind, it)),
            Self::Checkout(it) => SnapshotId::of(&(kind, it)),
            Self::Discount(it) => SnapshotId::of(&(kind, it)),
            Self::PaymentMethod(it) => SnapshotId::of(&(kind, it)),
            Self::Invoice(it) => SnapshotId::of(&(kind, it)),
            Self::InvoicePayment(it) => SnapshotId::of(&(kind, it)),
            Self::Charge(it) => SnapshotId::of(&(kind, it)),
            Self::Refund(it) => SnapshotId::of(&(kind, it)),
            Self::Dispute(it) => SnapshotId::of(&(kind, it)),
            Self::CreditNote(it) => SnapshotId::of(&(kind, it)),
        }
    }

    /// Fingerprint of the content alone.
    #[must_use]
    pub fn fingerprint(self) -> Fingerprint {
        match self {
            Self::Customer(it) => Fingerprint::of(&(&it.snapshot, &it.contact)),
            Self::Subscription(it) => Fingerprint::of(&it.snapshot),
            Self::Schedule(it) => Fingerprint::of(&it.snapshot),
            Self::Checkout(it) => Fingerprint::of(&it.snapshot),
            Self::Discount(it) => Fingerprint::of(&it.snapshot),
            Self::PaymentMethod(it) => Fingerprint::of(&it.snapshot),
            Self::Invoice(it) => Fingerprint::of(&it.snapshot),
            Self::InvoicePayment(it) => Fingerprint::of(&it.snapshot),
            Self::Charge(it) => Fingerprint::of(&it.snapshot),
            Self::Refund(it) => Fingerprint::of(&it.snapshot),
            Self::Dispute(it) => Fingerprint::of(&it.snapshot),
            Self::CreditNote(it) => Fingerprint::of(&it.snapshot),
        }
    }
}

impl SnapshotRecorded {
    /// The snapshot, borrowed.
    #[must_use]
    pub const fn carried(&self) -> Carried<'_> {
        match self {
            Self::Customer(it) => Carried::Customer(it),
            Self::Subscription(it) => Carried::Subscription(it),
            Self::Schedule(it) => Carried::Schedule(it),
            Self::Checkout(it) => Carried::Checkout(it),
            Self::Discount(it) => Carried::Discount(it),
            Self::PaymentMethod(it) => Carried::PaymentMethod(it),
            Self::Invoice(it) => Carried::Invoice(it),
            Self::InvoicePayment(it) => Carried::InvoicePayment(it),
            Self::Charge(it) => Carried::Charge(it),
            Self::Refund(it) => Carried::Refund(it),
            Self::Dispute(it) => Carried::Dispute(it),
            Self::CreditNote(it) => Carried::CreditNote(it),
        }
    }
}

impl SubscriptionEvent {
    /// The snapshot it carries; none for what did not come from Stripe.
    #[must_use]
    #[expect(
        clippy::too_many_lines,
        reason = "one table over all events, so that the compiler lists a new one"
    )]
    pub const fn carried(&self) -> Option<Carried<'_>> {
        Some(match self {
            Self::PaymentMethodChanged(it) => Carried::PaymentMethod(it),
            Self::BillingContactChanged(it)
            | Self::CustomerDeleted(it)
            | Self::CustomerRevised(it)
            | Self::CustomerBalanceChanged(it) => Carried::Customer(it),
            Self::CheckoutCompleted(it) | Self::CheckoutExpired(it) | Self::CheckoutPaymentSettled(it) => {
                Carried::Checkout(it)
            }
            Self::SubscriptionStarted(it)
            | Self::TrialEnding(it)
            | Self::TrialExtended(it)
            | Self::TrialEnded(it)
            | Self::SubscriptionActivated(it)
            | Self::PlanChanged(it)
            | Self::QuantityChanged(it)
            | Self::ItemAdded(it)
            | Self::ItemRemoved(it)
            | Self::PeriodAdvanced(it)
            | Self::CancellationScheduled(it)
            | Self::CancellationWithdrawn(it)
            | Self::SubscriptionPaused(it)
            | Self::SubscriptionResumed(it)
            | Self::CollectionPaused(it)
            | Self::CollectionResumed(it)
            | Self::PaymentOverdue(it)
            | Self::SubscriptionUnpaid(it)
            | Self::PaymentRecovered(it)
            | Self::SubscriptionEnded(it)
            | Self::SubscriptionRevised(it)
            | Self::StatusUnrecognised(it) => Carried::Subscription(it),
            Self::PlanChangeScheduled(it) | Self::PlanChangeWithdrawn(it) => Carried::Schedule(it),
            Self::DiscountApplied(it) | Self::DiscountRemoved(it) => Carried::Discount(it),
            Self::InvoiceDrafted(it)
            | Self::InvoiceFinalized(it)
            | Self::InvoiceUpcomingNoticed(it)
            | Self::InvoicePaid(it)
            | Self::InvoicePaymentFailed(it)
            | Self::InvoiceActionRequired(it)
            | Self::InvoiceOverdue(it)
            | Self::InvoiceVoided(it)
            | Self::InvoiceUncollectible(it)
            | Self::InvoiceRevised(it) => Carried::Invoice(it),
            Self::InvoicePaymentLinked(it) => Carried::InvoicePayment(it),
            Self::ChargeSucceeded(it) | Self::ChargeFailed(it) | Self::ChargeRevised(it) => Carried::Charge(it),
            Self::RefundIssued(it) | Self::RefundSettled(it) | Self::RefundFailed(it) | Self::RefundRevised(it) => {
                Carried::Refund(it)
            }
            Self::DisputeOpened(it)
            | Self::DisputeFundsWithdrawn(it)
            | Self::DisputeFundsReinstated(it)
            | Self::DisputeClosed(it)
            | Self::DisputeRevised(it) => Carried::Dispute(it),
            Self::CreditNoteIssued(it) | Self::CreditNoteVoided(it) | Self::CreditNoteRevised(it) => {
                Carried::CreditNote(it)
            }
            Self::SnapshotConfirmed(it) | Self::LateSnapshotRecorded(it) => it.carried(),
            Self::AccountOpened(_)
            | Self::CustomerLinked(_)
            | Self::TenantAssigned(_)
            | Self::ConcurrentSubscriptionsFound(_)
            | Self::CheckoutRequested(_)
            | Self::CheckoutStarted(_)
            | Self::PortalSessionOpened(_)
            | Self::SubscriptionRequested(_)
            | Self::PlanChangeRequested(_)
            | Self::PlanChangeWithdrawalRequested(_)
            | Self::QuantityChangeRequested(_)
            | Self::CancellationRequested(_)
            | Self::ResumptionRequested(_)
            | Self::PauseRequested(_)
            | Self::UnpauseRequested(_)
            | Self::CouponRequested(_)
            | Self::TrialExtensionRequested(_)
            | Self::InvoicePaymentRequested(_)
            | Self::RefundRequested(_)
            | Self::CustomerUpdateRequested(_)
            | Self::StripeCallSettled(_)
            | Self::IntentObserved(_) => return None,
        })
    }
}

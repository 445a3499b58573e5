//! One intent of an account: what was asked, and what is known of its end.
//!
//! An intent ends the same whatever comes first, Stripe's answer or the webhooks: its status is a function of what is
//! known (answer, proof), never of the order in which it was learnt.

use serde::{Deserialize, Serialize};

use super::asked::{
    CancellationRequested, CheckoutRequested, CheckoutStarted, CouponRequested, CustomerUpdateRequested, IntentHead,
    InvoicePaymentRequested, PauseRequested, PlanChangeRequested, PlanChangeWithdrawalRequested,
    QuantityChangeRequested, RefundRequested, ResumptionRequested, SubscriptionRequested, TrialExtensionRequested,
    UnpauseRequested,
};
use super::event::SubscriptionEvent as Event;
use super::settled::{CallOutcome, IntentObserved, Proof, StripeCallSettled};
use crate::ids::{IntentId, SubscriptionId};
use crate::mutant::{self, Mutant};

/// What an intent asks for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Asked {
    /// A checkout page.
    Checkout(CheckoutRequested),
    /// A subscription.
    Subscription(SubscriptionRequested),
    /// Another plan or interval.
    PlanChange(PlanChangeRequested),
    /// A planned change let go.
    Withdrawal(PlanChangeWithdrawalRequested),
    /// Another quantity.
    Quantity(QuantityChangeRequested),
    /// An end.
    Cancellation(CancellationRequested),
    /// No end.
    Resumption(ResumptionRequested),
    /// A pause.
    Pause(PauseRequested),
    /// The end of a pause.
    Unpause(UnpauseRequested),
    /// A discount.
    Coupon(CouponRequested),
    /// A longer trial.
    TrialExtension(TrialExtensionRequested),
    /// The payment of an invoice.
    InvoicePayment(InvoicePaymentRequested),
    /// A refund.
    Refund(RefundRequested),
    /// Contact data.
    CustomerUpdate(CustomerUpdateRequested),
}

impl Asked {
    /// Which intent it is, and when it was asked for.
    #[must_use]
    pub const fn head(&self) -> &IntentHead {
        match self {
            Self::Checkout(it) => &it.intent,
            Self::Subscription(it) => &it.intent,
            Self::PlanChange(it) => &it.intent,
            Self::Withdrawal(it) => &it.intent,
            Self::Quantity(it) => &it.intent,
            Self::Cancellation(it) => &it.intent,
            Self::Resumption(it) => &it.intent,
            Self::Pause(it) => &it.intent,
            Self::Unpause(it) => &it.intent,
            Self::Coupon(it) => &it.intent,
            Self::TrialExtension(it) => &it.intent,
            Self::InvoicePayment(it) => &it.intent,
            Self::Refund(it) => &it.intent,
            Self::CustomerUpdate(it) => &it.intent,
        }
    }

    /// The subscription it changes; none: it makes one, or it is about something else.
    #[must_use]
    pub const fn subscription(&self) -> Option<&SubscriptionId> {
        match self {
            Self::PlanChange(it) => Some(&it.subscription),
            Self::Withdrawal(it) => Some(&it.subscription),
            Self::Quantity(it) => Some(&it.subscription),
            Self::Cancellation(it) => Some(&it.subscription),
            Self::Resumption(it) => Some(&it.subscription),
            Self::Pause(it) => Some(&it.subscription),
            Self::Unpause(it) => Some(&it.subscription),
            Self::Coupon(it) => Some(&it.subscription),
            Self::TrialExtension(it) => Some(&it.subscription),
            Self::Checkout(_)
            | Self::Subscription(_)
            | Self::InvoicePayment(_)
            | Self::Refund(_)
            | Self::CustomerUpdate(_) => None,
        }
    }

    /// Waiting intents it stands for.
    #[must_use]
    pub fn replaces(&self) -> &[IntentId] {
        match self {
            Self::Checkout(it) => &it.replaces,
            Self::Quantity(it) => &it.replaces,
            Self::Subscription(_)
            | Self::PlanChange(_)
            | Self::Withdrawal(_)
            | Self::Cancellation(_)
            | Self::Resumption(_)
            | Self::Pause(_)
            | Self::Unpause(_)
            | Self::Coupon(_)
            | Self::TrialExtension(_)
            | Self::InvoicePayment(_)
            | Self::Refund(_)
            | Self::CustomerUpdate(_) => &[],
        }
    }
}

impl Event {
    /// What it asks of Stripe; none: it asks nothing.
    #[must_use]
    #[expect(
        clippy::too_many_lines,
        reason = "one table over all events, so that the compiler lists a new one"
    )]
    pub fn asked(&self) -> Option<Asked> {
        Some(match self {
            Self::CheckoutRequested(it) => Asked::Checkout(it.clone()),
            Self::SubscriptionRequested(it) => Asked::Subscription(it.clone()),
            Self::PlanChangeRequested(it) => Asked::PlanChange(it.clone()),
            Self::PlanChangeWithdrawalRequested(it) => Asked::Withdrawal(it.clone()),
            Self::QuantityChangeRequested(it) => Asked::Quantity(it.clone()),
            Self::CancellationRequested(it) => Asked::Cancellation(it.clone()),
            Self::ResumptionRequested(it) => Asked::Resumption(it.clone()),
            Self::PauseRequested(it) => Asked::Pause(it.clone()),
            Self::UnpauseRequested(it) => Asked::Unpause(it.clone()),
            Self::CouponRequested(it) => Asked::Coupon(it.clone()),
            Self::TrialExtensionRequested(it) => Asked::TrialExtension(it.clone()),
            Self::InvoicePaymentRequested(it) => Asked::InvoicePayment(it.clone()),
            Self::RefundRequested(it) => Asked::Refund(it.clone()),
            Self::CustomerUpdateRequested(it) => Asked::CustomerUpdate(it.clone()),
            Self::AccountOpened(_)
            | Self::CustomerLinked(_)
            | Self::TenantAssigned(_)
            | Self::PaymentMethodChanged(_)
            | Self::BillingContactChanged(_)
            | Self::CustomerDeleted(_)
            | Self::CustomerRevised(_)
            | Self::CheckoutStarted(_)
            | Self::PortalSessionOpened(_)
            | Self::CheckoutCompleted(_)
            | Self::CheckoutExpired(_)
            | Self::CheckoutPaymentSettled(_)
            | Self::SubscriptionStarted(_)
            | Self::TrialEnding(_)
            | Self::TrialExtended(_)
            | Self::TrialEnded(_)
            | Self::SubscriptionActivated(_)
            | Self::PlanChanged(_)
            | Self::PlanChangeScheduled(_)
            | Self::PlanChangeWithdrawn(_)
            | Self::QuantityChanged(_)
            | Self::ItemAdded(_)
            | Self::ItemRemoved(_)
            | Self::DiscountApplied(_)
            | Self::DiscountRemoved(_)
            | Self::PeriodAdvanced(_)
            | Self::CancellationScheduled(_)
            | Self::CancellationWithdrawn(_)
            | Self::SubscriptionPaused(_)
            | Self::SubscriptionResumed(_)
            | Self::CollectionPaused(_)
            | Self::CollectionResumed(_)
            | Self::PaymentOverdue(_)
            | Self::SubscriptionUnpaid(_)
            | Self::PaymentRecovered(_)
            | Self::SubscriptionEnded(_)
            | Self::SubscriptionRevised(_)
            | Self::StatusUnrecognised(_)
            | Self::ConcurrentSubscriptionsFound(_)
            | Self::SnapshotConfirmed(_)
            | Self::LateSnapshotRecorded(_)
            | Self::InvoiceDrafted(_)
            | Self::InvoiceFinalized(_)
            | Self::InvoiceUpcomingNoticed(_)
            | Self::InvoicePaid(_)
            | Self::InvoicePaymentFailed(_)
            | Self::InvoiceActionRequired(_)
            | Self::InvoiceOverdue(_)
            | Self::InvoiceVoided(_)
            | Self::InvoiceUncollectible(_)
            | Self::InvoiceRevised(_)
            | Self::InvoicePaymentLinked(_)
            | Self::ChargeSucceeded(_)
            | Self::ChargeFailed(_)
            | Self::ChargeRevised(_)
            | Self::RefundIssued(_)
            | Self::RefundSettled(_)
            | Self::RefundFailed(_)
            | Self::RefundRevised(_)
            | Self::DisputeOpened(_)
            | Self::DisputeFundsWithdrawn(_)
            | Self::DisputeFundsReinstated(_)
            | Self::DisputeClosed(_)
            | Self::DisputeRevised(_)
            | Self::CreditNoteIssued(_)
            | Self::CreditNoteVoided(_)
            | Self::CreditNoteRevised(_)
            | Self::CustomerBalanceChanged(_)
            | Self::StripeCallSettled(_)
            | Self::IntentObserved(_) => return None,
        })
    }

    /// The id the event must be stored under, because Stripe is given it as idempotency key; none: any.
    #[must_use]
    pub fn own_id(&self) -> Option<IntentId> {
        if let Self::PortalSessionOpened(it) = self {
            return Some(it.intent.id);
        }
        self.asked().map(|asked| asked.head().id)
    }
}

/// Stripe's answer, without what only pages show.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// Not known yet.
    Unknown,
    /// Not known, and nothing more is tried.
    GivenUp,
    /// Done.
    Applied,
    /// Nothing had to be done.
    Unneeded,
    /// Refused.
    Rejected,
}

/// How an intent stands, in the words of the API.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IntentStatus {
    /// Recorded; its call is waiting or under way.
    Accepted,
    /// Whether Stripe did it is not known yet.
    Unknown,
    /// Stripe did it.
    Applied,
    /// A webhook or a fetch agreed, or nothing had to be done.
    Confirmed,
    /// Stripe refused.
    Rejected,
}

impl IntentStatus {
    /// The word of the API.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Unknown => "unknown",
            Self::Applied => "applied",
            Self::Confirmed => "confirmed",
            Self::Rejected => "rejected",
        }
    }

    /// Nothing can change it.
    #[must_use]
    pub const fn is_final(self) -> bool {
        matches!(self, Self::Confirmed | Self::Rejected)
    }
}

/// One intent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Intent {
    /// What it asks for.
    pub asked: Asked,
    /// Stripe's answer so far.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer: Option<Answer>,
    /// The best proof of its effect so far.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proof: Option<Proof>,
    /// The object its call made or changed, as far as it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub object: Option<Box<str>>,
    /// The later intent that stands for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub merged_into: Option<IntentId>,
}

impl Intent {
    /// An intent that was just recorded.
    #[must_use]
    pub const fn new(asked: Asked) -> Self {
        Self {
            asked,
            answer: None,
            proof: None,
            object: None,
            merged_into: None,
        }
    }

    /// Its id.
    #[must_use]
    pub const fn id(&self) -> IntentId {
        self.asked.head().id
    }

    /// How it stands. An effect that anybody may have caused confirms it only once its own call has ended without a
    /// refusal: before that the call may still be refused, and a final word must not change.
    #[must_use]
    pub fn status(&self) -> IntentStatus {
        if self.merged_into.is_some() || self.proof == Some(Proof::Echo) {
            return IntentStatus::Confirmed;
        }
        match (self.answer, self.proof) {
            (Some(Answer::Rejected), _) => IntentStatus::Rejected,
            (Some(Answer::Unneeded), _) | (Some(_), Some(_)) => IntentStatus::Confirmed,
            (Some(Answer::Applied), None) => IntentStatus::Applied,
            (Some(Answer::Unknown | Answer::GivenUp), None) => IntentStatus::Unknown,
            (None, Some(_)) if mutant::is(Mutant::EffectIsFinal) => IntentStatus::Confirmed,
            (None, _) => IntentStatus::Accepted,
        }
    }

    /// Its call has ended, or was given up: nothing more is sent for it.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        match self.status() {
            IntentStatus::Accepted => false,
            IntentStatus::Unknown => self.answer == Some(Answer::GivenUp),
            IntentStatus::Applied | IntentStatus::Confirmed | IntentStatus::Rejected => true,
        }
    }

    /// Takes Stripe's answer: an answer that is known stays.
    pub fn answered(&mut self, it: &StripeCallSettled) {
        let (answer, object) = match &it.outcome {
            CallOutcome::Applied { object } => (Answer::Applied, object.clone()),
            CallOutcome::Unneeded => (Answer::Unneeded, None),
            CallOutcome::Rejected(_) => (Answer::Rejected, None),
            CallOutcome::Unknown { given_up: false, .. } => (Answer::Unknown, None),
            CallOutcome::Unknown { given_up: true, .. } => (Answer::GivenUp, None),
        };
        let is_better = match self.answer {
            None | Some(Answer::Unknown) => true,
            Some(Answer::GivenUp) => answer != Answer::Unknown,
            Some(Answer::Applied | Answer::Unneeded | Answer::Rejected) => false,
        };
        if is_better {
            self.answer = Some(answer);
            self.object = self.object.take().or(object);
        }
        self.normalise();
    }

    /// Takes the page its call opened.
    pub fn started(&mut self, it: &CheckoutStarted) {
        self.answered(&StripeCallSettled {
            intent: it.intent,
            outcome: CallOutcome::Applied {
                object: Some(it.session.as_str().into()),
            },
            request_id: None,
        });
    }

    /// Takes a proof of its effect: the better one stays.
    pub fn observed(&mut self, it: &IntentObserved) {
        self.proof = self.proof.max(Some(it.by));
        if it.by == Proof::Echo {
            self.object.get_or_insert_with(|| it.object.clone());
        }
        self.normalise();
    }

    /// What a refused call would have done, done by somebody else, proves nothing, whichever came first.
    fn normalise(&mut self) {
        if self.answer == Some(Answer::Rejected) && self.proof == Some(Proof::Effect) {
            self.proof = None;
        }
    }
}

//! Charges, refunds, disputes and credit notes.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::open_words;
use crate::ids::{BalanceTransactionId, ChargeId, CustomerId, InvoiceId, PaymentIntentId, PaymentMethodId, RefundId};
use crate::money::Currency;
use crate::snapshot::{Fact, Notice, Seen, Snapshot};
use crate::time::Timestamp;

open_words! {
    /// Stripe's status of a charge.
    ChargeStatus {
        /// On its way (delayed payment methods).
        Pending = "pending",
        /// The money is ours.
        Succeeded = "succeeded",
        /// Refused.
        Failed = "failed",
    }
}

/// A charge as it stood.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ChargeSnapshot {
    /// Whose it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub customer: Option<CustomerId>,
    /// The payment it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payment_intent: Option<PaymentIntentId>,
    /// The invoice it pays; none = *unknown* (basil and later do not say).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub invoice: Option<InvoiceId>,
    /// Amount in minor units.
    pub amount_minor: i64,
    /// What of it was captured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub amount_captured_minor: Option<i64>,
    /// What of it was given back: a control total, never a fact by itself.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub amount_refunded_minor: i64,
    /// Currency.
    pub currency: Currency,
    /// Stripe's status.
    pub status: ChargeStatus,
    /// Captured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub captured: Option<bool>,
    /// Disputed by the cardholder.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub disputed: bool,
    /// Its movement of the Stripe balance.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub balance_transaction: Option<BalanceTransactionId>,
    /// Why it failed: code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure_code: Option<Box<str>>,
    /// Why it failed: the issuer's reason word.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decline_reason: Option<Box<str>>,
    /// What was charged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payment_method: Option<PaymentMethodId>,
    /// Kind of payment method: `card`, `sepa_debit`...
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub method_type: Option<Box<str>>,
    /// Brand of the card.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub card_brand: Option<Box<str>>,
    /// Last four digits of the card.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub card_last4: Option<Box<str>>,
    /// When it was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_at: Option<Timestamp>,
}

impl Snapshot for ChargeSnapshot {
    fn finality(&self) -> u8 {
        0
    }
    fn ladder(&self) -> u8 {
        match self.status {
            ChargeStatus::Unrecognised(_) => 0,
            ChargeStatus::Pending => 1,
            ChargeStatus::Failed => 2,
            ChargeStatus::Succeeded => 3,
        }
    }
    fn knows(&self) -> u8 {
        u8::from(self.invoice.is_some())
    }
    fn take(&mut self, field: u8, from: &Self) {
        if field == 1 {
            self.invoice.clone_from(&from.invoice);
        }
    }
    fn facts(&self, _seen: &Seen) -> Vec<Fact> {
        match self.status {
            ChargeStatus::Succeeded => vec![Fact::Succeeded],
            ChargeStatus::Failed => vec![Fact::Failed],
            ChargeStatus::Pending | ChargeStatus::Unrecognised(_) => Vec::new(),
        }
    }
}

open_words! {
    /// Stripe's status of a refund.
    RefundStatus {
        /// On its way.
        Pending = "pending",
        /// The customer must act.
        RequiresAction = "requires_action",
        /// Given back.
        Succeeded = "succeeded",
        /// Could not be given back; the money is ours again. Terminal.
        Failed = "failed",
        /// Withdrawn. Terminal.
        Canceled = "canceled",
    }
}

/// A refund as it stood.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RefundSnapshot {
    /// The charge it gives back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub charge: Option<ChargeId>,
    /// The payment it gives back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payment_intent: Option<PaymentIntentId>,
    /// Whose it is, where the version says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub customer: Option<CustomerId>,
    /// Amount in minor units.
    pub amount_minor: i64,
    /// Currency.
    pub currency: Currency,
    /// Stripe's status.
    pub status: RefundStatus,
    /// Why: Stripe's word.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<Box<str>>,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure_reason: Option<Box<str>>,
    /// Its movement of the Stripe balance.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub balance_transaction: Option<BalanceTransactionId>,
    /// The movement that took a failed refund back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure_balance_transaction: Option<BalanceTransactionId>,
    /// When it was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_at: Option<Timestamp>,
}

impl Snapshot for RefundSnapshot {
    fn finality(&self) -> u8 {
        u8::from(matches!(self.status, RefundStatus::Failed | RefundStatus::Canceled))
    }
    fn ladder(&self) -> u8 {
        match self.status {
            RefundStatus::Unrecognised(_) => 0,
            RefundStatus::Pending => 1,
            RefundStatus::RequiresAction => 2,
            RefundStatus::Succeeded => 3,
            RefundStatus::Canceled => 4,
            RefundStatus::Failed => 5,
        }
    }
    fn knows(&self) -> u8 {
        u8::from(self.customer.is_some())
    }
    fn take(&mut self, field: u8, from: &Self) {
        if field == 1 {
            self.customer.clone_from(&from.customer);
        }
    }
    fn facts(&self, _seen: &Seen) -> Vec<Fact> {
        match self.status {
            RefundStatus::Succeeded => vec![Fact::Issued, Fact::Settled],
            RefundStatus::Failed | RefundStatus::Canceled => vec![Fact::Issued, Fact::Failed],
            RefundStatus::Pending | RefundStatus::RequiresAction | RefundStatus::Unrecognised(_) => vec![Fact::Issued],
        }
    }
}

open_words! {
    /// Stripe's status of a dispute.
    DisputeStatus {
        /// An inquiry that wants an answer.
        WarningNeedsResponse = "warning_needs_response",
        /// An inquiry that was answered.
        WarningUnderReview = "warning_under_review",
        /// An inquiry that ended without a dispute. Terminal.
        WarningClosed = "warning_closed",
        /// Wants an answer.
        NeedsResponse = "needs_response",
        /// Was answered.
        UnderReview = "under_review",
        /// Ended for us. Terminal.
        Won = "won",
        /// Ended against us; only an appeal moves it again.
        Lost = "lost",
        /// Settled before it began. Terminal.
        Prevented = "prevented",
        /// An appeal wants an answer.
        AppealNeedsResponse = "appeal_needs_response",
        /// An appeal was answered.
        AppealUnderReview = "appeal_under_review",
    }
}

impl DisputeStatus {
    /// Over: won, lost, prevented or an inquiry that closed.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        matches!(self, Self::Won | Self::Lost | Self::Prevented | Self::WarningClosed)
    }
}

/// A dispute as it stood.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DisputeSnapshot {
    /// The charge that is disputed.
    pub charge: ChargeId,
    /// Its payment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payment_intent: Option<PaymentIntentId>,
    /// Disputed amount in minor units.
    pub amount_minor: i64,
    /// Currency.
    pub currency: Currency,
    /// Stripe's status.
    pub status: DisputeStatus,
    /// The cardholder's reason: Stripe's word.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<Box<str>>,
    /// Evidence is due by then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub due_at: Option<Timestamp>,
    /// Net movement of the Stripe balance so far, negative when withdrawn; none: no funds moved yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub funds_net_minor: Option<i64>,
    /// Fees of those movements.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fee_minor: Option<i64>,
    /// When it was opened.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_at: Option<Timestamp>,
}

impl Snapshot for DisputeSnapshot {
    fn finality(&self) -> u8 {
        match self.status {
            DisputeStatus::Won | DisputeStatus::Prevented | DisputeStatus::WarningClosed => 2,
            DisputeStatus::Lost | DisputeStatus::AppealNeedsResponse | DisputeStatus::AppealUnderReview => 1,
            DisputeStatus::WarningNeedsResponse
            | DisputeStatus::WarningUnderReview
            | DisputeStatus::NeedsResponse
            | DisputeStatus::UnderReview
            | DisputeStatus::Unrecognised(_) => 0,
        }
    }
    fn ladder(&self) -> u8 {
        match self.status {
            DisputeStatus::Unrecognised(_) => 0,
            DisputeStatus::WarningNeedsResponse => 1,
            DisputeStatus::WarningUnderReview => 2,
            DisputeStatus::NeedsResponse => 3,
            DisputeStatus::UnderReview => 4,
            DisputeStatus::Lost => 5,
            DisputeStatus::AppealNeedsResponse => 6,
            DisputeStatus::AppealUnderReview => 7,
            DisputeStatus::WarningClosed => 8,
            DisputeStatus::Prevented => 9,
            DisputeStatus::Won => 10,
        }
    }
    fn facts(&self, seen: &Seen) -> Vec<Fact> {
        let mut facts = vec![Fact::Opened];
        match seen.notice {
            Some(Notice::FundsWithdrawn) => facts.push(Fact::FundsWithdrawn),
            Some(Notice::FundsReinstated) => facts.push(Fact::FundsReinstated),
            _ => {}
        }
        if self.status.is_closed() {
            facts.push(Fact::Closed(self.status.as_str().into()));
        }
        facts
    }
}

/// A credit note as it stood.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CreditNoteSnapshot {
    /// Whose it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub customer: Option<CustomerId>,
    /// The invoice it corrects.
    pub invoice: InvoiceId,
    /// Its number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub number: Option<Box<str>>,
    /// Amount in minor units, tax included.
    pub amount_minor: i64,
    /// Tax in it.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub tax_minor: i64,
    /// Currency.
    pub currency: Currency,
    /// `issued` or `void`.
    pub status: Box<str>,
    /// `pre_payment`, `post_payment` or `mixed`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<Box<str>>,
    /// Why: Stripe's word.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<Box<str>>,
    /// Given back outside Stripe.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub out_of_band_minor: i64,
    /// The customer balance transaction it was credited by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to_balance: Option<Box<str>>,
    /// Refunds that give it back.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub refunds: Vec<RefundId>,
    /// When it was voided.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub voided_at: Option<Timestamp>,
    /// When it was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_at: Option<Timestamp>,
}

impl Snapshot for CreditNoteSnapshot {
    fn finality(&self) -> u8 {
        u8::from(&*self.status == "void")
    }
    fn ladder(&self) -> u8 {
        match &*self.status {
            "issued" => 1,
            "void" => 2,
            _ => 0,
        }
    }
    fn facts(&self, _seen: &Seen) -> Vec<Fact> {
        let voided = (&*self.status == "void").then_some(Fact::Voided);
        std::iter::once(Fact::Issued).chain(voided).collect()
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands the field by reference")]
fn is_zero(amount: &i64) -> bool {
    *amount == 0
}

//! What happened to an account: past tense, in business words.
//!
//! Stored names are `subscription.<name>` with an integer version and are never renamed. Every event that comes from
//! Stripe carries the header of its snapshot and the **absolute** terms that resulted, so one event alone says how the
//! object stood, and the history by *occurred* time is the snapshots sorted by header.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::asked::{
    CancellationRequested, CheckoutRequested, CheckoutStarted, CouponRequested, CustomerUpdateRequested,
    InvoicePaymentRequested, PauseRequested, PlanChangeRequested, PlanChangeWithdrawalRequested, PortalSessionOpened,
    QuantityChangeRequested, RefundRequested, ResumptionRequested, SubscriptionRequested, TrialExtensionRequested,
    UnpauseRequested,
};
use super::carried::Carried;
use super::seen::{
    AccountOpened, ChargeSeen, CheckoutSeen, ConcurrentSubscriptions, CreditNoteSeen, CustomerLinked, CustomerSeen,
    DiscountSeen, DisputeSeen, InvoicePaymentSeen, InvoiceSeen, PaymentMethodSeen, RefundSeen, ScheduleSeen,
    SnapshotRecorded, SubscriptionSeen, TenantAssigned,
};
use super::settled::{IntentObserved, StripeCallSettled};
use crate::snapshot::Seen;

/// Aggregate type of account streams.
pub const AGGREGATE_TYPE: &str = "subscription";

/// Version every event of this aggregate is written with today.
pub const EVENT_VERSION: u32 = 1;

/// An event of an account stream.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SubscriptionEvent {
    /// The account was opened.
    AccountOpened(AccountOpened),
    /// A Stripe customer belongs to the account.
    CustomerLinked(CustomerLinked),
    /// A tenant was learnt for an account that had none.
    TenantAssigned(TenantAssigned),
    /// A payment method was added, changed or removed, or another one is charged by default.
    PaymentMethodChanged(PaymentMethodSeen),
    /// Contact fields changed; their values are not in the event.
    BillingContactChanged(CustomerSeen),
    /// The customer was deleted at Stripe.
    CustomerDeleted(CustomerSeen),
    /// Something else about the customer changed.
    CustomerRevised(CustomerSeen),
    /// A checkout page was asked for.
    CheckoutRequested(CheckoutRequested),
    /// A checkout page was opened.
    CheckoutStarted(CheckoutStarted),
    /// A page of Stripe's billing portal was opened.
    PortalSessionOpened(PortalSessionOpened),
    /// The customer finished a checkout session.
    CheckoutCompleted(CheckoutSeen),
    /// A checkout session was given up.
    CheckoutExpired(CheckoutSeen),
    /// The delayed payment of a checkout session succeeded or failed.
    CheckoutPaymentSettled(CheckoutSeen),
    /// First sight of a subscription.
    SubscriptionStarted(SubscriptionSeen),
    /// Stripe announced the end of the trial.
    TrialEnding(SubscriptionSeen),
    /// The trial ends later than it did.
    TrialExtended(SubscriptionSeen),
    /// The trial is over.
    TrialEnded(SubscriptionSeen),
    /// Paid up, or nothing due.
    SubscriptionActivated(SubscriptionSeen),
    /// Another price.
    PlanChanged(SubscriptionSeen),
    /// A schedule plans a change.
    PlanChangeScheduled(ScheduleSeen),
    /// A planned change was withdrawn, carried out or let go.
    PlanChangeWithdrawn(ScheduleSeen),
    /// Another quantity.
    QuantityChanged(SubscriptionSeen),
    /// One more item.
    ItemAdded(SubscriptionSeen),
    /// One item less.
    ItemRemoved(SubscriptionSeen),
    /// A discount was put on.
    DiscountApplied(DiscountSeen),
    /// A discount was taken off.
    DiscountRemoved(DiscountSeen),
    /// The next billing period began.
    PeriodAdvanced(SubscriptionSeen),
    /// It will end at a planned time.
    CancellationScheduled(SubscriptionSeen),
    /// It will not end as planned.
    CancellationWithdrawn(SubscriptionSeen),
    /// Paused: no invoices are made.
    SubscriptionPaused(SubscriptionSeen),
    /// No longer paused.
    SubscriptionResumed(SubscriptionSeen),
    /// Invoices are made but not collected.
    CollectionPaused(SubscriptionSeen),
    /// Invoices are collected again.
    CollectionResumed(SubscriptionSeen),
    /// past_due: a payment failed or is overdue.
    PaymentOverdue(SubscriptionSeen),
    /// unpaid: retries are over.
    SubscriptionUnpaid(SubscriptionSeen),
    /// Active again after past_due or unpaid.
    PaymentRecovered(SubscriptionSeen),
    /// Canceled, or its first payment never came.
    SubscriptionEnded(SubscriptionSeen),
    /// Other terms changed (payment method, collection method, latest invoice).
    SubscriptionRevised(SubscriptionSeen),
    /// A status this version does not know; kept as it came.
    StatusUnrecognised(SubscriptionSeen),
    /// A second live subscription exists; entitlements are the union.
    ConcurrentSubscriptionsFound(ConcurrentSubscriptions),
    /// A newer snapshot says what was known: kept, so that an older one that comes later cannot win.
    SnapshotConfirmed(SnapshotRecorded),
    /// A snapshot arrived after a newer one: the current state stays, the past is completed.
    LateSnapshotRecorded(SnapshotRecorded),
    /// A draft was made.
    InvoiceDrafted(InvoiceSeen),
    /// It got its number and is due.
    InvoiceFinalized(InvoiceSeen),
    /// Stripe announced an invoice.
    InvoiceUpcomingNoticed(InvoiceSeen),
    /// Paid.
    InvoicePaid(InvoiceSeen),
    /// A payment attempt failed.
    InvoicePaymentFailed(InvoiceSeen),
    /// The customer must act before it can be paid.
    InvoiceActionRequired(InvoiceSeen),
    /// Not paid when due.
    InvoiceOverdue(InvoiceSeen),
    /// Withdrawn.
    InvoiceVoided(InvoiceSeen),
    /// Written off.
    InvoiceUncollectible(InvoiceSeen),
    /// Something else about it changed.
    InvoiceRevised(InvoiceSeen),
    /// The payment that paid it became known.
    InvoicePaymentLinked(InvoicePaymentSeen),
    /// Money came in.
    ChargeSucceeded(ChargeSeen),
    /// A charge was refused.
    ChargeFailed(ChargeSeen),
    /// Something else about a charge is known (pending, captured, disputed, refunded total).
    ChargeRevised(ChargeSeen),
    /// A refund was made.
    RefundIssued(RefundSeen),
    /// A refund arrived.
    RefundSettled(RefundSeen),
    /// A refund failed or was withdrawn.
    RefundFailed(RefundSeen),
    /// Something else about a refund changed.
    RefundRevised(RefundSeen),
    /// A cardholder disputes a charge.
    DisputeOpened(DisputeSeen),
    /// The disputed money was taken.
    DisputeFundsWithdrawn(DisputeSeen),
    /// The disputed money came back.
    DisputeFundsReinstated(DisputeSeen),
    /// The dispute ended.
    DisputeClosed(DisputeSeen),
    /// Something else about a dispute changed.
    DisputeRevised(DisputeSeen),
    /// A credit note was issued.
    CreditNoteIssued(CreditNoteSeen),
    /// A credit note was withdrawn.
    CreditNoteVoided(CreditNoteSeen),
    /// Something else about a credit note changed.
    CreditNoteRevised(CreditNoteSeen),
    /// The customer's balance at Stripe changed.
    CustomerBalanceChanged(CustomerSeen),
    /// A subscription was asked for without a checkout page.
    SubscriptionRequested(SubscriptionRequested),
    /// Another plan or interval was asked for.
    PlanChangeRequested(PlanChangeRequested),
    /// A planned change was asked to be let go.
    PlanChangeWithdrawalRequested(PlanChangeWithdrawalRequested),
    /// Another quantity was asked for.
    QuantityChangeRequested(QuantityChangeRequested),
    /// An end was asked for, at once or with the period.
    CancellationRequested(CancellationRequested),
    /// A planned cancellation was asked to be withdrawn.
    ResumptionRequested(ResumptionRequested),
    /// A pause was asked for.
    PauseRequested(PauseRequested),
    /// The end of a pause was asked for.
    UnpauseRequested(UnpauseRequested),
    /// A discount was asked for.
    CouponRequested(CouponRequested),
    /// A longer trial was asked for.
    TrialExtensionRequested(TrialExtensionRequested),
    /// The payment of an invoice was asked for.
    InvoicePaymentRequested(InvoicePaymentRequested),
    /// A refund was asked for.
    RefundRequested(RefundRequested),
    /// A change of contact data was asked for; the values are not in the event.
    CustomerUpdateRequested(CustomerUpdateRequested),
    /// Stripe answered the call of an intent, or what became of it is not known yet.
    StripeCallSettled(StripeCallSettled),
    /// A snapshot of Stripe shows the effect of an intent.
    IntentObserved(IntentObserved),
}

/// Names of families that later releases write; no event of another family may take them.
pub const RESERVED_NAMES: &[&str] = &[
    "personal_data_erased",
    "top_up_requested",
    "feature_granted",
    "feature_revoked",
    "limit_overridden",
    "access_restricted",
    "access_restored",
    "quota_threshold_reached",
    "overage_policy_set",
    "overage_allowed",
    "overage_blocked",
    "top_up_purchased",
    "dunning_started",
    "dunning_step_taken",
    "dunning_step_skipped",
    "dunning_paused",
    "dunning_resumed",
    "dunning_exempted",
    "dunning_resolved",
    "dunning_exhausted",
    "drift_found",
    "drift_healed",
    "drift_accepted",
    "drift_ignored",
    "workspace_start_requested",
    "workspace_stop_requested",
    "workspace_restart_requested",
    "workspace_failed",
    "workspace_removed",
    "message_queued",
    "message_sent",
    "message_failed",
];

impl SubscriptionEvent {
    /// The stored name without its prefix, for instance `plan_changed`.
    #[must_use]
    #[expect(
        clippy::too_many_lines,
        reason = "one table over all events, so that the compiler lists a new one"
    )]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::AccountOpened(_) => "account_opened",
            Self::CustomerLinked(_) => "customer_linked",
            Self::TenantAssigned(_) => "tenant_assigned",
            Self::PaymentMethodChanged(_) => "payment_method_changed",
            Self::BillingContactChanged(_) => "billing_contact_changed",
            Self::CustomerDeleted(_) => "customer_deleted",
            Self::CustomerRevised(_) => "customer_revised",
            Self::CheckoutRequested(_) => "checkout_requested",
            Self::CheckoutStarted(_) => "checkout_started",
            Self::PortalSessionOpened(_) => "portal_session_opened",
            Self::CheckoutCompleted(_) => "checkout_completed",
            Self::CheckoutExpired(_) => "checkout_expired",
            Self::CheckoutPaymentSettled(_) => "checkout_payment_settled",
            Self::SubscriptionStarted(_) => "subscription_started",
            Self::TrialEnding(_) => "trial_ending",
            Self::TrialExtended(_) => "trial_extended",
            Self::TrialEnded(_) => "trial_ended",
            Self::SubscriptionActivated(_) => "subscription_activated",
            Self::PlanChanged(_) => "plan_changed",
            Self::PlanChangeScheduled(_) => "plan_change_scheduled",
            Self::PlanChangeWithdrawn(_) => "plan_change_withdrawn",
            Self::QuantityChanged(_) => "quantity_changed",
            Self::ItemAdded(_) => "item_added",
            Self::ItemRemoved(_) => "item_removed",
            Self::DiscountApplied(_) => "discount_applied",
            Self::DiscountRemoved(_) => "discount_removed",
            Self::PeriodAdvanced(_) => "period_advanced",
            Self::CancellationScheduled(_) => "cancellation_scheduled",
            Self::CancellationWithdrawn(_) => "cancellation_withdrawn",
            Self::SubscriptionPaused(_) => "subscription_paused",
            Self::SubscriptionResumed(_) => "subscription_resumed",
            Self::CollectionPaused(_) => "collection_paused",
            Self::CollectionResumed(_) => "collection_resumed",
            Self::PaymentOverdue(_) => "payment_overdue",
            Self::SubscriptionUnpaid(_) => "subscription_unpaid",
            Self::PaymentRecovered(_) => "payment_recovered",
            Self::SubscriptionEnded(_) => "subscription_ended",
            Self::SubscriptionRevised(_) => "subscription_revised",
            Self::StatusUnrecognised(_) => "status_unrecognised",
            Self::ConcurrentSubscriptionsFound(_) => "concurrent_subscriptions_found",
            Self::SnapshotConfirmed(_) => "snapshot_confirmed",
            Self::LateSnapshotRecorded(_) => "late_snapshot_recorded",
            Self::InvoiceDrafted(_) => "invoice_drafted",
            Self::InvoiceFinalized(_) => "invoice_finalized",
            Self::InvoiceUpcomingNoticed(_) => "invoice_upcoming_noticed",
            Self::InvoicePaid(_) => "invoice_paid",
            Self::InvoicePaymentFailed(_) => "invoice_payment_failed",
            Self::InvoiceActionRequired(_) => "invoice_action_required",
            Self::InvoiceOverdue(_) => "invoice_overdue",
            Self::InvoiceVoided(_) => "invoice_voided",
            Self::InvoiceUncollectible(_) => "invoice_uncollectible",
            Self::InvoiceRevised(_) => "invoice_revised",
            Self::InvoicePaymentLinked(_) => "invoice_payment_linked",
            Self::ChargeSucceeded(_) => "charge_succeeded",
            Self::ChargeFailed(_) => "charge_failed",
            Self::ChargeRevised(_) => "charge_revised",
            Self::RefundIssued(_) => "refund_issued",
            Self::RefundSettled(_) => "refund_settled",
            Self::RefundFailed(_) => "refund_failed",
            Self::RefundRevised(_) => "refund_revised",
            Self::DisputeOpened(_) => "dispute_opened",
            Self::DisputeFundsWithdrawn(_) => "dispute_funds_withdrawn",
            Self::DisputeFundsReinstated(_) => "dispute_funds_reinstated",
            Self::DisputeClosed(_) => "dispute_closed",
            Self::DisputeRevised(_) => "dispute_revised",
            Self::CreditNoteIssued(_) => "credit_note_issued",
            Self::CreditNoteVoided(_) => "credit_note_voided",
            Self::CreditNoteRevised(_) => "credit_note_revised",
            Self::CustomerBalanceChanged(_) => "customer_balance_changed",
            Self::SubscriptionRequested(_) => "subscription_requested",
            Self::PlanChangeRequested(_) => "plan_change_requested",
            Self::PlanChangeWithdrawalRequested(_) => "plan_change_withdrawal_requested",
            Self::QuantityChangeRequested(_) => "quantity_change_requested",
            Self::CancellationRequested(_) => "cancellation_requested",
            Self::ResumptionRequested(_) => "resumption_requested",
            Self::PauseRequested(_) => "pause_requested",
            Self::UnpauseRequested(_) => "unpause_requested",
            Self::CouponRequested(_) => "coupon_requested",
            Self::TrialExtensionRequested(_) => "trial_extension_requested",
            Self::InvoicePaymentRequested(_) => "invoice_payment_requested",
            Self::RefundRequested(_) => "refund_requested",
            Self::CustomerUpdateRequested(_) => "customer_update_requested",
            Self::StripeCallSettled(_) => "stripe_call_settled",
            Self::IntentObserved(_) => "intent_observed",
        }
    }

    /// The family it belongs to, as the audit index shows it.
    #[must_use]
    #[expect(
        clippy::too_many_lines,
        reason = "one table over all events, so that the compiler lists a new one"
    )]
    pub const fn family(&self) -> &'static str {
        match self {
            Self::AccountOpened(_)
            | Self::CustomerLinked(_)
            | Self::TenantAssigned(_)
            | Self::PaymentMethodChanged(_)
            | Self::BillingContactChanged(_)
            | Self::CustomerDeleted(_)
            | Self::CustomerRevised(_) => "account",
            Self::CheckoutRequested(_)
            | Self::CheckoutStarted(_)
            | Self::PortalSessionOpened(_)
            | Self::CheckoutCompleted(_)
            | Self::CheckoutExpired(_)
            | Self::CheckoutPaymentSettled(_) => "checkout and portal",
            Self::SubscriptionStarted(_)
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
            | Self::LateSnapshotRecorded(_) => "life",
            Self::InvoiceDrafted(_)
            | Self::InvoiceFinalized(_)
            | Self::InvoiceUpcomingNoticed(_)
            | Self::InvoicePaid(_)
            | Self::InvoicePaymentFailed(_)
            | Self::InvoiceActionRequired(_)
            | Self::InvoiceOverdue(_)
            | Self::InvoiceVoided(_)
            | Self::InvoiceUncollectible(_)
            | Self::InvoiceRevised(_)
            | Self::InvoicePaymentLinked(_) => "invoices",
            Self::ChargeSucceeded(_)
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
            | Self::CustomerBalanceChanged(_) => "money",
            Self::SubscriptionRequested(_)
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
            | Self::IntentObserved(_) => "intents",
        }
    }

    /// The header of the snapshot it carries, if it came from Stripe.
    #[must_use]
    pub fn seen(&self) -> Option<&Seen> {
        self.carried().map(Carried::seen)
    }
}

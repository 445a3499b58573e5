//! What the people of an account should know or do, in words for them: no reason of a bank, no name of Stripe's.

use aggregates::subscription::SubscriptionEvent;
use aggregates::time::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

/// Something its people should know or do.
#[derive(Serialize, ToSchema)]
pub struct AlertEntry {
    /// `payment_failed`, `action_required`, `invoice_overdue`, `trial_ending`, `upcoming_invoice`, `dispute_opened` or
    /// `dispute_closed`.
    kind: &'static str,
    /// A sentence for people.
    detail: &'static str,
    /// The time it is about: the next attempt, the end of the trial, when it was due.
    #[schema(value_type = Option<String>, format = DateTime)]
    at: Option<Timestamp>,
}

impl AlertEntry {
    /// Of an event that wants attention.
    #[must_use]
    pub fn of(event: &SubscriptionEvent) -> Option<Self> {
        let alert = |kind, detail, at| Some(Self { kind, detail, at });
        if let SubscriptionEvent::InvoicePaymentFailed(it) = event {
            let next = it.snapshot.next_attempt_at;
            let detail = if next.is_some() {
                "A payment failed and will be tried again; check how you pay."
            } else {
                "A payment failed and will not be tried again by itself; pay the invoice or change how you pay."
            };
            alert("payment_failed", detail, next)
        } else if let SubscriptionEvent::InvoiceActionRequired(it) = event {
            let detail = "Your bank wants a payment confirmed; open the invoice to confirm it.";
            alert("action_required", detail, it.snapshot.next_attempt_at)
        } else if let SubscriptionEvent::InvoiceOverdue(it) = event {
            alert(
                "invoice_overdue",
                "An invoice is overdue; please pay it.",
                it.snapshot.due_at,
            )
        } else if let SubscriptionEvent::TrialEnding(it) = event {
            let end = it.snapshot.trial.map(|trial| trial.end);
            alert("trial_ending", "Your trial ends soon.", end)
        } else if let SubscriptionEvent::InvoiceUpcomingNoticed(it) = event {
            let of_period = it.snapshot.period.map(|period| period.end);
            let at = it.snapshot.next_attempt_at.or(of_period);
            alert("upcoming_invoice", "Your next invoice comes soon.", at)
        } else if let SubscriptionEvent::DisputeOpened(_) = event {
            let detail = "A payment is disputed with the bank it came from.";
            alert("dispute_opened", detail, None)
        } else if let SubscriptionEvent::DisputeClosed(_) = event {
            alert("dispute_closed", "The dispute about a payment is over.", None)
        } else {
            None
        }
    }
}

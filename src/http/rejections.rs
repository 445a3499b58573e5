//! What the domain refuses, as problems: one place, every word, and what the caller can do about it.

use aggregates::subscription::Rejection;
use aggregates::subscription::rejection::{LimitInUse, NotSellable};
use serde_json::{Value, json};

use super::problem::{Problem, ProblemKind};

/// Seconds after which something that is being fetched or carried out may be asked for again.
const AGAIN_SECONDS: u32 = 5;

/// The problem of a refusal, with the domain's word in `rejection`.
#[must_use]
pub fn problem(rejection: &Rejection) -> Problem {
    let refused = problem_of(rejection);
    // A foreign object answers like an unknown one, byte for byte.
    if refused.kind == ProblemKind::NotFound {
        return refused;
    }
    refused.with("rejection", rejection.word())
}

#[expect(
    clippy::too_many_lines,
    reason = "one table over all refusals, so that the compiler lists a new one"
)]
fn problem_of(rejection: &Rejection) -> Problem {
    let of = |kind: ProblemKind| Problem::new(kind, rejection.to_string());
    match rejection {
        Rejection::TenantAlreadyLinked { .. } | Rejection::CustomerAlreadyLinked { .. } => {
            of(ProblemKind::TenantAlreadyLinked)
        }
        Rejection::TenantMismatch { .. } => of(ProblemKind::TenantMismatch),
        Rejection::UnknownPlan { plans, .. } => {
            let codes: Vec<String> = plans.iter().map(ToString::to_string).collect();
            of(ProblemKind::UnknownPlan).with("plans", codes)
        }
        Rejection::AlreadyOnPlan { .. } => of(ProblemKind::AlreadyOnPlan),
        Rejection::PlanNotSellable { why, .. } => {
            let refused = of(ProblemKind::PlanNotSellable);
            match why {
                NotSellable::ContactUs { url } => refused.with("contact_url", url.as_str()),
                NotSellable::Inactive
                | NotSellable::OutsideFlag { .. }
                | NotSellable::Free
                | NotSellable::NoPrice { .. }
                | NotSellable::NotInMode { .. } => refused,
            }
        }
        Rejection::DowngradeBlocked { limits, .. } => {
            of(ProblemKind::DowngradeBlocked).with("blocked_by", in_use(limits))
        }
        Rejection::QuantityOutOfRange { min, max, .. } => {
            of(ProblemKind::QuantityOutOfRange).with("min", *min).with("max", *max)
        }
        Rejection::BelowUsage { limits, .. } => of(ProblemKind::BelowUsage).with("blocked_by", in_use(limits)),
        Rejection::NoLiveSubscription { .. } | Rejection::NoCustomer => of(ProblemKind::NoSubscription),
        Rejection::SubscriptionExists { .. } => of(ProblemKind::SubscriptionExists),
        Rejection::SubscriptionPending { intent } => {
            of(ProblemKind::SubscriptionExists).with("command_id", intent.to_string())
        }
        Rejection::TrialAlreadyUsed { .. } => of(ProblemKind::TrialAlreadyUsed),
        Rejection::AlreadyCanceled { .. }
        | Rejection::NotCancelable { .. }
        | Rejection::NotResumable { .. }
        | Rejection::NotPausable { .. }
        | Rejection::NotInTrial { .. }
        | Rejection::PaymentDisputed { .. } => of(ProblemKind::InvalidTransition),
        Rejection::TrialOutOfRange { .. } => Problem::invalid("/days", rejection.to_string()),
        Rejection::AccessIsRestricted { invoice, .. } => {
            let refused = of(ProblemKind::AccessRestricted);
            match invoice {
                Some(invoice) => refused.with("invoice", invoice.to_string()),
                None => refused,
            }
        }
        // The account has no such object: like any other that is not there.
        Rejection::InvoiceNotPayable { standing: None, .. } | Rejection::UnknownPayment { .. } => Problem::not_found(),
        Rejection::InvoiceNotPayable { standing: Some(_), .. } => of(ProblemKind::InvoiceNotPayable),
        Rejection::RefundExceedsPayment {
            refundable_minor,
            currency,
            ..
        } => of(ProblemKind::RefundExceedsPayment)
            .with("refundable_minor", *refundable_minor)
            .with("currency", currency.as_str()),
        Rejection::NeedsSecondApprover {
            alone_max_minor,
            currency,
            ..
        } => {
            let limit = json!({ "amount_minor": alone_max_minor, "currency": currency.as_str() });
            of(ProblemKind::ApprovalRequired).with("limit", limit)
        }
        Rejection::TermsUnknown { .. } | Rejection::ScheduleUnknown { .. } => {
            of(ProblemKind::WriteConflict).retry_after(AGAIN_SECONDS)
        }
        Rejection::TooManyOpenIntents { .. } => of(ProblemKind::RateLimited).retry_after(AGAIN_SECONDS),
        Rejection::UnknownIntent { .. } => Problem::not_found(),
    }
}

/// The limits a change is blocked by, if that is why it is refused.
#[must_use]
pub fn blocked_by(rejection: &Rejection) -> Option<Value> {
    if let Rejection::DowngradeBlocked { limits, .. } | Rejection::BelowUsage { limits, .. } = rejection {
        return Some(in_use(limits));
    }
    None
}

fn in_use(limits: &[LimitInUse]) -> Value {
    let rows = limits
        .iter()
        .map(|limit| json!({ "resource": &*limit.resource, "used": limit.used, "limit": limit.limit }));
    rows.collect()
}

//! Giving money back.

use super::request::{Cx, record};
use crate::facts::{ChargeSnapshot, ChargeStatus, DisputeStatus, RefundStatus};
use crate::ids::ChargeId;
use crate::subscription::asked::RefundRequested;
use crate::subscription::command::Decision;
use crate::subscription::event::SubscriptionEvent as Event;
use crate::subscription::intent::Asked;
use crate::subscription::rejection::Rejection;
use crate::subscription::request::RefundWish;

pub(super) fn refund(cx: &Cx<'_>, wish: &RefundWish) -> Result<Decision, Rejection> {
    let charge = &wish.charge;
    let unknown = || Rejection::UnknownPayment { charge: charge.clone() };
    let terms = cx.state.money.charges.get(charge).and_then(|book| book.terms());
    let terms = terms.ok_or_else(unknown)?;
    if is_disputed(cx, charge, &terms) {
        return Err(Rejection::PaymentDisputed { charge: charge.clone() });
    }
    let left = left(cx, charge, &terms);
    let amount = wish.amount_minor.unwrap_or(left);
    if amount <= 0 || amount > left {
        return Err(Rejection::RefundExceedsPayment {
            charge: charge.clone(),
            asked_minor: amount,
            refundable_minor: left,
            currency: terms.currency,
        });
    }
    if let Some(alone_max) = wish.alone_max_minor
        && amount > alone_max
        && !wish.is_approved
    {
        return Err(Rejection::NeedsSecondApprover {
            amount_minor: amount,
            alone_max_minor: alone_max,
            currency: terms.currency,
        });
    }
    Ok(record(Event::RefundRequested(RefundRequested {
        intent: cx.head(),
        charge: charge.clone(),
        payment_intent: terms.payment_intent.clone(),
        amount_minor: amount,
        currency: terms.currency,
        reason: wish.reason,
    })))
}

/// What can still be given back: what came in, less what went back, less what was asked for and is not seen yet.
fn left(cx: &Cx<'_>, charge: &ChargeId, terms: &ChargeSnapshot) -> i64 {
    if terms.status != ChargeStatus::Succeeded {
        return 0;
    }
    let came_in = terms.amount_captured_minor.unwrap_or(terms.amount_minor);
    let mut given: i64 = 0;
    for book in cx.state.money.refunds.values() {
        let Some(refund) = book.terms() else { continue };
        let is_given = !matches!(refund.status, RefundStatus::Failed | RefundStatus::Canceled);
        if is_given && refund.charge.as_ref() == Some(charge) {
            given = given.saturating_add(refund.amount_minor);
        }
    }
    // Stripe's own total knows refunds whose webhooks did not come yet.
    given = given.max(terms.amount_refunded_minor);
    for intent in cx.state.intents.iter().filter(|intent| !intent.status().is_final()) {
        if let Asked::Refund(asked) = &intent.asked
            && asked.charge == *charge
        {
            given = given.saturating_add(asked.amount_minor);
        }
    }
    came_in.saturating_sub(given).max(0)
}

/// The cardholder went to the bank and the bank has not found for us. An inquiry takes no money and blocks nothing.
fn is_disputed(cx: &Cx<'_>, charge: &ChargeId, terms: &ChargeSnapshot) -> bool {
    let mut known = false;
    for book in cx.state.money.disputes.values() {
        let Some(dispute) = book.terms().filter(|dispute| dispute.charge == *charge) else {
            continue;
        };
        known = true;
        let is_against = match dispute.status {
            DisputeStatus::NeedsResponse
            | DisputeStatus::UnderReview
            | DisputeStatus::Lost
            | DisputeStatus::AppealNeedsResponse
            | DisputeStatus::AppealUnderReview
            | DisputeStatus::Unrecognised(_) => true,
            DisputeStatus::WarningNeedsResponse
            | DisputeStatus::WarningUnderReview
            | DisputeStatus::WarningClosed
            | DisputeStatus::Won
            | DisputeStatus::Prevented => false,
        };
        if is_against {
            return true;
        }
    }
    terms.disputed && !known
}

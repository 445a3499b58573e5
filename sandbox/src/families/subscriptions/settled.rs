//! How a subscription stands follows from what becomes of its invoices.

use serde_json::{Value, json};

use super::SUBSCRIPTION;
use super::billing::change;
use super::cancel::{self, Cancel};
use super::clockwork::unschedule;
use super::shape::over;
use crate::families::invoices::{self, INVOICE};
use crate::shape::read::text;
use crate::state::{RetriesEnd, State};
use crate::wire::error::ApiError;

/// What has become of an invoice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// Paid.
    Paid,
    /// A debit is under way.
    Processing,
    /// Not paid; after the last retry nobody will try again.
    Failed {
        /// It was the last retry.
        last: bool,
    },
    /// Void.
    Voided,
    /// Uncollectible.
    GivenUp,
}

fn owner(state: &State, invoice: &Value) -> Option<Value> {
    let id = text(invoice, "parent.subscription_details.subscription")?;
    state.look(&SUBSCRIPTION, id).cloned()
}

/// Whether the invoice is the first of a subscription that is still incomplete.
pub(crate) fn waits_for_first_payment(state: &State, invoice: &Value) -> bool {
    owner(state, invoice).is_some_and(|subscription| subscription["status"] == "incomplete")
}

/// The method that paid first is the subscription's from then on, when it is to be.
pub(crate) fn keep_method(state: &mut State, invoice: &Value, method: &Value) -> Result<(), ApiError> {
    let Some(subscription) = owner(state, invoice) else {
        return Ok(());
    };
    let keeps = subscription["payment_settings"]["save_default_payment_method"] == "on_subscription";
    if keeps && subscription["default_payment_method"].is_null() && method.is_string() {
        let id = text(&subscription, "id").unwrap_or_default();
        change(state, id, |subscription| {
            subscription["default_payment_method"] = method.clone()
        })?;
    }
    Ok(())
}

/// Whether this invoice is the newest of its subscription that is no draft.
fn is_latest(state: &State, invoice: &Value) -> bool {
    let subscription = text(invoice, "parent.subscription_details.subscription");
    let mut own = state.all(&INVOICE).filter(|other| {
        text(other, "parent.subscription_details.subscription") == subscription && other["status"] != "draft"
    });
    own.next().is_some_and(|latest| latest["id"] == invoice["id"])
}

/// Moves the subscription of an invoice.
pub(crate) fn invoice_settled(state: &mut State, invoice: &Value, fate: Fate) -> Result<(), ApiError> {
    let Some(subscription) = owner(state, invoice) else {
        return Ok(());
    };
    let id = text(&subscription, "id").unwrap_or_default().to_owned();
    if over(&subscription) {
        return Ok(());
    }
    let first = invoice["billing_reason"] == "subscription_create";
    let status = text(&subscription, "status").unwrap_or_default();
    match (fate, status) {
        (Fate::Paid | Fate::Processing, "incomplete") if first => {
            state.due.unschedule("subscription.expire", &id);
            stand(state, &id, "active")?;
        }
        (Fate::Paid | Fate::Voided | Fate::GivenUp, "past_due" | "unpaid") if is_latest(state, invoice) => {
            stand(state, &id, "active")?;
        }
        (Fate::Voided, "incomplete") if first => {
            unschedule(state, &id);
            let now = state.now_of(&subscription);
            change(state, &id, |subscription| {
                subscription["status"] = json!("incomplete_expired");
                subscription["ended_at"] = json!(now);
            })?;
        }
        (Fate::Failed { last: true }, _) => give_up(state, &id)?,
        (Fate::Failed { last: false }, "active" | "trialing")
            if subscription["_pending"]["invoice"] != invoice["id"] =>
        {
            stand(state, &id, "past_due")?;
        }
        _ => {}
    }
    if fate == Fate::Paid {
        super::update::apply_pending(state, &id, invoice)?;
        cancel::resumed_by(state, &id, invoice)?;
    }
    Ok(())
}

fn stand(state: &mut State, id: &str, status: &str) -> Result<Value, ApiError> {
    change(state, id, |subscription| subscription["status"] = json!(status))
}

/// The retries are over: what the account is set to do.
fn give_up(state: &mut State, id: &str) -> Result<(), ApiError> {
    match state.settings.retries_end {
        RetriesEnd::Cancel => {
            let cancel = Cancel {
                reason: Some("payment_failed"),
                ..Cancel::default()
            };
            cancel::end(state, id, &cancel)?;
        }
        RetriesEnd::Unpaid => {
            stand(state, id, "unpaid")?;
        }
        RetriesEnd::PastDue => {
            stand(state, id, "past_due")?;
        }
    }
    Ok(())
}

/// Work: nobody has paid an update.
pub(super) fn pending_expire(state: &mut State, id: &str) -> Result<(), ApiError> {
    let Some(subscription) = state.look(&SUBSCRIPTION, id).cloned() else {
        return Ok(());
    };
    let Some(invoice) = text(&subscription, "_pending.invoice").map(str::to_owned) else {
        return Ok(());
    };
    let expired = change(state, id, |subscription| {
        subscription["pending_update"] = Value::Null;
        subscription["_pending"] = Value::Null;
    })?;
    invoices::void(state, &invoice)?;
    state.emit("customer.subscription.pending_update_expired", &expired);
    Ok(())
}

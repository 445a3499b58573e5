//! What became of a call whose answer was lost: Stripe is asked, by lists and never by search, which lags.
//!
//! Whatever can carry metadata carries the intent, and is known by it. What cannot is known by what it brings about.

use aggregates::time::Timestamp;
use serde_json::Value;

use super::call::Call;
use super::pages::Walk;
use super::{GatewayError, INTENT_KEY, IntentId, Listing, ObjectKind, OnAccount, Read, StripeGateway};

/// Pages looked through: the object was made after the call was first sent, so it lies near the front.
const PAGES_MAX: usize = 20;
/// How much earlier than our first attempt Stripe may stamp what it made, in seconds: the clocks differ.
const CLOCKS_DIFFER_SECONDS: i64 = 300;

/// What a look at Stripe said.
#[derive(Clone, Debug, PartialEq)]
pub enum Found {
    /// It was done; the object.
    Done(Box<Value>),
    /// It was not done, as far as Stripe shows.
    NotDone,
    /// It leaves nothing behind that could be looked for, and nothing that matters.
    Nothing,
}

/// How the trace of a call is found.
enum Trace {
    Listed(Listing),
    Object(ObjectKind, Box<str>, Sign),
    None,
}

/// What tells that an object has been through the call.
enum Sign {
    /// The intent in its metadata.
    Intent,
    /// A field with this text.
    Word(&'static str, &'static str),
    /// A field with any other text than this.
    NotWord(&'static str, &'static str),
    /// A field that is not null.
    Filled(&'static str),
}

fn trace(call: &Call, first_sent: Timestamp) -> Trace {
    let since = first_sent.plus_seconds(-CLOCKS_DIFFER_SECONDS);
    let subscription =
        |id: &aggregates::ids::SubscriptionId, sign| Trace::Object(ObjectKind::Subscription, id.as_str().into(), sign);
    match call {
        Call::CreateCustomer { .. } => Trace::Listed(Listing::CustomersSince(since)),
        Call::UpdateCustomer { customer, .. } => {
            Trace::Object(ObjectKind::Customer, customer.as_str().into(), Sign::Intent)
        }
        Call::OpenCheckout(checkout) => Trace::Listed(Listing::CheckoutSessions(checkout.customer.clone())),
        Call::ExpireCheckout { session } => Trace::Object(
            ObjectKind::CheckoutSession,
            session.as_str().into(),
            Sign::Word("status", "expired"),
        ),
        Call::OpenPortal(_) | Call::Preview { .. } => Trace::None,
        Call::CreateSubscription(new) => Trace::Listed(Listing::Subscriptions(new.customer.clone())),
        Call::ChangeItems(change) => subscription(&change.subscription, Sign::Intent),
        Call::ScheduleCancellation { subscription: id, .. }
        | Call::WithdrawCancellation { subscription: id }
        | Call::PauseCollection { subscription: id, .. }
        | Call::ResumeCollection { subscription: id }
        | Call::ApplyDiscount { subscription: id, .. }
        | Call::RemoveDiscounts { subscription: id }
        | Call::SetTrialEnd { subscription: id, .. } => subscription(id, Sign::Intent),
        Call::CancelNow { subscription: id, .. } => subscription(id, Sign::Word("status", "canceled")),
        Call::Resume { subscription: id, .. } => subscription(id, Sign::NotWord("status", "paused")),
        Call::Pause { subscription: id } => subscription(id, Sign::Word("status", "paused")),
        Call::StartSchedule { subscription: id } => subscription(id, Sign::Filled("schedule")),
        Call::SetPhases { schedule, .. } => Trace::Object(ObjectKind::Schedule, schedule.as_str().into(), Sign::Intent),
        Call::ReleaseSchedule { schedule } => Trace::Object(
            ObjectKind::Schedule,
            schedule.as_str().into(),
            Sign::Word("status", "released"),
        ),
        Call::PayInvoice { invoice, .. } => Trace::Object(
            ObjectKind::Invoice,
            invoice.as_str().into(),
            Sign::Word("status", "paid"),
        ),
        Call::Refund { payment, .. } => Trace::Listed(Listing::Refunds(payment.clone())),
    }
}

impl Sign {
    fn is_on(&self, object: &Value, intent: IntentId) -> bool {
        let word = |field: &str| object.get(field).and_then(Value::as_str);
        match self {
            Self::Intent => carries(object, intent),
            Self::Word(field, wanted) => word(field) == Some(wanted),
            Self::NotWord(field, other) => word(field).is_some_and(|word| word != *other),
            Self::Filled(field) => object.get(field).is_some_and(|value| !value.is_null()),
        }
    }
}

/// The object was made or changed by the intent.
#[must_use]
pub fn carries(object: &Value, intent: IntentId) -> bool {
    let named = object.get("metadata").and_then(|metadata| metadata.get(INTENT_KEY));
    named.and_then(Value::as_str) == Some(intent.to_string().as_str())
}

/// Looks for the trace of a call.
pub async fn look_up(
    gateway: &dyn StripeGateway,
    account: &OnAccount,
    intent: IntentId,
    call: &Call,
    first_sent: Timestamp,
) -> Result<Found, GatewayError> {
    match trace(call, first_sent) {
        Trace::None => Ok(Found::Nothing),
        Trace::Object(kind, id, sign) => {
            let object = match gateway.read(account, &Read::object(kind, &id)).await {
                Ok(answer) => answer.object,
                Err(GatewayError::Permanent(refusal)) if refusal.is_missing() => return Ok(Found::NotDone),
                Err(error) => return Err(error),
            };
            Ok(if sign.is_on(&object, intent) {
                Found::Done(Box::new(object))
            } else {
                Found::NotDone
            })
        }
        Trace::Listed(list) => {
            let mut walk = Walk::older(list, None);
            for _ in 0..PAGES_MAX {
                let Some(page) = walk.read(gateway, account).await? else {
                    break;
                };
                if let Some(object) = page.rows().iter().find(|row| carries(row, intent)) {
                    return Ok(Found::Done(Box::new(object.clone())));
                }
                walk.recorded();
            }
            Ok(Found::NotDone)
        }
    }
}

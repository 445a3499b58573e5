//! Paying: what becomes of an intent when it is confirmed, authenticated, settled, canceled.
//!
//! For other families: `build` and `State::create` make an intent, `confirm` tries to pay it. A decline is a result and
//! no error, because it leaves its charge and its events. `Hook::PaymentSettled` is called at every end, also of what the
//! family itself has confirmed: a family needs one place that reads the intent's status, whoever caused it.

use serde_json::{Value, json};

use super::cards::Conduct;
use super::charges::{self, Attempt};
use super::payment_intents::PAYMENT_INTENT;
use super::payment_methods::{self, PAYMENT_METHOD, conduct};
use super::{Hook, hooks};
use crate::shape::read::{number, text};
use crate::shape::render::render;
use crate::state::State;
use crate::wire::error::ApiError;
use crate::wire::version::Version;

/// When a debit is confirmed, or fails, in seconds.
const DEBIT_SECONDS: i64 = 180;
/// Words of an authentication that is needed and cannot be had.
const NEEDS_OWNER: (&str, Option<&str>, &str) = (
    "authentication_required",
    Some("authentication_required"),
    "Your card was declined. This transaction requires authentication.",
);

/// A payment that is to be made.
#[derive(Clone, Copy, Debug)]
pub struct Payment<'a> {
    /// In minor units.
    pub amount: i64,
    /// Lower case.
    pub currency: &'a str,
    /// Who pays.
    pub customer: Option<&'a str>,
    /// With what.
    pub method: Option<&'a str>,
    /// For which invoice.
    pub invoice: Option<&'a str>,
}

/// How a payment stands after it was tried.
#[derive(Clone, Debug, PartialEq)]
pub enum Settled {
    /// Paid.
    Paid,
    /// Held until it is captured.
    Held,
    /// A debit under way; `Hook::PaymentSettled` tells the end.
    Processing,
    /// Its owner must act; `Hook::PaymentSettled` tells the end.
    NeedsAction,
    /// Refused. The error is what the API answers.
    Declined(ApiError),
}

/// The intent of a payment; the caller keeps it.
pub fn build(state: &mut State, payment: &Payment<'_>) -> Value {
    let id = state.new_id(&PAYMENT_INTENT);
    let secret = state.ids.next("_secret_", 25);
    let with_method = payment.method.is_some();
    json!({
        "id": id,
        "object": "payment_intent",
        "amount": payment.amount,
        "amount_capturable": 0,
        "amount_details": {"tip": {}},
        "amount_received": 0,
        "application": null,
        "application_fee_amount": null,
        "automatic_payment_methods": null,
        "canceled_at": null,
        "cancellation_reason": null,
        "capture_method": "automatic",
        "client_secret": format!("{id}{secret}"),
        "confirmation_method": "automatic",
        "created": state.now_for(payment.customer),
        "currency": payment.currency,
        "customer": payment.customer,
        "customer_account": null,
        "description": null,
        "excluded_payment_method_types": null,
        "last_payment_error": null,
        "latest_charge": null,
        "livemode": false,
        "managed_payments": {"enabled": false},
        "metadata": {},
        "next_action": null,
        "on_behalf_of": null,
        "payment_method": payment.method,
        "payment_method_configuration_details": null,
        "payment_method_options": {"card": {"installments": null, "request_three_d_secure": "automatic"}},
        "payment_method_types": ["card"],
        "processing": null,
        "receipt_email": null,
        "review": null,
        "setup_future_usage": null,
        "shipping": null,
        "source": null,
        "statement_descriptor": null,
        "statement_descriptor_suffix": null,
        "status": if with_method { "requires_confirmation" } else { "requires_payment_method" },
        "transfer_data": null,
        "transfer_group": null,
        "_invoice": payment.invoice,
    })
}

/// An intent whose status does not allow what is asked.
#[must_use]
pub fn unexpected(status: &str, what: &str) -> ApiError {
    let message = format!("This PaymentIntent could not be {what} because it has a status of {status}.");
    ApiError::state("payment_intent_unexpected_state", message)
}

/// Tries to pay an intent, with the method given or its own.
///
/// # Errors
/// The intent is not to be paid any more, or there is nothing to pay it with.
pub fn confirm(
    state: &mut State,
    id: &str,
    method: Option<&str>,
    off_session: bool,
    return_url: Option<&str>,
) -> Result<Settled, ApiError> {
    let intent = state.get(&PAYMENT_INTENT, id, "intent")?.clone();
    let status = text(&intent, "status").unwrap_or_default();
    if !matches!(
        status,
        "requires_payment_method" | "requires_confirmation" | "requires_action"
    ) {
        return Err(unexpected(status, "confirmed"));
    }
    let none = || {
        let message = "You cannot confirm this PaymentIntent because it's missing a payment method.";
        ApiError::state("payment_intent_unexpected_state", message)
    };
    let named = method.or_else(|| text(&intent, "payment_method")).ok_or_else(none)?;
    let method = payment_methods::resolve(state, named, "payment_method")?;
    let owner = text(&method, "customer");
    if owner.is_some() && owner != text(&intent, "customer") {
        let message = "The provided PaymentMethod belongs to another customer than this PaymentIntent.";
        return Err(ApiError::bad_param("payment_method", message));
    }
    let method_id = method["id"].clone();
    state.change(&PAYMENT_INTENT, id, "", |intent| {
        intent["payment_method"] = method_id;
        Ok(())
    })?;
    let conduct = conduct(&method);
    let ready = conduct == Conduct::AuthenticatesOnce && method["_authenticated"] == true;
    if matches!(conduct, Conduct::Authenticates | Conduct::AuthenticatesOnce) && !ready {
        // Off session nobody is there to be asked.
        return if off_session {
            refuse(state, id, &method, NEEDS_OWNER)
        } else {
            ask_owner(state, id, return_url)
        };
    }
    match conduct.refusal() {
        Some(refusal) => refuse(state, id, &method, refusal),
        None => pay(state, id, &method),
    }
}

fn pay(state: &mut State, id: &str, method: &Value) -> Result<Settled, ApiError> {
    let intent = state.get(&PAYMENT_INTENT, id, "intent")?.clone();
    let held = intent["capture_method"] == "manual";
    let debit = matches!(
        conduct(method),
        Conduct::SettlesSoon | Conduct::StaysProcessing | Conduct::FailsSoon
    );
    let attempt = match (debit, held) {
        (true, _) => Attempt::Pending,
        (false, true) => Attempt::Held,
        (false, false) => Attempt::Paid,
    };
    let charge = charges::make(state, &intent, method, attempt);
    let charge_id = charge["id"].clone();
    keep_method(state, &intent, method)?;
    let (status, settled) = match attempt {
        Attempt::Pending => ("processing", Settled::Processing),
        Attempt::Held => ("requires_capture", Settled::Held),
        Attempt::Paid | Attempt::Refused(..) => ("succeeded", Settled::Paid),
    };
    let changed = state.change(&PAYMENT_INTENT, id, "", |intent| {
        intent["latest_charge"] = charge_id;
        intent["last_payment_error"] = Value::Null;
        intent["next_action"] = Value::Null;
        intent["status"] = json!(status);
        if held && !debit {
            intent["amount_capturable"] = intent["amount"].clone();
        }
        Ok(())
    })?;
    match settled {
        Settled::Processing => {
            state.emit("payment_intent.processing", &changed);
            if conduct(method) != Conduct::StaysProcessing {
                state.schedule(&changed, state.now_of(&changed) + DEBIT_SECONDS, "payment.settle");
            }
        }
        Settled::Held => state.emit("payment_intent.amount_capturable_updated", &changed),
        Settled::Paid | Settled::NeedsAction | Settled::Declined(_) => {
            succeed(state, id, number(&changed, "amount"))?;
        }
    }
    Ok(settled)
}

/// A method that is to be used again is attached to the customer.
fn keep_method(state: &mut State, intent: &Value, method: &Value) -> Result<(), ApiError> {
    if let (Some(_), Some(customer)) = (text(intent, "setup_future_usage"), text(intent, "customer")) {
        let id = text(method, "id").unwrap_or_default().to_owned();
        if method["object"] == "payment_method" && method["customer"].is_null() {
            payment_methods::attach(state, &id, customer)?;
        }
    }
    Ok(())
}

/// The intent is paid; emits `payment_intent.succeeded`.
pub(super) fn succeed(state: &mut State, id: &str, received: i64) -> Result<Value, ApiError> {
    let paid = state.change(&PAYMENT_INTENT, id, "", |intent| {
        intent["status"] = json!("succeeded");
        intent["amount_received"] = json!(received);
        intent["amount_capturable"] = json!(0);
        Ok(())
    })?;
    state.emit("payment_intent.succeeded", &paid);
    tell(state, id)?;
    state.get(&PAYMENT_INTENT, id, "intent").cloned()
}

fn tell(state: &mut State, id: &str) -> Result<(), ApiError> {
    for hook in hooks() {
        if let Hook::PaymentSettled(act) = hook {
            act(state, id)?;
        }
    }
    Ok(())
}

fn refuse(
    state: &mut State,
    id: &str,
    method: &Value,
    (code, decline, words): (&'static str, Option<&'static str>, &'static str),
) -> Result<Settled, ApiError> {
    let intent = state.get(&PAYMENT_INTENT, id, "intent")?.clone();
    let charge = charges::make(state, &intent, method, Attempt::Refused(code, decline, words));
    failed(state, id, method, &charge["id"], (code, decline, words))
}

fn failed(
    state: &mut State,
    id: &str,
    method: &Value,
    charge: &Value,
    (code, decline, words): (&'static str, Option<&'static str>, &'static str),
) -> Result<Settled, ApiError> {
    let mut shown = method.clone();
    render(state, &mut shown, &Version::newest());
    let mut error = ApiError::card(code, decline, words);
    if let Some(charge) = charge.as_str() {
        error = error.with("charge", charge);
    }
    let kept = error.clone().with("payment_method", shown).object();
    let changed = state.change(&PAYMENT_INTENT, id, "", |intent| {
        intent["last_payment_error"] = kept;
        intent["next_action"] = Value::Null;
        // What was refused is not tried again by itself.
        intent["payment_method"] = Value::Null;
        intent["status"] = json!("requires_payment_method");
        if charge.is_string() {
            intent["latest_charge"] = charge.clone();
        }
        Ok(())
    })?;
    state.emit("payment_intent.payment_failed", &changed);
    tell(state, id)?;
    Ok(Settled::Declined(error))
}

fn ask_owner(state: &mut State, id: &str, return_url: Option<&str>) -> Result<Settled, ApiError> {
    let action = next_action(state, id, return_url);
    let changed = state.change(&PAYMENT_INTENT, id, "", |intent| {
        intent["next_action"] = action;
        intent["status"] = json!("requires_action");
        Ok(())
    })?;
    state.emit("payment_intent.requires_action", &changed);
    tell(state, id)?;
    Ok(Settled::NeedsAction)
}

/// Where an owner approves.
pub(super) fn next_action(state: &State, id: &str, return_url: Option<&str>) -> Value {
    let url = format!("{}/authenticate/{id}", state.settings.base_url);
    match return_url {
        Some(back) => json!({"type": "redirect_to_url", "redirect_to_url": {"return_url": back, "url": url}}),
        None => json!({"type": "use_stripe_sdk", "use_stripe_sdk": {
            "type": "three_d_secure_redirect", "stripe_js": url,
        }}),
    }
}

/// The owner approves or does not.
///
/// # Errors
/// Nobody was asked.
pub fn authenticate(state: &mut State, id: &str, approves: bool) -> Result<Value, ApiError> {
    let intent = state.get(&PAYMENT_INTENT, id, "intent")?.clone();
    let status = text(&intent, "status").unwrap_or_default();
    if status != "requires_action" {
        return Err(unexpected(status, "authenticated"));
    }
    let named = text(&intent, "payment_method").unwrap_or_default().to_owned();
    let mut method = payment_methods::resolve(state, &named, "payment_method")?;
    if approves {
        if method["object"] == "payment_method" {
            method["_authenticated"] = json!(true);
            state.put(&PAYMENT_METHOD, method.clone());
        }
        pay(state, id, &method)?;
    } else {
        let words = "The provided payment method has failed authentication.";
        failed(
            state,
            id,
            &method,
            &Value::Null,
            ("payment_intent_authentication_failure", None, words),
        )?;
    }
    state.get(&PAYMENT_INTENT, id, "intent").cloned()
}

/// A debit ends.
pub(super) fn settle(state: &mut State, id: &str) -> Result<(), ApiError> {
    let Some(intent) = state.look(&PAYMENT_INTENT, id).cloned() else {
        return Ok(());
    };
    if intent["status"] != "processing" {
        return Ok(());
    }
    let charge = text(&intent, "latest_charge").unwrap_or_default().to_owned();
    let named = text(&intent, "payment_method").unwrap_or_default().to_owned();
    let method = payment_methods::resolve(state, &named, "payment_method")?;
    if conduct(&method) == Conduct::FailsSoon {
        let refusal = (
            "debit_not_authorized",
            Some("debit_not_authorized"),
            "The debit was refused by the bank.",
        );
        charges::settle(state, &charge, Attempt::Refused(refusal.0, refusal.1, refusal.2))?;
        failed(state, id, &method, &json!(charge), refusal)?;
    } else {
        charges::settle(state, &charge, Attempt::Paid)?;
        succeed(state, id, number(&intent, "amount"))?;
    }
    Ok(())
}

/// Gives a payment up; what was held is let go.
///
/// # Errors
/// It is over already, or a debit is under way.
pub fn cancel(state: &mut State, id: &str, reason: Option<&str>) -> Result<Value, ApiError> {
    let intent = state.get(&PAYMENT_INTENT, id, "intent")?.clone();
    let status = text(&intent, "status").unwrap_or_default();
    if !status.starts_with("requires_") {
        return Err(unexpected(status, "canceled"));
    }
    if status == "requires_capture" {
        let charge = text(&intent, "latest_charge").unwrap_or_default().to_owned();
        charges::release(state, &charge)?;
    }
    let now = state.now_of(&intent);
    let canceled = state.change(&PAYMENT_INTENT, id, "", |intent| {
        intent["status"] = json!("canceled");
        intent["canceled_at"] = json!(now);
        intent["cancellation_reason"] = json!(reason);
        intent["amount_capturable"] = json!(0);
        intent["next_action"] = Value::Null;
        Ok(())
    })?;
    state.emit("payment_intent.canceled", &canceled);
    tell(state, id)?;
    Ok(canceled)
}

//! What becomes of a session: paid, set up, subscribed, given up. Hooks finish what had to be waited for.

use serde_json::{Value, json};

use super::super::payments;
use super::super::{customer_money, payment_intents::PAYMENT_INTENT, setup_intents};
use super::super::{customers::CUSTOMER, setup_intents::SETUP_INTENT};
use super::finish::buyer;
use super::{SESSION, inner, promotions, url_of};
use crate::shape::read::{items, number, text};
use crate::state::State;
use crate::wire::error::ApiError;
use crate::wire::params::Params;

/// The session is complete; emits `checkout.session.completed`.
pub(super) fn finish(state: &mut State, id: &str, payment_status: &str) -> Result<Value, ApiError> {
    state.due.unschedule("checkout.expire", id);
    let done = state.change(&SESSION, id, "", |session| {
        session["status"] = json!("complete");
        session["payment_status"] = json!(payment_status);
        session["url"] = Value::Null;
        if session["customer"].is_null() {
            session["customer"] = session["_customer"].clone();
        }
        Ok(())
    })?;
    if done["mode"] == "payment" {
        promotions::redeem(state, &done)?;
    }
    keep_details(state, &done)?;
    super::super::payment_links::count(state, &done)?;
    state.emit("checkout.session.completed", &done);
    Ok(done)
}

/// Complete, and not paid yet: the end comes as `async_payment_*`.
pub(super) fn finish_later(state: &mut State, id: &str) -> Result<(), ApiError> {
    state.change(&SESSION, id, "", |session| {
        session["_waits"] = json!(true);
        Ok(())
    })?;
    finish(state, id, "unpaid").map(|_| ())
}

/// What `customer_update` says is to be kept on a customer that was there before.
fn keep_details(state: &mut State, session: &Value) -> Result<(), ApiError> {
    let Some(customer) = text(session, "customer").map(str::to_owned) else {
        return Ok(());
    };
    if text(session, "_customer") == Some(customer.as_str()) {
        return Ok(());
    }
    let details = session["customer_details"].clone();
    let auto = |name: &str| session["_customer_update"][name] == "auto";
    if state.look(&CUSTOMER, &customer).is_none() {
        return Ok(());
    }
    state.change(&CUSTOMER, &customer, "customer.updated", |customer| {
        if auto("name") && details["name"].is_string() {
            customer["name"] = details["name"].clone();
        }
        if auto("address") && details["address"]["country"].is_string() {
            customer["address"] = details["address"].clone();
        }
        if customer["email"].is_null() {
            customer["email"] = details["email"].clone();
        }
        Ok(())
    })?;
    for tax_id in items(&details, "tax_ids") {
        if let Some(tree) = tax_id.as_object() {
            customer_money::add_tax_id(state, &customer, &Params::new(tree))?;
        }
    }
    Ok(())
}

// ---- subscriptions -----------------------------------------------------------------------------------

/// Subscribes: at once when nothing is to be paid and no card to be kept, else once that has been done.
pub(super) fn subscribe(state: &mut State, session: &Value, method: Option<&str>) -> Result<(), ApiError> {
    let id = text(session, "id").unwrap_or_default().to_owned();
    let customer = buyer(state, session)?.unwrap_or_default();
    if number(session, "amount_total") > 0 {
        return pay_first(state, session, &customer, method.unwrap_or_default());
    }
    let Some(method) = method else {
        let session = begin_subscription(state, session, &customer, None)?;
        return finish(state, text(&session, "id").unwrap_or(&id), "no_payment_required").map(|_| ());
    };
    // Nothing is paid now: the card is made ready for later.
    let wanted = json!({"customer": customer, "usage": "off_session"});
    let intent = inner::post(state, SETUP_INTENT.path, wanted)?;
    let intent = text(&intent, "id").unwrap_or_default().to_owned();
    set_up(state, session, &intent, method)
}

/// Confirms a setup intent for a session; the hook goes on when it has succeeded.
pub(super) fn set_up(state: &mut State, session: &Value, intent: &str, method: &str) -> Result<(), ApiError> {
    let id = text(session, "id").unwrap_or_default().to_owned();
    state.change(&SESSION, &id, "", |session| {
        session["_intent"] = json!(intent);
        Ok(())
    })?;
    if session["mode"] == "setup"
        && session["customer"].is_null()
        && let Some(customer) = buyer(state, session)?
    {
        state.change(&SETUP_INTENT, intent, "", |intent| {
            intent["customer"] = json!(customer);
            Ok(())
        })?;
    }
    let back = url_of(state, &id);
    let confirmed = setup_intents::confirm(state, intent, Some(method), Some(&back));
    confirmed.map(|_| ()).map_err(|error| error.param("card[number]"))
}

/// Makes the subscription and tries to pay its first invoice. A subscription of an attempt before is used again.
fn pay_first(state: &mut State, session: &Value, customer: &str, method: &str) -> Result<(), ApiError> {
    let id = text(session, "id").unwrap_or_default().to_owned();
    let basket = json!([session["amount_total"], session["discounts"], quantities(session)]);
    let session = if session["_begun"] == basket {
        session.clone()
    } else {
        drop_begun(state, session)?;
        let session = begin_subscription(state, session, customer, None)?;
        state.change(&SESSION, text(&session, "id").unwrap_or(&id), "", |session| {
            session["_begun"] = basket;
            Ok(())
        })?
    };
    let invoice = text(&session, "invoice").unwrap_or_default().to_owned();
    // The customer's balance has paid it.
    if state
        .objects
        .get("invoice", &invoice)
        .is_some_and(|invoice| invoice["status"] == "paid")
    {
        return finish(state, &id, "paid").map(|_| ());
    }
    let intent = intent_of(state, &invoice)?;
    state.change(&SESSION, &id, "", |session| {
        session["_intent"] = json!(intent);
        Ok(())
    })?;
    let back = url_of(state, &id);
    let waits = pay_invoice(state, &invoice, Some(method), &back).map_err(|error| error.param("card[number]"))?;
    let status = state.get(&PAYMENT_INTENT, &intent, "intent")?["status"].clone();
    // Paid, the hook has finished it; waiting, it will.
    if waits.is_none() && status == "processing" {
        return finish_later(state, &id);
    }
    Ok(())
}

/// Pays an invoice while its owner is there, with a method or what there is. Answers the intent that its owner has to
/// approve; they come back to `back` from that.
///
/// # Errors
/// A card that is refused, an invoice that is not to be paid.
pub(crate) fn pay_invoice(
    state: &mut State,
    invoice: &str,
    method: Option<&str>,
    back: &str,
) -> Result<Option<String>, ApiError> {
    let wanted = json!({"off_session": false, "payment_method": method});
    match inner::post(state, &format!("/v1/invoices/{invoice}/pay"), wanted) {
        Ok(_) => Ok(None),
        Err(error) if error.code.as_deref() == Some("invoice_payment_intent_requires_action") => {
            let intent = intent_of(state, invoice)?;
            let action = payments::next_action(state, &intent, Some(back));
            state.change(&PAYMENT_INTENT, &intent, "", |intent| {
                intent["next_action"] = action;
                Ok(())
            })?;
            Ok(Some(intent))
        }
        Err(error) => Err(error),
    }
}

fn quantities(session: &Value) -> Value {
    items(session, "_line_items")
        .iter()
        .map(|line| line["quantity"].clone())
        .collect()
}

/// The intent that an invoice is paid by.
///
/// # Errors
/// It has none.
pub(crate) fn intent_of(state: &mut State, invoice: &str) -> Result<String, ApiError> {
    let listed = inner::call(state, "GET", "/v1/invoice_payments", json!({ "invoice": invoice }))?;
    let found = items(&listed, "data")
        .iter()
        .find_map(|payment| text(payment, "payment.payment_intent"));
    let none = || ApiError::other(500, "api_error", "The invoice has no payment intent.");
    found.map(str::to_owned).ok_or_else(none)
}

fn begin_subscription(
    state: &mut State,
    session: &Value,
    customer: &str,
    method: Option<&str>,
) -> Result<Value, ApiError> {
    let line = |item: &Value| {
        let mut line = json!({"price": item["price"]["id"]});
        for (name, part) in [("quantity", "quantity"), ("tax_rates", "_tax_rates")] {
            let given = &item[part];
            if !given.is_null() && *given != json!([]) {
                line[name] = given.clone();
            }
        }
        line
    };
    let (recurring, once): (Vec<&Value>, Vec<&Value>) = items(session, "_line_items")
        .iter()
        .partition(|item| item["price"]["type"] == "recurring");
    let mut wanted = json!({
        "customer": customer,
        "items": recurring.into_iter().map(line).collect::<Vec<Value>>(),
        "payment_behavior": "default_incomplete",
        "payment_settings": {"save_default_payment_method": "on_subscription"},
    });
    if !once.is_empty() {
        wanted["add_invoice_items"] = once.into_iter().map(line).collect();
    }
    if let Some(data) = session["_subscription_data"].as_object() {
        for (name, value) in data
            .iter()
            .filter(|(_, value)| !value.is_null() && **value != json!([]))
        {
            wanted[name.as_str()] = value.clone();
        }
    }
    let discounts = promotions::of_subscription(session);
    if !discounts.is_null() {
        wanted["discounts"] = discounts;
    }
    if session["automatic_tax"]["enabled"] == true {
        wanted["automatic_tax"] = json!({"enabled": true});
    }
    if let Some(method) = method {
        wanted["default_payment_method"] = json!(method);
    }
    let made = inner::post(state, "/v1/subscriptions", wanted)?;
    let id = text(session, "id").unwrap_or_default().to_owned();
    state.change(&SESSION, &id, "", |session| {
        session["subscription"] = made["id"].clone();
        session["invoice"] = made["latest_invoice"].clone();
        Ok(())
    })
}

/// What was begun for a session that will not be paid, or not like this.
pub(super) fn drop_begun(state: &mut State, session: &Value) -> Result<(), ApiError> {
    let id = text(session, "id").unwrap_or_default().to_owned();
    if let Some(subscription) = text(session, "subscription").filter(|_| !session["_begun"].is_null()) {
        inner::call(state, "DELETE", &format!("/v1/subscriptions/{subscription}"), json!({}))?;
    } else if let Some(intent) = text(session, "payment_intent").and_then(|intent| state.look(&PAYMENT_INTENT, intent))
        && text(intent, "status").is_some_and(|status| status.starts_with("requires_"))
    {
        let intent = text(intent, "id").unwrap_or_default().to_owned();
        payments::cancel(state, &intent, Some("abandoned"))?;
    }
    state.change(&SESSION, &id, "", |session| {
        if !session["_begun"].is_null() {
            session["subscription"] = Value::Null;
            session["invoice"] = Value::Null;
        }
        session["_begun"] = Value::Null;
        Ok(())
    })?;
    Ok(())
}

// ---- hooks -------------------------------------------------------------------------------------------

fn session_of(state: &State, intent: &str) -> Option<Value> {
    state
        .all(&SESSION)
        .find(|session| session["_intent"] == intent)
        .cloned()
}

/// A payment has come to an end.
pub(super) fn payment_settled(state: &mut State, intent: &str) -> Result<(), ApiError> {
    let Some(session) = session_of(state, intent) else {
        return Ok(());
    };
    let id = text(&session, "id").unwrap_or_default().to_owned();
    let status = state
        .look(&PAYMENT_INTENT, intent)
        .and_then(|intent| text(intent, "status"));
    let paid = status == Some("succeeded");
    match (text(&session, "status"), paid) {
        (Some("open"), true) => finish(state, &id, "paid").map(|_| ()),
        (Some("open"), false) => remember_error(state, &id, &PAYMENT_INTENT, intent, "last_payment_error"),
        (Some("complete"), paid) if session["payment_status"] == "unpaid" => {
            let waits = session["_waits"] == true;
            let settled = state.change(&SESSION, &id, "", |session| {
                session["_waits"] = Value::Null;
                if paid {
                    session["payment_status"] = json!("paid");
                }
                Ok(())
            })?;
            match (waits, paid) {
                (true, true) => state.emit("checkout.session.async_payment_succeeded", &settled),
                (true, false) => state.emit("checkout.session.async_payment_failed", &settled),
                (false, _) => {}
            }
            Ok(())
        }
        (Some(_) | None, _) => Ok(()),
    }
}

/// The page says why its owner's card was not taken after they came back from authentication.
fn remember_error(
    state: &mut State,
    id: &str,
    kind: &crate::state::store::Kind,
    intent: &str,
    field: &str,
) -> Result<(), ApiError> {
    let message = state.look(kind, intent).map(|intent| intent[field]["message"].clone());
    state.change(&SESSION, id, "", |session| {
        session["_error"] = message.unwrap_or_default();
        Ok(())
    })?;
    Ok(())
}

/// A payment method is ready, or was refused.
pub(super) fn setup_settled(state: &mut State, intent: &str) -> Result<(), ApiError> {
    let Some(session) = session_of(state, intent).filter(|session| session["status"] == "open") else {
        return Ok(());
    };
    let id = text(&session, "id").unwrap_or_default().to_owned();
    let found = state.get(&SETUP_INTENT, intent, "intent")?;
    if found["status"] != "succeeded" {
        return remember_error(state, &id, &SETUP_INTENT, intent, "last_setup_error");
    }
    let method = text(found, "payment_method").unwrap_or_default().to_owned();
    if session["mode"] == "subscription" {
        let customer = text(&session, "customer")
            .or_else(|| text(&session, "_customer"))
            .unwrap_or_default();
        begin_subscription(state, &session, customer, Some(&method))?;
    }
    finish(state, &id, "no_payment_required").map(|_| ())
}

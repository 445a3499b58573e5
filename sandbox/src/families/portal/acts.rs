//! What customers do in the portal. Each act is the call that does it, within what the configuration allows.

use serde_json::{Value, json};

use super::super::customers::CUSTOMER;
use super::super::payment_intents::PAYMENT_INTENT;
use super::super::payment_methods;
use super::super::prices::PRICE;
use super::super::setup_intents::{self, SETUP_INTENT};
use super::super::{checkout, inner};
use super::sessions::{cancels, ended, subscriptions};
use super::{CONFIGURATION, SESSION, url_of};
use crate::shape::read::{at, flag, items, number, text};
use crate::state::State;
use crate::wire::call::{Outcome, Request};
use crate::wire::error::ApiError;
use crate::wire::params::Params;

/// Parameters of all acts.
pub(super) const PARAMS: &str = "subscription price quantity stay feedback comment payment_method \
     card{number exp_month exp_year cvc} invoice email name phone \
     address{city country line1 line2 postal_code state} outcome";

/// An act of the portal.
#[derive(Debug)]
struct Action {
    /// Its name, in addresses.
    name: &'static str,
    /// The feature that allows it; none is always allowed.
    feature: &'static str,
    run: fn(&mut State, &Value, &Params<'_>) -> Result<Value, ApiError>,
}

/// All acts.
const ACTIONS: &[Action] = &[
    Action {
        name: "payment_method_update",
        feature: "payment_method_update",
        run: update_method,
    },
    Action {
        name: "subscription_cancel",
        feature: "subscription_cancel",
        run: cancel,
    },
    Action {
        name: "subscription_renew",
        feature: "subscription_cancel",
        run: renew,
    },
    Action {
        name: "subscription_update",
        feature: "subscription_update",
        run: update,
    },
    Action {
        name: "subscription_update_confirm",
        feature: "subscription_update",
        run: confirm,
    },
    Action {
        name: "subscription_pause",
        feature: "",
        run: pause,
    },
    Action {
        name: "subscription_resume",
        feature: "",
        run: resume,
    },
    Action {
        name: "customer_update",
        feature: "customer_update",
        run: update_customer,
    },
    Action {
        name: "invoice_pay",
        feature: "invoice_history",
        run: pay_invoice,
    },
];

/// Does an act of a session; answers what it changed.
///
/// # Errors
/// A session that is over or is for something else, what is not allowed, what the call refuses.
pub(crate) fn act(state: &mut State, id: &str, name: &str, params: &Params<'_>) -> Result<Value, ApiError> {
    let session = state.get(&SESSION, id, "session")?.clone();
    if ended(state, &session) {
        let message = "This session of the billing portal has ended. Open the portal again.";
        return Err(ApiError::state("billing_portal_session_expired", message));
    }
    let unknown = || ApiError::no_such("action", name, "action");
    let action = ACTIONS.iter().find(|action| action.name == name).ok_or_else(unknown)?;
    if let Some(flow) = text(&session, "flow.type").filter(|_| session["_done"] != true)
        && flow != name
    {
        let message = format!("This session of the billing portal is for {flow} only.");
        return Err(ApiError::bad_param("action", message));
    }
    if name == "subscription_pause" && session["flow"]["type"] != "subscription_pause" {
        let message = "A subscription is paused in the flow subscription_pause only.";
        return Err(ApiError::bad_param("action", message));
    }
    let features = feature(state, &session, "");
    if !action.feature.is_empty() && !flag(&features, &format!("{}.enabled", action.feature)) {
        let message = format!("The portal configuration does not enable {}.", action.feature);
        return Err(ApiError::bad_param("action", message));
    }
    let done = (action.run)(state, &session, params)?;
    if !waits(&done) {
        over(state, id)?;
    }
    Ok(done)
}

/// Whether an act is an intent that waits for its owner.
pub(crate) fn waits(done: &Value) -> bool {
    matches!(text(done, "object"), Some("setup_intent" | "payment_intent")) && done["status"] == "requires_action"
}

/// The one thing that a session was for has been done.
fn over(state: &mut State, id: &str) -> Result<(), ApiError> {
    state.change(&SESSION, id, "", |session| {
        session["_done"] = json!(true);
        Ok(())
    })?;
    Ok(())
}

/// The twin of the pages.
pub(super) fn twin(state: &mut State, request: &Request) -> Outcome {
    let params = request.params();
    let outcome = params.choice("outcome", &["approve", "fail"])?;
    let mut done = act(state, request.id(), request.segment(1), &params)?;
    if let Some(outcome) = outcome.filter(|_| waits(&done)) {
        let intent = text(&done, "id").unwrap_or_default().to_owned();
        done = setup_intents::answer(state, &intent, outcome == "approve")?;
    }
    Ok(done.into())
}

/// A feature of a session's configuration; all with an empty name.
fn feature(state: &State, session: &Value, name: &str) -> Value {
    let configuration = text(session, "configuration").and_then(|id| state.look(&CONFIGURATION, id));
    let path = format!("features.{name}");
    configuration.map_or(Value::Null, |found| at(found, path.trim_end_matches('.')).clone())
}

/// The subscription that is meant: the flow's, the one named, else the only one.
fn subscription(state: &State, session: &Value, params: &Params<'_>) -> Result<Value, ApiError> {
    let customer = text(session, "customer").unwrap_or_default();
    let kind = text(session, "flow.type").unwrap_or_default();
    let named = text(session, &format!("flow.{kind}.subscription")).or_else(|| params.text("subscription"));
    let mut own = subscriptions(state, customer);
    let found = match named {
        Some(id) => own.find(|found| found["id"] == id),
        None => own.next(),
    };
    let missing = || ApiError::no_such("subscription", named.unwrap_or_default(), "subscription");
    found.cloned().ok_or_else(missing)
}

fn change(state: &mut State, subscription: &Value, wanted: Value) -> Result<Value, ApiError> {
    let id = text(subscription, "id").unwrap_or_default();
    inner::post(state, &format!("/v1/subscriptions/{id}"), wanted)
}

fn cancel(state: &mut State, session: &Value, params: &Params<'_>) -> Result<Value, ApiError> {
    let found = subscription(state, session, params)?;
    if cancels(&found) {
        let message = "This subscription is set to be canceled already.";
        return Err(ApiError::bad_param("subscription", message));
    }
    let offer = text(session, "flow.subscription_cancel.retention.coupon_offer.coupon");
    if params.flag("stay")? == Some(true) {
        let none = || ApiError::bad_param("stay", "There is no offer to stay.");
        let coupon = offer.ok_or_else(none)?.to_owned();
        return change(state, &found, json!({"discounts": [{"coupon": coupon}]}));
    }
    let feature = feature(state, session, "subscription_cancel");
    let mut details = json!({});
    if let Some(feedback) = params.text("feedback") {
        let options = items(&feature, "cancellation_reason.options");
        if !options.iter().any(|option| option == feedback) {
            return Err(ApiError::bad_param("feedback", "Choose one of the reasons."));
        }
        details["feedback"] = json!(feedback);
    }
    if let Some(comment) = params.text("comment") {
        details["comment"] = json!(comment);
    }
    if feature["mode"] != "immediately" {
        return change(
            state,
            &found,
            json!({"cancel_at_period_end": true, "cancellation_details": details}),
        );
    }
    let prorates = feature["proration_behavior"] != "none";
    let at_once = feature["proration_behavior"] == "always_invoice";
    let wanted = json!({"cancellation_details": details, "prorate": prorates, "invoice_now": at_once});
    let id = text(&found, "id").unwrap_or_default();
    inner::call(state, "DELETE", &format!("/v1/subscriptions/{id}"), wanted)
}

/// Takes a planned cancellation back.
fn renew(state: &mut State, session: &Value, params: &Params<'_>) -> Result<Value, ApiError> {
    let found = subscription(state, session, params)?;
    if found["cancel_at_period_end"] == true {
        return change(state, &found, json!({"cancel_at_period_end": false}));
    }
    if found["cancel_at"].is_i64() {
        return change(state, &found, json!({"cancel_at": ""}));
    }
    Err(ApiError::bad_param(
        "subscription",
        "This subscription is not set to be canceled.",
    ))
}

/// Prices that a session's customer may change to.
pub(crate) fn offers(state: &State, session: &Value, subscription: &Value) -> Vec<Value> {
    let feature = feature(state, session, "subscription_update");
    if !allows(&feature, "price") {
        return Vec::new();
    }
    let products = items(&feature, "_products");
    let current = at(subscription, "items.data.0.price");
    let offered = |price: &Value| {
        products.is_empty()
            || products.iter().any(|product| {
                let prices = items(product, "prices");
                product["product"] == price["product"] && (prices.is_empty() || prices.contains(&price["id"]))
            })
    };
    let fits = |price: &&Value| {
        price["active"] == true
            && price["type"] == "recurring"
            && price["currency"] == current["currency"]
            && price["recurring"]["usage_type"] == current["recurring"]["usage_type"]
    };
    state
        .all(&PRICE)
        .filter(fits)
        .filter(|price| offered(price))
        .cloned()
        .collect()
}

/// What quantities a session's customer may choose; nothing when none.
pub(crate) fn bounds(state: &State, session: &Value, subscription: &Value) -> Option<(i64, Option<i64>)> {
    let feature = feature(state, session, "subscription_update");
    let metered = at(subscription, "items.data.0.price.recurring.usage_type") == "metered";
    if !allows(&feature, "quantity") || metered {
        return None;
    }
    let product = at(subscription, "items.data.0.price.product");
    let given = items(&feature, "_products")
        .iter()
        .find(|offered| offered["product"] == *product);
    let given = given
        .map(|offered| &offered["adjustable_quantity"])
        .filter(|given| given["enabled"] == true);
    Some(given.map_or((1, None), |given| {
        (number(given, "minimum").max(1), given["maximum"].as_i64())
    }))
}

fn allows(feature: &Value, what: &str) -> bool {
    flag(feature, "enabled")
        && items(feature, "default_allowed_updates")
            .iter()
            .any(|word| word == what)
}

fn update(state: &mut State, session: &Value, params: &Params<'_>) -> Result<Value, ApiError> {
    let found = subscription(state, session, params)?;
    let mut item = json!({"id": at(&found, "items.data.0.id")});
    let price = params
        .text("price")
        .filter(|price| *at(&found, "items.data.0.price.id") != **price);
    if let Some(price) = price {
        if !offers(state, session, &found)
            .iter()
            .any(|offered| offered["id"] == price)
        {
            return Err(ApiError::bad_param(
                "price",
                "Choose one of the plans that are offered.",
            ));
        }
        item["price"] = json!(price);
    }
    if let Some(quantity) = params.integer("quantity")? {
        let current = number(&found, "items.data.0.quantity");
        let wrong = |message: String| Err(ApiError::bad_param("quantity", message));
        match bounds(state, session, &found) {
            None if quantity != current => return wrong("The quantity cannot be changed here.".to_owned()),
            Some((least, most)) if quantity < least || most.is_some_and(|most| quantity > most) => {
                let most = most.map(|most| format!(" to {most}")).unwrap_or_default();
                return wrong(format!("Choose a quantity from {least}{most}."));
            }
            _ => {}
        }
        item["quantity"] = json!(quantity);
    } else if price.is_some() {
        item["quantity"] = at(&found, "items.data.0.quantity").clone();
    }
    apply(state, session, &found, &json!([item]), price.is_some())
}

fn apply(state: &mut State, session: &Value, found: &Value, items: &Value, plan: bool) -> Result<Value, ApiError> {
    let feature = feature(state, session, "subscription_update");
    let mut wanted = json!({"items": items, "proration_behavior": feature["proration_behavior"]});
    if plan && found["status"] == "trialing" && feature["trial_update_behavior"] == "end_trial" {
        wanted["trial_end"] = json!("now");
    }
    if let Some(anchor) = text(&feature, "billing_cycle_anchor") {
        wanted["billing_cycle_anchor"] = json!(anchor);
    }
    change(state, found, wanted)
}

/// The change that the session's maker has chosen.
fn confirm(state: &mut State, session: &Value, params: &Params<'_>) -> Result<Value, ApiError> {
    let found = subscription(state, session, params)?;
    let wanted = &session["flow"]["subscription_update_confirm"];
    let mut item = json!({"id": at(wanted, "items.0.id")});
    for name in ["price", "quantity"] {
        let given = at(wanted, &format!("items.0.{name}"));
        if !given.is_null() {
            item[name] = given.clone();
        }
    }
    let plan = !item["price"].is_null();
    let mut done = apply(state, session, &found, &json!([item]), plan)?;
    if wanted["discounts"].is_array() {
        done = change(state, &found, json!({"discounts": wanted["discounts"]}))?;
    }
    Ok(done)
}

fn pause(state: &mut State, session: &Value, params: &Params<'_>) -> Result<Value, ApiError> {
    let found = subscription(state, session, params)?;
    let id = text(&found, "id").unwrap_or_default();
    inner::post(state, &format!("/v1/subscriptions/{id}/pause"), json!({}))
}

fn resume(state: &mut State, session: &Value, params: &Params<'_>) -> Result<Value, ApiError> {
    let found = subscription(state, session, params)?;
    let id = text(&found, "id").unwrap_or_default();
    inner::post(state, &format!("/v1/subscriptions/{id}/resume"), json!({}))
}

fn update_customer(state: &mut State, session: &Value, params: &Params<'_>) -> Result<Value, ApiError> {
    let customer = text(session, "customer").unwrap_or_default();
    let feature = feature(state, session, "customer_update");
    let mut wanted = json!({});
    for name in ["email", "name", "phone", "address"] {
        if let Some(given) = params
            .raw(name)
            .filter(|_| items(&feature, "allowed_updates").iter().any(|own| own == name))
        {
            wanted[name] = given.clone();
        }
    }
    inner::post(state, &format!("{}/{customer}", CUSTOMER.path), wanted)
}

fn pay_invoice(state: &mut State, session: &Value, params: &Params<'_>) -> Result<Value, ApiError> {
    let id = params.required("invoice")?;
    let own = state
        .objects
        .get("invoice", id)
        .is_some_and(|invoice| invoice["customer"] == session["customer"]);
    if !own {
        return Err(ApiError::no_such("invoice", id, "invoice"));
    }
    let home = url_of(state, text(session, "id").unwrap_or_default());
    match checkout::pay_invoice(state, id, None, &home)? {
        Some(intent) => state.get(&PAYMENT_INTENT, &intent, "intent").cloned(),
        None => Ok(state.objects.get("invoice", id).cloned().unwrap_or_default()),
    }
}

// ---- payment methods ---------------------------------------------------------------------------------

fn update_method(state: &mut State, session: &Value, params: &Params<'_>) -> Result<Value, ApiError> {
    let method = match params.text("payment_method") {
        Some(named) => payment_methods::resolve(state, named, "payment_method")?,
        None => {
            let card = checkout::card(state, params)?;
            state.put(&payment_methods::PAYMENT_METHOD, card.clone());
            card
        }
    };
    let method = text(&method, "id").unwrap_or_default();
    let wanted = json!({"customer": session["customer"], "usage": "off_session"});
    let intent = inner::post(state, SETUP_INTENT.path, wanted)?;
    let intent = text(&intent, "id").unwrap_or_default().to_owned();
    let id = text(session, "id").unwrap_or_default();
    state.change(&SESSION, id, "", |session| {
        session["_intent"] = json!(intent);
        session["_error"] = Value::Null;
        Ok(())
    })?;
    let back = url_of(state, id);
    let confirmed = setup_intents::confirm(state, &intent, Some(method), Some(&back));
    confirmed.map_err(|error| error.param("card[number]"))?;
    state.get(&SETUP_INTENT, &intent, "intent").cloned()
}

/// A method that is ready becomes the customer's default, and that of subscriptions which had one of their own.
pub(super) fn setup_settled(state: &mut State, intent: &str) -> Result<(), ApiError> {
    let Some(session) = state
        .all(&SESSION)
        .find(|session| session["_intent"] == intent)
        .cloned()
    else {
        return Ok(());
    };
    let id = text(&session, "id").unwrap_or_default();
    let found = state.get(&SETUP_INTENT, intent, "intent")?.clone();
    if found["status"] != "succeeded" {
        let message = at(&found, "last_setup_error.message").clone();
        state.change(&SESSION, id, "", |session| {
            session["_error"] = message;
            Ok(())
        })?;
        return Ok(());
    }
    let customer = text(&session, "customer").unwrap_or_default().to_owned();
    let method = found["payment_method"].clone();
    state.change(&CUSTOMER, &customer, "customer.updated", |customer| {
        customer["invoice_settings"]["default_payment_method"] = method.clone();
        Ok(())
    })?;
    let own: Vec<Value> = subscriptions(state, &customer)
        .filter(|subscription| subscription["default_payment_method"].is_string())
        .cloned()
        .collect();
    for subscription in own {
        change(state, &subscription, json!({"default_payment_method": method}))?;
    }
    over(state, id)
}

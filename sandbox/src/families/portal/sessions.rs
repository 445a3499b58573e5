//! Portal sessions: one customer, let in for a while, for everything or for one thing.

use serde_json::{Value, json};

use super::super::checkout::check_url;
use super::super::coupons::COUPON;
use super::super::customers::CUSTOMER;
use super::{CONFIGURATION, SESSION, configurations, url_of};
use crate::shape::read::{flag, number, text};
use crate::state::State;
use crate::wire::call::{Outcome, Request};
use crate::wire::error::ApiError;
use crate::wire::params::Params;

/// How long a session lets its customer in, in seconds.
const LIFE: i64 = 3600;

pub(super) const PARAMS: &str = "configuration customer customer_account expand[] flow_data{type \
     after_completion{type hosted_confirmation{custom_message} redirect{return_url}} \
     subscription_cancel{subscription retention{type coupon_offer{coupon}}} subscription_update{subscription} \
     subscription_update_confirm{subscription items[]{id price quantity} discounts[]{coupon promotion_code}} \
     subscription_pause{subscription}} locale on_behalf_of return_url";

/// Kinds of flows, and the feature that each needs.
const FLOWS: &[(&str, &str)] = &[
    ("customer_update", "customer_update"),
    ("payment_method_update", "payment_method_update"),
    ("subscription_cancel", "subscription_cancel"),
    ("subscription_update", "subscription_update"),
    ("subscription_update_confirm", "subscription_update"),
    // No feature of the configuration is about it.
    ("subscription_pause", ""),
];

pub(super) fn create(state: &mut State, request: &Request) -> Outcome {
    let params = request.params();
    let customer = params.required("customer")?.to_owned();
    state.get(&CUSTOMER, &customer, "customer")?;
    let configuration = match params.text("configuration") {
        Some(id) => id.to_owned(),
        None => configurations::default_of(state)?,
    };
    let found = state.get(&CONFIGURATION, &configuration, "configuration")?.clone();
    if found["active"] != true {
        let message = "The configuration is not active.";
        return Err(ApiError::bad_param("configuration", message));
    }
    let return_url = params
        .text("return_url")
        .or_else(|| text(&found, "default_return_url"))
        .map(str::to_owned);
    if let Some(url) = &return_url {
        check_url(url, "return_url")?;
    }
    let flow = match params.object("flow_data") {
        Some(given) => flow(state, &given, &customer, &found)?,
        None => Value::Null,
    };
    let id = state.new_id(&SESSION);
    let session = json!({
        "id": id,
        "object": "billing_portal.session",
        "configuration": configuration,
        "created": state.now_for(Some(&customer)),
        "customer": customer,
        "customer_account": null,
        "flow": flow,
        "livemode": false,
        "locale": params.text("locale"),
        "on_behalf_of": null,
        "return_url": return_url,
        "url": url_of(state, &id),
        "_ends": state.now() + LIFE,
    });
    Ok(state.create(&SESSION, session, "billing_portal.session.created").into())
}

fn flow(state: &State, given: &Params<'_>, customer: &str, configuration: &Value) -> Result<Value, ApiError> {
    given.required("type")?;
    let words: Vec<&str> = FLOWS.iter().map(|(word, _)| *word).collect();
    let kind = given.choice("type", &words)?.unwrap_or_default();
    let feature = FLOWS
        .iter()
        .find(|(word, _)| *word == kind)
        .map_or("", |(_, feature)| feature);
    if !feature.is_empty() && !flag(configuration, &format!("features.{feature}.enabled")) {
        let message = format!("The portal configuration does not enable {feature}, which the flow {kind} needs.");
        return Err(ApiError::bad_param(&given.name("type"), message));
    }
    let mut flow = json!({
        "after_completion": after_completion(given)?,
        "customer_update": null,
        "subscription_cancel": null,
        "subscription_update": null,
        "subscription_update_confirm": null,
        "type": kind,
    });
    if matches!(kind, "payment_method_update" | "customer_update") {
        return Ok(flow);
    }
    let part = given.object(kind).ok_or_else(|| ApiError::missing(&given.name(kind)))?;
    let name = part.name("subscription");
    let subscription = part.required("subscription")?;
    let found = state.objects.get("subscription", subscription);
    let found = found.filter(|found| found["customer"] == customer);
    let found = found.ok_or_else(|| ApiError::no_such("subscription", subscription, &name))?;
    if kind == "subscription_cancel" && cancels(found) {
        let message = "This subscription cannot be canceled because it is already set to be canceled.";
        return Err(ApiError::bad_param(&name, message));
    }
    if let Some(retention) = part.object("retention") {
        retention.required("type")?;
        retention.choice("type", &["coupon_offer"])?;
        let offer = retention.object("coupon_offer");
        let offer = offer.ok_or_else(|| ApiError::missing(&retention.name("coupon_offer")))?;
        state.get(&COUPON, offer.required("coupon")?, &offer.name("coupon"))?;
    }
    let mut shown = part_of(&part);
    if kind == "subscription_cancel" && shown["retention"].is_null() {
        shown["retention"] = Value::Null;
    }
    if kind == "subscription_update_confirm" {
        confirm_items(&part, found, &mut shown)?;
    }
    flow[kind] = shown;
    Ok(flow)
}

fn part_of(part: &Params<'_>) -> Value {
    let mut shown = json!({});
    part.copy_texts(&mut shown, &["subscription"]);
    part.copy_trees(&mut shown, &["retention", "discounts"]);
    shown
}

fn confirm_items(part: &Params<'_>, subscription: &Value, shown: &mut Value) -> Result<(), ApiError> {
    let given = part.objects("items");
    let Some(first) = given.first().filter(|_| given.len() == 1) else {
        let message = "Give the one item of the subscription that is to change.";
        return Err(ApiError::bad_param(&part.name("items"), message));
    };
    let id = first.required("id")?;
    let known = crate::shape::read::items(subscription, "items")
        .iter()
        .any(|item| item["id"] == id);
    if !known {
        return Err(ApiError::no_such("subscription_item", id, &first.name("id")));
    }
    let item = json!({"id": id, "price": first.text("price"), "quantity": first.integer("quantity")?});
    shown["items"] = json!([item]);
    if shown["discounts"].is_null() {
        shown["discounts"] = Value::Null;
    }
    Ok(())
}

fn after_completion(given: &Params<'_>) -> Result<Value, ApiError> {
    let Some(after) = given.object("after_completion") else {
        return Ok(json!({"hosted_confirmation": null, "redirect": null, "type": "portal_homepage"}));
    };
    let words = ["hosted_confirmation", "portal_homepage", "redirect"];
    after.required("type")?;
    let kind = after.choice("type", &words)?;
    let redirect = match after.object("redirect") {
        Some(redirect) => {
            let url = redirect.required("return_url")?;
            check_url(url, &redirect.name("return_url"))?;
            json!({ "return_url": url })
        }
        None if kind == Some("redirect") => return Err(ApiError::missing(&after.name("redirect"))),
        None => Value::Null,
    };
    let hosted = after.object("hosted_confirmation");
    let hosted = hosted.map(|hosted| json!({"custom_message": hosted.text("custom_message")}));
    Ok(json!({"hosted_confirmation": hosted, "redirect": redirect, "type": kind}))
}

/// Whether a subscription ends by itself already.
pub(super) fn cancels(subscription: &Value) -> bool {
    subscription["cancel_at_period_end"] == true
        || subscription["cancel_at"].is_i64()
        || matches!(text(subscription, "status"), Some("canceled" | "incomplete_expired"))
}

/// Whether a session lets nobody in any more.
pub(crate) fn ended(state: &State, session: &Value) -> bool {
    state.now() > number(session, "_ends")
}

/// The subscriptions of a customer that are not over, newest first.
pub(crate) fn subscriptions<'a>(state: &'a State, customer: &'a str) -> impl Iterator<Item = &'a Value> {
    let over = |found: &Value| matches!(text(found, "status"), Some("canceled" | "incomplete_expired"));
    let all = state.objects.newest("subscription");
    all.filter(move |found| text(found, "customer") == Some(customer) && !over(found))
}

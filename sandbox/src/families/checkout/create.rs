//! Making a session.

use serde_json::{Value, json};

use super::super::customers::CUSTOMER;
use super::super::tax_rates::TAX_RATE;
use super::super::{account, setup_intents::SETUP_INTENT};
use super::{SESSION, basket, inner, promotions, url_of};
use crate::shape::read::text;
use crate::state::State;
use crate::wire::call::{Outcome, Request};
use crate::wire::error::ApiError;
use crate::wire::params::Params;

/// Shortest and longest life of a session, in seconds, as Stripe's.
const LIFE: (i64, i64) = (30 * 60, 24 * 3600);
/// Shortest trial by date, in seconds, as Stripe's.
const TRIAL_MIN: i64 = 48 * 3600;
/// Payment methods that are imitated.
const TYPES: &[&str] = &["card", "sepa_debit"];

macro_rules! price_data {
    () => {
        "price_data{currency metadata* product product_data{name description images[] metadata* tax_code unit_label} \
         recurring{interval interval_count} tax_behavior unit_amount unit_amount_decimal}"
    };
}
macro_rules! params {
    () => {
        concat!(
            "adaptive_pricing{enabled} allow_promotion_codes allowed_payment_method_types[] \
             automatic_tax{enabled liability{account type}} billing_address_collection branding_settings* cancel_url \
             client_reference_id currency custom_text* customer customer_creation customer_email \
             customer_update{address name shipping} discounts[]{coupon promotion_code} excluded_payment_method_types[] \
             expand[] expires_at integration_identifier line_items[]{adjustable_quantity{enabled maximum minimum} \
             metadata* price quantity tax_rates[] ",
            price_data!(),
            "} locale metadata* mode origin_context payment_intent_data{capture_method description metadata* \
             receipt_email setup_future_usage shipping* statement_descriptor statement_descriptor_suffix transfer_group} \
             payment_method_collection payment_method_configuration payment_method_options* payment_method_types[] \
             phone_number_collection{enabled} return_url saved_payment_method_options* \
             setup_intent_data{description metadata*} submit_type subscription_data{billing_cycle_anchor \
             default_tax_rates[] description metadata* proration_behavior trial_end trial_period_days \
             trial_settings{end_behavior{missing_payment_method}}} success_url tax_id_collection{enabled required} \
             ui_mode wallet_options*"
        )
    };
}

/// Parameters of a session.
pub(super) const PARAMS: &str = params!();

pub(super) fn create(state: &mut State, request: &Request) -> Outcome {
    Ok(make(state, &request.params())?.into())
}

/// Makes a session.
///
/// # Errors
/// What is missing, or does not go together.
pub(crate) fn make(state: &mut State, params: &Params<'_>) -> Result<Value, ApiError> {
    params.required("mode")?;
    let mode = params
        .choice("mode", &["payment", "setup", "subscription"])?
        .unwrap_or_default();
    check(state, params, mode)?;
    let items = basket::read(state, params, mode)?;
    let id = state.new_id(&SESSION);
    let customer = params.text("customer");
    let now = state.now_for(customer);
    let expires_at = expires_at(params, now)?;
    let mut session = blank(state, &id, mode);
    session["created"] = json!(now);
    session["expires_at"] = json!(expires_at);
    session["customer"] = json!(customer);
    session["_line_items"]["data"] = json!(items);
    copy(state, params, &mut session)?;
    session["_subscription_data"] = subscription_data(state, params, now)?;
    basket::reckon(state, &mut session);
    promotions::read(state, params, &mut session)?;
    basket::reckon(state, &mut session);
    if mode == "setup" {
        session["setup_intent"] = json!(setup_intent(state, params, &session)?);
        session["currency"] = json!(params.text("currency").map(str::to_lowercase));
    }
    state.put(&SESSION, session.clone());
    state.schedule(&session, expires_at, "checkout.expire");
    Ok(session)
}

fn expires_at(params: &Params<'_>, now: i64) -> Result<i64, ApiError> {
    let expires_at = params.integer("expires_at")?.unwrap_or(now + LIFE.1);
    if expires_at < now + LIFE.0 || expires_at > now + LIFE.1 {
        let message =
            "The `expires_at` timestamp must be between 30 minutes and 24 hours from Checkout Session creation.";
        return Err(ApiError::bad_param("expires_at", message));
    }
    Ok(expires_at)
}

fn check(state: &State, params: &Params<'_>, mode: &str) -> Result<(), ApiError> {
    let hosted = ["hosted", "hosted_page"];
    if params.text("ui_mode").is_some_and(|given| !hosted.contains(&given)) {
        let message = "The sandbox has hosted pages only: leave ui_mode out, or give hosted_page.";
        return Err(ApiError::bad_param("ui_mode", message));
    }
    params.required("success_url")?;
    for name in ["success_url", "cancel_url", "return_url"] {
        if let Some(url) = params.text(name) {
            check_url(url, name)?;
        }
    }
    for (one, other) in [("customer", "customer_email"), ("allow_promotion_codes", "discounts")] {
        if params.has(one) && params.has(other) && !params.unsets(one) && !params.unsets(other) {
            let message = format!("You may only specify one of these parameters: {one}, {other}.");
            return Err(ApiError::bad_param(other, message));
        }
    }
    for (name, only) in [
        ("subscription_data", "subscription"),
        ("payment_method_collection", "subscription"),
        ("payment_intent_data", "payment"),
        ("setup_intent_data", "setup"),
    ] {
        if params.has(name) && mode != only {
            let message = format!("You can not pass `{name}` in `{mode}` mode.");
            return Err(ApiError::bad_param(name, message));
        }
    }
    if mode == "subscription" && params.has("customer_creation") {
        let message = "`customer_creation` can not be used in `subscription` mode; a customer is always made.";
        return Err(ApiError::bad_param("customer_creation", message));
    }
    if let Some(email) = params.text("customer_email").filter(|email| !email.contains('@')) {
        let error = ApiError::bad_param("customer_email", format!("Invalid email address: {email}"));
        return Err(error.code("email_invalid"));
    }
    match params.text("customer") {
        Some(customer) => check_customer(state, params, customer),
        None if params.has("customer_update") => {
            let message = "`customer_update` can only be used with `customer`.";
            Err(ApiError::bad_param("customer_update", message))
        }
        None => Ok(()),
    }
}

/// Only what a browser opens as a page.
pub(crate) fn check_url(url: &str, name: &str) -> Result<(), ApiError> {
    if crate::pages::origin_of(url).is_some() {
        return Ok(());
    }
    let message = "Not a valid URL: it must begin with http:// or https:// and name a host.";
    Err(ApiError::bad_param(name, message).code("url_invalid"))
}

fn check_customer(state: &State, params: &Params<'_>, id: &str) -> Result<(), ApiError> {
    let customer = state.get(&CUSTOMER, id, "customer")?;
    let enabled = |name: &str| params.object(name).map_or(Ok(None), |given| given.flag("enabled"));
    let update = params.object("customer_update");
    let auto = |name: &str| update.as_ref().is_some_and(|given| given.text(name) == Some("auto"));
    if enabled("tax_id_collection")? == Some(true) && !auto("name") {
        let message = "Tax ID collection requires updating business name on the customer. To enable tax ID collection \
                       for an existing customer, please set `customer_update[name]` to `auto`.";
        return Err(ApiError::bad_param("tax_id_collection", message));
    }
    let placeless = text(customer, "address.country").is_none() && !auto("address") && !auto("shipping");
    if enabled("automatic_tax")? == Some(true) && placeless {
        let message = "Automatic tax calculation in Checkout requires a valid address on the Customer. Add a valid \
                       address to the Customer or set either `customer_update[address]` to 'auto' or \
                       `customer_update[shipping]` to 'auto' to save the address entered in Checkout to the Customer.";
        let error = ApiError::bad_param("automatic_tax", message);
        return Err(error.code("customer_tax_location_invalid"));
    }
    Ok(())
}

fn blank(state: &mut State, id: &str, mode: &str) -> Value {
    let page = state.ids.next("ppage_1", 23);
    json!({
        "id": id,
        "object": "checkout.session",
        "adaptive_pricing": {"enabled": false},
        "after_expiration": null,
        "allow_promotion_codes": null,
        "amount_subtotal": null,
        "amount_total": null,
        "automatic_tax": {"enabled": false, "liability": null, "provider": null, "status": null},
        "billing_address_collection": null,
        "cancel_url": null,
        "client_reference_id": null,
        "client_secret": null,
        "collected_information": {"business_name": null, "individual_name": null, "shipping_details": null},
        "consent": null,
        "consent_collection": null,
        "currency": null,
        "currency_conversion": null,
        "custom_fields": [],
        "custom_text": {
            "after_submit": null, "shipping_address": null, "submit": null, "terms_of_service_acceptance": null,
        },
        "customer_account": null,
        "customer_creation": if mode == "subscription" { json!("always") } else { json!("if_required") },
        "customer_details": null,
        "customer_email": null,
        "discounts": [],
        "integration_identifier": null,
        "invoice": null,
        "invoice_creation": if mode == "payment" { invoice_creation() } else { Value::Null },
        "livemode": false,
        "locale": null,
        "managed_payments": {"enabled": false},
        "metadata": {},
        "mode": mode,
        "origin_context": null,
        "payment_intent": null,
        "payment_link": null,
        "payment_method_collection": if mode == "payment" { json!("if_required") } else { json!("always") },
        "payment_method_configuration_details": null,
        "payment_method_options": {"card": {"request_three_d_secure": "automatic"}},
        "payment_method_types": ["card"],
        "payment_status": if mode == "setup" { "no_payment_required" } else { "unpaid" },
        "permissions": null,
        "phone_number_collection": {"enabled": false},
        "recovered_from": null,
        "saved_payment_method_options": null,
        "setup_intent": null,
        "shipping_address_collection": null,
        "shipping_cost": null,
        "shipping_options": [],
        "status": "open",
        "submit_type": null,
        "subscription": null,
        "success_url": null,
        "total_details": {"amount_discount": 0, "amount_shipping": 0, "amount_tax": 0},
        "ui_mode": "hosted_page",
        "url": url_of(state, id),
        "wallet_options": null,
        "_line_items": {
            "object": "list", "data": [], "has_more": false, "url": format!("/v1/checkout/sessions/{id}/line_items"),
        },
        "_coupon": null,
        "_page": page,
        "_subscription_data": null,
    })
}

fn invoice_creation() -> Value {
    json!({"enabled": false, "invoice_data": {
        "account_tax_ids": null, "custom_fields": null, "description": null, "footer": null, "issuer": null,
        "metadata": {}, "rendering_options": null,
    }})
}

fn copy(state: &State, params: &Params<'_>, session: &mut Value) -> Result<(), ApiError> {
    params.copy_texts(
        session,
        &[
            "cancel_url",
            "client_reference_id",
            "customer_email",
            "integration_identifier",
            "locale",
            "success_url",
        ],
    );
    for (name, words) in [
        ("billing_address_collection", &["auto", "required"][..]),
        ("customer_creation", &["always", "if_required"]),
        ("origin_context", &["mobile_app", "web"]),
        ("payment_method_collection", &["always", "if_required"]),
        ("submit_type", &["auto", "book", "donate", "pay", "subscribe"]),
    ] {
        if let Some(word) = params.choice(name, words)? {
            session[name] = json!(word);
        }
    }
    params.copy_flags(session, &["allow_promotion_codes"])?;
    for name in ["phone_number_collection", "adaptive_pricing"] {
        if let Some(given) = params.object(name) {
            session[name] = json!({"enabled": given.flag("enabled")?.unwrap_or(false)});
        }
    }
    params.copy_trees(session, &["saved_payment_method_options"]);
    if let Some(given) = params.object("tax_id_collection") {
        let required = given.choice("required", &["if_supported", "never"])?.unwrap_or("never");
        session["tax_id_collection"] =
            json!({"enabled": given.flag("enabled")?.unwrap_or(false), "required": required});
    }
    if let Some(given) = params.object("automatic_tax")
        && given.flag("enabled")? == Some(true)
    {
        let account = account::id(state);
        let liability = given
            .object("liability")
            .and_then(|given| given.text("account").map(str::to_owned));
        let liability = match liability.filter(|id| *id != account) {
            Some(id) => return Err(ApiError::no_such("account", &id, "automatic_tax[liability][account]")),
            None => json!({"type": "self"}),
        };
        // Taxes follow from tax rates only, so there is nothing left to be found out.
        session["automatic_tax"] =
            json!({"enabled": true, "liability": liability, "provider": "stripe", "status": "complete"});
    }
    session["payment_method_types"] = types(params)?;
    for (name, part) in [
        ("payment_intent_data", "_intent_data"),
        ("customer_update", "_customer_update"),
    ] {
        session[part] = params.raw(name).cloned().unwrap_or(Value::Null);
    }
    params.merge_metadata(session)
}

fn types(params: &Params<'_>) -> Result<Value, ApiError> {
    let name = if params.has("allowed_payment_method_types") {
        "allowed_payment_method_types"
    } else {
        "payment_method_types"
    };
    let given = params.texts(name);
    let excluded = params.texts("excluded_payment_method_types");
    let wanted = if given.is_empty() { vec!["card"] } else { given };
    let known = TYPES
        .iter()
        .filter(|kind| wanted.contains(kind) && !excluded.contains(kind));
    let known: Vec<&&str> = known.collect();
    if known.is_empty() {
        let message = format!(
            "None of the payment method types is imitated; known are {}.",
            TYPES.join(", ")
        );
        return Err(ApiError::bad_param(name, message));
    }
    Ok(json!(known))
}

fn subscription_data(state: &State, params: &Params<'_>, now: i64) -> Result<Value, ApiError> {
    let Some(given) = params.object("subscription_data") else {
        return Ok(Value::Null);
    };
    let days = given.ranged("trial_period_days", 1, 730)?;
    let end = given.integer("trial_end")?;
    if days.is_some() && end.is_some() {
        let message = "You may only specify one of these parameters: trial_period_days, trial_end.";
        return Err(ApiError::bad_param(&given.name("trial_end"), message));
    }
    if end.is_some_and(|end| end < now + TRIAL_MIN) {
        let message = "The `trial_end` date has to be at least 2 days in the future.";
        return Err(ApiError::bad_param(&given.name("trial_end"), message));
    }
    let settings = given
        .object("trial_settings")
        .and_then(|given| given.object("end_behavior"));
    if let Some(settings) = &settings {
        let words = ["cancel", "create_invoice", "pause"];
        settings.required("missing_payment_method")?;
        settings.choice("missing_payment_method", &words)?;
    }
    for rate in given.texts("default_tax_rates") {
        state.get(&TAX_RATE, rate, &given.name("default_tax_rates"))?;
    }
    let mut data = json!({"trial_period_days": days, "trial_end": end});
    given.copy_texts(&mut data, &["description", "proration_behavior"]);
    given.copy_integers(&mut data, &["billing_cycle_anchor"])?;
    given.copy_trees(&mut data, &["trial_settings"]);
    data["default_tax_rates"] = json!(given.texts("default_tax_rates"));
    given.merge_metadata(&mut data)?;
    Ok(data)
}

fn setup_intent(state: &mut State, params: &Params<'_>, session: &Value) -> Result<String, ApiError> {
    let mut wanted = json!({"payment_method_types": session["payment_method_types"], "usage": "off_session"});
    if let Some(customer) = text(session, "customer") {
        wanted["customer"] = json!(customer);
    }
    if let Some(given) = params.object("setup_intent_data") {
        given.copy_trees(&mut wanted, &["description", "metadata"]);
    }
    let made = inner::post(state, SETUP_INTENT.path, wanted)?;
    Ok(text(&made, "id").unwrap_or_default().to_owned())
}

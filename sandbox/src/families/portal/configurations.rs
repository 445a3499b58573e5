//! What customers may do in the portal.

use serde_json::{Value, json};

use super::super::checkout::check_url;
use super::super::{prices::PRICE, products::PRODUCT};
use super::CONFIGURATION;
use crate::shape::list::list;
use crate::state::State;
use crate::wire::call::{Outcome, Request};
use crate::wire::error::ApiError;
use crate::wire::params::Params;

/// Most products that a configuration offers, as Stripe's.
const PRODUCTS_MAX: usize = 10;
const PRORATIONS: &[&str] = &["always_invoice", "create_prorations", "none"];

macro_rules! fields {
    () => {
        " business_profile{headline privacy_policy_url terms_of_service_url} default_return_url expand[] \
          features{customer_update{allowed_updates[] enabled} invoice_history{enabled} \
          payment_method_update{enabled payment_method_configuration} \
          subscription_cancel{cancellation_reason{enabled feedback_options[] options[]} enabled mode proration_behavior} \
          subscription_update{billing_cycle_anchor default_allowed_updates[] enabled \
          products[]{adjustable_quantity{enabled maximum minimum} prices[] product} proration_behavior \
          schedule_at_period_end{conditions[]{type}} trial_update_behavior}} login_page{enabled} metadata* name "
    };
}
pub(super) const PARAMS: &str = fields!();
pub(super) const UPDATE_PARAMS: &str = concat!(fields!(), "active");

/// The default, as it is on an account that has saved it once: everything a customer can do.
pub(super) fn set_up(state: &mut State) {
    let mut default = blank(state);
    default["is_default"] = json!(true);
    let features = &mut default["features"];
    features["customer_update"] = json!({"allowed_updates": ["email", "name", "address", "phone"], "enabled": true});
    features["payment_method_update"]["enabled"] = json!(true);
    features["subscription_cancel"]["enabled"] = json!(true);
    features["subscription_cancel"]["cancellation_reason"]["enabled"] = json!(true);
    features["subscription_update"]["enabled"] = json!(true);
    features["subscription_update"]["default_allowed_updates"] = json!(["price", "quantity"]);
    features["subscription_update"]["proration_behavior"] = json!("create_prorations");
    state.put(&CONFIGURATION, default);
}

fn blank(state: &mut State) -> Value {
    let now = state.now();
    json!({
        "id": state.new_id(&CONFIGURATION),
        "object": "billing_portal.configuration",
        "active": true,
        "application": null,
        "business_profile": {"headline": null, "privacy_policy_url": null, "terms_of_service_url": null},
        "created": now,
        "default_return_url": null,
        "features": {
            "customer_update": {"allowed_updates": [], "enabled": false},
            "invoice_history": {"enabled": true},
            "payment_method_update": {"enabled": false, "payment_method_configuration": null},
            "subscription_cancel": {
                "cancellation_reason": {"enabled": false, "options": [
                    "customer_service", "low_quality", "missing_features", "other", "switched_service", "too_complex",
                    "too_expensive", "unused",
                ]},
                "enabled": false,
                "mode": "at_period_end",
                "proration_behavior": "none",
            },
            "subscription_update": {
                "billing_cycle_anchor": null,
                "default_allowed_updates": [],
                "enabled": false,
                "proration_behavior": "none",
                "schedule_at_period_end": {"conditions": []},
                "trial_update_behavior": "end_trial",
                "_products": [],
            },
        },
        "is_default": false,
        "livemode": false,
        "login_page": {"enabled": false, "url": null},
        "metadata": {},
        "name": null,
        "updated": now,
    })
}

pub(super) fn create(state: &mut State, request: &Request) -> Outcome {
    let params = request.params();
    if params.object("features").is_none() {
        return Err(ApiError::missing("features"));
    }
    let mut made = blank(state);
    made["features"]["invoice_history"]["enabled"] = json!(false);
    edit(state, &params, &mut made)?;
    Ok(state
        .create(&CONFIGURATION, made, "billing_portal.configuration.created")
        .into())
}

pub(super) fn update(state: &mut State, request: &Request) -> Outcome {
    let params = request.params();
    let mut wanted = state.get(&CONFIGURATION, request.id(), "configuration")?.clone();
    edit(state, &params, &mut wanted)?;
    let active = params.flag("active")?;
    if active == Some(false) && wanted["is_default"] == true {
        let message = "The default configuration cannot be deactivated.";
        return Err(ApiError::bad_param("active", message));
    }
    if let Some(active) = active {
        wanted["active"] = json!(active);
    }
    wanted["updated"] = json!(state.now());
    let changed = state.change(
        &CONFIGURATION,
        request.id(),
        "billing_portal.configuration.updated",
        |kept| {
            *kept = wanted;
            Ok(())
        },
    )?;
    Ok(changed.into())
}

fn edit(state: &mut State, params: &Params<'_>, configuration: &mut Value) -> Result<(), ApiError> {
    if let Some(profile) = params.object("business_profile") {
        let names = ["headline", "privacy_policy_url", "terms_of_service_url"];
        for name in &names[1..] {
            if let Some(url) = profile.text(name) {
                check_url(url, &profile.name(name))?;
            }
        }
        profile.copy_texts(&mut configuration["business_profile"], &names);
    }
    if let Some(url) = params.text("default_return_url") {
        check_url(url, "default_return_url")?;
    }
    params.copy_texts(configuration, &["default_return_url", "name"]);
    if let Some(page) = params.object("login_page") {
        let enabled = page.flag("enabled")?.unwrap_or(false);
        if enabled {
            let message = "The sandbox has no login page: open the portal by a session.";
            return Err(ApiError::bad_param("login_page[enabled]", message));
        }
    }
    if let Some(features) = params.object("features") {
        edit_features(state, &features, &mut configuration["features"])?;
    }
    params.merge_metadata(configuration)
}

fn edit_features(state: &State, given: &Params<'_>, features: &mut Value) -> Result<(), ApiError> {
    for name in ["customer_update", "invoice_history", "payment_method_update"] {
        if let Some(feature) = given.object(name) {
            feature.copy_flags(&mut features[name], &["enabled"])?;
        }
    }
    if let Some(feature) = given
        .object("customer_update")
        .filter(|feature| feature.has("allowed_updates"))
    {
        features["customer_update"]["allowed_updates"] = json!(feature.texts("allowed_updates"));
    }
    if let Some(feature) = given.object("subscription_cancel") {
        let target = &mut features["subscription_cancel"];
        feature.copy_flags(target, &["enabled"])?;
        for (name, words) in [
            ("mode", &["at_period_end", "immediately"][..]),
            ("proration_behavior", PRORATIONS),
        ] {
            if let Some(word) = feature.choice(name, words)? {
                target[name] = json!(word);
            }
        }
        if let Some(reason) = feature.object("cancellation_reason") {
            reason.copy_flags(&mut target["cancellation_reason"], &["enabled"])?;
            if reason.has("options") {
                target["cancellation_reason"]["options"] = json!(reason.texts("options"));
            }
        }
    }
    match given.object("subscription_update") {
        Some(feature) => edit_update(state, &feature, &mut features["subscription_update"]),
        None => Ok(()),
    }
}

fn edit_update(state: &State, given: &Params<'_>, target: &mut Value) -> Result<(), ApiError> {
    given.copy_flags(target, &["enabled"])?;
    for (name, words) in [
        ("proration_behavior", PRORATIONS),
        ("billing_cycle_anchor", &["now", "unchanged"]),
        ("trial_update_behavior", &["continue_trial", "end_trial"]),
    ] {
        if let Some(word) = given.choice(name, words)? {
            target[name] = json!(word);
        }
    }
    if given.has("default_allowed_updates") {
        target["default_allowed_updates"] = json!(given.texts("default_allowed_updates"));
    }
    if let Some(schedule) = given.object("schedule_at_period_end")
        && !schedule.objects("conditions").is_empty()
    {
        let message = "Changes in the sandbox's portal happen at once: schedule_at_period_end takes no conditions.";
        return Err(ApiError::bad_param(&schedule.name("conditions"), message));
    }
    if given.has("products") {
        let given = given.objects("products");
        if given.len() > PRODUCTS_MAX {
            let message = format!("A configuration has up to {PRODUCTS_MAX} products.");
            return Err(ApiError::bad_param("features[subscription_update][products]", message));
        }
        let products: Result<Vec<Value>, ApiError> = given.iter().map(|product| offered(state, product)).collect();
        target["_products"] = json!(products?);
    }
    Ok(())
}

fn offered(state: &State, given: &Params<'_>) -> Result<Value, ApiError> {
    let product = given.required("product")?;
    state.get(&PRODUCT, product, &given.name("product"))?;
    let prices = given.texts("prices");
    for price in &prices {
        let found = state.get(&PRICE, price, &given.name("prices"))?;
        if found["product"] != product {
            let message = format!("The price {price} is not one of the product {product}.");
            return Err(ApiError::bad_param(&given.name("prices"), message));
        }
    }
    let adjustable = given.object("adjustable_quantity");
    let bound = |name: &str| adjustable.as_ref().map_or(Ok(None), |given| given.integer(name));
    let enabled = adjustable.as_ref().map_or(Ok(None), |given| given.flag("enabled"))?;
    Ok(json!({
        "adjustable_quantity": {
            "enabled": enabled.unwrap_or(false), "maximum": bound("maximum")?, "minimum": bound("minimum")?.unwrap_or(1),
        },
        "prices": prices,
        "product": product,
    }))
}

pub(super) fn show(state: &mut State, request: &Request) -> Outcome {
    Ok(state.get(&CONFIGURATION, request.id(), "configuration")?.clone().into())
}

pub(super) fn index(state: &mut State, request: &Request) -> Outcome {
    let params = request.params();
    let (active, default) = (params.flag("active")?, params.flag("is_default")?);
    let listed = list(state, &CONFIGURATION, &params, CONFIGURATION.path, |configuration| {
        active.is_none_or(|active| configuration["active"] == active)
            && default.is_none_or(|default| configuration["is_default"] == default)
    })?;
    Ok(listed.into())
}

/// The one that applies when none is named.
pub(super) fn default_of(state: &State) -> Result<String, ApiError> {
    let found = state
        .all(&CONFIGURATION)
        .find(|configuration| configuration["is_default"] == true);
    let none = || ApiError::invalid("No configuration provided and there is no default configuration.");
    found
        .and_then(|found| found["id"].as_str())
        .map(str::to_owned)
        .ok_or_else(none)
}

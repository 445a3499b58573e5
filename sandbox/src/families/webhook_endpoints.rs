//! Webhook endpoints: who is told of which events, in which version, signed with which secrets.

use serde_json::{Value, json};

use super::{Family, Route};
use crate::faults::matches;
use crate::list_params;
use crate::shape::list::list;
use crate::shape::read::{items, text};
use crate::state::State;
use crate::state::store::Kind;
use crate::wire::call::{Outcome, Request};
use crate::wire::error::ApiError;
use crate::wire::version::Version;

/// `we_..`
pub const ENDPOINT: Kind = Kind {
    object: "webhook_endpoint",
    prefix: "we_1",
    random: 23,
    path: "/v1/webhook_endpoints",
};

/// Most endpoints, as Stripe's.
const ENDPOINTS_MAX: usize = 16;

/// Webhook endpoints.
pub const FAMILY: Family = Family {
    kinds: &[&ENDPOINT],
    routes: &[
        Route::post(
            "/v1/webhook_endpoints",
            "api_version connect description enabled_events[] metadata* url expand[]",
            create,
        ),
        Route::get("/v1/webhook_endpoints", list_params!(), index),
        Route::get("/v1/webhook_endpoints/{endpoint}", "expand[]", show),
        Route::post(
            "/v1/webhook_endpoints/{endpoint}",
            "description disabled enabled_events[] metadata* url expand[]",
            update,
        ),
        Route::delete("/v1/webhook_endpoints/{endpoint}", "", delete),
    ],
    ..Family::EMPTY
};

/// An endpoint that is to be.
#[derive(Clone, Debug)]
pub struct NewEndpoint<'a> {
    /// Where events go; `http://` only.
    pub url: &'a str,
    /// `whsec_..`; one is made if there is none.
    pub secret: Option<&'a str>,
    /// `*`, or names.
    pub events: Vec<&'a str>,
    /// Shape of the snapshots; the account's own if there is none.
    pub version: Option<&'a Version>,
    /// Thin notifications instead of snapshots.
    pub thin: bool,
}

/// Makes an endpoint.
///
/// # Errors
/// Too many, or a URL that is none.
pub fn add(state: &mut State, new: &NewEndpoint<'_>) -> Result<Value, ApiError> {
    if state.all(&ENDPOINT).count() >= ENDPOINTS_MAX {
        let message = format!("You have reached the maximum of {ENDPOINTS_MAX} test webhook endpoints.");
        return Err(ApiError::state("webhook_endpoint_limit", message));
    }
    check_url(new.url)?;
    let secret = new.secret.map_or_else(|| state.ids.next("whsec_", 32), str::to_owned);
    let endpoint = json!({
        "id": state.new_id(&ENDPOINT),
        "object": "webhook_endpoint",
        "api_version": new.version,
        "application": null,
        "created": state.now(),
        "description": null,
        "enabled_events": new.events,
        "livemode": false,
        "metadata": {},
        "status": "enabled",
        "url": new.url,
        "_secrets": [{"secret": secret, "until": null}],
        "_thin": new.thin,
    });
    state.put(&ENDPOINT, endpoint.clone());
    let mut shown = endpoint;
    shown["secret"] = json!(secret);
    Ok(shown)
}

impl State {
    /// Makes an endpoint outside any call.
    ///
    /// # Errors
    /// Too many, or a URL that is none.
    pub fn add_endpoint(&mut self, new: &NewEndpoint<'_>) -> Result<Value, ApiError> {
        add(self, new)
    }

    /// The newest secret of the endpoint at this URL.
    #[must_use]
    pub fn secret_of(&self, url: &str) -> Option<String> {
        let endpoint = self.all(&ENDPOINT).find(|endpoint| endpoint["url"] == url)?;
        secrets(endpoint, self.now()).into_iter().next()
    }
}

/// Whether an endpoint is told of events of this type.
#[must_use]
pub fn wants(endpoint: &Value, kind: &str) -> bool {
    let names = items(endpoint, "enabled_events").iter().filter_map(Value::as_str);
    let bare = |name: &str| name.strip_prefix("v1.").unwrap_or(name).to_owned();
    endpoint["status"] == "enabled" && names.map(bare).any(|name| matches(&name, kind))
}

/// The secrets that sign, newest first.
#[must_use]
pub fn secrets(endpoint: &Value, now: i64) -> Vec<String> {
    let valid = items(endpoint, "_secrets")
        .iter()
        .filter(|secret| secret["until"].as_i64().is_none_or(|until| now < until));
    valid
        .filter_map(|secret| secret["secret"].as_str().map(str::to_owned))
        .collect()
}

/// Rolls an endpoint's secret: the old ones go on signing for a while. Answers the new one.
///
/// # Errors
/// No such endpoint.
pub fn roll(state: &mut State, id: &str, secret: Option<&str>, overlap_seconds: i64) -> Result<String, ApiError> {
    let secret = secret.map_or_else(|| state.ids.next("whsec_", 32), str::to_owned);
    let until = state.now() + overlap_seconds;
    state.change(&ENDPOINT, id, "", |endpoint| {
        let mut secrets = vec![json!({"secret": secret, "until": null})];
        for old in items(endpoint, "_secrets") {
            let ends = old["until"].as_i64().map_or(until, |before| before.min(until));
            secrets.push(json!({"secret": old["secret"], "until": ends}));
        }
        endpoint["_secrets"] = json!(secrets);
        Ok(())
    })?;
    Ok(secret)
}

pub(super) fn check_url(url: &str) -> Result<(), ApiError> {
    if url.starts_with("http://") || url.starts_with("https://") {
        return Ok(());
    }
    Err(ApiError::bad_param("url", format!("Invalid URL: {url}")).code("url_invalid"))
}

fn create(state: &mut State, request: &Request) -> Outcome {
    let params = request.params();
    let url = params.required("url")?;
    let events = params.texts("enabled_events");
    if events.is_empty() {
        return Err(ApiError::missing("enabled_events"));
    }
    let version = match params.text("api_version") {
        Some(given) => {
            let bad = || ApiError::bad_param("api_version", format!("Invalid API version: {given}"));
            Some(Version::parse(given).ok_or_else(bad)?)
        }
        None => None,
    };
    let new = NewEndpoint {
        url,
        secret: None,
        events,
        version: version.as_ref(),
        thin: false,
    };
    let mut shown = add(state, &new)?;
    let id = text(&shown, "id").unwrap_or_default().to_owned();
    let kept = state.change(&ENDPOINT, &id, "", |endpoint| {
        params.copy_texts(endpoint, &["description"]);
        params.merge_metadata(endpoint)
    })?;
    for name in ["description", "metadata"] {
        shown[name] = kept[name].clone();
    }
    Ok(shown.into())
}

fn show(state: &mut State, request: &Request) -> Outcome {
    Ok(state.get(&ENDPOINT, request.id(), "webhook_endpoint")?.clone().into())
}

fn update(state: &mut State, request: &Request) -> Outcome {
    let params = request.params();
    let disabled = params.flag("disabled")?;
    let changed = state.change(&ENDPOINT, request.id(), "", |endpoint| {
        if let Some(url) = params.text("url") {
            check_url(url)?;
            endpoint["url"] = json!(url);
        }
        if params.has("enabled_events") {
            endpoint["enabled_events"] = json!(params.texts("enabled_events"));
        }
        if let Some(disabled) = disabled {
            endpoint["status"] = json!(if disabled { "disabled" } else { "enabled" });
        }
        params.copy_texts(endpoint, &["description"]);
        params.merge_metadata(endpoint)
    })?;
    Ok(changed.into())
}

fn delete(state: &mut State, request: &Request) -> Outcome {
    let gone = state.remove(&ENDPOINT, request.id(), "", false)?;
    state.queue.forget(request.id());
    Ok(gone.into())
}

fn index(state: &mut State, request: &Request) -> Outcome {
    let listed = list(
        state,
        &ENDPOINT,
        &request.params(),
        "/v1/webhook_endpoints",
        |endpoint| {
            // Destinations are listed by /v2.
            endpoint.get("_destination").is_none()
        },
    )?;
    Ok(listed.into())
}

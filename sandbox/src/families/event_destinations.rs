//! Event destinations: webhook endpoints as `/v2` sees them, with snapshots or thin events.

use serde_json::{Value, json};

use super::webhook_endpoints::{self, ENDPOINT, NewEndpoint};
use super::{Family, Route};
use crate::shape::read::{flag, text};
use crate::state::State;
use crate::state::store::Kind;
use crate::wire::call::{Answer, Outcome, Request};
use crate::wire::error::ApiError;
use crate::wire::version::Version;

/// `ed_..`; kept as the webhook endpoint it is.
const DESTINATION: Kind = Kind {
    object: "v2.core.event_destination",
    prefix: "ed_test_6",
    random: 30,
    path: "/v2/core/event_destinations",
};

/// Event destinations.
pub(super) const FAMILY: Family = Family {
    routes: &[
        Route::post(
            "/v2/core/event_destinations",
            "name description type event_payload enabled_events[] snapshot_api_version webhook_endpoint{url} metadata* \
             include[] events_from[]",
            create,
        ),
        Route::get("/v2/core/event_destinations", "limit page include[]", index),
        Route::get("/v2/core/event_destinations/{id}", "include[]", show),
        Route::post(
            "/v2/core/event_destinations/{id}",
            "name description enabled_events[] webhook_endpoint{url} metadata* include[]",
            update,
        ),
        Route::post("/v2/core/event_destinations/{id}/disable", "", disable),
        Route::post("/v2/core/event_destinations/{id}/enable", "", enable),
        Route::delete("/v2/core/event_destinations/{id}", "", delete),
    ],
    ..Family::EMPTY
};

fn found<'a>(state: &'a State, id: &str) -> Result<&'a Value, ApiError> {
    let own = |endpoint: &&Value| text(endpoint, "_destination") == Some(id);
    let missing = || ApiError::no_such("event_destination", id, "id");
    state.all(&ENDPOINT).find(own).ok_or_else(missing)
}

/// The endpoint as a destination; `include[]` may ask for what is left out.
fn shown(endpoint: &Value, include: &[&str]) -> Value {
    let thin = flag(endpoint, "_thin");
    let mut webhook = json!({});
    if include.contains(&"webhook_endpoint.url") {
        webhook["url"] = endpoint["url"].clone();
    }
    if include.contains(&"webhook_endpoint.signing_secret") {
        webhook["signing_secret"] = endpoint["_secrets"][0]["secret"].clone();
    }
    let created = chrono::DateTime::from_timestamp(endpoint["created"].as_i64().unwrap_or(0), 0).unwrap_or_default();
    let created = created.to_rfc3339_opts(chrono::SecondsFormat::Millis, true);
    json!({
        "id": endpoint["_destination"],
        "object": DESTINATION.object,
        "created": created,
        "description": endpoint["description"].as_str().unwrap_or_default(),
        "enabled_events": endpoint["enabled_events"],
        "event_payload": if thin { "thin" } else { "snapshot" },
        "events_from": ["self"],
        "livemode": false,
        "metadata": endpoint["metadata"],
        "name": endpoint["_name"],
        "snapshot_api_version": if thin { Value::Null } else { endpoint["api_version"].clone() },
        "status": endpoint["status"],
        "status_details": null,
        "type": "webhook_endpoint",
        "updated": created,
        "webhook_endpoint": webhook,
    })
}

fn create(state: &mut State, request: &Request) -> Outcome {
    let params = request.params();
    let name = params.required("name")?;
    params.required("event_payload")?;
    let payload = params.choice("event_payload", &["thin", "snapshot"])?;
    if params.choice("type", &["webhook_endpoint"])?.is_none() {
        return Err(ApiError::missing("type"));
    }
    let webhook = params
        .object("webhook_endpoint")
        .ok_or_else(|| ApiError::missing("webhook_endpoint"))?;
    let version = params.text("snapshot_api_version").and_then(Version::parse);
    let made = webhook_endpoints::add(
        state,
        &NewEndpoint {
            url: webhook.required("url")?,
            secret: None,
            events: params.texts("enabled_events"),
            version: version.as_ref(),
            thin: payload == Some("thin"),
        },
    )?;
    let destination = state.new_id(&DESTINATION);
    let id = text(&made, "id").unwrap_or_default().to_owned();
    let kept = state.change(&ENDPOINT, &id, "", |endpoint| {
        endpoint["_destination"] = json!(destination);
        endpoint["_name"] = json!(name);
        params.copy_texts(endpoint, &["description"]);
        params.merge_metadata(endpoint)
    })?;
    Ok(Answer::Raw(shown(&kept, &params.texts("include"))))
}

fn show(state: &mut State, request: &Request) -> Outcome {
    let endpoint = found(state, request.id())?;
    Ok(Answer::Raw(shown(endpoint, &request.params().texts("include"))))
}

fn index(state: &mut State, request: &Request) -> Outcome {
    let params = request.params();
    let include = params.texts("include");
    let own = state
        .all(&ENDPOINT)
        .filter(|endpoint| endpoint["_destination"].is_string());
    // Stripe allows sixteen, and so do we: one page holds them.
    let data: Vec<Value> = own.map(|endpoint| shown(endpoint, &include)).collect();
    Ok(Answer::Raw(
        json!({"data": data, "next_page_url": null, "previous_page_url": null}),
    ))
}

fn edit(state: &mut State, request: &Request, act: impl FnOnce(&mut Value) -> Result<(), ApiError>) -> Outcome {
    let id = text(found(state, request.id())?, "id").unwrap_or_default().to_owned();
    let kept = state.change(&ENDPOINT, &id, "", act)?;
    Ok(Answer::Raw(shown(&kept, &request.params().texts("include"))))
}

fn update(state: &mut State, request: &Request) -> Outcome {
    let params = request.params();
    edit(state, request, |endpoint| {
        if let Some(name) = params.text("name") {
            endpoint["_name"] = json!(name);
        }
        if params.has("enabled_events") {
            endpoint["enabled_events"] = json!(params.texts("enabled_events"));
        }
        if let Some(webhook) = params.object("webhook_endpoint") {
            webhook_endpoints::check_url(webhook.required("url")?)?;
            endpoint["url"] = json!(webhook.text("url"));
        }
        params.copy_texts(endpoint, &["description"]);
        params.merge_metadata(endpoint)
    })
}

fn disable(state: &mut State, request: &Request) -> Outcome {
    set_status(state, request, "disabled")
}

fn enable(state: &mut State, request: &Request) -> Outcome {
    set_status(state, request, "enabled")
}

fn set_status(state: &mut State, request: &Request, status: &str) -> Outcome {
    edit(state, request, |endpoint| {
        endpoint["status"] = json!(status);
        Ok(())
    })
}

fn delete(state: &mut State, request: &Request) -> Outcome {
    let id = text(found(state, request.id())?, "id").unwrap_or_default().to_owned();
    state.remove(&ENDPOINT, &id, "", false)?;
    state.queue.forget(&id);
    Ok(Answer::Raw(
        json!({"id": request.id(), "object": DESTINATION.object, "deleted": true}),
    ))
}

//! Events as lists show them, as snapshots and thin; and once more to an endpoint.

use serde_json::{Value, json};

use super::{Family, Route};
use crate::faults::matches;
use crate::list_params;
use crate::shape::list::page;
use crate::state::State;
use crate::state::events::Event;
use crate::webhooks::payload;
use crate::wire::call::{Answer, Outcome, Request};
use crate::wire::error::ApiError;

/// How long lists have an event, in seconds.
const LISTED_SECONDS: i64 = 30 * 86_400;
/// Thin events of a page when the caller does not say, and at most.
const THIN_LIMIT_DEFAULT: i64 = 20;
const THIN_LIMIT_MAX: i64 = 100;

/// Events.
pub(super) const FAMILY: Family = Family {
    routes: &[
        Route::get(
            "/v1/events",
            concat!("type types[] created?{gt gte lt lte} delivery_success", list_params!()),
            index,
        ),
        Route::get("/v1/events/{event}", "expand[]", show),
        Route::post(
            "/v1/events/{event}/retry",
            "webhook_endpoint account for_stripecli expand[]",
            retry,
        ),
        Route::get("/v2/core/events", "object_id limit page types[] created*", thin_index),
        Route::get("/v2/core/events/{event}", "include[]", thin_show),
    ],
    ..Family::EMPTY
};

/// An event as its list shows it: in the version it was made with.
fn shown(state: &State, event: &Event) -> Value {
    payload::snapshot(state, event, &event.api_version)
}

fn found<'a>(state: &'a State, id: &str) -> Result<&'a Event, ApiError> {
    let event = state
        .events
        .get(id)
        .filter(|event| event.happened + LISTED_SECONDS > state.now());
    event.ok_or_else(|| ApiError::no_such("event", id, "id"))
}

fn show(state: &mut State, request: &Request) -> Outcome {
    let event = found(state, request.id())?;
    Ok(Answer::Raw(shown(state, event)))
}

fn index(state: &mut State, request: &Request) -> Outcome {
    let params = request.params();
    let mut types = params.texts("types");
    types.extend(params.text("type"));
    let delivered = params.flag("delivery_success")?;
    let oldest = state.now() - LISTED_SECONDS;
    let range = crate::shape::list::Range::read(&params)?;
    let wanted = |event: &&Event| {
        event.happened > oldest
            && range.holds(event.created)
            && (types.is_empty() || types.iter().any(|pattern| matches(pattern, &event.kind)))
            && delivered.is_none_or(|delivered| (event.pending == 0) == delivered)
    };
    // Only the page is rendered: a list of all events in full would be made for ten of them.
    let ids: Vec<Value> = state
        .events
        .newest()
        .filter(wanted)
        .map(|event| json!({"id": event.id}))
        .collect();
    let ids = state.without_late_ones("/v1/events", ids);
    let mut listed = page(&ids, &params, "/v1/events")?;
    if let Some(items) = listed["data"].as_array_mut() {
        for item in items {
            if let Some(event) = item["id"].as_str().and_then(|id| state.events.get(id)) {
                *item = shown(state, event);
            }
        }
    }
    Ok(Answer::Raw(listed))
}

fn retry(state: &mut State, request: &Request) -> Outcome {
    let event = found(state, request.id())?.clone();
    let endpoint = request.params().text("webhook_endpoint");
    if state.resend(&event, endpoint) == 0
        && let Some(endpoint) = endpoint
    {
        return Err(ApiError::no_such("webhook_endpoint", endpoint, "webhook_endpoint"));
    }
    Ok(Answer::Raw(shown(state, &event)))
}

fn thin_show(state: &mut State, request: &Request) -> Outcome {
    Ok(Answer::Raw(payload::thin(found(state, request.id())?, false)))
}

fn thin_index(state: &mut State, request: &Request) -> Outcome {
    let params = request.params();
    let object = params.text("object_id");
    let limit = params.ranged("limit", 1, THIN_LIMIT_MAX)?.unwrap_or(THIN_LIMIT_DEFAULT);
    let limit = usize::try_from(limit).unwrap_or(1);
    let from = params.integer("page")?.unwrap_or(0);
    let from = usize::try_from(from).unwrap_or(0);
    let oldest = state.now() - LISTED_SECONDS;
    let types = params.texts("types");
    let wanted = |event: &&Event| {
        event.happened > oldest
            && object.is_none_or(|object| event.object["id"] == object)
            && (types.is_empty() || types.iter().any(|kind| kind.strip_prefix("v1.") == Some(&event.kind)))
    };
    let mut events: Vec<&Event> = state
        .events
        .newest()
        .filter(wanted)
        .skip(from)
        .take(limit + 1)
        .collect();
    let more = events.len() > limit;
    events.truncate(limit);
    let url = |from: usize| {
        let object = object.map_or_else(String::new, |object| format!("&object_id={object}"));
        let types: String = types.iter().map(|kind| format!("&types[]={kind}")).collect();
        format!("/v2/core/events?limit={limit}&page={from}{object}{types}")
    };
    let previous = (from > 0).then(|| url(from.saturating_sub(limit)));
    let data: Vec<Value> = events.into_iter().map(|event| payload::thin(event, false)).collect();
    Ok(Answer::Raw(json!({
        "data": data,
        "next_page_url": more.then(|| url(from + limit)),
        "previous_page_url": previous,
    })))
}

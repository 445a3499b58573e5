//! The sandbox's own switches below `/_sandbox`: faults, clock, journal, truth, deliveries.

use serde_json::{Map, Value, json};

use super::webhook_endpoints::{self, ENDPOINT, NewEndpoint};
use super::{Access, Family, Route, kinds};
use crate::faults::{self, Trouble, Values};
use crate::shape::read::text;
use crate::shape::render::render;
use crate::state::clock::Mode;
use crate::state::{After, State};
use crate::wire::call::{Answer, Outcome, Request};
use crate::wire::error::ApiError;
use crate::wire::version::Version;

/// Longest single movement of the sandbox-wide clock, in seconds: ten years.
const MOVEMENT_MAX: i64 = 10 * 366 * 86_400;

/// The switches.
pub(super) const FAMILY: Family = Family {
    routes: &[
        Route::get("/_sandbox/faults", "", faults).access(Access::Control),
        Route::post(
            "/_sandbox/faults",
            "faults* kind probability count types* path method endpoint times after_ms window hold_ms ms size version \
             secret overlap_seconds seconds retry_after stored done field value* object set* lists at",
            set_faults,
        )
        .access(Access::Control),
        Route::delete("/_sandbox/faults", "", clear_faults).access(Access::Control),
        Route::delete("/_sandbox/faults/{number}", "", clear_faults).access(Access::Control),
        Route::get("/_sandbox/clock", "", clock).access(Access::Control),
        Route::post("/_sandbox/clock", "advance to mode", set_clock).access(Access::Control),
        Route::get("/_sandbox/journal", "", journal).access(Access::Control),
        Route::get("/_sandbox/truth", "", truth).access(Access::Control),
        Route::get("/_sandbox/deliveries", "", deliveries).access(Access::Control),
        Route::post("/_sandbox/endpoints", "url secret events[] version thin", add_endpoint).access(Access::Control),
    ],
    ..Family::EMPTY
};

fn bad(message: String) -> ApiError {
    ApiError::invalid(message)
}

fn faults(state: &mut State, _: &Request) -> Outcome {
    let shown: Vec<Value> = state.faults.all().iter().map(faults::Fault::shown).collect();
    Ok(Answer::Raw(json!({ "faults": shown })))
}

/// One fault, or `{"faults": [..]}`.
fn set_faults(state: &mut State, request: &Request) -> Outcome {
    let given = match request.tree.get("faults") {
        Some(Value::Array(several)) => several.clone(),
        _ => vec![Value::Object(request.tree.clone())],
    };
    let mut set = Vec::new();
    for given in &given {
        set.push(set_fault(state, given)?);
    }
    Ok(Answer::Raw(json!({ "set": set })))
}

impl State {
    /// Sets a fault outside any call: the same as `POST /_sandbox/faults`.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn set_fault(&mut self, given: &Value) -> Result<Value, ApiError> {
        set_fault(self, given)
    }
}

/// Sets a fault, or does at once what is done at once.
fn set_fault(state: &mut State, given: &Value) -> Result<Value, ApiError> {
    let fault = faults::read(given).map_err(bad)?;
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "all kinds but these two wait for their moment"
    )]
    match &fault.trouble {
        Trouble::SecretRoll {
            secret,
            overlap_seconds,
        } => {
            let only = fault.endpoint.as_deref();
            let endpoints = state.matching(&ENDPOINT, |endpoint| only.is_none_or(|only| endpoint["id"] == only));
            let mut rolled = Map::new();
            for endpoint in endpoints {
                let id = text(&endpoint, "id").unwrap_or_default();
                let secret = webhook_endpoints::roll(state, id, secret.as_deref(), *overlap_seconds)?;
                rolled.insert(id.to_owned(), json!(secret));
            }
            Ok(json!({ "rolled": rolled }))
        }
        Trouble::MutateSilently {
            object: Some(object),
            set,
        } => mutate(state, object, set),
        _ => {
            let number = state.faults.set(fault).map_err(bad)?;
            Ok(json!({ "number": number }))
        }
    }
}

/// Changes an object without an event.
fn mutate(state: &mut State, id: &str, set: &Values) -> Result<Value, ApiError> {
    let found = state.objects.find(id).cloned();
    let mut object = found.ok_or_else(|| ApiError::no_such("object", id, "object"))?;
    for (field, value) in set {
        faults::Edit::set(field, value.clone()).apply(&mut object);
    }
    let kind = text(&object, "object").unwrap_or_default().to_owned();
    state.objects.put(&kind, id, object.clone());
    render(state, &mut object, &Version::newest());
    Ok(object)
}

fn clear_faults(state: &mut State, request: &Request) -> Outcome {
    let number = match request.segments.first() {
        None => None,
        Some(text) => Some(
            text.parse()
                .map_err(|_| bad(format!("{text} is no number of a fault")))?,
        ),
    };
    state.faults.clear(number);
    faults(state, request)
}

fn clock(state: &mut State, _: &Request) -> Outcome {
    Ok(Answer::Raw(json!({"now": state.now(), "mode": state.clock.mode()})))
}

/// `{"advance": seconds}`, `{"to": time}`, `{"mode": "fixed" | "real"}`.
fn set_clock(state: &mut State, request: &Request) -> Outcome {
    let params = request.params();
    match params.choice("mode", &["fixed", "real"])? {
        Some("fixed") => state.clock.stop(),
        Some(_) => state.clock.run(),
        None => {}
    }
    let now = state.now();
    let to = match (params.integer("advance")?, params.integer("to")?) {
        (Some(by), None) => Some(now.saturating_add(by)),
        (None, to) => to,
        (Some(_), Some(_)) => return Err(bad("give `advance` or `to`, not both".to_owned())),
    };
    if let Some(to) = to {
        if to < now || to - now > MOVEMENT_MAX {
            return Err(bad(format!(
                "the clock moves forward only, by {MOVEMENT_MAX} seconds at most"
            )));
        }
        state.after(After::AdvanceAll(to));
    }
    let mode = match state.clock.mode() {
        Mode::Real { .. } => "real",
        Mode::Fixed { .. } => "fixed",
    };
    Ok(Answer::Raw(json!({"now": to.unwrap_or(now), "mode": mode})))
}

fn journal(state: &mut State, _: &Request) -> Outcome {
    let events: Vec<Value> = state.events.oldest().map(|event| json!(event)).collect();
    let journal = &state.journal;
    Ok(Answer::Raw(json!({
        "calls": journal.calls, "events": events, "attempts": journal.attempts, "effects": journal.effects,
        "failures": journal.failures, "forgotten": journal.forgotten,
    })))
}

/// Every object in the newest shape, by kind, oldest first.
fn truth(state: &mut State, _: &Request) -> Outcome {
    let mut truth = Map::new();
    for kind in kinds() {
        truth.insert(kind.object.to_owned(), json!([]));
    }
    for (kind, objects) in state.objects.all() {
        truth.insert(kind.to_owned(), json!(objects));
    }
    let mut truth = Value::Object(truth);
    render(state, &mut truth, &Version::newest());
    Ok(Answer::Raw(truth))
}

fn deliveries(state: &mut State, _: &Request) -> Outcome {
    Ok(Answer::Raw(
        json!({"open": state.queue.open(), "attempts": state.journal.attempts.len()}),
    ))
}

/// An endpoint with a secret of the caller's choice.
fn add_endpoint(state: &mut State, request: &Request) -> Outcome {
    let params = request.params();
    let mut events = params.texts("events");
    if events.is_empty() {
        events.push("*");
    }
    let version = match params.text("version") {
        None => None,
        Some(text) => Some(Version::parse(text).ok_or_else(|| bad(format!("{text} is no version")))?),
    };
    let new = NewEndpoint {
        url: params.required("url")?,
        secret: params.text("secret"),
        events,
        version: version.as_ref(),
        thin: params.flag("thin")?.unwrap_or(false),
    };
    Ok(webhook_endpoints::add(state, &new)?.into())
}

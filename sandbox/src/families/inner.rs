//! What one family does through another's calls, within the step under way: a page does what a client would do.

use serde_json::{Map, Value};

use super::route;
use crate::state::State;
use crate::wire::call::{Answer, Outcome, Request};
use crate::wire::error::ApiError;
use crate::wire::version::Version;

/// Carries out a call with these parameters and answers its object.
///
/// # Errors
/// What the call refuses.
pub(crate) fn call(state: &mut State, method: &str, path: &str, params: Value) -> Result<Value, ApiError> {
    let missing = || {
        ApiError::other(
            404,
            "invalid_request_error",
            format!("no family answers {method} {path}"),
        )
    };
    let (ready, segments) = route(method, path).ok_or_else(missing)?;
    let tree = match params {
        Value::Object(tree) => tree,
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => Map::new(),
    };
    if let Some(name) = ready.spec.unknown(&tree) {
        return Err(ApiError::unknown_param(&name));
    }
    let request = Request {
        segments,
        tree,
        version: Version::newest(),
    };
    let outcome: Outcome = (ready.route.run)(state, &request);
    match outcome? {
        Answer::Object(object) | Answer::Raw(object) => Ok(object),
        Answer::Page(_) | Answer::Redirect(_) | Answer::File(..) => Ok(Value::Null),
    }
}

/// The same for a POST.
///
/// # Errors
/// What the call refuses.
pub(crate) fn post(state: &mut State, path: &str, params: Value) -> Result<Value, ApiError> {
    call(state, "POST", path, params)
}

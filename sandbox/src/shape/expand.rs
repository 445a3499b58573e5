//! `expand[]`: references become objects, and parts that are left out are put in.
//!
//! A text that is the id of an object can be expanded wherever it stands. What an object leaves out, it keeps under a
//! hidden name (`_tiers` for `tiers`), or its family computes it (`includes`).

use serde_json::Value;

use crate::families;
use crate::state::State;
use crate::wire::error::ApiError;

/// Deepest expansion, as Stripe's.
const DEPTH_MAX: usize = 4;

/// Expands what was asked for.
///
/// # Errors
/// A path that names nothing that can be expanded.
pub fn expand(state: &State, object: &mut Value, wanted: &[&str]) -> Result<(), ApiError> {
    for path in wanted {
        let names: Vec<&str> = path.split('.').collect();
        if names.iter().filter(|name| **name != "data").count() > DEPTH_MAX {
            let message = format!("You cannot expand more than {DEPTH_MAX} levels of a property. Property: {path}");
            return Err(ApiError::bad_param("expand", message));
        }
        follow(state, object, &names).map_err(|()| {
            let name = names.last().copied().unwrap_or_default();
            let message = format!("This property cannot be expanded ({name}).");
            ApiError::bad_param("expand", message)
        })?;
    }
    Ok(())
}

fn follow(state: &State, object: &mut Value, names: &[&str]) -> Result<(), ()> {
    let Some((name, rest)) = names.split_first() else {
        return Ok(());
    };
    match object {
        Value::Array(items) => items.iter_mut().try_for_each(|item| follow(state, item, names)),
        Value::Object(_) => {
            put_in(state, object, name)?;
            follow(state, &mut object[*name], rest)
        }
        // A reference that is null has nothing below it.
        Value::Null => Ok(()),
        Value::Bool(_) | Value::Number(_) | Value::String(_) => Err(()),
    }
}

/// Replaces the reference `name` of an object by what it names.
fn put_in(state: &State, object: &mut Value, name: &str) -> Result<(), ()> {
    if let Some(kept) = object.get(format!("_{name}")) {
        object[name] = kept.clone();
        return Ok(());
    }
    if let Some(made) = families::include(state, object, name) {
        object[name] = made;
        return Ok(());
    }
    match object.get_mut(name) {
        Some(Value::Array(items)) => {
            for item in items.iter_mut() {
                if let Some(found) = item.as_str().and_then(|id| state.objects.find(id)) {
                    *item = found.clone();
                }
            }
            Ok(())
        }
        Some(Value::String(id)) => {
            let found = state.objects.find(id).cloned();
            // Deleted since: Stripe shows what a GET of the id would.
            let gone = state.objects.tombstone(id);
            let gone = gone.map(|kind| serde_json::json!({"id": id, "object": kind, "deleted": true}));
            object[name] = found.or(gone).ok_or(())?;
            Ok(())
        }
        Some(Value::Object(_) | Value::Null) => Ok(()),
        Some(Value::Bool(_) | Value::Number(_)) | None => Err(()),
    }
}

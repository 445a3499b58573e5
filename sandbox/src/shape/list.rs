//! Lists: newest first, 1 to 100, both cursors, `created` ranges, `has_more`.

use serde_json::{Value, json};

use crate::shape::read::{number, text};
use crate::state::State;
use crate::state::store::Kind;
use crate::wire::error::ApiError;
use crate::wire::params::Params;

/// Objects of a page when the caller does not say.
const LIMIT_DEFAULT: i64 = 10;
/// Most objects of a page.
const LIMIT_MAX: i64 = 100;

/// What every list route has among its parameters.
#[macro_export]
macro_rules! list_params {
    () => {
        " limit starting_after ending_before expand[] "
    };
}

/// The list of a kind's objects that satisfy a condition.
///
/// # Errors
/// A bad limit or range, both cursors at once, a cursor that names nothing.
pub fn list(
    state: &mut State,
    kind: &Kind,
    params: &Params<'_>,
    url: &str,
    condition: impl Fn(&Value) -> bool,
) -> Result<Value, ApiError> {
    let range = Range::read(params)?;
    let found: Vec<Value> = state
        .all(kind)
        .filter(|object| range.holds(number(object, "created")) && condition(object))
        .cloned()
        .collect();
    let found = state.without_late_ones(url, found);
    page(&found, params, url)
}

/// A page of objects that are already in order, newest first.
///
/// # Errors
/// A bad limit, both cursors at once, a cursor that names nothing.
pub fn page(found: &[Value], params: &Params<'_>, url: &str) -> Result<Value, ApiError> {
    let limit = params.ranged("limit", 1, LIMIT_MAX)?.unwrap_or(LIMIT_DEFAULT);
    let limit = usize::try_from(limit).unwrap_or(1);
    let place = |name: &str| -> Result<Option<usize>, ApiError> {
        let Some(cursor) = params.text(name) else {
            return Ok(None);
        };
        let place = found.iter().position(|object| text(object, "id") == Some(cursor));
        let missing = || ApiError::no_such("object", cursor, name);
        place.map(Some).ok_or_else(missing)
    };
    if params.text("starting_after").is_some() && params.text("ending_before").is_some() {
        let message = "You may not specify both starting_after and ending_before.";
        return Err(ApiError::bad_param("starting_after", message));
    }
    let (from, to, has_more) = match (place("starting_after")?, place("ending_before")?) {
        (_, Some(before)) => {
            let from = before.saturating_sub(limit);
            (from, before, from > 0)
        }
        (after, None) => {
            let from = after.map_or(0, |place| place + 1);
            let to = (from + limit).min(found.len());
            (from, to, to < found.len())
        }
    };
    Ok(json!({"object": "list", "data": found[from..to], "has_more": has_more, "url": url}))
}

/// `created=5` or `created[gt]=5`.
#[derive(Debug, Default)]
pub(crate) struct Range {
    exact: Option<i64>,
    gt: Option<i64>,
    gte: Option<i64>,
    lt: Option<i64>,
    lte: Option<i64>,
}

impl Range {
    pub(crate) fn read(params: &Params<'_>) -> Result<Self, ApiError> {
        let Some(range) = params.object("created") else {
            return Ok(Self {
                exact: params.integer("created")?,
                ..Self::default()
            });
        };
        Ok(Self {
            exact: None,
            gt: range.integer("gt")?,
            gte: range.integer("gte")?,
            lt: range.integer("lt")?,
            lte: range.integer("lte")?,
        })
    }

    pub(crate) fn holds(&self, created: i64) -> bool {
        self.exact.is_none_or(|at| created == at)
            && self.gt.is_none_or(|at| created > at)
            && self.gte.is_none_or(|at| created >= at)
            && self.lt.is_none_or(|at| created < at)
            && self.lte.is_none_or(|at| created <= at)
    }
}

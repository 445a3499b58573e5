//! Tax rates: percentages that invoices add or contain.

use serde_json::{Value, json};

use super::{Family, Route};
use crate::list_params;
use crate::shape::list::list;
use crate::shape::render::Downgrade;
use crate::state::State;
use crate::state::store::Kind;
use crate::wire::call::{Outcome, Request};
use crate::wire::error::ApiError;
use crate::wire::params::Params;

/// `txr_..`
pub const TAX_RATE: Kind = Kind {
    object: "tax_rate",
    prefix: "txr_1",
    random: 23,
    path: "/v1/tax_rates",
};

macro_rules! fields {
    () => {
        " active country description display_name jurisdiction metadata* state tax_type expand[] "
    };
}

/// Tax rates.
pub const FAMILY: Family = Family {
    kinds: &[&TAX_RATE],
    routes: &[
        Route::post("/v1/tax_rates", concat!(fields!(), "inclusive percentage"), create),
        Route::get(
            "/v1/tax_rates",
            concat!("active inclusive created?{gt gte lt lte}", list_params!()),
            index,
        ),
        Route::get("/v1/tax_rates/{rate}", "expand[]", show),
        Route::post("/v1/tax_rates/{rate}", fields!(), update),
    ],
    downgrades: &[Downgrade {
        before: "2024-10-28",
        object: "tax_rate",
        apply: |_, rate| {
            rate.remove("flat_amount");
            rate.remove("rate_type");
        },
    }],
    ..Family::EMPTY
};

fn edit(params: &Params<'_>, rate: &mut Value) -> Result<(), ApiError> {
    params.copy_texts(rate, &["country", "description", "jurisdiction", "state", "tax_type"]);
    params.copy_flags(rate, &["active"])?;
    params.merge_metadata(rate)
}

fn create(state: &mut State, request: &Request) -> Outcome {
    let params = request.params();
    let percentage = params
        .decimal("percentage")?
        .ok_or_else(|| ApiError::missing("percentage"))?;
    let mut rate = json!({
        "id": state.new_id(&TAX_RATE),
        "object": "tax_rate",
        "active": true,
        "country": null,
        "created": state.now(),
        "description": null,
        "display_name": params.required("display_name")?,
        "effective_percentage": null,
        "flat_amount": null,
        "inclusive": params.flag("inclusive")?.ok_or_else(|| ApiError::missing("inclusive"))?,
        "jurisdiction": null,
        "jurisdiction_level": null,
        "livemode": false,
        "metadata": {},
        "percentage": percentage,
        "rate_type": "percentage",
        "state": null,
        "tax_type": null,
    });
    edit(&params, &mut rate)?;
    Ok(state.create(&TAX_RATE, rate, "tax_rate.created").into())
}

fn show(state: &mut State, request: &Request) -> Outcome {
    Ok(state.get(&TAX_RATE, request.id(), "tax_rate")?.clone().into())
}

fn update(state: &mut State, request: &Request) -> Outcome {
    let params = request.params();
    let changed = state.change(&TAX_RATE, request.id(), "tax_rate.updated", |rate| {
        if params.has("display_name") {
            rate["display_name"] = json!(params.required("display_name")?);
        }
        edit(&params, rate)
    })?;
    Ok(changed.into())
}

fn index(state: &mut State, request: &Request) -> Outcome {
    let params = request.params();
    let (active, inclusive) = (params.flag("active")?, params.flag("inclusive")?);
    let listed = list(state, &TAX_RATE, &params, "/v1/tax_rates", |rate| {
        active.is_none_or(|active| rate["active"] == active)
            && inclusive.is_none_or(|inclusive| rate["inclusive"] == inclusive)
    })?;
    Ok(listed.into())
}

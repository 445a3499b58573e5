//! The billing portal: what a customer may do in it, the sessions that let one in, and what is done there.

mod acts;
mod configurations;
mod sessions;

use serde_json::{Map, Value};

use super::{Access, Family, Hook, Route};
use crate::list_params;
use crate::shape::render::Downgrade;
use crate::state::State;
use crate::state::store::Kind;

pub(crate) use acts::{act, bounds, offers, waits};
pub(crate) use sessions::{ended, subscriptions};

/// `bpc_..`
pub const CONFIGURATION: Kind = Kind {
    object: "billing_portal.configuration",
    prefix: "bpc_1",
    random: 23,
    path: "/v1/billing_portal/configurations",
};

/// `bps_..`
pub const SESSION: Kind = Kind {
    object: "billing_portal.session",
    prefix: "bps_1",
    random: 23,
    path: "/v1/billing_portal/sessions",
};

/// The portal.
pub const FAMILY: Family = Family {
    kinds: &[&CONFIGURATION, &SESSION],
    routes: &[
        Route::post(
            "/v1/billing_portal/configurations",
            configurations::PARAMS,
            configurations::create,
        ),
        Route::get(
            "/v1/billing_portal/configurations",
            concat!("active is_default", list_params!()),
            configurations::index,
        ),
        Route::get(
            "/v1/billing_portal/configurations/{configuration}",
            "expand[]",
            configurations::show,
        ),
        Route::post(
            "/v1/billing_portal/configurations/{configuration}",
            configurations::UPDATE_PARAMS,
            configurations::update,
        ),
        Route::post("/v1/billing_portal/sessions", sessions::PARAMS, sessions::create),
    ],
    downgrades: &[
        Downgrade {
            before: "2026-03-25",
            object: "billing_portal.configuration",
            apply: |_, configuration| {
                without(
                    configuration,
                    "payment_method_update",
                    &["payment_method_configuration"],
                );
                without(configuration, "subscription_update", &["billing_cycle_anchor"]);
            },
        },
        Downgrade {
            before: "2026-03-25",
            object: "billing_portal.session",
            apply: |_, session| {
                session.remove("customer_account");
            },
        },
        Downgrade {
            before: "2025-09-30",
            object: "billing_portal.configuration",
            apply: |_, configuration| {
                configuration.remove("name");
                without(configuration, "subscription_update", &["trial_update_behavior"]);
            },
        },
    ],
    hooks: &[
        Hook::SetUp(configurations::set_up),
        Hook::SetupSettled(acts::setup_settled),
    ],
    ..Family::EMPTY
};

/// The twin of the portal's pages, for tests without a browser.
pub(crate) const DOORS: Family = Family {
    routes: &[Route::post("/_sandbox/portal/{session}/{action}", acts::PARAMS, acts::twin).access(Access::Page)],
    ..Family::EMPTY
};

fn without(configuration: &mut Map<String, Value>, feature: &str, names: &[&str]) {
    let feature = configuration
        .get_mut("features")
        .and_then(|features| features.get_mut(feature));
    if let Some(feature) = feature.and_then(Value::as_object_mut) {
        for name in names {
            feature.remove(*name);
        }
    }
}

/// The address of a session's page.
fn url_of(state: &State, id: &str) -> String {
    format!("{}/p/session/{id}", state.settings.base_url)
}

//! Checkout sessions: what is to be bought, and what became of it.
//!
//! A session is made by the host, finished by its customer on the hosted page (or by a twin of it, `doors`), or expires.
//! `finish` and `settle` do what paying it does; `basket` reckons its amounts.

mod basket;
mod create;
mod doors;
mod finish;
mod promotions;
mod settle;

use serde_json::{Map, Value, json};

use super::{Family, Hook, Route, inner};
use crate::list_params;
use crate::shape::list::{list, page};
use crate::shape::read::{items, text};
use crate::shape::render::Downgrade;
use crate::state::State;
use crate::state::store::Kind;
use crate::wire::call::{Outcome, Request};
use crate::wire::error::ApiError;

pub(crate) use basket::{amount, interval_of, read as read_items};
pub(crate) use create::{check_url, make};
pub(crate) use doors::{DOORS, asks_address, card, read};
pub(crate) use finish::{complete, revise};
pub(crate) use settle::{intent_of, pay_invoice};

/// `cs_test_..`
pub const SESSION: Kind = Kind {
    object: "checkout.session",
    prefix: "cs_test_a1",
    random: 56,
    path: "/v1/checkout/sessions",
};

/// Checkout sessions.
pub const FAMILY: Family = Family {
    kinds: &[&SESSION],
    routes: &[
        Route::post("/v1/checkout/sessions", create::PARAMS, create::create),
        Route::get(
            "/v1/checkout/sessions",
            concat!(
                "customer customer_details{email} payment_intent payment_link status subscription \
                 created?{gt gte lt lte}",
                list_params!()
            ),
            index,
        ),
        Route::get("/v1/checkout/sessions/{session}", "expand[]", show),
        Route::post("/v1/checkout/sessions/{session}", "metadata* expand[]", update),
        Route::post("/v1/checkout/sessions/{session}/expire", "expand[]", expire),
        Route::get("/v1/checkout/sessions/{session}/line_items", list_params!(), line_items),
    ],
    work: &[("checkout.expire", expire_by_time)],
    downgrades: DOWNGRADES,
    hooks: &[
        Hook::PaymentSettled(settle::payment_settled),
        Hook::SetupSettled(settle::setup_settled),
    ],
    ..Family::EMPTY
};

const DOWNGRADES: &[Downgrade] = &[
    Downgrade {
        before: "2026-06-24",
        object: "checkout.session",
        apply: |_, session| {
            session.remove("managed_payments");
            session.insert("ui_mode".to_owned(), json!("hosted"));
        },
    },
    Downgrade {
        before: "2026-03-25",
        object: "checkout.session",
        apply: |_, session| without(session, &["customer_account", "integration_identifier"]),
    },
    Downgrade {
        before: "2026-03-25",
        object: "item",
        apply: |_, item| without(item, &["adjustable_quantity", "metadata"]),
    },
    Downgrade {
        before: "2025-09-30",
        object: "checkout.session",
        apply: before_clover,
    },
    Downgrade {
        before: "2025-03-31",
        object: "checkout.session",
        apply: before_basil,
    },
];

fn without(object: &mut Map<String, Value>, names: &[&str]) {
    for name in names {
        object.remove(*name);
    }
}

fn before_clover(_: &State, session: &mut Map<String, Value>) {
    without(session, &["wallet_options", "origin_context"]);
    for (part, names) in [
        ("automatic_tax", &["provider"][..]),
        ("customer_details", &["business_name", "individual_name"]),
        ("collected_information", &["business_name", "individual_name"]),
    ] {
        if let Some(part) = session.get_mut(part).and_then(Value::as_object_mut) {
            without(part, names);
        }
    }
}

/// Where the goods go stood in the session itself.
fn before_basil(_: &State, session: &mut Map<String, Value>) {
    let collected = session.remove("collected_information").unwrap_or_default();
    session.insert("shipping_details".to_owned(), collected["shipping_details"].clone());
    session.remove("permissions");
}

/// The address of a session's page.
pub(crate) fn url_of(state: &State, id: &str) -> String {
    format!("{}/c/pay/{id}", state.settings.base_url)
}

/// Whether a trial comes before the first payment.
pub(crate) fn has_trial(session: &Value) -> bool {
    !session["_subscription_data"]["trial_period_days"].is_null()
        || !session["_subscription_data"]["trial_end"].is_null()
}

/// Whether the page has to ask for a card.
pub(crate) fn needs_method(session: &Value) -> bool {
    session["mode"] == "setup"
        || session["amount_total"].as_i64().unwrap_or(0) > 0
        || (session["mode"] == "subscription" && session["payment_method_collection"] != "if_required")
}

fn show(state: &mut State, request: &Request) -> Outcome {
    Ok(state.get(&SESSION, request.id(), "session")?.clone().into())
}

fn update(state: &mut State, request: &Request) -> Outcome {
    let params = request.params();
    let changed = state.change(&SESSION, request.id(), "", |session| params.merge_metadata(session))?;
    Ok(changed.into())
}

fn line_items(state: &mut State, request: &Request) -> Outcome {
    let session = state.get(&SESSION, request.id(), "session")?;
    let url = format!("/v1/checkout/sessions/{}/line_items", request.id());
    let found = items(session, "_line_items").to_vec();
    Ok(page(&found, &request.params(), &url)?.into())
}

fn index(state: &mut State, request: &Request) -> Outcome {
    let params = request.params();
    let email = params.object("customer_details");
    let email = email.as_ref().and_then(|details| details.text("email"));
    let listed = list(state, &SESSION, &params, SESSION.path, |session| {
        ["customer", "payment_intent", "payment_link", "status", "subscription"]
            .iter()
            .all(|name| {
                params
                    .text(name)
                    .is_none_or(|wanted| text(session, name) == Some(wanted))
            })
            && email.is_none_or(|email| text(session, "customer_details.email") == Some(email))
    })?;
    Ok(listed.into())
}

fn expire(state: &mut State, request: &Request) -> Outcome {
    let session = state.get(&SESSION, request.id(), "session")?;
    if session["status"] != "open" {
        let status = text(session, "status").unwrap_or_default();
        let message =
            format!("Only Checkout Sessions with a status in [\"open\"] can be expired. This one is {status}.");
        return Err(ApiError::state("checkout_session_unexpected_state", message));
    }
    Ok(give_up(state, request.id())?.into())
}

fn expire_by_time(state: &mut State, id: &str) -> Result<(), ApiError> {
    if state
        .look(&SESSION, id)
        .is_some_and(|session| session["status"] == "open")
    {
        give_up(state, id)?;
    }
    Ok(())
}

/// Nobody can pay it any more: what was begun for it is given up too.
fn give_up(state: &mut State, id: &str) -> Result<Value, ApiError> {
    state.due.unschedule("checkout.expire", id);
    let expired = state.change(&SESSION, id, "", |session| {
        session["status"] = json!("expired");
        session["url"] = Value::Null;
        Ok(())
    })?;
    state.emit("checkout.session.expired", &expired);
    settle::drop_begun(state, &expired)?;
    Ok(expired)
}

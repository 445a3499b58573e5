//! Setup intents: a payment method is made ready for later without paying.

use serde_json::{Value, json};

use super::cards::Conduct;
use super::customers::CUSTOMER;
use super::payment_methods::{self, PAYMENT_METHOD, conduct};
use super::{Access, Family, Hook, Route, hooks, payments};
use crate::list_params;
use crate::shape::list::list;
use crate::shape::read::text;
use crate::shape::render::{Downgrade, render};
use crate::state::State;
use crate::state::store::Kind;
use crate::wire::call::{Outcome, Request};
use crate::wire::error::ApiError;
use crate::wire::version::Version;

/// `seti_..`
pub const SETUP_INTENT: Kind = Kind {
    object: "setup_intent",
    prefix: "seti_1",
    random: 23,
    path: "/v1/setup_intents",
};

/// Setup intents, and the owner's answer for both kinds of intents.
pub const FAMILY: Family = Family {
    kinds: &[&SETUP_INTENT],
    routes: &[
        Route::post(
            "/v1/setup_intents",
            "attach_to_self automatic_payment_methods{enabled allow_redirects} confirm customer description \
             excluded_payment_method_types[] flow_directions[] mandate_data* metadata* payment_method \
             payment_method_options* payment_method_types[] return_url single_use* usage use_stripe_sdk expand[]",
            create,
        ),
        Route::get(
            "/v1/setup_intents",
            concat!("customer payment_method created?{gt gte lt lte}", list_params!()),
            index,
        ),
        Route::get("/v1/setup_intents/{intent}", "client_secret expand[]", show),
        Route::post(
            "/v1/setup_intents/{intent}",
            "customer description metadata* payment_method payment_method_types[] expand[]",
            update,
        ),
        Route::post(
            "/v1/setup_intents/{intent}/confirm",
            "payment_method return_url mandate_data* payment_method_options* use_stripe_sdk client_secret expand[]",
            confirm_route,
        ),
        Route::post(
            "/v1/setup_intents/{intent}/cancel",
            "cancellation_reason expand[]",
            cancel,
        ),
        Route::post("/_sandbox/authenticate/{intent}", "outcome", authenticate).access(Access::Page),
    ],
    downgrades: &[
        Downgrade {
            before: "2026-03-25",
            object: "setup_intent",
            apply: |_, intent| {
                intent.remove("customer_account");
            },
        },
        Downgrade {
            before: "2025-12-15",
            object: "setup_intent",
            apply: |_, intent| {
                intent.remove("excluded_payment_method_types");
            },
        },
    ],
    ..Family::EMPTY
};

fn create(state: &mut State, request: &Request) -> Outcome {
    let params = request.params();
    let customer = params.text("customer");
    if let Some(customer) = customer {
        state.get(&CUSTOMER, customer, "customer")?;
    }
    let method = match params.text("payment_method") {
        Some(method) => payment_methods::resolve(state, method, "payment_method")?["id"].clone(),
        None => Value::Null,
    };
    let id = state.new_id(&SETUP_INTENT);
    let secret = state.ids.next("_secret_", 25);
    let types = params.texts("payment_method_types");
    let mut intent = json!({
        "id": id,
        "object": "setup_intent",
        "application": null,
        "automatic_payment_methods": null,
        "cancellation_reason": null,
        "client_secret": format!("{id}{secret}"),
        "created": state.now_for(customer),
        "customer": customer,
        "customer_account": null,
        "description": params.text("description"),
        "excluded_payment_method_types": null,
        "flow_directions": null,
        "last_setup_error": null,
        "latest_attempt": null,
        "livemode": false,
        "mandate": null,
        "metadata": {},
        "next_action": null,
        "on_behalf_of": null,
        "payment_method": method,
        "payment_method_configuration_details": null,
        "payment_method_options": {"card": {"mandate_options": null, "network": null, "request_three_d_secure": "automatic"}},
        "payment_method_types": if types.is_empty() { vec!["card"] } else { types },
        "single_use_mandate": null,
        "status": if method.is_null() { "requires_payment_method" } else { "requires_confirmation" },
        "usage": params.choice("usage", &["off_session", "on_session"])?.unwrap_or("off_session"),
    });
    if let Some(automatic) = params.object("automatic_payment_methods") {
        let redirects = automatic.text("allow_redirects").unwrap_or("always");
        let enabled = automatic.flag("enabled")?;
        intent["automatic_payment_methods"] = json!({"allow_redirects": redirects, "enabled": enabled});
    }
    params.merge_metadata(&mut intent)?;
    state.create(&SETUP_INTENT, intent, "setup_intent.created");
    if params.flag("confirm")? == Some(true) {
        return confirm(state, &id, None, params.text("return_url"));
    }
    Ok(state.get(&SETUP_INTENT, &id, "intent")?.clone().into())
}

fn unexpected(status: &str, what: &str) -> ApiError {
    let message = format!("This SetupIntent could not be {what} because it has a status of {status}.");
    ApiError::state("setup_intent_unexpected_state", message)
}

fn show(state: &mut State, request: &Request) -> Outcome {
    Ok(state.get(&SETUP_INTENT, request.id(), "intent")?.clone().into())
}

fn update(state: &mut State, request: &Request) -> Outcome {
    let params = request.params();
    let method = match params.text("payment_method") {
        Some(method) => Some(payment_methods::resolve(state, method, "payment_method")?["id"].clone()),
        None => None,
    };
    let changed = state.change(&SETUP_INTENT, request.id(), "", |intent| {
        params.copy_texts(intent, &["customer", "description"]);
        if let Some(method) = method {
            intent["payment_method"] = method;
            intent["status"] = json!("requires_confirmation");
        }
        params.merge_metadata(intent)
    })?;
    Ok(changed.into())
}

fn confirm_route(state: &mut State, request: &Request) -> Outcome {
    let params = request.params();
    confirm(
        state,
        request.id(),
        params.text("payment_method"),
        params.text("return_url"),
    )
}

/// Makes the method ready; answers the intent.
///
/// # Errors
/// A method that is missing or refused, an intent that is over.
pub fn confirm(state: &mut State, id: &str, method: Option<&str>, return_url: Option<&str>) -> Outcome {
    let intent = state.get(&SETUP_INTENT, id, "intent")?.clone();
    let status = text(&intent, "status").unwrap_or_default();
    if !status.starts_with("requires_") {
        return Err(unexpected(status, "confirmed"));
    }
    let none = || {
        let message = "You cannot confirm this SetupIntent because it's missing a payment method.";
        ApiError::state("setup_intent_unexpected_state", message)
    };
    let named = method.or_else(|| text(&intent, "payment_method")).ok_or_else(none)?;
    let method = payment_methods::resolve(state, named, "payment_method")?;
    let method_id = method["id"].clone();
    state.change(&SETUP_INTENT, id, "", |intent| {
        intent["payment_method"] = method_id;
        Ok(())
    })?;
    let conduct = conduct(&method);
    let refusal = conduct.refusal().filter(|_| conduct != Conduct::DeclinesLater);
    if let Some((code, decline, words)) = refusal {
        let error = fail(state, id, &method, ApiError::card(code, decline, words))?;
        return Err(error);
    }
    if matches!(conduct, Conduct::Authenticates | Conduct::AuthenticatesOnce) {
        let action = payments::next_action(state, id, return_url);
        let asked = state.change(&SETUP_INTENT, id, "", |intent| {
            intent["next_action"] = action;
            intent["status"] = json!("requires_action");
            Ok(())
        })?;
        state.emit("setup_intent.requires_action", &asked);
        return Ok(asked.into());
    }
    Ok(succeed(state, id, &method)?.into())
}

fn succeed(state: &mut State, id: &str, method: &Value) -> Result<Value, ApiError> {
    let intent = state.get(&SETUP_INTENT, id, "intent")?.clone();
    let method_id = text(method, "id").unwrap_or_default().to_owned();
    if method["object"] == "payment_method" {
        state.change(&PAYMENT_METHOD, &method_id, "", |method| {
            method["_authenticated"] = json!(true);
            Ok(())
        })?;
        if let Some(customer) = text(&intent, "customer") {
            payment_methods::attach(state, &method_id, customer)?;
        }
    }
    let ready = state.change(&SETUP_INTENT, id, "", |intent| {
        intent["status"] = json!("succeeded");
        intent["next_action"] = Value::Null;
        intent["last_setup_error"] = Value::Null;
        Ok(())
    })?;
    state.emit("setup_intent.succeeded", &ready);
    tell(state, id)?;
    Ok(ready)
}

fn fail(state: &mut State, id: &str, method: &Value, error: ApiError) -> Result<ApiError, ApiError> {
    let mut shown = method.clone();
    render(state, &mut shown, &Version::newest());
    let kept = error.clone().with("payment_method", shown).object();
    let mut failed = state.change(&SETUP_INTENT, id, "", |intent| {
        intent["status"] = json!("requires_payment_method");
        intent["payment_method"] = Value::Null;
        intent["next_action"] = Value::Null;
        intent["last_setup_error"] = kept;
        Ok(())
    })?;
    state.emit("setup_intent.setup_failed", &failed);
    tell(state, id)?;
    render(state, &mut failed, &Version::newest());
    Ok(error.with("setup_intent", failed).staying())
}

fn tell(state: &mut State, id: &str) -> Result<(), ApiError> {
    for hook in hooks() {
        if let Hook::SetupSettled(act) = hook {
            act(state, id)?;
        }
    }
    Ok(())
}

fn cancel(state: &mut State, request: &Request) -> Outcome {
    let reasons = ["abandoned", "duplicate", "requested_by_customer"];
    let reason = request.params().choice("cancellation_reason", &reasons)?;
    let intent = state.get(&SETUP_INTENT, request.id(), "intent")?;
    let status = text(intent, "status").unwrap_or_default();
    if !status.starts_with("requires_") {
        return Err(unexpected(status, "canceled"));
    }
    let canceled = state.change(&SETUP_INTENT, request.id(), "", |intent| {
        intent["status"] = json!("canceled");
        intent["cancellation_reason"] = json!(reason);
        Ok(())
    })?;
    state.emit("setup_intent.canceled", &canceled);
    Ok(canceled.into())
}

fn index(state: &mut State, request: &Request) -> Outcome {
    let params = request.params();
    let listed = list(state, &SETUP_INTENT, &params, "/v1/setup_intents", |intent| {
        let same = |name: &str| params.text(name).is_none_or(|wanted| intent[name] == wanted);
        same("customer") && same("payment_method")
    })?;
    Ok(listed.into())
}

/// `outcome=approve` or `fail`, for what waits for its owner.
///
/// # Errors
/// Nobody was asked.
pub fn answer(state: &mut State, id: &str, approves: bool) -> Result<Value, ApiError> {
    if !id.starts_with(SETUP_INTENT.prefix) {
        return payments::authenticate(state, id, approves);
    }
    let intent = state.get(&SETUP_INTENT, id, "intent")?.clone();
    let status = text(&intent, "status").unwrap_or_default();
    if status != "requires_action" {
        return Err(unexpected(status, "authenticated"));
    }
    let named = text(&intent, "payment_method").unwrap_or_default().to_owned();
    let method = payment_methods::resolve(state, &named, "payment_method")?;
    if approves {
        return succeed(state, id, &method);
    }
    let words = "The provided payment method has failed authentication.";
    let error = ApiError::card("setup_intent_authentication_failure", None, words);
    fail(state, id, &method, error)?;
    state.get(&SETUP_INTENT, id, "intent").cloned()
}

fn authenticate(state: &mut State, request: &Request) -> Outcome {
    let params = request.params();
    params.required("outcome")?;
    let outcome = params.choice("outcome", &["approve", "fail"])?;
    Ok(answer(state, request.id(), outcome == Some("approve"))?.into())
}

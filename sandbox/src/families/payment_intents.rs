//! Payment intents: the calls. What a payment does is `payments`.

use serde_json::{Map, Value, json};

use super::charges;
use super::customers::CUSTOMER;
use super::payment_methods;
use super::payments::{self, Payment, Settled};
use super::{Family, Route};
use crate::list_params;
use crate::shape::list::list;
use crate::shape::read::{number, text};
use crate::shape::render::Downgrade;
use crate::state::State;
use crate::state::store::Kind;
use crate::wire::call::{Outcome, Request};
use crate::wire::error::ApiError;
use crate::wire::params::Params;

/// `pi_..`
pub const PAYMENT_INTENT: Kind = Kind {
    object: "payment_intent",
    prefix: "pi_3",
    random: 23,
    path: "/v1/payment_intents",
};

macro_rules! fields {
    () => {
        " amount amount_details* currency customer description excluded_payment_method_types[] metadata* payment_method \
          payment_method_options* payment_method_types[] receipt_email setup_future_usage shipping* \
          statement_descriptor statement_descriptor_suffix transfer_group capture_method expand[] "
    };
}

/// Payment intents.
pub const FAMILY: Family = Family {
    kinds: &[&PAYMENT_INTENT],
    routes: &[
        Route::post(
            "/v1/payment_intents",
            concat!(
                fields!(),
                "automatic_payment_methods{enabled allow_redirects} confirm confirmation_method error_on_requires_action \
                 mandate mandate_data* off_session return_url use_stripe_sdk"
            ),
            create,
        ),
        Route::get(
            "/v1/payment_intents",
            concat!("customer created?{gt gte lt lte}", list_params!()),
            index,
        ),
        Route::get("/v1/payment_intents/{intent}", "client_secret expand[]", show),
        Route::post("/v1/payment_intents/{intent}", fields!(), update),
        Route::post(
            "/v1/payment_intents/{intent}/confirm",
            "payment_method return_url off_session mandate mandate_data* payment_method_options* receipt_email \
             setup_future_usage shipping* use_stripe_sdk client_secret error_on_requires_action payment_method_types[] \
             capture_method expand[]",
            confirm,
        ),
        Route::post(
            "/v1/payment_intents/{intent}/capture",
            "amount_to_capture metadata* statement_descriptor expand[]",
            capture_route,
        ),
        Route::post(
            "/v1/payment_intents/{intent}/cancel",
            "cancellation_reason expand[]",
            cancel,
        ),
    ],
    work: &[("payment.settle", payments::settle)],
    downgrades: &[
        Downgrade {
            before: "2026-06-24",
            object: "payment_intent",
            apply: |_, intent| {
                intent.remove("managed_payments");
            },
        },
        Downgrade {
            before: "2026-03-25",
            object: "payment_intent",
            apply: |_, intent| {
                intent.remove("customer_account");
            },
        },
        Downgrade {
            before: "2025-09-30",
            object: "payment_intent",
            apply: |_, intent| {
                intent.remove("excluded_payment_method_types");
            },
        },
        Downgrade {
            before: "2025-03-31",
            object: "payment_intent",
            apply: older,
        },
    ],
    ..Family::EMPTY
};

/// The intent named its invoice itself.
fn older(_: &State, intent: &mut Map<String, Value>) {
    let invoice = intent.get("_invoice").cloned().unwrap_or_default();
    intent.insert("invoice".to_owned(), invoice);
}

fn create(state: &mut State, request: &Request) -> Outcome {
    let params = request.params();
    let customer = params.text("customer");
    if let Some(customer) = customer {
        state.get(&CUSTOMER, customer, "customer")?;
    }
    let amount = params.required_integer("amount")?;
    if amount < 1 {
        let message = "This value must be greater than or equal to 1.";
        return Err(ApiError::bad_param("amount", message).code("parameter_invalid_integer"));
    }
    let method = match params.text("payment_method") {
        Some(method) => Some(payment_methods::resolve(state, method, "payment_method")?["id"].clone()),
        None => None,
    };
    let capture = params.choice("capture_method", &["automatic", "automatic_async", "manual"])?;
    let mut intent = payments::build(
        state,
        &Payment {
            amount,
            currency: &params.required("currency")?.to_lowercase(),
            customer,
            method: method.as_ref().and_then(Value::as_str),
            invoice: None,
        },
    );
    intent["capture_method"] = json!(capture.unwrap_or("automatic_async"));
    if let Some(automatic) = params.object("automatic_payment_methods") {
        intent["automatic_payment_methods"] = json!({
            "allow_redirects": automatic.text("allow_redirects").unwrap_or("always"),
            "enabled": automatic.flag("enabled")?,
        });
    }
    edit(&params, &mut intent)?;
    let intent = state.create(&PAYMENT_INTENT, intent, "payment_intent.created");
    if params.flag("confirm")? == Some(true) {
        let id = text(&intent, "id").unwrap_or_default().to_owned();
        return confirm_with(state, &id, &params);
    }
    Ok(intent.into())
}

fn edit(params: &Params<'_>, intent: &mut Value) -> Result<(), ApiError> {
    params.copy_texts(
        intent,
        &[
            "description",
            "receipt_email",
            "setup_future_usage",
            "statement_descriptor",
            "statement_descriptor_suffix",
        ],
    );
    params.copy_texts(intent, &["transfer_group"]);
    params.copy_trees(intent, &["shipping", "payment_method_options"]);
    if params.has("payment_method_types") {
        intent["payment_method_types"] = json!(params.texts("payment_method_types"));
    }
    params.merge_metadata(intent)
}

fn show(state: &mut State, request: &Request) -> Outcome {
    Ok(state.get(&PAYMENT_INTENT, request.id(), "intent")?.clone().into())
}

fn update(state: &mut State, request: &Request) -> Outcome {
    let params = request.params();
    let status = text(state.get(&PAYMENT_INTENT, request.id(), "intent")?, "status")
        .unwrap_or_default()
        .to_owned();
    let fixed = ["amount", "currency", "payment_method", "customer"];
    if !status.starts_with("requires_") && fixed.iter().any(|name| params.has(name)) {
        return Err(payments::unexpected(&status, "updated"));
    }
    let method = match params.text("payment_method") {
        Some(method) => Some(payment_methods::resolve(state, method, "payment_method")?["id"].clone()),
        None => None,
    };
    if let Some(customer) = params.text("customer") {
        state.get(&CUSTOMER, customer, "customer")?;
    }
    // An update is no event: `payment_intent.*` are about payment.
    let changed = state.change(&PAYMENT_INTENT, request.id(), "", |intent| {
        params.copy_integers(intent, &["amount"])?;
        params.copy_texts(intent, &["currency", "customer"]);
        if let Some(method) = method {
            intent["payment_method"] = method;
            if intent["status"] == "requires_payment_method" {
                intent["status"] = json!("requires_confirmation");
            }
        }
        edit(&params, intent)
    })?;
    Ok(changed.into())
}

fn confirm(state: &mut State, request: &Request) -> Outcome {
    let params = request.params();
    let id = request.id().to_owned();
    state.change(&PAYMENT_INTENT, &id, "", |intent| {
        params.copy_texts(intent, &["receipt_email", "setup_future_usage"]);
        Ok(())
    })?;
    confirm_with(state, &id, &params)
}

fn confirm_with(state: &mut State, id: &str, params: &Params<'_>) -> Outcome {
    let off_session = params.text("off_session").is_some_and(|given| given != "false");
    let return_url = params.text("return_url");
    let method = params.text("payment_method");
    let settled = payments::confirm(state, id, method, off_session, return_url)?;
    let intent = state.get(&PAYMENT_INTENT, id, "intent")?.clone();
    match settled {
        Settled::Declined(error) => {
            let mut shown = intent;
            crate::shape::render::render(state, &mut shown, &crate::wire::version::Version::newest());
            Err(error.with("payment_intent", shown).staying())
        }
        Settled::Paid | Settled::Held | Settled::Processing | Settled::NeedsAction => Ok(intent.into()),
    }
}

/// Captures what was held, or part of it.
///
/// # Errors
/// Nothing is held, or less.
pub fn capture(state: &mut State, id: &str, amount: Option<i64>) -> Result<Value, ApiError> {
    let intent = state.get(&PAYMENT_INTENT, id, "intent")?.clone();
    let status = text(&intent, "status").unwrap_or_default();
    if status != "requires_capture" {
        return Err(payments::unexpected(status, "captured"));
    }
    let held = number(&intent, "amount_capturable");
    let amount = amount.unwrap_or(held);
    if amount < 1 || amount > held {
        let message = format!("The amount to capture must be from 1 to {held}.");
        return Err(ApiError::bad_param("amount_to_capture", message).code("amount_too_large"));
    }
    let charge = text(&intent, "latest_charge").unwrap_or_default().to_owned();
    charges::capture(state, &charge, amount)?;
    payments::succeed(state, id, amount)
}

fn capture_route(state: &mut State, request: &Request) -> Outcome {
    let params = request.params();
    let captured = capture(state, request.id(), params.integer("amount_to_capture")?)?;
    Ok(captured.into())
}

fn cancel(state: &mut State, request: &Request) -> Outcome {
    let params = request.params();
    let reasons = ["duplicate", "fraudulent", "requested_by_customer", "abandoned"];
    let reason = params.choice("cancellation_reason", &reasons)?;
    Ok(payments::cancel(state, request.id(), reason)?.into())
}

fn index(state: &mut State, request: &Request) -> Outcome {
    let params = request.params();
    let customer = params.text("customer");
    let listed = list(state, &PAYMENT_INTENT, &params, "/v1/payment_intents", |intent| {
        customer.is_none_or(|customer| intent["customer"] == customer)
    })?;
    Ok(listed.into())
}

//! Customers: create, get, update, delete, list.

use serde_json::{Value, json};

use super::payment_methods::{self, PAYMENT_METHOD};
use super::{Family, Hook, Route, coupons, customer_money, hooks, sources, test_clocks::TEST_CLOCK};
use crate::list_params;
use crate::shape::list::list;
use crate::shape::read::text;
use crate::state::State;
use crate::state::store::Kind;
use crate::wire::call::{Outcome, Request};
use crate::wire::error::ApiError;
use crate::wire::params::Params;

/// `cus_..`
pub const CUSTOMER: Kind = Kind {
    object: "customer",
    prefix: "cus_",
    random: 14,
    path: "/v1/customers",
};

macro_rules! fields {
    () => {
        concat!(
            "address{city country line1 line2 postal_code state} balance business_name description email \
             individual_name invoice_prefix invoice_settings{custom_fields[]{name value} default_payment_method footer \
             rendering_options{amount_tax_display template}} metadata* name next_invoice_sequence phone \
             preferred_locales[] shipping{address{city country line1 line2 postal_code state} name phone} source \
             tax{ip_address validate_location} tax_exempt coupon promotion_code expand[] "
        )
    };
}

/// Customers.
pub const FAMILY: Family = Family {
    kinds: &[&CUSTOMER],
    routes: &[
        Route::post(
            "/v1/customers",
            concat!(fields!(), "payment_method test_clock tax_id_data[]{type value}"),
            create,
        ),
        Route::get("/v1/customers/{customer}", "expand[]", show),
        Route::post("/v1/customers/{customer}", concat!(fields!(), "default_source"), update),
        Route::delete("/v1/customers/{customer}", "", delete),
        Route::get(
            "/v1/customers",
            concat!("email created?{gt gte lt lte} test_clock", list_params!()),
            index,
        ),
    ],
    ..Family::EMPTY
};

fn create(state: &mut State, request: &Request) -> Outcome {
    let params = request.params();
    let clock = params.text("test_clock");
    if let Some(clock) = clock {
        state.get(&TEST_CLOCK, clock, "test_clock")?;
    }
    let id = state.new_id(&CUSTOMER);
    let created = state.now_of(&json!({ "test_clock": clock }));
    let prefix = state.ids.next("", 8).to_uppercase();
    let mut customer = json!({
        "id": id,
        "object": "customer",
        "address": null,
        "balance": 0,
        "business_name": null,
        "created": created,
        "currency": null,
        "customer_account": null,
        "default_source": null,
        "delinquent": false,
        "description": null,
        "discount": null,
        "email": null,
        "individual_name": null,
        "invoice_prefix": prefix,
        "invoice_settings": {
            "custom_fields": null, "default_payment_method": null, "footer": null, "rendering_options": null,
        },
        "livemode": false,
        "metadata": {},
        "name": null,
        "next_invoice_sequence": 1,
        "phone": null,
        "preferred_locales": [],
        "shipping": null,
        "tax_exempt": "none",
        "test_clock": clock,
    });
    edit(&params, &mut customer)?;
    let method = params.text("payment_method");
    // Kept before it is discounted, so that the discount finds its customer's clock.
    state.put(&CUSTOMER, customer.clone());
    state.emit("customer.created", &customer);
    coupons::apply_to_customer(state, &params, &mut customer)?;
    state.put(&CUSTOMER, customer.clone());
    let id = text(&customer, "id").unwrap_or_default().to_owned();
    if let Some(method) = method {
        payment_methods::attach(state, method, &id)?;
    }
    if let Some(token) = params.text("source") {
        customer["default_source"] = json!(sources::add(state, &id, token)?);
    }
    // A method named as default comes with the customer: `pm_card_visa` becomes one of its own.
    let default = params
        .object("invoice_settings")
        .and_then(|given| given.text("default_payment_method"));
    if let Some(default) = default {
        let attached = match method {
            Some(method) if method == default => payment_methods::newest_of(state, &id),
            _ => payment_methods::attach(state, default, &id)?["id"].clone(),
        };
        customer["invoice_settings"]["default_payment_method"] = attached;
    }
    for add in params.objects("tax_id_data") {
        customer_money::add_tax_id(state, &id, &add)?;
    }
    state.put(&CUSTOMER, customer.clone());
    Ok(customer.into())
}

/// What create and update have in common.
fn edit(params: &Params<'_>, customer: &mut Value) -> Result<(), ApiError> {
    if let Some(email) = params.text("email")
        && !email.contains('@')
    {
        let error = ApiError::bad_param("email", format!("Invalid email address: {email}"));
        return Err(error.code("email_invalid"));
    }
    let texts = [
        "business_name",
        "description",
        "email",
        "individual_name",
        "invoice_prefix",
        "name",
        "phone",
    ];
    params.copy_texts(customer, &texts);
    params.copy_integers(customer, &["balance", "next_invoice_sequence"])?;
    for name in ["address", "shipping"] {
        copy_filled(params, customer, name);
    }
    if params.has("preferred_locales") {
        customer["preferred_locales"] = json!(params.texts("preferred_locales"));
    }
    if let Some(exempt) = params.choice("tax_exempt", &["none", "exempt", "reverse"])? {
        customer["tax_exempt"] = json!(exempt);
    }
    if let Some(settings) = params.object("invoice_settings") {
        let target = &mut customer["invoice_settings"];
        settings.copy_texts(target, &["default_payment_method", "footer"]);
        settings.copy_trees(target, &["custom_fields", "rendering_options"]);
    }
    params.merge_metadata(customer)
}

/// Addresses: what is not given is null.
fn copy_filled(params: &Params<'_>, customer: &mut Value, name: &str) {
    let Some(given) = params.object(name) else {
        params.copy_trees(customer, &[name]);
        return;
    };
    let parts = ["city", "country", "line1", "line2", "postal_code", "state"];
    let filled = |given: &Params<'_>| {
        let mut address = json!({});
        for part in parts {
            address[part] = json!(given.text(part));
        }
        address
    };
    customer[name] = if name == "shipping" {
        let address = given.object("address").map(|address| filled(&address));
        json!({"address": address, "name": given.text("name"), "phone": given.text("phone")})
    } else {
        filled(&given)
    };
}

fn show(state: &mut State, request: &Request) -> Outcome {
    Ok(state.get_or_tombstone(&CUSTOMER, request.id())?.into())
}

fn update(state: &mut State, request: &Request) -> Outcome {
    let params = request.params();
    let mut wanted = state.get(&CUSTOMER, request.id(), "id")?.clone();
    edit(&params, &mut wanted)?;
    check_methods(state, &params, request.id())?;
    if let Some(token) = params.text("source") {
        wanted["default_source"] = json!(sources::add(state, request.id(), token)?);
    }
    params.copy_texts(&mut wanted, &["default_source"]);
    coupons::apply_to_customer(state, &params, &mut wanted)?;
    let changed = state.change(&CUSTOMER, request.id(), "customer.updated", |customer| {
        *customer = wanted;
        Ok(())
    })?;
    Ok(changed.into())
}

/// A default payment method is one that the customer has.
fn check_methods(state: &State, params: &Params<'_>, customer: &str) -> Result<(), ApiError> {
    let settings = params.object("invoice_settings");
    let Some(method) = settings.as_ref().and_then(|given| given.text("default_payment_method")) else {
        return Ok(());
    };
    let name = "invoice_settings[default_payment_method]";
    let found = state.get(&PAYMENT_METHOD, method, name)?;
    if found["customer"] == customer {
        return Ok(());
    }
    let message = format!(
        "The customer does not have a payment method with the ID {method}. The payment method must be attached to the \
         customer."
    );
    Err(ApiError::bad_param(name, message).code("resource_missing"))
}

fn delete(state: &mut State, request: &Request) -> Outcome {
    Ok(remove(state, request.id())?.into())
}

/// Removes a customer and what hangs on it.
///
/// # Errors
/// 404, or what a hook refuses.
pub fn remove(state: &mut State, id: &str) -> Result<Value, ApiError> {
    state.get(&CUSTOMER, id, "id")?;
    for hook in hooks() {
        if let Hook::CustomerGoes(act) = hook {
            act(state, id)?;
        }
    }
    state.remove(&CUSTOMER, id, "customer.deleted", true)
}

fn index(state: &mut State, request: &Request) -> Outcome {
    let params = request.params();
    let (email, clock) = (params.text("email"), params.text("test_clock"));
    let listed = list(state, &CUSTOMER, &params, "/v1/customers", |customer| {
        // Customers of a test clock are listed by that clock only.
        email.is_none_or(|email| customer["email"] == email) && customer["test_clock"].as_str() == clock
    })?;
    Ok(listed.into())
}

//! Payment links: addresses that open a checkout session each time somebody follows them.

use serde_json::{Map, Value, json};

use super::checkout::{self, SESSION, check_url, read_items};
use super::prices::PRICE;
use super::{Family, Route};
use crate::list_params;
use crate::shape::list::{list, page};
use crate::shape::read::{items, number, text};
use crate::shape::render::Downgrade;
use crate::state::State;
use crate::state::store::Kind;
use crate::wire::call::{Outcome, Request};
use crate::wire::error::ApiError;
use crate::wire::params::Params;

/// `plink_..`
pub const PAYMENT_LINK: Kind = Kind {
    object: "payment_link",
    prefix: "plink_1",
    random: 23,
    path: "/v1/payment_links",
};

macro_rules! fields {
    () => {
        " active after_completion{hosted_confirmation{custom_message} redirect{url} type} allow_promotion_codes \
          automatic_tax{enabled liability{account type}} billing_address_collection customer_creation expand[] \
          inactive_message metadata* payment_intent_data{capture_method description metadata* setup_future_usage \
          statement_descriptor statement_descriptor_suffix transfer_group} payment_method_collection \
          payment_method_types[] phone_number_collection{enabled} restrictions{completed_sessions{limit}} submit_type \
          subscription_data{description metadata* trial_period_days \
          trial_settings{end_behavior{missing_payment_method}}} tax_id_collection{enabled required} "
    };
}

/// Payment links.
pub const FAMILY: Family = Family {
    kinds: &[&PAYMENT_LINK],
    routes: &[
        Route::post(
            "/v1/payment_links",
            concat!(
                fields!(),
                "currency line_items[]{adjustable_quantity{enabled maximum minimum} price \
                 price_data{currency product product_data{name description images[] metadata* tax_code unit_label} \
                 recurring{interval interval_count} tax_behavior unit_amount unit_amount_decimal} quantity}"
            ),
            create,
        ),
        Route::get("/v1/payment_links", concat!("active", list_params!()), index),
        Route::get("/v1/payment_links/{link}", "expand[]", show),
        Route::post("/v1/payment_links/{link}", fields!(), update),
        Route::get("/v1/payment_links/{link}/line_items", list_params!(), line_items),
    ],
    downgrades: &[Downgrade {
        before: "2026-06-24",
        object: "payment_link",
        apply: |_, link| {
            link.remove("managed_payments");
            link.remove("payment_method_options");
        },
    }],
    ..Family::EMPTY
};

fn create(state: &mut State, request: &Request) -> Outcome {
    let params = request.params();
    let mode = mode_of(state, &params);
    let lines = read_items(state, &params, mode)?;
    let id = state.new_id(&PAYMENT_LINK);
    let mut link = blank(state, &id, mode);
    link["currency"] = lines.first().map_or(Value::Null, |line| line["currency"].clone());
    link["_line_items"]["data"] = json!(lines);
    edit(&params, &mut link)?;
    Ok(state.create(&PAYMENT_LINK, link, "payment_link.created").into())
}

/// A link sells subscriptions when one of its prices comes again.
fn mode_of(state: &State, params: &Params<'_>) -> &'static str {
    let recurs = |given: &Params<'_>| {
        let known = given.text("price").and_then(|id| state.look(&PRICE, id));
        let data = given.object("price_data");
        known.is_some_and(|price| price["type"] == "recurring")
            || data.is_some_and(|data| data.object("recurring").is_some())
    };
    if params.objects("line_items").iter().any(recurs) {
        "subscription"
    } else {
        "payment"
    }
}

fn blank(state: &State, id: &str, mode: &str) -> Value {
    let subscribes = mode == "subscription";
    json!({
        "id": id,
        "object": "payment_link",
        "active": true,
        "after_completion": {"hosted_confirmation": {"custom_message": null}, "type": "hosted_confirmation"},
        "allow_promotion_codes": false,
        "application": null,
        "application_fee_amount": null,
        "application_fee_percent": null,
        "automatic_tax": {"enabled": false, "liability": null},
        "billing_address_collection": "auto",
        "consent_collection": null,
        "custom_fields": [],
        "custom_text": {
            "after_submit": null, "shipping_address": null, "submit": null, "terms_of_service_acceptance": null,
        },
        "customer_creation": if subscribes { "always" } else { "if_required" },
        "inactive_message": null,
        "invoice_creation": null,
        "livemode": false,
        "managed_payments": {"enabled": false},
        "metadata": {},
        "on_behalf_of": null,
        "payment_intent_data": null,
        "payment_method_collection": "always",
        "payment_method_options": null,
        "payment_method_types": null,
        "phone_number_collection": {"enabled": false},
        "restrictions": null,
        "shipping_address_collection": null,
        "shipping_options": [],
        "submit_type": "auto",
        "subscription_data": if subscribes {
            json!({"description": null, "invoice_settings": {"issuer": {"type": "self"}}, "metadata": {},
                   "trial_period_days": null, "trial_settings": null})
        } else { Value::Null },
        "tax_id_collection": {"enabled": false, "required": "never"},
        "transfer_data": null,
        "url": format!("{}/l/{id}", state.settings.base_url),
        "_line_items": {
            "object": "list", "data": [], "has_more": false, "url": format!("/v1/payment_links/{id}/line_items"),
        },
        "_mode": mode,
    })
}

fn edit(params: &Params<'_>, link: &mut Value) -> Result<(), ApiError> {
    params.copy_flags(link, &["active", "allow_promotion_codes"])?;
    params.copy_texts(link, &["inactive_message"]);
    for (name, words) in [
        ("billing_address_collection", &["auto", "required"][..]),
        ("customer_creation", &["always", "if_required"]),
        ("payment_method_collection", &["always", "if_required"]),
        ("submit_type", &["auto", "book", "donate", "pay", "subscribe"]),
    ] {
        if let Some(word) = params.choice(name, words)? {
            link[name] = json!(word);
        }
    }
    for name in ["phone_number_collection", "tax_id_collection", "automatic_tax"] {
        if let Some(given) = params.object(name) {
            given.copy_flags(&mut link[name], &["enabled"])?;
        }
    }
    if params.has("payment_method_types") {
        link["payment_method_types"] = json!(params.texts("payment_method_types"));
    }
    if let Some(after) = params.object("after_completion") {
        after.required("type")?;
        let kind = after.choice("type", &["hosted_confirmation", "redirect"])?;
        let hosted = after.object("hosted_confirmation");
        let message = hosted.as_ref().and_then(|given| given.text("custom_message"));
        link["after_completion"] = match after.object("redirect").filter(|_| kind == Some("redirect")) {
            Some(redirect) => {
                check_url(redirect.required("url")?, &redirect.name("url"))?;
                json!({"redirect": {"url": redirect.text("url")}, "type": "redirect"})
            }
            None if kind == Some("redirect") => return Err(ApiError::missing("after_completion[redirect]")),
            None => json!({"hosted_confirmation": {"custom_message": message}, "type": "hosted_confirmation"}),
        };
    }
    if let Some(limit) = params
        .object("restrictions")
        .and_then(|given| given.object("completed_sessions"))
    {
        let count = number(link, "restrictions.completed_sessions.count");
        let limit = limit.required_integer("limit")?;
        link["restrictions"] = json!({"completed_sessions": {"count": count, "limit": limit}});
    }
    edit_parts(params, link)?;
    params.merge_metadata(link)
}

fn edit_parts(params: &Params<'_>, link: &mut Value) -> Result<(), ApiError> {
    for (name, mode) in [
        ("subscription_data", "subscription"),
        ("payment_intent_data", "payment"),
    ] {
        let Some(given) = params.object(name) else { continue };
        if link["_mode"] != mode {
            let message = format!("You can not pass `{name}` with these prices.");
            return Err(ApiError::bad_param(name, message));
        }
        let mut part = link[name].clone();
        if part.is_null() {
            part = json!({"capture_method": null, "description": null, "metadata": {}, "setup_future_usage": null,
                "statement_descriptor": null, "statement_descriptor_suffix": null, "transfer_group": null});
        }
        given.copy_texts(&mut part, &["description"]);
        if mode == "payment" {
            let names = [
                "capture_method",
                "setup_future_usage",
                "statement_descriptor",
                "transfer_group",
            ];
            given.copy_texts(&mut part, &names);
        } else {
            given.copy_integers(&mut part, &["trial_period_days"])?;
            given.copy_trees(&mut part, &["trial_settings"]);
        }
        given.merge_metadata(&mut part)?;
        link[name] = part;
    }
    Ok(())
}

fn show(state: &mut State, request: &Request) -> Outcome {
    Ok(state.get(&PAYMENT_LINK, request.id(), "payment_link")?.clone().into())
}

fn update(state: &mut State, request: &Request) -> Outcome {
    let params = request.params();
    let mut wanted = state.get(&PAYMENT_LINK, request.id(), "payment_link")?.clone();
    edit(&params, &mut wanted)?;
    let changed = state.change(&PAYMENT_LINK, request.id(), "payment_link.updated", |link| {
        *link = wanted;
        Ok(())
    })?;
    Ok(changed.into())
}

fn index(state: &mut State, request: &Request) -> Outcome {
    let params = request.params();
    let active = params.flag("active")?;
    let listed = list(state, &PAYMENT_LINK, &params, PAYMENT_LINK.path, |link| {
        active.is_none_or(|active| link["active"] == active)
    })?;
    Ok(listed.into())
}

fn line_items(state: &mut State, request: &Request) -> Outcome {
    let link = state.get(&PAYMENT_LINK, request.id(), "payment_link")?;
    let url = format!("/v1/payment_links/{}/line_items", request.id());
    let found = items(link, "_line_items").to_vec();
    Ok(page(&found, &request.params(), &url)?.into())
}

/// Opens a session for somebody who follows a link.
///
/// # Errors
/// No such link, or one that sells nothing any more.
pub(crate) fn open(state: &mut State, id: &str) -> Result<Value, ApiError> {
    let link = state.get(&PAYMENT_LINK, id, "payment_link")?.clone();
    if link["active"] != true {
        let message = text(&link, "inactive_message").unwrap_or("This payment link has been deactivated.");
        return Err(ApiError::state("payment_link_inactive", message));
    }
    let wanted = wanted(&link);
    let session = checkout::make(state, &Params::new(&wanted))?;
    let id = text(&session, "id").unwrap_or_default().to_owned();
    state.change(&SESSION, &id, "", |session| {
        session["payment_link"] = link["id"].clone();
        Ok(())
    })
}

fn wanted(link: &Value) -> Map<String, Value> {
    let line = |item: &Value| {
        let mut line = json!({"price": item["price"]["id"], "quantity": item["quantity"]});
        if !item["adjustable_quantity"].is_null() {
            line["adjustable_quantity"] = item["adjustable_quantity"].clone();
        }
        line
    };
    let own = text(link, "url").unwrap_or_default();
    let after = text(link, "after_completion.redirect.url").map_or_else(|| format!("{own}/done"), str::to_owned);
    let mut wanted = Map::new();
    let lines: Vec<Value> = items(link, "_line_items").iter().map(line).collect();
    wanted.insert("line_items".to_owned(), json!(lines));
    wanted.insert("mode".to_owned(), link["_mode"].clone());
    wanted.insert("success_url".to_owned(), json!(after));
    for name in [
        "automatic_tax",
        "billing_address_collection",
        "metadata",
        "payment_intent_data",
        "payment_method_types",
        "phone_number_collection",
        "submit_type",
        "tax_id_collection",
    ] {
        wanted.insert(name.to_owned(), link[name].clone());
    }
    if link["allow_promotion_codes"] == true {
        wanted.insert("allow_promotion_codes".to_owned(), json!(true));
    }
    if link["_mode"] == "subscription" {
        wanted.insert(
            "payment_method_collection".to_owned(),
            link["payment_method_collection"].clone(),
        );
        wanted.insert("subscription_data".to_owned(), link["subscription_data"].clone());
    } else {
        wanted.insert("customer_creation".to_owned(), link["customer_creation"].clone());
    }
    wanted.retain(|_, value| !value.is_null());
    wanted
}

/// Counts a session of a link that has been completed; the last one that may be closes the link.
pub(super) fn count(state: &mut State, session: &Value) -> Result<(), ApiError> {
    let Some(id) = text(session, "payment_link").map(str::to_owned) else {
        return Ok(());
    };
    state.change(&PAYMENT_LINK, &id, "payment_link.updated", |link| {
        if !link["restrictions"].is_null() {
            let count = number(link, "restrictions.completed_sessions.count") + 1;
            link["restrictions"]["completed_sessions"]["count"] = json!(count);
            if count >= number(link, "restrictions.completed_sessions.limit") {
                link["active"] = json!(false);
            }
        }
        Ok(())
    })?;
    Ok(())
}

//! The calls about subscriptions, read into what they want.

use serde_json::{Map, Value, json};

use super::items::{self, Wanted, price_of};
use super::{
    Behavior, Cancel, Change, ItemChange, New, Proration, SUBSCRIPTION, TrialEnd, cancel as cancels, create as creates,
    discounts, update as updates,
};
use crate::families::invoices;
use crate::families::prices::PRICE;
use crate::shape::list::list;
use crate::shape::read::{items as all, text};
use crate::state::State;
use crate::wire::call::{Outcome, Request};
use crate::wire::error::ApiError;
use crate::wire::params::Params;

pub(super) fn behavior(params: &Params<'_>) -> Result<Behavior, ApiError> {
    let words = [
        "allow_incomplete",
        "default_incomplete",
        "error_if_incomplete",
        "pending_if_incomplete",
    ];
    Ok(match params.choice("payment_behavior", &words)? {
        Some("default_incomplete") => Behavior::DefaultIncomplete,
        Some("error_if_incomplete") => Behavior::ErrorIfIncomplete,
        Some("pending_if_incomplete") => Behavior::PendingIfIncomplete,
        _ => Behavior::AllowIncomplete,
    })
}

pub(super) fn proration(params: &Params<'_>) -> Result<Proration, ApiError> {
    let words = ["create_prorations", "always_invoice", "none"];
    Ok(match params.choice("proration_behavior", &words)? {
        Some("always_invoice") => Proration::Invoice,
        Some("none") => Proration::None,
        _ => Proration::Create,
    })
}

fn texts(params: &Params<'_>, name: &str) -> Vec<String> {
    params.texts(name).into_iter().map(str::to_owned).collect()
}

fn wanted_items(state: &mut State, params: &Params<'_>) -> Result<Vec<Wanted>, ApiError> {
    let mut wanted = Vec::new();
    for given in params.objects("items") {
        let mut kept = json!({});
        given.merge_metadata(&mut kept)?;
        wanted.push(Wanted {
            price: price_of(state, &given)?.ok_or_else(|| ApiError::missing(&given.name("price")))?,
            quantity: given.ranged("quantity", 0, i64::MAX)?,
            metadata: kept["metadata"].clone(),
            tax_rates: texts(&given, "tax_rates"),
            discounts: discounts::read(&given).unwrap_or_default(),
        });
    }
    Ok(wanted)
}

/// Fields that are kept as they are given, by what they are.
fn plain(params: &Params<'_>, old: &Value) -> Result<Map<String, Value>, ApiError> {
    let mut kept = old.clone();
    params.copy_texts(&mut kept, &["description", "default_source"]);
    if let Some(method) = params.choice("collection_method", &["charge_automatically", "send_invoice"])? {
        kept["collection_method"] = json!(method);
    }
    params.copy_integers(&mut kept, &["days_until_due"])?;
    if let Some(given) = params.object("payment_settings") {
        given.copy_texts(&mut kept["payment_settings"], &["save_default_payment_method"]);
        given.copy_trees(
            &mut kept["payment_settings"],
            &["payment_method_options", "payment_method_types"],
        );
    }
    if let Some(given) = params.object("automatic_tax") {
        given.copy_flags(&mut kept["automatic_tax"], &["enabled"])?;
    }
    if let Some(end) = params
        .object("trial_settings")
        .and_then(|given| given.object("end_behavior"))
    {
        let words = ["cancel", "create_invoice", "pause"];
        let missing = end.choice("missing_payment_method", &words)?;
        kept["trial_settings"]["end_behavior"]["missing_payment_method"] = json!(missing);
    }
    params.merge_metadata(&mut kept)?;
    let fields = kept.as_object().cloned().unwrap_or_default();
    Ok(fields
        .into_iter()
        .filter(|(name, value)| old[name.as_str()] != *value)
        .collect())
}

/// Lines that only the first invoice, or the next, has.
fn added_lines(state: &mut State, params: &Params<'_>, customer: &str) -> Result<Vec<Value>, ApiError> {
    let mut lines = Vec::new();
    for given in params.objects("add_invoice_items") {
        let item = crate::families::invoice_items::build(state, &given, customer)?;
        lines.push(invoices::of_invoice_item(state, &item));
    }
    Ok(lines)
}

/// A new subscription as a call asks for it.
pub(crate) fn new_of(state: &mut State, request: &Request) -> Result<New, ApiError> {
    let params = request.params();
    let customer = params.required("customer")?.to_owned();
    let items = wanted_items(state, &params)?;
    if items.is_empty() {
        return Err(ApiError::missing("items"));
    }
    let mut trial_days = params.ranged("trial_period_days", 0, 730)?;
    if trial_days.is_none() && params.flag("trial_from_plan")? == Some(true) {
        let of_price = |wanted: &Wanted| state.look(&PRICE, &wanted.price)?["recurring"]["trial_period_days"].as_i64();
        trial_days = items.iter().find_map(of_price);
    }
    let blank = super::shape::blank("", &json!({"id": customer}), 0);
    let more = plain(&params, &blank)?;
    let sends = more
        .get("collection_method")
        .is_some_and(|method| method == "send_invoice");
    let mode = params.object("billing_mode");
    let asked = mode
        .as_ref()
        .and_then(|mode| mode.text("type"))
        .map(|kind| kind == "flexible");
    let trial_end = if params.text("trial_end") == Some("now") {
        None
    } else {
        params.integer("trial_end")?
    };
    Ok(New {
        lines: added_lines(state, &params, &customer)?,
        customer,
        items,
        trial_end,
        trial_days,
        discounts: discounts::read(&params).unwrap_or_default(),
        method: params.text("default_payment_method").map(str::to_owned),
        behavior: behavior(&params)?,
        // A server that creates a subscription has its customer there, unless it says otherwise.
        on_session: params.flag("off_session")? != Some(true),
        days_until_due: params.integer("days_until_due")?,
        sends,
        anchor: params.integer("billing_cycle_anchor")?,
        proration: proration(&params)?,
        cancel_at: params.integer("cancel_at")?,
        cancel_at_period_end: params.flag("cancel_at_period_end")? == Some(true),
        tax_rates: texts(&params, "default_tax_rates"),
        // From clover on, flexible is what a subscription is when nothing is said.
        flexible: asked.unwrap_or(!request.version.before("2025-09-30")),
        more,
        ..New::default()
    })
}

pub(super) fn create(state: &mut State, request: &Request) -> Outcome {
    let new = new_of(state, request)?;
    let made = creates(state, &new).map_err(declined)?;
    Ok(made.into())
}

/// A decline is the caller's only where the caller said so; then nothing stays.
fn declined(mut error: ApiError) -> ApiError {
    error.stays = false;
    error
}

pub(super) fn show(state: &mut State, request: &Request) -> Outcome {
    Ok(state.get(&SUBSCRIPTION, request.id(), "id")?.clone().into())
}

pub(super) fn index(state: &mut State, request: &Request) -> Outcome {
    let params = request.params();
    let status = params.text("status");
    let price = params.text("price").or_else(|| params.text("plan"));
    let (customer, clock) = (params.text("customer"), params.text("test_clock"));
    let method = params.text("collection_method");
    let listed = list(state, &SUBSCRIPTION, &params, "/v1/subscriptions", |one| {
        let own = text(one, "status").unwrap_or_default();
        let fits = match status {
            Some("all") => true,
            Some("ended") => matches!(own, "canceled" | "incomplete_expired"),
            Some(wanted) => own == wanted,
            None => own != "canceled",
        };
        fits && customer.is_none_or(|wanted| one["customer"] == wanted)
            && clock.is_none_or(|wanted| one["test_clock"] == wanted)
            && method.is_none_or(|wanted| one["collection_method"] == wanted)
            && price.is_none_or(|wanted| all(one, "items").iter().any(|item| item["price"]["id"] == wanted))
    })?;
    Ok(listed.into())
}

/// A change to an item as a call asks for it.
pub(super) fn item_change(state: &mut State, given: &Params<'_>) -> Result<ItemChange, ApiError> {
    let metadata = given
        .object("metadata")
        .and(given.raw("metadata"))
        .and_then(Value::as_object);
    Ok(ItemChange {
        id: given.text("id").map(str::to_owned),
        price: price_of(state, given)?,
        quantity: given.ranged("quantity", 0, i64::MAX)?,
        deleted: given.flag("deleted")? == Some(true),
        metadata: metadata.cloned(),
        tax_rates: given.has("tax_rates").then(|| texts(given, "tax_rates")),
        discounts: discounts::read(given),
    })
}

/// A change as a call asks for it.
pub(crate) fn change_of(state: &mut State, params: &Params<'_>, old: &Value) -> Result<Change, ApiError> {
    let mut changes = Vec::new();
    for given in params.objects("items") {
        changes.push(item_change(state, &given)?);
    }
    let mut set = plain(params, old)?;
    if params.has("pause_collection") {
        let pause = match params.object("pause_collection") {
            Some(given) => {
                let words = ["keep_as_draft", "mark_uncollectible", "void"];
                given.required("behavior")?;
                json!({"behavior": given.choice("behavior", &words)?, "resumes_at": given.integer("resumes_at")?})
            }
            None => Value::Null,
        };
        set.insert("pause_collection".to_owned(), pause);
    }
    if params.has("default_tax_rates") {
        let rates = items::rates(state, &texts(params, "default_tax_rates"), "default_tax_rates")?;
        set.insert("default_tax_rates".to_owned(), rates);
    }
    let mut cancellation = Map::new();
    if let Some(details) = params.object("cancellation_details") {
        for name in ["comment", "feedback"] {
            if details.has(name) {
                cancellation.insert(name.to_owned(), json!(details.text(name)));
            }
        }
    }
    let anchor = params.object("billing_cycle_anchor");
    let anchor = anchor
        .as_ref()
        .map_or(params.text("billing_cycle_anchor"), |given| given.text("type"));
    Ok(Change {
        items: changes,
        proration: proration(params)?,
        proration_date: params.integer("proration_date")?,
        cancel_at_period_end: params.flag("cancel_at_period_end")?,
        cancel_at: if params.has("cancel_at") {
            Some(params.integer("cancel_at")?)
        } else {
            None
        },
        trial_end: match params.text("trial_end") {
            Some("now") => Some(TrialEnd::Now),
            _ => params.integer("trial_end")?.map(TrialEnd::At),
        },
        anchor_now: anchor == Some("now"),
        discounts: discounts::read(params),
        method: params
            .has("default_payment_method")
            .then(|| params.text("default_payment_method").map(str::to_owned)),
        behavior: behavior(params)?,
        on_session: params.flag("off_session")? != Some(true),
        set,
        cancellation,
    })
}

pub(super) fn update(state: &mut State, request: &Request) -> Outcome {
    let params = request.params();
    let old = state.get(&SUBSCRIPTION, request.id(), "id")?.clone();
    let change = change_of(state, &params, &old)?;
    let customer = text(&old, "customer").unwrap_or_default().to_owned();
    for given in params.objects("add_invoice_items") {
        let item = crate::families::invoice_items::build(state, &given, &customer)?;
        crate::families::invoice_items::keep(state, item);
    }
    let changed = updates(state, request.id(), &change).map_err(declined)?;
    Ok(changed.into())
}

pub(super) fn cancel(state: &mut State, request: &Request) -> Outcome {
    let params = request.params();
    let details = params.object("cancellation_details");
    let how = Cancel {
        prorate: params.flag("prorate")? == Some(true),
        invoice_now: params.flag("invoice_now")? == Some(true),
        comment: details.as_ref().and_then(|given| given.text("comment")),
        feedback: details.as_ref().and_then(|given| given.text("feedback")),
        reason: None,
    };
    Ok(cancels(state, request.id(), &how)?.into())
}

pub(super) fn resume(state: &mut State, request: &Request) -> Outcome {
    let params = request.params();
    let anchor = params.object("billing_cycle_anchor");
    let anchor = anchor
        .as_ref()
        .map_or(params.text("billing_cycle_anchor"), |given| given.text("type"));
    let resumed = super::resume(state, request.id(), anchor != Some("unchanged"), proration(&params)?)?;
    Ok(resumed.into())
}

pub(super) fn pause(state: &mut State, request: &Request) -> Outcome {
    let params = request.params();
    let bill_for = params.object("bill_for");
    let unused = bill_for.as_ref().and_then(|given| given.object("unused_time_from"));
    let prorate = unused
        .as_ref()
        .and_then(|given| given.text("type"))
        .is_some_and(|from| from == "now");
    Ok(super::pause(state, request.id(), prorate)?.into())
}

pub(super) fn delete_discount(state: &mut State, request: &Request) -> Outcome {
    let old = state.get(&SUBSCRIPTION, request.id(), "id")?.clone();
    let Some(mut gone) = all(&old, "_discounts").first().cloned() else {
        return Err(ApiError::no_such("discount", request.id(), "id"));
    };
    let change = Change {
        discounts: Some(Vec::new()),
        ..Change::default()
    };
    updates(state, request.id(), &change)?;
    gone["deleted"] = json!(true);
    Ok(gone.into())
}

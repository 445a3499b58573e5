//! The calls about invoices.

use serde_json::{Value, json};

use super::life::{self, Draft, announce, draft, fill};
use super::totals::compute;
use super::{INVOICE, Pay, collect, of_invoice_item};
use crate::families::coupons::Holder;
use crate::families::customers::CUSTOMER;
use crate::families::invoice_items;
use crate::families::payment_intents::PAYMENT_INTENT;
use crate::families::payment_methods;
use crate::families::payments::Settled;
use crate::families::subscriptions::{SUBSCRIPTION, pending_items, read_reductions, set_reductions};
use crate::families::tax_rates::TAX_RATE;
use crate::shape::list::{list, page};
use crate::shape::read::{flag, items, number, text};
use crate::state::State;
use crate::wire::call::{Outcome, Request};
use crate::wire::error::ApiError;
use crate::wire::params::Params;

pub(super) fn create(state: &mut State, request: &Request) -> Outcome {
    let params = request.params();
    let subscription = match params.text("subscription") {
        Some(id) => Some(state.get(&SUBSCRIPTION, id, "subscription")?.clone()),
        None => None,
    };
    let owner = subscription
        .as_ref()
        .and_then(|subscription| text(subscription, "customer"));
    let customer = params
        .text("customer")
        .or(owner)
        .ok_or_else(|| ApiError::missing("customer"))?
        .to_owned();
    let known = state.get(&CUSTOMER, &customer, "customer")?.clone();
    let currency = params.text("currency").map(str::to_lowercase);
    let currency = currency
        .or_else(|| text(&known, "currency").map(str::to_owned))
        .unwrap_or_else(|| "usd".to_owned());
    let now = state.now_of(&known);
    let wanted = Draft {
        customer: &customer,
        currency: &currency,
        subscription: subscription.as_ref(),
        reason: "manual",
        period: (now, now),
    };
    let mut invoice = draft(state, &wanted)?;
    let id = text(&invoice, "id").unwrap_or_default().to_owned();
    edit(state, &params, &mut invoice)?;
    let behavior = params.choice("pending_invoice_items_behavior", &["include", "exclude"])?;
    let mut lines = Vec::new();
    if behavior == Some("include") || subscription.is_some() {
        let holder =
            json!({"customer": customer, "currency": currency, "id": subscription.map(|one| one["id"].clone())});
        for item in pending_items(state, &holder) {
            lines.push(of_invoice_item(state, &item));
            invoice_items::take(state, text(&item, "id").unwrap_or_default(), &id)?;
        }
    }
    let mut discounts = items(&invoice, "_discounts").to_vec();
    if discounts.is_empty() && !params.has("discounts") && known["discount"].is_object() {
        discounts.push(known["discount"].clone());
    }
    fill(state, &mut invoice, lines, discounts);
    let advances = params.flag("auto_advance")?.unwrap_or(false);
    Ok(announce(state, &id, advances)?.into())
}

fn edit(state: &mut State, params: &Params<'_>, invoice: &mut Value) -> Result<(), ApiError> {
    params.copy_texts(
        invoice,
        &[
            "description",
            "footer",
            "statement_descriptor",
            "number",
            "default_source",
        ],
    );
    params.copy_integers(invoice, &["due_date", "effective_at"])?;
    params.copy_trees(invoice, &["custom_fields", "rendering", "shipping_details"]);
    params.merge_metadata(invoice)?;
    if let Some(method) = params.choice("collection_method", &["charge_automatically", "send_invoice"])? {
        invoice["collection_method"] = json!(method);
    }
    if invoice["collection_method"] == "send_invoice" {
        if let Some(days) = params.integer("days_until_due")? {
            invoice["_days_until_due"] = json!(days);
        } else if invoice["due_date"].is_null() && invoice["_days_until_due"].is_null() {
            invoice["_days_until_due"] = json!(30);
        }
    }
    if params.has("default_payment_method") {
        invoice["default_payment_method"] = match params.text("default_payment_method") {
            Some(method) => payment_methods::resolve(state, method, "default_payment_method")?["id"].clone(),
            None => Value::Null,
        };
    }
    if params.has("default_tax_rates") {
        let rates = params.texts("default_tax_rates").into_iter();
        let rates = rates.map(|id| state.get(&TAX_RATE, id, "default_tax_rates").cloned());
        invoice["default_tax_rates"] = Value::Array(rates.collect::<Result<_, _>>()?);
    }
    if let Some(given) = params.object("automatic_tax") {
        given.copy_flags(&mut invoice["automatic_tax"], &["enabled"])?;
    }
    if let Some(given) = params.object("payment_settings") {
        let names = ["default_mandate", "payment_method_options", "payment_method_types"];
        given.copy_trees(&mut invoice["payment_settings"], &names);
    }
    if let Some(wanted) = read_reductions(params) {
        let customer = text(invoice, "customer").unwrap_or_default().to_owned();
        let holder = Holder {
            customer: &customer,
            ..Holder::default()
        };
        set_reductions(state, invoice, holder, &wanted)?;
    }
    Ok(())
}

pub(super) fn show(state: &mut State, request: &Request) -> Outcome {
    Ok(state.get_or_tombstone(&INVOICE, request.id())?.into())
}

pub(super) fn update(state: &mut State, request: &Request) -> Outcome {
    let params = request.params();
    let old = state.get(&INVOICE, request.id(), "invoice")?.clone();
    let draft = old["status"] == "draft";
    let always = [
        "metadata",
        "auto_advance",
        "default_payment_method",
        "description",
        "footer",
        "expand",
        "due_date",
    ];
    if !draft && request.tree.keys().any(|name| !always.contains(&name.as_str())) {
        let message = "Finalized invoices can't be updated in this way.";
        return Err(ApiError::state("invoice_not_editable", message));
    }
    let mut new = old.clone();
    edit(state, &params, &mut new)?;
    if draft {
        compute(state, &mut new);
    }
    if let Some(advances) = params.flag("auto_advance")? {
        new["auto_advance"] = json!(advances);
        if draft && advances && new["automatically_finalizes_at"].is_null() {
            let at = state.now_of(&new) + life::DRAFT_SECONDS;
            new["automatically_finalizes_at"] = json!(at);
            state.schedule(&new, at, "invoice.finalize");
        } else if draft && !advances {
            new["automatically_finalizes_at"] = Value::Null;
            state.due.unschedule("invoice.finalize", request.id());
        }
    }
    let changed = state.change(&INVOICE, request.id(), "invoice.updated", |invoice| {
        *invoice = new;
        Ok(())
    })?;
    Ok(changed.into())
}

pub(super) fn remove(state: &mut State, request: &Request) -> Outcome {
    Ok(life::delete(state, request.id())?.into())
}

pub(super) fn finalize(state: &mut State, request: &Request) -> Outcome {
    let advances = request.params().flag("auto_advance")?;
    let done = life::finalize(state, request.id())?;
    if let Some(advances) = advances {
        state.change(&INVOICE, request.id(), "", |invoice| {
            invoice["auto_advance"] = json!(advances);
            Ok(())
        })?;
    }
    // What advances by itself is collected an hour later.
    let open = state.get(&INVOICE, request.id(), "invoice")?.clone();
    if done["status"] == "open" && flag(&open, "auto_advance") && open["collection_method"] == "charge_automatically" {
        let at = state.now_of(&open) + life::DRAFT_SECONDS;
        state.schedule(&open, at, "invoice.retry");
        state.change(&INVOICE, request.id(), "", |invoice| {
            invoice["next_payment_attempt"] = json!(at);
            Ok(())
        })?;
    }
    Ok(state.get(&INVOICE, request.id(), "invoice")?.clone().into())
}

pub(super) fn send(state: &mut State, request: &Request) -> Outcome {
    Ok(life::send(state, request.id())?.into())
}

pub(super) fn pay(state: &mut State, request: &Request) -> Outcome {
    let params = request.params();
    let how = Pay {
        method: params.text("payment_method").or_else(|| params.text("source")),
        on_session: params.flag("off_session")? == Some(false),
        out_of_band: params.flag("paid_out_of_band")? == Some(true),
    };
    let (invoice, settled) = collect::pay(state, request.id(), &how)?;
    match settled {
        Settled::Declined(error) => {
            let intent = text(&invoice, "_intent").unwrap_or_default();
            let mut shown = state.get(&PAYMENT_INTENT, intent, "intent")?.clone();
            crate::shape::render::render(state, &mut shown, &request.version);
            Err(error.with("payment_intent", shown).staying())
        }
        Settled::NeedsAction => {
            let message = "This payment requires additional user action before it can be completed successfully.";
            let error = ApiError::card("invoice_payment_intent_requires_action", None, message);
            Err(error.staying())
        }
        Settled::Paid | Settled::Held | Settled::Processing => Ok(invoice.into()),
    }
}

pub(super) fn void(state: &mut State, request: &Request) -> Outcome {
    Ok(life::void(state, request.id())?.into())
}

pub(super) fn mark_uncollectible(state: &mut State, request: &Request) -> Outcome {
    Ok(life::mark_uncollectible(state, request.id())?.into())
}

pub(super) fn lines(state: &mut State, request: &Request) -> Outcome {
    let invoice = state.get(&INVOICE, request.id(), "invoice")?;
    let all = items(invoice, "_all_lines").to_vec();
    let url = format!("/v1/invoices/{}/lines", request.id());
    Ok(page(&all, &request.params(), &url)?.into())
}

pub(super) fn index(state: &mut State, request: &Request) -> Outcome {
    let params = request.params();
    let subscription = params.text("subscription");
    let due = params.object("due_date");
    let bounds = |name: &str| {
        due.as_ref()
            .map(|given| given.integer(name))
            .transpose()
            .map(Option::flatten)
    };
    let (gt, gte, lt, lte) = (bounds("gt")?, bounds("gte")?, bounds("lt")?, bounds("lte")?);
    let listed = list(state, &INVOICE, &params, "/v1/invoices", |invoice| {
        let same = |name: &str| params.text(name).is_none_or(|wanted| invoice[name] == wanted);
        let at = number(invoice, "due_date");
        same("customer")
            && same("status")
            && same("collection_method")
            && (due.is_none() || invoice["due_date"].is_number())
            && gt.is_none_or(|bound| at > bound)
            && gte.is_none_or(|bound| at >= bound)
            && lt.is_none_or(|bound| at < bound)
            && lte.is_none_or(|bound| at <= bound)
            && subscription
                .is_none_or(|wanted| text(invoice, "parent.subscription_details.subscription") == Some(wanted))
    })?;
    Ok(listed.into())
}

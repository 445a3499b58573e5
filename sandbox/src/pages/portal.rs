//! The portal's pages: an overview, and a page with a form for each act.

use maud::{Markup, html};
use serde_json::Value;

use super::layout::{Form, document, error as plain_error, message};
use super::portal_forms::form_of;
use super::words::{date, method, money, price, product, status};
use crate::families::customers::CUSTOMER;
use crate::families::payment_methods::{self, default_of};
use crate::families::portal::{self, CONFIGURATION, SESSION, act, waits};
use crate::shape::read::{at, flag, number, text};
use crate::state::State;
use crate::wire::call::{Answer, Outcome, Page, Request};
use crate::wire::error::ApiError;

/// What the forms send.
pub(super) const PARAMS: &str = "subscription price quantity stay feedback comment card{number exp_month exp_year cvc} \
     invoice email name phone address{city country line1 line2 postal_code state}";
/// Most invoices of the overview.
const INVOICES_MAX: usize = 24;

/// Whether the configuration of a session has a feature.
pub(super) fn enabled(state: &State, session: &Value, feature: &str) -> bool {
    let configuration = text(session, "configuration").and_then(|id| state.look(&CONFIGURATION, id));
    configuration.is_some_and(|found| flag(found, &format!("features.{feature}.enabled")))
}

fn live(state: &State, id: &str) -> Result<Value, ApiError> {
    let session = state.get(&SESSION, id, "session")?.clone();
    if portal::ended(state, &session) {
        let words = "This session of the billing portal has ended. Open the portal again.";
        return Err(ApiError::other(410, "invalid_request_error", words));
    }
    Ok(session)
}

pub(super) fn show(state: &mut State, request: &Request) -> Outcome {
    let session = live(state, request.id())?;
    if let Some(flow) = text(&session, "flow.type") {
        if session["_done"] != true {
            return Ok(Answer::Page(form_page(state, &session, flow, None, Form::NEW, 200)?));
        }
        if let Some(answer) = after(&session) {
            return Ok(answer);
        }
    }
    let done = request.params().text("done").unwrap_or_default().to_owned();
    Ok(Answer::Page(overview(state, &session, &done, None)))
}

/// What follows the one thing that a session was for.
fn after(session: &Value) -> Option<Answer> {
    let then = at(session, "flow.after_completion");
    match text(then, "type") {
        Some("redirect") => text(then, "redirect.return_url").map(|url| Answer::Redirect(url.to_owned())),
        Some("hosted_confirmation") => {
            let words = text(then, "hosted_confirmation.custom_message").unwrap_or("Your change has been made.");
            let back = text(session, "return_url").map(|url| (url, "Return"));
            Some(Answer::Page(message(200, "Done", words, back)))
        }
        Some(_) | None => None,
    }
}

pub(super) fn show_form(state: &mut State, request: &Request) -> Outcome {
    let session = live(state, request.id())?;
    let params = request.params();
    let page = form_page(
        state,
        &session,
        request.segment(1),
        params.text("subscription"),
        Form::NEW,
        200,
    )?;
    Ok(Answer::Page(page))
}

fn form_page(
    state: &State,
    session: &Value,
    action: &str,
    subscription: Option<&str>,
    form: Form<'_>,
    code: u16,
) -> Result<Page, ApiError> {
    let id = text(session, "id").unwrap_or_default();
    let (title, inner) = form_of(state, session, action, subscription, form)?;
    let flow = text(session, "flow.type").filter(|_| session["_done"] != true);
    let back = match flow {
        Some(_) => text(session, "return_url").map(str::to_owned),
        None => Some(format!("/p/session/{id}")),
    };
    let body = html! {
        div class="narrow" {
            h1 { (title) }
            (form.summary(&["card[number]", "card[exp_month]", "card[exp_year]", "card[cvc]", "quantity", "price", "feedback",
                "comment", "email", "name", "phone"]))
            @if let Some(words) = text(session, "_error").filter(|_| form.error.is_none()) {
                div class="alert" role="alert" { p { strong { "Not saved. " } (words) " Try another card." } }
            }
            form method="post" action={ "/p/session/" (id) "/" (action) } novalidate { (inner) }
            @if let Some(back) = &back { p { a href=(back) { "Go back without changing anything" } } }
        }
    };
    Ok(document(code, title, &leads(session), &body))
}

/// Where the forms of a session may end.
fn leads(session: &Value) -> [Option<&str>; 2] {
    [
        text(session, "return_url"),
        text(session, "flow.after_completion.redirect.return_url"),
    ]
}

pub(super) fn submit(state: &mut State, request: &Request) -> Outcome {
    live(state, request.id())?;
    let action = request.segment(1);
    let done = act(state, request.id(), action, &request.params())?;
    if waits(&done) {
        let intent = text(&done, "id").unwrap_or_default();
        return Ok(Answer::Redirect(format!("/authenticate/{intent}")));
    }
    let stays = request.params().flag("stay")? == Some(true);
    let said = if stays { "stay" } else { action };
    Ok(Answer::Redirect(format!("/p/session/{}?done={said}", request.id())))
}

pub(super) fn refused(state: &State, request: &Request, error: &ApiError) -> Page {
    let Ok(session) = live(state, request.id()) else {
        return plain_error(error);
    };
    let form = Form {
        request: Some(request),
        error: Some(error),
    };
    let params = request.params();
    let action = request.segment(1);
    if matches!(
        action,
        "" | "subscription_renew" | "subscription_resume" | "invoice_pay"
    ) {
        return overview(state, &session, "", Some(error));
    }
    let page = form_page(state, &session, action, params.text("subscription"), form, error.status);
    page.unwrap_or_else(|_| plain_error(error))
}

// ---- the overview ------------------------------------------------------------------------------------

fn overview(state: &State, session: &Value, done: &str, error: Option<&ApiError>) -> Page {
    let customer = text(session, "customer").unwrap_or_default();
    let subscriptions: Vec<&Value> = portal::subscriptions(state, customer).collect();
    let form = Form { request: None, error };
    let body = html! {
        h1 { "Billing" }
        (form.summary(&[]))
        @if let Some(words) = said(done) {
            div class="alert good" role="status" { p { (words) } }
        }
        section class="card" aria-labelledby="plan" {
            h2 id="plan" { "Your subscription" }
            @if subscriptions.is_empty() { p { "You have no subscription." } }
            @for subscription in &subscriptions { (one(state, session, subscription)) }
        }
        (payment(state, session, customer))
        @if enabled(state, session, "invoice_history") { (invoices(state, session, customer)) }
        (details(state, session, customer))
        @if let Some(url) = text(session, "return_url") { p { a href=(url) { "Return" } } }
    };
    document(
        error.map_or(200, |error| error.status),
        "Billing",
        &leads(session),
        &body,
    )
}

fn said(done: &str) -> Option<&'static str> {
    Some(match done {
        "payment_method_update" => "Your payment method has been saved.",
        "subscription_cancel" => "Your subscription will end as shown below.",
        "stay" => "Your subscription goes on, with the discount.",
        "subscription_renew" => "Your subscription goes on.",
        "subscription_update" | "subscription_update_confirm" => "Your plan has been changed.",
        "subscription_pause" => "Your subscription has been paused.",
        "subscription_resume" => "Your subscription has been resumed.",
        "customer_update" => "Your details have been saved.",
        "invoice_pay" => "The invoice has been paid.",
        _ => return None,
    })
}

fn one(state: &State, session: &Value, subscription: &Value) -> Markup {
    let item = at(subscription, "items.data.0");
    let name = product(state, &item["price"]);
    let id = text(subscription, "id").unwrap_or_default();
    let ends = ends(subscription);
    let can_update = enabled(state, session, "subscription_update");
    let can_cancel = enabled(state, session, "subscription_cancel");
    let link = |action: &str, label: &str| {
        let href = format!(
            "/p/session/{}/{action}?subscription={id}",
            text(session, "id").unwrap_or_default()
        );
        html! { a class="button second" href=(href) { (label) " " span class="hidden" { (name) } } }
    };
    html! {
        h3 { (name) }
        p { (status(text(subscription, "status").unwrap_or_default())) }
        dl {
            div { dt { "Price" } dd { (price(&item["price"])) @if number(item, "quantity") > 1 { " \u{00d7} " (number(item, "quantity")) } } }
            @if subscription["status"] == "trialing" && let Some(end) = subscription["trial_end"].as_i64() {
                div { dt { "Trial ends" } dd { (date(end)) } }
            }
            @match ends {
                Some(end) => { div { dt { "Ends" } dd { (date(end)) } } }
                None => {
                    @if let Some(end) = item["current_period_end"].as_i64().filter(|_| renews(subscription)) {
                        div { dt { "Renews" } dd { (date(end)) } }
                    }
                }
            }
        }
        div class="actions" {
            @if ends.is_some() {
                @if can_cancel { (act_button(session, "subscription_renew", "subscription", id, "Keep subscription")) }
            } @else {
                @if can_update { (link("subscription_update", "Change plan")) }
                @if can_cancel { (link("subscription_cancel", "Cancel subscription")) }
            }
            @if subscription["status"] == "paused" {
                (act_button(session, "subscription_resume", "subscription", id, "Resume subscription"))
            }
        }
    }
}

/// Whether another period follows by itself.
fn renews(subscription: &Value) -> bool {
    matches!(
        text(subscription, "status"),
        Some("active" | "trialing" | "past_due" | "unpaid")
    )
}

/// When a subscription that is to end does.
fn ends(subscription: &Value) -> Option<i64> {
    let by_period = || {
        let end = at(subscription, "items.data.0.current_period_end").as_i64();
        end.filter(|_| subscription["cancel_at_period_end"] == true)
    };
    subscription["cancel_at"].as_i64().or_else(by_period)
}

fn act_button(session: &Value, action: &str, name: &str, value: &str, label: &str) -> Markup {
    html! {
        form method="post" action={ "/p/session/" (text(session, "id").unwrap_or_default()) "/" (action) } {
            input type="hidden" name=(name) value=(value);
            button type="submit" class="second" { (label) }
        }
    }
}

fn payment(state: &State, session: &Value, customer: &str) -> Markup {
    let default = default_of(state, customer);
    let own = portal::subscriptions(state, customer).find_map(|found| text(found, "default_payment_method"));
    let shown = own.or(default.as_deref()).and_then(|id| state.objects.find(id));
    html! {
        section class="card" aria-labelledby="method" {
            h2 id="method" { "Payment method" }
            p { @match shown { Some(found) => (method(found)), None => "No payment method." } }
            @if enabled(state, session, "payment_method_update") {
                a class="button second" href={ "/p/session/" (text(session, "id").unwrap_or_default()) "/payment_method_update" } {
                    @if shown.is_some() { "Change payment method" } @else { "Add payment method" }
                }
            }
        }
    }
}

fn invoices(state: &State, session: &Value, customer: &str) -> Markup {
    let own = state.objects.newest("invoice");
    let own = own.filter(|invoice| text(invoice, "customer") == Some(customer) && invoice["status"] != "draft");
    let own: Vec<&Value> = own.take(INVOICES_MAX).collect();
    html! {
        section class="card" aria-labelledby="invoices" {
            h2 id="invoices" { "Invoices" }
            @if own.is_empty() { p { "No invoices yet." } } @else {
                div class="scroll" tabindex="0" role="region" aria-labelledby="invoices" {
                    table {
                        caption class="hidden" { "Invoices, newest first" }
                        thead {
                            tr {
                                // What is done with an invoice is in sight also where not all columns are.
                                th scope="col" { "Number" } th scope="col" class="amount" { "Total" }
                                th scope="col" { "Action" } th scope="col" { "Status" } th scope="col" { "Date" }
                            }
                        }
                        tbody { @for invoice in &own { (row(session, invoice)) } }
                    }
                }
            }
        }
    }
}

fn row(session: &Value, invoice: &Value) -> Markup {
    let id = text(invoice, "id").unwrap_or_default();
    let number_of = text(invoice, "number").unwrap_or(id);
    let currency = text(invoice, "currency").unwrap_or("usd");
    html! {
        tr {
            td { a href={ "/invoices/" (id) } { (number_of) } }
            td class="amount" { (money(number(invoice, "total"), currency)) }
            td {
                @if invoice["status"] == "open" {
                    (act_button(session, "invoice_pay", "invoice", id, &format!("Pay {number_of}")))
                } @else {
                    a href={ "/invoices/" (id) "/pdf" } { "PDF " span class="hidden" { "of " (number_of) } }
                }
            }
            td { (status(text(invoice, "status").unwrap_or_default())) }
            td { (date(number(invoice, "created"))) }
        }
    }
}

fn details(state: &State, session: &Value, customer: &str) -> Markup {
    let Some(found) = state.look(&CUSTOMER, customer) else {
        return html! {};
    };
    let known = payment_methods::default_of(state, customer).is_some() || !found["email"].is_null();
    html! {
        section class="card" aria-labelledby="details" {
            h2 id="details" { "Your details" }
            dl {
                @for (label, name) in [("Name", "name"), ("Email", "email"), ("Phone", "phone")] {
                    @if let Some(value) = text(found, name) { div { dt { (label) } dd { (value) } } }
                }
            }
            @if !known { p { "No details." } }
            @if enabled(state, session, "customer_update") {
                a class="button second" href={ "/p/session/" (text(session, "id").unwrap_or_default()) "/customer_update" } {
                    "Change details"
                }
            }
        }
    }
}

//! The page of an invoice: what it is for, its payment, and a PDF.

use maud::{Markup, html};
use serde_json::Value;

use super::layout::{Form, document, error as plain_error};
use super::words::{date, money, status};
use super::{card, pdf as paper};
use crate::families::checkout::{self, intent_of, pay_invoice};
use crate::families::payment_intents::PAYMENT_INTENT;
use crate::families::payment_methods::PAYMENT_METHOD;
use crate::shape::read::{items, number, text};
use crate::state::State;
use crate::wire::call::{Answer, Outcome, Page, Request};
use crate::wire::error::ApiError;

/// What the form sends.
pub(super) const PARAMS: &str = "card{number exp_month exp_year cvc}";

fn found<'a>(state: &'a State, id: &str) -> Result<&'a Value, ApiError> {
    let missing = || ApiError::no_such("invoice", id, "invoice");
    // A draft is nobody's business yet.
    let invoice = state
        .objects
        .get("invoice", id)
        .filter(|invoice| invoice["status"] != "draft");
    invoice.ok_or_else(missing)
}

pub(super) fn show(state: &mut State, request: &Request) -> Outcome {
    let invoice = found(state, request.id())?.clone();
    let asked = asked(state, request.id());
    Ok(Answer::Page(page(&invoice, Form::NEW, 200, asked.as_ref())))
}

/// What the intent of an invoice waits for, or why it was refused: its id and words.
fn asked(state: &mut State, invoice: &str) -> Option<(String, Option<String>)> {
    let id = intent_of(state, invoice).ok()?;
    let intent = state.look(&PAYMENT_INTENT, &id)?;
    if intent["status"] == "requires_action" {
        return Some((id, None));
    }
    let words = text(intent, "last_payment_error.message").map(str::to_owned);
    words.map(|words| (id, Some(words)))
}

pub(super) fn submit(state: &mut State, request: &Request) -> Outcome {
    let invoice = found(state, request.id())?.clone();
    if invoice["status"] != "open" && invoice["status"] != "uncollectible" {
        return Err(ApiError::state(
            "invoice_not_open",
            "This invoice is not open: there is nothing to pay.",
        ));
    }
    let card = checkout::card(state, &request.params())?;
    let method = text(&card, "id").unwrap_or_default().to_owned();
    state.put(&PAYMENT_METHOD, card);
    let here = format!("{}/invoices/{}", state.settings.base_url, request.id());
    let waits = pay_invoice(state, request.id(), Some(&method), &here);
    match waits.map_err(|error| error.param("card[number]"))? {
        Some(intent) => Ok(Answer::Redirect(format!("/authenticate/{intent}"))),
        None => Ok(Answer::Redirect(format!("/invoices/{}", request.id()))),
    }
}

pub(super) fn refused(state: &State, request: &Request, error: &ApiError) -> Page {
    let Ok(invoice) = found(state, request.id()) else {
        return plain_error(error);
    };
    let form = Form {
        request: Some(request),
        error: Some(error),
    };
    page(invoice, form, error.status, None)
}

fn name(invoice: &Value) -> String {
    format!(
        "Invoice {}",
        text(invoice, "number")
            .or_else(|| text(invoice, "id"))
            .unwrap_or_default()
    )
}

fn page(invoice: &Value, form: Form<'_>, code: u16, asked: Option<&(String, Option<String>)>) -> Page {
    let title = name(invoice);
    let currency = text(invoice, "currency").unwrap_or("usd");
    let open = matches!(text(invoice, "status"), Some("open" | "uncollectible"));
    let remaining = number(invoice, "amount_remaining");
    let body = html! {
        h1 { (title) }
        (form.summary(card::FIELDS))
        @match asked.filter(|_| open && form.error.is_none()) {
            Some((intent, None)) => {
                div class="alert" role="status" {
                    p { "Your bank asks you to approve this. " a href={ "/authenticate/" (intent) } { "Continue to your bank" } }
                }
            }
            Some((_, Some(words))) => {
                div class="alert" role="alert" { p { strong { "Not paid. " } (words) } }
            }
            None => {}
        }
        p { (status(text(invoice, "status").unwrap_or_default())) }
        div class="columns" {
            section class="card" aria-labelledby="what" {
                h2 id="what" { "What it is for" }
                (facts(invoice))
                (lines(invoice, currency))
                p { a href={ "/invoices/" (text(invoice, "id").unwrap_or_default()) "/pdf" } { "Download PDF" } }
            }
            @if open && remaining > 0 {
                section class="card" aria-labelledby="payment" {
                    h2 id="payment" { "Payment" }
                    form method="post" novalidate {
                        (card::fields(form))
                        button type="submit" class="first" { "Pay " (money(remaining, currency)) }
                        (card::known())
                    }
                }
            }
        }
    };
    document(code, &title, &[], &body)
}

fn facts(invoice: &Value) -> Markup {
    let at = |name: &str| invoice[name].as_i64();
    let name = text(invoice, "customer_name").or_else(|| text(invoice, "customer_email"));
    html! {
        dl {
            @if let Some(name) = name { div { dt { "For" } dd { (name) } } }
            @if let Some(made) = at("created") { div { dt { "Date" } dd { (date(made)) } } }
            @if let Some(due) = at("due_date") { div { dt { "Due" } dd { (date(due)) } } }
        }
    }
}

/// A line or a total: its name and amount.
type Row = (String, i64);

/// The lines, and the totals.
fn rows(invoice: &Value) -> (Vec<Row>, Vec<Row>) {
    let lines = items(invoice, "lines").iter();
    let lines = lines.map(|line| {
        (
            text(line, "description").unwrap_or("Item").to_owned(),
            number(line, "amount"),
        )
    });
    let discount: i64 = items(invoice, "total_discount_amounts")
        .iter()
        .map(|part| number(part, "amount"))
        .sum();
    let tax: i64 = items(invoice, "total_taxes")
        .iter()
        .map(|part| number(part, "amount"))
        .sum();
    let mut totals = vec![("Subtotal".to_owned(), number(invoice, "subtotal"))];
    for (label, amount) in [("Discount", -discount), ("Tax", tax)] {
        if amount != 0 {
            totals.push((label.to_owned(), amount));
        }
    }
    totals.push(("Total".to_owned(), number(invoice, "total")));
    let paid = number(invoice, "amount_paid");
    if paid != 0 {
        totals.push(("Paid".to_owned(), -paid));
    }
    totals.push(("To be paid".to_owned(), number(invoice, "amount_remaining")));
    (lines.collect(), totals)
}

fn lines(invoice: &Value, currency: &str) -> Markup {
    let (lines, totals) = rows(invoice);
    let last = totals.len().saturating_sub(1);
    html! {
        table class="order" {
            caption class="hidden" { "Lines of the invoice and what they come to" }
            thead class="hidden" { tr { th scope="col" { "Line" } th scope="col" { "Amount" } } }
            tbody {
                @for (label, amount) in &lines {
                    tr { th scope="row" { (label) } td class="amount" { (money(*amount, currency)) } }
                }
            }
            tbody class="totals" {
                @for (at, (label, amount)) in totals.iter().enumerate() {
                    tr class=[(at == last).then_some("due")] {
                        th scope="row" { (label) } td class="amount" { (money(*amount, currency)) }
                    }
                }
            }
        }
    }
}

pub(super) fn pdf(state: &mut State, request: &Request) -> Outcome {
    let invoice = found(state, request.id())?;
    let currency = text(invoice, "currency").unwrap_or("usd");
    let mut page = vec![name(invoice), String::new(), "Sandbox: not a real invoice.".to_owned()];
    for (label, field) in [
        ("Status", "status"),
        ("For", "customer_name"),
        ("Email", "customer_email"),
    ] {
        if let Some(value) = text(invoice, field) {
            page.push(format!("{label}: {value}"));
        }
    }
    page.push(String::new());
    let (lines, totals) = rows(invoice);
    for (label, amount) in lines.into_iter().chain(totals) {
        // The font has no minus sign of its own.
        let amount = money(amount, currency).replace('\u{2212}', "-");
        page.push(format!("{label}: {amount}"));
    }
    Ok(Answer::File("application/pdf", paper::document(&page)))
}

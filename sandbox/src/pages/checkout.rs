//! The Checkout page.

use maud::{Markup, html};
use serde_json::Value;

use super::card;
use super::layout::{Field, Form, document, error as plain_error, message, shown};
use super::words::{date, money, price};
use crate::families::checkout::{
    SESSION, amount, asks_address, complete, has_trial, interval_of, needs_method, read, revise,
};
use crate::families::customers::CUSTOMER;
use crate::families::promotion_codes::PROMOTION_CODE;
use crate::shape::read::{items, number, text};
use crate::state::State;
use crate::wire::call::{Answer, Outcome, Page, Request};
use crate::wire::error::ApiError;

/// What the forms send.
pub(super) const PARAMS: &str = "act email name phone address{city country line1 line2 postal_code state} \
     tax_id{type value} card{number exp_month exp_year cvc} promotion_code quantities*";

/// Seconds of a day.
const DAY: i64 = 86_400;
const COUNTRIES: &[(&str, &str)] = &[
    ("AT", "Austria"),
    ("AU", "Australia"),
    ("BE", "Belgium"),
    ("BR", "Brazil"),
    ("CA", "Canada"),
    ("CH", "Switzerland"),
    ("DE", "Germany"),
    ("DK", "Denmark"),
    ("ES", "Spain"),
    ("FI", "Finland"),
    ("FR", "France"),
    ("GB", "United Kingdom"),
    ("IE", "Ireland"),
    ("IN", "India"),
    ("IT", "Italy"),
    ("JP", "Japan"),
    ("MX", "Mexico"),
    ("NL", "Netherlands"),
    ("NO", "Norway"),
    ("NZ", "New Zealand"),
    ("PL", "Poland"),
    ("PT", "Portugal"),
    ("SE", "Sweden"),
    ("SG", "Singapore"),
    ("US", "United States"),
];

pub(super) fn show(state: &mut State, request: &Request) -> Outcome {
    let session = state.get(&SESSION, request.id(), "session")?.clone();
    match text(&session, "status") {
        Some("open") => Ok(Answer::Page(page(state, &session, Form::NEW, 200))),
        // Back from authentication, or a page that was kept open.
        Some("complete") => Ok(Answer::Redirect(success(&session))),
        Some(_) | None => Ok(Answer::Page(expired(&session))),
    }
}

/// Where a finished session leads.
pub(super) fn success(session: &Value) -> String {
    let id = text(session, "id").unwrap_or_default();
    let url = text(session, "success_url").unwrap_or_default();
    url.replace("{CHECKOUT_SESSION_ID}", id)
        .replace("%7BCHECKOUT_SESSION_ID%7D", id)
}

fn expired(session: &Value) -> Page {
    let words = "This checkout has expired, and nothing was paid. Go back and begin again.";
    message(
        410,
        "Checkout expired",
        words,
        text(session, "cancel_url").map(|url| (url, "Go back")),
    )
}

pub(super) fn submit(state: &mut State, request: &Request) -> Outcome {
    let params = request.params();
    let id = request.id().to_owned();
    let mut given = read(&params)?;
    if params.text("act") == Some("basket") {
        revise(state, &id, &given)?;
        return Ok(Answer::Redirect(format!("/c/pay/{id}")));
    }
    // The order has its own form.
    given.promotion_code = None;
    given.quantities.clear();
    let session = complete(state, &id, &given)?;
    if session["status"] == "complete" {
        return Ok(Answer::Redirect(success(&session)));
    }
    let intent = text(&session, "_intent").unwrap_or_default();
    Ok(Answer::Redirect(format!("/authenticate/{intent}")))
}

pub(super) fn refused(state: &State, request: &Request, error: &ApiError) -> Page {
    let Some(session) = state
        .look(&SESSION, request.id())
        .filter(|session| session["status"] == "open")
    else {
        return match state.look(&SESSION, request.id()) {
            Some(session) if session["status"] == "expired" => expired(session),
            Some(_) | None => plain_error(error),
        };
    };
    let form = Form {
        request: Some(request),
        error: Some(error),
    };
    page(state, session, form, error.status)
}

fn page(state: &State, session: &Value, form: Form<'_>, status: u16) -> Page {
    let title = title(session);
    let known = [
        "email",
        "name",
        "phone",
        "promotion_code",
        "address[country]",
        "tax_id[value]",
    ];
    let fields: Vec<&str> = known.iter().chain(card::FIELDS).copied().collect();
    let body = html! {
        h1 { (title) }
        (form.summary(&fields))
        @if form.error.is_none() { (waiting(state, session)) }
        div class="columns" {
            (order(state, session, form))
            (payment(state, session, form))
        }
        @if let Some(url) = text(session, "cancel_url").filter(|url| super::origin_of(url).is_some()) {
            p { a href=(url) { "Cancel and go back" } }
        }
    };
    document(status, &title, &[text(session, "success_url")], &body)
}

fn title(session: &Value) -> String {
    match text(session, "mode") {
        Some("setup") => "Save a payment method".to_owned(),
        Some("subscription") => {
            let first = items(session, "_line_items")
                .iter()
                .find(|line| line["price"]["type"] == "recurring");
            let name = first.and_then(|line| text(line, "description"));
            format!("Subscribe to {}", name.unwrap_or("your plan"))
        }
        Some(_) | None => "Pay your order".to_owned(),
    }
}

/// What the bank still asks, or what it said.
fn waiting(state: &State, session: &Value) -> Markup {
    let intent = text(session, "_intent").unwrap_or_default();
    let waits = state
        .objects
        .find(intent)
        .is_some_and(|intent| intent["status"] == "requires_action");
    html! {
        @if waits {
            div class="alert" role="status" {
                p { "Your bank asks you to approve this. " a href={ "/authenticate/" (intent) } { "Continue to your bank" } }
            }
        } @else if let Some(words) = text(session, "_error") {
            div class="alert" role="alert" { p { strong { "Not paid. " } (words) " Try another card." } }
        }
    }
}

// ---- the order ---------------------------------------------------------------------------------------

fn order(state: &State, session: &Value, form: Form<'_>) -> Markup {
    let currency = text(session, "currency").unwrap_or("usd");
    let lines = items(session, "_line_items");
    let discount = number(session, "total_details.amount_discount");
    let tax = number(session, "total_details.amount_tax");
    if lines.is_empty() {
        return html! {};
    }
    html! {
        section class="card" aria-labelledby="order" {
            h2 id="order" { "Order" }
            table class="order" {
                caption class="hidden" { "What is ordered and what it costs" }
                thead class="hidden" { tr { th scope="col" { "Item" } th scope="col" { "Amount" } } }
                tbody {
                    @for line in lines {
                        tr {
                            th scope="row" {
                                (text(line, "description").unwrap_or("Item"))
                                span class="mute block" { (quantity(line)) (price(&line["price"])) }
                            }
                            td class="amount" { (money(number(line, "amount_subtotal"), currency)) }
                        }
                    }
                }
                tbody class="totals" {
                    @if discount > 0 || tax > 0 {
                        (total("Subtotal", number(session, "amount_subtotal"), currency))
                    }
                    @if discount > 0 { (total(&discount_words(state, session), -discount, currency)) }
                    @if tax > 0 { (total("Tax", tax, currency)) }
                    tr class="due" {
                        th scope="row" { "Due today" }
                        td class="amount" { (money(number(session, "amount_total"), currency)) }
                    }
                }
            }
            (terms(state, session, currency))
            (basket(session, form))
        }
    }
}

fn quantity(line: &Value) -> String {
    match line["quantity"].as_i64() {
        Some(quantity) => format!("{quantity} \u{00d7} "),
        None => "By use: ".to_owned(),
    }
}

fn total(label: &str, amount: i64, currency: &str) -> Markup {
    html! { tr { th scope="row" { (label) } td class="amount" { (money(amount, currency)) } } }
}

fn discount_words(state: &State, session: &Value) -> String {
    let code = text(session, "discounts.0.promotion_code").and_then(|id| state.look(&PROMOTION_CODE, id));
    let name = code
        .and_then(|code| text(code, "code"))
        .or_else(|| text(session, "_coupon.name"));
    format!(
        "Discount {}",
        name.or_else(|| text(session, "_coupon.id")).unwrap_or_default()
    )
}

/// What follows: the trial, and the price after it.
fn terms(state: &State, session: &Value, currency: &str) -> Markup {
    let recurring: Vec<&Value> = items(session, "_line_items")
        .iter()
        .filter(|line| line["price"]["type"] == "recurring")
        .collect();
    let Some(first) = recurring.first() else {
        return html! {};
    };
    let whole: i64 = recurring
        .iter()
        .map(|line| amount(&line["price"], number(line, "quantity")))
        .sum();
    let every = interval_of(&first["price"]).unwrap_or_default();
    let now = state.now_of(session);
    let data = &session["_subscription_data"];
    let ends = data["trial_end"]
        .as_i64()
        .unwrap_or_else(|| now + number(data, "trial_period_days") * DAY);
    let days = (ends - now + DAY - 1) / DAY;
    html! {
        p class="terms" {
            @if has_trial(session) {
                strong { (days) " days free" } ", then " (money(whole, currency)) " every " (every) " from " (date(ends)) "."
            } @else {
                "Then " (money(whole, currency)) " every " (every) ", until you cancel."
            }
            @if number(session, "total_details.amount_discount") > 0 || !session["_coupon"].is_null() {
                " Before discounts."
            }
        }
    }
}

/// Quantities and promotion code, a form of their own.
fn basket(session: &Value, form: Form<'_>) -> Markup {
    let adjustable: Vec<&Value> = items(session, "_line_items")
        .iter()
        .filter(|line| line["adjustable_quantity"]["enabled"] == true)
        .collect();
    let codes = session["allow_promotion_codes"] == true;
    if adjustable.is_empty() && !codes {
        return html! {};
    }
    let applied = !session["_coupon"].is_null();
    html! {
        form method="post" class="basket" aria-label="Change the order" novalidate {
            input type="hidden" name="act" value="basket";
            @for line in &adjustable {
                @let name = format!("quantities[{}]", text(line, "id").unwrap_or_default());
                @let label = format!("Quantity of {}", text(line, "description").unwrap_or("item"));
                @let value = number(line, "quantity").to_string();
                (form.field(&Field {
                    name: &name, label: &label, kind: "number", value: &value, digits: true,
                    bounds: (Some(number(line, "adjustable_quantity.minimum")), Some(number(line, "adjustable_quantity.maximum"))),
                    ..Field::default()
                }))
            }
            @if codes && !applied {
                (form.field(&Field {
                    name: "promotion_code", label: "Promotion code", autocomplete: "off", optional: true,
                    ..Field::default()
                }))
            }
            button type="submit" class="second" { @if codes && !applied { "Apply" } @else { "Update order" } }
        }
        @if codes && applied {
            form method="post" class="basket" aria-label="Promotion code" {
                input type="hidden" name="act" value="basket";
                input type="hidden" name="promotion_code" value="";
                button type="submit" class="second" { "Remove discount" }
            }
        }
    }
}

// ---- the payment -------------------------------------------------------------------------------------

fn payment(state: &State, session: &Value, form: Form<'_>) -> Markup {
    let customer = text(session, "customer").and_then(|id| state.look(&CUSTOMER, id));
    let email = customer
        .and_then(|customer| text(customer, "email"))
        .or_else(|| text(session, "customer_email"));
    let needed = needs_method(session);
    let address = asks_address(session);
    html! {
        section class="card" aria-labelledby="payment" {
            h2 id="payment" { @if needed { "Payment" } @else { "Your details" } }
            form method="post" novalidate {
                input type="hidden" name="act" value="pay";
                @match email {
                    Some(email) => { p { span class="mute block" { "Email" } (email) } }
                    None => (form.field(&Field {
                        name: "email", value: text(session, "customer_details.email").unwrap_or_default(), label: "Email", kind: "email", autocomplete: "email", ..Field::default()
                    })),
                }
                @if needed {
                    (card::fields(form))
                    (form.field(&Field {
                        name: "name", label: "Name on card", autocomplete: "cc-name", optional: true, ..Field::default()
                    }))
                }
                @if address { (place(form)) }
                @if session["phone_number_collection"]["enabled"] == true {
                    (form.field(&Field {
                        name: "phone", label: "Phone", kind: "tel", autocomplete: "tel", ..Field::default()
                    }))
                }
                @if session["tax_id_collection"]["enabled"] == true { (tax_id(form)) }
                button type="submit" class="first" { (button(session)) }
                @if needed { (card::known()) }
            }
        }
    }
}

fn place(form: Form<'_>) -> Markup {
    let options: Vec<(String, String)> = std::iter::once((String::new(), "Choose\u{2026}".to_owned()))
        .chain(
            COUNTRIES
                .iter()
                .map(|(code, name)| ((*code).to_owned(), (*name).to_owned())),
        )
        .collect();
    let line = |name, label, autocomplete| {
        form.field(&Field {
            name,
            label,
            autocomplete,
            optional: true,
            ..Field::default()
        })
    };
    html! {
        fieldset {
            legend { "Billing address" }
            (form.select("address[country]", "Country", &options, ""))
            (line("address[line1]", "Street and number", "address-line1"))
            div class="row" {
                (line("address[postal_code]", "Postal code", "postal-code"))
                (line("address[city]", "City", "address-level2"))
            }
        }
    }
}

fn tax_id(form: Form<'_>) -> Markup {
    let kinds = [
        ("eu_vat", "EU VAT number"),
        ("gb_vat", "UK VAT number"),
        ("us_ein", "US EIN"),
        ("ch_vat", "Swiss VAT"),
    ];
    let options: Vec<(String, String)> = kinds
        .iter()
        .map(|(kind, name)| ((*kind).to_owned(), (*name).to_owned()))
        .collect();
    html! {
        fieldset {
            legend { "Tax ID" }
            (form.select("tax_id[type]", "Kind of tax ID", &options, "eu_vat"))
            (form.field(&Field { name: "tax_id[value]", label: "Number", optional: true, ..Field::default() }))
        }
    }
}

fn button(session: &Value) -> String {
    let due = number(session, "amount_total");
    let currency = text(session, "currency").unwrap_or("usd");
    match text(session, "mode") {
        Some("setup") => "Save payment method".to_owned(),
        Some("subscription") if has_trial(session) && due == 0 => "Start trial".to_owned(),
        Some("subscription") if due == 0 => "Subscribe".to_owned(),
        Some("subscription") => format!("Subscribe and pay {}", money(due, currency)),
        Some(_) | None if due == 0 => "Complete order".to_owned(),
        Some(_) | None => format!("Pay {}", money(due, currency)),
    }
}

/// A page that a payment link shows when it leads nowhere else.
pub(super) fn thanks(words: &str) -> Outcome {
    shown(
        "Thank you",
        &[],
        &html! { div class="narrow" { h1 { "Thank you" } p { (words) } } },
    )
}

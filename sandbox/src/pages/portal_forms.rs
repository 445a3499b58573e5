//! The forms of the portal, one per act.

use maud::{Markup, html};
use serde_json::Value;

use super::card;
use super::layout::{Field, Form};
use super::words::{date, price, product};
use crate::families::coupons::COUPON;
use crate::families::customers::CUSTOMER;
use crate::families::portal::{self, CONFIGURATION, bounds, offers};
use crate::families::prices::PRICE;
use crate::shape::read::{at, items, number, text};
use crate::state::State;
use crate::wire::error::ApiError;

/// Title and fields of the form of an act.
///
/// # Errors
/// No such act, or no such subscription.
pub(super) fn form_of(
    state: &State,
    session: &Value,
    action: &str,
    subscription: Option<&str>,
    form: Form<'_>,
) -> Result<(&'static str, Markup), ApiError> {
    let found = || own(state, session, subscription);
    Ok(match action {
        "payment_method_update" => ("Payment method", method(form)),
        "customer_update" => ("Your details", details(state, session, form)),
        "subscription_cancel" => ("Cancel subscription", cancel(state, session, found()?, form)),
        "subscription_update" => ("Change plan", change(state, session, found()?, form)),
        "subscription_update_confirm" => ("Confirm the change", confirm(state, session, found()?)),
        "subscription_pause" => ("Pause subscription", pause(state, found()?)),
        _ => return Err(ApiError::no_such("page", action, "action")),
    })
}

fn own<'a>(state: &'a State, session: &'a Value, named: Option<&str>) -> Result<&'a Value, ApiError> {
    let customer = text(session, "customer").unwrap_or_default();
    let kind = text(session, "flow.type").unwrap_or_default();
    let named = text(session, &format!("flow.{kind}.subscription")).or(named);
    let mut all = portal::subscriptions(state, customer);
    let found = match named {
        Some(id) => all.find(|found| found["id"] == id),
        None => all.next(),
    };
    found.ok_or_else(|| ApiError::no_such("subscription", named.unwrap_or_default(), "subscription"))
}

fn hidden(subscription: &Value) -> Markup {
    html! { input type="hidden" name="subscription" value=(text(subscription, "id").unwrap_or_default()); }
}

fn method(form: Form<'_>) -> Markup {
    html! {
        p { "It pays your subscription from now on." }
        (card::fields(form))
        button type="submit" class="first" { "Save payment method" }
        (card::known())
    }
}

fn details(state: &State, session: &Value, form: Form<'_>) -> Markup {
    let customer = text(session, "customer").and_then(|id| state.look(&CUSTOMER, id));
    let configuration = text(session, "configuration").and_then(|id| state.look(&CONFIGURATION, id));
    let allowed = configuration.map_or(&[][..], |found| {
        items(found, "features.customer_update.allowed_updates")
    });
    let fields = [
        ("name", "Name", "text", "name"),
        ("email", "Email", "email", "email"),
        ("phone", "Phone", "tel", "tel"),
    ];
    html! {
        @for (name, label, kind, autocomplete) in fields {
            @if allowed.iter().any(|own| own == name) {
                (form.field(&Field {
                    name, label, kind, autocomplete, optional: name != "email",
                    value: customer.and_then(|customer| text(customer, name)).unwrap_or_default(),
                    ..Field::default()
                }))
            }
        }
        button type="submit" class="first" { "Save details" }
    }
}

fn named(state: &State, subscription: &Value) -> Markup {
    let current = at(subscription, "items.data.0.price");
    html! { p { strong { (product(state, current)) } ", " (price(current)) } }
}

fn cancel(state: &State, session: &Value, subscription: &Value, form: Form<'_>) -> Markup {
    let configuration = text(session, "configuration").and_then(|id| state.look(&CONFIGURATION, id));
    let feature = configuration.map_or(&Value::Null, |found| at(found, "features.subscription_cancel"));
    let asks = feature["cancellation_reason"]["enabled"] == true;
    let mut reasons = vec![(String::new(), "No reason".to_owned())];
    reasons.extend(
        items(feature, "cancellation_reason.options")
            .iter()
            .filter_map(Value::as_str)
            .map(|word| (word.to_owned(), reason(word).to_owned())),
    );
    html! {
        (hidden(subscription))
        (named(state, subscription))
        @if feature["mode"] == "immediately" {
            p { "It ends at once." }
        } @else if let Some(end) = at(subscription, "items.data.0.current_period_end").as_i64() {
            p { "You keep it until " (date(end)) ". Nothing is charged after that." }
        }
        @if asks {
            (form.select("feedback", "Why do you leave?", &reasons, ""))
            (form.field(&Field { name: "comment", label: "Anything else?", optional: true, ..Field::default() }))
        }
        button type="submit" class="first danger" { "Cancel subscription" }
        @if let Some(offer) = text(session, "flow.subscription_cancel.retention.coupon_offer.coupon") {
            h2 { "Or stay" }
            p { "Keep your subscription and get the discount " strong { (coupon_name(state, offer)) } "." }
            button type="submit" class="second" name="stay" value="true" { "Stay with the discount" }
        }
    }
}

fn coupon_name(state: &State, id: &str) -> String {
    let coupon = state.look(&COUPON, id);
    coupon.and_then(|coupon| text(coupon, "name")).unwrap_or(id).to_owned()
}

fn reason(word: &str) -> &str {
    match word {
        "customer_service" => "The customer service was not good",
        "low_quality" => "The quality was not good",
        "missing_features" => "Features are missing",
        "switched_service" => "I changed to another service",
        "too_complex" => "It is too hard to use",
        "too_expensive" => "It is too expensive",
        "unused" => "I do not use it enough",
        "other" => "Something else",
        other => other,
    }
}

fn change(state: &State, session: &Value, subscription: &Value, form: Form<'_>) -> Markup {
    let current = at(subscription, "items.data.0.price");
    let mut offered = offers(state, session, subscription);
    if !offered.is_empty() && !offered.iter().any(|price| price["id"] == current["id"]) {
        offered.insert(0, current.clone());
    }
    let words: Vec<(String, String)> = offered
        .iter()
        .map(|offer| {
            let now = if offer["id"] == current["id"] { " (now)" } else { "" };
            let words = format!("{}, {}{now}", product(state, offer), price(offer));
            (text(offer, "id").unwrap_or_default().to_owned(), words)
        })
        .collect();
    let quantity = number(subscription, "items.data.0.quantity").to_string();
    let limits = bounds(state, session, subscription);
    html! {
        (hidden(subscription))
        @if words.is_empty() { (named(state, subscription)) }
        @else { (form.select("price", "Plan", &words, text(current, "id").unwrap_or_default())) }
        @if let Some((least, most)) = limits {
            (form.field(&Field {
                name: "quantity", label: "Quantity", kind: "number", value: &quantity, digits: true,
                bounds: (Some(least), most), ..Field::default()
            }))
        }
        @if words.is_empty() && limits.is_none() { p { "Nothing can be changed here." } }
        @else { button type="submit" class="first" { "Change plan" } }
    }
}

fn confirm(state: &State, session: &Value, subscription: &Value) -> Markup {
    let wanted = at(session, "flow.subscription_update_confirm.items.0");
    let next = text(wanted, "price").and_then(|id| state.look(&PRICE, id));
    let next = next.unwrap_or_else(|| at(subscription, "items.data.0.price"));
    let quantity = wanted["quantity"]
        .as_i64()
        .unwrap_or_else(|| number(subscription, "items.data.0.quantity"));
    html! {
        (hidden(subscription))
        h2 { "Now" }
        (named(state, subscription))
        h2 { "From today" }
        p { strong { (product(state, next)) } ", " (price(next)) " \u{00d7} " (quantity) }
        button type="submit" class="first" { "Confirm" }
    }
}

fn pause(state: &State, subscription: &Value) -> Markup {
    html! {
        (hidden(subscription))
        (named(state, subscription))
        p { "While it is paused there are no invoices. You can resume it at any time." }
        button type="submit" class="first" { "Pause subscription" }
    }
}

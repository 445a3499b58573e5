//! The bank's page: the owner of a card approves a payment or does not.

use maud::html;
use serde_json::Value;

use super::layout::{error as plain_error, message, shown};
use super::words::money;
use super::{checkout, origin_of};
use crate::families::checkout::SESSION;
use crate::families::{payment_intents::PAYMENT_INTENT, setup_intents, setup_intents::SETUP_INTENT};
use crate::shape::read::{number, text};
use crate::state::State;
use crate::wire::call::{Answer, Outcome, Page, Request};
use crate::wire::error::ApiError;

fn found(state: &State, id: &str) -> Result<Value, ApiError> {
    let kind = if id.starts_with(SETUP_INTENT.prefix) {
        &SETUP_INTENT
    } else {
        &PAYMENT_INTENT
    };
    state.get(kind, id, "intent").cloned()
}

/// Where the one who asked waits.
fn back(intent: &Value) -> Option<String> {
    text(intent, "next_action.redirect_to_url.return_url").map(str::to_owned)
}

pub(super) fn show(state: &mut State, request: &Request) -> Outcome {
    let intent = found(state, request.id())?;
    if intent["status"] != "requires_action" {
        return Ok(Answer::Page(message(
            200,
            "Nothing to approve",
            "Your bank asks nothing about this payment.",
            None,
        )));
    }
    let pays = intent["object"] == "payment_intent";
    let title = if pays {
        "Approve this payment?"
    } else {
        "Approve this card?"
    };
    let back = back(&intent);
    // A browser holds the form to its policy on the whole way: through the page that waits to where that one leads.
    let session = state
        .all(&SESSION)
        .find(|session| session["_intent"] == request.id())
        .cloned();
    let onwards = session.as_ref().map(checkout::success);
    let body = html! {
        div class="narrow" {
            h1 { (title) }
            @if pays {
                p class="large" { (money(number(&intent, "amount"), text(&intent, "currency").unwrap_or("usd"))) }
            }
            p {
                "This stands for the page of your bank. "
                @if pays { "Approve, and the payment goes on. Fail, and it is refused." }
                @else { "Approve, and the card can be used. Fail, and it is refused." }
            }
            form method="post" class="choice" {
                button type="submit" name="outcome" value="approve" class="first" { "Approve" }
                button type="submit" name="outcome" value="fail" class="second" { "Fail" }
            }
        }
    };
    shown(title, &[back.as_deref(), onwards.as_deref()], &body)
}

pub(super) fn submit(state: &mut State, request: &Request) -> Outcome {
    let params = request.params();
    params.required("outcome")?;
    let approves = params.choice("outcome", &["approve", "fail"])? == Some("approve");
    let back = back(&found(state, request.id())?);
    let intent = setup_intents::answer(state, request.id(), approves)?;
    let Some(back) = back.filter(|url| origin_of(url).is_some()) else {
        let (title, words) = if approves {
            ("Approved", "You can close this page and go back to where you were.")
        } else {
            (
                "Refused",
                "The payment was refused. You can close this page and go back to where you were.",
            )
        };
        return Ok(Answer::Page(message(200, title, words, None)));
    };
    Ok(Answer::Redirect(told(state, &back, &intent, approves)))
}

/// The way back, with what a client looks for in it. The sandbox's own pages know by themselves.
fn told(state: &State, back: &str, intent: &Value, approves: bool) -> String {
    if let Some(own) = back
        .strip_prefix(state.settings.base_url.as_str())
        .filter(|own| own.starts_with('/'))
    {
        return own.to_owned();
    }
    let kind = text(intent, "object").unwrap_or("payment_intent");
    let (id, secret) = (
        text(intent, "id").unwrap_or_default(),
        text(intent, "client_secret").unwrap_or_default(),
    );
    let (address, fragment) = back
        .split_once('#')
        .map_or((back, ""), |(address, rest)| (address, rest));
    let join = if address.contains('?') { '&' } else { '?' };
    let status = if approves { "succeeded" } else { "failed" };
    let mut told = format!("{address}{join}{kind}={id}&{kind}_client_secret={secret}&redirect_status={status}");
    if !fragment.is_empty() {
        told.push('#');
        told.push_str(fragment);
    }
    told
}

pub(super) fn refused(_: &State, _: &Request, error: &ApiError) -> Page {
    plain_error(error)
}

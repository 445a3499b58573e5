//! Payment links: an address that opens a Checkout page of one's own.

use super::layout;
use crate::families::payment_links::{self, PAYMENT_LINK};
use crate::shape::read::text;
use crate::state::State;
use crate::wire::call::{Answer, Outcome, Page, Request};
use crate::wire::error::ApiError;

pub(super) fn open(state: &mut State, request: &Request) -> Outcome {
    let session = payment_links::open(state, request.id())?;
    let id = text(&session, "id").unwrap_or_default();
    Ok(Answer::Redirect(format!("/c/pay/{id}")))
}

pub(super) fn done(state: &mut State, request: &Request) -> Outcome {
    let link = state.get(&PAYMENT_LINK, request.id(), "payment_link")?;
    let words = text(link, "after_completion.hosted_confirmation.custom_message");
    super::checkout::thanks(words.unwrap_or("Your payment was successful."))
}

pub(super) fn refused(_: &State, _: &Request, error: &ApiError) -> Page {
    layout::error(error)
}

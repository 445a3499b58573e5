//! What people see: Checkout, the portal, invoices, authentication.
//!
//! Plain HTML forms, rendered here, without scripts and without cookies: the id in an address lets its holder in. Each
//! page does what its API twin does. Everything that somebody else has typed goes through `maud`, which escapes it.

mod authenticate;
mod card;
mod checkout;
mod invoice;
mod layout;
mod link;
mod pdf;
mod portal;
mod portal_forms;
mod words;

use crate::families::{Access, Family, Route};
use crate::state::State;
use crate::wire::call::{Answer, Outcome, Request};

/// The pages.
pub const FAMILY: Family = Family {
    routes: &[
        Route::get("/c/pay/{session}", "", checkout::show).page(checkout::refused),
        Route::post("/c/pay/{session}", checkout::PARAMS, checkout::submit).page(checkout::refused),
        Route::get("/p/session/{session}", "done", portal::show).page(portal::refused),
        Route::get("/p/session/{session}/{action}", "subscription", portal::show_form).page(portal::refused),
        Route::post("/p/session/{session}/{action}", portal::PARAMS, portal::submit).page(portal::refused),
        Route::get("/invoices/{invoice}", "", invoice::show).page(invoice::refused),
        Route::post("/invoices/{invoice}", invoice::PARAMS, invoice::submit).page(invoice::refused),
        Route::get("/invoices/{invoice}/pdf", "", invoice::pdf).page(invoice::refused),
        Route::get("/authenticate/{intent}", "", authenticate::show).page(authenticate::refused),
        Route::post("/authenticate/{intent}", "outcome", authenticate::submit).page(authenticate::refused),
        Route::get("/l/{link}", "", link::open).page(link::refused),
        Route::get("/l/{link}/done", "", link::done).page(link::refused),
        Route::get("/assets/pages.css", "", style).access(Access::Control),
    ],
    ..Family::EMPTY
};

fn style(_: &mut State, _: &Request) -> Outcome {
    let style = include_bytes!("style.css");
    Ok(Answer::File("text/css; charset=utf-8", style.to_vec()))
}

/// Scheme and host of an address that a browser opens as a page; nothing of any other.
#[must_use]
pub fn origin_of(url: &str) -> Option<String> {
    if url.chars().any(|c| c.is_control() || c.is_whitespace()) {
        return None;
    }
    let (scheme, rest) = url.split_once("://")?;
    if scheme != "http" && scheme != "https" {
        return None;
    }
    let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | ':' | '[' | ']' | '_');
    (!host.is_empty() && host.chars().all(plain)).then(|| format!("{scheme}://{host}"))
}

#[test]
fn only_addresses_of_pages_have_an_origin() {
    assert_eq!(
        origin_of("http://127.0.0.1:8080/a?b=1").as_deref(),
        Some("http://127.0.0.1:8080")
    );
    assert_eq!(origin_of("https://a.example").as_deref(), Some("https://a.example"));
    for bad in [
        "javascript:alert(1)",
        "//a.example",
        "http://",
        "http://a b/",
        "https://a.example;x/",
        "http://a'\r\nb/",
        "data:text/html,x",
        "http://user@evil/",
    ] {
        assert_eq!(origin_of(bad), None, "{bad}");
    }
}

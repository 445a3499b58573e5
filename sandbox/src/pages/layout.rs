//! What all pages have in common: the document, messages, fields with their errors.

use maud::{DOCTYPE, Markup, html};

use super::origin_of;
use crate::wire::call::{Answer, Outcome, Page, Request};
use crate::wire::error::ApiError;

/// A page of the sandbox. `leads_to` are addresses at which its forms may end.
pub(super) fn document(status: u16, title: &str, leads_to: &[Option<&str>], body: &Markup) -> Page {
    let mut origins: Vec<String> = leads_to.iter().flatten().filter_map(|url| origin_of(url)).collect();
    origins.sort();
    origins.dedup();
    let html = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                meta name="robots" content="noindex";
                title { (title) " \u{2013} Sandbox" }
                link rel="stylesheet" href="/assets/pages.css";
                link rel="icon" href="data:,";
            }
            body {
                a class="skip" href="#main" { "Skip to content" }
                header class="ribbon" role="banner" {
                    strong { "Sandbox" } " Nothing here is real: no money moves, no card is charged."
                }
                main id="main" tabindex="-1" { (body) }
            }
        }
    };
    Page {
        status,
        html: html.into_string(),
        leads_to: origins,
    }
}

/// The same as an answer that is no error.
pub(super) fn shown(title: &str, leads_to: &[Option<&str>], body: &Markup) -> Outcome {
    Ok(Answer::Page(document(200, title, leads_to, body)))
}

/// A page with nothing but a message, and where to go from it.
pub(super) fn message(status: u16, title: &str, words: &str, back: Option<(&str, &str)>) -> Page {
    let body = html! {
        div class="narrow" {
            h1 { (title) }
            p { (words) }
            @if let Some((url, label)) = back.filter(|(url, _)| url.starts_with('/') || origin_of(url).is_some()) {
                p { a class="button" href=(url) { (label) } }
            }
        }
    };
    document(status, title, &[], &body)
}

/// An error that no form of a page can show.
pub(super) fn error(error: &ApiError) -> Page {
    let title = match error.status {
        404 => "There is no such page",
        403 => "Not from here",
        _ => "This did not work",
    };
    message(error.status.max(400), title, &error.message, None)
}

/// A form as it was sent, with what is wrong in it.
#[derive(Clone, Copy)]
pub(super) struct Form<'a> {
    /// What was typed.
    pub(super) request: Option<&'a Request>,
    /// What is wrong.
    pub(super) error: Option<&'a ApiError>,
}

/// A field.
#[derive(Clone, Copy, Default)]
pub(super) struct Field<'a> {
    /// Its name, as the API twin has it: `card[number]`.
    pub(super) name: &'a str,
    /// What it is for, in words.
    pub(super) label: &'a str,
    /// `text` when empty.
    pub(super) kind: &'a str,
    /// What stands in it at first.
    pub(super) value: &'a str,
    /// What browsers may fill in.
    pub(super) autocomplete: &'a str,
    /// Digits only, for keyboards on glass.
    pub(super) digits: bool,
    /// It may stay empty.
    pub(super) optional: bool,
    /// What to know before typing.
    pub(super) hint: &'a str,
    /// It is not shown again after an error.
    pub(super) secret: bool,
    /// Fewest and most, for numbers.
    pub(super) bounds: (Option<i64>, Option<i64>),
}

impl Form<'_> {
    /// A form that nobody has sent.
    pub(super) const NEW: Form<'static> = Form {
        request: None,
        error: None,
    };

    /// What was typed into a field.
    pub(super) fn typed(&self, name: &str) -> Option<String> {
        let (head, inner) = name
            .split_once('[')
            .map_or((name, None), |(head, rest)| (head, rest.strip_suffix(']')));
        let value = self.request?.tree.get(head)?;
        let value = match inner {
            Some(inner) => value.get(inner)?,
            None => value,
        };
        value.as_str().map(str::to_owned)
    }

    /// What is wrong with a field.
    pub(super) fn wrong(&self, name: &str) -> Option<&str> {
        let error = self.error?;
        (error.param.as_deref() == Some(name)).then_some(error.message.as_str())
    }

    /// A label, its input, hint and error, bound to each other.
    pub(super) fn field(&self, field: &Field<'_>) -> Markup {
        let id = id_of(field.name);
        let wrong = self.wrong(field.name);
        let typed = self.typed(field.name).filter(|_| !field.secret);
        let value = typed.unwrap_or_else(|| field.value.to_owned());
        let described = self.described(field);
        html! {
            div class="field" {
                label for=(id) { (field.label) @if field.optional { span class="mute" { " (optional)" } } }
                @if !field.hint.is_empty() { p class="hint" id={ (id) "-hint" } { (field.hint) } }
                @if let Some(words) = wrong { (error_of(&id, words)) }
                input id=(id) name=(field.name) type=(if field.kind.is_empty() { "text" } else { field.kind })
                    value=[(!value.is_empty()).then_some(value)]
                    autocomplete=[(!field.autocomplete.is_empty()).then_some(field.autocomplete)]
                    inputmode=[field.digits.then_some("numeric")]
                    min=[field.bounds.0] max=[field.bounds.1]
                    aria-invalid=[wrong.map(|_| "true")]
                    aria-describedby=[described]
                    required[!field.optional];
            }
        }
    }

    fn described(&self, field: &Field<'_>) -> Option<String> {
        let id = id_of(field.name);
        let hint = (!field.hint.is_empty()).then(|| format!("{id}-hint"));
        let wrong = self.wrong(field.name).map(|_| format!("{id}-error"));
        let all: Vec<String> = hint.into_iter().chain(wrong).collect();
        (!all.is_empty()).then(|| all.join(" "))
    }

    /// A choice of words.
    pub(super) fn select(&self, name: &str, label: &str, options: &[(String, String)], chosen: &str) -> Markup {
        let id = id_of(name);
        let wrong = self.wrong(name);
        let chosen = self.typed(name).unwrap_or_else(|| chosen.to_owned());
        html! {
            div class="field" {
                label for=(id) { (label) }
                @if let Some(words) = wrong { (error_of(&id, words)) }
                select id=(id) name=(name) aria-invalid=[wrong.map(|_| "true")]
                    aria-describedby=[wrong.map(|_| format!("{id}-error"))] {
                    @for (value, word) in options {
                        option value=(value) selected[*value == chosen] { (word) }
                    }
                }
            }
        }
    }

    /// What is wrong, once more at the top, with a way to the field. `fields` are those that the form has.
    pub(super) fn summary(&self, fields: &[&str]) -> Markup {
        let Some(error) = self.error else {
            return html! {};
        };
        let field = error
            .param
            .as_deref()
            .filter(|name| fields.contains(name) || name.starts_with("quantities["));
        html! {
            div class="alert" role="alert" {
                p {
                    strong { "There is a problem. " }
                    @match field {
                        Some(name) => { a href={ "#" (id_of(name)) } { (error.message) } }
                        None => { (error.message) }
                    }
                }
            }
        }
    }
}

fn error_of(id: &str, words: &str) -> Markup {
    html! { p class="error" id={ (id) "-error" } { span class="hidden" { "Error: " } (words) } }
}

/// `card[number]` as an id: `card-number`.
fn id_of(name: &str) -> String {
    name.replace('[', "-").replace(']', "")
}

//! The card on a form, and the test cards that one may type.

use maud::{Markup, html};

use super::layout::{Field, Form};
use crate::families::cards::{CARDS, Conduct};

/// Names of the card's fields.
pub(super) const FIELDS: &[&str] = &["card[number]", "card[exp_month]", "card[exp_year]", "card[cvc]"];

/// Number, expiry and security code.
pub(super) fn fields(form: Form<'_>) -> Markup {
    let field = |name, label, autocomplete, hint, secret| {
        form.field(&Field {
            name,
            label,
            autocomplete,
            hint,
            secret,
            digits: true,
            ..Field::default()
        })
    };
    html! {
        fieldset {
            legend { "Card" }
            (field("card[number]", "Card number", "cc-number", "For example 4242 4242 4242 4242.", true))
            div class="row" {
                (field("card[exp_month]", "Expiry month", "cc-exp-month", "", false))
                (field("card[exp_year]", "Expiry year", "cc-exp-year", "", false))
                (field("card[cvc]", "Security code", "cc-csc", "", true))
            }
        }
    }
}

/// The test cards, for people who do not know them by heart.
pub(super) fn known() -> Markup {
    html! {
        details class="cards" {
            summary { "Test cards" }
            div class="scroll" tabindex="0" role="region" aria-label="Test cards" {
                table {
                    caption class="hidden" { "Numbers and what they do. Any later expiry and any security code will do." }
                    thead { tr { th scope="col" { "Number" } th scope="col" { "What it does" } } }
                    tbody {
                        @for card in CARDS {
                            tr { td class="number" { (spaced(card.number)) } td { (words(card.conduct)) } }
                        }
                    }
                }
            }
        }
    }
}

fn spaced(number: &str) -> String {
    let digits: Vec<char> = number.chars().collect();
    let groups: Vec<String> = digits.chunks(4).map(|group| group.iter().collect()).collect();
    groups.join(" ")
}

fn words(conduct: Conduct) -> &'static str {
    match conduct {
        Conduct::Pays => "Pays",
        Conduct::PaysAtOnce => "Pays, and the money is available at once",
        Conduct::Declines => "Is declined",
        Conduct::DeclinesLater => "Can be saved, and is declined when charged",
        Conduct::InsufficientFunds => "Is declined: insufficient funds",
        Conduct::LostCard => "Is declined: lost",
        Conduct::ExpiredCard => "Is declined: expired",
        Conduct::AuthenticatesOnce => "Asks its owner, once",
        Conduct::Authenticates => "Asks its owner, every time",
        Conduct::Disputes => "Pays, and the payment is disputed",
        Conduct::Inquires => "Pays, and the bank inquires",
        Conduct::RefundFails => "Pays; refunds fail later",
        Conduct::RefundPends => "Pays; refunds stay pending",
        Conduct::SettlesSoon | Conduct::StaysProcessing | Conduct::FailsSoon => "Is a bank account",
    }
}

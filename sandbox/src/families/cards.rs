//! Test cards and accounts: what each does when it is attached, charged, refunded.

use serde::{Deserialize, Serialize};

/// What a payment method does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Conduct {
    /// Pays.
    Pays,
    /// Pays, and the money is available at once.
    PaysAtOnce,
    /// Cannot be attached and does not pay.
    Declines,
    /// Can be attached and does not pay.
    DeclinesLater,
    /// Does not pay: not enough money.
    InsufficientFunds,
    /// Does not pay: reported lost.
    LostCard,
    /// Does not pay: too old.
    ExpiredCard,
    /// Asks its owner, until it has been set up once.
    AuthenticatesOnce,
    /// Asks its owner each time.
    Authenticates,
    /// Pays, and the owner disputes it.
    Disputes,
    /// Pays, and the owner's bank asks.
    Inquires,
    /// Pays; refunds seem to go and fail later.
    RefundFails,
    /// Pays; refunds stay pending for a day.
    RefundPends,
    /// A debit that is confirmed a little later.
    SettlesSoon,
    /// A debit that is never confirmed.
    StaysProcessing,
    /// A debit that fails a little later.
    FailsSoon,
}

/// A test card.
#[derive(Debug)]
pub struct Card {
    /// Number.
    pub number: &'static str,
    /// `visa`.
    pub brand: &'static str,
    /// What it does.
    pub conduct: Conduct,
    /// Names behind `pm_card_` and `tok_`.
    names: &'static [&'static str],
}

const fn visa(number: &'static str, conduct: Conduct, names: &'static [&'static str]) -> Card {
    Card {
        number,
        brand: "visa",
        conduct,
        names,
    }
}

/// All test cards.
pub(crate) const CARDS: &[Card] = &[
    visa("4242424242424242", Conduct::Pays, &["visa", "us"]),
    visa("4000056655665556", Conduct::Pays, &["visa_debit"]),
    Card {
        number: "5555555555554444",
        brand: "mastercard",
        conduct: Conduct::Pays,
        names: &["mastercard"],
    },
    Card {
        number: "378282246310005",
        brand: "amex",
        conduct: Conduct::Pays,
        names: &["amex"],
    },
    visa("4000000000000077", Conduct::PaysAtOnce, &["bypassPending"]),
    visa(
        "4000000000000002",
        Conduct::Declines,
        &["chargeDeclined", "visa_chargeDeclined"],
    ),
    visa("4000000000000341", Conduct::DeclinesLater, &["chargeCustomerFail"]),
    visa(
        "4000000000009995",
        Conduct::InsufficientFunds,
        &[
            "chargeDeclinedInsufficientFunds",
            "visa_chargeDeclinedInsufficientFunds",
        ],
    ),
    visa(
        "4000000000009987",
        Conduct::LostCard,
        &["chargeDeclinedLostCard", "visa_chargeDeclinedLostCard"],
    ),
    visa("4000000000000069", Conduct::ExpiredCard, &["chargeDeclinedExpiredCard"]),
    visa(
        "4000002500003155",
        Conduct::AuthenticatesOnce,
        &["authenticationRequiredOnSetup"],
    ),
    visa(
        "4000002760003184",
        Conduct::Authenticates,
        &["authenticationRequired", "threeDSecureRequired"],
    ),
    visa("4000000000003220", Conduct::Authenticates, &["threeDSecure2Required"]),
    visa("4000000000000259", Conduct::Disputes, &["createDispute"]),
    visa("4000000000001976", Conduct::Inquires, &["createDisputeInquiry"]),
    visa("4000000000005126", Conduct::RefundFails, &["refundFail"]),
    visa("4000000000007726", Conduct::RefundPends, &["pendingRefund"]),
];

const ACCOUNTS: &[(&str, Conduct)] = &[
    ("DE89370400440532013000", Conduct::SettlesSoon),
    ("AT611904300234573201", Conduct::SettlesSoon),
    ("DE08370400440532013003", Conduct::SettlesSoon),
    ("DE18370400440532013006", Conduct::StaysProcessing),
    ("DE62370400440532013001", Conduct::FailsSoon),
    ("AT861904300235473202", Conduct::FailsSoon),
    ("IT60X0542811101000000123456", Conduct::FailsSoon),
    ("AT321904300235473204", Conduct::SettlesSoon),
];

/// The card of a number; any other that looks like one pays as well.
#[must_use]
pub fn by_number(number: &str) -> Option<&'static Card> {
    let digits: String = number.chars().filter(char::is_ascii_digit).collect();
    CARDS.iter().find(|card| card.number == digits)
}

/// The card that `pm_card_visa` or `tok_visa` names.
#[must_use]
pub fn by_name(name: &str) -> Option<&'static Card> {
    let bare = name.strip_prefix("pm_card_").or_else(|| name.strip_prefix("tok_"))?;
    CARDS.iter().find(|card| card.names.contains(&bare))
}

/// What a bank account does.
#[must_use]
pub fn account(iban: &str) -> Option<Conduct> {
    let bare: String = iban.chars().filter(|c| !c.is_whitespace()).collect();
    let found = ACCOUNTS.iter().find(|(known, _)| known.eq_ignore_ascii_case(&bare));
    found.map(|(_, conduct)| *conduct)
}

impl Conduct {
    /// Why it does not pay: code, decline code, words.
    #[must_use]
    pub fn refusal(self) -> Option<(&'static str, Option<&'static str>, &'static str)> {
        match self {
            Self::Declines | Self::DeclinesLater => {
                Some(("card_declined", Some("generic_decline"), "Your card was declined."))
            }
            Self::InsufficientFunds => Some((
                "card_declined",
                Some("insufficient_funds"),
                "Your card has insufficient funds.",
            )),
            Self::LostCard => Some(("card_declined", Some("lost_card"), "Your card was declined.")),
            Self::ExpiredCard => Some(("expired_card", Some("expired_card"), "Your card has expired.")),
            Self::Pays
            | Self::PaysAtOnce
            | Self::AuthenticatesOnce
            | Self::Authenticates
            | Self::Disputes
            | Self::Inquires
            | Self::RefundFails
            | Self::RefundPends
            | Self::SettlesSoon
            | Self::StaysProcessing
            | Self::FailsSoon => None,
        }
    }
}

//! What became of intents: Stripe's answers to their calls, and what was seen of their effects.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::ids::IntentId;

/// Stripe's answer to the call of an intent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct StripeCallSettled {
    /// The intent.
    pub intent: IntentId,
    /// How the call ended.
    pub outcome: CallOutcome,
    /// Stripe's id of the request, if there was an answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<Box<str>>,
}

/// How a call ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CallOutcome {
    /// Stripe did it.
    Applied {
        /// Id of the object it made or changed.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        object: Option<Box<str>>,
    },
    /// What was asked for stood already when it was its turn: nothing was called.
    Unneeded,
    /// Stripe refused; nothing was done.
    Rejected(Refusal),
    /// Whether Stripe did it is not known yet.
    Unknown {
        /// What happened: `timeout`, `connection_lost`, `unreadable_answer`...
        reason: Box<str>,
        /// Nothing more is tried: the key is too old and the object was not found. A person decides.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        given_up: bool,
    },
}

/// Why Stripe refused, in our words with Stripe's codes. Its sentence is not kept: it may name people.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Refusal {
    /// What kind of refusal it is.
    pub kind: RefusalKind,
    /// Stripe's code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<Box<str>>,
    /// The issuer's reason, when a card was refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decline_code: Option<Box<str>>,
    /// The parameter at fault.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub param: Option<Box<str>>,
}

/// Kinds of refusals, by what helps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RefusalKind {
    /// The payment was refused: another card, or the bank.
    Declined,
    /// The cardholder must confirm the payment.
    ActionRequired,
    /// The object is gone or was never there.
    NotFound,
    /// The object stands so that this cannot be done.
    NotPossible,
    /// Our key may not do this, or is revoked: an operator's work.
    NotAllowed,
    /// The call itself was wrong.
    Invalid,
}

/// What shows that an intent has had its effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Proof {
    /// A snapshot that came after it shows what was asked for, whoever caused it.
    Effect,
    /// Stripe names the intent as the request behind a snapshot, or the object is the one its call made.
    Echo,
}

/// A snapshot of Stripe shows an intent's effect.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct IntentObserved {
    /// The intent.
    pub intent: IntentId,
    /// What shows it.
    pub by: Proof,
    /// Id of the object that shows it.
    pub object: Box<str>,
}

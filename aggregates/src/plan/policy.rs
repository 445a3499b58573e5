//! Rules of a catalogue that hold for all its plans: trials, checkout, dunning, disputes, flags.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Days with full access before the first payment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Trial {
    /// Length in days, at least 1.
    pub days: u32,
    /// Whether a card is asked for at the start.
    pub card: TrialCard,
}

/// Whether a trial needs a card up front.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TrialCard {
    /// Asked for at the start.
    #[default]
    Required,
    /// May be added later.
    Optional,
}

/// Whether Stripe's checkout asks for a billing address.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum BillingAddress {
    /// Only when a tax or a payment method needs it.
    #[default]
    Auto,
    /// Always.
    Required,
}

/// How checkout pages at Stripe behave.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Checkout {
    /// Stripe Tax computes the tax.
    pub automatic_tax: bool,
    /// Asks for a tax id.
    pub collect_tax_id: bool,
    /// Asks for the address.
    pub billing_address: BillingAddress,
    /// Customers may enter promotion codes.
    pub promotion_codes: bool,
}

/// What a dunning step does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum DunningAction {
    /// A first friendly message.
    Remind,
    /// An urgent message.
    Urgent,
    /// Access is restricted.
    Restrict,
    /// The last message before cancellation.
    FinalNotice,
    /// The subscription is canceled.
    Cancel,
}

/// One step of dunning.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DunningStep {
    /// Whole days since the first failed payment of the invoice.
    pub day: u32,
    /// What is done.
    pub action: DunningAction,
}

/// What happens, day by day, after a payment failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DunningPolicy {
    /// Days of full use while a payment is overdue; 0 restricts at once.
    pub grace_days: u32,
    /// Steps by ascending day.
    pub steps: Vec<DunningStep>,
}

impl Default for DunningPolicy {
    fn default() -> Self {
        let step = |day, action| DunningStep { day, action };
        Self {
            grace_days: 7,
            steps: vec![
                step(0, DunningAction::Remind),
                step(3, DunningAction::Urgent),
                step(7, DunningAction::Restrict),
                step(14, DunningAction::FinalNotice),
                step(21, DunningAction::Cancel),
            ],
        }
    }
}

/// What a tenant may do: our own word, derived from the status and the policies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Access {
    /// Everything the plan grants.
    Full,
    /// Everything, for a while: a payment is overdue.
    Grace,
    /// Reads only.
    Restricted,
    /// Nothing.
    Blocked,
}

impl Access {
    /// The word of our API.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Grace => "grace",
            Self::Restricted => "restricted",
            Self::Blocked => "blocked",
        }
    }
}

/// What a dispute does to access.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum AccessOnDispute {
    /// Nothing.
    Full,
    /// Reads only.
    Restricted,
    /// No access.
    Blocked,
}

impl AccessOnDispute {
    /// The access it allows at most.
    #[must_use]
    pub const fn access(self) -> Access {
        match self {
            Self::Full => Access::Full,
            Self::Restricted => Access::Restricted,
            Self::Blocked => Access::Blocked,
        }
    }
}

/// Access while a dispute is open, and after it was lost. Defaults: full, then restricted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DisputePolicy {
    /// While it is open.
    pub open: AccessOnDispute,
    /// After it was lost.
    pub lost: AccessOnDispute,
}

impl Default for DisputePolicy {
    fn default() -> Self {
        Self {
            open: AccessOnDispute::Full,
            lost: AccessOnDispute::Restricted,
        }
    }
}

/// A named switch for some of the tenants. What it says today is the start value: operators change it later.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Flag {
    /// Its name.
    pub name: String,
    /// What it switches, for people.
    pub description: String,
    /// Environments in which it may be on; empty is everywhere.
    pub environments: Vec<String>,
    /// Share of tenants inside it, 0 to 100.
    pub percent: u32,
    /// Whether it is on before anyone decided.
    pub default_on: bool,
}

//! What people ask for that has an effect at Stripe: commands, before they are decided.

use std::collections::{BTreeMap, BTreeSet};

use super::asked::{ConfirmBy, DiscountSource, Feedback, PauseMode, PortalFlow, Proration, RefundReason, When};
use crate::facts::ContactField;
use crate::ids::{ChargeId, IntentId, InvoiceId, PlanCode, SubscriptionId, TenantId};
use crate::money::Currency;
use crate::plan::{Interval, Mode};
use crate::time::Timestamp;

/// A command of a person. Who it is stands in the metadata of the event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// Id of the event that will record it.
    pub intent: IntentId,
    /// When it was asked for.
    pub at: Timestamp,
    /// The tenant it was asked for, if the caller named one.
    pub tenant: Option<TenantId>,
    /// The subscription it is about; none: the one the account is judged by.
    pub subscription: Option<SubscriptionId>,
    /// What the account cannot know itself.
    pub circumstances: Circumstances,
    /// What is asked for.
    pub wish: Wish,
}

/// What a decision rests on beside the account and the catalogue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Circumstances {
    /// Which of Stripe's worlds the ledger lives in: it picks the price ids.
    pub mode: Mode,
    /// Flags the tenant is inside.
    pub flags: BTreeSet<Box<str>>,
    /// What is in use, by resource, in base units; a resource that is not here is not in use.
    pub usage: BTreeMap<Box<str>, u64>,
}

impl Circumstances {
    /// Of a tenant that uses nothing and is inside no flag.
    #[must_use]
    pub const fn of(mode: Mode) -> Self {
        Self {
            mode,
            flags: BTreeSet::new(),
            usage: BTreeMap::new(),
        }
    }
}

/// What is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wish {
    /// Buy a plan on Stripe's checkout page.
    OpenCheckout(Purchase),
    /// Open Stripe's billing portal.
    OpenPortal {
        /// What it opens with.
        flow: Option<PortalFlow>,
    },
    /// Buy a plan without a page.
    Subscribe {
        /// What is bought.
        purchase: Purchase,
        /// How the first payment is confirmed.
        confirm: ConfirmBy,
    },
    /// Have another plan, interval or both.
    ChangePlan(PlanChange),
    /// Let a planned change go.
    WithdrawChange,
    /// Have more or fewer units.
    ChangeQuantity {
        /// How many.
        quantity: QuantityWish,
        /// What happens to time already paid for; none: the difference is on the next invoice.
        proration: Option<Proration>,
    },
    /// End.
    Cancel {
        /// When; none: with the period.
        when: Option<When>,
        /// Why.
        feedback: Option<Feedback>,
    },
    /// Withdraw a planned cancellation.
    Resume,
    /// Pause.
    Pause {
        /// What.
        mode: PauseMode,
        /// When it ends by itself.
        until: Option<Timestamp>,
    },
    /// End a pause.
    Unpause,
    /// Put a discount on.
    ApplyDiscount(DiscountSource),
    /// End the trial later.
    ExtendTrial {
        /// By how many days.
        days: u32,
        /// Why.
        reason: Box<str>,
    },
    /// Pay an invoice with the payment method on file.
    PayInvoice {
        /// Which.
        invoice: InvoiceId,
    },
    /// Give money back.
    Refund(RefundWish),
    /// Change contact data; the values are kept elsewhere.
    UpdateCustomer {
        /// Which fields.
        fields: BTreeSet<ContactField>,
    },
}

/// A plan to be bought.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Purchase {
    /// The plan.
    pub plan: PlanCode,
    /// How often it is billed; none: monthly, or the plan's only interval.
    pub interval: Option<Interval>,
    /// Currency; none: the account's, else the catalogue's.
    pub currency: Option<Currency>,
    /// How many units; none: the plan's minimum.
    pub quantity: Option<u64>,
    /// Days of trial; none: the plan's trial, if the tenant had none before.
    pub trial_days: Option<u32>,
    /// A second trial was allowed by whoever may allow it.
    pub trial_again: bool,
    /// A discount put on by the seller.
    pub discount: Option<DiscountSource>,
    /// Whether promotion codes may be entered; none: as the catalogue says.
    pub promotion_codes: Option<bool>,
}

/// Another plan, interval or both.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlanChange {
    /// The plan.
    pub plan: PlanCode,
    /// How often it is billed; none: as before, or the plan's only interval.
    pub interval: Option<Interval>,
    /// How many units; none: as before, as far as the plan allows it.
    pub quantity: Option<u64>,
    /// When; none: an upgrade now, a downgrade when the period ends.
    pub when: Option<When>,
    /// What happens to time already paid for.
    pub proration: Option<Proration>,
}

/// How many units.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QuantityWish {
    /// So many.
    To(u64),
    /// So many more, or fewer.
    By(i64),
}

/// Money to be given back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefundWish {
    /// The charge.
    pub charge: ChargeId,
    /// How much, in minor units of the charge's currency; none: all that is left.
    pub amount_minor: Option<i64>,
    /// Why.
    pub reason: Option<RefundReason>,
    /// Above this a second person must agree, in minor units of the charge's currency; none: no limit.
    pub alone_max_minor: Option<i64>,
    /// A second person agreed.
    pub is_approved: bool,
}

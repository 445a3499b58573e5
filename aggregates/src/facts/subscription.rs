//! Subscriptions and their schedules.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::open_words;
use crate::ids::{
    CouponId, CustomerId, InvoiceId, ItemId, PaymentMethodId, PriceId, ProductId, ScheduleId, SubscriptionId,
};
use crate::money::Currency;
use crate::snapshot::{Fact, Notice, Seen, Snapshot};
use crate::time::Timestamp;

open_words! {
    /// Stripe's status of a subscription.
    SubscriptionStatus {
        /// First payment open, at most 23 hours.
        Incomplete = "incomplete",
        /// First invoice never paid. Terminal.
        IncompleteExpired = "incomplete_expired",
        /// Free until the trial ends.
        Trialing = "trialing",
        /// Paid up, or nothing due.
        Active = "active",
        /// The latest invoice failed or is overdue; retries are running.
        PastDue = "past_due",
        /// Retries are over.
        Unpaid = "unpaid",
        /// No invoices are made.
        Paused = "paused",
        /// Over. Terminal.
        Canceled = "canceled",
    }
}

/// A half-open span of time: `start` belongs to it, `end` does not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub struct Period {
    /// First instant.
    pub start: Timestamp,
    /// First instant after it.
    pub end: Timestamp,
}

/// One item of a subscription: a price and how many of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Item {
    /// Stripe's id, or `<subscription>#0` for the oldest single-plan shape.
    pub item: ItemId,
    /// The price.
    pub price: PriceId,
    /// Its product, if named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub product: Option<ProductId>,
    /// How many; none for metered prices.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quantity: Option<u64>,
    /// Price of one unit in minor units; none when tiered, custom or finer than a minor unit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit_amount_minor: Option<i64>,
    /// Price of one unit in minor units as decimal text, when it is finer than a minor unit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit_amount_decimal: Option<Box<str>>,
    /// Currency of the price.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub currency: Option<Currency>,
    /// `day`, `week`, `month` or `year`; none for a one-off price.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interval: Option<Box<str>>,
    /// Every how many intervals.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interval_count: Option<u32>,
    /// Billed by metered use.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub metered: bool,
    /// The item's own billing period (flexible billing lets items differ).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub period: Option<Period>,
}

/// A discount as it stands on a customer, subscription or item.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct AppliedDiscount {
    /// Stripe's id of the discount, if named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub discount: Option<Box<str>>,
    /// Its coupon; unknown when only an id was sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub coupon: Option<CouponId>,
}

/// Collection is switched off while the status stays as it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CollectionPause {
    /// `keep_as_draft`, `mark_uncollectible` or `void`.
    pub behavior: Box<str>,
    /// When collection resumes by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resumes_at: Option<Timestamp>,
}

/// The terms of one Stripe subscription.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SubscriptionSnapshot {
    /// Whose it is (`customer`, or `customer_account` when that is null).
    pub customer: CustomerId,
    /// Stripe's status.
    pub status: SubscriptionStatus,
    /// Its items by item id; none = *unknown*.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub items: Option<Vec<Item>>,
    /// Billing period, of the item whose period ends first; none = *unknown*.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub period: Option<Period>,
    /// Discounts on the subscription; none = *unknown*, empty = without.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub discounts: Option<Vec<AppliedDiscount>>,
    /// Currency of its invoices.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub currency: Option<Currency>,
    /// When it began (`start_date`, else `created`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Timestamp>,
    /// Day in the month (and time) on which billing periods turn.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub anchor_at: Option<Timestamp>,
    /// The trial, past or running. "In trial" is the status, never a comparison of dates.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trial: Option<Period>,
    /// What happens at trial end without a card: `create_invoice`, `cancel` or `pause`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trial_without_card: Option<Box<str>>,
    /// Ends at the end of the period.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub cancel_at_period_end: bool,
    /// Ends at this instant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cancel_at: Option<Timestamp>,
    /// When cancellation was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub canceled_at: Option<Timestamp>,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<Timestamp>,
    /// Why it was or will be canceled: Stripe's reason word.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cancel_reason: Option<Box<str>>,
    /// What the customer chose as feedback. The free comment is personal and is not kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cancel_feedback: Option<Box<str>>,
    /// Why it is paused, where Stripe says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pause_reason: Option<Box<str>>,
    /// Collection is paused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub collection_pause: Option<CollectionPause>,
    /// `charge_automatically` or `send_invoice`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub collection_method: Option<Box<str>>,
    /// Days until an invoice that is sent is due.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub days_until_due: Option<u32>,
    /// Its newest invoice.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latest_invoice: Option<InvoiceId>,
    /// The payment method it charges; else the customer's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payment_method: Option<PaymentMethodId>,
    /// The schedule that drives it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schedule: Option<ScheduleId>,
    /// A change waits for its payment.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub update_pending: bool,
    /// `classic` or `flexible`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub billing_mode: Option<Box<str>>,
    /// Runs on a Stripe test clock.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub on_test_clock: bool,
}

impl Snapshot for SubscriptionSnapshot {
    const CAN_RETURN: bool = true;

    fn finality(&self) -> u8 {
        u8::from(matches!(
            self.status,
            SubscriptionStatus::Canceled | SubscriptionStatus::IncompleteExpired
        ))
    }
    fn ladder(&self) -> u8 {
        match self.status {
            SubscriptionStatus::Unrecognised(_) => 0,
            SubscriptionStatus::Incomplete => 1,
            SubscriptionStatus::Trialing => 2,
            SubscriptionStatus::Active => 3,
            SubscriptionStatus::PastDue => 4,
            SubscriptionStatus::Unpaid => 5,
            SubscriptionStatus::Paused => 6,
            SubscriptionStatus::IncompleteExpired => 7,
            SubscriptionStatus::Canceled => 8,
        }
    }
    fn knows(&self) -> u8 {
        u8::from(self.items.is_some()) | u8::from(self.period.is_some()) << 1 | u8::from(self.discounts.is_some()) << 2
    }
    fn take(&mut self, field: u8, from: &Self) {
        match field {
            1 => self.items.clone_from(&from.items),
            2 => self.period = from.period,
            4 => self.discounts.clone_from(&from.discounts),
            _ => {}
        }
    }
    fn facts(&self, seen: &Seen) -> Vec<Fact> {
        match seen.notice {
            Some(Notice::TrialWillEnd) => vec![Fact::TrialEnding(self.trial.map(|trial| trial.end))],
            _ => Vec::new(),
        }
    }
}

open_words! {
    /// Stripe's status of a subscription schedule.
    ScheduleStatus {
        /// Its first phase has not begun.
        NotStarted = "not_started",
        /// Running.
        Active = "active",
        /// Over. Terminal.
        Completed = "completed",
        /// Let go of its subscription. Terminal.
        Released = "released",
        /// Canceled with its subscription. Terminal.
        Canceled = "canceled",
    }
}

/// One coming or past phase of a schedule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ScheduledPhase {
    /// First instant.
    pub start_at: Timestamp,
    /// First instant after it, if set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end_at: Option<Timestamp>,
    /// Price and quantity of each item.
    pub items: Vec<(PriceId, Option<u64>)>,
}

/// A schedule: changes planned at Stripe.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ScheduleSnapshot {
    /// Whose it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub customer: Option<CustomerId>,
    /// The subscription it drives.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subscription: Option<SubscriptionId>,
    /// Stripe's status.
    pub status: ScheduleStatus,
    /// Its phases in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub phases: Vec<ScheduledPhase>,
    /// What happens after the last phase: `release` or `cancel`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end_behavior: Option<Box<str>>,
}

impl Snapshot for ScheduleSnapshot {
    fn finality(&self) -> u8 {
        u8::from(matches!(
            self.status,
            ScheduleStatus::Completed | ScheduleStatus::Released | ScheduleStatus::Canceled
        ))
    }
    fn ladder(&self) -> u8 {
        match self.status {
            ScheduleStatus::Unrecognised(_) => 0,
            ScheduleStatus::NotStarted => 1,
            ScheduleStatus::Active => 2,
            ScheduleStatus::Completed => 3,
            ScheduleStatus::Released => 4,
            ScheduleStatus::Canceled => 5,
        }
    }
}

//! Objects without a customer: payouts, balance transactions and the Stripe catalogue.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::open_words;
use crate::ids::{BalanceTransactionId, CouponId, PayoutId, PriceId, ProductId};
use crate::money::Currency;
use crate::snapshot::Snapshot;
use crate::time::Timestamp;

open_words! {
    /// Stripe's status of a payout.
    PayoutStatus {
        /// To be sent.
        Pending = "pending",
        /// Sent to the bank.
        InTransit = "in_transit",
        /// Arrived; can still turn failed within days.
        Paid = "paid",
        /// Came back.
        Failed = "failed",
        /// Withdrawn. Terminal.
        Canceled = "canceled",
    }
}

/// A payout as it stood.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PayoutSnapshot {
    /// Amount in minor units.
    pub amount_minor: i64,
    /// Currency.
    pub currency: Currency,
    /// Stripe's status.
    pub status: PayoutStatus,
    /// Made by Stripe's schedule.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub automatic: Option<bool>,
    /// `bank_account` or `card`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<Box<str>>,
    /// When it is expected.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub arrival_at: Option<Timestamp>,
    /// Its movement of the Stripe balance.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub balance_transaction: Option<BalanceTransactionId>,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure_code: Option<Box<str>>,
    /// The movement that took it back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure_balance_transaction: Option<BalanceTransactionId>,
    /// The payout it reverses.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub original_payout: Option<PayoutId>,
    /// The payout that reverses it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reversed_by: Option<PayoutId>,
    /// `completed` once its content can be listed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reconciliation_status: Option<Box<str>>,
    /// When it was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_at: Option<Timestamp>,
}

impl Snapshot for PayoutSnapshot {
    fn finality(&self) -> u8 {
        u8::from(matches!(self.status, PayoutStatus::Failed | PayoutStatus::Canceled))
    }
    fn ladder(&self) -> u8 {
        match self.status {
            PayoutStatus::Unrecognised(_) => 0,
            PayoutStatus::Pending => 1,
            PayoutStatus::InTransit => 2,
            PayoutStatus::Paid => 3,
            PayoutStatus::Canceled => 4,
            PayoutStatus::Failed => 5,
        }
    }
}

/// One movement of the Stripe balance; `amount - fee == net` holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BalanceTransactionSnapshot {
    /// Gross in minor units.
    pub amount_minor: i64,
    /// Fee in minor units.
    pub fee_minor: i64,
    /// Net in minor units.
    pub net_minor: i64,
    /// Currency of all three.
    pub currency: Currency,
    /// Stripe's type word.
    pub kind: Box<str>,
    /// The object that caused it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<Box<str>>,
    /// The payout it went out with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payout: Option<PayoutId>,
    /// Stripe's reporting word.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reporting_category: Option<Box<str>>,
    /// When it counts as available.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub available_at: Option<Timestamp>,
    /// When it was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_at: Option<Timestamp>,
}

impl Snapshot for BalanceTransactionSnapshot {
    fn finality(&self) -> u8 {
        0
    }
    fn ladder(&self) -> u8 {
        0
    }
}

/// A product.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ProductSnapshot {
    /// Its name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<Box<str>>,
    /// Can be sold.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub active: Option<bool>,
    /// Deleted. Terminal.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub deleted: bool,
    /// Its default price.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default_price: Option<PriceId>,
}

/// A price, or a plan of the older shape.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PriceSnapshot {
    /// What it prices.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub product: Option<ProductId>,
    /// Can be sold.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub active: Option<bool>,
    /// Deleted. Terminal.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub deleted: bool,
    /// Currency.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub currency: Option<Currency>,
    /// Price of one unit in minor units.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit_amount_minor: Option<i64>,
    /// The same as decimal text, when it is finer than a minor unit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit_amount_decimal: Option<Box<str>>,
    /// `day`, `week`, `month`, `year`; none for a one-off price.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interval: Option<Box<str>>,
    /// Every how many intervals.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interval_count: Option<u32>,
    /// Billed by metered use.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub metered: bool,
    /// The amount depends on the quantity.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub tiered: bool,
    /// The merchant's own key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lookup_key: Option<Box<str>>,
    /// The merchant's own name for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nickname: Option<Box<str>>,
    /// `inclusive`, `exclusive` or `unspecified`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tax_behavior: Option<Box<str>>,
}

/// A coupon.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CouponSnapshot {
    /// Percent off, in hundredths of a percent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub percent_off_basis_points: Option<u32>,
    /// Amount off in minor units.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub amount_off_minor: Option<i64>,
    /// Currency of the amount.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub currency: Option<Currency>,
    /// `once`, `repeating` or `forever`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration: Option<Box<str>>,
    /// How long a repeating one lasts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration_months: Option<u32>,
    /// Can be used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub valid: Option<bool>,
    /// Deleted. Terminal.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub deleted: bool,
}

/// A promotion code.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PromotionCodeSnapshot {
    /// What the customer types.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<Box<str>>,
    /// The coupon it gives.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub coupon: Option<CouponId>,
    /// Can be used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub active: Option<bool>,
}

/// A tax rate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TaxRateSnapshot {
    /// Rate in millionths of a percent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub percentage_millionths: Option<i64>,
    /// Contained in the price.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inclusive: Option<bool>,
    /// Where it applies.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jurisdiction: Option<Box<str>>,
    /// Can be used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub active: Option<bool>,
}

/// What an object of the aggregate `stripe_object` looks like.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CatalogueSnapshot {
    /// A payout.
    Payout(PayoutSnapshot),
    /// A movement of the Stripe balance.
    BalanceTransaction(BalanceTransactionSnapshot),
    /// A product.
    Product(ProductSnapshot),
    /// A price.
    Price(PriceSnapshot),
    /// A coupon.
    Coupon(CouponSnapshot),
    /// A promotion code.
    PromotionCode(PromotionCodeSnapshot),
    /// A tax rate.
    TaxRate(TaxRateSnapshot),
}

impl Snapshot for CatalogueSnapshot {
    fn finality(&self) -> u8 {
        match self {
            Self::Payout(payout) => payout.finality(),
            Self::Product(product) => u8::from(product.deleted),
            Self::Price(price) => u8::from(price.deleted),
            Self::Coupon(coupon) => u8::from(coupon.deleted),
            Self::BalanceTransaction(_) | Self::PromotionCode(_) | Self::TaxRate(_) => 0,
        }
    }
    fn ladder(&self) -> u8 {
        match self {
            Self::Payout(payout) => payout.ladder(),
            Self::BalanceTransaction(_)
            | Self::Product(_)
            | Self::Price(_)
            | Self::Coupon(_)
            | Self::PromotionCode(_)
            | Self::TaxRate(_) => 0,
        }
    }
}

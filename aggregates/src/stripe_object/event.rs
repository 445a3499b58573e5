//! What happened to a Stripe object that belongs to no account.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::facts::CatalogueSnapshot;
use crate::snapshot::Seen;

/// Aggregate type of these streams.
pub const AGGREGATE_TYPE: &str = "stripe_object";

/// Version every event of this aggregate is written with today.
pub const EVENT_VERSION: u32 = 1;

/// The object as one source showed it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ObjectSeen {
    /// Its Stripe id.
    pub id: Box<str>,
    /// Header of the snapshot.
    pub seen: Seen,
    /// How it stood.
    pub snapshot: CatalogueSnapshot,
}

/// An event of a stream of `stripe_object`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum StripeObjectEvent {
    /// A payout was made.
    PayoutCreated(ObjectSeen),
    /// A payout arrived.
    PayoutPaid(ObjectSeen),
    /// A payout came back.
    PayoutFailed(ObjectSeen),
    /// A payout was withdrawn.
    PayoutCanceled(ObjectSeen),
    /// Something else about a payout changed.
    PayoutRevised(ObjectSeen),
    /// The Stripe balance moved.
    BalanceTransactionRecorded(ObjectSeen),
    /// A product is so now.
    ProductDefined(ObjectSeen),
    /// A price is so now.
    PriceDefined(ObjectSeen),
    /// A coupon is so now.
    CouponDefined(ObjectSeen),
    /// A promotion code is so now.
    PromotionCodeDefined(ObjectSeen),
    /// A tax rate is so now.
    TaxRateDefined(ObjectSeen),
    /// A newer snapshot says what was known.
    SnapshotConfirmed(ObjectSeen),
    /// A snapshot arrived after a newer one.
    LateSnapshotRecorded(ObjectSeen),
}

impl StripeObjectEvent {
    /// The stored name without its prefix.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::PayoutCreated(_) => "payout_created",
            Self::PayoutPaid(_) => "payout_paid",
            Self::PayoutFailed(_) => "payout_failed",
            Self::PayoutCanceled(_) => "payout_canceled",
            Self::PayoutRevised(_) => "payout_revised",
            Self::BalanceTransactionRecorded(_) => "balance_transaction_recorded",
            Self::ProductDefined(_) => "product_defined",
            Self::PriceDefined(_) => "price_defined",
            Self::CouponDefined(_) => "coupon_defined",
            Self::PromotionCodeDefined(_) => "promotion_code_defined",
            Self::TaxRateDefined(_) => "tax_rate_defined",
            Self::SnapshotConfirmed(_) => "snapshot_confirmed",
            Self::LateSnapshotRecorded(_) => "late_snapshot_recorded",
        }
    }

    /// What it carries.
    #[must_use]
    pub const fn carried(&self) -> &ObjectSeen {
        match self {
            Self::PayoutCreated(it)
            | Self::PayoutPaid(it)
            | Self::PayoutFailed(it)
            | Self::PayoutCanceled(it)
            | Self::PayoutRevised(it)
            | Self::BalanceTransactionRecorded(it)
            | Self::ProductDefined(it)
            | Self::PriceDefined(it)
            | Self::CouponDefined(it)
            | Self::PromotionCodeDefined(it)
            | Self::TaxRateDefined(it)
            | Self::SnapshotConfirmed(it)
            | Self::LateSnapshotRecorded(it) => it,
        }
    }
}

//! The account: customer, contact, payment method, discounts and checkout.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{AppliedDiscount, open_words};
use crate::ids::{CouponId, CustomerId, InvoiceId, PaymentIntentId, PaymentMethodId, SubscriptionId};
use crate::money::Currency;
use crate::snapshot::{Fact, Notice, Seen, Snapshot};
use crate::time::Timestamp;

/// A contact field of a customer. Its value is personal data and is never in an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ContactField {
    /// Name.
    Name,
    /// Mail address.
    Email,
    /// Telephone.
    Phone,
    /// Billing address.
    Address,
    /// Shipping name or address.
    Shipping,
    /// Tax ids.
    TaxId,
}

impl ContactField {
    /// The field's name in side tables and answers.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Name => "name",
            Self::Email => "email",
            Self::Phone => "phone",
            Self::Address => "address",
            Self::Shipping => "shipping",
            Self::TaxId => "tax_id",
        }
    }
}

/// A customer as it stood, without personal data.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CustomerSnapshot {
    /// Deleted at Stripe. Terminal.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub deleted: bool,
    /// Currency of its invoices, once there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub currency: Option<Currency>,
    /// Balance in minor units (negative = credit); none = *unknown*.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub balance_minor: Option<i64>,
    /// Its latest charge failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delinquent: Option<bool>,
    /// What is charged by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default_payment_method: Option<PaymentMethodId>,
    /// `none`, `exempt` or `reverse`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tax_exempt: Option<Box<str>>,
    /// Discount on everything it buys.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub discount: Option<AppliedDiscount>,
    /// Runs on a Stripe test clock.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub on_test_clock: bool,
}

impl Snapshot for CustomerSnapshot {
    const CAN_RETURN: bool = true;

    fn finality(&self) -> u8 {
        u8::from(self.deleted)
    }
    fn ladder(&self) -> u8 {
        u8::from(self.deleted)
    }
    fn knows(&self) -> u8 {
        u8::from(self.balance_minor.is_some())
    }
    fn take(&mut self, field: u8, from: &Self) {
        if field == 1 {
            self.balance_minor = from.balance_minor;
        }
    }
}

/// A payment method: what may be shown of it, nothing that could be charged.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PaymentMethodSnapshot {
    /// Belongs to the customer (false once detached).
    pub attached: bool,
    /// `card`, `sepa_debit`...
    pub kind: Box<str>,
    /// Brand of the card.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub brand: Option<Box<str>>,
    /// Last four digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last4: Option<Box<str>>,
    /// Month of expiry, 1 to 12.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exp_month: Option<u32>,
    /// Year of expiry.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exp_year: Option<u32>,
}

impl Snapshot for PaymentMethodSnapshot {
    fn finality(&self) -> u8 {
        0
    }
    fn ladder(&self) -> u8 {
        u8::from(!self.attached)
    }
}

/// A discount as it stood.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DiscountSnapshot {
    /// The subscription it is on; none: on the customer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subscription: Option<SubscriptionId>,
    /// Its coupon.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub coupon: Option<CouponId>,
    /// The promotion code that gave it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub promotion_code: Option<Box<str>>,
    /// Taken off. Terminal.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub removed: bool,
    /// Since when.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_at: Option<Timestamp>,
    /// Until when, if it ends by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end_at: Option<Timestamp>,
}

impl Snapshot for DiscountSnapshot {
    fn finality(&self) -> u8 {
        u8::from(self.removed)
    }
    fn ladder(&self) -> u8 {
        u8::from(self.removed)
    }
}

open_words! {
    /// What a checkout session is for.
    CheckoutMode {
        /// A one-off payment.
        Payment = "payment",
        /// A subscription.
        Subscription = "subscription",
        /// A payment method for later.
        Setup = "setup",
    }
}

open_words! {
    /// Stripe's status of a checkout session.
    CheckoutStatus {
        /// The customer is at it.
        Open = "open",
        /// Finished by the customer. Terminal.
        Complete = "complete",
        /// Given up. Terminal.
        Expired = "expired",
    }
}

/// A checkout session as it stood.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CheckoutSnapshot {
    /// Whose it is; none for a guest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub customer: Option<CustomerId>,
    /// What it is for.
    pub mode: CheckoutMode,
    /// Stripe's status.
    pub status: CheckoutStatus,
    /// `paid`, `unpaid` or `no_payment_required`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payment_status: Option<Box<str>>,
    /// What it made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subscription: Option<SubscriptionId>,
    /// What it made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub invoice: Option<InvoiceId>,
    /// What it made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payment_intent: Option<PaymentIntentId>,
    /// What it came to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub amount_total_minor: Option<i64>,
    /// Currency of the amount.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub currency: Option<Currency>,
    /// When it is given up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
}

impl Snapshot for CheckoutSnapshot {
    fn finality(&self) -> u8 {
        u8::from(matches!(
            self.status,
            CheckoutStatus::Complete | CheckoutStatus::Expired
        ))
    }
    fn ladder(&self) -> u8 {
        match (&self.status, self.payment_status.as_deref()) {
            (CheckoutStatus::Unrecognised(_), _) => 0,
            (CheckoutStatus::Open, _) => 1,
            (CheckoutStatus::Expired, _) => 2,
            (CheckoutStatus::Complete, Some("paid" | "no_payment_required")) => 4,
            (CheckoutStatus::Complete, _) => 3,
        }
    }
    fn facts(&self, seen: &Seen) -> Vec<Fact> {
        let stands = match self.status {
            CheckoutStatus::Complete => Some(Fact::Completed),
            CheckoutStatus::Expired => Some(Fact::Expired),
            CheckoutStatus::Open | CheckoutStatus::Unrecognised(_) => None,
        };
        let settled = match seen.notice {
            Some(Notice::AsyncPaymentSucceeded) => Some(Fact::PaymentSettled(true)),
            Some(Notice::AsyncPaymentFailed) => Some(Fact::PaymentSettled(false)),
            _ => None,
        };
        stands.into_iter().chain(settled).collect()
    }
}

//! What people asked of an account that has an effect at Stripe: the content of the events of the family `intents`.
//!
//! Terms are absolute and as they were when they were asked for (plan, price, currency, quantity, catalogue version),
//! so that an intent means the same whenever its call is made. Nothing here is personal: no comment, no address.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::seen::PlanRef;
use crate::facts::ContactField;
use crate::ids::{ChargeId, CouponId, CustomerId, IntentId, InvoiceId, PaymentIntentId, PriceId, SubscriptionId};
use crate::money::Currency;
use crate::plan::{BillingAddress, Interval, TrialCard};
use crate::time::Timestamp;

/// Which intent it is, and when it was asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct IntentHead {
    /// Id of the event that records it, and the idempotency key of its call at Stripe.
    pub id: IntentId,
    /// When it was asked for.
    pub at: Timestamp,
}

/// A plan with the price and quantity it is wanted at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct WantedTerms {
    /// The plan and the catalogue version whose limits hold.
    pub plan: PlanRef,
    /// Its price at Stripe.
    pub price: PriceId,
    /// How often it is billed.
    pub interval: Interval,
    /// Currency of the amount.
    pub currency: Currency,
    /// What `per` units cost, in minor units.
    pub amount_minor: i64,
    /// How many units the amount is for.
    pub per: u64,
    /// How many units.
    pub quantity: u64,
}

/// When a change takes effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum When {
    /// At once.
    Now,
    /// When the paid period ends.
    PeriodEnd,
}

/// What happens to time already paid for: Stripe's words.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Proration {
    /// The difference is put on the next invoice.
    #[default]
    CreateProrations,
    /// Nothing is credited or charged.
    None,
    /// The difference is invoiced at once.
    AlwaysInvoice,
}

impl Proration {
    /// Stripe's word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::CreateProrations => "create_prorations",
            Self::None => "none",
            Self::AlwaysInvoice => "always_invoice",
        }
    }
}

/// A discount, by what names it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum DiscountSource {
    /// A coupon.
    Coupon(CouponId),
    /// A promotion code, by its Stripe id.
    PromotionCode(Box<str>),
}

/// Why a tenant cancels, of the answers Stripe keeps too. A comment is personal and is not kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Feedback {
    /// Costs too much.
    TooExpensive,
    /// Something is missing.
    MissingFeatures,
    /// Went to somebody else.
    SwitchedService,
    /// Not needed any more.
    Unused,
    /// Unhappy with the help given.
    CustomerService,
    /// Hard to use.
    TooComplex,
    /// Not good enough.
    LowQuality,
    /// Something else.
    Other,
}

impl Feedback {
    /// Stripe's word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::TooExpensive => "too_expensive",
            Self::MissingFeatures => "missing_features",
            Self::SwitchedService => "switched_service",
            Self::Unused => "unused",
            Self::CustomerService => "customer_service",
            Self::TooComplex => "too_complex",
            Self::LowQuality => "low_quality",
            Self::Other => "other",
        }
    }
}

/// What is paused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum PauseMode {
    /// Invoices are made but not collected; the status stays as it is.
    Collection,
    /// The whole subscription; it needs Stripe's flexible billing mode.
    Subscription,
}

/// Which planned change is withdrawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum PlannedChange {
    /// The change to another paid plan.
    Plan,
    /// The cancellation that would end on the free plan.
    ToFree,
}

/// How the first payment of a subscription made without a checkout page is confirmed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ConfirmBy {
    /// On Stripe's hosted page of the invoice.
    #[default]
    Hosted,
    /// By the caller's own page.
    Client,
}

/// Why money is given back: Stripe's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RefundReason {
    /// Charged twice.
    Duplicate,
    /// Not made by the cardholder.
    Fraudulent,
    /// The customer asked for it.
    RequestedByCustomer,
}

impl RefundReason {
    /// Stripe's word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Duplicate => "duplicate",
            Self::Fraudulent => "fraudulent",
            Self::RequestedByCustomer => "requested_by_customer",
        }
    }
}

/// What a billing portal page opens with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum PortalFlow {
    /// Changing the payment method.
    PaymentMethodUpdate,
    /// Canceling.
    SubscriptionCancel,
    /// Choosing another plan.
    SubscriptionUpdate,
    /// Confirming a change of plan.
    SubscriptionUpdateConfirm,
}

/// A checkout page was asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CheckoutRequested {
    /// Which intent.
    pub intent: IntentHead,
    /// The Stripe customer, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub customer: Option<CustomerId>,
    /// What is to be bought.
    pub terms: WantedTerms,
    /// Days of trial; none: without one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trial_days: Option<u32>,
    /// Whether a card is asked for before the trial.
    pub card: TrialCard,
    /// A discount put on by the seller.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub discount: Option<DiscountSource>,
    /// The customer may enter promotion codes.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub promotion_codes: bool,
    /// Stripe computes the tax.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub automatic_tax: bool,
    /// The page asks for a tax id.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub collect_tax_id: bool,
    /// Whether the page asks for the address.
    pub billing_address: BillingAddress,
    /// Requests that never became a page and that this one stands for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub replaces: Vec<IntentId>,
}

/// A checkout page was opened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CheckoutStarted {
    /// The intent that asked for it.
    pub intent: IntentId,
    /// Its session.
    pub session: crate::ids::CheckoutSessionId,
    /// When it is given up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
}

/// A billing portal page was opened. Its address is secret and is not kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PortalSessionOpened {
    /// Which intent.
    pub intent: IntentHead,
    /// Whose page it is.
    pub customer: CustomerId,
    /// What it opens with; none: its first page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flow: Option<PortalFlow>,
}

/// A subscription was asked for without a checkout page.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SubscriptionRequested {
    /// Which intent.
    pub intent: IntentHead,
    /// The Stripe customer; none: one is made first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub customer: Option<CustomerId>,
    /// What is bought.
    pub terms: WantedTerms,
    /// Days of trial; none: without one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trial_days: Option<u32>,
    /// A discount from the start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub discount: Option<DiscountSource>,
    /// How the first payment is confirmed.
    pub confirm: ConfirmBy,
}

/// Another plan, interval or both were asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PlanChangeRequested {
    /// Which intent.
    pub intent: IntentHead,
    /// The subscription.
    pub subscription: SubscriptionId,
    /// The plan it had; none: unmapped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<PlanRef>,
    /// What it is to be.
    pub terms: WantedTerms,
    /// When.
    pub when: When,
    /// The end of the period it waits for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub effective_at: Option<Timestamp>,
    /// What happens to time already paid for.
    pub proration: Proration,
    /// A planned cancellation is withdrawn by it: who changes the plan stays.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub withdraws_cancellation: bool,
}

/// A planned change was asked to be let go.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PlanChangeWithdrawalRequested {
    /// Which intent.
    pub intent: IntentHead,
    /// The subscription.
    pub subscription: SubscriptionId,
    /// Which planned change.
    pub change: PlannedChange,
}

/// Another quantity was asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct QuantityChangeRequested {
    /// Which intent.
    pub intent: IntentHead,
    /// The subscription.
    pub subscription: SubscriptionId,
    /// The plan; none: unmapped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan: Option<PlanRef>,
    /// The price that is multiplied.
    pub price: PriceId,
    /// What was wanted before.
    pub from: u64,
    /// How many units, absolutely.
    pub quantity: u64,
    /// What happens to time already paid for.
    pub proration: Proration,
    /// Waiting quantity changes that this one stands for: the last absolute value wins.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub replaces: Vec<IntentId>,
}

/// An end was asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CancellationRequested {
    /// Which intent.
    pub intent: IntentHead,
    /// The subscription.
    pub subscription: SubscriptionId,
    /// When.
    pub when: When,
    /// The end of the period it waits for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub effective_at: Option<Timestamp>,
    /// The free plan it is a change to, when that was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to_plan: Option<PlanRef>,
    /// Why, if the tenant said so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub feedback: Option<Feedback>,
}

/// A planned cancellation was asked to be withdrawn.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ResumptionRequested {
    /// Which intent.
    pub intent: IntentHead,
    /// The subscription.
    pub subscription: SubscriptionId,
}

/// A pause was asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PauseRequested {
    /// Which intent.
    pub intent: IntentHead,
    /// The subscription.
    pub subscription: SubscriptionId,
    /// What is paused.
    pub mode: PauseMode,
    /// When it ends by itself; none: when somebody ends it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
}

/// The end of a pause was asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct UnpauseRequested {
    /// Which intent.
    pub intent: IntentHead,
    /// The subscription.
    pub subscription: SubscriptionId,
    /// What was paused.
    pub mode: PauseMode,
}

/// A discount was asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CouponRequested {
    /// Which intent.
    pub intent: IntentHead,
    /// The subscription.
    pub subscription: SubscriptionId,
    /// Which discount.
    pub discount: DiscountSource,
}

/// A longer trial was asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TrialExtensionRequested {
    /// Which intent.
    pub intent: IntentHead,
    /// The subscription.
    pub subscription: SubscriptionId,
    /// When it would have ended.
    pub from: Timestamp,
    /// When it is to end.
    pub until: Timestamp,
    /// Why, in the words of whoever granted it.
    pub reason: Box<str>,
}

/// The payment of an invoice was asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct InvoicePaymentRequested {
    /// Which intent.
    pub intent: IntentHead,
    /// The invoice.
    pub invoice: InvoiceId,
    /// What was to be paid, in minor units.
    pub amount_minor: i64,
    /// Currency of the amount.
    pub currency: Currency,
}

/// A refund was asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RefundRequested {
    /// Which intent.
    pub intent: IntentHead,
    /// The charge to give back.
    pub charge: ChargeId,
    /// Its payment, where known: refunds are looked up by it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payment_intent: Option<PaymentIntentId>,
    /// How much, in minor units.
    pub amount_minor: i64,
    /// Currency of the amount.
    pub currency: Currency,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<RefundReason>,
}

/// A change of the customer's contact data was asked for. The values lie in a table that can be erased.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CustomerUpdateRequested {
    /// Which intent.
    pub intent: IntentHead,
    /// The customer.
    pub customer: CustomerId,
    /// Which fields.
    pub fields: Vec<ContactField>,
}

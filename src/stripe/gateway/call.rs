//! Everything the ledger asks Stripe to do, with its parameters in our words.
//!
//! A call can be written down and read back: the outbox keeps it until it is settled.

use aggregates::ids::{
    ChargeId, CheckoutSessionId, CustomerId, InvoiceId, ItemId, PaymentIntentId, PaymentMethodId, PriceId, ScheduleId,
    SubscriptionId, TenantId,
};
use aggregates::money::Money;
pub use aggregates::subscription::asked::{DiscountSource, Feedback, Proration, RefundReason};
use aggregates::time::Timestamp;
use serde::{Deserialize, Serialize};

/// One change at Stripe.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "call", rename_all = "snake_case")]
pub enum Call {
    /// A customer for an account that has none.
    CreateCustomer {
        tenant: Option<TenantId>,
        name: Option<String>,
        email: Option<String>,
    },
    /// Changed fields of a customer; none leaves a field as it is.
    UpdateCustomer {
        customer: CustomerId,
        name: Option<String>,
        email: Option<String>,
        default_payment_method: Option<PaymentMethodId>,
    },
    /// A hosted checkout page for a subscription.
    OpenCheckout(Box<Checkout>),
    /// A checkout page nobody needs any more.
    ExpireCheckout { session: CheckoutSessionId },
    /// A hosted page of Stripe's billing portal.
    OpenPortal(Portal),
    /// A subscription without a checkout page.
    CreateSubscription(NewSubscription),
    /// Other prices or quantities, now.
    ChangeItems(ItemsChange),
    /// What a change would cost; with no items, what comes next as things are. Changes nothing, but is asked for by POST.
    Preview { customer: CustomerId, change: ItemsChange },
    /// An end at a time of the future.
    ScheduleCancellation {
        subscription: SubscriptionId,
        at: CancelAt,
        because: CancelReason,
    },
    /// No end after all.
    WithdrawCancellation { subscription: SubscriptionId },
    /// An end at once.
    CancelNow {
        subscription: SubscriptionId,
        /// Bill what is still open.
        invoice_now: bool,
        /// Credit the time that was paid for and not used.
        prorate: bool,
        because: CancelReason,
    },
    /// A paused subscription goes on.
    Resume {
        subscription: SubscriptionId,
        proration: Proration,
    },
    /// No service and no invoices for a while (flexible billing).
    Pause { subscription: SubscriptionId },
    /// Service goes on, invoices are not collected.
    PauseCollection {
        subscription: SubscriptionId,
        behavior: Uncollected,
        resumes_at: Option<Timestamp>,
    },
    /// Invoices are collected again.
    ResumeCollection { subscription: SubscriptionId },
    /// A discount beside those that stay; all others go.
    ApplyDiscount {
        subscription: SubscriptionId,
        /// Ids of the discounts that stay.
        stays: Vec<Box<str>>,
        discount: DiscountSource,
    },
    /// No discount.
    RemoveDiscounts { subscription: SubscriptionId },
    /// Another end of the trial, without proration.
    SetTrialEnd {
        subscription: SubscriptionId,
        end: TrialEnd,
    },
    /// A schedule that begins as the subscription is.
    StartSchedule { subscription: SubscriptionId },
    /// What a schedule does, phase by phase; afterwards the subscription goes on as the last one says.
    SetPhases {
        schedule: ScheduleId,
        phases: Vec<Phase>,
        /// What becomes of time already paid for when the current phase changes.
        proration: Proration,
    },
    /// The subscription stays as it is, without the schedule.
    ReleaseSchedule { schedule: ScheduleId },
    /// An open invoice is to be paid now.
    PayInvoice {
        invoice: InvoiceId,
        payment_method: Option<PaymentMethodId>,
    },
    /// Money back; all that is left when no amount is named.
    Refund {
        payment: Payment,
        amount: Option<Money>,
        because: Option<RefundReason>,
    },
}

/// A checkout page.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checkout {
    /// Who buys.
    pub customer: CustomerId,
    /// Whose account it is.
    pub tenant: Option<TenantId>,
    /// What is bought.
    pub items: Vec<PricedItem>,
    /// Days before the first payment.
    pub trial_days: Option<u32>,
    /// What a trial without a card ends in.
    pub without_card: Option<WithoutCard>,
    /// Ask for a card although nothing is due yet.
    pub card_up_front: bool,
    /// What the buyer pays less.
    pub discount: Option<DiscountSource>,
    /// Let the buyer type in a code. Not together with a discount.
    pub promotion_codes: bool,
    /// Let the buyer enter a tax id.
    pub tax_ids: bool,
    /// Let Stripe work out the taxes.
    pub automatic_tax: bool,
    /// Ask for the address even where it is not needed.
    pub address_required: bool,
    /// Where the buyer goes afterwards.
    pub success_url: String,
    /// Where the buyer goes without buying.
    pub cancel_url: Option<String>,
}

/// A page of the billing portal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Portal {
    /// Whose.
    pub customer: CustomerId,
    /// Where to go afterwards.
    pub return_url: String,
    /// One thing to do there; none: the whole portal.
    pub flow: Option<PortalFlow>,
    /// A configuration made at Stripe; none: the default one.
    pub configuration: Option<String>,
}

/// One thing to do in the portal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "flow", rename_all = "snake_case")]
pub enum PortalFlow {
    /// Another card.
    PaymentMethod,
    /// Cancel.
    Cancel { subscription: SubscriptionId },
    /// Choose another plan.
    ChangePlan { subscription: SubscriptionId },
    /// Confirm a change that is laid out.
    ConfirmChange {
        subscription: SubscriptionId,
        item: ItemId,
        price: PriceId,
        quantity: Option<u64>,
    },
}

/// A subscription to be made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewSubscription {
    /// Who pays.
    pub customer: CustomerId,
    /// Whose account it is.
    pub tenant: Option<TenantId>,
    /// What is bought.
    pub items: Vec<PricedItem>,
    /// Days before the first payment.
    pub trial_days: Option<u32>,
    /// What a trial without a card ends in.
    pub without_card: Option<WithoutCard>,
    /// What is paid less.
    pub discount: Option<DiscountSource>,
    /// With which card; none: the customer's default.
    pub payment_method: Option<PaymentMethodId>,
    /// Let Stripe work out the taxes.
    pub automatic_tax: bool,
    /// The first payment is made afterwards, on a page; it is not tried with a card on file.
    pub pays_later: bool,
}

/// A price and how many of it; metered prices have no quantity.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PricedItem {
    /// Which price.
    pub price: PriceId,
    /// How many.
    pub quantity: Option<u64>,
}

/// Other items on a subscription.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ItemsChange {
    /// Which.
    pub subscription: SubscriptionId,
    /// Item by item; the others stay.
    pub items: Vec<ItemChange>,
    /// What becomes of the time already paid for.
    pub proration: Proration,
    /// The second to prorate at: that of the preview, so that the price is the one shown.
    pub prorate_at: Option<Timestamp>,
    /// A planned end is withdrawn by it.
    #[serde(default)]
    pub keeps_subscription: bool,
}

/// What becomes of one item.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "change", rename_all = "snake_case")]
pub enum ItemChange {
    /// A new one.
    Add(PricedItem),
    /// Another price or quantity; none leaves it as it is.
    Set {
        item: ItemId,
        price: Option<PriceId>,
        quantity: Option<u64>,
    },
    /// It goes.
    Remove { item: ItemId },
}

/// A stretch of a schedule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Phase {
    /// What is sold.
    pub items: Vec<PricedItem>,
    /// From when; only the first phase needs it.
    pub starts_at: Option<Timestamp>,
    /// Until when; none for the last one.
    pub ends_at: Option<Timestamp>,
    /// What becomes of time already paid for when it begins.
    pub proration: Proration,
    /// The trial runs until then.
    pub trial_ends_at: Option<Timestamp>,
    /// Ids of the discounts that stay on: a phase that does not name them ends them.
    pub discounts: Vec<Box<str>>,
}

macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $word:literal,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum $name { $($(#[$vdoc])* $variant,)* }
        impl $name {
            /// Stripe's word for it.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word,)* }
            }
        }
    };
}

words! {
    /// What becomes of invoices while collection is paused.
    Uncollected {
        /// They wait as drafts.
        KeepAsDraft = "keep_as_draft",
        /// They are written off.
        MarkUncollectible = "mark_uncollectible",
        /// They are voided.
        Void = "void",
    }
}

words! {
    /// What a trial ends in when there is no card.
    WithoutCard {
        /// The subscription ends.
        Cancel = "cancel",
        /// An invoice is made all the same.
        CreateInvoice = "create_invoice",
        /// The subscription is paused.
        Pause = "pause",
    }
}

/// Why a subscription ends.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CancelReason {
    /// In Stripe's words.
    pub feedback: Option<Feedback>,
    /// In the user's words.
    pub comment: Option<String>,
}

/// When a subscription ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CancelAt {
    /// With what is paid for.
    PeriodEnd,
    /// At this time.
    Time(Timestamp),
}

/// When a trial ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TrialEnd {
    /// At once.
    Now,
    /// At this time.
    Time(Timestamp),
}

/// A payment that can be given back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Payment {
    /// By its intent.
    Intent(PaymentIntentId),
    /// By its charge, where no intent is known.
    Charge(ChargeId),
}

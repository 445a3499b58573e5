//! What a story is about, without any era's shape.

/// A customer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Customer {
    /// `cus_...`.
    pub id: String,
    /// The tenant named in its metadata, if any.
    pub tenant: Option<String>,
    /// Mail address (an `example` domain).
    pub email: String,
    /// Its default payment method.
    pub payment_method: Option<String>,
    /// Balance in minor units.
    pub balance_minor: i64,
    /// Deleted at Stripe.
    pub deleted: bool,
}

/// One item of a subscription.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// `si_...`.
    pub id: String,
    /// `price_...`.
    pub price: String,
    /// `prod_...`.
    pub product: String,
    /// How many.
    pub quantity: u64,
    /// Price of one, in minor units.
    pub unit_minor: i64,
    /// `month` or `year`.
    pub interval: &'static str,
}

/// A subscription.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subscription {
    /// `sub_...`.
    pub id: String,
    /// Whose.
    pub customer: String,
    /// The tenant named in its metadata, if any.
    pub tenant: Option<String>,
    /// Stripe's status.
    pub status: &'static str,
    /// Its items.
    pub items: Vec<Item>,
    /// Currency, lower case as Stripe writes it.
    pub currency: &'static str,
    /// When it was made, in seconds.
    pub created: i64,
    /// Billing period, in seconds.
    pub period: (i64, i64),
    /// Trial, in seconds.
    pub trial: Option<(i64, i64)>,
    /// Ends with the period.
    pub cancel_at_period_end: bool,
    /// When cancellation was asked for.
    pub canceled_at: Option<i64>,
    /// When it ended.
    pub ended_at: Option<i64>,
    /// Its newest invoice.
    pub latest_invoice: Option<String>,
    /// A coupon on it.
    pub coupon: Option<String>,
    /// Collection is paused, with this behaviour.
    pub pause_collection: Option<&'static str>,
}

/// One line of an invoice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// `il_...`.
    pub id: String,
    /// Amount in minor units.
    pub amount_minor: i64,
    /// The item it bills.
    pub item: String,
    /// Its price.
    pub price: String,
    /// Product of the price.
    pub product: String,
    /// How many.
    pub quantity: u64,
    /// The time it serves, in seconds.
    pub period: (i64, i64),
    /// The difference of a change inside a period.
    pub proration: bool,
}

/// An invoice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invoice {
    /// `in_...`.
    pub id: String,
    /// Whose.
    pub customer: String,
    /// What it bills.
    pub subscription: String,
    /// The tenant named in the subscription's metadata.
    pub tenant: Option<String>,
    /// Stripe's status.
    pub status: &'static str,
    /// Its number, once finalized.
    pub number: Option<String>,
    /// Why it was made.
    pub billing_reason: &'static str,
    /// Currency, lower case.
    pub currency: &'static str,
    /// Its lines.
    pub lines: Vec<Line>,
    /// What was paid, in minor units.
    pub paid_minor: i64,
    /// Payment attempts so far.
    pub attempts: u32,
    /// When Stripe tries again.
    pub next_attempt: Option<i64>,
    /// When it was made, in seconds.
    pub created: i64,
    /// When it was finalized.
    pub finalized_at: Option<i64>,
    /// When it was paid.
    pub paid_at: Option<i64>,
    /// Its payment.
    pub payment_intent: Option<String>,
}

impl Invoice {
    /// The sum of its lines.
    #[must_use]
    pub fn total_minor(&self) -> i64 {
        self.lines.iter().map(|line| line.amount_minor).sum()
    }
}

/// A charge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Charge {
    /// `ch_...`.
    pub id: String,
    /// Whose.
    pub customer: String,
    /// The invoice it pays; old eras say so on the charge.
    pub invoice: String,
    /// Its payment.
    pub payment_intent: String,
    /// Amount in minor units.
    pub amount_minor: i64,
    /// What was given back.
    pub refunded_minor: i64,
    /// Currency, lower case.
    pub currency: &'static str,
    /// `succeeded` or `failed`.
    pub status: &'static str,
    /// Why it failed.
    pub decline: Option<&'static str>,
    /// Disputed.
    pub disputed: bool,
    /// What was charged.
    pub payment_method: String,
    /// When, in seconds.
    pub created: i64,
}

/// A refund.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refund {
    /// `re_...`.
    pub id: String,
    /// The charge it gives back.
    pub charge: String,
    /// Its payment.
    pub payment_intent: String,
    /// Amount in minor units.
    pub amount_minor: i64,
    /// Currency, lower case.
    pub currency: &'static str,
    /// `pending`, `succeeded` or `failed`.
    pub status: &'static str,
    /// When, in seconds.
    pub created: i64,
}

/// A dispute.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dispute {
    /// `dp_...`.
    pub id: String,
    /// The charge.
    pub charge: String,
    /// Its payment.
    pub payment_intent: String,
    /// Amount in minor units.
    pub amount_minor: i64,
    /// Currency, lower case.
    pub currency: &'static str,
    /// Stripe's status.
    pub status: &'static str,
    /// Movements of the balance so far: (net, fee) in minor units.
    pub movements: Vec<(i64, i64)>,
    /// When, in seconds.
    pub created: i64,
}

/// A checkout session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkout {
    /// `cs_...`.
    pub id: String,
    /// Whose.
    pub customer: String,
    /// `client_reference_id`: the tenant.
    pub reference: Option<String>,
    /// What it made.
    pub subscription: String,
    /// What it made.
    pub invoice: Option<String>,
    /// What it came to.
    pub total_minor: i64,
    /// Currency, lower case.
    pub currency: &'static str,
    /// When it was made, in seconds.
    pub created: i64,
}

/// A card.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PaymentMethod {
    /// `pm_...`.
    pub id: String,
    /// Whose.
    pub customer: String,
    /// Brand.
    pub brand: &'static str,
    /// Last four digits.
    pub last4: &'static str,
    /// When, in seconds.
    pub created: i64,
}

/// Any of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Object {
    /// A customer.
    Customer(Customer),
    /// A subscription.
    Subscription(Subscription),
    /// An invoice.
    Invoice(Invoice),
    /// A charge.
    Charge(Charge),
    /// A refund.
    Refund(Refund),
    /// A dispute.
    Dispute(Dispute),
    /// A checkout session.
    Checkout(Checkout),
    /// A card.
    PaymentMethod(PaymentMethod),
}

//! What can be asked without changing anything.

use aggregates::ids::{CustomerId, InvoiceId, PayoutId, SubscriptionId};
use aggregates::time::Timestamp;

use super::call::Payment;

/// Objects on one page: the most Stripe gives.
pub const PAGE_MAX: u8 = 100;

/// A question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Read {
    /// One object. `expand` names references to be given as whole objects.
    Object {
        kind: ObjectKind,
        id: Box<str>,
        expand: &'static [&'static str],
    },
    /// A page of a list, newest first.
    List { list: Listing, page: Page },
}

impl Read {
    /// One object as it is.
    #[must_use]
    pub fn object(kind: ObjectKind, id: &str) -> Self {
        Self::Object {
            kind,
            id: id.into(),
            expand: &[],
        }
    }
}

macro_rules! kinds {
    ($($(#[$doc:meta])* $variant:ident = $word:literal,)*) => {
        /// Objects that can be asked for by their id.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum ObjectKind {
            $($(#[$doc])* $variant,)*
        }
        impl ObjectKind {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// Stripe's word for it, which is also the family word of the translation.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word,)* }
            }

            /// The kind of that word; none for what has no address of its own.
            #[must_use]
            pub fn from_word(word: &str) -> Option<Self> {
                match word { $($word => Some(Self::$variant),)* _ => None }
            }
        }
    };
}

kinds! {
    /// A customer.
    Customer = "customer",
    /// A subscription.
    Subscription = "subscription",
    /// A subscription schedule.
    Schedule = "subscription_schedule",
    /// A checkout session.
    CheckoutSession = "checkout.session",
    /// An invoice.
    Invoice = "invoice",
    /// A payment of an invoice.
    InvoicePayment = "invoice_payment",
    /// A charge.
    Charge = "charge",
    /// A payment intent.
    PaymentIntent = "payment_intent",
    /// A refund.
    Refund = "refund",
    /// A dispute.
    Dispute = "dispute",
    /// A credit note.
    CreditNote = "credit_note",
    /// A payout.
    Payout = "payout",
    /// A balance transaction.
    BalanceTransaction = "balance_transaction",
    /// A product.
    Product = "product",
    /// A price.
    Price = "price",
    /// A coupon.
    Coupon = "coupon",
    /// A promotion code.
    PromotionCode = "promotion_code",
    /// A tax rate.
    TaxRate = "tax_rate",
    /// A payment method.
    PaymentMethod = "payment_method",
    /// An event of the last thirty days.
    Event = "event",
    /// A clock of Stripe's test mode.
    TestClock = "test_helpers.test_clock",
}

/// Lists, by whose they are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Listing {
    /// Customers made since then.
    CustomersSince(Timestamp),
    /// Subscriptions of a customer, ended ones too.
    Subscriptions(CustomerId),
    /// Items of a subscription.
    Items(SubscriptionId),
    /// Schedules of a customer.
    Schedules(CustomerId),
    /// Checkout sessions of a customer.
    CheckoutSessions(CustomerId),
    /// Invoices of a customer.
    Invoices(CustomerId),
    /// Lines of an invoice.
    InvoiceLines(InvoiceId),
    /// Payments of an invoice.
    InvoicePayments(InvoiceId),
    /// Charges of a customer.
    Charges(CustomerId),
    /// Payment intents of a customer.
    PaymentIntents(CustomerId),
    /// Refunds of a payment.
    Refunds(Payment),
    /// Credit notes of a customer.
    CreditNotes(CustomerId),
    /// Payment methods of a customer.
    PaymentMethods(CustomerId),
    /// The promotion code a customer types in.
    PromotionCodes(Box<str>),
    /// What a payout consists of.
    PayoutTransactions(PayoutId),
    /// All balance transactions since then.
    TransactionsSince(Timestamp),
    /// Events, of all types or of these; the last thirty days.
    Events {
        types: Vec<String>,
        since: Option<Timestamp>,
    },
}

/// Which page.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Page {
    /// The newest objects.
    #[default]
    Newest,
    /// Older ones: those that follow this id.
    After(Box<str>),
    /// Newer ones: those that come right before this id.
    Before(Box<str>),
}

//! What may be asked of an account: imperative.

use super::asked::CheckoutStarted;
use super::event::SubscriptionEvent;
use super::request::Request;
use super::settled::StripeCallSettled;
use crate::ids::{CustomerId, TenantId};
use crate::money::Currency;
use crate::observation::Observation;

/// A command to an account stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SubscriptionCommand {
    /// Open the account of a tenant; opening it again changes nothing.
    OpenAccount {
        /// Its tenant, if known.
        tenant: Option<TenantId>,
        /// The currency it is to be billed in.
        currency: Option<Currency>,
    },
    /// State that a Stripe customer belongs to the account.
    LinkCustomer {
        /// The customer.
        customer: CustomerId,
    },
    /// Give a tenant to an account that has none.
    AssignTenant {
        /// The tenant.
        tenant: TenantId,
        /// Why, when a person does it.
        reason: Option<String>,
    },
    /// Take note of what a source says about a Stripe object of the account.
    Observe(Box<Observation>),
    /// Do what a person asks for at Stripe.
    Request(Box<Request>),
    /// Take note of Stripe's answer to the call of an intent.
    SettleCall(Box<StripeCallSettled>),
    /// Take note of the page a checkout intent opened.
    StartCheckout(Box<CheckoutStarted>),
}

/// What a decision asks Stripe for afterwards; it becomes an outbox row.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Refresh {
    /// Two snapshots are tied: fetch the object, the fetched snapshot settles it. Kind and Stripe id.
    Tied {
        /// Stripe's word for the object, for instance `subscription`.
        object: &'static str,
        /// Its id.
        id: String,
    },
    /// A fact this API version leaves out is missing: fetch the object. Kind and Stripe id.
    Incomplete {
        /// Stripe's word for the object.
        object: &'static str,
        /// Its id.
        id: String,
    },
}

/// The answer of `decide`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub enum Decision<E = SubscriptionEvent> {
    /// Record these events, in this order, and ask Stripe for these objects.
    Record {
        /// At least one.
        events: Vec<E>,
        /// Usually none.
        refresh: Vec<Refresh>,
    },
    /// The command was carried out before: nothing to record.
    AlreadyApplied,
    /// A twin of what is known: nothing to record.
    Superseded,
}

//! Whose account it is.

use serde::{Deserialize, Serialize};

use crate::ids::{CustomerId, TenantId};
use crate::money::Currency;
use crate::subscription::event::SubscriptionEvent;

/// Whether the account is open, and whose it is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountBook {
    /// Its first event was recorded.
    pub opened: bool,
    /// Its tenant; none: unassigned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant: Option<TenantId>,
    /// Its Stripe customer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub customer: Option<CustomerId>,
    /// The currency it is to be billed in, if stated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub currency: Option<Currency>,
}

impl AccountBook {
    /// Takes one event; tells whether it was one of these.
    pub fn apply(&mut self, event: &SubscriptionEvent) -> bool {
        if let SubscriptionEvent::AccountOpened(it) = event {
            self.opened = true;
            self.tenant.clone_from(&it.tenant);
            self.currency = it.currency;
        } else if let SubscriptionEvent::CustomerLinked(it) = event {
            self.customer = Some(it.customer.clone());
        } else if let SubscriptionEvent::TenantAssigned(it) = event {
            self.tenant = Some(it.tenant.clone());
        } else {
            return false;
        }
        true
    }
}

//! Opening an account, linking its customer, assigning its tenant.

use crate::ids::{CustomerId, TenantId};
use crate::money::Currency;
use crate::subscription::command::Decision;
use crate::subscription::event::SubscriptionEvent;
use crate::subscription::rejection::Rejection;
use crate::subscription::seen::{AccountOpened, CustomerLinked, TenantAssigned};
use crate::subscription::state::AccountBook;

pub(super) fn open(
    account: &AccountBook,
    tenant: Option<&TenantId>,
    currency: Option<Currency>,
) -> Result<Decision, Rejection> {
    if !account.opened {
        return Ok(one(opened(tenant, currency)));
    }
    match tenant {
        Some(tenant) => assign(account, tenant, None),
        None => Ok(Decision::AlreadyApplied),
    }
}

pub(super) fn link(account: &AccountBook, customer: &CustomerId) -> Result<Decision, Rejection> {
    match &account.customer {
        Some(has) if has == customer => Ok(Decision::AlreadyApplied),
        Some(has) => Err(Rejection::CustomerAlreadyLinked {
            has: has.clone(),
            wanted: customer.clone(),
        }),
        None => Ok(Decision::Record {
            events: opening(account, None, Some(customer)),
            refresh: Vec::new(),
        }),
    }
}

pub(super) fn assign(account: &AccountBook, tenant: &TenantId, reason: Option<&str>) -> Result<Decision, Rejection> {
    match &account.tenant {
        Some(known) if known == tenant => Ok(Decision::AlreadyApplied),
        Some(known) => Err(Rejection::TenantAlreadyLinked {
            tenant: tenant.clone(),
            linked_to: known.to_string(),
        }),
        None if account.opened => Ok(one(assigned(tenant, reason))),
        None => Ok(one(opened(Some(tenant), None))),
    }
}

/// What an observation teaches about whose account it is: opens a new stream, links its customer, follows a tenant
/// hint where no tenant is known.
pub(super) fn opening(
    account: &AccountBook,
    hint: Option<&TenantId>,
    customer: Option<&CustomerId>,
) -> Vec<SubscriptionEvent> {
    let mut events = Vec::new();
    if !account.opened {
        events.push(opened(hint, None));
    } else if let (None, Some(tenant)) = (&account.tenant, hint) {
        events.push(assigned(tenant, None));
    }
    if let (None, Some(customer)) = (&account.customer, customer) {
        events.push(SubscriptionEvent::CustomerLinked(CustomerLinked {
            customer: customer.clone(),
        }));
    }
    events
}

fn opened(tenant: Option<&TenantId>, currency: Option<Currency>) -> SubscriptionEvent {
    SubscriptionEvent::AccountOpened(AccountOpened {
        tenant: tenant.cloned(),
        currency,
    })
}

fn assigned(tenant: &TenantId, reason: Option<&str>) -> SubscriptionEvent {
    SubscriptionEvent::TenantAssigned(TenantAssigned {
        tenant: tenant.clone(),
        reason: reason.map(Into::into),
    })
}

fn one(event: SubscriptionEvent) -> Decision {
    Decision::Record {
        events: vec![event],
        refresh: Vec::new(),
    }
}

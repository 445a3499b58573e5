//! Why an account refuses a command: the words say what to do.

use crate::ids::{CustomerId, TenantId};

/// A refusal. Nothing was recorded.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    /// The account, or the tenant, already belongs elsewhere.
    #[error("tenant {tenant} is already linked to another account ({linked_to}); a tenant has one account")]
    TenantAlreadyLinked {
        /// The tenant that was to be linked.
        tenant: TenantId,
        /// What it, or the account, is linked to.
        linked_to: String,
    },
    /// The account has another customer.
    #[error("the account already has the Stripe customer {has}, so {wanted} cannot be linked to it")]
    CustomerAlreadyLinked {
        /// The customer it has.
        has: CustomerId,
        /// The customer that was to be linked.
        wanted: CustomerId,
    },
    /// The object names another tenant than the account's; the fact is recorded, the hint is not followed.
    #[error(
        "the account belongs to tenant {known}, but the object names tenant {hinted}; correct the metadata at Stripe"
    )]
    TenantMismatch {
        /// The account's tenant.
        known: TenantId,
        /// The tenant named.
        hinted: TenantId,
    },
}

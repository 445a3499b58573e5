//! Who is calling: one bearer credential becomes one [`Principal`], or a refusal that says nothing about what exists.
//!
//! 1. `subl_<mode>_<id>_<secret>` is an API key ([`api_key`]), looked up by its id and compared by HMAC.
//! 2. `subladm_<secret>` is the token a running server leaves in `serve.json` for commands on the same machine.
//! 3. Anything else is taken for a portal token ([`portal_token`]): algorithm, issuer and audience are fixed by
//!    configuration, never by the token.
//! 4. A [`ticket`] stands for one of these, once and on one stream.
//!
//! What a principal may do is a set of scopes, or for portal tokens a role; the route table says which one a route asks.

pub mod api_key;
pub mod crypto;
pub mod key_ring;
pub mod key_store;
pub mod portal_token;
pub mod principal;
pub mod scope;
pub mod ticket;

pub use principal::{Kind, Principal, Role};
pub use scope::{Scope, ScopeSet};

/// Why a credential is not accepted. The caller learns that it is not, and for a missing one that it is missing;
/// the reason goes to the log and the counter.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AuthError {
    /// No `Authorization` header.
    #[error("no credential: send `Authorization: Bearer <API key or portal token>`")]
    Missing,
    /// The header is not `Bearer <token>`.
    #[error("the Authorization header is not of the form `Bearer <API key or portal token>`")]
    Malformed,
    /// Unknown, wrong, revoked or expired; which of them is not said.
    #[error("the credential is not valid (any more)")]
    Refused(&'static str),
    /// Nothing is configured that could check portal tokens.
    #[error("the credential is not valid (any more)")]
    PortalNotConfigured,
    /// The store with the keys does not answer; the credential may be good.
    #[error("the store does not answer, so the credential could not be checked")]
    Unavailable,
}

impl AuthError {
    /// A stable word for metrics and the log.
    #[must_use]
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Malformed => "malformed",
            Self::Refused(reason) => reason,
            Self::PortalNotConfigured => "portal_not_configured",
            Self::Unavailable => "store_unavailable",
        }
    }
}

/// Whether a ledger, and a key, concern test or live money.
pub use aggregates::plan::Mode;

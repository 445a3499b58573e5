//! The caller, as far as a credential shows it.

use aggregates::ids::TenantId;
use aggregates::recorded::Actor;
use aggregates::time::Timestamp;

use super::scope::{Scope, ScopeSet};

/// Role of a portal token; each includes the ones before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// May look.
    Viewer,
    /// May use.
    Member,
    /// May buy.
    Billing,
    /// May do everything for its tenant.
    Admin,
}

impl Role {
    /// Every role, least first.
    pub const ALL: [Self; 4] = [Self::Viewer, Self::Member, Self::Billing, Self::Admin];

    /// Its written form.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Member => "member",
            Self::Billing => "billing",
            Self::Admin => "admin",
        }
    }

    /// Reads the written form.
    #[must_use]
    pub fn find(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.as_str() == text)
    }
}

/// What kind of credential it was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A person of the portal.
    Portal {
        /// Subject of the token.
        subject: Box<str>,
        /// Role after the role map.
        role: Role,
    },
    /// An API key.
    Key {
        /// Its public id.
        id: Box<str>,
    },
    /// A command on the machine of a running server.
    Operator,
}

/// A caller with its rights.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Principal {
    /// What it showed.
    pub kind: Kind,
    /// The only tenant it may touch; nothing = all.
    pub tenant: Option<TenantId>,
    /// Rights; empty for portal tokens, whose right is the role.
    pub scopes: ScopeSet,
    /// When the credential ends.
    pub expires_at: Option<Timestamp>,
}

impl Principal {
    /// The operator at the machine itself: every right.
    #[must_use]
    pub fn operator() -> Self {
        Self {
            kind: Kind::Operator,
            tenant: None,
            scopes: ScopeSet::all(),
            expires_at: None,
        }
    }

    /// Role of a portal token.
    #[must_use]
    pub const fn role(&self) -> Option<Role> {
        match &self.kind {
            Kind::Portal { role, .. } => Some(*role),
            Kind::Key { .. } | Kind::Operator => None,
        }
    }

    /// Whether it holds `scope`; portal tokens hold none.
    #[must_use]
    pub const fn has(&self, scope: Scope) -> bool {
        self.scopes.has(scope)
    }

    /// Who stands behind events this caller causes.
    #[must_use]
    pub fn actor(&self) -> Actor {
        match &self.kind {
            Kind::Portal { subject, role } => Actor::User {
                id: subject.clone(),
                role: role.as_str().into(),
            },
            Kind::Key { id } => Actor::Key { id: id.clone() },
            Kind::Operator => Actor::Operator,
        }
    }

    /// A name that is the same for every request of this caller: the scope of idempotency keys and rate limits.
    #[must_use]
    pub fn scope_name(&self) -> String {
        match (&self.kind, &self.tenant) {
            (Kind::Portal { subject, .. }, Some(tenant)) => format!("user:{tenant}/{subject}"),
            (Kind::Portal { .. } | Kind::Key { .. } | Kind::Operator, _) => self.actor().label(),
        }
    }
}

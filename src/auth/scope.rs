//! Scopes of keys: what a credential may do, as one machine word so that a check costs nothing.

use std::fmt;

macro_rules! scopes {
    ($($(#[$doc:meta])* $name:ident = $text:literal;)*) => {
        /// One right.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Scope {
            $($(#[$doc])* $name,)*
        }

        impl Scope {
            /// Every scope there is.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// Its written form, for instance `tenants:read`.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)*
                }
            }
        }
    };
}

scopes! {
    /// Tenants and unassigned accounts.
    TenantsRead = "tenants:read";
    /// Open tenants, assign accounts.
    TenantsWrite = "tenants:write";
    /// Erase personal data.
    TenantsErase = "tenants:erase";
    /// Subscriptions and their history.
    SubscriptionRead = "subscription:read";
    /// Commands on subscriptions.
    SubscriptionWrite = "subscription:write";
    /// Features and limits.
    EntitlementsRead = "entitlements:read";
    /// Quotas.
    UsageRead = "usage:read";
    /// Record usage.
    UsageWrite = "usage:write";
    /// Invoices.
    InvoicesRead = "invoices:read";
    /// Pay invoices.
    InvoicesWrite = "invoices:write";
    /// The event log.
    AuditRead = "audit:read";
    /// Journal and metrics.
    FinanceRead = "finance:read";
    /// Exports.
    FinanceExport = "finance:export";
    /// Refunds.
    FinanceWrite = "finance:write";
    /// Close and reopen periods.
    PeriodsClose = "periods:close";
    /// Give second signatures.
    ApprovalsWrite = "approvals:write";
    /// Reconciliation results.
    ReconciliationRead = "reconciliation:read";
    /// Start reconciliations.
    ReconciliationRun = "reconciliation:run";
    /// Resolve discrepancies.
    ReconciliationRepair = "reconciliation:repair";
    /// Webhook receipts.
    InboxRead = "inbox:read";
    /// Replay and discard receipts.
    InboxWrite = "inbox:write";
    /// Outgoing webhooks.
    EndpointsRead = "endpoints:read";
    /// Change outgoing webhooks.
    EndpointsWrite = "endpoints:write";
    /// Change the catalogue.
    PlansWrite = "plans:write";
    /// Flags.
    FlagsRead = "flags:read";
    /// Change flags.
    FlagsWrite = "flags:write";
    /// Dunning cases.
    DunningRead = "dunning:read";
    /// Act on dunning cases.
    DunningWrite = "dunning:write";
    /// Workspaces.
    WorkspaceRead = "workspace:read";
    /// Start and stop workspaces.
    WorkspaceWrite = "workspace:write";
    /// Issue portal tokens.
    PortalIssue = "portal:issue";
    /// Manage API keys.
    KeysAdmin = "keys:admin";
    /// Projections and jobs.
    SystemRead = "system:read";
    /// Rebuild, swap, skip.
    SystemWrite = "system:write";
}

/// The text is no scope.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a scope; see the list at /docs")]
pub struct ScopeError(pub String);

impl Scope {
    /// Reads the written form.
    pub fn parse(text: &str) -> Result<Self, ScopeError> {
        let found = Self::ALL.iter().find(|scope| scope.as_str() == text);
        found
            .copied()
            .ok_or_else(|| ScopeError(text.chars().take(64).collect()))
    }

    const fn bit(self) -> u64 {
        1 << (self as u64)
    }

    /// The read scope that a write scope carries with it.
    fn implied(self) -> Option<Self> {
        let area = self.as_str().strip_suffix(":write")?;
        Self::ALL
            .iter()
            .find(|scope| scope.as_str().strip_suffix(":read") == Some(area))
            .copied()
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A set of scopes, closed under "write includes read".
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ScopeSet(u64);

impl ScopeSet {
    /// Nothing.
    pub const EMPTY: Self = Self(0);

    /// Everything.
    #[must_use]
    pub fn all() -> Self {
        Scope::ALL.iter().copied().collect()
    }

    /// Reads written scopes; the first unknown one is the error.
    pub fn parse<'a>(texts: impl IntoIterator<Item = &'a str>) -> Result<Self, ScopeError> {
        texts.into_iter().map(Scope::parse).collect()
    }

    /// Whether `scope` is in it.
    #[must_use]
    pub const fn has(self, scope: Scope) -> bool {
        self.0 & scope.bit() != 0
    }

    /// Whether every scope of `other` is in it.
    #[must_use]
    pub const fn covers(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Its members in the order of the list.
    pub fn iter(self) -> impl Iterator<Item = Scope> {
        Scope::ALL.iter().copied().filter(move |scope| self.has(*scope))
    }
}

impl FromIterator<Scope> for ScopeSet {
    fn from_iter<I: IntoIterator<Item = Scope>>(scopes: I) -> Self {
        let add = |bits, scope: Scope| bits | scope.bit() | scope.implied().map_or(0, Scope::bit);
        Self(scopes.into_iter().fold(0, add))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_scope_reads_as_written_and_has_a_bit_of_its_own() {
        for scope in Scope::ALL {
            assert_eq!(Scope::parse(scope.as_str()), Ok(*scope));
        }
        let bits: u64 = Scope::ALL.iter().map(|scope| scope.bit()).fold(0, |a, b| a ^ b);
        assert_eq!(bits.count_ones() as usize, Scope::ALL.len());
        assert!(Scope::parse("tenants:READ").is_err());
    }

    #[test]
    fn write_includes_read_and_nothing_else() {
        let set = ScopeSet::parse(["tenants:write"]).unwrap();
        assert_eq!(
            set.iter().map(Scope::as_str).collect::<Vec<_>>(),
            ["tenants:read", "tenants:write"]
        );
        let run = ScopeSet::parse(["reconciliation:run"]).unwrap();
        assert_eq!(run.iter().count(), 1);
        assert!(ScopeSet::all().covers(set) && !set.covers(run));
    }
}

//! What a person should look at: counted and said once where it is found; the facts themselves are recorded all the
//! same.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use aggregates::ids::{StreamId, TenantId};

/// Something that does not fit, though nothing failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Finding {
    /// A hint at a tenant whose account is another one.
    #[error(
        "an object names tenant {tenant}, whose account is {linked_to}; a tenant has one account: correct the \
         metadata at Stripe, or assign the account to another tenant"
    )]
    TenantAlreadyLinked {
        /// The tenant named.
        tenant: TenantId,
        /// Its account.
        linked_to: StreamId,
    },
    /// A hint at another tenant than the account's.
    #[error("account {stream} belongs to tenant {known}, but an object names {hinted}; correct the metadata at Stripe")]
    TenantMismatch {
        /// The account.
        stream: StreamId,
        /// Its tenant.
        known: String,
        /// The tenant named.
        hinted: TenantId,
    },
    /// An event of the other mode.
    #[error("event {event} is of {got} mode, this ledger keeps {kept} mode; correct the endpoint at Stripe")]
    WrongMode {
        /// The event.
        event: String,
        /// Its mode.
        got: &'static str,
        /// Ours.
        kept: &'static str,
    },
    /// Two eras of a fact in one object disagree.
    #[error("event {event} says {fact} twice and differently; the newer path was believed")]
    ExtractionConflict {
        /// The event.
        event: String,
        /// The fact.
        fact: String,
    },
}

/// Totals since the start.
#[derive(Debug, Default)]
pub struct FindingCounters {
    /// Hints not followed.
    pub link: AtomicU64,
    /// Events of the other mode.
    pub mode: AtomicU64,
    /// Facts said twice.
    pub extraction: AtomicU64,
}

/// Where findings go. Cheap to clone.
#[derive(Clone, Default)]
pub struct Findings(Arc<FindingCounters>);

impl Findings {
    /// Counts and says it.
    pub(crate) fn raise(&self, finding: &Finding) {
        let (counter, kind) = match finding {
            Finding::TenantAlreadyLinked { .. } | Finding::TenantMismatch { .. } => (&self.0.link, "link"),
            Finding::WrongMode { .. } => (&self.0.mode, "mode"),
            Finding::ExtractionConflict { .. } => (&self.0.extraction, "extraction"),
        };
        counter.fetch_add(1, Ordering::Relaxed);
        tracing::warn!(finding.kind = kind, "{finding}");
    }

    /// Totals since the start.
    #[must_use]
    pub fn counters(&self) -> &FindingCounters {
        &self.0
    }
}

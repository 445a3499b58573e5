//! Access: our own word, derived from Stripe's status, the disputes and the policy.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::facts::{DisputeSnapshot, DisputeStatus, SubscriptionStatus};
use crate::ids::DisputeId;
use crate::plan::{Access, Catalogue};
use crate::register::Book;

/// The catalogue's answers to what a status means for access.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AccessPolicy {
    /// The catalogue has a plan without a price.
    pub has_free_plan: bool,
    /// An overdue payment leaves access as it was for a while (`grace_days` above zero).
    pub has_grace: bool,
    /// Most access while a dispute is open.
    pub dispute_open: Access,
    /// Most access after a dispute was lost.
    pub dispute_lost: Access,
}

impl Default for AccessPolicy {
    fn default() -> Self {
        Self {
            has_free_plan: false,
            has_grace: true,
            dispute_open: Access::Full,
            dispute_lost: Access::Restricted,
        }
    }
}

impl AccessPolicy {
    /// As a catalogue says.
    #[must_use]
    pub fn of(catalogue: &Catalogue) -> Self {
        Self {
            has_free_plan: catalogue.free_plan().is_some(),
            has_grace: catalogue.terms().dunning.grace_days > 0,
            dispute_open: catalogue.terms().disputes.open.access(),
            dispute_lost: catalogue.terms().disputes.lost.access(),
        }
    }
}

/// Which disputes an account has. An inquiry is none: no money moved.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DisputeStanding {
    /// At least one is open.
    pub open: bool,
    /// At least one was lost.
    pub lost: bool,
}

impl DisputeStanding {
    /// Of an account's disputes.
    #[must_use]
    pub fn of(disputes: &BTreeMap<DisputeId, Book<DisputeSnapshot>>) -> Self {
        let mut standing = Self::default();
        for book in disputes.values() {
            let current = book.register.current();
            match current.map(|entry| &entry.snapshot.status) {
                Some(
                    DisputeStatus::NeedsResponse
                    | DisputeStatus::UnderReview
                    | DisputeStatus::AppealNeedsResponse
                    | DisputeStatus::AppealUnderReview
                    | DisputeStatus::Unrecognised(_),
                ) => standing.open = true,
                Some(DisputeStatus::Lost) => standing.lost = true,
                Some(
                    DisputeStatus::WarningNeedsResponse
                    | DisputeStatus::WarningUnderReview
                    | DisputeStatus::WarningClosed
                    | DisputeStatus::Won
                    | DisputeStatus::Prevented,
                )
                | None => {}
            }
        }
        standing
    }
}

/// The status gives no plan: the free one applies, if there is one.
pub(super) const fn is_without_plan(status: Option<&SubscriptionStatus>) -> bool {
    match status {
        None
        | Some(
            SubscriptionStatus::Unpaid
            | SubscriptionStatus::Incomplete
            | SubscriptionStatus::IncompleteExpired
            | SubscriptionStatus::Canceled,
        ) => true,
        Some(
            SubscriptionStatus::Trialing
            | SubscriptionStatus::Active
            | SubscriptionStatus::PastDue
            | SubscriptionStatus::Paused
            | SubscriptionStatus::Unrecognised(_),
        ) => false,
    }
}

/// Access of the primary subscription, no more than the disputes allow.
///
/// A status we do not know is treated as an overdue payment: cutting everybody off because Stripe has a new word, or
/// letting everybody in for good, would both be guesses; it is raised as a finding and grace bounds it.
pub(super) fn access(status: Option<&SubscriptionStatus>, disputes: DisputeStanding, policy: &AccessPolicy) -> Access {
    let by_status = match status {
        Some(SubscriptionStatus::Trialing | SubscriptionStatus::Active) => Access::Full,
        Some(SubscriptionStatus::PastDue | SubscriptionStatus::Unrecognised(_)) if policy.has_grace => Access::Grace,
        Some(SubscriptionStatus::PastDue | SubscriptionStatus::Unrecognised(_) | SubscriptionStatus::Paused) => {
            Access::Restricted
        }
        None
        | Some(
            SubscriptionStatus::Unpaid
            | SubscriptionStatus::Incomplete
            | SubscriptionStatus::IncompleteExpired
            | SubscriptionStatus::Canceled,
        ) if policy.has_free_plan => Access::Full,
        None
        | Some(
            SubscriptionStatus::Unpaid
            | SubscriptionStatus::Incomplete
            | SubscriptionStatus::IncompleteExpired
            | SubscriptionStatus::Canceled,
        ) => Access::Blocked,
    };
    let open = if disputes.open {
        policy.dispute_open
    } else {
        Access::Full
    };
    let lost = if disputes.lost {
        policy.dispute_lost
    } else {
        Access::Full
    };
    // The words are ordered from most to least.
    by_status.max(open).max(lost)
}

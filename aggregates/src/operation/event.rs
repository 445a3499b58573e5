//! What people and jobs do to the ledger itself.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::ids::TenantId;
use crate::time::Timestamp;

/// Aggregate type of these streams.
pub const AGGREGATE_TYPE: &str = "operation";

/// Version every event of this aggregate is written with today.
pub const EVENT_VERSION: u32 = 1;

/// Names that later releases write.
pub const RESERVED_NAMES: &[&str] = &[
    "approval_requested",
    "approval_given",
    "approval_refused",
    "export_requested",
    "export_made",
    "export_downloaded",
    "personal_data_read",
    "flag_changed",
    "policy_changed",
    "endpoint_changed",
    "period_closed",
    "period_reopened",
    "alert_raised",
    "alert_acknowledged",
    "alert_cleared",
];

/// An event of a stream of `operation`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OperationEvent {
    /// An API key was made.
    KeyCreated {
        /// Key.
        key: Box<str>,
        /// Name.
        name: Box<str>,
        /// Scopes.
        scopes: Vec<Box<str>>,
        /// Tenant.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        tenant: Option<TenantId>,
        /// Expires at.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        expires_at: Option<Timestamp>,
    },
    /// A key got a successor; both work until the overlap ends.
    KeyRotated {
        /// Key.
        key: Box<str>,
        /// Successor.
        successor: Box<str>,
        /// Old valid until.
        old_valid_until: Timestamp,
    },
    /// A key no longer works.
    KeyRevoked {
        /// Key.
        key: Box<str>,
    },
    /// A parked or quarantined receipt was sent through again.
    ReceiptReplayed {
        /// Source.
        source: Box<str>,
        /// Event.
        event: Box<str>,
        /// Reason.
        reason: Box<str>,
    },
    /// A receipt was given up by a decision.
    ReceiptDiscarded {
        /// Source.
        source: Box<str>,
        /// Event.
        event: Box<str>,
        /// Reason.
        reason: Box<str>,
    },
    /// Somebody read the raw bytes of a receipt.
    RawReceiptRead {
        /// Source.
        source: Box<str>,
        /// Event.
        event: Box<str>,
    },
    /// A view was rebuilt from zero in its inactive slot.
    ProjectionRebuilt {
        /// Projection.
        projection: Box<str>,
        /// Slot.
        slot: u8,
        /// Version.
        version: u32,
        /// Reason.
        reason: Box<str>,
    },
    /// Readers moved to the other slot.
    ProjectionSwapped {
        /// Projection.
        projection: Box<str>,
        /// Slot.
        slot: u8,
        /// Version.
        version: u32,
        /// Reason.
        reason: Box<str>,
    },
    /// A view went past an event its fold refused.
    ProjectionSkipped {
        /// Projection.
        projection: Box<str>,
        /// Part.
        part: u32,
        /// Position.
        position: u64,
        /// Reason.
        reason: Box<str>,
    },
    /// A job began.
    RunStarted {
        /// Run.
        run: Box<str>,
        /// Kind.
        kind: Box<str>,
    },
    /// A job ended.
    RunFinished {
        /// Run.
        run: Box<str>,
        /// Kind.
        kind: Box<str>,
        /// Outcome.
        outcome: Box<str>,
        /// Done.
        done: u64,
        /// Failed.
        failed: u64,
    },
    /// A plan catalogue took effect.
    CatalogueLoaded {
        /// Version.
        version: u32,
        /// Content hash.
        content_hash: Box<str>,
    },
}

impl OperationEvent {
    /// The stored name without its prefix.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::KeyCreated { .. } => "key_created",
            Self::KeyRotated { .. } => "key_rotated",
            Self::KeyRevoked { .. } => "key_revoked",
            Self::ReceiptReplayed { .. } => "receipt_replayed",
            Self::ReceiptDiscarded { .. } => "receipt_discarded",
            Self::RawReceiptRead { .. } => "raw_receipt_read",
            Self::ProjectionRebuilt { .. } => "projection_rebuilt",
            Self::ProjectionSwapped { .. } => "projection_swapped",
            Self::ProjectionSkipped { .. } => "projection_skipped",
            Self::RunStarted { .. } => "run_started",
            Self::RunFinished { .. } => "run_finished",
            Self::CatalogueLoaded { .. } => "catalogue_loaded",
        }
    }

    /// The family it belongs to, as the audit index shows it.
    #[must_use]
    pub const fn family(&self) -> &'static str {
        match self {
            Self::KeyCreated { .. } | Self::KeyRotated { .. } | Self::KeyRevoked { .. } => "key",
            Self::ReceiptReplayed { .. } | Self::ReceiptDiscarded { .. } | Self::RawReceiptRead { .. } => "receipt",
            Self::ProjectionRebuilt { .. } | Self::ProjectionSwapped { .. } | Self::ProjectionSkipped { .. } => {
                "projection"
            }
            Self::RunStarted { .. } | Self::RunFinished { .. } => "run",
            Self::CatalogueLoaded { .. } => "catalogue",
        }
    }
}

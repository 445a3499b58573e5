//! What a read model is: keys, a pure fold, and its columns.

use std::sync::OnceLock;

use aggregates::recorded::LedgerEvent;
use aggregates::subscription::SubscriptionEvent;
use aggregates::time::Timestamp;

use crate::log::StoredEvent;
use crate::table::{Key, RowError, RowSink, RowSource, Table};

/// One view. Folding has no side effects and knows no clock: replay is always safe, and gives the same bytes.
pub trait Projection: Send + Sync + 'static {
    /// Name of the view, its tables and its checkpoints.
    const NAME: &'static str;
    /// Raised with every change of the fold or the columns; slots filled by another version are not read.
    const VERSION: u32;
    /// Its table.
    const TABLE: Table;
    /// Reads account streams only; else it sees every event.
    const ACCOUNTS_ONLY: bool = true;
    /// One row.
    type Row: Clone + Send + Sync + 'static;

    /// The row this event belongs to, in the event's own part; none: it says nothing to this view.
    fn key(event: &LogEvent) -> Result<Option<Key>, FoldError>;
    /// Brings the row to what it is after the event; on an error it is left as it was.
    fn fold(row: &mut Option<Self::Row>, event: &LogEvent) -> Result<(), FoldError>;
    /// The columns after `part`, in the table's order. A book that cannot be written is an error, never half a row.
    fn write(key: &Key, row: &Self::Row, sink: &mut impl RowSink) -> Result<(), RowError>;
    /// The reverse.
    fn read(source: &mut impl RowSource) -> Result<(Key, Self::Row), RowError>;
}

/// Why a view cannot go past an event. It stops there, in that part alone, until an operator decides.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct FoldError {
    /// For people.
    pub reason: String,
}

impl FoldError {
    /// A reason.
    pub fn new(reason: impl std::fmt::Display) -> Self {
        Self {
            reason: reason.to_string(),
        }
    }
}

impl From<RowError> for FoldError {
    fn from(error: RowError) -> Self {
        Self::new(error)
    }
}

/// One event on its way through the views, decoded at most once for all of them.
#[derive(Debug)]
pub struct LogEvent {
    /// The partition.
    pub part: u32,
    /// Place in its partition.
    pub position: u64,
    /// `subscription`, `stripe_object` or `operation`.
    pub aggregate_type: String,
    /// The stream.
    pub stream: String,
    /// Place in its stream.
    pub sequence: u64,
    /// Tenant of the stream when it was recorded.
    pub tenant: Option<String>,
    /// Its id.
    pub event_id: uuid::Uuid,
    /// Stored name.
    pub event_type: String,
    /// Version of the payload.
    pub event_version: u32,
    /// JSON text.
    pub payload: String,
    /// JSON text.
    pub metadata: String,
    /// When it happened.
    pub occurred_at: Timestamp,
    /// When we learnt it.
    pub recorded_at: Timestamp,
    /// The payload in our types, once somebody asked.
    pub typed: OnceLock<Result<LedgerEvent, FoldError>>,
}

impl From<StoredEvent> for LogEvent {
    fn from(stored: StoredEvent) -> Self {
        Self {
            part: stored.part,
            position: stored.position,
            aggregate_type: stored.aggregate_type,
            stream: stored.stream,
            sequence: stored.sequence,
            tenant: stored.tenant,
            event_id: stored.event_id,
            event_type: stored.event_type,
            event_version: stored.event_version,
            payload: stored.payload,
            metadata: stored.metadata,
            occurred_at: stored.occurred_at,
            recorded_at: stored.recorded_at,
            typed: OnceLock::new(),
        }
    }
}

impl LogEvent {
    /// The event in our types; an unknown type or newer version stops whoever asks, a default would be a guess.
    pub fn typed(&self) -> Result<&LedgerEvent, FoldError> {
        let decode = || {
            LedgerEvent::decode(
                &self.aggregate_type,
                &self.event_type,
                self.event_version,
                &self.payload,
            )
            .map_err(FoldError::new)
        };
        self.typed.get_or_init(decode).as_ref().map_err(Clone::clone)
    }

    /// The event of an account; none for other streams.
    pub fn account(&self) -> Result<Option<&SubscriptionEvent>, FoldError> {
        if !self.is_of_account() {
            return Ok(None);
        }
        Ok(match self.typed()? {
            LedgerEvent::Subscription(event) => Some(event),
            LedgerEvent::StripeObject(_) | LedgerEvent::Operation(_) => None,
        })
    }

    /// Its stream is an account's.
    #[must_use]
    pub fn is_of_account(&self) -> bool {
        self.aggregate_type == aggregates::subscription::AGGREGATE_TYPE
    }
}

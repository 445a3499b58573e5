//! The audit index: one slim row an event, for finding; payload, cause and hashes are read from the log itself.

pub mod family;
pub mod list;

use std::borrow::Cow;

use aggregates::recorded::{DecodeError, Metadata};
use aggregates::time::Timestamp;

use crate::projection::{FoldError, LogEvent, Projection};
use crate::table::{Key, RowError, RowSink, RowSource, Table, int, text, time};

/// The view.
#[derive(Clone, Copy, Debug)]
pub struct Audit;

/// One event, as lists show it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditRow {
    /// Place in its part.
    pub position: u64,
    /// Its stream.
    pub stream: Box<str>,
    /// Place in its stream.
    pub sequence: u64,
    /// Tenant of the stream when it was recorded.
    pub tenant: Option<Box<str>>,
    /// Family of the event, for instance `invoices`.
    pub family: Cow<'static, str>,
    /// Stored name, for instance `subscription.plan_changed`.
    pub event_type: Box<str>,
    /// Who caused it, for instance `stripe:evt_1`.
    pub actor: Box<str>,
    /// The receipt behind it, `<source>/<event id>`.
    pub receipt: Option<Box<str>>,
    /// Its id.
    pub event_id: uuid::Uuid,
    /// When it happened.
    pub occurred_at: Timestamp,
    /// When we learnt it.
    pub recorded_at: Timestamp,
}

impl Projection for Audit {
    const NAME: &'static str = "audit";
    const VERSION: u32 = 1;
    const ACCOUNTS_ONLY: bool = false;
    const TABLE: Table = Table {
        name: Self::NAME,
        key: &[int("position")],
        columns: &[
            text("stream_id"),
            int("sequence"),
            text("tenant"),
            text("family"),
            text("event_type"),
            text("actor"),
            text("receipt"),
            text("event_id"),
            time("occurred_at"),
            time("recorded_at"),
        ],
        append_only: true,
    };
    type Row = AuditRow;

    fn key(event: &LogEvent) -> Result<Option<Key>, FoldError> {
        Ok(Some(Key::place(event.position)))
    }

    fn fold(row: &mut Option<AuditRow>, event: &LogEvent) -> Result<(), FoldError> {
        let family = family::family_of(&event.event_type)
            .ok_or_else(|| FoldError::new(DecodeError::UnknownType(event.event_type.clone())))?;
        let metadata: Metadata = serde_json::from_str(&event.metadata)
            .map_err(|error| FoldError::new(format!("the metadata does not read: {error}")))?;
        *row = Some(AuditRow {
            position: event.position,
            stream: event.stream.as_str().into(),
            sequence: event.sequence,
            tenant: event.tenant.as_deref().map(Into::into),
            family: Cow::Borrowed(family),
            event_type: event.event_type.as_str().into(),
            actor: metadata.actor.label().into(),
            receipt: metadata.receipt,
            event_id: event.event_id,
            occurred_at: event.occurred_at,
            recorded_at: event.recorded_at,
        });
        Ok(())
    }

    fn write(_: &Key, row: &AuditRow, sink: &mut impl RowSink) -> Result<(), RowError> {
        let mut id = uuid::Uuid::encode_buffer();
        sink.count(row.position);
        sink.text(Some(&row.stream));
        sink.count(row.sequence);
        sink.text(row.tenant.as_deref());
        sink.text(Some(&row.family));
        sink.text(Some(&row.event_type));
        sink.text(Some(&row.actor));
        sink.text(row.receipt.as_deref());
        sink.text(Some(row.event_id.hyphenated().encode_lower(&mut id)));
        sink.time(Some(row.occurred_at));
        sink.time(Some(row.recorded_at));
        Ok(())
    }

    fn read(source: &mut impl RowSource) -> Result<(Key, AuditRow), RowError> {
        let position = source.must_count()?;
        let row = AuditRow {
            position,
            stream: source.must_text()?.into(),
            sequence: source.must_count()?,
            tenant: source.text()?.map(Into::into),
            family: Cow::Owned(source.must_text()?),
            event_type: source.must_text()?.into(),
            actor: source.must_text()?.into(),
            receipt: source.text()?.map(Into::into),
            event_id: uuid::Uuid::parse_str(&source.must_text()?).map_err(RowError::new)?,
            occurred_at: source.must_time()?,
            recorded_at: source.must_time()?,
        };
        Ok((Key::place(position), row))
    }
}

//! How much accounts may use: one row an account, with its plans and quantities and what its windows turn on.

use aggregates::subscription::standing::{AccessPolicy, Standing};
use aggregates::time::Timestamp;

use crate::book::{Last, StandingBook};
use crate::projection::{FoldError, LogEvent, Projection};
use crate::table::{Key, RowError, RowSink, RowSource, Table, int, text, time};

/// The view.
#[derive(Clone, Copy, Debug)]
pub struct Quota;

/// One account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QuotaRow {
    /// What its plans and quantities rest on.
    pub holdings: StandingBook,
    /// When the account was opened: without a subscription its months turn on this day.
    pub opened_at: Timestamp,
    /// Place in the stream of the last event that counts here.
    pub sequence: u64,
    /// Its place in the part.
    pub position: u64,
    /// When it was recorded.
    pub recorded_at: Timestamp,
}

impl QuotaRow {
    /// Access, and the plans held with their quantities.
    #[must_use]
    pub fn standing(&self, policy: &AccessPolicy) -> Standing {
        Standing::of(&self.holdings.life, self.holdings.disputes(), policy)
    }
}

impl Quota {
    /// The columns of a row whose holdings are encoded already.
    pub(crate) fn put(key: &Key, holdings: &str, opened_at: Timestamp, last: Last, sink: &mut impl RowSink) {
        sink.text(Some(&key.stream));
        sink.text(Some(holdings));
        sink.time(Some(opened_at));
        sink.count(last.sequence);
        sink.count(last.position);
        sink.time(Some(last.recorded_at));
    }
}

impl Projection for Quota {
    const NAME: &'static str = "quota";
    const VERSION: u32 = 1;
    const TABLE: Table = Table {
        name: Self::NAME,
        key: &[text("stream_id")],
        columns: &[
            text("holdings"),
            time("opened_at"),
            int("sequence"),
            int("position"),
            time("recorded_at"),
        ],
        append_only: false,
    };
    type Row = QuotaRow;

    fn key(event: &LogEvent) -> Result<Option<Key>, FoldError> {
        // Every event: the opening day is the earliest of all, in whatever order they came.
        Ok(event.is_of_account().then(|| Key::stream(&event.stream)))
    }

    fn fold(row: &mut Option<QuotaRow>, event: &LogEvent) -> Result<(), FoldError> {
        let Some(typed) = event.account()? else { return Ok(()) };
        let row = row.get_or_insert_with(|| QuotaRow {
            holdings: StandingBook::default(),
            opened_at: event.occurred_at,
            sequence: 0,
            position: 0,
            recorded_at: event.recorded_at,
        });
        // The earliest, so that the order of arrival does not matter.
        row.opened_at = row.opened_at.min(event.occurred_at);
        row.holdings.apply_holdings(typed);
        row.sequence = event.sequence;
        row.position = event.position;
        row.recorded_at = event.recorded_at;
        Ok(())
    }

    fn write(key: &Key, row: &QuotaRow, sink: &mut impl RowSink) -> Result<(), RowError> {
        let last = Last {
            sequence: row.sequence,
            position: row.position,
            recorded_at: row.recorded_at,
        };
        Self::put(key, &row.holdings.encode()?, row.opened_at, last, sink);
        Ok(())
    }

    fn read(source: &mut impl RowSource) -> Result<(Key, QuotaRow), RowError> {
        let key = Key::stream(&source.must_text()?);
        let row = QuotaRow {
            holdings: StandingBook::decode(&source.must_text()?)?,
            opened_at: source.must_time()?,
            sequence: source.must_count()?,
            position: source.must_count()?,
            recorded_at: source.must_time()?,
        };
        Ok((key, row))
    }
}

//! What accounts may use: one row an account, with its subscriptions and disputes and nothing else.

use aggregates::subscription::standing::{AccessPolicy, Standing};
use aggregates::time::Timestamp;

use crate::book::{Last, StandingBook, decides_holdings};
use crate::projection::{FoldError, LogEvent, Projection};
use crate::table::{Key, RowError, RowSink, RowSource, Table, int, text, time};

/// The view.
#[derive(Clone, Copy, Debug)]
pub struct Entitlements;

/// One account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EntitlementsRow {
    /// What its access and plans rest on.
    pub holdings: StandingBook,
    /// Place in the stream of the last event that counts here.
    pub sequence: u64,
    /// Its place in the part.
    pub position: u64,
    /// When it was recorded.
    pub recorded_at: Timestamp,
}

impl EntitlementsRow {
    /// Access, and the plans held with their quantities.
    #[must_use]
    pub fn standing(&self, policy: &AccessPolicy) -> Standing {
        Standing::of(&self.holdings.life, self.holdings.disputes(), policy)
    }
}

impl Entitlements {
    /// The columns of a row whose holdings are encoded already.
    pub(crate) fn put(key: &Key, holdings: &str, last: Last, sink: &mut impl RowSink) {
        sink.text(Some(&key.stream));
        sink.text(Some(holdings));
        sink.count(last.sequence);
        sink.count(last.position);
        sink.time(Some(last.recorded_at));
    }
}

impl Projection for Entitlements {
    const NAME: &'static str = "entitlements";
    const VERSION: u32 = 1;
    const TABLE: Table = Table {
        name: Self::NAME,
        key: &[text("stream_id")],
        columns: &[text("holdings"), int("sequence"), int("position"), time("recorded_at")],
        append_only: false,
    };
    type Row = EntitlementsRow;

    fn key(event: &LogEvent) -> Result<Option<Key>, FoldError> {
        let counts = event.account()?.is_some_and(decides_holdings);
        Ok(counts.then(|| Key::stream(&event.stream)))
    }

    fn fold(row: &mut Option<EntitlementsRow>, event: &LogEvent) -> Result<(), FoldError> {
        let Some(typed) = event.account()? else { return Ok(()) };
        let row = row.get_or_insert_with(|| EntitlementsRow {
            holdings: StandingBook::default(),
            sequence: 0,
            position: 0,
            recorded_at: event.recorded_at,
        });
        row.holdings.apply_holdings(typed);
        row.sequence = event.sequence;
        row.position = event.position;
        row.recorded_at = event.recorded_at;
        Ok(())
    }

    fn write(key: &Key, row: &EntitlementsRow, sink: &mut impl RowSink) -> Result<(), RowError> {
        let last = Last {
            sequence: row.sequence,
            position: row.position,
            recorded_at: row.recorded_at,
        };
        Self::put(key, &row.holdings.encode()?, last, sink);
        Ok(())
    }

    fn read(source: &mut impl RowSource) -> Result<(Key, EntitlementsRow), RowError> {
        let key = Key::stream(&source.must_text()?);
        let row = EntitlementsRow {
            holdings: StandingBook::decode(&source.must_text()?)?,
            sequence: source.must_count()?,
            position: source.must_count()?,
            recorded_at: source.must_time()?,
        };
        Ok((key, row))
    }
}

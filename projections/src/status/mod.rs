//! Where accounts stand: one row an account.

pub mod list;

use aggregates::subscription::standing::{AccessPolicy, Standing, primary};
use aggregates::time::Timestamp;

use crate::book::StandingBook;
use crate::projection::{FoldError, LogEvent, Projection};
use crate::table::{Key, RowError, RowSink, RowSource, Table, int, text, time};

/// The view.
#[derive(Clone, Copy, Debug)]
pub struct Status;

/// One account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StatusRow {
    /// What it rests on.
    pub book: StandingBook,
    /// When the ledger first heard of it.
    pub first_seen_at: Timestamp,
    /// Its last event's place in the stream: the version reads answer with.
    pub sequence: u64,
    /// Its last event's place in the part.
    pub position: u64,
    /// When what it says last changed, by the ledger's clock.
    pub changed_at: Timestamp,
    /// When its last event was recorded.
    pub recorded_at: Timestamp,
}

impl StatusRow {
    /// Where the account stands under a policy of access.
    #[must_use]
    pub fn standing(&self, policy: &AccessPolicy) -> Standing {
        Standing::of(&self.book.life, self.book.disputes(), policy)
    }
}

/// The words lists filter by: Stripe's status, plan and currency of the subscription the account is judged by.
struct Words {
    status: String,
    plan: Option<String>,
    currency: Option<String>,
}

fn words(book: &StandingBook) -> Words {
    // Which policy holds does not matter here: status, plan and currency do not rest on it.
    let standing = primary(&book.life).map(|_| Standing::of(&book.life, book.disputes(), &AccessPolicy::default()));
    let currency = standing.as_ref().and_then(|s| s.currency).or(book.account.currency);
    Words {
        status: standing
            .as_ref()
            .map_or_else(|| "none".to_owned(), |s| s.status.to_string()),
        plan: standing.and_then(|s| s.plan).map(|held| held.plan.code.to_string()),
        currency: currency.map(|c| c.as_str().to_owned()),
    }
}

impl Projection for Status {
    const NAME: &'static str = "status";
    const VERSION: u32 = 1;
    const TABLE: Table = Table {
        name: Self::NAME,
        key: &[text("stream_id")],
        columns: &[
            text("tenant"),
            text("customer"),
            text("status"),
            text("plan"),
            text("currency"),
            text("book"),
            time("first_seen_at"),
            int("sequence"),
            int("position"),
            time("changed_at"),
            time("recorded_at"),
        ],
        append_only: false,
    };
    type Row = StatusRow;

    fn key(event: &LogEvent) -> Result<Option<Key>, FoldError> {
        Ok(event.is_of_account().then(|| Key::stream(&event.stream)))
    }

    fn fold(row: &mut Option<StatusRow>, event: &LogEvent) -> Result<(), FoldError> {
        let Some(typed) = event.account()? else { return Ok(()) };
        let row = row.get_or_insert_with(|| StatusRow {
            book: StandingBook::default(),
            first_seen_at: event.recorded_at,
            sequence: 0,
            position: 0,
            changed_at: event.recorded_at,
            recorded_at: event.recorded_at,
        });
        if row.book.apply(typed) {
            row.changed_at = event.recorded_at;
        }
        row.sequence = event.sequence;
        row.position = event.position;
        row.recorded_at = event.recorded_at;
        Ok(())
    }

    fn write(key: &Key, row: &StatusRow, sink: &mut impl RowSink) -> Result<(), RowError> {
        let words = words(&row.book);
        sink.text(Some(&key.stream));
        sink.text(row.book.account.tenant.as_ref().map(|it| it.as_str()));
        sink.text(row.book.account.customer.as_ref().map(|it| it.as_str()));
        sink.text(Some(&words.status));
        sink.text(words.plan.as_deref());
        sink.text(words.currency.as_deref());
        sink.text(Some(&row.book.encode()?));
        sink.time(Some(row.first_seen_at));
        sink.count(row.sequence);
        sink.count(row.position);
        sink.time(Some(row.changed_at));
        sink.time(Some(row.recorded_at));
        Ok(())
    }

    fn read(source: &mut impl RowSource) -> Result<(Key, StatusRow), RowError> {
        let key = Key::stream(&source.must_text()?);
        for _ in 0..5 {
            source.text()?;
        }
        let row = StatusRow {
            book: StandingBook::decode(&source.must_text()?)?,
            first_seen_at: source.must_time()?,
            sequence: source.must_count()?,
            position: source.must_count()?,
            changed_at: source.must_time()?,
            recorded_at: source.must_time()?,
        };
        Ok((key, row))
    }
}

//! Invoices: one row an invoice.

pub mod list;

use aggregates::subscription::InvoiceBook;
use aggregates::time::Timestamp;

use crate::projection::{FoldError, LogEvent, Projection};
use crate::table::{Key, RowError, RowSink, RowSource, Table, int, text, time};

/// The view.
#[derive(Clone, Copy, Debug)]
pub struct Invoices;

/// One invoice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvoiceRow {
    /// The invoice and its payments; the invoice itself may still be unknown.
    pub book: InvoiceBook,
    /// Place in the stream of its last event.
    pub sequence: u64,
    /// Its place in the part.
    pub position: u64,
    /// When it was recorded.
    pub recorded_at: Timestamp,
}

impl Projection for Invoices {
    const NAME: &'static str = "invoices";
    const VERSION: u32 = 1;
    const TABLE: Table = Table {
        name: Self::NAME,
        key: &[text("stream_id"), text("invoice_id")],
        columns: &[
            text("status"),
            text("number"),
            text("currency"),
            int("total_minor"),
            int("amount_due_minor"),
            int("amount_paid_minor"),
            time("created_at"),
            text("book"),
            int("sequence"),
            int("position"),
            time("recorded_at"),
        ],
        append_only: false,
    };
    type Row = InvoiceRow;

    fn key(event: &LogEvent) -> Result<Option<Key>, FoldError> {
        let carried = event.account()?.and_then(|typed| typed.carried());
        let invoice = carried.and_then(|carried| carried.invoice());
        Ok(invoice.map(|invoice| Key::item(&event.stream, invoice.as_str())))
    }

    fn fold(row: &mut Option<InvoiceRow>, event: &LogEvent) -> Result<(), FoldError> {
        let Some(typed) = event.account()? else { return Ok(()) };
        let row = row.get_or_insert_with(|| InvoiceRow {
            book: InvoiceBook::default(),
            sequence: 0,
            position: 0,
            recorded_at: event.recorded_at,
        });
        row.book.apply(typed);
        row.sequence = event.sequence;
        row.position = event.position;
        row.recorded_at = event.recorded_at;
        Ok(())
    }

    fn write(key: &Key, row: &InvoiceRow, sink: &mut impl RowSink) -> Result<(), RowError> {
        let terms = row.book.invoice.terms();
        let terms = terms.as_deref();
        sink.text(Some(&key.stream));
        sink.text(Some(&key.item));
        sink.text(terms.map(|it| it.status.as_str()));
        sink.text(terms.and_then(|it| it.number.as_deref()));
        sink.text(terms.map(|it| it.currency.as_str()));
        sink.int(terms.map(|it| it.total_minor));
        sink.int(terms.map(|it| it.amount_due_minor));
        sink.int(terms.map(|it| it.amount_paid_minor));
        sink.time(terms.map(|it| it.created_at));
        sink.text(Some(&serde_json::to_string(&row.book).map_err(RowError::new)?));
        sink.count(row.sequence);
        sink.count(row.position);
        sink.time(Some(row.recorded_at));
        Ok(())
    }

    fn read(source: &mut impl RowSource) -> Result<(Key, InvoiceRow), RowError> {
        let stream = source.must_text()?;
        let key = Key::item(&stream, &source.must_text()?);
        for _ in 0..3 {
            source.text()?;
        }
        for _ in 0..3 {
            source.int()?;
        }
        source.time()?;
        let row = InvoiceRow {
            book: serde_json::from_str(&source.must_text()?).map_err(RowError::new)?,
            sequence: source.must_count()?,
            position: source.must_count()?,
            recorded_at: source.must_time()?,
        };
        Ok((key, row))
    }
}

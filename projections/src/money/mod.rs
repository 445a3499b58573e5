//! Money outside invoices: one row a charge, refund, credit note or dispute, and one for each link that says which
//! invoice a payment paid, because newer charges no longer say it themselves.

pub mod list;

use aggregates::facts::{ChargeSnapshot, CreditNoteSnapshot, DisputeSnapshot, InvoicePaymentSnapshot, RefundSnapshot};
use aggregates::ids::{ChargeId, PaymentIntentId};
use aggregates::money::Currency;
use aggregates::register::Book;
use aggregates::subscription::{Carried, SubscriptionEvent};
use aggregates::time::Timestamp;
use serde::{Deserialize, Serialize};

use crate::projection::{FoldError, LogEvent, Projection};
use crate::table::{Key, RowError, RowSink, RowSource, Table, int, text, time};

/// The view.
#[derive(Clone, Copy, Debug)]
pub struct Money;

/// What a row is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum MoneyKind {
    /// An attempt to take money.
    Charge,
    /// Money given back.
    Refund,
    /// A correction of an invoice.
    CreditNote,
    /// A charge its cardholder disputes.
    Dispute,
    /// Which invoice a payment paid.
    InvoicePayment,
}

impl MoneyKind {
    /// As it is stored.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Charge => "charge",
            Self::Refund => "refund",
            Self::CreditNote => "credit_note",
            Self::Dispute => "dispute",
            Self::InvoicePayment => "invoice_payment",
        }
    }
}

/// The object of a row.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MoneyBook {
    /// An attempt to take money.
    Charge(Book<ChargeSnapshot>),
    /// Money given back.
    Refund(Book<RefundSnapshot>),
    /// A correction of an invoice.
    CreditNote(Book<CreditNoteSnapshot>),
    /// A charge its cardholder disputes.
    Dispute(Book<DisputeSnapshot>),
    /// Which invoice a payment paid.
    InvoicePayment(Book<InvoicePaymentSnapshot>),
}

/// One row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MoneyRow {
    /// The object.
    pub book: MoneyBook,
    /// Place in the stream of its last event.
    pub sequence: u64,
    /// Its place in the part.
    pub position: u64,
    /// When it was recorded.
    pub recorded_at: Timestamp,
}

/// What lists filter, join and sort by.
#[derive(Default)]
struct Shown {
    status: Option<String>,
    currency: Option<Currency>,
    amount_minor: Option<i64>,
    /// The payment intent, else the charge.
    payment: Option<String>,
    invoice: Option<String>,
    created_at: Option<Timestamp>,
}

/// One id for a payment, whichever of its two names a snapshot gives first.
fn payment(intent: Option<&PaymentIntentId>, charge: Option<&ChargeId>) -> Option<String> {
    intent
        .map(ToString::to_string)
        .or_else(|| charge.map(ToString::to_string))
}

impl MoneyBook {
    /// An empty one for the object an event carries; none: it says nothing to this view.
    fn of(carried: Carried<'_>) -> Option<(Self, &str)> {
        Some(match carried {
            Carried::Charge(it) => (Self::Charge(Book::default()), it.charge.as_str()),
            Carried::Refund(it) => (Self::Refund(Book::default()), it.refund.as_str()),
            Carried::CreditNote(it) => (Self::CreditNote(Book::default()), it.credit_note.as_str()),
            Carried::Dispute(it) => (Self::Dispute(Book::default()), it.dispute.as_str()),
            Carried::InvoicePayment(it) => (Self::InvoicePayment(Book::default()), it.payment.as_str()),
            Carried::Customer(_)
            | Carried::Subscription(_)
            | Carried::Schedule(_)
            | Carried::Checkout(_)
            | Carried::Discount(_)
            | Carried::PaymentMethod(_)
            | Carried::Invoice(_) => return None,
        })
    }

    /// Takes one event of its object; tells whether it was one.
    fn apply(&mut self, event: &SubscriptionEvent) -> bool {
        match (self, event.carried()) {
            (Self::Charge(book), Some(Carried::Charge(it))) => book.apply(&it.seen, &it.snapshot),
            (Self::Refund(book), Some(Carried::Refund(it))) => book.apply(&it.seen, &it.snapshot),
            (Self::CreditNote(book), Some(Carried::CreditNote(it))) => book.apply(&it.seen, &it.snapshot),
            (Self::Dispute(book), Some(Carried::Dispute(it))) => book.apply(&it.seen, &it.snapshot),
            (Self::InvoicePayment(book), Some(Carried::InvoicePayment(it))) => book.apply(&it.seen, &it.snapshot),
            (
                Self::Charge(_) | Self::Refund(_) | Self::CreditNote(_) | Self::Dispute(_) | Self::InvoicePayment(_),
                _,
            ) => return false,
        }
        true
    }

    /// What it is about.
    #[must_use]
    pub const fn kind(&self) -> MoneyKind {
        match self {
            Self::Charge(_) => MoneyKind::Charge,
            Self::Refund(_) => MoneyKind::Refund,
            Self::CreditNote(_) => MoneyKind::CreditNote,
            Self::Dispute(_) => MoneyKind::Dispute,
            Self::InvoicePayment(_) => MoneyKind::InvoicePayment,
        }
    }

    /// When it was made: where its version does not say, when it was last known to be as it is.
    #[must_use]
    pub fn created_at(&self) -> Option<Timestamp> {
        self.shown().created_at
    }

    fn shown(&self) -> Shown {
        let shown = match self {
            Self::Charge(book) => book.terms().map(|it| Shown {
                status: Some(it.status.as_str().to_owned()),
                currency: Some(it.currency),
                amount_minor: Some(it.amount_minor),
                payment: it.payment_intent.as_ref().map(ToString::to_string),
                invoice: it.invoice.as_ref().map(ToString::to_string),
                created_at: it.created_at.or_else(|| book.as_of()),
            }),
            Self::Refund(book) => book.terms().map(|it| Shown {
                status: Some(it.status.as_str().to_owned()),
                currency: Some(it.currency),
                amount_minor: Some(it.amount_minor),
                payment: payment(it.payment_intent.as_ref(), it.charge.as_ref()),
                invoice: None,
                created_at: it.created_at.or_else(|| book.as_of()),
            }),
            Self::CreditNote(book) => book.terms().map(|it| Shown {
                status: Some(it.status.to_string()),
                currency: Some(it.currency),
                amount_minor: Some(it.amount_minor),
                payment: None,
                invoice: Some(it.invoice.to_string()),
                created_at: it.created_at.or_else(|| book.as_of()),
            }),
            Self::Dispute(book) => book.terms().map(|it| Shown {
                status: Some(it.status.as_str().to_owned()),
                currency: Some(it.currency),
                amount_minor: Some(it.amount_minor),
                payment: payment(it.payment_intent.as_ref(), Some(&it.charge)),
                invoice: None,
                created_at: it.created_at.or_else(|| book.as_of()),
            }),
            Self::InvoicePayment(book) => book.terms().map(|it| Shown {
                status: Some(it.status.to_string()),
                currency: it.currency,
                amount_minor: it.amount_paid_minor,
                payment: payment(it.payment_intent.as_ref(), it.charge.as_ref()),
                invoice: Some(it.invoice.to_string()),
                created_at: it.paid_at.or_else(|| book.as_of()),
            }),
        };
        shown.unwrap_or_default()
    }
}

impl Projection for Money {
    const NAME: &'static str = "money";
    const VERSION: u32 = 1;
    const TABLE: Table = Table {
        name: Self::NAME,
        key: &[text("stream_id"), text("object_id")],
        columns: &[
            text("kind"),
            text("status"),
            text("currency"),
            int("amount_minor"),
            text("payment"),
            text("invoice"),
            time("created_at"),
            text("book"),
            int("sequence"),
            int("position"),
            time("recorded_at"),
        ],
        append_only: false,
    };
    type Row = MoneyRow;

    fn key(event: &LogEvent) -> Result<Option<Key>, FoldError> {
        let carried = event.account()?.and_then(SubscriptionEvent::carried);
        let object = carried.and_then(MoneyBook::of);
        Ok(object.map(|(_, id)| Key::item(&event.stream, id)))
    }

    fn fold(row: &mut Option<MoneyRow>, event: &LogEvent) -> Result<(), FoldError> {
        let Some(typed) = event.account()? else { return Ok(()) };
        let Some((empty, id)) = typed.carried().and_then(MoneyBook::of) else {
            return Ok(());
        };
        let row = row.get_or_insert_with(|| MoneyRow {
            book: empty,
            sequence: 0,
            position: 0,
            recorded_at: event.recorded_at,
        });
        if !row.book.apply(typed) {
            let kind = row.book.kind().as_str();
            return Err(FoldError::new(format!("{id} is a {kind} and something else too")));
        }
        row.sequence = event.sequence;
        row.position = event.position;
        row.recorded_at = event.recorded_at;
        Ok(())
    }

    fn write(key: &Key, row: &MoneyRow, sink: &mut impl RowSink) -> Result<(), RowError> {
        let shown = row.book.shown();
        sink.text(Some(&key.stream));
        sink.text(Some(&key.item));
        sink.text(Some(row.book.kind().as_str()));
        sink.text(shown.status.as_deref());
        sink.text(shown.currency.as_ref().map(Currency::as_str));
        sink.int(shown.amount_minor);
        sink.text(shown.payment.as_deref());
        sink.text(shown.invoice.as_deref());
        sink.time(shown.created_at);
        sink.text(Some(&serde_json::to_string(&row.book).map_err(RowError::new)?));
        sink.count(row.sequence);
        sink.count(row.position);
        sink.time(Some(row.recorded_at));
        Ok(())
    }

    fn read(source: &mut impl RowSource) -> Result<(Key, MoneyRow), RowError> {
        let stream = source.must_text()?;
        let key = Key::item(&stream, &source.must_text()?);
        for _ in 0..3 {
            source.text()?;
        }
        source.int()?;
        for _ in 0..2 {
            source.text()?;
        }
        source.time()?;
        let row = MoneyRow {
            book: serde_json::from_str(&source.must_text()?).map_err(RowError::new)?,
            sequence: source.must_count()?,
            position: source.must_count()?,
            recorded_at: source.must_time()?,
        };
        Ok((key, row))
    }
}

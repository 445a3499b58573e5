//! Invoices as they are answered. They have no id but Stripe's, which is therefore also their address.

use aggregates::facts::{InvoiceLine, InvoiceSnapshot, Period};
use aggregates::money::Currency;
use aggregates::subscription::InvoiceBook;
use aggregates::time::Timestamp;
use projections::invoices::InvoiceRow;
use serde::Serialize;
use utoipa::ToSchema;

use super::plans::MoneyAnswer;
use crate::http::problem::{Answer, Problem};

/// An amount of one currency.
#[must_use]
pub fn money(amount_minor: i64, currency: Currency) -> MoneyAnswer {
    MoneyAnswer {
        amount_minor,
        currency: currency.as_str().to_owned(),
    }
}

/// A span of time, its end not in it.
#[derive(Clone, Copy, Serialize, ToSchema)]
pub struct PeriodAnswer {
    /// From this instant.
    #[schema(value_type = String, format = DateTime)]
    start: Timestamp,
    /// Until this instant.
    #[schema(value_type = String, format = DateTime)]
    end: Timestamp,
}

impl From<Period> for PeriodAnswer {
    fn from(period: Period) -> Self {
        Self {
            start: period.start,
            end: period.end,
        }
    }
}

/// What an invoice comes to.
#[derive(Serialize, ToSchema)]
pub struct InvoiceAmounts {
    /// Sum of the lines before discounts and tax that is added.
    subtotal: MoneyAnswer,
    /// Discounts on the whole invoice and its lines.
    discount: MoneyAnswer,
    /// Tax; null = not known.
    tax: Option<MoneyAnswer>,
    /// What it comes to.
    total: MoneyAnswer,
    /// What is to be paid after the customer's balance.
    due: MoneyAnswer,
    /// What was paid.
    paid: MoneyAnswer,
    /// What is still to be paid.
    remaining: MoneyAnswer,
    /// Taken off by credit notes, before and after it was paid.
    credited: MoneyAnswer,
}

/// One invoice.
#[derive(Serialize, ToSchema)]
pub struct InvoiceAnswer {
    /// Its id at Stripe.
    id: String,
    /// Its number, once it has one.
    number: Option<Box<str>>,
    /// Stripe's word: `draft`, `open`, `paid`, `uncollectible`, `void` or `deleted`.
    status: String,
    /// Why it was made, for instance `subscription_cycle`.
    reason: Option<Box<str>>,
    /// What it comes to.
    amounts: InvoiceAmounts,
    /// The time it bills.
    period: Option<PeriodAnswer>,
    /// Attempts to collect it so far.
    attempts: u32,
    /// When the next one comes; null = none.
    #[schema(value_type = Option<String>, format = DateTime)]
    next_attempt_at: Option<Timestamp>,
    /// When it was made.
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    /// When it is due, if it is sent.
    #[schema(value_type = Option<String>, format = DateTime)]
    due_at: Option<Timestamp>,
    /// When it was finalized.
    #[schema(value_type = Option<String>, format = DateTime)]
    finalized_at: Option<Timestamp>,
    /// When it was paid.
    #[schema(value_type = Option<String>, format = DateTime)]
    paid_at: Option<Timestamp>,
    /// When it was withdrawn.
    #[schema(value_type = Option<String>, format = DateTime)]
    voided_at: Option<Timestamp>,
    /// The subscription it bills; null for one made by hand.
    subscription: Option<String>,
    /// When the ledger learnt the last of it.
    #[schema(value_type = String, format = DateTime)]
    recorded_at: Timestamp,
    /// Place in the account's stream of the last event it rests on.
    version: u64,
}

/// One line of an invoice.
#[derive(Serialize, ToSchema)]
pub struct LineAnswer {
    /// `subscription`, `proration`, `usage` or `item`.
    kind: String,
    /// Amount before tax and discount.
    amount: MoneyAnswer,
    /// Discount on it.
    discount: MoneyAnswer,
    /// Tax on it.
    tax: MoneyAnswer,
    /// How many; null where there is no whole number of them.
    quantity: Option<u64>,
    /// The time it serves.
    period: PeriodAnswer,
    /// Its price at Stripe; null for a one-off amount.
    price: Option<String>,
}

/// What paid an invoice.
#[derive(Serialize, ToSchema)]
pub struct InvoicePaymentAnswer {
    /// `open`, `paid` or `canceled`.
    status: Box<str>,
    /// What of the invoice it paid.
    amount: Option<MoneyAnswer>,
    /// When.
    #[schema(value_type = Option<String>, format = DateTime)]
    paid_at: Option<Timestamp>,
    /// The payment intent at Stripe.
    payment_intent: Option<String>,
    /// The charge at Stripe; null where only the payment intent is known.
    charge: Option<String>,
}

/// One invoice with its lines and payments.
#[derive(Serialize, ToSchema)]
pub struct InvoiceDetail {
    /// The invoice.
    #[serde(flatten)]
    invoice: InvoiceAnswer,
    /// Its lines; null = not known.
    lines: Option<Vec<LineAnswer>>,
    /// What paid it.
    payments: Vec<InvoicePaymentAnswer>,
    /// Ids of the credit notes that correct it.
    credit_notes: Vec<String>,
}

/// What will be billed next, by Stripe's reckoning now.
#[derive(Serialize, ToSchema)]
pub struct UpcomingAnswer {
    /// The invoice as it would be; null: nothing will be billed.
    pub invoice: Option<UpcomingInvoice>,
}

/// An invoice that does not exist yet.
#[derive(Serialize, ToSchema)]
pub struct UpcomingInvoice {
    /// What it would come to.
    amounts: InvoiceAmounts,
    /// Its lines; null = not known.
    lines: Option<Vec<LineAnswer>>,
    /// The time it looks back on; it is billed at its end.
    period: Option<PeriodAnswer>,
    /// When Stripe will collect it.
    #[schema(value_type = Option<String>, format = DateTime)]
    collected_at: Option<Timestamp>,
    /// The subscription it bills.
    subscription: Option<String>,
}

impl UpcomingInvoice {
    /// Of a preview.
    #[must_use]
    pub fn of(it: &InvoiceSnapshot) -> Self {
        Self {
            amounts: InvoiceAmounts::of(it),
            lines: lines(it),
            period: it.period.map(PeriodAnswer::from),
            collected_at: it.next_attempt_at,
            subscription: it.subscription.as_ref().map(ToString::to_string),
        }
    }
}

impl InvoiceAmounts {
    /// Of a snapshot.
    #[must_use]
    pub fn of(it: &InvoiceSnapshot) -> Self {
        let money = |amount| money(amount, it.currency);
        Self {
            subtotal: money(it.subtotal_minor),
            discount: money(it.discount_minor),
            tax: it.tax_minor.map(money),
            total: money(it.total_minor),
            due: money(it.amount_due_minor),
            paid: money(it.amount_paid_minor),
            remaining: money(it.amount_remaining_minor),
            credited: money(
                it.credited_before_payment_minor
                    .saturating_add(it.credited_after_payment_minor),
            ),
        }
    }
}

/// Lines of a snapshot; none: not known.
#[must_use]
pub fn lines(it: &InvoiceSnapshot) -> Option<Vec<LineAnswer>> {
    let line = |line: &InvoiceLine| LineAnswer {
        kind: line.kind.as_str().to_owned(),
        amount: money(line.amount_minor, it.currency),
        discount: money(line.discount_minor, it.currency),
        tax: money(line.tax_minor, it.currency),
        quantity: line.quantity,
        period: line.period.into(),
        price: line.price.as_ref().map(ToString::to_string),
    };
    it.lines.as_ref().map(|lines| lines.iter().map(line).collect())
}

impl InvoiceAnswer {
    /// Of a row of which the invoice itself is known.
    pub fn of(id: String, row: &InvoiceRow) -> Answer<Self> {
        let terms = row.book.invoice.terms();
        let it = terms.ok_or_else(|| Problem::internal("an invoice without terms was listed"))?;
        Ok(Self {
            id,
            number: it.number.clone(),
            status: it.status.as_str().to_owned(),
            reason: it.billing_reason.clone(),
            amounts: InvoiceAmounts::of(&it),
            period: it.period.map(PeriodAnswer::from),
            attempts: it.attempt_count,
            next_attempt_at: it.next_attempt_at,
            created_at: it.created_at,
            due_at: it.due_at,
            finalized_at: it.finalized_at,
            paid_at: it.paid_at,
            voided_at: it.voided_at,
            subscription: it.subscription.as_ref().map(ToString::to_string),
            recorded_at: row.recorded_at,
            version: row.sequence,
        })
    }
}

impl InvoiceDetail {
    /// The same with what belongs to it.
    pub fn of(id: String, row: &InvoiceRow, credit_notes: Vec<String>) -> Answer<Self> {
        let lines = row.book.invoice.terms().and_then(|it| lines(&it));
        Ok(Self {
            invoice: InvoiceAnswer::of(id, row)?,
            lines,
            payments: payments(&row.book),
            credit_notes,
        })
    }
}

/// What paid an invoice; before basil the invoice itself names its one payment.
fn payments(book: &InvoiceBook) -> Vec<InvoicePaymentAnswer> {
    let linked = book.payments.values().filter_map(|payment| {
        let it = payment.terms()?;
        Some(InvoicePaymentAnswer {
            status: it.status.clone(),
            amount: it
                .amount_paid_minor
                .zip(it.currency)
                .map(|(amount, currency)| money(amount, currency)),
            paid_at: it.paid_at,
            payment_intent: it.payment_intent.as_ref().map(ToString::to_string),
            charge: it.charge.as_ref().map(ToString::to_string),
        })
    });
    let linked: Vec<_> = linked.collect();
    let terms = book.invoice.terms();
    let own = terms.filter(|it| linked.is_empty() && (it.payment_intent.is_some() || it.charge.is_some()));
    let own = own.map(|it| InvoicePaymentAnswer {
        status: if it.paid_at.is_some() { "paid" } else { "open" }.into(),
        amount: Some(money(it.amount_paid_minor, it.currency)),
        paid_at: it.paid_at,
        payment_intent: it.payment_intent.as_ref().map(ToString::to_string),
        charge: it.charge.as_ref().map(ToString::to_string),
    });
    linked.into_iter().chain(own).collect()
}

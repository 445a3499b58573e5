//! Invoices, their lines and their payments.

use aggregates::facts::{InvoiceLine, InvoicePaymentSnapshot, InvoiceSnapshot, InvoiceStatus, LineKind};
use aggregates::ids::{InvoiceId, LineId, PriceId, SubscriptionId};
use aggregates::observation::Observed;
use aggregates::time::Timestamp;
use serde_json::Value;

use super::paths::{Fact, amount_row, invoice as inv, invoice_payment as inpay, line as il};
use super::read::{Notes, Reader, unreadable};
use super::subscription::period;
use super::{Cx, Facts, Fault, Fetch, FetchKind, Owner, Target};

/// `invoice.*`.
pub(super) fn invoice(cx: &Cx<'_>) -> Result<Facts, Fault> {
    let customer = cx.object.need_id(&inv::CUSTOMER)?;
    let hint = cx.hint(cx.object.find(&inv::METADATA));
    let kind = Kind::of(cx)?;
    let mut fact = cx.observe(Owner::of(Some(customer)), hint, |it| {
        Ok(Observed::Invoice {
            invoice: kind.id.clone(),
            snapshot: snapshot(it, &kind)?,
        })
    })?;
    let mut fetches = Vec::new();
    if let Observed::Invoice { invoice, snapshot } = &fact.observation.object
        && kind.forced != Some(InvoiceStatus::Upcoming)
    {
        fact.names = names(invoice, snapshot);
        if snapshot.lines.is_none() && kind.forced.is_none() {
            fetches.push(Fetch {
                what: FetchKind::Rows,
                object: "invoice",
                id: invoice.to_string(),
            });
        }
    }
    Ok(Facts {
        fetches,
        ..Facts::of(fact)
    })
}

/// What the next invoice would be. A preview has no id that lasts, so its lines are named after it.
pub fn preview(object: &Value, asked_at: Timestamp) -> Result<InvoiceSnapshot, Fault> {
    let unnamed = |_| Fault {
        fact: &inv::ID,
        found: None,
    };
    let kind = Kind {
        id: InvoiceId::parse("preview").map_err(unnamed)?,
        forced: Some(InvoiceStatus::Upcoming),
        as_of: asked_at,
    };
    snapshot(Reader::new(object, &Notes::default()), &kind)
}

fn names(invoice: &InvoiceId, snapshot: &InvoiceSnapshot) -> Vec<Target> {
    let payment = snapshot.payment_intent.clone().map(Target::PaymentIntent);
    let charge = snapshot.charge.clone().map(Target::Charge);
    std::iter::once(Target::Invoice(invoice.clone()))
        .chain(payment)
        .chain(charge)
        .collect()
}

/// What the event says of the invoice that the object does not.
struct Kind {
    id: InvoiceId,
    forced: Option<InvoiceStatus>,
    as_of: Timestamp,
}

impl Kind {
    fn of(cx: &Cx<'_>) -> Result<Self, Fault> {
        let forced = match cx.verb() {
            "upcoming" => Some(InvoiceStatus::Upcoming),
            "deleted" => Some(InvoiceStatus::Deleted),
            _ => None,
        };
        // A preview has no id of its own; should a version give it one, the event's is still the one that is unique.
        let id = if forced == Some(InvoiceStatus::Upcoming) {
            InvoiceId::parse(cx.event_id.as_str()).map_err(|_| Fault {
                fact: &inv::ID,
                found: None,
            })?
        } else {
            cx.object.need_id(&inv::ID)?
        };
        Ok(Self {
            id,
            forced,
            as_of: cx.as_of,
        })
    }
}

fn snapshot(it: Reader<'_>, kind: &Kind) -> Result<InvoiceSnapshot, Fault> {
    let status = match &kind.forced {
        Some(forced) => forced.clone(),
        None => status(it)?,
    };
    let times = Times::read(it, &status, kind.as_of)?;
    let amount_due_minor = it.need_amount(&inv::AMOUNT_DUE)?;
    let amount_paid_minor = paid(it, &status)?;
    let total_minor = it.need_amount(&inv::TOTAL)?;
    let remaining = it
        .amount(&inv::AMOUNT_REMAINING)?
        .unwrap_or_else(|| amount_due_minor.saturating_sub(amount_paid_minor));
    let lines = lines(it, &kind.id)?;
    Ok(InvoiceSnapshot {
        customer: it.id(&inv::CUSTOMER),
        subscription: it.id(&inv::SUBSCRIPTION).or_else(|| of_lines(lines.as_deref())),
        number: it.word(&inv::NUMBER),
        billing_reason: it.word(&inv::BILLING_REASON),
        collection_method: it.word(&inv::COLLECTION_METHOD),
        currency: it.need_currency(&inv::CURRENCY)?,
        subtotal_minor: it.amount(&inv::SUBTOTAL)?.unwrap_or(total_minor),
        discount_minor: sum(it, &inv::DISCOUNT_AMOUNTS)?.unwrap_or_default(),
        tax_minor: tax(it, total_minor)?,
        total_minor,
        amount_due_minor,
        amount_paid_minor,
        amount_remaining_minor: remaining,
        amount_overpaid_minor: it.amount_or_zero(&inv::AMOUNT_OVERPAID)?,
        starting_balance_minor: it.amount_or_zero(&inv::STARTING_BALANCE)?,
        ending_balance_minor: it.amount(&inv::ENDING_BALANCE)?,
        credited_before_payment_minor: it.amount_or_zero(&inv::CREDITED_BEFORE)?,
        credited_after_payment_minor: it.amount_or_zero(&inv::CREDITED_AFTER)?,
        paid_out_of_band: out_of_band(it)?,
        attempt_count: it.count(&inv::ATTEMPT_COUNT)?.unwrap_or_default(),
        next_attempt_at: it.time(&inv::NEXT_ATTEMPT)?,
        auto_advance: it.flag(&inv::AUTO_ADVANCE)?,
        created_at: times.created,
        due_at: it.time(&inv::DUE)?,
        finalized_at: times.finalized,
        paid_at: times.paid,
        voided_at: times.voided,
        uncollectible_at: times.uncollectible,
        times_approximate: times.approximate,
        period: period(it.time(&inv::PERIOD_START)?, it.time(&inv::PERIOD_END)?),
        payment_intent: it.id(&inv::PAYMENT_INTENT),
        charge: it.id(&inv::CHARGE),
        finalization_error: it.word(&inv::FINALIZATION_ERROR),
        status,
        lines,
    })
}

/// Before 2018-11-08 an invoice had flags and no status.
fn status(it: Reader<'_>) -> Result<InvoiceStatus, Fault> {
    if let Some(found) = it.find(&inv::STATUS) {
        let word = it.word(&inv::STATUS).ok_or_else(|| unreadable(&inv::STATUS, found))?;
        return Ok(InvoiceStatus::from_word(&word));
    }
    let (paid, closed, forgiven) = (it.flag(&inv::PAID)?, it.flag(&inv::CLOSED)?, it.flag(&inv::FORGIVEN)?);
    if paid.or(closed).or(forgiven).is_none() {
        return Err(Fault {
            fact: &inv::STATUS,
            found: None,
        });
    }
    let attempted = it.flag(&inv::ATTEMPTED)?.unwrap_or_default() || it.time(&inv::FINALIZED)?.is_some();
    Ok(match (paid, forgiven) {
        (Some(true), _) => InvoiceStatus::Paid,
        (_, Some(true)) => InvoiceStatus::Uncollectible,
        _ if attempted => InvoiceStatus::Open,
        _ => InvoiceStatus::Draft,
    })
}

/// The times of an invoice; those its version does not have are the event's, and said to be so.
struct Times {
    created: Timestamp,
    finalized: Option<Timestamp>,
    paid: Option<Timestamp>,
    voided: Option<Timestamp>,
    uncollectible: Option<Timestamp>,
    approximate: bool,
}

impl Times {
    fn read(it: Reader<'_>, status: &InvoiceStatus, as_of: Timestamp) -> Result<Self, Fault> {
        let created = it.time(&inv::CREATED)?;
        let mut times = Self {
            created: created.unwrap_or(as_of),
            finalized: it.time(&inv::FINALIZED)?,
            paid: it.time(&inv::PAID_AT)?,
            voided: it.time(&inv::VOIDED)?,
            uncollectible: it.time(&inv::UNCOLLECTIBLE)?,
            approximate: created.is_none(),
        };
        if it.find(&inv::TRANSITIONS).is_none() {
            times.guess(status, as_of);
        }
        Ok(times)
    }

    fn guess(&mut self, status: &InvoiceStatus, as_of: Timestamp) {
        let slot = match status {
            InvoiceStatus::Open => &mut self.finalized,
            InvoiceStatus::Paid => &mut self.paid,
            InvoiceStatus::Void => &mut self.voided,
            InvoiceStatus::Uncollectible => &mut self.uncollectible,
            InvoiceStatus::Draft
            | InvoiceStatus::Deleted
            | InvoiceStatus::Upcoming
            | InvoiceStatus::Unrecognised(_) => return,
        };
        if slot.is_none() {
            *slot = Some(as_of);
            self.approximate = true;
        }
    }
}

/// What was paid: zero on what cannot be paid yet; on anything else its absence would be a guess about money.
fn paid(it: Reader<'_>, status: &InvoiceStatus) -> Result<i64, Fault> {
    match it.amount(&inv::AMOUNT_PAID)? {
        Some(paid) => Ok(paid),
        None if matches!(
            status,
            InvoiceStatus::Draft | InvoiceStatus::Upcoming | InvoiceStatus::Deleted
        ) =>
        {
            Ok(0)
        }
        None => Err(Fault {
            fact: &inv::AMOUNT_PAID,
            found: None,
        }),
    }
}

/// Listed taxes, else the single tax of older shapes, else what the total holds beyond the total without tax.
fn tax(it: Reader<'_>, total_minor: i64) -> Result<Option<i64>, Fault> {
    if let Some(listed) = sum(it, &inv::TAX_AMOUNTS)? {
        return Ok(Some(listed));
    }
    if let Some(single) = it.amount(&inv::TAX)? {
        return Ok(Some(single));
    }
    let without = it.amount(&inv::TOTAL_WITHOUT_TAX)?;
    Ok(without.map(|without| total_minor.saturating_sub(without)))
}

fn out_of_band(it: Reader<'_>) -> Result<bool, Fault> {
    if let Some(said) = it.flag(&inv::PAID_OUT_OF_BAND)? {
        return Ok(said);
    }
    Ok(it.amount_or_zero(&inv::PAID_OFF_STRIPE)? > 0)
}

/// The sum of the amounts of a list of rows, which are never cut off; none when there is no list.
pub(super) fn sum(it: Reader<'_>, fact: &'static Fact) -> Result<Option<i64>, Fault> {
    let Some(list) = it.list(fact)? else {
        return Ok(None);
    };
    let mut total = 0_i64;
    for row in list.rows {
        let amount = row.need_amount(&amount_row::AMOUNT)?;
        total = total.checked_add(amount).ok_or(Fault {
            fact,
            found: Some("a sum beyond 64 bits"),
        })?;
    }
    Ok(Some(total))
}

fn of_lines(lines: Option<&[InvoiceLine]>) -> Option<SubscriptionId> {
    lines?.iter().find_map(|line| line.subscription.clone())
}

/// All lines in Stripe's order. None when unknown: no list, a cut list, or a line without its amount or period.
fn lines(it: Reader<'_>, invoice: &InvoiceId) -> Result<Option<Vec<InvoiceLine>>, Fault> {
    let Some(list) = it.list(&inv::LINES)?.filter(|list| list.complete) else {
        return Ok(None);
    };
    let mut lines = Vec::with_capacity(list.rows.len());
    for (place, row) in list.rows.into_iter().enumerate() {
        let Some(line) = line(row, invoice, place)? else {
            return Ok(None);
        };
        lines.push(line);
    }
    Ok(Some(lines))
}

fn line(it: Reader<'_>, invoice: &InvoiceId, place: usize) -> Result<Option<InvoiceLine>, Fault> {
    let named = it
        .id(&il::ID)
        .or_else(|| LineId::parse(&format!("{invoice}#{place}")).ok());
    let served = period(it.time(&il::PERIOD_START)?, it.time(&il::PERIOD_END)?);
    let (Some(line), Some(period), Some(amount_minor)) = (named, served, it.amount(&il::AMOUNT)?) else {
        return Ok(None);
    };
    Ok(Some(InvoiceLine {
        line,
        kind: line_kind(it)?,
        amount_minor,
        discount_minor: sum(it, &il::DISCOUNT_AMOUNTS)?.unwrap_or_default(),
        tax_minor: sum(it, &il::TAX_AMOUNTS)?.unwrap_or_default(),
        price: it.id::<PriceId>(&il::PRICE),
        quantity: quantity(it),
        subscription: it.id(&il::SUBSCRIPTION),
        item: it.id(&il::ITEM),
        period,
    }))
}

fn line_kind(it: Reader<'_>) -> Result<LineKind, Fault> {
    if it.flag(&il::PRORATION)?.unwrap_or_default() {
        return Ok(LineKind::Proration);
    }
    Ok(match it.word(&il::KIND).as_deref() {
        Some("subscription" | "subscription_item_details") => {
            if it.word(&il::USAGE_TYPE).as_deref() == Some("metered") {
                LineKind::Usage
            } else {
                LineKind::Subscription
            }
        }
        Some(_) | None => LineKind::Item,
    })
}

/// A whole quantity; none when Stripe says none or a fraction.
fn quantity(it: Reader<'_>) -> Option<u64> {
    let decimal = it.find(&il::QUANTITY_DECIMAL).is_some();
    let fact = if decimal { &il::QUANTITY_DECIMAL } else { &il::QUANTITY };
    it.count(fact).ok().flatten()
}

/// `invoice_payment.*`.
pub(super) fn payment(cx: &Cx<'_>) -> Result<Facts, Fault> {
    let invoice: InvoiceId = cx.object.need_id(&inpay::INVOICE)?;
    let payment = cx.object.id(&inpay::PAYMENT_INTENT).map(Target::PaymentIntent);
    let charge = cx.object.id(&inpay::CHARGE).map(Target::Charge);
    let names: Vec<Target> = payment.into_iter().chain(charge).collect();
    let owner = Owner {
        customer: None,
        targets: std::iter::once(Target::Invoice(invoice)).chain(names.clone()).collect(),
    };
    let by_type = cx.verb();
    let mut fact = cx.observe(owner, None, |it| {
        Ok(Observed::InvoicePayment {
            payment: it.need_id(&inpay::ID)?,
            snapshot: InvoicePaymentSnapshot {
                invoice: it.need_id(&inpay::INVOICE)?,
                payment_intent: it.id(&inpay::PAYMENT_INTENT),
                charge: it.id(&inpay::CHARGE),
                amount_paid_minor: it.amount(&inpay::AMOUNT_PAID)?,
                currency: it.currency(&inpay::CURRENCY),
                status: it.word(&inpay::STATUS).unwrap_or_else(|| by_type.into()),
                paid_at: it.time(&inpay::PAID_AT)?,
            },
        })
    })?;
    fact.names = names;
    Ok(Facts::of(fact))
}

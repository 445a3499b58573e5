//! Subscriptions and their schedules.

use aggregates::facts::{
    AppliedDiscount, CollectionPause, Item, Period, ScheduleSnapshot, ScheduleStatus, ScheduledPhase,
    SubscriptionSnapshot, SubscriptionStatus,
};
use aggregates::ids::{ItemId, PriceId, SubscriptionId};
use aggregates::money::Currency;
use aggregates::observation::Observed;
use aggregates::time::Timestamp;

use super::paths::{applied_discount, collection_pause, item, schedule as sched, subscription as sub};
use super::read::{Reader, scale};
use super::{Cx, Facts, Fault, Fetch, FetchKind, Owner};

/// `customer.subscription.*`.
pub(super) fn subscription(cx: &Cx<'_>) -> Result<Facts, Fault> {
    let hint = cx.hint(cx.object.find(&sub::METADATA));
    let customer = cx.object.need_id(&sub::CUSTOMER)?;
    let fact = cx.observe(Owner::of(Some(customer)), hint, observed)?;
    let fetches = incomplete(&fact.observation.object).into_iter().collect();
    Ok(Facts {
        fetches,
        ..Facts::of(fact)
    })
}

/// What this version or this page leaves out is asked for.
fn incomplete(object: &Observed) -> Option<Fetch> {
    let Observed::Subscription { subscription, snapshot } = object else {
        return None;
    };
    let what = match (&snapshot.items, snapshot.period) {
        (None, _) => FetchKind::Rows,
        (Some(_), None) => FetchKind::Object,
        (Some(_), Some(_)) => return None,
    };
    Some(Fetch {
        what,
        object: "subscription",
        id: subscription.to_string(),
    })
}

fn observed(it: Reader<'_>) -> Result<Observed, Fault> {
    let subscription: SubscriptionId = it.need_id(&sub::ID)?;
    let rows = rows(it)?;
    let own = Terms {
        currency: it.currency(&sub::CURRENCY),
        period: period(it.time(&sub::PERIOD_START)?, it.time(&sub::PERIOD_END)?),
        trial: period(it.time(&sub::TRIAL_START)?, it.time(&sub::TRIAL_END)?),
    };
    let items = items(it, &subscription, rows.as_deref())?;
    let of_items = rows.as_deref().map(Terms::of_items).transpose()?.unwrap_or_default();
    let terms = of_items.or(&own);
    let items = items.map(|items| without_shared_period(items, terms.period));
    let currency = own
        .currency
        .or_else(|| items.as_ref().and_then(|items| items.first()?.currency));
    let snapshot = SubscriptionSnapshot {
        customer: it.need_id(&sub::CUSTOMER)?,
        status: SubscriptionStatus::from_word(&it.need_word(&sub::STATUS)?),
        period: terms.period,
        discounts: discounts(it)?,
        currency,
        started_at: it.time(&sub::STARTED)?,
        anchor_at: it.time(&sub::ANCHOR)?,
        trial: terms.trial,
        trial_without_card: Some(
            it.word(&sub::TRIAL_WITHOUT_CARD)
                .unwrap_or_else(|| "create_invoice".into()),
        ),
        cancel_at_period_end: it.flag(&sub::CANCEL_AT_PERIOD_END)?.unwrap_or_default(),
        cancel_at: it.time(&sub::CANCEL_AT)?,
        canceled_at: it.time(&sub::CANCELED_AT)?,
        ended_at: it.time(&sub::ENDED_AT)?,
        cancel_reason: it.word(&sub::CANCEL_REASON),
        cancel_feedback: it.word(&sub::CANCEL_FEEDBACK),
        pause_reason: it.word(&sub::PAUSE_REASON),
        collection_pause: collection_pause(it)?,
        collection_method: Some(
            it.word(&sub::COLLECTION_METHOD)
                .unwrap_or_else(|| "charge_automatically".into()),
        ),
        days_until_due: it.count(&sub::DAYS_UNTIL_DUE)?,
        latest_invoice: it.id(&sub::LATEST_INVOICE),
        payment_method: it.id(&sub::PAYMENT_METHOD),
        schedule: it.id(&sub::SCHEDULE),
        update_pending: it.find(&sub::PENDING_UPDATE).is_some(),
        billing_mode: Some(it.word(&sub::BILLING_MODE).unwrap_or_else(|| "classic".into())),
        on_test_clock: it.find(&sub::TEST_CLOCK).is_some(),
        items,
    };
    Ok(Observed::Subscription { subscription, snapshot })
}

/// What some eras say once for the subscription and others for each item.
#[derive(Clone, Copy, Default)]
struct Terms {
    currency: Option<Currency>,
    period: Option<Period>,
    trial: Option<Period>,
}

impl Terms {
    /// The period that ends first, and the trial that ends last.
    fn of_items(rows: &[Reader<'_>]) -> Result<Self, Fault> {
        let mut terms = Self::default();
        for row in rows {
            let own = period(row.time(&item::PERIOD_START)?, row.time(&item::PERIOD_END)?);
            let first = |a: Period, b: Period| if (b.end, b.start) < (a.end, a.start) { b } else { a };
            terms.period = merged(terms.period, own, first);
            let trial = period(row.time(&item::TRIAL_START)?, row.time(&item::TRIAL_END)?);
            let last = |a: Period, b: Period| if (b.end, b.start) > (a.end, a.start) { b } else { a };
            terms.trial = merged(terms.trial, trial, last);
        }
        Ok(terms)
    }

    fn or(self, other: &Self) -> Self {
        Self {
            currency: self.currency.or(other.currency),
            period: self.period.or(other.period),
            trial: self.trial.or(other.trial),
        }
    }
}

fn merged(a: Option<Period>, b: Option<Period>, choose: impl Fn(Period, Period) -> Period) -> Option<Period> {
    match (a, b) {
        (Some(a), Some(b)) => Some(choose(a, b)),
        (a, b) => a.or(b),
    }
}

/// A period needs both its ends.
pub(super) fn period(start: Option<Timestamp>, end: Option<Timestamp>) -> Option<Period> {
    Some(Period {
        start: start?,
        end: end?,
    })
}

/// The item list if it is complete; none when it is missing or cut off.
fn rows(it: Reader<'_>) -> Result<Option<Vec<Reader<'_>>>, Fault> {
    Ok(it
        .list(&sub::ITEMS)?
        .filter(|list| list.complete && !list.rows.is_empty())
        .map(|list| list.rows))
}

/// The items by id. None when unknown: no list, a cut list, or an item without a price.
fn items(
    it: Reader<'_>,
    subscription: &SubscriptionId,
    rows: Option<&[Reader<'_>]>,
) -> Result<Option<Vec<Item>>, Fault> {
    let mut items = Vec::new();
    match rows {
        Some(rows) => {
            for row in rows {
                let Some(item) = one_item(*row, subscription)? else {
                    return Ok(None);
                };
                items.push(item);
            }
        }
        None if it.find(&sub::ITEMS).is_none() && it.find(&sub::SINGLE_PLAN).is_some() => {
            // The oldest shape is itself shaped like an item: `plan` and `quantity` on the subscription.
            match one_item(it, subscription)? {
                Some(mut item) => {
                    item.item = synthetic(subscription, &item);
                    items.push(item);
                }
                None => return Ok(None),
            }
        }
        None => return Ok(None),
    }
    items.sort_by(|a, b| a.item.cmp(&b.item));
    Ok(Some(items))
}

fn synthetic(subscription: &SubscriptionId, item: &Item) -> ItemId {
    ItemId::parse(&format!("{subscription}#0")).unwrap_or_else(|_| item.item.clone())
}

fn one_item(row: Reader<'_>, subscription: &SubscriptionId) -> Result<Option<Item>, Fault> {
    let Some(price) = row.id::<PriceId>(&item::PRICE) else {
        return Ok(None);
    };
    let Some(id) = row
        .id(&item::ID)
        .or_else(|| ItemId::parse(&format!("{subscription}#0")).ok())
    else {
        return Ok(None);
    };
    let metered = row.word(&item::USAGE_TYPE).as_deref() == Some("metered");
    let quantity = row.count(&item::QUANTITY)?;
    let (unit_amount_minor, unit_amount_decimal) =
        unit_amount(row.amount(&item::UNIT_AMOUNT)?, row.word(&item::UNIT_DECIMAL));
    let interval = row.word(&item::INTERVAL);
    let interval_count = interval_count(interval.as_deref(), row.count(&item::INTERVAL_COUNT)?);
    Ok(Some(Item {
        item: id,
        price,
        product: row.id(&item::PRODUCT),
        quantity: if metered { None } else { quantity.or(Some(1)) },
        unit_amount_minor,
        unit_amount_decimal,
        currency: row.currency(&item::CURRENCY),
        interval,
        interval_count,
        metered,
        period: period(row.time(&item::PERIOD_START)?, row.time(&item::PERIOD_END)?),
    }))
}

/// Whole minor units, or decimal text when the amount is finer than one.
pub(super) fn unit_amount(minor: Option<i64>, decimal: Option<Box<str>>) -> (Option<i64>, Option<Box<str>>) {
    match (minor, decimal) {
        (Some(minor), _) => (Some(minor), None),
        (None, Some(decimal)) => match scale(&decimal, 0) {
            Some(minor) => (Some(minor), None),
            None => (None, Some(decimal)),
        },
        (None, None) => (None, None),
    }
}

/// A recurring price recurs every one interval unless it says otherwise; a one-off price has none.
pub(super) fn interval_count(interval: Option<&str>, count: Option<u32>) -> Option<u32> {
    interval.map(|_| count.unwrap_or(1))
}

/// An item's period is kept where it differs from the subscription's, so that eras that write it once and eras that
/// write it for each item say the same.
fn without_shared_period(mut items: Vec<Item>, shared: Option<Period>) -> Vec<Item> {
    for item in &mut items {
        item.period = item.period.filter(|own| Some(*own) != shared);
    }
    items
}

fn discounts(it: Reader<'_>) -> Result<Option<Vec<AppliedDiscount>>, Fault> {
    let single = it.inner(&sub::SINGLE_DISCOUNT).map(applied);
    let Some(list) = it.list(&sub::DISCOUNTS)? else {
        return Ok(Some(single.into_iter().collect()));
    };
    if !list.complete {
        return Ok(None);
    }
    let mut discounts: Vec<AppliedDiscount> = list.rows.into_iter().map(applied).collect();
    match (discounts.as_mut_slice(), single) {
        ([], Some(single)) => discounts.push(single),
        // Acacia names the discount by id in the list and writes it out beside it.
        (listed, Some(single)) => {
            for named in listed {
                if named.discount == single.discount && named.coupon.is_none() {
                    named.coupon.clone_from(&single.coupon);
                }
            }
        }
        (_, None) => {}
    }
    discounts.sort();
    Ok(Some(discounts))
}

/// A discount as an object, or only its id.
pub(super) fn applied(it: Reader<'_>) -> AppliedDiscount {
    AppliedDiscount {
        discount: it
            .root()
            .as_str()
            .map(Into::into)
            .or_else(|| it.word(&applied_discount::ID)),
        coupon: it.id(&applied_discount::COUPON),
    }
}

fn collection_pause(it: Reader<'_>) -> Result<Option<CollectionPause>, Fault> {
    let Some(pause) = it.inner(&sub::COLLECTION_PAUSE) else {
        return Ok(None);
    };
    Ok(Some(CollectionPause {
        behavior: pause.need_word(&collection_pause::BEHAVIOR)?,
        resumes_at: pause.time(&collection_pause::RESUMES)?,
    }))
}

/// `subscription_schedule.*`.
pub(super) fn schedule(cx: &Cx<'_>) -> Result<Facts, Fault> {
    let hint = cx.hint(cx.object.find(&sched::METADATA));
    let customer = cx.object.need_id(&sched::CUSTOMER)?;
    let fact = cx.observe(Owner::of(Some(customer)), hint, observed_schedule)?;
    Ok(Facts::of(fact))
}

fn observed_schedule(it: Reader<'_>) -> Result<Observed, Fault> {
    let phases = it.list(&sched::PHASES)?.map_or_else(Vec::new, |list| list.rows);
    let snapshot = ScheduleSnapshot {
        customer: it.id(&sched::CUSTOMER),
        subscription: it.id(&sched::SUBSCRIPTION),
        status: ScheduleStatus::from_word(&it.need_word(&sched::STATUS)?),
        phases: phases.into_iter().map(phase).collect::<Result<_, _>>()?,
        end_behavior: it.word(&sched::END_BEHAVIOR),
    };
    Ok(Observed::Schedule {
        schedule: it.need_id(&sched::ID)?,
        snapshot,
    })
}

fn phase(it: Reader<'_>) -> Result<ScheduledPhase, Fault> {
    let items = it.list(&sched::PHASE_ITEMS)?.map_or_else(Vec::new, |list| list.rows);
    let item = |row: Reader<'_>| Ok((row.need_id(&sched::PHASE_PRICE)?, row.count(&sched::PHASE_QUANTITY)?));
    Ok(ScheduledPhase {
        start_at: it.time(&sched::PHASE_START)?.ok_or(Fault {
            fact: &sched::PHASE_START,
            found: None,
        })?,
        end_at: it.time(&sched::PHASE_END)?,
        items: items.into_iter().map(item).collect::<Result<_, _>>()?,
    })
}

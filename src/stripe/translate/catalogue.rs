//! Objects that belong to no account: payouts, the Stripe balance and the catalogue.

use aggregates::facts::{
    BalanceTransactionSnapshot, CatalogueSnapshot, CouponSnapshot, PayoutSnapshot, PayoutStatus, PriceSnapshot,
    ProductSnapshot, PromotionCodeSnapshot, TaxRateSnapshot,
};
use aggregates::ids::PayoutId;
use aggregates::observation::ObjectObservation;
use aggregates::snapshot::{Seen, Snapshot};

use super::paths::{
    Fact, balance_transaction as bt, balance_transactions as page, coupon as co, payout as po, price as pr,
    product as prod, promotion_code as promo, tax_rate,
};
use super::read::{Reader, unreadable};
use super::subscription::{interval_count, unit_amount};
use super::{Cx, Facts, Fault, Fetch, FetchKind, types};

/// Rates are kept in millionths of a percent: Stripe writes at most four decimals, with room to spare.
const RATE_DIGITS: usize = 6;
/// Coupons are kept in hundredths of a percent, as Stripe writes them.
const PERCENT_DIGITS: usize = 2;

fn object(
    cx: &Cx<'_>,
    id: &'static Fact,
    read: impl Fn(Reader<'_>) -> Result<CatalogueSnapshot, Fault>,
) -> Result<Facts, Fault> {
    let named: String = cx.object.need_id(id)?;
    let snapshot = read(cx.object)?;
    let before = cx.before.and_then(|before| read(before).ok());
    let seen = cx.seen(before.as_ref().map(Snapshot::fingerprint), snapshot.fingerprint());
    Ok(Facts {
        objects: vec![ObjectObservation {
            seen,
            id: named.into(),
            snapshot,
        }],
        ..Facts::default()
    })
}

/// `payout.*`. What a payout consists of is listed once it is paid or reconciled.
pub(super) fn payout(cx: &Cx<'_>) -> Result<Facts, Fault> {
    let mut facts = object(cx, &po::ID, |it| {
        Ok(CatalogueSnapshot::Payout(PayoutSnapshot {
            amount_minor: it.need_amount(&po::AMOUNT)?,
            currency: it.need_currency(&po::CURRENCY)?,
            status: PayoutStatus::from_word(&it.need_word(&po::STATUS)?),
            automatic: it.flag(&po::AUTOMATIC)?,
            kind: it.word(&po::KIND),
            arrival_at: it.time(&po::ARRIVAL)?,
            balance_transaction: it.id(&po::BALANCE_TRANSACTION),
            failure_code: it.word(&po::FAILURE_CODE),
            failure_balance_transaction: it.id(&po::FAILURE_TRANSACTION),
            original_payout: it.id(&po::ORIGINAL),
            reversed_by: it.id(&po::REVERSED_BY),
            reconciliation_status: it.word(&po::RECONCILIATION),
            created_at: it.time(&po::CREATED)?,
        }))
    })?;
    let is_told_paid = || matches!(&facts.objects[..], [it] if is_paid(&it.snapshot));
    if matches!(cx.verb(), "paid" | "reconciliation_completed") || (cx.is_fetched() && is_told_paid()) {
        facts.fetches.push(Fetch {
            what: FetchKind::BalanceTransactions,
            object: "payout",
            id: cx.object.need_id(&po::ID)?,
        });
    }
    Ok(facts)
}

fn is_paid(snapshot: &CatalogueSnapshot) -> bool {
    matches!(snapshot, CatalogueSnapshot::Payout(payout) if payout.status == PayoutStatus::Paid)
}

/// A page of movements. One that went out with a payout is told so by the list it stands in and by nothing else.
///
/// The header of each is made from the movement alone, so that it is the same whenever and however often it is fetched: as
/// of when it was made, and one second later with its payout, which is the later knowledge.
pub(super) fn balance_transactions(cx: &Cx<'_>) -> Result<Facts, Fault> {
    let payout: Option<PayoutId> = cx.object.id(&page::PAYOUT);
    let rows = cx
        .object
        .list(&page::ROWS)?
        .map_or_else(|| vec![cx.object], |list| list.rows);
    let mut objects = Vec::with_capacity(rows.len());
    for it in rows {
        let created_at = it.time(&bt::CREATED)?;
        let (amount_minor, fee_minor) = (it.need_amount(&bt::AMOUNT)?, it.need_amount(&bt::FEE)?);
        let net_minor = it.need_amount(&bt::NET)?;
        if amount_minor.checked_sub(fee_minor) != Some(net_minor) {
            let net = it.require(&bt::NET)?;
            return Err(unreadable(&bt::NET, net));
        }
        let later = i64::from(payout.is_some());
        let seen = Seen {
            as_of: created_at.unwrap_or(cx.as_of).plus_seconds(later),
            rank: types::rank(cx.event_type),
            before: None,
            notice: None,
        };
        objects.push(ObjectObservation {
            seen,
            id: it.need_id::<String>(&bt::ID)?.into(),
            snapshot: CatalogueSnapshot::BalanceTransaction(BalanceTransactionSnapshot {
                amount_minor,
                fee_minor,
                net_minor,
                currency: it.need_currency(&bt::CURRENCY)?,
                kind: it.need_word(&bt::KIND)?,
                source: it.id::<String>(&bt::SOURCE).map(Into::into),
                payout: payout.clone(),
                reporting_category: it.word(&bt::CATEGORY),
                available_at: it.time(&bt::AVAILABLE)?,
                created_at,
            }),
        });
    }
    Ok(Facts {
        objects,
        ..Facts::default()
    })
}

/// `balance.available`: nothing but a reason to look.
pub(super) fn balance(cx: &Cx<'_>) -> Facts {
    Facts {
        fetches: vec![Fetch {
            what: FetchKind::BalanceTransactions,
            object: "balance",
            id: cx.event_id.to_string(),
        }],
        ..Facts::default()
    }
}

/// `product.*`.
pub(super) fn product(cx: &Cx<'_>) -> Result<Facts, Fault> {
    let gone = cx.verb() == "deleted";
    object(cx, &prod::ID, |it| {
        Ok(CatalogueSnapshot::Product(ProductSnapshot {
            name: it.word(&prod::NAME),
            active: it.flag(&prod::ACTIVE)?,
            deleted: gone || it.flag(&prod::DELETED)?.unwrap_or_default(),
            default_price: it.id(&prod::DEFAULT_PRICE),
        }))
    })
}

/// `price.*` and `plan.*`, its older twin under the same id.
pub(super) fn price(cx: &Cx<'_>) -> Result<Facts, Fault> {
    let gone = cx.verb() == "deleted";
    object(cx, &pr::ID, |it| {
        let (unit_amount_minor, unit_amount_decimal) =
            unit_amount(it.amount(&pr::UNIT_AMOUNT)?, it.word(&pr::UNIT_DECIMAL));
        let interval = it.word(&pr::INTERVAL);
        let interval_count = interval_count(interval.as_deref(), it.count(&pr::INTERVAL_COUNT)?);
        Ok(CatalogueSnapshot::Price(PriceSnapshot {
            product: it.id(&pr::PRODUCT),
            active: it.flag(&pr::ACTIVE)?,
            deleted: gone || it.flag(&pr::DELETED)?.unwrap_or_default(),
            currency: it.currency(&pr::CURRENCY),
            unit_amount_minor,
            unit_amount_decimal,
            interval,
            interval_count,
            metered: it.word(&pr::USAGE_TYPE).as_deref() == Some("metered"),
            tiered: it.find(&pr::TIERS_MODE).is_some(),
            lookup_key: it.word(&pr::LOOKUP_KEY),
            nickname: it.word(&pr::NICKNAME),
            // A plan has no tax behavior and its price says `unspecified`: the twins must say the same.
            tax_behavior: it.word(&pr::TAX_BEHAVIOR).filter(|word| &**word != "unspecified"),
        }))
    })
}

/// `coupon.*`.
pub(super) fn coupon(cx: &Cx<'_>) -> Result<Facts, Fault> {
    let gone = cx.verb() == "deleted";
    object(cx, &co::ID, |it| {
        let percent = it.scaled(&co::PERCENT, PERCENT_DIGITS)?;
        Ok(CatalogueSnapshot::Coupon(CouponSnapshot {
            percent_off_basis_points: percent.and_then(|percent| u32::try_from(percent).ok()),
            amount_off_minor: it.amount(&co::AMOUNT)?,
            currency: it.currency(&co::CURRENCY),
            duration: it.word(&co::DURATION),
            duration_months: it.count(&co::MONTHS)?,
            valid: it.flag(&co::VALID)?,
            deleted: gone || it.flag(&co::DELETED)?.unwrap_or_default(),
        }))
    })
}

/// `promotion_code.*`.
pub(super) fn promotion_code(cx: &Cx<'_>) -> Result<Facts, Fault> {
    object(cx, &promo::ID, |it| {
        Ok(CatalogueSnapshot::PromotionCode(PromotionCodeSnapshot {
            code: it.word(&promo::CODE),
            coupon: it.id(&promo::COUPON),
            active: it.flag(&promo::ACTIVE)?,
        }))
    })
}

/// `tax_rate.*`.
pub(super) fn tax_rate(cx: &Cx<'_>) -> Result<Facts, Fault> {
    object(cx, &tax_rate::ID, |it| {
        Ok(CatalogueSnapshot::TaxRate(TaxRateSnapshot {
            percentage_millionths: it.scaled(&tax_rate::PERCENTAGE, RATE_DIGITS)?,
            inclusive: it.flag(&tax_rate::INCLUSIVE)?,
            jurisdiction: it.word(&tax_rate::JURISDICTION),
            active: it.flag(&tax_rate::ACTIVE)?,
        }))
    })
}

//! Charges, payment intents, refunds, disputes and credit notes.

use aggregates::facts::{
    ChargeSnapshot, ChargeStatus, CreditNoteSnapshot, DisputeSnapshot, DisputeStatus, RefundSnapshot, RefundStatus,
};
use aggregates::ids::{ChargeId, CustomerId, DisputeId, PaymentIntentId, RefundId};
use aggregates::observation::{Observation, Observed};
use serde_json::Value;

use super::invoice::sum;
use super::paths::{charge as ch, credit_note as cn, credit_refund, dispute as dp, payment_intent as pi, refund as re};
use super::read::{Reader, unreadable};
use super::{AccountFact, Cx, Facts, Fault, Link, Owner, Target};

/// `charge.*`.
pub(super) fn charge(cx: &Cx<'_>) -> Result<Facts, Fault> {
    let mut fact = cx.observe(charge_owner(cx.object), None, observed_charge)?;
    fact.names = charge_names(cx.object);
    let mut accounts = vec![fact];
    // Versions before 2022-11-15 write the refunds out on the charge; each is a fact of its own.
    if let Some(list) = cx.object.list(&ch::REFUNDS)? {
        for row in list.rows {
            accounts.push(refund_on_charge(cx, row)?);
        }
    }
    Ok(Facts {
        accounts,
        ..Facts::default()
    })
}

fn charge_owner(it: Reader<'_>) -> Owner {
    let payment = it.id(&ch::PAYMENT_INTENT).map(Target::PaymentIntent);
    let invoice = it.id(&ch::INVOICE).map(Target::Invoice);
    Owner {
        customer: it.id(&ch::CUSTOMER),
        targets: payment.into_iter().chain(invoice).collect(),
    }
}

fn charge_names(it: Reader<'_>) -> Vec<Target> {
    let charge = it.id(&ch::ID).map(Target::Charge);
    let payment = it.id(&ch::PAYMENT_INTENT).map(Target::PaymentIntent);
    charge.into_iter().chain(payment).collect()
}

fn observed_charge(it: Reader<'_>) -> Result<Observed, Fault> {
    Ok(Observed::Charge {
        charge: it.need_id(&ch::ID)?,
        snapshot: ChargeSnapshot {
            customer: it.id(&ch::CUSTOMER),
            payment_intent: it.id(&ch::PAYMENT_INTENT),
            invoice: it.id(&ch::INVOICE),
            amount_minor: it.need_amount(&ch::AMOUNT)?,
            amount_captured_minor: it.amount(&ch::CAPTURED_AMOUNT)?,
            amount_refunded_minor: it.amount_or_zero(&ch::REFUNDED_AMOUNT)?,
            currency: it.need_currency(&ch::CURRENCY)?,
            status: charge_status(it)?,
            captured: it.flag(&ch::CAPTURED)?,
            disputed: disputed(it),
            balance_transaction: it.id(&ch::BALANCE_TRANSACTION),
            failure_code: it.word(&ch::FAILURE_CODE),
            decline_reason: it.word(&ch::DECLINE_REASON),
            payment_method: it.id(&ch::PAYMENT_METHOD),
            method_type: it.word(&ch::METHOD_TYPE),
            card_brand: it.word(&ch::CARD_BRAND).map(|brand| brand.to_lowercase().into()),
            card_last4: it.word(&ch::CARD_LAST4),
            created_at: it.time(&ch::CREATED)?,
        },
    })
}

/// The oldest charges have no status; whether they are paid decides.
fn charge_status(it: Reader<'_>) -> Result<ChargeStatus, Fault> {
    if let Some(found) = it.find(&ch::STATUS) {
        let word = it.word(&ch::STATUS).ok_or_else(|| unreadable(&ch::STATUS, found))?;
        return Ok(ChargeStatus::from_word(&word));
    }
    match it.flag(&ch::PAID)? {
        Some(true) => Ok(ChargeStatus::Succeeded),
        Some(false) => Ok(ChargeStatus::Failed),
        None => Err(Fault {
            fact: &ch::STATUS,
            found: None,
        }),
    }
}

/// A flag since 2019; before that the dispute itself, or null.
fn disputed(it: Reader<'_>) -> bool {
    match it.find(&ch::DISPUTED) {
        Some(Value::Bool(flag)) => *flag,
        Some(_) => true,
        None => false,
    }
}

/// `payment_intent.*`: its charge is the fact; the intent itself only says whose that is.
pub(super) fn payment_intent(cx: &Cx<'_>) -> Result<Facts, Fault> {
    let id: PaymentIntentId = cx.object.need_id(&pi::ID)?;
    cx.object.need_word(&pi::STATUS)?;
    let customer: Option<CustomerId> = cx.object.id(&pi::CUSTOMER);
    let invoice = cx.object.id(&pi::INVOICE).map(Target::Invoice);
    let owner = Owner {
        customer,
        targets: invoice.into_iter().collect(),
    };
    let mut facts = Facts::default();
    let mut names = vec![Target::PaymentIntent(id)];
    names.extend(cx.object.id::<ChargeId>(&pi::LATEST_CHARGE).map(Target::Charge));
    // To 2022-08-01 the charges are written out on the intent, and `latest_charge` may be expanded since.
    let written_out = cx.object.inner(&pi::LATEST_CHARGE);
    if let Some(charge) = written_out.filter(|charge| charge.find(&ch::AMOUNT).is_some()) {
        facts.accounts.push(embedded(
            cx,
            charge_owner(charge),
            charge_names(charge),
            observed_charge(charge)?,
        ));
    }
    facts.links.push(Link { owner, names });
    Ok(facts)
}

/// An object written out inside another: it stood so when the event was made, and what it was before is not said.
fn embedded(cx: &Cx<'_>, owner: Owner, names: Vec<Target>, object: Observed) -> AccountFact {
    let mut seen = cx.seen(None, super::fingerprint(&object));
    seen.notice = None;
    AccountFact {
        owner,
        names,
        contact: Vec::new(),
        observation: Observation {
            seen,
            tenant_hint: None,
            echo: cx.echo,
            object,
        },
    }
}

/// `refund.*` and `charge.refund.updated`.
pub(super) fn refund(cx: &Cx<'_>) -> Result<Facts, Fault> {
    let fact = cx.observe(refund_owner(cx.object), None, observed_refund)?;
    Ok(Facts::of(fact))
}

fn refund_owner(it: Reader<'_>) -> Owner {
    let charge = it.id(&re::CHARGE).map(Target::Charge);
    let payment = it.id(&re::PAYMENT_INTENT).map(Target::PaymentIntent);
    Owner {
        customer: it.id(&re::CUSTOMER),
        targets: charge.into_iter().chain(payment).collect(),
    }
}

/// A refund on a charge belongs where the charge does.
fn refund_on_charge(cx: &Cx<'_>, row: Reader<'_>) -> Result<AccountFact, Fault> {
    let mut owner = charge_owner(cx.object);
    let own = refund_owner(row);
    owner.customer = own.customer.or(owner.customer);
    owner.targets = own.targets.into_iter().chain(owner.targets).collect();
    owner.targets.dedup();
    Ok(embedded(cx, owner, Vec::new(), observed_refund(row)?))
}

fn observed_refund(it: Reader<'_>) -> Result<Observed, Fault> {
    Ok(Observed::Refund {
        refund: it.need_id(&re::ID)?,
        snapshot: RefundSnapshot {
            charge: it.id(&re::CHARGE),
            payment_intent: it.id(&re::PAYMENT_INTENT),
            customer: it.id(&re::CUSTOMER),
            amount_minor: it.need_amount(&re::AMOUNT)?,
            currency: it.need_currency(&re::CURRENCY)?,
            status: refund_status(it)?,
            reason: it.word(&re::REASON),
            failure_reason: it.word(&re::FAILURE_REASON),
            balance_transaction: it.id(&re::BALANCE_TRANSACTION),
            failure_balance_transaction: it.id(&re::FAILURE_TRANSACTION),
            created_at: it.time(&re::CREATED)?,
        },
    })
}

/// The oldest refunds have no status: they were made at once.
fn refund_status(it: Reader<'_>) -> Result<RefundStatus, Fault> {
    let Some(found) = it.find(&re::STATUS) else {
        return Ok(RefundStatus::Succeeded);
    };
    let word = it.word(&re::STATUS).ok_or_else(|| unreadable(&re::STATUS, found))?;
    Ok(RefundStatus::from_word(&word))
}

/// `charge.dispute.*`.
pub(super) fn dispute(cx: &Cx<'_>) -> Result<Facts, Fault> {
    let charge: ChargeId = cx.object.need_id(&dp::CHARGE)?;
    let payment = cx.object.id(&dp::PAYMENT_INTENT).map(Target::PaymentIntent);
    let owner = Owner {
        customer: None,
        targets: std::iter::once(Target::Charge(charge)).chain(payment).collect(),
    };
    let fact = cx.observe(owner, None, observed_dispute)?;
    Ok(Facts::of(fact))
}

fn observed_dispute(it: Reader<'_>) -> Result<Observed, Fault> {
    let charge: ChargeId = it.need_id(&dp::CHARGE)?;
    let named = it.id(&dp::ID).or_else(|| DisputeId::parse(charge.as_str()).ok());
    let (funds_net_minor, fee_minor) = movements(it)?;
    Ok(Observed::Dispute {
        dispute: named.ok_or(Fault {
            fact: &dp::ID,
            found: None,
        })?,
        snapshot: DisputeSnapshot {
            payment_intent: it.id(&dp::PAYMENT_INTENT),
            amount_minor: it.need_amount(&dp::AMOUNT)?,
            currency: it.need_currency(&dp::CURRENCY)?,
            status: DisputeStatus::from_word(&it.need_word(&dp::STATUS)?),
            reason: it.word(&dp::REASON),
            due_at: it.time(&dp::DUE)?,
            funds_net_minor,
            fee_minor,
            created_at: it.time(&dp::CREATED)?,
            charge,
        },
    })
}

/// Net and fee of the movements so far; none while no funds moved.
fn movements(it: Reader<'_>) -> Result<(Option<i64>, Option<i64>), Fault> {
    let rows = it.list(&dp::MOVEMENTS)?.map_or_else(Vec::new, |list| list.rows);
    if rows.is_empty() {
        return Ok((None, None));
    }
    let beyond = Fault {
        fact: &dp::MOVEMENTS,
        found: Some("a sum beyond 64 bits"),
    };
    let (mut net, mut fee) = (0_i64, 0_i64);
    for row in rows {
        let plus = net.checked_add(row.need_amount(&dp::MOVEMENT_NET)?);
        net = plus.ok_or_else(|| beyond.clone())?;
        let plus = fee.checked_add(row.need_amount(&dp::MOVEMENT_FEE)?);
        fee = plus.ok_or_else(|| beyond.clone())?;
    }
    Ok((Some(net), Some(fee)))
}

/// `credit_note.*`.
pub(super) fn credit_note(cx: &Cx<'_>) -> Result<Facts, Fault> {
    let owner = Owner {
        customer: cx.object.id(&cn::CUSTOMER),
        targets: vec![Target::Invoice(cx.object.need_id(&cn::INVOICE)?)],
    };
    let voided = cx.verb() == "voided";
    let fact = cx.observe(owner, None, |it| observed_credit_note(it, voided))?;
    Ok(Facts::of(fact))
}

fn observed_credit_note(it: Reader<'_>, voided: bool) -> Result<Observed, Fault> {
    let by_type = || if voided { "void" } else { "issued" }.into();
    Ok(Observed::CreditNote {
        credit_note: it.need_id(&cn::ID)?,
        snapshot: CreditNoteSnapshot {
            customer: it.id(&cn::CUSTOMER),
            invoice: it.need_id(&cn::INVOICE)?,
            number: it.word(&cn::NUMBER),
            amount_minor: it.need_amount(&cn::AMOUNT)?,
            tax_minor: sum(it, &cn::TAX_AMOUNTS)?.unwrap_or_default(),
            currency: it.need_currency(&cn::CURRENCY)?,
            status: it.word(&cn::STATUS).unwrap_or_else(by_type),
            kind: it.word(&cn::KIND),
            reason: it.word(&cn::REASON),
            out_of_band_minor: it.amount_or_zero(&cn::OUT_OF_BAND)?,
            to_balance: it.id(&cn::TO_BALANCE).map(|id: String| id.into()),
            refunds: refunds_of(it)?,
            voided_at: it.time(&cn::VOIDED)?,
            created_at: it.time(&cn::CREATED)?,
        },
    })
}

/// One refund to acacia, a list of rows since.
fn refunds_of(it: Reader<'_>) -> Result<Vec<RefundId>, Fault> {
    let rows = it.list(&cn::REFUNDS)?.map_or_else(Vec::new, |list| list.rows);
    let mut refunds: Vec<RefundId> = rows
        .into_iter()
        .filter_map(|row| row.id(&credit_refund::REFUND))
        .chain(it.id(&cn::REFUND))
        .collect();
    refunds.sort();
    refunds.dedup();
    Ok(refunds)
}

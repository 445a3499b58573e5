//! Checkout sessions.

use aggregates::facts::{CheckoutMode, CheckoutSnapshot, CheckoutStatus};
use aggregates::ids::TenantId;
use aggregates::observation::Observed;

use super::paths::checkout as cs;
use super::read::{Reader, unreadable};
use super::{Cx, Facts, Fault, Owner, Target};

/// `checkout.session.*`.
pub(super) fn session(cx: &Cx<'_>) -> Result<Facts, Fault> {
    let reference = || TenantId::parse(&cx.object.word(&cs::REFERENCE)?).ok();
    let customer = cx.object.id(&cs::CUSTOMER);
    // A guest has no stream until there is a customer; a hint alone would open one that nothing else finds.
    if customer.is_none() {
        return Ok(Facts::default());
    }
    let hint = cx.hint(cx.object.find(&cs::METADATA)).or_else(reference);
    let expired = cx.verb() == "expired";
    let mut fact = cx.observe(Owner::of(customer), hint, |it| {
        Ok(Observed::Checkout {
            session: it.need_id(&cs::ID)?,
            snapshot: snapshot(it, expired)?,
        })
    })?;
    fact.names = cx
        .object
        .id(&cs::PAYMENT_INTENT)
        .map(Target::PaymentIntent)
        .into_iter()
        .collect();
    Ok(Facts::of(fact))
}

fn snapshot(it: Reader<'_>, expired: bool) -> Result<CheckoutSnapshot, Fault> {
    // Sessions had no status before 2021-11: an event of theirs means it was finished or given up.
    let by_type = if expired {
        CheckoutStatus::Expired
    } else {
        CheckoutStatus::Complete
    };
    Ok(CheckoutSnapshot {
        customer: it.id(&cs::CUSTOMER),
        mode: mode(it)?,
        status: it
            .word(&cs::STATUS)
            .map_or(by_type, |word| CheckoutStatus::from_word(&word)),
        payment_status: it.word(&cs::PAYMENT_STATUS),
        subscription: it.id(&cs::SUBSCRIPTION),
        invoice: it.id(&cs::INVOICE),
        payment_intent: it.id(&cs::PAYMENT_INTENT),
        amount_total_minor: it.amount(&cs::AMOUNT_TOTAL)?,
        currency: it.currency(&cs::CURRENCY),
        expires_at: it.time(&cs::EXPIRES_AT)?,
    })
}

/// The oldest sessions do not say what they are for; what they made does.
fn mode(it: Reader<'_>) -> Result<CheckoutMode, Fault> {
    if let Some(found) = it.find(&cs::MODE) {
        let word = it.word(&cs::MODE).ok_or_else(|| unreadable(&cs::MODE, found))?;
        return Ok(CheckoutMode::from_word(&word));
    }
    if it.find(&cs::SUBSCRIPTION).is_some() {
        Ok(CheckoutMode::Subscription)
    } else if it.find(&cs::SETUP_INTENT).is_some() {
        Ok(CheckoutMode::Setup)
    } else if it.find(&cs::PAYMENT_INTENT).is_some() {
        Ok(CheckoutMode::Payment)
    } else {
        Err(Fault {
            fact: &cs::MODE,
            found: None,
        })
    }
}

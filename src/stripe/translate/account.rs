//! The account itself: customers, their discounts and payment methods.

use aggregates::facts::{ContactField, CustomerSnapshot, DiscountSnapshot, PaymentMethodSnapshot};
use aggregates::ids::{CustomerId, DiscountId, SubscriptionId};
use aggregates::observation::Observed;
use serde_json::Value;

use super::paths::{Fact, customer as cus, discount as dis, payment_method as pm};
use super::read::{Notes, Reader};
use super::subscription::applied;
use super::{Cx, Facts, Fault, Owner};

/// `customer.*`.
pub(super) fn customer(cx: &Cx<'_>) -> Result<Facts, Fault> {
    let customer: CustomerId = cx.object.need_id(&cus::ID)?;
    let hint = cx.hint(cx.object.find(&cus::METADATA));
    let gone = cx.verb() == "deleted";
    let contact = if gone { Vec::new() } else { contact(cx) };
    let fields: Vec<ContactField> = contact.iter().map(|(field, _)| *field).collect();
    let mut fact = cx.observe(Owner::of(Some(customer)), hint, |it| {
        Ok(Observed::Customer {
            customer: it.need_id(&cus::ID)?,
            snapshot: customer_snapshot(it, gone)?,
            contact: fields.clone(),
        })
    })?;
    fact.contact = contact;
    Ok(Facts::of(fact))
}

fn customer_snapshot(it: Reader<'_>, gone: bool) -> Result<CustomerSnapshot, Fault> {
    Ok(CustomerSnapshot {
        deleted: gone || it.flag(&cus::DELETED)?.unwrap_or_default(),
        currency: it.currency(&cus::CURRENCY),
        balance_minor: it.amount(&cus::BALANCE)?,
        delinquent: it.flag(&cus::DELINQUENT)?,
        default_payment_method: it.id(&cus::PAYMENT_METHOD),
        tax_exempt: it.word(&cus::TAX_EXEMPT),
        discount: it.inner(&cus::DISCOUNT).map(applied),
        on_test_clock: it.find(&cus::TEST_CLOCK).is_some(),
    })
}

const CONTACT: [(ContactField, &Fact); 5] = [
    (ContactField::Name, &cus::NAME),
    (ContactField::Email, &cus::EMAIL),
    (ContactField::Phone, &cus::PHONE),
    (ContactField::Address, &cus::ADDRESS),
    (ContactField::Shipping, &cus::SHIPPING),
];

/// The contact fields this event sets or changes, with their values for the side table: those named in
/// `previous_attributes`, or all that are filled in when the event does not say what changed.
fn contact(cx: &Cx<'_>) -> Vec<(ContactField, Option<String>)> {
    let value = |fact| cx.object.find(fact).and_then(contact_value);
    let changed = |fact: &Fact| {
        let keys = cx.previous.and_then(Value::as_object);
        keys.is_none_or(|keys| fact.paths.iter().any(|path| keys.contains_key(*path)))
    };
    CONTACT
        .into_iter()
        .filter(|(_, fact)| changed(fact))
        .map(|(field, fact)| (field, value(fact)))
        .filter(|(_, value)| value.is_some() || cx.previous.is_some())
        .collect()
}

/// Text as it is, an address as its JSON; an address of nothing but nulls is none.
fn contact_value(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()).filter(|text| !text.is_empty()),
        Value::Object(parts) => parts
            .values()
            .any(|part| contact_value(part).is_some())
            .then(|| value.to_string()),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) => None,
    }
}

/// `customer.discount.*`.
pub(super) fn discount(cx: &Cx<'_>) -> Result<Facts, Fault> {
    let customer: Option<CustomerId> = cx.object.id(&dis::CUSTOMER);
    let removed = cx.verb() == "deleted";
    let Some(discount) = discount_id(cx.object) else {
        return Ok(Facts::default());
    };
    let fact = cx.observe(Owner::of(customer), None, |it| {
        Ok(Observed::Discount {
            discount: discount.clone(),
            snapshot: DiscountSnapshot {
                subscription: it.id(&dis::SUBSCRIPTION),
                coupon: it.id(&dis::COUPON),
                promotion_code: it.id(&dis::PROMOTION_CODE).map(|code: String| code.into()),
                removed,
                start_at: it.time(&dis::START)?,
                end_at: it.time(&dis::END)?,
            },
        })
    })?;
    Ok(Facts::of(fact))
}

/// Discounts had no id before 2020-08-27; there was one at most on a subscription or customer, which names it.
fn discount_id(it: Reader<'_>) -> Option<DiscountId> {
    if let Some(id) = it.id(&dis::ID) {
        return Some(id);
    }
    let subscription = it.id(&dis::SUBSCRIPTION).map(|id: SubscriptionId| id.to_string());
    let on = subscription.or_else(|| it.id(&dis::CUSTOMER).map(|id: CustomerId| id.to_string()))?;
    DiscountId::parse(&format!("{on}#discount")).ok()
}

/// `payment_method.*`, and `customer.source.*` of the older shapes.
pub(super) fn payment_method(cx: &Cx<'_>) -> Result<Facts, Fault> {
    let silent = Notes::default();
    let had = cx.previous.map(|previous| Reader::new(previous, &silent));
    let detached = matches!(cx.verb(), "detached" | "deleted");
    let customer: Option<CustomerId> = cx
        .object
        .id(&pm::CUSTOMER)
        .or_else(|| had.and_then(|had| had.id(&pm::CUSTOMER)));
    let fact = cx.observe(Owner::of(customer), None, |it| {
        Ok(Observed::PaymentMethod {
            method: it.need_id(&pm::ID)?,
            snapshot: PaymentMethodSnapshot {
                attached: !detached && it.id::<CustomerId>(&pm::CUSTOMER).is_some(),
                kind: method_kind(it)?,
                brand: it.word(&pm::BRAND).map(|brand| brand.to_lowercase().into()),
                last4: it.word(&pm::LAST4),
                exp_month: it.count(&pm::EXP_MONTH)?,
                exp_year: it.count(&pm::EXP_YEAR)?,
            },
        })
    })?;
    Ok(Facts::of(fact))
}

/// The older cards and bank accounts have no type; the word for the object is theirs.
fn method_kind(it: Reader<'_>) -> Result<Box<str>, Fault> {
    match it.word(&pm::OBJECT).as_deref() {
        Some(older @ ("card" | "bank_account")) if it.find(&pm::KIND).is_none() => Ok(older.into()),
        Some(_) | None => it.need_word(&pm::KIND),
    }
}

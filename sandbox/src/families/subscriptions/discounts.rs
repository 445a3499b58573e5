//! Discounts of a subscription: given, used up, over.

use serde_json::{Value, json};

use crate::families::coupons::{self, Holder};
use crate::families::customers::CUSTOMER;
use crate::families::promotion_codes;
use crate::shape::read::{items, text};
use crate::state::State;
use crate::wire::error::ApiError;
use crate::wire::params::Params;

/// What gives a discount.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reduction {
    /// A coupon's id.
    Coupon(String),
    /// A promotion code's id.
    Code(String),
    /// A discount that is there already.
    Existing(String),
}

/// `discounts[]`, or the older `coupon` and `promotion_code`; nothing when none is given.
pub(crate) fn read(params: &Params<'_>) -> Option<Vec<Reduction>> {
    let own = |text: Option<&str>| text.map(str::to_owned);
    if params.has("discounts") {
        let each = params.objects("discounts").into_iter().filter_map(|given| {
            let coupon = own(given.text("coupon")).map(Reduction::Coupon);
            let code = own(given.text("promotion_code")).map(Reduction::Code);
            coupon
                .or(code)
                .or_else(|| own(given.text("discount")).map(Reduction::Existing))
        });
        return Some(each.collect());
    }
    let coupon = own(params.text("coupon")).map(Reduction::Coupon);
    let code = own(params.text("promotion_code")).map(Reduction::Code);
    match coupon.or(code) {
        Some(one) => Some(vec![one]),
        None => (params.has("coupon") || params.has("promotion_code")).then(Vec::new),
    }
}

/// Makes the discounts of a subscription, or of one item, the given ones; keeps those that stay.
pub(crate) fn set(
    state: &mut State,
    holder: &mut Value,
    owner: Holder<'_>,
    wanted: &[Reduction],
) -> Result<(), ApiError> {
    let old = items(holder, "_discounts").to_vec();
    let mut new = Vec::new();
    for one in wanted {
        let mut owner = owner;
        let (coupon, code) = match one {
            Reduction::Existing(id) => {
                let found = old.iter().find(|discount| discount["id"] == id.as_str());
                let missing = || ApiError::no_such("discount", id, "discounts[0][discount]");
                new.push(found.ok_or_else(missing)?.clone());
                continue;
            }
            Reduction::Coupon(coupon) => (coupon.clone(), None),
            Reduction::Code(code) => {
                let coupon = promotion_codes::redeem(state, code, owner.customer, "discounts[0][promotion_code]")?;
                (coupon, Some(code.clone()))
            }
        };
        owner.promotion_code = code.as_deref();
        let discount = coupons::redeem(state, &coupon, owner, "discounts[0][coupon]")?;
        state.emit("customer.discount.created", &discount);
        new.push(discount);
    }
    for gone in old.iter().filter(|old| !new.iter().any(|kept| kept["id"] == old["id"])) {
        state.emit("customer.discount.deleted", gone);
    }
    put(holder, new);
    Ok(())
}

fn put(holder: &mut Value, discounts: Vec<Value>) {
    let ids: Vec<Value> = discounts.iter().map(|discount| discount["id"].clone()).collect();
    holder["discounts"] = json!(ids);
    holder["_discounts"] = Value::Array(discounts);
}

/// The discounts that reduce an invoice made now: the subscription's, else its customer's.
pub(crate) fn active(state: &State, subscription: &Value, now: i64) -> Vec<Value> {
    let lasts = |discount: &Value| discount["end"].as_i64().is_none_or(|end| now < end);
    let own: Vec<Value> = items(subscription, "_discounts")
        .iter()
        .filter(|one| lasts(one))
        .cloned()
        .collect();
    if !own.is_empty() {
        return own;
    }
    let customer = text(subscription, "customer").unwrap_or_default();
    let general = state
        .look(&CUSTOMER, customer)
        .map_or(Value::Null, |customer| customer["discount"].clone());
    if general.is_object() && lasts(&general) {
        vec![general]
    } else {
        Vec::new()
    }
}

/// Those for one invoice are used up by it, and those whose time is over go.
pub(super) fn use_up(state: &mut State, subscription: &mut Value, now: i64) {
    let ends = |discount: &Value| {
        discount["_coupon"]["duration"] == "once" || discount["end"].as_i64().is_some_and(|end| end <= now)
    };
    let own = items(subscription, "_discounts").to_vec();
    let had_own = !own.is_empty();
    let (gone, kept): (Vec<Value>, Vec<Value>) = own.into_iter().partition(ends);
    for discount in &gone {
        state.emit("customer.discount.deleted", discount);
    }
    if !gone.is_empty() {
        put(subscription, kept);
    }
    let customer = text(subscription, "customer").unwrap_or_default();
    let Some(mut customer) = state.look(&CUSTOMER, customer).cloned() else {
        return;
    };
    if !had_own && customer["discount"].is_object() && ends(&customer["discount"]) {
        let discount = customer["discount"].take();
        state.put(&CUSTOMER, customer);
        state.emit("customer.discount.deleted", &discount);
    }
}

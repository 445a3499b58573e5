//! Putting a discount on a subscription.

use super::request::{Cx, Live, record};
use crate::subscription::asked::{CouponRequested, DiscountSource};
use crate::subscription::command::Decision;
use crate::subscription::event::SubscriptionEvent as Event;
use crate::subscription::intent::Asked;
use crate::subscription::rejection::Rejection;

pub(super) fn apply(cx: &Cx<'_>, discount: &DiscountSource) -> Result<Decision, Rejection> {
    let live = cx.live()?;
    if is_on(cx, &live, discount) {
        return Ok(Decision::AlreadyApplied);
    }
    Ok(record(Event::CouponRequested(CouponRequested {
        intent: cx.head(),
        subscription: live.id.clone(),
        discount: discount.clone(),
    })))
}

/// It is on the subscription, or asked for already.
fn is_on(cx: &Cx<'_>, live: &Live<'_>, wanted: &DiscountSource) -> bool {
    let is_asked = cx.state.intents.iter().any(|intent| {
        let is_same = matches!(&intent.asked, Asked::Coupon(it) if it.discount == *wanted);
        is_same && intent.asked.subscription() == Some(live.id) && !intent.status().is_final()
    });
    let is_applied = match wanted {
        DiscountSource::Coupon(coupon) => {
            let mut on = live.terms.discounts.iter().flatten();
            on.any(|discount| discount.coupon.as_ref() == Some(coupon))
        }
        DiscountSource::PromotionCode(code) => cx.state.life.discounts.values().any(|book| {
            let terms = book.terms();
            terms.is_some_and(|it| {
                !it.removed && it.subscription.as_ref() == Some(live.id) && it.promotion_code.as_ref() == Some(code)
            })
        }),
    };
    is_asked || is_applied
}

//! More or fewer units.

use super::request::{Cx, in_range, record};
use crate::ids::IntentId;
use crate::mutant::{self, Mutant};
use crate::plan::QUANTITY_MAX;
use crate::subscription::asked::{Proration, QuantityChangeRequested};
use crate::subscription::command::Decision;
use crate::subscription::event::SubscriptionEvent as Event;
use crate::subscription::intent::Asked;
use crate::subscription::rejection::Rejection;
use crate::subscription::request::QuantityWish;

/// The quantity is absolute once it is decided. Changes that wait for their call are replaced by the newest: Stripe
/// takes 200 of them an hour, and only the last one counts.
pub(super) fn change(cx: &Cx<'_>, wish: QuantityWish, proration: Option<Proration>) -> Result<Decision, Rejection> {
    let live = cx.live()?;
    let (price, from) = live.item()?;
    let wanted = match wish {
        QuantityWish::To(quantity) => i128::from(quantity),
        QuantityWish::By(delta) => i128::from(from) + i128::from(delta),
    };
    let held = cx.plan_behind(live.book, &price);
    let plan = held.as_ref().and_then(|held| cx.catalogue?.plan(&held.code));
    let quantity = match plan {
        Some(plan) => in_range(plan, wanted)?,
        // A plan that left the catalogue, or a price that was never in it, is sold in any number there is.
        None => u64::try_from(wanted)
            .ok()
            .filter(|it| (1..=QUANTITY_MAX).contains(it))
            .ok_or_else(|| Rejection::TermsUnknown {
                subscription: live.id.clone(),
            })?,
    };
    if quantity == from {
        return Ok(Decision::AlreadyApplied);
    }
    if quantity > from {
        cx.unrestricted()?;
    } else if let Some(plan) = plan {
        let limits = cx.exceeded(plan, quantity);
        if !limits.is_empty() {
            return Err(Rejection::BelowUsage { quantity, limits });
        }
    }
    cx.known_schedule(&live)?;
    let waiting = cx.state.intents.waiting(live.id);
    let waiting = waiting.filter(|intent| matches!(intent.asked, Asked::Quantity(_)));
    let mut replaces: Vec<IntentId> = waiting.map(|intent| intent.id()).collect();
    if mutant::is(Mutant::QuantitiesStay) {
        replaces.clear();
    }
    Ok(record(Event::QuantityChangeRequested(QuantityChangeRequested {
        intent: cx.head(),
        subscription: live.id.clone(),
        plan: held,
        price,
        from,
        quantity,
        proration: proration.unwrap_or_default(),
        replaces,
    })))
}

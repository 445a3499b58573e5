//! What an observation of such an object means.

use super::event::{ObjectSeen, StripeObjectEvent as Event};
use super::state::ObjectState;
use crate::facts::{CatalogueSnapshot, PayoutSnapshot, PayoutStatus};
use crate::observation::ObjectObservation;
use crate::snapshot::{Entry, Placement, SnapshotId};
use crate::subscription::{Decision, Refresh};

/// Decides what an observation means. It is never refused.
pub fn decide(state: &ObjectState, observation: &ObjectObservation) -> Decision<Event> {
    let it = ObjectSeen {
        id: observation.id.clone(),
        seen: observation.seen.clone(),
        snapshot: observation.snapshot.clone(),
    };
    if state.known.contains(&SnapshotId::of(&it)) {
        return Decision::Superseded;
    }
    let placement = state.book.register.place(&Entry {
        seen: it.seen.clone(),
        snapshot: it.snapshot.clone(),
    });
    let (event, undecided) = match placement {
        Placement::Wins {
            changed: true,
            undecided,
        } => {
            let before = state.book.register.current().map(|entry| &entry.snapshot);
            (name(before, &it.snapshot)(it.clone()), undecided)
        }
        Placement::Wins { undecided, .. } => (Event::SnapshotConfirmed(it.clone()), undecided),
        Placement::Late { undecided } => (Event::LateSnapshotRecorded(it.clone()), undecided),
        Placement::Twin => return Decision::Superseded,
    };
    let tied = undecided.then(|| Refresh::Tied {
        object: object_word(&it.snapshot),
        id: it.id.to_string(),
    });
    Decision::Record {
        events: vec![event],
        refresh: tied.into_iter().collect(),
    }
}

/// Stripe's word for the object.
#[must_use]
pub const fn object_word(snapshot: &CatalogueSnapshot) -> &'static str {
    match snapshot {
        CatalogueSnapshot::Payout(_) => "payout",
        CatalogueSnapshot::BalanceTransaction(_) => "balance_transaction",
        CatalogueSnapshot::Product(_) => "product",
        CatalogueSnapshot::Price(_) => "price",
        CatalogueSnapshot::Coupon(_) => "coupon",
        CatalogueSnapshot::PromotionCode(_) => "promotion_code",
        CatalogueSnapshot::TaxRate(_) => "tax_rate",
    }
}

fn name(before: Option<&CatalogueSnapshot>, after: &CatalogueSnapshot) -> fn(ObjectSeen) -> Event {
    match after {
        CatalogueSnapshot::Payout(payout) => match before {
            Some(CatalogueSnapshot::Payout(before)) if before.status == payout.status => Event::PayoutRevised,
            Some(_) => payout_name(payout),
            None if matches!(payout.status, PayoutStatus::Pending | PayoutStatus::InTransit) => Event::PayoutCreated,
            None => payout_name(payout),
        },
        CatalogueSnapshot::BalanceTransaction(_) => Event::BalanceTransactionRecorded,
        CatalogueSnapshot::Product(_) => Event::ProductDefined,
        CatalogueSnapshot::Price(_) => Event::PriceDefined,
        CatalogueSnapshot::Coupon(_) => Event::CouponDefined,
        CatalogueSnapshot::PromotionCode(_) => Event::PromotionCodeDefined,
        CatalogueSnapshot::TaxRate(_) => Event::TaxRateDefined,
    }
}

fn payout_name(payout: &PayoutSnapshot) -> fn(ObjectSeen) -> Event {
    match payout.status {
        PayoutStatus::Paid => Event::PayoutPaid,
        PayoutStatus::Failed => Event::PayoutFailed,
        PayoutStatus::Canceled => Event::PayoutCanceled,
        PayoutStatus::Pending | PayoutStatus::InTransit | PayoutStatus::Unrecognised(_) => Event::PayoutRevised,
    }
}

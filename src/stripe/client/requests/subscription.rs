//! Requests about subscriptions and their schedules.

use aggregates::ids::{ScheduleId, SubscriptionId};
use aggregates::time::Timestamp;
use stripe_billing::subscription::{
    CancelSubscription, CancelSubscriptionCancellationDetails, CreateSubscription, CreateSubscriptionAutomaticTax,
    CreateSubscriptionItems, CreateSubscriptionPaymentBehavior, CreateSubscriptionTrialSettings,
    CreateSubscriptionTrialSettingsEndBehavior, DiscountsDataParam, PauseSubscription, PauseSubscriptionType,
    ResumeSubscription, ResumeSubscriptionProrationBehavior, UpdateSubscription, UpdateSubscriptionCancelAt,
    UpdateSubscriptionCancellationDetails, UpdateSubscriptionItems, UpdateSubscriptionPauseCollection,
    UpdateSubscriptionPauseCollectionBehavior, UpdateSubscriptionProrationBehavior, UpdateSubscriptionTrialEnd,
};
use stripe_billing::subscription_schedule::{
    CreateSubscriptionSchedule, ReleaseSubscriptionSchedule, UpdateSubscriptionSchedule,
    UpdateSubscriptionSchedulePhases, UpdateSubscriptionSchedulePhasesDiscounts,
    UpdateSubscriptionSchedulePhasesEndDate, UpdateSubscriptionSchedulePhasesItems,
    UpdateSubscriptionSchedulePhasesStartDate, UpdateSubscriptionSchedulePhasesTrialEnd,
    UpdateSubscriptionScheduleProrationBehavior,
};
use stripe_client_core::StripeRequest;

use super::{Prepared, metadata, metadata_of, seconds, segment, word};
use crate::stripe::gateway::IntentId;
use crate::stripe::gateway::call::{
    CancelAt, CancelReason, DiscountSource, ItemChange, ItemsChange, NewSubscription, Phase, Proration, TrialEnd,
    Uncollected,
};

fn change(intent: IntentId, subscription: &SubscriptionId) -> UpdateSubscription {
    UpdateSubscription::new(segment(subscription.as_str())).metadata(metadata(intent))
}

fn discount_row(discount: &DiscountSource) -> DiscountsDataParam {
    let mut row = DiscountsDataParam::new();
    match discount {
        DiscountSource::Coupon(id) => row.coupon = Some(id.to_string()),
        DiscountSource::PromotionCode(id) => row.promotion_code = Some(id.to_string()),
    }
    row
}

pub(super) fn create(intent: IntentId, new: &NewSubscription) -> Prepared {
    let items = new.items.iter().map(|item| {
        let mut row = CreateSubscriptionItems::new();
        row.price = Some(item.price.to_string());
        row.quantity = item.quantity;
        row
    });
    let mut request = CreateSubscription::new()
        .customer(new.customer.as_str())
        .items(items.collect::<Vec<_>>())
        .metadata(metadata_of(intent, new.tenant.as_ref()));
    if let Some(days) = new.trial_days {
        request = request.trial_period_days(days);
    }
    if let Some(without) = new.without_card {
        let mut end = CreateSubscriptionTrialSettingsEndBehavior::new();
        end.missing_payment_method = Some(word(without.as_str()));
        request = request.trial_settings(CreateSubscriptionTrialSettings::new(end));
    }
    if let Some(discount) = &new.discount {
        request = request.discounts(vec![discount_row(discount)]);
    }
    if let Some(method) = &new.payment_method {
        request = request.default_payment_method(method.as_str());
    }
    if new.automatic_tax {
        request = request.automatic_tax(CreateSubscriptionAutomaticTax::new(true));
    }
    if new.pays_later {
        request = request.payment_behavior(word::<CreateSubscriptionPaymentBehavior>("default_incomplete"));
    }
    Prepared::of(request.build())
}

pub(super) fn change_items(intent: IntentId, wanted: &ItemsChange) -> Prepared {
    let items = wanted.items.iter().map(|item| {
        let mut row = UpdateSubscriptionItems::new();
        match item {
            ItemChange::Add(new) => {
                row.price = Some(new.price.to_string());
                row.quantity = new.quantity;
            }
            ItemChange::Set { item, price, quantity } => {
                row.id = Some(item.to_string());
                row.price = price.as_ref().map(ToString::to_string);
                row.quantity = *quantity;
            }
            ItemChange::Remove { item } => {
                row.id = Some(item.to_string());
                row.deleted = Some(true);
            }
        }
        row
    });
    let behavior = word::<UpdateSubscriptionProrationBehavior>(wanted.proration.as_str());
    let mut request = change(intent, &wanted.subscription)
        .items(items.collect::<Vec<_>>())
        .proration_behavior(behavior);
    if let Some(at) = wanted.prorate_at {
        request = request.proration_date(seconds(at));
    }
    let prepared = Prepared::of(request.build());
    if wanted.keeps_subscription {
        prepared.clearing("cancel_at")
    } else {
        prepared
    }
}

pub(super) fn cancel_later(
    intent: IntentId,
    subscription: &SubscriptionId,
    at: CancelAt,
    because: &CancelReason,
) -> Prepared {
    let request = change(intent, subscription);
    let mut request = match at {
        CancelAt::PeriodEnd => request.cancel_at_period_end(true),
        CancelAt::Time(at) => request.cancel_at(UpdateSubscriptionCancelAt::Timestamp(seconds(at))),
    };
    if *because != CancelReason::default() {
        let mut details = UpdateSubscriptionCancellationDetails::new();
        details.comment.clone_from(&because.comment);
        details.feedback = because.feedback.map(|feedback| word(feedback.as_str()));
        request = request.cancellation_details(details);
    }
    Prepared::of(request.build())
}

/// Either field may hold the end: the portal and flexible billing set only one of them.
pub(super) fn withdraw_cancellation(intent: IntentId, subscription: &SubscriptionId) -> Prepared {
    Prepared::of(change(intent, subscription).build()).clearing("cancel_at")
}

pub(super) fn cancel_now(
    subscription: &SubscriptionId,
    invoice_now: bool,
    prorate: bool,
    because: &CancelReason,
) -> Prepared {
    let mut request = CancelSubscription::new(segment(subscription.as_str()))
        .invoice_now(invoice_now)
        .prorate(prorate);
    if *because != CancelReason::default() {
        let mut details = CancelSubscriptionCancellationDetails::new();
        details.comment.clone_from(&because.comment);
        details.feedback = because.feedback.map(|feedback| word(feedback.as_str()));
        request = request.cancellation_details(details);
    }
    Prepared::of(request.build())
}

pub(super) fn resume(subscription: &SubscriptionId, proration: Proration) -> Prepared {
    let behavior = word::<ResumeSubscriptionProrationBehavior>(proration.as_str());
    let request = ResumeSubscription::new(segment(subscription.as_str())).proration_behavior(behavior);
    Prepared::of(request.build())
}

pub(super) fn pause(subscription: &SubscriptionId) -> Prepared {
    let kind = word::<PauseSubscriptionType>("subscription");
    Prepared::of(
        PauseSubscription::new(segment(subscription.as_str()))
            .type_(kind)
            .build(),
    )
}

pub(super) fn pause_collection(
    intent: IntentId,
    subscription: &SubscriptionId,
    behavior: Uncollected,
    resumes_at: Option<Timestamp>,
) -> Prepared {
    let behavior = word::<UpdateSubscriptionPauseCollectionBehavior>(behavior.as_str());
    let mut pause = UpdateSubscriptionPauseCollection::new(behavior);
    pause.resumes_at = resumes_at.map(seconds);
    Prepared::of(change(intent, subscription).pause_collection(pause).build())
}

pub(super) fn resume_collection(intent: IntentId, subscription: &SubscriptionId) -> Prepared {
    Prepared::of(change(intent, subscription).build()).clearing("pause_collection")
}

pub(super) fn apply_discount(
    intent: IntentId,
    subscription: &SubscriptionId,
    stays: &[Box<str>],
    discount: &DiscountSource,
) -> Prepared {
    let kept = stays.iter().map(|id| {
        let mut row = DiscountsDataParam::new();
        row.discount = Some(id.to_string());
        row
    });
    let rows: Vec<_> = kept.chain([discount_row(discount)]).collect();
    let request = change(intent, subscription).discounts(rows);
    Prepared::of(request.build())
}

pub(super) fn remove_discounts(intent: IntentId, subscription: &SubscriptionId) -> Prepared {
    Prepared::of(change(intent, subscription).build()).clearing("discounts")
}

pub(super) fn set_trial_end(intent: IntentId, subscription: &SubscriptionId, end: TrialEnd) -> Prepared {
    let end = match end {
        TrialEnd::Now => UpdateSubscriptionTrialEnd::Now,
        TrialEnd::Time(at) => UpdateSubscriptionTrialEnd::Timestamp(seconds(at)),
    };
    let request = change(intent, subscription)
        .trial_end(end)
        .proration_behavior(word::<UpdateSubscriptionProrationBehavior>("none"));
    Prepared::of(request.build())
}

/// Stripe allows nothing else beside the subscription a schedule is made from.
pub(super) fn start_schedule(subscription: &SubscriptionId) -> Prepared {
    let request = CreateSubscriptionSchedule::new().from_subscription(subscription.as_str());
    Prepared::of(request.build())
}

pub(super) fn set_phases(intent: IntentId, schedule: &ScheduleId, phases: &[Phase], proration: Proration) -> Prepared {
    let phases = phases.iter().map(|phase| {
        let items = phase.items.iter().map(|item| {
            let mut row = UpdateSubscriptionSchedulePhasesItems::new();
            row.price = Some(item.price.to_string());
            row.quantity = item.quantity;
            row
        });
        let mut row = UpdateSubscriptionSchedulePhases::new(items.collect::<Vec<_>>());
        let starts = |at| UpdateSubscriptionSchedulePhasesStartDate::Timestamp(seconds(at));
        let ends = |at| UpdateSubscriptionSchedulePhasesEndDate::Timestamp(seconds(at));
        row.start_date = phase.starts_at.map(starts);
        row.end_date = phase.ends_at.map(ends);
        row.proration_behavior = Some(word(phase.proration.as_str()));
        row.trial_end = phase
            .trial_ends_at
            .map(|at| UpdateSubscriptionSchedulePhasesTrialEnd::Timestamp(seconds(at)));
        if !phase.discounts.is_empty() {
            let kept = phase.discounts.iter().map(|id| {
                let mut row = UpdateSubscriptionSchedulePhasesDiscounts::new();
                row.discount = Some(id.to_string());
                row
            });
            row.discounts = Some(kept.collect());
        }
        row
    });
    let request = UpdateSubscriptionSchedule::new(segment(schedule.as_str()))
        .metadata(metadata(intent))
        .end_behavior(word::<stripe_shared::SubscriptionScheduleEndBehavior>("release"))
        .proration_behavior(word::<UpdateSubscriptionScheduleProrationBehavior>(proration.as_str()))
        .phases(phases.collect::<Vec<_>>());
    Prepared::of(request.build())
}

pub(super) fn release_schedule(schedule: &ScheduleId) -> Prepared {
    Prepared::of(ReleaseSubscriptionSchedule::new(segment(schedule.as_str())).build())
}

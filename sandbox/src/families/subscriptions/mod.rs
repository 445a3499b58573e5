//! Subscriptions and their clockwork.
//!
//! # For other families
//!
//! Every one of these works inside the step of its caller, emits its own events, and leaves nothing when it fails:
//!
//! - [`create`] with a [`New`]: a subscription with its first invoice, paid as `behavior` says. `New::default()` is a
//!   charge of whatever the customer pays with; a page that takes a card passes `method` and `on_session`.
//! - [`update`] with a [`Change`]: items, quantity, discounts, trial, cancellation at the end, pause of collection.
//! - [`cancel`] with a [`Cancel`]: now. At the end of the period it is a `Change`. [`pause`], [`resume`].
//! - `invoices::pay` with a `Pay`: pays an invoice; `invoices::{draft, finalize, send, void, mark_uncollectible}`.
//!
//! # What happens at which time
//!
//! | work | when |
//! | --- | --- |
//! | `subscription.renew` | end of the period, also of a trial |
//! | `subscription.upcoming` | seven days before |
//! | `subscription.trial_will_end` | three days before the trial's end |
//! | `subscription.expire` | 23 hours after a first invoice that nobody pays |
//! | `subscription.cancel_at` | when it says so |
//! | `subscription.resume_collection` | when it says so |
//! | `subscription.pending_expire` | 23 hours after an update that nobody pays |
//!
//! How a subscription stands follows from its invoices: `settled::invoice_settled`.

mod billing;
mod calls;
mod cancel;
mod clockwork;
mod create;
mod discounts;
mod items;
mod proration;
mod settled;
mod shape;
mod update;

use super::{Family, Hook, Route};
use crate::list_params;
use crate::state::store::Kind;

pub(super) use billing::{fresh_lines, pending_items};
pub(super) use calls::change_of;
pub use cancel::{Cancel, cancel, pause, resume};
pub use create::{Behavior, New, create};
pub use discounts::Reduction;
pub(super) use discounts::{active, read as read_reductions, set as set_reductions};
pub use items::Wanted;
pub use proration::Proration;
pub use settled::Fate;
pub(super) use settled::{invoice_settled, keep_method, waits_for_first_payment};
pub(super) use shape::next_period;
pub use update::{Change, ItemChange, TrialEnd, update};
pub(super) use update::{planned, prorations_of};

/// `sub_..`
pub const SUBSCRIPTION: Kind = Kind {
    object: "subscription",
    prefix: "sub_1",
    random: 23,
    path: "/v1/subscriptions",
};

/// `si_..`; kept inside its subscription.
pub const ITEM: Kind = Kind {
    object: "subscription_item",
    prefix: "si_",
    random: 14,
    path: "",
};

macro_rules! price_data {
    () => {
        "price_data{currency product recurring{interval interval_count} tax_behavior unit_amount unit_amount_decimal} "
    };
}

macro_rules! fields {
    () => {
        " add_invoice_items[]{discountable discounts[]{coupon discount promotion_code} metadata* period* price \
          price_data{currency product tax_behavior unit_amount unit_amount_decimal} quantity tax_rates[]} \
          automatic_tax{enabled liability*} cancel_at cancel_at_period_end collection_method coupon days_until_due \
          default_payment_method default_source default_tax_rates[] description \
          discounts[]{coupon discount promotion_code} invoice_settings* metadata* off_session payment_behavior \
          payment_settings{payment_method_options* payment_method_types[] save_default_payment_method} promotion_code \
          proration_behavior proration_date trial_end trial_from_plan \
          trial_settings{end_behavior{missing_payment_method billing_cycle_anchor}} expand[] "
    };
}

/// Subscriptions and their items.
pub const FAMILY: Family = Family {
    kinds: &[&SUBSCRIPTION, &ITEM],
    routes: &[
        Route::post(
            "/v1/subscriptions",
            concat!(
                fields!(),
                "backdate_start_date billing_cycle_anchor billing_mode{type flexible*} currency customer \
                 trial_period_days items[]{discounts[]{coupon discount promotion_code} metadata* plan price quantity \
                 tax_rates[] ",
                price_data!(),
                "}"
            ),
            calls::create,
        ),
        Route::get(
            "/v1/subscriptions",
            concat!(
                "automatic_tax{enabled} collection_method created?{gt gte lt lte} customer plan price status test_clock",
                list_params!()
            ),
            calls::index,
        ),
        Route::get("/v1/subscriptions/{subscription}", "expand[]", calls::show),
        Route::post(
            "/v1/subscriptions/{subscription}",
            concat!(
                fields!(),
                "billing_cycle_anchor?{type} cancellation_details{comment feedback} \
                 pause_collection{behavior resumes_at} items[]{id clear_usage deleted \
                 discounts[]{coupon discount promotion_code} metadata* plan price quantity tax_rates[] ",
                price_data!(),
                "}"
            ),
            calls::update,
        ),
        Route::delete(
            "/v1/subscriptions/{subscription}",
            "cancellation_details{comment feedback} invoice_now prorate expand[]",
            calls::cancel,
        ),
        Route::post(
            "/v1/subscriptions/{subscription}/cancel",
            "cancellation_details{comment feedback} invoice_now prorate expand[]",
            calls::cancel,
        ),
        Route::post(
            "/v1/subscriptions/{subscription}/resume",
            "billing_cycle_anchor?{type} payment_behavior proration_behavior proration_date expand[]",
            calls::resume,
        ),
        Route::post(
            "/v1/subscriptions/{subscription}/pause",
            "bill_for{outstanding_usage_through{type} unused_time_from{type}} invoicing_behavior type expand[]",
            calls::pause,
        ),
        Route::delete("/v1/subscriptions/{subscription}/discount", "", calls::delete_discount),
        Route::post(
            "/v1/subscription_items",
            concat!(
                "subscription metadata* payment_behavior plan price proration_behavior proration_date quantity \
                 tax_rates[] discounts[]{coupon discount promotion_code} expand[] ",
                price_data!()
            ),
            items::create,
        ),
        Route::get(
            "/v1/subscription_items",
            concat!("subscription", list_params!()),
            items::index,
        ),
        Route::get("/v1/subscription_items/{item}", "expand[]", items::show),
        Route::post(
            "/v1/subscription_items/{item}",
            concat!(
                "metadata* off_session payment_behavior plan price proration_behavior proration_date quantity \
                 tax_rates[] discounts[]{coupon discount promotion_code} expand[] ",
                price_data!()
            ),
            items::update,
        ),
        Route::delete(
            "/v1/subscription_items/{item}",
            "clear_usage payment_behavior proration_behavior proration_date",
            items::delete,
        ),
    ],
    work: &[
        ("subscription.renew", clockwork::renew),
        ("subscription.upcoming", clockwork::upcoming),
        ("subscription.trial_will_end", clockwork::trial_will_end),
        ("subscription.expire", clockwork::expire),
        ("subscription.cancel_at", cancel::when_due),
        ("subscription.resume_collection", clockwork::resume_collection),
        ("subscription.pending_expire", settled::pending_expire),
    ],
    downgrades: shape::DOWNGRADES,
    hooks: &[Hook::CustomerGoes(cancel::customer_goes)],
    ..Family::EMPTY
};

//! `POST /v1/tenants/{tenant}/subscription/...`: what people ask for about a subscription. Each is decided at once and
//! carried out at Stripe afterwards; the answer is the command (`commands.rs`).

use aggregates::subscription::asked::{ConfirmBy, DiscountSource, Feedback, PauseMode, Proration, When};
use aggregates::subscription::request::{PlanChange, Purchase, QuantityWish, Wish};
use aggregates::time::Timestamp;
use axum::extract::State;
use axum::response::Response;
use serde::de::{Deserializer, Error};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::commands::CommandAnswer;
use super::plans::IntervalWord;
use crate::http::act::Act;
use crate::http::json as read;
use crate::http::problem::{Answer, Problem};
use crate::http::state::Service;
use crate::http::text::{CouponName, PlanCodeText, Reason};

macro_rules! words {
    ($(#[$doc:meta])* $name:ident => $inner:ident { $($(#[$vdoc:meta])* $variant:ident,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Deserialize, Serialize, ToSchema)]
        #[serde(rename_all = "snake_case")]
        pub enum $name { $($(#[$vdoc])* $variant,)* }
        impl From<$name> for $inner {
            fn from(word: $name) -> Self {
                match word { $($name::$variant => Self::$variant,)* }
            }
        }
    };
}

words! {
    /// What becomes of time already paid for.
    ProrationWord => Proration {
        /// The difference is on the next invoice.
        CreateProrations,
        /// Nothing is credited or charged.
        None,
        /// The difference is invoiced at once.
        AlwaysInvoice,
    }
}
words! {
    /// When it takes effect.
    WhenWord => When {
        /// At once.
        Now,
        /// When the paid period ends.
        PeriodEnd,
    }
}
words! {
    /// Why somebody cancels.
    FeedbackWord => Feedback {
        /// Costs too much.
        TooExpensive,
        /// Something is missing.
        MissingFeatures,
        /// Went to somebody else.
        SwitchedService,
        /// Not needed any more.
        Unused,
        /// Unhappy with the help given.
        CustomerService,
        /// Hard to use.
        TooComplex,
        /// Not good enough.
        LowQuality,
        /// Something else.
        Other,
    }
}
words! {
    /// What is paused.
    PauseWord => PauseMode {
        /// Invoices are made and not collected; the status stays.
        Collection,
        /// The whole subscription, in flexible billing mode.
        Subscription,
    }
}
/// Nothing but the wish itself.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct BareRequest {}

/// A plan to be bought.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SubscribeRequest {
    /// Its code.
    pub(super) plan: PlanCodeText,
    /// How often it is billed; without it by the month, or the plan's only interval.
    pub(super) interval: Option<IntervalWord>,
    /// How many units; without it the plan's minimum.
    #[serde(default, deserialize_with = "read::within_or_none::<_, _, 1, 1_000_000>")]
    #[schema(value_type = Option<u64>, minimum = 1, maximum = 1_000_000)]
    pub(super) quantity: Option<u64>,
    /// Days of trial; without it the plan's.
    #[serde(default, deserialize_with = "read::within_or_none::<_, _, 0, 730>")]
    #[schema(value_type = Option<u32>, minimum = 0, maximum = 730)]
    pub(super) trial_days: Option<u32>,
    /// A coupon at Stripe.
    pub(super) coupon: Option<CouponName>,
}

/// Another plan, interval or both.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PlanChangeRequest {
    /// Its code.
    plan: PlanCodeText,
    /// How often it is billed; without it as before.
    interval: Option<IntervalWord>,
    /// How many units; without it as before.
    #[serde(default, deserialize_with = "read::within_or_none::<_, _, 1, 1_000_000>")]
    #[schema(value_type = Option<u64>, minimum = 1, maximum = 1_000_000)]
    quantity: Option<u64>,
    /// When; without it an upgrade now and a downgrade when the period ends.
    effective: Option<WhenWord>,
    /// What becomes of time already paid for.
    proration: Option<ProrationWord>,
}

/// How many units: one of both.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct QuantityRequest {
    /// So many.
    #[serde(default, deserialize_with = "read::within_or_none::<_, _, 0, 1_000_000>")]
    #[schema(value_type = Option<u64>, minimum = 0, maximum = 1_000_000)]
    quantity: Option<u64>,
    /// So many more, or fewer.
    #[serde(default, deserialize_with = "delta")]
    #[schema(value_type = Option<i64>, minimum = -1_000_000, maximum = 1_000_000)]
    delta: Option<i64>,
    /// What becomes of time already paid for.
    proration: Option<ProrationWord>,
}

/// A difference no larger than the largest quantity.
fn delta<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<i64>, D::Error> {
    const MOST: f64 = 1_000_000.0;
    let number = Option::<serde_json::Number>::deserialize(deserializer)?;
    let whole = |number: serde_json::Number| {
        // JSON has one kind of number: 3.0 is whole too.
        let value = number
            .as_f64()
            .filter(|value| value.fract() == 0.0 && value.abs() <= MOST)?;
        format!("{value:.0}").parse().ok()
    };
    let bounds = || D::Error::custom("expected a whole number from -1000000 to 1000000");
    number.map(|number| whole(number).ok_or_else(bounds)).transpose()
}

/// An end.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CancelRequest {
    /// When; without it when the period ends.
    when: Option<WhenWord>,
    /// Why.
    reason: Option<FeedbackWord>,
}

/// A pause.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PauseRequest {
    /// What is paused.
    mode: PauseWord,
    /// When it ends by itself; only for `collection`.
    #[schema(value_type = Option<String>, format = DateTime)]
    until: Option<Timestamp>,
}

/// A discount.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CouponRequest {
    /// Id of a coupon at Stripe.
    code: CouponName,
}

/// A longer trial.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TrialRequest {
    /// By how many days.
    #[serde(deserialize_with = "read::within::<_, _, 1, 730>")]
    #[schema(value_type = u32, minimum = 1, maximum = 730)]
    days: u32,
    /// For whoever reads the log later.
    reason: Reason,
}

impl SubscribeRequest {
    fn purchase(&self) -> Purchase {
        Purchase {
            plan: self.plan.0.clone(),
            interval: self.interval.map(Into::into),
            currency: None,
            quantity: self.quantity,
            trial_days: self.trial_days,
            trial_again: false,
            discount: self
                .coupon
                .as_ref()
                .map(|coupon| DiscountSource::Coupon(coupon.0.clone())),
            promotion_codes: None,
        }
    }
}

macro_rules! act {
    ($(#[doc = $title:literal])+ $name:ident, $path:literal, $request:ty, $refusals:literal, |$act:ident| $wish:expr) => {
        $(#[doc = $title])+
        #[utoipa::path(post, path = $path, params(("tenant" = String, Path, description = "Tenant, `me`, or a Stripe customer")),
            request_body = $request, responses((status = 202, body = CommandAnswer, description = "It is recorded and waits for Stripe; `Location` is the command"),
            (status = 200, body = CommandAnswer, description = "It ended within the wait that was asked for, or nothing had to be done"),
            (status = 409, description = $refusals),
            (status = 412, description = "Another version than If-Match names (`version-conflict`)"),
            (status = 503, description = "No key for Stripe is set (`not-configured`), or the store is away (`store-unavailable`)")))]
        pub async fn $name(State(service): State<Service>, $act: Act<$request>) -> Answer<Response> {
            let wish: Wish = $wish;
            $act.ask(&service, wish).await
        }
    };
}

act!(
    /// Subscribe without a checkout page
    create, "/v1/tenants/{tenant}/subscription", SubscribeRequest,
    "`subscription-exists`, `already-on-plan`, `plan-not-sellable`, `trial-already-used`, `quantity-out-of-range`, `write-conflict`, `idempotency-key-in-flight`",
    |act| Wish::Subscribe {
        purchase: act.body.purchase(),
        confirm: ConfirmBy::Hosted,
    }
);
act!(
    /// Have another plan or interval
    change_plan, "/v1/tenants/{tenant}/subscription/change-plan", PlanChangeRequest,
    "`no-subscription`, `already-on-plan`, `plan-not-sellable`, `downgrade-blocked`, `quantity-out-of-range`, `invalid-transition`, `write-conflict`, `idempotency-key-in-flight`",
    |act| Wish::ChangePlan(PlanChange {
        plan: act.body.plan.0.clone(),
        interval: act.body.interval.map(Into::into),
        quantity: act.body.quantity,
        when: act.body.effective.map(Into::into),
        proration: act.body.proration.map(Into::into),
    })
);
act!(
    /// Have more or fewer units
    change_quantity, "/v1/tenants/{tenant}/subscription/change-quantity", QuantityRequest,
    "`no-subscription`, `quantity-out-of-range`, `below-usage`, `invalid-transition`, `write-conflict`, `idempotency-key-in-flight`",
    |act| {
        let quantity = match (act.body.quantity, act.body.delta) {
            (Some(quantity), None) => QuantityWish::To(quantity),
            (None, Some(delta)) => QuantityWish::By(delta),
            (Some(_), Some(_)) | (None, None) => {
                return Err(Problem::invalid("", "send either quantity or delta"));
            }
        };
        Wish::ChangeQuantity { quantity, proration: act.body.proration.map(Into::into) }
    }
);
act!(
    /// End the subscription, with the period or at once
    cancel, "/v1/tenants/{tenant}/subscription/cancel", CancelRequest,
    "`no-subscription`, `invalid-transition`, `write-conflict`, `idempotency-key-in-flight`",
    |act| Wish::Cancel {
        when: act.body.when.map(Into::into),
        feedback: act.body.reason.map(Into::into),
    }
);
act!(
    /// Withdraw a planned cancellation
    resume, "/v1/tenants/{tenant}/subscription/resume", BareRequest,
    "`no-subscription`, `invalid-transition`, `write-conflict`, `idempotency-key-in-flight`",
    |act| Wish::Resume
);
act!(
    /// Withdraw a planned change of plan
    withdraw_change, "/v1/tenants/{tenant}/subscription/withdraw-change", BareRequest,
    "`no-subscription`, `invalid-transition`, `write-conflict`, `idempotency-key-in-flight`",
    |act| Wish::WithdrawChange
);
act!(
    /// Pause the collection of invoices, or the subscription
    pause, "/v1/tenants/{tenant}/subscription/pause", PauseRequest,
    "`no-subscription`, `invalid-transition`, `write-conflict`, `idempotency-key-in-flight`",
    |act| {
        let mode: PauseMode = act.body.mode.into();
        if mode == PauseMode::Subscription && act.body.until.is_some() {
            let detail = "Stripe ends such a pause when it is told to, not at a time; leave until away, and unpause then";
            return Err(Problem::invalid("/until", detail));
        }
        Wish::Pause { mode, until: act.body.until }
    }
);
act!(
    /// End a pause
    unpause, "/v1/tenants/{tenant}/subscription/unpause", BareRequest,
    "`no-subscription`, `invalid-transition`, `write-conflict`, `idempotency-key-in-flight`",
    |act| Wish::Unpause
);
act!(
    /// Put a coupon on
    apply_coupon, "/v1/tenants/{tenant}/subscription/apply-coupon", CouponRequest,
    "`no-subscription`, `invalid-transition`, `write-conflict`, `idempotency-key-in-flight`",
    |act| Wish::ApplyDiscount(DiscountSource::Coupon(act.body.code.0.clone()))
);
act!(
    /// Let the trial end later
    extend_trial, "/v1/tenants/{tenant}/subscription/extend-trial", TrialRequest,
    "`no-subscription`, `invalid-transition`, `write-conflict`, `idempotency-key-in-flight`",
    |act| Wish::ExtendTrial { days: act.body.days, reason: act.body.reason.0.clone() }
);

//! Why an account refuses a command: the words say what to do.

use std::fmt;

use crate::facts::SubscriptionStatus;
use crate::ids::{ChargeId, CustomerId, IntentId, InvoiceId, PlanCode, ScheduleId, SubscriptionId, TenantId};
use crate::money::Currency;
use crate::plan::{Access, Interval, Mode};
use crate::time::Timestamp;

/// A refusal. Nothing was recorded.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    /// The account, or the tenant, already belongs elsewhere.
    #[error("tenant {tenant} is already linked to another account ({linked_to}); a tenant has one account")]
    TenantAlreadyLinked {
        /// The tenant that was to be linked.
        tenant: TenantId,
        /// What it, or the account, is linked to.
        linked_to: String,
    },
    /// The account has another customer.
    #[error("the account already has the Stripe customer {has}, so {wanted} cannot be linked to it")]
    CustomerAlreadyLinked {
        /// The customer it has.
        has: CustomerId,
        /// The customer that was to be linked.
        wanted: CustomerId,
    },
    /// The object, or the caller, names another tenant than the account's. A fact is recorded all the same, the hint is
    /// not followed; a command is not carried out.
    #[error(
        "the account belongs to tenant {known}, not to {hinted}; name its tenant, or correct the metadata at Stripe"
    )]
    TenantMismatch {
        /// The account's tenant.
        known: TenantId,
        /// The tenant named.
        hinted: TenantId,
    },
    /// The catalogue has no such plan.
    #[error("there is no plan {plan}; the plans are {}", list(plans))]
    UnknownPlan {
        /// The plan named.
        plan: PlanCode,
        /// Plans of the catalogue.
        plans: Vec<PlanCode>,
    },
    /// It is held already.
    #[error("the account is on plan {plan} already, with {quantity} units; nothing would change")]
    AlreadyOnPlan {
        /// The plan.
        plan: PlanCode,
        /// How often it is billed; none: it has no price.
        interval: Option<Interval>,
        /// How many units.
        quantity: u64,
    },
    /// The plan is not sold this way.
    #[error("plan {plan} cannot be bought: {why}")]
    PlanNotSellable {
        /// The plan.
        plan: PlanCode,
        /// Why, and what to do.
        why: NotSellable,
    },
    /// More is in use than the plan allows.
    #[error(
        "plan {plan} allows less than is in use: {}; use less first, or choose a larger plan",
        list(limits)
    )]
    DowngradeBlocked {
        /// The plan.
        plan: PlanCode,
        /// Which limits.
        limits: Vec<LimitInUse>,
    },
    /// Too few or too many units.
    #[error("plan {plan} is sold in {min} to {max} units; {quantity} is outside")]
    QuantityOutOfRange {
        /// The plan.
        plan: PlanCode,
        /// How many were asked for.
        quantity: i128,
        /// Fewest.
        min: u64,
        /// Most.
        max: u64,
    },
    /// More is in use than so many units allow.
    #[error("{quantity} units allow less than is in use: {}; use less first", list(limits))]
    BelowUsage {
        /// How many were asked for.
        quantity: u64,
        /// Which limits.
        limits: Vec<LimitInUse>,
    },
    /// There is nothing to change.
    #[error("there is no running subscription{}; subscribe first", status(last.as_ref()))]
    NoLiveSubscription {
        /// Status of the last one, if there was one.
        last: Option<SubscriptionStatus>,
    },
    /// There is one already.
    #[error("subscription {subscription} is {} already; change its plan instead, or pay or cancel it first", status.as_str())]
    SubscriptionExists {
        /// The one there is.
        subscription: SubscriptionId,
        /// Its status.
        status: SubscriptionStatus,
    },
    /// A subscription was asked for a moment ago and Stripe has not answered.
    #[error("a subscription is being made by command {intent}; wait for it to end")]
    SubscriptionPending {
        /// The command.
        intent: IntentId,
    },
    /// It is over, or its end is under way.
    #[error("subscription {subscription} is canceled{}; subscribe anew instead", since(*ended_at))]
    AlreadyCanceled {
        /// Which.
        subscription: SubscriptionId,
        /// Since when; none: the cancellation is under way.
        ended_at: Option<Timestamp>,
    },
    /// It cannot end so.
    #[error("subscription {subscription} is {}: it has no paid period to run out; cancel it now", status.as_str())]
    NotCancelable {
        /// Which.
        subscription: SubscriptionId,
        /// Its status.
        status: SubscriptionStatus,
    },
    /// There is no planned cancellation to withdraw.
    #[error("subscription {subscription} cannot be resumed: {why}")]
    NotResumable {
        /// Which.
        subscription: SubscriptionId,
        /// Why, and what to do.
        why: NotResumable,
    },
    /// It cannot be paused so.
    #[error("subscription {subscription} cannot be paused: {why}")]
    NotPausable {
        /// Which.
        subscription: SubscriptionId,
        /// Why, and what to do.
        why: NotPausable,
    },
    /// A tenant has one trial.
    #[error("the tenant had its trial with subscription {subscription}; subscribe without one")]
    TrialAlreadyUsed {
        /// The subscription it was with.
        subscription: SubscriptionId,
        /// When it ended, or will.
        ended_at: Option<Timestamp>,
    },
    /// There is no running trial to extend.
    #[error("subscription {subscription} is {}, not in a trial", status.as_str())]
    NotInTrial {
        /// Which.
        subscription: SubscriptionId,
        /// Its status.
        status: SubscriptionStatus,
    },
    /// A trial of no or too many days.
    #[error("a trial lasts 1 to {max} days, not {days}")]
    TrialOutOfRange {
        /// Days asked for.
        days: u32,
        /// Most.
        max: u32,
    },
    /// Access is restricted, so nothing more can be bought.
    #[error("access is {}: {why}", access.as_str())]
    AccessIsRestricted {
        /// What is left.
        access: Access,
        /// Why, and what to do.
        why: Restriction,
        /// The invoice to pay, if that helps.
        invoice: Option<InvoiceId>,
    },
    /// It cannot be paid.
    #[error("invoice {invoice} cannot be paid: it {}", standing.as_deref().map_or_else(|| "is not one of this account".to_owned(), |it| format!("is {it}")))]
    InvoiceNotPayable {
        /// Which.
        invoice: InvoiceId,
        /// How it stands; none: the account has no such invoice.
        standing: Option<Box<str>>,
    },
    /// The account has no such payment.
    #[error("payment {charge} is not one of this account")]
    UnknownPayment {
        /// Which.
        charge: ChargeId,
    },
    /// More than what is left of the payment, or nothing.
    #[error(
        "{asked_minor} minor units of {currency} cannot be given back: {refundable_minor} of payment {charge} are left"
    )]
    RefundExceedsPayment {
        /// Which.
        charge: ChargeId,
        /// What was asked for.
        asked_minor: i64,
        /// What is left.
        refundable_minor: i64,
        /// Currency of both.
        currency: Currency,
    },
    /// The cardholder disputes it: the money is taken back that way.
    #[error("payment {charge} is disputed; answer or accept the dispute at Stripe instead of refunding it")]
    PaymentDisputed {
        /// Which.
        charge: ChargeId,
    },
    /// Too much for one person.
    #[error(
        "refunds above {alone_max_minor} minor units of {currency} need a second person; {amount_minor} were asked for"
    )]
    NeedsSecondApprover {
        /// What was asked for.
        amount_minor: i64,
        /// What one person may give back.
        alone_max_minor: i64,
        /// Currency of both.
        currency: Currency,
    },
    /// What a change rests on was not seen yet.
    #[error(
        "the items or the period of subscription {subscription} are not known yet; they are being fetched, try again"
    )]
    TermsUnknown {
        /// Which.
        subscription: SubscriptionId,
    },
    /// The account has no Stripe customer.
    #[error("the account has no Stripe customer yet; subscribe first")]
    NoCustomer,
    /// Too many commands wait for Stripe.
    #[error("{open} commands of this account wait for Stripe, at most {max} may; wait until they have ended")]
    TooManyOpenIntents {
        /// How many.
        open: usize,
        /// How many may.
        max: usize,
    },
    /// No such intent is known, or it ended long ago.
    #[error("intent {intent} is not waiting for anything")]
    UnknownIntent {
        /// Which.
        intent: IntentId,
    },
    /// The subscription is driven by a schedule that we did not make and cannot read.
    #[error("schedule {schedule} of the subscription is not known yet; it is being fetched, try again")]
    ScheduleUnknown {
        /// Which.
        schedule: ScheduleId,
    },
}

impl Rejection {
    /// The domain's word for it, as answers of the API name it.
    #[must_use]
    pub const fn word(&self) -> &'static str {
        match self {
            Self::TenantAlreadyLinked { .. } => "TenantAlreadyLinked",
            Self::CustomerAlreadyLinked { .. } => "CustomerAlreadyLinked",
            Self::TenantMismatch { .. } => "TenantMismatch",
            Self::UnknownPlan { .. } => "UnknownPlan",
            Self::AlreadyOnPlan { .. } => "AlreadyOnPlan",
            Self::PlanNotSellable { .. } => "PlanNotSellable",
            Self::DowngradeBlocked { .. } => "DowngradeBlocked",
            Self::QuantityOutOfRange { .. } => "QuantityOutOfRange",
            Self::BelowUsage { .. } => "BelowUsage",
            Self::NoLiveSubscription { .. } => "NoLiveSubscription",
            Self::SubscriptionExists { .. } => "SubscriptionExists",
            Self::SubscriptionPending { .. } => "SubscriptionPending",
            Self::AlreadyCanceled { .. } => "AlreadyCanceled",
            Self::NotCancelable { .. } => "NotCancelable",
            Self::NotResumable { .. } => "NotResumable",
            Self::NotPausable { .. } => "NotPausable",
            Self::TrialAlreadyUsed { .. } => "TrialAlreadyUsed",
            Self::NotInTrial { .. } => "NotInTrial",
            Self::TrialOutOfRange { .. } => "TrialOutOfRange",
            Self::AccessIsRestricted { .. } => "AccessIsRestricted",
            Self::InvoiceNotPayable { .. } => "InvoiceNotPayable",
            Self::UnknownPayment { .. } => "UnknownPayment",
            Self::RefundExceedsPayment { .. } => "RefundExceedsPayment",
            Self::PaymentDisputed { .. } => "PaymentDisputed",
            Self::NeedsSecondApprover { .. } => "NeedsSecondApprover",
            Self::TermsUnknown { .. } => "TermsUnknown",
            Self::NoCustomer => "NoCustomer",
            Self::TooManyOpenIntents { .. } => "TooManyOpenIntents",
            Self::UnknownIntent { .. } => "UnknownIntent",
            Self::ScheduleUnknown { .. } => "ScheduleUnknown",
        }
    }
}

/// A limit that is lower than what is in use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LimitInUse {
    /// The resource.
    pub resource: Box<str>,
    /// What is in use, in base units.
    pub used: u64,
    /// What would be allowed, in base units.
    pub limit: u64,
}

impl fmt::Display for LimitInUse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({} in use, {} allowed)", self.resource, self.used, self.limit)
    }
}

/// Why a plan cannot be bought.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotSellable {
    /// It is sold by talking to people.
    #[error("it is sold by talking to people, at {url}")]
    ContactUs {
        /// Where.
        url: String,
    },
    /// It is kept for those who have it.
    #[error("it is no longer sold; choose another plan")]
    Inactive,
    /// The tenant is outside its flag.
    #[error("it is not open to this tenant (flag {flag})")]
    OutsideFlag {
        /// The flag.
        flag: String,
    },
    /// It costs nothing.
    #[error("it costs nothing and needs no subscription")]
    Free,
    /// It has no such price.
    #[error("it has no price by the {} in {currency}; there are {}", interval.as_str(), offers(offered))]
    NoPrice {
        /// The interval asked for.
        interval: Interval,
        /// The currency asked for.
        currency: Currency,
        /// What there is.
        offered: Vec<(Interval, Currency)>,
    },
    /// Its price has no id in this mode.
    #[error("its price has no Stripe id in {} mode; an operator must add it to the catalogue", mode.as_str())]
    NotInMode {
        /// The mode.
        mode: Mode,
    },
}

/// Why a subscription cannot be resumed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotResumable {
    /// It is over.
    #[error("it has ended; subscribe anew")]
    Ended,
    /// It is paused, not canceled.
    #[error("it is paused, not canceled; end the pause instead")]
    Paused,
}

/// Why a subscription cannot be paused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotPausable {
    /// It bills the classic way.
    #[error("Stripe pauses only subscriptions in flexible billing mode; pause the collection instead")]
    ClassicBilling,
    /// Its first payment is open, or it is unpaid.
    #[error("it is not paid up; pay or cancel it")]
    NotPaidUp,
    /// It would end before it began.
    #[error("the pause would end in the past")]
    PastEnd,
}

/// Why access is restricted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Restriction {
    /// A payment is overdue.
    #[error("a payment is overdue; pay the open invoice first")]
    PaymentOverdue,
    /// The subscription is paused.
    #[error("the subscription is paused; end the pause first")]
    Paused,
    /// A payment is or was disputed.
    #[error("a payment is disputed; settle the dispute first")]
    Disputed,
}

fn list<T: fmt::Display>(all: &[T]) -> String {
    let words: Vec<String> = all.iter().map(ToString::to_string).collect();
    words.join(", ")
}

fn offers(all: &[(Interval, Currency)]) -> String {
    let words: Vec<String> = all.iter().map(|(i, c)| format!("{} in {c}", i.as_str())).collect();
    words.join(", ")
}

fn status(last: Option<&SubscriptionStatus>) -> String {
    last.map(|status| format!(" (the last one is {})", status.as_str()))
        .unwrap_or_default()
}

fn since(at: Option<Timestamp>) -> String {
    at.map(|at| format!(" since {at}")).unwrap_or_default()
}

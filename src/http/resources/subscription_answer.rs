//! The words of a subscription answer.

use aggregates::facts::{Item, Period};
use aggregates::money::Currency;
use aggregates::subscription::standing::{MethodStanding, PendingChange, Standing};
use aggregates::time::Timestamp;
use projections::book::StandingBook;
use serde::Serialize;
use utoipa::ToSchema;

use super::entitlements::EntitlementsAnswer;
use super::plans::MoneyAnswer;
use super::quotas::QuotaAnswer;
use super::standing::{Restriction, Stand};
use crate::http::past::AsOfAnswer;

/// A plan by name.
#[derive(Serialize, ToSchema)]
pub struct PlanName {
    /// Its code.
    pub code: String,
    /// For people; null when the catalogue does not know the plan.
    pub name: Option<String>,
}

/// A span of time: `start` belongs to it, `end` does not.
#[derive(Serialize, ToSchema)]
pub struct PeriodAnswer {
    /// First instant.
    #[schema(value_type = String, format = DateTime)]
    start: Timestamp,
    /// First instant after it.
    #[schema(value_type = String, format = DateTime)]
    end: Timestamp,
}

impl From<Period> for PeriodAnswer {
    fn from(period: Period) -> Self {
        Self {
            start: period.start,
            end: period.end,
        }
    }
}

/// A trial, past or running.
#[derive(Serialize, ToSchema)]
pub struct TrialPeriod {
    /// When it began.
    #[schema(value_type = String, format = DateTime)]
    starts_at: Timestamp,
    /// When it ends or ended.
    #[schema(value_type = String, format = DateTime)]
    ends_at: Timestamp,
}

/// A planned end.
#[derive(Serialize, ToSchema)]
pub struct CancelAnswer {
    /// With the period.
    at_period_end: bool,
    /// When; null when the period is not known.
    #[schema(value_type = Option<String>, format = DateTime)]
    at: Option<Timestamp>,
    /// Stripe's reason word.
    reason: Option<Box<str>>,
}

/// A pause.
#[derive(Serialize, ToSchema)]
pub struct PauseAnswer {
    /// `collection`: invoices are made but not collected, the status stays; `subscription`: no invoices are made.
    mode: &'static str,
    /// Of a paused collection: `keep_as_draft`, `mark_uncollectible` or `void`.
    behavior: Option<Box<str>>,
    /// When it ends by itself.
    #[schema(value_type = Option<String>, format = DateTime)]
    resumes_at: Option<Timestamp>,
}

/// A planned change of plan or quantity.
#[derive(Serialize, ToSchema)]
pub struct PendingChangeAnswer {
    /// When it takes effect; null when the period is not known.
    #[schema(value_type = Option<String>, format = DateTime)]
    at: Option<Timestamp>,
    /// The plan then; null when its price is not in the catalogue.
    plan: Option<PlanName>,
    /// Units then; null when only the plan is known.
    quantity: Option<u64>,
    /// By a planned cancellation to the free plan.
    to_free: bool,
}

/// What is charged by default.
#[derive(Serialize, ToSchema)]
pub struct MethodAnswer {
    /// `card`, `sepa_debit`...; null: only that there is one is known.
    kind: Option<Box<str>>,
    /// Brand of the card.
    brand: Option<Box<str>>,
    /// Last four digits.
    last4: Option<Box<str>>,
    /// Month of expiry.
    exp_month: Option<u32>,
    /// Year of expiry.
    exp_year: Option<u32>,
}

impl MethodAnswer {
    /// Of what is charged by default.
    #[must_use]
    pub fn of(method: &MethodStanding) -> Self {
        Self {
            kind: method.kind.clone(),
            brand: method.brand.clone(),
            last4: method.last4.clone(),
            exp_month: method.exp_month,
            exp_year: method.exp_year,
        }
    }
}

/// A step of dunning.
#[derive(Serialize, ToSchema)]
pub struct DunningAnswer {
    /// Word of the last step taken.
    step: String,
}

/// Where to look at Stripe.
#[derive(Serialize, ToSchema)]
pub struct StripeAnswer {
    /// The customer.
    customer: Option<String>,
    /// The subscription.
    subscription: Option<String>,
    /// All running subscriptions, when there is more than one.
    concurrent: Vec<String>,
    /// Its items; empty when they are not known.
    items: Vec<String>,
    /// Their prices, in the same order.
    prices: Vec<String>,
    /// Prices that the catalogue does not know: the account's plan is incomplete until it does.
    unmapped_prices: Vec<String>,
    /// Its newest invoice.
    latest_invoice: Option<String>,
}

/// A subscription that is not the one the answer speaks of.
#[derive(Serialize, ToSchema)]
pub struct PreviousSubscription {
    /// Its id at Stripe.
    subscription: String,
    /// Its last status.
    status: String,
    /// Its plan.
    plan: Option<String>,
    /// When it began.
    #[schema(value_type = Option<String>, format = DateTime)]
    started_at: Option<Timestamp>,
    /// When it ended; null while it runs.
    #[schema(value_type = Option<String>, format = DateTime)]
    ended_at: Option<Timestamp>,
    /// Stripe's reason word.
    reason: Option<Box<str>>,
}

/// Where a tenant stands.
#[derive(Serialize, ToSchema)]
pub struct SubscriptionAnswer {
    /// The tenant; null for an account without one.
    tenant: Option<String>,
    /// `none`, `incomplete`, `incomplete_expired`, `trialing`, `active`, `past_due`, `unpaid`, `paused`, `canceled`, or
    /// `unrecognised`.
    status: Box<str>,
    /// Stripe's own word, when the status is `unrecognised`.
    status_raw: Option<Box<str>>,
    /// `full`, `grace`, `restricted` or `blocked`.
    access: &'static str,
    /// Trialing or active.
    is_active: bool,
    /// Plan of the subscription, held or not; the free plan where that applies; null without.
    plan: Option<PlanName>,
    /// Catalogue version whose terms hold.
    plan_version: Option<u32>,
    /// `day`, `week`, `month` or `year`.
    interval: Option<Box<str>>,
    /// Every how many intervals.
    interval_count: Option<u32>,
    /// Units of the plan.
    quantity: Option<u64>,
    /// Price of one unit; null when tiered or finer than a minor unit.
    unit_price: Option<MoneyAnswer>,
    /// What a period costs before discounts and tax; null when a price is tiered or metered.
    total: Option<MoneyAnswer>,
    /// When it began.
    #[schema(value_type = Option<String>, format = DateTime)]
    started_at: Option<Timestamp>,
    /// The trial, past or running.
    trial: Option<TrialPeriod>,
    /// Billing period.
    period: Option<PeriodAnswer>,
    /// When it bills next; null: it will not, or the period is not known.
    #[schema(value_type = Option<String>, format = DateTime)]
    next_billing_at: Option<Timestamp>,
    /// Its planned end.
    cancel: Option<CancelAnswer>,
    /// When cancellation was asked for.
    #[schema(value_type = Option<String>, format = DateTime)]
    canceled_at: Option<Timestamp>,
    /// When it ended.
    #[schema(value_type = Option<String>, format = DateTime)]
    ended_at: Option<Timestamp>,
    /// A pause.
    pause: Option<PauseAnswer>,
    /// What is planned to change.
    pending_change: Option<PendingChangeAnswer>,
    /// Why access is restricted or blocked.
    restriction: Option<Restriction>,
    /// What is charged by default.
    payment_method: Option<MethodAnswer>,
    /// Where dunning stands; null: it is not running.
    dunning: Option<DunningAnswer>,
    /// Public plans above this one, the nearest first.
    upgrade_options: Vec<PlanName>,
    /// Where to look at Stripe.
    stripe: StripeAnswer,
    /// With `include=previous`: other subscriptions of the account, newest first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub previous: Option<Vec<PreviousSubscription>>,
    /// With `include=limits`: what the tenant may use.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limits: Option<EntitlementsAnswer>,
    /// With `include=usage`: how much of it is used.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub usage: Option<Vec<QuotaAnswer>>,
    /// When what this says last changed, by the ledger's clock; null when nothing was ever recorded.
    #[schema(value_type = Option<String>, format = DateTime)]
    updated_at: Option<Timestamp>,
    /// Sequence of the account's last event.
    version: u64,
    /// The point in time asked for; null = now.
    pub as_of: Option<AsOfAnswer>,
}

impl SubscriptionAnswer {
    /// From where the account stands.
    #[must_use]
    pub fn of(stand: &Stand, book: &StandingBook, version: u64, updated_at: Option<Timestamp>) -> Self {
        let it = &stand.standing;
        let item = main_item(it);
        let bought = it.plan.as_ref();
        let free = stand.held.plans().first().filter(|_| it.on_free_plan);
        let plan = free
            .map(|held| (&held.code, held.catalogue.version()))
            .or_else(|| bought.map(|held| (&held.plan.code, held.plan.version)));
        let money = |amount_minor: i64, currency: Option<Currency>| {
            let currency = currency?.as_str().to_owned();
            Some(MoneyAnswer { amount_minor, currency })
        };
        let unit_price = item.and_then(|item| money(item.unit_amount_minor?, item.currency.or(it.currency)));
        Self {
            tenant: stand.tenant.as_ref().map(ToString::to_string),
            status: it.status.clone(),
            status_raw: it.status_raw.clone(),
            access: it.access.as_str(),
            is_active: it.is_active,
            plan: plan.map(|(code, _)| plan_name(stand, code.as_str())),
            plan_version: plan.map(|(_, version)| version),
            interval: item.and_then(|item| item.interval.clone()),
            interval_count: item.and_then(|item| item.interval_count),
            quantity: bought.map(|held| held.quantity).or(item.and_then(|item| item.quantity)),
            unit_price,
            total: it.total_minor.and_then(|total| money(total, it.currency)),
            started_at: it.started_at,
            trial: it.trial.map(|trial| TrialPeriod {
                starts_at: trial.start,
                ends_at: trial.end,
            }),
            period: it.period.map(PeriodAnswer::from),
            next_billing_at: it.next_billing_at,
            cancel: it.cancel.as_ref().map(|cancel| CancelAnswer {
                at_period_end: cancel.at_period_end,
                at: cancel.at,
                reason: cancel.reason.clone(),
            }),
            canceled_at: it.canceled_at,
            ended_at: it.ended_at,
            pause: pause(it),
            pending_change: it.pending_change.as_ref().map(|change| pending(stand, change)),
            restriction: stand.restriction(),
            payment_method: it.payment_method.as_ref().map(MethodAnswer::of),
            dunning: None,
            upgrade_options: stand
                .upgrades()
                .map(|plan| PlanName {
                    code: plan.code.to_string(),
                    name: Some(plan.name.clone()),
                })
                .collect(),
            stripe: at_stripe(it, book),
            previous: None,
            limits: None,
            usage: None,
            updated_at,
            version,
            as_of: None,
        }
    }
}

/// The item of the plan, else the only one.
fn main_item(standing: &Standing) -> Option<&Item> {
    let items = standing.items.as_deref()?;
    let of_plan = |held: &aggregates::subscription::standing::Holding| items.iter().find(|it| it.price == held.price);
    let only = || (items.len() == 1).then(|| &items[0]);
    standing.plan.as_ref().and_then(of_plan).or_else(only)
}

/// By the terms that are held, else by today's catalogue.
fn plan_name(stand: &Stand, code: &str) -> PlanName {
    let held = stand.held.plans().iter().find(|held| held.code.as_str() == code);
    let of_terms = held.and_then(|held| held.plan());
    let today = || stand.catalogue.plans().iter().find(|plan| plan.code.as_str() == code);
    PlanName {
        code: code.to_owned(),
        name: of_terms.or_else(today).map(|plan| plan.name.clone()),
    }
}

fn pause(standing: &Standing) -> Option<PauseAnswer> {
    if &*standing.status == "paused" {
        return Some(PauseAnswer {
            mode: "subscription",
            behavior: None,
            resumes_at: None,
        });
    }
    standing.collection_pause.as_ref().map(|pause| PauseAnswer {
        mode: "collection",
        behavior: Some(pause.behavior.clone()),
        resumes_at: pause.resumes_at,
    })
}

fn pending(stand: &Stand, change: &PendingChange) -> PendingChangeAnswer {
    let by_price = || {
        let mut known = change
            .items
            .iter()
            .filter_map(|(price, _)| stand.catalogue.plan_of_price(price));
        known.next().map(|(plan, _)| plan.code.to_string())
    };
    let free = || stand.catalogue.free_plan().map(|plan| plan.code.to_string());
    let code = match &change.plan {
        Some(plan) => Some(plan.code.to_string()),
        None if change.to_free => free(),
        None => by_price(),
    };
    PendingChangeAnswer {
        at: change.at,
        plan: code.map(|code| plan_name(stand, &code)),
        quantity: change.items.iter().find_map(|(_, quantity)| *quantity),
        to_free: change.to_free,
    }
}

fn at_stripe(standing: &Standing, book: &StandingBook) -> StripeAnswer {
    let items = standing.items.as_deref().unwrap_or_default();
    let concurrent = Some(&standing.live).filter(|live| live.len() > 1);
    StripeAnswer {
        customer: book.account.customer.as_ref().map(ToString::to_string),
        subscription: standing.subscription.as_ref().map(ToString::to_string),
        concurrent: concurrent.into_iter().flatten().map(ToString::to_string).collect(),
        items: items.iter().map(|item| item.item.to_string()).collect(),
        prices: items.iter().map(|item| item.price.to_string()).collect(),
        unmapped_prices: standing.unmapped.iter().map(ToString::to_string).collect(),
        latest_invoice: standing.latest_invoice.as_ref().map(ToString::to_string),
    }
}

/// The account's other subscriptions, newest first.
#[must_use]
pub fn previous(book: &StandingBook, standing: &Standing) -> Vec<PreviousSubscription> {
    let others = book
        .life
        .subscriptions
        .iter()
        .filter(|(id, _)| Some(*id) != standing.subscription.as_ref());
    let mut others: Vec<PreviousSubscription> = others
        .filter_map(|(id, other)| {
            let terms = other.book.terms()?;
            let plan = terms
                .items
                .iter()
                .flatten()
                .find_map(|item| other.plans.get(&item.price));
            Some(PreviousSubscription {
                subscription: id.to_string(),
                status: terms.status.as_str().to_owned(),
                plan: plan.map(|plan| plan.code.to_string()),
                started_at: terms.started_at,
                ended_at: terms.ended_at,
                reason: terms.cancel_reason.clone(),
            })
        })
        .collect();
    others.sort_by_key(|other| std::cmp::Reverse(other.started_at));
    others
}

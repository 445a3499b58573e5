//! Buying: on Stripe's checkout page, or without a page; and Stripe's billing portal.

use super::request::{Cx, in_range, not_sellable, record};
use crate::facts::SubscriptionStatus as Status;
use crate::ids::{CustomerId, IntentId, SubscriptionId};
use crate::money::Currency;
use crate::plan::{Plan, TrialCard};
use crate::subscription::asked::{
    CheckoutRequested, ConfirmBy, PortalFlow, PortalSessionOpened, SubscriptionRequested, WantedTerms,
};
use crate::subscription::command::Decision;
use crate::subscription::event::SubscriptionEvent as Event;
use crate::subscription::intent::{Asked, IntentStatus};
use crate::subscription::rejection::{NotSellable, Rejection};
use crate::subscription::request::Purchase;
use crate::subscription::state::is_live;
use crate::time::Timestamp;

/// Longest trial Stripe takes in days.
pub(super) const TRIAL_DAYS_MAX: u32 = 730;

pub(super) fn open(cx: &Cx<'_>, purchase: &Purchase) -> Result<Decision, Rejection> {
    let bought = Bought::of(cx, purchase)?;
    let page = cx
        .catalogue
        .map(|catalogue| catalogue.terms().checkout)
        .unwrap_or_default();
    // A page that was asked for and never opened is asked for again, not beside the new one.
    let waiting = cx
        .state
        .intents
        .iter()
        .filter(|intent| matches!(intent.asked, Asked::Checkout(_)) && intent.status() == IntentStatus::Accepted);
    let replaces: Vec<IntentId> = waiting.map(|intent| intent.id()).collect();
    Ok(record(Event::CheckoutRequested(CheckoutRequested {
        intent: cx.head(),
        customer: cx.state.account.customer.clone(),
        terms: bought.terms,
        trial_days: bought.trial_days,
        card: bought.card,
        discount: purchase.discount.clone(),
        promotion_codes: purchase.promotion_codes.unwrap_or(page.promotion_codes) && purchase.discount.is_none(),
        automatic_tax: page.automatic_tax,
        collect_tax_id: page.collect_tax_id,
        billing_address: page.billing_address,
        replaces,
    })))
}

pub(super) fn subscribe(cx: &Cx<'_>, purchase: &Purchase, confirm: ConfirmBy) -> Result<Decision, Rejection> {
    let bought = Bought::of(cx, purchase)?;
    Ok(record(Event::SubscriptionRequested(SubscriptionRequested {
        intent: cx.head(),
        customer: cx.state.account.customer.clone(),
        terms: bought.terms,
        trial_days: bought.trial_days,
        discount: purchase.discount.clone(),
        confirm,
    })))
}

/// The page can be opened for a customer, at a subscription only if there is one.
pub(super) fn portal(cx: &Cx<'_>, flow: Option<PortalFlow>) -> Result<Decision, Rejection> {
    let customer: CustomerId = cx.state.account.customer.clone().ok_or(Rejection::NoCustomer)?;
    match flow {
        Some(
            PortalFlow::SubscriptionCancel | PortalFlow::SubscriptionUpdate | PortalFlow::SubscriptionUpdateConfirm,
        ) => {
            cx.live()?;
        }
        Some(PortalFlow::PaymentMethodUpdate) | None => {}
    }
    Ok(record(Event::PortalSessionOpened(PortalSessionOpened {
        intent: cx.head(),
        customer,
        flow,
    })))
}

/// What a purchase comes to.
struct Bought {
    terms: WantedTerms,
    trial_days: Option<u32>,
    card: TrialCard,
}

impl Bought {
    fn of(cx: &Cx<'_>, purchase: &Purchase) -> Result<Self, Rejection> {
        let plan = cx.plan(&purchase.plan)?;
        nothing_there(cx, plan)?;
        if plan.is_free() {
            let is_held = cx.catalogue.and_then(|catalogue| catalogue.free_plan());
            return Err(if is_held.is_some_and(|free| free.code == plan.code) {
                on_free(plan)
            } else {
                not_sellable(plan, NotSellable::Free)
            });
        }
        cx.sellable(plan)?;
        cx.unrestricted()?;
        let quantity = in_range(plan, i128::from(purchase.quantity.unwrap_or(plan.quantity.min)))?;
        let currency = currency(cx, plan, purchase.currency);
        let currency = currency.ok_or_else(|| not_sellable(plan, NotSellable::Free))?;
        let interval = purchase.interval;
        let interval = interval.unwrap_or_else(|| cx.default_interval(plan, None, currency));
        Ok(Self {
            terms: cx.terms(plan, interval, currency, quantity)?,
            trial_days: trial(cx, plan, purchase)?,
            card: plan.trial.map(|trial| trial.card).unwrap_or_default(),
        })
    }
}

/// The tenant is on the free plan already: there is no subscription, so nothing is to be bought.
pub(super) fn on_free(plan: &Plan) -> Rejection {
    Rejection::AlreadyOnPlan {
        plan: plan.code.clone(),
        interval: None,
        quantity: plan.quantity.min,
    }
}

/// No subscription runs, waits for its first payment or is being made.
fn nothing_there(cx: &Cx<'_>, wanted: &Plan) -> Result<(), Rejection> {
    let being_made = cx
        .state
        .intents
        .iter()
        .find(|intent| matches!(intent.asked, Asked::Subscription(_)) && !intent.status().is_final());
    if let Some(intent) = being_made {
        return Err(Rejection::SubscriptionPending { intent: intent.id() });
    }
    for (id, book) in &cx.state.life.subscriptions {
        let Some(terms) = book.book.terms() else { continue };
        if !is_live(&terms.status) && terms.status != Status::Incomplete {
            continue;
        }
        let item = crate::subscription::wanted::main_item(book, &terms);
        let held = item.and_then(|item| cx.plan_behind(book, &item.price));
        if let (Some(item), Some(held)) = (item, held)
            && held.code == wanted.code
            && is_live(&terms.status)
        {
            let price = cx.catalogue.and_then(|catalogue| catalogue.plan_of_price(&item.price));
            return Err(Rejection::AlreadyOnPlan {
                plan: held.code,
                interval: price.map(|(_, price)| price.interval),
                quantity: item.quantity.unwrap_or(1),
            });
        }
        return Err(Rejection::SubscriptionExists {
            subscription: id.clone(),
            status: terms.status.clone(),
        });
    }
    Ok(())
}

/// The currency asked for, else the account's, else its customer's at Stripe, else the catalogue's if the plan is sold
/// in it, else the first one it is sold in.
fn currency(cx: &Cx<'_>, plan: &Plan, asked: Option<Currency>) -> Option<Currency> {
    let state = cx.state;
    let customer = state.account.customer.as_ref();
    let customer = customer.and_then(|id| state.life.customers.get(id)?.terms());
    let sold = || plan.prices.iter().filter(|price| price.is_licensed() && price.active);
    let of_catalogue = cx.catalogue.map(|catalogue| catalogue.terms().currency);
    asked
        .or(state.account.currency)
        .or_else(|| customer.and_then(|customer| customer.currency))
        .or_else(|| of_catalogue.filter(|currency| sold().any(|price| price.currency == *currency)))
        .or_else(|| sold().next().map(|price| price.currency))
}

/// The trial of a purchase: what was asked for, else the plan's if the tenant had none.
fn trial(cx: &Cx<'_>, plan: &Plan, purchase: &Purchase) -> Result<Option<u32>, Rejection> {
    let used = used_trial(cx).filter(|_| !purchase.trial_again);
    match (purchase.trial_days, used) {
        (Some(0), _) => Ok(None),
        (Some(_), Some((subscription, ended_at))) => Err(Rejection::TrialAlreadyUsed { subscription, ended_at }),
        (Some(days), None) => in_days(days).map(Some),
        (None, Some(_)) => Ok(None),
        (None, None) => Ok(plan.trial.map(|trial| trial.days)),
    }
}

/// Whether a trial may last so many days.
pub(super) fn in_days(days: u32) -> Result<u32, Rejection> {
    if (1..=TRIAL_DAYS_MAX).contains(&days) {
        Ok(days)
    } else {
        Err(Rejection::TrialOutOfRange {
            days,
            max: TRIAL_DAYS_MAX,
        })
    }
}

/// The trial the tenant had. One that never began, because its first payment never came, does not count.
fn used_trial(cx: &Cx<'_>) -> Option<(SubscriptionId, Option<Timestamp>)> {
    cx.state.life.subscriptions.iter().find_map(|(id, book)| {
        let terms = book.book.terms()?;
        let began = terms.status != Status::IncompleteExpired;
        let is_trial = terms.trial.is_some() || terms.status == Status::Trialing;
        (began && is_trial).then(|| (id.clone(), terms.trial.map(|trial| trial.end)))
    })
}

//! What a command means for an account: pure, from its state and the plan catalogue.
//!
//! An observation is recorded by at least one event, unless exactly the same was recorded before. The event's name
//! says what changed in the effective terms when it arrived; its content is always the whole snapshot.

mod account;
mod cancel;
mod checkout;
mod coupon;
mod customer;
mod intents;
mod invoices;
mod life;
mod money;
mod pause;
mod plan;
mod quantity;
mod refund;
mod request;
mod resume;
mod terms;
mod trial;

use super::carried::Carried;
use super::command::{Decision, Refresh, SubscriptionCommand};
use super::event::SubscriptionEvent;
use super::rejection::Rejection;
use super::seen::{
    ChargeSeen, CheckoutSeen, CreditNoteSeen, CustomerSeen, DiscountSeen, DisputeSeen, InvoicePaymentSeen, InvoiceSeen,
    PaymentMethodSeen, PlanRef, RefundSeen, ScheduleSeen, SnapshotRecorded, SubscriptionSeen,
};
use super::state::AccountState;
use crate::facts::SubscriptionSnapshot;
use crate::ids::PriceId;
use crate::mutant::{self, Mutant};
use crate::observation::{Observation, Observed};
use crate::plan::Catalogue;
use crate::register::Book;
use crate::snapshot::{Entry, Fact, Placement, Seen, Snapshot};

/// What the plan catalogue answers while deciding.
pub trait PriceBook {
    /// The plan a Stripe price stands for in the version in force; none: unmapped.
    fn plan_of(&self, price: &PriceId) -> Option<PlanRef>;

    /// The plans in force, for whoever buys; none: nothing is sold.
    fn catalogue(&self) -> Option<&Catalogue> {
        None
    }
}

/// A catalogue without plans.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoPlans;

impl PriceBook for NoPlans {
    fn plan_of(&self, _price: &PriceId) -> Option<PlanRef> {
        None
    }
}

impl PriceBook for Catalogue {
    fn plan_of(&self, price: &PriceId) -> Option<PlanRef> {
        self.plan_of_price(price).map(|(plan, _)| PlanRef {
            code: plan.code.clone(),
            version: self.version(),
        })
    }

    fn catalogue(&self) -> Option<&Catalogue> {
        Some(self)
    }
}

impl PriceBook for std::collections::BTreeMap<PriceId, PlanRef> {
    fn plan_of(&self, price: &PriceId) -> Option<PlanRef> {
        self.get(price).cloned()
    }
}

/// Decides what a command means. Observations are never refused: what Stripe says is a fact.
pub fn decide(
    state: &AccountState,
    command: &SubscriptionCommand,
    prices: &dyn PriceBook,
) -> Result<Decision, Rejection> {
    match command {
        SubscriptionCommand::OpenAccount { tenant, currency } => {
            account::open(&state.account, tenant.as_ref(), *currency)
        }
        SubscriptionCommand::LinkCustomer { customer } => account::link(&state.account, customer),
        SubscriptionCommand::AssignTenant { tenant, reason } => {
            account::assign(&state.account, tenant, reason.as_deref())
        }
        SubscriptionCommand::Observe(observation) => Ok(observe(state, observation, prices)),
        SubscriptionCommand::Request(request) => request::request(state, request, prices),
        SubscriptionCommand::SettleCall(settled) => intents::settle(state, settled),
        SubscriptionCommand::StartCheckout(started) => intents::start(state, started),
    }
}

/// A hint that disagrees with what the account knows: the fact is recorded all the same, the hint is not followed,
/// and this is what to raise as a finding.
#[must_use]
pub fn conflict(state: &AccountState, observation: &Observation) -> Option<Rejection> {
    let account = &state.account;
    if let (Some(known), Some(hinted)) = (&account.tenant, &observation.tenant_hint)
        && known != hinted
    {
        return Some(Rejection::TenantMismatch {
            known: known.clone(),
            hinted: hinted.clone(),
        });
    }
    let recorded = record_of(observation, &NoPlans);
    match (&account.customer, recorded.carried().customer()) {
        (Some(has), Some(wanted)) if has != wanted => Some(Rejection::CustomerAlreadyLinked {
            has: has.clone(),
            wanted: wanted.clone(),
        }),
        _ => None,
    }
}

fn observe(state: &AccountState, observation: &Observation, prices: &dyn PriceBook) -> Decision {
    let recorded = record_of(observation, prices);
    let mut events = account::opening(
        &state.account,
        observation.tenant_hint.as_ref(),
        recorded.carried().customer(),
    );
    let mut refresh = Vec::new();
    let proofs = intents::proofs(state, recorded.carried(), observation.echo);
    let is_swallowed = mutant::is(Mutant::EchoSwallows) && !proofs.is_empty();
    if !state.is_known(recorded.carried()) && !is_swallowed {
        let (mut labelled, wanted) = label(state, recorded);
        if mutant::is(Mutant::ConfirmationSkipped) {
            labelled.retain(|event| !matches!(event, SubscriptionEvent::SnapshotConfirmed(_)));
        }
        events.extend(labelled);
        refresh = wanted;
    }
    // After the snapshot that proves it; a twin can still bring the echo that was missing.
    events.extend(proofs);
    if events.is_empty() {
        return Decision::Superseded;
    }
    Decision::Record { events, refresh }
}

fn label(state: &AccountState, recorded: SnapshotRecorded) -> (Vec<SubscriptionEvent>, Vec<Refresh>) {
    match recorded {
        SnapshotRecorded::Customer(it) => customer::customer(state, it),
        SnapshotRecorded::PaymentMethod(it) => customer::payment_method(state, it),
        SnapshotRecorded::Subscription(it) => life::subscription(state, it),
        SnapshotRecorded::Schedule(it) => terms::schedule(state, it),
        SnapshotRecorded::Discount(it) => terms::discount(state, it),
        SnapshotRecorded::Invoice(it) => invoices::invoice(state, it),
        SnapshotRecorded::InvoicePayment(it) => invoices::payment(state, it),
        SnapshotRecorded::Checkout(it) => money::checkout(state, it),
        SnapshotRecorded::Charge(it) => money::charge(state, it),
        SnapshotRecorded::Refund(it) => money::refund(state, it),
        SnapshotRecorded::Dispute(it) => money::dispute(state, it),
        SnapshotRecorded::CreditNote(it) => money::credit_note(state, it),
    }
}

/// What a snapshot does to a book.
pub(super) struct Weighed<T> {
    /// Where it stands.
    placement: Placement,
    /// Effective terms before; none: first sight.
    before: Option<T>,
    /// Effective terms after.
    after: Option<T>,
    /// Facts that no snapshot said before.
    news: Vec<Fact>,
}

impl<T: Snapshot> Weighed<T> {
    fn of(book: Option<&Book<T>>, seen: &Seen, snapshot: &T) -> Self {
        let mut book = book.cloned().unwrap_or_default();
        let news = snapshot.facts(seen);
        let news = news.into_iter().filter(|fact| !book.facts.contains(fact)).collect();
        let placement = book.register.place(&Entry {
            seen: seen.clone(),
            snapshot: snapshot.clone(),
        });
        let before = book.terms().map(std::borrow::Cow::into_owned);
        book.apply(seen, snapshot);
        let after = book.terms().map(std::borrow::Cow::into_owned);
        Self {
            placement,
            before,
            after,
            news,
        }
    }

    /// It is current and the effective terms are not what they were.
    fn is_change(&self) -> bool {
        matches!(self.placement, Placement::Wins { .. }) && self.before != self.after
    }

    fn is_first(&self) -> bool {
        self.before.is_none()
    }

    /// It arrived after a newer one.
    fn is_late(&self) -> bool {
        matches!(self.placement, Placement::Late { .. })
    }

    fn tie(&self, object: Carried<'_>) -> Vec<Refresh> {
        let (Placement::Wins { undecided, .. } | Placement::Late { undecided }) = self.placement else {
            return Vec::new();
        };
        let (object, id) = object.object();
        if !undecided {
            return Vec::new();
        }
        let id = id.to_owned();
        vec![Refresh::Tied { object, id }]
    }

    /// Gives the snapshot its names; without one it confirms what is known or completes the past.
    fn record<S: Clone>(
        &self,
        seen: S,
        names: Vec<fn(S) -> SubscriptionEvent>,
        wrap: fn(S) -> SnapshotRecorded,
    ) -> Vec<SubscriptionEvent> {
        if names.is_empty() || (self.is_late() && mutant::is(Mutant::LateFactUnnamed)) {
            let recorded = wrap(seen);
            return vec![if self.is_late() {
                SubscriptionEvent::LateSnapshotRecorded(recorded)
            } else {
                SubscriptionEvent::SnapshotConfirmed(recorded)
            }];
        }
        names.into_iter().map(|name| name(seen.clone())).collect()
    }
}

/// The observation as it is stored, with the plans its prices stand for.
fn record_of(observation: &Observation, prices: &dyn PriceBook) -> SnapshotRecorded {
    let seen = observation.seen.clone();
    match observation.object.clone() {
        Observed::Customer {
            customer,
            snapshot,
            contact,
        } => SnapshotRecorded::Customer(CustomerSeen {
            customer,
            seen,
            contact,
            snapshot,
        }),
        Observed::Subscription { subscription, snapshot } => SnapshotRecorded::Subscription(SubscriptionSeen {
            subscription,
            seen,
            plans: plans_of(&snapshot, prices),
            snapshot,
        }),
        Observed::Schedule { schedule, snapshot } => SnapshotRecorded::Schedule(ScheduleSeen {
            schedule,
            seen,
            snapshot,
        }),
        Observed::Checkout { session, snapshot } => SnapshotRecorded::Checkout(CheckoutSeen {
            session,
            seen,
            snapshot,
        }),
        Observed::Discount { discount, snapshot } => SnapshotRecorded::Discount(DiscountSeen {
            discount,
            seen,
            snapshot,
        }),
        Observed::PaymentMethod { method, snapshot } => {
            SnapshotRecorded::PaymentMethod(PaymentMethodSeen { method, seen, snapshot })
        }
        Observed::Invoice { invoice, snapshot } => SnapshotRecorded::Invoice(InvoiceSeen {
            invoice,
            seen,
            snapshot,
        }),
        Observed::InvoicePayment { payment, snapshot } => SnapshotRecorded::InvoicePayment(InvoicePaymentSeen {
            payment,
            seen,
            snapshot,
        }),
        Observed::Charge { charge, snapshot } => SnapshotRecorded::Charge(ChargeSeen { charge, seen, snapshot }),
        Observed::Refund { refund, snapshot } => SnapshotRecorded::Refund(RefundSeen { refund, seen, snapshot }),
        Observed::Dispute { dispute, snapshot } => SnapshotRecorded::Dispute(DisputeSeen {
            dispute,
            seen,
            snapshot,
        }),
        Observed::CreditNote { credit_note, snapshot } => SnapshotRecorded::CreditNote(CreditNoteSeen {
            credit_note,
            seen,
            snapshot,
        }),
    }
}

fn plans_of(snapshot: &SubscriptionSnapshot, prices: &dyn PriceBook) -> std::collections::BTreeMap<PriceId, PlanRef> {
    let items = snapshot.items.iter().flatten();
    items
        .filter_map(|item| Some((item.price.clone(), prices.plan_of(&item.price)?)))
        .collect()
}

//! From what the domain wants done to the gateway's call: the one place where the two vocabularies meet.

use aggregates::ids::{CustomerId, TenantId};
use aggregates::money::Money;
use aggregates::plan::{BillingAddress, TrialCard};
use aggregates::subscription::AccountState;
use aggregates::subscription::asked::{CheckoutRequested, ConfirmBy, SubscriptionRequested, WantedTerms};
use aggregates::subscription::effect::{Effect, Phase as WantedPhase};

use super::stored::{MadeSchedule, What};
use crate::ledger::Profile;
use crate::stripe::gateway::Call;
use crate::stripe::gateway::call::{
    CancelAt, CancelReason, Checkout, ItemChange, ItemsChange, NewSubscription, Payment, Phase, PricedItem, Proration,
    TrialEnd, Uncollected, WithoutCard,
};

/// What a call rests on beside what was asked for.
pub(in crate::process) struct Facts<'a> {
    pub(in crate::process) state: &'a AccountState,
    /// What the tenant said about itself.
    pub(in crate::process) profile: Option<&'a Profile>,
    /// The schedule an earlier call made.
    pub(in crate::process) made: Option<&'a MadeSchedule>,
    /// Taxes are worked out by Stripe.
    pub(in crate::process) automatic_tax: bool,
}

/// What is missing for a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Missing {
    /// The customer was not linked.
    #[error("the account has no Stripe customer, which the call before was to make; please report it")]
    Customer,
    /// The schedule was not made.
    #[error("there is no schedule, which the call before was to make; please report it")]
    Schedule,
    /// Only within a request.
    #[error("a checkout page is opened within the request that asks for it; ask again")]
    Page,
}

impl Facts<'_> {
    fn customer(&self) -> Result<CustomerId, Missing> {
        self.state.account.customer.clone().ok_or(Missing::Customer)
    }

    fn tenant(&self) -> Option<TenantId> {
        self.state.account.tenant.clone()
    }

    /// The call.
    pub(super) fn call(&self, what: &What) -> Result<Call, Missing> {
        match what {
            What::MakeCustomer => Ok(self.new_customer()),
            What::Do(effect) => self.effect(effect),
        }
    }

    /// A customer of the account.
    pub(in crate::process) fn new_customer(&self) -> Call {
        Call::CreateCustomer {
            tenant: self.tenant(),
            name: self.profile.and_then(|profile| profile.name.clone()),
            email: self.profile.and_then(|profile| profile.email.clone()),
        }
    }

    #[expect(clippy::too_many_lines, reason = "one arm an effect")]
    fn effect(&self, effect: &Effect) -> Result<Call, Missing> {
        Ok(match effect.clone() {
            Effect::OpenCheckout(_) => return Err(Missing::Page),
            Effect::MakeSubscription(asked) => Call::CreateSubscription(self.subscription(&asked)?),
            Effect::SetItem {
                subscription,
                item,
                price,
                quantity,
                proration,
                keeps_subscription,
            } => Call::ChangeItems(ItemsChange {
                subscription,
                items: vec![ItemChange::Set {
                    item,
                    price,
                    quantity: Some(quantity),
                }],
                proration,
                prorate_at: None,
                keeps_subscription,
            }),
            Effect::MakeSchedule { subscription } => Call::StartSchedule { subscription },
            Effect::SetPhases {
                schedule,
                phases,
                proration,
            } => {
                let made = self.made.filter(|_| schedule.is_none());
                let schedule = schedule.or_else(|| made.map(|made| made.id.clone()));
                let mut phases: Vec<Phase> = phases.into_iter().map(|phase| phase_of(phase, proration)).collect();
                // Stripe takes no other start of a phase that runs than the one it has.
                if let (Some(first), Some(start)) = (phases.first_mut(), made.and_then(|made| made.start_at)) {
                    first.starts_at = Some(start);
                }
                Call::SetPhases {
                    schedule: schedule.ok_or(Missing::Schedule)?,
                    phases,
                    proration,
                }
            }
            Effect::ReleaseSchedule { schedule } => Call::ReleaseSchedule { schedule },
            Effect::CancelAtPeriodEnd { subscription, feedback } => Call::ScheduleCancellation {
                subscription,
                at: CancelAt::PeriodEnd,
                because: CancelReason {
                    feedback,
                    comment: None,
                },
            },
            Effect::CancelNow { subscription, feedback } => Call::CancelNow {
                subscription,
                invoice_now: false,
                prorate: false,
                because: CancelReason {
                    feedback,
                    comment: None,
                },
            },
            Effect::KeepSubscription { subscription } => Call::WithdrawCancellation { subscription },
            Effect::PauseCollection { subscription, until } => Call::PauseCollection {
                subscription,
                behavior: Uncollected::KeepAsDraft,
                resumes_at: until,
            },
            Effect::ResumeCollection { subscription } => Call::ResumeCollection { subscription },
            // Stripe ends such a pause when it is told to, not at a time.
            Effect::PauseSubscription { subscription, .. } => Call::Pause { subscription },
            Effect::ResumeSubscription { subscription } => Call::Resume {
                subscription,
                proration: Proration::None,
            },
            Effect::AddDiscount {
                subscription,
                stays,
                discount,
            } => Call::ApplyDiscount {
                subscription,
                stays,
                discount,
            },
            Effect::EndTrialAt { subscription, until } => Call::SetTrialEnd {
                subscription,
                end: TrialEnd::Time(until),
            },
            Effect::PayInvoice { invoice } => Call::PayInvoice {
                invoice,
                payment_method: None,
            },
            Effect::Refund {
                charge,
                amount_minor,
                reason,
            } => {
                let known = self.state.money.charges.get(&charge).and_then(|book| book.terms());
                let payment = known.as_ref().and_then(|terms| terms.payment_intent.clone());
                let currency = known.as_ref().map(|terms| terms.currency);
                Call::Refund {
                    payment: payment.map_or(Payment::Charge(charge), Payment::Intent),
                    amount: currency.and_then(|currency| Money::try_new(amount_minor, currency).ok()),
                    because: reason,
                }
            }
            Effect::UpdateCustomer { customer, .. } => Call::UpdateCustomer {
                customer,
                name: self.profile.and_then(|profile| profile.name.clone()),
                email: self.profile.and_then(|profile| profile.email.clone()),
                default_payment_method: None,
            },
        })
    }

    fn subscription(&self, asked: &SubscriptionRequested) -> Result<NewSubscription, Missing> {
        let customer = self.customer()?;
        let known = self.state.life.customers.get(&customer).and_then(|book| book.terms());
        let has_card = known.is_some_and(|terms| terms.default_payment_method.is_some());
        Ok(NewSubscription {
            customer,
            tenant: self.tenant(),
            items: vec![priced(&asked.terms)],
            trial_days: asked.trial_days,
            without_card: asked.trial_days.map(|_| WithoutCard::Cancel),
            discount: asked.discount.clone(),
            payment_method: None,
            automatic_tax: self.automatic_tax,
            pays_later: asked.confirm == ConfirmBy::Client || !has_card,
        })
    }

    /// The page of a checkout intent.
    pub(in crate::process) fn page(
        &self,
        asked: &CheckoutRequested,
        success_url: String,
        cancel_url: Option<String>,
    ) -> Result<Call, Missing> {
        let is_required = asked.card == TrialCard::Required;
        Ok(Call::OpenCheckout(Box::new(Checkout {
            customer: self.customer()?,
            tenant: self.tenant(),
            items: vec![priced(&asked.terms)],
            trial_days: asked.trial_days,
            without_card: (asked.trial_days.is_some() && !is_required).then_some(WithoutCard::Cancel),
            card_up_front: is_required || asked.trial_days.is_none(),
            discount: asked.discount.clone(),
            promotion_codes: asked.promotion_codes,
            tax_ids: asked.collect_tax_id,
            automatic_tax: asked.automatic_tax,
            address_required: asked.billing_address == BillingAddress::Required,
            success_url,
            cancel_url,
        })))
    }
}

fn priced(terms: &WantedTerms) -> PricedItem {
    PricedItem {
        price: terms.price.clone(),
        quantity: Some(terms.quantity),
    }
}

fn phase_of(phase: WantedPhase, proration: Proration) -> Phase {
    let items = phase.items.into_iter();
    Phase {
        items: items.map(|(price, quantity)| PricedItem { price, quantity }).collect(),
        starts_at: Some(phase.start_at),
        ends_at: phase.end_at,
        proration,
        trial_ends_at: phase.trial_ends_at,
        discounts: phase.discounts,
    }
}

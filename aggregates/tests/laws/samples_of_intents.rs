//! One event of every type that people's commands cause, with every field set.

use aggregates::facts::ContactField;
use aggregates::ids::IntentId;
use aggregates::plan::{BillingAddress, Interval, TrialCard};
use aggregates::subscription::SubscriptionEvent;
use aggregates::subscription::asked::*;
use aggregates::subscription::seen::PlanRef;
use aggregates::subscription::settled::*;
use uuid::Uuid;

use super::build::{at, usd};
use super::samples::id;

/// The intent of a number.
pub(crate) fn intent(number: u128) -> IntentId {
    IntentId::new(Uuid::from_u128(0x0192_0000_0000_7000_8000_0000_0000_0000 + number))
}

fn head() -> IntentHead {
    IntentHead {
        id: intent(1),
        at: at(10),
    }
}

fn plan(code: &str) -> PlanRef {
    PlanRef {
        code: id(code),
        version: 3,
    }
}

fn terms() -> WantedTerms {
    WantedTerms {
        plan: plan("team"),
        price: id("price_team"),
        interval: Interval::Year,
        currency: usd(),
        amount_minor: 95_000,
        per: 1,
        quantity: 3,
    }
}

pub(crate) fn all() -> Vec<SubscriptionEvent> {
    let mut events = bought();
    events.extend(changed());
    events.extend(paid());
    events
}

fn bought() -> Vec<SubscriptionEvent> {
    use SubscriptionEvent as E;
    vec![
        E::CheckoutRequested(CheckoutRequested {
            intent: head(),
            customer: Some(id("cus_1")),
            terms: terms(),
            trial_days: Some(14),
            card: TrialCard::Optional,
            discount: Some(DiscountSource::Coupon(id("SPRING"))),
            promotion_codes: true,
            automatic_tax: true,
            collect_tax_id: true,
            billing_address: BillingAddress::Required,
            replaces: vec![intent(0)],
        }),
        E::CheckoutStarted(CheckoutStarted {
            intent: intent(1),
            session: id("cs_1"),
            expires_at: Some(at(99)),
        }),
        E::PortalSessionOpened(PortalSessionOpened {
            intent: head(),
            customer: id("cus_1"),
            flow: Some(PortalFlow::PaymentMethodUpdate),
        }),
        E::SubscriptionRequested(SubscriptionRequested {
            intent: head(),
            customer: Some(id("cus_1")),
            terms: terms(),
            trial_days: Some(14),
            discount: Some(DiscountSource::PromotionCode("promo_1".into())),
            confirm: ConfirmBy::Client,
        }),
    ]
}

fn changed() -> Vec<SubscriptionEvent> {
    use SubscriptionEvent as E;
    let subscription = || id("sub_1");
    vec![
        E::PlanChangeRequested(PlanChangeRequested {
            intent: head(),
            subscription: subscription(),
            from: Some(plan("pro")),
            terms: terms(),
            when: When::PeriodEnd,
            effective_at: Some(at(50)),
            proration: Proration::AlwaysInvoice,
            withdraws_cancellation: true,
        }),
        E::PlanChangeWithdrawalRequested(PlanChangeWithdrawalRequested {
            intent: head(),
            subscription: subscription(),
            change: PlannedChange::ToFree,
        }),
        E::QuantityChangeRequested(QuantityChangeRequested {
            intent: head(),
            subscription: subscription(),
            plan: Some(plan("pro")),
            price: id("price_pro"),
            from: 1,
            quantity: 3,
            proration: Proration::None,
            replaces: vec![intent(0)],
        }),
        E::CancellationRequested(CancellationRequested {
            intent: head(),
            subscription: subscription(),
            when: When::PeriodEnd,
            effective_at: Some(at(50)),
            to_plan: Some(plan("free")),
            feedback: Some(Feedback::TooExpensive),
        }),
        E::ResumptionRequested(ResumptionRequested {
            intent: head(),
            subscription: subscription(),
        }),
        E::PauseRequested(PauseRequested {
            intent: head(),
            subscription: subscription(),
            mode: PauseMode::Collection,
            until: Some(at(80)),
        }),
        E::UnpauseRequested(UnpauseRequested {
            intent: head(),
            subscription: subscription(),
            mode: PauseMode::Subscription,
        }),
        E::CouponRequested(CouponRequested {
            intent: head(),
            subscription: subscription(),
            discount: DiscountSource::Coupon(id("SPRING")),
        }),
        E::TrialExtensionRequested(TrialExtensionRequested {
            intent: head(),
            subscription: subscription(),
            from: at(20),
            until: at(60),
            reason: "onboarding took longer".into(),
        }),
    ]
}

fn paid() -> Vec<SubscriptionEvent> {
    use SubscriptionEvent as E;
    vec![
        E::InvoicePaymentRequested(InvoicePaymentRequested {
            intent: head(),
            invoice: id("in_1"),
            amount_minor: 2_900,
            currency: usd(),
        }),
        E::RefundRequested(RefundRequested {
            intent: head(),
            charge: id("ch_1"),
            payment_intent: Some(id("pi_1")),
            amount_minor: 1_000,
            currency: usd(),
            reason: Some(RefundReason::RequestedByCustomer),
        }),
        E::CustomerUpdateRequested(CustomerUpdateRequested {
            intent: head(),
            customer: id("cus_1"),
            fields: vec![ContactField::Email, ContactField::TaxId],
        }),
        E::StripeCallSettled(StripeCallSettled {
            intent: intent(1),
            outcome: CallOutcome::Rejected(Refusal {
                kind: RefusalKind::Declined,
                code: Some("card_declined".into()),
                decline_code: Some("insufficient_funds".into()),
                param: Some("payment_method".into()),
            }),
            request_id: Some("req_1".into()),
        }),
        E::IntentObserved(IntentObserved {
            intent: intent(1),
            by: Proof::Echo,
            object: "sub_1".into(),
        }),
    ]
}

//! Snapshots and observations, short enough to tell histories with.

use std::collections::BTreeMap;

use aggregates::facts::*;
use aggregates::ids::*;
use aggregates::money::Currency;
use aggregates::observation::{Observation, Observed};
use aggregates::snapshot::{Notice, Rank, Seen, Snapshot};
use aggregates::subscription::seen::PlanRef;
use aggregates::time::Timestamp;

/// An instant, in seconds after the story begins.
pub(crate) fn at(second: i64) -> Timestamp {
    Timestamp::from_seconds(1_767_225_600 + second).unwrap()
}

pub(crate) const DAY: i64 = 86_400;

pub(crate) fn usd() -> Currency {
    Currency::parse("usd").unwrap()
}

/// Three prices are known; `price_unknown` is not.
pub(crate) fn prices() -> BTreeMap<PriceId, PlanRef> {
    [
        ("price_starter", "starter"),
        ("price_pro", "pro"),
        ("price_team", "team"),
    ]
    .map(|(price, code)| {
        let plan = PlanRef {
            code: PlanCode::parse(code).unwrap(),
            version: 3,
        };
        (PriceId::parse(price).unwrap(), plan)
    })
    .into()
}

pub(crate) fn item(id: &str, price: &str, quantity: u64) -> Item {
    Item {
        item: ItemId::parse(id).unwrap(),
        price: PriceId::parse(price).unwrap(),
        product: None,
        quantity: Some(quantity),
        unit_amount_minor: Some(2_900),
        unit_amount_decimal: None,
        currency: Some(usd()),
        interval: Some("month".into()),
        interval_count: Some(1),
        metered: false,
        period: None,
    }
}

pub(crate) fn month(n: i64) -> Period {
    Period {
        start: at(n * 30 * DAY),
        end: at((n + 1) * 30 * DAY),
    }
}

/// One seat of `price_pro` in its first month.
pub(crate) fn sub(status: &str) -> SubscriptionSnapshot {
    SubscriptionSnapshot {
        customer: CustomerId::parse("cus_1").unwrap(),
        status: SubscriptionStatus::from_word(status),
        items: Some(vec![item("si_1", "price_pro", 1)]),
        period: Some(month(0)),
        discounts: Some(Vec::new()),
        currency: Some(usd()),
        started_at: Some(at(0)),
        anchor_at: Some(at(0)),
        trial: None,
        trial_without_card: None,
        cancel_at_period_end: false,
        cancel_at: None,
        canceled_at: None,
        ended_at: None,
        cancel_reason: None,
        cancel_feedback: None,
        pause_reason: None,
        collection_pause: None,
        collection_method: Some("charge_automatically".into()),
        days_until_due: None,
        latest_invoice: None,
        payment_method: None,
        schedule: None,
        update_pending: false,
        billing_mode: None,
        on_test_clock: false,
    }
}

/// The same with a price and a quantity.
pub(crate) fn plan_of(price: &str, quantity: u64) -> SubscriptionSnapshot {
    with(sub("active"), |it| it.items = Some(vec![item("si_1", price, quantity)]))
}

pub(crate) fn with<T>(mut value: T, change: impl FnOnce(&mut T)) -> T {
    change(&mut value);
    value
}

pub(crate) fn invoice(status: &str, total: i64) -> InvoiceSnapshot {
    let paid = if status == "paid" { total } else { 0 };
    InvoiceSnapshot {
        customer: Some(CustomerId::parse("cus_1").unwrap()),
        subscription: Some(SubscriptionId::parse("sub_1").unwrap()),
        status: InvoiceStatus::from_word(status),
        number: None,
        billing_reason: Some("subscription_cycle".into()),
        collection_method: None,
        currency: usd(),
        subtotal_minor: total,
        discount_minor: 0,
        tax_minor: None,
        total_minor: total,
        amount_due_minor: total,
        amount_paid_minor: paid,
        amount_remaining_minor: total - paid,
        amount_overpaid_minor: 0,
        starting_balance_minor: 0,
        ending_balance_minor: None,
        credited_before_payment_minor: 0,
        credited_after_payment_minor: 0,
        paid_out_of_band: false,
        attempt_count: 0,
        next_attempt_at: None,
        auto_advance: Some(true),
        created_at: at(0),
        due_at: None,
        finalized_at: None,
        paid_at: None,
        voided_at: None,
        uncollectible_at: None,
        times_approximate: false,
        period: Some(month(0)),
        payment_intent: None,
        charge: None,
        finalization_error: None,
        lines: Some(vec![line("il_1", "subscription", total)]),
    }
}

pub(crate) fn line(id: &str, kind: &str, amount: i64) -> InvoiceLine {
    InvoiceLine {
        line: LineId::parse(id).unwrap(),
        kind: LineKind::from_word(kind),
        amount_minor: amount,
        discount_minor: 0,
        tax_minor: 0,
        price: Some(PriceId::parse("price_pro").unwrap()),
        quantity: Some(1),
        subscription: Some(SubscriptionId::parse("sub_1").unwrap()),
        item: None,
        period: month(0),
    }
}

pub(crate) fn charge(status: &str, amount: i64) -> ChargeSnapshot {
    ChargeSnapshot {
        customer: Some(CustomerId::parse("cus_1").unwrap()),
        payment_intent: Some(PaymentIntentId::parse("pi_1").unwrap()),
        invoice: None,
        amount_minor: amount,
        amount_captured_minor: None,
        amount_refunded_minor: 0,
        currency: usd(),
        status: ChargeStatus::from_word(status),
        captured: None,
        disputed: false,
        balance_transaction: None,
        failure_code: None,
        decline_reason: None,
        payment_method: None,
        method_type: None,
        card_brand: None,
        card_last4: None,
        created_at: None,
    }
}

pub(crate) fn refund(status: &str, amount: i64) -> RefundSnapshot {
    RefundSnapshot {
        charge: Some(ChargeId::parse("ch_1").unwrap()),
        payment_intent: None,
        customer: None,
        amount_minor: amount,
        currency: usd(),
        status: RefundStatus::from_word(status),
        reason: None,
        failure_reason: None,
        balance_transaction: None,
        failure_balance_transaction: None,
        created_at: None,
    }
}

pub(crate) fn dispute(status: &str) -> DisputeSnapshot {
    DisputeSnapshot {
        charge: ChargeId::parse("ch_1").unwrap(),
        payment_intent: None,
        amount_minor: 2_900,
        currency: usd(),
        status: DisputeStatus::from_word(status),
        reason: Some("fraudulent".into()),
        due_at: None,
        funds_net_minor: None,
        fee_minor: None,
        created_at: Some(at(0)),
    }
}

pub(crate) fn credit_note(status: &str, amount: i64) -> CreditNoteSnapshot {
    CreditNoteSnapshot {
        customer: Some(CustomerId::parse("cus_1").unwrap()),
        invoice: InvoiceId::parse("in_1").unwrap(),
        number: Some("CN-1".into()),
        amount_minor: amount,
        tax_minor: 0,
        currency: usd(),
        status: status.into(),
        kind: Some("post_payment".into()),
        reason: None,
        out_of_band_minor: 0,
        to_balance: None,
        refunds: Vec::new(),
        voided_at: None,
        created_at: Some(at(0)),
    }
}

pub(crate) fn customer() -> CustomerSnapshot {
    CustomerSnapshot {
        deleted: false,
        currency: Some(usd()),
        balance_minor: Some(0),
        delinquent: Some(false),
        default_payment_method: None,
        tax_exempt: None,
        discount: None,
        on_test_clock: false,
    }
}

pub(crate) fn card(last4: &str) -> PaymentMethodSnapshot {
    PaymentMethodSnapshot {
        attached: true,
        kind: "card".into(),
        brand: Some("visa".into()),
        last4: Some(last4.into()),
        exp_month: Some(12),
        exp_year: Some(2030),
    }
}

pub(crate) fn schedule(status: &str, phases: &[(i64, &str)]) -> ScheduleSnapshot {
    let phase = |&(start, price): &(i64, &str)| ScheduledPhase {
        start_at: at(start),
        end_at: None,
        items: vec![(PriceId::parse(price).unwrap(), Some(1))],
    };
    ScheduleSnapshot {
        customer: Some(CustomerId::parse("cus_1").unwrap()),
        subscription: Some(SubscriptionId::parse("sub_1").unwrap()),
        status: ScheduleStatus::from_word(status),
        phases: phases.iter().map(phase).collect(),
        end_behavior: Some("release".into()),
    }
}

pub(crate) fn checkout(status: &str, payment: &str) -> CheckoutSnapshot {
    CheckoutSnapshot {
        customer: Some(CustomerId::parse("cus_1").unwrap()),
        mode: CheckoutMode::Subscription,
        status: CheckoutStatus::from_word(status),
        payment_status: Some(payment.into()),
        subscription: Some(SubscriptionId::parse("sub_1").unwrap()),
        invoice: None,
        payment_intent: None,
        amount_total_minor: Some(2_900),
        currency: Some(usd()),
        expires_at: None,
    }
}

pub(crate) fn seen(second: i64, rank: Rank) -> Seen {
    Seen {
        as_of: at(second),
        rank,
        before: None,
        notice: None,
    }
}

/// What Stripe said, in the order it happened.
#[derive(Default)]
pub(crate) struct Story(pub(crate) Vec<Observation>);

impl Story {
    pub(crate) fn tell(mut self, second: i64, rank: Rank, object: Observed) -> Self {
        self.0.push(Observation {
            seen: seen(second, rank),
            tenant_hint: None,
            echo: None,
            object,
        });
        self
    }

    fn last(&mut self) -> &mut Observation {
        self.0.last_mut().unwrap()
    }

    pub(crate) fn noticed(mut self, notice: Notice) -> Self {
        self.last().seen.notice = Some(notice);
        self
    }

    /// The last one names what it was before.
    pub(crate) fn after<T: Snapshot>(mut self, before: &T) -> Self {
        self.last().seen.before = Some(before.fingerprint());
        self
    }

    pub(crate) fn hinting(mut self, tenant: &str) -> Self {
        self.last().tenant_hint = Some(TenantId::parse(tenant).unwrap());
        self
    }

    pub(crate) fn sub(self, id: &str, second: i64, rank: Rank, snapshot: SubscriptionSnapshot) -> Self {
        let subscription = SubscriptionId::parse(id).unwrap();
        self.tell(second, rank, Observed::Subscription { subscription, snapshot })
    }

    pub(crate) fn invoice(self, id: &str, second: i64, rank: Rank, snapshot: InvoiceSnapshot) -> Self {
        let invoice = InvoiceId::parse(id).unwrap();
        self.tell(second, rank, Observed::Invoice { invoice, snapshot })
    }

    pub(crate) fn charge(self, id: &str, second: i64, snapshot: ChargeSnapshot) -> Self {
        let charge = ChargeId::parse(id).unwrap();
        self.tell(second, Rank::Updated, Observed::Charge { charge, snapshot })
    }

    pub(crate) fn refund(self, id: &str, second: i64, snapshot: RefundSnapshot) -> Self {
        let refund = RefundId::parse(id).unwrap();
        self.tell(second, Rank::Updated, Observed::Refund { refund, snapshot })
    }

    pub(crate) fn dispute(self, second: i64, snapshot: DisputeSnapshot) -> Self {
        let dispute = DisputeId::parse("dp_1").unwrap();
        self.tell(second, Rank::Updated, Observed::Dispute { dispute, snapshot })
    }

    pub(crate) fn credit_note(self, second: i64, snapshot: CreditNoteSnapshot) -> Self {
        let credit_note = CreditNoteId::parse("cn_1").unwrap();
        self.tell(second, Rank::Updated, Observed::CreditNote { credit_note, snapshot })
    }

    pub(crate) fn customer(self, second: i64, snapshot: CustomerSnapshot, contact: &[ContactField]) -> Self {
        let customer = CustomerId::parse("cus_1").unwrap();
        let contact = contact.to_vec();
        self.tell(
            second,
            Rank::Updated,
            Observed::Customer {
                customer,
                snapshot,
                contact,
            },
        )
    }

    pub(crate) fn method(self, id: &str, second: i64, snapshot: PaymentMethodSnapshot) -> Self {
        let method = PaymentMethodId::parse(id).unwrap();
        self.tell(second, Rank::Updated, Observed::PaymentMethod { method, snapshot })
    }

    pub(crate) fn schedule(self, second: i64, snapshot: ScheduleSnapshot) -> Self {
        let schedule = ScheduleId::parse("sub_sched_1").unwrap();
        self.tell(second, Rank::Updated, Observed::Schedule { schedule, snapshot })
    }

    pub(crate) fn discount(self, second: i64, snapshot: DiscountSnapshot) -> Self {
        let discount = DiscountId::parse("di_1").unwrap();
        self.tell(second, Rank::Updated, Observed::Discount { discount, snapshot })
    }

    pub(crate) fn checkout(self, second: i64, snapshot: CheckoutSnapshot) -> Self {
        let session = CheckoutSessionId::parse("cs_1").unwrap();
        self.tell(second, Rank::Updated, Observed::Checkout { session, snapshot })
    }

    pub(crate) fn payment(self, second: i64, status: &str, amount: i64) -> Self {
        let payment = InvoicePaymentId::parse("inpay_1").unwrap();
        let snapshot = InvoicePaymentSnapshot {
            invoice: InvoiceId::parse("in_1").unwrap(),
            payment_intent: Some(PaymentIntentId::parse("pi_1").unwrap()),
            charge: None,
            amount_paid_minor: Some(amount),
            currency: Some(usd()),
            status: status.into(),
            paid_at: Some(at(second)),
        };
        self.tell(second, Rank::Updated, Observed::InvoicePayment { payment, snapshot })
    }
}

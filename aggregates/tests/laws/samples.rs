//! One event of every type, with every field set.

use std::collections::BTreeMap;

use aggregates::facts::*;
use aggregates::money::Currency;
use aggregates::operation::OperationEvent;
use aggregates::recorded::LedgerEvent;
use aggregates::snapshot::{Fingerprint, Notice, Rank, Seen};
use aggregates::stripe_object::{ObjectSeen, StripeObjectEvent};
use aggregates::subscription::SubscriptionEvent;
use aggregates::subscription::seen::*;

use super::build::{
    at, card, charge, checkout, credit_note, customer, dispute, invoice, item, line, month, prices, refund, schedule,
    sub, usd, with,
};

fn header() -> Seen {
    Seen {
        as_of: at(10),
        rank: Rank::Updated,
        before: Some(Fingerprint::of(&"before")),
        notice: Some(Notice::PaymentFailed),
    }
}

pub(crate) fn id<T: std::str::FromStr>(text: &str) -> T
where
    T::Err: std::fmt::Debug,
{
    text.parse().unwrap()
}

fn word(text: &str) -> Option<Box<str>> {
    Some(text.into())
}

fn subscription() -> SubscriptionSeen {
    let discount = AppliedDiscount {
        discount: word("di_1"),
        coupon: Some(id("SPRING")),
    };
    let full_item = with(item("si_1", "price_pro", 3), |it| {
        it.product = Some(id("prod_1"));
        it.unit_amount_decimal = word("2900.5");
        it.metered = true;
        it.period = Some(month(0));
    });
    SubscriptionSeen {
        subscription: id("sub_1"),
        seen: header(),
        plans: prices()
            .into_iter()
            .filter(|(price, _)| price.as_str() == "price_pro")
            .collect(),
        snapshot: with(sub("active"), |it| {
            it.items = Some(vec![full_item]);
            it.discounts = Some(vec![discount]);
            it.trial = Some(month(0));
            it.trial_without_card = word("cancel");
            it.cancel_at_period_end = true;
            it.cancel_at = Some(at(20));
            it.canceled_at = Some(at(20));
            it.ended_at = Some(at(20));
            it.cancel_reason = word("cancellation_requested");
            it.cancel_feedback = word("too_expensive");
            it.pause_reason = word("user");
            it.collection_pause = Some(CollectionPause {
                behavior: "void".into(),
                resumes_at: Some(at(30)),
            });
            it.days_until_due = Some(14);
            it.latest_invoice = Some(id("in_1"));
            it.payment_method = Some(id("pm_1"));
            it.schedule = Some(id("sub_sched_1"));
            it.update_pending = true;
            it.billing_mode = word("flexible");
            it.on_test_clock = true;
        }),
    }
}

fn customer_seen() -> CustomerSeen {
    CustomerSeen {
        customer: id("cus_1"),
        seen: header(),
        contact: vec![ContactField::Email, ContactField::TaxId],
        snapshot: with(customer(), |it| {
            it.deleted = true;
            it.default_payment_method = Some(id("pm_1"));
            it.tax_exempt = word("none");
            it.discount = Some(AppliedDiscount {
                discount: word("di_1"),
                coupon: Some(id("SPRING")),
            });
            it.on_test_clock = true;
        }),
    }
}

fn checkout_seen() -> CheckoutSeen {
    CheckoutSeen {
        session: id("cs_1"),
        seen: header(),
        snapshot: with(checkout("complete", "paid"), |it| {
            it.invoice = Some(id("in_1"));
            it.payment_intent = Some(id("pi_1"));
            it.expires_at = Some(at(99));
        }),
    }
}

fn schedule_seen() -> ScheduleSeen {
    ScheduleSeen {
        schedule: id("sub_sched_1"),
        seen: header(),
        snapshot: with(schedule("active", &[(0, "price_pro")]), |it| {
            it.phases[0].end_at = Some(at(50))
        }),
    }
}

fn discount_seen() -> DiscountSeen {
    DiscountSeen {
        discount: id("di_1"),
        seen: header(),
        snapshot: DiscountSnapshot {
            subscription: Some(id("sub_1")),
            coupon: Some(id("SPRING")),
            promotion_code: word("promo_1"),
            removed: true,
            start_at: Some(at(0)),
            end_at: Some(at(50)),
        },
    }
}

fn invoice_seen() -> InvoiceSeen {
    let full_line = with(line("il_1", "proration", -100), |it| {
        it.discount_minor = 5;
        it.tax_minor = 7;
        it.item = Some(id("si_1"));
    });
    InvoiceSeen {
        invoice: id("in_1"),
        seen: header(),
        snapshot: with(invoice("open", 2_900), |it| {
            it.number = word("A-1");
            it.collection_method = word("charge_automatically");
            it.discount_minor = 5;
            it.tax_minor = Some(7);
            it.amount_overpaid_minor = 1;
            it.starting_balance_minor = -1;
            it.ending_balance_minor = Some(0);
            it.credited_before_payment_minor = 2;
            it.credited_after_payment_minor = 3;
            it.paid_out_of_band = true;
            it.next_attempt_at = Some(at(60));
            it.due_at = Some(at(61));
            it.finalized_at = Some(at(1));
            it.paid_at = Some(at(2));
            it.voided_at = Some(at(3));
            it.uncollectible_at = Some(at(4));
            it.times_approximate = true;
            it.payment_intent = Some(id("pi_1"));
            it.charge = Some(id("ch_1"));
            it.finalization_error = word("tax_failed");
            it.lines = Some(vec![full_line]);
        }),
    }
}

fn payment_seen() -> InvoicePaymentSeen {
    InvoicePaymentSeen {
        payment: id("inpay_1"),
        seen: header(),
        snapshot: InvoicePaymentSnapshot {
            invoice: id("in_1"),
            payment_intent: Some(id("pi_1")),
            charge: Some(id("ch_1")),
            amount_paid_minor: Some(2_900),
            currency: Some(usd()),
            status: "paid".into(),
            paid_at: Some(at(2)),
        },
    }
}

fn charge_seen() -> ChargeSeen {
    ChargeSeen {
        charge: id("ch_1"),
        seen: header(),
        snapshot: with(charge("failed", 2_900), |it| {
            it.invoice = Some(id("in_1"));
            it.amount_captured_minor = Some(2_900);
            it.amount_refunded_minor = 100;
            it.captured = Some(true);
            it.disputed = true;
            it.balance_transaction = Some(id("txn_1"));
            it.failure_code = word("card_declined");
            it.decline_reason = word("insufficient_funds");
            it.payment_method = Some(id("pm_1"));
            it.method_type = word("card");
            it.card_brand = word("visa");
            it.card_last4 = word("4242");
            it.created_at = Some(at(1));
        }),
    }
}

fn refund_seen() -> RefundSeen {
    RefundSeen {
        refund: id("re_1"),
        seen: header(),
        snapshot: with(refund("failed", 100), |it| {
            it.payment_intent = Some(id("pi_1"));
            it.customer = Some(id("cus_1"));
            it.reason = word("requested_by_customer");
            it.failure_reason = word("lost_or_stolen_card");
            it.balance_transaction = Some(id("txn_2"));
            it.failure_balance_transaction = Some(id("txn_3"));
            it.created_at = Some(at(1));
        }),
    }
}

fn dispute_seen() -> DisputeSeen {
    DisputeSeen {
        dispute: id("dp_1"),
        seen: header(),
        snapshot: with(dispute("needs_response"), |it| {
            it.payment_intent = Some(id("pi_1"));
            it.due_at = Some(at(70));
            it.funds_net_minor = Some(-4_400);
            it.fee_minor = Some(1_500);
        }),
    }
}

fn credit_note_seen() -> CreditNoteSeen {
    CreditNoteSeen {
        credit_note: id("cn_1"),
        seen: header(),
        snapshot: with(credit_note("void", 500), |it| {
            it.tax_minor = 80;
            it.reason = word("duplicate");
            it.out_of_band_minor = 1;
            it.to_balance = word("cbtxn_1");
            it.refunds = vec![id("re_1")];
            it.voided_at = Some(at(9));
        }),
    }
}

fn method_seen() -> PaymentMethodSeen {
    PaymentMethodSeen {
        method: id("pm_1"),
        seen: header(),
        snapshot: card("4242"),
    }
}

fn account() -> Vec<SubscriptionEvent> {
    use SubscriptionEvent as E;
    vec![
        E::AccountOpened(AccountOpened {
            tenant: Some(id("acme")),
            currency: Some(usd()),
        }),
        E::CustomerLinked(CustomerLinked { customer: id("cus_1") }),
        E::TenantAssigned(TenantAssigned {
            tenant: id("acme"),
            reason: word("told by phone"),
        }),
        E::PaymentMethodChanged(method_seen()),
        E::BillingContactChanged(customer_seen()),
        E::CustomerDeleted(customer_seen()),
        E::CustomerRevised(customer_seen()),
        E::CustomerBalanceChanged(customer_seen()),
        E::CheckoutCompleted(checkout_seen()),
        E::CheckoutExpired(checkout_seen()),
        E::CheckoutPaymentSettled(checkout_seen()),
    ]
}

fn life() -> Vec<SubscriptionEvent> {
    use SubscriptionEvent as E;
    let of_subscription: [fn(SubscriptionSeen) -> E; 22] = [
        E::SubscriptionStarted,
        E::TrialEnding,
        E::TrialExtended,
        E::TrialEnded,
        E::SubscriptionActivated,
        E::PlanChanged,
        E::QuantityChanged,
        E::ItemAdded,
        E::ItemRemoved,
        E::PeriodAdvanced,
        E::CancellationScheduled,
        E::CancellationWithdrawn,
        E::SubscriptionPaused,
        E::SubscriptionResumed,
        E::CollectionPaused,
        E::CollectionResumed,
        E::PaymentOverdue,
        E::SubscriptionUnpaid,
        E::PaymentRecovered,
        E::SubscriptionEnded,
        E::SubscriptionRevised,
        E::StatusUnrecognised,
    ];
    let mut events: Vec<E> = of_subscription.iter().map(|name| name(subscription())).collect();
    events.extend([
        E::PlanChangeScheduled(schedule_seen()),
        E::PlanChangeWithdrawn(schedule_seen()),
        E::DiscountApplied(discount_seen()),
        E::DiscountRemoved(discount_seen()),
        E::ConcurrentSubscriptionsFound(ConcurrentSubscriptions {
            subscriptions: vec![id("sub_1"), id("sub_2")],
        }),
        E::SnapshotConfirmed(SnapshotRecorded::Invoice(invoice_seen())),
        E::LateSnapshotRecorded(SnapshotRecorded::Subscription(subscription())),
    ]);
    events
}

fn money() -> Vec<SubscriptionEvent> {
    use SubscriptionEvent as E;
    let invoices: [fn(InvoiceSeen) -> E; 10] = [
        E::InvoiceDrafted,
        E::InvoiceFinalized,
        E::InvoiceUpcomingNoticed,
        E::InvoicePaid,
        E::InvoicePaymentFailed,
        E::InvoiceActionRequired,
        E::InvoiceOverdue,
        E::InvoiceVoided,
        E::InvoiceUncollectible,
        E::InvoiceRevised,
    ];
    let charges: [fn(ChargeSeen) -> E; 3] = [E::ChargeSucceeded, E::ChargeFailed, E::ChargeRevised];
    let refunds: [fn(RefundSeen) -> E; 4] = [E::RefundIssued, E::RefundSettled, E::RefundFailed, E::RefundRevised];
    let disputes: [fn(DisputeSeen) -> E; 5] = [
        E::DisputeOpened,
        E::DisputeFundsWithdrawn,
        E::DisputeFundsReinstated,
        E::DisputeClosed,
        E::DisputeRevised,
    ];
    let notes: [fn(CreditNoteSeen) -> E; 3] = [E::CreditNoteIssued, E::CreditNoteVoided, E::CreditNoteRevised];
    let mut events: Vec<E> = invoices.iter().map(|name| name(invoice_seen())).collect();
    events.push(E::InvoicePaymentLinked(payment_seen()));
    events.extend(charges.iter().map(|name| name(charge_seen())));
    events.extend(refunds.iter().map(|name| name(refund_seen())));
    events.extend(disputes.iter().map(|name| name(dispute_seen())));
    events.extend(notes.iter().map(|name| name(credit_note_seen())));
    events
}

fn object(id: &str, snapshot: CatalogueSnapshot) -> ObjectSeen {
    ObjectSeen {
        id: id.into(),
        seen: header(),
        snapshot,
    }
}

fn payout() -> ObjectSeen {
    let payout = PayoutSnapshot {
        amount_minor: 100_000,
        currency: usd(),
        status: PayoutStatus::Failed,
        automatic: Some(true),
        kind: word("bank_account"),
        arrival_at: Some(at(5)),
        balance_transaction: Some(id("txn_1")),
        failure_code: word("account_closed"),
        failure_balance_transaction: Some(id("txn_2")),
        original_payout: Some(id("po_0")),
        reversed_by: Some(id("po_2")),
        reconciliation_status: word("completed"),
        created_at: Some(at(0)),
    };
    object("po_1", CatalogueSnapshot::Payout(payout))
}

fn price() -> ObjectSeen {
    let price = PriceSnapshot {
        product: Some(id("prod_1")),
        active: Some(true),
        deleted: true,
        currency: Some(Currency::parse("eur").unwrap()),
        unit_amount_minor: Some(300),
        unit_amount_decimal: word("300.25"),
        interval: word("month"),
        interval_count: Some(1),
        metered: true,
        tiered: true,
        lookup_key: word("pro-monthly"),
        nickname: word("Pro"),
        tax_behavior: word("exclusive"),
    };
    object("price_1", CatalogueSnapshot::Price(price))
}

fn movement() -> ObjectSeen {
    let movement = BalanceTransactionSnapshot {
        amount_minor: 2_900,
        fee_minor: 114,
        net_minor: 2_786,
        currency: usd(),
        kind: "charge".into(),
        source: word("ch_1"),
        payout: Some(id("po_1")),
        reporting_category: word("charge"),
        available_at: Some(at(3)),
        created_at: Some(at(1)),
    };
    object("txn_1", CatalogueSnapshot::BalanceTransaction(movement))
}

fn objects() -> Vec<StripeObjectEvent> {
    use StripeObjectEvent as E;
    let product = ProductSnapshot {
        name: word("Pro"),
        active: Some(true),
        deleted: true,
        default_price: Some(id("price_1")),
    };
    let coupon = CouponSnapshot {
        percent_off_basis_points: Some(2_500),
        amount_off_minor: Some(500),
        currency: Some(usd()),
        duration: word("repeating"),
        duration_months: Some(3),
        valid: Some(true),
        deleted: true,
    };
    let code = PromotionCodeSnapshot {
        code: word("SPRING25"),
        coupon: Some(id("SPRING")),
        active: Some(true),
    };
    let rate = TaxRateSnapshot {
        percentage_millionths: Some(21_000_000),
        inclusive: Some(false),
        jurisdiction: word("ES"),
        active: Some(true),
    };
    vec![
        E::PayoutCreated(payout()),
        E::PayoutPaid(payout()),
        E::PayoutFailed(payout()),
        E::PayoutCanceled(payout()),
        E::PayoutRevised(payout()),
        E::BalanceTransactionRecorded(movement()),
        E::ProductDefined(object("prod_1", CatalogueSnapshot::Product(product))),
        E::PriceDefined(price()),
        E::CouponDefined(object("SPRING", CatalogueSnapshot::Coupon(coupon))),
        E::PromotionCodeDefined(object("promo_1", CatalogueSnapshot::PromotionCode(code))),
        E::TaxRateDefined(object("txr_1", CatalogueSnapshot::TaxRate(rate))),
        E::SnapshotConfirmed(price()),
        E::LateSnapshotRecorded(payout()),
    ]
}

fn operations() -> Vec<OperationEvent> {
    use OperationEvent as E;
    let (source, event, reason) = (|| "acct_1".into(), || "evt_1".into(), || "fixed the price".into());
    let projection = || "status".into();
    vec![
        E::KeyCreated {
            key: "k1".into(),
            name: "ci".into(),
            scopes: vec!["audit:read".into()],
            tenant: Some(id("acme")),
            expires_at: Some(at(100)),
        },
        E::KeyRotated {
            key: "k1".into(),
            successor: "k2".into(),
            old_valid_until: at(100),
        },
        E::KeyRevoked { key: "k1".into() },
        E::ReceiptReplayed {
            source: source(),
            event: event(),
            reason: reason(),
        },
        E::ReceiptDiscarded {
            source: source(),
            event: event(),
            reason: reason(),
        },
        E::RawReceiptRead {
            source: source(),
            event: event(),
        },
        E::ProjectionRebuilt {
            projection: projection(),
            slot: 1,
            version: 2,
            reason: reason(),
        },
        E::ProjectionSwapped {
            projection: projection(),
            slot: 1,
            version: 2,
            reason: reason(),
        },
        E::ProjectionSkipped {
            projection: projection(),
            part: 3,
            position: 4,
            reason: reason(),
        },
        E::RunStarted {
            run: "r1".into(),
            kind: "import".into(),
        },
        E::RunFinished {
            run: "r1".into(),
            kind: "import".into(),
            outcome: "finished".into(),
            done: 10,
            failed: 1,
        },
        E::CatalogueLoaded {
            version: 3,
            content_hash: "ab12".into(),
        },
    ]
}

/// One event of every type by its stored name.
pub(crate) fn all() -> BTreeMap<String, LedgerEvent> {
    let accounts = [account(), life(), money(), super::samples_of_intents::all()]
        .into_iter()
        .flatten()
        .map(LedgerEvent::Subscription);
    let objects = objects().into_iter().map(LedgerEvent::StripeObject);
    let operations = operations().into_iter().map(LedgerEvent::Operation);
    let events: Vec<LedgerEvent> = accounts.chain(objects).chain(operations).collect();
    let by_type: BTreeMap<String, LedgerEvent> = events.iter().map(|it| (it.event_type(), it.clone())).collect();
    assert_eq!(by_type.len(), events.len(), "two samples of one type");
    by_type
}

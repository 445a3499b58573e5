//! Histories as Stripe tells them, in the order they happened, and where each account must stand at the end.

use aggregates::facts::{CollectionPause, ContactField, DiscountSnapshot, SubscriptionSnapshot};
use aggregates::ids::{CouponId, CustomerId, SubscriptionId};
use aggregates::observation::Observation;
use aggregates::plan::Access::{self, Blocked, Full, Grace, Restricted};
use aggregates::snapshot::{Notice, Rank};

use super::build::*;

/// A history and where it ends: status, access, plans held with their quantities.
pub(crate) struct History {
    pub(crate) name: &'static str,
    pub(crate) told: Vec<Observation>,
    pub(crate) ends: (&'static str, Access, &'static [(&'static str, u64)]),
}

use Rank::{Created, Deleted, Fetched, Paused, Updated};

const PRO: &[(&str, u64)] = &[("pro", 1)];

pub(crate) fn all() -> Vec<History> {
    vec![
        trial_to_paid(),
        upgrade(),
        downgrade_with_proration(),
        dunning_to_cancel(),
        recovery_in_the_same_second(),
        pause_and_resume(),
        cancel_at_period_end_and_undo(),
        refunds(),
        dispute_with_appeal(),
        credit_note_voided(),
        schedule_carried_out(),
        several_items(),
        two_live_subscriptions(),
        tenant_learnt_late(),
        price_unknown(),
        terminal_in_the_middle(),
        mixed_api_eras(),
        same_second_chain(),
        same_second_without_past(),
        change_and_undoing_in_one_second(),
        twins_of_webhook_and_fetch(),
        customer_and_card(),
        checkout_paid_later(),
        status_nobody_knows(),
    ]
}

fn history(
    name: &'static str,
    story: Story,
    status: &'static str,
    access: Access,
    held: &'static [(&'static str, u64)],
) -> History {
    History {
        name,
        told: story.0,
        ends: (status, access, held),
    }
}

fn trial_to_paid() -> History {
    let trial = with(sub("trialing"), |it| it.trial = Some(month(0)));
    let active = with(sub("active"), |it| {
        it.trial = Some(month(0));
        it.period = Some(month(1));
    });
    let story = Story::default()
        .sub("sub_1", 0, Created, trial.clone())
        .invoice("in_0", 0, Updated, invoice("paid", 0))
        .sub("sub_1", 27 * DAY, Updated, trial.clone())
        .noticed(Notice::TrialWillEnd)
        .invoice("in_1", 30 * DAY, Created, invoice("draft", 2_900))
        .sub("sub_1", 30 * DAY, Updated, active.clone())
        .after(&trial)
        .invoice("in_1", 30 * DAY + 3_600, Updated, invoice("open", 2_900))
        .charge("ch_1", 30 * DAY + 3_601, charge("succeeded", 2_900))
        .invoice("in_1", 30 * DAY + 3_601, Updated, invoice("paid", 2_900));
    history("trial_to_paid", story, "active", Full, PRO)
}

fn upgrade() -> History {
    let (starter, pro) = (plan_of("price_starter", 1), plan_of("price_pro", 1));
    let team = plan_of("price_team", 5);
    let story = Story::default()
        .sub("sub_1", 0, Created, starter.clone())
        .sub("sub_1", 5 * DAY, Updated, pro.clone())
        .after(&starter)
        .sub("sub_1", 6 * DAY, Updated, team.clone())
        .after(&pro);
    history("upgrade", story, "active", Full, &[("team", 5)])
}

fn downgrade_with_proration() -> History {
    let (team, starter) = (plan_of("price_team", 1), plan_of("price_starter", 1));
    let prorated = with(invoice("paid", 400), |it| {
        it.lines = Some(vec![
            line("il_1", "proration", -1_500),
            line("il_2", "proration", 1_900),
        ]);
    });
    let open = with(prorated.clone(), |it| it.status = "open".into_status());
    let story = Story::default()
        .sub("sub_1", 0, Created, team.clone())
        .sub("sub_1", 10 * DAY, Updated, starter)
        .after(&team)
        .invoice("in_1", 10 * DAY, Created, open)
        .invoice("in_1", 10 * DAY, Updated, prorated);
    history("downgrade_with_proration", story, "active", Full, &[("starter", 1)])
}

fn dunning_to_cancel() -> History {
    let mut story = Story::default().sub("sub_1", 0, Created, sub("active"));
    for attempt in 1..=3_u32 {
        let failed = with(invoice("open", 2_900), |it| it.attempt_count = attempt);
        let day = i64::from(attempt) * 3 * DAY;
        story = story
            .charge(&format!("ch_{attempt}"), day, charge("failed", 2_900))
            .invoice("in_1", day, Updated, failed)
            .noticed(Notice::PaymentFailed);
    }
    let canceled = with(sub("canceled"), |it| it.ended_at = Some(at(10 * DAY)));
    let story = story
        .sub("sub_1", 3 * DAY, Updated, sub("past_due"))
        .after(&sub("active"))
        .sub("sub_1", 9 * DAY, Updated, sub("unpaid"))
        .after(&sub("past_due"))
        .sub("sub_1", 10 * DAY, Deleted, canceled)
        .invoice(
            "in_1",
            10 * DAY,
            Updated,
            with(invoice("void", 2_900), |it| it.attempt_count = 3),
        );
    history("dunning_to_cancel", story, "canceled", Blocked, &[])
}

fn recovery_in_the_same_second() -> History {
    let failed = with(invoice("open", 2_900), |it| it.attempt_count = 1);
    let paid = with(invoice("paid", 2_900), |it| it.attempt_count = 2);
    let story = Story::default()
        .sub("sub_1", 0, Created, sub("active"))
        .sub("sub_1", 100, Updated, sub("past_due"))
        .after(&sub("active"))
        .invoice("in_1", 100, Updated, failed)
        .noticed(Notice::PaymentFailed)
        .sub("sub_1", 100, Updated, sub("active"))
        .after(&sub("past_due"))
        .invoice("in_1", 100, Updated, paid)
        .sub("sub_1", 101, Fetched, sub("active"));
    history("recovery_in_the_same_second", story, "active", Full, PRO)
}

fn pause_and_resume() -> History {
    let uncollected = with(sub("active"), |it| {
        it.collection_pause = Some(CollectionPause {
            behavior: "void".into(),
            resumes_at: None,
        });
    });
    let story = Story::default()
        .sub("sub_1", 0, Created, sub("active"))
        .sub("sub_1", 50, Updated, sub("paused"))
        .after(&sub("active"))
        .sub("sub_1", 50, Paused, sub("paused"))
        .sub("sub_1", 90, Paused, sub("active"))
        .sub("sub_1", 120, Updated, uncollected.clone())
        .after(&sub("active"))
        .sub("sub_1", 150, Updated, sub("active"))
        .after(&uncollected)
        .sub("sub_1", 200, Paused, sub("paused"));
    history("pause_and_resume", story, "paused", Restricted, &[])
}

fn cancel_at_period_end_and_undo() -> History {
    let ending = with(sub("active"), |it| {
        it.cancel_at_period_end = true;
        it.canceled_at = Some(at(40));
    });
    let story = Story::default()
        .sub("sub_1", 0, Created, sub("active"))
        .sub("sub_1", 40, Updated, ending.clone())
        .after(&sub("active"))
        .sub("sub_1", 41, Updated, sub("active"))
        .after(&ending)
        .sub("sub_1", 60, Updated, ending.clone())
        .after(&sub("active"))
        .sub(
            "sub_1",
            30 * DAY,
            Deleted,
            with(sub("canceled"), |it| it.ended_at = Some(at(30 * DAY))),
        );
    history("cancel_at_period_end_and_undo", story, "canceled", Blocked, &[])
}

fn refunds() -> History {
    let refunded = |total| with(charge("succeeded", 2_900), |it| it.amount_refunded_minor = total);
    let story = Story::default()
        .sub("sub_1", 0, Created, sub("active"))
        .charge("ch_1", 1, charge("pending", 2_900))
        .charge("ch_1", 2, charge("succeeded", 2_900))
        .refund("re_1", 10, refund("pending", 1_000))
        .charge("ch_1", 10, refunded(1_000))
        .refund("re_1", 20, refund("succeeded", 1_000))
        .refund("re_2", 30, refund("succeeded", 900))
        .charge("ch_1", 30, refunded(1_900))
        .refund("re_2", 40, refund("failed", 900));
    history("refunds", story, "active", Full, PRO)
}

fn dispute_with_appeal() -> History {
    let funds = |status, net| with(dispute(status), |it| it.funds_net_minor = Some(net));
    let story = Story::default()
        .sub("sub_1", 0, Created, sub("active"))
        .dispute(100, dispute("needs_response"))
        .dispute(100, funds("needs_response", -4_400))
        .noticed(Notice::FundsWithdrawn)
        .dispute(200, funds("under_review", -4_400))
        .dispute(300, funds("lost", -4_400))
        .dispute(400, funds("appeal_under_review", -4_400))
        .dispute(500, funds("won", 0))
        .noticed(Notice::FundsReinstated);
    history("dispute_with_appeal", story, "active", Full, PRO)
}

fn credit_note_voided() -> History {
    let credited = with(invoice("paid", 2_900), |it| it.credited_after_payment_minor = 500);
    let story = Story::default()
        .sub("sub_1", 0, Created, sub("active"))
        .invoice("in_1", 1, Updated, invoice("paid", 2_900))
        .credit_note(50, credit_note("issued", 500))
        .invoice("in_1", 50, Updated, credited)
        .credit_note(60, credit_note("void", 500))
        .payment(2, "paid", 2_900);
    history("credit_note_voided", story, "active", Full, PRO)
}

fn schedule_carried_out() -> History {
    let planned = [(0, "price_pro"), (30 * DAY, "price_team")];
    let team = with(plan_of("price_team", 1), |it| it.period = Some(month(1)));
    let story = Story::default()
        .sub("sub_1", 0, Created, sub("active"))
        .schedule(10, schedule("active", &planned[..1]))
        .schedule(20, schedule("active", &planned))
        .sub("sub_1", 30 * DAY, Updated, team)
        .after(&sub("active"))
        .schedule(30 * DAY, schedule("active", &planned))
        .schedule(60 * DAY, schedule("released", &planned));
    history("schedule_carried_out", story, "active", Full, &[("team", 1)])
}

fn several_items() -> History {
    let items = |items: &[(&str, &str, u64)]| {
        let items = items.iter().map(|(id, price, n)| item(id, price, *n)).collect();
        with(sub("active"), |it| it.items = Some(items))
    };
    let one = items(&[("si_1", "price_pro", 1)]);
    let two = items(&[("si_1", "price_pro", 1), ("si_2", "price_team", 3)]);
    let more = items(&[("si_1", "price_pro", 2), ("si_2", "price_team", 3)]);
    let again = items(&[("si_1", "price_pro", 2), ("si_3", "price_pro", 4)]);
    let discount = |removed| DiscountSnapshot {
        subscription: Some(SubscriptionId::parse("sub_1").unwrap()),
        coupon: Some(CouponId::parse("SPRING 25").unwrap()),
        promotion_code: None,
        removed,
        start_at: Some(at(0)),
        end_at: None,
    };
    let story = Story::default()
        .sub("sub_1", 0, Created, one.clone())
        .sub("sub_1", 10, Updated, two.clone())
        .after(&one)
        .discount(15, discount(false))
        .sub("sub_1", 20, Updated, more.clone())
        .after(&two)
        .discount(25, discount(true))
        .sub("sub_1", 30, Updated, again)
        .after(&more);
    history("several_items", story, "active", Full, &[("pro", 6)])
}

fn two_live_subscriptions() -> History {
    let other = with(plan_of("price_team", 2), |it| it.started_at = Some(at(50)));
    let ended = |second| with(sub("canceled"), |it| it.ended_at = Some(at(second)));
    let story = Story::default()
        .sub(
            "sub_0",
            -100,
            Created,
            with(sub("incomplete"), |it| it.started_at = Some(at(-100))),
        )
        .sub(
            "sub_0",
            -10,
            Updated,
            with(sub("incomplete_expired"), |it| it.started_at = Some(at(-100))),
        )
        .sub("sub_1", 0, Created, sub("active"))
        .sub(
            "sub_2",
            50,
            Created,
            with(other.clone(), |it| it.status = "incomplete".into_status()),
        )
        .sub("sub_2", 51, Updated, other.clone())
        .sub("sub_3", 60, Created, sub("active"))
        .sub("sub_3", 70, Deleted, ended(70));
    history(
        "two_live_subscriptions",
        story,
        "active",
        Full,
        &[("pro", 1), ("team", 2)],
    )
}

fn tenant_learnt_late() -> History {
    let story = Story::default()
        .customer(0, customer(), &[ContactField::Email])
        .invoice("in_1", 1, Updated, invoice("paid", 2_900))
        .sub("sub_1", 2, Created, sub("incomplete"))
        .sub("sub_1", 3, Updated, sub("active"))
        .hinting("acme")
        .charge("ch_1", 3, charge("succeeded", 2_900))
        .invoice(
            "in_1",
            4,
            Updated,
            with(invoice("paid", 2_900), |it| it.number = Some("A-1".into())),
        )
        .hinting("acme");
    history("tenant_learnt_late", story, "active", Full, PRO)
}

fn price_unknown() -> History {
    let unknown = plan_of("price_unknown", 7);
    let story = Story::default()
        .sub("sub_1", 0, Created, sub("active"))
        .sub("sub_1", 10, Updated, unknown.clone())
        .after(&sub("active"))
        .sub("sub_1", 20, Updated, with(unknown, |it| it.period = Some(month(1))));
    history("price_unknown", story, "active", Full, &[])
}

fn terminal_in_the_middle() -> History {
    let canceled = with(sub("canceled"), |it| it.ended_at = Some(at(100)));
    let story = Story::default()
        .sub("sub_1", 0, Created, sub("active"))
        .sub("sub_1", 90, Updated, sub("past_due"))
        .sub("sub_1", 100, Deleted, canceled)
        .sub("sub_1", 100, Fetched, sub("active"))
        .sub("sub_1", 110, Updated, sub("active"))
        .customer(120, with(customer(), |it| it.deleted = true), &[])
        .customer(130, customer(), &[]);
    history("terminal_in_the_middle", story, "canceled", Blocked, &[])
}

fn mixed_api_eras() -> History {
    let without = |snapshot: &SubscriptionSnapshot| {
        with(snapshot.clone(), |it| {
            it.items = None;
            it.discounts = None;
        })
    };
    let unperioded = |snapshot: SubscriptionSnapshot| with(snapshot, |it| it.period = None);
    let team = plan_of("price_team", 4);
    let bare = |status, total| with(invoice(status, total), |it| it.lines = None);
    let taxed = with(invoice("open", 2_900), |it| it.tax_minor = Some(463));
    let story = Story::default()
        .sub("sub_1", 0, Created, unperioded(sub("active")))
        .sub("sub_1", 10, Updated, without(&sub("active")))
        .sub("sub_1", 20, Updated, unperioded(team.clone()))
        .sub("sub_1", 20, Updated, without(&team))
        .sub(
            "sub_1",
            30,
            Updated,
            without(&with(team.clone(), |it| it.period = Some(month(1)))),
        )
        .invoice("in_1", 30, Updated, taxed)
        .invoice("in_1", 40, Updated, bare("paid", 2_900))
        .charge("ch_1", 41, charge("succeeded", 2_900));
    history("mixed_api_eras", story, "active", Full, &[("team", 4)])
}

fn same_second_chain() -> History {
    let step = |quantity| plan_of("price_pro", quantity);
    let mut story = Story::default().sub("sub_1", 0, Created, step(1));
    // 1 to 5 to 2 to 9 to 3, all in one second: neither quantity nor content grows with time.
    for (from, to) in [(1, 5), (5, 2), (2, 9), (9, 3)] {
        story = story.sub("sub_1", 10, Updated, step(to)).after(&step(from));
    }
    history("same_second_chain", story, "active", Full, &[("pro", 3)])
}

fn same_second_without_past() -> History {
    let story = Story::default()
        .sub("sub_1", 0, Created, plan_of("price_pro", 1))
        .sub("sub_1", 10, Updated, plan_of("price_pro", 7))
        .sub("sub_1", 10, Updated, plan_of("price_pro", 4))
        .sub(
            "sub_1",
            10,
            Updated,
            with(plan_of("price_pro", 4), |it| it.status = "past_due".into_status()),
        )
        .sub("sub_1", 11, Fetched, plan_of("price_pro", 4));
    history("same_second_without_past", story, "active", Full, &[("pro", 4)])
}

fn change_and_undoing_in_one_second() -> History {
    let (one, two) = (plan_of("price_pro", 1), plan_of("price_pro", 2));
    let story = Story::default()
        .sub("sub_1", 0, Created, one.clone())
        .sub("sub_1", 10, Updated, two.clone())
        .after(&one)
        .sub("sub_1", 10, Updated, one.clone())
        .after(&two)
        .sub("sub_1", 12, Fetched, one);
    history("change_and_undoing_in_one_second", story, "active", Full, PRO)
}

fn twins_of_webhook_and_fetch() -> History {
    let story = Story::default()
        .sub("sub_1", 0, Created, sub("active"))
        .sub("sub_1", 0, Fetched, sub("active"))
        .sub("sub_1", 10, Updated, sub("past_due"))
        .sub("sub_1", 10, Updated, sub("past_due"))
        .sub("sub_1", 9, Fetched, sub("active"))
        .sub("sub_1", 10, Fetched, sub("past_due"));
    history("twins_of_webhook_and_fetch", story, "past_due", Grace, PRO)
}

fn customer_and_card() -> History {
    let balance = |minor| with(customer(), |it| it.balance_minor = minor);
    let default = with(balance(Some(-500)), |it| {
        it.default_payment_method = Some("pm_2".parse().unwrap());
    });
    let story = Story::default()
        .customer(0, customer(), &[ContactField::Name, ContactField::Email])
        .sub("sub_1", 1, Created, sub("active"))
        .method("pm_1", 2, card("4242"))
        .customer(10, balance(Some(-500)), &[])
        .customer(11, balance(None), &[ContactField::Email])
        .method("pm_2", 20, card("1881"))
        .customer(20, default, &[])
        .method("pm_1", 21, with(card("4242"), |it| it.attached = false));
    history("customer_and_card", story, "active", Full, PRO)
}

fn checkout_paid_later() -> History {
    let story = Story::default()
        .checkout(0, checkout("open", "unpaid"))
        .sub("sub_1", 5, Created, sub("incomplete"))
        .checkout(5, checkout("complete", "unpaid"))
        .checkout(DAY, checkout("complete", "paid"))
        .noticed(Notice::AsyncPaymentSucceeded)
        .sub("sub_1", DAY, Updated, sub("active"))
        .after(&sub("incomplete"));
    history("checkout_paid_later", story, "active", Full, PRO)
}

fn status_nobody_knows() -> History {
    let moved = with(sub("hibernating"), |it| {
        it.customer = CustomerId::parse("cus_1").unwrap()
    });
    let story = Story::default()
        .sub("sub_1", 0, Created, sub("active"))
        .sub("sub_1", 10, Updated, moved)
        .after(&sub("active"));
    history("status_nobody_knows", story, "unrecognised", Grace, PRO)
}

/// Any of Stripe's status words, into the status of the field at hand.
trait IntoStatus<T> {
    fn into_status(self) -> T;
}
impl IntoStatus<aggregates::facts::SubscriptionStatus> for &str {
    fn into_status(self) -> aggregates::facts::SubscriptionStatus {
        aggregates::facts::SubscriptionStatus::from_word(self)
    }
}
impl IntoStatus<aggregates::facts::InvoiceStatus> for &str {
    fn into_status(self) -> aggregates::facts::InvoiceStatus {
        aggregates::facts::InvoiceStatus::from_word(self)
    }
}

//! What is to be called at Stripe for an intent, when its turn has come.

use aggregates::facts::{AppliedDiscount, ScheduleSnapshot};
use aggregates::snapshot::Rank;
use aggregates::subscription::asked::*;
use aggregates::subscription::effect::{Call, Due, Effect, due};
use aggregates::subscription::request::{RefundWish, Wish};
use aggregates::testing::Given;

use super::build::*;
use super::market::*;
use super::samples::id;
use super::samples_of_intents::intent;

fn pro(quantity: u64) -> Given {
    with_sub(plan_of("price_pro", quantity))
}

fn later(number: i64) -> aggregates::time::Timestamp {
    at(ASKED + 100 + number)
}

fn calls(account: &Given, number: u128) -> Vec<Call> {
    match due(&account.state, intent(number), later(0)) {
        Due::Calls(calls) => calls,
        other => unreachable!("{other:?}"),
    }
}

/// Effects of the calls, whose last one alone has the intent's id for a key.
fn effects(account: &Given, number: u128) -> Vec<Effect> {
    let calls = calls(account, number);
    let (last, before) = calls.split_last().unwrap();
    assert_eq!(&*last.key, intent(number).to_string());
    for (nth, call) in (1..).zip(before) {
        assert_eq!(&*call.key, format!("{}.{nth}", intent(number)));
        assert!(aggregates::ids::IntentId::parse(&call.key).is_err(), "it would echo");
    }
    let stored: Vec<Call> = serde_json::from_str(&serde_json::to_string(&calls).unwrap()).unwrap();
    assert_eq!(stored, calls);
    calls.into_iter().map(|call| call.effect).collect()
}

fn asked(account: Given, wish: Wish) -> Vec<Effect> {
    effects(&account.then_asked(&ask(0, wish)), 0)
}

fn at_period_end(plan: &str) -> Wish {
    let mut change = plan_change(plan);
    change.when = Some(When::PeriodEnd);
    Wish::ChangePlan(change)
}

fn item(price: Option<&str>, quantity: u64, proration: Proration) -> Effect {
    Effect::SetItem {
        subscription: id("sub_1"),
        item: id("si_1"),
        price: price.map(id),
        quantity,
        proration,
        keeps_subscription: false,
    }
}

/// `price_pro` now, `price_starter` from the next period on.
fn scheduled() -> ScheduleSnapshot {
    with(
        schedule("active", &[(0, "price_pro"), (30 * DAY, "price_starter")]),
        |it| {
            it.phases[0].end_at = Some(at(30 * DAY));
            it.phases[0].items[0].1 = Some(3);
            it.phases[1].items[0].1 = Some(3);
        },
    )
}

fn driven() -> Given {
    let named = with(plan_of("price_pro", 3), |it| it.schedule = Some(id("sub_sched_1")));
    account(
        &Story::default()
            .sub("sub_1", 0, Rank::Created, named)
            .schedule(10, scheduled()),
    )
}

/// Prices and quantities of the phases of a call.
fn phases(effect: &Effect) -> Vec<(i64, String, Option<u64>)> {
    let Effect::SetPhases { phases, .. } = effect else {
        unreachable!("{effect:?}")
    };
    let of = |phase: &aggregates::subscription::effect::Phase| {
        let (price, quantity) = phase.items[0].clone();
        (phase.start_at.seconds() - at(0).seconds(), price.to_string(), quantity)
    };
    phases.iter().map(of).collect()
}

#[test]
fn plans_and_quantities_change_the_item() {
    let now = asked(pro(3), to_plan("team"));
    assert_eq!(now, [item(Some("price_team"), 3, Proration::CreateProrations)]);
    assert_eq!(
        asked(pro(3), to_quantity(5)),
        [item(None, 5, Proration::CreateProrations)]
    );
}

#[test]
fn a_change_for_the_next_period_makes_a_schedule_that_loses_nothing() {
    let discounted = with(plan_of("price_pro", 3), |it| {
        it.discounts = Some(vec![AppliedDiscount {
            discount: Some("di_1".into()),
            coupon: None,
        }]);
    });
    let made = asked(with_sub(discounted), at_period_end("starter"));
    let [Effect::MakeSchedule { subscription }, set] = &made[..] else {
        unreachable!("{made:?}")
    };
    assert_eq!(subscription.as_str(), "sub_1");
    let Effect::SetPhases {
        schedule, phases: all, ..
    } = set
    else {
        unreachable!("{set:?}")
    };
    assert_eq!(*schedule, None);
    assert!(all.iter().all(|phase| *phase.discounts == ["di_1".into()]));
    let wanted = [
        (0, "price_pro".to_owned(), Some(3)),
        (30 * DAY, "price_starter".to_owned(), Some(3)),
    ];
    assert_eq!(phases(set), wanted);
    let ending = with(plan_of("price_pro", 3), |it| it.cancel_at_period_end = true);
    let kept = asked(with_sub(ending), at_period_end("starter"));
    assert!(matches!(kept[0], Effect::KeepSubscription { .. }), "{kept:?}");
}

#[test]
fn a_period_that_ended_before_its_turn_is_not_waited_for() {
    let account = pro(3).then_asked(&ask(0, at_period_end("starter")));
    let Due::Calls(calls) = due(&account.state, intent(0), at(31 * DAY)) else {
        unreachable!("calls")
    };
    assert_eq!(calls[0].effect, item(Some("price_starter"), 3, Proration::None));
}

#[test]
fn what_is_planned_is_kept_by_a_quantity_and_let_go_by_an_end() {
    let set = asked(driven(), to_quantity(5));
    let wanted = [
        (0, "price_pro".to_owned(), Some(5)),
        (30 * DAY, "price_starter".to_owned(), Some(5)),
    ];
    assert_eq!(phases(&set[0]), wanted);
    let release = || Effect::ReleaseSchedule {
        schedule: id("sub_sched_1"),
    };
    assert_eq!(asked(driven(), Wish::WithdrawChange), [release()]);
    let ended = asked(driven(), cancel(When::Now));
    let (subscription, feedback) = (id("sub_1"), None);
    assert_eq!(ended, [release(), Effect::CancelNow { subscription, feedback }]);
    let upgraded = asked(driven(), to_plan("team"));
    assert_eq!(
        upgraded,
        [release(), item(Some("price_team"), 3, Proration::CreateProrations)]
    );
    let replanned = asked(driven(), {
        let mut change = plan_change("team");
        change.when = Some(When::PeriodEnd);
        Wish::ChangePlan(change)
    });
    let Effect::SetPhases { schedule, .. } = &replanned[0] else {
        unreachable!("{replanned:?}")
    };
    assert_eq!(*schedule, Some(id("sub_sched_1")));
}

#[test]
fn a_schedule_our_call_made_is_known_before_its_webhook() {
    let made = pro(3)
        .then_asked(&ask(0, at_period_end("starter")))
        .then_asked(&settle(0, applied("sub_sched_7")));
    let withdrawn = made.clone().then_asked(&ask(1, Wish::WithdrawChange));
    let schedule = id("sub_sched_7");
    assert_eq!(effects(&withdrawn, 1), [Effect::ReleaseSchedule { schedule }]);
    let more = made.then_asked(&ask(1, to_quantity(5)));
    let wanted = [
        (0, "price_pro".to_owned(), Some(5)),
        (30 * DAY, "price_starter".to_owned(), Some(5)),
    ];
    assert_eq!(phases(&effects(&more, 1)[0]), wanted);
}

#[test]
fn intents_of_a_subscription_are_sent_one_after_the_other() {
    let account = pro(3)
        .then_asked(&ask(0, cancel(When::PeriodEnd)))
        .then_asked(&ask(1, Wish::Resume))
        .then_asked(&ask(2, to_quantity(4)))
        .then_asked(&ask(3, to_quantity(5)));
    let now = |account: &Given, number| due(&account.state, intent(number), later(0));
    assert!(matches!(now(&account, 0), Due::Calls(_)));
    assert_eq!(now(&account, 1), Due::After(intent(0)));
    assert_eq!(now(&account, 2), Due::Replaced(intent(3)));
    assert_eq!(now(&account, 3), Due::After(intent(0)));
    let first = account.then_asked(&settle(0, applied("sub_1")));
    assert_eq!(now(&first, 0), Due::Ended);
    assert!(matches!(now(&first, 1), Due::Calls(_)));
    let second = first.then_asked(&settle(1, refused()));
    assert_eq!(effects(&second, 3), [item(None, 5, Proration::CreateProrations)]);
    assert_eq!(now(&second, 9), Due::Ended, "nobody asked for it");
}

#[test]
fn what_cannot_be_undone_and_stands_already_is_not_called() {
    let canceled = Story::default().sub("sub_1", ASKED, Rank::Deleted, sub("canceled"));
    let ended = pro(1)
        .then_asked(&ask(0, cancel(When::Now)))
        .then_asked(&observe(&canceled.0[0]));
    assert_eq!(due(&ended.state, intent(0), later(0)), Due::Unneeded);
    let invoice_id = id("in_1");
    let open = account(&Story::default().invoice("in_1", 0, Rank::Created, invoice("open", 2_900)));
    let paid = Story::default().invoice("in_1", ASKED, Rank::Updated, invoice("paid", 2_900));
    let asked = open.then_asked(&ask(0, Wish::PayInvoice { invoice: invoice_id }));
    let [Effect::PayInvoice { invoice }] = &effects(&asked, 0)[..] else {
        unreachable!("a payment")
    };
    assert_eq!(invoice.as_str(), "in_1");
    let paid = asked.then_asked(&observe(&paid.0[0]));
    assert_eq!(due(&paid.state, intent(0), later(0)), Due::Unneeded);
    // A quantity can change back: it is called, whatever was seen.
    let seen = Story::default().sub("sub_1", ASKED, Rank::Updated, plan_of("price_pro", 5));
    let seen = pro(3)
        .then_asked(&ask(0, to_quantity(5)))
        .then_asked(&observe(&seen.0[0]));
    assert!(matches!(due(&seen.state, intent(0), later(0)), Due::Calls(_)));
}

#[test]
fn ends_and_pauses_have_their_calls() {
    let subscription = || id("sub_1");
    let paused = asked(
        pro(1),
        Wish::Pause {
            mode: PauseMode::Collection,
            until: Some(at(90 * DAY)),
        },
    );
    let until = Some(at(90 * DAY));
    assert_eq!(
        paused,
        [Effect::PauseCollection {
            subscription: subscription(),
            until
        }]
    );
    let whole = with_sub(with(sub("active"), |it| it.billing_mode = Some("flexible".into())));
    let whole = whole.then_asked(&ask(
        0,
        Wish::Pause {
            mode: PauseMode::Subscription,
            until: None,
        },
    ));
    assert!(matches!(effects(&whole, 0)[..], [Effect::PauseSubscription { .. }]));
    let unpaused = whole
        .then_asked(&settle(0, applied("sub_1")))
        .then_asked(&ask(1, Wish::Unpause));
    assert!(matches!(effects(&unpaused, 1)[..], [Effect::ResumeSubscription { .. }]));
    let ending = with_sub(with(sub("active"), |it| it.cancel_at_period_end = true));
    assert!(matches!(
        asked(ending, Wish::Resume)[..],
        [Effect::KeepSubscription { .. }]
    ));
    assert!(matches!(
        asked(pro(1), to_plan("free"))[..],
        [Effect::CancelAtPeriodEnd { .. }]
    ));
}

#[test]
fn purchases_discounts_and_refunds_have_their_calls() {
    let discounted = with(sub("active"), |it| {
        it.discounts = Some(vec![AppliedDiscount {
            discount: Some("di_1".into()),
            coupon: None,
        }]);
    });
    let [Effect::AddDiscount { stays, discount, .. }] = &asked(with_sub(discounted), coupon("SPRING"))[..] else {
        unreachable!("a discount")
    };
    assert_eq!(
        (&**stays, discount),
        (&["di_1".into()][..], &DiscountSource::Coupon(id("SPRING")))
    );
    let charged = account(&Story::default().charge("ch_1", 0, charge("succeeded", 2_900)));
    let back = asked(
        charged,
        Wish::Refund(RefundWish {
            charge: id("ch_1"),
            amount_minor: None,
            reason: Some(RefundReason::Duplicate),
            alone_max_minor: None,
            is_approved: false,
        }),
    );
    let wanted = Effect::Refund {
        charge: id("ch_1"),
        amount_minor: 2_900,
        reason: Some(RefundReason::Duplicate),
    };
    assert_eq!(back, [wanted]);
    let nobody = account(&Story::default().customer(0, customer(), &[]));
    assert!(matches!(
        asked(nobody.clone(), Wish::OpenCheckout(purchase("pro")))[..],
        [Effect::OpenCheckout(_)]
    ));
    let made = Wish::Subscribe {
        purchase: purchase("pro"),
        confirm: ConfirmBy::Hosted,
    };
    assert!(matches!(asked(nobody, made)[..], [Effect::MakeSubscription(_)]));
}

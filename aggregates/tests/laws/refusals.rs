//! What people may ask for, and what they are told when they may not: given, when, then.

use aggregates::facts::{CollectionPause, Period, SubscriptionSnapshot, SubscriptionStatus};
use aggregates::ids::TenantId;
use aggregates::money::Currency;
use aggregates::plan::{Access, Interval, Mode};
use aggregates::snapshot::Rank;
use aggregates::subscription::asked::*;
use aggregates::subscription::rejection::*;
use aggregates::subscription::request::{RefundWish, Wish};
use aggregates::subscription::{Decision, Rejection, SubscriptionCommand, SubscriptionEvent};
use aggregates::testing::Given;

use super::build::*;
use super::market::*;
use super::samples::id;
use super::samples_of_intents::intent;

fn pro(quantity: u64) -> Given {
    with_sub(plan_of("price_pro", quantity))
}

fn nobody() -> Given {
    account(&Story::default().customer(0, customer(), &[]))
}

fn trialing() -> SubscriptionSnapshot {
    with(sub("trialing"), |it| {
        it.trial = Some(Period {
            start: at(0),
            end: at(14 * DAY),
        });
    })
}

fn ending() -> SubscriptionSnapshot {
    with(plan_of("price_pro", 3), |it| it.cancel_at_period_end = true)
}

/// What a wish is recorded as: exactly one event.
fn recorded(account: &Given, wish: Wish) -> SubscriptionEvent {
    let decided = account.clone().asked(&ask(800, wish));
    assert_eq!(decided.events().len(), 1, "{:?}", decided.outcome);
    decided.events()[0].clone()
}

fn changes_nothing(account: &Given, wish: Wish) {
    let decided = account.clone().asked(&ask(0, wish));
    assert_eq!(decided.outcome, Ok(Decision::AlreadyApplied));
}

fn buy(plan: &str) -> Wish {
    Wish::OpenCheckout(purchase(plan))
}

fn subscribe(plan: &str) -> Wish {
    Wish::Subscribe {
        purchase: purchase(plan),
        confirm: ConfirmBy::Hosted,
    }
}

fn pay(invoice: &str) -> Wish {
    Wish::PayInvoice { invoice: id(invoice) }
}

fn give_back(amount_minor: Option<i64>) -> RefundWish {
    RefundWish {
        charge: id("ch_1"),
        amount_minor,
        reason: None,
        alone_max_minor: Some(2_000),
        is_approved: false,
    }
}

fn using(account: &Given, wish: Wish, used: &[(&str, u64)]) -> Rejection {
    let decided = account.clone().asked(&ask_using(0, wish, used));
    decided.outcome.unwrap_err()
}

#[test]
fn a_checkout_carries_the_terms_as_they_are() {
    let SubscriptionEvent::CheckoutRequested(it) = recorded(&nobody(), buy("pro")) else {
        unreachable!("a checkout")
    };
    let terms = &it.terms;
    assert_eq!(
        (terms.price.as_str(), terms.amount_minor, terms.quantity),
        ("price_pro", 2_900, 1)
    );
    assert_eq!((terms.plan.code.as_str(), terms.plan.version), ("pro", 3));
    assert_eq!(
        (terms.interval, terms.currency, it.trial_days),
        (Interval::Month, usd(), Some(14))
    );
    assert!(it.promotion_codes && it.automatic_tax && it.collect_tax_id);
    assert_eq!(it.customer, Some(id("cus_1")));
    // A discount of the seller and codes of the customer do not go together at Stripe.
    let mut discounted = purchase("pro");
    discounted.discount = Some(DiscountSource::Coupon(id("SPRING")));
    let SubscriptionEvent::CheckoutRequested(it) = recorded(&nobody(), Wish::OpenCheckout(discounted)) else {
        unreachable!("a checkout")
    };
    assert!(!it.promotion_codes);
}

#[test]
fn the_first_command_of_a_tenant_opens_its_account() {
    let first = aggregates::testing::given(&[]).asked(&ask(0, buy("team")));
    first.then_names(&["account_opened", "checkout_requested"]);
    assert_eq!(first.and().state.account.tenant, Some(id("acme")));
}

#[test]
fn a_page_that_never_opened_is_replaced_by_the_next() {
    let waiting = nobody().then_asked(&ask(0, buy("pro")));
    let next = waiting.clone().then_asked(&ask(1, buy("team")));
    let status = |number| next.state.intents.find(intent(number)).unwrap().status().as_str();
    assert_eq!((status(0), status(1)), ("confirmed", "accepted"));
    let started = SubscriptionCommand::StartCheckout(Box::new(CheckoutStarted {
        intent: intent(0),
        session: id("cs_1"),
        expires_at: Some(at(9_000)),
    }));
    let started_already = waiting.then_asked(&started);
    let again = started_already.clone().asked(&started);
    assert_eq!(again.outcome, Ok(Decision::AlreadyApplied));
    let done = Story::default().checkout(ASKED + 60, checkout("complete", "paid"));
    let done = started_already.asked(&observe(&done.0[0]));
    done.then_names(&["checkout_completed", "intent_observed"]);
}

#[test]
fn what_is_not_sold_says_why() {
    let unsold = |plan: &str, why: NotSellable| {
        let plan = code(plan);
        Rejection::PlanNotSellable { plan, why }
    };
    let table = [
        (
            "enterprise",
            NotSellable::ContactUs {
                url: "https://example.com/talk".to_owned(),
            },
        ),
        ("old", NotSellable::Inactive),
        (
            "beta",
            NotSellable::OutsideFlag {
                flag: "beta".to_owned(),
            },
        ),
        ("lacking", NotSellable::NotInMode { mode: Mode::Test }),
        (
            "euro",
            NotSellable::NoPrice {
                interval: Interval::Month,
                currency: usd(),
                offered: vec![(Interval::Month, Currency::parse("eur").unwrap())],
            },
        ),
    ];
    for (plan, why) in table {
        let refusal = pro(1).refuses(to_plan(plan));
        assert_eq!(refusal, unsold(plan, why), "{refusal}");
    }
    let Rejection::UnknownPlan { plans, .. } = nobody().refuses(buy("gold")) else {
        unreachable!("an unknown plan")
    };
    assert_eq!(plans.len(), 9);
    assert_eq!(
        pro(1).refuses(to_plan("gold")).to_string().matches("starter").count(),
        1
    );
    let mut inside = request(0, to_plan("beta"));
    inside.circumstances.flags.insert("beta".into());
    let inside = pro(1).asked(&SubscriptionCommand::Request(Box::new(inside)));
    inside.then_names(&["plan_change_requested"]);
    let mut yearly = purchase("team");
    yearly.interval = Some(Interval::Year);
    let refusal = nobody().refuses(Wish::OpenCheckout(yearly)).to_string();
    assert!(refusal.contains("month in USD"), "{refusal}");
}

#[test]
fn a_purchase_needs_that_nothing_is_there() {
    let held = Rejection::AlreadyOnPlan {
        plan: code("pro"),
        interval: Some(Interval::Month),
        quantity: 3,
    };
    assert_eq!(pro(3).refuses(buy("pro")), held);
    for status in ["active", "past_due", "incomplete"] {
        let there = with_sub(sub(status));
        let exists = Rejection::SubscriptionExists {
            subscription: id("sub_1"),
            status: SubscriptionStatus::from_word(status),
        };
        assert_eq!(there.refuses(buy("team")), exists);
        assert_eq!(there.refuses(subscribe("team")), exists);
    }
    recorded(&with_sub(sub("canceled")), buy("team"));
    let pending = nobody().then_asked(&ask(0, subscribe("team")));
    let refusal = Rejection::SubscriptionPending { intent: intent(0) };
    assert_eq!(pending.refuses(subscribe("team")), refusal);
    assert_eq!(pending.refuses(buy("team")), refusal);
    let free = Rejection::AlreadyOnPlan {
        plan: code("free"),
        interval: None,
        quantity: 1,
    };
    assert_eq!(nobody().refuses(buy("free")), free);
    assert_eq!(nobody().refuses(to_plan("free")), free);
}

#[test]
fn a_tenant_has_one_trial() {
    let had = with_sub(with(trialing(), |it| it.status = SubscriptionStatus::Canceled));
    let wanting = |days, again| {
        let mut purchase = purchase("pro");
        purchase.trial_days = days;
        purchase.trial_again = again;
        Wish::Subscribe {
            purchase,
            confirm: ConfirmBy::Client,
        }
    };
    let days = |account: &Given, wish| match recorded(account, wish) {
        SubscriptionEvent::SubscriptionRequested(it) => it.trial_days,
        other => unreachable!("{other:?}"),
    };
    assert_eq!(days(&had, wanting(None, false)), None);
    assert_eq!(days(&had, wanting(Some(7), true)), Some(7));
    assert_eq!(days(&had, wanting(Some(0), false)), None);
    assert_eq!(days(&nobody(), wanting(None, false)), Some(14));
    let used = Rejection::TrialAlreadyUsed {
        subscription: id("sub_1"),
        ended_at: Some(at(14 * DAY)),
    };
    assert_eq!(had.refuses(wanting(Some(7), false)), used);
    let range = Rejection::TrialOutOfRange { days: 731, max: 730 };
    assert_eq!(nobody().refuses(wanting(Some(731), false)), range);
    let never = with_sub(with(trialing(), |it| it.status = SubscriptionStatus::IncompleteExpired));
    assert_eq!(days(&never, wanting(Some(7), false)), Some(7));
}

#[test]
fn an_upgrade_is_now_and_a_downgrade_when_the_period_ends() {
    let planned = |account: &Given, wish| match recorded(account, wish) {
        SubscriptionEvent::PlanChangeRequested(it) => it,
        other => unreachable!("{other:?}"),
    };
    let up = planned(&pro(3), to_plan("team"));
    assert_eq!(
        (up.when, up.proration, up.effective_at),
        (When::Now, Proration::CreateProrations, None)
    );
    assert_eq!((up.terms.price.as_str(), up.terms.quantity), ("price_team", 3));
    assert_eq!(up.from.unwrap().code, code("pro"));
    let down = planned(&pro(3), to_plan("starter"));
    assert_eq!((down.when, down.proration), (When::PeriodEnd, Proration::None));
    assert_eq!(down.effective_at, Some(month(0).end));
    let mut yearly = plan_change("pro");
    yearly.interval = Some(Interval::Year);
    let yearly = planned(&pro(3), Wish::ChangePlan(yearly));
    assert_eq!(
        (yearly.when, yearly.terms.price.as_str()),
        (When::Now, "price_pro_year")
    );
    let mut chosen = plan_change("starter");
    (chosen.when, chosen.proration, chosen.quantity) = (Some(When::Now), Some(Proration::AlwaysInvoice), Some(2));
    let chosen = planned(&pro(3), Wish::ChangePlan(chosen));
    assert_eq!(
        (chosen.when, chosen.proration, chosen.terms.quantity),
        (When::Now, Proration::AlwaysInvoice, 2)
    );
    assert!(planned(&with_sub(ending()), to_plan("team")).withdraws_cancellation);
    let refusal = Rejection::AlreadyOnPlan {
        plan: code("pro"),
        interval: Some(Interval::Month),
        quantity: 3,
    };
    assert_eq!(pro(3).refuses(to_plan("pro")), refusal);
    let asked = pro(3).then_asked(&ask(0, to_plan("starter")));
    let twice = asked.asked(&ask(1, to_plan("starter")));
    assert_eq!(twice.outcome, Ok(Decision::AlreadyApplied));
}

#[test]
fn a_planned_change_can_be_let_go() {
    let planned = |change| move |it: &SubscriptionEvent| matches!(it, SubscriptionEvent::PlanChangeWithdrawalRequested(it) if it.change == change);
    let asked = pro(3).then_asked(&ask(0, to_plan("starter")));
    let decided = asked.clone().asked(&ask(1, Wish::WithdrawChange));
    assert!(decided.events().iter().all(planned(PlannedChange::Plan)) && !decided.events().is_empty());
    let again = decided.and().asked(&ask(2, Wish::WithdrawChange));
    assert_eq!(again.outcome, Ok(Decision::AlreadyApplied));
    let scheduled = Story::default()
        .sub("sub_1", 0, Rank::Created, plan_of("price_pro", 3))
        .schedule(10, schedule("active", &[(0, "price_pro"), (30 * DAY, "price_starter")]));
    assert!(planned(PlannedChange::Plan)(&recorded(
        &account(&scheduled),
        Wish::WithdrawChange
    )));
    assert!(planned(PlannedChange::ToFree)(&recorded(
        &with_sub(ending()),
        Wish::WithdrawChange
    )));
    changes_nothing(&pro(3), Wish::WithdrawChange);
}

#[test]
fn a_plan_without_a_price_is_a_cancellation_with_the_period() {
    let SubscriptionEvent::CancellationRequested(it) = recorded(&pro(1), to_plan("free")) else {
        unreachable!("a cancellation")
    };
    assert_eq!((it.when, it.effective_at), (When::PeriodEnd, Some(month(0).end)));
    assert_eq!(it.to_plan.unwrap().code, code("free"));
    changes_nothing(&with_sub(ending()), to_plan("free"));
    let refusal = using(&pro(1), to_plan("free"), &[("projects", 2)]);
    let limits = vec![LimitInUse {
        resource: "projects".into(),
        used: 2,
        limit: 1,
    }];
    assert_eq!(
        refusal,
        Rejection::DowngradeBlocked {
            plan: code("free"),
            limits
        }
    );
}

#[test]
fn a_downgrade_is_blocked_by_levels_in_use_and_by_nothing_else() {
    let used = [
        ("projects", 4),
        ("seats", 7),
        ("storage", 99),
        ("runs", 99),
        ("unheard_of", 9),
    ];
    let refusal = using(&pro(3), to_plan("starter"), &used);
    let over = |resource: &str, used, limit| LimitInUse {
        resource: resource.into(),
        used,
        limit,
    };
    let limits = vec![over("projects", 4, 3), over("seats", 7, 6)];
    assert_eq!(
        refusal,
        Rejection::DowngradeBlocked {
            plan: code("starter"),
            limits
        }
    );
    let fits = pro(3).asked(&ask_using(0, to_plan("starter"), &[("projects", 3), ("seats", 6)]));
    fits.then_names(&["plan_change_requested"]);
    let limits = vec![over("seats", 5, 4)];
    let fewer = Rejection::BelowUsage { quantity: 2, limits };
    assert_eq!(using(&pro(3), to_quantity(2), &[("seats", 5)]), fewer);
    let mut same_plan = plan_change("pro");
    same_plan.quantity = Some(2);
    assert_eq!(using(&pro(3), Wish::ChangePlan(same_plan), &[("seats", 5)]), fewer);
    let more = pro(3).asked(&ask_using(0, to_quantity(4), &[("seats", 50)]));
    more.then_names(&["quantity_change_requested"]);
}

#[test]
fn a_quantity_is_absolute_once_decided_and_stays_in_range() {
    let quantity = |account: &Given, wish| match recorded(account, wish) {
        SubscriptionEvent::QuantityChangeRequested(it) => (it.from, it.quantity),
        other => unreachable!("{other:?}"),
    };
    assert_eq!(quantity(&pro(3), to_quantity(5)), (3, 5));
    assert_eq!(quantity(&pro(3), by_quantity(-2)), (3, 1));
    let clicked = pro(3).then_asked(&ask(0, by_quantity(1)));
    let twice = clicked.clone().asked(&ask(1, by_quantity(1)));
    let SubscriptionEvent::QuantityChangeRequested(it) = &twice.events()[0] else {
        unreachable!("a quantity")
    };
    assert_eq!((it.from, it.quantity, &*it.replaces), (4, 5, &[intent(0)][..]));
    let merged = twice.and();
    assert_eq!(
        merged.state.intents.find(intent(0)).unwrap().merged_into,
        Some(intent(1))
    );
    // One that Stripe has answered is not replaced.
    let answered = clicked.then_asked(&settle(0, applied("sub_1")));
    let next = answered.asked(&ask(1, by_quantity(1)));
    let SubscriptionEvent::QuantityChangeRequested(it) = &next.events()[0] else {
        unreachable!("a quantity")
    };
    assert_eq!((it.quantity, it.replaces.len()), (5, 0));
    changes_nothing(&pro(3), to_quantity(3));
    changes_nothing(&pro(3), by_quantity(0));
    for (wish, asked) in [
        (to_quantity(11), 11),
        (by_quantity(-3), 0),
        (by_quantity(i64::MIN), i128::from(i64::MIN) + 3),
        (to_quantity(u64::MAX), i128::from(u64::MAX)),
    ] {
        let refusal = Rejection::QuantityOutOfRange {
            plan: code("pro"),
            quantity: asked,
            min: 1,
            max: 10,
        };
        assert_eq!(pro(3).refuses(wish), refusal);
    }
    let bare = with_sub(with(sub("active"), |it| it.items = None));
    let subscription = id("sub_1");
    assert_eq!(bare.refuses(to_quantity(2)), Rejection::TermsUnknown { subscription });
}

#[test]
fn a_subscription_ends_once() {
    let when = |account: &Given, wish| match recorded(account, wish) {
        SubscriptionEvent::CancellationRequested(it) => (it.when, it.feedback),
        other => unreachable!("{other:?}"),
    };
    let plain = Wish::Cancel {
        when: None,
        feedback: Some(Feedback::Unused),
    };
    assert_eq!(when(&pro(1), plain), (When::PeriodEnd, Some(Feedback::Unused)));
    assert_eq!(when(&with_sub(ending()), cancel(When::Now)), (When::Now, None));
    assert_eq!(when(&with_sub(sub("incomplete")), cancel(When::Now)), (When::Now, None));
    changes_nothing(&with_sub(ending()), cancel(When::PeriodEnd));
    let ended = |ended_at| Rejection::AlreadyCanceled {
        subscription: id("sub_1"),
        ended_at,
    };
    let over = with_sub(with(sub("canceled"), |it| it.ended_at = Some(at(7))));
    assert_eq!(over.refuses(cancel(When::Now)), ended(Some(at(7))));
    let under_way = pro(1).then_asked(&ask(0, cancel(When::Now)));
    for wish in [
        cancel(When::Now),
        cancel(When::PeriodEnd),
        to_quantity(2),
        Wish::Resume,
        to_plan("team"),
    ] {
        assert_eq!(under_way.refuses(wish), ended(None));
    }
    let refusal = Rejection::NotCancelable {
        subscription: id("sub_1"),
        status: SubscriptionStatus::Incomplete,
    };
    assert_eq!(with_sub(sub("incomplete")).refuses(cancel(When::PeriodEnd)), refusal);
    let none = Rejection::NoLiveSubscription { last: None };
    assert_eq!(nobody().refuses(cancel(When::Now)), none);
}

#[test]
fn what_needs_a_running_subscription_says_so() {
    let wishes = || {
        [
            to_plan("team"),
            to_quantity(2),
            Wish::WithdrawChange,
            Wish::Unpause,
            coupon("SPRING"),
            Wish::Pause {
                mode: PauseMode::Collection,
                until: None,
            },
            Wish::ExtendTrial {
                days: 3,
                reason: "asked nicely".into(),
            },
            Wish::OpenPortal {
                flow: Some(PortalFlow::SubscriptionCancel),
            },
        ]
    };
    for wish in wishes() {
        let none = Rejection::NoLiveSubscription { last: None };
        assert_eq!(nobody().refuses(wish.clone()), none, "{wish:?}");
        let last = Some(SubscriptionStatus::Canceled);
        let over = Rejection::NoLiveSubscription { last };
        assert_eq!(with_sub(sub("canceled")).refuses(wish.clone()), over, "{wish:?}");
    }
    let other = {
        let mut request = request(0, to_quantity(2));
        request.subscription = Some(id("sub_9"));
        SubscriptionCommand::Request(Box::new(request))
    };
    pro(1)
        .asked(&other)
        .then_rejected(&Rejection::NoLiveSubscription { last: None });
}

#[test]
fn a_planned_end_can_be_withdrawn() {
    let name = |account: &Given, wish| recorded(account, wish).name();
    assert_eq!(name(&with_sub(ending()), Wish::Resume), "resumption_requested");
    let asked = pro(1).then_asked(&ask(0, cancel(When::PeriodEnd)));
    asked.asked(&ask(1, Wish::Resume)).then_names(&["resumption_requested"]);
    changes_nothing(&pro(1), Wish::Resume);
    let refusal = |why| Rejection::NotResumable {
        subscription: id("sub_1"),
        why,
    };
    assert_eq!(
        with_sub(sub("canceled")).refuses(Wish::Resume),
        refusal(NotResumable::Ended)
    );
    assert_eq!(
        with_sub(sub("paused")).refuses(Wish::Resume),
        refusal(NotResumable::Paused)
    );
}

#[test]
fn collection_or_all_of_it_can_be_paused() {
    let pause = |mode, until| Wish::Pause { mode, until };
    let collection = |until| pause(PauseMode::Collection, until);
    let whole = || pause(PauseMode::Subscription, None);
    let flexible = |status| with_sub(with(sub(status), |it| it.billing_mode = Some("flexible".into())));
    let name = |account: &Given, wish| recorded(account, wish).name();
    assert_eq!(name(&pro(1), collection(Some(at(90 * DAY)))), "pause_requested");
    assert_eq!(name(&flexible("active"), whole()), "pause_requested");
    let paused = |resumes_at| {
        with_sub(with(sub("active"), |it| {
            it.collection_pause = Some(CollectionPause {
                behavior: "keep_as_draft".into(),
                resumes_at,
            });
        }))
    };
    changes_nothing(&paused(None), collection(None));
    assert_eq!(name(&paused(None), collection(Some(at(90 * DAY)))), "pause_requested");
    let mode = |account: &Given| match recorded(account, Wish::Unpause) {
        SubscriptionEvent::UnpauseRequested(it) => it.mode,
        other => unreachable!("{other:?}"),
    };
    assert_eq!(mode(&paused(None)), PauseMode::Collection);
    assert_eq!(mode(&flexible("paused")), PauseMode::Subscription);
    changes_nothing(&pro(1), Wish::Unpause);
    changes_nothing(&flexible("paused"), whole());
    let refusal = |why| Rejection::NotPausable {
        subscription: id("sub_1"),
        why,
    };
    assert_eq!(pro(1).refuses(whole()), refusal(NotPausable::ClassicBilling));
    assert_eq!(flexible("past_due").refuses(whole()), refusal(NotPausable::NotPaidUp));
    assert_eq!(pro(1).refuses(collection(Some(at(0)))), refusal(NotPausable::PastEnd));
}

#[test]
fn discounts_and_trials_are_given_once() {
    let name = |account: &Given, wish| recorded(account, wish).name();
    assert_eq!(name(&pro(1), coupon("SPRING")), "coupon_requested");
    let asked = pro(1).then_asked(&ask(0, coupon("SPRING")));
    let again = asked.asked(&ask(1, coupon("SPRING")));
    assert_eq!(again.outcome, Ok(Decision::AlreadyApplied));
    let on = with(sub("active"), |it| {
        it.discounts = Some(vec![aggregates::facts::AppliedDiscount {
            discount: Some("di_1".into()),
            coupon: Some(id("SPRING")),
        }]);
    });
    changes_nothing(&with_sub(on), coupon("SPRING"));
    let longer = |days| Wish::ExtendTrial {
        days,
        reason: "onboarding".into(),
    };
    let SubscriptionEvent::TrialExtensionRequested(it) = recorded(&with_sub(trialing()), longer(7)) else {
        unreachable!("a trial")
    };
    assert_eq!((it.from, it.until), (at(14 * DAY), at(21 * DAY)));
    let refusal = Rejection::NotInTrial {
        subscription: id("sub_1"),
        status: SubscriptionStatus::Active,
    };
    assert_eq!(pro(1).refuses(longer(7)), refusal);
    let range = Rejection::TrialOutOfRange { days: 0, max: 730 };
    assert_eq!(with_sub(trialing()).refuses(longer(0)), range);
}

#[test]
fn nothing_more_is_sold_while_access_is_restricted() {
    let unpaid = Story::default().sub("sub_1", 0, Rank::Created, sub("unpaid")).invoice(
        "in_1",
        0,
        Rank::Updated,
        invoice("open", 2_900),
    );
    let unpaid = account(&unpaid);
    let refusal = Rejection::AccessIsRestricted {
        access: Access::Blocked,
        why: Restriction::PaymentOverdue,
        invoice: Some(id("in_1")),
    };
    assert_eq!(unpaid.refuses(to_plan("team")), refusal);
    assert_eq!(unpaid.refuses(to_quantity(2)), refusal);
    let paused = Rejection::AccessIsRestricted {
        access: Access::Restricted,
        why: Restriction::Paused,
        invoice: None,
    };
    assert_eq!(with_sub(sub("paused")).refuses(to_plan("team")), paused);
    let lost = account(
        &Story::default()
            .customer(0, customer(), &[])
            .dispute(5, dispute("lost")),
    );
    let disputed = Rejection::AccessIsRestricted {
        access: Access::Restricted,
        why: Restriction::Disputed,
        invoice: None,
    };
    assert_eq!(lost.refuses(buy("team")), disputed);
    // Paying, ending and taking back always go.
    for wish in [pay("in_1"), cancel(When::Now), cancel(When::PeriodEnd), to_plan("free")] {
        recorded(&unpaid, wish);
    }
    recorded(&with_sub(sub("past_due")), to_plan("team"));
}

#[test]
fn an_invoice_is_paid_while_something_is_due() {
    let of = |status: &str| account(&Story::default().invoice("in_1", 0, Rank::Created, invoice(status, 2_900)));
    for status in ["open", "uncollectible"] {
        let SubscriptionEvent::InvoicePaymentRequested(it) = recorded(&of(status), pay("in_1")) else {
            unreachable!("a payment")
        };
        assert_eq!(it.amount_minor, 2_900);
    }
    for status in ["draft", "paid", "void"] {
        let refusal = Rejection::InvoiceNotPayable {
            invoice: id("in_1"),
            standing: Some(status.into()),
        };
        assert_eq!(of(status).refuses(pay("in_1")), refusal);
    }
    let refusal = Rejection::InvoiceNotPayable {
        invoice: id("in_9"),
        standing: None,
    };
    assert_eq!(of("open").refuses(pay("in_9")), refusal);
    let asked = of("open").then_asked(&ask(0, pay("in_1")));
    let again = asked.clone().asked(&ask(1, pay("in_1")));
    assert_eq!(again.outcome, Ok(Decision::AlreadyApplied));
    let refused = asked.then_asked(&settle(0, refused()));
    refused
        .asked(&ask(1, pay("in_1")))
        .then_names(&["invoice_payment_requested"]);
}

#[test]
fn no_more_is_given_back_than_came_in() {
    let charged = account(&Story::default().charge("ch_1", 0, charge("succeeded", 2_900)));
    let back = |wish: RefundWish| Wish::Refund(wish);
    let SubscriptionEvent::RefundRequested(it) = recorded(&charged, back(give_back(Some(2_000)))) else {
        unreachable!("a refund")
    };
    assert_eq!((it.amount_minor, it.payment_intent), (2_000, Some(id("pi_1"))));
    let second = Rejection::NeedsSecondApprover {
        amount_minor: 2_900,
        alone_max_minor: 2_000,
        currency: usd(),
    };
    assert_eq!(charged.refuses(back(give_back(None))), second);
    let mut approved = give_back(None);
    approved.is_approved = true;
    let SubscriptionEvent::RefundRequested(it) = recorded(&charged, back(approved.clone())) else {
        unreachable!("a refund")
    };
    assert_eq!(it.amount_minor, 2_900);
    let exceeds = |asked_minor, refundable_minor| Rejection::RefundExceedsPayment {
        charge: id("ch_1"),
        asked_minor,
        refundable_minor,
        currency: usd(),
    };
    assert_eq!(charged.refuses(back(give_back(Some(2_901)))), exceeds(2_901, 2_900));
    assert_eq!(charged.refuses(back(give_back(Some(0)))), exceeds(0, 2_900));
    assert_eq!(charged.refuses(back(give_back(Some(-5)))), exceeds(-5, 2_900));
    // What is asked for and what is seen are not counted twice, and neither is forgotten.
    let asked = charged.then_asked(&ask(0, back(give_back(Some(2_000)))));
    assert_eq!(asked.refuses(back(give_back(Some(901)))), exceeds(901, 900));
    let answered = asked.then_asked(&settle(0, applied("re_1")));
    assert_eq!(answered.refuses(back(give_back(Some(901)))), exceeds(901, 900));
    let seen = Story::default().refund("re_1", ASKED + 5, refund("pending", 2_000));
    let seen = answered.then_asked(&observe(&seen.0[0]));
    assert_eq!(seen.refuses(back(give_back(Some(901)))), exceeds(901, 900));
    let failed = Story::default().refund("re_1", ASKED + 9, refund("failed", 2_000));
    let failed = seen.then_asked(&observe(&failed.0[0]));
    recorded(&failed, back(approved));
}

#[test]
fn a_payment_that_is_not_ours_or_disputed_is_not_refunded() {
    let story = || Story::default().charge("ch_1", 0, charge("succeeded", 2_900));
    let back = || Wish::Refund(give_back(Some(100)));
    let charge_id = || id("ch_1");
    assert_eq!(
        nobody().refuses(back()),
        Rejection::UnknownPayment { charge: charge_id() }
    );
    for status in ["needs_response", "under_review", "lost"] {
        let disputed = account(&story().dispute(5, dispute(status)));
        assert_eq!(
            disputed.refuses(back()),
            Rejection::PaymentDisputed { charge: charge_id() },
            "{status}"
        );
    }
    for status in ["won", "warning_needs_response", "warning_closed"] {
        recorded(&account(&story().dispute(5, dispute(status))), back());
    }
    let marked = Story::default().charge("ch_1", 0, with(charge("succeeded", 2_900), |it| it.disputed = true));
    assert_eq!(
        account(&marked).refuses(back()),
        Rejection::PaymentDisputed { charge: charge_id() }
    );
    let failed = account(&Story::default().charge("ch_1", 0, charge("failed", 2_900)));
    let nothing = Rejection::RefundExceedsPayment {
        charge: charge_id(),
        asked_minor: 100,
        refundable_minor: 0,
        currency: usd(),
    };
    assert_eq!(failed.refuses(back()), nothing);
}

#[test]
fn the_portal_and_contact_data_need_a_customer() {
    let stranger = aggregates::testing::given(&[]);
    let open = || Wish::OpenPortal { flow: None };
    let fields = || Wish::UpdateCustomer {
        fields: [aggregates::facts::ContactField::Email].into(),
    };
    assert_eq!(stranger.refuses(open()), Rejection::NoCustomer);
    assert_eq!(stranger.refuses(fields()), Rejection::NoCustomer);
    assert_eq!(recorded(&nobody(), fields()).name(), "customer_update_requested");
    changes_nothing(&nobody(), Wish::UpdateCustomer { fields: [].into() });
    let opened = recorded(&nobody(), open());
    assert_eq!(opened.own_id(), Some(intent(800)));
    assert_eq!(opened.asked(), None, "a page that was opened waits for nothing");
}

#[test]
fn a_command_for_another_tenant_is_refused() {
    let mut request = request(0, to_quantity(5));
    request.tenant = Some(TenantId::parse("other").unwrap());
    let decided = pro(1).asked(&SubscriptionCommand::Request(Box::new(request)));
    decided.then_rejected(&Rejection::TenantMismatch {
        known: id("acme"),
        hinted: id("other"),
    });
}

#[test]
fn a_schedule_nobody_has_seen_is_not_overwritten() {
    let driven = with_sub(with(plan_of("price_pro", 3), |it| {
        it.schedule = Some(id("sub_sched_9"))
    }));
    let schedule = id("sub_sched_9");
    assert_eq!(driven.refuses(to_quantity(5)), Rejection::ScheduleUnknown { schedule });
}

#[test]
fn a_refusal_has_the_word_of_the_vocabulary_and_says_what_to_do() {
    let refusals = [
        (
            pro(1).refuses(to_plan("gold")),
            "UnknownPlan",
            "the plans are free, starter",
        ),
        (pro(1).refuses(to_plan("old")), "PlanNotSellable", "choose another plan"),
        (pro(1).refuses(to_quantity(11)), "QuantityOutOfRange", "1 to 10"),
        (
            using(&pro(3), to_quantity(1), &[("seats", 5)]),
            "BelowUsage",
            "use less first",
        ),
        (
            nobody().refuses(cancel(When::Now)),
            "NoLiveSubscription",
            "subscribe first",
        ),
        (
            pro(1).refuses(buy("team")),
            "SubscriptionExists",
            "change its plan instead",
        ),
        (
            with_sub(sub("paused")).refuses(Wish::Resume),
            "NotResumable",
            "end the pause instead",
        ),
        (
            nobody().refuses(pay("in_9")),
            "InvoiceNotPayable",
            "not one of this account",
        ),
    ];
    for (refusal, word, advice) in refusals {
        assert_eq!(refusal.word(), word);
        assert!(refusal.to_string().contains(advice), "{refusal}");
    }
}

//! Intents end the same in every order of answer, echo and what others do at the same time, and never grow without
//! bound.

use aggregates::observation::Observation;
use aggregates::subscription::asked::When;
use aggregates::subscription::intent::{Asked, IntentStatus};
use aggregates::subscription::request::Wish;
use aggregates::subscription::settled::{CallOutcome, StripeCallSettled};
use aggregates::subscription::state::{OPEN_MAX, SETTLED_KEPT_MAX};
use aggregates::subscription::{AccountState, Decision, Rejection, SubscriptionCommand, SubscriptionEvent, decide};

use super::build::*;
use super::intent_stories::{Case, cases, three, updated};
use super::market::*;
use super::samples_of_intents::intent;
use super::seeds::{Seeds, each_order};

/// What happens to an account after it was asked for something.
#[derive(Clone, Debug)]
pub(super) enum Step {
    Told(Box<Observation>),
    Answered(SubscriptionCommand),
}

pub(super) fn told(story: Story) -> Vec<Step> {
    let steps = story.0.into_iter();
    steps.map(|it| Step::Told(Box::new(it))).collect()
}

pub(super) fn echoing(story: Story, number: u128) -> Story {
    let mut story = story;
    story.0.last_mut().unwrap().echo = Some(intent(number));
    story
}

pub(super) fn unknown() -> CallOutcome {
    CallOutcome::Unknown {
        reason: "timeout".into(),
        given_up: false,
    }
}

/// Plays commands on an account; gives every event and the state.
fn play<'a>(
    mut state: AccountState,
    steps: impl IntoIterator<Item = &'a Step>,
) -> (Vec<SubscriptionEvent>, AccountState) {
    let mut all = Vec::new();
    for step in steps {
        let command = match step {
            Step::Told(observation) => observe(observation),
            Step::Answered(command) => command.clone(),
        };
        if let Decision::Record { events, .. } = decide(&state, &command, &market()).unwrap() {
            for event in events {
                state.evolve(&event);
                all.push(event);
            }
        }
    }
    (all, state)
}

/// Everything that must not depend on the order: books and intents, as bytes.
fn bytes(state: &AccountState) -> String {
    serde_json::to_string(&(&state.life, &state.invoices, &state.money, &state.intents)).unwrap()
}

/// The account once everything was asked.
fn accepted(case: &Case) -> AccountState {
    let mut account = account(&case.before);
    for (number, wish) in (0..).zip(&case.wishes) {
        account = account.then_asked(&ask(number, wish.clone()));
    }
    account.state
}

/// Every order, then seeded orders with duplicates, against the order as told.
pub(crate) fn counterexample() -> Option<String> {
    for case in cases() {
        let before = accepted(&case);
        let (_, wanted) = play(before.clone(), &case.steps);
        let status = wanted.intents.find(intent(0)).map(|it| it.status());
        if status != Some(case.ends) {
            return Some(format!("{}: ends {status:?}, not {:?}", case.name, case.ends));
        }
        let mut found = None;
        let mut check = |order: &[Step]| {
            let (_, state) = play(before.clone(), order);
            if bytes(&state) != bytes(&wanted) && found.is_none() {
                let (got, want) = (bytes(&state), bytes(&wanted));
                found = Some(format!("{}: {order:#?}\ngot    {got}\nwanted {want}", case.name));
            }
        };
        each_order(&case.steps, &mut check);
        for seed in 0..40 {
            let mut seeds = Seeds::new(seed);
            let mut order = case.steps.clone();
            order.extend(case.steps.iter().filter(|_| seeds.one_in(2)).cloned());
            seeds.shuffle(&mut order);
            check(&order);
        }
        if found.is_some() {
            return found;
        }
    }
    None
}

#[test]
fn every_order_of_answer_echo_and_what_others_do_ends_alike() {
    assert_eq!(counterexample(), None);
    assert!(cases().len() >= 15);
}

/// Up to three wishes, and then what may happen to each: an answer that may be lost for a while, an echo or only the
/// effect, a change by somebody else; and snapshots that have nothing to do with any of it.
fn random_case(seeds: &mut Seeds) -> (Vec<Wish>, Vec<Step>) {
    let mut wishes = Vec::new();
    let mut steps = Vec::new();
    for number in 0..=seeds.below(3) {
        let number = u128::try_from(number).unwrap();
        let second = ASKED + i64::try_from(seeds.below(6)).unwrap() - 1;
        let quantity = 1 + seeds.next() % 10;
        let (wish, shown) = match seeds.below(4) {
            0 => (to_plan("team"), plan_of("price_team", 3)),
            1 => (
                cancel(When::PeriodEnd),
                with(plan_of("price_pro", 3), |it| it.cancel_at_period_end = true),
            ),
            2 => (coupon("SPRING"), plan_of("price_pro", 3)),
            _ => (to_quantity(quantity), plan_of("price_pro", quantity)),
        };
        wishes.push(wish);
        let shown = updated(second, shown);
        steps.extend(told(if seeds.one_in(2) { echoing(shown, number) } else { shown }));
        if seeds.one_in(2) {
            steps.push(Step::Answered(settle(number, unknown())));
        }
        let last = [applied("sub_1"), refused(), CallOutcome::Unneeded][seeds.below(3)].clone();
        steps.push(Step::Answered(settle(number, last)));
        if seeds.one_in(2) {
            let foreign = plan_of(["price_pro", "price_team"][seeds.below(2)], 1 + seeds.next() % 10);
            steps.extend(told(updated(second, foreign)));
        }
    }
    (wishes, steps)
}

#[test]
fn random_intents_end_alike_in_every_order() {
    let mut ends = std::collections::BTreeSet::new();
    for seed in 0..400 {
        let mut seeds = Seeds::new(seed);
        let (wishes, steps) = random_case(&mut seeds);
        let mut account = account(&three());
        let mut number = 0;
        for wish in wishes {
            let decided = account.clone().asked(&ask(number, wish));
            number += u128::from(!decided.events().is_empty());
            account = decided.and();
        }
        // What was refused or changed nothing has no call that could be answered.
        let is_asked = |step: &Step| match step {
            Step::Told(_) => true,
            Step::Answered(SubscriptionCommand::SettleCall(it)) => account.state.intents.find(it.intent).is_some(),
            Step::Answered(_) => false,
        };
        let mut steps: Vec<Step> = steps.into_iter().filter(is_asked).collect();
        let (_, wanted) = play(account.state.clone(), &steps);
        ends.extend(wanted.intents.iter().map(|it| it.status()));
        for _ in 0..30 {
            seeds.shuffle(&mut steps);
            let twice = steps.iter().chain(steps.iter().filter(|_| seed % 2 == 0));
            let (_, state) = play(account.state.clone(), twice);
            assert_eq!(bytes(&state), bytes(&wanted), "seed {seed}: {steps:#?}");
        }
    }
    let all = [IntentStatus::Applied, IntentStatus::Confirmed, IntentStatus::Rejected];
    assert!(all.iter().all(|end| ends.contains(end)), "{ends:?}");
}

/// Whether a status was final and then changed, in any order of any case.
pub(crate) fn final_word_broken() -> Option<&'static str> {
    for case in cases() {
        let before = accepted(&case);
        let mut broken = false;
        each_order(&case.steps, |order| {
            let mut last = None;
            for known in 0..=order.len() {
                let (_, state) = play(before.clone(), &order[..known]);
                let status = state.intents.find(intent(0)).unwrap().status();
                broken |= last.is_some_and(|last: IntentStatus| last.is_final() && last != status);
                last = Some(status);
            }
        });
        if broken {
            return Some(case.name);
        }
    }
    None
}

#[test]
fn a_final_word_never_changes() {
    assert_eq!(final_word_broken(), None);
}

/// Whether what somebody else did in the same second is on the log, whatever came first.
pub(crate) fn swallowed() -> bool {
    let case = cases()
        .into_iter()
        .find(|it| it.name.contains("portal cancel"))
        .unwrap();
    let before = accepted(&case);
    let mut lost = false;
    each_order(&case.steps, |order| {
        let (events, state) = play(before.clone(), order);
        let terms = state.life.subscriptions.values().next().unwrap().book.terms().unwrap();
        let snapshots = events.iter().filter(|event| event.carried().is_some()).count();
        lost |= !terms.cancel_at_period_end || snapshots < 2;
    });
    lost
}

#[test]
fn a_change_in_the_portal_in_the_same_second_is_not_swallowed() {
    assert!(!swallowed());
}

#[test]
fn a_foreign_change_is_no_echo() {
    let case = cases()
        .into_iter()
        .find(|it| it.name.contains("something else"))
        .unwrap();
    let (events, state) = play(accepted(&case), &case.steps);
    assert!(!events.iter().any(|event| event.name() == "intent_observed"));
    assert_eq!(state.intents.find(intent(0)).unwrap().status(), IntentStatus::Applied);
}

/// A thousand clicks up and down, with an answer now and then: the quantity clicked, the one asked for last, and how
/// many calls waited at most.
pub(crate) fn clicks(seed: u64) -> (u64, u64, usize) {
    let mut seeds = Seeds::new(seed);
    let mut account = account(&three()).state;
    let (mut clicked, mut waiting) = (3, 0);
    for number in 0..1_000 {
        let up = seeds.one_in(2);
        let decided = decide(&account, &ask(number, by_quantity(if up { 1 } else { -1 })), &market());
        if let Err(Rejection::QuantityOutOfRange { .. } | Rejection::TooManyOpenIntents { .. }) = decided {
            continue;
        }
        clicked = if up { clicked + 1 } else { clicked - 1 };
        if let Decision::Record { events, .. } = decided.unwrap() {
            events.iter().for_each(|event| account.evolve(event));
        }
        waiting = waiting.max(account.intents.open().count());
        let next = account.intents.open().next().map(|it| it.id());
        if let Some(intent) = next.filter(|_| seeds.one_in(50)) {
            account.evolve(&SubscriptionEvent::StripeCallSettled(StripeCallSettled {
                intent,
                outcome: applied("sub_1"),
                request_id: None,
            }));
        }
    }
    let quantities = account.intents.iter().filter_map(|it| match &it.asked {
        Asked::Quantity(it) => Some(it.quantity),
        _ => None,
    });
    (clicked, quantities.last().unwrap(), waiting)
}

#[test]
fn a_thousand_clicks_end_in_the_right_quantity_with_one_call_waiting() {
    for seed in 0..20 {
        let (clicked, asked, waiting) = clicks(seed);
        assert_eq!((clicked, 1), (asked, waiting), "seed {seed}");
    }
}

/// Most intents an account kept over a long life.
pub(crate) fn kept_most() -> usize {
    let mut account = account(&three());
    let mut most = 0;
    for number in 0..300_u128 {
        let wish = if number % 2 == 0 {
            cancel(When::PeriodEnd)
        } else {
            Wish::Resume
        };
        account = account
            .then_asked(&ask(number, wish))
            .then_asked(&settle(number, applied("sub_1")));
        most = most.max(account.state.intents.iter().count());
    }
    most
}

#[test]
fn settled_intents_leave_the_state() {
    assert_eq!(kept_most(), SETTLED_KEPT_MAX);
    let mut account = account(&three());
    for number in 0..u128::try_from(OPEN_MAX).unwrap() {
        let wish = if number % 2 == 0 {
            cancel(When::PeriodEnd)
        } else {
            Wish::Resume
        };
        account = account.then_asked(&ask(number, wish));
    }
    let (open, max) = (OPEN_MAX, OPEN_MAX);
    assert_eq!(
        account.refuses(Wish::Resume),
        Rejection::TooManyOpenIntents { open, max }
    );
    assert_eq!(account.state.intents.iter().count(), OPEN_MAX);
}

#[test]
fn which_settled_intents_are_kept_does_not_depend_on_when_they_were_settled() {
    let mut wanted = None;
    for seed in 0..50 {
        let mut account = account(&three());
        for number in 0..60 {
            let wish = if number % 2 == 0 {
                cancel(When::PeriodEnd)
            } else {
                Wish::Resume
            };
            account = account.then_asked(&ask(number, wish));
        }
        let mut answers: Vec<u128> = (0..60).collect();
        Seeds::new(seed).shuffle(&mut answers);
        for number in answers {
            account = account.then_asked(&settle(number, applied("sub_1")));
        }
        let kept = bytes(&account.state);
        assert_eq!(wanted.get_or_insert_with(|| kept.clone()), &kept, "seed {seed}");
        assert_eq!(account.state.intents.iter().count(), SETTLED_KEPT_MAX);
    }
}

#[test]
fn an_answer_is_recorded_once_and_a_known_one_stays() {
    let account = account(&three()).then_asked(&ask(0, to_quantity(5)));
    let again = account.clone().asked(&ask(0, to_quantity(5)));
    assert_eq!(again.outcome, Ok(Decision::AlreadyApplied), "the same intent twice");
    let answered = account
        .then_asked(&settle(0, unknown()))
        .then_asked(&settle(0, applied("sub_1")));
    for late in [unknown(), refused(), CallOutcome::Unneeded, applied("sub_2")] {
        let decided = answered.clone().asked(&settle(0, late));
        assert_eq!(decided.outcome, Ok(Decision::AlreadyApplied));
    }
    let never = answered.asked(&settle(7, applied("sub_1")));
    never.then_rejected(&Rejection::UnknownIntent { intent: intent(7) });
}

#[test]
fn a_given_up_call_blocks_nothing_and_can_still_be_confirmed() {
    let given_up = CallOutcome::Unknown {
        reason: "not_found".into(),
        given_up: true,
    };
    let account = account(&three())
        .then_asked(&ask(0, to_quantity(5)))
        .then_asked(&settle(0, given_up));
    let status = |state: &AccountState| state.intents.find(intent(0)).unwrap().status();
    assert_eq!(status(&account.state), IntentStatus::Unknown);
    assert_eq!(account.state.intents.open().count(), 0);
    let seen = account.then_asked(&observe(&updated(ASKED + 9, plan_of("price_pro", 5)).0[0]));
    assert_eq!(status(&seen.state), IntentStatus::Confirmed);
}

#[test]
fn a_twin_can_bring_the_echo_that_was_missing() {
    let seen = updated(ASKED, plan_of("price_pro", 7));
    let account = account(&three()).then_asked(&ask(0, to_quantity(5)));
    let account = account.then_asked(&observe(&seen.0[0]));
    let twin = echoing(updated(ASKED, plan_of("price_pro", 7)), 0);
    account.asked(&observe(&twin.0[0])).then_names(&["intent_observed"]);
}

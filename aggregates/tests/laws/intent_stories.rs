//! Stories of one intent: what an account was, what was asked of it, what happened then, and how the intent ends.

use aggregates::facts::{CollectionPause, ScheduleSnapshot, SubscriptionSnapshot};
use aggregates::snapshot::Rank;
use aggregates::subscription::asked::{PauseMode, RefundReason, When};
use aggregates::subscription::intent::IntentStatus;
use aggregates::subscription::request::{RefundWish, Wish};
use aggregates::subscription::settled::CallOutcome;

use super::build::*;
use super::intents::{Step, echoing, told, unknown};
use super::market::*;

/// One story: an account, what is asked of it, what happens then, and how intent 0 ends.
pub(super) struct Case {
    pub(super) name: &'static str,
    pub(super) before: Story,
    pub(super) wishes: Vec<Wish>,
    pub(super) steps: Vec<Step>,
    pub(super) ends: IntentStatus,
}

pub(super) fn updated(second: i64, snapshot: SubscriptionSnapshot) -> Story {
    Story::default().sub("sub_1", second, Rank::Updated, snapshot)
}

pub(super) fn three() -> Story {
    Story::default().sub("sub_1", 0, Rank::Created, plan_of("price_pro", 3))
}

fn ending(snapshot: SubscriptionSnapshot) -> SubscriptionSnapshot {
    with(snapshot, |it| it.cancel_at_period_end = true)
}

fn planned(price: &str, quantity: u64) -> ScheduleSnapshot {
    let phases = [(0, "price_pro"), (30 * DAY, price)];
    with(schedule("active", &phases), |it| {
        it.phases[1].items[0].1 = Some(quantity)
    })
}

fn answered(outcome: CallOutcome) -> Step {
    Step::Answered(settle(0, outcome))
}

fn both<const N: usize>(lists: [Vec<Step>; N]) -> Vec<Step> {
    lists.into_iter().flatten().collect()
}

/// All stories.
pub(super) fn cases() -> Vec<Case> {
    [
        one_change(),
        foreign_changes(),
        merged(),
        refunds(),
        payments(),
        ends_and_plans(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// Ours, and what the world loses of it.
fn one_change() -> Vec<Case> {
    let ours = |second| echoing(updated(second, plan_of("price_pro", 5)), 0);
    let silent = |second| updated(second, plan_of("price_pro", 5));
    vec![
        Case {
            name: "webhook around the answer",
            before: three(),
            wishes: vec![to_quantity(5)],
            steps: both([told(ours(ASKED)), vec![answered(applied("sub_1"))]]),
            ends: IntentStatus::Confirmed,
        },
        Case {
            name: "the echo is lost, the effect is seen",
            before: three(),
            wishes: vec![to_quantity(5)],
            steps: both([told(silent(ASKED + 1)), vec![answered(applied("sub_1"))]]),
            ends: IntentStatus::Confirmed,
        },
        Case {
            name: "the answer is lost, the effect is seen",
            before: three(),
            wishes: vec![to_quantity(5)],
            steps: both([told(silent(ASKED + 1)), vec![answered(unknown())]]),
            ends: IntentStatus::Confirmed,
        },
        Case {
            name: "what was before does not confirm",
            before: three(),
            wishes: vec![to_quantity(5)],
            steps: both([
                told(updated(ASKED - 1, plan_of("price_pro", 5))),
                vec![answered(unknown())],
            ]),
            ends: IntentStatus::Unknown,
        },
    ]
}

/// Ours, and what others do at the same time.
fn foreign_changes() -> Vec<Case> {
    let ours = |second| echoing(updated(second, plan_of("price_pro", 5)), 0);
    let silent = |second| updated(second, plan_of("price_pro", 5));
    let theirs = |second| updated(second, ending(plan_of("price_pro", 5)));
    vec![
        Case {
            name: "a portal cancel in the same second",
            before: three(),
            wishes: vec![to_quantity(5)],
            steps: both([
                told(ours(ASKED)),
                told(theirs(ASKED).after(&plan_of("price_pro", 5))),
                vec![answered(applied("sub_1"))],
            ]),
            ends: IntentStatus::Confirmed,
        },
        Case {
            name: "refused, and somebody else did it",
            before: three(),
            wishes: vec![to_quantity(5)],
            steps: both([told(silent(ASKED + 1)), vec![answered(refused())]]),
            ends: IntentStatus::Rejected,
        },
        Case {
            name: "somebody else did something else",
            before: three(),
            wishes: vec![to_quantity(5)],
            steps: both([
                told(updated(ASKED, plan_of("price_pro", 7))),
                vec![answered(applied("sub_1"))],
            ]),
            ends: IntentStatus::Applied,
        },
    ]
}

/// Two of ours.
fn merged() -> Vec<Case> {
    vec![Case {
        name: "merged",
        before: three(),
        wishes: vec![to_quantity(5), to_quantity(6)],
        steps: both([
            told(echoing(updated(ASKED + 1, plan_of("price_pro", 6)), 1)),
            vec![answered(applied("sub_1")), Step::Answered(settle(1, applied("sub_1")))],
        ]),
        ends: IntentStatus::Confirmed,
    }]
}

/// Money given back, which can happen twice.
fn refunds() -> Vec<Case> {
    let give_back = Wish::Refund(RefundWish {
        charge: "ch_1".parse().unwrap(),
        amount_minor: Some(900),
        reason: Some(RefundReason::RequestedByCustomer),
        alone_max_minor: None,
        is_approved: false,
    });
    let charged = || Story::default().charge("ch_1", 0, charge("succeeded", 2_900));
    vec![
        Case {
            name: "two refunds of one amount in one second, one of them ours",
            before: charged(),
            wishes: vec![give_back.clone()],
            steps: both([
                told(Story::default().refund("re_theirs", ASKED, refund("succeeded", 900))),
                told(Story::default().refund("re_ours", ASKED, refund("succeeded", 900))),
                vec![answered(applied("re_ours"))],
            ]),
            ends: IntentStatus::Confirmed,
        },
        Case {
            name: "only somebody else's refund is seen",
            before: charged(),
            wishes: vec![give_back],
            steps: both([
                told(Story::default().refund("re_theirs", ASKED, refund("succeeded", 900))),
                vec![answered(unknown())],
            ]),
            ends: IntentStatus::Unknown,
        },
    ]
}

/// Money collected, which can fail.
fn payments() -> Vec<Case> {
    let failed = || with(invoice("open", 2_900), |it| it.attempt_count = 1);
    let open = || Story::default().invoice("in_1", 0, Rank::Created, invoice("open", 2_900));
    let pay = || Wish::PayInvoice {
        invoice: "in_1".parse().unwrap(),
    };
    vec![
        Case {
            name: "a payment that fails echoes too",
            before: open(),
            wishes: vec![pay()],
            steps: both([
                told(echoing(
                    Story::default().invoice("in_1", ASKED, Rank::Updated, failed()),
                    0,
                )),
                vec![answered(refused())],
            ]),
            ends: IntentStatus::Rejected,
        },
        Case {
            name: "a payment that arrives",
            before: open(),
            wishes: vec![pay()],
            steps: both([
                told(echoing(
                    Story::default().invoice("in_1", ASKED, Rank::Updated, invoice("paid", 2_900)),
                    0,
                )),
                vec![answered(applied("in_1"))],
            ]),
            ends: IntentStatus::Confirmed,
        },
    ]
}

/// Everything else.
fn ends_and_plans() -> Vec<Case> {
    let team_later = || {
        let mut change = plan_change("team");
        change.when = Some(When::PeriodEnd);
        Wish::ChangePlan(change)
    };
    vec![
        Case {
            name: "a plan for the next period is seen at its schedule",
            before: three(),
            wishes: vec![team_later()],
            steps: both([
                told(Story::default().schedule(ASKED, planned("price_team", 3))),
                told(updated(
                    ASKED,
                    with(plan_of("price_pro", 3), |it| {
                        it.schedule = Some("sub_sched_1".parse().unwrap())
                    }),
                )),
                vec![answered(applied("sub_sched_1"))],
            ]),
            ends: IntentStatus::Confirmed,
        },
        Case {
            name: "canceled by both",
            before: three(),
            wishes: vec![cancel(When::Now)],
            steps: both([
                told(Story::default().sub("sub_1", ASKED, Rank::Deleted, sub("canceled"))),
                vec![answered(CallOutcome::Unneeded)],
            ]),
            ends: IntentStatus::Confirmed,
        },
        Case {
            name: "collection paused",
            before: three(),
            wishes: vec![Wish::Pause {
                mode: PauseMode::Collection,
                until: None,
            }],
            steps: both([
                told(updated(ASKED + 3, plan_of("price_pro", 3))),
                told(echoing(
                    updated(
                        ASKED,
                        with(plan_of("price_pro", 3), |it| {
                            it.collection_pause = Some(CollectionPause {
                                behavior: "keep_as_draft".into(),
                                resumes_at: None,
                            });
                        }),
                    ),
                    0,
                )),
                vec![answered(applied("sub_1"))],
            ]),
            ends: IntentStatus::Confirmed,
        },
    ]
}

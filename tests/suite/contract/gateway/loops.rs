//! Attempt after attempt: nothing is done twice and nothing is called a failure that may have happened.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aggregates::ids::SubscriptionId;
use aggregates::time::Timestamp;
use serde_json::json;
use subledger::clock::Clock;
use subledger::stripe::gateway::call::{CancelReason, ItemChange, ItemsChange, Payment, Proration, RefundReason};
use subledger::stripe::gateway::quantities::{APART_SECONDS, HOURLY_MAX, free_at};
use subledger::stripe::gateway::retry::{Dice, Performed, Progress, Sender};
use subledger::stripe::gateway::{Call, CallKey, Gateway, IntentId, OnAccount};
use uuid::Uuid;

use super::{OWN, Stage, intent, stages};
use crate::stripe_api::Fault;
use crate::support::dice::{Dice as Seeded, seed};

/// A clock that only sleeping moves.
#[derive(Clone)]
struct Hands(Arc<AtomicI64>);

impl Hands {
    fn new() -> Self {
        let now = Timestamp::from_chrono(chrono::Utc::now());
        Self(Arc::new(AtomicI64::new(now.micros())))
    }

    fn now(&self) -> Timestamp {
        Timestamp::from_micros(self.0.load(Ordering::SeqCst)).unwrap()
    }

    fn forward(&self, wait: Duration) {
        self.0
            .fetch_add(i64::try_from(wait.as_micros()).unwrap(), Ordering::SeqCst);
    }

    fn sender(&self, gateway: &Gateway, roll: impl Fn(u64) -> u64 + Send + Sync + 'static) -> Sender {
        let (clock, hands) = (self.clone(), self.clone());
        let clock = Clock::from_fn(move || clock.now());
        let sleep = Arc::new(move |wait| -> futures::future::BoxFuture<'static, ()> {
            hands.forward(wait);
            Box::pin(std::future::ready(()))
        });
        Sender::new(Arc::clone(gateway), clock, Dice::from_fn(roll), sleep)
    }
}

const DAY: i64 = 86_400;

/// The longest waits there are.
fn longest(below: u64) -> u64 {
    below.saturating_sub(1)
}

fn customer() -> Call {
    Call::CreateCustomer {
        tenant: None,
        name: Some("Acme".to_owned()),
        email: None,
    }
}

async fn run(stage: &Stage, hands: &Hands, intent: CallKey, call: &Call) -> (Performed, Progress, Duration) {
    let sender = hands.sender(&stage.gateway, longest);
    let mut progress = sender.begin(intent, call);
    let start = hands.now();
    let until = start.plus_seconds(3 * DAY);
    let performed = sender.perform(&OWN, intent, call, &mut progress, until).await;
    let took = u64::try_from(hands.now().micros() - start.micros()).unwrap();
    (performed, progress, Duration::from_micros(took))
}

#[tokio::test]
async fn waits_grow_with_jitter_and_retry_after_wins() {
    for stage in stages().await {
        for _ in 0..9 {
            stage.fail(Fault::TooMany(None));
        }
        let hands = Hands::new();
        let (performed, progress, took) = run(&stage, &hands, intent(), &customer()).await;
        assert!(
            matches!(performed, Performed::Applied(_)),
            "{}: {performed:?}",
            stage.name
        );
        // 0.5 + 1 + 2 + 4 + 8 + 16 + 32 + 60 + 60, the longest of each.
        assert_eq!((progress.attempts, took.as_millis()), (10, 183_500), "{}", stage.name);
        if stage.sees_headers {
            stage.fail(Fault::TooMany(Some(90)));
            let (_, _, took) = run(&stage, &hands, intent(), &customer()).await;
            assert_eq!(took.as_secs(), 90, "{}", stage.name);
        }
        for _ in 0..3 {
            stage.fail(Fault::Failure);
        }
        let shortest = hands.sender(&stage.gateway, |_| 0);
        let (intent, call) = (intent(), customer());
        let mut progress = shortest.begin(intent, &call);
        let start = hands.now();
        let performed = shortest.perform(&OWN, intent, &call, &mut progress, start).await;
        assert!(
            matches!(performed, Performed::Applied(_)),
            "{}: {performed:?}",
            stage.name
        );
        assert_eq!(hands.now(), start, "{}: full jitter begins at nothing", stage.name);
    }
}

#[tokio::test]
async fn the_same_key_with_another_request_is_not_sent() {
    for stage in stages().await {
        let hands = Hands::new();
        let sender = hands.sender(&stage.gateway, longest);
        let one = intent();
        let mut progress = sender.begin(one, &customer());
        let other = Call::CreateCustomer {
            tenant: None,
            name: Some("Other".to_owned()),
            email: None,
        };
        let performed = sender.perform(&OWN, one, &other, &mut progress, hands.now()).await;
        let Performed::Rejected(refusal) = performed else {
            panic!("{}: {performed:?}", stage.name)
        };
        assert_eq!(
            (refusal.status, refusal.code.as_deref()),
            (0, Some("key_reused")),
            "{}",
            stage.name
        );
        assert!(stage.effects().is_empty(), "{}", stage.name);
    }
}

#[tokio::test]
async fn a_failure_that_stripe_stored_is_not_asked_for_again_and_again() {
    for stage in stages().await.into_iter().filter(|stage| stage.sees_headers) {
        stage.fail(Fault::StoredFailure);
        let hands = Hands::new();
        let (performed, progress, _) = run(&stage, &hands, intent(), &customer()).await;
        let Performed::Unknown(words) = performed else {
            panic!("{}: {performed:?}", stage.name)
        };
        assert!(words.contains("no trace"), "{words}");
        assert_eq!(progress.replayed_failures, 2, "{}", stage.name);
        assert!(stage.effects().is_empty(), "{}", stage.name);
    }
}

#[tokio::test]
async fn a_key_stripe_may_have_forgotten_is_never_sent_again() {
    for stage in stages().await {
        // Done at once; no answer for more than a day.
        let (one, call) = (intent(), customer());
        stage.fail(Fault::LostReply);
        let hands = Hands::new();
        let sender = hands.sender(&stage.gateway, longest);
        let mut progress = sender.begin(one, &call);
        let performed = sender.perform(&OWN, one, &call, &mut progress, Timestamp::MIN).await;
        assert!(
            matches!(performed, Performed::Later(_)),
            "{}: {performed:?}",
            stage.name
        );
        // The process was down meanwhile: the progress comes from the store.
        let stored = serde_json::to_string(&progress).unwrap();
        let mut progress: Progress = serde_json::from_str(&stored).unwrap();
        hands.forward(Duration::from_hours(25));
        let performed = sender
            .perform(&OWN, one, &call, &mut progress, hands.now().plus_seconds(60))
            .await;
        assert!(
            matches!(performed, Performed::Found(_)),
            "{}: {performed:?}",
            stage.name
        );
        assert_eq!(
            (progress.attempts, stage.effects()[&one.to_string()]),
            (1, 1),
            "{}",
            stage.name
        );
    }
}

#[tokio::test]
async fn a_cancellation_knows_no_key_and_is_looked_at_before_it_is_sent_again() {
    for stage in stages().await {
        for (id, fault) in [("sub_done", Fault::LostReply), ("sub_open", Fault::Cut)] {
            stage.put(
                "subscriptions",
                json!({"id": id, "object": "subscription", "status": "active"}),
            );
            stage.fail(fault);
            let call = Call::CancelNow {
                subscription: id.parse().unwrap(),
                invoice_now: false,
                prorate: false,
                because: CancelReason::default(),
            };
            let one = intent();
            let (performed, progress, _) = run(&stage, &Hands::new(), one, &call).await;
            let sent = if id == "sub_done" {
                assert!(
                    matches!(performed, Performed::Found(_)),
                    "{} {id}: {performed:?}",
                    stage.name
                );
                1
            } else {
                assert!(
                    matches!(performed, Performed::Applied(_)),
                    "{} {id}: {performed:?}",
                    stage.name
                );
                2
            };
            assert_eq!(
                (progress.attempts, stage.effects()[&one.to_string()]),
                (sent, 1),
                "{} {id}",
                stage.name
            );
        }
    }
}

/// Calls of all families, each with its own object.
fn calls(stage: &Stage, dice: &mut Seeded, count: usize) -> Vec<(CallKey, Call)> {
    let mut calls = Vec::new();
    for nth in 0..count {
        let subscription: SubscriptionId = format!("sub_{nth}").parse().unwrap();
        let object =
            json!({"id": subscription.as_str(), "object": "subscription", "status": "active", "customer": "cus_1"});
        stage.put("subscriptions", object);
        stage.put(
            "invoices",
            json!({"id": format!("in_{nth}"), "object": "invoice", "status": "open"}),
        );
        let call = match dice.index(7) {
            0 => customer(),
            1 => Call::ChangeItems(ItemsChange {
                subscription,
                items: vec![ItemChange::Set {
                    item: "si_1".parse().unwrap(),
                    price: None,
                    quantity: Some(nth as u64),
                }],
                proration: Proration::CreateProrations,
                prorate_at: None,
                keeps_subscription: false,
            }),
            2 => Call::CancelNow {
                subscription,
                invoice_now: true,
                prorate: true,
                because: CancelReason::default(),
            },
            3 => Call::Refund {
                payment: Payment::Intent(format!("pi_{nth}").parse().unwrap()),
                amount: None,
                because: Some(RefundReason::RequestedByCustomer),
            },
            4 => Call::PayInvoice {
                invoice: format!("in_{nth}").parse().unwrap(),
                payment_method: None,
            },
            5 => Call::ResumeCollection { subscription },
            _ => Call::WithdrawCancellation { subscription },
        };
        calls.push((IntentId::new(Uuid::now_v7()).into(), call));
    }
    calls
}

#[tokio::test]
async fn through_lost_replies_failures_and_refusals_every_intent_has_one_effect() {
    for stage in stages().await {
        let seed = seed(20_261_125);
        eprintln!("{}: seed {seed}", stage.name);
        let mut dice = Seeded(seed);
        let hands = Hands::new();
        let rolls = Mutex::new(Seeded(seed ^ 1));
        let sender = hands.sender(&stage.gateway, move |below| rolls.lock().unwrap().below(below));
        let mut ends: BTreeMap<&str, usize> = BTreeMap::new();
        // Over HTTP the rate of Stripe's own limit is kept, which takes its time.
        let count = if stage.name == "fake" { 500 } else { 120 };
        for (one, call) in calls(&stage, &mut dice, count) {
            // What the next requests meet: replies lost 30 %, 500 at 10 %, 429 at 10 %.
            while dice.below(100) < 50 {
                let fault = match dice.below(5) {
                    0 => Fault::Failure,
                    1 => Fault::TooMany(Some(3)),
                    2 => Fault::Cut,
                    _ => Fault::LostReply,
                };
                stage.fail(fault);
            }
            let mut progress = sender.begin(one, &call);
            let until = hands.now().plus_seconds(DAY / 2);
            let end = match sender.perform(&OWN, one, &call, &mut progress, until).await {
                Performed::Applied(_) => "applied",
                Performed::Found(_) => "found",
                other => panic!("{} {call:?}: {other:?}", stage.name),
            };
            *ends.entry(end).or_default() += 1;
            assert_eq!(
                stage.effects().get(&one.to_string()),
                Some(&1),
                "{} {call:?} {progress:?}",
                stage.name
            );
        }
        assert_eq!((stage.effects().len(), stage.keyless()), (count, 0), "{}", stage.name);
        assert!(
            ends["found"] > 0 && ends["applied"] > count / 2,
            "{}: {ends:?}",
            stage.name
        );
    }
}

// ---- quantities ------------------------------------------------------------------------------------

#[test]
fn changes_of_quantity_stand_apart() {
    let start = Timestamp::from_seconds(1_800_000_000).unwrap();
    assert_eq!(free_at(&[]), Timestamp::MIN);
    assert_eq!(free_at(&[start]), start.plus_seconds(APART_SECONDS));
    // In whatever order they are told.
    let later = start.plus_seconds(30);
    assert_eq!(free_at(&[later, start]), later.plus_seconds(APART_SECONDS));
}

#[test]
fn no_hour_has_more_changes_than_stripe_takes() {
    let start = Timestamp::from_seconds(1_800_000_000).unwrap();
    // Somebody sent as many as fit into an hour, one a second.
    let mut sent: Vec<Timestamp> = (0..i64::try_from(HOURLY_MAX).unwrap())
        .map(|second| start.plus_seconds(second))
        .collect();
    assert_eq!(free_at(&sent), start.plus_seconds(3_600));
    sent.remove(0);
    assert_eq!(free_at(&sent), sent.last().unwrap().plus_seconds(APART_SECONDS));
}

#[test]
fn an_account_is_told_by_its_source() {
    assert_eq!(OnAccount::of_source("acct_1"), OnAccount::connected("acct_1"));
    assert_eq!(OnAccount::of_source("default"), OWN);
}

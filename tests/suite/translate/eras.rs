//! One story in six eras' shapes: the same observations.

use aggregates::facts::LineKind;
use aggregates::observation::Observed;
use aggregates::snapshot::{Fingerprint, Snapshot};
use subledger::demo::story::{Era, Price, Story, StoryEvent};
use subledger::stripe::translate::{AccountFact, Outcome, Translation};

use super::translate;

const STARTER: Price = Price {
    id: "price_starter",
    product: "prod_starter",
    unit_minor: 2_900,
    interval: "month",
};
const TEAM: Price = Price {
    id: "price_team",
    product: "prod_team",
    unit_minor: 9_900,
    interval: "month",
};

fn story() -> Story {
    let mut story = Story::new("eras", Some("acme"), 1_790_000_000);
    story
        .add_card()
        .subscribe(STARTER, 3, 14)
        .end_trial()
        .days(10)
        .change_plan(TEAM);
    story
        .days(3)
        .set_quantity(8)
        .renew()
        .renew_unpaid()
        .days(2)
        .recover()
        .days(1);
    story
        .change(|it| it.coupon = Some("HALF".to_owned()))
        .refund(500)
        .dispute()
        .days(5)
        .close_dispute(false);
    story
        .change(|it| it.pause_collection = Some("void"))
        .cancel_at_period_end()
        .keep()
        .seconds(1)
        .cancel();
    story.days(1).delete_customer();
    story
}

/// Two facts are in the shapes before basil only; `None` there means unknown, and never overwrites: the invoice of a
/// charge, and the subscription item of a proration (its `invoice_item_details` name the subscription alone).
fn without_what_only_old_versions_say(mut fact: AccountFact) -> AccountFact {
    match &mut fact.observation.object {
        Observed::Charge { snapshot, .. } => {
            snapshot.invoice = None;
            fact.owner.targets.retain(|target| target.kind() != "invoice");
            fact.observation.seen.before = None;
        }
        Observed::Invoice { snapshot, .. } => {
            for line in snapshot
                .lines
                .iter_mut()
                .flatten()
                .filter(|line| line.kind == LineKind::Proration)
            {
                line.item = None;
            }
            fact.observation.seen.before = None;
        }
        _ => {}
    }
    fact
}

fn told(era: Era) -> Vec<(String, Translation)> {
    let read = |event: &StoryEvent| (format!("{} {}", event.kind, event.id), translate(&event.to_json(era)));
    story().events().iter().map(read).collect()
}

#[test]
fn a_story_means_the_same_in_every_era() {
    let newest = told(Era::Endive);
    assert!(newest.len() > 40, "the story has {} events", newest.len());
    for era in Era::ALL {
        for ((name, ours), (_, newest)) in told(era).into_iter().zip(&newest) {
            let (Outcome::Facts(ours), Outcome::Facts(newest)) = (&ours.outcome, &newest.outcome) else {
                panic!("{era:?} {name}: {:?}", ours.outcome);
            };
            let plain = |facts: &[AccountFact]| -> Vec<AccountFact> {
                facts.iter().cloned().map(without_what_only_old_versions_say).collect()
            };
            assert_eq!(plain(&ours.accounts), plain(&newest.accounts), "{era:?} {name}");
            assert_eq!(ours.fetches, newest.fetches, "{era:?} {name}");
            assert_eq!(ours.objects, newest.objects, "{era:?} {name}");
        }
    }
}

#[test]
fn no_era_disagrees_with_itself() {
    for era in Era::ALL {
        for (name, translation) in told(era) {
            assert_eq!(translation.conflicts, Vec::<String>::new(), "{era:?} {name}");
        }
    }
}

#[test]
fn the_past_of_a_change_is_what_would_have_been_read_then() {
    for era in Era::ALL {
        let mut changes = 0;
        for event in story().events() {
            let Some(before) = &event.before else { continue };
            let mut then = event.clone();
            (then.object, then.before) = (before.clone(), None);
            let read = |event: &StoryEvent| super::facts(&event.to_json(era)).accounts.remove(0).observation;
            let (now, then) = (read(event), read(&then));
            let expected = (print(&now.object) != print(&then.object)).then(|| print(&then.object));
            assert_eq!(now.seen.before, expected, "{era:?} {} {}", event.kind, event.id);
            changes += usize::from(expected.is_some());
        }
        assert!(changes >= 8, "{era:?}: {changes} changes name their past");
    }
}

fn print(object: &Observed) -> Fingerprint {
    match object {
        Observed::Subscription { snapshot, .. } => snapshot.fingerprint(),
        Observed::Customer { snapshot, .. } => snapshot.fingerprint(),
        Observed::Invoice { snapshot, .. } => snapshot.fingerprint(),
        Observed::Charge { snapshot, .. } => snapshot.fingerprint(),
        Observed::Dispute { snapshot, .. } => snapshot.fingerprint(),
        Observed::Refund { snapshot, .. } => snapshot.fingerprint(),
        other => panic!("a story changes no {other:?}"),
    }
}

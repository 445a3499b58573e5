//! The table of status and access, cell by cell.

use aggregates::ids::DisputeId;
use aggregates::plan::Access::{self, Blocked, Full, Grace, Restricted};
use aggregates::snapshot::Rank;
use aggregates::subscription::standing::{AccessPolicy, DisputeStanding, Standing};
use aggregates::subscription::{LifeBook, MoneyBook, SubscriptionEvent};

use super::build::{DAY, Story, at, card, customer, dispute, month, schedule, sub, with};
use super::convergence::deliver;

fn life(story: &Story) -> LifeBook {
    deliver(&story.0).state.life
}

fn of(status: &str, policy: &AccessPolicy) -> Standing {
    let story = Story::default().sub("sub_1", 0, Rank::Created, sub(status));
    Standing::of(&life(&story), DisputeStanding::default(), policy)
}

#[test]
fn each_status_gives_the_access_of_the_table() {
    let policy = |has_free_plan, has_grace| AccessPolicy {
        has_free_plan,
        has_grace,
        ..AccessPolicy::default()
    };
    // Status; access with grace, without grace, with a free plan; whether the plan is held with grace.
    let table: [(&str, Access, Access, Access, bool); 9] = [
        ("trialing", Full, Full, Full, true),
        ("active", Full, Full, Full, true),
        ("past_due", Grace, Restricted, Grace, true),
        ("hibernating", Grace, Restricted, Grace, true),
        ("paused", Restricted, Restricted, Restricted, false),
        ("unpaid", Blocked, Blocked, Full, false),
        ("incomplete", Blocked, Blocked, Full, false),
        ("incomplete_expired", Blocked, Blocked, Full, false),
        ("canceled", Blocked, Blocked, Full, false),
    ];
    for (status, with_grace, without_grace, with_free, holds) in table {
        let usual = of(status, &policy(false, true));
        assert_eq!(usual.access, with_grace, "{status}");
        assert_eq!(!usual.holdings.is_empty(), holds, "{status}");
        assert!(!usual.on_free_plan, "{status}");
        assert_eq!(of(status, &policy(false, false)).access, without_grace, "{status}");
        let free = of(status, &policy(true, true));
        assert_eq!(free.access, with_free, "{status}");
        assert_eq!(free.on_free_plan, with_grace == Blocked, "{status}");
        assert_eq!(usual.is_active, matches!(status, "trialing" | "active"), "{status}");
        let (word, raw) = match status {
            "hibernating" => ("unrecognised", Some("hibernating")),
            known => (known, None),
        };
        assert_eq!((&*usual.status, usual.status_raw.as_deref()), (word, raw));
    }
    let nothing = Standing::of(&LifeBook::default(), DisputeStanding::default(), &policy(false, true));
    assert_eq!((&*nothing.status, nothing.access), ("none", Blocked));
    let free = Standing::of(&LifeBook::default(), DisputeStanding::default(), &policy(true, true));
    assert_eq!((&*free.status, free.access, free.on_free_plan), ("none", Full, true));
}

#[test]
fn disputes_take_as_much_as_the_policy_says_and_inquiries_nothing() {
    let policy = AccessPolicy {
        dispute_open: Restricted,
        dispute_lost: Blocked,
        ..AccessPolicy::default()
    };
    let cases = [
        ("warning_needs_response", Full),
        ("warning_closed", Full),
        ("needs_response", Restricted),
        ("under_review", Restricted),
        ("appeal_under_review", Restricted),
        ("lost", Blocked),
        ("won", Full),
        ("prevented", Full),
    ];
    let active = life(&Story::default().sub("sub_1", 0, Rank::Created, sub("active")));
    for (status, access) in cases {
        let story = Story::default().dispute(10, dispute(status));
        let money: MoneyBook = deliver(&story.0).state.money;
        assert!(money.disputes.contains_key(&DisputeId::parse("dp_1").unwrap()));
        let standing = Standing::of(&active, DisputeStanding::of(&money.disputes), &policy);
        assert_eq!(standing.access, access, "{status}");
        assert_eq!(standing.holdings.is_empty(), access != Full, "{status}");
    }
}

#[test]
fn a_running_subscription_is_preferred_to_a_newer_one_that_is_over() {
    let later = |status| with(sub(status), |it| it.started_at = Some(at(DAY)));
    for (status, primary) in [("canceled", "sub_1"), ("incomplete", "sub_1"), ("active", "sub_2")] {
        let story = Story::default().sub("sub_1", 0, Rank::Created, sub("active")).sub(
            "sub_2",
            DAY,
            Rank::Created,
            later(status),
        );
        let standing = Standing::of(&life(&story), DisputeStanding::default(), &AccessPolicy::default());
        assert_eq!(standing.subscription.unwrap().as_str(), primary, "{status}");
    }
}

#[test]
fn planned_ends_and_changes_are_told_with_their_dates() {
    let ending = with(sub("active"), |it| it.cancel_at_period_end = true);
    let story = Story::default().sub("sub_1", 0, Rank::Created, ending);
    let free = AccessPolicy {
        has_free_plan: true,
        ..AccessPolicy::default()
    };
    let standing = Standing::of(&life(&story), DisputeStanding::default(), &free);
    let end = Some(month(0).end);
    assert_eq!(standing.cancel.unwrap().at, end);
    assert_eq!(standing.next_billing_at, None);
    let pending = standing.pending_change.unwrap();
    assert_eq!((pending.to_free, pending.at), (true, end));

    let planned = [(0, "price_pro"), (30 * DAY, "price_team")];
    let story = Story::default()
        .sub("sub_1", 0, Rank::Created, sub("active"))
        .schedule(10, schedule("active", &planned));
    let standing = Standing::of(&life(&story), DisputeStanding::default(), &free);
    assert_eq!(standing.next_billing_at, end);
    let pending = standing.pending_change.unwrap();
    assert_eq!((pending.to_free, pending.at), (false, Some(at(30 * DAY))));
    assert_eq!(pending.items[0].0.as_str(), "price_team");

    // Once the phase began, nothing is pending.
    let begun = story.sub("sub_1", 30 * DAY, Rank::Updated, sub("active"));
    let standing = Standing::of(&life(&begun), DisputeStanding::default(), &free);
    assert_eq!(standing.pending_change, None);
}

#[test]
fn the_subscriptions_own_card_comes_before_its_customers() {
    let default = with(customer(), |it| {
        it.default_payment_method = Some("pm_1".parse().unwrap())
    });
    let story = Story::default()
        .customer(0, default, &[])
        .method("pm_1", 1, card("4242"))
        .method("pm_2", 1, card("1881"))
        .sub("sub_1", 2, Rank::Created, sub("active"));
    let shown = |story: &Story| {
        let standing = Standing::of(&life(story), DisputeStanding::default(), &AccessPolicy::default());
        standing.payment_method.and_then(|it| it.last4)
    };
    assert_eq!(shown(&story).as_deref(), Some("4242"));
    let own = with(sub("active"), |it| it.payment_method = Some("pm_2".parse().unwrap()));
    let story = story.sub("sub_1", 3, Rank::Updated, own);
    assert_eq!(shown(&story).as_deref(), Some("1881"));
    let detached = story.method("pm_2", 4, with(card("1881"), |it| it.attached = false));
    assert_eq!(shown(&detached), None);
}

#[test]
fn labels_alone_change_no_part() {
    let story =
        Story::default()
            .sub("sub_1", 0, Rank::Created, sub("active"))
            .sub("sub_2", 0, Rank::Created, sub("active"));
    let outcome = deliver(&story.0);
    let concurrent = |event: &&SubscriptionEvent| event.name() == "concurrent_subscriptions_found";
    let found: Vec<_> = outcome.events.iter().filter(concurrent).collect();
    assert_eq!(found.len(), 1);
    assert!(!LifeBook::default().apply(found[0]));
}

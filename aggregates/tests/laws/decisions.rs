//! The names decisions give, refusals, and what Stripe is asked for.

use aggregates::facts::{CollectionPause, Period};
use aggregates::ids::{CustomerId, TenantId};
use aggregates::observation::Observation;
use aggregates::snapshot::{Notice, Rank};
use aggregates::subscription::decide::conflict;
use aggregates::subscription::{Decision, Refresh, Rejection, SubscriptionCommand, SubscriptionEvent};
use aggregates::testing::given;

use super::build::*;
use super::convergence::deliver;
use super::histories::all;

fn observe(observation: &Observation) -> SubscriptionCommand {
    SubscriptionCommand::Observe(Box::new(observation.clone()))
}

/// Names of the events of a subscription that goes from one snapshot to another.
fn names(before: &aggregates::facts::SubscriptionSnapshot, after: aggregates::facts::SubscriptionSnapshot) -> String {
    let story = Story::default()
        .sub("sub_1", 0, Rank::Created, before.clone())
        .sub("sub_1", 10, Rank::Updated, after);
    let known = deliver(&story.0[..1]).events;
    let decided = given(&known).when(&observe(&story.0[1]));
    let names: Vec<&str> = decided.events().iter().map(SubscriptionEvent::name).collect();
    names.join(" ")
}

#[test]
fn a_change_is_named_for_what_changed() {
    let active = sub("active");
    let trial = |end: i64| {
        with(sub("trialing"), |it| {
            it.trial = Some(Period {
                start: at(0),
                end: at(end),
            });
        })
    };
    let ending = with(sub("active"), |it| it.cancel_at = Some(at(100)));
    let uncollected = with(sub("active"), |it| {
        it.collection_pause = Some(CollectionPause {
            behavior: "void".into(),
            resumes_at: None,
        });
    });
    let two = with(sub("active"), |it| {
        it.items.as_mut().unwrap().push(item("si_2", "price_team", 1))
    });
    let renewed = with(sub("active"), |it| it.period = Some(month(1)));
    let carded = with(sub("active"), |it| it.payment_method = Some("pm_9".parse().unwrap()));
    let table = [
        (active.clone(), plan_of("price_team", 1), "plan_changed"),
        (active.clone(), plan_of("price_pro", 2), "quantity_changed"),
        (
            active.clone(),
            plan_of("price_team", 2),
            "plan_changed quantity_changed",
        ),
        (active.clone(), two.clone(), "item_added"),
        (two, active.clone(), "item_removed"),
        (active.clone(), renewed, "period_advanced"),
        (active.clone(), carded, "subscription_revised"),
        (active.clone(), sub("past_due"), "payment_overdue"),
        (active.clone(), sub("unpaid"), "subscription_unpaid"),
        (sub("past_due"), active.clone(), "payment_recovered"),
        (sub("unpaid"), active.clone(), "payment_recovered"),
        (sub("incomplete"), active.clone(), "subscription_activated"),
        (sub("incomplete"), sub("incomplete_expired"), "subscription_ended"),
        (active.clone(), sub("canceled"), "subscription_ended"),
        (active.clone(), sub("paused"), "subscription_paused"),
        (sub("paused"), active.clone(), "subscription_resumed"),
        (active.clone(), sub("hibernating"), "status_unrecognised"),
        (active.clone(), ending.clone(), "cancellation_scheduled"),
        (ending, active.clone(), "cancellation_withdrawn"),
        (active.clone(), uncollected.clone(), "collection_paused"),
        (uncollected, active.clone(), "collection_resumed"),
        (trial(100), trial(200), "trial_extended"),
        (
            trial(100),
            with(trial(100), |it| it.status = sub("active").status),
            "trial_ended subscription_activated",
        ),
        (
            trial(100),
            with(trial(100), |it| it.status = sub("paused").status),
            "trial_ended subscription_paused",
        ),
        (active.clone(), active, "snapshot_confirmed"),
    ];
    for (before, after, wanted) in table {
        assert_eq!(names(&before, after), wanted);
    }
}

#[test]
fn a_new_stream_is_opened_linked_and_named_in_one_decision() {
    let story = Story::default()
        .sub("sub_1", 0, Rank::Created, sub("active"))
        .hinting("acme");
    given(&[])
        .when(&observe(&story.0[0]))
        .then_names(&["account_opened", "customer_linked", "subscription_started"]);
    let state = deliver(&story.0).state;
    assert_eq!(state.account.tenant.unwrap().as_str(), "acme");
    assert_eq!(state.account.customer.unwrap().as_str(), "cus_1");
    let ended = Story::default().sub("sub_1", 0, Rank::Deleted, sub("canceled"));
    given(&[]).when(&observe(&ended.0[0])).then_names(&[
        "account_opened",
        "customer_linked",
        "subscription_started",
        "subscription_ended",
    ]);
}

#[test]
fn a_hint_is_followed_once_and_a_disagreement_is_only_a_finding() {
    let story = Story::default()
        .sub("sub_1", 0, Rank::Created, sub("active"))
        .sub("sub_1", 1, Rank::Updated, sub("active"))
        .hinting("acme")
        .sub("sub_1", 2, Rank::Updated, sub("past_due"))
        .hinting("other");
    let told = |n: usize| deliver(&story.0[..n]);
    given(&told(1).events)
        .when(&observe(&story.0[1]))
        .then_names(&["tenant_assigned", "snapshot_confirmed"]);
    given(&told(2).events)
        .when(&observe(&story.0[2]))
        .then_names(&["payment_overdue"]);
    let tenant = |name: &str| TenantId::parse(name).unwrap();
    assert_eq!(
        conflict(&told(2).state, &story.0[2]),
        Some(Rejection::TenantMismatch {
            known: tenant("acme"),
            hinted: tenant("other"),
        })
    );
    assert_eq!(conflict(&told(1).state, &story.0[1]), None);
    // A twin can still bring the hint that was missing.
    let twin = Observation {
        tenant_hint: Some(tenant("acme")),
        ..story.0[0].clone()
    };
    given(&told(1).events)
        .when(&observe(&twin))
        .then_names(&["tenant_assigned"]);
    let again = given(&told(1).events).when(&observe(&story.0[0]));
    assert_eq!(again.outcome, Ok(Decision::Superseded));
}

#[test]
fn accounts_are_opened_assigned_and_linked_once() {
    let tenant = |name: &str| TenantId::parse(name).unwrap();
    let customer = |id: &str| CustomerId::parse(id).unwrap();
    let open = |name: Option<&str>| SubscriptionCommand::OpenAccount {
        tenant: name.map(tenant),
        currency: Some(usd()),
    };
    let link = |id: &str| SubscriptionCommand::LinkCustomer { customer: customer(id) };
    let assign = |name: &str| SubscriptionCommand::AssignTenant {
        tenant: tenant(name),
        reason: Some("told by phone".to_owned()),
    };
    let opened = given(&[]).when(&open(Some("acme")));
    opened.then_names(&["account_opened"]);
    let account = opened.and();
    assert_eq!(
        account.clone().when(&open(Some("acme"))).outcome,
        Ok(Decision::AlreadyApplied)
    );
    assert_eq!(account.clone().when(&open(None)).outcome, Ok(Decision::AlreadyApplied));
    account
        .clone()
        .when(&assign("other"))
        .then_rejected(&Rejection::TenantAlreadyLinked {
            tenant: tenant("other"),
            linked_to: "acme".to_owned(),
        });
    let linked = account.when(&link("cus_1"));
    linked.then_names(&["customer_linked"]);
    let linked = linked.and();
    assert_eq!(
        linked.clone().when(&link("cus_1")).outcome,
        Ok(Decision::AlreadyApplied)
    );
    linked
        .when(&link("cus_2"))
        .then_rejected(&Rejection::CustomerAlreadyLinked {
            has: customer("cus_1"),
            wanted: customer("cus_2"),
        });
    let unassigned = given(&[]).when(&link("cus_9"));
    unassigned.then_names(&["account_opened", "customer_linked"]);
    let assigned = unassigned.and().when(&assign("acme"));
    assigned.then_names(&["tenant_assigned"]);
    let outcome = assigned.and().when(&assign("acme")).outcome;
    assert_eq!(outcome, Ok(Decision::AlreadyApplied));
}

#[test]
fn stripe_is_asked_when_content_alone_decides_and_when_terms_are_missing() {
    let tied = Story::default()
        .sub("sub_1", 10, Rank::Updated, plan_of("price_pro", 7))
        .sub("sub_1", 10, Rank::Updated, plan_of("price_pro", 4));
    let asked = |story: &Story| {
        let known = deliver(&story.0[..story.0.len() - 1]).events;
        given(&known).when(&observe(story.0.last().unwrap())).refresh().to_vec()
    };
    let subscription = || ("subscription", "sub_1".to_owned());
    let (object, id) = subscription();
    assert_eq!(asked(&tied), [Refresh::Tied { object, id }]);
    let settled = Story(tied.0.clone()).sub("sub_1", 11, Rank::Fetched, plan_of("price_pro", 4));
    assert_eq!(asked(&settled), []);
    let chained = Story::default()
        .sub("sub_1", 10, Rank::Updated, plan_of("price_pro", 7))
        .sub("sub_1", 10, Rank::Updated, plan_of("price_pro", 4))
        .after(&plan_of("price_pro", 7));
    assert_eq!(asked(&chained), []);
    let bare = || with(sub("active"), |it| it.items = None);
    let (object, id) = subscription();
    let incomplete = Story::default().sub("sub_1", 0, Rank::Created, bare());
    assert_eq!(asked(&incomplete), [Refresh::Incomplete { object, id }]);
    let known = Story::default()
        .sub("sub_1", 0, Rank::Created, sub("active"))
        .sub("sub_1", 1, Rank::Updated, bare());
    assert_eq!(asked(&known), []);
    let lineless = with(invoice("open", 2_900), |it| it.lines = None);
    let story = Story::default().invoice("in_1", 0, Rank::Updated, lineless);
    let id = "in_1".to_owned();
    assert_eq!(asked(&story), [Refresh::Incomplete { object: "invoice", id }]);
}

#[test]
fn facts_are_named_once_even_when_they_arrive_late() {
    let failed = with(invoice("open", 2_900), |it| it.attempt_count = 1);
    let story = Story::default()
        .invoice("in_1", 20, Rank::Updated, invoice("paid", 2_900))
        .invoice("in_1", 10, Rank::Updated, failed.clone())
        .noticed(Notice::PaymentFailed)
        .invoice("in_1", 11, Rank::Updated, failed)
        .invoice("in_1", 5, Rank::Created, invoice("draft", 2_900));
    let names: Vec<&str> = deliver(&story.0).events.iter().map(SubscriptionEvent::name).collect();
    assert_eq!(
        names[2..],
        [
            "invoice_paid",
            "invoice_payment_failed",
            "invoice_finalized",
            "late_snapshot_recorded",
            "invoice_drafted"
        ]
    );
}

#[test]
fn every_history_as_told_has_these_names() {
    let mut page = String::new();
    for history in all() {
        let names: Vec<&str> = deliver(&history.told)
            .events
            .iter()
            .map(SubscriptionEvent::name)
            .collect();
        page.push_str(&format!("{}\n  {}\n", history.name, names.join("\n  ")));
    }
    super::schemas::committed("tests/laws/names.txt", &page);
}

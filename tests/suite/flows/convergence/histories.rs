//! Histories of one account each, as webhooks in the order in which they happened.
//!
//! Every id of a history holds [`MARK`], so that one history can be delivered many times into one ledger, each time as
//! another account: ids of equal length in place of the mark, nothing else.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use subledger::demo::cast::{ENTERPRISE, TEAM};
use subledger::demo::story::{Era, Story};

use crate::support::stripe;

/// What stands in every id for the account.
pub(super) const MARK: &str = "acct00000";
/// The tenant of a history.
const TENANT: &str = "tenant-acct00000";
/// The first instant, in seconds.
const START: i64 = 1_790_000_000;
const DAY: i64 = 86_400;

/// One webhook.
pub(super) struct Told {
    /// Its event id; it holds the mark too.
    pub(super) id: String,
    /// When it happened, in seconds.
    pub(super) created: i64,
    /// The bytes Stripe would send.
    pub(super) body: Vec<u8>,
}

/// Status, plan, quantity.
pub(super) type End = (&'static str, &'static str, u64);

/// A history.
pub(super) struct History {
    pub(super) name: &'static str,
    pub(super) told: Vec<Told>,
    /// How it ends: status, plan, quantity. Several, where nothing but content decides: each is some account's end.
    pub(super) ends: &'static [End],
    /// Nothing at Stripe names the tenant: a person gives the account to it, somewhere on the way.
    pub(super) assigned: bool,
}

impl History {
    fn of(name: &'static str, ends: &'static [End], events: Vec<Value>) -> Self {
        let ids: BTreeSet<String> = events.iter().map(|event| event["id"].to_string()).collect();
        assert_eq!(ids.len(), events.len(), "{name}: an event id is used twice");
        let told = events.into_iter().map(|event| {
            let id = event["id"].as_str().unwrap().to_owned();
            assert!(id.contains(MARK), "{id}");
            Told {
                id,
                created: instant(&event),
                body: serde_json::to_vec(&event).unwrap(),
            }
        });
        Self {
            name,
            told: told.collect(),
            ends,
            assigned: false,
        }
    }

    /// Every instant at which something happened, one before and one after all of them.
    pub(super) fn instants(&self) -> Vec<i64> {
        let mut instants: Vec<i64> = self.told.iter().map(|told| told.created).collect();
        instants.extend([START - 1, START + 400 * DAY]);
        instants.sort_unstable();
        instants.dedup();
        instants
    }
}

fn instant(event: &Value) -> i64 {
    event["created"].as_i64().unwrap_or_else(|| {
        let text = event["created"].as_str().unwrap();
        aggregates::time::Timestamp::parse(text).unwrap().seconds()
    })
}

/// Those delivered in seeded orders.
pub(super) fn long() -> Vec<History> {
    vec![
        trial_paid_in_six_eras(),
        seats_changed_in_one_second(),
        a_second_without_a_past(),
        an_end_in_the_middle(),
        tenant_learnt_late(),
        tenant_given_by_a_person(),
        dispute_won_on_appeal(),
        refunds_and_a_credit_note(),
        two_subscriptions_at_once(),
        failed_and_recovered_in_one_second(),
        thin_and_snapshot_twins(),
        pauses_discounts_and_second_thoughts(),
        invoices_that_end_otherwise(),
    ]
}

/// Those of six events, delivered in every order there is.
pub(super) fn short() -> Vec<History> {
    vec![
        ties_and_an_end(),
        parked_while_the_tenant_is_unknown(),
        twins_in_two_eras(),
    ]
}

/// A story whose customer's metadata names the tenant.
fn named() -> Story {
    Story::new(MARK, Some(TENANT), START)
}

/// A story in which nothing names it.
fn nameless() -> Story {
    Story::new(MARK, None, START)
}

/// The events of a story, in the shapes of these eras by turns, without those of the named types.
fn tell(story: &Story, eras: &[Era], without: &[&str]) -> Vec<Value> {
    let told = story.events().iter().filter(|event| !without.contains(&event.kind));
    told.zip(eras.iter().cycle())
        .map(|(event, era)| event.to_json(*era))
        .collect()
}

/// An event that no story tells.
fn event(nth: &str, kind: &str, created: i64, object: &Value) -> Value {
    stripe::event(&format!("evt_{MARK}_{nth}"), kind, created, object)
}

/// The same said once more, by another event.
fn again(event: &Value, nth: &str) -> Value {
    let mut twin = event.clone();
    twin["id"] = format!("evt_{MARK}_{nth}").into();
    twin
}

/// An event that does not say what its object was before.
fn without_past(event: &mut Value) {
    let told = event["data"].as_object_mut().unwrap();
    told.remove("previous_attributes");
}

/// The thin event of a snapshot event.
fn thin(of: &Value) -> Value {
    let (id, kind) = (of["id"].as_str().unwrap(), of["type"].as_str().unwrap());
    let object = of["data"]["object"]["id"].as_str().unwrap();
    let created = aggregates::time::Timestamp::from_seconds(instant(of)).unwrap();
    json!({
        "id": format!("{id}_thin"), "object": "v2.core.event", "type": format!("v1.{kind}"), "livemode": false,
        "created": created.to_string(), "snapshot_event": id, "related_object": {
            "id": object, "type": of["data"]["object"]["object"], "url": format!("/v1/objects/{object}") },
    })
}

/// Where in `events` the n-th of this type stands.
fn place(events: &[Value], kind: &str, nth: usize) -> usize {
    let mut places = (0..events.len()).filter(|at| events[*at]["type"] == kind);
    places.nth(nth).unwrap_or_else(|| panic!("no {nth}. {kind}"))
}

fn trial_paid_in_six_eras() -> History {
    let mut story = named();
    story.add_card().seconds(1).subscribe(TEAM, 1, 14).end_trial();
    History::of(
        "a trial is paid, told in six eras",
        &[("active", "team", 1)],
        tell(&story, &Era::ALL, &[]),
    )
}

fn seats_changed_in_one_second() -> History {
    let mut story = named();
    story.subscribe(TEAM, 1, 14).days(1).set_quantity(5).set_quantity(2);
    story
        .set_quantity(9)
        .set_quantity(2)
        .days(1)
        .set_quantity(3)
        .set_quantity(4);
    let events = tell(&story, &[Era::Basil, Era::Acacia, Era::Endive], &[]);
    History::of(
        "seats are changed, and changed back, in one second",
        &[("trialing", "team", 4)],
        events,
    )
}

fn a_second_without_a_past() -> History {
    let mut story = named();
    story.subscribe(TEAM, 1, 14).days(1).set_quantity(4).set_quantity(7);
    story.change(|it| it.status = "past_due").set_quantity(3);
    story.change_plan(ENTERPRISE);
    let mut events = tell(
        &story,
        &[Era::Clover],
        &["checkout.session.completed", "charge.succeeded"],
    );
    for event in &mut events {
        without_past(event);
    }
    History::of(
        "changes of one second that do not tell their past",
        &[
            ("past_due", "enterprise", 3),
            ("past_due", "team", 3),
            ("past_due", "team", 7),
        ],
        events,
    )
}

fn an_end_in_the_middle() -> History {
    let mut story = named();
    story.subscribe(TEAM, 2, 14).days(3).change(|it| it.status = "past_due");
    story.days(2).cancel().change(|it| it.status = "active");
    story.days(9).change(|it| it.status = "active").set_quantity(6);
    story.delete_customer().days(1).add_card();
    let events = tell(&story, &[Era::Acacia, Era::Dahlia], &["payment_method.attached"]);
    History::of(
        "a subscription and a customer end, and more is said of them",
        &[("canceled", "free", 2)],
        events,
    )
}

fn tenant_learnt_late() -> History {
    let mut story = nameless();
    story.subscribe(TEAM, 1, 0).days(4).name_tenant(TENANT);
    story.days(1).change(|it| it.tenant = Some(TENANT.to_owned()));
    story.days(1).set_quantity(2);
    let without = ["invoice.created", "invoice.payment_succeeded"];
    History::of(
        "the tenant is named after days",
        &[("active", "team", 2)],
        tell(&story, &[Era::Basil, Era::Unnamed], &without),
    )
}

fn tenant_given_by_a_person() -> History {
    let mut story = nameless();
    story.add_card().subscribe(TEAM, 3, 14).end_trial().set_quantity(4);
    let without = [
        "invoice.created",
        "invoice.payment_succeeded",
        "checkout.session.completed",
    ];
    History {
        assigned: true,
        ..History::of(
            "a person names the tenant",
            &[("active", "team", 4)],
            tell(&story, &[Era::Endive, Era::Acacia], &without),
        )
    }
}

fn dispute_won_on_appeal() -> History {
    let mut story = named();
    story
        .subscribe(TEAM, 1, 0)
        .days(20)
        .dispute()
        .days(30)
        .close_dispute(false);
    story.days(30).close_dispute(true);
    let without = [
        "invoice.created",
        "invoice.payment_succeeded",
        "checkout.session.completed",
    ];
    let mut events = tell(&story, &[Era::Acacia, Era::Basil, Era::Endive], &without);
    let mut appeal = events[place(&events, "charge.dispute.closed", 0)]["data"]["object"].clone();
    appeal["status"] = "appeal_under_review".into();
    let created = START + 60 * DAY;
    events.push(event("appeal", "charge.dispute.updated", created, &appeal));
    History::of("a dispute is lost, and won on appeal", &[("active", "team", 1)], events)
}

fn refunds_and_a_credit_note() -> History {
    let mut story = named();
    story.subscribe(TEAM, 1, 0).days(2).refund(2_000).days(1).refund(900);
    let without = [
        "invoice.created",
        "invoice.payment_succeeded",
        "checkout.session.completed",
    ];
    let mut events = tell(&story, &[Era::Basil, Era::Endive], &without);
    let created = START + 3 * DAY;
    let first = place(&events, "refund.created", 0);
    let mut failed = events[first]["data"]["object"].clone();
    failed["status"] = "failed".into();
    failed["failure_reason"] = "lost_or_stolen_card".into();
    events.push(event("refund", "refund.failed", created, &failed));
    let invoice = format!("in_{MARK}_1");
    let payment = json!({ "id": format!("inpay_{MARK}"), "object": "invoice_payment", "amount_paid": TEAM.unit_minor,
        "currency": "usd", "invoice": invoice, "status": "paid", "status_transitions": { "paid_at": START },
        "payment": { "type": "payment_intent", "payment_intent": format!("pi_{MARK}_1") } });
    events.push(event("payment", "invoice_payment.paid", START, &payment));
    let mut note = json!({ "id": format!("cn_{MARK}"), "object": "credit_note", "amount": 2_000, "currency": "usd",
        "customer": format!("cus_{MARK}"), "invoice": invoice, "number": "CN-1", "status": "issued",
        "type": "post_payment", "created": START + 2 * DAY, "refunds": [{ "refund": format!("re_{MARK}_1") }],
        "total_taxes": [], "voided_at": null, "reason": null });
    events.push(event("note", "credit_note.created", START + 2 * DAY, &note));
    note["status"] = "void".into();
    note["voided_at"] = created.into();
    events.push(event("void", "credit_note.voided", created, &note));
    History::of(
        "refunds beside their charge, and a credit note withdrawn",
        &[("active", "team", 1)],
        events,
    )
}

fn two_subscriptions_at_once() -> History {
    let mut story = named();
    story.subscribe(TEAM, 1, 14).days(2).set_quantity(2);
    let mut events = tell(&story, &[Era::Acacia, Era::Clover], &[]);
    let mut other = Story::new(&format!("{MARK}b"), Some(TENANT), START + DAY);
    other
        .subscribe(ENTERPRISE, 3, 14)
        .days(1)
        .set_quantity(5)
        .set_quantity(4);
    let mut third = Story::new(&format!("{MARK}c"), Some(TENANT), START + DAY);
    third.subscribe(TEAM, 1, 14).days(5).cancel();
    let without = ["customer.created", "checkout.session.completed"];
    for (story, suffix) in [(other, "b"), (third, "c")] {
        for mut event in tell(&story, &[Era::Endive, Era::Basil], &without) {
            event["data"]["object"]["customer"] = format!("cus_{MARK}").into();
            assert!(event["id"].as_str().unwrap().contains(suffix));
            events.push(event);
        }
    }
    History::of(
        "two subscriptions run, a third one ended",
        &[("trialing", "enterprise", 4)],
        events,
    )
}

fn failed_and_recovered_in_one_second() -> History {
    let mut story = named();
    story.subscribe(TEAM, 1, 14).renew_unpaid().recover();
    let without = [
        "invoice.created",
        "invoice.payment_succeeded",
        "checkout.session.completed",
    ];
    let events = tell(&story, &[Era::Acacia, Era::Dahlia], &without);
    History::of(
        "a payment fails and is recovered in one second",
        &[("active", "team", 1)],
        events,
    )
}

fn thin_and_snapshot_twins() -> History {
    let mut story = named();
    story
        .subscribe(TEAM, 1, 14)
        .days(1)
        .set_quantity(2)
        .set_quantity(6)
        .days(1)
        .cancel_at_period_end();
    let mut events = tell(&story, &[Era::Endive], &["checkout.session.completed"]);
    let told = events.clone();
    events.extend(told.iter().skip(1).map(thin));
    events.push(again(&told[2], "twin"));
    events.push(again(&told[1], "another"));
    History::of(
        "thin events and twins beside their snapshots",
        &[("trialing", "team", 6)],
        events,
    )
}

fn pauses_discounts_and_second_thoughts() -> History {
    let mut story = named();
    story
        .subscribe(TEAM, 1, 14)
        .days(1)
        .change(|it| it.coupon = Some("SPRING".to_owned()));
    story
        .change(|it| it.pause_collection = Some("void"))
        .days(1)
        .change(|it| it.pause_collection = None);
    story
        .cancel_at_period_end()
        .keep()
        .days(1)
        .change(|it| it.coupon = None);
    let mut events = tell(
        &story,
        &[Era::Basil, Era::Acacia, Era::Dahlia],
        &["checkout.session.completed"],
    );
    let mut discount = json!({ "id": format!("di_sub_{MARK}"), "object": "discount", "customer": format!("cus_{MARK}"),
        "subscription": format!("sub_{MARK}"), "start": START + DAY, "end": null,
        "source": { "type": "coupon", "coupon": "SPRING" } });
    events.push(event("discount", "customer.discount.created", START + DAY, &discount));
    discount["end"] = (START + 3 * DAY).into();
    events.push(event(
        "discounted",
        "customer.discount.deleted",
        START + 3 * DAY,
        &discount,
    ));
    let mut schedule = json!({ "id": format!("sub_sched_{MARK}"), "object": "subscription_schedule",
        "customer": format!("cus_{MARK}"), "subscription": format!("sub_{MARK}"), "status": "active",
        "end_behavior": "release", "metadata": {}, "phases": [{ "start_date": START + 14 * DAY, "end_date": null,
            "items": [{ "price": ENTERPRISE.id, "quantity": 2 }] }] });
    events.push(event(
        "planned",
        "subscription_schedule.updated",
        START + 2 * DAY,
        &schedule,
    ));
    schedule["status"] = "released".into();
    events.push(event(
        "released",
        "subscription_schedule.released",
        START + 2 * DAY,
        &schedule,
    ));
    History::of(
        "pauses, discounts and second thoughts",
        &[("trialing", "team", 1)],
        events,
    )
}

fn invoices_that_end_otherwise() -> History {
    let mut story = nameless();
    story.subscribe(TEAM, 1, 0).days(1).dispute().name_tenant(TENANT);
    let without = ["invoice.payment_succeeded", "checkout.session.completed"];
    let mut events = tell(&story, &[Era::Acacia, Era::Basil], &without);
    // Nothing names the charge's customer: it waits for its payment or its invoice, and the dispute waits for it.
    let charge = place(&events, "charge.succeeded", 0);
    events[charge]["data"]["object"]["customer"] = Value::Null;
    let (customer, payment) = (format!("cus_{MARK}"), format!("pi_{MARK}_1"));
    let intent = json!({ "id": payment, "object": "payment_intent", "customer": customer, "status": "succeeded",
        "amount": TEAM.unit_minor, "currency": "usd", "latest_charge": format!("ch_{MARK}_1_1") });
    events.push(event("intent", "payment_intent.succeeded", START, &intent));
    let drafted = events[place(&events, "invoice.created", 0)]["data"]["object"].clone();
    let other = |id: &str, status: &str| {
        let mut invoice = drafted.clone();
        invoice["id"] = format!("in_{MARK}_{id}").into();
        invoice["status"] = status.into();
        invoice
    };
    events.push(event(
        "coming",
        "invoice.upcoming",
        START + 20 * DAY,
        &other("coming", "draft"),
    ));
    events.push(event("gone", "invoice.deleted", START + DAY, &other("gone", "draft")));
    events.push(event(
        "lost",
        "invoice.marked_uncollectible",
        START + DAY,
        &other("lost", "uncollectible"),
    ));
    events.push(event("void", "invoice.voided", START + DAY, &other("lost", "void")));
    events.push(event(
        "late",
        "invoice.updated",
        START + 2 * DAY,
        &other("lost", "open"),
    ));
    History::of(
        "invoices that are deleted, written off and withdrawn",
        &[("active", "team", 1)],
        events,
    )
}

fn ties_and_an_end() -> History {
    let mut story = named();
    story.subscribe(TEAM, 1, 14).days(1).set_quantity(4).set_quantity(7);
    story.days(1).cancel().days(1).change(|it| it.status = "active");
    let mut events = tell(&story, &[Era::Basil], &["checkout.session.completed"]);
    let tied = place(&events, "customer.subscription.updated", 0);
    for event in &mut events[tied..tied + 2] {
        without_past(event);
    }
    History::of(
        "ties that content decides, and an end that is contradicted",
        &[("canceled", "free", 7)],
        events,
    )
}

fn parked_while_the_tenant_is_unknown() -> History {
    let mut story = nameless();
    story
        .subscribe(TEAM, 1, 0)
        .days(2)
        .refund(500)
        .dispute()
        .days(1)
        .name_tenant(TENANT);
    let mut events = tell(&story, &[Era::Basil, Era::Acacia], &[]);
    let wanted = [
        "customer.created",
        "charge.succeeded",
        "refund.created",
        "charge.dispute.created",
        "customer.updated",
    ];
    events.retain(|event| wanted.iter().any(|kind| event["type"] == *kind));
    let mut told = Story::new(MARK, Some(TENANT), START + DAY);
    told.subscribe(TEAM, 1, 14);
    let subscription = tell(
        &told,
        &[Era::Endive],
        &["customer.created", "checkout.session.completed"],
    );
    events.extend(subscription);
    History::of(
        "what points at a charge waits, and the tenant is named late",
        &[("trialing", "team", 1)],
        events,
    )
}

fn twins_in_two_eras() -> History {
    let mut story = named();
    story
        .subscribe(TEAM, 2, 14)
        .days(1)
        .set_quantity(3)
        .days(1)
        .set_quantity(5);
    let wanted = ["customer.created", "checkout.session.completed"];
    let mut events = tell(&story, &[Era::Unnamed, Era::Endive], &wanted);
    // The newest one comes with a list of items that was cut off: what it leaves out is known from another era.
    let newest = place(&events, "customer.subscription.updated", 1);
    events[newest]["data"]["object"]["items"]["has_more"] = true.into();
    let changed = place(&events, "customer.subscription.updated", 0);
    events.push(again(&events[changed], "twin"));
    events.push(thin(&events[changed]));
    let mut late = events[changed].clone();
    late["id"] = format!("evt_{MARK}_late").into();
    late["created"] = (START + DAY - 1).into();
    late["data"]["object"]["status"] = "active".into();
    events.push(late);
    History::of("twins, thin and whole, in two eras", &[("trialing", "team", 3)], events)
}

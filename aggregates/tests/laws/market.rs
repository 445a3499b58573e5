//! A small catalogue, and commands of people short enough to tell stories with.

use aggregates::facts::SubscriptionSnapshot;
use aggregates::ids::{PlanCode, PriceId, TenantId};
use aggregates::money::Currency;
use aggregates::observation::Observation;
use aggregates::plan::*;
use aggregates::snapshot::Rank;
use aggregates::subscription::asked::{DiscountSource, When};
use aggregates::subscription::request::{Circumstances, PlanChange, Purchase, QuantityWish, Request, Wish};
use aggregates::subscription::settled::{CallOutcome, Refusal, RefusalKind, StripeCallSettled};
use aggregates::subscription::{Rejection, SubscriptionCommand, SubscriptionEvent};
use aggregates::testing::{Decided, Given, given};

use super::build::{Story, at, usd};
use super::convergence::deliver;
use super::samples_of_intents::intent;

fn price(id: &str, interval: Interval, currency: &str, amount_minor: i64) -> Price {
    Price {
        interval,
        currency: Currency::parse(currency).unwrap(),
        amount_minor,
        per: 1,
        metered: None,
        stripe: PriceIds {
            test: Some(PriceId::parse(id).unwrap()),
            live: None,
        },
        active: true,
        flag: None,
    }
}

fn limit(name: &str, kind: LimitKind, value: u64, per_unit: bool, at_limit: AtLimit) -> Limit {
    Limit {
        name: name.to_owned(),
        title: name.to_owned(),
        kind,
        unit: Unit {
            base: "one".to_owned(),
            display: "one".to_owned(),
            factor: 1,
        },
        value: LimitValue::Units(value),
        per_unit,
        at_limit,
        warn_at: vec![80],
        on_outage: None,
    }
}

fn plan(code: &str, order: u32, projects: u64, prices: Vec<Price>) -> Plan {
    let month = LimitKind::Counter { window: Window::Month };
    Plan {
        code: PlanCode::parse(code).unwrap(),
        name: code.to_owned(),
        description: String::new(),
        active: true,
        visibility: Visibility::Public,
        order,
        most_popular: false,
        unit: None,
        trial: None,
        quantity: QuantityRange { min: 1, max: 10 },
        prices,
        limits: vec![
            limit("projects", LimitKind::Gauge, projects, false, AtLimit::Block),
            limit("seats", LimitKind::Gauge, 2, true, AtLimit::Block),
            limit("storage", LimitKind::Gauge, 1, false, AtLimit::Allow { cap: None }),
            limit("runs", month, 1, false, AtLimit::Block),
        ],
        features: Vec::new(),
        workspace: None,
        flag: None,
    }
}

/// free, starter, pro (month and year), team; and plans that are not sold to everybody.
pub(crate) fn market() -> Catalogue {
    let month = |id: &str, amount| price(id, Interval::Month, "usd", amount);
    let mut pro = plan("pro", 3, 10, vec![month("price_pro", 2_900)]);
    pro.prices.push(price("price_pro_year", Interval::Year, "usd", 29_000));
    pro.trial = Some(Trial {
        days: 14,
        card: TrialCard::Required,
    });
    let mut enterprise = plan("enterprise", 9, 1_000, Vec::new());
    enterprise.visibility = Visibility::ContactUs {
        url: "https://example.com/talk".to_owned(),
    };
    let mut old = plan("old", 5, 10, vec![month("price_old", 1_900)]);
    old.active = false;
    let mut beta = plan("beta", 6, 10, vec![month("price_beta", 3_900)]);
    beta.flag = Some("beta".to_owned());
    let euro = plan("euro", 7, 10, vec![price("price_euro", Interval::Month, "eur", 900)]);
    let mut lacking = plan("lacking", 8, 10, vec![month("price_lacking", 900)]);
    lacking.prices[0].stripe = PriceIds::default();
    let plans = vec![
        plan("free", 1, 1, Vec::new()),
        plan("starter", 2, 3, vec![month("price_starter", 900)]),
        pro,
        plan("team", 4, 50, vec![month("price_team", 9_900)]),
        old,
        beta,
        euro,
        lacking,
        enterprise,
    ];
    Catalogue::new(
        3,
        Terms {
            currency: usd(),
            plans,
            checkout: Checkout {
                automatic_tax: true,
                collect_tax_id: true,
                billing_address: BillingAddress::Required,
                promotion_codes: true,
            },
            flags: Vec::new(),
            billing_pages_flag: "billing_pages".to_owned(),
            dunning: DunningPolicy::default(),
            disputes: DisputePolicy::default(),
            tenant_keys: vec!["tenant_id".to_owned()],
        },
    )
}

/// The second in which the first intent is accepted; intent `n` follows `n` seconds later.
pub(crate) const ASKED: i64 = 1_000;

/// Intent `number`, asked for in second `ASKED + number`.
pub(crate) fn request(number: u128, wish: Wish) -> Request {
    let second = ASKED + i64::try_from(number).unwrap();
    Request {
        intent: intent(number),
        at: at(second).plus_micros(500_000),
        tenant: Some(TenantId::parse("acme").unwrap()),
        subscription: None,
        circumstances: Circumstances::of(Mode::Test),
        wish,
    }
}

pub(crate) fn ask(number: u128, wish: Wish) -> SubscriptionCommand {
    SubscriptionCommand::Request(Box::new(request(number, wish)))
}

/// With a quantity of something in use.
pub(crate) fn ask_using(number: u128, wish: Wish, used: &[(&str, u64)]) -> SubscriptionCommand {
    let mut request = request(number, wish);
    for (resource, quantity) in used {
        request.circumstances.usage.insert((*resource).into(), *quantity);
    }
    SubscriptionCommand::Request(Box::new(request))
}

pub(crate) fn settle(number: u128, outcome: CallOutcome) -> SubscriptionCommand {
    SubscriptionCommand::SettleCall(Box::new(StripeCallSettled {
        intent: intent(number),
        outcome,
        request_id: Some(format!("req_{number}").into()),
    }))
}

pub(crate) fn applied(object: &str) -> CallOutcome {
    CallOutcome::Applied {
        object: Some(object.into()),
    }
}

pub(crate) fn refused() -> CallOutcome {
    CallOutcome::Rejected(Refusal {
        kind: RefusalKind::NotPossible,
        code: Some("resource_missing".into()),
        decline_code: None,
        param: None,
    })
}

pub(crate) fn observe(observation: &Observation) -> SubscriptionCommand {
    SubscriptionCommand::Observe(Box::new(observation.clone()))
}

/// An account of the tenant acme with what Stripe has said.
pub(crate) fn account(story: &Story) -> Given {
    given(&events_of(story))
}

pub(crate) fn events_of(story: &Story) -> Vec<SubscriptionEvent> {
    let mut story = story.0.clone();
    if let Some(first) = story.first_mut() {
        first.tenant_hint = Some(TenantId::parse("acme").unwrap());
    }
    deliver(&story).events
}

/// An account with one subscription as it stands.
pub(crate) fn with_sub(snapshot: SubscriptionSnapshot) -> Given {
    account(&Story::default().sub("sub_1", 0, Rank::Created, snapshot))
}

pub(crate) trait Deciding {
    /// Decides with the market's catalogue.
    fn asked(self, command: &SubscriptionCommand) -> Decided;
    /// The same, and goes on after it.
    fn then_asked(self, command: &SubscriptionCommand) -> Given;
    /// The refusal of a wish.
    fn refuses(&self, wish: Wish) -> Rejection;
}

impl Deciding for Given {
    fn asked(self, command: &SubscriptionCommand) -> Decided {
        self.when_priced(command, &market())
    }
    fn then_asked(self, command: &SubscriptionCommand) -> Given {
        let decided = self.asked(command);
        assert!(decided.outcome.is_ok(), "{:?}", decided.outcome);
        decided.and()
    }
    fn refuses(&self, wish: Wish) -> Rejection {
        let decided = self.clone().asked(&ask(900, wish));
        decided.outcome.unwrap_err()
    }
}

pub(crate) fn code(code: &str) -> PlanCode {
    PlanCode::parse(code).unwrap()
}

pub(crate) fn purchase(plan: &str) -> Purchase {
    Purchase {
        plan: code(plan),
        interval: None,
        currency: None,
        quantity: None,
        trial_days: None,
        trial_again: false,
        discount: None,
        promotion_codes: None,
    }
}

pub(crate) fn plan_change(plan: &str) -> PlanChange {
    PlanChange {
        plan: code(plan),
        interval: None,
        quantity: None,
        when: None,
        proration: None,
    }
}

pub(crate) fn to_plan(plan: &str) -> Wish {
    Wish::ChangePlan(plan_change(plan))
}

pub(crate) fn to_quantity(quantity: u64) -> Wish {
    Wish::ChangeQuantity {
        quantity: QuantityWish::To(quantity),
        proration: None,
    }
}

pub(crate) fn by_quantity(delta: i64) -> Wish {
    Wish::ChangeQuantity {
        quantity: QuantityWish::By(delta),
        proration: None,
    }
}

pub(crate) fn cancel(when: When) -> Wish {
    Wish::Cancel {
        when: Some(when),
        feedback: None,
    }
}

pub(crate) fn coupon(id: &str) -> Wish {
    Wish::ApplyDiscount(DiscountSource::Coupon(id.parse().unwrap()))
}

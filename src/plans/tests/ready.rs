//! Every ready catalogue answers as it is described.

use aggregates::ids::PriceId;
use aggregates::money::Currency;
use aggregates::plan::{AtLimit, Catalogue, FeatureValue, Interval, LimitKind, LimitValue, TrialCard, Window};

use super::{catalogue, code, load};

/// (plan, month, year, yearly saving in percent), amounts in minor units.
type PriceRow = (String, Option<i64>, Option<i64>, Option<u32>);

/// Of every plan.
fn prices(catalogue: &Catalogue) -> Vec<PriceRow> {
    let currency = catalogue.terms().currency;
    let amount = |plan: &aggregates::plan::Plan, interval| plan.recurring(interval, currency).map(|p| p.amount_minor);
    let row = |plan: &aggregates::plan::Plan| {
        let (month, year) = (amount(plan, Interval::Month), amount(plan, Interval::Year));
        (plan.code.to_string(), month, year, plan.yearly_saving_percent(currency))
    };
    catalogue.plans().iter().map(row).collect()
}

fn shown(catalogue: &Catalogue, resource: &str) -> Vec<Option<u64>> {
    let value = |plan: &aggregates::plan::Plan| {
        let limit = plan.limit(resource).unwrap();
        limit.value.units().map(|units| units / limit.unit.factor)
    };
    catalogue.plans().iter().map(value).collect()
}

#[test]
fn per_agent_the_quantity_is_the_quota() {
    let catalogue = catalogue("per-agent");
    assert!(catalogue.free_plan().is_none());
    let plan = catalogue.plan(&code("ai-employee")).unwrap();
    assert_eq!(
        (plan.name.as_str(), plan.unit.as_deref()),
        ("AI Employee Plan", Some("agent"))
    );
    let trial = plan.trial.unwrap();
    assert_eq!((trial.days, trial.card), (14, TrialCard::Required));
    assert_eq!(
        prices(&catalogue),
        [("ai-employee".to_owned(), Some(4_900), None, None)]
    );
    let limits = plan.limits_for(7).unwrap();
    assert_eq!(limits[0].value, LimitValue::Units(7));
    let price = plan
        .recurring(Interval::Month, Currency::parse("USD").unwrap())
        .unwrap();
    assert_eq!(price.total(7).unwrap().amount_minor, 34_300);
}

#[test]
fn three_tiers_are_the_bundled_catalogue() {
    let catalogue = catalogue("three-tiers");
    assert_eq!(catalogue.free_plan().unwrap().code, code("free"));
    let table = [
        ("free".to_owned(), None, None, None),
        ("team".to_owned(), Some(9_900), Some(95_000), Some(20)),
        ("enterprise".to_owned(), Some(49_900), Some(480_000), Some(20)),
    ];
    assert_eq!(prices(&catalogue), table);
    assert_eq!(shown(&catalogue, "test_runs"), [Some(100), Some(1_000), None]);
    assert_eq!(shown(&catalogue, "projects"), [Some(1), Some(10), None]);
    assert_eq!(shown(&catalogue, "members"), [Some(3), Some(20), None]);
    assert_eq!(shown(&catalogue, "concurrent_runs"), [Some(1), Some(5), Some(20)]);
    assert_eq!(shown(&catalogue, "storage"), [Some(1), Some(10), Some(100)]);
    let (plan, price) = catalogue
        .plan_of_price(&PriceId::parse("price_team_year").unwrap())
        .unwrap();
    assert_eq!((plan.code.as_str(), price.interval), ("team", Interval::Year));
    assert!(
        catalogue
            .plan_of_price(&PriceId::parse("price_unknown").unwrap())
            .is_none()
    );
    let up: Vec<_> = catalogue
        .upgrade_options(Some(&code("free")), |_| false)
        .map(|p| p.code.as_str())
        .collect();
    assert_eq!(up, ["team", "enterprise"]);
    let more: Vec<_> = catalogue
        .upgrades_for_limit("projects", LimitValue::Units(10))
        .map(|p| p.code.as_str())
        .collect();
    assert_eq!(more, ["enterprise"]);
    let sso: Vec<_> = catalogue.upgrades_for_feature("sso").map(|p| p.code.as_str()).collect();
    assert_eq!(sso, ["enterprise"]);
}

#[test]
fn five_tiers_have_workspaces_and_a_plan_to_talk_about() {
    let catalogue = catalogue("five-tiers");
    let months: Vec<_> = prices(&catalogue).into_iter().map(|(_, month, ..)| month).collect();
    assert_eq!(months, [None, Some(900), Some(2_900), Some(7_900), None]);
    assert_eq!(
        catalogue.free_plan().unwrap().code,
        code("free"),
        "contact us is not free"
    );
    let enterprise = catalogue.plan(&code("enterprise")).unwrap();
    assert!(enterprise.is_contact_us() && !enterprise.is_sellable(|_| true));
    assert!(catalogue.plans().iter().all(|plan| plan.workspace.is_some()));
    for resource in ["gateways", "plugins", "executions"] {
        assert_eq!(shown(&catalogue, resource).len(), 5);
    }
    assert_eq!(catalogue.terms().flags[0].name, catalogue.terms().billing_pages_flag);
}

#[test]
fn chatbots_bill_tokens_by_the_million_and_give_no_grace() {
    let catalogue = catalogue("chatbots");
    assert!(catalogue.free_plan().is_none());
    assert_eq!(catalogue.terms().dunning.grace_days, 0);
    let table: Vec<_> = prices(&catalogue)
        .into_iter()
        .map(|(_, month, year, saving)| (month, year, saving))
        .collect();
    let month_year = |month, year| (Some(month), Some(year), Some(17));
    assert_eq!(
        table,
        [
            month_year(2_900, 29_000),
            month_year(9_900, 99_000),
            month_year(29_900, 299_000)
        ]
    );
    for plan in catalogue.plans() {
        let price = plan.metered("ai_tokens", catalogue.terms().currency).unwrap();
        assert_eq!(price.metered.as_ref().unwrap().event_name, "ai_tokens");
        assert_eq!(price.total(1_000_000).unwrap().amount_minor, 300);
        assert_eq!(plan.limit("api_requests").unwrap().kind, LimitKind::Rate { per_s: 60 });
    }
    let sla = &catalogue
        .plan(&code("enterprise"))
        .unwrap()
        .feature("sla")
        .unwrap()
        .value;
    assert_eq!(*sla, FeatureValue::Text("99.9".to_owned()));
}

#[test]
fn build_hours_are_counted_in_seconds_and_topped_up() {
    let catalogue = catalogue("build-hours");
    let table: Vec<_> = prices(&catalogue)
        .into_iter()
        .map(|(_, month, _, saving)| (month, saving))
        .collect();
    assert_eq!(
        table,
        [
            (None, None),
            (Some(3_000), Some(17)),
            (Some(6_000), Some(17)),
            (Some(12_000), Some(17))
        ]
    );
    assert_eq!(shown(&catalogue, "projects"), [Some(1), Some(1), Some(3), Some(8)]);
    assert_eq!(
        shown(&catalogue, "build_time"),
        [Some(5), Some(40), Some(150), Some(500)]
    );
    assert_eq!(shown(&catalogue, "storage"), [Some(1), Some(10), Some(50), Some(200)]);
    let limit = catalogue.plan(&code("pro")).unwrap().limit("build_time").unwrap();
    assert_eq!(limit.value, LimitValue::Units(150 * 3_600));
    assert_eq!(limit.kind.window(), Some(Window::Month));
    let AtLimit::TopUp(top_up) = &limit.at_limit else {
        panic!("{:?}", limit.at_limit)
    };
    assert_eq!(
        (top_up.pack, top_up.price.amount_minor, top_up.packs_max),
        (36_000, 500, 20)
    );
}

#[test]
fn a_plan_that_only_a_meter_bills_is_nobodys_free_plan() {
    let metered = r#"currency = "USD"
[resources.tokens]
kind = "counter"
[[plan]]
code = "payg"
name = "Pay as you go"
limits = { tokens = { value = 0, at_limit = "allow" } }
[[plan.price]]
interval = "month"
amount_minor = 5
per = 1000
meter = { event_name = "tokens", limit = "tokens" }
"#;
    let only_metered = Catalogue::new(1, load(metered).terms);
    assert!(only_metered.free_plan().is_none(), "somebody pays for what is used");
    let free = "[[plan]]\ncode = \"free\"\nname = \"Free\"\nlimits = { tokens = 10 }\n";
    let both = Catalogue::new(1, load(&format!("{metered}{free}")).terms);
    assert_eq!(both.free_plan().unwrap().code, code("free"));
}

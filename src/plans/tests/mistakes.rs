//! What a file says is kept as it says it; every mistake is told with its line and key.

use std::collections::BTreeMap;

use aggregates::ids::PriceId;
use aggregates::plan::Catalogue;

use super::{BUNDLED, FILES, PlansError, code, load, read};

#[test]
fn what_is_stored_reads_back_the_same_and_the_hash_follows_the_terms() {
    for (name, text) in FILES {
        let loaded = load(text);
        assert_eq!(
            serde_json::from_str::<aggregates::plan::Terms>(&loaded.body).unwrap(),
            loaded.terms,
            "{name}"
        );
        let catalogue = Catalogue::new(3, loaded.terms.clone());
        let json = serde_json::to_string(&catalogue).unwrap();
        assert_eq!(serde_json::from_str::<Catalogue>(&json).unwrap(), catalogue, "{name}");
    }
    let env = |name: &str| (name == "STRIPE_PRICE_TEAM_MONTH").then(|| "price_live".to_owned());
    let (bare, filled) = (load(BUNDLED), read(BUNDLED, "x", &env).unwrap());
    assert_ne!(bare.content_hash, filled.content_hash);
    let live = Catalogue::new(1, filled.terms);
    assert_eq!(
        live.plan_of_price(&PriceId::parse("price_live").unwrap())
            .unwrap()
            .0
            .code,
        code("team")
    );
    let commented = format!("# a comment\n{BUNDLED}");
    assert_eq!(load(&commented).content_hash, bare.content_hash);
}

#[test]
fn a_price_nobody_can_buy_is_a_notice() {
    let notices = load(FILES[0].1).notices;
    assert_eq!(
        notices,
        ["the month price of ai-employee has no id at Stripe yet; nobody can buy it"]
    );
}

/// A small catalogue in which one passage is replaced; lines stay where they are.
const BASE: &str = r#"currency = "USD"
[checkout]
automatic_tax = true
[metadata]
tenant = ["organizationId"]
[dunning]
grace_days = 7
step = [{ day = 0, action = "remind" }, { day = 7, action = "restrict" }, { day = 21, action = "cancel" }]
[disputes]
open = "full"
[flags.beta]
description = "for some"
percent = 10
[resources.hours]
kind = "counter"
window = "month"
unit = { base = "second", display = "hour", factor = 3600 }
warn_at = [80, 95]
[[plan]]
code = "free"
name = "Free"
limits = { hours = 1 }
[[plan]]
code = "pro"
name = "Pro"
quantity = { min = 1, max = 10 }
trial = { days = 14, card = "required" }
features = { sso = true, support = "mail" }
limits = { hours = { value = 10, at_limit = "allow", cap = 5 } }
[[plan.price]]
interval = "month"
amount_minor = 1000
stripe = { test = "price_a", live = { env = "LIVE_A" } }
[[plan.price]]
interval = "month"
amount_minor = 5
per = 100
meter = { event_name = "hours", limit = "hours" }
stripe = { test = "price_b" }
"#;

#[test]
#[expect(clippy::too_many_lines, reason = "one table, a row a mistake")]
fn every_mistake_names_its_line_and_key() {
    // (replace, by, line, key, a part of the message)
    let table: &[(&str, &str, usize, &str, &str)] = &[
        ("currency = \"USD\"", "currency = \"USD", 1, "", "not valid TOML"),
        (
            "currency = \"USD\"",
            "currency = \"DOLLAR\"",
            1,
            "currency",
            "three-letter ISO 4217",
        ),
        (
            "currency = \"USD\"",
            "currency = \"ZZQ\"",
            1,
            "currency",
            "not a currency",
        ),
        ("[checkout]", "[chekout]", 2, "chekout", "did you mean `checkout`?"),
        (
            "automatic_tax = true",
            "automatic_tax = \"yes\"",
            3,
            "checkout.automatic_tax",
            "true or false is wanted",
        ),
        (
            "tenant = [\"organizationId\"]",
            "tenant = \"organizationId\"",
            5,
            "metadata.tenant",
            "a list in square brackets",
        ),
        (
            "grace_days = 7",
            "grace_days = 8",
            7,
            "dunning.grace_days",
            "restricts access",
        ),
        (
            "day = 7,",
            "day = 0,",
            8,
            "dunning.step[1].day",
            "later than the step before",
        ),
        (
            "action = \"remind\"",
            "action = \"shout\"",
            8,
            "dunning.step[0].action",
            "\"remind\", \"urgent\"",
        ),
        (
            "open = \"full\"",
            "open = \"maybe\"",
            10,
            "disputes.open",
            "\"full\", \"restricted\", \"blocked\"",
        ),
        (
            "percent = 10",
            "percent = 101",
            13,
            "flags.beta.percent",
            "from 0 to 100",
        ),
        (
            "kind = \"counter\"",
            "kind = \"gauge\"",
            16,
            "resources.hours.window",
            "only a counter has a window",
        ),
        (
            "kind = \"counter\"",
            "kind = \"sum\"",
            15,
            "resources.hours.kind",
            "\"counter\", \"gauge\"",
        ),
        ("kind = \"counter\"", "", 14, "resources.hours.kind", "is missing"),
        (
            "factor = 3600",
            "factor = 0",
            17,
            "resources.hours.unit.factor",
            "whole number from 1",
        ),
        (
            "warn_at = [80, 95]",
            "warn_at = [95, 80]",
            18,
            "resources.hours.warn_at",
            "must ascend",
        ),
        (
            "warn_at = [80, 95]",
            "warn_at = [80, 100]",
            18,
            "resources.hours.warn_at[1]",
            "from 1 to 99",
        ),
        (
            "code = \"pro\"",
            "code = \"free\"",
            23,
            "plan[1].code",
            "already the code of the plan on line 19",
        ),
        (
            "code = \"pro\"",
            "code = \"Pro plan\"",
            24,
            "plan[1].code",
            "not a valid plan code",
        ),
        (
            "name = \"Pro\"",
            "name = \" \"",
            25,
            "plan[1].name",
            "must not be blank",
        ),
        (
            "min = 1, max = 10",
            "min = 11, max = 10",
            26,
            "plan[1].quantity.min",
            "above the maximum of 10",
        ),
        ("days = 14", "days = 0", 27, "plan[1].trial.days", "from 1 to 730"),
        (
            "card = \"required\"",
            "crad = \"required\"",
            27,
            "plan[1].trial.crad",
            "did you mean `card`?",
        ),
        (
            "sso = true",
            "sso = 3",
            28,
            "plan[1].features.sso",
            "true, false or a text",
        ),
        (
            "hours = { value = 10",
            "hour = { value = 10",
            29,
            "plan[1].limits.hour",
            "did you mean `hours`?",
        ),
        (
            "value = 10,",
            "value = 9000000000000000,",
            29,
            "plan[1].limits.hours.value",
            "too large to count in second",
        ),
        (
            "value = 10,",
            "value = \"infinite\",",
            29,
            "plan[1].limits.hours.value",
            "use \"unlimited\"",
        ),
        (
            "at_limit = \"allow\", cap = 5",
            "at_limit = \"top_up\", pack = 5",
            29,
            "plan[1].limits.hours.pack_amount_minor",
            "is missing",
        ),
        (
            "meter = { event_name = \"hours\", limit = \"hours\" }",
            "",
            29,
            "plan[1].limits",
            "no metered price of the plan bills it",
        ),
        (
            "interval = \"month\"\namount_minor = 1000",
            "interval = \"week\"\namount_minor = 1000",
            31,
            "plan[1].price[0].interval",
            "use \"month\", \"year\"",
        ),
        (
            "amount_minor = 1000",
            "amount_minor = 10.00",
            32,
            "plan[1].price[0].amount_minor",
            "not a number with a point",
        ),
        (
            "amount_minor = 1000",
            "amount_minor = -1",
            32,
            "plan[1].price[0].amount_minor",
            "whole number from 0",
        ),
        (
            "per = 100",
            "per = 0",
            37,
            "plan[1].price[1].per",
            "whole number from 1",
        ),
        (
            "test = \"price_b\"",
            "test = \"price_a\"",
            39,
            "plan[1].price[1].stripe.test",
            "already the price on line 33",
        ),
        (
            "env = \"LIVE_A\"",
            "env = \"BAD\"",
            33,
            "plan[1].price[0].stripe.live",
            "which the environment variable BAD holds",
        ),
        (
            "quantity = { min = 1, max = 10 }",
            "flag = \"alpha\"",
            26,
            "plan[1].flag",
            "add a [flags.alpha] section",
        ),
        (
            "quantity = { min = 1, max = 10 }",
            "visibility = \"contact_us\"",
            23,
            "plan[1].contact_url",
            "is missing",
        ),
        (
            "quantity = { min = 1, max = 10 }",
            "contact_url = \"https://x\"",
            26,
            "plan[1].contact_url",
            "only used with visibility",
        ),
        (
            "limits = { hours = 1 }",
            "trial = { days = 1 }",
            22,
            "plan[0].trial",
            "needs no trial",
        ),
        (
            "limit = \"hours\" }",
            "limit = \"days\" }",
            30,
            "plan[1].price",
            "not a limit of this plan",
        ),
        (
            "amount_minor = 1000",
            "amount_minor = 0",
            23,
            "plan[1]",
            "only one plan can be the free one",
        ),
    ];
    let env: BTreeMap<&str, &str> = BTreeMap::from([("BAD", "not an id")]);
    let env = |name: &str| env.get(name).map(|value| (*value).to_owned());
    read(BASE, "test.toml", &env).unwrap();
    for (old, new, line, key, part) in table {
        assert!(BASE.contains(old), "{old}");
        let text = BASE.replacen(old, new, 1);
        let Err(PlansError::Invalid { problems, .. }) = read(&text, "test.toml", &env) else {
            panic!("{new:?} was accepted");
        };
        let fits = |p: &&crate::toml_text::Problem| p.key == *key && p.message.contains(part);
        let found = problems
            .iter()
            .find(fits)
            .unwrap_or_else(|| panic!("{new:?} gave {problems:#?}"));
        assert_eq!(found.line, *line, "{new:?}: {found}");
    }
}

#[test]
fn sizes_are_bounded_one_below_at_and_above() {
    let plans = |count: usize| {
        let plan = |n: usize| format!("[[plan]]\ncode = \"p{n}\"\nname = \"P\"\nactive = false\n");
        format!("currency = \"USD\"\n{}", (0..count).map(plan).collect::<String>())
    };
    assert!(read(&plans(499), "x", &|_| None).is_ok());
    assert!(read(&plans(500), "x", &|_| None).is_ok());
    assert!(
        read(&plans(501), "x", &|_| None)
            .unwrap_err()
            .to_string()
            .contains("at most 500")
    );
    let limits = |count: usize| {
        let resources: String = (0..count.min(200))
            .map(|n| format!("[resources.r{n}]\nkind = \"gauge\"\n"))
            .collect();
        let entries: String = (0..count).map(|n| format!("r{n} = 1\n")).collect();
        format!("currency = \"USD\"\n{resources}[[plan]]\ncode = \"p\"\nname = \"P\"\n[plan.limits]\n{entries}")
    };
    assert!(read(&limits(200), "x", &|_| None).is_ok());
    assert!(
        read(&limits(201), "x", &|_| None)
            .unwrap_err()
            .to_string()
            .contains("at most 200")
    );
    let padded = |bytes: usize| format!("{BUNDLED}#{}", "x".repeat(bytes - BUNDLED.len() - 1));
    assert!(read(&padded(1_048_576), "x", &|_| None).is_ok());
    let error = read(&padded(1_048_577), "big.toml", &|_| None).unwrap_err().to_string();
    assert_eq!(
        error,
        "the plan catalogue big.toml is 1048577 bytes long; at most 1048576 are read"
    );
    assert!(
        read("currency = \"USD\"\n", "x", &|_| None)
            .unwrap_err()
            .to_string()
            .contains("add a [[plan]] section")
    );
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let source = crate::plans::Source::File("/nowhere/plans.toml".into());
    let error = crate::plans::load(&source, &|_| None).unwrap_err().to_string();
    assert!(
        error.contains("/nowhere/plans.toml") && error.contains("PLANS__FILE"),
        "{error}"
    );
}

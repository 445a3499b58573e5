//! The whole file: its sections, and the rules that hold across plans.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use aggregates::money::Currency;
use aggregates::plan::{Feature, Flag, LIMITS_MAX, LimitKind, OnOutage, PLANS_MAX, Plan, Terms, Unit, Window};

use super::{plan, policy};
use crate::toml_text::{Problem, Report, Table, Value};

/// What plans refer to: resources, features and flags declared once for all, and what was seen so far.
pub(super) struct Scope<'e> {
    pub(super) currency: Currency,
    pub(super) resources: BTreeMap<String, Resource>,
    pub(super) outages: BTreeMap<String, OnOutage>,
    pub(super) flags: BTreeSet<String>,
    pub(super) env: &'e dyn Fn(&str) -> Option<String>,
    pub(super) seen_prices: RefCell<BTreeMap<String, usize>>,
    pub(super) notices: RefCell<Vec<String>>,
}

/// A resource: what its limit means in every plan.
#[derive(Clone)]
pub(super) struct Resource {
    pub(super) title: String,
    pub(super) kind: LimitKind,
    pub(super) unit: Unit,
    pub(super) warn_at: Vec<u32>,
    pub(super) on_outage: Option<OnOutage>,
}

/// Longest a reservation of a concurrent resource is held if nobody says otherwise: an hour outlives any ordinary run.
const CONCURRENT_TTL_S: u32 = 3_600;
/// Warnings if the catalogue names none.
const WARN_AT: [u32; 2] = [80, 95];

/// Terms and notices, or every problem of the text.
pub(super) fn parse(text: &str, env: &dyn Fn(&str) -> Option<String>) -> Result<(Terms, Vec<String>), Vec<Problem>> {
    let report = Report::new(text);
    let Some(document) = report.parse() else {
        return Err(report.into_problems());
    };
    let root = Table::new(&report, String::new(), 0..0, document.get_ref());
    let parsed = sections(&report, root, env);
    match parsed {
        Some(done) if report.is_clean() => Ok(done),
        Some(_) | None => Err(report.into_problems()),
    }
}

fn sections(
    report: &Report<'_>,
    root: Table<'_, '_>,
    env: &dyn Fn(&str) -> Option<String>,
) -> Option<(Terms, Vec<String>)> {
    let currency = root
        .need("currency")
        .and_then(|value| currency(&value))
        .or_else(|| Currency::parse("USD").ok())?;
    let flags = flags(&root);
    let scope = Scope {
        currency,
        resources: resources(&root),
        outages: outages(&root),
        flags: flags.iter().map(|flag| flag.name.clone()).collect(),
        env,
        seen_prices: RefCell::default(),
        notices: RefCell::default(),
    };
    let plans = plans(report, &root, &scope);
    let billing_pages_flag = root.get("billing_pages_flag").and_then(|value| name(&value));
    let terms = Terms {
        currency,
        plans,
        checkout: policy::checkout(&root),
        flags,
        billing_pages_flag: billing_pages_flag.unwrap_or_else(|| "billing_pages".to_owned()),
        dunning: policy::dunning(&root),
        disputes: policy::disputes(&root),
        tenant_keys: policy::tenant_keys(&root),
    };
    root.finish();
    Some((terms, scope.notices.into_inner()))
}

fn plans(report: &Report<'_>, root: &Table<'_, '_>, scope: &Scope<'_>) -> Vec<Plan> {
    let tables = root.tables("plan");
    if tables.is_empty() {
        root.wrong("plan", "a catalogue needs at least one plan; add a [[plan]] section");
    }
    if tables.len() > PLANS_MAX {
        root.wrong(
            "plan",
            format!("has {} plans; at most {PLANS_MAX} are allowed", tables.len()),
        );
        return Vec::new();
    }
    let mut plans: Vec<Plan> = Vec::new();
    let mut lines: BTreeMap<String, usize> = BTreeMap::new();
    let mut free_line: Option<usize> = None;
    for (index, table) in tables.into_iter().enumerate() {
        let (at, path) = (table.at.clone(), table.path.clone());
        let line = report.line(at.start);
        let Some(plan) = plan::plan(table, index, scope) else {
            continue;
        };
        if let Some(first) = lines.insert(plan.code.as_str().to_owned(), line) {
            let message = format!(
                "{:?} is already the code of the plan on line {first}; codes are unique",
                plan.code.as_str()
            );
            report.add(at.clone(), &format!("{path}.code"), message);
        }
        if plan.active && plan.is_free() {
            if let Some(first) = free_line {
                let message = format!(
                    "has no price, and neither has the plan on line {first}; only one plan can be the free one: add a price, or visibility = \"contact_us\", or active = false"
                );
                report.add(at, &path, message);
            }
            free_line.get_or_insert(line);
        }
        plans.push(plan);
    }
    plans
}

/// A currency code.
pub(super) fn currency(value: &Value<'_, '_>) -> Option<Currency> {
    let text = value.text()?;
    match Currency::parse(text) {
        Ok(currency) if currency.is_iso() => Some(currency),
        Ok(_) | Err(_) => {
            value.wrong(format!(
                "{text:?} is not a currency; use a three-letter ISO 4217 code such as \"USD\""
            ));
            None
        }
    }
}

/// A name of a resource, feature or flag: 1 to 64 of `[a-z0-9_-]`.
pub(super) fn name(value: &Value<'_, '_>) -> Option<String> {
    let text = value.text()?;
    if is_name(text) {
        return Some(text.to_owned());
    }
    value.wrong(format!(
        "{text:?} is not a name; use 1 to 64 of the characters a-z 0-9 _ -"
    ));
    None
}

/// Whether a text is a name.
pub(super) fn is_name(text: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'_' | b'-');
    !text.is_empty() && text.len() <= 64 && text.bytes().all(allowed)
}

fn named_tables<'r, 't>(root: &Table<'r, 't>, section: &str) -> Vec<(String, Table<'r, 't>)> {
    let Some(section) = root.get(section).and_then(|value| value.table()) else {
        return Vec::new();
    };
    let mut named = Vec::new();
    for (name, value) in section.entries() {
        if !is_name(&name) {
            value.wrong(format!(
                "{name:?} is not a name; use 1 to 64 of the characters a-z 0-9 _ -"
            ));
        }
        named.extend(value.table().map(|table| (name, table)));
    }
    named
}

fn resources(root: &Table<'_, '_>) -> BTreeMap<String, Resource> {
    let named = named_tables(root, "resources");
    if named.len() > LIMITS_MAX {
        root.wrong(
            "resources",
            format!("has {} resources; at most {LIMITS_MAX} are allowed", named.len()),
        );
    }
    named
        .into_iter()
        .filter_map(|(name, table)| Some((name.clone(), resource(&name, table)?)))
        .collect()
}

fn resource(name: &str, table: Table<'_, '_>) -> Option<Resource> {
    let kind = kind(&table);
    let resource = Resource {
        title: table
            .get("title")
            .and_then(|value| value.text())
            .map_or_else(|| sentence(name), str::to_owned),
        kind: kind.unwrap_or(LimitKind::Gauge),
        unit: table
            .get("unit")
            .and_then(|value| unit(&value))
            .unwrap_or_else(|| plain_unit(name)),
        warn_at: table
            .get("warn_at")
            .map_or_else(|| WARN_AT.to_vec(), |value| warn_at(&value)),
        on_outage: table.get("on_outage").and_then(|value| on_outage(&value)),
    };
    table.finish();
    kind.map(|_| resource)
}

fn kind(table: &Table<'_, '_>) -> Option<LimitKind> {
    let word = table
        .need("kind")?
        .choice(&[("counter", 0), ("gauge", 1), ("rate", 2), ("concurrent", 3)])?;
    let window = table.get("window").and_then(|value| {
        value.choice(&[
            ("day", Window::Day),
            ("month", Window::Month),
            ("billing_period", Window::BillingPeriod),
            ("lifetime", Window::Lifetime),
        ])
    });
    let per_s = table
        .get("per")
        .and_then(|value| value.choice(&[("second", 1), ("minute", 60), ("hour", 3_600)]));
    let ttl = table
        .get("ttl_s")
        .and_then(|value| value.unsigned(1..=86_400))
        .and_then(|ttl| u32::try_from(ttl).ok());
    if word != 0 && window.is_some() {
        table.wrong(
            "window",
            "only a counter has a window; remove it, or set kind = \"counter\"",
        );
    }
    if word != 2 && per_s.is_some() {
        table.wrong("per", "only a rate has it; remove it, or set kind = \"rate\"");
    }
    if word != 3 && ttl.is_some() {
        table.wrong(
            "ttl_s",
            "only a concurrent resource has it; remove it, or set kind = \"concurrent\"",
        );
    }
    Some(match word {
        0 => LimitKind::Counter {
            window: window.unwrap_or(Window::Month),
        },
        1 => LimitKind::Gauge,
        2 => LimitKind::Rate {
            per_s: per_s.unwrap_or(60),
        },
        _ => LimitKind::Concurrent {
            ttl_s: ttl.unwrap_or(CONCURRENT_TTL_S),
        },
    })
}

fn plain_unit(name: &str) -> Unit {
    let word = name.replace(['_', '-'], " ");
    Unit {
        base: word.clone(),
        display: word,
        factor: 1,
    }
}

fn unit(value: &Value<'_, '_>) -> Option<Unit> {
    let table = value.table()?;
    let base = table.need("base").and_then(|value| value.text()).map(str::to_owned);
    let display = table.get("display").and_then(|value| value.text()).map(str::to_owned);
    let factor = table
        .get("factor")
        .map_or(Some(1), |value| value.unsigned(1..=1_000_000_000_000_000));
    table.finish();
    let base = base?;
    Some(Unit {
        display: display.unwrap_or_else(|| base.clone()),
        base,
        factor: factor?,
    })
}

/// Percentages at which to warn, ascending.
pub(super) fn warn_at(value: &Value<'_, '_>) -> Vec<u32> {
    let percent = |element: &Value<'_, '_>| element.unsigned(1..=99).and_then(|n| u32::try_from(n).ok());
    let list: Vec<u32> = value.elements().iter().filter_map(percent).collect();
    if !list.is_sorted_by(|a, b| a < b) {
        value.wrong("must ascend, each percentage once, for instance [80, 95]");
    }
    list
}

/// `open` or `closed`.
pub(super) fn on_outage(value: &Value<'_, '_>) -> Option<OnOutage> {
    value.choice(&[("closed", OnOutage::Closed), ("open", OnOutage::Open)])
}

/// `test_runs` as `Test runs`.
fn sentence(name: &str) -> String {
    let words = name.replace(['_', '-'], " ");
    let mut letters = words.chars();
    letters
        .next()
        .map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

fn outages(root: &Table<'_, '_>) -> BTreeMap<String, OnOutage> {
    let read = |(name, table): (String, Table<'_, '_>)| {
        let answer = table.need("on_outage").and_then(|value| on_outage(&value));
        table.finish();
        Some((name, answer?))
    };
    named_tables(root, "features").into_iter().filter_map(read).collect()
}

fn flags(root: &Table<'_, '_>) -> Vec<Flag> {
    let read = |(name, table): (String, Table<'_, '_>)| {
        let texts = |value: Value<'_, '_>| {
            value
                .elements()
                .iter()
                .filter_map(|one| one.text().map(str::to_owned))
                .collect::<Vec<_>>()
        };
        let percent = table.get("percent").map_or(Some(0), |value| value.unsigned(0..=100));
        let flag = Flag {
            name,
            description: table
                .need("description")
                .and_then(|value| value.text())
                .unwrap_or_default()
                .to_owned(),
            environments: table.get("environments").map(texts).unwrap_or_default(),
            percent: u32::try_from(percent.unwrap_or(0)).unwrap_or(0),
            default_on: table.get("default").and_then(|value| value.boolean()).unwrap_or(false),
        };
        table.finish();
        flag
    };
    named_tables(root, "flags").into_iter().map(read).collect()
}

/// A feature with what guards answer for it during an outage.
pub(super) fn feature(name: String, value: aggregates::plan::FeatureValue, scope: &Scope<'_>) -> Feature {
    let on_outage = scope.outages.get(&name).copied();
    Feature { name, value, on_outage }
}

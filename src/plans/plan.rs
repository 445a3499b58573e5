//! One `[[plan]]` section.

use aggregates::ids::{PlanCode, PriceId};
use aggregates::money::{MINOR_MAX, Money};
use aggregates::plan::{
    AtLimit, Feature, FeatureValue, Interval, LIMITS_MAX, Limit, LimitKind, LimitValue, Metered, Plan, Price, PriceIds,
    QUANTITY_MAX, QuantityRange, TopUp, Trial, TrialCard, Visibility, Workspace,
};
use toml::de::DeValue;

use super::parse::{Resource, Scope, currency, feature, is_name, warn_at};
use crate::toml_text::{Table, Value};

/// Longest trial Stripe accepts, in days.
const TRIAL_DAYS_MAX: u64 = 730;
/// Most prices of one plan: two intervals in every currency Stripe settles, with room for retired ones.
const PRICES_MAX: usize = 500;
/// Most units one price amount may pay for.
const PER_MAX: u64 = 1_000_000_000_000;

/// The plan of a table; `None` when its code or name is unusable, which is then reported.
pub(super) fn plan(table: Table<'_, '_>, index: usize, scope: &Scope<'_>) -> Option<Plan> {
    let code = table.need("code").and_then(|value| code(&value));
    let title = table.need("name").and_then(|value| value.text()).map(str::to_owned);
    let order = table.get("order").and_then(|value| value.unsigned(0..=1_000_000));
    let label = code
        .as_ref()
        .map_or_else(|| format!("plan[{index}]"), ToString::to_string);
    let (visibility, contact) = (visibility(&table), table.get("contact_url").is_some());
    if contact && !matches!(visibility, Visibility::ContactUs { .. }) {
        table.wrong(
            "contact_url",
            "is only used with visibility = \"contact_us\"; remove one of them",
        );
    }
    let boolean = |key, default| table.get(key).and_then(|value| value.boolean()).unwrap_or(default);
    let plan = Plan {
        name: title.unwrap_or_default(),
        description: table
            .get("description")
            .and_then(|v| v.text())
            .unwrap_or_default()
            .to_owned(),
        active: boolean("active", true),
        visibility,
        order: order
            .and_then(|n| u32::try_from(n).ok())
            .or_else(|| u32::try_from(index).ok())
            .unwrap_or(u32::MAX),
        most_popular: boolean("most_popular", false),
        unit: table.get("unit").and_then(|value| value.text()).map(str::to_owned),
        trial: table.get("trial").and_then(|value| trial(&value)),
        quantity: table
            .get("quantity")
            .and_then(|value| quantity(&value))
            .unwrap_or_default(),
        prices: prices(&table, &label, scope),
        limits: limits(&table, scope),
        features: features(&table, scope),
        workspace: table.get("workspace").and_then(|value| workspace(&value)),
        flag: flag(&table, scope),
        code: code?,
    };
    check(&table, &plan);
    table.finish();
    Some(plan)
}

fn code(value: &Value<'_, '_>) -> Option<PlanCode> {
    let text = value.text()?;
    PlanCode::parse(text)
        .map_err(|error| value.wrong(error.to_string()))
        .ok()
}

fn visibility(table: &Table<'_, '_>) -> Visibility {
    let word = table
        .get("visibility")
        .and_then(|v| v.choice(&[("public", 0), ("hidden", 1), ("contact_us", 2)]));
    match word {
        Some(1) => Visibility::Hidden,
        Some(2) => {
            let url = table.need("contact_url");
            let text = url.as_ref().and_then(Value::text).unwrap_or_default();
            let known = ["https://", "http://", "mailto:"]
                .iter()
                .any(|scheme| text.starts_with(scheme));
            if let (Some(url), false) = (&url, known || text.is_empty()) {
                url.wrong("must be an address that begins with https://, http:// or mailto:");
            }
            Visibility::ContactUs { url: text.to_owned() }
        }
        Some(_) | None => Visibility::Public,
    }
}

/// Rules between the parts of one plan.
fn check(table: &Table<'_, '_>, plan: &Plan) {
    if plan.is_contact_us() && plan.prices.iter().any(|price| price.active) {
        table.wrong(
            "price",
            "a plan sold by talking to people has no price here; remove the prices or the visibility",
        );
    }
    if plan.trial.is_some() && plan.is_free() {
        table.wrong(
            "trial",
            "a plan without a price needs no trial; remove it or add a price",
        );
    }
    for (index, price) in plan.prices.iter().enumerate() {
        let twin = |other: &Price| {
            other.active
                && price.active
                && other.is_licensed()
                && price.is_licensed()
                && other.flag == price.flag
                && other.interval == price.interval
                && other.currency == price.currency
        };
        if plan.prices.iter().take(index).any(twin) {
            let message = format!(
                "the plan already has an active price each {} in {}; set active = false on the one no longer sold",
                price.interval.as_str(),
                price.currency
            );
            table.wrong("price", message);
        }
        if let Some(metered) = &price.metered
            && plan.limit(&metered.limit).is_none()
        {
            table.wrong(
                "price",
                format!(
                    "bills the use of {:?}, which is not a limit of this plan; add it under limits",
                    metered.limit
                ),
            );
        }
    }
    for limit in &plan.limits {
        let billed = plan
            .prices
            .iter()
            .any(|price| price.metered.as_ref().is_some_and(|m| m.limit == limit.name));
        if matches!(limit.at_limit, AtLimit::Allow { .. }) && !billed {
            let message = format!(
                "{:?} may be exceeded, but no metered price of the plan bills it; add a price with meter.limit = {:?}",
                limit.name, limit.name
            );
            table.wrong("limits", message);
        }
    }
}

fn flag(table: &Table<'_, '_>, scope: &Scope<'_>) -> Option<String> {
    let value = table.get("flag")?;
    let text = value.text()?;
    if !scope.flags.contains(text) {
        value.wrong(format!(
            "names the flag {text:?}, which is not defined; add a [flags.{text}] section"
        ));
    }
    Some(text.to_owned())
}

fn trial(value: &Value<'_, '_>) -> Option<Trial> {
    let table = value.table()?;
    let days = table.need("days").and_then(|value| value.unsigned(1..=TRIAL_DAYS_MAX));
    let card = table
        .get("card")
        .and_then(|value| value.choice(&[("required", TrialCard::Required), ("optional", TrialCard::Optional)]));
    table.finish();
    Some(Trial {
        days: u32::try_from(days?).ok()?,
        card: card.unwrap_or_default(),
    })
}

fn quantity(value: &Value<'_, '_>) -> Option<QuantityRange> {
    let table = value.table()?;
    let bound = |key, default| {
        table
            .get(key)
            .map_or(Some(default), |value| value.unsigned(1..=QUANTITY_MAX))
    };
    let (min, max) = (bound("min", 1), bound("max", QUANTITY_MAX));
    let range = QuantityRange { min: min?, max: max? };
    if range.min > range.max {
        table.wrong("min", format!("is above the maximum of {}; swap them", range.max));
    }
    table.finish();
    Some(range)
}

fn workspace(value: &Value<'_, '_>) -> Option<Workspace> {
    let table = value.table()?;
    let number = |key, max| {
        table
            .need(key)
            .and_then(|v| v.unsigned(1..=max))
            .and_then(|n| u32::try_from(n).ok())
    };
    let (ram_mb, cpu_milli) = (number("ram_mb", 16_000_000), number("cpu_milli", 1_000_000));
    let (storage_mb, pids) = (number("storage_mb", 1_000_000_000), number("pids", 4_194_304));
    table.finish();
    Some(Workspace {
        ram_mb: ram_mb?,
        cpu_milli: cpu_milli?,
        storage_mb: storage_mb?,
        pids: pids?,
    })
}

fn prices(plan: &Table<'_, '_>, label: &str, scope: &Scope<'_>) -> Vec<Price> {
    let tables = plan.tables("price");
    if tables.len() > PRICES_MAX {
        plan.wrong(
            "price",
            format!("has {} prices; at most {PRICES_MAX} are allowed", tables.len()),
        );
        return Vec::new();
    }
    tables
        .into_iter()
        .filter_map(|table| price(table, label, scope))
        .collect()
}

fn price(table: Table<'_, '_>, label: &str, scope: &Scope<'_>) -> Option<Price> {
    let interval = table
        .need("interval")
        .and_then(|v| v.choice(&[("month", Interval::Month), ("year", Interval::Year)]));
    let amount = table
        .need("amount_minor")
        .and_then(|value| value.integer(0..=MINOR_MAX));
    let per = table.get("per").map_or(Some(1), |value| value.unsigned(1..=PER_MAX));
    let own = table
        .get("currency")
        .map_or(Some(scope.currency), |value| currency(&value));
    let metered = table.get("meter").and_then(|value| meter(&value));
    let stripe = table.get("stripe").map(|value| ids(&value, scope)).unwrap_or_default();
    let active = table.get("active").and_then(|value| value.boolean()).unwrap_or(true);
    let flag = flag(&table, scope);
    table.finish();
    let (interval, amount_minor) = (interval?, amount?);
    let price = Price {
        interval,
        currency: own?,
        amount_minor,
        per: per?,
        metered,
        stripe,
        active,
        flag,
    };
    if price.active && amount_minor > 0 && price.stripe.iter().next().is_none() {
        let notice = format!(
            "the {} price of {label} has no id at Stripe yet; nobody can buy it",
            interval.as_str()
        );
        scope.notices.borrow_mut().push(notice);
    }
    Some(price)
}

fn meter(value: &Value<'_, '_>) -> Option<Metered> {
    let table = value.table()?;
    let event_name = table
        .need("event_name")
        .and_then(|value| value.text())
        .map(str::to_owned);
    let limit = table.need("limit").and_then(|value| value.text()).map(str::to_owned);
    table.finish();
    Some(Metered {
        event_name: event_name?,
        limit: limit?,
    })
}

/// `{ test = "price_...", live = { env = "NAME" } }`.
fn ids(value: &Value<'_, '_>, scope: &Scope<'_>) -> PriceIds {
    let Some(table) = value.table() else {
        return PriceIds::default();
    };
    let ids = PriceIds {
        test: table.get("test").and_then(|value| id(&value, scope)),
        live: table.get("live").and_then(|value| id(&value, scope)),
    };
    table.finish();
    ids
}

fn id(value: &Value<'_, '_>, scope: &Scope<'_>) -> Option<PriceId> {
    let (text, from) = if let DeValue::Table(_) = value.raw() {
        let table = value.table()?;
        let name = table.need("env").and_then(|value| value.text()).map(str::to_owned);
        table.finish();
        let name = name?;
        (
            (scope.env)(&name)?,
            format!(", which the environment variable {name} holds,"),
        )
    } else {
        (value.text()?.to_owned(), String::new())
    };
    let Ok(id) = PriceId::parse(&text) else {
        value.wrong(format!(
            "{text:?}{from} is not a Stripe price id; copy it from Stripe, it begins with price_"
        ));
        return None;
    };
    let line = value.line();
    if let Some(first) = scope.seen_prices.borrow_mut().insert(text.clone(), line) {
        value.wrong(format!(
            "{text:?}{from} is already the price on line {first}; one Stripe price belongs to one price here"
        ));
    }
    Some(id)
}

fn features(plan: &Table<'_, '_>, scope: &Scope<'_>) -> Vec<Feature> {
    let Some(table) = plan.get("features").and_then(|value| value.table()) else {
        return Vec::new();
    };
    let read = |(name, value): (String, Value<'_, '_>)| {
        if !is_name(&name) {
            value.wrong(format!(
                "{name:?} is not a name; use 1 to 64 of the characters a-z 0-9 _ -"
            ));
        }
        let worth = match value.raw() {
            DeValue::Boolean(granted) => FeatureValue::Bool(*granted),
            DeValue::String(_) => FeatureValue::Text(value.text()?.to_owned()),
            DeValue::Integer(_) | DeValue::Float(_) | DeValue::Datetime(_) | DeValue::Array(_) | DeValue::Table(_) => {
                value.wrong("a feature is true, false or a text in quotes; for a number define a resource and a limit");
                return None;
            }
        };
        Some(feature(name, worth, scope))
    };
    table.entries().into_iter().filter_map(read).collect()
}

fn limits(plan: &Table<'_, '_>, scope: &Scope<'_>) -> Vec<Limit> {
    let Some(table) = plan.get("limits").and_then(|value| value.table()) else {
        return Vec::new();
    };
    let entries = table.entries();
    if entries.len() > LIMITS_MAX {
        plan.wrong(
            "limits",
            format!("has {} limits; at most {LIMITS_MAX} are allowed", entries.len()),
        );
        return Vec::new();
    }
    entries
        .into_iter()
        .filter_map(|(name, value)| limit(name, &value, scope))
        .collect()
}

fn limit(name: String, value: &Value<'_, '_>, scope: &Scope<'_>) -> Option<Limit> {
    let Some(resource) = scope.resources.get(&name) else {
        let near = crate::toml_text::nearest(&name, scope.resources.keys().map(String::as_str));
        let hint = near.map_or_else(
            || format!("add a [resources.{name}] section"),
            |near| format!("did you mean `{near}`?"),
        );
        value.wrong(format!("{name:?} is not a resource of this catalogue; {hint}"));
        return None;
    };
    if !matches!(value.raw(), DeValue::Table(_)) {
        return Some(build(name, resource, amount(value, resource)?, false, AtLimit::Block));
    }
    let table = value.table()?;
    let worth = table.need("value").and_then(|value| amount(&value, resource));
    let per_unit = table.get("per_unit").and_then(|value| value.boolean()).unwrap_or(false);
    let at_limit = at_limit(&table, resource, scope);
    let warnings = table.get("warn_at").map(|value| warn_at(&value));
    table.finish();
    let mut limit = build(name, resource, worth?, per_unit, at_limit?);
    limit.warn_at = warnings.unwrap_or(limit.warn_at);
    Some(limit)
}

fn build(name: String, resource: &Resource, value: LimitValue, per_unit: bool, at_limit: AtLimit) -> Limit {
    Limit {
        name,
        title: resource.title.clone(),
        kind: resource.kind,
        unit: resource.unit.clone(),
        value,
        per_unit,
        at_limit,
        warn_at: resource.warn_at.clone(),
        on_outage: resource.on_outage,
    }
}

/// A number of display units, turned into base units, or `"unlimited"`.
fn amount(value: &Value<'_, '_>, resource: &Resource) -> Option<LimitValue> {
    if let DeValue::String(_) = value.raw() {
        return value.choice(&[("unlimited", LimitValue::Unlimited)]);
    }
    base_units(value, resource, 0).map(LimitValue::Units)
}

fn base_units(value: &Value<'_, '_>, resource: &Resource, least: u64) -> Option<u64> {
    let shown = value.unsigned(least..=i64::MAX.unsigned_abs())?;
    // The stores keep signed 64-bit numbers.
    let base = shown
        .checked_mul(resource.unit.factor)
        .filter(|base| i64::try_from(*base).is_ok());
    if base.is_none() {
        let message = format!(
            "{shown} {} is too large to count in {}s; lower it",
            resource.unit.display, resource.unit.base
        );
        value.wrong(message);
    }
    base
}

fn at_limit(table: &Table<'_, '_>, resource: &Resource, scope: &Scope<'_>) -> Option<AtLimit> {
    let word = table
        .get("at_limit")
        .map_or(Some(0), |v| v.choice(&[("block", 0), ("allow", 1), ("top_up", 2)]))?;
    if word != 0 && !matches!(resource.kind, LimitKind::Counter { .. } | LimitKind::Gauge) {
        table.wrong(
            "at_limit",
            "only a counter or a gauge can be exceeded or topped up; use \"block\"",
        );
    }
    match word {
        0 => Some(AtLimit::Block),
        1 => {
            let cap = table.get("cap").map(|value| base_units(&value, resource, 1));
            if cap == Some(None) {
                None
            } else {
                Some(AtLimit::Allow { cap: cap.flatten() })
            }
        }
        _ => top_up(table, resource, scope).map(AtLimit::TopUp),
    }
}

fn top_up(table: &Table<'_, '_>, resource: &Resource, scope: &Scope<'_>) -> Option<TopUp> {
    let pack = table.need("pack").and_then(|value| base_units(&value, resource, 1));
    let minor = table
        .need("pack_amount_minor")
        .and_then(|value| value.integer(0..=MINOR_MAX));
    let own = table
        .get("pack_currency")
        .map_or(Some(scope.currency), |value| currency(&value));
    let packs_max = table.need("packs_max").and_then(|value| value.unsigned(1..=10_000));
    let stripe = table
        .get("pack_stripe")
        .map(|value| ids(&value, scope))
        .unwrap_or_default();
    let price = Money::try_new(minor?, own?).ok()?;
    Some(TopUp {
        pack: pack?,
        price,
        stripe,
        packs_max: u32::try_from(packs_max?).ok()?,
    })
}

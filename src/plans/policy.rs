//! Sections that hold for all plans: checkout, dunning, disputes and metadata keys.

use aggregates::plan::{
    AccessOnDispute, BillingAddress, Checkout, DisputePolicy, DunningAction, DunningPolicy, DunningStep,
};

use crate::toml_text::Table;

/// Longest dunning, in days: after a quarter there is nothing left to remind of.
const DUNNING_DAY_MAX: u64 = 90;
/// Most metadata keys that may hold a tenant id.
const TENANT_KEYS_MAX: usize = 20;
/// The metadata key that always holds our tenant id.
const TENANT_KEY: &str = "tenant_id";

fn section<'r, 't>(root: &Table<'r, 't>, name: &str) -> Option<Table<'r, 't>> {
    root.get(name)?.table()
}

/// `[checkout]`.
pub(super) fn checkout(root: &Table<'_, '_>) -> Checkout {
    let Some(table) = section(root, "checkout") else {
        return Checkout::default();
    };
    let flag = |key| table.get(key).and_then(|value| value.boolean()).unwrap_or(false);
    let address = table
        .get("billing_address")
        .and_then(|value| value.choice(&[("auto", BillingAddress::Auto), ("required", BillingAddress::Required)]));
    let checkout = Checkout {
        automatic_tax: flag("automatic_tax"),
        collect_tax_id: flag("collect_tax_id"),
        billing_address: address.unwrap_or_default(),
        promotion_codes: flag("promotion_codes"),
    };
    table.finish();
    checkout
}

/// `[dunning]`: `grace_days` and `[[dunning.step]]`.
pub(super) fn dunning(root: &Table<'_, '_>) -> DunningPolicy {
    let Some(table) = section(root, "dunning") else {
        return DunningPolicy::default();
    };
    let tables = table.tables("step");
    let steps = if tables.is_empty() {
        DunningPolicy::default().steps
    } else {
        steps(&table, tables)
    };
    let restricts = steps
        .iter()
        .find(|step| step.action == DunningAction::Restrict)
        .map(|step| step.day);
    let grace = table
        .get("grace_days")
        .and_then(|value| value.unsigned(0..=DUNNING_DAY_MAX));
    let grace = grace.and_then(|days| u32::try_from(days).ok());
    if let (Some(grace), Some(day)) = (grace, restricts)
        && !table.tables("step").is_empty()
        && grace > day
    {
        table.wrong(
            "grace_days",
            format!("lasts longer than day {day}, on which a step restricts access; lower it"),
        );
    }
    let policy = DunningPolicy {
        grace_days: grace.or(restricts).unwrap_or(7),
        steps,
    };
    table.finish();
    policy
}

fn steps(parent: &Table<'_, '_>, tables: Vec<Table<'_, '_>>) -> Vec<DunningStep> {
    let mut steps: Vec<DunningStep> = Vec::new();
    for table in tables {
        let day = table.need("day").and_then(|value| value.unsigned(0..=DUNNING_DAY_MAX));
        let action = table.need("action").and_then(|value| {
            value.choice(&[
                ("remind", DunningAction::Remind),
                ("urgent", DunningAction::Urgent),
                ("restrict", DunningAction::Restrict),
                ("final_notice", DunningAction::FinalNotice),
                ("cancel", DunningAction::Cancel),
            ])
        });
        if let (Some(day), Some(action)) = (day.and_then(|day| u32::try_from(day).ok()), action) {
            if steps.last().is_some_and(|last| last.day >= day) {
                table.wrong("day", "must be later than the step before; put the steps in order");
            }
            steps.push(DunningStep { day, action });
        }
        table.finish();
    }
    let cancels = steps.iter().position(|step| step.action == DunningAction::Cancel);
    if cancels.is_some_and(|at| at + 1 < steps.len()) {
        parent.wrong("step", "nothing can follow the step that cancels; put it last");
    }
    steps
}

/// `[disputes]`.
pub(super) fn disputes(root: &Table<'_, '_>) -> DisputePolicy {
    let Some(table) = section(root, "disputes") else {
        return DisputePolicy::default();
    };
    let access = |key| {
        table.get(key).and_then(|value| {
            value.choice(&[
                ("full", AccessOnDispute::Full),
                ("restricted", AccessOnDispute::Restricted),
                ("blocked", AccessOnDispute::Blocked),
            ])
        })
    };
    let default = DisputePolicy::default();
    let policy = DisputePolicy {
        open: access("open").unwrap_or(default.open),
        lost: access("lost").unwrap_or(default.lost),
    };
    table.finish();
    policy
}

/// `[metadata] tenant`: further keys under which Stripe objects carry our tenant id.
pub(super) fn tenant_keys(root: &Table<'_, '_>) -> Vec<String> {
    let mut keys = vec![TENANT_KEY.to_owned()];
    let Some(table) = section(root, "metadata") else {
        return keys;
    };
    if let Some(value) = table.get("tenant") {
        let elements = value.elements();
        if elements.len() > TENANT_KEYS_MAX {
            value.wrong(format!(
                "lists {} keys; at most {TENANT_KEYS_MAX} are tried",
                elements.len()
            ));
        }
        for element in elements {
            let Some(key) = element.text() else { continue };
            if key.len() > 40 {
                element.wrong("is longer than the 40 characters Stripe allows for a metadata key");
            } else if !keys.iter().any(|known| known == key) {
                keys.push(key.to_owned());
            }
        }
    }
    table.finish();
    keys
}

//! What a stream amounts to, as JSON: its objects with the terms that count. Two such states are compared field by
//! field to tell what an event changed.

use std::collections::BTreeMap;

use aggregates::operation::OperationState;
use aggregates::recorded::LedgerEvent;
use aggregates::register::Book;
use aggregates::snapshot::Snapshot;
use aggregates::stripe_object::ObjectState;
use aggregates::subscription::standing::{AccessPolicy, DisputeStanding, Standing};
use aggregates::subscription::{AccountState, IntentBook};
use serde::Serialize;
use serde_json::{Map, Value, json};
use utoipa::ToSchema;

/// Fields listed; an event that brings a new object of many fields is cut here.
pub const CHANGES_MAX: usize = 500;

/// A field that changed.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct FieldChange {
    /// JSON pointer into the state.
    pub pointer: String,
    /// What it was; null = it was not there.
    pub before: Value,
    /// What it is; null = it is gone.
    pub after: Value,
}

/// The fold of one stream of any kind.
#[derive(Debug, Default)]
pub struct Fold {
    account: AccountState,
    object: ObjectState,
    operation: OperationState,
}

impl Fold {
    /// Takes one event.
    pub fn take(&mut self, event: &LedgerEvent) {
        match event {
            LedgerEvent::Subscription(event) => self.account.evolve(event),
            LedgerEvent::StripeObject(event) => self.object.evolve(event),
            LedgerEvent::Operation(event) => self.operation.evolve(event),
        }
    }

    /// The state, for a stream of this aggregate type.
    #[must_use]
    pub fn state(&self, aggregate_type: &str, policy: &AccessPolicy) -> Value {
        match aggregate_type {
            aggregates::subscription::AGGREGATE_TYPE => account(&self.account, policy),
            aggregates::stripe_object::AGGREGATE_TYPE => json!({ "object": self.object.book.terms() }),
            _ => json!(self.operation),
        }
    }
}

fn objects<'a, K, T>(books: impl IntoIterator<Item = (&'a K, &'a Book<T>)>) -> Value
where
    K: ToString + 'a,
    T: Snapshot + Serialize + 'a,
{
    let known = books
        .into_iter()
        .filter_map(|(id, book)| Some((id.to_string(), json!(book.terms()?))));
    Value::Object(known.collect())
}

/// What people asked for that still matters, with how it stands.
fn intents(book: &IntentBook) -> Value {
    let known = book.iter().map(|it| {
        let shown = json!({
            "asked": it.asked,
            "status": it.status().as_str(),
            "proof": it.proof,
            "object": it.object,
            "merged_into": it.merged_into,
        });
        (it.id().to_string(), shown)
    });
    Value::Object(known.collect())
}

/// An account: whose it is, where it stands, every object with the terms that count, and what was asked for.
#[must_use]
pub fn account(state: &AccountState, policy: &AccessPolicy) -> Value {
    let standing = Standing::of(&state.life, DisputeStanding::of(&state.money.disputes), policy);
    let subscriptions = state.life.subscriptions.iter();
    let plans: BTreeMap<_, _> = subscriptions.clone().flat_map(|(_, it)| &it.plans).collect();
    let invoices = state.invoices.iter().map(|(id, it)| {
        let invoice = json!({ "invoice": it.invoice.terms(), "payments": objects(&it.payments) });
        (id.to_string(), invoice)
    });
    json!({
        "account": state.account,
        "standing": standing,
        "plans": plans,
        "subscriptions": objects(subscriptions.map(|(id, it)| (id, &it.book))),
        "schedules": objects(&state.life.schedules),
        "discounts": objects(&state.life.discounts),
        "payment_methods": objects(&state.life.payment_methods),
        "customers": objects(&state.life.customers),
        "invoices": Value::Object(invoices.collect()),
        "charges": objects(&state.money.charges),
        "refunds": objects(&state.money.refunds),
        "disputes": objects(&state.money.disputes),
        "credit_notes": objects(&state.money.credit_notes),
        "checkouts": objects(&state.money.checkouts),
        "intents": intents(&state.intents),
    })
}

/// Fields that differ, in the order of their pointers, at most [`CHANGES_MAX`].
#[must_use]
pub fn changes(before: &Value, after: &Value) -> Vec<FieldChange> {
    let mut found = Vec::new();
    compare(&mut String::new(), before, after, &mut found);
    found
}

fn compare(pointer: &mut String, before: &Value, after: &Value, found: &mut Vec<FieldChange>) {
    if before == after || found.len() >= CHANGES_MAX {
        return;
    }
    let nothing = Map::new();
    let (old, new) = match (before, after) {
        (Value::Object(old), Value::Object(new)) => (old, new),
        // A new object is told by its fields, so that each has a pointer of its own.
        (Value::Null, Value::Object(new)) if !new.is_empty() => (&nothing, new),
        (Value::Object(old), Value::Null) if !old.is_empty() => (old, &nothing),
        _ => {
            found.push(FieldChange {
                pointer: pointer.clone(),
                before: before.clone(),
                after: after.clone(),
            });
            return;
        }
    };
    let names: std::collections::BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    for name in names {
        let length = pointer.len();
        pointer.push('/');
        pointer.push_str(&name.replace('~', "~0").replace('/', "~1"));
        let of = |fields: &Map<String, Value>| fields.get(name).cloned().unwrap_or(Value::Null);
        compare(pointer, &of(old), &of(new), found);
        pointer.truncate(length);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_are_told_by_field() {
        let before = json!({ "a": 1, "b": { "c": [1], "d/e": 2 }, "gone": { "x": 1 } });
        let after = json!({ "a": 1, "b": { "c": [1, 2], "d/e": 3 }, "new": { "y": { "z": 4 } } });
        let told: Vec<(String, Value, Value)> = changes(&before, &after)
            .into_iter()
            .map(|it| (it.pointer, it.before, it.after))
            .collect();
        assert_eq!(
            told,
            [
                ("/b/c".into(), json!([1]), json!([1, 2])),
                ("/b/d~1e".into(), json!(2), json!(3)),
                ("/gone/x".into(), json!(1), Value::Null),
                ("/new/y/z".into(), Value::Null, json!(4)),
            ]
        );
        assert!(changes(&after, &after).is_empty());
    }

    #[test]
    fn no_more_changes_are_told_than_the_bound() {
        let many: Map<String, Value> = (0..CHANGES_MAX + 9).map(|n| (n.to_string(), json!(n))).collect();
        assert_eq!(changes(&json!({}), &Value::Object(many)).len(), CHANGES_MAX);
    }
}

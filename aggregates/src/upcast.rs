//! Old event versions to the current one, on raw JSON, when they are read; what is stored stays as it was written.
//!
//! A step is pure: it never reads the catalogue or a clock. A change that no step can express is a new event name.

use std::ops::Range;

use serde_json::Value;

/// Brings one event type from one version to the next.
#[derive(Clone, Copy, Debug)]
pub struct Step {
    /// Stored type, for instance `subscription.plan_changed`.
    pub event_type: &'static str,
    /// Version it reads; it gives the one after it.
    pub from: u32,
    /// Takes and gives the whole payload: one key, the event's name, over its content.
    pub lift: fn(Value) -> Value,
}

/// Every step there is. Version 1 is current, so there is none yet.
pub const STEPS: &[Step] = &[];

/// The payload in the current version. A version without a step for the type left it as it was.
#[must_use]
pub fn to_current(steps: &[Step], event_type: &str, versions: Range<u32>, payload: Value) -> Value {
    versions.fold(payload, |payload, version| {
        let step = steps
            .iter()
            .find(|step| step.event_type == event_type && step.from == version);
        match step {
            Some(step) => (step.lift)(payload),
            None => payload,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const FAKE: &[Step] = &[
        Step {
            event_type: "subscription.customer_linked",
            from: 1,
            lift: |payload| {
                let id = payload["customer_linked"]["id"].clone();
                json!({ "customer_linked": { "cust": id } })
            },
        },
        Step {
            event_type: "subscription.customer_linked",
            from: 3,
            lift: |payload| {
                let id = payload["customer_linked"]["cust"].clone();
                json!({ "customer_linked": { "customer": id } })
            },
        },
    ];

    #[test]
    fn steps_apply_in_order_from_the_stored_version_and_leave_other_types_alone() {
        let lift = |event_type: &str, from: u32, payload: Value| to_current(FAKE, event_type, from..4, payload);
        let first = json!({ "customer_linked": { "id": "cus_1" } });
        let third = json!({ "customer_linked": { "cust": "cus_1" } });
        let now = json!({ "customer_linked": { "customer": "cus_1" } });
        assert_eq!(lift("subscription.customer_linked", 1, first.clone()), now);
        assert_eq!(lift("subscription.customer_linked", 2, third.clone()), now);
        assert_eq!(lift("subscription.customer_linked", 3, third), now);
        assert_eq!(lift("subscription.customer_linked", 4, now.clone()), now);
        assert_eq!(lift("subscription.plan_changed", 1, first.clone()), first);
    }
}

//! Families of events by stored name: the index reads no payload, so that one it cannot read does not stop it.

/// Names of account events by family.
const SUBSCRIPTION: &[(&str, &[&str])] = &[
    (
        "account",
        &[
            "account_opened",
            "customer_linked",
            "tenant_assigned",
            "payment_method_changed",
            "billing_contact_changed",
            "customer_deleted",
            "customer_revised",
        ],
    ),
    (
        "checkout and portal",
        &[
            "checkout_requested",
            "checkout_started",
            "portal_session_opened",
            "checkout_completed",
            "checkout_expired",
            "checkout_payment_settled",
        ],
    ),
    (
        "life",
        &[
            "subscription_started",
            "trial_ending",
            "trial_extended",
            "trial_ended",
            "subscription_activated",
            "plan_changed",
            "plan_change_scheduled",
            "plan_change_withdrawn",
            "quantity_changed",
            "item_added",
            "item_removed",
            "discount_applied",
            "discount_removed",
            "period_advanced",
            "cancellation_scheduled",
            "cancellation_withdrawn",
            "subscription_paused",
            "subscription_resumed",
            "collection_paused",
            "collection_resumed",
            "payment_overdue",
            "subscription_unpaid",
            "payment_recovered",
            "subscription_ended",
            "subscription_revised",
            "status_unrecognised",
            "concurrent_subscriptions_found",
            "snapshot_confirmed",
            "late_snapshot_recorded",
        ],
    ),
    (
        "invoices",
        &[
            "invoice_drafted",
            "invoice_finalized",
            "invoice_upcoming_noticed",
            "invoice_paid",
            "invoice_payment_failed",
            "invoice_action_required",
            "invoice_overdue",
            "invoice_voided",
            "invoice_uncollectible",
            "invoice_revised",
            "invoice_payment_linked",
        ],
    ),
    (
        "money",
        &[
            "charge_succeeded",
            "charge_failed",
            "charge_revised",
            "refund_issued",
            "refund_settled",
            "refund_failed",
            "refund_revised",
            "dispute_opened",
            "dispute_funds_withdrawn",
            "dispute_funds_reinstated",
            "dispute_closed",
            "dispute_revised",
            "credit_note_issued",
            "credit_note_voided",
            "credit_note_revised",
            "customer_balance_changed",
        ],
    ),
    (
        "intents",
        &[
            "subscription_requested",
            "plan_change_requested",
            "plan_change_withdrawal_requested",
            "quantity_change_requested",
            "cancellation_requested",
            "resumption_requested",
            "pause_requested",
            "unpause_requested",
            "coupon_requested",
            "trial_extension_requested",
            "invoice_payment_requested",
            "refund_requested",
            "customer_update_requested",
            "stripe_call_settled",
            "intent_observed",
        ],
    ),
];

/// Names of events of the ledger's own operation by family.
const OPERATION: &[(&str, &[&str])] = &[
    ("key", &["key_created", "key_rotated", "key_revoked"]),
    (
        "receipt",
        &["receipt_replayed", "receipt_discarded", "raw_receipt_read"],
    ),
    (
        "projection",
        &["projection_rebuilt", "projection_swapped", "projection_skipped"],
    ),
    ("run", &["run_started", "run_finished"]),
    ("catalogue", &["catalogue_loaded"]),
];

/// The family of a stored name, for instance `subscription.plan_changed`; none: no event of this program.
#[must_use]
pub fn family_of(event_type: &str) -> Option<&'static str> {
    let (aggregate, name) = event_type.split_once('.')?;
    let table = match aggregate {
        "subscription" => SUBSCRIPTION,
        "operation" => OPERATION,
        "stripe_object" => return Some("stripe_object"),
        _ => return None,
    };
    let found = table.iter().find(|(_, names)| names.contains(&name));
    found.map(|(family, _)| *family)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_event_of_the_catalogue_has_a_family() {
        for entry in aggregates::catalogue::entries() {
            assert!(
                family_of(&entry.event_type).is_some(),
                "{}: add it to its family here",
                entry.event_type
            );
        }
        assert_eq!(family_of("subscription.invoice_paid"), Some("invoices"));
        assert_eq!(family_of("subscription.never_heard_of"), None);
        assert_eq!(family_of("nothing"), None);
    }
}

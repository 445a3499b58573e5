//! Every event type we know, and what its object is.
//!
//! A snapshot event is known by its exact name: a new type is stored and ignored until it is listed
//! here. A thin event is known by its longest listed prefix, because it only says which object to
//! look at: `v1.customer.subscription.item_added` is looked at as a subscription.

use aggregates::snapshot::{Notice, Rank};

/// Before the word of an object that was fetched: `fetched.subscription` is no type of Stripe's.
pub const FETCHED: &str = "fetched.";

/// What a group of event types means for the ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Group {
    /// The account and its subscriptions.
    SubscriptionState,
    /// Invoices, payments and what undoes them.
    MoneyFacts,
    /// Meters and alerts.
    Usage,
    /// Products, prices, coupons and tax rates.
    Catalogue,
    /// Shown on the timeline; state and money unchanged, but for the few that carry a fact.
    Notice,
    /// Stored and ignored.
    Unlisted,
}

/// What the object of an event is, and so how it is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Family {
    /// `subscription`.
    Subscription,
    /// `subscription_schedule`.
    Schedule,
    /// `checkout.session`.
    Checkout,
    /// `customer`.
    Customer,
    /// `discount`.
    Discount,
    /// Stripe's own summary of entitlements; the catalogue decides, this is only compared.
    Entitlements,
    /// `invoice`.
    Invoice,
    /// `invoice_payment`.
    InvoicePayment,
    /// `invoiceitem`; it comes back as a line of its invoice.
    InvoiceItem,
    /// `charge`.
    Charge,
    /// `refund`.
    Refund,
    /// `dispute`.
    Dispute,
    /// `payment_intent`; its charges are the facts.
    PaymentIntent,
    /// `credit_note`.
    CreditNote,
    /// `payout`.
    Payout,
    /// `balance`.
    Balance,
    /// A page of `balance_transaction`s, which no event brings.
    BalanceTransactions,
    /// Other movements of the Stripe balance; they are recorded as balance transactions.
    Movement,
    /// Credits and cash balances of a customer.
    Credit,
    /// Early fraud warnings and reviews.
    Fraud,
    /// Meters, alerts and their errors.
    Meter,
    /// `product`.
    Product,
    /// `price`, and `plan`, its older twin.
    Price,
    /// `coupon`.
    Coupon,
    /// `promotion_code`.
    PromotionCode,
    /// `tax_rate`.
    TaxRate,
    /// `payment_method`, and the older sources and cards.
    PaymentMethod,
    /// Everything else that is worth a line on the timeline.
    Notice,
    /// A type that is not listed.
    Unlisted,
}

impl Family {
    /// A stable word for metrics and receipts.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Subscription => "subscription",
            Self::Schedule => "subscription_schedule",
            Self::Checkout => "checkout.session",
            Self::Customer => "customer",
            Self::Discount => "discount",
            Self::Entitlements => "entitlements.active_entitlement_summary",
            Self::Invoice => "invoice",
            Self::InvoicePayment => "invoice_payment",
            Self::InvoiceItem => "invoiceitem",
            Self::Charge => "charge",
            Self::Refund => "refund",
            Self::Dispute => "dispute",
            Self::PaymentIntent => "payment_intent",
            Self::CreditNote => "credit_note",
            Self::Payout => "payout",
            Self::Balance => "balance",
            Self::BalanceTransactions => "balance_transactions",
            Self::Movement => "movement",
            Self::Credit => "credit",
            Self::Fraud => "fraud",
            Self::Meter => "meter",
            Self::Product => "product",
            Self::Price => "price",
            Self::Coupon => "coupon",
            Self::PromotionCode => "promotion_code",
            Self::TaxRate => "tax_rate",
            Self::PaymentMethod => "payment_method",
            Self::Notice => "notice",
            Self::Unlisted => "unlisted",
        }
    }
}

/// One group of names under one prefix.
struct Listed {
    group: Group,
    family: Family,
    /// Up to and with the last dot.
    prefix: &'static str,
    /// What follows it.
    names: &'static [&'static str],
}

const fn listed(group: Group, family: Family, prefix: &'static str, names: &'static [&'static str]) -> Listed {
    Listed {
        group,
        family,
        prefix,
        names,
    }
}

/// The list of the design, group by group. Prefixes may nest; the longest decides.
#[rustfmt::skip]
const LIST: &[Listed] = &[
    listed(Group::SubscriptionState, Family::Subscription, "customer.subscription.", &["created", "updated", "deleted", "paused", "resumed", "pending_update_applied", "pending_update_expired"]),
    listed(Group::SubscriptionState, Family::Schedule, "subscription_schedule.", &["created", "updated", "expiring", "released", "canceled", "completed", "aborted"]),
    listed(Group::SubscriptionState, Family::Checkout, "checkout.session.", &["completed", "expired", "async_payment_succeeded", "async_payment_failed"]),
    listed(Group::SubscriptionState, Family::Customer, "customer.", &["created", "updated", "deleted"]),
    listed(Group::SubscriptionState, Family::Discount, "customer.discount.", &["created", "updated", "deleted"]),
    listed(Group::SubscriptionState, Family::Entitlements, "entitlements.active_entitlement_summary.", &["updated"]),

    listed(Group::MoneyFacts, Family::Invoice, "invoice.", &["created", "updated", "finalized", "finalization_failed", "sent", "paid", "payment_succeeded", "payment_failed", "payment_action_required", "payment_attempt_required", "overdue", "overpaid", "marked_uncollectible", "voided", "deleted"]),
    listed(Group::MoneyFacts, Family::InvoicePayment, "invoice_payment.", &["paid"]),
    listed(Group::MoneyFacts, Family::InvoiceItem, "invoiceitem.", &["created", "deleted"]),
    listed(Group::MoneyFacts, Family::Charge, "charge.", &["succeeded", "failed", "pending", "captured", "expired", "updated", "refunded"]),
    listed(Group::MoneyFacts, Family::Refund, "charge.refund.", &["updated"]),
    listed(Group::MoneyFacts, Family::Dispute, "charge.dispute.", &["created", "updated", "funds_withdrawn", "funds_reinstated", "closed"]),
    listed(Group::MoneyFacts, Family::PaymentIntent, "payment_intent.", &["created", "processing", "requires_action", "amount_capturable_updated", "partially_funded", "succeeded", "payment_failed", "canceled"]),
    listed(Group::MoneyFacts, Family::Refund, "refund.", &["created", "updated", "failed"]),
    listed(Group::MoneyFacts, Family::CreditNote, "credit_note.", &["created", "updated", "voided"]),
    listed(Group::MoneyFacts, Family::Payout, "payout.", &["created", "updated", "paid", "failed", "canceled", "reconciliation_completed"]),
    listed(Group::MoneyFacts, Family::Balance, "balance.", &["available"]),
    listed(Group::MoneyFacts, Family::Credit, "customer_cash_balance_transaction.", &["created"]),
    listed(Group::MoneyFacts, Family::Credit, "cash_balance.", &["funds_available"]),
    listed(Group::MoneyFacts, Family::Credit, "billing.credit_grant.", &["created", "updated"]),
    listed(Group::MoneyFacts, Family::Credit, "billing.credit_balance_transaction.", &["created"]),
    listed(Group::MoneyFacts, Family::Fraud, "radar.early_fraud_warning.", &["created", "updated"]),
    listed(Group::MoneyFacts, Family::Fraud, "review.", &["opened", "closed"]),
    listed(Group::MoneyFacts, Family::Movement, "topup.", &["created", "succeeded", "failed", "canceled", "reversed"]),
    listed(Group::MoneyFacts, Family::Movement, "transfer.", &["created", "updated", "reversed"]),
    listed(Group::MoneyFacts, Family::Movement, "application_fee.", &["created", "refunded"]),
    listed(Group::MoneyFacts, Family::Movement, "application_fee.refund.", &["updated"]),
    listed(Group::MoneyFacts, Family::Movement, "reserve.", &["hold.created", "hold.updated", "plan.created", "plan.disabled", "plan.expired", "plan.updated", "release.created"]),

    listed(Group::Usage, Family::Meter, "billing.meter.", &["created", "updated", "deactivated", "reactivated", "error_report_triggered", "no_meter_found"]),
    listed(Group::Usage, Family::Meter, "billing.alert.", &["triggered"]),

    listed(Group::Catalogue, Family::Product, "product.", &["created", "updated", "deleted"]),
    listed(Group::Catalogue, Family::Price, "price.", &["created", "updated", "deleted"]),
    listed(Group::Catalogue, Family::Price, "plan.", &["created", "updated", "deleted"]),
    listed(Group::Catalogue, Family::Coupon, "coupon.", &["created", "updated", "deleted"]),
    listed(Group::Catalogue, Family::PromotionCode, "promotion_code.", &["created", "updated"]),
    listed(Group::Catalogue, Family::TaxRate, "tax_rate.", &["created", "updated"]),

    listed(Group::Notice, Family::Subscription, "customer.subscription.", &["trial_will_end"]),
    listed(Group::Notice, Family::Invoice, "invoice.", &["upcoming"]),
    listed(Group::Notice, Family::Notice, "invoice.", &["will_be_due"]),
    listed(Group::Notice, Family::PaymentMethod, "payment_method.", &["attached", "updated", "automatically_updated", "card_automatically_updated", "detached"]),
    listed(Group::Notice, Family::PaymentMethod, "customer.source.", &["created", "updated", "deleted", "expiring"]),
    listed(Group::Notice, Family::Notice, "setup_intent.", &["created", "requires_action", "setup_failed", "succeeded", "canceled"]),
    listed(Group::Notice, Family::Notice, "mandate.", &["updated"]),
    listed(Group::Notice, Family::Notice, "customer.tax_id.", &["created", "updated", "deleted"]),
    listed(Group::Notice, Family::Notice, "quote.", &["created", "finalized", "accepted", "canceled"]),
    listed(Group::Notice, Family::Notice, "billing_portal.", &["session.created", "configuration.created", "configuration.updated"]),
    listed(Group::Notice, Family::Notice, "payment_link.", &["created", "updated"]),
    listed(Group::Notice, Family::Notice, "test_helpers.test_clock.", &["created", "advancing", "ready", "deleted", "internal_failure"]),
];

/// What a type means. `thin` types lose their `v1.` and are known by prefix.
#[must_use]
pub fn classify(event_type: &str, thin: bool) -> (Group, Family) {
    let unlisted = (Group::Unlisted, Family::Unlisted);
    if let Some(word) = event_type.strip_prefix(FETCHED).filter(|_| !thin) {
        return fetched(word).unwrap_or(unlisted);
    }
    let name = match event_type.strip_prefix("v1.") {
        Some(name) if thin => name,
        // A thin event of another interface version, or a snapshot that only looks thin.
        Some(_) => return unlisted,
        None if thin => return unlisted,
        None => event_type,
    };
    let exact = LIST.iter().find(|row| {
        let rest = name.strip_prefix(row.prefix);
        rest.is_some_and(|rest| row.names.contains(&rest))
    });
    let longest = || {
        LIST.iter()
            .rev()
            .filter(|row| thin && name.starts_with(row.prefix))
            .max_by_key(|row| row.prefix.len())
    };
    exact.or_else(longest).map_or(unlisted, |row| (row.group, row.family))
}

/// What an object is that was asked for, by Stripe's word for it.
fn fetched(word: &str) -> Option<(Group, Family)> {
    let movements = (Group::MoneyFacts, Family::BalanceTransactions);
    // Of one movement that was asked for by its id there is a page of one.
    if matches!(word, "balance_transaction" | "balance_transactions") {
        return Some(movements);
    }
    let listed = LIST.iter().map(|row| (row.group, row.family));
    let known = listed.filter(|(_, family)| family.as_str() == word);
    known.min_by_key(|(group, _)| *group == Group::Notice)
}

/// Every listed name with its group and family, in the order of the design.
pub fn all() -> impl Iterator<Item = (String, Group, Family)> {
    LIST.iter().flat_map(|row| {
        row.names
            .iter()
            .map(|name| (format!("{}{name}", row.prefix), row.group, row.family))
    })
}

/// The place of a snapshot among those of the same second, by the verb of its event.
#[must_use]
pub fn rank(event_type: &str) -> Rank {
    if event_type.starts_with(FETCHED) {
        return Rank::Fetched;
    }
    match event_type.rsplit('.').next() {
        Some("created") => Rank::Created,
        Some("paused" | "resumed") => Rank::Paused,
        Some("deleted") => Rank::Deleted,
        Some(_) | None => Rank::Updated,
    }
}

/// What a type says beside the object it carries.
#[must_use]
pub fn notice(event_type: &str) -> Option<Notice> {
    match event_type {
        "customer.subscription.trial_will_end" => Some(Notice::TrialWillEnd),
        "invoice.upcoming" => Some(Notice::Upcoming),
        "invoice.payment_failed" => Some(Notice::PaymentFailed),
        "invoice.payment_action_required" | "invoice.payment_attempt_required" => Some(Notice::ActionRequired),
        "invoice.overdue" => Some(Notice::Overdue),
        "charge.dispute.funds_withdrawn" => Some(Notice::FundsWithdrawn),
        "charge.dispute.funds_reinstated" => Some(Notice::FundsReinstated),
        "checkout.session.async_payment_succeeded" => Some(Notice::AsyncPaymentSucceeded),
        "checkout.session.async_payment_failed" => Some(Notice::AsyncPaymentFailed),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn each_name_is_listed_once() {
        let mut seen = HashSet::new();
        for (name, group, family) in all() {
            assert!(seen.insert(name.clone()), "{name} is listed twice");
            assert_eq!(classify(&name, false), (group, family), "{name}");
            assert_eq!(classify(&format!("v1.{name}"), true), (group, family), "{name}");
        }
        // 275 snapshot types less the 116 that are only stored, one old name, and two that come thin only.
        assert_eq!(seen.len(), 275 - 116 + 1 + 2);
    }

    #[test]
    fn thin_names_are_known_by_their_longest_prefix_and_snapshots_exactly() {
        for (name, family) in [
            ("v1.customer.subscription.active", Family::Subscription),
            ("v1.customer.subscription.item_tax_rates_changed", Family::Subscription),
            (
                "v1.customer.subscription.default_payment_method_changed",
                Family::Subscription,
            ),
            ("v1.customer.discount.source_changed", Family::Discount),
            ("v1.customer.source.expiring", Family::PaymentMethod),
            ("v1.customer.something_new", Family::Customer),
            ("v1.invoice.line_item_added", Family::Invoice),
            ("v1.invoice.discount_removed", Family::Invoice),
            ("v1.invoiceitem.amount_changed", Family::InvoiceItem),
            ("v1.invoice_payment.open", Family::InvoicePayment),
            ("v1.price.lookup_key_changed", Family::Price),
            ("v1.product.tax_code_changed", Family::Product),
            ("v1.promotion_code.fully_redeemed", Family::PromotionCode),
            ("v1.subscription_schedule.phase_started", Family::Schedule),
            (
                "v1.entitlements.active_entitlement_summary.entitlement_added",
                Family::Entitlements,
            ),
            ("v1.charge.dispute.escalated", Family::Dispute),
            ("v1.billing.meter.no_meter_found", Family::Meter),
            ("v1.treasury.transaction.created", Family::Unlisted),
            ("v2.core.account.updated", Family::Unlisted),
        ] {
            assert_eq!(classify(name, true).1, family, "{name}");
            assert_eq!(classify(name, false).1, Family::Unlisted, "{name} as a snapshot");
        }
        for name in [
            "customer.subscription.active",
            "invoice.brand_new",
            "invoice.",
            "invoice",
            "",
            "account.updated",
        ] {
            assert_eq!(classify(name, false).1, Family::Unlisted, "{name}");
        }
    }

    #[test]
    fn verbs_rank() {
        assert_eq!(rank("customer.subscription.created"), Rank::Created);
        assert_eq!(rank("customer.subscription.resumed"), Rank::Paused);
        assert_eq!(rank("invoice.deleted"), Rank::Deleted);
        assert_eq!(rank("invoice.paid"), Rank::Updated);
        assert_eq!(rank("customer.subscription.trial_will_end"), Rank::Updated);
    }
}

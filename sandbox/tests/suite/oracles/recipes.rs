//! What `stripe trigger` makes: its recipes that need nothing but what the sandbox imitates.
//!
//! The other 27 of the tool's 123 are about accounts, transfers, top-ups, cash balances, Identity, Issuing and reports,
//! or send to a fixed host of Stripe's (the two of meters).

/// One recipe.
pub(super) struct Recipe {
    /// As the tool names it.
    pub(super) name: &'static str,
    /// The event that must be in the journal and reach the endpoint.
    pub(super) event: &'static str,
    /// Sandbox time that passes after it, in seconds: for debits, which settle later.
    pub(super) later: i64,
    /// The family it waits for. Such a recipe must fail, so that this table is true.
    pub(super) waits: Option<&'static str>,
}

const fn now(name: &'static str) -> Recipe {
    Recipe {
        name,
        event: name,
        later: 0,
        waits: None,
    }
}

const fn named(name: &'static str, event: &'static str) -> Recipe {
    Recipe { event, ..now(name) }
}

const fn later(name: &'static str) -> Recipe {
    Recipe {
        later: 3600,
        ..now(name)
    }
}

impl Recipe {
    const fn waits_for(mut self, family: &'static str) -> Self {
        self.waits = Some(family);
        self
    }
}

/// All of them.
pub(super) const RECIPES: [Recipe; 96] = [
    now("balance.available"),
    now("billing_portal.configuration.created"),
    now("billing_portal.configuration.updated"),
    now("billing_portal.session.created"),
    now("charge.captured"),
    now("charge.dispute.closed"),
    now("charge.dispute.created"),
    now("charge.dispute.updated"),
    now("charge.failed"),
    now("charge.refund.updated"),
    now("charge.refunded"),
    now("charge.succeeded"),
    later("checkout.session.async_payment_failed"),
    later("checkout.session.async_payment_succeeded"),
    now("checkout.session.completed"),
    now("checkout.session.expired"),
    now("coupon.created"),
    now("coupon.deleted"),
    now("coupon.updated"),
    now("credit_note.created").waits_for("credit notes"),
    now("credit_note.updated").waits_for("credit notes"),
    now("credit_note.voided").waits_for("credit notes"),
    now("customer.created"),
    now("customer.deleted"),
    now("customer.discount.created"),
    now("customer.discount.deleted"),
    now("customer.discount.updated"),
    now("customer.source.created"),
    now("customer.source.updated"),
    now("customer.subscription.created"),
    now("customer.subscription.deleted"),
    now("customer.subscription.paused"),
    now("customer.subscription.trial_will_end"),
    now("customer.subscription.updated"),
    now("customer.updated"),
    now("invoice.created"),
    now("invoice.deleted"),
    now("invoice.finalized"),
    now("invoice.marked_uncollectible"),
    now("invoice.paid"),
    now("invoice.payment_action_required"),
    now("invoice.payment_failed"),
    now("invoice.payment_succeeded"),
    now("invoice.sent"),
    now("invoice.updated"),
    now("invoice.voided"),
    now("invoiceitem.created"),
    now("invoiceitem.deleted"),
    now("payment_intent.amount_capturable_updated"),
    now("payment_intent.canceled"),
    now("payment_intent.created"),
    now("payment_intent.payment_failed"),
    now("payment_intent.processing"),
    now("payment_intent.requires_action"),
    now("payment_intent.succeeded"),
    now("payment_link.created"),
    now("payment_link.updated"),
    now("payment_method.attached"),
    now("payment_method.detached"),
    now("payment_method.updated"),
    now("payout.created").waits_for("payouts"),
    now("payout.updated").waits_for("payouts"),
    now("plan.created"),
    now("plan.deleted"),
    now("plan.updated"),
    now("price.created"),
    now("price.updated"),
    now("product.created"),
    now("product.deleted"),
    now("product.updated"),
    now("promotion_code.created"),
    now("promotion_code.updated"),
    now("quote.accepted").waits_for("quotes"),
    now("quote.canceled").waits_for("quotes"),
    now("quote.created").waits_for("quotes"),
    now("quote.finalized").waits_for("quotes"),
    now("setup_intent.canceled"),
    now("setup_intent.created"),
    now("setup_intent.requires_action"),
    now("setup_intent.setup_failed"),
    now("setup_intent.succeeded"),
    named("subscription.payment_failed", "invoice.payment_failed"),
    named("subscription.payment_succeeded", "invoice.paid"),
    now("subscription_schedule.aborted").waits_for("subscription schedules"),
    now("subscription_schedule.canceled").waits_for("subscription schedules"),
    now("subscription_schedule.completed").waits_for("subscription schedules"),
    now("subscription_schedule.created").waits_for("subscription schedules"),
    now("subscription_schedule.expiring").waits_for("subscription schedules"),
    now("subscription_schedule.released").waits_for("subscription schedules"),
    now("subscription_schedule.updated").waits_for("subscription schedules"),
    now("tax_rate.created"),
    now("tax_rate.updated"),
    now("test_helpers.test_clock.advancing"),
    now("test_helpers.test_clock.created"),
    now("test_helpers.test_clock.deleted"),
    now("test_helpers.test_clock.ready"),
];

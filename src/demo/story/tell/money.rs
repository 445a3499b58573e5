//! The steps in which money moves.

use super::super::object::{Charge, Dispute, Invoice, Item, Line, Object, Refund};
use super::{DAY, Story};

impl Story {
    /// Makes and finalizes an invoice for the current period.
    pub(super) fn bill(&mut self, reason: &'static str) -> &mut Self {
        let Some(subscription) = self.subscription.clone() else {
            return self;
        };
        self.count += 1;
        let id = format!("in_{}_{}", self.name, self.count);
        let line = |(index, item): (usize, &Item)| Line {
            id: format!("il_{}_{}_{index}", self.name, self.count),
            amount_minor: item.unit_minor * i64::try_from(item.quantity).unwrap_or(i64::MAX),
            item: item.id.clone(),
            price: item.price.clone(),
            product: item.product.clone(),
            quantity: item.quantity,
            period: subscription.period,
            proration: reason == "subscription_update",
        };
        let mut invoice = Invoice {
            id: id.clone(),
            customer: self.customer.id.clone(),
            subscription: subscription.id.clone(),
            tenant: subscription.tenant.clone(),
            status: "draft",
            number: None,
            billing_reason: reason,
            currency: "usd",
            lines: subscription.items.iter().enumerate().map(line).collect(),
            paid_minor: 0,
            attempts: 0,
            next_attempt: None,
            created: self.now,
            finalized_at: None,
            paid_at: None,
            payment_intent: None,
        };
        self.push("invoice.created", Object::Invoice(invoice.clone()), None);
        invoice.status = "open";
        invoice.number = Some(format!("{}-{:04}", self.name.to_uppercase(), self.count));
        invoice.finalized_at = Some(self.now);
        invoice.payment_intent = Some(format!("pi_{}_{}", self.name, self.count));
        self.push("invoice.finalized", Object::Invoice(invoice.clone()), None);
        self.invoice = Some(invoice);
        if let Some(subscription) = &mut self.subscription {
            subscription.latest_invoice = Some(id);
        }
        self
    }

    /// Pays the open invoice.
    pub(super) fn pay(&mut self) -> &mut Self {
        let Some(mut invoice) = self.invoice.clone() else {
            return self;
        };
        invoice.attempts += 1;
        let charge = self.new_charge(&invoice, None);
        invoice.status = "paid";
        invoice.paid_minor = invoice.total_minor();
        invoice.next_attempt = None;
        invoice.paid_at = Some(self.now);
        self.push("charge.succeeded", Object::Charge(charge.clone()), None);
        self.push("invoice.paid", Object::Invoice(invoice.clone()), None);
        self.push("invoice.payment_succeeded", Object::Invoice(invoice.clone()), None);
        self.charge = Some(charge);
        self.invoice = Some(invoice);
        self
    }

    /// The charge of the open invoice is refused.
    pub(super) fn fail_payment(&mut self) -> &mut Self {
        let Some(mut invoice) = self.invoice.clone() else {
            return self;
        };
        invoice.attempts += 1;
        let charge = self.new_charge(&invoice, Some("insufficient_funds"));
        invoice.next_attempt = Some(self.now + 3 * DAY);
        self.push("charge.failed", Object::Charge(charge), None);
        self.push("invoice.payment_failed", Object::Invoice(invoice.clone()), None);
        self.invoice = Some(invoice);
        self
    }

    fn new_charge(&self, invoice: &Invoice, decline: Option<&'static str>) -> Charge {
        Charge {
            id: format!("ch_{}_{}_{}", self.name, self.count, invoice.attempts),
            customer: self.customer.id.clone(),
            invoice: invoice.id.clone(),
            payment_intent: format!("pi_{}_{}", self.name, self.count),
            amount_minor: invoice.total_minor(),
            refunded_minor: 0,
            currency: "usd",
            status: if decline.is_some() { "failed" } else { "succeeded" },
            decline,
            disputed: false,
            payment_method: format!("pm_{}", self.name),
            created: self.now,
        }
    }

    /// Gives part of the last charge back.
    pub fn refund(&mut self, amount_minor: i64) -> &mut Self {
        let Some(mut charge) = self.charge.clone() else {
            return self;
        };
        let refund = Refund {
            id: format!("re_{}_{}", self.name, self.count),
            charge: charge.id.clone(),
            payment_intent: charge.payment_intent.clone(),
            amount_minor,
            currency: "usd",
            status: "succeeded",
            created: self.now,
        };
        charge.refunded_minor += amount_minor;
        self.push("refund.created", Object::Refund(refund), None);
        self.push("charge.refunded", Object::Charge(charge.clone()), None);
        self.charge = Some(charge);
        self
    }

    /// The cardholder disputes the last charge; the money is taken.
    pub fn dispute(&mut self) -> &mut Self {
        let Some(mut charge) = self.charge.clone() else {
            return self;
        };
        let mut dispute = Dispute {
            id: format!("dp_{}", self.name),
            charge: charge.id.clone(),
            payment_intent: charge.payment_intent.clone(),
            amount_minor: charge.amount_minor,
            currency: "usd",
            status: "needs_response",
            movements: Vec::new(),
            created: self.now,
        };
        charge.disputed = true;
        self.push("charge.dispute.created", Object::Dispute(dispute.clone()), None);
        dispute.movements.push((-dispute.amount_minor - 1_500, 1_500));
        self.push("charge.dispute.funds_withdrawn", Object::Dispute(dispute.clone()), None);
        self.charge = Some(charge);
        self.dispute = Some(dispute);
        self
    }

    /// The dispute ends; a won one gives the money back.
    pub fn close_dispute(&mut self, won: bool) -> &mut Self {
        let Some(mut dispute) = self.dispute.clone() else {
            return self;
        };
        dispute.status = if won { "won" } else { "lost" };
        self.push("charge.dispute.closed", Object::Dispute(dispute.clone()), None);
        if won {
            dispute.movements.push((dispute.amount_minor, 0));
            self.push(
                "charge.dispute.funds_reinstated",
                Object::Dispute(dispute.clone()),
                None,
            );
        }
        self.dispute = Some(dispute);
        self
    }
}

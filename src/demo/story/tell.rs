//! Telling a story: each step in money words, with the events Stripe sends for it.

use super::object::{
    Charge, Checkout, Customer, Dispute, Invoice, Item, Line, Object, PaymentMethod, Refund, Subscription,
};
use super::{Delivery, Era, StoryEvent};

/// A day, in seconds.
const DAY: i64 = 86_400;

/// A price as a story uses it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Price {
    /// `price_...`.
    pub id: &'static str,
    /// `prod_...`.
    pub product: &'static str,
    /// Price of one, in minor units.
    pub unit_minor: i64,
    /// `month` or `year`.
    pub interval: &'static str,
}

impl Price {
    fn period_from(self, start: i64) -> (i64, i64) {
        (start, start + if self.interval == "year" { 365 } else { 30 } * DAY)
    }
}

/// The history of one customer, told step by step; the story's clock only goes on when told to.
#[derive(Clone, Debug)]
pub struct Story {
    name: String,
    now: i64,
    count: u32,
    customer: Customer,
    subscription: Option<Subscription>,
    invoice: Option<Invoice>,
    charge: Option<Charge>,
    dispute: Option<Dispute>,
    events: Vec<StoryEvent>,
}

impl Story {
    /// A story about a new customer. `name` makes its ids (`cus_<name>`), `tenant` is named in the metadata, `start`
    /// is the first instant in seconds.
    #[must_use]
    pub fn new(name: &str, tenant: Option<&str>, start: i64) -> Self {
        let customer = Customer {
            id: format!("cus_{name}"),
            tenant: tenant.map(str::to_owned),
            email: format!("billing@{name}.example"),
            payment_method: None,
            balance_minor: 0,
            deleted: false,
        };
        let mut story = Self {
            name: name.to_owned(),
            now: start,
            count: 0,
            customer,
            subscription: None,
            invoice: None,
            charge: None,
            dispute: None,
            events: Vec::new(),
        };
        story.push("customer.created", Object::Customer(story.customer.clone()), None);
        story
    }

    /// The story's clock, in seconds.
    #[must_use]
    pub const fn now(&self) -> i64 {
        self.now
    }

    /// What has been told.
    #[must_use]
    pub fn events(&self) -> &[StoryEvent] {
        &self.events
    }

    /// The subscription as it stands.
    #[must_use]
    pub const fn subscription(&self) -> Option<&Subscription> {
        self.subscription.as_ref()
    }

    /// The webhooks of one era, in the order of the story.
    #[must_use]
    pub fn deliveries(&self, era: Era) -> Vec<Delivery> {
        self.events.iter().map(|event| event.to_delivery(era)).collect()
    }

    /// Lets time pass.
    pub fn days(&mut self, days: i64) -> &mut Self {
        self.now += days * DAY;
        self
    }

    /// Lets time pass.
    pub fn seconds(&mut self, seconds: i64) -> &mut Self {
        self.now += seconds;
        self
    }

    /// Names the tenant in the customer's metadata, as a late clean-up would.
    pub fn name_tenant(&mut self, tenant: &str) -> &mut Self {
        let before = Object::Customer(self.customer.clone());
        self.customer.tenant = Some(tenant.to_owned());
        self.push(
            "customer.updated",
            Object::Customer(self.customer.clone()),
            Some(before),
        );
        self
    }

    /// A card is attached and becomes the default.
    pub fn add_card(&mut self) -> &mut Self {
        let method = PaymentMethod {
            id: format!("pm_{}", self.name),
            customer: self.customer.id.clone(),
            brand: "visa",
            last4: "4242",
            created: self.now,
        };
        let before = Object::Customer(self.customer.clone());
        self.customer.payment_method = Some(method.id.clone());
        self.push("payment_method.attached", Object::PaymentMethod(method), None);
        self.push(
            "customer.updated",
            Object::Customer(self.customer.clone()),
            Some(before),
        );
        self
    }

    /// Buys through checkout, with a trial of so many days (0: pays at once).
    pub fn subscribe(&mut self, price: Price, quantity: u64, trial_days: i64) -> &mut Self {
        let trial = (trial_days > 0).then(|| (self.now, self.now + trial_days * DAY));
        let item = Item {
            id: format!("si_{}", self.name),
            price: price.id.to_owned(),
            product: price.product.to_owned(),
            quantity,
            unit_minor: price.unit_minor,
            interval: price.interval,
        };
        let subscription = Subscription {
            id: format!("sub_{}", self.name),
            customer: self.customer.id.clone(),
            tenant: self.customer.tenant.clone(),
            status: if trial.is_some() { "trialing" } else { "incomplete" },
            items: vec![item],
            currency: "usd",
            created: self.now,
            period: trial.unwrap_or_else(|| price.period_from(self.now)),
            trial,
            cancel_at_period_end: false,
            canceled_at: None,
            ended_at: None,
            latest_invoice: None,
            coupon: None,
            pause_collection: None,
        };
        self.push(
            "customer.subscription.created",
            Object::Subscription(subscription.clone()),
            None,
        );
        self.subscription = Some(subscription);
        if trial.is_none() {
            self.bill("subscription_create").pay();
            self.change(|it| it.status = "active");
        }
        self.push_checkout();
        self
    }

    fn push_checkout(&mut self) {
        let Some(subscription) = self.subscription.clone() else {
            return;
        };
        let checkout = Checkout {
            id: format!("cs_test_{}", self.name),
            customer: self.customer.id.clone(),
            reference: self.customer.tenant.clone(),
            subscription: subscription.id,
            invoice: subscription.latest_invoice,
            total_minor: self.invoice.as_ref().map_or(0, Invoice::total_minor),
            currency: "usd",
            created: self.now,
        };
        self.push("checkout.session.completed", Object::Checkout(checkout), None);
    }

    /// Stripe announces the end of the trial; then it ends and the first period is paid.
    pub fn end_trial(&mut self) -> &mut Self {
        let Some((_, end)) = self.subscription.as_ref().and_then(|it| it.trial) else {
            return self;
        };
        self.now = end - 3 * DAY;
        if let Some(subscription) = self.subscription.clone() {
            self.push(
                "customer.subscription.trial_will_end",
                Object::Subscription(subscription),
                None,
            );
        }
        self.now = end;
        self.next_period();
        self.bill("subscription_cycle").pay();
        self.change(|it| it.status = "active");
        self
    }

    /// The next period begins and is paid.
    pub fn renew(&mut self) -> &mut Self {
        self.next_period();
        self.bill("subscription_cycle").pay()
    }

    /// The next period begins, and the charge is refused.
    pub fn renew_unpaid(&mut self) -> &mut Self {
        self.next_period();
        self.bill("subscription_cycle").fail_payment();
        self.change(|it| it.status = "past_due");
        self
    }

    /// The open invoice is paid after all.
    pub fn recover(&mut self) -> &mut Self {
        self.pay();
        self.change(|it| it.status = "active");
        self
    }

    fn next_period(&mut self) {
        let Some(subscription) = &self.subscription else { return };
        self.now = self.now.max(subscription.period.1);
        let start = subscription.period.1;
        let days = if subscription.items.first().is_some_and(|it| it.interval == "year") {
            365
        } else {
            30
        };
        self.change(|it| it.period = (start, start + days * DAY));
    }

    /// Moves the subscription as `edit` says and sends `customer.subscription.updated`.
    pub fn change(&mut self, edit: impl FnOnce(&mut Subscription)) -> &mut Self {
        let Some(mut subscription) = self.subscription.clone() else {
            return self;
        };
        let before = Object::Subscription(subscription.clone());
        edit(&mut subscription);
        self.push(
            "customer.subscription.updated",
            Object::Subscription(subscription.clone()),
            Some(before),
        );
        self.subscription = Some(subscription);
        self
    }

    /// Another price, at once, with a proration invoiced and paid.
    pub fn change_plan(&mut self, price: Price) -> &mut Self {
        self.change(|it| {
            if let Some(item) = it.items.first_mut() {
                item.price = price.id.to_owned();
                item.product = price.product.to_owned();
                item.unit_minor = price.unit_minor;
                item.interval = price.interval;
            }
        });
        self.bill("subscription_update").pay()
    }

    /// Another number of seats, at once.
    pub fn set_quantity(&mut self, quantity: u64) -> &mut Self {
        self.change(|it| {
            if let Some(item) = it.items.first_mut() {
                item.quantity = quantity;
            }
        })
    }

    /// Cancels at once.
    pub fn cancel(&mut self) -> &mut Self {
        let now = self.now;
        let Some(mut subscription) = self.subscription.clone() else {
            return self;
        };
        subscription.status = "canceled";
        subscription.canceled_at = Some(subscription.canceled_at.unwrap_or(now));
        subscription.ended_at = Some(now);
        self.push(
            "customer.subscription.deleted",
            Object::Subscription(subscription.clone()),
            None,
        );
        self.subscription = Some(subscription);
        self
    }

    /// Plans the end with the period.
    pub fn cancel_at_period_end(&mut self) -> &mut Self {
        let now = self.now;
        self.change(|it| {
            it.cancel_at_period_end = true;
            it.canceled_at = Some(now);
        })
    }

    /// Withdraws the planned end.
    pub fn keep(&mut self) -> &mut Self {
        self.change(|it| {
            it.cancel_at_period_end = false;
            it.canceled_at = None;
        })
    }

    /// The period runs out under a planned end.
    pub fn run_out(&mut self) -> &mut Self {
        if let Some(subscription) = &self.subscription {
            self.now = self.now.max(subscription.period.1);
        }
        self.cancel()
    }

    /// Makes and finalizes an invoice for the current period.
    fn bill(&mut self, reason: &'static str) -> &mut Self {
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
    fn pay(&mut self) -> &mut Self {
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
    fn fail_payment(&mut self) -> &mut Self {
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

    /// The customer is deleted at Stripe.
    pub fn delete_customer(&mut self) -> &mut Self {
        self.customer.deleted = true;
        self.push("customer.deleted", Object::Customer(self.customer.clone()), None);
        self
    }

    fn push(&mut self, kind: &'static str, object: Object, before: Option<Object>) {
        let id = format!("evt_{}_{:03}", self.name, self.events.len() + 1);
        self.events.push(StoryEvent {
            id,
            kind,
            created: self.now,
            object,
            before,
        });
    }
}

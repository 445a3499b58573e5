//! Telling a story: each step in money words, with the events Stripe sends for it.

use super::object::{Charge, Checkout, Customer, Dispute, Invoice, Item, Object, PaymentMethod, Subscription};
use super::{Delivery, Era, StoryEvent};

mod money;

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

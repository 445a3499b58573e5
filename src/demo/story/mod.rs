//! Stories: the billing history of one customer as the webhooks Stripe would send, in any era's shapes.
//!
//! A [`Story`] is told in money words (`subscribe`, `renew`, `fail_payment`...); each step pushes the events Stripe is
//! documented to send for it. [`Story::deliveries`] renders them as webhook bodies. The demo plays stories through the
//! front door, and the suite permutes them: the law is that no order and no copy changes the end.

mod era;
mod object;
mod render;
mod tell;

pub use era::Era;
pub use object::{
    Charge, Checkout, Customer, Dispute, Invoice, Item, Line, Object, PaymentMethod, Refund, Subscription,
};
pub use render::{previous_attributes, render};
pub use tell::{Price, Story};

use serde_json::{Value, json};

/// One event of a story, before it has a shape.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoryEvent {
    /// `evt_...`.
    pub id: String,
    /// Stripe's event type.
    pub kind: &'static str,
    /// When it happened, in seconds.
    pub created: i64,
    /// The object as it stood after.
    pub object: Object,
    /// The object as it stood before, for `*.updated`.
    pub before: Option<Object>,
}

/// One webhook body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// `evt_...`.
    pub event_id: String,
    /// Stripe's event type.
    pub kind: &'static str,
    /// When it happened, in seconds.
    pub created: i64,
    /// The bytes to be signed and sent.
    pub body: Vec<u8>,
}

impl StoryEvent {
    /// The event as Stripe would send it to an endpoint of that era.
    #[must_use]
    pub fn to_json(&self, era: Era) -> Value {
        let object = render(&self.object, era);
        let mut data = json!({ "object": object });
        if let Some(before) = &self.before {
            data["previous_attributes"] = previous_attributes(&render(before, era), &data["object"]);
        }
        json!({
            "id": self.id, "object": "event", "api_version": era.api_version(), "created": self.created,
            "livemode": false, "pending_webhooks": 1, "type": self.kind,
            "request": { "id": null, "idempotency_key": null }, "data": data,
        })
    }

    /// The same as the bytes of a webhook.
    #[must_use]
    pub fn to_delivery(&self, era: Era) -> Delivery {
        let body = format!("{:#}", self.to_json(era)).into_bytes();
        Delivery {
            event_id: self.id.clone(),
            kind: self.kind,
            created: self.created,
            body,
        }
    }
}

//! The whole of cqrs-es in the domain: `apply` is `evolve`, `handle` is `decide` and the sink.
//!
//! The ledger loads, decides and appends by itself, because a decision can say more than `handle` may return (already
//! applied, superseded, ask Stripe); a test shows that both ways agree for every command.

use std::convert::Infallible;
use std::sync::Arc;

use cqrs_es::event_sink::EventSink;
use cqrs_es::persist::{EventUpcaster, SerializedEvent};
use cqrs_es::{Aggregate, DomainEvent};

use super::command::{Decision, SubscriptionCommand};
use super::decide::{NoPlans, PriceBook};
use super::event::SubscriptionEvent;
use super::rejection::Rejection;
use super::state::AccountState;
use crate::observation::ObjectObservation;
use crate::operation::{self, OperationCommand, OperationEvent, OperationRejection, OperationState};
use crate::recorded::newest_version;
use crate::stripe_object::{self, ObjectState, StripeObjectEvent};
use crate::upcast;

/// What deciding about an account needs from outside: the plan catalogue.
#[derive(Clone)]
pub struct Prices(pub Arc<dyn PriceBook + Send + Sync>);

impl Default for Prices {
    fn default() -> Self {
        Self(Arc::new(NoPlans))
    }
}

impl DomainEvent for SubscriptionEvent {
    fn event_type(&self) -> String {
        format!("{}.{}", super::AGGREGATE_TYPE, self.name())
    }
    fn event_version(&self) -> String {
        super::EVENT_VERSION.to_string()
    }
}

impl DomainEvent for StripeObjectEvent {
    fn event_type(&self) -> String {
        format!("{}.{}", stripe_object::AGGREGATE_TYPE, self.name())
    }
    fn event_version(&self) -> String {
        stripe_object::EVENT_VERSION.to_string()
    }
}

impl DomainEvent for OperationEvent {
    fn event_type(&self) -> String {
        format!("{}.{}", operation::AGGREGATE_TYPE, self.name())
    }
    fn event_version(&self) -> String {
        operation::EVENT_VERSION.to_string()
    }
}

impl Aggregate for AccountState {
    const TYPE: &'static str = super::AGGREGATE_TYPE;
    type Command = SubscriptionCommand;
    type Event = SubscriptionEvent;
    type Error = Rejection;
    type Services = Prices;

    async fn handle(
        &mut self,
        command: Self::Command,
        services: &Self::Services,
        sink: &EventSink<Self>,
    ) -> Result<(), Self::Error> {
        let decision = super::decide::decide(self, &command, &*services.0)?;
        write(self, decision, sink).await;
        Ok(())
    }

    fn apply(&mut self, event: Self::Event) {
        self.evolve(&event);
    }
}

impl Aggregate for ObjectState {
    const TYPE: &'static str = stripe_object::AGGREGATE_TYPE;
    type Command = ObjectObservation;
    type Event = StripeObjectEvent;
    type Error = Infallible;
    type Services = ();

    async fn handle(
        &mut self,
        command: Self::Command,
        (): &Self::Services,
        sink: &EventSink<Self>,
    ) -> Result<(), Self::Error> {
        let decision = stripe_object::decide(self, &command);
        write(self, decision, sink).await;
        Ok(())
    }

    fn apply(&mut self, event: Self::Event) {
        self.evolve(&event);
    }
}

impl Aggregate for OperationState {
    const TYPE: &'static str = operation::AGGREGATE_TYPE;
    type Command = OperationCommand;
    type Event = OperationEvent;
    type Error = OperationRejection;
    type Services = ();

    async fn handle(
        &mut self,
        command: Self::Command,
        (): &Self::Services,
        sink: &EventSink<Self>,
    ) -> Result<(), Self::Error> {
        let decision = operation::decide(self, &command)?;
        write(self, decision, sink).await;
        Ok(())
    }

    fn apply(&mut self, event: Self::Event) {
        self.evolve(&event);
    }
}

async fn write<A: Aggregate>(aggregate: &mut A, decision: Decision<A::Event>, sink: &EventSink<A>) {
    let Decision::Record { events, .. } = decision else {
        return;
    };
    for event in events {
        sink.write(event, aggregate).await;
    }
}

/// Brings stored events of older versions to the current one, for whoever reads them by the stock store.
#[derive(Clone, Copy, Debug, Default)]
pub struct Upcaster;

impl EventUpcaster for Upcaster {
    fn can_upcast(&self, event_type: &str, event_version: &str) -> bool {
        let newest = event_type.split('.').next().and_then(newest_version);
        let stored = event_version.parse::<u32>().ok();
        stored.zip(newest).is_some_and(|(stored, newest)| stored < newest)
    }

    fn upcast(&self, mut event: SerializedEvent) -> SerializedEvent {
        let newest = event.event_type.split('.').next().and_then(newest_version);
        if let (Ok(stored), Some(newest)) = (event.event_version.parse(), newest) {
            event.payload = upcast::to_current(upcast::STEPS, &event.event_type, stored..newest, event.payload);
            event.event_version = newest.to_string();
        }
        event
    }
}

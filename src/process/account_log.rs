//! Accounts as they stand on the log, and events as they are written to it: what every process needs that decides about
//! an account.

use std::collections::BTreeMap;

use aggregates::ids::StreamId;
use aggregates::recorded::{Actor, LedgerEvent, Metadata};
use aggregates::subscription::{self, AccountState, SubscriptionEvent};
use aggregates::time::Timestamp;
use projections::book::StandingBook;
use projections::db::{Class, Db, DbError};
use projections::log::{StoredEvent, load_streams};
use uuid::Uuid;

use crate::ledger::NewEvent;

/// An account, read to its end.
#[derive(Default)]
pub(super) struct Loaded {
    pub(super) state: AccountState,
    /// Sequence of its last event; 0 for an account nobody has heard of.
    pub(super) sequence: u64,
    /// The Stripe account its facts come from, `default` for the key's own; none: nothing of Stripe's is known yet.
    pub(super) source: Option<Box<str>>,
    /// Events that were handed to the caller, by position.
    events: BTreeMap<u64, (SubscriptionEvent, Timestamp)>,
}

impl Loaded {
    /// What is known of intents, in the order it was recorded, with the time.
    pub(super) fn of_intents(&self) -> impl Iterator<Item = (&SubscriptionEvent, Timestamp)> {
        self.events.values().map(|(event, at)| (event, *at))
    }
}

/// Reads an account.
pub(super) async fn read(db: &Db, part: u32, account: &StreamId) -> Result<Loaded, DbError> {
    let wanted = [(subscription::AGGREGATE_TYPE, account.as_str())];
    let mut loaded = Loaded::default();
    for stored in load_streams(db, part, &wanted).await? {
        if let Some(event) = decode(&stored)? {
            loaded.state.evolve(&event);
            if is_of_an_intent(&event) {
                loaded.events.insert(stored.sequence, (event, stored.recorded_at));
            }
        }
        loaded.sequence = stored.sequence;
        loaded.source = source_of(&stored.metadata).or(loaded.source.take());
    }
    Ok(loaded)
}

/// The version of an account as its ETags have it (the last event its standing rests on), and the sequence of its last
/// event.
pub(super) async fn version(db: &Db, part: u32, account: &StreamId) -> Result<(u64, u64), DbError> {
    let wanted = [(subscription::AGGREGATE_TYPE, account.as_str())];
    let (mut book, mut version, mut sequence) = (StandingBook::default(), 0, 0);
    for stored in load_streams(db, part, &wanted).await? {
        sequence = stored.sequence;
        if decode(&stored)?.is_some_and(|event| book.apply(&event)) {
            version = sequence;
        }
    }
    Ok((version, sequence))
}

/// The event, if it is one of an account.
pub(super) fn decode(stored: &StoredEvent) -> Result<Option<SubscriptionEvent>, DbError> {
    let decoded = LedgerEvent::decode(
        &stored.aggregate_type,
        &stored.event_type,
        stored.event_version,
        &stored.payload,
    );
    match decoded {
        Ok(LedgerEvent::Subscription(event)) => Ok(Some(event)),
        Ok(LedgerEvent::StripeObject(_) | LedgerEvent::Operation(_)) => Ok(None),
        Err(error) => Err(DbError::of(Class::Bug, error.to_string())),
    }
}

/// It asks for something at Stripe, or tells what became of that.
pub(super) fn is_of_an_intent(event: &SubscriptionEvent) -> bool {
    event.asked().is_some()
        || matches!(
            event,
            SubscriptionEvent::StripeCallSettled(_)
                | SubscriptionEvent::IntentObserved(_)
                | SubscriptionEvent::CheckoutStarted(_)
        )
}

/// The Stripe account behind an event's receipt.
fn source_of(metadata: &str) -> Option<Box<str>> {
    let metadata: Metadata = serde_json::from_str(metadata).ok()?;
    let receipt = metadata.receipt?;
    Some(receipt.split_once('/')?.0.into())
}

/// Who caused events, and when.
pub(super) struct Cause<'a> {
    pub(super) actor: Actor,
    pub(super) causation_id: &'a str,
    pub(super) correlation_id: &'a str,
    pub(super) at: Timestamp,
}

impl Cause<'_> {
    /// Events ready for the log, each under the id it must have.
    pub(super) fn write(&self, events: Vec<SubscriptionEvent>) -> Result<Vec<NewEvent>, DbError> {
        let unwritable = |error: serde_json::Error| DbError::bug(error.to_string());
        let metadata = serde_json::to_string(&Metadata {
            actor: self.actor.clone(),
            receipt: None,
            api_version: None,
            request_key: None,
        })
        .map_err(unwritable)?;
        let new = |event: SubscriptionEvent| {
            let event_id = event.own_id().map_or_else(Uuid::now_v7, |id| id.uuid());
            let event = LedgerEvent::Subscription(event);
            Ok(NewEvent {
                event_id,
                event_type: event.event_type(),
                event_version: event.version(),
                payload: event.encode().map_err(unwritable)?,
                metadata: metadata.clone(),
                causation_id: self.causation_id.to_owned(),
                correlation_id: self.correlation_id.to_owned(),
                occurred_at: self.at,
            })
        };
        events.into_iter().map(new).collect()
    }
}

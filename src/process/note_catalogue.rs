//! A plan catalogue that takes effect is recorded, once for each version, so that the audit shows since when it holds.

use aggregates::ids::StreamId;
use aggregates::operation::{self, OperationCommand, OperationEvent, OperationState};
use aggregates::partition::part_of;
use aggregates::recorded::{Actor, LedgerEvent, Metadata};
use aggregates::subscription::Decision;
use aggregates::time::Timestamp;
use projections::db::{Db, DbError};
use projections::log::load_streams;
use uuid::Uuid;

use crate::ledger::{self, Item, LedgerError, Mark, NewEvent, StreamAppend};

/// The stream of the catalogue's versions, and the source of their marks.
const CATALOGUE: &str = "catalogue";
/// Attempts against other processes that start at the same time.
const TRIES: u32 = 8;

/// Records that this version is in force, unless that is known. A version that was in force before one that is known
/// leaves no new event: events name the version they used, whichever it was.
pub async fn note_catalogue(db: &Db, version: u32, content_hash: [u8; 32], now: Timestamp) -> Result<(), DbError> {
    let stream = StreamId::of_object(CATALOGUE);
    let part = part_of(&stream, db.parts());
    let command = OperationCommand(OperationEvent::CatalogueLoaded {
        version,
        content_hash: hex::encode(content_hash).into(),
    });
    for _ in 0..TRIES {
        let (mut state, mut sequence) = (OperationState::default(), 0);
        for stored in load_streams(db, part, &[(operation::AGGREGATE_TYPE, stream.as_str())]).await? {
            sequence = stored.sequence;
            let (kind, name) = (&stored.aggregate_type, &stored.event_type);
            match LedgerEvent::decode(kind, name, stored.event_version, &stored.payload) {
                Ok(LedgerEvent::Operation(event)) => state.evolve(&event),
                Ok(LedgerEvent::Subscription(_) | LedgerEvent::StripeObject(_)) => {}
                Err(error) => return Err(DbError::bug(error.to_string())),
            }
        }
        let events = match operation::decide(&state, &command) {
            Ok(Decision::Record { events, .. }) => events,
            Ok(Decision::AlreadyApplied | Decision::Superseded) => return Ok(()),
            Err(older) => {
                tracing::warn!(version, reason = %older, "an earlier plan catalogue is in force again");
                return Ok(());
            }
        };
        let mut item = Item::new(Mark {
            source: CATALOGUE.to_owned(),
            key: version.to_string(),
            request_hash: None,
        });
        let events = events.into_iter().map(|event| event_of(event, version, now));
        item.appends.push(StreamAppend {
            aggregate_type: operation::AGGREGATE_TYPE,
            stream: stream.clone(),
            tenant: None,
            expected_sequence: sequence,
            events: events.collect::<Result<_, _>>()?,
        });
        match ledger::append(db, part, vec![item], now).await {
            Ok(_) => return Ok(()),
            Err(LedgerError::Conflict) => {}
            Err(LedgerError::Db(error)) => return Err(error),
            Err(LedgerError::Refused(rule)) => return Err(DbError::bug(format!("an append must not {rule}"))),
        }
    }
    Err(DbError::bug("other processes kept recording catalogues; start again"))
}

fn event_of(event: OperationEvent, version: u32, now: Timestamp) -> Result<NewEvent, DbError> {
    let unwritable = |error: serde_json::Error| DbError::bug(error.to_string());
    let event = LedgerEvent::Operation(event);
    let metadata = Metadata {
        actor: Actor::Job { name: CATALOGUE.into() },
        receipt: None,
        api_version: None,
        request_key: None,
    };
    Ok(NewEvent {
        event_id: Uuid::now_v7(),
        event_type: event.event_type(),
        event_version: event.version(),
        payload: event.encode().map_err(unwritable)?,
        metadata: serde_json::to_string(&metadata).map_err(unwritable)?,
        causation_id: format!("catalogue:{version}"),
        correlation_id: format!("catalogue:{version}"),
        occurred_at: now,
    })
}

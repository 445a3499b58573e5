//! Records what people do to the ledger itself: one operation event, under the command's key.

use aggregates::ids::StreamId;
use aggregates::operation::{AGGREGATE_TYPE, OperationEvent};
use aggregates::partition::part_of;
use aggregates::recorded::{LedgerEvent, Metadata};
use projections::log;
use uuid::Uuid;

use super::idempotency::Command;
use super::position::LedgerPosition;
use super::problem::{Answer, Problem, ProblemKind};
use super::state::Service;
use crate::auth::Principal;
use crate::ledger::{Item, LedgerError, NewEvent, Outcome, StreamAppend, append};

/// Attempts against other writers of the same stream; operators are few.
const ATTEMPTS_MAX: u32 = 5;

/// Part of an operation stream.
#[must_use]
pub fn part_of_stream(service: &Service, stream: &StreamId) -> u32 {
    part_of(stream, service.db.parts())
}

/// A stream name from its parts, for instance `receipt:default:evt_1`.
pub fn stream(name: &str) -> Answer<StreamId> {
    StreamId::parse(&StreamId::of_object(name).to_string()).map_err(|_| Problem::not_found())
}

/// Appends `event` to `stream`. Sent again with the same key it answers where the event stands.
pub async fn record(
    service: &Service,
    command: &Command,
    principal: &Principal,
    stream: &StreamId,
    event: &OperationEvent,
) -> Answer<LedgerPosition> {
    let part = part_of_stream(service, stream);
    for _ in 0..ATTEMPTS_MAX {
        let known = log::load_streams(&service.db, part, &[(AGGREGATE_TYPE, stream.as_str())]).await;
        let known = known.map_err(Problem::store)?;
        let expected_sequence = known.last().map_or(0, |last| last.sequence);
        let now = service.clock.now();
        let mut item = Item::new(command.mark());
        item.api = command.claim(now);
        item.appends.push(StreamAppend {
            aggregate_type: AGGREGATE_TYPE,
            stream: stream.clone(),
            tenant: None,
            expected_sequence,
            events: vec![new_event(command, principal, event, now)?],
        });
        match append(&service.db, part, vec![item], now).await {
            Ok(outcomes) => return position(part, outcomes.into_iter().next()),
            Err(LedgerError::Conflict) => {}
            Err(LedgerError::Db(error)) => return Err(Problem::store(error)),
            Err(error @ LedgerError::Refused(_)) => return Err(Problem::internal(error)),
        }
    }
    let detail = format!("{ATTEMPTS_MAX} attempts met other writers of {stream}");
    Err(Problem::new(ProblemKind::WriteConflict, detail))
}

fn new_event(
    command: &Command,
    principal: &Principal,
    event: &OperationEvent,
    now: aggregates::time::Timestamp,
) -> Answer<NewEvent> {
    let metadata = Metadata {
        actor: principal.actor(),
        receipt: None,
        api_version: None,
        request_key: None,
    };
    let ledger_event = LedgerEvent::Operation(event.clone());
    Ok(NewEvent {
        event_id: Uuid::now_v7(),
        event_type: ledger_event.event_type(),
        event_version: ledger_event.version(),
        payload: ledger_event.encode().map_err(Problem::internal)?,
        metadata: serde_json::to_string(&metadata).map_err(Problem::internal)?,
        causation_id: format!("command:{}", command.id),
        correlation_id: format!("command:{}", command.id),
        occurred_at: now,
    })
}

fn position(part: u32, outcome: Option<Outcome>) -> Answer<LedgerPosition> {
    let at = |position| LedgerPosition { part, position };
    match outcome {
        Some(Outcome::Appended { last_position, .. }) => Ok(at(last_position)),
        Some(Outcome::Replayed(mark)) => Ok(at(mark.positions.map_or(0, |(_, last)| last))),
        Some(Outcome::KeyReused) => Err(Command::reused()),
        Some(Outcome::NoChange | Outcome::Undone) | None => {
            Err(Problem::internal("an operation event was not recorded"))
        }
    }
}

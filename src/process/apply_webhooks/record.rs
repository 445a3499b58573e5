//! From decisions to one append: everything a batch writes to the log, laid out item by item.

use aggregates::recorded::{Actor, Metadata};
use aggregates::subscription::Refresh;
use projections::db::{Class, DbError};
use serde_json::json;
use uuid::Uuid;

use super::Worker;
use super::decide::{Decided, Meaning};
use super::item::Item;
use super::lanes::Ticket;
use crate::inbox::Placed;
use crate::ledger::{self, LedgerError, Mark, NewEvent, OutboxRow, Outcome, SideRow, StreamAppend};
use crate::stripe::translate::Fetch;

/// The outbox kind of questions that only Stripe can answer.
pub const OUTBOX_KIND: &str = "stripe_fetch";

/// How an append ended.
pub(super) enum Appended {
    /// All items are recorded, at these places.
    Recorded(Vec<Option<Placed>>),
    /// These items, by their place in the batch, were recorded before, by a process that did not come to settle them.
    /// Nothing was recorded now: the others must be decided again.
    Known(Vec<(usize, Option<Placed>)>),
    /// Nothing was recorded.
    Failed(DbError),
}

impl Worker {
    /// Records what the items mean, all or nothing.
    pub(super) async fn append(
        &self,
        part: u32,
        items: impl Iterator<Item = &Item>,
        meanings: Vec<Meaning>,
    ) -> Appended {
        let now = self.clock.now();
        let items: Vec<&Item> = items.collect();
        let mut rows = Vec::with_capacity(items.len());
        for (item, meaning) in items.iter().zip(meanings) {
            match row(item, meaning, now) {
                Ok(row) => rows.push(row),
                Err(error) => return Appended::Failed(DbError::bug(format!("an event cannot be written: {error}"))),
            }
        }
        let outcomes = match ledger::append(&self.db, part, rows, now).await {
            Ok(outcomes) => outcomes,
            Err(LedgerError::Db(error)) => return Appended::Failed(error),
            Err(LedgerError::Conflict) => {
                return Appended::Failed(DbError::of(Class::Conflict, "another process writes the same account"));
            }
            Err(LedgerError::Refused(rule)) => {
                return Appended::Failed(DbError::bug(format!("an append must not {rule}")));
            }
        };
        let place = |item: &Item, positions| {
            let step = item.works.front()?.steps.first()?;
            Some(Placed {
                stream: step.stream().clone(),
                part,
                positions,
            })
        };
        let (mut recorded, mut known) = (Vec::with_capacity(items.len()), Vec::new());
        for (nth, (item, outcome)) in items.iter().zip(outcomes).enumerate() {
            match outcome {
                Outcome::Appended {
                    first_position,
                    last_position,
                    ..
                } => recorded.push(place(item, Some((first_position, last_position)))),
                Outcome::NoChange => recorded.push(place(item, None)),
                Outcome::Replayed(mark) => known.push((nth, place(item, mark.positions))),
                // Receipts carry no request hash, so nobody can have reused their key.
                Outcome::KeyReused => return Appended::Failed(DbError::bug("a receipt's key was used by a command")),
                Outcome::Undone => {}
            }
        }
        if recorded.len() == items.len() {
            Appended::Recorded(recorded)
        } else {
            Appended::Known(known)
        }
    }
}

fn row(item: &Item, meaning: Meaning, now: aggregates::time::Timestamp) -> Result<ledger::Item, serde_json::Error> {
    let ticket = &item.ticket;
    let envelope = &ticket.envelope;
    let metadata = serde_json::to_string(&Metadata {
        actor: Actor::Stripe {
            event: ticket.key.event.as_str().into(),
        },
        receipt: Some(ticket.key.to_string().into()),
        api_version: envelope.api_version.as_deref().map(Into::into),
        request_key: envelope.idempotency_key.as_deref().map(Into::into),
    })?;
    let correlation = envelope.idempotency_key.as_deref().or(envelope.request_id.as_deref());
    let correlation = correlation.unwrap_or(ticket.key.event.as_str());
    let mut appends: Vec<StreamAppend> = Vec::with_capacity(1);
    let mut cause = None;
    for decided in meaning.events {
        let event = NewEvent {
            event_id: Uuid::now_v7(),
            event_type: decided.event.event_type(),
            event_version: decided.event.version(),
            payload: decided.event.encode()?,
            metadata: metadata.clone(),
            causation_id: ticket.key.event.to_string(),
            correlation_id: correlation.to_owned(),
            occurred_at: decided.occurred_at,
        };
        cause = cause.or(Some(event.event_id));
        add(&mut appends, decided, event);
    }
    let fetches = item.works.front().into_iter().flat_map(|work| &work.fetches);
    let asked = fetches
        .map(asked_fetch)
        .chain(meaning.refresh.iter().map(asked_refresh));
    let outbox = asked.map(|(what, object, id)| OutboxRow {
        outbox_id: Uuid::now_v7(),
        kind: OUTBOX_KIND.to_owned(),
        body: question(ticket, what, object, id),
        // A receipt that recorded nothing has no event to name; its key is in the body.
        cause_event_id: cause.unwrap_or_default(),
        cause_position: 0,
        next_at: now,
    });
    let outbox = outbox.collect();
    let sides = meaning.contacts.into_iter().map(|contact| SideRow::Person {
        stream: contact.stream,
        field: contact.field.as_str().to_owned(),
        value: contact.value,
        as_of: contact.as_of,
    });
    Ok(ledger::Item {
        mark: Mark {
            source: ticket.key.source.to_string(),
            key: item.mark_key(),
            request_hash: None,
        },
        appends,
        outbox,
        api: None,
        sides: sides.collect(),
    })
}

/// Events of one stream that follow each other go together, as long as the tenant stays the same.
fn add(appends: &mut Vec<StreamAppend>, decided: Decided, event: NewEvent) {
    if let Some(last) = appends.last_mut()
        && last.stream == decided.stream
        && last.tenant == decided.tenant
    {
        last.events.push(event);
        return;
    }
    appends.push(StreamAppend {
        aggregate_type: decided.event.aggregate_type(),
        stream: decided.stream,
        tenant: decided.tenant,
        expected_sequence: decided.sequence.saturating_sub(1),
        events: vec![event],
    });
}

fn asked_fetch(fetch: &Fetch) -> (&'static str, &str, &str) {
    (fetch.what.as_str(), fetch.object, &fetch.id)
}

fn asked_refresh(refresh: &Refresh) -> (&'static str, &str, &str) {
    match refresh {
        Refresh::Tied { object, id } => ("tied", object, id),
        Refresh::Incomplete { object, id } => ("incomplete", object, id),
    }
}

/// What `stripe_reads` reads: what is wanted of which object, for which account, and the receipt that asked; a thin one
/// says nothing of its own and ends with the answer.
fn question(ticket: &Ticket, what: &str, object: &str, id: &str) -> String {
    json!({
        "what": what,
        "object": object,
        "id": id,
        "source": &*ticket.key.source,
        "receipt": ticket.key.to_string(),
        "thin": ticket.envelope.thin,
    })
    .to_string()
}

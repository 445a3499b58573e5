//! What an operator does to receipts: send them through again, give them up, read their bytes. Each act leaves an
//! event with its reason on the stream `receipt:<source>:<event id>`, before the row changes: a crash in between
//! leaves an act that can be repeated, never a change nobody made.

use aggregates::ids::StreamId;
use aggregates::operation::{self, OperationEvent};
use aggregates::partition::part_of;
use aggregates::recorded::{Actor, LedgerEvent, Metadata};
use projections::db::{Db, DbError};
use projections::log::load_streams;
use serde::Serialize;
use uuid::Uuid;

use super::InboxError;
use super::receipt::{Custody, Receipt, ReceiptCursor, ReceiptFilter, ReceiptKey, Settlement, State};
use super::store::ReceiptStore;
use crate::clock::Clock;
use crate::ledger::{self, ApiClaim, Item, LedgerError, Mark, NewEvent, Outcome, StreamAppend};

/// Receipts one bulk replay may move; each leaves an event of its own.
pub const REPLAY_MAX: usize = 10_000;
/// Receipts listed at once while doing so.
const PAGE: u32 = 200;
/// Conflicts with another operator after which an act is given back.
const TRIES: u32 = 5;
/// Where a receipt may be sent through again from. What is on the log stays there, and twins would only end as before.
const REPLAYABLE: &[State] = &[State::Parked, State::Quarantined, State::Ignored, State::Discarded];
/// Where a receipt may be given up from.
const DISCARDABLE: &[State] = &[State::New, State::Parked, State::Quarantined];

/// The stream on which acts upon a receipt are recorded.
#[must_use]
pub fn stream_of(key: &ReceiptKey) -> StreamId {
    StreamId::of_object(&format!("receipt:{key}").replacen('/', ":", 1))
}

/// Who does it, why, and under which key it happens once.
#[derive(Clone, Debug)]
pub struct Act {
    /// Recorded on the event.
    pub actor: Actor,
    /// Key of the act.
    pub mark: Mark,
    /// Claims the answer of the request, when it came with a key.
    pub api: Option<ApiClaim>,
    /// What the event belongs to, for instance the request's id.
    pub correlation_id: String,
    /// Why.
    pub reason: String,
}

/// What a bulk replay did, or would do.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct ReplayReport {
    /// Receipts that match and may be replayed.
    pub matched: usize,
    /// Receipts sent through again.
    pub replayed: usize,
    /// Nothing was done, only counted.
    pub dry_run: bool,
}

/// An operator's hands on the inbox. Cheap to clone.
#[derive(Clone)]
pub struct InboxAdmin {
    db: Db,
    store: ReceiptStore,
    clock: Clock,
}

impl InboxAdmin {
    /// Of this ledger.
    #[must_use]
    pub fn new(db: Db, clock: Clock) -> Self {
        Self {
            store: ReceiptStore::new(db.clone()),
            db,
            clock,
        }
    }

    /// Sends a receipt through again; it is picked up within a second.
    pub async fn replay(&self, act: &Act, key: &ReceiptKey) -> Result<(), InboxError> {
        let advice = "only parked, quarantined, ignored and discarded receipts can be replayed";
        self.check(key, REPLAYABLE, advice).await?;
        let event = OperationEvent::ReceiptReplayed {
            source: (*key.source).into(),
            event: key.event.as_str().into(),
            reason: act.reason.as_str().into(),
        };
        self.record(act, &act.mark, key, event).await?;
        let again = Settlement {
            next_at: Some(self.clock.now()),
            ..Settlement::of(key.clone(), State::New, None)
        };
        self.move_to(again, REPLAYABLE, advice).await
    }

    /// Gives a receipt up.
    pub async fn discard(&self, act: &Act, key: &ReceiptKey) -> Result<(), InboxError> {
        let advice = "only receipts without an outcome and quarantined ones can be discarded";
        self.check(key, DISCARDABLE, advice).await?;
        let event = OperationEvent::ReceiptDiscarded {
            source: (*key.source).into(),
            event: key.event.as_str().into(),
            reason: act.reason.as_str().into(),
        };
        self.record(act, &act.mark, key, event).await?;
        let reason = format!("{}: {}", act.actor.label(), act.reason);
        let gone = Settlement::of(key.clone(), State::Discarded, Some(reason));
        self.move_to(gone, DISCARDABLE, advice).await
    }

    /// The bytes of a receipt; that somebody read them is recorded.
    pub async fn read_raw(&self, act: &Act, key: &ReceiptKey) -> Result<Custody, InboxError> {
        let custody = self.store.get(key).await?;
        let event = OperationEvent::RawReceiptRead {
            source: (*key.source).into(),
            event: key.event.as_str().into(),
        };
        self.record(act, &act.mark, key, event).await?;
        Ok(custody)
    }

    /// Replays all receipts of a filter that may be, at most [`REPLAY_MAX`]; `dry_run` only counts them.
    pub async fn replay_all(
        &self,
        act: &Act,
        filter: &ReceiptFilter,
        dry_run: bool,
    ) -> Result<ReplayReport, InboxError> {
        let keys = self.matching(filter).await?;
        let mut report = ReplayReport {
            matched: keys.len(),
            replayed: 0,
            dry_run,
        };
        if dry_run {
            return Ok(report);
        }
        for key in keys {
            let one = Act {
                mark: Mark {
                    key: format!("{}:{key}", act.mark.key),
                    ..act.mark.clone()
                },
                ..act.clone()
            };
            match self.replay(&one, &key).await {
                Ok(()) => report.replayed += 1,
                // It got an outcome, or went, while this was running.
                Err(InboxError::WrongState { .. } | InboxError::Unknown(_)) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(report)
    }

    async fn matching(&self, filter: &ReceiptFilter) -> Result<Vec<ReceiptKey>, InboxError> {
        let mut keys = Vec::new();
        let mut after: Option<ReceiptCursor> = None;
        loop {
            let page = self.store.list(filter, after.as_ref(), PAGE).await?;
            after = page.last().map(Receipt::cursor);
            let replayable = page.iter().filter(|receipt| REPLAYABLE.contains(&receipt.state));
            keys.extend(replayable.map(|receipt| receipt.key.clone()));
            if keys.len() > REPLAY_MAX {
                return Err(InboxError::TooMany {
                    found: keys.len(),
                    most: REPLAY_MAX,
                });
            }
            if page.len() < usize::try_from(PAGE).unwrap_or(usize::MAX) {
                return Ok(keys);
            }
        }
    }

    async fn check(&self, key: &ReceiptKey, from: &[State], advice: &'static str) -> Result<(), InboxError> {
        let state = self.store.get(key).await?.receipt.state;
        if from.contains(&state) {
            return Ok(());
        }
        Err(InboxError::WrongState {
            key: key.clone(),
            state,
            advice,
        })
    }

    async fn move_to(&self, to: Settlement, from: &[State], advice: &'static str) -> Result<(), InboxError> {
        let key = to.key.clone();
        if self.store.transition(to, from, self.clock.now()).await? {
            return Ok(());
        }
        // Somebody else was first; say where it stands now.
        self.check(&key, &[], advice).await
    }

    async fn record(&self, act: &Act, mark: &Mark, key: &ReceiptKey, event: OperationEvent) -> Result<(), InboxError> {
        let stream = stream_of(key);
        let part = part_of(&stream, self.db.parts());
        let event = LedgerEvent::Operation(event);
        let unwritable = |error: serde_json::Error| DbError::bug(error.to_string());
        let metadata = Metadata {
            actor: act.actor.clone(),
            receipt: Some(key.to_string().into()),
            api_version: None,
            request_key: None,
        };
        for _ in 0..TRIES {
            let stored = load_streams(&self.db, part, &[(operation::AGGREGATE_TYPE, stream.as_str())]).await?;
            let now = self.clock.now();
            let append = StreamAppend {
                aggregate_type: operation::AGGREGATE_TYPE,
                stream: stream.clone(),
                tenant: None,
                expected_sequence: stored.last().map_or(0, |last| last.sequence),
                events: vec![NewEvent {
                    event_id: Uuid::now_v7(),
                    event_type: event.event_type(),
                    event_version: event.version(),
                    payload: event.encode().map_err(unwritable)?,
                    metadata: serde_json::to_string(&metadata).map_err(unwritable)?,
                    causation_id: mark.key.clone(),
                    correlation_id: act.correlation_id.clone(),
                    occurred_at: now,
                }],
            };
            let item = Item {
                appends: vec![append],
                api: act.api.clone(),
                ..Item::new(mark.clone())
            };
            match ledger::append(&self.db, part, vec![item], now).await {
                Ok(outcomes) if outcomes.first() == Some(&Outcome::KeyReused) => {
                    return Err(DbError::bug("the key of this act was used for something else").into());
                }
                Ok(_) => return Ok(()),
                Err(LedgerError::Conflict) => {}
                Err(LedgerError::Db(error)) => return Err(error.into()),
                Err(LedgerError::Refused(rule)) => {
                    return Err(DbError::bug(format!("an append must not {rule}")).into());
                }
            }
        }
        Err(InboxError::Busy)
    }
}

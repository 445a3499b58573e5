//! What is written down of a turn: the answer as an event, the row's new state, and what is asked beside it.

use std::sync::atomic::Ordering;

use aggregates::ids::{CustomerId, IntentId, StreamId, SubscriptionId};
use aggregates::recorded::Actor;
use aggregates::subscription::settled::{CallOutcome, StripeCallSettled};
use aggregates::subscription::{self, Decision, NoPlans, Rejection, SubscriptionCommand};
use aggregates::time::Timestamp;
use projections::db::{Class, Db, DbError};
use serde_json::json;
use uuid::Uuid;

use super::{Calls, Claimed, Turn};
use crate::clock::Clock;
use crate::directory::{Claim, Kind};
use crate::ledger::{self, Item, LedgerError, Mark, OutboxRow, StreamAppend};
use crate::outbox::{self, Effect, State};
use crate::process::account_log::{self, Cause, Loaded};
use crate::process::apply_webhooks::FETCH_KIND;
use crate::process::links::Links;

/// Conflicts with other writers after which the row waits for its next turn.
const TRIES: u32 = 5;
/// Who gives the keys of what this worker appends.
const SOURCE: &str = "outbox";

/// Why a customer that was made could not be linked.
#[derive(Debug, thiserror::Error)]
pub(in crate::process) enum LinkError {
    /// It belongs to another account.
    #[error("the new customer belongs to another account already")]
    Elsewhere,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] DbError),
}

impl Calls {
    /// Records Stripe's answer, once.
    pub(super) async fn record(
        &self,
        claimed: &Claimed,
        outcome: CallOutcome,
        request_id: Option<&str>,
    ) -> Result<(), DbError> {
        let (counter, word) = match &outcome {
            CallOutcome::Applied { .. } => (Some(&self.counters.applied), "answered"),
            CallOutcome::Unneeded => (Some(&self.counters.unneeded), "answered"),
            CallOutcome::Rejected(_) => (Some(&self.counters.rejected), "answered"),
            CallOutcome::Unknown { given_up: true, .. } => (Some(&self.counters.given_up), "given_up"),
            CallOutcome::Unknown { given_up: false, .. } => (None, "unknown"),
        };
        if let Some(counter) = counter {
            counter.fetch_add(1, Ordering::Relaxed);
        }
        let command = SubscriptionCommand::SettleCall(Box::new(StripeCallSettled {
            intent: claimed.body.intent,
            outcome,
            request_id: request_id.map(Into::into),
        }));
        let place = Self::place(claimed);
        match self.recorder.append(&place, &command, word).await {
            // It ended so long ago that the account does not keep it.
            Ok(()) | Err(Settle::Refused(Rejection::UnknownIntent { .. })) => Ok(()),
            Err(Settle::Refused(rejection)) => Err(DbError::bug(format!("an answer was refused: {rejection}"))),
            Err(Settle::Store(error)) => Err(error),
        }
    }

    /// Links a customer that a call has made.
    pub(super) async fn link(&self, claimed: &Claimed, customer: &CustomerId) -> Result<(), LinkError> {
        self.recorder.link(&Self::place(claimed), customer).await
    }

    fn place(claimed: &Claimed) -> Place<'_> {
        Place {
            part: claimed.row.part,
            stream: &claimed.body.stream,
            intent: claimed.body.intent,
        }
    }

    /// Asks Stripe for the terms a call rests on, once for each turn that misses them.
    pub(super) async fn fetch(
        &self,
        claimed: &Claimed,
        loaded: &Loaded,
        subscription: &SubscriptionId,
    ) -> Result<(), DbError> {
        let (row, now) = (&claimed.row, self.clock.now());
        let intent = claimed.body.intent.to_string();
        let of = ("subscription", subscription.as_str());
        let item = Item {
            outbox: vec![question(of, loaded.source.as_deref(), claimed.body.intent, now)],
            ..Item::new(mark(&intent, &format!("fetch:{}", row.attempts)))
        };
        match ledger::append(&self.db, row.part, vec![item], now).await {
            Ok(_) => Ok(()),
            Err(LedgerError::Db(error)) => Err(error),
            Err(error @ (LedgerError::Conflict | LedgerError::Refused(_))) => Err(DbError::bug(error.to_string())),
        }
    }

    /// Ends a row.
    pub(super) async fn end(&self, row: &Effect, fence: u64, state: State, words: &str) -> Result<Turn, DbError> {
        let now = self.clock.now();
        let settlement = outbox::Settlement {
            state,
            result: Some(json!({ "outcome": words }).to_string()),
            next_at: now,
        };
        let is_ours = outbox::settle(&self.db, row.part, row.outbox_id, fence, settlement, now).await?;
        Ok(if is_ours { Turn::Ended } else { Turn::Lost })
    }

    /// Lets a row wait, with what it keeps.
    pub(super) async fn put_off(&self, claimed: &Claimed, at: Timestamp, kept: Option<String>) -> Result<(), DbError> {
        let (row, now) = (&claimed.row, self.clock.now());
        let settlement = outbox::Settlement {
            state: State::Due,
            result: kept,
            next_at: at,
        };
        outbox::settle(&self.db, row.part, row.outbox_id, claimed.fence, settlement, now).await?;
        Ok(())
    }
}

/// An intent and where it is recorded.
#[derive(Clone, Copy)]
pub(in crate::process) struct Place<'a> {
    pub(in crate::process) part: u32,
    pub(in crate::process) stream: &'a StreamId,
    pub(in crate::process) intent: IntentId,
}

/// Records what becomes of intents. Cheap to clone.
#[derive(Clone)]
pub(in crate::process) struct Recorder {
    db: Db,
    links: Links,
    clock: Clock,
}

impl Recorder {
    pub(in crate::process) const fn new(db: Db, links: Links, clock: Clock) -> Self {
        Self { db, links, clock }
    }

    /// Claims a customer that a call has made for the account, and records that it has it.
    pub(in crate::process) async fn link(&self, place: &Place<'_>, customer: &CustomerId) -> Result<(), LinkError> {
        let stream = place.stream;
        if stream.as_str().starts_with("tenant:") && !self.links.is_customer_of(stream, customer).await? {
            return Err(LinkError::Elsewhere);
        }
        let claim = Claim::new(Kind::Customer, customer.as_str(), stream.as_str());
        let holders = self.links.claim(vec![claim]).await?;
        if holders.values().any(|holder| holder != stream.as_str()) {
            return Err(LinkError::Elsewhere);
        }
        let command = SubscriptionCommand::LinkCustomer {
            customer: customer.clone(),
        };
        match self.append(place, &command, "customer").await {
            Ok(()) => Ok(()),
            Err(Settle::Refused(_)) => Err(LinkError::Elsewhere),
            Err(Settle::Store(error)) => Err(error.into()),
        }
    }

    /// Decides a command about the intent and records what it means, once under `word`.
    pub(in crate::process) async fn append(
        &self,
        place: &Place<'_>,
        command: &SubscriptionCommand,
        word: &str,
    ) -> Result<(), Settle> {
        let Place { part, stream, intent } = *place;
        let intent = intent.to_string();
        for _ in 0..TRIES {
            let loaded = account_log::read(&self.db, part, stream).await?;
            let decided = subscription::decide(&loaded.state, command, &NoPlans).map_err(Settle::Refused)?;
            let Decision::Record { events, .. } = decided else {
                return Ok(());
            };
            let now = self.clock.now();
            let cause = Cause {
                actor: Actor::Job {
                    name: "stripe_calls".into(),
                },
                causation_id: &intent,
                correlation_id: &intent,
                at: now,
            };
            let item = Item {
                appends: vec![StreamAppend {
                    aggregate_type: subscription::AGGREGATE_TYPE,
                    stream: stream.clone(),
                    tenant: loaded.state.account.tenant.clone(),
                    expected_sequence: loaded.sequence,
                    events: cause.write(events)?,
                }],
                ..Item::new(mark(&intent, word))
            };
            match ledger::append(&self.db, part, vec![item], now).await {
                Ok(_) => return Ok(()),
                Err(LedgerError::Conflict) => {}
                Err(LedgerError::Db(error)) => return Err(error.into()),
                Err(LedgerError::Refused(rule)) => {
                    return Err(DbError::bug(format!("an append must not {rule}")).into());
                }
            }
        }
        Err(DbError::of(Class::Conflict, "others keep writing to the account").into())
    }
}

/// The row that asks Stripe for an object an intent rests on.
pub(in crate::process) fn question(
    (object, id): (&str, &str),
    source: Option<&str>,
    intent: IntentId,
    now: Timestamp,
) -> OutboxRow {
    let body = json!({
        "what": "incomplete",
        "object": object,
        "id": id,
        "source": source.unwrap_or("default"),
        "receipt": "",
    });
    OutboxRow {
        outbox_id: Uuid::now_v7(),
        kind: FETCH_KIND.to_owned(),
        body: body.to_string(),
        cause_event_id: intent.uuid(),
        cause_position: 0,
        next_at: now,
    }
}

fn mark(intent: &str, word: &str) -> Mark {
    Mark {
        source: SOURCE.to_owned(),
        key: format!("{intent}:{word}"),
        request_hash: None,
    }
}

/// Why nothing was recorded.
pub(in crate::process) enum Settle {
    Refused(Rejection),
    Store(DbError),
}

impl From<DbError> for Settle {
    fn from(error: DbError) -> Self {
        Self::Store(error)
    }
}

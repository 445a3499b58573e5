//! What the items of a batch mean, decided in order on one copy of each stream, so that a later item sees the events
//! of an earlier one. Pure but for the reading of states beforehand.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};

use aggregates::facts::ContactField;
use aggregates::ids::{StreamId, TenantId};
use aggregates::recorded::LedgerEvent;
use aggregates::stripe_object::{self, ObjectState};
use aggregates::subscription::{self, AccountState, Decision, PriceBook, Refresh, SubscriptionCommand};
use aggregates::time::Timestamp;
use projections::db::DbError;
use projections::log::StoredEvent;

use super::item::{Step, Work};
use crate::stripe::translate::AccountFact;

/// A stream in memory: its state, the sequence of its last stored event, and that of the last one decided here.
pub(super) struct Open<S> {
    pub(super) state: S,
    pub(super) stored: u64,
    pub(super) last: u64,
}

impl<S: Default> Default for Open<S> {
    fn default() -> Self {
        Self::at(S::default(), 0)
    }
}

impl<S> Open<S> {
    pub(super) const fn at(state: S, sequence: u64) -> Self {
        Self {
            state,
            stored: sequence,
            last: sequence,
        }
    }
}

/// The streams of a batch.
#[derive(Default)]
pub(super) struct Streams {
    pub(super) accounts: HashMap<StreamId, Open<AccountState>>,
    pub(super) objects: HashMap<StreamId, Open<ObjectState>>,
    /// Streams with an event this program cannot read, and why: nothing is decided on a guess.
    broken: HashMap<StreamId, String>,
}

impl Streams {
    /// Takes one stored event, in the order of its stream.
    pub(super) fn take_in(&mut self, stored: &StoredEvent) -> Result<(), DbError> {
        let stream = StreamId::parse(&stored.stream).map_err(|error| DbError::bug(error.to_string()))?;
        let StoredEvent {
            aggregate_type,
            event_type,
            event_version,
            payload,
            sequence,
            ..
        } = stored;
        match LedgerEvent::decode(aggregate_type, event_type, *event_version, payload) {
            Ok(LedgerEvent::Subscription(event)) => {
                let open = self.accounts.entry(stream).or_default();
                open.state.evolve(&event);
                (open.stored, open.last) = (*sequence, *sequence);
            }
            Ok(LedgerEvent::StripeObject(event)) => {
                let open = self.objects.entry(stream).or_default();
                open.state.evolve(&event);
                (open.stored, open.last) = (*sequence, *sequence);
            }
            // Not asked for.
            Ok(LedgerEvent::Operation(_)) => {}
            Err(error) => {
                self.broken.insert(stream, error.to_string());
            }
        }
        Ok(())
    }

    /// What was decided is on the log.
    pub(super) fn confirm(&mut self) {
        for open in self.accounts.values_mut() {
            open.stored = open.last;
        }
        for open in self.objects.values_mut() {
            open.stored = open.last;
        }
    }

    /// States of accounts that are on the log, with the sequence of their last event.
    pub(super) fn into_accounts(self) -> impl Iterator<Item = (StreamId, AccountState, u64)> {
        let stored = |(stream, open): (StreamId, Open<AccountState>)| {
            (open.stored > 0 && open.stored == open.last).then_some((stream, open.state, open.stored))
        };
        self.accounts.into_iter().filter_map(stored)
    }
}

/// One event to record.
pub(super) struct Decided {
    pub(super) stream: StreamId,
    pub(super) sequence: u64,
    pub(super) event: LedgerEvent,
    pub(super) occurred_at: Timestamp,
    /// The stream's tenant once it is recorded.
    pub(super) tenant: Option<TenantId>,
}

/// A contact field for the side table.
pub(super) struct Contact {
    pub(super) stream: StreamId,
    pub(super) field: ContactField,
    pub(super) value: Option<String>,
    pub(super) as_of: Timestamp,
}

/// What one piece of work means.
#[derive(Default)]
pub(super) struct Meaning {
    pub(super) events: Vec<Decided>,
    pub(super) refresh: Vec<Refresh>,
    pub(super) contacts: Vec<Contact>,
}

/// Decides one piece of work and takes its events into the streams. An error says why it can never be decided; the
/// streams must then be read again.
pub(super) fn decide(streams: &mut Streams, work: &Work, prices: &dyn PriceBook) -> Result<Meaning, String> {
    let decided = catch_unwind(AssertUnwindSafe(|| {
        let mut meaning = Meaning::default();
        for step in &work.steps {
            if let Some(reason) = streams.broken.get(step.stream()) {
                return Err(reason.clone());
            }
            match step {
                Step::Account { stream, fact } => account(streams, stream, fact, prices, &mut meaning)?,
                Step::Object { stream, observation } => {
                    let open = streams.objects.entry(stream.clone()).or_default();
                    if let Decision::Record { events, refresh } = stripe_object::decide(&open.state, observation) {
                        meaning.refresh.extend(refresh);
                        for event in events {
                            open.state.evolve(&event);
                            open.last += 1;
                            meaning.events.push(Decided {
                                stream: stream.clone(),
                                sequence: open.last,
                                event: LedgerEvent::StripeObject(event),
                                occurred_at: observation.seen.as_of,
                                tenant: None,
                            });
                        }
                    }
                }
            }
        }
        Ok(meaning)
    }));
    decided.unwrap_or_else(|_| Err("deciding what it means failed unexpectedly; please report it".to_owned()))
}

fn account(
    streams: &mut Streams,
    stream: &StreamId,
    fact: &AccountFact,
    prices: &dyn PriceBook,
    meaning: &mut Meaning,
) -> Result<(), String> {
    let open = streams.accounts.entry(stream.clone()).or_default();
    let as_of = fact.observation.seen.as_of;
    let command = SubscriptionCommand::Observe(Box::new(fact.observation.clone()));
    let decision = subscription::decide(&open.state, &command, prices).map_err(|error| error.to_string())?;
    let Decision::Record { events, refresh } = decision else {
        return Ok(());
    };
    meaning.refresh.extend(refresh);
    for event in events {
        open.state.evolve(&event);
        open.last += 1;
        meaning.events.push(Decided {
            stream: stream.clone(),
            sequence: open.last,
            event: LedgerEvent::Subscription(event),
            occurred_at: as_of,
            tenant: open.state.account.tenant.clone(),
        });
    }
    meaning
        .contacts
        .extend(fact.contact.iter().map(|(field, value)| Contact {
            stream: stream.clone(),
            field: *field,
            // A NUL is no text for Postgres; without it both stores keep the same.
            value: value.as_ref().map(|value| value.replace('\0', "")),
            as_of,
        }));
    Ok(())
}

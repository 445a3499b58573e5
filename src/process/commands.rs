//! What people ask for at Stripe: decided at once, recorded with the row that carries it out; and what became of it.
//!
//! Flow of [`Commands::ask`]: read the account, decide, append the intent under the caller's key together with its outbox
//! row; on a conflict read and decide again. The intent's id is the command's id, so that a key has one command however
//! often it is sent. What became of it is read from the log itself and is never behind it.

use std::sync::Arc;

use aggregates::ids::{CheckoutSessionId, IntentId, StreamId, TenantId};
use aggregates::plan::Catalogue;
use aggregates::recorded::{Actor, Metadata};
use aggregates::subscription::intent::{Asked, Intent, IntentStatus};
use aggregates::subscription::request::{Circumstances, Request, Wish};
use aggregates::subscription::settled::StripeCallSettled;
use aggregates::subscription::state::is_live;
use aggregates::subscription::{self, AccountState, Decision, Rejection, SubscriptionCommand, SubscriptionEvent};
use aggregates::time::Timestamp;
use projections::db::{Db, DbError};
use projections::log::{StoredEvent, read_page, read_stream};
use tokio::sync::Notify;

use super::account_log::{self, Cause, Loaded, decode, is_of_an_intent};
use super::accounts::Caller;
use super::stripe_calls;
use crate::clock::Clock;
use crate::ledger::{self, Item, LedgerError, Mark, Outcome, StreamAppend};

/// Conflicts with other writers after which a command is given back to its caller.
const TRIES: u32 = 5;
/// Events read at once.
const PAGE_EVENTS: u32 = 1_000;

/// An account as a command names it.
#[derive(Clone, Debug)]
pub struct OfAccount {
    /// Its stream.
    pub stream: StreamId,
    /// The stream's partition.
    pub part: u32,
    /// The tenant the caller named.
    pub tenant: Option<TenantId>,
}

/// What is asked for, and what the decision rests on beside the account.
#[derive(Clone, Copy, Debug)]
pub struct AskedFor<'a> {
    /// The wish.
    pub wish: &'a Wish,
    /// What the account cannot know itself.
    pub circumstances: &'a Circumstances,
    /// The catalogue in force.
    pub catalogue: &'a Catalogue,
}

/// What was recorded for a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recorded {
    /// The command; none: nothing had to be done, so there is none.
    pub intent: Option<IntentId>,
    /// Position of its last event; none when nothing was recorded.
    pub position: Option<u64>,
    /// Sequence of the account afterwards.
    pub sequence: u64,
    /// The key had been used for this very request before.
    pub replayed: bool,
}

/// Why nothing was recorded.
#[derive(Clone, Debug, thiserror::Error)]
pub enum CommandError {
    /// The domain refuses.
    #[error(transparent)]
    Rejected(#[from] Rejection),
    /// The account has another version than the caller saw.
    #[error("the account is at version {current}")]
    OtherVersion {
        /// Its version.
        current: u64,
    },
    /// The key belongs to another request.
    #[error("this key was used for another request; use a new one")]
    KeyReused,
    /// Others changed the account all the while.
    #[error("the account was changed by others all the while; send the request again")]
    Busy,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] DbError),
}

/// One command and what is known of it.
#[derive(Clone, Debug)]
pub struct CommandRecord {
    /// What was asked for, and how it stands.
    pub intent: Intent,
    /// Stripe's last answer.
    pub settled: Option<StripeCallSettled>,
    /// Who asked.
    pub actor: Actor,
    /// Position of the event that records it.
    pub position: u64,
    /// When it was recorded.
    pub accepted_at: Timestamp,
    /// When the last thing was learnt of it.
    pub updated_at: Timestamp,
    /// Positions of all events about it.
    pub events: Vec<u64>,
}

impl CommandRecord {
    /// How it stands.
    #[must_use]
    pub fn status(&self) -> IntentStatus {
        self.intent.status()
    }

    /// Its id.
    #[must_use]
    pub const fn id(&self) -> IntentId {
        self.intent.id()
    }
}

/// Whether what a checkout bought can be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activation {
    /// Not yet.
    Pending,
    /// The subscription runs.
    Active,
}

/// How a checkout page stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkout {
    /// `open`, `complete` or `expired`.
    pub status: Box<str>,
    /// Whether what was bought can be used.
    pub activation: Activation,
    /// When it is given up.
    pub expires_at: Option<Timestamp>,
}

/// Which version a command may be decided on.
pub type VersionCheck<'a> = &'a (dyn Fn(u64) -> bool + Send + Sync);

/// Commands with an effect at Stripe. Cheap to clone.
#[derive(Clone)]
pub struct Commands {
    db: Db,
    clock: Clock,
    woken: Arc<Notify>,
}

impl Commands {
    /// Of this ledger. `woken` is told whenever there is something to carry out.
    #[must_use]
    pub const fn new(db: Db, clock: Clock, woken: Arc<Notify>) -> Self {
        Self { db, clock, woken }
    }

    /// Decides a wish and records it. `id` becomes the command's id.
    pub async fn ask(
        &self,
        caller: &Caller,
        id: IntentId,
        account: &OfAccount,
        asked: &AskedFor<'_>,
        may_be_at: Option<VersionCheck<'_>>,
    ) -> Result<Recorded, CommandError> {
        for _ in 0..TRIES {
            let loaded = account_log::read(&self.db, account.part, &account.stream).await?;
            if let Some(known) = self.known(caller, account).await? {
                let sequence = loaded.sequence;
                return Ok(Recorded { sequence, ..known });
            }
            if let Some(may_be_at) = may_be_at {
                let (version, sequence) = account_log::version(&self.db, account.part, &account.stream).await?;
                if !may_be_at(version) {
                    return Err(CommandError::OtherVersion { current: version });
                }
                if sequence != loaded.sequence {
                    continue;
                }
            }
            let now = self.clock.now();
            let events = self.decide(id, account, asked, &loaded, now).await?;
            let own = events.iter().find_map(SubscriptionEvent::own_id);
            let count = u64::try_from(events.len()).unwrap_or_default();
            let sequence = loaded.sequence + count;
            let item = self.item(caller, account, loaded.state, loaded.sequence, events, now)?;
            let outcome = match ledger::append(&self.db, account.part, vec![item], now).await {
                Ok(outcomes) => outcomes.into_iter().next(),
                Err(LedgerError::Conflict) => continue,
                Err(LedgerError::Db(error)) => return Err(error.into()),
                Err(LedgerError::Refused(rule)) => {
                    return Err(DbError::bug(format!("an append must not {rule}")).into());
                }
            };
            let position = match outcome {
                Some(Outcome::Appended { last_position, .. }) => Some(last_position),
                Some(Outcome::NoChange) => None,
                // The next round finds it.
                Some(Outcome::Replayed(_)) => continue,
                Some(Outcome::KeyReused) => return Err(CommandError::KeyReused),
                Some(Outcome::Undone) | None => return Err(DbError::bug("a lone item was left undone").into()),
            };
            self.woken.notify_one();
            return Ok(Recorded {
                intent: own,
                position,
                sequence,
                replayed: false,
            });
        }
        Err(CommandError::Busy)
    }

    /// What a wish means; nothing: it stands already.
    async fn decide(
        &self,
        id: IntentId,
        account: &OfAccount,
        asked: &AskedFor<'_>,
        loaded: &Loaded,
        now: Timestamp,
    ) -> Result<Vec<SubscriptionEvent>, CommandError> {
        let request = SubscriptionCommand::Request(Box::new(Request {
            intent: id,
            at: now,
            tenant: account.tenant.clone(),
            subscription: None,
            circumstances: asked.circumstances.clone(),
            wish: asked.wish.clone(),
        }));
        match subscription::decide(&loaded.state, &request, asked.catalogue) {
            Ok(Decision::Record { events, .. }) => Ok(events),
            Ok(Decision::AlreadyApplied | Decision::Superseded) => Ok(Vec::new()),
            Err(rejection) => {
                let source = loaded.source.as_deref();
                self.fetch_what_is_missing(account, id, source, &rejection).await?;
                Err(rejection.into())
            }
        }
    }

    /// Asks Stripe for what a decision could not rest on, so that the next try can.
    async fn fetch_what_is_missing(
        &self,
        account: &OfAccount,
        id: IntentId,
        source: Option<&str>,
        rejection: &Rejection,
    ) -> Result<(), DbError> {
        let (object, of) = if let Rejection::TermsUnknown { subscription } = rejection {
            ("subscription", subscription.as_str())
        } else if let Rejection::ScheduleUnknown { schedule } = rejection {
            ("subscription_schedule", schedule.as_str())
        } else {
            return Ok(());
        };
        let now = self.clock.now();
        let mut item = Item::new(Mark {
            source: "fetch".to_owned(),
            key: id.to_string(),
            request_hash: None,
        });
        item.outbox.push(stripe_calls::question((object, of), source, id, now));
        match ledger::append(&self.db, account.part, vec![item], now).await {
            Ok(_) => Ok(()),
            Err(LedgerError::Db(error)) => Err(error),
            Err(error @ (LedgerError::Conflict | LedgerError::Refused(_))) => Err(DbError::bug(error.to_string())),
        }
    }

    /// What the caller's key has recorded before.
    async fn known(&self, caller: &Caller, account: &OfAccount) -> Result<Option<Recorded>, CommandError> {
        let mark = &caller.mark;
        let Some(found) = ledger::find_mark(&self.db, account.part, &mark.source, &mark.key).await? else {
            return Ok(None);
        };
        if let (Some(theirs), Some(ours)) = (&found.request_hash, &mark.request_hash)
            && theirs.as_slice() != ours.as_slice()
        {
            return Err(CommandError::KeyReused);
        }
        let mut intent = None;
        if let Some((first, last)) = found.positions {
            let count = u32::try_from(last.saturating_sub(first)).unwrap_or(0).saturating_add(1);
            let after = first.saturating_sub(1);
            for stored in read_page(&self.db, account.part, after, count).await? {
                let own = decode(&stored)?.and_then(|event| event.own_id());
                intent = intent.or(own);
            }
        }
        Ok(Some(Recorded {
            intent,
            position: found.positions.map(|(_, last)| last),
            sequence: 0,
            replayed: true,
        }))
    }

    fn item(
        &self,
        caller: &Caller,
        account: &OfAccount,
        mut state: AccountState,
        sequence: u64,
        events: Vec<SubscriptionEvent>,
        now: Timestamp,
    ) -> Result<Item, CommandError> {
        let mut item = Item::new(caller.mark.clone());
        item.api.clone_from(&caller.api);
        if events.is_empty() {
            return Ok(item);
        }
        for event in &events {
            state.evolve(event);
            // Pages are opened within the request that asks for them.
            if let Some(asked) = event.asked().filter(|asked| !matches!(asked, Asked::Checkout(_))) {
                let row = stripe_calls::row(&account.stream, asked.head().id, now);
                item.outbox.push(row.map_err(|error| DbError::bug(error.to_string()))?);
            }
        }
        let cause = Cause {
            actor: caller.actor.clone(),
            causation_id: &caller.mark.key,
            correlation_id: &caller.correlation_id,
            at: now,
        };
        item.appends.push(StreamAppend {
            aggregate_type: subscription::AGGREGATE_TYPE,
            stream: account.stream.clone(),
            tenant: state.account.tenant,
            expected_sequence: sequence,
            events: cause.write(events)?,
        });
        Ok(item)
    }

    /// Every command of an account, oldest first.
    pub async fn list(&self, part: u32, stream: &StreamId) -> Result<Vec<CommandRecord>, DbError> {
        let mut records: Vec<CommandRecord> = Vec::new();
        let mut after = 0;
        loop {
            let kind = subscription::AGGREGATE_TYPE;
            let page = read_stream(&self.db, part, kind, stream.as_str(), after, PAGE_EVENTS).await?;
            let Some(last) = page.last() else { break };
            after = last.sequence;
            let is_last = page.len() < usize::try_from(PAGE_EVENTS).unwrap_or(usize::MAX);
            for stored in &page {
                if let Some(event) = decode(stored)?.filter(is_of_an_intent) {
                    take(&mut records, stored, &event);
                }
            }
            if is_last {
                break;
            }
        }
        Ok(records)
    }

    /// How a checkout page of an account stands; none: the account has no such page.
    pub async fn checkout(
        &self,
        part: u32,
        stream: &StreamId,
        session: &CheckoutSessionId,
    ) -> Result<Option<Checkout>, DbError> {
        let state = account_log::read(&self.db, part, stream).await?.state;
        let shown = state.money.checkouts.get(session).and_then(|book| book.terms());
        let is_its = |intent: &&Intent| {
            matches!(intent.asked, Asked::Checkout(_)) && intent.object.as_deref() == Some(session.as_str())
        };
        let opened = state.intents.iter().find(is_its);
        let Some(shown) = shown else {
            let checkout = opened.map(|_| Checkout {
                status: "open".into(),
                activation: Activation::Pending,
                expires_at: None,
            });
            return Ok(checkout);
        };
        let made = shown
            .subscription
            .as_ref()
            .and_then(|id| state.life.subscriptions.get(id));
        let terms = made.and_then(|book| book.book.terms());
        let is_active = terms.is_some_and(|terms| is_live(&terms.status));
        Ok(Some(Checkout {
            status: shown.status.as_str().into(),
            activation: if is_active {
                Activation::Active
            } else {
                Activation::Pending
            },
            expires_at: shown.expires_at,
        }))
    }

    /// One command of an account.
    pub async fn find(&self, part: u32, stream: &StreamId, id: IntentId) -> Result<Option<CommandRecord>, DbError> {
        let all = self.list(part, stream).await?;
        Ok(all.into_iter().find(|record| record.id() == id))
    }

    /// The same, once it is final or at the deadline as it stands then. Waits for the part to move, and looks again.
    pub async fn wait(
        &self,
        part: u32,
        stream: &StreamId,
        id: IntentId,
        until: tokio::time::Instant,
    ) -> Result<Option<CommandRecord>, DbError> {
        let mut head = self.db.heads().watch(part);
        loop {
            let found = self.find(part, stream, id).await?;
            let is_final = found.as_ref().is_none_or(|record| record.status().is_final());
            if is_final || tokio::time::Instant::now() >= until {
                return Ok(found);
            }
            // Other processes move the part too; their events are seen at the next look.
            let next = until.min(tokio::time::Instant::now() + LOOK_AGAIN);
            let moved = async {
                match &mut head {
                    Some(head) => drop(head.changed().await),
                    None => std::future::pending().await,
                }
            };
            let _ = tokio::time::timeout_at(next, moved).await;
        }
    }
}

/// How long a wait trusts that nobody else moved the part.
const LOOK_AGAIN: std::time::Duration = std::time::Duration::from_millis(250);

/// Takes one event about intents into the records.
fn take(records: &mut Vec<CommandRecord>, stored: &StoredEvent, event: &SubscriptionEvent) {
    let position = stored.position;
    if let Some(asked) = event.asked() {
        let id = asked.head().id;
        for replaced in asked.replaces() {
            if let Some(record) = of(records, *replaced) {
                record.intent.merged_into.get_or_insert(id);
                record.learnt(stored);
            }
        }
        let metadata: Option<Metadata> = serde_json::from_str(&stored.metadata).ok();
        records.push(CommandRecord {
            intent: Intent::new(asked),
            settled: None,
            actor: metadata.map_or(Actor::Operator, |metadata| metadata.actor),
            position,
            accepted_at: stored.recorded_at,
            updated_at: stored.recorded_at,
            events: vec![position],
        });
    }
    if let SubscriptionEvent::StripeCallSettled(it) = event
        && let Some(record) = of(records, it.intent)
    {
        record.intent.answered(it);
        record.settled = Some(it.clone());
        record.learnt(stored);
    }
    if let SubscriptionEvent::IntentObserved(it) = event
        && let Some(record) = of(records, it.intent)
    {
        record.intent.observed(it);
        record.learnt(stored);
    }
    if let SubscriptionEvent::CheckoutStarted(it) = event
        && let Some(record) = of(records, it.intent)
    {
        record.intent.started(it);
        record.learnt(stored);
    }
}

fn of(records: &mut [CommandRecord], id: IntentId) -> Option<&mut CommandRecord> {
    records.iter_mut().find(|record| record.id() == id)
}

impl CommandRecord {
    fn learnt(&mut self, stored: &StoredEvent) {
        self.updated_at = self.updated_at.max(stored.recorded_at);
        self.events.push(stored.position);
    }
}

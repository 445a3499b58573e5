//! One reader of the log for all streams of a kind.
//!
//! A round: of every part that somebody follows, take what lies between what was told and how far the views are; read
//! it once; hand each event to the buffers of those who want it. It runs while there is somebody to tell, and costs the
//! same for one listener as for a thousand.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use projections::db::{Db, DbError};
use projections::log::StoredEvent;
use projections::log::span::{self, Span};
use projections::runner::Progress;
use projections::views::View;
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;

use super::super::metrics::HttpMetrics;
use super::super::problem::Answer;
use super::wanted::{Place, Told, Wanted, index_row, of_account, of_index};

/// Events that wait for one reader; who is slower gets a `reset`.
pub const BUFFER_EVENTS: usize = 256;
/// Positions read in one round, over all parts: some megabytes, and no more than the views fold in four rounds.
const ROUND_POSITIONS: u64 = 4_000;
/// Positions of one part in a round, at least.
const PART_POSITIONS_MIN: u64 = 50;
/// Rest between rounds: events that come one by one share a read, and nobody notices the wait.
const REST: Duration = Duration::from_millis(20);
/// How often the views' places are looked at when nobody says that they moved.
const LOOK: Duration = Duration::from_millis(250);
/// Pause after the store failed.
const RETRY: Duration = Duration::from_secs(1);

/// What a hub reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reads {
    /// Whole events of the accounts that are followed.
    Accounts,
    /// Every event, without its payload.
    Index,
}

/// What comes through a buffer.
#[derive(Clone, Debug)]
pub enum Message {
    /// An event of this part, at this position.
    Event(u32, u64, Arc<Told>),
    /// Events were left out: the stream goes on from here.
    Reset(Place),
}

/// Cheap to clone.
#[derive(Clone)]
pub struct Hub(Arc<Inner>);

struct Inner {
    db: Db,
    progress: Progress,
    reads: Reads,
    views: &'static [View],
    metrics: Arc<HttpMetrics>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    is_running: bool,
    last_id: u64,
    /// What is followed, by part.
    parts: BTreeMap<u32, Followed>,
    listeners: BTreeMap<u64, Listener>,
}

/// A part somebody follows.
struct Followed {
    listeners: usize,
    /// Told up to here.
    told: u64,
    /// Being told up to here: who comes now gets the rest from the log.
    upto: u64,
}

struct Listener {
    wanted: Wanted,
    place: Place,
    sender: mpsc::Sender<Message>,
    /// Its buffer was full: nothing more until it has read half of it.
    lost: bool,
}

/// A place in the hub, given back when dropped.
pub struct Listening {
    hub: Hub,
    id: u64,
    /// Where the live events begin.
    pub from: Place,
    /// Its buffer.
    pub messages: mpsc::Receiver<Message>,
}

impl Hub {
    /// Of a ledger; it goes no further than all of these views.
    #[must_use]
    pub fn new(
        db: Db,
        progress: Progress,
        (reads, views): (Reads, &'static [View]),
        metrics: Arc<HttpMetrics>,
    ) -> Self {
        Self(Arc::new(Inner {
            db,
            progress,
            reads,
            views,
            metrics,
            state: Mutex::default(),
        }))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How far all views are in a part.
    fn gate(&self, part: u32) -> u64 {
        let positions = self
            .0
            .views
            .iter()
            .map(|view| self.0.progress.freshness(*view, part).position);
        positions.min().unwrap_or_default()
    }

    /// Listens from now on.
    #[must_use]
    pub fn listen(&self, wanted: Wanted) -> Listening {
        let (sender, messages) = mpsc::channel(BUFFER_EVENTS);
        let parts = wanted.parts(self.0.db.parts());
        let mut state = self.state();
        state.last_id += 1;
        let id = state.last_id;
        let mut positions = Vec::with_capacity(parts.len());
        for part in &parts {
            let gate = self.gate(*part);
            let followed = state.parts.entry(*part).or_insert(Followed {
                listeners: 0,
                told: gate,
                upto: gate,
            });
            followed.listeners += 1;
            positions.push(followed.upto);
        }
        let from = Place { parts, positions };
        let listener = Listener {
            wanted,
            place: from.clone(),
            sender,
            lost: false,
        };
        state.listeners.insert(id, listener);
        if !std::mem::replace(&mut state.is_running, true) {
            tokio::spawn(self.clone().run());
        }
        drop(state);
        Listening {
            hub: self.clone(),
            id,
            from,
            messages,
        }
    }

    async fn run(self) {
        let mut moved = self.0.progress.watch_moved();
        loop {
            moved.borrow_and_update();
            let more = match self.round().await {
                Ok(more) => more,
                Err(error) => {
                    tracing::warn!(%error, "streams wait for the store");
                    tokio::time::sleep(RETRY).await;
                    false
                }
            };
            if self.is_over() {
                return;
            }
            if !more {
                let _ = tokio::time::timeout(LOOK, moved.changed()).await;
            }
            tokio::time::sleep(REST).await;
        }
    }

    /// Lets slow readers go on that have caught up; ends with the last listener.
    fn is_over(&self) -> bool {
        let mut state = self.state();
        for listener in state.listeners.values_mut().filter(|listener| listener.lost) {
            if listener.sender.capacity() * 2 < BUFFER_EVENTS {
                continue;
            }
            if listener.sender.try_send(Message::Reset(listener.place.clone())).is_ok() {
                listener.lost = false;
                self.0.metrics.stream_reset();
            }
        }
        if state.listeners.is_empty() {
            state.is_running = false;
        }
        !state.is_running
    }

    /// Tells what is new; true while there is more to read at once.
    async fn round(&self) -> Result<bool, DbError> {
        let (spans, streams) = self.begin();
        if spans.is_empty() {
            return Ok(false);
        }
        let events = match self.0.reads {
            Reads::Accounts => span::of_streams(&self.0.db, &spans, &streams).await?,
            Reads::Index => span::slim(&self.0.db, &spans).await?,
        };
        self.tell(&spans, events);
        Ok(spans.iter().any(|span| self.gate(span.part) > span.to))
    }

    /// What to read, and of which accounts.
    fn begin(&self) -> (Vec<Span>, Vec<String>) {
        let mut state = self.state();
        let count = u64::try_from(state.parts.len()).unwrap_or(1).max(1);
        let most = (ROUND_POSITIONS / count).max(PART_POSITIONS_MIN);
        let mut spans = Vec::new();
        for (part, followed) in &mut state.parts {
            let (part, after) = (*part, followed.told);
            let to = self.gate(part).min(after + most);
            if to > after {
                followed.upto = followed.upto.max(to);
                spans.push(Span { part, after, to });
            }
        }
        let streams: HashSet<&String> = state
            .listeners
            .values()
            .filter_map(|listener| match &listener.wanted {
                Wanted::Account { stream, .. } => Some(stream),
                Wanted::Audit(_) => None,
            })
            .collect();
        (spans, streams.into_iter().cloned().collect())
    }

    fn tell(&self, spans: &[Span], events: Vec<StoredEvent>) {
        let mut state = self.state();
        match self.0.reads {
            Reads::Accounts => state.tell_accounts(events),
            Reads::Index => state.tell_index(events),
        }
        for span in spans {
            if let Some(followed) = state.parts.get_mut(&span.part) {
                followed.told = followed.told.max(span.to);
            }
            for listener in state.listeners.values_mut() {
                listener.place.pass(span.part, span.to);
            }
        }
    }
}

impl State {
    fn tell_accounts(&mut self, events: Vec<StoredEvent>) {
        if events.is_empty() {
            return;
        }
        let mut by_stream: HashMap<String, Vec<u64>> = HashMap::new();
        for (id, listener) in &self.listeners {
            if let Wanted::Account { stream, .. } = &listener.wanted {
                by_stream.entry(stream.clone()).or_default().push(*id);
            }
        }
        for event in events {
            let (part, position) = (event.part, event.position);
            let Some(ids) = by_stream.get(&event.stream) else {
                continue;
            };
            let Some(told) = readable(of_account(event)).flatten() else {
                continue;
            };
            let told = Arc::new(told);
            for id in ids {
                if let Some(listener) = self.listeners.get_mut(id) {
                    listener.take(part, position, &told);
                }
            }
        }
    }

    fn tell_index(&mut self, events: Vec<StoredEvent>) {
        for event in events {
            let Some((part, row)) = readable(index_row(event)) else {
                continue;
            };
            let position = row.position;
            let mut told = None;
            for listener in self.listeners.values_mut() {
                let matches = match &listener.wanted {
                    Wanted::Audit(filter) => filter.matches(part, &row),
                    Wanted::Account { .. } => false,
                };
                if !matches {
                    continue;
                }
                if told.is_none() {
                    told = readable(of_index(part, row.clone())).map(Arc::new);
                }
                if let Some(told) = &told {
                    listener.take(part, position, told);
                }
            }
        }
    }
}

/// What the views have folded can be read; what cannot was logged with its cause, and a view stands there too.
fn readable<T>(read: Answer<T>) -> Option<T> {
    read.ok()
}

impl Listener {
    /// Takes an event that lies after its place.
    fn take(&mut self, part: u32, position: u64, told: &Arc<Told>) {
        if self.lost || self.place.position(part).is_none_or(|past| position <= past) {
            return;
        }
        match self.sender.try_send(Message::Event(part, position, Arc::clone(told))) {
            Ok(()) => {}
            Err(TrySendError::Full(_)) => self.lost = true,
            // Its connection is about to give its place back.
            Err(TrySendError::Closed(_)) => {}
        }
    }
}

impl Listening {
    /// How far the hub has come for this listener, if everything up to there was taken out of its buffer.
    #[must_use]
    pub fn settled(&self) -> Option<Place> {
        let state = self.hub.state();
        let listener = state.listeners.get(&self.id)?;
        (self.messages.is_empty() && !listener.lost).then(|| listener.place.clone())
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        let mut state = self.hub.state();
        state.listeners.remove(&self.id);
        for part in &self.from.parts {
            let Some(followed) = state.parts.get_mut(part) else {
                continue;
            };
            followed.listeners -= 1;
            if followed.listeners == 0 {
                state.parts.remove(part);
            }
        }
    }
}

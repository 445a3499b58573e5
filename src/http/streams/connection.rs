//! One open stream: what was missed, then what is new, as text.
//!
//! The body is pulled: nothing is read from the log or out of the buffer before its reader has taken what came before.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use aggregates::subscription::AGGREGATE_TYPE;
use aggregates::time::Timestamp;
use axum::body::{Body, Bytes};
use axum::http::{HeaderValue, header};
use axum::response::Response;
use projections::log::span::{self, Span, sequence_at};
use projections::log::{StoredEvent, read_stream};
use tokio::time::Instant;

use super::super::account;
use super::super::guard::{AccountRef, Caller};
use super::super::problem::{Answer, Problem};
use super::super::state::{Phase, Service};
use super::frame;
use super::hub::{Hub, Listening, Message};
use super::wanted::{Place, Wanted};
use super::{Seat, Streams};

/// Seconds after which a stream ends: nobody listens for ever with rights looked at once.
pub const LIFE_SECONDS: i64 = 3_600;
/// How often it says that it lives, so that proxies keep it and a reader knows that it is not cut off.
const ALIVE_EVERY: Duration = Duration::from_secs(15);
/// How often its right and its account are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// Events of an account read in one step.
const STEP_EVENTS: u32 = 200;
/// Positions of one part read in one step.
const STEP_POSITIONS: u64 = 500;
/// Most positions that who comes back over many accounts is told of: more is what pages of the index are for.
const MISSED_POSITIONS_MAX: u64 = 100_000;

/// Who listens to what.
pub struct Listener {
    /// Who.
    pub caller: Caller,
    /// From where.
    pub address: Option<std::net::IpAddr>,
    /// To what.
    pub wanted: Wanted,
    /// The account it was asked for by, which may come to mean another stream.
    pub name: Option<AccountRef>,
    /// The id of the last event it has seen.
    pub last_seen: Option<String>,
    /// Its seat.
    pub seat: Seat,
}

/// What still has to be read from the log.
enum Missed {
    /// Events of the account's stream after a sequence.
    Account { after: u64 },
    /// Positions of each part.
    Index(VecDeque<Span>),
    /// Nothing.
    Nothing,
}

struct Connection {
    service: Service,
    listener: Listener,
    listening: Listening,
    /// What its reader has been given.
    place: Place,
    missed: Missed,
    ready: VecDeque<Bytes>,
    ends_at: Timestamp,
    alive_at: Instant,
    look_at: Instant,
    is_over: bool,
}

impl Streams {
    const fn hub(&self, wanted: &Wanted) -> &Hub {
        match wanted {
            Wanted::Account { .. } => &self.accounts,
            Wanted::Audit(_) => &self.audit,
        }
    }
}

/// Opens a stream.
pub async fn open(service: &Service, listener: Listener) -> Answer<Response> {
    let listening = service.streams().hub(&listener.wanted).listen(listener.wanted.clone());
    let now = service.clock.now();
    let life = now.plus_seconds(LIFE_SECONDS);
    let mut connection = Connection {
        service: service.clone(),
        place: listening.from.clone(),
        ends_at: listener.caller.0.expires_at.map_or(life, |end| end.min(life)),
        listener,
        listening,
        missed: Missed::Nothing,
        ready: VecDeque::new(),
        alive_at: Instant::now() + ALIVE_EVERY,
        look_at: Instant::now() + LOOK_EVERY,
        is_over: false,
    };
    connection.begin().await?;
    let frames = futures::stream::unfold(connection, |mut connection| async move {
        let frame = connection.next().await?;
        Some((Ok::<_, std::convert::Infallible>(frame), connection))
    });
    let mut response = Response::new(Body::from_stream(frames));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    // Some proxies gather answers until they are whole.
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    Ok(response)
}

impl Connection {
    fn id(&self) -> Option<String> {
        let id = self.listener.wanted.id(&self.service.cursors, &self.place);
        id.unwrap_or_default()
    }

    /// Where to begin: after the last event seen, if that can be found, else now.
    async fn begin(&mut self) -> Answer<()> {
        let Some(last) = self.listener.last_seen.take() else {
            self.ready.push_back(frame::greeting(self.id().as_deref()));
            return Ok(());
        };
        let parts = &self.place.parts;
        let seen = self.listener.wanted.place(&self.service.cursors, parts, &last);
        let seen = match seen {
            Some(seen) if self.can_be_served(&seen).await? => seen,
            Some(_) | None => {
                self.ready.push_back(frame::greeting(None));
                self.reset("the place of the last event seen cannot be found");
                return Ok(());
            }
        };
        self.missed = self.missed_since(&seen).await?;
        // What another process told already lies behind what this one knows of: it is not told again.
        self.place = seen;
        self.ready.push_back(frame::greeting(self.id().as_deref()));
        Ok(())
    }

    fn reset(&mut self, reason: &str) {
        let data = serde_json::json!({ "reason": reason }).to_string();
        self.ready.push_back(frame::event(self.id().as_deref(), "reset", &data));
    }

    /// Nothing it names lies beyond the log, and what was missed is not beyond measure.
    async fn can_be_served(&self, seen: &Place) -> Answer<bool> {
        let (mut missed, mut is_ahead) = (0, false);
        for (at, from) in seen.positions.iter().zip(&self.listening.from.positions) {
            missed += from.saturating_sub(*at);
            is_ahead |= at > from;
        }
        if is_ahead {
            let heads = self.service.db.refresh_heads().await.map_err(Problem::store)?;
            let head = |part: u32| usize::try_from(part).ok().and_then(|part| heads.get(part)).copied();
            let mut places = seen.parts.iter().zip(&seen.positions);
            if places.any(|(part, at)| head(*part).is_none_or(|head| *at > head)) {
                return Ok(false);
            }
        }
        Ok(match self.listener.wanted {
            // An account's own events are few, however far the log has come.
            Wanted::Account { .. } => true,
            Wanted::Audit(_) => missed <= MISSED_POSITIONS_MAX,
        })
    }

    async fn missed_since(&self, seen: &Place) -> Answer<Missed> {
        match &self.listener.wanted {
            Wanted::Account { part, stream } => {
                let position = seen.position(*part).unwrap_or_default();
                let after = sequence_at(&self.service.db, *part, AGGREGATE_TYPE, stream, position).await;
                Ok(Missed::Account {
                    after: after.map_err(Problem::store)?,
                })
            }
            Wanted::Audit(_) => {
                let places = seen
                    .parts
                    .iter()
                    .zip(&seen.positions)
                    .zip(&self.listening.from.positions);
                let mut spans = VecDeque::new();
                for ((part, after), to) in places {
                    let (mut after, to) = (*after, *to);
                    while after < to {
                        let next = to.min(after + STEP_POSITIONS);
                        spans.push_back(Span {
                            part: *part,
                            after,
                            to: next,
                        });
                        after = next;
                    }
                }
                Ok(Missed::Index(spans))
            }
        }
    }

    /// The next piece of text; none: the stream is over.
    async fn next(&mut self) -> Option<Bytes> {
        loop {
            if let Some(frame) = self.ready.pop_front() {
                return Some(frame);
            }
            if self.is_over || self.service.lifecycle.phase() == Phase::Stopping {
                return None;
            }
            if Instant::now() >= self.look_at {
                self.look().await;
                continue;
            }
            let caught_up = match std::mem::replace(&mut self.missed, Missed::Nothing) {
                Missed::Account { after } => self.step_account(after).await,
                Missed::Index(spans) => self.step_index(spans).await,
                Missed::Nothing => {
                    self.live().await;
                    Ok(())
                }
            };
            if caught_up.is_err() {
                // Logged where it failed; who comes back goes on where he was.
                self.is_over = true;
            }
        }
    }

    async fn step_account(&mut self, after: u64) -> Answer<()> {
        let Wanted::Account { part, stream } = &self.listener.wanted else {
            return Ok(());
        };
        let part = *part;
        let upto = self.listening.from.position(part).unwrap_or_default();
        let page = read_stream(&self.service.db, part, AGGREGATE_TYPE, stream, after, STEP_EVENTS).await;
        let page = page.map_err(Problem::store)?;
        let is_last = page.len() < usize::try_from(STEP_EVENTS).unwrap_or(usize::MAX);
        let last = page.last().map_or(after, |event| event.sequence);
        let is_live = page.iter().any(|event| event.position > upto);
        for event in page.into_iter().filter(|event| event.position <= upto) {
            self.tell(event)?;
        }
        if is_last || is_live {
            self.place.pass(part, upto);
        } else {
            self.missed = Missed::Account { after: last };
        }
        Ok(())
    }

    async fn step_index(&mut self, mut spans: VecDeque<Span>) -> Answer<()> {
        let Some(next) = spans.pop_front() else { return Ok(()) };
        let events = span::slim(&self.service.db, &[next]).await.map_err(Problem::store)?;
        for event in events {
            self.tell(event)?;
        }
        self.place.pass(next.part, next.to);
        self.missed = if spans.is_empty() {
            Missed::Nothing
        } else {
            Missed::Index(spans)
        };
        Ok(())
    }

    fn tell(&mut self, event: StoredEvent) -> Answer<()> {
        let (part, position) = (event.part, event.position);
        if let Some(told) = self.listener.wanted.told(event)? {
            self.place.pass(part, position);
            let id = self.id();
            self.ready
                .push_back(frame::event(id.as_deref(), &told.name, &told.data));
        }
        Ok(())
    }

    /// Waits for what is new, for the end, or for the time to say that it lives.
    async fn live(&mut self) {
        let stopped = Arc::clone(&self.service.lifecycle);
        tokio::select! {
            message = self.listening.messages.recv() => self.take(message),
            () = stopped.stopped() => self.is_over = true,
            () = tokio::time::sleep_until(self.look_at) => self.look().await,
        }
    }

    fn take(&mut self, message: Option<Message>) {
        match message {
            Some(Message::Event(part, position, told)) => {
                if self.place.position(part).is_none_or(|past| position <= past) {
                    return;
                }
                self.place.pass(part, position);
                let id = self.id();
                self.ready
                    .push_back(frame::event(id.as_deref(), &told.name, &told.data));
            }
            Some(Message::Reset(place)) => {
                self.place = place;
                self.reset("events came faster than they were read; what came between is in the log");
            }
            None => self.is_over = true,
        }
    }

    /// Whether the stream may go on; every few looks it says that it lives.
    async fn look(&mut self) {
        let now = self.service.clock.now();
        let left = self.ends_at.micros().saturating_sub(now.micros());
        if left <= 0 || !self.may_go_on().await {
            self.ready
                .push_back(frame::event(self.id().as_deref(), "expired", "{}"));
            self.is_over = true;
            return;
        }
        if self.is_of_another_account().await {
            self.reset("the account's events lie elsewhere now; open the stream again");
            self.is_over = true;
            return;
        }
        let left = Duration::from_micros(u64::try_from(left).unwrap_or_default());
        self.look_at = Instant::now() + left.min(LOOK_EVERY);
        if Instant::now() >= self.alive_at {
            self.alive_at = Instant::now() + ALIVE_EVERY;
            if let Some(settled) = self.listening.settled() {
                for (part, position) in settled.parts.iter().zip(&settled.positions) {
                    self.place.pass(*part, *position);
                }
            }
            self.ready.push_back(frame::alive(self.id().as_deref()));
        }
    }

    /// The credential still holds; a store that does not answer takes nobody's right away.
    async fn may_go_on(&self) -> bool {
        let Listener { caller, address, .. } = &self.listener;
        self.service.still_holds(&caller.0, *address).await
    }

    /// A tenant's own stream yields to that of its customer, once it has one.
    async fn is_of_another_account(&self) -> bool {
        let (Some(name), Wanted::Account { stream, .. }) = (&self.listener.name, &self.listener.wanted) else {
            return false;
        };
        let found = account::asked(&self.service, name, &self.listener.caller).await;
        found.is_ok_and(|account| account.stream.as_str() != stream.as_str())
    }
}

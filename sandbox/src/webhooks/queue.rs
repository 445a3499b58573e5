//! The deliveries that wait: one lane per endpoint, in the order of their time.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{payload, signature};
use crate::families::webhook_endpoints::{ENDPOINT, secrets, wants};
use crate::faults::{Edit, Point, Trouble, edits, names};
use crate::shape::read::{flag, text};
use crate::state::State;
use crate::state::events::Event;
use crate::state::journal::AttemptEntry;
use crate::wire::version::Version;

/// Attempts at one endpoint at a time. One keeps the order in which events happened, as long as no attempt fails.
const AT_ONCE: usize = 1;
/// Pauses after a failed attempt, in milliseconds of sandbox time; three days in all, then the event is given up.
const PAUSES_MS: [i64; 10] = {
    const HOUR: i64 = 3_600_000;
    [
        5_000,
        30_000,
        300_000,
        HOUR,
        3 * HOUR,
        8 * HOUR,
        12 * HOUR,
        12 * HOUR,
        12 * HOUR,
        24 * HOUR,
    ]
};
/// Most deliveries waiting at one endpoint; then the oldest are given up. A receiver that is down for days meets it.
const WAITING_MAX: usize = 200_000;

/// One delivery of one event to one endpoint.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Delivery {
    number: u64,
    /// Id of the event.
    pub event: String,
    /// `we_..`.
    pub endpoint: String,
    /// A thin notification instead of the snapshot.
    pub thin: bool,
    /// Attempts made.
    pub attempts: u32,
    due_ms: i64,
    /// Held until so many events have been put up for this endpoint.
    until: Option<u64>,
    /// A second copy, which does not count in `pending_webhooks`.
    copy: bool,
    version: Option<String>,
    edits: Vec<Edit>,
    faults: Vec<String>,
}

/// A delivery that is to be made now.
#[derive(Clone, Debug)]
pub struct Outgoing {
    /// What it is.
    pub delivery: Delivery,
    /// Where to.
    pub url: String,
    /// The bytes.
    pub body: Vec<u8>,
    /// `Stripe-Signature`.
    pub signature: String,
    /// Faults of this attempt.
    faults: Vec<String>,
}

#[derive(Debug, Default, Serialize, Deserialize)]
struct Lane {
    /// By time and number, as text of fixed width, so that it sorts.
    waiting: BTreeMap<String, Delivery>,
    held: Vec<Delivery>,
    under_way: BTreeMap<u64, Delivery>,
    /// Events put up so far.
    put_up: u64,
    /// Deliveries that have begun to wait, ever: of one time, who came first goes first.
    order: u64,
}

/// The deliveries.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Queue {
    lanes: BTreeMap<String, Lane>,
    next: u64,
}

impl Lane {
    fn wait(&mut self, delivery: Delivery) {
        self.order += 1;
        let key = format!("{:020}|{:020}", delivery.due_ms.max(0), self.order);
        self.waiting.insert(key, delivery);
        if self.waiting.len() > WAITING_MAX {
            self.waiting.pop_first();
        }
    }

    /// Lets go what has been held long enough.
    fn release(&mut self, now_ms: i64) {
        let put_up = self.put_up;
        let free =
            |delivery: &Delivery| delivery.due_ms <= now_ms || delivery.until.is_none_or(|until| put_up >= until);
        let (free, held) = std::mem::take(&mut self.held).into_iter().partition(free);
        self.held = held;
        let free: Vec<Delivery> = free;
        for mut delivery in free {
            delivery.due_ms = delivery.due_ms.min(now_ms);
            // What was passed by others goes behind them.
            self.wait(delivery);
        }
    }

    fn pop(&mut self, now_ms: i64) -> Option<Delivery> {
        if self.under_way.len() >= AT_ONCE {
            return None;
        }
        let first = self.waiting.first_entry()?;
        if first.get().due_ms > now_ms {
            return None;
        }
        let delivery = first.remove();
        self.under_way.insert(delivery.number, delivery.clone());
        Some(delivery)
    }
}

impl Queue {
    fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    /// Deliveries that a stop interrupted are made again.
    pub(crate) fn requeue(&mut self) {
        for lane in self.lanes.values_mut() {
            for (_, delivery) in std::mem::take(&mut lane.under_way) {
                lane.wait(delivery);
            }
        }
    }

    /// Deliveries that wait or are under way.
    #[must_use]
    pub fn open(&self) -> usize {
        let open = |lane: &Lane| lane.waiting.len() + lane.held.len() + lane.under_way.len();
        self.lanes.values().map(open).sum()
    }

    pub(crate) fn forget(&mut self, endpoint: &str) {
        self.lanes.remove(endpoint);
    }
}

impl State {
    /// Puts an event up for every endpoint that wants it; answers for how many.
    pub(crate) fn enqueue(&mut self, event: &Event) -> u32 {
        let endpoints = self.matching(&ENDPOINT, |endpoint| wants(endpoint, &event.kind));
        for endpoint in &endpoints {
            let id = text(endpoint, "id").unwrap_or_default();
            self.put_up(event, id, flag(endpoint, "_thin"));
        }
        u32::try_from(endpoints.len()).unwrap_or(u32::MAX)
    }

    fn put_up(&mut self, event: &Event, endpoint: &str, thin: bool) {
        let troubles = self.strike(Point::Queue(&event.kind, endpoint));
        let now_ms = self.clock.now_ms();
        let mut first = Delivery {
            number: 0,
            event: event.id.clone(),
            endpoint: endpoint.to_owned(),
            thin,
            attempts: 0,
            due_ms: now_ms,
            until: None,
            copy: false,
            version: None,
            edits: edits(&troubles),
            faults: names(&troubles),
        };
        let lane = self.queue.lanes.entry(endpoint.to_owned()).or_default();
        lane.put_up += 1;
        let put_up = lane.put_up;
        let (mut copies, mut dropped) = (Vec::new(), false);
        for trouble in &troubles {
            #[expect(clippy::wildcard_enum_match_arm, reason = "others do not strike deliveries")]
            match trouble {
                Trouble::Drop {} => dropped = true,
                Trouble::Delay { ms } => first.due_ms = now_ms.saturating_add(*ms),
                Trouble::Reorder { window, hold_ms } => {
                    first.until = Some(put_up + window);
                    first.due_ms = now_ms.saturating_add(*hold_ms);
                }
                Trouble::Burst { size, hold_ms } => {
                    first.until = Some(put_up.div_ceil((*size).max(1)) * (*size).max(1));
                    first.due_ms = now_ms.saturating_add(*hold_ms);
                }
                Trouble::VersionSkew { version } => first.version = Some(version.clone()),
                Trouble::ThinOnly {} => first.thin = true,
                Trouble::BothKinds {} => copies.push((!thin, 0)),
                Trouble::Duplicate { times, after_ms } => {
                    copies.extend((0..*times).map(|_| (first.thin, *after_ms)));
                }
                _ => {}
            }
        }
        if !dropped {
            self.add(first.clone());
        }
        for (thin, after_ms) in copies {
            let mut copy = first.clone();
            (copy.thin, copy.copy) = (thin, true);
            copy.due_ms = now_ms.saturating_add(after_ms);
            copy.until = None;
            self.add(copy);
        }
        if let Some(lane) = self.queue.lanes.get_mut(endpoint) {
            lane.release(now_ms);
        }
    }

    fn add(&mut self, mut delivery: Delivery) {
        delivery.number = self.queue.number();
        let lane = self.queue.lanes.entry(delivery.endpoint.clone()).or_default();
        if delivery.until.is_some() {
            lane.held.push(delivery);
        } else {
            lane.wait(delivery);
        }
    }

    /// Delivers an event once more, to one endpoint or to all that want it; answers to how many.
    pub(crate) fn resend(&mut self, event: &Event, only: Option<&str>) -> usize {
        let endpoints = self.matching(&ENDPOINT, |endpoint| match only {
            Some(only) => endpoint["id"] == only,
            None => wants(endpoint, &event.kind),
        });
        let now_ms = self.clock.now_ms();
        for endpoint in &endpoints {
            self.add(Delivery {
                number: 0,
                event: event.id.clone(),
                endpoint: text(endpoint, "id").unwrap_or_default().to_owned(),
                thin: flag(endpoint, "_thin"),
                attempts: 0,
                due_ms: now_ms,
                until: None,
                copy: event.pending == 0,
                version: None,
                edits: Vec::new(),
                faults: Vec::new(),
            });
        }
        endpoints.len()
    }

    /// The deliveries whose time has come, signed now.
    pub fn take_ready(&mut self) -> Vec<Outgoing> {
        let now_ms = self.clock.now_ms();
        let mut ready = Vec::new();
        for lane in self.queue.lanes.values_mut() {
            lane.release(now_ms);
            while let Some(delivery) = lane.pop(now_ms) {
                ready.push(delivery);
            }
        }
        ready
            .into_iter()
            .filter_map(|delivery| self.outgoing(delivery))
            .collect()
    }

    fn outgoing(&mut self, delivery: Delivery) -> Option<Outgoing> {
        let endpoint = self.look(&ENDPOINT, &delivery.endpoint).cloned();
        let event = self.events.get(&delivery.event).cloned();
        let (Some(endpoint), Some(event)) = (endpoint, event) else {
            // Nobody to send to, or nothing to send: a disabled endpoint ends the attempts of its events.
            self.landed(&delivery);
            return None;
        };
        if endpoint["status"] != "enabled" {
            self.landed(&delivery);
            return None;
        }
        let version = delivery.version.as_deref().or_else(|| text(&endpoint, "api_version"));
        let version = version
            .and_then(Version::parse)
            .unwrap_or_else(|| event.api_version.clone());
        let mut value = if delivery.thin {
            payload::thin(&event, true)
        } else {
            payload::snapshot(self, &event, &version)
        };
        if !delivery.thin {
            delivery
                .edits
                .iter()
                .for_each(|edit| edit.apply(&mut value["data"]["object"]));
        }
        let body = serde_json::to_vec_pretty(&value).unwrap_or_default();
        let troubles = self.strike(Point::Attempt(&event.kind, &delivery.endpoint));
        let signature = self.sign(&endpoint, &event, &body, &troubles);
        Some(Outgoing {
            url: text(&endpoint, "url").unwrap_or_default().to_owned(),
            body,
            signature,
            faults: names(&troubles),
            delivery,
        })
    }

    fn sign(&self, endpoint: &Value, event: &Event, body: &[u8], troubles: &[Trouble]) -> String {
        let machine = chrono::Utc::now().timestamp();
        let mut at = if self.settings.machine_signatures {
            machine
        } else {
            self.now()
        };
        at += event.skew;
        let mut secrets = secrets(endpoint, self.now());
        for trouble in troubles {
            #[expect(clippy::wildcard_enum_match_arm, reason = "others do not strike signatures")]
            match trouble {
                Trouble::StaleTimestamp { seconds } => at -= seconds,
                Trouble::BadSignature {} => secrets = vec!["whsec_another".to_owned()],
                _ => {}
            }
        }
        signature::header(at, body, &secrets)
    }

    fn landed(&mut self, delivery: &Delivery) {
        if let Some(lane) = self.queue.lanes.get_mut(&delivery.endpoint) {
            lane.under_way.remove(&delivery.number);
        }
    }

    /// Notes how an attempt ended: a status, or why there is none. Anything but 2xx is tried again.
    pub fn delivered(&mut self, outgoing: &Outgoing, outcome: Result<u16, String>) {
        let mut delivery = outgoing.delivery.clone();
        self.revision += 1;
        self.landed(&delivery);
        delivery.attempts += 1;
        let good = matches!(outcome, Ok(200..=299));
        let place = usize::try_from(delivery.attempts - 1).unwrap_or(usize::MAX);
        let pause = PAUSES_MS
            .get(place)
            .map(|pause| pause / self.settings.retry_speed.max(1));
        let next_in_ms = if good { None } else { pause };
        let event = self.events.get_mut(&delivery.event);
        let kind = event.as_ref().map_or_else(String::new, |event| event.kind.clone());
        if let Some(event) = event
            && good
            && !delivery.copy
        {
            event.pending = event.pending.saturating_sub(1);
        }
        self.journal.attempt(AttemptEntry {
            number: 0,
            at: self.clock.now(),
            event: delivery.event.clone(),
            kind,
            endpoint: delivery.endpoint.clone(),
            attempt: delivery.attempts,
            copy: delivery.copy,
            thin: delivery.thin,
            faults: [delivery.faults.clone(), outgoing.faults.clone()].concat(),
            status: outcome.as_ref().ok().copied(),
            error: outcome.err(),
            next_in_ms,
        });
        let known = self.look(&ENDPOINT, &delivery.endpoint).is_some();
        if let Some(pause) = next_in_ms.filter(|_| known) {
            delivery.due_ms = self.clock.now_ms().saturating_add(pause);
            if let Some(lane) = self.queue.lanes.get_mut(&delivery.endpoint) {
                lane.wait(delivery);
            }
        }
    }
}

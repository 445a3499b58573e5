//! What happened: all calls with what they made, all attempts of delivery, all work that failed. For assertions.

use std::collections::{BTreeMap, VecDeque};

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Most calls and most attempts kept; then the oldest leave and `forgotten` counts them.
const ENTRIES_MAX: usize = 200_000;

/// One call.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CallEntry {
    /// From 1.
    pub number: u64,
    /// Sandbox time, seconds.
    pub at: i64,
    /// `POST`.
    pub method: String,
    /// Path.
    pub path: String,
    /// Parameters as a tree.
    pub params: Value,
    /// `Idempotency-Key`.
    pub idempotency_key: Option<String>,
    /// `Stripe-Version` as sent.
    pub version: Option<String>,
    /// `req_..`.
    pub request_id: String,
    /// Status answered.
    pub status: u16,
    /// Answered from the key's first result.
    pub replayed: bool,
    /// Faults that struck it.
    pub faults: Vec<String>,
    /// The reply did not reach the caller whole.
    pub lost: bool,
    /// Ids of objects it made.
    pub made: Vec<String>,
    /// Ids of events it caused.
    pub events: Vec<String>,
}

/// One attempt of delivery.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct AttemptEntry {
    /// From 1.
    pub number: u64,
    /// Sandbox time, seconds.
    pub at: i64,
    /// Id of the event.
    pub event: String,
    /// Its type.
    pub kind: String,
    /// `we_..`.
    pub endpoint: String,
    /// From 1.
    pub attempt: u32,
    /// A second copy.
    pub copy: bool,
    /// Snapshot or thin.
    pub thin: bool,
    /// Faults that struck it.
    pub faults: Vec<String>,
    /// What the endpoint answered; nothing when it could not be asked or did not answer.
    pub status: Option<u16>,
    /// Why there is no status.
    pub error: Option<String>,
    /// Seconds until the next attempt.
    pub next_in_ms: Option<i64>,
}

/// Real effects under one idempotency key: more than one entry means that something was done twice.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Effect {
    /// `req_..` of the call that had the effect.
    pub request_id: String,
    /// Method and path.
    pub call: String,
    /// Objects it made.
    pub made: Vec<String>,
    /// Events it caused.
    pub events: Vec<String>,
}

/// The journal.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Journal {
    /// Calls, oldest first.
    pub calls: VecDeque<CallEntry>,
    /// Attempts of delivery, oldest first.
    pub attempts: VecDeque<AttemptEntry>,
    /// Effects by idempotency key.
    pub effects: BTreeMap<String, Vec<Effect>>,
    /// Due work that failed: a fault of the sandbox itself.
    pub failures: Vec<String>,
    /// Entries that had to leave.
    pub forgotten: u64,
    next: u64,
}

impl Journal {
    pub(crate) fn call(&mut self, mut entry: CallEntry) {
        self.next += 1;
        entry.number = self.next;
        let acts = !entry.made.is_empty() || !entry.events.is_empty();
        if let Some(key) = entry.idempotency_key.as_ref().filter(|_| acts) {
            let effect = Effect {
                request_id: entry.request_id.clone(),
                call: format!("{} {}", entry.method, entry.path),
                made: entry.made.clone(),
                events: entry.events.clone(),
            };
            self.effects.entry(key.clone()).or_default().push(effect);
        }
        self.calls.push_back(entry);
        self.forgotten += bound(&mut self.calls);
    }

    pub(crate) fn attempt(&mut self, mut entry: AttemptEntry) {
        self.next += 1;
        entry.number = self.next;
        self.attempts.push_back(entry);
        self.forgotten += bound(&mut self.attempts);
    }
}

fn bound<T>(entries: &mut VecDeque<T>) -> u64 {
    if entries.len() > ENTRIES_MAX {
        entries.pop_front();
        return 1;
    }
    0
}

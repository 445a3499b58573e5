//! Steps: begin, commit, roll back; due work in time order; clocks that move.

use serde_json::{Value, json};

use super::State;
use super::due::Task;
use super::events::Event;
use super::store::Kind;
use crate::families::{self, test_clocks::TEST_CLOCK};
use crate::wire::error::ApiError;

/// Most pieces of due work that one movement of a clock does; a loop that schedules itself would go on for ever.
const WORK_MAX: usize = 1_000_000;

/// Where a step comes from.
#[derive(Clone, Debug, Default)]
pub struct Origin {
    /// `req_..`; none for due work.
    pub request_id: Option<String>,
    /// Key of the call.
    pub idempotency_key: Option<String>,
}

/// What follows a step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum After {
    /// A test clock moves to this time.
    Advance(String, i64),
    /// The sandbox-wide clock moves to this time.
    AdvanceAll(i64),
}

/// The step under way.
#[derive(Debug, Default)]
pub(crate) struct Step {
    pub(super) origin: Origin,
    pub(super) events: Vec<Event>,
    pub(super) after: Vec<After>,
}

/// What a step did.
#[derive(Clone, Debug, Default)]
pub struct Done {
    /// Objects it made.
    pub made: Vec<String>,
    /// Events it caused.
    pub events: Vec<String>,
    /// What follows.
    pub after: Vec<After>,
}

impl State {
    pub(crate) fn begin(&mut self, origin: Origin) {
        self.objects.begin();
        self.ids.begin();
        self.due.begin();
        self.step = Step {
            origin,
            ..Step::default()
        };
    }

    /// The step ended well: its events leave, in the order in which they were emitted.
    pub(crate) fn commit(&mut self) -> Done {
        let step = std::mem::take(&mut self.step);
        self.revision += 1;
        let made = self.objects.made();
        let mut events = Vec::new();
        let first = step.events.first().map_or(0, |event| event.created);
        for mut event in step.events {
            if !self.strike_event(&mut event, first) {
                continue;
            }
            events.push(event.id.clone());
            event.pending = self.enqueue(&event);
            self.events.push(event);
        }
        self.objects.begin();
        Done {
            made,
            events,
            after: step.after,
        }
    }

    pub(crate) fn rollback(&mut self) {
        self.objects.rollback();
        self.ids.rollback();
        self.due.rollback();
        self.step = Step::default();
    }

    /// Undoes what the step under way has done so far: what was asked was only what would be.
    pub(crate) fn forget_step(&mut self) {
        let origin = std::mem::take(&mut self.step.origin);
        self.rollback();
        self.begin(origin);
    }

    /// Does what follows a step.
    pub(crate) fn follow(&mut self, after: Vec<After>) {
        for what in after {
            match what {
                After::Advance(clock, to) => self.advance(&clock, to),
                After::AdvanceAll(to) => self.advance_all(to),
            }
        }
    }

    /// Moves a test clock and does its due work on the way; each piece sees its own time.
    fn advance(&mut self, clock: &str, to: i64) {
        for _ in 0..WORK_MAX {
            let Some((at, task)) = self.due.pop(Some(clock), to) else {
                break;
            };
            self.set_frozen_time(clock, at);
            self.work(&task);
        }
        self.set_frozen_time(clock, to);
        self.begin(Origin::default());
        let ready = self.change(&TEST_CLOCK, clock, "test_helpers.test_clock.ready", |object| {
            object["status"] = json!("ready");
            object["status_details"] = json!({});
            Ok(())
        });
        self.end(ready.map(|_| ()), "test_clock.ready");
    }

    fn set_frozen_time(&mut self, clock: &str, at: i64) {
        let object = self.look(&TEST_CLOCK, clock).cloned();
        if let Some(mut object) = object
            && object["frozen_time"].as_i64().is_some_and(|now| now < at)
        {
            object["frozen_time"] = json!(at);
            self.put(&TEST_CLOCK, object);
        }
    }

    /// Moves the sandbox-wide clock.
    fn advance_all(&mut self, to: i64) {
        self.run_due_by(to);
        if to > self.clock.now() {
            self.clock.set_ms(to.saturating_mul(1000));
        }
    }

    /// Does the work of the sandbox-wide clock whose time has come.
    pub fn run_due(&mut self) {
        let now = self.clock.now();
        self.run_due_by(now);
    }

    fn run_due_by(&mut self, by: i64) {
        for _ in 0..WORK_MAX {
            let Some((at, task)) = self.due.pop(None, by) else {
                break;
            };
            self.clock.pin(Some(at));
            self.work(&task);
        }
        self.clock.pin(None);
    }

    fn work(&mut self, task: &Task) {
        self.begin(Origin::default());
        let outcome = match families::work(&task.work) {
            Some(work) => work(self, &task.subject),
            None => Err(ApiError::invalid("no family has this work")),
        };
        self.end(outcome, &format!("{} {}", task.work, task.subject));
    }

    fn end(&mut self, outcome: Result<(), ApiError>, what: &str) {
        match outcome {
            Ok(()) => {
                let done = self.commit();
                self.follow(done.after);
            }
            Err(error) => {
                self.rollback();
                tracing::error!(what, %error, "due work of the sandbox failed");
                self.journal.failures.push(format!("{what}: {error}"));
            }
        }
    }

    /// A step of the sandbox's own, outside any call.
    pub(crate) fn own_step(&mut self, what: &str, act: impl FnOnce(&mut Self) -> Result<(), ApiError>) {
        self.begin(Origin::default());
        let outcome = act(self);
        self.end(outcome, what);
    }

    /// All objects of a kind that satisfy a condition, oldest first, as copies: for work that changes them.
    pub fn matching(&self, kind: &Kind, condition: impl Fn(&Value) -> bool) -> Vec<Value> {
        let mut found: Vec<Value> = self.all(kind).filter(|object| condition(object)).cloned().collect();
        found.reverse();
        found
    }
}

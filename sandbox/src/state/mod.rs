//! The state machine: everything the sandbox knows, changed in steps that happen whole or not at all.
//!
//! A step is one call or one piece of due work. What it does to objects, ids and the queue is undone when it fails;
//! events it emits leave only when it ends well.

pub mod clock;
pub mod due;
pub mod events;
pub mod idempotency;
pub mod ids;
pub mod journal;
mod step;
pub mod store;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use self::clock::{Clock, Mode};
use self::due::Due;
use self::events::{Event, EventLog, differences};
use self::idempotency::Keys;
use self::ids::Ids;
use self::journal::Journal;
use self::step::Step;
use self::store::{Kind, Store};
use crate::families;
use crate::faults::Faults;
use crate::shape::read::text;
use crate::webhooks::queue::Queue;
use crate::wire::error::ApiError;
use crate::wire::version::Version;

pub use self::step::{After, Done, Origin};

/// What may be chosen at the start.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default)]
pub struct Settings {
    /// Ids, and what faults strike, follow from it.
    pub seed: u64,
    /// How the sandbox-wide clock goes.
    pub clock: Mode,
    /// The account's own API version: events are made in it.
    pub api_version: Version,
    /// Keys that are let in; none means every `sk_test_..` and `rk_test_..`.
    pub keys: Vec<String>,
    /// Fee of a charge, in ten thousandths of its amount.
    pub fee_basis_points: i64,
    /// Fee of a charge, fixed part in minor units.
    pub fee_fixed: i64,
    /// Fee of a dispute in minor units.
    pub dispute_fee: i64,
    /// Days until a charge's money is available.
    pub pending_days: i64,
    /// Pauses between attempts of delivery are divided by this.
    pub retry_speed: i64,
    /// Signatures carry the machine's time; else the sandbox's.
    pub machine_signatures: bool,
    /// Where the sandbox is reached, for links to its pages.
    pub base_url: String,
    /// Days after each failed attempt on an invoice until the next.
    pub retry_days: Vec<i64>,
    /// What becomes of a subscription after the last of them.
    pub retries_end: RetriesEnd,
}

/// What becomes of a subscription when nobody tries again to collect its invoice.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RetriesEnd {
    /// It is canceled.
    #[default]
    Cancel,
    /// It is unpaid, and billed on.
    Unpaid,
    /// It stays past due.
    PastDue,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            seed: 1,
            clock: Mode::Real { ahead_ms: 0 },
            api_version: Version::newest(),
            keys: Vec::new(),
            fee_basis_points: 290,
            fee_fixed: 30,
            dispute_fee: 1500,
            pending_days: 2,
            retry_speed: 1,
            machine_signatures: true,
            base_url: "http://127.0.0.1:12111".to_owned(),
            retry_days: vec![3, 5, 7],
            retries_end: RetriesEnd::default(),
        }
    }
}

/// Everything the sandbox knows.
#[derive(Debug, Serialize, Deserialize)]
pub struct State {
    /// As it was started.
    pub settings: Settings,
    pub(crate) objects: Store,
    pub(crate) ids: Ids,
    pub(crate) clock: Clock,
    pub(crate) due: Due,
    pub(crate) events: EventLog,
    pub(crate) queue: Queue,
    pub(crate) journal: Journal,
    pub(crate) keys: Keys,
    pub(crate) faults: Faults,
    pub(crate) revision: u64,
    #[serde(skip)]
    pub(crate) step: Step,
}

impl State {
    /// A fresh sandbox.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        let mut state = Self {
            ids: Ids::new(settings.seed),
            clock: Clock::new(settings.clock),
            settings,
            objects: Store::default(),
            due: Due::default(),
            events: EventLog::default(),
            queue: Queue::default(),
            journal: Journal::default(),
            keys: Keys::default(),
            faults: Faults::default(),
            revision: 0,
            step: Step::default(),
        };
        families::set_up(&mut state);
        state
    }

    /// A number that is another one after anything has changed.
    #[must_use]
    pub fn revision(&self) -> u64 {
        self.revision
    }

    // ---- objects -------------------------------------------------------------------------------------

    /// A fresh id.
    pub fn new_id(&mut self, kind: &Kind) -> String {
        self.ids.next(kind.prefix, kind.random)
    }

    /// The object, when it is there.
    #[must_use]
    pub fn look(&self, kind: &Kind, id: &str) -> Option<&Value> {
        self.objects.get(kind.object, id)
    }

    /// The object that a path or parameter names.
    ///
    /// # Errors
    /// 404 `resource_missing`, naming the parameter.
    pub fn get(&self, kind: &Kind, id: &str, param: &str) -> Result<&Value, ApiError> {
        let missing = || ApiError::no_such(kind.object, id, param);
        self.look(kind, id).ok_or_else(missing)
    }

    /// The answer to a GET of an object that may have been deleted.
    ///
    /// # Errors
    /// 404 `resource_missing`.
    pub fn get_or_tombstone(&self, kind: &Kind, id: &str) -> Result<Value, ApiError> {
        if self.objects.tombstone(id) == Some(kind.object) {
            return Ok(json!({"id": id, "object": kind.object, "deleted": true}));
        }
        self.get(kind, id, "id").cloned()
    }

    /// Keeps a new object under its `id` and emits the event.
    pub fn create(&mut self, kind: &Kind, object: Value, event: &str) -> Value {
        self.put(kind, object.clone());
        self.emit(event, &object);
        object
    }

    /// Keeps an object under its `id`, silently.
    pub fn put(&mut self, kind: &Kind, object: Value) {
        let id = text(&object, "id").unwrap_or_default().to_owned();
        self.objects.put(kind.object, &id, object);
    }

    /// Changes an object; when that changes something, the event is emitted with `previous_attributes`.
    ///
    /// # Errors
    /// 404, or what `edit` refuses.
    pub fn change(
        &mut self,
        kind: &Kind,
        id: &str,
        event: &str,
        edit: impl FnOnce(&mut Value) -> Result<(), ApiError>,
    ) -> Result<Value, ApiError> {
        let old = self.get(kind, id, "id")?.clone();
        let mut new = old.clone();
        edit(&mut new)?;
        if new == old {
            return Ok(new);
        }
        self.put(kind, new.clone());
        let previous = differences(&old, &new);
        if !event.is_empty() && !previous.is_empty() {
            self.emit_changed(event, &new, Some(Value::Object(previous)));
        }
        Ok(new)
    }

    /// Removes an object and emits the event, if it has one, with the object as it last stood.
    ///
    /// # Errors
    /// 404.
    pub fn remove(&mut self, kind: &Kind, id: &str, event: &str, tombstone: bool) -> Result<Value, ApiError> {
        let missing = || ApiError::no_such(kind.object, id, "id");
        let object = self.objects.remove(kind.object, id, tombstone).ok_or_else(missing)?;
        if !event.is_empty() {
            self.emit(event, &object);
        }
        Ok(json!({"id": id, "object": kind.object, "deleted": true}))
    }

    /// Every object of a kind, newest first.
    pub fn all(&self, kind: &Kind) -> impl Iterator<Item = &Value> {
        self.objects.newest(kind.object)
    }

    // ---- time ----------------------------------------------------------------------------------------

    /// Sandbox-wide time in seconds.
    #[must_use]
    pub fn now(&self) -> i64 {
        self.clock.now()
    }

    /// The id of the test clock of an object: its own, else its customer's.
    #[must_use]
    pub fn clock_of(&self, object: &Value) -> Option<String> {
        let own = |object: &Value| text(object, "test_clock").map(str::to_owned);
        own(object).or_else(|| {
            // Some objects name their customer to the sandbox only.
            let customer = text(object, "customer").or_else(|| text(object, "_customer"))?;
            own(self.look(&families::customers::CUSTOMER, customer)?)
        })
    }

    /// The time of an object: its test clock's, else the sandbox-wide.
    #[must_use]
    pub fn now_of(&self, object: &Value) -> i64 {
        if object["object"] == "test_helpers.test_clock" {
            return object["frozen_time"].as_i64().unwrap_or_else(|| self.now());
        }
        self.clock_of(object)
            .and_then(|clock| self.objects.get("test_helpers.test_clock", &clock))
            .and_then(|clock| clock["frozen_time"].as_i64())
            .unwrap_or_else(|| self.now())
    }

    /// The time of a customer.
    #[must_use]
    pub fn now_for(&self, customer: Option<&str>) -> i64 {
        self.now_of(&json!({ "customer": customer }))
    }

    /// Schedules work on an object, on that object's clock; scheduling again moves it.
    pub fn schedule(&mut self, object: &Value, at: i64, work: &str) {
        let clock = self.clock_of(object);
        let subject = text(object, "id").unwrap_or_default();
        self.due.schedule(clock.as_deref(), at, work, subject);
    }

    // ---- events --------------------------------------------------------------------------------------

    /// Emits an event with the object as it stands.
    pub fn emit(&mut self, kind: &str, object: &Value) {
        self.emit_changed(kind, object, None);
    }

    /// Emits an event that says what was before.
    pub fn emit_changed(&mut self, kind: &str, object: &Value, previous: Option<Value>) {
        let id = self.ids.next("evt_1", 23);
        let thin_id = self.ids.next("evt_test_6", 30);
        let event = Event {
            id,
            thin_id,
            kind: kind.to_owned(),
            created: self.now_of(object),
            happened: self.now(),
            object: object.clone(),
            previous,
            request_id: self.step.origin.request_id.clone(),
            idempotency_key: self.step.origin.idempotency_key.clone(),
            api_version: self.settings.api_version.clone(),
            pending: 0,
            skew: 0,
        };
        self.step.events.push(event);
    }

    /// Does something once this step has ended well, after its answer is made.
    pub fn after(&mut self, what: After) {
        self.step.after.push(what);
    }
}

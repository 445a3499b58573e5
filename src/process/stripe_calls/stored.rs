//! What a row keeps between attempts, and what it says when it is first written.

use aggregates::ids::{IntentId, ScheduleId, StreamId};
use aggregates::subscription::effect::{Call as Asked, Effect};
use aggregates::time::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::ledger::OutboxRow;
use crate::stripe::gateway::retry::Progress;
use crate::stripe::gateway::{Call, CallKey};

/// The outbox kind of what intents want done at Stripe.
pub const CALL_KIND: &str = "stripe_call";

/// A row as the command leaves it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Body {
    pub(super) stream: StreamId,
    pub(super) intent: IntentId,
}

/// The row of an intent that is recorded in the same append.
pub(in crate::process) fn row(
    stream: &StreamId,
    intent: IntentId,
    now: Timestamp,
) -> Result<OutboxRow, serde_json::Error> {
    let body = Body {
        stream: stream.clone(),
        intent,
    };
    Ok(OutboxRow {
        outbox_id: intent.uuid(),
        kind: CALL_KIND.to_owned(),
        body: serde_json::to_string(&body)?,
        cause_event_id: intent.uuid(),
        cause_position: 0,
        next_at: now,
    })
}

/// The calls of an intent and how far they have come.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Stored {
    pub(super) steps: Vec<Step>,
    /// What an earlier step made, for the step after it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) made: Option<MadeSchedule>,
    /// An attempt was about to be made: a process that finds this set does not know whether it was.
    #[serde(default)]
    pub(super) under_way: bool,
}

/// A schedule that was made from a subscription, and when its first phase began.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(in crate::process) struct MadeSchedule {
    pub(super) id: ScheduleId,
    pub(super) start_at: Option<Timestamp>,
}

/// One call.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Step {
    pub(super) key: CallKey,
    pub(super) what: What,
    /// What is sent, once it was computed: the same for every attempt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) sent: Option<Sent>,
    #[serde(default)]
    pub(super) done: bool,
}

/// What a call is for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum What {
    /// The account has no customer yet.
    MakeCustomer,
    /// What the domain asks for.
    Do(Effect),
}

/// A call with its progress.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Sent {
    pub(super) call: Call,
    pub(super) progress: Progress,
}

impl Stored {
    /// Of what is due; with a customer made before, if there is none and one is needed.
    pub(super) fn of(intent: IntentId, asked: Vec<Asked>, has_customer: bool) -> Self {
        let needs_customer =
            |call: &Asked| matches!(call.effect, Effect::MakeSubscription(_) | Effect::OpenCheckout(_));
        let mut steps = Vec::with_capacity(asked.len() + 1);
        if !has_customer && asked.iter().any(needs_customer) {
            steps.push(Step::new(CallKey { intent, step: Some(0) }, What::MakeCustomer));
        }
        for call in asked {
            let step = call.key.rsplit_once('.').and_then(|(_, step)| step.parse().ok());
            steps.push(Step::new(CallKey { intent, step }, What::Do(call.effect)));
        }
        Self {
            steps,
            made: None,
            under_way: false,
        }
    }

    /// As a row keeps it; none: nothing was computed yet.
    ///
    /// # Errors
    /// It was written by another version. Whether it was begun is not known then, so nothing may be sent.
    pub(super) fn read(result: Option<&str>) -> Result<Option<Self>, serde_json::Error> {
        result.map(serde_json::from_str).transpose()
    }

    /// The call whose turn it is.
    pub(super) fn next(&self) -> Option<usize> {
        self.steps.iter().position(|step| !step.done)
    }

    /// Some call was stored to be sent.
    pub(super) fn is_begun(&self) -> bool {
        self.steps.iter().any(|step| step.sent.is_some())
    }

    /// Keeps what the next step needs of an answer.
    pub(super) fn take_made(&mut self, object: &Value) {
        let id = object.get("id").and_then(Value::as_str);
        if let Some(id) = id.and_then(|id| ScheduleId::parse(id).ok()) {
            let current = object.get("current_phase").and_then(|phase| phase.get("start_date"));
            let first = || object.get("phases")?.get(0)?.get("start_date");
            let start = current.or_else(first).and_then(Value::as_i64);
            let start_at = start.and_then(|seconds| Timestamp::from_seconds(seconds).ok());
            self.made = Some(MadeSchedule { id, start_at });
        }
    }
}

impl Step {
    const fn new(key: CallKey, what: What) -> Self {
        Self {
            key,
            what,
            sent: None,
            done: false,
        }
    }
}

//! From call to reply: key, version, faults, idempotency, route, step, `expand[]`, version of the answer, journal.
//!
//! A call has two halves, so that a server can let time pass between them: `admit` decides what happens to it, `carry
//! out` does it. `State::apply` is both, for use without sockets.

use serde_json::{Map, Value};

use crate::families::{self, Access};
use crate::faults::{Point, Trouble, edits, names};
use crate::shape::expand::expand;
use crate::shape::render::render;
use crate::state::idempotency::{Meaning, hash};
use crate::state::journal::CallEntry;
use crate::state::{Origin, State};
use crate::wire::call::{Answer, Call, Outcome, Reply, Request};
use crate::wire::error::ApiError;
use crate::wire::form;
use crate::wire::version::Version;

mod admit;

/// A call that has been let in.
#[derive(Debug)]
pub struct Admitted {
    request_id: String,
    version: Version,
    tree: Map<String, Value>,
    key: Option<String>,
    access: Access,
    troubles: Vec<Trouble>,
}

/// What becomes of a call.
#[derive(Debug)]
pub enum Admission {
    /// Answered already.
    Done(Reply, Exit),
    /// To be carried out.
    Go(Box<Admitted>),
}

/// How a reply leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Whole.
    Whole,
    /// Not at all: the connection is cut.
    Cut,
    /// Only its first half.
    Half,
}

impl Admitted {
    /// How long the answer is held back.
    #[must_use]
    pub fn slow_ms(&self) -> u64 {
        let slow = self
            .troubles
            .iter()
            .map(|trouble| if let Trouble::Slow { ms } = trouble { *ms } else { 0 });
        slow.sum()
    }
}

impl State {
    /// The whole of a call.
    pub fn apply(&mut self, call: &Call) -> Reply {
        match self.admit(call) {
            Admission::Done(reply, _) => reply,
            Admission::Go(admitted) => self.carry_out(call, *admitted).0,
        }
    }

    /// Does what a call asks for.
    pub fn carry_out(&mut self, call: &Call, admitted: Admitted) -> (Reply, Exit) {
        let mut fault_500 = None;
        for trouble in &admitted.troubles {
            if let Trouble::Http500 { stored, done } = trouble {
                fault_500 = Some((*stored, *done));
            }
        }
        let works = fault_500.is_none_or(|(_, done)| done);
        let origin = Origin {
            request_id: Some(admitted.request_id.clone()),
            idempotency_key: admitted.key.clone(),
        };
        self.begin(origin);
        let outcome = if works {
            self.run(call, &admitted)
        } else {
            Err(api_error())
        };
        let stays = outcome.as_ref().map_or_else(|error| error.stays, |_| true);
        let begun = outcome.as_ref().map_or_else(|error| error.begun, |_| true);
        let done = if stays {
            self.commit()
        } else {
            self.rollback();
            crate::state::Done::default()
        };
        let mut reply = match outcome {
            Ok(reply) => reply,
            Err(error) => self.refusal(call, &admitted, &error),
        };
        let mut keep = begun;
        if let Some((stored, _)) = fault_500 {
            reply = Reply::error(&api_error());
            keep = stored;
        }
        if let Some(key) = &admitted.key {
            let result = keep.then_some((reply.status, reply.body.as_slice()));
            self.keys.leave(key, result);
        }
        self.dress(&mut reply, call, &admitted.request_id, &admitted.version);
        let exit = exit(&admitted.troubles);
        if admitted.access != Access::Control {
            let params = Value::Object(admitted.tree.clone());
            let mut entry = self.entry(call, params, &admitted.request_id, &reply);
            entry.faults = names(&admitted.troubles);
            entry.lost = exit != Exit::Whole;
            (entry.made, entry.events) = (done.made, done.events);
            self.journal.call(entry);
        }
        self.follow(done.after);
        (reply, exit)
    }

    fn run(&mut self, call: &Call, admitted: &Admitted) -> Result<Reply, ApiError> {
        let missing = || {
            let message = format!("Unrecognized request URL ({}: {}).", call.method, call.path);
            ApiError::other(404, "invalid_request_error", message)
        };
        let (ready, request) = called(call, admitted).ok_or_else(missing)?;
        if let Some(name) = ready.spec.unknown(&admitted.tree) {
            return Err(ApiError::unknown_param(&name));
        }
        let outcome: Outcome = (ready.route.run)(self, &request);
        match outcome? {
            Answer::Object(mut value) => {
                expand(self, &mut value, &request.params().texts("expand"))?;
                render(self, &mut value, &admitted.version);
                edits(&admitted.troubles).iter().for_each(|edit| edit.apply(&mut value));
                Ok(Reply::json(200, &value))
            }
            Answer::Raw(value) => Ok(Reply::json(200, &value)),
            Answer::Page(page) => Ok(Reply::page(&page)),
            Answer::File(kind, bytes) => Ok(Reply::typed(200, kind, bytes)),
            Answer::Redirect(to) => {
                let mut reply = Reply::typed(303, "text/plain", Vec::new());
                reply.set("location", &to);
                Ok(reply)
            }
        }
    }

    /// An error as its route shows it: on a page to people, as an object to programs.
    fn refusal(&self, call: &Call, admitted: &Admitted, error: &ApiError) -> Reply {
        if let Some((ready, request)) = called(call, admitted)
            && let Some(page) = ready.route.refused
        {
            return Reply::page(&page(self, &request, error));
        }
        Reply::error(error)
    }

    fn entry(&self, call: &Call, params: Value, request_id: &str, reply: &Reply) -> CallEntry {
        CallEntry {
            number: 0,
            at: self.now(),
            method: call.method.clone(),
            path: call.path.clone(),
            params,
            idempotency_key: call.header_value("idempotency-key").map(str::to_owned),
            version: call.header_value("stripe-version").map(str::to_owned),
            request_id: request_id.to_owned(),
            status: reply.status,
            replayed: reply.headers.contains_key("idempotent-replayed"),
            faults: Vec::new(),
            lost: false,
            made: Vec::new(),
            events: Vec::new(),
        }
    }

    /// The headers every answer has.
    fn dress(&self, reply: &mut Reply, call: &Call, request_id: &str, version: &Version) {
        reply.set("request-id", request_id);
        reply.set("stripe-version", version.as_str());
        if let Some(key) = call.header_value("idempotency-key") {
            reply.set("idempotency-key", key);
            if !reply.headers.contains_key("original-request") {
                reply.set("original-request", request_id);
            }
        }
    }
}

/// The route of a call, and what its function gets.
fn called(call: &Call, admitted: &Admitted) -> Option<(&'static families::Ready, Request)> {
    let (ready, segments) = families::route(&call.method, &call.path)?;
    let request = Request {
        segments,
        tree: admitted.tree.clone(),
        version: admitted.version.clone(),
    };
    Some((ready, request))
}

fn api_error() -> ApiError {
    ApiError::other(
        500,
        "api_error",
        "Something went wrong on the sandbox's end, as it was told to.",
    )
}

fn exit(troubles: &[Trouble]) -> Exit {
    if troubles.contains(&Trouble::LostReply {}) {
        Exit::Cut
    } else if troubles.contains(&Trouble::TruncatedBody {}) {
        Exit::Half
    } else {
        Exit::Whole
    }
}

/// Query and body as one tree.
fn tree(call: &Call) -> Result<Map<String, Value>, ApiError> {
    let bad = |error: form::FormError| ApiError::invalid(error.to_string());
    let mut tree = form::parse(&call.query).map_err(bad)?;
    let body = if call.is_json() && !call.body.is_empty() {
        let value = serde_json::from_slice(&call.body);
        let value = value.map_err(|error| ApiError::invalid(format!("The body is no JSON: {error}")))?;
        let Value::Object(fields) = value else {
            return Err(ApiError::invalid("The body is no JSON object"));
        };
        fields
    } else {
        form::parse(&String::from_utf8_lossy(&call.body)).map_err(bad)?
    };
    tree.extend(body);
    Ok(tree)
}

/// The hash of what an idempotency key stands for.
fn hash_of(call: &Call, tree: &Map<String, Value>) -> String {
    hash(&format!("{} {}", call.method, call.path), tree)
}

/// What strikes a call on its way in.
fn call_troubles(state: &mut State, call: &Call) -> Vec<Trouble> {
    state.strike(Point::Call(&call.method, &call.path))
}

/// What a key means, as an error or an answer.
fn meaning(state: &mut State, key: &str, hash: &str, request_id: &str) -> Result<Option<Reply>, ApiError> {
    let now = state.now();
    match state.keys.enter(key, hash, now, request_id)? {
        Meaning::New => Ok(None),
        Meaning::Again(reply) => Ok(Some(reply)),
    }
}

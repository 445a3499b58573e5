//! A sandbox whose clock stands, and calls to it.

use sandbox::state::clock::Mode;
use sandbox::{Call, Reply, Settings, State};
use serde_json::Value;

/// When the sandbox's clock stands: 2026-01-31T10:00:00Z, a last day of a month.
pub(crate) const NOW: i64 = 1_769_853_600;

pub(crate) fn settings(seed: u64) -> Settings {
    Settings {
        seed,
        clock: Mode::Fixed { at_ms: NOW * 1000 },
        machine_signatures: false,
        ..Settings::default()
    }
}

pub(crate) fn fresh() -> Direct {
    Direct(State::new(settings(7)))
}

pub(crate) fn call(method: &str, path: &str, form: &str) -> Call {
    let call = Call::new(method, path).header("authorization", "Bearer sk_test_12345678901234567890");
    if form.is_empty() { call } else { call.form(form) }
}

pub(crate) trait Ask {
    fn ask(&mut self, call: &Call) -> Reply;

    fn get(&mut self, path: &str) -> Value {
        let reply = self.ask(&call("GET", path, ""));
        assert_eq!(reply.status, 200, "GET {path}: {}", reply.value());
        reply.value()
    }

    fn post(&mut self, path: &str, form: &str) -> Value {
        let reply = self.ask(&call("POST", path, form));
        assert_eq!(reply.status, 200, "POST {path} {form}: {}", reply.value());
        reply.value()
    }

    fn delete(&mut self, path: &str) -> Value {
        let reply = self.ask(&call("DELETE", path, ""));
        assert_eq!(reply.status, 200, "DELETE {path}: {}", reply.value());
        reply.value()
    }

    /// The error of a call that must fail with this status.
    fn refused(&mut self, status: u16, method: &str, path: &str, form: &str) -> Value {
        let reply = self.ask(&call(method, path, form));
        assert_eq!(reply.status, status, "{method} {path} {form}: {}", reply.value());
        reply.value()["error"].clone()
    }

    /// A switch of the sandbox itself.
    fn switch(&mut self, path: &str, body: &Value) -> Value {
        let mut call = Call::new("POST", path).header("content-type", "application/json");
        call.body = body.to_string().into_bytes();
        let reply = self.ask(&call);
        assert_eq!(reply.status, 200, "{path} {body}: {}", reply.value());
        reply.value()
    }

    /// Types of the events so far, oldest first.
    fn events(&mut self) -> Vec<String> {
        let journal = self.get("/_sandbox/journal");
        let kinds = journal["events"].as_array().unwrap().iter();
        assert_eq!(journal["failures"], serde_json::json!([]), "due work failed");
        kinds.map(|event| event["kind"].as_str().unwrap().to_owned()).collect()
    }
}

/// A sandbox without sockets.
pub(crate) struct Direct(pub(crate) State);

impl Direct {
    pub(crate) fn apply(&mut self, call: &Call) -> Reply {
        self.0.apply(call)
    }
}

impl Ask for Direct {
    fn ask(&mut self, call: &Call) -> Reply {
        self.apply(call)
    }
}

/// The id of an object.
pub(crate) fn id(object: &Value) -> String {
    object["id"]
        .as_str()
        .unwrap_or_else(|| panic!("no id: {object}"))
        .to_owned()
}

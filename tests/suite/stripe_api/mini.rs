//! Stripe's rules, as few as the gateway needs: objects with metadata, keys that replay, lists with cursors.

use std::collections::{BTreeMap, VecDeque};

use serde_json::{Map, Value, json};

use super::{Effects, Fault};

/// A request as the rules see it.
#[derive(Clone, Debug)]
pub(super) struct Request {
    pub(super) method: String,
    /// Below `/v1/`, without the query.
    pub(super) path: String,
    pub(super) query: Vec<(String, String)>,
    pub(super) form: Vec<(String, String)>,
    pub(super) key: Option<String>,
}

/// What goes out.
#[derive(Clone, Debug)]
pub(super) enum Reply {
    Answer {
        status: u16,
        headers: Vec<(&'static str, String)>,
        body: Vec<u8>,
    },
    /// As an answer, after so many milliseconds.
    Late(u64, Box<Reply>),
    Cut,
    Raw(Vec<u8>),
}

impl Reply {
    fn json(status: u16, body: &Value) -> Self {
        Self::Answer {
            status,
            headers: Vec::new(),
            body: body.to_string().into_bytes(),
        }
    }

    fn error(status: u16, kind: &str, code: Option<&str>, message: &str) -> Self {
        let error = json!({"error": {"type": kind, "code": code, "message": message}});
        Self::json(status, &error)
    }

    fn header(mut self, name: &'static str, value: &str) -> Self {
        if let Self::Answer { headers, .. } = &mut self {
            headers.push((name, value.to_owned()));
        }
        self
    }
}

/// The state.
#[derive(Default)]
pub(super) struct Mini {
    /// Objects by collection, oldest first.
    objects: BTreeMap<String, Vec<Value>>,
    /// What was answered under a key, and to which request.
    stored: BTreeMap<String, (String, Reply)>,
    /// What goes wrong with the next requests, one after the other; nothing with those that have none.
    pub(super) faults: VecDeque<Option<Fault>>,
    pub(super) effects: Effects,
    /// Changes asked for without a key.
    pub(super) keyless: u32,
    made: u32,
}

impl Mini {
    pub(super) fn put(&mut self, collection: &str, object: Value) {
        self.objects.entry(collection.to_owned()).or_default().push(object);
    }

    /// Answers a request, or does what the next fault says.
    pub(super) fn handle(&mut self, request: &Request) -> Reply {
        let fault = self.faults.pop_front().flatten();
        match fault {
            None => self.keyed(request),
            Some(Fault::LostReply) => {
                self.keyed(request);
                Reply::Cut
            }
            Some(Fault::Cut) => Reply::Cut,
            Some(Fault::Slow(millis)) => Reply::Late(millis, Box::new(self.keyed(request))),
            Some(Fault::Raw(bytes)) => Reply::Raw(bytes),
            Some(Fault::Failure) => Reply::error(500, "api_error", None, "something went wrong"),
            Some(Fault::StoredFailure) => {
                let reply = Reply::error(500, "api_error", None, "something went wrong, and is kept");
                if let Some(key) = &request.key {
                    self.stored.insert(key.clone(), (request.identity(), reply.clone()));
                }
                reply
            }
            Some(Fault::TooMany(after)) => {
                let reply = Reply::error(429, "invalid_request_error", Some("rate_limit"), "too many requests");
                match after {
                    Some(seconds) => reply.header("Retry-After", &seconds.to_string()),
                    None => reply,
                }
            }
            Some(Fault::ForeignPage) => Reply::Answer {
                status: 502,
                headers: Vec::new(),
                body: format!("<html>bad gateway {}</html>", "x".repeat(8_000)).into_bytes(),
            },
            Some(Fault::TruncatedBody) => {
                let mut reply = self.keyed(request);
                if let Reply::Answer { body, .. } = &mut reply {
                    body.truncate(body.len() / 2);
                }
                reply
            }
            // A key that was answered before is answered so again, whatever has become of the card.
            Some(Fault::Declined) if request.key.as_ref().is_some_and(|key| self.stored.contains_key(key)) => {
                self.keyed(request)
            }
            Some(Fault::Declined) => {
                let error = json!({"error": {"type": "card_error", "code": "card_declined",
                    "decline_code": "insufficient_funds", "message": "Your card has insufficient funds.",
                    "param": "payment_method"}});
                Reply::json(402, &error)
            }
            Some(Fault::Unauthorized) => Reply::error(401, "invalid_request_error", None, "Invalid API Key provided"),
            Some(Fault::Locked) => Reply::error(409, "invalid_request_error", Some("lock_timeout"), "in use"),
        }
    }

    /// The rules of keys around the work.
    fn keyed(&mut self, request: &Request) -> Reply {
        if request.method == "GET" {
            return self.work(request);
        }
        let Some(key) = request.key.clone() else {
            self.keyless += 1;
            return self.work(request);
        };
        if let Some((identity, reply)) = self.stored.get(&key) {
            if *identity != request.identity() {
                let message = "Keys for idempotent requests can only be used with the same parameters";
                return Reply::error(400, "idempotency_error", None, message);
            }
            return reply.clone().header("Idempotent-Replayed", "true");
        }
        let reply = self.work(request);
        if let Reply::Answer { status, .. } = &reply
            && *status < 300
        {
            *self.effects.entry(key.clone()).or_default() += 1;
            // A DELETE knows no keys.
            if request.method == "POST" {
                self.stored.insert(key, (request.identity(), reply.clone()));
            }
        }
        reply
    }

    fn work(&mut self, request: &Request) -> Reply {
        let steps: Vec<&str> = request.path.split('/').filter(|step| !step.is_empty()).collect();
        let (collection, rest) = match &steps[..] {
            ["checkout", "sessions", rest @ ..] => ("checkout/sessions".to_owned(), rest),
            ["billing_portal", "sessions", rest @ ..] => ("billing_portal/sessions".to_owned(), rest),
            ["invoices", "create_preview"] => {
                let preview = self.objects.get("previews").and_then(|previews| previews.last());
                let plain = json!({"object": "invoice", "total": 0});
                return Reply::json(200, preview.unwrap_or(&plain));
            }
            [collection, rest @ ..] => ((*collection).to_owned(), rest),
            [] => return Reply::error(404, "invalid_request_error", None, "no path"),
        };
        match (request.method.as_str(), rest) {
            ("GET", []) => self.list(&collection, request),
            ("GET", [id, rows]) => {
                let mut request = request.clone();
                request
                    .query
                    .push((collection.trim_end_matches('s').to_owned(), (*id).to_owned()));
                self.list(rows, &request)
            }
            ("GET", [id]) => match self.find(&collection, id) {
                Some(object) => Reply::json(200, object),
                None => missing(id),
            },
            ("POST", []) => Reply::json(200, &self.make(&collection, request)),
            ("POST" | "DELETE", [id, verb @ ..]) => {
                let changes = changes(request, verb.first().copied());
                match self.find(&collection, id) {
                    Some(object) if request.method == "DELETE" && object["status"] == "canceled" => missing(id),
                    Some(object) => {
                        merge(object, &changes);
                        Reply::json(200, object)
                    }
                    None => missing(id),
                }
            }
            _ => Reply::error(404, "invalid_request_error", None, "no such endpoint"),
        }
    }

    pub(super) fn find(&mut self, collection: &str, id: &str) -> Option<&mut Value> {
        self.objects
            .get_mut(collection)?
            .iter_mut()
            .find(|object| object["id"] == id)
    }

    fn make(&mut self, collection: &str, request: &Request) -> Value {
        self.made += 1;
        let mut object = json!({"id": format!("{}_{}", collection.replace('/', "_"), self.made), "object": collection});
        if collection.ends_with("sessions") {
            object["url"] = json!(format!("https://pages.stripe.example/{}", self.made));
        }
        merge(&mut object, &nested(&request.form));
        self.put(collection, object.clone());
        object
    }

    fn list(&self, collection: &str, request: &Request) -> Reply {
        let wanted = |name: &str| {
            request
                .query
                .iter()
                .find(|(key, _)| key == name)
                .map(|(_, value)| value.clone())
        };
        let filters = [
            "customer",
            "payment_intent",
            "charge",
            "subscription",
            "invoice",
            "payout",
        ];
        let filters: Vec<(&str, String)> = filters
            .into_iter()
            .filter_map(|name| Some((name, wanted(name)?)))
            .collect();
        let all = self.objects.get(collection).cloned().unwrap_or_default();
        let since: Option<i64> = wanted("created[gte]").and_then(|text| text.parse().ok());
        // Newest first.
        let rows: Vec<Value> = all
            .into_iter()
            .rev()
            .filter(|row| filters.iter().all(|(name, value)| row[*name] == **value))
            .filter(|row| since.is_none_or(|since| row["created"].as_i64().is_none_or(|created| created >= since)))
            .collect();
        let limit: usize = wanted("limit").and_then(|text| text.parse().ok()).unwrap_or(10);
        let place = |id: &str| rows.iter().position(|row| row["id"] == id);
        let (page, has_more) = match (wanted("starting_after"), wanted("ending_before")) {
            (Some(id), _) => {
                let from = place(&id).map_or(rows.len(), |at| at + 1);
                let to = rows.len().min(from + limit);
                (&rows[from..to], to < rows.len())
            }
            (None, Some(id)) => {
                let to = place(&id).unwrap_or(0);
                let from = to.saturating_sub(limit);
                (&rows[from..to], from > 0)
            }
            (None, None) => (&rows[..rows.len().min(limit)], rows.len() > limit),
        };
        Reply::json(
            200,
            &json!({"object": "list", "data": page, "has_more": has_more, "url": "/v1"}),
        )
    }
}

fn missing(id: &str) -> Reply {
    let message = format!("No such object: '{id}'");
    Reply::error(404, "invalid_request_error", Some("resource_missing"), &message)
}

/// What a change does to an object.
fn changes(request: &Request, verb: Option<&str>) -> Value {
    let mut changes = nested(&request.form);
    let status = match (request.method.as_str(), verb) {
        ("DELETE", None) => Some("canceled"),
        (_, Some("pay")) => Some("paid"),
        (_, Some("resume")) => Some("active"),
        (_, Some("pause")) => Some("paused"),
        (_, Some("expire")) => Some("expired"),
        (_, Some("release")) => Some("released"),
        _ => None,
    };
    if let Some(status) = status {
        merge(&mut changes, &json!({ "status": status }));
    }
    changes
}

/// `a[b][0]=c` as `{"a": {"b": {"0": "c"}}}`: enough to look things up.
fn nested(form: &[(String, String)]) -> Value {
    let mut root = Value::Object(Map::new());
    for (name, value) in form {
        let mut at = &mut root;
        for step in name.split(['[', ']']).filter(|step| !step.is_empty()) {
            if !at.is_object() {
                *at = json!({});
            }
            at = at
                .as_object_mut()
                .expect("made just now")
                .entry(step.to_owned())
                .or_insert(Value::Null);
        }
        *at = Value::String(value.clone());
    }
    root
}

fn merge(into: &mut Value, from: &Value) {
    let (Some(into), Some(from)) = (into.as_object_mut(), from.as_object()) else {
        return;
    };
    for (name, value) in from {
        match into.get_mut(name) {
            Some(old) if old.is_object() && value.is_object() => merge(old, value),
            _ if value == "" => {
                into.insert(name.clone(), Value::Null);
            }
            _ => {
                into.insert(name.clone(), value.clone());
            }
        }
    }
}

impl Request {
    /// What Stripe compares: everything but the key.
    fn identity(&self) -> String {
        let mut form = self.form.clone();
        form.sort();
        format!("{} {} {form:?}", self.method, self.path)
    }
}

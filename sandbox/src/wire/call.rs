//! A call and its answer, without sockets: what the engine takes and gives.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::error::ApiError;
use super::params::Params;
use super::version::Version;

/// One call as it arrived.
#[derive(Clone, Debug, Default)]
pub struct Call {
    /// `GET`, `POST`, `DELETE`.
    pub method: String,
    /// Path without query.
    pub path: String,
    /// Query string.
    pub query: String,
    /// Body as received: a form, or JSON below `/v2`.
    pub body: Vec<u8>,
    /// Header names in lower case.
    pub headers: BTreeMap<String, String>,
}

impl Call {
    /// A call with nothing but a place.
    #[must_use]
    pub fn new(method: &str, path: &str) -> Self {
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        Self {
            method: method.to_owned(),
            path: path.to_owned(),
            query: query.to_owned(),
            ..Self::default()
        }
    }

    /// With a form as body.
    #[must_use]
    pub fn form(mut self, form: &str) -> Self {
        form.as_bytes().clone_into(&mut self.body);
        self.header("content-type", "application/x-www-form-urlencoded")
    }

    /// With a header.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.insert(name.to_ascii_lowercase(), value.to_owned());
        self
    }

    /// The header's value, when it has one.
    #[must_use]
    pub fn header_value(&self, name: &str) -> Option<&str> {
        self.headers
            .get(name)
            .map(String::as_str)
            .filter(|value| !value.is_empty())
    }

    /// The JSON content type, which `/v2` and the sandbox's own routes use.
    #[must_use]
    pub fn is_json(&self) -> bool {
        self.header_value("content-type")
            .is_some_and(|kind| kind.starts_with("application/json"))
    }
}

/// What a route's function gets.
#[derive(Clone, Debug)]
pub struct Request {
    /// Values of the `{..}` segments of the path, in order.
    pub segments: Vec<String>,
    /// Query and body as one tree.
    pub tree: Map<String, Value>,
    /// In which version the caller reads the answer.
    pub version: Version,
}

impl Request {
    /// The parameters.
    #[must_use]
    pub fn params(&self) -> Params<'_> {
        Params::new(&self.tree)
    }

    /// A segment of the path by its place.
    #[must_use]
    pub fn segment(&self, at: usize) -> &str {
        self.segments.get(at).map_or("", String::as_str)
    }

    /// The first segment, which most routes have as the object's id.
    #[must_use]
    pub fn id(&self) -> &str {
        self.segment(0)
    }
}

/// What a route's function answers.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    /// An object in the newest shape; `expand[]` and the caller's version are applied by the engine.
    Object(Value),
    /// JSON that is none of Stripe's objects.
    Raw(Value),
    /// A page for people.
    Page(Page),
    /// Another place to go, with 303.
    Redirect(String),
    /// A file: its content type and bytes.
    File(&'static str, Vec<u8>),
}

/// A page for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// HTTP status.
    pub status: u16,
    /// The document.
    pub html: String,
    /// Origins, besides the sandbox's own, where its forms may end: browsers hold a form to it through redirects.
    pub leads_to: Vec<String>,
}

impl From<Value> for Answer {
    fn from(value: Value) -> Self {
        Self::Object(value)
    }
}

/// What a route's function returns.
pub type Outcome = Result<Answer, ApiError>;

/// An answer as it leaves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// HTTP status.
    pub status: u16,
    /// Headers, names in lower case.
    pub headers: BTreeMap<String, String>,
    /// Body.
    pub body: Vec<u8>,
}

impl Reply {
    /// A JSON body.
    #[must_use]
    pub fn json(status: u16, value: &Value) -> Self {
        let mut body = serde_json::to_vec_pretty(value).unwrap_or_default();
        body.push(b'\n');
        Self::typed(status, "application/json", body)
    }

    /// Any body.
    #[must_use]
    pub fn typed(status: u16, kind: &str, body: Vec<u8>) -> Self {
        Self {
            status,
            headers: BTreeMap::from([("content-type".to_owned(), kind.to_owned())]),
            body,
        }
    }

    /// A page, with headers that keep it to itself: no script, no frame, no cache, no referrer.
    #[must_use]
    pub fn page(page: &Page) -> Self {
        let mut reply = Self::typed(page.status, "text/html; charset=utf-8", page.html.clone().into_bytes());
        let mut forms = "'self'".to_owned();
        for origin in &page.leads_to {
            forms.push(' ');
            forms.push_str(origin);
        }
        let policy = format!(
            "default-src 'none'; style-src 'self'; form-action {forms}; img-src data:; base-uri 'none'; frame-ancestors 'none'"
        );
        reply.set("content-security-policy", &policy);
        reply.set("cache-control", "no-store");
        reply.set("referrer-policy", "no-referrer");
        reply.set("cross-origin-opener-policy", "same-origin");
        reply.set("x-content-type-options", "nosniff");
        reply
    }

    /// An error.
    #[must_use]
    pub fn error(error: &ApiError) -> Self {
        let mut reply = Self::json(error.status, &json!({ "error": error.object() }));
        if error.status >= 400 {
            // Stripe says it where its clients would otherwise guess: conflicts and faults of its own may be retried.
            let again = matches!(error.status, 409 | 429) || error.status >= 500;
            reply.set("stripe-should-retry", if again { "true" } else { "false" });
        }
        reply
    }

    /// Sets a header.
    pub fn set(&mut self, name: &str, value: &str) {
        self.headers.insert(name.to_owned(), value.to_owned());
    }

    /// The body as JSON; null when it is none.
    #[must_use]
    pub fn value(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or(Value::Null)
    }
}

//! Stripe's error objects, and whether what was done before the error stays.

use serde_json::{Map, Value, json};

/// An answer that is an error.
#[derive(Clone, Debug, thiserror::Error, PartialEq)]
#[error("{status} {kind}: {message}")]
pub struct ApiError {
    /// HTTP status.
    pub status: u16,
    /// `invalid_request_error`, `card_error`, `idempotency_error`, `api_error`.
    pub kind: &'static str,
    /// Stripe's code.
    pub code: Option<String>,
    /// For people.
    pub message: String,
    /// The parameter at fault.
    pub param: Option<String>,
    /// Further fields: `decline_code`, `payment_intent`, `charge`.
    pub more: Map<String, Value>,
    /// The work done so far stays: a declined payment leaves its charge and events. Any other error leaves nothing.
    pub stays: bool,
    /// Execution had begun, so that an idempotency key keeps this answer.
    pub begun: bool,
}

impl ApiError {
    /// A call that asks for something wrong.
    #[must_use]
    pub fn invalid(message: impl Into<String>) -> Self {
        Self {
            status: 400,
            kind: "invalid_request_error",
            code: None,
            message: message.into(),
            param: None,
            more: Map::new(),
            stays: false,
            begun: false,
        }
    }

    /// A parameter with a bad value.
    #[must_use]
    pub fn bad_param(param: &str, message: impl Into<String>) -> Self {
        Self::invalid(message).param(param)
    }

    /// A required parameter that is not there.
    #[must_use]
    pub fn missing(param: &str) -> Self {
        let message = format!("Missing required param: {param}.");
        Self::bad_param(param, message).code("parameter_missing")
    }

    /// A parameter nobody knows.
    #[must_use]
    pub fn unknown_param(param: &str) -> Self {
        Self::bad_param(param, format!("Received unknown parameter: {param}")).code("parameter_unknown")
    }

    /// An id that names nothing.
    #[must_use]
    pub fn no_such(object: &str, id: &str, param: &str) -> Self {
        let name = object.rsplit('.').next().unwrap_or(object);
        let mut error = Self::bad_param(param, format!("No such {name}: '{id}'")).code("resource_missing");
        error.status = 404;
        error
    }

    /// What the state of an object does not allow.
    #[must_use]
    pub fn state(code: &str, message: impl Into<String>) -> Self {
        let mut error = Self::invalid(message).code(code);
        error.begun = true;
        error
    }

    /// A card that is refused: 402.
    #[must_use]
    pub fn card(code: &str, decline_code: Option<&str>, message: impl Into<String>) -> Self {
        let mut error = Self::invalid(message).code(code);
        error.status = 402;
        error.kind = "card_error";
        error.begun = true;
        match decline_code {
            Some(decline) => error.with("decline_code", decline),
            None => error,
        }
    }

    /// Another call holds what this one wants.
    #[must_use]
    pub fn conflict(code: &str, message: impl Into<String>) -> Self {
        let mut error = Self::invalid(message).code(code);
        error.status = 409;
        error
    }

    /// An idempotency key used for another call.
    #[must_use]
    pub fn idempotency(message: impl Into<String>) -> Self {
        let mut error = Self::invalid(message);
        error.kind = "idempotency_error";
        error
    }

    /// Any status with a kind.
    #[must_use]
    pub fn other(status: u16, kind: &'static str, message: impl Into<String>) -> Self {
        let mut error = Self::invalid(message);
        error.status = status;
        error.kind = kind;
        error
    }

    /// What was done before the error stays: the failed charge, the intent that can be tried again, their events.
    #[must_use]
    pub fn staying(mut self) -> Self {
        self.stays = true;
        self
    }

    /// With Stripe's code.
    #[must_use]
    pub fn code(mut self, code: &str) -> Self {
        self.code = Some(code.to_owned());
        self
    }

    /// With the parameter at fault.
    #[must_use]
    pub fn param(mut self, param: &str) -> Self {
        self.param = Some(param.to_owned());
        self
    }

    /// With one more field.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.more.insert(name.to_owned(), value.into());
        self
    }

    /// As it stands in an answer, and in `last_payment_error`.
    #[must_use]
    pub fn object(&self) -> Value {
        let mut error = self.more.clone();
        error.insert("type".to_owned(), json!(self.kind));
        error.insert("message".to_owned(), json!(self.message));
        if let Some(code) = &self.code {
            let page = code.replace('_', "-");
            error.insert("code".to_owned(), json!(code));
            error.insert(
                "doc_url".to_owned(),
                json!(format!("https://stripe.com/docs/error-codes/{page}")),
            );
        }
        if let Some(param) = &self.param {
            error.insert("param".to_owned(), json!(param));
        }
        Value::Object(error)
    }
}

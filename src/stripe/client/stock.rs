//! The stock client of async-stripe behind the same adapter: `stripe.transport = "stock"`.
//!
//! It opens a connection for every request, sends its own API version, knows no bound for a body and drops the headers:
//! no request id, no replay mark, no `Retry-After`, no clock. What it makes of a reply is put back into the reply it
//! came from, so that one table says what it means.

use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use miniserde::json;
use secrecy::{ExposeSecret, SecretString};
use serde_json::json;
use stripe::{Client, ClientBuilder, IdempotencyKey, RequestStrategy, StripeError};
use stripe_client_core::{CustomizedStripeRequest, StripeClient};

use super::base::ApiBase;
use super::classify::{Failure, Reply};
use super::requests::Prepared;
use super::{ATTEMPT_MAX, ClientError};
use crate::stripe::gateway::{CallKey, OnAccount};

/// The client and the key it must not show.
pub(super) struct Stock {
    client: Client,
    secret: SecretString,
}

/// Keeps the bytes that the client would only give as a decoded value.
struct Keeping<'a> {
    client: &'a Client,
    kept: Mutex<Option<Bytes>>,
}

impl StripeClient for Keeping<'_> {
    type Err = StripeError;

    async fn execute(&self, request: CustomizedStripeRequest) -> Result<Bytes, StripeError> {
        let bytes = self.client.execute(request).await?;
        *self.kept.lock().unwrap_or_else(PoisonError::into_inner) = Some(bytes.clone());
        Ok(bytes)
    }
}

impl Stock {
    pub(super) fn new(base: &ApiBase, secret: SecretString) -> Result<Self, ClientError> {
        let builder = ClientBuilder::new(secret.expose_secret())
            .url(base.as_str())
            .timeout(ATTEMPT_MAX)
            .app_info("subledger", Some(env!("CARGO_PKG_VERSION").to_owned()), None);
        let client = builder.build().map_err(|_| ClientError::SecretKey)?;
        Ok(Self { client, secret })
    }

    /// One attempt.
    pub(super) async fn send(
        &self,
        account: &OnAccount,
        key: Option<CallKey>,
        request: &Prepared,
    ) -> Result<Reply, Failure> {
        let mut request = request.builder().customize::<json::Value>();
        request = match key {
            Some(key) => {
                let idempotency = IdempotencyKey::new(key.to_string());
                let key = idempotency.map_err(|error| Failure::NotSent(error.to_string()))?;
                request.request_strategy(RequestStrategy::Idempotent(key))
            }
            None => request.request_strategy(RequestStrategy::Once),
        };
        if let OnAccount(Some(id)) = account {
            request = request.account_id((&**id).into());
        }
        let keeping = Keeping {
            client: &self.client,
            kept: Mutex::new(None),
        };
        let outcome = request.send(&keeping).await;
        // A body came: whether it is JSON is judged where all bodies are.
        if let Some(body) = keeping.kept.into_inner().unwrap_or_else(PoisonError::into_inner) {
            return Ok(Reply {
                status: 200,
                body,
                ..Reply::default()
            });
        }
        match outcome {
            Ok(_) => Err(Failure::Lost("an answer without a body".to_owned())),
            Err(error) => self.reply_of(error),
        }
    }

    fn reply_of(&self, error: StripeError) -> Result<Reply, Failure> {
        let words = |reason: String| reason.replace(self.secret.expose_secret(), "****");
        match error {
            StripeError::Stripe(said, status) => {
                let error = json!({
                    "type": said.type_.as_str(),
                    "code": said.code.as_ref().map(stripe::ApiErrorsCode::as_str),
                    "decline_code": said.decline_code,
                    "message": said.message,
                    "param": said.param,
                });
                Ok(Reply {
                    status,
                    body: json!({ "error": error }).to_string().into(),
                    ..Reply::default()
                })
            }
            StripeError::ConfigError(reason) => Err(Failure::NotSent(words(reason))),
            // The client does not say whether the request had left.
            StripeError::ClientError(reason) => Err(Failure::Lost(words(reason))),
            // Of a foreign body neither status nor text is left.
            StripeError::JSONDeserialize(reason) => Err(Failure::Lost(words(reason))),
            StripeError::Timeout => Err(Failure::Lost(format!("no answer within {} s", ATTEMPT_MAX.as_secs()))),
        }
    }
}

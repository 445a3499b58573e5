//! The gateway over HTTP: requests built by async-stripe, sent by our own transport (or the stock one), never decoded
//! into its structs.
//!
//! `requests` turns a call into method, path and form; `limits` says when; `pooled` or `stock` sends it once;
//! `classify` says what the reply means. Nothing here repeats a request: that is `gateway::retry`.

pub mod base;
mod classify;
pub mod limits;
mod pooled;
mod requests;
mod stock;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use aggregates::plan::Mode;
use futures::future::BoxFuture;
use secrecy::SecretString;

use self::base::ApiBase;
use self::classify::{Failure, Reply};
use self::limits::Limits;
use self::pooled::Pooled;
use self::requests::Prepared;
use self::stock::Stock;
use crate::clock::Clock;
use crate::stripe::gateway::{Answer, Call, CallKey, GatewayError, OnAccount, Read, RequestHash, StripeGateway};

/// The API version we speak; bumped together with the tables of `translate`.
pub const STRIPE_VERSION: &str = "2026-09-30.endive";
/// Longest attempt, from the first byte sent to the last one read.
pub const ATTEMPT_MAX: Duration = Duration::from_secs(10);

/// Difference between our clock and Stripe's from which an operator is told, in seconds.
const SKEW_SECONDS_MAX: u64 = 5;

/// Which transport sends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TransportKind {
    /// Ours.
    #[default]
    Pooled,
    /// That of async-stripe.
    Stock,
}

/// The client cannot be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ClientError {
    /// The key cannot be a header.
    #[error("stripe.secret_key has characters that no Stripe key has; copy it again from Stripe's dashboard")]
    SecretKey,
}

enum Transport {
    Pooled(Box<Pooled>),
    Stock(Box<Stock>),
}

/// Totals since the start.
#[derive(Debug, Default)]
pub struct ClientCounters {
    /// Requests answered.
    pub answered: AtomicU64,
    /// Requests that could not be carried out now.
    pub transient: AtomicU64,
    /// Requests refused.
    pub refused: AtomicU64,
    /// Requests whose outcome is not known.
    pub unknown: AtomicU64,
    /// Answers from before, under the same key.
    pub replayed: AtomicU64,
    /// How far our clock is from Stripe's, in whole seconds, at the last answer.
    pub skew_seconds: AtomicU64,
}

/// Stripe over HTTP.
pub struct StripeClient {
    transport: Transport,
    limits: Limits,
    counters: ClientCounters,
    clock: Clock,
}

impl StripeClient {
    /// For one key and one base.
    pub fn new(
        base: ApiBase,
        secret: SecretString,
        mode: Mode,
        transport: TransportKind,
        clock: Clock,
    ) -> Result<Arc<Self>, ClientError> {
        let transport = match transport {
            TransportKind::Pooled => Transport::Pooled(Box::new(Pooled::new(base, secret)?)),
            TransportKind::Stock => Transport::Stock(Box::new(Stock::new(&base, secret)?)),
        };
        Ok(Arc::new(Self {
            transport,
            limits: Limits::new(mode, clock.clone()),
            counters: ClientCounters::default(),
            clock,
        }))
    }

    /// Its limits.
    #[must_use]
    pub const fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Totals since the start.
    #[must_use]
    pub const fn counters(&self) -> &ClientCounters {
        &self.counters
    }

    async fn attempt(
        &self,
        account: &OnAccount,
        key: Option<CallKey>,
        request: &Prepared,
    ) -> Result<Answer, GatewayError> {
        let outcome = {
            let _turn = self.limits.turn(account).await;
            self.send(account, key, request).await
        };
        let answer = classify::classify(key.is_some(), outcome);
        self.count(&answer);
        answer
    }

    async fn send(&self, account: &OnAccount, key: Option<CallKey>, request: &Prepared) -> Result<Reply, Failure> {
        match &self.transport {
            Transport::Pooled(pooled) => pooled.send(account, key, request).await,
            Transport::Stock(stock) => stock.send(account, key, request).await,
        }
    }

    fn count(&self, outcome: &Result<Answer, GatewayError>) {
        let counter = match outcome {
            Ok(answer) => {
                if answer.replayed {
                    self.counters.replayed.fetch_add(1, Ordering::Relaxed);
                }
                if let Some(theirs) = answer.stripe_time {
                    let skew = self.clock.now().seconds().abs_diff(theirs.seconds());
                    let before = self.counters.skew_seconds.swap(skew, Ordering::Relaxed);
                    if skew > SKEW_SECONDS_MAX && before <= SKEW_SECONDS_MAX {
                        tracing::warn!(
                            skew_s = skew,
                            "this machine's clock is off Stripe's; set it by a time server"
                        );
                    }
                }
                &self.counters.answered
            }
            Err(GatewayError::Transient(_)) => &self.counters.transient,
            Err(GatewayError::Permanent(_)) => &self.counters.refused,
            Err(GatewayError::OutcomeUnknown(_)) => &self.counters.unknown,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }
}

impl StripeGateway for StripeClient {
    fn call<'a>(
        &'a self,
        account: &'a OnAccount,
        key: CallKey,
        call: &'a Call,
    ) -> BoxFuture<'a, Result<Answer, GatewayError>> {
        Box::pin(async move {
            let request = Prepared::of_call(key.intent, call);
            self.attempt(account, Some(key), &request).await
        })
    }

    fn read<'a>(&'a self, account: &'a OnAccount, read: &'a Read) -> BoxFuture<'a, Result<Answer, GatewayError>> {
        Box::pin(async move {
            let request = Prepared::of_read(read);
            self.attempt(account, None, &request).await
        })
    }

    fn hash(&self, key: CallKey, call: &Call) -> RequestHash {
        Prepared::of_call(key.intent, call).hash()
    }
}

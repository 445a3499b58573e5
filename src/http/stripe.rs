//! Questions to Stripe that a caller waits for: a bounded time, and what its failures mean to him.
//!
//! Only what no view can hold is asked for here: a link that ends after a while, and what Stripe would bill next. All
//! else waits in the outbox and never holds a request.

use std::time::Duration;

use aggregates::ids::IntentId;
use uuid::Uuid;

use super::problem::{Answer, Problem, ProblemKind};
use super::state::Service;
use crate::stripe::gateway::{self, Call, Delay, Gateway, GatewayError, OnAccount, Read, Refusal};

/// Longest wait for Stripe within a request, all attempts together: below the client's own limit of one attempt, and
/// short enough that a person still looks at the page.
const WAIT_MAX: Duration = Duration::from_secs(8);
/// Attempts at one question: a kept connection may have been closed by the other side.
const ATTEMPTS_MAX: u32 = 2;

/// A question within a request.
pub enum Question<'a> {
    /// An object.
    Read(&'a Read),
    /// A preview, which is asked for by POST and changes nothing.
    Preview(&'a Call),
}

/// Stripe's answer; a refusal is the caller's to explain, unless it concerns our key.
pub async fn ask(service: &Service, question: Question<'_>) -> Answer<Result<gateway::Answer, Box<Refusal>>> {
    let gateway = service.stripe.as_ref().ok_or_else(not_configured)?;
    match tokio::time::timeout(WAIT_MAX, attempts(gateway, &question)).await {
        Ok(Ok(answer)) => Ok(Ok(answer)),
        Ok(Err(GatewayError::Permanent(refusal))) if !matches!(refusal.status, 0 | 401 | 403) => Ok(Err(refusal)),
        Ok(Err(error)) => Err(problem(&error)),
        Err(_) => {
            let detail = format!("Stripe did not answer in {} s", WAIT_MAX.as_secs());
            Err(Problem::new(ProblemKind::StripeTimeout, detail))
        }
    }
}

async fn attempts(gateway: &Gateway, question: &Question<'_>) -> Result<gateway::Answer, GatewayError> {
    let account = OnAccount::own();
    // One key for all attempts of this question, as for every POST.
    let key = IntentId::new(Uuid::now_v7());
    let mut attempt = 1;
    loop {
        let outcome = match question {
            Question::Read(read) => gateway.read(&account, read).await,
            Question::Preview(call) => gateway.call(&account, key.into(), call).await,
        };
        match outcome {
            Err(error) if attempt < ATTEMPTS_MAX && is_worth_another(&error) => attempt += 1,
            outcome => return outcome,
        }
    }
}

/// The connection failed, or Stripe did: not when it asks to be left alone.
const fn is_worth_another(error: &GatewayError) -> bool {
    match error {
        GatewayError::Transient(Delay { status: None, .. }) | GatewayError::OutcomeUnknown(_) => true,
        GatewayError::Transient(Delay {
            status: Some(status),
            retry_after: None,
            ..
        }) => *status >= 500,
        GatewayError::Transient(_) | GatewayError::Permanent(_) => false,
    }
}

fn not_configured() -> Problem {
    let detail = "no key for Stripe is configured, and this question needs Stripe's own answer";
    Problem::new(ProblemKind::NotConfigured, detail)
}

fn problem(error: &GatewayError) -> Problem {
    tracing::warn!(error = %error, "a question to Stripe within a request was not answered");
    if let GatewayError::Transient(Delay {
        status: Some(429),
        retry_after,
        ..
    }) = error
    {
        let seconds = retry_after.map_or(1, |wait| u32::try_from(wait.as_secs()).unwrap_or(u32::MAX).max(1));
        let detail = "Stripe takes no more questions for the moment";
        return Problem::new(ProblemKind::StripeBusy, detail).retry_after(seconds);
    }
    Problem::new(
        ProblemKind::StripeUnavailable,
        "Stripe cannot be asked now; what the ledger itself knows is answered as ever",
    )
}

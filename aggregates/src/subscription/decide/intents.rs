//! What becomes of intents: Stripe's answers, and what its snapshots show.

use crate::ids::IntentId;
use crate::subscription::asked::CheckoutStarted;
use crate::subscription::carried::Carried;
use crate::subscription::command::Decision;
use crate::subscription::event::SubscriptionEvent as Event;
use crate::subscription::intent::{Answer, Intent};
use crate::subscription::rejection::Rejection;
use crate::subscription::settled::{CallOutcome, IntentObserved, Proof, StripeCallSettled};
use crate::subscription::shown;
use crate::subscription::state::AccountState;

/// Stripe's answer is recorded once, also when a webhook was faster.
pub(super) fn settle(state: &AccountState, it: &StripeCallSettled) -> Result<Decision, Rejection> {
    let intent = find(state, it.intent)?;
    if is_answered(intent, &it.outcome) {
        return Ok(Decision::AlreadyApplied);
    }
    let object = match &it.outcome {
        CallOutcome::Applied { object } => object.as_deref(),
        CallOutcome::Unneeded | CallOutcome::Rejected(_) | CallOutcome::Unknown { .. } => None,
    };
    Ok(answered(state, intent, Event::StripeCallSettled(it.clone()), object))
}

/// The page a checkout intent opened.
pub(super) fn start(state: &AccountState, it: &CheckoutStarted) -> Result<Decision, Rejection> {
    let intent = find(state, it.intent)?;
    if matches!(
        intent.answer,
        Some(Answer::Applied | Answer::Unneeded | Answer::Rejected)
    ) {
        return Ok(Decision::AlreadyApplied);
    }
    let object = Some(it.session.as_str());
    Ok(answered(state, intent, Event::CheckoutStarted(it.clone()), object))
}

fn find(state: &AccountState, intent: IntentId) -> Result<&Intent, Rejection> {
    let found = state.intents.find(intent);
    found.ok_or(Rejection::UnknownIntent { intent })
}

/// The same, or nothing better, is known.
fn is_answered(intent: &Intent, outcome: &CallOutcome) -> bool {
    match intent.answer {
        None => false,
        Some(Answer::Unknown) => matches!(outcome, CallOutcome::Unknown { given_up: false, .. }),
        Some(Answer::GivenUp) => matches!(outcome, CallOutcome::Unknown { .. }),
        Some(Answer::Applied | Answer::Unneeded | Answer::Rejected) => true,
    }
}

/// The answer, and the proof that its object already was, if the webhook about it was faster.
fn answered(state: &AccountState, intent: &Intent, answer: Event, object: Option<&str>) -> Decision {
    let mut events = vec![answer];
    if let Some(object) = object
        && intent.proof != Some(Proof::Echo)
        && shown::is_made_object_known(state, &intent.asked, object)
    {
        events.push(observed(intent, Proof::Echo, object));
    }
    Decision::Record {
        events,
        refresh: Vec::new(),
    }
}

/// What a snapshot proves of the intents that do not have so good a proof yet.
pub(super) fn proofs(state: &AccountState, carried: Carried<'_>, echo: Option<IntentId>) -> Vec<Event> {
    let open = state.intents.iter().filter(|intent| intent.proof != Some(Proof::Echo));
    open.filter_map(|intent| {
        let proof = shown::proof(intent, carried, echo)?;
        // A refusal stands against what somebody else may have done.
        let is_refused = intent.answer == Some(Answer::Rejected) && proof == Proof::Effect;
        let is_better = intent.proof.is_none_or(|known| known < proof);
        (is_better && !is_refused).then(|| observed(intent, proof, carried.object().1))
    })
    .collect()
}

fn observed(intent: &Intent, by: Proof, object: &str) -> Event {
    Event::IntentObserved(IntentObserved {
        intent: intent.id(),
        by,
        object: object.into(),
    })
}

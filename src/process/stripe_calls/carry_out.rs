//! One turn of an intent: what is due, computed or as stored, sent until it ends or has to wait.

use std::sync::PoisonError;
use std::time::Duration;

use aggregates::ids::CustomerId;
use aggregates::subscription::asked::QuantityChangeRequested;
use aggregates::subscription::effect::{self, Due};
use aggregates::subscription::intent::{Answer, Asked};
use aggregates::subscription::settled::{CallOutcome, Refusal, RefusalKind};
use aggregates::subscription::{AccountState, SubscriptionEvent};
use aggregates::time::Timestamp;
use projections::db::DbError;
use projections::failpoint;
use serde_json::Value;

use super::stored::{Sent, Stored, What};
use super::translate::Facts;
use super::{CALL_KIND, Calls, Claimed, LinkError, Turn, outcome};
use crate::ledger::find_profile;
use crate::outbox;
use crate::process::account_log::{self, Loaded};
use crate::stripe::gateway::OnAccount;
use crate::stripe::gateway::quantities::free_at;
use crate::stripe::gateway::retry::Performed;

/// How long attempts follow each other in place, before the rest waits in the outbox.
const IN_PLACE: Duration = Duration::from_secs(2);
/// Least and longest wait of a row for an earlier one, in microseconds: it is looked at again when that one is.
const BEHIND_MIN_MICROS: i64 = 100_000;
const BEHIND_MAX_MICROS: i64 = 5_000_000;
/// Wait for an object that is being fetched, in seconds: questions are asked when they are two seconds old.
const FETCH_SECONDS: i64 = 4;

impl Calls {
    pub(super) async fn carry_out(&self, claimed: &Claimed) -> Result<Turn, DbError> {
        failpoint::reach("calls.after-claim");
        let (row, body) = (&claimed.row, &claimed.body);
        let stream = body.stream.as_str();
        let now = self.clock.now();
        if let Some(at) = outbox::earlier(&self.db, row.part, CALL_KIND, stream, row.position).await? {
            let wait = (at.micros() - now.micros()).clamp(BEHIND_MIN_MICROS, BEHIND_MAX_MICROS);
            return Ok(Turn::Wait(now.plus_micros(wait), row.result.clone()));
        }
        let loaded = account_log::read(&self.db, row.part, &body.stream).await?;
        let answer = loaded.state.intents.find(body.intent).map(|intent| intent.answer);
        let is_open = matches!(answer, Some(None | Some(Answer::Unknown)));
        if !is_open {
            return self.ended(claimed, "answered").await;
        }
        // What was begun is finished, whatever has become of the intent: Stripe may have done it.
        let kept = Stored::read(row.result.as_deref()).map_err(|error| {
            DbError::bug(format!(
                "what was kept of a command's calls cannot be read ({error}); nothing more is sent for it"
            ))
        })?;
        let begun = kept.filter(Stored::is_begun);
        let stored = match begun {
            Some(stored) => stored,
            None => match self.due(claimed, &loaded, now).await? {
                Ok(stored) => stored,
                Err(turn) => return Ok(turn),
            },
        };
        self.send(claimed, loaded, stored).await
    }

    async fn ended(&self, claimed: &Claimed, words: &str) -> Result<Turn, DbError> {
        self.end(&claimed.row, claimed.fence, outbox::State::Done, words).await
    }

    /// The calls that are due, or what becomes of the turn without any.
    async fn due(&self, claimed: &Claimed, loaded: &Loaded, now: Timestamp) -> Result<Result<Stored, Turn>, DbError> {
        let intent = claimed.body.intent;
        let state = &loaded.state;
        let asked = state.intents.find(intent).map(|intent| &intent.asked);
        Ok(match effect::due(state, intent, now) {
            Due::Calls(calls) => {
                if let Some(Asked::Quantity(asked)) = asked {
                    let free = free_at(&changes_of(loaded, asked));
                    if free > now {
                        return Ok(Err(Turn::Wait(free, None)));
                    }
                }
                Ok(Stored::of(intent, calls, state.account.customer.is_some()))
            }
            Due::Unneeded => {
                self.record(claimed, CallOutcome::Unneeded, None).await?;
                Err(self.ended(claimed, "unneeded").await?)
            }
            Due::After(_) => Err(Turn::Wait(now.plus_micros(BEHIND_MIN_MICROS), None)),
            Due::Fetch(subscription) => {
                self.fetch(claimed, loaded, &subscription).await?;
                Err(Turn::Wait(now.plus_seconds(FETCH_SECONDS), None))
            }
            Due::Replaced(later) => Err(self.ended(claimed, &format!("merged into {later}")).await?),
            Due::Ended => Err(self.ended(claimed, "ended").await?),
        })
    }

    /// Sends the calls that are left, each stored before it is sent.
    async fn send(&self, claimed: &Claimed, mut loaded: Loaded, mut stored: Stored) -> Result<Turn, DbError> {
        let account = OnAccount::of_source(loaded.source.as_deref().unwrap_or_default());
        while let Some(nth) = stored.next() {
            let Some((key, sent)) = self.prepare(claimed, &loaded.state, &mut stored, nth).await? else {
                return self.refused(claimed, "missing_object").await;
            };
            let Sent { call, mut progress } = sent;
            if !self.keep(claimed, &stored).await? {
                return Ok(Turn::Lost);
            }
            failpoint::reach("calls.before-send");
            let until = self
                .clock
                .now()
                .plus_micros(i64::try_from(IN_PLACE.as_micros()).unwrap_or(0));
            let performed = self.sender.perform(&account, key, &call, &mut progress, until).await;
            failpoint::reach("calls.after-send");
            stored.under_way = false;
            let may_be_done = progress.may_be_done;
            let last_words = progress.last.clone();
            stored.steps[nth].sent = Some(Sent { call, progress });
            let (object, request_id) = match performed {
                Performed::Applied(answer) => (answer.object, answer.request_id),
                Performed::Found(object) => (*object, None),
                Performed::Rejected(refusal) => {
                    tracing::warn!(intent.id = %claimed.body.intent, "{refusal}");
                    self.record(claimed, outcome::rejected(&refusal), refusal.request_id.as_deref())
                        .await?;
                    return self.ended(claimed, "rejected").await;
                }
                Performed::Unknown(words) => {
                    tracing::error!(intent.id = %claimed.body.intent, "nobody knows whether a command was carried out: {words}");
                    self.record(claimed, unknown(&words, true), None).await?;
                    return self
                        .end(&claimed.row, claimed.fence, outbox::State::Failed, &words)
                        .await;
                }
                Performed::Later(at) => {
                    if may_be_done {
                        let words = last_words.unwrap_or_default();
                        self.record(claimed, unknown(&words, false), None).await?;
                    }
                    return Ok(Turn::Wait(at, Some(written(&stored)?)));
                }
            };
            stored.steps[nth].done = true;
            if stored.next().is_none() {
                self.record(claimed, outcome::applied(&object), request_id.as_deref())
                    .await?;
                failpoint::reach("calls.after-record");
            } else if let Err(refused) = self.between(claimed, &mut loaded, &mut stored, nth, &object).await? {
                return self.refused(claimed, refused).await;
            }
        }
        self.ended(claimed, "applied").await
    }

    /// The call of a step, computed now or as it was stored; none: what it needs is not there.
    async fn prepare(
        &self,
        claimed: &Claimed,
        state: &AccountState,
        stored: &mut Stored,
        nth: usize,
    ) -> Result<Option<(crate::stripe::gateway::CallKey, Sent)>, DbError> {
        let tenant = state.account.tenant.as_ref();
        let profile = match tenant {
            Some(tenant) => find_profile(&self.db, claimed.row.part, tenant).await?,
            None => None,
        };
        let Stored { steps, made, under_way } = stored;
        let Some(step) = steps.get_mut(nth) else {
            return Ok(None);
        };
        let sent = match step.sent.take() {
            Some(mut sent) => {
                if *under_way {
                    // A process ended while it sent it.
                    sent.progress.may_be_done = true;
                    sent.progress.look_first |= !sent.call.is_keyed();
                }
                sent
            }
            None => {
                let facts = Facts {
                    state,
                    profile: profile.as_ref(),
                    made: made.as_ref(),
                    automatic_tax: self.plans.current().terms().checkout.automatic_tax,
                };
                let call = match facts.call(&step.what) {
                    Ok(call) => call,
                    Err(missing) => {
                        tracing::error!(intent.id = %claimed.body.intent, "{missing}");
                        return Ok(None);
                    }
                };
                let progress = self.sender.begin(step.key, &call);
                Sent { call, progress }
            }
        };
        step.sent = Some(sent.clone());
        *under_way = true;
        Ok(Some((step.key, sent)))
    }

    /// What a preparing call made is taken note of before the next one.
    async fn between(
        &self,
        claimed: &Claimed,
        loaded: &mut Loaded,
        stored: &mut Stored,
        nth: usize,
        object: &Value,
    ) -> Result<Result<(), &'static str>, DbError> {
        match stored.steps.get(nth).map(|step| &step.what) {
            Some(What::MakeCustomer) => {
                let id = object.get("id").and_then(Value::as_str).unwrap_or_default();
                let Ok(customer) = CustomerId::parse(id) else {
                    return Ok(Err("unreadable_answer"));
                };
                match self.link(claimed, &customer).await {
                    Ok(()) => *loaded = account_log::read(&self.db, claimed.row.part, &claimed.body.stream).await?,
                    Err(LinkError::Elsewhere) => return Ok(Err("customer_linked_elsewhere")),
                    Err(LinkError::Store(error)) => return Err(error),
                }
            }
            Some(What::Do(effect::Effect::MakeSchedule { .. })) => stored.take_made(object),
            Some(What::Do(_)) | None => {}
        }
        Ok(Ok(()))
    }

    /// The end of an intent that we cannot carry out.
    async fn refused(&self, claimed: &Claimed, code: &str) -> Result<Turn, DbError> {
        let refusal = Refusal {
            kind: RefusalKind::NotPossible,
            code: Some(code.into()),
            decline_code: None,
            param: None,
        };
        self.record(claimed, CallOutcome::Rejected(refusal), None).await?;
        self.ended(claimed, code).await
    }

    /// Stores what is about to be sent; false: the row is another process's.
    async fn keep(&self, claimed: &Claimed, stored: &Stored) -> Result<bool, DbError> {
        let (now, text) = (self.clock.now(), written(stored)?);
        *claimed.kept.lock().unwrap_or_else(PoisonError::into_inner) = Some(text.clone());
        let settlement = outbox::Settlement {
            state: outbox::State::Sending,
            result: Some(text),
            next_at: now.plus_seconds(super::CLAIM_SECONDS),
        };
        let (row, fence) = (&claimed.row, claimed.fence);
        outbox::settle(&self.db, row.part, row.outbox_id, fence, settlement, now).await
    }
}

pub(super) fn written(stored: &Stored) -> Result<String, DbError> {
    serde_json::to_string(stored).map_err(|error| DbError::bug(error.to_string()))
}

fn unknown(words: &str, given_up: bool) -> CallOutcome {
    // Stripe's sentence may name people; only what kind of loss it was is kept.
    let reason = if words.contains("time") {
        "timeout"
    } else {
        "answer_lost"
    };
    CallOutcome::Unknown {
        reason: reason.into(),
        given_up,
    }
}

/// When changes of the quantity of a subscription were sent, as the log has it.
fn changes_of(loaded: &Loaded, asked: &QuantityChangeRequested) -> Vec<Timestamp> {
    let mut intents = Vec::new();
    let mut sent = Vec::new();
    for (event, at) in loaded.of_intents() {
        if let SubscriptionEvent::QuantityChangeRequested(it) = event
            && it.subscription == asked.subscription
        {
            intents.push(it.intent.id);
        }
        if let SubscriptionEvent::StripeCallSettled(it) = event
            && intents.contains(&it.intent)
            && matches!(it.outcome, CallOutcome::Applied { .. } | CallOutcome::Unknown { .. })
        {
            sent.push(at);
        }
    }
    sent
}

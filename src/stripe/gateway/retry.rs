//! What follows an attempt that did not end in an answer: the same key again, a look at Stripe, or the end.
//!
//! Rules, all over [`Progress`], which the caller stores after every step so that a restart goes on from it:
//! - The hash of what is sent is stored before the first attempt; the same key with anything else is refused.
//! - Waits are 0.5, 1, 2, 4 .. 60 s with full jitter; what Stripe says in `Retry-After` wins.
//! - An outcome that is not known is never called a failure: the same key is sent again while Stripe is sure to know
//!   it. Two stored failures replayed, a key older than 23 hours, or a request without keys: Stripe is looked at.
//! - What cannot be found after the delivery grace ends as unknown, for a person or a new intent to decide.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use aggregates::time::Timestamp;
use futures::future::BoxFuture;
use ring::rand::{SecureRandom, SystemRandom};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::look_up::{Found, look_up};
use super::{Answer, Call, CallKey, Gateway, GatewayError, OnAccount, Refusal, RequestHash};
use crate::clock::Clock;

/// First wait.
const WAIT_FIRST: Duration = Duration::from_millis(500);
/// Longest wait of our own.
const WAIT_MAX: Duration = Duration::from_secs(60);
/// Longest wait Stripe can ask for: beyond it a look is due anyway.
const RETRY_AFTER_MAX: Duration = Duration::from_hours(1);
/// Stripe keeps keys for at least 24 hours; the margin covers clocks and an attempt under way.
const KEY_GOOD_SECONDS: i64 = 23 * 3_600;
/// Stored failures Stripe may replay before the key is given up.
const REPLAYS_MAX: u32 = 2;
/// How long after the last attempt something may still turn up in Stripe's lists.
const GRACE_SECONDS: i64 = 900;

/// Gives a number below its argument; from the system, or from a test's seed.
#[derive(Clone)]
pub struct Dice(Arc<dyn Fn(u64) -> u64 + Send + Sync>);

impl Dice {
    /// From the system's random source.
    #[must_use]
    pub fn system() -> Self {
        let source = SystemRandom::new();
        Self::from_fn(move |below| {
            let mut bytes = [0; 8];
            // Without randomness the waits are the longest ones, which is safe.
            match source.fill(&mut bytes) {
                Ok(()) => u64::from_le_bytes(bytes) % below.max(1),
                Err(_) => below.saturating_sub(1),
            }
        })
    }

    /// Any other source.
    #[must_use]
    pub fn from_fn(roll: impl Fn(u64) -> u64 + Send + Sync + 'static) -> Self {
        Self(Arc::new(roll))
    }

    fn below(&self, bound: u64) -> u64 {
        if bound == 0 { 0 } else { (self.0)(bound).min(bound - 1) }
    }
}

impl fmt::Debug for Dice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Dice")
    }
}

/// How far a call has come; stored with it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// What was sent the first time.
    pub hash: RequestHash,
    /// When the first attempt began.
    pub first_sent: Timestamp,
    /// When the last one did.
    pub last_sent: Timestamp,
    /// Attempts so far.
    pub attempts: u32,
    /// Some attempt may have been carried out.
    pub may_be_done: bool,
    /// Failures Stripe had stored and replayed.
    pub replayed_failures: u32,
    /// Looks at Stripe come before any further attempt.
    pub look_first: bool,
    /// The last outcome in words.
    pub last: Option<String>,
    /// Its status, when there was one.
    #[serde(default)]
    pub last_status: Option<u16>,
}

impl Progress {
    /// Before the first attempt. To be stored before it is made.
    #[must_use]
    pub const fn begin(hash: RequestHash, now: Timestamp) -> Self {
        Self {
            hash,
            first_sent: now,
            last_sent: now,
            attempts: 0,
            may_be_done: false,
            replayed_failures: 0,
            look_first: false,
            last: None,
            last_status: None,
        }
    }
}

/// What to do next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// The same key again, at this time.
    Resend(Timestamp),
    /// A look at Stripe, at this time.
    LookUp(Timestamp),
    /// The end: Stripe said no.
    Rejected(Box<Refusal>),
    /// The end: nobody knows.
    Unknown(String),
}

impl Call {
    /// Stripe remembers its key; without, only a look tells whether it may be sent again.
    #[must_use]
    pub const fn is_keyed(&self) -> bool {
        // A DELETE, where Stripe knows no keys.
        !matches!(self, Self::CancelNow { .. })
    }
}

/// How long to wait after so many attempts: full jitter, unless Stripe says how long.
#[must_use]
pub fn pause(attempts: u32, retry_after: Option<Duration>, dice: &Dice) -> Duration {
    if let Some(asked) = retry_after {
        return asked.min(RETRY_AFTER_MAX);
    }
    let most = WAIT_FIRST.saturating_mul(1_u32.checked_shl(attempts.saturating_sub(1)).unwrap_or(u32::MAX));
    let most = u64::try_from(most.min(WAIT_MAX).as_micros()).unwrap_or(u64::MAX);
    Duration::from_micros(dice.below(most.saturating_add(1)))
}

fn after(now: Timestamp, wait: Duration) -> Timestamp {
    now.plus_micros(i64::try_from(wait.as_micros()).unwrap_or(i64::MAX))
}

/// What follows an attempt that ended in `error`. The attempt is counted already.
#[must_use]
pub fn after_error(progress: &mut Progress, call: &Call, error: &GatewayError, now: Timestamp, dice: &Dice) -> Next {
    progress.last = Some(error.to_string());
    progress.last_status = match error {
        GatewayError::Permanent(refusal) => Some(refusal.status),
        GatewayError::Transient(delay) => delay.status,
        GatewayError::OutcomeUnknown(loss) => loss.status,
    };
    let age = now.seconds() - progress.first_sent.seconds();
    match error {
        GatewayError::Permanent(refusal) => {
            // What Stripe refuses for want of a right, or does not find any more, says nothing of an earlier attempt.
            let says_nothing = matches!(refusal.status, 401 | 403) || (refusal.is_missing() && !call.is_keyed());
            if progress.may_be_done && says_nothing {
                progress.look_first = true;
                return Next::LookUp(after(now, pause(progress.attempts, None, dice)));
            }
            Next::Rejected(refusal.clone())
        }
        GatewayError::Transient(delay) => {
            let at = after(now, pause(progress.attempts, delay.retry_after, dice));
            if progress.may_be_done && age >= KEY_GOOD_SECONDS {
                progress.look_first = true;
                return Next::LookUp(at);
            }
            Next::Resend(at)
        }
        GatewayError::OutcomeUnknown(loss) => {
            progress.may_be_done = true;
            if loss.replayed && loss.status.is_some_and(|status| status >= 500) {
                progress.replayed_failures += 1;
            }
            let at = after(now, pause(progress.attempts, loss.retry_after, dice));
            let key_is_of_no_use =
                progress.replayed_failures >= REPLAYS_MAX || age >= KEY_GOOD_SECONDS || !call.is_keyed();
            if key_is_of_no_use || loss.keep_off {
                progress.look_first = true;
                return Next::LookUp(at);
            }
            Next::Resend(at)
        }
    }
}

/// What follows a look that found no trace.
#[must_use]
pub fn after_nothing_found(progress: &mut Progress, call: &Call, now: Timestamp, dice: &Dice) -> Next {
    let since_last = now.seconds() - progress.last_sent.seconds();
    if !call.is_keyed() {
        // An object is asked for by its id, so the look shows how it stands: it may be sent again.
        progress.look_first = false;
        return Next::Resend(now);
    }
    if since_last < GRACE_SECONDS {
        progress.attempts = progress.attempts.saturating_add(1);
        return Next::LookUp(after(now, pause(progress.attempts, None, dice)));
    }
    let last = progress.last.clone().unwrap_or_default();
    Next::Unknown(format!(
        "Stripe shows no trace of it {since_last} s after the last attempt ({last}); look at Stripe's dashboard, \
         then ask again if it was not done"
    ))
}

/// Sleeps; a test moves its clock instead.
pub type Sleep = Arc<dyn Fn(Duration) -> BoxFuture<'static, ()> + Send + Sync>;

/// How a call ended, or where it stands when there was no more time.
#[derive(Debug)]
pub enum Performed {
    /// Stripe did it.
    Applied(Box<Answer>),
    /// The answer was lost, and a look showed that it was done: the object.
    Found(Box<Value>),
    /// Stripe refused it.
    Rejected(Box<Refusal>),
    /// Nobody knows; the words say what to do.
    Unknown(String),
    /// Not before this time.
    Later(Timestamp),
}

/// Carries out calls, attempt after attempt.
#[derive(Clone)]
pub struct Sender {
    gateway: Gateway,
    clock: Clock,
    dice: Dice,
    sleep: Sleep,
}

impl Sender {
    /// Over a gateway.
    #[must_use]
    pub fn new(gateway: Gateway, clock: Clock, dice: Dice, sleep: Sleep) -> Self {
        Self {
            gateway,
            clock,
            dice,
            sleep,
        }
    }

    /// Over a gateway, with the machine's chance and sleep.
    #[must_use]
    pub fn system(gateway: Gateway, clock: Clock) -> Self {
        let sleep: Sleep = Arc::new(|wait| Box::pin(tokio::time::sleep(wait)));
        Self::new(gateway, clock, Dice::system(), sleep)
    }

    /// The progress of a call that was never sent. To be stored before [`Sender::perform`].
    #[must_use]
    pub fn begin(&self, key: CallKey, call: &Call) -> Progress {
        Progress::begin(self.gateway.hash(key, call), self.clock.now())
    }

    /// Goes on with a call until it ends or the next step lies behind `until`. `progress` is to be stored afterwards.
    pub async fn perform(
        &self,
        account: &OnAccount,
        key: CallKey,
        call: &Call,
        progress: &mut Progress,
        until: Timestamp,
    ) -> Performed {
        if self.gateway.hash(key, call) != progress.hash {
            let message = "the key was used for another request; nothing was sent. Please report it";
            return Performed::Rejected(Refusal::unsent("key_reused", message));
        }
        loop {
            let step = if progress.look_first {
                self.look(account, key, call, progress).await
            } else {
                self.send(account, key, call, progress).await
            };
            let at = match step {
                Ok(performed) => return performed,
                Err(Next::Rejected(refusal)) => return Performed::Rejected(refusal),
                Err(Next::Unknown(words)) => return Performed::Unknown(words),
                Err(Next::Resend(at) | Next::LookUp(at)) => at,
            };
            if at > until {
                return Performed::Later(at);
            }
            let micros = at.micros().saturating_sub(self.clock.now().micros());
            (self.sleep)(Duration::from_micros(u64::try_from(micros).unwrap_or(0))).await;
        }
    }

    async fn send(
        &self,
        account: &OnAccount,
        key: CallKey,
        call: &Call,
        progress: &mut Progress,
    ) -> Result<Performed, Next> {
        let now = self.clock.now();
        // A key Stripe may have forgotten would do it twice.
        if progress.may_be_done && now.seconds() - progress.first_sent.seconds() >= KEY_GOOD_SECONDS {
            progress.look_first = true;
            return Err(Next::LookUp(now));
        }
        progress.last_sent = now;
        progress.attempts = progress.attempts.saturating_add(1);
        let outcome = self.gateway.call(account, key, call).await;
        outcome
            .map(|answer| Performed::Applied(Box::new(answer)))
            .map_err(|error| after_error(progress, call, &error, self.clock.now(), &self.dice))
    }

    async fn look(
        &self,
        account: &OnAccount,
        key: CallKey,
        call: &Call,
        progress: &mut Progress,
    ) -> Result<Performed, Next> {
        match look_up(&*self.gateway, account, key.intent, call, progress.first_sent).await {
            Ok(Found::Done(object)) => Ok(Performed::Found(object)),
            Ok(Found::Nothing) => Err(Next::Rejected(Refusal::unsent(
                "answer_lost",
                "Stripe's answer was lost; it leaves nothing behind, ask again",
            ))),
            Ok(Found::NotDone) => Err(after_nothing_found(progress, call, self.clock.now(), &self.dice)),
            // Stripe cannot be looked at: the same later, however long it takes.
            Err(error) => {
                progress.last = Some(error.to_string());
                progress.attempts = progress.attempts.saturating_add(1);
                let asked = match &error {
                    GatewayError::Transient(delay) => delay.retry_after,
                    GatewayError::OutcomeUnknown(loss) => loss.retry_after,
                    GatewayError::Permanent(_) => Some(WAIT_MAX),
                };
                let at = after(self.clock.now(), pause(progress.attempts, asked, &self.dice));
                Err(Next::LookUp(at))
            }
        }
    }
}

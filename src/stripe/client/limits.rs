//! How fast Stripe is asked: a token bucket for each account, and a bound on requests at once.
//!
//! Stripe allows 100 requests a second in live mode and 25 in test mode; we take four fifths, shared out when several
//! processes run.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use aggregates::plan::Mode;
use aggregates::time::Timestamp;
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::clock::Clock;
use crate::stripe::gateway::OnAccount;

/// Requests at once: more do not come through faster within the rate.
pub const CONCURRENCY: usize = 8;
/// Requests a second and account in live mode.
pub const LIVE_PER_SECOND: u32 = 80;
/// Requests a second and account in test mode.
pub const TEST_PER_SECOND: u32 = 20;
/// Accounts whose buckets are kept; the one that was used longest ago goes.
const ACCOUNTS_MAX: usize = 1_024;
const SECOND_MICROS: i64 = 1_000_000;

/// So many tokens a second, at most a second's worth at once.
#[derive(Clone, Debug)]
pub struct TokenBucket {
    /// When the bucket will be full again; in the future while tokens are missing.
    full_at: i64,
}

impl TokenBucket {
    /// A full one.
    #[must_use]
    pub const fn full() -> Self {
        Self { full_at: i64::MIN }
    }

    /// Takes a token, or says how long until there is one.
    pub fn take(&mut self, per_second: u32, now: Timestamp) -> Result<(), Duration> {
        let token = SECOND_MICROS / i64::from(per_second.max(1));
        let full_at = self.full_at.max(now.micros());
        let missing = full_at - now.micros();
        let over = missing + token - SECOND_MICROS;
        if over > 0 {
            return Err(Duration::from_micros(u64::try_from(over).unwrap_or(0)));
        }
        self.full_at = full_at + token;
        Ok(())
    }
}

/// The limits of a process.
pub struct Limits {
    permits: Semaphore,
    buckets: Mutex<HashMap<OnAccount, TokenBucket>>,
    per_second: u32,
    share: Mutex<(u32, u32)>,
    clock: Clock,
}

impl Limits {
    /// Those of the mode.
    #[must_use]
    pub fn new(mode: Mode, clock: Clock) -> Self {
        Self {
            permits: Semaphore::new(CONCURRENCY),
            buckets: Mutex::default(),
            per_second: match mode {
                Mode::Live => LIVE_PER_SECOND,
                Mode::Test => TEST_PER_SECOND,
            },
            share: Mutex::new((1, 1)),
            clock,
        }
    }

    /// This process has `held` of `parts` partitions, and takes that share of the rate.
    pub fn set_share(&self, held: u32, parts: u32) {
        *self.share.lock().unwrap_or_else(PoisonError::into_inner) = (held.min(parts), parts.max(1));
    }

    /// Requests a second and account, for this process.
    #[must_use]
    pub fn per_second(&self) -> u32 {
        let (held, parts) = *self.share.lock().unwrap_or_else(PoisonError::into_inner);
        // A process that holds nothing still answers people.
        let share = u64::from(self.per_second) * u64::from(held) / u64::from(parts);
        u32::try_from(share).unwrap_or(self.per_second).max(1)
    }

    /// Waits for its turn. The permit is held until the reply is read.
    pub(super) async fn turn(&self, account: &OnAccount) -> Option<SemaphorePermit<'_>> {
        let permit = self.permits.acquire().await.ok();
        while let Err(wait) = self.take(account) {
            tokio::time::sleep(wait).await;
        }
        permit
    }

    fn take(&self, account: &OnAccount) -> Result<(), Duration> {
        let (now, per_second) = (self.clock.now(), self.per_second());
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        if buckets.len() >= ACCOUNTS_MAX && !buckets.contains_key(account) {
            let oldest = buckets.iter().min_by_key(|(_, bucket)| bucket.full_at);
            if let Some(oldest) = oldest.map(|(account, _)| account.clone()) {
                buckets.remove(&oldest);
            }
        }
        let bucket = buckets.entry(account.clone()).or_insert_with(TokenBucket::full);
        bucket.take(per_second, now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_holds_the_rate_and_no_more() {
        for per_second in [TEST_PER_SECOND, LIVE_PER_SECOND] {
            let mut bucket = TokenBucket::full();
            let start = Timestamp::from_seconds(1_000).unwrap();
            // However it is asked, at 100,000 questions a second, ten seconds give the burst and ten rates; the very
            // last token comes with the end of the tenth second, which is not in them.
            let mut taken = 0;
            for step in 0..1_000_000 {
                taken += u32::from(bucket.take(per_second, start.plus_micros(step * 10)).is_ok());
            }
            assert_eq!(taken, per_second * 11 - 1, "{per_second}");
        }
    }

    #[test]
    fn the_wait_it_names_is_enough() {
        let mut bucket = TokenBucket::full();
        let mut now = Timestamp::EPOCH;
        for _ in 0..200 {
            if let Err(wait) = bucket.take(20, now) {
                now = now.plus_micros(i64::try_from(wait.as_micros()).unwrap());
                assert!(bucket.take(20, now).is_ok());
            }
        }
        // 20 at once, 180 at 20 a second.
        assert_eq!(now.micros(), 9_000_000);
    }

    #[test]
    fn the_rate_is_shared_between_processes() {
        let limits = Limits::new(Mode::Live, Clock::system());
        assert_eq!(limits.per_second(), LIVE_PER_SECOND);
        limits.set_share(16, 64);
        assert_eq!(limits.per_second(), 20);
        limits.set_share(0, 64);
        assert_eq!(limits.per_second(), 1);
    }
}

//! How many requests a caller may make: one bucket per policy and caller, in this process.
//!
//! The fields are those of the current draft: `RateLimit-Policy: "name";q=<requests>;w=<seconds>` and
//! `RateLimit: "name";r=<left>;t=<seconds until the bucket is full again>`.

use std::hash::{BuildHasher, RandomState};
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU32, Ordering};

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use governor::clock::{Clock as _, DefaultClock};
use governor::middleware::StateInformationMiddleware;
use governor::state::keyed::DashMapStateStore;
use governor::{Quota, RateLimiter};

use super::problem::{Problem, ProblemKind};

/// Width of every window, in seconds: the buckets are given per minute.
const WINDOW_SECONDS: u32 = 60;
/// Callers are forgotten after every so many checks once their bucket is full again.
const FORGET_EVERY: u32 = 65_536;

const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");
const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

/// Which bucket a route draws from when a key calls it; portal tokens always draw from theirs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Policy {
    /// No limit: probes, and the webhook receiver, which must never shed Stripe.
    Unlimited,
    /// Without a credential, by address.
    Public,
    /// A portal token reads.
    PortalRead,
    /// A portal token writes.
    PortalWrite,
    /// A service asks what a tenant may do: the hot path of the host application.
    Standing,
    /// Audit and finance reads.
    Finance,
    /// Operators and jobs.
    Operator,
}

impl Policy {
    const LIMITED: [Self; 6] = [
        Self::Public,
        Self::PortalRead,
        Self::PortalWrite,
        Self::Standing,
        Self::Finance,
        Self::Operator,
    ];

    /// Name and requests per window.
    const fn terms(self) -> (&'static str, u32) {
        match self {
            Self::Unlimited => ("unlimited", u32::MAX),
            Self::Public => ("public", 1_200),
            Self::PortalRead => ("portal-read", 600),
            Self::PortalWrite => ("portal-write", 60),
            // Far above what one process can answer on two cores: it stops a runaway loop, not a busy host.
            Self::Standing => ("standing", 6_000_000),
            Self::Finance => ("finance", 6_000),
            Self::Operator => ("operator", 60_000),
        }
    }
}

type Bucket = RateLimiter<u64, DashMapStateStore<u64>, DefaultClock, StateInformationMiddleware>;

struct Limit {
    name: &'static str,
    quota: u32,
    policy: HeaderValue,
    bucket: Bucket,
}

/// All buckets of this process.
pub struct RateLimits {
    limits: Vec<Limit>,
    hasher: RandomState,
    checks: AtomicU32,
    clock: DefaultClock,
}

impl Default for RateLimits {
    fn default() -> Self {
        Self::new(|policy| policy.terms().1)
    }
}

impl RateLimits {
    /// With other numbers than the built-in ones: tests.
    #[must_use]
    pub fn new(quota_of: impl Fn(Policy) -> u32) -> Self {
        let limit = |policy: Policy| {
            let quota = NonZeroU32::new(quota_of(policy)).unwrap_or(NonZeroU32::MIN);
            let name = policy.terms().0;
            let text = format!("\"{name}\";q={quota};w={WINDOW_SECONDS}");
            Limit {
                name,
                quota: quota.get(),
                policy: HeaderValue::from_str(&text).unwrap_or(HeaderValue::from_static("")),
                bucket: RateLimiter::dashmap(Quota::per_minute(quota)).with_middleware(),
            }
        };
        Self {
            limits: Policy::LIMITED.into_iter().map(limit).collect(),
            hasher: RandomState::new(),
            checks: AtomicU32::new(0),
            clock: DefaultClock::default(),
        }
    }

    /// Draws one request of `caller` from the bucket of `policy`: the headers of the answer, or the refusal with them.
    pub fn draw(&self, policy: Policy, caller: &str) -> Result<Option<Drawn>, Box<(Problem, Drawn)>> {
        let at = Policy::LIMITED.iter().position(|limited| *limited == policy);
        let Some(limit) = at.and_then(|at| self.limits.get(at)) else {
            return Ok(None);
        };
        if self.checks.fetch_add(1, Ordering::Relaxed) % FORGET_EVERY == FORGET_EVERY - 1 {
            limit.bucket.retain_recent();
        }
        match limit.bucket.check_key(&self.hasher.hash_one(caller)) {
            Ok(state) => Ok(Some(limit.drawn(state.remaining_burst_capacity()))),
            Err(not_until) => {
                let wait = not_until.wait_time_from(self.clock.now()).as_secs().saturating_add(1);
                let wait = u32::try_from(wait).unwrap_or(WINDOW_SECONDS);
                let detail = format!(
                    "more than {} requests in {WINDOW_SECONDS} s under the policy {:?}",
                    limit.quota, limit.name
                );
                let problem = Problem::new(ProblemKind::RateLimited, detail).retry_after(wait);
                Err(Box::new((problem, limit.drawn(0))))
            }
        }
    }
}

impl Limit {
    fn drawn(&self, left: u32) -> Drawn {
        let used = u64::from(self.quota.saturating_sub(left));
        let reset = (used * u64::from(WINDOW_SECONDS)).div_ceil(u64::from(self.quota));
        Drawn {
            name: self.name,
            policy: self.policy.clone(),
            left,
            reset_seconds: reset,
        }
    }
}

/// What one request left in its bucket.
pub struct Drawn {
    name: &'static str,
    policy: HeaderValue,
    left: u32,
    reset_seconds: u64,
}

impl Drawn {
    /// Writes the fields of the answer.
    pub fn announce(self, headers: &mut HeaderMap) {
        let text = format!("\"{}\";r={};t={}", self.name, self.left, self.reset_seconds);
        headers.insert(RATE_LIMIT_POLICY, self.policy);
        if let Ok(value) = HeaderValue::from_str(&text) {
            headers.insert(RATE_LIMIT, value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_gives_its_quota_and_then_says_when() {
        let limits = RateLimits::new(|_| 3);
        for left in [2, 1, 0] {
            let drawn = limits.draw(Policy::Finance, "key:a").ok().flatten().unwrap();
            assert_eq!(drawn.left, left);
        }
        let (problem, drawn) = *limits.draw(Policy::Finance, "key:a").err().unwrap();
        assert_eq!(problem.kind, ProblemKind::RateLimited);
        assert!((1..=20).contains(&problem.retry_after.unwrap()));
        let mut headers = HeaderMap::new();
        drawn.announce(&mut headers);
        assert_eq!(headers["ratelimit-policy"], "\"finance\";q=3;w=60");
        assert_eq!(headers["ratelimit"], "\"finance\";r=0;t=60");
        assert!(
            limits.draw(Policy::Finance, "key:b").is_ok(),
            "another caller has a bucket of its own"
        );
        assert!(
            limits.draw(Policy::Operator, "key:a").is_ok(),
            "and so has another policy"
        );
    }

    #[test]
    fn unlimited_says_nothing() {
        let limits = RateLimits::new(|_| 1);
        for _ in 0..10 {
            assert!(
                limits
                    .draw(Policy::Unlimited, "stripe")
                    .ok()
                    .is_some_and(|drawn| drawn.is_none())
            );
        }
    }
}

//! How many requests a caller may make: one bucket per policy and caller, in this process.
//!
//! The fields are those of the current draft: `RateLimit-Policy: "name";q=<requests>;w=<seconds>` and
//! `RateLimit: "name";r=<left>;t=<seconds until the bucket is full again>`.

use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

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
/// Refused attempts of one address in a minute that are answered at once: a host with an old key is not punished, and
/// who guesses is.
pub const REFUSALS_MAX: u32 = 60;
/// What every further refusal waits. It costs us a timer, and the guesser the number of its connections.
pub const REFUSAL_PAUSE: Duration = Duration::from_secs(1);

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
    /// Of no route: refused attempts of one address that are answered at once.
    Refused,
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
            Self::Refused => ("refused", REFUSALS_MAX),
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
    refusals: Bucket,
    /// One word a minute about an address is enough.
    words: Bucket,
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
        let quota_of = |policy: Policy| NonZeroU32::new(quota_of(policy)).unwrap_or(NonZeroU32::MIN);
        let limit = |policy: Policy| {
            let quota = quota_of(policy);
            let name = policy.terms().0;
            let text = format!("\"{name}\";q={quota};w={WINDOW_SECONDS}");
            Limit {
                name,
                quota: quota.get(),
                policy: HeaderValue::from_str(&text).unwrap_or(HeaderValue::from_static("")),
                bucket: bucket(quota),
            }
        };
        Self {
            limits: Policy::LIMITED.into_iter().map(limit).collect(),
            refusals: bucket(quota_of(Policy::Refused)),
            words: bucket(NonZeroU32::MIN),
            hasher: RandomState::new(),
            checks: AtomicU32::new(0),
            clock: DefaultClock::default(),
        }
    }

    /// Counts a refused attempt (a wrong credential, a wrong signature) and says whether its answer is to wait.
    pub fn refused(&self, address: IpAddr) -> bool {
        self.forget_now_and_then(&self.refusals);
        let key = self.hasher.hash_one(household(address));
        if self.refusals.check_key(&key).is_ok() {
            return false;
        }
        self.forget_now_and_then(&self.words);
        if self.words.check_key(&key).is_ok() {
            tracing::warn!(client.address = %address, attempts = REFUSALS_MAX,
                "an address was refused more often in a minute than a mistake explains; its refusals are slowed");
        }
        true
    }

    fn forget_now_and_then(&self, bucket: &Bucket) {
        if self.checks.fetch_add(1, Ordering::Relaxed) % FORGET_EVERY == FORGET_EVERY - 1 {
            bucket.retain_recent();
        }
    }

    /// Draws one request of `caller` from the bucket of `policy`: the headers of the answer, or the refusal with them.
    pub fn draw(&self, policy: Policy, caller: &str) -> Result<Option<Drawn>, Box<(Problem, Drawn)>> {
        let at = Policy::LIMITED.iter().position(|limited| *limited == policy);
        let Some(limit) = at.and_then(|at| self.limits.get(at)) else {
            return Ok(None);
        };
        self.forget_now_and_then(&limit.bucket);
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

/// A bucket for each caller.
fn bucket(per_minute: NonZeroU32) -> Bucket {
    RateLimiter::dashmap(Quota::per_minute(per_minute)).with_middleware()
}

/// Whom an address counts for: of IPv6, the network that one customer of a provider is given.
#[must_use]
pub const fn household(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(four) => four.to_ipv6_mapped().to_bits(),
        IpAddr::V6(six) => six.to_bits() >> 64 << 64,
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
    fn refusals_of_one_address_are_slowed_one_over_their_bound() {
        let limits = RateLimits::default();
        let guesser: IpAddr = "192.0.2.7".parse().unwrap();
        for attempt in 1..=REFUSALS_MAX + 2 {
            assert_eq!(limits.refused(guesser), attempt > REFUSALS_MAX, "{attempt}");
        }
        assert!(!limits.refused("192.0.2.8".parse().unwrap()), "another address is not");
        let of_network = |host: u32| format!("2001:db8:0:1::{host:x}").parse().unwrap();
        let slowed = (0..=REFUSALS_MAX)
            .filter(|host| limits.refused(of_network(*host)))
            .count();
        assert_eq!(slowed, 1, "a network of IPv6 is one address");
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

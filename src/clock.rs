//! Where the service gets its time from: the system, or a test.

use std::fmt;
use std::sync::Arc;

use aggregates::time::Timestamp;

/// A source of "now", cheap to clone.
#[derive(Clone)]
pub struct Clock(Arc<dyn Fn() -> Timestamp + Send + Sync>);

impl Clock {
    /// The machine's clock, UTC.
    #[must_use]
    pub fn system() -> Self {
        Self::from_fn(|| Timestamp::from_chrono(chrono::Utc::now()))
    }

    /// Any other source.
    #[must_use]
    pub fn from_fn(now: impl Fn() -> Timestamp + Send + Sync + 'static) -> Self {
        Self(Arc::new(now))
    }

    /// The present instant.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        (self.0)()
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Clock({})", self.now())
    }
}

//! The sandbox-wide clock: it runs with the machine's, possibly ahead of it, or stands until it is moved.

use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

/// How the clock goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// With the machine's clock, this many milliseconds ahead.
    Real {
        /// Milliseconds ahead.
        ahead_ms: i64,
    },
    /// Stands at this instant.
    Fixed {
        /// Milliseconds since 1970.
        at_ms: i64,
    },
}

/// The clock.
#[derive(Debug, Serialize, Deserialize)]
pub struct Clock {
    mode: Mode,
    /// While due work runs, it is the moment at which that was due.
    #[serde(skip)]
    pinned: Option<i64>,
}

impl Clock {
    /// A clock.
    #[must_use]
    pub fn new(mode: Mode) -> Self {
        Self { mode, pinned: None }
    }

    /// Seconds since 1970.
    #[must_use]
    pub fn now(&self) -> i64 {
        self.pinned.unwrap_or_else(|| self.now_ms().div_euclid(1000))
    }

    /// Milliseconds since 1970, for deliveries.
    #[must_use]
    pub fn now_ms(&self) -> i64 {
        match self.mode {
            Mode::Real { ahead_ms } => machine_ms().saturating_add(ahead_ms),
            Mode::Fixed { at_ms } => at_ms,
        }
    }

    /// How it goes.
    #[must_use]
    pub fn mode(&self) -> Mode {
        self.mode
    }

    pub(crate) fn set_ms(&mut self, to_ms: i64) {
        self.mode = match self.mode {
            Mode::Real { .. } => Mode::Real {
                ahead_ms: to_ms.saturating_sub(machine_ms()),
            },
            Mode::Fixed { .. } => Mode::Fixed { at_ms: to_ms },
        };
    }

    pub(crate) fn stop(&mut self) {
        self.mode = Mode::Fixed { at_ms: self.now_ms() };
    }

    pub(crate) fn run(&mut self) {
        let ahead_ms = self.now_ms().saturating_sub(machine_ms());
        self.mode = Mode::Real { ahead_ms };
    }

    pub(crate) fn pin(&mut self, at: Option<i64>) {
        self.pinned = at;
    }
}

fn machine_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

#[test]
fn a_fixed_clock_stands_and_a_running_one_keeps_its_lead() {
    let mut clock = Clock::new(Mode::Fixed { at_ms: 5_000 });
    assert_eq!((clock.now(), clock.now_ms()), (5, 5_000));
    clock.pin(Some(3));
    assert_eq!((clock.now(), clock.now_ms()), (3, 5_000));
    clock.pin(None);
    clock.set_ms(9_500);
    assert_eq!(clock.now(), 9);
    let mut clock = Clock::new(Mode::Real { ahead_ms: 0 });
    let lead = 10_000_000_000;
    clock.set_ms(machine_ms() + lead);
    assert!(clock.now_ms() >= machine_ms() + lead - 1);
}

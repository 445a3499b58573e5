//! How many deliveries wait to become durable at this moment: what tells a burst from a steady stream.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// More than so many at once are a burst: more come than are stored. A stream that the store keeps up with leaves
/// fewer waiting, however fast it is (requests waiting = rate x time to store one).
const BURST: usize = 24;

/// The count. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Pressure(Arc<AtomicUsize>);

/// One delivery that waits, until it is dropped.
pub(crate) struct Pressing(Pressure);

impl Pressure {
    pub(super) fn enter(&self) -> Pressing {
        self.0.fetch_add(1, Ordering::Relaxed);
        Pressing(self.clone())
    }

    /// Do more come than are stored?
    #[must_use]
    pub fn is_high(&self) -> bool {
        self.0.load(Ordering::Relaxed) > BURST
    }
}

impl Drop for Pressing {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
impl Pressure {
    /// A burst that lasts until what this gives is dropped.
    pub(crate) fn burst(&self) -> Vec<Pressing> {
        (0..=BURST).map(|_| self.enter()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deliveries_press_while_they_wait() {
        let pressure = Pressure::default();
        let waiting: Vec<Pressing> = (0..BURST).map(|_| pressure.enter()).collect();
        assert!(!pressure.is_high());
        let one_more = pressure.enter();
        assert!(pressure.is_high());
        drop(one_more);
        assert!(!pressure.is_high());
        drop(waiting);
    }
}

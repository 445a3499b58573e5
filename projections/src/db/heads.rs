//! The last committed position of each part, as this process knows it, and who waits for it to move.

use std::sync::Arc;

use tokio::sync::watch;

/// Heads known to this process; cheap to clone.
#[derive(Clone)]
pub struct Heads {
    parts: Arc<[watch::Sender<u64>]>,
    any: watch::Sender<u64>,
}

impl Heads {
    pub(super) fn new(positions: &[u64]) -> Self {
        Self {
            parts: positions.iter().map(|at| watch::channel(*at).0).collect(),
            any: watch::channel(0).0,
        }
    }

    /// Told after COMMIT: `part` has events up to `position`.
    pub fn publish(&self, part: u32, position: u64) {
        let Some(head) = usize::try_from(part).ok().and_then(|at| self.parts.get(at)) else {
            return;
        };
        let moved = head.send_if_modified(|known| {
            let newer = position > *known;
            if newer {
                *known = position;
            }
            newer
        });
        if moved {
            self.any.send_modify(|count| *count = count.wrapping_add(1));
        }
    }

    /// Follows one part.
    #[must_use]
    pub fn watch(&self, part: u32) -> Option<watch::Receiver<u64>> {
        Some(self.parts.get(usize::try_from(part).ok()?)?.subscribe())
    }

    /// Follows all parts: the number changes whenever some head moved.
    #[must_use]
    pub fn watch_any(&self) -> watch::Receiver<u64> {
        self.any.subscribe()
    }

    /// The last position this process knows of; 0 for an empty or unknown part.
    #[must_use]
    pub fn known(&self, part: u32) -> u64 {
        let head = usize::try_from(part).ok().and_then(|at| self.parts.get(at));
        head.map_or(0, |head| *head.borrow())
    }
}

//! What this process knows about how far the views are: asked by every read, told by the loop.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use aggregates::time::Timestamp;
use tokio::sync::watch;

use crate::db::Db;
use crate::table::Slot;
use crate::views::View;

/// Every how long a waiter looks although nobody told it: another process may do the folding.
const LOOK_AGAIN: Duration = Duration::from_millis(50);
/// The heads are looked at four times a second; after this long without a look an answer says that it may be stale.
const LOOKS_MISSED_MICROS: i64 = 1_000_000;
/// No event of the part waits for the views.
const NOTHING_WAITS: i64 = i64::MAX;

/// How far a view is in one part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Freshness {
    /// The part.
    pub part: u32,
    /// Everything up to here is in the answer.
    pub position: u64,
    /// Microseconds since the first event of the part that is not in it was recorded; 0 when there is none.
    pub age_micros: u64,
}

impl Freshness {
    /// Whole seconds, rounded up: an answer is never staler than it says.
    #[must_use]
    pub const fn age_seconds(&self) -> u64 {
        self.age_micros.div_ceil(1_000_000)
    }
}

/// Shared; cheap to clone.
#[derive(Clone)]
pub struct Progress(Arc<Shared>);

struct Shared {
    parts: Vec<PartProgress>,
    /// Slot readers use, by view.
    active: Vec<AtomicU64>,
    moved: watch::Sender<u64>,
    /// When the heads were last looked at, in microseconds.
    looked_at: AtomicI64,
    clock: Clock,
}

struct PartProgress {
    head: AtomicU64,
    views: Vec<ViewProgress>,
}

struct ViewProgress {
    position: AtomicU64,
    /// When the first event that waits was recorded, in microseconds.
    waiting_since: AtomicI64,
}

/// Tells the time. An argument, so that a test can replay a year.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

impl Progress {
    pub(crate) fn new(parts: u32, clock: Clock) -> Self {
        let view = || ViewProgress {
            position: AtomicU64::new(0),
            waiting_since: AtomicI64::new(NOTHING_WAITS),
        };
        let part = || PartProgress {
            head: AtomicU64::new(0),
            views: View::ALL.iter().map(|_| view()).collect(),
        };
        Self(Arc::new(Shared {
            parts: (0..parts).map(|_| part()).collect(),
            active: View::ALL.iter().map(|_| AtomicU64::new(0)).collect(),
            moved: watch::channel(0).0,
            looked_at: AtomicI64::new(clock().micros()),
            clock,
        }))
    }

    /// The time.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        (self.0.clock)()
    }

    /// The slot readers of a view use.
    #[must_use]
    pub fn slot(&self, view: View) -> Slot {
        Slot::from(self.0.active[view.index()].load(Ordering::Acquire) != 0)
    }

    fn part(&self, part: u32) -> Option<&PartProgress> {
        self.0.parts.get(usize::try_from(part).ok()?)
    }

    fn view(&self, view: View, part: u32) -> Option<&ViewProgress> {
        self.part(part).map(|it| &it.views[view.index()])
    }

    /// The slot readers use, and how far its rows are in a part: the slot is looked at before and after, so that both
    /// speak of the same rows.
    #[must_use]
    pub fn slot_and_freshness(&self, view: View, part: u32) -> (Slot, Freshness) {
        loop {
            let slot = self.slot(view);
            let freshness = self.freshness(view, part);
            if self.slot(view) == slot {
                return (slot, freshness);
            }
        }
    }

    /// How far a view is in a part.
    #[must_use]
    pub fn freshness(&self, view: View, part: u32) -> Freshness {
        let Some(known) = self.view(view, part) else {
            return Freshness {
                part,
                position: 0,
                age_micros: 0,
            };
        };
        // The wait is read first: a commit in between makes the answer fresher than it says, never staler.
        let since = known.waiting_since.load(Ordering::Acquire);
        let position = known.position.load(Ordering::Acquire);
        let now = self.now().micros();
        let looked = self.0.looked_at.load(Ordering::Acquire);
        let unseen = now.saturating_sub(looked);
        let waited = if since == NOTHING_WAITS {
            0
        } else {
            now.saturating_sub(since)
        };
        // A store that cannot be asked may hold events nobody saw.
        let age = if unseen > LOOKS_MISSED_MICROS {
            waited.max(unseen)
        } else {
            waited
        };
        Freshness {
            part,
            position,
            age_micros: u64::try_from(age).unwrap_or(0),
        }
    }

    /// Waits until the view holds `position` of `part`: true if it does in time.
    pub async fn wait_for(&self, view: View, part: u32, position: u64, timeout: Duration) -> bool {
        let until = tokio::time::Instant::now() + timeout;
        let mut moved = self.0.moved.subscribe();
        loop {
            if self.freshness(view, part).position >= position {
                return true;
            }
            let now = tokio::time::Instant::now();
            if now >= until {
                return false;
            }
            let look = (until - now).min(LOOK_AGAIN);
            let _ = tokio::time::timeout(look, moved.changed()).await;
        }
    }

    /// Changes whenever any view has moved.
    #[must_use]
    pub fn watch_moved(&self) -> watch::Receiver<u64> {
        self.0.moved.subscribe()
    }

    /// Head of a part as last seen.
    #[must_use]
    pub fn head(&self, part: u32) -> u64 {
        self.part(part).map_or(0, |it| it.head.load(Ordering::Acquire))
    }

    /// Takes the heads this process knows of: what it has just appended counts before the loop has had its turn.
    pub fn see_known_heads(&self, db: &Db) {
        let since = self.looked_at();
        for part in 0..db.parts() {
            self.see_head(part, db.heads().known(part), since);
        }
    }

    /// Events of all parts that wait for the view.
    #[must_use]
    pub fn lag(&self, view: View) -> u64 {
        let of = |part: &PartProgress| {
            let position = part.views[view.index()].position.load(Ordering::Acquire);
            part.head.load(Ordering::Acquire).saturating_sub(position)
        };
        self.0.parts.iter().map(of).sum()
    }

    /// Age of the oldest event that waits for the view, in microseconds; 0 when none does.
    #[must_use]
    pub fn oldest_wait_micros(&self, view: View) -> u64 {
        let parts = 0..u32::try_from(self.0.parts.len()).unwrap_or(0);
        parts
            .map(|part| self.freshness(view, part).age_micros)
            .max()
            .unwrap_or(0)
    }

    /// The head of a part was seen at `head`. What waits now was recorded no earlier than the last look at it.
    pub(crate) fn see_head(&self, part: u32, head: u64, recorded_since: Timestamp) {
        let Some(known) = self.part(part) else { return };
        known.head.fetch_max(head, Ordering::AcqRel);
        for view in &known.views {
            if view.position.load(Ordering::Acquire) < head {
                view.waiting_since.fetch_min(recorded_since.micros(), Ordering::AcqRel);
            }
        }
    }

    /// The view moved to `position`; the event it folded last was recorded at `last_recorded`.
    pub(crate) fn advance(&self, view: View, part: u32, position: u64, last_recorded: Timestamp) {
        let Some(known) = self.view(view, part) else { return };
        known.position.fetch_max(position, Ordering::AcqRel);
        let waits = position < self.head(part);
        let since = if waits { last_recorded.micros() } else { NOTHING_WAITS };
        known.waiting_since.store(since, Ordering::Release);
    }

    /// Readers are about to use rows that hold no more than `position`.
    pub(crate) fn step_back(&self, view: View, part: u32, position: u64) {
        if let Some(known) = self.view(view, part) {
            known.position.fetch_min(position, Ordering::AcqRel);
        }
    }

    /// The checkpoint was found at `position` without this loop having moved it, or readers changed slots; the first
    /// event that waits was recorded at `waiting`, none waits without.
    pub(crate) fn found(&self, view: View, part: u32, position: u64, waiting: Option<Timestamp>) {
        let Some(known) = self.view(view, part) else { return };
        known.position.store(position, Ordering::Release);
        known
            .waiting_since
            .store(waiting.map_or(NOTHING_WAITS, Timestamp::micros), Ordering::Release);
    }

    /// All heads were looked at, at this time.
    pub(crate) fn looked(&self, at: Timestamp) {
        self.0.looked_at.store(at.micros(), Ordering::Release);
    }

    /// When the heads were last looked at.
    pub(crate) fn looked_at(&self) -> Timestamp {
        Timestamp::from_micros(self.0.looked_at.load(Ordering::Acquire)).unwrap_or(Timestamp::EPOCH)
    }

    pub(crate) fn use_slot(&self, view: View, slot: Slot) {
        self.0.active[view.index()].store(u64::from(slot), Ordering::Release);
    }

    /// Wakes whoever waits.
    pub(crate) fn announce(&self) {
        self.0.moved.send_modify(|count| *count = count.wrapping_add(1));
    }
}

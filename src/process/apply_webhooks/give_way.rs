//! In a burst receipts come first: Stripe waits for an acknowledgement, and nobody waits for the rest.
//!
//! While more deliveries come than are stored, the lanes stand still and leave the store and the cores to them; what
//! does not fit into the lanes waits in the table. Promise: they stand still and work by turns ([`turns`]), so a burst
//! without end slows the views down and never stops them.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use projections::db::StoreKind;
use tokio::time::Instant;

use crate::inbox::Pressure;

/// How a burst without end is shared.
#[derive(Clone, Copy)]
struct Turns {
    /// Longest time the lanes stand still.
    hold: Duration,
    /// Shortest time they work afterwards.
    work: Duration,
}

/// On Postgres a burst of 50,000 deliveries is stored before the lanes go on (measured on two cores). On SQLite what
/// waits in the table is read once more from the file that is written, so standing still costs throughput: there it is
/// as long as acknowledging needs to beat single inserts, and no longer.
const fn turns(store: StoreKind) -> Turns {
    let (hold, work) = match store {
        StoreKind::Sqlite => (300, 1_000),
        StoreKind::Postgres => (4_000, 400),
    };
    Turns {
        hold: Duration::from_millis(hold),
        work: Duration::from_millis(work),
    }
}

/// How often they look whether the burst is over.
const LOOK: Duration = Duration::from_millis(5);

/// Where the lanes stand.
#[derive(Clone, Copy, Debug, Default)]
enum Stand {
    /// Nothing presses.
    #[default]
    Free,
    /// Still since then.
    Held(Instant),
    /// At work until then, whatever comes.
    Working(Instant),
}

/// One for all lanes of a process.
pub(super) struct GiveWay {
    pressure: Pressure,
    turns: Turns,
    stand: Mutex<Stand>,
}

impl GiveWay {
    pub(super) const fn new(pressure: Pressure, store: StoreKind) -> Self {
        Self {
            pressure,
            turns: turns(store),
            stand: Mutex::new(Stand::Free),
        }
    }

    /// Returns when the lanes may work.
    pub(super) async fn wait(&self) {
        while !self.may_work() {
            tokio::time::sleep(LOOK).await;
        }
    }

    fn may_work(&self) -> bool {
        // A plain value: whole whenever the lock is free.
        let mut stand = self.stand.lock().unwrap_or_else(PoisonError::into_inner);
        *stand = next(*stand, self.pressure.is_high(), self.turns, Instant::now());
        !matches!(*stand, Stand::Held(_))
    }
}

fn next(stand: Stand, presses: bool, turns: Turns, now: Instant) -> Stand {
    match stand {
        Stand::Working(until) if now < until => stand,
        Stand::Held(since) if presses && now < since + turns.hold => stand,
        Stand::Held(_) if presses => Stand::Working(now + turns.work),
        Stand::Free | Stand::Working(_) if presses => Stand::Held(now),
        Stand::Free | Stand::Held(_) | Stand::Working(_) => Stand::Free,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TURNS: Turns = Turns {
        hold: Duration::from_secs(2),
        work: Duration::from_millis(400),
    };

    #[test]
    fn a_burst_holds_the_lanes_up_and_its_end_lets_them_go() {
        let pressure = Pressure::default();
        let way = GiveWay::new(pressure.clone(), StoreKind::Sqlite);
        assert!(way.may_work());
        let held = pressure.burst();
        assert!(!way.may_work());
        drop(held);
        assert!(way.may_work());
    }

    #[test]
    fn a_burst_without_end_slows_the_lanes_down_and_never_stops_them() {
        let begin = Instant::now();
        let at = |millis: u64| begin + Duration::from_millis(millis);
        let mut stand = Stand::Free;
        let mut worked = 0;
        for millis in 0..48_000 {
            stand = next(stand, true, TURNS, at(millis));
            worked += u32::from(!matches!(stand, Stand::Held(_)));
        }
        // 20 turns of 2,000 ms still and 400 ms at work, each seen within its first millisecond.
        assert!((7_900..=8_100).contains(&worked), "{worked} ms of 48,000");
    }

    #[test]
    fn work_that_was_begun_is_not_cut_short() {
        let now = Instant::now();
        let until = now + TURNS.work;
        assert!(matches!(
            next(Stand::Working(until), true, TURNS, now),
            Stand::Working(_)
        ));
        assert!(matches!(
            next(Stand::Working(until), true, TURNS, until),
            Stand::Held(_)
        ));
        assert!(matches!(next(Stand::Working(until), false, TURNS, until), Stand::Free));
    }
}

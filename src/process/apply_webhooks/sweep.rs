//! Leftovers: receipts that an overflow, a crash, a failure or a missing name left without an outcome.

use std::sync::Arc;
use std::time::Duration;

use projections::db::DbError;

use super::Worker;
use super::lanes::Arrival;
use crate::inbox::store::DUE_PAGE;
use crate::inbox::{Due, ReceiptKey, Settlement, State};
use crate::stripe::envelope::Envelope;

/// How often a process looks for leftovers.
const SWEEP_EVERY: Duration = Duration::from_secs(1);

impl Worker {
    /// Looks at once, then every second, and when there is room for what an overflow left in the table. A full page is
    /// followed by the next one without waiting.
    pub(super) async fn sweep_loop(self: Arc<Self>) {
        loop {
            let left_out = self.lanes.take_left_out();
            match self.sweep(left_out).await {
                // More of the same kind is waiting, and there is room or will be.
                Ok(is_full) if is_full && left_out => self.lanes.leave_out(),
                Ok(is_full) if is_full => {
                    tokio::task::yield_now().await;
                    continue;
                }
                Ok(_) => {}
                Err(error) => {
                    if left_out {
                        self.lanes.leave_out();
                    }
                    tracing::warn!(error = %error, "leftovers could not be looked for; trying again");
                    tokio::time::sleep(SWEEP_EVERY).await;
                }
            }
            tokio::select! {
                () = tokio::time::sleep(SWEEP_EVERY) => {}
                () = self.lanes.wants_refill() => {}
            }
        }
    }

    /// One page, new receipts before their time if this process left some out; tells whether there may be more.
    async fn sweep(&self, left_out: bool) -> Result<bool, DbError> {
        let (mut rows, mut bytes) = self.lanes.room();
        let held = (self.held)();
        if rows == 0 || held.is_empty() {
            return Ok(left_out);
        }
        // Those being worked on are among the oldest.
        let limit = self.lanes.len() + if left_out { rows.max(DUE_PAGE) } else { DUE_PAGE };
        let due = self.receipts.due(&held, self.clock.now(), left_out, limit).await?;
        let mut more = due.len() >= limit;
        let mut keys = Vec::new();
        for one in due {
            // A body larger than all the room there is goes alone.
            if rows == 0 || (one.bytes > bytes && !keys.is_empty()) {
                more = true;
                break;
            }
            if !self.lanes.holds(&one.key) {
                rows -= 1;
                bytes = bytes.saturating_sub(one.bytes);
                keys.push(one.key);
            }
        }
        for page in keys.chunks(DUE_PAGE) {
            self.bring_back(page).await?;
        }
        Ok(more)
    }

    /// Reads the bodies of receipts and lets them in.
    pub(super) async fn bring_back(&self, keys: &[ReceiptKey]) -> Result<(), DbError> {
        let mut arrivals = Vec::with_capacity(keys.len());
        let mut erased = Vec::new();
        for due in self.receipts.bodies(keys).await? {
            match due.body {
                Some(_) => arrivals.extend(arrival(due)),
                None => erased.push(Settlement::of(
                    due.key,
                    State::Discarded,
                    Some("its body was erased before it was worked on".to_owned()),
                )),
            }
        }
        if !erased.is_empty() {
            self.receipts.settle(&erased, self.clock.now()).await?;
        }
        self.lanes.let_in(arrivals);
        Ok(())
    }
}

fn arrival(due: Due) -> Option<Arrival> {
    let body = due.body?;
    let mut envelope = Envelope::scan(&body);
    // A masked body without an id of its own is known by the digest of the original.
    envelope.event_id = due.key.event.clone();
    Some(Arrival {
        envelope,
        key: due.key,
        body,
        attempts: due.attempts,
        was_parked: due.state == State::Parked,
    })
}

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
    /// Looks at once, then every second; a full page is followed by the next one without waiting.
    pub(super) async fn sweep_loop(self: Arc<Self>) {
        loop {
            match self.sweep().await {
                Ok(found) if found >= usize::from(DUE_PAGE) => tokio::task::yield_now().await,
                Ok(_) => tokio::time::sleep(SWEEP_EVERY).await,
                Err(error) => {
                    tracing::warn!(error = %error, "leftovers could not be looked for; trying again");
                    tokio::time::sleep(SWEEP_EVERY).await;
                }
            }
        }
    }

    /// One page; gives how many receipts were taken in.
    async fn sweep(&self) -> Result<usize, DbError> {
        let (mut rows, mut bytes) = self.lanes.room();
        let held = (self.held)();
        if rows == 0 || held.is_empty() {
            return Ok(0);
        }
        let due = self.receipts.due(&held, self.clock.now(), self.lanes.len()).await?;
        let mut keys = Vec::new();
        for one in due {
            // A body larger than all the room there is goes alone.
            if rows == 0 || (one.bytes > bytes && !keys.is_empty()) {
                break;
            }
            if !self.lanes.holds(&one.key) {
                rows -= 1;
                bytes = bytes.saturating_sub(one.bytes);
                keys.push(one.key);
            }
        }
        self.bring_back(&keys).await
    }

    /// Reads the bodies of receipts and lets them in.
    pub(super) async fn bring_back(&self, keys: &[ReceiptKey]) -> Result<usize, DbError> {
        if keys.is_empty() {
            return Ok(0);
        }
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
        let count = arrivals.len();
        let left_out = self.lanes.let_in(arrivals);
        Ok(count - left_out)
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

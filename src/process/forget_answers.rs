//! Answers kept for Idempotency-Keys go when their time is over, so that their table does not grow for ever. What the
//! commands did stays done once: that rests on the inbox marks, which are never forgotten.

use std::time::Duration;

use projections::db::{Db, DbError};
use tokio::task::JoinHandle;

use super::HeldParts;
use crate::clock::Clock;
use crate::ledger::{FORGET_MAX, forget_expired};

/// How often a process looks. An answer is kept 30 days; an hour more or less is nobody's concern.
const LOOK_EVERY: Duration = Duration::from_secs(3_600);
/// Pause before the next look when the store could not be asked, or no part is held yet.
const LOOK_AGAIN: Duration = Duration::from_secs(10);

/// The running duty of a process.
pub struct ForgetAnswers(JoinHandle<()>);

impl ForgetAnswers {
    /// Looks at once, then every hour, in the parts this process holds.
    #[must_use]
    pub fn start(db: Db, held: HeldParts, clock: Clock) -> Self {
        Self(tokio::spawn(async move {
            loop {
                let parts = held();
                let pause = match forget(&db, &parts, &clock).await {
                    Ok(_) if parts.is_empty() => LOOK_AGAIN,
                    Ok(0) => LOOK_EVERY,
                    Ok(count) => {
                        tracing::info!(count, "stored answers expired and were dropped");
                        LOOK_EVERY
                    }
                    Err(error) => {
                        tracing::warn!(error = %error, "expired answers could not be dropped; trying again");
                        LOOK_AGAIN
                    }
                };
                tokio::time::sleep(pause).await;
            }
        }))
    }

    /// Ends it. A statement under way is rolled back or done; either is right.
    pub async fn stop(self) {
        self.0.abort();
        let _ = self.0.await;
    }
}

async fn forget(db: &Db, parts: &[u32], clock: &Clock) -> Result<u64, DbError> {
    let mut count = 0;
    for part in parts {
        loop {
            let dropped = forget_expired(db, *part, clock.now()).await?;
            count += dropped;
            if dropped < u64::from(FORGET_MAX) {
                break;
            }
        }
    }
    Ok(count)
}

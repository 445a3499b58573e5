//! Repeating an append with the same bytes.

use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBuilder};

use super::LedgerError;

/// Tries in all; with the pauses below they end inside about two seconds.
const TRIES: usize = 5;
const PAUSE_FIRST: Duration = Duration::from_millis(50);
const PAUSE_MAX: Duration = Duration::from_millis(800);

/// Runs `attempt` until it succeeds, fails in a way that repeating cannot heal, or the tries are used up. A lost
/// answer to COMMIT is repeated too: the inbox mark then tells what happened, and waits for a backend that is still
/// committing. Looking first and then deciding would not.
pub(super) async fn with_same_bytes<T, F, Fut>(mut attempt: F) -> Result<T, LedgerError>
where
    F: FnMut(u32) -> Fut,
    Fut: Future<Output = Result<T, LedgerError>>,
{
    let mut pauses = ExponentialBuilder::new()
        .with_min_delay(PAUSE_FIRST)
        .with_max_delay(PAUSE_MAX)
        .with_max_times(TRIES - 1)
        .with_jitter()
        .build();
    let mut tried = 0;
    loop {
        let error = match attempt(tried).await {
            Err(LedgerError::Db(error)) if error.is_repeatable() => error,
            done => return done,
        };
        tried += 1;
        let Some(pause) = pauses.next() else {
            return Err(LedgerError::Db(error));
        };
        tracing::debug!(
            class = error.class.as_str(),
            tried,
            "an append is repeated with the same bytes"
        );
        tokio::time::sleep(pause).await;
    }
}

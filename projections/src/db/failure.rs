//! The failure after which this process must stop: a SQLite file that could not be read, written or synced.
//!
//! There is one for the process, because the answer is the end of the process, whoever met the failure first: the
//! writer, a view, or a request that only reads.

use std::sync::LazyLock;

use tokio::sync::watch;

use super::error::DbError;

static FIRST: LazyLock<watch::Sender<Option<DbError>>> = LazyLock::new(|| watch::Sender::new(None));

/// Keeps the first failure and wakes whoever waits for one.
pub(super) fn tell(error: &DbError) {
    FIRST.send_if_modified(|first| {
        let is_first = first.is_none();
        if is_first {
            *first = Some(error.clone());
        }
        is_first
    });
}

/// The first failure, if there was one.
pub(super) fn seen() -> Option<DbError> {
    FIRST.borrow().clone()
}

/// Ends with the first failure; without one, never.
pub(super) async fn told() -> DbError {
    let mut seen = FIRST.subscribe();
    if let Ok(first) = seen.wait_for(Option::is_some).await
        && let Some(error) = first.clone()
    {
        return error;
    }
    std::future::pending().await
}

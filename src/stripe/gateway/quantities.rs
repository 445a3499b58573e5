//! Stripe's limit on changes of quantity: at most 200 an hour on one subscription.
//!
//! Changes are sent at least [`APART_SECONDS`] apart, so that of many clicks only the newest wanted quantity is sent; the
//! domain says which intent stands for which. No clock and no store: the caller says when changes were sent, as the log
//! has it, so the limit holds across restarts and processes.

use aggregates::time::Timestamp;

/// Seconds between two changes of one subscription.
pub const APART_SECONDS: i64 = 20;
/// Changes of one subscription in any hour: Stripe's limit.
pub const HOURLY_MAX: usize = 200;
const HOUR_SECONDS: i64 = 3_600;

/// When the next change of a subscription may be sent, after those that were sent at these times.
#[must_use]
pub fn free_at(sent: &[Timestamp]) -> Timestamp {
    let mut sent = sent.to_vec();
    sent.sort_unstable();
    let apart = sent.last().map(|last| last.plus_seconds(APART_SECONDS));
    let oldest_of_full_hour = sent.len().checked_sub(HOURLY_MAX).and_then(|at| sent.get(at));
    let hourly = oldest_of_full_hour.map(|oldest| oldest.plus_seconds(HOUR_SECONDS));
    apart.max(hourly).unwrap_or(Timestamp::MIN)
}

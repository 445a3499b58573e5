//! Named places where a test may stop the process, and planted faults that a test must find.
//!
//! Without the features `failpoints` and `mutants` both compile to nothing.

/// Every place, with what has happened when the process reaches it.
pub const FAILPOINTS: &[(&str, &str)] = &[
    ("receive.before-insert", "a signed body was read, nothing is stored"),
    (
        "receive.after-insert",
        "the receipt rows are written, COMMIT was not sent",
    ),
    (
        "receive.after-commit",
        "the receipt is durable, the answer 200 was not sent",
    ),
    ("append.after-begin", "the transaction is open"),
    ("append.after-marks", "the inbox marks are written, no event is"),
    (
        "append.after-events",
        "events, head, outbox and inbox outcome are written, COMMIT was not sent",
    ),
    ("append.after-commit", "the append is durable, nobody was told"),
    (
        "apply.after-claim",
        "streams and names are claimed in the directory, nothing is recorded",
    ),
    (
        "calls.after-claim",
        "an intent's row is claimed, its calls are not computed",
    ),
    ("calls.before-send", "a call is stored, nothing was sent"),
    ("calls.after-send", "Stripe has answered, the answer is not recorded"),
    ("calls.after-record", "the answer is an event, the row is still open"),
    ("settle.before", "the append is durable, the receipt still says new"),
    ("settle.after", "the receipt says what became of it"),
    (
        "writer.before-commit",
        "SQLite: a group of jobs is done, COMMIT was not sent",
    ),
    ("writer.after-commit", "SQLite: the group is durable, nobody was told"),
    ("projection.before-flush", "a page was folded, nothing is written"),
    (
        "projection.after-checkpoint",
        "the checkpoints of a page are moved, its rows are not written",
    ),
    (
        "projection.after-rows",
        "checkpoints and rows of a page are written, COMMIT was not sent",
    ),
    ("projection.after-flush", "rows and checkpoint are durable"),
    ("rebuild.after-part", "one part of a rebuild is filled"),
    (
        "rebuild.before-swap",
        "the other slot is complete, readers still use the old one",
    ),
    ("rebuild.after-swap", "readers use the new slot"),
];

/// Every planted fault, with the promise it breaks.
pub const MUTANTS: &[(&str, &str)] = &[
    ("ack-before-commit", "an acknowledged write is durable"),
    ("skip-inbox-mark", "one key has one effect"),
    (
        "position-taken-early",
        "positions are in commit order, so a reader never passes one it has not seen",
    ),
    (
        "conflict-is-success",
        "a taken sequence number is never answered as recorded",
    ),
    ("retry-without-key", "an append is sent again only under its key"),
    ("savepoint-leak", "a failing job leaves nothing behind"),
    ("key-reuse-ignored", "one key means one request"),
    (
        "hash-without-lengths",
        "two different events never have one content hash",
    ),
    ("events-updatable", "events are never changed"),
    ("full-is-bug", "a full disk refuses writes and keeps reads"),
    ("lock-file-ignored", "one process writes a SQLite ledger"),
    (
        "stale-fence-accepted",
        "a worker that lost its lease cannot settle an effect",
    ),
    (
        "checkpoint-without-compare",
        "a view is never folded twice over one event",
    ),
    (
        "late-snapshot-skipped",
        "a view rests on every snapshot, whatever the name its event got by arriving when it did",
    ),
    (
        "settle-before-append",
        "an outcome is written after what it says is durable",
    ),
    ("synchronous-normal", "an acknowledged write survives a power cut"),
    (
        "failed-sync-trusted",
        "what a failed sync may have lost is written again before anything is built on it",
    ),
    (
        "failed-sync-survived",
        "after a failed sync nothing is written, synced or acknowledged any more",
    ),
];

/// Stops the process here, as a power cut would, when `SUBLEDGER_FAILPOINT` names this place.
/// `name:3` stops at the third passing.
#[cfg(feature = "failpoints")]
pub fn reach(name: &str) {
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicU64, Ordering};
    static WANTED: OnceLock<Option<(String, u64)>> = OnceLock::new();
    static PASSED: AtomicU64 = AtomicU64::new(0);
    debug_assert!(
        FAILPOINTS.iter().any(|(known, _)| *known == name),
        "unlisted failpoint {name}"
    );
    let wanted = WANTED.get_or_init(|| {
        let text = std::env::var("SUBLEDGER_FAILPOINT").ok()?;
        Some(match text.split_once(':') {
            Some((place, nth)) => (place.to_owned(), nth.parse().unwrap_or(1)),
            None => (text, 1),
        })
    });
    if let Some((place, nth)) = wanted
        && place == name
        && PASSED.fetch_add(1, Ordering::SeqCst) + 1 == *nth
    {
        std::process::abort();
    }
}

/// Nothing: this build has no failpoints.
#[cfg(not(feature = "failpoints"))]
#[inline(always)]
pub fn reach(_name: &str) {}

/// Is this planted fault switched on by `SUBLEDGER_MUTANT`?
#[cfg(feature = "mutants")]
#[must_use]
pub fn mutant(name: &str) -> bool {
    debug_assert!(
        MUTANTS.iter().any(|(known, _)| *known == name),
        "unlisted mutant {name}"
    );
    std::env::var("SUBLEDGER_MUTANT").is_ok_and(|wanted| wanted == name)
}

/// Never: this build has no planted faults.
#[cfg(not(feature = "mutants"))]
#[inline(always)]
#[must_use]
pub fn mutant(_name: &str) -> bool {
    false
}

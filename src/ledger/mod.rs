//! Writing to the log. Everything that becomes an event passes `append`.
//!
//! Flow: the caller loads streams, decides in memory and hands over items; `append` prepares every byte once
//! (`batch`), then in one transaction marks the inbox, writes side rows, and as the last statement before COMMIT takes
//! positions from the head and inserts events (`postgres`, `sqlite`). Failures are sorted and repeated by `retry`.
//!
//! Promise: an item has all of its effects or none, once, however often it is sent; positions of a part are dense and
//! in commit order; nothing is answered before it is durable. Stripe is never called in here.

mod batch;
pub mod content_hash;
mod idempotency;
mod load;
mod mark;
mod postgres;
mod profile;
mod retry;
mod sqlite;

use std::sync::Arc;

use aggregates::ids::{StreamId, TenantId};
use aggregates::time::Timestamp;
use projections::db::{Class, Conn, Db, DbError, Load};
use projections::failpoint;
use uuid::Uuid;

use batch::Batch;
pub use idempotency::{ApiAnswer, FORGET_MAX, find_answer, forget_expired, settle_answer};
pub use load::stock_events;
pub use mark::{StoredMark, find as find_mark};
pub use profile::{Profile, find_profile};

/// Items in one append: a lane's batch; more only lengthens the hold on the part's head.
pub const ITEMS_MAX: usize = 256;
/// Events in one append.
pub const EVENTS_MAX: usize = 1_000;
/// Payload and metadata in one append, in bytes.
pub const BYTES_MAX: usize = 4 * 1024 * 1024;

/// Statements of the hot ways, by name: on a store spread by part each must touch one leaf.
pub const HOT_STATEMENTS: &[(&str, &str)] = &[
    ("marks", postgres::MARKS),
    ("find marks", mark::FIND_POSTGRES),
    ("events", postgres::EVENTS),
    ("outbox", postgres::OUTBOX),
];

/// Under which key an item is done once and for ever.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mark {
    /// Who gives the keys: a Stripe account, `api:<scope>`, `sched`, `outbox`, `reconcile:<run>`.
    pub source: String,
    /// The key: `evt_...`, an Idempotency-Key, an outbox id.
    pub key: String,
    /// SHA-256 of the request, where one key must mean one request.
    pub request_hash: Option<[u8; 32]>,
}

/// One event to record.
#[derive(Clone, Debug)]
pub struct NewEvent {
    /// UUIDv7.
    pub event_id: Uuid,
    /// Name of the event.
    pub event_type: String,
    /// Version of its payload.
    pub event_version: u32,
    /// JSON text, serialised once; these bytes are hashed and stored.
    pub payload: String,
    /// JSON text, likewise.
    pub metadata: String,
    /// What made it happen.
    pub causation_id: String,
    /// What it belongs to.
    pub correlation_id: String,
    /// When it happened.
    pub occurred_at: Timestamp,
}

/// Events for one stream, after the sequence number the decision was made on.
#[derive(Clone, Debug)]
pub struct StreamAppend {
    /// Aggregate type.
    pub aggregate_type: &'static str,
    /// The stream; it must live in the part of the append.
    pub stream: StreamId,
    /// Whose account it is now.
    pub tenant: Option<TenantId>,
    /// Last sequence the decision has seen, counting earlier items of the same append; 0 for a new stream.
    pub expected_sequence: u64,
    /// In order.
    pub events: Vec<NewEvent>,
}

/// An effect to perform after COMMIT.
#[derive(Clone, Debug)]
pub struct OutboxRow {
    /// Its identity; also the idempotency key at Stripe.
    pub outbox_id: Uuid,
    /// Which worker performs it.
    pub kind: String,
    /// JSON text.
    pub body: String,
    /// The event that asked for it; its position is filled in when it is part of the append.
    pub cause_event_id: Uuid,
    /// Position of the cause when it was recorded earlier.
    pub cause_position: u64,
    /// Not before.
    pub next_at: Timestamp,
}

/// A deletable row beside the log, written in the same transaction.
#[derive(Clone, Debug)]
pub enum SideRow {
    /// One field of personal data; an older `as_of` never overwrites.
    Person {
        /// The account.
        stream: StreamId,
        /// `name`, `email`, ...
        field: String,
        /// Its value; none when it was removed.
        value: Option<String>,
        /// When the source held it to be true.
        as_of: Timestamp,
    },
    /// What a tenant said about itself; the whole row.
    TenantProfile {
        /// The tenant.
        tenant: TenantId,
        /// Its account.
        stream: StreamId,
        /// Display name.
        name: Option<String>,
        /// Contact address.
        email: Option<String>,
        /// ISO 4217 code, upper case.
        currency: Option<String>,
        /// JSON object text.
        metadata: String,
    },
}

/// The claim of an API command on its Idempotency-Key, in the same transaction as its effect.
#[derive(Clone, Debug)]
pub struct ApiClaim {
    /// Principal, method, route and path parameters.
    pub scope: String,
    /// The Idempotency-Key.
    pub key: String,
    /// SHA-256 of the request.
    pub request_hash: [u8; 32],
    /// Id of the command.
    pub command_id: Uuid,
    /// When the stored answer is dropped (the effect stays done once for ever).
    pub expires_at: Timestamp,
}

/// One unit that happens wholly or not at all, once.
#[derive(Clone, Debug)]
pub struct Item {
    /// Its key.
    pub mark: Mark,
    /// Its events; may be empty.
    pub appends: Vec<StreamAppend>,
    /// Its intended effects.
    pub outbox: Vec<OutboxRow>,
    /// Its claim, when an API command made it.
    pub api: Option<ApiClaim>,
    /// Its side rows.
    pub sides: Vec<SideRow>,
}

impl Item {
    /// An item that only marks its key.
    #[must_use]
    pub const fn new(mark: Mark) -> Self {
        Self {
            mark,
            appends: Vec::new(),
            outbox: Vec::new(),
            api: None,
            sides: Vec::new(),
        }
    }
}

/// What became of an item.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Recorded now.
    Appended {
        /// Position of its first event.
        first_position: u64,
        /// Position of its last event.
        last_position: u64,
        /// Last sequence of each of its `appends`, in their order.
        sequences: Vec<u64>,
    },
    /// Marked now, with nothing to record.
    NoChange,
    /// Done before under this key; nothing was done now.
    Replayed(StoredMark),
    /// The key was used for another request; nothing was done.
    KeyReused,
    /// Nothing was done, because another item of the same append had been done before: decide this one again.
    Undone,
}

/// Why nothing was recorded.
#[derive(Clone, Debug, thiserror::Error)]
pub enum LedgerError {
    /// Another writer was first on a stream: load again, decide again.
    #[error("another writer changed a stream first; load it again and decide again")]
    Conflict,
    /// The caller broke a rule of `append`.
    #[error("an append must not {0}")]
    Refused(&'static str),
    /// The store failed.
    #[error(transparent)]
    Db(#[from] DbError),
}

impl LedgerError {
    fn from_db(error: DbError) -> Self {
        if error.class == Class::Conflict {
            Self::Conflict
        } else {
            Self::Db(error)
        }
    }
}

/// Records `items`, all streams of `part`, in one transaction; answers one outcome an item, in order.
///
/// If some item had been done before, nothing is recorded: that item answers `Replayed` or `KeyReused`, the others
/// `Undone`, and the caller decides those again. Repeats by itself what may be repeated with the same bytes; then a
/// COMMIT whose answer was lost shows as `Replayed`.
pub async fn append(db: &Db, part: u32, items: Vec<Item>, recorded_at: Timestamp) -> Result<Vec<Outcome>, LedgerError> {
    let batch = Arc::new(Batch::prepare(part, db.parts(), items, recorded_at)?);
    if batch.marks.keys.is_empty() {
        return Ok(Vec::new());
    }
    retry::with_same_bytes(|attempt| {
        let batch = Arc::clone(&batch);
        async move { once(db, batch, attempt).await }
    })
    .await
}

/// The position before the first event of an append that is in; none when no event was among its items.
type Base = Option<u64>;

/// Why a transaction was rolled back on purpose.
#[derive(Debug, thiserror::Error)]
enum Abort {
    #[error("some keys were done before")]
    Taken(Vec<(usize, Option<StoredMark>)>),
    #[error(transparent)]
    Failed(#[from] DbError),
}

impl From<sqlx::Error> for Abort {
    fn from(error: sqlx::Error) -> Self {
        Self::Failed(error.into())
    }
}

async fn once(db: &Db, batch: Arc<Batch>, attempt: u32) -> Result<Vec<Outcome>, LedgerError> {
    let part = batch.part;
    let load = Load::bytes(batch.bytes);
    let shared = Arc::clone(&batch);
    let early = if failpoint::mutant("position-taken-early") {
        postgres::take_early(db, &batch).await?
    } else {
        None
    };
    let unkeyed = failpoint::mutant("skip-inbox-mark") || (attempt > 0 && failpoint::mutant("retry-without-key"));
    let result: Result<Base, Abort> = db
        .write_sized(part, load, move |conn| {
            Box::pin(async move {
                failpoint::reach("append.after-begin");
                let base = match conn {
                    Conn::Sqlite(conn) => sqlite::write(conn, &shared, unkeyed).await?,
                    Conn::Postgres(conn) => postgres::write(conn, &shared, unkeyed, early).await?,
                };
                failpoint::reach("append.after-events");
                Ok(base)
            })
        })
        .await;
    match result {
        Ok(base) => {
            failpoint::reach("append.after-commit");
            if let Some(base) = base {
                db.heads().publish(part, base + batch.event_count());
            }
            Ok(batch.outcomes(base))
        }
        Err(Abort::Taken(stored)) => Ok(batch.taken_outcomes(stored)),
        Err(Abort::Failed(error)) if error.class == Class::Conflict && failpoint::mutant("conflict-is-success") => {
            Ok(batch.outcomes(Some(0)))
        }
        Err(Abort::Failed(error)) => Err(LedgerError::from_db(error)),
    }
}

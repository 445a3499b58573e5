//! Intended effects: claimed under a lease, performed by a worker, settled under the same fence.
//!
//! Rows are written by the append that decided the effect. A worker that lost its lease cannot settle: every write
//! repeats the fence it claimed with. A row left in `sending` by a crash becomes due again at its `next_at`,
//! or when the next holder of the part takes it over.

pub mod due;
mod postgres;
mod sqlite;

use aggregates::time::Timestamp;
use projections::db::{Conn, Db, DbError, Pool};
use uuid::Uuid;

/// Rows claimed or listed at once.
pub const PAGE_MAX: u32 = 500;

/// Statements of the hot ways, by name: on a store spread by part each must touch one leaf.
pub const HOT_STATEMENTS: &[(&str, &str)] = &[("claim effects", postgres::CLAIM), ("settle effect", postgres::SETTLE)];

/// Where an effect stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum State {
    /// Waits for its time.
    Due,
    /// A worker performs it.
    Sending,
    /// Performed.
    Done,
    /// Will not be tried again.
    Failed,
    /// Sent, but the answer was lost: the same key again, later a look at Stripe first.
    Unknown,
}

impl State {
    /// As stored.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Due => "due",
            Self::Sending => "sending",
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Unknown => "unknown",
        }
    }

    fn parse(text: &str) -> Result<Self, DbError> {
        [Self::Due, Self::Sending, Self::Done, Self::Failed, Self::Unknown]
            .into_iter()
            .find(|state| state.as_str() == text)
            .ok_or_else(|| DbError::bug(format!("outbox state {text:?} is unknown")))
    }
}

/// An effect as stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Effect {
    /// The part.
    pub part: u32,
    /// Its identity.
    pub outbox_id: Uuid,
    /// Which worker performs it.
    pub kind: String,
    /// JSON text.
    pub body: String,
    /// The event that asked for it.
    pub cause_event_id: Uuid,
    /// Position of that event; 0 when there is none.
    pub position: u64,
    /// Where it stands.
    pub state: State,
    /// Times it was claimed.
    pub attempts: u32,
    /// Not before.
    pub next_at: Timestamp,
    /// Fence of the claim.
    pub fence: Option<u64>,
    /// JSON text of the outcome.
    pub result: Option<String>,
}

/// How a claimed effect ended this time.
#[derive(Clone, Debug)]
pub struct Settlement {
    /// Its new state.
    pub state: State,
    /// JSON text of the outcome.
    pub result: Option<String>,
    /// When to try again, for `Due` and `Unknown`.
    pub next_at: Timestamp,
}

/// Claims effects of `kinds` that are due at `now`, oldest first. Until `retry_at` nobody else claims them.
pub async fn claim(
    db: &Db,
    part: u32,
    fence: u64,
    kinds: &[&str],
    now: Timestamp,
    retry_at: Timestamp,
    limit: u32,
) -> Result<Vec<Effect>, DbError> {
    let kinds: Vec<String> = kinds.iter().map(|kind| (*kind).to_owned()).collect();
    let limit = limit.min(PAGE_MAX);
    let mut claimed = db
        .write(part, move |conn| {
            Box::pin(async move {
                match conn {
                    Conn::Sqlite(conn) => sqlite::claim(conn, part, fence, &kinds, now, retry_at, limit).await,
                    Conn::Postgres(conn) => postgres::claim(conn, part, fence, &kinds, now, retry_at, limit).await,
                }
            })
        })
        .await?;
    claimed.sort_by_key(|effect| (effect.position, effect.outbox_id));
    Ok(claimed)
}

/// Makes due what a holder of the part before `fence` had claimed and not settled: it can settle no more, so nobody waits
/// for it. Only for kinds that may be performed again at once. Gives how many there were.
pub async fn take_over(db: &Db, part: u32, fence: u64, kind: &'static str, now: Timestamp) -> Result<u64, DbError> {
    db.write(part, move |conn| {
        Box::pin(async move {
            match conn {
                Conn::Sqlite(conn) => sqlite::take_over(conn, part, kind, fence, now).await,
                Conn::Postgres(conn) => postgres::take_over(conn, part, kind, fence, now).await,
            }
        })
    })
    .await
}

/// Settles a claimed effect; false when the fence is no longer the one it was claimed with.
pub async fn settle(
    db: &Db,
    part: u32,
    outbox_id: Uuid,
    fence: u64,
    settlement: Settlement,
    now: Timestamp,
) -> Result<bool, DbError> {
    db.write(part, move |conn| {
        Box::pin(async move {
            match conn {
                Conn::Sqlite(conn) => sqlite::settle(conn, part, outbox_id, fence, &settlement, now).await,
                Conn::Postgres(conn) => postgres::settle(conn, part, outbox_id, fence, &settlement, now).await,
            }
        })
    })
    .await
}

/// Effects of a part that are not finished, oldest first.
pub async fn list_open(db: &Db, part: u32, limit: u32) -> Result<Vec<Effect>, DbError> {
    let limit = limit.min(PAGE_MAX);
    match db.pool_for(part) {
        Pool::Sqlite(pool) => sqlite::list_open(&mut *pool.acquire().await?, part, limit).await,
        Pool::Postgres(pool) => postgres::list_open(&mut *pool.acquire().await?, part, limit).await,
    }
}

/// When the oldest open effect of `kind` is due whose cause lies before `position` and whose body names this stream; none:
/// nothing of the stream is before it.
pub async fn earlier(
    db: &Db,
    part: u32,
    kind: &str,
    stream: &str,
    position: u64,
) -> Result<Option<Timestamp>, DbError> {
    match db.pool_for(part) {
        Pool::Sqlite(pool) => sqlite::earlier(&mut *pool.acquire().await?, part, kind, stream, position).await,
        Pool::Postgres(pool) => postgres::earlier(&mut *pool.acquire().await?, part, kind, stream, position).await,
    }
}

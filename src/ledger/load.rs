//! One typed stream through the stock cqrs-es repositories, on pools that only read.
//!
//! Workers and batches load with `projections::log`, whose statements name the part. Both readers see the same.

use cqrs_es::Aggregate;
use cqrs_es::persist::{PersistedEventRepository, PersistenceError, SerializedEvent};
use postgres_es::PostgresEventRepository;
use projections::db::{Db, Pool};
use sqlite_es::SqliteEventRepository;

/// All events of a stream of aggregate `A`, in order; empty for a stream that does not exist.
pub async fn stock_events<A: Aggregate>(
    db: &Db,
    part: u32,
    stream: &str,
) -> Result<Vec<SerializedEvent>, PersistenceError> {
    match db.pool_for(part) {
        Pool::Sqlite(pool) => SqliteEventRepository::new(pool.clone()).get_events::<A>(stream).await,
        Pool::Postgres(pool) => PostgresEventRepository::new(pool.clone()).get_events::<A>(stream).await,
    }
}

//! Runs of positions of several parts at once: for whoever follows the log as it grows and keeps no checkpoint.

use super::{StoredEvent, postgres, sqlite};
use crate::db::{Db, DbError, Pool, position_to_sql};

/// Positions of a part after `after`, up to and with `to`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// The part.
    pub part: u32,
    /// Not this one.
    pub after: u64,
    /// This one too.
    pub to: u64,
}

/// Events of these account streams, by part and position.
pub async fn of_streams(db: &Db, spans: &[Span], streams: &[String]) -> Result<Vec<StoredEvent>, DbError> {
    let mut found = Vec::new();
    for (part, spans) in db.by_database(spans.iter().copied(), |span| span.part) {
        match db.bulk_pool_for(part) {
            Pool::Sqlite(pool) => {
                for span in spans {
                    let (after, to) = (position_to_sql(span.after)?, position_to_sql(span.to)?);
                    found.extend(sqlite::span_of_streams(pool, span.part, (after, to), streams).await?);
                }
            }
            Pool::Postgres(pool) => found.extend(postgres::spans_of_streams(pool, &spans, streams).await?),
        }
    }
    Ok(found)
}

/// Every event of these runs without its payload, by part and position.
pub async fn slim(db: &Db, spans: &[Span]) -> Result<Vec<StoredEvent>, DbError> {
    let mut found = Vec::new();
    for (part, spans) in db.by_database(spans.iter().copied(), |span| span.part) {
        match db.bulk_pool_for(part) {
            Pool::Sqlite(pool) => {
                for span in spans {
                    let (after, to) = (position_to_sql(span.after)?, position_to_sql(span.to)?);
                    found.extend(sqlite::slim_span(pool, span.part, (after, to)).await?);
                }
            }
            Pool::Postgres(pool) => found.extend(postgres::slim_spans(pool, &spans).await?),
        }
    }
    Ok(found)
}

/// Sequence of the last event of a stream up to a position; 0: there is none.
pub async fn sequence_at(
    db: &Db,
    part: u32,
    aggregate_type: &str,
    stream: &str,
    position: u64,
) -> Result<u64, DbError> {
    let position = position_to_sql(position)?;
    let sequence = match db.pool_for(part) {
        Pool::Sqlite(pool) => sqlite::sequence_at(pool, part, (aggregate_type, stream), position).await?,
        Pool::Postgres(pool) => postgres::sequence_at(pool, part, (aggregate_type, stream), position).await?,
    };
    Ok(sequence.unsigned_abs())
}

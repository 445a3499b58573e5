//! Numbers and instants on their way to and from SQL.

use aggregates::time::Timestamp;
use chrono::{DateTime, Utc};

use super::error::DbError;

/// A position or sequence for SQL.
pub fn position_to_sql(position: u64) -> Result<i64, DbError> {
    i64::try_from(position).map_err(|_| DbError::bug("a position is beyond 2^63"))
}

/// A position or sequence from SQL.
pub fn position_from_sql(position: i64) -> Result<u64, DbError> {
    u64::try_from(position).map_err(|_| DbError::bug("the store holds a negative position"))
}

/// A part for SQL.
pub fn part_to_sql(part: u32) -> Result<i32, DbError> {
    i32::try_from(part).map_err(|_| DbError::bug("a part is beyond 2^31"))
}

/// An instant as SQLite keeps it.
pub fn at_from_micros(micros: i64) -> Result<Timestamp, DbError> {
    Timestamp::from_micros(micros).map_err(|error| DbError::bug(error.to_string()))
}

/// An instant as Postgres keeps it.
pub fn at_from_chrono(at: DateTime<Utc>) -> Result<Timestamp, DbError> {
    at_from_micros(at.timestamp_micros())
}

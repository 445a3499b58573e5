//! What every question to a view has in common: one row by key, how fresh it is, and what can go wrong.

use sqlx::postgres::PgRow;
use sqlx::sqlite::SqliteRow;

use crate::db::{Db, DbError, Pool, part_to_sql};
use crate::projection::{FoldError, Projection};
use crate::runner::{Freshness, Progress};
use crate::table::postgres::PgSource;
use crate::table::sqlite::SqliteSource;
use crate::table::{Key, RowError, Slot};
use crate::views::View;

/// A question could not be answered.
#[derive(Clone, Debug, thiserror::Error)]
pub enum QueryError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] DbError),
    /// A stored row does not read.
    #[error(transparent)]
    Row(#[from] RowError),
    /// An event of the account does not read.
    #[error("an event of the account does not read: {0}")]
    Event(#[from] FoldError),
}

impl From<sqlx::Error> for QueryError {
    fn from(error: sqlx::Error) -> Self {
        Self::Store(error.into())
    }
}

/// An answer and how fresh it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer<T> {
    /// What was asked for.
    pub value: T,
    /// The view's position when it was asked, and its age.
    pub freshness: Freshness,
}

/// One row of the slot readers use. The position is looked at first, so the row is never older than it says.
pub async fn row<P: Projection>(
    db: &Db,
    progress: &Progress,
    view: View,
    part: u32,
    key: &Key,
) -> Result<Answer<Option<P::Row>>, QueryError> {
    let freshness = progress.freshness(view, part);
    let value = row_of::<P>(db, progress.slot(view), part, key).await?;
    Ok(Answer { value, freshness })
}

/// One row of a slot.
pub async fn row_of<P: Projection>(db: &Db, slot: Slot, part: u32, key: &Key) -> Result<Option<P::Row>, QueryError> {
    let table = P::TABLE;
    let mut sql = format!(
        "select {} from {} where part = $1 and {} = $2",
        table.names(""),
        table.slot(slot),
        table.key[0].name
    );
    if let Some(second) = table.key.get(1) {
        sql.push_str(" and ");
        sql.push_str(second.name);
        sql.push_str(" = $3");
    }
    let part = part_to_sql(part)?;
    match db.pool_for(part.unsigned_abs()) {
        Pool::Postgres(pool) => {
            let mut query = sqlx::query(&sql).bind(part).bind(&*key.stream);
            if table.key.len() > 1 {
                query = query.bind(&*key.item);
            }
            let row = query.fetch_optional(pool).await?;
            row.map(|row| read_pg::<P>(&row).map(|(_, row)| row)).transpose()
        }
        Pool::Sqlite(pool) => {
            let mut query = sqlx::query(&sql).bind(part).bind(&*key.stream);
            if table.key.len() > 1 {
                query = query.bind(&*key.item);
            }
            let row = query.fetch_optional(pool).await?;
            row.map(|row| read_sqlite::<P>(&row).map(|(_, row)| row)).transpose()
        }
    }
}

pub(crate) fn read_pg<P: Projection>(row: &PgRow) -> Result<(Key, P::Row), QueryError> {
    Ok(P::read(&mut PgSource::new(row))?)
}

pub(crate) fn read_sqlite<P: Projection>(row: &SqliteRow) -> Result<(Key, P::Row), QueryError> {
    Ok(P::read(&mut SqliteSource::new(row))?)
}

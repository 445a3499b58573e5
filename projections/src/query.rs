//! What every question to a view has in common: one row by key, how fresh it is, and what can go wrong.

use sqlx::postgres::PgRow;
use sqlx::sqlite::SqliteRow;

use aggregates::time::Timestamp;

use crate::db::{Db, DbError, Pool, part_to_sql, position_to_sql};
use crate::projection::{FoldError, Projection};
use crate::runner::{Freshness, Progress};
use crate::table::postgres::{PgSource, part_of_row, signed};
use crate::table::sqlite::SqliteSource;
use crate::table::{Key, RowError, RowSource, Slot};
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
    let (slot, freshness) = progress.slot_and_freshness(view, part);
    let value = row_of::<P>(db, slot, part, key).await?;
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

/// A value bound to a statement.
#[derive(Clone, Debug)]
pub(crate) enum Bind {
    Text(String),
    Int(i64),
    Time(Timestamp),
    /// Parts, as a list.
    Parts(Vec<u32>),
    /// Positions, as a list.
    Positions(Vec<u64>),
    /// Texts, as a list.
    Texts(Vec<String>),
}

/// A row of either store; its first column, `part`, was taken.
pub(crate) enum AnySource<'r> {
    Postgres(PgSource<'r>),
    Sqlite(SqliteSource<'r>),
}

impl RowSource for AnySource<'_> {
    fn text(&mut self) -> Result<Option<String>, RowError> {
        match self {
            Self::Postgres(row) => row.text(),
            Self::Sqlite(row) => row.text(),
        }
    }
    fn int(&mut self) -> Result<Option<i64>, RowError> {
        match self {
            Self::Postgres(row) => row.int(),
            Self::Sqlite(row) => row.int(),
        }
    }
    fn time(&mut self) -> Result<Option<Timestamp>, RowError> {
        match self {
            Self::Postgres(row) => row.time(),
            Self::Sqlite(row) => row.time(),
        }
    }
}

/// SQL that grows with its filters; `$n` is understood by both stores.
pub(crate) struct Statement {
    pub(crate) sql: String,
    binds: Vec<Bind>,
}

impl Statement {
    pub(crate) fn new(sql: impl Into<String>) -> Self {
        Self {
            sql: sql.into(),
            binds: Vec::new(),
        }
    }

    pub(crate) fn push(&mut self, sql: &str) -> &mut Self {
        self.sql.push_str(sql);
        self
    }

    /// The place of a bound value.
    pub(crate) fn bind(&mut self, value: Bind) -> &mut Self {
        self.binds.push(value);
        self.sql.push('$');
        self.sql.push_str(&self.binds.len().to_string());
        self
    }

    /// Runs it and reads every row: its part, then its columns. Lists are arrays on Postgres, JSON on SQLite.
    pub(crate) async fn fetch<T>(
        &self,
        pool: Pool<'_>,
        read: impl Fn(u32, &mut AnySource<'_>) -> Result<T, RowError>,
    ) -> Result<Vec<T>, QueryError> {
        let mut found = Vec::new();
        match pool {
            Pool::Postgres(pool) => {
                let mut query = sqlx::query(&self.sql);
                for bind in &self.binds {
                    query = match bind.clone() {
                        Bind::Text(text) => query.bind(text),
                        Bind::Int(number) => query.bind(number),
                        Bind::Time(at) => query.bind(at.to_chrono()),
                        Bind::Parts(list) => query.bind(list.into_iter().map(signed).collect::<Vec<i32>>()),
                        Bind::Positions(list) => query.bind(positions(list)?),
                        Bind::Texts(list) => query.bind(list),
                    };
                }
                for row in query.fetch_all(pool).await? {
                    found.push(read(part_of_row(&row)?, &mut AnySource::Postgres(PgSource::new(&row)))?);
                }
            }
            Pool::Sqlite(pool) => {
                let mut query = sqlx::query(&self.sql);
                for bind in &self.binds {
                    query = match bind.clone() {
                        Bind::Text(text) => query.bind(text),
                        Bind::Int(number) => query.bind(number),
                        Bind::Time(at) => query.bind(at.micros()),
                        Bind::Parts(list) => query.bind(json(&list)?),
                        Bind::Positions(list) => query.bind(json(&list)?),
                        Bind::Texts(list) => query.bind(json(&list)?),
                    };
                }
                for row in query.fetch_all(pool).await? {
                    found.push(read(0, &mut AnySource::Sqlite(SqliteSource::new(&row)))?);
                }
            }
        }
        Ok(found)
    }
}

impl Statement {
    /// Runs it in every database and adds up the number each answers after its part.
    pub(crate) async fn fetch_sum(&self, db: &Db) -> Result<u64, QueryError> {
        let mut sum = 0;
        for pool in db.pools() {
            sum += self.fetch(pool, |_, row| row.must_count()).await?.iter().sum::<u64>();
        }
        Ok(sum)
    }
}

fn positions(list: Vec<u64>) -> Result<Vec<i64>, DbError> {
    list.into_iter().map(position_to_sql).collect()
}

fn json<T: serde::Serialize>(list: &[T]) -> Result<String, RowError> {
    serde_json::to_string(list).map_err(RowError::new)
}

/// Text for a LIKE that finds `text` anywhere, taken literally (`escape '\'`).
pub(crate) fn anywhere(text: &str) -> String {
    let mut pattern = String::from("%");
    for c in text.chars() {
        if matches!(c, '%' | '_' | '\\') {
            pattern.push('\\');
        }
        pattern.push(c);
    }
    pattern.push('%');
    pattern
}

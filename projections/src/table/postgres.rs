//! Views on Postgres: load by keys, upsert by arrays, COPY for a rebuild.

use std::fmt::Write;

use aggregates::time::Timestamp;
use chrono::{DateTime, Utc};
use sqlx::postgres::{PgArguments, PgRow};
use sqlx::{Arguments, PgConnection, Row};

use super::sink::CopyBytes;
use super::{Cell, Cells, Key, Kind, RowError, RowSource, Slot, Table};
use crate::db::DbError;

/// Reads the columns of a Postgres row from `next` on.
pub struct PgSource<'r> {
    row: &'r PgRow,
    next: usize,
}

impl<'r> PgSource<'r> {
    /// The first column is `part`; reading begins after it.
    #[must_use]
    pub const fn new(row: &'r PgRow) -> Self {
        Self { row, next: 1 }
    }

    fn take<T>(&mut self) -> Result<Option<T>, RowError>
    where
        T: for<'a> sqlx::Decode<'a, sqlx::Postgres> + sqlx::Type<sqlx::Postgres>,
    {
        let index = self.next;
        self.next += 1;
        self.row.try_get(index).map_err(RowError::new)
    }
}

impl RowSource for PgSource<'_> {
    fn text(&mut self) -> Result<Option<String>, RowError> {
        self.take()
    }
    fn int(&mut self) -> Result<Option<i64>, RowError> {
        self.take()
    }
    fn time(&mut self) -> Result<Option<Timestamp>, RowError> {
        Ok(self.take::<DateTime<Utc>>()?.map(Timestamp::from_chrono))
    }
}

/// Part of a row loaded by [`load`].
pub fn part_of_row(row: &PgRow) -> Result<u32, RowError> {
    let part: i32 = row.try_get(0).map_err(RowError::new)?;
    u32::try_from(part).map_err(RowError::new)
}

pub(crate) fn signed(part: u32) -> i32 {
    i32::try_from(part).unwrap_or(i32::MAX)
}

/// The rows with these keys, in one statement.
pub async fn load(
    connection: &mut PgConnection,
    table: &Table,
    slot: Slot,
    keys: &[(u32, Key)],
) -> Result<Vec<PgRow>, DbError> {
    let mut sql = format!("select {} from unnest($1::int[], $2::text[]", table.names("t."));
    let two = table.key.len() > 1;
    sql.push_str(if two {
        ", $3::text[]) k(part, a, b)"
    } else {
        ") k(part, a)"
    });
    let _ = write!(
        sql,
        " join {} t on t.part = k.part and t.{} = k.a",
        table.slot(slot),
        table.key[0].name
    );
    if two {
        let _ = write!(sql, " and t.{} = k.b", table.key[1].name);
    }
    let parts: Vec<i32> = keys.iter().map(|(part, _)| signed(*part)).collect();
    let streams: Vec<&str> = keys.iter().map(|(_, key)| &*key.stream).collect();
    let mut query = sqlx::query(&sql).bind(parts).bind(streams);
    if two {
        let items: Vec<&str> = keys.iter().map(|(_, key)| &*key.item).collect();
        query = query.bind(items);
    }
    Ok(query.fetch_all(connection).await?)
}

fn upsert_sql(table: &Table, slot: Slot) -> String {
    let mut sql = format!(
        "insert into {} ({}) select * from unnest($1::int[]",
        table.slot(slot),
        table.names("")
    );
    for (n, column) in table.all().enumerate() {
        let _ = write!(sql, ", ${}::{}", n + 2, column.kind.postgres_array());
    }
    sql.push(')');
    sql.push_str(&table.on_conflict());
    sql
}

fn bug(error: impl std::fmt::Display) -> DbError {
    DbError::bug(format!("a value cannot be sent: {error}"))
}

/// Writes the rows, over those with the same key, in one statement. Each key occurs once.
pub async fn upsert(connection: &mut PgConnection, table: &Table, slot: Slot, rows: Cells) -> Result<(), DbError> {
    if rows.rows() == 0 {
        return Ok(());
    }
    let sql = upsert_sql(table, slot);
    let mut arguments = PgArguments::default();
    let parts: Vec<i32> = rows.parts.iter().map(|part| signed(*part)).collect();
    arguments.add(parts).map_err(bug)?;
    let width = table.width();
    let mut columns: Vec<Vec<Cell>> = (0..width).map(|_| Vec::with_capacity(rows.parts.len())).collect();
    for (n, cell) in rows.cells.into_iter().enumerate() {
        columns[n % width].push(cell);
    }
    for (column, cells) in table.all().zip(columns) {
        match column.kind {
            Kind::Text => arguments.add(cells.into_iter().map(text_of).collect::<Vec<_>>()),
            Kind::Int => arguments.add(cells.into_iter().map(int_of).collect::<Vec<_>>()),
            Kind::Time => arguments.add(cells.into_iter().map(time_of).collect::<Vec<_>>()),
        }
        .map_err(bug)?;
    }
    sqlx::query_with(&sql, arguments).execute(connection).await?;
    Ok(())
}

fn text_of(cell: Cell) -> Option<String> {
    match cell {
        Cell::Text(text) => text,
        Cell::Int(_) | Cell::Time(_) => None,
    }
}
fn int_of(cell: Cell) -> Option<i64> {
    match cell {
        Cell::Int(value) => value,
        Cell::Text(_) | Cell::Time(_) => None,
    }
}
fn time_of(cell: Cell) -> Option<DateTime<Utc>> {
    match cell {
        Cell::Time(micros) => micros.and_then(DateTime::from_timestamp_micros),
        Cell::Text(_) | Cell::Int(_) => None,
    }
}

/// Adds rows to an emptied slot in one binary COPY.
pub async fn copy(
    connection: &mut PgConnection,
    table: &Table,
    slot: Slot,
    mut rows: CopyBytes,
) -> Result<(), DbError> {
    rows.finish();
    let sql = format!(
        "copy {} ({}) from stdin (format binary)",
        table.slot(slot),
        table.names("")
    );
    let mut copy = connection.copy_in_raw(&sql).await?;
    copy.send(rows.bytes).await?;
    copy.finish().await?;
    Ok(())
}

//! Views on SQLite: load by keys through one JSON list, write by multi-row inserts of fixed sizes.

use std::fmt::Write;

use aggregates::time::Timestamp;
use sqlx::sqlite::{SqliteArguments, SqliteRow};
use sqlx::{Arguments, Row, SqliteConnection};

use super::{Cell, Cells, Key, RowError, RowSource, Slot, Table};
use crate::db::DbError;

/// Rows of one statement, largest first: few sizes, so that every statement stays prepared.
const CHUNKS: [usize; 3] = [64, 8, 1];

/// Reads the columns of a SQLite row from `next` on.
pub struct SqliteSource<'r> {
    row: &'r SqliteRow,
    next: usize,
}

impl<'r> SqliteSource<'r> {
    /// The first column is `part`; reading begins after it.
    #[must_use]
    pub const fn new(row: &'r SqliteRow) -> Self {
        Self { row, next: 1 }
    }

    fn take<T>(&mut self) -> Result<Option<T>, RowError>
    where
        T: for<'a> sqlx::Decode<'a, sqlx::Sqlite> + sqlx::Type<sqlx::Sqlite>,
    {
        let index = self.next;
        self.next += 1;
        self.row.try_get(index).map_err(RowError::new)
    }
}

impl RowSource for SqliteSource<'_> {
    fn text(&mut self) -> Result<Option<String>, RowError> {
        self.take()
    }
    fn int(&mut self) -> Result<Option<i64>, RowError> {
        self.take()
    }
    fn time(&mut self) -> Result<Option<Timestamp>, RowError> {
        let micros: Option<i64> = self.take()?;
        micros
            .map(|m| Timestamp::from_micros(m).map_err(RowError::new))
            .transpose()
    }
}

/// The rows with these keys, in one statement. The keys travel as one JSON list, so the statement stays prepared.
/// `cross join` keeps the order of the two: statistics gathered while the table was small (`analyze`) would turn it round,
/// and every row would be compared with every key.
pub async fn load(
    connection: &mut SqliteConnection,
    table: &Table,
    slot: Slot,
    keys: &[(u32, Key)],
) -> Result<Vec<SqliteRow>, DbError> {
    let mut sql = format!(
        "select {} from json_each(?1) k cross join {} t",
        table.names("t."),
        table.slot(slot)
    );
    let _ = write!(
        sql,
        " on t.part = k.value ->> 0 and t.{} = k.value ->> 1",
        table.key[0].name
    );
    if table.key.len() > 1 {
        let _ = write!(sql, " and t.{} = k.value ->> 2", table.key[1].name);
    }
    let list: Vec<(u32, &str, &str)> = keys
        .iter()
        .map(|(part, key)| (*part, &*key.stream, &*key.item))
        .collect();
    let list = serde_json::to_string(&list).map_err(|error| DbError::bug(error.to_string()))?;
    Ok(sqlx::query(&sql).bind(list).fetch_all(connection).await?)
}

/// The insert of `count` rows.
fn insert_sql(table: &Table, slot: Slot, count: usize) -> String {
    let mut one = String::from("(?");
    for _ in 0..table.width() {
        one.push_str(",?");
    }
    one.push(')');
    let mut sql = format!("insert into {} ({}) values ", table.slot(slot), table.names(""));
    for n in 0..count {
        sql.push_str(if n == 0 { "" } else { "," });
        sql.push_str(&one);
    }
    sql.push_str(&table.on_conflict());
    sql
}

/// Writes the rows, over those with the same key.
pub async fn upsert(connection: &mut SqliteConnection, table: &Table, slot: Slot, rows: Cells) -> Result<(), DbError> {
    let bug = |error: sqlx::error::BoxDynError| DbError::bug(format!("a value cannot be sent: {error}"));
    let width = table.width();
    let mut parts = rows.parts.into_iter();
    let mut cells = rows.cells.into_iter();
    for size in CHUNKS {
        if parts.len() < size {
            continue;
        }
        let sql = insert_sql(table, slot, size);
        while parts.len() >= size {
            let mut arguments = SqliteArguments::default();
            for part in parts.by_ref().take(size) {
                arguments.add(i64::from(part)).map_err(bug)?;
                for cell in cells.by_ref().take(width) {
                    match cell {
                        Cell::Text(text) => arguments.add(text),
                        Cell::Int(value) | Cell::Time(value) => arguments.add(value),
                    }
                    .map_err(bug)?;
                }
            }
            sqlx::query_with(&sql, arguments).execute(&mut *connection).await?;
        }
    }
    Ok(())
}

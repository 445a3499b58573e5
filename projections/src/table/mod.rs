//! The tables of the views: one description each, from which both stores read and write in bulk.
//!
//! A view has two slots, `<name>_0` and `<name>_1`, of the same shape. The first column is always `part`, then
//! the key, then the rest; a row is written and read in that order, so a view states its columns once.

pub mod postgres;
pub mod sink;
pub mod sqlite;

use std::fmt::Write;

use aggregates::time::Timestamp;

pub use sink::{Cell, Cells, RowSink};

/// Which of the two tables of a view.
pub type Slot = u8;

/// What a column holds, in both dialects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `text`.
    Text,
    /// `bigint` / `integer`.
    Int,
    /// `timestamptz` / microseconds since the epoch.
    Time,
}

impl Kind {
    pub(crate) const fn postgres_array(self) -> &'static str {
        match self {
            Self::Text => "text[]",
            Self::Int => "bigint[]",
            Self::Time => "timestamptz[]",
        }
    }
}

/// One column.
#[derive(Clone, Copy, Debug)]
pub struct Column {
    /// Its name in both stores.
    pub name: &'static str,
    /// What it holds.
    pub kind: Kind,
}

/// A column of text.
#[must_use]
pub const fn text(name: &'static str) -> Column {
    Column { name, kind: Kind::Text }
}

/// A column of whole numbers.
#[must_use]
pub const fn int(name: &'static str) -> Column {
    Column { name, kind: Kind::Int }
}

/// A column of instants.
#[must_use]
pub const fn time(name: &'static str) -> Column {
    Column { name, kind: Kind::Time }
}

/// The table of a view, without `part`, which every table begins with.
#[derive(Clone, Copy, Debug)]
pub struct Table {
    /// Name without the slot.
    pub name: &'static str,
    /// The rest of the primary key after `part`.
    pub key: &'static [Column],
    /// All other columns.
    pub columns: &'static [Column],
    /// Rows are only added, never changed.
    pub append_only: bool,
}

impl Table {
    /// Key columns, then the others.
    pub fn all(&self) -> impl Iterator<Item = Column> + '_ {
        self.key.iter().chain(self.columns).copied()
    }

    /// Number of columns without `part`.
    #[must_use]
    pub const fn width(&self) -> usize {
        self.key.len() + self.columns.len()
    }

    /// `status_0`.
    #[must_use]
    pub fn slot(&self, slot: Slot) -> String {
        format!("{}_{slot}", self.name)
    }

    /// `part, a, b, c`, each after `prefix`.
    #[must_use]
    pub fn names(&self, prefix: &str) -> String {
        let mut names = format!("{prefix}part");
        for column in self.all() {
            let _ = write!(names, ", {prefix}{}", column.name);
        }
        names
    }

    /// `on conflict (part, key) do update set ..`, or nothing to resolve where rows are only added.
    pub(crate) fn on_conflict(&self) -> String {
        if self.append_only {
            return String::new();
        }
        let mut sql = String::from(" on conflict (part");
        for column in self.key {
            let _ = write!(sql, ", {}", column.name);
        }
        sql.push_str(") do update set ");
        for (n, column) in self.columns.iter().enumerate() {
            let comma = if n == 0 { "" } else { ", " };
            let _ = write!(sql, "{comma}{name} = excluded.{name}", name = column.name);
        }
        sql
    }
}

/// The key of a row inside its part: a stream, and for views with several rows a stream the item's own id; or a place
/// in the log.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// The stream; empty for a place.
    pub stream: Box<str>,
    /// The item; empty where the stream has one row.
    pub item: Box<str>,
    /// Position of the event; 0 where rows belong to streams.
    pub place: u64,
}

impl Key {
    /// The one row of a stream.
    #[must_use]
    pub fn stream(stream: &str) -> Self {
        Self::item(stream, "")
    }

    /// One of the rows of a stream.
    #[must_use]
    pub fn item(stream: &str, item: &str) -> Self {
        Self {
            stream: stream.into(),
            item: item.into(),
            place: 0,
        }
    }

    /// The row of one event.
    #[must_use]
    pub fn place(position: u64) -> Self {
        Self {
            stream: "".into(),
            item: "".into(),
            place: position,
        }
    }
}

/// A stored row that does not read: it was written by other code than this.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a stored row of the view does not read ({reason}); rebuild the view")]
pub struct RowError {
    /// What is wrong.
    pub reason: String,
}

impl RowError {
    /// A value that is not what its column promises.
    pub fn new(reason: impl std::fmt::Display) -> Self {
        Self {
            reason: reason.to_string(),
        }
    }
}

/// Hands out the columns of one stored row in the table's order, after `part`.
pub trait RowSource {
    /// The next column, of text.
    fn text(&mut self) -> Result<Option<String>, RowError>;
    /// The next column, of whole numbers.
    fn int(&mut self) -> Result<Option<i64>, RowError>;
    /// The next column, of instants.
    fn time(&mut self) -> Result<Option<Timestamp>, RowError>;

    /// The next column, of text that is never null.
    fn must_text(&mut self) -> Result<String, RowError> {
        self.text()?.ok_or_else(|| RowError::new("a text is null"))
    }
    /// The next column, a count or place that is never null or negative.
    fn must_count(&mut self) -> Result<u64, RowError> {
        let value = self.int()?.ok_or_else(|| RowError::new("a number is null"))?;
        u64::try_from(value).map_err(RowError::new)
    }
    /// The next column, an instant that is never null.
    fn must_time(&mut self) -> Result<Timestamp, RowError> {
        self.time()?.ok_or_else(|| RowError::new("an instant is null"))
    }
}

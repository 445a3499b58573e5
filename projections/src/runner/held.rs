//! Rows of one slot of one view while a page is folded over them.

use std::collections::{HashMap, HashSet};

use sqlx::postgres::PgRow;
use sqlx::sqlite::SqliteRow;

use crate::projection::{FoldError, LogEvent, Projection};
use crate::table::postgres::{PgSource, part_of_row};
use crate::table::sqlite::SqliteSource;
use crate::table::{Cells, Key, RowError, RowSource, Slot, Table};

/// Rows kept in memory from page to page for one view: with them a busy account is not loaded again for every page.
const ROWS_KEPT: usize = 2_048;
/// More than so many since they were last let go: the loop catches up through all accounts, and hardly meets them again.
const ROWS_LEFT_MAX: usize = ROWS_KEPT * 3 / 2;

/// What the loop does with a view, whatever its rows are.
pub(crate) trait Held: Send + Sync {
    fn table(&self) -> &Table;
    fn accounts_only(&self) -> bool;
    /// The key of the event's row if the row must be loaded before it can be folded.
    fn wanted(&self, part: u32, event: &LogEvent) -> Result<Option<Key>, FoldError>;
    /// Takes what was loaded for `keys`; what is not among the rows does not exist.
    fn take(&mut self, keys: &[(u32, Key)], rows: Rows<'_>) -> Result<(), RowError>;
    /// Folds one event.
    fn fold(&mut self, part: u32, event: &LogEvent) -> Result<(), FoldError>;
    /// The changed rows, to be written; they count as unchanged afterwards.
    fn changed(&mut self, cells: &mut Cells) -> Result<(), RowError>;
    /// Keys of the rows changed since they were last asked for.
    fn touched(&mut self) -> Vec<(u32, Box<str>)>;
    /// Forgets every row: another worker may have written them.
    fn forget(&mut self);
    /// Lets go of the rows not used lately.
    fn shrink(&mut self);
}

/// Rows as a store hands them out.
#[derive(Clone, Copy)]
pub(crate) enum Rows<'a> {
    Postgres(&'a [PgRow]),
    Sqlite(&'a [SqliteRow]),
}

/// The rows of one slot.
pub(crate) struct HeldRows<P: Projection> {
    /// `None`: known not to exist.
    rows: HashMap<(u32, Key), Option<P::Row>>,
    /// Rows of the page before, dropped when they are not used again.
    older: HashMap<(u32, Key), Option<P::Row>>,
    changed: HashSet<(u32, Key)>,
    touched: Vec<(u32, Box<str>)>,
    keep: bool,
    table: Table,
}

impl<P: Projection> HeldRows<P> {
    /// `keep`: rows stay from page to page. Only right for the slot readers use: the other one can be rebuilt.
    pub(crate) fn new(slot: Slot, keep: bool) -> Self {
        debug_assert!(slot < 2);
        Self {
            rows: HashMap::new(),
            older: HashMap::new(),
            changed: HashSet::new(),
            touched: Vec::new(),
            keep,
            table: P::TABLE,
        }
    }

    fn read_into(&mut self, part: u32, source: &mut impl RowSource) -> Result<(), RowError> {
        let (key, row) = P::read(source)?;
        self.rows.insert((part, key), Some(row));
        Ok(())
    }
}

impl<P: Projection> Held for HeldRows<P> {
    fn table(&self) -> &Table {
        &self.table
    }

    fn accounts_only(&self) -> bool {
        P::ACCOUNTS_ONLY
    }

    fn wanted(&self, part: u32, event: &LogEvent) -> Result<Option<Key>, FoldError> {
        if P::TABLE.append_only {
            return Ok(None);
        }
        let Some(key) = P::key(event)? else { return Ok(None) };
        let place = (part, key);
        Ok((!self.rows.contains_key(&place) && !self.older.contains_key(&place)).then_some(place.1))
    }

    fn take(&mut self, keys: &[(u32, Key)], rows: Rows<'_>) -> Result<(), RowError> {
        for key in keys {
            self.rows.insert(key.clone(), None);
        }
        match rows {
            Rows::Postgres(rows) => {
                for row in rows {
                    self.read_into(part_of_row(row)?, &mut PgSource::new(row))?;
                }
            }
            Rows::Sqlite(rows) => {
                for row in rows {
                    // A SQLite ledger has one part.
                    self.read_into(0, &mut SqliteSource::new(row))?;
                }
            }
        }
        Ok(())
    }

    fn fold(&mut self, part: u32, event: &LogEvent) -> Result<(), FoldError> {
        let Some(key) = P::key(event)? else { return Ok(()) };
        let place = (part, key);
        let older = self.older.remove(&place).flatten();
        let row = self.rows.entry(place.clone()).or_insert(older);
        P::fold(row, event)?;
        self.touched.push((part, place.1.stream.clone()));
        self.changed.insert(place);
        Ok(())
    }

    fn changed(&mut self, cells: &mut Cells) -> Result<(), RowError> {
        let mut changed: Vec<(u32, Key)> = self.changed.drain().collect();
        // Sorted: two workers that race lock rows in one order, and SQLite writes its pages in theirs.
        changed.sort_unstable();
        for (part, key) in changed {
            let place = (part, key);
            if let Some(Some(row)) = self.rows.get(&place) {
                cells.parts.push(part);
                P::write(&place.1, row, cells)?;
            }
        }
        Ok(())
    }

    fn touched(&mut self) -> Vec<(u32, Box<str>)> {
        std::mem::take(&mut self.touched)
    }

    fn forget(&mut self) {
        self.rows.clear();
        self.older.clear();
        self.changed.clear();
        self.touched.clear();
    }

    fn shrink(&mut self) {
        if P::TABLE.append_only || !self.keep {
            self.forget();
        } else if self.rows.len() > ROWS_KEPT {
            let left = std::mem::take(&mut self.rows);
            self.older = if left.len() > ROWS_LEFT_MAX {
                HashMap::new()
            } else {
                left
            };
        }
    }
}

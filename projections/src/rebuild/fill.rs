//! Rows of one view while its slot is filled: folded in memory, handed out once.

use std::collections::HashMap;

use crate::audit::Audit;
use crate::entitlements::Entitlements;
use crate::invoices::Invoices;
use crate::projection::{FoldError, LogEvent, Projection};
use crate::quota::Quota;
use crate::status::Status;
use crate::table::sink::CopyBytes;
use crate::table::{Cells, Key, RowError, Table};
use crate::views::View;

/// A view being filled, whatever its rows are.
pub(super) trait Fill: Send {
    fn view(&self) -> View;
    fn table(&self) -> &Table;
    fn fold(&mut self, event: &LogEvent) -> Result<(), FoldError>;
    /// Number of rows held.
    fn rows(&self) -> usize;
    /// Hands out all rows in the order of their keys.
    fn take_cells(&mut self, part: u32) -> Result<Cells, RowError>;
    /// Hands out all rows as COPY wants them.
    fn take_copy(&mut self, part: u32) -> Result<CopyBytes, RowError>;
}

struct Filling<P: Projection> {
    view: View,
    table: Table,
    rows: HashMap<Key, Option<P::Row>>,
    /// Rows of a view that only adds.
    added: Vec<(Key, P::Row)>,
}

/// The empty beginning of a view.
pub(super) fn of(view: View) -> Box<dyn Fill> {
    match view {
        View::Status => Filling::<Status>::boxed(view),
        View::Entitlements => Filling::<Entitlements>::boxed(view),
        View::Quota => Filling::<Quota>::boxed(view),
        View::Invoices => Filling::<Invoices>::boxed(view),
        View::Audit => Filling::<Audit>::boxed(view),
    }
}

impl<P: Projection> Filling<P> {
    fn boxed(view: View) -> Box<dyn Fill> {
        Box::new(Self {
            view,
            table: P::TABLE,
            rows: HashMap::new(),
            added: Vec::new(),
        })
    }

    fn take(&mut self) -> Vec<(Key, P::Row)> {
        // Rows that are only added came in the order of their keys.
        let mut done = std::mem::take(&mut self.added);
        if !self.rows.is_empty() {
            done.extend(self.rows.drain().filter_map(|(key, row)| Some((key, row?))));
            done.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
        }
        done
    }
}

impl<P: Projection> Fill for Filling<P> {
    fn view(&self) -> View {
        self.view
    }

    fn table(&self) -> &Table {
        &self.table
    }

    fn fold(&mut self, event: &LogEvent) -> Result<(), FoldError> {
        let Some(key) = P::key(event)? else { return Ok(()) };
        if P::TABLE.append_only {
            let mut row = None;
            P::fold(&mut row, event)?;
            self.added.extend(row.map(|row| (key, row)));
            return Ok(());
        }
        P::fold(self.rows.entry(key).or_insert(None), event)
    }

    fn rows(&self) -> usize {
        self.rows.len() + self.added.len()
    }

    fn take_cells(&mut self, part: u32) -> Result<Cells, RowError> {
        let mut cells = Cells::default();
        for (key, row) in self.take() {
            cells.parts.push(part);
            P::write(&key, &row, &mut cells)?;
        }
        Ok(cells)
    }

    fn take_copy(&mut self, part: u32) -> Result<CopyBytes, RowError> {
        let mut bytes = CopyBytes::default();
        for (key, row) in self.take() {
            bytes.row(part, self.table.width());
            P::write(&key, &row, &mut bytes)?;
        }
        Ok(bytes)
    }
}

//! From events to the rows of a slot: rows that are complete are encoded at once, and only their bytes are kept.
//!
//! Status, entitlements and quota rest on the registers of the same account, so where they are filled together the
//! account is folded once and what they share is encoded once. An event that an operator skipped in one of them makes
//! their registers differ; such an account is folded for each view by itself.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use aggregates::time::Timestamp;

use super::RebuildError;
use crate::audit::Audit;
use crate::book::{Last, decides_holdings};
use crate::db::StoreKind;
use crate::entitlements::Entitlements;
use crate::invoices::Invoices;
use crate::money::Money;
use crate::projection::{FoldError, LogEvent, Projection};
use crate::quota::Quota;
use crate::status::{Status, StatusRow};
use crate::table::sink::CopyBytes;
use crate::table::{Cells, Key, RowSink, Slot, Table};
use crate::views::View;

/// Views that rest on the registers of an account.
const STANDING: [View; 3] = [View::Status, View::Entitlements, View::Quota];

/// Events that views were let past.
pub(super) type Skips = Arc<HashSet<(View, u32, u64)>>;

/// Rows of one view in the form its store takes them.
pub(super) enum Rows {
    Cells(Cells),
    Copy(CopyBytes),
}

impl Rows {
    fn empty(kind: StoreKind) -> Self {
        match kind {
            StoreKind::Postgres => Self::Copy(CopyBytes::default()),
            StoreKind::Sqlite => Self::Cells(Cells::default()),
        }
    }

    /// About how many bytes they are.
    pub(super) fn bytes(&self) -> usize {
        match self {
            Self::Cells(cells) => cells.bytes(),
            Self::Copy(copy) => copy.bytes.len(),
        }
    }

    fn begin(&mut self, part: u32, width: usize) {
        match self {
            Self::Cells(cells) => cells.parts.push(part),
            Self::Copy(bytes) => bytes.row(part, width),
        }
    }
}

impl RowSink for Rows {
    fn text(&mut self, value: Option<&str>) {
        match self {
            Self::Cells(cells) => cells.text(value),
            Self::Copy(bytes) => bytes.text(value),
        }
    }
    fn int(&mut self, value: Option<i64>) {
        match self {
            Self::Cells(cells) => cells.int(value),
            Self::Copy(bytes) => bytes.int(value),
        }
    }
    fn time(&mut self, value: Option<Timestamp>) {
        match self {
            Self::Cells(cells) => cells.time(value),
            Self::Copy(bytes) => bytes.time(value),
        }
    }
}

/// Encoded rows of one slot.
pub(super) struct Filled {
    pub(super) table: Table,
    pub(super) slot: Slot,
    pub(super) rows: Rows,
}

struct Out {
    view: View,
    slot: Slot,
    count: usize,
    rows: Rows,
}

impl Out {
    fn begin(&mut self, part: u32) -> &mut Rows {
        self.count += 1;
        self.rows.begin(part, self.view.table().width());
        &mut self.rows
    }
}

/// Slots while they are filled.
pub(super) struct Fill {
    kind: StoreKind,
    skips: Skips,
    outs: Vec<Out>,
}

impl Fill {
    pub(super) fn new(kind: StoreKind, skips: &Skips, views: &[(View, Slot)]) -> Self {
        let out = |(view, slot): &(View, Slot)| Out {
            view: *view,
            slot: *slot,
            count: 0,
            rows: Rows::empty(kind),
        };
        Self {
            kind,
            skips: Arc::clone(skips),
            outs: views.iter().map(out).collect(),
        }
    }

    /// Takes all events of a stream, in order; for views that only add rows, any run of events of one part.
    pub(super) fn take(&mut self, events: &[LogEvent]) -> Result<(), RebuildError> {
        let shared = self.shares(events);
        if shared {
            self.standing(events)?;
        }
        for at in 0..self.outs.len() {
            match self.outs[at].view {
                view if shared && STANDING.contains(&view) => Ok(()),
                View::Status => self.alone::<Status>(at, events),
                View::Entitlements => self.alone::<Entitlements>(at, events),
                View::Quota => self.alone::<Quota>(at, events),
                View::Invoices => self.alone::<Invoices>(at, events),
                View::Money => self.alone::<Money>(at, events),
                View::Audit => self.alone::<Audit>(at, events),
            }?;
        }
        Ok(())
    }

    /// Number of rows held.
    pub(super) fn count(&self) -> usize {
        self.outs.iter().map(|out| out.count).sum()
    }

    /// About how many bytes they are.
    pub(super) fn bytes(&self) -> usize {
        self.outs.iter().map(|out| out.rows.bytes()).sum()
    }

    /// Hands out all rows.
    pub(super) fn drain(&mut self) -> Vec<Filled> {
        let kind = self.kind;
        let filled = self.outs.iter_mut().filter(|out| out.count > 0).map(|out| {
            out.count = 0;
            Filled {
                table: out.view.table(),
                slot: out.slot,
                rows: std::mem::replace(&mut out.rows, Rows::empty(kind)),
            }
        });
        filled.collect()
    }

    /// Whether one fold serves all views of an account's registers.
    fn shares(&self, events: &[LogEvent]) -> bool {
        let skipped = |event: &LogEvent| STANDING.iter().any(|view| self.is_skipped(*view, event));
        self.out_of(&STANDING).is_some() && !events.iter().any(skipped)
    }

    fn is_skipped(&self, view: View, event: &LogEvent) -> bool {
        !self.skips.is_empty() && self.skips.contains(&(view, event.part, event.position))
    }

    fn out_of(&self, views: &[View]) -> Option<&Out> {
        self.outs.iter().find(|out| views.contains(&out.view))
    }

    /// One fold of an account for the rows of up to three views.
    fn standing(&mut self, events: &[LogEvent]) -> Result<(), RebuildError> {
        let named = self.out_of(&STANDING).map_or(View::Status, |out| out.view);
        let mut row: Option<StatusRow> = None;
        let mut opened_at: Option<Timestamp> = None;
        let mut counted = None;
        for event in events {
            let mut fold = || -> Result<(), FoldError> {
                let Some(typed) = event.account()? else { return Ok(()) };
                Status::fold(&mut row, event)?;
                opened_at = Some(opened_at.map_or(event.occurred_at, |at| at.min(event.occurred_at)));
                if decides_holdings(typed) {
                    counted = Some(Last::of(event));
                }
                Ok(())
            };
            fold().map_err(|error| failed(named, event, error))?;
        }
        let (Some(mut row), Some(opened_at), Some(event)) = (row, opened_at, events.last()) else {
            return Ok(());
        };
        let (part, key, last) = (event.part, Key::stream(&event.stream), Last::of(event));
        if let Some(out) = self.outs.iter_mut().find(|out| out.view == View::Status) {
            Status::write(&key, &row, out.begin(part))?;
        }
        row.book.keep_holdings();
        let mut holdings = None;
        for out in &mut self.outs {
            let is_wanted = match out.view {
                View::Entitlements => counted.is_some(),
                View::Quota => true,
                View::Status | View::Invoices | View::Money | View::Audit => false,
            };
            if !is_wanted {
                continue;
            }
            let text = match &holdings {
                Some(text) => text,
                None => holdings.insert(row.book.encode()?),
            };
            match (out.view, counted) {
                (View::Entitlements, Some(counted)) => Entitlements::put(&key, text, counted, out.begin(part)),
                (_, _) => Quota::put(&key, text, opened_at, last, out.begin(part)),
            }
        }
        Ok(())
    }

    /// The rows of one view by its own fold.
    fn alone<P: Projection>(&mut self, at: usize, events: &[LogEvent]) -> Result<(), RebuildError> {
        let view = self.outs[at].view;
        let mut rows: BTreeMap<Key, Option<P::Row>> = BTreeMap::new();
        for event in events {
            if self.is_skipped(view, event) {
                continue;
            }
            let key = P::key(event).map_err(|error| failed(view, event, error))?;
            let Some(key) = key else { continue };
            P::fold(rows.entry(key).or_insert(None), event).map_err(|error| failed(view, event, error))?;
        }
        let (part, out) = (events.first().map_or(0, |event| event.part), &mut self.outs[at]);
        for (key, row) in rows {
            if let Some(row) = row {
                P::write(&key, &row, out.begin(part))?;
            }
        }
        Ok(())
    }
}

fn failed(view: View, event: &LogEvent, error: FoldError) -> RebuildError {
    RebuildError::Fold {
        view: view.name(),
        part: event.part,
        position: event.position,
        reason: error.reason,
    }
}
